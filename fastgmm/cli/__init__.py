"""The command line: its arguments, and the reports of errors, warnings and Ctrl-C.

Nothing heavy is imported here, so that every ``--help`` answers at once; the commands are in ``commands``.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn, TextIO

import fastgmm
from fastgmm._names import (
    ACCELERATIONS,
    ALGORITHMS,
    CLASS_CRITERIA,
    CLASSIFIERS,
    COVARIANCE_TYPES,
    CRITERIA,
    MCLUST_NAMES,
    ON_COLLAPSE,
    ONE_FEATURE,
    PRIORS,
    RESAMPLING,
    STARTS,
    TIED_NAMES,
)
from fastgmm.cli.wording import in_options, option_for

_EVERY_TYPE = (*COVARIANCE_TYPES, *MCLUST_NAMES, *ONE_FEATURE, *TIED_NAMES)
_TYPES = (
    f"{', '.join((*COVARIANCE_TYPES, *TIED_NAMES))}, or mclust's {', '.join(MCLUST_NAMES)}, for one feature "
    f"{', '.join(ONE_FEATURE)}"
)
DTYPES = ("float64", "float32")
_MOST_COMPONENTS = 10_000
_HEADERS = ("auto", "yes", "no")
#: Options with another name, known to users of scikit-learn.
_ALIASES = {"--n-components": "--components"}

_MODEL_KEYS = """\
  n_components, n_features    integers k and d
  covariance_type, dtype      strings
  feature_names               d strings, or null
  converged, n_iter, n_passes whether EM converged, iterations and passes over the data of the best start
  weights                     k numbers
  means                       k rows of d numbers
  standard_deviations         k rows of d numbers: square roots of the variances
  covariances                 full: k matrices d x d; tied, EEE: one; diag, EEI, VEI, EVI, VVI: k rows of d;
                              spherical, EII, VII, E, V: k numbers; others as full
  noise                       object: weight, volume; null if the mixture has none
"""
_FIT_NOTES = """\
DATA may be a file, a directory of files of one kind, or a quoted pattern such as "part-*.npy". Directories, patterns, and
.npy and .parquet files of more than 64 MiB are read piece by piece in each iteration, and need not fit into memory.
With --checkpoint FILE the fit can be stopped, by Ctrl-C or any other way: the same command resumes exactly where it stopped.

"""
_FIT_KEYS = f"""\
keys of --json:
  command, version, data      "fit", fastgmm's version, the path
  n_samples                   integer n
{_MODEL_KEYS}\
  init, seed, sample_weight   as given (sample_weight: the column or file of --weights, or null)
  total_weight                sum of the weights; n_samples without --weights
  log_likelihood              of all samples, each as often as its weight says
  mean_log_likelihood         that divided by total_weight
  bic, aic                    numbers, smaller is better; null with --bayesian
  lower_bound                 that the fit ended with: mean log-likelihood; with --bayesian, of the log-evidence of all samples
  cluster_sizes               k integers: samples whose most probable component it is; then those of noise, if there is some
  seconds                     object: read, compile (0 if a cache holds the code), fit
  files                       object: model, labels, proba, plot; the paths written, or null (demo: empty)
"""
_SELECT_NOTES = """\
DATA as for "fastgmm fit". All models begin from each other and from one set of starts. A model is left out, "-" in the table,
if a component sits on a few equal samples, or has fewer samples than its covariance needs.

"""
_SELECT_KEYS = f"""\
keys of --json:
  command, version, data      "select", fastgmm's version, the path
  n_samples                   integer n
  sample_weight, init, seed   as given (sample_weight: the column or file of --weights, or null)
  criterion                   as given
  n_components                the sizes, integers: the rows of the arrays
  covariance_types            strings: the columns of the arrays
  bic, icl, aic               arrays of numbers, smaller is better; null for models without a fit
  log_likelihood, entropy     arrays of numbers, or null
  stability                   array of numbers; null unless that is the criterion
  n_parameters, converged     arrays of integers, of true or false
  reasons                     array of objects: n_components, covariance_type, reason; the models without a fit
  ranking                     array of objects: n_components, covariance_type, value of the criterion; the best first
  best                        object, of the best model: log_likelihood, bic, icl, aic, entropy, n_parameters, reason,
                              cluster_sizes (see "fastgmm fit --help"), and
{_MODEL_KEYS}\
  seconds                     object: read, compile (0 if a cache holds the code), select
  files                       object: model, labels, plot, table; the paths written, or null
"""
_DEMO_KEYS = """
keys of --json: those of "fastgmm fit --help", and
  species                     3 strings
  cross_table                 3 rows (species) of 3 integers (samples in each cluster)
"""
_PREDICT_KEYS = """\
keys of --json:
  command, version, model, data, n_samples
  cluster_sizes               k integers; then that of noise, if there is some
  output                      the path written, or null
  labels                      n integers, only without --output and --proba
  probabilities               n rows of k numbers (k + 1 with noise), only with --proba and without --output
"""
_SCORE_KEYS = """\
keys of --json:
  command, version, model, data, n_samples
  sample_weight               the column or file of --weights, or null
  total_weight                sum of the weights; n_samples without --weights
  log_likelihood              of all samples, each as often as its weight says
  mean_log_likelihood         that divided by total_weight
  bic, aic                    numbers, smaller is better; null for a model of fit --bayesian
  per_sample                  the path written, or null
"""
_CLASSIFY_KEYS = """\
keys of --json:
  command, version, data, new  as given; new is null without --new
  n_samples, n_features        integers, of DATA
  classes                      the classes, ascending; the next three have an entry for each
  class_sizes, priors          integers, numbers
  models                       objects: n_components, covariance_type
  method, criterion            as given
  bic, log_likelihood          numbers, of DATA
  training_error               share of DATA that is classified wrongly
  labels                       the class of each sample that was classified, only without --output
  seconds                      object: read, compile (0 if a cache holds the code), fit
  files                        object: output, model; the paths written, or null
"""
_MERGE_KEYS = """\
keys of --json:
  command, version, model, data, n_samples
  sample_weight               the column or file of --weights, or null
  n_clusters                  --clusters, or the elbow (all components, if there is none)
  elbow                       where the entropy bends; null for fewer than three components
  entropies                   of 1, 2, ... k clusters
  merges                      k - 1 pairs of components, the least of the merged clusters, from k clusters down
  groups                      k integers: the cluster of each component
  cluster_sizes               samples of each cluster; then those of noise, if there is some
  output                      the path written, or null
"""
_BOOTSTRAP_KEYS = """\
keys of --json:
  command, version, model, data
  method, seed, confidence_level  as given
  n_done, n_failed            replicates, and those that collapsed
  standard_error, bias        objects: weights, means, covariances, in the shapes of "fastgmm info --help"
  low, high                   the same, of the ends of the intervals
"""
_SAMPLE_KEYS = """\
keys of --json:
  command, version, model, n_samples, n_features, feature_names, seed
  output                      the path written, or null
  data                        n rows of d numbers, only without --output
  labels                      n integers: the component of each sample, only without --output
"""
_INFO_KEYS = f"""\
keys of --json:
  command, version, model, class
{_MODEL_KEYS}\
  lower_bound                 mean log-likelihood per sample that EM ended with; null if it is not known. Of a model of
                              fit --bayesian, that of the log-evidence
  params                      object: the constructor's parameters that are not arrays
"""
_WARMUP_KEYS = """\
keys of --json:
  command, version
  compiled                    array of objects: covariance_type, dtype, seconds
  seconds                     in all
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"fastgmm: error: {_one_line(message)}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the program's name. Default: those of the process.

    Returns
    -------
    status : int
        0 success; 2 wrong input, reported in one line on standard error; 1 a failure of fastgmm itself, with its
        traceback; 130 interrupted; 141 the reader of standard output went away.
    """
    try:
        args = _parse(list(sys.argv[1:] if argv is None else argv))
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = partial(_show_warning, args.command)
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    try:
        from fastgmm._jit import on_compilation
        from fastgmm.cli import commands

        with on_compilation(_tell_of_compilation):
            getattr(commands, args.command)(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # the interpreter flushes once more at exit, which must not complain either
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt as stop:
        print(f"fastgmm: interrupted{'; ' if str(stop) else ''}{_one_line(str(stop))}", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        print(f"fastgmm: error: {_message(error, args.command)}", file=sys.stderr)
        return 2
    except Exception:
        traceback.print_exc()
        print("fastgmm: internal error, please report it with the lines above", file=sys.stderr)
        return 1
    return 0


def _tell_of_compilation() -> None:
    # only for a user who is waiting; a script's standard error holds errors and nothing else
    if sys.stderr.isatty():
        print(
            "fastgmm: compiling for this processor, once: some ten seconds for each kind of covariance", file=sys.stderr
        )


def _message(error: BaseException, command: str) -> str:
    """Return one line about an error, in the words of the command line."""
    if isinstance(error, OSError) and error.strerror:
        name = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return _one_line(f"{name}{error.strerror}")
    if isinstance(error, MemoryError):
        return in_options(_one_line(f"not enough memory; {error}").rstrip("; "), command)
    return in_options(_one_line(str(error)), command) or type(error).__name__


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _show_warning(
    command: str,
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"fastgmm: warning: {in_options(_one_line(str(message)), command)}", file=sys.stderr)


def _parse(argv: list[str]) -> argparse.Namespace:
    parser, commands = _build()
    if not argv:
        parser.error(f"a command is missing: {', '.join(commands)}")
    if not argv[0].startswith("-") and argv[0] not in commands:
        parser.error(_unknown("command", argv[0], list(commands)))
    if argv[0] in commands:
        argv = [_ALIASES.get(option, option) + rest for option, rest in map(_split_option, argv)]
        _check_options(argv[1:], commands[argv[0]])
    args, extra = parser.parse_known_args(argv)
    if extra:
        commands[args.command].error(f"too many arguments: {' '.join(extra)}")
    return args


def _split_option(word: str) -> tuple[str, str]:
    """Split a word into an option and the rest from "=" on."""
    option, equals, value = word.partition("=")
    return option, equals + value


def _check_options(words: Sequence[str], command: _Parser) -> None:
    """Refuse an option that the command does not have, before asking for missing ones."""
    known = command._option_string_actions
    for word in words:
        option = _split_option(word)[0]
        if word == "--":
            return
        if not word.startswith("-") or word == "-" or option in known or word[:2] in known or _is_number(word):
            continue
        meant = option_for(option)
        if meant in known or (meant is not None and f"{meant}s" in known):
            command.error(f"unknown option {option!r}; did you mean {meant if meant in known else f'{meant}s'}?")
        command.error(_unknown("option", option, list(known)))


def _is_number(word: str) -> bool:
    with contextlib.suppress(ValueError):
        float(word)
        return True
    return False


def _unknown(what: str, got: str, known: Sequence[str]) -> str:
    near = [name for name in known if name.startswith(got)] or difflib.get_close_matches(got, known, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"it must be one of {', '.join(known)}"
    return f"unknown {what} {got!r}; {hint}"


# --- types of arguments ---


def _one_of(what: str, known: Sequence[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(_unknown(what, text, known))
        return text

    return parse


def _integer(low: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) >= low):
            raise argparse.ArgumentTypeError(f"got {text!r}; it must be an integer of at least {low}")
        return int(text)

    return parse


_count = _integer(1)


def _components(text: str) -> int:
    """Parse one number of components; several are for another command."""
    if "," in text or ":" in text:
        try:
            _sizes(text)
        except argparse.ArgumentTypeError:
            return _count(text)  # its error says that it must be one number
        raise argparse.ArgumentTypeError(
            f"got {text!r}, but fit takes one number of components; to choose among several: fastgmm select DATA -k {text}"
        )
    return _count(text)


def _sizes(text: str) -> list[int]:
    sizes: list[int] = []
    for item in text.split(","):
        first, colon, last = item.strip().partition(":")
        try:
            low, high = _count(first), _count(last if colon else first)
        except argparse.ArgumentTypeError:
            low, high = 1, 0
        if low > high or high > _MOST_COMPONENTS:
            raise argparse.ArgumentTypeError(
                f"got {text!r}; it must be numbers from 1 to {_MOST_COMPONENTS} and ranges of them, such as 3 or 1:9 or 2,4,8:10"
            )
        sizes += range(low, high + 1)
    return sizes


def _covariance_list(text: str) -> str | list[str]:
    if text == "all":
        return text
    return [_one_of("covariance type", (*_EVERY_TYPE, "all"))(item) for item in _items(text)]


def _seed(text: str) -> int | None:
    if text == "none":
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) < 2**32):
        raise argparse.ArgumentTypeError(f"got {text!r}; it must be an integer from 0 to 2**32 - 1, or none")
    return int(text)


def _not_negative(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(f"got {text!r}; it must be a number that is not negative")


def _positive(text: str) -> float:
    if (value := _not_negative(text)) > 0:
        return value
    raise argparse.ArgumentTypeError(f"got {text!r}; it must be a number above 0")


def _items(text: str) -> list[str]:
    # a name with a comma in it can be quoted, as in the file
    import csv

    return [item.strip() for item in next(csv.reader([text]), []) if item.strip()]


# --- the commands ---


def _build() -> tuple[_Parser, dict[str, _Parser]]:
    parser = _Parser(
        prog="fastgmm",
        description="Gaussian mixture models by EM: fit a table, predict clusters, score, sample.",
        epilog='Each command has its own help: fastgmm fit --help. "fastgmm demo" shows what a fit looks like.',
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"fastgmm {fastgmm.__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    commands: dict[str, _Parser] = {}

    def add(name: str, help: str, keys: str) -> _Parser:
        commands[name] = subparsers.add_parser(
            name,
            help=help,
            description=help[0].upper() + help[1:] + ".",
            epilog=keys,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        commands[name].add_argument("--json", action="store_true", help="print one JSON object (keys below)")
        return commands[name]

    add("demo", "fit the bundled iris table and compare clusters with species", _FIT_KEYS + _DEMO_KEYS)
    _add_fit(add("fit", "fit a mixture to a table", _FIT_NOTES + _FIT_KEYS))
    _add_select(add("select", "choose the number of components and the covariance type", _SELECT_NOTES + _SELECT_KEYS))
    _add_predict(add("predict", "print the component, or the probability of each, for every sample", _PREDICT_KEYS))
    _add_score(add("score", "print the log-likelihood of a table under a model", _SCORE_KEYS))
    _add_merge(add("merge", "merge components to clusters by entropy", _MERGE_KEYS))
    _add_bootstrap(
        add("bootstrap", "print standard errors and intervals of the parameters of a model", _BOOTSTRAP_KEYS)
    )
    _add_classify(add("classify", "learn classes from a table and classify samples", _CLASSIFY_KEYS))
    _add_sample(add("sample", "draw samples from a model", _SAMPLE_KEYS))
    _model_argument(add("info", "show a saved model", _INFO_KEYS))
    _add_warmup(add("warmup", "compile the kernels of a first fit, and say how long it took", _WARMUP_KEYS))
    return parser, commands


def _add_fit(parser: _Parser) -> None:
    _weights_argument(_data_arguments(parser))
    _fit_mixture_arguments(parser.add_argument_group("the mixture"))
    group = parser.add_argument_group("a long fit")
    group.add_argument(
        "--checkpoint", metavar="FILE", help="write the state of the fit to FILE, and resume from it if it exists"
    )
    group.add_argument(
        "--checkpoint-every", metavar="SECONDS", type=_not_negative, help="how often (default: 60; 0: each iteration)"
    )
    group.add_argument(
        "--progress", action="store_true", help="show iterations and the time left of a pass on standard error"
    )
    _fit_output_arguments(parser.add_argument_group("output"))


def _fit_mixture_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-k",
        "--components",
        metavar="K",
        type=_components,
        required=True,
        help="number of components (required); --n-components is the same",
    )
    group.add_argument(
        "--covariance",
        metavar="TYPE",
        type=_one_of("covariance type", _EVERY_TYPE),
        default="full",
        help=f"{_TYPES} (default: full)",
    )
    _em_arguments(group, tol="1e-3", max_iter=100, least=0, starts="starts, the best is kept", init="kmeans")
    group.add_argument(
        "--acceleration",
        metavar="METHOD",
        type=_one_of("acceleration", ACCELERATIONS),
        help=f"take fewer passes to the same optimum: {', '.join(ACCELERATIONS)} (default: plain EM)",
    )
    group.add_argument(
        "--algorithm",
        metavar="NAME",
        type=_one_of("algorithm", ALGORITHMS),
        default="dense",
        help="dense or pruned, which leaves out components that are far away: for hundreds of them (default: dense)",
    )
    group.add_argument(
        "--noise",
        action="store_true",
        help="a further component, of constant density, for samples that belong to no other: its label is -1",
    )
    group.add_argument(
        "--bayesian",
        action="store_true",
        help="the posterior by variational inference, in which components that are not needed end with next to no weight",
    )
    group.add_argument(
        "--weight-prior",
        metavar="NAME",
        type=_one_of("prior of the weights", ("process", "distribution")),
        help="with --bayesian: a Dirichlet process or a Dirichlet distribution (default: process)",
    )
    group.add_argument(
        "--concentration",
        metavar="NUMBER",
        type=_positive,
        help="with --bayesian: of that prior; the smaller, the fewer components (default: 1/K)",
    )
    group.add_argument(
        "--on-collapse",
        metavar="WHAT",
        type=_one_of("on-collapse", ON_COLLAPSE),
        default="raise",
        help="a component that collapses is an error (raise), or is started anew (reset) (default: raise)",
    )


def _fit_output_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-o", "--output", metavar="FILE", help="save the model, for the other commands (.npz)")
    group.add_argument("--labels", metavar="FILE", help="write the component of each sample (.csv or .npy)")
    group.add_argument("--proba", metavar="FILE", help="write the probability of each component (.csv or .npy)")
    group.add_argument("--plot", metavar="FILE", help="draw the mixture and data (.png, .pdf or .svg; extra plot)")
    group.add_argument(
        "--plot-features",
        metavar="LIST",
        type=_items,
        help="columns to draw, among those used: names, or indices from 0 (default: all, 8 at most)",
    )
    _force_argument(group)
    group.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="print iterations on standard error; twice: also each gain",
    )


def _add_select(parser: _Parser) -> None:
    _weights_argument(_data_arguments(parser))
    group = parser.add_argument_group("the mixtures")
    group.add_argument(
        "-k",
        "--components",
        metavar="LIST",
        type=_sizes,
        default=list(range(1, 10)),
        help="numbers of components, such as 1:9 or 1,2,3 (default: 1:9); --n-components is the same",
    )
    group.add_argument(
        "--covariances",
        metavar="LIST",
        type=_covariance_list,
        default="all",
        help=f"types, with commas between them: {_TYPES}; all: mclust's (default: all)",
    )
    group.add_argument(
        "--criterion",
        metavar="NAME",
        type=_one_of("criterion", CRITERIA),
        default="bic",
        help="bic, icl or aic (default: bic)",
    )
    _em_arguments(
        group, tol="1e-5", max_iter=1000, least=1, starts="starts for each size", init="hierarchical", share=True
    )
    group.add_argument("--progress", action="store_true", help="show the model that is being fitted on standard error")
    group = parser.add_argument_group("output")
    group.add_argument("-o", "--output", metavar="FILE", help="save the best model, for the other commands (.npz)")
    group.add_argument("--labels", metavar="FILE", help="write the component of each sample (.csv or .npy)")
    group.add_argument("--plot", metavar="FILE", help="draw the criterion (.png, .pdf or .svg; extra plot)")
    group.add_argument("--table", metavar="FILE", help="write all models and their criteria (.csv)")
    _force_argument(group)


def _em_arguments(
    group: Any, *, tol: str, max_iter: int, least: int, starts: str, init: str, share: bool = False
) -> None:
    """Add the arguments for the start and end of EM: with defaults, and at least `least` iterations."""
    group.add_argument(
        "--tol",
        type=_not_negative,
        default=float(tol),
        help=f"stop at a smaller gain of mean log-likelihood (default: {tol})",
    )
    added, default = ("a share of the smallest variance of a feature, added", "1e-9") if share else ("added", "1e-6")
    group.add_argument(
        "--reg-covar",
        type=_not_negative,
        default=float(default),
        help=f"{added} to every variance (default: {default})",
    )
    group.add_argument(
        "--prior",
        type=_one_of("prior", PRIORS),
        help="conjugate prior of means and covariances, scaled to the data: default (default: none)",
    )
    group.add_argument(
        "--max-iter",
        metavar="N",
        type=_integer(least),
        default=max_iter,
        help=f"iterations at most (default: {max_iter})",
    )
    group.add_argument("--n-init", metavar="N", type=_count, default=1, help=f"{starts} (default: 1)")
    group.add_argument(
        "--init",
        metavar="METHOD",
        type=_one_of("init", STARTS),
        default=init,
        help=f"{', '.join(STARTS)} (default: {init})",
    )
    _seed_argument(group)
    _threads_argument(group)


def _add_predict(parser: _Parser) -> None:
    _model_argument(parser)
    _data_arguments(parser)
    _threads_argument(parser)
    _output_argument(parser)
    parser.add_argument("--proba", action="store_true", help="write probabilities (p0, p1, ...) instead of labels")


def _add_score(parser: _Parser) -> None:
    _model_argument(parser)
    _weights_argument(_data_arguments(parser))
    _threads_argument(parser)
    parser.add_argument("--per-sample", metavar="FILE", help="write the log-likelihood of each sample (.csv or .npy)")
    _force_argument(parser)


def _add_merge(parser: _Parser) -> None:
    _model_argument(parser)
    _weights_argument(_data_arguments(parser))
    _threads_argument(parser)
    parser.add_argument(
        "--clusters", metavar="N", type=_count, help="number of clusters (default: where the entropy bends)"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write the cluster of each sample (.csv or .npy)")
    _force_argument(parser)


def _add_bootstrap(parser: _Parser) -> None:
    _model_argument(parser)
    _data_arguments(parser)
    parser.add_argument(
        "--resamples", metavar="N", type=_integer(2), default=999, help="number of replicates (default: 999)"
    )
    parser.add_argument(
        "--method",
        type=_one_of("method", RESAMPLING),
        metavar="METHOD",
        default=RESAMPLING[0],
        help=f"{', '.join(RESAMPLING)} (default: {RESAMPLING[0]})",
    )
    parser.add_argument(
        "--level", metavar="P", type=_positive, default=0.95, help="confidence level of the intervals (default: 0.95)"
    )
    parser.add_argument("--progress", action="store_true", help="show progress on standard error")
    _seed_argument(parser)
    _threads_argument(parser)


def _add_classify(parser: _Parser) -> None:
    parser.add_argument(
        "classes", metavar="CLASSES", help="the column of DATA that holds the classes, by name or index"
    )
    _data_arguments(parser)
    parser.add_argument(
        "--new", metavar="FILE", help="samples to classify, a table like DATA; without it DATA itself is classified"
    )
    group = parser.add_argument_group("the classifier")
    group.add_argument(
        "--method",
        metavar="NAME",
        type=_one_of("method", CLASSIFIERS),
        default=CLASSIFIERS[0],
        help="edda: a component for each class, of one type; mclustda: a mixture for each (default: edda)",
    )
    group.add_argument(
        "--covariances",
        metavar="LIST",
        type=_covariance_list,
        default="all",
        help=f"types to choose from: {_TYPES}; all: mclust's (default: all)",
    )
    group.add_argument(
        "-k",
        "--components",
        metavar="LIST",
        type=_sizes,
        help="mclustda: components of a class to choose from, such as 1:5 (default: 1:5)",
    )
    group.add_argument(
        "--criterion",
        metavar="NAME",
        type=_one_of("criterion", CLASS_CRITERIA),
        default="bic",
        help="bic, or cv, errors in ten-fold cross-validation (default: bic)",
    )
    _seed_argument(group)
    _threads_argument(group)
    parser.add_argument("--proba", action="store_true", help="write the probability of each class as well (.csv)")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the classes (.csv)")
    parser.add_argument("--model", metavar="FILE", help="save the classifier, for fastgmm.load (.npz)")
    _force_argument(parser)


def _add_sample(parser: _Parser) -> None:
    _model_argument(parser)
    parser.add_argument(
        "-n", "--samples", metavar="N", type=_count, default=100, help="how many to draw (default: 100)"
    )
    _seed_argument(parser)
    parser.add_argument(
        "--with-labels", action="store_true", help="add a last column, label: the component (.csv only)"
    )
    _output_argument(parser)


def _add_warmup(parser: _Parser) -> None:
    parser.add_argument(
        "--covariance",
        metavar="TYPE",
        type=_one_of("covariance type", (*COVARIANCE_TYPES, "all")),
        default="all",
        help=f"{', '.join(COVARIANCE_TYPES)} or all (default: all)",
    )
    parser.add_argument(
        "--dtype",
        metavar="TYPE",
        type=_one_of("dtype", (*DTYPES, "all")),
        default="all",
        help="float64, float32 or all (default: all)",
    )


def _model_argument(parser: _Parser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a file that fit --output or model.save wrote")


def _weights_argument(group: Any) -> None:
    group.add_argument(
        "--weights",
        metavar="WHAT",
        help="how often each sample counts: if WHAT ends in .npy or .csv, a file with one column of weights; else a column of "
        "DATA, by name or index, which then is not a feature",
    )


def _data_arguments(parser: _Parser) -> Any:
    parser.add_argument(
        "data",
        metavar="DATA",
        help=".csv, .tsv, .txt (also with .gz, .bz2, .xz), .npy, .npz, .parquet; a directory or pattern of them; - is text from "
        "standard input",
    )
    group = parser.add_argument_group("reading DATA")
    group.add_argument(
        "--columns",
        metavar="LIST",
        type=_items,
        help="columns to use: names, indices from 0 or ranges, such as a,b,0-3 (default: all; predict and score: "
        "those that the model was fitted with, if both have names)",
    )
    group.add_argument("--drop", metavar="LIST", type=_items, help="columns to leave out")
    group.add_argument(
        "--header",
        metavar="WHEN",
        type=_one_of("header", _HEADERS),
        default="auto",
        help="text: whether the first line holds names: auto, yes, no (default: auto)",
    )
    group.add_argument(
        "--delimiter", metavar="CHAR", help="text: one character, or tab, space, comma, semicolon (default: found)"
    )
    group.add_argument(
        "--decimal",
        metavar="CHAR",
        type=_one_of("decimal sign", (".", ",")),
        default=".",
        help="text: the decimal sign, a point or a comma (default: .)",
    )
    group.add_argument(
        "--comment", metavar="CHAR", help="text: a sign, such as '#'; it and the rest of the line are left out"
    )
    group.add_argument(
        "--missing",
        action="store_true",
        help="empty fields, NA, NaN and the like are missing values, and samples count by the values that they have",
    )
    group.add_argument("--key", metavar="NAME", help=".npz: which array (default: the only one with two dimensions)")
    group.add_argument(
        "--dtype",
        metavar="TYPE",
        type=_one_of("dtype", DTYPES),
        help="float64 or float32: type to compute in (default: that of the data, float64 for text)",
    )
    return group


def _seed_argument(parser: Any) -> None:
    parser.add_argument(
        "--seed",
        metavar="N",
        type=_seed,
        default=0,
        help="seed of all randomness; none: a new one each time (default: 0)",
    )


def _threads_argument(parser: Any) -> None:
    parser.add_argument("--threads", metavar="N", type=_count, help="threads to use (default: all)")


def _force_argument(parser: Any) -> None:
    parser.add_argument("--force", action="store_true", help="replace output files that exist")


def _output_argument(parser: _Parser) -> None:
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="-", help=".csv or .npy; - is standard output (default)"
    )
    _force_argument(parser)

"""Texts of ``--help``: what each command does, examples, notes, and the keys of its JSON object."""

from __future__ import annotations

from typing import NamedTuple


class Text(NamedTuple):
    """Help of a command.

    summary : one line; usage : its arguments; examples : command lines, the first of which `overview` shows
    keys : those of ``--json``; notes : paragraphs between examples and keys
    """

    summary: str
    usage: str
    examples: tuple[str, ...]
    keys: str
    notes: str = ""

    def epilog(self) -> str:
        """Return what follows the options: examples, notes and keys."""
        examples = "\n".join(["examples:", *(f"  fastgmm {line}" for line in self.examples)])
        return "\n\n".join(part for part in (examples, self.notes, self.keys.rstrip()) if part)


_MODEL_KEYS = """\
  n_components, n_features    integers k and d
  covariance_type, dtype      strings
  feature_names               d strings, or null
  converged, n_iter, n_passes whether EM converged, iterations and passes over
                              the data of the best start
  weights                     k numbers
  means                       k rows of d numbers
  standard_deviations         k rows of d numbers: square roots of variances
  covariances                 full: k matrices d x d; tied, EEE: one; diag, EEI,
                              VEI, EVI, VVI: k rows of d; spherical, EII, VII,
                              E, V: k numbers; others as full
  noise                       object: weight, volume; null without noise
"""
_FIT_NOTES = """\
DATA may be a file, a directory of files of one kind, or a quoted pattern such
as "part-*.npy". Directories, patterns, and .npy and .parquet files of more
than 64 MiB are read piece by piece in each iteration, and need not fit into
memory. With --checkpoint FILE you can stop the fit, by Ctrl-C or any other
way: the same command resumes exactly where it stopped."""
_FIT_KEYS = f"""\
keys of --json:
  command, version, data      "fit", fastgmm's version, the path
  n_samples                   integer n
{_MODEL_KEYS}\
  init, seed, sample_weight   as given (sample_weight: the column or file of
                              --weights, or null)
  total_weight                sum of the weights; n_samples without --weights
  log_likelihood              of all samples, each as often as its weight says
  mean_log_likelihood         log_likelihood / total_weight
  bic, aic                    numbers, smaller is better; null with --bayesian
  lower_bound                 mean log-likelihood at the end of the fit; with
                              --bayesian, the bound on the log-evidence of all
                              samples
  cluster_sizes               k integers: samples by most probable component;
                              with noise one more, the last
  seconds                     object: read, compile (0 if a cache holds the
                              code), fit
  files                       object: model, labels, proba, plot; the paths
                              written, or null (demo: empty)
"""
_SELECT_NOTES = """\
DATA may be what "fastgmm fit" takes. All models share one set of starts, and
each also begins from simpler models. A model has no fit, "-" in the table, if
a component lies on a few equal samples, or has fewer samples than its
covariance needs."""
_SELECT_KEYS = f"""\
keys of --json:
  command, version, data      "select", fastgmm's version, the path
  n_samples                   integer n
  sample_weight, init, seed   as given (sample_weight: the column or file of
                              --weights, or null)
  criterion                   as given
  n_components                the sizes, integers: the rows of the arrays
  covariance_types            strings: the columns of the arrays
  bic, icl, aic               arrays of numbers, smaller is better; null for
                              models without a fit
  log_likelihood, entropy     arrays of numbers, or null
  n_parameters, converged     arrays of integers, of true or false
  reasons                     array of objects for the models without a fit:
                              n_components, covariance_type, reason
  ranking                     array of objects, the best first: n_components,
                              covariance_type, value of the criterion
  best                        object, of the best model: log_likelihood, bic,
                              icl, aic, entropy, stability, n_parameters,
                              reason, cluster_sizes (see "fastgmm fit --help"),
                              and
{_MODEL_KEYS}\
  seconds                     object: read, compile (0 if a cache holds the
                              code), select
  files                       object: model, labels, plot, table; the paths
                              written, or null
"""
_DEMO_KEYS = """
  species                     3 strings
  cross_table                 3 rows (species) of 3 integers (samples in each
                              cluster)
"""
_PREDICT_KEYS = """\
keys of --json:
  command, version, model, data, n_samples
  cluster_sizes               k integers; with noise one more, the last
  output                      the path written, or null
  labels                      n integers, only without --output and --proba
  probabilities               n rows of k numbers (k + 1 with noise), only with
                              --proba and without --output
"""
_SCORE_KEYS = """\
keys of --json:
  command, version, model, data, n_samples
  sample_weight               the column or file of --weights, or null
  total_weight                sum of the weights; n_samples without --weights
  log_likelihood              of all samples, each as often as its weight says
  mean_log_likelihood         log_likelihood / total_weight
  bic, aic                    numbers, smaller is better; null for a model of
                              fit --bayesian
  per_sample                  the path written, or null
"""
_CLASSIFY_KEYS = """\
keys of --json:
  command, version, data, new as given; new is null without --new
  n_samples, n_features       integers, of DATA
  classes                     the classes, ascending; the next three have an
                              entry for each
  class_sizes, priors         integers, numbers
  models                      objects: n_components, covariance_type
  method, criterion           as given
  bic, log_likelihood         numbers, of DATA
  training_error              share of DATA that is classified wrongly
  labels                      the class of each sample that was classified, only
                              without --output
  seconds                     object: read, compile (0 if a cache holds the
                              code), fit
  files                       object: output, model; the paths written, or null
"""
_MERGE_KEYS = """\
keys of --json:
  command, version, model, data, n_samples
  sample_weight               the column or file of --weights, or null
  n_clusters                  --clusters, or the elbow (all components, if there
                              is none)
  elbow                       where the entropy bends; null for fewer than three
                              components
  entropies                   of 1, 2, ... k clusters
  merges                      k - 1 pairs of components, the least of the merged
                              clusters, from k clusters down
  groups                      k integers: the cluster of each component
  cluster_sizes               samples of each cluster; with noise one more, the
                              last
  output                      the path written, or null
"""
_BOOTSTRAP_KEYS = """\
keys of --json:
  command, version, model, data
  method, seed, confidence_level
                              as given
  n_done, n_failed            replicates, and those that collapsed
  standard_error, bias        objects: weights, means, covariances, in the
                              shapes of "fastgmm info --help"
  low, high                   the same, of the ends of the intervals
"""
_SAMPLE_KEYS = """\
keys of --json:
  command, version, model, n_samples, n_features, feature_names, seed
  output                      the path written, or null
  data                        n rows of d numbers, only without --output
  labels                      n integers, only without --output: the component
                              of each sample
"""
_INFO_KEYS = f"""\
keys of --json:
  command, version, model, class
{_MODEL_KEYS}\
  lower_bound                 mean log-likelihood at the end of the fit; null if
                              it is not known. Of a model of fit --bayesian, the
                              bound on the log-evidence of all samples
  params                      object: the constructor's parameters that are not
                              arrays
"""
_WARMUP_KEYS = """\
keys of --json:
  command, version
  compiled                    array of objects: covariance_type, dtype, seconds
  seconds                     in all
"""

#: The commands, in the order in which they are listed.
COMMANDS = {
    "demo": Text(
        "fit the bundled iris table and compare clusters with species",
        "[options]",
        ("demo",),
        _FIT_KEYS.rstrip() + _DEMO_KEYS,
    ),
    "fit": Text(
        "fit a mixture to a table",
        "DATA -k K [options]",
        (
            "fit data.csv -k 3 -o model.npz",
            "fit data.csv -k 3 --columns height,weight --labels clusters.csv",
            "fit data.csv -k 3 --covariance VVI --init auto --plot mixture.png",
            'fit "parts/*.npy" -k 50 --checkpoint fit.npz --progress -o model.npz',
        ),
        _FIT_KEYS,
        _FIT_NOTES,
    ),
    "select": Text(
        "choose the number of components and the covariance type",
        "DATA [options]",
        (
            "select data.csv -k 1:9 -o best.npz",
            "select data.csv --drop id --criterion icl --table models.csv",
            "select data.csv -k 2,4,8 --covariances EEE,VVV --plot bic.png",
        ),
        _SELECT_KEYS,
        _SELECT_NOTES,
    ),
    "predict": Text(
        "print the component, or the probability of each, for every sample",
        "MODEL DATA [options]",
        (
            "predict model.npz new.csv",
            "predict model.npz new.csv --proba -o probabilities.csv",
        ),
        _PREDICT_KEYS,
    ),
    "score": Text(
        "print the log-likelihood of a table under a model",
        "MODEL DATA [options]",
        (
            "score model.npz new.csv",
            "score model.npz new.csv --per-sample log_likelihood.csv",
        ),
        _SCORE_KEYS,
    ),
    "merge": Text(
        "merge components to clusters by entropy",
        "MODEL DATA [options]",
        (
            "merge model.npz data.csv",
            "merge model.npz data.csv --clusters 3 -o clusters.csv",
        ),
        _MERGE_KEYS,
    ),
    "bootstrap": Text(
        "print standard errors and intervals of the parameters of a model",
        "MODEL DATA [options]",
        (
            "bootstrap model.npz data.csv",
            "bootstrap model.npz data.csv --resamples 200 --level 0.9 --json",
        ),
        _BOOTSTRAP_KEYS,
    ),
    "classify": Text(
        "learn classes from a table and classify samples",
        "CLASSES DATA [options]",
        (
            "classify species train.csv --new new.csv",
            "classify species train.csv --criterion cv --model classes.npz",
            "classify species train.csv --method mclustda -k 1:3 -o classes.csv",
        ),
        _CLASSIFY_KEYS,
    ),
    "sample": Text(
        "draw samples from a model",
        "MODEL [options]",
        (
            "sample model.npz -n 1000 -o new.csv",
            "sample model.npz -n 5 --with-labels",
        ),
        _SAMPLE_KEYS,
    ),
    "info": Text(
        "show a saved model",
        "MODEL [options]",
        (
            "info model.npz",
            "info model.npz --json",
        ),
        _INFO_KEYS,
    ),
    "warmup": Text(
        "compile the kernels of a first fit, and say how long it took",
        "[options]",
        (
            "warmup",
            "warmup --covariance full --dtype float64",
        ),
        _WARMUP_KEYS,
    ),
}


def overview() -> str:
    """Return the help of the program: its commands, with an example of each, on one screen."""
    lines = [
        "usage: fastgmm COMMAND [arguments]",
        "",
        "Fit Gaussian mixture models to tables, and use them.",
        "",
        "commands, with an example of each:",
    ]
    for name, text in COMMANDS.items():
        lines += [f"  {name:<10} {text.summary}", f"{'':<13}$ fastgmm {text.examples[0]}"]
    lines += [
        "",
        "options:",
        "  -h, --help  show this text, or after a command all its arguments",
        "  --version   show the version",
        "",
        'Start with "fastgmm demo". "fastgmm fit --help" explains what DATA may be.',
        "To complete words with the Tab key, install fastgmm[completion], and add to",
        'the start-up file of the shell: eval "$(register-python-argcomplete fastgmm)"',
    ]
    return "\n".join(lines) + "\n"

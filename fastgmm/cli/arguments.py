"""The arguments of each command, in groups as ``--help`` shows them."""

from __future__ import annotations

from collections.abc import Callable

from fastgmm._names import (
    ACCELERATIONS,
    ALGORITHMS,
    CLASS_CRITERIA,
    CLASSIFIERS,
    COVARIANCE_TYPES,
    CRITERIA,
    ON_COLLAPSE,
    PRIORS,
    RESAMPLING,
    STARTS,
)
from fastgmm.cli import options, values
from fastgmm.cli.options import Group, Parser


def _nothing(parser: Parser) -> None:
    """Add nothing: the command has no arguments of its own."""


def _fit(parser: Parser) -> None:
    options.data(parser)
    _mixture(parser.add_argument_group("the mixture"))
    options.weights(options.reading(parser))
    _em(
        parser.add_argument_group("EM"),
        tol="1e-3",
        reg_covar="1e-6",
        max_iter=100,
        least=0,
        starts="number of starts, of which the best is kept",
        init="kmeans",
    )
    group = parser.add_argument_group("priors, noise and collapse")
    options.choice(group, "--prior", PRIORS, help=options.PRIOR)
    group.add_argument(
        "--noise",
        action="store_true",
        help="add a component of constant density, for samples that belong to no other: its label is -1",
    )
    options.choice(
        group,
        "--on-collapse",
        ON_COLLAPSE,
        default="raise",
        help="if a component collapses, report an error (raise), or restart the component (reset)",
    )
    group.add_argument(
        "--bayesian",
        action="store_true",
        help="variational inference of the posterior, in which components that are not needed end with almost no weight",
    )
    options.choice(
        group,
        "--weight-prior",
        ("process", "distribution"),
        what="prior of the weights",
        help="with --bayesian: a Dirichlet process or a Dirichlet distribution (default: process)",
    )
    group.add_argument(
        "--concentration",
        metavar="NUMBER",
        type=values.positive,
        help="with --bayesian: concentration of that prior; the smaller, the fewer components (default: 1/K)",
    )
    group = parser.add_argument_group("a long fit")
    group.add_argument(
        "--checkpoint", metavar="FILE", help="write the state of the fit to FILE, and resume from it if it exists"
    )
    group.add_argument(
        "--checkpoint-every",
        metavar="SECONDS",
        type=values.not_negative,
        help="seconds between two writes (default: 60; 0: after each iteration)",
    )
    group.add_argument(
        "--progress", action="store_true", help="show iterations and the time left of a pass on standard error"
    )
    group.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="print iterations on standard error; twice: also the gain of each",
    )
    group = parser.add_argument_group("output")
    group.add_argument("-o", "--output", metavar="FILE", help="save the model, for the other commands (.npz)")
    options.labels(group)
    group.add_argument("--proba", metavar="FILE", help="write the probability of each component (.csv or .npy)")
    group.add_argument("--plot", metavar="FILE", help="draw mixture and data (.png, .pdf or .svg; extra plot)")
    group.add_argument(
        "--plot-features",
        metavar="LIST",
        type=values.items,
        help="columns to draw, among those used: names, or indices from 0 (default: all, 8 at most)",
    )
    options.force(group)


def _mixture(group: Group) -> None:
    group.add_argument(
        "-k",
        "--components",
        metavar="K",
        type=values.components,
        required=True,
        help="number of components (required); --n-components is the same",
    )
    options.choice(
        group,
        "--covariance",
        values.EVERY_TYPE,
        what="covariance type",
        metavar="TYPE",
        default="full",
        help=f"covariance structure: {options.TYPES}",
    )


def _em(
    group: Group,
    *,
    tol: str,
    reg_covar: str,
    max_iter: int,
    least: int,
    starts: str,
    init: str,
    added: str = "added",
) -> None:
    """Add the arguments for the start and end of EM: with defaults, and at least `least` iterations."""
    options.choice(group, "--init", STARTS, metavar="METHOD", default=init, help=f"initialisation: {', '.join(STARTS)}")
    group.add_argument("--n-init", metavar="N", type=values.count, default=1, help=f"{starts} (default: 1)")
    group.add_argument(
        "--tol",
        metavar="NUMBER",
        type=values.not_negative,
        default=float(tol),
        help=f"stop if the mean log-likelihood gains less in an iteration (default: {tol})",
    )
    group.add_argument(
        "--max-iter",
        metavar="N",
        type=values.integer(least),
        default=max_iter,
        help=f"maximum number of iterations (default: {max_iter})",
    )
    group.add_argument(
        "--reg-covar",
        metavar="NUMBER",
        type=values.not_negative,
        default=float(reg_covar),
        help=f"{added} to every variance (default: {reg_covar})",
    )
    if least == 0:
        options.choice(
            group,
            "--acceleration",
            ACCELERATIONS,
            metavar="METHOD",
            help=f"reach the same optimum in fewer passes: {', '.join(ACCELERATIONS)} (default: plain EM)",
        )
        options.choice(
            group,
            "--algorithm",
            ALGORITHMS,
            default="dense",
            help="dense, or pruned, which skips components that are far away: for hundreds of them",
        )
    options.seed(group)
    options.threads(group)


def _select(parser: Parser) -> None:
    options.data(parser)
    group = parser.add_argument_group("the mixtures")
    group.add_argument(
        "-k",
        "--components",
        metavar="LIST",
        type=values.size_list,
        default=list(range(1, 10)),
        help="numbers of components, such as 1:9 or 1,2,3 (default: 1:9); --n-components is the same",
    )
    options.covariance_list(group, "types to try")
    options.choice(
        group, "--criterion", CRITERIA, default="bic", help="criterion that ranks the models: bic, icl or aic"
    )
    options.choice(group, "--prior", PRIORS, help=options.PRIOR)
    options.weights(options.reading(parser))
    _em(
        parser.add_argument_group("EM"),
        tol="1e-5",
        reg_covar="1e-9",
        max_iter=1000,
        least=1,
        starts="number of starts for each number of components",
        init="hierarchical",
        added="share of the smallest variance of a feature that is added",
    )
    group = parser.add_argument_group("output")
    group.add_argument("-o", "--output", metavar="FILE", help="save the best model, for the other commands (.npz)")
    options.labels(group)
    group.add_argument("--plot", metavar="FILE", help="draw the criterion (.png, .pdf or .svg; extra plot)")
    group.add_argument("--table", metavar="FILE", help="write all models and their criteria (.csv)")
    options.force(group)
    group.add_argument("--progress", action="store_true", help="show which model is being fitted on standard error")


def _predict(parser: Parser) -> None:
    options.model(parser)
    options.data(parser)
    options.reading(parser)
    group = parser.add_argument_group("output")
    group.add_argument("--proba", action="store_true", help="write probabilities (p0, p1, ...) instead of labels")
    options.output(group)
    options.threads(group)


def _score(parser: Parser) -> None:
    options.model(parser)
    options.data(parser)
    options.weights(options.reading(parser))
    group = parser.add_argument_group("output")
    group.add_argument("--per-sample", metavar="FILE", help="write the log-likelihood of each sample (.csv or .npy)")
    options.force(group)
    options.threads(group)


def _merge(parser: Parser) -> None:
    options.model(parser)
    options.data(parser)
    options.weights(options.reading(parser))
    group = parser.add_argument_group("output")
    group.add_argument(
        "--clusters", metavar="N", type=values.count, help="number of clusters (default: where the entropy bends)"
    )
    group.add_argument("-o", "--output", metavar="FILE", help="write the cluster of each sample (.csv or .npy)")
    options.force(group)
    options.threads(group)


def _bootstrap(parser: Parser) -> None:
    options.model(parser)
    options.data(parser)
    options.reading(parser)
    group = parser.add_argument_group("replicates")
    group.add_argument(
        "--resamples", metavar="N", type=values.integer(2), default=999, help="number of replicates (default: 999)"
    )
    options.choice(
        group, "--method", RESAMPLING, metavar="METHOD", default=RESAMPLING[0], help=f"method: {', '.join(RESAMPLING)}"
    )
    group.add_argument(
        "--level",
        metavar="P",
        type=values.positive,
        default=0.95,
        help="confidence level of the intervals (default: 0.95)",
    )
    options.seed(group)
    options.threads(group)
    group.add_argument("--progress", action="store_true", help="show progress on standard error")


def _classify(parser: Parser) -> None:
    parser.add_argument(
        "classes", metavar="CLASSES", help="the column of DATA that holds the classes, by name or index"
    )
    options.data(parser)
    options.reading(parser)
    group = parser.add_argument_group("the classifier")
    group.add_argument(
        "--new", metavar="FILE", help="samples to classify, a table like DATA; without it DATA itself is classified"
    )
    options.choice(
        group,
        "--method",
        CLASSIFIERS,
        default=CLASSIFIERS[0],
        help="edda: a component for each class, all of one type; mclustda: a mixture for each",
    )
    options.covariance_list(group, "types to choose from")
    group.add_argument(
        "-k",
        "--components",
        metavar="LIST",
        type=values.size_list,
        help="mclustda: components of a class to choose from, such as 1:5 (default: 1:5)",
    )
    options.choice(
        group,
        "--criterion",
        CLASS_CRITERIA,
        default="bic",
        help="criterion that chooses: bic, or cv, errors in ten-fold cross-validation",
    )
    options.seed(group)
    options.threads(group)
    group = parser.add_argument_group("output")
    group.add_argument("-o", "--output", metavar="FILE", help="write the classes (.csv)")
    group.add_argument("--proba", action="store_true", help="write the probability of each class as well (.csv)")
    group.add_argument("--model", metavar="FILE", help="save the classifier, for fastgmm.load (.npz)")
    options.force(group)


def _sample(parser: Parser) -> None:
    options.model(parser)
    group = parser.add_argument_group("output")
    group.add_argument(
        "-n", "--samples", metavar="N", type=values.count, default=100, help="number of samples (default: 100)"
    )
    options.seed(group)
    group.add_argument("--with-labels", action="store_true", help="add a last column, label: the component (.csv only)")
    options.output(group)


def _info(parser: Parser) -> None:
    options.model(parser)


def _warmup(parser: Parser) -> None:
    group = parser.add_argument_group("kernels")
    options.choice(
        group,
        "--covariance",
        (*COVARIANCE_TYPES, "all"),
        what="covariance type",
        metavar="TYPE",
        default="all",
        help=f"{', '.join(COVARIANCE_TYPES)} or all",
    )
    options.choice(
        group, "--dtype", (*options.DTYPES, "all"), metavar="TYPE", default="all", help="float64, float32 or all"
    )


#: Functions that add the arguments of the commands.
ADD: dict[str, Callable[[Parser], None]] = {
    "demo": _nothing,
    "fit": _fit,
    "select": _select,
    "predict": _predict,
    "score": _score,
    "merge": _merge,
    "bootstrap": _bootstrap,
    "classify": _classify,
    "sample": _sample,
    "info": _info,
    "warmup": _warmup,
}

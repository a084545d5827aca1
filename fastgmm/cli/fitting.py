"""Commands that fit: demo, fit, select, classify and warmup."""

from __future__ import annotations

import io
import os
import time
from argparse import Namespace
from functools import partial
from typing import Any

import numpy as np

import fastgmm
from fastgmm import datasets, selection
from fastgmm._atomic import replacing
from fastgmm._compat import optional
from fastgmm._jit import on_compilation
from fastgmm._names import CLASSIFIERS, COVARIANCE_TYPES, MCLUST_NAMES
from fastgmm.cli import inputs, outputs, report, results
from fastgmm.cli.inputs import Table
from fastgmm.data.open import open_here
from fastgmm.em.lanes import SINGLE_LANE
from fastgmm.estimators.bayesian_gaussian_mixture import BayesianGaussianMixture
from fastgmm.estimators.fittable import FittableMixture
from fastgmm.estimators.gaussian_mixture import GaussianMixture
from fastgmm.io.tables import resolve_columns
from fastgmm.plotting.mixtures import MOST_FEATURES, plot_mixture


def demo(args: Namespace) -> None:
    """Fit the bundled iris table and cross its species with the clusters."""
    begin = time.perf_counter()
    iris = datasets.load_iris()
    read = time.perf_counter() - begin
    model = GaussianMixture(n_components=3, random_state=0)
    spent = results.timed_fit(model, Table(iris.data, iris.feature_names, 4))
    labels = model.predict(iris.data)
    crossed = np.zeros((len(iris.target_names), 3), dtype=np.int64)
    np.add.at(crossed, (np.asarray(iris.target), labels), 1)
    summary: report.Summary = {"command": "demo", "version": fastgmm.__version__, "data": "iris (bundled)"}
    summary |= results.fit_summary(model, Table(iris.data, iris.feature_names, 4), len(iris.data), np.bincount(labels))
    summary |= {
        "seconds": {"read": read, **spent},
        "files": {},
        "species": iris.target_names,
        "cross_table": crossed,
    }
    results.show(args, summary, report.demo)


def fit(args: Namespace) -> None:
    """Fit a mixture to a file."""
    files = {"model": args.output, "labels": args.labels, "proba": args.proba, "plot": args.plot}
    if args.checkpoint_every is not None and args.checkpoint is None:
        raise ValueError("--checkpoint-every needs --checkpoint; add --checkpoint FILE")
    if args.plot_features is not None and args.plot is None:
        raise ValueError("--plot-features needs --plot; add --plot FILE")
    _check_bayesian(args)
    paths = {"--output": args.output, "--labels": args.labels, "--proba": args.proba, "--plot": args.plot}
    paths["--checkpoint"] = args.checkpoint
    outputs.check_outputs(
        paths, results.input_files(args), args.force, models=("--output", "--checkpoint"), gone_on=("--checkpoint",)
    )
    begin = time.perf_counter()
    table = inputs.read(args, args.columns, args.dtype)
    read = time.perf_counter() - begin
    inputs.tell_of_doubts(args, table)
    features = [] if args.plot is None else _plot_features(args, table)
    arguments = {
        "n_components": args.components,
        "covariance_type": args.covariance,
        "tol": args.tol,
        "reg_covar": args.reg_covar,
        "max_iter": args.max_iter,
        "n_init": args.n_init,
        "init_params": args.init,
        "random_state": args.seed,
        "verbose": args.verbose,
        "acceleration": args.acceleration,
        "algorithm": args.algorithm,
        "missing_values": results.missing_values(args),
        "n_threads": args.threads,
    }
    model: FittableMixture
    if args.bayesian:
        kind = f"dirichlet_{args.weight_prior or 'process'}"
        model = BayesianGaussianMixture(
            weight_concentration_prior_type=kind, weight_concentration_prior=args.concentration, **arguments
        )
    else:
        model = GaussianMixture(prior=args.prior, noise=args.noise, on_collapse=args.on_collapse, **arguments)
    every = 60.0 if args.checkpoint_every is None else args.checkpoint_every
    try:
        spent = results.timed_fit(
            model, table, progress=args.progress, checkpoint=args.checkpoint, checkpoint_every=every
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_how_to_resume(args.checkpoint)) from None
    if args.output:
        _save(model, table.names, args.output)  # before anything else can fail: the fit may have taken hours
    source = open_here(table.data, missing=args.missing)
    sizes = results.cluster_sizes(model, source, args.labels)
    if args.proba:
        results.write_proba(args.proba, model, source)
    if args.plot:
        _write_plot(args.plot, model, table, features)
    summary = results.head("fit", args) | results.fit_summary(model, table, source.n_samples, sizes)
    summary |= {"sample_weight": args.weights, "seconds": {"read": read, **spent}, "files": files}
    results.show(args, summary, report.fit)


def _check_bayesian(args: Namespace) -> None:
    """Raise ValueError for options that do not go with --bayesian, or without it."""
    for option, value in (("--weight-prior", args.weight_prior), ("--concentration", args.concentration)):
        if value is not None and not args.bayesian:
            raise ValueError(f"{option} needs --bayesian; add --bayesian")
    for option, value in (
        ("--prior", args.prior),
        ("--noise", args.noise or None),
        ("--on-collapse", args.on_collapse),
    ):
        if value not in (None, "raise") and args.bayesian:
            raise ValueError(
                f"{option} is for maximum likelihood, and --bayesian has priors of its own; leave one of them out"
            )


def _save(model: FittableMixture, names: tuple[str, ...] | None, path: str) -> None:
    """Save a model with names, then remove them: it would expect them of the arrays that are passed to it."""
    if names is not None:
        model.feature_names_in_ = np.array(names, dtype=object)
    model.save(path)
    if names is not None:
        del model.feature_names_in_


def _plot_features(args: Namespace, table: Table) -> list[int]:
    """Return the features to draw; before the fit, check that they can be drawn and that matplotlib is there."""
    optional("matplotlib", "--plot")
    if args.plot_features is None:
        if table.n_features > MOST_FEATURES:
            raise ValueError(
                f"--plot draws {MOST_FEATURES} features at most, and {args.data} gives {table.n_features}; choose some with "
                "--plot-features"
            )
        return list(range(table.n_features))
    features = resolve_columns(args.data, "--plot-features", args.plot_features, table.names, table.n_features)
    if not features:
        raise ValueError("--plot-features is empty; name at least one feature")
    return features


def _write_plot(path: str, model: FittableMixture, table: Table, features: list[int]) -> None:
    size = max(5.5, 2.2 * len(features))
    figure = _figure(size, 0.8 * size)
    names, weights = table.names, table.sample_weight
    plot_mixture(model, table.data, ax=figure, features=features, feature_names=names, sample_weight=weights)
    _write_figure(path, figure)


def _figure(width: float, height: float) -> Any:
    optional("matplotlib", "--plot")
    return optional("matplotlib.figure", "--plot").Figure(figsize=(width, height), layout="constrained")


def _write_figure(path: str, figure: Any) -> None:
    drawn = io.BytesIO()
    figure.savefig(drawn, format=os.path.splitext(path)[1][1:].lower(), dpi=150)
    with replacing(path) as file:
        file.write(drawn.getbuffer())


def _how_to_resume(checkpoint: str | None) -> str:
    if checkpoint is None:
        return "nothing was written; with --checkpoint FILE the same command could resume"
    if os.path.exists(checkpoint):
        return f"the same command resumes from {checkpoint}"
    return "nothing was written, as the first iteration was not done"


def select(args: Namespace) -> None:
    """Choose the number of components and the covariance structure for a file."""
    files = {"model": args.output, "labels": args.labels, "plot": args.plot, "table": args.table}
    paths = {"--output": args.output, "--labels": args.labels, "--plot": args.plot, "--table": args.table}
    outputs.check_outputs(paths, results.input_files(args), args.force, models=("--output",))
    figure = None if args.plot is None else _figure(9.0, 6.0)
    begin = time.perf_counter()
    table = inputs.read(args, args.columns, args.dtype)
    read = time.perf_counter() - begin
    inputs.tell_of_doubts(args, table)
    taken = ("tol", "reg_covar", "max_iter", "n_init", "criterion", "prior", "progress")
    options = {name: getattr(args, name) for name in taken}
    options |= {
        "missing_values": results.missing_values(args),
        "init_params": args.init,
        "random_state": args.seed,
        "n_threads": args.threads,
    }
    begin = time.perf_counter()
    try:
        with on_compilation() as compilation:
            found = selection.select(
                table.data, args.components, args.covariances, sample_weight=table.sample_weight, **options
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt("nothing was written") from None
    compiled = compilation.seconds
    spent = {"compile": compiled, "select": time.perf_counter() - begin - compiled}
    model = found.best_model
    kept = None if table.names is None else tuple(table.names[j] for j in found.features)
    if args.output:
        _save(model, kept, args.output)
    if args.table:
        outputs.write_rows(args.table, selection.Row._fields, found.table)
    if figure is not None:
        found.plot(ax=figure)
        _write_figure(args.plot, figure)
    source = open_here(table.data, missing=args.missing)
    sizes = results.cluster_sizes(model, source, args.labels)
    best = found.ranking(1)[0]._asdict() | results.model_summary(model, kept) | {"cluster_sizes": sizes}
    summary = results.head("select", args) | {"n_samples": source.n_samples, "sample_weight": args.weights}
    summary |= {"init": args.init, "seed": args.seed} | _selection_summary(found)
    summary |= {"best": best, "seconds": {"read": read, **spent}, "files": files}
    results.show(args, summary, partial(report.select, text=str(found)))


def _selection_summary(found: selection.Selection) -> report.Summary:
    arrays = ("bic", "icl", "aic", "log_likelihood", "entropy", "n_parameters", "converged")
    reasons = [
        {"n_components": k, "covariance_type": name, "reason": text} for (k, name), text in found.reasons.items()
    ]
    ranking = [
        {
            "n_components": row.n_components,
            "covariance_type": row.covariance_type,
            "value": getattr(row, found.criterion),
        }
        for row in found.ranking()
    ]
    return {
        "criterion": found.criterion,
        "n_components": found.n_components,
        "covariance_types": found.covariance_types,
        **{name: getattr(found, name) for name in arrays},
        "reasons": reasons,
        "ranking": ranking,
    }


def classify(args: Namespace) -> None:
    """Learn classes from a table, and classify it or another one."""
    # a name clash otherwise: --model is written here, and read by the other commands
    files = {"--output": args.output, "--model": args.model}
    reads = [args.data, *([] if args.new is None else [args.new])]
    outputs.check_outputs(files, reads, args.force, models=["--model"])
    sizes = args.components
    if args.method == CLASSIFIERS[0] and sizes is not None:
        raise ValueError("--components is for --method mclustda: edda has one component for each class")
    begin = time.perf_counter()
    table, classes = inputs.read_with_classes(args)
    spent = {"read": time.perf_counter() - begin}
    model = fastgmm.GaussianMixtureClassifier(
        (1 if args.method == CLASSIFIERS[0] else range(1, 6)) if sizes is None else sizes,
        covariance_type=args.covariances,
        method=args.method,
        criterion=args.criterion,
        random_state=args.seed,
        n_threads=args.threads,
    )
    begin = time.perf_counter()
    with on_compilation() as compilation:
        model.fit(np.asarray(table.data), classes)
    spent |= {"compile": compilation.seconds, "fit": time.perf_counter() - begin - compilation.seconds}
    error = float((model.predict(table.data) != classes).mean())
    X = table.data if args.new is None else inputs.read(_of_new(args), args.columns, args.dtype).data
    labels = model.predict(X)
    if args.output:
        proba = model.predict_proba(X) if args.proba else np.empty((len(labels), 0))
        names = [f"p_{label}" for label in model.classes_] if args.proba else []
        rows = ([label, *row] for label, row in zip(labels.tolist(), proba.tolist(), strict=True))
        outputs.write_rows(args.output, ["class", *names], rows)
    if args.model:
        model.save(args.model)
    summary = results.head("classify", args) | {
        "new": args.new,
        "n_samples": len(classes),
        "n_features": table.n_features,
    }
    summary |= {"classes": model.classes_, "class_sizes": [int((classes == label).sum()) for label in model.classes_]}
    summary |= {"priors": model.priors_, "method": args.method, "criterion": args.criterion}
    summary["models"] = [
        {"n_components": len(one.weights_), "covariance_type": one.covariance_type} for one in model.mixtures_
    ]
    summary |= {"bic": model.bic_, "log_likelihood": model.log_likelihood_, "training_error": error}
    if not args.output:
        summary["labels"] = labels
    summary |= {"seconds": spent, "files": {"output": args.output, "model": args.model}}
    results.show(args, summary, report.classify)


def _of_new(args: Namespace) -> Namespace:
    """Return the arguments for reading --new, whose columns are those of DATA."""
    return Namespace(**vars(args) | {"data": args.new})


def warmup(args: Namespace) -> None:
    """Compile the kernels of a first fit, by fitting little data."""
    compiled = []
    begin = time.perf_counter()
    every = (*COVARIANCE_TYPES, *MCLUST_NAMES)
    for dtype in ("float64", "float32") if args.dtype == "all" else (args.dtype,):
        X = datasets.make_mixture(4 * SINGLE_LANE, 3, 2, random_state=0, dtype=dtype).X
        for covariance in every if args.covariance == "all" else (args.covariance,):
            started = time.perf_counter()
            for data in (X[:SINGLE_LANE], X):  # small data have kernels of their own
                model = GaussianMixture(n_components=2, covariance_type=covariance, random_state=0).fit(data)
                model.predict(data)
                model.predict_proba(data)
                model.score_samples(data)
            spent = time.perf_counter() - started
            compiled.append({"covariance_type": covariance, "dtype": dtype, "seconds": spent})
    summary = {"command": "warmup", "version": fastgmm.__version__, "compiled": compiled}
    results.show(args, summary | {"seconds": time.perf_counter() - begin}, report.warmup)

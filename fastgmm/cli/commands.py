"""The commands of the command line; their arguments are in ``cli``."""

from __future__ import annotations

import collections
import contextlib
import io
import math
import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastgmm
from fastgmm import datasets, selection
from fastgmm._atomic import replacing
from fastgmm._compat import optional
from fastgmm._jit import on_compilation
from fastgmm._limits import LIMITS
from fastgmm._names import CLASSIFIERS, COVARIANCE_TYPES, MCLUST_NAMES
from fastgmm.cli import inputs, outputs, report
from fastgmm.cli.inputs import Table
from fastgmm.data.open import open_here
from fastgmm.data.source import LocalSource
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
    spent = _fit(model, Table(iris.data, iris.feature_names, 4))
    labels = model.predict(iris.data)
    crossed = np.zeros((len(iris.target_names), 3), dtype=np.int64)
    np.add.at(crossed, (np.asarray(iris.target), labels), 1)
    summary: report.Summary = {"command": "demo", "version": fastgmm.__version__, "data": "iris (bundled)"}
    summary |= _fit_summary(model, Table(iris.data, iris.feature_names, 4), len(iris.data), np.bincount(labels))
    summary |= {
        "seconds": {"read": read, **spent},
        "files": {},
        "species": iris.target_names,
        "cross_table": crossed,
    }
    _show(args, summary, report.demo)


def fit(args: Namespace) -> None:
    """Fit a mixture to a file."""
    files = {"model": args.output, "labels": args.labels, "proba": args.proba, "plot": args.plot}
    if args.checkpoint_every is not None and args.checkpoint is None:
        raise ValueError("--checkpoint-every has a meaning with --checkpoint only; add --checkpoint FILE")
    if args.plot_features is not None and args.plot is None:
        raise ValueError("--plot-features has a meaning with --plot only; add --plot FILE")
    _check_bayesian(args)
    paths = {"--output": args.output, "--labels": args.labels, "--proba": args.proba, "--plot": args.plot}
    paths["--checkpoint"] = args.checkpoint
    outputs.check_outputs(
        paths, _inputs(args), args.force, models=("--output", "--checkpoint"), gone_on=("--checkpoint",)
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
        "missing_values": _missing_values(args),
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
        spent = _fit(model, table, progress=args.progress, checkpoint=args.checkpoint, checkpoint_every=every)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_how_to_go_on(args.checkpoint)) from None
    if args.output:
        _save(model, table.names, args.output)  # before anything else can fail: the fit may have taken hours
    source = open_here(table.data, missing=args.missing)
    sizes = _cluster_sizes(model, source, args.labels)
    if args.proba:
        _write_proba(args.proba, model, source)
    if args.plot:
        _write_plot(args.plot, model, table, features)
    summary = _head("fit", args) | _fit_summary(model, table, source.n_samples, sizes)
    summary |= {"sample_weight": args.weights, "seconds": {"read": read, **spent}, "files": files}
    _show(args, summary, report.fit)


def _missing_values(args: Namespace) -> str:
    return "marginalize" if args.missing else "raise"


def _check_bayesian(args: Namespace) -> None:
    """Raise ValueError for options that do not go with --bayesian, or without it."""
    for option, value in (("--weight-prior", args.weight_prior), ("--concentration", args.concentration)):
        if value is not None and not args.bayesian:
            raise ValueError(f"{option} has a meaning with --bayesian only; add --bayesian")
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


def _how_to_go_on(checkpoint: str | None) -> str:
    if checkpoint is None:
        return "nothing was written; with --checkpoint FILE the same command could resume"
    if os.path.exists(checkpoint):
        return f"the same command resumes from {checkpoint}"
    return "nothing was written, as the first iteration was not done"


def select(args: Namespace) -> None:
    """Choose the number of components and the covariance structure for a file."""
    files = {"model": args.output, "labels": args.labels, "plot": args.plot, "table": args.table}
    paths = {"--output": args.output, "--labels": args.labels, "--plot": args.plot, "--table": args.table}
    outputs.check_outputs(paths, _inputs(args), args.force, models=("--output",))
    figure = None if args.plot is None else _figure(9.0, 6.0)
    begin = time.perf_counter()
    table = inputs.read(args, args.columns, args.dtype)
    read = time.perf_counter() - begin
    inputs.tell_of_doubts(args, table)
    taken = ("tol", "reg_covar", "max_iter", "n_init", "criterion", "prior", "progress")
    options = {name: getattr(args, name) for name in taken}
    options |= {
        "missing_values": _missing_values(args),
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
    sizes = _cluster_sizes(model, source, args.labels)
    best = found.ranking(1)[0]._asdict() | _model_summary(model, kept) | {"cluster_sizes": sizes}
    summary = _head("select", args) | {"n_samples": source.n_samples, "sample_weight": args.weights}
    summary |= {"init": args.init, "seed": args.seed} | _selection_summary(found)
    summary |= {"best": best, "seconds": {"read": read, **spent}, "files": files}
    _show(args, summary, partial(report.select, text=str(found)))


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


def predict(args: Namespace) -> None:
    """Write the component of each sample, or the probability of each component."""
    output = None if args.output == "-" else args.output
    outputs.check_outputs({"--output": output}, [*_inputs(args), args.model], args.force)
    model, names = _load(args)
    source = open_here(_read_for(model, names, args).data, missing=args.missing)
    n, sizes = source.n_samples, np.zeros(len(model._columns()), np.int64)
    labels: Iterable[NDArray[Any]] = _labels(model, source, sizes)
    if args.json and not output:
        labels = list(labels)
    if args.proba and (output or not args.json):
        _write_proba(output, model, source)
    elif output or not args.json:
        outputs.write_table(output, ["label"], labels, (n,), np.dtype(np.int64))
    if args.json:
        collections.deque(labels, maxlen=0)  # consume the rest, to count
        summary = _head("predict", args) | {"n_samples": n, "cluster_sizes": sizes, "output": output}
        if not output and args.proba:
            summary |= {"probabilities": np.concatenate(list(_by_blocks(model, source, model.predict_proba)))}
        elif not output:
            summary |= {"labels": np.concatenate(list(labels))}
        print(report.to_json(summary))


def score(args: Namespace) -> None:
    """Report the log-likelihood of a table."""
    outputs.check_outputs({"--per-sample": args.per_sample}, [*_inputs(args), args.model], args.force)
    model, names = _load(args)
    table = _read_for(model, names, args)
    source = open_here(table.data, missing=args.missing)
    if args.per_sample:
        values = _by_blocks(model, source, model.score_samples)
        outputs.write_table(args.per_sample, ["log_likelihood"], values, (source.n_samples,), source.dtype)
    summary = _head("score", args) | {"n_samples": source.n_samples, "sample_weight": args.weights}
    summary |= {"per_sample": args.per_sample} | _criteria(model, table)
    _show(args, summary, report.score)


def merge(args: Namespace) -> None:
    """Merge components to clusters, and write the cluster of each sample."""
    outputs.check_outputs({"--output": args.output}, [*_inputs(args), args.model], args.force)
    model, names = _load(args)
    table = _read_for(model, names, args)
    found = fastgmm.merge(model, table.data, sample_weight=table.sample_weight)
    source = open_here(table.data)
    clusters = args.clusters if args.clusters is not None else found.elbow or len(found.entropies)
    groups = found.groups(clusters)
    noise = hasattr(model, "noise_")
    sizes = np.zeros(clusters + noise, np.int64)

    def labels() -> Iterator[NDArray[np.int64]]:
        for block in _by_blocks(model, source, partial(found.predict, n_clusters=clusters)):
            sizes[:] += np.bincount(np.where(block < 0, clusters, block), minlength=len(sizes))
            yield block

    if args.output:
        outputs.write_table(args.output, ["cluster"], labels(), (source.n_samples,), np.dtype(np.int64))
    else:
        collections.deque(labels(), maxlen=0)
    summary = _head("merge", args) | {"n_samples": source.n_samples, "sample_weight": args.weights}
    summary |= {"n_clusters": clusters, "elbow": found.elbow, "entropies": found.entropies, "merges": found.merges}
    summary |= {"groups": groups, "cluster_sizes": sizes, "output": args.output}
    _show(args, summary, partial(report.merge, text=str(found)))


def bootstrap(args: Namespace) -> None:
    """Report standard errors and intervals of the parameters."""
    model, names = _load(args)
    if not isinstance(model, GaussianMixture):
        raise ValueError(
            f"{args.model} holds a {type(model).__name__}: bootstrap takes a model of fit without --bayesian"
        )
    X = _read_for(model, names, args).data
    found = fastgmm.bootstrap(
        model,
        X,
        args.resamples,
        method=args.method,
        confidence_level=args.level,
        random_state=args.seed,
        progress=args.progress,
    )
    low, high = found.interval()
    summary = _head("bootstrap", args) | {"method": args.method, "seed": args.seed, "confidence_level": args.level}
    summary |= {"n_done": found.n_done, "n_failed": found.n_failed}
    summary |= {"standard_error": found.standard_error._asdict(), "bias": found.bias._asdict()}
    summary |= {"low": low._asdict(), "high": high._asdict()}
    _show(args, summary, lambda _: str(found))


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
    summary = _head("classify", args) | {"new": args.new, "n_samples": len(classes), "n_features": table.n_features}
    summary |= {"classes": model.classes_, "class_sizes": [int((classes == label).sum()) for label in model.classes_]}
    summary |= {"priors": model.priors_, "method": args.method, "criterion": args.criterion}
    summary["models"] = [
        {"n_components": len(one.weights_), "covariance_type": one.covariance_type} for one in model.mixtures_
    ]
    summary |= {"bic": model.bic_, "log_likelihood": model.log_likelihood_, "training_error": error}
    if not args.output:
        summary["labels"] = labels
    summary |= {"seconds": spent, "files": {"output": args.output, "model": args.model}}
    _show(args, summary, report.classify)


def _of_new(args: Namespace) -> Namespace:
    """Return the arguments for reading --new, whose columns are those of DATA."""
    return Namespace(**vars(args) | {"data": args.new})


def sample(args: Namespace) -> None:
    """Draw samples and write them."""
    output = None if args.output == "-" else args.output
    outputs.check_outputs({"--output": output}, [args.model], args.force)
    if args.with_labels and output and output.lower().endswith(".npy"):
        raise ValueError(f"--with-labels needs a .csv file, whose columns have types of their own; got {output}")
    model, names = _load(args)
    model.set_params(random_state=args.seed)
    data, labels = model.sample(args.samples)
    if output or not args.json:
        columns = list(names or (f"x{j}" for j in range(data.shape[1])))
        blocks: Iterable[NDArray[Any]] = [data]
        if args.with_labels:
            columns.append("label")
            # objects, so that the label is written as an integer
            pairs = zip(outputs.split(data), outputs.split(labels), strict=True)
            blocks = (np.column_stack([X.astype(object), y]) for X, y in pairs)
        outputs.write_table(output, columns, blocks, data.shape, data.dtype)
    if args.json:
        summary = _head("sample", args) | {
            "n_samples": len(data),
            "n_features": data.shape[1],
            "feature_names": names,
            "seed": args.seed,
            "output": output,
        }
        print(report.to_json(summary if output else summary | {"data": data, "labels": labels}))


def info(args: Namespace) -> None:
    """Show a saved model."""
    model, names = _load(args)
    params = {name: value for name, value in model.get_params().items() if not isinstance(value, np.ndarray)}
    summary = _head("info", args) | {"class": type(model).__name__} | _model_summary(model, names)
    summary |= {"lower_bound": model.lower_bound_, "params": params}
    _show(args, summary, report.info)


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
    _show(args, summary | {"seconds": time.perf_counter() - begin}, report.warmup)


# --- reading ---


def _inputs(args: Namespace) -> list[str]:
    """Return the files that a command reads, according to its arguments."""
    weights = getattr(args, "weights", None)
    of_weights = [weights] if weights is not None and inputs.is_weight_file(weights) else []
    return [args.data, *inputs.data_files(args.data), *of_weights]


def _load(args: Namespace) -> tuple[FittableMixture, tuple[str, ...] | None]:
    """Return the model without its feature names, and the names: arrays have none, and names are compared here."""
    model = fastgmm.load(args.model)
    if not isinstance(model, FittableMixture):
        raise ValueError(
            f"{args.model} holds a {type(model).__name__}, and this command takes a mixture: load it in Python with fastgmm.load"
        )
    if getattr(args, "threads", None) is not None:
        model.set_params(n_threads=args.threads)
    if not hasattr(model, "feature_names_in_"):
        return model, None
    names = tuple(map(str, model.feature_names_in_))
    del model.feature_names_in_
    return model, names


def _read_for(model: FittableMixture, expected: tuple[str, ...] | None, args: Namespace) -> Table:
    """Open the columns that `model` was fitted with. With missing values, if the model knows them or --missing is given."""
    args.missing = args.missing or model.missing_values != "raise"
    model.set_params(missing_values=_missing_values(args))
    columns = args.columns
    if expected and columns is None and args.drop is None:
        names = inputs.names_of(args)
        if names is not None:
            missing = [name for name in expected if name not in names]
            if missing:
                raise ValueError(
                    f"{args.data} has no column {', '.join(map(repr, missing[:8]))}, which {args.model} was fitted "
                    "with; name the columns alike, or take the names out of the file to go by position"
                )
            columns = expected
    # a float32 model gets float32 data, as in its fit
    single = args.dtype is None and model.means_.dtype == np.float32
    table = inputs.read(args, columns, np.float32 if single else args.dtype)
    names = table.names
    if expected and names and names != expected:
        raise ValueError(
            f"{args.data} gives the features {', '.join(names[:8])}, but {args.model} was fitted with "
            f"{', '.join(expected[:8])}; choose the same columns in the same order"
        )
    if table.n_features != model.n_features_in_ and model._left_out_of(table.n_features, None) is None:
        remedy = "choose that many with --columns"
        if table.numbered is not None and table.n_features == model.n_features_in_ + 1:
            remedy = f"{table.numbered.label} {table.numbered.why}: leave it out with --drop {table.numbered.option}"
        raise ValueError(
            f"{args.data} gives {table.n_features} features, but {args.model} was fitted with {model.n_features_in_}; {remedy}"
        )
    inputs.tell_of_doubts(args, table)
    return table


# --- fitting and its summary ---


def _fit(model: FittableMixture, table: Table, **options: Any) -> dict[str, float]:
    """Fit and return the seconds that compilation and the rest of it took."""
    begin = time.perf_counter()
    # standard output belongs to the report, all the more if it is JSON
    with contextlib.redirect_stdout(sys.stderr), on_compilation() as compilation:
        model.fit(table.data, sample_weight=table.sample_weight, **options)
    return {"compile": compilation.seconds, "fit": time.perf_counter() - begin - compilation.seconds}


def _head(command: str, args: Namespace) -> report.Summary:
    files = {name: getattr(args, name) for name in ("model", "data") if hasattr(args, name)}
    return {"command": command, "version": fastgmm.__version__, **files}


def _model_summary(model: FittableMixture, names: tuple[str, ...] | None) -> report.Summary:
    k, d = model.means_.shape
    noise = getattr(model, "noise_", None)
    return {
        "n_features": d,
        "feature_names": names,
        "n_components": k,
        "covariance_type": model.covariance_type,
        "dtype": model.means_.dtype.name,
        "converged": model.converged_,
        "n_iter": model.n_iter_,
        "n_passes": model.n_passes_,
        "weights": model.weights_,
        "means": model.means_,
        "standard_deviations": np.sqrt(model._params().variances),
        "covariances": model.covariances_,
        "noise": None if noise is None else {"weight": noise.weight, "volume": noise.volume},
    }


def _criteria(model: FittableMixture, table: Table) -> report.Summary:
    found = model._criteria(table.data, table.sample_weight)
    if isinstance(model, BayesianGaussianMixture):
        found = found._replace(bic=math.nan, aic=math.nan)
    return {
        "total_weight": found.total_weight,
        "log_likelihood": found.log_likelihood,
        "mean_log_likelihood": found.log_likelihood / found.total_weight,
        "bic": found.bic,
        "aic": found.aic,
    }


def _fit_summary(model: FittableMixture, table: Table, n_samples: int, sizes: NDArray[np.int64]) -> report.Summary:
    return {
        "n_samples": n_samples,
        **_model_summary(model, table.names),
        "init": model.init_params,
        "seed": model.random_state,
        "lower_bound": model.lower_bound_,
        **_criteria(model, table),
        "cluster_sizes": sizes,
    }


def _show(args: Namespace, summary: report.Summary, as_text: Callable[[report.Summary], str]) -> None:
    print(report.to_json(summary) if args.json else as_text(summary))


# --- writing ---


def _by_blocks(
    model: FittableMixture, source: LocalSource, of: Callable[[NDArray[Any]], NDArray[Any]]
) -> Iterator[NDArray[Any]]:
    """Yield ``of(X)`` for blocks of the samples, so that nothing as large as the data is ever held."""
    rows = max(1, LIMITS.numbers_predicted // max(len(model.weights_), source.n_features))
    with contextlib.closing(source.blocks(rows)) as blocks:
        for block in blocks:
            yield of(block.X)


def _labels(model: FittableMixture, source: LocalSource, sizes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the most probable components by blocks, and add the number of samples of each to `sizes`, those of noise last."""
    for labels in _by_blocks(model, source, model.predict):
        sizes += np.bincount(np.where(labels < 0, len(sizes) - 1, labels), minlength=len(sizes))
        yield labels


def _cluster_sizes(model: FittableMixture, source: LocalSource, path: str | None) -> NDArray[np.int64]:
    """Return the number of samples of each component, noise included and last; write their labels to `path`, if there is one."""
    sizes = np.zeros(len(model._columns()), np.int64)
    labels = _labels(model, source, sizes)
    if path:
        outputs.write_table(path, ["label"], labels, (source.n_samples,), np.dtype(np.int64))
    else:
        collections.deque(labels, maxlen=0)
    return sizes


def _write_proba(path: str | None, model: FittableMixture, source: LocalSource) -> None:
    columns = model._columns()
    blocks = _by_blocks(model, source, model.predict_proba)
    outputs.write_table(path, columns, blocks, (source.n_samples, len(columns)), source.dtype)

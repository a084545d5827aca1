"""Commands that apply a saved model: predict, score, merge, bootstrap, sample and info."""

from __future__ import annotations

import collections
from argparse import Namespace
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastgmm
from fastgmm.cli import inputs, outputs, report, results
from fastgmm.cli.inputs import Table
from fastgmm.data.open import open_here
from fastgmm.estimators.fittable import FittableMixture
from fastgmm.estimators.gaussian_mixture import GaussianMixture


def predict(args: Namespace) -> None:
    """Write the component of each sample, or the probability of each component."""
    output = None if args.output == "-" else args.output
    outputs.check_outputs({"--output": output}, [*results.input_files(args), args.model], args.force)
    model, names = _load(args)
    source = open_here(_read_for(model, names, args).data, missing=args.missing)
    n, sizes = source.n_samples, np.zeros(len(model._columns()), np.int64)
    labels: Iterable[NDArray[Any]] = results.labels_of(model, source, sizes)
    if args.json and not output:
        labels = list(labels)
    if args.proba and (output or not args.json):
        results.write_proba(output, model, source)
    elif output or not args.json:
        outputs.write_table(output, ["label"], labels, (n,), np.dtype(np.int64))
    if args.json:
        collections.deque(labels, maxlen=0)  # consume the rest, to count
        summary = results.head("predict", args) | {"n_samples": n, "cluster_sizes": sizes, "output": output}
        if not output and args.proba:
            summary |= {"probabilities": np.concatenate(list(results.by_blocks(model, source, model.predict_proba)))}
        elif not output:
            summary |= {"labels": np.concatenate(list(labels))}
        print(report.to_json(summary))


def score(args: Namespace) -> None:
    """Report the log-likelihood of a table."""
    outputs.check_outputs({"--per-sample": args.per_sample}, [*results.input_files(args), args.model], args.force)
    model, names = _load(args)
    table = _read_for(model, names, args)
    source = open_here(table.data, missing=args.missing)
    if args.per_sample:
        values = results.by_blocks(model, source, model.score_samples)
        outputs.write_table(args.per_sample, ["log_likelihood"], values, (source.n_samples,), source.dtype)
    summary = results.head("score", args) | {"n_samples": source.n_samples, "sample_weight": args.weights}
    summary |= {"per_sample": args.per_sample} | results.criteria(model, table)
    results.show(args, summary, report.score)


def merge(args: Namespace) -> None:
    """Merge components to clusters, and write the cluster of each sample."""
    outputs.check_outputs({"--output": args.output}, [*results.input_files(args), args.model], args.force)
    model, names = _load(args)
    table = _read_for(model, names, args)
    found = fastgmm.merge(model, table.data, sample_weight=table.sample_weight)
    source = open_here(table.data)
    clusters = args.clusters if args.clusters is not None else found.elbow or len(found.entropies)
    groups = found.groups(clusters)
    noise = hasattr(model, "noise_")
    sizes = np.zeros(clusters + noise, np.int64)

    def labels() -> Iterator[NDArray[np.int64]]:
        for block in results.by_blocks(model, source, partial(found.predict, n_clusters=clusters)):
            sizes[:] += np.bincount(np.where(block < 0, clusters, block), minlength=len(sizes))
            yield block

    if args.output:
        outputs.write_table(args.output, ["cluster"], labels(), (source.n_samples,), np.dtype(np.int64))
    else:
        collections.deque(labels(), maxlen=0)
    summary = results.head("merge", args) | {"n_samples": source.n_samples, "sample_weight": args.weights}
    summary |= {"n_clusters": clusters, "elbow": found.elbow, "entropies": found.entropies, "merges": found.merges}
    summary |= {"groups": groups, "cluster_sizes": sizes, "output": args.output}
    results.show(args, summary, partial(report.merge, text=str(found)))


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
    summary = results.head("bootstrap", args) | {
        "method": args.method,
        "seed": args.seed,
        "confidence_level": args.level,
    }
    summary |= {"n_done": found.n_done, "n_failed": found.n_failed}
    summary |= {"standard_error": found.standard_error._asdict(), "bias": found.bias._asdict()}
    summary |= {"low": low._asdict(), "high": high._asdict()}
    results.show(args, summary, lambda _: str(found))


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
        summary = results.head("sample", args) | {
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
    summary = results.head("info", args) | {"class": type(model).__name__} | results.model_summary(model, names)
    summary |= {"lower_bound": model.lower_bound_, "params": params}
    results.show(args, summary, report.info)


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
    model.set_params(missing_values=results.missing_values(args))
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

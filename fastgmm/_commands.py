"""What each command of the command line does; ``cli`` holds the arguments."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

import fastgmm
from fastgmm import _report, datasets
from fastgmm._atomic import replacing
from fastgmm.covariance.structures import STRUCTURES
from fastgmm.em.sweep import SINGLE_LANE
from fastgmm.estimators.gaussian_mixture import GaussianMixture
from fastgmm.sources.files import TableData, read_names, read_table

# values computed at a time, and values formatted as text at a time: Python objects of some hundred bytes each
_BLOCK = 1 << 20
_TEXT_BLOCK = 1 << 15


def demo(args: Namespace) -> None:
    """Fit the bundled iris table and cross its species with the clusters."""
    begin = time.perf_counter()
    iris = datasets.load_iris()
    read = time.perf_counter() - begin
    model = GaussianMixture(n_components=3, random_state=0)
    spent = _fit(model, iris.data)
    labels = model.predict(iris.data)
    crossed = np.zeros((len(iris.target_names), 3), dtype=np.int64)
    np.add.at(crossed, (np.asarray(iris.target), labels), 1)
    summary: _report.Summary = {"command": "demo", "version": fastgmm.__version__, "data": "iris (bundled)"}
    summary |= _fit_summary(model, TableData(iris.data, iris.feature_names), labels)
    summary |= {
        "seconds": {"read": read, "fit": spent},
        "files": {},
        "species": iris.target_names,
        "cross_table": crossed,
    }
    _show(args, summary, _report.demo)


def fit(args: Namespace) -> None:
    """Fit a mixture to a file."""
    files = {"model": args.output, "labels": args.labels, "proba": args.proba}
    outputs = {"--output": args.output, "--labels": args.labels, "--proba": args.proba}
    _check_outputs(outputs, [args.data], args.force, models=("--output",))
    begin = time.perf_counter()
    table = _read(args, args.columns, args.dtype)
    read = time.perf_counter() - begin
    model = GaussianMixture(
        n_components=args.components,
        covariance_type=args.covariance,
        tol=args.tol,
        reg_covar=args.reg_covar,
        max_iter=args.max_iter,
        n_init=args.n_init,
        init_params=args.init,
        random_state=args.seed,
        verbose=args.verbose,
        n_threads=args.threads,
    )
    spent = _fit(model, table.data)
    labels = model.predict(table.data)
    summary = _head("fit", args) | _fit_summary(model, table, labels)
    summary |= {"seconds": {"read": read, "fit": spent}, "files": files}
    if args.labels:
        _write_table(args.labels, ["label"], [labels], labels.shape, labels.dtype)
    if args.proba:
        _write_proba(args.proba, model, table.data)
    if args.output:
        if table.names is not None:
            # last, because a model with names expects them of every table that it is asked about
            model.feature_names_in_ = np.array(table.names, dtype=object)
        model.save(args.output)
    _show(args, summary, _report.fit)


def predict(args: Namespace) -> None:
    """Write the component of each sample, or the probability of each component."""
    output = None if args.output == "-" else args.output
    _check_outputs({"--output": output}, [args.data, args.model], args.force)
    model, names = _load(args)
    data = _read_for(model, names, args)
    labels = model.predict(data)
    if output or not args.json:
        if args.proba:
            _write_proba(output, model, data)
        else:
            _write_table(output, ["label"], [labels], labels.shape, labels.dtype)
    if args.json:
        summary = _head("predict", args) | {
            "n_samples": len(data),
            "cluster_sizes": np.bincount(labels, minlength=len(model.weights_)),
            "output": output,
        }
        if not output:
            summary |= {"probabilities": model.predict_proba(data)} if args.proba else {"labels": labels}
        print(_report.to_json(summary))


def score(args: Namespace) -> None:
    """Tell the log-likelihood of a table."""
    _check_outputs({"--per-sample": args.per_sample}, [args.data, args.model], args.force)
    model, names = _load(args)
    data = _read_for(model, names, args)
    if args.per_sample:
        values = model.score_samples(data)
        _write_table(args.per_sample, ["log_likelihood"], [values], values.shape, values.dtype)
    summary = _head("score", args) | {"n_samples": len(data), "per_sample": args.per_sample} | _criteria(model, data)
    _show(args, summary, _report.score)


def sample(args: Namespace) -> None:
    """Draw samples and write them."""
    output = None if args.output == "-" else args.output
    _check_outputs({"--output": output}, [args.model], args.force)
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
            # objects, so that the label is written as the integer it is
            blocks = (np.column_stack([X.astype(object), y]) for X, y in zip(_split(data), _split(labels), strict=True))
        _write_table(output, columns, blocks, data.shape, data.dtype)
    if args.json:
        summary = _head("sample", args) | {
            "n_samples": len(data),
            "n_features": data.shape[1],
            "feature_names": names,
            "seed": args.seed,
            "output": output,
        }
        print(_report.to_json(summary if output else summary | {"data": data, "labels": labels}))


def info(args: Namespace) -> None:
    """Show a saved model."""
    model, names = _load(args)
    params = {name: value for name, value in model.get_params().items() if not isinstance(value, np.ndarray)}
    summary = _head("info", args) | {"class": type(model).__name__} | _model_summary(model, names)
    summary |= {"lower_bound": model.lower_bound_, "params": params}
    _show(args, summary, _report.info)


def warmup(args: Namespace) -> None:
    """Compile what a first fit would compile, by fitting little data."""
    compiled = []
    begin = time.perf_counter()
    for dtype in ("float64", "float32") if args.dtype == "all" else (args.dtype,):
        X = datasets.make_mixture(4 * SINGLE_LANE, 3, 2, random_state=0, dtype=dtype).X
        for covariance in STRUCTURES if args.covariance == "all" else (args.covariance,):
            started = time.perf_counter()
            for data in (X[:SINGLE_LANE], X):  # little data have kernels of their own
                model = GaussianMixture(n_components=2, covariance_type=covariance, random_state=0).fit(data)
                model.predict(data)
                model.predict_proba(data)
                model.score_samples(data)
            spent = time.perf_counter() - started
            compiled.append({"covariance_type": covariance, "dtype": dtype, "seconds": spent})
    summary = {"command": "warmup", "version": fastgmm.__version__, "compiled": compiled}
    _show(args, summary | {"seconds": time.perf_counter() - begin}, _report.warmup)


# --- reading ---


def _read(args: Namespace, columns: Sequence[str] | None, dtype: Any) -> TableData:
    return read_table(
        args.data,
        columns=columns,
        drop=args.drop,
        header=args.header,
        key=args.key,
        delimiter=args.delimiter,
        dtype=dtype,
    )


def _load(args: Namespace) -> tuple[GaussianMixture, tuple[str, ...] | None]:
    """Return the model without its feature names, and these: arrays have none, and names are compared here."""
    model = fastgmm.load(args.model)
    if getattr(args, "threads", None) is not None:
        model.set_params(n_threads=args.threads)
    if not hasattr(model, "feature_names_in_"):
        return model, None
    names = tuple(map(str, model.feature_names_in_))
    del model.feature_names_in_
    return model, names


def _read_for(model: GaussianMixture, expected: tuple[str, ...] | None, args: Namespace) -> NDArray[Any]:
    """Read the columns that `model` was fitted with."""
    columns = args.columns
    if expected and columns is None and args.drop is None:
        names = read_names(args.data, header=args.header, key=args.key, delimiter=args.delimiter)
        if names is not None:
            missing = [name for name in expected if name not in names]
            if missing:
                raise ValueError(
                    f"{args.data} has no column {', '.join(map(repr, missing[:8]))}, which {args.model} was fitted "
                    "with; name the columns alike, or take the names out of the file to go by position"
                )
            columns = expected
    # a float32 model is asked about float32 data, as it was fitted with
    single = args.dtype is None and model.means_.dtype == np.float32
    data, names = _read(args, columns, np.float32 if single else args.dtype)
    if expected and names and names != expected:
        raise ValueError(
            f"{args.data} gives the features {', '.join(names[:8])}, but {args.model} was fitted with "
            f"{', '.join(expected[:8])}; choose the same columns in the same order"
        )
    if data.shape[1] != model.n_features_in_:
        raise ValueError(
            f"{args.data} gives {data.shape[1]} features, but {args.model} was fitted with {model.n_features_in_}; "
            "choose that many with --columns"
        )
    return data


# --- fitting and its summary ---


def _fit(model: GaussianMixture, data: NDArray[Any]) -> float:
    """Fit and return the seconds that it took."""
    begin = time.perf_counter()
    # standard output belongs to the report, all the more if it is JSON
    with contextlib.redirect_stdout(sys.stderr):
        model.fit(data)
    return time.perf_counter() - begin


def _head(command: str, args: Namespace) -> _report.Summary:
    files = {name: getattr(args, name) for name in ("model", "data") if hasattr(args, name)}
    return {"command": command, "version": fastgmm.__version__, **files}


def _model_summary(model: GaussianMixture, names: tuple[str, ...] | None) -> _report.Summary:
    k, d = model.means_.shape
    covariances = model.covariances_
    if model.covariance_type == "full":
        variances = np.diagonal(covariances, axis1=1, axis2=2)
    elif model.covariance_type == "tied":
        variances = np.broadcast_to(np.diagonal(covariances), (k, d))
    elif model.covariance_type == "spherical":
        variances = np.broadcast_to(covariances[:, np.newaxis], (k, d))
    else:
        variances = covariances
    return {
        "n_features": d,
        "feature_names": names,
        "n_components": k,
        "covariance_type": model.covariance_type,
        "dtype": model.means_.dtype.name,
        "converged": model.converged_,
        "n_iter": model.n_iter_,
        "weights": model.weights_,
        "means": model.means_,
        "standard_deviations": np.sqrt(variances),
        "covariances": covariances,
    }


def _criteria(model: GaussianMixture, data: NDArray[Any]) -> _report.Summary:
    mean = float(model.score(data))
    return {
        "log_likelihood": mean * len(data),
        "mean_log_likelihood": mean,
        "bic": float(model.bic(data)),
        "aic": float(model.aic(data)),
    }


def _fit_summary(model: GaussianMixture, table: TableData, labels: NDArray[np.int64]) -> _report.Summary:
    return {
        "n_samples": len(table.data),
        **_model_summary(model, table.names),
        "init": model.init_params,
        "seed": model.random_state,
        **_criteria(model, table.data),
        "cluster_sizes": np.bincount(labels, minlength=len(model.weights_)),
    }


def _show(args: Namespace, summary: _report.Summary, as_text: Callable[[_report.Summary], str]) -> None:
    print(_report.to_json(summary) if args.json else as_text(summary))


# --- writing ---


def _check_outputs(
    outputs: dict[str, str | None], inputs: Sequence[str], force: bool, *, models: Sequence[str] = ()
) -> None:
    """Refuse what could not be written, before any work is done."""
    taken = {os.path.realpath(path): path for path in inputs}
    for option, path in outputs.items():
        if path is None:
            continue
        if path in ("", "-"):
            raise ValueError(f"{option} is {path!r}; it must be the name of a file")
        if option not in models and os.path.splitext(path)[1].lower() not in (".csv", ".npy"):
            raise ValueError(f"{path} is to be written, but its extension must be .csv or .npy")
        real = os.path.realpath(path)
        if real in taken:
            raise ValueError(f"{path} is to be written, but it is also {taken[real]!r} of this command; choose another")
        if os.path.isdir(real):
            raise ValueError(f"{path} is a directory, not a file to write")
        if os.path.isfile(real) and not force:
            raise ValueError(f"{path} exists; add --force to replace it")
        directory = os.path.dirname(real)
        if not os.path.isdir(directory):
            raise ValueError(f"{path} cannot be written, because {directory} is no directory; make it first")
        if not os.access(directory, os.W_OK):
            raise ValueError(f"{path} cannot be written, because the directory {directory} is read-only for you")
        taken[real] = path


def _split(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    rows = max(1, _TEXT_BLOCK // max(1, array[:1].size))
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def _write_proba(path: str | None, model: GaussianMixture, data: NDArray[Any]) -> None:
    """Compute and write probabilities by blocks: n x k numbers are never held."""
    k = len(model.weights_)
    rows = max(1, _BLOCK // max(k, data.shape[1]))
    blocks = (model.predict_proba(data[start : start + rows]) for start in range(0, len(data), rows))
    dtype = model.predict_proba(data[:1]).dtype
    _write_table(path, [f"p{c}" for c in range(k)], blocks, (len(data), k), dtype)


def _write_table(
    path: str | None,
    names: Sequence[str],
    blocks: Iterable[NDArray[Any]],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> None:
    """Write blocks of rows as .npy or .csv, or as text to standard output where `path` is None."""
    if path is None:
        for text in _csv(names, blocks, dtype):
            sys.stdout.write(text)
        return
    with replacing(path) as file:
        if path.lower().endswith(".npy"):
            descr = npy_format.dtype_to_descr(dtype)
            npy_format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
            for block in blocks:
                file.write(np.ascontiguousarray(block, dtype=dtype).data)
        else:
            for text in _csv(names, blocks, dtype):
                file.write(text.encode())


def _csv(names: Sequence[str], blocks: Iterable[NDArray[Any]], dtype: np.dtype[Any]) -> Iterator[str]:
    """Yield CSV text in which every number is read back as it was."""
    head = io.StringIO()
    csv.writer(head, lineterminator="\n").writerow(names)
    yield head.getvalue()

    def write(value: Any) -> str:
        # nine digits are enough for float32, which as a Python float has seventeen
        return f"{value:.9g}" if single and isinstance(value, float) else repr(value)

    single = dtype == np.float32
    for whole in blocks:
        for block in _split(whole):
            rows = block.reshape(len(block), -1).tolist()
            yield "".join(f"{','.join(map(write, row))}\n" for row in rows)

"""Results of the commands: summaries of a fit and of its criteria, and labels and probabilities written block by block."""

from __future__ import annotations

import collections
import contextlib
import math
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastgmm
from fastgmm._jit import on_compilation
from fastgmm._limits import LIMITS
from fastgmm.cli import inputs, outputs, report
from fastgmm.cli.inputs import Table
from fastgmm.data.source import LocalSource
from fastgmm.estimators.bayesian_gaussian_mixture import BayesianGaussianMixture
from fastgmm.estimators.fittable import FittableMixture


def input_files(args: Namespace) -> list[str]:
    """Return the files that a command reads, according to its arguments."""
    weights = getattr(args, "weights", None)
    of_weights = [weights] if weights is not None and inputs.is_weight_file(weights) else []
    return [args.data, *inputs.data_files(args.data), *of_weights]


def timed_fit(model: FittableMixture, table: Table, **options: Any) -> dict[str, float]:
    """Fit and return the seconds that compilation and the rest of it took."""
    begin = time.perf_counter()
    # standard output belongs to the report, all the more if it is JSON
    with contextlib.redirect_stdout(sys.stderr), on_compilation() as compilation:
        model.fit(table.data, sample_weight=table.sample_weight, **options)
    return {"compile": compilation.seconds, "fit": time.perf_counter() - begin - compilation.seconds}


def head(command: str, args: Namespace) -> report.Summary:
    files = {name: getattr(args, name) for name in ("model", "data") if hasattr(args, name)}
    return {"command": command, "version": fastgmm.__version__, **files}


def model_summary(model: FittableMixture, names: tuple[str, ...] | None) -> report.Summary:
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


def criteria(model: FittableMixture, table: Table) -> report.Summary:
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


def fit_summary(model: FittableMixture, table: Table, n_samples: int, sizes: NDArray[np.int64]) -> report.Summary:
    return {
        "n_samples": n_samples,
        **model_summary(model, table.names),
        "init": model.init_params,
        "seed": model.random_state,
        "lower_bound": model.lower_bound_,
        **criteria(model, table),
        "cluster_sizes": sizes,
    }


def show(args: Namespace, summary: report.Summary, as_text: Callable[[report.Summary], str]) -> None:
    print(report.to_json(summary) if args.json else as_text(summary))


def by_blocks(
    model: FittableMixture, source: LocalSource, of: Callable[[NDArray[Any]], NDArray[Any]]
) -> Iterator[NDArray[Any]]:
    """Yield ``of(X)`` for blocks of the samples, so that nothing as large as the data is ever held."""
    rows = max(1, LIMITS.numbers_predicted // max(len(model.weights_), source.n_features))
    with contextlib.closing(source.blocks(rows)) as blocks:
        for block in blocks:
            yield of(block.X)


def labels_of(model: FittableMixture, source: LocalSource, sizes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the most probable components by blocks, and add the number of samples of each to `sizes`, those of noise last."""
    for labels in by_blocks(model, source, model.predict):
        sizes += np.bincount(np.where(labels < 0, len(sizes) - 1, labels), minlength=len(sizes))
        yield labels


def cluster_sizes(model: FittableMixture, source: LocalSource, path: str | None) -> NDArray[np.int64]:
    """Return the number of samples of each component, noise included and last; write their labels to `path`, if there is one."""
    sizes = np.zeros(len(model._columns()), np.int64)
    labels = labels_of(model, source, sizes)
    if path:
        outputs.write_table(path, ["label"], labels, (source.n_samples,), np.dtype(np.int64))
    else:
        collections.deque(labels, maxlen=0)
    return sizes


def write_proba(path: str | None, model: FittableMixture, source: LocalSource) -> None:
    columns = model._columns()
    blocks = by_blocks(model, source, model.predict_proba)
    outputs.write_table(path, columns, blocks, (source.n_samples, len(columns)), source.dtype)


def missing_values(args: Namespace) -> str:
    return "marginalize" if args.missing else "raise"

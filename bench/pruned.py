"""Pruned sweeps against dense ones: ``python -m bench.pruned``.

For each data set EM goes through the same iterations from the labels of k-means. `dense` and `pruned` are milliseconds of a sweep:
the median, and that of the last three iterations. `whole` is the ratio of all sweeps, with the ordering and the first sweep, which
evaluates all pairs. `evaluated` are the shares of the pairs of 64 samples and a component that were evaluated in the second and in
the last iteration. `error` is the largest relative difference of likelihood, counts and scatter.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import environment, table
from bench.cases import BY_NAME
from fastgmm.data.source import ArraySource
from fastgmm.datasets import make_mixture
from fastgmm.em.pruned import PrunedSweeps
from fastgmm.em.step import MaximumLikelihood
from fastgmm.em.sweep import sweep
from fastgmm.init.groups import members, stats_of
from fastgmm.init.kmeans import kmeans
from fastgmm.model.stats import Stats
from fastgmm.model.structures import STRUCTURES


class Case(NamedTuple):
    """Data, the number of components, and the structure of a fit."""

    X: Callable[[], NDArray]
    k: int
    covariance_type: str = "full"
    reg_covar: float = 1e-6


def _mixture(n: int, separation: float) -> Callable[[], NDArray]:
    return lambda: make_mixture(n, 16, 512, separation=separation, random_state=2024).X


def _of_bench(name: str) -> Case:
    case = BY_NAME[name]
    return Case(lambda: case.problem(quick=False).X, case.k, case.covariance_type)


CASES = {
    "I: 1e5 x 16, k = 512, separation 100": Case(_mixture(100_000, 100.0), 512),
    "the same, separation 20": Case(_mixture(100_000, 20.0), 512),
    "the same, separation 16": Case(_mixture(100_000, 16.0), 512),
    "B": _of_bench("B"),
    "E": _of_bench("E"),
    "F": _of_bench("F"),
}


def _timed(function: Callable[[], Stats]) -> tuple[Stats, float]:
    begin = time.perf_counter()
    result = function()
    return result, time.perf_counter() - begin


def row(case: Case, n_iter: int) -> list[str]:
    """Return what is printed of a case."""
    X = np.ascontiguousarray(case.X(), np.float64)
    source, step = ArraySource(X), MaximumLikelihood(STRUCTURES[case.covariance_type], case.reg_covar)
    labels = kmeans(source, case.k, np.random.RandomState(0), max_iter=20, with_inertia=False).labels
    groups = stats_of(source, step.structure.layout, case.k, members(labels, case.k), None)
    params = step.maximise(groups)
    PrunedSweeps(source, params, None).sweep(params)  # compiles
    sweep(source, params)
    begin = time.perf_counter()
    sweeps = PrunedSweeps(source, params, None)
    ordering = time.perf_counter() - begin
    dense, pruned, shares, error = [], [], [], 0.0
    for _ in range(n_iter):
        one, seconds = _timed(lambda params=params: sweep(source, params))  # type: ignore[misc]
        dense.append(seconds)
        sweeps.evaluated = float("nan")
        other, seconds = _timed(lambda params=params: sweeps.sweep(params))  # type: ignore[misc]
        pruned.append(seconds)
        shares.append(sweeps.evaluated)
        for name in ("log_likelihood", "counts", "scatter"):
            a, b = getattr(one, name), getattr(other, name)
            error = max(error, float(np.abs(a - b).max() / np.abs(a).max()))
        params = step.maximise(one, params)
    usual = float(np.median(dense))
    whole = sum(dense) / (sum(pruned) + ordering)
    late = float(np.median(pruned[-3:]))
    times = [f"{1e3 * usual:.0f}", f"{1e3 * late:.0f}", f"{usual / late:.1f}", f"{whole:.2f}"]
    return [*times, f"{shares[1]:.3f}", "dense" if np.isnan(shares[-1]) else f"{shares[-1]:.3f}", f"{error:.0e}"]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument(
        "--speech", metavar="FILE", help="a .npy file of features, fitted with diag, k = 256 and 1024, as well"
    )
    args = parser.parse_args(arguments)
    environment.require()
    found = dict(CASES)
    if args.speech:
        loaded = np.load(args.speech)
        for k in (256, 1024):
            found[f"{args.speech}, k = {k}, diag"] = Case(lambda: loaded, k, "diag", 1e-3)
    header = ["data", "dense", "pruned", "ratio", "whole", "evaluated", "in the end", "error"]
    lines = [[name, *row(case, args.iterations)] for name, case in found.items()]
    print("\n".join(table.lines(header, lines)))


if __name__ == "__main__":
    main()

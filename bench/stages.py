"""Where the time of a dense sweep goes, by counting: ``python -m bench.stages``.

One thread sweeps a few tiles that stay in its cache, again and again, with one more stage from row to row: loading, densities,
exponentials, statistics. Differences are the stages' own times, in nanoseconds a sample and component. Beside them are the times
that a stage's useful operations would take at the rate of a product of matrices (dgemm) of 1024 x 1024 on one thread in the same
process: d (d + 1) for densities and as many for statistics of full covariances, 3 d and 5 d for spherical ones, 4 d and 5 d for
diagonal ones. What exponentials, the loop around them and responsibilities take is all beyond that.
"""

from __future__ import annotations

import argparse
import time
from statistics import median
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from bench import environment, table
from bench.cases import CASES, Case
from fastgmm._jit import ELEMENTWISE, helper
from fastgmm.data.source import ArraySource
from fastgmm.em.sweep import accumulators
from fastgmm.kernels.sweep import tile_accumulate, tile_density
from fastgmm.kernels.tile import exponentials_tile, load_tile, new_scratch
from fastgmm.model.checks import check_parameters
from fastgmm.model.layouts import layout_named

STAGES = ("loading", "densities", "exponentials", "statistics")


@helper(ELEMENTWISE)
def _staged(samples, parameters, out, n_stages, times):  # type: ignore[no-untyped-def]
    """Do the first `n_stages` stages of a sweep over all tiles, `times` times."""
    work = new_scratch(parameters)
    width = len(work.top)
    for _ in range(times):
        for first in range(0, samples.n_samples, width):
            m = min(width, samples.n_samples - first)
            load_tile(samples, first, m, work.x)
            if n_stages > 1:
                tile_density(parameters, work, m)
            if n_stages > 2:
                out.log_likelihood[0] += exponentials_tile(work.resp, work.top, work.total, m)
            if n_stages > 3:
                tile_accumulate(parameters, work, m, 0, out)


def flops(case: Case) -> tuple[int, int]:
    """Return the useful operations of densities and of statistics for a sample and a component."""
    d = case.d
    return {"full": (d * (d + 1),) * 2, "diag": (4 * d, 5 * d), "spherical": (3 * d, 5 * d)}[case.covariance_type]


def rate() -> float:
    """Return the operations of dgemm in a nanosecond, on one thread."""
    A = np.random.default_rng(0).normal(size=(1024, 1024))
    with threadpool_limits(1):
        spent = []
        for _ in range(7):
            begin = time.perf_counter()
            A @ A
            spent.append(time.perf_counter() - begin)
    return 2 * 1024**3 / median(spent) / 1e9


def measure(case: Case, rounds: int, n_samples: int) -> list[float]:
    """Return the nanoseconds of the stages for a sample and a component, each beyond those before it."""
    problem = case.problem(False)
    X = np.ascontiguousarray(problem.X[: n_samples // 256 * 256])
    layout = layout_named(case.covariance_type)
    params = check_parameters(problem.weights, problem.means, problem.covariances, layout)
    packed = params.packed(X.dtype)
    source = ArraySource(X)
    _, out = accumulators(source, layout, case.k)
    times = max(1, int(2e8 / (len(X) * case.k * sum(flops(case)))))
    spent: list[list[float]] = [[] for _ in STAGES]
    arguments: tuple[Any, ...] = (source.samples, packed, out)
    _staged(*arguments, 4, 1)
    for _ in range(rounds):
        for stage in range(len(STAGES)):
            begin = time.perf_counter()
            _staged(*arguments, stage + 1, times)
            spent[stage].append(time.perf_counter() - begin)
    totals = [1e9 * median(each) / (times * len(X) * case.k) for each in spent]
    return list(np.diff([0.0, *totals]))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=["A", "B", "C", "F"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--samples", type=int, default=4096)
    args = parser.parse_args(arguments)
    environment.require()
    speed, rows = rate(), []
    for case in CASES:
        if case.name not in args.cases:
            continue
        found = measure(case, args.rounds, args.samples)
        ideal = [count / speed for count in flops(case)]
        share = sum(ideal) / sum(found)
        numbers = [f"{value:.2f}" for value in (*found, sum(found), *ideal)]
        rows.append([case.label, *numbers, f"{share:.0%}"])
    print(f"dgemm: {speed:.1f} GFLOP/s on one thread\n")
    heading = ["case", *STAGES, "all, ns", "densities at dgemm", "statistics at dgemm", "of dgemm"]
    print("\n".join(table.lines(heading, rows)))


if __name__ == "__main__":
    main()

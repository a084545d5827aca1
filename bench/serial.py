"""The serial part of an iteration, and what it means for many cores: ``python -m bench.serial``.

For each case the milliseconds of an iteration that one thread does alone, whatever the number of threads: packing the parameters,
making and merging the lanes' accumulators, and the M-step. Beside them the kernel's time on one thread, and by Amdahl's law the
most that 16 and 64 cores could gain. A sweep has at most 64 lanes, so that no more than 64 threads have work.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from bench import environment, table
from bench.cases import CASES, Case
from bench.sides import REG_COVAR
from fastgmm import _threads
from fastgmm.data.source import ArraySource
from fastgmm.em.step import MaximumLikelihood
from fastgmm.em.sweep import accumulators, collect, far_apart, pooled, total
from fastgmm.kernels import sweep as kernels
from fastgmm.model.checks import check_parameters
from fastgmm.model.layouts import layout_named
from fastgmm.model.structures import STRUCTURES


def timed(function: Callable[[], object], rounds: int) -> float:
    """Return the median milliseconds of a call."""
    spent = []
    for _ in range(rounds):
        begin = time.perf_counter()
        function()
        spent.append(time.perf_counter() - begin)
    return 1e3 * median(spent)


def measure(case: Case, quick: bool, rounds: int) -> dict[str, float]:
    """Return the milliseconds of the parts of an iteration."""
    problem = case.problem(quick)
    source, layout = ArraySource(problem.X), layout_named(case.covariance_type)
    params = check_parameters(problem.weights, problem.means, problem.covariances, layout)
    step = MaximumLikelihood(STRUCTURES[case.covariance_type], REG_COVAR)
    k, d = params.means.shape
    packed = params.packed(source.dtype)
    origin = packed.means[:, :d].astype(np.float64)
    plan, out = accumulators(source, layout, k)
    given, unweighted = np.empty((0, k), source.dtype), np.empty(0, source.dtype)

    def sweep() -> None:
        # all lanes, block by block, as one thread does them
        for part in out:
            part[:] = 0.0
        with _threads.threads(1) as ready:
            for start in range(0, case.n if not quick else case.quick_n, plan.rows):
                samples = ArraySource(problem.X[start : start + plan.rows]).samples
                n = plan.of(samples.n_samples)
                ready(kernels.sweep)(samples, plan.width, n, packed, given, unweighted, out)

    sweep()
    stats = collect(source, layout, plan, out, origin)
    stats = pooled(stats, total(source, None)) if layout.pools else stats
    parts: dict[str, Callable[[], object]] = {
        "packing": lambda: (far_apart(source, params, None), params.packed(source.dtype)),
        "accumulators": lambda: accumulators(source, layout, k),
        "merging": lambda: collect(source, layout, plan, out, origin),
        "M-step": lambda: step.maximise(stats, params),
    }
    found = {name: timed(part, rounds) for name, part in parts.items()}
    return found | {"sweep": timed(sweep, max(3, rounds // 5)), "lanes": plan.n_lanes}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny data, which say nothing about the real ones")
    parser.add_argument("--rounds", type=int, default=25)
    args = parser.parse_args(arguments)
    if not args.quick:
        environment.require()
    rows = []
    for case in CASES:
        if case.name in "HI":  # a single lane; and a case that differs from others only in what it skips
            continue
        found = measure(case, args.quick, args.rounds)
        serial = sum(found[name] for name in ("packing", "accumulators", "merging", "M-step"))
        gains = [
            (serial + found["sweep"]) / (serial + found["sweep"] / min(cores, found["lanes"])) for cores in (16, 64)
        ]
        numbers = [f"{found[name]:.3f}" for name in ("packing", "accumulators", "merging", "M-step", "sweep")]
        rows.append([case.label, *numbers, f"{serial / found['sweep']:.2%}", *(f"{gain:.1f}" for gain in gains)])
    heading = [
        "case",
        "packing",
        "accumulators",
        "merging",
        "M-step",
        "sweep, 1 thread",
        "serial",
        "x 16 cores",
        "x 64",
    ]
    print("\n".join(table.lines(heading, rows)))


if __name__ == "__main__":
    main()

"""Passes over the data that accelerated EM takes: ``python -m bench.passes``.

For each data set EM and its accelerations begin from the same k-means start and run to the same tolerance. `passes` are those of
the whole fit. `same` are those after which an acceleration had the likelihood at which EM ended ("-" if it ended a little below).
`end` is how much higher its last mean log-likelihood is than EM's, and `time` its time over EM's. Small data run without the
compiled loop on all sides, so that a pass costs the same everywhere.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import environment, table
from fastgmm import GaussianMixture
from fastgmm.data.source import ArraySource
from fastgmm.datasets import load_faithful, make_mixture
from fastgmm.em.accelerate import ACCELERATORS
from fastgmm.em.loop import run
from fastgmm.em.result import FitResult
from fastgmm.em.step import MaximumLikelihood
from fastgmm.em.stop import Stop
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats
from fastgmm.model.structures import STRUCTURES


class Case(NamedTuple):
    """Data, the number of components, and the structure of a fit."""

    X: Callable[[], NDArray]
    k: int
    covariance_type: str = "full"


def _mixture(n: int, d: int, k: int, separation: float) -> Callable[[], NDArray]:
    return lambda: make_mixture(n, d, k, separation=separation, random_state=0).X


CASES = {
    "faithful, k = 3": Case(lambda: load_faithful().data, 3),
    "4000 x 2, k = 5, separation 1.5": Case(_mixture(4000, 2, 5, 1.5), 5),
    "4000 x 3, k = 8, separation 1.5": Case(_mixture(4000, 3, 8, 1.5), 8),
    "the same, diag": Case(_mixture(4000, 3, 8, 1.5), 8, "diag"),
    "20 000 x 4, k = 6, separation 2": Case(_mixture(20_000, 4, 6, 2.0), 6),
    "4000 x 4, k = 5, separation 4": Case(_mixture(4000, 4, 5, 4.0), 5),
    "3000 x 4, k = 5, separation 12": Case(_mixture(3000, 4, 5, 12.0), 5),
}


class Watched(MaximumLikelihood):
    """Maximum likelihood that keeps the bounds of all sweeps, those of rejected proposals included."""

    def watch(self, bounds: list[float]) -> Watched:
        """Append bounds to a list from now on."""
        object.__setattr__(self, "bounds", bounds)
        return self

    def bound(self, stats: Stats, params: Params, total_weight: float) -> float:
        """Return the mean log-likelihood."""
        value = super().bound(stats, params, total_weight)
        self.bounds.append(value)  # type: ignore[attr-defined]
        return value


def measure(
    case: Case, X: NDArray, first: Params, tol: float, name: str | None
) -> tuple[FitResult, list[float], float]:
    """Run EM, or one of its accelerations; return the result, the bounds of all passes and the seconds."""
    bounds: list[float] = []
    step = Watched(STRUCTURES[case.covariance_type], 1e-6).watch(bounds)
    accelerator = None if name is None else ACCELERATORS[name]()
    begin = time.perf_counter()
    result = run(ArraySource(X), first, step, Stop(tol, 50_000), compiled_loop=False, accelerator=accelerator)
    return result, bounds, time.perf_counter() - begin


def rows(case: Case, X: NDArray, tol: float) -> list[list[str]]:
    """Return a row for EM and one for each acceleration."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = GaussianMixture(case.k, covariance_type=case.covariance_type, random_state=0, max_iter=0).fit(X)
    first = start._params(drawn=True)
    plain, bounds, seconds = measure(case, X, first, tol, None)
    found = [["EM", str(len(bounds)), "", "", ""]]
    for name in ("over-relaxation", "squarem"):
        quick, reached, spent = measure(case, X, first, tol, name)
        there = np.flatnonzero(np.array(reached) >= plain.lower_bound)
        same = str(int(there[0]) + 1) if len(there) else "-"
        end = f"{quick.lower_bound - plain.lower_bound:+.0e}"
        found.append([name, str(len(reached)), same, end, f"{spent / seconds:.2f}"])
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tol", type=float, default=1e-7)
    parser.add_argument("--speech", metavar="FILE", help="a .npy file of features, fitted with diag and k = 32 as well")
    args = parser.parse_args(arguments)
    environment.require()
    found: dict[str, Case] = dict(CASES)
    if args.speech:
        loaded: Any = np.load(args.speech)
        found[f"{args.speech}, k = 32, diag"] = Case(lambda: loaded, 32, "diag")
    lines = []
    for name, case in found.items():
        lines += [[name, *row] for row in rows(case, case.X(), args.tol)]
    print("\n".join(table.lines(["data", "", "passes", "same", "end", "time"], lines)))


if __name__ == "__main__":
    main()

"""What restarts cost: ``python -m bench.restarts``.

Ten starts in one fit (`n_init=10`) against ten fits of one start each, from the same draws, alternated, for several data
sets, at the default `tol` and at a small one. Ratios are taken within a round, and of those the median over seeds;
`iterations` is the share of the EM iterations of the ten fits that the one fit did. It also counts how often the one
fit ended more than `tol` below the best of the ten.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from typing import Any
from unittest.mock import patch

import numpy as np

from bench import environment
from fastgmm import GaussianMixture
from fastgmm.datasets import load_faithful, load_iris, make_mixture
from fastgmm.em.callbacks import Callback
from fastgmm.em.result import FitResult
from fastgmm.estimators import gaussian_mixture


def cases(n_samples: int) -> dict[str, tuple[Any, int]]:
    """Data and the number of components to fit."""
    found: dict[str, tuple[Any, int]] = {"iris": (load_iris().data, 3), "faithful": (load_faithful().data, 3)}
    for name, separation, k in (("apart", 8.0, 6), ("overlapping", 2.5, 6), ("too many", 2.5, 12)):
        found[name] = (make_mixture(n_samples, 5, 6, separation=separation, random_state=0).X, k)
    return found


class Counting(Callback):
    """Counts the EM iterations of all starts."""

    n_iter = 0

    def end(self, result: FitResult) -> None:
        self.n_iter += result.n_iter


def run(X: Any, k: int, n_starts: int, random_state: Any, arguments: dict[str, Any]) -> tuple[float, int, float]:
    """Seconds, EM iterations of all starts, and the lower bound of a fit."""
    counting = Counting()
    with patch.object(gaussian_mixture, "Lines", lambda *_: counting):  # in place of what verbose=1 prints
        model = GaussianMixture(k, n_init=n_starts, random_state=random_state, verbose=1, **arguments)
        begun = time.perf_counter()
        model.fit(X)
        return time.perf_counter() - begun, counting.n_iter, model.lower_bound_


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20_000, help="of the mixtures")
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=7)
    parser.add_argument("--init", nargs="+", default=["kmeans", "random_from_data"])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    n_starts = options.starts
    print(
        f"{n_starts} starts       init                  tol  x one fit  of {n_starts} fits  iterations  other winners"
    )
    for name, (X, k) in cases(options.samples).items():
        for init in options.init:
            for tol, max_iter in ((1e-3, 100), (1e-5, 300)):
                arguments = {"init_params": init, "tol": tol, "max_iter": max_iter}
                run(X, k, 2, 0, arguments)  # compiled, in the cache
                rows, others = [], 0
                for seed in range(options.seeds):
                    together = run(X, k, n_starts, seed, arguments)
                    draws = np.random.RandomState(seed)
                    each = np.array([run(X, k, 1, draws, arguments) for _ in range(n_starts)])
                    seconds, n_iter, best = each[:, 0], each[:, 1].sum(), each[:, 2].max()
                    rows.append((together[0] / seconds.mean(), together[0] / seconds.sum(), together[1] / n_iter))
                    others += together[2] < best - tol
                times, share, iterations = np.median(rows, axis=0)
                print(
                    f"{name:14s}  {init:16s} {tol:8.0e} {times:10.2f} {100 * share:8.0f} % {100 * iterations:9.0f} % "
                    f"{others:8d} of {options.seeds}",
                    flush=True,
                )


if __name__ == "__main__":
    sys.exit(environment.command(main))

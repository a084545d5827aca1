"""Time of a bootstrap against as many single fits from the same parameters: ``python -m bench.bootstrap``.

Both sides in turn, medians of the rounds. Single fits are `em.loop.run` from the fitted parameters with the bootstrap's own rule:
until the log-likelihood of all samples changes by less than 1e-4.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

import fastgmm
from fastgmm.datasets import make_mixture
from fastgmm.em.linearised import weighted_source
from fastgmm.em.loop import run
from fastgmm.em.step import MaximumLikelihood
from fastgmm.em.stop import Stop
from fastgmm.model.structures import STRUCTURES


def compare(n: int, d: int, k: int, separation: float, covariance_type: str, resamples: int, rounds: int) -> str:
    """Return a row: seconds of a replicate, of a single fit, their ratio, and iterations of a fit."""
    X = make_mixture(n, d, k, random_state=0, separation=separation).X
    model = fastgmm.GaussianMixture(k, covariance_type=covariance_type, random_state=0, tol=1e-7, max_iter=2000).fit(X)
    step = MaximumLikelihood(STRUCTURES[covariance_type], model.reg_covar)
    first, rng = model._params(drawn=True), np.random.RandomState(1)
    fastgmm.bootstrap(model, X[: min(n, 3000)], 8, random_state=0)  # compiled
    ours, theirs, iterations = [], [], []
    for _ in range(rounds):
        start = time.perf_counter()
        fastgmm.bootstrap(model, X, resamples, random_state=0)
        ours.append((time.perf_counter() - start) / resamples)
        weights = rng.standard_exponential(n)
        source = weighted_source(X, weights * (n / weights.sum()))
        start = time.perf_counter()
        result = run(source, first, step, Stop(1e-4 / n, 2000))
        theirs.append(time.perf_counter() - start)
        iterations.append(result.n_iter)
    a, b = statistics.median(ours), statistics.median(theirs)
    return (
        f"{n} x {d}, k = {k}, {covariance_type}, separation {separation:g}: {1e3 * a:.2f} ms a replicate, {1e3 * b:.1f} ms a fit "
        f"of {statistics.median(iterations):g} iterations, ratio {a / b:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resamples", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    for separation in (2.0, 4.0, 8.0):
        print(compare(100_000, 8, 5, separation, "full", args.resamples, args.rounds), flush=True)
    print(compare(145, 3, 3, 2.0, "full", 8 * args.resamples, args.rounds), flush=True)


if __name__ == "__main__":
    main()

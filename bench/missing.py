"""An iteration of EM on samples with missing values against one on complete samples: ``python -m bench.missing``.

Two tables of 200 000 samples, 16 components, full covariances. In one, 10 % of the values of 2 of 10 features are missing, which
makes 4 patterns; in the other 5 % of all values of 8 features, at random, which makes over a hundred. Sides are alternated, and
figures are medians: of a sweep with its M-step, and of the start by k-means. Memory is the most that a fit with ten iterations
allocates beyond X (`tracemalloc`). The statistics are checked against the loop over rows of the tests, on 300 samples.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastgmm import GaussianMixture
from fastgmm.data.source import ArraySource
from fastgmm.em.step import MaximumLikelihood
from fastgmm.em.sweep import sweep
from fastgmm.init.starts import STARTS
from fastgmm.model.layouts import FULL
from fastgmm.model.params import Params
from fastgmm.model.structures import STRUCTURES

Float = NDArray[np.float64]

K = 16


def mixture(d: int, rng: np.random.Generator) -> Params:
    """Return a mixture whose components overlap a little."""
    A = rng.normal(size=(K, d, d)) / np.sqrt(d)
    covariances = A @ np.swapaxes(A, 1, 2) + 0.5 * np.eye(d)
    weights, means = rng.dirichlet(np.full(K, 5.0)), 3.0 * rng.normal(size=(K, d))
    return Params(FULL, weights, means, covariances, FULL.precision_cholesky(covariances))


def drawn(n: int, params: Params, rng: np.random.Generator) -> Float:
    """Return samples of a mixture."""
    which = rng.choice(K, p=params.weights, size=n)
    roots = np.linalg.cholesky(params.covariances)
    away = np.empty((n, params.means.shape[1]))
    for k in range(K):
        rows = np.flatnonzero(which == k)
        away[rows] = rng.normal(size=(len(rows), away.shape[1])) @ roots[k].T
    return params.means[which] + away


def holed(X: Float, features: list[int], share: float, rng: np.random.Generator) -> Float:
    """Return the samples with a share of the values of some features missing; no sample loses all."""
    Y = X.copy()
    for j in features:
        Y[rng.uniform(size=len(X)) < share, j] = np.nan
    lost = np.isnan(Y).all(axis=1)
    Y[lost] = X[lost]
    return Y


def check(Y: Float, params: Params) -> None:
    """Compare statistics with those of the loop over rows."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    naive = importlib.import_module("naive")
    log_prob, _, counts, sums, scatter = naive.incomplete_statistics(
        Y, params.weights, params.means, params.covariances, "full"
    )
    stats = sweep(ArraySource(Y, incomplete=True), params)
    np.testing.assert_allclose(stats.log_likelihood, log_prob.sum(), rtol=1e-12)
    for one, other in ((stats.counts, counts), (stats.sums, sums), (stats.scatter, scatter)):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def medians(sides: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median time of each side, in milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values():
        side()
    for _ in range(rounds):
        for name, side in sides.items():
            begin = time.perf_counter()
            side()
            times[name].append(1e3 * (time.perf_counter() - begin))
    return {name: float(np.median(values)) for name, values in times.items()}


def iteration(step: MaximumLikelihood, source: ArraySource, params: Params) -> Params:
    """Do an iteration of EM."""
    return step.maximise(sweep(source, params), params)


def begun(step: MaximumLikelihood, source: ArraySource) -> Params:
    """Return first parameters, by k-means."""
    return STARTS["kmeans"].params(source, step, K, np.random.RandomState(0), None)


def allocated(Y: Float) -> float:
    """Return the most memory that a fit takes beyond the samples, in MiB."""
    model = GaussianMixture(K, missing_values="marginalize", tol=0.0, max_iter=10, random_state=0)
    tracemalloc.start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(Y)
    most = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return most


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--samples", type=int, default=200_000)
    options = parser.parse_args()
    step = MaximumLikelihood(STRUCTURES["full"], 1e-6)
    print(
        f"{'table':<12} {'patterns':>8} {'':>10} {'complete':>9} {'missing':>9} {'ratio':>6}  (ms, medians of {options.rounds})"
    )
    for name, d, features, share in (("2 of 10", 10, [2, 7], 0.1), ("all of 8", 8, list(range(8)), 0.05)):
        rng = np.random.default_rng(0)
        params = mixture(d, rng)
        X = drawn(options.samples, params, rng)
        Y = holed(X, features, share, rng)
        check(Y[:300], params)
        sources = {"complete": ArraySource(X), "missing": ArraySource(Y, incomplete=True)}
        n_patterns = len(np.unique(np.isnan(Y) @ (1 << np.arange(d))))
        iterations = {key: partial(iteration, step, source, params) for key, source in sources.items()}
        starts = {key: partial(begun, step, source) for key, source in sources.items()}
        for what, sides, rounds in (("iteration", iterations, options.rounds), ("start", starts, 3)):
            found = medians(sides, rounds)
            ratio = found["missing"] / found["complete"]
            print(
                f"{name:<12} {n_patterns:>8} {what:>10} {found['complete']:>9.1f} {found['missing']:>9.1f} {ratio:>6.2f}"
            )
        print(f"{name:<12} memory beyond X: {allocated(Y):.1f} MiB, of which {4 * len(Y) / 2**20:.1f} MiB are indices")


if __name__ == "__main__":
    main()

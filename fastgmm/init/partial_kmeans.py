"""k-means over samples with missing values: nothing is filled in.

With labels l_i and centres c_k it minimises sum_i w_i sum_j (x_ij - c_{l_i j})^2 over the observed values alone, by Lloyd's
alternation: the nearest centre by the features that a sample has, and means of the values that a cluster has (E. C. Chi, J. T. Chi
and R. G. Baraniuk, k-POD: a method for k-means clustering of missing data, Am. Stat. 70(1), 2016, whose objective it is; J. K.
Dixon, Pattern recognition with partly missing data, IEEE Trans. Syst. Man Cybern. 9(10), 1979, for scaled distances).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm._errors import ConvergenceWarning, like_sklearn, warn
from fastgmm.em.sweep import mean
from fastgmm.init.pool import KMeansResult, Pool, memory_for_kmeans
from fastgmm.kernels import partial_kmeans as kernels
from fastgmm.kernels.kmeans import BLOCK

Float = NDArray[np.float64]


def _points(pool: Pool, rows: NDArray, shift: NDArray) -> NDArray:
    """Return samples as points about `shift`; a feature that a sample lacks is at the mean."""
    points = pool.source.X[rows] - shift
    return np.ascontiguousarray(np.where(np.isnan(points), 0.0, points), pool.source.dtype)


def _shift(pool: Pool) -> NDArray:
    return mean(pool.source).astype(pool.source.dtype)


def seed(
    pool: Pool, n_clusters: int, random_state: np.random.RandomState, n_local_trials: int | None = None
) -> NDArray[np.intp]:
    """Return the indices (k,) of the samples that greedy k-means++ picks, with distances scaled to all features."""
    source, n = pool.source, pool.source.n_samples
    trials = 2 + int(np.log(n_clusters)) if n_local_trials is None else n_local_trials
    shift, blocks = _shift(pool), -(-n // BLOCK)
    with memory_for_kmeans(source):
        closest = np.full(n, np.inf, source.dtype)
    indices = np.empty(n_clusters, np.int64)
    added = int(random_state.choice(n, p=source.chances))
    candidates = np.array([added])
    for c in range(n_clusters):
        points = _points(pool, np.append(added, candidates), shift)
        potentials = np.zeros((len(candidates), blocks))
        pool.sweep(kernels.seed_partial, len(points), source.sample_weights, shift, points, closest, potentials)
        best = int(potentials.sum(axis=1).argmin())
        indices[c] = added = int(candidates[best])
        if c < n_clusters - 1:
            uniform = random_state.uniform(size=trials)
            candidates = _drawn(pool, points[1 + best], shift, closest, potentials[best], uniform)
    return indices


def _drawn(pool: Pool, point: NDArray, shift: NDArray, closest: NDArray, potential: Float, uniform: Float) -> NDArray:
    """Draw samples with probability proportional to their distance to the nearest centre, `point` being the last of them."""
    source, reached = pool.source, np.cumsum(potential)
    drawn = np.empty(len(uniform), np.int64)
    for t, value in enumerate(uniform * reached[-1]):
        block = min(int(np.searchsorted(reached, value)), len(reached) - 1)
        rows = np.arange(block * BLOCK, min((block + 1) * BLOCK, source.n_samples))
        away = source.X[rows] - shift - point
        there = ~np.isnan(away)
        distance = np.where(there, away, 0.0) ** 2 @ np.ones(len(point)) * (len(point) / there.sum(axis=1).clip(min=1))
        nearest = np.minimum(closest[rows], distance).astype(np.float64)
        if source.weights is not None:
            nearest *= source.weights[rows]
        before = reached[block] - potential[block]
        drawn[t] = rows[min(int(np.searchsorted(before + np.cumsum(nearest), value)), len(rows) - 1)]
    return drawn


def kmeans(
    pool: Pool,
    n_clusters: int,
    random_state: np.random.RandomState,
    *,
    init: NDArray | None = None,
    max_iter: int = 300,
    tol: float = 1e-4,
) -> KMeansResult:
    """Run Lloyd's algorithm from a k-means++ start, or from centres `init` (k, d); arguments and rules as `init.kmeans.kmeans`.

    A coordinate of a centre stays where it is if the cluster has no value of that feature. The inertia is NaN.
    """
    source, shift = pool.source, _shift(pool)
    n, d = source.n_samples, source.n_features
    if init is None:
        centers = _points(pool, seed(pool, n_clusters, random_state), shift)
    else:
        centers = np.ascontiguousarray(np.asarray(init, source.dtype) - shift)
    with memory_for_kmeans(source):
        labels, near = np.full(n, -1, np.int32), np.empty(n, source.dtype)
    n_iter, strict = 0, False
    counts = np.zeros((n_clusters, d))
    while n_iter < max_iter:
        n_iter += 1
        counts, sums, squares, changed = _assigned(pool, shift, centers, labels, near)
        if not changed:
            strict = True
            break
        moved = np.where(counts > 0.0, sums / np.where(counts > 0.0, counts, 1.0), centers).astype(source.dtype)
        empty = np.flatnonzero(~counts.any(axis=1))
        if empty.size and near.max() > 0.0:
            moved[empty] = _points(pool, np.argsort(near, kind="stable")[: -len(empty) - 1 : -1], shift)
        change = float(((moved.astype(np.float64) - centers) ** 2).sum())
        centers = moved
        if change <= tol * squares / max(float(counts.sum()), 1.0):
            break
    if not strict:
        counts, *_ = _assigned(pool, shift, centers, labels, near)
    found = np.count_nonzero(counts.any(axis=1))
    if found < n_clusters:
        warn(
            f"k-means found {found} distinct clusters, fewer than the {n_clusters} asked for: the data may have too many "
            "duplicate samples",
            like_sklearn(ConvergenceWarning),
        )
    return KMeansResult(centers + shift, labels, float("nan"), n_iter)


def _assigned(
    pool: Pool, shift: NDArray, centers: NDArray, labels: NDArray[np.int32], near: NDArray
) -> tuple[Float, Float, float, int]:
    """Label every sample; return weights and sums (k, d) by feature, the sum of squares, and how many labels changed."""
    k, d = centers.shape
    counts, sums = np.zeros((pool.n_lanes * k, d)), np.zeros((pool.n_lanes * k, d))
    squares, changed = np.zeros(pool.n_lanes), np.zeros(pool.n_lanes, np.int64)
    of_samples = pool.source.sample_weights, shift, centers, labels, near
    pool.sweep(kernels.assign_partial, 2 * k, *of_samples, counts, sums, squares, changed)
    by_lane = counts.reshape(-1, k, d), sums.reshape(-1, k, d)
    return by_lane[0].sum(axis=0), by_lane[1].sum(axis=0), float(squares.sum()), int(changed.sum())

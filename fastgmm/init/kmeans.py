"""k-means and greedy k-means++ over a source. Drivers: draws and decisions here, passes over the data in kernels.

RngState are made in the order in which scikit-learn makes them, so that a seed gives the same centres there and here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm._errors import ConvergenceWarning, like_sklearn, warn
from fastgmm.data.source import ArraySource
from fastgmm.em.evaluate import labels
from fastgmm.em.sweep import mean
from fastgmm.init import partial_kmeans
from fastgmm.init.pool import KMeansResult, Pool, memory_for_kmeans
from fastgmm.kernels import kmeans as kernels
from fastgmm.kernels.ir_kmeans import PANEL
from fastgmm.model.layouts import SPHERICAL
from fastgmm.model.params import Params

Float = NDArray[np.float64]


#: Numbers of data up to which means are sums row after row.
_ROW_BY_ROW = 1 << 18


def kmeans_plusplus(
    source: ArraySource,
    n_clusters: int,
    random_state: np.random.RandomState,
    n_local_trials: int | None = None,
    n_threads: int | None = None,
) -> NDArray[np.intp]:
    """Return the indices (k,) of the samples that greedy k-means++ picks (Arthur & Vassilvitskii 2007, section 2.2 and 4).

    Each further centre is the best of 2 + log k samples drawn with probability proportional to the squared distance to
    the nearest centre so far, times the sample's weight.
    """
    with Pool(source, n_clusters, n_threads) as pool:
        if source.incomplete:
            return partial_kmeans.seed(pool, n_clusters, random_state, n_local_trials)
        return _seed(pool, n_clusters, random_state, n_local_trials)


def _seed(
    pool: Pool, n_clusters: int, random_state: np.random.RandomState, n_local_trials: int | None = None
) -> NDArray[np.intp]:
    """Pick the centres, one pass each: it adds the centre chosen last and tries the candidates for the next one.

    The draws of the next candidates need nearest distances with the centre just chosen. Sums by blocks come from the
    pass that tried it; distances within the blocks that are hit are computed when they are hit.
    """
    source, n = pool.source, pool.source.n_samples
    trials = 2 + int(np.log(n_clusters)) if n_local_trials is None else n_local_trials
    blocks = -(-n // kernels.BLOCK)
    with memory_for_kmeans(source):
        closest = np.full(blocks * kernels.BLOCK, np.inf, source.dtype)
    closest[n:] = 0.0
    shift = np.zeros(source.n_features, source.dtype)
    indices = np.empty(n_clusters, np.int64)
    if source.weights is None:
        added = _uniform_draw(n, random_state)
    else:
        chances = source.weights.astype(np.float64)
        added = int(random_state.choice(n, p=chances / chances.sum()))
    candidates = np.array([added])
    uniform = random_state.uniform(size=(n_clusters - 1, trials))  # the numbers that as many draws of one row give
    for c in range(n_clusters):
        points = np.ascontiguousarray(source.X[[added, *candidates]])
        sums = np.zeros((len(candidates), blocks))
        if source.weights is None:
            pool.sweep(kernels.seed, len(points), shift, points, closest, sums)
        else:
            pool.sweep(kernels.weighted_seed, len(points), source.weights, shift, points, closest, sums)
        drawn = np.empty(trials if c < n_clusters - 1 else 0, np.int64)
        u = uniform[c : c + 1].ravel()
        best = kernels.draw(source.samples, source.sample_weights, shift, points, closest, sums, u, drawn)
        indices[c] = added = candidates[best]
        candidates = drawn
    return indices


def _uniform_draw(n: int, random_state: np.random.RandomState) -> int:
    """Return ``random_state.choice(n, p=np.full(n, 1 / n))``, as scikit-learn draws, mostly without its sums over n.

    `choice` takes the first i with ``cumsum(p)[i] > u``. A sum of i rounded terms is (i + 1) / n within n eps: only a u
    that is nearer to a multiple of 1 / n needs the very sums.
    """
    u = random_state.random_sample()
    if abs(u * n - round(u * n)) > n * n * np.finfo(np.float64).eps:
        return int(u * n)
    cumulative = np.cumsum(np.full(n, 1.0 / n))
    return int(np.searchsorted(cumulative / cumulative[-1], u, side="right"))


def kmeans(
    source: ArraySource,
    n_clusters: int,
    random_state: np.random.RandomState,
    *,
    init: NDArray | None = None,
    max_iter: int = 300,
    tol: float = 1e-4,
    n_threads: int | None = None,
    with_inertia: bool = True,
) -> KMeansResult:
    """Run Lloyd's algorithm from a k-means++ start, or from centres `init` (k, d).

    It stops when no label changes or when the squared shift of all centres is at most `tol` times the mean variance of the
    features. Samples count by their weights. A cluster that lost all its samples takes the sample farthest from its own
    centre. The inertia costs one more pass and one more compiled kernel; without it, NaN. Samples with missing values:
    `partial_kmeans`.
    """
    if source.incomplete:
        with Pool(source, n_clusters, n_threads) as pool:
            return partial_kmeans.kmeans(pool, n_clusters, random_state, init=init, max_iter=max_iter, tol=tol)
    centre = _mean(source)
    with Pool(source, n_clusters, n_threads) as pool:
        first = source.X[_seed(pool, n_clusters, random_state)] if init is None else np.asarray(init, source.dtype)
        lloyd = _Lloyd(pool, centre, n_clusters)
        centers = first - centre
        n_iter, strict, threshold = 0, False, 0.0
        for n_iter in range(1, max_iter + 1):
            old, centers = centers, lloyd.step(centers)
            if n_iter > 1 and not lloyd.clusters.changed.any():
                strict = True
                break
            if n_iter == 1:
                threshold = tol * lloyd.mean_variance()
            if float(((centers - old) ** 2).sum()) <= threshold:
                break
        if not strict:
            lloyd.assign(centers)  # so that the labels belong to the centres that are returned
        found = np.count_nonzero(lloyd.clusters.counts.sum(axis=0))
        inertia = lloyd.inertia(centers) if with_inertia else float("nan")
    if found < n_clusters:
        warn(
            f"k-means found {found} distinct clusters, fewer than the {n_clusters} asked for: the data may have too many "
            "duplicate samples",
            like_sklearn(ConvergenceWarning),
        )
    return KMeansResult(centers + centre, lloyd.clusters.labels, inertia, n_iter)


def nearest(source: ArraySource, centers: NDArray, n_threads: int | None) -> NDArray[np.int32]:
    """Return the index of the nearest centre for each sample, shape (n,)."""
    k = len(centers)
    spheres = Params(SPHERICAL, np.full(k, 1.0 / k), centers.astype(np.float64), np.ones(k), np.ones(k))
    return labels(source, spheres, n_threads).astype(np.int32)


def _mean(source: ArraySource) -> NDArray:
    """Return the mean of each feature, in the dtype of the data; of few data row after row, which are scikit-learn's bits."""
    if source.weights is not None:
        return mean(source).astype(source.dtype)
    n, d = source.n_samples, source.n_features
    total = np.zeros(d)
    rows = max(1, _ROW_BY_ROW // d)
    # many rows side by side: NumPy takes 14 ns to add one, however short it is
    wide = 1 if n <= rows else max(1, 1024 // d)
    for start in range(0, n, rows):
        # NumPy adds in an order that depends on the memory order
        part = np.ascontiguousarray(source.X[start : start + rows])
        whole = len(part) // wide * wide
        total += part[:whole].reshape(-1, wide * d).sum(axis=0).reshape(wide, d).sum(axis=0) + part[whole:].sum(axis=0)
    return (total / n).astype(source.dtype)


class _Lloyd:
    """A k-means run: the clusters, and how far its centres have moved.

    A sample need not be compared again if its nearest centre is nearer than any other by more than the two can have moved
    since (Hamerly 2010). Here that takes one number per sample, and nothing is written for a sample that is passed over.
    Bounds are widened by all that rounding can do, so that labels are exactly those of a full comparison.
    """

    def __init__(self, pool: Pool, mean: NDArray, k: int) -> None:
        self.pool, self.mean = pool, mean
        n, d = pool.source.n_samples, pool.source.n_features
        rows = pool.n_lanes
        with memory_for_kmeans(pool.source):
            self.clusters = kernels.Clusters(
                labels=np.zeros(n, np.int32),
                slack=np.zeros(n, np.float32),
                counts=np.zeros((rows, k)),
                sums=np.zeros((rows * k, d)),
                changed=np.zeros(rows, np.int64),
                spread=np.zeros((rows, 2)),
            )
        self.travelled = np.zeros(k)
        self.previous: NDArray | None = None
        self.reach = 0.0

    def mean_variance(self) -> float:
        """Return the mean over features of the variance; known after the first assignment."""
        source = self.pool.source
        return float(self.clusters.spread[:, 0].sum() / (source.total_weight * source.n_features))

    def assign(self, centers: NDArray) -> tuple[Float, Float]:
        """Label every sample; return counts (k,) and sums (k, d) about the mean."""
        k, d = centers.shape
        # by einsum, as scikit-learn does: if two centres are equally far, the last bit of the norm decides
        norms = np.einsum("ij,ij->i", centers, centers)
        # With one lane all samples are compared, and added up anew. In small data a centre may be exactly as far as
        # another one, and then the last bit of an average decides. With weights, sums by differences would leave a
        # rounding error in a cluster that lost all its samples.
        source, clusters = self.pool.source, self.clusters
        whole = self.previous is None or self.pool.n_lanes == 1 or source.weights is not None
        more = -k % PANEL
        points = np.zeros((k + more, d), centers.dtype)
        points[:k] = centers
        packed = kernels.Centres(points, np.append(norms, np.full(more, np.inf, norms.dtype)))
        if whole:
            for part in (clusters.counts, clusters.sums, clusters.spread):
                part.fill(0.0)
            self.travelled[:] = 0.0
            self.pool.sweep(kernels.assign, k + more, source.sample_weights, self.mean, packed, clusters)
        else:
            bounds = self._bounds(packed, self._limit(centers, norms))
            self.pool.sweep(kernels.reassign, k + more, self.mean, packed, bounds, clusters)
        self.previous = centers
        return clusters.counts.sum(axis=0), clusters.sums.reshape(-1, k, d).sum(axis=0)

    @np.errstate(over="ignore")
    def _bounds(self, centres: kernels.Centres, limit: NDArray[np.float32]) -> kernels.Bounds:
        """Return the centres in float32, and how far apart squared distances have to be for float32 to tell them apart.

        Rounded samples and centres give ||c||^2 - 2 x.c within e = (d + 6) eps (|x| + |c|)^2, which is at most
        2 (d + 6) eps (|x|^2 + |c|^2): two of them are certain if they differ by 2 e. Numbers below the normal ones add a little.
        """
        points, norms = centres.points.astype(np.float32), centres.norms.astype(np.float32)
        slope = 4.0 * (points.shape[1] + 6) * np.finfo(np.float32).eps
        offset = slope * self.reach * (1.0 + 1e-6) + 1e-30
        return kernels.Bounds(self.travelled, limit, points, norms, np.float32(slope), np.float32(offset))

    def _limit(self, centers: NDArray, norms: NDArray) -> NDArray[np.float32]:
        """Advance `travelled` by the way to `centers`; return what slack has to exceed.

        A gap d_j - d_a between the distances to another centre and to the own one shrinks by no more than the two ways.
        A computed ||c||^2 - 2 x.c + ||x||^2 is off by at most e = (d + 6) eps (|x| + |c|)^2, hence its root by sqrt(e).
        If two distances are more than sqrt(2 e) apart, their squares compare as they should: 4 sqrt(e) covers it all.
        """
        assert self.previous is not None
        moved = np.sqrt(((centers.astype(np.float64) - self.previous) ** 2).sum(axis=1))
        others = np.full_like(moved, moved.max())
        if len(moved) > 1:
            others[moved.argmax()] = np.partition(moved, -2)[-2]
        self.travelled = self.travelled + moved + others
        self.reach = max(self.reach, float(norms.max()))
        radius = np.sqrt(self.clusters.spread[:, 1].max()) + np.sqrt(self.reach)
        error = 4.0 * np.sqrt((centers.shape[1] + 6) * np.finfo(centers.dtype).eps) * radius
        return ((self.travelled + error) * (1.0 + 1e-6)).astype(np.float32)

    def distances(self, centers: NDArray) -> Float:
        """Return the squared distance of each sample to the centre of its label, shape (n,)."""
        out = np.empty(self.pool.source.n_samples)
        points = np.ascontiguousarray(centers, self.pool.source.dtype)
        # one distance, but added up feature after feature: as slow as four
        self.pool.sweep(kernels.distances_to_own, 4, self.mean, points, self.clusters.labels, out)
        return out

    def inertia(self, centers: NDArray) -> float:
        """Return the weighted sum of `distances`."""
        distances, source = self.distances(centers), self.pool.source
        if source.weights is not None:
            distances *= source.weights
        return float(distances.sum()) * source.weight_unit

    def step(self, centers: NDArray) -> NDArray:
        """Do one iteration: label, average, refill empty clusters; return the new centres."""
        counts, sums = self.assign(centers)
        if not counts.all():
            self._refill(np.flatnonzero(counts == 0), centers, counts, sums)
        averages = sums * (1.0 / np.where(counts > 0, counts, 1.0))[:, None]
        averages[counts == 0] = averages[counts.argmax()]
        return averages.astype(self.pool.source.dtype)

    def _refill(self, empty: NDArray[np.intp], centers: NDArray, counts: Float, sums: Float) -> None:
        """Move the samples farthest from their centres, one each, into the empty clusters."""
        distances = self.distances(centers)
        if distances.max() == 0:
            return  # more clusters than distinct samples: none left to move
        farthest = np.argpartition(distances, -len(empty))[: -len(empty) - 1 : -1]
        for cluster, sample in zip(empty, farthest, strict=True):
            weight = 1.0 if self.pool.source.weights is None else float(self.pool.source.weights[sample])
            point = (self.pool.source.X[sample] - self.mean) * weight
            owner = self.clusters.labels[sample]
            sums[owner] -= point
            counts[owner] -= weight
            sums[cluster] = point
            counts[cluster] = weight

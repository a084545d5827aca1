"""One pass over a source: parameters -> statistics, or parameters -> what is asked of each sample.

The only caller of the E- and M-kernels and the only place that decides about threads and lanes. Blocks are closed where
a pass is left, by Ctrl-C as well: that ends the thread that reads ahead, which an exception's traceback would keep alive.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastgmm import _jit
from fastgmm._errors import memory_for
from fastgmm.em.monitor import SILENT, Monitor
from fastgmm.kernels import sweep as kernels
from fastgmm.kernels.full import scatter_width
from fastgmm.kernels.sweep import LABELS, LOG_DENSITY, LOG_PROB, RESPONSIBILITIES
from fastgmm.kernels.tile import TILE, Samples, Sums, tile_width
from fastgmm.params import Packed, Params, pad
from fastgmm.sources.array import Source
from fastgmm.sources.dask import AnySource, DaskSource
from fastgmm.stats import Stats

Float = NDArray[np.float64]
T = TypeVar("T")

_MAX_LANES = 64
#: So many samples, or fewer, make one lane.
SINGLE_LANE = 4 * TILE
_LANE_MEMORY = 16 * 2**20
_QUANTUM = 64
#: Of one core: the most that a compiled call takes, so that Ctrl-C is served between two.
CALL_NANOSECONDS = 0.5e9
_RESP_MEMORY = 8 * 2**20
#: Of the samples of a block: what a source that is no array has to hold, twice or three times.
_BLOCK_MEMORY = 32 * 2**20
#: How much larger than the variances within tied components the total ones may be. Their difference, the scatter
#: within, is then wrong by some 100 epsilons at most; beyond, that of each component is computed, in up to k times the time.
_FAR = 100.0


class Lanes(NamedTuple):
    """How a source is cut: blocks of `n_lanes` lanes of `width` samples. Depends on n, k and d only, never on threads."""

    n_lanes: int
    width: int

    @property
    def rows(self) -> int:
        """Samples in a block."""
        return self.n_lanes * self.width


def lanes(
    source: Source,
    n_components: int,
    scatter_size: int,
    *,
    flops: float | None = None,
    row_bytes: int = 0,
) -> Lanes:
    """Cut the samples of a source into lanes.

    scatter_size : that of one lane; flops : per sample and component, by default those of full covariances

    At least four tiles a lane; accumulators of all lanes within 16 MiB (but four lanes in any case); the samples of a
    block within 32 MiB, and so few that they take about half a second of one core at most, so that Ctrl-C is served
    between two blocks; `row_bytes` of input per sample, if any, within 8 MiB a block.
    """
    n_samples, n_features = source.n_samples, source.n_features
    stats_bytes = 8 * (n_components * (n_features + 1) + scatter_size)
    n_lanes = max(1, min(_MAX_LANES, -(-n_samples // SINGLE_LANE), max(4, _LANE_MEMORY // stats_bytes)))
    if n_lanes > 4:
        n_lanes = n_lanes // 4 * 4  # as many for each thread
    flops = 2 * n_features * (n_features + 1) if flops is None else flops
    nanoseconds = n_components * (flops / 30 + 4)  # 30 GFLOP/s: what a slow core does
    rows = min(n_samples, int(CALL_NANOSECONDS / nanoseconds), _BLOCK_MEMORY // (n_features * source.dtype.itemsize))
    if row_bytes:
        rows = min(rows, _RESP_MEMORY // row_bytes)
    rows = -(-n_samples // -(-n_samples // max(rows, 1)))  # blocks of equal size, not full ones and a small one
    # in small steps, or the last lanes stay empty and threads that run as many lanes do not do the same work
    return Lanes(n_lanes, max(1, -(-rows // (n_lanes * _QUANTUM))) * _QUANTUM)


@dataclass(frozen=True)
class Total:
    """Mean (d,) and scatter about it (d, d) of all samples: what the tied M-step needs beyond first moments."""

    mean: Float
    scatter: Float


def _over(
    source: AnySource, function: Callable[..., T], merge: Callable[[T, T], T], n_threads: int | None, **arguments: Any
) -> T:
    """``function(source, n_threads=..., **arguments)``; of partitions elsewhere, there, merged in their order."""
    if isinstance(source, DaskSource):
        return source.map_reduce(partial(function, n_threads=None, **arguments), merge, n_threads)
    return function(source, n_threads=n_threads, **arguments)


def mean(source: AnySource) -> Float:
    """Weighted mean of each feature, shape (d,). One pass; its bits do not depend on the memory order of the samples."""
    first = source.map_reduce(_sum, np.add) if isinstance(source, DaskSource) else _sum(source)
    return first / source.total_weight


def _sum(source: Source) -> Float:
    """Weighted sum of each feature, shape (d,)."""
    total = np.zeros(source.n_features)
    with closing(source.blocks(max(1, (1 << 20) // source.n_features))) as blocks:
        for block in blocks:
            X = np.ascontiguousarray(block.X)
            # einsum and no product of matrices: BLAS adds in another order on another number of threads
            weighted = X.sum(axis=0, dtype=np.float64) if block.weights.size == 0 else _weighted_sum(block.weights, X)
            total += weighted
    return total


def ranges(source: AnySource, n_threads: int | None) -> tuple[Float, Float]:
    """Least and greatest value of each feature, each (d,), of the samples of positive weight."""
    return _over(source, _ranges, _wider, n_threads)


def _ranges(source: Source, *, n_threads: int | None) -> tuple[Float, Float]:
    found = np.full(source.n_features, np.inf), np.full(source.n_features, -np.inf)
    with closing(source.blocks(max(1, (1 << 20) // source.n_features))) as blocks:
        for block in blocks:
            X = block.X[block.weights > 0] if block.weights.size else block.X
            if len(X):
                found = _wider(found, (X.min(axis=0).astype(np.float64), X.max(axis=0).astype(np.float64)))
    return found


def _wider(one: tuple[Float, Float], other: tuple[Float, Float]) -> tuple[Float, Float]:
    return np.minimum(one[0], other[0]), np.maximum(one[1], other[1])


def _weighted_sum(weights: NDArray, X: NDArray) -> Float:
    return np.einsum("i,ij->j", weights.astype(np.float64), X, dtype=np.float64)


class _Moments(NamedTuple):
    """Sums of samples about an origin and of their products, (d,) and (d, d)."""

    first: Float
    second: Float

    def merge(self, other: _Moments) -> _Moments:
        return _Moments(self.first + other.first, self.second + other.second)


def total(source: AnySource, n_threads: int | None) -> Total:
    """Mean and total scatter of a source, in two passes."""
    # the kernel subtracts the mean as rounded to the dtype of the data
    origin = pad(mean(source), source.dtype)
    first, second = _over(source, _moments, _Moments.merge, n_threads, origin=origin)
    shift = first / source.total_weight
    return Total(origin[: source.n_features].astype(np.float64) + shift, second - np.outer(first, shift))


def _moments(source: Source, *, origin: NDArray, n_threads: int | None) -> _Moments:
    """Moments about `origin`, which is padded."""
    d = source.n_features
    width = scatter_width(d)
    plan = lanes(source, 1, width * width)
    tile = tile_width("full", len(origin), origin.itemsize)
    sums, scatter = np.zeros((plan.n_lanes, len(origin))), np.zeros((plan.n_lanes * width, width))
    with (
        _jit.Crew(min(effective_threads(n_threads), plan.n_lanes)) as crew,
        closing(source.blocks(plan.rows)) as blocks,
    ):
        for block in blocks:
            arguments = (block.samples, block.weights, origin[None, :], tile, plan.width)
            crew.run(kernels.scatter_lanes, *arguments, sums, scatter)
    second = _symmetric(scatter.reshape(plan.n_lanes, width, width).sum(axis=0)[:d, :d])
    return _Moments(sums.sum(axis=0)[:d], second)


def sweep(
    source: AnySource,
    params: Params,
    n_threads: int | None = None,
    *,
    whole: Total | None = None,
    monitor: Monitor = SILENT,
) -> Stats:
    """E-step: statistics of the responsibilities of `params`, about its means. Nothing of size n is kept.

    A tied layout needs `whole`, the total scatter of the same source; others have no use for it.
    """
    if params.layout != "tied":
        whole = None
    if whole is not None and far_apart(source, params, whole):
        apart = sweep(source, params.in_layout("full"), n_threads, monitor=monitor)
        return replace(apart, layout="tied", scatter=apart.scatter.sum(axis=0))
    if isinstance(source, DaskSource):
        # a pooled scatter is linear in that of all samples: partitions leave it out, and it is added once
        centre = None if whole is None else Total(whole.mean, np.zeros_like(whole.scatter))
        stats = source.map_reduce(partial(sweep, params=params, whole=centre), Stats.merge, n_threads)
        monitor.block(source.n_samples)
        return stats if whole is None else replace(stats, scatter=stats.scatter + whole.scatter)
    return _swept(source, params, None, n_threads, whole, monitor)


def far_apart(source: AnySource, params: Params, whole: Total) -> bool:
    """Whether the scatter within tied components is so small a part of the whole that their difference would not show it."""
    if params.layout != "tied":
        return False
    within = source.total_weight * np.diagonal(params.covariances)
    return bool((np.diagonal(whole.scatter) > _FAR * within).any())


def _swept(
    source: Source,
    params: Params,
    resp: Callable[[int, int], NDArray] | None,
    n_threads: int | None,
    whole: Total | None,
    monitor: Monitor = SILENT,
) -> Stats:
    """Statistics about the means of `params`, of its responsibilities or of those given."""
    k, d = params.means.shape
    packed = params.packed(source.dtype)
    # the origin is the mean that the kernel subtracts: rounded to the dtype of the data
    origin = packed.means[:, :d].astype(np.float64)
    plan, out = accumulators(source, params.layout, k, row_bytes=0 if resp is None else 8 * k)
    given = np.empty((0, k), source.dtype)
    with _jit.threads(effective_threads(n_threads)) as run, closing(source.blocks(plan.rows)) as blocks:
        for block in blocks:
            if resp is not None:
                rows = resp(block.start, block.start + len(block.X))
                given = np.ascontiguousarray(rows, dtype=source.dtype)
            _in_lanes(run, kernels.sweep, plan, block.samples, packed, given, block.weights, out)
            monitor.block(block.start + len(block.X))
    return collect(source, params.layout, plan, out, origin, whole)


def _in_lanes(
    run: Callable, kernel: Callable, plan: Lanes, samples: Samples, packed: NamedTuple, *arguments: Any
) -> None:
    """Run a kernel over a block, lane by lane."""
    if plan.n_lanes > 1:
        run(kernel, samples, plan.width, -(-samples.n_samples // plan.width), packed, *arguments)
    elif kernel is kernels.sweep:
        kernels.sweep_lane(samples, 0, samples.n_samples, packed, *arguments[:-1], 0, arguments[-1])
    else:
        kernels.evaluate_lane(samples, 0, samples.n_samples, packed, *arguments)


def accumulate(
    source: Source,
    layout: str,
    origin: Float,
    resp: Callable[[int, int], NDArray],
    n_threads: int | None = None,
    *,
    whole: Total | None = None,
) -> Stats:
    """Statistics of given responsibilities about `origin` (k, d); ``resp(a, b)`` returns rows a..b, shape (b - a, k).

    With `whole`, the total scatter, a tied layout needs no scatter per component: for responsibilities that add up to 1.
    """
    # Where they do not, tied statistics are the sum of the full ones.
    inner = "full" if layout == "tied" and whole is None else layout
    k, d = origin.shape
    covariance = {
        "full": lambda: np.tile(np.eye(d), (k, 1, 1)),
        "tied": lambda: np.eye(d),
        "diag": lambda: np.ones((k, d)),
        "spherical": lambda: np.ones(k),
    }[inner]()
    params = Params(inner, np.full(k, 1.0 / k), origin, covariance, covariance)
    stats = _swept(source, params, resp, n_threads, whole)
    if inner == "tied" and whole is not None and (np.diagonal(whole.scatter) > _FAR * np.diagonal(stats.scatter)).any():
        return accumulate(source, layout, origin, resp, n_threads)
    scatter = stats.scatter.sum(axis=0) if inner != layout else stats.scatter
    return Stats(layout, stats.n_samples, float("nan"), stats.counts, stats.sums, scatter, stats.origin)


def _shapes(layout: str, k: int, d: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Shapes of a lane's sums and scatter, of which the kernels add to what their layout needs."""
    width = -(-d // 4) * 4
    if layout == "full":
        return (k, width), (k * scatter_width(d), scatter_width(d))
    return (k, width), (0 if layout == "tied" else k, width)


def accumulators(source: Source, layout: str, k: int, *, row_bytes: int = 0) -> tuple[Lanes, Sums]:
    """How a sweep cuts a source, and zeros for all lanes to add to."""
    sums, scatter = _shapes(layout, k, source.n_features)
    flops = None if layout == "full" else 8 * source.n_features
    plan = lanes(source, k, math.prod(scatter), flops=flops, row_bytes=row_bytes)
    n = plan.n_lanes
    stacked = (np.zeros((n * rows, columns)) for rows, columns in (sums, scatter))
    return plan, Sums(np.zeros(n), np.zeros((n, k)), *stacked)


def collect(source: Source, layout: str, plan: Lanes, out: Sums, origin: Float, whole: Total | None) -> Stats:
    """Add the lanes up, in their order, and take the padding off."""
    k, d = origin.shape
    n = plan.n_lanes
    counts = out.counts.sum(axis=0)
    sums = out.sums.reshape(n, k, -1).sum(axis=0)[:, :d]
    width = out.scatter.shape[1]
    if layout == "full":
        scatter = _symmetric(out.scatter.reshape(n, k, width, width).sum(axis=0)[:, :d, :d])
    elif layout == "tied":
        assert whole is not None
        scatter = _pooled_about(origin, counts, sums, whole)
    else:
        scatter = out.scatter.reshape(n, k, width).sum(axis=0)[:, :d]
        if layout == "spherical":
            scatter = scatter.sum(axis=1)
    return Stats(layout, source.n_samples, float(out.log_likelihood.sum()), counts, sums, scatter, origin)


def _symmetric(upper: Float) -> Float:
    """Matrices (..., d, d) from upper triangles with zeros below."""
    whole = upper + np.swapaxes(upper, -1, -2)
    diagonal = np.arange(upper.shape[-1])
    whole[..., diagonal, diagonal] = upper[..., diagonal, diagonal]
    return whole


@np.errstate(over="ignore", invalid="ignore")  # of sums that are not finite, as the likelihood is then
def _pooled_about(origin: Float, counts: Float, sums: Float, whole: Total) -> Float:
    """Scatter about `origin`, summed over components, from the scatter T of all samples about their mean g.

    With c_k = o_k - g and sum_k r_ik = 1: sum_ik r_ik (x_i - o_k)(x_i - o_k)^T = T - sum_k (s_k c_k^T + c_k s_k^T)
    - sum_k n_k c_k c_k^T.
    """
    c = origin - whole.mean
    cross = sums.T @ c
    return whole.scatter - (cross + cross.T) - (counts * c.T) @ c


def labels(source: Source, params: Params, n_threads: int | None = None) -> NDArray[np.int64]:
    """Most probable component of each sample, the first on ties, shape (n,)."""
    out = _output(source, "labels", (source.n_samples,), np.dtype(np.int64))
    _evaluate(source, params.packed(source.dtype), LABELS, out, np.empty((0, 0), source.dtype), n_threads)
    return out


def log_prob(source: Source, params: Params, n_threads: int | None = None) -> NDArray:
    """log p(x_i), shape (n,), in the dtype of the source."""
    return _values(source, params, LOG_PROB, n_threads)[:, 0]


def responsibilities(source: Source, params: Params, n_threads: int | None = None) -> NDArray:
    """Posterior probabilities of the components, shape (n, k)."""
    return _values(source, params, RESPONSIBILITIES, n_threads)


def log_density(source: Source, params: Params, n_threads: int | None = None) -> NDArray:
    """log N(x_i | mean_k, covariance_k), weights left out, shape (n, k)."""
    return _values(source, params, LOG_DENSITY, n_threads, weighted=False)


def log_likelihood(source: AnySource, params: Params, n_threads: int | None = None) -> float:
    """Sum over samples of weight times log p(x_i), in units of `weight_unit`; nothing of size n is kept."""
    return _over(source, _log_likelihood, operator.add, n_threads, params=params)


def _log_likelihood(source: Source, *, params: Params, n_threads: int | None) -> float:
    packed = params.packed(source.dtype)
    plan = lanes(source, len(params.weights), 0)
    total = 0.0
    with _jit.threads(effective_threads(n_threads)) as run, closing(source.blocks(plan.rows)) as blocks:
        for block in blocks:
            values = np.empty((len(block.X), 1), source.dtype)
            _in_lanes(run, kernels.evaluate, plan, block.samples, packed, LOG_PROB, np.empty(0, np.int64), values)
            each = values[:, 0]
            if block.weights.size:
                # one of weight zero counts for nothing even where its likelihood is zero
                each = np.where(block.weights > 0, each, 0.0).astype(np.float64) * block.weights
            total += float(each.sum(dtype=np.float64))
    return total


class Classified(NamedTuple):
    """Sums over samples, weighted, in units of `weight_unit`; z_ik are the responsibilities.

    log_likelihood : of log p(x_i); certainty : of log max_k z_ik, at most 0; entropy : of -sum_k z_ik log z_ik
    """

    log_likelihood: float
    certainty: float
    entropy: float

    def times(self, factor: float) -> Classified:
        """Those of samples that count `factor` times as much."""
        return Classified(*(factor * value for value in self))


def classified(source: AnySource, params: Params, n_threads: int | None = None) -> Classified:
    """Log-likelihood, and how clearly samples belong to components, in one pass; nothing of size n is kept."""
    return Classified(*_over(source, _classified, np.add, n_threads, params=params).tolist())


def _classified(source: Source, *, params: Params, n_threads: int | None) -> Float:
    k = len(params.weights)
    packed = params.packed(source.dtype)
    plan = lanes(source, k, 0, row_bytes=8 * k)
    sums = np.zeros(3)
    with _jit.threads(effective_threads(n_threads)) as run, closing(source.blocks(plan.rows)) as blocks:
        for block in blocks:
            densities = np.empty((len(block.X), k), source.dtype)
            _in_lanes(run, kernels.evaluate, plan, block.samples, packed, LOG_DENSITY, np.empty(0, np.int64), densities)
            sums += _sums_of(densities.T.astype(np.float64, order="C"), block.weights)
    return sums


def _sums_of(densities: Float, weights: NDArray) -> Float:
    """Those of `Classified` from log(pi_k N(x_i | ...)), (k, n), which are overwritten.

    With a_ik these less their maximum over k, t_i = sum_k exp a_ik: log max_k z_ik = -log t_i, and the entropy is
    log t_i - sum_k a_ik exp(a_ik) / t_i.
    """
    top = densities.max(axis=0)
    with np.errstate(invalid="ignore"):
        densities -= top  # NaN where all are -inf
    shares = np.exp(densities)
    total = shares.sum(axis=0)
    log_total = np.log(total)
    np.maximum(densities, -800.0, out=densities)  # its share is 0: 0 log 0 = 0
    spread = np.einsum("kn,kn->n", densities, shares) / total
    each = np.stack([top + log_total, -log_total, log_total - spread])
    # a sample whose likelihood is zero belongs to no component: that of all is zero, and the rest as if it were not there
    each[:, top == -np.inf] = [[-np.inf], [0.0], [0.0]]
    if weights.size:
        # one of weight zero counts for nothing even where its likelihood is zero
        each = np.where(weights > 0, each, 0.0) * weights
    return each.sum(axis=1)


def _values(source: Source, params: Params, what: int, n_threads: int | None, *, weighted: bool = True) -> NDArray:
    columns = 1 if what == LOG_PROB else len(params.weights)
    name = {LOG_PROB: "log-likelihoods", RESPONSIBILITIES: "responsibilities", LOG_DENSITY: "log-densities"}[what]
    out = _output(source, name, (source.n_samples, columns), source.dtype)
    packed = params.packed(source.dtype, weighted=weighted)
    _evaluate(source, packed, what, np.empty(0, np.int64), out, n_threads)
    return out


def _output(source: Source, name: str, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    with memory_for(f"the {name} of {source.n_samples} samples", "Pass X in parts, one after the other"):
        return np.empty(shape, dtype)


def _evaluate(source: Source, packed: Packed, what: int, out: NDArray, values: NDArray, n_threads: int | None) -> None:
    """Write `out` (n,) or `values` (n, ...), whichever is not empty."""
    plan = lanes(source, packed.means.shape[0], 0)
    with _jit.threads(effective_threads(n_threads)) as run, closing(source.blocks(plan.rows)) as blocks:
        for block in blocks:
            rows = slice(block.start, block.start + len(block.X))
            _in_lanes(run, kernels.evaluate, plan, block.samples, packed, what, out[rows], values[rows])


def effective_threads(n_threads: int | None) -> int:
    """Threads to use: what Numba was set to by default, and never more than it was started with."""
    return _jit.current_threads() if n_threads is None else min(n_threads, _jit.max_threads())

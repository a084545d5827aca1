"""One pass over a source: parameters -> statistics, or parameters -> what is asked of each sample.

The only caller of the E- and M-kernels and the only place that decides about threads and lanes. Blocks are closed where
a pass is left, by Ctrl-C as well: that ends the thread that reads ahead, which an exception's traceback would keep alive.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastgmm import _jit
from fastgmm._errors import memory_for
from fastgmm.em.callbacks import SILENT, Callback
from fastgmm.kernels import sweep as kernels
from fastgmm.kernels.full import scatter_width
from fastgmm.kernels.sweep import LABELS, LOG_DENSITY, LOG_PROB, RESPONSIBILITIES
from fastgmm.kernels.tile import TILE, Samples, Sums, tile_width
from fastgmm.model.layouts import FULL, Layout, Packed, pad, padded, symmetric
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats
from fastgmm.sources.array import ArraySource, LocalSource, Source

Float = NDArray[np.float64]
S = TypeVar("S", bound=Source)

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
    source: LocalSource,
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


def precise(source: S, layout: Layout, k: int) -> S | ArraySource:
    """Return float32 samples as float64 where they are so few that matrices of their own are singular, or nearly; else `source`.

    The rounding of a scatter in float32 is then as much as its smallest eigenvalues, which are what the likelihood is made of. The
    copy is smaller than two sets of covariances.
    """
    few = isinstance(source, ArraySource) and source.n_samples < 2 * k * (source.n_features + 1)
    if layout is FULL and few and source.dtype == np.float32:
        assert isinstance(source, ArraySource)
        return source.in_double()
    return source


@dataclass(frozen=True)
class Total:
    """Mean (d,) and scatter about it (d, d) of all samples: what the tied M-step needs beyond first moments."""

    mean: Float
    scatter: Float


def mean(source: Source) -> Float:
    """Weighted mean of each feature, shape (d,). One pass; its bits do not depend on the memory order of the samples."""
    return source.map_reduce(_sum, np.add) / source.total_weight


def _sum(source: LocalSource) -> Float:
    """Weighted sum of each feature, shape (d,)."""
    total = np.zeros(source.n_features)
    with closing(source.blocks(max(1, (1 << 20) // source.n_features))) as blocks:
        for block in blocks:
            X = np.ascontiguousarray(block.X)
            # einsum and no product of matrices: BLAS adds in another order on another number of threads
            weighted = X.sum(axis=0, dtype=np.float64) if block.weights.size == 0 else _weighted_sum(block.weights, X)
            total += weighted
    return total


def ranges(source: Source, n_threads: int | None) -> tuple[Float, Float]:
    """Least and greatest value of each feature, each (d,), of the samples of positive weight."""
    return source.map_reduce(_ranges, _wider, n_threads)


def _ranges(source: LocalSource) -> tuple[Float, Float]:
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


def total(source: Source, n_threads: int | None) -> Total:
    """Mean and total scatter of a source, in two passes at the first call and from its memory afterwards.

    In float64 whatever the samples are: all that tied components are made of is a difference from it, which rounding in float32
    may leave indefinite.
    """
    if "total" not in source.memory:
        origin = pad(mean(source), np.float64)
        first, second = source.map_reduce(partial(_moments, origin=origin), _Moments.merge, n_threads)
        shift = first / source.total_weight
        source.memory["total"] = Total(origin[: source.n_features] + shift, second - np.outer(first, shift))
    return source.memory["total"]


def _moments(source: LocalSource, *, origin: NDArray) -> _Moments:
    """Moments about `origin`, which is padded."""
    d = source.n_features
    width = scatter_width(d)
    plan = lanes(source, 1, width * width)
    tile = tile_width(FULL.tile_bytes, len(origin), origin.itemsize)
    sums, scatter = np.zeros((plan.n_lanes, len(origin))), np.zeros((plan.n_lanes * width, width))
    with (
        _jit.Crew(min(_jit.current_threads(), plan.n_lanes)) as crew,
        closing(source.blocks(plan.rows)) as blocks,
    ):
        for block in blocks:
            arguments = (block.samples, block.weights, origin[None, :], tile, plan.width)
            crew.run(kernels.scatter_lanes, *arguments, sums, scatter)
    second = symmetric(scatter.reshape(plan.n_lanes, width, width).sum(axis=0)[:d, :d])
    return _Moments(sums.sum(axis=0)[:d], second)


def sweep(source: Source, params: Params, n_threads: int | None = None, *, callback: Callback = SILENT) -> Stats:
    """E-step: statistics of the responsibilities of `params`, about its means. Nothing of size n is kept."""
    layout = params.layout
    if far_apart(source, params, n_threads):
        apart = sweep(source, params.in_layout(FULL), n_threads, callback=callback)
        return replace(apart, layout=layout, scatter=layout.of_full_scatter(apart.scatter))
    stats = source.map_reduce(partial(_swept, params=params), Stats.merge, n_threads, callback.block)
    return pooled(stats, total(source, n_threads)) if layout.pools else stats


def far_apart(source: Source, params: Params, n_threads: int | None) -> bool:
    """Whether the scatter within tied components is so small a part of the total that their difference would not show it."""
    if not params.layout.pools:
        return False
    within = source.total_weight * np.diagonal(params.covariances)
    return bool((np.diagonal(total(source, n_threads).scatter) > _FAR * within).any())


def _swept(
    source: LocalSource,
    on_block: Callable[[int], None] | None = None,
    *,
    params: Params,
    resp: Callable[[int, int], NDArray] | None = None,
) -> Stats:
    """Statistics about the means of `params`, of its responsibilities or of those given; a pooled scatter is left out."""
    k, d = params.means.shape
    packed = params.packed(source.dtype)
    # the origin is the mean that the kernel subtracts: rounded to the dtype of the data
    origin = packed.means[:, :d].astype(np.float64)
    plan, out = accumulators(source, params.layout, k, row_bytes=0 if resp is None else 8 * k)
    given = np.empty((0, k), source.dtype)
    with _jit.threads(_jit.current_threads()) as run, closing(source.blocks(plan.rows)) as blocks:
        for block in blocks:
            if resp is not None:
                rows = resp(block.start, block.start + len(block.X))
                given = np.ascontiguousarray(rows, dtype=source.dtype)
            _in_lanes(run, kernels.sweep, plan, block.samples, packed, given, block.weights, out)
            if on_block is not None:
                on_block(block.start + len(block.X))
    return collect(source, params.layout, plan, out, origin)


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
    source: LocalSource,
    layout: Layout,
    origin: Float,
    resp: Callable[[int, int], NDArray],
    n_threads: int | None = None,
    *,
    complete: bool = True,
) -> Stats:
    """Statistics of given responsibilities about `origin` (k, d); ``resp(a, b)`` returns rows a..b, shape (b - a, k).

    `complete` says that rows add up to 1: then a layout that pools needs no scatter of each component.
    """
    inner = layout if complete or not layout.pools else FULL
    k, d = origin.shape
    unit = inner.of_matrices(np.tile(np.eye(d), (k, 1, 1)))
    params = Params(inner, np.full(k, 1.0 / k), origin, unit, unit)
    stats = source.map_reduce(partial(_swept, params=params, resp=resp), Stats.merge, n_threads)
    if inner.pools:
        known = total(source, n_threads)
        stats = pooled(stats, known)
        if (np.diagonal(known.scatter) > _FAR * np.diagonal(stats.scatter)).any():
            return accumulate(source, layout, origin, resp, n_threads, complete=False)
    scatter = stats.scatter if inner is layout else layout.of_full_scatter(stats.scatter)
    return replace(stats, layout=layout, log_likelihood=float("nan"), scatter=scatter)


def accumulators(source: LocalSource, layout: Layout, k: int, *, row_bytes: int = 0) -> tuple[Lanes, Sums]:
    """How a sweep cuts a source, and zeros for all lanes to add to."""
    d = source.n_features
    rows, columns = layout.accumulator_shape(k, d)
    plan = lanes(source, k, rows * columns, flops=layout.flops(d), row_bytes=row_bytes)
    n = plan.n_lanes
    sums, scatter = np.zeros((n * k, padded(d))), np.zeros((n * rows, columns))
    return plan, Sums(np.zeros(n), np.zeros((n, k)), sums, scatter)


def collect(source: LocalSource, layout: Layout, plan: Lanes, out: Sums, origin: Float) -> Stats:
    """Add the lanes up, in their order, and take the padding off; a pooled scatter is zero (`pooled`)."""
    k, d = origin.shape
    n = plan.n_lanes
    counts = out.counts.sum(axis=0)
    sums = out.sums.reshape(n, k, -1).sum(axis=0)[:, :d]
    scatter = layout.collected(out.scatter.reshape(n, *layout.accumulator_shape(k, d)), k, d)
    likelihood = float(out.log_likelihood.sum())
    return Stats(layout, source.n_samples, likelihood, counts, sums, scatter, origin, source.dtype)


@np.errstate(over="ignore", invalid="ignore")  # of sums that are not finite, as the likelihood is then
def pooled(stats: Stats, whole: Total) -> Stats:
    """Statistics with the scatter summed over components, from the scatter T of all samples about their mean g.

    With c_k = o_k - g and sum_k r_ik = 1: sum_ik r_ik (x_i - o_k)(x_i - o_k)^T = T - sum_k (s_k c_k^T + c_k s_k^T)
    - sum_k n_k c_k c_k^T.
    """
    c = stats.origin - whole.mean
    cross = stats.sums.T @ c
    return replace(stats, scatter=whole.scatter - (cross + cross.T) - (stats.counts * c.T) @ c)


def labels(source: LocalSource, params: Params, n_threads: int | None = None) -> NDArray[np.int64]:
    """Most probable component of each sample, the first on ties, shape (n,)."""
    out = _output(source, "labels", (source.n_samples,), np.dtype(np.int64))
    _evaluate(source, params.packed(source.dtype), LABELS, out, np.empty((0, 0), source.dtype), n_threads)
    return out


def distinct(
    source: Source, params: Params, components: Sequence[int], most: int, n_threads: int | None = None
) -> NDArray[np.int64]:
    """How many distinct samples have each of `components` as their most probable one, in one pass; `most` where there are more."""
    merge = partial(_merged_rows, most=most)
    look = partial(_distinct, params=params, components=components, most=most)
    found = source.map_reduce(look, merge, n_threads)
    return np.array([len(rows) for rows in found], dtype=np.int64)


def _distinct(source: LocalSource, *, params: Params, components: Sequence[int], most: int) -> list[NDArray]:
    """For each of `components` up to `most` of its distinct samples."""
    found = [np.empty((0, source.n_features), source.dtype) for _ in components]
    plan = lanes(source, len(params.weights), 0)
    with closing(source.blocks(plan.rows)) as blocks:
        for block in blocks:
            X = block.X[block.weights > 0] if block.weights.size else block.X
            of = labels(ArraySource(X), params)
            found = _merged_rows(found, [X[of == j] for j in components], most)
            if all(len(rows) == most for rows in found):
                break
    return found


def _merged_rows(one: list[NDArray], other: list[NDArray], most: int) -> list[NDArray]:
    return [
        a if len(a) == most or not len(b) else np.unique(np.concatenate([a, b]), axis=0)[:most]
        for a, b in zip(one, other, strict=True)
    ]


def log_prob(source: LocalSource, params: Params, n_threads: int | None = None) -> NDArray:
    """log p(x_i), shape (n,), in the dtype of the source."""
    return _values(source, params, LOG_PROB, n_threads)[:, 0]


def responsibilities(source: LocalSource, params: Params, n_threads: int | None = None) -> NDArray:
    """Posterior probabilities of the components, shape (n, k)."""
    return _values(source, params, RESPONSIBILITIES, n_threads)


def log_density(source: LocalSource, params: Params, n_threads: int | None = None) -> NDArray:
    """log N(x_i | mean_k, covariance_k), weights left out, shape (n, k)."""
    return _values(source, params, LOG_DENSITY, n_threads, weighted=False)


def log_likelihood(source: Source, params: Params, n_threads: int | None = None) -> float:
    """Sum over samples of weight times log p(x_i), in units of `weight_unit`; nothing of size n is kept."""
    return source.map_reduce(partial(_log_likelihood, params=params), operator.add, n_threads)


def _log_likelihood(source: LocalSource, *, params: Params) -> float:
    packed = params.packed(source.dtype)
    plan = lanes(source, len(params.weights), 0)
    total = 0.0
    with _jit.threads(_jit.current_threads()) as run, closing(source.blocks(plan.rows)) as blocks:
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


def classified(source: Source, params: Params, n_threads: int | None = None) -> Classified:
    """Log-likelihood, and how clearly samples belong to components, in one pass; nothing of size n is kept."""
    return Classified(*source.map_reduce(partial(_classified, params=params), np.add, n_threads).tolist())


def _classified(source: LocalSource, *, params: Params) -> Float:
    k = len(params.weights)
    packed = params.packed(source.dtype)
    plan = lanes(source, k, 0, row_bytes=8 * k)
    sums = np.zeros(3)
    with _jit.threads(_jit.current_threads()) as run, closing(source.blocks(plan.rows)) as blocks:
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


def _values(source: LocalSource, params: Params, what: int, n_threads: int | None, *, weighted: bool = True) -> NDArray:
    columns = 1 if what == LOG_PROB else len(params.weights)
    name = {LOG_PROB: "log-likelihoods", RESPONSIBILITIES: "responsibilities", LOG_DENSITY: "log-densities"}[what]
    out = _output(source, name, (source.n_samples, columns), source.dtype)
    packed = params.packed(source.dtype, weighted=weighted)
    _evaluate(source, packed, what, np.empty(0, np.int64), out, n_threads)
    return out


def _output(source: LocalSource, name: str, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    with memory_for(f"the {name} of {source.n_samples} samples", "Pass X in parts, one after the other"):
        return np.empty(shape, dtype)


def _evaluate(
    source: LocalSource, packed: Packed, what: int, out: NDArray, values: NDArray, n_threads: int | None
) -> None:
    """Write `out` (n,) or `values` (n, ...), whichever is not empty."""
    plan = lanes(source, packed.means.shape[0], 0)
    with _jit.threads(_jit.effective_threads(n_threads)) as run, closing(source.blocks(plan.rows)) as blocks:
        for block in blocks:
            rows = slice(block.start, block.start + len(block.X))
            _in_lanes(run, kernels.evaluate, plan, block.samples, packed, what, out[rows], values[rows])

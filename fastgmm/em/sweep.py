"""Passes that reduce a source to statistics: the E-step with its sums, and the total scatter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastgmm import _threads
from fastgmm._errors import listed
from fastgmm.data.source import ArraySource, Block, LocalSource, Source
from fastgmm.em import incomplete, rows
from fastgmm.em.callbacks import SILENT, Callback
from fastgmm.em.lanes import Lanes, lanes
from fastgmm.kernels import sweep as kernels
from fastgmm.kernels.full import scatter_width
from fastgmm.kernels.tile import Sums, tile_width
from fastgmm.model.cholesky import NotPositiveDefinite
from fastgmm.model.incomplete import completed, observed
from fastgmm.model.layouts import DIAG, FULL, Layout, Packed, pad, padded, symmetric
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats

Float = NDArray[np.float64]
S = TypeVar("S", bound=Source)

#: How much larger than the variances within tied components the total ones may be. Their difference, the scatter
#: within, is then wrong by some 100 epsilons at most; beyond, that of each component is computed, in up to k times the time.
_FAR = 100.0


def precise(source: S, layout: Layout, k: int) -> S | ArraySource:
    """Return float32 samples as float64 if they are too few for matrices of their own that are well conditioned; else `source`.

    The rounding of a scatter in float32 is then as much as its smallest eigenvalues, which the likelihood is made of. The copy is
    smaller than two sets of covariances.
    """
    few = isinstance(source, ArraySource) and source.n_samples < 2 * k * (source.n_features + 1)
    if layout is FULL and few and source.dtype == np.float32:
        assert isinstance(source, ArraySource)
        return source.in_double()
    return source


@dataclass(frozen=True)
class TotalScatter:
    """Mean (d,) and scatter about it (d, d) of all samples: what the tied M-step needs beyond first moments."""

    mean: Float
    scatter: Float


def mean(source: Source) -> Float:
    """Return the weighted mean of each feature, shape (d,). One pass; its bits do not depend on the memory order of the samples.

    Of an incomplete source it is the mean of the values that there are, NaN if there are none; it is kept.
    """
    if not source.incomplete:
        return source.map_reduce(_sum, np.add) / source.total_weight
    if "mean" not in source.memory:
        sums, weights = source.map_reduce(_observed_sums, np.add)
        with np.errstate(invalid="ignore"):
            source.memory["mean"] = sums / weights
    return source.memory["mean"]


def check_observed(source: Source, names: Sequence[str] | NDArray | None = None) -> None:
    """Raise ValueError if there is a feature without any value; `names` are those of the features."""
    if not source.incomplete:
        return
    empty = np.flatnonzero(np.isnan(mean(source))).tolist()
    if empty:
        which = listed([str(j) if names is None else repr(str(names[j])) for j in empty], most=8)
        counted = " (counted from 0)" if names is None else ""
        raise ValueError(
            f"feature {which}{counted} has no value in any sample of positive weight: leave it out, X says nothing about it"
        )


def _observed_sums(source: LocalSource) -> Float:
    """Return the weighted sum of each feature's values, and the sum of their weights, (2, d)."""
    sums = np.zeros((2, source.n_features))
    with closing(source.blocks(max(1, (1 << 18) // source.n_features))) as blocks:
        for block in blocks:
            X = np.ascontiguousarray(block.X)
            there = ~np.isnan(X)
            weights = block.weights if block.weights.size else np.ones(len(X))
            sums += _weighted_sum(weights, np.where(there, X, 0.0)), _weighted_sum(weights, there)
    return sums


def _sum(source: LocalSource) -> Float:
    """Return the weighted sum of each feature, shape (d,)."""
    total = np.zeros(source.n_features)
    with closing(source.blocks(max(1, (1 << 20) // source.n_features))) as blocks:
        for block in blocks:
            X = np.ascontiguousarray(block.X)
            # einsum, not a product of matrices: BLAS adds in another order on another number of threads
            weighted = X.sum(axis=0, dtype=np.float64) if block.weights.size == 0 else _weighted_sum(block.weights, X)
            total += weighted
    return total


def ranges(source: Source, n_threads: int | None, axes: Float | None = None) -> tuple[Float, Float]:
    """Return the least and greatest value of each feature, each (d,), of the samples of positive weight.

    With `axes` (d, d), along each of its columns.
    """
    return source.map_reduce(partial(_ranges, axes=axes), _wider, n_threads)


def _ranges(source: LocalSource, *, axes: Float | None) -> tuple[Float, Float]:
    found = np.full(source.n_features, np.inf), np.full(source.n_features, -np.inf)
    with closing(source.blocks(max(1, (1 << 20) // source.n_features))) as blocks:
        for block in blocks:
            X = block.X[block.weights > 0] if block.weights.size else block.X
            if axes is not None:
                # einsum, not a product of matrices, whose bits depend on the number of threads and of rows
                X = np.einsum("ij,jk->ik", np.ascontiguousarray(X, np.float64), axes)
            if len(X):
                # like min and max, but missing values are passed over
                found = _wider(found, (np.fmin.reduce(X).astype(np.float64), np.fmax.reduce(X).astype(np.float64)))
    return found


def _wider(one: tuple[Float, Float], other: tuple[Float, Float]) -> tuple[Float, Float]:
    return np.fmin(one[0], other[0]), np.fmax(one[1], other[1])


def _weighted_sum(weights: NDArray, X: NDArray) -> Float:
    return np.einsum("i,ij->j", weights.astype(np.float64), X, dtype=np.float64)


class _Moments(NamedTuple):
    """Sums of samples about an origin and of their products, (d,) and (d, d)."""

    first: Float
    second: Float

    def merge(self, other: _Moments) -> _Moments:
        return _Moments(self.first + other.first, self.second + other.second)


def total(source: Source, n_threads: int | None) -> TotalScatter:
    """Return the mean and total scatter of a source, in two passes at the first call and from its memory afterwards.

    They are in float64 whatever the samples are: the scatter of tied components is a difference from the total one, which rounding
    in float32 may leave indefinite.

    Of an incomplete source they are those of the most likely normal distribution, by a few passes of EM: of pairs of values that
    happen to be there, scatter need not be positive definite.
    """
    if "total" not in source.memory and source.incomplete:
        source.memory["total"] = _most_likely(source, n_threads)
    if "total" not in source.memory:
        origin = pad(mean(source), np.float64)
        first, second = source.map_reduce(partial(_moments, origin=origin), _Moments.merge, n_threads)
        shift = first / source.total_weight
        source.memory["total"] = TotalScatter(origin[: source.n_features] + shift, second - np.outer(first, shift))
    return source.memory["total"]


#: EM of a single component, for `total`: iterations at most, and the gain of the mean log-likelihood that ends them.
_ITERATIONS, _GAIN = 50, 1e-6


def _most_likely(source: Source, n_threads: int | None) -> TotalScatter:
    """Return mean and scatter of the most likely normal distribution of incomplete samples."""
    centre = mean(source)
    stats = accumulate(source, FULL, centre[None], everything, n_threads)
    bound = -np.inf
    for _ in range(_ITERATIONS):
        n = stats.counts[0]
        centre = stats.origin[0] + stats.sums[0] / n
        scatter = FULL.within(stats.scatter, stats.sums, stats.counts)[0]
        # EM of features that others imply comes near to a singular matrix
        covariance = scatter / n + np.diag(1e-12 * np.diagonal(scatter) / n + np.finfo(np.float64).tiny)
        try:
            root = FULL.precision_cholesky(covariance[None])
        except NotPositiveDefinite:
            break
        stats = sweep(source, Params(FULL, np.ones(1), centre[None], covariance[None], root), n_threads)
        previous, bound = bound, stats.log_likelihood / source.total_weight
        if not bound - previous > _GAIN:
            break
    return TotalScatter(centre, scatter)


def everything(start: int, stop: int) -> Float:
    """Return the responsibilities (stop - start, 1) of a component that has all samples."""
    return np.ones((stop - start, 1))


def _moments(source: LocalSource, *, origin: NDArray) -> _Moments:
    """Return the moments about `origin`, which is padded."""
    d = source.n_features
    width = scatter_width(d)
    plan = lanes(source, 1, width * width)
    tile = tile_width(FULL.tile_bytes, len(origin), origin.itemsize)
    sums, scatter = np.zeros((plan.n_lanes, len(origin))), np.zeros((plan.n_lanes * width, width))
    with (
        _threads.ThreadPool(min(_threads.current_threads(), plan.n_lanes)) as pool,
        closing(source.blocks(plan.rows)) as blocks,
    ):
        for block in blocks:
            arguments = (block.samples, block.weights, origin[None, :], tile, plan.width)
            pool.run(kernels.scatter_lanes, *arguments, sums, scatter)
    second = symmetric(scatter.reshape(plan.n_lanes, width, width).sum(axis=0)[:d, :d])
    return _Moments(sums.sum(axis=0)[:d], second)


def sweep(source: Source, params: Params, n_threads: int | None = None, *, callback: Callback = SILENT) -> Stats:
    """Do the E-step: return statistics of the responsibilities of `params`, about its means. Nothing of size n is kept."""
    layout = params.layout
    if source.noise_columns is not None:
        return source.map_reduce(partial(_swept_noisy, params=params), Stats.merge, n_threads, callback.block)
    if source.incomplete:
        return source.map_reduce(partial(_swept, params=params), Stats.merge, n_threads, callback.block)
    # the total scatter less that between components is the one within only if all samples belong to components. With noise each
    # component has its own scatter computed. Responsibilities in one pass and the scatter of noise in another took 1.6 times as
    # long at 200 000 x 8, k = 5, 1.3 times at 100 000 x 8, k = 10, and 0.6 and 0.3 times at 50 000 x 32, k = 10 and 32
    if far_apart(source, params, n_threads) or (layout.pools and params.noise is not None):
        apart = sweep(source, params.in_layout(FULL), n_threads, callback=callback)
        return replace(apart, layout=layout, scatter=layout.of_full_scatter(apart.scatter))
    stats = source.map_reduce(partial(_swept, params=params), Stats.merge, n_threads, callback.block)
    return pooled(stats, total(source, n_threads)) if layout.pools else stats


def _swept_noisy(source: LocalSource, on_block: Callable[[int], None] | None = None, *, params: Params) -> Stats:
    """Return the statistics of samples without their errors; a pooled scatter is there."""
    observation = rows.shared_noise(source)
    if observation is None:
        return rows.swept(source, on_block, params=params)
    return completed(_swept(source, on_block, params=observed(params, observation)), params, observation)


def far_apart(source: Source, params: Params, n_threads: int | None) -> bool:
    """Return whether the scatter within tied components is too small a part of the total for a difference to show it."""
    if not params.layout.pools or source.noise_columns is not None:
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
    """Return statistics about the means of `params`, of its responsibilities or given ones; a pooled scatter is left out.

    Of incomplete samples it is there: each component has its own scatter computed.
    """
    if source.incomplete:
        return incomplete.swept(source, on_block, params=params, sweep=_swept, resp=resp)
    k, d = params.n_densities, params.means.shape[1]
    packs = _packs(params, source)
    # the origin is the mean that the kernel subtracts: rounded to the dtype of the data
    origin = packs[-1].means[:, :d].astype(np.float64)
    plan, out = accumulators(source, params.layout, k, row_bytes=0 if resp is None else 8 * k)
    given = np.empty((0, k), source.dtype)
    with _threads.for_lanes(plan.n_lanes, None) as ready, closing(source.blocks(plan.rows)) as blocks:
        for block in blocks:
            n = len(block.X)
            if resp is not None:
                rows = resp(block.start, block.start + n)
                given = np.ascontiguousarray(rows, dtype=source.dtype)
            for part, packed in [(block, packs[-1])] if resp is not None else _by_label(block, packs):
                m = len(part.X)
                if plan.n_lanes > 1:
                    ready(kernels.sweep)(part.samples, plan.width, plan.of(m), packed, given, part.weights, out)
                else:
                    kernels.sweep_lane(part.samples, 0, m, packed, given, part.weights, 0, out)
            if on_block is not None:
                on_block((block.start + n) * source.n_counted // source.n_samples)
    stats = collect(source, params.layout, plan, out, origin)
    return stats if params.noise is None else stats.without_last()


def _packs(params: Params, source: LocalSource) -> list[Packed]:
    """Return the parameters for samples of each label, whose other components have no density, and last those for all others."""
    packed = params.packed(source.dtype)
    allowed = () if source.allowed is None else source.allowed
    impossible = packed.constant.dtype.type(-np.inf)
    return [*(packed._replace(constant=np.where(mine, packed.constant, impossible)) for mine in allowed), packed]


def _by_label(block: Block, packs: list[Packed]) -> Iterator[tuple[Block, Packed]]:
    """Yield the samples of a block by their labels, each with its parameters."""
    if block.labels is None:
        yield block, packs[-1]
        return
    for label in np.unique(block.labels):
        rows = block.labels == label
        weights = block.weights[rows] if block.weights.size else block.weights
        yield Block(block.start, block.X[rows], weights), packs[label]


def accumulate(
    source: Source,
    layout: Layout,
    origin: Float,
    resp: Callable[[int, int], NDArray],
    n_threads: int | None = None,
    *,
    complete: bool = True,
) -> Stats:
    """Return statistics of given responsibilities about `origin` (k, d); ``resp(a, b)`` returns rows a..b, shape (b - a, k).

    Of samples that lie elsewhere the rows are those of each part: only responsibilities that are the same for all make sense.
    Missing values have the mean and the variance of the values that the component has of the feature.
    `complete` says that rows add up to 1: then a layout that pools needs no scatter of each component.
    """
    if source.incomplete:
        return _accumulate_incomplete(source, layout, origin, resp, n_threads)
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


def _accumulate_incomplete(
    source: Source, layout: Layout, origin: Float, resp: Callable[[int, int], NDArray], n_threads: int | None
) -> Stats:
    """Do `accumulate` in two passes: one for means and variances of observed values, one for the statistics."""
    counts, sums, squares = source.map_reduce(partial(_observed_moments, origin=origin, resp=resp), np.add, n_threads)
    some = np.maximum(counts, np.finfo(np.float64).tiny)
    shift = sums / some
    squares = np.maximum(squares - sums * shift, 0.0)
    # as if there were one more value, with the variance of all components: that of few values may be 0
    pooled_variances = squares.sum(axis=0) / np.maximum(counts.sum(axis=0), np.finfo(np.float64).tiny)
    variances = (squares + pooled_variances) / (counts + 1.0)
    variances += np.finfo(np.float64).tiny
    # a component without any value of a feature has the mean of the others
    fallback = (sums + counts * origin).sum(axis=0) / np.maximum(counts.sum(axis=0), np.finfo(np.float64).tiny)
    means = np.where(counts > 0.0, origin + shift, fallback)
    along_axes = Params(DIAG, np.full(len(means), 1.0 / len(means)), means, variances, 1.0 / np.sqrt(variances))
    params = along_axes.in_layout(FULL)
    stats = source.map_reduce(partial(_swept, params=params, resp=resp), Stats.merge, n_threads)
    return replace(stats.in_layout(layout), log_likelihood=float("nan"))


def _observed_moments(source: LocalSource, *, origin: Float, resp: Callable[[int, int], NDArray]) -> Float:
    """Return weights, sums and sums of squares about `origin` of the values of each feature by component, (3, k, d)."""
    return incomplete.observed_moments(source, origin, _swept, resp)


def accumulators(source: LocalSource, layout: Layout, k: int, *, row_bytes: int = 0) -> tuple[Lanes, Sums]:
    """Return how a sweep cuts a source, and zeros for all lanes to add to."""
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
    return Stats(layout, source.n_counted, likelihood, counts, sums, scatter, origin, source.dtype)


@np.errstate(over="ignore", invalid="ignore")  # of sums that are not finite, as the likelihood is then
def pooled(stats: Stats, whole: TotalScatter) -> Stats:
    """Return statistics with the scatter summed over components, from the scatter T of all samples about their mean g.

    With c_k = o_k - g and sum_k r_ik = 1: sum_ik r_ik (x_i - o_k)(x_i - o_k)^T = T - sum_k (s_k c_k^T + c_k s_k^T)
    - sum_k n_k c_k c_k^T.
    """
    c = stats.origin - whole.mean
    cross = stats.sums.T @ c
    return replace(stats, scatter=whole.scatter - (cross + cross.T) - (stats.counts * c.T) @ c)

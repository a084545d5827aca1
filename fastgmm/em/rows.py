"""Passes over samples one by one: each with a covariance of its errors, or with missing features."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm import _threads
from fastgmm.data.noisy import NoisySource
from fastgmm.data.source import Block, LocalSource
from fastgmm.em.lanes import Lanes, lanes
from fastgmm.kernels import rows as kernels
from fastgmm.kernels.rows import MODERATE, Matrices, RowSums, Variances
from fastgmm.model.incomplete import Observation
from fastgmm.model.layouts import DIAG, FULL, Layout
from fastgmm.model.params import HALF_LOG_2_PI, Params
from fastgmm.model.stats import Stats

Float = NDArray[np.float64]

#: Bytes of what a tile keeps of all components: with more samples in a tile vectors are used better, with fewer the cache.
_TILE_BYTES = 2**17


@cache
def _triangle(d: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of a lower triangle, row by row."""
    return np.tril_indices(d)


def triangles(matrices: Float) -> Float:
    """Return the lower triangles of (k, d, d), row by row, (k, d (d + 1) / 2)."""
    rows, columns = _triangle(matrices.shape[-1])
    return np.ascontiguousarray(matrices[:, rows, columns])


def lower_factors(matrices: Float) -> Float:
    """Return the lower triangular C with V = C C^T of positive definite matrices (k, d, d).

    Without LAPACK, whose bits may depend on the number of its threads.
    """
    factors = np.zeros_like(matrices)
    for j in range(matrices.shape[-1]):
        left = matrices[:, j:, j] - np.einsum("kim,km->ki", factors[:, j:, :j], factors[:, j, :j])
        factors[:, j:, j] = left / np.sqrt(left[:, :1])
    return factors


class Prepared(NamedTuple):
    """Parameters for the kernels of rows, and what turns their sums into statistics.

    factor : (k, d, d) or (k, d), C of `kernels.rows`; layout : FULL or DIAG, that of the statistics.
    """

    packed: Matrices | Variances
    factor: Float
    layout: Layout


@np.errstate(divide="ignore")  # a component may have no weight
def prepared(params: Params, noise_columns: int, *, weighted: bool = True) -> Prepared:
    """Lay parameters out for samples with no errors, variances (d columns) or covariances (d * d columns) of them."""
    k, d = params.means.shape
    independent = not params.layout.correlates and noise_columns <= d
    constant = (
        params.log_offsets(weighted=weighted) - d * HALF_LOG_2_PI
    )  # without the determinant, which is that of each sample
    box = np.zeros(d)
    if params.noise is not None:
        level = -params.noise.log_volume + (np.log(params.noise.weight) if weighted else 0.0)
        constant, box = np.append(constant, level), np.log(params.noise.high - params.noise.low)
    size = d if independent else d * (d + 1) // 2
    tile = 64 if 8 * k * (size + d) * 64 <= _TILE_BYTES else 32
    head = constant.astype(np.float64), np.ascontiguousarray(params.means, np.float64)
    if independent:
        variances = np.array(params.variances)
        roots = np.sqrt(variances)
        return Prepared(Variances(*head, variances, roots, box, True, tile), roots, DIAG)
    matrices = params.layout.matrices(params.covariances, k, d)
    factor = lower_factors(matrices)
    pivots = np.diagonal(factor, axis1=1, axis2=2) ** 2
    moderate = bool(pivots.min() > 1.0 / MODERATE and np.abs(matrices).max() < MODERATE)
    return Prepared(Matrices(*head, triangles(matrices), triangles(factor), box, moderate, tile), factor, FULL)


class Kernel(NamedTuple):
    """A kernel over the lanes of a block, and its code for a single lane."""

    parallel: Callable
    lane: Callable


_SWEEP = Kernel(kernels.sweep_rows, kernels.sweep_rows_lane)
LABEL = Kernel(kernels.label_rows, kernels.label_rows_lane)
EVALUATE = Kernel(kernels.evaluate_rows, kernels.evaluate_rows_lane)


def _flops(layout: Layout, d: int) -> float:
    """Return the operations of a sweep for each sample and component.

    As measured: 56 ns for each sample and component at d = 3, 2300 at d = 20; 38 and 260 if features are independent.
    """
    return 360 * d if layout is DIAG else d * d * (3 * d + 150)


def nanoseconds(params: Params) -> float:
    """Return how long a sweep takes for a sample without errors, roughly."""
    return params.n_densities * _flops(FULL if params.layout.correlates else DIAG, params.means.shape[1]) / 30


def plan_of(source: LocalSource, params: Params, prepared: Prepared, *, row_bytes: int = 0) -> Lanes:
    """Return how a pass cuts a source."""
    k, d = params.n_densities, source.n_features
    flops, size = _flops(prepared.layout, d), k * prepared.packed.covariance.shape[1]
    return lanes(source, k, size, flops=flops, row_bytes=row_bytes)


def noise_of(block: Block) -> NDArray:
    """Return the errors of the samples of a block for the kernels."""
    if block.noise is not None:
        return block.noise
    none = np.empty((0, 0), block.X.dtype)
    none.flags.writeable = False  # as errors are: kernels are compiled once
    return none


def shared_noise(source: LocalSource) -> Observation | None:
    """Return what is observed of each sample of a source, if they are complete and have errors of the same covariance."""
    if not isinstance(source, NoisySource) or len(source.noise) > 1 or source.incomplete:
        return None
    d = source.n_features
    noise = source.noise[0].astype(np.float64)
    return Observation(np.arange(d), np.diag(noise) if len(noise) == d else noise.reshape(d, d))


def swept(source: LocalSource, on_block: Callable[[int], None] | None = None, *, params: Params) -> Stats:
    """Return the statistics of a sweep over samples of which each has errors of its own, or missing features.

    They are those that are expected of the complete samples without errors, about the means of `params` in float64. A scatter that
    the layout pools is the sum of those of the components.
    """
    given = prepared(params, source.noise_columns or 0)
    plan, out = _accumulators(source, params, given)
    with _threads.for_lanes(plan.n_lanes, None) as ready, closing(source.blocks(plan.rows)) as blocks:
        for block in blocks:
            in_lanes(ready, plan, block, given.packed, _SWEEP, block.weights, out)
            if on_block is not None:
                on_block((block.start + len(block.X)) * source.n_counted // source.n_samples)
    return _collected(source, params, given, plan, out)


def _accumulators(source: LocalSource, params: Params, given: Prepared) -> tuple[Lanes, RowSums]:
    """Return how a sweep cuts a source, and zeros for all lanes to add to."""
    plan = plan_of(source, params, given)
    n, k, d = plan.n_lanes, params.n_densities, source.n_features
    size = given.packed.covariance.shape[1]
    return plan, RowSums(np.zeros(n), np.zeros((n, k)), np.zeros((n * k, d)), np.zeros((n * k, size)))


def _collected(source: LocalSource, params: Params, given: Prepared, plan: Lanes, out: RowSums) -> Stats:
    """Add the lanes up, in their order, and turn sums of w and w w^T - M into those of b - mean = C w and its scatter."""
    n = plan.n_lanes
    k, d = params.means.shape
    counts = out.counts.sum(axis=0)
    of_noise = float(counts[k:].sum())
    counts = counts[:k]
    sums = out.sums.reshape(n, -1, d).sum(axis=0)[:k]
    inner = out.scatter.reshape(n, -1, out.scatter.shape[1]).sum(axis=0)[:k]
    factor, layout = given.factor, params.layout
    if given.layout is DIAG:
        sums, scatter = factor * sums, factor**2 * (inner + counts[:, None])
        full = scatter[:, :, None] * np.eye(d)
    else:
        # einsum, not products of matrices, whose bits may depend on the number of threads
        full = _squares(inner, d)
        full[:, np.arange(d), np.arange(d)] += counts[:, None]
        full = np.einsum("kij,klj->kil", np.einsum("kij,kjl->kil", factor, full), factor)
        full = 0.5 * (full + np.swapaxes(full, 1, 2))
        sums = np.einsum("kij,kj->ki", factor, sums)
    likelihood = float(out.log_likelihood.sum())
    scatter = layout.of_full_scatter(full)
    return Stats(
        layout, source.n_counted, likelihood, counts, sums, scatter, params.means, source.dtype, noise=of_noise
    )


def _squares(triangle: Float, d: int) -> Float:
    """Return symmetric matrices (k, d, d) from their lower triangles, row by row."""
    rows, columns = _triangle(d)
    full = np.empty((len(triangle), d, d))
    full[:, rows, columns] = full[:, columns, rows] = triangle
    return full


def in_lanes(
    ready: Callable,
    plan: Lanes,
    block: Block,
    packed: Matrices | Variances,
    kernel: Kernel,
    *arguments: Any,
) -> None:
    """Run a kernel over a block, lane by lane."""
    samples, noise = block.samples, noise_of(block)
    if plan.n_lanes > 1:
        ready(kernel.parallel)(samples, noise, plan.width, plan.of(samples.n_samples), packed, *arguments)
    elif kernel is _SWEEP:
        weights, out = arguments
        kernel.lane(samples, noise, 0, samples.n_samples, packed, weights, 0, out)
    else:
        kernel.lane(samples, noise, 0, samples.n_samples, packed, *arguments)

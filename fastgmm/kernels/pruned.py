"""Sweeps that leave out pairs of a block of samples and a component that are too far apart to count.

Samples are taken in an order in which neighbours want the same components. For each block and component, a lower bound of the
smallest |y|, y = U^T (x - mean), is carried from sweep to sweep: |y_new| >= scale |y_old| - moved (`Change`). A component whose
largest possible log-density is so far below the lowest of the block's best that it adds nothing is not evaluated. Those that are
left out by their densities are the same whatever the bounds were, and so are the bits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastgmm._jit import ELEMENTWISE, called, choose, helper, kernel, prange
from fastgmm.kernels.full import Full
from fastgmm.kernels.ir_arrays import new, zeros
from fastgmm.kernels.simple import Diag, Spherical, Tied
from fastgmm.kernels.sweep import tile_accumulate, tile_density
from fastgmm.kernels.tile import (
    Scratch,
    Sums,
    exponentials_tile,
    new_scratch,
    padded,
    weighted_exponentials_tile,
)

#: Samples in a block.
BLOCK = 64


class Change(NamedTuple):
    """How far components moved since the last sweep: scale, moved (k,) float64, see above."""

    scale: np.ndarray
    moved: np.ndarray


class Pairs(NamedTuple):
    """Pairs of blocks and components, and the order of the samples.

    order : (n,) int32, out of which block b has those from b BLOCK on
    distance : (blocks, k) float32, inout, lower bounds of |y| of the samples of a block
    wanted : (blocks, k) bool, inout, components that counted in the last sweep
    evaluated : (lanes,) int64, inout, pairs that were evaluated
    threshold : float, how far below the best a log-density adds nothing
    rounding : float, relative error of a log-density
    """

    order: np.ndarray
    distance: np.ndarray
    wanted: np.ndarray
    evaluated: np.ndarray
    threshold: float
    rounding: float


def _rows(parameters, chosen, first, last, into):
    """Return the parameters of components chosen[first : last], in the memory of `into`."""


@helper(ELEMENTWISE)
def _full_rows(p, chosen, first, last, into):
    for r in range(first, last):
        c = chosen[r]
        into.constant[r - first] = p.constant[c]
        into.means[r - first] = p.means[c]
        into.u[r - first] = p.u[c]
    n = last - first
    return Full(into.constant[:n], into.means[:n], into.u[:n], p.n_features, p.tile)


@helper(ELEMENTWISE)
def _tied_rows(p, chosen, first, last, into):
    for r in range(first, last):
        c = chosen[r]
        into.constant[r - first] = p.constant[c]
        into.means[r - first] = p.means[c]
        into.transformed[r - first] = p.transformed[c]
    n = last - first
    rows = into.constant[:n], p.factor[:n], into.means[:n]
    return Tied(rows[0], rows[1], rows[2], p.u, p.centre, into.transformed[:n], p.n_features, p.tile)


@helper(ELEMENTWISE)
def _diag_rows(p, chosen, first, last, into):
    for r in range(first, last):
        c = chosen[r]
        into.constant[r - first] = p.constant[c]
        into.means[r - first] = p.means[c]
        into.scale[r - first] = p.scale[c]
    n = last - first
    return Diag(into.constant[:n], p.factor[:n], into.means[:n], into.scale[:n], p.n_features, p.tile)


@helper(ELEMENTWISE)
def _spherical_rows(p, chosen, first, last, into):
    for r in range(first, last):
        c = chosen[r]
        into.constant[r - first] = p.constant[c]
        into.factor[r - first] = p.factor[c]
        into.means[r - first] = p.means[c]
    n = last - first
    return Spherical(into.constant[:n], into.factor[:n], into.means[:n], p.n_features, p.tile)


rows = choose(_rows, {Full: _full_rows, Tied: _tied_rows, Diag: _diag_rows, Spherical: _spherical_rows})


def _copy(parameters):
    """Return memory for the parameters of some components."""


@helper(ELEMENTWISE)
def _full_copy(p):
    return Full(p.constant.copy(), p.means.copy(), p.u.copy(), p.n_features, p.tile)


@helper(ELEMENTWISE)
def _tied_copy(p):
    transformed = p.transformed.copy()
    return Tied(p.constant.copy(), p.factor, p.means.copy(), p.u, p.centre, transformed, p.n_features, p.tile)


@helper(ELEMENTWISE)
def _diag_copy(p):
    return Diag(p.constant.copy(), p.factor, p.means.copy(), p.scale.copy(), p.n_features, p.tile)


@helper(ELEMENTWISE)
def _spherical_copy(p):
    return Spherical(p.constant.copy(), p.factor.copy(), p.means.copy(), p.n_features, p.tile)


copy = choose(_copy, {Full: _full_copy, Tied: _tied_copy, Diag: _diag_copy, Spherical: _spherical_copy})


@helper(ELEMENTWISE, inline=True)
def _load(samples, order, first, m, x):
    """Set x[j, s] = X[order[first + s], j]; the padding up to a whole step repeats the last."""
    for s in range(padded(m)):
        start = samples.offset + np.int64(order[first + min(s, m - 1)]) * samples.row
        for j in range(samples.n_features):
            x[j, s] = samples.flat[start + j * samples.column]


@helper(ELEMENTWISE, inline=True)
def _advance(pairs, change, block, chosen):
    """Bring the bounds of a block up to date, list the components that counted last time, and return their number."""
    n = 0
    for c in range(len(change.scale)):
        bound = pairs.distance[block, c] * change.scale[c] - change.moved[c]
        pairs.distance[block, c] = bound if bound > 0.0 else 0.0
        chosen[n] = c
        n += int(pairs.wanted[block, c])
    return n


@helper(ELEMENTWISE, inline=True)
def _lowest(top, m):
    lowest = top[0]
    for s in range(1, m):
        lowest = min(lowest, top[s])
    return lowest


@helper(ELEMENTWISE, inline=True)
def _close(pairs, block, constant, lowest, chosen, n):
    """Append the components that may count beside those that counted last time; return the number of all."""
    for c in range(len(constant)):
        distance = np.float64(pairs.distance[block, c])
        chosen[n] = c
        near = constant[c] - 0.5 * distance * distance >= lowest - pairs.threshold
        n += int(near and not pairs.wanted[block, c])
    return n


@helper(ELEMENTWISE, inline=True)
def _measure(pairs, block, constant, lowest, chosen, n, m, resp, row_of):
    """Measure the pairs that were evaluated: their distance, and whether they count; return the number that do."""
    pairs.wanted[block] = False
    for r in range(n):
        c, reach = chosen[r], resp[r, 0]
        for s in range(1, m):
            reach = max(reach, resp[r, s])
        squared = 2.0 * (constant[c] - reach) - pairs.rounding * (abs(constant[c]) + abs(reach))
        pairs.distance[block, c] = np.sqrt(squared) * (1.0 - 1e-6) if squared > 0.0 else 0.0
        pairs.wanted[block, c] = reach >= lowest - pairs.threshold
        row_of[c] = r
    kept = 0
    for c in range(len(constant)):
        chosen[kept] = c
        kept += int(pairs.wanted[block, c])
    return kept


@helper(ELEMENTWISE, inline=True)
def _add(own, chosen, n, lane, out):
    """Add the sums of a block to those of its lane, and set them to zero."""
    k, d = out.counts.shape[1], out.sums.shape[1]
    each = own.scatter.shape[0] // k
    for r in range(n):
        c = lane * k + chosen[r]
        out.counts[lane, chosen[r]] += own.counts[0, r]
        own.counts[0, r] = 0.0
        for j in range(d):
            out.sums[c, j] += own.sums[r, j]
            own.sums[r, j] = 0.0
        for t in range(each):
            for j in range(own.scatter.shape[1]):
                out.scatter[c * each + t, j] += own.scatter[r * each + t, j]
                own.scatter[r * each + t, j] = 0.0


@helper(ELEMENTWISE)
def pruned_lane(samples, low, high, parameters, change, pairs, weights, lane, out):
    """Do `pruned_sweep` for samples low .. high of the order, added to slice `lane` of the accumulators."""
    constant = parameters.constant
    k = len(constant)
    work, some, resp = new_scratch(parameters), copy(parameters), new_scratch(parameters).resp
    own = Sums(
        zeros(1, np.float64),
        zeros((1, k), np.float64),
        zeros((k, out.sums.shape[1]), np.float64),
        np.zeros_like(out.scatter[: out.scatter.shape[0] // len(out.counts)]),
    )
    chosen, row_of = new(k + 1, np.int64), new(k, np.int64)
    first_top, own_weights = np.empty_like(work.top), new(BLOCK if weights.shape[0] > 0 else 0, weights.dtype)
    for first in range(low, high, BLOCK):
        block, m = first // BLOCK, min(BLOCK, high - first)
        _load(samples, pairs.order, first, m, work.x)
        before = _advance(pairs, change, block, chosen)
        parts = Scratch(work.x, work.diff, resp[:before], work.top, work.total, work.chosen, work.dense)
        tile_density(rows(parameters, chosen, 0, before, some), parts, m)
        n = _close(pairs, block, constant, _lowest(work.top, m), chosen, before)
        if n > before:
            first_top[:] = work.top
            parts = Scratch(work.x, work.diff, resp[before:n], work.top, work.total, work.chosen, work.dense)
            tile_density(rows(parameters, chosen, before, n, some), parts, m)
            for s in range(padded(m)):
                work.top[s] = max(work.top[s], first_top[s])
        pairs.evaluated[lane] += n
        kept = _measure(pairs, block, constant, _lowest(work.top, m), chosen, n, m, resp, row_of)
        for r in range(kept):
            work.resp[r] = resp[row_of[chosen[r]]]
        parts = Scratch(work.x, work.diff, work.resp[:kept], work.top, work.total, work.chosen, work.dense)
        if weights.shape[0] > 0:
            for s in range(m):
                own_weights[s] = weights[pairs.order[first + s]]
            out.log_likelihood[lane] += weighted_exponentials_tile(
                parts.resp, parts.top, parts.total, m, own_weights, 0
            )
        else:
            out.log_likelihood[lane] += exponentials_tile(parts.resp, parts.top, parts.total, m)
        tile_accumulate(rows(parameters, chosen, 0, kept, some), parts, m, 0, own)
        _add(own, chosen, kept, lane, out)


call_pruned_lane = called(pruned_lane)


@kernel
def pruned_sweep(samples, start, width, n_lanes, parameters, change, pairs, weights, out):
    """Do the E-step and the statistics of samples start .. start + n_lanes width of the order, without pairs that do not count.

    samples : Samples, in; parameters : in, of which a tile has BLOCK samples; change : Change, in; pairs : Pairs, inout
    weights : (n,) float, in, or (0,) if all are 1; out : Sums, inout; start and width are multiples of BLOCK
    """
    for lane in prange(n_lanes):
        row = np.int64(lane)
        low = start + row * width
        call_pruned_lane(
            samples, low, min(low + width, samples.n_samples), parameters, change, pairs, weights, row, out
        )

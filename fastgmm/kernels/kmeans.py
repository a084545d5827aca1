"""Lanes of k-means: nearest centre, sums per cluster, potentials and draws of k-means++.

Every pass takes ``turn, span`` and works on a part of each lane whose turn it is (`ir_turns.take`). Each Python thread makes one
call for each part, and Ctrl-C is served between two of them.

Distances to centres are compared as ||c||^2 - 2 x.c, the product summed feature by feature with one rounding each, as in a
matrix product. A sample that is equally far from two centres then goes where a GEMM-based k-means puts it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastgmm._jit import ELEMENTWISE, helper
from fastgmm.kernels.ir_arrays import new
from fastgmm.kernels.ir_kmeans import nearest, nearest_within, potentials, prefetch, transpose
from fastgmm.kernels.ir_turns import take

#: Samples in a tile, and in a block of `seed`'s sums.
BLOCK = 128

#: Numbers from one feature of a tile to the next. At a power of two, the features of a sample would share a few sets of the
#: cache: at d = 32 loading a tile took 23 ns a sample instead of 5.
PITCH = BLOCK + 8

#: Share by which a stored slack is lowered: more than the rounding of its sum and of float32.
_ROUNDING = 2.0**-22


class Span(NamedTuple):
    """Samples begin to end, counted from the first of a lane, of lanes of `width` samples; begin is a multiple of BLOCK.

    The bits do not depend on how lanes are cut: a sample's distances do not depend on those that share its tile, and sums are
    added to in the order of the samples.
    """

    width: int
    begin: int
    end: int


class Centres(NamedTuple):
    """The centres that an assignment compares samples with.

    points : (k, d) float, shifted, norms : (k,) float, ||point||^2, both padded to a multiple of PANEL with norms of inf
    """

    points: np.ndarray
    norms: np.ndarray


class Bounds(NamedTuple):
    """What `reassign` decides by.

    travelled, limit : (k,) float64, float32; see `Clusters.slack`
    points, norms : those of `Centres` in float32
    slope, offset : two squared distances computed from them compare as the exact ones do if they are more than
        ``slope * ||x||^2 + offset`` apart
    """

    travelled: np.ndarray
    limit: np.ndarray
    points: np.ndarray
    norms: np.ndarray
    slope: np.float32
    offset: np.float32


class Clusters(NamedTuple):
    """State of the samples, kept from one assignment to the next.

    labels : (n,) int32
    slack : (n,) float32, how much farther the second nearest centre was than the nearest when the sample was last
        compared, plus ``travelled[label]`` at that time. While ``slack > limit[label]`` the label cannot have changed
    counts : (lanes, k) float64, of weights; sums : (lanes * k, d) float64, of the shifted samples times their weights
    changed : (lanes,) int64, labels changed by the last assignment
    spread : (lanes, 2) float64, weighted sum and maximum of ||x - shift||^2, from the last whole assignment
    """

    labels: np.ndarray
    slack: np.ndarray
    counts: np.ndarray
    sums: np.ndarray
    changed: np.ndarray
    spread: np.ndarray


class Scratch(NamedTuple):
    """A thread's working memory: chosen (3 B,), start (B,) int64; x (d, PITCH), found (3, B) float."""

    chosen: np.ndarray
    start: np.ndarray
    x: np.ndarray
    found: np.ndarray


@helper(ELEMENTWISE, inline=True)
def _bounds(lane, span, samples):
    """Return the first sample of a lane's part, and the one after its last."""
    first = lane * span.width
    return first + span.begin, min(first + min(span.end, span.width), samples.n_samples)


@helper(ELEMENTWISE, inline=True)
def _new_scratch(samples, like):
    x = new((samples.n_features, PITCH), like.dtype)
    return Scratch(new(3 * BLOCK, np.int64), new(BLOCK, np.int64), x, new((3, BLOCK), like.dtype))


@helper(ELEMENTWISE, inline=True)
def _load(samples, shift, m, work):
    """Set x[j, s] = X[chosen[s], j] - shift[j] for m samples; the last is repeated up to a whole tile."""
    d = samples.n_features
    for s in range(BLOCK):
        work.start[s] = samples.offset + work.chosen[min(s, m - 1)] * samples.row
    if samples.column == 1 and d >= 4:
        for s in range(0, BLOCK, 8):
            for j in range(0, d, 4):
                transpose(samples.flat, work.start, shift, s, min(j, d - 4), work.x)
    else:
        for j in range(d):
            for s in range(BLOCK):
                work.x[j, s] = samples.flat[work.start[s] + j * samples.column] - shift[j]


@helper(ELEMENTWISE)
def assign(turn, span, samples, weights, shift, centres, clusters):
    """Label every sample of lanes, and add up counts, sums and spread, which have to be zero.

    weights : (n,) float, in, of the samples, or (0,) if all are 1
    shift : (d,) float, in, subtracted from every sample
    Cost: 2 k d + 2 d flops a sample.
    """
    work = _new_scratch(samples, centres.points)
    k = clusters.counts.shape[1]
    weighted = weights.shape[0] > 0
    n_lanes = clusters.counts.shape[0]
    lane = take(turn)
    while lane < n_lanes:
        if span.begin == 0:
            clusters.changed[lane] = 0
        start, high = _bounds(lane, span, samples)
        for low in range(start, high, BLOCK):
            m = min(BLOCK, high - low)
            for s in range(m):
                work.chosen[s] = low + s
            _load(samples, shift, m, work)
            nearest(work.x, centres.points, centres.norms, work.found, m)
            for s in range(m):
                i, label = low + s, np.int64(work.found[0, s])
                weight = np.float64(weights[i]) if weighted else 1.0
                clusters.slack[i] = np.float64(work.found[1, s]) * (1.0 - _ROUNDING)
                clusters.changed[lane] += np.int64(label != clusters.labels[i])
                clusters.labels[i] = label
                clusters.spread[lane, 0] += weight * work.found[2, s]
                clusters.spread[lane, 1] = max(clusters.spread[lane, 1], np.float64(work.found[2, s]))
                clusters.counts[lane, label] += weight
                row = lane * k + label
                for j in range(work.x.shape[0]):
                    clusters.sums[row, j] += weight * work.x[j, s]
        lane = take(turn)


@helper(ELEMENTWISE)
def reassign(turn, span, samples, shift, centres, bounds, clusters):
    """Bring labels, counts and sums of lanes up to date with centres that moved: compare samples without slack only.

    Arguments as for `assign`, with samples that all count 1. They are compared in float32, which takes half the time, and
    once more in the dtype of the data if float32 cannot tell.
    Cost: 2 k d + 2 d flops for a sample that is compared.
    """
    work, exact = _new_scratch(samples, bounds.points), _new_scratch(samples, centres.points)
    without = new(BLOCK, np.uint8)
    n_lanes = clusters.counts.shape[0]
    lane = take(turn)
    while lane < n_lanes:
        if span.begin == 0:
            clusters.changed[lane] = 0
        m = 0
        start, high = _bounds(lane, span, samples)
        for low in range(start, high, BLOCK):
            before, size = m, min(BLOCK, high - low)
            # apart from the loop that collects samples, so that this one becomes vectors: twice as fast
            for s in range(size):
                own = np.uint32(clusters.labels[low + s])  # unsigned, which Numba need not look at for negative ones
                without[s] = not clusters.slack[low + s] > bounds.limit[own]  # a slack of NaN is none
            for s in range(size):
                work.chosen[m] = low + s
                m += without[s]
            # Samples are compared a tile later, when their cache lines are here: 15 % of the time of an assignment at
            # d = 8. (No gain in `seed`, whose samples lie side by side.)
            for s in range(before, m):
                for j in range(0, samples.n_features, 8):
                    prefetch(samples.flat, samples.offset + work.chosen[s] * samples.row + j * samples.column)
            while m >= 2 * BLOCK or (m > 0 and low + BLOCK >= high):
                taken = min(m, BLOCK)
                _compare(lane, taken, samples, shift, centres, bounds, work, exact, clusters)
                m -= taken
                for s in range(m):
                    work.chosen[s] = work.chosen[BLOCK + s]
        lane = take(turn)


@helper(ELEMENTWISE, inline=True)
def _compare(lane, m, samples, shift, centres, bounds, work, exact, clusters):
    """Label the first m samples of ``work.chosen``, and move them between the sums."""
    found = work.found
    _load(samples, shift, m, work)
    nearest_within(work.x, bounds.points, bounds.norms, found, m, bounds.slope, bounds.offset)
    doubtful = 0
    for s in range(m):
        exact.chosen[doubtful] = work.chosen[s]
        exact.chosen[2 * BLOCK + doubtful] = s
        doubtful += np.int64(not found[1, s] > 0.0)
    if doubtful > 0:
        _load(samples, shift, doubtful, exact)
        nearest(exact.x, centres.points, centres.norms, exact.found, doubtful)
        for t in range(doubtful):
            s = exact.chosen[2 * BLOCK + t]
            found[0, s], found[1, s] = exact.found[0, t], exact.found[1, t]
    k = clusters.counts.shape[1]
    for s in range(m):
        i, label = work.chosen[s], np.int64(found[0, s])
        clusters.slack[i] = (np.float64(found[1, s]) + bounds.travelled[label]) * (1.0 - _ROUNDING)
        before = clusters.labels[i]
        if label != before:
            clusters.labels[i] = label
            clusters.changed[lane] += 1
            clusters.counts[lane, label] += 1.0
            clusters.counts[lane, before] -= 1.0
            at = samples.offset + i * samples.row
            for j in range(samples.n_features):
                x = samples.flat[at + j * samples.column] - shift[j]
                clusters.sums[lane * k + label, j] += x
                clusters.sums[lane * k + before, j] -= x


@helper(ELEMENTWISE)
def distances_to_own(turn, span, samples, shift, points, labels, out):
    """Set out[i] = ||x_i - shift - points[labels[i]]||^2, float64, for the samples of lanes."""
    n_lanes = -(-samples.n_samples // span.width)
    lane = take(turn)
    while lane < n_lanes:
        start, stop = _bounds(lane, span, samples)
        for i in range(start, stop):
            total = np.float64(0.0)
            label = labels[i]
            for j in range(samples.n_features):
                t = (samples.flat[samples.offset + i * samples.row + j * samples.column] - shift[j]) - points[label, j]
                total += t * t
            out[i] = total
        lane = take(turn)


@helper(ELEMENTWISE)
def seed(turn, span, samples, shift, points, closest, sums):
    """Add a centre, and compute the k-means++ potential with each candidate for the next one.

    shift : as for `assign`; points : (1 + t, d) float, in, shifted: the centre to add, then candidates
    closest : (n,) float, inout, squared distance to the nearest centre, padded with zeros to whole blocks
    sums : (t, blocks) float64, inout, zero before: the potential block by block, so that a draw needs no sum over all samples
    Cost: 3 (1 + t) n d flops.
    """
    work = _new_scratch(samples, points)
    n_lanes = -(-samples.n_samples // span.width)
    lane = take(turn)
    while lane < n_lanes:
        start, high = _bounds(lane, span, samples)
        for low in range(start, high, BLOCK):
            m = min(BLOCK, high - low)
            for s in range(m):
                work.chosen[s] = low + s
            _load(samples, shift, m, work)
            ahead = samples.offset + (low + BLOCK) * samples.row
            potentials(work.x, points, closest, low, sums, low // BLOCK, BLOCK, samples.flat, ahead)
        lane = take(turn)


@helper(ELEMENTWISE)
def weighted_seed(turn, span, samples, weights, shift, points, closest, sums):
    """Do as `seed`, with potentials in which samples count by weights, (n,) float, in."""
    work = _new_scratch(samples, points)
    distance, near = new(BLOCK, points.dtype), new(BLOCK, points.dtype)
    n_lanes = -(-samples.n_samples // span.width)
    lane = take(turn)
    while lane < n_lanes:
        start, high = _bounds(lane, span, samples)
        for low in range(start, high, BLOCK):
            m = min(BLOCK, high - low)
            for s in range(m):
                work.chosen[s] = low + s
            _load(samples, shift, m, work)
            for t in range(points.shape[0]):
                _distances(work.x, points, t, distance)
                if t == 0:
                    for s in range(m):
                        near[s] = min(closest[low + s], distance[s])
                        closest[low + s] = near[s]
                else:
                    for s in range(m):
                        sums[t - 1, low // BLOCK] += np.float64(weights[low + s]) * min(near[s], distance[s])
        lane = take(turn)


@helper(ELEMENTWISE)
def _distances(x, points, t, distance):
    """Set distance[s] = ||x[:, s] - points[t]||^2."""
    distance[:] = 0.0
    for j in range(x.shape[0]):
        c = points[t, j]
        for s in range(BLOCK):
            distance[s] += (x[j, s] - c) * (x[j, s] - c)


@helper(ELEMENTWISE)
def draw(samples, weights, shift, points, closest, sums, uniform, drawn):
    """Choose the candidate of the lowest potential, draw samples as if it were a centre, and return its number.

    Arguments as in `seed` or `weighted_seed`, of which `sums` is spoilt; uniform : (t,) float64, in, within [0, 1)
    drawn : (t,) int64, out, the first i with ``sum((w nearest)[: i + 1]) >= uniform * sum(w nearest)``.
    `closest` does not include the chosen one yet.
    """
    n_candidates, n_blocks = sums.shape
    for b in range(1, n_blocks):
        for t in range(n_candidates):
            sums[t, b] += sums[t, b - 1]
    best = 0
    for t in range(1, n_candidates):
        best = t if sums[t, n_blocks - 1] < sums[best, n_blocks - 1] else best
    for t in range(len(uniform)):
        value = uniform[t] * sums[best, n_blocks - 1]
        block, high = 0, n_blocks - 1
        while block < high:
            middle = (block + high) // 2
            if sums[best, middle] >= value:
                high = middle
            else:
                block = middle + 1
        reached = sums[best, block - 1] if block > 0 else 0.0
        # Rounding may keep the sum within the block just below `value`: then take the last sample that adds to it.
        drawn[t] = block * BLOCK
        for i in range(block * BLOCK, min(block * BLOCK + BLOCK, samples.n_samples)):
            distance = closest.dtype.type(0.0)
            for j in range(samples.n_features):
                x = samples.flat[samples.offset + i * samples.row + j * samples.column] - shift[j]
                distance += (x - points[1 + best, j]) * (x - points[1 + best, j])
            nearest_distance = np.float64(min(closest[i], distance))
            if weights.shape[0] > 0:
                nearest_distance *= weights[i]
            if nearest_distance > 0:
                drawn[t] = i
            reached += nearest_distance
            if reached >= value:
                break
    return best

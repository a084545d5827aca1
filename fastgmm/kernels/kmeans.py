"""Lanes of k-means: nearest centre, sums per cluster, potentials for k-means++. Run by `_jit.run_lanes`.

Distances to centres are compared as ||c||^2 - 2 x.c, the product summed feature by feature with one rounding each, as a
matrix product does it: a sample that is equally far from two centres then goes where a GEMM-based k-means puts it.
"""

from __future__ import annotations

import numpy as np

from fastgmm._jit import ELEMENTWISE, helper
from fastgmm.kernels.tile import TILE, load_tile, padded


@helper(ELEMENTWISE)
def _load_shifted(samples, shift, first, m, x):
    load_tile(samples, first, m, x)
    for j in range(samples.n_features):
        value = shift[j]
        for s in range(padded(m)):
            x[j, s] -= value


@helper(ELEMENTWISE)
def assign(lane, samples, shift, width, centres, norms, labels, counts, sums):
    """Nearest centre of each sample of a lane, and how many and which sum each centre got.

    shift : (d,) float, in, subtracted from every sample; centres : (k, d) float, in, shifted, d padded to 4
    norms : (k,) float, in, ||centre||^2
    labels : (n,) int32, out; counts : (lanes, k) float64, out; sums : (lanes * k, d) float64, out (zero on entry)
    Cost: 2 n k d + n d flops.
    """
    low = lane * width
    high = min(low + width, samples.n_samples)
    k, d = centres.shape
    x = np.zeros((d, TILE), centres.dtype)
    work = np.zeros((2, TILE), centres.dtype)
    best = np.zeros(TILE, np.int64)
    for first in range(low, high, TILE):
        m = min(TILE, high - first)
        _load_shifted(samples, shift, first, m, x)
        _nearest(x, centres, norms, work[0], work[1], best, padded(m))
        for s in range(m):
            label = best[s]
            labels[first + s] = label
            counts[lane, label] += 1.0
            row = lane * k + label
            for i in range(samples.n_features):
                sums[row, i] += x[i, s]


@helper(ELEMENTWISE)
def _nearest(x, centres, norm, value, lowest, best, mp):
    zero = x.dtype.type(0.0)
    two = x.dtype.type(2.0)
    for s in range(mp):
        lowest[s] = np.inf
        best[s] = 0
    for j in range(centres.shape[0]):
        for s in range(mp):
            value[s] = zero
        for i in range(0, centres.shape[1], 4):
            c0, c1, c2, c3 = centres[j, i], centres[j, i + 1], centres[j, i + 2], centres[j, i + 3]
            for s in range(mp):
                v = value[s]
                v += x[i, s] * c0
                v += x[i + 1, s] * c1
                v += x[i + 2, s] * c2
                v += x[i + 3, s] * c3
                value[s] = v
        for s in range(mp):
            v = norm[j] - two * value[s]
            best[s] = j if v < lowest[s] else best[s]
            lowest[s] = v if v < lowest[s] else lowest[s]


@helper(ELEMENTWISE)
def distances_to_own(lane, samples, shift, width, centres, labels, out):
    """out[i] = ||x_i - shift - centres[labels[i]]||^2, float64, for the samples of a lane."""
    for i in range(lane * width, min((lane + 1) * width, samples.n_samples)):
        total = 0.0
        label = labels[i]
        for j in range(samples.n_features):
            t = (samples.flat[samples.offset + i * samples.row + j * samples.column] - shift[j]) - centres[label, j]
            total += t * t
        out[i] = total


@helper(ELEMENTWISE)
def potentials(lane, samples, width, candidates, closest, store, out):
    """What the k-means++ potential of a lane would be with each candidate added.

    candidates : (t, d) float, in, d padded to 4; closest : (n,) float, squared distance to the nearest centre so far
    (inf before the first), updated for the last candidate if `store`; out : (lanes, t) float64, out (zero on entry)
    Cost: 3 n t d flops.
    """
    low = lane * width
    high = min(low + width, samples.n_samples)
    x = np.zeros((candidates.shape[1], TILE), candidates.dtype)
    square = np.zeros(TILE, candidates.dtype)
    for first in range(low, high, TILE):
        m = min(TILE, high - first)
        load_tile(samples, first, m, x)
        for t in range(candidates.shape[0]):
            squared_distances(x, candidates, t, square, padded(m))
            total = 0.0
            for s in range(m):
                nearer = min(closest[first + s], square[s])
                square[s] = nearer
                total += nearer
            out[lane, t] += total
        if store:
            for s in range(m):
                closest[first + s] = square[s]


@helper(ELEMENTWISE)
def squared_distances(x, centres, k, out, mp):
    """out[s] = || x[:, s] - centres[k] ||^2, difference first. x : (d, B); centres : (., d); d a multiple of 4."""
    zero = out.dtype.type(0.0)
    for s in range(mp):
        out[s] = zero
    for i in range(0, centres.shape[1], 4):
        c0, c1, c2, c3 = centres[k, i], centres[k, i + 1], centres[k, i + 2], centres[k, i + 3]
        for s in range(mp):
            t0 = x[i, s] - c0
            t1 = x[i + 1, s] - c1
            t2 = x[i + 2, s] - c2
            t3 = x[i + 3, s] - c3
            out[s] += (t0 * t0 + t1 * t1) + (t2 * t2 + t3 * t3)

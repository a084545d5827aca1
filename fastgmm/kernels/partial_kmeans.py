"""Lanes of k-means over samples with missing values, NaN: distances are those of the features that a sample has.

Passes take ``turn, span`` as those of `kernels.kmeans`. A squared distance is sum_j (x_j - c_j)^2 over the observed features. Where
those of different samples are compared, it is multiplied by d over the number of these, so that samples with few values are not
near to everything.
"""

from __future__ import annotations

import numpy as np

from fastgmm._jit import ELEMENTWISE, helper
from fastgmm.kernels.ir_arrays import new
from fastgmm.kernels.ir_turns import take
from fastgmm.kernels.kmeans import BLOCK


@helper(ELEMENTWISE, inline=True)
def _load(samples, shift, low, m, x, there, scale):
    """Set x[j, s] = X[low + s, j] - shift[j], 0 where it is missing; there[j, s] = 1, or 0 there; scale[s] = d / sum_j there."""
    d = samples.n_features
    one, zero = x.dtype.type(1.0), x.dtype.type(0.0)
    for s in range(BLOCK):
        scale[s] = zero
    for j in range(d):
        at = samples.offset + low * samples.row + j * samples.column
        for s in range(m):
            value = samples.flat[at + s * samples.row] - shift[j]
            observed = value == value
            x[j, s] = value if observed else zero
            there[j, s] = one if observed else zero
        for s in range(m, BLOCK):
            x[j, s] = zero
            there[j, s] = zero
        for s in range(BLOCK):
            scale[s] += there[j, s]
    for s in range(BLOCK):
        scale[s] = x.dtype.type(d) / max(scale[s], one)


@helper(ELEMENTWISE, inline=True)
def _distances(x, there, points, k, out):
    """Set out[s] to the squared distance between sample s and point k."""
    zero = out.dtype.type(0.0)
    for s in range(BLOCK):
        out[s] = zero
    for j in range(x.shape[0]):
        c = points[k, j]
        for s in range(BLOCK):
            t = x[j, s] - there[j, s] * c
            out[s] += t * t


@helper(ELEMENTWISE)
def assign_partial(turn, span, samples, weights, shift, points, labels, near, counts, sums, squares, changed):
    """Label every sample of lanes, and add up what it adds to its cluster.

    weights : (n,) float, in, or (0,) if all are 1; shift : (d,) float, in; points : (k, d) float, in, shifted
    labels : (n,) int32, inout; near : (n,) float, out, the scaled squared distance to the nearest point
    counts, sums : (lanes * k, d) float64, inout, weights and shifted values by feature; squares : (lanes,) float64, inout, weighted
    sum of squared shifted values; changed : (lanes,) int64, inout, labels that changed
    Cost: 4 k d flops a sample.
    """
    d, k = samples.n_features, points.shape[0]
    x, there = new((d, BLOCK), points.dtype), new((d, BLOCK), points.dtype)
    scale, distance, best = new(BLOCK, points.dtype), new(BLOCK, points.dtype), new(BLOCK, points.dtype)
    label = new(BLOCK, np.int32)
    n_lanes = len(changed)
    lane = take(turn)
    while lane < n_lanes:
        first = lane * span.width
        start, high = first + span.begin, min(first + min(span.end, span.width), samples.n_samples)
        for low in range(start, high, BLOCK):
            m = min(BLOCK, high - low)
            _load(samples, shift, low, m, x, there, scale)
            for s in range(BLOCK):
                best[s] = np.inf
                label[s] = 0
            for c in range(k):
                _distances(x, there, points, c, distance)
                for s in range(BLOCK):
                    nearer = distance[s] < best[s]
                    best[s] = distance[s] if nearer else best[s]
                    label[s] = np.int32(c) if nearer else label[s]
            for s in range(m):
                i, weight = low + s, np.float64(weights[low + s]) if weights.shape[0] > 0 else 1.0
                changed[lane] += 1 if label[s] != labels[i] else 0
                labels[i] = label[s]
                near[i] = best[s] * scale[s]
                row = lane * k + label[s]
                for j in range(d):
                    value = np.float64(x[j, s])
                    counts[row, j] += weight * there[j, s]
                    sums[row, j] += weight * value
                    squares[lane] += weight * value * value
        lane = take(turn)


@helper(ELEMENTWISE)
def seed_partial(turn, span, samples, weights, shift, points, closest, potentials):
    """Add a centre, and compute the k-means++ potential with each candidate for the next one, with scaled distances.

    Arguments as for `kernels.kmeans.weighted_seed`; weights : (n,) float, in, or (0,) if all are 1.
    """
    d = samples.n_features
    x, there = new((d, BLOCK), points.dtype), new((d, BLOCK), points.dtype)
    scale, distance, near = new(BLOCK, points.dtype), new(BLOCK, points.dtype), new(BLOCK, points.dtype)
    n_lanes = -(-samples.n_samples // span.width)
    lane = take(turn)
    while lane < n_lanes:
        first = lane * span.width
        start, high = first + span.begin, min(first + min(span.end, span.width), samples.n_samples)
        for low in range(start, high, BLOCK):
            m = min(BLOCK, high - low)
            _load(samples, shift, low, m, x, there, scale)
            for t in range(points.shape[0]):
                _distances(x, there, points, t, distance)
                if t == 0:
                    for s in range(m):
                        near[s] = min(closest[low + s], distance[s] * scale[s])
                        closest[low + s] = near[s]
                else:
                    total = np.float64(0.0)
                    for s in range(m):
                        weight = np.float64(weights[low + s]) if weights.shape[0] > 0 else 1.0
                        total += weight * min(near[s], distance[s] * scale[s])
                    potentials[t - 1, low // BLOCK] = total
        lane = take(turn)

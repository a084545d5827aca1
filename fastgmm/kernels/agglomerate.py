"""Groups of samples: their moments, and greedy agglomeration; `init.hierarchical` has the criterion and its sources."""

from __future__ import annotations

import numpy as np

from fastgmm._jit import EXACT, helper
from fastgmm.kernels.ir_arrays import new, zeros


@helper(EXACT)
def _cost(n, share, scatter, term, inside, factor):
    """Return the criterion's part of a group of n samples; factor : (d, d), a place to work in.

    share log |W / share + term I| if `inside`, else share log(|W / share| + (tr W + term) / share).
    """
    d = scatter.shape[0]
    log_det, trace = 0.0, 0.0
    for i in range(d):
        trace += scatter[i, i]
    if not inside and n <= d:
        return share * np.log((trace + term) / share)  # singular
    for i in range(d):
        for j in range(i, d):
            value = scatter[i, j] / share + (term if inside and i == j else 0.0)
            for m in range(i):
                value -= factor[m, i] * factor[m, j]
            if i < j:
                factor[i, j] = value / factor[i, i]
            elif value > 0.0:
                log_det += np.log(value)
                factor[i, i] = np.sqrt(value)
            else:
                return share * np.log((trace + term) / share)
    return share * (log_det if inside else np.log(np.exp(log_det) + (trace + term) / share))


@helper(EXACT)
def _together(shares, means, scatters, i, j, scatter):
    """Write the scatter of the union of groups i and j: W_i + W_j + n_i n_j / (n_i + n_j) (m_i - m_j)(m_i - m_j)^T."""
    d = means.shape[1]
    factor = shares[i] * shares[j] / (shares[i] + shares[j])
    for a in range(d):
        left = factor * (means[j, a] - means[i, a])
        for b in range(a, d):
            scatter[a, b] = scatters[i, a, b] + scatters[j, a, b] + left * (means[j, b] - means[i, b])


@helper(EXACT)
def agglomerate(sizes, shares, means, scatters, term, inside, rises, merges):
    """Merge groups until one is left, each time the two whose union raises the sum of `_cost` least; the first pair on ties.

    sizes : (m,) int64, samples in each group; shares : (m,), means : (m, d), scatters : (m, d, d), of which the upper triangles are
    read; all inout, overwritten; term, inside : of the criterion, see `_cost`
    rises : (m, m) float64, a place to work in
    merges : (m - 1, 2) int64, out, the groups of each merge: the union keeps the place of the lower one
    Cost: about 3 m^2 determinants.
    """
    m, d = means.shape
    costs, left = new(m, np.float64), new(m, np.bool_)
    left[:] = True
    factor, union = new((d, d), np.float64), new((d, d), np.float64)
    nearest, least = zeros(m, np.int64), new(m, np.float64)
    for i in range(m):
        costs[i] = _cost(sizes[i], shares[i], scatters[i], term, inside, factor)
    for i in range(m):
        least[i] = np.inf
        for j in range(i + 1, m):
            _together(shares, means, scatters, i, j, union)
            rises[i, j] = (
                _cost(sizes[i] + sizes[j], shares[i] + shares[j], union, term, inside, factor) - costs[i] - costs[j]
            )
            if rises[i, j] < least[i]:
                least[i], nearest[i] = rises[i, j], j
    for t in range(m - 1):
        i = -1
        for a in range(m):
            if left[a] and least[a] < np.inf and (i < 0 or least[a] < least[i]):
                i = a
        j = nearest[i]
        merges[t, 0], merges[t, 1] = i, j
        _together(shares, means, scatters, i, j, union)
        for a in range(d):
            means[i, a] += shares[j] / (shares[i] + shares[j]) * (means[j, a] - means[i, a])
            for b in range(a, d):
                scatters[i, a, b] = union[a, b]
        shares[i] += shares[j]
        sizes[i] += sizes[j]
        costs[i] = _cost(sizes[i], shares[i], scatters[i], term, inside, factor)
        left[j] = False
        least[j] = np.inf
        for other in range(m):
            if not left[other] or other == i:
                continue
            low, high = min(i, other), max(i, other)
            _together(shares, means, scatters, i, other, union)
            size, share = sizes[i] + sizes[other], shares[i] + shares[other]
            rises[low, high] = _cost(size, share, union, term, inside, factor) - costs[i] - costs[other]
        for a in range(m):
            # only rows that lost their nearest, or in which one value is new
            if not left[a] or a > max(i, j):
                continue
            if a != i and nearest[a] != i and nearest[a] != j:
                if a < i and rises[a, i] < least[a]:
                    least[a], nearest[a] = rises[a, i], i
                elif a < i and rises[a, i] == least[a] and i < nearest[a]:
                    nearest[a] = i
                continue
            least[a] = np.inf
            for b in range(a + 1, m):
                if left[b] and rises[a, b] < least[a]:
                    least[a], nearest[a] = rises[a, b], b


@helper(EXACT)
def group(X, weights, labels, counts, means, within):
    """Compute counts (k,), means (k, d) and scatter (k, d, d) of labelled samples; weights : (n,), or (0,) if all are 1."""
    (n, d), k = X.shape, len(counts)
    for c in range(k):
        counts[c] = 0.0
        for i in range(d):
            means[c, i] = 0.0
            for j in range(d):
                within[c, i, j] = 0.0
    for s in range(n):
        c, w = labels[s], weights[s] if weights.shape[0] > 0 else 1.0
        counts[c] += w
        for i in range(d):
            means[c, i] += w * X[s, i]
    for c in range(k):
        for i in range(d):
            means[c, i] /= counts[c]
    for s in range(n):
        c, w = labels[s], weights[s] if weights.shape[0] > 0 else 1.0
        for i in range(d):
            for j in range(i, d):
                within[c, i, j] += w * (X[s, i] - means[c, i]) * (X[s, j] - means[c, j])
    for c in range(k):
        for i in range(d):
            for j in range(i):
                within[c, i, j] = within[c, j, i]

"""The entropy of clusters of components, and what merging each pair of them takes off it."""

from __future__ import annotations

import numpy as np

from fastgmm._jit import ELEMENTWISE, helper
from fastgmm.kernels.elementary import log
from fastgmm.kernels.ir_arrays import zeros

#: A probability below this changes no sum of entropies.
_NOTHING = 1e-20


@helper(ELEMENTWISE)
def add_gains(resp, weights, groups, gains, entropy):
    """Add the entropy of samples among clusters, and the gains of all pairs of clusters.

    resp : (n, k) float, in; weights : (n,) float, in, or (0,) if all are 1; groups : (k,) int64, in, cluster of each component
    gains : (g, g) float64, inout, above the diagonal xlog(t_a + t_b) - xlog t_a - xlog t_b with xlog t = t log t
    entropy : (1,) float64, inout, -sum_a xlog t_a
    Cost: a logarithm for each pair of clusters that share a sample.
    """
    n, k = resp.shape
    g = gains.shape[0]
    t, h, shared = zeros(g, np.float64), zeros(g, np.float64), zeros(g, np.int64)
    for i in range(n):
        weight = np.float64(weights[i]) if weights.shape[0] > 0 else 1.0
        for a in range(g):
            t[a] = 0.0
        for c in range(k):
            t[groups[c]] += np.float64(resp[i, c])
        m = 0
        for a in range(g):
            if t[a] > _NOTHING:
                h[a] = t[a] * log(t[a])
                entropy[0] -= weight * h[a]
                shared[m] = a
                m += 1
        for u in range(m):
            a = shared[u]
            for v in range(u + 1, m):
                b = shared[v]
                both = t[a] + t[b]
                gains[a, b] += weight * (both * log(both) - h[a] - h[b])

"""Means and variances of mixtures of regressions, sample by sample."""

from __future__ import annotations

import numpy as np

from fastgmm._jit import ELEMENTWISE, helper
from fastgmm.kernels.ir_arrays import zeros
from fastgmm.kernels.ir_turns import take
from fastgmm.kernels.tile import NEGLIGIBLE


@helper(ELEMENTWISE)
def expected_lanes(turn, X, resp, centres, means, coefficients, variances, width, mean, variance):
    """Compute E[y | x] and Var[y | x] of the lanes whose turn it is (`ir_turns.take`), by the law of total variance.

    All float64, C-contiguous. X : (n, p); resp : (n, k); centres : (k, p), mu_x; means, variances : (k, q), of y in a component
    at its centre, given x; coefficients : (k, q, p), B
    mean : (n, q), out; variance : (n, q), out, or (0, q) if it is not asked for; width : samples in a lane
    Cost: 2 k q p flops a sample, for components that are responsible for it.
    """
    n, p = X.shape
    k, q = means.shape
    own = zeros((k, q), np.float64)
    lane = take(turn)
    while lane * width < n:
        for i in range(lane * width, min((lane + 1) * width, n)):
            for j in range(q):
                mean[i, j] = 0.0
            for c in range(k):
                if resp[i, c] > NEGLIGIBLE:
                    for j in range(q):
                        value = means[c, j]
                        for e in range(p):
                            value += coefficients[c, j, e] * (X[i, e] - centres[c, e])
                        own[c, j] = value
                        mean[i, j] += resp[i, c] * value
            if variance.shape[0] > 0:
                for j in range(q):
                    total = 0.0
                    for c in range(k):
                        if resp[i, c] > NEGLIGIBLE:
                            total += resp[i, c] * (variances[c, j] + (own[c, j] - mean[i, j]) ** 2)
                    variance[i, j] = total
        lane = take(turn)

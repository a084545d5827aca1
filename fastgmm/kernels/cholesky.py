"""Triangular factors of precisions, matrix by matrix, on one thread.

LAPACK would do it as fast, but on the threads of its BLAS. These keep spinning for a while and take the next sweep's
cores from it (at d = 128, k = 8 on 2 cores an iteration took 70 ms instead of 35), and their number may change the bits.
"""

from __future__ import annotations

import numpy as np

from fastgmm._jit import ELEMENTWISE, helper


@helper(ELEMENTWISE)
def factor_precisions(covariances, out):
    """Compute the upper triangular U_k with inverse(covariance_k) = U_k U_k^T.

    covariances : (k, d, d) float64, C-contiguous, in; out : (k, d, d) float64, C-contiguous, zeros, out
    Returns the first k whose matrix is not positive definite (or not finite), k if there is none.
    With covariance = R^T R, R upper triangular, U = inverse(R). Both go by rows: what is added is contiguous.
    Cost: 2/3 d^3 flops each.
    """
    n_components, d = covariances.shape[0], covariances.shape[1]
    r = np.zeros((d, d))
    for k in range(n_components):
        for i in range(d):
            for j in range(i, d):
                r[i, j] = covariances[k, i, j]
        for i in range(d):
            pivot = r[i, i]
            if not (pivot > 0.0 and pivot < np.inf):
                return k
            scale = 1.0 / np.sqrt(pivot)
            for j in range(i, d):
                r[i, j] *= scale
            for m in range(i + 1, d):
                factor = r[i, m]
                for j in range(m, d):
                    r[m, j] -= factor * r[i, j]
        for i in range(d - 1, -1, -1):
            for m in range(i + 1, d):
                factor = r[i, m]
                for j in range(m, d):
                    out[k, i, j] += factor * out[k, m, j]
            inverse = 1.0 / r[i, i]
            out[k, i, i] = inverse
            for j in range(i + 1, d):
                out[k, i, j] *= -inverse
            for j in range(i, d):
                if not np.isfinite(out[k, i, j]):
                    return k
    return n_components


@helper(ELEMENTWISE)
def is_sound(weights, means, factors):
    """Return whether a mixture is as a fit leaves it: checked before each prediction, where NumPy takes ten times as long.

    weights : (k,), not negative; means : (k, d); factors : (m, d, d), upper triangular with positive diagonals, those of single
    variances with d = 1. All float64, C-contiguous and finite.
    """
    for c in range(weights.size):
        if not 0.0 <= weights[c] < np.inf:
            return False
    for c in range(means.shape[0]):
        for j in range(means.shape[1]):
            if not np.isfinite(means[c, j]):
                return False
    for c in range(factors.shape[0]):
        for i in range(factors.shape[1]):
            if not factors[c, i, i] > 0.0:
                return False
            for j in range(i):
                if factors[c, i, j] != 0.0:
                    return False
            for j in range(i, factors.shape[1]):
                if not np.isfinite(factors[c, i, j]):
                    return False
    return True

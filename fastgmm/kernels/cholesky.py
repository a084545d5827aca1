"""Triangular factors of precisions, matrix by matrix, on one thread.

LAPACK would do it as fast, but on the threads of its BLAS. These keep spinning for a while and take the next sweep's
cores from it (at d = 128, k = 8 on 2 cores an iteration took 70 ms instead of 35), and their number may change the bits.
"""

from __future__ import annotations

import numpy as np

from fastgmm._jit import ELEMENTWISE, called, helper
from fastgmm.kernels.ir_arrays import new, zeros


@helper(ELEMENTWISE)
def factor_precisions(covariances, out):
    """Compute the upper triangular U_k with inverse(covariance_k) = U_k U_k^T.

    covariances : (k, d, d) float64, C-contiguous, in; out : (k, d, d) float64, C-contiguous, zeros, out
    Returns the first k whose matrix is not positive definite (or not finite), k if there is none.
    With covariance = R^T R, R upper triangular, U = inverse(R). A row is finished before the next one begins, in memory of its own,
    and four earlier rows are taken from it at once, one after the other: that loads and stores it a quarter as often.
    Cost: 2/3 d^3 flops each.
    """
    n_components, d = covariances.shape[0], covariances.shape[1]
    r, row, column = zeros((d, d), np.float64), new(d, np.float64), new(d, np.float64)
    for k in range(n_components):
        for i in range(d):
            for j in range(i, d):
                row[j] = covariances[k, i, j]
            for m in range(i):
                column[m] = r[m, i]
            _take_rows(row, column, r, np.int64(0), i, i)  # a literal 0 would be compiled for by itself
            pivot = row[i]
            if not (pivot > 0.0 and pivot < np.inf):
                return k
            scale = 1.0 / np.sqrt(pivot)
            for j in range(i, d):
                r[i, j] = row[j] * scale
        for i in range(d - 1, -1, -1):
            row[i:] = 0.0
            _take_rows(row, r[i], out[k], i + 1, d, i)
            inverse = 1.0 / r[i, i]
            out[k, i, i] = inverse
            for j in range(i + 1, d):
                out[k, i, j] = row[j] * inverse
            for j in range(i, d):
                if not np.isfinite(out[k, i, j]):
                    return k
    return n_components


@helper(ELEMENTWISE)
def _take_rows(row, factors, rows, begin, end, first):
    """Subtract factors[m] * rows[m] from `row`, for m from begin to end in this order: elements from `first` on.

    `rows` are upper triangular: there is nothing to subtract before the diagonal.
    """
    fours = begin + (end - begin) // 4 * 4
    for m in range(begin, fours, 4):
        a, b, c, d = factors[m], factors[m + 1], factors[m + 2], factors[m + 3]
        for j in range(max(first, m), len(row)):
            value = row[j] - a * rows[m, j]
            value -= b * rows[m + 1, j]
            value -= c * rows[m + 2, j]
            row[j] = value - d * rows[m + 3, j]
    for m in range(fours, end):
        a = factors[m]
        for j in range(max(first, m), len(row)):
            row[j] -= a * rows[m, j]


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


call_factor_precisions = called(factor_precisions)

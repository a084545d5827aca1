"""Eigenvalues and eigenvectors of small symmetric matrices, on one thread, with the same bits wherever they are called from.

Householder's tridiagonalisation (Martin, Reinsch & Wilkinson, Numer. Math. 11, 1968) and implicit QL (Dubrulle, Numer. Math. 15,
1970). LAPACK's are as fast from d = 30 on; from within compiled code they bring BLAS and its threads.
"""

from __future__ import annotations

import numpy as np

from fastgmm._jit import EXACT, called, helper
from fastgmm.kernels.ir_arrays import new, zeros

#: Shifts for one eigenvalue, at most; two or three suffice.
_MOST = 60
_EPS = 2.220446049250313e-16


@helper(EXACT)
def eigen(matrix, values, axes):
    """Compute eigenvalues, ascending, and eigenvectors of a symmetric matrix.

    matrix : (d, d) float64, in, of which the upper triangle is read; values : (d,) out
    axes : (d, d) out, eigenvectors as rows; their signs are arbitrary
    Cost: about 9 d^3 flops.
    """
    d = len(values)
    a, beside = new((d, d), np.float64), zeros(d, np.float64)
    largest = 0.0
    for i in range(d):
        for j in range(i, d):
            a[i, j] = a[j, i] = matrix[i, j]
            largest = max(largest, abs(matrix[i, j]))
    for i in range(d):
        values[i] = largest
        for j in range(d):
            axes[i, j] = 1.0 if i == j else 0.0
    if not 0.0 < largest < np.inf:
        return
    for i in range(d):
        for j in range(d):
            a[i, j] /= largest
    _tridiagonal(a, values, beside, axes)
    _implicit_ql(values, beside, axes)
    _ascending(values, axes)
    for i in range(d):
        values[i] *= largest


@helper(EXACT, inline=True)
def _tridiagonal(a, values, beside, axes):
    """Make `a` tridiagonal by reflections: diagonal, elements beside it, and the product of the reflections, by rows."""
    d = len(values)
    v, w = new(d, np.float64), new(d, np.float64)
    for c in range(d - 2):
        norm = 0.0
        for i in range(c + 1, d):
            norm += a[i, c] * a[i, c]
        rest = norm - a[c + 1, c] * a[c + 1, c]
        if not rest > 0.0:
            beside[c] = a[c + 1, c]
            continue
        root = -np.copysign(np.sqrt(norm), a[c + 1, c])
        beside[c] = root
        for i in range(c + 1, d):
            v[i] = a[i, c]
        v[c + 1] -= root
        beta = 2.0 / (rest + v[c + 1] * v[c + 1])
        inner = 0.0
        for i in range(c + 1, d):
            value = 0.0
            for j in range(c + 1, d):
                value += a[i, j] * v[j]
            w[i] = beta * value
            inner += w[i] * v[i]
        inner *= 0.5 * beta
        for i in range(c + 1, d):
            w[i] -= inner * v[i]
        for i in range(c + 1, d):
            for j in range(c + 1, d):
                a[i, j] -= v[i] * w[j] + w[i] * v[j]
        for i in range(d):  # axes, whose rows become eigenvectors: the reflection times those before
            w[i] = 0.0
        for j in range(c + 1, d):
            for i in range(d):
                w[i] += v[j] * axes[j, i]
        for j in range(c + 1, d):
            for i in range(d):
                axes[j, i] -= beta * v[j] * w[i]
    if d > 1:
        beside[d - 2] = a[d - 1, d - 2]
    for i in range(d):
        values[i] = a[i, i]


@helper(EXACT, inline=True)
def _implicit_ql(values, beside, axes):
    """Diagonalise a tridiagonal matrix by rotations, which turn the rows of `axes`; `beside` is overwritten."""
    d = len(values)
    for first in range(d):
        for _ in range(_MOST):
            last = first
            while last < d - 1 and abs(beside[last]) > _EPS * (abs(values[last]) + abs(values[last + 1])):
                last += 1
            if last == first:
                break
            half = (values[first + 1] - values[first]) / (2.0 * beside[first])
            shifted = (
                values[last] - values[first] + beside[first] / (half + np.copysign(np.sqrt(half * half + 1.0), half))
            )
            sine, cosine, moved = 1.0, 1.0, 0.0
            i = last - 1
            while i >= first:
                f, b = sine * beside[i], cosine * beside[i]
                length = np.sqrt(f * f + shifted * shifted)  # the matrix is scaled to 1
                beside[i + 1] = length
                if length == 0.0:
                    values[i + 1] -= moved
                    beside[last] = 0.0
                    break
                sine, cosine = f / length, shifted / length
                shifted = values[i + 1] - moved
                turned = (values[i] - shifted) * sine + 2.0 * cosine * b
                moved = sine * turned
                values[i + 1] = shifted + moved
                shifted = cosine * turned - b
                for j in range(d):
                    upper, lower = axes[i, j], axes[i + 1, j]
                    axes[i + 1, j] = sine * upper + cosine * lower
                    axes[i, j] = cosine * upper - sine * lower
                i -= 1
            if i < first:
                values[first] -= moved
                beside[first] = shifted
                beside[last] = 0.0


@helper(EXACT, inline=True)
def _ascending(values, axes):
    d = len(values)
    for i in range(1, d):
        j = i
        while j > 0 and values[j] < values[j - 1]:
            values[j], values[j - 1] = values[j - 1], values[j]
            for m in range(d):
                axes[j, m], axes[j - 1, m] = axes[j - 1, m], axes[j, m]
            j -= 1


call_eigen = called(eigen)

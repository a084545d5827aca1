"""M-steps of the covariance structures for the compiled loop: scatter about the new means -> covariances, full matrices.

The formulas are those of `model.m_steps`, where their sources are; `tests/kernels/test_structured_steps.py` holds the two together.
A structure is three numbers, for volume, shape and orientation, as the letters of its name: 0 for I (none of its own), 1 for E
(equal), 2 for V (varying). Diagonal and spherical covariances are full matrices here, so that one loop serves all fourteen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastgmm._jit import EXACT, called, helper
from fastgmm.kernels.cholesky import call_factor_precisions
from fastgmm.kernels.eigen import call_eigen
from fastgmm.kernels.ir_arrays import new, zeros
from fastgmm.kernels.orientation import rotate

NONE, EQUAL, VARYING = 0, 1, 2

#: An alternation ends if no volume changes by more than this, relatively, or after so many. Each improves the likelihood, and the
#: next M-step continues from the end of this one: `model.m_steps` alternates up to 200 times.
_TOL, _MOST = 1e-6, 10
#: The gain per sample in log |Sigma| below which orientations are good enough, and sweeps of rotations at most: those of a first
#: M-step, which decide which of several optima it is, and of all later ones.
_GAIN, _FIRST_SWEEPS, _SWEEPS = 1e-8, 10, 2
#: This many components offer their axes for a first common orientation.
_OFFERS = 2


class Letters(NamedTuple):
    """Volume, shape and orientation of a structure."""

    volume: int
    shape: int
    orientation: int


# sums and copies as loops: compiled slices and reductions of NumPy's took 12 of 20 seconds


@helper(EXACT)
def total(values):
    """Return the sum of (n,)."""
    value = 0.0
    for i in range(len(values)):
        value += values[i]
    return value


@helper(EXACT)
def copy_matrix(one, other):
    """Copy (m, n) `one` to `other`."""
    for i in range(one.shape[0]):
        for j in range(one.shape[1]):
            other[i, j] = one[i, j]


@helper(EXACT)
def _positive(variances):
    """Return whether all of (k, d) are positive."""
    for c in range(variances.shape[0]):
        for j in range(variances.shape[1]):
            if not variances[c, j] > 0.0:
                return False
    return True


@helper(EXACT)
def maximise_structure(letters, within, counts, first, covariances):
    """Write the covariances that maximise the expected likelihood; return whether there are any.

    letters : Letters; within : (k, d, d) float64, inout, scatter W_k about the new means, overwritten; counts : (k,) in
    first : whether there is no step before; if there is, `covariances` (k, d, d), inout, are its
    """
    k, d = within.shape[0], within.shape[1]
    varying_shape = letters.shape == VARYING
    if letters.orientation == VARYING and varying_shape:
        return _free(letters, within, counts, covariances)
    if letters.orientation == EQUAL and not varying_shape:
        return _call_one_matrix(letters, within, counts, first, covariances)
    values, variances = new((k, d), np.float64), new((k, d), np.float64)
    if letters.orientation == EQUAL:
        axes = new((d, d), np.float64)
        if not _call_common_orientation(letters, within, counts, first, covariances, axes, values, variances):
            return False
        for c in range(k):
            _assemble(axes, variances[c], covariances[c])
        return True
    if letters.orientation == NONE:
        for c in range(k):
            for j in range(d):
                values[c, j] = within[c, j, j]
        shape = zeros(d, np.float64)
        if not first:
            for j in range(d):
                shape[j] = covariances[0, j, j]
        if not variances_of(letters, values, counts, shape, variances):
            return False
        for c in range(k):
            for i in range(d):
                for j in range(d):
                    covariances[c, i, j] = variances[c, j] if i == j else 0.0
        return True
    all_axes, shape = new((k, d, d), np.float64), zeros(d, np.float64)
    if not first and letters.volume == VARYING:  # a common volume and shape need none to begin from
        call_eigen(covariances[0], shape, all_axes[0])
    for c in range(k):
        call_eigen(within[c], values[c], all_axes[c])
    if not variances_of(letters, values, counts, shape, variances):
        return False
    for c in range(k):
        _assemble(all_axes[c], variances[c], covariances[c])
    return True


@helper(EXACT)
def variances_of(letters, values, counts, shape, variances):
    """Compute variances (k, d) along known axes from the scatter along them; return whether all are positive.

    shape : (d,) inout, proportional to the variances of the step before, zeros if there is none; used by equal shapes
    """
    k, d = values.shape
    n = total(counts)
    if letters.shape == NONE:
        whole = 0.0
        for c in range(k):
            own = total(values[c])
            whole += own
            for j in range(d):
                variances[c, j] = own / (counts[c] * d)
        if letters.volume == EQUAL:
            for c in range(k):
                for j in range(d):
                    variances[c, j] = whole / (n * d)
    elif letters.shape == VARYING:
        root = 0.0
        for c in range(k):
            log_root = 0.0
            for j in range(d):
                variances[c, j] = values[c, j] / counts[c]
                if not values[c, j] > 0.0:
                    return False
                log_root += np.log(values[c, j])
            root += np.exp(log_root / d)
        if letters.volume == EQUAL:
            for c in range(k):
                log_root = 0.0
                for j in range(d):
                    log_root += np.log(values[c, j])
                factor = root / n / np.exp(log_root / d)
                for j in range(d):
                    variances[c, j] = values[c, j] * factor
    elif letters.volume == EQUAL:
        for j in range(d):
            value = 0.0
            for c in range(k):
                value += values[c, j]
            for c in range(k):
                variances[c, j] = value / n
    else:
        _equal_shape(values, counts, shape, variances)
    return _positive(variances)


@helper(EXACT)
def _equal_shape(values, counts, shape, variances):
    """Compute lambda_k A: in turn lambda_k = tr(W_k A^-1) / (n_k d) and A ~ sum_k W_k / lambda_k. Zero if there is no maximum."""
    k, d = values.shape
    volumes = new(k, np.float64)
    for c in range(k):
        volumes[c] = 1.0
    for turn in range(_MOST + 1):
        if turn > 0 or not shape[0] > 0.0:
            for j in range(d):
                value = 0.0
                for c in range(k):
                    if volumes[c] > 0.0:
                        value += values[c, j] / volumes[c]
                shape[j] = value
        log_root = 0.0
        for j in range(d):
            log_root += np.log(shape[j])
        root, moved = np.exp(log_root / d), 0.0
        for j in range(d):
            shape[j] /= root
        for c in range(k):
            value = 0.0
            for j in range(d):
                value += values[c, j] / shape[j]
            value /= counts[c] * d
            moved = max(moved, abs(value - volumes[c]) / value)
            volumes[c] = value
        if turn > 0 and not moved > _TOL:
            break
    for c in range(k):
        for j in range(d):
            variances[c, j] = volumes[c] * shape[j]


@helper(EXACT)
def log_det_factor(matrix, factors):
    """Return log |matrix| and write U with inverse(matrix) = U U^T; infinite if it is not positive definite."""
    d = matrix.shape[0]
    for i in range(d):
        for j in range(d):
            factors[i, j] = 0.0
    if call_factor_precisions(matrix.reshape((1, d, d)), factors.reshape((1, d, d))) == 0:
        return np.inf
    value = 0.0
    for j in range(d):
        value -= 2.0 * np.log(factors[j, j])
    return value


@helper(EXACT)
def _free(letters, within, counts, covariances):
    """Compute W_k / n_k, or with equal volumes lambda W_k / |W_k|^(1/d), lambda = sum_k |W_k|^(1/d) / n."""
    k, d = within.shape[0], within.shape[1]
    if letters.volume == VARYING:
        for c in range(k):
            for i in range(d):
                for j in range(d):
                    covariances[c, i, j] = within[c, i, j] / counts[c]
        return True
    roots, factors = new(k, np.float64), new((d, d), np.float64)
    for c in range(k):
        log_det = call_log_det_factor(within[c], factors)
        if log_det == np.inf:
            return False
        roots[c] = np.exp(log_det / d)
    volume = total(roots) / total(counts)
    for c in range(k):
        factor = volume / roots[c]
        for i in range(d):
            for j in range(d):
                covariances[c, i, j] = within[c, i, j] * factor
    return True


@helper(EXACT)
def _one_matrix(letters, within, counts, first, covariances):
    """Compute W / n, or with varying volumes lambda_k C, |C| = 1: C ~ sum_k W_k / lambda_k, lambda_k = tr(W_k C^-1) / (n_k d)."""
    k, d = within.shape[0], within.shape[1]
    shape, factors = zeros((d, d), np.float64), new((d, d), np.float64)
    if first or letters.volume == EQUAL:
        for c in range(k):
            for i in range(d):
                for j in range(d):
                    shape[i, j] += within[c, i, j]
    else:
        copy_matrix(covariances[0], shape)
    if letters.volume == EQUAL:
        n = total(counts)
        for c in range(k):
            for i in range(d):
                for j in range(d):
                    covariances[c, i, j] = shape[i, j] / n
        return True
    volumes, inverse = new(k, np.float64), new((d, d), np.float64)
    for c in range(k):
        volumes[c] = 1.0
    for turn in range(_MOST + 1):
        log_det = call_log_det_factor(shape, factors)
        if log_det == np.inf:
            return False
        root = np.exp(log_det / d)
        for i in range(d):
            for j in range(i, d):
                value = 0.0
                for m in range(j, d):
                    value += factors[i, m] * factors[j, m]
                inverse[i, j] = inverse[j, i] = value * root
        moved = 0.0
        for c in range(k):
            value = 0.0
            for i in range(d):
                value += inverse[i, i] * within[c, i, i]
                for j in range(i + 1, d):
                    value += 2.0 * inverse[i, j] * within[c, i, j]
            value /= counts[c] * d
            if not value > 0.0:
                return False
            moved = max(moved, abs(value - volumes[c]) / value)
            volumes[c] = value
        for i in range(d):
            for j in range(d):
                shape[i, j] /= root
        if (turn > 0 and moved <= _TOL) or turn == _MOST:
            break
        for i in range(d):
            for j in range(d):
                value = 0.0
                for c in range(k):
                    value += within[c, i, j] / volumes[c]
                shape[i, j] = value
    for c in range(k):
        for i in range(d):
            for j in range(d):
                covariances[c, i, j] = volumes[c] * shape[i, j]
    return True


@helper(EXACT)
def _common_orientation(letters, within, counts, first, covariances, axes, values, variances):
    """Compute one orientation for all, by rows of `axes`, and the variances along it, in turn.

    Without a step before, it is the best of those that the axes of some components, and of all together, lead to.
    """
    k, d = within.shape[0], within.shape[1]
    mixed, along, turned = zeros((d, d), np.float64), new(d, np.float64), new((k, d, d), np.float64)
    if not first:
        # factors that make no two common axes alike by chance
        for c in range(k):
            trace = 0.0
            for j in range(d):
                trace += covariances[c, j, j]
            factor = (1.0 + (c * 0.6180339887498949) % 1.0) / trace
            for i in range(d):
                for j in range(d):
                    mixed[i, j] += factor * covariances[c, i, j]
        call_eigen(mixed, along, axes)
        return _call_oriented(letters, within, counts, axes, turned, values, variances, np.int64(_SWEEPS)) < np.inf
    best, offer, tried = np.inf, new((d, d), np.float64), zeros(k, np.bool_)
    other = new((k, d), np.float64)
    for c in range(k):
        for i in range(d):
            for j in range(d):
                mixed[i, j] += within[c, i, j]
    for trial in range(min(k, _OFFERS) + 1):
        if trial == 0:
            call_eigen(mixed, along, offer)
        else:
            largest = -1
            for c in range(k):
                if not tried[c] and (largest < 0 or counts[c] > counts[largest]):
                    largest = c
            tried[largest] = True
            call_eigen(within[largest], along, offer)
        found = _call_oriented(letters, within, counts, offer, turned, values, other, np.int64(_FIRST_SWEEPS))
        if found < best:
            best = found
            copy_matrix(offer, axes)
            copy_matrix(other, variances)
    return best < np.inf


@helper(EXACT)
def _oriented(letters, within, counts, axes, turned, values, variances, most):
    """Turn `axes` and compute variances in turn; return the mean of log |v_k|, infinite if a variance is not positive."""
    k, d = values.shape
    half, columns = new((d, d), np.float64), new((d, d), np.float64)
    for i in range(d):
        for j in range(d):
            columns[j, i] = axes[i, j]
    for c in range(k):
        for i in range(d):
            for j in range(d):
                value = 0.0
                for m in range(d):
                    value += axes[i, m] * within[c, m, j]
                half[i, j] = value
        for i in range(d):
            for j in range(d):
                value = 0.0
                for m in range(d):
                    value += half[i, m] * axes[j, m]
                turned[c, i, j] = value
    factors, unused, before = new((k, d), np.float64), zeros(d, np.float64), np.inf
    for turn in range(most + 1):
        for c in range(k):
            for j in range(d):
                values[c, j] = turned[c, j, j]
        if not variances_of(letters, values, counts, unused, variances):
            return np.inf
        log_det = 0.0
        for c in range(k):
            for j in range(d):
                log_det += counts[c] * np.log(variances[c, j])
                factors[c, j] = 1.0 / variances[c, j]
        log_det /= total(counts)
        if before - log_det <= _GAIN or turn == most:
            break
        before = log_det
        rotate(turned, factors, columns, np.int64(0), d)
    for i in range(d):
        for j in range(d):
            axes[i, j] = columns[j, i]
    return log_det


@helper(EXACT, inline=True)
def _assemble(axes, variances, covariance):
    """Compute sum_j v_j a_j a_j^T of the rows of `axes`, symmetric to the bit."""
    d = len(variances)
    for i in range(d):
        for j in range(i, d):
            value = 0.0
            for m in range(d):
                value += axes[m, i] * variances[m] * axes[m, j]
            covariance[i, j] = covariance[j, i] = value


call_log_det_factor, call_maximise_structure = called(log_det_factor), called(maximise_structure)
_call_one_matrix, _call_common_orientation, _call_oriented = (
    called(_one_matrix),
    called(_common_orientation),
    called(_oriented),
)

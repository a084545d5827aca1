"""The whole EM loop over data of a single lane, compiled.

On 150 x 4 an iteration's kernel takes 6 microseconds, and the calls of NumPy from Python that lead from its sums to the
next packed parameters took 55. Here they are a few loops. The formulas are those of ``model.structures`` (M-step) and
``Params.packed``, which explain them. Change one and you must change both: `tests/em/test_small.py` checks that M-steps are
equal to the bit, but for sums that NumPy adds in another order, and constants within an ulp.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastgmm._jit import ELEMENTWISE, EXACT, choose, helper
from fastgmm.kernels.cholesky import call_factor_precisions
from fastgmm.kernels.full import Full
from fastgmm.kernels.ir_arrays import new, zeros
from fastgmm.kernels.ir_density import few_features
from fastgmm.kernels.simple import Diag, Spherical, Tied
from fastgmm.kernels.structures import EQUAL, NONE, Letters, call_maximise_structure, copy_matrix
from fastgmm.kernels.sweep import call_sweep_tiles
from fastgmm.kernels.tile import new_scratch

#: Codes that `iterate` ends with: it may continue; the bound changed by less than tol; the bound is not finite; a covariance
#: is not positive definite; changes may be rounding. The last one is for a bound that fell, and for a single component, which EM
#: fits in one iteration.
UNDECIDED, CONVERGED, NOT_FINITE, COLLAPSED, DOUBTFUL = 0, 1, 2, 3, 4

#: Multiplied with this and subtracted from the product, a number leaves its upper 26 bits (`_product`).
_FEW = few_features()
_SPLIT = 2.0**27 + 1.0
#: Below this a product of mantissas is scaled up: so high that what it leaves out is not a subnormal number.
_LOG2_SMALL = -400
_SMALL = 2.0**_LOG2_SMALL
#: Constants of `_constant`, and the parts that their rounding to float64 left out.
_LOG_2, _LOG_2_REST = math.log(2.0), 2.3190468138462996e-17
_HALF_LOG_2_PI, _HALF_LOG_2_PI_REST = 0.9189385332046728, -3.8782941580672414e-17


class Mixture(NamedTuple):
    """Parameters as `Params` has them, float64, C-contiguous, inout."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    prec_chol: np.ndarray


class Constants(NamedTuple):
    """Constants of a run: sum of the weights of all samples, when EM stops, what the M-step adds to counts and variances.

    centre : (d,), scatter : (d, d), mean and total scatter of all samples, for tied only.
    """

    n: float
    tol: float
    count_floor: float
    reg_covar: float
    centre: np.ndarray
    scatter: np.ndarray


class Structured(NamedTuple):
    """Constants of a run of any of the fourteen structures, in the full layout."""

    n: float
    tol: float
    count_floor: float
    reg_covar: float
    letters: Letters


@helper(ELEMENTWISE)
def iterate(samples, weights, packed, mixture, constants, out, bound, bounds):
    """Do up to len(bounds) iterations of EM on samples that make one lane.

    weights : (n,) float, in, of the samples, or (0,); packed : in the layout's tuple, inout; mixture : inout
    out : Sums of one lane, inout, of the last sweep on return; bound : mean log-likelihood before; bounds : out
    Returns the iterations done and what ended them. If it is COLLAPSED, `mixture` is of no use; `packed` and `out` hold
    the input of the M-step.
    """
    return run(samples, weights, packed, mixture, constants, out, bound, bounds, 0)


@helper(ELEMENTWISE, inline=True)
def run(samples, weights, packed, mixture, constants, out, bound, bounds, grace):
    """Do `iterate`, as part of a caller that is called from Python; the first `grace` changes of the bound mean nothing."""
    given = new((0, out.counts.shape[1]), packed.means.dtype)
    work = new_scratch(packed)
    for i in range(len(bounds)):
        # of `mixture` alone, so that an iteration has the same bits after a pause as without one
        repack(packed, mixture)
        out.log_likelihood[0] = 0.0
        out.counts[:] = 0.0
        out.sums[:] = 0.0
        out.scatter[:] = 0.0
        call_sweep_tiles(samples, 0, samples.n_samples, packed, given, weights, 0, out, work)
        previous, bound = bound, out.log_likelihood[0] / constants.n
        bounds[i] = bound
        if not np.isfinite(bound):
            return i + 1, NOT_FINITE
        _weights_and_means(packed, mixture, constants, out)
        if not maximise(constants, packed, mixture, out):
            return i + 1, COLLAPSED
        if i < grace:
            continue
        if abs(bound - previous) < constants.tol:
            return i + 1, CONVERGED
        if constants.tol > 0.0 and (bound < previous or (len(mixture.weights) == 1 and previous > -np.inf)):
            return i + 1, DOUBTFUL
    return len(bounds), UNDECIDED


def _maximise(constants, packed, mixture, out):
    """Write covariances of the M-step and their factors into `mixture`; return whether there are any."""


def _maximise_layout(packed, mixture, constants, out):
    """Do the M-step of a layout that nothing else restricts."""


def _repack(packed, mixture):
    """Do `Params.packed` in place."""


@helper(ELEMENTWISE, inline=True)
def _lost(constants, out, c):
    """Return whether a component has lost its samples, and keeps its mean and its covariance."""
    return out.counts[0, c] <= constants.count_floor


@helper(EXACT)
def _weights_and_means(packed, mixture, constants, out):
    k, d = mixture.means.shape
    n = 0.0
    for c in range(k):
        n += out.counts[0, c] + constants.count_floor
    for c in range(k):
        count = out.counts[0, c] + constants.count_floor
        mixture.weights[c] = count / n
        lost = _lost(constants, out, c)
        for j in range(d):
            mixture.means[c, j] = packed.means[c, j] + (0.0 if lost else out.sums[c, j] / count)


@helper(ELEMENTWISE, inline=True)
def factored(covariances, prec_chol):
    """Write the factors of precisions; return whether all covariances have one."""
    prec_chol[:] = 0.0
    return call_factor_precisions(covariances, prec_chol) == covariances.shape[0]


@helper(EXACT)
def scatter_within(out, c, count, within):
    """Compute the scatter (d, d) of component c about its new mean."""
    d, width = within.shape[0], out.scatter.shape[1]
    for i in range(d):
        for j in range(i, d):
            value = out.scatter[c * width + i, j] - out.sums[c, i] * (out.sums[c, j] / count)
            within[i, j] = within[j, i] = value


@helper(EXACT)
def _maximise_structured(constants, packed, mixture, out):
    k, d = mixture.means.shape
    within, counts = new((k, d, d), np.float64), new(k, np.float64)
    for c in range(k):
        if _lost(constants, out, c):
            return False  # `model.structures.maximise` knows what it keeps
        counts[c] = out.counts[0, c] + constants.count_floor
        scatter_within(out, c, counts[c], within[c])
        for i in range(d):
            within[c, i, i] += constants.reg_covar * counts[c]
    letters = constants.letters
    # a literal has a type of its own, for which all would be compiled once more
    if not call_maximise_structure(letters, within, counts, np.bool_(False), mixture.covariances):
        return False
    if letters.orientation == NONE:
        return _factored_along_axes(mixture.covariances, mixture.prec_chol)
    if letters.volume == EQUAL and letters.shape == EQUAL and letters.orientation == EQUAL:
        if not factored(mixture.covariances[:1], mixture.prec_chol[:1]):
            return False
        for c in range(1, k):
            copy_matrix(mixture.prec_chol[0], mixture.prec_chol[c])
        return True
    return factored(mixture.covariances, mixture.prec_chol)


@helper(EXACT, inline=True)
def _factored_along_axes(covariances, prec_chol):
    """Do `factored` for diagonal matrices."""
    k, d = covariances.shape[0], covariances.shape[1]
    prec_chol[:] = 0.0
    for c in range(k):
        for j in range(d):
            if not (covariances[c, j, j] > 0.0 and covariances[c, j, j] < np.inf):
                return False
            prec_chol[c, j, j] = 1.0 / np.sqrt(covariances[c, j, j])
    return True


@helper(EXACT)
def _maximise_plain(constants, packed, mixture, out):
    return maximise_layout(packed, mixture, constants, out)


@helper(EXACT)
def _maximise_full(packed, mixture, constants, out):
    k, d = mixture.means.shape
    width = out.scatter.shape[1]
    for c in range(k):
        if _lost(constants, out, c):
            continue
        count = out.counts[0, c] + constants.count_floor
        for i in range(d):
            for j in range(i, d):
                within = out.scatter[c * width + i, j] - out.sums[c, i] * (out.sums[c, j] / count)
                if i == j:
                    within += constants.reg_covar * count
                mixture.covariances[c, i, j] = within / count
                mixture.covariances[c, j, i] = within / count
    return factored(mixture.covariances, mixture.prec_chol)


@helper(EXACT)
def _maximise_tied(packed, mixture, constants, out):
    k, d = mixture.means.shape
    n = 0.0
    for c in range(k):
        n += out.counts[0, c] + constants.count_floor
    # the total scatter, about other origins, less that between the components: `em.sweep.pooled`, and the M-step
    for i in range(d):
        for j in range(i, d):
            value = constants.scatter[i, j]
            for c in range(k):
                count, s, t = out.counts[0, c], out.sums[c, i], out.sums[c, j]
                a, b = packed.means[c, i] - constants.centre[i], packed.means[c, j] - constants.centre[j]
                value -= (s * b + t * a + count * a * b) + s * t / (count + constants.count_floor)
            if i == j:
                value += constants.reg_covar * n
            mixture.covariances[i, j] = value / n
            mixture.covariances[j, i] = value / n
    return factored(mixture.covariances.reshape((1, d, d)), mixture.prec_chol.reshape((1, d, d)))


@helper(EXACT)
def _maximise_diag(packed, mixture, constants, out):
    k, d = mixture.means.shape
    for c in range(k):
        if _lost(constants, out, c):
            continue
        count = out.counts[0, c] + constants.count_floor
        for j in range(d):
            s = out.sums[c, j]
            variance = (out.scatter[c, j] - s * s / count + constants.reg_covar * count) / count
            if not variance > 0.0:
                return False
            mixture.covariances[c, j] = variance
            mixture.prec_chol[c, j] = 1.0 / np.sqrt(variance)
    return True


@helper(EXACT)
def _maximise_spherical(packed, mixture, constants, out):
    k, d = mixture.means.shape
    for c in range(k):
        if _lost(constants, out, c):
            continue
        count, scatter, squares = out.counts[0, c] + constants.count_floor, 0.0, 0.0
        for j in range(d):
            scatter += out.scatter[c, j]
            squares += out.sums[c, j] ** 2
        variance = ((scatter - squares / count) / d + constants.reg_covar * count) / count
        if not variance > 0.0:
            return False
        mixture.covariances[c] = variance
        mixture.prec_chol[c] = 1.0 / np.sqrt(variance)
    return True


@helper(ELEMENTWISE, inline=True)
def _repack_means(packed, mixture):
    k, d = mixture.means.shape
    for c in range(k):
        for j in range(d):
            packed.means[c, j] = mixture.means[c, j]


@helper(ELEMENTWISE, inline=True)
def _pack_panels(u, packed):
    """Do `ir_density.pack_panels` of one matrix (d, d) into (size,)."""
    d = u.shape[0]
    j = o = 0
    while o < packed.shape[0]:
        w = 8 if d >= _FEW and j + 8 <= (d + 1) // 8 * 8 else 2
        for i in range(j + w):
            for column in range(j, j + w):
                packed[o] = u[i, column] if i < d and column < d else 0.0
                o += 1
        j += w


@helper(EXACT)
def _sum(a, b):
    """Return (sum, error) with a + b = sum + error to the last bit (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


@helper(EXACT)
def _product(a, b):
    """Return (product, error) with a b = product + error to the last bit, by halves of 26 bits (Dekker)."""
    product = a * b
    scaled = _SPLIT * a
    high = scaled - (scaled - a)
    low = a - high
    scaled = _SPLIT * b
    other_high = scaled - (scaled - b)
    other_low = b - other_high
    return product, ((high * other_high - product) + high * other_low + low * other_high) + low * other_low


@helper(EXACT)
def _constant(packed, mixture, c, factors, times):
    """Return log w_c + `times` log of the product of the factors - d/2 log 2 pi, as precise as `Params.packed` has it.

    It takes one logarithm, of the product of the weight's and the factors' mantissas in double-double; exponents are added as
    integers.
    """
    d = mixture.means.shape[1]
    mantissa, exponent = math.frexp(mixture.weights[c])
    if mantissa == 0.0:
        packed.constant[c] = -math.inf
        return
    high, low, exponents = mantissa, 0.0, exponent
    for j in range(factors.shape[0]):
        mantissa, exponent = math.frexp(factors[j])
        for _ in range(times):
            high, error = _product(high, mantissa)
            high, low = _sum(high, error + low * mantissa)
            exponents += exponent
            if high < _SMALL:
                high, low, exponents = high / _SMALL, low / _SMALL, exponents + _LOG2_SMALL
    of_exponents, rest = _product(float(exponents), _LOG_2)
    of_pi, error = _product(float(d), _HALF_LOG_2_PI)
    value, lost = _sum(of_exponents, -of_pi)
    rest += lost - error + exponents * _LOG_2_REST - d * _HALF_LOG_2_PI_REST
    value, lost = _sum(value, math.log(high))
    rest += lost + low / high
    packed.constant[c] = value + rest


@helper(ELEMENTWISE)
def _repack_full(packed, mixture):
    k, d = mixture.means.shape
    _repack_means(packed, mixture)
    diagonal = new(d, np.float64)
    for c in range(k):
        for j in range(d):
            diagonal[j] = mixture.prec_chol[c, j, j]
        _constant(packed, mixture, c, diagonal, 1)
        _pack_panels(mixture.prec_chol[c], packed.u[c])


@helper(ELEMENTWISE)
def _repack_tied(packed, mixture):
    k, d = mixture.means.shape
    _repack_means(packed, mixture)
    _pack_panels(mixture.prec_chol, packed.u)
    diagonal, centre = new(d, np.float64), zeros(d, np.float64)
    for j in range(d):
        diagonal[j] = mixture.prec_chol[j, j]
        for c in range(k):
            centre[j] += mixture.weights[c] * mixture.means[c, j]
        packed.centre[j] = centre[j]
    for c in range(k):
        _constant(packed, mixture, c, diagonal, 1)
        for j in range(d):
            value = 0.0
            for i in range(j + 1):
                value += (mixture.means[c, i] - centre[i]) * mixture.prec_chol[i, j]
            packed.transformed[c, j] = value


@helper(ELEMENTWISE)
def _repack_diag(packed, mixture):
    k, d = mixture.means.shape
    _repack_means(packed, mixture)
    for c in range(k):
        for j in range(d):
            packed.scale[c, j] = mixture.prec_chol[c, j]
        _constant(packed, mixture, c, mixture.prec_chol[c], 1)


@helper(ELEMENTWISE)
def _repack_spherical(packed, mixture):
    k, d = mixture.means.shape
    _repack_means(packed, mixture)
    for c in range(k):
        root = mixture.prec_chol[c]
        packed.factor[c] = -0.5 * root**2
        _constant(packed, mixture, c, mixture.prec_chol[c : c + 1], d)


maximise_layout = choose(
    _maximise_layout,
    {Full: _maximise_full, Tied: _maximise_tied, Diag: _maximise_diag, Spherical: _maximise_spherical},
)
repack = choose(_repack, {Full: _repack_full, Tied: _repack_tied, Diag: _repack_diag, Spherical: _repack_spherical})
maximise = choose(_maximise, {Constants: _maximise_plain, Structured: _maximise_structured})

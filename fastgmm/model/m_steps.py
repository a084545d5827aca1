"""M-steps of the covariance structures: scatter about the new means -> covariances.

Sigma_k = lambda_k D_k A_k D_k^T: volume lambda_k, shape A_k (diagonal, determinant 1), orientation D_k (orthogonal). A name
says for volume, shape and orientation in turn whether they are equal for all components (E), vary (V), or are none of their own
(I): a sphere, the axes. G. Celeux and G. Govaert, Gaussian parsimonious clustering models, Pattern Recognition 28(5), 1995,
section 4.

Each function takes the scatter W_k about the new means in its layout, the counts n_k (k,) and, if it iterates, the
covariances of the step before or None; n is the sum of the n_k. A covariance that has no maximum is returned as zero or NaN,
which `precision_cholesky` refuses; if it is a matrix that all components share, NotPositiveDefinite is raised.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastgmm._limits import LIMITS
from fastgmm.kernels.orientation import rotate
from fastgmm.model.cholesky import NotPositiveDefinite

Float = NDArray[np.float64]
VariancesOf = Callable[[Float, Float], Float]

#: An alternation ends when no volume changes by more than this, relatively; the likelihood is then known to its square.
_TOL = 1.5e-8
#: The gain per sample in log |Sigma| below which orientations are good enough.
_GAIN = 1e-10
#: Alternations at most. Each improves the likelihood, and the next M-step continues from the end of this one.
_MOST = 200
#: This many components offer their axes for a first common orientation.
_OFFERS = 8


# --- W_k as tr(W_k): (k,) -> (k,) ---


def eii(within: Float, counts: Float, previous: Float | None) -> Float:
    """Return lambda = sum_k tr(W_k) / (n d); `within` is tr(W_k) / d, as everywhere in this layout."""
    return np.full(len(counts), within.sum() / counts.sum())


def vii(within: Float, counts: Float, previous: Float | None) -> Float:
    """Return lambda_k = tr(W_k) / (n_k d)."""
    return within / counts


# --- W_k as its diagonal: (k, d) -> (k, d) ---


def eei(within: Float, counts: Float, previous: Float | None) -> Float:
    """Return diag(W) / n."""
    return np.tile(within.sum(axis=0) / counts.sum(), (len(counts), 1))


def vei(within: Float, counts: Float, previous: Float | None) -> Float:
    """Return lambda_k A, each maximised given the other in turn."""
    return _equal_shape(within, counts, None if previous is None else previous[0])


def evi(within: Float, counts: Float, previous: Float | None) -> Float:
    """Return lambda A_k with A_k = diag(W_k) / |diag W_k|^(1/d), lambda = sum_k |diag W_k|^(1/d) / n."""
    return _equal_volume(within, counts)


def vvi(within: Float, counts: Float, previous: Float | None) -> Float:
    """Return diag(W_k) / n_k."""
    return within / counts[:, None]


# --- W = sum_k W_k: (d, d) -> (d, d) ---


def eee(within: Float, counts: Float, previous: Float | None) -> Float:
    """Return W / n."""
    return within / counts.sum()


# --- W_k: (k, d, d) -> (k, d, d) ---


def vee(within: Float, counts: Float, previous: Float | None) -> Float:
    """Return lambda_k C, |C| = 1, each maximised given the other in turn.

    C ~ sum_k W_k / lambda_k, lambda_k = tr(W_k C^-1) / (n_k d).
    """
    d = within.shape[-1]
    shape = _unit_determinant(within.sum(axis=0) if previous is None else previous[0])
    volumes = _volumes(within, shape, counts)
    for _ in range(_MOST):
        inverse = np.divide(1.0, volumes, out=np.zeros(len(volumes)), where=volumes > 0)
        shape = _unit_determinant(np.einsum("k,kij->ij", inverse, within))
        before, volumes = volumes, _volumes(within, shape, counts)
        if d == 1 or (np.abs(volumes - before) <= _TOL * before).all():
            break
    return volumes[:, None, None] * shape


def _volumes(within: Float, shape: Float, counts: Float) -> Float:
    try:
        inverse = np.linalg.inv(shape)
    except np.linalg.LinAlgError:
        raise NotPositiveDefinite(None, 0.0) from None
    return np.einsum("kij,ij->k", within, inverse) / (counts * within.shape[-1])


def _unit_determinant(matrix: Float) -> Float:
    """Return `matrix` divided by the d-th root of its determinant; NotPositiveDefinite if there is none."""
    sign, log_det = np.linalg.slogdet(matrix)
    if not (sign > 0 and np.isfinite(log_det)):
        raise NotPositiveDefinite(None, float(np.linalg.eigvalsh(matrix)[0]))
    return matrix * np.exp(-log_det / len(matrix))


def eve(within: Float, counts: Float, previous: Float | None) -> Float:
    """Return lambda D A_k D^T: EVI along the columns of a D that is improved in turn."""
    return _common_orientation(within, counts, previous, _equal_volume)


def vve(within: Float, counts: Float, previous: Float | None) -> Float:
    """Return lambda_k D A_k D^T: VVI along the columns of a D that is improved in turn."""
    return _common_orientation(within, counts, previous, lambda values, n: values / n[:, None])


def eev(within: Float, counts: Float, previous: Float | None) -> Float:
    """Return lambda D_k A D_k^T: D_k the eigenvectors of W_k, lambda A = sum_k O_k / n with O_k its eigenvalues in order."""
    values, axes = np.linalg.eigh(within)
    return _assembled(axes, values.sum(axis=0) / counts.sum())


def vev(within: Float, counts: Float, previous: Float | None) -> Float:
    """Return lambda_k D_k A D_k^T: D_k the eigenvectors of W_k, then VEI for their eigenvalues."""
    values, axes = np.linalg.eigh(within)
    shape = None if previous is None else np.linalg.eigvalsh(previous[0])
    return _assembled(axes, _equal_shape(values, counts, shape))


def evv(within: Float, counts: Float, previous: Float | None) -> Float:
    """Return lambda C_k with C_k = W_k / |W_k|^(1/d), lambda = sum_k |W_k|^(1/d) / n."""
    signs, log_det = np.linalg.slogdet(within)
    roots = np.where(signs > 0, np.exp(log_det / within.shape[-1]), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return within * (roots.sum() / counts.sum() / roots)[:, None, None]


def vvv(within: Float, counts: Float, previous: Float | None) -> Float:
    """Return W_k / n_k."""
    return within / counts[:, None, None]


# --- shared by several ---


def _geometric_mean(values: Float) -> Float:
    """Return geometric means by logarithms: products of small variances underflow. Zero if a value is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.maximum(values, 0.0))
        return np.exp(logs.mean(axis=-1))


def _of_volume_1(shape: Float) -> Float:
    with np.errstate(divide="ignore", invalid="ignore"):  # NaN if a value is not positive
        return shape / _geometric_mean(shape)


def _equal_volume(values: Float, counts: Float) -> Float:
    """Return lambda A_k for diagonal scatter (k, d)."""
    roots = _geometric_mean(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        return values * (roots.sum() / counts.sum() / roots)[:, None]


def _equal_shape(values: Float, counts: Float, shape: Float | None) -> Float:
    """Return lambda_k A for diagonal scatter (k, d), from a first A if there is one.

    In turn lambda_k = tr(W_k A^-1) / (n_k d) and A ~ sum_k W_k / lambda_k.
    """
    d = values.shape[1]
    shape = values.sum(axis=0) if shape is None else shape
    shape = _of_volume_1(shape) if shape.min() > 0 else shape
    volumes = np.full(len(counts), np.inf)
    for _ in range(_MOST):
        if not shape.min() > 0:
            raise NotPositiveDefinite(None, float(shape.min()))
        before, volumes = volumes, (values / shape).sum(axis=1) / (counts * d)
        if (np.abs(volumes - before) <= _TOL * volumes).all():
            break
        inverse = np.divide(1.0, volumes, out=np.zeros(len(volumes)), where=volumes > 0)
        shape = _of_volume_1((values * inverse[:, None]).sum(axis=0))
    return volumes[:, None] * shape


def _common_orientation(within: Float, counts: Float, previous: Float | None, variances_of: VariancesOf) -> Float:
    """Return D diag(v_k) D^T with v = ``variances_of(diagonals of D^T W_k D, counts)``, D and v in turn.

    There are several stationary points. Without a step before, the result is the best of those that the axes of some
    components, and of all together, lead to.
    """
    if previous is not None:
        return _assembled(*_oriented(within, counts, _common_axes(previous), variances_of)[1:])
    offers = [within.sum(axis=0), *within[np.argsort(-counts, kind="stable")[:_OFFERS]]]
    found = (_oriented(within, counts, np.linalg.eigh(offer)[1], variances_of) for offer in offers)
    return _assembled(*min(found, key=operator.itemgetter(0))[1:])


def _oriented(within: Float, counts: Float, axes: Float, variances_of: VariancesOf) -> tuple[float, Float, Float]:
    """Return the mean of log |v_k| that is reached from `axes`, with D and v.

    Given v, D is turned so that sum_kj (D^T W_k D)_jj / v_kj falls; then sum_k n_k log |v_k|, which is minus twice the expected
    log-likelihood up to constants, falls as well.
    """
    axes = np.ascontiguousarray(axes)
    turned = np.ascontiguousarray(axes.T @ within @ axes)
    variances = variances_of(np.diagonal(turned, axis1=1, axis2=2), counts)
    log_det = _log_det(variances, counts)
    for _ in range(_MOST):
        if not variances.min() > 0:  # or NaN: refused as it is
            break
        _rotate(turned, 1.0 / variances, axes)
        variances = variances_of(np.diagonal(turned, axis1=1, axis2=2), counts)
        before, log_det = log_det, _log_det(variances, counts)
        if before - log_det <= _GAIN:
            break
    return log_det, axes, variances


def _rotate(turned: Float, factors: Float, axes: Float) -> None:
    """Rotate in all planes, in short compiled calls, so that Ctrl-C is served soon."""
    k, d = factors.shape
    step = max(1, int(LIMITS.call_flops / (24 * k * d * d)))
    for first in range(0, d, step):
        rotate(turned, factors, axes, first, min(first + step, d))


def _log_det(variances: Float, counts: Float) -> float:
    """Return the mean of log |v_k| over the samples; infinite if a variance is not positive."""
    if not variances.min() > 0:
        return np.inf
    return float(counts @ np.log(variances).sum(axis=1) / counts.sum())


def _common_axes(covariances: Float) -> Float:
    """Return the eigenvectors that all `covariances` share: of a sum with factors that make no two axes alike by chance."""
    k = len(covariances)
    factors = (1.0 + np.modf(np.arange(k) * 0.6180339887498949)[0]) / np.trace(covariances, axis1=1, axis2=2)
    return np.linalg.eigh(np.einsum("k,kij->ij", factors, covariances))[1]


def _assembled(axes: Float, variances: Float) -> Float:
    """Return D_k diag(v_k) D_k^T, symmetric to the bit."""
    root = axes * np.sqrt(np.maximum(variances, 0.0))[..., None, :]
    return np.einsum("...im,...jm->...ij", root, root)

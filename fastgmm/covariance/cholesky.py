"""Cholesky factors of precisions, and what happens where a covariance has none."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from fastgmm.kernels.cholesky import factor_precisions

Float = NDArray[np.float64]

#: Operations in one compiled call, at most, about a third of a second: Ctrl-C is served between two.
_FLOPS = 3e8


class NotPositiveDefinite(ValueError):
    """The covariance of `component` (None: the tied one) is not positive definite."""

    def __init__(self, component: int | None, smallest: float) -> None:
        self.component, self.smallest = component, smallest
        super().__init__(
            f"covariance of component {component} is not positive definite (smallest value {smallest:.3g})"
        )


def precision_cholesky(covariances: Float, layout: str) -> Float:
    """Return U, upper triangular, with inverse(covariance) = U U^T; raise NotPositiveDefinite where there is none.

    With covariance = L L^T, U = inverse(L)^T. For diag and spherical, 1 / standard deviation.
    """
    if layout in ("diag", "spherical"):
        bad = ~((covariances > 0) & (covariances < np.inf))
        if bad.any():
            component = int(np.argwhere(bad)[0, 0])
            raise NotPositiveDefinite(component, float(np.min(covariances[component])))
        return 1.0 / np.sqrt(covariances)
    if layout == "tied":
        return _factors(covariances[None], tied=True)[0]
    return _factors(covariances)


def _factors(covariances: Float, *, tied: bool = False) -> Float:
    matrices, out = np.ascontiguousarray(covariances), np.zeros(covariances.shape)
    step = max(1, int(_FLOPS / covariances.shape[-1] ** 3))
    k = 0
    for start in range(0, len(matrices), step):
        some = matrices[start : start + step]
        k = start + int(factor_precisions(some, out[start : start + step]))
        if k < start + len(some):
            break
    if k < len(covariances):
        covariance = covariances[k]
        smallest = float(np.linalg.eigvalsh(covariance)[0]) if np.isfinite(covariance).all() else float("nan")
        raise NotPositiveDefinite(None if tied else k, smallest)
    return out


def precision_cholesky_from_precisions(precisions: Float, layout: str) -> Float:
    """Return U, upper triangular, with precision = U U^T.

    The lower Cholesky factor of the matrix with rows and columns reversed, reversed again, is upper triangular.
    """
    if layout in ("diag", "spherical"):
        return np.sqrt(precisions)
    flipped = precisions[..., ::-1, ::-1]
    return np.ascontiguousarray(np.linalg.cholesky(flipped)[..., ::-1, ::-1])


def covariances_from_precision_cholesky(prec_chol: Float, layout: str) -> Float:
    """Return the covariances: inverse(U U^T)."""
    if layout in ("diag", "spherical"):
        return 1.0 / prec_chol**2
    inverse = np.linalg.inv(prec_chol)
    return np.swapaxes(inverse, -1, -2) @ inverse


def is_upper_factor(factors: Float, layout: str) -> bool:
    """Whether all values are finite and each matrix is upper triangular with a positive diagonal, as a fit leaves them."""
    if layout in ("diag", "spherical"):
        return bool(factors.min() > 0.0 and factors.max() < np.inf)
    with np.errstate(invalid="ignore"):
        # zero times what is not finite is NaN, which counts as well
        odd = (factors * _below_diagonal(factors.shape[-1])).any()
    return not odd and bool((np.diagonal(factors, axis1=-2, axis2=-1) > 0.0).all())


@cache
def _below_diagonal(d: int) -> Float:
    return np.tri(d, k=-1)


def upper_factor(factors: Float, layout: str) -> Float:
    """Return U, upper triangular with a positive diagonal, with U U^T = P P^T for any square matrices P.

    P = U Q with Q orthogonal: with J, which reverses an order, P^T J = Q' R by QR gives U = J R^T J up to the signs of its
    columns. For diag and spherical, the magnitudes. Raises NotPositiveDefinite where P is singular to rounding.
    """
    if layout in ("diag", "spherical"):
        upper = diagonal = sizes = np.abs(factors)
        least = 0.0
    else:
        flipped = np.linalg.qr(np.swapaxes(factors[..., ::-1, :], -1, -2), mode="r")
        upper = np.swapaxes(flipped, -1, -2)[..., ::-1, ::-1]
        signed = np.diagonal(upper, axis1=-2, axis2=-1)
        upper = np.ascontiguousarray(upper * np.where(signed < 0.0, -1.0, 1.0)[..., None, :])
        diagonal, sizes = np.abs(signed), np.linalg.norm(factors, axis=-1)
        least = factors.shape[-1] * np.finfo(np.float64).eps
    singular = diagonal <= least * sizes
    if singular.any():
        component = None if layout == "tied" else int(np.argwhere(singular)[0, 0])
        raise NotPositiveDefinite(component, float(diagonal[singular][0]))
    return upper

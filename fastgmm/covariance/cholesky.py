"""Cholesky factors of precisions, and what happens where a covariance has none."""

from __future__ import annotations

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

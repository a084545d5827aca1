"""Cholesky factors of precisions, and the error if a covariance has none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm._limits import LIMITS
from fastgmm.kernels.cholesky import factor_precisions

Float = NDArray[np.float64]


class NotPositiveDefinite(ValueError):
    """The covariance of `component` (None: the tied one) is not positive definite."""

    def __init__(self, component: int | None, smallest: float) -> None:
        self.component, self.smallest = component, smallest
        super().__init__(
            f"covariance of component {component} is not positive definite (smallest value {smallest:.3g})"
        )


def factors(covariances: Float, *, shared: bool = False) -> Float:
    """Return U, upper triangular, with inverse(covariance) = U U^T, for matrices (k, d, d).

    With covariance = L L^T, U = inverse(L)^T. Raises NotPositiveDefinite if there is none; of no component if the matrix is
    `shared` by all.
    """
    matrices, out = np.ascontiguousarray(covariances), np.zeros(covariances.shape)
    step = max(1, int(LIMITS.call_flops / covariances.shape[-1] ** 3))
    k = 0
    for start in range(0, len(matrices), step):
        some = matrices[start : start + step]
        k = start + int(factor_precisions(some, out[start : start + step]))
        if k < start + len(some):
            break
    if k < len(covariances):
        covariance = covariances[k]
        smallest = float(np.linalg.eigvalsh(covariance)[0]) if np.isfinite(covariance).all() else float("nan")
        raise NotPositiveDefinite(None if shared else k, smallest)
    return out

"""Mixture parameters: a value.

Greek letters of formulas and their names here: pi_k ``weights``, mu_k ``means``, Sigma_k ``covariances``, U_k
``prec_chol`` with Sigma_k^-1 = U_k U_k^T upper triangular, tau_ik ``resp``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastgmm.kernels.full import Full
from fastgmm.kernels.micro import pack_panels
from fastgmm.kernels.simple import Diag, Spherical, Tied
from fastgmm.kernels.tile import tile_width

Float = NDArray[np.float64]
Packed = Full | Tied | Diag | Spherical

_LOG_2 = np.log(np.longdouble(2))
_HALF_LOG_2_PI = np.log(2 * np.arccos(np.longdouble(-1))) / 2


@dataclass(frozen=True)
class Params:
    """Weights, means and covariances of a mixture, float64.

    layout : 'full', 'tied', 'diag' or 'spherical'
    weights : (k,); means : (k, d)
    covariances, prec_chol : (k, d, d) full, (d, d) tied, (k, d) diag, (k,) spherical
    """

    layout: str
    weights: Float
    means: Float
    covariances: Float
    prec_chol: Float

    @property
    def precisions(self) -> Float:
        """Inverse covariances, in the shape of `covariances`."""
        if self.layout in ("full", "tied"):
            return self.prec_chol @ np.swapaxes(self.prec_chol, -1, -2)
        return self.prec_chol**2

    @property
    def variances(self) -> Float:
        """Variance of each feature in each component, shape (k, d)."""
        values = self.covariances
        if self.layout in ("full", "tied"):
            values = np.diagonal(values, axis1=-2, axis2=-1)
        return np.broadcast_to(values[:, None] if self.layout == "spherical" else values, self.means.shape)

    @property
    def precision_diagonals(self) -> Float:
        """Diagonal of the inverse covariance of each component, shape (k, d)."""
        squares = self.prec_chol**2
        if self.layout in ("full", "tied"):
            squares = squares.sum(axis=-1)
        return np.broadcast_to(squares[:, None] if self.layout == "spherical" else squares, self.means.shape)

    @property
    def log_det(self) -> NDArray[np.longdouble]:
        """log |U_k| = -1/2 log |Sigma_k|, shape (k,).

        In extended precision, where the platform has it: an error of it is one of all samples, and at d = 200 that of a sum of
        rounded logarithms was several times those of distances.
        """
        k, d = self.means.shape
        if self.layout == "full":
            return _log_products(np.diagonal(self.prec_chol, axis1=1, axis2=2))
        if self.layout == "tied":
            return np.broadcast_to(_log_products(np.diagonal(self.prec_chol)[np.newaxis]), k)
        if self.layout == "diag":
            return _log_products(self.prec_chol)
        return d * np.log(self.prec_chol.astype(np.longdouble))

    def in_layout(self, layout: str) -> Params:
        """Return the same mixture in a layout that can hold it: full any; diag spherical; tied one whose covariances are equal."""
        if layout == self.layout:
            return self
        k, d = self.means.shape

        def moved(values: Float) -> Float:
            if self.layout == "spherical":
                values = np.repeat(values[:, None], d, axis=1)
            if layout == "diag":
                return values
            if self.layout == "tied":
                return np.tile(values, (k, 1, 1))
            matrices = values[:, :, None] * np.eye(d)
            return matrices if layout == "full" else matrices[0]

        return Params(layout, self.weights, self.means, moved(self.covariances), moved(self.prec_chol))

    # what is beyond the dtype makes densities of 0, which the sums over samples tell
    @np.errstate(over="ignore", invalid="ignore")
    def packed(self, dtype: DTypeLike, *, weighted: bool = True) -> Packed:
        """Lay the parameters out for the kernels, features padded with zeros to a multiple of 4.

        With ``weighted=False`` the constants leave out log pi_k, so that the kernels give component densities.
        Raises ValueError where means or precisions are beyond float32, if that is the dtype.
        """
        if dtype == np.float32:
            self._check_float32()
        k, d = self.means.shape
        constant = self.log_det - d * _HALF_LOG_2_PI
        if weighted:
            with np.errstate(divide="ignore"):
                constant = constant + np.log(self.weights)
        constant = constant.astype(dtype)
        means = pad(self.means, dtype)
        tile = tile_width(self.layout, means.shape[1], means.itemsize)
        if self.layout == "full":
            return Full(constant, means, pack_panels(self.prec_chol.astype(dtype)), d, tile)
        half = np.full(k, -0.5, dtype)
        if self.layout == "tied":
            centre = self.weights @ self.means
            transformed = (self.means - centre) @ self.prec_chol
            u = pack_panels(self.prec_chol.astype(dtype))
            return Tied(constant, half, means, u, pad(centre, dtype), pad(transformed, dtype), d, tile)
        if self.layout == "diag":
            return Diag(constant, half, means, pad(self.prec_chol, dtype), d, tile)
        return Spherical(constant, (-0.5 * self.prec_chol**2).astype(dtype), means, d, tile)

    def _check_float32(self) -> None:
        limit = float(np.finfo(np.float32).max)
        farthest, steepest = float(np.abs(self.means).max()), float(np.abs(self.prec_chol).max())
        # kernels take the precision itself of a spherical covariance
        if farthest > limit or steepest > (math.sqrt(limit) if self.layout == "spherical" else limit):
            raise ValueError(
                f"the mixture is beyond float32, the dtype of X: means reach {farthest:.3g}, standard deviations go down to "
                f"{1 / steepest:.3g}. Pass X as float64, or scale the data"
            )


def _log_products(values: Float) -> NDArray[np.longdouble]:
    """Logarithm of the product of each row of (k, d), shape (k,).

    By one logarithm of the product of 512 mantissas, none below 1/2: a logarithm each in extended precision would take six times as
    long at 256 x 39.
    """
    mantissas, exponents = np.frexp(values)
    products = np.multiply.reduceat(mantissas.astype(np.longdouble), np.arange(0, values.shape[1], 512), axis=1)
    return np.log(products).sum(axis=1) + exponents.sum(axis=1) * _LOG_2


def pad(array: NDArray, dtype: DTypeLike) -> NDArray:
    """Copy `array` into `dtype`, its last axis padded with zeros to a multiple of 4."""
    d = array.shape[-1]
    out = np.zeros((*array.shape[:-1], -(-d // 4) * 4), dtype)
    out[..., :d] = array
    return out

"""Mixture parameters: a value.

Greek letters of formulas and their names here: pi_k ``weights``, mu_k ``means``, Sigma_k ``covariances``, U_k
``prec_chol`` with Sigma_k^-1 = U_k U_k^T upper triangular, tau_ik ``resp``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastgmm.kernels.tile import tile_width
from fastgmm.model.layouts import Layout, LongFloat, Packed, pad
from fastgmm.model.noise import Noise

Float = NDArray[np.float64]

HALF_LOG_2_PI = np.log(2 * np.arccos(np.longdouble(-1))) / 2


@dataclass(frozen=True)
class Params:
    """Weights, means and covariances of a mixture, float64.

    layout : how the covariances are stored (`layouts`)
    weights : (k,); means : (k, d)
    covariances, prec_chol : in the shape of the layout; prec_chol is the factor U, precision = U U^T
    noise : a further component of constant density, None if there is none; with its weight the weights add up to 1
    """

    layout: Layout
    weights: Float
    means: Float
    covariances: Float
    prec_chol: Float
    noise: Noise | None = None

    @property
    def n_densities(self) -> int:
        """Return the number of components, noise included, which comes last."""
        return len(self.weights) + (self.noise is not None)

    @property
    def total_weight(self) -> float:
        """Return the sum of all weights, that of noise included."""
        return float(self.weights.sum()) + (0.0 if self.noise is None else self.noise.weight)

    #: Names of the arrays, in the order of the arguments.
    parts: ClassVar[tuple[str, ...]] = ("weights", "means", "covariances", "prec_chol")

    @property
    def precisions(self) -> Float:
        """Return the inverse covariances, in the shape of `covariances`."""
        return self.layout.precisions(self.prec_chol)

    @property
    def variances(self) -> Float:
        """Return the variance of each feature in each component, shape (k, d)."""
        return self.layout.variances(self.covariances, *self.means.shape)

    @property
    def precision_diagonals(self) -> Float:
        """Return the diagonal of the inverse covariance of each component, shape (k, d)."""
        return self.layout.precision_diagonals(self.prec_chol, *self.means.shape)

    def normalised(self) -> Params:
        """Return the same mixture with weights that add up to 1: those of single samples are 1 / n each."""
        total = self.total_weight
        noise = None if self.noise is None else replace(self.noise, weight=self.noise.weight / total)
        return replace(self, weights=self.weights / total, noise=noise)

    def in_layout(self, layout: Layout) -> Params:
        """Return the same mixture in a layout that can hold it: full any; diag spherical; tied one whose covariances are equal."""
        if layout is self.layout:
            return self

        def moved(values: Float) -> Float:
            return layout.of_matrices(self.layout.matrices(values, *self.means.shape))

        return replace(self, layout=layout, covariances=moved(self.covariances), prec_chol=moved(self.prec_chol))

    def with_weights(self, weights: Float) -> Params:
        """Return the same components with other weights."""
        return replace(self, weights=weights)

    def log_constants(self, *, weighted: bool = True) -> LongFloat:
        """Return what a component's log-density has in addition to -1/2 |U_k^T (x - mu_k)|^2, shape (k,), log pi_k if `weighted`.

        It is in extended precision if the platform has that.
        """
        k, d = self.means.shape
        constant = self.layout.log_det(self.prec_chol, k, d) - d * HALF_LOG_2_PI
        return constant + np.log(self.weights.astype(np.longdouble)) if weighted else constant

    def log_offsets(self, *, weighted: bool = True) -> LongFloat:
        """Return what `log_constants` have in addition to those of the normal distribution, shape (k,)."""
        return np.log(self.weights.astype(np.longdouble)) if weighted else np.zeros(len(self.weights), np.longdouble)

    # values that overflow the dtype give zero densities; `check_likelihood` reports them
    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def packed(self, dtype: DTypeLike, *, weighted: bool = True) -> Packed:
        """Lay the parameters out for the kernels, features padded with zeros to a multiple of 4.

        With ``weighted=False`` the constants leave out log pi_k, so that the kernels give component densities. Noise comes last:
        a component whose factor is 0, so that its density is its constant.
        Raises ValueError if the dtype is float32 and means or precisions are beyond it.
        """
        if dtype == np.float32:
            self._check_float32()
        constant = self.log_constants(weighted=weighted)
        weights, centres, prec_chol = self.weights, self.means, self.prec_chol
        if self.noise is not None:
            level = np.longdouble(-self.noise.log_volume) + (
                np.log(np.longdouble(self.noise.weight)) if weighted else 0
            )
            constant = np.append(constant, level)
            weights = weights / weights.sum()
            centres, weights = np.vstack([centres, weights @ centres]), np.append(weights, 0.0)
            prec_chol = self.layout.with_flat(prec_chol)
        means = pad(centres, dtype)
        tile = tile_width(self.layout.tile_bytes, means.shape[1], means.itemsize)
        packed = self.layout.packed(constant.astype(dtype), means, weights, centres, prec_chol, tile)
        return packed if self.noise is None else self.layout.flattened(packed)

    def _check_float32(self) -> None:
        limit = float(np.finfo(np.float32).max)
        farthest, steepest = float(np.abs(self.means).max()), float(np.abs(self.prec_chol).max())
        if farthest > limit or steepest > self.layout.largest_factor(limit):
            raise ValueError(
                f"the mixture is beyond float32, the dtype of X: means reach {farthest:.3g}, standard deviations go down to "
                f"{1 / steepest:.3g}. Pass X as float64, or scale the data"
            )

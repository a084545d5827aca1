"""Marginal and conditional distributions of mixtures.

Of features y given others x, a component has the mean mu_y + B (x - mu_x) and the covariance Sigma_yy - B Sigma_xy, with
B = Sigma_yx Sigma_xx^-1; weights are in proportion to w_k N(x; mu_x, Sigma_xx). With the Cholesky factor L of the covariance in the
order (x, y) these are B = L_yx L_xx^-1 and L_yy L_yy^T, which is positive definite whatever the rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastgmm.model.noise import Noise
from fastgmm.model.params import Params

Float = NDArray[np.float64]
Indices = NDArray[np.intp]


def marginal(params: Params, features: Indices) -> Params:
    """Return the mixture of some features, in this order, in the same layout."""
    layout, k = params.layout, len(params.weights)
    covariances = layout.of_matrices(layout.marginal(params.covariances, features, k))
    noise = None if params.noise is None else _noise_of(params.noise, features)
    return Params(
        layout, params.weights, params.means[:, features], covariances, layout.precision_cholesky(covariances), noise
    )


def _noise_of(noise: Noise, features: Indices) -> Noise:
    """Return noise in some features, or in all in another order; ValueError if its box is not along the axes of some."""
    d = len(noise.low)
    if len(features) == d:
        return replace(noise, axes=noise.axes[features])
    if not np.array_equal(noise.axes, np.eye(d)):
        raise ValueError(
            "noise has a constant density over a box along principal components of the data here, so that it has none in some of "
            "the features: fit with noise=False, or pass weights_ / weights_.sum(), means_ and covariances_ to from_parameters"
        )
    return replace(noise, axes=np.eye(len(features)), low=noise.low[features], high=noise.high[features])


@dataclass(frozen=True)
class Conditional:
    """Features y of a mixture given others x, for any values of these.

    given : mixture of x, (k, p)
    means : mu_y, (k, q); coefficients : B, (k, q, p)
    covariances, prec_chol : of y given x, in the shape of the layout; they do not depend on the value of x
    noise : in y, or None
    """

    given: Params
    means: Float
    coefficients: Float
    covariances: Float
    prec_chol: Float
    noise: Noise | None = None

    @property
    def variances(self) -> Float:
        """Return the variance of each feature y in each component given x, (k, q)."""
        return self.given.layout.variances(self.covariances, *self.means.shape)

    def at(self, x: Float, weights: Float) -> Params:
        """Return the mixture of y at x (p,), where components have the posterior probabilities `weights`: (k,), of noise last."""
        k = len(self.means)
        means = self.means + np.einsum("kqp,kp->kq", self.coefficients, x - self.given.means)
        noise = None if self.noise is None else replace(self.noise, weight=float(weights[k]))
        return Params(self.given.layout, weights[:k], means, self.covariances, self.prec_chol, noise)


def conditional(params: Params, given: Indices, others: Indices) -> Conditional:
    """Return the features `others` of a mixture given those in `given`; raise ValueError if a covariance is singular."""
    layout, k, p = params.layout, len(params.weights), len(given)
    known = marginal(params, given)
    coefficients = np.zeros((k, len(others), p))
    if layout.correlates:
        lower = np.linalg.cholesky(layout.marginal(params.covariances, np.concatenate([given, others]), k))
        lyx, lyy = lower[:, p:, :p], lower[:, p:, p:]
        # B^T solves L_xx^T B^T = L_yx^T
        turned = np.linalg.solve(np.swapaxes(lower[:, :p, :p], 1, 2), np.swapaxes(lyx, 1, 2))
        coefficients = np.ascontiguousarray(np.swapaxes(turned, 1, 2))
        covariances = layout.of_matrices(np.einsum("kij,klj->kil", lyy, lyy))
    else:
        covariances = layout.of_matrices(layout.marginal(params.covariances, others, k))
    noise = None if params.noise is None else _noise_of(params.noise, others)
    factor = layout.precision_cholesky(covariances)
    return Conditional(known, params.means[:, others], coefficients, covariances, factor, noise)

"""Adaptation of a background mixture to a few samples (Reynolds, Quatieri & Dunn, Digital Signal Processing 10(1-3), 2000).

With the counts n_k and the moments E_k of the responsibilities, alpha_k = n_k / (n_k + relevance):

    weights     w'_k ~ alpha_k n_k / n + (1 - alpha_k) w_k, scaled to add up to 1
    means       m'_k = alpha_k E_k(x) + (1 - alpha_k) m_k
    covariances V'_k = alpha_k E_k(x x^T) + (1 - alpha_k) (V_k + m_k m_k^T) - m'_k m'_k^T

A component that the samples say nothing about stays as it is. Moments are about the old mean, which changes none of this.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastgmm.model.params import Params
from fastgmm.model.stats import Stats

Float = NDArray[np.float64]

#: What can be adapted.
PARTS = ("weights", "means", "covariances")


def adapted(params: Params, stats: Stats, relevance: float, what: Collection[str]) -> Params:
    """Return a mixture with the parts `what` adapted to samples, from the statistics of a sweep with `params`.

    stats : whose counts are numbers of samples; relevance : the samples that the background counts for in each component
    Raises NotPositiveDefinite if an adapted covariance is not positive definite.
    """
    if "covariances" in what and params.layout.pools:
        raise ValueError("only covariances of each component by itself are adapted")
    stats, n = stats.about(params.means), stats.counts
    alpha, some = n / np.maximum(n + relevance, np.finfo(np.float64).tiny), np.maximum(n, np.finfo(np.float64).tiny)
    shift = alpha[:, None] * stats.sums / some[:, None] if "means" in what else np.zeros_like(params.means)
    found = replace(params, means=params.means + shift)
    if "covariances" in what:
        layout, alike = params.layout, params.layout.n_alike(params.means.shape[1])
        by_component = (-1, *[1] * (params.covariances.ndim - 1))
        share = alpha.reshape(by_component)
        second = share * stats.scatter / (some * alike).reshape(by_component) + (1.0 - share) * params.covariances
        covariances = second - layout.cross(0.5 * shift, shift) / alike
        found = replace(found, covariances=covariances, prec_chol=layout.precision_cholesky(covariances))
    return _with_weights(found, stats, relevance, alpha) if "weights" in what else found


def _with_weights(params: Params, stats: Stats, relevance: float, alpha: Float) -> Params:
    """Return the mixture with adapted weights, that of noise as well."""
    total = stats.total
    weights = alpha * stats.counts / total + (1.0 - alpha) * params.weights
    if params.noise is None:
        return params.with_weights(weights / weights.sum())
    share = stats.noise / max(stats.noise + relevance, np.finfo(np.float64).tiny)
    of_noise = share * stats.noise / total + (1.0 - share) * params.noise.weight
    scale = weights.sum() + of_noise
    return replace(params.with_weights(weights / scale), noise=replace(params.noise, weight=of_noise / scale))

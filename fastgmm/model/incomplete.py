"""Samples of which only a part was observed: the mixture of what is observed, and the statistics of all features.

An observation is what a group of samples has in common: the features that were observed, and the covariance S of the errors that
they were measured with, if there are any. With o the observed features, y = x_o + error, T = Sigma_oo + S,

    A = Sigma_:o T^-1,   E[x | y, k] = mu + A (y - mu_o),   C = Cov[x | y, k] = Sigma - A Sigma_o:

the responsibilities are those of the mixture of N(mu_o, T), and the statistics that an M-step needs follow from those of y: with
n, S1, S2 about the origin o_k, and b = mu - o_k - A (mu - o_k)_o, which is 0 but for the rounding of the origin,

    n,   A S1 + n b,   A S2 A^T + (A S1) b^T + b (A S1)^T + n (b b^T + C).

Missing values: Z. Ghahramani and M. I. Jordan, Supervised learning from incomplete data via an EM approach, NIPS 1994; R. J. A.
Little and D. B. Rubin, Statistical Analysis with Missing Data, section 11.3. Errors: J. Bovy, D. W. Hogg and S. T. Roweis, Extreme
deconvolution, Ann. Appl. Stat. 5(2B), 2011.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm.model.layouts import DIAG, FULL, Layout, LongFloat
from fastgmm.model.noise import Noise
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats

Float = NDArray[np.float64]


class Observation(NamedTuple):
    """What is observed of a sample.

    features : (p,) integers, ascending, the features that were observed, p >= 1
    noise : (p, p), the covariance of the errors that they were measured with; None if there are none
    """

    features: NDArray[np.intp]
    noise: Float | None = None

    def layout_in(self, layout: Layout) -> Layout:
        """Return the layout of the mixture that is observed of one in `layout`, and of its statistics.

        One that pools takes the scatter of all samples, which is unknown: each component has its own.
        """
        if layout.correlates:
            return FULL
        if self.noise is None:
            return layout
        return DIAG if np.count_nonzero(self.noise) == np.count_nonzero(np.diagonal(self.noise)) else FULL

    def missing(self, d: int) -> NDArray[np.intp]:
        """Return the features of `d` that are not observed, ascending."""
        return np.setdiff1d(np.arange(d), self.features)


@dataclass(frozen=True, kw_only=True)
class Observed(Params):
    """The mixture of what is observed.

    offsets, weighted_offsets : (k,), what log-densities have in addition to those of the normal distribution, without and with
        weights (`Params.log_offsets`)
    """

    offsets: LongFloat
    weighted_offsets: LongFloat

    def log_offsets(self, *, weighted: bool = True) -> LongFloat:
        """Return those of the mixture that this is a part of: they do not depend on what is observed."""
        return self.weighted_offsets if weighted else self.offsets

    def log_constants(self, *, weighted: bool = True) -> LongFloat:
        """Return the constants of the normal distribution and the offsets, shape (k,)."""
        return super().log_constants(weighted=False) + self.log_offsets(weighted=weighted)


def observed(params: Params, observation: Observation) -> Params:
    """Return the mixture of what is observed: means mu_o, covariances Sigma_oo + S, in the layout of `layout_in`.

    Raises NotPositiveDefinite if a covariance is not.
    """
    (k, d), o = params.means.shape, observation.features
    layout = observation.layout_in(params.layout)
    if layout.correlates:
        covariances = np.array(params.layout.marginal(params.covariances, o, k))
        if observation.noise is not None:
            covariances += observation.noise
    else:
        covariances = _variances(params, layout, o)
        if observation.noise is not None:
            covariances = covariances + np.diagonal(observation.noise)
    everything = layout is params.layout and observation.noise is None and len(o) == d
    prec_chol = params.prec_chol if everything else layout.precision_cholesky(covariances)
    noise = None if params.noise is None else _marginal(params.noise, o)
    return Observed(
        layout,
        params.weights,
        params.means[:, o],
        covariances,
        prec_chol,
        noise,
        offsets=params.log_offsets(weighted=False),
        weighted_offsets=params.log_offsets(),
    )


def _variances(params: Params, layout: Layout, features: NDArray[np.intp]) -> Float:
    """Return the covariances of some features of components along the axes, in a layout of variances."""
    if layout is params.layout and layout is not DIAG:
        return params.covariances
    return params.variances[:, features]


def check_marginals(noise: Noise | None) -> None:
    """Raise ValueError if some features of noise have no constant density."""
    if noise is not None and not np.array_equal(noise.axes, np.eye(len(noise.low))):
        raise ValueError(
            "noise over a box along principal axes has no constant density if features are missing: fit with "
            "missing_values='marginalize' on data with missing values, for which the box is along the features"
        )


def _marginal(noise: Noise, features: NDArray[np.intp]) -> Noise:
    """Return the noise of some features. The density of a box along the axes is that of the shorter box."""
    if len(features) == len(noise.low):
        return noise
    check_marginals(noise)
    return Noise(noise.weight, np.eye(len(features)), noise.low[features], noise.high[features])


class Conditional(NamedTuple):
    """The distribution of all features given what is observed, N(mu + A (y - mu_o), C) in component k.

    gain : (k, d, p), A; covariances : (k, d, d), C
    """

    gain: Float
    covariances: Float


def conditional(params: Params, observation: Observation, part: Params | None = None) -> Conditional:
    """Return the distribution of all features given what is observed, for each component.

    `part` is ``observed(params, observation)``, if that is at hand. Without errors the rows of observed features are those of
    the identity, and their covariances 0, to the bit.
    """
    (k, d), o = params.means.shape, observation.features
    part = observed(params, observation) if part is None else part
    sigma = params.layout.matrices(params.covariances, k, d)
    root = part.layout.matrices(part.prec_chol, k, len(o))  # T^-1 = root root^T
    if observation.noise is not None:
        half = sigma[:, :, o] @ root
        return Conditional(half @ np.swapaxes(root, 1, 2), sigma - half @ np.swapaxes(half, 1, 2))
    m = observation.missing(d)
    gain, covariances = np.zeros((k, d, len(o))), np.zeros((k, d, d))
    gain[:, o, np.arange(len(o))] = 1.0
    half = sigma[:, m[:, None], o] @ root
    gain[:, m] = half @ np.swapaxes(root, 1, 2)
    covariances[:, m[:, None], m] = sigma[:, m[:, None], m] - half @ np.swapaxes(half, 1, 2)
    return Conditional(gain, covariances)


def completed(stats: Stats, params: Params, observation: Observation, part: Params | None = None) -> Stats:
    """Return the statistics of all features from those of what is observed, swept with ``observed(params, observation)``, `part`.

    They are in the layout of `params`; a pooled scatter is the sum of those of the components. The origin is the means of
    `params`, rounded to the dtype of the samples.
    """
    origin = params.means.astype(stats.dtype).astype(np.float64)
    if not stats.layout.correlates:
        sums, scatter = _along_axes(stats, params, origin, observation)
        if stats.layout is not params.layout or params.layout is not DIAG:
            scatter = _traced(scatter, params.layout)
    else:
        sums, full = _between(stats, params, origin, observation, part)
        scatter = params.layout.of_full_scatter(full)
    return replace(stats, layout=params.layout, sums=sums, scatter=scatter, origin=origin)


def _traced(scatter: Float, layout: Layout) -> Float:
    """Return diagonals of scatter (k, d) in another layout of variances."""
    return layout.of_full_scatter(scatter[:, :, None] * np.eye(scatter.shape[1]))


def _along_axes(stats: Stats, params: Params, origin: Float, observation: Observation) -> tuple[Float, Float]:
    """Return sums (k, d) and diagonals of the scatter (k, d): features know nothing of each other."""
    o, n = observation.features, stats.counts[:, None]
    variances, shift = params.variances, params.means - origin
    sums, scatter = n * shift, n * (shift**2 + variances)
    own = _diagonals(stats)
    if observation.noise is None:
        sums[:, o], scatter[:, o] = stats.sums, own
        return sums, scatter
    v = variances[:, o]
    gain = v / (v + np.diagonal(observation.noise))
    moved, b = gain * stats.sums, shift[:, o] * (1.0 - gain)
    sums[:, o] = moved + n * b
    scatter[:, o] = gain**2 * own + 2.0 * moved * b + n * (b**2 + v * (1.0 - gain))
    return sums, scatter


def _diagonals(stats: Stats) -> Float:
    """Return the diagonals of the scatter (k, p); of a trace its first feature has all, which leaves the trace as it is."""
    if stats.scatter.ndim == 2:
        return stats.scatter
    own = np.zeros_like(stats.sums)
    own[:, 0] = stats.scatter
    return own


def _between(
    stats: Stats, params: Params, origin: Float, observation: Observation, part: Params | None
) -> tuple[Float, Float]:
    """Return sums (k, d) and scatter (k, d, d)."""
    o, n = observation.features, stats.counts[:, None]
    d = params.means.shape[1]
    if observation.noise is None and len(o) == d:
        return stats.sums, stats.scatter
    gain, c = conditional(params, observation, part)
    shift = params.means - origin
    b = shift - np.einsum("kij,kj->ki", gain, shift[:, o])
    if observation.noise is None:
        b[:, o] = 0.0
    moved = np.einsum("kij,kj->ki", gain, stats.sums)
    half = gain @ stats.scatter
    scatter = half @ np.swapaxes(gain, 1, 2)
    scatter = 0.5 * (scatter + np.swapaxes(scatter, 1, 2)) + n[:, :, None] * c
    if b.any():
        scatter += FULL.cross(moved + 0.5 * n * b, b)
    return moved + n * b, scatter

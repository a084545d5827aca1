"""Covariance structures: name -> density layout, number of free parameters, M-step. No data here, only statistics.

Statistics about an origin o_k give the scatter about the new mean by W_k = S_k - s_k s_k^T / n_k (Chan, Golub & LeVeque
1983, eq. 2.1): unlike E[x^2] - mean^2 about zero it keeps its digits where the mean is large against the spread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgmm.stats import Stats

Float = NDArray[np.float64]

#: Added to every count, so that a component without samples has a weight and a covariance (the regularisation).
COUNT_FLOOR = 10 * np.finfo(np.float64).eps


@dataclass(frozen=True)
class Structure:
    """A covariance structure: `maximise(stats, counts)` returns the covariances before regularisation."""

    name: str
    layout: str
    n_covariance_parameters: Callable[[int, int], int]
    maximise: Callable[[Stats, Float], Float]

    def n_parameters(self, k: int, d: int) -> int:
        """Free parameters of a mixture: covariances, k d means and k - 1 weights."""
        return self.n_covariance_parameters(k, d) + k * d + k - 1


def _full(stats: Stats, counts: Float) -> Float:
    out = stats.sums[:, :, None] * (stats.sums / counts[:, None])[:, None, :]
    np.subtract(stats.scatter, out, out=out)
    out /= counts[:, None, None]
    return out


def _tied(stats: Stats, counts: Float) -> Float:
    return (stats.scatter - stats.sums.T @ (stats.sums / counts[:, None])) / counts.sum()


def _diag(stats: Stats, counts: Float) -> Float:
    n = counts[:, None]
    return (stats.scatter - stats.sums**2 / n) / n


def _spherical(stats: Stats, counts: Float) -> Float:
    d = stats.sums.shape[1]
    return (stats.scatter - (stats.sums**2).sum(axis=1) / counts) / (counts * d)


STRUCTURES = {
    structure.name: structure
    for structure in (
        Structure("full", "full", lambda k, d: k * d * (d + 1) // 2, _full),
        Structure("tied", "tied", lambda k, d: d * (d + 1) // 2, _tied),
        Structure("diag", "diag", lambda k, d: k * d, _diag),
        Structure("spherical", "spherical", lambda k, d: k, _spherical),
    )
}


def maximise(structure: Structure, stats: Stats, reg_covar: float) -> tuple[Float, Float, Float]:
    """M-step: return weights (k,), means (k, d) and covariances that maximise the expected likelihood.

    `reg_covar` is added to the variances. A component without samples keeps its mean.
    """
    counts = stats.counts + COUNT_FLOOR
    weights = counts / counts.sum()
    means = stats.origin + stats.sums / counts[:, None]
    return weights, means, regularised(structure.maximise(stats, counts), structure.layout, reg_covar)


def regularised(covariances: Float, layout: str, reg_covar: float) -> Float:
    """Return the covariances with `reg_covar` added to every variance."""
    out = np.array(covariances)
    if layout in ("diag", "spherical"):
        out += reg_covar
    else:
        diagonal = np.arange(out.shape[-1])
        out[..., diagonal, diagonal] += reg_covar
    return out

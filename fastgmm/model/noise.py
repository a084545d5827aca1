"""Noise: a component of constant density over a region of the space (Banfield & Raftery, Biometrics 49, 1993)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

#: Parameters that noise adds to a mixture, as mclust counts them: its weight and its volume.
N_PARAMETERS = 2


@dataclass(frozen=True, eq=False)
class Noise:
    """A component of density 1 / V, wherever a sample lies.

    Attributes
    ----------
    weight : float
        Its weight in the mixture; those of all components add up to 1.
    axes : ndarray of shape (d, d)
        Orthonormal columns: the axes of the box whose volume is V.
    low, high : ndarray of shape (d,)
        Where the box begins and ends along each of the axes.
    """

    weight: float
    axes: Float
    low: Float
    high: Float

    @property
    def log_volume(self) -> float:
        """Return log V."""
        return float(np.log(self.high - self.low).sum())

    @property
    def volume(self) -> float:
        """Return V, which is infinite or 0 if it is beyond float64: `log_volume` never is."""
        with np.errstate(over="ignore", under="ignore"):
            return float(np.exp(self.log_volume))

    def draw(self, random_state: np.random.RandomState, n: int) -> Float:
        """Return n samples (n, d), uniform in the box."""
        return random_state.uniform(self.low, self.high, size=(n, len(self.low))) @ self.axes.T

    def marginal_density(self, feature: int, x: Float) -> Float:
        """Return the density of one feature at x (n,), if samples are uniform in the box.

        A feature is then a sum of independent uniform variables. Their distribution functions are convolved in turn, on a grid:
        that of a further one of width w makes F(x) the mean of F over x - w to x.
        """
        ends = self.axes[feature] * np.stack([self.low, self.high])
        start, widths = ends.min(axis=0).sum(), np.sort(np.abs(ends[1] - ends[0]))[::-1]
        widths = widths[widths > 1e-6 * widths[0]]
        grid = start + np.linspace(0.0, widths.sum(), 4097)
        step = grid[1] - grid[0]
        distribution = np.clip((grid - start) / widths[0], 0.0, 1.0)
        for width in widths[1:]:
            integral = np.append(0.0, np.cumsum(0.5 * step * (distribution[1:] + distribution[:-1])))
            distribution = (integral - np.interp(grid - width, grid, integral, left=0.0)) / width
        density = np.diff(distribution) / step
        found: Float = np.interp(x, 0.5 * (grid[1:] + grid[:-1]), density, left=0.0, right=0.0)
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Noise):
            return NotImplemented
        return self.weight == other.weight and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in ("axes", "low", "high")
        )

    __hash__ = None  # type: ignore[assignment]

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
    """Noise component of a mixture: constant density 1 / V in a box of volume V.

    Samples outside the box have that density too, so that each sample may belong to noise.

    Attributes
    ----------
    weight : float
        Weight of noise in the mixture; the weights of all components, with this one, add up to 1.
    axes : ndarray of shape (n_features, n_features)
        Orthonormal columns: the directions of the edges of the box.
    low : ndarray of shape (n_features,)
        Lower end of the box along each of the axes, in units of the data.
    high : ndarray of shape (n_features,)
        Upper end of the box along each of the axes.
    log_volume : float
        Logarithm of V.
    volume : float
        Volume V.

    See Also
    --------
    GaussianMixture : Fit a mixture with noise; its attribute `noise_` is such an object.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm import GaussianMixture
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0.0, 0.1, (180, 2)), rng.uniform(-5.0, 5.0, (20, 2))])
    >>> model = GaussianMixture(noise=True, random_state=0).fit(X)
    >>> round(model.noise_.weight, 1), bool(90 < model.noise_.volume < 100)
    (0.1, True)
    """

    weight: float
    axes: Float
    low: Float
    high: Float

    @property
    def log_volume(self) -> float:
        """Return the logarithm of the volume V."""
        return float(np.log(self.high - self.low).sum())

    @property
    def volume(self) -> float:
        """Return the volume V, which is infinite or 0 if it is out of the range of float64; `log_volume` never is."""
        with np.errstate(over="ignore", under="ignore"):
            return float(np.exp(self.log_volume))

    def draw(self, random_state: np.random.RandomState, n: int) -> Float:
        """Draw samples uniformly from the box.

        Parameters
        ----------
        random_state : numpy.random.RandomState
            Source of the draws.
        n : int
            Number of samples.

        Returns
        -------
        ndarray of shape (n, n_features), dtype float64
            The samples.

        See Also
        --------
        GaussianMixture.sample : Draw from a whole mixture.

        Examples
        --------
        >>> import numpy as np
        >>> from fastgmm.model.noise import Noise
        >>> noise = Noise(0.1, np.eye(2), np.array([0.0, 0.0]), np.array([2.0, 3.0]))
        >>> noise.draw(np.random.RandomState(0), 5).shape, round(noise.volume, 6)
        ((5, 2), 6.0)
        """
        return random_state.uniform(self.low, self.high, size=(n, len(self.low))) @ self.axes.T

    def marginal_density(self, feature: int, x: Float) -> Float:
        """Compute the density of one feature of samples that are uniform in the box.

        Parameters
        ----------
        feature : int
            Index of the feature.
        x : ndarray of shape (n,), dtype float64
            Values of the feature at which to compute the density.

        Returns
        -------
        ndarray of shape (n,), dtype float64
            Densities, 0 outside the range of the box.

        See Also
        --------
        fastgmm.plotting.plot_density : Draw the density of one feature of a mixture.

        Notes
        -----
        A feature is a sum of independent uniform variables. Their distribution functions are convolved in turn, on a
        grid: one more variable of width w replaces F(x) by the mean of F over the interval from x - w to x.

        Examples
        --------
        >>> import numpy as np
        >>> from fastgmm.model.noise import Noise
        >>> noise = Noise(0.1, np.eye(2), np.array([0.0, 0.0]), np.array([2.0, 4.0]))
        >>> noise.marginal_density(1, np.array([-1.0, 1.0, 3.0])).round(3).tolist()
        [0.0, 0.25, 0.25]
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

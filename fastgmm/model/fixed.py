"""Parameters that EM leaves as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Fixed:
    """Which components keep their weight, mean or covariance, as masks (k,), and the values of the first two.

    The M-step maximises over the other parameters: free weights share what the fixed ones leave, and the scatter of a component
    whose mean is fixed is about that mean.
    """

    weights: Mask
    means: Mask
    covariances: Mask
    weight_values: Float
    mean_values: Float

    def weights_of(self, free: Float) -> Float:
        """Return weights (k,): the fixed ones, and what they leave divided among the others in proportion to `free`."""
        if not self.weights.any():
            return free
        left, rest = 1.0 - self.weight_values[self.weights].sum(), free[~self.weights].sum()
        return np.where(self.weights, self.weight_values, free * (left / rest if rest > 0.0 else 0.0))

    def means_of(self, free: Float) -> Float:
        """Return means (k, d): the fixed ones, and `free` for the other components."""
        return np.where(self.means[:, None], self.mean_values, free)

    def n_parameters(self, d: int, of_covariances: int) -> int:
        """Return how many parameters are fixed, if `of_covariances` is the number of those of all covariances of d features."""
        k = len(self.weights)
        of_weights = min(int(self.weights.sum()), k - 1)
        # some are fixed only if each component has as many of its own
        return of_weights + d * int(self.means.sum()) + int(self.covariances.sum()) * of_covariances // k

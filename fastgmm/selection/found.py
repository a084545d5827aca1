"""Result of the race of a cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgmm.kernels.small import Mixture

Float = NDArray[np.float64]


@dataclass(eq=False)
class Found:
    """Result of a race: a mixture in the full layout, its bounds, and covariances of its components' own samples."""

    mixture: Mixture
    own: Float
    bounds: Float
    converged: bool

    @property
    def bound(self) -> float:
        return float(self.bounds[-1])

"""Samples as the points that components begin at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.data.source import ArraySource
from fastgmm.em.impute import imputed, most_likely
from fastgmm.em.sweep import total


def points(source: ArraySource, indices: NDArray[np.intp], n_threads: int | None) -> NDArray[np.float64]:
    """Return some of the samples as a new float64 array (k, d).

    A point needs all its coordinates: a missing value is where the most likely normal distribution of all samples expects it, given
    those that the sample has.
    """
    rows = source.rows(indices)
    if not source.incomplete:
        return rows
    normal = most_likely(total(source, n_threads), source.total_weight)
    return imputed(ArraySource(rows, incomplete=True), normal, 1)

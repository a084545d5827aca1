"""Samples without any value."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm._errors import warn
from fastgmm._limits import LIMITS


def without_values(X: NDArray) -> NDArray[np.intp]:
    """Return the indices of samples (n, d) whose values are all missing, NaN; by blocks, so that no array of size n d is made."""
    rows = max(1, LIMITS.numbers_checked // X.shape[1])
    parts = [np.flatnonzero(np.isnan(X[start : start + rows]).all(axis=1)) + start for start in range(0, len(X), rows)]
    return np.concatenate(parts) if parts else np.empty(0, np.intp)


def of_valued(
    sample_weight: NDArray[np.float64] | None, empty: NDArray[np.intp], n_samples: int
) -> NDArray[np.float64] | None:
    """Return weights (n,), or None, with 0 for the samples at the indices `empty`. Raises ValueError if none are left.

    Warns
    -----
    UserWarning
        If there are such samples of positive weight.
    """
    if not empty.size:
        return sample_weight
    weights = np.ones(n_samples) if sample_weight is None else sample_weight
    n = int(np.count_nonzero(weights[empty]))
    weights[empty] = 0.0
    if not weights.any():
        raise ValueError("X has no values: all of them are missing, in each sample of positive weight")
    if n:
        warn_of_empty(n, n_samples)
    return weights


def warn_of_empty(n: int, n_samples: int) -> None:
    """Warn of `n` samples without any value."""
    warn(
        f"{n} of {n_samples} samples have no value at all and count for nothing: leave such rows out to silence this",
        UserWarning,
    )

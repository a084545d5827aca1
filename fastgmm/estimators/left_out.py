"""Constant features of the data, which a selected model leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm._errors import listed
from fastgmm.data.source import Source
from fastgmm.em import sweep

#: Values that differ by at most this many units in the last place are equal: sums of columns in another order differ.
_ULPS = 8


class LeftOut(NamedTuple):
    """Features of the user's data that a model does not have.

    indices : among those of the data, ascending, (c,)
    names : of the columns of the data, all of them, or None
    """

    indices: NDArray[np.int64]
    names: NDArray[np.object_] | None

    def kept(self, d: int) -> NDArray[np.int64]:
        """Return the indices of the features that a model of `d` features has."""
        return np.setdiff1d(np.arange(d + len(self.indices)), self.indices)

    def are_in(self, d: int, names: NDArray | None, n_features: int) -> bool:
        """Return whether data of `d` features are such as the model with `n_features` of them was selected for."""
        same = names is None or self.names is None or np.array_equal(names, self.names)
        return d == n_features + len(self.indices) and same


def constant_features(source: Source, n_threads: int | None) -> NDArray[np.int64]:
    """Return the indices, (c,), of features whose samples of positive weight are all equal, up to rounding."""
    low, high = sweep.ranges(source, n_threads)
    rounding = _ULPS * float(np.finfo(source.dtype).eps) * np.maximum(np.abs(low), np.abs(high))
    return np.flatnonzero(high - low <= rounding)


def without(X: Any, kept: NDArray[np.int64]) -> Any:
    """Return the columns `kept` of a Dask collection, lazily."""
    return X.iloc[:, kept.tolist()] if hasattr(X, "iloc") else X[:, kept]


def features(indices: NDArray[np.int64], names: Sequence[Any] | NDArray | None, most: int = 8) -> str:
    """Name or number features, such as "features 2 and 4 (counted from 0)"."""
    words = [str(j) if names is None else repr(str(names[j])) for j in indices]
    return f"feature{'s' * (len(indices) > 1)} {listed(words, most=most)}{' (counted from 0)' if names is None else ''}"

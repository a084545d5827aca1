"""Constant features of the data, which `select` leaves out of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm._errors import listed
from fastgmm.data.source import Source
from fastgmm.em import sweep

#: Values that differ by at most this many units in the last place are equal, since sums in another order differ.
_ULPS = 8


class LeftOut(NamedTuple):
    """Features of the data that a model does not have.

    indices : of these features among all of the data, ascending, (c,)
    names : of all columns of the data, or None
    """

    indices: NDArray[np.int64]
    names: NDArray[np.object_] | None

    def kept(self, d: int) -> NDArray[np.int64]:
        """Return the indices of the features that a model of `d` features has."""
        return np.setdiff1d(np.arange(d + len(self.indices)), self.indices)

    def are_in(self, d: int, names: NDArray | None, n_features: int) -> bool:
        """Return whether data of `d` features match those from which a model of `n_features` was selected."""
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
    """Return features in words, by name or index, such as "features 2 and 4 (counted from 0)"."""
    words = [str(j) if names is None else repr(str(names[j])) for j in indices]
    return f"feature{'s' * (len(indices) > 1)} {listed(words, most=most)}{' (counted from 0)' if names is None else ''}"

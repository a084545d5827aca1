"""Samples grouped by the pattern of their missing values."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from fastgmm._compat import cached_property
from fastgmm._limits import LIMITS
from fastgmm.data.source import Block, InProcess, LocalSource
from fastgmm.kernels.patterns import fill_table, find_patterns, gather_rows, sort_by_pattern

#: Patterns that there is room for at first.
_ROOM = 256


class Pattern(NamedTuple):
    """Samples of which the same features were observed.

    features : (p,) integers, ascending, those observed; rows : (m,) integers, ascending, the samples
    """

    features: NDArray[np.intp]
    rows: NDArray[np.int32]


@dataclass(frozen=True)
class Patterns:
    """The samples of a block by pattern, in the order in which patterns first occur.

    observed : (patterns, d), whether a feature was observed; ends : (patterns,), where the samples of each end in `order`
    order : (n,), the samples
    """

    observed: NDArray[np.bool_]
    ends: NDArray[np.int64]
    order: NDArray[np.int32]

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Return the number of samples of each pattern."""
        return np.diff(self.ends, prepend=0)

    @cached_property
    def valued(self) -> NDArray[np.bool_]:
        """Return whether samples of a pattern have any value."""
        return np.asarray(self.observed.any(axis=1))

    def pattern(self, i: int) -> Pattern:
        """Return pattern i."""
        return Pattern(np.flatnonzero(self.observed[i]), self.order[self.ends[i] - self.sizes[i] : self.ends[i]])

    def rows(self, which: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Return the samples of some of the patterns, ascending."""
        found: NDArray[np.int32] = np.sort(self.order[np.repeat(which, self.sizes)])
        return found


@np.errstate(over="ignore")  # products of the hash, if they are not compiled
def patterns_of(X: NDArray) -> Patterns:
    """Return the patterns of samples (n, d) whose missing values are NaN, in one pass."""
    samples, n = Block(0, X, X[:0, 0]).samples, len(X)
    ids = np.empty(n, np.int32)
    room = min(_ROOM, n)
    firsts, keys = np.empty(room, np.int64), np.empty(room, np.uint64)
    table = np.full(_slots(room), -1, np.int32)
    done, n_found = find_patterns(samples, 0, ids, table, firsts, keys, 0)
    while done < n:
        room = min(4 * room, n)
        firsts, keys = np.resize(firsts, room), np.resize(keys, room)
        table = np.full(_slots(room), -1, np.int32)
        fill_table(keys, n_found, table)
        done, n_found = find_patterns(samples, done, ids, table, firsts, keys, n_found)
    sizes = np.bincount(ids, minlength=n_found)
    ends, order = np.cumsum(sizes), np.empty(n, np.int32)
    sort_by_pattern(ids, ends - sizes, order)
    return Patterns(~np.isnan(X[firsts[:n_found]]), ends, order)


def _slots(room: int) -> int:
    return 1 << (int(room).bit_length() + 1)


def gathered(block: Block, rows: NDArray, features: NDArray[np.intp]) -> LocalSource:
    """Return some features of some samples of a block as a source, of which a pass copies them side by side.

    It is for passes that need no more than blocks, sizes and the dtype.
    """
    return cast(LocalSource, _Gathered(block, rows, features))


class _Gathered(InProcess):
    """A source that `gathered` returns. All samples have a value of each feature, or are meant to be looked at one by one."""

    may_repeat = False

    def __init__(self, block: Block, rows: NDArray, features: NDArray[np.intp]) -> None:
        self.block, self.rows, self.features = block, rows, features
        self.n_samples, self.n_features, self.dtype = len(rows), len(features), block.X.dtype

    def blocks(self, rows: int) -> Generator[Block, None, None]:
        """Yield blocks of at most `rows` samples, in one buffer for all of them."""
        samples, weights = self.block.samples, self.block.weights
        buffer = np.empty((min(rows, self.n_samples), self.n_features), self.dtype)
        for start in range(0, self.n_samples, rows):
            taken = self.rows[start : start + rows]
            X = buffer[: len(taken)]
            gather_rows(samples, taken, self.features, X)
            yield Block(start, X, weights[taken] if weights.size else weights)


def block_rows(n_features: int, itemsize: int) -> int:
    """Return how many samples a block has whose samples are grouped by pattern: a copy of them is made as well."""
    return max(1, LIMITS.block_bytes // (2 * n_features * itemsize))

"""Equal samples gathered into weighted ones: exactly, and only if few distinct ones make it worthwhile.

A sweep over a column of integers is then one over its distinct values, whatever the number of samples.
"""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm._limits import LIMITS
from fastgmm.data.source import ArraySource, Block, LocalSource, Source, in_units
from fastgmm.kernels.distinct import gather_equal

#: Samples from which on it may pay, and how many there are for each distinct one, at least.
LEAST, SHARE = 2048, 8
#: After this share of the samples, and this many, more than `NEW` of them being distinct, there is little to gain.
_EARLY, _EARLY_SHARE, _NEW = 4096, 16, 0.9


class Distinct(NamedTuple):
    """Distinct samples (m, d), in the order of their first occurrence, and the weight of all that equal each, (m,) float64."""

    rows: NDArray
    totals: NDArray[np.float64]


def gathered(source: Source, n_threads: int | None = None) -> Source:
    """Return the distinct samples of a source with the weights of all, if they are few beside these; else `source` itself.

    In at most one pass, once for a source. A pass that meets too many is given up early.
    """
    n = source.n_samples
    if not LIMITS.gathers or n < LEAST or source.incomplete or not (source.local is None or source.local.may_repeat):
        return source
    if "distinct" not in source.memory:
        width = source.n_features * source.dtype.itemsize
        most = max(1, min(n // SHARE, LIMITS.loaded // width))
        find, merge = partial(_found, most=most), partial(_merged, most=most)
        found = source.map_reduce(find, merge, n_threads)
        source.memory["distinct"] = None if found is None else _weighted(found, source)
    few: ArraySource | None = source.memory["distinct"]
    return source if few is None else few


def _weighted(found: Distinct, source: Source) -> ArraySource:
    weights, unit = in_units(found.totals, source.dtype)
    return ArraySource(found.rows, weights, unit * source.weight_unit, stands_for=source.n_samples)


class _Table:
    """Distinct samples so far, at most `most`."""

    def __init__(self, d: int, dtype: np.dtype, most: int) -> None:
        bits = max(4, int(most).bit_length() + 1)
        self._slots, self._shift = np.full(1 << bits, -1), np.uint64(64 - bits)
        self._rows, self._totals, self.n = np.empty((most, d), dtype), np.empty(most), 0
        self._integers = np.dtype(f"u{dtype.itemsize}")

    @np.errstate(over="ignore")  # products of the hash, if they are not compiled
    def add(self, block: Block, low: int, high: int) -> bool:
        """Add samples low .. high of a block; return False if there is no room for all."""
        samples = block.samples
        bits = samples.flat.view(self._integers)
        arguments = (self._slots, self._shift, self._rows, self._totals, self.n)
        done, self.n = gather_equal(samples, bits, block.weights, low, high, *arguments)
        return bool(done == high)

    def found(self) -> Distinct:
        return Distinct(self._rows[: self.n].copy(), self._totals[: self.n].copy())


def _found(source: LocalSource, on_block: None = None, *, most: int) -> Distinct | None:
    """Return the distinct samples of a source, None if there are more than `most` or soon seem to be too many."""
    n, table = source.n_samples, _Table(source.n_features, source.dtype, min(most, source.n_samples))
    early = max(_EARLY, n // _EARLY_SHARE)
    with closing(source.blocks(max(1, (1 << 20) // source.n_features))) as blocks:
        for block in blocks:
            # cut where it is looked at, so that the answer does not depend on the blocks
            cut = min(max(early - block.start, 0), len(block.X))
            for low, high in ((0, cut), (cut, len(block.X))):
                if not table.add(block, low, high):
                    return None
                if block.start + high == early and table.n > _NEW * early:
                    return None
    return table.found()


def _merged(one: Distinct | None, other: Distinct | None, *, most: int) -> Distinct | None:
    if one is None or other is None:
        return None
    table = _Table(one.rows.shape[1], one.rows.dtype, min(most, len(one.rows) + len(other.rows)))
    for part in (one, other):
        if not table.add(Block(0, part.rows, part.totals), 0, len(part.rows)):
            return None
    return table.found()

"""Samples that need not fit into memory: read block by block, anew in each pass, during the computation on the last block."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastgmm import _validation
from fastgmm._compat import cached_property
from fastgmm._limits import LIMITS
from fastgmm.data.missing import of_valued, without_values
from fastgmm.data.prefetch import IN_FLIGHT, ahead
from fastgmm.data.source import ArraySource, Block, InProcess, fingerprint_rows, in_units, rows_at

#: Samples and bytes of a file up to which a start uses all of it, through a memory map: k-means needs 16 bytes a sample.
MOST_SAMPLES, MOST_BYTES = 2**23, 2**30
#: First samples, at most, and their numbers, among which equal ones are looked for.
_FIRST, _FIRST_NUMBERS = 4096, 1 << 17
#: Bytes of samples in a piece if a reader of files is free to choose.
PIECE = 8 * 2**20


class Reader(Protocol):
    """Origin of a stream: chunks of samples in a fixed order, again for each call."""

    def pieces(self, rows: int | None = None) -> Iterator[tuple[int, NDArray]]:
        """Yield samples as 2-D arrays, each with the number of its chunk.

        A reader that can choose cuts pieces of `rows` samples, counted from the first of all, by default of PIECE bytes.
        """

    def label(self, chunk: int) -> str:
        """Return the name of a chunk in messages."""

    def mapped(self) -> NDArray | None:
        """Return all samples as an array that takes no memory of its own, or None if that is impossible."""


@dataclass(frozen=True)
class _Columns:
    """A reader of some of the columns of another."""

    reader: Reader
    kept: NDArray[np.int64]

    def pieces(self, rows: int | None = None) -> Iterator[tuple[int, NDArray]]:
        for chunk, piece in self.reader.pieces(rows):
            yield chunk, as_matrix(piece, self.label(chunk))[:, self.kept]

    def label(self, chunk: int) -> str:
        return self.reader.label(chunk)

    def mapped(self) -> NDArray | None:
        return None


class StreamError(ValueError):
    """A stream changed since its first pass, or was never usable."""


@dataclass(frozen=True)
class StreamSource(InProcess):
    """Samples of a reader, after a first pass has counted and checked them and found them finite.

    lengths : samples in each chunk; largest : greatest magnitude of any value
    may_repeat : whether there were equal samples among the first ones
    weights : (n,) in the dtype of the samples, or None; weight_unit, total_weight, marks : as in `LocalSource`
    incomplete : whether there are missing values, NaN
    """

    reader: Reader
    lengths: Sequence[int]
    n_features: int
    dtype: np.dtype
    largest: float
    weights: NDArray | None = None
    weight_unit: float = 1.0
    marks: NDArray | None = None
    may_repeat: bool = True
    incomplete: bool = False
    n_samples: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_samples", int(sum(self.lengths)))

    @cached_property
    def total_weight(self) -> float:
        return float(self.n_samples if self.weights is None else self.weights.sum(dtype=np.float64))

    @property
    def present(self) -> None:
        """Return None: all samples are kept, also those of weight zero."""
        return None

    def blocks(self, rows: int) -> Generator[Block, None, None]:
        none = np.empty(0, self.dtype)
        start = 0
        with closing(ahead(self._joined(rows))) as arrays:
            for X in arrays:
                weights = none if self.weights is None else self.weights[start : start + len(X)]
                yield Block(start, X, weights)
                start += len(X)

    def _joined(self, rows: int) -> Iterator[NDArray]:
        """Yield arrays of `rows` samples, the last one shorter. A piece that already has this size is not copied."""
        buffers = [np.empty((0, self.n_features), self.dtype)] * IN_FLIGHT
        used = filled = 0
        for piece in self._checked(rows):
            taken = 0
            while taken < len(piece):
                if filled == 0 and len(piece) - taken >= rows:
                    yield piece[taken : taken + rows]
                    taken += rows
                    continue
                if filled == 0:
                    used = (used + 1) % IN_FLIGHT
                    if len(buffers[used]) == 0:
                        buffers[used] = np.empty((min(rows, self.n_samples), self.n_features), self.dtype)
                buffer = buffers[used]
                more = min(len(buffer) - filled, len(piece) - taken)
                buffer[filled : filled + more] = piece[taken : taken + more]
                filled, taken = filled + more, taken + more
                if filled == rows:
                    yield buffer
                    filled = 0
        if filled:
            yield buffers[used][:filled]

    def _checked(self, rows: int) -> Iterator[NDArray]:
        """Yield pieces in the dtype of the source; raise StreamError if they differ from those of the first pass."""
        seen = [0] * len(self.lengths)
        for chunk, piece in self._pieces(rows):
            array = as_matrix(piece, self.reader.label(chunk), missing=self.incomplete)
            if chunk >= len(self.lengths) or array.shape[1] != self.n_features:
                raise StreamError(
                    f"{self.reader.label(chunk)} has the shape {array.shape} now; on the first pass there were "
                    f"{len(self.lengths)} chunks of {self.n_features} features. Data must stay the same while they are used"
                )
            seen[chunk] += len(array)
            if seen[chunk] > self.lengths[chunk]:
                raise self._changed(chunk, f"at least {seen[chunk]}")
            yield array.astype(self.dtype, copy=False)
        for chunk, (now, before) in enumerate(zip(seen, self.lengths, strict=True)):
            if now != before:
                raise self._changed(chunk, str(now))

    def _pieces(self, rows: int) -> Iterator[tuple[int, NDArray]]:
        try:
            yield from self.reader.pieces(rows)
        except FileNotFoundError as error:
            raise StreamError(f"{error.filename} is not there (any more): data must stay while they are used") from None

    def _changed(self, chunk: int, now: str) -> StreamError:
        return StreamError(
            f"{self.reader.label(chunk)} had {self.lengths[chunk]} samples on the first pass and has {now} now: data must stay "
            "the same while they are used. Nothing was changed; fit again"
        )

    def of_features(self, kept: NDArray[np.int64]) -> StreamSource:
        """Return the same samples with only the features `kept`, selected while they are read."""
        marks = None if self.marks is None else self.marks[:, kept]
        return replace(self, reader=_Columns(self.reader, kept), n_features=len(kept), marks=marks)

    def for_start(self, random_state: np.random.RandomState) -> ArraySource:
        """Return samples to start from: all if they are mapped and not too many, else a sample of 64 MiB.

        The sample is systematic: from a random place on, one at each of equal steps of weight.
        """
        present = self.weights is None or bool(self.weights.all())  # an array's weights are positive
        size = self.n_samples * self.n_features * self.dtype.itemsize
        if present and self.n_samples <= MOST_SAMPLES and size <= MOST_BYTES:
            mapped = self.reader.mapped()
            if mapped is not None:
                return ArraySource(mapped, self.weights, self.weight_unit, incomplete=self.incomplete)
        m = min(self.n_samples, max(1, LIMITS.loaded // (self.n_features * self.dtype.itemsize)))
        places = (np.arange(m) + random_state.random_sample()) / m
        rows, counts = rows_at(places, self.n_samples, self.weights)
        out = np.empty((len(rows), self.n_features), self.dtype)
        with closing(self.blocks(max(1, PIECE // (self.n_features * self.dtype.itemsize)))) as blocks:
            for block in blocks:
                low, high = np.searchsorted(rows, [block.start, block.start + len(block.X)])
                out[low:high] = block.X[rows[low:high] - block.start]
        return ArraySource.weighted(out, counts.astype(np.float64), incomplete=self.incomplete)


def survey(
    reader: Reader, sample_weight: object = None, *, missing: bool = False, valued: bool = False
) -> StreamSource | ArraySource:
    """Read a stream for the first time: count, check, and load it if it is small. With `missing` NaN is a missing value.

    With `valued` samples without any value have the weight 0.

    Raises ValueError or TypeError, naming the chunk, if it does not hold finite numbers of the same features throughout.
    """
    lengths: list[int] = []
    kept: list[NDArray] | None = []
    n_features, itemsize, largest, size, incomplete = 0, 4, 0.0, 0, False
    marks, first, empty = _Marks(), _First(), [np.empty(0, np.intp)]
    with closing(ahead(reader.pieces())) as pieces:
        for chunk, piece in pieces:
            array = as_matrix(piece, reader.label(chunk), missing=missing)
            lengths += [0] * (chunk + 1 - len(lengths))
            n_features = n_features or array.shape[1]
            if array.shape[1] != n_features:
                raise ValueError(
                    f"{reader.label(chunk)} has {array.shape[1]} features, the chunks before have {n_features}: all chunks "
                    "need the same columns"
                )
            if not len(array):
                continue
            looked = look_at(array, reader.label(chunk), lengths[chunk], missing=missing)
            largest, incomplete = max(largest, looked.largest), incomplete or looked.incomplete
            if valued and looked.incomplete:
                empty.append(without_values(array) + sum(lengths))
            marks.see(array)
            first.see(array)
            lengths[chunk] += len(array)
            itemsize = max(itemsize, array.itemsize)
            size += array.nbytes
            if kept is not None:
                kept = None if size > LIMITS.loaded else [*kept, np.array(array)]
    if not any(lengths):
        raise ValueError("the chunks hold no samples at all: pass at least one array of shape (n_samples, n_features)")
    dtype = np.dtype(np.float32 if itemsize == 4 else np.float64)
    n_samples = sum(lengths)
    of_samples = _validation.check_sample_weight(sample_weight, n_samples)
    of_samples = of_valued(of_samples, np.concatenate(empty), n_samples)
    if kept is not None:
        loaded = np.concatenate(kept).astype(dtype, copy=False)
        return ArraySource.weighted(loaded, of_samples, incomplete=incomplete)
    weights, unit = (None, 1.0) if of_samples is None else in_units(of_samples, dtype)
    seen = marks.array(dtype), first.repeat
    return StreamSource(reader, lengths, n_features, dtype, largest, weights, unit, *seen, incomplete)


class _First:
    """Collector of the first samples, to see whether there are equal ones among them: a pass over a stream is dear."""

    def __init__(self) -> None:
        self._rows: list[NDArray] = []
        self._n = 0

    def see(self, array: NDArray) -> None:
        most = min(_FIRST, _FIRST_NUMBERS // array.shape[1]) - self._n
        if most > 0:
            self._rows.append(np.array(array[:most], np.float64))
            self._n += len(self._rows[-1])

    @property
    def repeat(self) -> bool:
        return self._n > 1 and len(np.unique(np.concatenate(self._rows), axis=0)) < self._n


class _Marks:
    """Collector of the samples of `fingerprint_rows`, the fingerprint, from successive arrays."""

    def __init__(self) -> None:
        self._rows: dict[int, NDArray] = {}
        self._seen = self._next = 0

    def see(self, array: NDArray) -> None:
        while self._next < self._seen + len(array):
            self._rows[self._next] = np.array(array[self._next - self._seen])
            self._next = max(1, 2 * self._next)
        self._seen += len(array)
        self._last = np.array(array[-1])

    def array(self, dtype: np.dtype) -> NDArray:
        rows = {**self._rows, self._seen - 1: self._last}
        return np.array([rows[i] for i in fingerprint_rows(self._seen)], dtype)


def as_matrix(piece: object, name: str, *, missing: bool = False) -> NDArray:
    """Return a piece as a float32 or float64 matrix; raise ValueError or TypeError that calls it `name`."""
    array = _validation.as_numbers(piece, name, missing=missing)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(
            f"{name} has the shape {array.shape}, but a chunk must be (n_samples, n_features). "
            + (_validation.shape_advice(array.shape, "chunk") if array.ndim != 2 else "Pass the columns to use")
        )
    return array


class Looked(NamedTuple):
    """Greatest magnitude of a piece, and whether values are missing."""

    largest: float
    incomplete: bool


def look_at(array: NDArray, name: str, before: int = 0, *, missing: bool = False) -> Looked:
    """Look at a piece of `name` from row `before` on; raise ValueError if a value is neither finite nor `missing`, NaN."""
    largest, incomplete = max(float(array.max()), -float(array.min())), False
    if missing and math.isnan(largest):
        incomplete = True
        largest = max(float(np.fmax.reduce(array, axis=None)), -float(np.fmin.reduce(array, axis=None)))
        largest = 0.0 if math.isnan(largest) else largest  # of a piece without any value
    if not math.isfinite(largest):
        row, column = (int(i) for i in np.argwhere(np.isinf(array) if missing else ~np.isfinite(array))[0])
        what = "NaN" if np.isnan(array[row, column]) else "infinity"
        raise ValueError(
            f"{name} contains {what}: row {before + row} (counted from 0), column {column} is "
            f"{array[row, column]}. {_validation.not_finite_advice(array[row, column], missing)}"
        )
    return Looked(largest, incomplete)

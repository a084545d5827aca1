"""Sources: samples for repeated passes, here or elsewhere; among them the array in memory."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from fastgmm import _threads
from fastgmm._compat import cached_property
from fastgmm.kernels.tile import Samples

T = TypeVar("T")


class Block(NamedTuple):
    """Consecutive samples from `start` on: X (m, d) in any memory order, weights (m,) in its dtype, (0,) if all are 1.

    labels : those of a `LabelledSource`, (m,), None if there are none
    noise : errors of the samples, as a `NoisySource` has them, None if there are none
    """

    start: int
    X: NDArray
    weights: NDArray
    labels: NDArray[np.int64] | None = None
    noise: NDArray | None = None

    @property
    def samples(self) -> Samples:
        """Return X for the kernels."""
        return flat(self.X)


class Source(Protocol):
    """Samples for repeated passes, here or elsewhere.

    Weights are in units of `weight_unit`, which brings the largest one to between 1 and 2: whatever their scale, kernels
    may leave out terms that are negligible against 1.
    """

    @property
    def n_samples(self) -> int: ...

    @property
    def n_features(self) -> int: ...

    @property
    def dtype(self) -> np.dtype: ...

    @property
    def total_weight(self) -> float:
        """Return the sum of the weights, in units of `weight_unit`; n_samples if all are 1."""

    @property
    def weight_unit(self) -> float: ...

    @property
    def largest(self) -> float:
        """Return the greatest magnitude of any value."""

    @property
    def incomplete(self) -> bool:
        """Return whether there may be missing values, NaN: then passes look for them."""

    @property
    def memory(self) -> dict[str, Any]:
        """Return results that passes keep for the next one, by name."""

    @property
    def local(self) -> LocalSource | None:
        """Return the samples, if this process reads them."""

    @property
    def noise_columns(self) -> int | None:
        """Return the numbers that describe the errors of a sample: d variances, or d * d; None if there are no errors."""

    @property
    def noise_marks(self) -> NDArray | None:
        """Return the errors of a few samples as a fingerprint; None if there are no errors."""

    def for_start(self, random_state: np.random.RandomState) -> ArraySource:
        """Return samples to find initial parameters from: all, or a sample if there are too many."""

    def of_features(self, kept: NDArray[np.int64]) -> Source:
        """Return the same samples with only the features `kept`."""

    def map_reduce(
        self,
        function: Callable[..., T],
        merge: Callable[[T, T], T],
        n_threads: int | None = None,
        on_block: Callable[[int], None] | None = None,
    ) -> T:
        """Return ``function(part)`` of each part of the samples, merged in the order of the parts.

        A part is a `LocalSource` where the function runs. There, it may use ``_threads.current_threads()`` threads, at most
        `n_threads`. The callback `on_block` gets the number of samples done: if the part is here, the call is
        ``function(part, on_block)``; else `on_block` is called once at the end.
        """


class LocalSource(Source, Protocol):
    """Samples that this process can read repeatedly in the same order."""

    @property
    def weights(self) -> NDArray | None:
        """Return weights (n,) in the dtype of the samples, in units of `weight_unit`; None if all are 1."""

    @property
    def marks(self) -> NDArray | None:
        """Return a few samples as a fingerprint of the data (`fingerprint_rows`); None if they are not at hand."""

    @property
    def present(self) -> NDArray[np.bool_] | None:
        """Return a mask of the samples of the user's data that are kept; None if all are."""

    @property
    def may_repeat(self) -> bool:
        """Return whether a pass that looks for equal samples (`distinct`) is worth its time."""

    @property
    def n_counted(self) -> int:
        """Return how many samples of the user's there are: more than `n_samples` if equal ones were gathered."""

    @property
    def allowed(self) -> NDArray[np.bool_] | None:
        """Return to which components samples of each label can belong, (L, k); None if there are no labels."""

    def of_features(self, kept: NDArray[np.int64]) -> LocalSource:
        """Return the same samples with only the features `kept`."""

    def blocks(self, rows: int) -> Generator[Block, None, None]:
        """Yield blocks of `rows` samples, the last one shorter. A block is valid until the next one is requested.

        Closing the generator ends whatever reads ahead.
        """


class InProcess:
    """Base class of sources that this process reads: they are a single part."""

    may_repeat: bool = True
    allowed: NDArray[np.bool_] | None = None
    noise_columns: int | None = None
    noise_marks: NDArray | None = None
    incomplete: bool = False

    @property
    def local(self) -> Any:
        return self

    @cached_property
    def memory(self) -> dict[str, Any]:
        return {}

    @property
    def n_counted(self) -> int:
        return self.n_samples  # type: ignore[attr-defined]

    def map_reduce(
        self,
        function: Callable[..., T],
        merge: Callable[[T, T], T],
        n_threads: int | None = None,
        on_block: Callable[[int], None] | None = None,
    ) -> T:
        with _threads.limited(n_threads):
            return function(self) if on_block is None else function(self, on_block)


def fingerprint_rows(n_samples: int) -> list[int]:
    """Return the indices 0, 1, 2, 4, 8, ... and the last one, which need no number of samples known beforehand."""
    powers = [2**i for i in range(n_samples.bit_length()) if 2**i < n_samples - 1]
    return sorted({0, *powers, n_samples - 1})


def flat(X: NDArray) -> Samples:
    """Return the memory of X (n, d) as one read-only array with offset and strides.

    Kernels are then compiled once per dtype, whatever the order, slicing or writeability of X.
    """
    if X.flags.c_contiguous or X.flags.f_contiguous:  # without `as_strided`, which takes ten microseconds
        memory = X.reshape(-1, order="C" if X.flags.c_contiguous else "F").view()
        memory.flags.writeable = False
        row, column = (X.shape[1], 1) if X.flags.c_contiguous else (1, X.shape[0])
        return Samples(memory, 0, row, column, *X.shape)
    size = X.itemsize
    if any(stride % size for stride in X.strides):
        X = np.ascontiguousarray(X)  # a field of a structured array: strides are not multiples of an element
    row, column = (stride // size for stride in X.strides)
    reach = [(length - 1) * stride for length, stride in zip(X.shape, (row, column), strict=True)]
    before = -sum(r for r in reach if r < 0)
    extent = sum(abs(r) for r in reach) + 1
    first = X[:: 1 if row >= 0 else -1, :: 1 if column >= 0 else -1]  # its first element has the lowest address
    memory = as_strided(first, shape=(extent,), strides=(size,), writeable=False)
    return Samples(memory, before, row, column, *X.shape)


def unit_exponent(largest: float) -> int:
    """Return the exponent of `weight_unit`, the power of two that brings the largest weight to between 1 and 2."""
    return int(np.frexp(largest)[1]) - 1


def in_units(sample_weight: NDArray[np.float64], dtype: np.dtype) -> tuple[NDArray | None, float]:
    """Return weights for the kernels (`LocalSource`), None if all are equal, and their unit."""
    largest = float(sample_weight.max())
    if float(sample_weight.min()) == largest:
        return None, largest
    exponent = unit_exponent(largest)
    return np.ldexp(sample_weight, -exponent).astype(dtype), float(np.ldexp(1.0, exponent))


def rows_at(places: NDArray[np.float64], n_samples: int, weights: NDArray | None) -> tuple[NDArray, NDArray]:
    """Return the samples at places from 0 to 1 on a line along which each has a length in proportion to its weight.

    Their indices are ascending; the second array has the number of places at each of them.
    """
    if weights is None:
        rows = np.minimum((places * n_samples).astype(np.int64), n_samples - 1)
    else:
        reached = np.cumsum(weights, dtype=np.float64)
        rows = np.searchsorted(reached, places * reached[-1], side="right").clip(max=n_samples - 1)
    return np.unique(rows, return_counts=True)


@dataclass(frozen=True)
class ArraySource(InProcess):
    """A float32 or float64 array of shape (n, d), in any memory order, and positive weights (n,) of its dtype, if any.

    present : mask of the samples of a longer array that are kept in X, or None
    stands_for : number of samples that were gathered into these (`distinct`), or None
    incomplete : whether there are missing values, NaN
    """

    X: NDArray
    weights: NDArray | None = None
    weight_unit: float = 1.0
    present: NDArray[np.bool_] | None = None
    stands_for: int | None = None
    incomplete: bool = False

    @classmethod
    def weighted(
        cls, X: NDArray, sample_weight: NDArray[np.float64] | None, *, incomplete: bool = False
    ) -> ArraySource:
        """Return samples with weights, not negative and not all zero; samples of weight zero are left out.

        Weights that are all equal are not stored: only their unit differs.
        """
        if sample_weight is None:
            return cls(X, incomplete=incomplete)
        present = None
        if not sample_weight.all():
            present = sample_weight > 0
            X, sample_weight = X[present], sample_weight[present]
        weights, unit = in_units(sample_weight, X.dtype)
        return cls(X, weights, unit, present, incomplete=incomplete)

    def in_double(self) -> ArraySource:
        """Return these samples, and their weights, as float64."""
        weights = None if self.weights is None else self.weights.astype(np.float64)
        return replace(self, X=self.X.astype(np.float64), weights=weights)

    @property
    def n_samples(self) -> int:
        return int(self.X.shape[0])

    @property
    def n_counted(self) -> int:
        return self.n_samples if self.stands_for is None else self.stands_for

    @property
    def n_features(self) -> int:
        return int(self.X.shape[1])

    @property
    def dtype(self) -> np.dtype:
        return self.X.dtype

    @cached_property
    def total_weight(self) -> float:
        return float(self.n_samples if self.weights is None else self.weights.sum(dtype=np.float64))

    @cached_property
    def samples(self) -> Samples:
        """Return all of X for the kernels."""
        return flat(self.X)

    @cached_property
    def sample_weights(self) -> NDArray:
        """Return the weights for the kernels: (0,) if all are 1."""
        return np.empty(0, self.dtype) if self.weights is None else self.weights

    @cached_property
    def largest(self) -> float:
        if self.incomplete:
            return max(float(np.fmax.reduce(self.X, axis=None)), -float(np.fmin.reduce(self.X, axis=None)))
        return max(float(self.X.max()), -float(self.X.min()))

    @property
    def marks(self) -> NDArray:
        return self.X[fingerprint_rows(self.n_samples)]

    def for_start(self, random_state: np.random.RandomState) -> ArraySource:
        return self

    @property
    def chances(self) -> NDArray[np.float64] | None:
        """Return the probabilities (n,) of samples in draws by weight; None if all are equal."""
        return None if self.weights is None else self.weights / self.weights.sum(dtype=np.float64)

    def subsample(self, most: int, random_state: np.random.RandomState, least: int = 1) -> ArraySource:
        """Return all samples if there are at most `most`; else `most` draws by weight, one from each of equal shares of it.

        A sample that was drawn several times has that weight. Raises ValueError if fewer than `least` were drawn at all.
        """
        if self.n_samples <= most:
            return self
        places = (np.arange(most) + random_state.random_sample(most)) / most
        rows, counts = rows_at(places, self.n_samples, self.weights)
        if len(rows) < least:
            raise ValueError(
                f"{most} draws by sample_weight met {len(rows)} different samples, fewer than n_components={least}: the other "
                "samples have next to no weight. Decrease n_components, or start with init_params='kmeans'"
            )
        return ArraySource.weighted(self.X[rows], counts.astype(np.float64), incomplete=self.incomplete)

    def of_features(self, kept: NDArray[np.int64]) -> ArraySource:
        """Return the same samples with only the features `kept`, in a copy."""
        return replace(self, X=np.take(self.X, kept, axis=1))

    def n_distinct(self, most: int) -> int:
        """Return the number of distinct samples, at most `most`."""
        rows = max(2 * most, 4096)
        seen = self.X[:0]
        for start in range(0, self.n_samples, rows):
            seen = np.unique(np.concatenate([seen, self.X[start : start + rows]]), axis=0)
            if len(seen) >= most:
                return most
        return len(seen)

    def blocks(self, rows: int) -> Generator[Block, None, None]:
        for start in range(0, self.n_samples, rows):
            yield Block(start, self.X[start : start + rows], self.sample_weights[start : start + rows])

    def rows(self, indices: NDArray) -> NDArray[np.float64]:
        """Return the samples at `indices` as a new float64 array."""
        return np.asarray(self.X[indices], dtype=np.float64)

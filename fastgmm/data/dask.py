"""Samples in the partitions of a Dask collection: they stay on the workers, where functions are run on them.

Dask is loaded only here, and only when one of its collections is passed. As by ``dask.compute``, its current `distributed`
client is used, or without one its local schedulers.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastgmm import _threads, _validation
from fastgmm._compat import cached_property, optional
from fastgmm._frames import no_numbers
from fastgmm._limits import LIMITS
from fastgmm.data import stream
from fastgmm.data.missing import warn_of_empty, without_values
from fastgmm.data.source import ArraySource, unit_exponent

T = TypeVar("T")

#: Results that one task merges: fewer make the tree higher, more make its tasks wait longer for the last one.
_FAN_IN = 8


def is_dask(X: Any) -> bool:
    """Return whether `X` is a Dask collection with partitions."""
    return hasattr(type(X), "__dask_graph__") and hasattr(type(X), "to_delayed")


def row_blocks(X: Any) -> Any:
    """Return a collection as a Dask array (n, d) whose blocks hold complete samples; its partitions are the blocks.

    Raises ValueError or TypeError if it has other dimensions. Nothing is computed.
    """
    if problem := no_numbers(X, "X"):
        raise TypeError(problem)
    array = X.to_dask_array() if hasattr(X, "to_dask_array") else X
    if not hasattr(array, "map_blocks"):
        raise TypeError(
            f"X is a Dask {type(X).__name__}: pass a dask.array of shape (n_samples, n_features) or a dask.dataframe"
        )
    if array.ndim != 2:
        frame = (
            "Pass X.to_frame() if it is a single feature"
            if hasattr(X, "to_frame")
            else _validation.shape_advice(array.shape)
        )
        raise ValueError(
            f"X must be two-dimensional, (n_samples, n_features), got a Dask {type(X).__name__} of shape {array.shape}. {frame}"
        )
    if array.shape[1] == 0:
        raise ValueError(f"X has 0 feature(s) (shape={array.shape}) while a minimum of 1 is required.")
    return array.rechunk({1: -1}) if array.numblocks[1] > 1 else array


@dataclass(frozen=True)
class DaskSource:
    """Samples on the workers of Dask, checked there; attributes as in `LocalSource`, except arrays of length n.

    parts : for each partition that is not empty, in their order, the persisted pair of X (m, d) and weights (m,) or None
    lengths, part_weights : samples and sum of weights of each
    incomplete : whether there are missing values, NaN
    """

    parts: Sequence[Any]
    lengths: Sequence[int]
    part_weights: Sequence[float]
    n_features: int
    dtype: np.dtype
    largest: float
    weighted: bool
    weight_unit: float = 1.0
    incomplete: bool = False

    @property
    def n_samples(self) -> int:
        return sum(self.lengths)

    @property
    def total_weight(self) -> float:
        return float(sum(self.part_weights))

    @cached_property
    def memory(self) -> dict[str, Any]:
        """Return results that passes keep for the next one, by name, as in `Source`."""
        return {}

    @property
    def noise_columns(self) -> None:
        """Return None: there are no errors."""
        return None

    @property
    def noise_marks(self) -> None:
        """Return None: there are no errors."""
        return None

    @property
    def local(self) -> None:
        """Return None: this process does not read the samples."""
        return None

    def map_reduce(
        self,
        function: Callable[..., T],
        merge: Callable[[T, T], T],
        n_threads: int | None = None,
        on_block: Callable[[int], None] | None = None,
    ) -> T:
        """Return ``function(partition)`` of every partition, run and merged on the workers in the order of partitions.

        The tree of merges depends only on the number of partitions. So the result, to the bit, depends neither on the workers
        nor on which is ready first.
        """
        dask = _dask()
        delayed = dask.delayed
        # one node of the graph, sent to each worker once, instead of a copy of its parameters in every task
        on_part = functools.partial(_on_part, function, self.weight_unit, self.incomplete, len(self.parts), n_threads)
        shared = delayed(on_part, traverse=False)
        values = [delayed(_call)(shared, part) for part in self.parts]
        while len(values) > 1:
            groups = [values[i : i + _FAN_IN] for i in range(0, len(values), _FAN_IN)]
            values = [delayed(_merged)(merge, group) for group in groups]
        with warnings.catch_warnings():
            # parameters of many components may be that large, and the warning advises to load data differently
            warnings.filterwarnings("ignore", message="Sending large graph", category=UserWarning)
            found = dask.compute(values[0])[0]
        if on_block is not None:
            on_block(self.n_samples)
        return found

    def of_features(self, kept: NDArray[np.int64]) -> DaskSource:
        """Return the same samples with only the features `kept`, in a copy on the workers."""
        dask = _dask()
        parts = dask.persist(*[dask.delayed(_features)(part, kept) for part in self.parts])
        return replace(self, parts=parts, n_features=len(kept))

    def for_start(self, random_state: np.random.RandomState) -> ArraySource:
        """Gather samples to start from: all up to 64 MiB of them, else a systematic sample of that size.

        The sample is drawn as in `StreamSource.for_start`: from a random place on, one at each of equal steps of weight.
        """
        m = max(1, LIMITS.loaded // (self.n_features * self.dtype.itemsize))
        if self.n_samples <= m:
            found = _dask().compute(*self.parts)
            weights = np.concatenate([part[1] for part in found]) if self.weighted else None
            X = np.concatenate([part[0] for part in found])
            return ArraySource(X, weights, self.weight_unit, incomplete=self.incomplete)
        offset = random_state.random_sample()
        step = self.total_weight / m
        ends = np.cumsum(self.part_weights) / self.total_weight * m
        first = np.ceil(np.concatenate([[0.0], ends]) - offset).astype(np.int64).clip(0, m)
        first[-1] = m
        drawn = []
        for part, before, low, high in zip(self.parts, [0.0, *ends[:-1]], first[:-1], first[1:], strict=True):
            if low < high:
                place = (int(low) + offset - before) * step
                drawn.append(_dask().delayed(_drawn)(part, float(place), step, int(high - low)))
        samples, counts = zip(*_dask().compute(*drawn), strict=True)
        weights = np.concatenate(counts).astype(np.float64)
        return ArraySource.weighted(np.concatenate(samples), weights, incomplete=self.incomplete)


def open_partitions(X: Any, sample_weight: Any = None, missing: bool = False) -> DaskSource:
    """Persist a Dask collection and its weights, check them on the workers, and return them as a source.

    With `missing` NaN is a missing value.

    Raises ValueError or TypeError that names the partition if one cannot be used.
    """
    dask = _dask()
    array = row_blocks(X)
    blocks = list(array.to_delayed().ravel())
    if is_dask(sample_weight):
        weights = _weight_blocks(sample_weight, len(blocks))
        blocks_and_weights = dask.persist(*blocks, *weights)
        blocks, weights = blocks_and_weights[: len(blocks)], blocks_and_weights[len(blocks) :]
    else:
        blocks = dask.persist(*blocks)
        weights = _split(sample_weight, blocks)
    pairs = enumerate(zip(blocks, weights, strict=True))
    looks = dask.compute(*[dask.delayed(_look)(*pair, i, missing) for i, pair in pairs])
    known = _Known.of(looks)
    if n_empty := sum(look.n_empty for look in looks):
        warn_of_empty(n_empty, n_empty + sum(look.n_samples for look in looks))
    exponent = None if known.even else unit_exponent(known.weight)
    kept = [i for i, look in enumerate(looks) if look.n_samples]
    parts = dask.persist(*[dask.delayed(_take)(blocks[i], weights[i], known.dtype, exponent, missing) for i in kept])
    lengths = [looks[i].n_samples for i in kept]
    sums = lengths if known.even else dask.compute(*[dask.delayed(_sum_of_weights)(part) for part in parts])
    unit = known.weight if exponent is None else float(np.ldexp(1.0, exponent))
    return DaskSource(
        parts,
        lengths,
        [float(s) for s in sums],
        known.n_features,
        known.dtype,
        known.largest,
        not known.even,
        unit,
        known.incomplete,
    )


def _weight_blocks(sample_weight: Any, n_parts: int) -> list[Any]:
    """Return the partitions of weights that are a Dask collection themselves."""
    weights = sample_weight.to_dask_array() if hasattr(sample_weight, "to_dask_array") else sample_weight
    if getattr(weights, "ndim", None) != 1:
        raise ValueError(
            f"sample_weight must have the shape (n_samples,), a weight for each sample of X, got a Dask "
            f"{type(sample_weight).__name__} of shape {getattr(weights, 'shape', 'unknown')}"
        )
    if weights.numblocks[0] != n_parts:
        raise ValueError(
            f"sample_weight has {weights.numblocks[0]} partitions and X has {n_parts}: both must be cut alike, for instance "
            "with sample_weight.rechunk((X.chunks[0],)), or as columns of one data frame"
        )
    return list(weights.to_delayed().ravel())


def _split(sample_weight: Any, blocks: Sequence[Any]) -> list[Any]:
    """Split weights (n,) in the memory of the client as the persisted blocks are."""
    if sample_weight is None:
        return [None] * len(blocks)
    dask = _dask()
    lengths = dask.compute(*[dask.delayed(len)(block) for block in blocks])
    weights = _validation.check_sample_weight(sample_weight, sum(lengths))
    assert weights is not None
    # in the graph and not scattered: a worker that dies takes scattered data with it
    return [dask.delayed(piece) for piece in np.split(weights, np.cumsum(lengths)[:-1])]


class _Look(NamedTuple):
    """Summary of a partition: of its samples of positive weight, or the error that makes it unusable."""

    n_samples: int
    n_features: int
    itemsize: int
    largest: float
    smallest_weight: float
    largest_weight: float
    incomplete: bool = False
    n_empty: int = 0
    error: Exception | None = None


class _Known(NamedTuple):
    """Summary of all partitions; `even`: all weights are equal to `weight`, which otherwise is the largest."""

    n_features: int
    dtype: np.dtype
    largest: float
    even: bool
    weight: float
    incomplete: bool

    @classmethod
    def of(cls, looks: Sequence[_Look]) -> _Known:
        """Combine partitions; raise the ValueError or TypeError of the first one, in their order, that cannot be used."""
        n_features = 0
        for i, look in enumerate(looks):
            if look.error is not None:
                raise look.error
            n_features = n_features or look.n_features
            if look.n_features != n_features:
                raise ValueError(
                    f"partition {i} has {look.n_features} features, the partitions before have {n_features}: all partitions "
                    "need the same columns"
                )
        full = [look for look in looks if look.n_samples]
        if not full:
            raise ValueError(
                "there are no samples, or none of positive weight, in any partition of X: at least one is needed"
            )
        smallest, largest = min(look.smallest_weight for look in full), max(look.largest_weight for look in full)
        itemsize = max(look.itemsize for look in full)
        dtype = np.dtype(np.float32 if itemsize == 4 else np.float64)
        incomplete = any(look.incomplete for look in full)
        return cls(n_features, dtype, max(look.largest for look in full), smallest == largest, largest, incomplete)


# --- lazily, block by block


def each_block(
    X: Any,
    evaluate: Callable[[ArraySource], NDArray],
    columns: Sequence[str] | str,
    dtype: Any,
    n_features: int,
    n_threads: Any,
    *,
    missing: bool = False,
) -> Any:
    """Return ``evaluate(block)`` for the blocks of `row_blocks`: one value per sample, or several for several `columns`.

    For an array this is an array, (n,) or (n, columns). For a frame it is a series named `columns`, or a frame of such columns,
    in the same partitions and with the same index, so that it can be assigned and joined. Nothing is computed yet; blocks are
    checked when they are computed. `dtype` None is that of the samples.
    """
    array = row_blocks(X)
    precision = np.dtype(np.float32 if array.dtype == np.float32 else np.float64)
    out = np.dtype(precision if dtype is None else dtype)
    shape = () if isinstance(columns, str) else (len(columns),)
    on_block = functools.partial(
        _on_block,
        evaluate=evaluate,
        dtype=precision,
        empty=np.empty((0, *shape), out),
        n_features=n_features,
        n_parts=array.numblocks[0],
        n_threads=n_threads,
        missing=missing,
    )
    if hasattr(X, "to_dask_array"):
        on_frame = functools.partial(_on_frame, on_block=on_block, columns=columns)
        meta = _labelled(X._meta.iloc[:0], np.empty((0, *shape), out), columns)
        return X.map_partitions(on_frame, meta=meta)
    if not shape:
        return array.map_blocks(on_block, dtype=out, drop_axis=1, meta=np.empty(0, out))
    return array.map_blocks(on_block, dtype=out, chunks=(array.chunks[0], shape), meta=np.empty((0, 0), out))


# --- on a worker


def _on_block(
    X: Any,
    *,
    evaluate: Callable[[ArraySource], NDArray],
    dtype: np.dtype,
    empty: NDArray,
    n_features: int,
    n_parts: int,
    n_threads: int | None,
    missing: bool,
    block_id: tuple[int, ...],
) -> NDArray:
    name = f"partition {block_id[0]}"
    samples = stream.as_matrix(X, name, missing=missing)
    if samples.shape[1] != n_features:
        raise ValueError(f"{name} has {samples.shape[1]} features, but the model was fitted with {n_features}")
    if not len(samples):
        return empty
    incomplete = stream.look_at(samples, name, missing=missing).incomplete
    with _threads.limited(_share(n_parts, n_threads)):
        return evaluate(ArraySource(samples.astype(dtype, copy=False), incomplete=incomplete))


def _on_frame(
    frame: Any,
    *,
    on_block: Callable[..., NDArray],
    columns: Sequence[str] | str,
    partition_info: dict[str, Any] | None = None,
) -> Any:
    number = 0 if partition_info is None else partition_info["number"]
    return _labelled(frame, on_block(frame, block_id=(number, 0)), columns)


def _labelled(frame: Any, values: NDArray, columns: Sequence[str] | str) -> Any:
    """Return values of the samples of a frame as a series or a frame with its index."""
    pandas = optional("pandas", "a dask.dataframe")
    if isinstance(columns, str):
        return pandas.Series(values, index=frame.index, name=columns)
    return pandas.DataFrame(values, index=frame.index, columns=list(columns))


def _on_part(
    function: Callable[[ArraySource], T],
    weight_unit: float,
    incomplete: bool,
    n_parts: int,
    n_threads: int | None,
    part: tuple[NDArray, NDArray | None],
) -> T:
    with _threads.limited(_share(n_parts, n_threads)):
        return function(ArraySource(*part, weight_unit, incomplete=incomplete))


def _call(function: Callable, argument: Any) -> Any:
    return function(argument)


def _merged(merge: Callable[[T, T], T], values: list[T]) -> T:
    return functools.reduce(merge, values)


def _share(n_parts: int, n_threads: int | None) -> int:
    """Return the Numba threads for one of `n_parts` tasks, of which Dask runs as many at once as the worker has threads.

    This is one if there are at least as many partitions as threads. If there are fewer, it is an equal share of the threads
    of the worker, or locally of Numba's. The tasks that run at once never use more than these together, even if one worker
    gets them all.
    """
    here = min(_worker_threads() or _threads.current_threads(), _threads.max_threads())
    share = max(1, here // n_parts)
    return share if n_threads is None else min(n_threads, share)


def _worker_threads() -> int | None:
    """Return the number of threads of the `distributed` worker that this task runs on, None if it runs on none."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return int(distributed.get_worker().state.nthreads)
    except ValueError:
        return None


def _look(X: Any, weights: Any, number: int, missing: bool) -> _Look:
    """Check a partition. An error is returned, not raised: then the first partition's is reported, not the fastest one's."""
    try:
        name = f"partition {number}"
        samples = stream.as_matrix(X, name, missing=missing)
        n, d = samples.shape
        of_samples = _validation.check_sample_weight(weights, n, f"sample_weight.partitions[{number}]", all_zero=True)
        of_samples, n_empty = _of_valued(samples, of_samples, missing)
        looked = stream.look_at(samples, name, missing=missing) if n else stream.Looked(0.0, False)
        if of_samples is not None and n and not of_samples.all():
            samples, of_samples = samples[of_samples > 0], of_samples[of_samples > 0]
            n = len(samples)
            looked = stream.look_at(samples, name, missing=missing) if n else stream.Looked(0.0, False)
        low, high = (1.0, 1.0) if of_samples is None or not n else (float(of_samples.min()), float(of_samples.max()))
    except (ValueError, TypeError) as error:
        return _Look(0, 0, 0, 0.0, 0.0, 0.0, error=error)
    return _Look(n, d, samples.itemsize, looked.largest, low, high, looked.incomplete, n_empty)


def _of_valued(
    samples: NDArray, weights: NDArray[np.float64] | None, missing: bool
) -> tuple[NDArray[np.float64] | None, int]:
    """Return weights with 0 for samples without any value, and how many of these had a weight."""
    empty = without_values(samples) if missing else np.empty(0, np.intp)
    if not empty.size:
        return weights, 0
    weights = np.ones(len(samples)) if weights is None else weights
    n = int(np.count_nonzero(weights[empty]))
    weights[empty] = 0.0
    return weights, n


def _take(X: Any, weights: Any, dtype: np.dtype, exponent: int | None, missing: bool) -> tuple[NDArray, NDArray | None]:
    """Return the samples of positive weight and their weights in units of 2^exponent, if it is given.

    This is a pair of arrays, not an `ArraySource`: Dask knows their size, by which it decides what to move and to spill.
    """
    samples = _validation.as_numbers(X, "X", missing=missing).astype(dtype, copy=False)
    of_samples, _ = _of_valued(samples, None if weights is None else np.array(weights, np.float64), missing)
    if of_samples is None:
        return samples, None
    if not of_samples.all():
        samples, of_samples = samples[of_samples > 0], of_samples[of_samples > 0]
    return samples, None if exponent is None else np.ldexp(of_samples, -exponent).astype(dtype)


def _features(part: tuple[NDArray, NDArray | None], kept: NDArray[np.int64]) -> tuple[NDArray, NDArray | None]:
    return np.take(part[0], kept, axis=1), part[1]


def _sum_of_weights(part: tuple[NDArray, NDArray]) -> float:
    return float(part[1].sum(dtype=np.float64))


def _drawn(
    part: tuple[NDArray, NDArray | None], place: float, step: float, n_places: int
) -> tuple[NDArray, NDArray[np.intp]]:
    """Return the samples at `n_places` places from `place` on, in steps of weight, and how often each was met."""
    X, weights = part
    places = place + step * np.arange(n_places)
    if weights is None:
        rows = places.astype(np.int64)
    else:
        rows = np.searchsorted(np.cumsum(weights, dtype=np.float64), places, side="right")
    rows, counts = np.unique(rows.clip(0, len(X) - 1), return_counts=True)
    return X[rows], counts


def _dask() -> Any:
    return optional("dask", "a Dask collection")

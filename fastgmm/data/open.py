"""Conversion of what a user passes as X to a source that can be swept."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from fastgmm import _validation
from fastgmm._errors import memory_for
from fastgmm.data.chunks import Chunks, MemmapReader, RawFile, chunks, worth_streaming
from fastgmm.data.dask import is_dask, open_partitions
from fastgmm.data.missing import of_valued, without_values
from fastgmm.data.source import ArraySource, LocalSource, Source
from fastgmm.data.stream import survey

S = TypeVar("S", bound=Source)


class Opener(NamedTuple):
    """Functions that turn data outside this process into a source.

    takes : ``takes(X)``, whether X is of this kind
    open : ``open(X, sample_weight)``, which checks both and returns the source; ValueError or TypeError if they cannot be used
    open_incomplete : the same if NaN is a missing value, without the samples that have no value; None if that is always an error
    """

    takes: Callable[[Any], bool]
    open: Callable[[Any, Any], Source]
    open_incomplete: Callable[[Any, Any], Source] | None = None


#: Kinds of data that lie elsewhere. The first one that takes X opens it.
OPENERS: dict[str, Opener] = {"dask": Opener(is_dask, open_partitions, partial(open_partitions, missing=True))}


def open_source(
    X: Any, sample_weight: Any = None, *, min_samples: int = 1, missing: bool = False, valued: bool = False
) -> Source:
    """Check data and weights (n,) and return them as a source; with `missing` NaN is a missing value.

    With `valued` samples without any value have the weight 0, and a warning says how many there are. Data of one of the `OPENERS`,
    such as Dask collections, are checked where they are; others as in `open_here`.
    Raises ValueError or TypeError if the data cannot be used, and OSError if files cannot be read.
    """
    opener = opener_for(X)
    if opener is None:
        return open_here(X, sample_weight, min_samples=min_samples, missing=missing, valued=valued)
    open_it = opener.open_incomplete if missing and opener.open_incomplete is not None else opener.open
    return _enough(open_it(X, sample_weight), min_samples)


def opener_for(X: Any) -> Opener | None:
    """Return the first of the `OPENERS` that takes X, None if X is read by this process. Nothing is computed."""
    return next((opener for opener in OPENERS.values() if opener.takes(X)), None)


def open_here(
    X: Any, sample_weight: Any = None, *, min_samples: int = 1, missing: bool = False, valued: bool = False
) -> LocalSource:
    """Check data and weights as `open_source` does, for data that this process reads.

    Paths and `Chunks` are read once to be checked; a large `numpy.memmap` is read through windows from its file.
    """
    if isinstance(X, (str, os.PathLike, Chunks)):
        reader = chunks(X).reader(missing=missing)
        return _enough(survey(reader, sample_weight, missing=missing, valued=valued), min_samples)
    if isinstance(X, np.memmap) and worth_streaming(X) and (raw := RawFile.of_memmap(X)) is not None:
        return _enough(survey(MemmapReader(raw), sample_weight, missing=missing, valued=valued), min_samples)
    with memory_for(
        "checking X and its weights", "Pass arrays of float32 or float64, which are not copied, or fastgmm.chunks"
    ):
        if missing:
            data, incomplete = _validation.check_incomplete(X, min_samples=min_samples)
        else:
            data, incomplete = _validation.check_data(X, min_samples=min_samples), False
        weights = _validation.check_sample_weight(sample_weight, len(data))
        if incomplete and valued:
            weights = of_valued(weights, without_values(data), len(data))
        return ArraySource.weighted(data, weights, incomplete=incomplete)


def _enough(source: S, min_samples: int) -> S:
    if source.n_samples < min_samples:
        raise ValueError(f"X has {source.n_samples} sample(s) while a minimum of {min_samples} is required.")
    return source

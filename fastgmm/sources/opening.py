"""From what a user passes as X to something that can be swept."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from fastgmm import _validation as border
from fastgmm.sources.array import ArraySource
from fastgmm.sources.chunks import Chunks, MemmapReader, RawFile, chunks, worth_streaming
from fastgmm.sources.dask import AnySource, is_dask, open_partitions
from fastgmm.sources.stream import survey


def open_source(X: Any, sample_weight: Any = None, *, min_samples: int = 1) -> AnySource:
    """Check data and weights (n,) and return them as a source.

    Paths and `Chunks` are gone through once to be checked; a large `numpy.memmap` is read through windows from its file.
    Collections of Dask are persisted and checked on the workers.
    Raises ValueError or TypeError for what cannot be used, OSError for files that cannot be read.
    """
    source: AnySource
    if is_dask(X):
        source = open_partitions(X, sample_weight)
    elif isinstance(X, (str, os.PathLike, Chunks)):
        source = survey(chunks(X).reader(), sample_weight)
    elif isinstance(X, np.memmap) and worth_streaming(X) and (raw := RawFile.of_memmap(X)) is not None:
        source = survey(MemmapReader(raw), sample_weight)
    else:
        data = border.check_data(X, min_samples=min_samples)
        return ArraySource.weighted(data, border.check_sample_weight(sample_weight, len(data)))
    if source.n_samples < min_samples:
        raise ValueError(f"X has {source.n_samples} sample(s) while a minimum of {min_samples} is required.")
    return source

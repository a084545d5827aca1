"""The criterion 'stability': how well subsamples reproduce the partition of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fastgmm.data.source import ArraySource
from fastgmm.em.evaluate import labels
from fastgmm.model.structures import Structure
from fastgmm.selection.cells import Cells

Float = NDArray[np.float64]

#: Subsamples, the share of the samples in each, and at most this many samples of which partitions are compared.
SUBSAMPLES, SHARE, COMPARED = 12, 0.8, 2000


def adjusted_rand(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """Return the adjusted Rand index of two partitions (Hubert & Arabie, J. Classification 2, 1985): 1 if they are the same."""
    n = len(one)
    table = np.bincount(one * (int(other.max()) + 1) + other, minlength=1).astype(np.float64)
    rows, columns = (np.bincount(labels).astype(np.float64) for labels in (one, other))
    together, within, between = (float((counts * (counts - 1.0)).sum()) / 2.0 for counts in (table, rows, columns))
    expected = within * between / (n * (n - 1.0) / 2.0)
    most = 0.5 * (within + between)
    return 1.0 if most == expected else (together - expected) / (most - expected)


def stability(
    sample: ArraySource,
    sizes: Sequence[int],
    structures: Sequence[Structure],
    search: Callable[[ArraySource], Cells],
    rng: np.random.RandomState,
    n_threads: int | None,
) -> Float:
    """Return the mean adjusted Rand index of partitions that pairs of subsamples give, (sizes, structures); NaN if there are few.

    A search is made in each of `SUBSAMPLES` subsamples without replacement, of `SHARE` of the samples (Ben-Hur, Elisseeff &
    Guyon, Pac. Symp. Biocomput. 2002), and each mixture found labels all samples. A model counts if it has a fit in most
    subsamples. A single component is NaN: it has only one partition.
    """
    n = sample.n_samples
    shown = sample if n <= COMPARED else _rows(sample, np.sort(rng.permutation(n)[:COMPARED]))
    partitions: dict[tuple[int, str], list[NDArray[np.int64]]] = {}
    for _ in range(SUBSAMPLES):
        cells = search(_rows(sample, np.sort(rng.permutation(n)[: int(SHARE * n)])))
        for key, cell in cells.cells.items():
            if cell.fit is not None:
                partitions.setdefault(key, []).append(labels(shown, cell.fit.params, n_threads))
    found = np.full((len(sizes), len(structures)), np.nan)
    for i, k in enumerate(sizes):
        for j, structure in enumerate(structures):
            of = partitions.get((k, structure.name), [])
            if k > 1 and 2 * len(of) > SUBSAMPLES:
                pairs = [adjusted_rand(a, b) for first, a in enumerate(of) for b in of[first + 1 :]]
                found[i, j] = float(np.mean(pairs))
    return found


def _rows(source: ArraySource, rows: NDArray[np.int64]) -> ArraySource:
    weights = None if source.weights is None else source.weights[rows]
    return ArraySource(source.X[rows], weights, source.weight_unit, incomplete=source.incomplete)

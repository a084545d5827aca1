"""Samples of which some are known to belong to some of the components."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm import _validation
from fastgmm._limits import LIMITS
from fastgmm.data.source import ArraySource, Block, LocalSource
from fastgmm.data.wrapped import Wrapped

#: The label of a sample of which nothing is known.
UNKNOWN = -1


class Owners(NamedTuple):
    """Which components a label owns.

    labels : those of the user, ascending; components : whether a sample of each of them can belong to each component, (L, k)
    """

    labels: NDArray[np.int64]
    components: NDArray[np.bool_]

    @property
    def of_components(self) -> NDArray[np.int64]:
        """Return the label of each component, (k,); -1 for those that no label owns."""
        owned = self.components.any(axis=0)
        return np.where(owned, self.labels[self.components.argmax(axis=0)], UNKNOWN)


@dataclass(frozen=True)
class LabelledSource(Wrapped):
    """Samples with labels (n,): indices of `owners`, -1 if unknown."""

    labels: NDArray[np.int64]
    owners: Owners

    may_repeat = False  # equal samples have labels of their own

    @property
    def allowed(self) -> NDArray[np.bool_]:  # type: ignore[override]
        return self.owners.components

    def of_features(self, kept: NDArray[np.int64]) -> LabelledSource:
        """Return the same samples with only the features `kept`."""
        return LabelledSource(self.base.of_features(kept), self.labels, self.owners)

    def blocks(self, rows: int) -> Generator[Block, None, None]:
        with closing(self.base.blocks(rows)) as blocks:
            for block in blocks:
                yield block._replace(labels=self.labels[block.start : block.start + len(block.X)])

    def known(self) -> tuple[ArraySource, NDArray[np.int64]]:
        """Return the samples that have a label, and the labels; of more than can be loaded, a regular selection."""
        rows = np.flatnonzero(self.labels != UNKNOWN)
        most = max(1, LIMITS.loaded // (self.n_features * self.dtype.itemsize))
        rows = rows[:: -(-len(rows) // most)]
        parts, weights = [], []
        with closing(self.base.blocks(max(1, (1 << 20) // self.n_features))) as blocks:
            for block in blocks:
                here = rows[slice(*np.searchsorted(rows, [block.start, block.start + len(block.X)]))] - block.start
                parts.append(block.X[here])
                weights.append(block.weights[here] if block.weights.size else np.ones(len(here), self.dtype))
        return self._part(np.concatenate(parts), np.concatenate(weights)), self.labels[rows]

    def unknown(self, random_state: np.random.RandomState) -> ArraySource | None:
        """Return the samples that have no label, or for data larger than memory a sample of all; None if there are none."""
        if not (self.labels == UNKNOWN).any():
            return None
        if not isinstance(self.base, ArraySource):
            return self.base.for_start(random_state)
        rows = self.labels == UNKNOWN
        return self._part(self.base.X[rows], None if self.base.weights is None else self.base.weights[rows])

    def _part(self, X: NDArray, weights: NDArray | None) -> ArraySource:
        return ArraySource(X, weights, self.weight_unit)


def labelled(
    source: LocalSource, labels: Any, label_components: Mapping[int, Sequence[int]] | None, k: int
) -> LabelledSource:
    """Return the samples with labels, checked; `label_components` says which components a label owns, by default its own number.

    Raises ValueError or TypeError if labels or components cannot be used.
    """
    n = source.n_samples if source.present is None else len(source.present)
    values = _check_labels(labels, n)
    if source.present is not None:
        values = values[source.present]
    owners = _owners(np.unique(values[values != UNKNOWN]), label_components, k)
    indices = np.where(values == UNKNOWN, UNKNOWN, np.searchsorted(owners.labels, values))
    return LabelledSource(source, indices, owners)


def _check_labels(labels: Any, n: int) -> NDArray[np.int64]:
    array = np.asarray(labels)
    if array.shape != (n,):
        raise ValueError(f"labels must have the shape ({n},), a label for each sample of X, got {array.shape}")
    if array.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be integers, -1 for samples whose label is unknown, got dtype {array.dtype}: "
            "numpy.unique(..., return_inverse=True) numbers others"
        )
    if n and int(array.min()) < UNKNOWN:
        i = int(array.argmin())
        raise ValueError(f"labels must be -1 (unknown) or not negative, got labels[{i}] = {array[i]}")
    if n and int(array.max()) == UNKNOWN:
        raise ValueError("labels are all -1, unknown: leave labels out, or pass some that are known")
    return array.astype(np.int64)


def _owners(known: NDArray[np.int64], label_components: Mapping[int, Sequence[int]] | None, k: int) -> Owners:
    """Return the owners of components for the labels that occur."""
    if label_components is None:
        if int(known[-1]) >= k:
            raise ValueError(
                f"labels are numbers of components, 0 to n_components - 1 = {k - 1}, got {known[-1]}: increase n_components, or "
                "pass label_components={label: [components]}"
            )
        label_components = {int(label): [int(label)] for label in known}
    if not isinstance(label_components, Mapping):
        raise TypeError(
            f"label_components must be a dictionary such as {{0: [0, 1], 1: [2]}}, got {type(label_components).__name__}"
        )
    components, taken = np.zeros((len(known), k), np.bool_), np.zeros(k, np.bool_)
    for label, own in label_components.items():
        own = [_validation.check_integer(f"label_components[{label!r}]", i, 0) for i in own]
        if not own or max(own) >= k:
            raise ValueError(
                f"label_components[{label!r}] must name components within 0 to n_components - 1 = {k - 1}, got {own}"
            )
        if len(set(own)) < len(own) or taken[own].any():
            raise ValueError(f"label_components names a component twice, at the latest in label {label!r}: {own}")
        taken[own] = True
        components[known == label, :] = np.isin(np.arange(k), own)
    if not components.any(axis=1).all():
        missing = known[~components.any(axis=1)]
        raise ValueError(
            f"labels holds {missing[0]}, which label_components does not name: name its components, or make it -1"
        )
    return Owners(known, components)

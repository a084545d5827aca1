"""Sources that add something to the samples of another one."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgmm.data.source import ArraySource, Block, InProcess, LocalSource


@dataclass(frozen=True)
class Wrapped(InProcess):
    """Base class of sources of the samples of `base`, with its weights and all that is known of them."""

    base: LocalSource

    @property
    def incomplete(self) -> bool:  # type: ignore[override]
        return self.base.incomplete

    @property
    def n_samples(self) -> int:
        return self.base.n_samples

    @property
    def n_counted(self) -> int:
        return self.base.n_counted

    @property
    def n_features(self) -> int:
        return self.base.n_features

    @property
    def dtype(self) -> np.dtype:
        return self.base.dtype

    @property
    def total_weight(self) -> float:
        return self.base.total_weight

    @property
    def weights(self) -> NDArray | None:
        return self.base.weights

    @property
    def weight_unit(self) -> float:
        return self.base.weight_unit

    @property
    def largest(self) -> float:
        return self.base.largest

    @property
    def marks(self) -> NDArray | None:
        return self.base.marks

    @property
    def present(self) -> NDArray[np.bool_] | None:
        return self.base.present

    def for_start(self, random_state: np.random.RandomState) -> ArraySource:
        """Return samples to start from, without what was added."""
        return self.base.for_start(random_state)

    def blocks(self, rows: int) -> Generator[Block, None, None]:
        yield from self.base.blocks(rows)

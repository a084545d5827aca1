"""Samples with known errors of measurement: a source, and the covariance of the errors of each sample."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastgmm.data.source import ArraySource, Block, InProcess, LocalSource, Source

T = TypeVar("T")


@dataclass(frozen=True)
class NoisySource(InProcess):
    """Samples that this process reads, and the covariances of their errors.

    base : the samples
    noise : (n, d) variances, or (n, d * d) covariances, in any float dtype; of shape (1, ...) if all samples have the same
    """

    base: LocalSource
    noise: NDArray

    may_repeat = False  # equal samples have errors of their own

    @property
    def noise_columns(self) -> int:  # type: ignore[override]
        return int(self.noise.shape[1])

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
    def memory(self) -> dict[str, Any]:
        return self.base.memory

    @property
    def marks(self) -> NDArray | None:
        return self.base.marks

    @property
    def present(self) -> NDArray[np.bool_] | None:
        return self.base.present

    def for_start(self, random_state: np.random.RandomState) -> ArraySource:
        """Return samples to start from, without their errors."""
        return self.base.for_start(random_state)

    def of_features(self, kept: NDArray[np.int64]) -> NoisySource:
        """Return the same samples with only the features `kept`, and their errors."""
        return NoisySource(self.base.of_features(kept), _of_features(self.noise, self.n_features, kept))

    def blocks(self, rows: int) -> Generator[Block, None, None]:
        shared = len(self.noise) == 1
        with closing(self.base.blocks(rows)) as blocks:
            for block in blocks:
                part = self.noise if shared else self.noise[block.start : block.start + len(block.X)]
                yield block._replace(noise=np.ascontiguousarray(part, self.dtype))


@dataclass(frozen=True)
class NoisyElsewhere:
    """Samples that lie elsewhere, all of which have errors of the same covariance, (1, d) or (1, d * d)."""

    base: Source
    noise: NDArray

    @property
    def noise_columns(self) -> int:
        return int(self.noise.shape[1])

    @property
    def local(self) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "base":
            raise AttributeError(name)
        return getattr(self.base, name)

    def of_features(self, kept: NDArray[np.int64]) -> NoisyElsewhere:
        """Return the same samples with only the features `kept`, and their errors."""
        return NoisyElsewhere(self.base.of_features(kept), _of_features(self.noise, self.base.n_features, kept))

    def map_reduce(
        self,
        function: Callable[..., T],
        merge: Callable[[T, T], T],
        n_threads: int | None = None,
        on_block: Callable[[int], None] | None = None,
    ) -> T:
        """Return ``function(part)`` of each part, as `Source.map_reduce`."""
        return self.base.map_reduce(partial(_of_part, function=function, noise=self.noise), merge, n_threads, on_block)


def _of_part(part: LocalSource, *, function: Callable[[LocalSource], T], noise: NDArray) -> T:
    return function(NoisySource(part, noise))


def _of_features(noise: NDArray, d: int, kept: NDArray[np.int64]) -> NDArray:
    if noise.shape[1] == d:
        return noise[:, kept]
    matrices = noise.reshape(-1, d, d)[:, kept[:, None], kept]
    return matrices.reshape(len(matrices), -1)


def with_noise(source: Source, noise: NDArray | None) -> Source:
    """Return samples with errors, (n, d), (n, d * d) or (1, ...); those of samples that are left out are dropped.

    Raises ValueError if samples that lie elsewhere have errors of their own.
    """
    if noise is None:
        return source
    local = source.local
    if local is None:
        if len(noise) > 1:
            raise ValueError(
                "noise_covariance of each sample needs data that are read here, and X lies elsewhere, as a Dask collection does: "
                "pass errors that all samples share, of shape (n_features,) or (n_features, n_features), or parts of X to "
                "partial_fit"
            )
        return NoisyElsewhere(source, noise)
    if len(noise) > 1 and local.present is not None:
        noise = noise[local.present]
    return NoisySource(local, noise)


def of_block(block: Block, chosen: slice | NDArray[np.bool_], weights: NDArray | None = None) -> LocalSource:
    """Return some samples of a block as a source, with their errors if they have any."""
    source = ArraySource(block.X[chosen], weights)
    if block.noise is None:
        return source
    return NoisySource(source, block.noise if len(block.noise) == 1 else block.noise[chosen])

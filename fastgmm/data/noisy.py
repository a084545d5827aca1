"""Samples with known errors of measurement: a source, and the covariance of the errors of each sample."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastgmm._compat import cached_property
from fastgmm._limits import LIMITS
from fastgmm.data.noise_covariance import as_noise, check_noise
from fastgmm.data.source import ArraySource, Block, LocalSource, Source, fingerprint_rows
from fastgmm.data.wrapped import Wrapped

T = TypeVar("T")


@dataclass(frozen=True)
class NoisySource(Wrapped):
    """Samples that this process reads, and the covariances of their errors.

    noise : (n, d) variances, or (n, d * d) covariances, in any float dtype; of shape (1, ...) if all samples have the same
    """

    noise: NDArray

    may_repeat = False  # equal samples have errors of their own

    @property
    def noise_columns(self) -> int:  # type: ignore[override]
        return int(self.noise.shape[1])

    @property
    def noise_marks(self) -> NDArray:  # type: ignore[override]
        return self.noise[fingerprint_rows(len(self.noise))]

    def of_features(self, kept: NDArray[np.int64]) -> NoisySource:
        """Return the same samples with only the features `kept`, and their errors."""
        return NoisySource(self.base.of_features(kept), _of_features(self.noise, self.n_features, kept))

    def blocks(self, rows: int) -> Generator[Block, None, None]:
        shared = len(self.noise) == 1
        with closing(self.base.blocks(rows)) as blocks:
            for block in blocks:
                part = self.noise if shared else self.noise[block.start : block.start + len(block.X)]
                yield block._replace(noise=_constant(np.ascontiguousarray(part, self.dtype)))


def _constant(array: NDArray) -> NDArray:
    """Return an array that cannot be written to, whatever the user's: kernels are compiled once."""
    view = array.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True)
class NoisyElsewhere:
    """Samples that lie elsewhere, all of which have errors of the same covariance, (1, d) or (1, d * d)."""

    base: Source
    noise: NDArray

    @property
    def noise_columns(self) -> int:
        return int(self.noise.shape[1])

    @property
    def noise_marks(self) -> NDArray:
        return self.noise

    @cached_property
    def memory(self) -> dict[str, Any]:
        return {}

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


def with_noise(source: Source, noise_covariance: Any) -> Source:
    """Return samples with errors, as the user passes them; those of samples that are left out are dropped.

    Raises ValueError or TypeError if they cannot be used, or if samples that lie elsewhere have errors of their own.
    """
    if noise_covariance is None:
        return source
    local = source.local
    if local is None:
        noise = as_noise(noise_covariance, None, source.n_features)
        check_noise(noise, source.n_features)
        return NoisyElsewhere(source, noise)
    present = local.present
    noise = as_noise(noise_covariance, local.n_samples if present is None else len(present), source.n_features)
    noisy = attached(local, noise)
    assert isinstance(noisy, NoisySource)
    noise = noisy.noise
    if noisy.incomplete and len(noise) > 1:
        with closing(local.blocks(max(1, LIMITS.numbers_checked // noise.shape[1]))) as blocks:
            for block in blocks:
                part = noise[block.start : block.start + len(block.X)]
                check_noise(part, source.n_features, np.isnan(block.X), block.start, present)
    else:
        check_noise(noise, source.n_features, None, 0, present)
    return noisy


def of_block(block: Block, chosen: slice | NDArray[np.bool_], incomplete: bool = False) -> LocalSource:
    """Return some samples of a block as a source, with their errors if they have any; `incomplete`: NaN is a missing value."""
    return attached(ArraySource(block.X[chosen], incomplete=incomplete), rows_of(block.noise, chosen))


def rows_of(noise: NDArray | None, chosen: slice | NDArray[np.bool_]) -> NDArray | None:
    """Return the errors of some samples."""
    return noise if noise is None or len(noise) == 1 else noise[chosen]


def attached(source: LocalSource, noise: NDArray | None) -> LocalSource:
    """Return samples with errors that were checked, if they have any; those of samples that are left out are dropped."""
    if noise is None:
        return source
    return NoisySource(source, noise if source.present is None else rows_of(noise, source.present))  # type: ignore[arg-type]


def on_parts(
    function: Callable[..., T], noise_covariance: Any, d: int, kept: NDArray[np.int64] | None
) -> Callable[..., T]:
    """Return a function of samples that lie elsewhere that does ``function(part)``, the samples with errors that all share.

    With `kept`, errors are of all d features, and samples have only these. Raises ValueError or TypeError as `with_noise`.
    """
    if noise_covariance is None:
        return function
    noise = as_noise(noise_covariance, None, d)
    check_noise(noise, d)
    return partial(_of_part, function=function, noise=noise if kept is None else _of_features(noise, d, kept))

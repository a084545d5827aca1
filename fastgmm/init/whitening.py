"""Data in the space in which all directions have the same variance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastgmm.data.source import ArraySource
from fastgmm.em.impute import imputed, most_likely
from fastgmm.em.sweep import TotalScatter, total

Float = NDArray[np.float64]

#: Rows that are transformed at once: a float64 copy of them stays in the cache.
_ROWS = 4096
#: Numbers that are completed at once.
_FILLED = 1 << 20


@dataclass(frozen=True)
class Whitening:
    """The map z = (x - mean) `matrix` after which the data have mean 0 and, in the directions in which they vary, covariance 1.

    mean : (d,); matrix : (d, r), where r, at most d, is the number of directions in which they vary

    With the SVD U D V^T of the centred data, n of them, these are the rows of sqrt(n) U. They are found from D^2 and V, the
    eigenvalues and eigenvectors of the scatter: the data are read once and copied once.
    """

    mean: Float
    matrix: Float

    @classmethod
    def of(cls, total: TotalScatter, total_weight: float, dtype: DTypeLike, *, halfway: bool = False) -> Whitening:
        """Make the map from mean and scatter of data of a dtype. Features are scaled first, so that their units do not matter.

        If only `halfway`, the map is to U sqrt(D) of the SVD of data scaled to unit variances, about the mean: directions keep the
        root of their standard deviations (Scrucca & Raftery, Adv. Data Anal. Classif. 9, 2015).
        """
        covariance = total.scatter / total_weight
        scale = np.sqrt(np.diagonal(covariance).clip(min=0.0))
        # a feature that rounding alone makes vary is constant
        varies = scale > 4 * np.finfo(dtype).eps * np.abs(total.mean)
        inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=varies)
        eigenvalues, vectors = np.linalg.eigh(inverse[:, None] * covariance * inverse)
        # the scatter has the precision of the data, and its small eigenvalues have that of the largest
        kept = eigenvalues > 10 * len(scale) * np.finfo(dtype).eps * eigenvalues[-1]
        if not kept.any():
            return cls(total.mean, np.zeros((len(scale), 1)))
        axes, divisor = inverse[:, None] * vectors[:, kept], np.sqrt(eigenvalues[kept])
        if halfway:  # variances about the mean have n - 1 degrees of freedom in it
            freedom = max(total_weight - 1.0, 1.0)
            divisor = np.sqrt(total_weight / freedom * np.sqrt(freedom) * divisor)
        return cls(total.mean, axes / divisor)

    @classmethod
    def space(cls, source: ArraySource, n_threads: int | None, *, halfway: bool = False) -> NDArray:
        """Return the samples of a source in that space, (n, r), in their dtype.

        Of a sample with missing values it is where the most likely normal distribution of all samples expects it to be, given the
        observed ones.
        """
        found = total(source, n_threads)
        whitening = cls.of(found, source.total_weight, source.dtype, halfway=halfway)
        if not source.incomplete:
            return whitening(source.X)
        normal, out = most_likely(found, source.total_weight), np.empty((source.n_samples, whitening.matrix.shape[1]))
        rows = max(1, _FILLED // source.n_features)
        for start in range(0, source.n_samples, rows):
            part = ArraySource(source.X[start : start + rows], incomplete=True)
            out[start : start + rows] = whitening(imputed(part, normal, n_threads))
        return out.astype(source.dtype)

    def __call__(self, X: NDArray) -> NDArray:
        """Return the data (n, d) in that space, (n, r), in their dtype."""
        out = np.empty((len(X), self.matrix.shape[1]), X.dtype)
        for start in range(0, len(X), _ROWS):
            rows = slice(start, start + _ROWS)
            out[rows] = (X[rows] - self.mean) @ self.matrix
        return out

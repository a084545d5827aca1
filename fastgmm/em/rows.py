"""Passes over samples one by one: each with a covariance of its errors, or with missing features."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm import _threads
from fastgmm.data.source import Block, LocalSource
from fastgmm.em.lanes import Lanes, lanes
from fastgmm.kernels import rows as kernels
from fastgmm.kernels.rows import Matrices, RowSums, Variances
from fastgmm.model.layouts import DIAG, FULL, Layout
from fastgmm.model.params import HALF_LOG_2_PI, Params
from fastgmm.model.stats import Stats

Float = NDArray[np.float64]

#: Bytes of what a tile keeps of all components: with more samples in a tile vectors are used better, with fewer the cache.
_TILE_BYTES = 2**17


def triangles(matrices: Float) -> Float:
    """Return the lower triangles of (k, d, d), row by row, (k, d (d + 1) / 2)."""
    rows, columns = np.tril_indices(matrices.shape[-1])
    return np.ascontiguousarray(matrices[:, rows, columns])


def lower_factors(matrices: Float) -> Float:
    """Return the lower triangular C with V = C C^T of positive definite matrices (k, d, d).

    Without LAPACK, whose bits may depend on the number of its threads.
    """
    factors = np.zeros_like(matrices)
    for j in range(matrices.shape[-1]):
        left = matrices[:, j:, j] - np.einsum("kim,km->ki", factors[:, j:, :j], factors[:, j, :j])
        factors[:, j:, j] = left / np.sqrt(left[:, :1])
    return factors


class Prepared(NamedTuple):
    """Parameters for the kernels of rows, and what turns their sums into statistics.

    factor : (k, d, d) or (k, d), C of `kernels.rows`; layout : FULL or DIAG, that of the statistics.
    """

    packed: Matrices | Variances
    factor: Float
    layout: Layout


def prepared(params: Params, noise_columns: int, *, weighted: bool = True) -> Prepared:
    """Lay parameters out for samples with no errors, variances (d columns) or covariances (d * d columns) of them."""
    k, d = params.means.shape
    independent = not params.layout.correlates and noise_columns <= d
    constant = np.full(k, -d * HALF_LOG_2_PI)
    if weighted:
        with np.errstate(divide="ignore"):
            constant += np.log(params.weights)
    if params.noise is not None:
        level = -params.noise.log_volume + (np.log(params.noise.weight) if weighted else 0.0)
        constant = np.append(constant, level)
    size = d if independent else d * (d + 1) // 2
    tile = 64 if 8 * k * (size + d) * 64 <= _TILE_BYTES else 32
    if independent:
        variances = np.ascontiguousarray(params.variances)
        roots = np.sqrt(variances)
        return Prepared(Variances(constant, params.means, variances, roots, tile), roots, DIAG)
    matrices = params.layout.matrices(params.covariances, k, d)
    factor = lower_factors(matrices)
    return Prepared(Matrices(constant, params.means, triangles(matrices), triangles(factor), tile), factor, FULL)

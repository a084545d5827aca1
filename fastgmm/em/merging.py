"""The pass that measures what merging clusters of components takes off the entropy."""

from __future__ import annotations

import operator
from contextlib import closing
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm.data.source import ArraySource, LocalSource, Source
from fastgmm.em import evaluate
from fastgmm.em.lanes import lanes
from fastgmm.kernels.merging import add_gains
from fastgmm.model.params import Params

Float = NDArray[np.float64]


class Gains(NamedTuple):
    """Weighted sums over samples, in units of `weight_unit`.

    pairs : (g, g), symmetric, what merging two clusters takes off the entropy; 0 on the diagonal
    entropy : of the clusters, -sum_i sum_a t_ia log t_ia
    """

    pairs: Float
    entropy: float


def gains(source: Source, params: Params, groups: NDArray[np.int64], n_threads: int | None = None) -> Gains:
    """Return the entropy among clusters of components and the gains of all pairs, in one pass; nothing of size n is kept.

    groups : (k,), the cluster of each component, 0 to g - 1; with noise (k + 1,)
    """
    sums = source.map_reduce(partial(_gains, params=params, groups=groups), operator.add, n_threads)
    return Gains(sums[:-1] + sums[:-1].T, float(sums[-1, 0]))


def _gains(source: LocalSource, *, params: Params, groups: NDArray[np.int64]) -> Float:
    """Return the gains above the diagonal, (g, g), and in a further row the entropy."""
    g = int(groups.max()) + 1
    pairs, entropy = np.zeros((g, g)), np.zeros(1)
    k = params.n_densities
    plan = lanes(source, k, 0, row_bytes=8 * k)
    with closing(source.blocks(plan.rows)) as blocks:
        for block in blocks:
            resp = evaluate.responsibilities(ArraySource(block.X), params)
            add_gains(resp, block.weights, groups, pairs, entropy)
    return np.vstack([pairs, np.full((1, g), entropy[0])])

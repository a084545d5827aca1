"""Passes that leave out what is too far away: `algorithm="pruned"`."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastgmm import _threads
from fastgmm._limits import LIMITS
from fastgmm.data.source import ArraySource, Source
from fastgmm.em.callbacks import SILENT, Callback
from fastgmm.em.evaluate import labels
from fastgmm.em.lanes import SINGLE_LANE
from fastgmm.em.sweep import accumulators, collect, far_apart, pooled, sweep, total
from fastgmm.kernels import pruned as kernels
from fastgmm.model.layouts import FULL
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats

Float = NDArray[np.float64]

#: Log-densities this far below the best one add nothing to a sum of `k` of them: e^-40 is 4e-18.
_NOTHING = 40.0
#: Dense sweeps after one of which the bounds left out too little: twice as many each time, up to the second number. A sweep that
#: evaluates three quarters of all pairs takes as long as a dense one (at k = 1024, d = 39, diagonal).
_REST, _MOST_REST = 4, 32


class PrunedSweeps:
    """Sweeps over samples in memory, each of which carries bounds of distances over to the next.

    Parameters
    ----------
    source : ArraySource
    params : Params
        Their labels order the samples.
    n_threads : int, optional

    Attributes
    ----------
    evaluated : float
        Share of the pairs of a block and a component that the last pruned sweep evaluated.
    """

    def __init__(self, source: ArraySource, params: Params, n_threads: int | None) -> None:
        self.source, self.n_threads = source, n_threads
        n, k = source.n_samples, params.n_densities
        blocks = -(-n // kernels.BLOCK)
        self.pairs = kernels.Pairs(
            np.argsort(labels(source, params, n_threads), kind="stable").astype(np.int32),
            np.zeros((blocks, k), np.float32),
            np.ones((blocks, k), np.bool_),
            np.zeros(0, np.int64),
            _NOTHING + math.log(k),
            8.0 * float(np.finfo(source.dtype).eps),
        )
        self.previous: Params | None = None
        self.evaluated = 1.0
        self._rest, self._next_rest = 0, _REST

    @classmethod
    def of(cls, source: Source, params: Params, n_threads: int | None) -> PrunedSweeps | None:
        """Return pruned sweeps of a source, None if there are none."""
        if cls.obstacle(source, params.n_densities):
            return None
        assert isinstance(source, ArraySource)
        return cls(source, params, n_threads)

    @staticmethod
    def obstacle(source: Source, k: int) -> str:
        """Return why sweeps of a source with k components cannot be pruned, '' if they can."""
        d = source.n_features
        if source.noise_columns is not None:
            return "each sample has errors of its own"
        if not isinstance(source, ArraySource):
            return "only an array in memory can be swept in another order"
        if source.incomplete:
            return "samples with missing values are swept by the features that they have"
        if source.n_samples <= SINGLE_LANE:
            return f"{source.n_samples} samples are too few"
        if k * 5 > kernels.BLOCK * d * source.dtype.itemsize:
            return f"bounds of {k} components would take more memory than the data"
        return ""

    def sweep(self, params: Params, callback: Callback = SILENT) -> Stats:
        """Do the E-step, as `em.sweep.sweep` does it but for terms below 1e-17 of a sample's likelihood."""
        if self._rest > 0:
            self._rest -= 1
            return sweep(self.source, params, self.n_threads, callback=callback)
        layout = params.layout
        if far_apart(self.source, params, self.n_threads) or (layout.pools and params.noise is not None):
            apart = self._swept(params.in_layout(FULL), callback)
            return replace(apart, layout=layout, scatter=layout.of_full_scatter(apart.scatter))
        stats = self._swept(params, callback)
        return pooled(stats, total(self.source, self.n_threads)) if layout.pools else stats

    def _swept(self, params: Params, callback: Callback) -> Stats:
        """Return the statistics of a pruned sweep; a pooled scatter is left out."""
        source, layout = self.source, params.layout
        k = params.n_densities
        packed = params.packed(source.dtype)._replace(tile=kernels.BLOCK)
        origin = packed.means[:, : source.n_features].astype(np.float64)
        change, bounded = self._change(params), self.previous is not None
        self.previous = params
        plan, out = accumulators(source, layout, k)
        pairs = self.pairs._replace(evaluated=np.zeros(plan.n_lanes, np.int64))
        with _threads.for_lanes(plan.n_lanes, self.n_threads) as ready:
            for start in range(0, source.n_samples, plan.rows):
                stop = min(start + plan.rows, source.n_samples)
                width, n_lanes = plan.width, plan.of(stop - start)
                weights, run = source.sample_weights, ready(kernels.pruned_sweep)
                run(source.samples, start, width, n_lanes, packed, change, pairs, weights, out)
                callback.block(stop * source.n_counted // source.n_samples)
        self.evaluated = float(pairs.evaluated.sum()) / pairs.distance.size
        if (self.evaluated if bounded else float(pairs.wanted.mean())) > LIMITS.pruned_share:
            self._rest, self._next_rest = self._next_rest, min(2 * self._next_rest, _MOST_REST)
        stats = collect(source, layout, plan, out, origin)
        return stats if params.noise is None else stats.without_last()

    def _change(self, params: Params) -> kernels.Change:
        """Return how far components moved since the last sweep."""
        if self.previous is None:
            return kernels.Change(np.ones(params.n_densities), np.zeros(params.n_densities))
        layout, k = params.layout, len(params.weights)
        before = self.previous.in_layout(layout)  # that of tied components may have changed: see `far_apart`
        # noise, which comes last, is everywhere: its distances are 0
        change = kernels.Change(np.ones(params.n_densities), np.zeros(params.n_densities))
        change.scale[:k] = np.maximum(layout.contraction(before.prec_chol, params.prec_chol, k), 0.0) * (1.0 - 1e-6)
        moved = layout.lengths(params.prec_chol, before.means - params.means)
        # bounds stay below what they bound in spite of rounding, that of means in the dtype of the data as well
        away = np.linalg.norm(np.abs(params.means) + np.abs(before.means), axis=1)
        away *= np.sqrt(params.precision_diagonals.sum(axis=1)) * np.finfo(self.source.dtype).eps
        change.moved[:k] = (moved + away) * (1.0 + 1e-6) + 1e-6
        return change

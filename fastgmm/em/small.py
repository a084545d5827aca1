"""EM on data that make a single lane: the loop of `driver.run` in one compiled call."""

from __future__ import annotations

import numpy as np

from fastgmm.em.result import Settings
from fastgmm.em.sweep import SINGLE_LANE, accumulators, collect, far_apart, pooled, total
from fastgmm.kernels.small import Constants, Mixture, iterate
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats
from fastgmm.model.structures import COUNT_FLOOR, Structure
from fastgmm.sources.array import ArraySource
from fastgmm.sources.dask import AnySource

#: Most operations in one compiled call, about a tenth of a second: Ctrl-C is served between two.
_FLOPS = 3e8


def _flops(source: AnySource, params: Params) -> float:
    """Operations of an iteration, roughly."""
    k, d = params.means.shape
    return k * (source.n_samples * (2 * d * (d + 1) + 100) + d**3)


class SmallRun:
    """Parameters on their way through EM on `source`, of which a sweep makes a single lane.

    The results are those of sweeps and M-steps one by one, up to the rounding of the M-step.
    """

    def __init__(self, source: ArraySource, params: Params, settings: Settings) -> None:
        self.source, self.layout, self._n_threads = source, params.layout, settings.n_threads
        values = (params.weights, params.means, params.covariances, params.prec_chol)
        self.mixture = Mixture(*(np.array(value) for value in values))
        self.packed = params.packed(source.dtype)
        self.plan, self.out = accumulators(source, params.layout, len(params.weights))
        centre, scatter = np.zeros(0), np.zeros((0, 0))
        if params.layout.pools:
            whole = total(source, settings.n_threads)
            centre, scatter = whole.mean, whole.scatter
        tol, reg_covar = settings.tol, settings.reg_covar
        self.constants = Constants(source.total_weight, tol, float(COUNT_FLOOR), reg_covar, centre, scatter)
        self.most = int(_FLOPS / _flops(source, params))

    @staticmethod
    def suits(source: AnySource, params: Params, structure: Structure, n_threads: int | None) -> bool:
        """Whether the samples are an array that makes a single lane, an iteration is short, and its M-step is compiled.

        That of tied components takes a difference of scatters, which has to show them.
        """
        small = isinstance(source, ArraySource) and source.n_samples <= SINGLE_LANE and structure.basic
        return small and _flops(source, params) <= _FLOPS and not far_apart(source, params, n_threads)

    def iterate(self, bound: float, n_iter: int) -> tuple[list[float], int]:
        """Up to `n_iter` iterations: their bounds, and what `kernels.small.iterate` ended with."""
        bounds = np.empty(min(n_iter, self.most))
        source = self.source
        arguments = (self.packed, self.mixture, self.constants, self.out, bound, bounds)
        done, state = iterate(source.samples, source.sample_weights, *arguments)
        return bounds[:done].tolist(), state

    @property
    def params(self) -> Params:
        """Parameters after the last M-step."""
        return Params(self.layout, *(a.copy() for a in self.mixture))

    @property
    def stats(self) -> Stats:
        """Statistics of the last sweep, for an M-step that failed."""
        origin = self.packed.means[:, : self.source.n_features].astype(np.float64)
        stats = collect(self.source, self.layout, self.plan, self.out, origin)
        return pooled(stats, total(self.source, self._n_threads)) if self.layout.pools else stats

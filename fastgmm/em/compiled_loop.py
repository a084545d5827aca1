"""The compiled twin of the EM loop, for data that make a single lane: several iterations in one call."""

from __future__ import annotations

import numpy as np

from fastgmm._limits import LIMITS
from fastgmm.data.source import ArraySource, Source
from fastgmm.em.callbacks import Callback
from fastgmm.em.lanes import SINGLE_LANE
from fastgmm.em.step import Step, check_likelihood
from fastgmm.em.stop import Reason, Stop
from fastgmm.em.sweep import accumulators, collect, far_apart, pooled, total
from fastgmm.kernels.small import COLLAPSED, CONVERGED, DOUBTFUL, NOT_FINITE, Constants, Mixture, iterate
from fastgmm.kernels.structures import Letters
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats
from fastgmm.model.structures import COUNT_FLOOR, Structure


def letters_of(structure: Structure) -> Letters:
    """Return volume, shape and orientation of one of the fourteen structures, as the kernels know them."""
    return Letters(*("IEV".index(letter) for letter in structure.mclust_name))


#: Iterations between two checks of a stop's rules: a call costs as much as an iteration on 150 x 4.
_CHECKED = 8


def flops(source: Source, params: Params) -> float:
    """Return the operations of an iteration, roughly."""
    k, d = params.means.shape
    return k * (source.n_samples * (2 * d * (d + 1) + 100) + d**3)


class CompiledLoop:
    """EM on a source of which a sweep makes a single lane.

    The results are those of sweeps and M-steps one by one, up to the rounding of the M-step.
    """

    def __init__(
        self,
        source: Source,
        params: Params,
        step: Step,
        stop: Stop,
        n_threads: int | None,
        callback: Callback,
    ) -> None:
        assert isinstance(source, ArraySource)
        self.source, self.step, self.stop, self.n_threads, self.callback = source, step, stop, n_threads, callback
        self.layout = params.layout
        self.most = max(1, int(LIMITS.call_flops / flops(source, params)))
        centre, scatter = np.zeros(0), np.zeros((0, 0))
        if self.layout.pools:
            whole = total(source, n_threads)
            centre, scatter = whole.mean, whole.scatter
        reg_covar = step.compiled_reg_covar
        assert reg_covar is not None
        self.constants = Constants(source.total_weight, stop.tol, float(COUNT_FLOOR), reg_covar, centre, scatter)
        self._begin(params)

    @staticmethod
    def suits(source: Source, params: Params, step: Step, n_threads: int | None) -> bool:
        """Return whether samples are a complete array that makes a single lane, an iteration is short, and its step is compiled.

        The step of tied components takes a difference of scatters, which has to show them.
        """
        small = isinstance(source, ArraySource) and source.n_samples <= SINGLE_LANE and not source.incomplete
        small = small and step.compiled_reg_covar is not None and flops(source, params) <= LIMITS.call_flops
        return small and not far_apart(source, params, n_threads)

    def run(self, lower_bound: float, bounds: list[float]) -> tuple[Params, Reason | None]:
        """Iterate; return parameters and why the run stopped. `bounds` grows.

        Without a reason, the loop of sweeps has to continue from the parameters.
        """
        while True:
            n_iter = len(bounds)
            # rules decide after iterations counted from the first one, wherever the run was resumed
            if n_iter % _CHECKED == 0 and (reason := self.stop.by_rules(bounds)) is not None:
                return self.params, reason
            left = self.stop.max_iter - n_iter
            if self.stop.rules:
                left = min(left, _CHECKED - n_iter % _CHECKED)
            before = self.params if self.layout.pools else None
            found, state = self._iterate(lower_bound, left)
            if before is not None and (state == COLLAPSED or far_apart(self.source, self.params, self.n_threads)):
                return before, None  # by a scatter that does not come from a difference
            change = np.inf
            for value in found:
                bounds.append(value)
                change, lower_bound = value - lower_bound, value
                self.callback.iteration(len(bounds), value, change)
            if state == NOT_FINITE:
                check_likelihood(lower_bound, len(bounds), self.params)
            if state == COLLAPSED:
                # raises, with a message that says where and why; or finds factors by a hair's breadth
                self._begin(self.step.maximise(self.stats, self.params))
            elif state in (CONVERGED, DOUBTFUL) or len(bounds) >= self.stop.max_iter:
                reason = self.stop(bounds, change, self.params, self.source.dtype)
                if reason is not None:
                    params = self.params
                    if not reason.converged:
                        self.callback.reached(params, bounds)
                    return params, reason
            self.callback.reached(self.params, bounds)

    def _begin(self, params: Params) -> None:
        values = (params.weights, params.means, params.covariances, params.prec_chol)
        self.mixture = Mixture(*(np.array(value) for value in values))
        self.packed = params.packed(self.source.dtype)
        self.plan, self.out = accumulators(self.source, self.layout, len(params.weights))

    def _iterate(self, bound: float, n_iter: int) -> tuple[list[float], int]:
        """Do up to `n_iter` iterations; return their bounds and the code that `kernels.small.iterate` ended with."""
        bounds = np.empty(min(n_iter, self.most))
        arguments = (self.packed, self.mixture, self.constants, self.out, bound, bounds)
        done, state = iterate(self.source.samples, self.source.sample_weights, *arguments)
        return bounds[:done].tolist(), state

    @property
    def params(self) -> Params:
        """Return the parameters after the last M-step."""
        return Params(self.layout, *(a.copy() for a in self.mixture))

    @property
    def stats(self) -> Stats:
        """Return the statistics of the last sweep, for an M-step that failed."""
        origin = self.packed.means[:, : self.source.n_features].astype(np.float64)
        stats = collect(self.source, self.layout, self.plan, self.out, origin)
        return pooled(stats, total(self.source, self.n_threads)) if self.layout.pools else stats

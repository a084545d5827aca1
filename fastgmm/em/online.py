"""Online EM: the parameters follow running averages of the statistics of batch after batch.

O. Cappe and E. Moulines, On-line expectation-maximization algorithm for latent data models, J. R. Stat. Soc. B 71(3), 2009,
593-613. With s(batch; params) the statistics of the responsibilities per unit of weight, a step is

    s_t = (1 - gamma_t) s_(t-1) + gamma_t s(batch_t; params_(t-1)),    params_t = M-step of s_t,    gamma_t = (t + t0)^-a.

Sums of gamma_t are infinite and those of gamma_t^2 finite for 1/2 < a <= 1: the averages forget where they began, and their
noise dies out. The likelihood need not rise from step to step, as it does in EM.

A stream that drifts is not followed by steps that shrink. With a half-life h, samples that h others came after count half, and
the averages are those of all samples with these weights: in the long run gamma = 1 - 2^(-n / h) for batches of n.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from fastgmm._limits import LIMITS
from fastgmm.data.noisy import attached, rows_of
from fastgmm.data.source import ArraySource, LocalSource, Source
from fastgmm.em.callbacks import SILENT, Callback
from fastgmm.em.loop import run
from fastgmm.em.result import FitResult
from fastgmm.em.step import Step, Weighted
from fastgmm.em.stop import Stop
from fastgmm.em.sweep import sweep
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats

# The defaults, decay 0.6 and offset 3, by experiment (`python -m bench.online`; 1e6 x 8, k = 10, batches of 1000 and of 10000).
# Loss of mean log-likelihood after one pass, against EM to convergence (22 to 93 passes) from the same start by k-means:
#   decay 0.55, 0.6, 0.7, 0.8, 1 (offset 1): 0.004 .. 0.047, 0.004 .. 0.050, 0.005 .. 0.056, 0.009 .. 0.064, 0.027 .. 0.13 %;
#   offset 0, 1, 5, 20 (decay 0.6): 0.004 .. 0.049, 0.004 .. 0.050, 0.005 .. 0.053, 0.007 .. 0.059 %.
# From single points as means (5e5 x 8, means closer): 0.12 .. 0.42, 0.17 .. 0.46, 0.22 .. 0.55, 0.30 .. 0.64 % at 0.55 .. 0.8.
# Larger offsets are for continuing a fit: one of 1e5 samples (8 features, k = 10) that then gets batches of 1000 loses up to 0.075,
# 0.042, 0.024, 0.013 nats, before it gains, at offsets 0, 1, 3, 10.

#: The averages stand for at least this many numbers for each free parameter. One pass over 2e5 x 16, k = 8, full, in batches
#: of 50: start -24.81, EM -24.44, online -25.23 without this, -24.47 with 5 to 80. Over 4e4 of them in batches of 10: -25.23
#: without, -24.79, -24.55, -24.44 with 5, 20, 80. More makes batches of 1000 slower to follow.
NUMBERS_PER_PARAMETER = 20


@dataclass(frozen=True)
class Averages:
    """Running averages of the statistics: a value.

    stats : per unit of weight, about the means that the last batch met; None before the first batch
    n_steps : batches so far; weight : of all these batches, as far as they are remembered
    ready : whether the averages stand for enough samples to be maximised over
    """

    stats: Stats | None = None
    n_steps: int = 0
    weight: float = 0.0
    ready: bool = False


class _Units(NamedTuple):
    """The unit of the counts of averages that are scaled to samples."""

    weight_unit: float


def averages_of(params: Params, step: Step) -> Averages:
    """Return averages whose M-step gives `params`, to continue from: what the parameters expect of a sample.

    A posterior knows how many samples it has seen. They weigh as if they had been a batch.
    """
    stats = step.expected(params)
    return Averages(stats, weight=float(stats.n_samples), ready=True)


@dataclass(frozen=True)
class Online:
    """How steps are made: gamma_t = (t + offset)^-decay, and never fewer than `memory` samples in the averages.

    half_life : samples after which earlier ones count half, in place of gamma_t; None if they do not
    population : weight of all samples, if it is known, else those are all that there were so far: what a prior weighs against. The
        steps are then stochastic natural gradients of the evidence (Hoffman, Blei, Wang & Paisley, J. Mach. Learn. Res. 14, 2013)
    """

    of: Step
    decay: float
    offset: float
    memory: float
    n_threads: int | None = None
    population: float | None = None
    half_life: float | None = None

    @classmethod
    def for_shape(
        cls,
        step: Step,
        decay: float,
        offset: float,
        shape: tuple[int, int],
        n_threads: int | None = None,
        half_life: float | None = None,
    ) -> Online:
        """Return steps for means of `shape` (k, d), with a memory that grows with the number of free parameters."""
        memory = NUMBERS_PER_PARAMETER * step.structure.n_parameters(*shape) / shape[1]
        return cls(step, decay, offset, memory, n_threads, half_life=half_life)

    def remembered(self, averages: Averages, n_samples: int) -> float:
        """Return what the batches so far weigh when `n_samples` more have come."""
        if self.half_life is None:
            return averages.weight
        return float(averages.weight * 2.0 ** (-n_samples / self.half_life))

    def gamma(self, averages: Averages, weight: float, n_samples: int) -> float:
        """Return the step size of the next batch, of `weight` and `n_samples`.

        gamma_t is for a batch that weighs as much as the batches so far do in the mean. Others move the averages in
        proportion, so that the short batch at the end of the data does not count as much as a long one. (With a = 1 and
        t0 = 0 the averages are those of all samples, however they were cut.) Before the averages stand for `memory` samples
        they are plain ones. From then on they forget no faster than with the last `memory` samples: a component
        whose covariance came of a few samples would not recover. With a half-life the batch weighs against what is left of the
        others, however little that is.
        """
        if self.half_life is not None:
            return weight / (weight + self.remembered(averages, n_samples))
        t, whole = averages.n_steps + 1, averages.weight + weight
        if not averages.ready:
            return weight / whole
        return min(1.0, n_samples / self.memory, weight * t / whole * (t + self.offset) ** -self.decay)

    def step(self, batch: Source, params: Params, averages: Averages) -> tuple[Params, Averages, float]:
        """Do an E-step on a batch, move the averages, do an M-step.

        The third value is the mean log-likelihood of the batch under the `params` that entered. The parameters stay as they
        are until the averages are ready. Raises ValueError as `loop.run` does.
        """
        averaging = _Averaging(self, batch, averages)
        result = run(batch, params, averaging, Stop(0.0, 1), n_threads=self.n_threads, compiled_loop=False)
        return result.params, averaging.averages, result.lower_bound

    def run(
        self,
        source: LocalSource,
        params: Params,
        averages: Averages,
        batch_size: int,
        stop: Stop,
        *,
        lower_bound: float = -math.inf,
        callback: Callback = SILENT,
    ) -> FitResult:
        """Make steps over batches of `source`, in its order, again and again.

        They end by `stop`, which is given the mean log-likelihood of each epoch, each batch under the parameters that it met. The
        `lower_bound` returned is that of all samples under the final parameters, by a pass of its own; `lower_bounds` are those
        of the epochs.
        """
        # if there are few samples, all can be remembered, and the first step comes in the first epoch
        population = source.total_weight * source.weight_unit
        online = replace(self, memory=min(self.memory, source.n_samples), population=population)
        bounds: list[float] = []
        reason = stop(bounds)
        while reason is None:
            moved, previous, likelihood = averages.ready, lower_bound, 0.0
            n_done = 0
            with closing(batches(source, batch_size)) as cut:
                for batch in cut:
                    params, averages, mean = online.step(batch, params, averages)
                    likelihood += mean * batch.total_weight * batch.weight_unit
                    n_done += batch.n_samples
                    callback.block(n_done)
            lower_bound = likelihood / population
            bounds.append(lower_bound)
            callback.iteration(len(bounds), lower_bound, lower_bound - previous)
            reason = stop(bounds, lower_bound - previous if moved else math.inf)
            if reason is None or not reason.converged:
                callback.reached(params, bounds)
        stats = sweep(source, params, self.n_threads)
        # a mean log-likelihood, as those of the epochs, unless the objective is of all samples and has no mean
        final = stats.log_likelihood / source.total_weight
        if self.of.may_empty:
            final = self.of.on(source).bound(stats, params, source.total_weight)
        return FitResult(params, reason.converged, len(bounds), final, bounds, len(bounds) + 1)


class _Averaging:
    """The step that maximises over averages of the statistics, which it moves by those of a batch."""

    compiled_reg_covar, may_empty = None, False

    def __init__(self, online: Online, batch: Source, averages: Averages) -> None:
        self.online, self.batch, self.averages = online, batch, averages
        self.structure = online.of.structure

    def on(self, source: Weighted) -> _Averaging:
        return self

    def bound(self, stats: Stats, params: Params, total_weight: float) -> float:
        # a prior counts once for all batches, not in the mean of each
        return stats.log_likelihood / total_weight

    def maximise(self, stats: Stats, previous: Params | None = None) -> Params:
        online, batch, averages = self.online, self.batch, self.averages
        weight = batch.total_weight * batch.weight_unit
        gamma, remembered = (
            online.gamma(averages, weight, batch.n_samples),
            online.remembered(averages, batch.n_samples),
        )
        moved = blend(averages.stats, stats, batch.total_weight, gamma)
        ready = averages.ready or moved.n_samples >= online.memory
        assert previous is not None
        params = previous
        if ready:
            # scaled to the samples seen: the counts' floor and the message about a collapse are meant for counts of samples
            whole = remembered + weight if online.population is None else online.population
            of = online.of.on(_Units(whole / moved.n_samples))
            params = of.maximise(moved.times(float(moved.n_samples)), previous)
        self.averages = Averages(moved, averages.n_steps + 1, remembered + weight, ready)
        return params

    def expected(self, params: Params) -> Stats:
        return self.online.of.expected(params)


def blend(averages: Stats | None, batch: Stats, weight: float, gamma: float) -> Stats:
    """Return (1 - gamma) averages + gamma batch / weight, about the origin of the batch; None as averages weighs nothing."""
    if averages is None or gamma == 1.0:
        seen = 0 if averages is None else averages.n_samples
        return replace(batch.times(1.0 / weight), n_samples=seen + batch.n_samples)
    return averages.about(batch.origin).times(1.0 - gamma).merge(batch.times(gamma / weight))


def batches(source: LocalSource, batch_size: int) -> Generator[LocalSource, None, None]:
    """Yield batches of `batch_size` samples, the last one shorter, without those in which no sample has a weight."""
    size = min(batch_size, source.n_samples)
    # many small batches are read at once: each piece of a file costs a mapping, or a hand-over from the reading thread
    rows = size * max(1, LIMITS.batches_read // (size * source.n_features * source.dtype.itemsize))
    with closing(source.blocks(rows)) as blocks:
        for block in blocks:
            for start in range(0, len(block.X), size):
                chosen = slice(start, start + size)
                X, weights, noise = block.X[chosen], block.weights[chosen], rows_of(block.noise, chosen)
                if weights.size == 0:
                    yield attached(ArraySource(X, None, source.weight_unit, incomplete=source.incomplete), noise)
                elif weights.any():
                    of_each = weights.astype(np.float64) * source.weight_unit
                    yield attached(ArraySource.weighted(X, of_each, incomplete=source.incomplete), noise)

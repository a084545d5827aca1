"""The EM loop: sweep, M-step, until it stops."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy
from functools import partial

from fastgmm._limits import LIMITS
from fastgmm._names import ALGORITHMS
from fastgmm.data.distinct import gathered
from fastgmm.data.source import Source
from fastgmm.em.accelerate import Accelerated, Accelerator
from fastgmm.em.callbacks import SILENT, Callback
from fastgmm.em.compiled_loop import CompiledLoop
from fastgmm.em.pruned import PrunedSweeps
from fastgmm.em.result import FitResult
from fastgmm.em.step import Step, check_likelihood
from fastgmm.em.stop import Reason, Stop
from fastgmm.em.sweep import precise, sweep
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats


def _dense(source: Source, params: Params, n_threads: int | None, callback: Callback) -> Callable[[Params], Stats]:
    return partial(sweep, source, n_threads=n_threads, callback=callback)


def _pruned(source: Source, params: Params, n_threads: int | None, callback: Callback) -> Callable[[Params], Stats]:
    sweeps = PrunedSweeps.of(source, params, n_threads)
    return _dense(source, params, n_threads, callback) if sweeps is None else partial(sweeps.sweep, callback=callback)


#: How a run makes its sweeps, by the name of the algorithm: functions of the source, the first parameters, threads and callback.
SWEEPS: dict[str, Callable[..., Callable[[Params], Stats]]] = dict(zip(ALGORITHMS, (_dense, _pruned), strict=True))

#: Equal samples are gathered for runs of this many iterations, at most: it takes a few passes' time.
_MANY = 10


class _Falls(ValueError):
    """The bound falls at a proposal."""


def run(
    source: Source,
    params: Params,
    step: Step,
    stop: Stop,
    *,
    n_threads: int | None = None,
    lower_bound: float = -math.inf,
    done: Sequence[float] = (),
    callback: Callback = SILENT,
    compiled_loop: bool = True,
    accelerator: Accelerator | None = None,
    accelerated: Accelerated | None = None,
    algorithm: str = "dense",
) -> FitResult:
    """Iterate EM from `params` until `stop` gives a reason.

    Parameters
    ----------
    source, params, step, stop
        Samples, first parameters, what an iteration maximises, and when a run ends.
    n_threads : int, optional
        Threads of a sweep.
    lower_bound : float
        Bound that the first one is compared with.
    done : sequence of float
        Bounds of earlier iterations, if a run resumes from what `callback.reached` was given: each iteration has the bits
        that it would have had.
    callback : Callback
    compiled_loop : bool
        Whether small data take the compiled twin of this loop, if it knows the step.
    accelerator : Accelerator, optional
        Proposes statistics between sweep and M-step, in place of the compiled loop. The run ends when a plain step of EM
        changes the bound by less than the tolerance, never by the change that a proposal brought.
    accelerated : Accelerated, optional
        What an accelerated run resumes from, as `callback.reached` was given it; in place of `accelerator`.
    algorithm : {'dense', 'pruned'}
        How sweeps are made, if there is no compiled loop (`SWEEPS`).

    Raises
    ------
    ValueError
        If a component collapses or the likelihood is not finite.
    """
    source = precise(source, step.structure.layout, len(params.weights))
    if stop.max_iter >= _MANY:
        source = gathered(source, n_threads)
    step = step.on(source)
    complete = not source.incomplete and source.noise_columns is None
    bounds = list(done)
    lower_bound = bounds[-1] if bounds else lower_bound
    reason: Reason | None
    compiled_loop = compiled_loop and accelerator is None and accelerated is None and len(bounds) < stop.max_iter
    if compiled_loop and LIMITS.compiled_loop and CompiledLoop.suits(source, params, step, n_threads):
        # asks the rules itself, after every few iterations from the first one on, wherever the run is resumed
        loop = CompiledLoop(source, params, step, stop, n_threads, callback)
        params, reason = loop.run(lower_bound, bounds)
        lower_bound = bounds[-1] if bounds else lower_bound
    else:
        # first of all, so that a run that resumes from a checkpoint comes to the same decision
        reason = stop(bounds)
    sweep_of = None if reason is not None else SWEEPS[algorithm](source, params, n_threads, callback)
    plain, n_passes = params, len(bounds)
    if accelerated is not None:
        n_passes, accelerator = accelerated.n_passes, copy(accelerated.accelerator)
        plain = params if accelerated.plain is None else accelerated.plain
    while reason is None:
        assert sweep_of is not None
        stats = sweep_of(params)
        n_passes += 1
        bound = step.bound(stats, params, source.total_weight)
        proposed = params is not plain
        try:
            if proposed and not bound >= lower_bound:  # or not a number
                raise _Falls
            check_likelihood(bound, len(bounds) + 1, params)
            best = step.maximise(stats, params)
        except ValueError:
            if accelerator is None or not proposed:
                raise
            accelerator.rejected()
            params = plain
            continue
        change, lower_bound = bound - lower_bound, bound
        params = plain = best
        bounds.append(lower_bound)
        callback.iteration(len(bounds), lower_bound, change)
        reason = stop(bounds, math.inf if proposed else change, plain, source.dtype, complete=complete)
        now = None
        if accelerator is not None and reason is None:
            params = accelerator.propose(stats, plain, step)
            if proposed and change < stop.tol and params is not plain:
                accelerator.rejected()  # a plain step says whether EM has converged
                params = plain
        if accelerator is not None:
            now = Accelerated(None if params is plain else plain, n_passes, copy(accelerator))
        if reason is None or not reason.converged:
            callback.reached(params, bounds, now)
            reason = reason or stop.by_rules(bounds)  # a callback may ask to stop
    return result_of(plain, bounds, lower_bound, reason, stop, n_passes)


def result_of(
    params: Params, bounds: list[float], lower_bound: float, reason: Reason, stop: Stop, n_passes: int
) -> FitResult:
    """Return the result of a run that stopped for `reason`."""
    early = "" if reason.converged or len(bounds) >= stop.max_iter else reason.text
    return FitResult(params, reason.converged, len(bounds), lower_bound, bounds, n_passes, early)

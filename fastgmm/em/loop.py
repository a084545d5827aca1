"""The EM loop: sweep, M-step, until it stops."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fastgmm._limits import LIMITS
from fastgmm.data.source import Source
from fastgmm.em.accelerate import Accelerator
from fastgmm.em.callbacks import SILENT, Callback
from fastgmm.em.compiled_loop import CompiledLoop
from fastgmm.em.result import FitResult
from fastgmm.em.step import Step, check_likelihood
from fastgmm.em.stop import Reason, Stop
from fastgmm.em.sweep import precise, sweep
from fastgmm.model.params import Params


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
        Proposes statistics between sweep and M-step; then there is no compiled loop.

    Raises
    ------
    ValueError
        If a component collapses or the likelihood is not finite.
    """
    source = precise(source, step.structure.layout, len(params.weights))
    bounds = list(done)
    lower_bound = bounds[-1] if bounds else lower_bound
    reason: Reason | None
    compiled_loop = compiled_loop and accelerator is None and len(bounds) < stop.max_iter
    if compiled_loop and LIMITS.compiled_loop and CompiledLoop.suits(source, params, step, n_threads):
        # asks the rules itself, after every few iterations from the first one on, wherever the run is resumed
        loop = CompiledLoop(source, params, step, stop, n_threads, callback)
        params, reason = loop.run(lower_bound, bounds)
        lower_bound = bounds[-1] if bounds else lower_bound
    else:
        # first of all, so that a run that resumes from a checkpoint comes to the same decision
        reason = stop(bounds)
    fallback = params
    while reason is None:
        stats = sweep(source, params, n_threads, callback=callback)
        bound = step.bound(stats, params, source.total_weight)
        if accelerator is not None and bound < lower_bound and params is not fallback:
            accelerator.rejected()
            params = fallback
            continue
        change, lower_bound = bound - lower_bound, bound
        check_likelihood(lower_bound, len(bounds) + 1, params)
        fallback = step.maximise(stats, params)
        params = fallback if accelerator is None else accelerator.propose(stats, fallback, step)
        bounds.append(lower_bound)
        callback.iteration(len(bounds), lower_bound, change)
        reason = stop(bounds, change, fallback, source.dtype)
        if reason is None or not reason.converged:
            callback.reached(params, bounds)
    return result_of(fallback, bounds, lower_bound, reason, stop)


def result_of(params: Params, bounds: list[float], lower_bound: float, reason: Reason, stop: Stop) -> FitResult:
    """Return the result of a run that stopped for `reason`."""
    early = "" if reason.converged or len(bounds) >= stop.max_iter else reason.text
    return FitResult(params, reason.converged, len(bounds), lower_bound, bounds, early)

"""One call of `fit`: EM from several starts, the best of them, Ctrl-C, and resuming from a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from fastgmm.data.source import Source
from fastgmm.em.accelerate import ACCELERATORS, Accelerated, Accelerator
from fastgmm.em.callbacks import SILENT, Callback, combine
from fastgmm.em.loop import run
from fastgmm.em.online import Averages, Online, averages_of
from fastgmm.em.result import FitResult
from fastgmm.em.step import Step
from fastgmm.em.stop import Stop
from fastgmm.fitting.checkpoint import Checkpoint, FitState, RngState
from fastgmm.fitting.pruning import CannotCatchUp, fingerprint, found_once
from fastgmm.fitting.resets import Resets, run_with_resets, started
from fastgmm.fitting.screening import TIMES, Screening, sample_size, screened
from fastgmm.init.starts import Start
from fastgmm.model.params import Params


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, and the best fit until then."""

    def __init__(self, message: str, fit: FitResult) -> None:
        super().__init__(message)
        self.fit = fit


@dataclass(frozen=True)
class FitPlan:
    """The task of a call of `fit`.

    start, n_components, n_starts : how first parameters are found, of how many components, how many times
    earlier : parameters and bound of an earlier fit to continue from, in place of any start
    batches : online steps and the size of their batches, in place of EM
    acceleration : name of an accelerator (`em.accelerate`), if there is one
    algorithm : how sweeps are made (`em.loop.SWEEPS`)
    resets : how often components of a start may be started anew
    compiled_loop : whether small data may take the compiled loop, which says little about single iterations
    """

    source: Source
    step: Step
    stop: Stop
    start: Start
    n_components: int
    n_starts: int
    random_state: np.random.RandomState
    n_threads: int | None = None
    earlier: tuple[Params, float] | None = None
    batches: tuple[Online, int] | None = None
    acceleration: str | None = None
    algorithm: str = "dense"
    resets: int = 0
    compiled_loop: bool = True

    def accelerator(self) -> Accelerator | None:
        """Return a new accelerator for a run."""
        return None if self.acceleration is None else ACCELERATORS[self.acceleration]()


class StateCallback(Callback):
    """Callback that keeps the fit state, and writes the checkpoint if that is due."""

    def __init__(self, fit: Fit) -> None:
        self.fit = fit

    def reached(self, params: Params, lower_bounds: list[float], accelerated: Accelerated | None = None) -> None:
        fit = self.fit
        at = fit.at
        n_iter, draws = len(lower_bounds), fit.drawn or at.draws
        # one assignment, so that Ctrl-C finds the one or the other
        fit.at = replace(at, params=params, bounds=lower_bounds, n_iter=n_iter, accelerated=accelerated, draws=draws)
        if fit.checkpoint is not None:
            fit.checkpoint.write_if_due(fit.at)

    def reset(self, params: Params, resets: Resets) -> None:
        """Keep parameters with components that were started anew."""
        fit = self.fit
        so_far = (resets.count, resets.n_passes)
        fit.at = replace(fit.at, params=params, bounds=(), n_iter=0, accelerated=None, resets=so_far)


class Fit:
    """One call of `fit`: EM from each start in turn, on a source that was checked.

    callback : notified of every event; checkpoint : read at the beginning and written during the fit
    """

    def __init__(self, plan: FitPlan, callback: Callback = SILENT, checkpoint: Checkpoint | None = None) -> None:
        self.plan, self.callback, self.checkpoint = plan, callback, checkpoint
        self.at = FitState(0, plan.earlier is not None)
        self.drawn: RngState | None = None
        self._random_state = plan.random_state
        self._screened: Screening | None = None
        self._sample: Source | None = None
        self._reasons: list[str] = []
        self.reset_reasons: list[str] = []
        if checkpoint is not None:
            draws = RngState.of(plan.random_state)
            self.at = replace(self.at, first=draws, draws=draws)
            if (found := checkpoint.read(plan.n_starts)) is not None and found.first is not None:
                # a new generator: the one that was passed is not that of the process that was killed
                self.at, self._random_state = found, found.first.generator()

    def best(self) -> FitResult:
        """Run EM from every start that is left; return the run with the highest bound of all.

        Raises Interrupted if Ctrl-C came after the first iteration of all, KeyboardInterrupt if it came before, and ValueError
        if a component collapses.
        """
        plan = self.plan
        try:
            self._screened = self._screening()
            if self._screened is not None:
                self.drawn = self._draws()
            for i in range(self.at.start, self._n_runs):
                self.callback.begin(i, self.at.n_iter)
                params, bound = self._given()
                if params is None:
                    samples, rng = self._samples(), self._random_state
                    params = self._started(samples, rng)
                    self.drawn = self._draws()
                    params = self._begun(params)
                callback = combine(self.callback, StateCallback(self))
                if plan.batches is not None:
                    result = self._by_batches(params, bound, callback)
                elif self._repeats():
                    result = self._repeated(params)
                else:
                    options: dict[str, Any] = {
                        "n_threads": plan.n_threads,
                        "lower_bound": bound,
                        "done": self.at.lower_bounds,
                        "callback": callback,
                        "accelerated": self.at.accelerated,
                        "algorithm": plan.algorithm,
                        "compiled_loop": plan.compiled_loop,
                    }
                    if plan.resets:
                        result = self._with_resets(params, options)
                    else:
                        result = run(
                            plan.source, params, plan.step, self._stop(), accelerator=plan.accelerator(), **options
                        )
                self._ended(i, result)
            assert self.at.best is not None
            return self.at.best
        except KeyboardInterrupt as stop:
            kept = self._kept()
            if kept is None:
                raise
            raise Interrupted(self._told(kept), kept) from stop
        finally:
            self.callback.close()

    @property
    def _n_runs(self) -> int:
        """Return the number of runs of EM on all samples."""
        if self.at.warm:
            return 1
        return self.plan.n_starts if self._screened is None else len(self._screened.params)

    def _screening(self) -> Screening | None:
        """Return the results of several starts on a sample, if there are many more samples.

        A fit that resumes from a checkpoint makes it once more, from the same draws.
        """
        plan = self.plan
        most = sample_size(plan.step.structure, plan.n_components, plan.source.n_features)
        if plan.n_starts == 1 or plan.source.n_samples <= TIMES * most:
            return None
        start = plan.start
        if plan.source.noise_columns is not None:  # a sample comes without its errors
            return None
        if self.at.warm or plan.batches is not None or start.without_data or start.on_all or start.clean is not None:
            return None
        sample = plan.source.for_start(self._random_state).subsample(most, self._random_state, plan.n_components)
        one = partial(self._started, sample, self._random_state)
        return screened(sample, one, plan.n_starts, plan.step, plan.stop, plan.n_threads, plan.accelerator, plan.resets)

    def _given(self) -> tuple[Params | None, float]:
        """Return parameters that are known before the start, if any, and the bound that the first one is compared with."""
        at = self.at
        if at.params is not None:
            return at.params, -np.inf
        if self.plan.earlier is not None and at.warm:
            params, bound = self.plan.earlier
            return self._begun(params), bound
        if self._screened is not None:
            return self._begun(self._screened.params[at.start]), -np.inf
        return None, -np.inf

    def _samples(self) -> Source | None:
        """Return the samples that starts are found from, the same ones for each."""
        plan = self.plan
        if self._sample is None and not plan.start.without_data:
            self._sample = plan.start.source(plan.source, self._random_state)
            if self.at.start > 0 and self.at.draws is not None:
                # resumed from a checkpoint: the draws of the starts that were finished are made
                self._random_state = self.at.draws.generator()
        return self._sample

    def _begun(self, params: Params) -> Params:
        """Return the first parameters of a start, and keep their fingerprint."""
        if self.plan.stop.max_iter == 0:
            params = params.normalised()
        if self.plan.n_starts > 1:
            self.at = replace(self.at, fingerprint=fingerprint(params))
        return params

    def _started(self, samples: Source | None, random_state: np.random.RandomState) -> Params:
        """Return the first parameters of a start."""
        plan = self.plan

        def first(step: Step) -> Params:
            return plan.start.params(samples, step, plan.n_components, random_state, plan.n_threads)

        return started(first, samples, plan.step, random_state) if plan.resets else first(plan.step)

    def _with_resets(self, params: Params, options: dict[str, Any]) -> FitResult:
        """Run EM, and start components anew that collapse."""
        plan = self.plan
        resets, state = Resets(plan.resets, *self.at.resets), StateCallback(self)
        self._reasons = resets.reasons
        return run_with_resets(
            plan.source,
            params,
            plan.step,
            self._stop(),
            resets,
            accelerator=plan.accelerator,
            on_reset=lambda params: state.reset(params, resets),
            **options,
        )

    def _by_batches(self, params: Params, bound: float, callback: Callback) -> FitResult:
        """Run online EM in place of EM."""
        plan = self.plan
        assert plan.batches is not None
        assert plan.source.local is not None
        online, batch_size = plan.batches
        averages = averages_of(params, plan.step) if self.at.warm else Averages()
        return online.run(
            plan.source.local, params, averages, batch_size, plan.stop, lower_bound=bound, callback=callback
        )

    def _repeats(self) -> bool:
        """Return whether the start begins where the best one did, and would come to the same result."""
        at = self.at
        return at.best is not None and not at.lower_bounds and at.fingerprint == at.best_fingerprint

    def _repeated(self, params: Params) -> FitResult:
        """Return the result of a start that repeats the best one, without running it."""
        best = self.at.best
        assert best is not None
        reason = f"begins where start {self.at.best_start} did"
        return FitResult(params, best.converged, 0, best.lower_bound, [], 0, reason)

    def _stop(self) -> Stop:
        """Return when a run stops: early, if it cannot reach the best bound so far.

        The evidence for that rule is from plain EM: the gain of an extrapolation is many times that of the step before it. And
        where components may empty, gains grow again at the end of each: of 16 fits with four starts, 4 lost their winner.
        """
        stop, best = self.plan.stop, self.at.best
        if best is None or self.plan.acceleration is not None or self.plan.step.may_empty:
            return stop
        return replace(stop, rules=(*stop.rules, CannotCatchUp(best.lower_bound, stop.max_iter)))

    def _ended(self, i: int, result: FitResult) -> None:
        """Keep the result of start i, if it is the best so far."""
        self.callback.end(result)
        at, draws = self.at, self.drawn or self.at.draws
        better = at.best is None or result.lower_bound > at.best.lower_bound
        if better:
            self.reset_reasons = self._reasons
        best, number, begun = (result, i, at.fingerprint) if better else (at.best, at.best_start, at.best_fingerprint)
        final_bounds = [*at.final_bounds, result.lower_bound]
        self.at = FitState(
            i + 1,
            at.warm,
            at.first,
            draws,
            best=best,
            best_start=number,
            best_fingerprint=begun,
            final_bounds=final_bounds,
        )
        if self.checkpoint is not None:
            self.checkpoint.write_if_due(self.at)

    def found_once(self) -> str:
        """Return a warning if only one of several starts reached the best bound, else ''."""
        if self._screened is None:
            return found_once(self.at.final_bounds, self.plan.stop.tol)
        return found_once(
            self._screened.final_bounds, self.plan.stop.tol, f" of a sample of {self._screened.n_samples}"
        )

    def _draws(self) -> RngState | None:
        return None if self.checkpoint is None else RngState.of(self._random_state)

    # --- Ctrl-C ---

    def _kept(self) -> FitResult | None:
        """Return the best result so far: of the starts that were finished, or of the running one."""
        best, running = self.at.best, self.at.running
        if best is None or (running is not None and running.lower_bound > best.lower_bound):
            return running
        return best

    def _told(self, kept: FitResult) -> str:
        """Write the checkpoint, if there is one, and say what is kept."""
        at = self.at
        where = f"after {at.n_iter} iteration{'s' * (at.n_iter != 1)}"
        if self._n_runs > 1:
            where = f"in start {min(at.start + 1, self._n_runs)} of {self._n_runs}, {where}"
        what = "the parameters that it had come to"
        if kept is at.best:
            how = "converged" if kept.converged else "did not converge"
            what = f"those of start {at.best_start + 1}, which {how} in {kept.n_iter} iterations"
        return f"the fit was interrupted {where}; the model keeps {what} (lower bound {kept.lower_bound:.6g}). {self._remedy()}"

    def _remedy(self) -> str:
        if self.checkpoint is None:
            return "Fit again with warm_start=True to continue from them"
        try:
            self.checkpoint.write(self.at)
        except OSError as error:
            return f"The checkpoint {self.checkpoint.path} could not be written ({error})"
        return f"Call fit again with checkpoint={self.checkpoint.path!r} to resume exactly where it stopped"

"""EM from several starts: the best of them, Ctrl-C on the way, and going on from a checkpoint."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastgmm.em import driver
from fastgmm.em.monitor import Monitor, together
from fastgmm.em.online import Averages, Online, averages_of
from fastgmm.em.restarts import Best, found_once, mark
from fastgmm.em.result import Fit, Settings
from fastgmm.estimators.checkpoint import Checkpoint, Draws, Position
from fastgmm.init.shortlist import TIMES, Shortlist, sample_size, shortlist
from fastgmm.init.starts import Start
from fastgmm.model.params import Params
from fastgmm.model.structures import Structure
from fastgmm.sources.array import ArraySource, Source
from fastgmm.sources.dask import AnySource, DaskSource


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, and the best fit until then."""

    def __init__(self, message: str, fit: Fit) -> None:
        super().__init__(message)
        self.fit = fit


class Fitting(Monitor):
    """One call of `fit`: EM from each start in turn, on a source that was checked.

    n_starts : how many; earlier : parameters and bound of an earlier fit to go on from, in place of any start
    monitor : told of everything; checkpoint : read at the beginning and written on the way
    batches : steps after batches of so many samples, in place of EM
    """

    def __init__(
        self,
        source: AnySource,
        structure: Structure,
        settings: Settings,
        start: Start,
        random_state: np.random.RandomState,
        n_starts: int,
        *,
        earlier: tuple[Params, float] | None = None,
        monitor: Monitor,
        checkpoint: Checkpoint | None = None,
        batches: tuple[Online, int] | None = None,
    ) -> None:
        self._source, self._structure, self._settings, self._start = source, structure, settings, start
        self._earlier, self._monitor, self._checkpoint, self._batches = earlier, monitor, checkpoint, batches
        self._n_starts, self._random_state = n_starts, random_state
        self._at = Position(0, earlier is not None)
        self._drawn: Draws | None = None
        self._listed: Shortlist | None = None
        self._sample: Source | None = None
        if checkpoint is not None:
            draws = Draws.of(random_state)
            self._at = replace(self._at, first=draws, draws=draws)
            if (found := checkpoint.read(n_starts)) is not None and found.first is not None:
                # a generator of its own: the one that was passed is not that of the process that was killed
                self._at, self._random_state = found, found.first.generator()

    def best(self) -> Fit:
        """Run EM from every start that is left; the fit with the highest bound of all.

        Raises Interrupted where Ctrl-C came after the first iteration of all, KeyboardInterrupt where it came before, and
        ValueError where a component collapses.
        """
        try:
            return self._best()
        except KeyboardInterrupt as stop:
            kept = self._kept()
            if kept is None:
                raise
            raise Interrupted(self._told(kept), kept) from stop
        finally:
            self._monitor.close()

    def _best(self) -> Fit:
        self._listed = self._shortlist()
        if self._listed is not None:
            self._drawn = self._draws()
        for i in range(self._at.start, self._n_runs):
            self._monitor.begin(i, self._at.n_iter)
            fit = self._run()
            self._monitor.end(fit)
            at, draws = self._at, self._drawn or self._at.draws
            better = at.best is None or fit.lower_bound > at.best.lower_bound
            best, number, begun = (fit, i, at.mark) if better else (at.best, at.best_start, at.best_mark)
            ends = [*at.ends, fit.lower_bound]
            self._at = Position(
                i + 1, at.warm, at.first, draws, best=best, best_start=number, best_mark=begun, ends=ends
            )
            if self._checkpoint is not None:
                self._checkpoint.write_if_due(self._at)
        assert self._at.best is not None
        return self._at.best

    @property
    def _n_runs(self) -> int:
        """Starts of EM on all samples."""
        if self._at.warm:
            return 1
        return self._n_starts if self._listed is None else len(self._listed.params)

    def _shortlist(self) -> Shortlist | None:
        """What several starts come to on a sample, where there are many more samples.

        Gone on from a checkpoint it is made once more, from the same draws.
        """
        k, d = self._start.n_components, self._source.n_features
        most = sample_size(self._structure, k, d)
        few = self._n_starts == 1 or self._source.n_samples <= TIMES * most
        if few or self._at.warm or self._batches is not None or self._start.supplied.complete:
            return None
        source = self._start.source(self._source, self._random_state)
        assert isinstance(source, ArraySource)
        sample = source.subsample(most, self._random_state, k)
        return shortlist(sample, self._start, self._structure, self._settings, self._random_state, self._n_starts)

    def _run(self) -> Fit:
        """The start that is next, or the rest of the one that is running."""
        done, bound, params = self._at.lower_bounds, -np.inf, self._at.params
        if params is None and self._earlier is not None and self._at.warm:
            params, bound = self._earlier
        elif params is None:
            if self._listed is not None:
                params = self._listed.params[self._at.start]
            else:
                params = self.first_params()
                self._drawn = self._draws()
            if self._settings.max_iter == 0:  # the weights of points are 1 / n each, and no M-step comes
                params = replace(params, weights=params.weights / params.weights.sum())
            if self._n_starts > 1:
                self._at = replace(self._at, mark=mark(params))
        best = None if self._batches is not None else self._at.best
        if best is not None and not done and self._at.mark == self._at.best_mark:
            reason = f"begins where start {self._at.best_start} did"
            return Fit(params, best.converged, 0, best.lower_bound, [], reason)
        if self._batches is not None:
            return self._run_batches(*self._batches, params, bound)
        return driver.run(
            self._source,
            params,
            self._structure,
            self._settings,
            lower_bound=bound,
            monitor=together(self._monitor, self),
            done=done,
            rival=None if best is None else Best(best.lower_bound, self._settings.max_iter),
        )

    def _run_batches(self, steps: Online, batch_size: int, params: Params, bound: float) -> Fit:
        """Online EM over epochs of batches."""
        assert not isinstance(self._source, DaskSource)
        averages = averages_of(params, self._settings.reg_covar) if self._at.warm else Averages()
        monitor = together(self._monitor, self)
        return steps.run(self._source, params, averages, batch_size, lower_bound=bound, monitor=monitor)

    def found_once(self) -> str:
        """What to tell where a single one of several starts reached the best bound; else ''."""
        if self._listed is None:
            return found_once(self._at.ends, self._settings.tol)
        return found_once(self._listed.ends, self._settings.tol, f" of a sample of {self._listed.n_samples}")

    def first_params(self) -> Params:
        """Parameters of the next start, drawn or supplied."""
        if not self._start.supplied.complete and self._sample is None:
            self._sample = self._start.source(self._source, self._random_state)
            if self._at.start > 0 and self._at.draws is not None:
                # gone on from a checkpoint: the draws of the starts that were finished are made
                self._random_state = self._at.draws.generator()
        return self._start.params(self._sample, self._structure, self._random_state)

    def _draws(self) -> Draws | None:
        return None if self._checkpoint is None else Draws.of(self._random_state)

    def reached(self, params: Params, lower_bounds: list[float]) -> None:
        """EM has done an iteration: that is where the fit is."""
        at = self._at
        # one assignment, so that Ctrl-C finds the one or the other
        self._at = replace(
            at, params=params, bounds=lower_bounds, n_iter=len(lower_bounds), draws=self._drawn or at.draws
        )
        if self._checkpoint is not None:
            self._checkpoint.write_if_due(self._at)

    # --- Ctrl-C ---

    def _kept(self) -> Fit | None:
        """The best so far: of the starts that were finished, or of the running one."""
        best, running = self._at.best, self._at.running
        if best is None or (running is not None and running.lower_bound > best.lower_bound):
            return running
        return best

    def _told(self, kept: Fit) -> str:
        """Write the checkpoint, if there is one, and say what is kept."""
        at = self._at
        where = f"after {at.n_iter} iteration{'s' * (at.n_iter != 1)}"
        if self._n_runs > 1:
            where = f"in start {min(at.start + 1, self._n_runs)} of {self._n_runs}, {where}"
        what = "the parameters that it had come to"
        if kept is at.best:
            how = "converged" if kept.converged else "did not converge"
            what = f"those of start {at.best_start + 1}, which {how} in {kept.n_iter} iterations"
        return f"the fit was interrupted {where}; the model keeps {what} (lower bound {kept.lower_bound:.6g}). {self._remedy()}"

    def _remedy(self) -> str:
        if self._checkpoint is None:
            return "With warm_start=True another fit goes on from them"
        try:
            self._checkpoint.write(self._at)
        except OSError as error:
            return f"The checkpoint {self._checkpoint.path} could not be written ({error})"
        return f"Another fit with checkpoint={self._checkpoint.path!r} goes on as if nothing had been"

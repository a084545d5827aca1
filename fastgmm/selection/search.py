"""EM over a grid of sizes and structures; each cell begins from earlier results."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.em import evaluate, sweep
from fastgmm.em.accelerate import ACCELERATORS
from fastgmm.em.lanes import SINGLE_LANE
from fastgmm.em.loop import run
from fastgmm.em.result import FitResult
from fastgmm.em.step import ROUNDING
from fastgmm.em.stop import Stop
from fastgmm.fitting.degenerate import Reason, are_flat, holds, least_samples
from fastgmm.model.cholesky import NotPositiveDefinite
from fastgmm.model.layouts import FULL
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats
from fastgmm.model.structures import STRUCTURES, Structure, maximise
from fastgmm.selection.cells import Cell, Cells, of_error
from fastgmm.selection.checkpoint import SearchCheckpoint
from fastgmm.selection.starts import Starts

Float = NDArray[np.float64]

#: Iterations after which the candidates of a cell are compared, and how many of them are run to the end. Mean gap in BIC to the
#: best known of each of the 9 x 14 cells, for Old Faithful and iris: 5.6 and 8.6 without cuts, 4.0 and 3.4 without structures
#: within, 8.5 and 12.5 from starts alone. With all of them: 2.2 and 2.2 after 5 iterations with one finalist, 1.2 and 1.1 after
#: 10 with three, 0.8 and 0.6 if all are run to the end, in twice the time. Cutting only the two largest made it 4.0 and 4.7.
_TRIAL, _FINALISTS = 10, 3
#: More finalists with few components, which cost little: up to this many components in all. On five clusters in 8 dimensions,
#: EEE with 2 components missed the best known by 15 000 with three finalists, and found it with six.
_FEW = 12
#: Minimum number of cuts of a mixture, as far as there are axes. Cuts across the first axis alone left mean gaps of 0.8 on iris,
#: 1.6 and 5.7 on two mixtures of 1500 samples; 8 cuts 0.2, 0.0 and 0.1, in the same time. Adding a k-means start changed nothing.
_CUTS = 8
#: If a normal distribution is cut at its mean, the halves have means +- sqrt(2 / pi) and the variance 1 - 2 / pi.
_HALF = 2.0 / math.pi
#: Errors that EM raises if a component collapses, and LAPACK if a matrix does.
_FAILS = (ValueError, np.linalg.LinAlgError)


class Grid(Cells):
    """The cells of all `sizes` and `structures`, fitted to a source: sizes ascending, simpler structures first.

    A cell begins from several candidates; the best after `_TRIAL` iterations are run to the end:

    - the statistics of a start, shared by all structures of a size (`starts`);
    - the fits of the structures that this one contains, so that it is never less likely than these;
    - the fit of one component less, with each of its components in turn cut in two;
    - finally, for all structures of a size, the responsibilities of the most likely one.

    If a grid of a sample has the cell, its fit is the first candidate, and the only one unless it fails or is less likely
    than a structure within. If a candidate ends with a component on a few nearly equal samples, the next one counts.
    A cell that cannot be valid for any division of the samples among components is refused before it runs. `told` is a
    callback, invoked before each cell; messages call the features by `names`.
    """

    def __init__(
        self,
        *arguments: Any,
        starts: Starts,
        sample: Cells | None = None,
        checkpoint: SearchCheckpoint | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._starts, self._sample, self._checkpoint = starts, sample, checkpoint

    def run(self) -> dict[tuple[int, str], Cell]:
        """Fit all cells."""
        if self._checkpoint is not None:
            self.cells |= self._checkpoint.cells()
        try:
            for k in self._sizes:
                for structure in self._structures:
                    self._told(k, structure)
                    if (k, structure.name) not in self.cells:
                        self.cells[k, structure.name] = self._cell(k, structure)
                        if self._checkpoint is not None:
                            self._checkpoint.store_cells(self.cells)
        except KeyboardInterrupt:
            self.interrupted = True
            if self._checkpoint is not None:
                self._checkpoint.store_cells(self.cells, now=True)
        return self.cells

    # --- one cell ---

    def _cell(self, k: int, structure: Structure) -> Cell:
        if reason := self._impossible(k, structure):
            return Cell(reason=reason)
        twin = self.cells.get((k, self._twin(structure).name))
        if k == 1 and twin is not None and twin.fit is not None:
            params = twin.fit.params.in_layout(FULL).in_layout(structure.layout)
            return replace(twin, fit=replace(twin.fit, params=params))
        within = self._contained(k, structure)
        floor = self._floor(within)
        sampled = None if self._sample is None else self._sample.fit(k, structure)
        cell = Cell()
        if sampled is not None:
            cell = self._best([partial(sampled.params.in_layout, structure.layout)], structure, floor)
        if cell.fit is None or cell.log_likelihood < floor:
            rest = self._best(self._candidates(k, structure, within, anew=cell.fit is None), structure, floor)
            cell = rest if rest.log_likelihood >= cell.log_likelihood else cell
        return cell

    def _best(self, candidates: Iterable[Callable[[], Params]], structure: Structure, floor: float) -> Cell:
        """Run the best candidates after a few iterations to the end, and more if these stay below `floor`; return the best."""
        trials: list[FitResult] = []
        ended: list[Cell] = []
        reasons: list[Reason] = []
        for first in candidates:
            try:
                trials.append(self._em(first(), structure, _TRIAL))
            except _FAILS as error:
                reasons.append(of_error(error))
        for trial in sorted(trials, key=lambda fit: -fit.lower_bound):
            finalists = max(_FINALISTS, _FEW // len(trial.params.weights))
            if len(ended) >= finalists and max(cell.log_likelihood for cell in ended) >= floor:
                break
            cell = self._ended(trial, structure)
            if cell.reason is None:
                ended.append(cell)
            else:
                reasons.append(cell.reason)
        if ended:
            return max(ended, key=lambda cell: cell.log_likelihood)
        return Cell(reason=reasons[0] if reasons else Reason("there is nothing to begin from"))

    def _ended(self, trial: FitResult, structure: Structure) -> Cell:
        """Run a trial to the end."""
        fit = trial
        try:
            if not trial.converged and trial.n_iter < self._settings.max_iter:
                fit = self._em(trial.params, structure, self._settings.max_iter, trial.lower_bounds)
        except _FAILS as error:
            return Cell(reason=of_error(error))
        if reason := self._spurious(fit.params, structure):
            return Cell(reason=reason)
        sums = evaluate.classified(self._source, fit.params, self._settings.n_threads)
        return (
            Cell(fit, sums)
            if math.isfinite(sums.log_likelihood)
            else Cell(reason=Reason("the log-likelihood is not finite"))
        )

    def _contained(self, k: int, structure: Structure) -> list[Cell]:
        """Return the cells of the richest structures that this one contains, among those with a fit of this size."""
        found = [
            other
            for other in self._structures
            if other is not structure and structure.contains(other) and self.fit(k, other) is not None
        ]
        richest = [one for one in found if not any(other is not one and other.contains(one) for other in found)]
        return [self.cells[k, one.name] for one in richest]

    def _floor(self, within: list[Cell]) -> float:
        """Return the log-likelihood that a structure containing those of these cells reaches; with a prior it may be lower."""
        return -math.inf if self._settings.prior else max((cell.log_likelihood for cell in within), default=-math.inf)

    def _candidates(
        self, k: int, structure: Structure, within: list[Cell], *, anew: bool
    ) -> Iterator[Callable[[], Params]]:
        """Yield functions for initial parameters: from the structures within, and `anew` from the starts and by cuts."""
        if anew:
            for i in range(self._starts.n_init if k > 1 else 1):
                yield partial(self._started, k, i, structure)
        if k == 1 and anew:
            return  # there is one maximum
        for cell in within:
            assert cell.fit is not None
            yield partial(cell.fit.params.in_layout, structure.layout)
        smaller = self.fit(k - 1, structure)
        if anew and smaller is not None:
            for params in self._cut(smaller.params):
                yield partial(self._halved, params, structure)

    def _started(self, k: int, i: int, structure: Structure) -> Params:
        return self._maximised(self._starts(k, i), structure)

    def _halved(self, params: Params, structure: Structure) -> Params:
        return self._maximised(self._swept(params), structure)

    def _maximised(self, stats: Stats, structure: Structure) -> Params:
        step = self._settings.step(structure, len(stats.counts), self._source)
        return step.maximise(stats.in_layout(structure.layout))

    def _swept(self, params: Params) -> Stats:
        return sweep.sweep(self._source, params, self._settings.n_threads)

    def _cut(self, params: Params) -> Iterator[Params]:
        """Yield mixtures of one component more: each component in turn is cut in two, across one of its principal axes.

        With few components each is cut across several axes, `_CUTS` in all: clusters may differ in another direction than
        that of the largest variance.
        """
        params = params.in_layout(FULL)
        weights, means, covariances = maximise(STRUCTURES["VVV"], self._swept(params), self._settings.added)
        n_axes = min(max(_CUTS // len(weights), 1), self._source.n_features)
        for j in range(len(weights)):
            values, axes = np.linalg.eigh(covariances[j])
            others = np.arange(len(weights)) != j
            for value, axis in zip(values[: -n_axes - 1 : -1], axes.T[: -n_axes - 1 : -1], strict=True):
                step = axis * math.sqrt(max(value, 0.0) * _HALF)
                half = covariances[j] - np.outer(step, step)
                try:
                    prec_chol = FULL.precision_cholesky(half[None])
                except NotPositiveDefinite:
                    continue
                yield Params(
                    FULL,
                    np.concatenate([params.weights[others], np.full(2, 0.5 * params.weights[j])]),
                    np.concatenate([params.means[others], [means[j] - step, means[j] + step]]),
                    np.concatenate([params.covariances[others], [half, half]]),
                    np.concatenate([params.prec_chol[others], prec_chol, prec_chol]),
                )

    # --- EM ---

    def _em(self, params: Params, structure: Structure, n_iter: int, done: Sequence[float] = ()) -> FitResult:
        settings = self._settings
        step = settings.step(structure, len(params.weights), self._source)
        stop = Stop(settings.tol, min(n_iter, settings.max_iter))
        # trials are compared after as many iterations of plain EM; those that are run to the end may take fewer passes. The same
        # on data elsewhere: not by whether the compiled loop serves, which little data in memory have
        little = structure.basic and self._source.n_samples <= SINGLE_LANE
        accelerator = ACCELERATORS["auto"]() if done and not little else None
        threads = settings.n_threads
        return run(self._source, params, step, stop, n_threads=threads, done=done, accelerator=accelerator)

    def _spurious(self, params: Params, structure: Structure) -> Reason | None:
        """Return why a mixture fits a few samples instead of the data, or None if it fits the data.

        The likelihood has no maximum if a component may sit on samples that are equal: the value that EM reaches there is as
        high as `reg_covar` lets it be (Kiefer & Wolfowitz 1956; Day, Biometrika 56(3), 1969).
        """
        if self._settings.prior is not None:  # no component is without a covariance of its own
            return None
        n, d = self._source.n_samples, self._source.n_features
        least, reg_covar = least_samples(structure, d), self._settings.added
        held = params.weights / params.weights.sum() * n
        scale = np.sqrt(
            np.diagonal(sweep.total(self._source, self._settings.n_threads).scatter) / self._source.total_weight
        )
        scale = np.where(scale > 0, scale, 1.0)
        own, floor = params, 2 * reg_covar
        if least > 1:
            # from its own samples and without reg_covar: a shared volume or shape hides that of a single component
            floor = reg_covar
            weights, means, covariances = maximise(STRUCTURES[params.layout.name], self._swept(params), 0.0)
            own = replace(params, weights=weights, means=means, covariances=covariances)
        variances, scaled = _smallest_variances(own), _smallest_variances(own, scale)
        for j in np.argsort(variances, kind="stable").tolist():
            if held[j] < least:
                what = f"{holds(j, held[j], n)}, and needs {least} for {structure.name!r} with {d} features"
                return Reason(what, held[j])
            if variances[j] <= floor or scaled[j] <= ROUNDING:
                variance = float(variances[j]) - (reg_covar if own is params else 0.0)
                what = holds(j, held[j], n) + are_flat(variance, reg_covar)
                return Reason(what, 1.0, self._lower(variances[j] - (floor - reg_covar), scale))
        return None

    def _lower(self, variance: float, scale: Float) -> str:
        """Return advice if samples do vary in a direction, and only `reg_covar` hides how much.

        Never advise to raise it: a fit needs a variance above it, and equal samples do not have one.
        """
        if variance <= ROUNDING * float(scale.max()) ** 2 or variance > self._settings.added:
            return ""
        return f"lower reg_covar to below {variance:.2g}"


def _smallest_variances(params: Params, scale: Float | None = None) -> Float:
    """Return the smallest variance of each component in any direction, (k,); with features divided by `scale` (d,)."""
    k, d = params.means.shape
    return params.layout.smallest_variances(params.covariances, k, np.ones(d) if scale is None else scale)

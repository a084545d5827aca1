"""The grid on little data: every cell is a race of several starts, compiled as a whole (`kernels.race`)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm import _threads
from fastgmm._limits import LIMITS
from fastgmm.data.source import ArraySource
from fastgmm.em.compiled_loop import letters_of
from fastgmm.em.evaluate import Classified
from fastgmm.em.result import FitResult
from fastgmm.em.sweep import TotalScatter, accumulators, total
from fastgmm.fitting.degenerate import Rule, rule_of, spurious
from fastgmm.kernels.race import ENDED, SPURIOUS, Field, Groups, Plan, classify, cut, race
from fastgmm.kernels.small import CONVERGED, DOUBTFUL, UNDECIDED, Mixture, Structured, iterate
from fastgmm.model.layouts import FULL
from fastgmm.model.params import Params
from fastgmm.model.structures import COUNT_FLOOR, STRUCTURES, Structure
from fastgmm.selection.cells import Cell, Cells, Reason
from fastgmm.selection.checkpoint import SearchCheckpoint
from fastgmm.selection.found import Found
from fastgmm.selection.starts import Starts

Float = NDArray[np.float64]

#: Iterations after which candidates are compared, first all of them and then the `_KEPT` best, and how many are run to the end.
_FIRST, _SECOND, _KEPT, _ENDED = 3, 10, 3, 1
#: Cuts of a mixture of one component less, as far as there are axes.
_CUTS = 4


class _Place(NamedTuple):
    """Memory for the races of a size: arrays for all candidates that there may be, and scratch of the compiled loop."""

    candidates: Mixture
    field: Field
    packed: tuple
    out: tuple
    most: int


class _Kind(NamedTuple):
    """Common settings of the races of a structure: its rule, the constants of its M-steps, and the plan without its numbers."""

    rule: Rule
    constants: Structured
    plan: Plan


class Races(Cells):
    """The cells of a source that is an array of some thousand samples at most, and may stand for `stands_for` samples.

    A cell is left out if the two sizes below have no valid fit of its structure. It begins from several
    candidates; those that are best after a few iterations are run to the end:

    - the groups of a start, shared by all structures of a size (`starts`), of which the first is run to the end in any case;
    - the fits of the structures that this one contains, so that it is never less likely than these;
    - the fit of one component less, with each of its components in turn cut in two;
    - finally, for all structures of a size, the most likely one of them.

    If a candidate ends as a spurious mixture (`fitting.degenerate`), the next one counts.
    """

    def __init__(
        self, *arguments: Any, stands_for: int | None = None, checkpoint: SearchCheckpoint | None = None, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._checkpoint = checkpoint
        self._stands_for = self._source.n_samples if stands_for is None else stands_for

    def run(self, starts: Starts) -> dict[tuple[int, str], Cell]:
        """Fit all cells."""
        source = self._source
        assert isinstance(source, ArraySource)
        self._doubles = source.in_double()
        self._white, self._scale = _spaces(
            total(source, self._settings.n_threads), source.total_weight, bool(self._collinear)
        )
        self._colour = np.linalg.inv(self._white)
        self._variance = float(1.0 / np.diagonal(self._scale).max() ** 2)
        self._found: dict[tuple[int, str], Found] = {}
        self._first: dict[tuple[int, str], Found] = {}  # before what structures of a size share, for the next size
        self._kinds = {one.name: self._kind_of(one) for one in self._structures}
        k, unit = self._sizes[-1], np.tile(np.eye(source.n_features), (self._sizes[-1], 1, 1))
        self._packed = Params(FULL, np.full(k, 1.0 / k), np.zeros((k, source.n_features)), unit, unit).packed(
            np.float64
        )
        self._twins = {one.name: self._twin(one).name for one in self._structures}
        self._left = False
        self._whole: set[int] = set()
        self._refused: dict[tuple[int, str], Reason] = {}
        self._inside = {
            one.name: [other.name for other in self._structures if other is not one and one.contains(other)]
            for one in self._structures
        }
        self._before: dict[tuple[int, str], Event] = {
            (k, one.name): Event() for k in self._sizes for one in self._structures
        }
        sizes = self._restored()
        for k in sizes:
            if k <= self._source.n_samples:
                starts.groups(k)  # of one random state, in order
        try:
            if sizes:
                self._run_size(sizes[0], starts)  # which compiles, in this thread
            n_threads = min(_threads.effective_threads(self._settings.n_threads), len(sizes))
            if n_threads <= 1:
                for k in sizes[1:]:
                    self._run_size(k, starts)
            else:
                self._run_sizes(sizes[1:], starts, n_threads)
        except KeyboardInterrupt:
            self.interrupted = True
        self._store(now=True)
        for k, name in self._found:  # of sizes that were not finished
            if (k, name) not in self.cells:
                self.cells[k, name] = self._cell(k, STRUCTURES[name], self._place(k, 0))
        return self.cells

    def _restored(self) -> list[int]:
        """Take complete sizes from the checkpoint; return the other sizes."""
        if self._checkpoint is None:
            return list(self._sizes)
        first, found, refused = self._checkpoint.found()
        names = [one.name for one in self._structures]
        done = [k for k in self._sizes if all((k, name) in found or (k, name) in refused for name in names)]
        self._first |= {key: value for key, value in first.items() if key[0] in done}
        self._found |= {key: value for key, value in found.items() if key[0] in done}
        self._refused |= {key: reason for key, reason in refused.items() if key[0] in done}
        self.cells |= {key: Cell(reason=reason) for key, reason in self._refused.items()}
        for k in done:
            for structure in self._structures:
                self._before[k, structure.name].set()
            place = self._place(k, 0)
            self._finish(k, place)
        return [k for k in self._sizes if k not in done]

    def _finish(self, k: int, place: _Place) -> None:
        for structure in self._structures:
            if (k, structure.name) in self._found:
                self.cells[k, structure.name] = self._cell(k, structure, place)
        self._whole.add(k)

    def _store(self, *, now: bool = False) -> None:
        """Write the sizes that are complete."""
        if self._checkpoint is not None:
            first, found, cells = dict(self._first), dict(self._found), dict(self.cells)
            refused = {
                key: cell.reason for key, cell in cells.items() if cell.reason is not None and key[0] in self._whole
            }
            self._checkpoint.store_found(
                {key: value for key, value in first.items() if key[0] in self._whole},
                {key: value for key, value in found.items() if key[0] in self._whole},
                refused,
                now=now,
            )

    def _run_sizes(self, sizes: Sequence[int], starts: Starts, n_threads: int) -> None:
        """Run sizes side by side: each waits for cells of the size below, structure by structure."""
        with ThreadPoolExecutor(n_threads) as pool:
            running = [pool.submit(self._run_size, k, starts) for k in sizes]
            try:
                for size in running:
                    size.result()
            finally:
                self._left = True
                for size in running:
                    size.cancel()
                for event in self._before.values():
                    event.set()

    def _run_size(self, k: int, starts: Starts) -> None:
        place = self._place(k, starts.n_init)
        below = self._sizes[self._sizes.index(k) - 1] if k > self._sizes[0] else None
        for structure in self._structures:
            if below is not None:
                self._before[below, structure.name].wait()
            if self._left:
                return
            self._told(k, structure)
            if reason := self._impossible(k, structure) or self._hopeless(k, structure):
                self.cells[k, structure.name] = Cell(reason=reason)
            else:
                self._run_cell(k, structure, place, starts.groups(k))
            self._before[k, structure.name].set()
        if k > 1:
            self._share(k, place)
        self._finish(k, place)
        self._store()

    def _hopeless(self, k: int, structure: Structure) -> Reason | None:
        """Return why a cell is unlikely to have a valid fit, or None: those of one and of two components less have none.

        Of 415 such cells of 49 real tables 5 had a valid fit, and none was the best.
        """
        below = [size for size in (k - 2, k - 1) if size in self._sizes]
        if len(below) < 2 or any((size, structure.name) in self._first for size in below):
            return None
        return Reason(
            f"{k - 2} and {k - 1} components of type {structure.name!r} have no valid fit, so that {k} will have none"
        )

    # --- one cell ---

    def _run_cell(self, k: int, structure: Structure, place: _Place, groups: Groups) -> None:
        key = k, structure.name
        twin = k, self._twins[structure.name]
        if k == 1 and twin in self._found:
            self._found[key] = self._first[key] = self._found[twin]
            return
        within = self._contained(k, structure)
        n = n_groups = len(groups.counts)
        for found in within:
            _put(found.mixture, place.candidates, n)
            n += 1
        smaller = self._first.get((k - 1, structure.name))
        if smaller is not None:
            halves = Mixture(*(array[n:] for array in place.candidates))
            n += cut(
                smaller.mixture, smaller.own, self._white, self._colour, _axes(k - 1, self._source.n_features), halves
            )
        winner, reason = self._race(structure, place, groups, n, sure=min(1, n_groups))
        if winner is not None:
            self._found[key] = self._first[key] = winner
        else:
            self.cells[key] = Cell(reason=reason)

    def _race(
        self, structure: Structure, place: _Place, groups: Groups, n: int, *, sure: int, beat: float = -np.inf
    ) -> tuple[Found | None, Reason | None]:
        source, settings = self._doubles, self._settings
        candidates, field, most = place.candidates, place.field, min(settings.max_iter, place.most)
        rule, constants, plan = self._kinds[structure.name]
        plan = plan._replace(n=n, first=min(_FIRST, most), second=min(_SECOND, most), last=most, sure=sure, beat=beat)
        race(source.samples, source.sample_weights, place.packed, groups, candidates, constants, place.out, plan, field)
        done, states = field.done[:n].tolist(), field.states[:n].tolist()
        ended = [a for a, rounds in enumerate(field.rounds[:n].tolist()) if rounds == ENDED and states[a] in _GOOD]
        if ended:
            a = max(ended, key=lambda a: (field.bounds[a, done[a] - 1], -a))
            found = Found(
                Mixture(*(array[a].copy() for array in candidates)),
                field.own[a].copy(),
                field.bounds[a, : done[a]].copy(),
                states[a] != UNDECIDED,
            )
            if not found.converged and len(found.bounds) < settings.max_iter:
                self._continue(found, constants, place)
            return found, None
        a = states.index(SPURIOUS) if SPURIOUS in states else 0
        return None, spurious(
            structure,
            source.n_features,
            field.held[a],
            field.thin[a],
            rule,
            self._stands_for,
            self._variance,
            settings.added,
        )

    def _kind_of(self, structure: Structure) -> _Kind:
        source, settings = self._doubles, self._settings
        rule = rule_of(structure, source.n_features, settings.reg_covar)
        n, tol, letters = source.total_weight, settings.tol, letters_of(structure)
        white = self._white if rule.turns else self._scale
        plan = Plan(
            n=0,
            first=0,
            second=0,
            last=0,
            kept=_KEPT,
            ended=_ENDED,
            sure=0,
            beat=-np.inf,
            least=rule.least,
            flat=rule.flat,
            unit=self._stands_for / source.total_weight,
            look=rule.look,
            white=white,
            colour=self._colour if rule.turns else np.linalg.inv(white),
            shift=settings.added * float((white**2).sum()),
        )
        return _Kind(rule, Structured(n, tol, float(COUNT_FLOOR), settings.added, letters), plan)

    def _continue(self, found: Found, constants: Structured, place: _Place) -> None:
        """Continue a run that has not converged after as many iterations as a race makes."""
        source, left = self._doubles, self._settings.max_iter - len(found.bounds)
        state = UNDECIDED
        while state == UNDECIDED and left > 0:
            bounds = np.empty(min(left, place.field.bounds.shape[1]))
            done, state = iterate(
                source.samples,
                source.sample_weights,
                place.packed,
                found.mixture,
                constants,
                place.out,
                found.bound,
                bounds,
            )
            found.bounds = np.concatenate([found.bounds, bounds[:done]])
            left -= done
        found.converged = state in (CONVERGED, DOUBTFUL)

    def _share(self, k: int, place: _Place) -> None:
        """Let all structures of a size begin from the most likely one as well."""
        ran = [self._found[k, one.name] for one in self._structures if (k, one.name) in self._found]
        if not ran:
            return
        best = max(ran, key=lambda found: found.bound)
        nothing = _no_groups(k, self._source.n_features)
        for structure in self._structures:
            if self._impossible(k, structure) or self._hopeless(k, structure):
                continue
            key = k, structure.name
            own = self._found.get(key)
            if own is best:
                continue
            _put(best.mixture, place.candidates, 0)
            n = 1
            for found in self._contained(k, structure):
                if own is None or found.bound > own.bound:
                    _put(found.mixture, place.candidates, n)
                    n += 1
            beat = -np.inf if own is None else own.bound
            winner, _ = self._race(structure, place, nothing, n, sure=0, beat=beat)
            if winner is not None and winner.bound > beat:
                self._found[key] = winner
                self.cells.pop(key, None)

    def _contained(self, k: int, structure: Structure) -> list[Found]:
        """Return the results for the richest structures that this one contains, among those with a fit of this size."""
        inside = [other for other in self._inside[structure.name] if (k, other) in self._found]
        within = {name for other in inside for name in self._inside[other]}
        return [self._found[k, other] for other in inside if other not in within]

    def _cell(self, k: int, structure: Structure, place: _Place) -> Cell:
        found, source = self._found[k, structure.name], self._doubles
        sums = np.empty(3)
        classify(source.samples, source.sample_weights, place.packed, found.mixture, sums)
        params = Params(FULL, *found.mixture).in_layout(structure.layout)
        bounds = found.bounds.tolist()
        fit = FitResult(params, found.converged, len(bounds), bounds[-1], bounds, len(bounds), "")
        return Cell(fit, Classified(*sums.tolist()))

    def _place(self, k: int, n_starts: int) -> _Place:
        source = self._doubles
        n, d = source.n_samples, source.n_features
        most = 2 * n_starts + 4 + _axes(k - 1, d) * (k - 1)
        flops = k * (n * (2 * d * (d + 1) + 100) + d**3)
        iterations = int(np.clip(LIMITS.call_flops / flops, _SECOND, 1000))
        candidates = Mixture(
            np.empty((most, k)), np.empty((most, k, d)), np.empty((most, k, d, d)), np.empty((most, k, d, d))
        )
        ran = Field(
            np.empty((most, iterations + 1)),
            np.empty(most, np.int64),
            np.empty(most, np.int64),
            np.empty(most, np.int64),
            np.empty(most, np.int64),
            np.empty((most, k)),
            np.empty((most, k)),
            np.empty((most, k, d, d)),
        )
        packed = self._packed._replace(
            **{name: getattr(self._packed, name)[:k].copy() for name in ("constant", "means", "u")},
            tile=min(self._packed.tile, 64 * -(-n // 64)),
        )
        return _Place(candidates, ran, packed, accumulators(source, FULL, k)[1], iterations)


_GOOD = (UNDECIDED, CONVERGED, DOUBTFUL)


def _axes(k: int, d: int) -> int:
    """Return the number of axes across which each of k components is cut: several if there are few components."""
    return min(max(_CUTS // k, 1), d) if k else 0


def _put(mixture: Mixture, candidates: Mixture, i: int) -> None:
    for array, values in zip(candidates, mixture, strict=True):
        array[i] = values


def _no_groups(k: int, d: int) -> Groups:
    return Groups(np.empty((0, k)), np.empty((0, k, d)), np.empty((0, k, d, d)))


def _spaces(whole: TotalScatter, total_weight: float, collinear: bool) -> tuple[Float, Float]:
    """Return matrices (d, d) that bring the covariance of all samples to 1: all of it, and its diagonal alone.

    If features are collinear, which only structures along the axes may be, both are of the diagonal.
    """
    covariance = whole.scatter / total_weight
    scale = np.sqrt(np.diagonal(covariance))
    along = np.diag(1.0 / np.where(scale > 0.0, scale, 1.0))
    if collinear:
        return along, along
    return np.linalg.inv(np.linalg.cholesky(along @ covariance @ along)) @ along, along

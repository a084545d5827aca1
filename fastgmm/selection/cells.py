"""Cells of a search, one for each size and structure: their fits, or the reasons why they have none."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgmm._errors import listed
from fastgmm.data.source import Source
from fastgmm.em import evaluate, sweep
from fastgmm.em.result import FitResult
from fastgmm.em.step import Collapsed, MaximumAPosteriori, MaximumLikelihood
from fastgmm.fitting.degenerate import Reason, least_in_all, least_samples
from fastgmm.fitting.prior import completed
from fastgmm.model.collinear import collinear, described, numbered
from fastgmm.model.priors import NormalInverseWishart
from fastgmm.model.structures import MCLUST_NAMES, STRUCTURES, Structure, possible

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """Result for one size and structure: a fit and the sums of its criteria, or the reason why there is none."""

    fit: FitResult | None = None
    sums: evaluate.Classified | None = None
    reason: Reason | None = None

    @property
    def log_likelihood(self) -> float:
        """Return the log-likelihood in units of the source's weights; minus infinity if there is no fit."""
        return -math.inf if self.sums is None else self.sums.log_likelihood


@dataclass(frozen=True)
class Settings:
    """Settings that all cells are fitted with.

    reg_covar : as a share of the variances; added : the variance that it adds, that share of the smallest one of a feature
    """

    tol: float
    reg_covar: float
    max_iter: int
    n_threads: int | None
    added: float = 0.0
    prior: NormalInverseWishart | None = None

    def step(self, structure: Structure, k: int, source: Source) -> MaximumLikelihood:
        """Return the M-step of a structure and k components, for statistics of a source."""
        if self.prior is None:
            return MaximumLikelihood(structure, self.added)
        prior = completed(self.prior, source, structure, k, self.n_threads).of(structure, k)
        return MaximumAPosteriori(structure, self.added, prior=prior).on(source)


class Cells:
    """The cells of all `sizes` and `structures` of a source: sizes ascending, simpler structures first.

    `told` is a callback, invoked before each cell; messages call the features by `names`. Of `n_distinct` samples that differ, as
    far as is known, a cell must be able to have a valid fit, or it is refused before it runs.
    """

    def __init__(
        self,
        source: Source,
        structures: Sequence[Structure],
        sizes: Sequence[int],
        settings: Settings,
        *,
        told: Callable[[int, Structure], None] = lambda k, structure: None,
        names: Sequence[str] | None = None,
        n_distinct: int | None = None,
    ) -> None:
        self._source, self._settings, self._told = source, settings, told
        self._names = numbered(source.n_features) if names is None else names
        self._n_distinct = source.n_samples if n_distinct is None else n_distinct
        self._structures = sorted(structures, key=lambda structure: MCLUST_NAMES.index(structure.mclust_name))
        self._sizes = sorted(sizes)
        self._collinear = collinear(sweep.total(source, settings.n_threads).scatter)
        self._refusals: dict[tuple[int, str], Reason | None] = {}
        self.cells: dict[tuple[int, str], Cell] = {}
        self.interrupted = False

    def completed(self) -> int:
        """Give a reason to the cells that were not run; return how many there are."""
        left = [(k, one.name) for k in self._sizes for one in self._structures if (k, one.name) not in self.cells]
        self.cells |= {
            key: Cell(reason=Reason("the search was interrupted before it was fitted", -1.0)) for key in left
        }
        return len(left)

    def _twin(self, structure: Structure) -> Structure:
        """Return the first structure that is the same with a single component: all that varies is then equal."""
        form = [letter != "I" for letter in structure.mclust_name[1:]]
        return next(one for one in self._structures if [letter != "I" for letter in one.mclust_name[1:]] == form)

    def fit(self, k: int, structure: Structure) -> FitResult | None:
        """Return the fit of a cell, or None."""
        cell = self.cells.get((k, structure.name))
        return None if cell is None else cell.fit

    def reasons(self) -> dict[tuple[int, str], str]:
        """Return why cells have no fit, with advice that works: structures that have not failed too, or fewer components."""
        failed: dict[int, set[str]] = {k: set() for k in self._sizes}
        for (k, name), cell in self.cells.items():
            if cell.fit is None:
                failed[k].add(self._kind(STRUCTURES[name]))
        return {
            (k, name): self._worded(k, STRUCTURES[name], cell.reason, failed[k])
            for (k, name), cell in self.cells.items()
            if cell.reason is not None
        }

    def _worded(self, k: int, structure: Structure, reason: Reason, failed: set[str]) -> str:
        if reason.held < 0:
            return reason.what
        d = self._source.n_features
        enough = [
            repr(other.name)
            for other in possible(reason.held, d, structure)
            if self._kind(other) not in failed
            and not self._impossible(k, other)
            and least_samples(other, d) <= max(reason.held, 1.0)
        ]
        advice = [f"choose {listed(enough, 'or')}"] if enough else []
        if reason.otherwise:
            advice.append(reason.otherwise)
        elif k > 1 and not self._impossible(k, structure):
            advice.append("ask for fewer components")
        return reason.what + (": " + "; or ".join(advice) if advice else "")

    def _kind(self, structure: Structure) -> str:
        """Return mclust's name of a structure, which has one letter for one feature."""
        return structure.mclust_name if self._source.n_features > 1 else structure.in_one_feature.name

    def _impossible(self, k: int, structure: Structure) -> Reason | None:
        """Return why a cell cannot have a fit from any start, or None."""
        key = k, structure.name
        if key not in self._refusals:
            self._refusals[key] = self._refused_before(k, structure)
        return self._refusals[key]

    def _refused_before(self, k: int, structure: Structure) -> Reason | None:
        if self._settings.prior is not None:
            return None
        d, n = self._source.n_features, self._n_distinct
        least = least_in_all(structure, k, d)
        if least > n:
            what = f"{_components(k)} of type {structure.name!r} with {d} feature{'s' * (d > 1)} need {least} distinct samples"
            most = max((size for size in range(1, k) if least_in_all(structure, size, d) <= n), default=0)
            advice = f"ask for {_components(most)} at most" if most else ""
            return Reason(f"{what} at least, and there are {n}", math.inf, advice)
        if self._collinear and structure.layout.correlates:
            return Reason(described(self._collinear, self._names), math.inf, "leave out what others imply")
        return None


def _components(k: int) -> str:
    return f"{k} component{'s' * (k > 1)}"


def of_error(error: Exception) -> Reason:
    """Return the reason in an error of EM, without its advice to raise reg_covar: that would not give a fit either."""
    if isinstance(error, Collapsed):
        return Reason(error.which, error.held)
    return Reason(str(error))

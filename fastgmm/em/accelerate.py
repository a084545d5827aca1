"""Proposals between sweep and M-step, with which EM converges in fewer passes.

They are made in the space of the sufficient statistics x = (counts, sums, scatter) about a common origin, where EM is a map
G(x): the statistics of a sweep with the parameters that the M-step finds from x. A combination of statistics whose coefficients
add up to 1 keeps the number, the mean and the scatter of all samples. Structures, priors and weights enter through the M-step, so
that one proposal serves all of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from fastgmm._names import ACCELERATIONS
from fastgmm.em.step import Collapsed, Step, held
from fastgmm.model.cholesky import NotPositiveDefinite
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats, combination
from fastgmm.model.structures import COUNT_FLOOR

Float = NDArray[np.float64]

#: A component of a proposal keeps at least this share of the weight that the last sweep gave it: a long step towards an empty
#: component leads to spikes, whose likelihood is high and means nothing.
_KEPT = 0.5


class Accelerator(Protocol):
    """Source of proposals where a run continues. If the bound falls there, the run falls back to the plain M-step.

    An accelerator is a dataclass, whose fields are all that it knows of a run: None, numbers and statistics.
    """

    def propose(self, stats: Stats, plain: Params, step: Step) -> Params:
        """Return parameters to continue from, given the statistics of a sweep and the M-step that they give.

        `plain` itself, if there is nothing better to propose.
        """

    def rejected(self) -> None:
        """Take note that the run continues from the plain M-step instead of the last proposal."""


@dataclass(frozen=True)
class Accelerated:
    """State that an accelerated run resumes from, in addition to its parameters and bounds.

    plain : the M-step of the last sweep, None if the run continues from it; n_passes : sweeps so far
    accelerator : the one of the run, in its present state
    """

    plain: Params | None
    n_passes: int
    accelerator: Accelerator


@dataclass
class OverRelaxation:
    """Go further in the direction of EM: x + eta (G(x) - x), with eta growing as long as the bound does not fall.

    One sweep a step. Salakhutdinov & Roweis, Adaptive overrelaxed bound optimization methods, ICML 2003, in the space of the
    statistics.
    """

    eta: float = 1.0
    before: Stats | None = None
    after: Stats | None = None

    #: Passes with 1.1, 1.3, 1.5 and 2 to tol=1e-7, where EM takes 720, 1624 and 1563: 237, 260, 274, 280 (4000 x 2, k = 5,
    #: separation 1.5); 483, 546, 610, 795 (20 000 x 4, k = 6, separation 2); 455, 453, 525, 575 (4000 x 3, k = 8, diag).
    growth: ClassVar[float] = 1.1

    def propose(self, stats: Stats, plain: Params, step: Step) -> Params:
        before = self.before
        self.before = self.after = stats
        if before is None:
            return plain
        eta = self.eta * self.growth
        while eta > 1.0 + 1e-3:
            proposed = _maximised(combination((1.0 - eta, eta), (before, stats)), stats, plain, step)
            if proposed is not None:
                self.eta, self.before = eta, proposed[0]
                return proposed[1]
            eta = 1.0 + 0.5 * (eta - 1.0)
        self.eta = 1.0
        return plain

    def rejected(self) -> None:
        self.eta, self.before = 1.0, self.after


@dataclass
class Squarem:
    """Two plain steps and one extrapolation of them: x + 2 a r + a^2 v, r = G(x) - x, v = G(G(x)) - G(x) - r, a = |r| / |v|.

    Two sweeps a cycle, since the one that judges a proposal is the first of the next cycle. Scheme S3 of Varadhan & Roland,
    Scand. J. Stat. 35(2), 2008, in the space of the statistics.
    """

    most: float = 4.0
    first: Stats | None = None
    second: Stats | None = None
    last: Stats | None = None
    hit: bool = False

    def propose(self, stats: Stats, plain: Params, step: Step) -> Params:
        if self.hit:  # the proposal that `most` limited was not rejected
            self.most, self.hit = 4.0 * self.most, False
        if self.first is None or self.second is None:
            self.first, self.second = (stats, None) if self.first is None else (self.first, stats)
            return plain
        first, second = self.first, self.second
        self.first, self.second, self.last = stats, None, stats
        x = first.about(stats.origin), second.about(stats.origin), stats
        scale = _scale(plain)
        r = _norm(combination((-1.0, 1.0), x[:2]), scale)
        v = _norm(combination((1.0, -2.0, 1.0), x), scale)
        length = r / v if v > 0 else math.inf
        hit = length >= self.most
        a = min(length, self.most)
        while a > 1.0 + 1e-3:
            coefficients = ((1.0 - a) ** 2, 2.0 * a * (1.0 - a), a * a)
            proposed = _maximised(combination(coefficients, x), stats, plain, step)
            if proposed is not None:
                self.first, self.hit = proposed[0], hit
                return proposed[1]
            a, hit = 1.0 + 0.5 * (a - 1.0), False
        return plain

    def rejected(self) -> None:
        self.first, self.second, self.hit = self.last, None, False
        self.most = max(4.0, 0.25 * self.most)


#: Accelerators by their names. "auto" is the one that took the fewest passes on all data tried (`bench/passes.py`).
ACCELERATORS: dict[str, type[Accelerator]] = dict(zip(ACCELERATIONS, (Squarem, OverRelaxation, Squarem), strict=True))


def state_of(accelerator: Any) -> dict[str, float | Stats]:
    """Return the fields of an accelerator that are set, by their names."""
    values = {field.name: getattr(accelerator, field.name) for field in fields(accelerator)}
    return {name: value for name, value in values.items() if value is not None}


def _maximised(proposed: Stats, stats: Stats, plain: Params, step: Step) -> tuple[Stats, Params] | None:
    """Return proposed statistics and their M-step, or None if no samples can have such statistics, or they have no maximum.

    The scatter within a component of samples is not negative in any direction. `reg_covar` would hide one that is: the likelihood
    there may be higher than that of any fit, and fall in the next step of EM. Where a prior regularises them, components of too few
    samples for a regular scatter are not looked at, and those of less than a sample are not moved.
    """
    few = None
    if step.may_empty:
        proposed, few = _without_empty(proposed, stats), held(stats) < stats.sums.shape[1] + 1
    if not (proposed.counts >= _KEPT * stats.counts).all() or proposed.noise < _KEPT * stats.noise:
        return None
    layout = proposed.layout
    try:
        floor = 0.0 if few is None else COUNT_FLOOR
        within = layout.within(proposed.scatter, proposed.sums, proposed.counts + floor)
        if few is not None and not layout.pools:
            within[few] = plain.covariances[few]
        layout.precision_cholesky(within)
        params = step.maximise(proposed, plain)
    except (NotPositiveDefinite, Collapsed, np.linalg.LinAlgError):
        return None
    return (proposed, params) if np.isfinite(params.prec_chol).all() else None


def _without_empty(proposed: Stats, stats: Stats) -> Stats:
    """Return proposed statistics with those of the last sweep for components that hold less than a sample."""
    empty = held(stats) < 1.0
    counts, sums = np.where(empty, stats.counts, proposed.counts), np.where(empty[:, None], stats.sums, proposed.sums)
    scatter = proposed.scatter
    if not proposed.layout.pools:
        scatter = scatter.copy()
        scatter[empty] = stats.scatter[empty]
    return replace(proposed, counts=counts, sums=sums, scatter=scatter)


def _scale(params: Params) -> Float:
    """Return the standard deviation of each feature within components, (d,): norms then have no units."""
    return np.sqrt(np.maximum(params.weights @ params.variances, np.finfo(float).tiny))


def _norm(difference: Stats, scale: Float) -> float:
    """Return the norm of a difference of statistics, features in units of `scale` (d,)."""
    rows = np.tile(scale / math.sqrt(2.0), (len(difference.counts), 1))
    parts = (
        difference.counts,
        np.array(difference.noise),
        difference.sums / scale,
        difference.scatter / difference.layout.cross(rows, rows),
    )
    return math.sqrt(sum(float((part**2).sum()) for part in parts))

"""When a run of EM stops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Reason(NamedTuple):
    """Why a run stopped."""

    converged: bool
    text: str


class Rule(Protocol):
    """A rule beyond the tolerance and the number of iterations."""

    def __call__(self, bounds: Sequence[float]) -> Reason | None:
        """Return why a run with these bounds stops, None if it continues."""


@dataclass(frozen=True)
class Stop:
    """Stop if the bound changes by less than `tol`, after `max_iter` iterations, or if one of the `rules` says so.

    The compiled loop checks the first two itself, and asks the rules every few iterations.
    """

    tol: float
    max_iter: int
    rules: tuple[Rule, ...] = ()

    def __call__(self, bounds: Sequence[float], change: float = math.inf) -> Reason | None:
        """Return why a run stops, None if it continues. `change` is that of the last bound."""
        if abs(change) < self.tol:
            return Reason(True, f"the bound changed by less than tol={self.tol:.3g}")
        if len(bounds) >= self.max_iter:
            return Reason(False, f"max_iter={self.max_iter} iterations are done")
        return self.by_rules(bounds)

    def by_rules(self, bounds: Sequence[float]) -> Reason | None:
        """Return why one of the rules stops a run, None if none does."""
        return next((reason for rule in self.rules if (reason := rule(bounds)) is not None), None)


@dataclass(frozen=True)
class ShareOfGain:
    """Stop if an iteration brought less than a share of all that the iterations brought, (L_q - L_q-1) / (L_q - L_0).

    Biernacki, Celeux & Govaert, Computational Statistics & Data Analysis 41 (2003), section 3.
    """

    share: float

    def __call__(self, bounds: Sequence[float]) -> Reason | None:
        if len(bounds) > 1 and bounds[-1] - bounds[-2] <= self.share * (bounds[-1] - bounds[0]):
            return Reason(True, f"the last iteration brought less than {self.share:.3g} of the gain")
        return None

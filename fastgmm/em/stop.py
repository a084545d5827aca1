"""When a run of EM stops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from fastgmm.model.params import Params


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

    def __call__(
        self,
        bounds: Sequence[float],
        change: float = math.inf,
        params: Params | None = None,
        dtype: np.dtype | None = None,
        *,
        complete: bool = True,
    ) -> Reason | None:
        """Return why a run stops, None if it continues.

        `change` is that of the last bound. With `params`, those after the last M-step, and the dtype of the samples, a run stops
        as well if only rounding is left of the change, unless `tol` is 0. `complete` says that no values are missing and none have
        errors: otherwise even a single component takes many iterations.
        """
        if abs(change) < self.tol:
            return Reason(True, f"the bound changed by less than tol={self.tol:.3g}")
        if (
            params is not None
            and dtype is not None
            and self.tol > 0
            and only_rounding(change, bounds, params, dtype, complete=complete)
        ):
            return Reason(True, "the change of the bound is rounding")
        if len(bounds) >= self.max_iter:
            return Reason(False, f"max_iter={self.max_iter} iterations are done")
        return self.by_rules(bounds)

    def by_rules(self, bounds: Sequence[float]) -> Reason | None:
        """Return why one of the rules stops a run, None if none does."""
        return next((reason for rule in self.rules if (reason := rule(bounds)) is not None), None)


def only_rounding(
    change: float, bounds: Sequence[float], params: Params, dtype: np.dtype, *, complete: bool = True
) -> bool:
    """Return whether the last `change` of the bound is rounding, so that EM would never get below a `tol` that is smaller still.

    EM does not lower the bound: if it fell, by no more than rounding may, there is nothing left to gain that could be seen. A
    scatter in a precision of eps is known to eps s_i s_j in each entry, s_i^2 being variances. The bound is then known to
    eps/2 sum_k pi_k sum_j s_kj^2 (Sigma_k^-1)_jj: the sum of variance inflation factors, which is d only if features are
    uncorrelated. A single component of complete samples has one optimum: from the third iteration on, wherever it began, any change
    is rounding.
    """
    if complete and params.n_densities == 1 and len(bounds) > 2:
        return True
    if not change < 0:
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        inflated = float(params.weights @ (params.variances * params.precision_diagonals).sum(axis=1))
    return -change <= float(np.finfo(dtype).eps) * (abs(bounds[-1]) + 0.5 * inflated)


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

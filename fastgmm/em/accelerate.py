"""Proposals between sweep and M-step, which may make EM converge in fewer iterations."""

from __future__ import annotations

from typing import Protocol

from fastgmm.em.step import Step
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats


class Accelerator(Protocol):
    """Source of proposals where a run continues. If the bound falls there, the run falls back to the plain M-step."""

    def propose(self, stats: Stats, plain: Params, step: Step) -> Params:
        """Return parameters to continue from, given the statistics of a sweep and the M-step that they give.

        `plain` itself, if there is nothing better to propose.
        """

    def rejected(self) -> None:
        """Take note that the bound fell at the last proposal, which is dropped."""

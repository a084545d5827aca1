"""What is told of a fit while it goes on."""

from __future__ import annotations

from collections.abc import Sequence

from fastgmm.em.result import Fit
from fastgmm.model.params import Params


class Monitor:
    """Told of a fit as it goes on; this one does nothing with it.

    A method that raises ends the fit: with KeyboardInterrupt as if Ctrl-C had been pressed at that moment.
    """

    def begin(self, start: int, n_iter: int) -> None:
        """Start number `start` begins, or goes on after `n_iter` iterations that were done before."""

    def block(self, n_done: int) -> None:
        """The first `n_done` samples of this pass are done."""

    def iteration(self, n_iter: int, lower_bound: float, change: float) -> None:
        """Iteration `n_iter`, counted from 1, is done; `change` is that of the bound."""

    def reached(self, params: Params, lower_bounds: list[float]) -> None:
        """EM goes on from `params`, after iterations with these bounds. The list is EM's own, and grows."""

    def end(self, fit: Fit) -> None:
        """The start that began last came to this."""

    def close(self) -> None:
        """The fit is over, or was broken off."""


SILENT = Monitor()


def together(*monitors: Monitor) -> Monitor:
    """One that tells all of them, in their order; those that are SILENT cost nothing, where an iteration is microseconds."""
    heard = [monitor for monitor in monitors if monitor is not SILENT]
    return heard[0] if len(heard) == 1 else Several(heard) if heard else SILENT


class Several(Monitor):
    """Tells several others, in their order."""

    def __init__(self, monitors: Sequence[Monitor]) -> None:
        self._monitors = tuple(monitors)

    def begin(self, start: int, n_iter: int) -> None:
        for monitor in self._monitors:
            monitor.begin(start, n_iter)

    def block(self, n_done: int) -> None:
        for monitor in self._monitors:
            monitor.block(n_done)

    def iteration(self, n_iter: int, lower_bound: float, change: float) -> None:
        for monitor in self._monitors:
            monitor.iteration(n_iter, lower_bound, change)

    def reached(self, params: Params, lower_bounds: list[float]) -> None:
        for monitor in self._monitors:
            monitor.reached(params, lower_bounds)

    def end(self, fit: Fit) -> None:
        for monitor in self._monitors:
            monitor.end(fit)

    def close(self) -> None:
        for monitor in self._monitors:
            monitor.close()

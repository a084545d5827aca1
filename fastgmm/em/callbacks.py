"""Callbacks invoked during a fit."""

from __future__ import annotations

from collections.abc import Sequence

from fastgmm.em.accelerate import Accelerated
from fastgmm.em.result import FitResult
from fastgmm.model.params import Params


class Callback:
    """Base class of fit callbacks; every hook is a no-op.

    A hook that raises ends the fit: with KeyboardInterrupt as if Ctrl-C had been pressed at that moment.
    """

    def begin(self, start: int, n_iter: int) -> None:
        """Respond to start number `start`, which begins, or resumes after `n_iter` iterations that were done before."""

    def block(self, n_done: int) -> None:
        """Respond to a pass that is done with its first `n_done` samples."""

    def iteration(self, n_iter: int, lower_bound: float, change: float) -> None:
        """Respond to the end of iteration `n_iter`, counted from 1; `change` is that of the bound."""

    def reached(self, params: Params, lower_bounds: list[float], accelerated: Accelerated | None = None) -> None:
        """Receive, after each iteration, the parameters that EM continues from.

        `lower_bounds` is shared with the loop and grows: copy it if you keep it. `accelerated` is what an accelerated run needs
        beside them; its accelerator is a copy.
        """

    def end(self, result: FitResult) -> None:
        """Respond to the end of a run, with its result."""

    def close(self) -> None:
        """Clean up: the fit is over, or was broken off."""


SILENT = Callback()


def combine(*callbacks: Callback) -> Callback:
    """Return a callback that calls all of them in their order.

    Those that are SILENT cost nothing, which counts if an iteration takes microseconds.
    """
    heard = [callback for callback in callbacks if callback is not SILENT]
    return heard[0] if len(heard) == 1 else Several(heard) if heard else SILENT


class Several(Callback):
    """Callback that calls several others, in their order."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self._callbacks = tuple(callbacks)

    def begin(self, start: int, n_iter: int) -> None:
        for callback in self._callbacks:
            callback.begin(start, n_iter)

    def block(self, n_done: int) -> None:
        for callback in self._callbacks:
            callback.block(n_done)

    def iteration(self, n_iter: int, lower_bound: float, change: float) -> None:
        for callback in self._callbacks:
            callback.iteration(n_iter, lower_bound, change)

    def reached(self, params: Params, lower_bounds: list[float], accelerated: Accelerated | None = None) -> None:
        for callback in self._callbacks:
            callback.reached(params, lower_bounds, accelerated)

    def end(self, result: FitResult) -> None:
        for callback in self._callbacks:
            callback.end(result)

    def close(self) -> None:
        for callback in self._callbacks:
            callback.close()

"""Steps into a running fit, for tests: a look at where it is, and Ctrl-C, at a given call of a hook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fastgmm.fitting.run import Fit, StateCallback


class Calls:
    """How many calls of a hook there were, over all starts."""

    n = 0


def during_fits(patch: pytest.MonkeyPatch, hook: str, action: Callable[..., None]) -> None:
    """Call ``action(fit, *arguments)`` after each call of a hook of `Callback` in a fit, until `patch` is undone.

    An action that raises ends the fit.
    """
    original = getattr(StateCallback, hook)

    def hooked(self: StateCallback, *arguments: Any) -> None:
        original(self, *arguments)
        action(self.fit, *arguments)

    patch.setattr(StateCallback, hook, hooked)


def stop_at(patch: pytest.MonkeyPatch, hook: str, call: int) -> Calls:
    """Press Ctrl-C at the given call of a hook, counted from 1 over all starts; return the counter."""
    calls = Calls()

    def stopping(fit: Fit, *arguments: Any) -> None:
        calls.n += 1
        if calls.n == call:
            raise KeyboardInterrupt

    during_fits(patch, hook, stopping)
    return calls


def interrupt_in_start(start: int, call: Callable[[], object]) -> None:
    """Call what fits, and press Ctrl-C after the first iteration that is done in the given start, counted from 0."""

    def stopping(fit: Fit, *arguments: Any) -> None:
        if fit.at.start == start:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        during_fits(patch, "reached", stopping)
        try:
            call()
        except KeyboardInterrupt:
            return
    raise AssertionError(f"the fit ended before start {start} had done an iteration")

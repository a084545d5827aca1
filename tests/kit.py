"""Data and comparisons that files of tests share, and steps into a running fit: a look at its state, and Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastgmm.fitting.run import Fit, StateCallback

#: What the fixture `limits` is: `limits(loaded=4096)` changes limits of `fastgmm._limits` until the test ends.
Limit = Callable[..., None]

ARRAYS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")


def blobs(n=150, d=3, k=3, seed=0):
    """Overlapping clusters."""
    rng = np.random.default_rng(seed)
    return 2.5 * rng.normal(size=(k, d))[rng.integers(k, size=n)] + rng.normal(size=(n, d))


def assert_same_fit(a, b):
    """The same fitted attributes, to the bit."""
    for name in ARRAYS:
        assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    for name in ("converged_", "n_iter_", "lower_bound_", "lower_bounds_", "n_features_in_"):
        assert getattr(a, name) == getattr(b, name), name


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

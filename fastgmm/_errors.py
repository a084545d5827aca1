"""Warnings and errors that fastgmm raises beyond ValueError and TypeError.

Users of scikit-learn catch *its* ``NotFittedError`` and ``ConvergenceWarning``. fastgmm never imports scikit-learn,
but if the user has loaded it, the exception is also an instance of scikit-learn's class.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import TypeVar

T = TypeVar("T")


class NotFittedError(ValueError, AttributeError):
    """A method that needs a fitted model was called before ``fit``."""


class ConvergenceWarning(UserWarning):
    """EM or k-means stopped before it converged, or found fewer clusters than asked for."""


class LocalOptimumWarning(UserWarning):
    """EM converged, to an optimum that only one of several starts reached: a better one may be left to find."""


class DataConversionWarning(UserWarning):
    """An array was taken in another shape than it has: labels in one column."""


class DegenerateWarning(UserWarning):
    """EM ended with components that sit on a few equal samples, or hold none: likelihood and criteria mean nothing then."""


class OutOfMemory(MemoryError):
    """Memory ran out, or a thread could not be started: the message says what for, how much was needed, and what to do."""


@contextmanager
def memory_for(what: str, remedy: str) -> Iterator[None]:
    """Say what a MemoryError in the body was for; the innermost context says it.

    NumPy's error says which shape and dtype, and that of a thread is a RuntimeError.
    """
    try:
        yield
    except OutOfMemory:
        raise
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "new thread" not in str(error):
            raise
        detail = str(error).rstrip(".") or "no more is available"
        raise OutOfMemory(f"not enough memory for {what}: {detail}. {remedy}") from error


def survivors(runs: Iterable[Callable[[], T]]) -> list[T]:
    """Return the results of the runs that do not fail; raise the ValueError of the first if all do."""
    results: list[T] = []
    failure: ValueError | None = None
    for run in runs:
        try:
            results.append(run())
        except ValueError as error:
            failure = failure or error
    if not results and failure is not None:
        raise failure
    return results


@cache
def _combined(ours: type, theirs: type) -> type:
    return type(ours.__name__, (ours, theirs), {"__doc__": ours.__doc__, "__module__": ours.__module__})


def like_sklearn(ours: type) -> type:
    """Return `ours`, or if scikit-learn is loaded a subclass of `ours` and of its class of the same name."""
    exceptions = sys.modules.get("sklearn.exceptions")
    theirs = getattr(exceptions, ours.__name__, None)
    return ours if theirs is None else _combined(ours, theirs)


def listed(words: Sequence[str], last: str = "and", most: int | None = None) -> str:
    """Return words as English lists them: "a, b and c", or "a, b and 3 more" of at most two; '' if there are none."""
    words = list(words)
    if most is not None and len(words) > most:
        words[most:] = [f"{len(words) - most} more"]
    return f" {last} ".join([", ".join(words[:-1])] * (len(words) > 1) + words[-1:])


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line of the first caller outside fastgmm, however deep the warning arises."""
    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "fastgmm":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)

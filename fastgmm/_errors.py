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
    """Signal that a method that needs a fitted model was called before ``fit``.

    If scikit-learn is loaded, the error is also an instance of its class of this name.

    See Also
    --------
    GaussianMixture.fit : Fit a model.

    Examples
    --------
    >>> import fastgmm
    >>> try:
    ...     fastgmm.GaussianMixture(2).predict([[0.0], [1.0]])
    ... except fastgmm.NotFittedError as error:
    ...     print("fit" in str(error))
    True
    """


class ConvergenceWarning(UserWarning):
    """Warn that EM or k-means stopped before it converged, or found fewer clusters than asked for.

    If scikit-learn is loaded, the warning is also of its class of this name. ``converged_`` of the model says the same.

    See Also
    --------
    LocalOptimumWarning : EM converged, to an optimum that only one of several starts reached.

    Examples
    --------
    >>> import warnings, fastgmm
    >>> from fastgmm.datasets import load_iris
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     model = fastgmm.GaussianMixture(3, max_iter=1, random_state=0).fit(load_iris().data)
    >>> any(issubclass(one.category, fastgmm.ConvergenceWarning) for one in caught), model.converged_
    (True, False)
    """


class LocalOptimumWarning(UserWarning):
    """Warn that EM converged to an optimum that only one of several starts reached: there may be a better one.

    See Also
    --------
    ConvergenceWarning : EM did not converge.

    Examples
    --------
    >>> import warnings, fastgmm
    >>> warnings.filterwarnings("ignore", category=fastgmm.LocalOptimumWarning)
    """


class DataConversionWarning(UserWarning):
    """Warn that an array was taken in another shape than it has: labels in one column.

    See Also
    --------
    ConvergenceWarning : EM did not converge.

    Examples
    --------
    >>> import warnings
    >>> from fastgmm._errors import DataConversionWarning
    >>> warnings.filterwarnings("ignore", category=DataConversionWarning)
    """


class DegenerateWarning(UserWarning):
    """Warn that EM ended with components on a few equal samples, or on none: likelihood and criteria mean nothing then.

    The message names the components, and says what to do.

    See Also
    --------
    ConvergenceWarning : EM did not converge.
    NormalInverseWishart : A prior, with which components cannot degenerate.

    Examples
    --------
    >>> import warnings, fastgmm
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     model = fastgmm.GaussianMixture(2, random_state=0).fit([[0.0], [0.0], [0.0], [5.0], [6.0]])
    >>> any(issubclass(one.category, fastgmm.DegenerateWarning) for one in caught)
    True
    """


class OutOfMemory(MemoryError):
    """Signal that memory ran out or a thread could not be started; the message says for what, how much, and what to do.

    See Also
    --------
    fastgmm.chunks : Data that need not fit into memory.

    Examples
    --------
    >>> from fastgmm._errors import OutOfMemory
    >>> issubclass(OutOfMemory, MemoryError)
    True
    """


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

"""Callbacks of scikit-learn, from 1.9 on, during a fit: nested tasks of the fit, its starts and their iterations."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import partial, wraps
from types import ModuleType
from typing import Any, TypeVar, cast

import numpy as np

from fastgmm._compat import optional
from fastgmm.em.accelerate import Accelerated
from fastgmm.em.callbacks import Callback
from fastgmm.em.result import FitResult
from fastgmm.em.stop import Reason
from fastgmm.model.params import Params

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def _module() -> ModuleType:
    optional("sklearn", "set_callbacks")
    try:
        return importlib.import_module("sklearn.callback")
    except ImportError as error:
        raise ImportError(
            "set_callbacks needs scikit-learn 1.9 or newer, which has callbacks: run  pip install -U scikit-learn"
        ) from error


def set_callbacks(estimator: Any, callbacks: Sequence[Any]) -> None:
    """Set the callbacks of an estimator; raise TypeError if they are not scikit-learn's."""
    _module().CallbackSupportMixin.set_callbacks(estimator, *callbacks)


def has_callbacks(estimator: Any) -> bool:
    """Return whether callbacks were set, here or by a pipeline or search that passes its own on."""
    return bool(getattr(estimator, "_skl_callbacks", ()))


def managed(estimator: Any, fit: Callable[..., T], *arguments: Any) -> T:
    """Return ``fit(*arguments)``; however it ends, callbacks that were set up are torn down."""
    found: T = _module().with_callbacks(lambda estimator: fit(*arguments))(estimator)
    return found


def one_task(fit: F) -> F:
    """Decorate the `fit` of an estimator made of mixtures, so that it is a single task for callbacks."""

    @wraps(fit)
    def within(estimator: Any, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        if not has_callbacks(estimator):
            return fit(estimator, X, y, sample_weight)
        return managed(estimator, _as_task, fit, estimator, data_of(X, y, sample_weight))

    return cast(F, within)


def _as_task(fit: Callable[..., T], estimator: Any, data: dict[str, Any]) -> T:
    context = _module().CallbackSupportMixin._init_callback_context(estimator)
    context.call_on_fit_task_begin(estimator=estimator, **data)
    found = fit(estimator, data["X"], data["y"], (data["metadata"] or {}).get("sample_weight"))
    context.call_on_fit_task_end(estimator=estimator, reconstruction_attributes={}, **data)
    return found


class Listener(Callback):
    """Callback that passes the events of a fit on to scikit-learn's callbacks.

    attributes : function that returns the fitted attributes of a result, for callbacks that inspect a fitted estimator
    data : X, y and metadata, as arguments of `call_on_fit_task_end`
    """

    def __init__(
        self,
        estimator: Any,
        n_starts: int,
        max_iter: int,
        data: dict[str, Any],
        attributes: Callable[[FitResult], dict[str, Any]],
    ) -> None:
        self.estimator, self.max_iter, self.data, self.attributes = estimator, max_iter, data, attributes
        self.stopped = False
        self.best: FitResult | None = None
        self._start: Any = None
        self._iteration: Any = None
        begin = _module().CallbackSupportMixin._init_callback_context
        self._fit = begin(estimator, max_subtasks=n_starts)
        self._fit.call_on_fit_task_begin(estimator=estimator, **data)

    def asked(self, bounds: Sequence[float]) -> Reason | None:
        """Return a reason to stop if a callback asked for it after an iteration: a rule of `Stop`."""
        return Reason(False, "a callback stopped it") if self.stopped else None

    def begin(self, start: int, n_iter: int) -> None:
        self.stopped = False
        self._start = self._opened(self._fit, "start", self.max_iter)
        if n_iter < self.max_iter:
            self._iteration = self._opened(self._start, "iteration", 0)

    def reached(self, params: Params, lower_bounds: list[float], accelerated: Accelerated | None = None) -> None:
        now = FitResult(params, False, len(lower_bounds), lower_bounds[-1], lower_bounds[:], len(lower_bounds))
        self.stopped |= self._closed(self._iteration, now)
        last = self.stopped or len(lower_bounds) >= self.max_iter
        self._iteration = None if last else self._opened(self._start, "iteration", 0)

    def end(self, result: FitResult) -> None:
        # the iteration in which it converged, which `reached` has not reported
        self._closed(self._iteration, result)
        self._closed(self._start, result)
        self._iteration = self._start = None
        if self.best is None or result.lower_bound > self.best.lower_bound:
            self.best = result

    def close(self) -> None:
        for context in (self._iteration, self._start):
            self._closed(context, None)
        self._closed(self._fit, self.best)

    def _opened(self, parent: Any, name: str, max_subtasks: int) -> Any:
        context = parent.subcontext(task_name=name, max_subtasks=max_subtasks)
        return context.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def _closed(self, context: Any, result: FitResult | None) -> bool:
        if context is None:
            return False
        attributes = None if result is None else partial(self.attributes, result)
        found = context.call_on_fit_task_end(
            estimator=self.estimator, reconstruction_attributes=attributes, **self.data
        )
        return bool(found)


def data_of(X: Any, y: Any, sample_weight: Any) -> dict[str, Any]:
    """Return the data of a fit as arguments of the hooks."""
    metadata = None if sample_weight is None else {"sample_weight": np.asarray(sample_weight)}
    return {"X": X, "y": y, "metadata": metadata}

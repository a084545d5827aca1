"""Base class with the interface that scikit-learn expects of an estimator, without importing scikit-learn."""

from __future__ import annotations

import inspect
import reprlib
from typing import Any

from fastgmm._errors import NotFittedError, like_sklearn
from fastgmm._validation import check_choice
from fastgmm.estimators import sklearn_callbacks
from fastgmm.estimators.notebook import Table, page


class Estimator:
    """Base class of estimators.

    Parameters are those of the constructor's signature, the fitted state is in attributes with a trailing underscore.
    """

    @classmethod
    def _parameter_names(cls) -> list[str]:
        """Return the names of the constructor's arguments except ``**kwargs``; raise RuntimeError for ``*args``."""
        if cls.__init__ is object.__init__:
            return []
        arguments = list(inspect.signature(cls.__init__).parameters.values())[1:]
        for argument in arguments:
            if argument.kind is argument.VAR_POSITIONAL:
                raise RuntimeError(
                    f"the constructor of {cls.__name__} takes *{argument.name}, but the parameters of an estimator need names: "
                    "write each of them in the signature"
                )
        return sorted(argument.name for argument in arguments if argument.kind is not argument.VAR_KEYWORD)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments of the constructor by name.

        Parameters
        ----------
        deep : bool, default=True
            Without effect, since no argument is an estimator; present for scikit-learn's interface.

        Returns
        -------
        dict
            Current value of each argument, keyed by its name.

        See Also
        --------
        set_params : Change arguments by name.

        Examples
        --------
        >>> from fastgmm import GaussianMixture
        >>> GaussianMixture(3, tol=1e-4).get_params()["tol"]
        0.0001
        """
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any) -> Any:
        """Set arguments of the constructor by name.

        They take effect in the next call of `fit`; the fitted attributes stay. If one name is unknown, none is set.

        Parameters
        ----------
        **params : dict
            New values by name, such as ``n_components=3``.

        Returns
        -------
        self
            The estimator, changed in place.

        Raises
        ------
        ValueError
            If the constructor has no argument of that name. The message names the nearest one.

        See Also
        --------
        get_params : Return the current values.

        Examples
        --------
        >>> from fastgmm import GaussianMixture
        >>> GaussianMixture().set_params(n_components=3)
        GaussianMixture(n_components=3)
        """
        for name in params:
            check_choice(f"parameter of {type(self).__name__}", name, self._parameter_names())
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def set_callbacks(self, *callbacks: Any) -> Any:
        """Set callbacks of scikit-learn to be invoked during `fit`; without arguments, remove them.

        The fit of a mixture is a task with one task for each start, which has one for each iteration. A callback that
        asks to stop after an iteration ends its start. The fit of an estimator that is made of mixtures is a single
        task.

        Parameters
        ----------
        *callbacks : sklearn.callback.FitCallback
            Callbacks such as ``sklearn.callback.ProgressBar()`` or ``sklearn.callback.ScoringMonitor``.

        Returns
        -------
        self
            The estimator, changed in place.

        Raises
        ------
        ImportError
            If scikit-learn is not installed or older than 1.9.
        TypeError
            If an argument is not a callback.

        See Also
        --------
        GaussianMixture.fit : Show a progress bar without scikit-learn by ``progress=True``.

        Examples
        --------
        >>> from sklearn.callback import ProgressBar  # doctest: +SKIP
        >>> from fastgmm import GaussianMixture
        >>> model = GaussianMixture(3).set_callbacks(ProgressBar())  # doctest: +SKIP
        """
        sklearn_callbacks.set_callbacks(self, callbacks)
        return self

    def _changed(self) -> dict[str, Any]:
        """Return the arguments that differ from the defaults of the constructor."""
        defaults = inspect.signature(type(self).__init__).parameters
        return {
            name: value
            for name, value in self.get_params().items()
            if not (value is defaults[name].default or repr(value) == repr(defaults[name].default))
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._changed().items())})"

    def _repr_html_(self) -> str:
        """Return HTML for a notebook: the parameters, with changed ones in bold, and the fitted attributes."""
        changed, params = self._changed(), self.get_params()
        bold = frozenset(i for i, name in enumerate(params) if name in changed)
        rows = [(name, reprlib.repr(value)) for name, value in params.items()]
        state, tables = self._described()
        return page(type(self).__name__, state, [Table("Parameters", (), rows, bold), *tables])

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        """Return the text and HTML by MIME type; IPython picks one. `kwargs` are its `include` and `exclude`."""
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def _described(self) -> tuple[str, list[Table]]:
        """Return the state of the estimator in words, and tables of the fitted attributes."""
        return ("fitted" if self.__sklearn_is_fitted__() else "not fitted"), []

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "means_")

    def _check_is_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            known = ", or build one with 'from_parameters'" if hasattr(self, "from_parameters") else ""
            raise like_sklearn(NotFittedError)(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with appropriate arguments before using "
                f"this estimator{known}."
            )

    def __sklearn_tags__(self) -> Any:
        # Only scikit-learn calls this, so it is already loaded.
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(
            estimator_type="density_estimator",
            target_tags=TargetTags(required=False),
            transformer_tags=None,
            classifier_tags=None,
            regressor_tags=None,
            input_tags=InputTags(),
        )

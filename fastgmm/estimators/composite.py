"""Base class of estimators that are made of fitted mixtures: for regression, classification, outliers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastgmm import _validation
from fastgmm.data.open import open_source
from fastgmm.data.source import Source
from fastgmm.estimators import saving
from fastgmm.estimators.base import Estimator
from fastgmm.estimators.gaussian_mixture import GaussianMixture


class Composite(Estimator):
    """Constructor arguments that are a `GaussianMixture`'s are passed on to it."""

    n_threads: int | None
    n_features_in_: int
    feature_names_in_: NDArray

    #: The attribute that a fit sets.
    _fitted_attribute: ClassVar[str] = "mixture_"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, self._fitted_attribute)

    def _options(self, **changed: Any) -> dict[str, Any]:
        """Return the arguments of a mixture: those of the same name, and `changed` ones."""
        own = self.get_params(deep=False)
        return {name: own[name] for name in GaussianMixture._parameter_names() if name in own} | changed

    @property
    def n_iter_(self) -> int:
        """Return the iterations of EM, the most of any mixture."""
        self._check_is_fitted()
        return max(max(part.n_iter_, 1) for part in self._parts())

    @property
    def converged_(self) -> bool:
        """Return whether the fits of all mixtures converged."""
        self._check_is_fitted()
        return all(part.converged_ for part in self._parts())

    def _set(self, **fitted: Any) -> None:
        """Set fitted attributes in one assignment, in place of those of an earlier fit."""
        kept = {name: value for name, value in vars(self).items() if not name.endswith("_") or name.startswith("_")}
        self.__dict__ = kept | fitted

    def _source(self, X: Any) -> Source:
        """Return data for a fitted estimator: checked, with the features that it knows."""
        self._check_is_fitted()
        _validation.check_threads(self.n_threads)
        names = _validation.feature_names(X)
        source = open_source(X)
        self._check_features(source.n_features, names)
        return source

    def _check_features(self, got: int, names: NDArray | None) -> None:
        fitted = getattr(self, "feature_names_in_", None)
        _validation.check_same_features(got, names, self.n_features_in_, fitted, type(self).__name__)

    # --- files ---

    def _parts(self) -> Sequence[GaussianMixture]:
        """Return the fitted mixtures."""
        raise NotImplementedError

    def _own_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the fitted attributes that are not mixtures, as arrays by name."""
        raise NotImplementedError

    def _restore(self, parts: Sequence[GaussianMixture], arrays: dict[str, NDArray[Any]]) -> None:
        """Set the fitted attributes from `_parts` and `_own_arrays`; raise ValueError if they contradict each other."""
        raise NotImplementedError

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to `path` (npz without pickle; see `fastgmm.load`)."""
        saving.save_composite(self, path)


def named(names: NDArray | None) -> dict[str, NDArray]:
    """Return the attribute for the names of columns, if there are names."""
    return {} if names is None else {"feature_names_in_": np.asarray(names, dtype=object)}

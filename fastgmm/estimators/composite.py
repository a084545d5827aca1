"""Base class of estimators made of fitted mixtures: for regression, classification and outlier detection."""

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
    """Base class of estimators made of mixtures; arguments that `GaussianMixture` has too are passed on to it."""

    n_threads: int | None
    n_features_in_: int
    feature_names_in_: NDArray

    #: The attribute that a fit sets.
    _fitted_attribute: ClassVar[str] = "mixture_"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, self._fitted_attribute)

    def _options(self, **changed: Any) -> dict[str, Any]:
        """Return the arguments of a mixture: those of the same name, and the ones in `changed`."""
        own = self.get_params(deep=False)
        return {name: own[name] for name in GaussianMixture._parameter_names() if name in own} | changed

    @property
    def n_iter_(self) -> int:
        """Return the number of EM iterations, the largest of all mixtures."""
        self._check_is_fitted()
        return max(max(part.n_iter_, 1) for part in self._parts())

    @property
    def converged_(self) -> bool:
        """Return whether the fits of all mixtures converged."""
        self._check_is_fitted()
        return all(part.converged_ for part in self._parts())

    def _set(self, **fitted: Any) -> None:
        """Set the fitted attributes in one assignment, in place of those of an earlier fit."""
        kept = {name: value for name, value in vars(self).items() if not name.endswith("_") or name.startswith("_")}
        self.__dict__ = kept | fitted

    def _source(self, X: Any) -> Source:
        """Return checked data for a fitted estimator, with the features that it knows."""
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
        """Write the fitted estimator to a file that `fastgmm.load` reads back to the bit.

        The file is an npz archive without pickle, so that loading it executes nothing. It is written completely or not
        at all: if writing fails, an existing file stays as it is.

        Parameters
        ----------
        path : str or path-like
            File to write, named exactly so: no extension is added, and an existing file is replaced.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the fitted attributes contradict each other or the arguments.
        TypeError
            If the estimator is of a subclass, if an argument can be stored neither as JSON nor as an array, or if
            classes are objects other than strings.
        OSError
            If the file cannot be written.

        See Also
        --------
        fastgmm.load : Read the file.
        GaussianMixture.save : Write a single mixture.

        Notes
        -----
        A `random_state` that is a generator is stored as None, since its state is not part of the fit.

        Examples
        --------
        >>> import os, tempfile
        >>> import fastgmm
        >>> from fastgmm.datasets import load_iris
        >>> X = load_iris().data
        >>> model = fastgmm.GaussianMixtureOutlierDetector(2, random_state=0).fit(X)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(os.path.join(folder, "model.npz"))
        ...     again = fastgmm.load(os.path.join(folder, "model.npz"))
        >>> again.offset_ == model.offset_
        True
        """
        saving.save_composite(self, path)


def named(names: NDArray | None) -> dict[str, NDArray]:
    """Return the attribute that holds the names of the columns, or nothing if there are none."""
    return {} if names is None else {"feature_names_in_": np.asarray(names, dtype=object)}

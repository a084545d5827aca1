"""The estimator `GaussianMixtureRegressor`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import _validation
from fastgmm.data.dask import each_block, is_dask, row_blocks
from fastgmm.data.source import LocalSource
from fastgmm.em.regression import expected
from fastgmm.em.step import REG_COVAR
from fastgmm.estimators.composite import Composite, named
from fastgmm.estimators.derived import feature_indices
from fastgmm.estimators.gaussian_mixture import GaussianMixture
from fastgmm.estimators.saving import composite
from fastgmm.estimators.sklearn_callbacks import one_task
from fastgmm.model.conditional import Conditional, conditional
from fastgmm.model.priors import NormalInverseWishart

if TYPE_CHECKING:
    from typing_extensions import Self

Float = NDArray[np.float64]


@composite
class GaussianMixtureRegressor(Composite):
    """Regression by a Gaussian mixture of features and targets together.

    A `GaussianMixture` is fitted to the rows (x, y); predictions are its E[y | x], a mean of linear regressions with weights that
    depend on x, and the standard deviation of y given x (Ghahramani & Jordan, Advances in Neural Information Processing
    Systems 6, 1994). With one component this is linear regression. It scales with x and y in their own units: choose
    `reg_covar` below 1e-6 of the smallest of their variances.

    Parameters
    ----------
    n_components : int, default=1
    covariance_type : str, default='full'
        Of the features and targets together, as in `GaussianMixture`. Diagonal and spherical ones have no slopes within
        components: the prediction is a mean of the components' means.
    tol, reg_covar, max_iter, n_init, init_params, prior, on_collapse, random_state
        As in `GaussianMixture`, of the rows (x, y).
    verbose, verbose_interval, acceleration, algorithm, n_threads
        As in `GaussianMixture`.

    Attributes
    ----------
    mixture_ : GaussianMixture
        The fitted mixture of the d features followed by the targets; `from_mixture` has the one that was passed.
    targets_ : ndarray of int
        The features of `mixture_` that are predicted.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Column names, if X was a data frame whose column names are strings.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm import GaussianMixtureRegressor
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> model = GaussianMixtureRegressor().fit(X, [0.1, 0.9, 2.1, 2.9])
    >>> model.predict([[1.5]]).round(3)
    array([1.5])
    """

    mixture_: GaussianMixture
    targets_: NDArray[np.int64]
    _single: bool

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = REG_COVAR,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str | ArrayLike = "kmeans",
        prior: str | NormalInverseWishart | None = None,
        on_collapse: str = "raise",
        random_state: Any = None,
        verbose: int = 0,
        verbose_interval: int = 10,
        acceleration: str | None = None,
        algorithm: str = "dense",
        n_threads: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.prior = prior
        self.on_collapse = on_collapse
        self.random_state = random_state
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.acceleration = acceleration
        self.algorithm = algorithm
        self.n_threads = n_threads

    @one_task
    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the mixture of `X` (n, d) and `y` (n,) or (n, q).

        Parameters
        ----------
        X : array-like of shape (n, d)
            In memory. For larger data fit a `GaussianMixture` to features and targets together, in chunks or on Dask, and call
            `from_mixture`.
        y : array-like of shape (n,) or (n, q)
        sample_weight : array-like of shape (n,), optional
            How many times each sample counts, as in `GaussianMixture`.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            As `GaussianMixture.fit`, or if y is missing or does not fit. The estimator is then unchanged.
        """
        names = _validation.feature_names(X)
        data = _validation.check_data(X, min_samples=2)
        targets = _validation.check_targets(y, len(data), type(self).__name__)
        d, columns = data.shape[1], targets.reshape(len(data), -1)
        mixture = GaussianMixture(**self._options()).fit(np.column_stack([data, columns]), sample_weight=sample_weight)
        known = {"targets_": np.arange(d, d + columns.shape[1]), "_single": targets.ndim == 1}
        self._set(mixture_=mixture, n_features_in_=d, **known, **named(names))
        return self

    @classmethod
    def from_mixture(
        cls, mixture: GaussianMixture, targets: int | str | Sequence[int | str]
    ) -> GaussianMixtureRegressor:
        """Return a fitted regressor that predicts some features of a fitted mixture from the others.

        Parameters
        ----------
        mixture : GaussianMixture
            Fitted to features and targets together, to data of any kind.
        targets : int or str, or sequence of these
            What to predict, by index or name. For a single index or name predictions have the shape (n,), else (n, q).
        """
        if not isinstance(mixture, GaussianMixture):
            raise TypeError(f"mixture must be a fitted GaussianMixture, got a {type(mixture).__name__}")
        mixture._check_is_fitted()
        chosen = feature_indices(mixture, targets, "targets")
        params = {name: value for name, value in mixture.get_params().items() if name in cls._parameter_names()}
        model = cls(**params)
        model._take(mixture, chosen.astype(np.int64), np.ndim(targets) == 0)
        return model

    def _take(self, mixture: GaussianMixture, targets: NDArray[np.int64], single: bool) -> None:
        """Set the fitted attributes of a mixture whose `targets` are predicted."""
        d = len(mixture.means_[0])
        others = np.setdiff1d(np.arange(d), targets)
        if not len(others):
            raise ValueError(
                f"targets are all {d} features of the mixture, which leaves none to predict from: name some of them only"
            )
        names = getattr(mixture, "feature_names_in_", None)
        fitted = {"mixture_": mixture, "targets_": targets, "_single": single, "n_features_in_": len(others)}
        self._set(**fitted, **named(None if names is None else np.asarray(names)[others]))

    def _rule(self) -> Conditional:
        params = self.mixture_._params(drawn=True)
        others = np.setdiff1d(np.arange(params.means.shape[1]), self.targets_)
        return conditional(params, others, self.targets_)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return E[y | x] of each sample, float64, (n,) or (n, q) as y was; with `return_std` also the standard deviations.

        Parameters
        ----------
        X : array-like of shape (n, d), path, fastgmm.chunks(...), or Dask collection
            For Dask the results are computed lazily: arrays for an array, series or frames with the same index for a frame.
        return_std : bool, default=False
            Whether to return the standard deviation of y given x as well: what components scatter about their regressions, and
            how much these differ. It does not count how uncertain the parameters are.

        Returns
        -------
        mean, or (mean, std) : ndarray of shape (n,) or (n, q), float64
        """
        with_std = _validation.check_bool("return_std", return_std)
        if is_dask(X):
            mean = self._lazily(X, std=False)
            return (mean, self._lazily(X, std=True)) if with_std else mean
        source: Any = self._source(X)
        if source.local is None:
            raise TypeError("predict takes data that are read here, or a Dask collection: pass X in parts")
        mean, variance = expected(source, self._rule(), self.n_threads, with_variance=with_std)
        return (self._shaped(mean), self._shaped(np.sqrt(variance))) if with_std else self._shaped(mean)

    def _shaped(self, values: Float) -> Float:
        return values[:, 0] if self._single else values

    def _lazily(self, X: Any, *, std: bool) -> Any:
        self._check_is_fitted()
        _validation.check_threads(self.n_threads)
        width, d = row_blocks(X).shape[1], self.n_features_in_
        self._check_features(d if width != width else width, _validation.feature_names(X))
        what = "std" if std else "prediction"
        columns: Any = what if self._single else [f"{what}{j}" for j in range(len(self.targets_))]
        evaluate = partial(_of_block, rule=self._rule(), std=std, single=self._single)
        return each_block(X, evaluate, columns, np.float64, d, self.n_threads)

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return R^2, 1 - sum w (y - E[y | x])^2 / sum w (y - mean y)^2, for several targets its mean over these.

        The best value is 1; 0 is what the mean of y would get. For a constant target it is 1 if the predictions are exact,
        else 0.
        """
        found = np.asarray(self.predict(X))
        known = _validation.check_targets(y, len(found), type(self).__name__).astype(np.float64)
        if known.ndim == 2 and found.ndim == 1 and known.shape[1] == 1:
            known = known[:, 0]
        if known.shape != found.shape:
            raise ValueError(f"y must have the shape {found.shape}, that of the predictions, got {known.shape}")
        weights = _validation.check_sample_weight(sample_weight, len(found))
        weights = np.ones(len(found)) if weights is None else weights
        known, found = known.reshape(len(found), -1), found.reshape(len(found), -1)
        left = weights @ (known - found) ** 2
        total = weights @ (known - weights @ known / weights.sum()) ** 2
        each = 1.0 - np.divide(left, total, out=(left > 0).astype(np.float64), where=total > 0)
        return float(each.mean())

    # --- files and scikit-learn ---

    def _parts(self) -> list[GaussianMixture]:
        return [self.mixture_]

    def _own_arrays(self) -> dict[str, NDArray[Any]]:
        return {"targets_": np.asarray(self.targets_, np.int64), "single": np.asarray(self._single)} | (
            {"feature_names_in_": np.asarray(self.feature_names_in_, np.str_)}
            if hasattr(self, "feature_names_in_")
            else {}
        )

    def _restore(self, parts: Sequence[GaussianMixture], arrays: dict[str, NDArray[Any]]) -> None:
        targets, d = arrays["targets_"], len(parts[0].means_[0])
        fits = targets.ndim == 1 and targets.dtype.kind in "iu" and len(set(targets.tolist())) == targets.size > 0
        if len(parts) != 1 or not fits or targets.min() < 0 or targets.max() >= d:
            raise ValueError(f"targets_ is {targets.tolist()}, for {len(parts)} mixture of {d} features")
        self._take(parts[0], targets.astype(np.int64), bool(arrays["single"]))
        if (names := arrays.get("feature_names_in_")) is not None:
            if names.shape != (self.n_features_in_,):
                raise ValueError(f"feature_names_in_ has the shape {names.shape}, not ({self.n_features_in_},)")
            self.feature_names_in_ = names.astype(object)

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import RegressorTags

        tags = super().__sklearn_tags__()
        tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
        tags.target_tags.required, tags.target_tags.multi_output = True, True
        return tags


def _of_block(source: LocalSource, *, rule: Conditional, std: bool, single: bool) -> Float:
    mean, variance = expected(source, rule, with_variance=std)
    values = np.sqrt(variance) if std else mean
    return values[:, 0] if single else values

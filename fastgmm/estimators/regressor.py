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
    """Regression by a Gaussian mixture of features and targets together (Gaussian mixture regression).

    A `GaussianMixture` is fitted to the rows (x, y). The prediction is its conditional mean E[y | x], an average of
    linear regressions with weights that depend on x; the conditional standard deviation is available too [1]_. With one
    component this is linear regression.

    Parameters
    ----------
    n_components : int, default=1
        Number of components of the mixture.
    covariance_type : str, default='full'
        What the covariances of features and targets together share, as in `GaussianMixture`. With diagonal and
        spherical ones the regressions have no slope: the prediction is an average of the means of the components.
    tol : float, default=1e-3
        EM stops when the mean log-likelihood per sample changes by less than this.
    reg_covar : float, default=1e-6
        Added to the variances, in squared units of the data. Predictions follow the units of x and y only if it is
        small: choose it below 1e-6 times the smallest variance.
    max_iter : int, default=100
        Maximum number of EM iterations of each start.
    n_init : int, default=1
        Number of starts, of which the best is kept.
    init_params : str or array-like of shape (n_samples,) or (n_samples, n_components), default='kmeans'
        How the initial parameters are found, as in `GaussianMixture`.
    prior : {None, 'default'} or NormalInverseWishart, default=None
        Prior of means and covariances, as in `GaussianMixture`.
    on_collapse : {'raise', 'reset'}, default='raise'
        What `fit` does if the covariance of a component is not positive definite, as in `GaussianMixture`.
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator, default=None
        Source of all random draws. An int gives the same result on each call.
    verbose : int, default=0
        0 prints nothing, 1 prints starts and every `verbose_interval`-th iteration, 2 also the change of the bound.
    verbose_interval : int, default=10
        Number of iterations between two printed lines.
    acceleration : {None, 'auto', 'over-relaxation', 'squarem'}, default=None
        How to reach the optimum of EM in fewer passes, as in `GaussianMixture`.
    algorithm : {'dense', 'pruned'}, default='dense'
        How `fit` goes through the samples, as in `GaussianMixture`.
    n_threads : int, optional
        Number of threads. By default Numba's setting. Results do not depend on it, to the bit.

    Attributes
    ----------
    mixture_ : GaussianMixture
        The fitted mixture of the features followed by the targets; the one that was passed to `from_mixture`.
    targets_ : ndarray of int of shape (n_targets,)
        Indices of the features of `mixture_` that are predicted.
    n_iter_ : int
        Number of EM iterations of the mixture.
    converged_ : bool
        Whether the fit of the mixture converged.
    n_features_in_ : int
        Number of features to predict from.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the columns; only if `X` was a data frame whose column names are all strings.

    See Also
    --------
    GaussianMixture.condition : Return the whole conditional distribution for given values.
    GaussianMixture.impute : Predict whichever values are missing.

    Notes
    -----
    With the probabilities r_k(x) of the components given x alone, and mu and S the means and covariances of component k
    ::

        m_k(x)    = mu_y + S_yx S_xx^-1 (x - mu_x)
        E[y | x]  = sum_k r_k(x) m_k(x)
        var[y | x] = sum_k r_k(x) (S_yy - S_yx S_xx^-1 S_xy + m_k(x)^2) - E[y | x]^2

    References
    ----------
    .. [1] Z. Ghahramani and M. I. Jordan, "Supervised learning from incomplete data via an EM approach", Advances in
       Neural Information Processing Systems 6, pp. 120-127, 1994.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm import GaussianMixtureRegressor
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> model = GaussianMixtureRegressor().fit(X, [0.1, 0.9, 2.1, 2.9])
    >>> model.predict([[1.5]]).round(3).tolist()
    [1.5]
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
        """Fit the mixture of features and targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, in memory. For larger data fit a `GaussianMixture` to features and targets together, in chunks or
            on Dask, and call `from_mixture`.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,), optional
            How many times each sample counts.

        Returns
        -------
        self
            The fitted regressor.

        Raises
        ------
        ValueError, TypeError
            As `GaussianMixture.fit`, or if `y` is missing or does not fit `X`. The regressor is then unchanged.

        See Also
        --------
        from_mixture : Use a mixture that is fitted already.

        Examples
        --------
        >>> from fastgmm import GaussianMixtureRegressor
        >>> from fastgmm.datasets import load_iris
        >>> X = load_iris().data
        >>> model = GaussianMixtureRegressor(3, random_state=0).fit(X[:, :2], X[:, 2:])
        >>> model.mixture_.means_.shape
        (3, 4)
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
        """Build a regressor that predicts some features of a fitted mixture from the others.

        Parameters
        ----------
        mixture : GaussianMixture
            A mixture fitted to features and targets together, on data of any kind.
        targets : int or str, or sequence of these
            Indices or names of the features to predict. For a single index or name predictions have the shape
            (n_samples,), for a sequence (n_samples, n_targets).

        Returns
        -------
        GaussianMixtureRegressor
            A fitted regressor that refers to `mixture`.

        Raises
        ------
        TypeError
            If `mixture` is not a `GaussianMixture`.
        NotFittedError
            If `mixture` is not fitted.
        ValueError
            If a target is not a feature of the mixture or is named twice, or if no feature is left to predict from.

        See Also
        --------
        fit : Fit the mixture too.
        GaussianMixture.condition : Return conditional mixtures.

        Examples
        --------
        >>> from fastgmm import GaussianMixture, GaussianMixtureRegressor
        >>> mixture = GaussianMixture.from_parameters([1.0], [[0.0, 10.0]], [[[1.0, 0.5], [0.5, 1.0]]])
        >>> GaussianMixtureRegressor.from_mixture(mixture, 1).predict([[2.0]]).round(3).tolist()
        [11.0]
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
        """Set the fitted attributes for a mixture whose `targets` are predicted."""
        d = len(mixture.means_[0])
        others = np.setdiff1d(np.arange(d), targets)
        if not len(others):
            raise ValueError(
                f"targets are all {d} features of the mixture, which leaves none to predict from: name fewer"
            )
        names = getattr(mixture, "feature_names_in_", None)
        fitted = {"mixture_": mixture, "targets_": targets, "_single": single, "n_features_in_": len(others)}
        self._set(**fitted, **named(None if names is None else np.asarray(names)[others]))

    def _rule(self) -> Conditional:
        params = self.mixture_._params(drawn=True)
        others = np.setdiff1d(np.arange(params.means.shape[1]), self.targets_)
        return conditional(params, others, self.targets_)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict the targets of each sample: the conditional mean, and optionally the standard deviation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), path, chunks or Dask collection
            Samples with the features of the fit in the same order.
        return_std : bool, default=False
            Whether to return the standard deviation of y given x too. It covers the scatter of the components about
            their regressions and the differences between these, but not the uncertainty of the parameters.

        Returns
        -------
        mean : ndarray of shape (n_samples,) or (n_samples, n_targets), dtype float64
            E[y | x], in the shape and units of the targets. Lazy for a Dask collection: an array, or a series or frame
            with the same index.
        std : ndarray of the same shape, dtype float64
            Standard deviation of y given x, in units of the targets; only with `return_std`.

        Raises
        ------
        NotFittedError
            If the regressor is not fitted.
        ValueError, TypeError, OSError
            If `X` cannot be used.

        See Also
        --------
        score : Compute R^2 of the predictions.

        Examples
        --------
        >>> from fastgmm import GaussianMixture, GaussianMixtureRegressor
        >>> mixture = GaussianMixture.from_parameters([1.0], [[0.0, 10.0]], [[[1.0, 0.5], [0.5, 1.0]]])
        >>> mean, std = GaussianMixtureRegressor.from_mixture(mixture, 1).predict([[0.0], [2.0]], return_std=True)
        >>> mean.round(3).tolist(), std.round(3).tolist()
        ([10.0, 11.0], [0.866, 0.866])
        """
        with_std = _validation.check_bool("return_std", return_std)
        if is_dask(X):
            mean = self._lazily(X, std=False)
            return (mean, self._lazily(X, std=True)) if with_std else mean
        source: Any = self._source(X)
        if source.local is None:
            raise TypeError("X is distributed, but it is not a Dask collection: predict parts of it")
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
        """Compute the coefficient of determination R^2 of the predictions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), path, chunks or Dask collection
            Samples with the features of the fit in the same order.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            True targets.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples in both sums. By default all weigh the same.

        Returns
        -------
        float
            R^2; the mean over several targets. The best value is 1; the mean of `y` would get 0. For a constant target
            it is 1 if all predictions are exact, else 0.

        Raises
        ------
        NotFittedError
            If the regressor is not fitted.
        ValueError, TypeError, OSError
            If `X`, `y` or `sample_weight` cannot be used.

        See Also
        --------
        predict : Return the predictions.

        Notes
        -----
        With the weights w_i and their weighted mean ybar of the targets ::

            R^2 = 1 - sum_i w_i (y_i - E[y | x_i])^2 / sum_i w_i (y_i - ybar)^2

        Examples
        --------
        >>> from fastgmm import GaussianMixtureRegressor
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0.1, 0.9, 2.1, 2.9]
        >>> round(GaussianMixtureRegressor().fit(X, y).score(X, y), 3)
        0.993
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

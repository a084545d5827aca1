"""Base class of fitted mixtures: predict, score, draw and save, whatever the fit."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import _validation
from fastgmm._errors import warn
from fastgmm._frames import framed
from fastgmm._names import MISSING_VALUES
from fastgmm.data.dask import each_block, is_dask, row_blocks
from fastgmm.data.noisy import on_parts, with_noise
from fastgmm.data.open import open_source
from fastgmm.data.source import Source
from fastgmm.em import evaluate, impute
from fastgmm.em.result import FitResult
from fastgmm.estimators import attributes, derived, exchange, ordering, saving
from fastgmm.estimators.account import account
from fastgmm.estimators.base import Estimator
from fastgmm.estimators.left_out import LeftOut, without
from fastgmm.estimators.notebook import Table
from fastgmm.model.noise import N_PARAMETERS
from fastgmm.model.params import Params
from fastgmm.model.structures import STRUCTURES, Structure

if TYPE_CHECKING:
    from typing_extensions import Self

    from fastgmm.estimators.gaussian_mixture import GaussianMixture

#: Methods by which scikit-learn's class, in versions 1.6 to 1.9, computes densities; they are not called here.
DENSITY_HOOKS = (
    "_estimate_log_prob",
    "_estimate_log_prob_resp",
    "_estimate_log_weights",
    "_estimate_weighted_log_prob",
)
#: Methods that its `fit` calls; they are not called here either.
FIT_HOOKS = (
    "_check_parameters",
    "_compute_lower_bound",
    "_e_step",
    *DENSITY_HOOKS,
    "_get_parameters",
    "_initialize",
    "_initialize_parameters",
    "_m_step",
    "_print_verbose_msg_init_beg",
    "_print_verbose_msg_init_end",
    "_print_verbose_msg_iter_end",
    "_set_parameters",
    "_validate_params",
)


#: Outcomes of a fit that a notebook shows beside the parameters, and the maximum numbers of components and features shown.
_OUTCOME = ("converged_", "n_iter_", "lower_bound_")
_SHOWN_COMPONENTS, _SHOWN_FEATURES = 10, 8


@cache
def _all_ours(bases: tuple[type, ...]) -> bool:
    return all(_is_ours(base) for base in bases if base is not object)


def _is_ours(method: Any) -> bool:
    return method is None or str(getattr(method, "__module__", "")).startswith("fastgmm.")


class Criteria(NamedTuple):
    """Log-likelihood of all samples, the sum of their weights, and the information criteria that follow from them."""

    log_likelihood: float
    total_weight: float
    bic: float
    aic: float

    @classmethod
    def of(cls, log_likelihood: float, total_weight: float, n_parameters: int) -> Criteria:
        """Return -2 log L + p log n (Schwarz, Ann. Stat. 6, 1978) and -2 log L + 2 p (Akaike 1974); lower is better."""
        penalty = n_parameters * math.log(total_weight)
        return cls(log_likelihood, total_weight, -2 * log_likelihood + penalty, -2 * log_likelihood + 2 * n_parameters)

    def icl(self, classification: float) -> float:
        """Return BIC minus twice the classification term, sum_i log max_k z_ik."""
        return self.bic - 2 * classification


#: Weights are considered relative if they add up to 1, or to less than this share of the number of samples of positive weight.
_PLAUSIBLE = 0.1


#: What uses the sum of the weights as the number of samples, and the consequence if that is wrong: ends of a warning.
CRITERIA_TAKE = "the criteria (bic, icl, aic) use that as the number of samples, so that they cannot compare models"
PRIOR_TAKES = "the prior uses that as the number of samples that it weighs against"


def warn_of_relative_weights(source: Source, what: str = CRITERIA_TAKE) -> None:
    """Warn if weights do not add up to a plausible number of samples, which criteria and priors take their sum to be.

    Weights that count repeated rows are plausible: their sum is not below the number of samples of positive weight. So
    are weights that add up to the number of samples, and those of a bootstrap. Shares and membership probabilities add
    up to less. If the sum is 1, or below a tenth of the number of samples of positive weight, only the ratios of the
    weights have a meaning.
    """
    total = source.total_weight * source.weight_unit
    weights = None if source.local is None else source.local.weights
    n = source.n_samples if weights is None else int(np.count_nonzero(weights))
    if n > 1 and total <= max(1.0 + 1e-5, _PLAUSIBLE * n):
        warn(
            f"sample_weight adds up to {total:.6g} for {n} samples of positive weight, and {what}. Multiply the weights by n / "
            f"sum(weights), where n is the number of samples that they represent, such as {n} (in Python: sample_weight * "
            "(n / sample_weight.sum()))",
            UserWarning,
        )


def _fitted(fit: FitResult, dtype: np.dtype) -> dict[str, Any]:
    """Return the parameters and outcomes of a fit as attributes; raise ValueError if `dtype` cannot hold them."""
    params = fit.params
    with np.errstate(over="ignore", invalid="ignore"):
        covariances, roots, precisions = (
            values.astype(dtype) for values in (params.covariances, params.prec_chol, params.precisions)
        )
    for values, what in ((covariances, "large"), (roots, "small"), (precisions, "small")):
        if not np.isfinite(values).all():
            raise ValueError(
                f"Fitting the mixture model failed: it has variances so {what} that {dtype} cannot hold them and their inverses. "
                f"Scale the data{', pass float64,' if dtype == np.float32 else ''} or choose another reg_covar"
            )
    noise = {} if params.noise is None else {"noise_": params.noise}
    return noise | {
        "weights_": params.weights.astype(dtype),
        "means_": params.means.astype(dtype),
        "covariances_": covariances,
        "precisions_cholesky_": roots,
        "precisions_": precisions,
        "converged_": fit.converged,
        "n_iter_": fit.n_iter,
        "lower_bound_": fit.lower_bound,
        "lower_bounds_": fit.lower_bounds,
        "n_passes_": fit.n_passes,
    }


class FittedMixture(Estimator):
    """Base class of fitted mixtures: methods that need only the fitted attributes and three constructor arguments.

    The arguments are `covariance_type`, `n_threads` and `random_state`.
    """

    covariance_type: str
    n_threads: int | None
    random_state: Any
    #: Whether NaN is an error or a missing value; an estimator with this argument sets its own attribute.
    missing_values: str = "raise"
    weights_: NDArray
    means_: NDArray
    covariances_: NDArray
    precisions_: NDArray
    precisions_cholesky_: NDArray
    converged_: bool
    n_iter_: int
    n_passes_: int
    lower_bound_: float
    lower_bounds_: list[float]
    n_features_in_: int
    feature_names_in_: NDArray
    #: Features of the data that `select` left out of the model; None if it left out none.
    _left_out: LeftOut | None = None
    #: The class of scikit-learn with the same interface.
    _sklearn_name: ClassVar[str] = "GaussianMixture"

    def _set_fitted(self, fit: FitResult, dtype: np.dtype, *gone: str, **others: Any) -> None:
        """Set the result of a fit and `others`, and remove the attributes named in `gone`."""
        kept = {name: value for name, value in vars(self).items() if name not in gone}
        # a single assignment: after Ctrl-C the attributes are all old or all new
        self.__dict__ = kept | self._attributes(fit, dtype) | others

    def _attributes(self, fit: FitResult, dtype: np.dtype) -> dict[str, Any]:
        """Return the parameters and the outcome of a fit as attributes."""
        return _fitted(fit, dtype)

    def _params(self, *, drawn: bool = False) -> Params:
        """Return the parameters in the fitted attributes; with `drawn` also check the covariances (`attributes.params`)."""
        return attributes.params(self, drawn=drawn)

    def _structure(self) -> Structure:
        """Return the structure of the fitted parameters; raise ValueError if `covariance_type` was changed after the fit."""
        return attributes.structure(self)

    def _check_is_fitted(self) -> None:
        if not self.__sklearn_is_fitted__() and attributes.assigned(self):
            raise attributes.missing(self, "means_")
        super()._check_is_fitted()

    def _refuse_overridden(self, hooks: Iterable[str], method: str) -> None:
        """Raise TypeError if a subclass, or the instance, overrides methods that scikit-learn's `method` would call."""
        own, instance = type(self), vars(self)
        if _all_ours(own.__mro__) and instance.keys().isdisjoint(hooks):
            return
        found = [name for name in hooks if name in instance or not _is_ours(getattr(own, name, None))]
        if found:
            raise TypeError(
                f"{own.__name__} overrides {', '.join(found)} of scikit-learn's GaussianMixture. fastgmm's {method} does not "
                "call overridden methods, so that its result would differ: inherit from sklearn.mixture.GaussianMixture, or "
                "rename a method that is not meant to change the results"
            )

    @property
    def _marginalizes(self) -> bool:
        """Return whether NaN is a missing value."""
        return _validation.check_choice("missing_values", self.missing_values, MISSING_VALUES) != "raise"

    def _valued(self, X: Any, sample_weight: Any = None, *, min_samples: int = 1) -> Source:
        """Return data to fit to or to sum over; samples without any value get weight 0."""
        return open_source(X, sample_weight, min_samples=min_samples, missing=self._marginalizes, valued=True)

    def _all_of(self, X: Any) -> Any:
        """Return samples that may have missing values, including those without any value."""
        source = self._source(X, valued=False, missing=True)
        if source.n_features != attributes.n_features(self):
            raise ValueError("impute needs exactly the features of the model: leave out those that `select` left out")
        return source

    def _source(
        self,
        X: Any,
        sample_weight: Any = None,
        noise_covariance: Any = None,
        *,
        valued: bool = True,
        missing: bool | None = None,
    ) -> Source:
        """Return checked data for a fitted model, with the features of the model.

        With `valued` they are for sums over samples; otherwise every sample gets an answer, even one without any value.
        `missing` says whether NaN is a missing value; by default `missing_values` decides.
        """
        self._check_is_fitted()
        _validation.check_threads(self.n_threads)
        names = _validation.feature_names(X)
        missing = self._marginalizes if missing is None else missing
        source = open_source(X, sample_weight, missing=missing, valued=valued)
        left_out = self._left_out_of(source.n_features, names)
        if left_out is not None:
            return with_noise(source, noise_covariance).of_features(left_out.kept(self.n_features_in_))
        self._check_features(source.n_features, names)
        return with_noise(source, noise_covariance)

    def _left_out_of(self, d: int, names: NDArray | None) -> LeftOut | None:
        """Return the features that `select` left out of the model if data of `d` features have them, else None."""
        left_out = self._left_out
        return left_out if left_out is not None and left_out.are_in(d, names, self.n_features_in_) else None

    def _check_features(self, got: int, names: NDArray | None) -> None:
        fitted = getattr(self, "feature_names_in_", None)
        _validation.check_same_features(got, names, attributes.n_features(self), fitted, type(self).__name__)

    def _each(
        self,
        X: Any,
        evaluate: Callable[..., NDArray],
        columns: Sequence[str] | str,
        noise_covariance: ArrayLike | None = None,
        *,
        dtype: type | None = None,
        missing: bool | None = None,
    ) -> Any:
        """Call ``evaluate(source, params, n_threads)``; for a Dask collection lazily, see `each_block`."""
        if not is_dask(X):
            return evaluate(self._source(X, None, noise_covariance, valued=False), self._params(), self.n_threads)
        self._check_is_fitted()
        _validation.check_threads(self.n_threads)
        width, d = row_blocks(X).shape[1], attributes.n_features(self)
        left_out = None if math.isnan(width) else self._left_out_of(width, _validation.feature_names(X))
        kept, all_features = None, d
        if left_out is not None:
            kept, all_features = left_out.kept(d), int(width)
            X = without(X, kept)
            width = row_blocks(X).shape[1]
        # an unknown number of columns is checked later, in each block
        self._check_features(d if math.isnan(width) else width, _validation.feature_names(X))
        on_part = on_parts(partial(evaluate, params=self._params()), noise_covariance, all_features, kept)
        missing = self._marginalizes if missing is None else missing
        return each_block(X, on_part, columns, dtype, d, self.n_threads, missing=missing)

    def predict(self, X: Any, noise_covariance: ArrayLike | None = None) -> NDArray[np.int64]:
        """Predict the most probable component of each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), path, chunks or Dask collection
            Samples, in any form that `fit` takes, with the features of the fit in the same order. float32 data are
            evaluated in float32 and summed in float64; all other numbers are converted to float64.
        noise_covariance : array-like, optional
            Known covariances of the measurement errors, as in `fit`: shape (n_samples, n_features), (n_samples,
            n_features, n_features), (n_features,) or (n_features, n_features), in squared units of `X`. They are added
            to the covariances of the components. By default `X` has no errors.

        Returns
        -------
        ndarray of shape (n_samples,), dtype int64
            Index of the component with the highest posterior probability, from 0 to n_components - 1, or -1 for the
            noise component of a model that was fitted with ``noise``. The lower index wins a tie. For a Dask array a
            lazy Dask array; for a Dask data frame a lazy series called ``label`` with the same partitions and index, so
            that ``X.assign(label=model.predict(X))`` works. A pandas or polars frame gives an ndarray.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If `X` does not have the features of the fit, holds NaN (unless ``missing_values='marginalize'``) or
            infinity, or `noise_covariance` has the wrong shape or is not positive semi-definite.
        TypeError
            If a subclass overrides a density method of scikit-learn's class, which would not be called here.
        OSError
            If a file cannot be read.

        See Also
        --------
        predict_proba : Return the probability of each component.
        fit_predict : Fit and predict the same samples.
        score_samples : Return the log-density of each sample, such as to find outliers.

        Examples
        --------
        >>> from fastgmm import GaussianMixture
        >>> model = GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [4.0]], [[[1.0]], [[1.0]]])
        >>> model.predict([[-0.3], [1.9], [2.1]]).tolist()
        [0, 0, 1]
        """
        self._refuse_overridden(DENSITY_HOOKS, "predict")
        return self._each(X, evaluate.labels, "label", noise_covariance, dtype=np.int64)

    def predict_proba(self, X: Any, noise_covariance: ArrayLike | None = None) -> NDArray:
        """Compute the posterior probability of each component for each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), path, chunks or Dask collection
            Samples, in any form that `fit` takes, with the features of the fit in the same order.
        noise_covariance : array-like, optional
            Known covariances of the measurement errors, as in `fit`, in squared units of `X`. By default `X` has no
            errors.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Probabilities (responsibilities); each row adds up to 1. float32 if `X` is float32, else float64. With a
            noise component the shape is (n_samples, n_components + 1), and the last column is that of noise. For a Dask
            array a lazy Dask array; for a Dask data frame a lazy frame with the columns ``p0``, ``p1``, ... (and
            ``noise``) and the same index.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If `X` or `noise_covariance` cannot be used, as in `predict`.
        TypeError
            If a subclass overrides a density method of scikit-learn's class, which would not be called here.
        OSError
            If a file cannot be read.

        See Also
        --------
        predict : Return the most probable component only.
        score_samples : Return the denominator of these probabilities, the log-density.

        Notes
        -----
        With the weights w_k and the densities N(x | mu_k, Sigma_k) of the components, Bayes' rule gives ::

            r_k(x) = w_k N(x | mu_k, Sigma_k) / sum_j w_j N(x | mu_j, Sigma_j)

        It is computed from logarithms, so that a small denominator does not matter. A sample so far away that all
        log-densities are -inf has probability 0 for every component. Under `BayesianGaussianMixture`, expectations over
        the posterior take the place of log w_k and log N.

        Examples
        --------
        >>> from fastgmm import GaussianMixture
        >>> model = GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [4.0]], [[[1.0]], [[1.0]]])
        >>> model.predict_proba([[0.0], [1.9], [2.0]]).round(3).tolist()
        [[1.0, 0.0], [0.599, 0.401], [0.5, 0.5]]
        """
        self._refuse_overridden(DENSITY_HOOKS, "predict_proba")
        self._check_is_fitted()
        return self._each(X, evaluate.responsibilities, self._columns(), noise_covariance)

    def _columns(self) -> list[str]:
        """Return the names of the components in tables: p0, p1, ... and, if the model has noise, ``noise``."""
        return [f"p{c}" for c in range(len(self.means_))] + ["noise"] * hasattr(self, "noise_")

    def score_samples(self, X: Any, noise_covariance: ArrayLike | None = None) -> NDArray:
        """Compute the log-density of the mixture at each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), path, chunks or Dask collection
            Samples, in any form that `fit` takes, with the features of the fit in the same order.
        noise_covariance : array-like, optional
            Known covariances of the measurement errors, as in `fit`, in squared units of `X`. The density is then that
            of the measured value, whose covariance in each component is the component's plus that of the error.

        Returns
        -------
        ndarray of shape (n_samples,)
            Natural logarithm of the density, in units of 1 over the product of the units of the features. float32 if
            `X` is float32, else float64. For a Dask collection a lazy Dask array or series, as in `predict`.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If `X` or `noise_covariance` cannot be used, as in `predict`.
        TypeError
            If a subclass overrides a density method of scikit-learn's class, which would not be called here.
        OSError
            If a file cannot be read.

        See Also
        --------
        score : Return the mean over the samples.
        GaussianMixtureOutlierDetector : Find samples of low density with a threshold.

        Notes
        -----
        The value is log sum_k w_k N(x | mu_k, Sigma_k), computed as a log-sum-exp. With missing values each density is
        that of the observed features; a sample without any value has log-density 0. Under `BayesianGaussianMixture` it
        is log sum_k exp(E[log w_k] + E[log N(x | mu_k, Lambda_k)]), as in scikit-learn.

        Examples
        --------
        >>> from fastgmm import GaussianMixture
        >>> model = GaussianMixture.from_parameters([1.0], [[0.0]], [[[1.0]]])
        >>> model.score_samples([[0.0], [3.0]]).round(3).tolist()
        [-0.919, -5.419]

        A threshold for outliers: the log-density that one sample in a hundred of the training data lies below.

        >>> import numpy as np
        >>> from fastgmm.datasets import load_iris
        >>> X = load_iris().data
        >>> density = GaussianMixture(n_components=2, random_state=0).fit(X).score_samples(X)
        >>> int((density < np.quantile(density, 0.01)).sum())
        2
        """
        self._refuse_overridden(DENSITY_HOOKS, "score_samples")
        return self._each(X, evaluate.log_prob, "log_likelihood", noise_covariance)

    def score(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        noise_covariance: ArrayLike | None = None,
    ) -> float:
        """Compute the mean log-density of the samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), path, chunks or Dask collection
            Samples, in any form that `fit` takes, with the features of the fit in the same order.
        y : None
            Ignored; present for scikit-learn's interface.
        sample_weight : array-like of shape (n_samples,), optional
            Non-negative weights of the samples in the mean; their scale has no influence. By default all weigh the
            same.
        noise_covariance : array-like, optional
            Known covariances of the measurement errors, as in `fit`, in squared units of `X`.

        Returns
        -------
        float
            Mean of `score_samples`; higher is better. For a Dask collection it is computed at once.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If `X`, `sample_weight` or `noise_covariance` cannot be used.
        TypeError
            If a subclass overrides a density method of scikit-learn's class, which would not be called here.
        OSError
            If a file cannot be read.

        See Also
        --------
        score_samples : Return the log-density of each sample.
        bic : Compare models of different size on the same samples.

        Examples
        --------
        >>> from fastgmm import GaussianMixture
        >>> model = GaussianMixture.from_parameters([1.0], [[0.0]], [[[1.0]]])
        >>> round(model.score([[0.0], [3.0]]), 3)
        -3.169
        >>> round(model.score([[0.0], [3.0]], sample_weight=[9, 1]), 3)
        -1.369
        """
        source = self._source(X, sample_weight, noise_covariance)
        return self._log_likelihood(source, X, sample_weight, noise_covariance) / (
            source.total_weight * source.weight_unit
        )

    def _log_likelihood(
        self, source: Source, X: Any, sample_weight: ArrayLike | None, noise_covariance: ArrayLike | None
    ) -> float:
        if type(self).score_samples is FittedMixture.score_samples:
            self._refuse_overridden(DENSITY_HOOKS, "score")
            return evaluate.log_likelihood(source, self._params(), self.n_threads) * source.weight_unit
        of_errors = {} if noise_covariance is None else {"noise_covariance": noise_covariance}
        each = np.asarray(self.score_samples(X, **of_errors), np.float64)  # a subclass has densities of its own
        return float(each.sum() if sample_weight is None else each @ np.asarray(sample_weight, np.float64))

    def _criteria(self, X: Any, sample_weight: ArrayLike | None, noise_covariance: ArrayLike | None = None) -> Criteria:
        source = self._source(X, sample_weight, noise_covariance)
        warn_of_relative_weights(source)
        n = source.total_weight * source.weight_unit
        return Criteria.of(self._log_likelihood(source, X, sample_weight, noise_covariance), n, self._n_parameters())

    def bic(self, X: Any, sample_weight: ArrayLike | None = None, noise_covariance: ArrayLike | None = None) -> float:
        """Compute the Bayesian information criterion of the model on samples.

        Compare models that were fitted to the same samples: the lowest value is best. mclust prints the negative of it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), path, chunks or Dask collection
            Samples, in any form that `fit` takes, with the features of the fit in the same order.
        sample_weight : array-like of shape (n_samples,), optional
            How many times each sample counts. n is the sum of the weights, so that their scale matters, unlike in
            `fit`. Multiply relative weights by n_samples / ``sample_weight.sum()`` first.
        noise_covariance : array-like, optional
            Known covariances of the measurement errors, as in `fit`, in squared units of `X`.

        Returns
        -------
        float
            -2 log L + p log n; lower is better.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If `X`, `sample_weight` or `noise_covariance` cannot be used.
        TypeError
            If a subclass overrides a density method of scikit-learn's class, which would not be called here.
        OSError
            If a file cannot be read.

        Warns
        -----
        UserWarning
            If the weights add up to 1, or to less than a tenth of the number of samples of positive weight: their sum
            cannot be a number of samples.

        See Also
        --------
        aic : Penalise parameters less.
        icl : Penalise overlapping components too.
        select : Fit many numbers of components and covariance structures, and choose by a criterion.

        Notes
        -----
        L is the likelihood of all samples, n their number or the sum of their weights, and p the number of free
        parameters [1]_. These are n_components - 1 weights, n_components * n_features means, and the parameters of the
        covariances, which depend on ``covariance_type``. A noise component adds two, as in mclust; parameters in
        ``fixed`` are not counted.

        References
        ----------
        .. [1] G. Schwarz, "Estimating the dimension of a model", The Annals of Statistics 6(2), pp. 461-464, 1978.

        Examples
        --------
        >>> from fastgmm import GaussianMixture
        >>> from fastgmm.datasets import load_iris
        >>> X = load_iris().data
        >>> [round(GaussianMixture(k, random_state=0).fit(X).bic(X)) for k in (1, 2, 3)]
        [830, 574, 581]
        """
        return self._criteria(X, sample_weight, noise_covariance).bic

    def aic(self, X: Any, sample_weight: ArrayLike | None = None, noise_covariance: ArrayLike | None = None) -> float:
        """Compute Akaike's information criterion of the model on samples.

        It penalises parameters less than `bic` does from 8 samples on, and so prefers larger models.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), path, chunks or Dask collection
            Samples, in any form that `fit` takes, with the features of the fit in the same order.
        sample_weight : array-like of shape (n_samples,), optional
            How many times each sample counts. Their scale matters, as in `bic`.
        noise_covariance : array-like, optional
            Known covariances of the measurement errors, as in `fit`, in squared units of `X`.

        Returns
        -------
        float
            -2 log L + 2 p; lower is better.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If `X`, `sample_weight` or `noise_covariance` cannot be used.
        TypeError
            If a subclass overrides a density method of scikit-learn's class, which would not be called here.
        OSError
            If a file cannot be read.

        Warns
        -----
        UserWarning
            If the sum of the weights cannot be a number of samples, as in `bic`.

        See Also
        --------
        bic : Penalise parameters by log n rather than by 2.
        icl : Penalise overlapping components too.

        Notes
        -----
        L is the likelihood of all samples and p the number of free parameters [1]_, counted as in `bic`.

        References
        ----------
        .. [1] H. Akaike, "A new look at the statistical model identification", IEEE Transactions on Automatic Control
           19(6), pp. 716-723, 1974.

        Examples
        --------
        >>> from fastgmm import GaussianMixture
        >>> from fastgmm.datasets import load_iris
        >>> X = load_iris().data
        >>> [round(GaussianMixture(k, random_state=0).fit(X).aic(X)) for k in (1, 2, 3)]
        [788, 487, 448]
        """
        return self._criteria(X, sample_weight, noise_covariance).aic

    def icl(self, X: Any, sample_weight: ArrayLike | None = None, noise_covariance: ArrayLike | None = None) -> float:
        """Compute the integrated completed likelihood criterion of the model on samples.

        This is `bic` plus a penalty for samples that do not clearly belong to one component. It chooses a number of
        clusters rather than the best density: components that overlap do not pay.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), path, chunks or Dask collection
            Samples, in any form that `fit` takes, with the features of the fit in the same order.
        sample_weight : array-like of shape (n_samples,), optional
            How many times each sample counts. Their scale matters, as in `bic`.
        noise_covariance : array-like, optional
            Known covariances of the measurement errors, as in `fit`, in squared units of `X`.

        Returns
        -------
        float
            -2 log L + p log n - 2 sum_i log max_k z_ik; lower is better. mclust prints the negative of it.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If `X`, `sample_weight` or `noise_covariance` cannot be used.
        TypeError
            If a subclass overrides a density method of scikit-learn's class, which would not be called here.
        OSError
            If a file cannot be read.

        Warns
        -----
        UserWarning
            If the sum of the weights cannot be a number of samples, as in `bic`.

        See Also
        --------
        bic : Choose the best density, without this penalty.
        select : Choose a model by ``criterion='icl'``.
        fastgmm.merge : Join components that overlap after a choice by `bic`.

        Notes
        -----
        z_ik is the responsibility of component k for sample i, and each sample counts for its most probable component,
        as in [1]_. L, p and n are those of `bic`.

        References
        ----------
        .. [1] C. Biernacki, G. Celeux and G. Govaert, "Assessing a mixture model for clustering with the integrated
           completed likelihood", IEEE Transactions on Pattern Analysis and Machine Intelligence 22(7), pp. 719-725,
           2000.

        Examples
        --------
        >>> from fastgmm import GaussianMixture
        >>> from fastgmm.datasets import load_iris
        >>> X = load_iris().data
        >>> [round(GaussianMixture(k, random_state=0).fit(X).icl(X)) for k in (1, 2, 3)]
        [830, 574, 584]
        """
        self._refuse_overridden(DENSITY_HOOKS, "icl")
        source = self._source(X, sample_weight, noise_covariance)
        warn_of_relative_weights(source)
        sums = evaluate.classified(source, self._params(), self.n_threads).times(source.weight_unit)
        n = source.total_weight * source.weight_unit
        return Criteria.of(sums.log_likelihood, n, self._n_parameters()).icl(sums.classification)

    def impute(self, X: Any, *, n_draws: int | None = None, random_state: Any = None) -> Any:
        """Fill in missing values from what the mixture says of them, given the observed values.

        `X` itself is not changed. By default each missing value is replaced by its conditional mean. Such values vary
        less than real ones: if the analysis depends on the spread, draw several data sets with `n_draws`, analyse each,
        and combine the results [1]_.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), path, chunks or Dask collection
            Samples with missing values: NaN, None, the NA of pandas and polars, or masked values. They are accepted
            whatever ``missing_values`` is. The features must be those of the model.
        n_draws : int, optional
            Number of random data sets. Each draw takes a component from the posterior first, then the missing values
            from their distribution given that component and the observed values. By default the conditional mean is
            returned.
        random_state : None, int, numpy.random.RandomState or numpy.random.Generator, default=None
            Source of the draws; without effect unless `n_draws` is given.

        Returns
        -------
        ndarray of shape (n_samples, n_features) or (n_draws, n_samples, n_features)
            The completed data, float32 if `X` is float32, else float64. The conditional mean of a pandas or polars
            frame is a frame of the same kind, columns and index; that of a Dask collection is a lazy Dask collection.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If `X` does not have the features of the model, or `n_draws` is not positive.
        TypeError
            If `n_draws` is given for a Dask collection.
        OSError
            If a file cannot be read.

        See Also
        --------
        condition : Return the distribution of some features given others as a mixture.
        GaussianMixtureRegressor : Predict features that are always missing from the others.

        Notes
        -----
        With the observed features o of a sample, the missing ones m, and the probabilities r_k of the components given
        x_o, the conditional mean is ::

            E[x_m | x_o] = sum_k r_k (mu_k,m + Sigma_k,mo Sigma_k,oo^-1 (x_o - mu_k,o))

        A sample without any value gets the mean of the mixture, or draws from it.

        References
        ----------
        .. [1] D. B. Rubin, "Multiple Imputation for Nonresponse in Surveys", Wiley, 1987.

        Examples
        --------
        >>> from fastgmm import GaussianMixture
        >>> nan = float("nan")
        >>> model = GaussianMixture.from_parameters([1.0], [[0.0, 10.0]], [[[1.0, 0.5], [0.5, 1.0]]])
        >>> model.impute([[2.0, nan], [nan, 10.0], [1.0, 1.0]]).round(3).tolist()
        [[2.0, 11.0], [0.0, 10.0], [1.0, 1.0]]
        >>> model.impute([[2.0, nan]], n_draws=5, random_state=0).shape
        (5, 1, 2)
        """
        self._refuse_overridden(DENSITY_HOOKS, "impute")
        self._check_is_fitted()
        if n_draws is not None:
            _validation.check_integer("n_draws", n_draws, 1)
            rng = _validation.check_random_state(random_state)
            if is_dask(X):
                raise TypeError(
                    "n_draws cannot be used with a Dask collection: draw for parts of X in memory, or leave n_draws out"
                )
            return impute.drawn(self._all_of(X), self._params(), n_draws, rng, self.n_threads)
        if not is_dask(X):
            return framed(impute.imputed(self._all_of(X), self._params(), self.n_threads), X)
        names = _validation.feature_names(X)
        columns = [f"x{j}" for j in range(attributes.n_features(self))] if names is None else list(names)
        return self._each(X, impute.imputed, columns, missing=True)

    def sample(self, n_samples: int = 1) -> tuple[NDArray, NDArray[np.int64]]:
        """Draw random samples from the mixture.

        Draws come from ``random_state`` of the model. With an integer each call returns the same samples.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples, at least 1.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features), dtype float64
            The samples, ordered by component; those of noise, uniform in its box, come last.
        y : ndarray of shape (n_samples,), dtype int64
            The component of each sample; -1 for noise.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If `n_samples` is not a positive integer, or assigned covariances are not positive definite.

        See Also
        --------
        GaussianMixture.from_parameters : Build a model to draw from without data.
        fastgmm.datasets.make_mixture : Draw samples of a random mixture.

        Examples
        --------
        >>> import numpy as np
        >>> from fastgmm import GaussianMixture
        >>> model = GaussianMixture.from_parameters(
        ...     [0.25, 0.75], [[0.0], [100.0]], [[[1.0]], [[1.0]]], random_state=0
        ... )
        >>> X, y = model.sample(1000)
        >>> X.shape, y.shape
        ((1000, 1), (1000,))
        >>> bool(np.array_equal(y, (X[:, 0] > 50).astype(int)))
        True
        """
        self._check_is_fitted()
        n_samples = _validation.check_integer("n_samples", n_samples, 1)
        rng = _validation.check_random_state(self.random_state)
        params = self._params(drawn=True)
        k = len(params.means)
        # not converted: draws from float32 parameters differ in their bits from draws from the same numbers in float64
        means, covariances = np.asarray(self.means_), np.asarray(getattr(self, "covariances_", params.covariances))
        weights, labels = params.weights, np.arange(k, dtype=np.int64)
        if params.noise is not None:
            weights, labels = np.append(weights, params.noise.weight), np.append(labels, -1)
        counts = rng.multinomial(n_samples, weights / weights.sum())
        drawn = [params.layout.draw(rng, means[i], covariances, i, int(count)) for i, count in enumerate(counts[:k])]
        if params.noise is not None:
            drawn.append(params.noise.draw(rng, int(counts[k])))
        return np.vstack(drawn), np.repeat(labels, counts)

    def sort_components(self, by: Any = "weight") -> Self:
        """Reorder the components in all fitted attributes at once.

        Parameters
        ----------
        by : 'weight', int, str, callable or array-like of shape (n_components,), default='weight'
            The order. 'weight' puts the largest weight first. The index or the name of a feature sorts by its means,
            ascending. A function gets the model and returns a key for each component, shape (n_components,); keys are
            sorted in ascending order. An array is the new order itself: component ``by[0]`` comes first. Ties keep
            their order.

        Returns
        -------
        self
            The model, changed in place.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If `by` is none of these, or if the order of the components has a meaning: under a Dirichlet process their
            weights follow from it, and ``fixed`` names components by their index.

        See Also
        --------
        summary : Print the components in their order.

        Examples
        --------
        >>> from fastgmm import GaussianMixture
        >>> model = GaussianMixture.from_parameters([0.3, 0.7], [[5.0], [1.0]], [[[1.0]], [[2.0]]])
        >>> model.sort_components().means_.tolist()
        [[1.0], [5.0]]
        >>> model.sort_components(by=lambda model: model.covariances_[:, 0, 0]).means_.tolist()
        [[5.0], [1.0]]
        """
        self._check_is_fitted()
        self._refuse_order()
        order = ordering.order_of(self, by)
        self.__dict__ |= ordering.reordered(self, order, self._structure().layout)
        return self

    def _refuse_order(self) -> None:
        """Raise ValueError if the order of the components has a meaning."""

    def summary(self, X: Any = None, sample_weight: ArrayLike | None = None) -> str:
        """Describe the fitted mixture in a text to print.

        The text has the settings, the outcome of the fit, weights, means and variances. With data it also has the
        log-likelihood, the criteria, the number of samples of each component, and how certain the assignments are.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), path, chunks or Dask collection, optional
            Samples to describe the model on, in any form that `fit` takes. By default only the model is described.
        sample_weight : array-like of shape (n_samples,), optional
            How many times each sample counts in the log-likelihood, the criteria and the entropy.

        Returns
        -------
        str
            The text, of several lines. At most 50 components and 12 features are listed.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If `X` or `sample_weight` cannot be used.
        OSError
            If a file cannot be read.

        See Also
        --------
        bic : Compute one criterion as a number.
        fastgmm.plotting.plot_classification : Draw the components and the samples.

        Notes
        -----
        With the responsibilities z_ik, the entropy is sum_i sum_k -z_ik log z_ik; its largest possible value is n log k
        for k components, noise included. The mean certainty is the geometric mean, over the samples, of the probability
        of the most probable component.

        Examples
        --------
        >>> from fastgmm import GaussianMixture
        >>> model = GaussianMixture.from_parameters([0.3, 0.7], [[5.0], [1.0]], [[[1.0]], [[2.0]]])
        >>> print(model.summary())
        GaussianMixture, covariance_type='full', with 2 components of 1 feature
        <BLANKLINE>
             free parameters  5
                   converged  yes
                  iterations  0
        <BLANKLINE>
        component    weight
                0    0.3000
                1    0.7000
        <BLANKLINE>
             mean           x0
                0            5
                1            1
        <BLANKLINE>
         variance           x0
                0            1
                1            2
        """
        self._check_is_fitted()
        params = self._params()
        figures: dict[str, Any] = {"free parameters": self._n_parameters()}
        if hasattr(self, "converged_"):
            figures |= {"converged": "yes" if self.converged_ else "no", "iterations": self.n_iter_}
        if X is None:
            return account(self, params, figures, None)
        source = self._source(X, sample_weight)
        n = source.total_weight * source.weight_unit
        sums = evaluate.classified(source, params, self.n_threads).times(source.weight_unit)
        figures = {"samples": source.n_samples} | ({"sum of weights": n} if n != source.n_samples else {}) | figures
        figures["log-likelihood"] = sums.log_likelihood
        if callable(getattr(self, "bic", None)):
            criteria = Criteria.of(sums.log_likelihood, n, self._n_parameters())
            figures |= {"BIC": criteria.bic, "ICL": criteria.icl(sums.classification), "AIC": criteria.aic}
        largest = n * math.log(max(params.n_densities, 2))
        figures["entropy"] = f"{sums.entropy:.3f} ({100 * sums.entropy / largest:.1f} % of n log k)"
        figures["mean certainty"] = f"{math.exp(sums.classification / n):.4f}"
        labels = np.asarray(self.predict(X))
        sizes = np.bincount(np.where(labels < 0, len(params.weights), labels), minlength=params.n_densities)
        return account(self, params, figures, sizes)

    def to_sklearn(self) -> Any:
        """Convert the fitted model to scikit-learn's class of the same name.

        Arrays are copied. A structure of mclust such as 'VEV' becomes the covariance type that stores its covariances:
        'full', 'tied', 'diag' or 'spherical'.

        Returns
        -------
        sklearn.mixture.GaussianMixture or sklearn.mixture.BayesianGaussianMixture
            A fitted model with the same parameters. Arguments that scikit-learn does not have are left out; a start
            that it does not know becomes 'kmeans'.

        Raises
        ------
        ImportError
            If scikit-learn is not installed.
        NotFittedError
            If the model is not fitted.
        ValueError
            If the model has a noise component, which scikit-learn does not know.

        See Also
        --------
        from_sklearn : Convert in the other direction.
        save : Write the model to a file that needs neither scikit-learn nor pickle.

        Examples
        --------
        >>> from fastgmm import GaussianMixture
        >>> model = GaussianMixture.from_parameters([0.3, 0.7], [[5.0], [1.0]], [[[1.0]], [[2.0]]])
        >>> theirs = model.to_sklearn()
        >>> theirs.predict([[4.0], [0.0]])
        array([0, 1])
        """
        self._check_is_fitted()
        return exchange.to_sklearn(self, self._sklearn_name)

    @classmethod
    def from_sklearn(cls, model: Any) -> Self:
        """Convert a fitted model of scikit-learn's class of the same name.

        Parameters
        ----------
        model : sklearn.mixture.GaussianMixture or sklearn.mixture.BayesianGaussianMixture
            A fitted model: of the first class for `GaussianMixture`, of the second for `BayesianGaussianMixture`. It is
            not changed.

        Returns
        -------
        self
            A new fitted model with copies of the parameters, the posterior and the outcome of the fit.

        Raises
        ------
        TypeError
            If `model` is of another class.
        ValueError
            If `model` is not fitted.

        See Also
        --------
        to_sklearn : Convert in the other direction.
        GaussianMixture.from_parameters : Build a model from arrays.

        Examples
        --------
        >>> import sklearn.mixture
        >>> from fastgmm import GaussianMixture
        >>> from fastgmm.datasets import load_iris
        >>> theirs = sklearn.mixture.GaussianMixture(2, random_state=0).fit(load_iris().data)
        >>> GaussianMixture.from_sklearn(theirs).means_.shape
        (2, 4)
        """
        found: Self = exchange.from_sklearn(cls, model, cls._sklearn_name)
        return found

    def marginal(self, features: int | str | Sequence[int | str]) -> GaussianMixture:
        """Return the mixture of some of the features.

        The marginal of a mixture has the same weights; its means and covariances are the parts of the chosen features.

        Parameters
        ----------
        features : int or str, or sequence of these
            Indices or names (`feature_names_in_`) of the features, all different, in the order of the new model.

        Returns
        -------
        GaussianMixture
            A fitted model, float32 if this one is. Its `covariance_type` is that of this model, with two exceptions if
            there are fewer features: 'EVI' becomes 'VVI', and 'EVE', 'VVE', 'EEV', 'VEV' and 'EVV' become 'VVV', since
            the components share their part in all features only. The marginal of a `BayesianGaussianMixture` has the
            expected parameters.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If a feature is not the model's or is named twice, or if the box of a noise component is not along the axes
            of the features.
        TypeError
            If `features` are neither indices nor names.

        See Also
        --------
        condition : Return the mixture of some features given values of the others.

        Examples
        --------
        >>> from fastgmm import GaussianMixture
        >>> model = GaussianMixture.from_parameters([1.0], [[0.0, 10.0]], [[[1.0, 0.5], [0.5, 4.0]]])
        >>> part = model.marginal(1)
        >>> part.means_.tolist(), part.covariances_.tolist()
        ([[10.0]], [[[4.0]]])
        """
        return derived.marginal(self, features)

    def condition(
        self, features: int | str | Sequence[int | str], values: ArrayLike
    ) -> GaussianMixture | list[GaussianMixture]:
        """Return the mixture of the other features, given values of some.

        Parameters
        ----------
        features : int or str, or sequence of these
            Indices or names of the p features whose values are given, all different; at least one feature must be left.
        values : array-like of shape (p,) or (n, p)
            Their values in the same order, in the units of the data; a number for a single feature. With two
            dimensions, n sets of values.

        Returns
        -------
        GaussianMixture or list of GaussianMixture
            Fitted model of the features that are not given, in their order, with the `covariance_type` of `marginal`.
            If `values` has two dimensions, a list of n models.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If a feature is not the model's or is named twice, if all are given, if values have the wrong shape or
            density 0, or if the box of a noise component is not along the axes of the features.
        TypeError
            If `features` are neither indices nor names.

        See Also
        --------
        marginal : Return the mixture of some features, whatever the others are.
        GaussianMixtureRegressor.from_mixture : Predict conditional means and standard deviations of many samples.

        Notes
        -----
        Given x, component k of the mixture of y has ::

            weight      w_k N(x | mu_x, S_xx), divided by the sum of these
            mean        mu_y + S_yx S_xx^-1 (x - mu_x)
            covariance  S_yy - S_yx S_xx^-1 S_xy

        with mu and S of the component [1]_.

        References
        ----------
        .. [1] Z. Ghahramani and M. I. Jordan, "Supervised learning from incomplete data via an EM approach", Advances
           in Neural Information Processing Systems 6, pp. 120-127, 1994.

        Examples
        --------
        >>> from fastgmm import GaussianMixture
        >>> model = GaussianMixture.from_parameters([1.0], [[0.0, 10.0]], [[[1.0, 0.5], [0.5, 1.0]]])
        >>> given = model.condition(0, 2.0)
        >>> given.means_.round(3).tolist(), given.covariances_.round(3).tolist()
        ([[11.0]], [[[0.75]]])
        """
        return derived.condition(self, features, values)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to a file that `fastgmm.load` reads back to the bit.

        The file is an npz archive without pickle, so that loading it executes nothing. It is written completely or not
        at all: if writing fails, an existing file stays as it is.

        Parameters
        ----------
        path : str or path-like
            File to write, named exactly so: no extension is added, and an existing file is replaced.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If the fitted attributes contradict each other or the arguments, such as after ``set_params`` with another
            `covariance_type`.
        TypeError
            If the model is of a subclass, or an argument can be stored neither as JSON nor as an array.
        OSError
            If the file cannot be written.

        See Also
        --------
        fastgmm.load : Read the file.
        to_sklearn : Convert the model to scikit-learn's class.

        Notes
        -----
        Averages of `partial_fit` are stored, so that a stream resumes with the same bits. A `random_state` that is a
        generator is stored as None, since its state is not part of the fit.

        Examples
        --------
        >>> import os, tempfile
        >>> import fastgmm
        >>> model = fastgmm.GaussianMixture.from_parameters([0.3, 0.7], [[5.0], [1.0]], [[[1.0]], [[2.0]]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(os.path.join(folder, "model.npz"))
        ...     again = fastgmm.load(os.path.join(folder, "model.npz"))
        >>> again.means_.tolist()
        [[5.0], [1.0]]
        """
        self._check_is_fitted()
        saving.save(self, path)

    def _described(self) -> tuple[str, list[Table]]:
        if not attributes.assigned(self):
            return "not fitted", []
        try:
            self._check_is_fitted()
            params = self._params()
        except (ValueError, TypeError) as error:  # attributes that were assigned
            return str(error), []
        k, d = params.means.shape
        state = f"{k} component{'s' * (k > 1)} of {d} feature{'s' * (d > 1)}"
        found = [(name, repr(getattr(self, name))) for name in _OUTCOME if hasattr(self, name)]
        names = [str(name) for name in getattr(self, "feature_names_in_", [f"x{j}" for j in range(d)])]
        more = ("...",) if d > _SHOWN_FEATURES else ()
        rows = [
            (str(i), *(f"{value:.5g}" for value in (params.weights[i], *params.means[i, :_SHOWN_FEATURES])), *more)
            for i in range(min(k, _SHOWN_COMPONENTS))
        ]
        if k > _SHOWN_COMPONENTS:
            rows.append(("...",) * len(rows[0]))
        if params.noise is not None:
            rows.append(("noise", f"{params.noise.weight:.5g}", *[""] * (len(rows[0]) - 2)))
        means = Table("Weights and means", ("component", "weight", *names[:_SHOWN_FEATURES], *more), rows)
        return state, [Table("Fit", (), found), means] if found else [means]

    # --- private methods of scikit-learn's class that other programs call ---

    def _n_parameters(self) -> int:
        """Return the number of free parameters, as `bic`, `aic` and `icl` count them."""
        self._check_is_fitted()
        of_noise = N_PARAMETERS if hasattr(self, "noise_") else 0
        return self._structure().n_parameters(*np.shape(self.means_)) + of_noise

    def _estimate_log_weights(self) -> NDArray:
        """Return the logarithms of the weights, shape (k,); with noise (k + 1,), its own last."""
        self._check_is_fitted()
        params = self._params()
        weights = params.weights if params.noise is None else np.append(params.weights, params.noise.weight)
        with np.errstate(divide="ignore"):
            return np.log(weights)

    def _estimate_log_prob(self, X: Any) -> Any:
        """Return the log-density of each sample under each component, shape (n, k)."""
        self._check_is_fitted()
        return self._each(X, evaluate.log_density, self._columns())

    def _estimate_weighted_log_prob(self, X: Any) -> Any:
        """Return the log-density of each sample under each component plus its log-weight, shape (n, k)."""
        log_prob = self._estimate_log_prob(X)
        return log_prob + self._estimate_log_weights().astype(log_prob.dtype)

    def _estimate_log_prob_resp(self, X: Any) -> tuple[Any, Any]:
        """Return the log-likelihood of each sample, shape (n,), and its log-responsibilities, shape (n, k)."""
        log_prob = self._each(X, evaluate.log_prob, "log_likelihood")
        return log_prob, self._estimate_weighted_log_prob(X) - log_prob[:, None]

    def _get_parameters(self) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Return the weights, means, covariances, and factors of the precisions."""
        return self.weights_, self.means_, self.covariances_, self.precisions_cholesky_

    def _set_parameters(self, params: Sequence[NDArray]) -> None:
        """Set what `_get_parameters` returns, and the precisions."""
        self.weights_, self.means_, self.covariances_, self.precisions_cholesky_ = params
        layout = STRUCTURES[_validation.check_choice("covariance_type", self.covariance_type, STRUCTURES)].layout
        self.precisions_ = layout.precisions(np.asarray(self.precisions_cholesky_))

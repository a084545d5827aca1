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

#: Methods that scikit-learn's class computes densities with, in any of its versions 1.6 to 1.9, and that are not called here.
DENSITY_HOOKS = (
    "_estimate_log_prob",
    "_estimate_log_prob_resp",
    "_estimate_log_weights",
    "_estimate_weighted_log_prob",
)
#: Those that its `fit` calls, likewise.
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


#: Outcomes of a fit that a notebook shows beside its parameters, and the most components and features of these.
_OUTCOME = ("converged_", "n_iter_", "lower_bound_")
_SHOWN_COMPONENTS, _SHOWN_FEATURES = 10, 8


@cache
def _all_ours(bases: tuple[type, ...]) -> bool:
    return all(_is_ours(base) for base in bases if base is not object)


def _is_ours(method: Any) -> bool:
    return method is None or str(getattr(method, "__module__", "")).startswith("fastgmm.")


class Criteria(NamedTuple):
    """Weighted log-likelihood of all samples, the sum of the weights, and the criteria that follow from them."""

    log_likelihood: float
    total_weight: float
    bic: float
    aic: float

    @classmethod
    def of(cls, log_likelihood: float, total_weight: float, n_parameters: int) -> Criteria:
        """Compute -2 log L + p log n (Schwarz, Ann. Stat. 6, 1978) and -2 log L + 2 p (Akaike 1974): lower is better."""
        penalty = n_parameters * math.log(total_weight)
        return cls(log_likelihood, total_weight, -2 * log_likelihood + penalty, -2 * log_likelihood + 2 * n_parameters)

    def icl(self, classification: float) -> float:
        """Return BIC less twice the classification term, sum_i log max_k z_ik."""
        return self.bic - 2 * classification


#: Weights that add up to less than this share of the samples of positive weight, or to 1, are taken for relative ones.
_PLAUSIBLE = 0.1


#: What takes the sum of weights for the number of samples, and what comes of it if that is wrong.
CRITERIA_TAKE = "the criteria (bic, icl, aic) take that for the number of samples, so that they cannot compare models"
PRIOR_TAKES = "the prior takes that for the number of samples that it weighs against"


def warn_of_relative_weights(source: Source, what: str = CRITERIA_TAKE) -> None:
    """Warn if weights do not add up to a plausible number of samples, which criteria and priors take their sum to be.

    They do if they count repeated rows (their sum is not below the number of samples that have a weight). So do weights that
    add up to the number of samples, or are from a bootstrap. Shares and probabilities of membership add up to less. A sum of
    1, or below a tenth of the samples of positive weight, means that only the ratios of the weights matter.
    """
    total = source.total_weight * source.weight_unit
    weights = None if source.local is None else source.local.weights
    n = source.n_samples if weights is None else int(np.count_nonzero(weights))
    if n > 1 and total <= max(1.0 + 1e-5, _PLAUSIBLE * n):
        warn(
            f"sample_weight adds up to {total:.6g} for {n} samples of positive weight, and {what}. Multiply the weights by n over "
            f"their sum, where n is the number of samples that they stand for, such as {n} (in Python: sample_weight * (n / "
            "sample_weight.sum()))",
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
    """Methods that need only the fitted attributes and the constructor's `covariance_type`, `n_threads` and `random_state`."""

    covariance_type: str
    n_threads: int | None
    random_state: Any
    #: What NaN is; an estimator with this argument has it as an attribute of its own.
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
    #: Features that `select` left out of the data, None if there are none.
    _left_out: LeftOut | None = None
    #: The class of scikit-learn with the same interface.
    _sklearn_name: ClassVar[str] = "GaussianMixture"

    def _set_fitted(self, fit: FitResult, dtype: np.dtype, *gone: str, **others: Any) -> None:
        """Set the result of a fit and `others`, and remove the attributes that are `gone`."""
        kept = {name: value for name, value in vars(self).items() if name not in gone}
        # one assignment, so that Ctrl-C finds the old ones or the new ones
        self.__dict__ = kept | self._attributes(fit, dtype) | others

    def _attributes(self, fit: FitResult, dtype: np.dtype) -> dict[str, Any]:
        """Return the parameters and outcomes of a fit as attributes."""
        return _fitted(fit, dtype)

    def _params(self, *, drawn: bool = False) -> Params:
        """Return the parameters in the fitted attributes; with `drawn` also check the covariances (`attributes.params`)."""
        return attributes.params(self, drawn=drawn)

    def _structure(self) -> Structure:
        """Return the structure of the fitted parameters; raise ValueError if `covariance_type` was changed since."""
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
        """Return data to be fitted, or to sum over: samples without any value have no weight."""
        return open_source(X, sample_weight, min_samples=min_samples, missing=self._marginalizes, valued=True)

    def _all_of(self, X: Any) -> Any:
        """Return samples that may have missing values, also those without any value."""
        source = self._source(X, valued=False, missing=True)
        if source.n_features != attributes.n_features(self):
            raise ValueError("impute needs the features of the model alone: leave out those that `select` left out")
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
        """Return data for a fitted model: checked, with the features that the model knows.

        They are for sums over samples, or without `valued` for answers to each of them, also to those without any value. `missing`
        says whether NaN is a missing value, by default as `missing_values` does.
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
        """Return the features of such data, of `d` features, that `select` left out of the model, or None."""
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
        """Return the most probable component of each sample, shape (n,); -1 for noise. `X` and `noise_covariance` as in `fit`.

        For Dask it is computed lazily: for an array as a Dask array; for a data frame as a series, ``label``, in the same
        partitions and with the same index, so that ``X.assign(label=model.predict(X))`` works. For other frames it is an array.
        """
        self._refuse_overridden(DENSITY_HOOKS, "predict")
        return self._each(X, evaluate.labels, "label", noise_covariance, dtype=np.int64)

    def predict_proba(self, X: Any, noise_covariance: ArrayLike | None = None) -> NDArray:
        """Return the posterior probability of each component for each sample, (n, k). `X` and `noise_covariance` as in `fit`.

        With noise (n, k + 1), its own last. For Dask lazily, as `predict`; for a Dask data frame a frame with the columns ``p0``,
        ``p1``, ... (and ``noise``) and the same index. A sample too far from all components, with likelihood 0 (log -inf), has
        probability 0 for each of them.
        """
        self._refuse_overridden(DENSITY_HOOKS, "predict_proba")
        self._check_is_fitted()
        return self._each(X, evaluate.responsibilities, self._columns(), noise_covariance)

    def _columns(self) -> list[str]:
        """Return the names of the components in tables: p0, p1, ... and noise, if there is some."""
        return [f"p{c}" for c in range(len(self.means_))] + ["noise"] * hasattr(self, "noise_")

    def score_samples(self, X: Any, noise_covariance: ArrayLike | None = None) -> NDArray:
        """Return the log-likelihood of each sample, shape (n,). `X` and `noise_covariance` as in `fit`.

        For Dask it is computed lazily, as by `predict`.
        With errors it is that of the measured value, N(mean, covariance + noise) in each component.
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
        """Return the (weighted) mean log-likelihood per sample; `y` is ignored. `X` and `noise_covariance` as in `fit`.

        The scale of the weights has no influence on it.
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
        """Return the Bayesian information criterion on `X`, -2 log L + p log n; lower is better.

        n is the number of samples, with weights their sum, as for integer weights that stand for repeated rows. So the scale
        of the weights matters, unlike in `fit`: multiply relative ones by n / ``sample_weight.sum()`` first. `noise_covariance` as
        in `fit`.

        Warns
        -----
        UserWarning
            If the weights add up to 1, or to less than a tenth of the samples that have one: that is not their number.
        """
        return self._criteria(X, sample_weight, noise_covariance).bic

    def aic(self, X: Any, sample_weight: ArrayLike | None = None, noise_covariance: ArrayLike | None = None) -> float:
        """Return Akaike's information criterion on `X`, -2 log L + 2 p; lower is better. L and the warning as in `bic`."""
        return self._criteria(X, sample_weight, noise_covariance).aic

    def icl(self, X: Any, sample_weight: ArrayLike | None = None, noise_covariance: ArrayLike | None = None) -> float:
        """Return the integrated completed likelihood on `X`, -2 log L - 2 sum_i log max_k z_ik + p log n; lower is better.

        This is BIC with a penalty for samples that do not clearly belong to one component: z_ik are the responsibilities, and
        each sample counts for its most probable component (Biernacki, Celeux & Govaert, IEEE Trans. Pattern Anal. Mach. Intell.
        22, 2000). mclust prints the negative. L, n and the warning as in `bic`.
        """
        self._refuse_overridden(DENSITY_HOOKS, "icl")
        source = self._source(X, sample_weight, noise_covariance)
        warn_of_relative_weights(source)
        sums = evaluate.classified(source, self._params(), self.n_threads).times(source.weight_unit)
        n = source.total_weight * source.weight_unit
        return Criteria.of(sums.log_likelihood, n, self._n_parameters()).icl(sums.classification)

    def impute(self, X: Any, *, n_draws: int | None = None, random_state: Any = None) -> Any:
        """Return `X` with what the mixture says of its missing values, given the observed ones; nothing of X is changed.

        By default that is their conditional mean: with the probabilities r_k of the components given the observed features o, it is
        sum_k r_k (mu_k + Sigma_k,:o Sigma_k,oo^-1 (x_o - mu_k,o)). Imputed means understate how much values vary: for what depends
        on that, draw several data sets, analyse each, and combine the results (Rubin, Multiple Imputation for Nonresponse in
        Surveys, 1987). A sample without any value gets the mean of the mixture, or draws from it.

        Parameters
        ----------
        X : array-like of shape (n, d), path, fastgmm.chunks(...), or Dask collection
            With missing values, NaN or what stands for it, whatever `missing_values` of the model is.
        n_draws : int, optional
            Number of draws: of the component first, then of the missing values given it and the observed ones. By default the mean.
        random_state : None, int, numpy.random.RandomState or numpy.random.Generator
            Source of the draws.

        Returns
        -------
        ndarray of shape (n, d), or (n_draws, n, d) for draws
            float32 if X is, else float64. The mean of a frame of pandas or polars is such a frame, with the same columns and
            index; that of a Dask collection is one, computed lazily.
        """
        self._refuse_overridden(DENSITY_HOOKS, "impute")
        self._check_is_fitted()
        if n_draws is not None:
            _validation.check_integer("n_draws", n_draws, 1)
            rng = _validation.check_random_state(random_state)
            if is_dask(X):
                raise TypeError(
                    "n_draws is for data that are read here, and X is a Dask collection: draw for parts of X, or leave n_draws out"
                )
            return impute.drawn(self._all_of(X), self._params(), n_draws, rng, self.n_threads)
        if not is_dask(X):
            return framed(impute.imputed(self._all_of(X), self._params(), self.n_threads), X)
        names = _validation.feature_names(X)
        columns = [f"x{j}" for j in range(attributes.n_features(self))] if names is None else list(names)
        return self._each(X, impute.imputed, columns, missing=True)

    def sample(self, n_samples: int = 1) -> tuple[NDArray, NDArray[np.int64]]:
        """Draw from the mixture: samples (n_samples, d) ordered by component, and their components (n_samples,).

        Noise, with the component -1, comes last, uniform in its box.
        """
        self._check_is_fitted()
        n_samples = _validation.check_integer("n_samples", n_samples, 1)
        rng = _validation.check_random_state(self.random_state)
        params = self._params(drawn=True)
        k = len(params.means)
        # unchanged: draws from float32 parameters differ in their bits from those from the same numbers in float64
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
        """Bring the components into another order, in all attributes at once, and return the model.

        Parameters
        ----------
        by : 'weight', int, str, callable or array-like of shape (k,), default='weight'
            'weight' sorts by weight, the largest first; the index or the name of a feature by its mean, the least first; a
            function of the model by the keys (k,) that it returns, ascending. An array is the new order itself: component
            ``by[0]`` comes first. Ties keep their order.

        Raises
        ------
        ValueError
            If `by` is none of these, or the order of the components has a meaning: that of the sticks of a Dirichlet process,
            or that of components named in `fixed`.

        Examples
        --------
        >>> from fastgmm import GaussianMixture
        >>> model = GaussianMixture.from_parameters([0.3, 0.7], [[5.0], [1.0]], [[[1.0]], [[2.0]]])
        >>> model.sort_components().means_.tolist()
        [[1.0], [5.0]]
        """
        self._check_is_fitted()
        self._refuse_order()
        order = ordering.order_of(self, by)
        self.__dict__ |= ordering.reordered(self, order, self._structure().layout)
        return self

    def _refuse_order(self) -> None:
        """Raise ValueError if the order of the components has a meaning."""

    def summary(self, X: Any = None, sample_weight: ArrayLike | None = None) -> str:
        """Return a readable account of the mixture as a text: how it was fitted, weights, means and variances.

        With data `X`, as in `fit`, also the likelihood, the criteria, the number of samples of each component, and how sure the
        assignments are: the entropy of the responsibilities, sum_i sum_k -z_ik log z_ik, absolute and as a share of its largest
        possible value, n log k, and the geometric mean of the probability of the most probable component.
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
        """Return the fitted model as one of scikit-learn's class of the same name, in copies; it must be installed.

        A structure of mclust becomes the type that lays its covariances out: 'full', 'tied', 'diag' or 'spherical'.

        Raises
        ------
        ImportError
            Without scikit-learn.
        ValueError
            If the model has a noise component, which scikit-learn does not know.
        """
        self._check_is_fitted()
        return exchange.to_sklearn(self, self._sklearn_name)

    @classmethod
    def from_sklearn(cls, model: Any) -> Self:
        """Return a fitted model with the parameters and outcomes of one of scikit-learn's class of the same name, in copies.

        Raises
        ------
        TypeError, ValueError
            If `model` is of another class, or not fitted.
        """
        found: Self = exchange.from_sklearn(cls, model, cls._sklearn_name)
        return found

    def marginal(self, features: int | str | Sequence[int | str]) -> GaussianMixture:
        """Return the fitted mixture of some of the features.

        Parameters
        ----------
        features : int or str, or sequence of these
            By index or name (`feature_names_in_`), in the order that the new model has.

        Returns
        -------
        GaussianMixture
            With weights, means and covariances as here, float32 if these are. Its `covariance_type` is that of the model, but
            for fewer features 'VVI' of 'EVI', and 'VVV' of 'EVE', 'VVE', 'EEV', 'VEV' and 'EVV': what components share there
            is shared in all features only. Of a `BayesianGaussianMixture` it has the expected parameters.

        Raises
        ------
        ValueError, TypeError
            If features are not the model's, or noise lies in a box that is not along the axes of the features.
        """
        return derived.marginal(self, features)

    def condition(
        self, features: int | str | Sequence[int | str], values: ArrayLike
    ) -> GaussianMixture | list[GaussianMixture]:
        """Return the fitted mixture of the other features, given values of some.

        Component k has the weight w_k N(x; mu_x, S_xx), divided by the sum of these, the mean mu_y + S_yx S_xx^-1 (x - mu_x) and
        the covariance S_yy - S_yx S_xx^-1 S_xy.

        Parameters
        ----------
        features : int or str, or sequence of these
            The p features that are given, by index or name.
        values : array-like of shape (p,) or (n, p)
            Their values, in the same order; a number for a single feature.

        Returns
        -------
        GaussianMixture, or list of n of them
            Of the features that are not given, in their order, with the `covariance_type` of `marginal`; a list if `values` has
            two dimensions. `GaussianMixtureRegressor.from_mixture` predicts means and standard deviations for many samples.

        Raises
        ------
        ValueError, TypeError
            If features are not the model's or are all given, values do not fit or have the density 0, or noise lies in a box
            that is not along the axes of the features.
        """
        return derived.condition(self, features, values)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to `path` (npz without pickle; see `fastgmm.load`)."""
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

    # --- private methods of scikit-learn's class that programs call ---

    def _n_parameters(self) -> int:
        """Return the number of free parameters, which `bic`, `aic` and `icl` use."""
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

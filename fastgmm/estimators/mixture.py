"""Base class of fitted mixtures: predict, score, draw and save, whatever the fit."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import _validation
from fastgmm._errors import warn
from fastgmm.data.dask import each_block, is_dask, row_blocks
from fastgmm.data.open import open_source
from fastgmm.data.source import Source
from fastgmm.em import evaluate
from fastgmm.em.result import FitResult
from fastgmm.estimators import attributes, derived, saving
from fastgmm.estimators.base import Estimator
from fastgmm.estimators.left_out import LeftOut, without
from fastgmm.estimators.notebook import Table
from fastgmm.model.noise import N_PARAMETERS
from fastgmm.model.params import Params
from fastgmm.model.structures import STRUCTURES, Structure

if TYPE_CHECKING:
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

    def _set_fitted(self, fit: FitResult, dtype: np.dtype, *gone: str, **others: Any) -> None:
        """Set the result of a fit and `others`, and remove the attributes that are `gone`."""
        kept = {name: value for name, value in vars(self).items() if name not in gone}
        # one assignment, so that Ctrl-C finds the old ones or the new ones
        self.__dict__ = kept | _fitted(fit, dtype) | others

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

    def _source(self, X: Any, sample_weight: Any = None) -> Source:
        """Return data for a fitted model: checked, with the features that the model knows."""
        self._check_is_fitted()
        _validation.check_threads(self.n_threads)
        names = _validation.feature_names(X)
        source = open_source(X, sample_weight)
        left_out = self._left_out_of(source.n_features, names)
        if left_out is not None:
            return source.of_features(left_out.kept(self.n_features_in_))
        self._check_features(source.n_features, names)
        return source

    def _left_out_of(self, d: int, names: NDArray | None) -> LeftOut | None:
        """Return the features of such data, of `d` features, that `select` left out of the model, or None."""
        left_out = self._left_out
        return left_out if left_out is not None and left_out.are_in(d, names, self.n_features_in_) else None

    def _check_features(self, got: int, names: NDArray | None) -> None:
        fitted = getattr(self, "feature_names_in_", None)
        _validation.check_same_features(got, names, attributes.n_features(self), fitted, type(self).__name__)

    def _each(
        self, X: Any, evaluate: Callable[..., NDArray], columns: Sequence[str] | str, *, dtype: type | None = None
    ) -> Any:
        """Call ``evaluate(source, params, n_threads)``; for a Dask collection lazily, see `each_block`."""
        if not is_dask(X):
            return evaluate(self._source(X), self._params(), self.n_threads)
        self._check_is_fitted()
        _validation.check_threads(self.n_threads)
        width, d = row_blocks(X).shape[1], attributes.n_features(self)
        left_out = None if math.isnan(width) else self._left_out_of(width, _validation.feature_names(X))
        if left_out is not None:
            X = without(X, left_out.kept(d))
            width = row_blocks(X).shape[1]
        # an unknown number of columns is checked later, in each block
        self._check_features(d if math.isnan(width) else width, _validation.feature_names(X))
        return each_block(X, partial(evaluate, params=self._params()), columns, dtype, d, self.n_threads)

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return the most probable component of each sample, shape (n,); -1 for noise. `X` as in `fit`.

        For Dask it is computed lazily: for an array as a Dask array; for a data frame as a series, ``label``, in the same
        partitions and with the same index, so that ``X.assign(label=model.predict(X))`` works. For other frames it is an array.
        """
        self._refuse_overridden(DENSITY_HOOKS, "predict")
        return self._each(X, evaluate.labels, "label", dtype=np.int64)

    def predict_proba(self, X: Any) -> NDArray:
        """Return the posterior probability of each component for each sample, (n, k). `X` as in `fit`.

        With noise (n, k + 1), its own last. For Dask lazily, as `predict`; for a Dask data frame a frame with the columns ``p0``,
        ``p1``, ... (and ``noise``) and the same index. A sample too far from all components, with likelihood 0 (log -inf), has
        probability 0 for each of them.
        """
        self._refuse_overridden(DENSITY_HOOKS, "predict_proba")
        self._check_is_fitted()
        return self._each(X, evaluate.responsibilities, self._columns())

    def _columns(self) -> list[str]:
        """Return the names of the components in tables: p0, p1, ... and noise, if there is some."""
        return [f"p{c}" for c in range(len(self.means_))] + ["noise"] * hasattr(self, "noise_")

    def score_samples(self, X: Any) -> NDArray:
        """Return the log-likelihood of each sample, shape (n,). `X` as in `fit`; for Dask lazily, as `predict`."""
        self._refuse_overridden(DENSITY_HOOKS, "score_samples")
        return self._each(X, evaluate.log_prob, "log_likelihood")

    def score(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the (weighted) mean log-likelihood per sample; `y` is ignored. `X` as in `fit`.

        The scale of the weights has no influence on it.
        """
        source = self._source(X, sample_weight)
        return self._log_likelihood(source, X, sample_weight) / (source.total_weight * source.weight_unit)

    def _log_likelihood(self, source: Source, X: Any, sample_weight: ArrayLike | None) -> float:
        if type(self).score_samples is FittedMixture.score_samples:
            self._refuse_overridden(DENSITY_HOOKS, "score")
            return evaluate.log_likelihood(source, self._params(), self.n_threads) * source.weight_unit
        each = np.asarray(self.score_samples(X), np.float64)  # a subclass has densities of its own
        return float(each.sum() if sample_weight is None else each @ np.asarray(sample_weight, np.float64))

    def _criteria(self, X: Any, sample_weight: ArrayLike | None = None) -> Criteria:
        source = self._source(X, sample_weight)
        warn_of_relative_weights(source)
        n = source.total_weight * source.weight_unit
        return Criteria.of(self._log_likelihood(source, X, sample_weight), n, self._n_parameters())

    def bic(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the Bayesian information criterion on `X`, -2 log L + p log n; lower is better.

        n is the number of samples, with weights their sum, as for integer weights that stand for repeated rows. So the scale
        of the weights matters, unlike in `fit`: multiply relative ones by n / ``sample_weight.sum()`` first.

        Warns
        -----
        UserWarning
            If the weights add up to 1, or to less than a tenth of the samples that have one: that is not their number.
        """
        return self._criteria(X, sample_weight).bic

    def aic(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return Akaike's information criterion on `X`, -2 log L + 2 p; lower is better. L and the warning as in `bic`."""
        return self._criteria(X, sample_weight).aic

    def icl(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the integrated completed likelihood on `X`, -2 log L - 2 sum_i log max_k z_ik + p log n; lower is better.

        This is BIC with a penalty for samples that do not clearly belong to one component: z_ik are the responsibilities, and
        each sample counts for its most probable component (Biernacki, Celeux & Govaert, IEEE Trans. Pattern Anal. Mach. Intell.
        22, 2000). mclust prints the negative. L, n and the warning as in `bic`.
        """
        self._refuse_overridden(DENSITY_HOOKS, "icl")
        source = self._source(X, sample_weight)
        warn_of_relative_weights(source)
        sums = evaluate.classified(source, self._params(), self.n_threads).times(source.weight_unit)
        n = source.total_weight * source.weight_unit
        return Criteria.of(sums.log_likelihood, n, self._n_parameters()).icl(sums.classification)

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

"""What a fitted mixture does, however it was fitted: predict, score, draw, be saved."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import _validation as border
from fastgmm.covariance.structures import STRUCTURES, Structure
from fastgmm.em import sweep as passes
from fastgmm.em.driver import Fit
from fastgmm.estimators.base import Estimator
from fastgmm.estimators.left_out import LeftOut, without
from fastgmm.params import Params
from fastgmm.sources.dask import AnySource, each_block, is_dask, row_blocks
from fastgmm.sources.opening import open_source


class Criteria(NamedTuple):
    """Log-likelihood of all samples, each as often as its weight says, the sum of the weights, and what follows from them."""

    log_likelihood: float
    total_weight: float
    bic: float
    aic: float

    @classmethod
    def of(cls, log_likelihood: float, total_weight: float, n_parameters: int) -> Criteria:
        """-2 log L + p log n (Schwarz, Ann. Stat. 6, 1978) and -2 log L + 2 p (Akaike 1974): lower is better."""
        penalty = n_parameters * math.log(total_weight)
        return cls(log_likelihood, total_weight, -2 * log_likelihood + penalty, -2 * log_likelihood + 2 * n_parameters)


def _fitted(fit: Fit, dtype: np.dtype) -> dict[str, Any]:
    """The fitted attributes that are parameters or say how they were found; ValueError where `dtype` cannot hold them."""
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
    return {
        "weights_": params.weights.astype(dtype),
        "means_": params.means.astype(dtype),
        "covariances_": covariances,
        "precisions_cholesky_": roots,
        "precisions_": precisions,
        "converged_": fit.converged,
        "n_iter_": fit.n_iter,
        "lower_bound_": fit.lower_bound,
        "lower_bounds_": fit.lower_bounds,
    }


class FittedMixture(Estimator):
    """Methods that need the fitted attributes, the constructor's `covariance_type`, `n_threads` and `random_state`, no more."""

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
    lower_bound_: float
    lower_bounds_: list[float]
    n_features_in_: int
    feature_names_in_: NDArray
    #: Features that `select` left out of the data, None where there are none.
    _left_out: LeftOut | None = None

    def _set_fitted(self, fit: Fit, dtype: np.dtype, *gone: str, **others: Any) -> None:
        """Set what a fit came to and other attributes, and leave those out that are `gone`."""
        kept = {name: value for name, value in vars(self).items() if name not in gone}
        # one assignment, so that Ctrl-C finds the old ones or the new ones
        self.__dict__ = kept | _fitted(fit, dtype) | others

    def _params(self) -> Params:
        """Parameters as the fitted attributes have them."""
        layout = self._structure().layout
        arrays = (self.weights_, self.means_, self.covariances_, self.precisions_cholesky_)
        return Params(layout, *(np.asarray(a, np.float64) for a in arrays))

    def _structure(self) -> Structure:
        """Structure of the fitted parameters; ValueError where `covariance_type` was changed since."""
        structure = STRUCTURES[border.check_choice("covariance_type", self.covariance_type, STRUCTURES)]
        expected = border.covariance_shape(structure.layout, *self.means_.shape)
        if np.shape(self.covariances_) != expected:
            raise ValueError(
                f"covariance_type={self.covariance_type!r} was set after the fit, whose covariances_ have the shape "
                f"{np.shape(self.covariances_)} and not {expected}: fit again, or set it back"
            )
        return structure

    def _source(self, X: Any, sample_weight: Any = None) -> AnySource:
        """Data for a fitted model: checked, and of the features that the model knows."""
        self._check_is_fitted()
        border.check_threads(self.n_threads)
        names = border.feature_names(X)
        source = open_source(X, sample_weight)
        left_out = self._left_out_of(source.n_features, names)
        if left_out is not None:
            return source.of_features(left_out.kept(self.n_features_in_))
        self._check_features(source.n_features, names)
        return source

    def _left_out_of(self, d: int, names: NDArray | None) -> LeftOut | None:
        """What of data of `d` features with such names the model, which `select` made, was chosen without; None for no others."""
        left_out = self._left_out
        return left_out if left_out is not None and left_out.are_in(d, names, self.n_features_in_) else None

    def _check_features(self, got: int, names: NDArray | None) -> None:
        fitted = getattr(self, "feature_names_in_", None)
        border.check_same_features(got, names, self.n_features_in_, fitted, type(self).__name__)

    def _each(
        self, X: Any, evaluate: Callable[..., NDArray], *, columns: int | None = None, dtype: type | None = None
    ) -> Any:
        """``evaluate(source, params, n_threads)``, for each sample `columns` values; of a Dask collection lazily."""
        if not is_dask(X):
            return evaluate(self._source(X), self._params(), self.n_threads)
        self._check_is_fitted()
        border.check_threads(self.n_threads)
        array, d = row_blocks(X), self.n_features_in_
        left_out = None if math.isnan(array.shape[1]) else self._left_out_of(array.shape[1], border.feature_names(X))
        if left_out is not None:
            X = without(X, left_out.kept(d))
            array = row_blocks(X)
        # an unknown number of columns is looked at later, in each block
        self._check_features(d if math.isnan(array.shape[1]) else array.shape[1], border.feature_names(X))
        return each_block(array, partial(evaluate, params=self._params()), columns, dtype, d, self.n_threads)

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return the most probable component of each sample, shape (n,). `X` as in `fit`; of Dask, a lazy Dask array."""
        return self._each(X, passes.labels, dtype=np.int64)

    def predict_proba(self, X: Any) -> NDArray:
        """Return the posterior probability of each component for each sample, (n, k). `X` as in `fit`; of Dask, lazily.

        A sample so far from all components that its likelihood is 0 (its log -inf) has probability 0 for each of them.
        """
        self._check_is_fitted()
        return self._each(X, passes.responsibilities, columns=len(self.weights_))

    def score_samples(self, X: Any) -> NDArray:
        """Return the log-likelihood of each sample, shape (n,). `X` as in `fit`; of Dask, a lazy Dask array."""
        return self._each(X, passes.log_prob)

    def score(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the (weighted) mean log-likelihood per sample; `y` is ignored. `X` as in `fit`."""
        found = self._criteria(X, sample_weight)
        return found.log_likelihood / found.total_weight

    def _criteria(self, X: Any, sample_weight: ArrayLike | None = None) -> Criteria:
        source = self._source(X, sample_weight)
        n = source.total_weight * source.weight_unit
        log_likelihood = passes.log_likelihood(source, self._params(), self.n_threads) * source.weight_unit
        p = self._structure().n_parameters(*self.means_.shape)
        return Criteria.of(log_likelihood, n, p)

    def bic(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the Bayesian information criterion on `X`, -2 log L + p log n; lower is better.

        n is the number of samples, with weights their sum: what it is where integer weights stand for repeated rows.
        """
        return self._criteria(X, sample_weight).bic

    def aic(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return Akaike's information criterion on `X`, -2 log L + 2 p; lower is better. L as in `bic`."""
        return self._criteria(X, sample_weight).aic

    def icl(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the integrated completed likelihood on `X`, -2 log L - 2 sum_i log max_k z_ik + p log n; lower is better.

        BIC, and what it costs that samples belong to no component for certain: z_ik are the responsibilities, and each sample
        is taken for one of its most probable component (Biernacki, Celeux & Govaert, IEEE Trans. Pattern Anal. Mach. Intell. 22,
        2000). mclust prints the negative. L and n as in `bic`.
        """
        source = self._source(X, sample_weight)
        sums = passes.classified(source, self._params(), self.n_threads).times(source.weight_unit)
        n, p = source.total_weight * source.weight_unit, self._structure().n_parameters(*self.means_.shape)
        return Criteria.of(sums.log_likelihood, n, p).bic - 2 * sums.certainty

    def sample(self, n_samples: int = 1) -> tuple[NDArray, NDArray[np.int64]]:
        """Draw from the mixture: samples (n_samples, d) ordered by component, and their components (n_samples,)."""
        self._check_is_fitted()
        n_samples = border.check_integer("n_samples", n_samples, 1)
        rng = border.check_random_state(self.random_state)
        layout = self._structure().layout
        k, d = self.means_.shape
        weights = np.asarray(self.weights_, np.float64)
        counts = rng.multinomial(n_samples, weights / weights.sum())
        drawn = []
        for i, count in enumerate(counts):
            if layout in ("full", "tied"):
                covariance = self.covariances_[i] if layout == "full" else self.covariances_
                drawn.append(rng.multivariate_normal(self.means_[i], covariance, int(count)))
            else:
                drawn.append(self.means_[i] + rng.standard_normal(size=(count, d)) * np.sqrt(self.covariances_[i]))
        return np.vstack(drawn), np.repeat(np.arange(k, dtype=np.int64), counts)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to `path` (npz without pickle; see `fastgmm.load`)."""
        from fastgmm.estimators.storage import save

        self._check_is_fitted()
        save(self, path)

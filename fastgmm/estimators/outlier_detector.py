"""The estimator `GaussianMixtureOutlierDetector`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import _validation
from fastgmm.em.step import REG_COVAR
from fastgmm.estimators.composite import Composite, named
from fastgmm.estimators.gaussian_mixture import GaussianMixture
from fastgmm.estimators.saving import composite
from fastgmm.estimators.sklearn_callbacks import one_task
from fastgmm.model.priors import NormalInverseWishart

if TYPE_CHECKING:
    from typing_extensions import Self

Float = NDArray[np.float64]

#: Draws that the quantile of densities under the mixture is found from.
_DRAWS = 100_000


@composite
class GaussianMixtureOutlierDetector(Composite):
    """Outliers are samples where the density of a Gaussian mixture is low.

    A `GaussianMixture` is fitted to all samples. The threshold is the quantile of the log-densities of these, such that a share
    `contamination` of them lies below, or, with `tail`, the quantile under the mixture itself.

    Parameters
    ----------
    n_components : int, default=1
    contamination : float, default=0.1
        Share of the samples of `fit` that are outliers, above 0 and at most 0.5.
    tail : float, optional
        In place of `contamination`: the probability that a draw from the mixture is an outlier, above 0 and below 1, such as
        1e-3. Of clean data about so many samples are. It is found from 100 000 draws.
    covariance_type, tol, reg_covar, max_iter, n_init, init_params, prior, noise, on_collapse, random_state
        As in `GaussianMixture`.
    verbose, verbose_interval, acceleration, algorithm, n_threads
        As in `GaussianMixture`.

    Attributes
    ----------
    mixture_ : GaussianMixture
    offset_ : float
        The threshold: ``decision_function(X) = score_samples(X) - offset_``, negative for outliers.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Column names, if X was a data frame whose column names are strings.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm import GaussianMixtureOutlierDetector
    >>> X = np.array([[0.0], [0.1], [-0.1], [0.2], [0.0], [-0.2], [0.1], [9.0]])
    >>> GaussianMixtureOutlierDetector(contamination=0.125, random_state=0).fit_predict(X)
    array([ 1,  1,  1,  1,  1,  1,  1, -1])
    """

    mixture_: GaussianMixture
    offset_: float

    def __init__(
        self,
        n_components: int = 1,
        *,
        contamination: float = 0.1,
        tail: float | None = None,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = REG_COVAR,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str | ArrayLike = "kmeans",
        prior: str | NormalInverseWishart | None = None,
        noise: bool | ArrayLike = False,
        on_collapse: str = "raise",
        random_state: Any = None,
        verbose: int = 0,
        verbose_interval: int = 10,
        acceleration: str | None = None,
        algorithm: str = "dense",
        n_threads: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.contamination = contamination
        self.tail = tail
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.prior = prior
        self.noise = noise
        self.on_collapse = on_collapse
        self.random_state = random_state
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.acceleration = acceleration
        self.algorithm = algorithm
        self.n_threads = n_threads

    @one_task
    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the mixture and find the threshold.

        Parameters
        ----------
        X : array-like of shape (n, d), path, fastgmm.chunks(...), or Dask collection
            As in `GaussianMixture.fit`. The log-density of each sample is kept meanwhile, unless there is a `tail`.
        y : ignored
        sample_weight : array-like of shape (n,), optional
            As in `GaussianMixture.fit`; `contamination` is a share of the weights.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError, OSError
            As `GaussianMixture.fit`. The estimator is then unchanged.
        """
        share = _validation.check_within("contamination", self.contamination, 0.0, 0.5)
        tail = None if self.tail is None else _validation.check_within("tail", self.tail, 0.0, 1.0)
        if tail == 1.0:
            raise ValueError(
                "tail must be a number above 0 and below 1, got tail=1: with 1 every sample would be an outlier"
            )
        mixture = GaussianMixture(**self._options()).fit(X, sample_weight=sample_weight)
        if tail is None:
            scores = np.asarray(mixture.score_samples(X), np.float64)
            weights = None if sample_weight is None else np.asarray(sample_weight, np.float64)
            offset = _quantile(scores, weights, share)
        else:
            offset = _quantile(self._draws(mixture), None, tail)
        names = getattr(mixture, "feature_names_in_", None)
        self._set(mixture_=mixture, offset_=offset, n_features_in_=mixture.n_features_in_, **named(names))
        return self

    def _draws(self, mixture: GaussianMixture) -> Float:
        """Return the log-densities of draws from the mixture, whose own source of random numbers is left as it is."""
        own = mixture.marginal(list(range(mixture.n_features_in_)))
        vars(own).pop("feature_names_in_", None)
        rng = _validation.check_random_state(self.random_state)
        drawn, _ = own.set_params(random_state=rng).sample(_DRAWS)
        return np.asarray(own.score_samples(drawn), np.float64)

    def fit_predict(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Any:
        """Fit the mixture and return `predict` of the same samples."""
        return self.fit(X, sample_weight=sample_weight).predict(X)

    def score_samples(self, X: Any) -> Any:
        """Return the log-density of each sample, (n,). `X` as in `GaussianMixture.predict`; for Dask lazily."""
        self._check_is_fitted()
        return self.mixture_.score_samples(X)

    def decision_function(self, X: Any) -> Any:
        """Return ``score_samples(X) - offset_``: negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> Any:
        """Return -1 for outliers and 1 for other samples, (n,), int64; for Dask lazily."""
        return 2 * (self.decision_function(X) >= 0).astype(np.int64) - 1

    # --- files and scikit-learn ---

    def _parts(self) -> list[GaussianMixture]:
        return [self.mixture_]

    def _own_arrays(self) -> dict[str, NDArray[Any]]:
        return {"offset_": np.asarray(self.offset_, np.float64)}

    def _restore(self, parts: Sequence[GaussianMixture], arrays: dict[str, NDArray[Any]]) -> None:
        offset = arrays["offset_"]
        if len(parts) != 1 or offset.shape or offset.dtype != np.float64 or not np.isfinite(offset):
            raise ValueError(f"offset_ is {offset.tolist()}, for {len(parts)} mixtures")
        mixture = parts[0]
        names = getattr(mixture, "feature_names_in_", None)
        self._set(mixture_=mixture, offset_=float(offset), n_features_in_=mixture.n_features_in_, **named(names))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type = "outlier_detector"
        return tags


def _quantile(scores: Float, weights: Float | None, share: float) -> float:
    """Return a value below which samples have this share of the weight, or as near as no more than it.

    It is halfway between two different scores, so that rounding moves no sample to the other side.
    """
    if weights is not None:
        scores, weights = scores[weights > 0], weights[weights > 0]
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    reached = np.arange(1.0, len(scores) + 1) if weights is None else np.cumsum(weights[order])
    first = int(np.searchsorted(reached, share * reached[-1] * (1 + 1e-12), side="right"))
    above = float(ordered[min(first, len(ordered) - 1)])
    below = int(np.searchsorted(ordered, above))
    return above if below == 0 else 0.5 * (float(ordered[below - 1]) + above)

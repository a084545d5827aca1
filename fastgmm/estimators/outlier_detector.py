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

#: Number of draws from which the quantile of the density under the mixture is found.
_DRAWS = 100_000


@composite
class GaussianMixtureOutlierDetector(Composite):
    """Outlier detection by the density of a Gaussian mixture.

    A `GaussianMixture` is fitted to all samples; those where its density is below a threshold are outliers. The
    threshold is a quantile of the log-densities of the samples (`contamination`) or of the mixture itself (`tail`). The
    interface is that of scikit-learn's outlier detectors.

    Parameters
    ----------
    n_components : int, default=1
        Number of components of the mixture.
    contamination : float, default=0.1
        Share of the samples of `fit` that are outliers, above 0 and at most 0.5. Without effect if `tail` is given.
    tail : float, optional
        Probability that a sample drawn from the mixture is an outlier, such as 1e-3; above 0 and below 1. About that
        share of clean data is reported. It is found from 100 000 draws. By default `contamination` sets the threshold.
    covariance_type : str, default='full'
        What the covariances of the components share, as in `GaussianMixture`.
    tol : float, default=1e-3
        EM stops when the mean log-likelihood per sample changes by less than this.
    reg_covar : float, default=1e-6
        Added to the variances, in squared units of the data.
    max_iter : int, default=100
        Maximum number of EM iterations of each start.
    n_init : int, default=1
        Number of starts, of which the best is kept.
    init_params : str or array-like of shape (n_samples,) or (n_samples, n_components), default='kmeans'
        How the initial parameters are found, as in `GaussianMixture`.
    prior : {None, 'default'} or NormalInverseWishart, default=None
        Prior of means and covariances, as in `GaussianMixture`.
    noise : bool or array-like of bool of shape (n_samples,), default=False
        Whether to add a noise component, as in `GaussianMixture`; it keeps outliers from widening the others.
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
        How `fit` goes through samples in memory, as in `GaussianMixture`.
    n_threads : int, optional
        Number of threads. By default Numba's setting. Results do not depend on it, to the bit.

    Attributes
    ----------
    mixture_ : GaussianMixture
        The fitted mixture.
    offset_ : float
        The threshold, a log-density: samples with ``score_samples(X) < offset_`` are outliers.
    n_iter_ : int
        Number of EM iterations of the mixture.
    converged_ : bool
        Whether the fit of the mixture converged.
    n_features_in_ : int
        Number of features of the fit.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the columns; only if `X` was a data frame whose column names are all strings.

    See Also
    --------
    GaussianMixture : Fit the mixture alone; ``noise=True`` finds samples that belong to no cluster.
    GaussianMixture.score_samples : Set a threshold of your own on the log-density.

    Notes
    -----
    The threshold lies halfway between two different log-densities, so that rounding moves no sample to the other side.
    With `contamination` at most that share of the weight of the samples of `fit` lies below it.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm import GaussianMixtureOutlierDetector
    >>> X = np.array([[0.0], [0.1], [-0.1], [0.2], [0.0], [-0.2], [0.1], [9.0]])
    >>> GaussianMixtureOutlierDetector(contamination=0.125, random_state=0).fit_predict(X).tolist()
    [1, 1, 1, 1, 1, 1, 1, -1]
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
        X : array-like of shape (n_samples, n_features), path, chunks or Dask collection
            Samples, in any form that `GaussianMixture.fit` takes. Unless `tail` is given, the log-density of each
            sample is kept in memory meanwhile.
        y : None
            Ignored; present for scikit-learn's interface.
        sample_weight : array-like of shape (n_samples,), optional
            How many times each sample counts. `contamination` is a share of the sum of the weights.

        Returns
        -------
        self
            The fitted detector.

        Raises
        ------
        ValueError, TypeError, OSError
            As `GaussianMixture.fit`, or if `contamination` or `tail` is out of range. The detector is then unchanged.

        See Also
        --------
        fit_predict : Fit, and return the labels of the same samples.

        Examples
        --------
        >>> from fastgmm import GaussianMixtureOutlierDetector
        >>> from fastgmm.datasets import load_iris
        >>> X = load_iris().data
        >>> detector = GaussianMixtureOutlierDetector(2, contamination=0.02, random_state=0).fit(X)
        >>> int((detector.predict(X) == -1).sum())
        3
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
        """Fit the mixture, find the threshold, and label the same samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), path, chunks or Dask collection
            Samples, in any form that `GaussianMixture.fit` takes.
        y : None
            Ignored; present for scikit-learn's interface.
        sample_weight : array-like of shape (n_samples,), optional
            How many times each sample counts.

        Returns
        -------
        ndarray of shape (n_samples,), dtype int64
            -1 for outliers and 1 for all other samples; lazy for a Dask collection.

        Raises
        ------
        ValueError, TypeError, OSError
            As `fit`.

        See Also
        --------
        predict : Label other samples.

        Examples
        --------
        >>> from fastgmm import GaussianMixtureOutlierDetector
        >>> X = [[0.0], [0.1], [-0.1], [0.2], [0.0], [-0.2], [0.1], [9.0]]
        >>> GaussianMixtureOutlierDetector(contamination=0.2).fit_predict(X).tolist()
        [1, 1, 1, 1, 1, 1, 1, -1]
        """
        return self.fit(X, sample_weight=sample_weight).predict(X)

    def score_samples(self, X: Any) -> Any:
        """Compute the log-density of the mixture at each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), path, chunks or Dask collection
            Samples with the features of the fit in the same order.

        Returns
        -------
        ndarray of shape (n_samples,)
            Natural logarithm of the density; low for outliers. float32 if `X` is float32, else float64; lazy for a Dask
            collection.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError, TypeError, OSError
            If `X` cannot be used.

        See Also
        --------
        decision_function : Return the same relative to the threshold.

        Examples
        --------
        >>> from fastgmm import GaussianMixtureOutlierDetector
        >>> detector = GaussianMixtureOutlierDetector().fit([[0.0], [0.2], [-0.2], [0.1], [-0.1]])
        >>> detector.score_samples([[0.0], [5.0]]).round(1).tolist()
        [1.0, -623.9]
        """
        self._check_is_fitted()
        return self.mixture_.score_samples(X)

    def decision_function(self, X: Any) -> Any:
        """Compute how far the log-density of each sample is above the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), path, chunks or Dask collection
            Samples with the features of the fit in the same order.

        Returns
        -------
        ndarray of shape (n_samples,)
            ``score_samples(X) - offset_``: negative for outliers; lazy for a Dask collection.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError, TypeError, OSError
            If `X` cannot be used.

        See Also
        --------
        predict : Return the sign alone.

        Examples
        --------
        >>> from fastgmm import GaussianMixtureOutlierDetector
        >>> detector = GaussianMixtureOutlierDetector().fit([[0.0], [0.2], [-0.2], [0.1], [-0.1]])
        >>> (detector.decision_function([[0.0], [5.0]]) < 0).tolist()
        [False, True]
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> Any:
        """Label each sample as an outlier or not.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), path, chunks or Dask collection
            Samples with the features of the fit in the same order.

        Returns
        -------
        ndarray of shape (n_samples,), dtype int64
            -1 for outliers and 1 for all other samples; lazy for a Dask collection.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError, TypeError, OSError
            If `X` cannot be used.

        See Also
        --------
        decision_function : Return how far samples are from the threshold.

        Examples
        --------
        >>> from fastgmm import GaussianMixtureOutlierDetector
        >>> detector = GaussianMixtureOutlierDetector().fit([[0.0], [0.2], [-0.2], [0.1], [-0.1]])
        >>> detector.predict([[0.0], [5.0]]).tolist()
        [1, -1]
        """
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
    """Return a value below which this share of the weight of the samples lies, or as near to it as possible without exceeding it.

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

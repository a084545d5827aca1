"""GaussianMixture: validate, call em, set attributes."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import _validation as border
from fastgmm._errors import ConvergenceWarning, like_sklearn, warn
from fastgmm.covariance.cholesky import precision_cholesky
from fastgmm.covariance.structures import STRUCTURES, Structure
from fastgmm.em import driver
from fastgmm.em import sweep as passes
from fastgmm.em.monitor import SILENT, together
from fastgmm.estimators import checkpoint as checkpoints
from fastgmm.estimators import telling
from fastgmm.estimators.base import Estimator
from fastgmm.estimators.fitting import Fitting, Interrupted
from fastgmm.init.starts import INIT_PARAMS, Start, Supplied
from fastgmm.params import Params
from fastgmm.sources.dask import AnySource, each_block, is_dask, row_blocks
from fastgmm.sources.opening import open_source


class Criteria(NamedTuple):
    """Log-likelihood of all samples, each as often as its weight says, the sum of the weights, and what follows from them."""

    log_likelihood: float
    total_weight: float
    bic: float
    aic: float


class GaussianMixture(Estimator):
    """Gaussian mixture fitted by expectation-maximisation.

    The interface, the defaults and, for equal data and `random_state`, the answers of
    ``sklearn.mixture.GaussianMixture``.

    Parameters
    ----------
    n_components : int, default=1
        Number of components, k.
    covariance_type : {'full', 'tied', 'diag', 'spherical'}, default='full'
        Each component its own matrix, all components one matrix, each its own diagonal, each its own variance.
    tol : float, default=1e-3
        EM stops when the mean log-likelihood per sample changes by less than this.
    reg_covar : float, default=1e-6
        Added to the variances, in squared units of the data.
    max_iter : int, default=100
        Most EM iterations per start. With 0 the start itself is the result.
    n_init : int, default=1
        Number of starts; the one with the highest `lower_bound_` is kept.
    init_params : {'kmeans', 'k-means++', 'random', 'random_from_data'}, default='kmeans'
        How first parameters are found where they are not supplied.
    weights_init : array-like of shape (k,), optional
        First weights; they add up to 1.
    means_init : array-like of shape (k, d), optional
        First means.
    precisions_init : array-like, optional
        First inverse covariances: (k, d, d) full, (d, d) tied, (k, d) diag, (k,) spherical.
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator
        Source of all draws.
    warm_start : bool, default=False
        Whether `fit` goes on from the last result instead of starting anew.
    verbose : int, default=0
        1 prints starts and every `verbose_interval`-th iteration, 2 also the change of the bound.
    verbose_interval : int, default=10
        Iterations between two printed lines.
    n_threads : int, optional
        Threads to use; by default Numba's setting. More than Numba was started with count as that many. The results do
        not depend on it, to the bit.

    Attributes
    ----------
    weights_ : ndarray of shape (k,)
    means_ : ndarray of shape (k, d)
    covariances_, precisions_, precisions_cholesky_ : ndarray
        (k, d, d) full, (d, d) tied, (k, d) diag, (k,) spherical. ``precisions_cholesky_`` is U, upper triangular (its
        diagonal for diag and spherical), with precision = U U^T. All are float32 where the data were.
    converged_ : bool
        Whether the kept start reached `tol` within `max_iter`.
    n_iter_ : int
        Iterations of the kept start.
    lower_bound_ : float
        Mean log-likelihood per sample of the parameters that entered the last iteration (as in scikit-learn; those in
        ``means_`` etc. are one M-step further, ``score(X)`` is theirs).
    lower_bounds_ : list of float
        The same for each iteration of the kept start.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Column names, where X was a data frame whose column names are strings.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm import GaussianMixture
    >>> X = np.array([[1, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> GaussianMixture(n_components=2, random_state=0).fit(X).predict([[0, 0], [12, 3]])
    array([1, 0])
    """

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

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        n_threads: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.n_threads = n_threads

    @classmethod
    def from_parameters(
        cls,
        weights: ArrayLike,
        means: ArrayLike,
        covariances: ArrayLike,
        *,
        covariance_type: str = "full",
        random_state: Any = None,
        n_threads: int | None = None,
    ) -> GaussianMixture:
        """Return a model with known parameters, to be used without `fit`.

        Parameters
        ----------
        weights : array-like of shape (k,)
            They add up to 1.
        means : array-like of shape (k, d)
        covariances : array-like
            (k, d, d) full, (d, d) tied, (k, d) diag, (k,) spherical; positive definite.
        covariance_type : {'full', 'tied', 'diag', 'spherical'}, default='full'
        random_state, n_threads
            As in the constructor.

        Raises
        ------
        ValueError
            For wrong shapes, weights that do not add up to 1, covariances that are not positive definite.
        """
        layout = STRUCTURES[border.check_choice("covariance_type", covariance_type, STRUCTURES)].layout
        params = check_parameters(weights, means, covariances, layout)
        k, d = params.means.shape
        model = cls(k, covariance_type=covariance_type, random_state=random_state, n_threads=n_threads)
        model.n_features_in_ = d
        model._set_fitted(driver.Fit(params, True, 0, -math.inf, []), np.dtype(np.float64))
        return model

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        progress: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: float = 60.0,
    ) -> GaussianMixture:
        """Fit the mixture to `X`.

        Ctrl-C ends it within about a second. The best parameters so far, of the starts that were finished or of the running
        one, are then in the model, as after a fit that did not converge (`converged_` and `n_iter_` are those of the start that
        is kept), and KeyboardInterrupt says which these are. Before the first iteration is done the model is left unchanged.

        Parameters
        ----------
        X : array-like of shape (n, d), path, fastgmm.chunks(...), or Dask collection
            Data larger than memory: a `numpy.memmap`, the path of a file, of a directory or a glob pattern, or chunks
            (`fastgmm.chunks`). They are read once per iteration, ahead of what is computed. From 64 MiB on the start is
            found from a systematic sample of 64 MiB (for a memory map or a ``.npy`` file only beyond 1 GiB or 2^23 samples).

            A ``dask.array`` of two dimensions or a ``dask.dataframe`` is persisted in the memory of the workers, and only
            sums of partitions and the sample for the start come back from there. A partition is worked on by one thread,
            or where there are fewer of them than the worker has threads, by an equal share of these (at most `n_threads`).
        y : ignored
        sample_weight : array-like of shape (n,), optional
            How many times each sample counts, not negative; not necessarily integers. Their scale has no influence on the
            parameters, and a sample of weight 0 none at all. For a Dask collection also a Dask array or series in the same
            partitions.
        progress : bool, default=False
            Show where the fit is, and how much time a pass over the data still takes, on standard error: as a bar where that
            is a terminal and tqdm is installed (extra ``progress``), else as a line every few seconds.
        checkpoint : path, optional
            File that the fit writes its state to, and goes on from where it exists: the result has the bits of a fit that
            was never interrupted, with all `n_init` starts. A fit that ends removes it; Ctrl-C writes it once more. Going
            on, draws come from the state in the file, and `random_state` is not touched. The format is that of
            `fastgmm.estimators.checkpoint`.
        checkpoint_every : float, default=60
            Seconds between two writings of the file, at least; 0 writes it after each iteration (on up to 1024 samples,
            where iterations take microseconds, after each tenth of a second).

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For input or arguments that cannot be used, for a checkpoint that is damaged or of other data or settings, and
            where a component collapses. The model is then unchanged.
        OSError
            For files that cannot be read, and a checkpoint that cannot be written, which is tried before any work.
        KeyboardInterrupt
            On Ctrl-C, see above.

        Warns
        -----
        ConvergenceWarning
            Where the best start did not converge; its parameters are kept.
        """
        self._fit(X, sample_weight, progress, checkpoint, checkpoint_every)
        return self

    def fit_predict(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        progress: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: float = 60.0,
    ) -> NDArray[np.int64]:
        """Fit the mixture and return the most probable component of each sample, as `predict` does. Parameters as in `fit`."""
        source: Any = self._fit(X, sample_weight, progress, checkpoint, checkpoint_every)
        if sample_weight is not None or is_dask(X):
            return self.predict(X)  # those of weight zero as well; those of Dask later
        return passes.labels(source, self._params(), self.n_threads)

    def _fit(
        self, X: Any, sample_weight: ArrayLike | None, progress: bool, checkpoint: Any, checkpoint_every: float
    ) -> AnySource:
        structure, settings = self._check_arguments()
        every = border.check_non_negative("checkpoint_every", checkpoint_every)
        saved = None if checkpoint is None else checkpoints.Checkpoint(checkpoint, every)
        with_bar = border.check_bool("progress", progress)
        names = border.feature_names(X)
        source = open_source(X, sample_weight, min_samples=2)
        self._check_enough(source)
        warm = self.warm_start and self.__sklearn_is_fitted__()
        if warm:
            self._check_warm(source)
        border.check_magnitude(source.largest, source.n_features, source.dtype)
        fitting = self._fitting(source, structure, settings, warm, with_bar, saved)
        try:
            self._keep(fitting.best(), source, names)
        except Interrupted as stop:
            self._keep(stop.fit, source, names)
            raise KeyboardInterrupt(str(stop)) from None
        if saved is not None:
            saved.remove()
        if not self.converged_ and self.max_iter > 0:
            warn(
                f"Best performing initialization did not converge within max_iter={self.max_iter} iterations; the best "
                "parameters found are kept. Increase max_iter or tol, or try other init_params.",
                like_sklearn(ConvergenceWarning),
            )
        return source

    def _fitting(
        self,
        source: AnySource,
        structure: Structure,
        settings: driver.Settings,
        warm: bool,
        with_bar: bool,
        saved: checkpoints.Checkpoint | None,
    ) -> Fitting:
        supplied = self._check_supplied(structure, source.n_features)
        if saved is not None:
            saved.identify(checkpoints.settings_of(self), checkpoints.data_of(source))
        lines = telling.Lines(int(self.verbose), self.verbose_interval) if self.verbose else SILENT
        bar = telling.progress(source.n_samples, 1 if warm else self.n_init) if with_bar else SILENT
        return Fitting(
            source,
            structure,
            settings,
            Start(self.init_params, self.n_components, settings.reg_covar, supplied, self.n_threads),
            border.check_random_state(self.random_state),
            self.n_init,
            earlier=(self._params(), self.lower_bound_) if warm else None,
            monitor=together(lines, bar),
            checkpoint=saved,
        )

    def _keep(self, fit: driver.Fit, source: AnySource, names: NDArray | None) -> None:
        self.n_features_in_ = source.n_features
        if names is not None:
            self.feature_names_in_ = names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self._set_fitted(fit, source.dtype)

    def _check_enough(self, source: AnySource) -> None:
        if source.n_samples < self.n_components:
            raise ValueError(
                f"Expected n_samples >= n_components but got n_components = {self.n_components}, n_samples = "
                f"{source.n_samples}: decrease n_components or pass more samples"
            )

    def _check_arguments(self) -> tuple[Structure, driver.Settings]:
        border.check_integer("n_components", self.n_components, 1)
        structure = STRUCTURES[border.check_choice("covariance_type", self.covariance_type, STRUCTURES)]
        border.check_choice("init_params", self.init_params, INIT_PARAMS)
        border.check_integer("n_init", self.n_init, 1)
        border.check_bool("warm_start", self.warm_start)
        border.check_verbose(self.verbose)
        border.check_integer("verbose_interval", self.verbose_interval, 1)
        return structure, driver.Settings(
            border.check_non_negative("tol", self.tol),
            border.check_non_negative("reg_covar", self.reg_covar),
            border.check_integer("max_iter", self.max_iter, 0),
            border.check_threads(self.n_threads),
        )

    def _check_supplied(self, structure: Structure, d: int) -> Supplied:
        k, layout = self.n_components, structure.layout
        weights, means, precisions = self.weights_init, self.means_init, self.precisions_init
        return Supplied(
            None if weights is None else border.check_weights("weights_init", weights, k),
            None if means is None else border.check_array("means_init", means, (k, d), "(n_components, n_features)"),
            None if precisions is None else border.check_positive("precisions_init", precisions, layout, k, d),
        )

    def _check_warm(self, source: AnySource) -> None:
        layout = STRUCTURES[self.covariance_type].layout
        expected = border.covariance_shape(layout, self.n_components, source.n_features)
        if self.means_.shape != (self.n_components, source.n_features) or self.covariances_.shape != expected:
            raise ValueError(
                f"warm_start=True goes on from a fit with means of shape {self.means_.shape} and covariances of shape "
                f"{self.covariances_.shape}, but n_components={self.n_components}, {source.n_features} features and "
                f"covariance_type={self.covariance_type!r} were asked for: set warm_start=False or keep them"
            )

    def _set_fitted(self, fit: driver.Fit, dtype: np.dtype) -> None:
        params = fit.params
        self.weights_ = params.weights.astype(dtype)
        self.means_ = params.means.astype(dtype)
        self.covariances_ = params.covariances.astype(dtype)
        self.precisions_cholesky_ = params.prec_chol.astype(dtype)
        self.precisions_ = params.precisions.astype(dtype)
        self.converged_ = fit.converged
        self.n_iter_ = fit.n_iter
        self.lower_bound_ = fit.lower_bound
        self.lower_bounds_ = fit.lower_bounds

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
        self._check_features(source.n_features, names)
        return source

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
        # an unknown number of columns is looked at later, in each block
        self._check_features(d if math.isnan(array.shape[1]) else array.shape[1], border.feature_names(X))
        return each_block(array, partial(evaluate, params=self._params()), columns, dtype, d, self.n_threads)

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return the most probable component of each sample, shape (n,). `X` as in `fit`; of Dask, a lazy Dask array."""
        return self._each(X, passes.labels, dtype=np.int64)

    def predict_proba(self, X: Any) -> NDArray:
        """Return the posterior probability of each component for each sample, (n, k). `X` as in `fit`; of Dask, lazily."""
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
        return Criteria(log_likelihood, n, -2 * log_likelihood + p * math.log(n), -2 * log_likelihood + 2 * p)

    def bic(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the Bayesian information criterion on `X`, -2 log L + p log n; lower is better.

        n is the number of samples, with weights their sum: what it is where integer weights stand for repeated rows.
        """
        return self._criteria(X, sample_weight).bic

    def aic(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return Akaike's information criterion on `X`, -2 log L + 2 p; lower is better. L as in `bic`."""
        return self._criteria(X, sample_weight).aic

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


def check_parameters(weights: ArrayLike, means: ArrayLike, covariances: ArrayLike, layout: str) -> Params:
    """Return checked mixture parameters; ValueError naming what is wrong."""
    centres = np.array(border.check_data(means, name="means", axes="(n_components, n_features)"), dtype=np.float64)
    k, d = centres.shape
    matrices = border.check_positive("covariances", covariances, layout, k, d)
    checked = border.check_weights("weights", weights, k)
    return Params(layout, checked, centres, matrices, precision_cholesky(matrices, layout))

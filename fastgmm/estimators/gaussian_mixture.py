"""The estimator `GaussianMixture`: argument checks, the call of EM, and the fitted attributes."""

from __future__ import annotations

import math
import os
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import _validation
from fastgmm._errors import ConvergenceWarning, DegenerateWarning, LocalOptimumWarning, like_sklearn, memory_for, warn
from fastgmm._names import ON_COLLAPSE
from fastgmm.data.open import open_source, opener_for
from fastgmm.data.source import ArraySource, Source
from fastgmm.em import evaluate, online
from fastgmm.em.accelerate import ACCELERATORS
from fastgmm.em.callbacks import SILENT, Callback, combine
from fastgmm.em.result import FitResult
from fastgmm.em.step import REG_COVAR, MaximumAPosteriori, MaximumLikelihood, Step, warn_if_regularisation_dominates
from fastgmm.em.stop import Stop
from fastgmm.estimators.mixture import FIT_HOOKS, PRIOR_TAKES, FittedMixture, warn_of_relative_weights
from fastgmm.estimators.saving import saveable
from fastgmm.fitting.checkpoint import Checkpoint, data_of, settings_of
from fastgmm.fitting.degenerate import degenerate
from fastgmm.fitting.prior import check_prior, completed
from fastgmm.fitting.progress import Lines, announced, progress_bar
from fastgmm.fitting.resets import MOST_RESETS, reset_warning
from fastgmm.fitting.run import Fit, FitPlan, Interrupted
from fastgmm.init.noise import continued, noise_of, noisy
from fastgmm.init.starts import STARTS, Start, Supplied, start_of
from fastgmm.model.checks import check_covariances, check_parameters
from fastgmm.model.noise import Noise
from fastgmm.model.params import Params
from fastgmm.model.priors import NormalInverseWishart
from fastgmm.model.structures import STRUCTURES, Structure, has_structure

#: Batches of `partial_fit` whose log-likelihoods are kept: a stream may be endless.
_HISTORY = 1000


@saveable
class GaussianMixture(FittedMixture):
    """Gaussian mixture fitted by expectation-maximisation.

    It has the interface, the defaults and, for equal data and `random_state`, the results of
    ``sklearn.mixture.GaussianMixture``.

    Parameters
    ----------
    n_components : int, default=1
        Number of components, k.
    covariance_type : str, default='full'
        'full', 'tied', 'diag' or 'spherical': each component its own matrix, all components one matrix, each its own diagonal,
        each its own variance.

        Or one of mclust's names, whose three letters stand for the volume, the shape and the orientation of the components'
        covariances. These are equal (E), varying (V), or (I) along the axes, for the shape a sphere. 'EII', 'VII' (spherical);
        'EEI', 'VEI', 'EVI', 'VVI' (diag); 'EEE' (tied), 'VEE', 'EVE', 'VVE', 'EEV', 'VEV', 'EVV', 'VVV' (full); for one
        feature also 'E' and 'V'. Celeux & Govaert, Pattern Recognition 28(5), 1995.
    tol : float, default=1e-3
        EM stops when the mean log-likelihood per sample changes by less than this.
    reg_covar : float, default=1e-6
        Added to the variances, in squared units of the data.
    max_iter : int, default=100
        Maximum number of EM iterations per start. With 0 the start itself is the result.
    n_init : int, default=1
        Number of starts; the one with the highest `lower_bound_` is kept, the first of several equal ones. A start is stopped
        early if it would not reach the best bound even if each iteration left up to `max_iter` gained twice as much as its
        last one. This happens only after 5 iterations, and not while gains grow. A start is stopped at once if it begins with
        the parameters that the best one began with. A larger `max_iter` stops fewer starts early.

        With more than 80 000 samples (and than 480 numbers for each free parameter) all starts are first run on a sample of a
        quarter of that. EM on all samples then resumes from the best three with different final bounds.
    init_params : str, or array-like of shape (n,) or (n, k), default='kmeans'
        How first parameters that are not supplied are found.

        'kmeans', 'k-means++', 'random', 'random_from_data'
            As in scikit-learn.
        'whitened'
            k-means in the space where all directions have variance 1: it finds clusters that differ along one of low variance.
        'hierarchical'
            Model-based agglomeration (Banfield & Raftery 1993, Fraley 1998) of at most 2000 samples, drawn by weight, extended
            to all of them by an E-step. With up to 2000 samples nothing is drawn, and all starts are equal.
        'em-em'
            20 short EM runs from random means on a subsample, of 2000 samples or 120 numbers (d a sample) per free parameter.
            The best 3 are ranked on all samples (Biernacki, Celeux & Govaert 2003).
        'auto'
            The one of 'kmeans', 'whitened', 'hierarchical' and 'em-em' with the highest likelihood after 5 EM steps.
        array-like of int, shape (n,)
            Known groups of the samples, numbered 0 to k - 1, each with a sample of positive weight.
        array-like of float, shape (n, k)
            Known responsibilities: not negative, rows adding up to 1.

        EM from known groups starts with their M-step, on any data but a Dask collection; there is one such start, whatever
        `n_init`. The groups belong to the data of `fit`, or to the first batch of `partial_fit`.
    weights_init : array-like of shape (k,), optional
        Initial weights; they add up to 1.
    means_init : array-like of shape (k, d), optional
        Initial means.
    precisions_init : array-like, optional
        Initial inverse covariances, in the shape of `precisions_`; they need not have the structure.
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator
        Source of all random draws.
    prior : {None, 'default'} or NormalInverseWishart, default=None
        Conjugate prior of means and covariances, for any `covariance_type`. EM then climbs the log-posterior to its mode, and
        components on few or equal samples do not collapse, even with ``reg_covar=0``. `score`, `bic` and the other criteria
        are of the likelihood at the mode, as in mclust.

        'default' is scaled to the data (Fraley & Raftery 2007, see `NormalInverseWishart`), with `partial_fit` to its first
        batch. A prior weighs against the number of samples, which weights add up to: their scale matters, as in `bic`.
    noise : bool or array-like of bool, shape (n,), default=False
        Whether there is a further component, noise, of constant density over the volume of the data: for samples that belong
        to none of the others (Banfield & Raftery 1993). The volume is that of the box of the data, or of their principal
        components if it is smaller; with `partial_fit` that of the first batch. `predict` says -1 for noise, and
        `predict_proba` has a column for it, the last one. BIC counts two more parameters, as in mclust.

        With True noise begins with the samples that are far from their neighbours (Byers & Raftery 1998), of at most 5000, or
        200 for each component, that the start is then found from. An array marks the samples it begins with, of the data of
        `fit` or of the first batch.
    on_collapse : {'raise', 'reset'}, default='raise'
        What `fit` does if the covariance of a component is not positive definite: raise an error, or start that component anew
        about samples that the mixture fits worst. 'reset' does so also for components that, at the end of a run, sit on too few
        distinct samples or hold none. EM then runs again, up to 10 times for each start. `n_resets_` and a warning say how often.
    warm_start : bool, default=False
        Whether `fit` resumes from the last result instead of starting anew.
    verbose : int, default=0
        1 prints starts and every `verbose_interval`-th iteration, 2 also the change of the bound.
    verbose_interval : int, default=10
        Iterations between two printed lines.
    acceleration : {None, 'auto', 'over-relaxation', 'squarem'}, default=None
        How `fit` reaches the same optimum in fewer passes over the data. None is plain EM, with scikit-learn's `n_iter_`.

        'over-relaxation'
            Each step goes further than EM would, the more so the longer the likelihood keeps rising (Salakhutdinov & Roweis
            2003).
        'squarem'
            Two steps of EM and an extrapolation of them (Varadhan & Roland 2008).
        'auto'
            At present 'squarem', which took the fewest passes on every data set tried (`bench/passes.py`).

        The likelihood never falls, as in EM: a proposal at which it would fall is rejected, and costs a pass. A fit converges
        when a plain step of EM gains less than `tol`. It pays if clusters overlap, so that EM takes hundreds of iterations; with
        a small `tol`, since EM is far from its limit when it stops at 1e-3.
    n_threads : int, optional
        Threads to use; by default Numba's setting, which is also the maximum that Numba was started with. The results do not
        depend on it, to the bit.
    learning_decay : float, default=0.6
        For `partial_fit` and ``fit(batch_size=...)``: a in the step size (t + t0)^-a of batch t, above 0.5 and at most 1. The
        larger it is, the less the parameters follow single batches, and the longer they remember the first ones.
    learning_offset : float, default=3.0
        t0 in the step size, not negative: the larger it is, the less the first batches move the parameters of an earlier
        fit from which `partial_fit` resumes. With 0 the first batch leaves nothing of them.

    Attributes
    ----------
    weights_ : ndarray of shape (k,)
    means_ : ndarray of shape (k, d)
    covariances_, precisions_, precisions_cholesky_ : ndarray
        (k,), one variance for each component: spherical, EII, VII, E, V. (k, d), its variances: diag, EEI, VEI, EVI, VVI.
        (d, d), one matrix for all: tied, EEE. (k, d, d), one for each: full and the others. ``precisions_cholesky_`` is U,
        upper triangular (the root of the precision if that is diagonal), with precision = U U^T. All are float32 if the data
        were.
    converged_ : bool
        Whether the kept start reached `tol` within `max_iter`.
    n_iter_ : int
        Iterations of the kept start; epochs, with `batch_size`; batches, after `partial_fit`.
    n_passes_ : int
        Passes over the data that the kept start took: `n_iter_`, and with `acceleration` those of rejected proposals as well.
        With `batch_size` one more than the epochs.
    lower_bound_ : float
        Mean log-likelihood per sample of the parameters that entered the last iteration, as in scikit-learn. With a `prior`, plus
        the prior's log-density per sample, up to a constant. Those in
        ``means_`` etc. are one M-step further; ``score(X)`` is theirs. With `batch_size`, that of the fitted parameters on all
        of X. After `partial_fit`, that of the last batch under the parameters before its step.
    lower_bounds_ : list of float
        The same for each iteration of the kept start. With `batch_size` for each epoch, with each batch under the parameters
        before its step. After `partial_fit` for the last 1000 batches.
    prior_ : NormalInverseWishart
        With `prior` only: the one of the fit, with every hyper-parameter as a number or an array.
    noise_ : Noise
        With `noise` only: its ``weight``, the ``volume`` over which its density is constant, and the box of that volume, ``low``
        and ``high`` along the columns of ``axes``. All weights add up to 1: ``weights_`` to 1 less that of noise.
    n_resets_ : int
        With ``on_collapse='reset'`` only: how often components of the kept start were started anew. `n_iter_` and
        `lower_bounds_` are those since the last time, `n_passes_` counts all.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Column names, if X was a data frame whose column names are strings.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm import GaussianMixture
    >>> X = np.array([[1, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> GaussianMixture(n_components=2, random_state=0).fit(X).predict([[0, 0], [12, 3]])
    array([1, 0])
    """

    prior_: NormalInverseWishart
    noise_: Noise
    n_resets_: int
    _averages: online.Averages
    _averages_lost: bool

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
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        prior: str | NormalInverseWishart | None = None,
        noise: bool | ArrayLike = False,
        on_collapse: str = "raise",
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        acceleration: str | None = None,
        n_threads: int | None = None,
        learning_decay: float = 0.6,
        learning_offset: float = 3.0,
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
        self.prior = prior
        self.noise = noise
        self.on_collapse = on_collapse
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.acceleration = acceleration
        self.n_threads = n_threads
        self.learning_decay = learning_decay
        self.learning_offset = learning_offset

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
            In the shape of `covariances_`; positive definite, with the structure that `covariance_type` names.
        covariance_type : str, default='full'
        random_state, n_threads
            As in the constructor.

        Raises
        ------
        ValueError
            If shapes are wrong, weights do not add up to 1, or covariances are not positive definite or lack the structure.
        """
        structure = STRUCTURES[_validation.check_choice("covariance_type", covariance_type, STRUCTURES)]
        params = check_parameters(weights, means, covariances, structure.layout, covariance_type)
        k, d = params.means.shape
        structure.check_features(d)
        if not has_structure(structure, params.covariances, params.weights):
            raise ValueError(
                f"covariances are not of the structure {covariance_type!r}, whose E means equal for all components: pass "
                f"covariance_type={structure.layout.name!r}, or covariances such as a fit with {covariance_type!r} would have "
                "found"
            )
        model = cls(k, covariance_type=covariance_type, random_state=random_state, n_threads=n_threads)
        model.n_features_in_ = d
        model._set_fitted(FitResult(params, True, 0, -math.inf, [], 0), np.dtype(np.float64))
        return model

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        batch_size: int | None = None,
        progress: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: float = 60.0,
    ) -> GaussianMixture:
        """Fit the mixture to `X`.

        Ctrl-C ends it within about a second. The model then has the best parameters so far, of a finished start or of the
        running one, as after a fit that did not converge. `converged_` and `n_iter_` are those of the kept start, and
        KeyboardInterrupt says which it is. Before the first iteration is done the model is left unchanged.

        Parameters
        ----------
        X : array-like of shape (n, d), path, fastgmm.chunks(...), or Dask collection
            Data larger than memory: a `numpy.memmap`, the path of a file, of a directory or a glob pattern, or chunks
            (`fastgmm.chunks`). They are read once per iteration, ahead of the computation. From 64 MiB the start is found
            from a systematic sample of 64 MiB (for a memory map or a ``.npy`` file only beyond 1 GiB or 2^23 samples).

            A ``dask.array`` of two dimensions or a ``dask.dataframe`` is persisted in the memory of the workers, and only
            sums of partitions and the sample for the start come back from there. One thread works on a partition; if the
            worker has more threads than partitions, an equal share of the threads does (at most `n_threads`).
        y : ignored
        sample_weight : array-like of shape (n,), optional
            How many times each sample counts: not negative, not necessarily integers. Their scale does not influence the
            parameters (but does `bic`, `aic` and `icl`, and the fit with a
            `prior`); a sample of weight 0 has no influence. For a Dask collection
            also a Dask array or series in the same partitions.
        batch_size : int, optional
            Samples in a batch, for a step after each batch (online EM, see `partial_fit`) rather than after each pass. This
            takes fewer passes over large data, for parameters near those of EM. It pays with many batches; with few, EM is
            better. There are at most `max_iter` epochs, until the mean log-likelihood of one changes by less than `tol`, then
            a pass for `lower_bound_`. Batches are consecutive samples: first shuffle data that are sorted by cluster or in
            time. By default EM on all samples at once.
        progress : bool, default=False
            Show the progress of the fit, and the time left for the current pass over the data, on standard error. This is a
            bar if that is a terminal and tqdm is installed (extra ``progress``), else a line every few seconds.
        checkpoint : path, optional
            File for the state of the fit, which resumes from it if it exists. The result is that of an uninterrupted fit, to
            the bit, with all `n_init` starts. A fit that completes removes the file; Ctrl-C writes it once more. A resumed
            fit draws from the RNG state in the file and leaves `random_state` untouched. The format is that of
            `fastgmm.fitting.checkpoint`.
        checkpoint_every : float, default=60
            Minimum number of seconds between two writes of the file. 0 writes it after each iteration (with up to 1024
            samples, when iterations take microseconds, after each tenth of a second).

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If input or arguments cannot be used, a checkpoint is damaged or belongs to other data or settings, or a
            component collapses. The model is then unchanged.
        OSError
            If files cannot be read, or a checkpoint cannot be written, which is tried before any work.
        KeyboardInterrupt
            On Ctrl-C, see above.

        Warns
        -----
        ConvergenceWarning
            If the best start did not converge; its parameters are kept.
        LocalOptimumWarning
            If it did, but no other of three or more starts came within 10 `tol` of its bound: it was found by luck, and there
            may be a better one.
        DegenerateWarning
            If components sit on too few distinct samples, or on samples that are equal in some direction, so that `reg_covar`
            alone gives them a variance there; or if components hold no samples. The message says which, on how many distinct
            samples, and what to do. `lower_bound_` and the criteria have no meaning then.
        UserWarning
            If components were started anew (`on_collapse`), with the reasons. If weights cannot be a number of samples, which a
            `prior` takes their sum for. If `reg_covar` has its default value and is larger than the variance of the data: the
            message is always the same, so that Python's default filter shows it once for each line that calls `fit`.
        """
        self._fit(X, sample_weight, batch_size, progress, checkpoint, checkpoint_every)
        return self

    def fit_predict(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        batch_size: int | None = None,
        progress: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: float = 60.0,
    ) -> NDArray[np.int64]:
        """Fit the mixture and return the most probable component of each sample, as `predict` does. Parameters as in `fit`."""
        source: Any = self._fit(X, sample_weight, batch_size, progress, checkpoint, checkpoint_every)
        if sample_weight is not None or source.local is None:
            return self.predict(X)  # also for samples of weight zero; for Dask lazily
        return evaluate.labels(source, self._params(), self.n_threads)

    def partial_fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> GaussianMixture:
        """Update the model with the next batch of a stream: online EM (Cappe & Moulines, J. R. Stat. Soc. B 71(3), 2009).

        The statistics that an M-step needs are averaged over the batches with the step sizes gamma_t = (t + `learning_offset`)
        ^ -`learning_decay`, t = 1, 2, ... Each batch is read once and not kept. A batch that weighs more or less than the mean
        of the batches so far moves the averages in proportion. Unlike in `fit`, the likelihood need not rise from step to
        step.

        The first call starts from its batch as `fit` does, once; the more samples it has, the better the start. Its
        parameters stay, and samples are gathered, until there are 20 numbers (d a sample) for each free parameter. From then
        on the averages never stand for fewer, however small the batches. A model that was fitted or made from parameters
        continues from these. `save`, pickle and copies keep the averages, so that the stream resumes in another process with
        the same bits. `fit` starts anew, or with `warm_start` from the parameters, and forgets the averages. A change of the
        number of components or the covariance type needs a new `fit`.

        Parameters
        ----------
        X : array-like of shape (n, d), path, fastgmm.chunks(...), or Dask collection
            One batch. A single sample suffices, except in the first call, which needs n_components.
        y : ignored
        sample_weight : array-like of shape (n,), optional
            As in `fit`. Their scale has no influence if it is that of the other batches' weights, which are 1 if not given.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError, OSError
            As `fit`. The model is then unchanged, and the batch is not part of it.

        Warns
        -----
        UserWarning
            If the model comes from a file of format version 1, which holds no averages, and may have been in a stream, since
            no `fit` converged. The first batch then treats the parameters as those of a fit.
        """
        self._refuse_overridden(FIT_HOOKS, "partial_fit")
        step, _ = self._check_arguments()
        self._check_no_reset("partial_fit makes")
        fitted = self.__sklearn_is_fitted__()
        names = _validation.feature_names(X)
        source = self._source(X, sample_weight) if fitted else open_source(X, sample_weight)
        step.structure.check_features(source.n_features)
        _validation.check_magnitude(source.largest, source.n_features, source.dtype)
        step, adapted = self._adapted(step, source, resumes=fitted)
        clean = None if fitted else self._clean(X, sample_weight, source)
        params, averages = self._before_batch(source, step, clean)
        earlier = self.lower_bounds_ if averages.n_steps else []
        with self._memory_for(source):
            params, averages, bound = self._online(step, source.n_features).step(source, params, averages)
        if not fitted:
            warn_if_regularisation_dominates(params, float(self.reg_covar))
        bounds = [*earlier, bound][-_HISTORY:]
        result = FitResult(params, False, averages.n_steps, bound, bounds, averages.n_steps)
        if fitted:
            self._set_fitted(
                result, source.dtype, "_averages_lost", _averages=averages, n_features_in_=source.n_features, **adapted
            )
        else:
            self._keep(result, source, names, _averages=averages, **adapted)
        return self

    def _before_batch(
        self, source: Source, step: Step, clean: tuple[Source, float] | None
    ) -> tuple[Params, online.Averages]:
        """Return the parameters before the step of a batch, and the averages behind them."""
        if not self.__sklearn_is_fitted__():
            self._check_enough(source)
            start, rng = self._check_start(source, step, clean), _validation.check_random_state(self.random_state)
            with self._memory_for(source):
                samples = None if start.without_data else start.source(source, rng)
                first = start.params(samples, step, self.n_components, rng, self.n_threads)
            return first.normalised(), online.Averages()
        self._check_goes_on(source, "partial_fit", "call fit to start anew")
        averages = getattr(self, "_averages", None)
        if averages is None and getattr(self, "_averages_lost", False):
            warn(
                "this model comes from a file of format version 1, which holds no averages of partial_fit: if it was in a stream, "
                "the next batches move the parameters more than they would have, and n_iter_ counts from 1. Save it again "
                "after them, and nothing is lost from there on",
                UserWarning,
            )
        if averages is None:
            params = self._earlier(step)
            return params, online.averages_of(params, step)
        if averages.stats.layout is not step.structure.layout:
            # of the same shape: diag and tied if k = d. A fit continues from others
            raise ValueError(
                f"partial_fit continues the averages of covariance_type={averages.stats.layout.name!r}, but covariance_type="
                f"{self.covariance_type!r} was set since: call fit to start anew, or set it back"
            )
        return self._earlier(step), averages

    def _earlier(self, step: Step) -> Params:
        """Return the fitted parameters for a step to continue from, with noise if it has noise."""
        params = self._params(drawn=True)
        return continued(params, step.noise) if isinstance(step, MaximumLikelihood) else params

    def _fit(
        self,
        X: Any,
        sample_weight: ArrayLike | None,
        batch_size: int | None,
        progress: bool,
        checkpoint: Any,
        checkpoint_every: float,
    ) -> Source:
        self._refuse_overridden(FIT_HOOKS, "fit")
        step, stop = self._check_arguments()
        if batch_size is not None:
            _validation.check_integer("batch_size", batch_size, 1)
            if self.acceleration is not None:
                raise ValueError(
                    f"acceleration={self.acceleration!r} is for EM on all samples, and batch_size makes a step after each batch: "
                    "leave one of them out"
                )
            self._check_no_reset("batch_size makes")
            if checkpoint is not None:
                raise ValueError(
                    "checkpoint holds the state of EM, not the averages of batch_size: leave one of them out; partial_fit and "
                    "save keep the parameters and the averages after each batch"
                )
        every = _validation.check_non_negative("checkpoint_every", checkpoint_every)
        saved = None if checkpoint is None else Checkpoint(checkpoint, every)
        with_bar = _validation.check_bool("progress", progress)
        if batch_size is not None and opener_for(X) is not None:  # before the data are persisted and checked elsewhere
            raise ValueError(
                "batch_size needs data that are read here, and X lies elsewhere, as a Dask collection does: leave it out, or "
                "call partial_fit with parts of X"
            )
        names = _validation.feature_names(X)
        source = open_source(X, sample_weight, min_samples=2)
        step.structure.check_features(source.n_features)
        self._check_enough(source)
        warm = self.warm_start and self.__sklearn_is_fitted__()
        if warm:
            self._check_goes_on(source, "warm_start=True", "set warm_start=False")
        _validation.check_magnitude(source.largest, source.n_features, source.dtype)
        if self.prior is not None:
            warn_of_relative_weights(source, PRIOR_TAKES)
        with self._memory_for(source):
            step, adapted = self._adapted(step, source)
        plan = self._plan(source, step, stop, warm, batch_size, None if warm else self._clean(X, sample_weight, source))
        if saved is not None:
            # not the arguments that the constructor of a subclass names: it may pass **kwargs on
            arguments = {name: getattr(self, name) for name in GaussianMixture._parameter_names()}
            saved.identify(settings_of(type(self).__name__, arguments), data_of(source))
        fit = Fit(plan, self._progress(plan, with_bar), saved)
        try:
            with self._memory_for(source), announced(bool(self.verbose), with_bar):
                result = fit.best()
            self._keep(result, source, names, **adapted)
        except Interrupted as interrupted:
            self._keep(interrupted.fit, source, names, **adapted)
            raise KeyboardInterrupt(str(interrupted)) from None
        if saved is not None:
            saved.remove()
        self._warn_of(result, source, step.structure, fit.found_once() if batch_size is None else "")
        if result.n_resets:
            warn(reset_warning(result.n_resets, fit.reset_reasons), UserWarning)
        return source

    def _warn_of(self, result: FitResult, source: Source, structure: Structure, found_once: str) -> None:
        """Warn of a fit that ended badly without an error; `found_once` says that one start alone reached its bound."""
        if result.n_iter > 0:
            warn_if_regularisation_dominates(result.params, float(self.reg_covar))
        if not self.converged_ and self.max_iter > 0:
            warn(
                f"Best performing initialization did not converge within max_iter={self.max_iter} iterations; the best "
                "parameters found are kept. Increase max_iter or tol, or try other init_params.",
                like_sklearn(ConvergenceWarning),
            )
        elif found_once:
            warn(found_once, LocalOptimumWarning)
        if result.n_iter > 0 and (
            text := degenerate(source, result.params, structure, float(self.reg_covar), self.n_threads)
        ):
            warn(f"The fit is degenerate: {text}", DegenerateWarning)

    def _plan(
        self,
        source: Source,
        step: Step,
        stop: Stop,
        warm: bool,
        batch_size: int | None,
        clean: tuple[Source, float] | None,
    ) -> FitPlan:
        start = self._check_start(source, step, clean)
        return FitPlan(
            source,
            step,
            stop,
            start,
            self.n_components,
            1 if start.on_all else self.n_init,  # from known groups they would be equal
            _validation.check_random_state(self.random_state),
            self.n_threads,
            earlier=(self._earlier(step), getattr(self, "lower_bound_", -math.inf)) if warm else None,
            batches=None if batch_size is None else (self._online(step, source.n_features), batch_size),
            acceleration=self.acceleration,
            resets=MOST_RESETS if self.on_collapse == "reset" else 0,
        )

    def _progress(self, plan: FitPlan, with_bar: bool) -> Callback:
        lines = Lines(int(self.verbose), self.verbose_interval) if self.verbose else SILENT
        n_starts = 1 if plan.earlier is not None else plan.n_starts
        return combine(lines, progress_bar(plan.source.n_samples, n_starts) if with_bar else SILENT)

    def _initialize(self, X: Any, resp: ArrayLike) -> None:
        """Set the parameters that an M-step computes from responsibilities (n, k), except those that were supplied.

        A private method of scikit-learn's class that programs call; `fit` takes responsibilities as `init_params`.
        """
        step, _ = self._check_arguments()
        data = _validation.check_data(X)
        k = _validation.check_data(resp, name="resp", axes="(n_samples, n_components)").shape[1]
        known = _validation.check_groups("resp", resp, len(data), k)
        source = ArraySource(data)
        step.structure.check_features(source.n_features)
        _validation.check_magnitude(source.largest, source.n_features, source.dtype)
        start = start_of(known, self._check_supplied(step.structure, k, source.n_features))
        params = start.params(source, step, k, _validation.check_random_state(self.random_state), self.n_threads)
        arrays = (params.weights, params.means, params.covariances, params.prec_chol)
        self._set_parameters([values.astype(source.dtype) for values in arrays])

    def _memory_for(self, source: Source) -> AbstractContextManager[None]:
        what = f"fitting {self.n_components} components of type {self.covariance_type!r} to {source.n_samples} samples"
        remedy = "Ask for fewer components, a type of fewer parameters such as 'diag', or n_threads=1"
        return memory_for(f"{what} of {source.n_features} features", remedy)

    def _online(self, step: Step, d: int) -> online.Online:
        shape = (self.n_components, d)
        return online.Online.for_shape(step, *self._check_learning(), shape, self.n_threads)

    def _keep(self, fit: FitResult, source: Source, names: NDArray | None, **others: Any) -> None:
        others |= {"n_features_in_": source.n_features} | ({} if names is None else {"feature_names_in_": names})
        # averages of an earlier partial_fit belong to other parameters
        gone = ("feature_names_in_", "_averages", "_averages_lost", "_left_out", "prior_", "noise_", "n_resets_")
        if self.on_collapse == "reset":
            others["n_resets_"] = fit.n_resets
        self._set_fitted(fit, source.dtype, *gone, **others)

    def _check_no_reset(self, what: str) -> None:
        if self.on_collapse != "raise":
            raise ValueError(
                f"on_collapse={self.on_collapse!r} is for EM on all samples, and {what} a step after each batch: set "
                "on_collapse='raise'"
            )

    def _check_enough(self, source: Source) -> None:
        if source.n_samples < self.n_components:
            raise ValueError(
                f"Expected n_samples >= n_components but got n_components = {self.n_components}, n_samples = "
                f"{source.n_samples}: decrease n_components or pass more samples"
            )

    def _check_arguments(self) -> tuple[Step, Stop]:
        _validation.check_integer("n_components", self.n_components, 1)
        structure = STRUCTURES[_validation.check_choice("covariance_type", self.covariance_type, STRUCTURES)]
        if not _validation.is_array_like(self.init_params):
            _validation.check_choice("init_params", self.init_params, STARTS)
        _validation.check_integer("n_init", self.n_init, 1)
        _validation.check_bool("warm_start", self.warm_start)
        if self.acceleration is not None:
            _validation.check_choice("acceleration", self.acceleration, ACCELERATORS)
        _validation.check_choice("on_collapse", self.on_collapse, ON_COLLAPSE)
        _validation.check_verbose(self.verbose)
        _validation.check_integer("verbose_interval", self.verbose_interval, 1)
        self._check_learning()
        _validation.check_threads(self.n_threads)
        tol = _validation.check_non_negative("tol", self.tol)
        reg_covar = _validation.check_non_negative("reg_covar", self.reg_covar)
        stop = Stop(tol, _validation.check_integer("max_iter", self.max_iter, 0))
        step = self._step(structure, reg_covar)
        if check_prior(self.prior) is not None and type(step) is not MaximumLikelihood:
            raise ValueError(
                f"prior={self.prior!r} is for maximum likelihood, and {type(self).__name__} has a step of its own: leave one of "
                "them out"
            )
        if self._has_noise and type(step) is not MaximumLikelihood:
            raise ValueError(
                f"noise is for maximum likelihood, and {type(self).__name__} has a step of its own: pass noise=False"
            )
        return step, stop

    def _step(self, structure: Structure, reg_covar: float) -> Step:
        """Return the step that maximises the likelihood. A subclass with another objective returns its own step."""
        return MaximumLikelihood(structure, reg_covar)

    def _adapted(self, step: Step, source: Source, *, resumes: bool = False) -> tuple[Step, dict[str, Any]]:
        """Return the step with the prior and the noise of the data, and the attributes that the fit has of the prior.

        A stream that resumes keeps those of its first batch.
        """
        if self._has_noise:
            assert isinstance(step, MaximumLikelihood)
            noise = self.noise_ if resumes and hasattr(self, "noise_") else noise_of(source, self.n_threads)
            step = replace(step, noise=noise)
        prior = check_prior(self.prior)
        if prior is None:
            return step, {}
        assert isinstance(step, MaximumLikelihood)
        k = self.n_components
        if resumes and hasattr(self, "prior_"):
            prior = self.prior_
        prior = completed(prior, source, step.structure, k, self.n_threads)
        own = prior.of(step.structure, k)
        return MaximumAPosteriori(step.structure, step.reg_covar, noise=step.noise, prior=own), {"prior_": prior}

    @property
    def _has_noise(self) -> bool:
        return not isinstance(self.noise, (bool, np.bool_)) or bool(self.noise)

    def _clean(self, X: Any, sample_weight: ArrayLike | None, source: Source) -> tuple[Source, float] | None:
        """Return the samples that are not marked as noise, and the share of the weight of the others; None if none are marked."""
        if isinstance(self.noise, (bool, np.bool_)):
            return None
        if source.local is None:
            raise ValueError(
                "noise cannot mark samples if X lies elsewhere, as a Dask collection does: pass noise=True, which finds some"
            )
        n = source.n_samples if source.local.present is None else len(source.local.present)
        marked = _validation.check_mask("noise", self.noise, n)
        weights = np.ones(n) if sample_weight is None else np.asarray(sample_weight, np.float64)
        kept = np.where(marked, 0.0, weights)
        n_marked, n_kept = int(np.count_nonzero(weights * marked)), int(np.count_nonzero(kept))
        if n_marked == 0 or n_kept < max(self.n_components, 2):
            raise ValueError(
                f"noise marks {n_marked} of {n_marked + n_kept} samples (of positive weight), and there are to be noise and "
                f"n_components={self.n_components}: mark some samples, but not all, or pass noise=True, which finds some"
            )
        return open_source(X, kept), float((weights * marked).sum() / weights.sum())

    def _check_start(self, source: Source, step: Step, clean: tuple[Source, float] | None) -> Start:
        known = self._check_init_params(source)
        start = start_of(known, self._check_supplied(step.structure, self.n_components, source.n_features))
        if not self._has_noise:
            return start
        if not isinstance(known, str):
            raise ValueError(
                "init_params cannot be labels or responsibilities if there is noise, which they do not know: pass one of "
                f"{', '.join(map(repr, STARTS))}"
            )
        return noisy(start) if clean is None else noisy(start, *clean)

    def _check_init_params(self, source: Source) -> str | NDArray:
        """Return the kind of start, or the known groups of the samples of a source."""
        if isinstance(self.init_params, str):
            return self.init_params
        if source.local is None:
            raise ValueError(
                "init_params cannot be labels or responsibilities if X lies elsewhere, as a Dask collection does: pass one of "
                f"{', '.join(map(repr, STARTS))}, or weights_init, means_init and precisions_init"
            )
        present = source.local.present
        n = source.n_samples if present is None else len(present)
        known = _validation.check_groups("init_params", self.init_params, n, self.n_components)
        return known if present is None else known[present]

    def _check_supplied(self, structure: Structure, k: int, d: int) -> Supplied:
        layout = structure.layout
        weights, means, precisions = self.weights_init, self.means_init, self.precisions_init
        return Supplied(
            None if weights is None else _validation.check_weights("weights_init", weights, k),
            None
            if means is None
            else _validation.check_array("means_init", means, (k, d), "(n_components, n_features)"),
            None
            if precisions is None
            else check_covariances("precisions_init", precisions, layout, k, d, structure.name),
        )

    def _check_learning(self) -> tuple[float, float]:
        """Return `learning_decay` and `learning_offset`."""
        return (
            _validation.check_within("learning_decay", self.learning_decay, 0.5, 1.0),
            _validation.check_non_negative("learning_offset", self.learning_offset),
        )

    def _check_goes_on(self, source: Source, what: str, remedy: str) -> None:
        layout = STRUCTURES[self.covariance_type].layout
        expected = layout.shape(self.n_components, source.n_features)
        means = np.shape(self.means_)
        covariances = np.shape(self.covariances_) if hasattr(self, "covariances_") else expected
        if means != (self.n_components, source.n_features) or covariances != expected:
            raise ValueError(
                f"{what} resumes from a fit with means of shape {means} and covariances of shape "
                f"{covariances}, but n_components={self.n_components}, {source.n_features} features and "
                f"covariance_type={self.covariance_type!r} were asked for: {remedy} or keep them"
            )

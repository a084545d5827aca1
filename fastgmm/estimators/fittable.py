"""Base class of mixtures that are fitted to data: checks of arguments, the call of EM, batches of a stream, warnings."""

from __future__ import annotations

import math
import os
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import _validation
from fastgmm._errors import (
    ConvergenceWarning,
    DegenerateWarning,
    LocalOptimumWarning,
    like_sklearn,
    memory_for,
    warn,
)
from fastgmm._names import MISSING_VALUES, ON_COLLAPSE
from fastgmm.data.labelled import LabelledSource, labelled
from fastgmm.data.noisy import with_noise
from fastgmm.data.open import opener_for
from fastgmm.data.source import ArraySource, Source
from fastgmm.em import evaluate, online
from fastgmm.em.accelerate import ACCELERATORS
from fastgmm.em.callbacks import SILENT, Callback, combine
from fastgmm.em.loop import SWEEPS
from fastgmm.em.pruned import PrunedSweeps
from fastgmm.em.result import FitResult
from fastgmm.em.step import Step, warn_if_regularisation_dominates
from fastgmm.em.stop import Stop
from fastgmm.em.sweep import check_observed
from fastgmm.estimators import sklearn_callbacks
from fastgmm.estimators.mixture import FIT_HOOKS, FittedMixture
from fastgmm.estimators.saving import SAVED
from fastgmm.fitting.checkpoint import Checkpoint, data_of, settings_of
from fastgmm.fitting.progress import Lines, announced, progress_bar
from fastgmm.fitting.resets import MOST_RESETS, reset_warning
from fastgmm.fitting.run import Fit, FitPlan, Interrupted
from fastgmm.init.starts import STARTS, Start, Supplied, start_of
from fastgmm.model.params import Params
from fastgmm.model.structures import STRUCTURES, Structure

if TYPE_CHECKING:
    from typing_extensions import Self

#: Batches of `partial_fit` whose log-likelihoods are kept: a stream may be endless.
_HISTORY = 1000


class FittableMixture(FittedMixture):
    """Base class of mixtures that are fitted to data, whatever the step maximises.

    A subclass has a constructor that sets the attributes below, and returns a step from `_step`.
    """

    n_components: int
    tol: float
    reg_covar: float
    max_iter: int
    n_init: int
    init_params: str | ArrayLike
    warm_start: bool
    verbose: int
    verbose_interval: int
    acceleration: str | None
    algorithm: str
    #: What `fit` does if a component collapses; an estimator with this argument sets its own attribute.
    on_collapse: str = "raise"
    learning_decay: float
    learning_offset: float
    forgetting: float | None
    _averages: online.Averages
    _averages_lost: bool

    #: Covariance structures that the estimator fits.
    _structures: ClassVar[dict[str, Structure]] = STRUCTURES
    #: Fitted attributes to remove, since the next fit may not set them.
    _gone: ClassVar[tuple[str, ...]] = (
        "feature_names_in_",
        "component_labels_",
        "_averages",
        "_averages_lost",
        "_left_out",
    )

    # --- methods that a subclass overrides ---

    @abstractmethod
    def _step(self, structure: Structure, reg_covar: float) -> Step:
        """Return the objective of the estimator as a step, as far as it is known without data."""

    def _adapted(self, step: Step, source: Source, *, resumes: bool = False) -> tuple[Step, dict[str, Any]]:
        """Return the step for given data, and the fitted attributes that go with it. `resumes` is for later batches of a stream."""
        return step, {}

    def _check_supplied(self, structure: Structure, k: int, d: int) -> Supplied:
        """Return the initial parameters that the user supplied."""
        return Supplied()

    def _clean(self, X: Any, sample_weight: ArrayLike | None, source: Source) -> tuple[Source, float] | None:
        """Return the samples that a start may use, and the share of the weight of all others; None if it may use all."""
        return None

    def _earlier(self, step: Step) -> Params:
        """Return the fitted parameters for a step to continue from."""
        return self._params(drawn=True)

    def _degenerate(self, source: Source, params: Params, structure: Structure) -> str:
        """Return which components of a fit describe few samples or none; '' if there are none, or if that does not matter."""
        return ""

    # --- fits ---

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        noise_covariance: ArrayLike | None = None,
        batch_size: int | None = None,
        progress: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: float = 60.0,
        labels: ArrayLike | None = None,
        label_components: Mapping[int, Sequence[int]] | None = None,
    ) -> Self:
        """Fit the mixture to samples.

        Ctrl-C ends a fit within about a second. The model then has the best parameters found so far, of a finished
        start or of the running one, like a fit that did not converge; `converged_` and `n_iter_` are those of that
        start, and the message of KeyboardInterrupt says which it is. Before the end of the first iteration the model is
        left unchanged.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), path, chunks or Dask collection
            Samples in rows, features in columns; at least 2 samples, and no fewer than `n_components`. float32 data are
            fitted in float32 with sums in float64; all other numbers are converted to float64. NaN is an error unless
            ``missing_values='marginalize'``; infinity always is. The column names of a pandas or polars frame are kept
            as `feature_names_in_` if all are strings.

            Data larger than memory can be a `numpy.memmap`, the path of a file or directory, a glob pattern, or the
            result of `fastgmm.chunks`. They are read once per iteration, ahead of the computation. From 64 MiB on, the
            start is found from a systematic sample of 64 MiB (for a memory map or a ``.npy`` file only beyond 1 GiB or
            2^23 samples).

            A two-dimensional ``dask.array`` or a ``dask.dataframe`` is persisted in the memory of the workers. Only
            sums over partitions and the sample for the start are sent back from there. Each partition is computed by
            one thread; if a worker has more threads than partitions, by an equal share of them (at most `n_threads`).
        y : None
            Ignored; present for scikit-learn's interface.
        sample_weight : array-like of shape (n_samples,), optional
            How many times each sample counts: non-negative, not necessarily integers. By default each counts once. A
            sample of weight 0 has no influence. The scale of the weights does not matter to the parameters, unless
            there is a prior, but it does to `bic`, `aic` and `icl`. For a Dask collection also a Dask array or series
            with the same partitions.
        noise_covariance : array-like, optional
            Known covariances of the measurement errors, in squared units of `X`: variances, not standard errors. The
            shape is (n_samples, n_features) for variances of each sample, (n_samples, n_features, n_features) for
            covariances of each, or (n_features,) or (n_features, n_features) if all samples share them. The fitted
            mixture is then that of the values without errors (extreme deconvolution [1]_); see Notes. If n_samples
            equals n_features a matrix would be ambiguous and is refused: pass three dimensions, (1, n_features,
            n_features) for a shared one. Any array that NumPy can slice will do, such as a `numpy.memmap`. The samples
            of a Dask collection must share the covariance. By default there are no errors.
        batch_size : int, optional
            Number of samples in a batch, for online EM with a step after each batch (see `partial_fit`). This takes
            fewer passes over large data, and ends near the parameters that EM finds. It pays if there are many batches.
            At most `max_iter` epochs are made, until the mean log-likelihood of an epoch changes by less than `tol`; a
            last pass computes `lower_bound_`. Batches are consecutive samples: shuffle data that are sorted by cluster
            or by time. By default EM uses all samples at once.
        progress : bool, default=False
            Whether to show the progress of the fit, and the time left in the current pass over the data, on standard
            error: a bar if that is a terminal and tqdm is installed (extra ``progress``), else a line every few
            seconds.
        checkpoint : str or path-like, optional
            File for the state of the fit. If it exists, the fit resumes from it, and ends with the bits of an
            uninterrupted fit, over all `n_init` starts. A fit that completes removes the file; Ctrl-C writes it once
            more. A resumed fit draws from the RNG state in the file and leaves `random_state` untouched. By default
            nothing is written.
        checkpoint_every : float, default=60.0
            Minimum time between two writes of the file, in seconds. With 0 it is written after each iteration, or every
            tenth of a second for up to 1024 samples, whose iterations take microseconds.
        labels : array-like of int of shape (n_samples,), optional
            Known labels of the samples, for a semi-supervised fit; -1 where the label is unknown. A labelled sample
            belongs to the components of its label only. With ``init_params='kmeans'`` components start from the
            labelled samples. Not for Dask collections or with `batch_size`.
        label_components : dict, optional
            Components of each label, such as ``{0: [0, 1], 1: [2]}``; by default label j has component j. Components
            without a label are for samples of unknown label. `component_labels_` holds the label of each component.

        Returns
        -------
        self
            The fitted model.

        Raises
        ------
        ValueError
            If data or arguments cannot be used, if a checkpoint is damaged or belongs to other data or settings, or if
            the covariance of a component is not positive definite. The model is then unchanged.
        TypeError
            If data or an argument are of a type that cannot be used, or if a subclass overrides a method of
            scikit-learn's class that would not be called here.
        OSError
            If a file cannot be read, or if the checkpoint cannot be written, which is tried before any work is done.
        MemoryError
            If memory runs out. The message says what it was for, how much was needed, and what to do.
        KeyboardInterrupt
            On Ctrl-C, as described above.

        Warns
        -----
        ConvergenceWarning
            If the best start did not converge within `max_iter` iterations; its parameters are kept.
        LocalOptimumWarning
            If the best of three or more starts converged, but no other came within 10 `tol` of its bound. It was found
            by luck, and there may be a better one.
        DegenerateWarning
            If components rest on too few distinct samples, or on samples that are equal in some direction, so that
            `reg_covar` alone gives them a variance there; or if components hold no samples. `lower_bound_` and the
            criteria then have no meaning. The message says which components, on how many distinct samples, and what to
            do.
        UserWarning
            If components were reset (``on_collapse='reset'``), with the reasons; if there is a prior and the weights
            cannot be numbers of samples; if samples have no value at all, with their number; or if `reg_covar` has its
            default value and is larger than a variance of the data. The last message is always the same, so that
            Python's default filter shows it once for each line that calls `fit`.

        See Also
        --------
        fit_predict : Fit, and return the component of each sample.
        partial_fit : Update the model with one batch of a stream.
        select : Choose the number of components and the covariance structure.
        fastgmm.chunks : Read files, or the parts that a function returns, as data to fit to.

        Notes
        -----
        Each iteration makes one pass over the data (a sweep), which computes responsibilities and the sums that the
        M-step needs. The sums are about the means of the previous iteration, so that data far from zero lose no
        precision. Results are the same to the bit for any number of threads, and for the same data in memory, in a
        memory map or in chunks, if the start is found from all of them.

        With `noise_covariance`, sample i has the density N(x_i | mu_k, Sigma_k + S_i) in component k, and the M-step
        uses the expected value without errors. Starts, the volume of the noise component and a prior that is scaled to
        the data use the data as they are, with errors. `reg_covar` is added to the covariances without errors. A
        component may become as narrow as `reg_covar` allows if the errors explain all of its spread; that is not a
        collapse. ``algorithm='pruned'`` has no effect, and starts are not compared on a part of the data.

        References
        ----------
        .. [1] J. Bovy, D. W. Hogg and S. T. Roweis, "Extreme deconvolution: inferring complete distribution functions
           from noisy, heterogeneous and incomplete observations", The Annals of Applied Statistics 5(2B), pp.
           1657-1677, 2011.

        Examples
        --------
        >>> from fastgmm import GaussianMixture
        >>> from fastgmm.datasets import load_iris
        >>> iris = load_iris()
        >>> model = GaussianMixture(n_components=3, random_state=0).fit(iris.data)
        >>> model.converged_
        True
        >>> model.means_.shape
        (3, 4)

        With a few known labels, components keep the numbers of the labels:

        >>> labels = iris.target.copy()
        >>> labels[5:50] = labels[55:100] = labels[105:150] = -1
        >>> model = GaussianMixture(n_components=3, random_state=0).fit(iris.data, labels=labels)
        >>> model.component_labels_.tolist()
        [0, 1, 2]
        """
        arguments = (X, y, sample_weight, noise_covariance, batch_size, progress, checkpoint, checkpoint_every)
        self._fit_within_callbacks(*arguments, labels, label_components)
        return self

    def fit_predict(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        noise_covariance: ArrayLike | None = None,
        batch_size: int | None = None,
        progress: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: float = 60.0,
        labels: ArrayLike | None = None,
        label_components: Mapping[int, Sequence[int]] | None = None,
    ) -> NDArray[np.int64]:
        """Fit the mixture to samples and return the most probable component of each.

        The result is that of ``fit(X, ...).predict(X)``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), path, chunks or Dask collection
            Samples, in any form that `fit` takes.
        y : None
            Ignored; present for scikit-learn's interface.
        sample_weight : array-like of shape (n_samples,), optional
            How many times each sample counts, as in `fit`.
        noise_covariance : array-like, optional
            Known covariances of the measurement errors, as in `fit`, in squared units of `X`.
        batch_size : int, optional
            Number of samples in a batch of online EM, as in `fit`; by default EM uses all samples at once.
        progress : bool, default=False
            Whether to show the progress of the fit on standard error.
        checkpoint : str or path-like, optional
            File from which the fit resumes if it exists, as in `fit`.
        checkpoint_every : float, default=60.0
            Minimum time between two writes of the file, in seconds.
        labels : array-like of int of shape (n_samples,), optional
            Known labels of the samples, -1 where the label is unknown, as in `fit`.
        label_components : dict, optional
            Components of each label, as in `fit`.

        Returns
        -------
        ndarray of shape (n_samples,), dtype int64
            Index of the most probable component of each sample; -1 for the noise component. Lazy for a Dask collection,
            as in `predict`.

        Raises
        ------
        ValueError, TypeError, OSError, MemoryError, KeyboardInterrupt
            As `fit`.

        Warns
        -----
        ConvergenceWarning, LocalOptimumWarning, DegenerateWarning, UserWarning
            As `fit`.

        See Also
        --------
        fit : Fit without predicting; it describes all parameters.
        predict : Predict other samples.

        Examples
        --------
        >>> import numpy as np
        >>> from fastgmm import GaussianMixture
        >>> X = np.array([[0.0, 0.3], [0.2, -0.1], [-0.3, 0.1], [7.0, 7.2], [7.3, 6.9], [6.8, 7.1]])
        >>> labels = GaussianMixture(n_components=2, random_state=0).fit_predict(X)
        >>> bool((labels[:3] == labels[0]).all() and (labels[3:] == 1 - labels[0]).all())
        True
        """
        arguments = (X, y, sample_weight, noise_covariance, batch_size, progress, checkpoint, checkpoint_every)
        source: Any = self._fit_within_callbacks(*arguments, labels, label_components)
        if sample_weight is not None or source.local is None or source.local.present is not None:
            return self.predict(X, noise_covariance)  # samples that do not count get a label too; lazy for Dask
        return evaluate.labels(source, self._params(), self.n_threads)

    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        noise_covariance: ArrayLike | None = None,
    ) -> Self:
        """Update the model with one batch of a stream by online EM.

        The first call starts from its batch as `fit` does, once; the more samples it has, the better the start. Its
        parameters stay, and samples are gathered, until there are 20 numbers (n_features in each sample) for each free
        parameter. From then on each batch makes a step. It is read once and not kept.

        A model that was fitted, or made from parameters, continues from these. `save`, pickle and copies keep the
        averages, so that a stream resumes in another process with the same bits. `fit` starts anew, or with
        `warm_start` from the parameters, and drops the averages. After a change of the number of components or the
        covariance type, call `fit` again.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), path, chunks or Dask collection
            One batch. A single sample suffices, except in the first call, which needs `n_components` of them.
        y : None
            Ignored; present for scikit-learn's interface.
        sample_weight : array-like of shape (n_samples,), optional
            How many times each sample counts, as in `fit`. A common factor of the weights of all batches has no
            influence; batches without weights have weights of 1.
        noise_covariance : array-like, optional
            Known covariances of the measurement errors of this batch, as in `fit`, in squared units of `X`.

        Returns
        -------
        self
            The updated model.

        Raises
        ------
        ValueError, TypeError, OSError
            As `fit`. The model is then unchanged, and the batch is not part of it.

        Warns
        -----
        UserWarning
            If the model was loaded from a file of format version 1, which holds no averages, and no `fit` of it
            converged, so that it may have been in a stream. The first batch then treats the parameters as those of a
            fit.

        See Also
        --------
        fit : Fit to data that can be read again; with ``batch_size`` in the same way.
        save : Store the model with its averages.

        Notes
        -----
        The sums that an M-step needs are averaged over the batches with the step sizes [1]_ ::

            gamma_t = (t + learning_offset)^-learning_decay,    t = 1, 2, ...

        A batch that weighs more or less than the mean of the batches so far moves the averages in proportion. However
        small the batches, the averages never stand for fewer samples than the first step needed, unless ``forgetting``
        is set. Unlike in `fit`, the likelihood may fall from one step to the next. In a `BayesianGaussianMixture` the
        steps follow stochastic natural gradients of the evidence lower bound.

        References
        ----------
        .. [1] O. Cappé and E. Moulines, "On-line expectation-maximization algorithm for latent data models", Journal of
           the Royal Statistical Society: Series B 71(3), pp. 593-613, 2009.

        Examples
        --------
        >>> import numpy as np
        >>> from fastgmm import GaussianMixture
        >>> rng = np.random.default_rng(0)
        >>> model = GaussianMixture(n_components=2, random_state=0)
        >>> for _ in range(50):
        ...     batch = np.concatenate([rng.normal(-3, 1, (100, 1)), rng.normal(3, 1, (100, 1))])
        ...     model = model.partial_fit(batch)
        >>> np.sort(model.means_.ravel()).round().tolist()
        [-3.0, 3.0]
        >>> model.n_iter_
        50
        """
        self._refuse_overridden(FIT_HOOKS, "partial_fit")
        step, _ = self._check_arguments()
        self._check_no_reset("partial_fit makes")
        fitted = self.__sklearn_is_fitted__()
        names = _validation.feature_names(X)
        if fitted:
            source = self._source(X, sample_weight, noise_covariance)
        else:
            source = with_noise(self._valued(X, sample_weight), noise_covariance)
            check_observed(source, names)
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
        """Return the parameters before the step of a batch, and the averages that they come from."""
        if not self.__sklearn_is_fitted__():
            self._check_enough(source)
            start, rng = self._check_start(source, step, clean), _validation.check_random_state(self.random_state)
            with self._memory_for(source):
                samples = None if start.without_data else start.source(source, rng)
                first = start.params(samples, step, self.n_components, rng, self.n_threads)
            return first.normalised(), online.Averages()
        self._check_resumes(source, "partial_fit", "call fit to start anew")
        averages = getattr(self, "_averages", None)
        if averages is None and getattr(self, "_averages_lost", False):
            warn(
                "this model was loaded from a file of format version 1, which does not hold the averages of partial_fit. If it "
                "was part of a stream, the next batches move the parameters more than they should, and n_iter_ counts from "
                "1. Save it again after them to keep the averages",
                UserWarning,
            )
        if averages is None:
            params = self._earlier(step)
            return params, online.averages_of(params, step)
        if averages.stats.layout is not step.structure.layout:
            # the shapes may agree: those of diag and tied do if k = d
            raise ValueError(
                f"partial_fit continues the averages of covariance_type={averages.stats.layout.name!r}, but covariance_type="
                f"{self.covariance_type!r} was set since: call fit to start anew, or set it back"
            )
        return self._earlier(step), averages

    @property
    def _fit_within_callbacks(self) -> Callable[..., Source]:
        """Return `_fit`, wrapped in the callbacks of scikit-learn if some are set."""
        if not sklearn_callbacks.has_callbacks(self):
            return self._fit
        return partial(sklearn_callbacks.managed, self, self._fit)

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        noise_covariance: ArrayLike | None,
        batch_size: int | None,
        progress: bool,
        checkpoint: Any,
        checkpoint_every: float,
        labels: ArrayLike | None = None,
        label_components: Mapping[int, Sequence[int]] | None = None,
    ) -> Source:
        self._refuse_overridden(FIT_HOOKS, "fit")
        step, stop = self._check_arguments()
        if batch_size is not None:
            self._check_batches(X, batch_size, checkpoint)
        every = _validation.check_non_negative("checkpoint_every", checkpoint_every)
        saved = None if checkpoint is None else Checkpoint(checkpoint, every)
        with_bar = _validation.check_bool("progress", progress)
        names = _validation.feature_names(X)
        source = with_noise(self._valued(X, sample_weight, min_samples=2), noise_covariance)
        check_observed(source, names)
        step.structure.check_features(source.n_features)
        self._check_enough(source)
        warm = self.warm_start and self.__sklearn_is_fitted__()
        if warm:
            self._check_resumes(source, "warm_start=True", "set warm_start=False")
        _validation.check_magnitude(source.largest, source.n_features, source.dtype)
        with self._memory_for(source):
            step, adapted = self._adapted(step, source)
        if labels is not None or label_components is not None:
            source = self._labelled(source, labels, label_components, batch_size)
            adapted["component_labels_"] = source.owners.of_components
        clean = None if warm else self._clean(X, sample_weight, source)
        plan = self._plan(source, step, stop, warm, batch_size, clean)
        self._warn_if_dense(source)
        if saved is not None:
            # the arguments of our class, not those of a subclass, whose constructor may pass **kwargs on
            ours: Any = next(cls for cls in type(self).__mro__ if cls in SAVED.values())
            arguments = {name: getattr(self, name) for name in ours._parameter_names()}
            saved.identify(settings_of(type(self).__name__, arguments), data_of(source))
        plan, callback = self._heard(plan, self._progress(plan, with_bar), (X, y, sample_weight))
        fit = Fit(plan, callback, saved)
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

    def _check_batches(self, X: Any, batch_size: int, checkpoint: Any) -> None:
        """Raise ValueError if the data or the other arguments rule out steps after batches."""
        _validation.check_integer("batch_size", batch_size, 1)
        if self.acceleration is not None:
            raise ValueError(
                f"acceleration={self.acceleration!r} needs EM on all samples, but batch_size makes a step after each batch: "
                "leave one of them out"
            )
        if self.algorithm != "dense":
            raise ValueError(
                f"algorithm={self.algorithm!r} needs EM on all samples, since it carries distances over from one iteration to "
                "the next: leave algorithm or batch_size out"
            )
        self._check_no_reset("batch_size makes")
        if self.forgetting is not None:
            raise ValueError(
                f"forgetting={self.forgetting!r} is for streams that drift, but batch_size reads the same data repeatedly: "
                "call partial_fit, or set forgetting=None"
            )
        if checkpoint is not None:
            raise ValueError(
                "checkpoint holds the state of EM, not the averages of batch_size: leave one of them out. To keep the averages, "
                "call partial_fit and save after each batch"
            )
        if opener_for(X) is not None:  # before the workers persist and check the data
            raise ValueError(
                "batch_size cannot be used if X is distributed, such as a Dask collection: leave it out, or call partial_fit "
                "with parts of X"
            )

    def _labelled(self, source: Source, labels: Any, label_components: Any, batch_size: int | None) -> LabelledSource:
        """Return the samples with their known labels; raise ValueError or TypeError if these cannot be used."""
        if labels is None:
            raise ValueError("label_components assigns components to labels, but there are no labels: pass labels too")
        if source.local is None:
            raise ValueError("labels cannot be used if X is distributed, such as a Dask collection: leave labels out")
        others = {
            "batch_size": batch_size is not None,
            f"on_collapse={self.on_collapse!r}": self.on_collapse != "raise",
        }
        others |= {"noise": bool(np.any(getattr(self, "noise", False)))}
        others |= {"missing values": source.incomplete, "noise_covariance": source.noise_columns is not None}
        if together := [what for what, given in others.items() if given]:
            raise ValueError(
                f"labels and {' and '.join(together)} cannot be combined: a labelled sample must be complete and free of errors, "
                "and the components of its label must stay the same. Leave one of them out"
            )
        return labelled(source.local, labels, label_components, self.n_components)

    def _heard(self, plan: FitPlan, callback: Callback, data: tuple[Any, Any, Any]) -> tuple[FitPlan, Callback]:
        """Return the plan and the callback, extended by the callbacks of scikit-learn if some are set."""
        if not sklearn_callbacks.has_callbacks(self):
            return plan, callback
        n_starts = 1 if plan.earlier is not None else plan.n_starts
        dtype, d = plan.source.dtype, plan.source.n_features
        listener = sklearn_callbacks.Listener(
            self,
            n_starts,
            plan.stop.max_iter,
            sklearn_callbacks.data_of(*data),
            lambda result: self._attributes(result, dtype) | {"n_features_in_": d},
        )
        stop = replace(plan.stop, rules=(*plan.stop.rules, listener.asked))
        return replace(plan, stop=stop, compiled_loop=False), combine(callback, listener)

    def _warn_if_dense(self, source: Source) -> None:
        if self.algorithm == "pruned" and (obstacle := PrunedSweeps.obstacle(source, self.n_components)):
            warn(
                f"algorithm='pruned' has no effect here: {obstacle}. The fit is that of algorithm='dense'",
                UserWarning,
            )

    def _warn_of(self, result: FitResult, source: Source, structure: Structure, found_once: str) -> None:
        """Warn of a fit that ended badly without an error; `found_once` says that only one start reached the best bound."""
        if result.n_iter > 0:
            warn_if_regularisation_dominates(result.params, float(self.reg_covar))
        if not self.converged_ and result.stopped_early:
            warn(
                f"Best performing initialization did not converge, since {result.stopped_early}; the best "
                "parameters found are kept.",
                like_sklearn(ConvergenceWarning),
            )
        elif not self.converged_ and self.max_iter > 0:
            warn(
                f"Best performing initialization did not converge within max_iter={self.max_iter} iterations; the best "
                "parameters found are kept. Increase max_iter or tol, or try other init_params.",
                like_sklearn(ConvergenceWarning),
            )
        elif found_once:
            warn(found_once, LocalOptimumWarning)
        if result.n_iter > 0 and (text := self._degenerate(source, result.params, structure)):
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
            1 if start.on_all and start.fixed else self.n_init,  # from known groups they would be equal
            _validation.check_random_state(self.random_state),
            self.n_threads,
            earlier=(self._earlier(step), getattr(self, "lower_bound_", -math.inf)) if warm else None,
            batches=None if batch_size is None else (self._online(step, source.n_features), batch_size),
            acceleration=self.acceleration,
            algorithm=self.algorithm,
            resets=MOST_RESETS if self.on_collapse == "reset" else 0,
        )

    def _progress(self, plan: FitPlan, with_bar: bool) -> Callback:
        lines = Lines(int(self.verbose), self.verbose_interval) if self.verbose else SILENT
        n_starts = 1 if plan.earlier is not None else plan.n_starts
        return combine(lines, progress_bar(plan.source.n_samples, n_starts) if with_bar else SILENT)

    def _initialize(self, X: Any, resp: ArrayLike) -> None:
        """Set the parameters that an M-step computes from responsibilities (n_samples, n_components), except supplied ones.

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
        step, adapted = self._adapted(step, source)
        params = start.params(source, step, k, _validation.check_random_state(self.random_state), self.n_threads)
        vars(self).update(adapted)
        self._set_parameters([values.astype(source.dtype) for values in self._arrays(params)])

    def _arrays(self, params: Params) -> tuple[Any, ...]:
        """Return the arrays that `_set_parameters` takes."""
        return params.weights, params.means, params.covariances, params.prec_chol

    def _memory_for(self, source: Source) -> AbstractContextManager[None]:
        what = f"fitting {self.n_components} components of type {self.covariance_type!r} to {source.n_samples} samples"
        remedy = "Ask for fewer components, a type of fewer parameters such as 'diag', or n_threads=1"
        return memory_for(f"{what} of {source.n_features} features", remedy)

    def _online(self, step: Step, d: int) -> online.Online:
        shape = (self.n_components, d)
        return online.Online.for_shape(step, *self._check_learning(), shape, self.n_threads, self._half_life)

    def _keep(self, fit: FitResult, source: Source, names: NDArray | None, **others: Any) -> None:
        others |= {"n_features_in_": source.n_features} | ({} if names is None else {"feature_names_in_": names})
        # averages of an earlier partial_fit belong to other parameters
        if self.on_collapse == "reset":
            others["n_resets_"] = fit.n_resets
        self._set_fitted(fit, source.dtype, *self._gone, **others)

    def _check_no_reset(self, what: str) -> None:
        if self.on_collapse != "raise":
            raise ValueError(
                f"on_collapse={self.on_collapse!r} needs EM on all samples, but {what} a step after each batch: set "
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
        structure = STRUCTURES[_validation.check_choice("covariance_type", self.covariance_type, self._structures)]
        if not _validation.is_array_like(self.init_params):
            _validation.check_choice("init_params", self.init_params, STARTS)
        _validation.check_integer("n_init", self.n_init, 1)
        _validation.check_bool("warm_start", self.warm_start)
        if self.acceleration is not None:
            _validation.check_choice("acceleration", self.acceleration, ACCELERATORS)
        _validation.check_choice("algorithm", self.algorithm, SWEEPS)
        _validation.check_choice("on_collapse", self.on_collapse, ON_COLLAPSE)
        _validation.check_choice("missing_values", self.missing_values, MISSING_VALUES)
        _validation.check_verbose(self.verbose)
        _validation.check_integer("verbose_interval", self.verbose_interval, 1)
        self._check_learning()
        _ = self._half_life
        _validation.check_threads(self.n_threads)
        tol = _validation.check_non_negative("tol", self.tol)
        reg_covar = _validation.check_non_negative("reg_covar", self.reg_covar)
        stop = Stop(tol, _validation.check_integer("max_iter", self.max_iter, 0))
        return self._step(structure, reg_covar), stop

    def _check_start(self, source: Source, step: Step, clean: tuple[Source, float] | None) -> Start:
        known = self._check_init_params(source)
        with_labels = source.local is not None and source.local.allowed is not None
        if with_labels and isinstance(known, str) and known != "kmeans":
            raise ValueError(
                f"init_params={known!r} ignores the labels, from which the components must start: pass 'kmeans', or groups or "
                "responsibilities of all samples"
            )
        supplied = self._check_supplied(step.structure, self.n_components, source.n_features)
        return start_of(known, supplied, with_labels=with_labels)

    def _check_init_params(self, source: Source) -> str | NDArray:
        """Return the name of the start, or the known groups of the samples of a source."""
        if isinstance(self.init_params, str):
            return self.init_params
        if source.local is None:
            raise ValueError(
                "init_params cannot be labels or responsibilities if X is distributed, such as a Dask collection: pass one of "
                f"{', '.join(map(repr, STARTS))}, or weights_init, means_init and precisions_init"
            )
        present = source.local.present
        n = source.n_samples if present is None else len(present)
        known = _validation.check_groups("init_params", self.init_params, n, self.n_components)
        return known if present is None else known[present]

    def _check_learning(self) -> tuple[float, float]:
        """Return `learning_decay` and `learning_offset`."""
        return (
            _validation.check_within("learning_decay", self.learning_decay, 0.5, 1.0),
            _validation.check_non_negative("learning_offset", self.learning_offset),
        )

    @property
    def _half_life(self) -> float | None:
        return None if self.forgetting is None else _validation.check_positive("forgetting", self.forgetting)

    def _check_resumes(self, source: Source, what: str, remedy: str) -> None:
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

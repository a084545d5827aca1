"""The estimator `GaussianMixture`: argument checks, the call of EM, and the fitted attributes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastgmm import _validation
from fastgmm.data.source import Source
from fastgmm.em.result import FitResult
from fastgmm.em.step import REG_COVAR, MaximumAPosteriori, MaximumLikelihood, Step, check_likelihood
from fastgmm.em.stop import Stop
from fastgmm.em.sweep import sweep
from fastgmm.estimators.fittable import FittableMixture
from fastgmm.estimators.mixture import PRIOR_TAKES, warn_of_relative_weights
from fastgmm.estimators.saving import saveable
from fastgmm.fitting.degenerate import degenerate
from fastgmm.fitting.fixed import VALUES, check_fixed, check_structure, fixed_of
from fastgmm.fitting.prior import check_prior, completed
from fastgmm.init.noise import continued, noise_of, noisy
from fastgmm.init.starts import STARTS, Start, Supplied
from fastgmm.model.adaptation import PARTS, adapted
from fastgmm.model.checks import check_covariances, check_parameters
from fastgmm.model.cholesky import NotPositiveDefinite
from fastgmm.model.fixed import Fixed
from fastgmm.model.noise import Noise
from fastgmm.model.params import Params
from fastgmm.model.priors import NormalInverseWishart
from fastgmm.model.structures import STRUCTURES, Structure, has_structure

if TYPE_CHECKING:
    from typing_extensions import Self

#: Structures whose components share no part of their covariances: these can be adapted one by one.
_FREE = ("full", "diag", "spherical", "VVV", "VVI", "VII", "V")


@saveable
class GaussianMixture(FittableMixture):
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
        feature also 'E' and 'V'. Celeux & Govaert, Pattern Recognition 28(5), 1995. scikit-learn's
        'tied-diagonal' and 'tied-spherical' are 'EEI' and 'EII'.
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
    fixed : dict, optional
        Parameters that stay as they are, by component: ``{"means": [0, 2], "weights": True, "covariances": [True, False, False]}``.
        A value is True for all components, a list of some, or a mask. They are held at `weights_init`, `means_init` and the
        inverses of `precisions_init`, which must then be given; with `warm_start`, and in later calls of `partial_fit`, at the
        fitted ones. The others are still the most likely: free weights share what the fixed ones leave, and the scatter of a
        component with a fixed mean is about that mean. Covariances that share a part are fixed all or none. BIC does not
        count fixed parameters.
    on_collapse : {'raise', 'reset'}, default='raise'
        What `fit` does if the covariance of a component is not positive definite: raise an error, or start that component anew
        about samples that the mixture fits worst. 'reset' does so also for components that, at the end of a run, sit on too few
        distinct samples or hold none. EM then runs again, up to 10 times for each start. `n_resets_` and a warning say how often.
    missing_values : {'raise', 'marginalize'}, default='raise'
        What NaN is, and what stands for it (None, the NA of pandas and polars, masked values): an error, or a missing value.

        With 'marginalize' a sample counts by the features that it has, and nothing is filled in: the fit maximises the
        likelihood of the observed values (Ghahramani & Jordan 1994), which is right if values are missing at random. All methods
        take such samples. One without any value counts for nothing in a fit, `score` and the criteria, with a warning; its
        `score_samples` is 0, and its probabilities are the weights. Complete data give the bits of 'raise'. See `impute`.

        Starts: 'kmeans' and 'k-means++' measure distances by the observed features, and average what was observed; 'whitened' and
        'hierarchical' place a sample where the most likely normal distribution of all samples expects it, given its values;
        points of 'k-means++', 'random_from_data' and 'em-em' get missing coordinates from there. With known groups, missing
        values first have the mean and the variance of their group.
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
    algorithm : {'dense', 'pruned'}, default='dense'
        How `fit` goes through samples that are an array in memory.

        'dense'
            Each sample with each component.
        'pruned'
            Leave out components that are too far from 64 neighbouring samples to count: whose densities are below 1e-17 of the
            best one. The samples are ordered once by the labels of the start. Bounds of distances are carried from iteration
            to iteration. The results are those of 'dense' up to rounding, on any number of threads the same to the bit. It pays
            if there are hundreds of components, most of them apart, and needs up to as much memory as `X`. If too few can be
            left out, some iterations are dense.
    n_threads : int, optional
        Threads to use; by default Numba's setting, which is also the maximum that Numba was started with. The results do not
        depend on it, to the bit.
    learning_decay : float, default=0.6
        For `partial_fit` and ``fit(batch_size=...)``: a in the step size (t + t0)^-a of batch t, above 0.5 and at most 1. The
        larger it is, the less the parameters follow single batches, and the longer they remember the first ones.
    learning_offset : float, default=3.0
        t0 in the step size, not negative: the larger it is, the less the first batches move the parameters of an earlier
        fit from which `partial_fit` resumes. With 0 the first batch leaves nothing of them.
    forgetting : float, optional
        For `partial_fit` on a stream that drifts: a half-life in samples, in place of steps that shrink. Samples count half when as
        many others have come after them. The parameters follow the stream, and are never more certain than a fit to 1.44
        half-lives: let that be 20 numbers (d a sample) or more for each free parameter. By default nothing is forgotten on purpose.

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

    _gone: ClassVar[tuple[str, ...]] = (*FittableMixture._gone, "prior_", "noise_", "n_resets_")

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
        fixed: dict[str, Any] | None = None,
        on_collapse: str = "raise",
        missing_values: str = "raise",
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        acceleration: str | None = None,
        algorithm: str = "dense",
        n_threads: int | None = None,
        learning_decay: float = 0.6,
        learning_offset: float = 3.0,
        forgetting: float | None = None,
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
        self.fixed = fixed
        self.on_collapse = on_collapse
        self.missing_values = missing_values
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.acceleration = acceleration
        self.algorithm = algorithm
        self.n_threads = n_threads
        self.learning_decay = learning_decay
        self.learning_offset = learning_offset
        self.forgetting = forgetting

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

    def adapt(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        noise_covariance: ArrayLike | None = None,
        relevance: float = 16.0,
        what: str | Sequence[str] = "means",
    ) -> Self:
        """Return a copy of this model, the background, adapted to a few samples (Reynolds, Quatieri & Dunn 2000).

        Each component moves towards the mean of the samples that belong to it, the further the more of them there are: with n_k of
        them by the share n_k / (n_k + `relevance`). Components without samples stay as they are, so that the components of models
        adapted from one background correspond to each other. In one pass over `X`; this model is unchanged.

        Parameters
        ----------
        X : array-like of shape (n, d), path, fastgmm.chunks(...), or Dask collection
            A single sample suffices.
        y : ignored
        sample_weight, noise_covariance
            As in `fit`. The scale of weights matters: they are numbers of samples.
        relevance : float, default=16
            Number of samples that each component of the background counts for, not negative. With 0 the adapted parts are those of
            an M-step.
        what : {'weights', 'means', 'covariances'} or several of them, default='means'
            What is adapted. Covariances are if each component has its own ('full', 'diag', 'spherical', 'VVV', 'VVI', 'VII').

        Returns
        -------
        GaussianMixture
            Its `lower_bound_` is the mean log-likelihood of `X` in the background.

        Raises
        ------
        ValueError, TypeError, OSError
            If input or arguments cannot be used, or an adapted covariance is not positive definite.
        """
        params = self._params()
        relevance = _validation.check_non_negative("relevance", relevance)
        parts = [what] if isinstance(what, str) else list(what)
        for part in parts:
            _validation.check_choice("what", part, PARTS)
        if "covariances" in parts and self._structure().name not in _FREE:
            raise ValueError(
                f"covariances of covariance_type={self.covariance_type!r} cannot be adapted, since components share a part of "
                f"them: leave 'covariances' out of what, or fit a background of type {', '.join(map(repr, _FREE))}"
            )
        source = self._source(X, sample_weight, noise_covariance)
        stats = sweep(source, params, self.n_threads)
        bound = stats.log_likelihood / source.total_weight
        check_likelihood(bound, 1, params)
        try:
            found = adapted(params, stats.times(source.weight_unit), relevance, parts)
        except NotPositiveDefinite as error:
            raise ValueError(
                f"the adapted covariance of component {error.component} is not positive definite: raise relevance, or leave "
                "'covariances' out of what"
            ) from error
        model = copy(self)
        model._set_fitted(
            FitResult(found, True, 1, bound, [bound], 1), self.means_.dtype, "_averages", "_averages_lost"
        )
        return model

    def _check_arguments(self) -> tuple[Step, Stop]:
        step, stop = super()._check_arguments()
        if check_prior(self.prior) is not None and type(step) is not MaximumLikelihood:
            raise ValueError(
                f"prior={self.prior!r} is for maximum likelihood, and {type(self).__name__} has a step of its own: leave one of "
                "them out"
            )
        if self._has_noise and type(step) is not MaximumLikelihood:
            raise ValueError(
                f"noise is for maximum likelihood, and {type(self).__name__} has a step of its own: pass noise=False"
            )
        self._check_fixed(step)
        return step, stop

    def _check_fixed(self, step: Step) -> None:
        """Raise ValueError or TypeError if `fixed` cannot be used, or not with the other arguments."""
        masks = check_fixed(self.fixed, self.n_components)
        if not masks:
            return
        check_structure(masks, step.structure)
        others = {
            f"prior={self.prior!r}": self.prior is not None,
            "noise": self._has_noise and "weights" in masks,
            f"on_collapse={self.on_collapse!r}": self.on_collapse != "raise",
            f"a step of {type(self).__name__}'s own": type(step) is not MaximumLikelihood,
        }
        if together := [what for what, given in others.items() if given]:
            raise ValueError(
                f"fixed={self.fixed!r} and {' and '.join(together)} do not go together, since both say what parameters become: "
                "leave one of them out"
            )

    def _fixed(self, structure: Structure, d: int, resumes: bool) -> Fixed | None:
        """Return what is fixed, and at which values: the fitted ones if the fit continues from them, else those supplied."""
        masks, k = check_fixed(self.fixed, self.n_components), self.n_components
        if not masks:
            return None
        if resumes or (self.warm_start and self.__sklearn_is_fitted__()):
            return fixed_of(masks, self.weights_, self.means_, d)
        for name in masks:
            if getattr(self, VALUES[name]) is None:
                raise ValueError(
                    f"fixed[{name!r}] holds parameters at {VALUES[name]}, which was not given: pass it, or fit first and set "
                    "warm_start=True"
                )
        supplied = self._check_supplied(structure, k, d)
        return fixed_of(masks, supplied.weights, supplied.means, d)

    def _step(self, structure: Structure, reg_covar: float) -> Step:
        """Return the step that maximises the likelihood. A subclass with another objective returns its own step."""
        return MaximumLikelihood(structure, reg_covar)

    def _adapted(self, step: Step, source: Source, *, resumes: bool = False) -> tuple[Step, dict[str, Any]]:
        """Return the step with the prior and the noise of the data, and the attributes that the fit has of the prior.

        A stream that resumes keeps those of its first batch.
        """
        if (fixed := self._fixed(step.structure, source.n_features, resumes)) is not None:
            assert isinstance(step, MaximumLikelihood)
            step = replace(step, fixed=fixed)
        if self._has_noise:
            assert isinstance(step, MaximumLikelihood)
            noise = self.noise_ if resumes and hasattr(self, "noise_") else noise_of(source, self.n_threads)
            step = replace(step, noise=noise)
        prior = check_prior(self.prior)
        if prior is None:
            return step, {}
        assert isinstance(step, MaximumLikelihood)
        if not resumes:
            warn_of_relative_weights(source, PRIOR_TAKES)
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
        if source.local.present is not None:
            kept = np.where(source.local.present, kept, 0.0)
        if n_marked == 0 or n_kept < max(self.n_components, 2):
            raise ValueError(
                f"noise marks {n_marked} of {n_marked + n_kept} samples (of positive weight), and there are to be noise and "
                f"n_components={self.n_components}: mark some samples, but not all, or pass noise=True, which finds some"
            )
        return self._valued(X, kept), float((weights * marked).sum() / weights.sum())

    def _check_start(self, source: Source, step: Step, clean: tuple[Source, float] | None) -> Start:
        start = super()._check_start(source, step, clean)
        if not self._has_noise:
            return start
        if start.on_all:
            raise ValueError(
                "init_params cannot be labels or responsibilities if there is noise, which they do not know: pass one of "
                f"{', '.join(map(repr, STARTS))}"
            )
        return noisy(start) if clean is None else noisy(start, *clean)

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

    def _earlier(self, step: Step) -> Params:
        """Return the fitted parameters for a step to continue from, with noise if it has noise."""
        params = super()._earlier(step)
        return continued(params, step.noise) if isinstance(step, MaximumLikelihood) else params

    def _refuse_order(self) -> None:
        if any(not mask.all() for mask in check_fixed(self.fixed, len(self.means_)).values()):
            raise ValueError(
                f"fixed={self.fixed!r} names components by their number: set fixed=None to sort them, and name them anew"
            )

    def _n_parameters(self) -> int:
        """Return the number of free parameters that are not fixed."""
        n_parameters, masks, d = (
            super()._n_parameters(),
            check_fixed(self.fixed, len(self.means_)),
            np.shape(self.means_)[1],
        )
        fixed = fixed_of(masks, self.weights_, self.means_, d)
        if fixed is None:
            return n_parameters
        of_covariances = self._structure().n_covariance_parameters(len(self.means_), d)
        return n_parameters - fixed.n_parameters(d, of_covariances)

    def _degenerate(self, source: Source, params: Params, structure: Structure) -> str:
        reg_covar, few_suffice = float(self.reg_covar), self.prior is not None
        return degenerate(source, params, structure, reg_covar, self.n_threads, few_suffice=few_suffice)

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

#: Structures whose components share no part of their covariances, which can be adapted one by one.
_FREE = ("full", "diag", "spherical", "VVV", "VVI", "VII", "V")


@saveable
class GaussianMixture(FittableMixture):
    """Gaussian mixture fitted by expectation-maximisation (EM).

    The density of a sample is a weighted sum of `n_components` normal densities. `fit` finds weights, means and
    covariances of high likelihood; `predict`, `predict_proba` and `score_samples` use them for clustering and density
    estimation. Interface, defaults and, for equal data and `random_state`, results are those of
    `sklearn.mixture.GaussianMixture`.

    Parameters
    ----------
    n_components : int, default=1
        Number of components.
    covariance_type : str, default='full'
        What the covariances of the components may be, and what they share.

        'full'
            Each component has its own matrix.
        'tied'
            All components have the same matrix.
        'diag'
            Each component has its own diagonal matrix.
        'spherical'
            Each component has its own variance, the same for all features.

        Or a model of mclust [1]_, whose three letters stand for the volume, the shape and the orientation of the
        covariances: equal (E) or varying (V) between components, or the identity (I), which makes a shape spherical and
        an orientation parallel to the axes. The names are 'EII' and 'VII' (spherical); 'EEI', 'VEI', 'EVI' and 'VVI'
        (diagonal); 'EEE', 'VEE', 'EVE', 'VVE', 'EEV', 'VEV', 'EVV' and 'VVV' (matrices); for a single feature also 'E'
        and 'V'. 'VVV', 'EEE', 'VVI' and 'VII' are 'full', 'tied', 'diag' and 'spherical'. scikit-learn's
        'tied-diagonal' and 'tied-spherical' are 'EEI' and 'EII'.
    tol : float, default=1e-3
        EM stops when the mean log-likelihood per sample changes by less than this between two iterations.
    reg_covar : float, default=1e-6
        Added to the variances of each component, in squared units of the data. Scale the data, or choose another value,
        if their variances are near it.
    max_iter : int, default=100
        Maximum number of EM iterations of each start. With 0 the start itself is the result.
    n_init : int, default=1
        Number of starts. The one with the highest `lower_bound_` is kept; the first of several equal ones.

        A start is stopped early if it would not reach the best bound even if every iteration left until `max_iter`
        gained twice as much as its last one. This happens only after 5 iterations, and not while the gains grow; a
        larger `max_iter` stops fewer starts. A start is stopped at once if it begins with the parameters that the best
        one began with.

        With more than 80 000 samples (and more than 480 numbers for each free parameter) all starts are first run on a
        sample of a quarter of that size. EM on all samples resumes from the best three with different final bounds.
    init_params : str or array-like of shape (n_samples,) or (n_samples, n_components), default='kmeans'
        How the initial parameters that are not supplied are found.

        'kmeans', 'k-means++', 'random', 'random_from_data'
            As in scikit-learn.
        'whitened'
            k-means after a linear map that gives the data variance 1 in every direction. It finds clusters that differ
            along a direction of low variance.
        'hierarchical'
            Model-based agglomerative clustering [2]_ [3]_ of at most 2000 samples, drawn by weight, extended to all
            samples by an E-step. With up to 2000 samples nothing is drawn, and all starts are equal.
        'em-em'
            20 short EM runs from random means on a subsample, of 2000 samples or of 120 numbers (n_features in each
            sample) for each free parameter. The best 3 are ranked on all samples [4]_.
        'auto'
            The one of 'kmeans', 'whitened', 'hierarchical' and 'em-em' with the highest likelihood after 5 EM steps.
        array-like of int of shape (n_samples,)
            Known groups of the samples, numbered from 0 to n_components - 1, each with a sample of positive weight.
        array-like of float of shape (n_samples, n_components)
            Known responsibilities: non-negative, with rows that add up to 1.

        EM from known groups begins with their M-step, on any data but a Dask collection. There is only one such start,
        whatever `n_init`. The groups are of the data of `fit`, or of the first batch of `partial_fit`.
    weights_init : array-like of shape (n_components,), optional
        Initial weights, which add up to 1. By default `init_params` finds them.
    means_init : array-like of shape (n_components, n_features), optional
        Initial means, in units of the data. By default `init_params` finds them.
    precisions_init : array-like, optional
        Initial precisions (inverse covariances), in the shape of `precisions_`. They need not have the structure of
        `covariance_type`. By default `init_params` finds them.
    prior : {None, 'default'} or NormalInverseWishart, default=None
        Conjugate prior of the means and covariances, for any `covariance_type`. EM then maximises the posterior
        density, and a component on few or equal samples does not collapse, even with ``reg_covar=0``. 'default' is
        scaled to the data [5]_, in `partial_fit` to the first batch; see `NormalInverseWishart`. `score`, `bic` and the
        other criteria use the likelihood at the mode of the posterior, as in mclust. A prior weighs against the number
        of samples, which is the sum of the weights, so that their scale matters.
    noise : bool or array-like of bool of shape (n_samples,), default=False
        Whether to add a noise component of constant density, for samples that belong to no cluster [2]_. `predict`
        returns -1 for it, and `predict_proba` has a last column for it. Its volume is that of the bounding box of the
        data along the axes or along the principal components, whichever is smaller; in `partial_fit` that of the first
        batch. `bic` counts two more parameters, as in mclust.

        With True the noise starts from samples that are far from their nearest neighbours [6]_, among at most 5000
        samples, or 200 for each component, from which the start is then found. A small cluster that lies apart can be
        taken for noise, without a warning: mark the samples if you know better. An array marks the samples that it
        starts from, of the data of `fit` or of the first batch.
    fixed : dict, optional
        Parameters to hold constant, such as ``{"means": [0, 2], "weights": True, "covariances": [True, False,
        False]}``. A value is True for all components, a list of indices, or a mask. The parameters stay at
        `weights_init`, `means_init` and the inverses of `precisions_init`, which must be given; with `warm_start`, and
        in later calls of `partial_fit`, at the fitted ones. All others are still those of the highest likelihood: free
        weights share what the fixed ones leave, and the covariance of a component with a fixed mean is about that mean.
        Covariances that share a part can only be fixed all together. `bic` does not count fixed parameters. By default
        nothing is fixed.
    on_collapse : {'raise', 'reset'}, default='raise'
        What `fit` does if the covariance of a component is not positive definite: raise an error, or restart that
        component around samples that the mixture fits worst. 'reset' also restarts components that, at the end of a
        run, rest on too few distinct samples or hold none. EM then runs again, up to 10 times for each start.
        `n_resets_` and a warning say how often.
    missing_values : {'raise', 'marginalize'}, default='raise'
        What to do with NaN and its equivalents (None, the NA of pandas and polars, masked values): raise an error, or
        treat them as missing.

        With 'marginalize' each sample counts by its observed features, and nothing is filled in. The fit maximises the
        likelihood of the observed values [7]_, which is right if values are missing at random. All methods accept such
        samples; `impute` fills them in. A sample without any value counts for nothing in a fit, in `score` and in the
        criteria, with a warning; its `score_samples` is 0, and its probabilities are the weights. Complete data give
        the bits of 'raise'.

        Starts: 'kmeans' and 'k-means++' measure distances by the observed features, and average the observed values.
        'whitened' and 'hierarchical' complete each sample by its expected value under one normal distribution fitted to
        all samples; so do 'k-means++', 'random_from_data' and 'em-em' for the points that they draw. With known groups,
        missing values first have the mean and the variance of their group.
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator, default=None
        Source of all random draws. An int gives the same result on each call.
    warm_start : bool, default=False
        Whether `fit` resumes from the last result rather than starting anew.
    verbose : int, default=0
        0 prints nothing, 1 prints starts and every `verbose_interval`-th iteration, 2 also the change of the bound.
    verbose_interval : int, default=10
        Number of iterations between two printed lines.
    acceleration : {None, 'auto', 'over-relaxation', 'squarem'}, default=None
        How to reach the optimum of EM in fewer passes over the data. None is plain EM, with scikit-learn's `n_iter_`.

        'over-relaxation'
            Each step goes further than that of EM; the further, the longer the likelihood has kept rising [8]_.
        'squarem'
            Two EM steps and an extrapolation from them [9]_.
        'auto'
            Currently 'squarem', which took the fewest passes on every data set that was tried.

        The likelihood never falls, as in EM: a proposal that would lower it is rejected, at the cost of a pass. A fit
        converges when a plain EM step gains less than `tol`. Acceleration pays if clusters overlap, so that EM takes
        hundreds of iterations, and if `tol` is small, since EM stops far from its limit with 1e-3.
    algorithm : {'dense', 'pruned'}, default='dense'
        How `fit` goes through samples that are an array in memory.

        'dense'
            Compute the density of each sample under each component.
        'pruned'
            Leave out components that are too far from a block of 64 neighbouring samples to matter, with densities
            below 1e-17 of the largest. Samples are sorted once, by the labels of the start, and bounds of distances are
            carried over from one iteration to the next. Results are those of 'dense' up to rounding, and the same to
            the bit for any number of threads. It pays with hundreds of components that are mostly well apart, and needs
            up to as much memory again as `X`. If too few components can be left out, some iterations are dense.
    n_threads : int, optional
        Number of threads. By default Numba's setting, which is also the maximum that Numba was started with. Results do
        not depend on it, to the bit.
    learning_decay : float, default=0.6
        Exponent a of the step size (t + t0)^-a of batch t, in `partial_fit` and ``fit(batch_size=...)``; above 0.5 and
        at most 1. The larger it is, the less the parameters follow single batches, and the longer they remember the
        first ones.
    learning_offset : float, default=3.0
        Offset t0 of the step size, non-negative. The larger it is, the less the first batches move the parameters of an
        earlier fit from which `partial_fit` continues. With 0 the first batch replaces them.
    forgetting : float, optional
        Half-life in samples, for `partial_fit` on a stream that drifts, instead of step sizes that shrink: a sample
        counts half after this many further samples. The parameters are never more certain than those of a fit to 1.44
        half-lives. Choose at least 20 numbers (n_features in each sample) for each free parameter. By default step
        sizes shrink.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        Weights of the components. With a noise component they add up to 1 minus its weight, else to 1.
    means_ : ndarray of shape (n_components, n_features)
        Means of the components, in units of the data.
    covariances_ : ndarray
        Covariances of the components, in squared units of the data. The shape depends on `covariance_type`:
        (n_components,) for 'spherical', 'EII', 'VII', 'E' and 'V'; (n_components, n_features) for 'diag', 'EEI', 'VEI',
        'EVI' and 'VVI'; (n_features, n_features) for 'tied' and 'EEE'; (n_components, n_features, n_features) for
        'full' and all others. All of these arrays are float32 if the data were, else float64.
    precisions_ : ndarray
        Inverses of the covariances, in the shape of `covariances_`.
    precisions_cholesky_ : ndarray
        Factors U, upper triangular, with precision = U U^T, in the shape of `covariances_`. For diagonal and spherical
        covariances they are the square roots of the precisions.
    converged_ : bool
        Whether the kept start reached `tol` within `max_iter` iterations.
    n_iter_ : int
        Number of EM iterations of the kept start; of epochs with `batch_size`; of batches after `partial_fit`.
    n_passes_ : int
        Number of passes over the data of the kept start: `n_iter_`, plus those of rejected proposals with
        `acceleration`. With `batch_size` one more than the number of epochs.
    lower_bound_ : float
        Mean log-likelihood per sample under the parameters that entered the last iteration, as in scikit-learn; the
        fitted ones are one M-step further, and ``score(X)`` is their value. With a `prior` the log-density of the prior
        per sample is added, up to a constant. With `batch_size` it is the value of the fitted parameters on all of `X`.
        After `partial_fit` it is that of the last batch under the parameters before its step.
    lower_bounds_ : list of float
        The same value for each iteration of the kept start. With `batch_size` for each epoch, with every batch under
        the parameters before its step; after `partial_fit` for each of the last 1000 batches.
    n_features_in_ : int
        Number of features of the fit.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the columns; only if `X` was a data frame whose column names are all strings.
    prior_ : NormalInverseWishart
        The prior of the fit, with each hyper-parameter as a number or an array; only with `prior`.
    noise_ : fastgmm.model.noise.Noise
        The noise component; only with `noise`. It has a ``weight``, the ``volume`` over which its density is constant,
        and the box of that volume: ``low`` and ``high`` along the columns of ``axes``.
    n_resets_ : int
        How often components of the kept start were restarted; only with ``on_collapse='reset'``. `n_iter_` and
        `lower_bounds_` count from the last restart, `n_passes_` counts all.
    component_labels_ : ndarray of int of shape (n_components,)
        Label that each component belongs to, -1 for none; only after ``fit(labels=...)``.

    See Also
    --------
    BayesianGaussianMixture : Let the data decide how many components are needed.
    GaussianMixtureClassifier : Classify with mixtures of known classes.
    GaussianMixtureOutlierDetector : Find samples of low density.
    GaussianMixtureRegressor : Predict some features from others.
    select : Choose the number of components and the covariance structure.
    fastgmm.plotting : Draw mixtures, their criteria and their convergence.

    Notes
    -----
    EM [10]_ alternates two steps. With weights w_k, means mu_k and covariances Sigma_k, the E-step computes
    responsibilities, and the M-step (here for 'full') the parameters of the highest likelihood, given these ::

        r_ik    = w_k N(x_i | mu_k, Sigma_k) / sum_j w_j N(x_i | mu_j, Sigma_j)
        n_k     = sum_i r_ik
        w_k     = n_k / n
        mu_k    = sum_i r_ik x_i / n_k
        Sigma_k = sum_i r_ik (x_i - mu_k) (x_i - mu_k)^T / n_k + reg_covar I

    The likelihood never falls from one iteration to the next, up to the effect of `reg_covar`. It has many local
    maxima: use several starts (`n_init`) or a better one (``init_params='auto'``). k-means starts and `reg_covar`
    depend on the units of the features: scale features of very different variance first. Take logarithms of positive,
    skewed ones such as amounts.

    The first call for a new combination of data type and `covariance_type` compiles code for several seconds. The
    compiled code is cached on disk.

    References
    ----------
    .. [1] G. Celeux and G. Govaert, "Gaussian parsimonious clustering models", Pattern Recognition 28(5), pp. 781-793,
       1995.
    .. [2] J. D. Banfield and A. E. Raftery, "Model-based Gaussian and non-Gaussian clustering", Biometrics 49(3), pp.
       803-821, 1993.
    .. [3] C. Fraley, "Algorithms for model-based Gaussian hierarchical clustering", SIAM Journal on Scientific
       Computing 20(1), pp. 270-281, 1998.
    .. [4] C. Biernacki, G. Celeux and G. Govaert, "Choosing starting values for the EM algorithm for getting the
       highest likelihood in multivariate Gaussian mixture models", Computational Statistics & Data Analysis 41(3-4),
       pp. 561-575, 2003.
    .. [5] C. Fraley and A. E. Raftery, "Bayesian regularization for normal mixture estimation and model-based
       clustering", Journal of Classification 24(2), pp. 155-181, 2007.
    .. [6] S. Byers and A. E. Raftery, "Nearest-neighbor clutter removal for estimating features in spatial point
       processes", Journal of the American Statistical Association 93(442), pp. 577-584, 1998.
    .. [7] Z. Ghahramani and M. I. Jordan, "Supervised learning from incomplete data via an EM approach", Advances in
       Neural Information Processing Systems 6, pp. 120-127, 1994.
    .. [8] R. Salakhutdinov and S. Roweis, "Adaptive overrelaxed bound optimization methods", Proceedings of the
       Twentieth International Conference on Machine Learning, pp. 664-671, 2003.
    .. [9] R. Varadhan and C. Roland, "Simple and globally convergent methods for accelerating the convergence of any EM
       algorithm", Scandinavian Journal of Statistics 35(2), pp. 335-353, 2008.
    .. [10] A. P. Dempster, N. M. Laird and D. B. Rubin, "Maximum likelihood from incomplete data via the EM algorithm",
       Journal of the Royal Statistical Society: Series B 39(1), pp. 1-38, 1977.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm import GaussianMixture
    >>> X = np.array([[0.0, 0.3], [0.2, -0.1], [-0.3, 0.1], [7.0, 7.2], [7.3, 6.9], [6.8, 7.1]])
    >>> model = GaussianMixture(n_components=2, means_init=[[0.0, 0.0], [7.0, 7.0]]).fit(X)
    >>> model.means_.round(3).tolist()
    [[-0.033, 0.1], [7.033, 7.067]]
    >>> model.predict([[1.0, 1.0], [6.0, 5.0]]).tolist()
    [0, 1]
    >>> model.weights_.round(3).tolist()
    [0.5, 0.5]
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
        """Build a model from known parameters, to be used without `fit`.

        Parameters
        ----------
        weights : array-like of shape (n_components,)
            Weights of the components: non-negative, adding up to 1.
        means : array-like of shape (n_components, n_features)
            Means of the components.
        covariances : array-like
            Covariances in the shape of `covariances_` for this `covariance_type`; positive definite, with the structure
            that it names.
        covariance_type : str, default='full'
            What the covariances share, as in the constructor.
        random_state : None, int, numpy.random.RandomState or numpy.random.Generator, default=None
            Source of the draws of `sample`.
        n_threads : int, optional
            Number of threads; by default Numba's setting.

        Returns
        -------
        GaussianMixture
            A fitted model with float64 parameters, 0 iterations and the lower bound -inf.

        Raises
        ------
        ValueError
            If shapes do not fit each other, weights do not add up to 1, or covariances are not positive definite or do
            not have the structure.

        See Also
        --------
        from_sklearn : Convert a model of scikit-learn.
        fastgmm.load : Read a model that was saved.
        fit : Find the parameters from data.

        Examples
        --------
        >>> from fastgmm import GaussianMixture
        >>> model = GaussianMixture.from_parameters(
        ...     weights=[0.5, 0.5], means=[[0.0, 0.0], [3.0, 3.0]], covariances=[1.0, 2.0], covariance_type="spherical"
        ... )
        >>> model.predict([[0.5, 1.0], [3.0, 2.0]]).tolist()
        [0, 1]
        >>> model.precisions_.round(6).tolist()
        [1.0, 0.5]
        """
        structure = STRUCTURES[_validation.check_choice("covariance_type", covariance_type, STRUCTURES)]
        params = check_parameters(weights, means, covariances, structure.layout, covariance_type)
        k, d = params.means.shape
        structure.check_features(d)
        if not has_structure(structure, params.covariances, params.weights):
            raise ValueError(
                f"covariances do not have the structure {covariance_type!r}, in which E means equal for all components: pass "
                f"covariance_type={structure.layout.name!r}, or covariances of that structure"
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
        """Return a copy of this model, the background, adapted to a few samples.

        Each component moves towards the mean of the samples that belong to it; the further, the more there are.
        Components without samples stay where they are, so that the components of models that were adapted from the same
        background correspond to each other. This takes one pass over `X`. This model does not change.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), path, chunks or Dask collection
            Samples to adapt to, in any form that `fit` takes. A single one suffices.
        y : None
            Ignored; present for scikit-learn's interface.
        sample_weight : array-like of shape (n_samples,), optional
            How many times each sample counts. The scale of the weights matters, since they are numbers of samples.
        noise_covariance : array-like, optional
            Known covariances of the measurement errors, as in `fit`, in squared units of `X`.
        relevance : float, default=16.0
            Number of samples that each component of the background is worth, non-negative. With 0 the adapted parts are
            those of an M-step.
        what : {'weights', 'means', 'covariances'} or sequence of these, default='means'
            Parameters to adapt. Covariances can be adapted if each component has its own: 'full', 'diag', 'spherical',
            'VVV', 'VVI', 'VII' and 'V'.

        Returns
        -------
        GaussianMixture
            The adapted model. Its `lower_bound_` is the mean log-likelihood of `X` under the background.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            If data or arguments cannot be used, or if an adapted covariance is not positive definite.
        OSError
            If a file cannot be read.

        See Also
        --------
        partial_fit : Update all parameters by batches of a stream.

        Notes
        -----
        With n_k samples that belong to component k (the sum of its responsibilities), a mean moves from mu_k to ::

            a_k xbar_k + (1 - a_k) mu_k,    a_k = n_k / (n_k + relevance)

        where xbar_k is the mean of these samples. Weights and second moments are mixed with the same a_k [1]_.

        References
        ----------
        .. [1] D. A. Reynolds, T. F. Quatieri and R. B. Dunn, "Speaker verification using adapted Gaussian mixture
           models", Digital Signal Processing 10(1-3), pp. 19-41, 2000.

        Examples
        --------
        >>> from fastgmm import GaussianMixture
        >>> background = GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [9.0]], [[[1.0]], [[1.0]]])
        >>> background.adapt([[1.0]] * 16).means_.round(3).tolist()
        [[0.5], [9.0]]
        >>> background.means_.tolist()
        [[0.0], [9.0]]
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
                f"the adapted covariance of component {error.component} is not positive definite: increase relevance, or leave "
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
                f"prior={self.prior!r} is for maximum likelihood, but {type(self).__name__} has its own step: leave one of them "
                "out"
            )
        if self._has_noise and type(step) is not MaximumLikelihood:
            raise ValueError(
                f"noise is for maximum likelihood, but {type(self).__name__} has its own step: pass noise=False"
            )
        self._check_fixed(step)
        return step, stop

    def _check_fixed(self, step: Step) -> None:
        """Raise ValueError or TypeError if `fixed` cannot be used, by itself or together with other arguments."""
        masks = check_fixed(self.fixed, self.n_components)
        if not masks:
            return
        check_structure(masks, step.structure)
        others = {
            f"prior={self.prior!r}": self.prior is not None,
            "noise": self._has_noise and "weights" in masks,
            f"on_collapse={self.on_collapse!r}": self.on_collapse != "raise",
            f"the step of {type(self).__name__}": type(step) is not MaximumLikelihood,
        }
        if together := [what for what, given in others.items() if given]:
            raise ValueError(
                f"fixed={self.fixed!r} and {' and '.join(together)} cannot be combined, since both determine parameters: "
                "leave one of them out"
            )

    def _fixed(self, structure: Structure, d: int, resumes: bool) -> Fixed | None:
        """Return the fixed parameters: the fitted values if the fit continues from them, else the supplied ones."""
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
        """Return the step that maximises the likelihood; a subclass with another objective returns its own."""
        return MaximumLikelihood(structure, reg_covar)

    def _adapted(self, step: Step, source: Source, *, resumes: bool = False) -> tuple[Step, dict[str, Any]]:
        """Return the step with the prior and the noise of the data, and the fitted attributes of the prior.

        A stream that resumes keeps the prior and the noise of its first batch.
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
        """Return the samples that are not marked as noise, and the share of the weight of those that are; None without marks."""
        if isinstance(self.noise, (bool, np.bool_)):
            return None
        if source.local is None:
            raise ValueError(
                "noise cannot mark samples if X is distributed, such as a Dask collection: pass noise=True, which chooses them"
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
                f"noise marks {n_marked} of {n_marked + n_kept} samples of positive weight, but both noise and n_components="
                f"{self.n_components} need samples: mark some of them, not all, or pass noise=True, which chooses them"
            )
        return self._valued(X, kept), float((weights * marked).sum() / weights.sum())

    def _check_start(self, source: Source, step: Step, clean: tuple[Source, float] | None) -> Start:
        start = super()._check_start(source, step, clean)
        if not self._has_noise:
            return start
        if start.on_all:
            raise ValueError(
                "init_params cannot be labels or responsibilities if there is noise, which they do not include: pass one of "
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
        """Return the fitted parameters for a step to continue from, with noise if the step has noise."""
        params = super()._earlier(step)
        return continued(params, step.noise) if isinstance(step, MaximumLikelihood) else params

    def _refuse_order(self) -> None:
        if any(not mask.all() for mask in check_fixed(self.fixed, len(self.means_)).values()):
            raise ValueError(
                f"fixed={self.fixed!r} refers to components by index, which sorting changes: set fixed=None first"
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

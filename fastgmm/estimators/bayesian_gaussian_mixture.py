"""The estimator `BayesianGaussianMixture`: priors, and the posterior among the fitted attributes."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import _validation
from fastgmm._errors import NotFittedError, like_sklearn
from fastgmm._names import COVARIANCE_TYPES, WEIGHT_PRIORS
from fastgmm.data.source import Source
from fastgmm.em.result import FitResult
from fastgmm.em.step import REG_COVAR, Step
from fastgmm.em.variational import Variational, data_moments
from fastgmm.estimators.fittable import FittableMixture
from fastgmm.estimators.mixture import PRIOR_TAKES, warn_of_relative_weights
from fastgmm.estimators.saving import saveable
from fastgmm.model.checks import check_covariances
from fastgmm.model.layouts import TIED
from fastgmm.model.params import Params
from fastgmm.model.structures import STRUCTURES, Structure
from fastgmm.model.variational import Posterior, VariationalPrior, expected_weights

Float = NDArray[np.float64]


@saveable
class BayesianGaussianMixture(FittableMixture):
    """Gaussian mixture fitted by variational Bayesian inference.

    The fit approximates the posterior of weights, means and covariances. Components that the data do not need end with
    next to no weight, so that `n_components` is only an upper limit. Interface, defaults and, for equal data and
    `random_state`, results are those of `sklearn.mixture.BayesianGaussianMixture`. As there, all parameters are passed by
    name.

    Parameters
    ----------
    n_components : int, default=1
        Maximum number of components.
    covariance_type : {'full', 'tied', 'diag', 'spherical'}, default='full'
        Whether each component has its own matrix, all components have the same matrix, each has its own diagonal
        matrix, or each its own variance.
    tol : float, default=1e-3
        The fit stops when the lower bound of the log-evidence changes by less than this between two iterations. The
        bound is that of all samples together, as in scikit-learn, so that most fits end at `max_iter`. With n samples,
        ``tol=1e-3 * n`` is like the default of `GaussianMixture`.
    reg_covar : float, default=1e-6
        Added to the variances of the samples of each component, in squared units of the data.
    max_iter : int, default=100
        Maximum number of iterations of each start. With 0 the start itself is the result.
    n_init : int, default=1
        Number of starts. The one with the highest `lower_bound_` is kept; the first of several equal ones. No start is
        stopped early. With more than 80 000 samples all are first run on a sample of a quarter of them, as in
        `GaussianMixture`.
    init_params : str or array-like of shape (n_samples,) or (n_samples, n_components), default='kmeans'
        How the initial responsibilities are found, or known groups or responsibilities, as in `GaussianMixture`.
    weight_concentration_prior_type : {'dirichlet_process', 'dirichlet_distribution'}, default='dirichlet_process'
        Prior of the weights: a Dirichlet process truncated at `n_components`, or a Dirichlet distribution.
    weight_concentration_prior : float, optional
        Concentration alpha_0 of that prior, positive. The smaller it is, the fewer components get a weight. By default
        1 / `n_components`.
    mean_precision_prior : float, optional
        Number of samples beta_0 at `mean_prior` that the prior of each mean is worth, positive. By default 1.
    mean_prior : array-like of shape (n_features,), optional
        Prior mean m_0 of the means, in units of the data. By default the mean of the data.
    degrees_of_freedom_prior : float, optional
        Degrees of freedom nu_0 of the Wishart prior of the precisions, above n_features - 1. By default n_features.
    covariance_prior : float or array-like, optional
        Scale C_0 of the Wishart prior, in squared units of the data: shape (n_features, n_features) for 'full' and
        'tied', (n_features,) for 'diag', a number for 'spherical'. By default the covariance matrix of the data, their
        variances, or the mean of the variances.
    missing_values : {'raise', 'marginalize'}, default='raise'
        Whether NaN is an error or a missing value, as in `GaussianMixture`. The lower bound is that of the observed
        values.
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator, default=None
        Source of all random draws. An int gives the same result on each call.
    warm_start : bool, default=False
        Whether `fit` resumes from the last result rather than starting anew.
    verbose : int, default=0
        0 prints nothing, 1 prints starts and every `verbose_interval`-th iteration, 2 also the change of the bound.
    verbose_interval : int, default=10
        Number of iterations between two printed lines.
    acceleration : {None, 'auto', 'over-relaxation', 'squarem'}, default=None
        How to reach the same bound in fewer passes over the data, as in `GaussianMixture`.
    algorithm : {'dense', 'pruned'}, default='dense'
        How `fit` goes through samples that are an array in memory, as in `GaussianMixture`.
    n_threads : int, optional
        Number of threads. By default Numba's setting. Results do not depend on it, to the bit.
    learning_decay : float, default=0.6
        Exponent a of the step size (t + t0)^-a of batch t, in `partial_fit` and ``fit(batch_size=...)``; above 0.5 and
        at most 1.
    learning_offset : float, default=3.0
        Offset t0 of the step size, non-negative.
    forgetting : float, optional
        Half-life in samples, for `partial_fit` on a stream that drifts, as in `GaussianMixture`. The prior weighs
        against the samples that are remembered. By default step sizes shrink.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        Expected weights of the components; for a Dirichlet process divided by their sum.
    means_ : ndarray of shape (n_components, n_features)
        Expected means m_k, in units of the data.
    covariances_ : ndarray
        C_k / nu_k, in squared units of the data. The shape is (n_components, n_features, n_features) for 'full',
        (n_features, n_features) for 'tied', (n_components, n_features) for 'diag' and (n_components,) for 'spherical'.
        The arrays are float32 if the data were, else float64.
    precisions_ : ndarray
        Inverses of the covariances, in the shape of `covariances_`.
    precisions_cholesky_ : ndarray
        Factors U, upper triangular, with precision = U U^T, in the shape of `covariances_`.
    weight_concentration_ : tuple of two ndarrays, or ndarray, of shape (n_components,)
        Parameters of the Beta distributions of a Dirichlet process, or those of the Dirichlet distribution.
    mean_precision_ : ndarray of shape (n_components,)
        Number of samples beta_k behind each mean, including those of the prior.
    degrees_of_freedom_ : ndarray of shape (n_components,), or float
        Degrees of freedom nu_k of each component; a float for 'tied'.
    weight_concentration_prior_ : float
        Concentration of the prior that was used: the argument, or the default.
    mean_precision_prior_ : float
        Precision beta_0 of the prior that was used.
    mean_prior_ : ndarray of shape (n_features,)
        Mean m_0 of the prior that was used.
    degrees_of_freedom_prior_ : float
        Degrees of freedom nu_0 of the prior that was used.
    covariance_prior_ : float or ndarray of shape (n_features, n_features) or (n_features,)
        Scale C_0 of the prior that was used.
    converged_ : bool
        Whether the kept start reached `tol` within `max_iter` iterations.
    n_iter_ : int
        Number of iterations of the kept start; of epochs with `batch_size`; of batches after `partial_fit`.
    n_passes_ : int
        Number of passes over the data of the kept start.
    lower_bound_ : float
        Lower bound of the log-evidence of all samples after the last iteration, up to a constant of the prior. After
        `partial_fit` the mean of `score_samples` over the last batch, under the parameters before its step.
    lower_bounds_ : list of float
        The same value for each iteration of the kept start. With `batch_size` for each epoch and after `partial_fit`
        for each of the last 1000 batches, the mean over the samples.
    n_features_in_ : int
        Number of features of the fit.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the columns; only if `X` was a data frame whose column names are all strings.
    component_labels_ : ndarray of int of shape (n_components,)
        Label that each component belongs to, -1 for none; only after ``fit(labels=...)``.

    See Also
    --------
    GaussianMixture : Fit a given number of components by maximum likelihood.
    NormalInverseWishart : Fit by maximum a posteriori EM with a prior of means and covariances.
    select : Choose the number of components by a criterion.

    Notes
    -----
    The posterior is approximated by a product of distributions: a Dirichlet distribution, or the Beta distributions of
    the sticks of a Dirichlet process [2]_, for the weights, and a normal-Wishart distribution for each mean and
    precision [1]_. With the responsibilities r_ik, their sums n_k, and the mean xbar_k and covariance S_k of the
    samples of a component, the updates are (for 'full') ::

        beta_k = beta_0 + n_k
        m_k    = (beta_0 m_0 + n_k xbar_k) / beta_k
        nu_k   = nu_0 + n_k
        C_k    = C_0 + n_k S_k + beta_0 n_k / beta_k (xbar_k - m_0) (xbar_k - m_0)^T

    Weights of samples count repeated rows. The prior weighs against their sum, so that their scale matters.

    There is no `bic`, `aic` or `icl`, which are for maximum likelihood; ``GaussianMixture.from_parameters`` with
    `weights_`, `means_` and `covariances_` has them. Its log-density is above `score_samples` of this class, which uses
    expectations over the posterior, as in scikit-learn.

    `partial_fit` follows stochastic natural gradients of the bound [3]_, for as many samples as there were so far; the
    default priors are those of the first batch. With `batch_size` the number of samples is known.

    References
    ----------
    .. [1] C. M. Bishop, "Pattern Recognition and Machine Learning", chapter 10.2, Springer, 2006.
    .. [2] D. M. Blei and M. I. Jordan, "Variational inference for Dirichlet process mixtures", Bayesian Analysis 1(1),
       pp. 121-143, 2006.
    .. [3] M. D. Hoffman, D. M. Blei, C. Wang and J. Paisley, "Stochastic variational inference", Journal of Machine
       Learning Research 14, pp. 1303-1347, 2013.

    Examples
    --------
    >>> from fastgmm import BayesianGaussianMixture
    >>> from fastgmm.datasets import load_faithful
    >>> X = load_faithful().data
    >>> model = BayesianGaussianMixture(n_components=5, tol=0.1, max_iter=500, random_state=0).fit(X)
    >>> model.converged_
    True
    >>> int((model.weights_ > 0.01).sum())
    2
    """

    weight_concentration_: NDArray | tuple[NDArray, NDArray]
    mean_precision_: NDArray
    degrees_of_freedom_: Any
    weight_concentration_prior_: float
    mean_precision_prior_: float
    mean_prior_: NDArray
    degrees_of_freedom_prior_: float
    covariance_prior_: Any

    _sklearn_name: ClassVar[str] = "BayesianGaussianMixture"
    _structures: ClassVar[dict[str, Structure]] = {name: STRUCTURES[name] for name in COVARIANCE_TYPES}

    def __init__(
        self,
        *,
        n_components: int = 1,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = REG_COVAR,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str | ArrayLike = "kmeans",
        weight_concentration_prior_type: str = "dirichlet_process",
        weight_concentration_prior: float | None = None,
        mean_precision_prior: float | None = None,
        mean_prior: ArrayLike | None = None,
        degrees_of_freedom_prior: float | None = None,
        covariance_prior: ArrayLike | float | None = None,
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
        self.weight_concentration_prior_type = weight_concentration_prior_type
        self.weight_concentration_prior = weight_concentration_prior
        self.mean_precision_prior = mean_precision_prior
        self.mean_prior = mean_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.covariance_prior = covariance_prior
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

    # --- the step and its prior ---

    def _check_arguments(self) -> Any:
        _validation.check_choice("weight_concentration_prior_type", self.weight_concentration_prior_type, WEIGHT_PRIORS)
        for name in ("weight_concentration_prior", "mean_precision_prior", "degrees_of_freedom_prior"):
            if getattr(self, name) is not None:
                _validation.check_positive(name, getattr(self, name))
        return super()._check_arguments()

    def _step(self, structure: Structure, reg_covar: float) -> Step:
        """Return a step whose prior is filled in by `_adapted` when the data are known."""
        nothing = VariationalPrior(self._is_process, 1.0, np.zeros(1), 1.0, 1.0, np.ones(()))
        return Variational(structure, reg_covar, nothing)

    @property
    def _is_process(self) -> bool:
        return self.weight_concentration_prior_type == "dirichlet_process"

    def _adapted(self, step: Step, source: Source, *, resumes: bool = False) -> tuple[Step, dict[str, Any]]:
        """Return the step with the prior of the data, and the prior as attributes; a stream keeps that of its first batch."""
        assert isinstance(step, Variational)
        d = source.n_features
        if resumes and hasattr(self, "covariance_prior_"):
            prior = self._fitted_prior()
        else:
            if not resumes:
                warn_of_relative_weights(source, PRIOR_TAKES)
            prior = self._prior(source, step.structure, d)
        attributes = {
            "weight_concentration_prior_": prior.concentration,
            "mean_precision_prior_": prior.mean_precision,
            "mean_prior_": prior.mean.copy(),
            "degrees_of_freedom_prior_": prior.dof,
            "covariance_prior_": prior.covariance.copy() if prior.covariance.ndim else float(prior.covariance),
        }
        return Variational(step.structure, step.reg_covar, prior), attributes

    def _prior(self, source: Source, structure: Structure, d: int) -> VariationalPrior:
        """Return the prior of the arguments, completed by defaults from the data."""
        concentration, precision, dof = (
            None if value is None else float(value)
            for value in (self.weight_concentration_prior, self.mean_precision_prior, self.degrees_of_freedom_prior)
        )
        if dof is not None and dof <= d - 1:
            raise ValueError(
                f"degrees_of_freedom_prior must be above n_features - 1 = {d - 1}, got {dof:g}: a Wishart distribution with fewer "
                f"has no density. Leave it out to use {d}"
            )
        mean = covariance = None
        if self.mean_prior is not None:
            mean = _validation.check_array("mean_prior", self.mean_prior, (d,), "(n_features,)")
        if self.covariance_prior is not None:
            covariance = _check_covariance(self.covariance_prior, structure, d)
        if mean is None or covariance is None:
            of_data = data_moments(source, structure.layout, self.n_threads)
            mean = of_data[0] if mean is None else mean
            covariance = of_data[1] if covariance is None else covariance
        return VariationalPrior(
            self._is_process,
            1.0 / self.n_components if concentration is None else concentration,
            mean,
            1.0 if precision is None else precision,
            float(d) if dof is None else dof,
            covariance,
        )

    def _fitted_prior(self) -> VariationalPrior:
        """Return the prior in the fitted attributes."""
        mean, covariance = (np.asarray(values, np.float64) for values in (self.mean_prior_, self.covariance_prior_))
        numbers = (self.weight_concentration_prior_, self.mean_precision_prior_, self.degrees_of_freedom_prior_)
        concentration, precision, dof = (float(value) for value in numbers)
        return VariationalPrior(self._is_process, concentration, mean, precision, dof, covariance)

    # --- the posterior as attributes ---

    def _attributes(self, fit: FitResult, dtype: np.dtype) -> dict[str, Any]:
        values = zip(_PARAMETERS, self._arrays(fit.params), strict=True)
        posterior: dict[str, Any] = {name: value.astype(dtype) for name, value in values}
        if posterior["weight_concentration_"].ndim == 2:
            posterior["weight_concentration_"] = tuple(posterior["weight_concentration_"])
        if fit.params.layout.pools:
            posterior["degrees_of_freedom_"] = float(posterior["degrees_of_freedom_"])
        return super()._attributes(fit, dtype) | posterior

    def _params(self, *, drawn: bool = False) -> Params:
        """Return the posterior in the fitted attributes; raise ValueError or NotFittedError if they do not make one."""
        params = super()._params(drawn=drawn)
        k = len(params.means)
        names = ("weight_concentration_", "mean_precision_", "degrees_of_freedom_")
        for name in names:
            if not hasattr(self, name):
                raise self._lacking(name)
        concentration = np.asarray(self.weight_concentration_, np.float64)
        precision = np.asarray(self.mean_precision_, np.float64)
        dof = np.asarray(self.degrees_of_freedom_, np.float64)
        shapes: dict[str, list[tuple[int, ...]]] = {"weight_concentration_": [(k,), (2, k)]}
        shapes |= {"mean_precision_": [(k,)], "degrees_of_freedom_": [() if params.layout.pools else (k,)]}
        for name, values in zip(names, (concentration, precision, dof), strict=True):
            if values.shape not in shapes[name] or not (values > 0.0).all():
                raise ValueError(
                    f"{name} must be positive and have the shape {' or '.join(map(str, shapes[name]))} for {k} means, got "
                    f"{values.shape}: fit again, or assign attributes that fit each other"
                )
        parts = (params.weights, params.means, params.covariances, params.prec_chol)
        dof = np.broadcast_to(dof, (k,))
        return Posterior(params.layout, *parts, concentration=concentration, mean_precision=precision, dof=dof)

    def _estimate_log_weights(self) -> NDArray:
        """Return E[log w_k], shape (n_components,): a private method of scikit-learn's class that programs call."""
        self._check_is_fitted()
        params = self._params()
        assert isinstance(params, Posterior)
        return params.log_weights

    def _get_parameters(self) -> tuple[Any, ...]:
        """Return what `_set_parameters` sets, in scikit-learn's order."""
        return tuple(getattr(self, name) for name in _PARAMETERS)

    def _set_parameters(self, params: Any) -> None:
        """Set the posterior, and the weights and precisions that follow from it."""
        for name, value in zip(_PARAMETERS, params, strict=True):
            setattr(self, name, value)
        layout = self._structures[
            _validation.check_choice("covariance_type", self.covariance_type, self._structures)
        ].layout
        self.weights_ = expected_weights(np.asarray(self.weight_concentration_, np.float64))
        self.precisions_ = layout.precisions(np.asarray(self.precisions_cholesky_))

    def _arrays(self, params: Params) -> tuple[Any, ...]:
        assert isinstance(params, Posterior)
        dof = params.dof[0] if params.layout.pools else params.dof
        return params.concentration, params.mean_precision, params.means, dof, params.covariances, params.prec_chol

    def _lacking(self, name: str) -> NotFittedError:
        error: NotFittedError = like_sklearn(NotFittedError)(
            f"this {type(self).__name__} has no {name}: it needs {', '.join(_PARAMETERS)} and weights_, as a fit sets them. Call "
            "'fit', or assign them all"
        )
        return error

    def _refuse_order(self) -> None:
        if np.ndim(self.weight_concentration_) == 2:
            raise ValueError(
                "the weights of a Dirichlet process depend on the order of its components, which cannot be sorted: fit with "
                "weight_concentration_prior_type='dirichlet_distribution' to sort them"
            )

    # --- criteria, which scikit-learn's class does not have either ---

    @property
    def bic(self) -> NoReturn:
        """Raise AttributeError, since a posterior has no Bayesian information criterion: compare models by `lower_bound_`."""
        raise self._no_criterion("bic")

    @property
    def aic(self) -> NoReturn:
        """Raise AttributeError, since a posterior has no Akaike information criterion: compare models by `lower_bound_`."""
        raise self._no_criterion("aic")

    @property
    def icl(self) -> NoReturn:
        """Raise AttributeError, since a posterior has no completed likelihood criterion: compare models by `lower_bound_`."""
        raise self._no_criterion("icl")

    def _no_criterion(self, name: str) -> AttributeError:
        return AttributeError(
            f"a {type(self).__name__} has no {name}, which is for maximum likelihood: compare models by lower_bound_, which "
            "accounts for the number of parameters, or by score on other data"
        )


#: The posterior in the order of `_get_parameters`, which is scikit-learn's.
_PARAMETERS = (
    "weight_concentration_",
    "mean_precision_",
    "means_",
    "degrees_of_freedom_",
    "covariances_",
    "precisions_cholesky_",
)


def _check_covariance(value: Any, structure: Structure, d: int) -> Float:
    """Return the checked prior covariance of one component of a structure."""
    layout, name = structure.layout, structure.name
    if layout.correlates:
        return check_covariances("covariance_prior", value, TIED, 1, d, name)
    if not layout.shape(1, d)[1:]:
        return np.array(_validation.check_positive("covariance_prior", value))
    return check_covariances("covariance_prior", np.asarray(value)[None], layout, 1, d, name)[0]

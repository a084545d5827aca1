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
    """Gaussian mixture fitted by variational inference: the posterior of weights, means and covariances.

    It has the interface, the defaults and, for equal data and `random_state`, the results of
    ``sklearn.mixture.BayesianGaussianMixture``. Components that the data do not need end with next to no weight, so that
    `n_components` is the most that there may be.

    Parameters
    ----------
    n_components : int, default=1
        Number of components, k, at most.
    covariance_type : {'full', 'tied', 'diag', 'spherical'}, default='full'
        Each component its own matrix, all components one matrix, each its own diagonal, each its own variance.
    tol : float, default=1e-3
        The fit stops when the lower bound of the log-evidence changes by less than this. The bound is of all samples, as in
        scikit-learn, so that most fits end by `max_iter`: with n samples, ``tol=1e-3 * n`` is like `GaussianMixture`'s.
    reg_covar : float, default=1e-6
        Added to the variances of the samples, in squared units of the data.
    max_iter : int, default=100
        Maximum number of iterations per start. With 0 the start itself is the result.
    n_init : int, default=1
        Number of starts; the one with the highest `lower_bound_` is kept, the first of several equal ones. None is stopped early.
        With more than 80 000 samples all are first run on a sample of a quarter of that, as in `GaussianMixture`.
    init_params : str, or array-like of shape (n,) or (n, k), default='kmeans'
        How first responsibilities are found, or known groups or responsibilities of the samples, as in `GaussianMixture`.
    weight_concentration_prior_type : {'dirichlet_process', 'dirichlet_distribution'}, default='dirichlet_process'
        Prior of the weights: a Dirichlet process, cut off at `n_components`, or a Dirichlet distribution.
    weight_concentration_prior : float, optional
        alpha_0, positive; by default 1 / `n_components`. The smaller it is, the fewer components get a weight.
    mean_precision_prior : float, default=1
        beta_0, positive: how many samples at `mean_prior` the prior of a mean is worth.
    mean_prior : array-like of shape (d,), optional
        m_0; by default the mean of the data.
    degrees_of_freedom_prior : float, optional
        nu_0, above d - 1; by default d.
    covariance_prior : float or array-like, optional
        C_0: (d, d) for 'full' and 'tied', (d,) for 'diag', a number for 'spherical'. By default the covariance of the data, their
        variances, the mean of these.
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator
        Source of all random draws.
    missing_values : {'raise', 'marginalize'}, default='raise'
        What NaN is: an error, or a missing value, as in `GaussianMixture`. The bound is that of the observed values.
    warm_start : bool, default=False
        Whether `fit` resumes from the last result instead of starting anew.
    verbose : int, default=0
        1 prints starts and every `verbose_interval`-th iteration, 2 also the change of the bound.
    verbose_interval : int, default=10
        Iterations between two printed lines.
    acceleration : {None, 'auto', 'over-relaxation', 'squarem'}, default=None
        How `fit` reaches the same bound in fewer passes over the data, as in `GaussianMixture`.
    algorithm : {'dense', 'pruned'}, default='dense'
        How `fit` goes through samples that are an array in memory, as in `GaussianMixture`.
    n_threads : int, optional
        Threads to use; by default Numba's setting. The results do not depend on it, to the bit.
    learning_decay, learning_offset : float, default=0.6 and 3.0
        For `partial_fit` and ``fit(batch_size=...)``: a and t0 in the step size (t + t0)^-a of batch t. See `GaussianMixture`.
    forgetting : float, optional
        For `partial_fit` on a stream that drifts: a half-life in samples, see `GaussianMixture`. The prior weighs against the
        samples that are remembered.

    Attributes
    ----------
    weights_ : ndarray of shape (k,)
        Expected weights; those of a process are divided by their sum.
    means_ : ndarray of shape (k, d)
        m_k, the expected means.
    covariances_, precisions_, precisions_cholesky_ : ndarray
        C_k / nu_k, (k, d, d), (d, d), (k, d) or (k,), its inverse, and the factor U, precision = U U^T.
    weight_concentration_ : tuple of two ndarrays of shape (k,), or ndarray of shape (k,)
        Parameters of the Beta distributions of a Dirichlet process, or those of the Dirichlet distribution.
    mean_precision_ : ndarray of shape (k,)
        beta_k.
    degrees_of_freedom_ : ndarray of shape (k,), or float for 'tied'
        nu_k.
    weight_concentration_prior_, mean_precision_prior_, degrees_of_freedom_prior_ : float
    mean_prior_ : ndarray of shape (d,)
    covariance_prior_ : float or ndarray
        The priors of the fit, with the defaults in place of what was not given.
    converged_ : bool
        Whether the kept start reached `tol` within `max_iter`.
    n_iter_ : int
        Iterations of the kept start; epochs, with `batch_size`; batches, after `partial_fit`.
    n_passes_ : int
        Passes over the data that the kept start took.
    lower_bound_ : float
        Lower bound of the log-evidence of all samples, up to a constant of the prior, after the last iteration. After
        `partial_fit`, a mean over the last batch: of log sum_k exp(E log pi_k N(x | mu_k, Lambda_k)).
    lower_bounds_ : list of float
        The same for each iteration of the kept start. With `batch_size` for each epoch, after `partial_fit` for each batch, the
        mean over its samples.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Column names, if X was a data frame whose column names are strings.

    Notes
    -----
    Weights of samples count repeated rows: the prior weighs against their sum, so that their scale matters.

    `score_samples` is log sum_k exp(E log pi_k N(x | mu_k, Lambda_k)), as in scikit-learn: below the log-density of the mixture of
    `weights_`, `means_` and `covariances_` (``GaussianMixture.from_parameters``), which has `bic` as well.

    `partial_fit` makes steps along stochastic natural gradients of the evidence (Hoffman, Blei, Wang & Paisley, Stochastic
    variational inference, J. Mach. Learn. Res. 14, 2013), with as many samples in all as there were so far; the default priors are
    those of the first batch. With `batch_size` their number is known.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm import BayesianGaussianMixture
    >>> X = np.array([[1, 2], [1, 4], [1, 0], [4, 2], [12, 4], [10, 7]])
    >>> model = BayesianGaussianMixture(n_components=2, random_state=42).fit(X)
    >>> model.means_.round(2)
    array([[2.5 , 2.29],
           [8.46, 4.52]])
    >>> model.predict([[0, 0], [9, 3]])
    array([0, 1])
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
        """Return the step of a prior that is not known before the data are: see `_adapted`."""
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
        """Return the prior of the arguments, with defaults from the data for what is not given."""
        concentration, precision, dof = (
            None if value is None else float(value)
            for value in (self.weight_concentration_prior, self.mean_precision_prior, self.degrees_of_freedom_prior)
        )
        if dof is not None and dof <= d - 1:
            raise ValueError(
                f"degrees_of_freedom_prior must be above n_features - 1 = {d - 1}, got {dof:g}: a Wishart distribution with less "
                f"has no density. Leave it out for {d}"
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
        """Return the posterior in the fitted attributes; ValueError or NotFittedError if they are not one."""
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
        """Return E log pi_k, shape (k,): scikit-learn's private method, which programs call."""
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
                "the components of a Dirichlet process have an order, that of its sticks, from which their weights follow: fit "
                "with weight_concentration_prior_type='dirichlet_distribution' to sort components"
            )

    # --- what scikit-learn's class does not have either ---

    @property
    def bic(self) -> NoReturn:
        raise self._no_criterion("bic")

    @property
    def aic(self) -> NoReturn:
        raise self._no_criterion("aic")

    @property
    def icl(self) -> NoReturn:
        raise self._no_criterion("icl")

    def _no_criterion(self, name: str) -> AttributeError:
        return AttributeError(
            f"a {type(self).__name__} has no {name}, which is of a maximum of the likelihood: compare models by lower_bound_, "
            "which counts the parameters already, or by score of other data"
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
    """Return the prior covariance of one component of a structure, checked."""
    layout, name = structure.layout, structure.name
    if layout.correlates:
        return check_covariances("covariance_prior", value, TIED, 1, d, name)
    if not layout.shape(1, d)[1:]:
        return np.array(_validation.check_positive("covariance_prior", value))
    return check_covariances("covariance_prior", np.asarray(value)[None], layout, 1, d, name)[0]

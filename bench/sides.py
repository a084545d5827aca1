"""The competitors: the same EM by fastgmm, by vectorised NumPy, by scikit-learn and by oneDAL, called alike.

`ITERATIONS` holds what is closest to bare EM iterations: data checks, start and final labelling are left out on every
side. `FITS` holds what a user calls.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.cases import Case, Problem

REG_COVAR = 1e-6


class Outcome(NamedTuple):
    """Parameters after the last M-step; bounds[t] is the mean log-likelihood of those that entered iteration t + 1."""

    n_iter: int
    bounds: list[float]
    weights: NDArray
    means: NDArray
    covariances: NDArray


Side = Callable[[Problem], Outcome]


def fastgmm_iterations(problem: Problem) -> Outcome:
    """EM loop on prepared input: what `fit` runs after its checks."""
    from fastgmm.data.source import ArraySource
    from fastgmm.em import loop
    from fastgmm.em.step import MaximumLikelihood
    from fastgmm.em.stop import Stop
    from fastgmm.model.checks import check_parameters
    from fastgmm.model.layouts import layout_named
    from fastgmm.model.structures import STRUCTURES

    case = problem.case
    source = ArraySource(problem.X)
    params = check_parameters(problem.weights, problem.means, problem.covariances, layout_named(case.covariance_type))
    step = MaximumLikelihood(STRUCTURES[case.covariance_type], REG_COVAR)
    fit = loop.run(source, params, step, Stop(0.0, case.n_iter))
    return Outcome(fit.n_iter, fit.lower_bounds, fit.params.weights, fit.params.means, fit.params.covariances)


def fastgmm_fit(problem: Problem) -> Outcome:
    from fastgmm import GaussianMixture

    model = _quietly_fitted(GaussianMixture, problem)
    return Outcome(model.n_iter_, model.lower_bounds_, model.weights_, model.means_, model.covariances_)


def numpy_iterations(problem: Problem) -> Outcome:
    from bench import numpy_reference

    case = problem.case
    result = numpy_reference.em(
        problem.X,
        problem.weights,
        problem.means,
        problem.covariances,
        case.covariance_type,
        case.n_iter,
        reg_covar=REG_COVAR,
    )
    bounds = [float(b) for b in result.history]
    return Outcome(len(bounds), bounds, result.weights, result.means, result.covariances)


def sklearn_iterations(problem: Problem) -> Outcome:
    """scikit-learn's E- and M-steps in its own order, without its checks and the E-step after the last M-step."""
    from sklearn.mixture import GaussianMixture

    model = GaussianMixture(**_arguments(problem))
    model._initialize_parameters(problem.X, np.random.RandomState(0))
    bounds = []
    for _ in range(problem.case.n_iter):
        bound, log_resp = model._e_step(problem.X)
        model._m_step(problem.X, log_resp)
        bounds.append(float(bound))
    return Outcome(len(bounds), bounds, model.weights_, model.means_, model.covariances_)


def sklearn_fit(problem: Problem) -> Outcome:
    from sklearn.mixture import GaussianMixture

    model = _quietly_fitted(GaussianMixture, problem)
    bounds = getattr(model, "lower_bounds_", [model.lower_bound_])
    return Outcome(model.n_iter_, bounds, model.weights_, model.means_, model.covariances_)


def daal4py_iterations(problem: Problem) -> Outcome:
    """oneDAL's EM, which is its whole fit: it checks little and labels nothing.

    It adds nothing to covariances unless one is singular, where the others add `REG_COVAR` always.
    """
    import daal4py

    case = problem.case
    algorithm = daal4py.em_gmm(
        nComponents=case.k,
        fptype={"float32": "float", "float64": "double"}[case.dtype],
        maxIterations=case.n_iter,
        accuracyThreshold=0.0,
        covarianceStorage={"full": "full", "diag": "diagonal"}[case.covariance_type],
        regularizationFactor=REG_COVAR,
    )
    matrices = [np.atleast_2d(matrix) for matrix in problem.covariances]  # a diagonal is one row
    result = algorithm.compute(problem.X, problem.weights[np.newaxis], problem.means, matrices)
    bound = result.goalFunction.item() / len(problem.X)  # of all samples, on the way into the last iteration
    covariances = np.reshape(result.covariances, problem.covariances.shape)
    return Outcome(result.nIterations.item(), [bound], result.weights[0], result.means, covariances)


def _arguments(problem: Problem) -> dict[str, Any]:
    case = problem.case
    return {
        "n_components": case.k,
        "covariance_type": case.covariance_type,
        "tol": 0.0,
        "reg_covar": REG_COVAR,
        "max_iter": case.n_iter,
        "weights_init": problem.weights,
        "means_init": problem.means,
        "precisions_init": problem.precisions,
    }


def _quietly_fitted(estimator: Any, problem: Problem) -> Any:
    """Fit with tol=0, hence exactly `n_iter` iterations and a warning that they did not converge."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*did not converge")
        return estimator(**_arguments(problem)).fit(problem.X)


ITERATIONS: dict[str, Side] = {
    "fastgmm": fastgmm_iterations,
    "numpy": numpy_iterations,
    "sklearn": sklearn_iterations,
    "daal4py": daal4py_iterations,
}
FITS: dict[str, Side] = {
    "fastgmm": fastgmm_fit,
    "numpy": numpy_iterations,
    "sklearn": sklearn_fit,
    "daal4py": daal4py_iterations,
}
#: packages to compare with, where they are installed, and the covariance types that they know
PEERS = {"sklearn": ("full", "tied", "diag", "spherical"), "daal4py": ("full", "diag")}


def able(peers: Iterable[str], case: Case) -> list[str]:
    """Those of the peers that know the covariance type of the case."""
    return [name for name in peers if case.covariance_type in PEERS[name]]


def assert_equal_work(problem: Problem, outcomes: dict[str, Outcome]) -> None:
    """Same number of iterations, same likelihood on the way into the last one and after it."""
    case = problem.case
    expected = outcomes["fastgmm"]
    likelihood = mean_log_likelihood(problem, expected)
    for name, outcome in outcomes.items():
        assert outcome.n_iter == case.n_iter, f"{name}: {outcome.n_iter} iterations instead of {case.n_iter}"
        assert np.isfinite(outcome.bounds[-1]), name
        np.testing.assert_allclose(outcome.bounds[-1], expected.bounds[-1], rtol=case.rtol, err_msg=name)
        np.testing.assert_allclose(mean_log_likelihood(problem, outcome), likelihood, rtol=case.rtol, err_msg=name)


def mean_log_likelihood(problem: Problem, outcome: Outcome) -> float:
    """Score of the final parameters in float64, by one and the same function whoever found them."""
    import fastgmm

    weights, means, covariances = (np.asarray(a, np.float64) for a in outcome[2:])
    X = np.asarray(problem.X, np.float64)
    kind = problem.case.covariance_type
    if kind in ("full", "tied"):  # other sides' are symmetric up to rounding only
        covariances = (covariances + np.swapaxes(covariances, -1, -2)) / 2
    return float(fastgmm.log_prob(X, weights / weights.sum(), means, covariances, covariance_type=kind).mean())


def importable(names: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Those of the packages that can be imported; and of those that are there but cannot, the reasons."""
    import numba

    numba.get_num_threads()  # starts its threads: later, Numba would take up the TBB that daal4py loads, for fastgmm too
    good: list[str] = []
    broken: dict[str, str] = {}
    for name in names:
        if find_spec(name) is None:
            continue
        try:
            import_module(name)
        except Exception as error:  # an old one may fail in any way with a new scikit-learn
            broken[name] = f"{type(error).__name__}: {error}"
        else:
            good.append(name)
    return good, broken

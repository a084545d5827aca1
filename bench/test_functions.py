"""The plain functions, each against the loop that it replaces."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.stats import multivariate_normal

import fastgmm
from bench import numpy_reference
from bench.cases import Case, Problem, cases
from fastgmm.model.stats import Stats


def by_name(names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases(names), ids=lambda case: case.name)


class Mixture(NamedTuple):
    """Parameters after one EM step from the start: no two components alike."""

    weights: NDArray
    means: NDArray
    covariances: NDArray


def one_step(problem: Problem) -> Mixture:
    start = (problem.weights, problem.means, problem.covariances)
    return Mixture(*fastgmm.em_step(problem.X, *start, covariance_type=problem.case.covariance_type)[:3])


def same(name: str, rtol: float, atol: float = 0.0) -> Callable[[dict[str, Any]], None]:
    """A check that every side's result is that of the side `name`."""

    def check(results: dict[str, Any]) -> None:
        for side, result in results.items():
            assert_allclose(result, results[name], rtol=rtol, atol=atol, err_msg=side)

    return check


# --- the loops that people write


def scipy_log_density(X: NDArray, mixture: Mixture, covariance_type: str) -> NDArray:
    """One call of SciPy per component."""
    covariances = mixture.covariances
    if covariance_type == "tied":
        covariances = np.broadcast_to(covariances, (len(mixture.means), *covariances.shape))
    return np.stack(
        [multivariate_normal.logpdf(X, mean, cov) for mean, cov in zip(mixture.means, covariances, strict=True)], axis=1
    )


def numpy_log_joint(X: NDArray, mixture: Mixture, covariance_type: str) -> NDArray:
    """log pi_k + log N(x_i | k): one matrix product per component, differences first, one result matrix."""
    weights, means, covariances = mixture
    n, d = X.shape
    out = np.empty((n, len(means)))
    root = None
    for k, mean in enumerate(means):
        if covariance_type in ("diag", "spherical"):
            precision = 1.0 / np.broadcast_to(covariances[k], d)
            half_log_det = 0.5 * np.log(precision).sum()
            squares = np.square(X - mean) @ precision
        else:
            if root is None or covariance_type == "full":
                matrix = covariances[k] if covariance_type == "full" else covariances
                root = solve_triangular(np.linalg.cholesky(matrix), np.eye(d), lower=True).T
            half_log_det = np.log(np.diagonal(root)).sum()
            z = (X - mean) @ root
            squares = np.einsum("ij,ij->i", z, z)
        out[:, k] = np.log(weights[k]) + half_log_det - 0.5 * (d * np.log(2 * np.pi) + squares)
    return out


def numpy_responsibilities(X: NDArray, mixture: Mixture, covariance_type: str) -> NDArray:
    joint = numpy_log_joint(X, mixture, covariance_type)
    joint -= joint.max(axis=1, keepdims=True)
    resp = np.exp(joint, out=joint)
    resp /= resp.sum(axis=1, keepdims=True)
    return resp


def numpy_statistics(
    X: NDArray, resp: NDArray, origin: NDArray, covariance_type: str
) -> tuple[NDArray, NDArray, NDArray]:
    """Counts, sums and scatter about `origin`: one centred product per component."""
    k, d = origin.shape
    counts = resp.sum(axis=0)
    sums = resp.T @ X - counts[:, None] * origin
    if covariance_type in ("full", "tied"):
        scatter = np.empty((k, d, d))
        for j in range(k):
            diff = X - origin[j]
            scatter[j] = (resp[:, j, None] * diff).T @ diff
        return counts, sums, scatter if covariance_type == "full" else scatter.sum(axis=0)
    scatter = np.empty((k, d))
    for j in range(k):
        scatter[j] = resp[:, j] @ np.square(X - origin[j])
    return counts, sums, scatter if covariance_type == "diag" else scatter.sum(axis=1)


def sklearn_model(mixture: Mixture, covariance_type: str) -> Any:
    """scikit-learn's estimator with these parameters, as if fitted."""
    from sklearn.mixture import GaussianMixture

    precisions = mixture.covariances
    precisions = np.linalg.inv(precisions) if covariance_type in ("full", "tied") else 1.0 / precisions
    model = GaussianMixture(
        len(mixture.weights),
        covariance_type=covariance_type,
        weights_init=mixture.weights,
        means_init=mixture.means,
        precisions_init=precisions,
    )
    model._initialize(np.empty((0, mixture.means.shape[1])), None)
    return model


# --- the comparisons


@by_name("A C D E")
def test_log_density(case: Case, quick: bool, peers: list[str], measure: Callable) -> None:
    """Against a loop over scipy.stats.multivariate_normal.logpdf, and one over matrix products."""
    problem = case.problem(quick)
    X, mixture, kind = problem.X, one_step(problem), case.covariance_type
    unweighted = mixture._replace(weights=np.ones_like(mixture.weights))
    sides = {
        "fastgmm": lambda: fastgmm.log_density(X, mixture.means, mixture.covariances, covariance_type=kind),
        "loop": lambda: numpy_log_joint(X, unweighted, kind),
        "scipy": lambda: scipy_log_density(X, mixture, kind),
    }
    if "sklearn" in peers:
        sides["sklearn"] = partial(sklearn_model(mixture, kind)._estimate_log_prob, X)
    measure(sides, same("scipy", rtol=1e-9))


@by_name("B C E G")
def test_sufficient_statistics(case: Case, quick: bool, measure: Callable) -> None:
    """Against an M-step of one centred matrix product per component."""
    problem = case.problem(quick)
    X, mixture, kind = problem.X, one_step(problem), case.covariance_type
    resp = numpy_responsibilities(X, mixture, kind)

    def own() -> Stats:
        return fastgmm.sufficient_statistics(X, resp, origin=mixture.means, covariance_type=kind)

    def check(results: dict[str, Any]) -> None:
        stats = results["fastgmm"]
        counts, sums, scatter = results["loop"]
        assert_allclose(stats.counts, counts, rtol=1e-9)
        # sums about the means nearly cancel: what counts is their error as a share of what was added up
        assert_allclose(stats.sums, sums, rtol=0, atol=1e-9 * len(X))
        assert_allclose(stats.scatter, scatter, rtol=1e-9, atol=1e-10 * np.abs(scatter).max())

    sides = {"fastgmm": own, "loop": lambda: numpy_statistics(X, resp, mixture.means, kind)}
    measure(sides, check)


@by_name("A B C E F G")
def test_predict(case: Case, quick: bool, peers: list[str], measure: Callable) -> None:
    problem = case.problem(quick)
    X, mixture, kind = problem.X, one_step(problem), case.covariance_type
    model = fastgmm.GaussianMixture.from_parameters(*mixture, covariance_type=kind)
    sides = {"fastgmm": lambda: model.predict(X), "loop": lambda: numpy_log_joint(X, mixture, kind).argmax(axis=1)}
    if "sklearn" in peers:
        sides["sklearn"] = partial(sklearn_model(mixture, kind).predict, X)
    measure(sides, same("loop", rtol=0))


@by_name("B E")
def test_predict_proba(case: Case, quick: bool, peers: list[str], measure: Callable) -> None:
    problem = case.problem(quick)
    X, mixture, kind = problem.X, one_step(problem), case.covariance_type
    model = fastgmm.GaussianMixture.from_parameters(*mixture, covariance_type=kind)
    sides = {"fastgmm": lambda: model.predict_proba(X), "loop": lambda: numpy_responsibilities(X, mixture, kind)}
    if "sklearn" in peers:
        sides["sklearn"] = partial(sklearn_model(mixture, kind).predict_proba, X)
    measure(sides, same("loop", rtol=1e-8, atol=1e-12))


@by_name("B E")
def test_score_samples(case: Case, quick: bool, peers: list[str], measure: Callable) -> None:
    problem = case.problem(quick)
    X, mixture, kind = problem.X, one_step(problem), case.covariance_type
    model = fastgmm.GaussianMixture.from_parameters(*mixture, covariance_type=kind)
    sides = {"fastgmm": lambda: model.score_samples(X), "numpy": lambda: numpy_reference.e_step(X, *mixture, kind)}
    if "sklearn" in peers:
        sides["sklearn"] = partial(sklearn_model(mixture, kind).score_samples, X)
    measure(sides, same("fastgmm", rtol=1e-8))


KMEANS = [Case("K", 1_000_000, 8, 16, "spherical"), *cases("A B E F")]


@by_name("A B E F")
def test_lloyd(case: Case, quick: bool, measure: Callable) -> None:
    """Lloyd's algorithm from given centres against matrix products and `bincount`."""
    problem, most = case.problem(quick), 10
    X = problem.X
    centres = fastgmm.kmeans_plusplus(X, problem.case.k, random_state=0)[0]

    def check(results: dict[str, Any]) -> None:
        own, (labels, found, n_iter) = results["fastgmm"], results["numpy"]
        assert own.n_iter == n_iter
        assert_array_equal(own.labels, labels)
        assert_allclose(own.centers, found, rtol=1e-6, atol=1e-9)

    sides = {
        "fastgmm": lambda: fastgmm.kmeans(X, problem.case.k, init=centres, max_iter=most, tol=0.0),
        "numpy": lambda: numpy_reference.lloyd(X, centres, most),
    }
    measure(sides, check)


@pytest.mark.parametrize("case", KMEANS, ids=lambda case: case.name)
def test_kmeans(case: Case, quick: bool, peers: list[str], measure: Callable) -> None:
    """Against KMeans(n_init=1), seeding included: same labels after the same number of iterations."""
    if "sklearn" not in peers:
        pytest.skip("nothing to compare with: needs --peers and scikit-learn")
    from sklearn.cluster import KMeans

    problem, most = case.problem(quick), 10
    X, k = problem.X, problem.case.k

    def check(results: dict[str, Any]) -> None:
        own, other = results["fastgmm"], results["sklearn"]
        assert own.n_iter == other.n_iter_
        assert_array_equal(own.labels, other.labels_)
        assert own.inertia == pytest.approx(other.inertia_, rel=1e-6)

    sides = {
        # tol=0 lets both run until nothing changes or `most` iterations are done
        "fastgmm": lambda: fastgmm.kmeans(X, k, max_iter=most, tol=0.0, random_state=0),
        "sklearn": lambda: KMeans(k, n_init=1, max_iter=most, tol=0.0, random_state=0).fit(X),
    }
    measure(sides, check)


@pytest.mark.parametrize("case", KMEANS, ids=lambda case: case.name)
def test_kmeans_plusplus(case: Case, quick: bool, peers: list[str], measure: Callable) -> None:
    if "sklearn" not in peers:
        pytest.skip("nothing to compare with: needs --peers and scikit-learn")
    from sklearn.cluster import kmeans_plusplus

    problem = case.problem(quick)
    X, k = problem.X, problem.case.k

    def check(results: dict[str, Any]) -> None:
        assert_array_equal(results["fastgmm"][1], results["sklearn"][1])

    sides = {
        "fastgmm": lambda: fastgmm.kmeans_plusplus(X, k, random_state=0),
        "sklearn": lambda: kmeans_plusplus(X, k, random_state=0),
    }
    measure(sides, check)

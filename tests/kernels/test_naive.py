"""The oracle itself, held against SciPy, scikit-learn and results known in closed form."""

from __future__ import annotations

import warnings

import naive
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import digamma, logsumexp
from sklearn.cluster import KMeans
from sklearn.cluster import kmeans_plusplus as sklearn_kmeans_plusplus
from sklearn.datasets import load_iris
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

TYPES = naive.COVARIANCE_TYPES


def blobs(n=120, d=3, k=3, seed=0):
    """Overlapping clusters, seeded."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(scale=3.0, size=(k, d))
    return centers[rng.integers(k, size=n)] + rng.normal(size=(n, d)) @ rng.normal(size=(d, d))


def parameters(covariance_type, k=3, d=3, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(k, 5.0))
    means = rng.normal(scale=2.0, size=(k, d))
    roots = rng.normal(size=(k, d, 2 * d))
    matrices = roots @ roots.transpose(0, 2, 1) / (2 * d) + 0.3 * np.eye(d)
    covariances = {
        "full": matrices,
        "tied": matrices[0],
        "diag": np.einsum("kdd->kd", matrices).copy(),
        "spherical": matrices[:, 0, 0].copy(),
    }[covariance_type]
    return weights, means, covariances


def sklearn_precisions(covariances, covariance_type):
    if covariance_type in ("full", "tied"):
        return np.linalg.inv(covariances)
    return 1.0 / covariances


def sklearn_model(X, weights, means, covariances, covariance_type, max_iter):
    """scikit-learn's model with given parameters (``max_iter=0``), or its fit from them by `max_iter` iterations."""
    model = GaussianMixture(
        len(weights),
        covariance_type=covariance_type,
        tol=0.0,
        max_iter=max_iter,
        weights_init=weights,
        means_init=means,
        precisions_init=sklearn_precisions(covariances, covariance_type),
    )
    if max_iter == 0:  # its own fit fails then: all three parameters given, no covariances_
        model.weights_, model.means_, model.covariances_ = weights, means, covariances
        model.precisions_cholesky_ = naive.precision_cholesky(covariances, covariance_type)
        return model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it cannot converge with tol=0
        return model.fit(X)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("d", [1, 2, 5])
def test_log_density_is_scipys(covariance_type, d):
    X = blobs(d=d)
    _, means, covariances = parameters(covariance_type, d=d)
    expected = naive.log_density_scipy(X, means, covariances, covariance_type)
    assert expected.shape == (len(X), 3)
    assert_allclose(naive.log_density(X, means, covariances, covariance_type), expected, rtol=1e-11)


def test_log_density_of_a_standard_normal_in_closed_form():
    X = np.array([[0.0, 0.0], [3.0, 4.0]])
    expected = -np.log(2 * np.pi) - np.array([[0.0], [12.5]])
    assert_allclose(naive.log_density(X, np.zeros((1, 2)), np.ones(1), "spherical"), expected, rtol=1e-14)


@pytest.mark.parametrize("axis", [0, 1])
def test_log_sum_exp_is_scipys(axis):
    a = np.random.default_rng(0).normal(scale=300.0, size=(6, 7))
    a[2, 3] = -np.inf
    assert_allclose(naive.log_sum_exp(a, axis), logsumexp(a, axis=axis), rtol=1e-14)


def test_log_sum_exp_of_nothing_is_minus_infinity():
    assert_array_equal(naive.log_sum_exp(np.full((2, 3), -np.inf), axis=1), [-np.inf, -np.inf])


@pytest.mark.parametrize("covariance_type", TYPES)
def test_probabilities_are_scikit_learns(covariance_type):
    X = blobs()
    params = parameters(covariance_type)
    model = sklearn_model(X, *params, covariance_type, max_iter=0)
    assert_allclose(naive.log_prob(X, *params, covariance_type), model.score_samples(X), rtol=1e-11)
    resp = naive.responsibilities(X, *params, covariance_type)
    assert_allclose(resp, model.predict_proba(X), rtol=1e-9, atol=1e-14)
    assert_allclose(resp.sum(axis=1), 1.0, rtol=1e-14)


def test_zero_weight_gives_zero_responsibility():
    _, means, covariances = parameters("full")
    resp = naive.responsibilities(blobs(), [0.0, 0.5, 0.5], means, covariances, "full")
    assert_array_equal(resp[:, 0], 0.0)
    assert np.isfinite(resp).all()


@pytest.mark.parametrize("covariance_type", TYPES)
def test_statistics_give_the_m_step(covariance_type):
    """``W_k = S_k - s_k s_k^T / n_k`` about any origin is the scatter about the mean."""
    X, reg = blobs(), 1e-3
    n, d = X.shape
    resp = np.random.default_rng(1).dirichlet(np.ones(3), size=n)
    origin = np.random.default_rng(2).normal(size=(3, d))
    counts, sums, scatter = naive.counts_sums_scatter(X, resp, origin, covariance_type)
    weights, means, covariances = naive.maximise(X, resp, reg, covariance_type)
    assert_allclose(counts / n, weights, rtol=1e-13)
    assert_allclose(origin + sums / counts[:, np.newaxis], means, rtol=1e-12)
    outer = np.einsum("kd,ke,k->kde", sums, sums, 1.0 / counts)
    if covariance_type == "full":
        computed = (scatter - outer) / counts[:, None, None] + reg * np.eye(d)
    elif covariance_type == "tied":
        computed = (scatter - outer.sum(axis=0)) / n + reg * np.eye(d)
    elif covariance_type == "diag":
        computed = (scatter - np.einsum("kdd->kd", outer)) / counts[:, None] + reg
    else:
        computed = (scatter - np.einsum("kdd->k", outer)) / counts / d + reg
    assert_allclose(computed, covariances, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_em_is_scikit_learns(covariance_type):
    X = load_iris().data
    weights, _, covariances = parameters(covariance_type, d=4, seed=3)
    start = (weights, X[[5, 70, 130]], covariances)
    model = sklearn_model(X, *start, covariance_type, max_iter=6)
    weights, means, covariances, history = naive.em(X, *start, covariance_type, 6, 1e-6)
    assert_allclose(weights, model.weights_, rtol=1e-9)
    assert_allclose(means, model.means_, rtol=1e-9)
    assert_allclose(covariances, model.covariances_, rtol=1e-7, atol=1e-9)
    assert_allclose(history, model.lower_bounds_, rtol=1e-10)
    assert (np.diff(history) > -1e-9).all()


@pytest.mark.parametrize("covariance_type", TYPES)
def test_precision_cholesky(covariance_type):
    k, d = 3, 4
    _, _, covariances = parameters(covariance_type, d=d)
    U = naive.precision_cholesky(covariances, covariance_type)
    assert U.shape == covariances.shape
    if covariance_type in ("full", "tied"):
        assert_array_equal(np.tril(U, -1), 0.0)
        assert_allclose(U @ np.swapaxes(U, -1, -2) @ covariances, np.broadcast_to(np.eye(d), U.shape), atol=1e-12)
    else:
        assert_allclose(U * U * covariances, 1.0, rtol=1e-14)
    expanded = naive.expand(covariances, covariance_type, k, d)
    assert expanded.shape == (k, d, d)
    assert_allclose(expanded, expanded.transpose(0, 2, 1))


def test_expand_rejects_another_types_shape():
    with pytest.raises(ValueError, match="diag: expected shape"):
        naive.expand(np.ones(3), "diag", 3, 2)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_criteria_are_scikit_learns(covariance_type):
    X = blobs()
    params = parameters(covariance_type)
    model = sklearn_model(X, *params, covariance_type, max_iter=0)
    total = naive.log_prob(X, *params, covariance_type).sum()
    p = naive.n_parameters(covariance_type, *params[1].shape)
    assert_allclose(naive.bic(total, p, len(X)), model.bic(X), rtol=1e-12)
    assert_allclose(naive.aic(total, p, len(X)), model.aic(X), rtol=1e-12)


@pytest.mark.parametrize("k", [1, 2, 3, 8])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_kmeans_plusplus_is_scikit_learns(k, seed):
    for X in (load_iris().data, blobs(n=300, d=2, k=5)):
        ours, theirs = np.random.RandomState(seed), np.random.RandomState(seed)
        centers, indices = naive.kmeans_plusplus(X, k, ours)
        expected_centers, expected_indices = sklearn_kmeans_plusplus(X, k, random_state=theirs)
        assert_array_equal(indices, expected_indices)
        assert_array_equal(centers, expected_centers)
        assert ours.uniform() == theirs.uniform()  # as many draws were taken


@pytest.mark.parametrize("tol", [1e-4, 0.1])
@pytest.mark.parametrize("max_iter", [1, 3, 300])
@pytest.mark.parametrize("k", [2, 5])
def test_lloyd_is_scikit_learns(tol, max_iter, k):
    X = blobs(n=250)
    start, _ = naive.kmeans_plusplus(X, k, np.random.RandomState(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = KMeans(k, init=start, n_init=1, tol=tol, max_iter=max_iter, algorithm="lloyd").fit(X)
    labels, inertia, centers, n_iter = naive.lloyd(X, start, max_iter, tol)
    assert n_iter == model.n_iter_
    assert_array_equal(labels, model.labels_)
    assert_allclose(centers, model.cluster_centers_, rtol=1e-10)
    assert_allclose(inertia, model.inertia_, rtol=1e-10)


def test_lloyd_relocates_empty_clusters_as_scikit_learn():
    X = blobs(n=100)
    start = np.vstack([X[:2], [[100.0] * 3], [[-100.0] * 3]])
    model = KMeans(4, init=start, n_init=1, algorithm="lloyd").fit(X)
    labels, inertia, centers, n_iter = naive.lloyd(X, start)
    assert n_iter == model.n_iter_
    assert_array_equal(labels, model.labels_)
    assert_allclose(centers, model.cluster_centers_, rtol=1e-10)
    assert_allclose(inertia, model.inertia_, rtol=1e-10)


def test_lloyd_with_fewer_distinct_points_than_clusters():
    X = np.array([[0.0, 0.0]] * 4 + [[1.0, 1.0]] * 3)
    labels, inertia, centers, _ = naive.lloyd(X, X[[0, 4, 0]])
    assert_array_equal(labels, [0, 0, 0, 0, 1, 1, 1])
    assert inertia == 0.0
    assert_array_equal(centers, [[0, 0], [1, 1], [0, 0]])


def test_nearest():
    labels, inertia = naive.nearest([[0.0], [1.0], [4.0]], [[0.0], [2.0]])
    assert_array_equal(labels, [0, 0, 1])  # a tie goes to the first
    assert inertia == 0.0 + 1.0 + 4.0


# --- variational inference ---


@pytest.mark.parametrize("x", [1e-3, 0.1, 0.5, 1.0, 1.4616321449683623, 7.5, 30.0, 1e6])
def test_digamma(x):
    assert_allclose(naive.digamma(x), digamma(x), rtol=1e-13, atol=1e-13)


def test_expected_log_weights_are_means_of_draws():
    rng = np.random.default_rng(0)
    a = np.array([2.0, 0.7, 5.0])
    assert_allclose(np.log(rng.dirichlet(a, size=200_000)).mean(axis=0), naive.expected_log_weights(a), atol=0.02)
    b = np.array([1.5, 3.0, 0.4])
    sticks = rng.beta(a, b, size=(200_000, 3))
    logs = np.log(sticks) + np.cumsum(np.c_[np.zeros(200_000), np.log1p(-sticks[:, :2])], axis=1)
    assert_allclose(logs.mean(axis=0), naive.expected_log_weights(np.stack([a, b])), atol=0.02)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_variational_runs_are_scikit_learn_s(covariance_type):
    X = blobs(60, 2)
    resp = np.random.default_rng(0).dirichlet(np.ones(3), size=60)
    for kind in ("dirichlet_process", "dirichlet_distribution"):
        model = BayesianGaussianMixture(
            n_components=3, covariance_type=covariance_type, weight_concentration_prior_type=kind
        )
        model._check_parameters(X)
        model._initialize(X, resp)
        prior = {
            "process": kind == "dirichlet_process",
            "concentration": model.weight_concentration_prior_,
            "mean": model.mean_prior_,
            "mean_precision": model.mean_precision_prior_,
            "dof": model.degrees_of_freedom_prior_,
            "covariance": model.covariance_prior_,
        }
        found, bounds = naive.variational(X, resp, prior, model.reg_covar, covariance_type, 3)
        expected = []
        for _ in range(3):
            norm, log_resp = model._e_step(X)
            model._m_step(X, log_resp)
            expected.append(np.ravel(model._compute_lower_bound(log_resp, norm))[0])
        assert_allclose(bounds, expected, rtol=1e-9)
        assert_allclose(found["means"], model.means_, rtol=1e-9)
        assert_allclose(found["covariances"], model.covariances_, rtol=1e-8)

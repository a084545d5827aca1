"""Labels that are known of some samples: their likelihood, their starts, and what keeps them."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from kit import blobs
from scipy.special import logsumexp
from sklearn.datasets import load_iris

import fastgmm
from fastgmm import BayesianGaussianMixture, GaussianMixture, load
from fastgmm.data.labelled import labelled
from fastgmm.data.source import ArraySource
from fastgmm.em.sweep import sweep

K, D, N = 3, 2, 400


@pytest.fixture(scope="module")
def X():
    return blobs(N, D, K, seed=3)


@pytest.fixture(scope="module")
def y(X):
    """Labels of every third sample."""
    truth = GaussianMixture(K, random_state=0).fit_predict(X)
    return np.where(np.arange(N) % 3 == 0, truth, -1)


def test_iris_every_third_labelled():
    """mclust's value (`MclustSSC`) of VVV."""
    iris = load_iris()
    labels = np.full(150, -1)
    labels[2::3] = iris.target[2::3]
    model = GaussianMixture(3, tol=1e-9, max_iter=1000, reg_covar=0.0).fit(iris.data, labels=labels)
    np.testing.assert_allclose(150 * model.lower_bound_, -185.11577, atol=2e-5)
    assert (model.predict(iris.data) != iris.target).mean() == pytest.approx(0.02)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_are_those_of_the_naive_twin(X, y, kind, weighted):
    model = GaussianMixture(K + 1, covariance_type=kind, random_state=0, max_iter=3, tol=1e9).fit(X)
    params = model._params()
    weights = np.random.default_rng(1).uniform(0.5, 2.0, N) if weighted else None
    source = labelled(ArraySource.weighted(X, weights), y, {0: [0, 3], 1: [1], 2: [2]}, K + 1)
    got = sweep(source, params)
    log_density = naive.log_density(X, params.means, params.covariances, kind) + np.log(params.weights)
    for i, label in enumerate(y):
        if label >= 0:
            mine = [0, 3] if label == 0 else [label]
            log_density[i, [c for c in range(K + 1) if c not in mine]] = -np.inf
    total = logsumexp(log_density, axis=1)
    resp = np.exp(log_density - total[:, None]) * (1.0 if weights is None else weights[:, None] / source.weight_unit)
    counts, sums, scatter = naive.counts_sums_scatter(X, resp, params.means, kind)
    likelihood = total.sum() if weights is None else total @ weights / source.weight_unit
    np.testing.assert_allclose(got.log_likelihood, likelihood, rtol=1e-10)
    for found, expected in ((got.counts, counts), (got.sums, sums), (got.scatter, scatter)):
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-7)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "VEI"])
def test_the_likelihood_never_falls(X, y, kind):
    bounds = GaussianMixture(K, covariance_type=kind, tol=0.0, max_iter=40).fit(X, labels=y).lower_bounds_
    assert np.diff(bounds).min() > -1e-11


def test_no_label_is_the_ordinary_fit_and_all_labels_one_step(X, y):
    options = {"means_init": X[:K], "weights_init": np.full(K, 1 / K), "precisions_init": np.tile(np.eye(D), (K, 1, 1))}
    rare = np.full(N, -1)
    rare[0] = 0
    plain = GaussianMixture(K, max_iter=2, tol=0.0, **options).fit(X)
    one = GaussianMixture(K, max_iter=2, tol=0.0, **options).fit(X, labels=rare)
    np.testing.assert_allclose(plain.means_, one.means_, atol=0.2)
    truth = GaussianMixture(K, random_state=0).fit_predict(X)
    whole = GaussianMixture(K, reg_covar=0.0).fit(X, labels=truth)
    assert whole.n_iter_ == 2
    for c in range(K):
        np.testing.assert_allclose(whole.means_[c], X[truth == c].mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(whole.covariances_[c], np.cov(X[truth == c].T, bias=True), rtol=1e-10)


def test_labels_with_several_components_and_components_without_label(X, y):
    owners = {0: [0, 1], 2: [3]}
    labels = np.where(y == 1, -1, y)
    model = GaussianMixture(5, random_state=0).fit(X, labels=labels, label_components=owners)
    np.testing.assert_array_equal(model.component_labels_, [0, 0, -1, 2, -1])
    assert (model.weights_ > 0).all()
    again = GaussianMixture(5, random_state=0).fit(
        X, labels=np.where(labels == 2, 20, labels), label_components={0: [0, 1], 20: [3]}
    )
    np.testing.assert_array_equal(model.means_, again.means_)
    np.testing.assert_array_equal(again.component_labels_, [0, 0, -1, 20, -1])


def test_labels_decide_where_clusters_overlap():
    """Of two clusters on each other, which differ in size alone, labels say which is which."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(0, 1, (300, 2)), rng.normal(0, 4, (300, 2))])
    labels = np.where(np.arange(600) % 5 == 0, np.repeat([1, 0], 300), -1)
    model = GaussianMixture(2).fit(X, labels=labels)
    assert model.covariances_[1, 0, 0] < 2 < model.covariances_[0, 0, 0]


@pytest.mark.parametrize("threads", [2, 3])
def test_the_same_bits_on_any_number_of_threads(threads):
    X = blobs(6000, D, K, seed=1)
    labels = np.where(np.arange(6000) % 7 == 0, (X[:, 0] > 0).astype(int), -1)
    one, more = (
        GaussianMixture(K, n_threads=n, max_iter=5, tol=0, random_state=0).fit(X, labels=labels) for n in (1, threads)
    )
    np.testing.assert_array_equal(one.covariances_, more.covariances_)


def test_shuffled_rows_repeated_rows_and_weights(X, y):
    order = np.random.default_rng(0).permutation(N)
    options = {"tol": 1e-10, "max_iter": 500}
    plain = GaussianMixture(K, **options).fit(X, labels=y)
    shuffled = GaussianMixture(K, **options).fit(X[order], labels=y[order])
    np.testing.assert_allclose(plain.means_, shuffled.means_, rtol=1e-6)
    repeats = np.random.default_rng(1).integers(0, 3, N)
    weighted = GaussianMixture(K, **options).fit(X, sample_weight=repeats.astype(float), labels=y)
    repeated = GaussianMixture(K, **options).fit(np.repeat(X, repeats, axis=0), labels=np.repeat(y, repeats))
    np.testing.assert_allclose(weighted.means_, repeated.means_, rtol=1e-6)


def test_data_larger_than_memory(X, y, tmp_path, limits):
    path = tmp_path / "X.npy"
    np.save(path, X)
    here = GaussianMixture(K, tol=1e-9, max_iter=300).fit(X, labels=y)
    limits(loaded=64 * X.itemsize * D, block_bytes=64 * X.itemsize * D)
    there = GaussianMixture(K, tol=1e-9, max_iter=300).fit(fastgmm.chunks(path), labels=y)
    np.testing.assert_allclose(here.means_, there.means_, rtol=1e-4)


def test_files_checkpoints_float32_and_the_variational_fit(X, y, tmp_path):
    model = GaussianMixture(K).fit(X.astype(np.float32), labels=y)
    model.save(tmp_path / "m.npz")
    np.testing.assert_array_equal(load(tmp_path / "m.npz").component_labels_, [0, 1, 2])
    assert not hasattr(GaussianMixture(K).fit(X, labels=y).fit(X), "component_labels_")
    bayesian = BayesianGaussianMixture(n_components=K, max_iter=200).fit(X, labels=y)
    assert (bayesian.predict(X)[y >= 0] == y[y >= 0]).mean() > 0.9
    assert np.diff(bayesian.lower_bounds_).min() > -1e-8
    path = tmp_path / "c.npz"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fastgmm.fitting.checkpoint.Checkpoint.remove", lambda self: None)
        GaussianMixture(K).fit(X, labels=y, checkpoint=path, checkpoint_every=0)
    with pytest.raises(ValueError, match="labels"):
        GaussianMixture(K).fit(X, labels=np.where(y == 0, -1, y), checkpoint=path)


@pytest.mark.parametrize(
    ("labels", "options", "error", "match"),
    [
        (np.zeros(5, int), {}, ValueError, r"must have the shape \(400,\)"),
        (np.zeros(N), {}, ValueError, "must be integers, -1 for samples whose label is unknown"),
        (np.full(N, -1), {}, ValueError, "labels are all -1"),
        (np.full(N, -2), {}, ValueError, r"not negative, got labels\[0\] = -2"),
        (np.full(N, 3), {}, ValueError, "0 to n_components - 1 = 2, got 3"),
        (np.zeros(N, int), {"label_components": {1: [0]}}, ValueError, "holds 0, which label_components does not name"),
        (np.zeros(N, int), {"label_components": {0: [5]}}, ValueError, "name components within 0"),
        (np.zeros(N, int), {"label_components": {0: [0], 1: [0]}}, ValueError, "names a component twice"),
        (np.zeros(N, int), {"label_components": [0]}, TypeError, "must be a dictionary"),
        (None, {"label_components": {0: [0]}}, ValueError, "there are no labels"),
        (np.zeros(N, int), {"batch_size": 10}, ValueError, "labels and batch_size cannot be combined"),
    ],
)
def test_what_cannot_be_used_is_said(X, labels, options, error, match):
    with pytest.raises(error, match=match):
        GaussianMixture(K).fit(X, labels=labels, **options)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"init_params": "random"}, "init_params='random' ignores the labels"),
        ({"on_collapse": "reset"}, "on_collapse='reset' cannot be combined"),
        ({"noise": True}, "labels and noise cannot be combined"),
    ],
)
def test_arguments_that_contradict_labels(X, y, arguments, match):
    with pytest.raises(ValueError, match=match):
        GaussianMixture(K, **arguments).fit(X, labels=y)


def test_dask_has_no_labels(X, y):
    dask_array = pytest.importorskip("dask.array")
    with pytest.raises(ValueError, match="labels cannot be used if X is distributed"):
        GaussianMixture(K).fit(dask_array.from_array(X, chunks=(100, D)), labels=y)

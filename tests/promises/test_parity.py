"""Same data, same seed, same answer as scikit-learn 1.9."""

from __future__ import annotations

import itertools
import warnings

import naive
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.cluster import kmeans_plusplus as sk_plusplus
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.mixture import GaussianMixture as SkMixture

import fastgmm
from fastgmm import GaussianMixture

TYPES = ["full", "tied", "diag", "spherical"]
STARTS = ["kmeans", "k-means++", "random", "random_from_data"]


def sets(name):
    if name == "wine":
        return load_wine().data
    if name == "cancer":
        X = load_breast_cancer().data[:, :10]
        return (X - X.mean(axis=0)) / X.std(axis=0)
    table = fastgmm.datasets.load_iris() if name == "iris" else fastgmm.datasets.load_faithful()
    return table.data


def both(X, k, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = SkMixture(k, **arguments)
        labels = theirs.fit_predict(X)
        ours = GaussianMixture(k, **arguments)
        return theirs, labels, ours, ours.fit_predict(X)


# Where a component starts from a single sample, its diagonal variances are reg_covar = 1e-6 alone. scikit-learn takes
# them as E[x^2] - mean^2, which at x = 1000 has an error of 1e-10 = 1e-4 of the variance: its path differs from that of
# exact arithmetic, and fastgmm follows the latter (`test_where_the_two_differ_fastgmm_is_the_exact_one`).
CANCELLATION = {
    ("iris", 5, "diag", "k-means++", 1),
    ("iris", 5, "diag", "random_from_data", 0),
    ("wine", 2, "diag", "random_from_data", 0),
    ("wine", 5, "diag", "random_from_data", 0),
}
GRID = [
    case
    for case in itertools.product(["iris", "faithful", "wine", "cancer"], [1, 2, 3, 5], TYPES, STARTS, [0, 1])
    if case not in CANCELLATION and (case[0] != "cancer" or case[4] == 0)
]


@pytest.mark.parametrize(("name", "k", "covariance_type", "init_params", "seed"), GRID)
def test_same_labels_iterations_and_bound(name, k, covariance_type, init_params, seed):
    X = sets(name)
    theirs, expected, ours, labels = both(
        X, k, covariance_type=covariance_type, init_params=init_params, random_state=seed
    )
    assert np.array_equal(labels, expected)
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.converged_ == theirs.converged_
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-6)
    if init_params in ("kmeans", "random"):
        # from single points the first bounds are about -1e9, and scikit-learn's are off by 1e-3 of that: see CANCELLATION
        np.testing.assert_allclose(ours.lower_bounds_, theirs.lower_bounds_, rtol=1e-6)


@pytest.mark.parametrize(("name", "k", "covariance_type", "init_params", "seed"), sorted(CANCELLATION))
def test_where_the_two_differ_fastgmm_is_the_exact_one(name, k, covariance_type, init_params, seed):
    X = sets(name)
    start = GaussianMixture(
        k, covariance_type=covariance_type, init_params=init_params, random_state=seed, max_iter=0
    ).fit(X)
    theirs, _, ours, _ = both(X, k, covariance_type=covariance_type, init_params=init_params, random_state=seed)
    n_iter = min(ours.n_iter_, theirs.n_iter_)
    exact = naive.em(X, start.weights_, start.means_, start.covariances_, covariance_type, n_iter, 1e-6)[3][-1]
    ours_off, theirs_off = abs(ours.lower_bounds_[n_iter - 1] - exact), abs(theirs.lower_bounds_[n_iter - 1] - exact)
    assert ours_off < 0.1 * theirs_off


@pytest.mark.parametrize("covariance_type", TYPES)
def test_fitted_attributes(covariance_type):
    X = sets("iris")
    theirs, _, ours, _ = both(X, 3, covariance_type=covariance_type, random_state=0)
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        got, want = getattr(ours, name), getattr(theirs, name)
        assert got.shape == want.shape, name
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-8, err_msg=name)
    for method in ("score_samples", "predict_proba", "predict", "score", "bic", "aic"):
        np.testing.assert_allclose(getattr(ours, method)(X), getattr(theirs, method)(X), rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("init_params", STARTS)
def test_restarts(covariance_type, init_params):
    theirs, expected, ours, labels = both(
        sets("faithful"), 3, covariance_type=covariance_type, init_params=init_params, n_init=4, random_state=5
    )
    assert np.array_equal(labels, expected)
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-6)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_supplied_start(covariance_type):
    X = sets("iris")
    precisions = {
        "full": np.tile(np.eye(4), (3, 1, 1)),
        "tied": np.diag([1.0, 2.0, 3.0, 4.0]),
        "diag": np.ones((3, 4)),
        "spherical": np.array([1.0, 2.0, 3.0]),
    }[covariance_type]
    given = {"weights_init": [0.2, 0.3, 0.5], "means_init": X[[0, 60, 120]], "precisions_init": precisions}
    for names in (["means_init"], ["weights_init", "precisions_init"], list(given)):
        part = {name: given[name] for name in names}
        theirs, expected, ours, labels = both(X, 3, covariance_type=covariance_type, random_state=2, **part)
        assert np.array_equal(labels, expected), names
        assert ours.n_iter_ == theirs.n_iter_
        assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-6)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_warm_start(covariance_type):
    X = sets("faithful")
    arguments = {"covariance_type": covariance_type, "random_state": 0, "warm_start": True, "max_iter": 1, "tol": 1e-5}
    theirs, ours = SkMixture(3, **arguments), GaussianMixture(3, **arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(6):
            theirs.fit(X)
            ours.fit(X)
            assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-6)
    assert np.array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("covariance_type", TYPES)
def test_float32_on_small_data(covariance_type):
    X = sets("iris").astype(np.float32)
    theirs, expected, ours, labels = both(X, 3, covariance_type=covariance_type, random_state=0)
    assert np.array_equal(labels, expected)
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-3)
    assert ours.means_.dtype == ours.covariances_.dtype == ours.weights_.dtype == np.float32


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("name", "k"), [("iris", 3), ("iris", 12), ("wine", 5), ("cancer", 20), ("faithful", 40)])
def test_kmeans(name, k, seed):
    X = sets(name)
    centers, indices = fastgmm.kmeans_plusplus(X, k, random_state=seed)
    expected_centers, expected = sk_plusplus(X, k, random_state=seed)
    assert np.array_equal(indices, expected)
    assert np.array_equal(centers, expected_centers)
    theirs = KMeans(k, n_init=1, random_state=seed).fit(X)
    ours = fastgmm.kmeans(X, k, random_state=seed)
    assert np.array_equal(ours.labels, theirs.labels_)
    assert ours.n_iter == theirs.n_iter_
    assert ours.inertia == pytest.approx(theirs.inertia_, rel=1e-9)
    np.testing.assert_allclose(ours.centers, theirs.cluster_centers_, rtol=1e-9)


def test_kmeans_refills_empty_clusters_as_scikit_learn_does():
    X = sets("faithful")
    init = np.vstack([X[:3], [[1e3, 1e3], [2e3, 2e3]]])
    theirs = KMeans(5, init=init, n_init=1).fit(X)
    ours = fastgmm.kmeans(X, 5, init=init)
    assert np.array_equal(ours.labels, theirs.labels_)
    assert len(np.unique(ours.labels)) == 5


def test_kmeans_says_when_there_are_too_few_distinct_samples():
    X = np.repeat([[0.0, 0.0], [1.0, 1.0]], 5, axis=0)
    with pytest.warns(fastgmm.ConvergenceWarning, match="found 2 distinct clusters, fewer than the 3"):
        fastgmm.kmeans(X, 3, random_state=0)


def test_kmeans_matches_the_naive_loop():
    X = sets("wine")
    centers, _ = naive.kmeans_plusplus(X, 4, np.random.RandomState(3))
    labels, inertia = naive.nearest(X, fastgmm.kmeans(X, 4, random_state=3).centers)
    got = fastgmm.kmeans(X, 4, random_state=3)
    assert np.array_equal(got.labels, labels)
    assert got.inertia == pytest.approx(inertia, rel=1e-10)
    np.testing.assert_array_equal(fastgmm.kmeans_plusplus(X, 4, random_state=3)[0], centers)


def test_the_classic_example():
    table = fastgmm.datasets.load_iris()
    labels = GaussianMixture(n_components=3, random_state=0).fit(table.data).predict(table.data)
    cross = np.zeros((3, 3), int)
    np.add.at(cross, (table.target, labels), 1)
    assert sorted(cross[0]) == [0, 0, 50]
    assert sorted(cross[1]) == [0, 5, 45]
    assert sorted(cross[2]) == [0, 0, 50]
    assert np.argmax(cross[2]) == np.argsort(cross[1])[1]  # the 5 stray versicolor are with virginica


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64])
def test_samples_of_integers_are_those_of_floats(covariance_type, dtype):
    """Where scikit-learn 1.9 stores log-densities in the dtype of X, and so truncates them: the README says so."""
    rng = np.random.default_rng(0)
    pixels = np.concatenate([rng.normal(90, 30, (2000, 3)), rng.normal(150, 30, (2000, 3))]).clip(0, 255)
    X = pixels.astype(dtype)
    ours = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    theirs = SkMixture(3, covariance_type=covariance_type, random_state=0).fit(X.astype(float))
    assert ours.score(X) == ours.score(X.astype(float)) == pytest.approx(theirs.score(X.astype(float)), rel=1e-6)
    for method in ("predict", "predict_proba", "score_samples"):
        np.testing.assert_array_equal(getattr(ours, method)(X), getattr(ours, method)(X.astype(float)))
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X.astype(float)))

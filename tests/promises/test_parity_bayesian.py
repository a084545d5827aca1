"""Same data, same seed, same answer as scikit-learn 1.9, of `BayesianGaussianMixture`."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.mixture import BayesianGaussianMixture as Theirs

from fastgmm import BayesianGaussianMixture
from fastgmm.datasets import load_faithful, load_iris

TYPES = ["full", "tied", "diag", "spherical"]
STARTS = ["kmeans", "k-means++", "random", "random_from_data"]
KINDS = ["dirichlet_process", "dirichlet_distribution"]
ATTRIBUTES = (
    "weights_",
    "means_",
    "covariances_",
    "precisions_",
    "precisions_cholesky_",
    "weight_concentration_",
    "mean_precision_",
    "degrees_of_freedom_",
    "weight_concentration_prior_",
    "mean_precision_prior_",
    "mean_prior_",
    "degrees_of_freedom_prior_",
    "covariance_prior_",
)


def sets(name):
    if name == "wine":
        return load_wine().data
    if name == "cancer":
        X = load_breast_cancer().data[:, :10]
        return (X - X.mean(axis=0)) / X.std(axis=0)
    if name == "column":
        rng = np.random.default_rng(0)
        return np.concatenate([rng.normal(20, 4, 1100), rng.normal(45, 6, 1100)]).round()[:, None]  # it is gathered
    return (load_iris() if name == "iris" else load_faithful()).data


def both(X, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = Theirs(**arguments)
        labels = theirs.fit_predict(X)
        ours = BayesianGaussianMixture(**arguments)
        return theirs, labels, ours, ours.fit_predict(X)


GRID = [
    *itertools.product(["iris", "faithful"], [1, 2, 5], TYPES, STARTS, KINDS, [0, 1]),
    *itertools.product(["wine"], [2, 5], TYPES, STARTS, KINDS, [0]),
    *itertools.product(["cancer", "column"], [3, 10], TYPES, ["kmeans", "random"], KINDS, [0]),
]


@pytest.mark.parametrize(("name", "k", "covariance_type", "init_params", "kind", "seed"), GRID)
def test_same_labels_iterations_and_bound(name, k, covariance_type, init_params, kind, seed):
    theirs, expected, ours, labels = both(
        sets(name),
        n_components=k,
        covariance_type=covariance_type,
        init_params=init_params,
        weight_concentration_prior_type=kind,
        random_state=seed,
    )
    assert np.array_equal(labels, expected)
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.converged_ == theirs.converged_
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("covariance_type", TYPES)
def test_fitted_attributes_and_methods(covariance_type, kind):
    X = sets("iris")
    arguments = {"covariance_type": covariance_type, "weight_concentration_prior_type": kind, "random_state": 0}
    theirs, _, ours, _ = both(X, n_components=4, **arguments)
    for name in ATTRIBUTES:
        got, want = getattr(ours, name), getattr(theirs, name)
        assert np.shape(got) == np.shape(want), name
        assert isinstance(got, tuple) == isinstance(want, tuple), name
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-8, err_msg=name)
    # of tied covariances scikit-learn's are arrays of one number
    np.testing.assert_allclose(ours.lower_bounds_, np.ravel(theirs.lower_bounds_), rtol=1e-6)
    for method in ("score_samples", "predict_proba", "predict", "score"):
        np.testing.assert_allclose(getattr(ours, method)(X), getattr(theirs, method)(X), rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(ours._estimate_log_weights(), theirs._estimate_log_weights(), rtol=1e-6)
    np.testing.assert_allclose(ours._estimate_log_prob(X), theirs._estimate_log_prob(X), rtol=1e-6)
    for drawn, expected in zip(ours.sample(50), theirs.sample(50), strict=True):
        np.testing.assert_allclose(drawn, expected, rtol=1e-5, atol=1e-6)


PRIORS = {
    "full": np.diag([1.0, 2.0, 0.5, 3.0]) + 0.2,
    "tied": np.diag([1.0, 2.0, 0.5, 3.0]) + 0.2,
    "diag": np.array([1.0, 2.0, 0.5, 3.0]),
    "spherical": 1.5,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("covariance_type", TYPES)
def test_priors(covariance_type, kind):
    theirs, expected, ours, labels = both(
        sets("iris"),
        n_components=4,
        covariance_type=covariance_type,
        weight_concentration_prior_type=kind,
        weight_concentration_prior=0.01,
        mean_precision_prior=0.3,
        mean_prior=[5.0, 3.0, 4.0, 1.0],
        degrees_of_freedom_prior=6.5,
        covariance_prior=PRIORS[covariance_type],
        reg_covar=1e-3,
        random_state=3,
    )
    assert np.array_equal(labels, expected)
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-6)
    for name in ATTRIBUTES:
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-5, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("init_params", STARTS)
def test_restarts(covariance_type, init_params):
    theirs, expected, ours, labels = both(
        sets("faithful"),
        n_components=3,
        covariance_type=covariance_type,
        init_params=init_params,
        n_init=4,
        random_state=5,
    )
    assert np.array_equal(labels, expected)
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-6)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_warm_start(covariance_type):
    X = sets("faithful")
    arguments = {"covariance_type": covariance_type, "random_state": 0, "warm_start": True, "max_iter": 1, "tol": 1e-5}
    theirs, ours = Theirs(n_components=3, **arguments), BayesianGaussianMixture(n_components=3, **arguments)
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
    theirs, expected, ours, labels = both(X, n_components=3, covariance_type=covariance_type, random_state=0)
    assert np.mean(labels == expected) > 0.99
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-3)
    for name in ("means_", "covariances_", "weights_", "mean_precision_"):
        assert getattr(ours, name).dtype == np.float32, name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("covariance_type", TYPES)
def test_responsibilities_as_scikit_learn_s_private_method_takes_them(covariance_type, kind):
    X = sets("iris")
    resp = np.random.default_rng(0).dirichlet(np.ones(3), size=150)
    arguments = {"covariance_type": covariance_type, "weight_concentration_prior_type": kind, "n_components": 3}
    theirs, ours = Theirs(**arguments), BayesianGaussianMixture(**arguments)
    theirs._check_parameters(X)
    theirs._initialize(X, resp)
    ours._initialize(X, resp)
    for got, want in zip(ours._get_parameters(), theirs._get_parameters(), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ours.score_samples(X), theirs.score_samples(X), rtol=1e-8)


def test_its_docstring_s_example():
    X = np.array([[1, 2], [1, 4], [1, 0], [4, 2], [12, 4], [10, 7]])
    model = BayesianGaussianMixture(n_components=2, random_state=42).fit(X)
    np.testing.assert_allclose(model.means_, [[2.49, 2.29], [8.45, 4.52]], atol=1e-2)  # cut off there, not rounded
    assert model.predict([[0, 0], [9, 3]]).tolist() == [0, 1]

"""Another order of components, models of scikit-learn, and accounts of a fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import sklearn.cluster
import sklearn.mixture
from kit import blobs
from sklearn.datasets import load_iris

from fastgmm import BayesianGaussianMixture, GaussianMixture, load

K, D = 3, 2
TYPES = ["full", "tied", "diag", "spherical", "EEI", "VEV"]


@pytest.fixture(scope="module")
def X():
    return blobs(400, D, K, seed=5)


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("by", ["weight", 1, "order", "function"])
def test_all_attributes_come_in_the_new_order(X, name, by):
    model = GaussianMixture(K, covariance_type=name, random_state=0, noise=True).fit(X)
    proba, score = model.predict_proba(X), model.score(X)
    old = model.means_.copy()
    order = {
        "weight": np.argsort(-model.weights_),
        1: np.argsort(old[:, 1]),
        "order": np.array([2, 0, 1]),
        "function": np.argsort(-old[:, 0]),
    }[by]
    argument = {"order": [2, 0, 1], "function": lambda model: -model.means_[:, 0]}.get(by, by)
    assert model.sort_components(argument) is model
    np.testing.assert_array_equal(model.means_, old[order])
    np.testing.assert_allclose(model.predict_proba(X), proba[:, [*order, K]], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(model.score(X), score, rtol=1e-12)


def test_streams_labels_and_files_follow(X, tmp_path):
    one, other = (GaussianMixture(K, random_state=0) for _ in range(2))
    for model in (one, other):
        model.partial_fit(X[:200])
    other.sort_components([1, 2, 0])
    other.save(tmp_path / "m.npz")
    other = load(tmp_path / "m.npz")
    for model in (one, other):
        model.partial_fit(X[200:])
    np.testing.assert_allclose(other.means_, one.means_[[1, 2, 0]], rtol=1e-10)
    labels = np.where(np.arange(len(X)) % 2, -1, GaussianMixture(K, random_state=0).fit_predict(X))
    labelled = GaussianMixture(K).fit(X, labels=labels).sort_components([2, 1, 0])
    np.testing.assert_array_equal(labelled.component_labels_, [2, 1, 0])


@pytest.mark.parametrize("name", ["full", "tied", "diag", "spherical"])
def test_a_posterior_of_a_dirichlet_distribution_can_be_sorted(X, name):
    model = BayesianGaussianMixture(
        n_components=K, covariance_type=name, weight_concentration_prior_type="dirichlet_distribution", random_state=0
    ).fit(X)
    proba = model.predict_proba(X)
    model.sort_components([2, 0, 1])
    np.testing.assert_allclose(model.predict_proba(X), proba[:, [2, 0, 1]], rtol=1e-12)


@pytest.mark.parametrize("by", ["size", 2, -1, [0, 1], [0, 0, 1], 1.5, lambda model: [1]])
def test_orders_that_are_none_are_refused(X, by):
    model = GaussianMixture(K, random_state=0).fit(X)
    with pytest.raises(ValueError, match=r"by"):
        model.sort_components(by)


def test_features_are_known_by_name(X):
    frame = pd.DataFrame(X, columns=["length", "width"])
    model = GaussianMixture(K, random_state=0).fit(frame).sort_components("width")
    assert (np.diff(model.means_[:, 1]) > 0).all()
    with pytest.raises(ValueError, match="'length', 'width'"):
        model.sort_components("depth")


def test_an_order_that_has_a_meaning_stays(X):
    with pytest.raises(ValueError, match="depend on the order"):
        BayesianGaussianMixture(n_components=K, random_state=0).fit(X).sort_components()
    start = GaussianMixture(K, random_state=0).fit(X)
    fixed = GaussianMixture(K, means_init=start.means_, fixed={"means": [0]}).fit(X)
    with pytest.raises(ValueError, match="refers to components by index"):
        fixed.sort_components()


@pytest.mark.parametrize("name", [*TYPES, "tied-spherical"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_there_and_back(X, name, dtype):
    model = GaussianMixture(K, covariance_type=name, random_state=0, tol=1e-5, n_threads=1).fit(X.astype(dtype))
    theirs = model.to_sklearn()
    assert isinstance(theirs, sklearn.mixture.GaussianMixture)
    assert theirs.tol == 1e-5
    np.testing.assert_allclose(theirs.predict_proba(X), model.predict_proba(X), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(theirs.score(X), model.score(X), rtol=1e-5)
    again = GaussianMixture.from_sklearn(theirs)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again.lower_bounds_ == pytest.approx(model.lower_bounds_)
    again.means_[:] = 0.0
    assert not np.array_equal(again.means_, theirs.means_)


@pytest.mark.parametrize("weights", ["dirichlet_process", "dirichlet_distribution"])
@pytest.mark.parametrize("name", ["full", "tied", "diag", "spherical"])
def test_a_posterior_there_and_back(X, name, weights):
    options = {
        "n_components": K,
        "covariance_type": name,
        "weight_concentration_prior_type": weights,
        "random_state": 0,
    }
    model = BayesianGaussianMixture(**options).fit(X)
    theirs = model.to_sklearn()
    np.testing.assert_allclose(theirs.predict_proba(X), model.predict_proba(X), rtol=1e-8, atol=1e-10)
    again = BayesianGaussianMixture.from_sklearn(sklearn.mixture.BayesianGaussianMixture(**options).fit(X))
    np.testing.assert_allclose(again.predict_proba(X), model.predict_proba(X), rtol=1e-4, atol=1e-5)


def test_what_cannot_be_exchanged(X):
    with pytest.raises(ValueError, match="no noise component"):
        GaussianMixture(K, noise=True, random_state=0).fit(X).to_sklearn()
    with pytest.raises(TypeError, match=r"takes a fitted sklearn\.mixture\.GaussianMixture, got a KMeans"):
        GaussianMixture.from_sklearn(sklearn.cluster.KMeans())
    with pytest.raises(ValueError, match="is not fitted"):
        GaussianMixture.from_sklearn(sklearn.mixture.GaussianMixture())


def test_the_account_has_the_figures_of_the_model():
    iris = load_iris(as_frame=True).data
    model = GaussianMixture(3, random_state=0, tol=1e-6, max_iter=500).fit(iris)
    text = model.summary(iris)
    assert "with 3 components of 4 features" in text
    for value in (model.bic(iris), model.icl(iris), model.aic(iris), 150 * model.score(iris)):
        assert f"{value:.3f}" in text
    proba = model.predict_proba(iris)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.nansum(proba * np.log(proba))
    assert f"{entropy:.3f} (" in text
    assert f"{np.exp(np.log(proba.max(axis=1)).mean()):.4f}" in text
    for size in np.bincount(model.predict(iris)):
        assert f"  {size}\n" in text
    assert "petal width (cm)" in text
    short = model.summary()
    assert "BIC" not in short
    assert "iterations" in short


def test_the_account_of_weights_noise_many_components_and_a_posterior(X):
    weights = np.full(len(X), 2.0)
    model = GaussianMixture(K, random_state=0, noise=True).fit(X)
    text = model.summary(X, sample_weight=weights)
    assert "sum of weights  800" in text
    assert "noise" in text
    many = GaussianMixture(60, covariance_type="EII", random_state=0).fit(X)
    assert many.summary(X).count("...") >= 3
    posterior = BayesianGaussianMixture(n_components=K, random_state=0).fit(X)
    assert "BIC" not in posterior.summary(X)
    assert "entropy" in posterior.summary(X)


@pytest.mark.parametrize(("theirs", "ours"), [("tied-diagonal", "EEI"), ("tied-spherical", "EII")])
def test_names_of_scikit_learn_for_tied_types(X, theirs, ours):
    one, other = (GaussianMixture(K, covariance_type=name, random_state=0).fit(X) for name in (theirs, ours))
    np.testing.assert_array_equal(one.covariances_, other.covariances_)
    assert one.bic(X) == other.bic(X)

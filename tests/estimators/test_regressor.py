"""Regression by a mixture: against the formulas, least squares, and itself on other kinds of data."""

from __future__ import annotations

import dask.array as da
import naive
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import cross_val_score

import fastgmm
from fastgmm import GaussianMixture, GaussianMixtureRegressor
from fastgmm.model.structures import STRUCTURES


def curve(n=400, seed=0):
    """Two features, and two targets that bend with them."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-3, 3, size=(n, 2))
    y = np.column_stack([np.abs(X[:, 0]) + 0.3 * X[:, 1], np.sin(X[:, 1])]) + 0.1 * rng.normal(size=(n, 2))
    return X, y


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "VEV"])
def test_predictions_are_the_formula(covariance_type):
    X, y = curve(120)
    model = GaussianMixtureRegressor(3, covariance_type=covariance_type, random_state=0).fit(X, y)
    mixture = model.mixture_
    covariances = STRUCTURES[covariance_type].layout.matrices(mixture.covariances_, 3, 4)
    mean, variance = naive.regression(mixture.weights_, mixture.means_, covariances, [0, 1], X)
    found, std = model.predict(X, return_std=True)
    assert_allclose(found, mean, rtol=1e-9, atol=1e-12)
    assert_allclose(std, np.sqrt(variance), rtol=1e-9)
    assert_array_equal(model.predict(X), found)


def test_one_component_is_least_squares():
    X, y = curve()
    model = GaussianMixtureRegressor(reg_covar=0.0).fit(X, y[:, 0])
    expected = LinearRegression().fit(X, y[:, 0])
    assert_allclose(model.predict(X), expected.predict(X), rtol=1e-9, atol=1e-9)
    assert model.score(X, y[:, 0]) == pytest.approx(expected.score(X, y[:, 0]), rel=1e-12)
    residual = np.sqrt(np.mean((y[:, 0] - expected.predict(X)) ** 2))
    assert_allclose(model.predict(X, return_std=True)[1], residual, rtol=1e-9)


def test_more_components_bend():
    X, y = curve(2000)
    scores = [cross_val_score(GaussianMixtureRegressor(k, random_state=0), X, y[:, 0], cv=3).mean() for k in (1, 8)]
    assert scores[0] < 0.4
    assert scores[1] > 0.9


def test_the_score_is_r2():
    X, y = curve(100)
    w = np.random.default_rng(0).uniform(size=100)
    model = GaussianMixtureRegressor(2, random_state=0).fit(X, y)
    assert model.score(X, y) == pytest.approx(r2_score(y, model.predict(X)), rel=1e-12)
    assert model.score(X, y, w) == pytest.approx(r2_score(y, model.predict(X), sample_weight=w), rel=1e-12)
    constant = GaussianMixtureRegressor(prior="default").fit(X, y)
    assert constant.score(X, np.column_stack([y[:, 0], np.ones(100)])) < 1.0


def test_weights_are_repeated_rows():
    X, y = curve(60)
    w = np.random.default_rng(1).integers(0, 4, size=60)
    weighted = GaussianMixtureRegressor().fit(X, y, sample_weight=w)
    repeated = GaussianMixtureRegressor().fit(np.repeat(X, w, axis=0), np.repeat(y, w, axis=0))
    assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-9)


def test_every_kind_of_data_has_the_same_predictions(tmp_path, limits):
    X, y = curve(3000)
    model = GaussianMixtureRegressor(4, random_state=0).fit(X, y)
    expected, std = model.predict(X, return_std=True)
    np.save(tmp_path / "x.npy", X)
    lazy, lazy_std = model.predict(da.from_array(X, chunks=(1000, 2)), return_std=True)
    assert_array_equal(lazy.compute(), expected)
    assert_array_equal(lazy_std.compute(), std)
    limits(block_bytes=4096)
    for other in (tmp_path / "x.npy", fastgmm.chunks([X[:1000], X[1000:]]), np.asfortranarray(X)):
        assert_allclose(model.predict(other), expected, rtol=1e-13)
    for threads in (1, 2):
        assert_array_equal(model.set_params(n_threads=threads).predict(X), expected)


def test_float32_is_computed_in_float64():
    X, y = curve(200)
    model = GaussianMixtureRegressor(3, random_state=0).fit(X.astype(np.float32), y.astype(np.float32))
    assert model.mixture_.means_.dtype == np.float32
    assert_allclose(model.predict(X.astype(np.float32)), model.predict(X.astype(np.float32).astype(float)))
    far = np.full((1, 2), 1e18, np.float32)
    assert np.isfinite(model.predict(far)).all()


def test_from_a_mixture_by_name(tmp_path):
    X, y = curve(300)
    frame = pd.DataFrame(np.column_stack([y[:, 0], X]), columns=["price", "age", "size"])
    mixture = GaussianMixture(3, covariance_type="VVV", random_state=0).fit(frame)
    model = GaussianMixtureRegressor.from_mixture(mixture, "price")
    assert list(model.feature_names_in_) == ["age", "size"]
    assert model.covariance_type == "VVV"
    found = model.predict(frame[["age", "size"]])
    one = mixture.condition(["age", "size"], X[7])
    assert found[7] == pytest.approx(one.weights_ @ one.means_[:, 0], rel=1e-12)
    several = GaussianMixtureRegressor.from_mixture(mixture, ["price"]).predict(frame[["age", "size"]])
    assert_array_equal(several[:, 0], found)
    model.save(tmp_path / "r.npz")
    again = fastgmm.load(tmp_path / "r.npz")
    assert again.get_params() == model.get_params()
    assert_array_equal(again.predict(frame[["age", "size"]]), found)
    assert list(again.feature_names_in_) == ["age", "size"]


def test_noise_predicts_the_middle_of_its_box():
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(150, 2)), rng.uniform(-8, 8, size=(50, 2))])
    mixture = GaussianMixture(1, noise=True, random_state=0).fit(X)
    model = GaussianMixtureRegressor.from_mixture(mixture, 1)
    mean, std = model.predict([[7.9], [0.0]], return_std=True)
    noise = mixture.noise_
    assert mean[0] == pytest.approx(0.5 * (noise.low[1] + noise.high[1]), rel=1e-6)
    assert std[0] == pytest.approx((noise.high[1] - noise.low[1]) / np.sqrt(12), rel=1e-6)


def test_a_failed_fit_changes_nothing():
    X, y = curve(50)
    model = GaussianMixtureRegressor().fit(X, y)
    before = model.predict(X)
    with pytest.raises(ValueError, match="requires y to be passed"):
        model.fit(X, None)
    with pytest.raises(ValueError, match="y must have the shape"):
        model.fit(X, y[:-1])
    assert_array_equal(model.predict(X), before)

"""What theory says about any data: hypothesis picks the data."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgmm import GaussianMixture, em_step, log_prob
from fastgmm.covariance.structures import MCLUST_NAMES, STRUCTURES

LAYOUTS = st.sampled_from(["full", "tied", "diag", "spherical", *MCLUST_NAMES])
relaxed = settings(max_examples=100, deadline=None, derandomize=True)


def draw(seed, n, d, k):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 3.0 * rng.normal(size=(k, d))[rng.integers(k, size=n)]
    return X, rng


def fitted(X, k, layout, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return GaussianMixture(k, covariance_type=layout, random_state=0, **arguments).fit(X)


cases = given(
    seed=st.integers(0, 10_000), n=st.integers(40, 400), d=st.integers(1, 6), k=st.integers(1, 4), layout=LAYOUTS
)


@cases
@relaxed
def test_the_likelihood_never_falls(seed, n, d, k, layout):
    X, _ = draw(seed, n, d, k)
    bounds = fitted(X, k, layout, reg_covar=0.0 if n > 150 else 1e-9, tol=0.0, max_iter=15).lower_bounds_
    assert np.all(np.diff(bounds) >= -1e-9 * np.abs(bounds[-1]))


@cases
@relaxed
def test_shifted_data_shift_the_means_only(seed, n, d, k, layout):
    X, rng = draw(seed, n, d, k)
    shift = 100.0 * rng.normal(size=d)
    model = fitted(X, k, layout, max_iter=2, reg_covar=1e-3)
    w, m, c = model.weights_, model.means_, model.covariances_
    a, b = em_step(X, w, m, c, covariance_type=layout), em_step(X + shift, w, m + shift, c, covariance_type=layout)
    np.testing.assert_allclose(b.means, a.means + shift, rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(b.covariances, a.covariances, rtol=1e-7, atol=1e-7)
    assert b.log_likelihood == pytest.approx(a.log_likelihood, rel=1e-8)


@cases
@relaxed
def test_scaled_data_scale_the_covariances(seed, n, d, k, layout):
    X, _ = draw(seed, n, d, k)
    model = fitted(X, k, layout, max_iter=2, reg_covar=1e-3)
    w, m, c = model.weights_, model.means_, model.covariances_
    a = em_step(X, w, m, c, covariance_type=layout, reg_covar=0.0)
    b = em_step(8.0 * X, w, 8.0 * m, 64.0 * c, covariance_type=layout, reg_covar=0.0)
    np.testing.assert_allclose(b.covariances, 64.0 * a.covariances, rtol=1e-8, atol=1e-8)
    assert b.log_likelihood == pytest.approx(a.log_likelihood - n * d * np.log(8.0), rel=1e-9, abs=1e-7)


@cases
@relaxed
def test_order_of_samples_features_and_components_does_not_matter(seed, n, d, k, layout):
    X, rng = draw(seed, n, d, k)
    model = fitted(X, k, layout, max_iter=2, reg_covar=1e-3)
    w, m, c = model.weights_, model.means_, model.covariances_
    a = em_step(X, w, m, c, covariance_type=layout)
    rows = em_step(X[rng.permutation(n)], w, m, c, covariance_type=layout)
    np.testing.assert_allclose(rows.covariances, a.covariances, rtol=1e-8, atol=1e-9)
    p = rng.permutation(k)
    swapped = em_step(X, w[p], m[p], c if STRUCTURES[layout].layout == "tied" else c[p], covariance_type=layout)
    np.testing.assert_allclose(swapped.means, a.means[p], rtol=1e-9, atol=1e-9)
    f = rng.permutation(d)
    moved = {"full": lambda: c[:, f][:, :, f], "tied": lambda: c[f][:, f], "diag": lambda: c[:, f]}
    turned = em_step(X[:, f], w, m[:, f], moved.get(STRUCTURES[layout].layout, lambda: c)(), covariance_type=layout)
    np.testing.assert_allclose(turned.means, a.means[:, f], rtol=1e-8, atol=1e-8)


@cases
@relaxed
def test_doubled_data_give_the_same_step(seed, n, d, k, layout):
    X, _ = draw(seed, n, d, k)
    model = fitted(X, k, layout, max_iter=2, reg_covar=1e-3)
    w, m, c = model.weights_, model.means_, model.covariances_
    a = em_step(X, w, m, c, covariance_type=layout)
    b = em_step(np.vstack([X, X]), w, m, c, covariance_type=layout)
    np.testing.assert_allclose(b.covariances, a.covariances, rtol=1e-8, atol=1e-9)
    assert b.log_likelihood == pytest.approx(2 * a.log_likelihood, rel=1e-11)


@given(seed=st.integers(0, 1000), layout=LAYOUTS, dtype=st.sampled_from([np.float64, np.float32]))
@settings(max_examples=10, deadline=None, derandomize=True)
def test_a_fit_has_the_same_bits_on_any_number_of_threads(seed, layout, dtype):
    X, _ = draw(seed, 3000, 3, 3)
    models = [fitted(X.astype(dtype), 3, layout, n_threads=t, max_iter=20) for t in (1, 2, 3)]
    for name in ("weights_", "means_", "covariances_", "precisions_cholesky_"):
        first = getattr(models[0], name)
        assert all(np.array_equal(first, getattr(model, name)) for model in models[1:])
    assert models[0].lower_bounds_ == models[1].lower_bounds_ == models[2].lower_bounds_


@cases
@relaxed
def test_scores_are_those_of_the_parameters(seed, n, d, k, layout):
    X, _ = draw(seed, n, d, k)
    model = fitted(X, k, layout)
    values = log_prob(X, model.weights_, model.means_, model.covariances_, covariance_type=layout)
    np.testing.assert_allclose(model.score_samples(X), values, rtol=1e-8, atol=1e-8)
    assert model.score(X) >= model.lower_bound_ - 1e-6 * abs(model.lower_bound_)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0, rtol=1e-12)
    assert np.array_equal(model.predict_proba(X).argmax(axis=1), model.predict(X))

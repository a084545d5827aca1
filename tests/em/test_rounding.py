"""Where EM stops, and what it comes to, where a tolerance is below what rounding does to the bound."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest

import fastgmm
from fastgmm import GaussianMixture, chunks, em_step
from fastgmm.model.structures import MCLUST_NAMES

LAYOUTS = ["full", "tied", "diag", "spherical"]


def few_of_many_features(n=30, d=40, rank=10):
    """Samples near a plane of `rank` dimensions, fewer than features, float32."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, d)) + 0.02 * rng.normal(size=(n, d))
    return X.astype(np.float32)


def fitted(X, k=1, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("error", fastgmm.ConvergenceWarning)
        warnings.simplefilter("ignore", fastgmm.DegenerateWarning)
        return GaussianMixture(k, random_state=0, **arguments).fit(X)


@pytest.fixture(params=["compiled", "step by step"])
def loop(request, limits):
    """Both loops of EM over few samples."""
    if request.param != "compiled":
        limits(compiled_loop=False)


@pytest.mark.usefixtures("loop")
@pytest.mark.parametrize("covariance_type", [*LAYOUTS, *MCLUST_NAMES])
def test_one_component_of_fewer_samples_than_features(covariance_type):
    X = few_of_many_features()
    model, double = fitted(X, covariance_type=covariance_type), fitted(X.astype(float), covariance_type=covariance_type)
    assert model.converged_
    assert model.n_iter_ == double.n_iter_ == 2
    assert model.lower_bound_ == pytest.approx(double.lower_bound_, rel=2e-7)
    assert model.covariances_.dtype == np.float32
    np.testing.assert_allclose(model.precisions_cholesky_, double.precisions_cholesky_, rtol=2e-3, atol=2e-3)
    assert model.score(X) == pytest.approx(double.score(X), rel=1e-3)


@pytest.mark.usefixtures("loop")
@pytest.mark.parametrize("covariance_type", ["full", "tied", "VEE", "EVV"])
@pytest.mark.parametrize("weighted", [False, True])
def test_several_components(covariance_type, weighted):
    rng = np.random.default_rng(1)
    X = few_of_many_features(60)
    X[30:] += np.float32(5.0)
    w = rng.uniform(0.5, 2.0, size=60).astype(np.float32) if weighted else None
    both = []
    for data in (X, X.astype(np.float64)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fastgmm.DegenerateWarning)
            both.append(GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(data, sample_weight=w))
    single, double = both
    assert single.converged_
    assert single.n_iter_ == double.n_iter_
    assert single.lower_bound_ == pytest.approx(double.lower_bound_, rel=1e-5 if covariance_type == "tied" else 1e-9)


def test_a_step_of_few_samples_has_the_digits_of_float64():
    X = few_of_many_features()
    start = [1.0], X[:1].astype(np.float64), np.eye(40)[None]
    single, double = em_step(X, *start), em_step(X.astype(np.float64), *start)
    assert np.array_equal(single.covariances, double.covariances)


@pytest.mark.parametrize("n", [700, 5000])
@pytest.mark.parametrize("given", [lambda X: X, lambda X: chunks([X])])
@pytest.mark.parametrize(("k", "most"), [(1, 3), (3, 500)])
@pytest.mark.parametrize("tol", [1e-3, 1e-9, 1e-12])
def test_collinear_features_in_float32(n, given, k, most, tol):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3)) + 4.0 * rng.integers(3, size=(n, 1))
    X = np.hstack([x, 2.0 * x, x[:, :1] - x[:, 1:2] + 1e-3 * rng.normal(size=(n, 1))]).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error", fastgmm.ConvergenceWarning)
        model = GaussianMixture(k, random_state=0, tol=tol, max_iter=500).fit(given(X))
    assert model.converged_
    assert model.n_iter_ <= most
    assert model.lower_bound_ == pytest.approx(max(model.lower_bounds_), abs=0.1)


@pytest.mark.usefixtures("loop")
def test_one_component_from_anywhere_takes_one_step_and_one_look_more():
    """At a `tol` that no bound of so many digits can reach."""
    X = 1e4 + np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    start = {"weights_init": [1.0], "means_init": [[9e3] * 3], "precisions_init": 0.01 * np.eye(3)[None]}
    model = fitted(X.astype(np.float32), tol=1e-15, **start)
    assert model.n_iter_ == 3
    assert fitted(X.astype(np.float64), **start).n_iter_ == 3


@pytest.mark.usefixtures("loop")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_tol_of_zero_does_all_iterations(dtype):
    X = np.random.default_rng(0).normal(size=(200, 2)).astype(dtype)
    with pytest.warns(fastgmm.ConvergenceWarning, match="max_iter=40"):
        assert GaussianMixture(1, tol=0.0, max_iter=40).fit(X).n_iter_ == 40


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_loops_stop_alike(layout, dtype, iris, limits):
    def fit():
        return fitted(iris.astype(dtype), 3, covariance_type=layout, tol=1e-14, max_iter=5000)

    compiled = fit()
    limits(compiled_loop=False)
    plain = fit()
    assert compiled.converged_
    assert plain.converged_
    if dtype == np.float64:
        np.testing.assert_allclose(compiled.lower_bound_, plain.lower_bound_, rtol=1e-12)


def collinear_but_for_noise(seed):
    rng = np.random.default_rng(seed)
    x = 100.0 * rng.normal(size=(500, 3))
    return np.hstack([x, x.sum(axis=1, keepdims=True) + 1e-3 * rng.normal(size=(500, 1))])


def test_a_collapse_in_float32_says_that_float64_helps():
    # whether rounding makes the smallest eigenvalue negative depends on the seed and on the width of vectors
    for seed in range(20):
        X = collinear_but_for_noise(seed)
        try:
            GaussianMixture(1, reg_covar=1e-9).fit(X.astype(np.float32))
        except ValueError as error:
            message = str(error)
            break
    expected = r"Pass X as float64, since float32 rounds variances by about 0\.00\d+\. Of all samples feature 3"
    assert re.search(expected, message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert GaussianMixture(1, reg_covar=1e-9).fit(X).converged_
    with pytest.raises(ValueError, match="ill-defined empirical covariance") as caught:
        GaussianMixture(1, reg_covar=0.0).fit(np.hstack([X[:, :3], X[:, :3]]))
    assert "float64" not in str(caught.value)

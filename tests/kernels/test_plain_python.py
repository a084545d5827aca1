"""Every line of every kernel as plain Python, on arrays that refuse indices outside: ``.ci/jit-off``."""

from __future__ import annotations

import warnings
from contextlib import contextmanager

import numpy as np
import pytest
from conftest import random_mixture
from guarded import Guarded, guard, guarded_kernels

import fastgmm
from fastgmm import GaussianMixture, em_step, kmeans, log_density, log_prob, responsibilities, sufficient_statistics
from fastgmm._jit import JIT_DISABLED
from fastgmm.data import patterns
from fastgmm.data.distinct import gathered
from fastgmm.data.source import ArraySource
from fastgmm.em.lanes import SINGLE_LANE
from fastgmm.kernels.cholesky import factor_precisions
from fastgmm.kernels.eigen import eigen
from fastgmm.kernels.orientation import rotate
from fastgmm.model.structures import MCLUST_NAMES

DENSITIES = ["full", "tied", "diag", "spherical"]
DTYPES = [np.float64, np.float32]
plain = pytest.mark.skipif(not JIT_DISABLED, reason="needs NUMBA_DISABLE_JIT=1")


@pytest.mark.parametrize(
    "key", [-1, 3, slice(-1, None), slice(0, 4), np.array([0, -1]), np.array([3]), (0, 2), (0, -2)]
)
def test_the_guard_sees(key):
    array = guard(np.arange(6.0).reshape(3, 2))
    with pytest.raises(IndexError, match="of an axis of"):
        array[key]
    with pytest.raises(IndexError, match="of an axis of"):
        array[key] = 0.0


@pytest.mark.parametrize("key", [0, 2, slice(None), slice(0, 3), np.array([0, 2]), (2, 1), (slice(1, 2), None), ...])
def test_the_guard_lets_pass(key):
    array = np.arange(6.0).reshape(3, 2)
    assert np.array_equal(guard(array)[key], array[key])
    assert isinstance(guard(array)[1:], Guarded)


@pytest.fixture
def guarded():
    with guarded_kernels(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def draw(n, d, k, dtype, seed=0, apart=3.0):
    rng = np.random.default_rng(seed)
    groups = rng.integers(k, size=n)
    return (rng.normal(size=(n, d)) + apart * rng.normal(size=(k, d))[groups]).astype(dtype), groups, rng


@plain
@pytest.mark.parametrize(
    ("layout", "matrices", "dtype"),
    [("full", True, np.float64), ("full", False, np.float32), ("diag", True, np.float32), ("diag", False, np.float64)],
)
def test_fits_with_errors(guarded, layout, matrices, dtype):
    """One by one, on a single lane and on several, complete and with missing values; each pair of options."""
    for n, missing in ((40, 0.0), (40, 0.3), (SINGLE_LANE + 40, 0.1)):
        X, _, rng = draw(n, 2, 2, dtype)
        S = rng.uniform(0.0, 1.0, (n, 2))
        S = S[:, :, None] * np.eye(2) if matrices else S
        X[rng.uniform(size=X.shape) < missing] = np.nan
        X[np.isnan(X).all(axis=1)] = 0.0
        start = {"weights_init": [0.5, 0.5], "means_init": [[0, 0], [1, 1]]}
        start["precisions_init"] = np.ones((2, 2)) if layout == "diag" else np.tile(np.eye(2), (2, 1, 1))
        model = GaussianMixture(2, covariance_type=layout, max_iter=2, tol=0.0, missing_values="marginalize", **start)
        model.fit(X, noise_covariance=S)
        assert np.all(np.isfinite(model.lower_bounds_))
        assert np.all(np.isfinite(model.score_samples(X, S)))
        assert set(model.predict(X, S)) <= {0, 1}


@plain
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", [*DENSITIES, *MCLUST_NAMES])
def test_fits(guarded, layout, dtype):
    """On a single lane, whose loop is compiled as a whole for four structures, and on several."""
    for n, weighted in ((40, False), (40, True), (SINGLE_LANE + 70, True)):
        X, groups, rng = draw(n, 3, 2, dtype)
        model = GaussianMixture(2, covariance_type=layout, init_params=groups, reg_covar=1e-3, max_iter=3, tol=0.0)
        model.fit(X, sample_weight=rng.integers(0, 3, size=n) if weighted else None)
        assert np.all(np.isfinite(model.lower_bounds_))
        assert np.all(np.diff(model.lower_bounds_) > -1e-3)
        assert np.all(np.isfinite(model.score_samples(np.asfortranarray(X))))
        assert set(model.predict(X[::-1])) <= {0, 1}


@plain
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", DENSITIES)
@pytest.mark.parametrize("d", [1, 2, 3, 4, 7, 8, 9, 17])
def test_sweeps(guarded, layout, d, dtype):
    """All panels of factors and of products, and samples that are gathered because a component is for few."""
    for n, k, apart in ((1, 1, 0.0), (33, 2, 1.0), (300, 3, 30.0)):
        X, _, rng = draw(n, d, k, dtype, apart=apart)
        w, m, c = random_mixture(layout, k, d, spread=apart)
        by = rng.uniform(size=n) + 0.1
        step = em_step(X, w, m, c, covariance_type=layout, sample_weight=by, reg_covar=1.0)
        assert np.all(np.isfinite(step.covariances))
        each = log_prob(X, w, m, c, covariance_type=layout).astype(np.float64)
        # a sum of float32 numbers is a float64, as in compiled code
        np.testing.assert_allclose(step.log_likelihood, by @ each, rtol=3e-7 if dtype == np.float32 else 1e-13)
        plain = em_step(X, w, m, c, covariance_type=layout, reg_covar=1.0)
        np.testing.assert_allclose(plain.log_likelihood, each.sum(), rtol=3e-7 if dtype == np.float32 else 1e-13)
        np.testing.assert_allclose(responsibilities(X, w, m, c, covariance_type=layout).sum(axis=1), 1.0, rtol=1e-5)
        assert np.all(np.isfinite(log_density(X, m, c, covariance_type=layout)))
        resp = rng.uniform(size=(n, k))
        stats = sufficient_statistics(X, resp, covariance_type=layout, sample_weight=rng.integers(1, 3, size=n))
        assert np.all(np.isfinite(stats.scatter))


@plain
@pytest.mark.parametrize(("layout", "weighted"), list(zip(DENSITIES, [False, True] * 2, strict=True)))
def test_pruned_sweeps(guarded, layout, weighted):
    X, groups, rng = draw(SINGLE_LANE + 70, 3, 4, np.float64, apart=8.0)
    model = GaussianMixture(4, covariance_type=layout, init_params=groups, max_iter=4, tol=0.0, algorithm="pruned")
    model.fit(X, sample_weight=rng.integers(0, 3, size=len(X)) if weighted else None)
    assert np.all(np.diff(model.lower_bounds_) > -1e-12)


@plain
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("layout", DENSITIES)
def test_float32_is_summed_in_float64(guarded, layout, weighted):
    """Equal components: the product of 500 totals of 8 is beyond float32."""
    X = np.random.default_rng(0).normal(size=(500, 2))
    w, m, c = random_mixture(layout, 8, 2, spread=0.0)
    options = {"covariance_type": layout, "sample_weight": np.full(500, 2.0) if weighted else None}
    c = c if layout == "tied" else np.broadcast_to(c[0], c.shape)
    found = em_step(X.astype(np.float32), w, m, c, **options).log_likelihood
    np.testing.assert_allclose(found, em_step(X, w, m, c, **options).log_likelihood, rtol=3e-7)


@plain
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [1, 4, 5])
def test_k_means(guarded, d, dtype):
    for n, k, weighted in ((9, 1, False), (140, 2, True), (150, 5, False)):
        X, _, rng = draw(n, d, k, dtype)
        weights = rng.integers(0, 3, size=n) if weighted else None
        data = X if weighted else np.asfortranarray(X)
        found = kmeans(data, k, random_state=0, sample_weight=weights, max_iter=4)
        assert np.all(np.isfinite(found.centers))
        assert found.labels.min() >= 0
        assert found.labels.max() < k


@plain
def test_k_means_with_a_cluster_that_nothing_is_near(guarded):
    X, *_ = draw(60, 2, 2, np.float64)
    found = kmeans(X, 3, init=[[0.0, 0.0], [1.0, 1.0], [1e6, 1e6]], max_iter=4)
    assert sorted(set(found.labels)) == [0, 1, 2]


@plain
@pytest.mark.parametrize("layout", DENSITIES)
def test_what_is_not_positive_definite(guarded, layout):
    X = np.repeat([[0.0, 1.0], [1.0, 0.0]], 5, axis=0)
    with pytest.raises(ValueError, match="reg_covar"):
        GaussianMixture(2, covariance_type=layout, reg_covar=0.0, random_state=0).fit(X)


@plain
@pytest.mark.parametrize(
    "kind", ["kmeans", "k-means++", "random", "random_from_data", "whitened", "hierarchical", "em-em"]
)
def test_starts(guarded, kind):
    X, *_ = draw(24 if kind == "em-em" else 60, 2, 2, np.float64)
    model = GaussianMixture(2, init_params=kind, random_state=0, max_iter=2).fit(X)
    assert np.isfinite(model.lower_bound_)


@plain
def test_a_search(guarded):
    X, *_ = draw(60, 2, 2, np.float64)
    found = fastgmm.select(X, [1, 2], random_state=0, max_iter=10)
    assert np.isfinite(found.bic).any()


# --- lines that no fit on ordinary data comes to ---


def test_a_factor_that_overflows_is_no_factor():
    """R has ones on its diagonal and 1e7 above: R^T R is exact, and its inverse factor reaches 1e343."""
    r = np.eye(50) + 1e7 * np.eye(50, k=1)
    covariances = np.array([np.eye(50), r.T @ r])
    assert factor_precisions(covariances, np.zeros_like(covariances)) == 1


def test_equal_factors_leave_an_orientation_as_it_is():
    a = np.random.default_rng(0).normal(size=(2, 3, 3))
    turned, orientation = a @ np.swapaxes(a, 1, 2), np.eye(3)
    before = turned.copy()
    rotate(turned, np.ones((2, 3)), orientation, 0, 2)
    assert np.array_equal(turned, before)
    assert np.array_equal(orientation, np.eye(3))


def test_k_means_moves_samples_between_sums():
    X, *_ = draw(140, 2, 3, np.float64, apart=8.0)
    weights = np.arange(1, 141) / 70
    start = X[:3] + [[0.0, 0.0], [0.01, 0.0], [0.0, 0.01]]
    found = kmeans(X, 3, init=start, sample_weight=weights, max_iter=30)
    for c in range(3):
        own = found.labels == c
        np.testing.assert_allclose(
            found.centers[c], np.average(X[own], axis=0, weights=weights[own]), rtol=1e-6, atol=0.05
        )


@plain
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_distinct_samples(guarded, weighted, dtype):
    """With room for all, and without; -0.0 and 0.0, and a table with collisions."""
    rng = np.random.default_rng(0)
    for values in (2, 400):
        X = rng.integers(-values, values, size=(2100, 1)).astype(dtype)
        X[X == 0] *= -1.0
        source = ArraySource.weighted(X, rng.integers(1, 4, size=2100).astype(float) if weighted else None)
        found = gathered(source)
        assert (found is source) == (values == 400)
        if found is not source:
            assert np.array_equal(np.sort(found.X[:, 0]), np.unique(X))
            assert found.total_weight * found.weight_unit == source.total_weight * source.weight_unit


@plain
@pytest.mark.parametrize(("layout", "dtype"), [("full", np.float32), ("diag", np.float64)])
def test_missing_values(guarded, layout, dtype):
    """By patterns and one by one; more patterns than there is room for at first; k-means on weighted samples."""
    X, *_ = draw(90, 9, 2, dtype)
    rng = np.random.default_rng(0)
    X[rng.uniform(size=X.shape) < 0.3] = np.nan
    weights = rng.integers(1, 4, len(X))
    with limited_patterns(8):
        model = GaussianMixture(
            2, covariance_type=layout, missing_values="marginalize", max_iter=2, random_state=0, reg_covar=1e-2
        ).fit(X, sample_weight=weights)
    assert np.isfinite(model.score_samples(X)).all()
    assert np.isfinite(model.impute(X)).all()


@plain
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_follows_from_a_fit(guarded, dtype):
    """Gains of merging components, with weights and a noise component; means and variances of some features given others."""
    X, _, rng = draw(70, 3, 3, dtype)
    weights = rng.uniform(size=len(X)) + 0.1
    for options in ({}, {"noise": True}):
        model = GaussianMixture(3, max_iter=2, random_state=0, reg_covar=1e-2, **options).fit(X)
        for by in (None, weights):
            found = fastgmm.merge(model, X, sample_weight=by)
            assert np.all(np.diff(found.entropies) <= 1e-9) or np.all(np.diff(found.entropies) >= -1e-9)
    regressor = fastgmm.GaussianMixtureRegressor(2, max_iter=2, random_state=0, reg_covar=1e-2).fit(X[:, :2], X[:, 2])
    mean, deviation = regressor.predict(X[:, :2], return_std=True)
    assert np.isfinite(mean).all()
    assert (deviation > 0).all()


@plain
def test_eigenvectors_and_centres_that_move(guarded):
    """Reflections to a tridiagonal matrix, and their product; k-means that compares again what its bounds leave open."""
    for d in (1, 2, 3, 5):
        matrix = np.cov(np.random.default_rng(d).normal(size=(d, 40))).reshape(d, d)
        values, axes = np.empty(d), np.empty((d, d))
        eigen(guard(matrix), guard(values), guard(axes))
        np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix), rtol=1e-10)
    for dtype in DTYPES:
        X, *_ = draw(300, 3, 5, dtype, apart=1.0)
        centres = fastgmm.kmeans(X, 6, random_state=0, tol=0.0)[0]
        assert np.isfinite(centres).all()


@contextmanager
def limited_patterns(room):
    """Room for so many patterns at first."""
    before, patterns._ROOM = patterns._ROOM, room
    try:
        yield
    finally:
        patterns._ROOM = before

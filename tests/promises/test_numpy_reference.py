"""The benchmarks' opponent does the same work as the oracle."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from bench import numpy_reference as reference

TYPES = naive.COVARIANCE_TYPES
SWEEPS = [(covariance_type, "features") for covariance_type in TYPES] + [("full", "differences")]


def problem(covariance_type, n=300, d=3, k=4, seed=0):
    """Overlapping clusters of unequal shape, and parameters to start from."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(scale=2.0, size=(k, d)) + 5.0
    X = centers[rng.integers(k, size=n)] + rng.normal(size=(n, d)) * rng.uniform(0.5, 2.0, size=d)
    weights = rng.dirichlet(np.full(k, 5.0))
    means = centers + rng.normal(scale=0.5, size=(k, d))
    roots = rng.normal(size=(k, d, 2 * d))
    matrices = roots @ roots.transpose(0, 2, 1) / d + 0.5 * np.eye(d)
    covariances = {
        "full": matrices,
        "tied": matrices[0],
        "diag": np.einsum("kdd->kd", matrices).copy(),
        "spherical": matrices[:, 0, 0].copy(),
    }[covariance_type]
    return X, weights, means, covariances


def assert_same(result, expected, tolerance):
    for actual, desired in zip((*result[:3], result.history), expected, strict=True):
        assert actual.shape == desired.shape
        assert_allclose(actual, desired, rtol=tolerance, atol=tolerance)
    assert result.log_likelihood == result.history[-1]


@pytest.mark.parametrize(("covariance_type", "method"), SWEEPS)
@pytest.mark.parametrize(("d", "k"), [(1, 1), (1, 3), (2, 8), (6, 4), (17, 2)])
def test_em_is_the_oracles(covariance_type, method, d, k):
    X, *start = problem(covariance_type, d=d, k=k)
    result = reference.em(X, *start, covariance_type, 5, 1e-3, method=method)
    assert_same(result, naive.em(X, *start, covariance_type, 5, 1e-3), 1e-10)


@pytest.mark.parametrize(("covariance_type", "method"), SWEEPS)
@pytest.mark.parametrize("d", [3, 17])
def test_several_blocks_and_a_short_last_one(covariance_type, method, d, monkeypatch):
    monkeypatch.setattr(reference, "_block_length", lambda n, numbers_per_sample: 64)
    X, *start = problem(covariance_type, n=64 * 6 + 5, d=d, k=2)
    result = reference.em(X, *start, covariance_type, 5, method=method)
    assert_same(result, naive.em(X, *start, covariance_type, 5), 1e-10)


@pytest.mark.parametrize(("covariance_type", "method"), SWEEPS)
@pytest.mark.parametrize("rows", [64, 10_000])
def test_e_step_is_the_oracles(covariance_type, method, rows, monkeypatch):
    monkeypatch.setattr(reference, "_block_length", lambda n, numbers_per_sample: min(n, rows))
    X, *start = problem(covariance_type)
    log_prob = reference.e_step(X, *start, covariance_type, method=method)
    assert_allclose(log_prob, naive.log_prob(X, *start, covariance_type), rtol=1e-10)


@pytest.mark.parametrize(("d", "k", "method"), [(9, 2, "differences"), (8, 2, "features")])
def test_auto_is_one_of_the_two(d, k, method):
    X, *start = problem("full", d=d, k=k)
    for X_ in (X, X[:100]):
        assert_array_equal(reference.e_step(X_, *start, "full"), reference.e_step(X_, *start, "full", method=method))
    assert_array_equal(reference.em(X, *start, "full", 2)[1], reference.em(X, *start, "full", 2, method=method)[1])


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("rows", [64, 10_000])
def test_m_step_is_the_oracles(covariance_type, rows, monkeypatch):
    monkeypatch.setattr(reference, "_block_length", lambda n, numbers_per_sample: min(n, rows))
    X, *start = problem(covariance_type)
    resp = naive.responsibilities(X, *start, covariance_type)
    for actual, desired in zip(
        reference.m_step(X, resp, covariance_type, 1e-3), naive.maximise(X, resp, 1e-3, covariance_type), strict=True
    ):
        assert_allclose(actual, desired, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("covariance_type", "method"), SWEEPS)
def test_far_from_zero(covariance_type, method):
    """Both ways subtract before they square: an offset of 1e6 costs the digits that the data lost, and no more."""
    X, weights, means, covariances = problem(covariance_type)
    far = reference.em(X + 1e6, weights, means + 1e6, covariances, covariance_type, 3, method=method)
    near = reference.em((X + 1e6) - 1e6, weights, (means + 1e6) - 1e6, covariances, covariance_type, 3, method=method)
    assert_allclose(far.history, near.history, rtol=1e-9)
    assert_allclose(far.covariances, near.covariances, rtol=1e-7, atol=1e-8)


def test_differences_keep_the_digits_that_features_lose():
    """Two tight clusters far apart: what the docstring says of the two methods."""
    X, weights, means, covariances = problem("full", k=2)
    apart = np.where(np.arange(len(X)) < 150, 0.0, 1e5)[:, np.newaxis]
    X, means = X + apart, np.array([means[0], means[1] + 1e5])
    expected = naive.log_prob(X, weights, means, covariances, "full")
    careful = reference.e_step(X, weights, means, covariances, "full", method="differences")
    hasty = reference.e_step(X, weights, means, covariances, "full", method="features")
    assert_allclose(careful, expected, rtol=1e-9)
    assert_allclose(hasty, expected, atol=1e-3)
    assert np.abs(hasty - expected).max() > 100 * np.abs(careful - expected).max()


@pytest.mark.parametrize(("covariance_type", "method"), SWEEPS)
def test_float32_is_near(covariance_type, method):
    X, *start = problem(covariance_type)
    single = reference.em(X.astype(np.float32), *start, covariance_type, 3, method=method)
    double = reference.em(X, *start, covariance_type, 3, method=method)
    assert_allclose(single.history, double.history, rtol=1e-5)
    assert_allclose(single.means, double.means, rtol=1e-3)


def test_input_is_left_alone():
    X, *start = problem("full")
    copies = [np.copy(a) for a in (X, *start)]
    X.flags.writeable = False
    reference.em(np.asfortranarray(X), *start, "full", 2)
    reference.em(X, *start, "full", 2, method="differences")
    for a, b in zip((X, *start), copies, strict=True):
        assert_array_equal(a, b)


def test_a_component_without_weight_takes_nothing():
    X, _, means, covariances = problem("full", k=3)
    weights = np.array([0.0, 0.5, 0.5])
    expected = naive.log_prob(X, weights, means, covariances, "full")
    for method in reference.METHODS:
        log_prob = reference.e_step(X, weights, means, covariances, "full", method=method)
        assert_allclose(log_prob, expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"covariance_type": "banded"}, "covariance_type must be one of"),
        ({"method": "magic"}, "method must be one of"),
        ({"covariance_type": "diag", "method": "differences"}, "is for covariance_type"),
        ({"n_iter": 0}, "n_iter must be at least 1"),
    ],
)
def test_wrong_arguments(change, message):
    X, *start = problem("full")
    arguments = {"covariance_type": "full", "n_iter": 1, "method": "features", **change}
    with pytest.raises(ValueError, match=message):
        reference.em(X, *start, **arguments)

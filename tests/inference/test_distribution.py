"""The distribution function of one feature, and its inverse."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

import fastgmm
from fastgmm import GaussianMixture
from fastgmm.datasets import load_faithful


def mixture(weights, means, deviations):
    columns = np.reshape(means, (-1, 1)), np.square(deviations)
    return GaussianMixture.from_parameters(weights, *columns, covariance_type="spherical")


@pytest.fixture
def wide():
    """A narrow component far from two wide ones."""
    return mixture([0.3, 0.5, 0.2], [-3.0, 1e3, 5.0], [1.0, 1e-2, 5.0])


def test_one_component_is_scipys():
    model, q = mixture([1.0], [2.0], [3.0]), np.linspace(0.0, 1.0, 101)
    assert_allclose(fastgmm.quantile(model, q), stats.norm.ppf(q, 2.0, 3.0), rtol=1e-14, atol=1e-14)
    x = np.linspace(-40, 40, 41)
    assert_allclose(fastgmm.cdf(model, x), stats.norm.cdf(x, 2.0, 3.0), rtol=1e-13)


def test_the_distribution_is_that_of_many_digits(wide):
    with mpmath.workdps(40):
        for x in (-30.0, -3.5, 0.0, 5.0, 999.99, 1000.01):
            parts = zip((0.3, 0.5, 0.2), (-3.0, 1e3, 5.0), (1.0, 1e-2, 5.0), strict=True)
            exact = sum(mpmath.mpf(w) * mpmath.ncdf(mpmath.mpf(x), m, s) for w, m, s in parts)
            assert fastgmm.cdf(wide, x) == pytest.approx(float(exact), rel=2e-13)


@pytest.mark.parametrize("q", [1e-300, 1e-20, 1e-3, 0.2, 0.5, 0.5 + 1e-12, 0.77, 1 - 1e-12])
def test_a_quantile_is_within_a_few_roundings(wide, q):
    """What float64 knows of x: its own spacing, and where the distribution passes q give or take a rounding."""
    x = fastgmm.quantile(wide, q)
    step = 4.0 * np.spacing(abs(x))
    assert fastgmm.cdf(wide, x - step) <= q * (1 + 4e-16) <= fastgmm.cdf(wide, x + step) * (1 + 1e-12)


def test_all_at_once_are_those_one_by_one(wide, limits):
    q = np.random.default_rng(0).uniform(size=(7, 11))
    found = fastgmm.quantile(wide, q)
    assert found.shape == (7, 11)
    limits(numbers_predicted=10)
    assert_array_equal(fastgmm.quantile(wide, q), found)
    assert fastgmm.quantile(wide, float(q[2, 3])) == found[2, 3]
    order = np.argsort(q.ravel())
    assert (np.diff(found.ravel()[order]) > 0).all()


def test_a_gap_between_components():
    """Where next to no probability lies, the quantile leaps, and half is between the two."""
    model = mixture([0.5, 0.5], [-1e6, 1e6], [1.0, 1.0])
    left, right = fastgmm.quantile(model, [0.5 - 1e-9, 0.5 + 1e-9])
    assert left == pytest.approx(-1e6 + 5.6, abs=0.5)
    assert right == pytest.approx(1e6 - 5.6, abs=0.5)
    assert -1e6 < fastgmm.quantile(model, 0.5) < 1e6


def test_ends():
    model = mixture([0.5, 0.5], [0.0, 9.0], [1.0, 2.0])
    assert_array_equal(fastgmm.quantile(model, [0.0, 1.0]), [-np.inf, np.inf])
    assert_array_equal(fastgmm.cdf(model, [-np.inf, np.inf]), [0.0, 1.0])
    assert isinstance(fastgmm.cdf(model, 0.0), float)
    assert fastgmm.quantile(model, []).shape == (0,)


def test_of_a_marginal_and_of_noise():
    X = load_faithful().data
    model = GaussianMixture(2, random_state=0).fit(X)
    median = fastgmm.quantile(model.marginal(1), 0.5)
    assert median == pytest.approx(np.median(X[:, 1]), abs=2.0)
    rng = np.random.default_rng(0)
    noisy = GaussianMixture(1, noise=True, random_state=0).fit(
        np.concatenate([rng.normal(size=200), rng.uniform(-10, 10, 60)])[:, None]
    )
    q = np.linspace(0.001, 0.999, 99)
    assert_allclose(fastgmm.cdf(noisy, fastgmm.quantile(noisy, q)), q, rtol=1e-13)
    assert fastgmm.cdf(noisy, 1e6) == pytest.approx(1.0, abs=1e-15)

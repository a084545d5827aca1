"""The algebra of incomplete observations: against a loop over rows, for missing values and for errors that samples share."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from conftest import random_mixture
from numpy.testing import assert_allclose, assert_array_equal

from fastgmm.model.checks import check_parameters
from fastgmm.model.incomplete import Observation, completed, conditional, observed
from fastgmm.model.layouts import LAYOUTS
from fastgmm.model.stats import Stats

TYPES = list(LAYOUTS)


def mixture(layout, k=3, d=5, seed=0):
    weights, means, covariances = random_mixture(layout, k, d, seed)
    return check_parameters(weights, means, covariances, LAYOUTS[layout])


def swept(params, observation, Y, dtype):
    """Statistics of what is observed, by the loops of the oracle, about the rounded means."""
    part = observed(params, observation)
    resp = naive.responsibilities(Y, part.weights, part.means, part.covariances, part.layout.name)
    log_prob = naive.log_prob(Y, part.weights, part.means, part.covariances, part.layout.name)
    origin = part.means.astype(dtype).astype(np.float64)
    values = naive.counts_sums_scatter(Y, resp, origin, part.layout.name)
    return Stats(part.layout, len(Y), log_prob.sum(), *values, origin, np.dtype(dtype))


def errors_of(kind, p, rng):
    if kind == "none":
        return None
    root = rng.normal(size=(p, p))
    return np.diag(rng.uniform(0.1, 1.0, p)) if kind == "along the axes" else root @ root.T


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("errors", ["none", "along the axes", "correlated"])
@pytest.mark.parametrize("layout", TYPES)
@pytest.mark.parametrize("features", [[0, 2], [1], [0, 1, 2, 3, 4]], ids=str)
def test_completed_statistics_are_those_of_a_loop_over_rows(layout, features, errors, dtype):
    params, rng = mixture(layout), np.random.default_rng(1)
    o = np.array(features)
    noise = errors_of(errors, len(o), rng)
    Y = rng.normal(size=(7, len(o))) * 2.0
    X = np.full((7, 5), np.nan)
    X[:, o] = Y
    whole = np.zeros((7, 5, 5))
    if noise is not None:
        whole[:, o[:, None], o] = noise
    observation = Observation(o, noise)
    stats = completed(swept(params, observation, Y, dtype), params, observation)
    assert stats.layout is params.layout
    assert_array_equal(stats.origin, params.means.astype(dtype))
    arguments = (params.weights, params.means, params.covariances, layout)
    log_prob, _, counts, sums, scatter = naive.incomplete_statistics(X, *arguments, errors=whole)
    about = stats.about(params.means)
    assert_allclose(about.log_likelihood, log_prob.sum(), rtol=1e-12)
    assert_allclose(about.counts, counts, rtol=1e-12)
    assert_allclose(about.sums, sums, rtol=1e-10, atol=1e-11)
    assert_allclose(about.scatter, params.layout.of_full_scatter(scatter), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("layout", TYPES)
def test_observed_features_are_known_to_the_bit(layout):
    params = mixture(layout)
    gain, covariances = conditional(params, Observation(np.array([1, 3])))
    assert_array_equal(gain[:, [1, 3]], np.tile(np.eye(2), (3, 1, 1)))
    assert not covariances[:, [1, 3]].any()
    assert not covariances[:, :, [1, 3]].any()
    assert np.linalg.eigvalsh(covariances).min() > -1e-12


@pytest.mark.parametrize("layout", TYPES)
def test_what_is_observed_of_all_features_is_the_mixture(layout):
    params = mixture(layout)
    part = observed(params, Observation(np.arange(5)))
    alike = params.in_layout(part.layout)
    for name in ("weights", "means", "covariances"):
        assert_array_equal(getattr(part, name), getattr(alike, name))
    assert_allclose(part.prec_chol, alike.prec_chol, rtol=1e-12, atol=1e-14)
    assert_array_equal(part.log_constants(), alike.log_constants())

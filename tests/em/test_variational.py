"""Variational steps and runs: those of the oracle, and what theory says of them."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit import blobs
from numpy.testing import assert_allclose

from fastgmm.data.source import ArraySource
from fastgmm.em.accelerate import ACCELERATORS
from fastgmm.em.loop import run
from fastgmm.em.step import Collapsed
from fastgmm.em.stop import Stop
from fastgmm.em.sweep import sweep
from fastgmm.em.variational import Variational, data_moments
from fastgmm.init.groups import members, stats_of
from fastgmm.model.structures import STRUCTURES
from fastgmm.model.variational import VariationalPrior, entropy

TYPES = ["full", "tied", "diag", "spherical"]
REG = 1e-6
each_kind = pytest.mark.parametrize("process", [True, False], ids=["process", "distribution"])
each_type = pytest.mark.parametrize("covariance_type", TYPES)


def prior_of(covariance_type, d, process, seed=0):
    """A prior that is not the default in anything."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(d, 2 * d))
    matrix = root @ root.T / d
    covariance = {
        "full": matrix,
        "tied": matrix,
        "diag": np.diag(matrix).copy(),
        "spherical": np.array(np.diag(matrix).mean()),
    }
    return VariationalPrior(process, 0.3, rng.normal(size=d), 0.7, d + 0.5, covariance[covariance_type])


def begun(X, covariance_type, process, k=3, weights=None, seed=0):
    """A source, a step, and the posterior of random responsibilities, which come too."""
    source = ArraySource.weighted(X, weights)
    step = Variational(STRUCTURES[covariance_type], REG, prior_of(covariance_type, X.shape[1], process)).on(source)
    resp = np.random.default_rng(seed).dirichlet(np.ones(k), size=len(X))
    return source, step, step.maximise(stats_of(source, step.structure.layout, k, members(resp, k), None)), resp


def assert_posterior(found, expected, rtol=1e-9):
    for name in ("concentration", "mean_precision", "dof", "means", "covariances"):
        assert_allclose(getattr(found, name), expected[name], rtol=rtol, atol=1e-9, err_msg=name)


@each_kind
@each_type
@pytest.mark.parametrize("weighted", [False, True])
def test_steps_and_bounds_are_those_of_the_oracle(covariance_type, process, weighted):
    X = blobs(40, 3)
    weights = np.random.default_rng(1).uniform(0.2, 5.0, size=40) if weighted else None
    source, step, params, resp = begun(X, covariance_type, process, weights=weights)
    prior = vars(step.prior)
    assert_posterior(params, naive.posterior(X, resp, prior, REG, covariance_type, weights))
    result = run(source, params, step, Stop(0.0, 4))
    expected, bounds = naive.variational(X, resp, prior, REG, covariance_type, 4, weights)
    assert_posterior(result.params, expected, 1e-7)
    assert_allclose(result.lower_bounds, bounds, rtol=1e-10, atol=1e-9)
    assert_allclose(result.params.log_weights, naive.expected_log_weights(expected["concentration"]), rtol=1e-8)


@each_kind
@each_type
def test_constants_are_those_of_expected_log_densities(covariance_type, process):
    X = blobs(30, 4)
    _, _, params, _ = begun(X, covariance_type, process)
    parts = {name: getattr(params, name) for name in ("concentration", "mean_precision", "dof", "means", "covariances")}
    expected = naive.expected_log_density(X, parts, covariance_type)
    ordinary = naive.log_density(X, params.means, params.covariances, covariance_type)
    half_log_det = params.layout.log_det(params.prec_chol, *params.means.shape) - 2 * np.log(2 * np.pi)
    assert_allclose((expected - ordinary)[0], params.log_constants(weighted=False) - half_log_det, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@each_type
def test_the_entropy_needs_no_responsibilities(covariance_type, dtype):
    X = blobs(300, 3).astype(dtype)
    source, _, params, _ = begun(X, covariance_type, True)
    parts = {name: getattr(params, name) for name in ("concentration", "mean_precision", "dof", "means", "covariances")}
    log_prob = naive.expected_log_density(X, parts, covariance_type) + params.log_weights
    log_resp = log_prob - naive.log_sum_exp(log_prob, 1)[:, None]
    expected = -(np.exp(log_resp) * log_resp).sum()
    rtol = 1e-10 if dtype == np.float64 else 1e-4
    assert entropy(sweep(source, params), params) == pytest.approx(expected, rel=rtol)


@given(
    seed=st.integers(0, 10_000),
    covariance_type=st.sampled_from(TYPES),
    process=st.booleans(),
    n=st.integers(5, 400),
    d=st.integers(1, 5),
    k=st.integers(1, 6),
)
def test_the_bound_never_falls(seed, covariance_type, process, n, d, k):
    X = blobs(n, d, seed=seed)
    weights = np.random.default_rng(seed).uniform(0.1, 3.0, size=n) if seed % 2 else None
    source, step, params, _ = begun(X, covariance_type, process, k, weights, seed)
    bounds = run(source, params, step, Stop(0.0, 25)).lower_bounds
    assert (np.diff(bounds) > -1e-9 * (1.0 + np.abs(bounds[-1]))).all()


@each_kind
@each_type
def test_weights_are_repeated_rows(covariance_type, process):
    X, times = blobs(60, 2), np.random.default_rng(2).integers(1, 6, size=60)
    priors, results = [], []
    for data, weights in ((X, times.astype(float)), (np.repeat(X, times, axis=0), None)):
        source = ArraySource.weighted(data, weights)
        mean, covariance = data_moments(source, STRUCTURES[covariance_type].layout)
        prior = VariationalPrior(process, 0.5, mean, 1.0, 2.0, covariance)
        step = Variational(STRUCTURES[covariance_type], REG, prior).on(source)
        labels = (data[:, 0] > 0).astype(int)
        first = step.maximise(stats_of(source, step.structure.layout, 2, members(labels, 2), None))
        priors.append(prior)
        results.append(run(source, first, step, Stop(0.0, 10)))
    assert_allclose(priors[0].covariance, priors[1].covariance, rtol=1e-12)
    one, other = results
    assert_allclose(one.lower_bounds, other.lower_bounds, rtol=1e-10)
    for name in type(one.params).parts:
        assert_allclose(getattr(one.params, name), getattr(other.params, name), rtol=1e-8, atol=1e-10, err_msg=name)


@each_type
def test_the_moments_of_the_data(covariance_type):
    X = blobs(50, 3)
    mean, covariance = data_moments(ArraySource(X), STRUCTURES[covariance_type].layout)
    full = np.cov(X.T)
    expected = {"full": full, "tied": full, "diag": np.diag(full), "spherical": np.diag(full).mean()}[covariance_type]
    assert_allclose(mean, X.mean(axis=0), rtol=1e-12)
    assert covariance.shape == np.shape(expected)
    assert_allclose(covariance, expected, rtol=1e-12, atol=1e-14)


@each_type
def test_moments_of_weights_that_add_up_to_less_than_two(covariance_type):
    X = blobs(50, 3)
    source = ArraySource.weighted(X, np.linspace(1, 2, 50) / 150)
    mean, covariance = data_moments(source, STRUCTURES[covariance_type].layout)
    assert np.isfinite(mean).all()
    assert (np.atleast_1d(covariance.diagonal() if covariance.ndim == 2 else covariance) > 0).all()


@each_kind
@each_type
def test_shifted_data_have_the_shifted_posterior(covariance_type, process):
    X, shift = blobs(80, 3), np.array([100.0, -50.0, 3.0])
    fits = []
    for moved in (0.0, shift):
        source, step, _, resp = begun(X + moved, covariance_type, process)
        prior = VariationalPrior(**{**vars(step.prior), "mean": step.prior.mean + moved})
        step = Variational(step.structure, REG, prior)
        first = step.maximise(stats_of(source, step.structure.layout, 3, members(resp, 3), None))
        fits.append(run(source, first, step, Stop(0.0, 8)))
    here, there = fits
    assert_allclose(there.params.means, here.params.means + shift, rtol=1e-9)
    assert_allclose(there.params.covariances, here.params.covariances, rtol=1e-7, atol=1e-10)
    assert_allclose(there.lower_bounds, here.lower_bounds, rtol=1e-8)


@each_type
def test_components_in_another_order_are_the_same_of_a_distribution(covariance_type):
    X, order = blobs(80, 3), [2, 0, 1]
    source, step, _, resp = begun(X, covariance_type, False)
    runs = []
    for columns in ([0, 1, 2], order):
        first = step.maximise(stats_of(source, step.structure.layout, 3, members(resp[:, columns], 3), None))
        runs.append(run(source, first, step, Stop(0.0, 8)))
    assert_allclose(runs[1].lower_bounds, runs[0].lower_bounds, rtol=1e-12)
    assert_allclose(runs[1].params.means, runs[0].params.means[order], rtol=1e-8, atol=1e-10)


@each_kind
@each_type
@pytest.mark.parametrize("weighted", [False, True])
def test_a_posterior_is_that_of_the_statistics_it_expects(covariance_type, process, weighted):
    X = blobs(200, 3)
    weights = np.full(200, 0.25) * (1 + np.arange(200) % 3) if weighted else None
    source, step, params, _ = begun(X, covariance_type, process, weights=weights)
    found = run(source, params, step, Stop(0.0, 5)).params
    stats, plain = step.expected(found), Variational(step.structure, REG, step.prior)
    whole = source.total_weight * source.weight_unit
    assert stats.counts.sum() == pytest.approx(1.0)
    assert stats.n_samples == round(whole)
    again = plain.maximise(stats.times(whole))
    for name in type(found).parts:
        assert_allclose(getattr(again, name), getattr(found, name), rtol=1e-7, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("acceleration", sorted(set(ACCELERATORS)))
@each_type
def test_accelerated_runs_come_to_the_same_optimum_and_never_fall(covariance_type, acceleration):
    source, step, params, _ = begun(blobs(400, 2, seed=3), covariance_type, False)
    plain = run(source, params, step, Stop(1e-8, 5000))
    fast = run(source, params, step, Stop(1e-8, 5000), accelerator=ACCELERATORS[acceleration]())
    assert (np.diff(fast.lower_bounds) > -1e-9 * abs(plain.lower_bound)).all()
    assert fast.lower_bound == pytest.approx(plain.lower_bound, abs=1e-3) or fast.lower_bound > plain.lower_bound
    assert fast.converged


def test_a_component_without_samples_has_the_prior():
    X = blobs(50, 2)
    source, step, _, _ = begun(X, "full", True)
    resp = np.zeros((50, 3))
    resp[:, 0] = 1.0
    found = step.maximise(stats_of(source, step.structure.layout, 3, members(resp, 3), None))
    assert_allclose(found.means[1:], np.tile(step.prior.mean, (2, 1)), rtol=1e-12)
    assert_allclose(found.covariances[1:], np.tile(step.prior.covariance / step.prior.dof, (2, 1, 1)), rtol=1e-12)


@each_type
def test_a_prior_that_is_singular_is_refused_where_nothing_else_is_left(covariance_type):
    X = np.column_stack([blobs(50, 1), np.full(50, 3.0)])
    source = ArraySource(X)
    mean, covariance = data_moments(source, STRUCTURES[covariance_type].layout)
    step = Variational(STRUCTURES[covariance_type], 0.0, VariationalPrior(True, 1.0, mean, 1.0, 2.0, covariance))
    stats = stats_of(source, step.structure.layout, 2, members(np.arange(50) % 2, 2), None)
    if covariance_type == "spherical":
        assert np.isfinite(step.maximise(stats).means).all()
        return
    with pytest.raises(Collapsed, match=r"is not positive definite .* Pass covariance_prior"):
        step.maximise(stats)


@pytest.mark.parametrize("acceleration", ["squarem", "over-relaxation"])
@each_type
def test_acceleration_does_not_stop_at_components_without_samples(covariance_type, acceleration):
    """Their scatter is not regular, and does not matter."""
    X = blobs(600, 2, seed=5)
    source, step, params, _ = begun(X, covariance_type, True, k=8)
    step = Variational(step.structure, REG, VariationalPrior(**{**vars(step.prior), "concentration": 1e-3}))
    plain = run(source, params, step, Stop(1e-6, 5000))
    assert plain.params.weights.min() * 600 < 0.1
    fast = run(source, params, step, Stop(1e-6, 5000), accelerator=ACCELERATORS[acceleration]())
    assert fast.n_passes < 0.8 * plain.n_passes
    assert (np.diff(fast.lower_bounds) > -1e-8 * abs(fast.lower_bound)).all()

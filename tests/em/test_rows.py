"""Sweeps over samples one by one, each with errors of its own and with missing features, against loops over rows."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastgmm.data.noisy import NoisySource
from fastgmm.data.source import ArraySource
from fastgmm.em import evaluate, rows
from fastgmm.em.sweep import sweep
from fastgmm.model.layouts import LAYOUTS
from fastgmm.model.noise import Noise
from fastgmm.model.params import Params

KINDS = ["none", "variances", "matrices"]


def mixture(layout, d, k=3, seed=1, noise=None):
    rng = np.random.RandomState(seed)
    A = rng.standard_normal((k, d, d))
    full = A @ np.swapaxes(A, 1, 2) + 0.1 * np.eye(d)
    covariances = LAYOUTS[layout].of_matrices(full)
    weights = rng.dirichlet(np.ones(k)) * (1.0 if noise is None else 1.0 - noise.weight)
    factor = LAYOUTS[layout].precision_cholesky(covariances)
    return Params(LAYOUTS[layout], weights, rng.standard_normal((k, d)), covariances, factor, noise)


def noisy(n, d, kind, share_missing=0.0, seed=0, dtype=np.float64):
    """Return samples, the covariances of their errors (n, d, d), and the same as a source."""
    rng = np.random.RandomState(seed)
    X = 2.0 * rng.standard_normal((n, d))
    A = rng.standard_normal((n, d, d)) * rng.uniform(0.0, 1.0, (n, 1, 1))
    S = A @ np.swapaxes(A, 1, 2) * {"none": 0.0, "variances": np.eye(d), "matrices": 1.0}[kind]
    X[rng.uniform(size=(n, d)) < share_missing] = np.nan
    X, S = X.astype(dtype), S.astype(dtype)
    columns = {"none": S[:, 0, :0], "variances": np.diagonal(S, axis1=1, axis2=2), "matrices": S.reshape(n, d * d)}
    return X, S, NoisySource(ArraySource(X), columns[kind])


@pytest.mark.parametrize("layout", list(LAYOUTS))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("d", "missing"), [(1, 0.0), (2, 0.0), (3, 0.0), (4, 0.0), (5, 0.0), (3, 0.4), (6, 0.3)])
def test_a_sweep_is_the_loop_over_rows(layout, kind, d, missing):
    X, S, source = noisy(45, d, kind, missing)
    params = mixture(layout, d)
    stats = rows.swept(source, params=params)
    log_prob, resp, counts, sums, scatter = naive.incomplete_statistics(
        X, params.weights, params.means, params.covariances, layout, S
    )
    assert_allclose(stats.log_likelihood, log_prob.sum(), rtol=1e-12)
    assert_allclose(stats.counts, counts, rtol=1e-11)
    assert_allclose(stats.sums, sums, rtol=1e-9, atol=1e-11)
    assert_allclose(stats.scatter, params.layout.of_full_scatter(scatter), rtol=1e-9, atol=1e-10)
    assert_array_equal(stats.origin, params.means)
    assert_allclose(evaluate.log_prob(source, params), log_prob, rtol=1e-11, atol=1e-12)
    assert_allclose(evaluate.responsibilities(source, params), resp, rtol=1e-9, atol=1e-14)
    assert_array_equal(evaluate.labels(source, params), resp.argmax(axis=1))
    assert_allclose(evaluate.log_likelihood(source, params), log_prob.sum(), rtol=1e-12)
    classified = evaluate.classified(source, params)
    assert_allclose(classified.log_likelihood, log_prob.sum(), rtol=1e-12)
    assert_allclose(classified.classification, np.log(resp.max(axis=1)).sum(), rtol=1e-9)
    density = evaluate.log_density(source, params) + np.log(params.weights)
    assert_allclose(np.logaddexp.reduce(density, axis=1), log_prob, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("layout", ["full", "diag"])
@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_noise_and_weights(layout, missing):
    d, n = 3, 40
    X, S, source = noisy(n, d, "variances", missing)
    box = Noise(0.2, np.eye(d), np.array([-3.0, -4.0, -2.0]), np.array([3.0, 2.0, 7.0]))
    params = mixture(layout, d, noise=box)
    weights = np.random.RandomState(3).uniform(0.5, 1.0, n)
    source = NoisySource(ArraySource(X, weights), source.noise)
    stats = sweep(source, params)
    log_prob, resp, counts, sums, scatter = naive.incomplete_statistics(
        X, params.weights, params.means, params.covariances, layout, S, weights, (box.weight, box.high - box.low)
    )
    some = ~np.isnan(X).all(axis=1)
    assert_allclose(stats.log_likelihood, weights @ log_prob, rtol=1e-12)
    assert_allclose(stats.counts, counts, rtol=1e-11)
    assert_allclose(stats.noise, (weights * some) @ resp[:, -1], rtol=1e-11)
    assert_allclose(stats.sums, sums, rtol=1e-9, atol=1e-12)
    assert_allclose(stats.scatter, params.layout.of_full_scatter(scatter), rtol=1e-9)
    assert_allclose(evaluate.responsibilities(source, params), resp, rtol=1e-9)


@pytest.mark.parametrize("layout", ["full", "diag"])
def test_errors_of_zero_give_the_ordinary_sweep(layout):
    X, _, _ = noisy(5000, 3, "none")
    params = mixture(layout, 3)
    ordinary = sweep(ArraySource(X), params)
    for columns in (3, 9):
        stats = sweep(NoisySource(ArraySource(X), np.zeros((5000, columns))), params)
        for name in ("log_likelihood", "counts", "sums", "scatter"):
            assert_allclose(getattr(stats, name), getattr(ordinary, name), rtol=1e-10, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("layout", ["full", "tied", "spherical"])
@pytest.mark.parametrize("kind", ["variances", "matrices"])
def test_shared_errors_are_those_of_each_sample(layout, kind):
    X, _, source = noisy(300, 3, kind)
    params = mixture(layout, 3)
    shared = NoisySource(ArraySource(X), source.noise[7:8])
    each = NoisySource(ArraySource(X), np.repeat(source.noise[7:8], 300, axis=0))
    assert rows.shared_noise(shared) is not None
    one, other = sweep(shared, params), sweep(each, params)
    for name in ("log_likelihood", "counts", "sums", "scatter"):
        assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-10, atol=1e-10, err_msg=name)
    assert_allclose(evaluate.log_prob(shared, params), evaluate.log_prob(each, params), rtol=1e-12)
    assert_allclose(rows.swept(shared, params=params).scatter, other.scatter, rtol=1e-12)


def test_narrow_components_keep_their_digits():
    """A component that is 1e5 times as narrow in one direction, aslant: T is as badly conditioned as V."""
    rng = np.random.RandomState(0)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    V = turn @ np.diag([1.0, 1e-2, 1e-10]) @ turn.T
    X = rng.multivariate_normal(np.zeros(3), V, size=400)
    full = LAYOUTS["full"]
    params = Params(full, np.ones(1), np.zeros((1, 3)), V[None], full.precision_cholesky(V[None]))
    stats = sweep(NoisySource(ArraySource(X), np.zeros((400, 9))), params)
    along = turn[:, 2] @ stats.scatter[0] @ turn[:, 2]
    assert_allclose(along, ((X @ turn[:, 2]) ** 2).sum(), rtol=1e-5)


def test_errors_without_bounds():
    """An error of 1e100 is as good as a missing value, and one sample that has it does not spoil the others."""
    X, S, _ = noisy(40, 3, "matrices")
    S[5] = np.diag([0.1, 1e100, 1e100])
    S[7] = np.diag([1e150, 1e150, 1e150])
    params = mixture("full", 3)
    stats = sweep(NoisySource(ArraySource(X), S.reshape(40, 9)), params)
    expected = naive.incomplete_statistics(X, params.weights, params.means, params.covariances, "full", S)
    assert_allclose(stats.log_likelihood, expected[0].sum(), rtol=1e-12)
    assert_allclose(stats.scatter, expected[4], rtol=1e-9, atol=1e-10)
    hidden = X.copy()
    hidden[5, 1:], hidden[7] = np.nan, np.nan
    as_missing = sweep(NoisySource(ArraySource(hidden, incomplete=True), S.reshape(40, 9)), params)
    # what is missing has no density, and a sample without values counts for nothing
    assert_allclose(stats.counts.sum(), as_missing.counts.sum() + 1.0, rtol=1e-12)
    assert_allclose(as_missing.log_likelihood, np.delete(expected[0], [5, 7]).sum() + _first(X[5], params), rtol=1e-12)


def _first(x, params):
    """Return the log-density of the first feature, with an error of variance 0.1."""
    variances = params.covariances[:, 0, 0] + 0.1
    each = -0.5 * (np.log(2 * np.pi * variances) + (x[0] - params.means[:, 0]) ** 2 / variances)
    return np.log(params.weights @ np.exp(each))


@pytest.mark.parametrize("kind", ["variances", "matrices"])
@pytest.mark.parametrize("layout", ["full", "diag"])
def test_same_bits_for_any_number_of_threads_and_parts_add_up(layout, kind):
    X, _, source = noisy(5000, 2, kind, 0.1)
    params = mixture(layout, 2)
    one = sweep(source, params, 1)
    for n_threads in (2, 3):
        other = sweep(source, params, n_threads)
        for name in ("log_likelihood", "counts", "sums", "scatter"):
            assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
        assert_array_equal(
            evaluate.log_prob(source, params, 1), evaluate.log_prob(source, params, n_threads), err_msg="log_prob"
        )
    parts = [NoisySource(ArraySource(X[part]), source.noise[part]) for part in (slice(0, 1700), slice(1700, None))]
    whole = sweep(parts[0], params).merge(sweep(parts[1], params))
    assert_allclose(whole.scatter, one.scatter, rtol=1e-11)
    assert_allclose(whole.log_likelihood, one.log_likelihood, rtol=1e-12)


def test_float32_and_other_orders_of_memory():
    X, S, source = noisy(2000, 3, "matrices", dtype=np.float32)
    params = mixture("full", 3)
    single = sweep(source, params)
    double = sweep(NoisySource(ArraySource(X.astype(np.float64)), S.astype(np.float64).reshape(-1, 9)), params)
    assert single.dtype == np.float32
    assert_allclose(single.scatter, double.scatter, rtol=1e-12)  # computed in float64 from float32
    assert evaluate.log_prob(source, params).dtype == np.float32
    turned = NoisySource(ArraySource(np.asfortranarray(X)), np.asfortranarray(source.noise))
    assert_array_equal(sweep(turned, params).scatter, single.scatter)


def test_blocks_and_features(limits):
    X, S, source = noisy(3000, 3, "matrices")
    params = mixture("full", 3)
    whole = sweep(source, params)
    limits(block_bytes=1 << 14)
    assert_allclose(sweep(source, params).scatter, whole.scatter, rtol=1e-11)
    kept = np.array([0, 2])
    part = source.of_features(kept)
    assert_array_equal(part.noise.reshape(-1, 2, 2), S[:, kept[:, None], kept])
    assert part.n_features == 2
    variances = NoisySource(ArraySource(X), S[:, np.arange(3), np.arange(3)]).of_features(kept)
    assert_array_equal(variances.noise, S[:, kept, kept])

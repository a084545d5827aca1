"""Online EM: partial_fit and fit(batch_size=...)."""

from __future__ import annotations

import copy
import json
import math
import pickle
import warnings

import naive
import numpy as np
import pandas as pd
import pytest
from conftest import random_mixture
from sklearn.base import clone

import fastgmm
from fastgmm import GaussianMixture, chunks, em_step, sufficient_statistics
from fastgmm.data.source import ArraySource
from fastgmm.data.stream import StreamSource
from fastgmm.datasets import make_mixture
from fastgmm.em import sweep
from fastgmm.em.online import Averages, Online, averages_of, batches, blend
from fastgmm.em.step import MaximumLikelihood
from fastgmm.model.structures import STRUCTURES

LAYOUTS = ["full", "tied", "diag", "spherical"]
ARRAYS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*did not converge")
        yield


def data(n=3000, d=3, k=3, seed=0, dtype=np.float64):
    return make_mixture(n, d, k, separation=5.0, random_state=seed, dtype=dtype).X


def known(layout="full", k=3, d=3, **arguments):
    return GaussianMixture.from_parameters(*random_mixture(layout, k, d), covariance_type=layout).set_params(
        **arguments
    )


def stream(model, X, batch_size, sample_weight=None):
    for start in range(0, len(X), batch_size):
        rows = slice(start, start + batch_size)
        model.partial_fit(X[rows], sample_weight=None if sample_weight is None else sample_weight[rows])
    return model


def assert_same_bits(a, b):
    for name in ARRAYS:
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert a.lower_bounds_ == b.lower_bounds_
    assert a.lower_bound_ == b.lower_bound_


def assert_close(a, b, rtol):
    for name in ARRAYS[:3]:
        want = getattr(b, name)
        np.testing.assert_allclose(getattr(a, name), want, rtol=rtol, atol=rtol * np.abs(want).max(), err_msg=name)


# --- statistics about another origin ---


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("d", [1, 4])
def test_statistics_about_another_origin(layout, d):
    rng = np.random.default_rng(1)
    X, resp = rng.normal(size=(60, d)) + 3.0, rng.uniform(size=(60, 3))
    old, new = rng.normal(size=(3, d)), rng.normal(size=(3, d)) + 3.0
    moved = sufficient_statistics(X, resp, origin=old, covariance_type=layout).about(new)
    counts, sums, scatter = naive.counts_sums_scatter(X, resp, new, layout)
    np.testing.assert_allclose(moved.counts, counts, rtol=1e-13)
    np.testing.assert_allclose(moved.sums, sums, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(moved.scatter, scatter, rtol=1e-12, atol=1e-12)
    assert np.array_equal(moved.origin, new)
    assert (moved.layout.name, moved.n_samples) == (layout, 60)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_moving_the_origin_keeps_digits_far_from_zero(layout):
    rng = np.random.default_rng(2)
    X, resp = 1e6 + rng.normal(size=(50, 2)), rng.uniform(size=(50, 2))
    old, new = X[:2].copy(), X[2:4].copy()
    moved = sufficient_statistics(X, resp, origin=old, covariance_type=layout).about(new)
    np.testing.assert_allclose(moved.scatter, naive.counts_sums_scatter(X, resp, new, layout)[2], rtol=1e-9, atol=1e-9)


def test_an_origin_of_another_shape():
    stats = sufficient_statistics(np.eye(3), np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"the origin must have the shape \(2, 3\), \(k, d\), got \(3,\)"):
        stats.about(np.zeros(3))


# --- single steps ---


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("d", [1, 3])
def test_with_step_size_one_a_step_is_one_of_em(layout, d):
    X = data(d=d)
    model = known(layout, d=d, learning_offset=0.0)
    step = em_step(X, model.weights_, model.means_, model.covariances_, covariance_type=layout)
    before = model.score(X)
    model.partial_fit(X)
    np.testing.assert_allclose(model.weights_, step.weights, rtol=1e-12)
    np.testing.assert_allclose(model.means_, step.means, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(model.covariances_, step.covariances, rtol=1e-11, atol=1e-12)
    assert model.lower_bound_ == pytest.approx(before, rel=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_step_is_that_of_the_paper(layout):
    """Two batches, gamma written out, statistics about zero by the oracle."""
    X, reg = data(1200), 1e-3
    model = known(layout, learning_decay=0.8, learning_offset=2.0, reg_covar=reg)
    weights, means, covariances = model.weights_, model.means_, model.covariances_
    zero = np.zeros_like(means)
    full = naive.expand(covariances, layout, 3, 3) - reg * np.eye(3)
    counts, sums = weights.copy(), weights[:, None] * means
    second = weights[:, None, None] * (full + means[:, :, None] * means[:, None, :])
    for t, rows in ((1, slice(0, 400)), (2, slice(400, 1200))):
        share = 1.0 if t == 1 else 800 / 600
        gamma = share * (t + 2.0) ** -0.8
        resp = naive.responsibilities(X[rows], weights, means, covariances, layout)
        n, s, S = (a / len(resp) for a in naive.counts_sums_scatter(X[rows], resp, zero, "full"))
        counts, sums, second = ((1 - gamma) * a + gamma * b for a, b in ((counts, n), (sums, s), (second, S)))
        weights, means = counts, sums / counts[:, None]
        full = second / counts[:, None, None] - means[:, :, None] * means[:, None, :]
        covariances = {
            "full": full + reg * np.eye(3),
            "tied": np.einsum("k,kij->ij", counts, full) + reg * np.eye(3),
            "diag": np.einsum("kii->ki", full) + reg,
            "spherical": np.einsum("kii->k", full) / 3 + reg,
        }[layout]
        model.partial_fit(X[rows])
    np.testing.assert_allclose(model.weights_, weights, rtol=1e-9)
    np.testing.assert_allclose(model.means_, means, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(model.covariances_, covariances, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_model_continues_from_averages_that_give_its_parameters(layout):
    params = known(layout)._params()
    step = MaximumLikelihood(STRUCTURES[layout], 1e-3)
    again = step.maximise(averages_of(params, step).stats)
    np.testing.assert_allclose(again.weights, params.weights, rtol=1e-12)
    np.testing.assert_allclose(again.means, params.means, rtol=1e-12)
    np.testing.assert_allclose(again.covariances, params.covariances, rtol=1e-12, atol=1e-12)


def steps(decay=0.6, offset=1.0, memory=1.0):
    return Online(MaximumLikelihood(STRUCTURES["diag"], 1e-6), decay, offset, memory)


def test_step_sizes():
    stats = averages_of(known("diag")._params(), MaximumLikelihood(STRUCTURES["diag"], 0.0)).stats
    assert steps().gamma(Averages(stats, 3, 300.0, True), 100.0, 100) == pytest.approx(5**-0.6)
    # a batch that weighs half as much as the mean of all
    assert steps().gamma(Averages(stats, 3, 350.0, True), 50.0, 100) == pytest.approx(0.5 * 5**-0.6)
    # the scale of weights does not matter
    assert steps().gamma(Averages(stats, 3, 3e-20, True), 1e-20, 100) == pytest.approx(5**-0.6)
    # averages of everything
    assert steps(1.0, 0.0).gamma(Averages(stats, 7, 900.0, True), 100.0, 100) == pytest.approx(0.1)
    # few samples against the memory
    assert steps(memory=400.0).gamma(Averages(stats, 3, 3.0, True), 1.0, 1) == 1 / 400
    assert steps(memory=400.0).gamma(Averages(None, 3, 3.0), 1.0, 1) == 1 / 4
    # never more than all
    assert steps().gamma(Averages(stats, 300, 300.0, True), 1e6, 100) == 1.0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_with_decay_one_all_batches_weigh_alike(layout):
    """Statistics under fixed parameters, however they are cut, are those of all samples."""
    X, model = data(1000), known(layout)
    params = model._params()

    stats, averages, learning = None, Averages(ready=True), steps(1.0, 0.0)
    for rows in (slice(0, 10), slice(10, 700), slice(700, 1000)):
        batch = ArraySource(X[rows])
        found = sweep.sweep(batch, params)
        n = float(batch.n_samples)
        stats = blend(stats, found, n, learning.gamma(averages, n, batch.n_samples))
        averages = Averages(stats, averages.n_steps + 1, averages.weight + n, True)
    expected = sweep.sweep(ArraySource(X), params).times(1 / 1000)
    for name in ("counts", "sums", "scatter", "log_likelihood"):
        want = getattr(expected, name)
        np.testing.assert_allclose(
            getattr(stats, name), want, rtol=1e-11, atol=1e-12 * np.abs(want).max(), err_msg=name
        )
    assert stats.n_samples == 1000


# --- partial_fit ---


@pytest.mark.parametrize("layout", LAYOUTS)
def test_after_one_pass_the_likelihood_is_near_that_of_em(layout):
    X = data(40_000, 4, 5, seed=3)
    start = GaussianMixture(5, covariance_type=layout, max_iter=0, random_state=0).fit(X[:1000])
    given = {"weights_init": start.weights_, "means_init": start.means_, "precisions_init": start.precisions_}
    em = GaussianMixture(5, covariance_type=layout, tol=1e-6, max_iter=200, **given).fit(X)
    model = stream(GaussianMixture(5, covariance_type=layout, **given), X, 1000)
    best = em.score(X)
    assert model.score(X) > best - 0.01 * abs(best)
    assert model.n_iter_ == len(model.lower_bounds_) == 40
    assert model.score(X) > start.score(X)


def test_what_is_fitted_after_each_call():
    X = data()
    model = GaussianMixture(3, random_state=0)
    assert model.partial_fit(X[:1000]) is model
    for t, rows in ((2, slice(1000, 2000)), (3, slice(2000, 3000))):
        before = model.score(X[rows])
        model.partial_fit(X[rows])
        assert model.lower_bound_ == pytest.approx(before, rel=1e-12)
        assert model.lower_bounds_[-1] == model.lower_bound_
        assert (model.n_iter_, len(model.lower_bounds_), model.converged_, model.n_features_in_) == (t, t, False, 3)
        assert model.weights_.sum() == pytest.approx(1.0, rel=1e-12)
        chol = model.precisions_cholesky_
        np.testing.assert_allclose(chol @ np.swapaxes(chol, 1, 2), model.precisions_, rtol=1e-10)
        np.testing.assert_allclose(model.precisions_ @ model.covariances_, np.tile(np.eye(3), (3, 1, 1)), atol=1e-9)
    assert model.predict(X).shape == (3000,)
    assert model.sample(5)[0].shape == (5, 3)


@pytest.mark.parametrize("init", ["kmeans", "k-means++", "random", "random_from_data"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_first_call_is_a_start_and_a_step_of_em(layout, init):
    X = data(1000)
    arguments = {"covariance_type": layout, "init_params": init, "random_state": 0}
    first = GaussianMixture(3, **arguments).partial_fit(X)
    fit = GaussianMixture(3, max_iter=1, **arguments).fit(X)
    assert_close(first, fit, rtol=1e-9)
    # the weights of points are 1 / n each in fit
    total = {"kmeans": 1.0, "random": 1.0}.get(init, 3 / 1000)
    assert first.lower_bound_ == pytest.approx(fit.lower_bound_ - math.log(total), rel=1e-9)
    few = GaussianMixture(3, **arguments).partial_fit(X[:5])
    assert few.weights_.sum() == pytest.approx(1.0, rel=1e-12)


def test_parameters_of_the_start_stay_until_there_are_enough_samples():
    X = data()
    memory = 20 * STRUCTURES["full"].n_parameters(3, 3) / 3  # 193.3
    model = GaussianMixture(3, random_state=0).partial_fit(X[:60])
    start = copy.deepcopy(model)
    assert_close(start, GaussianMixture(3, random_state=0, max_iter=0).fit(X[:60]), rtol=1e-12)
    stream(model, X[60:193], 10)
    assert np.array_equal(model.means_, start.means_)
    assert np.array_equal(model.covariances_, start.covariances_)
    assert model.n_iter_ == 15
    assert 193 < memory < 194
    model.partial_fit(X[193:194])
    # one iteration of EM on what was gathered
    step = em_step(X[:194], start.weights_, start.means_, start.covariances_)
    np.testing.assert_allclose(model.means_, step.means, rtol=1e-11)
    np.testing.assert_allclose(model.covariances_, step.covariances, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_single_samples(layout):
    """No component collapses, however small the batches."""
    X = data(1500)
    model = stream(GaussianMixture(3, covariance_type=layout, random_state=0).partial_fit(X[:100]), X[100:], 1)
    best = GaussianMixture(3, covariance_type=layout, random_state=0).fit(X).score(X)
    assert model.score(X) > best - 0.03 * abs(best)
    assert model.n_iter_ == 1401


def test_a_single_sample_moves_a_fitted_model_little():
    X = data()
    model = GaussianMixture(3, random_state=0).fit(X)
    before = copy.deepcopy(model)
    model.partial_fit(X[:1] + 3.0)
    assert np.abs(model.means_ - before.means_).max() < 0.1
    assert not np.array_equal(model.means_, before.means_)
    assert model.score(X) > before.score(X) - 0.01


@pytest.mark.parametrize("layout", LAYOUTS)
def test_integer_weights_are_repeated_rows(layout):
    X = data()
    w = np.random.default_rng(0).integers(1, 4, size=len(X))
    weighted, repeated = known(layout), known(layout)
    for a, b in ((0, 1000), (1000, 1500), (1500, 3000)):
        weighted.partial_fit(X[a:b], sample_weight=w[a:b])
        repeated.partial_fit(np.repeat(X[a:b], w[a:b], axis=0))
    assert_close(weighted, repeated, rtol=1e-9)
    np.testing.assert_allclose(weighted.lower_bounds_, repeated.lower_bounds_, rtol=1e-11)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("scale", [2.0**-40, 1e-30, 3.7, 1e12])
def test_the_scale_of_all_weights_does_not_matter(layout, scale):
    X = data()
    w = np.random.default_rng(0).uniform(0.1, 1.0, size=len(X))
    a, b = stream(known(layout), X, 900, scale * w), stream(known(layout), X, 900, w)
    assert_close(a, b, rtol=1e-10)
    assert_close(stream(known(layout), X, 900, np.full(len(X), scale)), stream(known(layout), X, 900), rtol=1e-10)


def test_weights_of_one_batch_against_those_of_another_do_matter():
    X = data()
    light, plain = known().partial_fit(X[:1000]), known().partial_fit(X[:1000])
    before = plain.means_.copy()
    light.partial_fit(X[1000:2000], sample_weight=np.full(1000, 1e-3))
    plain.partial_fit(X[1000:2000])
    # 2 w / (1000 + w) of the step
    assert np.abs(light.means_ - before).max() < 0.01 * np.abs(plain.means_ - before).max()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_sample_of_weight_zero_is_absent_to_the_bit(layout):
    X = data()
    w = np.random.default_rng(0).uniform(size=len(X)) * (np.arange(len(X)) % 3 > 0)
    a, b = known(layout), known(layout)
    for rows in (slice(0, 1500), slice(1500, 3000)):
        a.partial_fit(X[rows], sample_weight=w[rows])
        b.partial_fit(X[rows][w[rows] > 0], sample_weight=w[rows][w[rows] > 0])
    assert_same_bits(a, b)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_bits_on_any_number_of_threads(layout):
    X = data(9000)
    one, two, three = (
        stream(GaussianMixture(3, covariance_type=layout, random_state=0, n_threads=n), X, 4000) for n in (1, 2, 3)
    )
    assert_same_bits(one, two)
    assert_same_bits(one, three)
    one, two = (
        GaussianMixture(3, covariance_type=layout, random_state=0, n_threads=n, max_iter=2).fit(X, batch_size=4000)
        for n in (1, 2)
    )
    assert_same_bits(one, two)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_float32(layout):
    X = data()
    single = stream(known(layout), X.astype(np.float32), 500)
    assert all(getattr(single, name).dtype == np.float32 for name in ARRAYS)
    assert_close(single, stream(known(layout), X, 500), rtol=1e-3)


def test_float32_far_from_zero():
    X = (data() + 3000.0).astype(np.float32)
    model = stream(GaussianMixture(3, random_state=0), X, 500)
    assert_close(model, stream(GaussianMixture(3, random_state=0), X.astype(np.float64), 500), rtol=5e-3)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_far_from_zero_no_digits_are_lost(layout):
    X = data()
    near = stream(GaussianMixture(3, covariance_type=layout, random_state=0), X, 500)
    far = stream(GaussianMixture(3, covariance_type=layout, random_state=0), X + 1e6, 500)
    np.testing.assert_allclose(far.means_ - 1e6, near.means_, atol=1e-6)
    np.testing.assert_allclose(far.covariances_, near.covariances_, atol=1e-6)


def test_other_batches_than_arrays_in_c_order(tmp_path):
    X = data(2000)
    expected = stream(GaussianMixture(3, random_state=0), X, 1000)
    np.save(tmp_path / "b.npy", X[1000:])
    first, second = np.asfortranarray(X[:1000]), tmp_path / "b.npy"
    assert_same_bits(GaussianMixture(3, random_state=0).partial_fit(first).partial_fit(second), expected)
    parts = chunks([X[1000:1300], X[1300:]])
    assert_same_bits(GaussianMixture(3, random_state=0).partial_fit(X[:1000]).partial_fit(parts), expected)


def test_one_component():
    X = data(2000, 2, 1)
    model = stream(GaussianMixture(learning_decay=1.0, learning_offset=0.0, reg_covar=0.0), X, 300)
    np.testing.assert_allclose(model.means_[0], X.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(model.covariances_[0], np.cov(X.T, bias=True), rtol=1e-11)


def test_a_component_without_samples_keeps_its_mean():
    X = data(2000, 2, 1)
    given = {"weights_init": [0.5, 0.5], "means_init": [[0.0, 0.0], [1e4, 1e4]], "precisions_init": [np.eye(2)] * 2}
    model = GaussianMixture(2, **given)
    for _ in range(40):
        stream(model, X, 500)
    np.testing.assert_allclose(model.means_[1], 1e4)
    assert 0 <= model.weights_[1] < 1e-15
    assert np.isfinite(model.score(X))
    np.testing.assert_allclose(model.weights_[0], 1.0)


def test_a_stream_that_drifts_is_followed():
    rng = np.random.default_rng(0)
    model = GaussianMixture(random_state=0)
    for t in range(200):
        model.partial_fit(rng.normal(loc=0.05 * t, size=(300, 1)))
    assert model.means_[0, 0] == pytest.approx(10.0, abs=2.0)
    average = GaussianMixture(random_state=0, learning_decay=1.0, learning_offset=0.0)
    for t in range(200):
        average.partial_fit(np.full((300, 1), 0.05 * t) + rng.normal(size=(300, 1)))
    assert average.means_[0, 0] == pytest.approx(5.0, abs=0.1)


def test_the_history_is_bounded(monkeypatch):
    from fastgmm.estimators import fittable

    monkeypatch.setattr(fittable, "_HISTORY", 5)
    X = data(800)
    model = stream(GaussianMixture(2, random_state=0), X, 100)
    assert model.n_iter_ == 8
    assert len(model.lower_bounds_) == 5


# --- fit, partial_fit, fit ---


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_fitted_model_goes_on_from_its_parameters(layout):
    X = data(6000)
    model = GaussianMixture(3, covariance_type=layout, random_state=0, tol=1e-8, max_iter=300).fit(X)
    before = copy.deepcopy(model)
    model.partial_fit(X)
    # a fixed point of EM is one of online EM
    assert_close(model, before, rtol=1e-3)
    assert model.n_iter_ == 1
    assert model.lower_bounds_ == [model.lower_bound_]
    assert not model.converged_
    assert model.lower_bound_ == pytest.approx(before.score(X), rel=1e-12)


def test_fit_forgets_the_averages():
    X = data()
    model = stream(GaussianMixture(3, random_state=0), X, 500)
    expected = GaussianMixture(3, random_state=0).fit(X)
    assert_same_bits(model.fit(X), expected)
    assert_same_bits(model.partial_fit(X[:500]), expected.partial_fit(X[:500]))
    assert_same_bits(model.fit(X, batch_size=500), GaussianMixture(3, random_state=0).fit(X, batch_size=500))


def test_warm_start_goes_on_after_partial_fit():
    X = data()
    model = stream(GaussianMixture(3, random_state=0, warm_start=True, max_iter=2, tol=0.0), X, 500)
    params = {"weights_init": model.weights_, "means_init": model.means_, "precisions_init": model.precisions_}
    expected = GaussianMixture(3, max_iter=2, tol=0.0, **params).fit(X)
    assert_close(model.fit(X), expected, rtol=1e-9)
    before = copy.deepcopy(model)
    model.fit(X, batch_size=500)
    assert model.n_iter_ <= 2
    assert model.score(X) > before.score(X) - 0.01
    other = copy.deepcopy(before).set_params(warm_start=False)
    assert_same_bits(stream(before, X, 500), stream(other, X, 500))  # warm_start is about fit


def test_a_failed_step_leaves_the_model_as_it_was():
    X = data()
    model = stream(GaussianMixture(3, random_state=0), X, 1000)
    before = copy.deepcopy(model)
    for bad in (np.full((5, 3), np.nan), np.zeros((5, 2)), np.full((5, 3), 1e300)):
        with pytest.raises(ValueError, match=r"contains NaN|2 features|too large"):
            model.partial_fit(bad)
    assert_same_bits(model, before)
    assert_same_bits(model.partial_fit(X[:500]), before.partial_fit(X[:500]))
    model = GaussianMixture(3)
    with pytest.raises(ValueError, match="n_components = 3, n_samples = 2"):
        model.partial_fit(X[:2])
    assert not hasattr(model, "means_")
    assert not hasattr(model, "n_features_in_")


def test_a_collapse_is_told():
    model = GaussianMixture(2, reg_covar=0.0, random_state=0)
    with pytest.raises(ValueError, match="ill-defined empirical covariance"):
        model.partial_fit(np.repeat([[0.0, 0.0], [1.0, 1.0]], 100, axis=0))
    assert not hasattr(model, "means_")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"n_components": 2},
            r"partial_fit resumes from a fit with means of shape \(3, 3\).*n_components=2.*call fit to start anew",
        ),
        ({"covariance_type": "spherical"}, "partial_fit resumes from a fit.*covariance_type='spherical'"),
        ({"covariance_type": "diag"}, "partial_fit continues the averages of covariance_type='tied'.*'diag'"),
    ],
)
def test_parameters_that_were_changed_between_batches(change, message):
    X = data()
    model = GaussianMixture(3, covariance_type="tied", random_state=0).partial_fit(X)
    model.set_params(**change)
    with pytest.raises(ValueError, match=message):
        model.partial_fit(X)


def test_settings_may_change_between_batches():
    X = data()
    model = GaussianMixture(3, random_state=0).partial_fit(X).set_params(reg_covar=1.0, learning_decay=1.0, n_threads=1)
    before = model.covariances_.copy()
    model.partial_fit(X)
    assert np.trace(model.covariances_, axis1=1, axis2=2).sum() > np.trace(before, axis1=1, axis2=2).sum() + 8


def test_feature_names():
    frame = pd.DataFrame(data(), columns=["a", "b", "c"])
    model = GaussianMixture(3, random_state=0).partial_fit(frame[:1000])
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    model.partial_fit(frame[1000:])
    with pytest.raises(ValueError, match="feature names should match"):
        model.partial_fit(frame[["c", "b", "a"]])
    with pytest.warns(UserWarning, match="X has no feature names"):
        model.partial_fit(frame.to_numpy())
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"learning_decay": 0.5},
            ValueError,
            r"learning_decay must be a number above 0.5 and at most 1, got learning_decay=0.5",
        ),
        ({"learning_decay": 1.01}, ValueError, "above 0.5 and at most 1"),
        ({"learning_decay": math.nan}, ValueError, "above 0.5 and at most 1"),
        (
            {"learning_decay": "fast"},
            TypeError,
            "learning_decay must be a number above 0.5 and at most 1, got 'fast' of type str",
        ),
        ({"learning_decay": True}, TypeError, "learning_decay must be a number"),
        ({"learning_offset": -1}, ValueError, "learning_offset must be a finite number of at least 0"),
        ({"learning_offset": math.inf}, ValueError, "learning_offset must be a finite number of at least 0"),
        ({"learning_offset": None}, TypeError, "learning_offset must be a number of at least 0"),
    ],
)
def test_step_sizes_that_cannot_be_used(arguments, error, message):
    model = GaussianMixture(2, **arguments)
    for call in (model.fit, model.partial_fit):
        with pytest.raises(error, match=message):
            call(data(100))


def test_all_weights_zero():
    with pytest.raises(ValueError, match="sample_weight is zero for all samples"):
        known().partial_fit(data(10), sample_weight=np.zeros(10))


# --- copies and files ---


def test_copies_go_on_as_the_model_does():
    X = data()
    model = stream(GaussianMixture(3, random_state=0), X[:1500], 500)
    copies = [pickle.loads(pickle.dumps(model)), copy.deepcopy(model)]
    model.partial_fit(X[1500:])
    for other in copies:
        assert_same_bits(other.partial_fit(X[1500:]), model)
    assert not hasattr(clone(model), "means_")
    assert not hasattr(clone(model), "_averages")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("covariance_type", [*LAYOUTS, "VEV", "EII"])
def test_a_saved_stream_continues_as_in_the_same_process(covariance_type, dtype, tmp_path):
    """100 batches, and one from elsewhere: its step is that of batch 101."""
    rng = np.random.default_rng(0)
    X = (np.array([[-4.0, 0.0, 0.0], [4.0, 0.0, 1.0], [0.0, 5.0, 2.0]])[rng.integers(3, size=5000)]).astype(dtype)
    X += rng.normal(size=X.shape).astype(dtype)
    odd = (10.0 + rng.normal(size=(50, 3))).astype(dtype)
    model = GaussianMixture(3, covariance_type=covariance_type, random_state=0)
    model = stream(model, X, 50)
    assert model.n_iter_ == 100
    before = model.means_.copy()
    model.save(tmp_path / "m.npz")
    others = [fastgmm.load(tmp_path / "m.npz"), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)]
    others[0].save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "m.npz").read_bytes()
    model.partial_fit(odd)
    moved = np.abs(model.means_ - before).max()
    weights, layout = others[0].weights_.astype(np.float64), STRUCTURES[covariance_type].layout.name
    arrays = (weights / weights.sum(), before, others[0].covariances_)
    anew = GaussianMixture.from_parameters(*arrays, covariance_type=layout).partial_fit(odd)
    assert moved < 0.5 * np.abs(anew.means_ - before).max()
    for other in others:
        assert other.partial_fit(odd).n_iter_ == 101
        assert_same_bits(other, model)


def test_averages_that_are_not_ready_and_weighted_ones_are_saved_too(tmp_path):
    X, weights = data(), np.linspace(0.5, 3.0, 3000)
    model = GaussianMixture(3, random_state=0).partial_fit(X[:20], sample_weight=weights[:20])
    assert not model._averages.ready
    for start in range(20, 400, 20):
        model.save(tmp_path / "m.npz")
        loaded = fastgmm.load(tmp_path / "m.npz")
        batch = X[start : start + 20], None, weights[start : start + 20]
        assert_same_bits(loaded.partial_fit(*batch), model.partial_fit(*batch))
    assert model._averages.ready


def old_file(model, path):
    """A file of format version 1."""
    model.save(path)
    with np.load(path) as archive:
        entries = {name: array for name, array in archive.items() if not name.startswith("averages.")}
    header = json.loads(str(entries.pop("header")))
    np.savez(path, header=np.array(json.dumps({**header, "format_version": 1})), **entries)
    return path


def test_a_stream_from_an_old_file_says_what_it_lacks(tmp_path):
    X = data()
    model = stream(GaussianMixture(3, random_state=0, learning_decay=0.9, learning_offset=7.0), X, 500)
    loaded = fastgmm.load(old_file(model, tmp_path / "m.npz"))
    assert loaded.get_params() == model.get_params()
    assert_same_bits(loaded, model)
    loaded.save(tmp_path / "again.npz")
    fresh = GaussianMixture.from_parameters(model.weights_, model.means_, model.covariances_)
    fresh.set_params(learning_decay=0.9, learning_offset=7.0).partial_fit(X[:500])
    for other in (loaded, fastgmm.load(tmp_path / "again.npz")):  # saving it anew brings nothing back
        with pytest.warns(
            UserWarning, match=r"file of format version 1, which does not hold the averages of partial_fit"
        ):
            other.partial_fit(X[:500])
        assert other.n_iter_ == 1
        assert_close(other, fresh, rtol=1e-10)
        other.partial_fit(X[500:1000])  # and now there is nothing to say
        other.save(tmp_path / "new.npz")
        fastgmm.load(tmp_path / "new.npz").partial_fit(X[:500])


def test_old_files_of_fits_lack_nothing(tmp_path):
    X = data()
    model = GaussianMixture(3, random_state=0).fit(X)
    assert model.converged_
    loaded = fastgmm.load(old_file(model, tmp_path / "m.npz"))
    assert_same_bits(loaded.partial_fit(X[:500]), model.partial_fit(X[:500]))
    unfinished = fastgmm.load(old_file(stream(GaussianMixture(3, random_state=0), X, 500), tmp_path / "m.npz"))
    unfinished.fit(X).partial_fit(X[:500])  # a fit forgets what the file lacked


def test_averages_of_another_covariance_type_cannot_be_saved(tmp_path):
    X = np.ascontiguousarray(data()[:, :2])
    model = stream(GaussianMixture(2, covariance_type="diag", random_state=0), X, 500)
    with pytest.raises(ValueError, match=r"averages of partial_fit are of covariance_type='diag'.*set it back"):
        model.set_params(covariance_type="tied").save(tmp_path / "m.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"averages.sums": None}, r"it lacks 'averages\.sums'; the file is damaged"),
        (
            {"averages.sums": np.zeros((3, 2))},
            r"averages\.sums has dtype float64 and shape \(3, 2\); it must be float64 \(3, 3\)",
        ),
        ({"averages.origin": np.full((3, 3), np.nan)}, r"averages\.origin holds values that are not finite"),
        ({"averages.counts": np.array([0.5, 0.6, -0.1])}, r"its averages are of .* counts from -0\.1 on"),
        ({"averages.n_steps": np.array(0)}, r"its averages are of 3000 samples in 0 batches"),
        ({"averages.n_steps": np.array(1.0)}, r"averages\.n_steps has dtype float64 .*it must be int64 \(\)"),
        ({"averages.ready": np.array(1)}, r"averages\.ready has dtype int64 .*it must be bool"),
        ({"averages.weight": np.array(-1.0)}, r"in 6 batches of weight -1\.0"),
    ],
)
def test_damaged_averages_are_refused(changes, message, tmp_path):
    stream(GaussianMixture(3, random_state=0), data(), 500).save(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as archive:
        entries = {name: changes.get(name, array) for name, array in archive.items()}
    np.savez(tmp_path / "m.npz", **{name: array for name, array in entries.items() if array is not None})
    with pytest.raises(ValueError, match=message):
        fastgmm.load(tmp_path / "m.npz")


# --- fit(batch_size=...) ---


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("batch_size", [300, 1000, 2999])
def test_batches_lead_near_the_fit_of_em(layout, batch_size):
    X = data(3000, seed=4)
    em = GaussianMixture(3, covariance_type=layout, random_state=0, tol=1e-7, max_iter=500).fit(X)
    model = GaussianMixture(3, covariance_type=layout, random_state=0, tol=1e-4).fit(X, batch_size=batch_size)
    assert model.converged_
    assert model.score(X) > em.score(X) - 0.005 * abs(em.score(X))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_bound_is_that_of_the_fitted_parameters(layout):
    X = data()
    w = np.random.default_rng(0).uniform(size=len(X))
    for sample_weight in (None, w, 1e-20 * w):
        model = GaussianMixture(3, covariance_type=layout, random_state=0)
        model.fit(X, sample_weight=sample_weight, batch_size=400)
        assert model.lower_bound_ == pytest.approx(model.score(X, sample_weight=sample_weight), rel=1e-9)
        assert len(model.lower_bounds_) == model.n_iter_


def test_one_batch_is_an_iteration_of_em_at_first():
    X = data()
    for size in (len(X), 10**15):
        model = GaussianMixture(3, random_state=0, max_iter=1).fit(X, batch_size=size)
        em = GaussianMixture(3, random_state=0, max_iter=1).fit(X)
        assert_close(model, em, rtol=1e-10)
        assert model.lower_bounds_ == pytest.approx(em.lower_bounds_)
        assert model.lower_bound_ == pytest.approx(em.score(X))


def test_an_epoch_is_a_pass_of_partial_fit():
    X = data()
    start = GaussianMixture(3, max_iter=0, random_state=0).fit(X)
    given = {"weights_init": start.weights_, "means_init": start.means_, "precisions_init": start.precisions_}
    epoch = GaussianMixture(3, max_iter=1, **given).fit(X, batch_size=700)
    steps = stream(GaussianMixture(3, **given), X, 700)
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(epoch, name), getattr(steps, name), rtol=1e-10, atol=1e-12)
    sizes = np.array([700] * 4 + [200])
    assert epoch.lower_bounds_ == pytest.approx([sizes @ steps.lower_bounds_ / 3000], rel=1e-12)


def test_no_epoch_leaves_the_start():
    X = data()
    model = GaussianMixture(3, max_iter=0, random_state=0)
    a = copy.deepcopy(model).fit(X, batch_size=100)
    b = model.fit(X)
    assert np.array_equal(a.means_, b.means_)
    assert (a.n_iter_, a.lower_bounds_, a.converged_) == (0, [], False)
    assert a.lower_bound_ == pytest.approx(b.score(X), rel=1e-12)


def test_the_best_of_several_starts_is_kept():
    X = data(2000, 2, 5, seed=7)
    arguments = {"init_params": "random_from_data", "max_iter": 5}
    rng = np.random.RandomState(0)
    single = [GaussianMixture(5, random_state=rng, **arguments).fit(X, batch_size=250).lower_bound_ for _ in range(4)]
    best = GaussianMixture(5, random_state=0, n_init=4, **arguments).fit(X, batch_size=250)
    assert best.lower_bound_ == max(single)
    assert len(set(single)) > 1


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("weighted", [False, True])
def test_files_and_chunks_give_the_bits_of_memory(layout, weighted, tmp_path, limits):
    from fastgmm.data.open import open_source

    limits(loaded=4096, batches_read=50_000)
    X = data()
    w = np.random.default_rng(0).uniform(size=len(X)) if weighted else None
    np.save(tmp_path / "x.npy", X)
    assert isinstance(open_source(tmp_path / "x.npy"), StreamSource)
    arguments = {"covariance_type": layout, "random_state": 0, "max_iter": 3}
    given = known(layout)
    arguments |= {"weights_init": given.weights_, "means_init": given.means_, "precisions_init": given.precisions_}
    for batch_size in (130, 5000):
        expected = GaussianMixture(3, **arguments).fit(X, sample_weight=w, batch_size=batch_size)
        for source in (tmp_path / "x.npy", chunks([X[:10], X[10:1700], X[1700:]])):
            model = GaussianMixture(3, **arguments)
            labels = model.fit_predict(source, sample_weight=w, batch_size=batch_size)
            assert_same_bits(model, expected)
            assert np.array_equal(labels, expected.predict(X))


@pytest.mark.parametrize("zeros", [slice(0, 1000), slice(500, 1500), slice(2000, 3000)])
def test_batches_without_weight_are_no_steps(zeros):
    X = data()
    w = np.ones(3000)
    w[zeros] = 0.0
    w[1600] = 2.0  # not all equal
    source = StreamSource(_Reader(X), [3000], 3, X.dtype, 10.0, w)
    assert [batch.n_samples for batch in batches(source, 500)].count(500) >= 3
    assert sum(batch.n_samples for batch in batches(source, 500)) == 2000
    kept = ArraySource.weighted(X, w)
    assert sum(b.total_weight * b.weight_unit for b in batches(source, 500)) == kept.total_weight * kept.weight_unit


class _Reader:
    def __init__(self, X):
        self.X = X

    def pieces(self, rows=None):
        yield 0, self.X

    def label(self, chunk):
        return "X"

    def mapped(self):
        return None


def test_batches_smaller_than_the_memory_of_few_samples():
    """Fewer samples than the averages should stand for: all are gathered in the first epoch, and it does not end there."""
    X = data(60, 2, 3)
    model = GaussianMixture(3, random_state=0, max_iter=50).fit(X, batch_size=7)
    em = GaussianMixture(3, random_state=0, max_iter=50).fit(X)
    assert model.n_iter_ > 2
    assert model.lower_bounds_[0] == pytest.approx(em.lower_bounds_[0], rel=1e-12)
    assert model.score(X) > em.score(X) - 0.05


def test_fit_predict_labels_all_samples():
    X = data()
    model = GaussianMixture(3, random_state=0)
    w = np.random.default_rng(0).integers(0, 2, size=len(X))
    labels = model.fit_predict(X, sample_weight=w, batch_size=500)
    assert np.array_equal(labels, model.predict(X))


def test_batches_that_did_not_converge_are_told():
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        with pytest.warns(fastgmm.ConvergenceWarning, match="max_iter=1"):
            GaussianMixture(3, random_state=0, max_iter=1, tol=0.0).fit(data(), batch_size=100)


@pytest.mark.parametrize(
    ("batch_size", "error", "message"),
    [
        (0, ValueError, "batch_size must be an integer of at least 1, got batch_size=0"),
        (-5, ValueError, "batch_size must be an integer of at least 1"),
        (2.5, TypeError, "batch_size must be an integer of at least 1, got 2.5 of type float"),
        (True, TypeError, "batch_size must be an integer"),
        ("100", TypeError, "batch_size must be an integer"),
    ],
)
def test_batch_sizes_that_cannot_be_used(batch_size, error, message):
    model = GaussianMixture(2)
    for call in (model.fit, model.fit_predict):
        with pytest.raises(error, match=message):
            call(data(100), batch_size=batch_size)
    with pytest.raises(TypeError, match="positional"):
        model.fit(data(100), None, None, 10)
    assert not hasattr(model, "means_")


def test_progress_of_epochs(capsys):
    GaussianMixture(3, random_state=0, max_iter=2, tol=0.0, verbose=1, verbose_interval=1).fit(data(), batch_size=500)
    assert capsys.readouterr().out.splitlines()[:3] == ["Start 0", "  iteration 1", "  iteration 2"]


# --- what it does not go with


def test_batches_and_checkpoints_are_refused_together(tmp_path):
    with pytest.raises(ValueError, match="checkpoint holds the state of EM, not the averages of batch_size"):
        GaussianMixture(2).fit(np.zeros((10, 2)), batch_size=5, checkpoint=tmp_path / "c.npz")
    assert not list(tmp_path.iterdir())


def test_batches_of_a_dask_collection():
    import dask.array as da

    X = np.random.default_rng(0).normal(size=(400, 2))
    with pytest.raises(ValueError, match="batch_size cannot be used if X is distributed"):
        GaussianMixture(2).fit(da.from_array(X, chunks=(100, 2)), batch_size=5)
    here, there = GaussianMixture(2, random_state=0), GaussianMixture(2, random_state=0)
    for batch in (X[:200], X[200:]):
        here.partial_fit(batch)
        there.partial_fit(da.from_array(batch, chunks=(100, 2)))
    np.testing.assert_allclose(there.means_, here.means_, rtol=1e-9)
    np.testing.assert_allclose(there.covariances_, here.covariances_, rtol=1e-9)


def test_ctrl_c_between_epochs_keeps_what_they_came_to(monkeypatch):
    from fastgmm.em import online as steps

    X = np.random.default_rng(0).normal(size=(4000, 2)) + 4.0 * np.random.default_rng(1).integers(2, size=(4000, 1))
    epochs = []

    def counted(source, batch_size, cut=steps.batches):
        epochs.append(1)
        if len(epochs) == 3:
            raise KeyboardInterrupt
        return cut(source, batch_size)

    monkeypatch.setattr(steps, "batches", counted)
    model = GaussianMixture(2, random_state=0, tol=0.0)
    with pytest.raises(KeyboardInterrupt, match="interrupted after 2 iterations; the model keeps"):
        model.fit(X, batch_size=500)
    assert model.n_iter_ == 2
    assert not model.converged_
    assert np.isfinite(model.score(X))

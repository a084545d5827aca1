"""Pruned sweeps: the statistics of dense ones without most of the pairs, whatever happened before."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import naive
import numpy as np
import pytest
from conftest import random_mixture
from kit import ARRAYS, blobs

from fastgmm import BayesianGaussianMixture, GaussianMixture, chunks
from fastgmm._names import ALGORITHMS
from fastgmm.data.source import ArraySource
from fastgmm.datasets import make_mixture
from fastgmm.em import pruned
from fastgmm.em.pruned import PrunedSweeps
from fastgmm.em.step import MaximumLikelihood
from fastgmm.em.sweep import sweep
from fastgmm.kernels.pruned import BLOCK
from fastgmm.model.layouts import layout_named
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats
from fastgmm.model.structures import STRUCTURES

LAYOUTS = ["full", "tied", "diag", "spherical"]


def params_of(kind: str, k: int, d: int, seed: int, spread: float = 6.0) -> Params:
    weights, means, covariances = random_mixture(kind, k, d, seed=seed)
    layout = layout_named(kind)
    return Params(layout, weights, spread * means, covariances, layout.precision_cholesky(covariances))


def drawn(params: Params, n: int, seed: int, dtype: Any) -> np.ndarray:
    rng = np.random.default_rng(seed)
    matrices = params.layout.matrices(params.covariances, *params.means.shape)
    labels = rng.choice(len(params.weights), size=n, p=params.weights)
    noise = np.linalg.cholesky(matrices)[labels] @ rng.normal(size=(n, params.means.shape[1], 1))
    return (params.means[labels] + noise[:, :, 0]).astype(dtype)


def assert_close(got: Stats, want: Stats, rtol: float) -> None:
    scale = np.abs(want.scatter).max()
    np.testing.assert_allclose(got.log_likelihood, want.log_likelihood, rtol=rtol)
    np.testing.assert_allclose(got.counts, want.counts, rtol=rtol, atol=rtol * want.counts.max())
    np.testing.assert_allclose(got.sums, want.sums, rtol=rtol, atol=rtol * scale)
    np.testing.assert_allclose(got.scatter, want.scatter, rtol=rtol, atol=rtol * scale)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("d", [1, 2, 3, 6])
@pytest.mark.parametrize(("kind", "dtype"), [*((kind, np.float64) for kind in LAYOUTS), ("full", np.float32)])
def test_statistics_are_those_of_dense_sweeps(kind, d, weighted, dtype, limits):
    """Along EM, after a jump to other parameters, and back."""
    limits(pruned_share=1.0)
    truth, k = params_of(kind, 7, d, seed=1), 7
    X = drawn(truth, 1500, 0, dtype)
    weights = np.random.default_rng(2).uniform(0.0, 3.0, len(X)).astype(dtype) if weighted else None
    source, step = ArraySource(X, weights), MaximumLikelihood(STRUCTURES[kind], 1e-6)
    params = replace(truth, means=truth.means + 0.5)
    sweeps = PrunedSweeps(source, params, 1)
    elsewhere = params_of(kind, k, d, seed=5)
    for i in range(7):
        dense = sweep(source, params)
        assert_close(sweeps.sweep(params), dense, 1e-12 if dtype is np.float64 else 2e-5)
        params = elsewhere if i == 3 else truth if i == 4 else step.maximise(dense, params)
    assert sweeps.evaluated < 0.9 or d == 1


@pytest.mark.parametrize("kind", LAYOUTS)
def test_statistics_are_those_of_the_naive_twin(kind):
    params = params_of(kind, 5, 3, seed=3)
    X = drawn(params, 1100, 1, np.float64)
    sweeps = PrunedSweeps(ArraySource(X), params, None)
    sweeps.sweep(replace(params, means=params.means + 0.1))
    got = sweeps.sweep(params)
    mixture = params.weights, params.means, params.covariances, kind
    log_prob, resp = naive.log_prob(X, *mixture), naive.responsibilities(X, *mixture)
    counts, sums, scatter = naive.counts_sums_scatter(X, resp, params.means, kind)
    want = Stats(params.layout, len(X), float(np.sum(log_prob)), counts, sums, scatter, params.means)
    assert_close(got, want, 1e-10)


@pytest.mark.parametrize("kind", LAYOUTS)
def test_bounds_are_below_the_distances(kind):
    """|U^T (x - mean)| of the nearest sample of each block, after parameters have moved by little and by much."""
    before = params_of(kind, 6, 4, seed=1)
    X = drawn(before, 1300, 0, np.float64)
    for after in (
        replace(before, means=before.means + 0.01),
        params_of(kind, 6, 4, seed=1, spread=5.0),
        params_of(kind, 6, 4, seed=9),
    ):
        sweeps = PrunedSweeps(ArraySource(X), before, None)
        sweeps.sweep(before)
        change = sweeps._change(after)
        bounds = sweeps.pairs.distance * change.scale - change.moved
        factors = after.layout.matrices(after.prec_chol, 6, 4)
        for b in range(len(bounds)):
            rows = X[sweeps.pairs.order[b * BLOCK : (b + 1) * BLOCK]]
            y = np.einsum("kij,ski->skj", factors, rows[:, None] - after.means)
            assert (bounds[b] <= np.linalg.norm(y, axis=2).min(axis=0)).all()


@pytest.mark.parametrize("kind", LAYOUTS)
@pytest.mark.parametrize("threads", [2, 3])
def test_bits_do_not_depend_on_threads_or_on_earlier_sweeps(kind, threads, limits):
    limits(pruned_share=1.0)
    params = params_of(kind, 9, 4, seed=2)
    X = drawn(params, 3000, 3, np.float64)
    fresh = PrunedSweeps(ArraySource(X), params, 1).sweep(params)
    sweeps = PrunedSweeps(ArraySource(X), params, threads)
    sweeps.sweep(params_of(kind, 9, 4, seed=4))
    sweeps.sweep(replace(params, means=params.means + 0.2))
    again = sweeps.sweep(params)
    for name in ("log_likelihood", "counts", "sums", "scatter"):
        assert np.array_equal(getattr(fresh, name), getattr(again, name)), name


def test_few_pairs_are_evaluated_where_components_are_apart():
    X = make_mixture(20_000, 4, 50, separation=20.0, random_state=0).X
    source, step = ArraySource(X), MaximumLikelihood(STRUCTURES["full"], 1e-6)
    params = GaussianMixture(50, max_iter=1, tol=1e9, random_state=0).fit(X)._params()
    sweeps, shares = PrunedSweeps(source, params, None), []
    for _ in range(4):
        params = step.maximise(sweeps.sweep(params), params)
        shares.append(sweeps.evaluated)
    assert shares[0] == 1.0
    assert max(shares[1:]) < 0.25


def test_dense_sweeps_follow_where_too_few_are_left_out():
    X = np.random.default_rng(0).normal(size=(2000, 3))
    source, step = ArraySource(X), MaximumLikelihood(STRUCTURES["diag"], 1e-6)
    params = params_of("diag", 4, 3, seed=0, spread=1.0)
    sweeps, evaluated = PrunedSweeps(source, params, None), []
    for _ in range(2 + pruned._REST):
        sweeps.evaluated = 0.0
        dense = sweep(source, params)
        assert_close(sweeps.sweep(params), dense, 1e-12)
        evaluated.append(sweeps.evaluated > 0)
        params = step.maximise(dense, params)
    assert evaluated == [True, *[False] * pruned._REST, True]


@pytest.mark.parametrize("kind", [*LAYOUTS, "VEE", "EVV"])
def test_a_fit_is_that_of_dense_sweeps(kind):
    X = make_mixture(6000, 4, 12, separation=8.0, random_state=1).X
    options: dict[str, Any] = {"covariance_type": kind, "random_state": 0, "tol": 1e-6, "max_iter": 60}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dense, found = (GaussianMixture(12, algorithm=name, **options).fit(X) for name in ("dense", "pruned"))
    assert found.n_iter_ == dense.n_iter_ > 2
    np.testing.assert_allclose(found.lower_bounds_, dense.lower_bounds_, rtol=1e-12)
    np.testing.assert_allclose(found.means_, dense.means_, rtol=1e-8)
    assert np.array_equal(found.predict(X), dense.predict(X))


@pytest.mark.parametrize("kind", LAYOUTS)
def test_noise_and_posteriors_are_those_of_dense_sweeps(kind):
    X = np.vstack([make_mixture(3000, 3, 6, separation=8.0, random_state=1).X, blobs(60, 3, 1) * 10.0])
    options: dict[str, Any] = {"covariance_type": kind, "random_state": 0, "tol": 1e-9, "max_iter": 15}
    for estimator, more in ((GaussianMixture, {"noise": True}), (BayesianGaussianMixture, {})):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dense, found = (estimator(n_components=8, algorithm=name, **options, **more).fit(X) for name in ALGORITHMS)
        np.testing.assert_allclose(found.lower_bounds_, dense.lower_bounds_, rtol=1e-10)
        np.testing.assert_allclose(found.means_, dense.means_, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("acceleration", [None, "squarem"])
def test_weights_repeat_rows_and_steps_are_accelerated(acceleration):
    X = blobs(1500, 3, 5, seed=2)
    times = np.random.default_rng(0).integers(1, 3, len(X))
    options: dict[str, Any] = {"means_init": X[:5], "tol": 1e-8, "max_iter": 500, "random_state": 0}
    models = [
        GaussianMixture(5, algorithm="pruned", acceleration=acceleration, **options).fit(Y, sample_weight=w)
        for Y, w in ((X, times), (np.repeat(X, times, axis=0), None))
    ]
    np.testing.assert_allclose(models[0].lower_bound_, models[1].lower_bound_, rtol=1e-6)
    assert (np.diff(models[0].lower_bounds_) > -1e-12).all()


def test_a_sample_that_no_component_reaches():
    """Its likelihood is 0, and nothing can be left out of its block."""
    X = blobs(1500, 2, 3)
    X[7] = 1e200
    params = params_of("diag", 3, 2, seed=0)
    source = ArraySource(X)
    sweeps = PrunedSweeps(source, params, None)
    for _ in range(2):
        got, want = sweeps.sweep(params), sweep(source, params)
        assert got.log_likelihood == want.log_likelihood == -np.inf
        np.testing.assert_allclose(got.counts, want.counts, rtol=1e-12, atol=1e-14 * len(X))


@pytest.mark.parametrize(
    ("X", "k", "why"),
    [
        (blobs(300, 3, 3), 3, "300 samples are too few"),
        (blobs(3000, 1, 3), 130, "bounds of 130 components would take more memory than the data"),
        (chunks([blobs(1500, 3, 3), blobs(1500, 3, 3)]), 3, "only an array in memory can be swept in another order"),
    ],
    ids=["few", "memory", "chunks"],
)
def test_what_cannot_be_pruned_is_said(X, k, why, limits):
    limits(loaded=1000)
    options: dict[str, Any] = {"random_state": 0, "max_iter": 2, "tol": 0.0, "covariance_type": "spherical"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dense = GaussianMixture(k, **options).fit(X)
    with pytest.warns(UserWarning, match=f"algorithm='pruned' has no effect here: {why}"):
        found = GaussianMixture(k, algorithm="pruned", **options).fit(X)
    assert all(np.array_equal(getattr(found, name), getattr(dense, name)) for name in ARRAYS)


def test_wrong_arguments():
    X = blobs(2000, 3, 3)
    with pytest.raises(ValueError, match=r"algorithm.*dense.*pruned.*'prune'"):
        GaussianMixture(3, algorithm="prune").fit(X)
    with pytest.raises(
        ValueError, match=r"algorithm='pruned' needs EM on all samples.*leave algorithm or batch_size out"
    ):
        GaussianMixture(3, algorithm="pruned").fit(X, batch_size=100)

"""Several starts on many samples: all run on a sample, and the best of them on all samples."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from conftest import assert_same_bits, fit
from kit import stop_at

import fastgmm
from fastgmm import GaussianMixture, chunks
from fastgmm.data.source import ArraySource
from fastgmm.datasets import make_mixture
from fastgmm.em.compiled_loop import CompiledLoop
from fastgmm.em.result import FitResult
from fastgmm.em.step import MaximumLikelihood
from fastgmm.em.stop import Stop
from fastgmm.fitting import run as fitting
from fastgmm.fitting import screening
from fastgmm.fitting.screening import sample_size, screened
from fastgmm.model.checks import check_parameters
from fastgmm.model.layouts import FULL
from fastgmm.model.structures import STRUCTURES


@pytest.fixture(autouse=True)
def small_samples(monkeypatch):
    """A sample of 400 is enough."""
    monkeypatch.setattr(screening, "SAMPLE", 400)
    monkeypatch.setattr(screening, "NUMBERS", 1)


@pytest.fixture
def runs(monkeypatch):
    """Data and result of each EM run, on a sample or on all: (samples, FitResult)."""
    found: list[tuple[int, FitResult]] = []
    run = fitting.run

    def noted(source, *arguments, **named):
        result = run(source, *arguments, **named)
        found.append((source.n_samples, result))
        return result

    for module in (fitting, screening):
        monkeypatch.setattr(module, "run", noted)
    return found


def overlapping(n=4000, seed=0, k=5):
    return np.ascontiguousarray(make_mixture(n, 2, k, separation=2.5, random_state=seed).X)


def model(**arguments: Any) -> GaussianMixture:
    defaults: dict = {"n_init": 6, "random_state": 0, "tol": 1e-4, "max_iter": 300, "init_params": "random_from_data"}
    return GaussianMixture(**{"n_components": 5, **defaults, **arguments})


@pytest.mark.parametrize("covariance_type", ["full", "tied", "VEI"])
def test_a_few_starts_continue_on_all_samples(covariance_type, runs):
    X = overlapping()
    found = fit(model(covariance_type=covariance_type), X)
    on_sample, on_all = [f for n, f in runs if n < len(X)], [f for n, f in runs if n == len(X)]
    assert len(on_sample) == 6
    assert {n for n, _ in runs} <= {*range(300, 401), len(X)}
    assert 1 <= len(on_all) <= screening.CONTINUE
    assert found.lower_bound_ == max(f.lower_bound for f in on_all)
    whole = [fit(model(covariance_type=covariance_type, n_init=1, random_state=i), X).lower_bound_ for i in range(6)]
    assert found.lower_bound_ > np.median(whole) - 5e-3


@pytest.mark.parametrize(
    ("n", "arguments"),
    [(1500, {}), (4000, {"n_init": 1}), (4000, {"init_params": np.arange(4000) % 5})],
    ids=["few samples", "one start", "known groups"],
)
def test_not_where_nothing_is_saved(n, arguments, runs):
    X = overlapping(n)
    fit(model(**arguments), X)
    assert {m for m, _ in runs} == {n}
    assert len(runs) == arguments.get("n_init", 6 if n == 1500 else 1)


def test_nor_with_batches_or_going_on(runs):
    X = overlapping()
    estimator = fit(model(warm_start=True), X)
    runs.clear()
    fit(estimator, X)
    assert [n for n, _ in runs] == [len(X)]
    runs.clear()
    fit(model(max_iter=2), X, batch_size=500)
    assert runs == []


def test_the_sample_grows_with_the_parameters():
    screening.NUMBERS = 120
    assert sample_size(STRUCTURES["full"], 10, 8) == 120 * STRUCTURES["full"].n_parameters(10, 8) // 8
    screening.NUMBERS = 1
    assert sample_size(STRUCTURES["full"], 10, 8) == 400


def scripted(X, script):
    """Of starts at given means and variances, or that fail."""
    entries = iter(script)

    def start():
        entry = next(entries)
        if entry is None:
            raise ValueError("this one fails")
        means, variances = entry
        matrices = np.array([variance * np.eye(2) for variance in variances])
        return check_parameters([0.5, 0.5], means, matrices, FULL)

    step = MaximumLikelihood(STRUCTURES["full"], 1e-6)
    return screened(ArraySource(X), start, len(script), step, Stop(1e-6, 500), None)


def test_starts_that_come_to_the_same_optimum_continue_once_and_failures_not_at_all():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(800, 2)) + np.repeat([[0, 0], [10, 0], [0, 14], [10, 14]], 200, axis=0)
    near, far, other = [[5.0, 0.0], [5.0, 14.0]], [[5.0, 2.0], [5.0, 12.0]], [[0.0, 7.0], [10.0, 7.0]]
    found = scripted(X, [(near, [9, 9]), None, (far, [9, 9]), (other, [9, 9])])
    assert len(found.final_bounds) == 3
    assert abs(found.final_bounds[0] - found.final_bounds[1]) < 1e-5
    assert found.final_bounds[2] < found.final_bounds[0] - 0.01
    assert len(found.params) == 2
    assert sorted(found.params[0].means[:, 1].round()) == [0.0, 14.0]  # the best first
    with pytest.raises(ValueError, match="this one fails"):
        scripted(X, [None, None])


def test_a_component_of_a_handful_of_samples_comes_last():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 2)) * [1.0, 2.0] + np.repeat([[-3, 0], [3, 0]], 300, axis=0)
    X[:4] = [[5.0, 5.0], [5.0, 5.001], [5.001, 5.0], [5.002, 5.003]]
    found = scripted(X, [([[5.0, 5.0], [0.0, 0.0]], [1e-6, 1.0]), ([[3.0, 0.0], [-3.0, 0.0]], [1.0, 1.0])])
    assert abs(found.final_bounds[0] - found.final_bounds[1]) > 1e-3  # a spike, and two clusters
    assert found.params[0].weights.min() > 0.1


def test_same_bits_on_any_number_of_threads_and_in_pieces():
    X = overlapping(9000)
    expected = fit(model(n_threads=1), X)
    for threads in (2, 3):
        assert_same_bits(fit(model(n_threads=threads), X), expected)
    assert_same_bits(fit(model(), chunks([X[:5000], X[5000:]])), expected)


def test_weights(runs):
    X = overlapping()
    weights = np.random.default_rng(0).uniform(0.0, 3.0, size=len(X))
    a = fit(model(), X, sample_weight=weights)
    assert len(runs) > 6
    b = fit(model(), X, sample_weight=1024.0 * weights)
    assert_same_bits(a, b)


def test_resuming_from_a_checkpoint_gives_the_same_bits(tmp_path, monkeypatch):
    X, path = overlapping(), tmp_path / "state.npz"
    expected = fit(model(), X)
    for stop in (2, 5):
        with monkeypatch.context() as patch:
            stop_at(patch, "iteration", stop + 1)  # of those on all samples
            with pytest.raises(KeyboardInterrupt, match=r"interrupted"):
                model().fit(X, checkpoint=path, checkpoint_every=0)
        assert path.exists()
        assert_same_bits(fit(model(), X, checkpoint=path), expected)


def test_ctrl_c_among_the_runs_on_the_sample_leaves_the_model_as_it_was(monkeypatch):
    X = overlapping()
    estimator = fit(model(random_state=1, n_init=1), X)
    before = estimator.means_.copy()
    calls, iterate = itertools.count(), CompiledLoop._iterate

    def interrupted(*arguments):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return iterate(*arguments)

    monkeypatch.setattr(CompiledLoop, "_iterate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        estimator.set_params(n_init=6).fit(X)
    assert np.array_equal(estimator.means_, before)


def test_a_winner_that_was_found_once_on_the_sample_is_told_of():
    X = make_mixture(4000, 2, 9, separation=4.0, random_state=3).X
    with pytest.warns(
        fastgmm.LocalOptimumWarning, match=r"only one of 4 starts reached .* of a sample of \d+; the second"
    ):
        model(n_components=9, n_init=4, tol=1e-5, max_iter=2000).fit(X)

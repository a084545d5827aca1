"""Accelerated EM: the same optimum in fewer passes, by proposals that never lower the likelihood."""

from __future__ import annotations

import re
import warnings
from typing import Any

import naive
import numpy as np
import pytest
from conftest import random_mixture
from kit import ARRAYS, assert_same_fit, blobs

import fastgmm
from fastgmm import GaussianMixture, chunks
from fastgmm._names import ACCELERATIONS
from fastgmm.data.source import ArraySource
from fastgmm.datasets import load_faithful, make_mixture
from fastgmm.em import accelerate, loop
from fastgmm.em.accelerate import ACCELERATORS
from fastgmm.em.step import MaximumLikelihood
from fastgmm.em.stop import Stop
from fastgmm.fitting.checkpoint import Checkpoint
from fastgmm.model.checks import check_parameters
from fastgmm.model.layouts import layout_named
from fastgmm.model.stats import Stats, combination
from fastgmm.model.structures import MCLUST_NAMES, STRUCTURES

LAYOUTS = ["full", "tied", "diag", "spherical"]


def fit(model: GaussianMixture, X: Any, **options: Any) -> GaussianMixture:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)  # of an invalid proposal
        return model.fit(X, **options)


def overlapping(n: int, d: int, k: int, separation: float, seed: int = 0) -> np.ndarray:
    return make_mixture(n, d, k, separation=separation, random_state=seed).X


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_combination_of_statistics_is_that_of_the_responsibilities(layout):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3)) + 10.0
    resp = [rng.dirichlet(np.ones(2), size=30) for _ in range(3)]
    origins = [10.0 + rng.normal(size=(2, 3)) for _ in range(3)]
    parts = [
        Stats(layout_named(layout), 30, 0.0, *naive.counts_sums_scatter(X, r, o, layout), o)
        for r, o in zip(resp, origins, strict=True)
    ]
    found = combination((4.0, -5.0, 2.0), parts)
    expected = naive.counts_sums_scatter(X, 4.0 * resp[0] - 5.0 * resp[1] + 2.0 * resp[2], origins[2], layout)
    for name, value in zip(("counts", "sums", "scatter"), expected, strict=True):
        np.testing.assert_allclose(getattr(found, name), value, rtol=1e-10, atol=1e-10, err_msg=name)
    assert found.origin is origins[2]
    assert found.n_samples == 30


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("acceleration", ["over-relaxation", "squarem"])
def test_passes_are_those_of_the_naive_twin(layout, acceleration):
    X = overlapping(120, 2, 3, 1.5)
    mixture = (np.full(3, 1 / 3), X[:3].copy(), random_mixture(layout, 3, 2)[2])
    bounds: list[float] = []

    class Watched(MaximumLikelihood):
        def bound(self, stats, params, total_weight):
            bounds.append(super().bound(stats, params, total_weight))
            return bounds[-1]

    result = loop.run(
        ArraySource(X),
        check_parameters(*mixture, layout_named(layout)),
        Watched(STRUCTURES[layout], 1e-6),
        Stop(0.0, 30),
        accelerator=ACCELERATORS[acceleration](),
    )
    expected = naive.accelerated(X, *mixture, layout, len(bounds), acceleration)
    np.testing.assert_allclose(bounds, expected, rtol=1e-6)
    assert result.n_passes == len(bounds) >= len(result.lower_bounds) == 30


@pytest.mark.parametrize("acceleration", ACCELERATIONS)
@pytest.mark.parametrize("covariance_type", [*LAYOUTS, *MCLUST_NAMES])
def test_every_structure_reaches_the_optimum_of_em_and_the_bound_never_falls(covariance_type, acceleration):
    X = load_faithful().data
    arguments = {"covariance_type": covariance_type, "random_state": 0, "tol": 1e-8, "max_iter": 3000}
    plain = fit(GaussianMixture(3, **arguments), X)
    quick = fit(GaussianMixture(3, acceleration=acceleration, **arguments), X)
    assert quick.converged_
    assert np.diff(quick.lower_bounds_).min() >= -1e-10  # the M-step of EEV is of the likelihood but for reg_covar
    assert quick.score(X) >= plain.score(X) - 1e-6
    assert quick.n_passes_ >= quick.n_iter_
    assert plain.n_passes_ == plain.n_iter_
    assert quick.n_passes_ <= plain.n_passes_ + 2


CASES = {
    "faithful": (lambda: load_faithful().data, 3),
    "4000 x 2": (lambda: overlapping(4000, 2, 5, 1.5), 5),
    "4000 x 3": (lambda: overlapping(4000, 3, 8, 1.5), 8),
}


@pytest.mark.parametrize("case", CASES)
def test_overlapping_clusters_take_half_the_passes(case):
    make, k = CASES[case]
    X = make()
    arguments = {"n_components": k, "random_state": 0, "tol": 1e-7, "max_iter": 20_000}
    plain = fit(GaussianMixture(**arguments), X)
    quick = fit(GaussianMixture(acceleration="auto", **arguments), X)
    assert quick.converged_
    assert quick.score(X) >= plain.score(X) - 10 * plain.tol
    assert quick.n_passes_ <= 0.5 * plain.n_passes_


@pytest.mark.parametrize("acceleration", ACCELERATIONS)
@pytest.mark.parametrize("tol", [1e-3, 1e-7])
@pytest.mark.parametrize("separation", [8.0, 12.0])
def test_clusters_that_are_apart_lose_two_passes_at_most(acceleration, tol, separation):
    X = overlapping(3000, 4, 5, separation)
    plain = fit(GaussianMixture(5, random_state=0, tol=tol, max_iter=500), X)
    quick = fit(GaussianMixture(5, random_state=0, tol=tol, max_iter=500, acceleration=acceleration), X)
    assert quick.n_passes_ <= plain.n_passes_ + 2
    assert quick.score(X) >= plain.score(X) - 10 * tol


@pytest.mark.parametrize("acceleration", ACCELERATIONS)
def test_a_plain_step_ends_it(acceleration):
    X, tol = overlapping(2000, 2, 4, 1.5), 1e-6
    quick = fit(GaussianMixture(4, random_state=0, tol=tol, max_iter=5000, acceleration=acceleration), X)
    assert quick.converged_
    gain = quick.score(X) - quick.lower_bound_  # of the last plain step and no other
    assert 0 <= gain < tol


def begun(means: np.ndarray, units: float | np.ndarray = 1.0) -> dict[str, Any]:
    """All first parameters, so that no start is drawn."""
    k, d = means.shape
    precision = np.diag(1.0 / (np.ones(d) * units) ** 2)
    return {"weights_init": np.full(k, 1 / k), "means_init": means * units, "precisions_init": [precision] * k}


@pytest.mark.parametrize("acceleration", ["over-relaxation", "squarem"])
def test_weights_are_repeated_samples(acceleration):
    X = overlapping(400, 2, 3, 1.5)
    weights = np.random.default_rng(0).integers(1, 4, size=len(X))
    arguments = {**begun(X[:3]), "tol": 0.0, "max_iter": 25, "acceleration": acceleration}
    one = fit(GaussianMixture(3, **arguments), X, sample_weight=weights.astype(float))
    other = fit(GaussianMixture(3, **arguments), np.repeat(X, weights, axis=0))
    np.testing.assert_allclose(one.lower_bounds_, other.lower_bounds_, rtol=1e-9)
    assert one.n_passes_ == other.n_passes_


@pytest.mark.parametrize("acceleration", ["over-relaxation", "squarem"])
def test_units_do_not_matter(acceleration):
    X = overlapping(1500, 3, 3, 1.5)
    units = np.array([2.0**-14, 1.0, 2.0**13])
    arguments = {"tol": 0.0, "max_iter": 25, "acceleration": acceleration, "reg_covar": 0.0}
    one = fit(GaussianMixture(3, **begun(X[:3]), **arguments), X)
    other = fit(GaussianMixture(3, **begun(X[:3], units), **arguments), X * units)
    assert one.n_passes_ == other.n_passes_
    np.testing.assert_allclose(one.lower_bounds_, np.add(other.lower_bounds_, np.log(units).sum()), rtol=1e-8)


@pytest.mark.parametrize("acceleration", ACCELERATIONS)
def test_bits_of_memory_threads_and_chunks(acceleration, limits):
    X = overlapping(9000, 2, 3, 1.5)
    arguments = {"random_state": 0, "tol": 0.0, "max_iter": 25, "acceleration": acceleration}
    expected = fit(GaussianMixture(3, n_threads=1, **arguments), X)
    for n_threads in (2, 3):
        assert_same_fit(fit(GaussianMixture(3, n_threads=n_threads, **arguments), X), expected)
    limits(loaded=4096)
    first = {"means_init": expected.means_, "weights_init": expected.weights_}
    in_memory = fit(GaussianMixture(3, **first, precisions_init=expected.precisions_, **arguments), X)
    parts = chunks(list(np.array_split(X, 4)))
    assert_same_fit(
        fit(GaussianMixture(3, **first, precisions_init=expected.precisions_, **arguments), parts), in_memory
    )


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "VEV"])
@pytest.mark.parametrize("acceleration", ACCELERATIONS)
def test_the_checkpoint_of_every_moment_leads_to_the_same_fit(covariance_type, acceleration, tmp_path, monkeypatch):
    X, path, files = overlapping(1500, 2, 3, 1.0)[:, ::-1], tmp_path / "c.npz", []
    write = Checkpoint.write

    def keeping(self: Checkpoint, position: Any) -> None:
        write(self, position)
        files.append(path.read_bytes())

    def model() -> GaussianMixture:
        return GaussianMixture(
            3,
            covariance_type=covariance_type,
            acceleration=acceleration,
            n_init=2,
            init_params="random_from_data",
            random_state=1,
            tol=0.0,
            max_iter=14,
        )

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "write", keeping)
        expected = fit(model(), X, checkpoint=path, checkpoint_every=0)
    assert len(files) >= 30
    for content in files:
        path.write_bytes(content)
        found = fit(model(), X, checkpoint=path)
        assert_same_fit(found, expected)
        assert found.n_passes_ == expected.n_passes_
    path.write_bytes(files[9])
    with pytest.raises(ValueError, match=r"acceleration was .* and is None now"):
        model().set_params(acceleration=None).fit(X, checkpoint=path)


@pytest.mark.parametrize("acceleration", ["over-relaxation", "squarem"])
def test_ctrl_c_keeps_parameters_of_a_plain_step(acceleration, monkeypatch):
    from kit import stop_at

    X = overlapping(1500, 2, 3, 1.0)
    model = GaussianMixture(3, acceleration=acceleration, tol=0.0, max_iter=100, random_state=0)
    with monkeypatch.context() as patch:
        stop_at(patch, "reached", 9)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X)
    assert model.n_iter_ == 9
    assert model.score(X) >= model.lower_bound_


def test_what_falls_or_collapses_is_rejected():
    """A step whose M-step fails at every proposal: the run is that of EM, with a pass more for each of them."""
    X = overlapping(300, 2, 3, 1.0)

    class Brittle(MaximumLikelihood):
        def bound(self, stats, params, total_weight):
            own = super().bound(stats, params, total_weight)
            return own if params in known else float("nan")

        def maximise(self, stats, previous=None):
            params = super().maximise(stats, previous)
            if not np.isnan(stats.log_likelihood):  # of a sweep, not a proposal
                known.append(params)
            return params

    class Known(list):
        def __contains__(self, params):
            return any(params is one for one in self)

    mixture = (np.full(3, 1 / 3), X[:3].copy(), random_mixture("full", 3, 2)[2])
    first = check_parameters(*mixture, layout_named("full"))
    known = Known([first])
    source, stop = ArraySource(X), Stop(0.0, 12)
    plain = loop.run(source, first, MaximumLikelihood(STRUCTURES["full"], 1e-6), stop, compiled_loop=False)
    for name in ("over-relaxation", "squarem"):
        found = loop.run(source, first, Brittle(STRUCTURES["full"], 1e-6), stop, accelerator=ACCELERATORS[name]())
        assert found.lower_bounds == plain.lower_bounds
        assert np.array_equal(found.params.means, plain.params.means)
        assert found.n_passes > plain.n_passes


@pytest.mark.parametrize("acceleration", ["over-relaxation", "squarem"])
@pytest.mark.parametrize("covariance_type", ["full", "diag", "spherical"])
def test_the_bound_never_falls_beside_an_atom(covariance_type, acceleration):
    """A component that shrinks onto equal samples: a proposal with a scatter below zero would have a likelihood of its own."""
    rng = np.random.default_rng(0)
    for seed in range(5):
        X = np.vstack([np.zeros((50, 2)), np.random.default_rng(seed).normal(size=(50, 2))])
        first = {"weights_init": [0.5, 0.5], "means_init": [[0.1, 0.1], [0.5, -0.5]], "precisions_init": None}
        model = GaussianMixture(2, covariance_type=covariance_type, acceleration=acceleration, tol=0.0, max_iter=60)
        fitted = fit(model.set_params(**first, random_state=int(rng.integers(99))), X)
        assert np.diff(fitted.lower_bounds_).min() >= -1e-9


def test_starts_are_not_given_up_by_gains_of_plain_steps():
    X = overlapping(1500, 2, 4, 1.0)
    model = GaussianMixture(4, n_init=3, init_params="random_from_data", acceleration="squarem", tol=1e-9, max_iter=300)
    said: list[str] = []

    class Told(loop.Callback):
        def end(self, result: Any) -> None:
            said.append(result.stopped_early)

    from fastgmm.estimators import fittable

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fittable, "Lines", lambda *_: Told())
        fit(model.set_params(verbose=1, random_state=0), X)
    assert said == ["", "", ""]


def test_several_starts_are_screened_with_it(monkeypatch):
    from fastgmm.fitting import screening

    X = overlapping(3000, 2, 3, 1.0)
    monkeypatch.setattr(screening, "SAMPLE", 400)
    monkeypatch.setattr(screening, "NUMBERS", 1)
    made = []
    monkeypatch.setitem(accelerate.ACCELERATORS, "squarem", lambda: made.append(1) or accelerate.Squarem())
    fit(GaussianMixture(3, n_init=4, acceleration="squarem", random_state=0), X)
    assert len(made) > 4


def test_it_is_saved(tmp_path):
    quick = fit(GaussianMixture(3, acceleration="squarem", random_state=0, tol=1e-6, max_iter=300), blobs(400))
    quick.save(tmp_path / "m.npz")
    loaded = fastgmm.load(tmp_path / "m.npz")
    assert (loaded.acceleration, loaded.n_passes_) == ("squarem", quick.n_passes_)
    for name in ARRAYS:
        assert np.array_equal(getattr(loaded, name), getattr(quick, name))


def test_wrong_arguments():
    X = blobs()
    with pytest.raises(
        ValueError, match="acceleration must be one of 'auto', 'over-relaxation', 'squarem', got 'fast'"
    ):
        GaussianMixture(acceleration="fast").fit(X)
    message = "acceleration='auto' needs EM on all samples, but batch_size makes a step after each batch"
    with pytest.raises(ValueError, match=re.escape(message)):
        GaussianMixture(acceleration="auto").fit(X, batch_size=50)

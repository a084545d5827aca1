"""`on_collapse="reset"`: components that collapse or lose their samples are started anew, a bounded number of times."""

from __future__ import annotations

import contextlib
import itertools
import warnings

import dask.array as da
import numpy as np
import pytest
from kit import assert_same_fit, stop_at
from numpy.testing import assert_allclose, assert_array_equal

from fastgmm import DegenerateWarning, GaussianMixture, chunks, load
from fastgmm.data.source import ArraySource
from fastgmm.em.evaluate import log_prob
from fastgmm.fitting.resets import MOST_RESETS, _places, reset

LAYOUTS = ["full", "tied", "diag", "spherical"]
FAR = [[0.0, 0.0], [6.0, 0.0], [1e3, 1e3]]


def three(n=400, seed=0):
    """Three clusters, the last one a tenth of the samples."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, p=[0.45, 0.45, 0.1], size=n)
    return rng.normal(size=(n, 2)) + np.array([[0.0, 0.0], [6.0, 0.0], [3.0, 8.0]])[labels], labels


def duplicates():
    """Two clusters and a sample that is there ten times."""
    rng = np.random.default_rng(0)
    ends = rng.normal(size=(200, 2)), rng.normal(size=(200, 2)) + [6.0, 0.0]
    return np.vstack([*ends, np.full((10, 2), 3.0)])


def model(**arguments):
    return GaussianMixture(3, **{"on_collapse": "reset", "random_state": 0, "max_iter": 500, **arguments})


def fitted(X, **arguments):
    """Return a fit and what it said of its resets."""
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        found = model(**arguments).fit(X)
    assert not [w for w in record if issubclass(w.category, DegenerateWarning)]
    return found, [str(w.message) for w in record if "started anew" in str(w.message)]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_component_without_samples_finds_the_cluster_that_fits_worst(name):
    X, labels = three()
    arguments = {"means_init": FAR, "covariance_type": name, "tol": 1e-6}
    with pytest.warns(DegenerateWarning, match="component 2 holds .* no sample belongs to it"):
        model(on_collapse="raise", **arguments).fit(X)
    found, (told,) = fitted(X, **arguments)
    assert found.n_resets_ == 1
    assert "component 2 holds" in told
    assert "1 time in the kept start" in told
    predicted = found.predict(X)
    assert max((np.array(order)[predicted] == labels).mean() for order in itertools.permutations(range(3))) > 0.99
    assert found.n_passes_ > found.n_iter_ == len(found.lower_bounds_)
    assert (np.diff(found.lower_bounds_) >= -1e-9).all()


@pytest.mark.parametrize("reg_covar", [0.0, 1e-6])
@pytest.mark.parametrize("acceleration", [None, "squarem", "over-relaxation"])
def test_a_component_on_equal_samples(reg_covar, acceleration):
    X = duplicates()
    arguments = {"reg_covar": reg_covar, "acceleration": acceleration, "means_init": [[0, 0], [3, 3], [6, 0]]}
    plain = model(on_collapse="raise", **arguments)
    if reg_covar:
        with pytest.warns(DegenerateWarning, match=r"component 1 holds .* \(1 distinct\)"):
            plain.fit(X)
    else:
        with pytest.raises(ValueError, match=r"component 1, which holds .* of 410 samples, has an ill-defined"):
            plain.fit(X)
    found, (told,) = fitted(X, **arguments)
    assert found.n_resets_ >= 1
    assert "component 1 holds" in told
    assert found.converged_
    assert found._params().variances.min() > 0.05


def test_a_collapse_at_the_start():
    X, labels = three()
    groups = np.where(labels == 2, 0, labels)
    groups[np.flatnonzero(labels == 1)[:1]] = 2  # a single sample has no covariance
    with pytest.raises(ValueError, match="already at the start component 2, which holds 1 of 400 samples"):
        model(on_collapse="raise", reg_covar=0.0, init_params=groups).fit(X)
    found, told = fitted(X, reg_covar=0.0, init_params=groups)
    assert len(told) == (found.n_resets_ > 0)
    assert found.converged_


def test_a_fit_without_a_collapse_is_the_same():
    X, _ = three()
    plain = model(on_collapse="raise").fit(X)
    found, told = fitted(X)
    assert_same_fit(found, plain)
    assert found.n_resets_ == 0
    assert not told
    assert not hasattr(plain, "n_resets_")


def test_resets_are_bounded():
    X = np.repeat([[0.0, 0.0], [1.0, 0.0]], 10, axis=0)
    message = rf"failed: after {MOST_RESETS} resets, component \d, which holds .* ill-defined empirical covariance"
    with pytest.warns(UserWarning, match="k-means found 2 distinct clusters"), pytest.raises(ValueError, match=message):
        model(reg_covar=0.0).fit(X)


def test_what_all_share_cannot_be_started_anew():
    X = np.column_stack([three()[0], np.ones(400)])
    for name in ("tied", "VEE"):
        with pytest.raises(
            ValueError, match=r"failed: .* shared|failed: .* that the components share|the tied covariance"
        ):
            model(reg_covar=0.0, covariance_type=name).fit(X)
    with pytest.raises(ValueError, match="ill-defined empirical covariance"):
        GaussianMixture(1, on_collapse="reset", reg_covar=0.0).fit(X)


@pytest.mark.parametrize("kept", ["prior", "noise"])
def test_beside_a_prior_or_noise(kept):
    X, _ = three()
    found, told = fitted(X, means_init=FAR, **{kept: "default" if kept == "prior" else True})
    assert found.weights_.min() > 0.05
    assert found.n_resets_ == len(told) >= (kept == "noise")
    total = found.weights_.sum() + (found.noise_.weight if kept == "noise" else 0.0)
    assert total == pytest.approx(1.0)


def test_several_starts_and_screening():
    X = duplicates()
    found, told = fitted(X, n_init=4, init_params="random", reg_covar=0.0)
    assert found.converged_
    assert len(told) == (found.n_resets_ > 0)
    large, _ = three(90_000)
    found, _ = fitted(large, n_init=2, init_params="random_from_data")
    assert found.weights_.min() > 0.05


def test_sources_and_threads(tmp_path):
    X, _ = three(6000)
    start = {"means_init": FAR, "tol": 1e-6}
    expected, _ = fitted(X, **start)
    assert expected.n_resets_ == 1
    np.save(tmp_path / "x.npy", X)
    for source in (tmp_path / "x.npy", chunks([X[:2500], X[2500:]])):
        assert_same_fit(fitted(source, **start)[0], expected)
    assert_same_fit(fitted(X, n_threads=1, **start)[0], fitted(X, n_threads=2, **start)[0])
    elsewhere, _ = fitted(da.from_array(X, chunks=(2000, 2)), **start)
    assert elsewhere.n_resets_ == 1
    assert_allclose(elsewhere.means_, expected.means_, rtol=1e-4)
    single, _ = fitted(X.astype(np.float32), **start)
    assert_allclose(single.means_, expected.means_, atol=1e-2)


def test_samples_of_weight_zero_are_not_the_worst():
    X, _ = three()
    far = np.vstack([X, np.full((30, 2), -1e3)])
    weights = np.append(np.ones(len(X)), np.zeros(30))
    found = model(means_init=FAR, tol=1e-6)
    with pytest.warns(UserWarning, match="started anew"):
        found.fit(far, sample_weight=weights)
    assert_allclose(found.means_, fitted(X, means_init=FAR, tol=1e-6)[0].means_, rtol=1e-6)


@pytest.mark.parametrize("n", [400, 4000])  # in one lane by the compiled loop, and not
def test_a_checkpoint_resumes_to_the_same_bits(tmp_path, n):
    X, path = three(n)[0], tmp_path / "fit.ckpt"
    arguments = {"means_init": FAR, "tol": 1e-9}
    expected, _ = fitted(X, **arguments)
    calls = [1, 3] if n == 400 else [1, 4, 7, 10]
    for call in calls:
        with pytest.MonkeyPatch.context() as patch:
            counter = stop_at(patch, "reached", call)
            with contextlib.suppress(KeyboardInterrupt):
                model(**arguments).fit(X, checkpoint=path, checkpoint_every=0)
        if counter.n < call:
            continue
        resumed = model(**arguments).fit(X, checkpoint=path)
        assert_same_fit(resumed, expected)
        assert resumed.n_resets_ == expected.n_resets_
        assert resumed.n_passes_ == expected.n_passes_
        assert not path.exists()


def test_save_and_load(tmp_path):
    found, _ = fitted(three()[0], means_init=FAR)
    found.save(tmp_path / "m.npz")
    again = load(tmp_path / "m.npz")
    assert_same_fit(found, again)
    assert again.n_resets_ == found.n_resets_ == 1


class TestTheReset:
    def test_the_worst_fitted_samples_have_the_new_component(self):
        X, labels = three()
        params = model(means_init=FAR, on_collapse="raise", covariance_type="spherical").fit(X)._params()
        new = reset(ArraySource(X), params, [2], 0, None)
        worst = np.argsort(log_prob(ArraySource(X), params))[:20]
        assert (labels[worst] == 2).mean() > 0.9
        assert np.linalg.norm(new.means[2] - [3.0, 8.0]) < 2.0
        assert_array_equal(new.means[:2], params.means[:2])
        assert new.weights.sum() == pytest.approx(params.weights.sum())
        assert new.weights[2] == pytest.approx(1 / 3)
        assert new.covariances[2] == pytest.approx(np.average(params.covariances[:2], weights=params.weights[:2]))

    def test_another_time_is_elsewhere(self):
        X, _ = three()
        params = model(means_init=FAR, on_collapse="raise").fit(X)._params()
        places = [reset(ArraySource(X), params, [2], n, None).means[2] for n in range(3)]
        assert np.linalg.norm(places[0] - places[1]) > 0.1
        assert np.linalg.norm(places[1] - places[2]) > 0.1

    def test_places_are_dense(self):
        rng = np.random.default_rng(0)
        samples = np.vstack([rng.normal(size=(20, 2)) * 0.1 + 5.0, rng.uniform(-50, 50, size=(40, 2))])
        assert np.linalg.norm(_places(samples, 1)[0] - 5.0) < 0.5
        assert _places(samples, 30).shape == (30, 2)


class TestWrong:
    def test_the_name(self):
        with pytest.raises(ValueError, match=r"on_collapse must be one of 'raise', 'reset', got 'restart'"):
            model(on_collapse="restart").fit(three()[0])

    def test_batches(self):
        X, _ = three()
        with pytest.raises(
            ValueError, match=r"on_collapse='reset' needs EM on all samples, but batch_size makes a step after"
        ):
            model().fit(X, batch_size=100)
        with pytest.raises(ValueError, match=r"on_collapse='reset' needs EM on all samples, but partial_fit makes"):
            model().partial_fit(X)

"""Parameters held fixed: they keep their bits, and the others are the most likely beside them."""

from __future__ import annotations

import numpy as np
import pytest
from kit import blobs
from scipy.optimize import minimize

from fastgmm import GaussianMixture, NormalInverseWishart, em_step, load
from fastgmm.data.source import ArraySource
from fastgmm.em.step import MaximumLikelihood
from fastgmm.em.sweep import sweep
from fastgmm.model.structures import STRUCTURES

K, D = 3, 2
NAMES = ["full", "tied", "diag", "spherical", "EEI", "VEI", "VEE", "EEV", "VVE"]


@pytest.fixture(scope="module")
def X():
    return blobs(300, D, K, seed=0)


def start(name: str, X: np.ndarray) -> dict:
    """Return first parameters of a structure, from a fit of one iteration."""
    found = GaussianMixture(K, covariance_type=name, max_iter=1, tol=1e9, random_state=0).fit(X)
    return {"weights_init": found.weights_, "means_init": found.means_ + 0.3, "precisions_init": found.precisions_}


def model(name: str, X: np.ndarray, fixed: object, **options: object) -> GaussianMixture:
    arguments = {"covariance_type": name, "fixed": fixed, "tol": 1e-9, "max_iter": 300, **start(name, X)}
    return GaussianMixture(K, **(arguments | options))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "fixed", [{"means": [0, 2]}, {"weights": True}, {"weights": [1], "means": True}, {"covariances": True}]
)
def test_they_stay_and_the_likelihood_never_falls(X, name, fixed):
    found = model(name, X, fixed).fit(X)
    first = start(name, X)
    if "means" in fixed:
        which = slice(None) if fixed["means"] is True else fixed["means"]
        np.testing.assert_array_equal(found.means_[which], first["means_init"][which])
    if "weights" in fixed:
        which = slice(None) if fixed["weights"] is True else fixed["weights"]
        np.testing.assert_allclose(found.weights_[which], first["weights_init"][which], rtol=1e-15)
    if "covariances" in fixed:
        np.testing.assert_allclose(found.precisions_, first["precisions_init"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.weights_.sum(), 1.0, rtol=1e-14)
    assert np.diff(found.lower_bounds_).min() > -1e-11


@pytest.mark.parametrize("name", ["full", "diag", "spherical"])
def test_covariances_of_some_components(X, name):
    found = model(name, X, {"covariances": np.array([False, True, False])}).fit(X)
    np.testing.assert_allclose(found.precisions_[1], start(name, X)["precisions_init"][1], rtol=1e-12)
    assert not np.allclose(found.precisions_[0], start(name, X)["precisions_init"][0])


def test_the_step_is_the_most_likely_beside_fixed_parameters(X):
    """Against a numerical maximum over the free parameters of one dimension."""
    x = X[:, :1]
    options = {
        "weights_init": [0.2, 0.3, 0.5],
        "means_init": [[-1.0], [0.5], [2.0]],
        "precisions_init": np.ones((3, 1)),
    }
    fixed = {"means": [0], "weights": [1], "covariances": [2]}
    found = GaussianMixture(
        3, covariance_type="diag", fixed=fixed, tol=1e-13, max_iter=5000, reg_covar=0.0, **options
    ).fit(x)

    def negative(free: np.ndarray) -> float:
        share = 0.7 / (1.0 + np.exp(-free[0]))
        weights = np.array([share, 0.3, 0.7 - share])
        means, deviations = np.array([-1.0, free[1], free[2]]), np.exp([free[3], free[4], 0.0])
        terms = weights / deviations * np.exp(-0.5 * ((x - means) / deviations) ** 2) / np.sqrt(2 * np.pi)
        return -float(np.log(terms.sum(axis=1)).mean())

    deviations = np.sqrt(found.covariances_[:2, 0])
    at = [np.log(found.weights_[0] / (0.7 - found.weights_[0])), *found.means_[1:, 0], *np.log(deviations)]
    best = minimize(negative, at, method="BFGS")
    assert negative(np.array(at)) <= best.fun + 1e-8
    np.testing.assert_allclose(found.score(x), -best.fun, atol=1e-8)


@pytest.mark.parametrize("name", ["full", "tied", "diag", "spherical", "VEV"])
def test_nothing_fixed_is_the_ordinary_step(X, name):
    plain, none = model(name, X, None).fit(X), model(name, X, {"means": [], "weights": False}).fit(X)
    np.testing.assert_array_equal(plain.means_, none.means_)
    step = MaximumLikelihood(STRUCTURES[name], 1e-6)
    stats = sweep(ArraySource(X), plain._params())
    fitted = model(name, X, {"means": [0], "weights": [0]}).set_params(warm_start=True)
    vars(fitted).update({key: value for key, value in vars(plain).items() if key.endswith("_")})
    fixed = fitted._fixed(step.structure, D, True)
    here, there = step.maximise(stats, plain._params()), MaximumLikelihood(step.structure, 1e-6, fixed=fixed)
    moved = there.maximise(stats, plain._params())
    np.testing.assert_allclose(moved.means[1:], here.means[1:], rtol=1e-12)


@pytest.mark.parametrize("options", [{"acceleration": "squarem"}, {"n_threads": 1}, {"batch_size": 100}])
def test_together_with_other_options(X, options):
    fit = {"batch_size": options.pop("batch_size")} if "batch_size" in options else {}
    found = model("full", X, {"means": [1]}, **options).fit(X, **fit)
    np.testing.assert_array_equal(found.means_[1], start("full", X)["means_init"][1])


def test_streams_warm_starts_files_and_checkpoints(X, tmp_path):
    first = start("full", X)
    stream = model("full", X, {"means": [0]})
    for part in np.array_split(X, 3):
        stream.partial_fit(part)
    np.testing.assert_array_equal(stream.means_[0], first["means_init"][0])
    stream.save(tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    assert again.fixed == {"means": [0]}
    again.set_params(warm_start=True, fixed={"means": [1], "weights": True}).fit(X)
    np.testing.assert_array_equal(again.means_[1], stream.means_[1])
    np.testing.assert_allclose(again.weights_, stream.weights_, rtol=1e-15)
    path = tmp_path / "checkpoint.npz"
    whole = model("full", X, {"means": [0]}, max_iter=6, tol=0.0).fit(X)
    with pytest.raises(KeyboardInterrupt):
        _interrupted(X, path)
    with pytest.raises(ValueError, match="fixed"):
        model("full", X, {"means": [1]}, max_iter=6, tol=0.0).fit(X, checkpoint=path)
    resumed = model("full", X, {"means": [0]}, max_iter=6, tol=0.0).fit(X, checkpoint=path)
    np.testing.assert_array_equal(resumed.covariances_, whole.covariances_)


def _interrupted(X, path):
    from fastgmm.em import step as module

    original, calls = module.MaximumLikelihood.maximise, [0]

    def maximise(self, stats, previous=None):
        calls[0] += previous is not None
        if calls[0] == 4:
            raise KeyboardInterrupt
        return original(self, stats, previous)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.MaximumLikelihood, "maximise", maximise)
        model("full", X, {"means": [0]}, max_iter=6, tol=0.0).fit(X, checkpoint=path)


@pytest.mark.parametrize(
    ("fixed", "n_fixed"),
    [({"means": [0, 1]}, 4), ({"weights": True}, 2), ({"weights": [0]}, 1), ({"covariances": [1]}, 3), (None, 0)],
)
def test_criteria_count_free_parameters(X, fixed, n_fixed):
    found = model("full", X, fixed).fit(X)
    n_parameters = (found.bic(X) + 2 * found.score(X) * len(X)) / np.log(len(X))
    np.testing.assert_allclose(n_parameters, 17 - n_fixed, rtol=1e-9)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"fixed": ["means"]}, TypeError, r"must be a dictionary such as .*got list"),
        ({"fixed": {"mean": True}}, ValueError, "a key of fixed must be one of"),
        ({"fixed": {"means": [3]}}, ValueError, "names component 3, but n_components=3"),
        ({"fixed": {"means": 1.5}}, ValueError, r"True, a list of components"),
        ({"fixed": {"means": [0]}, "means_init": None}, ValueError, "means_init, which was not given"),
        ({"fixed": {"covariances": [0]}, "covariance_type": "tied"}, ValueError, "share a part of their covariances"),
        ({"fixed": {"covariances": [0]}, "covariance_type": "VEI"}, ValueError, "fix all of them"),
        ({"fixed": {"means": [0]}, "prior": NormalInverseWishart()}, ValueError, "cannot be combined"),
        ({"fixed": {"weights": [0]}, "noise": True}, ValueError, "noise cannot be combined"),
        ({"fixed": {"means": [0]}, "on_collapse": "reset"}, ValueError, "on_collapse='reset' cannot be combined"),
    ],
)
def test_what_cannot_be_fixed_is_said(X, options, error, match):
    name = options.get("covariance_type", "full")
    with pytest.raises(error, match=match):
        model(name, X, options["fixed"], **{key: value for key, value in options.items() if key != "fixed"}).fit(X)


def test_a_step_by_hand_is_not_fixed(X):
    first = start("full", X)
    covariances = np.linalg.inv(first["precisions_init"])
    _, means, _ = em_step(X, first["weights_init"], first["means_init"], covariances)[:3]
    assert not np.allclose(means, first["means_init"])

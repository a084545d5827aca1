"""Marginal and conditional mixtures: against the formulas, against integrals, and as models of their own."""

from __future__ import annotations

import naive
import numpy as np
import pandas as pd
import pytest
from kit import blobs
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate

import fastgmm
from fastgmm import BayesianGaussianMixture, GaussianMixture
from fastgmm._names import COVARIANCE_TYPES, MCLUST_NAMES
from fastgmm.model.structures import STRUCTURES, has_structure

#: What is left of a structure in fewer features, where that is not itself.
LEFT = {"EVI": "VVI", **dict.fromkeys(("EVE", "VVE", "EEV", "VEV", "EVV"), "VVV")}
TYPES = (*COVARIANCE_TYPES, *MCLUST_NAMES)


@pytest.fixture(scope="module")
def frame():
    return pd.DataFrame(blobs(200, 4, 3, seed=1) + 100.0, columns=["a", "b", "c", "d"])


@pytest.fixture(scope="module", params=TYPES)
def model(request, frame):
    return GaussianMixture(3, covariance_type=request.param, random_state=0).fit(frame)


def matrices(model):
    layout = STRUCTURES[model.covariance_type].layout
    return layout.matrices(model.covariances_, *model.means_.shape)


class TestEveryStructure:
    def test_a_marginal_has_the_parts(self, model):
        found = model.marginal(["d", "a"])
        assert found.covariance_type == LEFT.get(model.covariance_type, model.covariance_type)
        assert list(found.feature_names_in_) == ["d", "a"]
        assert_array_equal(found.means_, model.means_[:, [3, 0]])
        assert_array_equal(matrices(found), matrices(model)[:, [[3], [0]], [3, 0]])
        assert has_structure(STRUCTURES[found.covariance_type], found.covariances_, found.weights_)

    def test_a_conditional_is_the_formula(self, model, frame):
        x = frame.to_numpy()[5, [2, 0]]
        found = model.condition([2, 0], x)
        w, m, c = naive.conditional(model.weights_, model.means_, matrices(model), [2, 0], x)
        assert found.covariance_type == LEFT.get(model.covariance_type, model.covariance_type)
        assert list(found.feature_names_in_) == ["b", "d"]
        assert_allclose(found.weights_, w, rtol=1e-8)
        assert_allclose(found.means_, m, rtol=1e-10)
        assert_allclose(matrices(found), c, rtol=1e-8, atol=1e-10)
        assert has_structure(STRUCTURES[found.covariance_type], found.covariances_, found.weights_)

    def test_both_together_are_the_whole(self, model, frame):
        whole = model.score_samples(frame[:8])
        given = model.marginal(["b"]).score_samples(frame[["b"]][:8])
        rest = [
            one.score_samples(frame[["a", "c", "d"]][i : i + 1])[0]
            for i, one in enumerate(model.condition("b", frame[["b"]].to_numpy()[:8]))
        ]
        assert_allclose(given + rest, whole, rtol=1e-12)

    def test_all_features_in_another_order_are_the_same_structure(self, model, frame):
        found = model.marginal([1, 3, 0, 2])
        assert found.covariance_type == model.covariance_type
        assert_allclose(found.score_samples(frame.iloc[:, [1, 3, 0, 2]]), model.score_samples(frame), rtol=1e-12)
        assert has_structure(STRUCTURES[found.covariance_type], found.covariances_, found.weights_, rtol=1e-3)


def test_the_known_value():
    model = GaussianMixture.from_parameters([0.5, 0.5], [[0.0, 1.0], [1.0, 2.0]], [np.eye(2)] * 2)
    found = model.condition(0, 0.0)
    assert found.weights_ @ found.means_[:, 0] == pytest.approx(1.37754067, abs=5e-9)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "EVI"])
def test_a_conditional_is_the_integral(covariance_type):
    X = blobs(150, 2, 2, seed=3)
    model = GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(X)

    def joint(y, power):
        return y**power * float(np.exp(model.score_samples([[X[3, 0], y]])[0]))

    mass, first, second = (integrate.quad(joint, -30, 30, args=(p,), points=X[:2, 1], limit=200)[0] for p in range(3))
    found = model.condition([0], [X[3, 0]])
    mean = float(found.weights_ @ found.means_[:, 0])
    variances = found.covariances_.reshape(-1) if found.covariances_.size == 2 else np.full(2, found.covariances_)
    variance = float(found.weights_ @ (variances + found.means_[:, 0] ** 2)) - mean**2
    assert mass == pytest.approx(np.exp(model.marginal(0).score_samples([[X[3, 0]]])[0]), rel=1e-8)
    assert mean == pytest.approx(first / mass, rel=1e-7)
    assert variance == pytest.approx(second / mass - (first / mass) ** 2, rel=1e-6)


def test_what_follows_is_a_model(frame, tmp_path):
    model = GaussianMixture(3, random_state=0).fit(frame.astype(np.float32))
    found = model.marginal(["a", "c"])
    assert found.means_.dtype == np.float32
    assert found.sample(5)[0].shape == (5, 2)
    found.save(tmp_path / "m.npz")
    again = fastgmm.load(tmp_path / "m.npz")
    assert_array_equal(again.predict(frame[["a", "c"]]), found.predict(frame[["a", "c"]]))
    assert found.bic(frame[["a", "c"]]) > 0
    assert found.set_params(warm_start=True, tol=10.0).fit(frame[["a", "c"]]).converged_


def test_of_a_posterior_the_expected_parameters(frame):
    model = BayesianGaussianMixture(n_components=3, random_state=0, max_iter=300, tol=1.0).fit(frame)
    found = model.marginal("c")
    assert type(found) is GaussianMixture
    assert_array_equal(found.covariances_, model.covariances_[:, 2:3, 2:3])
    assert model.condition("c", 100.0).means_.shape == (3, 3)


def test_noise_in_a_box_along_the_axes_stays():
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(150, 2)), rng.uniform(-8, 8, size=(50, 2))])
    model = GaussianMixture(1, noise=True, random_state=0).fit(X)
    found = model.marginal(0)
    assert found.noise_.weight == model.noise_.weight
    x = X[160:161]
    rest = model.condition(0, x[0, 0])
    assert rest.weights_.sum() + rest.noise_.weight == pytest.approx(1.0)
    both = found.score_samples(x[:, :1]) + rest.score_samples(x[:, 1:])
    assert_allclose(both, model.score_samples(x), rtol=1e-12)


def test_draws_of_a_conditional_are_those_of_samples_nearby():
    model = GaussianMixture.from_parameters(
        [0.4, 0.6], [[0.0, 0.0], [1.0, 3.0]], [[[1.0, 0.8], [0.8, 1.0]], [[1.0, -0.5], [-0.5, 2.0]]], random_state=0
    )
    X, _ = model.sample(400_000)
    near = X[np.abs(X[:, 0] - 0.5) < 0.02, 1]
    drawn = model.condition(0, 0.5).set_params(random_state=1).sample(20_000)[0][:, 0]
    assert drawn.mean() == pytest.approx(near.mean(), abs=0.06)
    assert drawn.std() == pytest.approx(near.std(), abs=0.05)

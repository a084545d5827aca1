"""The bootstrap: against fits, formulas and mclust, and what becomes of replicates that fail."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from kit import blobs
from numpy.testing import assert_allclose, assert_array_equal

import fastgmm
from fastgmm import BayesianGaussianMixture, GaussianMixture
from fastgmm.em.linearised import Linearised
from fastgmm.em.loop import run
from fastgmm.em.stop import Stop
from fastgmm.inference import resampling

REFERENCE = json.loads((Path(__file__).parents[1] / "mclust_classes.json").read_text(encoding="utf-8"))["acidity"]


def fitted(X, k=3, **options):
    return GaussianMixture(k, random_state=0, tol=1e-9, max_iter=5000, **options).fit(X)


@pytest.fixture(scope="module")
def large():
    """More samples than the compiled loop takes, in components that overlap."""
    return blobs(1500, 2, 3, seed=2)


def weights_of(n, b, seed=0):
    """The weights of the first replicates."""
    seeds = np.random.RandomState(seed).randint(0, 2**32, size=4, dtype=np.uint64)
    generator = np.random.Generator(np.random.PCG64(seeds))
    drawn = [generator.standard_exponential(n) for _ in range(b)]
    return np.array([w * (n / w.sum()) for w in drawn])


def exact(model, X, w, tol=1e-11):
    """The fit under weights, from the model's parameters, to the end."""
    again = GaussianMixture(len(model.weights_), covariance_type=model.covariance_type, prior=model.prior)
    again.set_params(tol=tol, max_iter=20_000, weights_init=model.weights_, means_init=model.means_)
    again.set_params(precisions_init=model.precisions_)
    return again.fit(X, sample_weight=w)


def test_the_standard_errors_of_mclust():
    """Of 1999 replicates each side knows them to 1.6 %; mclust stops EM sooner."""
    X = np.array(REFERENCE["X"])[:, None]
    model = fitted(X, 2, covariance_type="E", reg_covar=0.0)
    order = np.argsort(model.means_[:, 0])
    found = fastgmm.bootstrap(model, X, 1999, random_state=0).standard_error
    assert_allclose(found.weights[order], REFERENCE["se"]["pro"], rtol=0.1)
    assert_allclose(found.means[order, 0], REFERENCE["se"]["mean"], rtol=0.1)
    assert found.covariances.ravel()[0] == pytest.approx(REFERENCE["se"]["variance"], rel=0.1)


def test_one_component_is_the_formula():
    """Under Dirichlet weights a mean varies by s^2 / (n + 1)."""
    X = np.random.default_rng(0).normal(size=(200, 2)) * [1.0, 3.0]
    found = fastgmm.bootstrap(fitted(X, 1), X, 4000, random_state=1)
    assert_allclose(found.standard_error.means[0], X.std(axis=0) / np.sqrt(201), rtol=0.04)
    low, high = found.interval(0.9)
    assert_allclose((high.means - low.means)[0], 2 * 1.645 * X.std(axis=0) / np.sqrt(201), rtol=0.07)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "VEE", "EII"])
def test_newton_s_steps_lead_where_em_does(large, covariance_type, monkeypatch):
    model = fitted(large, covariance_type=covariance_type)
    by_em, original = [], resampling._fitted

    def counted(*arguments):
        by_em.append(1)
        return original(*arguments)

    monkeypatch.setattr(resampling, "_fitted", counted)
    found = fastgmm.bootstrap(model, large, 8, random_state=0)
    assert len(by_em) <= 2  # EM is for the few that are far from the estimate
    error = found.standard_error
    for b, w in enumerate(weights_of(len(large), 8)[:3]):
        expected = exact(model, large, w)
        assert_allclose(found.weights[b], expected.weights_, atol=0.03 * error.weights.max())
        assert_allclose(found.means[b], expected.means_, atol=0.03 * error.means.max())
        assert_allclose(found.covariances[b], expected.covariances_, atol=0.05 * error.covariances.max())


def test_the_linear_map_is_the_derivative_of_an_iteration(large):
    """One more sample: statistics go where J says."""
    model = fitted(large)
    source = model._source(large)
    step, _ = model._check_arguments()
    params = run(source, model._params(drawn=True), step, Stop(1e-14, 20_000)).params
    linear = Linearised.at(source, step, params)
    w = 1.0 + 1e-3 * np.random.default_rng(0).normal(size=len(large))
    first, likelihood = linear.first(w[None])
    assert likelihood[0] == pytest.approx(w @ model.score_samples(large), rel=1e-6)
    expected = exact(model, large, w, tol=1e-15)
    predicted = linear.x + linear.solve @ (first[0] - linear.x)
    counts = predicted.reshape(3, -1)[:, 0] / w.sum()
    moved = np.abs(expected.weights_ - params.weights).max()
    assert_allclose(counts, expected.weights_, atol=0.02 * moved)


def test_few_samples_are_fitted_one_by_one():
    X = blobs(145, 3, 3, seed=5)
    model = fitted(X)
    found = fastgmm.bootstrap(model, X, 5, random_state=3)
    for b, w in enumerate(weights_of(145, 5, seed=3)):
        expected = exact(model, X, w, tol=1e-4 / 145)
        assert_allclose(found.means[b], expected.means_, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("method", ["weighted", "nonparametric", "parametric"])
def test_methods_agree_on_much_data(method):
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(300, 1)), rng.normal(size=(200, 1)) + 6.0])
    model = fitted(X, 2)
    order = np.argsort(model.means_[:, 0])
    found = fastgmm.bootstrap(model, X, 400, method=method, random_state=0)
    expected = np.array([1 / np.sqrt(300), 1 / np.sqrt(200)])
    assert_allclose(found.standard_error.means[order, 0], expected, rtol=0.15)
    assert_allclose(found.bias.means, 0.0, atol=0.02)
    assert found.n_done == 400
    assert found.method == method


def test_the_same_seed_gives_the_same_replicates(large):
    model = fitted(large)
    a, b = (fastgmm.bootstrap(model, large, 9, random_state=2) for _ in range(2))
    assert_array_equal(a.means, b.means)
    X = blobs(145, 3, 3, seed=5)
    small = fitted(X)
    few, more = (fastgmm.bootstrap(small, X, n, random_state=2) for n in (4, 9))
    assert_array_equal(few.means, more.means[:4])


def test_priors_and_noise_are_kept():
    rng = np.random.default_rng(0)
    X = np.vstack([blobs(1500, 2, 2, seed=1), rng.uniform(-8, 8, size=(150, 2))])
    for options in ({"prior": "default"}, {"noise": True}):
        model = fitted(X, 2, **options)
        found = fastgmm.bootstrap(model, X, 8, random_state=0)
        assert (found.standard_error.means < 0.5).all()
        assert (np.abs(found.bias.means) < 0.3).all()
    prior = fitted(X, 2, prior="default")
    w = weights_of(len(X), 1)[0]
    replicate = fastgmm.bootstrap(prior, X, 8, random_state=0)
    assert_allclose(replicate.means[0], exact(prior, X, w).means_, atol=0.03 * replicate.standard_error.means.max())


def test_components_are_matched():
    X = blobs(145, 3, 3, seed=5)
    params = fitted(X)._params(drawn=True)
    turned = params.__class__(
        params.layout,
        params.weights[[2, 0, 1]],
        params.means[[2, 0, 1]],
        params.covariances[[2, 0, 1]],
        params.prec_chol[[2, 0, 1]],
    )
    again = resampling._matched(turned, params)
    assert_array_equal(again.means, params.means)
    assert_array_equal(again.covariances, params.covariances)
    assert_array_equal(again.weights, params.weights)


def test_ctrl_c_keeps_what_is_done(monkeypatch):
    X = blobs(145, 3, 3, seed=5)
    model = fitted(X)
    calls = []

    def stopping(*arguments, **options):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return run(*arguments, **options)

    monkeypatch.setattr(resampling, "run", stopping)
    with pytest.warns(UserWarning, match="after 5 of 99 replicates"):
        found = fastgmm.bootstrap(model, X, 99, random_state=0)
    assert found.n_done == 5
    calls[:] = [1] * 5
    with pytest.raises(KeyboardInterrupt):
        fastgmm.bootstrap(model, X, 99, random_state=0)


def test_replicates_that_collapse_are_left_out():
    X = np.vstack([np.random.default_rng(0).normal(size=(40, 2)), [[9, 9], [9, 9.1], [9.1, 9.05]]])
    model = fitted(X, 2, reg_covar=0.0)
    with pytest.warns(UserWarning, match="of 60 replicates collapsed and are left out"):
        found = fastgmm.bootstrap(model, X, 60, method="nonparametric", random_state=0)
    assert found.n_done + found.n_failed == 60
    assert fastgmm.bootstrap(model, X, 20, random_state=0).n_failed == 0


def test_progress_is_shown(capsys):
    X = blobs(145, 3, 3, seed=5)
    fastgmm.bootstrap(fitted(X), X, 5, random_state=0, progress=True)
    assert "of 5" in capsys.readouterr().err


def test_the_table_has_every_component():
    X = blobs(145, 3, 3, seed=5)
    text = repr(fastgmm.bootstrap(fitted(X), X, 20, random_state=0))
    assert text.startswith("20 replicates (weighted)")
    assert text.count("weight") == 4
    assert text.count("mean") == 9


def test_of_a_posterior_there_is_none():
    X = blobs(60, 2, 2)
    model = BayesianGaussianMixture(n_components=2, tol=10.0).fit(X)
    with pytest.raises(TypeError, match="the posterior of a Bayesian"):
        fastgmm.bootstrap(model, X)

"""Adaptation of a background to a few samples, and streams that drift."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastgmm
from fastgmm import GaussianMixture
from fastgmm.model.layouts import LAYOUTS

PARTS = ("weights", "means", "covariances")


def background(covariance_type="full", d=2, **options):
    rng = np.random.RandomState(0)
    X = np.vstack([rng.standard_normal((200, d)), rng.standard_normal((300, d)) * 0.5 + 3.0])
    return GaussianMixture(2, covariance_type=covariance_type, random_state=0, **options).fit(X)


def few(n=12, d=2):
    return np.random.RandomState(1).standard_normal((n, d)) + 1.0


def naive(model, X, layout, relevance, what):
    """Adapt by the formulas as they stand, with moments about the origin, component by component."""
    d = X.shape[1]
    resp = model.predict_proba(X)
    matrices = LAYOUTS[layout].matrices(model.covariances_, len(model.means_), d)
    weights, means, covariances = [], [], []
    for k in range(len(model.means_)):
        n = sum(resp[:, k])
        alpha = n / (n + relevance)
        first = sum(r * x for r, x in zip(resp[:, k], X, strict=True)) / n
        second = sum(r * np.outer(x, x) for r, x in zip(resp[:, k], X, strict=True)) / n
        m = model.means_[k]
        mean = alpha * first + (1 - alpha) * m if "means" in what else m
        weights.append(alpha * n / len(X) + (1 - alpha) * model.weights_[k])
        means.append(mean)
        # if the mean stays, the scatter is about it
        centred = second - np.outer(first, m) - np.outer(m, first) + np.outer(m, m)
        moved = mean - m
        matrix = alpha * centred + (1 - alpha) * matrices[k] - np.outer(moved, moved)
        if layout == "spherical":
            matrix = np.trace(matrix) / d * np.eye(d)
        covariances.append(matrix if layout == "full" else np.diag(np.diag(matrix)))
    weights = np.array(weights) / sum(weights) if "weights" in what else model.weights_
    covariances = np.array(covariances) if "covariances" in what else matrices
    return weights, np.array(means), LAYOUTS[layout].of_matrices(covariances)


@pytest.mark.parametrize("layout", ["full", "diag", "spherical"])
@pytest.mark.parametrize("what", [c for n in (1, 2, 3) for c in itertools.combinations(PARTS, n)], ids="-".join)
def test_it_is_the_formulas(layout, what):
    model, X = background(layout), few()
    adapted = model.adapt(X, relevance=5.0, what=what)
    weights, means, covariances = naive(model, X, layout, 5.0, what)
    assert_allclose(adapted.weights_, weights, rtol=1e-10)
    assert_allclose(adapted.means_, means, rtol=1e-10)
    assert_allclose(adapted.covariances_, covariances, rtol=1e-9, atol=1e-12)
    assert adapted.lower_bound_ == pytest.approx(model.score(X))


def test_limits_of_the_relevance():
    model, X = background(), few(60)
    step = fastgmm.em_step(X, model.weights_, model.means_, model.covariances_, reg_covar=0.0)
    whole = model.adapt(X, relevance=0, what=PARTS)
    for name, expected in zip(("weights_", "means_", "covariances_"), step[:3], strict=True):
        assert_allclose(getattr(whole, name), expected, rtol=1e-9, atol=1e-12)
    nothing = model.adapt(X, relevance=1e15, what=PARTS)
    assert_allclose(nothing.means_, model.means_, rtol=1e-9)
    assert_allclose(nothing.covariances_, model.covariances_, rtol=1e-9, atol=1e-12)


def test_the_background_stays_and_components_without_samples_too():
    model = background()
    before = {name: np.copy(value) for name, value in vars(model).items() if isinstance(value, np.ndarray)}
    near = int(model.means_[:, 0].argmax())
    X = model.means_[near] + 0.1 * few(5)
    adapted = model.adapt(X, what=["means", "covariances"])
    for name, value in before.items():
        assert_array_equal(getattr(model, name), value)
    assert_allclose(adapted.means_[1 - near], model.means_[1 - near], atol=1e-3)
    assert np.linalg.norm(adapted.means_[near] - model.means_[near]) > 0.01
    assert adapted.score(X) > model.score(X)
    assert model.adapt(X[:1]).means_.shape == (2, 2)


def test_weights_are_numbers_of_samples():
    model, X = background(), few()
    counts = np.random.RandomState(2).randint(0, 4, len(X))
    weighted = model.adapt(X, sample_weight=counts, what=PARTS)
    repeated = model.adapt(np.repeat(X, counts, axis=0), what=PARTS)
    assert_allclose(weighted.covariances_, repeated.covariances_, rtol=1e-9)
    assert_allclose(weighted.weights_, repeated.weights_, rtol=1e-9)


def test_noise_errors_and_shared_covariances():
    model = background(noise=True)
    adapted = model.adapt(few(), what=PARTS)
    assert adapted.weights_.sum() + adapted.noise_.weight == pytest.approx(1.0)
    X = few()
    assert_allclose(
        background().adapt(X, noise_covariance=np.zeros((12, 2))).means_, background().adapt(X).means_, rtol=1e-9
    )
    assert background("tied").adapt(X).covariances_.shape == (2, 2)
    with pytest.raises(
        ValueError, match="covariances of covariance_type='tied' cannot be adapted, since components share"
    ):
        background("tied").adapt(X, what="covariances")
    with pytest.raises(ValueError, match="what must be one of 'weights', 'means', 'covariances', got 'mean'"):
        background().adapt(X, what="mean")
    with pytest.raises(ValueError, match="relevance must be a finite number of at least 0"):
        background().adapt(X, relevance=-1)
    with pytest.raises(ValueError, match="component 0 is not positive definite: increase relevance"):
        GaussianMixture(1, random_state=0).fit(few(50)).adapt(X[:1], relevance=0, what=PARTS)
    with pytest.raises(fastgmm.NotFittedError):
        GaussianMixture().adapt(X)


def drifting(n_batches=200, n=500):
    """Yield batches of three clusters, two of which go round a circle."""
    rng = np.random.default_rng(0)
    for t in range(n_batches):
        z, angle = rng.integers(3, size=n), t / n_batches * 2 * np.pi
        around = 5 * np.array([np.cos(angle), np.sin(angle)])
        centres = np.array([around, -around, [8 * t / n_batches, -8 * t / n_batches]])
        yield centres[z] + rng.standard_normal((n, 2)) * np.array([[1, 0.5], [0.5, 1], [0.8, 0.8]])[z]


def test_a_stream_that_drifts_is_followed():
    """Log-likelihoods of the next batch: refits of the last ten are no better."""
    batches = list(drifting())
    scores: dict = {"forgets": [], "shrinks": [], "refits": []}
    forgets, shrinks = GaussianMixture(3, random_state=0, forgetting=1000), GaussianMixture(3, random_state=0)
    for t, batch in enumerate(batches):
        if t >= 20:
            scores["forgets"].append(forgets.score(batch))
            scores["shrinks"].append(shrinks.score(batch))
            if t % 10 == 0:
                refit = GaussianMixture(3, random_state=0).fit(np.vstack(batches[t - 10 : t]))
                scores["refits"].append(refit.score(batch))
        forgets.partial_fit(batch)
        shrinks.partial_fit(batch)
    mean = {name: np.mean(values) for name, values in scores.items()}
    assert mean["forgets"] > mean["refits"] - 0.1
    assert mean["shrinks"] < mean["refits"] - 0.5


def test_what_is_remembered():
    """A single component has the moments of all samples, each with the weight 2^(-age / half-life) of its batch."""
    batches = list(drifting(40, 50))
    model = GaussianMixture(1, forgetting=120.0, reg_covar=0.0)
    for batch in batches:
        model.partial_fit(batch)
    weights = np.repeat(2.0 ** (-50 * np.arange(39, -1, -1) / 120.0), 50)
    X = np.vstack(batches)
    assert_allclose(model.means_[0], np.average(X, axis=0, weights=weights), rtol=1e-9)
    assert_allclose(model.covariances_[0], np.cov(X.T, aweights=weights, ddof=0), rtol=1e-9)
    # the scale of weights has no influence, and twice the weight counts as twice the samples of that batch
    scaled = GaussianMixture(1, forgetting=120.0, reg_covar=0.0)
    for batch in batches:
        scaled.partial_fit(batch, sample_weight=np.full(50, 7.0))
    assert_allclose(scaled.means_, model.means_, rtol=1e-10)


def test_a_stream_that_forgets_resumes_from_a_file(tmp_path):
    batches = list(drifting(20))
    model = GaussianMixture(3, random_state=0, forgetting=800)
    for batch in batches[:10]:
        model.partial_fit(batch)
    model.save(tmp_path / "model.npz")
    loaded = fastgmm.load(tmp_path / "model.npz")
    for batch in batches[10:]:
        model.partial_fit(batch)
        loaded.partial_fit(batch)
    assert loaded.forgetting == 800
    assert_array_equal(model.means_, loaded.means_)

"""Additions from outside, through the registries alone: the examples of the contributors' guide, and their promises."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import fastgmm
from fastgmm import GaussianMixture, _names
from fastgmm.data.open import OPENERS
from fastgmm.data.source import ArraySource
from fastgmm.em.loop import run
from fastgmm.em.stop import Stop
from fastgmm.init.starts import STARTS
from fastgmm.model.layouts import FULL
from fastgmm.model.structures import MCLUST_NAMES, STRUCTURES

GUIDE = Path(__file__).parents[1] / ".github" / "CONTRIBUTING.md"
REGISTRIES = (STRUCTURES, STARTS, OPENERS)
KINDS = ("structure", "start", "source", "step")

pytestmark = pytest.mark.skipif(not GUIDE.exists(), reason="the guide is not part of the sdist")


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def added(request):
    """The names that an example of the guide defines; the registries are as before afterwards."""
    before = [dict(registry) for registry in REGISTRIES]
    names: dict = {"__name__": "added"}
    try:
        exec(compile(blocks()[KINDS.index(request.param)], str(GUIDE), "exec", dont_inherit=True), names)
        yield names
    finally:
        for registry, entries in zip(REGISTRIES, before, strict=True):
            registry.clear()
            registry.update(entries)


def of(kind):
    return pytest.mark.parametrize("added", [kind], indirect=True)


def two_groups(n=300, d=3):
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(size=(n, d)), 4.0 + rng.normal(size=(n, d)) @ np.diag(np.arange(1.0, d + 1))])


def test_each_example_is_tested():
    assert len(blocks()) == len(KINDS)


def test_names_are_those_of_the_registries():
    names = (*_names.COVARIANCE_TYPES, *_names.MCLUST_NAMES, *_names.ONE_FEATURE, *_names.TIED_NAMES)
    assert tuple(STRUCTURES) == names
    assert all(structure.name == name for name, structure in STRUCTURES.items())
    assert tuple(STARTS) == _names.STARTS


@of("structure")
def test_a_structure(added, tmp_path):
    X = two_groups()
    weights = np.random.default_rng(1).integers(0, 3, size=len(X))
    labels = np.repeat([0, 1], 300)
    model = GaussianMixture(2, covariance_type="exchangeable", init_params=labels, tol=1e-10, max_iter=500)
    whole = model.fit(X).lower_bound_
    # no more likely than that of any covariances, no less than that of spheres
    for other, sign in (("VVV", 1), ("VII", -1)):
        bound = (
            GaussianMixture(2, covariance_type=other, init_params=labels, tol=1e-10, max_iter=500).fit(X).lower_bound_
        )
        assert sign * (bound - whole) > 0
    # its covariances are their own M-step, and an optimum in both parameters
    for sigma, n in zip(model.covariances_, 600 * model.weights_, strict=True):
        scatter = n * sigma

        def likelihood(variance, covariance, n=n, scatter=scatter):
            matrix = covariance + (variance - covariance) * np.eye(3)
            return -0.5 * n * np.linalg.slogdet(matrix)[1] - 0.5 * np.trace(np.linalg.solve(matrix, scatter))

        best = likelihood(sigma[0, 0], sigma[0, 1])
        for step in (1e-3, -1e-3):
            assert likelihood(sigma[0, 0] + step, sigma[0, 1]) < best
            assert likelihood(sigma[0, 0], sigma[0, 1] + step) < best
    repeated = model.set_params(init_params=np.repeat(labels, weights)).fit(np.repeat(X, weights, axis=0))
    means = repeated.means_.copy()
    model.set_params(init_params=labels).fit(X, sample_weight=weights)
    np.testing.assert_allclose(model.means_, means, rtol=1e-6, atol=1e-6)
    model.save(tmp_path / "m.npz")
    assert np.array_equal(fastgmm.load(tmp_path / "m.npz").predict(X), model.predict(X))
    assert model._n_parameters() == 2 * 2 + 2 * 3 + 1


@of("start")
def test_a_start(added):
    X = two_groups()
    expected = GaussianMixture(2, init_params=np.argsort(np.argsort(X[:, 0])) * 2 // 600).fit(X)
    found = GaussianMixture(2, init_params="slices").fit(X)
    assert found.lower_bounds_ == expected.lower_bounds_
    chosen = fastgmm.select(X, [2], ["VVV"])
    assert chosen.best_n_components == 2


@of("source")
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", *MCLUST_NAMES[7:12]])
def test_a_source(added, covariance_type):
    X = two_groups()
    there = added["Elsewhere"](np.array_split(X, 5))
    settings = {"covariance_type": covariance_type, "random_state": 0}
    found, expected = GaussianMixture(2, **settings).fit(there), GaussianMixture(2, **settings).fit(X)
    assert found.n_iter_ == expected.n_iter_
    np.testing.assert_allclose(found.lower_bounds_, expected.lower_bounds_, rtol=1e-9)
    assert found.score(there) == pytest.approx(expected.score(X), rel=1e-9)
    assert found.bic(there) == pytest.approx(expected.bic(X), rel=1e-9)
    with pytest.raises(ValueError, match="X is distributed"):
        found.fit(there, batch_size=10)
    with pytest.raises(ValueError, match="X is distributed"):
        GaussianMixture(2, init_params=np.zeros(600, int)).fit(there)


@of("source")
def test_a_search_over_a_source(added):
    X = two_groups()
    there = fastgmm.select(added["Elsewhere"](np.array_split(X, 5)), [1, 2], ["VVV", "EEE"])
    here = fastgmm.select(X, [1, 2], ["VVV", "EEE"])
    np.testing.assert_allclose(there.bic, here.bic, rtol=1e-8)


@of("step")
def test_a_step(added):
    X = two_groups()
    prior = added["DirichletPrior"]
    step = prior(STRUCTURES["VVV"], 1e-6, alpha=50.0)
    first = GaussianMixture(3, random_state=0, max_iter=0).fit(X)._params()
    found = run(ArraySource(X), first, step, Stop(0.0, 60))
    assert (np.diff(found.lower_bounds) > -1e-12).all()
    plain = run(ArraySource(X), first, prior(STRUCTURES["VVV"], 1e-6, alpha=1.0), Stop(0.0, 60))
    expected = GaussianMixture(3, random_state=0, tol=0.0, max_iter=60).fit(X)
    np.testing.assert_allclose(plain.lower_bounds, expected.lower_bounds_, rtol=1e-10)
    assert found.params.layout is FULL
    # the bound is the mean log posterior of the parameters that entered the last iteration
    before = run(ArraySource(X), first, step, Stop(0.0, 59)).params
    model = GaussianMixture.from_parameters(before.weights, before.means, before.covariances)
    posterior = model.score(X) + 49.0 * np.log(before.weights).sum() / len(X)
    assert found.lower_bound == pytest.approx(posterior, rel=1e-10)


@of("step")
def test_an_estimator_with_a_step_of_its_own(added):
    X = two_groups()
    Balanced = added["Balanced"]
    whole = Balanced(2, random_state=0, n_init=2, tol=1e-8).fit(X)
    assert (np.diff(whole.lower_bounds_) > -1e-12).all()
    in_chunks = Balanced(2, random_state=0, n_init=2, tol=1e-8).fit(fastgmm.chunks([X[:200], X[200:]]))
    assert in_chunks.lower_bounds_ == whole.lower_bounds_

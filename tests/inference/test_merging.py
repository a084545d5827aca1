"""Merging components by entropy: against a loop, mclust's value, and itself on other kinds of data."""

from __future__ import annotations

import dask.array as da
import naive
import numpy as np
import pytest
from kit import blobs
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal

import fastgmm
from fastgmm import BayesianGaussianMixture, GaussianMixture
from fastgmm.datasets import load_faithful


@pytest.fixture(scope="module")
def data():
    """Three clusters, of which one is bent: five components."""
    rng = np.random.default_rng(0)
    angles = rng.uniform(0, np.pi, size=200)
    bow = 5 * np.column_stack([np.cos(angles), np.sin(angles)]) + 0.4 * rng.normal(size=(200, 2))
    return np.vstack([bow, rng.normal(size=(100, 2)) * 0.5 + [0, -6], rng.normal(size=(100, 2)) * 0.5 + [12, 0]])


@pytest.fixture(scope="module")
def model(data):
    return GaussianMixture(5, random_state=2).fit(data)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "VEI"])
def test_it_is_the_loop(covariance_type):
    X, w = blobs(120, 3, 4, seed=5), np.random.default_rng(0).uniform(0.1, 3.0, size=120)
    model = GaussianMixture(6, covariance_type=covariance_type, random_state=0).fit(X)
    found = fastgmm.merge(model, X, sample_weight=w)
    merges, entropies = naive.entropy_merging(model.predict_proba(X), w)
    assert found.merges == merges
    assert_allclose(found.entropies[::-1], entropies, rtol=1e-9, atol=1e-9)
    assert (np.diff(found.entropies) > 0).all()


def test_the_value_of_mclust():
    """mclust 6.0.0 for Old Faithful, EEE with three components: entropies of its E-step at its last parameters.

    clustCombi has 42.31241 and 0.4948387, of the responsibilities before the last M-step.
    """
    model = GaussianMixture.from_parameters(
        [0.165678399056441, 0.356369626513308, 0.477951974430251],
        [
            [3.79306552923032, 77.52105133235135],
            [2.03759631461296, 54.49115760082196],
            [4.4632447198396, 80.8334387763232],
        ],
        [[0.0782544809913468, 0.4801978534671843], [0.4801978534671843, 33.767146396097132]],
        covariance_type="tied",
    )
    X = load_faithful().data
    found = fastgmm.merge(model, X)
    assert_allclose(found.entropies, [0.0, 0.492556420369427, 42.3571926684103], rtol=1e-9, atol=1e-12)
    assert found.entropies[0] == 0.0  # not its rounding error
    assert_allclose(found.entropies[1:], [0.4948387, 42.31241], rtol=5e-3)
    assert found.elbow == 2
    assert sorted(np.bincount(found.predict(X, 2))) == [97, 175]
    assert str(found).endswith("elbow at 2 clusters")


def test_the_elbow_is_where_clusters_lie_apart(model, data):
    found = fastgmm.merge(model, data)
    assert found.elbow == 3
    labels = found.predict(data)
    for part in (slice(0, 200), slice(200, 300), slice(300, 400)):
        assert len(set(labels[part])) == 1
    shares = found.predict_proba(data)
    assert_allclose(shares.sum(axis=1), 1.0)
    assert_array_equal(shares.argmax(axis=1), labels)


def test_every_number_of_clusters(model, data):
    found, before = fastgmm.merge(model, data), None
    for n in range(5, 0, -1):
        groups = found.groups(n)
        assert_array_equal(np.unique(groups), np.arange(n))
        assert_array_equal(groups[np.sort(np.unique(groups, return_index=True)[1])], np.arange(n))
        if before is not None:  # each is a union of those before
            assert len(set(zip(before.tolist(), groups.tolist(), strict=True))) == n + 1
        before = groups
    assert_array_equal(found.predict(data, 5), model.predict(data))
    assert_array_equal(found.predict(data, 1), 0)


def test_other_kinds_of_data_and_weights(model, data, limits):
    found = fastgmm.merge(model, data)
    doubled = fastgmm.merge(model, np.repeat(data, 2, axis=0))
    weighted = fastgmm.merge(model, data, sample_weight=np.full(len(data), 2.0))
    assert found.merges == doubled.merges == weighted.merges
    assert_allclose(doubled.entropies, weighted.entropies, rtol=1e-9, atol=1e-9)
    lazy = da.from_array(data, chunks=(150, 2))
    assert_allclose(fastgmm.merge(model, lazy).entropies, found.entropies, rtol=1e-9, atol=1e-12)
    assert_array_equal(found.predict(lazy).compute(), found.predict(data))
    limits(block_bytes=4096)
    parts = fastgmm.merge(model, fastgmm.chunks([data[:123], data[123:]]))
    assert_allclose(parts.entropies, found.entropies, rtol=1e-9, atol=1e-12)
    for threads in (1, 2):
        again = fastgmm.merge(model.set_params(n_threads=threads), data)
        assert_array_equal(again.entropies, found.entropies)


def test_noise_stays_apart():
    rng = np.random.default_rng(0)
    X = np.vstack([blobs(200, 2, 3, seed=1), rng.uniform(-12, 12, size=(60, 2))])
    model = GaussianMixture(3, noise=True, random_state=0).fit(X)
    found = fastgmm.merge(model, X)
    assert_array_equal(found.predict(X, 1) == -1, model.predict(X) == -1)
    assert found.predict_proba(X, 2).shape == (260, 3)
    assert found.entropies[0] > 0


def test_of_a_posterior_and_of_one_component(data):
    posterior = BayesianGaussianMixture(n_components=4, random_state=0, max_iter=300).fit(data)
    assert len(fastgmm.merge(posterior, data).merges) == 3
    one = fastgmm.merge(GaussianMixture().fit(data), data)
    assert one.merges == []
    assert one.elbow is None
    assert_array_equal(one.predict(data, 1), 0)


def test_the_plot_has_an_elbow(model, data):
    found = fastgmm.merge(model, data)
    artists = found.plot(Figure())
    assert_array_equal(artists.points[0].get_ydata(), found.entropies)
    assert len(artists.lines) == 2
    assert [text.get_text() for text in artists.texts] == ["1", "2", "3", "4", "5"]

"""Starts from samples with missing values: k-means that fills nothing in, and what the others do."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastgmm import ConvergenceWarning, GaussianMixture
from fastgmm._names import STARTS
from fastgmm.data.source import ArraySource
from fastgmm.init.kmeans import kmeans, kmeans_plusplus
from fastgmm.init.noise import neighbour_distances
from fastgmm.init.points import points

CENTRES = np.array([[0.0, 0.0, 0.0, 0.0], [6.0, 0.0, 6.0, 0.0], [0.0, 6.0, 6.0, 6.0]])


def clusters(n=600, share=0.15, seed=0):
    """Three clusters apart, with missing values, and which is which."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=n)
    X = CENTRES[labels] + rng.normal(size=(n, 4))
    X[rng.uniform(size=X.shape) < share] = np.nan
    kept = ~np.isnan(X).all(axis=1)
    return X[kept], labels[kept]


def assert_found(means, atol):
    """The means are those of the clusters in some order."""
    distances = np.abs(np.asarray(means)[:, None] - CENTRES).max(axis=2)
    assert (distances.min(axis=0) < atol).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_iter", [1, 3])
def test_kmeans_is_lloyd_s_alternation_over_observed_values(n_iter, dtype):
    X = clusters(seed=1)[0].astype(dtype)
    begin = X[[3, 50, 200]]
    begin = np.where(np.isnan(begin), 1.0, begin)
    source = ArraySource(X, incomplete=True)
    found = kmeans(source, 3, np.random.RandomState(0), init=begin, max_iter=n_iter, tol=0.0, n_threads=2)
    centres, _ = naive.incomplete_lloyd(X, begin, n_iter)
    assert_allclose(found.centers, centres, rtol=1e-10 if dtype == np.float64 else 1e-4, atol=1e-5)
    again = naive.incomplete_lloyd(X, centres, 1)[1]
    assert np.mean(found.labels != again) < 0.005


def test_kmeans_finds_clusters_with_the_same_bits_on_any_number_of_threads():
    X, labels = clusters(n=9000)
    source = ArraySource(X, incomplete=True)
    one, two = (kmeans(source, 3, np.random.RandomState(0), n_threads=n) for n in (1, 2))
    assert_array_equal(one.centers, two.centers)
    assert_array_equal(one.labels, two.labels)
    assert_found(one.centers, 0.15)
    table = np.zeros((3, 3))
    np.add.at(table, (labels, one.labels), 1)
    assert table.max(axis=1).sum() > 0.98 * len(X)


def test_weights_are_repeated_rows():
    X = clusters(n=200)[0]
    weights = np.random.default_rng(0).integers(1, 4, len(X))
    begin = CENTRES + 0.5
    weighted = ArraySource.weighted(X, weights.astype(np.float64), incomplete=True)
    repeated = ArraySource(np.repeat(X, weights, axis=0), incomplete=True)
    one, other = (kmeans(s, 3, np.random.RandomState(0), init=begin, n_threads=1) for s in (weighted, repeated))
    assert_allclose(one.centers, other.centers, rtol=1e-12)


def test_kmeans_plusplus_picks_one_sample_of_each_cluster():
    X, labels = clusters(share=0.05)
    picked = kmeans_plusplus(ArraySource(X, incomplete=True), 3, np.random.RandomState(0))
    assert set(labels[picked]) == {0, 1, 2}


def test_fewer_distinct_samples_than_clusters_is_said():
    X = np.array([[1.0, np.nan], [1.0, np.nan], [5.0, 2.0], [5.0, 2.0]])
    with pytest.warns(ConvergenceWarning, match="k-means found 2 distinct clusters"):
        kmeans(ArraySource(X, incomplete=True), 3, np.random.RandomState(0))


def test_points_have_all_coordinates_and_keep_those_that_were_observed():
    X = clusters()[0]
    rows = np.flatnonzero(np.isnan(X).any(axis=1))[:5]
    found = points(ArraySource(X, incomplete=True), rows, 1)
    assert np.isfinite(found).all()
    there = ~np.isnan(X[rows])
    assert_array_equal(found[there], X[rows][there])


def test_distances_to_neighbours_of_few_missing_values_are_those_of_complete_samples():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(700, 3))
    Y = X.copy()
    Y[5, 0] = np.nan
    near = np.isclose(neighbour_distances(Y), neighbour_distances(X), rtol=0.01)
    assert near.mean() > 0.9


@pytest.mark.parametrize("start", STARTS)
def test_every_start_leads_to_the_clusters(start):
    X = clusters()[0]
    n_init = 5 if start in ("random_from_data", "k-means++") else 1
    model = GaussianMixture(
        3, missing_values="marginalize", init_params=start, random_state=1, max_iter=500, tol=1e-5, n_init=n_init
    )
    model.fit(X)
    assert (np.diff(model.lower_bounds_) > -1e-6).all()
    if start != "random":  # which begins with all means near that of all samples
        assert_found(model.means_, 0.35)


def test_noise_begins_beside_missing_values():
    X = clusters(n=900)[0]
    rng = np.random.default_rng(1)
    far = rng.uniform(-30, 30, size=(60, 4))
    model = GaussianMixture(3, noise=True, missing_values="marginalize", random_state=0).fit(np.vstack([X, far]))
    assert_found(model.means_, 0.35)
    assert model.noise_.weight == pytest.approx(60 / (len(X) + 60), abs=0.02)
    assert_array_equal(model.noise_.axes, np.eye(4))
    assert np.mean(model.predict(far) == -1) > 0.9

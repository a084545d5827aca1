"""Sweeps and evaluations of samples with missing values, against the loop over rows; whatever the source, threads, patterns."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from conftest import compiled, random_mixture
from numpy.testing import assert_allclose, assert_array_equal

from fastgmm import chunks
from fastgmm.data.open import open_source
from fastgmm.data.patterns import patterns_of
from fastgmm.data.source import ArraySource
from fastgmm.em import evaluate, incomplete
from fastgmm.em.sweep import accumulate, check_observed, mean, ranges, sweep, total
from fastgmm.init.groups import members
from fastgmm.model.checks import check_parameters
from fastgmm.model.layouts import FULL, LAYOUTS
from fastgmm.model.noise import Noise
from fastgmm.model.params import Params

TYPES = list(LAYOUTS)


def mixture(layout="full", k=3, d=4, seed=0):
    return check_parameters(*random_mixture(layout, k, d, seed), LAYOUTS[layout])


def samples(n=90, d=4, share=0.3, seed=1, dtype=np.float64):
    """Samples with values missing at random; one has none, and some patterns are rare."""
    rng = np.random.default_rng(seed)
    X = 2.0 * rng.normal(size=(n, d))
    X[rng.uniform(size=X.shape) < share] = np.nan
    X[n // 2] = np.nan
    return X.astype(dtype)


def arguments(params):
    return params.weights, params.means, params.covariances, params.layout.name


@pytest.fixture(params=["by pattern", "one by one", "as it comes"])
def cost(request, monkeypatch):
    """How long a pattern is said to take: so long that none, all, or rare ones are swept one by one."""
    value = {"by pattern": -1e12, "one by one": 1e12}.get(request.param)
    if value is not None:
        monkeypatch.setattr(incomplete, "_PATTERN", value)
    return request.param


@pytest.mark.parametrize("layout", TYPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_are_those_of_a_loop_over_rows(layout, weighted, cost):
    params, X = mixture(layout), samples()
    weights = np.random.default_rng(2).integers(1, 4, len(X)).astype(np.float64) if weighted else None
    source = ArraySource.weighted(X, weights, incomplete=True)
    stats = sweep(source, params)
    log_prob, _, counts, sums, scatter = naive.incomplete_statistics(X, *arguments(params), sample_weight=weights)
    unit = source.weight_unit
    w = np.ones(len(X)) if weights is None else weights
    # the one without any value has likelihood 1
    assert_allclose(unit * stats.log_likelihood, log_prob @ w, rtol=1e-12)
    assert_allclose(unit * stats.counts, counts, rtol=1e-12)
    assert_allclose(unit * stats.sums, sums, rtol=1e-10, atol=1e-10)
    assert_allclose(unit * stats.scatter, params.layout.of_full_scatter(scatter), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("layout", TYPES)
def test_evaluations_are_those_of_a_loop_over_rows(layout, cost):
    params, X = mixture(layout), samples()
    source = ArraySource(X, incomplete=True)
    log_prob, resp, *_ = naive.incomplete_statistics(X, *arguments(params))
    assert_allclose(evaluate.log_prob(source, params), log_prob, rtol=1e-11, atol=1e-12)
    assert_allclose(evaluate.responsibilities(source, params), resp, atol=1e-12)
    assert_array_equal(evaluate.labels(source, params), resp.argmax(axis=1))
    assert_allclose(evaluate.log_likelihood(source, params), log_prob.sum(), rtol=1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(resp > 0, resp * np.log(resp), 0.0).sum()
    sums = evaluate.classified(source, params)
    assert_allclose(sums, [log_prob.sum(), np.log(resp.max(axis=1)).sum(), entropy], rtol=1e-10)


def test_a_sample_without_any_value_has_the_weights_as_probabilities():
    params = mixture()
    source = ArraySource(np.full((2, 4), np.nan), incomplete=True)
    assert_allclose(evaluate.responsibilities(source, params), [params.weights] * 2, rtol=1e-14)
    assert_allclose(evaluate.log_prob(source, params), 0.0, atol=1e-15)
    assert not evaluate.log_density(source, params).any()
    assert sweep(source, params).counts.sum() == 0.0


def test_noise_of_a_box_is_that_of_a_shorter_box(cost):
    plain, X = mixture(), samples()
    low, high = np.full(4, -7.0), np.array([8.0, 9.0, 10.0, 11.0])
    noise = Noise(0.2, np.eye(4), low, high)
    params = Params(FULL, 0.8 * plain.weights, plain.means, plain.covariances, plain.prec_chol, noise)
    source = ArraySource(X, incomplete=True)
    _, resp, counts, _, scatter = naive.incomplete_statistics(X, *arguments(params), box=(0.2, high - low))
    assert_allclose(evaluate.responsibilities(source, params), resp, atol=1e-12)
    stats = sweep(source, params)
    assert_allclose(stats.counts, counts, rtol=1e-12)
    assert_allclose(stats.scatter, scatter, rtol=1e-10, atol=1e-10)
    assert_allclose(stats.noise, resp[~np.isnan(X).all(axis=1), -1].sum(), rtol=1e-12)


def test_float32_statistics_are_near_those_of_float64():
    params, X = mixture(), samples(n=2000, dtype=np.float32)
    stats = sweep(ArraySource(X, incomplete=True), params).about(params.means)
    exact = sweep(ArraySource(X.astype(np.float64), incomplete=True), params)
    assert_allclose(stats.counts, exact.counts, rtol=1e-5)
    assert_allclose(stats.scatter, exact.scatter, rtol=1e-4, atol=1e-3 * np.abs(exact.scatter).max())


@compiled
def test_bits_do_not_depend_on_threads_nor_on_memory_order():
    params, X = mixture(d=6), samples(n=6000, d=6, share=0.1)
    one = sweep(ArraySource(X, incomplete=True), params, 1)
    for n_threads, array in ((2, X), (3, X), (2, np.asfortranarray(X))):
        other = sweep(ArraySource(array, incomplete=True), params, n_threads)
        assert one.log_likelihood == other.log_likelihood
        assert_array_equal(one.scatter, other.scatter)


def test_parts_merge_to_the_whole(tmp_path, limits):
    params, X = mixture(), samples(n=3000)
    whole = sweep(ArraySource(X, incomplete=True), params)
    parts = [sweep(ArraySource(part, incomplete=True), params) for part in np.array_split(X, 3)]
    merged = parts[0].merge(parts[1]).merge(parts[2])
    limits(loaded=1024, block_bytes=40_000)
    stream = open_source(chunks([X[:700], X[700:]]), missing=True)
    np.save(tmp_path / "x.npy", X)
    mapped = open_source(np.load(tmp_path / "x.npy", mmap_mode="r"), missing=True)
    assert stream.incomplete
    assert mapped.incomplete
    for other in (merged, sweep(stream, params), sweep(mapped, params)):
        assert_allclose(other.log_likelihood, whole.log_likelihood, rtol=1e-12)
        assert_allclose(other.scatter, whole.scatter, rtol=1e-10, atol=1e-9)
    assert_allclose(evaluate.log_prob(stream, params), evaluate.log_prob(ArraySource(X, incomplete=True), params))


class TestPatterns:
    def test_every_sample_is_in_its_pattern(self):
        X = samples(n=500, d=3, share=0.5)
        patterns = patterns_of(X)
        assert len(patterns.ends) == 8
        seen = np.zeros(len(X), np.int64)
        for i in range(8):
            features, rows = patterns.pattern(i)
            seen[rows] += 1
            assert (np.diff(rows) > 0).all()
            assert_array_equal(~np.isnan(X[rows]), np.tile(np.isin(np.arange(3), features), (len(rows), 1)))
        assert (seen == 1).all()

    def test_there_may_be_as_many_as_samples_and_many_features(self):
        rng = np.random.default_rng(0)
        X = np.where(rng.uniform(size=(1500, 70)) < 0.5, np.nan, 1.0)
        X[750:] = X[:750]
        patterns = patterns_of(X)
        assert len(patterns.ends) == 750
        assert (patterns.sizes == 2).all()

    def test_a_complete_block_is_one_pattern(self):
        patterns = patterns_of(np.zeros((5, 2)))
        assert patterns.observed.all()
        assert_array_equal(patterns.order, np.arange(5))


class TestTotals:
    def test_means_and_ranges_are_those_of_the_values_that_there_are(self):
        X = samples()
        weights = np.random.default_rng(0).uniform(0.5, 2.0, len(X))
        source = ArraySource.weighted(X, weights, incomplete=True)
        there = ~np.isnan(X)
        expected = [np.average(X[t, j], weights=weights[t]) for j, t in enumerate(there.T)]
        assert_allclose(mean(source), expected, rtol=1e-12)
        assert_array_equal(ranges(source, 1), (np.nanmin(X, axis=0), np.nanmax(X, axis=0)))
        assert source.largest == np.nanmax(np.abs(X))

    def test_the_total_scatter_is_that_of_the_most_likely_normal_distribution(self):
        """Apples of Little & Rubin, Statistical Analysis with Missing Data, table 7.3: six of the second feature are missing."""
        size = [8, 6, 11, 22, 14, 17, 18, 24, 19, 23, 26, 40, 4, 4, 5, 6, 8, 10]
        worms = [59, 58, 56, 53, 50, 45, 43, 42, 39, 38, 30, 27] + [np.nan] * 6
        found = total(ArraySource(np.array([size, worms]).T, incomplete=True), 1)
        assert_allclose(found.mean, [14.7222222, 49.3333333], rtol=2e-4)
        covariance = [[89.5339506, -90.6967292], [-90.6967292, 114.6949551]]
        assert_allclose(found.scatter / 18, covariance, rtol=2e-3)

    def test_of_known_groups_missing_values_have_the_group_s_mean_and_variance(self):
        X, labels = samples(share=0.2), np.arange(90) % 2
        stats = accumulate(ArraySource(X, incomplete=True), FULL, np.zeros((2, 4)), members(labels, 2))
        for j in range(2):
            means = np.nanmean(X[labels == j], axis=0)
            assert_allclose(stats.origin[j] + stats.sums[j] / stats.counts[j], means, rtol=1e-9)
            assert (np.linalg.eigvalsh(stats.scatter[j]) > 0).all()
        assert stats.counts.sum() == np.count_nonzero(~np.isnan(X).all(axis=1))

    def test_a_feature_without_any_value_is_named(self):
        X = samples()
        X[:, 2] = np.nan
        source = ArraySource(X, incomplete=True)
        with pytest.raises(
            ValueError, match=r"feature 2 \(counted from 0\) has no value in any sample .* leave it out"
        ):
            check_observed(source)
        with pytest.raises(ValueError, match="feature 'c' has no value"):
            check_observed(source, list("abcd"))

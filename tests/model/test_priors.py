"""Conjugate priors: the M-step that finds the mode, the log-density, and what is not a prior."""

from __future__ import annotations

import copy
import pickle

import naive
import numpy as np
import pytest
from numpy.testing import assert_allclose

from fastgmm import NormalInverseWishart
from fastgmm.data.source import ArraySource
from fastgmm.em.step import MaximumAPosteriori
from fastgmm.em.sweep import accumulate, sweep
from fastgmm.fitting.prior import completed
from fastgmm.model.priors import Prior
from fastgmm.model.structures import MCLUST_NAMES, STRUCTURES, shared_by_all

CLOSED = ("EII", "VII", "EEI", "VVI", "EEE", "VVV")
SHARED = ("EII", "EEI", "EEE")
D, K = 3, 3
GIVEN = {
    "mean": [1.0, -2.0, 0.5],
    "shrinkage": 3.0,
    "dof": 7.0,
    "scale": [[2.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 0.7]],
}
ALL = [*MCLUST_NAMES, "full", "tied", "diag", "spherical"]


def data(n=40, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, D)) * [1.0, 2.0, 0.5] + rng.normal(size=(K, D))[np.arange(n) % K] * 3
    resp = rng.dirichlet(np.ones(K), size=n) ** 2
    return X, resp / resp.sum(axis=1, keepdims=True)


def stats_of(X, resp, structure):
    origin = np.tile(X.mean(axis=0), (K, 1))
    return accumulate(ArraySource(X), structure.layout, origin, lambda a, b: resp[a:b])


def step_of(structure, prior=None):
    prior = prior or NormalInverseWishart(**GIVEN)
    return MaximumAPosteriori(structure, 0.0, prior=prior.checked(D).of(structure, K))


def written_out(X, resp):
    counts = resp.sum(axis=0)
    centres = resp.T @ X / counts[:, None]
    within = np.array([(r[:, None] * (X - c)).T @ (X - c) for r, c in zip(resp.T, centres, strict=True)])
    return within, counts, centres


def matrices(params):
    return params.layout.matrices(params.covariances, *params.means.shape)


class TestTheMode:
    @pytest.mark.parametrize("name", CLOSED)
    def test_is_that_of_the_formulas(self, name):
        X, resp = data()
        structure = STRUCTURES[name]
        params = step_of(structure).maximise(stats_of(X, resp, structure))
        means, covariances = naive.posterior_mode(*written_out(X, resp), name, **GIVEN)
        assert_allclose(params.means, means, rtol=1e-10)
        assert_allclose(matrices(params), covariances, rtol=1e-10, atol=1e-14)
        assert_allclose(params.weights, resp.mean(axis=0), rtol=1e-12)

    @pytest.mark.parametrize("name", MCLUST_NAMES)
    def test_no_mixture_of_the_structure_near_it_is_better(self, name):
        """The expected log-likelihood plus the log-prior, at the mode and at modes of statistics that differ a little."""
        X, resp = data()
        structure = STRUCTURES[name]
        step, stats = step_of(structure), stats_of(X, resp, structure)
        best = step.maximise(stats)

        def objective(params):
            expected = (resp * naive.log_density(X, params.means, matrices(params), "full")).sum()
            shared = name in SHARED
            return expected + naive.log_prior(params.means, matrices(params), structure.layout.name, shared, **GIVEN)

        at_best, rng = objective(best), np.random.default_rng(1)
        for size in (1e-3, 1e-2, 0.1):
            for _ in range(10):
                other = resp * np.exp(size * rng.normal(size=resp.shape))
                near = step.maximise(stats_of(X, other / other.sum(axis=1, keepdims=True), structure))
                assert objective(near) <= at_best + 1e-7

    @pytest.mark.parametrize("name", MCLUST_NAMES)
    def test_a_component_without_samples_has_the_mode_of_the_prior(self, name):
        X, resp = data()
        resp[:, 2] = 0.0
        resp /= resp.sum(axis=1, keepdims=True)
        params = step_of(STRUCTURES[name]).maximise(stats_of(X, resp, STRUCTURES[name]))
        assert_allclose(params.means[2], GIVEN["mean"], rtol=1e-6)
        if name == "VVV":
            assert_allclose(params.covariances[2], np.array(GIVEN["scale"]) / (7 + D + 2), rtol=1e-6)

    def test_without_shrinkage_means_are_those_of_the_samples(self):
        X, resp = data()
        prior = NormalInverseWishart(**GIVEN | {"shrinkage": 0.0})
        params = step_of(STRUCTURES["VVV"], prior).maximise(stats_of(X, resp, STRUCTURES["VVV"]))
        within, counts, centres = written_out(X, resp)
        assert_allclose(params.means, centres, rtol=1e-12)
        # no density of the mean, and with it a half less of log |Sigma|
        expected = (np.array(GIVEN["scale"]) + within) / (7 + D + counts + 1)[:, None, None]
        assert_allclose(params.covariances, expected, rtol=1e-10)


class TestTheDensity:
    @pytest.mark.parametrize("name", ALL)
    @pytest.mark.parametrize("shrinkage", [0.0, 3.0])
    def test_differences_are_those_of_the_formulas(self, name, shrinkage):
        structure, given = STRUCTURES[name], GIVEN | {"shrinkage": shrinkage}
        prior = NormalInverseWishart(**given).checked(D).of(structure, K)
        found, expected = [], []
        for seed in range(3):
            X, resp = data(seed=seed)
            params = step_of(structure).maximise(stats_of(X, resp, structure))
            found.append(prior.log_density(params))
            shared = structure.mclust_name in SHARED
            of = (params.means, matrices(params), structure.layout.name, shared)
            expected.append(naive.log_prior(*of, **given))
        assert_allclose(np.diff(found), np.diff(expected), rtol=1e-9, atol=1e-9)

    def test_in_units_of_weights(self):
        X, resp = data()
        structure = STRUCTURES["VVV"]
        prior = NormalInverseWishart(**GIVEN).checked(D).of(structure, K)
        stats = stats_of(X, resp, structure)
        _, means, covariances = prior.maximise(structure, stats, 0.0)
        _, half_means, half_covariances = prior.in_units(0.5).maximise(structure, stats.times(2.0), 0.0)
        assert_allclose(half_means, means, rtol=1e-12)
        assert_allclose(half_covariances, covariances, rtol=1e-12)
        params = step_of(structure).maximise(stats)
        assert prior.in_units(0.5).log_density(params) == pytest.approx(2.0 * prior.log_density(params))


class TestDefaults:
    def test_the_scale_of_correlated_features(self):
        X, _ = data()
        prior = completed(NormalInverseWishart(), ArraySource(X), STRUCTURES["VVV"], 4, None)
        assert_allclose(prior.scale, np.cov(X.T) / 4 ** (2 / D), rtol=1e-12)
        assert_allclose(prior.mean, X.mean(axis=0), rtol=1e-12)
        assert (prior.shrinkage, prior.dof) == (0.01, D + 2)

    @pytest.mark.parametrize("name", ["VII", "VVI", "EEI", "VEI"])
    def test_the_scale_along_the_axes(self, name):
        X, _ = data()
        prior = completed(NormalInverseWishart(), ArraySource(X), STRUCTURES[name], 4, None)
        assert_allclose(prior.scale, np.eye(D) * X.var(axis=0, ddof=1).mean() / 4 ** (2 / D), rtol=1e-12)

    @pytest.mark.parametrize("name", ["VVV", "VVI"])
    def test_weights_count_as_repeated_rows(self, name):
        X, _ = data()
        times = np.arange(len(X)) % 3
        a = completed(NormalInverseWishart(), ArraySource.weighted(X, times.astype(float)), STRUCTURES[name], 2, None)
        b = completed(NormalInverseWishart(), ArraySource(np.repeat(X, times, axis=0)), STRUCTURES[name], 2, None)
        assert_allclose(a.scale, b.scale, rtol=1e-12, atol=1e-14)
        assert_allclose(a.mean, b.mean, rtol=1e-12)

    @pytest.mark.parametrize("case", ["constant", "collinear", "few"])
    def test_a_singular_covariance_leaves_its_diagonal(self, case):
        X, _ = data()
        if case == "constant":
            X = np.column_stack([X, np.full(len(X), 0.1)])
        elif case == "collinear":
            X = np.column_stack([X, X[:, 0] - 2 * X[:, 1]])
        else:
            X = X[:3]
        d = X.shape[1]
        prior = completed(NormalInverseWishart(), ArraySource(X), STRUCTURES["VVV"], 2, None)
        variances = X.var(axis=0, ddof=1)
        if case == "constant":
            variances[3] = variances[:3].min()
        assert_allclose(prior.scale, np.diag(variances) / 2 ** (2 / d), rtol=1e-10)

    def test_equal_samples_have_none(self):
        with pytest.raises(
            ValueError, match=r"variances of the data, which are all zero: pass NormalInverseWishart\(scale="
        ):
            completed(NormalInverseWishart(), ArraySource(np.ones((5, 2))), STRUCTURES["VVV"], 1, None)
        given = NormalInverseWishart(scale=1.0)
        assert_allclose(completed(given, ArraySource(np.ones((5, 2))), STRUCTURES["VVV"], 1, None).mean, 1.0)


class TestTheValue:
    def test_a_number_and_a_diagonal_are_matrices(self):
        assert_allclose(NormalInverseWishart(scale=2.0).checked(3).scale, 2.0 * np.eye(3))
        assert_allclose(NormalInverseWishart(scale=[1, 2, 3]).checked(3).scale, np.diag([1.0, 2.0, 3.0]))

    def test_equality_copies_and_pickles(self):
        prior = NormalInverseWishart(**GIVEN)
        assert prior == copy.deepcopy(prior) == pickle.loads(pickle.dumps(prior))
        assert prior != NormalInverseWishart(**GIVEN | {"dof": 8.0})
        assert prior != NormalInverseWishart()
        assert prior != "default"
        assert repr(NormalInverseWishart(dof=5)) == "NormalInverseWishart(shrinkage=0.01, dof=5)"

    def test_nothing_of_the_user_s_is_changed(self):
        given = GIVEN | {"mean": np.array(GIVEN["mean"]), "scale": np.array(GIVEN["scale"])}
        before = copy.deepcopy(given)
        prior = NormalInverseWishart(**given)
        completed(prior, ArraySource(data()[0]), STRUCTURES["VII"], 2, None)
        for name, value in before.items():
            assert getattr(prior, name) is given[name]
            assert_allclose(given[name], value)

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"shrinkage": -1.0}, ValueError, r"prior\.shrinkage must be a finite number of at least 0, got .*-1"),
            ({"shrinkage": "1"}, TypeError, r"prior\.shrinkage must be a number of at least 0, got '1' of type str"),
            ({"dof": 2.0}, ValueError, r"prior\.dof must be above n_features - 1 = 2, got 2: .* Leave it out for 5"),
            ({"dof": None, "scale": -1.0}, ValueError, r"prior\.scale must be positive, got -1: pass variances"),
            (
                {"mean": [0.0, 1.0]},
                ValueError,
                r"'prior\.mean' should have the shape of \(3,\), \(n_features,\), but got \(2,\)",
            ),
            ({"mean": [0.0, 1.0, np.nan]}, ValueError, r"prior\.mean .*NaN"),
            ({"scale": [1.0, 2.0]}, ValueError, r"'prior\.scale' should have the shape of \(3,\), .*but got \(2,\)"),
            ({"scale": np.eye(2)}, ValueError, r"'prior\.scale' should have the shape of \(3, 3\), .*but got \(2, 2\)"),
            (
                {"scale": -np.eye(3)},
                ValueError,
                r"prior\.scale should be symmetric, positive-definite; its smallest eigenvalue is -1",
            ),
            (
                {"scale": np.tri(3)},
                ValueError,
                r"prior\.scale should be symmetric, positive-definite; it is not symmetric",
            ),
            ({"scale": "wide"}, ValueError, r"prior\.scale must hold numbers"),
        ],
    )
    def test_what_is_not_a_prior(self, arguments, error, message):
        with pytest.raises(error, match=message):
            NormalInverseWishart(**arguments).checked(3)


def test_one_prior_for_what_all_share():
    assert [name for name in MCLUST_NAMES if shared_by_all(STRUCTURES[name], 3)] == list(SHARED)
    # with one feature there is neither shape nor orientation
    assert shared_by_all(STRUCTURES["EVI"], 1)
    assert shared_by_all(STRUCTURES["E"], 1)
    assert not shared_by_all(STRUCTURES["V"], 1)


@pytest.mark.parametrize("name", ["EVI", "VEI"])
def test_one_feature_has_the_prior_of_e_or_v(name):
    one, other = (
        NormalInverseWishart(mean=[0.0], scale=2.0, dof=4.0).checked(1).of(STRUCTURES[s], 3) for s in (name, name[0])
    )
    assert isinstance(one, Prior)
    assert_allclose(one.counts, other.counts)
    assert_allclose(np.ravel(one.scatter), np.ravel(other.scatter))


def test_the_bound_is_the_posterior():
    X, resp = data()
    structure = STRUCTURES["VVV"]
    step = step_of(structure)
    params = step.maximise(stats_of(X, resp, structure))
    stats = sweep(ArraySource(X), params)
    prior = naive.log_prior(params.means, params.covariances, "full", False, **GIVEN)
    other = step.maximise(stats, params)
    again = naive.log_prior(other.means, other.covariances, "full", False, **GIVEN)
    rise = step.bound(sweep(ArraySource(X), other), other, len(X)) - step.bound(stats, params, len(X))
    likelihoods = [naive.log_prob(X, p.weights, p.means, p.covariances, "full").sum() for p in (params, other)]
    assert rise == pytest.approx((likelihoods[1] + again - likelihoods[0] - prior) / len(X), rel=1e-9)
    assert rise > 0

"""Compiled cells of a search against NumPy: what is known of components, cuts, criteria, and groups."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fastgmm.data.source import ArraySource
from fastgmm.em import evaluate
from fastgmm.init.hierarchical import Agglomeration
from fastgmm.kernels.agglomerate import group
from fastgmm.kernels.race import AXES, FREE, VOLUME, Plan, classify, cut, is_flat, thinness
from fastgmm.kernels.small import Mixture
from fastgmm.model.layouts import FULL
from fastgmm.model.params import Params


def mixture(k, d, seed=0):
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(k, d, d)) + 2 * np.eye(d)
    covariances = factors @ np.swapaxes(factors, 1, 2)
    weights = rng.dirichlet(np.full(k, 5.0))
    return Params(FULL, weights, 3 * rng.normal(size=(k, d)), covariances, FULL.precision_cholesky(covariances))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("k", "d"), [(1, 2), (3, 1), (4, 5)])
def test_classify(k, d, weighted):
    params = mixture(k, d)
    rng = np.random.default_rng(1)
    X = 4 * rng.normal(size=(70, d))
    source = ArraySource(X, rng.uniform(0.5, 2.0, 70) if weighted else None)
    sums = np.empty(3)
    arrays = (params.weights, params.means, params.covariances, params.prec_chol)
    packed = params.packed(np.float64)
    classify(source.samples, source.sample_weights, packed, Mixture(*arrays), sums)
    np.testing.assert_allclose(sums, evaluate.classified(source, params, 1), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("d", [1, 3, 6])
def test_thinness(d):
    covariance, white = mixture(1, d).covariances[0], np.random.default_rng(2).normal(size=(d, d))
    scaled = white @ covariance @ white.T
    assert thinness(covariance, white, FREE) == pytest.approx(np.linalg.eigvalsh(scaled)[0])
    assert thinness(covariance, white, VOLUME) == pytest.approx(np.trace(scaled) / d)
    along = np.diag(np.diagonal(white))
    assert thinness(covariance, along, AXES) == pytest.approx(np.diagonal(along @ covariance @ along).min())


@pytest.mark.parametrize("look", [FREE, AXES, VOLUME])
@pytest.mark.parametrize("d", [1, 2, 5])
def test_flatness_is_thinness_up_to_the_limit(d, look):
    """The bound that spares the eigenvalues decides nothing by itself, also if a covariance has no factor."""
    rng = np.random.default_rng(d)
    white = np.diag(rng.uniform(0.5, 2.0, d)) if look == AXES else np.tril(rng.normal(size=(d, d))) + 2 * np.eye(d)
    axes = np.linalg.qr(rng.normal(size=(d, d)))[0]
    for least in (-1e-18, 0.0, 1e-12, 1e-9, 1e-5, 1.0):
        covariance = axes * np.r_[least, np.geomspace(1.0, 2.0, d)[1:]] @ axes.T
        scaled = white @ covariance @ white.T
        values = {
            FREE: np.linalg.eigvalsh(scaled)[0],
            AXES: np.diagonal(scaled).min(),
            VOLUME: np.trace(scaled) / d,
        }
        for factor in (0.9, 1.1):
            flat = factor * abs(values[look]) if abs(values[look]) > 1e-13 else 1e-9
            # the numbers of a race mean nothing here
            plan = Plan(1, 1, 1, 1, 1, 1, 0, 0.0, 1.0, flat, 1.0, look, white, np.linalg.inv(white), 0.0)
            assert is_flat(covariance, plan, look, np.empty((d, d))) == (values[look] <= flat), (least, factor)


def test_cut_keeps_mean_and_covariance_of_the_whole():
    params = mixture(3, 4)
    d, n_axes = 4, 2
    white = np.diag([1.0, 2.0, 0.5, 3.0])
    halves = Mixture(np.empty((6, 4)), np.empty((6, 4, d)), np.empty((6, 4, d, d)), np.empty((6, 4, d, d)))
    whole = Mixture(params.weights, params.means, params.covariances, params.prec_chol)
    assert cut(whole, params.covariances, white, np.linalg.inv(white), n_axes, halves) == 6

    def moments(weights, means, covariances):
        mean = weights @ means
        return mean, np.einsum("k,kij->ij", weights, covariances + means[:, :, None] * means[:, None, :])

    for i in range(6):
        weights, means, covariances, factors = (array[i] for array in halves)
        assert weights.sum() == pytest.approx(1.0)
        for found, expected in zip(moments(weights, means, covariances), moments(*whole[:3]), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(
            np.linalg.inv(covariances), factors @ np.swapaxes(factors, 1, 2), rtol=1e-8, atol=1e-10
        )


@pytest.mark.parametrize("weighted", [False, True])
def test_group(weighted):
    rng = np.random.default_rng(0)
    X, labels = rng.normal(size=(30, 3)) + 1e3, rng.permutation(np.arange(30) % 4)
    weights = rng.uniform(0.5, 2.0, 30) if weighted else np.empty(0)
    counts, means, within = np.empty(4), np.empty((4, 3)), np.empty((4, 3, 3))
    group(X, weights, labels, counts, means, within)
    for c in range(4):
        w = weights[labels == c] if weighted else np.ones((labels == c).sum())
        centred = X[labels == c] - np.average(X[labels == c], axis=0, weights=w)
        assert counts[c] == pytest.approx(w.sum())
        np.testing.assert_allclose(within[c], (centred.T * w) @ centred, rtol=1e-9)
        np.testing.assert_allclose(means[c], np.average(X[labels == c], axis=0, weights=w), rtol=1e-12)


@pytest.mark.parametrize(("n", "d"), [(12, 2), (16, 3), (9, 1)])
def test_agglomeration_halfway_is_that_of_the_formula(n, d):
    """n_g log(|W_g / n_g| + (tr W_g + tr W / (n d)) / n_g), by brute force."""
    Z = np.random.default_rng(n).normal(size=(n, d))
    Z[: n // 2] += 2.0

    def scatter(rows):
        centred = Z[rows] - Z[rows].mean(axis=0)
        return centred.T @ centred

    term = np.trace(scatter(list(range(n)))) / (n * d)

    def cost(rows):
        m, within = len(rows), scatter(rows)
        determinant = np.linalg.det(within / m) if m > d else 0.0
        return m * np.log(determinant + (np.trace(within) + term) / m)

    groups = [[i] for i in range(n)]
    tree = Agglomeration(Z, halfway=True)
    while len(groups) > 1:
        pairs = list(itertools.combinations(range(len(groups)), 2))
        i, j = min(pairs, key=lambda pair: cost(groups[pair[0]] + groups[pair[1]]) - sum(cost(groups[p]) for p in pair))
        groups[i] = groups[i] + groups.pop(j)
        labels = tree.labels(len(groups))
        assert {frozenset(rows) for rows in groups} == {
            frozenset(np.flatnonzero(labels == c).tolist()) for c in range(len(groups))
        }

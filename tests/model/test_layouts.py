"""Layouts: every method of every layout against matrices written out."""

from __future__ import annotations

import copy
import pickle

import naive
import numpy as np
import pytest
from conftest import random_mixture

from fastgmm.kernels.full import Full, scatter_width
from fastgmm.kernels.simple import Diag, Spherical, Tied
from fastgmm.model.cholesky import NotPositiveDefinite
from fastgmm.model.layouts import DIAG, FULL, LAYOUTS, SPHERICAL, TIED, Layout, layout_named, pad, padded, symmetric

K, D = 3, 4
#: Of covariances, precisions, factors and scatter, as the documentation has them.
SHAPES = {"full": (K, D, D), "tied": (D, D), "diag": (K, D), "spherical": (K,)}
ALL = list(LAYOUTS.values())
METHODS = {name for name, value in vars(Layout).items() if callable(value) and not name.startswith("_")}


def some(layout: Layout, k: int = K, d: int = D, seed: int = 0):
    """Weights, means and covariances."""
    return random_mixture(layout.name, k, d, seed)


def moments(k: int = K, d: int = D, seed: int = 0):
    """Counts, sums and scatter (k, d, d) about an origin near to, but not at the means."""
    rng = np.random.default_rng(seed)
    counts = rng.uniform(20.0, 40.0, size=k)
    sums = counts[:, None] * rng.normal(scale=0.3, size=(k, d))
    roots = rng.normal(size=(k, d, 3 * d))
    about = roots @ np.swapaxes(roots, 1, 2) + sums[:, :, None] * (sums / counts[:, None])[:, None, :]
    return counts, sums, about


# --- the registry ---


def test_the_registry():
    assert list(LAYOUTS) == list(naive.COVARIANCE_TYPES) == list(SHAPES)
    assert ALL == [FULL, TIED, DIAG, SPHERICAL]
    assert [layout for layout in ALL if layout.pools] == [TIED]
    for name, layout in LAYOUTS.items():
        assert layout_named(name) is layout
        assert repr(layout) == layout.name == name
        assert len(layout.axes.strip("()").rstrip(",").split(",")) == len(SHAPES[name])
    with pytest.raises(KeyError):
        layout_named("round")


@pytest.mark.parametrize("layout", ALL, ids=repr)
def test_a_layout_is_itself_in_every_process(layout):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(layout, protocol)) is layout
    assert copy.copy(layout) is copy.deepcopy(layout) is layout


@pytest.mark.parametrize("layout", ALL, ids=repr)
def test_every_method_returns_what_is_documented(layout):
    assert not getattr(type(layout), "__abstractmethods__", frozenset())
    shape, (weights, means, covariances) = SHAPES[layout.name], some(layout)
    counts, sums, about = moments()
    chol, scatter = layout.precision_cholesky(covariances), layout.of_full_scatter(about)
    lanes = np.ones((2, *layout.accumulator_shape(K, D)))
    features, rng = np.array([2, 0]), np.random.RandomState(0)
    found = {
        "variances": (layout.variances(covariances, K, D), (K, D)),
        "matrices": (layout.matrices(covariances, K, D), (K, D, D)),
        "of_matrices": (layout.of_matrices(layout.matrices(covariances, K, D)), shape),
        "marginal": (layout.marginal(covariances, features, K), (K, 2, 2)),
        "draw": (layout.draw(rng, means[1], covariances, 1, 5), (5, D)),
        "precision_cholesky": (chol, shape),
        "cholesky_of_precisions": (layout.cholesky_of_precisions(layout.precisions(chol)), shape),
        "covariances": (layout.covariances(chol), shape),
        "precision_diagonals": (layout.precision_diagonals(chol, K, D), (K, D)),
        "precisions": (layout.precisions(chol), shape),
        "lengths": (layout.lengths(chol, means), (K,)),
        "contraction": (layout.contraction(chol, 1.01 * chol, K), (K,)),
        "log_det": (layout.log_det(chol, K, D), (K,)),
        "smallest_variances": (layout.smallest_variances(covariances, K, np.ones(D)), (K,)),
        "within": (layout.within(scatter, sums, counts), shape),
        "regularised": (layout.regularised(covariances, 0.5), shape),
        "expected_scatter": (layout.expected_scatter(covariances, weights, D), shape),
        "cross": (layout.cross(sums, means), shape),
        "of_full_scatter": (scatter, shape),
        "collected": (layout.collected(lanes, K, D), shape),
    }
    for name, (array, expected) in found.items():
        assert array.shape == expected, name
        assert array.dtype == (np.longdouble if name == "log_det" else np.float64), name
    assert layout.shape(K, D) == shape
    matrices = layout.unique_matrices(covariances)
    if layout in (FULL, TIED):
        assert np.array_equal(matrices, np.reshape(covariances, (-1, D, D)))
    else:
        assert matrices is None
    assert layout.entry("A", 2) == ("A" if layout is TIED else "A[2]")
    assert isinstance(layout.trace(scatter), float)
    rows, columns = layout.accumulator_shape(K, D)
    assert (rows, columns) == {
        "full": (K * scatter_width(D), scatter_width(D)),
        "tied": (0, padded(D)),
        "diag": (K, padded(D)),
        "spherical": (K, padded(D)),
    }[layout.name]
    assert layout.flops(D) > 0
    limit = float(np.finfo(np.float32).max)
    assert layout.largest_factor(limit) == (np.sqrt(limit) if layout is SPHERICAL else limit)
    kinds = {"full": Full, "tied": Tied, "diag": Diag, "spherical": Spherical}
    for dtype in (np.float32, np.float64):
        constant = np.zeros(K, dtype)
        packed = layout.packed(constant, pad(means, dtype), weights, means, chol, 64)
        assert isinstance(packed, kinds[layout.name])
        assert {a.dtype for a in packed if isinstance(a, np.ndarray)} == {np.dtype(dtype)}
        assert packed.means.shape == (K, padded(D))
        # one more component, whose density is its constant: no factor of its own, or no weight of the distance
        factors = layout.with_flat(chol)
        assert factors.shape == (shape if layout is TIED else (K + 1, *shape[1:]))
        more = np.vstack([means, means[:1]])
        of_more = (np.zeros(K + 1, dtype), pad(more, dtype), np.append(weights, 0.0), more)
        flat = layout.flattened(layout.packed(*of_more, factors, 64))
        assert isinstance(flat, kinds[layout.name])
        assert flat.factor[-1] == 0 if layout in (TIED, SPHERICAL) else not factors[-1].any()
    assert layout.n_alike(D) == (D if layout is SPHERICAL else 1)
    covered = {*found, "shape", "unique_matrices", "entry", "trace", "accumulator_shape", "flops"}
    assert covered | {"largest_factor", "packed", "upper_factor", "with_flat", "flattened", "n_alike"} == METHODS


# --- conversions ---


@pytest.mark.parametrize("layout", ALL, ids=repr)
@pytest.mark.parametrize(("k", "d"), [(1, 1), (3, 1), (1, 4), (3, 4), (2, 17)])
def test_matrices_and_back(layout, k, d):
    _, _, covariances = some(layout, k, d)
    matrices = layout.matrices(covariances, k, d)
    assert np.array_equal(matrices, naive.expand(covariances, layout.name, k, d))
    back = layout.of_matrices(matrices)
    assert back.shape == layout.shape(k, d)
    assert np.array_equal(back, covariances)
    assert np.array_equal(layout.variances(covariances, k, d), np.diagonal(matrices, axis1=1, axis2=2))


@pytest.mark.parametrize("layout", ALL, ids=repr)
def test_marginals(layout):
    _, _, covariances = some(layout)
    features = np.array([3, 0, 2])
    expected = layout.matrices(covariances, K, D)[:, features[:, None], features]
    assert np.array_equal(layout.marginal(covariances, features, K), expected)


@pytest.mark.parametrize("layout", ALL, ids=repr)
def test_draws_have_the_covariance_of_their_component(layout):
    _, means, covariances = some(layout)
    for i in range(K):
        drawn = layout.draw(np.random.RandomState(i), means[i], covariances, i, 100_000)
        # standard errors of these are below 0.02
        np.testing.assert_allclose(drawn.mean(axis=0), means[i], atol=0.05)
        np.testing.assert_allclose(np.cov(drawn.T), layout.matrices(covariances, K, D)[i], atol=0.1)


# --- factors ---


@pytest.mark.parametrize("layout", ALL, ids=repr)
@pytest.mark.parametrize(("k", "d"), [(1, 1), (3, 4), (2, 17)])
def test_covariances_precisions_and_factors_are_consistent(layout, k, d):
    _, _, covariances = some(layout, k, d)
    chol = layout.precision_cholesky(covariances)
    precisions = layout.precisions(chol)
    close = {"rtol": 1e-11, "atol": 1e-12}
    np.testing.assert_allclose(chol, naive.precision_cholesky(covariances, layout.name), **close)
    np.testing.assert_allclose(layout.covariances(chol), covariances, **close)
    np.testing.assert_allclose(layout.cholesky_of_precisions(precisions), chol, **close)
    written_out = layout.matrices(covariances, k, d)
    identity = np.tile(np.eye(d), (k, 1, 1))
    np.testing.assert_allclose(layout.matrices(precisions, k, d) @ written_out, identity, atol=1e-11)
    diagonals = np.diagonal(layout.matrices(precisions, k, d), axis1=1, axis2=2)
    np.testing.assert_allclose(layout.precision_diagonals(chol, k, d), diagonals, **close)
    u = layout.matrices(chol, k, d)
    assert np.array_equal(u, np.triu(u))
    np.testing.assert_allclose(u @ np.swapaxes(u, 1, 2) @ written_out, identity, atol=1e-11)
    expected = -0.5 * np.linalg.slogdet(written_out)[1]
    np.testing.assert_allclose(np.asarray(layout.log_det(chol, k, d), np.float64), expected, **close)


@pytest.mark.parametrize("layout", ALL, ids=repr)
def test_a_covariance_without_a_factor_names_its_component(layout):
    _, _, covariances = some(layout)
    bad = covariances.copy()
    if layout is TIED:
        bad -= 10 * np.eye(D)
    else:
        bad[1] = -bad[1]
    with pytest.raises(NotPositiveDefinite, match="not positive definite") as caught:
        layout.precision_cholesky(bad)
    assert caught.value.component == (None if layout is TIED else 1)
    smallest = np.linalg.eigvalsh(layout.matrices(bad, K, D))[0 if layout is TIED else 1, 0]
    assert caught.value.smallest == pytest.approx(smallest, rel=1e-12)


@pytest.mark.parametrize("layout", ALL, ids=repr)
def test_smallest_variances(layout):
    _, _, covariances = some(layout)
    units = np.array([1.0, 0.1, 10.0, 3.0])
    scaled = layout.matrices(covariances, K, D) / np.outer(units, units)
    expected = np.linalg.eigvalsh(scaled)[:, 0]
    np.testing.assert_allclose(layout.smallest_variances(covariances, K, units), expected, rtol=1e-10)


# --- statistics ---


def mean_variance(matrices):
    """Spherical covariances as means of the diagonals of full ones."""
    return np.trace(matrices, axis1=1, axis2=2) / matrices.shape[-1]


@pytest.mark.parametrize("layout", ALL, ids=repr)
@pytest.mark.parametrize(("k", "d"), [(1, 1), (3, 4), (2, 17)])
def test_statistics_are_those_of_full_covariances_in_the_layout(layout, k, d):
    counts, sums, about = moments(k, d)
    scatter, close = layout.of_full_scatter(about), {"rtol": 1e-11, "atol": 1e-11}
    # the trace, of which `within` is divided by d
    share = d if layout is SPHERICAL else 1
    full = FULL.within(about, sums, counts)
    np.testing.assert_allclose(full, about - np.einsum("k,ki,kj->kij", 1 / counts, sums, sums), **close)
    np.testing.assert_allclose(layout.within(scatter, sums, counts), layout.of_full_scatter(full) / share, **close)
    other = np.random.default_rng(1).normal(size=(k, d))
    np.testing.assert_allclose(layout.cross(sums, other), layout.of_full_scatter(FULL.cross(sums, other)), **close)
    assert layout.trace(scatter) == pytest.approx(np.trace(about.sum(axis=0)), rel=1e-13)
    more = FULL.regularised(full, 0.25, counts)
    np.testing.assert_allclose(more, full + 0.25 * counts[:, None, None] * np.eye(d), **close)
    got = layout.regularised(layout.of_full_scatter(full) / share, 0.25, counts)
    np.testing.assert_allclose(got, layout.of_full_scatter(more) / share, **close)


@pytest.mark.parametrize("layout", ALL, ids=repr)
@pytest.mark.parametrize(("k", "d"), [(1, 1), (3, 4), (2, 17)])
def test_what_a_mixture_expects_of_a_sample(layout, k, d):
    weights, _, covariances = some(layout, k, d)
    matrices = layout.matrices(covariances, k, d)
    scatter = layout.expected_scatter(covariances, weights, d)
    full = FULL.expected_scatter(matrices, weights, d)
    assert np.array_equal(full, weights[:, None, None] * matrices)
    np.testing.assert_allclose(scatter, layout.of_full_scatter(full), rtol=1e-13, atol=1e-14)
    # the M-step gives the covariances back
    within = layout.within(scatter, np.zeros((k, d)), weights)
    counts = weights.sum() if layout is TIED else weights.reshape(-1, *[1] * (covariances.ndim - 1))
    np.testing.assert_allclose(within / counts, covariances, rtol=1e-13)
    plus = layout.matrices(layout.regularised(covariances, 0.5), k, d)
    np.testing.assert_allclose(plus, matrices + 0.5 * np.eye(d), rtol=1e-15)


@pytest.mark.parametrize("layout", ALL, ids=repr)
def test_regularising_changes_no_argument(layout):
    _, _, covariances = some(layout)
    before = covariances.copy()
    layout.regularised(covariances, 0.5)
    layout.within(covariances, np.ones((K, D)), np.ones(K))
    assert np.array_equal(covariances, before)


# --- accumulators ---


@pytest.mark.parametrize("d", [1, 4, 6])
def test_lanes_are_added_up_and_the_padding_is_taken_off(d):
    rng = np.random.default_rng(d)
    width = scatter_width(d)
    upper = np.triu(rng.normal(size=(5, K, width, width)))
    expected = upper[:, :, :d, :d].sum(axis=0)
    found = FULL.collected(upper.reshape(5, K * width, width), K, d)
    np.testing.assert_allclose(np.triu(found), expected, rtol=1e-13, atol=1e-14)
    assert np.array_equal(found, np.swapaxes(found, 1, 2))
    squares = rng.uniform(size=(5, K, padded(d)))
    np.testing.assert_allclose(DIAG.collected(squares, K, d), squares[:, :, :d].sum(axis=0), rtol=1e-14)
    np.testing.assert_allclose(SPHERICAL.collected(squares, K, d), squares[:, :, :d].sum(axis=(0, 2)), rtol=1e-14)
    assert np.array_equal(TIED.collected(np.zeros((5, 0, padded(d))), K, d), np.zeros((d, d)))


def test_symmetric_and_padded():
    upper = np.triu(np.arange(18.0).reshape(2, 3, 3))
    found = symmetric(upper)
    assert np.array_equal(found, np.swapaxes(found, 1, 2))
    assert np.array_equal(np.triu(found), upper)
    assert [padded(d) for d in (1, 4, 5, 8)] == [4, 4, 8, 8]
    out = pad(np.array([[1.5, 2.5]]), np.float32)
    assert out.dtype == np.float32
    assert np.array_equal(out, [[1.5, 2.5, 0.0, 0.0]])

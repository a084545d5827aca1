"""Equal samples gathered into weighted ones: which, when, and that fits are what they were."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit import assert_same_fit

from fastgmm import BayesianGaussianMixture, GaussianMixture, chunks
from fastgmm._limits import limited_to
from fastgmm.data.distinct import LEAST, SHARE, gathered
from fastgmm.data.open import open_source
from fastgmm.data.source import ArraySource
from fastgmm.em.callbacks import Callback
from fastgmm.em.loop import run
from fastgmm.em.step import MaximumLikelihood
from fastgmm.em.stop import Stop
from fastgmm.model.structures import STRUCTURES

N = 6000


def column(n=N, distinct=40, seed=0, d=1, dtype=np.float64):
    """Two clusters of integers."""
    rng = np.random.default_rng(seed)
    centres = np.where(rng.random((n, d)) < 0.3, 0.2, 0.65)
    return np.clip(np.round(distinct * (centres + 0.1 * rng.normal(size=(n, d)))), 0, distinct - 1).astype(dtype)


def naive_distinct(X, weights):
    """Distinct rows in the order of their first occurrence, and their weights: one dictionary."""
    found: dict = {}
    for row, weight in zip(X, weights, strict=True):
        key = tuple(value + 0.0 for value in row.tolist())
        found[key] = found.get(key, 0.0) + weight
    return np.array(list(found), X.dtype), np.array(list(found.values()))


@given(
    seed=st.integers(0, 10_000),
    d=st.integers(1, 4),
    n=st.integers(LEAST, 3000),
    values=st.integers(1, 4),
    weighted=st.booleans(),
    dtype=st.sampled_from([np.float64, np.float32]),
    order=st.sampled_from("CF"),
)
def test_the_distinct_samples_and_their_weights(seed, d, n, values, weighted, dtype, order):
    rng = np.random.default_rng(seed)
    X = np.asarray(rng.integers(-values, values, size=(n, d)), dtype, order=order)
    X[X == 0] *= rng.choice([-1.0, 1.0])  # zeros of either sign are equal
    weights = rng.integers(1, 5, size=n).astype(float) if weighted else None
    source = ArraySource.weighted(X, weights)
    rows, totals = naive_distinct(X, np.ones(n) if weights is None else weights)
    found = gathered(source)
    if len(rows) > n // SHARE:
        assert found is source
        return
    assert found.n_counted == n
    np.testing.assert_array_equal(found.X, rows)
    assert found.X.dtype == dtype
    own = np.full(len(rows), 1.0) if found.weights is None else found.weights.astype(float)
    np.testing.assert_array_equal(own * found.weight_unit, totals)
    assert gathered(source) is found  # once for a source


@pytest.mark.parametrize("n", [LEAST, 20_000])
@pytest.mark.parametrize(("share", "gathers"), [(0.5, True), (1.0, True), (1.5, False)])
def test_only_where_it_pays(n, share, gathers):
    """With up to an eighth of the samples distinct; in random order, sorted, or with the rare ones last."""
    distinct = int(share * n // SHARE)
    X = np.random.default_rng(0).permutation(np.arange(n) % distinct).astype(float)[:, None]
    for data in (X, np.sort(X, axis=0), np.sort(X, axis=0)[::-1]):
        assert (gathered(ArraySource(data)).n_samples < n) == gathers


def test_samples_that_all_differ_and_few_samples_are_left_as_they_are():
    rng = np.random.default_rng(0)
    for X in (rng.normal(size=(50_000, 2)), np.zeros((LEAST - 1, 1))):
        source = ArraySource(X)
        assert gathered(source) is source


def test_gathering_can_be_switched_off(limits):
    limits(gathers=False)
    source = ArraySource(column())
    assert gathered(source) is source


def test_streams_are_gathered_as_arrays_are(limits):
    X = column(d=2, distinct=12)
    weights = np.random.default_rng(1).uniform(0.5, 2.0, size=N)
    here = gathered(open_source(X, weights))
    limits(loaded=4096)
    for cuts in ([], [1, 17, 4000], [4096], [4095, 4097]):
        there = gathered(open_source(chunks(np.split(X, cuts)), weights))
        np.testing.assert_array_equal(there.X, here.X)
        np.testing.assert_array_equal(there.weights, here.weights)
        assert there.weight_unit == here.weight_unit


def test_dask_partitions_are_gathered():
    dask = pytest.importorskip("dask.array")
    X = column(20_000, d=2, distinct=9)
    source = open_source(dask.from_array(X, chunks=(7000, 2)))
    found = gathered(source)
    here = gathered(ArraySource(X))
    np.testing.assert_array_equal(found.X, here.X)
    np.testing.assert_array_equal(found.weights * found.weight_unit, here.weights * here.weight_unit)
    assert found.n_counted == 20_000


ESTIMATORS = {
    "ml": partial(GaussianMixture, 2, tol=1e-6, random_state=0),
    "map": partial(GaussianMixture, 2, prior="default", tol=1e-6, random_state=0),
    "noise": partial(GaussianMixture, 2, noise=True, tol=1e-6, random_state=0),
    "accelerated": partial(GaussianMixture, 2, acceleration="squarem", tol=1e-8, random_state=0),
    "bayes": partial(BayesianGaussianMixture, n_components=4, tol=1e-6, max_iter=40, random_state=0),
}


def fitted(model, X, gathers, **options):
    with limited_to(gathers=gathers), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, **options)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_fits_are_those_of_all_samples_within_rounding(name, covariance_type, weighted):
    X = column(d=2, distinct=15)
    weights = np.random.default_rng(1).uniform(0.5, 2.0, size=N) if weighted else None
    make = partial(ESTIMATORS[name], covariance_type=covariance_type)
    with_it, without = (fitted(make(), X, gathers, sample_weight=weights) for gathers in (True, False))
    assert abs(with_it.n_iter_ - without.n_iter_) <= (name == "accelerated")
    np.testing.assert_allclose(with_it.lower_bound_, without.lower_bound_, rtol=1e-9)
    for attribute in ("weights_", "means_", "covariances_"):
        got, expected = getattr(with_it, attribute), getattr(without, attribute)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7, err_msg=attribute)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_bits_do_not_depend_on_threads_or_chunks(name, limits):
    X = column(40_000, distinct=3000, d=1)
    assert gathered(ArraySource(X)).n_samples > 1024  # several lanes
    one, two, three = (fitted(ESTIMATORS[name](n_threads=n), X, True) for n in (1, 2, 2))
    assert_same_fit(one, two)
    assert_same_fit(two, three)
    if name != "noise":  # whose start is from other samples of a stream
        assert_same_fit(fitted(ESTIMATORS[name](), chunks(np.array_split(X, 7)), True), one)


def test_float32_columns():
    X = column(d=1, dtype=np.float32)
    with_it, without = (fitted(ESTIMATORS["ml"](), X, gathers) for gathers in (True, False))
    assert with_it.means_.dtype == np.float32
    np.testing.assert_allclose(with_it.means_, without.means_, rtol=1e-3)


def test_messages_count_all_samples():
    """Not the distinct ones: a component that collapses holds samples of the user's."""
    X = np.repeat([0.0, 1.0], N // 2)[:, None]
    with pytest.raises(ValueError, match=rf"which holds 3000 of {N} samples"):
        GaussianMixture(2, reg_covar=0.0, means_init=[[0.0], [1.0]], random_state=0).fit(X)


def test_progress_counts_all_samples():
    seen = []

    class Blocks(Callback):
        def block(self, n_done):
            seen.append(n_done)

    source, structure = ArraySource(column()), STRUCTURES["full"]
    params = GaussianMixture.from_parameters([0.5, 0.5], [[8.0], [26.0]], [[[9.0]], [[9.0]]])._params()
    run(source, params, MaximumLikelihood(structure, 0.0), Stop(0.0, 10), callback=Blocks(), compiled_loop=False)
    assert seen == [N] * 10

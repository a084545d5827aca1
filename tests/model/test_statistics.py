"""Sufficient statistics as a value: parts merge to the whole, about any origin, in any order. Hypothesis picks the data."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from conftest import random_mixture
from hypothesis import given
from hypothesis import strategies as st

from fastgmm import sufficient_statistics
from fastgmm.data.source import ArraySource
from fastgmm.em import sweep
from fastgmm.estimators.gaussian_mixture import check_parameters
from fastgmm.model.layouts import layout_named

DENSITIES = ["full", "tied", "diag", "spherical"]
cases = given(
    seed=st.integers(0, 10_000),
    layout=st.sampled_from(DENSITIES),
    n=st.integers(3, 2500),
    d=st.integers(1, 9),
    k=st.integers(1, 5),
)


def draw(seed, n, d, k):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) + 1.0, rng.uniform(size=(n, k)), rng.normal(size=(k, d)), rng


def cuts(rng, n, most=5):
    """Parts of n samples, none of them empty."""
    inner = np.sort(rng.choice(np.arange(1, n), size=min(most, n) - 1, replace=False))
    return np.split(np.arange(n), inner)


def agree(a, b, rtol=1e-10):
    for field in fields(a):
        one, other = getattr(a, field.name), getattr(b, field.name)
        if field.name in ("layout", "dtype"):
            assert one == other
        else:
            scale = np.abs(other).max()
            np.testing.assert_allclose(one, other, rtol=rtol, atol=0 if np.isnan(scale) else rtol * scale)


@cases
def test_statistics_of_parts_merge_to_those_of_the_whole(seed, layout, n, d, k):
    X, resp, origin, rng = draw(seed, n, d, k)
    weights = rng.uniform(size=n)

    def of(rows):
        arguments = {"sample_weight": weights[rows], "origin": origin, "covariance_type": layout}
        return sufficient_statistics(X[rows], resp[rows], **arguments)

    first, *others = map(of, cuts(rng, n))
    for other in others:
        first = first.merge(other)
    agree(first, of(np.arange(n)))


@cases
def test_sweeps_of_parts_merge_to_that_of_the_whole(seed, layout, n, d, k):
    X, _, _, rng = draw(seed, n, d, k)
    params = check_parameters(*random_mixture(layout, k, d, seed), layout_named(layout))

    def of(rows):
        source = ArraySource(X[rows])
        return sweep.sweep(source, params)

    first, *others = map(of, cuts(rng, n))
    for other in others:
        first = first.merge(other)
    agree(first, of(np.arange(n)), rtol=1e-8)  # scatter of tied: the total scatter less that between components


@cases
def test_another_origin_and_back(seed, layout, n, d, k):
    X, resp, origin, rng = draw(seed, n, d, k)
    other = rng.normal(size=(k, d))
    here, there = (sufficient_statistics(X, resp, origin=o, covariance_type=layout) for o in (origin, other))
    agree(here.about(other), there, rtol=1e-9)
    agree(here.about(other).about(origin), here, rtol=1e-9)
    assert np.array_equal(here.about(origin).scatter, here.scatter)


@cases
def test_merging_and_moving_commute(seed, layout, n, d, k):
    X, resp, origin, rng = draw(seed, n, d, k)
    a, b = (
        sufficient_statistics(X[rows], resp[rows], origin=origin, covariance_type=layout)
        for rows in cuts(rng, n, most=2)
    )
    other = rng.normal(size=(k, d))
    agree(a.merge(b).about(other), a.about(other).merge(b.about(other)), rtol=1e-9)
    agree(a.merge(b), b.merge(a), rtol=0)
    with pytest.raises(ValueError, match="same origin"):
        a.merge(b.about(other))


@given(seed=st.integers(0, 10_000), layout=st.sampled_from(DENSITIES), times=st.integers(0, 5), d=st.integers(1, 9))
def test_times_is_so_many_copies(seed, layout, times, d):
    X, resp, origin, _ = draw(seed, 300, d, 2)
    once = sufficient_statistics(X, resp, origin=origin, covariance_type=layout)
    many = once.times(float(times))
    for name in ("counts", "sums", "scatter"):
        np.testing.assert_allclose(getattr(many, name), times * getattr(once, name), rtol=1e-15)
    assert many.n_samples == once.n_samples
    if times:
        weighted = sufficient_statistics(
            X, resp, sample_weight=np.full(300, times), origin=origin, covariance_type=layout
        )
        for name in ("counts", "sums", "scatter"):
            np.testing.assert_allclose(getattr(weighted, name), getattr(many, name), rtol=1e-10, atol=1e-8)


@cases
def test_those_of_full_hold_those_of_the_other_layouts(seed, layout, n, d, k):
    X, resp, origin, rng = draw(seed, n, d, k)
    full, direct = (sufficient_statistics(X, resp, origin=origin, covariance_type=name) for name in ("full", layout))
    agree(full.in_layout(layout_named(layout)), direct)
    other = rng.normal(size=(k, d))
    agree(
        full.about(other).in_layout(layout_named(layout)), full.in_layout(layout_named(layout)).about(other), rtol=1e-9
    )

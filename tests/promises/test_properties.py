"""Theorems about any data: hypothesis picks the data. ``--hypothesis-profile=long`` picks more of them."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import logsumexp

from fastgmm import GaussianMixture, em_step, log_density, log_prob, select
from fastgmm.model.structures import MCLUST_NAMES, STRUCTURES

ALL = ["full", "tied", "diag", "spherical", *MCLUST_NAMES]
LAYOUTS = st.sampled_from(ALL)
#: Those that a rotation of the data only rotates; the others know the axes.
ROTATED = st.sampled_from(
    [name for name in ALL if STRUCTURES[name].layout.name in ("full", "tied") or name in ("EII", "VII")]
)


def draw(seed, n, d, k):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 3.0 * rng.normal(size=(k, d))[rng.integers(k, size=n)]
    return X, rng


def fitted(X, k, layout, sample_weight=None, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianMixture(k, covariance_type=layout, random_state=0, **arguments)
        return model.fit(X, sample_weight=sample_weight)


def parameters(X, k, layout):
    """Parameters on the way of EM to a fit."""
    model = fitted(X, k, layout, max_iter=2, reg_covar=1e-3)
    return model.weights_, model.means_, model.covariances_


def moved(covariances, layout, matrix):
    """Covariances of samples times the transpose of a matrix that keeps the layout."""
    if STRUCTURES[layout].layout.name in ("full", "tied"):
        return matrix @ covariances @ matrix.T
    return covariances


def of_components(values, layout, order):
    return values if STRUCTURES[layout].layout.name == "tied" else values[order]


sizes = {"n": st.integers(40, 400), "d": st.integers(1, 6), "k": st.integers(1, 4)}
cases = given(seed=st.integers(0, 10_000), layout=LAYOUTS, **sizes)


def same_step(a, b, rtol=1e-8):
    """Of equal steps, up to rounding."""
    scale = np.abs(b.covariances).max()
    np.testing.assert_allclose(a.weights, b.weights, rtol=rtol, atol=1e-12)
    np.testing.assert_allclose(a.means, b.means, rtol=rtol, atol=rtol * np.abs(b.means).max())
    np.testing.assert_allclose(a.covariances, b.covariances, rtol=rtol, atol=rtol * scale)
    assert a.log_likelihood == pytest.approx(b.log_likelihood, rel=1e-10, abs=1e-8)


# --- EM ---


@cases
def test_the_likelihood_never_falls(seed, n, d, k, layout):
    """Without `reg_covar`: what it adds to the variances does not ascend, and a component that is singular without it shows."""
    X, _ = draw(seed, n + 20 * d * k, d, k)
    try:
        model = fitted(X, k, layout, reg_covar=0.0, tol=0.0, max_iter=15)
    except ValueError as collapse:
        assume("reg_covar" not in str(collapse))
        raise
    # the condition of a covariance multiplies the rounding of the log-densities
    condition = max(np.linalg.cond(_matrix(model, c)) for c in range(k))
    bounds = np.array(model.lower_bounds_)
    assert np.all(np.diff(bounds) >= -1e-10 * np.abs(bounds[-1]) - 1e-15 * condition)


@cases
def test_the_fitted_parameters_are_more_likely_than_the_bound(seed, n, d, k, layout):
    X, _ = draw(seed, n, d, k)
    model = fitted(X, k, layout)
    assert model.score(X) >= model.lower_bound_ - 1e-6 * abs(model.lower_bound_)


@cases
def test_shifted_data_shift_the_means_only(seed, n, d, k, layout):
    X, rng = draw(seed, n, d, k)
    shift = 100.0 * rng.normal(size=d)
    w, m, c = parameters(X, k, layout)
    a, b = em_step(X, w, m, c, covariance_type=layout), em_step(X + shift, w, m + shift, c, covariance_type=layout)
    np.testing.assert_allclose(b.means, a.means + shift, rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(b.covariances, a.covariances, rtol=1e-7, atol=1e-7)
    assert b.log_likelihood == pytest.approx(a.log_likelihood, rel=1e-8)


@given(seed=st.integers(0, 10_000), layout=LAYOUTS, factor=st.floats(1e-3, 1e3), **sizes)
def test_scaled_data_scale_the_covariances(seed, n, d, k, layout, factor):
    X, _ = draw(seed, n, d, k)
    w, m, c = parameters(X, k, layout)
    a = em_step(X, w, m, c, covariance_type=layout, reg_covar=1e-3)
    b = em_step(factor * X, w, factor * m, factor**2 * c, covariance_type=layout, reg_covar=1e-3 * factor**2)
    likelihood = b.log_likelihood + n * d * np.log(factor)
    same_step(b._replace(means=b.means / factor, covariances=b.covariances / factor**2, log_likelihood=likelihood), a)


@given(seed=st.integers(0, 10_000), layout=ROTATED, n=st.integers(40, 400), d=st.integers(2, 6), k=st.integers(1, 4))
def test_rotated_data_rotate_the_covariances(seed, n, d, k, layout):
    X, rng = draw(seed, n, d, k)
    Q = np.linalg.qr(rng.normal(size=(d, d)))[0]
    w, m, c = parameters(X, k, layout)
    a = em_step(X, w, m, c, covariance_type=layout)
    b = em_step(X @ Q.T, w, m @ Q.T, moved(c, layout, Q), covariance_type=layout)
    same_step(b, a._replace(means=a.means @ Q.T, covariances=moved(a.covariances, layout, Q)), rtol=1e-6)


@cases
def test_order_of_samples_does_not_matter(seed, n, d, k, layout):
    X, rng = draw(seed, n, d, k)
    w, m, c = parameters(X, k, layout)
    same_step(
        em_step(X[rng.permutation(n)], w, m, c, covariance_type=layout), em_step(X, w, m, c, covariance_type=layout)
    )


@cases
def test_order_of_components_does_not_matter(seed, n, d, k, layout):
    X, rng = draw(seed, n, d, k)
    w, m, c = parameters(X, k, layout)
    a, p = em_step(X, w, m, c, covariance_type=layout), rng.permutation(k)
    swapped = em_step(X, w[p], m[p], of_components(c, layout, p), covariance_type=layout)
    expected = a._replace(weights=a.weights[p], means=a.means[p], covariances=of_components(a.covariances, layout, p))
    same_step(swapped, expected, rtol=1e-6)


@cases
def test_order_of_features_does_not_matter(seed, n, d, k, layout):
    X, rng = draw(seed, n, d, k)
    w, m, c = parameters(X, k, layout)

    def ordered(covariances):
        if STRUCTURES[layout].layout.name == "diag":
            return covariances[:, f]
        return moved(covariances, layout, np.eye(d)[f])

    a, f = em_step(X, w, m, c, covariance_type=layout), rng.permutation(d)
    turned = em_step(X[:, f], w, m[:, f], ordered(c), covariance_type=layout)
    same_step(turned, a._replace(means=a.means[:, f], covariances=ordered(a.covariances)), rtol=1e-6)


# --- weights ---


@cases
def test_integer_weights_are_repeated_rows(seed, n, d, k, layout):
    X, rng = draw(seed, n, d, k)
    times = rng.integers(0, 4, size=n)
    w, m, c = parameters(X, k, layout)
    same_step(
        em_step(X, w, m, c, covariance_type=layout, sample_weight=times),
        em_step(np.repeat(X, times, axis=0), w, m, c, covariance_type=layout),
    )


@given(seed=st.integers(0, 10_000), layout=LAYOUTS, exponent=st.integers(-60, 60), **sizes)
def test_the_scale_of_weights_has_no_influence(seed, n, d, k, layout, exponent):
    """To the bit for powers of two; for other factors up to the rounding of the weights themselves."""
    X, rng = draw(seed, n, d, k)
    weights, start = rng.uniform(0.1, 2.0, size=n), parameters(X, k, layout)
    once = em_step(X, *start, covariance_type=layout, sample_weight=weights)
    scaled = em_step(X, *start, covariance_type=layout, sample_weight=weights * 2.0**exponent)
    for name in ("weights", "means", "covariances"):
        assert np.array_equal(getattr(once, name), getattr(scaled, name)), name
    assert scaled.log_likelihood == once.log_likelihood * 2.0**exponent
    thirds = em_step(X, *start, covariance_type=layout, sample_weight=weights / 3.0)
    same_step(thirds._replace(log_likelihood=3.0 * thirds.log_likelihood), once)


@given(seed=st.integers(0, 10_000), layout=LAYOUTS, k=st.integers(1, 3))
def test_weighted_fits_are_fits_of_repeated_rows(seed, k, layout):
    X, rng = draw(seed, 120, 2, k)
    times = rng.integers(0, 4, size=len(X))
    groups = rng.integers(k, size=len(X))
    assume(all((times[groups == c] > 0).sum() > 4 for c in range(k)))
    arguments = {"max_iter": 5, "tol": 0.0, "reg_covar": 1e-3}
    weighted = fitted(X, k, layout, times, init_params=groups, **arguments)
    repeated = fitted(np.repeat(X, times, axis=0), k, layout, init_params=np.repeat(groups, times), **arguments)
    np.testing.assert_allclose(weighted.lower_bounds_, repeated.lower_bounds_, rtol=1e-7)
    np.testing.assert_allclose(weighted.means_, repeated.means_, rtol=1e-5, atol=1e-5)


# --- what a mixture says of samples ---


@cases
def test_what_is_told_of_samples_agrees(seed, n, d, k, layout):
    X, rng = draw(seed, n, d, k)
    weights = rng.uniform(0.0, 2.0, size=n)
    model = fitted(X, k, layout)
    w, m, c = model.weights_, model.means_, model.covariances_
    values, resp = model.score_samples(X), model.predict_proba(X)
    np.testing.assert_allclose(values, log_prob(X, w, m, c, covariance_type=layout), rtol=1e-8, atol=1e-8)
    joint = log_density(X, m, c, covariance_type=layout) + np.log(w)
    np.testing.assert_allclose(values, logsumexp(joint, axis=1), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(resp, np.exp(joint - values[:, None]), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(resp.sum(axis=1), 1.0, rtol=1e-12)
    assert np.array_equal(resp.argmax(axis=1), model.predict(X))
    assert model.score(X) == pytest.approx(values.mean(), rel=1e-10)
    assert model.score(X, sample_weight=weights) == pytest.approx(np.average(values, weights=weights), rel=1e-10)
    p = STRUCTURES[layout].n_parameters(k, d)
    assert model.bic(X) == pytest.approx(-2 * values.sum() + p * np.log(n), rel=1e-10)
    assert model.aic(X) == pytest.approx(-2 * values.sum() + 2 * p, rel=1e-10)
    classification = 2 * np.log(resp.max(axis=1)).sum()
    assert model.icl(X) == pytest.approx(model.bic(X) - classification, rel=1e-8)


@cases
def test_float32_is_near_float64(seed, n, d, k, layout):
    X, _ = draw(seed, n, d, k)
    w, m, c = parameters(X, k, layout)
    X = X.astype(np.float32)
    a = em_step(X, w, m, c, covariance_type=layout)
    b = em_step(X.astype(np.float64), w, m, c, covariance_type=layout)
    # float32 has seven digits, of which the condition of the covariances takes some; directions may swing where two
    # eigenvalues are near, which EVE and VVE decide by the last digits: their likelihood is compared below
    if layout not in ("EVE", "VVE"):
        scale = np.abs(b.covariances).max()
        np.testing.assert_allclose(a.covariances, b.covariances, rtol=2e-3, atol=1e-3 * scale)
    np.testing.assert_allclose(a.means, b.means, rtol=1e-3, atol=1e-3 * np.abs(X).max())
    assert a.log_likelihood == pytest.approx(b.log_likelihood, rel=1e-4, abs=1e-3 * n)


@cases
def test_draws_have_the_moments_of_the_mixture(seed, n, d, k, layout):
    X, _ = draw(seed, n, d, k)
    model = fitted(X, k, layout, reg_covar=1e-3)
    model.set_params(random_state=seed)
    drawn, component = model.sample(20_000)
    assert np.array_equal(component, np.sort(component))
    counts = np.bincount(component, minlength=k) / len(drawn)
    # six standard errors: one false alarm in 5e8
    assert np.all(np.abs(counts - model.weights_) <= 6 * np.sqrt(model.weights_ / len(drawn)) + 1e-12)
    for c in range(k):
        part = drawn[component == c]
        if len(part) < 500:
            continue
        covariance = _matrix(model, c)
        root = np.linalg.cholesky(covariance)
        standard = np.linalg.solve(root, (part - model.means_[c]).T)
        assert np.abs(standard.mean(axis=1)).max() <= 6 / np.sqrt(len(part))
        second = standard @ standard.T / len(part)
        assert np.abs(second - np.eye(d)).max() <= 6 * np.sqrt(2 / len(part)) * 1.2


def _matrix(model, c):
    """Covariance (d, d) of a component."""
    layout, values = STRUCTURES[model.covariance_type].layout.name, model.covariances_
    if layout == "tied":
        return values
    return values[c] if layout == "full" else values[c] * np.eye(model.n_features_in_)


@cases
def test_known_groups_may_be_numbered_in_any_way(seed, n, d, k, layout):
    X, rng = draw(seed, n, d, k)
    groups = np.arange(n) % k
    p = rng.permutation(k)
    arguments = {"max_iter": 3, "tol": 0.0, "reg_covar": 1e-3}
    a, b = (fitted(X, k, layout, init_params=init, **arguments) for init in (groups, p[groups]))
    one_hot = fitted(X, k, layout, init_params=np.eye(k)[groups], **arguments)
    np.testing.assert_allclose(one_hot.lower_bounds_, a.lower_bounds_, rtol=1e-12)
    np.testing.assert_allclose(b.lower_bounds_, a.lower_bounds_, rtol=1e-7)
    np.testing.assert_allclose(b.weights_[p], a.weights_, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(b.means_[p], a.means_, rtol=1e-5, atol=1e-5 * np.abs(X).max())


@cases
def test_a_model_of_the_fitted_parameters_is_the_fitted_model(seed, n, d, k, layout):
    X, _ = draw(seed, n, d, k)
    model = fitted(X, k, layout, reg_covar=1e-3)
    known = GaussianMixture.from_parameters(model.weights_, model.means_, model.covariances_, covariance_type=layout)
    for name in ("weights_", "means_", "covariances_"):
        assert np.array_equal(getattr(known, name), getattr(model, name)), name
    np.testing.assert_allclose(known.precisions_, model.precisions_, rtol=1e-8, atol=1e-8 * model.precisions_.max())
    np.testing.assert_allclose(known.score_samples(X), model.score_samples(X), rtol=1e-8, atol=1e-8)
    drawn = [m.set_params(random_state=1).sample(50)[0] for m in (known, model)]
    assert np.array_equal(*drawn)


# --- a search over models ---


@given(seed=st.integers(0, 10_000), n=st.integers(60, 200), d=st.integers(2, 3), k=st.integers(1, 3))
def test_a_structure_is_at_least_as_likely_as_those_it_contains(seed, n, d, k):
    """Unless EM from the fit of such a one ends where a component has too few samples, which `select` does not take."""
    X, _ = draw(seed, n, d, k)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = select(X, [k], random_state=0, reg_covar=0.0)
    likelihood = dict(zip(found.covariance_types, found.log_likelihood[0], strict=True))
    for one, other in itertools.product(MCLUST_NAMES, repeat=2):
        a, b = likelihood[one], likelihood[other]
        if STRUCTURES[one].contains(STRUCTURES[other]) and a < b - 1e-6 * abs(b):
            assert _ends_with_too_few(X, found.model(k, other), STRUCTURES[one]), (one, other, a, b)


def _ends_with_too_few(X, inner, structure):
    """Whether EM with a structure, from a mixture that is of it, comes to a component that has no covariance of it."""
    start = inner._params().in_layout(structure.layout)
    supplied = {"weights_init": start.weights, "means_init": start.means, "precisions_init": start.precisions}
    try:
        model = fitted(X, len(start.weights), structure.name, reg_covar=0.0, tol=1e-5, max_iter=1000, **supplied)
    except ValueError as collapse:
        return "reg_covar" in str(collapse)
    return model.weights_.min() * len(X) < structure.least_samples(X.shape[1])

"""Errors against 50-digit arithmetic: a part of the cases of `bench.accuracy`; exponentials, logarithms, and what underflows."""

from __future__ import annotations

import math

import mpmath
import numba
import numpy as np
import pytest
from conftest import compiled

from bench import accuracy, exact
from bench.accuracy import Case
from fastgmm import GaussianMixture, em_step, kernels, log_prob, responsibilities
from fastgmm.data.source import ArraySource
from fastgmm.em import loop, sweep
from fastgmm.em.step import MaximumLikelihood
from fastgmm.em.stop import Stop
from fastgmm.kernels import ir_density
from fastgmm.model.checks import check_parameters
from fastgmm.model.layouts import layout_named
from fastgmm.model.params import Params
from fastgmm.model.structures import STRUCTURES

LAYOUTS = ["full", "tied", "diag", "spherical"]
CASES = [
    *(case for case in accuracy.cases() if case.name in ("plain", "offset 1e8", "separation 1e6", "weight 1e-300")),
    *(case for case in accuracy.cases() if case.name in ("condition 1e12", "condition 1e4", "one feature")),
    *(case for case in accuracy.cases() if case.structure in ("EEV", "EVV", "EVI")),
    Case("few samples", "full", d=6, n=24, separation=30.0, n_draws=3),
    Case("few samples", "tied", d=6, n=24, separation=30.0, n_draws=3),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.structure}, {case.name}, {case.dtype}")
def test_errors_are_within_what_the_input_allows_and_those_of_scikit_learn(case):
    for row in accuracy.measure(
        case._replace(n=min(case.n, 30), n_draws=min(case.n_draws, 5)), ["fastgmm", "scikit-learn"]
    ):
        ours = row.errors["fastgmm"]
        assert ours.multiple <= 10, row
        if "scikit-learn" in row.errors:
            assert ours.multiple <= max(2.0, 2 * row.errors["scikit-learn"].multiple), row


def test_the_reference_agrees_with_mpmath_and_with_closed_forms():
    mixture = Case("plain", "full", d=3, k=2, n=8).mixture()
    taken = exact.taken(mixture, exact.Wobble())
    found = exact.densities(taken, exact.Wobble())
    mp = exact.mp
    covariance = mp.matrix(mixture.covariances[1].tolist())
    diff = mp.matrix((exact.numbers(taken.X[5] - taken.means[1])).tolist())
    squares = (diff.T * mp.lu_solve(covariance, diff))[0]
    expected = -(3 * mp.log(2 * mp.pi) + mp.log(mp.det(covariance)) + squares) / 2
    assert abs(found.log_density[5, 1] - expected) < mp.mpf(10) ** -45
    assert abs(found.resp.sum(axis=1) - 1).max() < mp.mpf(10) ** -45
    # of one responsibility for all, each structure gives the covariance of all
    one = np.full((8, 1), mp.mpf(1))
    alone = taken._replace(means=taken.means[:1])
    full = exact.step(alone, one, "full").covariances
    for structure in ("EEV", "EVV"):
        assert abs(exact.step(alone, one, structure).covariances - full).max() < mp.mpf(10) ** -45
    assert abs(exact.step(alone, one, "tied").covariances - full[0]).max() < mp.mpf(10) ** -45


def test_a_wrong_digit_is_noticed():
    case = Case("plain", "diag", n=20)
    known = accuracy.reference(case, case.mixture())
    right = known.values["log-density"].astype(float)
    assert accuracy.error(case, "log-density", right, known).multiple <= 1
    wrong = right.copy()
    wrong[3, 1] *= 1 + 1e-13
    assert accuracy.error(case, "log-density", wrong, known).multiple > 10
    wrong[3, 1] = np.nan
    assert accuracy.error(case, "log-density", wrong, known).multiple == np.inf


# --- tied components far apart ---


@pytest.mark.skipif(np.finfo(np.longdouble).eps == np.finfo(float).eps, reason="the platform has no extended precision")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_all_densities_of_a_component_share_is_rounded_once(layout):
    k, d = 3, 601
    rng = np.random.default_rng(0)
    weights, factors = (
        rng.dirichlet(np.ones(k)),
        {
            "full": np.triu(rng.uniform(1.0, 1e3, (k, d, d))),
            "tied": np.triu(rng.uniform(1.0, 1e3, (d, d))),
            "diag": rng.uniform(1.0, 1e3, (k, d)),
            "spherical": rng.uniform(1.0, 1e3, k),
        },
    )
    diagonals = {
        "full": np.diagonal(factors["full"], axis1=1, axis2=2),
        "tied": np.tile(np.diagonal(factors["tied"]), (k, 1)),
        "diag": factors["diag"],
        "spherical": np.repeat(factors["spherical"][:, None], d, axis=1),
    }
    params = Params(layout_named(layout), weights, np.zeros((k, d)), factors[layout], factors[layout])
    shared = params.packed(np.float64).constant
    for c in range(k):
        logs = [exact.mp.log(value) for value in diagonals[layout][c].tolist()]
        exactly = exact.mp.fsum(logs) - d * exact.mp.log(2 * exact.mp.pi) / 2 + exact.mp.log(float(weights[c]))
        # half of the last place, whatever is done on the way
        assert abs(shared[c] - exactly) <= 0.501 * np.spacing(float(exactly))


def far_apart(n, distance=1e5):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3))
    X[:, 1] += distance * (np.arange(n) % 2)
    return X, ([0.5, 0.5], [[0.0, 0.0, 0.0], [0.0, distance, 0.0]], np.eye(3))


@pytest.mark.parametrize("n", [200, 3000])
def test_tied_scatter_keeps_its_digits_where_components_are_far_apart(n):
    X, (w, m, c) = far_apart(n)
    halves = [X[0::2], X[1::2]]
    expected = sum((half - half.mean(axis=0)).T @ (half - half.mean(axis=0)) for half in halves) / n
    step = em_step(X, w, m, c, covariance_type="tied", reg_covar=0.0)
    np.testing.assert_allclose(step.covariances, expected, rtol=1e-9, atol=1e-12)
    fit = GaussianMixture(2, covariance_type="tied", reg_covar=0.0, random_state=0).fit(X)
    np.testing.assert_allclose(fit.covariances_, expected, rtol=1e-9, atol=1e-12)
    chunked = GaussianMixture(2, covariance_type="tied", reg_covar=0.0, random_state=0).fit(
        X, sample_weight=np.full(n, 2.0)
    )
    np.testing.assert_allclose(chunked.covariances_, expected, rtol=1e-9, atol=1e-12)


def test_tied_components_that_turn_out_to_be_far_apart_leave_the_compiled_loop():
    X, (w, m, _) = far_apart(200)
    wide = GaussianMixture(
        2,
        covariance_type="tied",
        weights_init=w,
        means_init=m,
        precisions_init=1e-9 * np.eye(3),
        reg_covar=0.0,
        tol=1e-9,
    ).fit(X)
    halves = [X[0::2], X[1::2]]
    expected = sum((half - half.mean(axis=0)).T @ (half - half.mean(axis=0)) for half in halves) / len(X)
    np.testing.assert_allclose(wide.covariances_, expected, rtol=1e-9, atol=1e-12)


def test_tied_components_close_together_need_no_scatter_of_their_own(monkeypatch):
    X, _ = far_apart(3000, distance=5.0)
    source = ArraySource(X)
    params = check_parameters([0.5, 0.5], [[0.0, 0.0, 0.0], [0.0, 5.0, 0.0]], np.eye(3), layout_named("tied"))
    layouts = []
    collect = sweep.collect
    monkeypatch.setattr(sweep, "collect", lambda *a: layouts.append(a[1].name) or collect(*a))
    sweep.sweep(source, params)
    assert layouts == ["tied"]


# --- exponential and logarithm ---


@numba.njit
def _exp(x, out):
    for i in range(x.shape[0]):
        out[i] = kernels.exp(x[i])


@numba.njit
def _log(x, out):
    for i in range(x.shape[0]):
        out[i] = kernels.log(x[i])


def values(function, x):
    out = np.empty_like(x)
    function(x, out)
    return out


def ulps(got, reference):
    """Errors in units of the last place of the exact values, which come in a longer type."""
    with np.errstate(over="ignore", under="ignore"):
        return np.abs(got - reference) / np.spacing(np.abs(reference).astype(got.dtype))


def where_it_is_hard(dtype):
    """Around multiples of log(2) / 2, where the reduction goes over to the next power of two, and around the ends."""
    longer = np.longdouble
    lowest, highest = (-1080, 1024) if dtype == "float64" else (-152, 128)
    edges = np.arange(2 * lowest, 2 * highest + 1) * (np.log(longer(2)) / 2)
    eps = np.finfo(dtype).eps
    around = np.concatenate([edges * (1 + eps * step) for step in range(-4, 5)]).astype(dtype)
    small = np.geomspace(np.finfo(dtype).smallest_subnormal, 1, 2000, dtype=dtype)
    return np.concatenate([around, small, -small])


@pytest.mark.parametrize(("dtype", "lowest", "highest"), [("float64", -745.2, 709.8), ("float32", -104.1, 88.8)])
def test_the_exponential_is_within_an_ulp_over_its_range(dtype, lowest, highest):
    rng = np.random.default_rng(0)
    subnormal = math.log(float(np.finfo(dtype).tiny))
    x = np.concatenate(
        [rng.uniform(lowest, highest, 600_000), rng.uniform(-1, 1, 300_000), np.linspace(lowest, subnormal, 100_000)]
    )
    x = np.concatenate([x.astype(dtype), where_it_is_hard(dtype)])
    got = values(_exp, x)
    with np.errstate(over="ignore", under="ignore"):
        reference = np.exp(x.astype(np.longdouble))
        beyond = np.isinf(reference.astype(dtype))
    np.testing.assert_array_equal(np.isinf(got), beyond)
    assert ulps(got[~beyond], reference[~beyond]).max() <= 1.0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_exponential_against_50_digits(dtype):
    mp = mpmath.MPContext()
    mp.dps = 50
    x = np.random.default_rng(1).choice(where_it_is_hard(dtype), 4000, replace=False)
    got = values(_exp, x)
    finite = np.isfinite(got)
    for argument, value in zip(x[finite].tolist(), got[finite].tolist(), strict=True):
        true = mp.exp(argument)
        last_place = float(np.spacing(np.asarray(float(true), dtype)))
        assert abs(value - true) <= last_place, argument
    assert all(mp.exp(float(argument)) > float(np.finfo(dtype).max) for argument in x[~finite])


@compiled
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_exponential_of_the_sweep_ends_at_the_smallest_normal_number(dtype):
    kernel = ir_density._exponentials_ir

    @numba.njit
    def call(resp, top, total):
        for s in range(0, len(top), ir_density.STEP):
            kernel(resp, top, total, s)

    end = math.log(float(np.finfo(dtype).tiny))
    x = np.concatenate([np.random.default_rng(0).uniform(end, 0, 400_000), where_it_is_hard(dtype)]).astype(dtype)
    x = np.sort(x[x <= 0])[-(len(x[x <= 0]) // ir_density.STEP * ir_density.STEP) :]
    got, top, total = x[None].copy(), np.zeros(len(x), dtype), np.zeros(len(x), dtype)
    call(got, top, total)
    reference = np.exp(x.astype(np.longdouble))
    normal = x > end + 0.01
    assert ulps(got[0, normal], reference[normal]).max() <= 1.0
    assert not got[0, x < end].any()
    np.testing.assert_array_equal(total, got[0])


@pytest.mark.parametrize(("dtype", "most"), [("float64", 300), ("float32", 37)])
def test_the_logarithm_is_within_an_ulp_over_its_range(dtype, most):
    rng = np.random.default_rng(0)
    near_one = 1 + rng.uniform(-1, 1, 300_000) * 2.0 ** -rng.integers(1, np.finfo(dtype).nmant, 300_000)
    x = np.concatenate([10.0 ** rng.uniform(-most, most, 400_000), near_one, 2.0 ** np.arange(-120, 120)]).astype(dtype)
    x = x[(x > 0) & (x != 1)]
    assert ulps(values(_log, x), np.log(x.astype(np.longdouble))).max() <= 1.0
    np.testing.assert_array_equal(values(_log, np.array([0, 1, -1], dtype)), np.array([-np.inf, 0, -np.inf], dtype))


# --- what underflows ---


@pytest.mark.parametrize("layout", LAYOUTS)
def test_equal_components_share_equally_and_weights_of_zero_get_nothing(layout):
    covariances = {
        "full": np.tile(np.eye(2), (3, 1, 1)),
        "tied": np.eye(2),
        "diag": np.ones((3, 2)),
        "spherical": np.ones(3),
    }
    X = np.random.default_rng(0).normal(size=(50, 2))
    means = np.zeros((3, 2))
    shared = responsibilities(X, [0.5, 0.5, 0.0], means, covariances[layout], covariance_type=layout)
    np.testing.assert_array_equal(shared, np.tile([0.5, 0.5, 0.0], (50, 1)))
    tiny = responsibilities(X, [1.0, 1e-300, 0.0], means, covariances[layout], covariance_type=layout)
    np.testing.assert_allclose(tiny, np.tile([1.0, 1e-300, 0.0], (50, 1)), rtol=2e-13)  # 690 eps: of its logarithm
    both = [log_prob(X, w, means, covariances[layout], covariance_type=layout) for w in ([1, 0, 0], [0.5, 0.5, 0])]
    np.testing.assert_allclose(*both, rtol=4e-16, atol=4e-16)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_component_of_tiny_weight_has_the_samples_that_no_other_reaches(layout):
    covariances = {
        "full": np.tile(np.eye(2), (2, 1, 1)),
        "tied": np.eye(2),
        "diag": np.ones((2, 2)),
        "spherical": np.ones(2),
    }
    X = np.array([[0.0, 0.0], [1e3, 0.0], [1e3, 1.0]])
    resp = responsibilities(X, [1.0, 1e-300], [[0.0, 0.0], [1e3, 0.0]], covariances[layout], covariance_type=layout)
    np.testing.assert_array_equal(resp, [[1, 0], [0, 1], [0, 1]])
    value = log_prob(X, [1.0, 1e-300], [[0.0, 0.0], [1e3, 0.0]], covariances[layout], covariance_type=layout)
    np.testing.assert_allclose(value + math.log(2 * math.pi), [0, math.log(1e-300), math.log(1e-300) - 0.5], atol=1e-12)


@pytest.mark.parametrize("n", [3, 3000])
def test_a_sample_that_no_component_reaches_is_told_of(n):
    X = np.random.default_rng(0).normal(size=(n, 1))
    X[-1] = 1e200
    start = check_parameters([0.5, 0.5], [[0.0], [1.0]], [1.0, 1.0], layout_named("spherical"))
    step = MaximumLikelihood(STRUCTURES["spherical"], 1e-6)
    with pytest.raises(
        ValueError, match=r"log-likelihood became -inf in iteration 1: some sample is too far from every component"
    ):
        loop.run(ArraySource(X), start, step, Stop(0.0, 3))
    with pytest.raises(ValueError, match=r"Scale the data, raise reg_covar, or start elsewhere"):
        loop.run(ArraySource(X), start, step, Stop(0.0, 3))

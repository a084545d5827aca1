"""The compiled loop over little data is the loop of sweeps and M-steps."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import compiled, random_mixture

from fastgmm._limits import limited_to
from fastgmm.data.source import ArraySource
from fastgmm.em import compiled_loop, lanes, loop
from fastgmm.em.callbacks import Callback
from fastgmm.em.compiled_loop import CompiledLoop
from fastgmm.em.step import MaximumLikelihood
from fastgmm.em.stop import Stop
from fastgmm.kernels.small import Mixture, repack
from fastgmm.model.checks import check_parameters
from fastgmm.model.layouts import layout_named
from fastgmm.model.structures import STRUCTURES

LAYOUTS = ["full", "tied", "diag", "spherical"]


class Noting(Callback):
    """Keeps what is reported of iterations, and where EM could be resumed."""

    def __init__(self, lines):
        self.lines, self.places = lines, []

    def iteration(self, *line):
        self.lines.append(line)

    def reached(self, params, lower_bounds, accelerated=None):
        self.places.append((params, list(lower_bounds)))


def run(X, mixture, layout, *, weights=None, tol=0.0, reg_covar=1e-6, max_iter=12, **options):
    source = ArraySource(X, weights)
    params = check_parameters(*mixture, layout_named(layout))
    step = MaximumLikelihood(STRUCTURES[layout], reg_covar)
    return loop.run(source, params, step, Stop(tol, max_iter), **options)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("d", "k"), [(1, 2), (2, 3), (4, 3), (9, 2), (17, 4)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weighted", [False, True])
def test_same_parameters_as_sweep_by_sweep(layout, d, k, dtype, weighted):
    rng = np.random.default_rng(d)
    X = (rng.normal(size=(300, d)) + 2.0 * rng.integers(3, size=(300, 1)) + 5.0).astype(dtype)
    weights = rng.uniform(0.0, 1.5, size=300).astype(dtype) if weighted else None
    # samples as means: no component starves, whose last digits would then decide
    mixture = (np.full(k, 1.0 / k), X[:k].astype(np.float64), random_mixture(layout, k, d)[2])
    lines: list[tuple] = []
    quick = run(X, mixture, layout, weights=weights, callback=Noting(lines))
    expected: list[tuple] = []
    slow = run(X, mixture, layout, weights=weights, callback=Noting(expected), compiled_loop=False)
    # in float32 the parameters that go into the kernels are rounded, and a digit may fall to the other side
    rtol = 1e-9 if dtype == np.float64 else 2e-3
    assert quick.n_iter == slow.n_iter == 12
    np.testing.assert_allclose(quick.lower_bounds, slow.lower_bounds, rtol=1e-11 if dtype == np.float64 else 1e-5)
    for name in ("weights", "means", "covariances", "prec_chol"):
        got, want = getattr(quick.params, name), getattr(slow.params, name)
        np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * np.abs(want).max(), err_msg=name)
    np.testing.assert_allclose(lines, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_converges_alike(layout, faithful):
    mixture = (
        [0.5, 0.5],
        [[2.0, 55.0], [4.3, 80.0]],
        {
            "full": np.array([np.diag([1.0, 50.0])] * 2),
            "tied": np.diag([1.0, 50.0]),
            "diag": np.array([[1.0, 50.0]] * 2),
            "spherical": np.array([20.0, 20.0]),
        }[layout],
    )
    quick = run(faithful, mixture, layout, tol=1e-4, max_iter=200)
    slow = run(faithful, mixture, layout, tol=1e-4, max_iter=200, compiled_loop=False)
    assert quick.converged
    assert slow.converged
    assert quick.n_iter == slow.n_iter
    assert quick.lower_bound == pytest.approx(slow.lower_bound, rel=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_many_calls_are_one_call(layout, iris, limits):
    mixture = random_mixture(layout, 3, 4, spread=3.0)
    whole = run(iris, mixture, layout, reg_covar=1e-3, max_iter=9)
    limits(call_flops=2.0 * compiled_loop.flops(ArraySource(iris), whole.params))
    parts = run(iris, mixture, layout, reg_covar=1e-3, max_iter=9)
    assert parts.lower_bounds == whole.lower_bounds
    for name in ("weights", "means", "covariances", "prec_chol"):
        assert np.array_equal(getattr(parts.params, name), getattr(whole.params, name)), name


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("is_compiled", [True, False])
def test_resuming_gives_the_same_bits(layout, dtype, is_compiled, iris, limits):
    X = iris.astype(dtype)
    mixture = random_mixture(layout, 3, 4, spread=3.0)
    noting = Noting([])
    if is_compiled:
        params = check_parameters(*mixture, layout_named(layout))
        limits(call_flops=2.0 * compiled_loop.flops(ArraySource(X), params))
    expected = run(X, mixture, layout, reg_covar=1e-3, max_iter=9, callback=noting, compiled_loop=is_compiled)
    assert [len(done) for _, done in noting.places] == ([2, 4, 6, 8, 9] if is_compiled else [*range(1, 10)])
    source, step = ArraySource(X), MaximumLikelihood(STRUCTURES[layout], 1e-3)
    for params, done in noting.places[:3]:
        again = loop.run(source, params, step, Stop(0.0, 9), done=done, compiled_loop=is_compiled)
        assert again.lower_bounds == expected.lower_bounds
        for name in ("weights", "means", "covariances", "prec_chol"):
            assert np.array_equal(getattr(again.params, name), getattr(expected.params, name)), name


def test_long_iterations_are_left_to_the_kernels_that_can_be_interrupted(iris):
    params = check_parameters(*random_mixture("full", 3, 4), layout_named("full"))
    step = MaximumLikelihood(STRUCTURES["full"], 1e-6)
    assert CompiledLoop.suits(ArraySource(iris), params, step, None)
    assert not CompiledLoop.suits(ArraySource(iris), params, MaximumLikelihood(STRUCTURES["VEV"], 1e-6), None)
    with limited_to(call_flops=10.0):
        assert not CompiledLoop.suits(ArraySource(iris), params, step, None)
    assert not CompiledLoop.suits(ArraySource(np.zeros((lanes.SINGLE_LANE + 1, 4))), params, step, None)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_collapse_is_told_alike(layout):
    X = np.repeat([[0.0, 1.0], [5.0, 6.0]], 20, axis=0)
    X[:20] += np.random.default_rng(0).normal(size=(20, 2))
    if layout == "tied":
        X = X[20:]
    ones = {"full": np.array([np.eye(2)] * 2), "tied": np.eye(2), "diag": np.ones((2, 2)), "spherical": np.ones(2)}
    mixture = ([0.5, 0.5], [[0.0, 1.0], [5.0, 6.0]], ones[layout])
    messages = []
    for is_compiled in (True, False):
        with pytest.raises(ValueError, match=r"[Rr]aise reg_covar to about") as caught:
            run(X, mixture, layout, reg_covar=0.0, max_iter=100, compiled_loop=is_compiled)
        messages.append(str(caught.value).partition("(")[0])
    assert messages[0] == messages[1]


def test_a_likelihood_that_is_no_number_is_told_alike():
    X = np.zeros((40, 1))
    mixture = ([1.0], [[1e150]], [[[1e-200]]])
    for is_compiled in (True, False):
        with pytest.raises(ValueError, match="log-likelihood became -inf in iteration 1"):
            run(X, mixture, "full", compiled_loop=is_compiled)


@compiled
def test_plain_python_agrees():
    code = """
import numpy as np
from fastgmm import GaussianMixture
X = np.random.default_rng(0).normal(size=(7, 2))
for layout in ("full", "tied", "diag", "spherical"):
    model = GaussianMixture(2, covariance_type=layout, random_state=0, reg_covar=0.1, tol=0, max_iter=2).fit(X)
    print(*map(float.hex, [model.lower_bound_, *model.means_.ravel(), *np.ravel(model.covariances_)]))
"""
    found = []
    for off in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            env={**os.environ, "NUMBA_DISABLE_JIT": off},
            capture_output=True,
            text=True,
            check=True,
        )
        found.append([[float.fromhex(x) for x in line.split()] for line in done.stdout.splitlines()])
    for fast, plain in zip(*found, strict=True):
        np.testing.assert_allclose(fast, plain, rtol=1e-10, atol=1e-12)


# --- the twins, from the same sums ---


def hard(kind: str, k: int, d: int):
    """Samples and a mixture whose M-step loses digits, or whose factors differ widely."""
    rng = np.random.default_rng(d)
    X = rng.normal(size=(200, d)) + 3.0 * rng.integers(k, size=(200, 1))
    if kind == "far from zero":
        X += 1e6
    elif kind == "of many scales":
        X *= np.geomspace(1e-5, 1e5, d)
    elif kind == "thin":
        X = np.hstack([X[:, :-1], X[:, :1] + 1e-5 * X[:, -1:]]) if d > 1 else 1e-5 * X
    spread = np.cov(X.T).reshape(d, d)
    return X, (rng.dirichlet(np.full(k, 0.5)), X[:k] + 1e-3 * X.std(axis=0), np.tile(spread, (k, 1, 1)))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["plain", "far from zero", "of many scales", "thin"])
@pytest.mark.parametrize(("k", "d"), [(3, 1), (3, 4), (2, 17)])
def test_the_m_step_of_the_same_sums_is_the_same(layout, kind, k, d):
    X, (weights, means, matrices) = hard(kind, k, d)
    of = layout_named(layout)
    covariances = matrices[0] if of.pools else of.of_matrices(matrices)
    params = check_parameters(weights, means, covariances, of)
    source, step = ArraySource(X), MaximumLikelihood(STRUCTURES[layout], 1e-6)
    twin = CompiledLoop(source, params, step, Stop(0.0, 1), 1, Callback())
    twin.run(-np.inf, [])
    found, expected = twin.params, step.maximise(twin.stats)
    np.testing.assert_array_max_ulp(found.weights, expected.weights, 1)
    np.testing.assert_array_max_ulp(found.means, expected.means, 1)
    if layout in ("full", "diag"):
        assert np.array_equal(found.covariances, expected.covariances)
        assert np.array_equal(found.prec_chol, expected.prec_chol)
    else:
        # sums over features or components in another order: a few ulps of the largest term
        terms = np.abs(twin.stats.sums / twin.stats.counts[:, None]).max() ** 2 + expected.variances.max()
        assert np.abs(found.covariances - expected.covariances).max() <= 8 * d * np.finfo(float).eps * terms
    # what goes into the kernels, of the same parameters
    repacked = expected.packed(np.float64)
    mixture = Mixture(
        *(np.array(a) for a in (expected.weights, expected.means, expected.covariances, expected.prec_chol))
    )
    repack(twin.packed, mixture)
    for name, array in repacked._asdict().items():
        if isinstance(array, np.ndarray):
            other = getattr(twin.packed, name)
            if name in ("centre", "transformed"):  # a mean of means, and what is left of them
                rounding = 16 * np.finfo(float).eps * np.abs(expected.means).max()
                np.testing.assert_allclose(
                    other, array, rtol=0, atol=rounding * max(1.0, np.abs(expected.prec_chol).max())
                )
            elif name == "constant":  # of terms that cancel: an ulp of d/2 log 2 pi, or of the sum
                assert (np.abs(other - array) <= np.spacing(np.maximum(np.abs(array), d))).all()
            else:
                assert np.array_equal(other, array)

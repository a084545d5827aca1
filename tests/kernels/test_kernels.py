"""Kernels against the naive oracle, against each other, and the promises about bits, threads and compilation."""

from __future__ import annotations

import io
import math
import os
import shutil
import subprocess
import sys
import warnings
from contextlib import redirect_stdout
from pathlib import Path

import naive
import numba
import numpy as np
import pytest
from conftest import PATIENCE, compiled, random_mixture

from fastgmm import em_step, kernels, log_density, log_prob, responsibilities, sufficient_statistics
from fastgmm.data.source import ArraySource
from fastgmm.em import sweep
from fastgmm.em.step import MaximumLikelihood
from fastgmm.estimators.gaussian_mixture import check_parameters
from fastgmm.model.layouts import layout_named

LAYOUTS = ["full", "tied", "diag", "spherical"]
# around the tile (128), the vector step (16) and the padding of features (4); the last takes several lanes
SHAPES = [(7, 1, 2), (50, 2, 3), (128, 3, 1), (129, 4, 2), (300, 5, 4), (700, 13, 3), (2000, 8, 5), (60, 33, 2)]


def data(n, d, seed=1, dtype=np.float64):
    return (2.0 * np.random.default_rng(seed).normal(size=(n, d)) + 1.0).astype(dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
def test_densities_and_responsibilities_match_the_oracle(layout, n, d, k):
    X, (w, m, c) = data(n, d), random_mixture(layout, k, d)
    expected = naive.log_density(X, m, c, layout)
    np.testing.assert_allclose(log_density(X, m, c, covariance_type=layout), expected, rtol=1e-10)
    np.testing.assert_allclose(
        log_prob(X, w, m, c, covariance_type=layout), naive.log_prob(X, w, m, c, layout), rtol=1e-10
    )
    np.testing.assert_allclose(
        responsibilities(X, w, m, c, covariance_type=layout),
        naive.responsibilities(X, w, m, c, layout),
        rtol=1e-9,
        atol=1e-14,
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
def test_statistics_of_a_sweep_match_the_oracle(layout, n, d, k):
    X, (w, m, c) = data(n, d), random_mixture(layout, k, d)
    source = ArraySource(X)
    stats = sweep.sweep(source, check_parameters(w, m, c, layout_named(layout)))
    counts, sums, scatter = naive.counts_sums_scatter(X, naive.responsibilities(X, w, m, c, layout), m, layout)
    scale = np.abs(scatter).max()
    np.testing.assert_allclose(stats.counts, counts, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(stats.sums, sums, rtol=1e-10, atol=1e-11 * scale)
    np.testing.assert_allclose(stats.scatter, scatter, rtol=1e-10, atol=1e-11 * scale)
    assert stats.log_likelihood == pytest.approx(naive.log_prob(X, w, m, c, layout).sum(), rel=1e-11)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
def test_statistics_of_given_responsibilities_match_the_oracle(layout, n, d, k):
    rng = np.random.default_rng(3)
    X, resp, origin = data(n, d), rng.uniform(size=(n, k)), rng.normal(size=(k, d))
    stats = sufficient_statistics(X, resp, origin=origin, covariance_type=layout)
    counts, sums, scatter = naive.counts_sums_scatter(X, resp, origin, layout)
    np.testing.assert_allclose(stats.counts, counts, rtol=1e-12)
    np.testing.assert_allclose(stats.sums, sums, rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(stats.scatter, scatter, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_em_step_matches_the_oracle(layout):
    X, (w, m, c) = data(900, 6), random_mixture(layout, 4, 6)
    expected = naive.em(X, w, m, c, layout, 1, 1e-6)
    step = em_step(X, w, m, c, covariance_type=layout)
    for got, want in zip(step[:3], expected[:3], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)
    assert step.log_likelihood / len(X) == pytest.approx(expected[3][0], rel=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("d", [2, 8, 33])
def test_float32_is_near_float64(layout, d):
    X, (w, m, c) = data(3000, d, dtype=np.float32), random_mixture(layout, 3, d)
    single = log_prob(X, w, m, c, covariance_type=layout)
    double = log_prob(X.astype(np.float64), w, m, c, covariance_type=layout)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, rtol=2e-5, atol=2e-5)
    a = em_step(X, w, m, c, covariance_type=layout)
    b = em_step(X.astype(np.float64), w, m, c, covariance_type=layout)
    assert a.log_likelihood == pytest.approx(b.log_likelihood, rel=1e-5)
    np.testing.assert_allclose(a.covariances, b.covariances, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_bits_do_not_depend_on_threads_or_memory_order(layout, dtype):
    X, (w, m, c) = data(5000, 5, dtype=dtype), random_mixture(layout, 3, 5)
    params = check_parameters(w, m, c, layout_named(layout))
    strided = np.zeros((10000, 12), dtype)[::-2, 1:11:2]
    strided[:] = X
    results = []
    for array in (X, np.asfortranarray(X), strided):
        source = ArraySource(array)
        for n_threads in (1, 2, 3):
            results.append(sweep.sweep(source, params, n_threads))
    first = results[0]
    for other in results[1:]:
        assert other.log_likelihood == first.log_likelihood
        for name in ("counts", "sums", "scatter"):
            assert np.array_equal(getattr(other, name), getattr(first, name)), name


def test_samples_that_no_component_reaches_have_likelihood_zero():
    X = np.array([[0.0], [1e200]])
    value = log_prob(X, [0.5, 0.5], [[0.0], [1.0]], [1.0, 1.0], covariance_type="spherical")
    assert np.isfinite(value[0])
    assert value[1] == -math.inf
    resp = responsibilities(X, [1.0, 0.0], [[0.0], [1.0]], [1.0, 1.0], covariance_type="spherical")
    np.testing.assert_array_equal(resp, [[1.0, 0.0], [0.0, 0.0]])


@numba.njit
def _apply(function_index, x, out):
    for i in range(x.shape[0]):
        out[i] = kernels.exp(x[i]) if function_index == 0 else kernels.log(x[i])


def test_exp_and_log_are_as_exact_as_they_say():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-708, 709, 200_000), rng.uniform(-1, 1, 100_000), [0.0]])
    got = np.empty_like(x)
    _apply(0, x, got)
    exact = np.exp(x.astype(np.longdouble))
    assert np.max(np.abs(got / exact - 1)) <= 2.0**-52
    assert np.max(np.abs(got - exact) / np.spacing(exact.astype(np.float64))) <= 1.0
    y = np.concatenate([rng.uniform(1e-3, 600, 200_000), 10.0 ** rng.uniform(-300, 300, 100_000), [1.0]])
    got = np.empty_like(y)
    _apply(1, y, got)
    exact = np.log(y.astype(np.longdouble))
    assert np.max(np.abs(got - exact) / np.spacing(np.abs(exact.astype(np.float64)))) <= 1.0


def test_exp_and_log_at_the_ends():
    x = np.array([-np.inf, -1e308, -746.0, -745.0, 710.0, 1e308, np.inf, np.nan])
    got = np.empty_like(x)
    _apply(0, x, got)
    with np.errstate(over="ignore", under="ignore"):
        np.testing.assert_array_equal(got, np.exp(x))
    zero = np.zeros(1)
    _apply(1, zero, got[:1])
    assert got[0] == -np.inf


def test_exp_of_float32():
    x = np.random.default_rng(0).uniform(-87, 88, 100_000).astype(np.float32)
    got = np.empty_like(x)
    _apply(0, x, got)
    exact = np.exp(x.astype(np.float64))
    assert np.max(np.abs(got - exact) / np.spacing(exact.astype(np.float32))) <= 1.0
    ends = np.concatenate([np.linspace(-4000, -104, 5000), [-np.inf, 89.0, 4000.0, np.inf]]).astype(np.float32)
    got = np.empty_like(ends)
    _apply(0, ends, got)
    with np.errstate(over="ignore", under="ignore"):
        np.testing.assert_array_equal(got, np.exp(ends.astype(np.float64)).astype(np.float32))


@numba.njit
def _user_loop(samples, parameters):
    """The documentation promises it: the innermost functions called from a user's own jitted code."""
    work = kernels.new_scratch(parameters)
    total = 0.0
    width = len(work.top)
    for first in range(0, samples.n_samples, width):
        m = min(width, samples.n_samples - first)
        kernels.load_tile(samples, first, m, work.x)
        kernels.tile_density(parameters, work, m)
        total += kernels.log_sum_exp_tile(work.resp, work.top, work.total, m)
    return total


def test_kernels_in_a_users_own_jitted_code():
    X, (w, m, c) = data(300, 5), random_mixture("full", 3, 5)
    total = _user_loop(ArraySource(X).samples, check_parameters(w, m, c, layout_named("full")).packed(np.float64))
    assert total == pytest.approx(log_prob(X, w, m, c).sum(), rel=1e-12)


@compiled
def test_one_specialisation_per_dtype_and_layout():
    from fastgmm.kernels.sweep import sweep

    for dtype in (np.float64, np.float32):
        for layout in LAYOUTS:
            w, m, c = random_mixture(layout, 2, 3)
            X = data(40, 3, dtype=dtype)
            readonly = X.copy()
            readonly.flags.writeable = False
            for array in (X, np.asfortranarray(X), X[::2], readonly):
                em_step(array, w, m, c, covariance_type=layout)
    assert len(sweep.signatures) <= 8


def _run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@compiled
def test_a_changed_helper_reaches_cached_callers(tmp_path):
    """Numba alone stamps a cache entry with the caller's own file: an edited helper elsewhere would go unseen."""
    import fastgmm

    package = tmp_path / "fastgmm"
    shutil.copytree(Path(fastgmm.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import fastgmm; assert {str(tmp_path)!r} in fastgmm.__file__\n"
        "print(fastgmm.log_density([[0.], [1.]], [[0.]], [[[1.]]])[1, 0])"
    )
    cache = str(tmp_path / "cache")
    before = float(_run(code, NUMBA_CACHE_DIR=cache))
    assert float(_run(code, NUMBA_CACHE_DIR=cache)) == before == pytest.approx(-0.5 - 0.5 * math.log(2 * math.pi))
    source = package / "kernels" / "ir_density.py"
    text = source.read_text()
    assert "ir.Constant(k.scalar, -0.5)" in text
    source.write_text(text.replace("ir.Constant(k.scalar, -0.5)", "ir.Constant(k.scalar, -1.5)"))
    assert float(_run(code, NUMBA_CACHE_DIR=cache)) == pytest.approx(before - 1.0)


@compiled
def test_code_that_checks_indices_has_a_cache_of_its_own(tmp_path):
    """Numba's key does not know: unchecked code from the cache would be run where checks were asked for."""
    code = """
import numpy as np
from fastgmm.kernels.cholesky import factor_precisions
try:
    factor_precisions(np.ones((1, 1, 1)), np.zeros((1, 1, 1))[:0])
except IndexError:
    print("seen")
else:
    print("not seen")
"""
    for checked, expected in (("0", "not seen"), ("1", "seen"), ("0", "not seen")):
        # unchecked, the element behind the view is written, which is there
        assert _run(code, NUMBA_CACHE_DIR=str(tmp_path), NUMBA_BOUNDSCHECK=checked) == expected


def test_a_forked_child_can_fit():
    code = """
import multiprocessing, numpy as np
from fastgmm import GaussianMixture
X = np.random.default_rng(0).normal(size=(2000, 2))
def fit(_):
    return GaussianMixture(2, random_state=0).fit(X).lower_bound_
if __name__ == "__main__":
    here = fit(0)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        there = pool.map_async(fit, range(2)).get(timeout=1500)
    assert there == [here, here], (here, there)
    print("same")
"""
    assert _run(code) == "same"


@pytest.mark.parametrize("layer", ["default", "workqueue"])
def test_python_threads_fit_at_once(layer):
    code = """
import concurrent.futures, numpy as np
from fastgmm import GaussianMixture
X = np.random.default_rng(0).normal(size=(3000, 3))
def fit(_):
    return GaussianMixture(3, random_state=0, tol=0, max_iter=5).fit(X).lower_bound_
import warnings; warnings.simplefilter("ignore")
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    assert len(set(pool.map(fit, range(24)))) == 1
print("same")
"""
    assert _run(code, NUMBA_THREADING_LAYER=layer) == "same"


def test_threads_are_restored_even_when_a_fit_fails():
    from fastgmm import GaussianMixture

    before = numba.get_num_threads()
    X = np.repeat([[0.0, 1.0], [1.0, 0.0]], 5, axis=0)
    with pytest.raises(ValueError, match="reg_covar"):
        GaussianMixture(2, reg_covar=0.0, n_threads=1, random_state=0).fit(X)
    assert numba.get_num_threads() == before


def test_plain_python_lane():
    """The kernels without JIT, on data that a tile of 128 does not fit: what coverage and a debugger can see."""
    code = """
import numpy as np, fastgmm, warnings
warnings.simplefilter("ignore")
X = np.random.default_rng(0).normal(size=(7, 5))
for layout in ("full", "tied", "diag", "spherical"):
    model = fastgmm.GaussianMixture(2, covariance_type=layout, random_state=0, reg_covar=0.1, max_iter=3).fit(X)
    print(repr(model.lower_bound_), *model.predict(X), repr(model.score(X)))
"""
    slow = _run("from fastgmm import _jit; assert _jit.JIT_DISABLED" + code, NUMBA_DISABLE_JIT="1").splitlines()
    with redirect_stdout(io.StringIO()) as told, warnings.catch_warnings():
        exec(code, {})
    fast = told.getvalue().splitlines()
    for a, b in zip(slow, fast, strict=True):
        (first, *labels_a, last), (first_b, *labels_b, last_b) = a.split(), b.split()
        assert labels_a == labels_b
        assert float(first) == pytest.approx(float(first_b), rel=1e-12)
        assert float(last) == pytest.approx(float(last_b), rel=1e-12)


def test_m_step_of_merged_statistics_is_that_of_the_whole():
    X, (w, m, c) = data(800, 4), random_mixture("full", 3, 4)
    params = check_parameters(w, m, c, layout_named("full"))
    from fastgmm.model.structures import STRUCTURES

    whole = sweep.sweep(ArraySource(X), params)
    parts = sweep.sweep(ArraySource(X[:300]), params).merge(sweep.sweep(ArraySource(X[300:]), params))
    step = MaximumLikelihood(STRUCTURES["full"], 1e-6)
    a, b = step.maximise(whole), step.maximise(parts)
    np.testing.assert_allclose(a.covariances, b.covariances, rtol=1e-11)
    with pytest.raises(ValueError, match="same origin"):
        whole.merge(sweep.sweep(ArraySource(X), check_parameters(w, m + 1, c, layout_named("full"))))


LINKED = """
from fastgmm._jit import EXACT, called, helper

@helper(EXACT)
def leaf(x):
    return 2.0 * x

call_leaf = called(leaf)

@helper(EXACT)
def middle(x):
    return call_leaf(x) + 1.0

@helper(EXACT)
def one(x):
    return middle(x) + 10.0

@helper(EXACT)
def other(x):
    return middle(x) + 20.0
"""


@compiled
def test_what_is_called_by_address_is_loaded_with_all_that_contain_its_caller(tmp_path):
    """Code from the cache would call an address that is not there."""
    (tmp_path / "linked.py").write_text(LINKED)
    import_it = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import linked\n"
    cache = str(tmp_path / "cache")
    for code, expected in (
        ("print(linked.one(1.0))", "13.0"),  # all are compiled
        ("print(linked.other(1.0))", "23.0"),  # from `middle` of the cache
        ("print(linked.other(1.0), linked.one(1.0))", "23.0 13.0"),
        ("print(linked.middle(1.0), linked.other(1.0))", "3.0 23.0"),
    ):
        assert _run(import_it + code, NUMBA_CACHE_DIR=cache) == expected

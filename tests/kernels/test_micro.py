"""Each micro-kernel against its plain-Python twin, for both widths of vectors and both floating types."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np
import pytest
from conftest import PATIENCE
from llvmlite import binding

from fastgmm._jit import JIT_DISABLED, has_avx512
from fastgmm.kernels import ir, ir_density, ir_moments, ir_rows
from fastgmm.kernels.cholesky import factor_precisions

pytestmark = pytest.mark.skipif(JIT_DISABLED, reason="the twins are what runs where Numba is switched off")

WIDTH = 2 * ir_density.STEP + 16
DTYPES = ("float64", "float32")
FEATURES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 16, 17, 23, 39, 111, 112, 113, 120)


@pytest.fixture(params=[True, False], ids=["64 bytes", "32 bytes"])
def wide(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Code for registers of 64 bytes (LLVM splits them where the CPU has none) or of 32."""
    monkeypatch.setattr(ir, "has_avx512", lambda: request.param)
    return request.param


def padded(d: int) -> int:
    return -(-d // 4) * 4


def arrays(dtype: str, *shapes: tuple[int, ...], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


@cache
def caller(kernel: Any, n_arguments: int, wide: bool) -> Any:
    """A compiled function of as many arguments that calls the kernel; of its own for each width, which Numba does not know of."""
    names = ", ".join(f"a{i}" for i in range(n_arguments))
    scope: dict[str, Any] = {"kernel": kernel}
    exec(f"def call({names}):\n    kernel({names})", scope)
    return numba.njit(scope["call"])


def both(kernel: Any, twin: Callable, arguments: tuple, out: tuple[int, ...], rtol: float, atol: float) -> None:
    """Run kernel and twin on copies, and compare the arguments that are written."""
    copies = [tuple(a.copy() if isinstance(a, np.ndarray) else a for a in arguments) for _ in range(2)]
    caller(kernel, len(arguments), ir.has_avx512())(*copies[0])
    twin(*copies[1])
    for i in out:
        np.testing.assert_allclose(copies[0][i], copies[1][i], rtol=rtol, atol=atol)
        assert not np.array_equal(copies[1][i], arguments[i]), "the twin has written nothing"


def tolerance(dtype: str) -> tuple[float, float]:
    return (1e-12, 1e-12) if dtype == "float64" else (2e-4, 2e-4)


def zero_rows(array: np.ndarray, d: int) -> np.ndarray:
    array[d:] = 0
    return array


@pytest.mark.parametrize("d", FEATURES)
def test_panels_hold_the_upper_triangle(d):
    u = np.triu(np.random.default_rng(d).normal(size=(3, d, d)))
    packed = ir_density.pack_panels(u)
    columns = ir_density.panels(d)[1]
    assert d <= columns <= padded(d)
    for k in range(3):
        whole = ir_density.unpack_panels(packed[k], columns)
        np.testing.assert_array_equal(whole[:d, :d], u[k])
        assert not whole[d:].any()
        assert not whole[:, d:].any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", FEATURES)
def test_full_density_and_transform(wide, d, dtype):
    k, rows = 2, padded(d)
    x, means, u, constant, resp, top, z = arrays(
        dtype, (rows, WIDTH), (k, rows), (k, d, d), (k,), (k, WIDTH), (WIDTH,), (rows, WIDTH)
    )
    zero_rows(x, d)
    means[:, d:] = 0
    top -= 1e5
    u = ir_density.pack_panels(np.triu(u))
    arguments = (x, d, means, u, constant, 1, resp, top, ir_density.STEP)
    both(ir_density._full_density_ir, ir_density._full_density_python, arguments, (6, 7), *tolerance(dtype))
    arguments = (x, d, means[0], u[0], z, 0)
    both(ir_density._transform_ir, ir_density._transform_python, arguments, (4,), *tolerance(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("pair", [(0, 1), (2, 2)])
def test_distance_density(wide, scaled, pair, dtype):
    k, d = 3, 12
    x, means, scale, factor, constant, resp, top = arrays(
        dtype, (d, WIDTH), (k, d), (k, d), (k,), (k,), (k, WIDTH), (WIDTH,)
    )
    top -= 1000
    arguments = (x, means, scale if scaled else None, factor, constant, *pair, resp, top, 0)
    both(ir_density._distance_density_ir, ir_density._distance_density_python, arguments, (7, 8), *tolerance(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_exponentials(wide, dtype):
    resp, top, total = arrays(dtype, (5, WIDTH), (WIDTH,), (WIDTH,))
    resp *= 30
    resp[:, 3] = -np.inf  # no component reaches this sample
    resp[2, 5] = -np.inf
    top[:] = resp.max(axis=0)
    both(
        ir_density._exponentials_ir,
        ir_density._exponentials_python,
        (resp, top, total, 0),
        (0, 1, 2),
        *tolerance(dtype),
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_exponentials_are_within_an_epsilon(wide, dtype):
    lowest = -708.39 if dtype == "float64" else -87.33
    exponents = (
        np.linspace(np.nextafter(lowest, 0, dtype=dtype), 0, 64 * ir_density.STEP)
        .astype(dtype)
        .reshape(64, ir_density.STEP)
    )
    got, top, total = exponents.copy(), np.zeros(ir_density.STEP, dtype), np.zeros(ir_density.STEP, dtype)
    kernel = ir_density._exponentials_ir

    @numba.njit
    def call(resp, top, total):
        kernel(resp, top, total, 0)

    call(got, top, total)
    exact = np.exp(exponents.astype(np.longdouble))
    assert np.max(np.abs(got - exact) / exact) <= np.finfo(dtype).eps
    below = np.full((1, ir_density.STEP), 2 * lowest, dtype)
    call(below, top, total)
    assert not below.any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "rows", "columns", "triangle"),
    [
        ("products_4x4", 4, 4, False),
        ("products_4x2", 4, 2, False),
        ("triangle_4", 4, 4, True),
        ("triangle_2", 2, 2, True),
    ],
)
def test_products(wide, name, rows, columns, triangle, dtype):
    """Against the formula: here kernel and twin are made by one function, of which the module keeps one."""
    (v,) = arrays(dtype, (12, WIDTH))
    n = 2 * ir_density.STEP
    i0, j0 = (4, 4) if triangle else (0, 6)
    scatter = np.ones((20, 12))
    kernel = getattr(ir_moments, name)

    @numba.njit
    def call(v, scatter):
        kernel(v, scatter, 8 + i0, i0, j0, n)

    got = scatter.copy()
    call(v, got)
    block = v[i0 : i0 + rows, :n].astype(np.float64) @ v[j0 : j0 + columns, :n].T.astype(np.float64)
    scatter[8 + i0 : 8 + i0 + rows, j0 : j0 + columns] += np.triu(block) if triangle else block
    rtol, atol = tolerance(dtype)
    np.testing.assert_allclose(got, scatter, rtol=rtol, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gathered", [True, False])
def test_weighted_differences(wide, gathered, dtype):
    x, v, root, means = arrays(dtype, (8, WIDTH), (8, WIDTH), (3, WIDTH), (3, 8))
    arguments = (x, v, gathered, root, means, 1, 4, ir_density.STEP, np.zeros((5, 8)), 3)
    both(
        ir_moments._weighted_differences_ir,
        ir_moments._weighted_differences_python,
        arguments,
        (1, 8),
        *tolerance(dtype),
    )


@pytest.mark.parametrize("count", [0, 1, 5])
def test_products_of_rows(wide, count):
    target, a, b = arrays("float64", (4, WIDTH), (9, WIDTH), (8, WIDTH))
    # with no products the twin writes nothing, and neither may the kernel
    arguments = (target, 2, a, 3, b, 1, count, ir_density.STEP)
    if count:
        both(ir_rows._subtract_products_ir, ir_rows._subtract_products_python, arguments, (0,), 1e-12, 1e-12)
    else:
        before = target.copy()
        caller(ir_rows._subtract_products_ir, len(arguments), wide)(*arguments)
        np.testing.assert_array_equal(target, before)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_weighted_excess(wide, count):
    resp, w, v, a, b = arrays("float64", (3, WIDTH), (4, WIDTH), (2, WIDTH), (9, WIDTH), (8, WIDTH))
    kernel = ir_rows._weighted_excess_ir

    @numba.njit
    def call(resp, w, v, a, b, count, n):
        return kernel(resp, 2, w, 3, v, 1, a, 4, b, 2, count, n)

    found = call(resp, w, v, a, b, count, 2 * ir_density.STEP)
    expected = ir_rows._weighted_excess_python(resp, 2, w, 3, v, 1, a, 4, b, 2, count, 2 * ir_density.STEP)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("second", [True, False])
def test_moments(wide, second, dtype):
    x, resp, means = arrays(dtype, (8, WIDTH), (3, WIDTH), (3, 8))
    scatter = np.zeros((5, 8)) if second else None
    arguments = (x, resp, means, 1, 4, ir_density.STEP, np.zeros((5, 8)), scatter, 3)
    both(ir_moments._moments_ir, ir_moments._moments_python, arguments, (6, 7) if second else (6,), *tolerance(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [1, 2, 3])
def test_small_moments(wide, d, dtype):
    """Against the formula, as for the products."""
    x, resp, means = arrays(dtype, (4, WIDTH), (3, WIDTH), (3, 4))
    n, width = ir_density.STEP, (d + 1) // 2 * 2
    sums, scatter = np.zeros((5, 4)), np.zeros((5 * width, width))
    kernel = getattr(ir_moments, f"small_moments_{d}")

    @numba.njit
    def call(x, resp, means, sums, scatter):
        kernel(x, resp, means, 1, n, sums, scatter, 3)

    call(x, resp, means, sums, scatter)
    t = x[:d, :n].astype(np.float64) - means[1, :d, None]
    rtol, atol = tolerance(dtype)
    np.testing.assert_allclose(sums[3, :d], t @ resp[1, :n], rtol=rtol, atol=atol)
    second = np.triu((resp[1, :n] * t) @ t.T)
    np.testing.assert_allclose(scatter[3 * width : 3 * width + d, :d], second, rtol=rtol, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
def test_most_probable(wide, dtype):
    (resp,) = arrays(dtype, (7, WIDTH))
    resp[4] = resp[2]  # ties go to the first
    resp[:, 9] = -np.inf
    both(ir_density._most_probable_ir, ir_density._most_probable_python, (resp, np.full(WIDTH, -1), 0), (1,), 0.0, 0.0)


@pytest.mark.parametrize("d", [1, 2, 5, 17, 64])
def test_precision_factors(d):
    a = np.random.default_rng(d).normal(size=(3, d, 2 * d))
    covariances = a @ np.swapaxes(a, 1, 2)
    u = np.zeros_like(covariances)
    assert factor_precisions(covariances, u) == 3
    np.testing.assert_array_equal(u, np.triu(u))
    expected = np.linalg.inv(np.swapaxes(np.linalg.cholesky(covariances), 1, 2))
    np.testing.assert_allclose(u, expected, rtol=1e-9, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("bad", [-1.0, 0.0, np.nan, np.inf])
def test_precision_factors_name_the_matrix_that_has_none(bad):
    covariances = np.tile(np.eye(3), (4, 1, 1))
    covariances[2, 1, 1] = bad
    assert factor_precisions(covariances, np.zeros_like(covariances)) == 2


x86 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names and features of x86-64")


@x86
def test_no_library_call_where_there_is_no_fma():
    code = """
import re, numba, numpy as np
from fastgmm.kernels import ir_kmeans, ir_density
density, exponentials, potentials = ir_density._full_density_ir, ir_density._exponentials_ir, ir_kmeans._potentials_ir
@numba.njit
def call(x, means, u, constant, resp, top, out):
    density(x, 5, means, u, constant, 0, resp, top, 0)
    exponentials(resp, top, top, 0)
    potentials(x, means, top, 0, out, 0, 128, top, 0)
for dtype in (numba.float64, numba.float32):
    matrix, vector = dtype[:, ::1], dtype[::1]
    call.compile((matrix, matrix, matrix, vector, matrix, vector, numba.float64[:, ::1]))
text = "\\n".join(call.inspect_asm().values())
print(sorted(set(re.findall(r"\\bfmaf?\\b|\\bvfn?madd", text))), len(re.findall(r"\\bmulp[sd]\\b", text)) > 50)
"""
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "PYTHONPATH": path, "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=PATIENCE
    )
    assert (done.stdout.strip(), done.stderr) == ("[] True", "")


@x86
@pytest.mark.parametrize(
    ("target", "wide"),
    [
        ({"ENABLE_AVX": 0}, False),
        ({"CPU_NAME": "skylake-avx512", "ENABLE_AVX": 0}, False),
        ({"CPU_NAME": "skylake-avx512", "CPU_FEATURES": ""}, True),  # by the name
        ({"CPU_NAME": "skylake-avx512", "CPU_FEATURES": "-avx512f"}, False),
        ({"CPU_NAME": "skylake-avx512", "CPU_FEATURES": "-avx"}, False),
        ({"CPU_NAME": "generic", "CPU_FEATURES": ""}, False),
        ({"CPU_NAME": "generic", "CPU_FEATURES": "+avx512vl"}, True),  # implies the foundation
        ({"CPU_FEATURES": "+avx2,+avx512f"}, True),
        ({"CPU_FEATURES": "-avx512f"}, False),
        ({"CPU_NAME": "generic"}, None),  # a name alone keeps the host's features
        ({}, None),
    ],
    ids=lambda value: " ".join(f"{name}={what}" for name, what in value.items()) if isinstance(value, dict) else "",
)
def test_vectors_are_as_wide_as_what_numba_compiles_for(target, wide, monkeypatch):
    """The variables NUMBA_..., as Numba keeps what it read of them."""
    for name, unset in (("ENABLE_AVX", 1), ("CPU_NAME", None), ("CPU_FEATURES", None)):
        monkeypatch.setattr(numba.config, name, target.get(name, unset))
    expected = binding.get_host_cpu_features()["avx512f"] if wide is None else wide
    assert has_avx512.__wrapped__() == expected


@pytest.mark.parametrize("enabled", [1, 0])
def test_vectors_of_a_host_whose_avx_is_switched_off(enabled, monkeypatch):
    host = type(binding.get_host_cpu_features())({"avx2": True, "avx512f": True})
    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: host)
    for name, value in (("ENABLE_AVX", enabled), ("CPU_NAME", None), ("CPU_FEATURES", None)):
        monkeypatch.setattr(numba.config, name, value)
    assert has_avx512.__wrapped__() == bool(enabled)

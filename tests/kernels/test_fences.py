"""Compiled kernels read and write no address outside of the arrays that they get. A failure is a segmentation fault."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from conftest import compiled, random_mixture
from fence import fenced

from fastgmm import em_step, kernels, kmeans, log_density, responsibilities
from fastgmm.data.source import ArraySource
from fastgmm.em import sweep
from fastgmm.estimators.gaussian_mixture import check_parameters
from fastgmm.model.layouts import layout_named

pytestmark = [compiled, pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect")]

_ROOT = Path(__file__).parents[2]
LAYOUTS = ["full", "tied", "diag", "spherical"]
DTYPES = [np.float64, np.float32]
FEATURES = [1, 2, 3, 5, 8, 17]


def data(n, d, dtype):
    return np.random.default_rng(d).normal(size=(n, d)).astype(dtype)


def test_the_fence_holds():
    code = "import sys; sys.path.insert(0, 'tests'); import numpy as np; from fence import fenced\n"
    code += "a = fenced(np.zeros(3), at_the_end={end}); print(a.sum(), flush=True)\n"
    code += "print(np.lib.stride_tricks.as_strided(a[{i}:], (2,), ({step},)))"
    for end, i, step in ((True, 2, 8), (False, 0, -8)):
        done = subprocess.run(
            [sys.executable, "-c", code.format(end=end, i=i, step=step)], capture_output=True, text=True, cwd=_ROOT
        )
        assert done.stdout == "0.0\n"
        assert done.returncode < 0  # ended by a signal


@pytest.mark.parametrize("at_the_end", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_samples(layout, dtype, at_the_end):
    """In both memory orders, on one lane and on several."""
    for d in FEATURES:
        w, m, c = random_mixture(layout, 3, d)
        for n in (1, 33, 1100):
            for X in (data(n, d, dtype), data(n, d, dtype).T.copy().T):
                transposed = not X.flags.c_contiguous
                near = fenced(X.T, at_the_end=at_the_end).T if transposed else fenced(X, at_the_end=at_the_end)
                a, b = (em_step(x, w, m, c, covariance_type=layout, reg_covar=1.0) for x in (X, near))
                assert np.array_equal(a.covariances, b.covariances)
                one, other = (log_density(x, m, c, covariance_type=layout) for x in (X, near))
                assert np.array_equal(one, other)
                one, other = (responsibilities(x, w, m, c, covariance_type=layout) for x in (X, near))
                assert np.array_equal(one, other)


@pytest.mark.parametrize("at_the_end", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_samples_of_k_means(dtype, at_the_end):
    for d in FEATURES:
        for n in (5, 129, 1100):
            X = data(n, d, dtype)
            for near in (fenced(X, at_the_end=at_the_end), fenced(X.T, at_the_end=at_the_end).T):
                a, b = (kmeans(x, 3, random_state=0) for x in (X, near))
                assert np.array_equal(a.labels, b.labels)


@numba.njit
def _tiles(samples, parameters, work, out):
    width = len(work.top)
    for first in range(0, samples.n_samples, width):
        m = min(width, samples.n_samples - first)
        kernels.load_tile(samples, first, m, work.x)
        kernels.tile_density(parameters, work, m)
        out.log_likelihood[0] += kernels.log_sum_exp_tile(work.resp, work.top, work.total, m)
        for s in range(width):
            work.total[s] = 1.0 if s < m else 0.0
        kernels.tile_accumulate(parameters, work, m, 0, out)


@pytest.mark.parametrize("at_the_end", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_parameters_working_memory_and_sums(layout, dtype, at_the_end):
    """Every array that a tile is computed with lies at a fence; the sums are those of a sweep."""

    def near(values):
        return type(values)(*(fenced(v, at_the_end=at_the_end) if isinstance(v, np.ndarray) else v for v in values))

    for d in FEATURES:
        X, k = data(77, d, dtype), 3
        source = ArraySource(X)
        params = check_parameters(*random_mixture(layout, k, d), layout_named(layout))
        packed = near(params.packed(dtype))
        work = near(kernels.new_scratch(packed))
        _, sums = sweep.accumulators(source, params.layout, k)
        out = near(sums)
        _tiles(source.samples, packed, work, out)
        expected = sweep.sweep(source, params)
        assert out.log_likelihood[0] == pytest.approx(expected.log_likelihood, rel=1e-5)
        np.testing.assert_allclose(out.counts[0], expected.counts, rtol=1e-4)

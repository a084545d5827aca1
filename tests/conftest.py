"""Data that several tests share."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from fastgmm._jit import JIT_DISABLED
from fastgmm.datasets import load_faithful, load_iris

# ``pytest --hypothesis-profile=long`` looks at hundreds of examples of each property, other ones each time
settings.register_profile("fast", max_examples=30, deadline=None, derandomize=True)
settings.register_profile("long", max_examples=400, deadline=None, print_blob=True)
settings.register_profile("plain-python", max_examples=4, deadline=None, derandomize=True)
settings.load_profile("plain-python" if JIT_DISABLED else "fast")

#: For tests of what only compiled code has: signatures, a cache, threads.
compiled = pytest.mark.skipif(JIT_DISABLED, reason="there is no compiled code where Numba is switched off")


@pytest.fixture(scope="session")
def iris() -> NDArray:
    X = load_iris().data
    X.flags.writeable = False
    return X


@pytest.fixture(scope="session")
def faithful() -> NDArray:
    X = load_faithful().data
    X.flags.writeable = False
    return X


def random_mixture(layout: str, k: int, d: int, seed: int = 0, *, spread: float = 1.5):
    """Weights, means and well-conditioned covariances of a layout."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(k, 5.0))
    means = spread * rng.normal(size=(k, d))
    if layout == "spherical":
        return weights, means, rng.uniform(0.5, 2.0, size=k)
    if layout == "diag":
        return weights, means, rng.uniform(0.5, 2.0, size=(k, d))
    shape = (k, d, d) if layout == "full" else (d, d)
    a = rng.normal(size=shape) / np.sqrt(d)
    return weights, means, a @ np.swapaxes(a, -1, -2) + 0.5 * np.eye(d)


def load_bench() -> None:
    """Make `bench`, which is no installed package, importable, and nothing else beside it."""
    if "bench" in sys.modules:
        return
    root = Path(__file__).resolve().parents[1]
    spec = importlib.util.spec_from_file_location(
        "bench", root / "bench" / "__init__.py", submodule_search_locations=[str(root / "bench")]
    )
    sys.modules["bench"] = importlib.util.module_from_spec(spec)

"""Data and steps that several tests share."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

# Where several processes share the cores, threads that wait for work take them from the others: those of OpenBLAS for so long that
# tests take several times as long. Both variables are read when the libraries are loaded, and by child processes.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import once
import pytest
from hypothesis import settings
from numpy.typing import NDArray

import fastgmm
from fastgmm import GaussianMixture
from fastgmm._jit import JIT_DISABLED
from fastgmm._limits import limited_to
from fastgmm.datasets import load_faithful, load_iris


def _load_bench() -> None:
    """Make `bench`, which is not an installed package, importable for every file of tests, and nothing else beside it."""
    if "bench" in sys.modules:
        return
    root = Path(__file__).resolve().parents[1]
    spec = importlib.util.spec_from_file_location(
        "bench", root / "bench" / "__init__.py", submodule_search_locations=[str(root / "bench")]
    )
    sys.modules["bench"] = importlib.util.module_from_spec(spec)


_load_bench()

# ``pytest --hypothesis-profile=long`` looks at hundreds of examples of each property, other ones each time
settings.register_profile("fast", max_examples=30, deadline=None, derandomize=True)
settings.register_profile("long", max_examples=400, deadline=None, print_blob=True)
settings.register_profile("plain-python", max_examples=4, deadline=None, derandomize=True)
settings.load_profile("plain-python" if JIT_DISABLED else "fast")

#: Seconds after which a process that a test started has hung: no measure of speed, as compiling takes minutes on a slow
#: machine that others use too.
PATIENCE = 1800

#: For tests of what only compiled code has: signatures, a cache, threads.
compiled = pytest.mark.skipif(JIT_DISABLED, reason="there is no compiled code where Numba is switched off")


# a shell's background jobs ignore Ctrl-C, and what they start does too, unless told otherwise: several tests send it
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


_ahead: list[subprocess.Popen] = []


def pytest_collection_finish(session: pytest.Session) -> None:
    """Where nearly all tests run, a process of its own compiles what later ones need, the last first: compiling takes one core.

    Workers of pytest-xdist share it, and what one of the processes compiles, the others wait for.
    """
    if len(session.items) <= 3000 or JIT_DISABLED or session.config.option.collectonly:
        return
    worker = getattr(session.config, "workerinput", {"workerid": "gw0", "testrunuid": f"alone-{os.getpid()}"})
    locks = os.path.join(tempfile.gettempdir(), f"fastgmm-tests-{worker['testrunuid']}")
    once.compile_once(locks)
    if worker["workerid"] != "gw0":
        return
    session.config.add_cleanup(lambda: Path(locks).unlink(missing_ok=True))
    # the package that is imported here, not one that happens to lie in the working directory
    code = "import sys; sys.path.pop(0); import once; from fastgmm.cli import main\n"
    code += f"once.compile_once({locks!r})\n"
    for layout, dtype in itertools.product(("spherical", "diag", "tied", "full"), ("float32", "float64")):
        code += f"main(['warmup', '--covariance', '{layout}', '--dtype', '{dtype}'])\n"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    _ahead.append(subprocess.Popen([sys.executable, "-c", code], env=environment, **quiet))


def pytest_sessionfinish() -> None:
    for process in _ahead:
        process.kill()
        process.wait()


@pytest.fixture
def limits() -> Iterator[Callable[..., None]]:
    """Return a function that changes limits until the test ends, such as ``limits(loaded=4096)``."""
    with ExitStack() as stack:
        yield lambda **values: stack.enter_context(limited_to(**values))


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


def fit(estimator: GaussianMixture, X: Any, **options: Any) -> GaussianMixture:
    """`estimator` fitted, whether or not it converged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fastgmm.ConvergenceWarning)
        return estimator.fit(X, **options)


def assert_same_bits(a: GaussianMixture, b: GaussianMixture) -> None:
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert a.lower_bounds_ == b.lower_bounds_
    assert (a.n_iter_, a.converged_, a.lower_bound_) == (b.n_iter_, b.converged_, b.lower_bound_)


def edited(entries: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Entries of a checkpoint after changes: None takes one away, a dict is of the header's keys."""
    for name, value in changes.items():
        if value is None:
            del entries[name]
        elif isinstance(value, dict):
            entries["header"] = np.array(json.dumps({**json.loads(str(entries["header"])), **value}))
        else:
            entries[name] = value
    return entries


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

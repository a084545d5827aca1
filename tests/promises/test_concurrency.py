"""Python threads, processes and threading layers; and that nothing of the process's own is changed.

The long form of the first test is ``python -m bench.soak_threads``: a minute for each layer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from conftest import PATIENCE

import fastgmm
from bench.soak_threads import LAYERS, MISSING, environment
from fastgmm import GaussianMixture, _jit, _threads, kernels
from fastgmm._compat import cached_property
from fastgmm.data.source import ArraySource
from fastgmm.em import sweep

pytestmark = pytest.mark.skipif(_jit.JIT_DISABLED, reason="threads run compiled code")
posix = pytest.mark.skipif(os.name != "posix", reason="fork")
HERE = Path(__file__).parents[2]


def run(command: list[str], layer: str = "default", **variables: str) -> str:
    """Standard output of a Python process on a layer; skips where that is not installed."""
    variables = {**environment(layer), **variables}
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=variables, cwd=HERE, timeout=PATIENCE
    )
    if done.returncode == MISSING:
        pytest.skip(f"the threading layer {layer} is not installed")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def data(n: int = 3000, d: int = 3) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)) + 3.0 * rng.integers(3, size=(n, 1))


@pytest.mark.parametrize("layer", LAYERS)
def test_python_threads_at_once(layer):
    told = json.loads(run(["-m", "bench.soak_threads", "--here", "--seconds", "1"], layer))
    assert told["layer"] == layer
    assert told["calls"] >= 8  # each thread makes one at least, however busy the machine is
    assert told["errors"] == told["differing"] == []


PROCESSES = f"""
import multiprocessing, sys, warnings
import numba, numpy as np
from fastgmm import GaussianMixture
warnings.simplefilter("ignore")
X = np.random.default_rng(0).normal(size=(3000, 2))

def fit(_):
    model = GaussianMixture(2, random_state=0, tol=0, max_iter=5).fit(X)
    return model.lower_bound_, model.predict_proba(X).tobytes()

if __name__ == "__main__":
    try:
        numba.get_num_threads()
    except ValueError:
        sys.exit({MISSING})
    here = fit(0)
    for method in sys.argv[1:]:
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map_async(fit, range(2)).get(timeout=1500) == [here, here], method
    assert fit(0) == here
    print(numba.threading_layer())
"""


@posix
@pytest.mark.parametrize("layer", LAYERS)
def test_processes_fit_after_their_parent_has(layer, tmp_path):
    script = tmp_path / "processes.py"
    script.write_text(PROCESSES)
    methods = ["fork", "spawn", "forkserver"] if layer == "omp" else ["fork"]  # the others begin anew
    assert run([str(script), *methods], layer, PYTHONPATH=os.pathsep.join(sys.path)) == layer


FORKED_AMID = """
import os, sys, threading, time, warnings
import numpy as np
from fastgmm import GaussianMixture
warnings.simplefilter("ignore")
X = np.random.default_rng(0).normal(size=(30000, 4))
def fit():
    return GaussianMixture(4, random_state=0, tol=0, max_iter=5).fit(X).lower_bound_
here, ended = fit(), threading.Event()
def on():
    while not ended.is_set():
        fit()
threads = [threading.Thread(target=on) for _ in range(2)]
for thread in threads:
    thread.start()
status = []
for _ in range(5):
    time.sleep(0.05)
    child = os.fork()
    if child == 0:
        os._exit(0 if fit() == here else 1)
    status.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
ended.set()
for thread in threads:
    thread.join()
print(status)
"""


@posix
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_a_child_that_is_forked_while_threads_fit(layer):
    # Numba's TBB layer says itself that it cannot be used after that
    assert run(["-W", "ignore", "-c", FORKED_AMID], layer) == str([0] * 5)


def test_an_attribute_that_one_thread_computes_holds_up_no_other():
    """Before Python 3.12 that of functools does, and a child that is forked meanwhile waits for ever."""

    class LocalSource:
        def __init__(self, ready: threading.Event | None = None) -> None:
            self.ready, self.begun, self.times = ready, threading.Event(), 0

        @cached_property
        def largest(self) -> int:
            self.times += 1
            self.begun.set()
            return self.times if self.ready is None else self.times + self.ready.wait(60)

    other = LocalSource()
    slow = LocalSource(ready=threading.Event())
    thread = threading.Thread(target=lambda: slow.largest)
    thread.start()
    assert slow.begun.wait(60)
    assert [other.largest, other.largest] == [1, 1]
    slow.ready.set()
    thread.join()
    assert slow.largest == 2
    assert slow.times == 1


@numba.njit(parallel=True)
def _in_a_parallel_region(samples, parameters, width, totals):
    for lane in numba.prange(len(totals)):
        work = kernels.new_scratch(parameters)
        tile = len(work.top)
        high = min((lane + 1) * width, samples.n_samples)
        for first in range(lane * width, high, tile):
            m = min(tile, high - first)
            kernels.load_tile(samples, first, m, work.x)
            kernels.tile_density(parameters, work, m)
            totals[lane] += kernels.log_sum_exp_tile(work.resp, work.top, work.total, m)


def test_inside_a_users_own_parallel_region():
    X = data()
    model = GaussianMixture(3, random_state=0).fit(X)
    totals = np.zeros(6)
    _in_a_parallel_region(ArraySource(X).samples, model._params().packed(np.float64), 500, totals)
    assert totals.sum() == pytest.approx(model.score_samples(X).sum(), rel=1e-12)


def test_one_thread_is_all_that_numba_has():
    code = """
import numba, numpy as np, sys
from fastgmm import GaussianMixture
rng = np.random.default_rng(0)
X = rng.normal(size=(3000, 3)) + 3.0 * rng.integers(3, size=(3000, 1))
assert numba.config.NUMBA_NUM_THREADS == 1
for n_threads in (None, 1, 7):
    print(GaussianMixture(3, random_state=0, n_threads=n_threads).fit(X).lower_bound_.hex())
"""
    expected = GaussianMixture(3, random_state=0).fit(data()).lower_bound_.hex()
    assert run(["-c", code], NUMBA_NUM_THREADS="1").split() == [expected] * 3


@pytest.mark.parametrize("limit", [1, 2])
def test_under_limits_of_threadpoolctl(limit):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    X = data()
    expected = GaussianMixture(3, random_state=0).fit(X)
    with threadpoolctl.threadpool_limits(limit):
        before = threadpoolctl.threadpool_info()
        model = GaussianMixture(3, random_state=0).fit(X)
        assert threadpoolctl.threadpool_info() == before
    assert model.lower_bounds_ == expected.lower_bounds_
    assert np.array_equal(model.covariances_, expected.covariances_)


def test_threads_are_honoured_and_restored(monkeypatch):
    X, before, seen = data(), numba.get_num_threads(), []
    kernel = sweep.kernels.sweep

    def noting(*arguments: Any) -> None:
        seen.append(numba.get_num_threads())
        if len(seen) > 3:
            raise KeyboardInterrupt
        kernel(*arguments)

    monkeypatch.setattr(_threads, "ready", lambda compiled, waits=True: noting)
    with pytest.raises(KeyboardInterrupt):
        GaussianMixture(3, random_state=0, n_threads=1, tol=0, init_params="random_from_data").fit(X)
    assert seen == [1] * 4
    assert numba.get_num_threads() == before


STATE = """
import decimal, gc, locale, logging, os, random, signal, sys, tempfile, threading, warnings
import matplotlib; matplotlib.use("Agg")
import matplotlib.pyplot, numba, numpy as np, scipy.cluster.hierarchy, scipy.linalg, zipfile
from numba.np.ufunc import parallel

locale.setlocale(locale.LC_ALL, "")
np.seterr(divide="raise", over="warn", under="ignore", invalid="call")
np.seterrcall(lambda *_: None)
np.set_printoptions(precision=3)
signal.signal(signal.SIGUSR1, lambda *_: None) if hasattr(signal, "SIGUSR1") else None
numba.set_num_threads(max(1, numba.config.NUMBA_NUM_THREADS - 1))

def state():
    loggers = {name: (logging.getLogger(name).level, list(logging.getLogger(name).handlers)) for name in ("", "numba")}
    return {
        "errors": (np.geterr(), np.geterrcall()),
        "print": np.get_printoptions(),
        "random": [repr(x) for x in np.random.get_state()] + [hash(random.getstate())],
        "warnings": list(warnings.filters),
        "showwarning": warnings.showwarning,
        "environment": dict(os.environ),
        "signals": {s: signal.getsignal(s) for s in signal.valid_signals()},
        "logging": loggers,
        "locale": locale.setlocale(locale.LC_ALL),
        "numba": {k: v for k, v in vars(numba.config).items() if k.isupper()},
        "threads": numba.get_num_threads(),
        "priority": list(numba.config.THREADING_LAYER_PRIORITY),
        "python threads": [thread.name for thread in threading.enumerate()],
        "directory": (os.getcwd(), tempfile.tempdir),
        "hooks": (sys.excepthook, threading.excepthook, sys.displayhook, sys.gettrace(), sys.getprofile()),
        "path": list(sys.path),
        "limits": (sys.getrecursionlimit(), sys.getswitchinterval(), gc.isenabled(), gc.get_threshold()),
        "decimal": repr(decimal.getcontext()),
        "matplotlib": dict(matplotlib.rcParams),
        "figures": matplotlib.pyplot.get_fignums(),
        "descriptors": len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
    }

def same(what):
    after = state()
    for name, value in before.items():
        assert after[name] == value, (what, name, value, after[name])

def tasks():
    return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0

before = state()
import fastgmm
for name in fastgmm.__all__:
    getattr(fastgmm, name)
import fastgmm.kernels, fastgmm.datasets
same("import")
from fastgmm import GaussianMixture

rng = np.random.default_rng(0)
X = rng.normal(size=(3000, 3)) + 3.0 * rng.integers(3, size=(3000, 1))

def quiet(function, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)

def fail():
    try:
        GaussianMixture(2, reg_covar=0.0, random_state=0).fit(np.repeat([[0.0, 1.0], [1.0, 0.0]], 5, axis=0))
    except ValueError:
        return
    raise AssertionError

def interrupted():
    from fastgmm.fitting.run import StateCallback
    def stop(*_):
        raise KeyboardInterrupt
    StateCallback.iteration = stop
    try:
        GaussianMixture(3, random_state=0, n_threads=1).fit(fastgmm.chunks([X[:1000], X[1000:]]))
    except KeyboardInterrupt:
        return
    finally:
        del StateCallback.iteration  # that of the base class again
    raise AssertionError

def stored():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "m")
        model.save(path)
        fastgmm.load(path)

def drawn():
    from matplotlib.figure import Figure
    fastgmm.plotting.plot_mixture(model, X, ax=Figure())

import fastgmm.plotting
model = GaussianMixture(3, random_state=0)
before |= {key: state()[key] for key in ("directory",)}
quiet(model.fit, X)
same("fit")
count = tasks()
steps = {
    "fit again": lambda: model.fit(X),
    "predict": lambda: (model.predict(X), model.predict_proba(X), model.score(X), model.icl(X)),
    "failing fit": fail,
    "interrupted fit": interrupted,
    "starts": lambda: GaussianMixture(3, n_init=3, init_params="k-means++", n_threads=1, random_state=0).fit(X),
    "partial_fit": lambda: GaussianMixture(3, random_state=0).partial_fit(X).partial_fit(X[:100]),
    "chunks": lambda: GaussianMixture(3, random_state=0).fit(fastgmm.chunks([X[:1000], X[1000:]])),
    "select": lambda: fastgmm.select(X[:300], [1, 2], ["EEE", "VVV"], random_state=0),
    "save and load": stored,
    "plot": drawn,
}
for name, step in steps.items():
    quiet(step)
    before["directory"] = (before["directory"][0], tempfile.tempdir)  # the standard library's own, found once
    same(name)
    assert tasks() == count, (name, count, tasks())
print("same")
"""


def test_no_state_of_the_process_is_changed():
    pytest.importorskip("matplotlib")
    assert run(["-c", STATE]) == "same"


def test_a_generator_as_random_state_is_the_only_one_drawn_from():
    X = data()
    before = np.random.get_state()  # noqa: NPY002
    fastgmm.GaussianMixture(3, random_state=np.random.default_rng(0), n_init=2).fit(X)
    after = np.random.get_state()  # noqa: NPY002
    assert before[2] == after[2]
    assert np.array_equal(before[1], after[1])

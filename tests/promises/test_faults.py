"""Faults from outside: Ctrl-C anywhere, no memory, no room on the disk, and caches that are damaged, foreign or read-only."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from conftest import PATIENCE

import fastgmm
from fastgmm import GaussianMixture, _interrupts, _jit, kernels, load
from fastgmm._atomic import replacing
from fastgmm._cache import CodeFiles
from fastgmm._errors import OutOfMemory, memory_for
from fastgmm.data.source import ArraySource
from fastgmm.em import evaluate, loop
from fastgmm.em.step import MaximumLikelihood
from fastgmm.init import kmeans
from fastgmm.model import cholesky, m_steps
from fastgmm.selection import races

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX limits and signals")
compiled = pytest.mark.skipif(_jit.JIT_DISABLED, reason="nothing is compiled")


def data(n: int = 3000, d: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) + 3.0 * rng.integers(3, size=(n, 1))


def run(code: str, *arguments: str, **variables: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables}, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


# --- Ctrl-C ---


@pytest.mark.parametrize("weighted", [False, True])
def test_bits_of_k_means_do_not_depend_on_how_its_passes_are_cut(weighted, monkeypatch, limits):
    X = data(9_000, 3)  # three lanes
    source = ArraySource.weighted(X, np.random.default_rng(1).uniform(0.5, 2.0, size=len(X)) if weighted else None)

    def found() -> tuple[Any, ...]:
        result = kmeans.kmeans(source, 5, np.random.RandomState(0))
        return result.centers.tobytes(), result.labels.tobytes(), result.inertia, result.n_iter

    whole, calls = found(), []
    run_ = kmeans.Pool.run
    monkeypatch.setattr(kmeans.Pool, "run", lambda pool, *rest: (calls.append(rest[1]), run_(pool, *rest)))
    assert found() == whole
    before = len(calls)
    for nanoseconds in (1.0, 5e3, 1e5):
        limits(call_seconds=1e-9 * nanoseconds)
        calls.clear()
        assert found() == whole
        assert len(calls) > before
        assert all(span.begin % 128 == 0 for span in calls)


def test_factors_and_rotations_do_not_depend_on_how_they_are_cut(limits):
    rng = np.random.default_rng(0)
    a = rng.normal(size=(7, 6, 6))
    covariances = a @ a.swapaxes(1, 2) + np.eye(6)
    turned, axes = covariances.copy(), np.eye(6)
    whole = cholesky.factors(covariances)
    m_steps._rotate(turned, rng.uniform(1, 2, size=(7, 6)), axes)
    again, again_axes = covariances.copy(), np.eye(6)
    limits(call_flops=1)
    assert np.array_equal(cholesky.factors(covariances), whole)
    rng = np.random.default_rng(0)
    rng.normal(size=(7, 6, 6))
    m_steps._rotate(again, rng.uniform(1, 2, size=(7, 6)), again_axes)
    assert np.array_equal(again, turned)
    assert np.array_equal(again_axes, axes)
    covariances[4] = -np.eye(6)
    with pytest.raises(cholesky.NotPositiveDefinite, match="component 4"):
        cholesky.factors(covariances)


class Interrupt:
    """Ctrl-C in the given call of a function."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, call: int = 1) -> None:
        self.left, function = call, getattr(owner, name)

        def interrupted(*arguments: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
            return function(*arguments, **options)

        monkeypatch.setattr(owner, name, interrupted)


@pytest.mark.parametrize("init", ["kmeans", "k-means++", "whitened", "hierarchical", "em-em", "auto", "random"])
def test_ctrl_c_in_a_start_leaves_the_model_as_it_was(init, monkeypatch):
    X = data(9_000, 3)
    model = GaussianMixture(2, random_state=0).fit(X).set_params(init_params=init, n_components=3)
    before = dict(vars(model))
    owner, name = {
        "kmeans": (kmeans.Pool, "run"),
        "k-means++": (kmeans.Pool, "run"),
        "whitened": (kmeans.Pool, "run"),
        "hierarchical": (fastgmm.init.hierarchical, "tree_of"),
        "em-em": (fastgmm.init.em_em, "run"),
        "auto": (fastgmm.init.best_of, "run"),
        "random": (fastgmm.init.starts, "accumulate"),
    }[init]
    threads = numba.get_num_threads(), threading.active_count()
    with monkeypatch.context() as patch:
        Interrupt(patch, owner, name, 1 if init in ("random", "hierarchical") else 2)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[key] is value for key, value in before.items())
    assert (numba.get_num_threads(), threading.active_count()) == threads


@pytest.mark.parametrize("phase", [(loop, "sweep"), (MaximumLikelihood, "maximise")], ids=["sweep", "M-step"])
def test_ctrl_c_in_partial_fit_leaves_the_batch_out(phase, monkeypatch):
    X = data()
    model = GaussianMixture(3, random_state=0).partial_fit(X[:1000]).partial_fit(X[1000:2000])
    before = dict(vars(model))
    with monkeypatch.context() as patch:
        Interrupt(patch, *phase)
        with pytest.raises(KeyboardInterrupt):
            model.partial_fit(X[2000:])
    assert all(vars(model)[key] is value for key, value in before.items())
    whole = GaussianMixture(3, random_state=0)
    for start in (0, 1000, 2000):
        whole.partial_fit(X[start : start + 1000])
    assert np.array_equal(model.partial_fit(X[2000:]).covariances_, whole.covariances_)


def test_ctrl_c_in_predict_select_and_save(monkeypatch, tmp_path):
    X, path = data(), tmp_path / "m"
    model = GaussianMixture(2, random_state=0).fit(X)
    model.save(path)
    before, saved = dict(vars(model)), path.read_bytes()
    attempts: list[tuple[Any, str, int, Callable]] = [
        (evaluate._Pass, "run", 1, lambda: model.predict(X)),
        (evaluate._Pass, "run", 1, lambda: model.predict_proba(X)),
        (evaluate._Pass, "run", 1, lambda: model.score(X)),
        (races, "race", 1, lambda: fastgmm.select(X[:900], [1, 2], ["VVI"], random_state=0)),
        (os, "fsync", 1, lambda: model.set_params(tol=0.5).save(path)),
        (os, "replace", 1, lambda: model.save(path)),
    ]
    for owner, name, call, attempt in attempts:
        with monkeypatch.context() as patch:
            Interrupt(patch, owner, name, call)
            with pytest.raises(KeyboardInterrupt):
                attempt()
    model.set_params(tol=before["tol"])
    assert all(vars(model)[key] is value for key, value in before.items())
    assert path.read_bytes() == saved
    assert os.listdir(tmp_path) == ["m"]


@compiled
@posix
@pytest.mark.parametrize("place", ["_raw_object_cache_notify", "__del__", "weakref.py", "numba/refresh", "compile"])
def test_ctrl_c_while_something_compiles_is_not_lost(place):
    before, told = signal.getsignal(signal.SIGINT), []

    def arrive() -> None:
        signal.raise_signal(signal.SIGINT)
        told.append("continued")

    name = Path(place).stem
    scope: dict[str, Any] = {}
    exec(compile(f"def {name}(arrive):\n    arrive()\n", place, "exec"), scope)
    with pytest.raises(KeyboardInterrupt), _interrupts.passed_on():  # noqa: PT012
        with _interrupts.passed_on():  # a function that another one needs
            scope[name](arrive)
        threading.Event().wait(30)
        raise AssertionError("the interrupt did not come again")
    assert told == ([] if place == "compile" else ["continued"])
    assert signal.getsignal(signal.SIGINT) is before


@compiled
@posix
def test_a_fit_within_an_import_is_interrupted_at_once():
    def fit() -> None:
        with _interrupts.passed_on():
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("it continued")

    scope: dict[str, Any] = {}
    exec(compile("def load(fit):\n    fit()\n", "<frozen importlib._bootstrap>", "exec"), scope)
    with pytest.raises(KeyboardInterrupt):
        scope["load"](fit)


@compiled
def test_what_compiles_elsewhere_or_without_a_handler_is_left_alone():
    def check() -> None:
        handler = signal.getsignal(signal.SIGINT)
        with _interrupts.passed_on():
            seen.append(signal.getsignal(signal.SIGINT) is handler)

    seen: list[bool] = []
    thread = threading.Thread(target=check)
    thread.start()
    thread.join()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        check()
    finally:
        signal.signal(signal.SIGINT, handler)
    assert seen == [True, True]


# --- memory ---

LIMITED = """
import resource, sys, warnings
warnings.simplefilter("ignore")
import numpy as np
import fastgmm
from fastgmm import GaussianMixture
small = np.random.default_rng(0).normal(size=(5000, 1)).astype(np.float32)
model = GaussianMixture(64, covariance_type="spherical", max_iter=1, init_params="random_from_data", random_state=0).fit(small)
model.predict_proba(small), model.score_samples(small), model.predict(small)
GaussianMixture(2, covariance_type="spherical", max_iter=1, random_state=0).fit(small)
X = np.zeros((20_000_000, 1), np.float32)  # 80 MB
X[:] = 0.5
X[::2] = 1.5
counts = np.zeros((60_000_000, 1), np.int8)
with open("/proc/self/statm") as file:
    taken = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (64 << 20), resource.RLIM_INFINITY))
for name, call in {
    "fit": lambda: GaussianMixture(2, covariance_type="spherical", n_threads=1, random_state=0).fit(X),
    "predict": lambda: model.predict(X),
    "predict_proba": lambda: model.predict_proba(X),
    "score_samples": lambda: model.score_samples(X),
    "select": lambda: fastgmm.select(counts, [1, 2], random_state=0),
    "many": lambda: GaussianMixture(500, init_params=np.arange(3000) % 500, n_threads=1).fit(np.ones((3000, 200))),
}.items():
    try:
        call()
    except MemoryError as error:
        print(name, "|", error)
# and it continues when there is room
print("here", "|", GaussianMixture(2, covariance_type="spherical", max_iter=1, random_state=0).fit(small).n_iter_)
"""


@compiled
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and /proc of Linux")
def test_memory_that_cannot_be_had_is_told():
    told = dict(line.split(" | ", 1) for line in run(LIMITED).splitlines())
    expected = {
        "fit": r"not enough memory for k-means.*each of 20000000 samples: Unable to allocate .* MiB .*\. Pass fewer.*init_params",
        "predict": r"for the labels of 20000000 samples: Unable to allocate 153\. MiB .* int64\. Pass X in parts",
        "predict_proba": r"for the responsibilities of 20000000 samples: Unable to allocate 4\.77 GiB .* Pass X in parts",
        "score_samples": r"for the log-likelihoods of 20000000 samples: Unable to allocate 76\.3 MiB .* Pass X in parts",
        "select": r"for checking X and its weights: Unable to allocate 458\. MiB .*float64\. Pass arrays of float32",
        "many": r"for fitting 500 components of type 'full' to 3000 samples of 200 features: .*Ask for fewer components",
        "here": "1",
    }
    assert told.keys() == expected.keys()
    for name, pattern in expected.items():
        assert re.search(pattern, told[name]), (name, told[name])


def test_the_innermost_says_what_memory_was_for():
    with pytest.raises(OutOfMemory, match=r"^not enough memory for a: no more is available\. Do b$"):  # noqa: SIM117
        with memory_for("the whole", "Do c"), memory_for("a", "Do b"):
            raise MemoryError
    with pytest.raises(OutOfMemory, match=r"for a: can't start new thread\. Do b"), memory_for("a", "Do b"):
        raise RuntimeError("can't start new thread")
    with pytest.raises(RuntimeError, match="other"), memory_for("a", "Do b"):
        raise RuntimeError("other")


# --- files that do not fit ---

FULL = """
import resource, sys, warnings
warnings.simplefilter("ignore")
import numpy as np
from fastgmm import GaussianMixture
from fastgmm.cli import main
directory = sys.argv[1]
X = np.random.default_rng(0).normal(size=(2000, 3))
model = GaussianMixture(2, random_state=0).fit(X)
model.save(f"{directory}/m")
np.save(f"{directory}/x.npy", X)
for name in ("labels.csv", "m2.npz", "p.png"):
    open(f"{directory}/{name}", "w").write("old")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    model.save(f"{directory}/m")
except OSError as error:
    print(error)
fit = ["fit", f"{directory}/x.npy", "-k", "2", "--force", "--seed", "0"]
for options in (["--output", "m2.npz"], ["--labels", "labels.csv"], ["--plot", "p.png"]):
    print(main([*fit, options[0], f"{directory}/{options[1]}"]))
"""


@posix
def test_a_file_that_does_not_fit_leaves_the_old_one_and_nothing_else(tmp_path):
    pytest.importorskip("matplotlib")
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, "MPLBACKEND": "agg"}
    )
    assert done.returncode == 0, done.stderr
    assert re.search(rf"\[Errno {errno.EFBIG}\] .*: '{tmp_path}/m'", done.stdout)
    for name in ("m2.npz", "labels.csv", "p.png"):
        assert re.search(rf"error.*{re.escape(name)}", done.stderr), done.stderr
        assert (tmp_path / name).read_text() == "old"
    assert load(tmp_path / "m").n_components == 2
    assert sorted(os.listdir(tmp_path)) == ["labels.csv", "m", "m2.npz", "p.png", "x.npy"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_device_without_room_is_named():
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"):
        GaussianMixture(2, random_state=0).fit(data(100)).save("/dev/full")


def test_errors_that_are_not_the_files_own_keep_their_name(tmp_path):
    with pytest.raises(OSError, match="elsewhere") as caught, replacing(tmp_path / "f"):
        raise OSError(errno.ENOSPC, "no room", "elsewhere")
    assert caught.value.filename == "elsewhere"
    with pytest.raises(OSError, match="no room") as caught, replacing(tmp_path / "f"):
        raise OSError(errno.EIO, "no room")
    assert caught.value.filename is None


# --- caches ---


def _double(x):
    return x + x


@pytest.fixture
def cached(tmp_path, monkeypatch) -> Callable[[], Any]:
    """A compiled function as a new process has it, and `tmp_path` as its cache."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    return lambda: _jit.helper(_jit.EXACT)(_double)


def _files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.nbc"))


@compiled
def test_compiled_code_is_loaded_again(cached, tmp_path):
    first, again = cached(), cached()
    assert (first(2), first(1.5), again(2), again(1.5)) == (4, 3.0, 4, 3.0)
    assert len(_files(tmp_path)) == 2
    assert sum(again.stats.cache_hits.values()) == 2
    assert sum(again.stats.cache_misses.values()) == 0
    first._cache.flush()
    assert _files(tmp_path) == []


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[:-100],
    "cut in the head": lambda content: content[:30],
    "one bit": lambda content: content[:500] + bytes([content[500] ^ 1]) + content[501:],
    "zeros at the end": lambda content: content[:-4096] + bytes(4096),
    "longer": lambda content: content + b"x",
    "something else": lambda content: b"\x80\x04N.",
    "of another format": lambda content: content.replace(b"compiled 1", b"compiled 2", 1),
}


@compiled
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_code_is_compiled_anew(damage, cached, tmp_path):
    assert cached()(2) == 4
    (path,) = _files(tmp_path)
    content = path.read_bytes()
    path.write_bytes(DAMAGE[damage](content))
    again = cached()
    assert again(2) == 4
    assert sum(again.stats.cache_hits.values()) == 0
    healed = cached()
    assert healed(2) == 4
    assert sum(healed.stats.cache_hits.values()) == 1


@compiled
@pytest.mark.parametrize("what", ["numba", "kernels", "cpu"])
def test_code_of_another_version_or_cpu_is_not_run(what, cached, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        if what == "numba":
            patch.setattr(numba, "__version__", "0.1")
        elif what == "kernels":
            patch.setattr(_jit, "_kernel_stamp", lambda: b"other")
        else:
            magic = numba.core.codegen.JITCPUCodegen.magic_tuple
            patch.setattr(
                numba.core.codegen.JITCPUCodegen, "magic_tuple", lambda self: (magic(self)[0], "other cpu", "+none")
            )
        assert cached()(2) == 4
    again = cached()
    assert again(2) == 4
    assert sum(again.stats.cache_hits.values()) == 0
    # that of another version is replaced, that of another CPU kept: homes are shared by machines
    assert len(_files(tmp_path)) == (2 if what == "cpu" else 1)


@compiled
def test_code_that_cannot_be_written_is_told_and_runs(cached, tmp_path, monkeypatch):
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.warns(UserWarning, match=r"cannot be written to .* \(No space left on device\).*NUMBA_CACHE_DIR"):
            assert cached()(2) == 4
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    dispatcher = cached()
    shutil.rmtree(tmp_path)
    tmp_path.write_text("no directory any more")
    with pytest.warns(UserWarning, match="cannot be written"):
        assert dispatcher(2) == 4


def test_keys_of_one_name_do_not_mix(tmp_path, monkeypatch):
    import pickle

    files = CodeFiles(str(tmp_path), "f", "stamp", pickle.dumps)
    monkeypatch.setattr(CodeFiles, "path", lambda self, key: str(tmp_path / "same"))
    files.save("int", "code of int")
    assert (files.load("int"), files.load("float")) == ("code of int", None)
    files.save("float", "code of float")
    assert (files.load("int"), files.load("float")) == (None, "code of float")


@compiled
@pytest.mark.parametrize("variables", [{"NUMBA_CACHE_DIR": "/dev/null/no"}, {"NUMBA_CACHE_DIR": "", "HOME": "/no"}])
def test_without_a_cache_directory(variables, tmp_path):
    # a copy of the package, whose __pycache__ cannot be made either
    package = tmp_path / "fastgmm"
    shutil.copytree(Path(fastgmm.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    for directory in (package, *[path for path in package.iterdir() if path.is_dir()]):
        (directory / "__pycache__").write_text("no directory")
    code = """
import sys
sys.path.insert(0, sys.argv[1])
import fastgmm, numpy as np
from fastgmm import kernels
assert fastgmm.__file__.startswith(sys.argv[1])
import numba
@numba.njit
def f(x):
    return kernels.exp(x)
print(f(0.0))
"""
    done = run(code, str(tmp_path), **variables, XDG_CACHE_HOME="/dev/null/no", PYTHONDONTWRITEBYTECODE="1")
    assert done == "1.0"


BOTH = """
import sys, time
import numpy as np
from fastgmm.kernels.orientation import rotate
turned, axes = np.array([[[2.0, 1.0], [1.0, 2.0]]]), np.eye(2)
factors = np.array([[1.0, 2.0]])
while time.time() < float(sys.argv[1]):
    pass
for i in range(2):
    if int(sys.argv[2]) ^ i:
        rotate(turned.copy(), factors, axes.copy(), 0, 2)
    else:
        rotate(turned.astype(np.float32), factors.astype(np.float32), axes.astype(np.float32), 0, 2)
rotate(turned, factors, axes, 0, 2)
print(np.round(np.sort(np.diagonal(turned[0])), 12), sum(rotate.stats.cache_hits.values()))
"""


@compiled
def test_processes_that_compile_at_once_into_one_cache(tmp_path):
    import time

    start = str(time.time() + 4.0)
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    several = [
        subprocess.Popen([sys.executable, "-c", BOTH, start, str(i % 2)], stdout=subprocess.PIPE, text=True, env=env)
        for i in range(3)
    ]
    told = [process.communicate(timeout=PATIENCE)[0] for process in several]
    assert [process.returncode for process in several] == [0] * 3
    assert all(line.startswith("[1. 3.]") for line in told), told
    assert run(BOTH, "0", "0", NUMBA_CACHE_DIR=str(tmp_path)) == "[1. 3.] 2"
    assert not [name for name in tmp_path.rglob("*") if name.suffix == ".tmp"]


def test_an_edit_of_any_file_with_kernels_changes_their_stamp(tmp_path, monkeypatch):
    package = Path(fastgmm.__file__).parent
    shutil.copytree(package, tmp_path / "p", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(_jit, "__file__", str(tmp_path / "p" / "_jit.py"))
    stamp = _jit._kernel_stamp.__wrapped__
    first = stamp()
    edited = [tmp_path / "p" / "_jit.py", *sorted((tmp_path / "p" / "kernels").glob("*.py"))]
    assert {"orientation.py", "kmeans.py", "cholesky.py", "small.py", "ir_density.py"} <= {path.name for path in edited}
    for path in edited:
        text = path.read_text()
        path.write_text(text + "\n")
        assert stamp() != first, path.name
        path.write_text(text)
    assert stamp() == first


def test_kernels_live_nowhere_else():
    package = Path(fastgmm.__file__).parent
    outside = [path for path in package.rglob("*.py") if path.parent.name != "kernels" and path.name != "_jit.py"]
    assert len(outside) > 30
    decorators = re.compile(r"^\s*@(_jit\.)?(helper|kernel|numba|njit|jit|overload|intrinsic)\b", re.MULTILINE)
    assert [path.name for path in outside if decorators.search(path.read_text())] == []
    assert decorators.search((Path(kernels.__file__).parent / "orientation.py").read_text())

"""Fits that take long: what they show, Ctrl-C that keeps the best so far, and checkpoints that resume to the same bits."""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import types
import warnings
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from conftest import PATIENCE, assert_same_bits, compiled, edited, fit
from kit import during_fits, stop_at

from fastgmm import GaussianMixture, chunks
from fastgmm._limits import limited_to
from fastgmm.data.open import open_source
from fastgmm.data.source import ArraySource, fingerprint_rows
from fastgmm.em.callbacks import SILENT, Callback, combine
from fastgmm.em.result import FitResult
from fastgmm.fitting import checkpoint as checkpoints
from fastgmm.fitting import progress
from fastgmm.fitting.checkpoint import Checkpoint, RngState
from fastgmm.fitting.run import Fit, StateCallback

LAYOUTS = ["full", "tied", "diag", "spherical"]
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


def data(n=1500, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) + 2.0 * rng.integers(3, size=(n, 1))


def model(**arguments: Any) -> GaussianMixture:
    defaults: dict = {"n_init": 3, "random_state": 0, "tol": 1e-6, "max_iter": 25, "init_params": "random_from_data"}
    return GaussianMixture(**{"n_components": 3, **defaults, **arguments})


def interrupted(estimator: GaussianMixture, X: Any, **options: Any) -> str:
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(estimator, X, **options)
    return str(caught.value)


# --- Ctrl-C ---


def test_ctrl_c_in_the_first_start_keeps_what_it_has_come_to(monkeypatch):
    X = data()
    threads = numba.get_num_threads()
    with monkeypatch.context() as patch:
        stop_at(patch, "iteration", 5)
        estimator = model(n_threads=1)
        text = interrupted(estimator, X)
    # the bound of iteration 5 is known, its parameters are not yet
    expected = fit(model(n_init=1, max_iter=4), X)
    assert_same_bits(estimator, expected)
    assert not estimator.converged_
    assert estimator.n_features_in_ == 3
    assert "in start 1 of 3, after 4 iterations; the model keeps the parameters that it had come to" in text
    assert f"lower bound {expected.lower_bound_:.6g}). Fit again with warm_start=True to continue from them" in text
    assert numba.get_num_threads() == threads
    assert estimator.predict(X).shape == (1500,)


def test_ctrl_c_keeps_the_best_start(monkeypatch):
    X = data()
    whole = fit(model(), X)
    singles = []
    for i in range(3):  # each start alone, from where the draws of those before leave the generator
        state = np.random.RandomState(0)
        ArraySource(X).for_start(state)
        for _ in range(i):
            state.choice(len(X), size=3, replace=False)
        singles.append(fit(model(n_init=1, random_state=state), X))
    assert max(single.lower_bound_ for single in singles) == whole.lower_bound_

    def stopping(running: Fit, n_iter: int, *_: float) -> None:
        if running.at.start == 2 and n_iter == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        during_fits(patch, "iteration", stopping)
        estimator = model()
        text = interrupted(estimator, X)
    best = max(singles[:2], key=lambda single: single.lower_bound_)
    assert_same_bits(estimator, best)
    assert (
        f"in start 3 of 3, after 1 iteration; the model keeps those of start {singles.index(best) + 1}, which" in text
    )


@pytest.mark.parametrize("method", ["iteration", "block"])
def test_ctrl_c_before_there_are_parameters_changes_nothing(monkeypatch, method):
    fresh, fitted = model(), fit(GaussianMixture(2, random_state=0), data(d=2)).set_params(n_components=3)
    before = dict(vars(fitted))
    for estimator in (fresh, fitted):
        with monkeypatch.context() as patch:
            stop_at(patch, method, 1)
            assert interrupted(estimator, data()) == ""
    assert not hasattr(fresh, "means_")
    assert vars(fitted).keys() == before.keys()
    assert all(vars(fitted)[name] is before[name] for name in before)


def test_ctrl_c_on_little_data(iris, monkeypatch, limits):
    limits(call_flops=3e5)  # several calls
    stop_at(monkeypatch, "reached", 2)
    estimator = GaussianMixture(3, tol=0, max_iter=1000, random_state=0)
    text = interrupted(estimator, iris)
    assert f"after {estimator.n_iter_} iterations; the model keeps" in text
    assert 1 < estimator.n_iter_ < 1000
    monkeypatch.undo()
    assert_same_bits(estimator, fit(GaussianMixture(3, tol=0, max_iter=estimator.n_iter_, random_state=0), iris))


def test_ctrl_c_ends_the_thread_that_reads(monkeypatch, limits):

    limits(loaded=4096)
    X = data()
    caught = []
    for call in (1, 4):
        with monkeypatch.context() as patch:
            stop_at(patch, "block", call)
            try:
                fit(model(), chunks([X[:700], X[700:]]))
            except KeyboardInterrupt as stop:
                caught.append(stop)  # kept, with all frames of its traceback
        assert not [thread for thread in threading.enumerate() if thread.name == "fastgmm-reader"]
    assert len(caught) == 2


def test_ctrl_c_and_then_a_warm_start(monkeypatch):
    X = data()
    estimator = model(n_init=1, warm_start=True, max_iter=1000)
    with monkeypatch.context() as patch:
        stop_at(patch, "reached", 6)
        interrupted(estimator, X)
    fit(estimator, X)
    whole = fit(model(n_init=1, max_iter=1000), X)
    assert estimator.converged_
    assert estimator.n_iter_ == whole.n_iter_ - 6
    assert estimator.lower_bound_ == whole.lower_bound_


CHILD = """
import json, sys, warnings
import numpy as np
from fastgmm import GaussianMixture
from fastgmm.fitting import progress
warnings.simplefilter("ignore")
progress.ProgressLines.seconds = 0.1
estimator = GaussianMixture(**json.loads(sys.argv[2]))
try:
    estimator.fit(sys.argv[1], progress=True, **json.loads(sys.argv[3]))
except KeyboardInterrupt as stop:
    import threading
    reading = [thread.name for thread in threading.enumerate() if thread.name == "fastgmm-reader"]
    told = {"message": str(stop), "n_iter": estimator.n_iter_, "converged": estimator.converged_, "reading": reading}
    told["finite"] = bool(np.isfinite(estimator.means_).all())
    print(json.dumps(told))
"""


@posix
@pytest.mark.parametrize("many", [False, True])
def test_a_real_ctrl_c(many, tmp_path):
    # a fit that would take hours, of data in a file or from many starts
    X = data(200_000 if not many else 2000, 8)
    path = tmp_path / "x.npy"
    np.save(path, X)
    arguments = {"n_components": 8, "tol": 0.0, "max_iter": 10**8, "random_state": 0, "init_params": "random_from_data"}
    if many:
        arguments |= {"n_init": 10**8, "max_iter": 3, "n_components": 3}
    code = [sys.executable, "-c", CHILD, str(path), json.dumps(arguments), "{}"]
    with subprocess.Popen(code, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "log-likelihood" in line:
                break  # it has come to parameters
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE)
    told = json.loads(out)
    assert told["finite"]
    assert not told["converged"]
    assert told["n_iter"] >= 1
    assert told["reading"] == []
    assert "the fit was interrupted" in told["message"]


# --- checkpoints ---


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 1.0])
def test_resuming_after_ctrl_c_gives_the_bits_of_a_fit_without(layout, share, tmp_path, monkeypatch):
    X, path = data(), tmp_path / "c.npz"
    arguments: dict = {"covariance_type": layout, "reg_covar": 1e-3}
    with monkeypatch.context() as patch:
        whole = stop_at(patch, "reached", -1)
        expected = fit(model(**arguments), X)
    with monkeypatch.context() as patch:
        stop_at(patch, "reached", 1 + int(share * (whole.n - 1)))
        text = interrupted(model(**arguments), X, checkpoint=path, checkpoint_every=3600)
    assert f"Call fit again with checkpoint={str(path)!r} to resume exactly where it stopped" in text
    assert os.listdir(tmp_path) == ["c.npz"]
    again = fit(model(**arguments), X, checkpoint=path)
    assert_same_bits(again, expected)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("kind", "init"),
    [
        ("memory", "kmeans"),
        ("memory", "k-means++"),
        ("little", "kmeans"),
        ("chunks", "kmeans"),
        ("chunks", "random"),
        ("weighted chunks", "k-means++"),
        ("weighted chunks", "random"),
        ("float32", "random"),
    ],
)
def test_resuming_with_all_kinds_of_data_and_starts(kind, init, tmp_path, monkeypatch, limits):

    X, options = data(300 if kind == "little" else 1500), {}
    if kind == "float32":
        X = X.astype(np.float32)
    if "chunks" in kind:
        limits(loaded=4096)
    if "weighted" in kind:
        options["sample_weight"] = np.random.default_rng(1).uniform(0.5, 2.0, size=len(X))
    given = chunks([X[:700], X[700:]]) if "chunks" in kind else X
    # of five components no two starts are the same
    arguments: dict = {"n_components": 5, "init_params": init, "max_iter": 12, "tol": 0.0}
    expected = fit(model(**arguments), given, **options)
    options["checkpoint"], options["checkpoint_every"] = tmp_path / "c.npz", 0
    for call in (1, 2):  # twice, and the second time in a later start
        few = {"call_flops": 1e6} if kind == "little" else {}  # iterations in a compiled call
        with monkeypatch.context() as patch, limited_to(**few):
            stop_at(patch, "reached", call if kind == "little" else {1: 10, 2: 5}[call])
            interrupted(model(**arguments), given, **options)
    assert_same_bits(fit(model(**arguments), given, **options), expected)


def test_resuming_where_nothing_was_told_to_stop(tmp_path, monkeypatch):
    """The file of every single moment leads to the same fit."""
    X, path, files = data(600, 2), tmp_path / "c.npz", []
    write = Checkpoint.write

    def keeping(self: Checkpoint, position: Any) -> None:
        write(self, position)
        files.append(path.read_bytes())

    with monkeypatch.context() as patch, limited_to(call_flops=4e5):
        patch.setattr(Checkpoint, "write", keeping)
        expected = fit(model(max_iter=8), X, checkpoint=path, checkpoint_every=0)
    assert len(files) >= 6
    for content in files:
        path.write_bytes(content)
        assert_same_bits(fit(model(max_iter=8), X, checkpoint=path), expected)


def test_seeds_of_all_kinds(tmp_path, monkeypatch):
    X, path, common = data(), tmp_path / "c.npz", np.random.mtrand._rand
    for make in (lambda: None, lambda: np.random.RandomState(5)):
        common.seed(5)
        expected = fit(model(random_state=make()), X)
        common.seed(5)
        with monkeypatch.context() as patch:
            stop_at(patch, "reached", 30)
            interrupted(model(random_state=make()), X, checkpoint=path)
        common.seed(99)
        before = common.get_state()[1].tolist()
        assert_same_bits(fit(model(random_state=make()), X, checkpoint=path), expected)
        assert common.get_state()[1].tolist() == before
    with pytest.raises(ValueError, match="cannot hold the state of the generator PCG64: pass an integer, None or a"):
        model(random_state=np.random.default_rng(0)).fit(X, checkpoint=path)
    assert os.listdir(tmp_path) == []


def test_warm_starts_resume(tmp_path, monkeypatch):
    X, path = data(), tmp_path / "c.npz"

    def warm() -> GaussianMixture:
        estimator = fit(model(max_iter=2, warm_start=True), X)
        return estimator.set_params(max_iter=20)

    expected, estimator = fit(warm(), X), warm()
    with monkeypatch.context() as patch:
        stop_at(patch, "reached", 4)
        interrupted(estimator, X, checkpoint=path)
    # in another process there is no fit to continue from
    assert_same_bits(fit(model(max_iter=20, warm_start=True), X, checkpoint=path), expected)


def test_fit_predict_takes_the_same_options(tmp_path, monkeypatch, capsys):
    X, path = data(), tmp_path / "c.npz"
    with monkeypatch.context() as patch:
        stop_at(patch, "reached", 4)
        with pytest.raises(KeyboardInterrupt):
            model().fit_predict(X, checkpoint=path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels = model().fit_predict(X, checkpoint=path, checkpoint_every=0.5, progress=True)
    assert np.array_equal(labels, fit(model(), X).predict(X))
    assert "start 3 of 3" in capsys.readouterr().err


KILLED = """
import os, signal, sys, warnings
import numpy as np
from fastgmm import GaussianMixture, chunks
from fastgmm.fitting.run import StateCallback
from fastgmm._limits import LIMITS
warnings.simplefilter("ignore")
folder, call = sys.argv[1], int(sys.argv[2])
LIMITS.loaded = 4096
reached, calls = StateCallback.reached, 0

def killing(self, *arguments):
    global calls
    reached(self, *arguments)
    calls += 1
    if calls == call:
        os.kill(os.getpid(), signal.SIGKILL)

StateCallback.reached = killing
data = chunks(folder + "/*.npy") if os.path.exists(folder + "/1.npy") else np.load(folder + "/0.npy")
arguments = dict(n_init=3, random_state=0, tol=1e-6, max_iter=25, init_params="random_from_data")
GaussianMixture(3, **arguments).fit(data, checkpoint=folder + "/c.npz", checkpoint_every=0)
"""


@posix
@pytest.mark.parametrize("chunked", [False, True])
def test_a_killed_process_is_resumed(chunked, tmp_path, limits):

    X = data()
    parts = [X[:600], X[600:]] if chunked else [X]
    for i, part in enumerate(parts):
        np.save(tmp_path / f"{i}.npy", part)
    limits(loaded=4096)
    given = chunks(str(tmp_path / "*.npy")) if chunked else X
    expected = fit(model(), given)
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), "31"], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    header = json.loads(str(np.load(tmp_path / "c.npz")["header"]))
    assert header["start"] > 0
    assert_same_bits(fit(model(), given, checkpoint=tmp_path / "c.npz"), expected)
    assert not (tmp_path / "c.npz").exists()


# --- files that are no use ---


@pytest.fixture
def stopped(tmp_path, monkeypatch) -> Path:
    """The checkpoint of a fit that was interrupted in its second start."""
    with monkeypatch.context() as patch:
        stop_at(patch, "reached", 30)
        interrupted(model(), data(), checkpoint=tmp_path / "c.npz")
    assert json.loads(str(np.load(tmp_path / "c.npz")["header"]))["start"] == 1
    return tmp_path / "c.npz"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tol": 1e-5}, "tol was 1e-06 and is 1e-05 now"),
        ({"n_components": 4}, "n_components was 3 and is 4 now"),
        ({"covariance_type": "diag"}, "covariance_type was full and is diag now"),
        ({"max_iter": 30, "n_init": 4}, "max_iter was 25 and is 30 now, n_init was 3 and is 4 now"),
        ({"reg_covar": 1}, "reg_covar was 1e-06 and is 1"),
        ({"random_state": None}, "random_state was 0 and is None now"),
        ({"random_state": np.random.RandomState(0)}, "random_state was 0 and is generator now"),
        ({"init_params": "kmeans"}, "init_params was random_from_data and is kmeans now"),
        ({"means_init": np.zeros((3, 3))}, "means_init is not what it was"),
        ({"warm_start": True}, "warm_start was False and is True now"),
    ],
)
def test_other_settings_are_refused(stopped, arguments, message):
    content = stopped.read_bytes()
    estimator = model(**arguments)
    with pytest.raises(ValueError, match="is the checkpoint of another fit: " + message + ".*; delete it or choose"):
        estimator.fit(data(), checkpoint=stopped)
    assert not hasattr(estimator, "means_")
    assert stopped.read_bytes() == content


def test_settings_that_do_not_matter(stopped):
    arguments: dict = {"n_threads": 1, "verbose": 0, "verbose_interval": 3}
    expected = fit(model(), data())
    assert_same_bits(fit(model(**arguments), data(), checkpoint=stopped), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X[:-1], "n_samples was 1500 and is 1499 now"),
        (lambda X: X[:, :2], "n_features was 3 and is 2 now"),
        (lambda X: X.astype(np.float32), "dtype was float64 and is float32 now"),
        (lambda X: X[::-1], r"X \(of which some samples were compared\) is not what it was"),
        (lambda X: np.where(np.arange(1500)[:, None] == 1024, 0.0, X), "X .* is not what it was"),
        (lambda X: np.where(np.arange(1500)[:, None] == 1001, 99.0, X), "largest magnitude was"),
    ],
)
def test_other_data_are_refused(stopped, change, message):
    with pytest.raises(ValueError, match=f"is the checkpoint of another fit: .*{message}.*; delete it or choose"):
        model().fit(change(data()), checkpoint=stopped)


def test_other_weights_are_refused(stopped):
    weights = np.ones(1500)
    weights[3] = 2.0
    with pytest.raises(
        ValueError, match=r"sum of sample_weight was 1500\.0 and is 1501\.0 now, sample_weight is not what"
    ):
        model().fit(data(), sample_weight=weights, checkpoint=stopped)


def entries_of(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def refused(path: Path, message: str) -> None:
    estimator = model()
    content = path.read_bytes()
    with pytest.raises(ValueError, match=message) as caught:
        estimator.fit(data(), checkpoint=path)
    assert "c.npz cannot be loaded as a checkpoint of a fit" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not hasattr(estimator, "means_")
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"x,y\n1,2\n", b"PK\x03\x04" + bytes(100), pickle.dumps({"a": 1})])
def test_foreign_files_are_refused(tmp_path, content):
    (tmp_path / "c.npz").write_bytes(content)
    refused(tmp_path / "c.npz", r"it must be a file that fit\(\.\.\., checkpoint=path\) wrote")


def test_a_model_is_no_checkpoint(tmp_path):
    fit(model(), data()).save(tmp_path / "c.npz")
    refused(tmp_path / "c.npz", "its header does not say 'fastgmm-checkpoint'")


def test_damage_anywhere_is_found_or_harmless(stopped):
    whole, expected, rng = stopped.read_bytes(), fit(model(), data()), np.random.default_rng(0)
    for length in range(0, len(whole), len(whole) // 20):
        stopped.write_bytes(whole[:length])
        refused(stopped, "cannot be loaded")
    found = 0
    for position in rng.integers(len(whole), size=60):
        broken = bytearray(whole)
        broken[position] ^= 1 << int(rng.integers(8))
        stopped.write_bytes(bytes(broken))
        try:
            again = fit(model(), data(), checkpoint=stopped)
        except ValueError:
            found += 1
        else:
            assert_same_bits(again, expected)
    assert found > 30


class _Trap:
    def __reduce__(self) -> tuple:
        return sys.exit, ("a pickle was run",)


def _state(**parts: int) -> np.ndarray:
    state = np.array([*RngState.of(np.random.RandomState(0)).key, 5, 0], np.uint32)
    state[-2], state[-1] = parts.get("position", 5), parts.get("has_gauss", 0)
    return state


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"header": np.array([_Trap()], dtype=object)}, "its entry 'header.npy' is damaged: it holds Python objects"),
        ({"running.means": np.array([_Trap()], dtype=object)}, "it holds Python objects"),
        ({"random": _state(position=625)}, "random does not hold a state of the random generator"),
        ({"random": _state(position=2**32 - 1)}, "random does not hold a state"),
        ({"random.first": _state(has_gauss=2)}, "random.first does not hold a state"),
        ({"random": np.zeros(626)}, "random does not hold a state"),
        ({"random.gauss": np.zeros(3)}, r"random.gauss has dtype float64 and shape \(3,\), not one float64"),
        ({"running.means": np.zeros((3, 4))}, "running.covariances has dtype float64 and shape"),
        ({"running.weights": np.ones(3)}, "running.weights must not be negative and sum to 1"),
        ({"running.covariances": np.full((3, 3, 3), np.nan)}, "running.covariances holds values that are not finite"),
        ({"running.prec_chol": np.zeros((3, 3, 3))}, "running.prec_chol is not positive on its diagonal"),
        ({"running.lower_bounds": np.zeros(26)}, "running.lower_bounds holds 26 iterations"),
        ({"running.lower_bounds": np.zeros(0)}, "running.lower_bounds holds 0 iterations"),
        ({"running.lower_bounds": np.array([np.inf])}, "running.lower_bounds has .* or is not finite"),
        ({"best.lower_bound": np.array(7.0)}, "its best start is number 0 with the bound 7"),
        ({"best.start": np.array(1)}, "its best start is number 1"),
        ({"best.converged": np.array(1)}, "best.converged has dtype int64"),
        ({"surprise": np.zeros(1)}, "it lacks entries or holds unknown ones: 'surprise'"),
        ({"best.means": None}, "it lacks entries or holds unknown ones: 'best.means'"),
        ({"random": None}, "it lacks entries or holds unknown ones: 'random'"),
        ({"header": {"start": 4}}, "its header says start 4 of 3"),
        ({"header": {"start": True}}, "its header says start True of 3"),
        ({"header": {"warm": 1}}, "its header says start 1 of 1"),
        ({"header": {"settings": None}}, "its header holds no usable settings"),
        ({"header": {"data": {}}}, "its header holds no usable data"),
        ({"header": {"format_version": 2}}, "it has format version 2, written by fastgmm .* upgrade fastgmm"),
        ({"header": {"format_version": 0}}, "format version 0, which never was; delete it or choose another path"),
    ],
)
def test_contradictions_are_refused(stopped, changes, message):
    np.savez(stopped, **edited(entries_of(stopped), changes))
    refused(stopped, message)


def test_parameters_of_another_size_are_refused(stopped):
    entries = entries_of(stopped)
    for part in ("means", "weights", "covariances", "prec_chol"):
        entries[f"best.{part}"] = entries[f"best.{part}"][:2]
    entries["best.weights"] = np.array([0.5, 0.5])
    np.savez(stopped, **entries)
    refused(stopped, r"best.means has dtype float64 and shape \(2, 3\), not float64 \(3, 3\)")


def test_the_file_is_as_documented(stopped):
    entries = entries_of(stopped)
    header = json.loads(str(entries.pop("header")))
    assert header["format"] == "fastgmm-checkpoint"
    assert set(header) == {"format", "format_version", "fastgmm_version", "start", "warm", "settings", "data"} | {
        "fingerprint",
        "best_fingerprint",
    }
    text = checkpoints.__doc__ or ""
    for name in (*entries, *header):
        family = name.replace("best.weights", "running.weights").replace("best.means", "running.means")
        family = family.replace("best.covariances", "running.covariances").replace(
            "best.prec_chol", "running.prec_chol"
        )
        assert f"``{family}``" in text, name


# --- paths ---


class Untouchable:
    """Data that must not be looked at."""

    def __iter__(self) -> Any:
        pytest.fail("work was done before the checkpoint was tried")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("no/c.npz", FileNotFoundError, "No such file or directory: .*no/c.npz"),
        (".", IsADirectoryError, "is a directory, not a file to write"),
        ("/dev/null", OSError, "is not a regular file: '/dev/null'"),
        (7, TypeError, "checkpoint must be a path or None, got 7 of type int"),
    ],
)
@posix
def test_paths_that_cannot_be_written_are_told_before_any_work(name, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        model().fit(chunks(Untouchable()), checkpoint=name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"checkpoint_every": -1}, ValueError, "checkpoint_every must be a finite number of at least 0"),
        ({"checkpoint_every": None}, TypeError, "checkpoint_every must be a number of at least 0"),
        ({"progress": 1}, TypeError, "progress must be True or False, got 1"),
    ],
)
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        model().fit(chunks(Untouchable()), **options)


def test_a_disk_that_fills_up_does_not_end_the_fit(tmp_path, monkeypatch):
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    X, path = data(), tmp_path / "c.npz"
    monkeypatch.setattr(checkpoints.archive, "write", full)
    with pytest.warns(
        UserWarning, match=r"the checkpoint .*c\.npz could not be written .*No space left.*continues without"
    ):
        again = fit(model(), X, checkpoint=path, checkpoint_every=0)
    assert_same_bits(again, fit(model(), X))
    stop_at(monkeypatch, "reached", 3)
    text = interrupted(model(), X, checkpoint=path)
    assert "after 3 iterations" in text
    assert "The checkpoint" in text
    assert "could not be written ([Errno 28] No space left on device)" in text


def test_how_often_it_is_written(tmp_path, monkeypatch):
    now, written = [100.0], []
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    write = Checkpoint.write
    monkeypatch.setattr(Checkpoint, "write", lambda self, at: (write(self, at), written.append(at.n_iter)))
    reached = StateCallback.reached

    def passing(self: StateCallback, *arguments: Any) -> None:
        now[0] += 10.0
        reached(self, *arguments)

    monkeypatch.setattr(StateCallback, "reached", passing)
    fit(model(n_init=1, tol=0.0, max_iter=20), data(), checkpoint=tmp_path / "c.npz")
    assert written == [6, 12, 18]
    written.clear()
    fit(model(n_init=1, tol=0.0, max_iter=5), data(), checkpoint=tmp_path / "c.npz", checkpoint_every=0)
    assert written == [1, 2, 3, 4, 5, 0]  # at last the start that is done


def test_the_path_stays_where_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with monkeypatch.context() as patch:
        stop_at(patch, "reached", 3)
        during_fits(patch, "reached", lambda *_: os.chdir(tmp_path / "elsewhere"))
        interrupted(model(), data(), checkpoint="c.npz")
    assert sorted(os.listdir(tmp_path)) == ["c.npz", "elsewhere"]


# --- what tells data apart ---


@pytest.mark.parametrize("n", [1, 2, 3, 5, 64, 65, 66, 1500])
def test_marks_are_the_same_from_memory_and_from_chunks(n, limits):

    limits(loaded=0)
    X = np.arange(2.0 * n).reshape(n, 2)
    rows = fingerprint_rows(n)
    assert (rows[0], rows[-1]) == (0, n - 1)
    assert rows == sorted(set(rows))
    source = open_source(chunks([X[: n // 3], X[n // 3 :]]))
    assert not isinstance(source, ArraySource)
    assert np.array_equal(source.marks, ArraySource(X).marks)
    assert checkpoints.data_of(source) == checkpoints.data_of(ArraySource(X))


def test_sources_without_marks_are_compared_by_the_rest():
    class Bare(ArraySource):
        marks = None

    told = checkpoints.data_of(Bare(data()))
    assert told["X (of which some samples were compared)"] is None
    assert told["n_samples"] == 1500


# --- what is shown ---


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_on_a_terminal(monkeypatch, limits, capsys):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    limits(bar_seconds=0.0, block_bytes=10_000)  # several blocks
    threads = threading.active_count()
    fit(model(n_init=2, max_iter=3), data(), progress=True)
    shown = screen.getvalue()
    assert "start 1 of 2, first parameters" in shown
    assert "start 2 of 2, iteration 3, log-likelihood -" in shown
    assert ", change " in shown
    assert " left" in shown
    assert "\r" in shown
    assert "start 2 of 2, not converged after 3 iterations" in shown
    assert shown.endswith("\n")
    assert threading.active_count() == threads
    assert capsys.readouterr().out == ""


@compiled
@pytest.mark.parametrize(("options", "stream"), [({"verbose": 1}, "out"), ({"progress": True}, "err"), ({}, "")])
def test_who_watches_a_fit_hears_that_it_compiles(options, stream, capsys, monkeypatch):
    def start(*arguments):
        numba.njit(lambda x: x + 1)(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(StateCallback, "reached", start)
    progress_option = {name: value for name, value in options.items() if name == "progress"}
    estimator = model(**{name: value for name, value in options.items() if name != "progress"})
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(data(), **progress_option)
    said = capsys.readouterr()._asdict()
    assert {name for name, text in said.items() if "compiling for this kind of data, once" in text} == {stream} - {""}


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_is_lines_elsewhere_and_without_tqdm(terminal, monkeypatch, limits):
    screen = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    if terminal:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    limits(line_seconds=0.0, block_bytes=10_000)
    fit(model(n_init=1, max_iter=3), data(), progress=True)
    lines = screen.getvalue().splitlines()
    assert "\r" not in screen.getvalue()
    assert lines[0] == "start 1, first parameters"
    assert any(line.startswith("start 1, iteration 2, log-likelihood -") and line.endswith(" left") for line in lines)
    assert lines[-1].startswith("start 1, not converged after 3 iterations, log-likelihood -")


def test_a_notebook_gets_the_bar_of_tqdm_that_suits_it(monkeypatch, limits):
    """Of ``tqdm.auto``: a widget if ipywidgets is there, else text. Here a class that notes what it shows."""
    shown = []

    class Widget:
        def __init__(self, **options):
            self.n, self.total, self.text = 0, options["total"], ""

        def set_description_str(self, text, refresh):
            self.text = text

        def set_postfix_str(self, text, refresh):
            pass

        def refresh(self):
            shown.append((self.text, self.n, self.total))

        def close(self):
            shown.append(("closed", self.n, self.total))

    auto = types.ModuleType("tqdm.auto")
    auto.tqdm = Widget
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", auto)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    limits(bar_seconds=0.0)
    X = data()
    fit(model(n_init=1, max_iter=3), X, progress=True)
    assert shown[0] == ("start 1, first parameters", 0, len(X))
    assert shown[-2][0].startswith("start 1, not converged after 3 iterations")
    assert shown[-1] == ("closed", len(X), len(X))
    shown.clear()
    limits(bar_seconds=60.0)
    tell = progress.steps(3)
    for i in range(3):
        tell(i + 1, f"step {i + 2}")
    tell(0, "")
    assert shown == [("step 2", 1, 3), ("closed", 3, 3)]  # all steps, though the last ones came too fast to be drawn
    assert sys.stderr.getvalue() == ""


NOTEBOOK = """
import sys, warnings
import numpy as np, fastgmm
warnings.simplefilter("error")
fastgmm.GaussianMixture(2, random_state=0).fit(np.random.default_rng(0).normal(size=(2000, 2)), progress=True)
"""


@pytest.mark.parametrize("widgets", [True, False])
def test_a_real_notebook(widgets):
    """A widget if ipywidgets is installed, otherwise the bar as text and no warning."""
    for package in ("ipykernel", "ipywidgets", "nbclient", "nbformat"):
        pytest.importorskip(package)
    import nbclient
    import nbformat

    hidden = "" if widgets else "import sys; sys.modules['ipywidgets'] = None\n"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(hidden + NOTEBOOK)])
    nbclient.NotebookClient(notebook, timeout=PATIENCE).execute()
    outputs = notebook.cells[0].outputs
    texts = "".join(one.get("text", "") for one in outputs)
    data = [one["data"] for one in outputs if "data" in one]
    assert any("application/vnd.jupyter.widget-view+json" in one for one in data) == widgets
    assert ("converged after" in texts) != widgets
    assert "Warning" not in texts


@posix
@pytest.mark.parametrize("lines", [0, 40])
def test_terminals_of_no_size_get_lines(lines):
    import fcntl
    import pty
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, 80, 0, 0))
    with os.fdopen(master), os.fdopen(slave, "w") as stream:
        assert progress._draws_bars(stream) == (lines > 0)


def test_without_a_console_nothing_is_shown(monkeypatch, capfd):
    monkeypatch.setattr(sys, "stderr", None)
    fit(model(n_init=1), data(), progress=True)
    monkeypatch.undo()
    assert capfd.readouterr() == ("", "")


def test_nothing_is_shown_unasked(capfd):
    fit(model(), data())
    assert capfd.readouterr() == ("", "")


def test_lines_come_now_and_then(monkeypatch):
    now, screen = [0.0], io.StringIO()
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    lines = progress.ProgressLines(1000, 1, screen)
    lines.begin(0, 0)
    for n_iter in range(1, 101):
        for n_done in (250, 500, 750, 1000):
            now[0] += 1.0
            lines.block(n_done)
        lines.iteration(n_iter, -3.0, 0.5)
    found = screen.getvalue().splitlines()
    assert len(found) == 1 + 400 // 5
    assert found[1] == "start 1, iteration 2, log-likelihood -3, change 0.5"
    assert "start 1, iteration 3, log-likelihood -3, change 0.5; 50 % of the pass, 2 s left" in found


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (59.0, "59 s"), (61.0, "1:01 min"), (3599.5, "1:00 h"), (7260.0, "2:01 h")]
)
def test_durations(seconds, text):
    assert progress._duration(seconds) == text


def test_verbose_tells_where_a_fit_resumes(stopped, capsys):
    fit(model(verbose=1), data(), checkpoint=stopped)
    assert "Start 1, resuming after iteration " in capsys.readouterr().out


def test_several_tell_all():
    class Noting(Callback):
        def __init__(self) -> None:
            self.told: list = []

        def __getattribute__(self, name: str) -> Any:
            if name in ("told", "__class__", "__dict__"):
                return super().__getattribute__(name)
            return lambda *arguments: self.told.append((name, *arguments))

    both = [Noting(), Noting()]
    several = combine(both[0], SILENT, both[1])
    source = ArraySource(data())
    fitted = fit(model(), source.X)
    params = fitted._params()
    outcome = FitResult(params, True, 1, 0.0, [0.0], 1)
    several.begin(0, 1)
    several.block(2)
    several.iteration(3, 4.0, 5.0)
    several.reached(params, [6.0])
    several.end(outcome)
    several.close()
    names = ["begin", "block", "iteration", "reached", "end", "close"]
    assert both[0].told == both[1].told
    assert combine(SILENT, both[0]) is both[0]
    assert combine(SILENT, SILENT) is SILENT
    assert [entry[0] for entry in both[0].told] == names


def test_importing_fastgmm_does_not_load_tqdm():
    code = "import sys, numpy as np, fastgmm; fastgmm.GaussianMixture(1).fit(np.eye(3)); print('tqdm' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

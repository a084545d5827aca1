"""Saved models come back to the bit; files that are no models are refused and run nothing."""

from __future__ import annotations

import io
import json
import os
import pickle
import stat
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastgmm
from fastgmm import GaussianMixture
from fastgmm._atomic import replacing
from fastgmm.datasets import load_iris
from fastgmm.estimators.loading import load
from fastgmm.estimators.saving import save

ARRAYS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
OUTCOME = ("converged_", "n_iter_", "n_passes_", "lower_bound_", "lower_bounds_", "n_features_in_")


@pytest.fixture(scope="module")
def model() -> GaussianMixture:
    return GaussianMixture(3, random_state=0).fit(load_iris().data)


@pytest.fixture
def saved(model: GaussianMixture, tmp_path: Path) -> Path:
    save(model, tmp_path / "model.npz")
    return tmp_path / "model.npz"


def entries_of(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def rewrite(path: Path, *, header: Any = None, without: tuple[str, ...] = (), **changed: Any) -> Path:
    """Write the entries of a model again, some of them other than they were."""
    entries = {name: array for name, array in entries_of(path).items() if name not in without}
    if isinstance(header, np.ndarray):
        entries["header"] = header
    elif header is not None:
        fields = {**json.loads(str(entries["header"])), **header}
        entries["header"] = np.array(json.dumps(fields))
    np.savez(path, **{**entries, **changed})
    return path


def refused(path: Path, message: str) -> str:
    with pytest.raises(ValueError, match=message) as caught:
        load(path)
    text = str(caught.value)
    assert path.name in text
    assert "\n" not in text
    return text


# --- there and back ---


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_round_trip_is_exact(tmp_path: Path, covariance_type: str, dtype: type) -> None:
    X = load_iris().data.astype(dtype)
    first = GaussianMixture(3, covariance_type=covariance_type, tol=1e-5, reg_covar=3e-7, random_state=4).fit(X)
    first.save(tmp_path / "model")
    assert os.listdir(tmp_path) == ["model"]
    again = fastgmm.load(tmp_path / "model")
    assert type(again) is GaussianMixture
    assert again.get_params() == first.get_params()
    assert set(vars(again)) == set(vars(first))
    for name in ARRAYS:
        ours, theirs = getattr(again, name), getattr(first, name)
        assert ours.dtype == theirs.dtype == dtype
        assert ours.tobytes() == theirs.tobytes()
    for name in OUTCOME:
        assert getattr(again, name) == getattr(first, name)
        assert type(getattr(again, name)) is type(getattr(first, name))
    np.testing.assert_array_equal(again.predict_proba(X), first.predict_proba(X))
    np.testing.assert_array_equal(again.score_samples(X), first.score_samples(X))


def test_the_same_model_gives_the_same_bytes(model: GaussianMixture, saved: Path, tmp_path: Path) -> None:
    save(load(saved), tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == saved.read_bytes()


def test_array_parameters_names_and_numpy_scalars(tmp_path: Path) -> None:
    iris = load_iris()
    first = GaussianMixture(
        np.int64(2),
        covariance_type="diag",
        tol=np.float64(0.1),
        weights_init=[0.5, 0.5],
        means_init=iris.data[:2],
        random_state=np.random.RandomState(1),
    ).fit(iris.data)
    first.feature_names_in_ = np.array(["größe", "b", "c c", ""], dtype=object)
    first.save(tmp_path / "m.npz")
    again = load(tmp_path / "m.npz")
    assert again.n_components == 2
    assert again.tol == 0.1
    assert again.random_state is None
    assert again.precisions_init is None
    np.testing.assert_array_equal(again.weights_init, [0.5, 0.5])
    assert again.means_init.tobytes() == iris.data[:2].tobytes()
    assert again.feature_names_in_.dtype == object
    assert again.feature_names_in_.tolist() == ["größe", "b", "c c", ""]


def test_a_model_made_from_parameters(tmp_path: Path) -> None:
    first = GaussianMixture.from_parameters([0.25, 0.75], [[0.0], [5.0]], [1.0, 2.0], covariance_type="spherical")
    first.save(tmp_path / "m.npz")
    again = load(tmp_path / "m.npz")
    assert again.n_iter_ == 0
    assert again.lower_bound_ == first.lower_bound_
    assert again.lower_bounds_ == []
    assert again.predict([[0.1], [4.0]]).tolist() == [0, 1]


def test_the_file_is_as_documented(saved: Path) -> None:
    entries = entries_of(saved)
    header = json.loads(str(entries["header"]))
    assert header["format"] == "fastgmm-model"
    assert header["format_version"] == 2
    assert header["class"] == "GaussianMixture"
    assert header["fastgmm_version"] == fastgmm.__version__
    assert header["params"]["covariance_type"] == "full"
    assert {*ARRAYS, *OUTCOME} < set(entries)


# --- what cannot be saved ---


def test_saving_needs_a_fit(tmp_path: Path) -> None:
    with pytest.raises(fastgmm.NotFittedError, match="not fitted"):
        save(GaussianMixture(2), tmp_path / "m.npz")
    assert not os.listdir(tmp_path)


def test_saving_refuses_what_could_not_be_loaded(model: GaussianMixture, saved: Path, tmp_path: Path) -> None:
    changed = load(saved).set_params(covariance_type="diag")
    with pytest.raises(ValueError, match=r"cannot be saved: covariance_type='diag' was set after the fit.*: fit again"):
        changed.save(tmp_path / "m.npz")
    with pytest.raises(TypeError, match="the parameter tol is a list, which cannot be saved"):
        load(saved).set_params(tol=[1]).save(tmp_path / "m.npz")
    with pytest.raises(TypeError, match="means_init is not an array of real numbers"):
        load(saved).set_params(means_init="x").save(tmp_path / "m.npz")

    class Mine(GaussianMixture):
        pass

    with pytest.raises(TypeError, match="a Mine cannot be saved, only GaussianMixture"):
        save(Mine(2).fit(load_iris().data), tmp_path / "m.npz")
    assert os.listdir(tmp_path) == ["model.npz"]


# --- what cannot be loaded ---


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.npz")


@pytest.mark.parametrize("content", [b"", b"x,y\n1,2\n", b"PK\x03\x04" + bytes(100), pickle.dumps({"a": 1})])
def test_foreign_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.npz"
    path.write_bytes(content)
    refused(path, r"cannot be loaded as a fastgmm model: .*it must be a file that model.save\(path\) or fastgmm fit")


def test_foreign_archives(tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    np.savez(path, X=np.eye(3))
    refused(path, "no entry 'header', so it is some other .npz file")
    np.savez(path, header=np.array("[1]"))
    refused(path, "its header does not say 'fastgmm-model'")
    np.savez(path, header=np.array("{"))
    refused(path, "its header is not JSON")
    np.savez(path, header=np.array("[" * 100_000))
    refused(path, "its header is not JSON")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(path, "its entry 'readme.txt' is damaged: does not belong there")


def test_truncation_anywhere(saved: Path) -> None:
    whole = saved.read_bytes()
    for length in range(0, len(whole), 97):
        saved.write_bytes(whole[:length])
        refused(saved, "cannot be loaded as a fastgmm model")


def test_flipped_bytes_are_found_or_harmless(model: GaussianMixture, saved: Path) -> None:
    whole = saved.read_bytes()
    rng = np.random.default_rng(0)
    found = 0
    for position in rng.integers(len(whole), size=400):
        broken = bytearray(whole)
        broken[position] ^= 1 << int(rng.integers(8))
        saved.write_bytes(bytes(broken))
        try:
            again = load(saved)
        except ValueError:
            found += 1
        else:  # in what a zip file says of dates and attributes
            assert all(getattr(again, name).tobytes() == getattr(model, name).tobytes() for name in ARRAYS)
    assert found > 200


class _Trap:
    def __reduce__(self) -> tuple:
        return sys.exit, ("a pickle was run",)


@pytest.mark.parametrize("entry", ["header", "means_", "lower_bounds_", "feature_names_in_"])
def test_pickles_are_not_run(saved: Path, entry: str) -> None:
    trap = np.array([_Trap()], dtype=object)
    rewrite(saved, **{entry: trap})
    refused(saved, f"its entry '{entry}.npy' is damaged: it holds Python objects")


def test_bombs_are_refused_before_memory_is_taken(saved: Path) -> None:
    huge = io.BytesIO()
    np.lib.format.write_array_header_1_0(huge, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**9)})
    entries = entries_of(saved)
    with zipfile.ZipFile(saved, "w") as archive:
        for name in entries:
            archive.writestr(f"{name}.npy", huge.getvalue())
    refused(saved, r"its size does not fit its shape \(1000000000, 1000000000\)")
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("means_.npy", bytes(10**7))
    refused(saved, "is compressed, which fastgmm never does")


@pytest.mark.parametrize("literal", [b"{'descr': '<f8'", b"(" * 5000, b"{'shape': (1,\n  'x'\n 'y'", b"\xff\xfe"])
def test_malicious_array_headers(saved: Path, literal: bytes) -> None:
    with zipfile.ZipFile(saved, "w") as archive:
        archive.writestr("means_.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(literal)) + literal)
    refused(saved, "its entry 'means_.npy' is damaged")


def test_newer_and_impossible_versions(saved: Path) -> None:
    rewrite(saved, header={"format_version": 3, "fastgmm_version": "9.9"})
    refused(saved, r"it has format version 3, written by fastgmm 9\.9; this is fastgmm .*upgrade fastgmm")
    for version in (0, "1", None, True):
        rewrite(saved, header={"format_version": version})
        refused(saved, f"its header says format version {version!r}, which never was")


@pytest.mark.parametrize(
    "entry", [*ARRAYS, "converged_", "n_iter_", "n_passes_", "lower_bound_", "lower_bounds_", "n_features_in_"]
)
def test_missing_entries_are_named(saved: Path, entry: str) -> None:
    refused(rewrite(saved, without=(entry,)), f"it lacks '{entry}'; the file is damaged or was changed")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"means_": np.zeros((3, 5))}, r"covariances_ has dtype float64 and shape \(3, 4, 4\), but for means_"),
        ({"weights_": np.ones(2) / 2}, r"weights_ has dtype float64 and shape \(2,\), .*it must be float64 \(3,\)"),
        ({"weights_": np.ones(3)}, r"weights_ must not be negative and sum to 1; least is 1.0, sum 3.0"),
        ({"weights_": np.array([2.0, -1.0, 0.0])}, "weights_ must not be negative"),
        ({"means_": np.full((3, 4), np.nan)}, "means_ holds values that are not finite"),
        ({"precisions_": np.full((3, 4, 4), np.inf)}, "precisions_ holds values that are not finite"),
        ({"precisions_cholesky_": np.zeros((3, 4, 4))}, "precisions_cholesky_ is not positive on its diagonal"),
        ({"covariances_": np.zeros((3, 4, 4), np.float32)}, "covariances_ has dtype float32"),
        ({"means_": np.zeros((3, 4), np.int64)}, "means_ has dtype int64"),
        ({"means_": np.zeros(4)}, r"means_ has dtype float64 and shape \(4,\)"),
        ({"n_iter_": np.array(1.5)}, "n_iter_ has dtype float64"),
        ({"converged_": np.array([True])}, r"converged_ has dtype bool and shape \(1,\)"),
        ({"n_features_in_": np.array(5)}, "n_features_in_ is 5, but means_ has 4 columns"),
        ({"feature_names_in_": np.array(["a"])}, "feature_names_in_ has .* it must be 4 strings"),
        ({"surprise": np.zeros(1)}, "it holds unknown entries: 'surprise'"),
        ({"param.means_init": np.array("x")}, "param.means_init holds <U1, not real numbers"),
        ({"header": {"params": {"covariance_type": "odd"}}}, "covariance_type is 'odd', which is not a known one"),
        ({"header": {"params": {"covariance_type": 3}}}, "covariance_type is 3"),
        ({"header": {"params": {"covariance_type": "full", "new": 1}}}, "unknown parameters: 'new'"),
        ({"header": {"params": {"covariance_type": "full", "means_init": 1}}}, "unknown parameters: 'means_init'"),
        ({"header": {"params": {"tol": [1]}}}, "its header holds no usable parameters"),
        ({"header": {"params": None}}, "its header holds no usable parameters"),
        ({"header": {"class": "os.system"}}, "it holds a model of class 'os.system'; .* knows GaussianMixture"),
        ({"header": {"class": ["x"]}}, "it holds a model of class"),
    ],
)
def test_contradictions(saved: Path, changes: dict, message: str) -> None:
    refused(rewrite(saved, **changes), message)


# --- writing ---


def fail_while_writing(path: Path, failure: type[BaseException]) -> None:
    with replacing(path) as file:
        file.write(b"new")
        raise failure


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("old")
    for failure in (RuntimeError, KeyboardInterrupt):
        with pytest.raises(failure):
            fail_while_writing(path, failure)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["f"]
    with replacing(path) as file:
        file.write(b"new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["f"]


def test_errors_name_the_path_that_was_given(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, replacing(tmp_path / "no" / "f"):
        pass
    assert caught.value.filename == str(tmp_path / "no" / "f")
    with pytest.raises(IsADirectoryError), replacing(tmp_path):
        pass


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions and links")
def test_links_devices_and_permissions(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    with replacing(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"
    with replacing("/dev/null") as file:
        file.write(b"new")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "fresh"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "fresh").stat().st_mode) == 0o640


# --- estimators that are made of mixtures ---


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda header, entries: header.update(parts=[]), "holds no parts"),
        (lambda header, entries: header.update(parts=header["parts"] * 2), "it has 2 parts, but entries of"),
        (lambda header, entries: header["params"].update(unknown=1), "unknown parameters: 'unknown'"),
        (lambda header, entries: entries.pop("own.targets_"), "it lacks 'targets_'"),
        (lambda header, entries: entries.update({"own.targets_": np.array([0, 1, 2])}), "leaves none to predict from"),
        (lambda header, entries: entries.update({"own.targets_": np.array([7])}), r"targets_ is \[7\]"),
        (lambda header, entries: entries.update({"0.means_": np.full((1, 3), np.nan)}), "not finite"),
        (lambda header, entries: header["parts"][0].update({"class": "GaussianMixtureRegressor"}), "model of class"),
    ],
)
def test_a_composed_file_is_checked(change, message, tmp_path):
    X = np.random.default_rng(0).normal(size=(40, 3))
    path = tmp_path / "r.npz"
    fastgmm.GaussianMixtureRegressor(init_params=np.zeros(40, int)).fit(X[:, :2], X[:, 2]).save(path)
    assert fastgmm.load(path).predict(X[:, :2]).shape == (40,)
    with np.load(path) as archive:
        entries = dict(archive)
    header = json.loads(str(entries.pop("header")))
    change(header, entries)
    np.savez(path, header=np.array(json.dumps(header)), **entries)
    with pytest.raises(ValueError, match=message):
        fastgmm.load(path)

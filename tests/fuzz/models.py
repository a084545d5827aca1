"""Fuzz target: saved models and checkpoints, damaged or forged.

The first byte chooses between bytes as they are, a good file of which some bytes are changed, and a good file of which entries
are changed and the checksums are right again.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import warnings
import zipfile
from functools import cache
from typing import Any

import numpy as np
from kit import interrupt_in_start

import fastgmm
from fastgmm import GaussianMixture

from .choices import Choices, is_answer

_X = np.random.default_rng(0).normal(size=(40, 2)) + 3.0 * (np.arange(40) % 2)[:, None]
_TYPES = ("full", "tied", "diag", "spherical", "VEV", "EII")
_DTYPES = ("<f8", "<f4", ">f8", "<i8", "<u4", "|b1", "<U4", "<c16", "<f2", "|S3")
_JSON = (
    None,
    True,
    0,
    1,
    -1,
    2,
    1.5,
    1e400,
    "",
    "full",
    "tied",
    "diag",
    "x",
    [],
    {},
    [1],
    10**400,
    "fastgmm-model",
    "kmeans",
)
_FIELDS = (
    "format",
    "format_version",
    "class",
    "fastgmm_version",
    "params",
    "start",
    "warm",
    "mark",
    "best_mark",
    "settings",
)
_FIELDS += ("data", "new")
_NAMES = (
    "weights_.npy",
    "a.npy",
    "header",
    "param.means_init.npy",
    "feature_names_in_.npy",
    "../x.npy",
    "param.init_params.npy",
)


def _folder() -> str | None:
    return "/dev/shm" if os.path.isdir("/dev/shm") else None


def _to_resume(covariance_type: str) -> GaussianMixture:
    arguments: dict[str, Any] = {"tol": 0.0, "n_init": 2, "init_params": "random_from_data", "random_state": 0}
    return GaussianMixture(2, covariance_type=covariance_type, max_iter=60, **arguments)


@cache
def _model_file(covariance_type: str) -> bytes:
    with tempfile.TemporaryDirectory(dir=_folder()) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = os.path.join(folder, "m.npz")
        GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(_X).save(path)
        with open(path, "rb") as file:
            return file.read()


@cache
def _checkpoint_file(covariance_type: str) -> bytes:
    """Of a fit that was interrupted in its second start."""
    with tempfile.TemporaryDirectory(dir=_folder()) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = os.path.join(folder, "c.npz")
        interrupt_in_start(1, lambda: _to_resume(covariance_type).fit(_X, checkpoint=path))
        with open(path, "rb") as file:
            return file.read()


def one(data: bytes) -> None:
    """Load one file as a model, or resume from it; AssertionError, or any other exception that is not an answer, on a fault."""
    choices = Choices(data)
    is_model = not choices.flag()
    covariance_type = choices.pick(_TYPES)
    good = (_model_file if is_model else _checkpoint_file)(covariance_type)
    how = choices.below(4)
    if how == 3:
        content = choices.rest()
    elif how == 2:
        content = _damaged(choices, good)
    else:
        content = _forged(choices, good)
    with tempfile.TemporaryDirectory(dir=_folder()) as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", UserWarning)
        path = os.path.join(folder, "x.npz")
        with open(path, "wb") as file:
            file.write(content)
        try:
            if is_model:
                model = fastgmm.load(path)
            else:
                model = _to_resume(covariance_type).fit(_X, checkpoint=path)
        except ValueError as error:
            if not is_answer(error):
                raise
            # parameters that are a mixture, but not of these data: EM says what comes of them
            of_em = not is_model and ("log-likelihood became" in str(error) or "Fitting the mixture" in str(error))
            assert of_em or "x.npz" in str(error), error  # noqa: PT017
            assert os.listdir(folder) == ["x.npz"]
            with open(path, "rb") as file:
                assert file.read() == content
        else:
            _check(model, folder, is_model)


def _check(model: GaussianMixture, folder: str, is_model: bool) -> None:
    """Check that an accepted file is a mixture that can be used, and saved and loaded once more."""
    assert abs(float(model.weights_.sum()) - 1.0) < 2e-3
    for name in ("means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert np.isfinite(getattr(model, name)).all(), name
    if not is_model:
        assert os.listdir(folder) == []
    # parameters are looked at where they are used, as those of the constructor
    model.set_params(
        **{name: value for name, value in GaussianMixture().get_params().items() if name != "covariance_type"}
    )
    model.save(os.path.join(folder, "again.npz"))
    again = fastgmm.load(os.path.join(folder, "again.npz"))
    if model.means_.shape[1] == 2 and abs(model.means_).max() < 1e6:
        np.testing.assert_array_equal(again.predict_proba(_X), model.predict_proba(_X))
        assert not np.isnan(again.score_samples(_X)).any()


def _damaged(choices: Choices, good: bytes) -> bytes:
    content = bytearray(good)
    for _ in range(1 + choices.below(4)):
        content[choices.below(65536) % len(content)] = choices.byte()
    return bytes(content[: choices.below(65536) % len(content)]) if choices.flag(4) else bytes(content)


def _forged(choices: Choices, good: bytes) -> bytes:
    with np.load(io.BytesIO(good), allow_pickle=False) as archive:
        entries = dict(archive)
    for _ in range(1 + choices.below(3)):
        names = list(entries)
        name = names[choices.below(len(names))] if names else "header"
        if name == "header":
            entries["header"] = np.array(_header(choices, str(entries.get("header", "{}"))))
        elif choices.flag(6):
            del entries[name]
        else:
            entries[name] = _other(choices, entries[name])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if choices.flag(16) else zipfile.ZIP_STORED) as archive:
        for name, array in entries.items():
            archive.writestr(f"{name}.npy", _bytes_of(array))
        if choices.flag(8):
            name = choices.pick(_NAMES)
            archive.writestr(name, _bytes_of(_X) if choices.flag() else choices.rest())
    return out.getvalue()


def _bytes_of(array: np.ndarray) -> bytes:
    member = io.BytesIO()
    np.lib.format.write_array(member, array, allow_pickle=False)
    return member.getvalue()


def _header(choices: Choices, text: str) -> str:
    if choices.flag(8):
        return choices.rest().decode("latin-1").replace("\0", "")
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = {}
    if not isinstance(fields, dict):
        fields = {}
    inner = [fields[name] for name in ("params", "settings", "data") if isinstance(fields.get(name), dict)]
    if inner and choices.flag():
        within = inner[choices.below(len(inner))]
        keys = [*within, "new"]
        within[keys[choices.below(len(keys))]] = choices.pick(_JSON)
    else:
        fields[choices.pick(_FIELDS)] = choices.pick(_JSON)
    return json.dumps(fields)


def _other(choices: Choices, array: np.ndarray) -> np.ndarray:
    how = choices.below(6)
    if how == 0 and array.size and array.dtype.kind == "f":
        out = array.copy()
        out.flat[choices.below(out.size)] = choices.number(wild=2)
        return out
    if how == 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return array.astype(choices.pick(_DTYPES)) if array.dtype.kind in "biuf" else array
    if how == 2:
        return choices.pick((array.ravel(), array[None], array.T, np.asarray(array).ravel()[:1], array.ravel()[:0]))
    if how == 3:
        return np.array(choices.number(wild=2))
    if how == 4 and array.dtype.kind == "f":
        with np.errstate(all="ignore"):
            return (array * choices.pick((-1, 0, 2, 1e300, 1e-300))).astype(array.dtype)
    return np.full(array.shape, choices.number(wild=2))

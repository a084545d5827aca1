"""Save a fitted model to a file, and load it again.

The file is a ``.npz`` archive (uncompressed) without pickled objects: reading it runs nothing, and ``numpy.load``
opens it as well. Its entries, format version 1:

========================  ============================  =======================================================
entry                     dtype                         what
========================  ============================  =======================================================
``header``                string, 0-d                   JSON object, see below
``weights_``              float32 or float64 (k,)       these five: finite, of one dtype,
``means_``                (k, d)                        with the shapes of scikit-learn's attributes
``covariances_``          by covariance type
``precisions_``           by covariance type
``precisions_cholesky_``  by covariance type
``converged_``            bool, 0-d
``n_iter_``               int64, 0-d
``lower_bound_``          float64, 0-d
``lower_bounds_``         float64 (n,)
``n_features_in_``        int64, 0-d                    d
``feature_names_in_``     string (d,)                   only if the model has names
``param.means_init``      real                          only if given; likewise the other array parameters
========================  ============================  =======================================================

The header holds ``format`` ("fastgmm-model"), ``format_version`` (1), ``class``, ``fastgmm_version`` and ``params``:
the constructor's parameters that are no arrays. The same model gives the same bytes.
"""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

import fastgmm
from fastgmm._atomic import replacing
from fastgmm._errors import NotFittedError, like_sklearn
from fastgmm._validation import covariance_shape
from fastgmm.covariance.structures import STRUCTURES
from fastgmm.sources.files import npy_header

if TYPE_CHECKING:
    from fastgmm.estimators.gaussian_mixture import GaussianMixture

__all__ = ["load", "save"]

_FORMAT = "fastgmm-model"
_VERSION = 1
_ARRAYS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
_ENTRIES = (*_ARRAYS, "converged_", "n_iter_", "lower_bound_", "lower_bounds_", "n_features_in_")
_DTYPES = {"converged_": "bool", "n_iter_": "int64", "lower_bound_": "float64", "lower_bounds_": "float64"}
_DTYPES["n_features_in_"] = "int64"
_ARRAY_PARAMS = ("weights_init", "means_init", "precisions_init")
_JSON = (bool, int, float, str, type(None))


def save(model: GaussianMixture, path: str | os.PathLike[str]) -> None:
    """Write a fitted model to a file that `load` reads back to the bit.

    The file is complete or is not there: a failure leaves one that was there before as it was.

    Parameters
    ----------
    model : GaussianMixture
        A fitted model. A `random_state` that is a generator is saved as None: its state is no part of what was fitted.
        The averages of `partial_fit` are not saved: that of a loaded model goes on from the parameters.
    path : str or path-like
        Where to write. The name is taken as it is given, no extension is added; an existing file is replaced.

    Raises
    ------
    NotFittedError
        If the model has not been fitted.
    ValueError
        If the fitted attributes contradict each other or the parameters, such as after ``set_params`` with another
        covariance type.
    TypeError
        If a parameter can be stored neither as JSON nor as an array.
    OSError
        If the file cannot be written.
    """
    name = type(model).__name__
    if _classes().get(name) is not type(model):
        raise TypeError(f"a {name} cannot be saved, only {' and '.join(_classes())}; copy what was fitted into one")
    if not hasattr(model, "means_"):
        raise like_sklearn(NotFittedError)(f"this {name} is not fitted, so there is nothing to save; call fit first")
    params, arrays = _split_params(model.get_params(deep=False))
    entries = {entry: np.asarray(getattr(model, entry)) for entry in _ARRAYS}
    for entry, dtype in _DTYPES.items():
        entries[entry] = np.asarray(getattr(model, entry), dtype=dtype)
    if hasattr(model, "feature_names_in_"):
        entries["feature_names_in_"] = np.asarray(model.feature_names_in_, dtype=np.str_)
    problem = _inconsistency(params, entries)
    if problem:
        raise ValueError(f"this {name} cannot be saved: {problem}; fit it again before saving")
    header = {
        "format": _FORMAT,
        "format_version": _VERSION,
        "class": name,
        "fastgmm_version": fastgmm.__version__,
        "params": params,
    }
    entries |= arrays
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for entry, array in {"header": np.array(json.dumps(header)), **entries}.items():
            member = io.BytesIO()
            npy_format.write_array(member, array, allow_pickle=False)
            # the default date of ZipInfo, 1980, rather than now: the same model gives the same bytes
            archive.writestr(zipfile.ZipInfo(f"{entry}.npy"), member.getbuffer())


def load(path: str | os.PathLike[str]) -> GaussianMixture:
    """Read a model that `save` wrote.

    Nothing in the file is executed, whoever wrote it; what it holds is checked before a model is made of it.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    model : GaussianMixture
        With the parameters and fitted attributes of the one that was saved.

    Raises
    ------
    ValueError
        If the file is no model, is damaged or incomplete, contradicts itself, or is of a newer format than this
        version of fastgmm knows.
    OSError
        If the file cannot be opened.
    """
    entries = _read_entries(os.fspath(path))
    try:
        header = _read_header(entries)
        params = header["params"]
        model_class = _model_class(header)
        problem = _inconsistency(params, entries) or _surplus(model_class, params, entries)
        if problem:
            raise ValueError(f"{problem}; the file is damaged or was changed, save the model again")
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)} cannot be loaded as a fastgmm model: {error}") from None
    for entry, array in entries.items():
        if entry.startswith("param."):
            params[entry[len("param.") :]] = array
    model = model_class(**params)
    for entry in _ARRAYS:
        setattr(model, entry, entries[entry])
    model.converged_ = bool(entries["converged_"])
    model.n_iter_ = int(entries["n_iter_"])
    model.lower_bound_ = float(entries["lower_bound_"])
    model.lower_bounds_ = entries["lower_bounds_"].tolist()
    model.n_features_in_ = int(entries["n_features_in_"])
    if "feature_names_in_" in entries:
        model.feature_names_in_ = entries["feature_names_in_"].astype(object)
    return model


def _split_params(params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the parameters that go into the header, and those that become entries."""
    plain: dict[str, Any] = {}
    arrays: dict[str, NDArray[Any]] = {}
    for name, value in params.items():
        if isinstance(value, np.generic):
            value = value.item()
        if name in _ARRAY_PARAMS:
            if value is None:
                continue
            arrays[f"param.{name}"] = np.asarray(value)
            if arrays[f"param.{name}"].dtype.kind not in "fiu":
                raise TypeError(f"the parameter {name} is no array of real numbers, so it cannot be saved")
        elif name == "random_state" and not isinstance(value, int):
            plain[name] = None
        elif isinstance(value, _JSON):
            plain[name] = value
        else:
            raise TypeError(f"the parameter {name} is a {type(value).__name__}, which cannot be saved")
    return plain, arrays


def _read_entries(path: str) -> dict[str, NDArray[Any]]:
    """Read all arrays of the archive; at most as much memory is taken as the file is long."""
    size = os.path.getsize(path)
    entries: dict[str, NDArray[Any]] = {}
    where = ""
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                where = f"its entry {info.filename!r} "
                name = info.filename.removesuffix(".npy")
                if name == info.filename or name in entries:
                    raise ValueError("does not belong there")
                # fastgmm compresses nothing, so a short file cannot unfold into a huge one
                if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
                    raise ValueError("is compressed, which fastgmm never does")
                entries[name] = _read_array(archive.read(info))
    except (
        ValueError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise ValueError(
            f"{path} cannot be loaded as a fastgmm model: {where}{'is damaged: ' if where else ''}{error}; "
            "it must be a file that model.save(path) or fastgmm fit --output wrote"
        ) from None
    return entries


def _read_array(member: bytes) -> NDArray[Any]:
    file = io.BytesIO(member)
    shape, _, dtype = npy_header(file)
    if dtype.hasobject or dtype.kind not in "biufU":
        raise ValueError(f"it holds {'Python objects' if dtype.hasobject else dtype}, not numbers or text")
    count = 1
    for length in shape:  # in Python's integers, which do not overflow
        count *= length
    if min(shape, default=0) < 0 or count * dtype.itemsize != len(member) - file.tell():
        raise ValueError(f"its size does not fit its shape {shape}")
    file.seek(0)
    array: NDArray[Any] = npy_format.read_array(file, allow_pickle=False)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _read_header(entries: dict[str, NDArray[Any]]) -> dict[str, Any]:
    array = entries.pop("header", None)
    if array is None or array.dtype.kind != "U" or array.ndim:
        raise ValueError("it has no entry 'header', so it is some other .npz file")
    try:
        header = json.loads(str(array))
    except (ValueError, RecursionError):
        raise ValueError("its header is no JSON; the file is damaged or some other .npz file") from None
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise ValueError(f"its header does not say {_FORMAT!r}, so it is some other .npz file")
    version = header.get("format_version")
    if isinstance(version, int) and version > _VERSION:
        raise ValueError(
            f"it has format version {version}, written by fastgmm {header.get('fastgmm_version')}; this is fastgmm "
            f"{fastgmm.__version__}, which reads up to version {_VERSION}; upgrade fastgmm"
        )
    if version != _VERSION or isinstance(version, bool):
        raise ValueError(f"its header says format version {version!r}, which never was; save the model again")
    params = header.get("params")
    if not isinstance(params, dict) or not all(isinstance(value, _JSON) for value in params.values()):
        raise ValueError("its header holds no usable parameters; save the model again")
    return header


def _classes() -> dict[str, type[GaussianMixture]]:
    # imported here: the estimators import this module for their method save
    from fastgmm.estimators.gaussian_mixture import GaussianMixture

    return {cls.__name__: cls for cls in (GaussianMixture,)}


def _model_class(header: dict[str, Any]) -> type[GaussianMixture]:
    name = header.get("class")
    if not isinstance(name, str) or name not in _classes():
        raise ValueError(f"it holds a model of class {name!r}; this version of fastgmm knows {', '.join(_classes())}")
    return _classes()[name]


def _surplus(model_class: type[GaussianMixture], params: dict[str, Any], entries: dict[str, Any]) -> str | None:
    """Name what format version 1 has no place for, or return None."""
    known = set(model_class().get_params(deep=False)).difference(_ARRAY_PARAMS)
    if unknown := sorted(set(params) - known):
        return f"its header holds unknown parameters: {', '.join(map(repr, unknown))}"
    allowed = {*_ENTRIES, "feature_names_in_", *(f"param.{name}" for name in _ARRAY_PARAMS)}
    if unknown := sorted(set(entries) - allowed):
        return f"it holds unknown entries: {', '.join(map(repr, unknown))}"
    for entry, array in entries.items():
        if entry.startswith("param.") and array.dtype.kind not in "fiu":
            return f"{entry} holds {array.dtype}, not real numbers"
    return None


def _shapes(covariance_type: Any, k: int, d: int) -> dict[str, tuple[int, ...]] | None:
    if not isinstance(covariance_type, str) or covariance_type not in STRUCTURES:
        return None
    matrices = covariance_shape(STRUCTURES[covariance_type].layout, k, d)
    return {"weights_": (k,), "means_": (k, d), **dict.fromkeys(_ARRAYS[2:], matrices)}


def _inconsistency(params: dict[str, Any], entries: dict[str, NDArray[Any]]) -> str | None:
    """Say what keeps the entries from being one fitted model, or return None."""
    missing = [entry for entry in _ENTRIES if entry not in entries]
    if missing:
        return f"it lacks {', '.join(map(repr, missing))}"
    for entry, dtype in _DTYPES.items():
        array = entries[entry]
        if array.dtype != dtype or array.ndim != (entry == "lower_bounds_"):
            return f"{entry} has dtype {array.dtype} and shape {array.shape}, not one {dtype}"
    means = entries["means_"]
    if means.ndim != 2 or 0 in means.shape or means.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        return f"means_ has dtype {means.dtype} and shape {means.shape}; it must be float32 or float64, (k, d)"
    shapes = _shapes(params.get("covariance_type"), *means.shape)
    if shapes is None:
        return f"covariance_type is {params.get('covariance_type')!r}, which is no known one"
    for entry, shape in shapes.items():
        array = entries[entry]
        if array.shape != shape or array.dtype != means.dtype:
            return (
                f"{entry} has dtype {array.dtype} and shape {array.shape}, but for means_ of {means.dtype} "
                f"{means.shape} and covariance_type {params['covariance_type']!r} it must be {means.dtype} {shape}"
            )
        if not np.isfinite(array).all():
            return f"{entry} holds values that are not finite"
    return _bad_values(params, entries)


def _bad_values(params: dict[str, Any], entries: dict[str, NDArray[Any]]) -> str | None:
    weights = entries["weights_"]
    d = entries["means_"].shape[1]
    if weights.min() < 0 or abs(weights.sum() - 1) > 1e-3:
        return f"weights_ must not be negative and sum to 1; least is {weights.min()}, sum {weights.sum()}"
    roots = entries["precisions_cholesky_"]
    layout = STRUCTURES[params["covariance_type"]].layout
    diagonal = np.diagonal(roots, axis1=-2, axis2=-1) if layout in ("full", "tied") else roots
    if diagonal.min() <= 0:
        return "precisions_cholesky_ is not positive on its diagonal"
    if entries["n_features_in_"] != d:
        return f"n_features_in_ is {entries['n_features_in_']}, but means_ has {d} columns"
    names = entries.get("feature_names_in_")
    if names is not None and (names.dtype.kind != "U" or names.shape != (d,)):
        return f"feature_names_in_ has dtype {names.dtype} and shape {names.shape}; it must be {d} strings"
    return None

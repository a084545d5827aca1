"""Save a fitted model to a file, and load it again.

The file is a ``.npz`` archive (uncompressed) without pickled objects: reading it runs nothing, and ``numpy.load``
opens it as well. Its entries, format version 2:

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
``left_out``              int64 (c,)                    only if `select` left constant features out: their indices in its X
``left_out_of``           string (d + c,)               only with ``left_out``, if X had names: those of all its columns
``param.means_init``      real                          only if given; likewise the other array parameters, and
                                                        ``init_params`` where it is no string
``averages.counts``       float64 (k,)                  these eight: only after `partial_fit`, the running averages
``averages.sums``         float64 (k, d)                of the statistics that it goes on from (`fastgmm.em.online`),
``averages.scatter``      float64, by covariance type   about ``averages.origin`` and per unit of weight
``averages.origin``       float64 (k, d)
``averages.n_samples``    int64, 0-d                    samples that they are of
``averages.n_steps``      int64, 0-d                    batches
``averages.weight``       float64, 0-d                  of all batches
``averages.ready``        bool, 0-d                     whether there were samples enough for an M-step
========================  ============================  =======================================================

The header holds ``format`` ("fastgmm-model"), ``format_version`` (2), ``class``, ``fastgmm_version`` and ``params``:
the constructor's parameters that are not arrays. The same model gives the same bytes.

Version 1 had no averages. A model from such a file that may have been in a stream, because it did not converge, says so when
`partial_fit` goes on with it; ``averages_lost`` (true) in the header keeps that where it is saved again before.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastgmm._errors import NotFittedError, like_sklearn
from fastgmm.em.online import Averages
from fastgmm.estimators import archive, attributes
from fastgmm.estimators.left_out import LeftOut
from fastgmm.model.layouts import Layout
from fastgmm.model.stats import Stats
from fastgmm.model.structures import STRUCTURES

if TYPE_CHECKING:
    from fastgmm.estimators.fitted import FittedMixture
    from fastgmm.estimators.gaussian_mixture import GaussianMixture

__all__ = ["load", "save"]

_KIND = archive.Kind(
    "fastgmm-model",
    2,
    what="a fastgmm model",
    written_by="a file that model.save(path) or fastgmm fit --output wrote",
    remedy="save the model again",
)
_ARRAYS = attributes.PARAMETERS
_ENTRIES = (*_ARRAYS, "converged_", "n_iter_", "lower_bound_", "lower_bounds_", "n_features_in_")
_DTYPES = {"converged_": "bool", "n_iter_": "int64", "lower_bound_": "float64", "lower_bounds_": "float64"}
_DTYPES["n_features_in_"] = "int64"
#: What stands for the outcome of a fit where parameters were assigned, as in `GaussianMixture.from_parameters`.
_UNFITTED = {"converged_": True, "n_iter_": 0, "lower_bound_": -math.inf, "lower_bounds_": []}
_ARRAY_PARAMS = ("weights_init", "means_init", "precisions_init", "init_params")
#: Averages of `partial_fit`: entries of the dtype float64, and the others.
_STATS = ("counts", "sums", "scatter", "origin")
_COUNTED = {"n_samples": "int64", "n_steps": "int64", "weight": "float64", "ready": "bool"}
_AVERAGES = tuple(f"averages.{part}" for part in (*_STATS, *_COUNTED))
_JSON = (bool, int, float, str, type(None))


def save(model: FittedMixture, path: str | os.PathLike[str]) -> None:
    """Write a fitted model to a file that `load` reads back to the bit.

    The file is complete or is not there: a failure leaves one that was there before as it was.

    Parameters
    ----------
    model : GaussianMixture
        A fitted model. A `random_state` that is a generator is saved as None: its state is no part of what was fitted.
        The averages of `partial_fit` are saved, so that a stream continues as if it had not been interrupted. Of parameters
        that were assigned, what is missing is saved as what follows from the others, ``precisions_cholesky_`` as the upper
        triangular factor.
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
    if not attributes.assigned(model):
        raise like_sklearn(NotFittedError)(f"this {name} is not fitted, so there is nothing to save; call fit first")
    model._check_is_fitted()
    params, arrays = _split_params(model.get_params(deep=False))
    entries = _parameters(model, name)
    unfitted = {**_UNFITTED, "n_features_in_": entries["means_"].shape[1]}
    for entry, dtype in _DTYPES.items():
        entries[entry] = np.asarray(getattr(model, entry, unfitted[entry]), dtype=dtype)
    averages = getattr(model, "_averages", None)
    if averages is not None:
        entries |= _of_averages(averages, STRUCTURES[model.covariance_type].layout)
    if hasattr(model, "feature_names_in_"):
        entries["feature_names_in_"] = np.asarray(model.feature_names_in_, dtype=np.str_)
    if model._left_out is not None:
        entries["left_out"] = np.asarray(model._left_out.indices, np.int64)
        if model._left_out.names is not None:
            entries["left_out_of"] = np.asarray(model._left_out.names, dtype=np.str_)
    problem = _inconsistency(params, entries)
    if problem:
        raise ValueError(
            f"this {name} cannot be saved: {problem}; fit it again before saving, or build it with from_parameters"
        )
    header: dict[str, Any] = {"class": name, "params": params}
    if getattr(model, "_averages_lost", False):
        header["averages_lost"] = True
    archive.write(path, _KIND, header, entries | arrays)


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
    header, entries = archive.read(path, _KIND)
    try:
        params = _plain_params(header)
        model_class = _model_class(header)
        problem = _inconsistency(params, entries) or _surplus(model_class, params, entries)
        if problem:
            raise ValueError(f"{problem}; the file is damaged or was changed, save the model again")
    except ValueError as error:
        raise archive.refusal(path, _KIND, error) from None
    averages = None
    if _AVERAGES[0] in entries:
        averages = _averages(entries, STRUCTURES[params["covariance_type"]].layout)
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
    if averages is not None:
        model._averages = averages
    elif (header["format_version"] == 1 and not model.converged_) or header.get("averages_lost") is True:
        model._averages_lost = True
    if "left_out" in entries:
        names = entries.get("left_out_of")
        model._left_out = LeftOut(entries["left_out"], None if names is None else names.astype(object))
    return model


def _parameters(model: FittedMixture, name: str) -> dict[str, NDArray[Any]]:
    """The arrays of a model: those that it has where a fit has set them, else what they stand for."""
    try:
        params = model._params(drawn=True)
    except NotFittedError:
        raise
    except ValueError as error:
        raise ValueError(f"this {name} cannot be saved: {error}") from None
    values = (params.weights, params.means, params.covariances, params.precisions, params.prec_chol)
    dtype = np.result_type(np.float32, np.asarray(model.means_).dtype)
    if dtype not in (np.float32, np.float64):
        dtype = np.dtype(np.float64)
    arrays = {}
    for entry, value in zip(_ARRAYS, values, strict=True):
        own = np.asarray(getattr(model, entry, value))
        kept = own.dtype == dtype and own.shape == value.shape
        kept &= entry != "precisions_cholesky_" or np.array_equal(own, value)
        arrays[entry] = own if kept else value.astype(dtype)
    return arrays


def _of_averages(averages: Averages, layout: Layout) -> dict[str, NDArray[Any]]:
    assert averages.stats is not None
    if averages.stats.layout is not layout:  # of the same shape: diag and tied where k = d
        raise ValueError(
            f"the averages of partial_fit are of covariance_type={averages.stats.layout.name!r}, which was changed since, so the "
            "model cannot be saved: set it back, or fit it again"
        )
    parts: dict[str, Any] = {part: np.asarray(getattr(averages.stats, part), np.float64) for part in _STATS}
    counted = {**vars(averages), "n_samples": averages.stats.n_samples}
    parts |= {part: np.asarray(counted[part], dtype) for part, dtype in _COUNTED.items()}
    return {f"averages.{part}": array for part, array in parts.items()}


def _averages(entries: dict[str, NDArray[Any]], layout: Layout) -> Averages:
    counts, sums, scatter, origin, n_samples, n_steps, weight, ready = (entries[entry] for entry in _AVERAGES)
    # the likelihood of the batches is part of no M-step
    stats = Stats(layout, int(n_samples), math.nan, counts, sums, scatter, origin)
    return Averages(stats, int(n_steps), float(weight), bool(ready))


def _averages_problem(params: dict[str, Any], entries: dict[str, NDArray[Any]]) -> str | None:
    """Say what keeps entries, which are a mixture, from holding its averages, or return None."""
    if absent := [entry for entry in _AVERAGES if entry not in entries]:
        return None if len(absent) == len(_AVERAGES) else f"it lacks {', '.join(map(repr, absent))}"
    k, d = entries["means_"].shape
    shapes = [(k,), (k, d), STRUCTURES[params["covariance_type"]].layout.shape(k, d), (k, d)]
    dtypes = [np.dtype(np.float64)] * len(_STATS) + [np.dtype(dtype) for dtype in _COUNTED.values()]
    for entry, shape, dtype in zip(_AVERAGES, [*shapes, *[()] * len(_COUNTED)], dtypes, strict=True):
        array = entries[entry]
        if array.shape != shape or array.dtype != dtype:
            return f"{entry} has dtype {array.dtype} and shape {array.shape}; it must be {dtype} {shape}"
        if not np.isfinite(array).all():
            return f"{entry} holds values that are not finite"
    counts, n_samples, n_steps, weight = (
        entries[f"averages.{part}"] for part in ("counts", "n_samples", "n_steps", "weight")
    )
    if counts.min() < 0 or not counts.sum() > 0 or n_samples < 0 or n_steps < 1 or weight <= 0:
        return (
            f"its averages are of {n_samples} samples in {n_steps} batches of weight {weight}, with counts from "
            f"{counts.min()} on"
        )
    return None


def _split_params(params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the parameters that go into the header, and those that become entries."""
    plain: dict[str, Any] = {}
    arrays: dict[str, NDArray[Any]] = {}
    for name, value in params.items():
        if isinstance(value, np.generic):
            value = value.item()
        if name in _ARRAY_PARAMS and not (name == "init_params" and isinstance(value, str)):
            if value is None:
                continue
            arrays[f"param.{name}"] = np.asarray(value)
            if arrays[f"param.{name}"].dtype.kind not in "fiu":
                raise TypeError(
                    f"the parameter {name} is no array of real numbers, so it cannot be saved; set it to one, or to None"
                )
        elif name == "random_state" and not isinstance(value, int):
            plain[name] = None
        elif isinstance(value, _JSON):
            plain[name] = value
        else:
            raise TypeError(
                f"the parameter {name} is a {type(value).__name__}, which cannot be saved; set it to a number, a string or None"
            )
    return plain, arrays


def _plain_params(header: dict[str, Any]) -> dict[str, Any]:
    params = header.get("params")
    if not isinstance(params, dict) or not all(isinstance(value, _JSON) for value in params.values()):
        raise ValueError("its header holds no usable parameters; save the model again")
    return params


def _classes() -> dict[str, type[GaussianMixture]]:
    # imported here: the estimators import this module for their method save
    from fastgmm.estimators.gaussian_mixture import GaussianMixture

    return {cls.__name__: cls for cls in (GaussianMixture,)}


def _model_class(header: dict[str, Any]) -> type[GaussianMixture]:
    name = header.get("class")
    if not isinstance(name, str) or name not in _classes():
        raise ValueError(
            f"it holds a model of class {name!r}; this version of fastgmm knows {', '.join(_classes())}, upgrade it"
        )
    return _classes()[name]


def _surplus(model_class: type[GaussianMixture], params: dict[str, Any], entries: dict[str, Any]) -> str | None:
    """Name what the format has no place for, or return None."""
    known = set(model_class().get_params(deep=False)).difference(_ARRAY_PARAMS)
    if "param.init_params" not in entries:  # which is a string or an array
        known.add("init_params")
    if unknown := sorted(set(params) - known):
        return f"its header holds unknown parameters: {', '.join(map(repr, unknown))}"
    allowed = {*_ENTRIES, *_AVERAGES, "feature_names_in_", "left_out", "left_out_of"}
    allowed |= {f"param.{name}" for name in _ARRAY_PARAMS}
    if unknown := sorted(set(entries) - allowed):
        return f"it holds unknown entries: {', '.join(map(repr, unknown))}"
    for entry, array in entries.items():
        if entry.startswith("param.") and array.dtype.kind not in "fiu":
            return f"{entry} holds {array.dtype}, not real numbers"
    return None


def _inconsistency(params: dict[str, Any], entries: dict[str, NDArray[Any]]) -> str | None:
    """Say what keeps the entries from being one fitted model, or return None."""
    missing = [entry for entry in _ENTRIES if entry not in entries]
    if missing:
        return f"it lacks {', '.join(map(repr, missing))}"
    for entry, dtype in _DTYPES.items():
        array = entries[entry]
        if array.dtype != dtype or array.ndim != (entry == "lower_bounds_"):
            return f"{entry} has dtype {array.dtype} and shape {array.shape}, not one {dtype}"
    if problem := archive.mixture_problem(params.get("covariance_type"), entries, _ARRAYS):
        return problem
    d = entries["means_"].shape[1]
    if entries["n_features_in_"] != d:
        return f"n_features_in_ is {entries['n_features_in_']}, but means_ has {d} columns"
    if problem := _averages_problem(params, entries):
        return problem
    names = entries.get("feature_names_in_")
    if names is not None and (names.dtype.kind != "U" or names.shape != (d,)):
        return f"feature_names_in_ has dtype {names.dtype} and shape {names.shape}; it must be {d} strings"
    return _left_out_problem(entries, d)


def _left_out_problem(entries: dict[str, NDArray[Any]], d: int) -> str | None:
    """Say what keeps entries from being features that a model of `d` others was chosen without, or return None."""
    indices, names = entries.get("left_out"), entries.get("left_out_of")
    if indices is None:
        return None if names is None else "it holds left_out_of without left_out"
    n = d + indices.size
    ascending = indices.ndim == 1 and indices.dtype == np.int64 and (np.diff(indices) > 0).all()
    if not ascending or not indices.size or indices[0] < 0 or indices[-1] >= n:
        return f"left_out is {indices.tolist()}; it must be ascending indices of features, of which there are {n}"
    if names is not None and (names.dtype.kind != "U" or names.shape != (n,)):
        return f"left_out_of has dtype {names.dtype} and shape {names.shape}; it must be {n} strings"
    return None

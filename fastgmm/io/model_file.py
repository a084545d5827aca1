"""Files of fitted models: their entries, the checks of these, and messages about invalid ones.

A file is a ``.npz`` archive (uncompressed) without pickled objects: reading it runs nothing, and ``numpy.load``
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
``n_passes_``             int64, 0-d                    absent in version 1, where it equals ``n_iter_``
``lower_bound_``          float64, 0-d
``lower_bounds_``         float64 (n,)
``n_features_in_``        int64, 0-d                    d
``feature_names_in_``     string (d,)                   only if the model has names
``left_out``              int64 (c,)                    only if `select` left constant features out: their indices in its X
``left_out_of``           string (d + c,)               only with ``left_out``, if X had names: those of all its columns
``component_labels_``     int64 (k,)                    only if fitted with labels
``n_resets_``             int64, 0-d                    only if fitted with ``on_collapse='reset'``
``prior.mean``            float64 (d,)                  these four: only if fitted with a prior (`NormalInverseWishart`)
``prior.shrinkage``       float64, 0-d
``prior.dof``             float64, 0-d
``prior.scale``           float64 (d, d)
``weight_concentration_`` (k,) or (2, k)                these eight: posterior and prior, only of a
``mean_precision_``       (k,)                          `BayesianGaussianMixture`
``degrees_of_freedom_``   (k,), 0-d for tied
``weight_concentration_prior_``, ``mean_precision_prior_``, ``degrees_of_freedom_prior_``: 0-d
``mean_prior_``           (d,)
``covariance_prior_``     by covariance type            of one component
``noise.weight``          float64, 0-d                  these four: only if the mixture has noise (`model.noise`)
``noise.axes``            float64 (d, d)
``noise.low``             float64 (d,)
``noise.high``            float64 (d,)
``averages.noise``        float64, 0-d                  only after `partial_fit` with noise
``param.means_init``      real                          only if given; likewise the other array parameters, and
                                                        ``init_params`` if it is not a string
``averages.counts``       float64 (k,)                  these eight: only after `partial_fit`, the running averages
``averages.sums``         float64 (k, d)                of the statistics that it resumes from (`fastgmm.em.online`),
``averages.scatter``      float64, by covariance type   about ``averages.origin`` and per unit of weight
``averages.origin``       float64 (k, d)
``averages.n_samples``    int64, 0-d                    samples in them
``averages.n_steps``      int64, 0-d                    batches
``averages.weight``       float64, 0-d                  of all batches
``averages.ready``        bool, 0-d                     whether there were enough samples for an M-step
========================  ============================  =======================================================

The header holds ``format`` ("fastgmm-model"), ``format_version`` (2), ``class``, ``fastgmm_version`` and ``params``:
the constructor's parameters that are not arrays. A ``prior`` that is not a string is an object with its hyper-parameters,
numbers or lists, null if they were not given. The same model gives the same bytes.

The file of an estimator that is made of mixtures, such as `GaussianMixtureRegressor`, has their headers as ``parts`` and their
entries under ``0.``, ``1.``, ...; its fitted attributes are under ``own.``, its parameters that are arrays under ``param.``.

Version 1 had no averages. If a model from such a file may have been in a stream, because it did not converge, `partial_fit`
warns when it resumes from it. If the model is saved again before, ``averages_lost`` (true) in the header preserves that.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm.io import archive
from fastgmm.model.priors import NormalInverseWishart
from fastgmm.model.structures import STRUCTURES

_KIND = archive.Kind(
    "fastgmm-model",
    2,
    what="a fastgmm model",
    written_by="a file that model.save(path) or fastgmm fit --output wrote",
    remedy="save the model again",
)
#: Entries of the mixture itself.
PARAMETERS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
_ENTRIES = (*PARAMETERS, "converged_", "n_iter_", "n_passes_", "lower_bound_", "lower_bounds_", "n_features_in_")
DTYPES = {"converged_": "bool", "n_iter_": "int64", "lower_bound_": "float64", "lower_bounds_": "float64"}
DTYPES |= {"n_features_in_": "int64", "n_passes_": "int64"}
_ARRAY_PARAMS = (
    "weights_init",
    "means_init",
    "precisions_init",
    "init_params",
    "noise",
    "mean_prior",
    "covariance_prior",
    "priors",
)
#: Those of them that may also be of another type.
_MAY_BE_PLAIN: dict[str, Any] = {"init_params": str, "noise": bool, "covariance_prior": (int, float)}
#: Posterior and prior of a variational fit.
POSTERIOR: tuple[str, ...] = ("weight_concentration_", "mean_precision_", "degrees_of_freedom_")
POSTERIOR += ("weight_concentration_prior_", "mean_precision_prior_", "degrees_of_freedom_prior_")
POSTERIOR += ("mean_prior_", "covariance_prior_")
#: Averages of `partial_fit`: entries of dtype float64, and the others.
STATS = ("counts", "sums", "scatter", "origin")
COUNTED = {"n_samples": "int64", "n_steps": "int64", "weight": "float64", "ready": "bool"}
_AVERAGES = tuple(f"averages.{part}" for part in (*STATS, *COUNTED))
#: Hyper-parameters of the prior of a fit.
PRIOR = ("mean", "shrinkage", "dof", "scale")
_PRIOR = tuple(f"prior.{part}" for part in PRIOR)
_NOISE = (*(f"noise.{part}" for part in archive.NOISE), "averages.noise")
_JSON = (bool, int, float, str, type(None))
#: Parameters that may be a list, of what is chosen from.
_MAY_BE_SEVERAL = ("n_components", "covariance_type")


class Contents(NamedTuple):
    """Contents of a file.

    class_name : of the estimator
    params : its constructor's parameters, including arrays
    entries : arrays by their names in the file
    version : of the format
    averages_lost : whether the averages of a stream were lost before it was saved
    """

    class_name: str
    params: dict[str, Any]
    entries: dict[str, NDArray[Any]]
    version: int = _KIND.version
    averages_lost: bool = False

    @property
    def averages(self) -> dict[str, NDArray[Any]] | None:
        """Return the averages of `partial_fit` by their names without the prefix, None if there are none."""
        if _AVERAGES[0] not in self.entries:
            return None
        return {entry.partition(".")[2]: self.entries[entry] for entry in _AVERAGES}


def write(path: str | os.PathLike[str], contents: Contents) -> None:
    """Write a file completely or not at all; raise ValueError or TypeError if `read` would refuse it, or OSError."""
    archive.write(path, _KIND, *_packed(contents))


def _packed(contents: Contents) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the header and the entries; raise ValueError or TypeError if `_unpacked` would refuse them."""
    params, arrays = _split_params(contents.params)
    if problem := _inconsistency(params, contents.entries):
        raise ValueError(problem)
    header: dict[str, Any] = {"class": contents.class_name, "params": params}
    if contents.averages_lost:
        header["averages_lost"] = True
    return header, contents.entries | arrays


def _unpacked(
    header: dict[str, Any],
    entries: dict[str, NDArray[Any]],
    known: Mapping[str, Collection[str]],
    others: Collection[str] = (),
) -> Contents:
    """Return the contents of a header and entries; ValueError if they are not one fitted model."""
    params = _plain_params(header)
    name = _class_name(header, known, others)
    version = header.get("format_version", _KIND.version)
    if version == 1 and "n_iter_" in entries:
        entries.setdefault("n_passes_", entries["n_iter_"])
    problem = _inconsistency(params, entries) or _surplus(known[name], params, entries)
    if problem:
        raise ValueError(f"{problem}; the file is damaged or was changed, save the model again")
    for entry in [entry for entry in entries if entry.startswith("param.")]:
        params[entry.removeprefix("param.")] = entries.pop(entry)
    return Contents(name, params, entries, version, header.get("averages_lost") is True)


class Composed(NamedTuple):
    """Contents of the file of an estimator that is made of mixtures.

    class_name, params : of the estimator, as in `Contents`
    parts : the mixtures; arrays : fitted attributes that are not mixtures
    """

    class_name: str
    params: dict[str, Any]
    parts: list[Contents]
    arrays: dict[str, NDArray[Any]]


def write_composed(path: str | os.PathLike[str], contents: Composed) -> None:
    """Write the file of an estimator that is made of mixtures: of these under ``0.``, ``1.``, ...; errors as of `write`."""
    params, arrays = _split_params(contents.params)
    entries = arrays | {f"own.{name}": array for name, array in contents.arrays.items()}
    parts = []
    for i, part in enumerate(contents.parts):
        header, of_part = _packed(part)
        parts.append(header)
        entries |= {f"{i}.{name}": array for name, array in of_part.items()}
    archive.write(path, _KIND, {"class": contents.class_name, "params": params, "parts": parts}, entries)


def read(
    path: str | os.PathLike[str], known: Mapping[str, Collection[str]], composed: Mapping[str, Collection[str]]
) -> Contents | Composed:
    """Read a file of one of the classes `known`, {name: parameters}, or of one of `composed`, which are made of these.

    Nothing in it is executed, whoever wrote it. Raises ValueError if it is not such a file, and OSError.
    """
    header, entries = archive.read(path, _KIND)
    try:
        if header.get("class") not in list(composed):
            return _unpacked(header, entries, known, composed)
        return _composed(header, entries, known, composed)
    except ValueError as error:
        raise archive.refusal(path, _KIND, error) from None


def _composed(
    header: dict[str, Any],
    entries: dict[str, NDArray[Any]],
    known: Mapping[str, Collection[str]],
    composed: Mapping[str, Collection[str]],
) -> Composed:
    name, params, headers = header["class"], _plain_params(header), header.get("parts")
    if not isinstance(headers, list) or not headers or not all(isinstance(one, dict) for one in headers):
        raise ValueError("its header holds no parts; the file is damaged or was changed, save the model again")
    groups: dict[str, dict[str, NDArray[Any]]] = {}
    for entry, array in entries.items():
        group, _, rest = entry.partition(".")
        groups.setdefault(group, {})[rest] = array
    arrays, given = groups.pop("own", {}), groups.pop("param", {})
    if set(groups) != {str(i) for i in range(len(headers))}:
        raise ValueError(f"it has {len(headers)} parts, but entries of {sorted(groups)}; save the model again")
    if unknown := sorted(({*params} | {*given}) - set(composed[name]) | ({*given} - set(_ARRAY_PARAMS))):
        raise ValueError(f"it holds unknown parameters: {', '.join(map(repr, unknown))}; save the model again")
    parts = [_unpacked(one, groups[str(i)], known) for i, one in enumerate(headers)]
    return Composed(name, params | given, parts, arrays)


def of_averages(averages: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return the entries for averages given by their names without the prefix."""
    dtypes = dict.fromkeys(STATS, "float64") | COUNTED
    return {f"averages.{part}": np.asarray(averages[part], dtype) for part, dtype in dtypes.items()}


def _class_name(header: dict[str, Any], known: Mapping[str, Collection[str]], others: Collection[str]) -> str:
    name = header.get("class")
    if not isinstance(name, str) or name not in known:
        raise ValueError(
            f"it holds a model of class {name!r}; this version of fastgmm knows {', '.join([*known, *others])}, upgrade "
            "it"
        )
    return name


def _averages_problem(params: dict[str, Any], entries: dict[str, NDArray[Any]]) -> str | None:
    """Return the problem that keeps the entries of a mixture from holding its averages, or None."""
    if absent := [entry for entry in _AVERAGES if entry not in entries]:
        return None if len(absent) == len(_AVERAGES) else f"it lacks {', '.join(map(repr, absent))}"
    k, d = entries["means_"].shape
    shapes = [(k,), (k, d), STRUCTURES[params["covariance_type"]].layout.shape(k, d), (k, d)]
    dtypes = [np.dtype(np.float64)] * len(STATS) + [np.dtype(dtype) for dtype in COUNTED.values()]
    for entry, shape, dtype in zip(_AVERAGES, [*shapes, *[()] * len(COUNTED)], dtypes, strict=True):
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
        if name in _ARRAY_PARAMS and not isinstance(value, _MAY_BE_PLAIN.get(name, ())):
            if value is None:
                continue
            arrays[f"param.{name}"] = np.asarray(value)
            if arrays[f"param.{name}"].dtype.kind not in ("b" if name == "noise" else "fiu"):
                raise TypeError(
                    f"the parameter {name} is not an array of real numbers, so it cannot be saved; set it to one, or to None"
                )
        elif name == "random_state" and not isinstance(value, int):
            plain[name] = None
        elif isinstance(value, _JSON):
            plain[name] = value
        elif name == "fixed" and isinstance(value, Mapping):
            plain[name] = {str(part): np.asarray(which).tolist() for part, which in value.items()}
        elif name in _MAY_BE_SEVERAL and isinstance(value, (list, tuple, range)):
            plain[name] = list(value)
        elif isinstance(value, NormalInverseWishart):
            plain[name] = {part: None if own is None else np.asarray(own).tolist() for part, own in vars(value).items()}
        else:
            raise TypeError(
                f"the parameter {name} is a {type(value).__name__}, which cannot be saved; set it to a number, a string or None"
            )
    return plain, arrays


def _plain_params(header: dict[str, Any]) -> dict[str, Any]:
    params = header.get("params")
    if isinstance(params, dict) and isinstance(given := params.get("prior"), dict) and set(given) == set(PRIOR):
        params = params | {"prior": None}
    else:
        given = None
    if not isinstance(params, dict) or not all(_is_plain(name, value) for name, value in params.items()):
        raise ValueError("its header holds no usable parameters; save the model again")
    return params if given is None else params | {"prior": NormalInverseWishart(**given)}


def _is_plain_fixed(value: Any) -> bool:
    """Return whether a value is `fixed` as `_split_params` writes it: of names, and booleans or lists of numbers."""
    return isinstance(value, dict) and all(
        isinstance(which, bool) or (isinstance(which, list) and all(isinstance(i, int) for i in which))
        for which in value.values()
    )


def _is_plain(name: str, value: Any) -> bool:
    if name == "fixed" and _is_plain_fixed(value):
        return True
    several = name in _MAY_BE_SEVERAL and isinstance(value, list)
    return all(isinstance(one, _JSON) for one in value) if several else isinstance(value, _JSON)


def _surplus(accepted: Collection[str], params: dict[str, Any], entries: dict[str, Any]) -> str | None:
    """Return the problem with contents that the format has no place for, or None."""
    known = set(accepted).difference(_ARRAY_PARAMS)
    known |= {name for name in _MAY_BE_PLAIN if f"param.{name}" not in entries} & set(accepted)
    if unknown := sorted(set(params) - known):
        return f"its header holds unknown parameters: {', '.join(map(repr, unknown))}"
    allowed = {*_ENTRIES, *_AVERAGES, "component_labels_", "feature_names_in_", "left_out", "left_out_of"}
    allowed |= {*POSTERIOR} if is_variational(params) else {*_PRIOR, *_NOISE, "n_resets_"}
    allowed |= {f"param.{name}" for name in _ARRAY_PARAMS}
    if unknown := sorted(set(entries) - allowed):
        return f"it holds unknown entries: {', '.join(map(repr, unknown))}"
    for entry, array in entries.items():
        if entry.startswith("param.") and array.dtype.kind not in ("b" if entry == "param.noise" else "fiu"):
            return f"{entry} holds {array.dtype}, not real numbers"
    return None


def _inconsistency(params: dict[str, Any], entries: dict[str, NDArray[Any]]) -> str | None:
    """Return the problem that keeps the entries from being one fitted model, or None."""
    missing = [entry for entry in _ENTRIES if entry not in entries]
    if missing:
        return f"it lacks {', '.join(map(repr, missing))}"
    for entry, dtype in DTYPES.items():
        array = entries[entry]
        if array.dtype != dtype or array.ndim != (entry == "lower_bounds_"):
            return f"{entry} has dtype {array.dtype} and shape {array.shape}, not one {dtype}"
    if problem := archive.mixture_problem(params.get("covariance_type"), entries, PARAMETERS):
        return problem
    try:
        archive.noise_in(entries, entries["means_"].shape[1])
    except ValueError as error:
        return str(error)
    resets = entries.get("n_resets_", np.zeros((), np.int64))
    if resets.dtype != np.int64 or resets.ndim or resets < 0:
        return f"n_resets_ has dtype {resets.dtype} and shape {resets.shape}, or is negative, not one int64"
    k, d = entries["means_"].shape
    owners = entries.get("component_labels_", np.zeros(k, np.int64))
    if owners.dtype != np.int64 or owners.shape != (k,):
        return f"component_labels_ has dtype {owners.dtype} and shape {owners.shape}, not int64 and ({k},)"
    if entries["n_features_in_"] != d:
        return f"n_features_in_ is {entries['n_features_in_']}, but means_ has {d} columns"
    if is_variational(params) and (problem := _posterior_problem(params, entries)):
        return problem
    if problem := _averages_problem(params, entries) or _prior_problem(params, entries, d):
        return problem
    names = entries.get("feature_names_in_")
    if names is not None and (names.dtype.kind != "U" or names.shape != (d,)):
        return f"feature_names_in_ has dtype {names.dtype} and shape {names.shape}; it must be {d} strings"
    return _left_out_problem(entries, d)


def is_variational(params: Mapping[str, Any]) -> bool:
    """Return whether parameters are those of a variational estimator, whose files hold a posterior."""
    return "weight_concentration_prior_type" in params


def _posterior_problem(params: dict[str, Any], entries: dict[str, NDArray[Any]]) -> str | None:
    """Return the problem that keeps the entries of a mixture from holding its posterior and prior, or None."""
    if absent := [entry for entry in POSTERIOR if entry not in entries]:
        return f"it lacks {', '.join(map(repr, absent))}"
    k, d = entries["means_"].shape
    layout = STRUCTURES[params["covariance_type"]].layout
    process = params["weight_concentration_prior_type"] == "dirichlet_process"
    own = layout.shape(1, d)
    shapes = ((2, k) if process else (k,), (k,), () if layout.pools else (k,), (), (), (), (d,))
    for entry, shape in zip(POSTERIOR, (*shapes, own if layout.pools else own[1:]), strict=True):
        array = entries[entry]
        if array.shape != shape or array.dtype not in (np.float32, np.float64):
            return f"{entry} has dtype {array.dtype} and shape {array.shape}; it must be real numbers of shape {shape}"
        positive = entry not in ("mean_prior_", "covariance_prior_")
        if not np.isfinite(array).all() or (positive and not (array > 0).all()):
            return f"{entry} holds values that are not finite{' and positive' if positive else ''}"
    return None


def _prior_problem(params: dict[str, Any], entries: dict[str, NDArray[Any]], d: int) -> str | None:
    """Return the problem that keeps the entries from being the prior of a fit of `d` features, or None."""
    found = [entry for entry in _PRIOR if entry in entries]
    of = [NormalInverseWishart.of_arrays(entries[entry] for entry in _PRIOR)] if len(found) == len(_PRIOR) else []
    if found and not of:
        return f"it holds {', '.join(map(repr, found))}, but not all of {', '.join(map(repr, _PRIOR))}"
    if isinstance(given := params.get("prior"), NormalInverseWishart):
        of.append(given)
    for prior in of:
        try:
            prior.checked(d)
        except (ValueError, TypeError) as error:
            return f"it holds a prior that is none: {error}"
    return None


def _left_out_problem(entries: dict[str, NDArray[Any]], d: int) -> str | None:
    """Return the problem that keeps the entries from being features left out of a model of `d` others, or None."""
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

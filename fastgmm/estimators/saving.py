"""Save a fitted model to a file; `fastgmm.io.model_file` describes the format."""

from __future__ import annotations

import math
import os
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastgmm._errors import NotFittedError, like_sklearn, listed
from fastgmm.em.online import Averages
from fastgmm.estimators import attributes
from fastgmm.io import model_file
from fastgmm.io.archive import of_noise
from fastgmm.model.layouts import Layout
from fastgmm.model.structures import STRUCTURES

#: Outcome to record if parameters were assigned, as by `GaussianMixture.from_parameters`.
_UNFITTED = {"converged_": True, "n_iter_": 0, "n_passes_": 0, "lower_bound_": -math.inf, "lower_bounds_": []}

#: Estimators that can be saved, by name: `save` refuses all others, and `load` returns one of them.
SAVED: dict[str, type[Any]] = {}

#: The same for estimators made of fitted mixtures.
COMPOSITES: dict[str, type[Any]] = {}

_Class = TypeVar("_Class", bound=type[Any])


def saveable(cls: _Class) -> _Class:
    """Register an estimator that can be saved; its subclasses cannot, since `load` would not find them."""
    SAVED[cls.__name__] = cls
    return cls


def composite(cls: _Class) -> _Class:
    """Register an estimator made of mixtures (`estimators.composite`) that can be saved."""
    COMPOSITES[cls.__name__] = cls
    return cls


def save(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted model to a file that `load` reads back to the bit.

    The file is written completely or not at all: a failure leaves an existing file unchanged.

    Parameters
    ----------
    model : GaussianMixture
        A fitted model. A `random_state` that is a generator is saved as None: its state is not part of the fit.
        The averages of `partial_fit` are saved, so that a stream resumes exactly where it stopped. If parameters were
        assigned, missing ones are computed from the others; ``precisions_cholesky_`` is saved as the upper triangular
        factor.
    path : str or path-like
        File to write. The name is used as given, without adding an extension; an existing file is replaced.

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
    contents = contents_of(model)
    try:
        model_file.write(path, contents)
    except ValueError as problem:
        raise _unsaveable(contents.class_name, problem) from None


def save_composite(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator that is made of mixtures, as `save` does a single one."""
    name = type(model).__name__
    if COMPOSITES.get(name) is not type(model):
        raise TypeError(
            f"a {name} cannot be saved, only {listed(list(COMPOSITES))}; copy the fitted attributes into one"
        )
    model._check_is_fitted()
    parts = [contents_of(part) for part in model._parts()]
    try:
        model_file.write_composed(
            path, model_file.Composed(name, model.get_params(deep=False), parts, model._own_arrays())
        )
    except ValueError as problem:
        raise _unsaveable(name, problem) from None


def _unsaveable(name: str, problem: ValueError) -> ValueError:
    return ValueError(
        f"this {name} cannot be saved: {problem}; fit it again before saving, or build it with from_parameters"
    )


def contents_of(model: Any) -> model_file.Contents:
    """Return the contents of the file of a fitted mixture; raise the errors of `save`."""
    name = type(model).__name__
    if SAVED.get(name) is not type(model):
        raise TypeError(f"a {name} cannot be saved, only {listed(list(SAVED))}; copy the fitted attributes into one")
    if not attributes.assigned(model):
        raise like_sklearn(NotFittedError)(f"this {name} is not fitted, so there is nothing to save; call fit first")
    model._check_is_fitted()
    entries = _parameters(model, name)
    unfitted = {**_UNFITTED, "n_features_in_": entries["means_"].shape[1]}
    for entry, dtype in model_file.DTYPES.items():
        entries[entry] = np.asarray(getattr(model, entry, unfitted[entry]), dtype=dtype)
    if model_file.is_variational(model.get_params(deep=False)):
        entries |= _posterior(model, name)
    averages = getattr(model, "_averages", None)
    if averages is not None:
        entries |= _of_averages(averages, STRUCTURES[model.covariance_type].layout)
    if hasattr(model, "component_labels_"):
        entries["component_labels_"] = np.asarray(model.component_labels_, np.int64)
    if hasattr(model, "n_resets_"):
        entries["n_resets_"] = np.asarray(model.n_resets_, np.int64)
    if hasattr(model, "noise_"):
        entries |= of_noise(model.noise_)
    if hasattr(model, "prior_"):
        entries |= {f"prior.{part}": np.asarray(getattr(model.prior_, part), np.float64) for part in model_file.PRIOR}
    if hasattr(model, "feature_names_in_"):
        entries["feature_names_in_"] = np.asarray(model.feature_names_in_, dtype=np.str_)
    if model._left_out is not None:
        entries["left_out"] = np.asarray(model._left_out.indices, np.int64)
        if model._left_out.names is not None:
            entries["left_out_of"] = np.asarray(model._left_out.names, dtype=np.str_)
    lost = getattr(model, "_averages_lost", False)
    return model_file.Contents(name, model.get_params(deep=False), entries, averages_lost=lost)


def _parameters(model: Any, name: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a model: those set by a fit, else those computed from assigned ones."""
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
    for entry, value in zip(model_file.PARAMETERS, values, strict=True):
        own = np.asarray(getattr(model, entry, value))
        kept = own.dtype == dtype and own.shape == value.shape
        kept &= entry != "precisions_cholesky_" or np.array_equal(own, value)
        arrays[entry] = own if kept else value.astype(dtype)
    return arrays


def _posterior(model: Any, name: str) -> dict[str, NDArray[Any]]:
    """Return the posterior of a variational fit, and its prior."""
    if absent := [entry for entry in model_file.POSTERIOR if not hasattr(model, entry)]:
        raise ValueError(
            f"this {name} cannot be saved: it has no {', '.join(absent)}, as a fit sets them; fit it again"
        )
    return {entry: np.asarray(getattr(model, entry)) for entry in model_file.POSTERIOR}


def _of_averages(averages: Averages, layout: Layout) -> dict[str, NDArray[Any]]:
    assert averages.stats is not None
    if averages.stats.layout is not layout:  # the shapes may agree: those of diag and tied do if k = d
        raise ValueError(
            f"the averages of partial_fit are of covariance_type={averages.stats.layout.name!r}, which was changed since, so the "
            "model cannot be saved: set it back, or fit it again"
        )
    stats = {part: getattr(averages.stats, part) for part in model_file.STATS}
    entries = model_file.of_averages({**vars(averages), **stats, "n_samples": averages.stats.n_samples})
    return entries if not averages.stats.noise else entries | {"averages.noise": np.asarray(averages.stats.noise)}

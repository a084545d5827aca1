"""Mixtures derived from a fitted one: marginal and conditional mixtures of some of its features."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastgmm import _validation
from fastgmm.data.source import ArraySource
from fastgmm.em import evaluate
from fastgmm.em.result import FitResult
from fastgmm.model import conditional
from fastgmm.model.params import Params

if TYPE_CHECKING:
    from fastgmm.estimators.gaussian_mixture import GaussianMixture
    from fastgmm.estimators.mixture import FittedMixture

Indices = NDArray[np.intp]


def marginal(model: FittedMixture, features: Any) -> GaussianMixture:
    """Return the mixture of some features: `FittedMixture.marginal`."""
    model._check_is_fitted()
    chosen = feature_indices(model, features)
    return _model(model, conditional.marginal(_plain(model), chosen), chosen)


def condition(model: FittedMixture, features: Any, values: Any) -> GaussianMixture | list[GaussianMixture]:
    """Return the mixtures of the other features given some: `FittedMixture.condition`."""
    model._check_is_fitted()
    given = feature_indices(model, features)
    params = _plain(model)
    others = np.setdiff1d(np.arange(params.means.shape[1]), given)
    if not len(others):
        raise ValueError(
            f"condition leaves no feature, since all {len(given)} of the model are given: name fewer, or call score_samples for "
            "the density of samples"
        )
    points = _points(values, len(given))
    rule = conditional.conditional(params, given, others)
    weights = evaluate.responsibilities(ArraySource(np.atleast_2d(points)), rule.given, model.n_threads)
    if (nowhere := weights.sum(axis=1) == 0).any():
        raise ValueError(
            f"values{[int(nowhere.argmax())] if points.ndim > 1 else ''} are so far from all components that their density is 0, "
            "so that no conditional mixture exists: pass values nearer to the data"
        )
    found = [_model(model, rule.at(x, w), others) for x, w in zip(np.atleast_2d(points), weights, strict=True)]
    return found if points.ndim > 1 else found[0]


def feature_indices(model: FittedMixture, features: Any, name: str = "features") -> Indices:
    """Return the indices of one or several different features, given by name or index."""
    d = len(model.means_[0])
    names = [str(one) for one in getattr(model, "feature_names_in_", ())]
    single = isinstance(features, (str, numbers.Integral))
    if not single and not isinstance(features, Iterable):
        raise TypeError(f"{name} must be an index or a name, or several of them, got {features!r}")
    chosen: list[int] = []
    for feature in [features] if single else list(features):
        if isinstance(feature, str):
            if not names:
                raise ValueError(
                    f"{name} has the name {feature!r}, but the model has no feature names: pass an index from 0 to {d - 1}, or "
                    "fit with a data frame"
                )
            chosen.append(names.index(_validation.check_choice("feature", feature, names)))
        elif _validation.check_integer("feature", feature, 0) < d:
            chosen.append(int(feature))
        else:
            raise ValueError(f"the model has {d} features, so a feature must be below {d}, got {feature}")
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"{name} must be one or more different features, got {features!r}")
    return np.array(chosen, dtype=np.intp)


def _points(values: Any, p: int) -> NDArray[np.float64]:
    """Return the checked values (p,) or (n, p) of p features as float64."""
    array = _validation.as_numbers(values, "values").astype(np.float64)
    if array.ndim == 0:
        array = array[None]
    if array.ndim > 2 or array.shape[-1] != p or array.size == 0:
        raise ValueError(
            f"values must have the shape ({p},), one for each of the given features, or (n, {p}) for a list of n mixtures, got "
            f"{np.shape(values)}"
        )
    return _validation.check_data(np.atleast_2d(array), name="values").reshape(array.shape)


def _plain(model: FittedMixture) -> Params:
    """Return the fitted weights, means and covariances; of a posterior the expected ones."""
    params = model._params(drawn=True)
    parts = (params.weights, params.means, params.covariances, params.prec_chol)
    return Params(params.layout, *parts, params.noise)


def plain_model(model: FittedMixture, params: Params) -> GaussianMixture:
    """Return a fitted model with other parameters, but the same features and structure."""
    return _model(model, params, np.arange(params.means.shape[1]))


def _model(model: FittedMixture, params: Params, features: Indices) -> GaussianMixture:
    """Return a fitted model with the given parameters for some of the features of another model."""
    # a subclass of FittedMixture, whose module imports this one
    from fastgmm.estimators.gaussian_mixture import GaussianMixture

    k, m = params.means.shape
    structure = model._structure()
    if m < len(model.means_[0]):
        structure = structure.of_parts
    found = GaussianMixture(
        k, covariance_type=structure.name, random_state=model.random_state, n_threads=model.n_threads
    )
    if params.noise is not None:
        found.noise = True
    names = getattr(model, "feature_names_in_", None)
    others = {} if names is None else {"feature_names_in_": np.asarray(names)[features]}
    dtype = np.dtype(np.float32 if np.asarray(model.means_).dtype == np.float32 else np.float64)
    found._set_fitted(FitResult(params, True, 0, -math.inf, [], 0), dtype, n_features_in_=m, **others)
    return found

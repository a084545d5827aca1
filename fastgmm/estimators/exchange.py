"""Conversion of models to and from scikit-learn's classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgmm._compat import optional
from fastgmm.estimators.base import Estimator

#: Names of starts that scikit-learn has too.
_THEIR_STARTS = ("kmeans", "k-means++", "random", "random_from_data")
#: Fitted attributes of scikit-learn's class that have the same name and meaning here.
_SHARED = (
    "weights_",
    "means_",
    "covariances_",
    "precisions_",
    "precisions_cholesky_",
    "converged_",
    "n_iter_",
    "lower_bound_",
    "lower_bounds_",
    "n_features_in_",
    "feature_names_in_",
    "weight_concentration_prior_",
    "weight_concentration_",
    "mean_precision_prior_",
    "mean_prior_",
    "mean_precision_",
    "degrees_of_freedom_prior_",
    "degrees_of_freedom_",
    "covariance_prior_",
)


def to_sklearn(model: Any, class_name: str) -> Any:
    """Return the model as an instance of a class of ``sklearn.mixture``; raise ValueError if that cannot represent it."""
    optional("sklearn", "to_sklearn")
    import sklearn.mixture

    if hasattr(model, "noise_"):
        raise ValueError(f"scikit-learn's {class_name} has no noise component: fit with noise=False for to_sklearn")
    cls = getattr(sklearn.mixture, class_name)
    layout = model._structure().layout
    own = model.get_params(deep=False)
    shared = {name: own[name] for name in cls().get_params() if name in own}
    shared["covariance_type"] = layout.name
    if not isinstance(shared["init_params"], str) or shared["init_params"] not in _THEIR_STARTS:
        shared["init_params"] = "kmeans"
    if isinstance(shared["random_state"], np.random.Generator):
        shared["random_state"] = None
    theirs = cls(**shared)
    for name in _SHARED:
        if hasattr(model, name):
            setattr(theirs, name, _copied(getattr(model, name)))
    return theirs


def from_sklearn(cls: type[Estimator], theirs: Any, class_name: str) -> Any:
    """Return a model of `cls` with the parameters of a fitted model of scikit-learn's class."""
    names = [base.__name__ for base in type(theirs).__mro__]
    if class_name not in names or not hasattr(theirs, "get_params"):
        raise TypeError(
            f"from_sklearn takes a fitted sklearn.mixture.{class_name}, got a {type(theirs).__name__}: use "
            "from_parameters for other parameters"
        )
    if not hasattr(theirs, "means_"):
        raise ValueError(f"this {class_name} is not fitted: fit it first, or make a {cls.__name__} of its parameters")
    known, own = theirs.get_params(deep=False), cls._parameter_names()
    model = cls(**{name: value for name, value in known.items() if name in own})
    for name in _SHARED:
        if hasattr(theirs, name):
            setattr(model, name, _copied(getattr(theirs, name)))
    values: Any = model
    values.n_passes_ = values.n_iter_
    # there, the bound of a variational fit with a tied covariance is an array
    values.lower_bound_ = float(np.mean(values.lower_bound_))
    # scikit-learn has this attribute from 1.7 on
    bounds = getattr(model, "lower_bounds_", [values.lower_bound_])
    values.lower_bounds_ = [float(np.mean(bound)) for bound in bounds]
    values._check_is_fitted()
    values._params(drawn=True)
    return model


def _copied(value: Any) -> Any:
    """Return a copy of an array, or of a tuple or list of arrays or numbers; other values as they are."""
    if isinstance(value, (tuple, list)):
        return type(value)(_copied(part) for part in value)
    return value.copy() if isinstance(value, np.ndarray) else value

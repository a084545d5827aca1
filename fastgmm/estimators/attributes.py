"""Parameters from fitted attributes, whether a fit has set them or users have assigned them.

scikit-learn computes densities from ``weights_``, ``means_`` and ``precisions_cholesky_``, and draws from ``weights_``,
``means_`` and ``covariances_``. Programs assign all or some of these without a fit. The same attributes are used here, and
missing ones are computed from the others.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm import _validation
from fastgmm._errors import NotFittedError, like_sklearn
from fastgmm.io.model_file import PARAMETERS
from fastgmm.kernels.cholesky import is_sound
from fastgmm.model.checks import check_covariances
from fastgmm.model.cholesky import NotPositiveDefinite
from fastgmm.model.layouts import LAYOUTS
from fastgmm.model.params import Params
from fastgmm.model.structures import STRUCTURES, Structure

#: Attributes that hold the covariances in some form; densities use the first that exists.
_FORMS = ("precisions_cholesky_", "precisions_", "covariances_")


def assigned(model: Any) -> list[str]:
    """Return the names of the parameters that a model has, fitted or assigned."""
    return [name for name in PARAMETERS if hasattr(model, name)]


def missing(model: Any, name: str) -> NotFittedError:
    """Return the error to raise for a model that has some of the parameters but lacks this one."""
    has = " and ".join(assigned(model))
    error: NotFittedError = like_sklearn(NotFittedError)(
        f"this {type(model).__name__} has {has}, but no {name}: without a fit a model needs weights_, means_ and "
        f"precisions_cholesky_ (or precisions_, or covariances_). Assign {name} too, or build the model with "
        "GaussianMixture.from_parameters(weights, means, covariances)"
    )
    return error


def n_features(model: Any) -> int:
    """Return the number of features of a model that has means; raise ValueError if ``n_features_in_`` differs."""
    shape = np.shape(model.means_)
    if len(shape) != 2 or 0 in shape:
        raise _unfit("means_", shape, "the shape (n_components, n_features)")
    d = shape[1]
    if getattr(model, "n_features_in_", d) != d:
        raise ValueError(
            f"n_features_in_ is {model.n_features_in_}, but means_ has the shape {shape}, (n_components, n_features): assign "
            "both, or build the model with from_parameters"
        )
    return d


def structure(model: Any) -> Structure:
    """Return the structure of the parameters; raise ValueError if `covariance_type` was changed since the fit."""
    found = STRUCTURES[_validation.check_choice("covariance_type", model.covariance_type, STRUCTURES)]
    form = next((name for name in _FORMS if hasattr(model, name)), None)
    if form is None:
        raise missing(model, _FORMS[0])
    d = n_features(model)
    _check_shape(model, form, found, len(model.means_), d)
    return found


def params(model: Any, *, drawn: bool = False) -> Params:
    """Return the parameters of a model that has means.

    Densities use ``precisions_cholesky_``, any square P with precision = P P^T; if it is missing, ``precisions_``; if these
    are missing too, ``covariances_``. Only with `drawn` must ``covariances_``, if they are there, be valid.

    Raises NotFittedError naming a missing parameter, and ValueError if shapes or values cannot be those of a mixture.
    """
    found = structure(model)
    means = np.asarray(model.means_, np.float64)
    k, d = means.shape
    if not hasattr(model, "weights_"):
        raise missing(model, "weights_")
    weights = np.asarray(model.weights_, np.float64)
    if weights.shape != (k,):
        raise _unfit("weights_", weights.shape, f"({k},), as means_ have {means.shape}, (n_components, n_features)")
    prec_chol = _given_factors(model, found, k, d)
    side = d if found.layout.correlates else 1
    if not is_sound(*map(np.ascontiguousarray, (weights, means, prec_chol.reshape(-1, side, side)))):
        _check_values(weights, means)
        prec_chol = _upper(prec_chol, found, k, d)
    covariances = _covariances(model, found, prec_chol, k, d, drawn)
    return Params(found.layout, weights, means, covariances, prec_chol, getattr(model, "noise_", None))


def _check_values(weights: NDArray[np.float64], means: NDArray[np.float64]) -> None:
    _validation.check_array("means_", means, means.shape, "(n_components, n_features)")
    odd = ~((weights >= 0.0) & (weights < math.inf))
    if odd.any():
        i = int(odd.argmax())
        raise ValueError(
            f"weights_ must be finite and not negative, got weights_[{i}] = {weights[i]}: assign others, or build the model "
            "with from_parameters"
        )


def _given_factors(model: Any, found: Structure, k: int, d: int) -> NDArray[np.float64]:
    """Return the assigned factors, or those of the assigned precisions or covariances."""
    if hasattr(model, "precisions_cholesky_"):
        return np.asarray(model.precisions_cholesky_, np.float64)
    layout, name = found.layout, "precisions_" if hasattr(model, "precisions_") else "covariances_"
    values = check_covariances(name, getattr(model, name), layout, k, d, found.name)
    return layout.cholesky_of_precisions(values) if name == "precisions_" else layout.precision_cholesky(values)


def _upper(factors: NDArray[np.float64], found: Structure, k: int, d: int) -> NDArray[np.float64]:
    """Return the upper triangular factors of the same precisions."""
    shape = found.layout.shape(k, d)
    try:
        return found.layout.upper_factor(_validation.check_array("precisions_cholesky_", factors, shape, "its shape"))
    except NotPositiveDefinite as error:
        which = "" if error.component is None else f"[{error.component}]"
        raise ValueError(
            f"precisions_cholesky_{which} is singular, so that it is not a factor P of a precision P P^T: assign another, or "
            "build the model with from_parameters"
        ) from None


def _covariances(
    model: Any, found: Structure, prec_chol: NDArray[np.float64], k: int, d: int, drawn: bool
) -> NDArray[np.float64]:
    if hasattr(model, "covariances_"):
        values = np.asarray(model.covariances_, np.float64)
        if drawn:
            _check_shape(model, "covariances_", found, k, d)
            if not (found.layout.variances(values, k, d) > 0.0).all() or not np.isfinite(values).all():
                raise ValueError("covariances_ must be finite and have positive variances: assign others, or fit again")
        if values.shape == prec_chol.shape:
            return values
    return found.layout.covariances(prec_chol)


def _check_shape(model: Any, name: str, found: Structure, k: int, d: int) -> None:
    expected, shape = found.layout.shape(k, d), np.shape(getattr(model, name))
    if shape == expected:
        return
    others = (layout.shape(k, d) for layout in LAYOUTS.values())
    if shape in others:
        raise ValueError(
            f"covariance_type={model.covariance_type!r} was set after the fit, whose {name} have the shape {shape} and not "
            f"{expected}: fit again, or set it back. A model without a fit is built with from_parameters"
        )
    raise _unfit(name, shape, f"{expected} for covariance_type={model.covariance_type!r} and {k} means of {d} features")


def _unfit(name: str, shape: tuple[int, ...], needed: str) -> ValueError:
    return ValueError(
        f"{name} was assigned the shape {shape}, but must have {needed}: assign attributes that fit each other, or build the "
        "model with from_parameters"
    )

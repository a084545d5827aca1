"""The argument `fixed`: which parameters a fit leaves as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm import _validation
from fastgmm.model.fixed import Fixed, Mask
from fastgmm.model.structures import Structure

#: The keys of `fixed`, and the argument that has the values of each.
VALUES = {"weights": "weights_init", "means": "means_init", "covariances": "precisions_init"}


def check_fixed(value: Any, k: int) -> dict[str, Mask]:
    """Return a mask (k,) for each key of `fixed` of which some component is; raise ValueError or TypeError if it cannot be used."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(
            "fixed must be a dictionary such as {'means': [0, 2], 'weights': True}, or None, got "
            f"{type(value).__name__}: name the parameters that are to stay as they are"
        )
    for name in value:
        _validation.check_choice("a key of fixed", name, VALUES)
    masks = {name: _mask(name, which, k) for name, which in value.items()}
    return {name: mask for name, mask in masks.items() if mask.any()}


def _mask(name: str, which: Any, k: int) -> NDArray[np.bool_]:
    """Return the components that are meant: all or none, a mask (k,), or indices."""
    if isinstance(which, (bool, np.bool_)):
        return np.full(k, bool(which))
    array = np.asarray(which)
    if array.ndim == 1 and array.dtype.kind == "b" and len(array) == k:
        return array.copy()
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(
            f"fixed[{name!r}] must be True, a list of components (integers) or a mask of the shape ({k},), got {which!r}"
        )
    mask = np.zeros(k, np.bool_)
    for i in array:
        if not 0 <= i < k:
            raise ValueError(f"fixed[{name!r}] names component {i}, but n_components={k}: they are 0 to {k - 1}")
        mask[i] = True
    return mask


def check_structure(masks: Mapping[str, Mask], structure: Structure) -> None:
    """Raise ValueError if some covariances are to be fixed, but not all, and they have a part in common with the others."""
    covariances = masks.get("covariances")
    if covariances is None or covariances.all() or (structure.basic and not structure.layout.pools):
        return
    raise ValueError(
        f"fixed['covariances'] names some of the components, and with covariance_type={structure.name!r} they share a part of "
        "their covariances: fix all of them (True) or none, or choose 'full', 'diag' or 'spherical'"
    )


def fixed_of(masks: Mapping[str, Mask], weights: Any, means: Any, d: int) -> Fixed | None:
    """Return what is fixed at given weights (k,) and means (k, d), None if nothing is."""
    if not masks:
        return None
    k = len(next(iter(masks.values())))
    none = np.zeros(k, np.bool_)
    values = np.zeros(k) if weights is None else np.asarray(weights, np.float64)
    centres = np.zeros((k, d)) if means is None else np.asarray(means, np.float64)
    of_weights, of_means, of_covariances = (masks.get(name, none) for name in VALUES)
    return Fixed(of_weights, of_means, of_covariances, values, centres)

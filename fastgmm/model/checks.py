"""Checks of the parameters that a user passes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import _validation
from fastgmm.model.layouts import Layout
from fastgmm.model.params import Params


def check_parameters(
    weights: ArrayLike, means: ArrayLike, covariances: ArrayLike, layout: Layout, covariance_type: str | None = None
) -> Params:
    """Return checked mixture parameters of a layout; ValueError naming what is wrong."""
    centres = np.array(_validation.check_data(means, name="means", axes="(n_components, n_features)"), dtype=np.float64)
    k, d = centres.shape
    _validation.check_magnitude(float(np.abs(centres).max()), d, centres.dtype, "means")
    values = check_covariances("covariances", covariances, layout, k, d, covariance_type)
    checked = _validation.check_weights("weights", weights, k)
    params = Params(layout, checked, centres, values, layout.precision_cholesky(values))
    with np.errstate(over="ignore", invalid="ignore"):
        invertible = np.isfinite(params.precisions).all()
    if not invertible:
        raise ValueError("covariances are so small that their inverses overflow: scale data and parameters")
    return params


def check_covariances(
    name: str, value: Any, layout: Layout, k: int, d: int, covariance_type: str | None = None
) -> NDArray[np.float64]:
    """Return covariances or precisions of a layout: right shape, symmetric, positive definite."""
    meaning = f"{layout.axes} for covariance_type={covariance_type or layout.name!r}"
    array = _validation.check_array(name, value, layout.shape(k, d), meaning)
    matrices = layout.unique_matrices(array)
    if matrices is None:
        if (array <= 0).any():
            where = [int(i) for i in np.argwhere(array <= 0)[0]]
            raise ValueError(f"{name} should be positive, got {name}{where} = {array[tuple(where)]}")
        return array
    turned = np.swapaxes(matrices, -1, -2)
    largest = np.abs(matrices).max(axis=(1, 2), keepdims=True)
    asymmetric = (np.abs(matrices - turned) > 1e-5 * np.abs(turned) + 1e-8 * largest).any(axis=(1, 2))
    if asymmetric.any():
        which = layout.entry(name, int(asymmetric.argmax()))
        raise ValueError(f"{which} should be symmetric, positive-definite; it is not symmetric")
    if not _have_factors(matrices):
        i = next(i for i, matrix in enumerate(matrices) if not _have_factors(matrix))
        smallest, greatest = np.linalg.eigvalsh(matrices[i])[[0, -1]]
        raise ValueError(
            f"{layout.entry(name, i)} should be symmetric, positive-definite; its smallest eigenvalue is {smallest:.5g}, its "
            f"largest {greatest:.5g}"
        )
    return array


def _have_factors(matrices: NDArray) -> bool:
    """Return whether both Cholesky factorisations, from the first feature on and from the last, exist.

    They do for features of very different scales too, even if rounding makes the smallest eigenvalue negative.
    """
    try:
        np.linalg.cholesky(matrices)
        np.linalg.cholesky(matrices[..., ::-1, ::-1])
    except np.linalg.LinAlgError:
        return False
    return True

"""Checks of `noise_covariance`, the known covariances of errors of measurement."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm import _validation
from fastgmm._limits import LIMITS

#: What rounding in float32 or in a few operations of float64 does to symmetric, positive semi-definite matrices of variances 1.
_ROUNDING = {4: 1e-5, 8: 1e-10}


def as_noise(value: Any, n: int | None, d: int) -> NDArray:
    """Return errors as an array (n, d) of variances or (n, d * d) of covariances; (1, ...) if all samples share them.

    value : (d,) or (d, d), shared; (n, d) or (n, d, d), of each sample. n is None if samples lie elsewhere: then they are shared.
    Raises ValueError or TypeError if the shape is none of these, or may be two of them.
    """
    if hasattr(value, "__dask_graph__"):
        raise TypeError(
            "noise_covariance cannot be a Dask collection: pass an array of errors that all samples share, of shape "
            f"({d},) or ({d}, {d}), or parts of X with their errors to partial_fit"
        )
    array = _validation.as_numbers(value, "noise_covariance")
    shape = array.shape
    if len(shape) == 2 and shape == (n, d) and n == d and d > 1:
        raise ValueError(
            f"noise_covariance of shape {shape} may hold the variances of each of {n} samples or one matrix for all, since there "
            f"are as many samples as features: pass an array of shape ({n}, {d}, {d}), the matrix of each sample, or of shape "
            f"(1, {d}, {d}), one matrix for all"
        )
    if shape in {(d,), (1, d)}:
        return array.reshape(1, d)
    if shape in {(d, d), (1, d, d)}:
        return array.reshape(1, d * d)
    if n is not None and shape == (n, d):
        return array
    if n is not None and shape == (n, d, d):
        return array.reshape(n, d * d)
    if n is None and len(shape) > 1:
        raise ValueError(
            f"noise_covariance has the shape {shape}, but X is distributed, such as a Dask collection: pass errors that all "
            f"samples share, variances ({d},) or a matrix ({d}, {d}), or parts of X with their errors to partial_fit"
        )
    of_each = "" if n is None else f" or of each sample, ({n}, {d}) or ({n}, {d}, {d})"
    raise ValueError(
        f"noise_covariance must hold variances or covariances of errors, shared, ({d},) or ({d}, {d}){of_each}, got the shape "
        f"{shape}"
    )


def check_noise(
    noise: NDArray,
    d: int,
    missing: NDArray[np.bool_] | None = None,
    first: int = 0,
    present: NDArray[np.bool_] | None = None,
) -> None:
    """Check that errors are finite, and are variances or symmetric, positive semi-definite matrices; ValueError if not.

    noise : as `as_noise` returns it, of samples `first` on; missing : (n, d), values whose errors do not matter
    present : the samples of the user's that are kept, for messages; None if all are
    """
    rows = max(1, LIMITS.numbers_checked // noise.shape[1])
    for start in range(0, len(noise), rows):
        part = np.asarray(noise[start : start + rows])
        hidden = None if missing is None else missing[start : start + rows]
        place = _Place(first + start, present, len(noise) == 1 and missing is None)
        if part.shape[1] == d:
            _check_variances(part, hidden, place)
        else:
            _check_matrices(part.reshape(-1, d, d), hidden, place)


class _Place:
    """Where rows of a part are in the user's array, for messages."""

    def __init__(self, first: int, present: NDArray[np.bool_] | None, shared: bool) -> None:
        self.first, self.present, self.shared = first, present, shared

    def entry(self, row: int, *features: int) -> str:
        """Return what stands for an entry, or for all of a row, in a message."""
        i = self.first + row
        number = int(np.flatnonzero(self.present)[i]) if self.present is not None and not self.shared else i
        index = features if self.shared else (number, *features)
        return "noise_covariance" + (f"[{', '.join(map(str, index))}]" if index else "")


def _check_finite(part: NDArray, hidden: NDArray[np.bool_] | None, place: _Place) -> None:
    bad = ~np.isfinite(part)
    if hidden is not None:
        bad &= ~hidden
    if bad.any():
        position = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{place.entry(*position)} is {part[position]}: errors must be finite. Give a feature that was not "
            "measured no value in X, with missing_values='marginalize', or a sample that is to be left out the weight 0"
        )


def _check_not_negative(variances: NDArray, hidden: NDArray[np.bool_] | None, place: _Place, double: bool) -> None:
    bad = variances < 0 if hidden is None else (variances < 0) & ~hidden
    if bad.any():
        row, j = (int(i) for i in np.argwhere(bad)[0])
        where = place.entry(row, j, j) if double else place.entry(row, j)
        raise ValueError(
            f"{where} is {variances[row, j]:.6g}, and variances of errors are not negative: pass the squares of standard errors"
        )


def _check_variances(part: NDArray, hidden: NDArray[np.bool_] | None, place: _Place) -> None:
    _check_finite(part, hidden, place)
    _check_not_negative(part, hidden, place, double=False)


def _check_matrices(part: NDArray, hidden: NDArray[np.bool_] | None, place: _Place) -> None:
    d = part.shape[-1]
    if hidden is not None and hidden.any():
        either = hidden[:, :, None] | hidden[:, None, :]
        _check_finite(part, either, place)
        part = np.where(either, np.eye(d, dtype=part.dtype), part)
    else:
        _check_finite(part, None, place)
    variances = np.einsum("nii->ni", part)
    _check_not_negative(variances, None, place, double=True)
    tolerance = _ROUNDING[part.itemsize] * d
    roots = np.sqrt(variances.astype(np.float64))
    scale = roots[:, :, None] * roots[:, None, :]
    bad = np.abs(part - np.swapaxes(part, 1, 2)) > tolerance * scale
    if bad.any():
        row, i, j = (int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{place.entry(row)} is not symmetric: entry ({i}, {j}) is {part[row, i, j]:.6g}, and ({j}, {i}) is "
            f"{part[row, j, i]:.6g}. Pass covariance matrices of errors"
        )
    # correlations, so that units of features do not matter
    with np.errstate(divide="ignore", invalid="ignore"):
        correlations = np.where(scale > 0, part / scale, np.where(part == 0, 0.0, np.inf))
    index = np.arange(d)
    correlations[:, index, index] = 1.0 + tolerance
    semidefinite: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(correlations), axis=(1, 2))
    try:
        np.linalg.cholesky(correlations[semidefinite])
    except np.linalg.LinAlgError:
        semidefinite[semidefinite] = np.linalg.eigvalsh(correlations[semidefinite])[:, 0] > 0
    if not semidefinite.all():
        row = int(np.argmin(semidefinite))
        raise ValueError(
            f"{place.entry(row)} is not positive semi-definite (its smallest eigenvalue is "
            f"{np.linalg.eigvalsh(part[row])[0]:.3g}): no errors have this covariance"
        )

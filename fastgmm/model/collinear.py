"""Features that are linear combinations of others: found in the scatter of all samples, and put into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fastgmm._errors import listed

Float = NDArray[np.float64]

#: A variance below this share of the variance of a feature is rounding.
ROUNDING = 1e-12
#: At most this many combinations, and features of one, are named in a message.
_NAMED = 3
#: Coefficients of standardised features below this share of the largest one are rounding.
_NONE = 1e-4


def collinear(scatter: Float) -> dict[int, list[int]]:
    """Return which features are linear combinations of which of those before them, up to rounding.

    Parameters
    ----------
    scatter : ndarray of shape (d, d)
        Of all samples about their mean. A constant feature is a combination of none.
    """
    # here, since it takes a tenth of a second to import, and few calls come to this
    from scipy.linalg import solve_triangular

    spread = np.sqrt(np.maximum(np.diagonal(scatter), 0.0))
    units = np.where(spread > 0, spread, 1.0)
    correlations = scatter / np.outer(units, units)
    if not np.isfinite(correlations).all() or np.linalg.eigvalsh(correlations)[0] > ROUNDING:
        return {}
    found: dict[int, list[int]] = {}
    # Cholesky's factor row by row, of the features that are not combinations: the rest of the diagonal is the share of the
    # variance that the features before do not explain
    independent: list[int] = []
    factor = np.zeros_like(correlations)
    for j in range(len(correlations)):
        m = len(independent)
        row = solve_triangular(factor[:m, :m], correlations[independent, j], lower=True) if m else np.empty(0)
        left = correlations[j, j] - row @ row
        if left > ROUNDING:
            factor[m, :m], factor[m, m] = row, np.sqrt(left)
            independent.append(j)
        else:
            shares = np.abs(solve_triangular(factor[:m, :m].T, row)) if m else row
            found[j] = [i for i, share in zip(independent, shares, strict=True) if share > _NONE * shares.max()]
    return found


def described(found: Mapping[int, Sequence[int]], names: Sequence[str]) -> str:
    """Say which features are combinations of which, such as "feature 1 is a linear combination of feature 0"."""
    parts = []
    for j, others in list(found.items())[:_NAMED]:
        of = listed([names[i] for i in others], most=_NAMED)
        parts.append(f"{names[j]} is a linear combination of {of}" if others else f"{names[j]} is constant")
    more = [f"{len(found) - _NAMED} more are such as well"] if len(found) > _NAMED else []
    return "; ".join([*parts, *more])


def numbered(d: int) -> list[str]:
    """Return names for features without names."""
    return [f"feature {j}" for j in range(d)]

"""Text that describes a fitted mixture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.model.params import Params

#: Maximum numbers of components and features listed.
_MOST_COMPONENTS, _MOST_FEATURES = 50, 12


def account(model: Any, params: Params, figures: dict[str, Any], sizes: NDArray[np.int64] | None) -> str:
    """Return the text: `figures` by name, then weights, sizes (k,), means and variances of the components."""
    k, d = params.means.shape
    lines = [
        f"{type(model).__name__}, covariance_type={model.covariance_type!r}, with {k} component{'s' * (k > 1)} of "
        f"{d} feature{'s' * (d > 1)}",
        "",
        *(f"{name:>20}  {_number(value)}" for name, value in figures.items()),
        "",
        *_components(params, sizes),
        "",
        *_table("mean", params.means, _names(model, d)),
        "",
        *_table("variance", params.variances, _names(model, d)),
    ]
    return "\n".join(lines)


def _number(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.10g}" if float(value).is_integer() else f"{value:.3f}"


def _names(model: Any, d: int) -> list[str]:
    return [str(name) for name in getattr(model, "feature_names_in_", [f"x{j}" for j in range(d)])]


def _components(params: Params, sizes: NDArray[np.int64] | None) -> list[str]:
    head = f"{'component':>9}  {'weight':>8}" + ("" if sizes is None else f"  {'samples':>9}")
    weights = [(str(j), w) for j, w in enumerate(params.weights.tolist())]
    if params.noise is not None:
        weights.append(("noise", params.noise.weight))
    rows = [f"{name:>9}  {w:>8.4f}" for name, w in weights]
    if sizes is not None:
        rows = [f"{row}  {size:>9}" for row, size in zip(rows, sizes.tolist(), strict=True)]
    return [head, *_shortened(rows, _MOST_COMPONENTS)]


def _table(what: str, values: NDArray[np.float64], names: list[str]) -> list[str]:
    shown = names[:_MOST_FEATURES]
    more = "  ..." if len(names) > len(shown) else ""
    width = [max(11, len(name)) for name in shown]
    head = f"{what:>9}  " + "  ".join(name.rjust(w) for name, w in zip(shown, width, strict=True)) + more
    rows = [
        f"{j:>9}  " + "  ".join(f"{value:.5g}".rjust(w) for value, w in zip(row, width, strict=False)) + more
        for j, row in enumerate(values[:, : len(shown)].tolist())
    ]
    return [head, *_shortened(rows, _MOST_COMPONENTS)]


def _shortened(rows: list[str], most: int) -> list[str]:
    return rows if len(rows) <= most else [*rows[:most], f"{'...':>9}"]

"""Reordering of the components of a fitted mixture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.online import Averages
from fastgmm.model.layouts import Layout

#: Attributes that have a value for each component in every layout.
_BY_COMPONENT = ("weights_", "means_", "component_labels_", "mean_precision_", "weight_concentration_")
#: Attributes that have a value for each component, unless the layout shares one.
_BY_LAYOUT = ("covariances_", "precisions_", "precisions_cholesky_", "degrees_of_freedom_")


def order_of(model: Any, by: Any) -> NDArray[np.intp]:
    """Return the permutation (k,) that `by` asks for; see `FittedMixture.sort_components`."""
    k, d = np.shape(model.means_)
    if isinstance(by, str) and by == "weight":
        return np.argsort(-np.asarray(model.weights_), kind="stable")
    names = [str(name) for name in getattr(model, "feature_names_in_", ())]
    if isinstance(by, str):
        if by not in names:
            known = f"one of its features {', '.join(map(repr, names))}" if names else "the index of a feature"
            raise ValueError(f"by must be 'weight', {known}, a function or a permutation, got {by!r}")
        by = names.index(by)
    if isinstance(by, (int, np.integer)) and not isinstance(by, (bool, np.bool_)):
        if not 0 <= by < d:
            raise ValueError(f"by={by} is the index of a feature, and there are {d}: pass 0 to {d - 1}, or 'weight'")
        return np.argsort(np.asarray(model.means_)[:, by], kind="stable")
    if callable(by):
        keys = np.asarray(by(model))
        if keys.shape != (k,):
            raise ValueError(
                f"the function by must return a key for each component, ({k},), got the shape {keys.shape}"
            )
        return np.argsort(keys, kind="stable")
    order = np.asarray(by)
    if order.shape != (k,) or order.dtype.kind not in "iu" or not np.array_equal(np.sort(order), np.arange(k)):
        raise ValueError(f"by must be 'weight', a feature, a function, or a permutation of 0 to {k - 1}, got {by!r}")
    return order.astype(np.intp)


def reordered(model: Any, order: NDArray[np.intp], layout: Layout) -> dict[str, Any]:
    """Return the fitted attributes of a model with its components in another order."""
    names = _BY_COMPONENT if layout.pools else _BY_COMPONENT + _BY_LAYOUT
    changed: dict[str, Any] = {name: np.asarray(getattr(model, name))[order] for name in names if hasattr(model, name)}
    averages: Averages | None = getattr(model, "_averages", None)
    if averages is not None and averages.stats is not None:
        stats = averages.stats
        scatter = stats.scatter if layout.pools else stats.scatter[order]
        parts = {name: getattr(stats, name)[order] for name in ("counts", "sums", "origin")}
        changed["_averages"] = replace(averages, stats=replace(stats, scatter=scatter, **parts))
    return changed

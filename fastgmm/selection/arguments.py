"""The arguments of `select`, checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from fastgmm import _validation
from fastgmm._names import CRITERIA
from fastgmm.init.starts import STARTS
from fastgmm.model.structures import MCLUST_NAMES, STRUCTURES, Structure
from fastgmm.selection.result import STABILITY


def check_sizes(n_components: Any) -> tuple[int, ...]:
    """Return the sizes, as they were given."""
    if isinstance(n_components, (str, bytes)) or not isinstance(n_components, Iterable):
        n_components = [n_components]
    sizes = tuple(_validation.check_integer("n_components", k, 1) for k in n_components)
    if not sizes:
        raise ValueError("n_components is empty: pass at least one number of components, such as range(1, 10)")
    _check_once("n_components", sizes)
    return sizes


def check_choices(sizes: Sequence[int], criterion: str, init_params: str, weight_type: str) -> None:
    """Raise ValueError if a choice is unknown."""
    _validation.check_choice("criterion", criterion, (*CRITERIA, STABILITY))
    if criterion == STABILITY:
        _check_partitions(sizes)
    _validation.check_choice("init_params", init_params, STARTS)
    _validation.check_choice("weight_type", weight_type, ("frequency", "importance"))


def check_types(covariance_types: Any) -> tuple[str, ...] | None:
    """Return the names, or None for all."""
    if isinstance(covariance_types, str):
        if covariance_types == "all":
            return None
        covariance_types = [covariance_types]
    if not isinstance(covariance_types, Iterable):
        raise TypeError(f"covariance_types must be 'all', a name or several names, got {covariance_types!r}")
    known = (*STRUCTURES, "all")
    names = tuple(_validation.check_choice("covariance_types", name, known) for name in covariance_types)
    if "all" in names:
        raise ValueError("covariance_types must be 'all' or a list of names, not a list that has 'all' in it")
    if not names:
        raise ValueError("covariance_types is empty: pass at least one name, or 'all'")
    _check_once("covariance_types", names)
    return names


def _check_once(name: str, values: Sequence[Any]) -> None:
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise ValueError(
            f"{name} has {twice[0]!r} more than once: each number and each name makes one row or column, name it once"
        )


def structures_of(names: Sequence[str] | None, d: int) -> list[Structure]:
    """Return the structures of d features by their names; all of them if `names` is None."""
    if names is None:
        names = MCLUST_NAMES if d > 1 else ("E", "V")
    structures = [STRUCTURES[name] for name in names]
    for structure in structures:
        structure.check_features(d)
    return structures


def _check_partitions(sizes: Sequence[int]) -> None:
    if max(sizes) == 1:
        raise ValueError(
            "criterion='stability' compares partitions, and a single component has only one: pass an n_components of 2 or more"
        )

"""Arrays that refuse what NumPy forgives, for kernels that run as plain Python (``NUMBA_DISABLE_JIT=1``).

Compiled code does not check indices. NumPy raises IndexError for one that is too large, but takes a negative one from the
end and cuts a slice short: `Guarded` raises for these too. What `np.empty` returns is filled with NaN (integers with one that
is not an index), so that a read of what nothing was written to shows in the results.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

_NO_INDEX = -(2**40)


class Guarded(np.ndarray):
    """An array that is indexed from 0 up to its length, and by slices within it."""

    def __getitem__(self, key: Any) -> Any:
        _check(self.shape, key)
        return super().__getitem__(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        _check(self.shape, key)
        super().__setitem__(key, value)


def _check(shape: tuple[int, ...], key: Any) -> None:
    items = key if isinstance(key, tuple) else (key,)
    if any(item is Ellipsis or item is None for item in items):
        items = [item for item in items if item is not None]  # a new axis takes none of the shape
        if Ellipsis in items:
            return
    for item, length in zip(items, shape, strict=False):
        if isinstance(item, slice):
            inside = all(end is None or 0 <= end <= length for end in (item.start, item.stop))
        elif isinstance(item, np.ndarray):
            inside = item.dtype == bool or item.size == 0 or (item.min() >= 0 and item.max() < length)
        else:
            inside = 0 <= item < length
        if not inside:
            raise IndexError(f"index {item} of an axis of {length}, shape {shape}")


def guard(value: Any) -> Any:
    """The same value, its arrays guarded; also in NamedTuples."""
    if type(value) is np.ndarray:
        return value.view(Guarded)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(guard, value))
    return value


class _NumPy(types.SimpleNamespace):
    """`numpy` as kernel files see it: what it makes is guarded."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def zeros(*arguments: Any) -> Any:
        return guard(np.zeros(*arguments))

    @staticmethod
    def empty(*arguments: Any) -> Any:
        out = np.empty(*arguments)
        if out.dtype.kind == "i":
            out[...] = max(_NO_INDEX, np.iinfo(out.dtype).min)
        else:
            out[...] = np.nan if out.dtype.kind == "f" else 0
        return guard(out)


def _wrapped(function: Any) -> Any:
    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        return function(*map(guard, arguments), **named)

    return call


@contextmanager
def guarded_kernels() -> Iterator[None]:
    """Within the body all kernels, wherever they are called from, see guarded arrays."""
    wrapped: dict[Any, Any] = {}
    changed: list[tuple[types.ModuleType, str, Any]] = []
    for module in [m for name, m in sys.modules.items() if name.startswith("fastgmm")]:
        for name, value in list(vars(module).items()):
            is_kernel = isinstance(value, types.FunctionType) and value.__module__.startswith("fastgmm.kernels")
            if is_kernel and value.__name__ not in ("pack_panels", "panels", "padded", "tile_width", "scatter_width"):
                changed.append((module, name, value))
                setattr(module, name, wrapped.setdefault(value, _wrapped(value)))
            elif value is np and module.__name__.startswith("fastgmm.kernels"):
                changed.append((module, name, value))
                setattr(module, name, _NumPy())
    try:
        yield
    finally:
        for module, name, value in changed:
            setattr(module, name, value)

"""Optional packages, and replacements for functions that differ in older versions of Python."""

from __future__ import annotations

import importlib
import typing
from collections.abc import Callable
from types import ModuleType
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")


class cached_property(Generic[_T]):
    """An attribute that is computed when it is first read, as `functools.cached_property` from Python 3.12 on.

    Before, that one holds a lock that all instances of a class share: threads wait for each other, and a child that is forked
    while one of them computes waits forever.
    """

    def __init__(self, compute: Callable[[Any], _T]) -> None:
        self.compute, self.__doc__ = compute, compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    # by its full name: Numba has one too
    @typing.overload
    def __get__(self, instance: None, owner: type) -> cached_property[_T]: ...
    @typing.overload
    def __get__(self, instance: object, owner: type) -> _T: ...
    def __get__(self, instance: object | None, owner: type) -> cached_property[_T] | _T:
        if instance is None:
            return self
        value = instance.__dict__[self.name] = self.compute(instance)
        return value


_EXTRA = {"pyarrow": "parquet", "matplotlib": "plot", "dask": "dask", "distributed": "dask", "sklearn": "sklearn"}


def optional(module: str, purpose: str) -> ModuleType:
    """Import `module`, or raise ImportError that says what it is needed for and how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        what = f"'fastgmm[{_EXTRA[package]}]'" if package in _EXTRA else package
        raise ImportError(
            f"{purpose} needs the package {package!r}, which is not installed: run  pip install {what}"
        ) from error


def if_installed(module: str) -> ModuleType | None:
    """Import `module` if it is installed, for a task that is done in a plainer way without it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None

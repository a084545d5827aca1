"""Optional packages: one helper that imports them or names what to install."""

from __future__ import annotations

import importlib
from types import ModuleType

_EXTRA = {"pyarrow": "parquet", "matplotlib": "plot", "dask": "dask", "distributed": "dask", "sklearn": "sklearn"}


def optional(module: str, purpose: str) -> ModuleType:
    """Import `module`, or raise ImportError that says what it is needed for and what brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        what = f"'fastgmm[{_EXTRA[package]}]'" if package in _EXTRA else package
        raise ImportError(
            f"{purpose} needs the package {package!r}, which is not installed: run  pip install {what}"
        ) from error


def if_installed(module: str) -> ModuleType | None:
    """Import `module` if it is there: for what is done in a plainer way without it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None

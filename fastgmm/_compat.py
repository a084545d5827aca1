"""Optional packages: one helper that imports them or names the extra to install."""

from __future__ import annotations

import importlib
from types import ModuleType

_EXTRA = {"pyarrow": "parquet", "matplotlib": "plot", "dask": "dask", "distributed": "dask", "sklearn": "sklearn"}


def optional(module: str, purpose: str) -> ModuleType:
    """Import `module`, or raise ImportError that says what it is needed for and which extra brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        extra = _EXTRA[module.partition(".")[0]]
        raise ImportError(
            f"{purpose} needs the package {module.partition('.')[0]!r}, which is not installed: "
            f"run  pip install 'fastgmm[{extra}]'"
        ) from error


def if_installed(module: str) -> ModuleType | None:
    """Import `module` if it is there: for what is done in a plainer way without it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None

"""What a number needs in order to mean something later."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

from bench import environment

PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "scikit-learn", "scikit-learn-intelex", "pytest-benchmark")


def provenance() -> dict[str, Any]:
    import numba

    import fastgmm

    layer: str
    try:
        layer = numba.threading_layer()
    except ValueError:  # no parallel kernel has run yet
        layer = "not started"
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "cores_allowed": _cores(),
        "numba_threads": numba.get_num_threads(),
        "numba_threading_layer": layer,
        "blas": sorted(
            f"{pool['internal_api']} {pool.get('version')} {pool.get('architecture', '')} threads={pool['num_threads']}"
            for pool in threadpool_info()
            if pool["user_api"] == "blas"
        ),
        "blas_kernel": environment.kernel(),
        "blas_variables": environment.present(),
        "python": platform.python_version(),
        "fastgmm": fastgmm.__version__,
        **{name: _version(name) for name in PACKAGES},
    }


def machine() -> str:
    """What speed-ups depend on, in one line: they are only compared where this is equal."""
    import numba

    return f"{_cpu()}, {_cores()} cores, {numba.get_num_threads()} threads, BLAS kernel {environment.kernel()}"


def _cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        fields = [line.partition(":") for line in info.read_text(encoding="utf-8").split("\n\n")[0].splitlines()]
        first = {name.strip(): value.strip() for name, _, value in fields}
        if "model name" in first:
            # a virtual machine may tell the maker's name only; family and model are the processor's own
            numbers = f" (family {first['cpu family']}, model {first['model']})" if "cpu family" in first else ""
            return first["model name"] + numbers
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"

"""What has to be measured in a process of its own: ``python -m bench.child WHAT ...`` prints one line of JSON."""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

OPTIONAL = ("sklearn", "pandas", "pyarrow", "dask", "matplotlib")


def first_fit(covariance_type: str) -> dict[str, Any]:
    """Import fastgmm, NumPy and SciPy being there already, and fit iris for the first time in this process."""
    import numpy  # noqa: F401
    import scipy.linalg
    import scipy.special  # noqa: F401

    begin = perf_counter()
    from fastgmm import GaussianMixture

    imported = perf_counter()
    loaded = [name for name in OPTIONAL if name in sys.modules]
    from fastgmm.datasets import load_iris

    X = load_iris().data
    start = perf_counter()
    model = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    end = perf_counter()
    return {
        "import": imported - begin,
        "first_fit": end - start,
        "optional_packages": loaded,
        "lower_bound": model.lower_bound_,
    }


def peak_memory(side: str, case_name: str, quick: str) -> dict[str, Any]:
    """MB by which a fit raises the resident memory of a process that has X and has made a small fit already."""
    from bench.cases import BY_NAME
    from bench.sides import FITS

    problem = BY_NAME[case_name].problem(quick == "quick")
    FITS[side](problem.warm_up())  # code is compiled or loaded, pools of threads are up
    before = _reset_peak()
    outcome = FITS[side](problem)
    return {"peak": (_peak() - before) / 2**20, "data": problem.X.nbytes / 2**20, "lower_bound": outcome.bounds[-1]}


# getrusage's ru_maxrss does not do on Linux: it begins with the peak of the process that forked this one, and the
# peak of compiling or of making X would hide that of the fit. The kernel's own mark can be reset.
_STATUS = Path("/proc/self/status")


def _reset_peak() -> int:
    """Resident bytes now, from where `_peak` counts."""
    try:
        # what the small fit freed goes back to the system: reused in silence, it would be memory that nobody counts
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except (OSError, AttributeError):
        return _peak()
    return _status("VmRSS")


def _peak() -> int:
    """Most resident bytes since `_reset_peak`."""
    if _STATUS.exists():
        return _status("VmHWM")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _status(field: str) -> int:
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) * 1024


MEASUREMENTS: dict[str, Callable[..., dict[str, Any]]] = {"first_fit": first_fit, "peak_memory": peak_memory}

if __name__ == "__main__":
    print(json.dumps(MEASUREMENTS[sys.argv[1]](*sys.argv[2:])))

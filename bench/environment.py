"""The environment in which sides are timed: without the variables that hold OpenBLAS back, on the kernels of its own choice.

Some machines set OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE for the sake of old builds of OpenBLAS. A current one is slower under
them (dgemm at 121 instead of 196 GFLOP/s on a Zen 5), and a NumPy so handicapped would flatter us. OpenBLAS reads them when it
is loaded, so what times runs in a process that never had them. What times nothing leaves them alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from threadpoolctl import threadpool_info

ROOT = Path(__file__).resolve().parents[1]
VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


class EnvironmentRefused(Exception):
    """Timings made here would not be fair; the message says why and what to do."""


def present() -> list[str]:
    """Those of the variables that are set."""
    return [name for name in VARIABLES if name in os.environ]


def without() -> dict[str, str]:
    """Environment of this process, but for the variables."""
    return {name: value for name, value in os.environ.items() if name not in VARIABLES}


def again() -> int:
    """Run this process's command line in a child without the variables; return its exit status."""
    print(f"without {' and '.join(present())}, in a child process:", file=sys.stderr, flush=True)
    return subprocess.run([sys.executable, *sys.orig_argv[1:]], env=without(), check=False).returncode


def command(main: Callable[[], int | None]) -> int:
    """Run the `main` of a ``python -m bench...`` that measures, in a child if the variables are set; return its status."""
    if present():
        return again()
    try:
        require()
    except EnvironmentRefused as error:
        print(error, file=sys.stderr)
        return 2
    return main() or 0


def kernels() -> dict[str, str]:
    """BLAS libraries of this process and the kernel that each of them runs: {path: "openblas Haswell"}."""
    import numpy  # noqa: F401
    import scipy.linalg  # noqa: F401

    return {
        pool["filepath"]: f"{pool['internal_api']} {pool.get('architecture', 'of a kernel that it does not tell')}"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    }


@cache
def chosen() -> dict[str, str]:
    """`kernels` of NumPy and SciPy in a fresh process without the variables: what they choose for this CPU themselves."""
    code = "import json, numpy, scipy.linalg; from bench.environment import kernels; print(json.dumps(kernels()))"
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code], env={**without(), "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise EnvironmentRefused(
            f"NumPy does not run without {' and '.join(VARIABLES)} (status {done.returncode}), so that nothing is timed "
            f"here; install a newer one, with an OpenBLAS that knows this CPU\n{done.stderr}"
        )
    return json.loads(done.stdout)


def kernel() -> str:
    """Kernels that the BLAS of NumPy and that of SciPy run in this process, in one line."""
    return ", ".join(sorted(set(kernels().values()))) or "unknown"


def require() -> None:
    """Raise EnvironmentRefused unless the variables are absent and each BLAS runs the kernel of its own choice."""
    if found := present():
        raise EnvironmentRefused(
            f"{' and '.join(f'{name}={os.environ[name]}' for name in found)} would slow NumPy and scikit-learn down, so "
            "that nothing is timed here; unset them, or use `pytest bench` or `python -m bench...`, which do so themselves"
        )
    for path, name in kernels().items():
        own = chosen().get(path, name)
        if name != own:
            raise EnvironmentRefused(
                f"{path} runs the kernel {name}, and by itself it chooses {own} on this CPU, so that nothing is timed here; "
                "its choice was forced when this process began: start a new one without variables for BLAS"
            )

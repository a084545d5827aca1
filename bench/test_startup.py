"""Costs outside the loop, in processes of their own: import, first fit (empty and filled cache), peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from bench.cases import Case, cases
from bench.sides import able

ROOT = Path(__file__).resolve().parent.parent


def child(*arguments: str, **environment: str) -> dict[str, Any]:
    """Result of `bench.child` with these arguments."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-m", "bench.child", *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_first_fit(
    covariance_type: str, quick: bool, tmp_path: Path, record: Callable[..., None], benchmark: Any
) -> None:
    """Import and default fit of iris: once with an empty cache of compiled code, then with what that left there."""
    if quick and covariance_type != "full":
        pytest.skip("cold starts of the other types take their time: timed runs only")
    cache = {"NUMBA_CACHE_DIR": str(tmp_path)}
    cold = child("first_fit", covariance_type, **cache)
    warm: list[dict[str, Any]] = []
    benchmark.pedantic(
        lambda: warm.append(child("first_fit", covariance_type, **cache)), rounds=1 if quick else 5, warmup_rounds=0
    )
    for run in [cold, *warm]:
        assert run["lower_bound"] == cold["lower_bound"]
        assert run["optional_packages"] == []
    record(
        cold=cold["first_fit"],
        warm=median(run["first_fit"] for run in warm),
        **{"import": median(run["import"] for run in warm)},
    )


@pytest.mark.parametrize("case", cases("A B C D E F G I"), ids=lambda case: case.name)
def test_peak_memory(case: Case, quick: bool, peers: list[str], record: Callable[..., None], benchmark: Any) -> None:
    """Memory that a fit takes beyond X, on every side."""
    if quick and case.name not in "BG":
        pytest.skip("one case with, one without the total scatter will do where nothing is measured")
    size = "quick" if quick else "full"
    runs = {name: child("peak_memory", name, case.name, size) for name in ["numpy", *able(peers, case)]}
    runs["fastgmm"] = benchmark.pedantic(
        child, args=("peak_memory", "fastgmm", case.name, size), rounds=1, warmup_rounds=0
    )
    for name, run in runs.items():
        assert run["lower_bound"] == pytest.approx(runs["fastgmm"]["lower_bound"], rel=case.rtol), name
    record(**{f"peak_{name}": run["peak"] for name, run in runs.items()})

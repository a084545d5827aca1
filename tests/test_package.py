"""What pyproject.toml promises of versions, and that each file of tests can be run by itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PATIENCE

import fastgmm

ROOT = Path(__file__).resolve().parents[1]


def test_the_oldest_versions_tested_are_the_lower_bounds():
    tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    bounds: dict[str, str] = {}
    for requirement in [*project["dependencies"], *extras["test"], *extras["dask"], *extras["plot"]]:
        if found := re.match(r"([\w-]+)(?:\[[\w,]*\])?>=([\d.]+)", requirement):
            bounds[found[1]] = found[2]
    pins = dict(
        re.findall(r"^([\w-]+)==([\d.]+)$", (ROOT / ".ci" / "oldest.txt").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert set(pins) == set(bounds)
    assert len(pins) >= 12
    for name, pin in pins.items():
        bound = bounds[name]
        assert pin == bound or re.fullmatch(rf"{re.escape(bound)}(\.0)+", pin), f"{name}: {pin} is not {bound}"


ALONE = """
import importlib, os, sys, traceback
import dask.dataframe, matplotlib, numba, numpy, pandas, pytest, scipy.stats, sklearn.mixture  # once, as they are slow
sys.path[:] = [folder for folder in sys.path if not os.path.isdir(os.path.join(folder, "bench"))]  # an editable install's
sys.path.insert(0, sys.argv[1])  # as pytest does
import conftest
for name in sys.argv[2:]:
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
        except pytest.skip.Exception:
            pass
        except BaseException:
            traceback.print_exc(file=sys.stdout)
            sys.stdout.flush()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        print("cannot be imported by itself:", name, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="imports in forked processes")
def test_each_file_of_tests_is_imported_by_itself_from_any_folder(tmp_path):
    """What a file imports is there by its own doing: not by that of a file before it, or of where pytest was called."""
    names = sorted(path.stem for path in ROOT.glob("tests/test_*.py"))
    assert len(names) > 30
    # fastgmm is installed, from wherever it is; of the checkout nothing else may be on the path
    (tmp_path / "fastgmm").symlink_to(Path(fastgmm.__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(ROOT / "tests"), *names],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stdout) == (0, "")

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
import os, sys
import dask.dataframe, matplotlib, numba, numpy, pandas, pytest, scipy.stats, sklearn.mixture  # once, as they are slow
files, failed = sys.argv[1:], []
for file in files:
    child = os.fork()
    if child == 0:
        os._exit(pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", file]))
    if os.waitpid(child, 0)[1] != 0:
        failed.append(file)
print("alone:", *failed)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="collects in forked processes")
def test_each_file_of_tests_is_collected_by_itself_from_any_folder(tmp_path):
    """What a file imports comes by its own doing, not by that of a file before it, or of where pytest was called."""
    files = sorted(map(str, [*ROOT.glob("tests/test_*.py"), *ROOT.glob("bench/test_*.py")]))
    assert len(files) > 40
    # fastgmm is installed, from wherever it is; of the checkout nothing else may be on the path
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "fastgmm").symlink_to(Path(fastgmm.__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *files],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "package"), "PYTHONSAFEPATH": "1"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
    )
    assert done.stdout.splitlines()[-1] == "alone:", done.stdout

"""Type checking for users: a typed program passes `mypy --strict` and runs; wrong use of each kind is flagged."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PATIENCE

import fastgmm

TYPED = Path(__file__).with_name("typed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Both programs share what mypy remembers of the package."""
    return tmp_path_factory.mktemp("mypy")


def strictly_checked(program: str, folder: Path) -> str:
    """Return the output of mypy; if fastgmm is installed and no source folder is pointed to, only with its `py.typed`."""
    root = Path(fastgmm.__file__).parents[1]
    path = {} if root.name == "site-packages" else {"MYPYPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent", "--no-pretty"]
        + [f"--cache-dir={folder}", str(TYPED / program)],
        cwd=folder,
        env={**os.environ, **path},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


def test_a_typed_program_has_no_error(folder):
    assert strictly_checked("right.py", folder).startswith("Success")


def test_the_typed_program_runs(capsys):
    runpy.run_path(str(TYPED / "right.py"), run_name="__main__")
    assert capsys.readouterr().out.count("\n") == 5


def test_wrong_use_is_flagged_line_by_line(folder):
    expected = {}
    for number, line in enumerate((TYPED / "wrong.py").read_text(encoding="utf-8").splitlines(), start=1):
        if found := re.search(r"  # ([\w|-]+)$", line):
            expected[number] = found[1].split("|")
    assert len(expected) >= 15
    output = strictly_checked("wrong.py", folder)
    flagged = {int(n): code for n, code in re.findall(r"wrong\.py:(\d+): error: .*\[([\w-]+)\]$", output, re.MULTILINE)}
    assert set(flagged) == set(expected)
    assert {n: code for n, code in flagged.items() if code not in expected[n]} == {}

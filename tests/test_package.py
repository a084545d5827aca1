"""What pyproject.toml promises of versions: the oldest ones that `tox` tests are its lower bounds."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

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

"""Examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import fastgmm

ROOT = Path(fastgmm.__file__).parent
MODULES = sorted(
    ".".join(["fastgmm", *path.relative_to(ROOT).with_suffix("").parts])
    for path in ROOT.rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8")
)


def test_there_are_some():
    assert len(MODULES) >= 3


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.filterwarnings("ignore::fastgmm.DegenerateWarning")  # scikit-learn's example has three samples on a line
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0

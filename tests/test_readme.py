"""Each of the README's Python blocks runs by itself, as someone runs it who copies it; its command lines are the program's."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from fastgmm.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
#: Names in backquotes that look like a module in a room of the package.
PYTHON_NAMES = ("model.predict", "model.save", "model.fit", "model.score")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_there_are_blocks():
    assert len(blocks("python")) >= 4


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.strip().splitlines()[-1][:40])
def test_python_blocks_run(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # files are written into the current directory
    exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})


def test_command_lines_run(tmp_path, monkeypatch, capsys):
    from fastgmm.datasets import load_iris

    monkeypatch.chdir(tmp_path)
    table = load_iris()
    rows = [",".join(table.feature_names), *(",".join(map(str, row)) for row in table.data)]
    Path("data.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    lines = [line for block in blocks("console") for line in block.splitlines() if line.startswith("$ fastgmm ")]
    assert len(lines) >= 5
    for line in lines:
        assert main(shlex.split(line.removeprefix("$ fastgmm "), comments=True)) == 0, line
    assert "setosa" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", ["pip install . && fastgmm demo", 'pip install ".[test]" && pytest -n 2 --dist loadfile']
)
def test_the_two_commands_are_there(command):
    assert f"\n{command}\n" in README


def test_files_and_modules_that_text_names_are_there():
    """In the README, the guide and the sources: a file that moved leaves its old name behind."""
    texts = [ROOT / "README.md", ROOT / ".github" / "CONTRIBUTING.md"]
    texts += [path for room in ("fastgmm", "bench", "tests") for path in (ROOT / room).rglob("*.py")]
    rooms = "|".join(path.name for path in (ROOT / "fastgmm").iterdir() if (path / "__init__.py").exists())
    missing = []
    for path in texts:
        text = path.read_text(encoding="utf-8")
        named = re.findall(r"\b((?:fastgmm|tests|bench|\.ci|\.github)/[\w./-]*\w\.(?:py|md|json|R|csv|png))", text)
        named += [
            f"fastgmm/{room}/{module}.py"
            for room, module in re.findall(rf"`(?:fastgmm\.)?({rooms})\.([a-z_]+)(?:\.\w+)*`", text)
            if f"{room}.{module}" not in PYTHON_NAMES and not hasattr(import_module(f"fastgmm.{room}"), module)
        ]
        missing += [f"{path.relative_to(ROOT)}: {name}" for name in named if not (ROOT / name).exists()]
    assert missing == []

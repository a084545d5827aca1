"""Each Python block of the README and the documentation runs by itself, as someone runs it who copies it; command lines run too."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from fastgmm.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
#: The documentation is not part of the sdist. What its build writes beside the sources is left out.
DOCS = sorted(path for path in (ROOT / ".docs").rglob("*.md") if not {"generated", "gallery"} & set(path.parts))
PAGES = [ROOT / "README.md", *DOCS]
#: Names in backquotes that look like a module in a room of the package.
PYTHON_NAMES = ("model.predict", "model.save", "model.fit", "model.score")


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def python_blocks() -> list:
    """Each block once, with where it is: its page and its first line."""
    found = {}
    for page in PAGES:
        for i, block in enumerate(blocks(page, "python")):
            found.setdefault(block, f"{page.relative_to(ROOT)}-{i}")
    return [pytest.param(block, where, id=where) for block, where in found.items()]


def test_there_are_blocks():
    assert len(blocks(ROOT / "README.md", "python")) >= 1
    assert not DOCS or len(python_blocks()) >= 40


@pytest.mark.parametrize(("block", "where"), python_blocks())
def test_python_blocks_run(block, where, tmp_path, monkeypatch):
    if "set_callbacks" in block:
        pytest.importorskip("sklearn.callback", reason="callbacks are in scikit-learn from 1.9 on")
    monkeypatch.chdir(tmp_path)  # files are written into the current directory
    exec(compile(block, where, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "console")], ids=lambda page: page.name)
def test_command_lines_run(page, tmp_path, monkeypatch, capsys):
    from fastgmm.datasets import load_iris

    monkeypatch.chdir(tmp_path)
    table = load_iris()
    species = [table.target_names[i] for i in table.target]
    for name, column in (("data.csv", None), ("labelled.csv", ["species", *species])):
        rows = [",".join(table.feature_names), *(",".join(map(str, row)) for row in table.data)]
        rows = rows if column is None else [f"{row},{last}" for row, last in zip(rows, column, strict=True)]
        Path(name).write_text("\n".join(rows) + "\n", encoding="utf-8")
    lines = [line for block in blocks(page, "console") for line in block.splitlines() if line.startswith("$ fastgmm ")]
    for line in lines:
        assert main(shlex.split(line.removeprefix("$ fastgmm "), comments=True)) == 0, line
    if "$ fastgmm demo" in lines:
        assert "setosa" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", ["pip install . && fastgmm demo", 'pip install ".[test]" && pytest -n 2 --dist loadfile']
)
def test_the_two_commands_are_there(command):
    assert f"\n{command}\n" in README


@pytest.mark.skipif(not DOCS, reason="the sdist has neither the documentation nor pictures")
def test_files_and_modules_that_text_names_are_there():
    """In the README, the documentation and the sources: a file that moved leaves its old name behind."""
    texts = [*PAGES, ROOT / ".github" / "CONTRIBUTING.md", ROOT / "bench" / "README.md"]
    texts += [path for room in ("fastgmm", "bench", "tests") for path in (ROOT / room).rglob("*.py")]
    rooms = "|".join(path.name for path in (ROOT / "fastgmm").iterdir() if (path / "__init__.py").exists())
    missing = []
    for path in texts:
        text = path.read_text(encoding="utf-8")
        named = re.findall(
            r"\b((?:fastgmm|tests|bench|\.ci|\.docs|\.github)/[\w./-]*\w\.(?:py|md|json|R|csv|png))", text
        )
        named += [
            f"fastgmm/{room}/{module}.py"
            for room, module in re.findall(rf"`(?:fastgmm\.)?({rooms})\.([a-z_]+)(?:\.\w+)*`", text)
            if f"{room}.{module}" not in PYTHON_NAMES and not hasattr(import_module(f"fastgmm.{room}"), module)
        ]
        missing += [f"{path.relative_to(ROOT)}: {name}" for name in named if not (ROOT / name).exists()]
    assert missing == []


def test_links_lead_somewhere():
    """Relative links of the README and of pages that are read in the repository, with their headings."""
    github = [path for path in (ROOT / ".github" / "CONTRIBUTING.md", ROOT / "bench" / "README.md") if path.exists()]
    broken = []
    for page in [ROOT / "README.md", *github]:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            file, _, heading = target.partition("#")
            if "://" in target or (not DOCS and target.startswith((".docs", ".github"))):
                continue  # the sdist has no hidden folders
            path = page.parent / file if file else page
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE) if heading else []
            anchors = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings]
            if not path.exists() or (heading and heading not in anchors):
                broken.append(f"{page.name}: {target}")
    assert broken == []


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150

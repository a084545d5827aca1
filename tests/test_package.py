"""The versions that pyproject.toml promises, tests that run by themselves, and how deep a fit is."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PATIENCE

import fastgmm
from fastgmm._jit import INDICES_CHECKED

ROOT = Path(__file__).resolve().parents[1]


def requirements() -> list[str]:
    """Return all that the README's test command installs, as pyproject.toml names it."""
    tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    return [*project["dependencies"], *extras["test"], *extras["dask"], *extras["plot"]]


def test_the_oldest_versions_tested_are_the_lower_bounds():
    bounds: dict[str, str] = {}
    for requirement in requirements():
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


def test_what_the_tests_import_is_installed_with_them():
    """A module at the head of a file of tests that the README's test command does not install stops the whole run."""
    installed = {re.match(r"[\w-]+", name)[0].replace("-", "_") for name in requirements()}  # type: ignore[index]
    files = [path for path in (ROOT / "tests").rglob("*.py") if path.name != "__main__.py"]
    folders = {path.name for path in [*ROOT.iterdir(), *(ROOT / "tests").iterdir()]}
    # scikit-learn's other name, and what it, numba and mypy require
    ours = {path.stem for path in files} | folders | {"sklearn", "joblib", "llvmlite", "typing_extensions"}
    imported: dict[str, str] = {}
    for path in files:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:  # those within functions may be skipped
            modules = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            imported.update({module.partition(".")[0]: path.name for module in modules})
    missing = {name: file for name, file in imported.items() if name not in installed | ours | sys.stdlib_module_names}
    assert "polars" in imported
    assert missing == {}


ALONE = """
import importlib, os, sys, traceback
import dask.dataframe, matplotlib, numba, numpy, pandas, pytest, scipy.stats, sklearn.mixture  # once, as they are slow
sys.path[:] = [folder for folder in sys.path if not os.path.isdir(os.path.join(folder, "bench"))]  # an editable install's
sys.path.insert(0, sys.argv[1])  # as pytest does
import conftest
for path in sys.argv[2:]:
    folder, name = os.path.split(path)
    child = os.fork()
    if child == 0:
        try:
            sys.path.insert(0, folder)
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
    """A file finds its imports by itself, whichever file ran before it and wherever pytest was called."""
    names = sorted(str(path.with_suffix("")) for path in ROOT.glob("tests/**/test_*.py"))
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


# --- the way from a call to compiled code ---


class _Reached(BaseException):
    """Ends a fit at the first line of compiled code."""


def _calls_to(monkeypatch: Any, owner: Any, name: str, fit: Callable[[], object]) -> int:
    """Count the calls within fastgmm from `fit` to ``owner.name``, which is compiled."""
    found: list[int] = []

    def probe(*arguments: Any) -> None:
        frame, n = sys._getframe(1), 0
        while frame is not None:
            n += str(frame.f_globals.get("__name__")).startswith("fastgmm.")
            frame = frame.f_back  # type: ignore[assignment]
        found.append(n)
        raise _Reached

    probe.compile = lambda signature: None  # type: ignore[attr-defined]
    probe.typeof_pyval = type  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, probe)
        with pytest.raises(_Reached):
            fit()
    return found[0]


@pytest.mark.skipif(
    INDICES_CHECKED, reason="kernels that check their indices are compiled once more, without `parallel`"
)
def test_a_fit_is_flat(monkeypatch: Any) -> None:
    """A traceback from a kernel fits on a screen: 7 calls to EM's first compiled line, 9 to that of the default start."""
    from fastgmm.em import compiled_loop
    from fastgmm.kernels import kmeans, sweep

    X = np.random.default_rng(0).normal(size=(20_000, 3))
    given = {"weights_init": [0.5, 0.5], "means_init": X[:2], "precisions_init": np.tile(np.eye(3), (2, 1, 1))}
    model = fastgmm.GaussianMixture(2, random_state=0, max_iter=2, tol=1.0)
    model.fit(X)  # threads are started
    assert _calls_to(monkeypatch, kmeans, "seed", lambda: model.fit(X)) <= 9
    model.set_params(**given)
    assert _calls_to(monkeypatch, sweep, "sweep", lambda: model.fit(X)) <= 7
    assert _calls_to(monkeypatch, compiled_loop, "iterate", lambda: model.fit(X[:300])) <= 7

"""Build the sdist, and the wheel from it; check what is in them, and that the wheel alone installs and works.

    python .ci/package.py

Needs `build` and `mypy` (extra dev). The wheel goes into a fresh environment and is used from an empty folder, so that
nothing of the checkout can stand in for what it lacks.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: In bytes, compressed: half as much again as they have.
MOST_WHEEL, MOST_SDIST = 780_000, 1_400_000
#: What a build and the tests of an sdist cannot do without.
NEEDED = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "fastgmm/py.typed", "fastgmm/datasets/iris.csv")
NEEDED += ("tests/conftest.py", "tests/mclust_reference.json", "tests/typed/right.py", "bench/numpy_reference.py")
NEEDED += (".ci/lane.py", ".ci/oldest.txt")


def require(condition: bool, message: str) -> None:
    if not condition:
        raise SystemExit(message)


def built(folder: Path) -> tuple[Path, Path]:
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True, stdout=subprocess.DEVNULL)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


def check_sdist(path: Path) -> None:
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split(
        "\n"
    )
    require(not (lacking := set(NEEDED) - names), f"the sdist lacks {sorted(lacking)}")
    # hatchling adds the first and takes the second along wherever it is
    strange = names - set(tracked) - {"PKG-INFO", ".gitignore"}
    require(not strange, f"the sdist holds what is not under version control: {sorted(strange)}")
    require(not any(name.endswith(".png") for name in names), "the sdist holds pictures")
    require(path.stat().st_size <= MOST_SDIST, f"the sdist has {path.stat().st_size} bytes, more than {MOST_SDIST}")


def check_wheel(path: Path) -> None:
    names = zipfile.ZipFile(path).namelist()
    strange = [name for name in names if not name.startswith("fastgmm/") and ".dist-info/" not in name]
    require(not strange, f"the wheel holds {strange} beside the package")
    require("fastgmm/py.typed" in names, "the wheel lacks py.typed: type checkers would ignore its annotations")
    modules = {str(file.relative_to(ROOT)) for file in (ROOT / "fastgmm").rglob("*.py")}
    require(modules <= set(names), f"the wheel lacks {sorted(modules - set(names))}")
    kinds = {Path(name).suffix for name in names if name.startswith("fastgmm/")}
    require(kinds == {".py", ".typed", ".csv"}, f"the wheel holds files of the kinds {sorted(kinds)}")
    require(path.stat().st_size <= MOST_WHEEL, f"the wheel has {path.stat().st_size} bytes, more than {MOST_WHEEL}")


def check_installed(wheel: Path, folder: Path) -> None:
    """What `pip install` of the wheel adds to an environment, and what it can do from there."""
    home, empty = folder / "environment", folder / "empty"
    venv.create(home, with_pip=True)
    empty.mkdir()
    bin_folder = home / ("Scripts" if sys.platform == "win32" else "bin")
    python, before = bin_folder / "python", set(home.rglob("*"))

    def run(*command: str | Path) -> str:
        return subprocess.run(command, cwd=empty, check=True, capture_output=True, text=True).stdout

    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", wheel)
    added = [path for path in set(home.rglob("*")) - before if path.is_file()]
    outside = []
    for path in added:
        parts = path.relative_to(home).parts
        package = parts[parts.index("site-packages") + 1] if "site-packages" in parts else ""
        if not (package == "fastgmm" or package.endswith(".dist-info") or path.stem == "fastgmm"):
            outside.append(str(path))
    require(not outside, f"installing the wheel leaves {outside}")
    run(python, "-m", "pip", "install", "--quiet", wheel)
    require(str(home) in run(python, "-c", "import fastgmm; print(fastgmm.__file__)"), "another fastgmm was imported")
    require("setosa" in run(bin_folder / "fastgmm", "demo"), "the installed command's demo shows no iris")
    strict = (sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={folder / 'mypy'}")
    run(*strict, f"--python-executable={python}", ROOT / "tests" / "typed" / "right.py")
    require(not any(empty.iterdir()), f"using the package leaves {sorted(empty.iterdir())} in the working directory")
    print(f"the wheel installs {len(added)} files, all of them its own; demo and types checked from an empty folder")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sdist, wheel = built(folder / "dist")
        check_sdist(sdist)
        check_wheel(wheel)
        print(f"{sdist.name}: {sdist.stat().st_size // 1000} kB; {wheel.name}: {wheel.stat().st_size // 1000} kB")
        check_installed(wheel, folder)


if __name__ == "__main__":
    main()

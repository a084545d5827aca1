"""Run the tests against an installed fastgmm, away from the checkout; called by `tox`, which sets TOX_PACKAGE.

    python .ci/lane.py [pytest's arguments]

Of an sdist the tests are its own, else the checkout's. What the interpreter imports is the installed package.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

KEY = ("numpy", "scipy", "numba", "scikit-learn", "pandas", "pyarrow", "dask", "matplotlib")


def unpacked(sdist: Path, folder: str) -> Path:
    """The sdist's content but for the package itself, so that it cannot stand in for the installed one."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder)
    (source,) = Path(folder).iterdir()
    shutil.rmtree(source / "fastgmm")
    return source


def main() -> int:
    package = Path(os.environ["TOX_PACKAGE"])
    print(
        f"Python {sys.version.split()[0]},", ", ".join(f"{name} {version(name)}" for name in KEY), f"; {package.name}"
    )
    spec = importlib.util.find_spec("fastgmm")
    if spec is None or spec.origin is None or "site-packages" not in Path(spec.origin).parts:
        print(f"fastgmm is imported from {spec and spec.origin}, which is not what was installed")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(__file__).resolve().parents[1]
        source = unpacked(package, folder) if package.name.endswith(".tar.gz") else checkout
        command = [Path(sys.executable).with_name("pytest"), "--rootdir", source, "-c", source / "pyproject.toml"]
        return subprocess.run(
            [*command, source / "tests", "-p", "no:cacheprovider", *sys.argv[1:]], check=False
        ).returncode


if __name__ == "__main__":
    raise SystemExit(main())

"""Many small fits in one process: memory, threads, file handles and temporary files must not grow.

``python -m bench.soak --fits 10000`` prints what each of ten parts of the run left behind, and fails where the process grew by
more than `ALLOWED_MB` after the first part, or kept a thread, a file handle or a temporary file.

Of each ten fits: four plain ones of changing structures, starts, sizes and types, one from known groups, two that go on with
`partial_fit` and are saved and loaded, one from chunks, one that fails, and one search over models.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

import fastgmm
from fastgmm import GaussianMixture
from fastgmm.model.structures import MCLUST_NAMES

#: What a process may grow by after the warm-up: fragments of the allocator, caches of the interpreter.
ALLOWED_MB = 8.0
_STARTS = ("kmeans", "k-means++", "random", "random_from_data", "whitened", "hierarchical", "em-em", "auto")


class Usage(NamedTuple):
    """Of this process: resident memory, threads of Python, open file handles, files in the folder for temporary ones."""

    megabytes: float
    threads: int
    handles: int
    files: int


def usage(folder: Path) -> Usage:
    """Where it is known (Linux): 0 elsewhere."""
    gc.collect()
    proc = Path("/proc/self")
    handles = len(list((proc / "fd").iterdir())) if proc.exists() else 0
    pages = int((proc / "statm").read_text().split()[1]) if proc.exists() else 0
    page = os.sysconf("SC_PAGE_SIZE") if pages else 0
    return Usage(pages * page / 2**20, threading.active_count(), handles, len(list(folder.iterdir())))


def grown(usages: list[Usage]) -> str:
    """What grew after the first part of the run, or nothing."""
    first, last = usages[0], usages[-1]
    problems = []
    if last.megabytes - first.megabytes > ALLOWED_MB:
        problems.append(f"memory by {last.megabytes - first.megabytes:.1f} MB, of {ALLOWED_MB:.0f} allowed")
    for name in ("threads", "handles", "files"):
        before, after = getattr(first, name), getattr(last, name)
        if after > before:
            problems.append(f"{name} from {before} to {after}")
    return "; ".join(problems)


def fit(number: int, folder: Path) -> None:
    """The fit of a number; its kind repeats every ten, what it is made of later."""
    rng = np.random.default_rng(number)
    n, d, k = int(rng.integers(20, 200)), int(rng.integers(1, 5)), int(rng.integers(1, 4))
    X = rng.normal(size=(n, d)) + 3.0 * rng.normal(size=(k, d))[rng.integers(k, size=n)]
    X = X.astype((np.float64, np.float32)[number // 140 % 2])
    layout = MCLUST_NAMES[number // 10 % len(MCLUST_NAMES)]
    model = GaussianMixture(k, covariance_type=layout, random_state=number, reg_covar=1e-3, max_iter=20)
    _KINDS[number % 10](model, X, number, folder)


def _plain(model: GaussianMixture, X: np.ndarray, number: int, folder: Path) -> None:
    model.set_params(init_params=_STARTS[number // 10 % len(_STARTS)], n_init=1 + number % 3)
    model.fit(X).predict_proba(X)
    model.bic(X)


def _known_groups(model: GaussianMixture, X: np.ndarray, number: int, folder: Path) -> None:
    model.set_params(init_params=np.arange(len(X)) % model.n_components)
    model.fit_predict(X, sample_weight=np.ones(len(X)))


def _stream(model: GaussianMixture, X: np.ndarray, number: int, folder: Path) -> None:
    for _ in range(3):
        model.partial_fit(X)
    path = folder / "model.npz"
    model.save(path)
    assert np.array_equal(fastgmm.load(path).predict(X), model.predict(X))
    path.unlink()


def _chunks(model: GaussianMixture, X: np.ndarray, number: int, folder: Path) -> None:
    path = folder / "data.npy"
    np.save(path, X)
    model.fit(path, checkpoint=folder / "checkpoint.npz")
    model.fit(fastgmm.chunks([X[:7], X[7:]]))
    path.unlink()


def _failing(model: GaussianMixture, X: np.ndarray, number: int, folder: Path) -> None:
    bad = np.vstack([X, np.full(X.shape[1], np.nan)])
    singular = np.repeat([[0.0, 1.0], [1.0, 0.0]], 5, axis=0)
    collapsing = GaussianMixture(2, reg_covar=0.0, random_state=0)
    for estimator, data in ((model, bad), (collapsing, singular)):
        try:
            estimator.fit(data)
        except ValueError:
            continue
        raise AssertionError("this fit should have failed")


def _search(model: GaussianMixture, X: np.ndarray, number: int, folder: Path) -> None:
    fastgmm.select(X[:40], [1, 2], ["EII", "VVI", "EEE"] if X.shape[1] > 1 else "all", random_state=0, max_iter=20)


_KINDS: tuple[Callable[[GaussianMixture, np.ndarray, int, Path], None], ...] = (
    _plain,
    _known_groups,
    _plain,
    _stream,
    _chunks,
    _plain,
    _failing,
    _stream,
    _plain,
    _search,
)


def soak(n_fits: int, parts: int = 10, told: Callable[[str], None] | None = None) -> list[Usage]:
    """What the process holds after each part of so many fits."""
    usages: list[Usage] = []
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # temporary files of anything that is called land here, where they are counted
        before, tempfile.tempdir = tempfile.tempdir, name
        try:
            for part in range(parts):
                for number in range(part * n_fits // parts, (part + 1) * n_fits // parts):
                    fit(number, Path(name))
                usages.append(usage(Path(name)))
                if told is not None:
                    told(f"{number + 1:7d} fits  {usages[-1]}")
        finally:
            tempfile.tempdir = before
    return usages


def main(argv: list[str] | None = None) -> int:
    """Run it, print it, and return 1 where something grew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fits", type=int, default=10_000)
    usages = soak(parser.parse_args(argv).fits, told=lambda line: print(line, flush=True))
    problem = grown(usages)
    print(f"grew: {problem}" if problem else "nothing grew")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())

"""Choosing structure and size: `fastgmm.select`, mclust, and a loop over scikit-learn: ``python -m bench.select_grid``.

- ``scikit-learn, 4``: its `GaussianMixture` with each of its four covariance types and each number of components, BIC compared
- ``fastgmm, 4``: `select` over the same cells
- ``fastgmm, 14``: `select` over all structures
- ``mclust, 14``: `mclustBIC` over the same cells as that, on the first ``--mclust-samples`` samples, with `select` beside it.
  Needs `Rscript` and the R package mclust; left out, and said so, where they are missing. R's start and reading are not timed

Each side with its own defaults, hence its own starts and its own idea of convergence: no equal work, so the model that it chose and
its BIC (smaller is better) are printed beside the time. Sides alternate; a ratio is taken in each round, then the median
(`bench.compare`). mclust and scikit-learn's EM run on one thread, except for scikit-learn's k-means and products of matrices.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import environment
from bench.compare import Round, alternate, clock, collect, ratio
from bench.provenance import provenance
from bench.table import lines

SCRIPT = Path(__file__).with_name("mclust.R")
TYPES = ("full", "tied", "diag", "spherical")
SKLEARN, FOUR, ALL, MCLUST = "scikit-learn, 4", "fastgmm, 4", "fastgmm, 14", "mclust, 14"


class Choice(NamedTuple):
    """What a search chose, its BIC in scikit-learn's sign, and how many cells failed."""

    covariance_type: str
    n_components: int
    bic: float
    failed: int


Search = Callable[[], Choice]


def fastgmm_search(X: NDArray, largest: int, types: Any) -> Choice:
    import fastgmm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = fastgmm.select(X, n_components=range(1, largest + 1), covariance_types=types, random_state=0)
    best = found.best_model
    failed = int(np.isnan(np.asarray(found.bic, float)).sum())
    return Choice(best.covariance_type, best.n_components, float(best.bic(X)), failed)


def sklearn_search(X: NDArray, largest: int) -> Choice:
    from sklearn.mixture import GaussianMixture

    choices, failed = [], 0
    for covariance_type in TYPES:
        for k in range(1, largest + 1):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    model = GaussianMixture(k, covariance_type=covariance_type, random_state=0).fit(X)
            except ValueError:
                failed += 1
            else:
                choices.append(Choice(covariance_type, k, float(model.bic(X)), 0))
    return min(choices, key=lambda choice: choice.bic)._replace(failed=failed)


def mclust_search(X: NDArray, largest: int) -> tuple[float, Choice, str]:
    """Seconds of `mclustBIC`, what it chose, and the versions of mclust and R."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "samples.bin"
        file.write_bytes(np.asarray(X, np.float64).tobytes(order="F"))
        command = ["Rscript", str(SCRIPT), str(file), *map(str, X.shape), str(largest)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds, structure, k, bic, failed, versions = output.splitlines()
    return float(seconds), Choice(structure, int(k), -float(bic), int(failed)), versions


def mclust_missing() -> str | None:
    """Why mclust cannot take part; None where it can."""
    if shutil.which("Rscript") is None:
        return "Rscript is not installed"
    found = subprocess.run(["Rscript", "-e", "library(mclust)"], capture_output=True, check=False)
    return None if found.returncode == 0 else "R has no package mclust"


def against_sklearn(X: NDArray, largest: int, rounds: int) -> dict[str, Any]:
    searches: dict[str, Search] = {
        FOUR: lambda: fastgmm_search(X, largest, TYPES),
        SKLEARN: lambda: sklearn_search(X, largest),
        ALL: lambda: fastgmm_search(X, largest, "all"),
    }
    choices = {name: search() for name, search in searches.items()}  # warm-up, too
    times = collect(alternate(searches), least=rounds, most=rounds, seconds=0.0)
    return _figures(X, choices, times, FOUR)


def against_mclust(X: NDArray, largest: int, rounds: int) -> dict[str, Any]:
    def search() -> Choice:
        return fastgmm_search(X, largest, "all")

    choices, times, versions = {ALL: search()}, [], ""
    for _ in range(rounds):
        own = clock(search)
        seconds, choices[MCLUST], versions = mclust_search(X, largest)
        times.append({ALL: own, MCLUST: seconds})
    return {**_figures(X, choices, times, ALL), "mclust": versions}


def _figures(X: NDArray, choices: dict[str, Choice], times: list[Round], own: str) -> dict[str, Any]:
    return {
        "shape": X.shape,
        "rounds": times,
        "sides": {
            name: {
                "seconds": median(t[name] for t in times),
                "ratio": ratio(times, name, own)._asdict(),
                **choice._asdict(),
            }
            for name, choice in choices.items()
        },
    }


def _table(found: dict[str, Any], largest: int) -> list[str]:
    rows = [
        [
            name,
            f"{side['seconds']:.3g}",
            f"{side['ratio']['median']:.3g} ({side['ratio']['low']:.3g}-{side['ratio']['high']:.3g})",
            f"{side['covariance_type']}, {side['n_components']}",
            f"{side['bic']:.1f}",
            str(side["failed"]),
        ]
        for name, side in found["sides"].items()
    ]
    n, d = found["shape"]
    heading = f"{n} x {d}, 1 to {largest} components, {len(found['rounds'])} rounds"
    return [heading, *lines(["side", "seconds", f"x {next(iter(found['sides']))}", "chosen", "BIC", "failed"], rows)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.select_grid", description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=100_000, help="for scikit-learn")
    parser.add_argument("--mclust-samples", type=int, default=10_000, help="of these for mclust, which is slow")
    parser.add_argument("--features", type=int, default=8)
    parser.add_argument("--components", type=int, default=5, help="of the data")
    parser.add_argument("--largest", type=int, default=9, help="number of components tried")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--skip-mclust", action="store_true")
    parser.add_argument("--output", type=Path, help="a file for the figures, as JSON")
    options = parser.parse_args(arguments)
    for name in ("samples", "mclust_samples", "features", "components", "largest", "rounds"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} is {getattr(options, name)}; it must be at least 1")

    from fastgmm.datasets import make_mixture

    X = make_mixture(options.samples, options.features, options.components, random_state=2024).X
    command = shlex.join(["python", "-m", "bench.select_grid", *(sys.argv[1:] if arguments is None else arguments)])
    found: dict[str, Any] = {"command": command, **provenance()}
    print(f"{command}\n{found['cpu']}, {found['cores_allowed']} cores, {found['numba_threads']} threads")
    print(
        f"BLAS kernel {found['blas_kernel']}, numba {found['numba']}, numpy {found['numpy']}, scikit-learn {found['scikit-learn']}"
    )
    found["against scikit-learn"] = against_sklearn(X, options.largest, options.rounds)
    print("\n".join(["", *_table(found["against scikit-learn"], options.largest)]), flush=True)
    reason = "--skip-mclust" if options.skip_mclust else mclust_missing()
    if reason is None:
        fewer = X[: options.mclust_samples]
        found["against mclust"] = against_mclust(fewer, options.largest, options.rounds)
        print("\n".join(["", *_table(found["against mclust"], options.largest)]))
        print(f"mclust {found['against mclust']['mclust']}")
    else:
        print(f"mclust is left out: {reason}", file=sys.stderr)
    if options.output is not None:
        options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(environment.command(main))

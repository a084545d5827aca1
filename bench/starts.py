"""How often EM from each kind of start reaches the best known likelihood: ``python -m bench.starts``.

Stretched data: clusters whose means are 6 standard deviations apart along one axis, and which all vary 30 times as much
along every other one, turned at random; plain data: overlapping clusters of `make_mixture`. Each seed draws data and start. All
covariances are full, and EM goes on until an iteration gains less than 1e-8 per sample, at most 5000 times.

A start reaches the best known likelihood where the mean log-likelihood per sample, under the parameters that EM ends with,
is within 1e-3 of the best of all starts on these data and of EM from the true labels. Fits with a component of less than a
tenth of its fair share of the samples count as failures, and never as the best: such a covariance is nearly singular, and the
likelihood has no bound. A fit that raises is a failure.

scikit-learn runs its own EM, and so does mclust through ``Rscript`` (``Mclust(X, G=k, modelNames="VVV")``), where they are
installed. What follows the percentage is the time that the start takes, as a multiple of "kmeans".
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import fastgmm
from bench import environment
from fastgmm import GaussianMixture
from fastgmm.datasets import make_mixture
from fastgmm.init.starts import STARTS

TOL, MAX_ITER = 1e-8, 5000
REACHED = 1e-3
SKLEARN = ("kmeans", "k-means++", "random", "random_from_data")

#: Reads data-<seed>.csv, writes fit-<seed>.json; hierarchical start by default, of a subset of 2000 in larger data.
R_SCRIPT = """
suppressMessages(library(mclust)); suppressMessages(library(jsonlite))
a <- commandArgs(TRUE); k <- as.integer(a[2]); set.seed(0)
for (file in list.files(a[1], "^data-", full.names = TRUE)) {
  X <- as.matrix(read.csv(file, header = FALSE))
  m <- tryCatch(Mclust(X, G = k, modelNames = "VVV", verbose = FALSE,
                       control = emControl(tol = c(1e-10, 1e-8), itmax = c(5000, 100))), error = function(e) NULL)
  out <- if (is.null(m)) list() else list(weights = m$parameters$pro, means = t(m$parameters$mean),
                                          covariances = aperm(m$parameters$variance$sigma, c(3, 1, 2)))
  write_json(out, sub("data-(.*)csv", "fit-\\\\1json", file), digits = NA)
}
"""


class Data(NamedTuple):
    """A data set (n, d), the component of each sample, and how many there are."""

    X: NDArray
    labels: NDArray
    k: int


class Case(NamedTuple):
    """A kind of data, and its name in the table."""

    name: str
    make: Callable[[int], Data]


def stretched(n: int, d: int, k: int, seed: int, *, ratio: float = 30.0, separation: float = 6.0) -> Data:
    """Clusters that differ along one axis, of which the variance is much smaller than that of the others."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(k, size=n)
    X = rng.normal(size=(n, d))
    X[:, 1:] *= ratio
    X[:, 0] += separation * labels
    return Data(X @ np.linalg.qr(rng.normal(size=(d, d)))[0], labels, k)


def plain(n: int, d: int, k: int, seed: int) -> Data:
    """Overlapping clusters."""
    mixture = make_mixture(n, d, k, separation=3.0, random_state=seed)
    return Data(mixture.X, mixture.labels, k)


CASES = [
    Case("stretched, d = 2, k = 3", lambda seed: stretched(1500, 2, 3, seed)),
    Case("stretched, d = 10, k = 2", lambda seed: stretched(1500, 10, 2, seed)),
    Case("stretched, d = 10, k = 3", lambda seed: stretched(1500, 10, 3, seed)),
    Case("stretched, d = 30, k = 2", lambda seed: stretched(6000, 30, 2, seed)),
    Case("stretched, d = 30, k = 3", lambda seed: stretched(6000, 30, 3, seed)),
    Case("plain, d = 2, k = 8", lambda seed: plain(3000, 2, 8, seed)),
    Case("plain, d = 5, k = 5", lambda seed: plain(3000, 5, 5, seed)),
]


def value(data: Data, weights: Any, means: Any, covariances: Any) -> float:
    """Mean log-likelihood per sample; -inf where a component has next to no samples."""
    weights = np.asarray(weights, np.float64)
    if weights.min() < 0.1 / data.k:
        return -np.inf
    covariances = np.asarray(covariances, np.float64)
    covariances = (covariances + np.swapaxes(covariances, 1, 2)) / 2
    means = np.asarray(means, np.float64)
    return float(fastgmm.log_prob(data.X, weights / weights.sum(), means, covariances).mean())


def value_of(estimator: Any, data: Data, **arguments: Any) -> float:
    """That of a fit; -inf where it fails."""
    try:
        model = estimator(data.k, tol=TOL, max_iter=MAX_ITER, **arguments).fit(data.X)
    except ValueError:
        return -np.inf
    return value(data, model.weights_, model.means_, model.covariances_)


def seconds(kind: str, data: Data, seed: int) -> float:
    """Of the start alone."""
    began = time.perf_counter()
    GaussianMixture(data.k, init_params=kind, max_iter=0, random_state=seed).fit(data.X)
    return time.perf_counter() - began


def by_mclust(sets: Sequence[Data]) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        for i, data in enumerate(sets):
            np.savetxt(Path(folder) / f"data-{i}.csv", data.X, delimiter=",")
        script = Path(folder) / "fit.R"
        script.write_text(R_SCRIPT, encoding="ascii")
        subprocess.run(["Rscript", str(script), folder, str(sets[0].k)], check=True)
        fits = [json.loads((Path(folder) / f"fit-{i}.json").read_text()) for i in range(len(sets))]
    # a list of R without names, which stands for a fit that failed, is an array
    return [
        value(data, **fit) if isinstance(fit, dict) and fit else -np.inf for data, fit in zip(sets, fits, strict=True)
    ]


def rows(sets: Sequence[Data], mclust: bool) -> Iterator[tuple[str, list[float], float | None]]:
    """Name, what EM comes to on each data set, and the median time of the start, of each kind."""
    for kind in STARTS:
        found = [value_of(GaussianMixture, data, init_params=kind, random_state=i) for i, data in enumerate(sets)]
        # after the fits, so that everything is compiled
        yield f"`{kind}`", found, float(np.median([seconds(kind, data, i) for i, data in enumerate(sets)]))
    if find_spec("sklearn"):
        from sklearn.mixture import GaussianMixture as Theirs

        for kind in SKLEARN:
            found = [value_of(Theirs, data, init_params=kind, random_state=i) for i, data in enumerate(sets)]
            yield f"scikit-learn, `{kind}`", found, None
    if mclust:
        yield "mclust, VVV", by_mclust(sets), None


def column(sets: Sequence[Data], mclust: bool) -> dict[str, str]:
    """A cell for each kind of start, on data sets of one case."""
    table = list(rows(sets, mclust))
    known = [value_of(GaussianMixture, data, init_params=data.labels) for data in sets]
    best = np.max([known, *(found for _, found, _ in table)], axis=0)
    unit = table[0][2]
    cells = {}
    for name, found, time_of_start in table:
        cells[name] = f"{100 * float(np.mean(np.array(found) >= best - REACHED)):.0f} %"
        if time_of_start is not None and unit is not None:
            cells[name] += f", {_multiple(time_of_start / unit)}"
    return cells


def costs(n: int) -> dict[str, str]:
    """Time of each start on n plain samples, as a multiple of "kmeans"."""
    data = plain(n, 10, 5, 0)
    for kind in STARTS:
        seconds(kind, data, 0)
    found = {kind: float(np.median([seconds(kind, data, i) for i in range(3)])) for kind in STARTS}
    return {f"`{kind}`": _multiple(took / found["kmeans"]) for kind, took in found.items()}


def _multiple(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2g}"


def print_table(columns: dict[str, dict[str, str]]) -> None:
    names = list(next(iter(columns.values())))
    print("| start | " + " | ".join(columns) + " |\n" + "|---" * (1 + len(columns)) + "|")
    for name in names:
        print(f"| {name} | " + " | ".join(cells.get(name, "") for cells in columns.values()) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--cases", nargs="*", default=[case.name for case in CASES], help="by their names in the table")
    parser.add_argument("--samples", type=int, nargs="*", default=[10_000, 100_000, 1_000_000], help="for times by n")
    parser.add_argument("--no-mclust", action="store_true", help="leave it out, which is slow on many features")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    mclust = not options.no_mclust and shutil.which("Rscript") is not None
    columns = {}
    for case in CASES:
        if case.name in options.cases:
            columns[case.name] = column([case.make(seed) for seed in range(options.seeds)], mclust)
            print(f"{case.name}: {columns[case.name]}\n", flush=True)
    if columns:
        print_table(columns)
    if options.samples:
        print("\nTime of the start, d = 10, k = 5\n")
        print_table({f"n = {n:,}": costs(n) for n in options.samples})


if __name__ == "__main__":
    sys.exit(environment.command(main))

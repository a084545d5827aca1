"""Results of R's mclust, kept for `test_mclust.py`: ``python tests/mclust_reference.py`` makes mclust_reference.json anew.

That needs `Rscript` with the packages mclust and jsonlite (Debian: r-cran-mclust, r-cran-jsonlite). Data and starts are
made here, from fixed seeds; mclust gets them as numbers and is run as a program. Data are not kept, only a fingerprint.

For every case (data, labels to start from) and covariance structure the file has

- n_parameters, and the BIC of a single component in mclust's sign (larger is better)
- loglik: after 1, 2, 5 and 20 iterations, None where mclust gave up
- weights, means, covariances after 5 iterations (upper triangles, row by row), not for EVE and VVE: see `PATH_DEPENDENT`
- converged: log-likelihood at a relative gain below 1e-13, and the iterations to there

Iterations are counted as mclust counts them: M-step, E-step. The first M-step is that of the labels, and the log-likelihood
after T iterations is that of the parameters of the T-th M-step. In fastgmm the M-step of labels is the start, and
`lower_bounds[T - 1]` is of the parameters that enter iteration T: the same number, divided by n.

mclust stops the iterations within an M-step where they gain little, 1.5e-8 relative, when that of VEE may still miss the maximum by
1e-6 of the log-likelihood (iris, first iterations), and at 1e-14 by 1e-8. So all `INNER_ITMAX` are made: M-steps are those of the
definition.
"""

from __future__ import annotations

import datetime
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm.datasets import load_faithful, load_iris, make_mixture

FILE = Path(__file__).with_suffix(".json")
SCRIPT = Path(__file__).with_suffix(".R")
COMMAND = "python tests/mclust_reference.py"

STRUCTURES = ["EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV"]
ONE_DIMENSIONAL = ["E", "V"]
#: The orientation has several stationary points: where two M-steps differ, both may be right.
PATH_DEPENDENT = ("EVE", "VVE")

ITERATIONS = (1, 2, 5, 20)
PARAMETERS_AFTER = 5
TOL, MOST = 1e-13, 20_000
INNER_ITMAX = 500
LARGEST = 9


class Case(NamedTuple):
    """Samples (n, d) and the labels 0..k-1 that EM starts from (n,)."""

    X: NDArray[np.float64]
    labels: NDArray[np.int64]

    @property
    def n_components(self) -> int:
        return int(self.labels.max()) + 1

    @property
    def structures(self) -> list[str]:
        return ONE_DIMENSIONAL if self.X.shape[1] == 1 else STRUCTURES

    @property
    def fingerprint(self) -> list[float]:
        """Numbers that tell whether data and start are those of the file."""
        index = np.arange(1.0, len(self.X) + 1)
        return [float(v) for v in (self.X.sum(), (self.X**2).sum(), index @ self.X.sum(axis=1), index @ self.labels)]

    def undefined(self, structure: str) -> bool:
        """Whether a component starts with too few samples for the M-step to have one answer.

        With n_k <= d its scatter is singular: VVV and EVV need the determinant. With n_k < d the scatter has several
        eigenvalues of zero, whose axes are anyone's choice, where EEV and VEV give the axes variances that differ.
        """
        least = int(np.bincount(self.labels).min())
        d = self.X.shape[1]
        return least < d if structure in ("EEV", "VEV") else least <= d and structure in ("EVV", "VVV")


def perturbed(labels: NDArray, seed: int, share: float = 0.2) -> NDArray[np.int64]:
    """Labels of which a share is drawn anew: a start that EM has something to do from."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(labels.max() + 1, size=len(labels))
    return np.where(rng.random(len(labels)) < share, drawn, labels).astype(np.int64)


def thirds(X: NDArray, k: int, seed: int) -> Case:
    """Start from k equal parts of the samples, ordered by the first feature, perturbed."""
    ranks = np.argsort(np.argsort(X[:, 0], kind="stable"), kind="stable")
    return Case(X, perturbed(ranks * k // len(X), seed))


def clusters(n: int, means: NDArray, roots: NDArray, seed: int) -> Case:
    """Samples mean_k + root_k z of equally likely components; `roots` (k, d, d)."""
    rng = np.random.default_rng(seed)
    k, d = means.shape
    labels = rng.integers(k, size=n)
    X = means[labels] + np.einsum("nij,nj->ni", roots[labels], rng.standard_normal((n, d)))
    return Case(X, perturbed(labels, seed + 1))


def rotation(d: int, seed: int) -> NDArray[np.float64]:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]


def mixture(n: int, d: int, k: int, separation: float, seed: int) -> Case:
    drawn = make_mixture(n, d, k, separation=separation, random_state=seed)
    return Case(drawn.X, perturbed(drawn.labels, seed))


def cases() -> dict[str, Case]:
    """All cases by name."""
    faithful, iris = load_faithful().data, load_iris().data
    stretched = rotation(2, 1) @ np.diag([10.0, 0.3])
    shape = rotation(3, 2) @ np.diag([2.0, 1.0, 0.4])
    volumes = np.array([0.3, 1.0, 3.0])[:, None, None]
    turned = np.stack([rotation(5, seed) for seed in range(4)]) * np.array([3.0, 1.5, 1.0, 0.7, 0.4])
    axes = rotation(3, 5) * np.random.default_rng(6).uniform(0.3, 3.0, (4, 1, 3))
    scale, far = np.diag([1e-2, 1.0, 1e3]), np.array([5.0, -1e4, 1e6])
    scaled = clusters(300, far + np.array([[0, 0, 0], [0.04, 2, 900], [-0.05, 3, -2000]]), np.stack([scale] * 3), 40)
    rng = np.random.default_rng(7)
    few = clusters(60, np.array([[0.0] * 5, [4.0] * 5, [-4.0] * 5]), np.stack([np.eye(5)] * 3), 50)
    few.labels[few.labels == 2] = 0
    few.labels[:4] = 2
    return {
        "faithful 2": thirds(faithful, 2, 10),
        "faithful 3": thirds(faithful, 3, 11),
        "iris 2": thirds(iris, 2, 12),
        "iris 3": thirds(iris, 3, 13),
        "stretched": clusters(300, np.array([[0.0, 0], [1, 2], [-2, 4]]), np.stack([stretched] * 3), 20),
        "volumes": clusters(400, np.array([[0.0, 0, 0], [4, 0, 1], [0, 5, -3]]), volumes * shape, 22),
        "turned": clusters(600, rng.normal(0.0, 3.0, (4, 5)), turned, 24),
        "common axes": clusters(500, rng.normal(0.0, 3.0, (4, 3)), axes, 26),
        "far and scaled": scaled,
        "overlapping": mixture(200, 2, 4, 3.0, 30),
        "three features": mixture(250, 3, 2, 3.0, 31),
        "ten features": mixture(600, 10, 3, 4.0, 32),
        "few": few,
        "waiting times": thirds(faithful[:, 1:], 2, 60),
        "petal lengths": thirds(iris[:, 2:3], 3, 61),
        "line": clusters(500, np.array([[0.0], [3], [9]]), np.array([1.0, 0.5, 3.0]).reshape(3, 1, 1), 62),
        "far on a line": clusters(200, np.array([[1e4], [1e4 + 3]]), np.ones((2, 1, 1)), 64),
    }


def missing() -> str | None:
    """Return the program or package that mclust lacks; None if it can run."""
    if shutil.which("Rscript") is None:
        return "Rscript is not installed"
    check = ["Rscript", "-e", "library(mclust); library(jsonlite)"]
    found = subprocess.run(check, capture_output=True, text=True, check=False)
    advice = "install.packages(c('mclust', 'jsonlite')), or Debian's r-cran-mclust and r-cran-jsonlite"
    return None if found.returncode == 0 else f"R lacks mclust or jsonlite: {advice}"


def run(chosen: dict[str, Case], searches: dict[str, NDArray]) -> dict[str, Any]:
    """Return the results of mclust, in the form of the file."""
    jobs = {
        "iterations": ITERATIONS, "tol": TOL, "most": MOST, "inner_itmax": INNER_ITMAX,
        "largest": LARGEST, "searches": {name: X.tolist() for name, X in searches.items()},
        "cases": {
            name: {"X": case.X.tolist(), "labels": (case.labels + 1).tolist(), "structures": case.structures}
            for name, case in chosen.items()
        },
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        job_file, result_file = Path(folder) / "jobs.json", Path(folder) / "results.json"
        job_file.write_text(json.dumps(jobs), encoding="utf-8")
        subprocess.run(["Rscript", str(SCRIPT), str(job_file), str(result_file)], check=True)
        found = json.loads(result_file.read_text(encoding="utf-8"))
    return {
        "mclust": found["mclust"],
        "R": found["R"],
        "cases": {
            name: {
                "fingerprint": case.fingerprint,
                "structures": {s: _cell(s, case, found["cases"][name][s]) for s in case.structures},
            }
            for name, case in chosen.items()
        },
        "searches": {name: _search(found["searches"][name]) for name in searches},
    }


def _cell(structure: str, case: Case, found: dict[str, Any]) -> dict[str, Any]:
    after = dict(zip(ITERATIONS, found["after"], strict=True))
    last = found["converged"]
    cell = {
        "n_parameters": found["n_parameters"],
        "bic_of_one": found["bic_of_one"],
        "loglik": [after[t]["loglik"] for t in ITERATIONS],
        "code": min(after[t]["code"] for t in ITERATIONS),
        "converged": {"loglik": last["loglik"], "n_iter": last["n_iter"], "code": last["code"]},
    }
    if structure not in PATH_DEPENDENT and after[PARAMETERS_AFTER]["loglik"] is not None:
        cell |= _parameters(case, after[PARAMETERS_AFTER])
    return cell


def _parameters(case: Case, found: dict[str, Any]) -> dict[str, Any]:
    """Weights (k,), means (k, d) and the upper triangles of covariances (k, d (d + 1) / 2), to 12 digits."""
    k, d = case.n_components, case.X.shape[1]
    means = np.array(found["mean"], dtype=float).reshape(d, k).T
    if d == 1:
        triangles = np.broadcast_to(found["sigmasq"], k).reshape(k, 1)
    else:
        row, column = np.triu_indices(d)
        triangles = np.array(found["sigma"], dtype=float)[row, column].T
    digits = {"weights": np.array(found["pro"], dtype=float), "means": means, "covariances": triangles}
    return {name: _rounded(value.tolist()) for name, value in digits.items()}


def _rounded(values: Any) -> Any:
    return [_rounded(v) for v in values] if isinstance(values, list) else float(f"{values:.12g}")


def _search(found: dict[str, Any]) -> dict[str, Any]:
    partitions = ["".join(str(label - 1) for label in labels) for labels in found["partitions"]]
    return {**found, "partitions": partitions}


def load() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))


def lines(results: dict[str, Any]) -> Iterable[str]:
    """The file: one line for each cell."""
    text = json.dumps(results, separators=(",", ":"))
    for mark in ('"cases":', '"searches":', '"fingerprint":', *(f'"{s}":{{' for s in STRUCTURES + ONE_DIMENSIONAL)):
        text = text.replace(mark, "\n" + mark)
    return text.splitlines()


def main() -> int:
    reason = missing()
    if reason is not None:
        print(f"mclust cannot be run: {reason}", file=sys.stderr)
        return 2
    searches = {"faithful": load_faithful().data, "iris": load_iris().data}
    results = run(cases(), searches)
    facts = {"command": COMMAND, "date": datetime.date.today().isoformat()}
    FILE.write_text("\n".join(lines({**facts, **results})) + "\n", encoding="utf-8")
    print(f"{FILE}: mclust {results['mclust']}, R {results['R']}, {FILE.stat().st_size / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())

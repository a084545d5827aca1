"""Results of R's mclust with priors and with noise: ``python tests/mclust_beyond.py`` makes mclust_beyond.json anew.

As `mclust_reference.py`, which says what is needed and how iterations are counted. mclust gets data and labels as numbers, and
is run as a program. Structures with a prior are those whose M-step in mclust is that of Fraley & Raftery (2007): VII, VVI, EEE,
VVV, E and V. Its EII, EEI and EEV leave the means where the data put them, or count the prior otherwise than the paper does, and
so do VEI, EVI and VEV; the others have no prior there. It takes no notice of a `dof` that is given (9 and 4 give the same), and
without shrinkage its ``me`` for VVV is not its own ``mstep``, which counts as fastgmm does.
"""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from mclust_reference import INNER_ITMAX, MOST, STRUCTURES, TOL, Case, cases, missing
from numpy.typing import NDArray

from fastgmm.datasets import load_faithful, load_iris

FILE = Path(__file__).with_suffix(".json")
SCRIPT = Path(__file__).with_suffix(".R")
ITERATIONS = (1, 5)
WITH_PRIOR = ("VII", "VVI", "EEE", "VVV")
#: A prior whose hyper-parameters are given, for two features.
GIVEN = {"mean": [3.0, 70.0], "shrinkage": 5.0, "scale": [[0.3, 0.5], [0.5, 30.0]]}
DEFAULT: dict[str, Any] = {}
#: Means have no prior.
FLAT = {"shrinkage": 0.0}


def noisy() -> Case:
    """Old Faithful, and 60 samples of noise in its box and a little beyond: labels -1."""
    X = load_faithful().data
    noise = np.random.default_rng(7).uniform([1.5, 40.0], [5.5, 100.0], size=(60, 2))
    labels = np.where(X[:, 0] < 3.0, 0, 1)
    return Case(np.vstack([X, noise]), np.concatenate([labels, np.full(60, -1)]))


def jobs() -> dict[str, tuple[Case, list[tuple[str, dict[str, Any] | None]]]]:
    """Cases by name, and what is run on each: structures and arguments of priors."""
    known = cases()
    return {
        "iris": (known["iris 3"], [(name, DEFAULT) for name in WITH_PRIOR]),
        "few": (known["few"], [(name, DEFAULT) for name in WITH_PRIOR]),
        "faithful": (known["faithful 2"], [(name, prior) for name in ("EEE", "VVV") for prior in (DEFAULT, GIVEN)]),
        "flat": (known["faithful 2"], [("VII", FLAT)]),
        "one feature": (known["petal lengths"], [("E", DEFAULT), ("V", DEFAULT)]),
        "noise": (noisy(), [(name, None) for name in STRUCTURES]),
        "noise and prior": (noisy(), [(name, DEFAULT) for name in WITH_PRIOR]),
    }


def volumes() -> dict[str, NDArray[np.float64]]:
    return {"iris": load_iris().data, "faithful": load_faithful().data, "noise": noisy().X}


def run() -> dict[str, Any]:
    asked = {
        name: {
            "X": case.X.tolist(),
            "labels": (case.labels + 1).tolist(),
            "runs": [{"structure": structure, "prior": prior} for structure, prior in runs],
        }
        for name, (case, runs) in jobs().items()
    }
    facts = {"iterations": ITERATIONS, "inner_itmax": INNER_ITMAX, "most": MOST, "tol": TOL}
    iris = load_iris().data.tolist()
    facts |= {"volumes": {name: X.tolist() for name, X in volumes().items()}, "cases": asked}
    facts["scales"] = {name: {"X": iris, "k": 3, "structure": name} for name in ("VVV", "VVI")}
    with tempfile.TemporaryDirectory() as folder:
        job_file, result_file = Path(folder, "jobs.json"), Path(folder, "results.json")
        job_file.write_text(json.dumps(facts), encoding="utf-8")
        subprocess.run(["Rscript", str(SCRIPT), str(job_file), str(result_file)], check=True)
        found = json.loads(result_file.read_text(encoding="utf-8"))
    return {
        "mclust": found["mclust"],
        "R": found["R"],
        "volumes": found["volumes"],
        "scales": found["scales"],
        "cases": {
            name: {
                "fingerprint": case.fingerprint,
                "runs": [_cell(*each, result) for each, result in zip(runs, found["cases"][name], strict=True)],
            }
            for name, (case, runs) in jobs().items()
        },
    }


def _cell(structure: str, prior: dict[str, Any] | None, found: dict[str, Any]) -> dict[str, Any]:
    return {
        "structure": structure,
        "prior": prior,
        "n_parameters": found["n_parameters"],
        "loglik": [one["loglik"] for one in found["after"]],
        "converged": found["converged"]["loglik"],
        "weights": found["converged"]["pro"],
    }


def load() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))


def main() -> int:
    reason = missing()
    if reason is not None:
        print(f"mclust cannot be run: {reason}", file=sys.stderr)
        return 2
    results = {"command": "python tests/mclust_beyond.py", "date": datetime.date.today().isoformat(), **run()}
    text = json.dumps(results, separators=(",", ":"))
    for mark in ('"volumes":', '"scales":', '"cases":', '"fingerprint":', '{"structure":'):
        text = text.replace(mark, "\n" + mark)
    FILE.write_text(text + "\n", encoding="utf-8")
    print(f"{FILE}: mclust {results['mclust']}, R {results['R']}, {FILE.stat().st_size / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Discriminant analysis and bootstrap by R's mclust: ``python tests/mclust_classes.py`` makes mclust_classes.json anew.

As `mclust_reference.py`, which says what is needed. EDDA is of all fourteen structures; MclustDA chooses a structure and one to
five components for each class by BIC. Standard errors are of the data on acidity that mclust brings, with two components of equal
variance; tests are of one and of two components of Old Faithful against one more.
"""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from mclust_reference import STRUCTURES, missing

from fastgmm.datasets import load_iris

FILE = Path(__file__).with_suffix(".json")
SCRIPT = Path(__file__).with_suffix(".R")
#: Of so many samples in a row, the probabilities of the first are kept.
EVERY = 7


def run() -> dict[str, Any]:
    iris = load_iris()
    assert iris.target is not None
    case = {"X": iris.data.tolist(), "labels": (iris.target + 1).tolist(), "edda": list(STRUCTURES)}
    with tempfile.TemporaryDirectory() as folder:
        job_file, result_file = Path(folder, "jobs.json"), Path(folder, "results.json")
        job_file.write_text(
            json.dumps({"cases": {"iris": case}, "every": EVERY, "resamples": 1999, "tested": 199}), encoding="utf-8"
        )
        subprocess.run(["Rscript", str(SCRIPT), str(job_file), str(result_file)], check=True)
        found = json.loads(result_file.read_text(encoding="utf-8"))
    return {"made": datetime.date.today().isoformat(), "every": EVERY, **found}


if __name__ == "__main__":
    if reason := missing():
        sys.exit(reason)
    FILE.write_text(json.dumps(run()) + "\n", encoding="utf-8")

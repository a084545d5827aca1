"""Data outside memory against the same data in memory: what reading costs where the file is in the system's cache."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastgmm
from bench.cases import Case

# so large that they are not simply loaded; A and B of the other benchmarks, times ten
STREAMS = [Case("As", 8_000_000, 2, 8, "full", n_iter=4), Case("Bs", 1_500_000, 10, 16, "full", n_iter=3)]


@pytest.mark.parametrize("case", STREAMS, ids=lambda case: case.name)
def test_streams(case: Case, quick: bool, measure: Callable, tmp_path: Path) -> None:
    """A `.npy` file and a list of uneven chunks: their time over that of memory, for the same bits.

    The columns "x file" and "x chunks" are ratios to the fit in memory: 1 is as fast.
    """
    problem = case.problem(quick)
    X, case = problem.X, problem.case
    path = tmp_path / "x.npy"
    np.save(path, X)
    parts = np.array_split(X, [len(X) // 7, len(X) // 3])

    def fit(data: Any) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*did not converge")
            return fastgmm.GaussianMixture(
                case.k,
                tol=0.0,
                max_iter=case.n_iter,
                weights_init=problem.weights,
                means_init=problem.means,
                precisions_init=problem.precisions,
            ).fit(data)

    def check(results: dict[str, Any]) -> None:
        for name, model in results.items():
            assert model.lower_bounds_ == results["fastgmm"].lower_bounds_, name
            assert np.array_equal(model.covariances_, results["fastgmm"].covariances_), name

    sources = {"fastgmm": X, "file": path, "chunks": fastgmm.chunks(parts)}
    measure({name: partial(fit, data) for name, data in sources.items()}, check)

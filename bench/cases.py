"""What is timed: shapes, their data, and the start that all sides share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastgmm.datasets import Mixture


class Problem(NamedTuple):
    """Data of a case and the parameters that EM starts from, all in the dtype of the case.

    covariances : (k, d, d) full, (d, d) tied, (k, d) diag, (k,) spherical
    """

    case: Case
    X: NDArray
    weights: NDArray
    means: NDArray
    covariances: NDArray

    @property
    def precisions(self) -> NDArray:
        """Inverse covariances, in the shape of `covariances`: scikit-learn's `precisions_init`."""
        if self.case.covariance_type in ("full", "tied"):
            return np.linalg.inv(self.covariances)
        return 1.0 / self.covariances

    def warm_up(self, n_samples: int = 4096) -> Problem:
        """Return one iteration on the first samples: all code and all threads, hardly any time or memory."""
        return self._replace(X=self.X[:n_samples], case=replace(self.case, n_iter=1))


@dataclass(frozen=True)
class Case:
    """One shape: n samples, d features, k components.

    separation : float
        Of the clusters, as `fastgmm.datasets.make_mixture` has it.
    start : {"samples", "truth"}
        Where EM starts. "samples": k samples, each with the covariance of all of them, as far from the end as a
        careless start is. "truth": near the parameters that the data were drawn with.
    note : str
        What is special, in the tables of the README.
    quick_n, quick_k : int, int or None
        Samples and components (None: k) where nothing is timed. No component may starve: oneDAL has no `reg_covar` and
        gives up at a covariance that is singular.
    """

    name: str
    n: int
    d: int
    k: int
    covariance_type: str
    dtype: str = "float64"
    n_iter: int = 5
    separation: float = 3.0
    start: str = "samples"
    note: str = ""
    quick_n: int = 4000
    quick_k: int | None = None

    @property
    def label(self) -> str:
        kind = self.covariance_type + ("" if self.dtype == "float64" else f" {self.dtype}")
        return f"{self.name} {kind} {self.n}x{self.d}x{self.k}"

    @property
    def rtol(self) -> float:
        """How closely the mean log-likelihoods of two sides agree, relative."""
        return 1e-6 if self.dtype == "float64" else 1e-4

    @property
    def flops(self) -> int:
        """Useful operations of one iteration: log-densities and sums over all samples and components."""
        each = {"full": 2 * self.d * (self.d + 1), "tied": 8 * self.d, "diag": 8 * self.d, "spherical": 6 * self.d}
        return self.n * self.k * each[self.covariance_type]

    def problem(self, quick: bool) -> Problem:
        return _problem(replace(self, n=self.quick_n, k=self.quick_k or self.k) if quick else self)


CASES = [
    Case("A", 400_000, 2, 8, "full", note="tiny d"),
    Case("B", 200_000, 10, 16, "full"),
    Case("C", 80_000, 32, 16, "full", quick_n=8000),
    Case("D", 25_000, 128, 8, "full", note="high d", quick_k=2),
    # from single samples some of so many components would end with one sample each: no equal work without reg_covar
    Case("E", 50_000, 39, 256, "diag", start="truth", note="wide k", quick_k=32),
    Case("F", 200_000, 8, 32, "spherical"),
    Case("G", 100_000, 16, 16, "tied"),
    Case("H", 150, 4, 3, "full", n_iter=20, note="iris, 20 iterations", quick_n=150),
    # so far apart that a sample has one responsibility that is not zero: gained by whoever skips the others
    Case("I", 100_000, 16, 512, "full", n_iter=2, separation=100.0, start="truth", note="wide k, apart", quick_k=32),
    Case("B32", 200_000, 10, 16, "full", "float32"),
    Case("C32", 80_000, 32, 16, "full", "float32", quick_n=8000),
]
BY_NAME = {case.name: case for case in CASES}


def cases(names: str) -> list[Case]:
    """Cases by their names, separated by spaces."""
    return [BY_NAME[name] for name in names.split()]


@lru_cache(maxsize=1)
def _problem(case: Case) -> Problem:
    from fastgmm import datasets

    if case.name == "H":
        X = datasets.load_iris().data.astype(case.dtype)
        return Problem(case, X, *_from_samples(case, X))
    # where neighbouring components overlap (separation 3), responsibilities are spread: no side can gain by skipping
    mixture = datasets.make_mixture(
        case.n, case.d, case.k, separation=case.separation, random_state=2024, dtype=case.dtype
    )
    start = _from_samples(case, mixture.X) if case.start == "samples" else _from_truth(case, mixture)
    return Problem(case, mixture.X, *start)


def _from_samples(case: Case, X: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    total = np.atleast_2d(np.cov(X, rowvar=False, dtype=np.float64))
    return _start(case, X[:: case.n // case.k][: case.k], np.broadcast_to(total, (case.k, case.d, case.d)))


def _from_truth(case: Case, mixture: Mixture) -> tuple[NDArray, NDArray, NDArray]:
    noise = np.random.default_rng(7).normal(0.0, 0.1, mixture.means.shape)
    return _start(case, mixture.means + noise, mixture.covariances)


def _start(case: Case, means: NDArray, matrices: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Equal weights, these means, and from (k, d, d) matrices covariances of the case's type; in its dtype."""
    diagonals = np.diagonal(matrices, axis1=1, axis2=2)
    covariances = {
        "full": lambda: matrices,
        "tied": lambda: matrices.mean(axis=0),
        "diag": lambda: diagonals,
        "spherical": lambda: diagonals.mean(axis=1),
    }[case.covariance_type]()
    weights = np.full(case.k, 1.0 / case.k)
    return (weights.astype(case.dtype), means.astype(case.dtype), np.array(covariances, case.dtype))

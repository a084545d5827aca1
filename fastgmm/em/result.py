"""Settings and results of EM."""

from __future__ import annotations

from dataclasses import dataclass

from fastgmm.model.params import Params


@dataclass(frozen=True)
class Settings:
    """When EM stops and what its M-step adds to variances."""

    tol: float
    reg_covar: float
    max_iter: int
    n_threads: int | None = None


@dataclass(frozen=True)
class Fit:
    """Outcome of one EM run.

    lower_bounds[t] is the mean log-likelihood per sample of the parameters that *entered* iteration t + 1, as
    scikit-learn reports it; `params` are those after the last M-step and at least as likely. `given_up` says why one of
    several starts was not gone on with, and is empty where it ended of itself.
    """

    params: Params
    converged: bool
    n_iter: int
    lower_bound: float
    lower_bounds: list[float]
    given_up: str = ""

"""The result of a run of EM."""

from __future__ import annotations

from dataclasses import dataclass

from fastgmm.model.params import Params


@dataclass(frozen=True)
class FitResult:
    """Outcome of one run of EM.

    lower_bounds[t] is the bound of the parameters that *entered* iteration t + 1, as scikit-learn reports it. For maximum
    likelihood it is the mean log-likelihood per sample. `params` are those after the last M-step and at least as likely.
    `n_passes` counts the sweeps over the data, those included whose proposal was rejected (`em.accelerate`).
    `n_resets` says how often components were started anew (`fitting.resets`); iterations and bounds are those since the last time.
    `stopped_early` says why one of several runs was stopped by a rule, and is empty if it ended of itself.
    """

    params: Params
    converged: bool
    n_iter: int
    lower_bound: float
    lower_bounds: list[float]
    n_passes: int
    stopped_early: str = ""
    n_resets: int = 0

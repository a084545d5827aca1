"""Several starts on a sample first: which of them are worth EM on all of many samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastgmm.em import driver
from fastgmm.em.result import Fit, Settings
from fastgmm.init.em_em import NUMBERS, enough
from fastgmm.init.starts import Start
from fastgmm.model.params import Params
from fastgmm.model.structures import Structure
from fastgmm.sources.array import ArraySource

#: Samples of the first runs, at least, and numbers for each free parameter (`em_em.NUMBERS`); and how many times as many
#: there are to be in all, or nothing is saved.
SAMPLE, TIMES = 20_000, 4
#: So many runs with different ends, at most, go on to all samples.
GO_ON = 3


@dataclass(frozen=True)
class Shortlist:
    """Parameters that EM on all samples begins from, the best first, and the bounds of all runs on the sample."""

    params: list[Params]
    ends: list[float]
    n_samples: int


def sample_size(structure: Structure, k: int, d: int) -> int:
    """Samples that starts are compared on."""
    return max(SAMPLE, NUMBERS * structure.n_parameters(k, d) // d)


def shortlist(
    sample: ArraySource,
    start: Start,
    structure: Structure,
    settings: Settings,
    random_state: np.random.RandomState,
    n_starts: int,
) -> Shortlist:
    """EM to its end on `sample` from `n_starts` starts; the best, and the next ones whose bounds differ by more than tol.

    Those with a component of a handful of samples come last (`em_em.enough`). Runs that fail are left out; ValueError of the
    first where all do.
    """
    fits: list[Fit] = []
    failure: ValueError | None = None
    for _ in range(n_starts):
        try:
            params = start.params(sample, structure, random_state)
            fits.append(driver.run(sample, params, structure, settings))
        except ValueError as error:
            failure = failure or error
    if not fits:
        assert failure is not None
        raise failure
    shape = fits[0].params.means.shape

    def rank(fit: Fit) -> tuple[bool, float]:
        return enough(float(fit.params.weights.min()) * sample.n_samples, structure, *shape), fit.lower_bound

    chosen: list[Fit] = []
    for fit in sorted(fits, key=rank, reverse=True):
        if len(chosen) < GO_ON and all(abs(fit.lower_bound - one.lower_bound) > settings.tol for one in chosen):
            chosen.append(fit)
    return Shortlist([fit.params for fit in chosen], [fit.lower_bound for fit in fits], sample.n_samples)

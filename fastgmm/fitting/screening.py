"""Screening: several starts on a sample, if there are many more samples; the best of them continue on all."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from fastgmm._errors import survivors
from fastgmm.data.source import ArraySource
from fastgmm.em.accelerate import Accelerator
from fastgmm.em.loop import run
from fastgmm.em.result import FitResult
from fastgmm.em.step import Step
from fastgmm.em.stop import Stop
from fastgmm.fitting.resets import Resets, run_with_resets
from fastgmm.init.best_of import rank
from fastgmm.init.em_em import NUMBERS
from fastgmm.model.params import Params
from fastgmm.model.structures import Structure

#: Samples of the first runs, at least, and numbers for each free parameter (`em_em.NUMBERS`); and how many times as many
#: there must be in all, or nothing is saved.
SAMPLE, TIMES = 20_000, 4
#: Runs with different final bounds that continue on all samples, at most.
CONTINUE = 3


class Screening(NamedTuple):
    """Parameters that EM on all samples begins from, the best first, and the bounds of all runs on the sample."""

    params: list[Params]
    final_bounds: list[float]
    n_samples: int


def sample_size(structure: Structure, k: int, d: int) -> int:
    """Return the number of samples that starts are compared on."""
    return max(SAMPLE, NUMBERS * structure.n_parameters(k, d) // d)


def screened(
    sample: ArraySource,
    start: Callable[[], Params],
    n_starts: int,
    step: Step,
    stop: Stop,
    n_threads: int | None,
    accelerator: Callable[[], Accelerator | None] = lambda: None,
    most_resets: int = 0,
) -> Screening:
    """Run EM to its end on `sample` from `n_starts` starts; keep the best, and the next ones whose bounds differ by more than tol.

    Those with a component of very few samples are ranked last (`best_of.rank`). Runs that fail are left out; the ValueError of
    the first is raised if all do.
    """

    def one() -> FitResult:
        if most_resets:
            resets = Resets(most_resets)
            return run_with_resets(sample, start(), step, stop, resets, n_threads=n_threads, accelerator=accelerator)
        return run(sample, start(), step, stop, n_threads=n_threads, accelerator=accelerator())

    results = survivors([one] * n_starts)
    kept: list[FitResult] = []
    for result in sorted(results, key=lambda result: rank(result, step, sample.n_samples), reverse=True):
        different = all(abs(result.lower_bound - one.lower_bound) > stop.tol for one in kept)
        if len(kept) < CONTINUE and different:
            kept.append(result)
    return Screening([result.params for result in kept], [result.lower_bound for result in results], sample.n_samples)

"""The best of several starts after a few steps of EM."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from fastgmm._errors import survivors
from fastgmm.data.source import ArraySource
from fastgmm.em.loop import run
from fastgmm.em.result import FitResult
from fastgmm.em.step import Step
from fastgmm.em.stop import Stop
from fastgmm.model.params import Params
from fastgmm.model.structures import Structure

#: EM steps that candidates are compared after.
STEPS = 5
#: Numbers for each parameter of a component (d a sample) that are more than a handful of samples.
HANDFUL = 4


def rank(result: FitResult, step: Step, n_samples: int) -> tuple[bool, float]:
    """Return the sort key of a run: its bound, with degenerate runs (a component of very few samples) ranked last.

    A step whose components may be empty has none of these.
    """
    smallest = float(result.params.weights.min()) * n_samples
    good = step.may_empty or is_not_degenerate(smallest, step.structure, *result.params.means.shape)
    return good, result.lower_bound


def is_not_degenerate(smallest: float, structure: Structure, k: int, d: int) -> bool:
    """Return whether a component of `smallest` samples has at least `HANDFUL` numbers for each of its parameters.

    With fewer its covariance is nearly singular, and the likelihood has no bound there.
    """
    return smallest * d >= HANDFUL * structure.n_parameters(k, d) / k


def best_of(
    source: ArraySource,
    step: Step,
    k: int,
    random_state: np.random.RandomState,
    n_threads: int | None,
    *,
    candidates: Mapping[str, Callable[..., Params]],
) -> Params:
    """Return the best of the candidates after `STEPS` steps of EM, none less likely than the first.

    The first has seen all samples. A group of its own that a subsample has hardly met is a handful beside the parameters that it
    needs, and yet not an accident, unless its covariance is singular. Candidates that fail are left out; the ValueError of the
    first is raised if all do.
    """
    structure, n = step.structure, source.n_samples

    def tried(name: str) -> tuple[str, FitResult]:
        first = candidates[name](source, step, k, random_state, n_threads)
        return name, run(source, first, step, Stop(0.0, STEPS), n_threads=n_threads)

    results = dict(survivors(lambda name=name: tried(name) for name in candidates))  # type: ignore[misc]
    of_all = results.get(next(iter(candidates)))
    floor = -np.inf
    if of_all is not None and of_all.params.weights.min() * n >= structure.least_samples(source.n_features):
        floor = of_all.lower_bound
    good = [result for result in results.values() if result.lower_bound >= floor]
    return max(good, key=lambda result: rank(result, step, n)).params

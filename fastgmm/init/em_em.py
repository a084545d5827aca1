"""Short runs of EM on a subsample from random means, ranked on all samples (em-EM).

Biernacki, Celeux & Govaert, Computational Statistics & Data Analysis 41 (2003), section 3.
"""

from __future__ import annotations

import numpy as np

from fastgmm._errors import survivors
from fastgmm.data.source import ArraySource
from fastgmm.em.loop import run
from fastgmm.em.result import FitResult
from fastgmm.em.step import Step
from fastgmm.em.stop import ShareOfGain, Stop
from fastgmm.em.sweep import total
from fastgmm.init.best_of import rank
from fastgmm.init.points import points
from fastgmm.model.layouts import FULL
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats

#: Runs, and those of them that are ranked on all samples.
RUNS, RANKED = 20, 3
#: Samples that runs are made on, at least, and numbers (d a sample) for each free parameter. With few of these the best
#: runs are those that fit a component to a handful of samples. Of two clusters in 30 dimensions, full covariances, 2000
#: samples (60 numbers) showed nothing, 4000 (121) found them from each of 4 seeds.
SUBSAMPLE, NUMBERS = 2000, 120
#: A run ends if an iteration brought less than this share of the gain (`ShareOfGain`).
#: The paper has 1e-2. From means at random and the total covariance EM creeps before it finds clusters that differ along one
#: axis. On three such clusters in ten dimensions 200 runs with 1e-2 found them for 3 of 10 seeds, 50 with 1e-3 for 7, and 20
#: with 1e-4 for 10, in about the same time.
SHARE = 1e-4
MOST_ITERATIONS = 200


def em_em(
    source: ArraySource, step: Step, k: int, random_state: np.random.RandomState, n_threads: int | None
) -> Params:
    """Return the M-step of all samples under the best of `RUNS` short runs.

    Runs that fail are left out; the ValueError of the first one is raised if all do.
    """
    structure, d = step.structure, source.n_features
    enough = NUMBERS * structure.n_parameters(k, d) // d
    sample = source.subsample(max(SUBSAMPLE, enough), random_state, k)
    # 2000 x 2 take 0.1 ms an iteration on one thread; on two 8 ms, if another process uses one of the cores
    few = 1 if sample.n_samples <= SUBSAMPLE else n_threads

    def short_run() -> FitResult:
        first = step.maximise(_spread(sample, step, k, random_state, few))
        return run(sample, first, step, Stop(0.0, MOST_ITERATIONS + 1, (ShareOfGain(SHARE),)), n_threads=few)

    runs = survivors([short_run] * (RUNS if k > 1 else 1))
    runs.sort(key=lambda result: rank(result, step, sample.n_samples), reverse=True)
    ranked = [run(source, result.params, step, Stop(0.0, 1), n_threads=n_threads) for result in runs[:RANKED]]
    return max(ranked, key=lambda result: rank(result, step, source.n_samples)).params


def _spread(
    sample: ArraySource, step: Step, k: int, random_state: np.random.RandomState, n_threads: int | None
) -> Stats:
    """Return statistics of k equal components about k samples drawn by weight, each with the covariance of all samples.

    An M-step turns them into parameters in whatever structure; linear maps of the data map them.
    """
    means = points(sample, random_state.choice(sample.n_samples, k, replace=False, p=sample.chances), n_threads)
    scatter = np.tile(total(sample, n_threads).scatter / k, (k, 1, 1))
    counts = np.full(k, sample.total_weight / k)
    stats = Stats(FULL, sample.n_samples, float("nan"), counts, np.zeros(means.shape), scatter, means)
    return stats.in_layout(step.structure.layout)

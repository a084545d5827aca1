"""Short runs of EM on a subsample from random means, ranked on all samples (em-EM).

Biernacki, Celeux & Govaert, Computational Statistics & Data Analysis 41 (2003), section 3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.em.driver import check_likelihood, m_step
from fastgmm.em.sweep import sweep, total
from fastgmm.model.layouts import FULL, Layout
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats
from fastgmm.model.structures import Structure
from fastgmm.sources.array import ArraySource

#: Runs, and those of them that are ranked on all samples.
RUNS, RANKED = 20, 3
#: Samples that runs are made on, at least, and numbers (d a sample) for each free parameter: with few of these the best
#: runs are those that fit a component to a handful of samples. Of two clusters in 30 dimensions, full covariances, 2000
#: samples (60 numbers) showed nothing, 4000 (121) found them from each of 4 seeds.
SUBSAMPLE, NUMBERS = 2000, 120
#: A run ends where an iteration brought less than this share of all that the iterations brought, (L_q - L_q-1) / (L_q - L_0).
#: The paper has 1e-2. From means at random and the total covariance EM creeps before it finds clusters that differ along one
#: axis: on three such clusters in ten dimensions 200 runs with 1e-2 found them for 3 of 10 seeds, 50 with 1e-3 for 7, and 20
#: with 1e-4 for 10, in about the same time.
SHARE = 1e-4
MOST_ITERATIONS = 200
HANDFUL = 4


def em_em(
    source: ArraySource,
    structure: Structure,
    k: int,
    random_state: np.random.RandomState,
    reg_covar: float,
    n_threads: int | None,
) -> Stats:
    """Statistics of all samples under the best of `RUNS` short runs.

    Runs that fail are left out; ValueError of the first one where all do.
    """
    d = source.n_features
    enough = NUMBERS * structure.n_parameters(k, d) // d
    sample = source.subsample(max(SUBSAMPLE, enough), random_state, k)
    # 2000 x 2 take 0.1 ms an iteration on one thread; on two 8 ms, where another process uses one of the cores
    few = 1 if sample.n_samples <= SUBSAMPLE else n_threads
    runs: list[tuple[tuple[bool, float], Params]] = []
    failure: ValueError | None = None
    for _ in range(RUNS if k > 1 else 1):
        points = random_state.choice(sample.n_samples, k, replace=False, p=sample.chances)
        try:
            first = m_step(structure, _spread(sample, structure.layout, points, few), reg_covar)
            runs.append(_short_run(sample, structure, first, reg_covar, few))
        except ValueError as error:
            failure = failure or error
    if not runs:
        assert failure is not None
        raise failure
    runs.sort(key=lambda run: run[0], reverse=True)
    ranked = [sweep(source, params, n_threads) for _, params in runs[:RANKED]]
    return max(ranked, key=lambda stats: rank(stats, structure))


def rank(stats: Stats, structure: Structure) -> tuple[bool, float]:
    """What is greater for the better start: by likelihood, but those with a component of a handful of samples come last."""
    smallest = float(stats.counts.min() / stats.counts.sum()) * stats.n_samples
    return enough(smallest, structure, *stats.sums.shape), stats.log_likelihood


def enough(smallest: float, structure: Structure, k: int, d: int) -> bool:
    """Whether so many samples of a component are more than a handful: `HANDFUL` numbers for each of its parameters.

    With fewer its covariance is nearly singular, and the likelihood has no bound there.
    """
    return smallest * d >= HANDFUL * structure.n_parameters(k, d) / k


def _spread(sample: ArraySource, layout: Layout, points: NDArray[np.intp], n_threads: int | None) -> Stats:
    """Statistics of k equal components about k samples, each with the covariance of all samples.

    An M-step makes of them parameters in whatever structure; linear maps of the data map them.
    """
    means = sample.rows(points)
    k, d = means.shape
    scatter = np.tile(total(sample, n_threads).scatter / k, (k, 1, 1))
    counts = np.full(k, sample.total_weight / k)
    return Stats(FULL, sample.n_samples, float("nan"), counts, np.zeros((k, d)), scatter, means).in_layout(layout)


def _short_run(
    sample: ArraySource, structure: Structure, params: Params, reg_covar: float, n_threads: int | None
) -> tuple[tuple[bool, float], Params]:
    """The rank of what a short run comes to, and its parameters."""
    bounds: list[float] = []
    while True:
        stats = sweep(sample, params, n_threads)
        check_likelihood(stats.log_likelihood, len(bounds) + 1, params)
        bounds.append(stats.log_likelihood)
        over = len(bounds) > 1 and bounds[-1] - bounds[-2] <= SHARE * (bounds[-1] - bounds[0])
        if over or len(bounds) > MOST_ITERATIONS:
            return rank(stats, structure), params
        params = m_step(structure, stats, reg_covar, params)

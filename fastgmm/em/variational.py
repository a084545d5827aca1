"""The variational step: a posterior in place of the most likely parameters, the evidence in place of the likelihood."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from fastgmm.data.source import Source
from fastgmm.em.step import Collapsed, Weighted, data_variance
from fastgmm.em.sweep import accumulate, everything, mean, total
from fastgmm.model.cholesky import NotPositiveDefinite
from fastgmm.model.layouts import Layout
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats
from fastgmm.model.structures import Structure
from fastgmm.model.variational import Posterior, VariationalPrior, entropy, posterior, statistics

Float = NDArray[np.float64]


@dataclass
class _Last:
    """The statistics that were maximised over last, and their posterior."""

    stats: Stats | None = None
    found: Posterior | None = None


@dataclass(frozen=True)
class Variational:
    """Maximise the lower bound of the evidence over the posterior of weights, means and covariances.

    The bound is scikit-learn's: of all samples, not a mean, up to a constant of the prior; and of the posterior *after* the
    M-step, with the responsibilities before it. `weight_unit` is that of the statistics: the prior weighs against their counts.
    """

    structure: Structure
    reg_covar: float
    prior: VariationalPrior
    weight_unit: float = 1.0
    #: `bound` and `maximise` of the same statistics need the same posterior.
    _last: _Last = field(default_factory=_Last, init=False, repr=False, compare=False)

    compiled_reg_covar = None
    may_empty = True

    def on(self, source: Weighted) -> Variational:
        """Return this step for statistics in units of the source's weights."""
        return self if source.weight_unit == self.weight_unit else replace(self, weight_unit=source.weight_unit)

    def maximise(self, stats: Stats, previous: Params | None = None) -> Posterior:
        """Return the posterior; `Collapsed` if a covariance is singular, as only a singular prior allows."""
        if self._last.stats is stats:
            return cast(Posterior, self._last.found)
        try:
            found = posterior(self.prior, self.structure, stats.times(self.weight_unit), self.reg_covar)
        except NotPositiveDefinite as error:
            raise self._collapsed(error, stats) from error
        self._last.stats, self._last.found = stats, found
        return found

    def bound(self, stats: Stats, params: Params, total_weight: float) -> float:
        """Return the lower bound of the log-evidence of all samples, up to a constant of the prior."""
        if not math.isfinite(stats.log_likelihood):
            return stats.log_likelihood
        return self.weight_unit * entropy(stats, params) + self.maximise(stats, params).evidence

    def expected(self, params: Params) -> Stats:
        """Return statistics per unit of weight that the posterior follows from, if there were as many samples as it has seen."""
        assert isinstance(params, Posterior)
        seen = statistics(self.prior, params, self.reg_covar)
        return seen.times(1.0 / float(seen.counts.sum()))

    def _collapsed(self, error: NotPositiveDefinite, stats: Stats) -> Collapsed:
        which = "the covariance that all components share"
        if error.component is not None:
            count = float(stats.counts[error.component]) * self.weight_unit
            which = (
                f"the covariance of component {error.component}, which holds {count:.4g} of {stats.n_samples} samples,"
            )
        scale = data_variance(stats)
        return Collapsed(
            f"{which} is not positive definite (smallest eigenvalue or variance {error.smallest:.3g}): neither the samples nor the "
            "prior, by default the covariance of the data, give it a variance in every direction, as where features are constant "
            f"or linear combinations of others. Pass covariance_prior (the mean variance of the features is {scale:.3g}), or "
            "leave such features out."
        )


def data_moments(source: Source, layout: Layout, n_threads: int | None = None) -> tuple[Float, Float]:
    """Return the mean (d,) and the covariance of all samples in the layout: of one component, divided by the weight less 1.

    Its shape is (d, d), (d,) for variances, () for their mean. Weights count samples; of those that add up to 1 or less, the
    divisor is their sum. Two or three passes, once for a source and a layout.
    """
    key = f"moments {layout.name}"
    if source.incomplete and key not in source.memory:
        whole = total(source, n_threads)
        unit, weight = source.weight_unit, source.total_weight * source.weight_unit
        divisor = (weight - 1.0 if weight > 1.0 else weight) / unit
        scatter = layout.of_full_scatter(whole.scatter[None])
        within = layout.within(scatter, np.zeros((1, source.n_features)), np.ones(1))
        source.memory[key] = whole.mean, (within if layout.pools else within[0]) / divisor
    if key not in source.memory:
        centre = mean(source)
        stats = accumulate(source, layout, centre[None], everything, n_threads)
        unit, weight = source.weight_unit, source.total_weight * source.weight_unit
        divisor = (weight - 1.0 if weight > 1.0 else weight) / unit
        within = layout.within(stats.scatter, stats.sums, stats.counts)
        source.memory[key] = centre, (within if layout.pools else within[0]) / divisor
    return source.memory[key]

"""The M-step as an object: what a run maximises, and what its bound is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fastgmm._errors import warn
from fastgmm.model.cholesky import NotPositiveDefinite
from fastgmm.model.collinear import collinear, described, numbered
from fastgmm.model.fixed import Fixed
from fastgmm.model.noise import Noise
from fastgmm.model.params import Params
from fastgmm.model.priors import Prior
from fastgmm.model.stats import Stats
from fastgmm.model.structures import Structure, maximise, possible

Float = NDArray[np.float64]

#: A variance below this share of another one is rounding: what is left of equal samples without reg_covar.
ROUNDING = 1e-12
#: Default of `reg_covar`.
REG_COVAR = 1e-6


class Collapsed(ValueError):
    """A covariance is not positive definite; `which` says so without advice, `held` how many samples it is of.

    `component` is the one that collapsed, None if it is what all share.
    """

    def __init__(self, explanation: str, which: str = "", held: float = math.inf, component: int | None = None) -> None:
        super().__init__(f"Fitting the mixture model failed: {explanation}")
        self.explanation, self.which, self.held, self.component = explanation, which, held, component

    @classmethod
    def of(
        cls, error: NotPositiveDefinite, structure: Structure, stats: Stats, reg_covar: float, advice: str = ""
    ) -> Collapsed:
        """Return the error of statistics whose maximum is not positive definite; `advice` is given if samples are not all equal."""
        if error.component is None:
            count, who = float(stats.n_samples), "the covariance that all components share"
        else:
            count = float(held(stats)[error.component])
            who = f"component {error.component} holds {count:.4g} of {stats.n_samples} samples, and its covariance"
        which = f"{who} is singular (smallest eigenvalue or variance {error.smallest:.3g}, reg_covar={reg_covar:.3g})"
        return cls(collapse_message(error, structure, stats, reg_covar, advice), which, count, error.component)

    def at_the_start(self) -> Collapsed:
        """Return the same error of first parameters."""
        return Collapsed(f"already at the start {self.explanation}", self.which, self.held, self.component)

    def __reduce__(self) -> tuple:
        return Collapsed, (self.explanation, self.which, self.held, self.component)


class Weighted(Protocol):
    """Samples whose weights, and so the counts of whose statistics, are in units of `weight_unit`."""

    @property
    def weight_unit(self) -> float: ...


class Step(Protocol):
    """The objective of EM. `maximise` and `bound` belong together: the bound never falls from one iteration to the next."""

    @property
    def structure(self) -> Structure:
        """Return what the covariances of the components share."""

    def maximise(self, stats: Stats, previous: Params | None = None) -> Params:
        """Return the parameters that maximise the objective's expectation; those of the step before are `previous`.

        Raises ValueError if a component collapses.
        """

    def bound(self, stats: Stats, params: Params, total_weight: float) -> float:
        """Return the objective per unit of weight of the parameters that `stats` were swept with."""

    def expected(self, params: Params) -> Stats:
        """Return statistics of a unit of weight whose maximum is `params`: what a mixture expects of a sample."""

    def on(self, source: Weighted) -> Step:
        """Return the same step for statistics of a source, whose weights are in units of its own."""

    @property
    def may_empty(self) -> bool:
        """Return whether a component without samples is as good as any: a prior says what it is."""

    @property
    def compiled_reg_covar(self) -> float | None:
        """Return the `reg_covar` of the compiled loop, if it makes this step; else None."""


@dataclass(frozen=True)
class MaximumLikelihood:
    """Maximise the likelihood of samples to which independent noise of variance `reg_covar` was added.

    With `keep_few`, if a covariance is not positive definite, components that hold fewer samples than their covariances need
    keep those of the step before. Weights and means are still the most likely. With `noise` the mixture has it too, with the
    weight that the statistics say. Parameters that are `fixed` stay as they are.
    """

    structure: Structure
    reg_covar: float
    keep_few: bool = False
    noise: Noise | None = None
    fixed: Fixed | None = None

    may_empty = False

    def maximise(self, stats: Stats, previous: Params | None = None) -> Params:
        """Return the maximum; `Collapsed` if there is none.

        An M-step that iterates continues from the parameters of the step before, which a component without samples keeps.
        """
        before = None if previous is None else previous.covariances
        try:
            few = _too_few(self.structure, stats) if self.keep_few else None
            if previous is None or few is None or not few.any():
                return self._maximised(stats, before)
            try:
                params = self._maximised(stats, before)
                if not _collapsed(params, previous)[few].any():
                    return params
            except NotPositiveDefinite:
                pass
            return self._maximised(stats, before, few)
        except NotPositiveDefinite as error:
            raise Collapsed.of(error, self.structure, stats, self.reg_covar, self._advice) from error

    @property
    def _advice(self) -> str:
        # a single step has no prior to be told of
        return "" if self.keep_few else " Or fit with prior='default', which does not collapse."

    def _maximised(self, stats: Stats, previous: Float | None, kept: NDArray[np.bool_] | None = None) -> Params:
        return self._params(stats, *maximise(self.structure, stats, self.reg_covar, previous, kept, self.fixed))

    def _params(self, stats: Stats, weights: Float, means: Float, covariances: Float) -> Params:
        layout, noise = self.structure.layout, self.noise
        if noise is not None:
            noise = replace(noise, weight=stats.noise / stats.total)
        return Params(layout, weights, means, covariances, layout.precision_cholesky(covariances), noise)

    def bound(self, stats: Stats, params: Params, total_weight: float) -> float:
        """Return the mean log-likelihood."""
        return stats.log_likelihood / total_weight

    def expected(self, params: Params) -> Stats:
        """Return statistics of a unit of weight whose maximum is `params`."""
        layout, d = params.layout, params.means.shape[1]
        weights = params.weights / params.total_weight
        noise = 0.0 if params.noise is None else params.noise.weight / params.total_weight
        scatter = layout.expected_scatter(layout.regularised(params.covariances, -self.reg_covar), weights, d)
        sums = np.zeros_like(params.means)
        return Stats(layout, 0, float("nan"), weights, sums, scatter, params.means, noise=noise)

    def on(self, source: Weighted) -> MaximumLikelihood:
        """Return this step: the scale of the weights has no influence on the maximum."""
        return self

    @property
    def compiled_reg_covar(self) -> float | None:
        """Return `reg_covar` if nothing but the layout restricts the parameters and there is no noise, else None."""
        plain = self.structure.basic and self.noise is None and self.fixed is None
        return self.reg_covar if plain else None


@dataclass(frozen=True)
class MaximumAPosteriori(MaximumLikelihood):
    """Maximise the posterior with a conjugate prior of means and covariances (`model.priors`).

    `prior` is for statistics whose weights are in units of `weight_unit`, those of a source. `expected` is that of maximum
    likelihood: a stream that resumes from a fit counts the prior once more.
    """

    prior: Prior | None = None
    weight_unit: float = 1.0
    compiled_reg_covar = None
    _advice = ""

    @property
    def _prior(self) -> Prior:
        assert self.prior is not None
        return self.prior.in_units(self.weight_unit)

    def _maximised(self, stats: Stats, previous: Float | None, kept: NDArray[np.bool_] | None = None) -> Params:
        return self._params(stats, *self._prior.maximise(self.structure, stats, self.reg_covar, previous))

    def on(self, source: Weighted) -> MaximumAPosteriori:
        """Return the same step for statistics in units of the source's weights."""
        return replace(self, weight_unit=source.weight_unit)

    def bound(self, stats: Stats, params: Params, total_weight: float) -> float:
        """Return the mean log-likelihood and, per unit of weight, the log-density of the prior up to a constant."""
        return super().bound(stats, params, total_weight) + self._prior.log_density(params) / total_weight


def _collapsed(params: Params, previous: Params) -> NDArray[np.bool_]:
    """Return which components (k,) have a variance that is rounding beside the one before: what is left of equal samples."""
    return (params.precision_diagonals * previous.variances).max(axis=1) > 1.0 / ROUNDING


def _too_few(structure: Structure, stats: Stats) -> NDArray[np.bool_]:
    """Return which components (k,) hold fewer samples than their covariance needs: all, if the pooled ones are too few."""
    k, d = stats.sums.shape
    least = structure.least_samples(d)
    return held(stats) < least if least > 1 else np.full(k, stats.n_samples < k + d)


def held(stats: Stats) -> Float:
    """Return how many samples each component holds, (k,): its share of their number, whatever the scale of weights."""
    return stats.counts / stats.total * stats.n_samples


def collapse_message(
    error: NotPositiveDefinite, structure: Structure, stats: Stats, reg_covar: float, advice: str = ""
) -> str:
    """Say which component collapsed, how many samples it holds, and which reg_covar suits the scale of the data; and `advice`."""
    scale = data_variance(stats)
    if error.component is None:
        shared = "tied covariance" if structure.layout.pools else "shape that the components share,"
        who = f"the {shared} of all {stats.n_samples} samples"
    else:
        who = (
            f"component {error.component}, which holds {held(stats)[error.component]:.6g} of {stats.n_samples} samples,"
        )
    raise_to = max(1e-6 * scale, 10 * reg_covar, 2 * abs(error.smallest) if math.isfinite(error.smallest) else 0.0)
    fewer = "decrease the number of components, " if len(stats.counts) > 1 else ""
    if scale == 0:
        remedy = (
            f"All samples are equal. Raise reg_covar to about {max(raise_to, 1e-6):.2g}, {fewer}or scale the input data"
        )
    elif found := _collinear(stats):
        remedy = (
            f"Of all samples {described(found, numbered(stats.sums.shape[1]))} (features counted from 0): leave out what others "
            f"imply, or raise reg_covar to about {raise_to:.2g} ({raise_to / scale:.2g} of that variance)"
        )
    else:
        remedy = (
            f"Raise reg_covar to about {raise_to:.2g} ({raise_to / scale:.2g} of that variance), {fewer}or scale the input "
            "data"
        )
    if scale > 0 and stats.dtype == np.float32:
        remedy = f"Pass X as float64, since float32 rounds variances by about {np.finfo(np.float32).eps * scale:.2g}. {remedy}"
    return (
        f"{who} has an ill-defined empirical covariance (smallest eigenvalue or "
        f"variance {error.smallest:.3g}, reg_covar={reg_covar:.3g}, mean variance of the features {scale:.3g}). "
        f"{remedy}.{_simpler(error, structure, stats)}{advice if scale > 0 else ''}"
    )


def _collinear(stats: Stats) -> dict[int, list[int]]:
    """Return the features that are linear combinations of others in all samples, if there are enough samples to see it."""
    d = stats.sums.shape[1]
    if not stats.layout.correlates or stats.n_samples <= d:
        return {}
    n = float(stats.counts.sum())
    shift = stats.origin - (stats.counts @ stats.origin + stats.sums.sum(axis=0)) / n
    within = stats.scatter if stats.layout.pools else stats.scatter.sum(axis=0)
    if not within.any():  # a start from points, which are a few of the samples
        return {}
    cross = stats.sums.T @ shift
    return collinear(within + cross + cross.T + (stats.counts * shift.T) @ shift)


def _simpler(error: NotPositiveDefinite, structure: Structure, stats: Stats) -> str:
    """Name the structures that so small a component can have, if it is too small for this one."""
    if error.component is None:
        return ""
    count, d = float(held(stats)[error.component]), stats.sums.shape[1]
    least = structure.least_samples(d)
    if count >= least:
        return ""
    return (
        f" A component needs {least} samples at least for covariance_type={structure.name!r} with {d} features; with fewer "
        f"there are {', '.join(repr(other.name) for other in possible(count, d, structure))}."
    )


def data_variance(stats: Stats) -> float:
    """Return the mean over features of the variance of all samples, from the statistics."""
    n = float(stats.counts.sum())
    d = stats.sums.shape[1]
    mean = (stats.counts @ stats.origin + stats.sums.sum(axis=0)) / n
    shift = stats.origin - mean
    within = stats.layout.trace(stats.scatter)
    between = 2 * (stats.sums * shift).sum() + (stats.counts[:, None] * shift**2).sum()
    # rounding may leave a trace of either sign if all samples are equal
    variance = float(within + between) / (n * d)
    return variance if variance > 1e-30 * float((mean**2).mean()) else 0.0


def wide(params: Params, reg_covar: float) -> bool:
    """Return whether all components are wide enough, beside `reg_covar`, for no closer look: in one operation.

    Their variances are beyond 2 `reg_covar` in every direction, since tr Sigma^-1 of each is at most d |U|^2 of all factors.
    """
    factors = params.prec_chol.ravel()
    # not by BLAS: its threads keep spinning after a long product, and take their cores from the sweeps that come next (at k = 16,
    # d = 32 the sweeps of the next 100 ms took 1.6 times as long)
    squares = float(np.einsum("i,i->", factors, factors))
    return 0.0 < 2.0 * reg_covar * params.means.shape[1] * squares < 1.0


def warn_if_regularisation_dominates(params: Params, reg_covar: float) -> None:
    """Warn if reg_covar, with its default value, is larger than the variance of the data: that of a mixture after an M-step.

    Parameters that no M-step has made, such as single points to start from, say nothing about the data. Another value is the
    user's choice.
    The message holds no number that differs from fit to fit: Python's default filter then shows it once for each line of code.
    """
    if reg_covar != REG_COVAR or wide(params, reg_covar):
        return
    own = float(params.weights @ params.variances.mean(axis=1)) - reg_covar
    if own >= reg_covar:
        return
    # the law of total variance: the mean of variances and the variance of means; supplied means may be anywhere
    with np.errstate(over="ignore", invalid="ignore"):
        own += float((params.weights @ (params.means - params.weights @ params.means) ** 2).mean())
    if own < reg_covar:
        warn(
            f"reg_covar={reg_covar:.3g}, the default, is larger than the variance of the data: the covariances are little else. "
            "Scale the data, or pass a reg_covar of about 1e-6 of its variance, 1e-6 * X.var()",
            UserWarning,
        )


def check_likelihood(value: float, n_iter: int, params: Params) -> None:
    """Raise ValueError if the mean log-likelihood of an iteration is not finite."""
    if math.isfinite(value):
        return
    raise ValueError(
        f"the log-likelihood became {value} in iteration {n_iter}: some sample is too far from every component for its "
        f"density to be a number (means within [{params.means.min():.3g}, {params.means.max():.3g}]). Scale the data, raise "
        "reg_covar, or start elsewhere"
    )

"""The EM loop: sweep, M-step, convergence; and restarts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastgmm._errors import warn
from fastgmm.covariance.cholesky import NotPositiveDefinite, precision_cholesky
from fastgmm.covariance.collinear import collinear, numbered, told
from fastgmm.covariance.structures import Structure, maximise, possible
from fastgmm.em.monitor import SILENT, Monitor
from fastgmm.em.restarts import Best
from fastgmm.em.small import SmallRun
from fastgmm.em.sweep import Total, far_apart, sweep
from fastgmm.kernels.small import COLLAPSED, CONVERGED, NOT_FINITE, UNDECIDED
from fastgmm.params import Params
from fastgmm.sources.array import ArraySource
from fastgmm.sources.dask import AnySource
from fastgmm.stats import Stats

#: Iterations of the compiled loop between two looks at whether a start is hopeless: a call costs as much as one on 150 x 4.
_BETWEEN = 8


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


def run(
    source: AnySource,
    params: Params,
    structure: Structure,
    settings: Settings,
    *,
    lower_bound: float = -math.inf,
    whole: Total | None = None,
    monitor: Monitor = SILENT,
    done: Sequence[float] = (),
    rival: Best | None = None,
    compiled: bool = True,
) -> Fit:
    """Iterate EM from `params` until the mean log-likelihood changes by less than `tol`, or `max_iter` times.

    Where EM goes on from what `monitor.reached` was told, `done` holds the bounds of the iterations before: from there on
    each iteration has the bits that it would have had. It is given up where it is hopeless against `rival`. Small data take
    the compiled loop, unless `compiled` says no.

    Raises ValueError where a component collapses or the likelihood is not finite.
    """
    bounds = list(done)
    lower_bound = bounds[-1] if bounds else lower_bound
    if compiled and SmallRun.suits(source, params, structure, whole):
        return _run_small(source, params, structure, settings, lower_bound, whole, monitor, bounds, rival)
    converged = False
    for n_iter in range(len(bounds) + 1, settings.max_iter + 1):
        # first of all, so that a fit gone on from a checkpoint comes to the same decision
        if rival is not None and rival.hopeless(bounds):
            return _given_up(params, bounds, rival)
        stats = sweep(source, params, settings.n_threads, whole=whole, monitor=monitor)
        previous, lower_bound = lower_bound, stats.log_likelihood / source.total_weight
        check_likelihood(lower_bound, n_iter, params)
        params = m_step(structure, stats, settings.reg_covar, params)
        bounds.append(lower_bound)
        monitor.iteration(n_iter, lower_bound, lower_bound - previous)
        if abs(lower_bound - previous) < settings.tol:
            converged = True
            break
        monitor.reached(params, bounds)
    return Fit(params, converged, len(bounds), lower_bound, bounds)


def _run_small(
    source: AnySource,
    params: Params,
    structure: Structure,
    settings: Settings,
    lower_bound: float,
    whole: Total | None,
    monitor: Monitor,
    bounds: list[float],
    rival: Best | None,
) -> Fit:
    """As `run`, several iterations in one compiled call, after which they are told of; `bounds` are those so far, and grow."""
    state = UNDECIDED
    assert isinstance(source, ArraySource)
    small = SmallRun(source, params, whole, settings.tol, settings.reg_covar)
    while state == UNDECIDED and len(bounds) < settings.max_iter:
        n_iter, left = len(bounds), settings.max_iter - len(bounds)
        if rival is not None:
            # a decision every so many iterations, counted from the first one, wherever the fit was gone on from
            if n_iter % _BETWEEN == 0 and rival.hopeless(bounds):
                return _given_up(small.params, bounds, rival)
            left = min(left, _BETWEEN - n_iter % _BETWEEN)
        before = params if whole is None else small.params
        found, state = small.iterate(lower_bound, left)
        if whole is not None and (state == COLLAPSED or far_apart(source, small.params, whole)):
            # once more, by a scatter that does not come from a difference
            return run(
                source,
                before,
                structure,
                settings,
                lower_bound=lower_bound,
                whole=whole,
                monitor=monitor,
                done=bounds,
                rival=rival,
                compiled=False,
            )
        for value in found:
            bounds.append(value)
            monitor.iteration(len(bounds), value, value - lower_bound)
            lower_bound = value
        if state == NOT_FINITE:
            check_likelihood(lower_bound, len(bounds), small.params)
        if state == COLLAPSED:
            # raises, with a message that says where and why; or finds factors by a hair's breadth, and EM goes on
            params = m_step(structure, small.stats, settings.reg_covar)
            small, state = SmallRun(source, params, whole, settings.tol, settings.reg_covar), UNDECIDED
        if state == UNDECIDED:
            monitor.reached(small.params, bounds)
    return Fit(small.params, state == CONVERGED, len(bounds), lower_bound, bounds)


def _given_up(params: Params, bounds: list[float], rival: Best) -> Fit:
    reason = f"cannot reach the bound {rival.lower_bound:.6g}"
    return Fit(params, False, len(bounds), bounds[-1], bounds, reason)


def m_step(structure: Structure, stats: Stats, reg_covar: float, previous: Params | None = None) -> Params:
    """Parameters that maximise the expected likelihood; ValueError that explains a collapsed component.

    An M-step that iterates goes on from the parameters of the step before.
    """
    try:
        before = None if previous is None else previous.covariances
        weights, means, covariances = maximise(structure, stats, reg_covar, before)
        prec_chol = precision_cholesky(covariances, structure.layout)
    except NotPositiveDefinite as error:
        raise Collapsed(error, structure, stats, reg_covar) from error
    return Params(structure.layout, weights, means, covariances, prec_chol)


class Collapsed(ValueError):
    """A component, or the covariance that all share, is singular; `which` says so without advice, `held` how many samples."""

    def __init__(self, error: NotPositiveDefinite, structure: Structure, stats: Stats, reg_covar: float) -> None:
        super().__init__(collapse_message(error, structure, stats, reg_covar))
        if error.component is None:
            self.held = float(stats.n_samples)
            who = "the covariance that all components share"
        else:
            self.held = float(stats.counts[error.component] / stats.counts.sum() * stats.n_samples)
            who = f"component {error.component} holds {self.held:.4g} of {stats.n_samples} samples, and its covariance"
        self.which = (
            f"{who} is singular (smallest eigenvalue or variance {error.smallest:.3g}, reg_covar={reg_covar:.3g})"
        )

    def __reduce__(self) -> tuple[type[ValueError], tuple[str]]:
        return ValueError, (str(self),)


def collapse_message(
    error: NotPositiveDefinite, structure: Structure, stats: Stats, reg_covar: float, when: str = ""
) -> str:
    """Say which component collapsed, how many samples it holds, and which reg_covar suits the scale of the data."""
    k, d = stats.sums.shape
    scale = data_variance(stats)
    if error.component is None:
        shared = "tied covariance" if structure.layout == "tied" else "shape that the components share,"
        who = f"the {shared} of all {stats.n_samples} samples"
    else:
        who = f"component {error.component}, which holds {stats.counts[error.component]:.6g} of {stats.n_samples} samples,"
    raise_to = max(1e-6 * scale, 10 * reg_covar, 2 * abs(error.smallest) if math.isfinite(error.smallest) else 0.0)
    fewer = "decrease the number of components, " if k > 1 else ""
    if scale == 0:
        remedy = (
            f"All samples are equal. Raise reg_covar to about {max(raise_to, 1e-6):.2g}, {fewer}or scale the input data"
        )
    elif found := _collinear(stats):
        remedy = (
            f"Of all samples {told(found, numbered(d))} (features counted from 0): leave out what others imply, or raise "
            f"reg_covar to about {raise_to:.2g} ({raise_to / scale:.2g} of that variance)"
        )
    else:
        remedy = f"Raise reg_covar to about {raise_to:.2g} ({raise_to / scale:.2g} of that variance), {fewer}or scale the input data"
    return (
        f"Fitting the mixture model failed: {when}{who} has an ill-defined empirical covariance (smallest eigenvalue or "
        f"variance {error.smallest:.3g}, reg_covar={reg_covar:.3g}, mean variance of the features {scale:.3g}). "
        f"{remedy}.{_simpler(error, structure, stats)}"
    )


def _collinear(stats: Stats) -> dict[int, list[int]]:
    """Features that are linear combinations of others in all samples, as far as there are enough of these to tell."""
    k, d = stats.sums.shape
    if stats.layout not in ("full", "tied") or stats.n_samples <= d:
        return {}
    n = float(stats.counts.sum())
    shift = stats.origin - (stats.counts @ stats.origin + stats.sums.sum(axis=0)) / n
    within = stats.scatter if stats.layout == "tied" else stats.scatter.sum(axis=0)
    cross = stats.sums.T @ shift
    return collinear(within + cross + cross.T + (stats.counts * shift.T) @ shift)


def _simpler(error: NotPositiveDefinite, structure: Structure, stats: Stats) -> str:
    """Name the structures that so small a component can have, if it is too small for this one."""
    if error.component is None:
        return ""
    count, d = float(stats.counts[error.component]), stats.sums.shape[1]
    least = structure.least_samples(d)
    if count >= least:
        return ""
    return (
        f" A component needs {least} samples at least for covariance_type={structure.name!r} with {d} features; with fewer "
        f"there are {', '.join(repr(other.name) for other in possible(count, d, structure))}."
    )


def data_variance(stats: Stats) -> float:
    """Mean over features of the variance of all samples, from the statistics."""
    n = float(stats.counts.sum())
    d = stats.sums.shape[1]
    mean = (stats.counts @ stats.origin + stats.sums.sum(axis=0)) / n
    shift = stats.origin - mean
    within = {
        "full": lambda: np.einsum("kii->", stats.scatter),
        "tied": lambda: np.trace(stats.scatter),
        "diag": lambda: stats.scatter.sum(),
        "spherical": lambda: stats.scatter.sum(),
    }[stats.layout]()
    between = 2 * (stats.sums * shift).sum() + (stats.counts[:, None] * shift**2).sum()
    # rounding may leave a trace of either sign where all samples are equal
    variance = float(within + between) / (n * d)
    return variance if variance > 1e-30 * float((mean**2).mean()) else 0.0


def warn_if_regularisation_dominates(params: Params, reg_covar: float) -> None:
    """Warn where reg_covar is larger than the variance of the data, which is that of a mixture after an M-step.

    Parameters that none has made, such as single points to start from, say nothing of the data.
    """
    own = float(params.weights @ params.variances.mean(axis=1)) - reg_covar
    if reg_covar == 0 or own >= reg_covar:
        return
    # the law of total variance: the mean of variances and the variance of means, of which supplied ones may be anywhere
    with np.errstate(over="ignore", invalid="ignore"):
        own += float((params.weights @ (params.means - params.weights @ params.means) ** 2).mean())
    if own < reg_covar:
        warn(
            f"reg_covar={reg_covar:.3g} is larger than the variance of the data (about {max(own, 0.0):.3g}): the covariances "
            "are little else. Scale the data, or pass a reg_covar of about 1e-6 of its variance",
            UserWarning,
        )


def check_likelihood(value: float, n_iter: int, params: Params) -> None:
    """Raise ValueError where the mean log-likelihood of an iteration is not finite."""
    if math.isfinite(value):
        return
    raise ValueError(
        f"the log-likelihood became {value} in iteration {n_iter}: some sample is too far from every component for its "
        f"density to be a number (means within [{params.means.min():.3g}, {params.means.max():.3g}]). Scale the data, raise "
        "reg_covar, or start elsewhere"
    )

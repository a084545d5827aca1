"""The EM loop: sweep, M-step, convergence; and restarts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgmm._errors import warn
from fastgmm.covariance.cholesky import NotPositiveDefinite, precision_cholesky
from fastgmm.covariance.structures import Structure, maximise, possible
from fastgmm.em.monitor import SILENT, Monitor
from fastgmm.em.restarts import Best
from fastgmm.em.small import SmallRun
from fastgmm.em.sweep import Total, far_apart, precise, sweep
from fastgmm.kernels.small import COLLAPSED, CONVERGED, DOUBTFUL, NOT_FINITE, UNDECIDED
from fastgmm.params import Params
from fastgmm.sources.array import ArraySource
from fastgmm.sources.dask import AnySource
from fastgmm.stats import Stats

#: A variance below this share of another one is rounding: what is left of equal samples without reg_covar.
ROUNDING = 1e-12
#: What `reg_covar` is where none is given.
REG_COVAR = 1e-6
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
    source = precise(source, structure.layout, len(params.weights))
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
        converged = abs(lower_bound - previous) < settings.tol
        if converged or _only_rounding(lower_bound - previous, bounds, params, source.dtype, settings.tol):
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
    state, change = UNDECIDED, math.nan
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
            change, lower_bound = value - lower_bound, value
            monitor.iteration(len(bounds), value, change)
        if state == NOT_FINITE:
            check_likelihood(lower_bound, len(bounds), small.params)
        if state == COLLAPSED:
            # raises, with a message that says where and why; or finds factors by a hair's breadth, and EM goes on
            params = m_step(structure, small.stats, settings.reg_covar, small.params)
            small, state = SmallRun(source, params, whole, settings.tol, settings.reg_covar), UNDECIDED
        if state == DOUBTFUL:
            settled = _only_rounding(change, bounds, small.params, source.dtype, settings.tol)
            state = CONVERGED if settled else UNDECIDED
        if state == UNDECIDED:
            monitor.reached(small.params, bounds)
    return Fit(small.params, state == CONVERGED, len(bounds), lower_bound, bounds)


def _only_rounding(change: float, bounds: list[float], params: Params, dtype: np.dtype, tol: float) -> bool:
    """Whether the last `change` of the bound is rounding, so that EM would never get below a `tol` that is smaller still.

    EM does not lower the bound: where it fell, by no more than rounding may, there is nothing left to gain that could be seen. A
    scatter in a precision of eps is known to eps s_i s_j in each entry, s_i^2 being variances, and the bound to eps/2 sum_k pi_k
    sum_j s_kj^2 (Sigma_k^-1)_jj: the sum of variance inflation factors, which is d only where features are uncorrelated. A single
    component has one optimum: from the third iteration on, wherever it began, any change is rounding. With a `tol` of 0 EM
    does all iterations that were asked for.
    """
    if tol == 0:
        return False
    if len(params.weights) == 1 and len(bounds) > 2:
        return True
    if not change < 0:
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        inflated = float(params.weights @ (params.variances * params.precision_diagonals).sum(axis=1))
    return -change <= float(np.finfo(dtype).eps) * (abs(bounds[-1]) + 0.5 * inflated)


def _given_up(params: Params, bounds: list[float], rival: Best) -> Fit:
    reason = f"cannot reach the bound {rival.lower_bound:.6g}"
    return Fit(params, False, len(bounds), bounds[-1], bounds, reason)


def m_step(
    structure: Structure, stats: Stats, reg_covar: float, previous: Params | None = None, *, keep_few: bool = False
) -> Params:
    """Parameters that maximise the expected likelihood; ValueError that explains a collapsed component.

    An M-step that iterates continues from the parameters of the step before, which a component without samples keeps. With
    `keep_few`, where a covariance is not positive definite, those that hold fewer samples than their covariances take keep these:
    weights and means are still what is most likely.
    """
    before = None if previous is None else previous.covariances
    try:
        few = _too_few(structure, stats) if keep_few and previous is not None else np.zeros(len(stats.counts), np.bool_)
        if not few.any():
            return _maximised(structure, stats, reg_covar, before)
        assert previous is not None
        try:
            params = _maximised(structure, stats, reg_covar, before)
            if not _collapsed(params, previous)[few].any():
                return params
        except NotPositiveDefinite:
            pass
        return _maximised(structure, stats, reg_covar, before, few)
    except NotPositiveDefinite as error:
        raise ValueError(collapse_message(error, structure, stats, reg_covar)) from error


def _maximised(
    structure: Structure,
    stats: Stats,
    reg_covar: float,
    previous: NDArray[np.float64] | None,
    kept: NDArray[np.bool_] | None = None,
) -> Params:
    weights, means, covariances = maximise(structure, stats, reg_covar, previous, kept)
    return Params(structure.layout, weights, means, covariances, precision_cholesky(covariances, structure.layout))


def _collapsed(params: Params, previous: Params) -> NDArray[np.bool_]:
    """Which components (k,) have a variance that is rounding beside the one before: what is left of equal samples."""
    return (params.precision_diagonals * previous.variances).max(axis=1) > 1.0 / ROUNDING


def _too_few(structure: Structure, stats: Stats) -> NDArray[np.bool_]:
    """Which components (k,) hold fewer samples than their covariance takes: all, where the pooled ones are too few."""
    k, d = stats.sums.shape
    least = structure.least_samples(d)
    return held(stats) < least if least > 1 else np.full(k, stats.n_samples < k + d)


def held(stats: Stats) -> NDArray[np.float64]:
    """How many samples each component holds, (k,): its share of their number, whatever the scale of weights."""
    return stats.counts / stats.counts.sum() * stats.n_samples


def collapse_message(
    error: NotPositiveDefinite, structure: Structure, stats: Stats, reg_covar: float, when: str = ""
) -> str:
    """Say which component collapsed, how many samples it holds, and which reg_covar suits the scale of the data."""
    scale = data_variance(stats)
    if error.component is None:
        shared = "tied covariance" if structure.layout == "tied" else "shape that the components share,"
        who = f"the {shared} of all {stats.n_samples} samples"
    else:
        who = (
            f"component {error.component}, which holds {held(stats)[error.component]:.6g} of {stats.n_samples} samples,"
        )
    raise_to = max(1e-6 * scale, 10 * reg_covar, 2 * abs(error.smallest) if math.isfinite(error.smallest) else 0.0)
    if scale > 0:
        remedy = f"Raise reg_covar to about {raise_to:.2g} ({raise_to / scale:.2g} of that variance)"
    else:
        remedy = f"All samples are equal. Raise reg_covar to about {max(raise_to, 1e-6):.2g}"
    if scale > 0 and stats.dtype == np.float32:
        remedy = f"Pass X as float64, since float32 rounds variances by about {np.finfo(np.float32).eps * scale:.2g}. {remedy}"
    return (
        f"Fitting the mixture model failed: {when}{who} has an ill-defined empirical covariance (smallest eigenvalue or "
        f"variance {error.smallest:.3g}, reg_covar={reg_covar:.3g}, mean variance of the features {scale:.3g}). "
        f"{remedy}, decrease the number of components, or scale the input data.{_simpler(error, structure, stats)}"
    )


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
        f"there are {possible(count, d)}."
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
    """Warn where reg_covar, if it is the default, is larger than the variance of the data: that of a mixture after an M-step.

    Parameters that none has made, such as single points to start from, say nothing of the data. Another value is the user's will.
    The message holds no number that differs from fit to fit: Python's default filter then shows it once for each line of code.
    """
    if reg_covar != REG_COVAR:
        return
    own = float(params.weights @ params.variances.mean(axis=1)) - reg_covar
    if own >= reg_covar:
        return
    # the law of total variance: the mean of variances and the variance of means, of which supplied ones may be anywhere
    with np.errstate(over="ignore", invalid="ignore"):
        own += float((params.weights @ (params.means - params.weights @ params.means) ** 2).mean())
    if own < reg_covar:
        warn(
            f"reg_covar={reg_covar:.3g}, the default, is larger than the variance of the data: the covariances are little else. "
            "Scale the data, or pass a reg_covar of about 1e-6 of its variance, 1e-6 * X.var()",
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

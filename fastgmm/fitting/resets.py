"""Components that collapsed or lost their samples are started anew, where the mixture fits the data worst."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm.data.noisy import of_block
from fastgmm.data.source import ArraySource, LocalSource, Source
from fastgmm.em.accelerate import Accelerated, Accelerator
from fastgmm.em.callbacks import SILENT, Callback, combine
from fastgmm.em.evaluate import log_prob
from fastgmm.em.impute import imputed
from fastgmm.em.lanes import lanes
from fastgmm.em.loop import run
from fastgmm.em.result import FitResult
from fastgmm.em.step import Collapsed, MaximumLikelihood, Step
from fastgmm.em.stop import Stop
from fastgmm.em.sweep import total
from fastgmm.fitting.degenerate import degenerate_components
from fastgmm.model.params import Params

Float = NDArray[np.float64]

#: Resets of a start, at most.
MOST_RESETS = 10
#: The share of the samples, and their number at most, that are the worst-fitted ones.
_SHARE, _MOST_WORST = 0.05, 1000
#: A start that collapses is made once more with this share of the variance of the data added to the variances.
_WIDER = 1e-3
#: Reasons that a warning names, at most.
_NAMED = 3


class Worst(NamedTuple):
    """The samples with the lowest log-likelihoods, these first: values (m,) and samples (m, d)."""

    values: Float
    samples: Float

    def merge(self, other: Worst, most: int) -> Worst:
        values, samples = np.concatenate([self.values, other.values]), np.concatenate([self.samples, other.samples])
        order = np.argsort(values, kind="stable")[:most]
        return Worst(values[order], samples[order])


@dataclass
class Resets:
    """The resets of a start.

    limit : how many there may be; count : how many there were; n_passes : passes over the data up to the last of them
    reasons : what was wrong, for those of this process
    """

    limit: int
    count: int = 0
    n_passes: int = 0
    reasons: list[str] = field(default_factory=list)

    @property
    def left(self) -> bool:
        return self.count < self.limit


class _Last(Callback):
    """Callback that keeps the parameters that EM continues from."""

    def __init__(self, params: Params, n_passes: int) -> None:
        self.params, self.n_passes = params, n_passes

    def reached(self, params: Params, lower_bounds: list[float], accelerated: Accelerated | None = None) -> None:
        self.params, self.n_passes = params, len(lower_bounds)
        if accelerated is not None:
            self.n_passes = accelerated.n_passes
            self.params = params if accelerated.plain is None else accelerated.plain


def run_with_resets(
    source: Source,
    params: Params,
    step: Step,
    stop: Stop,
    resets: Resets,
    *,
    n_threads: int | None = None,
    done: Any = (),
    callback: Callback = SILENT,
    accelerator: Callable[[], Accelerator | None] = lambda: None,
    accelerated: Accelerated | None = None,
    on_reset: Callable[[Params], None] = lambda params: None,
    **options: Any,
) -> FitResult:
    """Run EM as `loop.run` does; if a component collapses or has lost its samples at the end, start it anew and run again.

    Iterations and bounds are counted from the last reset on, passes from the first one. `on_reset` is given the parameters that EM
    then begins from. Collapses beyond the limit of `resets`, and those of what all components share, raise `Collapsed`.
    """
    while True:
        last = _Last(params, len(done) if accelerated is None else accelerated.n_passes)
        try:
            result = run(
                source,
                params,
                step,
                stop,
                n_threads=n_threads,
                done=done,
                callback=combine(last, callback),
                accelerator=accelerator(),
                accelerated=accelerated,
                **options,
            )
            found = _spurious(source, result, step, n_threads) if resets.left else {}
            if not found:
                return replace(result, n_passes=result.n_passes + resets.n_passes, n_resets=resets.count)
            params, n_passes = result.params, result.n_passes
        except Collapsed as error:
            if not resets.left or error.component is None or len(params.weights) == 1:
                if not resets.count:
                    raise
                raise _after(error, resets.count) from error
            found, params, n_passes = {error.component: error.which}, last.params, last.n_passes
        params = reset(source, params, sorted(found), resets.count, n_threads)
        resets.count += 1
        resets.n_passes += n_passes + 1
        resets.reasons += found.values()
        done, accelerated, options = (), None, {}
        on_reset(params)


def reset_warning(count: int, reasons: list[str]) -> str:
    """Return what a fit says of its resets; reasons of resets before a checkpoint are not known."""
    why = f": {'; '.join(reasons[:_NAMED])}" if reasons else ""
    more = f"; and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
    return (
        f"components that collapsed or had lost their samples were started anew, {count} time{'s' * (count > 1)} in the kept start"
        f"{why}{more}. With fewer components, a simpler covariance_type or prior='default' they may not collapse"
    )


def _after(error: Collapsed, count: int) -> Collapsed:
    """Return an error that says how often components were started anew before."""
    return Collapsed(
        f"after {count} reset{'s' * (count > 1)}, {error.explanation}", error.which, error.held, error.component
    )


def _spurious(source: Source, result: FitResult, step: Step, n_threads: int | None) -> dict[int, str]:
    """Return the components of a run that sit on equal samples or hold none, and what is wrong with each."""
    if len(result.params.weights) == 1 or not isinstance(step, MaximumLikelihood) or result.n_iter == 0:
        return {}
    found = degenerate_components(source, result.params, step.structure, step.reg_covar, n_threads)
    return found.flat | found.dead


def started(
    first: Callable[[Step], Params], source: Source | None, step: Step, random_state: np.random.RandomState
) -> Params:
    """Return ``first(step)``; if a component collapses in it, the same start with wider components, for a reset to mend."""
    before = random_state.get_state(legacy=False)
    try:
        return first(step)
    except Collapsed:
        if source is None or not isinstance(step, MaximumLikelihood):
            raise
        whole = total(source, None)
        variance = float(np.trace(whole.scatter)) / (source.total_weight * source.n_features)
        random_state.set_state(before)
        return first(replace(step, reg_covar=max(step.reg_covar, _WIDER * variance)))


def reset(source: Source, params: Params, which: list[int], n_before: int, n_threads: int | None) -> Params:
    """Return the mixture with components `which` about samples that it fits worst, where most of these are close together.

    They get the mean covariance of the others and a share 1 / k of the weight. With `n_before` resets before, other places come
    first.
    """
    k, d = params.means.shape
    most = min(max(2 * (d + 1), int(_SHARE * source.n_samples)), _MOST_WORST, source.n_samples)
    find, merge = partial(_worst, params=params, most=most), partial(Worst.merge, most=most)
    samples = source.map_reduce(find, merge, n_threads).samples
    kept = np.setdiff1d(np.arange(k), which)
    if not kept.size:  # of all components: the largest one stays
        kept = np.array([int(params.weights.argmax())])
        which = [j for j in which if j != kept[0]]
    scale = np.sqrt(params.weights[kept] @ params.variances[kept] / params.weights[kept].sum())
    places = _places(samples / scale, n_before + len(which))[n_before:] * scale
    means, weights = params.means.copy(), params.weights.copy()
    means[which] = places
    weights[which] = 0.0
    whole = params.weights.sum()
    weights *= whole * (1.0 - len(which) / k) / weights.sum()
    weights[which] = whole / k
    covariances = params.covariances
    if not params.layout.pools:
        covariances = covariances.copy()
        covariances[which] = np.einsum("k,k...->...", weights[kept] / weights[kept].sum(), covariances[kept])
    return replace(
        params,
        weights=weights,
        means=means,
        covariances=covariances,
        prec_chol=params.layout.precision_cholesky(covariances),
    )


def _worst(source: LocalSource, *, params: Params, most: int) -> Worst:
    found = Worst(np.empty(0), np.empty((0, source.n_features)))
    plan = lanes(source, params.n_densities, 0)
    with closing(source.blocks(plan.rows)) as blocks:
        for block in blocks:
            chosen = block.weights > 0 if block.weights.size else slice(None)
            part = of_block(block, chosen, incomplete=source.incomplete)
            X, values = block.X[chosen], log_prob(part, params).astype(np.float64)
            order = np.argsort(values, kind="stable")[:most]
            worst = X[order].astype(np.float64)
            if source.incomplete:  # a place needs all its coordinates
                worst = imputed(ArraySource(worst, incomplete=True), params)
            found = found.merge(Worst(values[order], worst), most)
    return found


def _places(samples: Float, n: int) -> Float:
    """Return n places (n, d) where samples are close together, the densest first; the neighbours of one count for no other."""
    m, d = samples.shape
    near = min(max(d + 1, m // 8), m - 1)
    squares = ((samples[:, None] - samples[None]) ** 2).sum(axis=2) if m * m * d < 1 << 24 else _squares(samples)
    order = np.argsort(squares, axis=1, kind="stable")[:, : near + 1]
    reach = squares[np.arange(m), order[:, -1]]
    left, places = np.ones(m, np.bool_), []
    for _ in range(n):
        if not left.any():
            left[:] = True
        densest = int(np.flatnonzero(left)[np.argmin(reach[left])])
        places.append(samples[order[densest]].mean(axis=0))
        left[order[densest]] = False
    return np.array(places)


def _squares(samples: Float) -> Float:
    """Return squared distances (m, m), row by row."""
    return np.array([((samples - sample) ** 2).sum(axis=1) for sample in samples])

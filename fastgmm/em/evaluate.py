"""Passes that evaluate a mixture at each sample: labels, densities, responsibilities, and sums of these."""

from __future__ import annotations

import operator
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm import _threads
from fastgmm._errors import memory_for
from fastgmm.data.noisy import of_block
from fastgmm.data.patterns import block_rows, gathered, patterns_of
from fastgmm.data.source import Block, LocalSource, Source
from fastgmm.em import rows
from fastgmm.em.incomplete import by_row
from fastgmm.em.lanes import Lanes, lanes
from fastgmm.kernels import sweep as kernels
from fastgmm.kernels.sweep import LOG_DENSITY, LOG_PROB, RESPONSIBILITIES
from fastgmm.model.incomplete import Observation, check_marginals, observed
from fastgmm.model.params import Params

Float = NDArray[np.float64]


class _Kernel(NamedTuple):
    """A kernel over the lanes of a block, its code for a single lane, and its twin for samples one by one."""

    parallel: Callable
    lane: Callable
    of_rows: rows.Kernel


_LABEL = _Kernel(kernels.label, kernels.label_lane, rows.LABEL)
_EVALUATE = _Kernel(kernels.evaluate, kernels.evaluate_lane, rows.EVALUATE)


class _Pass(NamedTuple):
    """How a pass goes through a source: its parameters, laid out for kernels, and its lanes.

    by_row : whether each sample has errors of its own
    """

    packed: Any
    plan: Lanes
    by_row: bool

    @classmethod
    def of(cls, source: LocalSource, params: Params, *, weighted: bool = True, row_bytes: int = 0) -> _Pass:
        observation = None if source.noise_columns is None else rows.shared_noise(source)
        if observation is not None:
            params = observed(params, observation)
        elif source.noise_columns is not None:
            return cls.one_by_one(source, params, weighted=weighted, row_bytes=row_bytes)
        plan = lanes(source, params.n_densities, 0, row_bytes=row_bytes)
        return cls(params.packed(source.dtype, weighted=weighted), plan, False)

    @classmethod
    def one_by_one(cls, source: LocalSource, params: Params, *, weighted: bool = True, row_bytes: int = 0) -> _Pass:
        """Return a pass over samples of which each has errors of its own, or missing features."""
        if source.incomplete:
            check_marginals(params.noise)
        given = rows.prepared(params, source.noise_columns or 0, weighted=weighted)
        return cls(given.packed, rows.plan_of(source, params, given, row_bytes=row_bytes), True)

    def run(self, ready: Callable, block: Block, kernel: _Kernel, *arguments: Any) -> None:
        """Run a kernel over a block, lane by lane; `arguments` are those between parameters and output, and the output."""
        plan, samples = self.plan, block.samples
        if self.by_row:
            rows.in_lanes(ready, plan, block, self.packed, kernel.of_rows, *arguments)
        elif plan.n_lanes > 1:
            ready(kernel.parallel)(samples, plan.width, plan.of(samples.n_samples), self.packed, *arguments)
        else:
            kernel.lane(samples, 0, samples.n_samples, self.packed, *arguments)


def _by_pattern(source: LocalSource) -> bool:
    """Return whether samples are gone through by their patterns of missing values: those with errors are one by one."""
    return source.incomplete and source.noise_columns is None


def labels(source: LocalSource, params: Params, n_threads: int | None = None) -> NDArray[np.int64]:
    """Return the most probable component of each sample, the first on ties, shape (n,); -1 for noise."""
    out = _output(source, "labels", (source.n_samples,), np.dtype(np.int64))
    _write(source, params, _LABEL, (), out, n_threads)
    if params.noise is not None:
        out[out == len(params.weights)] = -1
    return out


def distinct(
    source: Source, params: Params, components: Sequence[int], most: int, n_threads: int | None = None
) -> NDArray[np.int64]:
    """Count, in one pass, the distinct samples whose most probable component is each of `components`; at most `most`."""
    merge = partial(_merged_rows, most=most)
    look = partial(_distinct, params=params, components=components, most=most)
    found = source.map_reduce(look, merge, n_threads)
    return np.array([len(rows) for rows in found], dtype=np.int64)


def _distinct(source: LocalSource, *, params: Params, components: Sequence[int], most: int) -> list[NDArray]:
    """Return up to `most` distinct samples for each of `components`."""
    found = [np.empty((0, source.n_features), source.dtype) for _ in components]
    plan = lanes(source, len(params.weights), 0)
    with closing(source.blocks(plan.rows)) as blocks:
        for block in blocks:
            chosen = block.weights > 0 if block.weights.size else slice(None)
            part = of_block(block, chosen, incomplete=source.incomplete)
            X, of = block.X[chosen], labels(part, params)
            found = _merged_rows(found, [X[of == j] for j in components], most)
            if all(len(rows) == most for rows in found):
                break
    return found


def _merged_rows(one: list[NDArray], other: list[NDArray], most: int) -> list[NDArray]:
    return [
        a if len(a) == most or not len(b) else np.unique(np.concatenate([a, b]), axis=0)[:most]
        for a, b in zip(one, other, strict=True)
    ]


def log_prob(source: LocalSource, params: Params, n_threads: int | None = None) -> NDArray:
    """Return log p(x_i), shape (n,), in the dtype of the source."""
    return _values(source, params, LOG_PROB, n_threads)[:, 0]


def responsibilities(source: LocalSource, params: Params, n_threads: int | None = None) -> NDArray:
    """Return the posterior probabilities of the components, shape (n, k); with noise (n, k + 1), its own last."""
    return _values(source, params, RESPONSIBILITIES, n_threads)


def log_density(source: LocalSource, params: Params, n_threads: int | None = None) -> NDArray:
    """Return log N(x_i | mean_k, covariance_k), weights left out, shape (n, k); with noise (n, k + 1), its own last."""
    return _values(source, params, LOG_DENSITY, n_threads, weighted=False)


def log_likelihood(source: Source, params: Params, n_threads: int | None = None) -> float:
    """Return the sum over samples of weight times log p(x_i), in units of `weight_unit`; nothing of size n is kept."""
    return source.map_reduce(partial(_log_likelihood, params=params), operator.add, n_threads)


def _log_likelihood(source: LocalSource, *, params: Params) -> float:
    total = 0.0
    with closing(_evaluated_blocks(source, params, LOG_PROB, 1)) as blocks:
        for block, values in blocks:
            each = values[:, 0]
            if block.weights.size:
                # one of weight zero counts for nothing even if its likelihood is zero
                each = np.where(block.weights > 0, each, 0.0).astype(np.float64) * block.weights
            total += float(each.sum(dtype=np.float64))
    return total


class Classified(NamedTuple):
    """Sums over samples, weighted, in units of `weight_unit`; z_ik are the responsibilities.

    log_likelihood : of log p(x_i); classification : of log max_k z_ik, at most 0; entropy : of -sum_k z_ik log z_ik
    """

    log_likelihood: float
    classification: float
    entropy: float

    def times(self, factor: float) -> Classified:
        """Return the sums of samples that count `factor` times as much."""
        return Classified(*(factor * value for value in self))


def classified(source: Source, params: Params, n_threads: int | None = None) -> Classified:
    """Return the log-likelihood and how clearly samples belong to components, in one pass; nothing of size n is kept."""
    return Classified(*source.map_reduce(partial(_classified, params=params), np.add, n_threads).tolist())


def _classified(source: LocalSource, *, params: Params) -> Float:
    k, sums = params.n_densities, np.zeros(3)
    with closing(_evaluated_blocks(source, params, LOG_DENSITY, k, row_bytes=8 * k)) as blocks:
        for block, densities in blocks:
            sums += _sums_of(densities.T.astype(np.float64, order="C"), block.weights)
    return sums


def _evaluated_blocks(
    source: LocalSource, params: Params, what: int, columns: int, *, row_bytes: int = 0
) -> Generator[tuple[Block, NDArray], None, None]:
    """Yield the blocks of a source, with what the kernels say of their samples, (m, columns)."""
    over = None if _by_pattern(source) else _Pass.of(source, params, row_bytes=row_bytes)
    plan = lanes(source, params.n_densities, 0, row_bytes=row_bytes) if over is None else over.plan
    with _threads.for_lanes(plan.n_lanes, None) as ready, closing(source.blocks(plan.rows)) as blocks:
        for block in blocks:
            values = np.empty((len(block.X), columns), source.dtype)
            if over is None:
                _of_incomplete_block(block, params, _EVALUATE, (what,), values, None)
            else:
                over.run(ready, block, _EVALUATE, what, values)
            yield block, values


def _sums_of(densities: Float, weights: NDArray) -> Float:
    """Return the sums of `Classified` from log(pi_k N(x_i | ...)), (k, n), which are overwritten.

    With a_ik these less their maximum over k, t_i = sum_k exp a_ik: log max_k z_ik = -log t_i, and the entropy is
    log t_i - sum_k a_ik exp(a_ik) / t_i.
    """
    top = densities.max(axis=0)
    with np.errstate(invalid="ignore"):
        densities -= top  # NaN if all are -inf
    shares = np.exp(densities)
    total = shares.sum(axis=0)
    log_total = np.log(total)
    np.maximum(densities, -800.0, out=densities)  # its share is 0: 0 log 0 = 0
    spread = np.einsum("kn,kn->n", densities, shares) / total
    each = np.stack([top + log_total, -log_total, log_total - spread])
    # a sample whose likelihood is zero belongs to no component: the total is zero, and the other sums leave the sample out
    each[:, top == -np.inf] = [[-np.inf], [0.0], [0.0]]
    if weights.size:
        # one of weight zero counts for nothing even if its likelihood is zero
        each = np.where(weights > 0, each, 0.0) * weights
    return each.sum(axis=1)


def _values(source: LocalSource, params: Params, what: int, n_threads: int | None, *, weighted: bool = True) -> NDArray:
    columns = 1 if what == LOG_PROB else params.n_densities
    name = {LOG_PROB: "log-likelihoods", RESPONSIBILITIES: "responsibilities", LOG_DENSITY: "log-densities"}[what]
    out = _output(source, name, (source.n_samples, columns), source.dtype)
    _write(source, params, _EVALUATE, (what,), out, n_threads, weighted=weighted)
    return out


def _output(source: LocalSource, name: str, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    with memory_for(f"the {name} of {source.n_samples} samples", "Pass X in parts, one after the other"):
        return np.empty(shape, dtype)


def _by_blocks(
    source: LocalSource, over: _Pass, kernel: _Kernel, what: tuple[int, ...], out: NDArray, n_threads: int | None
) -> None:
    """Write `out` (n,) or (n, ...) block by block; `what` are the kernel's arguments between parameters and output."""
    plan = over.plan
    with _threads.for_lanes(plan.n_lanes, n_threads) as ready, closing(source.blocks(plan.rows)) as blocks:
        for block in blocks:
            over.run(ready, block, kernel, *what, out[block.start : block.start + len(block.X)])


def _write(
    source: LocalSource,
    params: Params,
    kernel: _Kernel,
    what: tuple[int, ...],
    out: NDArray,
    n_threads: int | None,
    *,
    weighted: bool = True,
) -> None:
    """Write `out` (n,) or (n, ...); `what` are the kernel's arguments between parameters and output."""
    if not _by_pattern(source):
        _by_blocks(source, _Pass.of(source, params, weighted=weighted), kernel, what, out, n_threads)
        return
    with closing(source.blocks(block_rows(source.n_features, source.dtype.itemsize))) as blocks:
        for block in blocks:
            part = out[block.start : block.start + len(block.X)]
            _of_incomplete_block(block, params, kernel, what, part, n_threads, weighted=weighted)


def _of_incomplete_block(
    block: Block,
    params: Params,
    kernel: _Kernel,
    what: tuple[int, ...],
    out: NDArray,
    n_threads: int | None,
    *,
    weighted: bool = True,
) -> None:
    """Write `out` for the samples of a block: by patterns of missing values, or one by one where a pattern is rare."""
    patterns, d = patterns_of(block.X), block.X.shape[1]

    def write(which: NDArray, part: LocalSource, over: _Pass) -> None:
        values = np.empty((len(which), *out.shape[1:]), out.dtype)
        _by_blocks(part, over, kernel, what, values, n_threads)
        out[which] = values

    one_by_one = by_row(patterns, params)
    if not patterns.observed.all():
        check_marginals(params.noise)
    for i in np.flatnonzero(~one_by_one).tolist():
        pattern = patterns.pattern(i)
        if not len(pattern.features):
            out[pattern.rows] = _of_nothing(params, what, weighted=weighted)
            continue
        part = gathered(block, pattern.rows, pattern.features)
        write(pattern.rows, part, _Pass.of(part, observed(params, Observation(pattern.features)), weighted=weighted))
    if one_by_one.any():
        rare = patterns.rows(one_by_one)
        part = gathered(block, rare, np.arange(d))
        write(rare, part, _Pass.one_by_one(part, params, weighted=weighted))


def _of_nothing(params: Params, what: tuple[int, ...], *, weighted: bool) -> NDArray:
    """Return what the kernels would say of a sample without any value: densities of nothing are 1."""
    densities = params.log_offsets(weighted=weighted).astype(np.float64)
    if params.noise is not None:
        densities = np.append(densities, np.log(params.noise.weight) if weighted else 0.0)
    if not what:  # labels
        return np.array(densities.argmax())
    shares = np.exp(densities - densities.max())
    total = float(shares.sum())
    if what == (LOG_PROB,):
        return np.array([densities.max() + np.log(total)])
    return shares / total if what == (RESPONSIBILITIES,) else densities

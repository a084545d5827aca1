"""Passes over samples with missing values: an ordinary pass over what was observed, for each pattern of missing values.

The statistics of all features follow by algebra on the parameters (`model.incomplete`). No missing value is filled in, and costs
grow with the number of patterns, not with that of samples.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastgmm.data.patterns import Pattern, Patterns, block_rows, gathered, patterns_of
from fastgmm.data.source import ArraySource, Block, LocalSource
from fastgmm.em import rows
from fastgmm.model.incomplete import Observation, check_marginals, completed, observed
from fastgmm.model.layouts import DIAG
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats

Float = NDArray[np.float64]

#: Nanoseconds of a sweep that a pattern takes however few samples it has.
_PATTERN = 4e5


def grouped(source: LocalSource) -> Generator[tuple[Block, Patterns], None, None]:
    """Yield the samples of a source with their patterns: of an array all at once, found once; of others by blocks."""
    if isinstance(source, ArraySource):
        if "patterns" not in source.memory:
            source.memory["patterns"] = patterns_of(source.X)
        yield Block(0, source.X, source.sample_weights), source.memory["patterns"]
        return
    yield from grouped_blocks(source)


def grouped_blocks(source: LocalSource) -> Generator[tuple[Block, Patterns], None, None]:
    """Yield consecutive samples of a source with their patterns."""
    with closing(source.blocks(block_rows(source.n_features, source.dtype.itemsize))) as blocks:
        for block in blocks:
            yield block, patterns_of(block.X)


class _Total:
    """Statistics of parts about the same origin, added up."""

    def __init__(self, params: Params, dtype: np.dtype) -> None:
        k, d = params.means.shape
        origin = params.means.astype(dtype).astype(np.float64)
        scatter = np.zeros_like(params.layout.of_full_scatter(np.zeros((k, d, d))))
        self.stats = Stats(params.layout, 0, 0.0, np.zeros(k), np.zeros((k, d)), scatter, origin, dtype)

    def add(self, part: Stats) -> None:
        stats = self.stats
        stats.counts[...] += part.counts
        stats.sums[...] += part.sums
        stats.scatter[...] += part.scatter
        self.stats = replace(
            stats,
            n_samples=stats.n_samples + part.n_samples,
            log_likelihood=stats.log_likelihood + part.log_likelihood,
            noise=stats.noise + part.noise,
        )


def swept(
    source: LocalSource,
    on_block: Callable[[int], None] | None = None,
    *,
    params: Params,
    sweep: Callable[..., Stats],
    resp: Callable[[int, int], NDArray] | None = None,
) -> Stats:
    """Return the statistics of all features about the means of `params`, of its responsibilities or given ones.

    ``sweep(source, params=..., resp=...)`` is the pass over complete samples. Samples without any value are left out.
    """
    check_marginals(params.noise)
    total, n_done = _Total(params, source.dtype), 0
    with closing(grouped(source) if resp is None else grouped_blocks(source)) as blocks:
        for block, patterns in blocks:
            given = None if resp is None else np.asarray(resp(block.start, block.start + len(block.X)))
            one_by_one = np.zeros(len(patterns.ends), np.bool_) if resp is not None else by_row(patterns, params)
            for i in np.flatnonzero(~one_by_one).tolist():
                pattern = patterns.pattern(i)
                if len(pattern.features):
                    total.add(_of_pattern(source, block, pattern, params, sweep, given))
                n_done += len(pattern.rows)
                if on_block is not None:
                    on_block(n_done * source.n_counted // source.n_samples)
            if one_by_one.any():
                part: LocalSource
                if one_by_one.all() and isinstance(source, ArraySource):
                    part = source
                else:
                    part = gathered(block, patterns.rows(one_by_one), np.arange(source.n_features))
                stats = rows.swept(part, params=params)
                total.add(stats if source.dtype == np.float64 else stats.about(total.stats.origin))
                n_done += part.n_samples
                if on_block is not None:
                    on_block(n_done * source.n_counted // source.n_samples)
    return total.stats


def by_row(patterns: Patterns, params: Params) -> NDArray[np.bool_]:
    """Return which patterns (patterns,) are so rare that their samples are better looked at one by one.

    A pattern takes as long as `_PATTERN` and the algebra on its matrices, in nanoseconds as measured; a sample by itself takes what
    `rows.cost` says. Samples without any value are none of them.
    """
    k, d = params.means.shape
    of_pattern = _PATTERN + (4.0 * k * d**3 if params.layout.correlates else 0.0)
    few = patterns.sizes * rows.nanoseconds(params) < of_pattern
    return few & patterns.valued


def observed_moments(
    source: LocalSource, origin: Float, sweep: Callable[..., Stats], resp: Callable[[int, int], NDArray]
) -> Float:
    """Return weights, sums and sums of squares about `origin` (k, d) of the values of each feature by component, (3, k, d)."""
    found, (k, _) = np.zeros((3, *origin.shape)), origin.shape
    params = Params(DIAG, np.full(k, 1.0 / k), origin, np.ones(origin.shape), np.ones(origin.shape))
    rounded = origin.astype(source.dtype).astype(np.float64)
    with closing(grouped_blocks(source)) as blocks:
        for block, patterns in blocks:
            given = np.asarray(resp(block.start, block.start + len(block.X)))
            for i in range(len(patterns.ends)):
                pattern = patterns.pattern(i)
                o = pattern.features
                if len(o):
                    part, observation = gathered(block, pattern.rows, o), Observation(o)
                    stats = sweep(part, params=observed(params, observation), resp=_rows_of(given, pattern.rows))
                    found[0][:, o] += stats.counts[:, None]
                    found[1][:, o] += stats.sums
                    found[2][:, o] += stats.scatter
    # about `origin`, and not about what it is in the dtype of the samples
    c = rounded - origin
    found[2] += 2.0 * c * found[1] + found[0] * c**2
    found[1] += found[0] * c
    return found


def _rows_of(given: NDArray, of_pattern: NDArray) -> Callable[[int, int], NDArray]:
    """Return the responsibilities of the samples of a pattern, as a sweep asks for them."""
    return lambda start, stop: given[of_pattern[start:stop]]


def _of_pattern(
    source: LocalSource,
    block: Block,
    pattern: Pattern,
    params: Params,
    sweep: Callable[..., Stats],
    given: NDArray | None,
) -> Stats:
    """Return the statistics of all features of the samples of a pattern."""
    observation = Observation(pattern.features)
    of_part, resp = observed(params, observation), None if given is None else _rows_of(given, pattern.rows)
    stats = sweep(gathered(block, pattern.rows, pattern.features), params=of_part, resp=resp)
    return completed(stats, params, observation, of_part)

"""Statistics of components whose samples are known, wholly or by probabilities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fastgmm.data.source import LocalSource
from fastgmm.em.sweep import accumulate, mean
from fastgmm.model.layouts import SPHERICAL, Layout
from fastgmm.model.stats import Stats
from fastgmm.model.structures import COUNT_FLOOR

#: ``resp(a, b)``: responsibilities of samples a..b, shape (b - a, k).
Resp = Callable[[int, int], NDArray]


def members(values: NDArray, k: int) -> Resp:
    """Return responsibilities from labels (n,), or from responsibilities (n, k) whose rows add up to 1 up to rounding."""

    def resp(start: int, stop: int) -> NDArray:
        rows = values[start:stop]
        if values.ndim == 1:
            return rows[:, None] == np.arange(k)
        return rows / rows.sum(axis=1, keepdims=True, dtype=np.float64)

    return resp


def stats_of(source: LocalSource, layout: Layout, k: int, resp: Resp, n_threads: int | None) -> Stats:
    """Return statistics of responsibilities about the means that they give, so that scatters keep their digits: three passes."""
    centre = np.tile(mean(source), (k, 1))
    first = accumulate(source, SPHERICAL, centre, resp, n_threads)
    origin = first.origin + first.sums / (first.counts + COUNT_FLOOR)[:, None]
    return accumulate(source, layout, origin, resp, n_threads)

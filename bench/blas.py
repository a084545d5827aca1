"""BLAS as a yardstick: the rate of a large product, and the NumPy side on the number of threads that serves it best."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from bench.compare import Round

SIZE = 1536
#: operations of one `product`
FLOPS = 2 * SIZE**3


def product(dtype: str) -> Callable[[], object]:
    """dgemm or sgemm on all of BLAS's threads: `FLOPS` operations, nothing allocated."""
    a = np.random.default_rng(0).random((SIZE, SIZE)).astype(dtype)
    out = np.empty_like(a)
    return lambda: np.matmul(a, a, out=out)


#: Name of the side that is another one on a single BLAS thread.
SINGLE = "on one BLAS thread"


def with_single(sides: Mapping[str, Callable[[], Any]], name: str) -> dict[str, Callable[[], Any]]:
    """The sides, and `name` once more on one BLAS thread: for `at_best`."""
    side = sides[name]

    def single() -> Any:
        with limited(1):
            return side()

    return {**sides, SINGLE: single}


def at_best(rounds: Iterator[Round], name: str) -> Iterator[Round]:
    """Rounds in which `name` counts as it was faster, on all of BLAS's threads or on one.

    Products of a block last microseconds, and BLAS's threads may cost more there than they bring: a factor of 1.6 was
    seen. An opponent so handicapped would flatter us; one choice for a whole run is now this one and now that one.
    """
    for times in rounds:
        yield {other: min(t, times[SINGLE]) if other == name else t for other, t in times.items() if other != SINGLE}


def limited(threads: int) -> AbstractContextManager[Any]:
    """Context in which BLAS has no more threads than that."""
    return _controller().limit(limits=threads, user_api="blas")


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()

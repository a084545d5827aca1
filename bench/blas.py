"""BLAS as a yardstick: the rate of a large product, and the number of threads that serves the NumPy side best."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from statistics import median
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from bench.compare import alternate, collect

SIZE = 1536
#: operations of one `product`
FLOPS = 2 * SIZE**3


def product(dtype: str) -> Callable[[], object]:
    """dgemm or sgemm on all of BLAS's threads: `FLOPS` operations, nothing allocated."""
    a = np.random.default_rng(0).random((SIZE, SIZE)).astype(dtype)
    out = np.empty_like(a)
    return lambda: np.matmul(a, a, out=out)


def best_threads(side: Callable[[], Any]) -> tuple[Callable[[], Any], str]:
    """The side on all of BLAS's threads or on one, whichever is faster; and which: "all" or "1".

    Products of a block last microseconds, and BLAS's threads may cost more there than they bring: a factor of 1.6 was
    seen. An opponent so handicapped would flatter us.
    """

    def single() -> Any:
        with limited(1):
            return side()

    variants = {"all": side, "1": single}
    rounds = collect(alternate(variants), least=1, most=5, seconds=2.0)
    best = min(variants, key=lambda name: median(times[name] for times in rounds))
    return variants[best], best


def limited(threads: int) -> AbstractContextManager[Any]:
    """Context in which BLAS has no more threads than that."""
    return _controller().limit(limits=threads, user_api="blas")


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()

"""BLAS as a yardstick: the rate of a large product, and the number of threads that serves the NumPy side best."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from bench.compare import clock

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
        with _controller().limit(limits=1, user_api="blas"):
            return side()

    variants = {"all": side, "1": single}
    times = {name: min(clock(variant), clock(variant)) for name, variant in variants.items()}
    best = min(times, key=times.__getitem__)
    return variants[best], best


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()

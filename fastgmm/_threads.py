"""Threads of kernels: how many, the layers of Numba that run them, and processes that were forked.

Nothing here changes Numba's global state beyond a call.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import numba
import numpy as np

from fastgmm._jit import INDICES_CHECKED, JIT_DISABLED, serial


def max_threads() -> int:
    """Return the number of threads that Numba was started with."""
    return int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]


def current_threads() -> int:
    """Return the number of threads that parallel kernels use in this Python thread (``numba.set_num_threads``)."""
    return int(numba.get_num_threads())


def effective_threads(n_threads: int | None) -> int:
    """Return the number of threads to use: by default what Numba was set to, and never more than it was started with."""
    return current_threads() if n_threads is None else min(n_threads, max_threads())


@contextmanager
def limited(n_threads: int | None) -> Iterator[None]:
    """Set what `current_threads` returns in the body, and restore it."""
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(effective_threads(n_threads))
        yield
    finally:
        numba.set_num_threads(before)


_one_at_a_time = threading.Lock()
_forked_after_start = False
_started = False


def _mark_fork() -> None:
    global _forked_after_start, _one_at_a_time
    _forked_after_start = _started
    _one_at_a_time = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_mark_fork)


def _forked_from_openmp() -> bool:
    """Return whether this process was forked after its parent ran a parallel kernel on GNU OpenMP, which would abort it."""
    return _forked_after_start and numba.threading_layer() == "omp"


@contextmanager
def threads(n_threads: int) -> Iterator[Callable[[Any], Callable]]:
    """Set the number of threads for the parallel kernels called in the body, and restore it.

    Yields a function that returns the callable for a kernel (`ready`). A caller that asks for one thread, as tasks of a Dask
    worker with several do, does not wait for others.
    """
    with limited(n_threads):
        yield partial(ready, waits=n_threads > 1)


def for_lanes(n_lanes: int, n_threads: int | None) -> AbstractContextManager[Callable[[Any], Callable]]:
    """Return the context of `threads` for a pass of `n_lanes` lanes; a single one needs no kernel, which saves 15 microseconds."""
    return nullcontext(_none_needed) if n_lanes == 1 else threads(effective_threads(n_threads))


def _none_needed(compiled: Any) -> Callable:
    raise AssertionError("a single lane runs without a parallel kernel")


def ready(compiled: Any, *, waits: bool = True) -> Callable:
    """Return the callable that runs a parallel kernel in this process: the kernel itself, if it may be called at once with others.

    The workqueue layer ends the process when two Python threads are in a parallel kernel at once, so that layer is entered one
    call at a time.
    """
    if JIT_DISABLED:
        return compiled
    if _forked_from_openmp() or INDICES_CHECKED:
        # GNU OpenMP cannot start threads again in a forked child, and an IndexError in one of Numba's threads is lost
        # (seen with 0.68). The same Python code compiled without `parallel` runs the same lanes one after another: same
        # bits, one thread.
        return serial(compiled)
    if _started and numba.threading_layer() != "workqueue":
        return compiled
    # Before the first call the layer is not known, so that call is made alone as well.
    return partial(_alone, compiled, waits)


def _alone(compiled: Any, waits: bool, *arguments: Any) -> None:
    global _started
    if _one_at_a_time.acquire(blocking=waits or not _started):
        try:
            compiled(*arguments)
            _started = True
        finally:
            _one_at_a_time.release()
    else:
        serial(compiled)(*arguments)


class ThreadPool:
    """Python threads for passes of which a fit makes few, or whose compilation has to be short.

    A kernel is called as ``kernel(turn, *arguments)`` on each thread and works on the lanes whose turn it is, ``turn`` (1,) int64
    being the number of the next one (it releases the GIL). A thread wakes up some 90 microseconds later, while the others are at
    work. A `prange` kernel around the lanes would have to be compiled beside them.
    """

    def __init__(self, n_threads: int) -> None:
        self.threads = 1 if JIT_DISABLED else n_threads
        self._pool = ThreadPoolExecutor(self.threads - 1) if self.threads > 1 else None
        self._compiled: set[Any] = set()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def run(self, compiled: Any, *arguments: Any) -> None:
        """Run a pass; return when all threads are done."""
        turn = np.zeros(1, np.int64)
        if self._pool is not None and compiled not in self._compiled:
            # here, where Ctrl-C ends it: the other threads would continue, and leaving waits for them
            compiled.compile(tuple(map(compiled.typeof_pyval, (turn, *arguments))))
            self._compiled.add(compiled)
        others = [
            self._pool.submit(compiled, turn, *arguments) for _ in range(1, self.threads) if self._pool is not None
        ]
        compiled(turn, *arguments)
        for other in others:
            other.result()

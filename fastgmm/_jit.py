"""Everything that fastgmm asks of Numba: flag sets, the cache, choice by type, and care about threads.

The only file that names ``numba.njit``. Nothing here changes ``numba.config`` or Numba's global state.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
from llvmlite import binding
from numba.core import event, types
from numba.core.caching import FunctionCache
from numba.core.registry import cpu_target
from numba.core.serialize import dumps
from numba.extending import overload

from fastgmm._cache import CodeFiles
from fastgmm._errors import warn
from fastgmm._interrupts import passed_on

#: Element-wise code: a multiplication and an addition may become one FMA, nothing else. Rounding tricks survive this.
ELEMENTWISE = {"contract"}
#: The order and rounding of every operation as written.
EXACT: set[str] = set()

_njit: Any = numba.njit  # its type hints lack some of its options

JIT_DISABLED = bool(numba.config.DISABLE_JIT)  # type: ignore[attr-defined]

#: ``NUMBA_BOUNDSCHECK=1``: an index outside of an array raises IndexError (a negative one counts from the end).
INDICES_CHECKED = bool(numba.config.BOUNDSCHECK)  # type: ignore[attr-defined]


@cache
def _kernel_stamp() -> bytes:
    """Hash of every file that holds jitted code.

    Numba stamps a cached function with the hash of its own file only, so that a function would go on running the old
    code of a helper that lives in another file. One stamp for all of them closes that hole. Nor does Numba's key tell
    code that checks indices from code that does not.
    """
    here = Path(__file__).parent
    digest = hashlib.sha256(b"indices checked" if INDICES_CHECKED else b"")
    for path in sorted([Path(__file__), *(here / "kernels").glob("*.py")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.digest()


class _Cache(FunctionCache):
    """Numba's cache of a function, in files that are checked; code that cannot be written is compiled again elsewhere."""

    def __init__(self, function: Callable) -> None:
        super().__init__(function)
        stamp = (numba.__version__, self._impl.locator.get_source_stamp(), _kernel_stamp())
        self._cache_file: Any = CodeFiles(self.cache_path, self._impl.filename_base, stamp, dumps)

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            warn(
                f"compiled code cannot be written to {self.cache_path} ({error.strerror}), and every process will compile "
                "anew: make room there, or let NUMBA_CACHE_DIR name another directory",
                UserWarning,
            )


def _with_cache(dispatcher: Any) -> Any:
    # where there is no place to write to (read-only installation and home), every process compiles
    with suppress(RuntimeError):
        dispatcher._cache = _Cache(dispatcher.py_func)
    dispatcher.compile = passed_on()(dispatcher.compile)
    return dispatcher


#: A sum of two vectors of 64 bytes: one instruction on a register named zmm, or several on narrower ones.
_WIDE_SUM = """
define <8 x double> @sum(<8 x double> %x, <8 x double> %y) {
  %z = fadd <8 x double> %x, %y
  ret <8 x double> %z
}
"""


@cache
def has_avx512() -> bool:
    """Whether the CPU that Numba compiles for has 64-byte vector registers (32 of them).

    LLVM is asked what it makes of such a vector for Numba's own target. It alone knows what comes of the CPU's name, its
    features, and the variables NUMBA_CPU_NAME, NUMBA_CPU_FEATURES and NUMBA_ENABLE_AVX together.
    """
    triple, name, features = cpu_target.target_context.codegen().magic_tuple()
    machine = binding.Target.from_triple(triple).create_target_machine(cpu=name, features=features)
    return "zmm" in machine.emit_assembly(binding.parse_assembly(_WIDE_SUM))


def helper(fastmath: set[str]) -> Callable[[Callable], Any]:
    """Decorate a function that kernels (and users' own jitted code) call: nogil, cached, flags named."""

    def decorate(function: Callable) -> Any:
        options = {"nogil": True, "fastmath": fastmath, "error_model": "numpy", "no_cfunc_wrapper": True}
        dispatcher = _njit(**options)(function)
        return dispatcher if JIT_DISABLED else _with_cache(dispatcher)

    return decorate


def kernel(function: Callable) -> Any:
    """Decorate a parallel kernel: `prange` over lanes, each lane owning what it writes."""
    dispatcher = _njit(parallel=True, nogil=True, no_cfunc_wrapper=True, fastmath=ELEMENTWISE, error_model="numpy")(
        function
    )
    return dispatcher if JIT_DISABLED else _with_cache(dispatcher)


prange = numba.prange


def choose(stub: Callable, table: dict[type, Any]) -> Callable:
    """Make `stub` run ``table[type(first argument)]``, chosen when the caller is compiled.

    Keys are NamedTuple classes or NumPy scalar types; values are ELEMENTWISE helpers. In plain Python
    (JIT off) the choice is made at the call.
    """
    by_scalar: dict[Any, Any] = {
        numba.from_dtype(key): value for key, value in table.items() if not hasattr(key, "_fields")
    }

    def pick(first: Any, *rest: Any) -> Callable:
        key = getattr(first, "instance_class", None)
        chosen = table[key] if key is not None else by_scalar[types.float64 if first not in by_scalar else first]
        # the Python function itself, not its dispatcher: one level of calls less to compile and link
        return chosen.py_func

    def call(first: Any, *rest: Any) -> Any:
        key = type(first)
        return table[key if key in table else next(reversed(table))](first, *rest)

    call.__name__, call.__doc__ = stub.__name__, stub.__doc__
    if not JIT_DISABLED:
        overload(call, strict=False, jit_options={"fastmath": ELEMENTWISE, "error_model": "numpy"})(pick)
    return call


@contextmanager
def compilation_told(tell: Callable[[], object]) -> Iterator[None]:
    """Call `tell` where the body first compiles a function that no cache holds, and not again."""

    class First(event.Listener):
        told = False

        def on_start(self, event: Any) -> None:
            if not self.told:
                self.told = True
                tell()

        def on_end(self, event: Any) -> None:
            pass

    with event.install_listener("numba:compile", First()):
        yield


def max_threads() -> int:
    """Return the number of threads that Numba was started with."""
    return int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]


def current_threads() -> int:
    """Return the number of threads that parallel kernels use in this Python thread (``numba.set_num_threads``)."""
    return int(numba.get_num_threads())


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
    """Whether this process was forked after its parent ran a parallel kernel on GNU OpenMP, which would abort it."""
    return _forked_after_start and numba.threading_layer() == "omp"


@contextmanager
def threads(n_threads: int) -> Iterator[Callable]:
    """Set the number of threads for the parallel kernels called in the body, and restore it.

    Yields the function to call kernels through: ``run(kernel, *arguments)``. The workqueue layer ends the process
    when two Python threads are in a parallel kernel at once, so that layer is entered one call at a time; who asks for one
    thread, as tasks of a Dask worker with several do, does not wait for it.
    """
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(n_threads)
        yield _run if n_threads > 1 else _run_on_one
    finally:
        numba.set_num_threads(before)


def _run(compiled: Any, *arguments: Any, waits: bool = True) -> None:
    global _started
    if JIT_DISABLED:
        compiled(*arguments)
        return
    if _forked_from_openmp() or INDICES_CHECKED:
        # GNU OpenMP cannot start threads again in a forked child, and an IndexError in one of Numba's threads is lost
        # (seen with 0.68). The same Python code compiled without `parallel` runs the same lanes one after another: same
        # bits, one thread.
        _serial(compiled)(*arguments)
        return
    if _started and numba.threading_layer() != "workqueue":
        compiled(*arguments)
        return
    # Before the first call the layer is not known, so that call is made alone as well.
    if _one_at_a_time.acquire(blocking=waits or not _started):
        try:
            compiled(*arguments)
            _started = True
        finally:
            _one_at_a_time.release()
    else:
        _serial(compiled)(*arguments)


def _run_on_one(compiled: Any, *arguments: Any) -> None:
    _run(compiled, *arguments, waits=False)


class Crew:
    """Python threads for passes of which a fit makes few, or which are short of compilation time.

    A kernel is called as ``kernel(first, step, *arguments)`` on each thread and works on the lanes first, first + step,
    ... (it releases the GIL). Handing it over costs some 50 microseconds a pass, while a `prange` kernel around the lanes
    costs two seconds of compilation, as LLVM then optimises their code three times more.
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
        step = self.threads
        if self._pool is not None and compiled not in self._compiled:
            # here, where Ctrl-C ends it: the other threads would go on, and leaving waits for them
            compiled.compile(tuple(map(compiled.typeof_pyval, (0, step, *arguments))))
            self._compiled.add(compiled)
        others = [
            self._pool.submit(compiled, first, step, *arguments) for first in range(1, step) if self._pool is not None
        ]
        compiled(0, step, *arguments)
        for other in others:
            other.result()


@cache
def _serial(compiled: Any) -> Any:
    """Compile a parallel kernel's code without `parallel`.

    Under a name of its own: the key of Numba's cache does not tell parallel from serial code.
    """
    source = compiled.py_func
    copy = FunctionType(source.__code__, source.__globals__, source.__name__ + "_serial")
    copy.__qualname__, copy.__module__ = copy.__name__, source.__module__
    return _with_cache(_njit(nogil=True, fastmath=ELEMENTWISE, error_model="numpy")(copy))

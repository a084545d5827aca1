"""Compilation by Numba: flag sets, the cache, and choice by type.

The only file that names ``numba.njit``. Nothing here changes ``numba.config`` or Numba's global state.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, update_wrapper
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
from llvmlite import binding
from numba.core import cgutils, codegen, event, types
from numba.core.caching import FunctionCache
from numba.core.compiler import Compiler
from numba.core.serialize import dumps
from numba.core.typing.templates import infer, infer_global, make_intrinsic_template
from numba.extending import intrinsic

from fastgmm._cache import CodeFiles
from fastgmm._collection import paused
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
    """Return the hash of every file that holds jitted code.

    Numba stamps a cached function with the hash of its own file only, so that a function would keep running the old
    code of a helper that is in another file. One stamp for all of them closes that hole. Nor does Numba's key distinguish
    code that checks indices from code that does not.
    """
    here = Path(__file__).parent
    digest = hashlib.sha256(b"indices checked" if INDICES_CHECKED else b"")
    for path in sorted([Path(__file__), *(here / "kernels").glob("*.py")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.digest()


class _Links(threading.local):
    """Functions that the code being compiled in this thread calls by address (`called`), a list for each level of compilation."""

    def __init__(self) -> None:
        self.levels: list[list[tuple[str, str, tuple[Any, ...]]]] = []


_links = _Links()


class _LinkedFiles(CodeFiles):
    """Files of compiled code, and of what it calls by address, which is loaded before it."""

    def load(self, key: Any) -> Any:
        found = super().load(key)
        if found is None:
            return None
        links, code = found
        for module, name, arguments in links:
            _published(getattr(importlib.import_module(module), name), arguments)
        _links.levels[-1].extend(links)
        return code

    def save(self, key: Any, code: Any) -> None:
        super().save(key, (_links.levels[-1], code))


def _published(dispatcher: Any, arguments: tuple[Any, ...]) -> tuple[str, Any]:
    """Compile a function, or load it, and give its address a name that code may be linked with; return name and description."""
    dispatcher.compile(arguments)
    compiled = dispatcher.overloads[arguments]
    digest = hashlib.sha256(repr(arguments).encode() + _kernel_stamp()).hexdigest()
    name = f"fastgmm.{dispatcher.py_func.__qualname__}.{digest[:32]}"
    binding.add_symbol(name, compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))
    return name, compiled.fndesc


def called(dispatcher: Any) -> Any:
    """Return what compiled code calls in place of a helper in order not to contain its code: a call by address.

    The code is then made once, and not optimised and emitted again with each of its callers, and theirs. The files in the cache
    of all of these name what has to be loaded with them. A caller must be a `helper` or a `kernel`.
    """
    if JIT_DISABLED:
        return dispatcher

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        name, found = _published(dispatcher, signature.args)
        _links.levels[-1].append((dispatcher.__module__, dispatcher.py_func.__name__, signature.args))
        kind = context.call_conv.get_function_type(found.restype, found.argtypes)
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        status, value = context.call_conv.call_function(builder, function, found.restype, found.argtypes, arguments)
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return value

    def call(typingctx: Any, *arguments: Any) -> Any:
        plain = tuple(types.unliteral(argument) for argument in arguments)
        dispatcher.compile(plain)
        return dispatcher.overloads[plain].signature, codegen

    return intrinsic(_as(dispatcher.py_func, call))


class _Cache(FunctionCache):
    """Numba's cache of a function, in files that are checked; code that cannot be written is compiled again elsewhere."""

    def __init__(self, function: Callable) -> None:
        super().__init__(function)
        stamp = (numba.__version__, self._impl.locator.get_source_stamp(), _kernel_stamp())
        self._cache_file: Any = _LinkedFiles(self.cache_path, self._impl.filename_base, stamp, dumps)

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
    # if there is no place to write to (read-only installation and home), every process compiles
    with suppress(RuntimeError):
        dispatcher._cache = _Cache(dispatcher.py_func)
    return _linked(dispatcher)


def _linked(dispatcher: Any) -> Any:
    """Make a dispatcher remember the links of what it compiles."""
    compiled = passed_on()(dispatcher.compile)
    known: dict[Any, list[tuple[str, str, tuple[Any, ...]]]] = {}

    def compile(signature: Any) -> Any:
        _links.levels.append([])
        try:
            with paused():
                return compiled(signature)
        finally:
            # code that is part of others' brings its links with it, also if it was there before
            links = known.setdefault(signature, list(dict.fromkeys(_links.levels.pop())))
            if _links.levels:
                _links.levels[-1].extend(links)

    dispatcher.compile = compile
    return dispatcher


_ADDITION = """
define <16 x float> @add(<16 x float> %x, <16 x float> %y) {
  %sum = fadd <16 x float> %x, %y
  ret <16 x float> %sum
}
"""


@cache
def has_avx512() -> bool:
    """Return whether the code that Numba makes has 64-byte vector registers (32 of them).

    If NUMBA_CPU_NAME or NUMBA_CPU_FEATURES is set, only LLVM knows what a name brings and a feature implies. It is
    then asked for an addition of 64 bytes, which takes it 10 ms.
    """
    name, features = numba.config.CPU_NAME, numba.config.CPU_FEATURES  # type: ignore[attr-defined]
    by_host = codegen.get_host_cpu_features()  # without those of AVX if NUMBA_ENABLE_AVX=0
    if name is None and features is None:
        return "+avx512f" in by_host.split(",")
    codegen.initialize_llvm()
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name() if name is None else name, features=by_host if features is None else features
    )
    return "zmm" in machine.emit_assembly(binding.parse_assembly(_ADDITION))


class _PartLibrary(codegen.JITCodeLibrary):
    """Code that becomes part of other libraries: linked together, and neither optimised as a whole nor emitted by itself.

    Numba does both for each function that another one calls, and once more with every caller. That was a fifth of a first fit.
    """

    @property
    def codegen(self) -> Any:
        return self

    def set_env(self, env_name: str, env: Any) -> None:
        """Do nothing: there is no code in memory that could look for it."""

    def get_pointer_to_function(self, name: str) -> int:
        return 0

    def _optimize_final_module(self) -> None:
        """Leave it to those that this becomes part of."""

    def _finalize_final_module(self) -> None:
        self._finalized = True


class _PartCompiler(Compiler):
    """Numba's compiler, into a `_PartLibrary`."""

    def __init__(self, typingctx: Any, targetctx: Any, library: Any, *arguments: Any) -> None:
        super().__init__(typingctx, targetctx, _PartLibrary(targetctx.codegen(), "part"), *arguments)


def helper(fastmath: set[str], *, inline: bool = False) -> Callable[[Callable], Any]:
    """Decorate a function that kernels (and users' own jitted code) call: nogil, flags named.

    Called from Python it is a library with a wrapper, which is cached. Called from compiled code it is a part of that code
    (`_PartLibrary`), which is cached as a whole. Called in both ways it is compiled twice: `called` avoids that.
    With `inline` its code becomes part of its caller, with the caller's flags, before anything is compiled.
    """

    def decorate(function: Callable) -> Any:
        options: dict[str, Any] = {
            "nogil": True,
            "fastmath": fastmath,
            "error_model": "numpy",
            "no_cfunc_wrapper": True,
            "inline": "always" if inline else "never",
        }
        dispatcher = _njit(**options)(function)
        if JIT_DISABLED:
            return dispatcher

        @cache
        def part() -> Any:
            return _linked(_njit(**options, no_cpython_wrapper=True, pipeline_class=_PartCompiler)(function))

        # these are how compiled code calls it
        dispatcher.part = part
        dispatcher.get_call_template = lambda arguments, named: part().get_call_template(arguments, named)
        dispatcher.get_overload = lambda signature: part().get_overload(signature)
        return _with_cache(dispatcher)

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

    Keys are NamedTuple classes or NumPy scalar types; values are helpers. In plain Python (JIT off) the choice is made at the call.
    """

    def call(first: Any, *rest: Any) -> Any:
        key = type(first)
        return table[key if key in table else next(reversed(table))](first, *rest)

    update_wrapper(call, stub, ("__name__", "__doc__"))
    if JIT_DISABLED:
        return call
    by_scalar: dict[Any, Any] = {
        numba.from_dtype(key): value for key, value in table.items() if not hasattr(key, "_fields")
    }

    def pick(typingctx: Any, *arguments: Any) -> Any:
        key = getattr(arguments[0], "instance_class", None)
        scalar = arguments[0] if arguments[0] in by_scalar else types.float64
        part = (by_scalar[scalar] if key is None else table[key]).part()
        plain = tuple(types.unliteral(argument) for argument in arguments)
        part.compile(plain)
        found = part.overloads[plain]

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            part.compile(plain)
            context.add_linking_libs([found.library])
            return context.call_internal(builder, found.fndesc, found.signature, values)

        return found.signature, codegen

    template = make_intrinsic_template(call, _as(stub, pick), stub.__name__, prefer_literal=False, kwargs={})
    infer(template)
    infer_global(call, types.Function(template))
    return call


def _as(function: Callable, typed: Callable) -> Callable:
    """Make the typing function of an intrinsic take as many arguments as `function`, under their names."""
    context = inspect.Parameter("typingctx", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    named = inspect.signature(function).parameters.values()
    typed.__signature__ = inspect.Signature([context, *named])  # type: ignore[attr-defined]
    typed.__name__, typed.__doc__ = function.__name__, function.__doc__
    return typed


class Compilation(event.TimingListener):
    """Compilation in a context, by this thread, of code that no cache holds: its duration, and a call when it begins."""

    def __init__(self, tell: Callable[[], object] | None) -> None:
        super().__init__()
        self._tell, self._thread = tell, threading.get_ident()

    @property
    def seconds(self) -> float:
        """Return the time that it took, 0 if nothing was compiled."""
        return float(self.duration) if self.done else 0.0

    def on_start(self, event: Any) -> None:
        if threading.get_ident() == self._thread:
            super().on_start(event)
            if self._tell is not None:
                tell, self._tell = self._tell, None
                tell()

    def on_end(self, event: Any) -> None:
        if threading.get_ident() == self._thread:
            super().on_end(event)


_announced = threading.local()


@contextmanager
def on_compilation(tell: Callable[[], object] | None = None) -> Iterator[Compilation]:
    """Call `tell` when the body first compiles a function that no cache holds, and not again; yield what it compiled.

    Within another such context that tells, `tell` is not called: a user hears of it once.
    """
    outer = getattr(_announced, "told", False)
    compilation = Compilation(None if outer else tell)
    _announced.told = outer or tell is not None
    try:
        with event.install_listener("numba:compile", compilation):
            yield compilation
    finally:
        _announced.told = outer


@cache
def serial(compiled: Any) -> Any:
    """Compile a parallel kernel's code without `parallel`.

    It has a name of its own: the key of Numba's cache does not distinguish parallel from serial code.
    """
    source = compiled.py_func
    copy = FunctionType(source.__code__, source.__globals__, source.__name__ + "_serial")
    copy.__qualname__, copy.__module__ = copy.__name__, source.__module__
    return _with_cache(_njit(nogil=True, fastmath=ELEMENTWISE, error_model="numpy")(copy))

"""``python -m tests.fuzz TARGET [SECONDS] [libFuzzer's options]``: look for inputs that break a target, with atheris.

TARGET is readers, models or fits. A failure does not end the search: the first input of each kind (by the exception and the
line that raised it) is written as ``failure-...`` to the working directory, with its traceback on standard error. Mend it,
and keep the file in ``corpus/TARGET``, which ``tests/promises/test_fuzz.py`` replays. A hang, a crash of the process or memory
beyond 3 GB do end it, as libFuzzer's ``timeout-...``, ``crash-...`` or ``oom-...``.
"""

from __future__ import annotations

import os
import pkgutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from importlib import import_module

import atheris

import fastgmm.kernels

TARGETS = ("readers", "models", "fits")


def main() -> None:
    if not sys.argv[1:] or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz {'|'.join(TARGETS)} [SECONDS] [-OPTION=VALUE ...]")
    target, seconds, options = sys.argv[1], (sys.argv[2:] or ["60"])[0], sys.argv[3:]
    # numba compiles the kernels from their bytecode: they stay as they are
    kernels = [f"fastgmm.kernels.{module.name}" for module in pkgutil.iter_modules(fastgmm.kernels.__path__)]
    for name in [name for name in sys.modules if name.startswith("fastgmm")]:
        del sys.modules[name]
    with atheris.instrument_imports(include=["fastgmm"], exclude=["fastgmm._jit", *kernels]):
        one = import_module(f"tests.fuzz.{target}").one
    seeds = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus", target)
    found = os.environ.get("FUZZ_FOUND") or tempfile.mkdtemp(prefix=f"fuzz-{target}-")
    # a first call compiles, which takes half a minute where it is not cached
    limits = [
        f"-max_total_time={seconds}",
        "-timeout=120",
        "-rss_limit_mb=3000",
        "-max_len=1024",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *limits, *options, found, seeds], _going_on(one))
    atheris.Fuzz()


def _going_on(one: Callable[[bytes], None]) -> Callable[[bytes], None]:
    seen = set()

    def run(data: bytes) -> None:
        try:
            one(data)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            kind = f"{type(error).__name__}-{os.path.basename(where.filename)}-{where.lineno}"
            if kind not in seen:
                seen.add(kind)
                with open(f"failure-{kind}", "wb") as file:
                    file.write(data)
                traceback.print_exc()

    return run


main()

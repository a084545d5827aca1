"""``python -m tests.fuzz TARGET [SECONDS] [libFuzzer's options]``: look for inputs that break a target, with atheris.

TARGET is readers, models or fits. What is found is written to the working directory as ``crash-...``, ``timeout-...`` or
``oom-...``; mend it, and keep the file in ``corpus/TARGET``, which ``tests/test_fuzz.py`` replays.
"""

from __future__ import annotations

import os
import pkgutil
import sys
import tempfile
from importlib import import_module

import atheris


def main() -> None:
    target, seconds, options = sys.argv[1], (sys.argv[2:] or ["60"])[0], sys.argv[3:]
    import fastgmm.kernels  # not instrumented: numba compiles the kernels

    kernels = [f"fastgmm.kernels.{module.name}" for module in pkgutil.iter_modules(fastgmm.kernels.__path__)]
    for name in [name for name in sys.modules if name.startswith("fastgmm")]:
        del sys.modules[name]
    with atheris.instrument_imports(include=["fastgmm"], exclude=["fastgmm._jit", *kernels]):
        one = import_module(f"tests.fuzz.{target}").one
    seeds = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus", target)
    found = os.environ.get("FUZZ_FOUND") or tempfile.mkdtemp(prefix=f"fuzz-{target}-")
    limits = [f"-max_total_time={seconds}", "-timeout=120", "-rss_limit_mb=3000", "-max_len=1024", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *limits, *options, found, seeds], one)
    atheris.Fuzz()


main()

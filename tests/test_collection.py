"""Pauses of the garbage collector."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading

import pytest

from fastgmm._collection import paused


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_is_resumed_after_the_last_of_several_and_after_an_error():
    assert gc.isenabled()
    with paused():
        assert not gc.isenabled()
        with pytest.raises(ZeroDivisionError), paused():
            raise ZeroDivisionError
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_collector_that_is_off_stays_off():
    gc.disable()
    try:
        with paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_threads_share_a_pause():
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with paused():
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(30)
    with paused():
        pass
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_collects():
    code = """
import gc, os
from fastgmm._collection import paused
with paused():
    child = os.fork()
    first = gc.isenabled()
if child == 0:
    with paused():
        second = gc.isenabled()
    os._exit(0 if (first, second, gc.isenabled()) == (True, False, True) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), gc.isenabled())
"""
    assert _run(code) == "0 True"


def test_import_and_compilation_leave_it_on():
    assert _run("import gc, fastgmm; fastgmm.GaussianMixture; print(gc.isenabled())") == "True"

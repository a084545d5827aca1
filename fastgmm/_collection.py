"""Pauses of Python's garbage collector, for work that makes millions of objects of which few are garbage."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_users = 0
_paused = False


@contextmanager
def paused() -> Iterator[None]:
    """Look for no cycles of objects in the body, in any thread: importing Numba takes 0.7 of the time so, compilation 0.9."""
    global _users, _paused
    entered = False
    try:
        with _lock:
            _users, entered = _users + 1, True
            if gc.isenabled():
                _paused = True
                gc.disable()
        yield
    finally:
        if entered:
            with _lock:
                _users = max(_users - 1, 0)  # a child that was forked in the body counts anew
                if _users == 0:
                    _resume()


def _resume() -> None:
    global _paused
    if _paused:
        _paused = False
        gc.enable()


def _in_child() -> None:
    """Begin anew in a forked process, whose other threads are gone."""
    global _lock, _users
    _lock, _users = threading.Lock(), 0
    _resume()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

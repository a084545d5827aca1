"""Ctrl-C while something compiles: never lost, and never inside a callback that cannot pass it on."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_AGAIN = 0.02
#: Of callbacks of weak references, and of imports, which leave half of a module's effects behind.
_FILES = ("weakref.py", "_weakrefset.py", "<frozen importlib._bootstrap>")


@contextmanager
def passed_on() -> Iterator[None]:
    """Make Ctrl-C wait a moment and come again if it arrives where Python ignores exceptions.

    LLVM hands over compiled code through a ctypes callback, and frees memory in finalisers. A KeyboardInterrupt there is
    printed and dropped; after a callback Numba then raises a RuntimeError, as the code is missing (one of 12 interrupts ended
    so). Numba takes new types from lists that it empties: interrupted there, in ``refresh``, it never knows them afterwards (a
    TypingError, seen in one of 40). In all other places the previous handler is called, and it is restored afterwards. Only the
    main thread gets signals.
    """
    handler = signal.getsignal(signal.SIGINT)
    ours = getattr(handler, "__module__", None) == __name__
    if ours or not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield
        return

    user = sys._getframe(2)  # beyond it are a program's own imports and finalisers

    def handle(number: int, frame: FrameType | None) -> Any:
        if _is_ignored(frame, user):
            again = threading.Timer(_AGAIN, _interrupt)
            again.daemon = True
            again.start()
            return None
        signal.signal(signal.SIGINT, handler)  # first, as what it raises may skip the line below
        return handler(number, frame)

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _interrupt() -> None:
    if hasattr(signal, "pthread_kill"):
        # a true signal, which ends waiting as well
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()


def _is_ignored(frame: FrameType | None, last: FrameType) -> bool:
    """Return whether an exception in this frame, or a caller up to `last`, would be dropped or leave Numba unusable."""
    while frame is not None and frame is not last:
        name, file = frame.f_code.co_name, os.path.basename(frame.f_code.co_filename)
        if name == "refresh" and "numba" in frame.f_code.co_filename:
            return True
        if name == "__del__" or name.startswith("_raw_object_cache_") or file in _FILES:
            return True
        frame = frame.f_back
    return False

"""Code that several processes need at the same time is compiled by one of them, for which the others wait.

With an empty cache the workers of pytest-xdist would compile the same kernels side by side, and have won nothing by being two.
"""

from __future__ import annotations

import hashlib
import os
import time
from typing import Any

from fastgmm import _jit

try:
    import fcntl
except ImportError:  # every process compiles for itself
    fcntl = None  # type: ignore[assignment]


#: In seconds: what a process waits for at most, as the other one may have failed, before it compiles itself; how often it looks.
_LONGEST, _PAUSE = 300.0, 0.02


class _Turns:
    """Locks of bytes of one file, a byte for each piece of code. A process that ends, however it does, gives its locks back."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._held: list[str] = []

    def take(self, name: str) -> None:
        for _ in range(int(_LONGEST / _PAUSE)):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _byte(name))
            except OSError:
                time.sleep(_PAUSE)
            else:
                break
        self._held.append(name)

    def give_back(self, name: str) -> None:
        """Also what was taken later and is still held: it could not be compiled."""
        while name in self._held:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _byte(self._held.pop()))


def _byte(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "little")


def compile_once(path: str | os.PathLike[str]) -> None:
    """Make this process share what it compiles with all others that name the same file of locks."""
    if fcntl is None:
        return
    turns, files = _Turns(path), _jit._LinkedFiles
    load, save = files.load, files.save

    def load_or_take(self: Any, key: Any) -> Any:
        found = load(self, key)
        if found is None:
            turns.take(self.path(key))
            found = load(self, key)  # what another process has compiled meanwhile
            if found is not None:
                turns.give_back(self.path(key))
        return found

    def save_and_give_back(self: Any, key: Any, code: Any) -> None:
        try:
            save(self, key, code)
        finally:
            turns.give_back(self.path(key))

    files.load, files.save = load_or_take, save_and_give_back  # type: ignore[method-assign]

"""Files of compiled code: complete and checked, or not there.

They stand in for Numba's own index and data files. With those a damaged file ends the process or the call, and a full disk ends
the call. Two processes that compile different types at once write both to one name, from which a third one loads the wrong code.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from typing import Any

from fastgmm._atomic import replacing

_MAGIC = b"fastgmm compiled 1\n"
_DIGEST = 32


class CodeFiles:
    """Compiled code of one function, a file for each combination of argument types and CPU.

    directory : where they are; name : what file names begin with
    stamp : of the versions and sources that the code was made from; code of another stamp counts as not there, and is replaced
    dumps : as `pickle.dumps`, of Numba's objects

    A file is the magic line, the SHA-256 digests of the stamp and of the rest, and the rest, a pickle of key and code. As with
    Numba's files, anyone who can write to the directory can run code.
    """

    def __init__(self, directory: str, name: str, stamp: Any, dumps: Callable[[Any], bytes]) -> None:
        self._directory, self._name, self._dumps = directory, name, dumps
        self._stamp = hashlib.sha256(repr(stamp).encode()).digest()

    def path(self, key: Any) -> str:
        """Return the file of a key; by its digest, so that processes that write different ones do not collide."""
        digest = hashlib.sha256(repr(key).encode()).hexdigest()
        return os.path.join(self._directory, f"{self._name}.{digest[:20]}.nbc")

    def load(self, key: Any) -> Any:
        """Return what was saved under a key; None if nothing was, or if it is damaged or of another stamp."""
        try:
            with open(self.path(key), "rb") as file:
                head, content = file.read(len(_MAGIC) + 2 * _DIGEST), file.read()
        except OSError:
            return None
        if head != self._head(content):
            return None
        found, code = pickle.loads(content)
        return code if found == key else None

    def save(self, key: Any, code: Any) -> None:
        """Write the file of a key; OSError if that is impossible, and then there is none, or the old one."""
        content = self._dumps((key, code))
        with replacing(self.path(key)) as file:
            file.write(self._head(content))
            file.write(content)

    def flush(self) -> None:
        """Remove all files of the function."""
        for name in os.listdir(self._directory):
            if name.startswith(self._name + ".") and name.endswith(".nbc"):
                os.unlink(os.path.join(self._directory, name))

    def _head(self, content: bytes) -> bytes:
        return _MAGIC + self._stamp + hashlib.sha256(content).digest()

"""Files that appear complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from typing import BinaryIO


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a binary file that takes the place of `path` when the block ends without an exception.

    The bytes go to a temporary file beside `path`, reach the disk, and are renamed: a reader sees the old file or the
    new one. A failure leaves the old one as it was and no temporary file behind. A symbolic link keeps
    pointing where it did. Anything that is not a regular file (``/dev/null``, a pipe) is written directly, never replaced.

    Parameters
    ----------
    path : str or path-like
        Where the file is to be. An existing file is replaced.

    Yields
    ------
    file : binary file object, open for writing

    Raises
    ------
    OSError
        If the directory is missing or not writable, or the disk is full.
    """
    target = os.path.realpath(path)
    if os.path.isdir(target):
        raise IsADirectoryError(errno.EISDIR, "is a directory, not a file to write", os.fspath(path))
    if os.path.exists(target) and not os.path.isfile(target):
        try:
            with open(target, "wb") as stream:
                yield stream
        except OSError as error:
            if _is_full(error):
                raise type(error)(error.errno, error.strerror, os.fspath(path)) from error
            raise
        return
    temporary = f"{target}.{secrets.token_hex(4)}.tmp"
    try:
        # mode x and not tempfile, whose files nobody but their owner could read after the rename
        with open(temporary, "xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and (error.filename == temporary or _is_full(error)):
            # the user knows the name that they gave, not ours
            raise type(error)(error.errno, error.strerror, os.fspath(path)) from None
        raise


#: No space, no space for this user, larger than files may be.
_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


def _is_full(error: OSError) -> bool:
    """Return whether the error is that a file does not fit: the system does not name the file then."""
    return error.errno in _FULL and error.filename is None


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise OSError if `replacing` could not write a regular file at `path`; nothing is left behind."""
    target = os.path.realpath(path)
    if os.path.isdir(target):
        raise IsADirectoryError(errno.EISDIR, "is a directory, not a file to write", os.fspath(path))
    if os.path.exists(target) and not os.path.isfile(target):
        raise OSError(errno.EINVAL, "is not a regular file", os.fspath(path))
    # tried, because permissions alone do not show that a file system is read-only
    temporary = f"{target}.{secrets.token_hex(4)}.tmp"
    try:
        open(temporary, "xb").close()
        os.unlink(temporary)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, os.fspath(path)) from None

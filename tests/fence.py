"""Arrays between two pages that nobody may touch: an access outside ends the process with a segmentation fault.

Micro-kernels are LLVM IR that uses addresses; neither Numba nor NumPy looks at these.
"""

from __future__ import annotations

import ctypes
import mmap

import numpy as np
from numpy.typing import NDArray

_libc = ctypes.CDLL(None, use_errno=True)
_kept: list[mmap.mmap] = []  # a mapping goes with its object, and the arrays only borrow it


def fenced(array: NDArray, *, at_the_end: bool = True) -> NDArray:
    """A copy whose last (or first) element lies at the fence."""
    page = mmap.PAGESIZE
    size = -(-array.nbytes // page) * page
    memory = mmap.mmap(-1, size + 2 * page)
    _kept.append(memory)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for fence in (start, start + page + size):
        if _libc.mprotect(ctypes.c_void_p(fence), ctypes.c_size_t(page), 0) != 0:
            raise OSError(ctypes.get_errno(), "mprotect")
    offset = page + (size - array.nbytes if at_the_end else 0)
    out = np.frombuffer(memory, array.dtype, array.size, offset).reshape(array.shape)
    out[...] = array
    return out

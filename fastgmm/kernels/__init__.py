"""Jitted functions on arrays, callable from a user's own ``@njit`` code. No validation, no randomness.

Public here, with their preconditions in their docstrings:

- ``exp``, ``log``: scalar functions that LLVM vectorises in a loop;
- ``new_scratch``, ``load_tile``: working memory, and a tile of up to ``len(scratch.top)`` samples laid out feature-major;
- ``tile_density``: weighted log-densities of a tile under parameters packed as ``Full``, ``Tied``, ``Diag`` or
  ``Spherical`` (``Params.packed``);
- ``log_sum_exp_tile``: responsibilities in place, and the log-likelihood of the tile;
- ``tile_accumulate``: statistics of a tile, added to ``Sums``.
"""

from fastgmm.kernels.elementary import exp, log
from fastgmm.kernels.full import Full
from fastgmm.kernels.simple import Diag, Spherical, Tied
from fastgmm.kernels.sweep import tile_accumulate, tile_density
from fastgmm.kernels.tile import Samples, Scratch, Sums, load_tile, log_sum_exp_tile, new_scratch

__all__ = [
    "Diag",
    "Full",
    "Samples",
    "Scratch",
    "Spherical",
    "Sums",
    "Tied",
    "exp",
    "load_tile",
    "log",
    "log_sum_exp_tile",
    "new_scratch",
    "tile_accumulate",
    "tile_density",
]

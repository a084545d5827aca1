"""How a pass cuts a source into blocks and lanes, and runs a kernel over a block.

The only place that decides about lanes. Blocks are closed if a pass is left, by Ctrl-C as well: that ends the thread that reads
ahead, which an exception's traceback would keep alive.
"""

from __future__ import annotations

from typing import NamedTuple

from fastgmm._limits import LIMITS
from fastgmm.data.source import LocalSource
from fastgmm.kernels.tile import TILE

_MAX_LANES = 64
#: This many samples, or fewer, make one lane.
SINGLE_LANE = 4 * TILE
_LANE_MEMORY = 16 * 2**20
_QUANTUM = 64
_RESP_MEMORY = 8 * 2**20


class Lanes(NamedTuple):
    """How a source is cut: blocks of `n_lanes` lanes of `width` samples. Depends on n, k and d only, never on threads."""

    n_lanes: int
    width: int

    @property
    def rows(self) -> int:
        """Return the number of samples in a block."""
        return self.n_lanes * self.width

    def of(self, n_samples: int) -> int:
        """Return the number of lanes of a block of `n_samples`."""
        return -(-n_samples // self.width)


def lanes(
    source: LocalSource,
    n_components: int,
    scatter_size: int,
    *,
    flops: float | None = None,
    row_bytes: int = 0,
) -> Lanes:
    """Cut the samples of a source into lanes.

    scatter_size : that of one lane; flops : per sample and component, by default those of full covariances

    A lane has at least four tiles. Accumulators of all lanes are within 16 MiB (but there are four lanes in any case). The
    samples of a block are within 32 MiB, and take about half a second of one core at most, so that Ctrl-C is served between
    two blocks. `row_bytes` of input per sample, if any, are within 8 MiB a block.
    """
    n_samples, n_features = source.n_samples, source.n_features
    stats_bytes = 8 * (n_components * (n_features + 1) + scatter_size)
    n_lanes = max(1, min(_MAX_LANES, -(-n_samples // SINGLE_LANE), max(4, _LANE_MEMORY // stats_bytes)))
    if n_lanes > 4:
        n_lanes = n_lanes // 4 * 4  # as many for each thread
    flops = 2 * n_features * (n_features + 1) if flops is None else flops
    nanoseconds = n_components * (flops / 30 + 4)  # 30 GFLOP/s: what a slow core does
    within_call = int(1e9 * LIMITS.call_seconds / nanoseconds)
    rows = min(n_samples, within_call, LIMITS.block_bytes // (n_features * source.dtype.itemsize))
    if row_bytes:
        rows = min(rows, _RESP_MEMORY // row_bytes)
    rows = -(-n_samples // -(-n_samples // max(rows, 1)))  # blocks of equal size, not full ones and a small one
    # in small steps, or the last lanes stay empty and threads that run as many lanes do not do the same work
    return Lanes(n_lanes, max(1, -(-rows // (n_lanes * _QUANTUM))) * _QUANTUM)

"""How much is done at once: the sizes of the parts in which long or large work is done.

They bound memory and the time until Ctrl-C is served. Results depend on them by rounding alone, where sums are cut and as the
compiled loop rounds otherwise, and by the samples that a start sees of data larger than `loaded`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Limits:
    """Sizes of parts; `LIMITS` holds those in force, in every thread of the process.

    Attributes
    ----------
    loaded : int
        Bytes of samples up to which a stream is simply loaded, and of the sample that a larger one is started from.
    block_bytes : int
        Bytes of the samples of a block of a pass: a source that is not an array has to hold them twice or three times.
    batches_read : int
        Bytes of samples that online EM reads at a time, to cut them into batches.
    call_seconds : float
        The most that a compiled call of a pass takes on one slow core: Ctrl-C is served between two calls.
    call_flops : float
        The most operations of a compiled call that works on parameters, or on data so small that iterations are compiled
        together: a tenth to a third of a second.
    compiled_loop : bool
        Whether small data take the compiled twin of the EM loop.
    pruned_share : float
        A pruned sweep that evaluates more than this share of all pairs, or after which more than that are needed, is followed by
        dense ones.
    gathers : bool
        Whether equal samples are gathered into weighted ones if there are few distinct ones.
    numbers_checked, numbers_parsed, numbers_predicted, numbers_written : int
        Numbers of a block when samples are checked, text is read, predictions are made and text is written by the command
        line. A number that is written is a Python object of some hundred bytes meanwhile.
    bar_seconds, line_seconds : float
        Time between two updates of the progress bar, and between two lines without one.
    """

    loaded: int = 64 * 2**20
    block_bytes: int = 32 * 2**20
    batches_read: int = 8 * 2**20
    call_seconds: float = 0.5
    call_flops: float = 3e8
    compiled_loop: bool = True
    pruned_share: float = 0.75
    gathers: bool = True
    numbers_checked: int = 1 << 22
    numbers_parsed: int = 1 << 19
    numbers_predicted: int = 1 << 20
    numbers_written: int = 1 << 15
    bar_seconds: float = 0.1
    line_seconds: float = 5.0


LIMITS = Limits()


@contextmanager
def limited_to(**values: float) -> Iterator[None]:
    """Set limits while the context lasts: for tests, which make parts small that have to be many."""
    before = {name: getattr(LIMITS, name) for name in values}  # AttributeError for a limit that is none
    vars(LIMITS).update(values)
    try:
        yield
    finally:
        vars(LIMITS).update(before)

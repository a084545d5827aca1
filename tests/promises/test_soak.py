"""Two hundred small fits leave nothing behind; ``python -m bench.soak --fits 10000`` is the long form."""

from __future__ import annotations

import pytest
from conftest import compiled

from bench.soak import ALLOWED_MB, Usage, grown, soak


@compiled
def test_small_fits_leave_nothing_behind():
    soak(280, parts=1)  # all structures and both types: what compiling and loading kernels takes
    usages = soak(210, parts=3)
    assert not grown(usages)


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (Usage(101.0 + ALLOWED_MB, 1, 9, 0), "memory by 9.0 MB"),
        (Usage(100.0, 2, 9, 0), "threads from 1 to 2"),
        (Usage(100.0, 1, 10, 0), "handles from 9 to 10"),
        (Usage(100.0, 1, 9, 1), "files from 0 to 1"),
    ],
)
def test_growth_is_told(last, told):
    first = Usage(100.0, 1, 9, 0)
    assert told in grown([first, last])
    assert not grown([first, first])

"""Bytes as decisions, and which errors are answers: what the fuzz targets share, and the replay of their corpus."""

from __future__ import annotations

import linecache
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import fastgmm

T = TypeVar("T")

_PACKAGE = os.path.dirname(fastgmm.__file__) + os.sep
_SPECIAL = (
    0.0,
    -0.0,
    1e-8,
    1e8,
    -1e8,
    1e19,
    1e38,
    1e150,
    -1e150,
    1e154,
    1e200,
    1.7e308,
    -1.7e308,
    5e-324,
    1e-300,
    1e-160,
)
_NOT_FINITE = (float("nan"), float("inf"), float("-inf"))


class Choices:
    """Decisions read off bytes, one after the other; zeros where they have come to an end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def below(self, n: int) -> int:
        """An integer from 0 to n - 1."""
        return (self.byte() if n <= 256 else self.byte() | self.byte() << 8) % n

    def flag(self, one_in: int = 2) -> bool:
        """True once in so many values of a byte, and never where the bytes have come to an end."""
        return self.byte() % one_in == one_in - 1

    def pick(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def number(self, *, wild: int = 0) -> float:
        """A number near 0; with `wild` 1 often a huge or tiny one or any float64, with 2 also NaN or infinity."""
        code = self.byte()
        if code < 200 or not wild:
            return (code - 100) / 16
        if code < 240:
            return self.pick(_SPECIAL if wild == 1 else _SPECIAL + _NOT_FINITE)
        value = float(struct.unpack("<d", bytes(self.byte() for _ in range(8)))[0])
        return value if wild == 2 or abs(value) < float("inf") else 1.0

    def rest(self) -> bytes:
        return self._data[self._at :]


def is_answer(error: BaseException) -> bool:
    """Whether an error is one that fastgmm raises on purpose: by a `raise` of its own.

    A ValueError that NumPy comes to on the way says nothing about the user's arguments.
    """
    trace = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    name = trace.tb_frame.f_code.co_filename
    line = linecache.getline(name, trace.tb_lineno).strip()
    return name.startswith(_PACKAGE) and line.startswith(("raise ", "raise\n"))


def corpus(target: str) -> list[Path]:
    """Inputs that are kept: seeds, and those that once found something."""
    return sorted((Path(__file__).parent / "corpus" / target).iterdir())

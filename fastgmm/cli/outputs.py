"""Output of the commands: tables in files or on standard output; files that cannot be written are refused beforehand."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from fastgmm._atomic import replacing
from fastgmm._errors import listed
from fastgmm._limits import LIMITS

_TABLES = (".csv", ".npy")
#: Extensions of outputs that are not tables of numbers.
_EXTENSIONS = {"--plot": (".png", ".pdf", ".svg"), "--table": (".csv",)}


def check_outputs(
    outputs: dict[str, str | None],
    inputs: Sequence[str],
    force: bool,
    *,
    models: Sequence[str] = (),
    gone_on: Sequence[str] = (),
) -> None:
    """Refuse outputs that could not be written, before any work is done.

    Those of `models` may have any extension; those of `gone_on`, from which a fit resumes, may exist.
    """
    taken = {os.path.realpath(path): path for path in inputs}
    for option, path in outputs.items():
        if path is None:
            continue
        if path in ("", "-"):
            raise ValueError(f"{option} is {path!r}; it must be the name of a file")
        known = _EXTENSIONS.get(option, _TABLES)
        if option not in models and os.path.splitext(path)[1].lower() not in known:
            raise ValueError(f"{path} cannot be written: its extension must be {listed(known, 'or')}")
        real = os.path.realpath(path)
        if real in taken:
            raise ValueError(f"{path} cannot be written: it is also {taken[real]!r} of this command; choose another")
        if os.path.isdir(real):
            raise ValueError(f"{path} is a directory, not a file to write")
        if os.path.isfile(real) and not force and option not in gone_on:
            raise ValueError(f"{path} exists; add --force to replace it")
        directory = os.path.dirname(real)
        if not os.path.isdir(directory):
            raise ValueError(f"{path} cannot be written, because {directory} is not a directory; make it first")
        if not os.access(directory, os.W_OK):
            raise ValueError(f"{path} cannot be written, because you may not write into the directory {directory}")
        taken[real] = path


def split(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    rows = max(1, LIMITS.numbers_written // max(1, array[:1].size))
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def write_table(
    path: str | None,
    names: Sequence[str],
    blocks: Iterable[NDArray[Any]],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> None:
    """Write blocks of rows as .npy or .csv, or as text to standard output if `path` is None."""
    if path is None:
        for text in _csv(names, blocks, dtype):
            sys.stdout.write(text)
        return
    with replacing(path) as file:
        if path.lower().endswith(".npy"):
            descr = npy_format.dtype_to_descr(dtype)
            npy_format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
            for block in blocks:
                file.write(np.ascontiguousarray(block, dtype=dtype).data)
        else:
            for text in _csv(names, blocks, dtype):
                file.write(text.encode())


def write_rows(path: str, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows of numbers and words as .csv; NaN is an empty field."""
    with replacing(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([["" if value != value else value for value in row] for row in rows])
        text.detach()


def _csv(names: Sequence[str], blocks: Iterable[NDArray[Any]], dtype: np.dtype[Any]) -> Iterator[str]:
    """Yield CSV text from which every number is read back exactly."""
    head = io.StringIO()
    csv.writer(head, lineterminator="\n").writerow(names)
    yield head.getvalue()

    def write(value: Any) -> str:
        # nine digits are enough for float32, which as a Python float has seventeen
        return f"{value:.9g}" if single and isinstance(value, float) else repr(value)

    single = dtype == np.float32
    for whole in blocks:
        for block in split(whole):
            rows = block.reshape(len(block), -1).tolist()
            yield "".join(f"{','.join(map(write, row))}\n" for row in rows)

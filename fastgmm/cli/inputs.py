"""Data of DATA and --weights of the command line: a table in memory, or files that are read chunk by chunk."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm._limits import LIMITS
from fastgmm.cli import report
from fastgmm.data.chunks import Chunks, chunks, expand
from fastgmm.io.tables import (
    Description,
    choose_columns,
    describe,
    npy_header,
    npy_layout,
    read_column,
    read_table,
    resolve_columns,
)
from fastgmm.io.text import TextFile, kind_of, spell_columns

#: Files that are read piece by piece, so that a large one need not fit into memory.
_IN_PIECES = (".npy", ".parquet")
_WEIGHT_FILES = (".npy", ".csv", ".csv.gz", ".csv.bz2", ".csv.xz")
#: Value of DATA for text from standard input.
STANDARD_INPUT = "-"
#: Minimum number of samples for which consecutive numbers are not considered chance.
_FEWEST = 3


class IndexColumn(NamedTuple):
    """A column that may be an index: its name in messages, why it may be one, and the value for --drop."""

    label: str
    why: str
    option: str


class Table(NamedTuple):
    """Samples for `fit`, the name of each feature if there are names, and weights (n,) if there are any.

    numbered, header : the feature that may be an index, and the fields of the first sample if they may be names; else None
    """

    data: NDArray[Any] | Chunks
    names: tuple[str, ...] | None
    n_features: int
    sample_weight: NDArray[Any] | None = None
    numbered: IndexColumn | None = None
    header: list[str] | None = None


def data_files(data: str) -> list[str]:
    """Return the files of DATA: itself, those of a directory, or those that match a pattern."""
    return expand(data)


def names_of(args: Namespace) -> tuple[str, ...] | None:
    """Return the names of all columns of DATA, of its first file if there are several; None if it has none."""
    return _describe(args, data_files(args.data)[0]).names


def read(args: Namespace, columns: Sequence[str] | None, dtype: Any) -> Table:
    """Open DATA: the chosen columns without the dropped ones, and the weights.

    A directory, a pattern, and a .npy or Parquet file of more than 64 MiB become chunks; other files are read.
    """
    files = data_files(args.data)
    names, n_columns, first = _describe(args, files[0])
    picked = choose_columns(files[0], names, n_columns, columns, args.drop)
    weights, option = None, getattr(args, "weights", None)
    if option is not None and is_weight_file(option):
        weights = _weights_of_file(option)
    elif option is not None:
        column = _weight_column(files[0], option, names, n_columns)
        picked = [j for j in picked if j != column]
        if not picked:
            raise ValueError(f"{files[0]}: no column of {n_columns} is left besides that of the weights")
        weights = _column(_open(args, files, names, [column], None))
    data = _open(args, files, names, picked, dtype)
    table = Table(data, None if names is None else tuple(names[j] for j in picked), len(picked), weights)
    begin = _begin(data)
    header = None if first is None or args.header != "auto" else [first[j] for j in picked]
    return table._replace(
        numbered=None if args.columns is not None else _index_column(begin, picked, names),
        header=header if header is not None and _is_header(begin, header) else None,
    )


def read_with_classes(args: Namespace) -> tuple[Table, NDArray[Any]]:
    """Open DATA without the column of --classes, and return that column, of integers if it holds nothing else."""
    file, *others = data_files(args.data)
    if others:
        raise ValueError(f"{args.data} are {len(others) + 1} files; classify takes one")
    names, n_columns, _ = _describe(args, file)
    found = resolve_columns(file, "classes", [args.classes], names, n_columns)
    if len(found) != 1:
        raise ValueError(f"--classes is {args.classes!r}, which names {len(found)} columns; it must name one")
    picked = choose_columns(file, names, n_columns, args.columns, args.drop)
    args.columns, args.drop = [str(j) if names is None else names[j] for j in picked if j != found[0]], None
    if not args.columns:
        raise ValueError(f"{file}: no column of {n_columns} is left besides that of the classes")
    values = read_column(_file(args, file), found[0], **_options(args))
    with contextlib.suppress(ValueError):
        whole = values.astype(np.float64)
        values = whole.astype(np.int64) if (whole == np.round(whole)).all() else values
    empty = np.flatnonzero(values == "") if values.dtype.kind == "U" else np.zeros(0, np.intp)
    if empty.size:
        raise ValueError(
            f"{file}: sample {empty[0]} (counted from 0) has no class; leave it out, or pass it with --new"
        )
    return read(args, args.columns, args.dtype), values


def tell_of_doubts(args: Namespace, table: Table) -> None:
    """Note on standard error what was read as data but may be an index, or a header of numbers."""
    again = "" if hasattr(args, "components") else "fit again with "
    if (column := table.numbered) is not None:
        report.note(
            f"{args.data}: {column.label} is taken for a feature, but {column.why}: if it is an index, leave it out: "
            f"{again}--drop {column.option}"
        )
    if table.header is not None:
        shown = ", ".join(table.header[:5]) + (", ..." if len(table.header) > 5 else "")
        report.note(
            f"{args.data}: the first line ({shown}) is taken for a sample: if it holds names, add --header yes, else --header no"
        )


def _begin(data: NDArray[Any] | Chunks) -> NDArray[Any]:
    """Return the data, or the first piece of them."""
    if not isinstance(data, Chunks):
        return data
    with contextlib.closing(data.__iter__()) as pieces:
        return next(pieces)


def _index_column(data: NDArray[Any], picked: list[int], names: tuple[str, ...] | None) -> IndexColumn | None:
    """Return the first column that looks like the index of a data frame, as pandas and R write it; None if none does."""
    for column, j in enumerate(picked):
        name = None if names is None else names[j]
        if name is not None and (re.fullmatch(r"(Unnamed: \d+(\.\d+)*)?", name) or name.startswith("__index_level_")):
            why = "has no name, as the index of a data frame" if not name else "has the name of an index"
        elif _counts(data[:, column]):
            why = f"counts {data[0, column]:.0f}, {data[1, column]:.0f}, {data[2, column]:.0f}, ..."
        else:
            continue
        label = f"column {j}" + (f" ({name!r})" if name else "")
        return IndexColumn(label, why, spell_columns([j], names))
    return None


def _counts(values: NDArray[Any]) -> bool:
    """Return whether values are consecutive integers."""
    head = np.asarray(values[:_FEWEST], np.float64)  # all are checked only if these pass
    if len(head) < _FEWEST or not np.isfinite(head).all() or head[0] != np.floor(head[0]) or (np.diff(head) != 1).any():
        return False
    whole = np.asarray(values, np.float64)
    return bool((whole[1:] == whole[:-1] + 1).all())


def _is_header(data: NDArray[Any], fields: Sequence[str]) -> bool:
    """Return whether the first sample, written as `fields`, may be names of columns: integers unlike the other samples.

    Either they are in equal steps, and there are many, or they are years, or the other samples are not integers. Or they are
    all different, and in each column farther from the other samples than the range of these.
    """
    if len(data) < _FEWEST or not all(re.fullmatch(r"\s*\d+\s*", field) for field in fields):
        return False
    head, rest = np.asarray(data[0], np.float64), data[1:]
    steps = np.diff(head)
    if len(head) > 1 and (steps == steps[0]).all() and (steps[0] == 1 or (steps[0] > 0 and len(head) > 2)):
        years = head[0] >= 1900 and head[-1] <= 2100 and bool(((rest < 1900) | (rest > 2100)).any())
        if len(head) > 3 or years or (rest != np.floor(rest)).any():
            return True
    low, high = rest.min(axis=0).astype(np.float64), rest.max(axis=0).astype(np.float64)
    apart = np.maximum(low - head, head - high) > high - low
    return bool(apart.all()) and len(set(head.tolist())) == len(head) and bool((high > low).all())


def _options(args: Namespace) -> dict[str, Any]:
    return {name: getattr(args, name) for name in ("header", "key", "delimiter", "decimal", "comment", "missing")}


def _describe(args: Namespace, path: str) -> Description:
    return describe(_file(args, path), **_options(args))


def _file(args: Namespace, path: str) -> str | TextFile:
    """Return a file to read; text from standard input is kept, since it is read several times."""
    if path != STANDARD_INPUT:
        return path
    if not hasattr(args, "standard_input"):
        if sys.stdin is None:
            raise ValueError("DATA is -, but there is no standard input: pipe text in, or name a file")
        args.standard_input = sys.stdin.buffer.read()
    return TextFile("standard input", lambda: io.BytesIO(args.standard_input))


def _open(
    args: Namespace, files: list[str], names: tuple[str, ...] | None, picked: list[int], dtype: Any
) -> NDArray[Any] | Chunks:
    in_pieces = os.path.splitext(files[0])[1].lower() in _IN_PIECES
    # by name if that is unique, since files may have their columns in different orders
    clear = names is not None and len(set(names)) == len(names)
    wanted: list[int | str] = [names[j] for j in picked] if clear and names is not None else list(picked)

    def whole(path: str) -> NDArray[Any]:
        return read_table(_file(args, path), columns=wanted, dtype=dtype, **_options(args)).data

    if files == [args.data] and not (in_pieces and os.path.getsize(files[0]) > LIMITS.loaded):
        return whole(files[0])
    if not in_pieces:
        return chunks(lambda: map(whole, files))
    n_columns = _describe(args, files[0]).n_columns
    some = wanted if names is not None or len(picked) < n_columns else None
    pieces = chunks(files, columns=some, missing=args.missing)
    if dtype is None or _all_are(files, np.dtype(dtype)):
        return pieces
    return chunks(lambda: (np.asarray(piece).astype(dtype, copy=False) for piece in pieces))


def _all_are(files: list[str], dtype: np.dtype[Any]) -> bool:
    return all(path.lower().endswith(".npy") and npy_layout(path)[2] == dtype for path in files)


# --- weights ---


def is_weight_file(option: str) -> bool:
    """Return whether --weights names a file; else it names a column of DATA."""
    return kind_of(option) in _WEIGHT_FILES


def _weight_column(path: str, option: str, names: tuple[str, ...] | None, n_columns: int) -> int:
    try:
        found = resolve_columns(path, "weights", [option], names, n_columns)
    except ValueError as error:
        raise ValueError(
            f"{error}. --weights is read as the name of a column; a file of weights must end in .npy or .csv"
        ) from None
    if len(found) != 1:
        raise ValueError(f"--weights is {option!r}, which names {len(found)} columns; it must name one")
    return found[0]


def _column(data: NDArray[Any] | Chunks) -> NDArray[np.float64]:
    parts = data if isinstance(data, Chunks) else [data]
    return np.concatenate([np.asarray(part[:, 0], np.float64) for part in parts])


def _weights_of_file(path: str) -> NDArray[Any]:
    if not path.lower().endswith(".npy"):
        data = read_table(path).data
        if data.shape[1] != 1:
            raise ValueError(f"{path} has {data.shape[1]} columns; a file of weights must have one")
        return data[:, 0]
    try:
        with open(path, "rb") as file:
            shape, _, dtype = npy_header(file)
        if dtype.kind not in "fiub" or not shape or len(shape) > 2 or shape[1:] not in ((), (1,)):
            raise ValueError(f"it holds {dtype} of shape {shape}, but weights must be numbers of shape (n,)")
        return np.asarray(np.load(path, allow_pickle=False)).ravel()
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is not a .npy file of weights: {error}") from None

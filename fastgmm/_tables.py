"""What DATA and --weights of the command line stand for: a table in memory, or files that are gone through chunk by chunk."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm.sources.chunks import Chunks, chunks, expand
from fastgmm.sources.files import (
    choose_columns,
    describe,
    npy_header,
    npy_layout,
    read_table,
    resolve_columns,
)
from fastgmm.sources.stream import LOADED

#: Files that are read piece by piece, so that a large one need not fit into memory.
_IN_PIECES = (".npy", ".parquet")
_WEIGHT_FILES = (".npy", ".csv")


class Table(NamedTuple):
    """Samples as `fit` takes them, the name of each feature if there are names, and weights (n,) if there are any."""

    data: NDArray[Any] | Chunks
    names: tuple[str, ...] | None
    n_features: int
    sample_weight: NDArray[Any] | None = None


def data_files(data: str) -> list[str]:
    """Files that DATA stands for: itself, those of a directory, or those that match a pattern."""
    return expand(data)


def names_of(args: Namespace) -> tuple[str, ...] | None:
    """Names of all columns of DATA, of the first file where there are several; None where it has none."""
    return _describe(args, data_files(args.data)[0])[0]


def read(args: Namespace, columns: Sequence[str] | None, dtype: Any) -> Table:
    """Open DATA: the columns asked for without those dropped, and the weights.

    A directory, a pattern, and a .npy or Parquet file of more than 64 MiB become chunks; other files are read.
    """
    files = data_files(args.data)
    names, n_columns = _describe(args, files[0])
    picked = choose_columns(files[0], names, n_columns, columns, args.drop)
    weights, option = None, getattr(args, "weights", None)
    if option is not None and is_weight_file(option):
        weights = _weights_of_file(option)
    elif option is not None:
        column = _weight_column(files[0], option, names, n_columns)
        picked = [j for j in picked if j != column]
        if not picked:
            raise ValueError(f"{files[0]}: no column is left of {n_columns} beside that of the weights")
        weights = _column(_open(args, files, names, [column], None))
    data = _open(args, files, names, picked, dtype)
    return Table(data, None if names is None else tuple(names[j] for j in picked), len(picked), weights)


def _describe(args: Namespace, path: str) -> tuple[tuple[str, ...] | None, int]:
    return describe(path, header=args.header, key=args.key, delimiter=args.delimiter)


def _open(
    args: Namespace, files: list[str], names: tuple[str, ...] | None, picked: list[int], dtype: Any
) -> NDArray[Any] | Chunks:
    in_pieces = os.path.splitext(files[0])[1].lower() in _IN_PIECES
    # by name where that is clear, since files may have their columns in different orders
    clear = names is not None and len(set(names)) == len(names)
    wanted: list[int | str] = [names[j] for j in picked] if clear and names is not None else list(picked)

    def whole(path: str) -> NDArray[Any]:
        options = {"header": args.header, "key": args.key, "delimiter": args.delimiter}
        return read_table(path, columns=wanted, dtype=dtype, **options).data

    if files == [args.data] and not (in_pieces and os.path.getsize(files[0]) > LOADED):
        return whole(files[0])
    if not in_pieces:
        return chunks(lambda: map(whole, files))
    pieces = chunks(files, columns=wanted if names is not None or len(picked) < _describe(args, files[0])[1] else None)
    if dtype is None or _all_are(files, np.dtype(dtype)):
        return pieces
    return chunks(lambda: (np.asarray(piece).astype(dtype, copy=False) for piece in pieces))


def _all_are(files: list[str], dtype: np.dtype[Any]) -> bool:
    return all(path.lower().endswith(".npy") and npy_layout(path)[2] == dtype for path in files)


# --- weights ---


def is_weight_file(option: str) -> bool:
    """Whether --weights names a file; else it names a column of DATA."""
    return option.lower().endswith(_WEIGHT_FILES)


def _weight_column(path: str, option: str, names: tuple[str, ...] | None, n_columns: int) -> int:
    try:
        found = resolve_columns(path, "weights", [option], names, n_columns)
    except ValueError as error:
        raise ValueError(f"{error}. It is taken for a column; a file of weights must end in .npy or .csv") from None
    if len(found) != 1:
        raise ValueError(f"--weights is {option!r}, which are {len(found)} columns; it must be one")
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
        raise ValueError(f"{path} is no .npy file of weights: {error}") from None

"""Tables read from files into arrays: delimited text, ``.npy``, ``.npz`` and Parquet."""

from __future__ import annotations

import difflib
import errno
import math
import numbers
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import DTypeLike, NDArray

from fastgmm._compat import optional
from fastgmm._errors import listed
from fastgmm._validation import check_path, shape_advice
from fastgmm.io.text import (
    COMPRESSED,
    FILL_IN,
    Format,
    Header,
    TextFile,
    column_label,
    columns_hint,
    inspect_text,
    kind_of,
    read_text,
    read_words,
)

__all__ = ["TableData", "describe", "read_table"]

_PLAIN = (".csv", ".tsv", ".txt")
_TEXT = (*_PLAIN, *(kind + extension for kind in _PLAIN for extension in COMPRESSED))
_ARRAYS = (".npy", ".npz", ".parquet")
#: Kinds of files that can be read, as `kind_of` gives them.
READABLE = (*_TEXT, *_ARRAYS)


class TableData(NamedTuple):
    """Result of `read_table`.

    Attributes
    ----------
    data : (n_samples, n_features) array
    names : tuple of str, or None
        The name of each column of `data`; None if the file has no names.
    """

    data: NDArray[Any]
    names: tuple[str, ...] | None


def read_table(
    path: str | os.PathLike[str] | TextFile,
    *,
    columns: Sequence[int | str] | None = None,
    drop: Sequence[int | str] | None = None,
    header: Header = "auto",
    key: str | None = None,
    delimiter: str | None = None,
    decimal: str = ".",
    comment: str | None = None,
    missing: bool = False,
    dtype: DTypeLike | None = None,
) -> TableData:
    """Read a table of numbers from a file.

    Parameters
    ----------
    path : str, path-like, or TextFile
        The extension determines the format: ``.csv``, ``.tsv`` and ``.txt`` (delimited UTF-8 text, fields may be quoted,
        empty lines are skipped; compressed with a further ``.gz``, ``.bz2`` or ``.xz``), ``.npy``, ``.npz``, ``.parquet``
        (needs pyarrow).
    columns : sequence of int or str, optional
        The columns to read, in that order: names, or indices counted from 0. A string that is not a name may be an index
        (``"2"``) or a range including both ends (``"0-3"``). Default: all columns.
    drop : sequence of int or str, optional
        Columns to leave out, given in the same way.
    header : {"auto", "yes", "no"}, default "auto"
        Text only: whether the first line holds names. With "auto" it does if no field of it is a number, and it does not
        if all are. A line that could be either is an error, which asks.
    key : str, optional
        ``.npz`` only: the name of the array. Default: the only array in it that has two dimensions.
    delimiter : str, optional
        Text only: one character, or one of "comma", "semicolon", "tab", "space" (any run of blanks). Default: found
        from the first line.
    decimal : {".", ","}, default "."
        Text only: the decimal sign. If commas delimit as well, numbers with decimal commas must be quoted.
    comment : str, optional
        Text only: one character, such as ``"#"``. Outside quotes, it and the rest of the line are left out.
    missing : bool, default False
        Text and Parquet: whether values may be missing, which become NaN: nulls, empty fields, and NA, N/A, NaN, null, none, ?, -
        and a point, in upper or lower case. A line that is empty is no row. Arrays may hold NaN in any case.
    dtype : float32 or float64, optional
        Type of `data`. Default: float64 for text and Parquet (float32 if all columns are), the file's own for the
        others.

    Returns
    -------
    table : TableData
        Named tuple ``(data, names)``. A ``.npy`` file is mapped into memory read-only, not copied, if `dtype` is that of
        the file and `columns` are neighbours in ascending order. Text is read in blocks into an array of the final size.

    Raises
    ------
    ValueError
        If the file is damaged or not of its format, holds no row or something that is not a finite number, or if an option
        does not fit the file. For text the message has the line, the column and the field.
    OSError
        If the file cannot be opened.
    ImportError
        If the format needs a package that is not installed.
    """
    form = Format(header, delimiter, decimal, comment, missing)
    text, file = _text_or_path(path)
    kind = _kind(text, file, form, key)
    wanted = None if dtype is None else np.dtype(dtype)
    if wanted is not None and wanted not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"dtype is {wanted}; it must be float32 or float64")

    def choose(names: tuple[str, ...] | None, n_columns: int) -> list[int]:
        return choose_columns(file, names, n_columns, columns, drop)

    if kind in _TEXT:
        kept = np.dtype(np.float64) if wanted is None else wanted
        return TableData(*read_text(text or TextFile.at(file), choose, form, kept))
    if kind == ".parquet":
        return _read_parquet(file, choose, wanted, missing)
    array = _map_npy(file) if kind == ".npy" else _load_npz(file, key)
    picked = choose(None, array.shape[1])
    if picked != list(range(array.shape[1])):
        first = picked[0]
        neighbours = picked == list(range(first, first + len(picked)))
        array = array[:, first : first + len(picked)] if neighbours else array[:, picked]
    if wanted is not None:
        array = array.astype(wanted, copy=False)
    return TableData(array, None)


class Description(NamedTuple):
    """Names of all columns, None if a file has none; their number; and for text without names the first line."""

    names: tuple[str, ...] | None
    n_columns: int
    first: tuple[str, ...] | None = None


def describe(
    path: str | os.PathLike[str] | TextFile,
    *,
    header: Header = "auto",
    key: str | None = None,
    delimiter: str | None = None,
    decimal: str = ".",
    comment: str | None = None,
    missing: bool = False,
) -> Description:
    """Return the columns of a file without reading its data. Parameters and errors as in `read_table`."""
    form = Format(header, delimiter, decimal, comment, missing)
    text, file = _text_or_path(path)
    kind = _kind(text, file, form, key)
    if kind in _TEXT:
        layout = inspect_text(text or TextFile.at(file), form)
        return Description(layout.names, layout.n_fields, layout.first if layout.names is None else None)
    if kind == ".parquet":
        with _open_parquet(file) as table:
            names = tuple(table.schema_arrow.names)
        return Description(names, len(names))
    if kind == ".npy":
        return Description(None, npy_layout(file)[0][1])
    return Description(None, _npz_layout(file, key)[1][1])


def read_column(
    path: str | os.PathLike[str] | TextFile,
    column: int,
    *,
    header: Header = "auto",
    key: str | None = None,
    delimiter: str | None = None,
    decimal: str = ".",
    comment: str | None = None,
    missing: bool = False,
) -> NDArray[Any]:
    """Return one column of a file, (n,), of numbers or words. Parameters and errors as in `read_table`."""
    form = Format(header, delimiter, decimal, comment, missing)
    text, file = _text_or_path(path)
    kind = _kind(text, file, form, key)
    if kind in _TEXT:
        return np.array(read_words(text or TextFile.at(file), form, column))
    if kind == ".parquet":
        with _open_parquet(file) as table:
            name = table.schema_arrow.names[column]
            found: NDArray[Any] = np.asarray(table.read(columns=[name]).column(0).to_pylist())
        return found
    data = np.load(file, allow_pickle=False) if kind == ".npy" else _load_npz(file, key)
    return np.asarray(data[:, column])


def _text_or_path(path: str | os.PathLike[str] | TextFile) -> tuple[TextFile | None, str]:
    return (path, path.name) if isinstance(path, TextFile) else (None, check_path("path", path))


def _kind(text: TextFile | None, path: str, form: Format, key: str | None) -> str:
    """Return the kind of an existing file, and refuse options that do not apply to it."""
    kind = kind_of(path) if text is None else ".csv"
    if text is None:
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, "is a directory, not a file", path)
        os.stat(path)  # raises if the file is missing
        if kind not in READABLE:
            known = f"{listed((*_PLAIN, *_ARRAYS), 'or')}; of text also {listed(COMPRESSED, 'or')} after it"
            raise ValueError(f"{path}: the extension {kind!r} is not one that can be read; it must be {known}")
        if not os.path.isfile(path):
            raise ValueError(
                f"{path} is not a regular file; text is read more than once, so write it to a file first, or give - for DATA "
                "and pipe it in"
            )
    if kind not in _TEXT:
        refuse_form(path, form)
    if key is not None and kind != ".npz":
        raise ValueError(f"{path}: key is given, but it is for .npz only")
    return kind


def refuse_form(path: str, form: Format) -> None:
    """Raise ValueError if options for text are given for a file of another kind."""
    for option in form.given():
        raise ValueError(f"{path}: {option} is given, but it is for {listed(_PLAIN, 'or')} only")


def choose_columns(
    path: str,
    names: tuple[str, ...] | None,
    n_columns: int,
    columns: Sequence[int | str] | None,
    drop: Sequence[int | str] | None,
) -> list[int]:
    """Return the indices of `columns`, by default of all, without those of `drop`; both as in `read_table`."""
    picked = list(range(n_columns)) if columns is None else resolve_columns(path, "columns", columns, names, n_columns)
    dropped = set(resolve_columns(path, "drop", drop or (), names, n_columns))
    kept = [j for j in picked if j not in dropped]
    if not kept:
        raise ValueError(f"{path}: no column is left of {n_columns}; choose at least one")
    return kept


def resolve_columns(
    path: str, option: str, items: Sequence[int | str], names: tuple[str, ...] | None, n_columns: int
) -> list[int]:
    """Return the indices of columns given by names, indices or ranges; errors begin with `path` and `option`."""
    if isinstance(items, str):
        raise TypeError(f"{option} is the string {items!r}; it must be a sequence, such as [{items!r}]")
    picked: list[int] = []
    for item in items:
        if not isinstance(item, (str, numbers.Integral)) or isinstance(item, bool):
            raise TypeError(f"{path}: {option} holds {item!r}, a {type(item).__name__}; it must hold names or integers")
        indices = _by_name(path, option, item, names) if isinstance(item, str) else [int(item)]
        for j in indices:
            if not 0 <= j < n_columns:
                raise ValueError(f"{path}: {option} asks for column {j}, but there are {n_columns}, counted from 0")
            if j in picked:
                raise ValueError(f"{path}: {option} names {column_label(j, names)} twice; name it once")
            picked.append(j)
    return picked


def _by_name(path: str, option: str, item: str, names: tuple[str, ...] | None) -> list[int]:
    found = [j for j, name in enumerate(names or ()) if name == item]
    if len(found) == 1:
        return found
    if found:
        raise ValueError(f"{path}: {len(found)} columns are called {item!r}: {found}; choose by index")
    if index := re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", item):
        first, last = int(index[1]), int(index[2] or index[1])
        if last < first:
            raise ValueError(
                f"{path}: {option} holds the range {item!r}, which ends before it begins; write the smaller one first"
            )
        return list(range(first, min(last, first + 10**6) + 1))
    if names is None:
        raise ValueError(
            f"{path}: {option} holds {item!r}, but the file has no names; choose by index, such as 0 or 0-3"
        )
    near = difflib.get_close_matches(item, names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {listed([*map(repr, names)], most=12)}"
    raise ValueError(f"{path}: {option} holds {item!r}, which is not a column; {hint}")


# --- NumPy's formats ---


def _check_array(where: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "fiub":
        what = "Python objects" if dtype.hasobject else f"{dtype}"
        raise ValueError(f"{where} holds {what}; it must hold real numbers")
    if len(shape) != 2:
        hint = "reshape(-1, 1) makes it one column" if len(shape) == 1 else shape_advice(shape, "array")
        raise ValueError(f"{where} has {len(shape)} dimensions, shape {shape}; it must have 2; {hint}")
    if 0 in shape:
        raise ValueError(f"{where} is empty, shape {shape}; it must hold a row of numbers at least")


#: Errors of reading a damaged or foreign .npz archive; NotImplementedError and RuntimeError come from odd compression and
#: encrypted entries.
NPZ_DAMAGE = (ValueError, EOFError, zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError)


def npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read shape, whether the order is Fortran's, and dtype of an array in NumPy's format, up to the first value.

    Raises
    ------
    ValueError
        If the bytes are not such a header.
    """
    version = npy_format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        # version 3 exists for the field names of structured arrays
        raise ValueError(f"version {version} of the format is not for arrays of numbers")
    try:
        read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        if not all(type(length) is int and 0 <= length < 2**63 for length in shape):  # True is an int for NumPy
            raise ValueError(f"its header says shape {shape}, which no array can have")
        return shape, fortran, dtype
    except ValueError:
        raise
    except Exception as error:
        # the header is a Python literal; the errors that a malicious one causes in the tokenizer are not documented
        raise ValueError(f"its header cannot be read: {error}") from None


def npy_layout(path: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return shape, whether the order is Fortran's, dtype and first byte of the matrix of numbers in a .npy file."""
    try:
        with open(path, "rb") as file:
            shape, fortran, dtype = npy_header(file)
            offset = file.tell()
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is not a readable .npy file: {error}; write it with numpy.save") from None
    _check_array(path, shape, dtype)
    return shape, fortran, dtype, offset


def _map_npy(path: str) -> NDArray[Any]:
    shape, _, dtype, _ = npy_layout(path)
    try:
        array: NDArray[Any] = npy_format.open_memmap(path, mode="r")
    except (ValueError, EOFError, OverflowError) as error:
        raise ValueError(
            f"{path} is damaged: its header says shape {shape}, {dtype}; {error}. Write the file again"
        ) from None
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


def column_indices(path: str, n_columns: int, columns: Sequence[int | str] | None) -> list[int] | None:
    """Return the indices of the wanted columns of a file without names; None for all of them."""
    return None if columns is None else choose_columns(path, None, n_columns, columns, None)


def _npz_layout(path: str, key: str | None) -> tuple[str, tuple[int, ...], np.dtype[Any]]:
    """Return name, shape and dtype of the wanted array of two dimensions."""
    headers, sizes = {}, {}
    member = ""
    with open(path, "rb") as whole:
        try:
            with zipfile.ZipFile(whole) as archive:
                for info in archive.infolist():
                    member = info.filename
                    if member.endswith(".npy"):
                        with archive.open(info) as file:
                            headers[member[:-4]] = npy_header(file)
                            sizes[member[:-4]] = info.file_size - file.tell()
        except (*NPZ_DAMAGE, OSError) as error:  # OSError of a place before the beginning of the file
            where = f"{path}, member {member!r}" if member else path
            raise ValueError(f"{where} is not readable as .npz: {error}; write it with numpy.savez") from None
    chosen = _choose_array(path, key, {name: header[0] for name, header in headers.items()})
    shape, _, dtype = headers[chosen]
    _check_array(f"{path}, array {chosen!r}", shape, dtype)
    if math.prod(shape) * dtype.itemsize != sizes[chosen]:  # before allocating the size in the header
        raise _damaged_npz(path, chosen, shape, dtype, f"it has {sizes[chosen]} bytes")
    return chosen, shape, dtype


def _damaged_npz(path: str, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], problem: object) -> ValueError:
    return ValueError(
        f"{path}, array {name!r} is damaged: its header says shape {shape}, {dtype}; {problem}. Write the file again"
    )


def _load_npz(path: str, key: str | None) -> NDArray[Any]:
    chosen, shape, dtype = _npz_layout(path, key)
    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                array: NDArray[Any] = arrays[chosen]
        except (*NPZ_DAMAGE, OSError) as error:
            raise _damaged_npz(path, chosen, shape, dtype, error) from None
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


def _choose_array(path: str, key: str | None, shapes: dict[str, tuple[int, ...]]) -> str:
    held = ", ".join(f"{name!r} {shape}" for name, shape in list(shapes.items())[:12]) or "no array"
    if key is not None:
        if key not in shapes:
            raise ValueError(f"{path} holds no array {key!r}; it holds {held}")
        return key
    if {"header", "precisions_cholesky_"} <= set(shapes):
        raise ValueError(
            f"{path} is a saved model, not a table; choose one of its arrays with --key (key=), it holds {held}"
        )
    tables = [name for name, shape in shapes.items() if len(shape) == 2]
    if len(tables) != 1:
        count = f"{len(tables)} arrays" if tables else "no array"
        raise ValueError(f"{path} holds {count} of two dimensions; choose one with --key (key=); it holds {held}")
    return tables[0]


# --- Parquet ---


def _open_parquet(path: str) -> Any:
    parquet = optional("pyarrow.parquet", "reading .parquet files")
    try:
        return parquet.ParquetFile(path)
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        # damage raises either of the two, but only the system's errors have a number
        raise ValueError(f"{path} is not a readable .parquet file: {error}; write the file again") from None


def _read_parquet(
    path: str,
    choose: Callable[[tuple[str, ...] | None, int], list[int]],
    dtype: np.dtype[Any] | None,
    missing: bool,
) -> TableData:
    with _open_parquet(path) as table:
        names, picked, kept = _parquet_columns(path, table, choose, dtype)
        n_samples = table.metadata.num_rows
        if n_samples == 0:
            raise ValueError(f"{path} holds no rows; it must hold one at least")
        data = np.empty((n_samples, len(picked)), kept)
        row = 0
        for batch in _parquet_arrays(path, table, names, picked, kept, missing):
            data[row : row + len(batch)] = batch
            row += len(batch)
    return TableData(data, tuple(names[j] for j in picked))


def parquet_batches(
    path: str, columns: Sequence[int | str] | None, size: int, *, missing: bool = False
) -> Iterator[NDArray[Any]]:
    """Yield the rows of a Parquet file as matrices of about `size` bytes."""
    with _open_parquet(path) as table:
        names, picked, kept = _parquet_columns(
            path, table, lambda n, k: choose_columns(path, n, k, columns, None), None
        )
        rows = max(1, size // (len(picked) * kept.itemsize))
        yield from _parquet_arrays(path, table, names, picked, kept, missing, batch_size=rows)


def _parquet_columns(
    path: str,
    table: Any,
    choose: Callable[[tuple[str, ...] | None, int], list[int]],
    dtype: np.dtype[Any] | None,
) -> tuple[tuple[str, ...], list[int], np.dtype[Any]]:
    """Return all names, the chosen columns, and the dtype that holds them."""
    types = optional("pyarrow", "reading .parquet files").types
    schema = table.schema_arrow
    names = tuple(schema.names)
    picked = choose(names, len(names))
    _check_parquet(path, types, schema, picked)
    single = all(types.is_float32(schema.types[j]) for j in picked)
    return names, picked, np.dtype(dtype or (np.float32 if single else np.float64))


def _parquet_arrays(
    path: str,
    table: Any,
    names: tuple[str, ...],
    picked: list[int],
    dtype: np.dtype[Any],
    missing: bool,
    **options: int,
) -> Iterator[NDArray[Any]]:
    pyarrow = optional("pyarrow", "reading .parquet files")
    row = 0
    try:
        for batch in table.iter_batches(columns=[names[j] for j in picked], **options):
            data = np.empty((len(batch), len(picked)), dtype)
            for column, j in enumerate(picked):
                values = batch.column(names[j])
                if values.null_count and not missing:
                    first = row + int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
                    label = column_label(j, names)
                    raise ValueError(f"{path}, row {first} (counted from 0), {label}: the value is missing; {FILL_IN}")
                data[:, column] = values.to_numpy(zero_copy_only=False)
            row += len(batch)
            if row > table.metadata.num_rows:
                break
            yield data
        if row != table.metadata.num_rows:
            n_samples = table.metadata.num_rows
            raise ValueError(
                f"{path} is damaged: its footer says {n_samples} rows, but it has others; write the file again"
            )
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is damaged: {error}; write the file again") from None


def _check_parquet(path: str, types: Any, schema: Any, picked: list[int]) -> None:
    def is_numeric(j: int) -> bool:
        kind = schema.types[j]
        return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))

    names = list(schema.names)
    bad = [j for j in picked if not is_numeric(j)]
    if bad:
        label = column_label(bad[0], names)
        good = [j for j in picked if is_numeric(j)]
        advice = columns_hint(good, bad, names) if good else "no chosen column holds numbers"
        more = f", as are {', '.join(column_label(j, names) for j in bad[1:6])}" if bad[1:] else ""
        raise ValueError(f"{path}: {label} is not numeric but {schema.types[bad[0]]}{more}: {advice}")
    for j in picked:
        if names.count(names[j]) > 1:
            raise ValueError(
                f"{path}: {names.count(names[j])} columns are called {names[j]!r}; give them different names"
            )

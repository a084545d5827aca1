"""Delimited text: NumPy's C parser reads it; the csv module looks again where that failed, to say what is wrong."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, Literal, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

Header = Literal["auto", "yes", "no"]
Choose = Callable[["tuple[str, ...] | None", int], "list[int]"]

# fields parsed by one call, which bounds what is held twice and how long Ctrl-C can take
_BLOCK = 1 << 19
_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "space": " "}
_MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "-", "."}


class Layout(NamedTuple):
    """What the first lines tell: the delimiter (a space stands for any run of blanks), header and number of fields."""

    delimiter: str
    names: tuple[str, ...] | None
    n_fields: int


def read_text(
    path: str, choose: Choose, *, header: Header, delimiter: str | None, dtype: np.dtype[Any]
) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    """Read the columns that `choose(names, n_fields)` picks; all of the others are only counted."""
    try:
        layout = inspect_text(path, header, delimiter)
        picked = choose(layout.names, layout.n_fields)
        data = _parse(path, layout, picked, dtype)
    except UnicodeDecodeError:
        raise ValueError(_not_utf8(path)) from None
    if not len(data):
        raise ValueError(f"{path} holds a header but no data; it must hold a row of numbers at least")
    return data, None if layout.names is None else tuple(layout.names[j] for j in picked)


def inspect_text(path: str, header: Header, delimiter: str | None) -> Layout:
    """Find delimiter, header and number of fields from the first line that is not empty."""
    if header not in ("auto", "yes", "no"):
        raise ValueError(f'header is {header!r}; it must be "auto", "yes" or "no"')
    try:
        with _open(path) as file:
            line = next((line for line in file if line.strip()), None)
        if line is None:
            raise ValueError(f"{path} is empty; it must hold a row of numbers at least")
        separator = _sniff(path, line) if delimiter is None else _named_delimiter(delimiter)
        with _open(path) as file:
            number, fields = next(_records(path, file, separator), (1, []))
        if not fields:
            raise ValueError(f"{path} is empty; it must hold a row of numbers at least")
    except UnicodeDecodeError:
        raise ValueError(_not_utf8(path)) from None
    names = None
    if _has_header(path, number, fields, header):
        # numpy.savetxt writes its header as a comment
        names = tuple(field.strip() for field in [fields[0].lstrip("# "), *fields[1:]])
    return Layout(separator, names, len(fields))


def _open(path: str) -> TextIO:
    return open(path, encoding="utf-8-sig")


def _not_utf8(path: str) -> str:
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                byte = line[error.start]
                return f"{path}, line {number} is not UTF-8 text (byte 0x{byte:02x}); save the file as UTF-8"
    return f"{path} is not UTF-8 text; save the file as UTF-8"


def _named_delimiter(delimiter: str) -> str:
    separator = _DELIMITERS.get(delimiter, delimiter)
    if len(separator) != 1 or separator.isalnum() or separator in '"\r\n.+-':
        raise ValueError(
            f"delimiter is {delimiter!r}; it must be one character that is no part of a number, or one of "
            "comma, semicolon, tab, space (any run of blanks)"
        )
    return separator


def _sniff(path: str, line: str) -> str:
    extension = os.path.splitext(path)[1].lower()
    if extension == ".tsv":
        return "\t"
    unquoted = re.sub(r'"[^"]*"', "", line)
    # semicolon before comma: where numbers have decimal commas, both occur
    for separator in "\t;,":
        if separator in unquoted:
            return separator
    # a .csv without any delimiter has one column, whose name may contain blanks
    return " " if extension == ".txt" and len(unquoted.split()) > 1 else ","


def _records(path: str, file: TextIO, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each record that is not empty with the number of the line on which it begins."""
    if delimiter == " ":
        for number, line in enumerate(file, start=1):
            if fields := line.split():
                yield number, fields
        return
    reader = csv.reader(file, delimiter=delimiter)
    begin = 1
    try:
        for fields in reader:
            if len(fields) > 1 or (fields and fields[0].strip()):
                yield begin, fields
            begin = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}, line {begin}: {error}") from None


def _is_number(text: str) -> bool:
    # float() also takes "1_000" and digits of other scripts, which the C parser does not
    if "_" in text or not text.strip().isascii():
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def _has_header(path: str, line: int, fields: Sequence[str], header: Header) -> bool:
    if header != "auto":
        return header == "yes"
    numbers = sum(map(_is_number, fields))
    if numbers == 0:
        return True
    counted = len(fields) > 1 and list(fields) == [str(j) for j in range(len(fields))]
    if numbers == len(fields) and not counted:
        return False
    # A wrong guess would lose a sample or invent one, without a word. Asking costs the user one option.
    found = "counts from 0, as a data frame without names writes it" if counted else "mixes numbers and text"
    raise ValueError(
        f"{path}, line {line} {found} ({_excerpt(fields)}), so it may be a header or data: "
        'say which with --header yes or --header no (in Python: header="yes")'
    )


def _excerpt(fields: Sequence[str]) -> str:
    shown = ", ".join(map(_shorten, fields[:5]))
    return shown + (", ..." if len(fields) > 5 else "")


def _shorten(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _parse(path: str, layout: Layout, picked: list[int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Parse block by block into one array of the final size.

    Columns that are not wanted are parsed as one character of text rather than left out by ``usecols``: that way
    every row has its fields counted, so that a stray delimiter cannot shift numbers into another column.
    """
    every = picked == list(range(layout.n_fields))
    wanted = set(picked)
    record: Any = dtype if every else [(f"f{j}", dtype if j in wanted else "U1") for j in range(layout.n_fields)]
    data = np.empty((_count_lines(path), len(picked)), dtype)
    n_rows = 0
    with _open(path) as file:
        if layout.names is not None:
            next(_records(path, file, layout.delimiter))
        # a line of tabs alone is a row of missing values where tabs delimit, and blank elsewhere
        blanks = " \r\n" if layout.delimiter == "\t" else None
        lines = (line for line in file if line.strip(blanks))
        # the first line of a block is taken here, because the parser warns when it is given none
        while (first := next(lines, None)) is not None:
            try:
                block = np.loadtxt(
                    chain([first], lines),
                    dtype=record,
                    comments=None,
                    delimiter=None if layout.delimiter == " " else layout.delimiter,
                    quotechar='"',
                    max_rows=max(1, _BLOCK // layout.n_fields),
                    ndmin=2 if every else 1,
                )
                target = data[n_rows : n_rows + len(block)]
                _fill(target, block, picked, every, layout.n_fields)
            except UnicodeDecodeError:
                raise
            except ValueError as error:
                raise ValueError(_locate(path, layout, picked, dtype, n_rows) or f"{path}: {error}") from None
            n_rows += len(block)
    data.resize((n_rows, len(picked)), refcheck=False)
    return data


def _fill(target: NDArray[Any], block: NDArray[Any], picked: list[int], every: bool, n_fields: int) -> None:
    if every:
        if block.shape[1] != n_fields:
            raise ValueError("ragged rows")
        target[:] = block
    else:
        for column, j in enumerate(picked):
            target[:, column] = block[f"f{j}"]
    # minimum and maximum carry NaN and infinity, and need no temporary array
    if not (np.isfinite(target.min()) and np.isfinite(target.max())):
        raise ValueError("values that are not finite")


def _count_lines(path: str) -> int:
    """Return an upper bound of the number of lines, whatever ends them."""
    lines = 1
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            lines += chunk.count(b"\n") + chunk.count(b"\r") - chunk.count(b"\r\n")
    return lines


def _locate(path: str, layout: Layout, picked: list[int], dtype: np.dtype[Any], n_good: int) -> str | None:
    """Say what is wrong with the first bad record after `n_good` good ones, or None if none is found."""
    with _open(path) as file:
        records = _records(path, file, layout.delimiter)
        if layout.names is not None:
            next(records)
        for row, (line, fields) in enumerate(records):
            if row < n_good:
                continue
            if len(fields) != layout.n_fields:
                what = "the header" if layout.names is not None else "the first line"
                return (
                    f"{path}, line {line} has {len(fields)} field{'s' * (len(fields) != 1)}, but {what} has "
                    f"{layout.n_fields}: {_excerpt(fields)}; every line must have as many"
                )
            for j in picked:
                problem = _problem(fields[j], dtype)
                if problem is None:
                    continue
                if row == 0 and fields[j].strip().lower() not in _MISSING and not _is_number(fields[j]):
                    return _text_column(path, layout, line, fields, picked)
                return f"{path}, line {line}, {column_label(j, layout.names)}: {problem}"
    return None


def _problem(text: str, dtype: np.dtype[Any]) -> str | None:
    word = text.strip().lower()
    if not word:
        return "the value is missing; remove the row or fill it in"
    if word in _MISSING:
        return f"{text!r} marks a missing value; remove the row or fill it in"
    if not _is_number(text):
        decimal = word.count(",") == 1 and _is_number(word.replace(",", "."))
        return f"{_shorten(text)} is not a number" + ("; write it with a decimal point" if decimal else "")
    if not np.isfinite(float(text)):
        what = (
            "not finite; remove the row or fill it in" if "inf" in word else "too large for float64; scale the column"
        )
        return f"{text!r} is {what}"
    if abs(float(text)) > float(np.finfo(dtype).max):
        return f"{text!r} is too large for {dtype}; read it as float64"
    return None


def column_label(j: int, names: Sequence[str] | None) -> str:
    """Name a column in a message: by its index and, where there is one, its name."""
    return f"column {j} (counted from 0)" if names is None else f"column {j} (counted from 0, {names[j]!r})"


def _text_column(path: str, layout: Layout, line: int, fields: list[str], picked: list[int]) -> str:
    bad = [j for j in picked if not _is_number(fields[j])]
    good = [j for j in picked if _is_number(fields[j])]
    message = (
        f"{path}: {column_label(bad[0], layout.names)} is not numeric (line {line} holds {_shorten(fields[bad[0]])}): "
    )
    if good:
        return message + columns_hint(good, bad, layout.names)
    if layout.names is None:
        return message + "if that line is a header, say so with --header yes; else there is no column of numbers in it"
    return message + "no column that was chosen holds numbers"


def columns_hint(good: Sequence[int], bad: Sequence[int], names: Sequence[str] | None) -> str:
    """Return the advice to choose the columns `good`, or to drop `bad`."""

    def spell(columns: Sequence[int]) -> str:
        if names is None or any(re.search(r"[\s\",'-]", names[j]) or not names[j] for j in columns):
            return ",".join(map(str, columns))
        return ",".join(names[j] for j in columns)

    some = spell(good[:4])
    return f"choose numeric columns, such as --columns {some}, or leave it out with --drop {spell(bad)}"

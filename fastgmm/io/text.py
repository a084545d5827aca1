"""Delimited text: NumPy's C parser reads it; if that fails, the csv module reads it again to find the error."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import os
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm._limits import LIMITS

Header = Literal["auto", "yes", "no"]
Choose = Callable[["tuple[str, ...] | None", int], "list[int]"]

_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "space": " "}
_MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "-", "."}

_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
#: Extensions of text that is compressed.
COMPRESSED = tuple(_OPENERS)
#: Errors of decompressing a damaged file.
_DAMAGE = (EOFError, OSError, zlib.error, lzma.LZMAError)

# decimal commas become points, and former points become characters that no number has; semicolons join the fields
_TO_POINTS = str.maketrans({",": ".", ".": "_"})
_TO_FIELDS = str.maketrans({",": ".", ".": "_", ";": "_", '"': "_", "\n": "_", "\r": "_"})


class Format(NamedTuple):
    """The options of `read_table` about the format of text."""

    header: Header = "auto"
    delimiter: str | None = None
    decimal: str = "."
    comment: str | None = None
    missing: bool = False

    def given(self) -> list[str]:
        """Return the names of the options that differ from their defaults and are for text only."""
        defaults = {option: default for option, default in self._field_defaults.items() if option != "missing"}
        return [option for option, default in defaults.items() if getattr(self, option) != default]


class TextFile(NamedTuple):
    """Bytes of text that can be opened repeatedly, and their name in messages."""

    name: str
    open: Callable[[], IO[bytes]]

    @classmethod
    def at(cls, path: str) -> TextFile:
        """Return the text of a file, decompressed as its extension says."""
        opener = _OPENERS.get(os.path.splitext(path)[1].lower(), open)
        return cls(path, lambda: opener(path, "rb"))

    def lines(self, comment: str | None) -> Iterator[str]:
        """Yield lines as text, cut at the sign of a comment outside quotes: a comment line becomes empty."""
        with io.TextIOWrapper(self.open(), encoding="utf-8-sig") as file:
            if comment is None:
                yield from file
                return
            sign = re.escape(comment)
            cut = re.compile(rf'((?:"[^"]*"|[^"{sign}])*){sign}')
            for line in file:
                before = cut.match(line)
                yield line if before is None else before[1] + "\n"


class Layout(NamedTuple):
    """Properties found from the first lines: delimiter (a space means any run of blanks), header and number of fields.

    first : the fields of the first line; missing : whether values may be missing
    """

    delimiter: str
    names: tuple[str, ...] | None
    n_fields: int
    decimal: str
    comment: str | None
    first: tuple[str, ...]
    missing: bool = False


def read_text(
    text: TextFile, choose: Choose, form: Format, dtype: np.dtype[Any]
) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    """Read the columns that `choose(names, n_fields)` picks; the others are only counted."""
    layout = inspect_text(text, form)
    picked = choose(layout.names, layout.n_fields)
    try:
        data = _parse(text, layout, picked, dtype)
    except UnicodeDecodeError:
        raise ValueError(_not_utf8(text)) from None
    except _DAMAGE as error:
        raise _torn(text, error) from None
    if not len(data):
        raise ValueError(f"{text.name} holds a header but no data; it must hold a row of numbers at least")
    return data, None if layout.names is None else tuple(layout.names[j] for j in picked)


def read_words(text: TextFile, form: Format, column: int) -> list[str]:
    """Return the fields of one column as they are, without blanks around them."""
    layout = inspect_text(text, form)
    words = []
    for i, (line, fields) in enumerate(_records(text, layout.delimiter, layout.comment)):
        if i == 0 and layout.names is not None:
            continue
        if len(fields) != layout.n_fields:
            raise ValueError(
                f"{text.name}, line {line}: {len(fields)} fields, but the first line has {layout.n_fields}"
            )
        words.append(fields[column].strip())
    return words


def inspect_text(text: TextFile, form: Format) -> Layout:
    """Find delimiter, header and number of fields from the first line that is not empty."""
    header, delimiter, decimal, comment, missing = form
    if header not in ("auto", "yes", "no"):
        raise ValueError(f'header is {header!r}; it must be "auto", "yes" or "no"')
    if decimal not in (".", ","):
        raise ValueError(f'decimal is {decimal!r}; it must be "." or ","')
    _check_comment(comment)
    try:
        line = next((line for line in text.lines(comment) if line.strip()), None)
        if line is None:
            raise ValueError(f"{text.name} is empty; it must hold a row of numbers at least")
        separator = _sniff(text.name, line, decimal) if delimiter is None else _named_delimiter(delimiter)
        if comment == separator:
            raise ValueError(f"comment and delimiter are both {comment!r}; they must differ")
        number, fields = next(_records(text, separator, comment), (1, []))
        if not fields:
            raise ValueError(f"{text.name} is empty; it must hold a row of numbers at least")
    except UnicodeDecodeError:
        raise ValueError(_not_utf8(text)) from None
    except _DAMAGE as error:
        raise _torn(text, error) from None
    names = None
    some = [field for field in fields if not (missing and field.strip().lower() in _MISSING)]
    if _has_header(text.name, number, some, header, decimal):
        # numpy.savetxt writes its header as a comment
        names = tuple(field.strip() for field in [fields[0].lstrip("# "), *fields[1:]])
    return Layout(separator, names, len(fields), decimal, comment, tuple(fields), missing)


def _torn(text: TextFile, error: Exception) -> Exception:
    if getattr(error, "errno", None) is not None:
        return error  # the system's, such as for a missing file
    return ValueError(f"{text.name} cannot be decompressed: {error}; write the file again")


def _not_utf8(text: TextFile) -> str:
    with text.open() as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                byte = line[error.start]
                return f"{text.name}, line {number} is not UTF-8 text (byte 0x{byte:02x}); save the file as UTF-8"
    return f"{text.name} is not UTF-8 text; save the file as UTF-8"


def _check_comment(comment: str | None) -> None:
    if comment is None:
        return
    if not isinstance(comment, str) or len(comment) != 1 or comment.isalnum() or comment in '" \t\r\n.,+-':
        raise ValueError(f"comment is {comment!r}; it must be one character that is not part of a number, such as '#'")


def _named_delimiter(delimiter: str) -> str:
    separator = _DELIMITERS.get(delimiter, delimiter)
    if len(separator) != 1 or separator.isalnum() or separator in '"\r\n.+-':
        raise ValueError(
            f"delimiter is {delimiter!r}; it must be one character that is not part of a number, or one of "
            "comma, semicolon, tab, space (any run of blanks)"
        )
    return separator


def kind_of(path: str) -> str:
    """Return the extension in small letters, for compressed text both: ".csv", ".csv.gz"."""
    stem, extension = os.path.splitext(path.lower())
    return os.path.splitext(stem)[1] + extension if extension in COMPRESSED else extension


def _sniff(name: str, line: str, decimal: str) -> str:
    extension = kind_of(name)
    if extension.startswith(".tsv"):
        return "\t"
    unquoted = re.sub(r'"[^"]*"', "", line)
    if decimal == ",":
        # in numbers that are not quoted, commas do not delimit
        unquoted = re.sub(r"(?<=\d),(?=\d)", ".", unquoted)
        if not any(separator in unquoted for separator in "\t;,"):
            return " " if len(unquoted.split()) > 1 else ";"
    # semicolon before comma: if numbers have decimal commas, both occur
    for separator in "\t;,":
        if separator in unquoted:
            return separator
    # a .csv without any delimiter has one column, whose name may contain blanks
    return " " if extension.startswith(".txt") and len(unquoted.split()) > 1 else ","


def _records(text: TextFile, delimiter: str, comment: str | None) -> Iterator[tuple[int, list[str]]]:
    """Yield each record that is not empty with the number of the line on which it begins."""
    if delimiter == " ":
        for number, line in enumerate(text.lines(comment), start=1):
            if fields := line.split():
                yield number, fields
        return
    reader = csv.reader(text.lines(comment), delimiter=delimiter)
    begin = 1
    try:
        for fields in reader:
            if len(fields) > 1 or (fields and fields[0].strip()):
                yield begin, fields
            begin = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{text.name}, line {begin}: {error}") from None


def _is_number(text: str, decimal: str = ".") -> bool:
    if decimal == ",":
        text = text.strip().translate(_TO_POINTS)
    # float() also accepts "1_000" and digits of other scripts, which the C parser does not
    if "_" in text or not text.strip().isascii():
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def _has_header(name: str, line: int, fields: Sequence[str], header: Header, decimal: str) -> bool:
    if header != "auto":
        return header == "yes"
    numbers = sum(_is_number(field, decimal) for field in fields)
    if (
        decimal == "."
        and numbers < len(fields)
        and all(_is_number(field) or _has_decimal_comma(field) for field in fields)
    ):
        raise ValueError(
            f"{name}, line {line} holds numbers with decimal commas ({_excerpt(fields)}): write them with decimal points, or read "
            "them with --decimal , (in Python: decimal=',')"
        )
    if numbers == 0:
        return True
    counted = len(fields) > 1 and list(fields) == [str(j) for j in range(len(fields))]
    if numbers == len(fields) and not counted:
        return False
    # A wrong guess would silently lose or invent a sample. Asking costs the user one option.
    found = "counts from 0, as a data frame without names writes it" if counted else "mixes numbers and text"
    raise ValueError(
        f"{name}, line {line} {found} ({_excerpt(fields)}), so it may be a header or data: "
        'say which with --header yes or --header no (in Python: header="yes")'
    )


def _excerpt(fields: Sequence[str]) -> str:
    shown = ", ".join(map(_shorten, fields[:5]))
    return shown + (", ..." if len(fields) > 5 else "")


def _shorten(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _parse(text: TextFile, layout: Layout, picked: list[int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Parse block by block into one array of the final size.

    Columns that are not wanted are parsed as one character of text instead of being left out by ``usecols``. This way
    the fields of every row are counted, so that a stray delimiter cannot shift numbers into another column.
    """
    every = picked == list(range(layout.n_fields))
    wanted = set(picked)
    record: Any = dtype if every else [(f"f{j}", dtype if j in wanted else "U1") for j in range(layout.n_fields)]
    data = np.empty((_count_lines(text), len(picked)), dtype)
    n_rows = 0
    lines, delimiter = _lines_of_data(text, layout)
    if layout.missing:
        lines = _with_nan(lines, delimiter)
    # the first line of a block is taken here, because the parser warns when it is given none
    while (first := next(lines, None)) is not None:
        try:
            block = np.loadtxt(
                chain([first], lines),
                dtype=record,
                comments=None,
                delimiter=delimiter,
                quotechar='"',
                max_rows=max(1, LIMITS.numbers_parsed // layout.n_fields),
                ndmin=2 if every else 1,
            )
            target = data[n_rows : n_rows + len(block)]
            _fill(target, block, picked, every, layout)
        except UnicodeDecodeError:
            raise
        except ValueError as error:
            raise ValueError(_locate(text, layout, picked, dtype, n_rows) or f"{text.name}: {error}") from None
        n_rows += len(block)
    data.resize((n_rows, len(picked)), refcheck=False)
    return data


def _lines_of_data(text: TextFile, layout: Layout) -> tuple[Iterator[str], str | None]:
    """Return the lines after the header, with decimal points, and the delimiter of their fields; None: any blanks."""
    delimiter = None if layout.delimiter == " " else layout.delimiter
    if layout.decimal == delimiter:
        # only quotes tell the commas apart, so that fields are split here
        records = _records(text, layout.delimiter, layout.comment)
        if layout.names is not None:
            next(records)
        return (";".join(field.translate(_TO_FIELDS) for field in fields) for _, fields in records), ";"
    lines = text.lines(layout.comment)
    if layout.names is not None:
        _skip_record(lines, layout.delimiter)
    # a line of only tabs is a row of missing values if tabs delimit, and blank otherwise
    blanks = " \r\n" if layout.delimiter == "\t" else None
    lines = (line for line in lines if line.strip(blanks))
    return (lines if layout.decimal == "." else (line.translate(_TO_POINTS) for line in lines)), delimiter


def _with_nan(lines: Iterator[str], delimiter: str | None) -> Iterator[str]:
    """Yield lines with nan in place of empty fields and of words that mark a missing value."""
    words = "|".join(re.escape(word) for word in sorted(_MISSING, key=len, reverse=True) if word)
    if delimiter is None:
        marks = re.compile(rf"(?<!\S)(?:{words})(?!\S)", re.IGNORECASE)
        return (marks.sub("nan", line) for line in lines)
    comma = re.escape(delimiter)
    blanks = " *" if delimiter == "\t" else r"[ \t]*"
    field = rf'{blanks}(?:"{blanks}(?:{words})?{blanks}"|(?:{words})?){blanks}'
    marks = re.compile(rf"(?:(?<={comma})|^){field}(?={comma}|\r?\n?$)", re.IGNORECASE)
    return (marks.sub("nan", line) for line in lines)


def _skip_record(lines: Iterator[str], delimiter: str) -> None:
    """Consume the lines of the first record that is not empty; a quoted name may have several."""
    if delimiter == " ":
        next(line for line in lines if line.split())
        return
    next(
        fields for fields in csv.reader(lines, delimiter=delimiter) if len(fields) > 1 or (fields and fields[0].strip())
    )


def _fill(target: NDArray[Any], block: NDArray[Any], picked: list[int], every: bool, layout: Layout) -> None:
    if every:
        if block.shape[1] != layout.n_fields:
            raise ValueError("ragged rows")
        target[:] = block
    else:
        for column, j in enumerate(picked):
            target[:, column] = block[f"f{j}"]
    # minimum and maximum carry NaN and infinity, and need no temporary array
    if layout.missing:
        bad = np.isinf(np.fmin.reduce(target, axis=None)) or np.isinf(np.fmax.reduce(target, axis=None))
    else:
        bad = not (np.isfinite(target.min()) and np.isfinite(target.max()))
    if bad:
        raise ValueError("values that are not finite")


def _count_lines(text: TextFile) -> int:
    """Return an upper bound of the number of lines, whatever ends them."""
    lines = 1
    with text.open() as file:
        while chunk := file.read(1 << 20):
            lines += chunk.count(b"\n") + chunk.count(b"\r") - chunk.count(b"\r\n")
    return lines


def _locate(text: TextFile, layout: Layout, picked: list[int], dtype: np.dtype[Any], n_good: int) -> str | None:
    """Return the problem with the first bad record after `n_good` good ones, or None if none is found."""
    name = text.name
    records = _records(text, layout.delimiter, layout.comment)
    if layout.names is not None:
        next(records)
    for row, (line, fields) in enumerate(records):
        if row < n_good:
            continue
        if len(fields) != layout.n_fields:
            what = "the header" if layout.names is not None else "the first line"
            return (
                f"{name}, line {line} has {len(fields)} field{'s' * (len(fields) != 1)}, but {what} has "
                f"{layout.n_fields}: {_excerpt(fields)}; {_uneven_advice(layout, row, fields)}"
            )
        for j in picked:
            problem = _problem(fields[j], dtype, layout.decimal)
            if problem is None or (layout.missing and fields[j].strip().lower() in _MISSING):
                continue
            if (advice := _comment_advice(layout, row, fields, fields[j])) is not None:
                return f"{name}, line {line}, {column_label(j, layout.names)}: {_shorten(fields[j])} is not a number; {advice}"
            # a first value that is not a number with either decimal sign makes a column of words
            words = fields[j].strip().lower() not in _MISSING and not any(_is_number(fields[j], sign) for sign in ".,")
            if row == 0 and words:
                return _text_column(name, layout, line, fields, picked)
            return f"{name}, line {line}, {column_label(j, layout.names)}: {problem}"
    return None


def _comment_advice(layout: Layout, row: int, fields: Sequence[str], field: str = "#") -> str | None:
    """Return advice if this line, or the one before the first data, looks like a comment, or `field` ends in one."""
    begin = re.match(r"\s*([#%])", fields[0]) or (re.match(r"\s*([#%])", layout.first[0]) if row == 0 else None)
    if begin is None and _is_number(field.partition("#")[0], layout.decimal):
        begin = re.search("(#)", field)
    if (
        begin is None
        or layout.comment is not None
        or _is_number(field, layout.decimal)
        or field.strip().lower() in _MISSING
    ):
        return None
    return f"if {begin[1]} begins a comment, leave comments out with --comment '{begin[1]}' (in Python: comment={begin[1]!r})"


def _uneven_advice(layout: Layout, row: int, fields: Sequence[str]) -> str:
    if (advice := _comment_advice(layout, row, fields)) is not None:
        return advice
    if layout.names is not None and row == 0 and len(fields) == layout.n_fields + 1:
        return "if the first of them are R's row names, write the table with row.names = FALSE; else give them a name"
    if layout.decimal == "," and layout.delimiter == ",":
        return "every line must have as many, and numbers with decimal commas must be quoted if commas delimit"
    return "every line must have as many"


def _has_decimal_comma(text: str) -> bool:
    return text.count(",") == 1 and _is_number(text, ",")


#: What can be done about a missing value.
FILL_IN = "remove the row or fill it in, or fit with --missing (in Python: missing_values='marginalize')"


def _problem(text: str, dtype: np.dtype[Any], decimal: str) -> str | None:
    word = text.strip().lower()
    if not word:
        return f"the value is missing; {FILL_IN}"
    if word in _MISSING:
        return f"{text!r} marks a missing value; {FILL_IN}"
    if not _is_number(text, decimal):
        advice = ""
        if decimal == "." and _has_decimal_comma(word):
            advice = "; write it with a decimal point, or read it with --decimal , (in Python: decimal=',')"
        elif decimal == "," and _is_number(text):
            advice = (
                "; it has a decimal point, but the decimal sign is to be a comma (--decimal ,): both cannot be read"
            )
        return f"{_shorten(text)} is not a number{advice}"
    value = float(text.translate(_TO_POINTS) if decimal == "," else text)
    if not np.isfinite(value):
        what = (
            "not finite; remove the row or fill it in" if "inf" in word else "too large for float64; scale the column"
        )
        return f"{text!r} is {what}"
    if abs(value) > float(np.finfo(dtype).max):
        return f"{text!r} is too large for {dtype}; read it as float64"
    return None


def column_label(j: int, names: Sequence[str] | None) -> str:
    """Name a column in a message: by its index and, if there is one, its name."""
    return f"column {j} (counted from 0)" if names is None else f"column {j} (counted from 0, {names[j]!r})"


def _text_column(name: str, layout: Layout, line: int, fields: list[str], picked: list[int]) -> str:
    bad = [j for j in picked if not _is_number(fields[j], layout.decimal)]
    good = [j for j in picked if _is_number(fields[j], layout.decimal)]
    more = f", as are {', '.join(column_label(j, layout.names) for j in bad[1:6])}" if bad[1:] else ""
    message = f"{name}: {column_label(bad[0], layout.names)} is not numeric (line {line} holds {_shorten(fields[bad[0]])}){more}: "
    if good:
        return message + columns_hint(good, bad, layout.names)
    if layout.names is None:
        return message + "if that line is a header, say so with --header yes; else it has no column of numbers"
    return message + "no chosen column holds numbers"


def columns_hint(good: Sequence[int], bad: Sequence[int], names: Sequence[str] | None) -> str:
    """Return the advice to choose the columns `good`, or to drop `bad`."""
    some = [names[j] if names is not None else j for j in good[:4]]
    them = "it" if len(bad) == 1 else "them"
    return (
        f"choose numeric columns, such as --columns {spell_columns(good[:4], names)}, or leave {them} out with --drop "
        f"{spell_columns(bad, names)} (in Python: fastgmm.chunks(path, columns={some})); or encode categories as columns of 0 "
        "and 1"
    )


def spell_columns(columns: Sequence[int], names: Sequence[str] | None) -> str:
    """Write columns for --columns and --drop: as names if they need no quotes, else as indices."""
    if names is None or any(re.search(r"[\s\",'-]", names[j]) or not names[j] for j in columns):
        return ",".join(map(str, columns))
    return ",".join(names[j] for j in columns)

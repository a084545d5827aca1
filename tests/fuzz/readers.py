"""Fuzz target: files of tables, as `read_table`, `describe` and `chunks` read them.

The first bytes choose the kind of file and the options, the others are the file; .npy and .npz also with a header of its own
choice in front, so that what lies behind checksums and magic numbers is reached.
"""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from typing import Any

import numpy as np

import fastgmm
from fastgmm.io.tables import describe, read_table

from .choices import Choices, is_answer

_KINDS = (".csv", ".npy", ".npz", ".txt", ".tsv", ".parquet")
_HEADERS = ("auto", "yes", "no")
_DELIMITERS = (None, "comma", "semicolon", "tab", "space", ";", "|", ",,", "1", "", '"', "\n", " ")
_COLUMNS = (
    None,
    ["0"],
    [0],
    ["0-1"],
    ["a"],
    ["x", "y"],
    [1, 0],
    ["1-0"],
    [-1],
    ["99999-0"],
    [],
    ["9-999999999"],
    [0, "0"],
)
_DESCRS = (
    "'<f8'",
    "'<f4'",
    "'>f8'",
    "'<i8'",
    "'|b1'",
    "'|u1'",
    "'<f2'",
    "'<c16'",
    "'|O'",
    "'<U3'",
    "'<M8[s]'",
    "'<V8'",
)
_DESCRS += ("[('a', '<f8')]", "'<f16'", "'|S0'", "None", "()", "'<f8', (2,)", "'m8'")
_SHAPES = ("(2, 2)", "(1, 1)", "(0, 2)", "(3,)", "()", "(2, 2, 1)", "(4611686018427387904, 4)", "(-1, 2)", "(True, 2)")
_SHAPES += ("(1000000, 1000)", "(2, 0)", "'x'", "(2.0, 2)", "[2, 2]", "(99999999999999999999, 1)")


def one(data: bytes) -> None:
    """Read one file in all ways; AssertionError, or any other exception that is not an answer, if something is wrong."""
    choices = Choices(data)
    kind = choices.pick(_KINDS)
    text: dict[str, Any] = {"header": choices.pick(_HEADERS), "delimiter": choices.pick(_DELIMITERS)}
    columns = choices.pick(_COLUMNS)
    options: dict[str, Any] = {"columns": columns, "drop": choices.pick(_COLUMNS) if choices.flag(8) else None}
    options["dtype"] = choices.pick((None, "float32", "float64"))
    key = choices.pick((None, "a", "b", "")) if kind == ".npz" else None
    forged = choices.flag()
    if kind in (".npy", ".npz") and forged:
        content = _npy(choices)
        content = content if kind == ".npy" else _npz(choices, content)
    else:
        content = choices.rest()
    layout = {"header": text["header"], "delimiter": text["delimiter"], "key": key}
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        path = os.path.join(folder, f"x{kind}")
        with open(path, "wb") as file:
            file.write(content)
        table = _answer(lambda: read_table(path, **options, **layout))
        shape = _answer(lambda: describe(path, **layout))
        parts = _answer(lambda: [np.array(a) for a in fastgmm.chunks(path, columns=columns)])
        if kind in (".csv", ".tsv", ".txt"):
            form: dict[str, Any] = {**text, "decimal": ",", "comment": "#"}
            commas = _answer(lambda: read_table(path, **options, **form))
            described = _answer(lambda: describe(path, **form))
            assert commas is None or (described is not None and commas.data.shape[1] <= described.n_columns)
        # all that is said of a file is true of it
        if table is not None:
            assert table.data.ndim == 2
            assert 0 not in table.data.shape
            assert table.data.dtype.kind in "fiub"
            assert table.names is None or len(table.names) == table.data.shape[1]
            assert shape is not None
            assert table.data.shape[1] <= shape[1]
        plain = (
            layout == {"header": "auto", "delimiter": None, "key": None} and options["drop"] is options["dtype"] is None
        )
        if table is not None and plain:
            assert parts is not None
            np.testing.assert_array_equal(np.concatenate(parts), table.data)
        del table, parts  # maps of the file
        assert os.listdir(folder) == [f"x{kind}"]
        with open(path, "rb") as file:
            assert file.read() == content


def _answer(call: Any) -> Any:
    """Return the result of a call, None if it is refused."""
    try:
        return call()
    except (ValueError, TypeError) as error:
        if not is_answer(error):
            raise
        return None


def _npy(choices: Choices) -> bytes:
    """A file of NumPy's format whose header is of its own choice."""
    fortran = choices.pick(("False", "True", "0", "None"))
    header = f"{{'descr': {choices.pick(_DESCRS)}, 'fortran_order': {fortran}, 'shape': {choices.pick(_SHAPES)}, }}"
    encoded = header.encode().ljust(choices.pick((117, 53, 64)) + 64) + b"\n"
    version = choices.pick((b"\x01\x00", b"\x02\x00", b"\x03\x00"))
    length = len(encoded).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + length + encoded + choices.rest()


def _npz(choices: Choices, array: bytes) -> bytes:
    """An archive of one or two arrays."""
    out = io.BytesIO()
    compression = choices.pick((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    with zipfile.ZipFile(out, "w", compression) as archive:
        archive.writestr(choices.pick(("a.npy", "b.npy", ".npy", "a", "a.npy/")), array)
        if choices.flag(4):
            archive.writestr(choices.pick(("b.npy", "c.npy", "c.txt")), array[: choices.below(200)])
    return out.getvalue()

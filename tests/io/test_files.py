"""Reading tables: every format, and what a file that cannot be used gets to hear."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kit import Limit

import fastgmm.datasets
from fastgmm.datasets import load_iris
from fastgmm.io.tables import describe, read_table

IRIS = Path(fastgmm.datasets.__file__).with_name("iris.csv")


def write(tmp_path: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def fails(path: Path, message: str, kind: type[Exception] = ValueError, **options: Any) -> str:
    with pytest.raises(kind, match=re.escape(message)) as caught:
        read_table(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- text that can be read ---


@pytest.mark.parametrize("block", [1, 4, 1 << 19])
@pytest.mark.parametrize(
    "columns",
    [
        ["sepal_length", "sepal_width", "petal_length", "petal_width"],
        [0, 1, 2, 3],
        ["0-3"],
        ["sepal_length", 1, "2-3"],
    ],
)
def test_chosen_columns(columns: list, block: int, limits: Limit) -> None:
    limits(numbers_parsed=block)
    data, names = read_table(IRIS, columns=columns)
    iris = load_iris()
    np.testing.assert_array_equal(data, iris.data)
    assert names == iris.feature_names
    assert data.dtype == np.float64
    assert data.flags.c_contiguous
    assert data.flags.owndata


def test_columns_keep_the_order_asked_for_and_drop_leaves_out() -> None:
    iris = load_iris()
    swapped = read_table(IRIS, columns=["petal_width", "sepal_length"])
    np.testing.assert_array_equal(swapped.data, iris.data[:, [3, 0]])
    assert swapped.names == ("petal_width", "sepal_length")
    dropped = read_table(IRIS, drop=["species", 0])
    np.testing.assert_array_equal(dropped.data, iris.data[:, 1:])
    assert read_table(IRIS, columns=["0-3"], drop=["1"]).names == ("sepal_length", "petal_length", "petal_width")


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("plain.csv", "1,2\n3,4\n", None),
        ("header.csv", "x,y\n1,2\n3,4\n", ("x", "y")),
        ("no-end.csv", "x,y\n1,2\n3,4", ("x", "y")),
        ("crlf.csv", "x,y\r\n1,2\r\n3,4\r\n", ("x", "y")),
        ("cr.csv", "x,y\r1,2\r3,4\r", ("x", "y")),
        ("bom.csv", b"\xef\xbb\xbfx,y\n1,2\n3,4\n", ("x", "y")),
        ("bom-plain.csv", b"\xef\xbb\xbf1,2\n3,4\n", None),
        ("empty-lines.csv", "\n  \nx,y\n\n1,2\n\n \t\n3,4\n\n\n", ("x", "y")),
        ("quoted.csv", '"x, in ""cm""","y\nlong"\n"1","2"\n"3",4\n', ('x, in "cm"', "y\nlong")),
        ("blanks.csv", "x , y\n 1 , 2\n3,  4 \n", ("x", "y")),
        ("savetxt.csv", "# x,y\n1,2\n3,4\n", ("x", "y")),
        ("semicolon.csv", "x;y\n1;2\n3;4\n", ("x", "y")),
        ("tab.csv", "x\ty\n1\t2\n3\t4\n", ("x", "y")),
        ("t.tsv", "x\ty\n1\t2\n3\t4\n", ("x", "y")),
        ("blank.txt", "  1 2\n3 \t 4  \n\t\n", None),
        ("comma.txt", "1,2\n3,4\n", None),
        ("UPPER.CSV", "1,2\n3,4\n", None),
        ("forms.csv", "+1e0,.2E+1\n3.,4.000\n", None),
    ],
)
def test_text_forms(tmp_path: Path, name: str, text: str | bytes, names: tuple | None) -> None:
    path = write(tmp_path, text, name)
    table = read_table(path)
    np.testing.assert_array_equal(table.data, [[1.0, 2.0], [3.0, 4.0]])
    assert table.names == names
    assert describe(path)[0] == names


def test_single_column_and_single_row(tmp_path: Path) -> None:
    assert read_table(write(tmp_path, "sepal length\n1\n2\n")).data.tolist() == [[1.0], [2.0]]
    assert read_table(write(tmp_path, "1,2,3\n")).data.tolist() == [[1.0, 2.0, 3.0]]
    assert read_table(write(tmp_path, "1,2,x\n"), header="no", columns=[1]).data.tolist() == [[2.0]]


def test_header_can_be_told(tmp_path: Path) -> None:
    path = write(tmp_path, "2019,2020\n1,2\n")
    assert read_table(path).data.shape == (2, 2)
    assert read_table(path, header="yes").names == ("2019", "2020")
    named = write(tmp_path, "5.1,3.5,setosa\n4.9,3.0,setosa\n", "headless.csv")
    assert read_table(named, header="no", drop=[2]).data.shape == (2, 2)


def test_a_name_goes_before_an_index(tmp_path: Path) -> None:
    path = write(tmp_path, "1,0\n5,6\n")
    assert read_table(path, header="yes", columns=["0"]).data.tolist() == [[6.0]]
    assert read_table(path, header="yes", columns=[0]).data.tolist() == [[5.0]]


@pytest.mark.parametrize(
    ("delimiter", "text"),
    [("|", "1|2"), ("tab", "1\t2"), ("\\t", "1\t2"), ("space", "1   2"), (" ", "1 \t2"), ("semicolon", "1;2")],
)
def test_delimiter_can_be_told(tmp_path: Path, delimiter: str, text: str) -> None:
    assert read_table(write(tmp_path, text), delimiter=delimiter).data.tolist() == [[1.0, 2.0]]


def test_float32_is_parsed_as_asked(tmp_path: Path) -> None:
    data = read_table(write(tmp_path, "0.1,2\n"), dtype="float32").data
    assert data.dtype == np.float32
    assert data[0, 0] == np.float32(0.1)


# --- text that cannot ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y\n1,2\n3,four\n", "t.csv, line 3, column 1 (counted from 0, 'y'): 'four' is not a number"),
        ("1,2\n\n3,four\n", "t.csv, line 3, column 1 (counted from 0): 'four' is not a number"),
        ('x,"y\nz"\n1,2\n3,"a,b"\n', "line 4, column 1 (counted from 0, 'y\\nz'): 'a,b' is not a number"),
        ("x,y\n1,2\n,3\n", "line 3, column 0 (counted from 0, 'x'): the value is missing; remove the row or fill"),
        ("x,y\n1,\n2,3\n", "line 2, column 1 (counted from 0, 'y'): the value is missing"),
        ("x,y\n1,2\nNA,3\n", "line 3, column 0 (counted from 0, 'x'): 'NA' marks a missing value"),
        ("x,y\n1,2\nnan,3\n", "line 3, column 0 (counted from 0, 'x'): 'nan' marks a missing value"),
        ("x,y\nNA,2\n1,3\n", "line 2, column 0 (counted from 0, 'x'): 'NA' marks a missing value"),
        ("x,y\n1,2\n1,-Infinity\n", "line 3, column 1 (counted from 0, 'y'): '-Infinity' is not finite"),
        ("x,y\n1,2\n1,1e400\n", "line 3, column 1 (counted from 0, 'y'): '1e400' is too large for float64"),
        ("x;y\n1;2\n1,5;2\n", "column 0 (counted from 0, 'x'): '1,5' is not a number; write it with a decimal point"),
        ("x,y\n1,2\n1_0,2\n", "'1_0' is not a number"),
        ("x,y\n1,2\n1,2,3\n", "line 3 has 3 fields, but the header has 2: '1', '2', '3'"),
        ("1,2\n3\n", "line 2 has 1 field, but the first line has 2: '3'"),
        ("x,y\n1,2,3\n1,2,3\n", "line 2 has 3 fields, but the header has 2"),
        ("", "t.csv is empty"),
        ("\n \n", "t.csv is empty"),
        ("x,y\n", "t.csv holds a header but no data"),
        (b"x,y\n1,2\n\xe9,3\n", "t.csv, line 3 is not UTF-8 text (byte 0xe9); save the file as UTF-8"),
        (b"temp\xe9rature,y\n1,2\n", "line 1 is not UTF-8"),
        ("5.1,setosa\n4.9,setosa\n", "line 1 mixes numbers and text ('5.1', 'setosa'), so it may be a header or data"),
        ("0,1,2\n5,6,7\n", "line 1 counts from 0, as a data frame without names writes it ('0', '1', '2')"),
        ("x,y\n1,2\n" + "z" * 200 + ",3\n", "'" + "z" * 37 + "...' is not a number"),
        ("x,y\na,b\n", "no chosen column holds numbers"),
    ],
)
@pytest.mark.parametrize("block", [1, 1 << 19])
def test_bad_text(tmp_path: Path, text: str | bytes, message: str, block: int, limits: Limit) -> None:
    limits(numbers_parsed=block)
    fails(write(tmp_path, text), message)


def test_a_column_of_text_is_told_from_a_bad_value() -> None:
    message = fails(IRIS, "column 4 (counted from 0, 'species') is not numeric (line 2 holds 'setosa')")
    assert "--columns sepal_length,sepal_width,petal_length,petal_width" in message
    assert "--drop species (in Python: fastgmm.chunks(path, columns=[" in message


def test_advice_spells_awkward_names_as_indices(tmp_path: Path) -> None:
    path = write(tmp_path, '"a, b",kind\n1,x\n')
    assert "--columns 0, or leave it out with --drop kind (in" in fails(path, "column 1 (counted from 0, 'kind')")


def test_a_headless_line_of_text(tmp_path: Path) -> None:
    fails(write(tmp_path, "x,y\n1,2\n"), "if that line is a header, say so with --header yes", header="no")


def test_stray_delimiter_does_not_shift_columns(tmp_path: Path) -> None:
    # by position alone, line 3 would be read as (1, 0) without a word
    path = write(tmp_path, "a,b,kind\n1,2,x\n1,000,2,x\n")
    fails(path, "line 3 has 4 fields, but the header has 3", columns=["a", "b"])
    fails(write(tmp_path, "a,b,kind\n1,2,x\n1,2\n"), "line 3 has 2 fields", columns=["a", "b"])


def test_too_large_for_float32(tmp_path: Path) -> None:
    fails(write(tmp_path, "1,2\n1,1e200\n"), "line 2, column 1 (counted from 0): '1e200' is too large", dtype="float32")


def test_bad_values_in_columns_not_chosen_do_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b\n1,NA\n2,é日本\n3,\n")
    assert read_table(path, columns=["a"]).data.ravel().tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ["sepal_lenght"]}, "holds 'sepal_lenght', which is not a column; did you mean 'sepal_length'?"),
        ({"columns": ["zzz"]}, "which is not a column; there are 'sepal_length', 'sepal_width'"),
        ({"columns": [5]}, "columns asks for column 5, but there are 5, counted from 0"),
        ({"columns": [-1]}, "columns asks for column -1"),
        ({"columns": ["0-99999999"]}, "columns asks for column 5"),
        ({"columns": ["3-1"]}, "the range '3-1', which ends before it begins"),
        ({"columns": [0, "sepal_length"]}, "columns names column 0 (counted from 0, 'sepal_length') twice"),
        ({"drop": ["0-4"]}, "no column is left of 5"),
        ({"columns": []}, "no column is left of 5"),
        ({"drop": ["sepal_lenght"]}, "drop holds 'sepal_lenght', which is not a column; did you mean"),
        ({"header": "maybe"}, 'header is \'maybe\'; it must be "auto", "yes" or "no"'),
        ({"delimiter": ",,"}, "delimiter is ',,'; it must be one character"),
        ({"delimiter": "1"}, "delimiter is '1'"),
        ({"dtype": "int8"}, "dtype is int8; it must be float32 or float64"),
        ({"key": "X"}, "key is given, but it is for .npz only"),
    ],
)
def test_bad_options(options: dict, message: str) -> None:
    fails(IRIS, message, **options)


def test_columns_as_one_string_is_refused() -> None:
    fails(IRIS, "columns is the string 'species'; it must be a sequence", TypeError, columns="species")


def test_names_need_names_and_to_be_single(tmp_path: Path) -> None:
    fails(write(tmp_path, "1,2\n"), "columns holds 'x', but the file has no names; choose by index", columns=["x"])
    twice = write(tmp_path, "x,x\n1,2\n")
    assert read_table(twice).data.tolist() == [[1.0, 2.0]]
    fails(twice, "2 columns are called 'x': [0, 1]; choose by index", columns=["x"])


def test_paths(tmp_path: Path) -> None:
    fails(tmp_path / "none.csv", "No such file", FileNotFoundError)
    fails(tmp_path, "is a directory", IsADirectoryError)
    fails(write(tmp_path, "1", "t.xlsx"), "the extension '.xlsx' is not one that can be read; it must be .csv, .tsv")


# --- NumPy's formats ---


def test_npy_is_mapped(tmp_path: Path) -> None:
    X = load_iris().data
    np.save(tmp_path / "x.npy", X)
    data, names = read_table(tmp_path / "x.npy")
    assert isinstance(data, np.memmap)
    assert not data.flags.writeable
    assert names is None
    np.testing.assert_array_equal(data, X)
    middle = read_table(tmp_path / "x.npy", columns=["1-2"]).data
    assert isinstance(middle, np.memmap)
    np.testing.assert_array_equal(middle, X[:, 1:3])
    np.testing.assert_array_equal(read_table(tmp_path / "x.npy", columns=[3, 0]).data, X[:, [3, 0]])
    np.testing.assert_array_equal(read_table(tmp_path / "x.npy", drop=[0]).data, X[:, 1:])
    assert read_table(tmp_path / "x.npy", dtype="float32").data.dtype == np.float32


@pytest.mark.parametrize("array", [np.asfortranarray(np.eye(3, dtype=">f8")), np.eye(3, dtype=np.int16)])
def test_npy_orders_and_types(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "x.npy", array)
    data = read_table(tmp_path / "x.npy").data
    np.testing.assert_array_equal(data, np.eye(3))
    assert data.dtype.isnative


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(5), "x.npy has 1 dimensions, shape (5,); it must have 2; reshape(-1, 1) makes it one column"),
        (np.zeros((2, 2, 2)), "has 3 dimensions, shape (2, 2, 2); it must have 2"),
        (np.zeros((0, 3)), "x.npy is empty, shape (0, 3)"),
        (np.zeros((2, 2), complex), "x.npy holds complex128; it must hold real numbers"),
        (np.array([["a"]]), "x.npy holds <U1; it must hold real numbers"),
        (np.array([[None, {}]], dtype=object), "x.npy holds Python objects; it must hold real numbers"),
        (np.zeros((2, 2), [("a", "f8")]), "it must hold real numbers"),
    ],
)
def test_npy_that_is_no_table(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    fails(tmp_path / "x.npy", message)
    np.savez(tmp_path / "x.npz", X=array, allow_pickle=True)
    fails(tmp_path / "x.npz", message.replace("x.npy", "x.npz, array 'X'"), key="X")


def test_damaged_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.eye(10))
    whole = (tmp_path / "x.npy").read_bytes()
    fails(write(tmp_path, whole[:400], "cut.npy"), "cut.npy is damaged: its header says shape (10, 10), float64")
    fails(write(tmp_path, whole[:20], "stub.npy"), "stub.npy is not a readable .npy file")
    fails(write(tmp_path, b"", "empty.npy"), "empty.npy is not a readable .npy file")
    fails(write(tmp_path, "1,2\n", "text.npy"), "text.npy is not a readable .npy file")


def test_npz(tmp_path: Path) -> None:
    X = load_iris().data
    np.savez_compressed(tmp_path / "one.npz", X=X, y=np.arange(150))
    np.testing.assert_array_equal(read_table(tmp_path / "one.npz").data, X)
    np.savez(tmp_path / "two.npz", A=X, B=X[:, :2])
    np.testing.assert_array_equal(read_table(tmp_path / "two.npz", key="B").data, X[:, :2])
    fails(tmp_path / "two.npz", "holds 2 arrays of two dimensions; choose one with --key (key=); it holds 'A' (150, 4)")
    fails(tmp_path / "two.npz", "two.npz holds no array 'C'; it holds 'A' (150, 4), 'B' (150, 2)", key="C")
    np.savez(tmp_path / "none.npz", y=np.arange(3))
    fails(tmp_path / "none.npz", "holds no array of two dimensions")


def test_damaged_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", X=np.eye(50))
    whole = (tmp_path / "x.npz").read_bytes()
    fails(write(tmp_path, whole[: len(whole) // 2], "cut.npz"), "cut.npz is not readable as .npz")
    fails(write(tmp_path, b"no zip", "no.npz"), "no.npz is not readable as .npz")
    broken = bytearray(whole)
    broken[5000] ^= 0xFF
    fails(write(tmp_path, bytes(broken), "bit.npz"), "bit.npz, array 'X' is damaged")
    with zipfile.ZipFile(tmp_path / "odd.npz", "w") as archive:
        archive.writestr("X.npy", b"no array")
    fails(tmp_path / "odd.npz", "odd.npz, member 'X.npy' is not readable as .npz")


@pytest.mark.parametrize("option", [{"header": "yes"}, {"delimiter": ","}, {"key": "X"}])
def test_options_of_other_formats_are_refused(tmp_path: Path, option: dict) -> None:
    np.save(tmp_path / "x.npy", np.eye(2))
    fails(tmp_path / "x.npy", f"x.npy: {next(iter(option))} is given, but it is for", **option)


# --- Parquet ---


def parquet(path: Path, **columns: Any) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as module

    module.write_table(pyarrow.table(columns), path, row_group_size=2)
    return path


def test_parquet(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", **{"x.1": [1.0, 2.0, 3.0], "n": [4, 5, 6], "kind": ["a", "b", "c"]})
    data, names = read_table(path, drop=["kind"])
    assert data.tolist() == [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]
    assert data.dtype == np.float64
    assert names == ("x.1", "n")
    assert read_table(path, columns=["n", 0]).data.tolist() == [[4.0, 1.0], [5.0, 2.0], [6.0, 3.0]]
    assert describe(path)[0] == ("x.1", "n", "kind")
    message = fails(path, "t.parquet: column 2 (counted from 0, 'kind') is not numeric but string: choose numeric")
    assert "--columns x.1,n, or leave it out with --drop kind (in" in message


def test_parquet_keeps_float32(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", x=np.ones(3, np.float32), y=np.ones(3))
    assert read_table(path, columns=["x"]).data.dtype == np.float32
    assert read_table(path).data.dtype == np.float64
    assert read_table(path, dtype="float32").data.dtype == np.float32


def test_bad_parquet(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", x=[1.0, 2.0, 3.0], y=[1.0, 2.0, None])
    fails(path, "t.parquet, row 2 (counted from 0), column 1 (counted from 0, 'y'): the value is missing")
    fails(write(tmp_path, path.read_bytes()[:100], "cut.parquet"), "cut.parquet is not a readable .parquet file")
    fails(write(tmp_path, "1,2", "text.parquet"), "text.parquet is not a readable .parquet file")
    fails(parquet(tmp_path / "e.parquet", x=np.zeros(0)), "e.parquet holds no rows")


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    path = write(tmp_path, b"PAR1", "t.parquet")
    fails(path, "run  pip install 'fastgmm[parquet]'", ImportError)


# --- decimal commas, comments, compressed text ---


@pytest.mark.parametrize(
    ("text", "options", "names", "rows"),
    [
        ("x;y\n1,5;2\n-3,25;4e1\n", {}, ("x", "y"), [[1.5, 2.0], [-3.25, 40.0]]),
        ("1,5;2\n-3,25;4\n", {}, None, [[1.5, 2.0], [-3.25, 4.0]]),
        ("1,5\t2\n-3,25\t4\n", {}, None, [[1.5, 2.0], [-3.25, 4.0]]),
        ("1,5 2\n-3,25 4\n", {}, None, [[1.5, 2.0], [-3.25, 4.0]]),
        ("x\n1,5\n-3,25\n", {}, ("x",), [[1.5], [-3.25]]),
        ("1,5\n-3,25\n", {}, None, [[1.5], [-3.25]]),
        ('x,y\n"1,5",2\n"-3,25","4"\n', {}, ("x", "y"), [[1.5, 2.0], [-3.25, 4.0]]),
        ('"1,5",2\n"-3,25","4"\n', {}, None, [[1.5, 2.0], [-3.25, 4.0]]),
        ('x,y;z\n"1,5",2\n"-3,25","4"\n', {"delimiter": "comma"}, ("x", "y;z"), [[1.5, 2.0], [-3.25, 4.0]]),
        ('"a, b";"c;d"\n1,5;2\n', {}, ("a, b", "c;d"), [[1.5, 2.0]]),
    ],
)
@pytest.mark.parametrize("block", [1, 1 << 19])
def test_decimal_commas(
    tmp_path: Path, text: str, options: dict, names: Any, rows: list, block: int, limits: Limit
) -> None:
    limits(numbers_parsed=block)
    path = write(tmp_path, text)
    found = read_table(path, decimal=",", **options)
    assert (found.names, found.data.tolist()) == (names, rows)
    assert read_table(path, decimal=",", columns=[len(rows[0]) - 1], **options).data.tolist() == [
        row[-1:] for row in rows
    ]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            "x;y\n1.5;2\n",
            {"decimal": ","},
            "'1.5' is not a number; it has a decimal point, but the decimal sign is to be a comma",
        ),
        (
            "x;y\n1,5;2\n1.234,5;2\n",
            {"decimal": ","},
            "line 3, column 0 (counted from 0, 'x'): '1.234,5' is not a number",
        ),
        (
            'x,y\n"1,5",2\n1.5,3\n',
            {"decimal": ","},
            "line 3, column 0 (counted from 0, 'x'): '1.5' is not a number; it has a",
        ),
        (
            'x,y\n"1,5",2\n1,5,3\n',
            {"decimal": ","},
            "line 3 has 3 fields, but the header has 2: '1', '5', '3'; every line",
        ),
        ("x;y\n1,5;2\n1,e999;2\n", {"decimal": ","}, "'1,e999' is too large for float64"),
        ("x;y\n1;2\n2,5;3\n", {}, "'2,5' is not a number; write it with a decimal point, or read it with --decimal ,"),
        (
            "1,5;2\n2,5;3\n",
            {},
            "line 1 holds numbers with decimal commas ('1,5', '2'): write them with decimal points, or read",
        ),
        ("1,5;2,5\n", {}, "line 1 holds numbers with decimal commas ('1,5', '2,5')"),
        (
            "# from, a, sensor\nx,y\n1,2\n",
            {},
            "if # begins a comment, leave comments out with --comment '#' (in Python: comment='#')",
        ),
        ("# by hand\n1,2\n", {}, "line 2 has 2 fields, but the header has 1: '1', '2'; if # begins a comment"),
        ("1,2\n# gap\n3,4\n", {}, "line 2 has 1 field, but the first line has 2: '# gap'; if # begins a comment"),
        ("1,2\n3,4 # odd\n", {}, "'4 # odd' is not a number; if # begins a comment, leave comments out"),
        ("# x,y\n1,2\n3,\n", {}, "line 3, column 1 (counted from 0, 'y'): the value is missing"),
        (
            "x y\n1 2 3\n2 3 4\n",
            {"delimiter": " "},
            "if the first of them are R's row names, write the table with row.names = FALSE",
        ),
    ],
)
def test_decimal_commas_and_comments_that_are_wrong(tmp_path: Path, text: str, options: dict, message: str) -> None:
    fails(write(tmp_path, text), message, **options)


@pytest.mark.parametrize("block", [1, 1 << 19])
def test_comments(tmp_path: Path, block: int, limits: Limit) -> None:
    limits(numbers_parsed=block)
    text = '# one, two\n\n  # three\n"x #1",y\n1,2\n#3,4\n5,6 # odd "quote\n7,8#9\n'
    found = read_table(write(tmp_path, text), comment="#")
    assert (found.names, found.data.tolist()) == (("x #1", "y"), [[1.0, 2.0], [5.0, 6.0], [7.0, 8.0]])
    assert read_table(write(tmp_path, text), comment="#", columns=["y"]).data.tolist() == [[2.0], [6.0], [8.0]]
    assert read_table(write(tmp_path, "%1\n1 2\n%\n3 4\n", "t.txt"), comment="%").data.tolist() == [
        [1.0, 2.0],
        [3.0, 4.0],
    ]
    fails(
        write(tmp_path, "#1\nx,y\n#\n1,\n"),
        "t.csv, line 4, column 1 (counted from 0, 'y'): the value is missing",
        comment="#",
    )
    fails(write(tmp_path, "# all\n#\n"), "t.csv is empty", comment="#")


@pytest.mark.parametrize("extension", [".gz", ".bz2", ".xz"])
def test_compressed_text(tmp_path: Path, extension: str) -> None:
    import bz2
    import gzip
    import lzma

    compress = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}[extension]
    path = write(tmp_path, compress(IRIS.read_bytes()), f"iris.csv{extension}")
    data, names = read_table(path, drop=["species"])
    np.testing.assert_array_equal(data, load_iris().data)
    assert names == load_iris().feature_names
    assert describe(path).n_columns == 5
    fails(path, f"iris.csv{extension}: column 4 (counted from 0, 'species') is not numeric (line 2 holds 'setosa')")
    content = compress(b"x y\n" + b"".join(b"%d %d\n" % (i, i * i) for i in range(9000)))
    fails(write(tmp_path, content[:-30], f"torn.txt{extension}"), f"torn.txt{extension} cannot be decompressed: ")
    assert read_table(write(tmp_path, content, f"t.txt{extension}")).data.shape == (9000, 2)
    fails(tmp_path / f"nowhere.csv{extension}", "nowhere", FileNotFoundError)

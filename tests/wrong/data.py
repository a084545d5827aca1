"""Wrong data: X and sample_weight of `fit`."""

from __future__ import annotations

import datetime
import decimal
import io
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import scipy.sparse

import fastgmm
from fastgmm import GaussianMixture

from . import FRAME, Row, X, blobs, fit, fitted, with_value


def parts() -> Iterator[np.ndarray]:
    yield X


def closed() -> io.BytesIO:
    file = io.BytesIO()
    file.close()
    return file


def weighted(weights: Any, data: Any = X) -> partial:
    return fit(data, {"sample_weight": weights})


def at(index: int, value: float) -> np.ndarray:
    weights = np.ones(60)
    weights[index] = value
    return weights


def objects(*values: Any) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


WORDS = pd.DataFrame({"a": [1.0, 2.0], "b": ["u", "v"]})
ARROW = pa.table({"a": [1.0, 2.0], "b": ["u", "v"]})
PARTS = r"X cannot be made into an array.*2 arrays of the shapes \(3, 2\), \(4, 2\): pass numpy\.vstack\(X\)"
NO_ARRAY = r"pass an array of shape \(n_samples, n_features\)"

#: (label, X, error, message)
_X: list[tuple[str, Any, Any, str]] = [
    # values
    ("NaN", with_value(np.nan), ValueError, r"X contains NaN: X\[4, 1\] is nan"),
    ("infinity", with_value(np.inf, 59, 0), ValueError, r"X contains infinity: X\[59, 0\] is inf"),
    ("minus infinity", with_value(-np.inf), ValueError, r"infinity: X\[4, 1\] is -inf"),
    ("infinities of both signs", np.array([[np.inf], [-np.inf], [0]]), ValueError, r"infinity: X\[0, 0\] is inf"),
    ("NaN in float32", with_value(np.nan).astype("f"), ValueError, r"NaN: X\[4, 1\]"),
    ("float128 beyond float64", np.array([["1e4000"], ["1"]]).astype("g"), ValueError, r"infinity: X\[0, 0\]"),
    ("an integer beyond float64", [[10**400], [1]], ValueError, r"X holds an integer that is too large for float64"),
    ("NaN of pandas", pd.DataFrame({"a": [1.0, None, 2.0]}), ValueError, r"NaN: X\[1, 0\]"),
    ("1-D", np.arange(5.0), ValueError, r"X must be two-dimensional.*shape \(5,\).*X\.reshape\(-1, 1\)"),
    ("0-D", 3.0, ValueError, r"shape \(\)\. Pass an array of one row for each sample"),
    (
        "3-D",
        np.zeros((4, 5, 3)),
        ValueError,
        r"shape \(4, 5, 3\)\. Reshape your data: X\.reshape\(-1, 3\).*X\.reshape\(4, -1\)",
    ),
    (
        "4-D",
        np.zeros((7, 4, 5, 3)),
        ValueError,
        r"X\.reshape\(-1, 3\) if the last axis.*X\.reshape\(7, -1\) if the first",
    ),
    ("objects in three dimensions", np.zeros((4, 5, 3), object), ValueError, r"shape \(4, 5, 3\).*X\.reshape\(-1, 3\)"),
    ("a Series", pd.Series([1.0, 2.0]), ValueError, r"X must be two-dimensional"),
    ("no samples", np.empty((0, 2)), ValueError, r"X has 0 sample\(s\).*minimum of 2"),
    ("one sample", np.ones((1, 2)), ValueError, r"X has 1 sample\(s\).*minimum of 2"),
    ("no features", np.empty((5, 0)), ValueError, r"X has 0 feature\(s\).*minimum of 1"),
    ("an empty list", [], ValueError, r"X must be two-dimensional"),
    ("complex", X + 1j, ValueError, r"Complex data not supported: X has dtype complex128"),
    ("complex objects", np.array([[1j], [2.0]], object), ValueError, r"Complex data.*X\[0, 0\] is 1j"),
    (
        "strings",
        np.array([["a", "b"], ["c", "d"]]),
        ValueError,
        r"X must hold numbers, got dtype <U1: X\[0, 0\] is 'a'; leave",
    ),
    ("numbers as strings", [["1", "2"], ["3", "4"]], ValueError, r"numbers, got dtype <U1.*X\.astype\(float\)"),
    ("bytes", np.array([[b"a"], [b"b"]]), ValueError, r"X must hold numbers, got dtype \|?S1"),
    (
        "dates",
        np.array([["2020-01-01"], ["2020-01-02"]], "M8[D]"),
        ValueError,
        r"numbers, got dtype datetime64.*X - X\.min\(\)",
    ),
    (
        "a string among objects",
        np.array([[1, "x"], [2, 3]], object),
        TypeError,
        r"X\[0, 1\] is 'x', a str: .*encode categories",
    ),
    ("a dictionary among objects", np.array([[{}], [1]], object), TypeError, r"X\[0, 0\] is \{\}, a dict"),
    ("a structured array", np.zeros((4, 2), [("p", "f8")]), ValueError, r"X must hold numbers, got dtype \[\("),
    ("rows of unequal length", [[1, 2], [3]], ValueError, r"X cannot be made into an array.*Pass rows of equal length"),
    ("sparse matrix", scipy.sparse.csr_matrix(X), TypeError, r"X is a sparse matrix.*X\.toarray\(\)"),
    ("sparse array", scipy.sparse.coo_array(X), TypeError, r"X is a sparse matrix"),
    (
        "masked array",
        np.ma.masked_greater(X, 0),
        TypeError,
        r"X is a masked array with \d+ of 120 values masked.*impute",
    ),
    ("names of two types", FRAME.rename(columns={"b": 1}), TypeError, r"string names.*\['int', 'str'\]"),
    (
        "None in a list",
        [[1.0, 2.0], [None, 4.0]],
        TypeError,
        r"X\[1, 0\] is None, which stands for a missing value.*drop or impute",
    ),
    (
        "NA of pandas",
        pd.DataFrame({"a": pd.array([1, None, 2], "Int64")}),
        (TypeError, ValueError),
        r"X\[1, 0\] (\(column 'a'\) is <NA>|is nan).*[Dd]rop or impute",
    ),
    (
        "NA among booleans",
        pd.DataFrame({"a": pd.array([True, None], "boolean")}),
        TypeError,
        r"X\[1, 0\] \(column 'a'\) is <NA>.*missing.*dropna",
    ),
    (
        "a column of words",
        WORDS,
        TypeError,
        r"'b' \(str\).*X\[\['a'\]\] or X\.select_dtypes.*get_dummies\(X, columns=\['b'\]\)",
    ),
    (
        "words of pandas",
        pd.DataFrame({"a": pd.array(["u", "v"], "string")}),
        TypeError,
        r"no numbers: 'a' \(str\)\. Encode",
    ),
    (
        "words that are numbers",
        pd.DataFrame({"a": ["1", "2.5"], "b": [1.0, 2.0]}),
        TypeError,
        r"'a' \(str\).*X\.astype\(\{'a': 'float'\}\)",
    ),
    (
        "categories",
        pd.DataFrame({"a": pd.Categorical(["u", "v"])}),
        TypeError,
        r"'a' \(category\)\. Encode categories as 0 and 1",
    ),
    (
        "categories beside numbers",
        FRAME.assign(c=pd.Categorical(list("uvw") * 20)),
        TypeError,
        r"a column that holds no numbers: 'c' \(category\)\. Choose columns of numbers, such as X\[\['a', 'b'\]\]",
    ),
    (
        "several columns of words",
        FRAME.assign(c="u", d=pd.Timestamp("2020"), e=1),
        TypeError,
        r"columns that hold no numbers: 'c' \(str\), 'd' \(datetime64.*X\[\['a', 'b', 'e'\]\].*columns=\['c'\]\); or count time",
    ),
    (
        "a column of mixed objects",
        FRAME.assign(c=[1, True, None, "u"] * 15),
        TypeError,
        r"no numbers: 'c' \(str\).*get_dummies",
    ),
    ("columns without names", pd.DataFrame([[1.0, "u"]] * 3), TypeError, r"no numbers: 1 \(str\).*X\[\[0\]\]"),
    ("times", pd.DataFrame({"t": pd.date_range("2020", periods=3)}), TypeError, r"'t' \(datetime64.*total_seconds"),
    (
        "times beside numbers",
        FRAME.assign(t=pd.date_range("2020", periods=60)),
        TypeError,
        r"'t' \(datetime64.*X\['t'\]",
    ),
    (
        "spans of time",
        pd.DataFrame({"t": pd.to_timedelta([1, 2], "s")}),
        TypeError,
        r"'t' \(timedelta64.*total_seconds",
    ),
    ("periods", pd.DataFrame({"t": pd.period_range("2020", periods=3)}), TypeError, r"'t' \(period.*to_timestamp"),
    (
        "intervals",
        pd.DataFrame({"t": pd.interval_range(0, 3)}),
        TypeError,
        r"'t' \(interval.*IntervalIndex\(X\['t'\]\)\.mid",
    ),
    (
        "dates of Python in a frame",
        pd.DataFrame({"t": [datetime.date(2020, 1, 1)] * 3}),
        TypeError,
        r"'t' \(date\)\. Make times of dates, pandas\.to_datetime",
    ),
    (
        "decimals in a frame",
        pd.DataFrame({"t": [decimal.Decimal(1)] * 3}),
        TypeError,
        r"'t' \(Decimal\)\. Convert decimals, X\.astype\(\{'t': 'float'\}\)",
    ),
    (
        "a table of Arrow with words",
        ARROW,
        TypeError,
        r"'b' \(string\).*X\.select\(\['a'\]\).*get_dummies\(X\.to_pandas\(\)",
    ),
    ("a batch of Arrow with words", ARROW.to_batches()[0], TypeError, r"'b' \(string\).*X\.select\(\['a'\]\)"),
    (
        "categories of Arrow",
        ARROW.set_column(1, "b", ARROW["b"].dictionary_encode()),
        TypeError,
        r"'b' \(dictionary\).*encode categories",
    ),
    (
        "times of Arrow beside numbers",
        pa.table({"a": [1.0, 2.0], "t": pa.array([0, 1], pa.timestamp("s"))}),
        TypeError,
        r"'t' \(timestamp\[s\]\).*count time",
    ),
    (
        "complex of pandas",
        pd.DataFrame({"a": [1j, 2.0]}),
        ValueError,
        r"Complex data not supported: X has dtype complex128",
    ),
    ("an empty frame", pd.DataFrame(), ValueError, r"X has 0 feature\(s\).*minimum of 1"),
    ("a frame without columns", FRAME[[]], ValueError, r"X has 0 feature\(s\) \(shape=\(60, 0\)\)"),
    ("a frame without rows", FRAME[:0], ValueError, r"X has 0 sample\(s\).*minimum of 2"),
    (
        "a date in a list",
        [[datetime.date(2020, 1, 1)], [2]],
        TypeError,
        r"X\[0, 0\] is datetime\.date\(2020, 1, 1\), a date",
    ),
    (
        "decimals",
        [[decimal.Decimal(1)], [decimal.Decimal(2)]],
        TypeError,
        r"X\[0, 0\] is Decimal\('1'\).*astype\(float\)",
    ),
    (
        "lists in a column",
        pd.DataFrame({"a": [[1], [2]]}),
        TypeError,
        r"'a' \(list\)\. Make columns.*numpy\.vstack\(X\['a'\]\)",
    ),
    (
        "a Series of rows",
        pd.Series([[1.0, 2.0], [3.0, 4.0]]),
        TypeError,
        r"X\[0\] is \[1\.0, 2\.0\], a list: pass numpy\.vstack\(X\)",
    ),
    ("arrays of unequal length", [np.ones((3, 2)), np.ones((4, 2))], ValueError, PARTS + r".*fastgmm\.chunks\(X\)"),
    ("a tuple of them", (np.ones((3, 2)), np.ones((4, 2))), ValueError, PARTS),
    (
        "arrays of equal length",
        [np.ones((3, 2)), np.ones((3, 2))],
        ValueError,
        r"shape \(2, 3, 2\)\. .*numpy\.vstack\(X\)",
    ),
    ("one array in a list", [np.ones((3, 2))], ValueError, r"shape \(1, 3, 2\)\. .*numpy\.vstack\(X\)"),
    (
        "arrays of other widths",
        [np.ones((3, 2)), np.ones((4, 5))],
        ValueError,
        r"all must have the same features.*2, 5 columns",
    ),
    (
        "frames of unequal length",
        [FRAME, FRAME[:7]],
        ValueError,
        r"\(60, 2\), \(7, 2\).*numpy\.vstack\(X\).*fastgmm\.chunks",
    ),
    (
        "frames of equal length",
        [FRAME, FRAME],
        ValueError,
        r"\(60, 2\), \(60, 2\).*numpy\.vstack\(X\).*fastgmm\.chunks",
    ),
    (
        "series of unequal length",
        [np.ones(3), np.ones(4)],
        ValueError,
        r"or numpy\.concatenate\(X\)\.reshape\(-1, 1\) if",
    ),
    (
        "an array of arrays",
        objects(np.ones((3, 2)), np.ones((4, 2))),
        TypeError,
        r"X\[0\] is array.*numpy\.vstack\(X\)",
    ),
    ("an array of rows", objects(np.ones(2), np.ones(2)), TypeError, r"X\[0\] is array.*pass numpy\.vstack\(X\)"),
    ("NaN in float16", with_value(np.nan).astype("f2"), ValueError, r"NaN: X\[4, 1\]"),
    ("infinity of a long double", with_value(np.inf).astype("g"), ValueError, r"infinity: X\[4, 1\] is inf"),
    ("NaN among objects", with_value(np.nan).astype(object), ValueError, r"NaN: X\[4, 1\] is nan"),
    ("NaN in the first value", with_value(np.nan, 0, 0), ValueError, r"NaN: X\[0, 0\]"),
    ("NaN in the last value", with_value(np.nan, 59, 1), ValueError, r"NaN: X\[59, 1\]"),
    ("NaN in Fortran's order", np.asfortranarray(with_value(np.nan)), ValueError, r"NaN: X\[4, 1\]"),
    ("NaN in a view backwards", with_value(np.nan)[::-1, ::-1], ValueError, r"NaN: X\[55, 0\]"),
    ("values whose squares overflow", 1e200 * X, ValueError, r"X has values of magnitude .*too large.*scale the data"),
    ("the same in float32", (1e19 * X).astype("f"), ValueError, r"too large for squared.*float32.*or pass float64"),
    ("the largest float64", np.full((3, 1), 1.7e308), ValueError, r"magnitude 1\.7e\+308, too large.*scale the data"),
    ("structured rows", np.zeros(4, [("p", "f8"), ("q", "f8")]), ValueError, r"X must hold numbers, got dtype \[\('p'"),
    ("a record array", np.rec.fromarrays([[1.0, 2.0]], names="p"), ValueError, r"X must hold numbers, got dtype"),
    ("raw bytes", np.zeros((4, 2), "V8"), ValueError, r"X must hold numbers, got dtype \|V8"),
    ("a sparse matrix of another kind", scipy.sparse.lil_matrix(X), TypeError, r"X is a sparse matrix.*X\.toarray\(\)"),
    ("a list of masked rows", list(np.ma.masked_greater(X, 0)), TypeError, r"X\[\d+\] is a masked array.*impute"),
    ("nothing", None, TypeError, rf"X is None, a NoneType.*{NO_ARRAY}"),
    ("a dictionary", {"a": [1.0, 2.0]}, TypeError, rf"X is \{{'a'.*a dict.*{NO_ARRAY}"),
    ("a set", {1.0, 2.0}, TypeError, rf"X is \{{.*a set.*{NO_ARRAY}"),
    ("an object", object(), TypeError, rf"X is <object .*{NO_ARRAY}"),
    ("a class", np.ndarray, TypeError, rf"X is <class 'numpy\.ndarray'>.*{NO_ARRAY}"),
    ("an estimator", GaussianMixture(), TypeError, rf"X is GaussianMixture\(\).*{NO_ARRAY}"),
    ("a generator", parts(), TypeError, r"X is <generator .*fastgmm\.chunks"),
    ("an iterator", iter([X]), TypeError, r"X is <list_it.*fastgmm\.chunks"),
    ("a map", map(float, "12"), TypeError, r"X is <map .*fastgmm\.chunks"),
    ("a function", parts, TypeError, r"X is <function.*fastgmm\.chunks"),
    ("a range", range(5), ValueError, r"X must be two-dimensional"),
    ("a closed file", closed(), TypeError, rf"X is <_io\.BytesIO.*{NO_ARRAY}, or the path of the file"),
    ("an open file", io.StringIO("1,2"), TypeError, rf"X is <_io\.StringIO.*{NO_ARRAY}, or the path of the file"),
    ("the bytes of a path", b"data.csv", ValueError, r"X must hold numbers, got dtype \|S8"),
    ("a scalar of NumPy", np.float64(3.0), ValueError, r"X must be two-dimensional.*shape \(\)"),
    ("a complex number", 3j, ValueError, r"Complex data not supported"),
    ("the buffer of a string", memoryview(b"1234"), ValueError, r"X must be two-dimensional.*shape \(4,\)"),
    ("a path of no file", "nowhere.npy", FileNotFoundError, r"nowhere\.npy"),
    ("a path without an extension", "nowhere", FileNotFoundError, r"nowhere"),
    ("an empty path", "", FileNotFoundError, r"No such file"),
    ("a path of another kind of file", "notes.foo", ValueError, r"notes\.foo: the extension '\.foo'.*must be \.csv"),
    ("a folder without data", "empty", ValueError, r"empty holds no file that can be read"),
    ("a folder of several kinds", "mixed", ValueError, r"mixed holds files of several kinds.*pass a pattern"),
    ("a pattern that nothing matches", "no-*.npy", ValueError, r"no file matches the pattern 'no-\*\.npy'"),
    (
        "a model as data",
        "model.npz",
        ValueError,
        r"model\.npz is a saved model, not a table; choose one of its arrays with --key \(key=\)",
    ),
    (
        "a file with NaN",
        "nan.npy",
        ValueError,
        r"nan\.npy contains NaN: row 4 \(counted from 0\), column 1.*Drop or impute",
    ),
    ("a file of one row", "row.npy", ValueError, r"X has 1 sample\(s\).*minimum of 2"),
]

#: (label, sample_weight, error, message)
_WEIGHTS: list[tuple[str, Any, Any, str]] = [
    ("too few", np.ones(59), ValueError, r"sample_weight must have the shape \(60,\).*got \(59,\)"),
    ("too many", np.ones(61), ValueError, r"sample_weight must have the shape \(60,\).*got \(61,\)"),
    ("a column", np.ones((60, 1)), ValueError, r"sample_weight must have the shape \(60,\).*got \(60, 1\)"),
    ("a number", 1.0, ValueError, r"sample_weight must have the shape \(60,\).*one number for each row"),
    ("no weights", [], ValueError, r"sample_weight must have the shape \(60,\).*got \(0,\)"),
    ("negative", at(7, -0.5), ValueError, r"sample_weight must not be negative, got sample_weight\[7\] = -0\.5"),
    ("NaN", at(59, np.nan), ValueError, r"NaN: sample_weight\[59\]"),
    ("infinity", at(0, np.inf), ValueError, r"infinity: sample_weight\[0\]"),
    ("all zero", np.zeros(60), ValueError, r"sample_weight is zero for all.*at least one weight must be positive"),
    ("all but one zero", at(0, 1.0) * (np.arange(60) == 0), ValueError, r"n_components = 2, n_samples = 1"),
    ("words", ["a"] * 60, ValueError, r"sample_weight must hold numbers, got dtype <U1"),
    ("'balanced'", "balanced", ValueError, r"sample_weight must hold numbers"),
    ("complex", np.ones(60) + 1j, ValueError, r"Complex data not supported: sample_weight"),
    ("missing", [None] * 60, TypeError, r"sample_weight\[0\] is None.*missing"),
    ("sparse", scipy.sparse.csr_matrix(np.ones((60, 1))), TypeError, r"sample_weight is a sparse matrix"),
    ("masked", np.ma.masked_equal(np.arange(60), 3), TypeError, r"sample_weight is a masked array.*sample_weight\[3\]"),
    ("a dictionary", {0: 1.0}, TypeError, r"sample_weight is \{0: 1\.0\}, a dict"),
    ("a generator", (w for w in [1.0]), TypeError, r"sample_weight is <generator "),
]

#: (label, chunks, error, message): what they are made of is wrong already, or what comes of it
_CHUNKS: list[tuple[str, Any, Any, str]] = [
    ("no chunk", [], ValueError, r"the sequence of chunks is empty: pass at least one"),
    ("nothing", None, TypeError, r"chunks cannot be made of a NoneType: pass paths, a list"),
    ("a number", 7, TypeError, r"chunks cannot be made of a int: pass paths"),
    ("one array", X, TypeError, r"data is one array: pass it to fit as it is"),
    ("a generator", parts(), TypeError, r"a generator can be read only once.*chunks\(lambda"),
    ("an iterator", iter([X]), TypeError, r"a list_iterator can be read only once"),
    ("a map", map(np.asarray, [X]), TypeError, r"a map can be read only once"),
    ("paths and arrays", ["data.npy", X], TypeError, r"the sequence mixes paths and arrays: pass one or the other"),
    ("a file that is not there", ["data.npy", "nowhere.npy"], FileNotFoundError, r"chunk 1 \(nowhere\.npy\)"),
    (
        "a file of other columns",
        ["data.npy", "wide.npy"],
        ValueError,
        r"chunk 1 \(wide\.npy\) has 3 features.*same columns",
    ),
    (
        "arrays of other columns",
        [X, blobs(d=3)],
        ValueError,
        r"chunk 1 has 3 features, the chunks before have 2.*same col",
    ),
    ("one dimension", [X, X[0]], ValueError, r"chunk 1 has the shape \(2,\).*chunk\.reshape\(1, -1\) if it"),
    ("three dimensions", [X[None]], ValueError, r"chunk 0 has the shape \(1, 60, 2\).*chunk\.reshape\(-1, 2\)"),
    ("no features", [X[:, :0]], ValueError, r"chunk 0 has the shape \(60, 0\), but a chunk must be"),
    ("no samples", [X[:0], X[:0]], ValueError, r"the chunks hold no samples at all: pass at least one"),
    ("one sample", [X[:0], X[:1]], ValueError, r"X has 1 sample\(s\).*minimum of 2"),
    (
        "NaN in the first row",
        [X, with_value(np.nan, 0, 0)],
        ValueError,
        r"chunk 1 contains NaN: row 0 \(counted from 0\)",
    ),
    ("infinity in the last row", [with_value(np.inf, 59, 1), X], ValueError, r"chunk 0 contains infinity: row 59"),
    ("words", [X, np.array([["a", "b"]])], ValueError, r"chunk 1 must hold numbers, got dtype <U1"),
    ("complex", [X, X + 1j], ValueError, r"Complex data not supported: chunk 1"),
    ("a sparse matrix", [scipy.sparse.csr_matrix(X)], TypeError, r"chunk 0 is a sparse matrix"),
    ("nothing in a chunk", [X, None], TypeError, r"chunk 1 is None"),
    ("a dictionary as a chunk", [{"x": X}], TypeError, r"chunk 0 is a dict with the keys 'x': pass a function"),
    ("a pair as a chunk", [(X, X[:, 0])], TypeError, r"chunk 0 is a sequence of 2 arrays: pass a function"),
    ("a function that returns nothing", lambda: None, TypeError, r"the function returned a NoneType.*let it yield"),
    ("a function that yields nothing", lambda: iter([]), ValueError, r"no chunk came.*pass a function"),
]

#: (label, data, options of text, error, message)
_TEXT: list[tuple[str, Any, dict[str, Any], Any, str]] = [
    (
        "decimal of arrays",
        [X],
        {"decimal": ","},
        TypeError,
        r"decimal is given, but the chunks are not text files: pass",
    ),
    (
        "comment of .npy",
        "data.npy",
        {"comment": "#"},
        ValueError,
        r"data\.npy: comment is given, but it is for \.csv",
    ),
    ("another decimal sign", "data.csv", {"decimal": "'"}, ValueError, r"decimal is \"'\"; it must be \"\.\" or \",\""),
    ("a long comment sign", "data.csv", {"comment": "//"}, ValueError, r"comment is '//'; it must be one character"),
    ("a digit as comment", "data.csv", {"comment": "1"}, ValueError, r"comment is '1'; it must be one character"),
    ("one sign for both", "data.csv", {"comment": ";", "delimiter": ";"}, ValueError, r"both ';'; they must differ"),
]

_COLUMNS: list[tuple[str, Any, Any, Any, str]] = [
    ("a string of columns", [X], "a", TypeError, r"columns is the string 'a'; it must be a sequence, such as \['a'\]"),
    (
        "names of columns of arrays",
        [X],
        ["a"],
        TypeError,
        r"columns of arrays must be integers counted from 0, got \['a'\]",
    ),
    ("a column that is not there", [X], [2], ValueError, r"chunk 0 has 2 columns, but columns \[2\] were asked for"),
    ("no columns", [X], [], ValueError, r"chunk 0 has the shape \(60, 0\), but a chunk must be"),
    ("a column twice", "data.csv", [0, "0"], ValueError, r"data\.csv: columns names column 0.*twice"),
    (
        "a column that no file has",
        "data.csv",
        ["c"],
        ValueError,
        r"columns holds 'c', which is not a column; there are 'a' and 'b'",
    ),
    ("a range that ends before it begins", "data.csv", ["1-0"], ValueError, r"holds the range '1-0'.*before it begins"),
    (
        "names where there are none",
        "data.npy",
        ["a"],
        ValueError,
        r"data\.npy: columns holds 'a', but the file has no names",
    ),
    ("half a column", "data.csv", [0.5], TypeError, r"columns holds 0\.5, a float; it must hold names or integers"),
]


def _through_chunks(data: Any, columns: Any = None, **options: Any) -> Any:
    return GaussianMixture(2).fit(fastgmm.chunks(data, columns=columns, **options))


ROWS: list[Row] = [
    *[(label, partial(fit, data), error, text) for label, data, error, text in _X],
    *[
        (f"again: {label}", lambda data=data: partial(fitted().fit_predict, data), error, text)
        for label, data, error, text in _X
    ],
    *[(f"weights: {label}", partial(weighted, data), error, text) for label, data, error, text in _WEIGHTS],
    *[
        (f"chunks: {label}", lambda data=data: partial(_through_chunks, data), error, text)
        for label, data, error, text in _CHUNKS
    ],
    *[
        (f"columns: {label}", lambda data=data, columns=columns: partial(_through_chunks, data, columns), error, text)
        for label, data, columns, error, text in _COLUMNS
    ],
    *[
        (f"text: {label}", lambda data=data, options=options: partial(_through_chunks, data, **options), error, text)
        for label, data, options, error, text in _TEXT
    ],
]

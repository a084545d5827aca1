"""Data frames of pandas, polars, Dask and Arrow: numbers are taken, and what a message advises about other columns works."""

from __future__ import annotations

import datetime
import decimal
import re
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import fastgmm
from fastgmm import GaussianMixture

GROUPS = ["u", "v", "u", "w", "v", "u"] * 10
NUMBERS = np.random.default_rng(0).normal(size=(60, 2))


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"a": NUMBERS[:, 0], "b": NUMBERS[:, 1], **columns})


def message(X: Any) -> str:
    with pytest.raises(TypeError, match="no numbers") as caught:
        GaussianMixture(2).fit(X)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def advised(text: str, pattern: str, **names: Any) -> Any:
    """Evaluate what a message advises: the expression that `pattern` finds in it."""
    found = re.search(pattern, text)
    assert found, text
    return eval(found[0], {"pandas": pd, "numpy": np, "dask": __import__("dask.dataframe"), **names})


def fitted_to(X: Any) -> list[str]:
    model = GaussianMixture(1).fit(X)
    return list(model.feature_names_in_)


DUMMIES = ["a", "b", "s_u", "s_v", "s_w"]


def test_pandas() -> None:
    X = frame(s=GROUPS)
    text = message(X)
    assert text.startswith("X has a column that holds no numbers: 's' (str). Choose columns of numbers, such as ")
    assert fitted_to(advised(text, r"X\[\[.*?\]\]", X=X)) == ["a", "b"]
    assert fitted_to(advised(text, r"X\.select_dtypes\('number'\)", X=X)) == ["a", "b"]
    assert fitted_to(advised(text, r"pandas\.get_dummies\(.*\)", X=X)) == DUMMIES
    assert fitted_to(advised(message(X.astype({"s": "category"})), r"pandas\.get_dummies\(.*\)", X=X)) == DUMMIES


@pytest.mark.parametrize(
    ("values", "pattern"),
    [
        ([f"{i}.5" for i in range(60)], r"X\.astype\(.*\)"),
        ([decimal.Decimal(i) for i in range(60)], r"X\.astype\(.*\)"),
        (pd.date_range("2020", periods=60), r"\(X\['t'\].*total_seconds\(\)"),
        (pd.date_range("2020", periods=60, tz="UTC"), r"\(X\['t'\].*total_seconds\(\)"),
        (pd.to_timedelta(np.arange(60), "s"), r"\(X\['t'\].*total_seconds\(\)"),
        (pd.period_range("2020", periods=60), r"X\['t'\]\.dt\.to_timestamp\(\)"),
        ([datetime.date(2020, 1, 1 + i % 9) for i in range(60)], r"pandas\.to_datetime\(.*?\)"),
        (pd.interval_range(0, 60), r"pandas\.IntervalIndex\(.*\.mid"),
        ([[1.0, float(i)] for i in range(60)], r"numpy\.vstack\(.*\)"),
    ],
)
def test_what_is_advised_about_columns_of_pandas_makes_numbers(values: Any, pattern: str) -> None:
    X = frame(t=values)
    made = advised(message(X), pattern, X=X)
    if "to_timestamp" in pattern or "to_datetime" in pattern:  # and of times what is advised about times
        made = advised(
            message(pd.DataFrame({"t": made})), r"\(X\['t'\].*total_seconds\(\)", X=pd.DataFrame({"t": made})
        )
    made = np.asarray(made, dtype=np.float64)
    GaussianMixture(1).fit(made if made.ndim == 2 else made[:, None])


@pytest.mark.parametrize(
    "column",
    [
        pd.array([1, 2, 3] * 20, "Int64"),
        pd.array([0.5, 2, 3] * 20, "Float64"),
        pd.array([True, False, True] * 20, "boolean"),
        pd.array([1, 2, 3] * 20, "int64[pyarrow]"),
        pd.arrays.SparseArray([1.0, 0, 0] * 20),
        pd.Categorical([1, 2, 3] * 20),
        np.array([1, 2.5, True] * 20, object),
        [True, False, True] * 20,
    ],
)
def test_columns_that_are_numbers(column: Any) -> None:
    assert fitted_to(frame(c=column)) == ["a", "b", "c"]


def test_a_missing_value_names_the_column() -> None:
    X = frame(n=pd.array([1, None, 3] * 20, "Int64"))
    with pytest.raises(
        TypeError, match=r"X\[1, 2\] \(column 'n'\) is <NA>, which stands for a missing value: drop or impute"
    ):
        GaussianMixture(1).fit(X)
    assert fitted_to(X.dropna()) == ["a", "b", "n"]


def test_arrow() -> None:
    X = pa.table(frame(s=GROUPS))
    for table in (X, X.set_column(2, "s", X["s"].dictionary_encode())):
        text = message(table)
        assert re.match(r"X has a column that holds no numbers: 's' \((large_)?(string|dictionary)\)\. Choose", text)
        assert fitted_to(advised(text, r"X\.select\(.*?\)", X=table)) == ["a", "b"]
        assert fitted_to(advised(text, r"pandas\.get_dummies\(.*\)", X=table)) == DUMMIES
    digits = pa.table({"a": ["1", "2.5", "4"]})
    assert advised(message(digits), r"X\['a'\]\.cast\('float64'\)", X=digits).to_pylist() == [1.0, 2.5, 4.0]
    with pytest.raises(
        ValueError, match=r"chunk 0, column 's' is (large_)?string, not numbers: choose columns with columns="
    ):
        GaussianMixture(1).fit(fastgmm.chunks(X))


def test_parquet(tmp_path: Any) -> None:
    path = tmp_path / "t.parquet"
    frame(s=GROUPS, t=pd.Timestamp("2020")).to_parquet(path)
    with pytest.raises(
        ValueError, match=r"'s'\) is not numeric but (large_)?string, as are column 3 .*'t'\).*--drop s,t"
    ) as caught:
        GaussianMixture(1).fit(path)
    chosen = advised(str(caught.value), r"fastgmm\.chunks\(.*?\]\)", fastgmm=fastgmm, path=path)
    assert GaussianMixture(1).fit(chosen).n_features_in_ == 2


def test_dask() -> None:
    X = dd.from_pandas(frame(s=GROUPS), npartitions=3)
    for there in (X, X.categorize(["s"])):
        text = message(there)
        assert re.match(
            r"X has a column that holds no numbers: 's' \((str|category)\)\. Choose columns of numbers", text
        )
        assert fitted_to(advised(text, r"X\[\[.*?\]\]", X=there)) == ["a", "b"]
        assert fitted_to(advised(text, r"X\.select_dtypes\('number'\)", X=there)) == ["a", "b"]
        assert fitted_to(advised(text, r"dask\.dataframe\.get_dummies\(.*?\]\)\)", X=there)) == DUMMIES
    with pytest.raises(TypeError, match=r"'s' \(str\).*columns of numbers"):
        GaussianMixture(1).fit(X[["a", "b"]]).predict(X)
    digits = dd.from_pandas(frame(s=[str(i) for i in range(60)]), npartitions=3)
    assert fitted_to(advised(message(digits), r"X\.astype\(.*\)", X=digits)) == ["a", "b", "s"]
    times = dd.from_pandas(frame(t=pd.date_range("2020", periods=60)), npartitions=3)
    seconds = advised(message(times), r"\(X\['t'\].*total_seconds\(\)", X=times)
    assert fitted_to(times.assign(t=seconds)) == ["a", "b", "t"]


def test_shapes_of_dask() -> None:
    import dask.array as da

    X = da.zeros((4, 5, 3))
    with pytest.raises(
        ValueError, match=r"shape \(4, 5, 3\)\. Reshape your data: X\.reshape\(-1, 3\) if the last axis"
    ) as caught:
        GaussianMixture(1).fit(X)
    assert advised(str(caught.value), r"X\.reshape\(-1, 3\)", X=X).shape == (20, 3)
    with pytest.raises(ValueError, match=r"X\.reshape\(-1, 1\) if it has a single feature"):
        GaussianMixture(1).fit(X[0, 0])
    with pytest.raises(ValueError, match=r"Pass X\.to_frame\(\) if it is a single feature"):
        GaussianMixture(1).fit(dd.from_pandas(frame(), npartitions=2)["a"])


def test_polars() -> None:
    X = pl.DataFrame({"a": NUMBERS[:, 0], "b": NUMBERS[:, 1], "s": GROUPS})
    for table, kind in [(X, "String"), (X.with_columns(pl.col("s").cast(pl.Categorical)), "Categorical")]:
        text = message(table)
        assert text.startswith(f"X has a column that holds no numbers: 's' ({kind}")
        assert fitted_to(advised(text, r"X\.select\(\[.*?\]\)", X=table)) == ["a", "b"]
        assert fitted_to(advised(text, r"X\.select\(polars.*?\)\)", X=table, polars=pl)) == ["a", "b"]
        assert sorted(fitted_to(advised(text, r"X\.to_dummies\(.*?\)", X=table))) == DUMMIES
    for values in ([f"{i}.5" for i in range(60)], [decimal.Decimal(i) for i in range(60)]):
        table = X.with_columns(s=pl.Series(values))
        assert fitted_to(advised(message(table), r"X\.cast\(\{.*\}\)", X=table, polars=pl)) == ["a", "b", "s"]
    table = X.with_columns(s=pl.Series([datetime.date(2020, 1, 1 + i % 9) for i in range(60)]))
    seconds = advised(message(table), r"\(polars\.col.*total_seconds\(\)", polars=pl)
    assert fitted_to(table.with_columns(seconds)) == ["a", "b", "s"]
    assert fitted_to(X.with_columns(s=pl.col("a") > 0)) == ["a", "b", "s"]
    with pytest.raises(TypeError, match=r"a LazyFrame: pass an array of shape .*X\.collect\(\)"):
        GaussianMixture(1).fit(X.lazy())


def test_what_is_advised_about_shapes_and_lists() -> None:
    X = np.random.default_rng(0).normal(size=(4, 5, 3))
    with pytest.raises(ValueError, match=r"X\.reshape\(-1, 3\)") as caught:
        GaussianMixture(1).fit(X)
    assert advised(str(caught.value), r"X\.reshape\(-1, 3\)", X=X).shape == (20, 3)
    assert advised(str(caught.value), r"X\.reshape\(4, -1\)", X=X).shape == (4, 15)
    pieces = [X[0], X[1, :2], X[2]]
    with pytest.raises(
        ValueError, match=r"numpy\.vstack\(X\) or, to go through one after another, fastgmm\.chunks"
    ) as caught:
        GaussianMixture(1).fit(pieces)
    whole = GaussianMixture(1).fit(advised(str(caught.value), r"numpy\.vstack\(X\)", X=pieces))
    parts = GaussianMixture(1).fit(advised(str(caught.value), r"fastgmm\.chunks\(X\)", X=pieces, fastgmm=fastgmm))
    np.testing.assert_array_equal(whole.means_, parts.means_)

"""Data frames of pandas, polars, Dask and Arrow: the names of their columns, and which of these hold no numbers.

None of the packages is imported: a frame is recognised by its methods and attributes.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Values of a column of text that are examined to distinguish numbers from words.
_LOOKED_AT = 1000


class _Unusable(NamedTuple):
    """A column that holds no numbers: its name, the name of its type, and the kind of that."""

    name: Any
    dtype: str
    what: str  # "complex", or a key of `_remedies`: "digits" are numbers kept as text, "texts" these or words


def column_names(X: Any) -> list[Any] | None:
    """Return the names of the columns of a frame, None if `X` is not a frame."""
    if is_lazy(X):
        return None
    columns = getattr(X, "column_names", getattr(X, "columns", None))  # pyarrow's tables have both: `columns` are data
    return None if columns is None or callable(columns) else list(columns)


def is_lazy(X: Any) -> bool:
    """Return whether `X` is a lazy frame of polars, of which nothing is known before it is collected."""
    return hasattr(X, "collect_schema") and not hasattr(X, "to_dummies")


def has_schema(X: Any) -> bool:
    """Return whether `X` is a frame of polars or Arrow, whose types say everything before anything is converted."""
    return (hasattr(X, "to_dummies") or hasattr(X, "column_names")) and hasattr(X, "schema")


def no_numbers(X: Any, name: str) -> str | None:
    """Say which columns of a frame hold no numbers and what to do about them; None if all do, or if `X` is not a frame."""
    if has_schema(X):
        of_library = _of_polars if hasattr(X, "to_dummies") else _of_arrow
    elif hasattr(X, "select_dtypes") and hasattr(X, "dtypes"):
        of_library = _of_pandas
    else:
        return None
    unusable = list(of_library(X))
    if not unusable or any(column.what == "complex" for column in unusable):
        return None
    listed = ", ".join(f"{column.name!r} ({column.dtype})" for column in unusable[:8])
    listed += f" and {len(unusable) - 8} more" if len(unusable) > 8 else ""
    one = len(unusable) == 1
    bad = [column.name for column in unusable]
    good = [column for column in column_names(X) or () if column not in bad]
    frame = name if name.isidentifier() else "frame"
    advice = [_choice(X, frame, good, bad)] if good else []
    for what, remedy in _remedies(X, frame).items():
        of_kind = [column.name for column in unusable if column.what == what]
        advice += [remedy(of_kind[:8])] if of_kind else []
    head = f"{name} has {'a column that holds' if one else 'columns that hold'} no numbers: {listed}. "
    text = "; or ".join(advice)
    return head + text[0].upper() + text[1:]


def _choice(X: Any, frame: str, good: Sequence[Any], bad: Sequence[Any]) -> str:
    shown = list(good)
    if len(good) > 8:  # a list of some of them would lose the others
        if hasattr(X, "to_dummies"):
            return f"choose columns of numbers, such as {frame}.select(polars.selectors.numeric())"
        if has_schema(X):
            return f"choose columns of numbers, such as {frame}.drop_columns({list(bad)})"
        return (
            f"choose columns of numbers, such as {frame}.drop(columns={list(bad)}) or {frame}.select_dtypes('number')"
        )
    if hasattr(X, "to_dummies"):
        return (
            f"choose columns of numbers, such as {frame}.select({shown}) or {frame}.select(polars.selectors.numeric())"
        )
    if has_schema(X):
        return f"choose columns of numbers, such as {frame}.select({shown})"
    return f"choose columns of numbers, such as {frame}[{shown}] or {frame}.select_dtypes('number')"


def _remedies(X: Any, frame: str) -> dict[str, Callable[[list[Any]], str]]:
    """Return how to make numbers of each kind of column, by functions of the frame's own package."""

    def others(c: list[Any]) -> str:
        return f"make numbers of {_listed(c)}, or leave such columns out"

    of_times = "count time from its beginning, in seconds: "
    if hasattr(X, "to_dummies"):
        return {
            "words": lambda c: f"encode categories as 0 and 1, {frame}.to_dummies({c})",
            "digits": lambda c: (
                f"convert numbers that are kept as text, {frame}.cast({dict.fromkeys(c, 'float')})".replace(
                    "'float'", "polars.Float64"
                )
            ),
            "times": lambda c: f"{of_times}(polars.col({c[0]!r}) - polars.col({c[0]!r}).min()).dt.total_seconds()",
            "nested": lambda c: f"make columns of what {_listed(c)} holds, numpy.vstack({frame}[{c[0]!r}])",
            "decimals": lambda c: f"convert decimals, {frame}.cast({dict.fromkeys(c, 'float')})".replace(
                "'float'", "polars.Float64"
            ),
            "others": others,
        }
    if has_schema(X):
        return {
            "words": lambda c: f"encode categories as 0 and 1, pandas.get_dummies({frame}.to_pandas(), columns={c})",
            "digits": lambda c: f"convert numbers that are kept as text, {frame}[{c[0]!r}].cast('float64')",
            "times": lambda c: f"{of_times}.to_pandas(), then (column - column.min()).dt.total_seconds()",
            "nested": lambda c: f"make columns of what {_listed(c)} holds, numpy.vstack({frame}[{c[0]!r}].to_pandas())",
            "decimals": lambda c: f"convert decimals, {frame}[{c[0]!r}].cast('float64')",
            "others": others,
        }
    dask = hasattr(X, "map_partitions")
    dummies = (
        (lambda c: f"dask.dataframe.get_dummies({frame}.categorize({c}))")
        if dask
        else (lambda c: f"pandas.get_dummies({frame}, columns={c})")
    )

    def as_float(c: list[Any]) -> str:
        return f"{frame}.astype({dict.fromkeys(c, 'float')})"

    return {
        "words": lambda c: f"encode categories as 0 and 1, {dummies(c)}",
        "digits": lambda c: f"convert numbers that are kept as text, {as_float(c)}",
        "texts": lambda c: (
            f"encode categories as 0 and 1, {dummies(c)}; or convert numbers kept as text, {as_float(c)}"
        ),
        "times": lambda c: f"{of_times}({frame}[{c[0]!r}] - {frame}[{c[0]!r}].min()).dt.total_seconds()",
        "nested": lambda c: f"make columns of what {_listed(c)} holds, numpy.vstack({frame}[{c[0]!r}])",
        "periods": lambda c: (
            f"make times of periods, {frame}[{c[0]!r}].dt.to_timestamp(), and count time from its beginning"
        ),
        "dates": lambda c: (
            f"make times of dates, pandas.to_datetime({frame}[{c[0]!r}]), and count time from its beginning"
        ),
        "intervals": lambda c: f"take the middle of intervals, pandas.IntervalIndex({frame}[{c[0]!r}]).mid",
        "decimals": lambda c: f"convert decimals, {as_float(c)}",
        "others": others,
    }


def _listed(names: Sequence[Any]) -> str:
    return ", ".join(map(repr, names))


def _of_polars(X: Any) -> Iterator[_Unusable]:
    for name, dtype in X.schema.items():
        text = str(dtype)
        if (dtype.is_numeric() and not text.startswith("Decimal")) or text == "Boolean":
            continue
        if dtype.is_temporal():
            yield _Unusable(name, text, "times")
        else:
            is_text = text in ("String", "Utf8")
            digits = is_text and _are_digits(X[name].drop_nulls().head(_LOOKED_AT))
            words = is_text or text.startswith(("Categorical", "Enum"))
            rest = {"List": "nested", "Array": "nested", "Decimal": "decimals"}.get(text.partition("(")[0], "others")
            yield _Unusable(name, text, "digits" if digits else "words" if words else rest)


def _of_arrow(X: Any) -> Iterator[_Unusable]:
    for name, kind in zip(X.schema.names, X.schema.types, strict=True):
        text = str(kind)
        if text.startswith(("int", "uint", "float", "double", "halffloat", "bool")):
            continue
        if text.startswith(("timestamp", "date", "time", "duration")):
            yield _Unusable(name, text, "times")
        else:
            is_text = text.startswith(("string", "large_string"))
            digits = is_text and _are_digits(X.column(name).slice(0, _LOOKED_AT).drop_null().to_pylist())
            words = is_text or text.startswith("dictionary")
            rest = "nested" if "list<" in text else "decimals" if text.startswith("decimal") else "others"
            yield _Unusable(name, text.partition("<")[0], "digits" if digits else "words" if words else rest)


def _of_pandas(X: Any) -> Iterator[_Unusable]:
    """Yield those of pandas, and of Dask, whose values are on the workers: there a column of objects may be anything."""
    at_hand = not hasattr(X, "map_partitions")
    for j, (name, dtype) in enumerate(X.dtypes.items()):
        kind = getattr(dtype, "kind", "O")
        categories = getattr(dtype, "categories", None)
        if kind in "biuf" or (categories is not None and getattr(categories.dtype, "kind", "O") in "biuf"):
            continue
        values: Any = X.iloc[:, j] if at_hand else ()
        if kind == "c":
            yield _Unusable(name, str(dtype), "complex")
        elif kind in "mM":
            yield _Unusable(name, str(dtype), "times")
        elif str(dtype).startswith(("period", "interval")):
            yield _Unusable(name, str(dtype), str(dtype).partition("[")[0] + "s")
        elif str(dtype) == "object":
            if (found := _of_objects(values)) is not None:
                yield _Unusable(name, *found)
        elif categories is not None:
            if at_hand or getattr(X[name].cat, "known", True):
                yield _Unusable(name, "category", "words")
        elif str(dtype).startswith(("str", "large_str")):
            digits = at_hand and _are_digits(values.dropna().iloc[:_LOOKED_AT])
            yield _Unusable(name, "str", "digits" if digits else "words" if at_hand else "texts")
        else:
            yield _Unusable(name, str(dtype), "decimals" if str(dtype).startswith("decimal") else "others")


def _of_objects(values: Any) -> tuple[str, str] | None:
    """Return the type of the first value of a column of Python objects that is neither a number nor missing."""
    for value in values:
        if isinstance(value, (numbers.Real, np.bool_)) or value is None or is_missing(value):
            continue
        if isinstance(value, complex):
            return "complex", "complex"
        if not isinstance(value, str):
            if isinstance(value, (list, tuple, np.ndarray)):
                return type(value).__name__, "nested"
            of_type = {"date": "dates", "datetime": "dates", "Timestamp": "dates", "Decimal": "decimals"}
            return type(value).__name__, of_type.get(type(value).__name__, "others")
        texts = [value for value in values if isinstance(value, str)]
        return "str", "digits" if _are_digits(islice(texts, _LOOKED_AT)) else "words"
    return None


def is_missing(value: Any) -> bool:
    """Return whether a Python object stands for a missing value."""
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def _are_digits(values: Any) -> bool:
    """Return whether there are texts and all of them are numbers."""
    some = False
    for value in values:
        try:
            float(value)
        except ValueError:
            return False
        some = True
    return some


def framed(values: NDArray, X: Any) -> Any:
    """Return values (n, d) as a frame with the columns and the index of `X`; as they are if X is not of pandas or polars."""
    if has_schema(X) and hasattr(X, "to_dummies"):
        return type(X)(values, schema=list(X.columns))
    if hasattr(X, "iloc") and hasattr(X, "dtypes") and hasattr(X, "index") and not hasattr(X, "map_partitions"):
        return type(X)(values, index=X.index, columns=X.columns)
    return values

"""Validation: everything that users pass is checked here, and every message about it is written here."""

from __future__ import annotations

import difflib
import math
import numbers
import os
import reprlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastgmm._errors import DataConversionWarning, like_sklearn, warn
from fastgmm._frames import column_names, has_schema, is_lazy, is_missing, no_numbers
from fastgmm._limits import LIMITS

_SMALL = 1 << 12
_MASKED = {np.ma.MaskedArray, type(np.ma.masked)}


def check_data(X: Any, *, name: str = "X", min_samples: int = 1, axes: str | None = None) -> NDArray:
    """Return `X` as a 2-D float32 or float64 array, without a copy if it is one already, in any memory order.

    `axes` names the axes of an array that is not data. Other real dtypes become float64. Raises ValueError or TypeError for
    anything that is not a finite real matrix.
    """
    return _check_data(X, name, min_samples, axes)[0]


def check_incomplete(X: Any, *, name: str = "X", min_samples: int = 1) -> tuple[NDArray, bool]:
    """Return `X` as `check_data` does, with NaN for whatever stands for a missing value; and whether there is any."""
    return _check_data(X, name, min_samples, None, missing=True)


def _check_data(
    X: Any, name: str, min_samples: int, axes: str | None, *, missing: bool = False
) -> tuple[NDArray, bool]:
    array = as_numbers(X, name, missing=missing)
    if axes is not None and (array.ndim != 2 or 0 in array.shape):
        raise ValueError(f"{name} must have the shape {axes}, got {array.shape}")
    if array.ndim != 2:
        raise ValueError(
            f"{name} must be two-dimensional, (n_samples, n_features), got an array of shape {array.shape}. "
            f"{parts_advice(X, name) or shape_advice(array.shape, name)}"
        )
    if array.shape[1] == 0:
        raise ValueError(f"{name} has 0 feature(s) (shape={array.shape}) while a minimum of 1 is required.")
    if array.shape[0] < min_samples:
        raise ValueError(
            f"{name} has {array.shape[0]} sample(s) (shape={array.shape}) while a minimum of {min_samples} is required."
        )
    return array, _check_finite(array, name, missing=missing)


def shape_advice(shape: tuple[float, ...], name: str = "X") -> str:
    """Say how an array that is not of two dimensions becomes one of (n_samples, n_features)."""
    if len(shape) == 0:
        return "Pass an array of one row for each sample and one column for each feature"
    if len(shape) == 1:
        return (
            f"Reshape your data: {name}.reshape(-1, 1) if it has a single feature, {name}.reshape(1, -1) if it is a "
            "single sample"
        )
    by_last = f"{name}.reshape(-1, {shape[-1]}) if the last axis holds the features, as of pixels or time steps"
    return f"Reshape your data: {by_last}; {name}.reshape({shape[0]}, -1) if the first one holds the samples"


def parts_advice(X: Any, name: str = "X") -> str | None:
    """Say how several arrays or frames become one; None if `X` is not a list of them, or an array that holds them."""
    if not isinstance(X, (list, tuple)) and (str(getattr(X, "dtype", "")) != "object" or X.ndim != 1):
        return None
    shapes = [tuple(part.shape) for part in X if hasattr(part, "shape") and hasattr(part, "__array__")]
    if not shapes or len(shapes) < len(X) or {len(shape) for shape in shapes} not in ({1}, {2}):
        return None
    got = f"It holds {len(shapes)} array{'s' * (len(shapes) > 1)} of the shapes {', '.join(map(str, shapes[:4]))}"
    got += ", ..." if len(shapes) > 4 else ""
    widths = sorted({shape[-1] for shape in shapes})
    if len(shapes[0]) == 2 and len(widths) > 1:
        return f"{got}: all must have the same features, but these have {', '.join(map(str, widths[:8]))} columns"
    if len(widths) > 1:
        return f"{got}: pass rows of equal length, or numpy.concatenate({name}).reshape(-1, 1) if they are parts of one feature"
    return f"{got}: pass numpy.vstack({name}) or, to go through one after another, fastgmm.chunks({name})"


def as_numbers(X: Any, name: str, *, missing: bool = False) -> NDArray:
    """Return `X` as an array of float32 or float64, without a copy if it is one; raise if it does not hold real numbers.

    With `missing`, NaN stands for values that are masked, None, or the NA of pandas.
    """
    if missing and isinstance(X, np.ma.MaskedArray) and X.dtype.kind in "biuf":
        X = np.ma.filled(X.astype(np.result_type(X.dtype, np.float32)), np.nan)
    _check_dense(X, name)
    if has_schema(X) and (problem := no_numbers(X, name)):
        raise TypeError(problem)
    try:
        array = np.asarray(X)
    except (ValueError, TypeError) as error:
        advice = parts_advice(X, name) or "Pass rows of equal length"
        raise ValueError(f"{name} cannot be made into an array ({error}). {advice}") from error
    if array.dtype.kind not in "biuf" and (problem := no_numbers(X, name)):
        raise TypeError(problem)
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} has dtype {array.dtype}; pass real numbers")
    if array.dtype.kind == "O":
        return _from_objects(array, name, column_names(X), missing=missing)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold numbers, got dtype {array.dtype}: {_remedy(array, name)}")
    # Floats of the other byte order are neither: they become float64, as in scikit-learn. A long double that float64
    # cannot hold becomes infinity, whose position is reported later.
    if array.dtype not in (np.float32, np.float64):
        with np.errstate(over="ignore"):
            array = array.astype(np.float64)
    return array


def _check_dense(X: Any, name: str) -> None:
    if hasattr(X, "toarray") and hasattr(X, "nnz"):
        raise TypeError(f"{name} is a sparse matrix, but dense data is required: pass {name}.toarray()")
    if isinstance(X, np.ma.MaskedArray):
        _check_unmasked(X, name)
    elif isinstance(X, (list, tuple)) and not _MASKED.isdisjoint(map(type, X)):
        for i, row in enumerate(X):  # of which NumPy would take the values behind the masks
            if isinstance(row, np.ma.MaskedArray):
                _check_unmasked(row, f"{name}[{i}]")


def _remedy(array: NDArray, name: str) -> str:
    """Return how to make numbers of an array of another type."""
    if array.dtype.kind in "mM":
        return f"({name} - {name}.min()) / numpy.timedelta64(1, 's') counts seconds from the first"
    if array.dtype.kind not in "US":
        return "pass an array of numbers" + (
            "" if array.dtype.names is None else f", such as {name}[{array.dtype.names[0]!r}]"
        )
    for position, value in np.ndenumerate(array):
        try:
            float(value)
        except ValueError:
            where = (
                f"{name}[{', '.join(map(str, position))}] is {str(value)!r}" if position else f"it is {str(value)!r}"
            )
            return f"{where}; leave such columns out, or encode categories as columns of 0 and 1"
    return f"convert it with {name}.astype(float)"


def _check_unmasked(X: np.ma.MaskedArray, name: str) -> None:
    """Raise TypeError if values are masked; an array without masked ones is taken for its data."""
    mask = np.ma.getmaskarray(X)
    if mask.dtype.names is not None or not mask.any():  # records are refused as such
        return
    where = f"[{', '.join(map(str, np.argwhere(mask)[0]))}]" if mask.ndim else ""
    remedy = (
        f"drop such samples, {name}[~np.ma.getmaskarray({name}).any(axis=1)].data, or pass "
        if mask.ndim == 2
        else "pass "
    )
    raise TypeError(
        f"{name} is a masked array with {int(mask.sum())} of {mask.size} values masked, the first {name}{where}. Missing values "
        f"cannot be used: {remedy}{name}.filled(value), which imputes them"
    )


def _from_objects(array: NDArray, name: str, columns: list[Any] | None, *, missing: bool = False) -> NDArray:
    if array.ndim == 0 and not isinstance(value := array[()], numbers.Number):
        one_of = "an array of shape (n_samples, n_features)" if name == "X" else "an array of numbers"
        remedy = ""
        if name == "X" and hasattr(value, "read"):
            remedy = ", or the path of the file"
        elif name == "X" and (callable(value) or isinstance(value, Iterator)):
            remedy = ", or fastgmm.chunks(a function that returns a fresh iterator over arrays)"
        elif is_lazy(value):
            remedy = f", such as {name}.collect()"
        raise TypeError(f"{name} is {reprlib.repr(value)}, a {type(value).__name__}: pass {one_of}{remedy}")
    absent = np.zeros(array.shape, np.bool_)
    for position, value in np.ndenumerate(array):
        where = f"{name}[{', '.join(map(str, position))}]"
        if missing and is_missing(value):
            absent[position] = True
            continue
        if isinstance(value, complex):
            raise ValueError(f"Complex data not supported: {where} is {value!r}; pass real numbers")
        if is_missing(value):
            of = f" (column {columns[position[1]]!r})" if columns is not None and len(position) == 2 else ""
            raise TypeError(
                f"{where}{of} is {value!r}, which stands for a missing value: drop or impute such samples"
                + (", as dropna and fillna do" if of else "")
            )
        if isinstance(value, str) or not isinstance(value, (numbers.Real, np.bool_)):
            raise TypeError(
                f"{name} has dtype object and {where} is {reprlib.repr(value)}, a {type(value).__name__}: "
                f"{_object_advice(array, value, name)}"
            )
    try:
        return (np.where(absent, np.nan, array) if absent.any() else array).astype(np.float64)
    except OverflowError as error:
        raise ValueError(f"{name} holds an integer that is too large for float64: scale the data") from error


def _object_advice(array: NDArray, value: Any, name: str) -> str:
    if array.ndim == 1 and isinstance(value, (list, tuple, np.ndarray)):
        rows = all(np.ndim(row) == 1 for row in array)
        return parts_advice(array, name) or (
            f"pass numpy.vstack({name}), if the rows have equal length" if rows else "pass rows of equal length"
        )
    if not isinstance(value, str) and hasattr(value, "__float__"):
        return f"convert it with {name}.astype(float)"
    # scikit-learn's own checks of estimators want "argument must be", "string" and "number" in this order
    return (
        "the argument must be free of strings and of whatever else is not a number: leave such columns out, or encode categories "
        "as columns of 0 and 1"
    )


def _check_finite(array: NDArray, name: str, *, missing: bool = False) -> bool:
    """Raise ValueError with the position of the first NaN or infinity. By blocks of rows: no copy of the whole.

    With `missing` NaN is a missing value; the return value says whether there is one.
    """
    found = False
    rows = max(1, LIMITS.numbers_checked // max(1, array.shape[-1] if array.ndim > 1 else 1))
    for start in range(0, array.shape[0], rows):
        block = array[start : start + rows]
        if block.size <= _SMALL:
            if np.isfinite(block).all():
                continue
        else:  # one pass and no array of truth values; an overflow is looked at closely
            with np.errstate(over="ignore", invalid="ignore"):
                if np.isfinite(block.sum()):
                    continue
        if missing:
            found = found or bool(np.isnan(block).any())
        bad = np.argwhere(np.isinf(block) if missing else ~np.isfinite(block))
        if len(bad):
            position = (int(bad[0, 0]) + start, *map(int, bad[0, 1:]))
            value = array[position]
            what = "NaN" if np.isnan(value) else "infinity"
            raise ValueError(
                f"Input {name} contains {what}: {name}[{', '.join(map(str, position))}] is {value}, the first value that "
                f"is not finite. {not_finite_advice(value, missing)}"
            )
    return found


def not_finite_advice(value: float, missing: bool) -> str:
    """Say what to do about samples with a `value` that is not finite, if NaN is a missing value or if it is not."""
    if missing:
        return "Drop such samples, or put NaN in place of it if the value is missing (inf cannot be used)"
    advice = "Drop or impute such samples (neither NaN nor inf can be used)"
    if np.isnan(value):
        advice += "; mixtures and select take NaN for a missing value with missing_values='marginalize'"
    return advice


def check_magnitude(largest: float, n_features: int, dtype: np.dtype, name: str = "X") -> None:
    """Raise ValueError if squares of values up to `largest`, summed over features, would overflow in their dtype."""
    limit = math.sqrt(float(np.finfo(dtype).max) / n_features) / 16
    if largest > limit:
        raise ValueError(
            f"{name} has values of magnitude {largest:.3g}, too large for squared distances in {dtype} (limit {limit:.3g}): "
            "scale the data" + (" or pass float64" if dtype == np.float32 else "")
        )


def feature_names(X: Any) -> NDArray[np.object_] | None:
    """Return the column names of a data frame if they are all strings, else None."""
    names = column_names(X)
    if names is None:
        return None
    text = [isinstance(name, str) for name in names]
    if names and all(text):
        return np.array(names, dtype=object)
    if any(text):
        raise TypeError(
            "Feature names are only supported if all input features have string names, but your input has column names "
            f"of types {sorted({type(name).__name__ for name in names})}. Convert them: X.columns = X.columns.astype(str)"
        )
    return None


def check_same_features(got: int, names: NDArray | None, n_features: int, fitted: NDArray | None, owner: str) -> None:
    """Raise ValueError if data and model differ in the number or the names of features."""
    if names is not None and fitted is not None and list(names) != list(fitted):
        unseen = [name for name in names if name not in set(fitted)]
        missing = [name for name in fitted if name not in set(names)]
        detail = "".join(
            f"\nFeature names {text}:\n" + "".join(f"- {name}\n" for name in group[:5])
            for text, group in (("unseen at fit time", unseen), ("seen at fit time, yet now missing", missing))
            if group
        )
        detail = detail or "\nFeature names must be in the same order as they were in fit.\n"
        raise ValueError(f"The feature names should match those that were passed during fit.{detail}")
    if (names is None) != (fitted is None):
        has, lacks = (
            ("X has", f"{owner} was fitted without") if fitted is None else (f"{owner} was fitted with", "X has no")
        )
        warn(f"{has} feature names, but {lacks} feature names: columns are taken in their order", UserWarning)
    if got != n_features:
        raise ValueError(
            f"X has {got} features, but {owner} is expecting {n_features} features as input: pass the columns that "
            "the model was fitted with"
        )


def check_integer(name: str, value: Any, low: int) -> int:
    """Return `value` as int; it must be an integer (no bool) of at least `low`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer of at least {low}, got {value!r} of type {type(value).__name__}")
    if value < low:
        raise ValueError(f"{name} must be an integer of at least {low}, got {name}={value}")
    return int(value)


def check_non_negative(name: str, value: Any) -> float:
    """Return `value` as float; it must be a finite real number of at least 0."""
    number = _real(name, value, "of at least 0")
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} must be a finite number of at least 0, got {name}={value}")
    return number


def check_positive(name: str, value: Any) -> float:
    """Return `value` as float; it must be a finite real number above 0."""
    number = _real(name, value, "above 0")
    if not 0 < number < math.inf:
        raise ValueError(f"{name} must be a finite number above 0, got {name}={value}")
    return number


def check_within(name: str, value: Any, low: float, high: float) -> float:
    """Return `value` as float; it must be a real number above `low` and at most `high`."""
    number = _real(name, value, f"above {low:g} and at most {high:g}")
    if not low < number <= high:
        raise ValueError(f"{name} must be a number above {low:g} and at most {high:g}, got {name}={value}")
    return number


def _real(name: str, value: Any, which: str) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number {which}, got {value!r} of type {type(value).__name__}")
    try:
        return float(value)
    except OverflowError:  # an integer beyond float64
        return math.inf


def check_path(name: str, value: Any) -> str:
    """Return `value`, a string or path-like, as a string."""
    path = os.fspath(value) if isinstance(value, (str, os.PathLike)) else value
    if not isinstance(path, str):
        raise TypeError(
            f"{name} must be a string or path-like, got {reprlib.repr(value)} of type {type(value).__name__}"
        )
    return path


def check_bool(name: str, value: Any) -> bool:
    """Return `value` as bool; it must be one."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def check_verbose(value: Any) -> int:
    """Return `value` as int; it must be a bool or an integer of at least 0."""
    return int(value) if isinstance(value, (bool, np.bool_)) else check_integer("verbose", value, 0)


def check_choice(name: str, value: Any, allowed: Iterable[str]) -> str:
    """Return `value`, which must be one of `allowed`; the message names the nearest."""
    choices = list(allowed)
    if isinstance(value, str) and value in choices:
        return value
    folded = {choice.lower(): choice for choice in reversed(choices)}
    given = str(value).lower()
    begun = [choice for choice in folded if len(choice) > 2 and given.startswith(choice)]  # 'diagonal' for 'diag'
    alike = difflib.get_close_matches(given, folded, n=1, cutoff=0.4)
    near = begun if begun and difflib.SequenceMatcher(None, given, alike[0]).ratio() < 0.8 else alike
    hint = f"; did you mean {folded[near[0]]!r}?" if near else ""
    raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}{hint}")


def check_threads(n_threads: Any) -> int | None:
    """Return None or the number of threads as an int of at least 1."""
    return None if n_threads is None else check_integer("n_threads", n_threads, 1)


def check_random_state(seed: Any) -> np.random.RandomState:
    """Return a RandomState for None (the global one), an integer, a RandomState or a Generator (shares its stream)."""
    if seed is None or seed is np.random:
        return np.random.mtrand._rand
    if isinstance(seed, np.random.RandomState):
        return seed
    if isinstance(seed, np.random.Generator):
        return np.random.RandomState(seed.bit_generator)
    if isinstance(seed, numbers.Integral) and not isinstance(seed, bool):
        if not 0 <= int(seed) < 2**32:
            raise ValueError(f"random_state must be between 0 and 2**32 - 1, got {seed}")
        return np.random.RandomState(int(seed))
    raise ValueError(
        f"random_state must be None, an integer, a numpy RandomState or Generator, got {seed!r} of type "
        f"{type(seed).__name__}"
    )


def check_array(name: str, value: Any, shape: tuple[int, ...], meaning: str) -> NDArray[np.float64]:
    """Return `value` as a finite float64 array of `shape`, always a copy. `meaning` says what the axes are."""
    array = np.array(as_numbers(value, name), dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f"The parameter {name!r} should have the shape of {shape}, {meaning}, but got {array.shape}")
    if array.ndim:
        _check_finite(array, name)
    return array


def check_weights(name: str, value: Any, k: int) -> NDArray[np.float64]:
    """Return mixture weights: shape (k,), within [0, 1], adding up to 1 (1e-6 for float32 input's sake)."""
    weights = check_array(name, value, (k,), "(n_components,)")
    if (weights < 0).any() or (weights > 1).any():
        raise ValueError(
            f"The parameter {name!r} should be in the range [0, 1], but got min value {weights.min():.5g}, max value "
            f"{weights.max():.5g}"
        )
    if abs(1.0 - weights.sum()) > 1e-6:
        raise ValueError(
            f"The parameter {name!r} should be normalized, but got sum(weights) = {weights.sum():.8g}: divide by the sum"
        )
    return weights


def check_sample_weight(
    value: Any, n_samples: int, name: str = "sample_weight", *, all_zero: bool = False
) -> NDArray[np.float64] | None:
    """Return None, or the weights of samples: (n_samples,) float64, finite, not negative and (or `all_zero`) not all zero."""
    if value is None:
        return None
    weights = as_numbers(value, name)
    if weights.shape != (n_samples,):
        raise ValueError(
            f"{name} must have the shape ({n_samples},), a weight for each sample of X, got {weights.shape}: "
            "pass one number for each row"
        )
    weights = weights.astype(np.float64)
    _check_finite(weights, name)
    if weights.size and weights.min() < 0:
        i = int(weights.argmin())
        raise ValueError(
            f"{name} must not be negative, got {name}[{i}] = {weights[i]}: weights count samples, 0 leaves one out"
        )
    if not all_zero and not weights.any():
        raise ValueError(f"{name} is zero for all samples: at least one weight must be positive")
    return weights


def check_targets(value: Any, n_samples: int, owner: str) -> NDArray:
    """Return the targets of a regression, (n_samples,) or (n_samples, q), float32 or float64 and finite."""
    if value is None:
        raise ValueError(
            f"{owner} requires y to be passed, but the target y is None: pass a number for each sample, or a row of several"
        )
    targets = as_numbers(value, "y")
    if targets.ndim not in (1, 2) or len(targets) != n_samples or 0 in targets.shape:
        raise ValueError(
            f"y must have the shape ({n_samples},), a number for each sample of X, or ({n_samples}, n_targets), got "
            f"{targets.shape}"
        )
    _check_finite(targets, "y")
    return targets


def check_classes(value: Any, n_samples: int, owner: str) -> NDArray:
    """Return labels (n_samples,): integers, strings, booleans, or floats that are whole numbers."""
    if value is None:
        raise ValueError(
            f"{owner} requires y to be passed, but the target y is None: pass the class of each sample, or fit a GaussianMixture"
        )
    _check_dense(value, "y")
    labels = np.asarray(value)
    if labels.ndim == 2 and labels.shape[1] == 1:
        warn(
            "A column-vector y was passed when a 1d array was expected. Please change the shape of y to (n_samples, ), for "
            "example using ravel().",
            like_sklearn(DataConversionWarning),
        )
        labels = labels.ravel()
    if labels.shape != (n_samples,):
        raise ValueError(f"y must have the shape ({n_samples},), the class of each sample of X, got {labels.shape}")
    if labels.dtype.kind == "f":
        _check_finite(labels, "y")
        if (labels != np.floor(labels)).any():
            raise ValueError(
                f"Unknown label type: continuous. y holds {labels[labels != np.floor(labels)][0]}, and classes must be whole "
                "numbers or strings: round or bin them, or fit a GaussianMixtureRegressor"
            )
    elif labels.dtype.kind == "O" and not (
        all(isinstance(one, str) for one in labels)
        or all(isinstance(one, (numbers.Integral, np.bool_)) for one in labels)
    ):
        raise ValueError(
            "Unknown label type: unknown. y holds objects, and classes must be all strings or all integers: convert them, such "
            "as with y.astype(str)"
        )
    elif labels.dtype.kind not in "biuUSOf":
        raise ValueError(f"Unknown label type: {labels.dtype}. Classes must be integers, strings or booleans")
    return labels


def is_array_like(value: Any) -> bool:
    """Return whether `value` is meant as an array, and not as a name or a number."""
    return hasattr(value, "__len__") and not isinstance(value, (str, bytes)) and np.ndim(value) > 0


def check_mask(name: str, value: Any, n_samples: int) -> NDArray[np.bool_]:
    """Return a mask (n_samples,) of True and False."""
    _check_dense(value, name)
    array = np.asarray(value)
    if array.dtype != np.bool_ or array.shape != (n_samples,):
        raise ValueError(
            f"{name} must be True, False or an array of these, of the shape ({n_samples},), one for each sample of X, got "
            f"{array.dtype} of the shape {array.shape}: for labels that say -1, pass labels == -1"
        )
    return array


def check_groups(name: str, value: Any, n_samples: int, k: int) -> NDArray:
    """Return labels (n_samples,), integers 0..k-1, or responsibilities (n_samples, k), not negative, rows adding up to 1.

    Without a copy if possible. Whether every component has samples is not checked.
    """
    _check_dense(value, name)
    array = np.asarray(value)
    if array.dtype.kind in "USO" and array.ndim == 1:
        raise ValueError(
            f"{name} as an array of labels must hold integers 0 to n_components - 1, got {name}[0] = {array[0]!r}: "
            "numpy.unique(..., return_inverse=True) numbers other labels"
        )
    if array.ndim not in (1, 2) or len(array) != n_samples or array.shape[1:] not in ((), (k,)):
        raise ValueError(
            f"{name} as an array must have the shape ({n_samples},), a label for each sample of X, or ({n_samples}, {k}), a "
            f"responsibility for each sample and component, got {array.shape}"
        )
    return _check_labels(name, array, k) if array.ndim == 1 else _check_resp(name, as_numbers(array, name))


def _check_labels(name: str, labels: NDArray, k: int) -> NDArray:
    if labels.dtype.kind not in "iu":
        raise ValueError(
            f"{name} as an array of labels must hold integers, got dtype {labels.dtype}: pass {name}.astype(int), or "
            "responsibilities of the shape (n_samples, n_components)"
        )
    for i in (int(labels.argmin()), int(labels.argmax())):
        if not 0 <= labels[i] < k:
            raise ValueError(
                f"{name} as an array of labels must be within 0 to n_components - 1 = {k - 1}, got {name}[{i}] = {labels[i]}: "
                "numpy.unique(..., return_inverse=True) numbers labels; a sample that has none needs responsibilities"
            )
    return labels


def _check_resp(name: str, resp: NDArray) -> NDArray:
    _check_finite(resp, name)
    i, j = divmod(int(resp.argmin()), resp.shape[1])
    if resp[i, j] < 0:
        raise ValueError(f"{name} must not be negative, got {name}[{i}, {j}] = {resp[i, j]}: it holds probabilities")
    off = np.abs(resp.sum(axis=1, dtype=np.float64) - 1.0)
    i = int(off.argmax())
    if off[i] > 1e-5:  # more than the sum of a row of float32 may be off by
        raise ValueError(
            f"{name} must have rows that add up to 1, but row {i} adds up to {resp[i].sum(dtype=np.float64):.8g}: divide each "
            "row by its sum"
        )
    return resp

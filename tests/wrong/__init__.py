"""The table of wrong inputs: what is called with what, the error that it gets, and what the message says.

A row is ``(label, make, error, message)``. `make` returns a `functools.partial`, the call that is wrong, so that whatever is
passed can be compared before and after; it is made in a folder with the files of `files.write`. `message` is a regular
expression.
"""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd

from fastgmm import GaussianMixture, cli

Row = tuple[str, Callable[[], partial], Any, str]


def blobs(n: int = 60, d: int = 2, k: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 3.0 * rng.normal(size=(k, d))[np.arange(n) % k] + rng.normal(size=(n, d))


def with_value(value: Any, row: int = 4, column: int = 1) -> np.ndarray:
    X = blobs()
    X[row, column] = value
    return X


X = blobs()
X.flags.writeable = False
FRAME = pd.DataFrame(X, columns=["a", "b"])
EYES = np.stack([np.eye(2)] * 2)
INDEFINITE = np.array([np.eye(2), [[1.0, 2.0], [2.0, 1.0]]])
ASYMMETRIC = np.array([[[1.0, 0.5], [0.1, 1.0]], np.eye(2)])
ONE = {"weights": [1.0], "means": [[0.0, 0.0]], "covariances": np.eye(2)[None]}
TWO = {"weights": [0.5, 0.5], "means": [[0.0, 0.0], [1.0, 1.0]], "covariances": EYES}


@cache
def _fitted(named: bool) -> GaussianMixture:
    return GaussianMixture(2, random_state=0).fit(FRAME if named else X)


def fitted(data: Any = FRAME) -> GaussianMixture:
    """A fitted model, of a data frame or of an array."""
    return copy.deepcopy(_fitted(data is FRAME))


def fit(data: Any, options: dict[str, Any] | None = None, **arguments: Any) -> partial:
    """`fit` of a new model of two components."""
    return partial(GaussianMixture(**{"n_components": 2, **arguments}).fit, data, **(options or {}))


class Refused(Exception):
    """Return the output of a command that ended with status 2."""


def command(*argv: str) -> None:
    """Run the command line; Refused where it prints one line on standard error and ends with status 2."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main(argv)
    text = err.getvalue()
    assert (status, out.getvalue()) == (2, ""), (status, out.getvalue(), text)
    assert text.startswith("fastgmm: error: "), text
    assert text.count("\n") == 1, text
    raise Refused(text)

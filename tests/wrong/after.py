"""Wrong calls of what follows from a fitted mixture, and of estimators that are made of mixtures."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import fastgmm
from fastgmm import GaussianMixture, GaussianMixtureRegressor

from . import FRAME, Row, X, blobs, fitted, with_value

Y = np.arange(60.0)


def one_feature() -> GaussianMixture:
    return fitted(X).marginal(0)


def turned_noise() -> GaussianMixture:
    """A mixture with noise in a box along principal components."""
    rng = np.random.default_rng(0)
    data = rng.normal(size=(200, 2)) @ [[5.0, 4.9], [0.0, 0.3]]
    return GaussianMixture(1, noise=True, random_state=0).fit(np.vstack([data, rng.uniform(-6, 6, size=(20, 2))]))


def regress(data: Any = X, y: Any = Y, **options: Any) -> partial:
    return partial(GaussianMixtureRegressor(**options).fit, data, y)


DERIVED: list[Row] = [
    ("marginal: unknown name", lambda: partial(fitted().marginal, "z"), ValueError, "feature must be one of 'a', 'b'"),
    ("marginal: name without names", lambda: partial(fitted(X).marginal, "a"), ValueError, "no feature names.*index"),
    ("marginal: index too large", lambda: partial(fitted(X).marginal, [0, 2]), ValueError, "must be below 2, got 2"),
    ("marginal: twice", lambda: partial(fitted(X).marginal, [1, 1]), ValueError, "different features"),
    ("marginal: none", lambda: partial(fitted(X).marginal, []), ValueError, "one or more different features"),
    ("marginal: a number", lambda: partial(fitted(X).marginal, 0.5), TypeError, "must be an index or a name"),
    ("marginal: not fitted", lambda: partial(GaussianMixture().marginal, 0), ValueError, "not fitted yet.*Call 'fit'"),
    (
        "marginal: turned noise",
        lambda: partial(turned_noise().marginal, 0),
        ValueError,
        "principal components.*noise=False",
    ),
    (
        "condition: all given",
        lambda: partial(fitted(X).condition, [0, 1], [0, 1]),
        ValueError,
        "leaves no feature.*score_samples",
    ),
    (
        "condition: values too many",
        lambda: partial(fitted(X).condition, 0, [1.0, 2.0]),
        ValueError,
        r"must have the shape \(1,\)",
    ),
    ("condition: NaN", lambda: partial(fitted(X).condition, 0, np.nan), ValueError, "values contains NaN"),
    ("condition: text", lambda: partial(fitted(X).condition, 0, "a"), ValueError, "values must hold numbers"),
    (
        "condition: density 0",
        lambda: partial(fitted(X).condition, 0, 1e200),
        ValueError,
        "density is 0.*there is no mixture|leave",
    ),
    (
        "cdf: two features",
        lambda: partial(fastgmm.cdf, fitted(X), 0.0),
        ValueError,
        r"one feature.*pass model.marginal",
    ),
    ("cdf: no model", lambda: partial(fastgmm.cdf, 1, 0.0), TypeError, "must be a fitted mixture, got a int"),
    (
        "cdf: NaN",
        lambda: partial(fastgmm.cdf, one_feature(), [0.0, np.nan]),
        ValueError,
        r"x contains NaN.*\[1\].*leave it out",
    ),
    (
        "quantile: percent",
        lambda: partial(fastgmm.quantile, one_feature(), [0.5, 95]),
        ValueError,
        "within 0 and 1, got 95",
    ),
    ("quantile: two features", lambda: partial(fastgmm.quantile, fitted(X), 0.5), ValueError, "the model has 2"),
]

REGRESSOR: list[Row] = [
    ("regressor: no y", lambda: regress(y=None), ValueError, "requires y to be passed"),
    ("regressor: y too short", lambda: regress(y=Y[:-1]), ValueError, r"y must have the shape \(60,\)"),
    ("regressor: y of three axes", lambda: regress(y=np.zeros((60, 1, 1))), ValueError, "y must have the shape"),
    ("regressor: y NaN", lambda: regress(y=np.where(Y == 3, np.nan, Y)), ValueError, r"Input y contains NaN: y\[3\]"),
    ("regressor: X inf", lambda: regress(data=with_value(np.inf)), ValueError, "Input X contains infinity"),
    ("regressor: structure", lambda: regress(covariance_type="fulll"), ValueError, "did you mean 'full'"),
    (
        "regressor: components",
        lambda: regress(n_components=0),
        ValueError,
        "n_components must be an integer of at least 1",
    ),
    (
        "regressor: return_std",
        lambda: partial(regress()().predict, X, return_std="yes"),
        TypeError,
        "return_std must be True or False",
    ),
    ("regressor: features", lambda: partial(regress()().predict, blobs(d=3)), ValueError, "X has 3 features"),
    ("regressor: not fitted", lambda: partial(GaussianMixtureRegressor().predict, X), ValueError, "not fitted yet"),
    (
        "regressor: score",
        lambda: partial(regress()().score, X, np.zeros((60, 2))),
        ValueError,
        "that of the predictions",
    ),
    (
        "from_mixture: all",
        lambda: partial(GaussianMixtureRegressor.from_mixture, fitted(), ["a", "b"]),
        ValueError,
        "leaves none to predict from",
    ),
    (
        "from_mixture: no mixture",
        lambda: partial(GaussianMixtureRegressor.from_mixture, FRAME, "a"),
        TypeError,
        "must be a fitted GaussianMixture",
    ),
    (
        "from_mixture: name",
        lambda: partial(GaussianMixtureRegressor.from_mixture, fitted(), "c"),
        ValueError,
        "feature must be one of",
    ),
]

ROWS: list[Row] = [*DERIVED, *REGRESSOR]

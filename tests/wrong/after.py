"""Wrong calls of what follows from a fitted mixture, and of estimators that are made of mixtures."""

from __future__ import annotations

from functools import partial
from typing import Any

import dask.array as da
import numpy as np

import fastgmm
from fastgmm import (
    GaussianMixture,
    GaussianMixtureClassifier,
    GaussianMixtureOutlierDetector,
    GaussianMixtureRegressor,
)

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
        "density is 0.*no conditional mixture exists|leave",
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

L = np.arange(60) % 3


def classify(data: Any = X, y: Any = L, **options: Any) -> partial:
    return partial(GaussianMixtureClassifier(**options).fit, data, y)


CLASSIFIER: list[Row] = [
    ("classifier: no y", lambda: classify(y=None), ValueError, "requires y to be passed"),
    ("classifier: y too short", lambda: classify(y=L[:-1]), ValueError, r"y must have the shape \(60,\)"),
    ("classifier: continuous", lambda: classify(y=L + 0.5), ValueError, "Unknown label type: continuous.*Regressor"),
    (
        "classifier: mixed labels",
        lambda: classify(y=np.array([1, "a"] * 30, object)),
        ValueError,
        "all strings or all integers",
    ),
    ("classifier: NaN label", lambda: classify(y=np.where(L == 1, np.nan, L)), ValueError, "Input y contains NaN"),
    ("classifier: dates", lambda: classify(y=L.astype("M8[D]")), ValueError, "Classes must be integers"),
    (
        "classifier: EDDA of two",
        lambda: classify(n_components=2),
        ValueError,
        "EDDA has one component.*method='mclustda'",
    ),
    ("classifier: method", lambda: classify(method="mclust"), ValueError, "did you mean 'mclustda'"),
    ("classifier: criterion", lambda: classify(criterion="aic"), ValueError, "criterion must be one of 'bic', 'cv'"),
    ("classifier: folds", lambda: classify(n_folds=1), ValueError, "n_folds must be an integer of at least 2"),
    ("classifier: priors", lambda: classify(priors=[0.5, 0.5]), ValueError, "'priors' should have the shape"),
    ("classifier: priors' sum", lambda: classify(priors=[0.5, 0.5, 0.5]), ValueError, "divide by the sum"),
    (
        "classifier: structure",
        lambda: classify(covariance_type=["VVV", "VVW"]),
        ValueError,
        "covariance_type must be one of",
    ),
    ("classifier: no structure", lambda: classify(covariance_type=[]), ValueError, "must be the name of a structure"),
    ("classifier: one feature", lambda: classify(covariance_type="E"), ValueError, "is for data of one feature"),
    (
        "classifier: no number",
        lambda: classify(n_components=[], method="mclustda"),
        ValueError,
        "n_components is empty: pass",
    ),
    (
        "classifier: dict",
        lambda: classify(n_components={0: 1, 1: 2}, method="mclustda"),
        ValueError,
        "dict without the class 2",
    ),
    (
        "classifier: cv of a dict",
        lambda: classify(n_components={0: [1, 2], 1: 1, 2: 1}, method="mclustda", criterion="cv"),
        ValueError,
        "pass lists instead of dicts",
    ),
    (
        "classifier: too many",
        lambda: classify(n_components=21, method="mclustda"),
        ValueError,
        "n_samples >= n_components",
    ),
    ("classifier: features", lambda: partial(classify()().predict, blobs(d=3)), ValueError, "X has 3 features"),
    (
        "classifier: not fitted",
        lambda: partial(GaussianMixtureClassifier().predict_proba, X),
        ValueError,
        "not fitted yet",
    ),
]


def detect(data: Any = X, **options: Any) -> partial:
    return partial(GaussianMixtureOutlierDetector(**options).fit, data)


DETECTOR: list[Row] = [
    ("detector: contamination 0", lambda: detect(contamination=0.0), ValueError, "above 0 and at most 0.5"),
    ("detector: contamination a percentage", lambda: detect(contamination=5), ValueError, "above 0 and at most 0.5"),
    ("detector: tail", lambda: detect(tail=1.0), ValueError, "above 0 and below 1"),
    ("detector: text", lambda: detect(tail="auto"), TypeError, "tail must be a number"),
    ("detector: NaN", lambda: detect(data=with_value(np.nan)), ValueError, "Input X contains NaN"),
    (
        "detector: not fitted",
        lambda: partial(GaussianMixtureOutlierDetector().predict, X),
        ValueError,
        "not fitted yet",
    ),
    ("detector: features", lambda: partial(detect()().predict, blobs(d=3)), ValueError, "X has 3 features"),
]


def merged() -> Any:
    return fastgmm.merge(fitted(X), X)


MERGING: list[Row] = [
    (
        "merge: no model",
        lambda: partial(fastgmm.merge, X, X),
        TypeError,
        "model must be a fitted mixture, got a ndarray",
    ),
    ("merge: not fitted", lambda: partial(fastgmm.merge, GaussianMixture(), X), ValueError, "not fitted yet"),
    ("merge: features", lambda: partial(fastgmm.merge, fitted(X), blobs(d=3)), ValueError, "X has 3 features"),
    (
        "merge: no elbow",
        lambda: partial(merged().predict, X),
        ValueError,
        "2 components have no elbow: pass n_clusters",
    ),
    ("merge: too many", lambda: partial(merged().groups, 3), ValueError, "more than the 2 components.*pass at most 2"),
    ("merge: none", lambda: partial(merged().groups, 0), ValueError, "n_clusters must be an integer of at least 1"),
]


def resample(model: Any = None, data: Any = X, *args: Any, **options: Any) -> partial:
    return partial(fastgmm.bootstrap, fitted(X) if model is None else model, data, *args, **options)


RESAMPLING: list[Row] = [
    ("bootstrap: no model", lambda: resample(model=X), TypeError, "must be a fitted GaussianMixture, got a ndarray"),
    ("bootstrap: not fitted", lambda: resample(model=GaussianMixture()), ValueError, "not fitted yet"),
    ("bootstrap: features", lambda: resample(data=blobs(d=3)), ValueError, "X has 3 features"),
    ("bootstrap: one", lambda: resample(None, X, 1), ValueError, "n_resamples must be an integer of at least 2"),
    ("bootstrap: method", lambda: resample(method="jackknife"), ValueError, "method must be one of 'weighted'"),
    ("bootstrap: level", lambda: resample(confidence_level=95), ValueError, "above 0 and at most 1"),
    ("bootstrap: level 1", lambda: resample(confidence_level=1), ValueError, "pass 0.95"),
    (
        "bootstrap: chunks",
        lambda: resample(data=da.from_array(X, chunks=(30, 2)), n_resamples=2),
        TypeError,
        "in memory: pass an array",
    ),
    ("bootstrap: progress", lambda: resample(progress=1), TypeError, "progress must be True or False"),
]


def ratio(*args: Any, data: Any = X, **options: Any) -> partial:
    return partial(fastgmm.likelihood_ratio_test, data, *args, **options)


TESTS: list[Row] = [
    ("ratio: none", lambda: ratio(0), ValueError, "n_components must be an integer of at least 1"),
    ("ratio: descending", lambda: ratio([2, 1]), ValueError, "several ascending ones"),
    ("ratio: structure", lambda: ratio(2, "VVW"), ValueError, "covariance_type must be one of"),
    ("ratio: no samples", lambda: ratio(2, "VVV", 0), ValueError, "n_resamples must be an integer of at least 1"),
    ("ratio: level", lambda: ratio(2, level=0.0), ValueError, "level must be a number above 0"),
    ("ratio: NaN", lambda: ratio(2, data=with_value(np.nan)), ValueError, "Input X contains NaN"),
]

ROWS: list[Row] = [*DERIVED, *REGRESSOR, *CLASSIFIER, *DETECTOR, *MERGING, *RESAMPLING, *TESTS]

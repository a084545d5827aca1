"""Wrong calls of what is fitted, of the plain functions, of `select` and of the pictures."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np
import pytest

import fastgmm
from fastgmm import GaussianMixture
from fastgmm import functional as F
from fastgmm.datasets import make_mixture
from fastgmm.model.structures import MCLUST_NAMES, STRUCTURES
from fastgmm.selection import Selection

from . import ASYMMETRIC, EYES, FRAME, INDEFINITE, ONE, TWO, Row, X, blobs, fitted, with_value

BUILD = GaussianMixture.from_parameters
VARIANCES = np.array([[1.0, 2.0], [3.0, 0.5]])


def build(**changed: Any) -> partial:
    return partial(BUILD, **{**TWO, **changed})


def step(**changed: Any) -> partial:
    return partial(F.em_step, **{"X": X, **TWO, **changed})


def select(*args: Any, **options: Any) -> partial:
    return partial(fastgmm.select, X, *args, **options)


@cache
def found() -> Selection:
    return fastgmm.select(X, [1, 2], ["EII", "VVV"], random_state=0)


def not_of(name: str) -> partial:
    """`from_parameters` with covariances that no other restriction than that of the layout holds for."""
    rng = np.random.default_rng(0)
    layout = STRUCTURES[name].layout.name
    if layout == "full":
        A = rng.normal(size=(2, 2, 2))
        covariances = A @ np.swapaxes(A, 1, 2) + 0.1 * np.eye(2)
    else:
        covariances = {"diag": VARIANCES, "spherical": np.array([1.0, 2.0])}[layout]
    return build(covariances=covariances, covariance_type=name)


def mixture_plot(model: Any = None, data: Any = None, **options: Any) -> partial:
    pytest.importorskip("matplotlib")
    from fastgmm import plotting

    options.setdefault("ax", figure())
    return partial(plotting.plot_mixture, fitted(X) if model is None else model, data, **options)


def figure(axes: int = 0) -> Any:
    from matplotlib.figure import Figure

    made = Figure()
    for i in range(axes):
        made.add_subplot(1, axes, i + 1)
    return made


def criterion_plot(selection: Any = None, **options: Any) -> partial:
    pytest.importorskip("matplotlib")
    from fastgmm import plotting

    return partial(plotting.plot_criterion, found() if selection is None else selection, ax=figure(), **options)


def convergence_plot(models: Any, **options: Any) -> partial:
    pytest.importorskip("matplotlib")
    from fastgmm import plotting

    return partial(plotting.plot_convergence, models, ax=figure(), **options)


def dask_array(array: np.ndarray = X, **options: Any) -> Any:
    return pytest.importorskip("dask.array").from_array(array, **{"chunks": (20, *array.shape[1:]), **options})


def restricted() -> list[str]:
    """Structures that from_parameters can find covariances not to be of, in their layout."""
    return [name for name in MCLUST_NAMES if not STRUCTURES[name].basic and name != "EEE"]


ROWS: list[Row] = [
    (
        "predict before fit",
        lambda: partial(GaussianMixture().predict, X),
        fastgmm.NotFittedError,
        r"GaussianMixture.*Call 'fit'",
    ),
    ("score before fit", lambda: partial(GaussianMixture().score, X), fastgmm.NotFittedError, r"not fitted yet"),
    ("bic before fit", lambda: partial(GaussianMixture().bic, X), fastgmm.NotFittedError, r"not fitted yet"),
    ("sample before fit", lambda: partial(GaussianMixture().sample), fastgmm.NotFittedError, r"not fitted yet"),
    (
        "predict before fit, wrong X",
        lambda: partial(GaussianMixture().predict, "x"),
        fastgmm.NotFittedError,
        r"not fitted yet",
    ),
    ("save before fit", lambda: partial(GaussianMixture().save, "x.npz"), fastgmm.NotFittedError, r"not fitted"),
    (
        "predict for more features",
        lambda: partial(fitted(X).predict, np.zeros((4, 3))),
        ValueError,
        r"X has 3 features, but Gau.*2",
    ),
    (
        "predict for fewer features",
        lambda: partial(fitted(X).predict, X[:, :1]),
        ValueError,
        r"X has 1 features.*expecting 2",
    ),
    ("predict for NaN", lambda: partial(fitted(X).predict, with_value(np.nan)), ValueError, r"NaN: X\[4, 1\]"),
    (
        "predict for one row",
        lambda: partial(fitted(X).predict, X[0]),
        ValueError,
        r"X\.reshape\(1, -1\) if it is a single sample",
    ),
    ("predict for no row", lambda: partial(fitted(X).predict, X[:0]), ValueError, r"X has 0 sample\(s\).*minimum of 1"),
    (
        "other names",
        lambda: partial(fitted().predict, FRAME.rename(columns={"b": "z"})),
        ValueError,
        r"unseen.*\n- z\n.*missing:\n- b",
    ),
    ("names in another order", lambda: partial(fitted().score, FRAME[["b", "a"]]), ValueError, r"names.*same order"),
    ("sample none", lambda: partial(fitted().sample, 0), ValueError, r"n_samples must be an integer of at least 1"),
    ("sample half", lambda: partial(fitted().sample, 2.5), TypeError, r"n_samples must be an integer"),
    (
        "n_threads=0 in predict",
        lambda: partial(fitted(X).set_params(n_threads=0).predict, X),
        ValueError,
        r"n_threads must be",
    ),
    (
        "warm start with other k",
        lambda: partial(fitted(X).set_params(warm_start=True, n_components=3).fit, X),
        ValueError,
        r"warm_start=True resumes.*n_components=3",
    ),
    (
        "warm start with other type",
        lambda: partial(fitted(X).set_params(warm_start=True, covariance_type="diag").fit, X),
        ValueError,
        r"warm_start=True resumes.*covariance_type='diag'",
    ),
    (
        "warm start with other d",
        lambda: partial(fitted(X).set_params(warm_start=True).fit, blobs(d=3)),
        ValueError,
        r"warm_start=True resumes.*3 features",
    ),
    (
        "parameters: weights",
        lambda: partial(BUILD, **{**ONE, "weights": [0.9]}),
        ValueError,
        r"'weights'.*sum\(weights\) = 0\.9",
    ),
    (
        "parameters: no component",
        lambda: partial(BUILD, [], [], []),
        ValueError,
        r"means must have the shape.*got \(0,\)",
    ),
    (
        "parameters: 1-D means",
        lambda: partial(BUILD, **{**ONE, "means": [0.0, 0.0]}),
        ValueError,
        r"means must have the shape",
    ),
    (
        "parameters: NaN means",
        lambda: partial(BUILD, **{**ONE, "means": [[np.nan, 0]]}),
        ValueError,
        r"means contains NaN",
    ),
    (
        "parameters: covariances",
        lambda: partial(BUILD, **{**TWO, "covariances": INDEFINITE}),
        ValueError,
        r"covariances\[1\].*-1",
    ),
    (
        "parameters: asymmetric",
        lambda: partial(BUILD, **{**TWO, "covariances": ASYMMETRIC}),
        ValueError,
        r"covariances\[0\].*symmetric",
    ),
    (
        "parameters: shape",
        lambda: partial(BUILD, **{**TWO, "covariances": np.eye(2)}),
        ValueError,
        r"'covariances'.*\(2, 2, 2\)",
    ),
    ("parameters: type", lambda: partial(BUILD, **TWO, covariance_type="tie"), ValueError, r"did you mean 'tied'"),
    (
        "log_density: NaN",
        lambda: partial(F.log_density, with_value(np.nan), [[0, 0]], [np.eye(2)]),
        ValueError,
        r"NaN: X\[4, 1\]",
    ),
    (
        "log_density: features",
        lambda: partial(F.log_density, X, [[0.0]], [[[1.0]]]),
        ValueError,
        r"X has 2 features, but means",
    ),
    (
        "log_density: 1-D means",
        lambda: partial(F.log_density, X, [0.0, 0.0], [np.eye(2)]),
        ValueError,
        r"means must have the shape",
    ),
    (
        "log_density: a number",
        lambda: partial(F.log_density, X, 0.0, [np.eye(2)]),
        ValueError,
        r"means must have the shape",
    ),
    (
        "log_density: shape",
        lambda: partial(F.log_density, X, [[0, 0]], np.eye(2)),
        ValueError,
        r"'covariances'.*\(1, 2, 2\)",
    ),
    (
        "log_density: type",
        lambda: partial(F.log_density, X, [[0, 0]], 1.0, covariance_type="sphere"),
        ValueError,
        r"'spherical'\?",
    ),
    (
        "log_density: n_threads",
        lambda: partial(F.log_density, X, [[0, 0]], [np.eye(2)], n_threads=-1),
        ValueError,
        r"n_threads",
    ),
    (
        "log_prob: weights",
        lambda: partial(F.log_prob, X, [0.5, 0.6], TWO["means"], EYES),
        ValueError,
        r"sum\(weights\) = 1\.1",
    ),
    (
        "log_prob: k of weights",
        lambda: partial(F.log_prob, X, [1.0], TWO["means"], EYES),
        ValueError,
        r"'weights'.*got \(1,\)",
    ),
    (
        "responsibilities: weights",
        lambda: partial(F.responsibilities, X, [2, -1], TWO["means"], EYES),
        ValueError,
        r"\[0, 1\]",
    ),
    ("em_step: reg_covar", lambda: partial(F.em_step, X, **TWO, reg_covar=-1), ValueError, r"reg_covar must be"),
    ("em_step: X", lambda: partial(F.em_step, X[0], **TWO), ValueError, r"X must be two-dimensional"),
    (
        "statistics: rows",
        lambda: partial(F.sufficient_statistics, X, np.ones((3, 2))),
        ValueError,
        r"resp has 3 rows.*60 samples",
    ),
    (
        "statistics: 1-D",
        lambda: partial(F.sufficient_statistics, X, np.ones(60)),
        ValueError,
        r"resp must be two-dimensional",
    ),
    (
        "statistics: negative",
        lambda: partial(
            F.sufficient_statistics, X, np.abs(blobs()) * np.where(np.arange(120).reshape(60, 2) == 15, -1, 1)
        ),
        ValueError,
        r"resp must not be negative, got resp\[7, 1\] = -",
    ),
    (
        "statistics: NaN",
        lambda: partial(F.sufficient_statistics, X, with_value(np.nan)),
        ValueError,
        r"resp contains NaN: resp\[4, 1\]",
    ),
    (
        "statistics: origin",
        lambda: partial(F.sufficient_statistics, X, np.ones((60, 3)), origin=np.zeros(2)),
        ValueError,
        r"'origin'.*\(3, 2\).*got \(2,\)",
    ),
    (
        "statistics: type",
        lambda: partial(F.sufficient_statistics, X, X**2, covariance_type="x"),
        ValueError,
        r"covariance_type must be",
    ),
    ("kmeans: too many", lambda: partial(F.kmeans, X, 61), ValueError, r"n_clusters=61 is more than the 60 samples"),
    ("kmeans: none", lambda: partial(F.kmeans, X, 0), ValueError, r"n_clusters must be an integer of at least 1"),
    (
        "kmeans: init",
        lambda: partial(F.kmeans, X, 3, init=np.zeros((2, 2))),
        ValueError,
        r"'init'.*\(3, 2\).*got \(2, 2\)",
    ),
    (
        "kmeans: NaN init",
        lambda: partial(F.kmeans, X, 1, init=[[0, np.nan]]),
        ValueError,
        r"init contains NaN: init\[0, 1\]",
    ),
    (
        "kmeans: max_iter",
        lambda: partial(F.kmeans, X, 2, max_iter=0),
        ValueError,
        r"max_iter must be an integer of at least 1",
    ),
    ("kmeans: tol", lambda: partial(F.kmeans, X, 2, tol=-1), ValueError, r"tol must be"),
    ("kmeans: random_state", lambda: partial(F.kmeans, X, 2, random_state="a"), ValueError, r"random_state must be"),
    ("kmeans++: too many", lambda: partial(F.kmeans_plusplus, X, 61), ValueError, r"n_clusters=61 is more"),
    ("kmeans++: a float", lambda: partial(F.kmeans_plusplus, X, 2.0), TypeError, r"n_clusters must be an integer"),
    (
        "kmeans++: trials",
        lambda: partial(F.kmeans_plusplus, X, 2, n_local_trials=0),
        ValueError,
        r"n_local_trials must be",
    ),
    (
        "predict_proba before fit",
        lambda: partial(GaussianMixture().predict_proba, X),
        fastgmm.NotFittedError,
        r"Call 'fit'",
    ),
    (
        "score_samples before fit",
        lambda: partial(GaussianMixture().score_samples, X),
        fastgmm.NotFittedError,
        r"Call 'fit'",
    ),
    ("icl before fit", lambda: partial(GaussianMixture().icl, X), fastgmm.NotFittedError, r"Call 'fit'"),
    ("aic before fit", lambda: partial(GaussianMixture().aic, X), fastgmm.NotFittedError, r"Call 'fit'"),
    ("predict nothing", lambda: partial(fitted(X).predict, None), TypeError, r"X is None, a NoneType.*pass an array"),
    ("predict a file that is not there", lambda: partial(fitted(X).predict, "no.npy"), FileNotFoundError, r"no\.npy"),
    (
        "predict a file of other columns",
        lambda: partial(fitted(X).predict, "wide.npy"),
        ValueError,
        r"X has 3 features.*pass",
    ),
    (
        "predict_proba of infinity",
        lambda: partial(fitted(X).predict_proba, with_value(np.inf)),
        ValueError,
        r"X\[4, 1\] is inf",
    ),
    (
        "score_samples of words",
        lambda: partial(fitted(X).score_samples, [["a", "b"]]),
        ValueError,
        r"X must hold numbers",
    ),
    (
        "score: weights",
        lambda: partial(fitted(X).score, X, sample_weight=np.ones(3)),
        ValueError,
        r"shape \(60,\).*got \(3,\)",
    ),
    (
        "bic: negative weights",
        lambda: partial(fitted(X).bic, X, -np.ones(60)),
        ValueError,
        r"sample_weight must not be negative",
    ),
    (
        "aic: no weight",
        lambda: partial(fitted(X).aic, X, np.zeros(60)),
        ValueError,
        r"sample_weight is zero for all samples",
    ),
    (
        "icl: NaN weights",
        lambda: partial(fitted(X).icl, X, np.full(60, np.nan)),
        ValueError,
        r"NaN: sample_weight\[0\]",
    ),
    ("icl: other features", lambda: partial(fitted(X).icl, blobs(d=3)), ValueError, r"X has 3 features"),
    ("icl: one row", lambda: partial(fitted(X).icl, X[0]), ValueError, r"X must be two-dimensional"),
    (
        "sample -1",
        lambda: partial(fitted(X).sample, -1),
        ValueError,
        r"n_samples must be an integer of at least 1, got n_sam",
    ),
    (
        "sample '3'",
        lambda: partial(fitted(X).sample, "3"),
        TypeError,
        r"n_samples must be an integer of at least 1, got '3'",
    ),
    (
        "sample True",
        lambda: partial(fitted(X).sample, True),
        TypeError,
        r"n_samples must be an integer of at least 1, got True",
    ),
    (
        "sample with a wrong random_state",
        lambda: partial(fitted(X).set_params(random_state="x").sample),
        ValueError,
        r"random_state must be None, an integer.*'x' of type str",
    ),
    # known parameters
    (
        "build: weights of another k",
        lambda: build(weights=[1.0]),
        ValueError,
        r"'weights'.*shape of \(2,\).*got \(1,\)",
    ),
    (
        "build: negative weights",
        lambda: build(weights=[1.5, -0.5]),
        ValueError,
        r"'weights'.*range \[0, 1\].*min value -0\.5",
    ),
    ("build: NaN weights", lambda: build(weights=[np.nan, 1]), ValueError, r"weights contains NaN: weights\[0\]"),
    ("build: no weights", lambda: build(weights=None), TypeError, r"weights is None"),
    (
        "build: words as means",
        lambda: build(means=[["a", "b"]] * 2),
        ValueError,
        r"means must hold numbers, got dtype <U1",
    ),
    ("build: complex means", lambda: build(means=[[1j, 0.0]] * 2), ValueError, r"Complex data not supported: means"),
    (
        "build: ragged means",
        lambda: build(means=[[1.0, 2.0], [3.0]]),
        ValueError,
        r"means cannot be made into an array",
    ),
    (
        "build: means too large",
        lambda: build(means=np.full((2, 2), 1e200)),
        ValueError,
        r"means has values of.*scale the",
    ),
    ("build: no means", lambda: build(means=None), TypeError, r"means is None"),
    (
        "build: means without features",
        lambda: build(means=np.empty((2, 0))),
        ValueError,
        r"means must have the shape.*\(2, 0\)",
    ),
    (
        "build: 3-D means",
        lambda: build(means=np.zeros((2, 2, 1))),
        ValueError,
        r"means must have the shape \(n_components",
    ),
    (
        "build: infinite covariances",
        lambda: build(covariances=np.full((2, 2, 2), np.inf)),
        ValueError,
        r"covariances contains (NaN|inf)",
    ),
    (
        "build: zero covariances",
        lambda: build(covariances=EYES * 0),
        ValueError,
        r"covariances\[0\].*smallest eigenvalue is 0",
    ),
    (
        "build: covariances too small",
        lambda: build(covariances=EYES * 1e-320),
        ValueError,
        r"covariances.*so small.*scale",
    ),
    ("build: no covariances", lambda: build(covariances=None), TypeError, r"covariances is None"),
    ("build: type", lambda: build(covariance_type="vvv"), ValueError, r"got 'vvv'; did you mean 'VVV'"),
    (
        "build: E for two features",
        lambda: build(covariances=[1.0, 1.0], covariance_type="E"),
        ValueError,
        r"'E' is for data of",
    ),
    (
        "build: a matrix for diag",
        lambda: build(covariances=EYES, covariance_type="diag"),
        ValueError,
        r"\(2, 2\).*got \(2, 2, 2\)",
    ),
    (
        "build: a variance of zero",
        lambda: build(covariances=[[1, 1], [0, 1]], covariance_type="diag"),
        ValueError,
        r"covariances should be positive, got covariances\[1, 0\] = 0",
    ),
    (
        "build: a column for spherical",
        lambda: build(covariances=[[1], [1]], covariance_type="spherical"),
        ValueError,
        r"got \(2, 1\)",
    ),
    (
        "build: a negative variance",
        lambda: build(covariances=[1, -1], covariance_type="EII"),
        ValueError,
        r"covariances should be positive, got covariances\[1\] = -1",
    ),
    (
        "build: matrices for EEE",
        lambda: build(covariances=EYES, covariance_type="EEE"),
        ValueError,
        r"\(2, 2\), \(n_features, n_features\) for covariance_type='EEE', but got \(2, 2, 2\)",
    ),
    *[
        (
            f"build: covariances that are not {name}",
            partial(not_of, name),
            ValueError,
            rf"covariances do not have the structure '{name}'.*pass covariance_type=",
        )
        for name in restricted()
    ],
    # plain functions
    (
        "log_density: E",
        lambda: partial(F.log_density, X, [[0, 0]], [1.0], covariance_type="E"),
        ValueError,
        r"'E' is for data of one",
    ),
    ("log_density: nothing", lambda: partial(F.log_density, None, [[0, 0]], [np.eye(2)]), TypeError, r"X is None"),
    (
        "log_density: a path",
        lambda: partial(F.log_density, "data.npy", [[0, 0]], [np.eye(2)]),
        ValueError,
        r"X must hold numbers",
    ),
    (
        "log_density: words",
        lambda: partial(F.log_density, X, [["a", "b"]], EYES[:1]),
        ValueError,
        r"means must hold numbers",
    ),
    (
        "log_density: complex",
        lambda: partial(F.log_density, X, [[1j, 0.0]], EYES[:1]),
        ValueError,
        r"Complex data.*means",
    ),
    (
        "log_density: ragged",
        lambda: partial(F.log_density, X, [[1.0, 2.0], [3.0]], EYES),
        ValueError,
        r"means cannot be made",
    ),
    (
        "log_prob: NaN covariances",
        lambda: partial(F.log_prob, X, [1.0], [[0, 0]], EYES[:1] * np.nan),
        ValueError,
        r"covariances contains",
    ),
    (
        "log_prob: n_threads",
        lambda: partial(F.log_prob, X, [1.0], [[0, 0]], EYES[:1], n_threads="2"),
        TypeError,
        r"n_threads must",
    ),
    (
        "log_prob: no means",
        lambda: partial(F.log_prob, X, [], np.empty((0, 2)), EYES[:0]),
        ValueError,
        r"means must have the shape",
    ),
    (
        "responsibilities: asymmetric",
        lambda: partial(F.responsibilities, X, [0.5, 0.5], TWO["means"], ASYMMETRIC),
        ValueError,
        r"covariances\[0\].*it is not symmetric",
    ),
    (
        "em_step: weights of samples",
        lambda: step(sample_weight=np.ones(3)),
        ValueError,
        r"sample_weight.*\(60,\).*got \(3,\)",
    ),
    (
        "em_step: negative weights of samples",
        lambda: step(sample_weight=-np.ones(60)),
        ValueError,
        r"sample_weight must not be",
    ),
    (
        "em_step: indefinite",
        lambda: step(covariances=INDEFINITE),
        ValueError,
        r"covariances\[1\].*smallest eigenvalue is -1",
    ),
    ("em_step: reg_covar of nan", lambda: step(reg_covar=np.nan), ValueError, r"reg_covar must be a finite number"),
    (
        "em_step: reg_covar of a string",
        lambda: step(reg_covar="0"),
        TypeError,
        r"reg_covar must be a number of at least 0",
    ),
    ("em_step: values too large", lambda: step(X=1e200 * X), ValueError, r"too large|log-likelihood became"),
    (
        "statistics: weights",
        lambda: partial(F.sufficient_statistics, X, np.ones((60, 1)), sample_weight=[1.0]),
        ValueError,
        r"sample_weight",
    ),
    (
        "statistics: no columns",
        lambda: partial(F.sufficient_statistics, X, np.ones((60, 0))),
        ValueError,
        r"resp has 0 feature|resp must",
    ),
    (
        "statistics: NaN origin",
        lambda: partial(F.sufficient_statistics, X, np.ones((60, 1)), origin=[[np.nan, 0]]),
        ValueError,
        r"origin\[0, 0\]",
    ),
    (
        "statistics: words",
        lambda: partial(F.sufficient_statistics, X, [["a"]] * 60),
        ValueError,
        r"resp must hold numbers",
    ),
    ("kmeans: nothing", lambda: partial(F.kmeans, None, 2), TypeError, r"X is None"),
    (
        "kmeans: weights",
        lambda: partial(F.kmeans, X, 2, sample_weight=np.zeros(60)),
        ValueError,
        r"sample_weight is zero",
    ),
    (
        "kmeans: fewer of weight",
        lambda: partial(F.kmeans, X, 3, sample_weight=np.arange(60) < 2),
        ValueError,
        r"n_clusters=3 is more",
    ),
    (
        "kmeans: max_iter of a float",
        lambda: partial(F.kmeans, X, 2, max_iter=2.5),
        TypeError,
        r"max_iter must be an integer",
    ),
    ("kmeans: tol of nan", lambda: partial(F.kmeans, X, 2, tol=np.nan), ValueError, r"tol must be a finite number"),
    ("kmeans: n_threads", lambda: partial(F.kmeans, X, 2, n_threads=0), ValueError, r"n_threads must be an integer"),
    (
        "kmeans: d of init",
        lambda: partial(F.kmeans, X, 2, init=np.zeros((2, 3))),
        ValueError,
        r"'init'.*\(2, 2\).*got \(2, 3\)",
    ),
    (
        "kmeans: a name for init",
        lambda: partial(F.kmeans, X, 2, init="k-means++"),
        ValueError,
        r"init must hold numbers",
    ),
    (
        "kmeans: values too large",
        lambda: partial(F.kmeans, 1e200 * X, 2),
        ValueError,
        r"too large for squared distances",
    ),
    (
        "kmeans++: weights",
        lambda: partial(F.kmeans_plusplus, X, 2, sample_weight=[1]),
        ValueError,
        r"sample_weight must have",
    ),
    (
        "kmeans++: trials of a float",
        lambda: partial(F.kmeans_plusplus, X, 2, n_local_trials=1.5),
        TypeError,
        r"n_local_trials must",
    ),
    (
        "kmeans++: values too large",
        lambda: partial(F.kmeans_plusplus, 1e200 * X, 2),
        ValueError,
        r"too large for squared",
    ),
    # a choice of models
    ("select: NaN", lambda: partial(fastgmm.select, with_value(np.nan)), ValueError, r"NaN: X\[4, 1\]"),
    ("select: one sample", lambda: partial(fastgmm.select, X[:1]), ValueError, r"X has 1 sample\(s\).*minimum of 2"),
    ("select: nothing", lambda: partial(fastgmm.select, None), TypeError, r"X is None"),
    ("select: a file that is not there", lambda: partial(fastgmm.select, "no.npy"), FileNotFoundError, r"no\.npy"),
    ("select: sizes as a string", lambda: select("3"), TypeError, r"n_components must be an integer.*'3' of type str"),
    ("select: no sizes", lambda: select([]), ValueError, r"n_components is empty: pass at least one"),
    ("select: a size of zero", lambda: select([0, 1]), ValueError, r"n_components must be an integer of at least 1.*0"),
    (
        "select: half a size",
        lambda: select([1, 2.5]),
        TypeError,
        r"n_components must be an integer.*2\.5 of type float",
    ),
    ("select: sizes of nothing", lambda: select(None), TypeError, r"n_components must be an integer.*None"),
    ("select: a size twice", lambda: select([1, 2, 2]), ValueError, r"n_components has 2 more than once"),
    (
        "select: types of nothing",
        lambda: select(covariance_types=None),
        TypeError,
        r"covariance_types must be 'all', a name or",
    ),
    (
        "select: no types",
        lambda: select(covariance_types=[]),
        ValueError,
        r"covariance_types is empty: pass at least one",
    ),
    (
        "select: a type that is none",
        lambda: select(covariance_types=["EEE", "EEQ"]),
        ValueError,
        r"got 'EEQ'; did you mean",
    ),
    (
        "select: a type as a number",
        lambda: select(covariance_types=[3]),
        ValueError,
        r"covariance_types must be one of.*got 3",
    ),
    (
        "select: a type twice",
        lambda: select(covariance_types=["EEE", "EEE"]),
        ValueError,
        r"covariance_types has 'EEE' more than",
    ),
    (
        "select: all and more",
        lambda: select(covariance_types=["all", "E"]),
        ValueError,
        r"must be 'all' or a list of names",
    ),
    (
        "select: E for two features",
        lambda: select(covariance_types=["E"]),
        ValueError,
        r"'E' is for data of one feature",
    ),
    ("select: criterion", lambda: select(criterion="BIC"), ValueError, r"got 'BIC'; did you mean 'bic'\?"),
    (
        "select: no criterion",
        lambda: select(criterion=None),
        ValueError,
        r"criterion must be one of 'bic', 'icl', 'aic', 'stability', got None",
    ),
    (
        "select: labels as a start",
        lambda: select(init_params=np.zeros(60, int)),
        ValueError,
        r"init_params must be one of",
    ),
    ("select: start", lambda: select(init_params="kmean"), ValueError, r"did you mean 'kmeans'\?"),
    ("select: n_init", lambda: select(n_init=0), ValueError, r"n_init must be an integer of at least 1"),
    ("select: tol", lambda: select(tol=-1), ValueError, r"tol must be a finite number of at least 0"),
    ("select: reg_covar", lambda: select(reg_covar="x"), TypeError, r"reg_covar must be a number of at least 0"),
    ("select: max_iter", lambda: select(max_iter=0), ValueError, r"max_iter must be an integer of at least 1"),
    ("select: random_state", lambda: select(random_state=-1), ValueError, r"random_state must be between"),
    ("select: n_threads", lambda: select(n_threads=1.0), TypeError, r"n_threads must be an integer"),
    ("select: progress", lambda: select(progress=1), TypeError, r"progress must be True or False"),
    (
        "select: weights",
        lambda: select(sample_weight=np.ones(3)),
        ValueError,
        r"sample_weight must have the shape \(60,\)",
    ),
    (
        "select: values too large",
        lambda: partial(fastgmm.select, 1e200 * X),
        ValueError,
        r"too large for squared distances",
    ),
    (
        "select: more components than samples",
        lambda: partial(fastgmm.select, X[:5], [9], "EII"),
        ValueError,
        r"9 components of type 'EII'.* need 18 distinct samples.*ask for 2 components at most",
    ),
    (
        "selection: a size it does not have",
        lambda: partial(found().model, 7, "EII"),
        ValueError,
        r"n_components must be one of 1, 2, got 7",
    ),
    (
        "selection: a type it does not have",
        lambda: partial(found().model, 1, "EEE"),
        ValueError,
        r"one of 'EII', 'VVV', got 'EEE'",
    ),
    ("selection: no rank", lambda: partial(found().ranking, 0), ValueError, r"n must be an integer of at least 1"),
    # pictures
    ("plot: no model", lambda: mixture_plot(model=3), TypeError, r"model must be a fitted GaussianMixture, got a int"),
    ("plot: before fit", lambda: mixture_plot(model=GaussianMixture()), fastgmm.NotFittedError, r"Call 'fit'"),
    ("plot: other data", lambda: mixture_plot(data=blobs(d=3)), ValueError, r"X has 3 features"),
    ("plot: NaN", lambda: mixture_plot(data=with_value(np.nan)), ValueError, r"NaN: X\[4, 1\]"),
    (
        "plot: weights without data",
        lambda: mixture_plot(sample_weight=np.ones(60)),
        ValueError,
        r"X is None: pass X as well",
    ),
    (
        "plot: weights",
        lambda: mixture_plot(data=X, sample_weight=np.ones(3)),
        ValueError,
        r"sample_weight must have the shape",
    ),
    ("plot: a feature too many", lambda: mixture_plot(features=[0, 2]), ValueError, r"must be below 2, got 2"),
    (
        "plot: a feature below zero",
        lambda: mixture_plot(features=-1),
        ValueError,
        r"feature must be an integer of at least 0",
    ),
    (
        "plot: a feature by another name",
        lambda: mixture_plot(features="y"),
        ValueError,
        r"feature must be one of 'x0', 'x1'",
    ),
    ("plot: a feature twice", lambda: mixture_plot(features=[0, 0]), ValueError, r"one or more different features"),
    ("plot: no features", lambda: mixture_plot(features=[]), ValueError, r"one or more different features, got \[\]"),
    ("plot: half a feature", lambda: mixture_plot(features=[0.5]), TypeError, r"feature must be an integer"),
    ("plot: features that are none", lambda: mixture_plot(features=1.5), TypeError, r"features must be .*got 1\.5"),
    ("plot: names", lambda: mixture_plot(feature_names=["a"]), ValueError, r"feature_names must be 2 strings"),
    (
        "plot: a string of names",
        lambda: mixture_plot(feature_names="ab"),
        ValueError,
        r"feature_names must be 2 strings",
    ),
    (
        "plot: names that are numbers",
        lambda: mixture_plot(feature_names=[1, 2]),
        ValueError,
        r"feature_names must be 2 str",
    ),
    ("plot: a number for names", lambda: mixture_plot(feature_names=2), ValueError, r"feature_names must be 2 strings"),
    ("plot: a radius of zero", lambda: mixture_plot(n_std=0), ValueError, r"n_std must be a number above 0"),
    ("plot: a radius of nan", lambda: mixture_plot(n_std=[1, np.nan]), ValueError, r"n_std must be a number above 0"),
    (
        "plot: a radius in words",
        lambda: mixture_plot(n_std="two"),
        TypeError,
        r"n_std must be a number above 0.*'two' of type str",
    ),
    ("plot: no radius", lambda: mixture_plot(n_std=None), TypeError, r"n_std must be a number above 0.*None"),
    ("plot: uncertainty", lambda: mixture_plot(uncertainty=1), TypeError, r"uncertainty must be True or False"),
    ("plot: points", lambda: mixture_plot(max_points=0), ValueError, r"max_points must be an integer of at least 1"),
    ("plot: random_state", lambda: mixture_plot(random_state="x"), ValueError, r"random_state must be None"),
    (
        "plot: axes",
        lambda: mixture_plot(ax=3),
        TypeError,
        r"ax must be an Axes or an empty Figure or SubFigure, got int",
    ),
    (
        "plot: a figure that is full",
        lambda: mixture_plot(ax=figure(1)),
        ValueError,
        r"has axes already: pass these, or an empty",
    ),
    (
        "plot: too few axes",
        lambda: mixture_plot(GaussianMixture(2, random_state=0).fit(blobs(d=3)), ax=np.array(figure(2).axes)),
        ValueError,
        r"ax must be an array of \(3, 3\) Axes .*got an array of shape \(2,\)",
    ),
    (
        "criterion: no selection",
        lambda: criterion_plot(X),
        TypeError,
        r"selection must be a result of fastgmm\.select, got a",
    ),
    ("criterion: unknown", lambda: criterion_plot(criterion="bicc"), ValueError, r"got 'bicc'; did you mean 'bic'"),
    (
        "criterion: a type it does not have",
        lambda: criterion_plot(covariance_types="EEE"),
        ValueError,
        r"must be one of 'EII', 'VVV'",
    ),
    (
        "criterion: no types",
        lambda: criterion_plot(covariance_types=[]),
        ValueError,
        r"covariance_types is empty: choose from",
    ),
    (
        "criterion: types that are none",
        lambda: criterion_plot(covariance_types=3),
        TypeError,
        r"covariance_types must be .*got 3",
    ),
    ("convergence: no model", lambda: convergence_plot(3), TypeError, r"models must be fitted models, got a int"),
    (
        "convergence: no models",
        lambda: convergence_plot([]),
        ValueError,
        r"models is empty: pass at least one fitted model",
    ),
    ("convergence: before fit", lambda: convergence_plot(GaussianMixture()), fastgmm.NotFittedError, r"Call 'fit'"),
    (
        "convergence: no iterations",
        lambda: convergence_plot(BUILD(**TWO)),
        ValueError,
        r"model 0 has no iterations to draw",
    ),
    ("convergence: gap", lambda: convergence_plot(fitted(), gap=1), TypeError, r"gap must be True or False, got 1"),
    # Dask
    (
        "dask: one dimension",
        lambda: partial(GaussianMixture().fit, dask_array(X[:, 0])),
        ValueError,
        r"must be two-dimensional",
    ),
    (
        "dask: NaN",
        lambda: partial(GaussianMixture().fit, dask_array(with_value(np.nan, 41))),
        ValueError,
        r"partition 2 contains NaN: row 1",
    ),
    (
        "dask: words",
        lambda: partial(GaussianMixture().fit, dask_array(X.astype("U"))),
        ValueError,
        r"partition 0 must hold numbers",
    ),
    (
        "dask: complex",
        lambda: partial(GaussianMixture().fit, dask_array(X + 1j)),
        ValueError,
        r"Complex data not supported: part",
    ),
    (
        "dask: one sample",
        lambda: partial(GaussianMixture().fit, dask_array(X[:1])),
        ValueError,
        r"1 sample\(s\).*minimum of 2",
    ),
    (
        "dask: too few",
        lambda: partial(GaussianMixture(61).fit, dask_array()),
        ValueError,
        r"n_components = 61, n_samples = 60",
    ),
    (
        "dask: labels",
        lambda: partial(GaussianMixture(2, init_params=[0, 1] * 30).fit, dask_array()),
        ValueError,
        r"cannot be labels",
    ),
    (
        "dask: batches",
        lambda: partial(GaussianMixture(2).fit, dask_array(), batch_size=10),
        ValueError,
        r"X is distributed, such as a Dask collection: leave",
    ),
    (
        "dask: weights",
        lambda: partial(GaussianMixture(2).fit, dask_array(), None, np.ones(3)),
        ValueError,
        r"shape \(60,\).*got \(3,\)",
    ),
    (
        "dask: other features",
        lambda: partial(fitted(X).predict, dask_array(blobs(d=3))),
        ValueError,
        r"X has 3 features",
    ),
    (
        "dask: E",
        lambda: partial(GaussianMixture(covariance_type="E").fit, dask_array()),
        ValueError,
        r"'E' is for data of one",
    ),
    # data sets
    ("make_mixture: none", lambda: partial(make_mixture, 0, 2, 2), ValueError, r"n_samples"),
    ("make_mixture: half a feature", lambda: partial(make_mixture, 5, 1.5, 2), (TypeError, ValueError), r"n_features"),
    ("make_mixture: dtype", lambda: partial(make_mixture, 5, 2, 2, dtype="int"), ValueError, r"dtype"),
]

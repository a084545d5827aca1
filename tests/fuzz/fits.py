"""Fuzz target: `fit` and the other doors for arrays, with random shapes, dtypes, strides, containers, values and options."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import fastgmm
from fastgmm import GaussianMixture
from fastgmm import functional as F
from fastgmm.init.starts import STARTS
from fastgmm.model.structures import STRUCTURES

from .choices import Choices, is_answer

_TYPES = (*STRUCTURES, "ful", None)
_INITS = (*STARTS, "k-means", None)
_DTYPES = ("f8", "f4", "f8", "f8", "f2", "i1", "u8", "?", ">f8", "g", "O", "c16", "U3", "M8[s]")
_ODD: tuple[Any, ...] = (
    None,
    0,
    -1,
    1.5,
    "1",
    True,
    float("nan"),
    float("inf"),
    10**400,
    [],
    {},
    1j,
    b"x",
    np.float32(0.5),
)


def one(data: bytes) -> None:
    """One call; AssertionError, or any other exception that is not an answer, if something is wrong."""
    choices = Choices(data)
    door = choices.pick((_fit, _fit, _fit, _partial_fit, _functions, _from_parameters, _select))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # RuntimeWarning and the like: something overflowed that should not
        warnings.simplefilter("ignore", UserWarning)
        door(choices)


def _answer(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return the result of a call, None if it is refused; neither changes what was passed."""
    before = [copy.deepcopy(value) for value in (*args, *kwargs.values())]
    try:
        return call(*args, **kwargs)
    except (ValueError, TypeError, OSError) as error:
        if not is_answer(error):
            raise
        assert len(str(error)) > 20, error  # noqa: PT017
        return None
    finally:
        for then, now in zip(before, (*args, *kwargs.values()), strict=True):
            if isinstance(now, np.ndarray) and now.dtype.kind != "O":
                assert now.dtype == then.dtype
                assert now.tobytes() == then.tobytes()


# --- what is passed ---


def _array(choices: Choices, shape: tuple[int, ...], wild: int) -> np.ndarray:
    size = int(np.prod(shape))
    pattern = [choices.number(wild=wild) for _ in range(min(size, 64))]
    values = np.resize(np.array(pattern or [0.0]), size).reshape(shape)
    return values if size <= 64 else values + 0.01 * (np.arange(size) % 97).reshape(shape)


def _matrix(choices: Choices) -> Any:
    """Something for X: mostly a matrix of numbers, in some dtype, order and container."""
    n = choices.pick((12, 20, 7, 3, 2, 1, 0, 40, 1100))
    d = choices.pick((2, 1, 3, 5, 2, 9, 0))
    wild = choices.pick((0, 0, 0, 1, 2))
    X = _array(choices, (n, d), wild)
    if choices.flag(4):
        X = np.resize(X[: max(1, n // 3)], X.shape) if X.size else X  # rows repeated
    if choices.flag(6):
        with np.errstate(all="ignore"):
            X = X * 10.0 ** (choices.below(60) - 30) + 10.0 ** (choices.below(20) - 8)
    return _contained(choices, _strided(choices, _as(choices, X)))


def _as(choices: Choices, X: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        dtype = choices.pick(_DTYPES) if choices.flag(3) else choices.pick(("f8", "f4"))
        if dtype in ("i1", "u8", "M8[s]"):
            X = np.clip(np.nan_to_num(X), -100, 100).astype("i8")
        return X.astype(dtype)


def _strided(choices: Choices, X: np.ndarray) -> np.ndarray:
    how = choices.below(8)
    if how == 1:
        return np.asfortranarray(X)
    if how == 2:
        return X[::-1, ::-1]
    if how == 3:
        return np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3]
    if how == 4 and len(X):
        return np.broadcast_to(X[:1], X.shape)
    if how == 5:
        X = X.copy()
        X.flags.writeable = False
        return X
    if how == 6 and X.dtype.kind == "f":
        odd = np.empty(X.nbytes + 1, np.uint8)[1:].view(X.dtype).reshape(X.shape)  # not aligned
        odd[...] = X
        return odd
    return X


def _contained(choices: Choices, X: np.ndarray) -> Any:
    how = choices.below(16)
    if how == 1:
        return X.tolist()
    if how == 2:
        return [X[: len(X) // 2], X[len(X) // 2 :]]
    if how == 3:
        return fastgmm.chunks([X[: len(X) // 2], X[len(X) // 2 :]])
    if how == 4:
        return fastgmm.chunks(lambda: iter([X]))
    if how == 5:
        return X.ravel()
    if how == 6:
        return X[None]
    if how == 7:
        return X.view(np.matrix)
    if how == 8:
        return np.ma.masked_array(X)
    if how == 9:
        return choices.pick((None, 3.0, "x", b"x", {}, set(), [], (), [[]], [[1], [1, 2]], iter([X]), object()))
    return X


def _weights(choices: Choices, n: int) -> Any:
    if choices.flag(4):
        return _strided(choices, _array(choices, (n, 1), 2))[:, 0]
    return np.abs(_array(choices, (n,), 0)) if choices.flag() else None


def _length(X: Any) -> int:
    return sum(map(len, X)) if isinstance(X, fastgmm.data.chunks.Chunks) else len(X) if hasattr(X, "__len__") else 1


def _covariances(choices: Choices, covariance_type: Any, k: int, d: int) -> np.ndarray:
    layout = STRUCTURES[covariance_type].layout.name if covariance_type in STRUCTURES else "full"
    wild = choices.pick((0, 0, 1, 2))
    shape = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}[layout]
    values = _array(choices, shape, wild)
    with np.errstate(all="ignore"):
        if choices.flag(3):
            return values
        if layout in ("diag", "spherical"):
            return np.abs(values) + 0.1
        if covariance_type in ("full", "tied", "VVV", "EEE"):
            values = values @ np.swapaxes(values, -1, -2)
            return values + 0.1 * np.eye(d)
    return np.broadcast_to(np.eye(d), shape) * (0.5 + choices.below(8))


def _arguments(choices: Choices, d: int) -> dict[str, Any]:
    k = choices.pick((2, 1, 3, 5))
    found: dict[str, Any] = {"n_components": k, "covariance_type": choices.pick(_TYPES), "random_state": choices.byte()}
    found["init_params"] = choices.pick(_INITS)
    found["tol"] = choices.pick((1e-3, 0.0, 1e-9, 1.0))
    found["reg_covar"] = choices.pick((1e-6, 0.0, 1.0, 1e-300, 1e300))
    found["max_iter"] = choices.pick((10, 0, 1, 50))
    found["n_init"] = choices.pick((1, 1, 2, 4))
    if choices.flag(4):
        found["weights_init"] = choices.pick((np.full(k, 1 / k), np.eye(k)[0], _array(choices, (k,), 2)))
    if choices.flag(4):
        found["means_init"] = _array(choices, (k, d), choices.pick((0, 1, 2)))
    if choices.flag(4):
        found["precisions_init"] = _covariances(choices, found["covariance_type"], k, d)
    if choices.flag(8):
        found["init_params"] = np.array([choices.below(k + 1) for _ in range(choices.pick((12, 20, 7)))])
    if choices.flag(8):
        found["learning_decay"] = choices.pick((0.6, 1.0, 0.5, 2.0))
        found["learning_offset"] = choices.pick((0.0, 3.0, 1e300, -1.0))
    if choices.flag(8):
        found[choices.pick(tuple(GaussianMixture().get_params()))] = choices.pick(_ODD)
    return found


# --- doors ---


def _shape(X: Any) -> int:
    try:
        return max(1, np.asarray(X).shape[-1])
    except (ValueError, IndexError, TypeError):
        return 2


def _fit(choices: Choices) -> None:
    X = _matrix(choices)
    arguments = _arguments(choices, _shape(X))
    model = GaussianMixture(**arguments)
    options: dict[str, Any] = {"sample_weight": _weights(choices, _length(X))}
    if choices.flag(6):
        options["batch_size"] = choices.pick((5, 1, 100, *_ODD))
    given = dict(vars(model))
    done = _answer(model.fit, X, **options)
    assert all(vars(model)[name] is value for name, value in given.items())
    if done is None:
        assert vars(model) == given or list(vars(model)) == list(given)
        return
    _check(model)
    if isinstance(X, list) and len(X) == 0:
        return
    _check_predictions(model, X)
    if choices.flag(3):
        before = {name: copy.copy(value) for name, value in vars(model).items()}
        again = _answer(model.set_params(warm_start=choices.flag()).fit, _matrix(choices))
        if again is None:
            after = dict(vars(model)) | {"warm_start": before["warm_start"]}
            assert list(after) == list(before)
            assert all(np.array_equal(after[name], before[name]) for name in after if name.endswith("_"))
        else:
            _check(model)


def _partial_fit(choices: Choices) -> None:
    X = _matrix(choices)
    model = GaussianMixture(**_arguments(choices, _shape(X)))
    for _ in range(1 + choices.below(4)):
        if _answer(model.partial_fit, X, None, _weights(choices, _length(X))) is not None:
            _check(model)
        if choices.flag(3):
            X = _matrix(choices)
    if hasattr(model, "means_"):
        _check_predictions(model, X)


def _check(model: GaussianMixture) -> None:
    """A fitted model is a mixture."""
    k, d = model.means_.shape
    single = model.means_.dtype == np.float32
    assert model.weights_.shape == (k,)
    assert abs(float(model.weights_.sum(dtype=np.float64)) - 1) < (1e-5 if single else 1e-6)
    assert (model.weights_ >= 0).all()
    assert np.isfinite(model.means_).all()
    if not single:  # of float32 data variances may be below or beyond float32
        assert np.isfinite(model.covariances_).all()
        assert np.isfinite(model.precisions_cholesky_).all()
    layout = STRUCTURES[model.covariance_type].layout.name
    assert model.covariances_.shape == {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}[layout]
    assert not np.isnan(model.lower_bound_)
    assert model.n_features_in_ == d


def _check_predictions(model: GaussianMixture, X: Any) -> None:
    proba = _answer(model.predict_proba, X)
    if proba is None:
        return
    k = len(model.weights_)
    assert proba.shape[1] == k
    assert np.isfinite(proba).all()
    within_reach = model.score_samples(X) > -np.inf
    np.testing.assert_allclose(proba.sum(axis=1, dtype=np.float64), within_reach, atol=1e-5)
    labels = model.predict(X)
    assert labels.shape == (len(proba),)
    assert ((labels >= 0) & (labels < k)).all()
    assert not np.isnan(model.score_samples(X)).any()
    assert not np.isnan(model.bic(X))
    assert not np.isnan(model.icl(X))


def _functions(choices: Choices) -> None:
    X, k = _matrix(choices), choices.pick((2, 1, 3))
    d = choices.pick((2, 1, 3)) if choices.flag(8) else _shape(X)
    covariance_type = choices.pick(_TYPES)
    weights = choices.pick((np.full(k, 1 / k), np.eye(k)[0], _array(choices, (k,), 2)))
    means = _array(choices, (k, d), choices.pick((0, 1, 2)))
    covariances = _covariances(choices, covariance_type, k, d)
    given = {"covariance_type": covariance_type}
    which = choices.below(7)
    if which == 0:
        found = _answer(F.log_density, X, means, covariances, **given)
        assert found is None or not np.isnan(found).any()
    elif which == 1:
        found = _answer(F.log_prob, X, weights, means, covariances, **given)
        assert found is None or not np.isnan(found).any()
    elif which == 2:
        found = _answer(F.responsibilities, X, weights, means, covariances, **given)
        assert found is None or np.isfinite(found).all()
    elif which == 3:
        options = {"reg_covar": choices.pick((1e-6, 0.0, *_ODD)), "sample_weight": _weights(choices, _length(X))}
        found = _answer(F.em_step, X, weights, means, covariances, **given, **options)
        if found is not None:
            assert abs(found.weights.sum() - 1) < 1e-6
            assert np.isfinite(found.means).all()
            assert np.isfinite(found.covariances).all()
    elif which == 4:
        resp = np.abs(_array(choices, (_length(X), k), choices.pick((0, 1, 2))))
        found = _answer(F.sufficient_statistics, X, resp, **given, sample_weight=_weights(choices, _length(X)))
        assert found is None or found.counts.shape == (k,)
    elif which == 5:
        options = {"max_iter": choices.pick((10, *_ODD)), "tol": choices.pick((1e-4, *_ODD))}
        found = _answer(F.kmeans, X, choices.pick((k, *_ODD)), random_state=choices.byte(), **options)
        assert found is None or np.isfinite(found.centers).all()
    else:
        found = _answer(F.kmeans_plusplus, X, choices.pick((k, *_ODD)), random_state=choices.byte())
        assert found is None or np.isfinite(found[0]).all()


def _from_parameters(choices: Choices) -> None:
    k, d, covariance_type = choices.pick((2, 1, 3)), choices.pick((2, 1, 3)), choices.pick(_TYPES)
    weights = choices.pick((np.full(k, 1 / k), np.eye(k)[0], _array(choices, (k,), 2)))
    means, covariances = _array(choices, (k, d), choices.pick((0, 1, 2))), _covariances(choices, covariance_type, k, d)
    build = GaussianMixture.from_parameters
    model = _answer(build, weights, means, covariances, covariance_type=covariance_type, random_state=choices.byte())
    if model is not None:
        _check(model)
        _check_predictions(model, _matrix(choices))
        assert np.asarray(model.sample(1 + choices.below(5))[0]).shape[1] == d


def _select(choices: Choices) -> None:
    X = _matrix(choices)
    sizes = choices.pick((range(1, 3), 2, [1, 3], [], [0], "2", [1, 1], None, 2.0))
    types = choices.pick(
        (["EII", "VVV"], "all", "full", ["VEV"], ["EVE", "VVE"], "E", [], None, ["x"], ["full", "full"])
    )
    options: dict[str, Any] = {"random_state": choices.byte(), "max_iter": choices.pick((5, 20, 0))}
    options |= {
        "init_params": choices.pick(("hierarchical", "kmeans", "random", "x")),
        "reg_covar": choices.pick((1e-6, 0.0)),
    }
    options["criterion"] = choices.pick(("bic", "icl", "aic", "x", None))
    if choices.flag(8):
        options["sample_weight"] = _weights(choices, _length(X))
    found = _answer(fastgmm.select, X, sizes, types, **options)
    if found is not None:
        _check(found.best_model)
        assert repr(found)

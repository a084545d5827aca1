"""The bundled tables are the published ones, and the generator draws what it says."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from fastgmm.datasets import load_faithful, load_iris, make_mixture


def test_iris_is_the_corrected_table() -> None:
    sklearn_datasets = pytest.importorskip("sklearn.datasets")
    theirs, ours = sklearn_datasets.load_iris(), load_iris()
    np.testing.assert_array_equal(ours.data, theirs.data)
    np.testing.assert_array_equal(ours.target, theirs.target)
    assert ours.target_names == tuple(theirs.target_names)
    assert ours.feature_names == ("sepal_length", "sepal_width", "petal_length", "petal_width")
    assert ours.data.dtype == np.float64
    assert ours.data.flags.c_contiguous


def test_faithful() -> None:
    table = load_faithful()
    assert table.data.shape == (272, 2)
    assert table.feature_names == ("eruptions", "waiting")
    np.testing.assert_allclose(table.data.mean(axis=0), [3.48778309, 70.89705882], rtol=1e-8)
    assert table.target is None
    assert table.target_names == ()


@pytest.mark.parametrize("load", [load_iris, load_faithful])
def test_tables_are_fresh_frozen_and_say_their_origin(load: object) -> None:
    assert callable(load)
    first, second = load(), load()
    first.data[0, 0] = -1.0
    assert second.data[0, 0] > 0
    assert "19" in first.description
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.data = second.data


def test_make_mixture_draws_the_mixture_that_it_returns() -> None:
    X, labels, weights, means, covariances = make_mixture(200_000, 3, 4, random_state=1)
    assert X.shape == (200_000, 3)
    assert labels.dtype == np.int64
    assert weights.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(np.bincount(labels) / len(X), weights, atol=0.005)
    for k in range(4):
        members = X[labels == k]
        np.testing.assert_allclose(members.mean(axis=0), means[k], atol=0.05)
        np.testing.assert_allclose(np.cov(members.T), covariances[k], atol=0.05)
    values = np.linalg.eigvalsh(covariances)
    assert values.min() >= 0.5 - 1e-12
    assert values.max() <= 2.0 + 1e-12


@pytest.mark.parametrize("n_features", [2, 40])
def test_separation_is_the_rms_distance_of_two_means(n_features: int) -> None:
    means = make_mixture(1, n_features, 2000, separation=6.0, random_state=2).means
    squares = ((means[:1000] - means[1000:]) ** 2).sum(axis=1)
    assert np.sqrt(squares.mean()) == pytest.approx(6.0, rel=0.05)


def test_make_mixture_repeats_by_seed_and_in_float32() -> None:
    first, again = (make_mixture(500, 2, 3, random_state=7) for _ in range(2))
    other = make_mixture(500, 2, 3, random_state=8)
    single = make_mixture(500, 2, 3, random_state=7, dtype=np.float32)
    np.testing.assert_array_equal(first.X, again.X)
    assert not np.array_equal(first.X, other.X)
    assert single.X.dtype == np.float32
    np.testing.assert_array_equal(single.X, first.X.astype(np.float32))
    np.testing.assert_array_equal(single.labels, first.labels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_samples": 0}, "n_samples must be an integer of at least 1, got n_samples=0"),
        ({"n_components": -1}, "n_components must be an integer of at least 1, got n_components=-1"),
        ({"separation": -1.0}, "separation is -1.0"),
        ({"separation": float("nan")}, "separation is nan"),
        ({"dtype": "int32"}, "dtype is int32; it must be float32 or float64"),
    ],
)
def test_make_mixture_refuses(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_mixture(**{"n_samples": 5, "n_features": 2, "n_components": 2, **options})


def test_datasets_load_no_numba() -> None:
    code = "import sys, fastgmm.datasets as d; d.load_iris(); print('numba' in sys.modules, 'scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]

"""Nothing of this changes a bit: the number of threads, how data are cut and laid out in memory, files, pickles and copies."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from conftest import PATIENCE
from hypothesis import given, settings
from hypothesis import strategies as st

import fastgmm
from fastgmm import GaussianMixture, chunks
from fastgmm.em.lanes import SINGLE_LANE
from fastgmm.model.structures import MCLUST_NAMES

ALL = ["full", "tied", "diag", "spherical", *MCLUST_NAMES]
LAYOUTS, DTYPES = st.sampled_from(ALL), st.sampled_from([np.float64, np.float32])
FITTED = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_", "lower_bounds_")
#: About one lane and below, where the loop of EM is compiled, and several lanes.
SIZES = st.one_of(st.integers(30, SINGLE_LANE + 1), st.integers(SINGLE_LANE + 1, 4 * SINGLE_LANE))


def draw(seed, n, d, k, dtype):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 3.0 * rng.normal(size=(k, d))[rng.integers(k, size=n)]
    return X.astype(dtype), rng


def fitted(X, k, layout, sample_weight=None, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianMixture(k, covariance_type=layout, reg_covar=1e-3, **{"random_state": 0} | arguments)
        return model.fit(X, sample_weight=sample_weight)


def assert_same_model(one, other):
    """Every attribute and parameter, to the bit and of the same type."""
    assert type(one) is type(other)
    ours, theirs = vars(one), vars(other)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if isinstance(value, np.ndarray):
            assert value.dtype == theirs[name].dtype, name
            assert value.shape == theirs[name].shape, name
            assert np.array_equal(value, theirs[name]), name
        else:
            assert type(value) is type(theirs[name]), name
            assert value == theirs[name], name


def same_bits(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in FITTED)


# --- threads, cuts, memory ---

cases = given(
    seed=st.integers(0, 10_000), layout=LAYOUTS, dtype=DTYPES, n=SIZES, d=st.integers(1, 9), k=st.integers(1, 4)
)


@cases
def test_any_cuts_give_the_bits_of_memory(seed, layout, dtype, n, d, k):
    X, rng = draw(seed, n, d, k, dtype)
    weights = rng.uniform(0.5, 2.0, size=n) if seed % 2 else None
    parts = np.split(X, np.sort(rng.choice(np.arange(1, n), size=rng.integers(0, 7), replace=False)))
    memory = fitted(X, k, layout, weights, max_iter=4)
    pieces = fitted(chunks(parts), k, layout, weights, max_iter=4)
    assert same_bits(memory, pieces)
    for method in ("predict", "predict_proba", "score_samples"):
        assert np.array_equal(getattr(memory, method)(X), getattr(memory, method)(chunks(parts))), method
    assert memory.score(X) == memory.score(chunks(parts))


@cases
def test_any_layout_in_memory_gives_the_same_bits(seed, layout, dtype, n, d, k):
    X, _ = draw(seed, n, d, k, dtype)
    strided = np.full((2 * n, 3 * d + 2), np.nan, dtype)[::-2, 1 : 3 * d : 3]
    strided[:] = X
    readonly = X.copy()
    readonly.flags.writeable = False
    first = fitted(X, k, layout, max_iter=4)
    arrays = [np.asfortranarray(X), strided, readonly]
    if dtype is np.float64:  # float32 of the other byte order becomes float64
        arrays.append(X.astype(">f8" if sys.byteorder == "little" else "<f8"))
    for array in arrays:
        other = fitted(array, k, layout, max_iter=4)
        assert same_bits(first, other)
        assert np.array_equal(first.predict_proba(X), other.predict_proba(array))


@settings(max_examples=max(4, settings.default.max_examples // 3))
@given(seed=st.integers(0, 1000), layout=LAYOUTS, dtype=DTYPES, n=SIZES, weighted=st.booleans())
def test_a_fit_has_the_same_bits_on_one_and_two_threads(seed, layout, dtype, n, weighted):
    X, rng = draw(seed, n, 3, 3, dtype)
    weights = rng.uniform(size=n) if weighted else None
    one, two = (fitted(X, 3, layout, weights, n_threads=t, max_iter=10) for t in (1, 2))
    assert same_bits(one, two)
    assert np.array_equal(one.predict_proba(X), two.predict_proba(X))


def test_bits_are_equal_on_one_two_three_and_seven_threads():
    """In a process where Numba has seven: elsewhere more than there are cores count as that many."""
    examples = max(6, settings.default.max_examples // 3)
    code = f"""
import sys; sys.path[:0] = [{os.path.dirname(__file__)!r}, {os.path.dirname(os.path.dirname(__file__))!r}]
import numba, numpy as np
from test_same_bits import ALL, draw, fitted, same_bits
assert numba.config.NUMBA_NUM_THREADS == 7
rng = np.random.default_rng(0)
for example in range({examples}):
    layout, dtype = ALL[example % len(ALL)], (np.float64, np.float32)[example // len(ALL) % 2]
    n = (int(rng.integers(30, 1024)), int(rng.integers(1025, 4000)))[example % 3 > 0]
    X, _ = draw(example, n, int(rng.integers(1, 7)), 3, dtype)
    weights = rng.uniform(size=n) if example % 2 else None
    models = [fitted(X, 3, layout, weights, n_threads=t, max_iter=5) for t in (1, 2, 3, 7)]
    assert all(same_bits(models[0], model) for model in models[1:]), (layout, dtype, n)
    values = [model.score_samples(X) for model in models]
    assert all(np.array_equal(values[0], other) for other in values[1:]), (layout, dtype, n)
print("same", example + 1)
"""
    # threads that wait shall sleep and not take the cores from the others
    environment = {**os.environ, "NUMBA_NUM_THREADS": "7", "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["same", str(examples)]


# --- files, pickles, copies ---


def start(kind, X, k, rng):
    groups = np.arange(len(X)) % k
    return {
        "kmeans": {},
        "labels": {"init_params": groups},
        "responsibilities": {"init_params": np.eye(k)[groups]},
        "means": {"means_init": X[:k].astype(np.float64), "weights_init": np.full(k, 1 / k)},
    }[kind]


models = given(
    seed=st.integers(0, 10_000),
    layout=LAYOUTS,
    dtype=DTYPES,
    kind=st.sampled_from(["kmeans", "labels", "responsibilities", "means"]),
    d=st.integers(1, 6),
    k=st.integers(1, 4),
)


@models
def test_a_saved_model_comes_back_to_the_bit(seed, layout, dtype, kind, d, k, tmp_path_factory):
    X, rng = draw(seed, 60, d, k, dtype)
    model = fitted(X, k, layout, max_iter=5, **start(kind, X, k, rng), random_state=seed)
    path = tmp_path_factory.getbasetemp() / "model.npz"
    model.save(path)
    again = fastgmm.load(path)
    assert_same_model(again, model)
    first = path.read_bytes()
    again.save(path)
    assert path.read_bytes() == first
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))
    assert np.array_equal(again.sample(20)[0], model.sample(20)[0])


@models
def test_pickles_and_copies_are_the_model(seed, layout, dtype, kind, d, k):
    X, rng = draw(seed, 60, d, k, dtype)
    model = fitted(X, k, layout, max_iter=5, **start(kind, X, k, rng))
    protocols = range(2, pickle.HIGHEST_PROTOCOL + 1)
    for other in (copy.copy(model), copy.deepcopy(model), *(pickle.loads(pickle.dumps(model, p)) for p in protocols)):
        assert_same_model(other, model)
        assert np.array_equal(other.predict_proba(X), model.predict_proba(X))
    # a deep copy shares no memory: what is done to it does not reach the model
    deep = copy.deepcopy(model)
    before = model.means_.copy()
    deep.means_ += 1
    assert np.array_equal(model.means_, before)


@pytest.mark.parametrize("layout", ["full", "tied", "diag", "spherical"])
def test_a_stream_goes_on_from_a_pickle(layout):
    X, _ = draw(3, 400, 3, 2, np.float64)
    model = GaussianMixture(2, covariance_type=layout, random_state=0).partial_fit(X[:200])
    other = pickle.loads(pickle.dumps(model))
    assert same_bits(model.partial_fit(X[200:]), other.partial_fit(X[200:]))

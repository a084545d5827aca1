"""Dask collections: the answers of the same data in memory, from workers that may die; errors that name the partition."""

from __future__ import annotations

import functools
import operator
import os
import pickle
import signal
import subprocess
import sys
import warnings

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from conftest import PATIENCE, compiled
from distributed import Client, LocalCluster
from kit import during_fits

from fastgmm import GaussianMixture
from fastgmm.data import dask as parts
from fastgmm.data import stream
from fastgmm.data.dask import DaskSource
from fastgmm.data.open import open_source
from fastgmm.model.structures import STRUCTURES

LAYOUTS = ["full", "tied", "diag", "spherical"]
METHODS = ["predict", "predict_proba", "score_samples"]


@pytest.fixture(scope="module")
def client():
    options = {"processes": True, "threads_per_worker": 1, "dashboard_address": ":0"}
    with LocalCluster(n_workers=2, **options) as cluster, Client(cluster) as found:
        yield found


@pytest.fixture
def local():
    """No cluster: everything in this thread."""
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture
def small_limit(limits):
    """All but tiny data count as too large to start from."""
    limits(loaded=4096)


def data(n=6000, d=3, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) + 3.0 * rng.integers(2, size=(n, 1))).astype(dtype)


def model(layout="full", d=3, **arguments):
    given = {"full": np.array([np.eye(d)] * 2), "tied": np.eye(d), "diag": np.ones((2, d)), "spherical": np.ones(2)}
    start = {
        "weights_init": [0.5, 0.5],
        "means_init": [[0.0] * d, [3.0] * d],
        "precisions_init": given[STRUCTURES[layout].layout.name],
    }
    return GaussianMixture(2, covariance_type=layout, **{"tol": 1e-6, **start, **arguments})


def uneven(X, columns=None):
    """Partitions of many sizes."""
    sizes = (1, 699, 1, 1800, 2500, len(X) - 5001)
    return da.from_array(X, chunks=(sizes, columns or X.shape[1:]) if X.ndim == 2 else (sizes,))


def unknown(array):
    """The same array with chunks of unknown length."""
    return array[da.ones(array.shape[0], chunks=(array.chunks[0],), dtype=bool)]


def assert_same(a, b, rtol=1e-10):
    assert a.n_iter_ == b.n_iter_
    for name in ("weights_", "means_", "covariances_", "precisions_cholesky_"):
        want = getattr(b, name)
        assert getattr(a, name).dtype == want.dtype
        np.testing.assert_allclose(getattr(a, name), want, rtol=rtol, atol=rtol * np.abs(want).max(), err_msg=name)
    np.testing.assert_allclose(a.lower_bounds_, b.lower_bounds_, rtol=rtol)


def assert_same_bits(a, b):
    for name in ("weights_", "means_", "covariances_"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert a.lower_bounds_ == b.lower_bounds_


def quietly(function, *arguments, **named):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **named)


# --- on a cluster


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("layout", [*LAYOUTS, "EII", "VEI", "VVE", "VEV"])
def test_a_cluster_agrees_with_memory(layout, weighted, client):
    X = data()
    w = np.random.default_rng(1).uniform(size=len(X)) * (X[:, 0] < 4) if weighted else None
    expected = model(layout).fit(X, sample_weight=w)
    there = None if w is None else uneven(w)
    assert expected.n_iter_ >= 3
    found = model(layout).fit(uneven(X), sample_weight=there)
    assert_same(found, expected)
    for call in ("score", "bic", "aic"):
        here = getattr(expected, call)(X, sample_weight=w)
        assert getattr(expected, call)(uneven(X), sample_weight=there) == pytest.approx(here, rel=1e-12)


def test_a_worker_that_dies_during_a_fit_costs_time_only(client, monkeypatch):
    X = data()
    expected = model(tol=1e-9).fit(X)
    assert expected.n_iter_ > 4
    killed = []

    def kill_in_the_second(fit, n_iter, *bounds):
        if n_iter == 2:
            addresses, pids = zip(*client.run(os.getpid).items(), strict=True)
            assert client.has_what()[addresses[0]]  # partitions that have to be computed again
            killed.extend(pids)
            os.kill(killed[0], signal.SIGKILL)

    during_fits(monkeypatch, "iteration", kill_in_the_second)
    found = model(tol=1e-9).fit(uneven(X))
    assert_same(found, expected)
    client.wait_for_workers(2, timeout=PATIENCE)
    alive = client.run(os.getpid).values()
    assert killed[0] not in alive
    assert killed[1] in alive


def test_bits_depend_on_partitions_only(client):
    X = uneven(data())
    expected = model("tied").fit(X)
    assert_same_bits(model("tied").fit(X), expected)
    for scheduler in ("synchronous", "threads"):
        with dask.config.set(scheduler=scheduler):
            assert_same_bits(model("tied").fit(X), expected)
            assert_same_bits(model("tied", n_threads=1).fit(X), expected)


def test_a_data_frame_on_a_cluster(client):
    frame = pd.DataFrame(data(), columns=["a", "b", "c"])
    frame["w"] = np.random.default_rng(0).uniform(size=len(frame))
    there = dd.from_pandas(frame, npartitions=4)
    expected = model().fit(frame[["a", "b", "c"]], sample_weight=frame["w"])
    found = model().fit(there[["a", "b", "c"]], sample_weight=there["w"])
    assert_same(found, expected)
    assert list(found.feature_names_in_) == ["a", "b", "c"]
    labels = found.predict(there[["a", "b", "c"]])
    assert isinstance(labels, dd.Series)
    assert np.array_equal(labels.compute(), expected.predict(frame[["a", "b", "c"]]))
    with pytest.raises(ValueError, match="Feature names unseen at fit time:\n- w"):
        found.predict(there[["a", "b", "w"]])


def test_little_travels(client, monkeypatch, small_limit):
    """The result that a pass brings to the client is of the size of the parameters, and what a start brings a sample of 4 kB."""
    sizes, compute = [], dask.compute

    def measured(*tasks, **options):
        found = compute(*tasks, **options)
        sizes.append(len(pickle.dumps(found)))
        return found

    monkeypatch.setattr(dask, "compute", measured)
    quietly(GaussianMixture(2, max_iter=5, random_state=0, tol=0).fit, uneven(data()))
    assert len(sizes) == 7
    assert max(sizes) < 3 * 4096


def test_large_parameters_are_sent_once_without_a_warning(client):
    source = open_source(uneven(data()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = source.map_reduce(functools.partial(_first, large=np.ones(2_000_000)), operator.add)
    assert found == 6.0


def _first(part, large):
    return float(large[0])


# --- starts


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("init", ["kmeans", "random", "random_from_data"])
def test_the_start_of_small_data_is_that_of_memory(init, weighted, local):
    X = data(dtype=np.float32)
    w = np.round(np.random.default_rng(1).uniform(0, 5, size=len(X))) if weighted else None
    arguments = {"init_params": init, "random_state": 4, "max_iter": 2, "reg_covar": 1e-2}
    a, b = GaussianMixture(3, **arguments), GaussianMixture(3, **arguments)
    quietly(a.fit, uneven(X), sample_weight=w)
    quietly(b.fit, X, sample_weight=w)
    assert_same(a, b, rtol=1e-6)


@pytest.mark.parametrize("layout", ["full", "tied"])
def test_a_start_from_a_sample(layout, local, small_limit):
    X = data()
    w = np.where(X[:, 0] > 1.5, 3.0, 1.0)
    expected = GaussianMixture(2, covariance_type=layout, random_state=0, tol=1e-9, max_iter=500).fit(
        X, sample_weight=w
    )
    found = GaussianMixture(2, covariance_type=layout, random_state=0, tol=1e-9, max_iter=500)
    found.fit(uneven(X), sample_weight=w)
    order = [np.argsort(a.means_[:, 0]) for a in (found, expected)]
    np.testing.assert_allclose(found.means_[order[0]], expected.means_[order[1]], atol=1e-3)


def test_the_sample_is_that_of_a_stream(local, small_limit):
    X = np.arange(6000.0)[:, None]
    found = open_source(uneven(X)).for_start(np.random.RandomState(3))
    expected = stream.survey(_Pieces(X)).for_start(np.random.RandomState(3))
    assert np.array_equal(found.X, expected.X)
    w = np.where(X[:, 0] < 600, 10.0, 1.0)
    weighted = open_source(uneven(X), w).for_start(np.random.RandomState(3))
    expected = stream.survey(_Pieces(X), w).for_start(np.random.RandomState(3))
    assert np.array_equal(weighted.X, expected.X)
    assert np.array_equal(weighted.weights, expected.weights)


class _Pieces:
    """A reader of an array in two pieces."""

    def __init__(self, X):
        self.X = X

    def pieces(self, rows=None):
        return iter([(0, self.X[:1000]), (1, self.X[1000:])])

    def label(self, chunk):
        return f"chunk {chunk}"

    def mapped(self):
        return None


# --- collections of all kinds


@pytest.mark.parametrize("weights", ["none", "numpy", "list", "zeros", "equal", "dask"])
@pytest.mark.parametrize("kind", ["columns", "unknown", "float32", "integers", "empty", "single"])
def test_kinds_of_arrays(kind, weights, local):
    X = data()
    if kind == "integers":
        X = np.round(X).astype(np.int32)
    if kind == "float32":
        X = X.astype(np.float32)
    w = np.random.default_rng(2).uniform(size=len(X))
    w = {"none": None, "zeros": w * (np.arange(len(X)) >= 2501), "equal": np.full(len(X), 2.5)}.get(weights, w)
    there = {
        "columns": lambda: uneven(X, (2, 1)),
        "unknown": lambda: unknown(uneven(X)),
        "empty": lambda: da.concatenate([uneven(X)[:0], uneven(X), uneven(X)[:0]]),
        "single": lambda: da.from_array(X, chunks=-1),
    }.get(kind, lambda: uneven(X))()
    given = w
    if weights == "list":
        given = list(w)
    if weights == "dask":
        given = da.from_array(
            w,
            chunks=(tuple(map(len, [b.compute() for b in there.blocks])),) if kind != "columns" else (there.chunks[0],),
        )
    # the last changes of a float32 fit are roundings, which its number of iterations must not hang on
    found, expected = (model(tol=1e-4 if kind == "float32" else 1e-6) for _ in range(2))
    quietly(found.fit, there, sample_weight=given)
    quietly(expected.fit, X, sample_weight=w)
    assert_same(found, expected, rtol=1e-5 if kind == "float32" else 1e-10)
    assert found.score(there, sample_weight=given) == pytest.approx(expected.score(X, sample_weight=w), rel=1e-6)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_the_unit_of_weights_is_that_of_all_partitions(scale, local):
    X = data()
    w = np.random.default_rng(2).uniform(size=len(X)) * np.where(np.arange(len(X)) < 700, 1e-3, 1.0) * scale
    source = open_source(uneven(X), w)
    expected = open_source(X, w)
    assert source.weight_unit == expected.weight_unit
    assert source.total_weight == pytest.approx(expected.total_weight, rel=1e-14)
    assert_same(model().fit(uneven(X), sample_weight=w), model().fit(X, sample_weight=w))


def test_a_sample_out_of_reach_counts_for_nothing_at_weight_zero(local):
    X = data()
    X[7] = 1e200
    w = np.ones(len(X))
    w[7] = 0.0
    assert_same(model().fit(uneven(X), sample_weight=w), model().fit(np.delete(X, 7, axis=0)))


def test_warm_start_and_restarts(local):
    X = data()
    a, b = (GaussianMixture(2, n_init=2, warm_start=True, random_state=0, max_iter=3) for _ in range(2))
    for _ in range(2):
        quietly(a.fit, uneven(X))
        quietly(b.fit, X)
    assert_same(a, b)


# --- lazily


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values_of_samples_are_lazy(method, dtype, local):
    X = data(dtype=dtype)
    fit = model().fit(X)
    want = getattr(fit, method)(X)
    for array in (uneven(X), uneven(X, (1, 2)), unknown(uneven(X)), da.concatenate([uneven(X)[:0], uneven(X)])):
        with dask.config.set(scheduler=_never):
            found = getattr(fit, method)(array)
        assert isinstance(found, da.Array)
        assert found.dtype == want.dtype
        assert found.ndim == want.ndim
        assert isinstance(found._meta, np.ndarray)
        np.testing.assert_array_equal(found.chunks[0], array.chunks[0])
        assert found.chunks[1:] == ((2,),) * (want.ndim - 1)
        computed = found.compute()
        assert computed.dtype == want.dtype
        np.testing.assert_allclose(computed, want, rtol=1e-12 if dtype == np.float64 else 1e-5)


@pytest.mark.parametrize("known", [True, False], ids=["divisions", "no divisions"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values_of_a_frame_have_its_partitions_and_index(dtype, known, local):
    frame = pd.DataFrame(data(n=600, dtype=dtype), columns=["a", "b", "c"], index=np.arange(600) * 7 + 1000)
    there = dd.from_pandas(frame, npartitions=8)
    there = there if known else there.clear_divisions()
    there = there[there["a"] > -100]  # lengths are unknown
    fit = model().fit(frame)
    for method, name in [("predict", "label"), ("score_samples", "log_likelihood"), ("predict_proba", ["p0", "p1"])]:
        with dask.config.set(scheduler=_never):
            found = getattr(fit, method)(there)
        want = getattr(fit, method)(frame)
        assert isinstance(found, dd.Series if isinstance(name, str) else dd.DataFrame)
        assert (found.npartitions, found.divisions) == (there.npartitions, there.divisions)
        computed = found.compute()
        pd.testing.assert_index_equal(computed.index, frame.index)
        assert (computed.name if isinstance(name, str) else list(computed.columns)) == name
        assert computed.to_numpy().dtype == want.dtype
        pd.testing.assert_frame_equal(pd.DataFrame(computed[:0]), pd.DataFrame(found._meta), check_index_type=False)
        np.testing.assert_allclose(computed, want, rtol=1e-12 if dtype == np.float64 else 1e-5)


def test_labels_can_be_assigned_to_the_frame(local):
    frame = pd.DataFrame(data(n=600), columns=["a", "b", "c"])
    fit = model().fit(frame)
    one = dd.from_pandas(frame, npartitions=8)
    two = dd.concat([one, one], interleave_partitions=False)
    for there, here in [(one, frame), (one.repartition(npartitions=4), frame), (two, pd.concat([frame, frame]))]:
        labelled = there.assign(label=fit.predict(there)).compute()
        np.testing.assert_array_equal(labelled["label"], fit.predict(here))
        pd.testing.assert_frame_equal(labelled[["a", "b", "c"]], here)
        joined = dd.concat([there, fit.predict_proba(there)], axis=1).compute()
        np.testing.assert_array_equal(joined[["p0", "p1"]], fit.predict_proba(here))
    assert one[fit.predict(one) == 1].compute().index.equals(frame.index[fit.predict(frame) == 1])
    with_labels = one.assign(label=model().fit_predict(one)).compute()
    assert set(with_labels["label"]) == {0, 1}


def test_errors_in_partitions_of_frames_name_them(local):
    frame = pd.DataFrame(data(n=80), columns=["a", "b", "c"])
    fit = model().fit(frame)
    frame.iloc[37, 1] = np.inf
    with pytest.raises(ValueError, match=r"partition 3 contains infinity: row 7 \(counted from 0\), column 1"):
        fit.predict(dd.from_pandas(frame, npartitions=8)).compute()
    empty = dd.concat([dd.from_pandas(frame[:0], npartitions=1), dd.from_pandas(frame[:8], npartitions=1)])
    assert fit.predict(empty).compute().tolist() == fit.predict(frame[:8]).tolist()


def _never(*arguments, **options):
    raise AssertionError("nothing should be computed")


def test_fit_predict_is_lazy(local):
    X = data()
    fit = model()
    labels = fit.fit_predict(uneven(X), sample_weight=np.where(X[:, 0] > 0, 1.0, 0.0))
    assert isinstance(labels, da.Array)
    assert labels.shape == (len(X),)
    assert np.array_equal(labels.compute(), fit.predict(X))


def test_lazy_errors(local):
    X = data()
    fit = model().fit(X)
    with pytest.raises(ValueError, match="X has 2 features, but GaussianMixture is expecting 3 features"):
        fit.predict(uneven(X[:, :2]))
    X[710, 1] = np.inf
    with pytest.raises(ValueError, match=r"partition 3 contains infinity: row 9 \(counted from 0\), column 1"):
        fit.predict_proba(uneven(X)).compute()
    lying = uneven(X).map_blocks(lambda block: block[:, :2], dtype=float, meta=np.empty((0, 0)))
    with pytest.raises(ValueError, match=r"partition \d has 2 features, but the model was fitted with 3"):
        fit.predict(lying).compute()
    with pytest.raises(ValueError, match="not fitted yet"):
        GaussianMixture().predict_proba(uneven(X))


# --- what cannot be used


def nan_in_partition_3():
    X = data()
    X[705:, 2] = np.nan
    return uneven(X)


def widths():
    pieces = [dask.delayed(np.ones)((4, d)) for d in (3, 3, 2)]
    return da.concatenate([da.from_delayed(p, (4, 3), float) for p in pieces])


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (lambda: uneven(data()[:, 0]), ValueError, r"must be two-dimensional.*got a Dask Array of shape \(6000,\)"),
        (lambda: da.ones((4, 3, 2)), ValueError, r"must be two-dimensional.*shape \(4, 3, 2\)"),
        (lambda: da.ones((4, 0)), ValueError, r"X has 0 feature\(s\)"),
        (
            lambda: dd.from_pandas(pd.Series([1.0, 2.0]), npartitions=1),
            ValueError,
            r"must be two-dimensional.*to_frame",
        ),
        (
            lambda: da.from_array(np.array([["a", "b"]] * 4, object), chunks=2),
            TypeError,
            "partition 0 has dtype object.*'a', a str",
        ),
        (lambda: da.from_array(np.array([["a", "b"]] * 4)), ValueError, "partition 0 must hold numbers"),
        (lambda: uneven(data()).astype(complex), ValueError, "Complex data not supported: partition 0"),
        (nan_in_partition_3, ValueError, r"partition 3 contains NaN: row 4 \(counted from 0\), column 2 is nan"),
        (widths, ValueError, "partition 2 has 2 features, the partitions before have 3"),
        (lambda: uneven(data())[:0], ValueError, "no samples"),
        (lambda: uneven(data())[:1], ValueError, "1 sample.*minimum of 2"),
        (lambda: 1e200 * uneven(data()), ValueError, "too large for squared distances"),
        (lambda: dask.bag.from_sequence([1, 2]), TypeError, "X is a Dask Bag: pass a dask.array"),
    ],
)
def test_collections_that_cannot_be_used(bad, error, message, local):
    import dask.bag  # noqa: F401

    fit = model()
    with pytest.raises(error, match=message):
        fit.fit(bad())
    assert not hasattr(fit, "means_")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda: np.ones(7), r"sample_weight must have the shape \(6000,\).*got \(7,\)"),
        (
            lambda: da.ones(6000, chunks=1000)[:3000],
            "sample_weight has 3 partitions and X has 6: both must be cut alike",
        ),
        (
            lambda: da.ones(6000, chunks=1000),
            r"sample_weight.partitions\[0\] must have the shape \(1,\).*got \(1000,\)",
        ),
        (lambda: da.ones((6000, 1), chunks=(1000, 1)), r"shape \(n_samples,\).*Dask Array of shape \(6000, 1\)"),
        (lambda: -uneven(np.ones(6000)), r"sample_weight.partitions\[0\] must not be negative"),
        (lambda: uneven(np.where(np.arange(6000) == 701, np.nan, 1.0)), r"sample_weight.partitions\[3\] contains NaN"),
        (lambda: uneven(np.zeros(6000)), "none of positive weight"),
        (lambda: np.zeros(6000), "sample_weight is zero for all samples"),
        (lambda: dask.delayed(np.ones)(6000), "sample_weight must hold|dtype object|sample_weight"),
    ],
)
def test_weights_that_cannot_be_used(bad, message, local):
    fit = model()
    with pytest.raises((ValueError, TypeError), match=message):
        fit.fit(uneven(data()), sample_weight=bad())
    assert not hasattr(fit, "means_")


def test_errors_come_through_from_workers(client):
    with pytest.raises(ValueError, match=r"partition 3 contains NaN: row 4"):
        model().fit(nan_in_partition_3())

    def fails(block):
        raise OSError("my disk is on fire")

    with pytest.raises(OSError, match="my disk is on fire"):
        model().fit(uneven(data()).map_blocks(fails, dtype=float, meta=np.empty((0, 0))))


# --- threads


@pytest.mark.parametrize(
    ("of_worker", "n_parts", "n_threads", "expected"),
    [(1, 1, None, 1), (1, 9, 4, 1), (4, 1, None, 4), (4, 2, None, 2), (4, 3, None, 1), (4, 9, None, 1), (4, 1, 3, 3)],
)
def test_threads_of_a_task(of_worker, n_parts, n_threads, expected, monkeypatch):
    monkeypatch.setattr(parts, "_worker_threads", lambda: of_worker)
    monkeypatch.setattr(parts._threads, "max_threads", lambda: 8)
    assert parts._share(n_parts, n_threads) == expected


def test_threads_of_the_worker_are_seen(client):
    def seen(_):
        from fastgmm.data import dask as parts

        return parts._worker_threads()

    assert client.gather(client.map(seen, range(2))) == [1, 1]
    assert parts._worker_threads() is None


@compiled
def test_tasks_on_one_thread_do_not_wait_for_the_workqueue():
    code = """
import concurrent.futures, numpy as np, warnings
from fastgmm import GaussianMixture, _jit
warnings.simplefilter("ignore")
X = np.random.default_rng(0).normal(size=(3000, 3))
def fit(_):
    return GaussianMixture(3, random_state=0, tol=0, max_iter=5, n_threads=1).fit(X).lower_bound_
alone = fit(0)
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    assert set(pool.map(fit, range(64))) == {alone}
print(_jit.serial.cache_info().currsize > 0)
"""
    environment = {**os.environ, "NUMBA_THREADING_LAYER": "workqueue"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.stdout.strip() == "True", done.stderr


def test_dask_is_not_loaded_without_need():
    code = "import sys, numpy as np, fastgmm; fastgmm.GaussianMixture().fit(np.eye(3)); print('dask' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_source_that_stays_where_it_is(local):
    source = open_source(uneven(data()))
    assert isinstance(source, DaskSource)
    assert source.n_samples == source.total_weight == 6000
    assert list(source.lengths) == [1, 699, 1, 1800, 2500, 999]
    order = source.map_reduce(lambda part: [len(part.X)], lambda a, b: a + b)
    assert order == list(source.lengths)

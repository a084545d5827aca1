"""Files, memory maps and chunks: the same bits as the same data in memory, and errors that name the chunk."""

from __future__ import annotations

import itertools
import os
import threading
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest

import fastgmm
from fastgmm import GaussianMixture, chunks
from fastgmm.data.chunks import RawFile
from fastgmm.data.open import open_source
from fastgmm.data.prefetch import ahead
from fastgmm.data.source import ArraySource
from fastgmm.data.stream import StreamError, StreamSource

LAYOUTS = ["full", "tied", "diag", "spherical"]


@pytest.fixture
def small_limit(limits):
    """Streams that fit into memory count as larger."""

    limits(loaded=4096, block_bytes=40_000)  # several blocks


def data(n=6000, d=3, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) + 5.0 * rng.integers(2, size=(n, 1))).astype(dtype)


def model(layout="full", d=3, **arguments):
    given = {"full": np.array([np.eye(d)] * 2), "tied": np.eye(d), "diag": np.ones((2, d)), "spherical": np.ones(2)}
    start = {"weights_init": [0.5, 0.5], "means_init": [[0.0] * d, [5.0] * d], "precisions_init": given[layout]}
    return GaussianMixture(2, covariance_type=layout, **{**start, **arguments})


def assert_same_bits(a, b):
    for name in ("weights_", "means_", "covariances_", "precisions_cholesky_"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert a.lower_bounds_ == b.lower_bounds_


def uneven(X):
    """Chunks of many sizes, one of them empty."""
    cuts = [0, 1, 1, 700, 701, 2500, 5000, len(X)]
    return [X[a:b] for a, b in itertools.pairwise(cuts)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_memory_map_gives_the_bits_of_memory(layout, dtype, tmp_path, small_limit):
    X = data(dtype=dtype)
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    expected = model(layout).fit(X)
    assert isinstance(open_source(mapped), StreamSource)
    assert_same_bits(model(layout).fit(mapped), expected)
    assert_same_bits(model(layout).fit(tmp_path / "x.npy"), expected)
    assert_same_bits(model(layout).fit(str(tmp_path / "x.npy")), expected)
    assert np.array_equal(expected.predict(mapped), expected.predict(X))
    assert np.array_equal(expected.predict_proba(mapped), expected.predict_proba(X))
    assert np.array_equal(expected.score_samples(mapped), expected.score_samples(X))
    assert expected.score(mapped) == expected.score(X)
    assert expected.bic(mapped) == expected.bic(X)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_chunks_give_the_bits_of_memory(layout, small_limit):
    X = data()
    expected = model(layout).fit(X)
    source = chunks(uneven(X))
    assert isinstance(open_source(source), StreamSource)
    for threads in (1, 2, 3):
        assert_same_bits(model(layout, n_threads=threads).fit(source), expected)
    assert np.array_equal(expected.predict(source), expected.predict(X))


def test_default_start_of_a_file_is_that_of_memory(tmp_path, small_limit):
    X = data()
    np.save(tmp_path / "x.npy", X)
    a, b = (GaussianMixture(2, random_state=0).fit(source) for source in (X, tmp_path / "x.npy"))
    assert_same_bits(a, b)


def test_default_start_of_small_chunks_is_that_of_memory():
    X = data()
    a, b = (GaussianMixture(3, random_state=0).fit(source) for source in (X, chunks(uneven(X))))
    assert_same_bits(a, b)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("init", ["kmeans", "k-means++", "random", "random_from_data"])
def test_start_from_a_sample(init, weighted, small_limit):
    X = data()
    w = np.where(X[:, 0] > 2.5, 3.0, 1.0) if weighted else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = GaussianMixture(2, init_params=init, random_state=0, max_iter=200).fit(chunks(uneven(X)), sample_weight=w)
    if init == "kmeans":
        share = np.average(X[:, 0] > 2.5, weights=w)
        assert sorted(fit.weights_) == pytest.approx(sorted([share, 1 - share]), abs=0.02)
    assert np.isfinite(fit.lower_bound_)


def test_the_sample_of_a_start_is_spread_by_weight(small_limit):
    X = np.arange(6000.0)[:, None]
    w = np.ones(6000)
    w[3000:] = 9.0
    source = open_source(chunks([X[:100], X[100:]]), w)
    few = source.for_start(np.random.RandomState(0))
    assert few.n_samples <= 512
    share = few.X[:, 0] >= 3000
    heavy = few.total_weight if few.weights is None else few.weights.sum()
    found = share.sum() if few.weights is None else few.weights[share].sum()
    assert found / heavy == pytest.approx(0.9, abs=0.01)
    again = source.for_start(np.random.RandomState(0))
    assert np.array_equal(again.X, few.X)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_with_chunks(layout, small_limit):
    X, rng = data(), np.random.default_rng(1)
    w = rng.uniform(0.5, 1.0, size=len(X))
    assert_same_bits(model(layout).fit(chunks(uneven(X)), sample_weight=w), model(layout).fit(X, sample_weight=w))
    w[rng.uniform(size=len(X)) < 0.3] = 0.0
    a, b = model(layout).fit(chunks(uneven(X)), sample_weight=w), model(layout).fit(X, sample_weight=w)
    np.testing.assert_allclose(a.covariances_, b.covariances_, rtol=1e-10)
    assert a.score(chunks(uneven(X)), sample_weight=w) == pytest.approx(b.score(X, sample_weight=w), rel=1e-12)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["whole", "rows", "columns", "copy-on-write", "odd offset", "big-endian", "integers"])
def test_memory_maps_of_all_kinds(order, kind, tmp_path, small_limit):
    X = data(3000)
    dtype = {"big-endian": ">f8", "integers": "i4"}.get(kind, "f8")
    X = X.astype(dtype)
    offset = 3 if kind == "odd offset" else 128
    mapped = np.memmap(tmp_path / "x.bin", dtype, "w+", offset, X.shape, order)
    mapped[:] = X
    mapped.flush()
    if kind == "copy-on-write":
        mapped = np.memmap(tmp_path / "x.bin", dtype, "c", offset, X.shape, order)
        mapped[0], X[0] = 1.0, 1.0
    if kind == "rows":
        mapped, X = mapped[500:2900], X[500:2900]
    if kind == "columns":
        mapped, X = mapped[:, 1:], X[:, 1:]
    assert_same_bits(model(d=X.shape[1]).fit(mapped), model(d=X.shape[1]).fit(np.asarray(X, np.float64)))


def test_a_memory_map_whose_file_is_gone_is_read_through_its_mapping(tmp_path, small_limit):
    X = data()
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    os.unlink(tmp_path / "x.npy")
    assert RawFile.of_memmap(mapped) is None
    assert_same_bits(model().fit(mapped), model().fit(X))


class Loader:
    """Re-iterable; batches come as lists, as torch's loaders give them."""

    def __init__(self, X):
        self.X, self.passes = X, 0

    def __iter__(self):
        self.passes += 1
        for start in range(0, len(self.X), 999):
            yield [self.X[start : start + 999]]


def test_everything_that_can_be_gone_through_again(tmp_path, small_limit):
    X = data()
    expected = model().fit(X)
    for i, part in enumerate(uneven(X)):
        np.save(tmp_path / f"part-{i}.npy", part) if len(part) else None
    names = ["a", "b", "c"]
    table = pa.table(dict(zip(names, X.T, strict=True)))
    (tmp_path / "arrow").mkdir()
    pyarrow.parquet.write_table(table, tmp_path / "arrow" / "one.parquet", row_group_size=1000)
    loader = Loader(X)
    for source in (
        [tmp_path / f"part-{i}.npy" for i in (0, 2, 3, 4, 5, 6)],
        tmp_path,
        str(tmp_path / "part-*.npy"),
        tmp_path / "arrow",
        tmp_path / "arrow" / "one.parquet",
        pyarrow.dataset.dataset(tmp_path / "arrow"),
        table,
        lambda: (X[i : i + 100] for i in range(0, len(X), 100)),
        lambda: uneven(X),
        loader,
        chunks(uneven(X)),
    ):
        assert_same_bits(model().fit(chunks(source)), expected)
    assert loader.passes == 1 + expected.n_iter_
    import pandas as pd

    frames = [pd.DataFrame(part, columns=names) for part in uneven(X)]
    assert_same_bits(model().fit(chunks(frames)), expected)


def test_an_arrow_table_is_data_with_names(small_limit):
    X = data(200)
    table = pa.table(dict(zip(["a", "b", "c"], X.T, strict=True)))
    fit = model().fit(table)
    assert list(fit.feature_names_in_) == ["a", "b", "c"]
    assert_same_bits(fit, model().fit(X))
    with pytest.raises(ValueError, match="feature names should match"):
        fit.predict(table.rename_columns(["a", "b", "x"]))


def test_text_and_npz_files_one_at_a_time(tmp_path):
    X = data(50)
    np.savetxt(tmp_path / "a.csv", X[:20], delimiter=",")
    np.savetxt(tmp_path / "b.csv", X[20:], delimiter=",")
    assert_same_bits(model().fit(str(tmp_path / "*.csv")), model().fit(X))
    np.savez(tmp_path / "c.npz", X)
    assert_same_bits(model().fit(tmp_path / "c.npz"), model().fit(X))


def test_columns(tmp_path, small_limit):
    X = data(d=4)
    expected = model(d=2).fit(np.ascontiguousarray(X[:, [2, 0]]))
    np.save(tmp_path / "x.npy", X)
    table = pa.table(dict(zip("abcd", X.T, strict=True)))
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
    for source, columns in (
        (tmp_path / "x.npy", [2, 0]),
        (tmp_path / "x.parquet", ["c", "a"]),
        (table, ["c", "a"]),
        (pyarrow.dataset.dataset(tmp_path / "x.parquet"), ["c", "a"]),
        ([X[:10], X[10:]], [2, 0]),
    ):
        assert_same_bits(model(d=2).fit(chunks(source, columns=columns)), expected)
    with pytest.raises(ValueError, match="chunk 0 has 4 columns, but columns \\[7\\] were asked for"):
        model().fit(chunks([X], columns=[7]))
    with pytest.raises(TypeError, match="columns of arrays must be integers"):
        model().fit(chunks([X], columns=["a"]))
    with pytest.raises(TypeError, match=r"columns is the string 'a'; it must be a sequence"):
        chunks([X], columns="a")


def test_iterating_chunks_gives_arrays():
    X = data(10)
    parts = chunks([X[:4], X[4:]])
    assert [len(part) for part in parts] == [4, 6]
    assert [len(part) for part in parts] == [4, 6]


# --- what goes wrong


def test_one_shot_iterators_are_refused():
    X = data(10)
    with pytest.raises(TypeError, match=r"a generator can be read only once.*chunks\(lambda: "):
        chunks(x for x in [X])
    once = iter([X])
    with pytest.raises(TypeError, match="list_iterator can be read only once"):
        chunks(once)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (np.zeros((5, 2)), ValueError, "chunk 1 has 2 features, the chunks before have 3"),
        (np.zeros(5), ValueError, r"chunk 1 has the shape \(5,\)"),
        (np.zeros((2, 2, 2)), ValueError, r"chunk 1 has the shape \(2, 2, 2\)"),
        (np.array([["a", "b", "c"]]), ValueError, "chunk 1 must hold numbers"),
        (np.array([[1j, 0, 0]]), ValueError, "Complex data not supported: chunk 1"),
        (np.array([[0, 0, 0], [0, np.nan, 0]]), ValueError, r"chunk 1 contains NaN: row 1 .*column 1"),
        (np.array([[0, 0, -np.inf]]), ValueError, r"chunk 1 contains infinity: row 0 .*column 2"),
        ({"x": np.zeros((2, 3))}, TypeError, "chunk 1 is a dict with the keys 'x'"),
        ((np.zeros((2, 3)), np.zeros(2)), TypeError, "chunk 1 is a sequence of 2 arrays"),
        ("no.npy", TypeError, "mixes paths and arrays"),
    ],
)
def test_bad_chunks_are_named(bad, error, message):
    fit = model()
    with pytest.raises(error, match=message):
        fit.fit(chunks([data(10), bad]))
    assert not hasattr(fit, "means_")


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ([], ValueError, "the sequence of chunks is empty"),
        (np.zeros((3, 3)), TypeError, "data is one array"),
        (7, TypeError, "chunks cannot be made of a int"),
        ("nowhere-*.npy", ValueError, "no file matches the pattern 'nowhere-"),
    ],
)
def test_what_chunks_cannot_be_made_of(bad, error, message):
    with pytest.raises(error, match=message):
        chunks(bad)


def test_no_samples_at_all():
    with pytest.raises(ValueError, match="the chunks hold no samples at all"):
        model().fit(chunks([np.zeros((0, 3)), np.zeros((0, 3))]))
    with pytest.raises(StreamError, match="no chunk came"):
        model().fit(chunks(lambda: iter(())))
    with pytest.raises(ValueError, match=r"X has 1 sample\(s\)"):
        GaussianMixture().fit(chunks([np.zeros((1, 3))]))
    with pytest.raises(TypeError, match="the function returned a int"):
        model().fit(chunks(lambda: 3))


def test_missing_files_and_directories(tmp_path):
    with pytest.raises(FileNotFoundError, match="No such file"):
        model().fit(tmp_path / "none.npy")
    with pytest.raises(ValueError, match="holds no file that can be read"):
        model().fit(tmp_path)
    np.save(tmp_path / "a.npy", data(5))
    (tmp_path / "b.csv").write_text("1,2,3\n")
    with pytest.raises(ValueError, match=r"several kinds \(\.csv, \.npy\)"):
        model().fit(tmp_path)
    (tmp_path / "c.npy").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"c\.npy is not a readable \.npy file"):
        model().fit(tmp_path / "c.npy")
    (tmp_path / "d.xyz").write_text("")
    with pytest.raises(ValueError, match=r"'\.xyz' is not one that can be read"):
        model().fit(tmp_path / "d.xyz")


class Changing:
    """Chunks that are others from the second pass on."""

    def __init__(self, X, change):
        self.X, self.change, self.passes = X, change, 0

    def __iter__(self):
        self.passes += 1
        parts = [self.X[:3000], self.X[3000:]]
        return iter(parts if self.passes == 1 else self.change(parts))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda parts: [parts[0][:-1], parts[1]], "chunk 0 had 3000 samples on the first pass and has 2999 now"),
        (lambda parts: parts[:1], "chunk 1 had 3000 samples on the first pass and has 0 now"),
        (lambda parts: [*parts, parts[0]], "there were 2 chunks of 3 features"),
        (lambda parts: [parts[0][:, :2], parts[1]], r"chunk 0 has the shape \(3000, 2\) now"),
        (lambda parts: [], "no chunk came"),
        (lambda parts: [parts[0], np.array([["a"]])], "chunk 1 must hold numbers"),
    ],
)
def test_chunks_that_change_between_passes(change, message, small_limit):
    fit = model()
    with pytest.raises(ValueError, match=message):
        fit.fit(chunks(Changing(data(), change)))
    assert not hasattr(fit, "means_")


def test_files_that_vanish_or_change_between_passes(tmp_path, small_limit):
    X = data()
    for i, part in enumerate((X[:3000], X[3000:])):
        np.save(tmp_path / f"{i}.npy", part)
    source = open_source(chunks(tmp_path))
    np.save(tmp_path / "1.npy", X[3000:5000])
    with pytest.raises(StreamError, match=r"chunk 1 \(.*1\.npy\) had 3000 samples on the first pass and has 2000 now"):
        list(source.blocks(1000))
    os.unlink(tmp_path / "1.npy")
    with pytest.raises(StreamError, match=r"chunk 1 \(.*1\.npy\) is not there \(any more\)"):
        list(source.blocks(1000))
    mapped = np.load(tmp_path / "0.npy", mmap_mode="r")
    source = open_source(mapped)
    with open(tmp_path / "0.npy", "ab") as file:
        file.write(b"more")
    with pytest.raises(StreamError, match=r"0\.npy has \d+ bytes now and had \d+"):
        list(source.blocks(1000))


def test_a_weight_for_every_sample(small_limit):
    with pytest.raises(ValueError, match=r"sample_weight must have the shape \(6000,\)"):
        model().fit(chunks(uneven(data())), sample_weight=np.ones(7))


def test_an_error_of_the_users_own_comes_through():
    def parts():
        yield data(10)
        raise RuntimeError("my disk is on fire")

    with pytest.raises(RuntimeError, match="my disk is on fire"):
        model().fit(chunks(parts))


# --- reading ahead


def test_ahead_keeps_order_and_ends_its_thread():
    before = threading.active_count()
    assert list(ahead(iter(range(50)))) == list(range(50))
    items = ahead(iter(range(10**9)))
    assert next(items) == 0
    items.close()
    assert threading.active_count() == before


def test_blocks_are_whole_and_few_at_a_time(small_limit):
    X = data()
    source = open_source(chunks(uneven(X)))
    assert isinstance(source, StreamSource)
    starts, found = [], []
    for block in source.blocks(777):
        starts.append(block.start)
        found.append(block.X.copy())
    assert starts == list(range(0, 6000, 777))
    assert np.array_equal(np.concatenate(found), X)
    assert isinstance(open_source(chunks([X[:20], X[20:30]])), ArraySource)


def test_help_shows_the_door():
    assert "chunks" in fastgmm.__all__
    assert Path(fastgmm.chunks.__code__.co_filename).name == "chunks.py"

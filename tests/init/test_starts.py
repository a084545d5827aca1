"""Kinds of starts, and starts from known groups."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import fastgmm
from fastgmm import GaussianMixture, chunks, em_step, sufficient_statistics
from fastgmm.data.source import ArraySource
from fastgmm.data.stream import StreamSource
from fastgmm.em.result import FitResult
from fastgmm.em.step import MaximumLikelihood
from fastgmm.em.sweep import total
from fastgmm.fitting import run as fitting
from fastgmm.fitting.checkpoint import Checkpoint
from fastgmm.init import em_em, hierarchical, starts
from fastgmm.init.best_of import rank
from fastgmm.init.hierarchical import TRACE, Agglomeration
from fastgmm.init.starts import Supplied, start_of
from fastgmm.init.whitening import Whitening
from fastgmm.model.structures import STRUCTURES

LAYOUTS = ["full", "tied", "diag", "spherical"]
KINDS = ["whitened", "hierarchical", "em-em", "auto"]


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*did not converge")
        yield


def stretched(n=900, d=4, k=2, seed=0, dtype=np.float64):
    """Clusters along one axis, turned; all vary 30 times as much along the others."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(k, size=n)
    X = rng.normal(size=(n, d))
    X[:, 1:] *= 30.0
    X[:, 0] += 6.0 * labels
    return (X @ np.linalg.qr(rng.normal(size=(d, d)))[0]).astype(dtype), labels


def start(X, kind, k=2, layout="full", seed=0, sample_weight=None, **arguments):
    """First parameters."""
    model = GaussianMixture(k, covariance_type=layout, init_params=kind, max_iter=0, random_state=seed, **arguments)
    return model.fit(X, sample_weight=sample_weight)


def assert_same_bits(a, b):
    for name in ("weights_", "means_", "covariances_"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name


def assert_close(a, b, rtol=1e-9):
    for name in ("weights_", "means_", "covariances_"):
        want = getattr(b, name)
        np.testing.assert_allclose(getattr(a, name), want, rtol=rtol, atol=rtol * np.abs(want).max(), err_msg=name)


def same_partition(a, b):
    return len(set(zip(a, b, strict=True))) == len(set(a)) == len(set(b))


def agreement(found, labels):
    """Share of samples in the right one of two clusters."""
    share = float(np.mean(found == labels))
    return max(share, 1 - share)


# --- known groups ---


def known(labels, k, how):
    rng = np.random.default_rng(7)
    if how == "labels":
        return labels
    soft = 0.9 * np.eye(k)[labels] + 0.1 * rng.dirichlet(np.ones(k), size=len(labels))
    return soft.astype(how)


@pytest.mark.parametrize("how", ["labels", np.float64, np.float32])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_em_starts_from_the_m_step_of_known_groups(layout, how):
    X, labels = stretched(k=3)
    groups = known(labels, 3, how)
    resp = np.eye(3)[labels] if how == "labels" else groups.astype(np.float64)
    counts = resp.sum(axis=0)
    means = resp.T @ X / counts[:, None]
    scatter = np.array([(r[:, None] * (X - m)).T @ (X - m) for r, m in zip(resp.T, means, strict=True)])
    expected = {
        "full": scatter / counts[:, None, None] + 1e-6 * np.eye(4),
        "tied": scatter.sum(axis=0) / len(X) + 1e-6 * np.eye(4),
        "diag": np.einsum("kii->ki", scatter) / counts[:, None] + 1e-6,
        "spherical": np.einsum("kii->k", scatter) / (4 * counts) + 1e-6,
    }[layout]
    rtol = 1e-6 if how is np.float32 else 1e-10
    found = start(X, groups, 3, layout)
    np.testing.assert_allclose(found.weights_, counts / len(X), rtol=rtol)
    np.testing.assert_allclose(found.means_, means, rtol=rtol, atol=10 * rtol)
    np.testing.assert_allclose(found.covariances_, expected, rtol=rtol, atol=rtol * np.abs(expected).max())
    model = GaussianMixture(3, covariance_type=layout, init_params=groups, max_iter=1).fit(X)
    step = em_step(X, found.weights_, found.means_, found.covariances_, covariance_type=layout)
    np.testing.assert_allclose(model.means_, step.means, rtol=1e-9, atol=1e-9)
    assert model.lower_bound_ == pytest.approx(found.score(X), rel=1e-12)


def test_labels_are_responsibilities_of_zero_and_one():
    X, labels = stretched()
    one_hot = np.eye(2)[labels]
    assert_same_bits(start(X, labels), start(X, one_hot))
    assert_same_bits(start(X, labels.tolist()), start(X, pd.Series(labels)))
    assert_same_bits(start(X, labels.astype(np.uint8)), start(X, one_hot.astype(int)))


def test_rows_that_add_up_to_nearly_one_are_divided_by_their_sums():
    X, labels = stretched()
    soft = known(labels, 2, np.float64)
    assert_close(start(X, soft * (1 + 1e-6)), start(X, soft), rtol=1e-12)


def test_means_far_apart_keep_their_digits():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    X = rng.normal(size=(400, 2)) + 1e8 * labels[:, None]
    found = start(X, labels)
    for k in range(2):
        np.testing.assert_allclose(found.covariances_[k], np.cov(X[labels == k].T, bias=True), rtol=1e-5)


@pytest.mark.parametrize("how", ["labels", np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_known_groups_stay_with_their_samples_where_weights_are_zero(layout, how):
    X, labels = stretched()
    weights = np.random.default_rng(1).integers(0, 3, size=len(X)).astype(float)
    groups = known(labels, 2, how)
    found = start(X, groups, 2, layout, sample_weight=weights)
    kept = weights > 0
    assert_same_bits(found, start(X[kept], groups[kept], 2, layout, sample_weight=weights[kept]))
    repeated = np.repeat(np.arange(len(X)), weights.astype(int))
    assert_close(found, start(X[repeated], groups[repeated], 2, layout))
    assert_close(found, start(X, groups, 2, layout, sample_weight=7 * weights))
    assert_same_bits(found, start(chunks([X[:300], X[300:]]), groups, 2, layout, sample_weight=weights))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_known_groups_of_data_that_are_read_in_blocks(tmp_path, limits, layout):
    X, labels = stretched(n=5000)
    weights = np.random.default_rng(1).integers(0, 3, size=len(X)).astype(float)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "labels.npy", labels)
    from_memory = [start(X, labels, 2, layout), start(X, labels, 2, layout, sample_weight=weights)]
    limits(loaded=1000, block_bytes=30_000)
    mapped = np.load(tmp_path / "labels.npy", mmap_mode="r")
    source = fastgmm.data.open.open_source(tmp_path / "X.npy", weights)
    assert isinstance(source, StreamSource)
    for data in (tmp_path / "X.npy", chunks(list(np.array_split(X, 7)))):
        assert_close(start(data, mapped, 2, layout), from_memory[0])
        assert_close(start(data, mapped, 2, layout, sample_weight=weights), from_memory[1])


def test_arguments_are_neither_changed_nor_copied():
    X, labels = stretched()
    soft = known(labels, 2, np.float64)
    soft.flags.writeable = labels.flags.writeable = False
    for groups in (labels, soft):
        before = groups.copy()
        model = GaussianMixture(2, init_params=groups).fit(X)
        assert model.init_params is groups
        assert model.get_params()["init_params"] is groups
        assert np.array_equal(groups, before)
        copied = clone(model)
        assert copied.init_params is not groups
        assert np.array_equal(copied.init_params, groups)
        assert_same_bits(copied.fit(X), model)
    assert repr(GaussianMixture(2, init_params=[0, 1])) == "GaussianMixture(init_params=[0, 1], n_components=2)"
    assert "init_params=array([0, 1])" in repr(GaussianMixture(2, init_params=np.array([0, 1])))
    assert repr(GaussianMixture(init_params="kmeans")) == "GaussianMixture()"


def test_there_is_one_start_from_known_groups(monkeypatch):
    X, labels = stretched()
    run, calls = fitting.run, itertools.count()
    monkeypatch.setattr(fitting, "run", lambda *args, **kwargs: (next(calls), run(*args, **kwargs))[1])
    model = GaussianMixture(2, init_params=labels, n_init=5).fit(X)
    assert next(calls) == 1
    assert_same_bits(model, GaussianMixture(2, init_params=labels).fit(X))


def test_what_is_supplied_goes_before_known_groups():
    X, labels = stretched()
    means = [[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0]]
    found = start(X, labels, means_init=means)
    assert np.array_equal(found.means_, means)
    assert np.array_equal(found.covariances_, start(X, labels).covariances_)


def test_known_groups_of_the_first_batch_and_with_epochs():
    X, labels = stretched()
    arguments = {"init_params": labels, "max_iter": 1}
    model = GaussianMixture(2, **arguments).partial_fit(X)
    assert_close(model, GaussianMixture(2, **arguments).fit(X))
    model.partial_fit(X[:50])  # of which they are not
    epochs = GaussianMixture(2, init_params=labels, max_iter=3).fit(X, batch_size=300)
    assert agreement(epochs.predict(X), labels) > 0.99


@pytest.mark.parametrize("how", ["labels", np.float64, np.float32])
def test_known_groups_in_files(tmp_path, how):
    X, labels = stretched()
    groups = known(labels, 2, how)
    model = GaussianMixture(2, init_params=groups).fit(X)
    model.save(tmp_path / "model.npz")
    loaded = fastgmm.load(tmp_path / "model.npz")
    assert loaded.init_params.dtype == groups.dtype
    assert np.array_equal(loaded.init_params, groups)
    assert_same_bits(loaded.fit(X), model)
    model.set_params(init_params="auto").save(tmp_path / "model.npz")
    assert fastgmm.load(tmp_path / "model.npz").init_params == "auto"


def test_a_file_with_two_starts(tmp_path):
    X, labels = stretched()
    GaussianMixture(2, init_params=labels).fit(X).save(tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz") as archive:
        entries = dict(archive)
    entries["header"] = np.array(str(entries["header"]).replace('"params": {', '"params": {"init_params": "auto", '))
    np.savez(tmp_path / "odd.npz", **entries)
    with pytest.raises(ValueError, match="its header holds unknown parameters: 'init_params'"):
        fastgmm.load(tmp_path / "odd.npz")


def test_a_checkpoint_knows_the_groups(tmp_path):
    X, labels = stretched(k=3, n=3000)
    arguments = {"init_params": labels % 2, "max_iter": 12, "tol": 0.0, "n_init": 3}
    whole = GaussianMixture(2, **arguments).fit(X)
    path = tmp_path / "checkpoint"

    steps = itertools.count()
    write = Checkpoint.write

    def interrupted(self, position):
        write(self, position)
        if next(steps) == 4:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            GaussianMixture(2, **arguments).fit(X, checkpoint=path, checkpoint_every=0)
    with pytest.raises(ValueError, match="init_params is not what it was"):
        GaussianMixture(2, **{**arguments, "init_params": labels // 2}).fit(X, checkpoint=path)
    again = GaussianMixture(2, **arguments).fit(X, checkpoint=path)
    assert_same_bits(again, whole)
    assert again.lower_bounds_ == whole.lower_bounds_


Y = np.arange(60) % 2
R = np.full((60, 2), 0.5)


def changed(array, index, value):
    out = array.copy()
    out[index] = value
    return out


BAD = {
    "too short": (Y[:-1], r"must have the shape \(60,\), a label for each sample of X, or \(60, 2\).* got \(59,\)"),
    "too many columns": (np.full((60, 3), 1 / 3), r"or \(60, 2\), a responsibility .* got \(60, 3\)"),
    "a column of labels": (Y[:, None], r"got \(60, 1\)"),
    "three axes": (np.zeros((60, 2, 1)), r"got \(60, 2, 1\)"),
    "empty": ([], r"got \(0,\)"),
    "label too large": (changed(Y, 7, 2), r"within 0 to n_components - 1 = 1, got init_params\[7\] = 2"),
    "label too large, unsigned": (changed(Y.astype(np.uint8), 7, 255), r"got init_params\[7\] = 255"),
    "negative label": (changed(Y, 9, -1), r"within 0 to .*, got init_params\[9\] = -1.*needs responsibilities"),
    "no sample of one": (np.zeros(60, int), r"gives component 1 no sample \(of positive weight\)"),
    "no weight of one": (np.tile([0.0, 1.0], (60, 1)), r"gives component 0 no sample"),
    "float labels": (Y.astype(float), r"must hold integers, got dtype float64: pass init_params.astype\(int\)"),
    "bool labels": (Y == 1, r"must hold integers, got dtype bool"),
    "strings": (np.array(["a", "b"] * 30), r"must hold integers 0 to .*, got init_params\[0\] = .*'a'.*numpy.unique"),
    "objects": (np.array(["a", None] * 30, object), r"got init_params\[0\] = 'a'"),
    "negative": (changed(R, 3, [-0.5, 1.5]), r"must not be negative, got init_params\[3, 0\] = -0.5"),
    "NaN": (changed(R, 4, np.nan), r"Input init_params contains NaN: init_params\[4, 0\]"),
    "infinity": (changed(R, 4, np.inf), r"Input init_params contains infinity"),
    "rows do not add up": (changed(R, 5, [0.5, 0.6]), r"rows that add up to 1, but row 5 adds up to 1.1: divide"),
    "complex": (R.astype(complex), r"Complex data not supported: init_params"),
    "a number": (3, r"init_params must be one of 'kmeans'.*got 3"),
    "None": (None, r"init_params must be one of .*got None"),
    "unknown": ("hierarchic", r"did you mean 'hierarchical'\?"),
    "another unknown": ("emem", r"did you mean 'em-em'\?"),
}


@pytest.mark.parametrize("case", BAD)
def test_groups_that_cannot_be_used(case):
    X = np.random.default_rng(0).normal(size=(60, 3))
    value, message = BAD[case]
    model = GaussianMixture(2, init_params=value)
    with pytest.raises(ValueError, match=message):
        model.fit(X)
    assert not hasattr(model, "means_")


def test_a_component_of_which_all_samples_have_weight_zero():
    X = np.random.default_rng(0).normal(size=(60, 3))
    with pytest.raises(ValueError, match=r"gives component 1 no sample \(of positive weight\)"):
        GaussianMixture(2, init_params=Y).fit(X, sample_weight=1 - Y)
    with pytest.raises(ValueError, match=r"must have the shape \(60,\)"):
        GaussianMixture(2, init_params=Y[::2]).fit(X, sample_weight=1 - Y)


def test_known_groups_and_dask():
    array = pytest.importorskip("dask.array")
    X = np.random.default_rng(0).normal(size=(60, 3))
    with pytest.raises(ValueError, match="cannot be labels or responsibilities if X is distributed"):
        GaussianMixture(2, init_params=Y).fit(array.from_array(X, chunks=(30, 3)))


# --- whitening ---


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_whitening_is_that_of_the_svd(dtype):
    X, _ = stretched(dtype=dtype)
    source = ArraySource(X)
    whitened = Whitening.of(total(source, 1), source.total_weight, source.dtype)(X)
    centred = X.astype(np.float64) - X.mean(axis=0, dtype=np.float64)
    u = np.linalg.svd(centred, full_matrices=False)[0]
    assert whitened.dtype == dtype
    tolerance = 1e-9 if dtype == np.float64 else 2e-3
    # up to a rotation: inner products
    np.testing.assert_allclose(whitened @ whitened.T, len(X) * u @ u.T, atol=tolerance * 10)
    np.testing.assert_allclose(whitened.T @ whitened / len(X), np.eye(4), atol=tolerance)


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_directions_without_variance_are_left_out(scale):
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(50, 2))
    X = np.column_stack([Z[:, 0] * scale, Z[:, 1], np.full(50, 0.1), Z.sum(axis=1) * 3])
    source = ArraySource(X)
    whitened = Whitening.of(total(source, 1), 50, X.dtype)(X)
    assert whitened.shape == (50, 2)
    np.testing.assert_allclose(whitened.T @ whitened / 50, np.eye(2), atol=1e-8)


def test_more_features_than_samples_and_constant_data():
    X = np.random.default_rng(0).normal(size=(6, 20))
    source = ArraySource(X)
    assert Whitening.of(total(source, 1), 6, X.dtype)(X).shape == (6, 5)
    for kind in KINDS:
        assert np.isfinite(start(X, kind).means_).all()
    same = ArraySource(np.full((5, 3), 0.1))
    assert np.array_equal(Whitening.of(total(same, 1), 5, same.dtype)(same.X), np.zeros((5, 1)))


def test_constant_data():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in KINDS:
            np.testing.assert_allclose(start(np.full((20, 3), 0.5), kind).means_, 0.5)


# --- agglomeration ---


def brute_force(Z, weights=None):
    """Partitions into n, n - 1, ..., 1 groups, the cost of each computed from its samples."""
    share = np.ones(len(Z)) / len(Z) if weights is None else weights / weights.sum()

    def cost(group):
        p = share[group].sum()
        centred = Z[group] - share[group] @ Z[group] / p
        covariance = np.einsum("i,ij,ik->jk", share[group], centred, centred) / p
        return p * np.linalg.slogdet(covariance + TRACE * np.eye(Z.shape[1]))[1]

    groups = [[i] for i in range(len(Z))]
    partitions = {len(groups): [list(g) for g in groups]}
    while len(groups) > 1:
        pairs = list(itertools.combinations(range(len(groups)), 2))
        rises = [cost(groups[i] + groups[j]) - cost(groups[i]) - cost(groups[j]) for i, j in pairs]
        i, j = pairs[int(np.argmin(rises))]
        groups[i] = groups[i] + groups.pop(j)
        partitions[len(groups)] = [list(g) for g in groups]
    return partitions


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "d"), [(1, 2), (2, 1), (14, 1), (25, 2), (25, 4)])
def test_agglomeration_is_that_of_the_formula(n, d, weighted):
    rng = np.random.default_rng(n + d)
    Z = rng.normal(size=(n, d))
    weights = rng.uniform(0.5, 3.0, size=n) if weighted else None
    tree = Agglomeration(Z, weights)
    for k, groups in brute_force(Z, weights).items():
        expected = np.empty(n, int)
        for g, group in enumerate(groups):
            expected[group] = g
        assert same_partition(tree.labels(k), expected), k


def test_one_tree_has_nested_partitions_for_every_number_of_groups():
    X, _ = stretched(n=500, d=2)
    tree = Agglomeration(X / X.std(axis=0))  # more samples than groups that the criterion merges
    finer = tree.labels(500)
    assert np.array_equal(finer, np.arange(500))
    for k in range(499, 0, -1):
        coarser = tree.labels(k)
        assert list(dict.fromkeys(coarser)) == list(range(k))
        assert len(set(zip(finer, coarser, strict=True))) == k + 1
        finer = coarser
    for k in (0, 501):
        with pytest.raises(ValueError, match=f"500 samples make 1 to 500 groups, not {k}"):
            tree.labels(k)


def test_agglomeration_with_repeated_rows_and_weights():
    rng = np.random.default_rng(3)
    Z = rng.normal(size=(40, 2))
    weights = rng.integers(1, 4, size=40)
    rows = np.repeat(np.arange(40), weights)
    weighted, repeated = Agglomeration(Z, weights), Agglomeration(Z[rows])
    for k in range(1, 15):
        assert same_partition(weighted.labels(k)[rows], repeated.labels(k))


def test_agglomeration_of_permuted_samples():
    X, _ = stretched(n=150, d=3)
    order = np.random.default_rng(1).permutation(150)
    a, b = (hierarchical.tree_of(ArraySource(x)) for x in (X, X[order]))
    for k in (2, 3, 7, 30):
        assert same_partition(a.labels(k)[order], b.labels(k))


# --- all kinds ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_clusters_along_an_axis_of_low_variance_are_found(kind, seed, dtype):
    # of k-means in four directions too many starts end at a split along another one
    X, labels = stretched(d=2 if kind == "whitened" else 4, seed=seed, dtype=dtype)
    found = GaussianMixture(2, init_params=kind, random_state=seed, tol=1e-6).fit(X)
    from_truth = GaussianMixture(2, init_params=labels, tol=1e-6).fit(X)
    assert found.lower_bound_ > from_truth.lower_bound_ - 1e-3


def test_kmeans_does_not_find_them():
    X, labels = stretched()
    default = GaussianMixture(2, random_state=0, tol=1e-6).fit(X)
    assert default.lower_bound_ < GaussianMixture(2, init_params=labels, tol=1e-6).fit(X).lower_bound_ - 0.1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_kind_starts_every_layout(kind, layout):
    X, _ = stretched(n=700, d=3, k=3)
    w = np.random.default_rng(0).integers(0, 3, size=700)
    for k, weights in ((1, None), (3, w)):
        found = start(X, kind, k, layout, sample_weight=weights)
        assert found.means_.shape == (k, 3)
        assert found.weights_.sum() == pytest.approx(1.0)
        fit = GaussianMixture(k, covariance_type=layout, init_params=kind, random_state=0).fit(X, sample_weight=weights)
        assert np.isfinite(fit.lower_bound_)
        assert fit.lower_bounds_[-1] >= fit.lower_bounds_[0] - 1e-9


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [700, 3000])
def test_linear_maps_of_the_data_change_nothing(kind, n):
    X, _ = stretched(n=n, d=3)
    # no float is rounded by these, in whatever order: the draws of k-means decide alike
    A = np.array([[2.0, 0.0, 0.0], [-16.0, 0.125, 0.0], [4.0, 1.0, 64.0]])
    shift = np.array([1024.0, -64.0, 1.0])
    arguments = {"reg_covar": 0.0, "seed": 3}
    kind = "whitened" if kind == "auto" else kind  # "kmeans" is one of its kinds
    a, b = start(X, kind, **arguments), start(X @ A + shift, kind, **arguments)
    of_a, of_b = np.argsort(a.weights_), np.argsort(b.weights_)  # axes of whitened data have any sign
    np.testing.assert_allclose(b.means_[of_b], a.means_[of_a] @ A + shift, rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(b.weights_[of_b], a.weights_[of_a], rtol=1e-6)
    np.testing.assert_allclose(b.covariances_[of_b], A.T @ a.covariances_[of_a] @ A, rtol=1e-5, atol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bits_on_any_number_of_threads(kind):
    X, _ = stretched(n=6000, d=3)
    models = [start(X, kind, 3, n_threads=n_threads) for n_threads in (1, 2, 3)]
    assert_same_bits(models[0], models[1])
    assert_same_bits(models[0], models[2])


@pytest.mark.parametrize("kind", KINDS)
def test_the_scale_of_weights_has_no_influence(kind):
    X, _ = stretched(n=2500, d=2)
    w = np.random.default_rng(0).uniform(0.1, 3.0, size=len(X))
    assert_same_bits(start(X, kind, sample_weight=w), start(X, kind, sample_weight=1024 * w))


def test_samples_of_weight_zero_have_no_influence():
    X, _ = stretched(n=2500, d=2)
    w = np.random.default_rng(0).integers(0, 3, size=len(X))
    for kind in KINDS:
        assert_same_bits(start(X, kind, sample_weight=w), start(X[w > 0], kind, sample_weight=w[w > 0]))


@pytest.mark.parametrize("kind", KINDS)
def test_starts_of_streams(kind, limits):
    X, labels = stretched(n=6000, d=2)
    limits(loaded=48_000)
    model = GaussianMixture(2, init_params=kind, random_state=0, tol=1e-6).fit(chunks(list(np.array_split(X, 5))))
    assert agreement(model.predict(X), labels) > 0.98


@pytest.mark.parametrize("kind", KINDS)
def test_starts_of_dask_collections(kind):
    array = pytest.importorskip("dask.array")
    X, _ = stretched(n=1200, d=2)
    there = start(array.from_array(X, chunks=(400, 2)), kind)
    assert_close(there, start(X, kind))


@pytest.mark.parametrize("kind", ["hierarchical", "em-em"])
def test_large_data_are_started_from_a_subsample(kind, monkeypatch):
    X, _ = stretched(n=5000, d=2)
    seen = []
    subsample = ArraySource.subsample

    def spy(self, *arguments):
        seen.append(subsample(self, *arguments))
        return seen[-1]

    monkeypatch.setattr(ArraySource, "subsample", spy)
    a, b, c = (start(X, kind, seed=seed) for seed in (0, 0, 1))
    assert [source.total_weight * source.weight_unit for source in seen] == [2000.0] * 3
    assert_same_bits(a, b)
    assert not np.array_equal(a.means_, c.means_)
    # statistics of all samples under the parameters of the subsample
    assert np.abs(a.means_ - X.mean(axis=0)).max() > 0
    np.testing.assert_allclose(a.weights_ @ a.means_, X.mean(axis=0), rtol=1e-9, atol=1e-9)


def test_subsamples_are_drawn_by_weight():
    X = np.arange(10_000.0)[:, None]
    w = np.where(X[:, 0] < 1000, 99.0, 1.0)
    drawn = ArraySource.weighted(X, w).subsample(1080, np.random.RandomState(0))
    weights = np.ones(drawn.n_samples) if drawn.weights is None else drawn.weights
    assert weights.sum() * drawn.weight_unit == 1080
    low = weights[drawn.X[:, 0] < 1000].sum() * drawn.weight_unit
    assert abs(low - 1080 * 99_000 / 108_000) <= 1
    assert np.all(np.diff(drawn.X[:, 0]) > 0)
    small = ArraySource(X[:10])
    assert small.subsample(10, np.random.RandomState(0)) is small


@pytest.mark.parametrize("kind", ["hierarchical", "em-em"])
def test_all_weight_on_fewer_samples_than_components(kind):
    X, _ = stretched(n=3000, d=2)
    w = np.full(3000, 1e-9)
    w[:2] = 1.0
    with pytest.raises(
        ValueError, match=r"2000 draws by sample_weight met 2 different samples, fewer than n_components=3"
    ):
        start(X, kind, 3, sample_weight=w)


# --- starts that fail ---


def test_kinds_that_fail_are_left_out(monkeypatch):
    X, labels = stretched(d=2)

    def fails(*_):
        raise ValueError("collapsed")

    monkeypatch.setitem(starts.CANDIDATES, "hierarchical", fails)
    monkeypatch.setitem(starts.CANDIDATES, "kmeans", fails)
    model = GaussianMixture(2, init_params="auto", random_state=0).fit(X)
    assert agreement(model.predict(X), labels) > 0.99
    monkeypatch.setitem(starts.CANDIDATES, "whitened", fails)
    monkeypatch.setitem(starts.CANDIDATES, "em-em", fails)
    with pytest.raises(ValueError, match="collapsed"):
        GaussianMixture(2, init_params="auto", random_state=0).fit(X)


def test_short_runs_that_fail_are_left_out(monkeypatch):
    X, labels = stretched(d=2)
    spread, calls = em_em._spread, itertools.count()  # of each short run

    def sometimes(*arguments):
        if next(calls) % 2:
            raise ValueError("collapsed")
        return spread(*arguments)

    monkeypatch.setattr(em_em, "_spread", sometimes)
    model = GaussianMixture(2, init_params="em-em", random_state=0).fit(X)
    assert next(calls) == em_em.RUNS
    assert agreement(model.predict(X), labels) > 0.99


@pytest.mark.parametrize("kind", KINDS)
def test_data_that_no_start_can_use(kind):
    X = np.random.default_rng(0).normal(size=(30, 2))
    with pytest.raises(ValueError, match="ill-defined empirical covariance"):
        GaussianMixture(2, init_params=kind, reg_covar=0.0, random_state=0).fit(np.column_stack([X, X[:, 0]]) * 1.0)


def test_a_component_of_a_handful_of_samples_comes_last():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2))
    tight, even = np.zeros((400, 2)), np.zeros((400, 2))
    tight[:3, 0] = tight[3:, 1] = even[:200, 0] = even[200:, 1] = 1.0
    found = {name: sufficient_statistics(X, resp) for name, resp in (("tight", tight), ("even", even))}
    step = MaximumLikelihood(STRUCTURES["full"], 1e-6)
    results = {name: FitResult(step.maximise(stats), False, 1, -3.0, [-3.0], 1) for name, stats in found.items()}
    ranks = {name: rank(result, step, 400) for name, result in results.items()}
    assert ranks == {"tight": (False, -3.0), "even": (True, -3.0)}


def test_hierarchical_is_a_function_of_the_samples():
    X, _ = stretched()
    a, b = (start(X, "hierarchical", seed=seed) for seed in (0, 1))
    assert_same_bits(a, b)
    source, step = ArraySource(X), MaximumLikelihood(STRUCTURES["full"], 1e-6)
    labels = hierarchical.tree_of(source).labels(2)
    known_groups = start_of(labels, Supplied()).params(source, step, 2, np.random.RandomState(), None)
    assert np.array_equal(known_groups.means, a.means_)

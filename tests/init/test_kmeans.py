"""k-means: kernels against plain NumPy, bounds against full comparison, bits, and scikit-learn on more than one lane."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from conftest import compiled
from sklearn.cluster import KMeans
from sklearn.cluster import kmeans_plusplus as sk_plusplus

import fastgmm
from fastgmm._jit import ELEMENTWISE, helper
from fastgmm.data.source import ArraySource
from fastgmm.datasets import make_mixture
from fastgmm.init import kmeans as driver
from fastgmm.kernels import ir_kmeans
from fastgmm.kernels import kmeans as kernels

DTYPES = [np.float64, np.float32]


@helper(ELEMENTWISE)
def call_nearest(x, centres, norms, found, m):
    ir_kmeans.nearest(x, centres, norms, found, m)


@helper(ELEMENTWISE)
def call_nearest_within(x, centres, norms, found, m, slope, offset):
    ir_kmeans.nearest_within(x, centres, norms, found, m, slope, offset)


@helper(ELEMENTWISE)
def call_potentials(x, points, closest, first, out, column, m, flat, ahead):
    ir_kmeans.potentials(x, points, closest, first, out, column, m, flat, ahead)


@helper(ELEMENTWISE)
def call_transpose(flat, starts, shift, s0, j0, x):
    ir_kmeans.transpose(flat, starts, shift, s0, j0, x)


def close(got, want, dtype):
    np.testing.assert_allclose(got, want, rtol=1e-11 if dtype is np.float64 else 2e-4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("d", "k", "m"), [(1, 4, 1), (2, 4, 17), (5, 12, 128), (8, 16, 128), (39, 8, 100)])
def test_nearest(d, k, m, dtype):
    rng = np.random.default_rng(d)
    x, centres = rng.normal(size=(d, 128)).astype(dtype), rng.normal(size=(k, d)).astype(dtype)
    norms = (centres.astype(np.float64) ** 2).sum(axis=1).astype(dtype)
    norms[-1] = np.inf  # as the padding has
    found, twin = np.zeros((2, 3, 128), dtype)
    call_nearest(x, centres, norms, found, m)
    all_distances = np.sqrt(naive.squared_distances(x.T, centres[:-1]))[:m]
    assert np.array_equal(found[0, :m], all_distances.argmin(axis=1))
    two = np.sort(all_distances, axis=1)[:, :2]
    np.testing.assert_allclose(found[1, :m], two[:, 1] - two[:, 0], atol=1e-13 if dtype is np.float64 else 1e-4)
    close(found[2, :m], (x.astype(np.float64) ** 2).sum(axis=0)[:m], dtype)
    ir_kmeans._nearest_python(x, centres, norms, twin, m)
    np.testing.assert_allclose(found[:, :m], twin[:, :m], rtol=1e-5, atol=1e-13 if dtype is np.float64 else 1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nearest_within(dtype):
    """The difference that is left if the squared distances differ by a margin less."""
    rng = np.random.default_rng(0)
    x, centres = rng.normal(size=(6, 128)).astype(dtype), rng.normal(size=(12, 6)).astype(dtype)
    x[:, 0] = centres[3]
    centres[7] = centres[3]  # two centres at the sample: nothing is left, and it is not positive
    norms = (centres.astype(np.float64) ** 2).sum(axis=1).astype(dtype)
    slope, offset = dtype(0.01), dtype(0.02)
    found, plain, twin = np.zeros((3, 3, 128), dtype)
    call_nearest_within(x, centres, norms, found, 128, slope, offset)
    call_nearest(x, centres, norms, plain, 128)
    assert np.array_equal(found[[0, 2]], plain[[0, 2]])
    assert not found[1, 0] > 0
    two = np.sort(naive.squared_distances(x.T, centres), axis=1)[:, :2]
    squares = (x.astype(np.float64) ** 2).sum(axis=0)
    margin = slope * squares + offset
    left = (two[1:, 1] - two[1:, 0] - margin[1:]) / np.sqrt(two[1:]).sum(axis=1)
    np.testing.assert_allclose(found[1, 1:], left, atol=1e-13 if dtype is np.float64 else 1e-4)
    ir_kmeans._nearest_within_python(x, centres, norms, twin, 128, slope, offset)
    np.testing.assert_allclose(found[:, 1:], twin[:, 1:], rtol=1e-5, atol=1e-13 if dtype is np.float64 else 1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_first_of_equally_near_centres(dtype):
    x = np.zeros((2, 128), dtype)
    centres = np.array([[3, 0], [0, 1], [1, 0], [0, -1], [-1, 0], [0, 2], [0, 0.5], [0, -0.5]], dtype)
    norms = (centres**2).sum(axis=1)
    found = np.zeros((3, 128), dtype)
    call_nearest(x, centres, norms, found, 128)
    assert (found[0] == 6).all()
    assert (found[1] == 0).all()
    call_nearest(x, centres, np.where(np.arange(8) < 6, norms, np.inf).astype(dtype), found, 128)
    assert (found[0] == 1).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("d", "candidates"), [(1, 1), (3, 2), (8, 4), (39, 7)])
def test_potentials(d, candidates, dtype):
    rng = np.random.default_rng(d)
    x, points = rng.normal(size=(d, 128)).astype(dtype), rng.normal(size=(1 + candidates, d)).astype(dtype)
    closest = rng.uniform(0.0, 3.0 * d, 300).astype(dtype)
    closest[140:168] = 0.0  # as the padding is
    squares = naive.squared_distances(x.T, points)
    near = np.minimum(closest[40:168], squares[:, 0])
    expected = np.minimum(near[:, None], squares[:, 1:]).sum(axis=0)
    before, out = closest.copy(), np.ones((candidates, 3))
    twin, twin_out = closest.copy(), out.copy()
    call_potentials(x, points, closest, 40, out, 1, 128, x.ravel(), 7)
    close(closest[40:168], near, dtype)
    assert np.array_equal(closest[:40], before[:40])
    assert np.array_equal(closest[168:], before[168:])
    close(out[:, 1] - 1.0, expected, dtype)
    assert (out[:, [0, 2]] == 1.0).all()
    ir_kmeans._potentials_python(x, points, twin, 40, twin_out, 1, 128, x.ravel(), 7)
    close(closest, twin, dtype)
    close(out, twin_out, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_transpose(dtype):
    rng = np.random.default_rng(0)
    flat, shift = rng.normal(size=400).astype(dtype), rng.normal(size=11).astype(dtype)
    starts = rng.integers(0, 389, size=16)
    x, twin = np.zeros((2, 11, 16), dtype)
    for j0 in (0, 4, 7):
        call_transpose(flat, starts, shift, 8, j0, x)
        ir_kmeans._transpose_python(flat, starts, shift, 8, j0, twin)
    assert np.array_equal(x, twin)
    assert np.array_equal(x[:, 8:], flat[starts[8:] + np.arange(11)[:, None]] - shift[:, None])


def lloyd(X, k, whole, steps):
    """Labels, counts and sums of each of some steps; with `whole`, from full comparisons."""
    source = ArraySource(X)
    with driver.Pool(source, k, 1) as pool:
        assert pool.n_lanes > 1
        run = driver._Lloyd(pool, driver._mean(source), k)
        centers = X[:k] - run.mean
        for _ in range(steps):
            counts, sums = run.assign(centers)
            yield run.clusters.labels.copy(), counts, sums
            # rounded, so that both ways continue from the same bits
            centers = (sums / np.maximum(counts, 1.0)[:, None]).astype(np.float32).astype(X.dtype)
            if whole:
                run.previous = None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["mixture", "lattice", "far", "apart", "duplicates"])
def test_bounds_give_the_labels_of_full_comparisons(kind, dtype):
    rng = np.random.default_rng(1)
    X = make_mixture(9000, 3, 8, separation=3.0, random_state=1).X
    if kind == "lattice":
        X = np.round(X)  # samples equally far from two centres, many times
    elif kind == "far":
        X = X + 1e3 * rng.normal(size=3)
        X[0] *= 50.0
    elif kind == "apart":
        X[::2] += 3e3  # ||c||^2 - 2 x.c then has few digits left for distances, in float32 none
    elif kind == "duplicates":
        X = np.repeat(X[:90], 100, axis=0)
    X = X.astype(dtype)
    k = 12
    for step, (fast, full) in enumerate(zip(lloyd(X, k, False, 25), lloyd(X, k, True, 25), strict=True)):
        assert np.array_equal(fast[0], full[0]), step
        assert np.array_equal(fast[1], full[1]), step
        np.testing.assert_allclose(fast[2], full[2], rtol=1e-9, atol=1e-9 * np.abs(X).max() * len(X))


def test_few_samples_are_compared_in_the_end():
    """The purpose of the bounds: late iterations pass most samples over."""
    X = make_mixture(9000, 4, 6, separation=5.0, random_state=0).X
    source = ArraySource(X)
    with driver.Pool(source, 6, 1) as pool:
        run = driver._Lloyd(pool, driver._mean(source), 6)
        centers = X[:6] - run.mean
        for _ in range(30):
            centers = run.step(centers)
        limit = run._limit(centers, (centers**2).sum(axis=1))
    assert np.mean(run.clusters.slack > limit[run.clusters.labels]) > 0.9


@compiled
@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_do_not_depend_on_threads_or_memory_order(dtype):
    X = make_mixture(20_000, 7, 9, separation=2.0, random_state=2, dtype=dtype).X
    wide = np.zeros((2 * len(X), 9), dtype)
    wide[::2, 1:8] = X
    results = [
        fastgmm.kmeans(Y, 9, random_state=3, n_threads=threads)
        for Y in (X, np.asfortranarray(X), wide[::2, 1:8], np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1])
        for threads in (1, 2, 3)
    ]
    for other in results[1:]:
        assert np.array_equal(other.labels, results[0].labels)
        assert np.array_equal(other.centers, results[0].centers)
        assert other.inertia == results[0].inertia
        assert other.n_iter == results[0].n_iter
    assert results[0].centers.dtype == dtype
    assert results[0].labels.dtype == np.int32


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("n", "d", "k"),
    [
        (20_000, 2, 5),
        pytest.param(20_000, 8, 16, marks=compiled),
        pytest.param(9_000, 39, 40, marks=compiled),
        (5_000, 3, 1),
        (4_200, 1, 3),
    ],
)
def test_scikit_learns_centres_and_labels_on_several_lanes(n, d, k, seed):
    X = make_mixture(n, d, k, separation=3.0, random_state=seed).X
    assert np.array_equal(fastgmm.kmeans_plusplus(X, k, random_state=seed)[1], sk_plusplus(X, k, random_state=seed)[1])
    theirs = KMeans(k, n_init=1, random_state=seed).fit(X)
    ours = fastgmm.kmeans(X, k, random_state=seed)
    assert np.array_equal(ours.labels, theirs.labels_)
    assert ours.n_iter == theirs.n_iter_
    assert ours.inertia == pytest.approx(theirs.inertia_, rel=1e-9)
    np.testing.assert_allclose(ours.centers, theirs.cluster_centers_, rtol=1e-8, atol=1e-9)


def test_empty_clusters_are_refilled_on_several_lanes():
    X = make_mixture(10_000, 2, 3, random_state=0).X
    init = np.vstack([X[:3], [[1e3, 1e3], [2e3, 2e3]]])
    theirs = KMeans(5, init=init, n_init=1).fit(X)
    ours = fastgmm.kmeans(X, 5, init=init)
    assert np.array_equal(ours.labels, theirs.labels_)
    assert ours.n_iter == theirs.n_iter_


def test_fewer_distinct_samples_than_clusters_on_several_lanes():
    X = np.repeat([[0.0, 0.0], [1.0, 1.0]], 4000, axis=0)
    with pytest.warns(fastgmm.ConvergenceWarning, match="found 2 distinct clusters, fewer than the 3"):
        got = fastgmm.kmeans(X, 3, random_state=0)
    assert got.inertia == 0.0


@pytest.mark.parametrize("n", [1, 2, 3, 10, 1000, 12345])
def test_the_first_draw_is_that_of_choice(n):
    for seed in range(200):
        ours, theirs = np.random.RandomState(seed), np.random.RandomState(seed)
        assert driver._uniform_draw(n, ours) == theirs.choice(n, p=np.full(n, 1.0 / n))
        assert ours.random_sample() == theirs.random_sample()


def test_the_first_draw_where_rounding_decides():
    class Given:
        def __init__(self, value):
            self.value = value

        def random_sample(self):
            return self.value

    for n in (7, 10, 1000, 4099):
        cumulative = np.cumsum(np.full(n, 1.0 / n))
        cumulative /= cumulative[-1]
        for i in range(n):
            for u in (i / n, np.nextafter(i / n, 0.0), np.nextafter(i / n, 1.0), cumulative[i - 1] if i else 0.0):
                assert driver._uniform_draw(n, Given(u)) == np.searchsorted(cumulative, u, side="right")


@pytest.mark.parametrize("dtype", DTYPES)
def test_draws_by_blocks(dtype):
    """As from the cumulative sum over all samples, `closest` being one centre behind."""
    rng = np.random.default_rng(4)
    n, d, trials = 1000, 3, 5
    X = np.round(4 * rng.normal(size=(n, d))).astype(dtype)  # whole numbers: sums are exact in any order
    source, points = ArraySource(X), X[[3, 500, 700, 3]]
    squares = naive.squared_distances(X, points)
    closest = np.zeros(1024, dtype)
    closest[:n] = squares[:, 0]
    sums = np.zeros((3, 8))
    kernels.seed(
        np.zeros(1, np.int64), kernels.Span(512, 0, 512), source.samples, np.zeros(d, dtype), points, closest, sums
    )
    after = np.minimum(squares[:, :1], squares[:, 1:])
    assert np.array_equal(sums.sum(axis=1), after.sum(axis=0))
    best = int(after.sum(axis=0).argmin())
    uniform = np.append(rng.uniform(size=trials - 2), [0.0, np.nextafter(1.0, 0.0)])
    drawn = np.empty(trials, np.int64)
    assert (
        kernels.draw(source.samples, source.sample_weights, np.zeros(d, dtype), points, closest, sums, uniform, drawn)
        == best
    )
    expected = np.searchsorted(np.cumsum(after[:, best]), uniform * after[:, best].sum())
    assert np.array_equal(drawn, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_mean_has_the_bits_of_numpy_in_c_order(dtype, order):
    X = np.random.default_rng(0).normal(size=(150, 4)).astype(dtype)
    assert np.array_equal(driver._mean(ArraySource(np.array(X, order=order))), X.mean(axis=0))

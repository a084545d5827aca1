"""Weights of samples: integers are repeated rows, zero is absence, their scale is nothing."""

from __future__ import annotations

import warnings

import naive
import numpy as np
import pytest
from conftest import random_mixture
from sklearn.cluster import KMeans
from sklearn.cluster import kmeans_plusplus as sklearn_plusplus

import fastgmm
from fastgmm import GaussianMixture, cli, em_step, kmeans, kmeans_plusplus, sufficient_statistics

LAYOUTS = ["full", "tied", "diag", "spherical"]
# one lane, several lanes
SIZES = [300, 3000]


def data(n, d=3, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 4.0 * rng.integers(3, size=(n, 1))
    return X.astype(dtype), rng


def fitted(X, layout="full", sample_weight=None, **arguments):
    start = {
        "weights_init": np.full(3, 1 / 3),
        "means_init": [[0.0] * X.shape[1], [4.0] * X.shape[1], [8.0] * X.shape[1]],
        "precisions_init": {
            "full": np.array([np.eye(X.shape[1])] * 3),
            "tied": np.eye(X.shape[1]),
            "diag": np.ones((3, X.shape[1])),
            "spherical": np.ones(3),
        }[layout],
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianMixture(3, covariance_type=layout, **{"tol": 1e-8, "max_iter": 30, **start, **arguments})
        return model.fit(X, sample_weight=sample_weight)


def assert_same(a, b, rtol=1e-9):
    for name in ("weights_", "means_", "covariances_"):
        want = getattr(b, name)
        np.testing.assert_allclose(getattr(a, name), want, rtol=rtol, atol=rtol * np.abs(want).max(), err_msg=name)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n", SIZES)
def test_integer_weights_are_repeated_rows(layout, n):
    X, rng = data(n)
    w = rng.integers(0, 4, size=n)
    weighted, repeated = fitted(X, layout, w), fitted(np.repeat(X, w, axis=0), layout)
    assert_same(weighted, repeated)
    assert weighted.n_iter_ == repeated.n_iter_
    np.testing.assert_allclose(weighted.lower_bounds_, repeated.lower_bounds_, rtol=1e-12)
    rows = np.repeat(X, w, axis=0)
    assert weighted.score(X, sample_weight=w) == pytest.approx(repeated.score(rows), rel=1e-12)
    assert weighted.bic(X, sample_weight=w) == pytest.approx(repeated.bic(rows), rel=1e-12)
    assert weighted.aic(X, w) == pytest.approx(repeated.aic(rows), rel=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("init", ["kmeans", "k-means++", "random", "random_from_data"])
def test_weight_zero_is_absence_to_the_bit_from_any_start(layout, init):
    X, rng = data(2500)
    w = rng.uniform(size=2500) * (rng.uniform(size=2500) < 0.7)
    arguments = {"init_params": init, "random_state": 3, "weights_init": None, "means_init": None}
    arguments |= {"precisions_init": None, "reg_covar": 1e-2, "max_iter": 5}
    a = fitted(X, layout, w, **arguments)
    b = fitted(X[w > 0], layout, w[w > 0], **arguments)
    for name in ("weights_", "means_", "covariances_"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert a.lower_bounds_ == b.lower_bounds_


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("scale", [2.0**-40, 1e-30, 3.7, 1e12])
def test_the_scale_of_weights_does_not_matter(layout, scale):
    X, rng = data(1500)
    w = rng.uniform(0.1, 1.0, size=1500)
    assert_same(fitted(X, layout, scale * w), fitted(X, layout, w), rtol=1e-11)
    ones = fitted(X, layout, np.full(1500, scale))
    assert np.array_equal(ones.means_, fitted(X, layout).means_)


@pytest.mark.parametrize("n", SIZES)
def test_float32(n):
    X, rng = data(n, dtype=np.float32)
    w = rng.uniform(size=n)
    single, double = fitted(X, "full", w, max_iter=5), fitted(X.astype(np.float64), "full", w, max_iter=5)
    assert single.means_.dtype == np.float32
    assert_same(single, double, rtol=2e-3)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n", [40, 2500])
def test_a_weighted_step_matches_the_oracle(layout, n):
    X, rng = data(n, 5)
    weights, means, covariances = random_mixture(layout, 3, 5)
    w = rng.uniform(0.0, 2.0, size=n)
    step = em_step(X, weights, means, covariances, covariance_type=layout, sample_weight=w)
    resp = naive.responsibilities(X, weights, means, covariances, layout) * w[:, None]
    counts = resp.sum(axis=0)
    np.testing.assert_allclose(step.weights, counts / w.sum(), rtol=1e-10)
    np.testing.assert_allclose(step.means, resp.T @ X / counts[:, None], rtol=1e-9)
    likelihood = w @ naive.log_prob(X, weights, means, covariances, layout)
    assert step.log_likelihood == pytest.approx(likelihood, rel=1e-11)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weighted_statistics_match_the_oracle(layout):
    X, rng = data(500)
    resp, w, origin = rng.uniform(size=(500, 2)), rng.integers(0, 3, size=500) * 1e-20, rng.normal(size=(2, 3))
    stats = sufficient_statistics(X, resp, sample_weight=w, origin=origin, covariance_type=layout)
    counts, sums, scatter = naive.counts_sums_scatter(X, resp * w[:, None], origin, layout)
    np.testing.assert_allclose(stats.counts, counts, rtol=1e-12)
    np.testing.assert_allclose(stats.sums, sums, rtol=1e-10)
    np.testing.assert_allclose(stats.scatter, scatter, rtol=1e-10)


@pytest.mark.parametrize("n", [200, 9000])
def test_weighted_kmeans_is_scikit_learns(n):
    X, rng = data(n, 4)
    w = rng.uniform(0.5, 3.0, size=n)
    own = kmeans(X, 6, sample_weight=w, random_state=1, tol=0.0)
    other = KMeans(6, n_init=1, random_state=1, tol=0.0).fit(X, sample_weight=w)
    assert np.array_equal(own.labels, other.labels_)
    assert own.n_iter == other.n_iter_
    assert own.inertia == pytest.approx(other.inertia_, rel=1e-10)
    centres, indices = kmeans_plusplus(X, 6, sample_weight=w, random_state=5)
    assert np.array_equal(indices, sklearn_plusplus(X, 6, sample_weight=w, random_state=5)[1])
    assert np.array_equal(centres, X[indices])


def test_kmeans_labels_samples_of_weight_zero_too():
    X, rng = data(400)
    w = rng.integers(0, 2, size=400)
    found = kmeans(X, 3, sample_weight=w, random_state=0)
    distances = ((X[:, None] - found.centers) ** 2).sum(axis=2)
    assert np.array_equal(found.labels, distances.argmin(axis=1))
    indices = kmeans_plusplus(X, 3, sample_weight=w, random_state=0)[1]
    assert w[indices].all()


def test_an_emptied_cluster_takes_a_sample_with_its_weight():
    X = np.array([[0.0], [0.1], [0.2], [9.0], [9.1], [30.0]])
    w = np.array([0.1, 0.2, 0.3, 0.1, 0.1, 0.05])
    own = kmeans(X, 3, sample_weight=w, init=[[0.0], [9.0], [1e3]], tol=0.0)
    other = KMeans(3, n_init=1, init=np.array([[0.0], [9.0], [1e3]]), tol=0.0).fit(X, sample_weight=w)
    assert np.array_equal(own.labels, other.labels_)
    np.testing.assert_allclose(own.centers, other.cluster_centers_, rtol=1e-12)


def test_a_sample_that_cannot_be_reached_counts_for_nothing_at_weight_zero():
    X, _ = data(50)
    X[7] = 1e200
    w = np.ones(50)
    w[7] = 0.0
    assert np.isfinite(fitted(X, sample_weight=w, reg_covar=1e-3).lower_bound_)
    model = fitted(np.delete(X, 7, axis=0))
    assert np.isfinite(model.score(X, sample_weight=w))


def test_fit_predict_labels_every_sample():
    X, rng = data(100)
    w = rng.integers(0, 2, size=100)
    model = GaussianMixture(3, random_state=0)
    labels = model.fit_predict(X, sample_weight=w)
    assert np.array_equal(labels, model.predict(X))


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (np.ones(9), ValueError, r"sample_weight must have the shape \(10,\).*got \(9,\)"),
        (np.ones((10, 1)), ValueError, r"sample_weight must have the shape \(10,\).*got \(10, 1\)"),
        (2.0, ValueError, r"sample_weight must have the shape \(10,\)"),
        (-np.ones(10), ValueError, r"sample_weight must not be negative, got sample_weight\[0\] = -1"),
        ([1.0] * 9 + [np.nan], ValueError, r"sample_weight contains NaN: sample_weight\[9\]"),
        ([1.0] * 9 + [np.inf], ValueError, r"sample_weight contains infinity"),
        (np.zeros(10), ValueError, "sample_weight is zero for all samples"),
        (["a"] * 10, ValueError, "sample_weight must hold numbers"),
        (np.ones(10) * 1j, ValueError, "Complex data not supported: sample_weight"),
    ],
)
def test_weights_that_cannot_be_used(bad, error, message):
    X, _ = data(10)
    model = GaussianMixture(2)
    calls = [
        lambda: model.fit(X, sample_weight=bad),
        lambda: model.fit_predict(X, sample_weight=bad),
        lambda: em_step(X, [1.0], [[0.0] * 3], [np.eye(3)], sample_weight=bad),
        lambda: sufficient_statistics(X, np.ones((10, 1)), sample_weight=bad),
        lambda: kmeans(X, 2, sample_weight=bad),
        lambda: kmeans_plusplus(X, 2, sample_weight=bad),
    ]
    for call in calls:
        with pytest.raises(error, match=message):
            call()
    assert not hasattr(model, "means_")


def test_too_few_samples_of_positive_weight():
    X, _ = data(10)
    with pytest.raises(ValueError, match="n_components = 3, n_samples = 2"):
        GaussianMixture(3).fit(X, sample_weight=[1, 1] + [0] * 8)


def test_weights_are_not_changed():
    X, rng = data(60)
    w = rng.uniform(size=60)
    before = w.copy()
    w.flags.writeable = False
    fastgmm.GaussianMixture(2, random_state=0).fit(X, sample_weight=w)
    assert np.array_equal(w, before)


class TestTheSumOfWeights:
    """The criteria take it for the number of samples."""

    X = np.random.default_rng(0).normal(size=(500, 2))

    def criteria(self, weights, data=None):
        """The calls that warn, for each criterion."""
        X = self.X if data is None else data
        model = GaussianMixture(1).fit(X, sample_weight=weights)
        told = {}
        for name in ("bic", "aic", "icl", "score"):
            with warnings.catch_warnings(record=True) as record:
                warnings.simplefilter("always")
                getattr(model, name)(X, sample_weight=weights)
            told[name] = [str(w.message) for w in record]
        return told

    @pytest.mark.parametrize("given", ["array", "chunks", "dask"])
    @pytest.mark.parametrize("equal", [True, False])
    def test_that_add_up_to_1(self, given, equal):
        weights = np.full(500, 1 / 500) if equal else np.random.default_rng(1).dirichlet(np.ones(500))
        make = {
            "array": lambda: None,
            "chunks": lambda: fastgmm.chunks([self.X[:300], self.X[300:]]),
            "dask": lambda: pytest.importorskip("dask.array").from_array(self.X, chunks=(300, 2)),
        }
        told = self.criteria(weights, make[given]())
        expected = "sample_weight adds up to 1 for 500 samples of positive weight, and the criteria (bic, icl, aic) use that as"
        for name in ("bic", "aic", "icl"):
            (message,) = told[name]
            assert message.startswith(expected)
            assert "sample_weight * (n / sample_weight.sum())" in message
        assert told["score"] == []

    def test_the_remedy_gives_the_criteria_of_the_samples(self):
        weights = np.full(500, 1 / 500)
        model = GaussianMixture(2, random_state=0).fit(self.X, sample_weight=weights)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            mended = model.bic(self.X, sample_weight=weights * (500 / weights.sum()))
        assert mended == pytest.approx(model.bic(self.X), rel=1e-12)

    def test_select(self):
        with pytest.warns(
            UserWarning, match=r"sample_weight adds up to 1 for 500 samples of positive weight"
        ) as record:
            fastgmm.select(self.X, [1, 2], ["VVV"], sample_weight=np.full(500, 1 / 500))
        assert [w.filename for w in record] == [__file__]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = fastgmm.select(self.X, [1, 2, 3], ["EII", "VVV"], sample_weight=np.ones(500))
        assert (found.best_n_components, found.best_covariance_type) == (1, "EII")

    def test_zeros_are_no_samples(self):
        weights = np.where(np.arange(500) < 30, 0.1, 0.0)
        assert self.criteria(weights)["bic"][0].startswith("sample_weight adds up to 3 for 30 samples")
        assert self.criteria(10.0 * weights)["bic"] == []

    @pytest.mark.parametrize(
        "make",
        [
            lambda rng: None,
            lambda rng: np.ones(500),
            lambda rng: rng.integers(0, 4, size=500),
            lambda rng: np.full(500, 1000),
            lambda rng: rng.multinomial(500, np.full(500, 1 / 500)),  # bootstrap
            lambda rng: 500 * rng.dirichlet(np.ones(500)),
            lambda rng: rng.dirichlet(np.ones(3), size=500)[:, 0],  # memberships of one of three groups
        ],
        ids=["none", "ones", "repeats", "counts", "bootstrap", "adding up to n", "memberships"],
    )
    def test_what_can_be_a_number_of_samples(self, make):
        assert not any(self.criteria(make(np.random.default_rng(0))).values())

    def test_the_command_line_warns(self, tmp_path, capsys):
        path = tmp_path / "table.csv"
        np.savetxt(path, np.c_[self.X, np.full(500, 1 / 500)], delimiter=",", header="a,b,w", comments="")
        assert cli.main(["fit", str(path), "-k", "1", "--weights", "w"]) == 0
        assert "--weights adds up to 1 for 500 samples" in capsys.readouterr().err

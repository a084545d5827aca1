"""Components on a few equal samples, on none, or on fewer than a covariance takes: what is warned of, and what is kept."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import fastgmm
from fastgmm import DegenerateWarning, GaussianMixture, chunks, em_step, select
from fastgmm.model.structures import MCLUST_NAMES, STRUCTURES, has_structure

LAYOUTS = ["full", "tied", "diag", "spherical"]
ALL = [*LAYOUTS, *MCLUST_NAMES]
TWO_POINTS = np.repeat([[0.0], [1.0]], 50, axis=0)


def told(model, X, **options):
    """Return the warnings of a fit about degenerate components."""
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        model.fit(X, **options)
    return [str(w.message) for w in record if issubclass(w.category, DegenerateWarning)]


class TestTheWarning:
    def test_two_values(self):
        with pytest.warns(
            DegenerateWarning,
            match=r"component 0 holds 50 of 100 samples \(1 distinct\) and component 1 holds 50 of 100 samples \(1 distinct\), "
            r"which in some direction are equal up to a variance of 0 \(reg_covar=1e-06\).*decrease n_components",
        ) as record:
            GaussianMixture(2).fit(TWO_POINTS)
        assert [w.filename for w in record] == [__file__]

    def test_it_is_no_convergence_warning(self):
        assert issubclass(DegenerateWarning, UserWarning)
        assert not issubclass(DegenerateWarning, fastgmm.ConvergenceWarning)

    def test_the_words_are_those_of_select(self):
        X = np.concatenate([np.zeros(50), np.random.default_rng(0).normal(10.0, 1.0, 50)])[:, None]
        with pytest.raises(ValueError, match="which in some direction are equal up to a variance of") as caught:
            select(X, [2], ["V"])
        (message,) = told(GaussianMixture(2, random_state=0), X)
        words = "which in some direction are equal up to a variance of 0 (reg_covar="
        assert words in message
        assert words in str(caught.value)

    @pytest.mark.parametrize("covariance_type", ALL)
    def test_a_component_that_holds_no_samples(self, covariance_type):
        X = np.random.default_rng(0).normal(size=(200, 2))
        model = GaussianMixture(2, covariance_type=covariance_type, means_init=[[0.0, 0.0], [1e4, 0.0]], random_state=0)
        (message,) = told(model, X)
        assert "component 1 holds 2.22e-15 of 200 samples: no sample belongs to it. Decrease n_components" in message
        assert "component 0" not in message

    @pytest.mark.parametrize("covariance_type", ["full", "diag", "spherical"])
    def test_sizes_1_3_1(self, covariance_type):
        X = np.array([[0.0, 0.0], [5.0, 5.0], [5.0, 5.0], [5.0, 5.0], [9.0, 1.0]])
        model = GaussianMixture(3, covariance_type=covariance_type, random_state=0)
        (message,) = told(model, X)
        assert model.converged_
        assert message.count("1 of 5 samples (1 distinct)") == 2
        assert "3 of 5 samples (1 distinct)" in message

    @pytest.mark.parametrize("n_components", [5, 8])
    def test_a_saturated_image(self, n_components):
        rng = np.random.default_rng(0)
        image = np.clip(rng.normal(200.0, 60.0, size=(3000, 3)), 0, 255).round()
        model = GaussianMixture(n_components, random_state=0, max_iter=300)
        (message,) = told(model, image)
        flat = [j for j in range(n_components) if np.linalg.eigvalsh(model.covariances_[j])[0] < 2e-6]
        assert flat
        for j in range(n_components):
            assert (f"component {j} holds" in message) == (j in flat)
        assert "at least 4 distinct" in message

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_wherever_samples_are(self, dtype, weighted):
        da = pytest.importorskip("dask.array")
        rng = np.random.default_rng(0)
        X = np.vstack([rng.normal(size=(600, 3)), np.full((7, 3), 40.0), np.full((5, 3), 41.0)]).astype(dtype)
        X = X[rng.permutation(len(X))]
        weights = rng.integers(0, 3, size=len(X)) if weighted else None
        start = {"means_init": [[0.0, 0.0, 0.0], [40.4, 40.4, 40.4]], "random_state": 0}
        messages = [
            told(GaussianMixture(2, **start), given, sample_weight=weights)
            for given in (X, chunks([X[:100], X[100:]]), da.from_array(X, chunks=(100, 3)))
        ]
        (message,) = messages[0]
        assert "(2 distinct), which in some direction are equal" in message
        assert "component 0" not in message
        assert [[m.partition(" holds")[0] for m in one] for one in messages] == [
            ["The fit is degenerate: component 1"]
        ] * 3
        assert all("(2 distinct)" in one[0] for one in messages)

    def test_many_are_counted(self):
        X = np.repeat(np.arange(9.0)[:, None], 10, axis=0)
        (message,) = told(GaussianMixture(9, random_state=0), X)
        assert "and 4 more, which in some direction" in message

    def test_batches(self):
        (message,) = told(GaussianMixture(2, means_init=[[0.0], [1.0]]), TWO_POINTS[::-1], batch_size=100)
        assert "(1 distinct)" in message

    def test_reg_covar_that_hides_how_samples_differ_is_to_be_lowered(self):
        rng = np.random.default_rng(0)
        X = np.vstack([1e-3 * rng.normal(size=(3, 1)), 1.0 + rng.normal(size=(50, 1))])
        X = np.hstack([X, 3.0 * X + 0.3 * rng.normal(size=X.shape) * (X > 0.1), rng.normal(size=X.shape) * (X > 0.1)])
        labels = np.repeat([0, 1], [3, 50])
        (message,) = told(GaussianMixture(2, init_params=labels, reg_covar=1e-5, max_iter=1), X)
        assert "component 0 holds 3 of 53 samples (3 distinct)" in message
        assert "raise reg_covar" in message  # three samples lie in a plane of three features

    @pytest.mark.parametrize("covariance_type", ALL)
    def test_what_is_no_fault_of_a_component_is_not_warned_of(self, covariance_type, iris, faithful):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(500, 1))
        # real data; collinear features; small ones, and small clusters; fewer samples than features and one component
        for X, k in (
            (iris, 3),
            (faithful, 2),
            (np.hstack([x, 2.0 * x]), 2),
            (1e-5 * rng.normal(size=(300, 3)), 2),
            (np.vstack([c + 8e-4 * rng.normal(size=(200, 2)) for c in (0.0, 1.0)]), 2),
            (rng.normal(size=(15, 20)), 1),
        ):
            assert told(GaussianMixture(k, covariance_type=covariance_type, random_state=0), X) == []

    def test_nor_is_a_start_that_no_step_was_made_from(self):
        assert told(GaussianMixture(2, max_iter=0), TWO_POINTS) == []


@pytest.fixture(params=["compiled", "step by step"])
def loop(request, limits):
    """Both loops of EM over few samples."""
    if request.param != "compiled":
        limits(compiled_loop=False)


def laid_out(matrix, layout, k):
    """One covariance for k components."""
    d = len(matrix)
    return {
        "full": np.tile(matrix, (k, 1, 1)),
        "tied": matrix,
        "diag": np.tile(np.diag(matrix), (k, 1)),
        "spherical": np.full(k, np.trace(matrix) / d),
    }[layout]


def determinants(model):
    """Of each component's covariance, (k,)."""
    c, (k, d) = model.covariances_, model.means_.shape
    if c.ndim == 3:
        return np.linalg.det(c)
    return {(k,): lambda: c**d, (k, d): lambda: c.prod(axis=1), (d, d): lambda: np.full(k, np.linalg.det(c))}[c.shape]()


@pytest.mark.usefixtures("loop")
class TestAComponentThatLostItsSamples:
    FAR = np.array([[0.0, 0.0, 0.0], [1e4, 0.0, 0.0]])

    def fitted(self, covariance_type, n=300, dtype=np.float64):
        X = np.random.default_rng(0).normal(size=(n, 3)).astype(dtype)
        layout = STRUCTURES[covariance_type].layout.name
        model = GaussianMixture(
            2,
            covariance_type=covariance_type,
            weights_init=[0.5, 0.5],
            means_init=self.FAR,
            precisions_init=laid_out(0.25 * np.eye(3), layout, 2),
            warm_start=True,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DegenerateWarning)
            return model.fit(X), X

    @pytest.mark.parametrize("covariance_type", ALL)
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_it_keeps_its_mean_and_of_its_covariance_what_is_its_own(self, covariance_type, dtype):
        model, X = self.fitted(covariance_type, dtype=dtype)
        assert model.converged_
        assert np.array_equal(model.means_[1], self.FAR[1])
        assert has_structure(STRUCTURES[covariance_type], model.covariances_, model.weights_)
        volumes = determinants(model)
        if STRUCTURES[covariance_type].mclust_name[0] == "V":
            assert volumes[1] == pytest.approx(4.0**3, rel=1e-5)
        else:
            assert volumes[1] == pytest.approx(volumes[0], rel=1e-5)
            assert volumes[1] == pytest.approx(np.linalg.det(np.cov(X.T)), rel=0.1)

    @pytest.mark.parametrize("covariance_type", ["full", "diag", "spherical"])
    @pytest.mark.parametrize("n", [300, 3000])
    def test_to_the_bit(self, covariance_type, n):
        model, _ = self.fitted(covariance_type, n)
        assert np.array_equal(model.covariances_[1], laid_out(4.0 * np.eye(3), covariance_type, 2)[1])

    @pytest.mark.parametrize("covariance_type", ["full", "diag", "spherical", "VVE", "VEV"])
    def test_going_on_it_wins_samples_again(self, covariance_type):
        model, X = self.fitted(covariance_type)
        Y = np.vstack([X, X[:200] + self.FAR[1] + [9.0, 0.0, 0.0]])  # with a variance of 1e-6 they would be 9000 away
        model.set_params(max_iter=300).fit(Y)
        assert model.weights_[1] == pytest.approx(0.4, abs=1e-3)
        np.testing.assert_allclose(model.means_[1], Y[300:].mean(axis=0), rtol=1e-3, atol=0.1)


def test_batches_leave_a_lost_component_as_it_was():
    X = np.random.default_rng(0).normal(size=(2000, 2))
    model = GaussianMixture(
        2, weights_init=[0.5, 0.5], means_init=[[0, 0], [1e4, 0]], precisions_init=laid_out(0.25 * np.eye(2), "full", 2)
    )
    for batch in X.reshape(10, 200, 2):
        model.partial_fit(batch)
    assert np.array_equal(model.means_[1], [1e4, 0.0])
    np.testing.assert_allclose(model.covariances_[1], 4.0 * np.eye(2), rtol=1e-12)


class TestFewerSamplesThanACovarianceTakes:
    """50 frames under a model of 512 components."""

    K, D, N = 512, 13, 50

    def frames(self, dtype=np.float64):
        rng = np.random.default_rng(0)
        means = 10.0 * rng.normal(size=(self.K, self.D))
        picked = rng.integers(self.K, size=self.N)
        return (means[picked] + 7.0 * rng.normal(size=(self.N, self.D))).astype(dtype), means

    @pytest.mark.parametrize("covariance_type", [name for name in ALL if name not in ("EVE", "VVE")])
    @pytest.mark.parametrize("reg_covar", [1e-6, 0.0])
    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_em_step(self, covariance_type, reg_covar, dtype):
        X, means = self.frames(dtype)
        before = laid_out(50.0 * np.eye(self.D), STRUCTURES[covariance_type].layout.name, self.K)
        options = {"covariance_type": covariance_type, "reg_covar": reg_covar}
        step = em_step(X, np.full(self.K, 1 / self.K), means, before, **options)
        assert all(np.isfinite(values).all() for values in step[:3])
        again = em_step(X, *step[:3], **options)  # its result is what it takes
        assert again.log_likelihood > step.log_likelihood

    def test_one_that_holds_a_third_of_a_sample(self):
        X = np.array([[0.0, 0.0], [1.0, 0.5], [-1.0, 0.3], [0.4, -1.0], [6.0, 0.0]])
        resp = em_step(X, [0.75, 0.25], [[0.0, 0.0], [9.0, 0.0]], np.stack([np.eye(2)] * 2), reg_covar=0.0)
        assert np.array_equal(resp.covariances[1], np.eye(2))
        np.testing.assert_allclose(
            resp.means[1], X[4], rtol=1e-3, atol=1e-12
        )  # it moves to the sample that it is left with
        assert resp.weights[1] * 5 < 1.0 + 1e-9

    def test_of_what_is_shared_all_together_may_be_too_few(self):
        X = np.random.default_rng(0).normal(size=(3, 5))
        step = em_step(X, [0.5, 0.5], X[:2], 2.0 * np.eye(5), covariance_type="tied", reg_covar=0.0)
        assert np.array_equal(step.covariances, 2.0 * np.eye(5))

    def test_a_component_with_samples_enough_still_collapses(self):
        X = np.vstack([np.random.default_rng(0).normal(size=(30, 2)), np.full((10, 2), 40.0)])
        with pytest.raises(ValueError, match=r"component 1, which holds 10 of 40 samples, has an ill-defined"):
            em_step(X, [0.75, 0.25], [[0, 0], [40, 40]], np.stack([np.eye(2)] * 2), reg_covar=0)

"""`GaussianMixture(prior=...)`: everything that a fit can do, with a prior; and data on which maximum likelihood collapses."""

from __future__ import annotations

import pickle

import dask.array as da
import numpy as np
import pytest
from kit import assert_same_fit, blobs, stop_at
from numpy.testing import assert_allclose
from sklearn.base import clone

import fastgmm
from fastgmm import GaussianMixture, NormalInverseWishart, chunks, load, select
from fastgmm.model.structures import MCLUST_NAMES

LAYOUTS = ["full", "tied", "diag", "spherical"]
GIVEN = {"mean": [0.5, 0.0, -0.5], "shrinkage": 2.0, "dof": 6.0, "scale": [0.5, 1.0, 2.0]}
SLOW = {"tol": 1e-10, "max_iter": 3000, "random_state": 0}


def model(**arguments):
    return GaussianMixture(3, **{"prior": "default", "random_state": 0, **arguments})


@pytest.mark.parametrize("name", MCLUST_NAMES)
def test_the_posterior_never_falls(name):
    bounds = model(covariance_type=name, init_params="random", tol=0.0, max_iter=40).fit(blobs()).lower_bounds_
    assert len(bounds) == 40
    assert (np.diff(bounds) >= -1e-12).all()


@pytest.mark.parametrize("name", LAYOUTS)
def test_score_and_criteria_are_of_the_likelihood(name):
    X = blobs()
    fitted = model(covariance_type=name).fit(X)
    plain = GaussianMixture.from_parameters(fitted.weights_, fitted.means_, fitted.covariances_, covariance_type=name)
    assert fitted.score(X) == pytest.approx(plain.score(X), rel=1e-12)
    assert fitted.bic(X) == pytest.approx(plain.bic(X), rel=1e-12)
    assert fitted.lower_bound_ != pytest.approx(fitted.score(X), rel=1e-3)


def test_the_default_is_that_without_hyper_parameters():
    X = blobs()
    assert_same_fit(model().fit(X), model(prior=NormalInverseWishart()).fit(X))


def test_a_weak_prior_is_none_and_a_strong_one_decides():
    X = blobs()
    weak = NormalInverseWishart(shrinkage=1e-12, dof=2.0 + 1e-9, scale=1e-9)
    at_weak, plain = (GaussianMixture(1, prior=prior, reg_covar=0.0).fit(X) for prior in (weak, None))
    assert_allclose(at_weak.means_, plain.means_, rtol=1e-9)
    # the count of the prior, nu + d + 2, is what is left
    assert_allclose(at_weak.covariances_, plain.covariances_ * (150 / (150 + 2 + 3 + 2)), rtol=1e-8)
    strong = NormalInverseWishart(mean=np.zeros(3), shrinkage=1e9, dof=1e9, scale=1e9)
    decided = model(prior=strong).fit(X)
    assert_allclose(decided.means_, 0.0, atol=1e-5)
    assert_allclose(decided.covariances_, np.tile(np.eye(3), (3, 1, 1)), atol=1e-5)


@pytest.mark.parametrize("name", [*LAYOUTS, "EII", "VEV", "EVE"])
def test_weights_equal_repeated_rows(name):
    X = blobs()
    times = np.arange(len(X)) % 3
    start = {"means_init": X[:3], "weights_init": np.full(3, 1 / 3), "covariance_type": name, **SLOW}
    a, b = model(**start).fit(X, sample_weight=times), model(**start).fit(np.repeat(X, times, axis=0))
    assert_allclose(a.means_, b.means_, rtol=1e-6, atol=1e-9)
    assert_allclose(a.covariances_, b.covariances_, rtol=1e-6, atol=1e-9)
    assert a.lower_bound_ == pytest.approx(b.lower_bound_, rel=1e-12)


@pytest.mark.filterwarnings("ignore::fastgmm.ConvergenceWarning")
def test_the_scale_of_weights_is_that_of_the_evidence():
    X = blobs()
    start = {"means_init": X[:3], "weights_init": np.full(3, 1 / 3), "prior": NormalInverseWishart(**GIVEN), "tol": 0.0}
    start["precisions_init"] = np.tile(np.eye(3), (3, 1, 1))
    ones, tens = (model(**start).fit(X, sample_weight=np.full(len(X), w)) for w in (1.0, 10.0))
    again = model(**start).fit(np.tile(X, (10, 1)))
    assert_allclose(tens.means_, again.means_, rtol=1e-9)
    assert np.abs(ones.means_ - tens.means_).max() > 1e-3
    with pytest.warns(UserWarning, match=r"adds up to 1 for 150 samples of positive weight, and the prior uses that"):
        model(**start).fit(X, sample_weight=np.full(len(X), 1.0 / len(X)))


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("acceleration", ["squarem", "over-relaxation"])
def test_acceleration_finds_the_same_mode(name, acceleration):
    X = blobs(400, seed=3)
    plain, fast = (model(covariance_type=name, acceleration=a, **SLOW).fit(X) for a in (None, acceleration))
    assert fast.lower_bound_ == pytest.approx(plain.lower_bound_, abs=1e-8)
    assert fast.n_passes_ < plain.n_passes_
    assert (np.diff(fast.lower_bounds_) >= -1e-12).all()


@pytest.mark.parametrize("name", LAYOUTS)
def test_float32_and_other_sources(name, tmp_path):
    X = blobs(3000)
    start = {"means_init": X[:3], "weights_init": np.full(3, 1 / 3), "precisions_init": None, "covariance_type": name}
    expected = model(**start).fit(X)
    single = model(**start).fit(X.astype(np.float32))
    assert single.means_.dtype == np.float32
    assert_allclose(single.means_, expected.means_, atol=1e-3)
    np.save(tmp_path / "x.npy", X)
    for source in (np.load(tmp_path / "x.npy", mmap_mode="r"), tmp_path / "x.npy", chunks([X[:1000], X[1000:]])):
        assert_same_fit(model(**start).fit(source), expected)
    elsewhere = model(**start).fit(da.from_array(X, chunks=(800, 3)))
    assert_allclose(elsewhere.means_, expected.means_, rtol=1e-7, atol=1e-9)
    assert_allclose(elsewhere.prior_.scale, expected.prior_.scale, rtol=1e-9, atol=1e-12)


def test_the_same_bits_on_any_number_of_threads():
    X = blobs(20_000)
    fits = [model(n_threads=n, max_iter=5, tol=0.0).fit(X) for n in (1, 2)]
    assert_same_fit(*fits)
    assert fits[0].prior_ == fits[1].prior_


def test_a_checkpoint_resumes_to_the_same_bits(tmp_path):
    X, path = blobs(2000), tmp_path / "fit.ckpt"
    arguments = {
        "prior": NormalInverseWishart(**GIVEN),
        "n_init": 2,
        "tol": 1e-8,
        "max_iter": 200,
        "acceleration": "squarem",
    }
    expected = model(**arguments).fit(X)
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, "reached", 6)
        with pytest.raises(KeyboardInterrupt):
            model(**arguments).fit(X, checkpoint=path, checkpoint_every=0)
    other = arguments | {"prior": NormalInverseWishart(**GIVEN | {"dof": 9.0})}
    with pytest.raises(ValueError, match="is the checkpoint of another fit: prior is not what it was"):
        model(**other).fit(X, checkpoint=path)
    assert_same_fit(model(**arguments).fit(X, checkpoint=path), expected)
    assert not path.exists()


class TestStreams:
    def test_the_first_batch_has_the_prior(self):
        X = blobs(900)
        stream = model()
        for start in range(0, 900, 300):
            stream.partial_fit(X[start : start + 300])
        assert stream.prior_ == model().fit(X[:300]).prior_
        assert_allclose(stream.lower_bound_, stream.lower_bounds_[-1])

    def test_a_prior_weighs_against_all_samples_of_the_stream(self):
        X = blobs(3000)
        given = NormalInverseWishart(mean=np.zeros(3), shrinkage=300.0, dof=5.0, scale=1.0)
        for n in (300, 3000):
            stream = GaussianMixture(1, prior=given).partial_fit(X[:n])
            assert_allclose(stream.means_[0], X[:n].mean(axis=0) * n / (n + 300), rtol=1e-9)
        # two equal batches count as one of both
        halves = GaussianMixture(1, prior=given, learning_decay=1.0, learning_offset=0.0)
        halves.partial_fit(X[:1500]).partial_fit(X[1500:])
        assert_allclose(halves.means_, stream.means_, rtol=1e-9)

    def test_it_resumes_from_a_file(self, tmp_path):
        X = blobs(900)
        stream = model().partial_fit(X[:300])
        stream.save(tmp_path / "m.npz")
        again = load(tmp_path / "m.npz")
        assert_same_fit(stream.partial_fit(X[300:]), again.partial_fit(X[300:]))
        assert stream.prior_ == again.prior_

    def test_batches_of_a_fit(self):
        X = blobs(3000)
        batched, plain = model().fit(X, batch_size=300), model().fit(X)
        assert batched.prior_ == plain.prior_
        assert batched.lower_bound_ == pytest.approx(batched.score(X), rel=1e-9)
        assert batched.score(X) == pytest.approx(plain.score(X), abs=0.02)


class TestFiles:
    @pytest.mark.parametrize("prior", ["default", NormalInverseWishart(**GIVEN), NormalInverseWishart(dof=8)])
    def test_save_and_load(self, prior, tmp_path):
        X = blobs()
        fitted = model(prior=prior).fit(X)
        fitted.save(tmp_path / "m.npz")
        again = load(tmp_path / "m.npz")
        assert_same_fit(fitted, again)
        assert again.prior == prior
        assert again.prior_ == fitted.prior_
        assert isinstance(again.prior_.shrinkage, float)
        assert_same_fit(again.fit(X), fitted)

    def test_clone_and_pickle(self):
        fitted = model(prior=NormalInverseWishart(**GIVEN)).fit(blobs())
        assert clone(fitted).prior == fitted.prior
        assert pickle.loads(pickle.dumps(fitted)).prior_ == fitted.prior_

    def test_a_fit_without_a_prior_forgets_it(self):
        fitted = model().fit(blobs())
        fitted.set_params(prior=None).fit(blobs())
        assert not hasattr(fitted, "prior_")


def collapsing(which):
    X = blobs(60, seed=5)
    return {
        "duplicates": np.repeat(X[:5], 4, axis=0),
        "fewer than d + 1 in a component": np.vstack([X[:40], X[:2] + 50.0]),
        "a constant column": np.column_stack([X, np.ones(60)]),
        "collinear": np.column_stack([X, X[:, 0] - X[:, 1]]),
        "n <= d": np.random.default_rng(0).normal(size=(6, 9)),
    }[which]


@pytest.mark.parametrize(
    "which", ["duplicates", "fewer than d + 1 in a component", "a constant column", "collinear", "n <= d"]
)
@pytest.mark.parametrize("name", MCLUST_NAMES)
@pytest.mark.filterwarnings("error::fastgmm.DegenerateWarning")
def test_data_on_which_maximum_likelihood_collapses(which, name):
    X = collapsing(which)
    fitted = model(covariance_type=name, reg_covar=0.0, max_iter=500).fit(X)
    assert fitted.converged_
    assert np.isfinite(fitted.score(X))
    assert (np.diff(fitted.lower_bounds_) >= -1e-10).all()
    if name == "VVV":
        with pytest.raises(ValueError, match="ill-defined empirical covariance"):
            model(prior=None, covariance_type=name, reg_covar=0.0, max_iter=500).fit(X)


def test_a_collapse_names_the_prior_as_a_remedy():
    X = collapsing("duplicates")
    with pytest.raises(ValueError, match=r"Or fit with prior='default', which does not collapse\."):
        model(prior=None, reg_covar=0.0).fit(X)
    with pytest.raises(ValueError, match=r"All samples are equal\. Raise reg_covar .*data\.$"):
        GaussianMixture(1, reg_covar=0.0).fit(np.ones((9, 2)))


class TestSelect:
    def test_no_model_is_left_out(self):
        X = collapsing("duplicates")
        assert select(X, [1, 2, 3], random_state=0).reasons
        found = select(X, [1, 2, 3], prior="default", random_state=0)
        assert not found.reasons
        assert np.isfinite(found.bic).all()

    def test_its_models_are_fits_with_their_prior(self):
        X = blobs()
        found = select(X, [1, 3], ["VVV", "VVI"], prior="default", random_state=0, tol=1e-9)
        for k, name in [(1, "VVV"), (3, "VVI")]:
            best = found.model(k, name)
            again = GaussianMixture(k, covariance_type=name, prior="default", random_state=0).fit(X)
            assert best.prior == "default"
            assert best.prior_ == again.prior_
            assert best.bic(X) == pytest.approx(found.bic[[1, 3].index(k), ["VVV", "VVI"].index(name)])
        assert found.model(1, "VVV").bic(X) == pytest.approx(
            GaussianMixture(1, prior="default", reg_covar=found.model(1, "VVV").reg_covar).fit(X).bic(X), rel=1e-9
        )

    def test_constant_features_leave_the_marginal_of_a_given_prior(self):
        X = collapsing("a constant column")
        given = NormalInverseWishart(mean=np.arange(4.0), dof=7.0, scale=np.arange(1.0, 5.0))
        with pytest.warns(UserWarning, match="feature 3 .* is constant"):
            prior = select(X, [1], ["VVV"], prior=given).best_model.prior_
        assert_allclose(prior.mean, np.arange(3.0))
        assert_allclose(prior.scale, np.diag(np.arange(1.0, 4.0)))
        assert prior.dof == 6.0

    def test_large_data(self):
        X = blobs(12_000)
        found = select(X, [2, 3], ["VVV", "EEE"], prior="default", random_state=0)
        assert found.best_n_components == 3


class TestWrong:
    @pytest.mark.parametrize(
        ("prior", "error", "message"),
        [
            ("defualt", ValueError, r"prior must be None, 'default' or a fastgmm.NormalInverseWishart, got 'defualt'"),
            (0.5, TypeError, r"prior must be None, 'default' or a fastgmm.NormalInverseWishart, got 0.5"),
            (NormalInverseWishart(dof=1.0), ValueError, r"prior\.dof must be above n_features - 1 = 2, got 1"),
            (NormalInverseWishart(mean=[1.0]), ValueError, r"'prior\.mean' should have the shape of \(3,\)"),
        ],
    )
    @pytest.mark.parametrize("call", ["fit", "partial_fit"])
    def test_what_is_not_a_prior(self, prior, error, message, call):
        unfitted = model(prior=prior)
        with pytest.raises(error, match=message):
            getattr(unfitted, call)(blobs())
        assert not hasattr(unfitted, "means_")

    def test_select_checks_it_too(self):
        with pytest.raises(ValueError, match=r"prior must be None, 'default'"):
            select(blobs(), [1], prior="flat")
        with pytest.raises(ValueError, match=r"prior\.dof must be above n_features - 1 = 2"):
            select(blobs(), [1], prior=NormalInverseWishart(dof=1))

    def test_a_step_of_its_own_has_no_other_prior(self):
        class Other(GaussianMixture):
            def _step(self, structure, reg_covar):
                return fastgmm.em.step.MaximumAPosteriori(structure, reg_covar)

        with pytest.raises(ValueError, match="is for maximum likelihood, but Other has its own step"):
            Other(2, prior="default").fit(blobs())

    def test_a_damaged_prior_in_a_file(self, tmp_path):
        fitted = model().fit(blobs())
        fitted.save(tmp_path / "m.npz")
        with np.load(tmp_path / "m.npz") as file:
            entries = dict(file)
        for changed, message in (
            ({"prior.scale": -entries["prior.scale"]}, "holds a prior that is none: prior.scale should be"),
            ({"prior.dof": None}, r"it holds 'prior.mean', .*, but not all of"),
        ):
            kept = {name: value for name, value in (entries | changed).items() if value is not None}
            np.savez(tmp_path / "bad.npz", **kept)
            with pytest.raises(ValueError, match=message):
                load(tmp_path / "bad.npz")

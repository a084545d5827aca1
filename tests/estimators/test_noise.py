"""`GaussianMixture(noise=...)`: a component of constant density, in everything that a model does."""

from __future__ import annotations

import pickle

import dask.array as da
import dask.dataframe as dd
import naive
import numpy as np
import pandas as pd
import pytest
from kit import assert_same_fit, stop_at
from numpy.testing import assert_allclose, assert_array_equal

import fastgmm
from fastgmm import GaussianMixture, chunks, load
from fastgmm._names import STARTS
from fastgmm.data.source import ArraySource
from fastgmm.em.sweep import sweep
from fastgmm.init.noise import MOST_SAMPLES, distance_noise, noise_of, without_noise
from fastgmm.model.structures import MCLUST_NAMES

LAYOUTS = ["full", "tied", "diag", "spherical"]


def cluttered(n=400, d=2, seed=0):
    """Two clusters and a fifth of noise; the labels of the samples, -1 for noise."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 1, -1], p=[0.4, 0.4, 0.2], size=n)
    clusters = rng.normal(size=(n, d)) * 0.4 + np.where(labels[:, None] == 0, -2.0, 2.0)
    return np.where(labels[:, None] < 0, rng.uniform(-8, 8, size=(n, d)), clusters), labels


def model(**arguments):
    return GaussianMixture(2, **{"noise": True, "random_state": 0, **arguments})


@pytest.mark.parametrize("name", LAYOUTS)
class TestTheMixture:
    def test_is_that_of_the_formulas(self, name):
        X, _ = cluttered()
        fitted = model(covariance_type=name).fit(X)
        noise = fitted.noise_
        assert fitted.weights_.sum() + noise.weight == pytest.approx(1.0)
        densities = naive.log_density(X, fitted.means_, fitted.covariances_, name)
        log_p, resp = naive.with_noise(densities, fitted.weights_, noise.weight, noise.volume)
        assert_allclose(fitted.score_samples(X), log_p, rtol=1e-9)
        assert_allclose(fitted.predict_proba(X), resp, atol=1e-9)
        labels = resp.argmax(axis=1)
        assert_array_equal(fitted.predict(X), np.where(labels == 2, -1, labels))
        assert fitted.score(X) == pytest.approx(log_p.mean(), rel=1e-9)
        assert_allclose(
            fitted._estimate_log_prob(X), np.column_stack([densities, np.full(len(X), -np.log(noise.volume))])
        )
        assert_allclose(np.exp(fitted._estimate_log_prob_resp(X)[1]), resp, atol=1e-9)
        n_parameters = GaussianMixture(2, covariance_type=name).fit(X)._n_parameters() + 2
        assert fitted.bic(X) == pytest.approx(naive.bic(log_p.sum(), n_parameters, len(X)), rel=1e-9)
        assert fitted.icl(X) == pytest.approx(fitted.bic(X) - 2 * np.log(resp.max(axis=1)).sum(), rel=1e-9)

    def test_statistics_are_those_of_its_responsibilities(self, name):
        X, _ = cluttered()
        params = model(covariance_type=name).fit(X)._params()
        stats, resp = sweep(ArraySource(X), params), model(covariance_type=name).fit(X).predict_proba(X)
        assert stats.noise == pytest.approx(resp[:, 2].sum(), rel=1e-9)
        counts, sums, scatter = naive.counts_sums_scatter(X, resp[:, :2], params.means, name)
        assert_allclose(stats.counts, counts, rtol=1e-9)
        assert_allclose(stats.sums, sums, atol=1e-7)
        assert_allclose(stats.scatter, scatter, rtol=1e-8, atol=1e-7)

    def test_the_likelihood_never_falls(self, name):
        X, _ = cluttered()
        for prior in (None, "default"):
            bounds = model(covariance_type=name, prior=prior, tol=0.0, max_iter=50, reg_covar=0.0).fit(X).lower_bounds_
            assert (np.diff(bounds) >= -1e-12).all()

    def test_weights_equal_repeated_rows(self, name):
        X, labels = cluttered()
        times = np.arange(len(X)) % 3
        start = {"means_init": [[-2.0, -2.0], [2.0, 2.0]], "covariance_type": name, "tol": 1e-10, "max_iter": 500}
        a = model(noise=labels < 0, **start).fit(X, sample_weight=times)
        b = model(noise=np.repeat(labels < 0, times), **start).fit(np.repeat(X, times, axis=0))
        assert_allclose(a.means_, b.means_, rtol=1e-6)
        assert a.noise_.weight == pytest.approx(b.noise_.weight, rel=1e-6)
        assert a.noise_.volume == pytest.approx(b.noise_.volume, rel=1e-9)

    def test_acceleration_finds_the_same_optimum(self, name):
        X, _ = cluttered()
        options = {"covariance_type": name, "tol": 1e-9, "max_iter": 2000}
        plain, fast = (model(acceleration=a, **options).fit(X) for a in (None, "squarem"))
        assert fast.lower_bound_ == pytest.approx(plain.lower_bound_, abs=1e-7)
        assert fast.noise_.weight == pytest.approx(plain.noise_.weight, abs=1e-3)

    def test_sources(self, name, tmp_path):
        X, _ = cluttered(3000)
        start = {"covariance_type": name, "noise": True}
        expected = model(**start).fit(X)
        np.save(tmp_path / "x.npy", X)
        for source in (np.load(tmp_path / "x.npy", mmap_mode="r"), tmp_path / "x.npy", chunks([X[:1000], X[1000:]])):
            found = model(**start).fit(source)
            assert_same_fit(found, expected)
            assert found.noise_ == expected.noise_
        single = model(**start).fit(X.astype(np.float32))
        assert single.noise_.weight == pytest.approx(expected.noise_.weight, abs=1e-3)
        elsewhere = model(**start).fit(da.from_array(X, chunks=(800, 2)))
        assert elsewhere.noise_.weight == pytest.approx(expected.noise_.weight, rel=1e-6)
        assert elsewhere.noise_.volume == pytest.approx(expected.noise_.volume, rel=1e-9)
        lazy = elsewhere.predict(da.from_array(X, chunks=(800, 2))).compute()
        assert_array_equal(lazy, elsewhere.predict(X))
        assert set(lazy) == {-1, 0, 1}


@pytest.mark.parametrize("name", MCLUST_NAMES)
def test_noise_is_found_among_clusters(name):
    X, labels = cluttered()
    found = model(covariance_type=name, max_iter=500).fit(X).predict(X)
    assert ((found < 0) == (labels < 0)).mean() > 0.93


def test_the_same_bits_on_any_number_of_threads():
    X, _ = cluttered(20_000)
    for name in LAYOUTS:
        one, two = (model(n_threads=n, covariance_type=name, max_iter=5, tol=0.0).fit(X) for n in (1, 2))
        assert_same_fit(one, two)
        assert one.noise_ == two.noise_
        assert_array_equal(one.predict(X), two.predict(X))


def test_one_component_and_noise_are_no_single_component():
    X, labels = cluttered()
    keep = labels != 1
    fitted = GaussianMixture(1, noise=True, tol=1e-9, max_iter=500, random_state=0).fit(X[keep])
    assert fitted.n_iter_ > 3
    assert_allclose(fitted.means_[0], [-2.0, -2.0], atol=0.1)


class TestTheVolume:
    def test_is_the_smaller_of_two_boxes(self):
        rng = np.random.default_rng(0)
        X = rng.uniform(size=(500, 2)) * [10.0, 1.0]
        straight = noise_of(ArraySource(X), None)
        assert straight.volume == pytest.approx(np.ptp(X, axis=0).prod(), rel=0.05)
        turned = noise_of(ArraySource(X @ np.array([[0.6, 0.8], [-0.8, 0.6]])), None)
        assert turned.volume == pytest.approx(straight.volume, rel=0.1)
        assert not np.array_equal(turned.axes, np.eye(2))

    def test_samples_of_weight_zero_have_none(self):
        X, _ = cluttered()
        far = np.vstack([X, [[1e3, 1e3]]])
        weights = np.append(np.ones(len(X)), 0.0)
        assert noise_of(ArraySource.weighted(far, weights), None).volume == noise_of(ArraySource(X), None).volume

    @pytest.mark.parametrize("feature", range(3))
    def test_marginals_are_those_of_draws(self, feature):
        rng = np.random.default_rng(1)
        X = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 3))
        noise = noise_of(ArraySource(X), None)
        drawn = noise.draw(np.random.RandomState(0), 200_000)[:, feature]
        x = np.linspace(drawn.min() - 1, drawn.max() + 1, 20_001)
        density = noise.marginal_density(feature, x)
        step = x[1] - x[0]
        assert density.sum() * step == pytest.approx(1.0, abs=2e-3)
        for share in (0.1, 0.5, 0.9):
            assert np.interp(np.quantile(drawn, share), x, np.cumsum(density) * step) == pytest.approx(share, abs=5e-3)

    def test_data_without_a_volume(self):
        X, _ = cluttered()
        with pytest.raises(ValueError, match=r"volume of the data, which is 0: feature 2 is constant .* Drop what is"):
            model().fit(np.column_stack([X, np.ones(len(X))]))
        with pytest.raises(
            ValueError, match=r"which is 0: feature 2 is a linear combination of feature 0 and feature 1"
        ):
            model().fit(np.column_stack([X, X.sum(axis=1)]))


class TestTheStart:
    def test_far_neighbours_are_noise(self):
        X, _ = cluttered(2000)
        clean, weight = without_noise(ArraySource(X), 2)
        assert weight == pytest.approx(0.2, abs=0.05)
        assert clean.n_samples == pytest.approx(1600, abs=100)

    def test_equal_distances_say_nothing(self):
        assert not distance_noise(np.ones(50), 2).any()
        assert not distance_noise(np.zeros(50), 2).any()
        assert model().fit(np.repeat(cluttered(60)[0], 20, axis=0)).converged_

    def test_it_leaves_enough_samples(self):
        X = np.random.default_rng(0).standard_cauchy(size=(30, 2))
        clean, weight = without_noise(ArraySource(X), 7)
        assert clean.n_samples >= 15
        assert 0.01 <= weight <= 0.5

    def test_many_samples_are_sampled(self):
        X, labels = cluttered(MOST_SAMPLES + 5000)
        fitted = model().fit(X)
        assert ((fitted.predict(X) < 0) == (labels < 0)).mean() > 0.93

    @pytest.mark.parametrize("init_params", STARTS)
    def test_any_start(self, init_params):
        X, _ = cluttered()
        fitted = model(init_params=init_params, max_iter=500, tol=1e-6).fit(X)
        assert fitted.noise_.weight == pytest.approx(0.2561, abs=1e-3)

    def test_several_starts_and_screening(self):
        X, _ = cluttered(100_000)
        fitted = model(n_init=3, init_params="random_from_data").fit(X)
        assert fitted.noise_.weight == pytest.approx(0.18, abs=0.05)

    def test_marked_samples_begin_as_noise(self):
        X, labels = cluttered()
        start = model(noise=labels < 0, max_iter=0).fit(X)
        assert start.noise_.weight == pytest.approx((labels < 0).mean())
        assert start.weights_.sum() == pytest.approx(1 - (labels < 0).mean())
        clean = X[labels >= 0]
        plain = GaussianMixture(2, max_iter=0, random_state=0).fit(clean)
        assert_allclose(start.means_, plain.means_)

    def test_marks_are_of_the_rows_passed(self):
        X, labels = cluttered()
        weights = np.where(np.arange(len(X)) % 2, 1.0, 0.0)
        a = model(noise=labels < 0, max_iter=0).fit(X, sample_weight=weights)
        b = model(noise=labels[1::2] < 0, max_iter=0).fit(X[1::2])
        assert_same_fit(a, b)

    def test_supplied_parameters_still_need_the_noise(self):
        X, _ = cluttered()
        supplied = {
            "means_init": [[-2.0, -2.0], [2.0, 2.0]],
            "weights_init": [0.5, 0.5],
            "precisions_init": np.tile(np.eye(2), (2, 1, 1)),
        }
        start = model(max_iter=0, **supplied).fit(X)
        assert_allclose(start.means_, supplied["means_init"])
        assert start.noise_.weight == pytest.approx(0.2, abs=0.07)

    def test_warm_start(self):
        X, _ = cluttered()
        first = model(max_iter=3, tol=0.0, warm_start=True)
        with pytest.warns(fastgmm.ConvergenceWarning):
            first.fit(X)
        bounds = first.lower_bounds_
        first.set_params(max_iter=100, tol=1e-6).fit(X)
        assert first.lower_bounds_[0] >= bounds[-1]

    @pytest.mark.parametrize("name", LAYOUTS)
    def test_fits_with_noise_and_without_continue_each_other(self, name):
        X, _ = cluttered()
        options = {"covariance_type": name, "warm_start": True, "tol": 1e-9, "max_iter": 2000}
        with_noise, plain = model(**options).fit(X), model(noise=False, **options).fit(X)
        weight, at_plain = with_noise.noise_.weight, plain.lower_bound_
        plain.set_params(noise=True).fit(X)
        assert plain.noise_.weight > 0.01
        assert (np.diff(plain.lower_bounds_) >= -1e-9).all()
        with_noise.set_params(noise=False).fit(X)
        assert not hasattr(with_noise, "noise_")
        assert with_noise.weights_.sum() == pytest.approx(1.0)
        assert (np.diff(with_noise.lower_bounds_) >= -1e-9).all()
        assert with_noise.lower_bound_ >= at_plain - 1e-3  # from a better start, for some layouts
        assert weight > 0.1
        stream = model(noise=False, covariance_type=name).fit(X).set_params(noise=True).partial_fit(X)
        assert stream.weights_.sum() + stream.noise_.weight == pytest.approx(1.0)
        assert stream.noise_.weight > 0


class TestWhatModelsDo:
    def test_samples_are_drawn_from_noise_too(self):
        X, _ = cluttered()
        fitted = model().fit(X)
        drawn, labels = fitted.sample(5000)
        assert drawn.shape == (5000, 2)
        assert (labels == -1).mean() == pytest.approx(fitted.noise_.weight, abs=0.02)
        inside = drawn[labels == -1] @ fitted.noise_.axes
        assert (inside >= fitted.noise_.low).all()
        assert (inside <= fitted.noise_.high).all()

    def test_frames_name_its_column(self):
        X, _ = cluttered()
        frame = pd.DataFrame(X, columns=["a", "b"])
        fitted = model().fit(frame)
        lazy = fitted.predict_proba(dd.from_pandas(frame, npartitions=2))
        assert list(lazy.columns) == ["p0", "p1", "noise"]
        assert_allclose(lazy.compute().to_numpy(), fitted.predict_proba(frame))

    def test_save_load_and_pickle(self, tmp_path):
        X, labels = cluttered()
        for noise in (True, labels < 0):
            fitted = model(noise=noise).fit(X)
            fitted.save(tmp_path / "m.npz")
            again = load(tmp_path / "m.npz")
            assert_same_fit(fitted, again)
            assert again.noise_ == fitted.noise_ == pickle.loads(pickle.dumps(fitted)).noise_
            assert_array_equal(again.noise, noise)
            assert again.bic(X) == fitted.bic(X)

    def test_a_damaged_file(self, tmp_path):
        fitted = model().fit(cluttered()[0])
        fitted.save(tmp_path / "m.npz")
        with np.load(tmp_path / "m.npz") as file:
            entries = dict(file)
        for changed, message in (
            ({"noise.weight": np.array(0.9)}, "sum to 1"),
            ({"noise.low": entries["noise.high"]}, "ends before it begins"),
            ({"noise.axes": np.eye(3)}, r"noise.axes has dtype float64 and shape \(3, 3\)"),
            ({"noise.low": None}, r"it holds .*, but needs noise.weight"),
        ):
            kept = {name: value for name, value in (entries | changed).items() if value is not None}
            np.savez(tmp_path / "bad.npz", **kept)
            with pytest.raises(ValueError, match=message):
                load(tmp_path / "bad.npz")

    def test_a_fit_without_noise_forgets_it(self):
        X, _ = cluttered()
        fitted = model().fit(X)
        fitted.set_params(noise=False).fit(X)
        assert not hasattr(fitted, "noise_")
        assert fitted.predict_proba(X).shape == (len(X), 2)

    def test_a_stream_keeps_the_noise_of_its_first_batch(self, tmp_path):
        X, _ = cluttered(1200)
        stream = model().partial_fit(X[:400])
        box = stream.noise_.volume
        stream.save(tmp_path / "m.npz")
        again = load(tmp_path / "m.npz").partial_fit(X[400:])
        assert_same_fit(stream.partial_fit(X[400:]), again)
        assert again.noise_ == stream.noise_
        assert stream.noise_.volume == box
        assert stream.noise_.weight == pytest.approx(0.19, abs=0.06)

    @pytest.mark.parametrize("acceleration", [None, "squarem"])
    def test_a_checkpoint_resumes_to_the_same_bits(self, tmp_path, acceleration):
        X, path = cluttered(2000)[0], tmp_path / "fit.ckpt"
        arguments = {
            "n_init": 2,
            "tol": 1e-8,
            "max_iter": 200,
            "acceleration": acceleration,
            "init_params": "random",
        }
        expected = model(**arguments).fit(X)
        for call in (4, 20):
            with pytest.MonkeyPatch.context() as patch:
                stop_at(patch, "reached", call)
                with pytest.raises(KeyboardInterrupt):
                    model(**arguments).fit(X, checkpoint=path, checkpoint_every=0)
            resumed = model(**arguments).fit(X, checkpoint=path)
            assert_same_fit(resumed, expected)
            assert resumed.noise_ == expected.noise_


class TestWrong:
    @pytest.mark.parametrize(
        ("noise", "message"),
        [
            (np.ones(400), r"noise must be True, False or an array of these, of the shape \(400,\), .*got float64"),
            (np.ones(399, bool), r"of the shape \(400,\), one for each sample of X, got bool of the shape \(399,\)"),
            ("yes", r"noise must be True, False or an array of these"),
            (
                np.zeros(400, bool),
                r"noise marks 0 of 400 samples .* mark some of them, not all, or pass noise=True",
            ),
            (np.ones(400, bool), r"noise marks 400 of 400 samples"),
        ],
    )
    def test_marks(self, noise, message):
        for call in ("fit", "partial_fit"):
            unfitted = model(noise=noise)
            with pytest.raises(ValueError, match=message):
                getattr(unfitted, call)(cluttered()[0])
            assert not hasattr(unfitted, "means_")

    def test_marks_of_samples_elsewhere(self):
        X, labels = cluttered()
        with pytest.raises(ValueError, match=r"noise cannot mark samples if X is distributed.*pass noise=True"):
            model(noise=labels < 0).fit(da.from_array(X, chunks=(100, 2)))

    def test_groups_do_not_know_noise(self):
        X, labels = cluttered()
        with pytest.raises(ValueError, match=r"init_params cannot be labels or responsibilities if there is noise"):
            model(init_params=np.maximum(labels, 0)).fit(X)

    def test_a_step_of_its_own(self):
        class Other(GaussianMixture):
            def _step(self, structure, reg_covar):
                return object()

        with pytest.raises(ValueError, match="noise is for maximum likelihood, but Other has its own step"):
            Other(2, noise=True).fit(cluttered()[0])

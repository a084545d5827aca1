"""GaussianMixture as an estimator: among scikit-learn's tools, used without fit, and what importing it costs."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
import sklearn.exceptions
from conftest import PATIENCE, random_mixture
from joblib import parallel_config
from kit import ARRAYS, assert_same_fit, blobs
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.mixture import GaussianMixture as Theirs
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr, get_tags
from sklearn.utils.validation import check_is_fitted

import fastgmm
from fastgmm import GaussianMixture

TYPES = ("full", "tied", "diag", "spherical")


def assert_like_theirs(ours, theirs, rtol=1e-6):
    for name in ARRAYS:
        assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=rtol, atol=1e-8, err_msg=name)
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.converged_ == theirs.converged_
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-6)


class TestParameters:
    def test_the_constructor_is_scikit_learn_s_and_more(self):
        own = {"prior": None, "noise": False, "on_collapse": "raise", "missing_values": "raise", "fixed": None}
        own |= {
            "acceleration": None,
            "algorithm": "dense",
            "n_threads": None,
            "learning_decay": 0.6,
            "learning_offset": 3.0,
            "forgetting": None,
        }
        assert GaussianMixture().get_params() == {**Theirs().get_params(), **own}

    def test_get_params_returns_what_was_passed_itself(self):
        means = np.zeros((2, 3))
        params = GaussianMixture(2, means_init=means, tol=0.5).get_params(deep=False)
        assert params["means_init"] is means
        assert (params["n_components"], params["tol"]) == (2, 0.5)

    def test_set_params_sets_and_returns_the_model(self):
        model = GaussianMixture()
        assert model.set_params(n_components=4, covariance_type="diag") is model
        assert (model.n_components, model.covariance_type) == (4, "diag")

    def test_set_params_with_one_wrong_name_sets_none(self):
        model = GaussianMixture()
        with pytest.raises(ValueError, match=r"did you mean 'n_components'"):
            model.set_params(tol=0.5, n_component=3)
        assert model.get_params() == GaussianMixture().get_params()

    @pytest.mark.parametrize(
        ("model", "text"),
        [
            (GaussianMixture(), "GaussianMixture()"),
            (GaussianMixture(3, tol=0.1), "GaussianMixture(n_components=3, tol=0.1)"),
            (
                GaussianMixture(covariance_type="tied", random_state=0),
                "GaussianMixture(covariance_type='tied', random_state=0)",
            ),
            (GaussianMixture(2, weights_init=[0.5, 0.5]), "GaussianMixture(n_components=2, weights_init=[0.5, 0.5])"),
            (GaussianMixture(n_threads=2), "GaussianMixture(n_threads=2)"),
        ],
    )
    def test_repr_shows_what_is_not_the_default(self, model, text):
        assert repr(model) == text
        assert eval(repr(model)).get_params() == model.get_params()

    def test_the_parameters_survive_a_fit(self):
        X = blobs()
        given = {
            "weights_init": np.full(3, 1 / 3),
            "means_init": X[:3].copy(),
            "precisions_init": np.stack([np.eye(3)] * 3),
        }
        before = copy.deepcopy(given)
        data = X.copy()
        for array in (*given.values(), data):
            array.flags.writeable = False
        model = GaussianMixture(3, tol=0, max_iter=3, verbose=False, **given)
        params = model.get_params()
        with pytest.warns(fastgmm.ConvergenceWarning):
            model.fit(data)
        after = model.get_params()
        assert all(after[name] is params[name] for name in params)
        for name, array in before.items():
            assert_array_equal(given[name], array)
        assert_array_equal(data, X)

    def test_a_fit_does_not_share_memory_with_what_was_supplied(self):
        X = blobs()
        means, weights, precisions = X[:2].copy(), np.array([0.4, 0.6]), np.ones((2, 3))
        model = GaussianMixture(
            2, covariance_type="diag", means_init=means, weights_init=weights, precisions_init=precisions, max_iter=0
        ).fit(X)
        for ours, given in ((model.means_, means), (model.weights_, weights), (model.precisions_, precisions)):
            assert_allclose(ours, given, rtol=1e-12)
            assert not np.shares_memory(ours, given)

    def test_the_module_numpy_random_is_its_global_generator(self):
        X = blobs()
        state = np.random.get_state()  # noqa: NPY002
        try:
            np.random.seed(3)  # noqa: NPY002
            model = GaussianMixture(3, random_state=np.random).fit(X)
            np.random.seed(3)  # noqa: NPY002
            assert_same_fit(GaussianMixture(3).fit(X), model)
        finally:
            np.random.set_state(state)  # noqa: NPY002
        assert_same_fit(GaussianMixture(3, random_state=3).fit(X), model)

    def test_a_generator_given_as_random_state_is_the_stream_that_is_drawn_from(self):
        X = blobs()
        rng = np.random.RandomState(5)
        state = rng.get_state()[2]
        ours = GaussianMixture(3, random_state=rng, init_params="random_from_data").fit(X)
        assert ours.random_state is rng
        assert rng.get_state()[2] != state
        assert_same_fit(ours, GaussianMixture(3, random_state=5, init_params="random_from_data").fit(X))


class TestTools:
    def test_clone_has_the_parameters_and_is_not_fitted(self):
        X = blobs()
        model = GaussianMixture(3, covariance_type="tied", random_state=1, means_init=X[:3]).fit(X)
        copied = clone(model)
        assert not hasattr(copied, "means_")
        assert_array_equal(copied.get_params().pop("means_init"), X[:3])
        assert_same_fit(copied.fit(X), model)

    def test_pipeline(self):
        X = blobs()
        scaled = StandardScaler().fit_transform(X)
        pipe = make_pipeline(StandardScaler(), GaussianMixture(3, random_state=0)).fit(X)
        direct = GaussianMixture(3, random_state=0).fit(scaled)
        assert_array_equal(pipe.predict(X), direct.predict(scaled))
        assert_array_equal(pipe.predict_proba(X), direct.predict_proba(scaled))
        assert pipe.score(X) == direct.score(scaled)
        assert_array_equal(clone(pipe).fit_predict(X), direct.predict(scaled))

    def test_pipeline_that_passes_data_frames(self):
        frame = pd.DataFrame(blobs(), columns=["a", "b", "c"])
        pipe = make_pipeline(StandardScaler().set_output(transform="pandas"), GaussianMixture(3, random_state=0)).fit(
            frame
        )
        assert list(pipe[-1].feature_names_in_) == ["a", "b", "c"]
        plain = make_pipeline(StandardScaler(), GaussianMixture(3, random_state=0)).fit(frame.to_numpy())
        assert_array_equal(pipe.predict(frame), plain.predict(frame.to_numpy()))

    def test_set_output_of_the_whole_pipeline(self):
        frame = pd.DataFrame(blobs(), columns=["a", "b", "c"])
        pipe = (
            make_pipeline(StandardScaler(), GaussianMixture(2, random_state=0))
            .set_output(transform="pandas")
            .fit(frame)
        )
        assert list(pipe[-1].feature_names_in_) == ["a", "b", "c"]
        assert set(pipe.predict(frame)) == {0, 1}

    def test_grid_search_finds_what_it_finds_with_scikit_learn_s(self):
        X = blobs()
        grid = {"n_components": [1, 3], "covariance_type": ["full", "spherical"]}
        ours, theirs = (
            GridSearchCV(cls(random_state=0), grid, cv=KFold(3)).fit(X) for cls in (GaussianMixture, Theirs)
        )
        assert ours.best_params_ == theirs.best_params_
        assert_allclose(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], rtol=1e-6)
        assert_like_theirs(ours.best_estimator_, theirs.best_estimator_)

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_cross_val_score(self, covariance_type):
        X = blobs()
        ours, theirs = (
            cross_val_score(cls(2, covariance_type=covariance_type, random_state=0), X, cv=3)
            for cls in (GaussianMixture, Theirs)
        )
        assert_allclose(ours, theirs, rtol=1e-6)

    def test_cross_val_score_in_threads(self):
        X = blobs()
        model = GaussianMixture(2, random_state=0)
        with parallel_config("threading", n_jobs=2):
            threaded = cross_val_score(model, X, cv=4)
        assert_array_equal(threaded, cross_val_score(model, X, cv=4))

    def test_grid_search_with_metadata_routing(self):
        with sklearn.config_context(enable_metadata_routing=True):
            search = GridSearchCV(GaussianMixture(random_state=0), {"n_components": [1, 3]}, cv=2).fit(blobs())
        assert search.best_params_ == {"n_components": 3}

    def test_tags_are_those_of_scikit_learn_s(self):
        ours, theirs = get_tags(GaussianMixture()), get_tags(Theirs())
        assert ours.estimator_type == theirs.estimator_type == "density_estimator"
        assert ours.input_tags == theirs.input_tags
        assert ours.target_tags == theirs.target_tags

    def test_html_representation(self):
        assert "GaussianMixture" in estimator_html_repr(GaussianMixture(3))
        assert "GaussianMixture" in estimator_html_repr(make_pipeline(StandardScaler(), GaussianMixture(3)))

    def test_check_is_fitted(self):
        model = GaussianMixture()
        with pytest.raises(sklearn.exceptions.NotFittedError):
            check_is_fitted(model)
        assert check_is_fitted(model.fit(blobs())) is None

    @pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda m: pickle.loads(pickle.dumps(m))])
    def test_copies_and_pickles_of_a_fitted_model(self, copied):
        frame = pd.DataFrame(blobs(), columns=["a", "b", "c"])
        model = GaussianMixture(3, random_state=0, weights_init=[0.2, 0.3, 0.5]).fit(frame)
        again = copied(model)
        assert_same_fit(again, model)
        assert again.get_params() == model.get_params()
        assert_array_equal(again.feature_names_in_, model.feature_names_in_)
        assert_array_equal(again.score_samples(frame), model.score_samples(frame))
        assert_array_equal(again.sample(5)[0], model.sample(5)[0])

    def test_a_deep_copy_is_independent(self):
        model = GaussianMixture(2, random_state=0).fit(blobs())
        means = model.means_.copy()
        copy.deepcopy(model).means_[:] = 0.0
        assert_array_equal(model.means_, means)

    def test_a_model_that_is_not_fitted_is_pickled(self):
        again = pickle.loads(pickle.dumps(GaussianMixture(3, tol=0.1)))
        assert again.get_params() == GaussianMixture(3, tol=0.1).get_params()
        assert not hasattr(again, "means_")


class TestFit:
    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_all_that_a_fitted_model_answers_is_scikit_learn_s(self, covariance_type):
        X, other = blobs(), blobs(seed=1)
        ours, theirs = (
            cls(3, covariance_type=covariance_type, random_state=0).fit(X) for cls in (GaussianMixture, Theirs)
        )
        assert_like_theirs(ours, theirs)
        assert_allclose(ours.lower_bounds_, theirs.lower_bounds_, rtol=1e-6)
        assert_array_equal(ours.predict(other), theirs.predict(other))
        assert_allclose(ours.predict_proba(other), theirs.predict_proba(other), rtol=1e-5, atol=1e-10)
        assert_allclose(ours.score_samples(other), theirs.score_samples(other), rtol=1e-6)
        for method in ("score", "aic", "bic"):
            assert getattr(ours, method)(other) == pytest.approx(getattr(theirs, method)(other), rel=1e-7), method

    def test_fit_predict_is_fit_and_predict(self):
        X = blobs()
        model = GaussianMixture(3, random_state=0)
        labels = model.fit_predict(X)
        assert_array_equal(labels, GaussianMixture(3, random_state=0).fit(X).predict(X))
        assert_array_equal(labels, Theirs(3, random_state=0).fit_predict(X))

    def test_y_is_ignored(self):
        X = blobs()
        model = GaussianMixture(2, random_state=0).fit(X)
        assert_same_fit(GaussianMixture(2, random_state=0).fit(X, np.full(150, "any")), model)
        assert model.score(X, "any") == model.score(X)

    def test_fit_forgets_the_fit_before(self):
        X = blobs()
        model = GaussianMixture(3, random_state=0).fit(blobs(d=2, seed=4))
        assert_same_fit(model.fit(X), GaussianMixture(3, random_state=0).fit(X))

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_float32_stays_float32(self, covariance_type):
        X = blobs().astype(np.float32)
        model = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
        for name in ARRAYS:
            assert getattr(model, name).dtype == np.float32, name
        assert model.score_samples(X).dtype == np.float32
        assert model.predict_proba(X).dtype == np.float32
        theirs = Theirs(3, covariance_type=covariance_type, random_state=0).fit(X)
        assert_allclose(model.means_, theirs.means_, rtol=1e-3, atol=1e-3)
        assert_array_equal(model.predict(X), theirs.predict(X))

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_threads_do_not_change_a_bit(self, covariance_type):
        X = blobs(n=5000)
        one, many = (
            GaussianMixture(3, covariance_type=covariance_type, random_state=0, n_threads=n).fit(X) for n in (1, 64)
        )
        assert_same_fit(one, many)

    def test_n_init_keeps_the_best_start(self):
        X = blobs(n=80, seed=2)
        rng = np.random.RandomState(3)
        singles = [GaussianMixture(3, init_params="random_from_data", random_state=rng).fit(X) for _ in range(4)]
        best = GaussianMixture(3, init_params="random_from_data", n_init=4, random_state=3).fit(X)
        bounds = [model.lower_bound_ for model in singles]
        assert len(set(bounds)) > 1
        assert_same_fit(best, singles[int(np.argmax(bounds))])
        theirs = Theirs(3, init_params="random_from_data", n_init=4, random_state=3).fit(X)
        assert best.n_iter_ == theirs.n_iter_
        assert best.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-6)

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_warm_start_goes_on_as_scikit_learn_s(self, covariance_type):
        X, more = blobs(), blobs(seed=0, n=200)
        ours, theirs = (
            cls(3, covariance_type=covariance_type, random_state=0, warm_start=True, max_iter=2, tol=1e-5)
            for cls in (GaussianMixture, Theirs)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
            for data in (X, X, more, more):
                ours.fit(data)
                theirs.fit(data)
                assert_like_theirs(ours, theirs)
                assert_allclose(ours.lower_bounds_, theirs.lower_bounds_, rtol=1e-9)

    def test_warm_start_draws_nothing_and_runs_once(self):
        X = blobs()
        rng = np.random.RandomState(0)
        model = GaussianMixture(3, random_state=rng, warm_start=True, n_init=3).fit(X)
        before = rng.get_state()
        model.fit(X)
        assert model.n_iter_ <= 1
        assert rng.get_state()[2] == before[2]
        assert_array_equal(rng.get_state()[1], before[1])

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_max_iter_zero_gives_the_start(self, covariance_type, recwarn):
        X = blobs()
        ours, theirs = (
            cls(3, covariance_type=covariance_type, random_state=0, max_iter=0).fit(X)
            for cls in (GaussianMixture, Theirs)
        )
        for name in ("weights_", "means_", "covariances_", "precisions_cholesky_"):
            assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-7, atol=1e-10, err_msg=name)
        assert (ours.n_iter_, ours.converged_, ours.lower_bound_, ours.lower_bounds_) == (0, False, -np.inf, [])
        assert not [w for w in recwarn if "converge" in str(w.message)]

    def test_it_warns_where_it_did_not_converge_and_keeps_what_it_found(self):
        X = blobs()
        with pytest.warns(fastgmm.ConvergenceWarning, match=r"max_iter=2 iterations; the best parameters") as record:
            model = GaussianMixture(3, random_state=0, max_iter=2, tol=0).fit(X)
        assert record[0].filename == __file__
        assert not model.converged_
        assert model.n_iter_ == 2
        assert model.score(X) > model.lower_bound_

    def test_verbose(self, capsys):
        X = blobs()
        GaussianMixture(3, random_state=0).fit(X)
        assert capsys.readouterr().out == ""
        model = GaussianMixture(3, random_state=0, n_init=2, tol=1e-4, verbose=1, verbose_interval=1).fit(X)
        lines = capsys.readouterr().out.splitlines()
        assert [line for line in lines if line.startswith("Start")] == ["Start 0", "Start 1"]
        assert sum("converged after" in line for line in lines) == 2
        assert any(f"iteration {model.n_iter_}" in line for line in lines)
        assert not any("bound" in line for line in lines)
        model.set_params(n_init=1, verbose=2, verbose_interval=2).fit(X)
        out = capsys.readouterr().out
        assert f"converged after {model.n_iter_} iterations, bound {model.lower_bound_:.6f}" in out
        assert f"iteration 2, bound {model.lower_bounds_[1]:.6f}, change" in out
        assert "iteration 1," not in out


class TestFeatureNames:
    def test_they_are_kept_and_forgotten(self):
        X = blobs()
        model = GaussianMixture(2, random_state=0).fit(pd.DataFrame(X, columns=["a", "b", "c"]))
        assert model.feature_names_in_.dtype == object
        assert model.feature_names_in_.tolist() == ["a", "b", "c"]
        assert model.n_features_in_ == 3
        model.fit(X)
        assert not hasattr(model, "feature_names_in_")

    def test_names_that_are_numbers_are_no_names(self):
        model = GaussianMixture(2, random_state=0).fit(pd.DataFrame(blobs()))
        assert not hasattr(model, "feature_names_in_")

    @pytest.mark.parametrize("method", ["predict", "predict_proba", "score_samples", "score", "aic", "bic"])
    def test_every_method_looks_at_them(self, method):
        frame = pd.DataFrame(blobs(), columns=["a", "b", "c"])
        model = GaussianMixture(2, random_state=0).fit(frame)
        assert np.all(np.isfinite(getattr(model, method)(frame)))
        with pytest.raises(ValueError, match=r"must be in the same order"):
            getattr(model, method)(frame[["b", "a", "c"]])


class TestFromParameters:
    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_densities_are_those_of_scipy(self, covariance_type):
        weights, means, covariances = random_mixture(covariance_type, 3, 4)
        X = blobs(d=4)
        model = GaussianMixture.from_parameters(weights, means, covariances, covariance_type=covariance_type)
        matrices = {
            "full": lambda k: covariances[k],
            "tied": lambda k: covariances,
            "diag": lambda k: np.diag(covariances[k]),
            "spherical": lambda k: covariances[k] * np.eye(4),
        }[covariance_type]
        joint = np.log(weights) + np.stack(
            [multivariate_normal.logpdf(X, means[k], matrices(k)) for k in range(3)], axis=1
        )
        assert_allclose(model.score_samples(X), logsumexp(joint, axis=1), rtol=1e-10)
        assert_array_equal(model.predict(X), joint.argmax(axis=1))
        assert_allclose(
            model.predict_proba(X), np.exp(joint - logsumexp(joint, axis=1)[:, None]), rtol=1e-8, atol=1e-14
        )
        assert model.score(X) == pytest.approx(logsumexp(joint, axis=1).mean(), rel=1e-10)
        assert (model.n_features_in_, model.n_components) == (4, 3)

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_it_is_the_model_whose_parameters_they_are(self, covariance_type):
        X = blobs()
        fitted = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
        built = GaussianMixture.from_parameters(
            fitted.weights_, fitted.means_, fitted.covariances_, covariance_type=covariance_type, random_state=0
        )
        for name in ARRAYS:
            assert_allclose(getattr(built, name), getattr(fitted, name), rtol=1e-9, atol=1e-12, err_msg=name)
        assert built.bic(X) == pytest.approx(fitted.bic(X), rel=1e-12)
        for ours, theirs in zip(built.sample(30), fitted.sample(30), strict=True):
            assert_allclose(ours, theirs, rtol=1e-12)

    def test_lists_will_do_and_nothing_is_shared(self):
        means = np.array([[0.0, 0.0], [3.0, 3.0]])
        model = GaussianMixture.from_parameters([0.5, 0.5], means, [1, 2], covariance_type="spherical")
        assert model.predict([[0.1, 0.1], [3, 3]]).tolist() == [0, 1]
        means[:] = 7.0
        assert model.means_.tolist() == [[0.0, 0.0], [3.0, 3.0]]

    def test_a_component_of_weight_zero_is_never_chosen(self):
        model = GaussianMixture.from_parameters([0.0, 1.0], [[0.0], [9.0]], [1.0, 1.0], covariance_type="spherical")
        assert model.predict([[0.0], [9.0]]).tolist() == [1, 1]
        assert model.predict_proba([[0.0]]).tolist() == [[0.0, 1.0]]
        assert set(model.sample(20)[1]) == {1}

    def test_a_subclass_stays_one(self):
        class Mine(GaussianMixture):
            pass

        model = Mine.from_parameters([1.0], [[0.0]], [[[1.0]]])
        assert type(model) is Mine
        assert repr(model) == "Mine()"
        assert model.score_samples([[0.0]])[0] == pytest.approx(-0.5 * np.log(2 * np.pi))


class TestSample:
    @pytest.mark.parametrize("covariance_type", TYPES)
    @pytest.mark.parametrize("n_samples", [1, 40])
    def test_the_draws_are_those_of_scikit_learn(self, covariance_type, n_samples):
        X = blobs()
        ours, theirs = (
            cls(3, covariance_type=covariance_type, random_state=7).fit(X) for cls in (GaussianMixture, Theirs)
        )
        (a, component), (b, expected) = ours.sample(n_samples), theirs.sample(n_samples)
        assert_allclose(a, b, rtol=1e-8, atol=1e-8)
        assert_array_equal(component, expected)
        assert a.shape == (n_samples, 3)

    def test_a_seed_repeats_and_a_generator_goes_on(self):
        model = GaussianMixture.from_parameters([1.0], [[0.0]], [[[1.0]]], random_state=0)
        assert_array_equal(model.sample(4)[0], model.sample(4)[0])
        model.set_params(random_state=np.random.default_rng(0))
        assert not np.array_equal(model.sample(4)[0], model.sample(4)[0])

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_the_moments_are_the_model_s(self, covariance_type):
        parameters = random_mixture(covariance_type, 2, 2)
        model = GaussianMixture.from_parameters(*parameters, covariance_type=covariance_type, random_state=0)
        X, component = model.sample(20000)
        assert_allclose(np.bincount(component) / 20000, model.weights_, atol=0.02)
        for k in range(2):
            assert_allclose(X[component == k].mean(axis=0), model.means_[k], atol=0.08)


class TestClassesOfWarningsAndErrors:
    def test_they_are_scikit_learn_s_as_well(self):
        with pytest.raises(sklearn.exceptions.NotFittedError) as caught:
            GaussianMixture().predict([[0.0]])
        assert isinstance(caught.value, fastgmm.NotFittedError)
        with pytest.warns(sklearn.exceptions.ConvergenceWarning) as record:
            GaussianMixture(3, random_state=0, max_iter=1).fit(blobs())
        assert issubclass(record[0].category, fastgmm.ConvergenceWarning)

    def test_without_scikit_learn_they_are_fastgmm_s(self):
        out = run_python(
            """
            import sys, warnings
            import numpy as np
            from fastgmm import ConvergenceWarning, GaussianMixture, NotFittedError
            from fastgmm._errors import like_sklearn
            try:
                GaussianMixture().predict([[0.0]])
            except NotFittedError as error:
                print(type(error) is NotFittedError)
            print(like_sklearn(ConvergenceWarning) is ConvergenceWarning, "sklearn" in sys.modules)
            import sklearn.exceptions
            try:
                GaussianMixture().predict([[0.0]])
            except sklearn.exceptions.NotFittedError as error:
                print(isinstance(error, NotFittedError))
            """
        )
        assert out.split() == ["True", "True", "False", "True"]


def run_python(code: str, *arguments: str) -> str:
    """Run a script in a fresh interpreter that finds this fastgmm, and return what it prints."""
    root = str(Path(fastgmm.__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    lines = code.splitlines()
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    script = "\n".join(line[margin:] for line in lines)
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestImport:
    OPTIONAL = ("sklearn", "matplotlib", "dask", "distributed", "pandas", "pyarrow")

    def test_the_package_alone_loads_neither_numba_nor_numpy(self):
        out = run_python(
            "import sys, fastgmm\nprint(*[m for m in ('numba', 'llvmlite', 'numpy', 'scipy') if m in sys.modules])"
        )
        assert out.split() == []

    def test_all_that_it_offers_loads_no_optional_package(self):
        out = run_python(
            f"""
            import sys, fastgmm
            for name in fastgmm.__all__:
                getattr(fastgmm, name)
            import fastgmm.datasets, fastgmm.kernels
            print("numba" in sys.modules, *[m for m in {self.OPTIONAL} if m in sys.modules])
            """
        )
        assert out.split() == ["True"]

    def test_a_fit_loads_no_optional_package(self):
        out = run_python(
            f"""
            import sys
            from fastgmm import GaussianMixture
            X = [[0.0], [0.1], [5.0], [5.2], [0.3], [5.1]]
            print(*GaussianMixture(2, random_state=0).fit_predict(X))
            print("none", *[m for m in {self.OPTIONAL} if m in sys.modules])
            """
        )
        labels, loaded = out.splitlines()
        assert labels in ("0 0 1 1 0 1", "1 1 0 0 1 0")
        assert loaded == "none"

    @pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"], ["--version"]])
    def test_help_loads_no_numba(self, arguments):
        out = run_python(
            """
            import runpy, sys
            try:
                runpy.run_module("fastgmm", run_name="__main__", alter_sys=False)
            except SystemExit as end:
                print("status", end.code)
            print("loaded", *[m for m in ("numba", "llvmlite", "scipy", "sklearn") if m in sys.modules])
            """,
            *arguments,
        )
        assert "fastgmm" in out
        assert "\nstatus 0\nloaded\n" in out

    def test_every_public_name_is_there(self):
        assert set(fastgmm.__all__) <= set(dir(fastgmm))
        for name in fastgmm.__all__:
            assert getattr(fastgmm, name) is not None
        with pytest.raises(AttributeError, match="no attribute 'GaussianMixtures'"):
            fastgmm.GaussianMixtures  # noqa: B018

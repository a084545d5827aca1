"""scikit-learn's callbacks: which tasks they see, what they can look at, and how they stop a fit."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from kit import blobs
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastgmm import (
    BayesianGaussianMixture,
    GaussianMixture,
    GaussianMixtureClassifier,
    GaussianMixtureOutlierDetector,
    GaussianMixtureRegressor,
)

callback = pytest.importorskip("sklearn.callback", reason="callbacks are in scikit-learn from 1.9 on")
K = 3


class Recorder:
    """Callback that records tasks, scores what is fitted, and stops after `most` iterations."""

    def __init__(self, most: int | None = None) -> None:
        self.most, self.events, self.scores, self.n_iterations = most, [], [], 0

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, metadata=None):
        self.events.append(("begin", context.task_name, context.task_id, context.max_subtasks))

    def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None, metadata=None):
        self.events.append(("end", context.task_name, context.task_id, context.max_subtasks))
        if context.task_name != "iteration" or fitted_estimator is None:  # None if the fit failed
            return False
        self.n_iterations += 1
        self.scores.append(fitted_estimator.score(X, **(metadata or {})))
        return self.most is not None and self.n_iterations >= self.most


@pytest.fixture(scope="module")
def X():
    return blobs(300, 2, K, seed=2)


@pytest.mark.parametrize("cls", [GaussianMixture, BayesianGaussianMixture])
def test_tasks_are_within_each_other_and_each_end_has_its_beginning(X, cls):
    recorder = Recorder()
    plain = cls(n_components=K, n_init=2, random_state=0, init_params="random_from_data").fit(X)
    model = cls(n_components=K, n_init=2, random_state=0, init_params="random_from_data").set_callbacks(recorder)
    model.fit(X)
    np.testing.assert_allclose(model.means_, plain.means_, rtol=1e-6)
    events = recorder.events
    assert events[0] == "setup"
    assert events[1] == ("begin", "fit", 0, 2)
    assert events[2] == ("begin", "start", 0, 100)
    assert events[-2:] == [("end", "fit", 0, 2), "teardown"]
    tasks = [event for event in events if isinstance(event, tuple)]
    open_tasks = []
    for what, *task in tasks:
        if what == "begin":
            open_tasks.append(task)
        else:
            assert open_tasks.pop() == task
    assert not open_tasks
    assert sum(task[1] == "start" for task in tasks) == 4


def test_a_fitted_estimator_is_seen_after_each_iteration(X):
    weights = np.linspace(1.0, 2.0, len(X))
    recorder = Recorder()
    model = GaussianMixture(K, random_state=0).set_callbacks(recorder).fit(X, sample_weight=weights)
    assert len(recorder.scores) == model.n_iter_
    np.testing.assert_allclose(recorder.scores[:-1], model.lower_bounds_[1:], rtol=1e-10)
    np.testing.assert_allclose(recorder.scores[-1], model.score(X, sample_weight=weights), rtol=1e-12)


def test_a_callback_stops_a_fit(X):
    recorder = Recorder(most=2)
    model = GaussianMixture(K, tol=0.0, random_state=0, init_params="random").set_callbacks(recorder)
    with pytest.warns(UserWarning, match="did not converge, since a callback stopped it"):
        model.fit(X)
    assert (model.n_iter_, model.converged_) == (2, False)
    assert model.set_callbacks() is model
    assert not hasattr(model, "_skl_callbacks")


def test_teardown_comes_after_an_error_and_files_know_nothing(X, tmp_path):
    recorder = Recorder()
    model = GaussianMixture(K, reg_covar=0.0).set_callbacks(recorder)
    with pytest.raises(ValueError, match="ill-defined"):
        model.fit(np.ones((50, 2)))
    assert recorder.events[-1] == "teardown"
    model.set_params(reg_covar=1e-6).fit(X).save(tmp_path / "m.npz")
    assert not hasattr(copy.deepcopy(model), "_callback_fit_ctx")


def test_scikit_learn_s_own_callbacks(X):
    monitor = callback.ScoringMonitor(scoring={"score": lambda estimator, X, y: estimator.score(X)})
    model = GaussianMixture(K, random_state=0).set_callbacks(monitor, callback.ProgressBar())
    model.fit(X, np.zeros(len(X)))
    log = monitor.get_logs()
    assert len(log.data) >= model.n_iter_
    pipe = make_pipeline(StandardScaler(), GaussianMixture(K, random_state=0))
    if hasattr(pipe, "set_callbacks"):
        pipe.set_callbacks(callback.ProgressBar()).fit(X)
        assert not hasattr(pipe[-1], "_parent_callback_ctx")


@pytest.mark.parametrize(
    "estimator", [GaussianMixtureClassifier(), GaussianMixtureRegressor(), GaussianMixtureOutlierDetector()]
)
def test_estimators_of_mixtures_are_one_task(X, estimator):
    recorder = Recorder()
    y = (X[:, 0] > 0).astype(int)
    estimator.set_callbacks(recorder).fit(X, y, sample_weight=np.ones(len(X)))
    assert recorder.events == ["setup", ("begin", "fit", 0, 0), ("end", "fit", 0, 0), "teardown"]
    plain = type(estimator)().fit(X, y, sample_weight=np.ones(len(X)))
    np.testing.assert_array_equal(estimator.predict(X), plain.predict(X))


def test_others_are_refused():
    with pytest.raises(TypeError, match="FitCallback"):
        GaussianMixture().set_callbacks("progress")

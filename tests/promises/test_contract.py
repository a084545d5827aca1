"""scikit-learn's contract: its own checks, and its tools that clone, pickle, and fit in several processes or threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pandas as pd
import pytest
from conftest import PATIENCE
from joblib import Parallel, delayed, parallel_config
from kit import assert_same_fit, blobs
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from fastgmm import GaussianMixture
from fastgmm._names import COVARIANCE_TYPES, MCLUST_NAMES
from fastgmm.init.starts import STARTS

# With one component, as by default. With more, fits of samples weighted and of samples repeated begin from different draws,
# and on the structureless data of `check_sample_weight_equivalence_on_dense_data` end in different maxima;
# test_weights.py shows that they are equal from one start.
CONFIGURATIONS = [
    *({"covariance_type": name} for name in (*COVARIANCE_TYPES, *MCLUST_NAMES)),
    *({"init_params": name} for name in STARTS),
    {"n_init": 3, "n_threads": 1, "tol": 1e-5, "random_state": 3},
]

BAYESIAN = [
    *({"covariance_type": name} for name in ("full", "tied", "diag", "spherical")),
    {"weight_concentration_prior_type": "dirichlet_distribution"},
    {"n_init": 3, "n_threads": 1, "tol": 1e-5, "random_state": 3},
]
ALL = [
    *(("GaussianMixture", params) for params in CONFIGURATIONS),
    *(("BayesianGaussianMixture", params) for params in BAYESIAN),
    ("GaussianMixtureClassifier", {}),
    ("GaussianMixtureClassifier", {"method": "mclustda", "covariance_type": "diag", "n_threads": 1}),
    ("GaussianMixtureOutlierDetector", {}),
    ("GaussianMixtureRegressor", {}),
    ("GaussianMixtureRegressor", {"covariance_type": "tied", "n_threads": 1}),
]

CHECKS = """
import json, sys, warnings
from sklearn.utils.estimator_checks import check_estimator
import fastgmm

warnings.simplefilter("ignore")  # such as that of the checks about data of more features than samples
for name, params in json.load(sys.stdin):
    results = check_estimator(getattr(fastgmm, name)(**params), on_skip=None, on_fail=None)
    print(json.dumps([(r["check_name"], r["status"], repr(r["exception"])) for r in results]))
"""


@pytest.fixture(scope="module")
def results() -> list[list[tuple[str, str, str]]]:
    """Name, status and exception of each check, by configuration.

    From one interpreter of their own: scikit-learn leaves a check out unless SCIPY_ARRAY_API was set before SciPy was loaded.
    """
    done = subprocess.run(
        [sys.executable, "-c", CHECKS],
        input=json.dumps(ALL),
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("number", range(len(ALL)), ids=[f"{name} {params}" for name, params in ALL])
def test_every_check_of_scikit_learn_passes(results, number):
    checks = results[number]
    assert [check for check in checks if check[1] != "passed"] == []
    names = {name for name, _, _ in checks}
    assert len(checks) >= 40
    assert names >= {
        "check_estimators_pickle",
        "check_readonly_memmap_input",
        "check_sample_weight_equivalence_on_dense_data",
    }


#: Tests of scikit-learn's classes that look for the words of its messages, that replace a function of its module, or call methods
#: that there are not.
OF_ITS_OWN = {
    "test_check_means",
    "test_check_precisions",
    "test_check_weights",
    "test_gaussian_mixture_all_init_does_not_estimate_gaussian_parameters",
    "test_gaussian_mixture_fit_convergence_warning",
    "test_regularisation",
    "test_sample",
}
OF_BAYESIAN = {"test_bayesian_mixture_precisions_prior_initialisation", "test_compare_covar_type"}

ITS_TESTS = """
import json, sys
import pytest
import fastgmm

name, module = sys.argv[1:]

class Outcomes:
    passed, failed = 0, []

    def pytest_collection_modifyitems(self, items):
        for item in items:
            setattr(item.module, name, getattr(fastgmm, name))

    def pytest_runtest_logreport(self, report):
        self.passed += report.when == "call" and report.passed
        if report.failed:
            self.failed.append((report.location[2].partition("[")[0], str(report.longrepr)))

outcomes = Outcomes()
arguments = ["-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--pyargs", f"sklearn.mixture.tests.{module}"]
pytest.main(arguments, plugins=[outcomes])
print(json.dumps([outcomes.passed, outcomes.failed]))
"""


@pytest.mark.skipif(os.name != "posix", reason="/dev/null stands for no settings")
@pytest.mark.parametrize(
    ("name", "module", "own", "least"),
    [
        ("GaussianMixture", "test_gaussian_mixture", OF_ITS_OWN, 45),
        ("BayesianGaussianMixture", "test_bayesian_mixture", OF_BAYESIAN, 15),
    ],
)
def test_scikit_learn_s_own_tests_pass_but_for_those_of_its_words(name, module, own, least, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ITS_TESTS, name, module],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    passed, failed = json.loads(done.stdout.splitlines()[-1])
    assert {name: why for name, why in failed if name not in own} == {}
    # the class is the one that was put in the place: scikit-learn's passes them all
    assert {name for name, _ in failed} == own
    assert passed >= least


@pytest.mark.parametrize("params", CONFIGURATIONS, ids=str)
def test_clone(params):
    model = GaussianMixture(**params)
    model.set_params(random_state=model.random_state or 0).fit(blobs())
    copied = clone(model)
    assert copied.get_params() == model.get_params()
    assert not hasattr(copied, "means_")
    assert_same_fit(copied.fit(blobs()), model)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pd.DataFrame(blobs(600), columns=["a", "b", "c"])


def scaled_mixture(**params) -> object:
    """A pipeline whose scaler passes its output on as a data frame."""
    return make_pipeline(StandardScaler().set_output(transform="pandas"), GaussianMixture(random_state=0, **params))


BACKENDS = ("loky", "threading")


@pytest.mark.parametrize("backend", BACKENDS)
class TestSeveralAtOnce:
    """Two at a time, in processes or in threads: the bits of one alone."""

    @pytest.fixture(autouse=True)
    def _one_thread_of_blas(self):
        """As loky's processes have: with NumPy 1.24 the eigenvectors of VEV have other last bits on two threads of OpenBLAS."""
        with threadpool_limits(1, user_api="blas"):
            yield

    def test_fits(self, backend):
        data = [blobs(2000, 4, seed=seed) for seed in range(3)]
        models = [
            GaussianMixture(3, covariance_type=kind, random_state=0) for kind in ("full", "tied", "VEV", "spherical")
        ]
        jobs = [(model, X) for model in models for X in data]
        together = Parallel(n_jobs=2, backend=backend)(delayed(clone(model).fit)(X) for model, X in jobs)
        for (model, X), fitted in zip(jobs, together, strict=True):
            assert_same_fit(fitted, clone(model).fit(X))

    def test_predictions_of_a_fitted_model(self, backend, frame):
        """The model goes there pickled, and what it computes comes back."""
        model = GaussianMixture(3, covariance_type="EVE", init_params="auto", random_state=0).fit(frame)
        calls = [model.predict, model.predict_proba, model.score_samples]
        found = Parallel(n_jobs=2, backend=backend)(delayed(call)(frame) for call in calls)
        for call, there in zip(calls, found, strict=True):
            assert_array_equal(there, call(frame))

    def test_a_model_that_went_there_and_back(self, backend, frame):
        model = GaussianMixture(2, weights_init=[0.3, 0.7], random_state=0).fit(frame)
        again = Parallel(n_jobs=2, backend=backend)(delayed(clone(model).fit)(frame) for _ in range(2))
        for other in again:
            assert list(other.feature_names_in_) == ["a", "b", "c"]
            assert other.weights_init == [0.3, 0.7]
            assert_same_fit(other, model)

    def test_grid_search(self, backend, frame):
        grid = {
            "gaussianmixture__n_components": [1, 3],
            "gaussianmixture__covariance_type": ["full", "VEV", "tied"],
            "gaussianmixture__init_params": ["kmeans", "hierarchical"],
        }
        alone = GridSearchCV(scaled_mixture(), grid, cv=3).fit(frame)
        with parallel_config(backend):
            search = GridSearchCV(scaled_mixture(), grid, cv=3, n_jobs=2).fit(frame)
        for name in ("split0_test_score", "split1_test_score", "split2_test_score"):
            assert_array_equal(search.cv_results_[name], alone.cv_results_[name])
        assert search.best_params_ == alone.best_params_
        assert search.best_params_["gaussianmixture__n_components"] == 3
        assert_same_fit(search.best_estimator_[-1], alone.best_estimator_[-1])
        assert_array_equal(search.predict(frame), alone.predict(frame))

    def test_cross_val_score(self, backend, frame):
        with parallel_config(backend):
            scores = cross_val_score(scaled_mixture(n_components=3), frame, cv=4, n_jobs=2)
        assert_array_equal(scores, cross_val_score(scaled_mixture(n_components=3), frame, cv=4))


class TestFeatureNames:
    """They flow through a pipeline whose steps pass data frames."""

    def test_from_the_data_through_the_scaler_to_the_model(self, frame):
        pipe = scaled_mixture(n_components=3).fit(frame)
        assert list(pipe[-1].feature_names_in_) == ["a", "b", "c"]
        assert_array_equal(pipe.predict(frame), pipe[-1].predict(pipe[:-1].transform(frame)))

    def test_other_names_are_refused(self, frame):
        pipe = scaled_mixture(n_components=3).fit(frame)
        with pytest.raises(ValueError, match="feature names"):
            pipe[-1].predict(frame[["c", "b", "a"]])

    def test_names_are_as_if_the_frame_had_been_given(self, frame):
        pipe = scaled_mixture(n_components=2).fit(frame)
        direct = GaussianMixture(2, random_state=0).fit(pipe[:-1].transform(frame))
        assert_same_fit(pipe[-1], direct)

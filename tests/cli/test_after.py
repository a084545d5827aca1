"""The commands for what follows from a fit: merge and bootstrap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import compiled

import fastgmm
import fastgmm.datasets
from fastgmm import BayesianGaussianMixture, GaussianMixture, GaussianMixtureRegressor, cli

pytestmark = compiled
FAITHFUL = str(Path(fastgmm.datasets.__file__).with_name("faithful.csv"))
X = fastgmm.datasets.load_faithful().data


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*argv: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main([str(word) for word in argv])
        return (status, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "m.npz"
    GaussianMixture(3, covariance_type="EEE", init_params="hierarchical").fit(X).save(path)
    return path


def test_merge(run: Any, saved: Path, tmp_path: Path) -> None:
    model = fastgmm.load(saved)
    expected = fastgmm.merge(model, X)
    status, out, err = run("merge", saved, FAITHFUL, "-o", tmp_path / "clusters.npy")
    assert (status, err) == (0, "")
    assert out.startswith(str(expected))
    np.testing.assert_array_equal(np.load(tmp_path / "clusters.npy"), expected.predict(X))
    told = json.loads(run("merge", saved, FAITHFUL, "--clusters", 3, "--json")[1])
    assert told["groups"] == [0, 1, 2]
    assert told["elbow"] == 2
    assert told["entropies"] == pytest.approx(expected.entropies)
    assert told["cluster_sizes"] == np.bincount(model.predict(X)).tolist()
    status, _, err = run("merge", saved, FAITHFUL, "--clusters", 4)
    assert status == 2
    assert "more than the 3 components" in err


def test_bootstrap(run: Any, saved: Path) -> None:
    argv = ["bootstrap", saved, FAITHFUL, "--resamples", 20, "--method", "parametric", "--seed", 3, "--level", 0.9]
    told = json.loads(run(*argv, "--json")[1])
    model = fastgmm.load(saved)
    expected = fastgmm.bootstrap(model, X, 20, method="parametric", random_state=3, confidence_level=0.9)
    assert told["n_done"] == 20
    np.testing.assert_allclose(told["standard_error"]["means"], expected.standard_error.means)
    np.testing.assert_allclose(told["low"]["weights"], expected.interval()[0].weights)
    status, out, _ = run(*argv)
    assert status == 0
    assert out.strip() == str(expected)


def test_files_of_other_models_are_refused(run: Any, tmp_path: Path) -> None:
    BayesianGaussianMixture(n_components=2, random_state=0, tol=10.0).fit(X).save(tmp_path / "b.npz")
    status, _, err = run("bootstrap", tmp_path / "b.npz", FAITHFUL)
    assert status == 2
    assert "bootstrap takes a model of fit without --bayesian" in err
    GaussianMixtureRegressor().fit(X[:, :1], X[:, 1]).save(tmp_path / "r.npz")
    status, _, err = run("predict", tmp_path / "r.npz", FAITHFUL)
    assert status == 2
    assert "holds a GaussianMixtureRegressor, and this command takes a mixture" in err

"""``fastgmm classify``: classes of words and numbers, from text, arrays and Parquet, and what cannot be used."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

import fastgmm
from fastgmm import GaussianMixtureClassifier, cli


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    iris = load_iris()
    frame = pd.DataFrame(iris.data, columns=["sl", "sw", "pl", "pw"])
    frame.insert(1, "species", iris.target_names[iris.target])
    return frame


@pytest.fixture
def call(capsys):
    def run(*argv: object) -> tuple[int, str, str]:
        status = cli.main(["classify", *map(str, argv)])
        return status, *capsys.readouterr()

    return run


def test_words_of_a_column(call, frame, tmp_path):
    frame.to_csv(tmp_path / "iris.csv", index=False)
    frame.drop(columns="species").iloc[::15, ::-1].to_csv(
        tmp_path / "new.csv", index=False
    )  # columns go by their names
    files = tmp_path / "out.csv", tmp_path / "model.npz"
    options = [
        "--new",
        tmp_path / "new.csv",
        "-o",
        files[0],
        "--model",
        files[1],
        "--covariances",
        "VEV,EEE",
        "--proba",
    ]
    status, out, err = call("species", tmp_path / "iris.csv", *options)
    assert (status, err) == (0, "")
    assert "BIC 555.802, 2 % of these samples are classified wrongly" in out
    direct = GaussianMixtureClassifier(covariance_type=["VEV", "EEE"], random_state=0)
    X, y = frame.drop(columns="species").to_numpy(), frame["species"].to_numpy(str)
    direct.fit(X, y)
    written = pd.read_csv(files[0])
    assert list(written.columns) == ["class", "p_setosa", "p_versicolor", "p_virginica"]
    np.testing.assert_array_equal(written["class"], direct.predict(X[::15]))
    np.testing.assert_allclose(written.iloc[:, 1:], direct.predict_proba(X[::15]), rtol=1e-12)
    np.testing.assert_array_equal(fastgmm.load(files[1]).predict(X), direct.predict(X))


@pytest.mark.parametrize("kind", ["npy", "parquet", "txt"])
def test_integers_of_other_files(call, frame, tmp_path, kind):
    numbers = frame.assign(species=load_iris().target * 5)
    path = tmp_path / f"iris.{kind}"
    if kind == "npy":
        np.save(path, numbers.to_numpy())
    elif kind == "parquet":
        numbers.to_parquet(path)
    else:
        np.savetxt(path, numbers.to_numpy())
    column = "species" if kind == "parquet" else 1
    status, out, err = call(column, path, "--method", "mclustda", "-k", "1", "--covariances", "EEE", "--json")
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert told["classes"] == [0, 5, 10]
    assert told["class_sizes"] == [50, 50, 50]
    assert told["models"] == [{"n_components": 1, "covariance_type": "EEE"}] * 3
    assert len(told["labels"]) == 150
    assert np.mean(np.array(told["labels"]) != load_iris().target * 5) == pytest.approx(told["training_error"])


@pytest.mark.parametrize(
    ("column", "options", "match"),
    [
        ("kind", [], "classes holds 'kind', which is not a column"),
        ("species", ["--components", "1:2"], "--components is for --method mclustda"),
        ("species", ["--columns", "species"], "no column of 5 is left besides that of the classes"),
        ("0-1", [], "--classes is '0-1', which names 2 columns"),
        ("sl", ["--covariances", "EEE", "--method", "mclustda", "-k", "3"], "decrease --components"),
    ],
)
def test_what_cannot_be_used_is_said(call, frame, tmp_path, column, options, match):
    frame.to_csv(tmp_path / "iris.csv", index=False)
    if column == "sl":
        frame.drop(columns="species").to_csv(tmp_path / "iris.csv", index=False)
    status, out, err = call(column, tmp_path / "iris.csv", *options)
    assert (status, out) == (2, "")
    assert match in err


def test_a_class_that_is_missing(call, frame, tmp_path):
    frame.assign(species=frame["species"].where(frame.index != 7, "")).to_csv(tmp_path / "iris.csv", index=False)
    status, _, err = call("species", tmp_path / "iris.csv")
    assert status == 2
    assert "sample 7 (counted from 0) has no class" in err

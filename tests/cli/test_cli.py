"""The command line: what it prints and writes, and the one line that wrong input gets."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from conftest import PATIENCE, compiled
from kit import Limit

import fastgmm
import fastgmm.datasets
from fastgmm import BayesianGaussianMixture, GaussianMixture, cli
from fastgmm._jit import on_compilation
from fastgmm._names import COVARIANCE_TYPES, MCLUST_NAMES
from fastgmm.cli import commands, fitting, help, parser, wording
from fastgmm.plotting import plot_mixture

IRIS = str(Path(fastgmm.datasets.__file__).with_name("iris.csv"))
FAITHFUL = str(Path(fastgmm.datasets.__file__).with_name("faithful.csv"))
COMMANDS = ["demo", "fit", "select", "predict", "score", "merge", "bootstrap", "classify", "sample", "info", "warmup"]


class Result(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*argv: object) -> Result:
        capsys.readouterr()
        status = cli.main([str(word) for word in argv])
        return Result(status, *capsys.readouterr())

    return call


@pytest.fixture
def works(run: Any) -> Any:
    def call(*argv: object) -> str:
        result = run(*argv)
        assert (result.status, result.err) == (0, "")
        return result.out

    return call


@pytest.fixture
def fails(run: Any) -> Any:
    def call(message: str, *argv: object) -> str:
        result = run(*argv)
        assert result.status == 2
        assert result.out == ""
        assert result.err.startswith("fastgmm: error: ")
        assert result.err.endswith("\n")
        assert result.err.count("\n") == 1
        assert re.search(message, result.err), result.err
        return result.err

    return call


@pytest.fixture(scope="module")
def model() -> GaussianMixture:
    return GaussianMixture(3, random_state=0).fit(fastgmm.datasets.load_iris().data)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with feature names, as the command line makes it."""
    path = tmp_path_factory.mktemp("saved") / "iris.npz"
    assert cli.main(["fit", IRIS, "-k", "3", "--drop", "species", "--output", str(path), "--json"]) == 0
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    np.save(tmp_path / "iris.npy", fastgmm.datasets.load_iris().data)
    return tmp_path / "iris.npy"


# --- what DATA holds ---


def table_with(path: Path, index: Any, names: list[str] | None, sep: str = ",") -> Path:
    """Iris with a first column of another kind."""
    rows = [sep.join([str(i), *map(str, row)]) for i, row in zip(index, fastgmm.datasets.load_iris().data, strict=True)]
    path.write_text("\n".join([*([sep.join(names)] if names else []), *rows]) + "\n", encoding="utf-8")
    return path


NAMES = ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("index", "names", "why", "drop"),
    [
        (range(150), ["", *NAMES], "column 0 is taken for a feature, but has no name", "0"),
        (range(150), ["Unnamed: 0", *NAMES], r"column 0 \('Unnamed: 0'\) .* has the name of an index", "0"),
        (range(1, 151), ['""', *NAMES], "column 0 is taken for a feature, but has no name", "0"),
        (np.random.default_rng(0).permutation(150), ["", *NAMES], "has no name", "0"),
        (range(150), None, r"column 0 is taken .* counts 0, 1, 2, \.\.\.", "0"),
        (range(1, 151), ["row", *NAMES], r"column 0 \('row'\) .* counts 1, 2, 3, \.\.\.", "row"),
        (range(1000, 1150), ["id", *NAMES], r"column 0 \('id'\) .* counts 1000, 1001, 1002", "id"),
    ],
)
def test_a_column_that_may_be_an_index(
    run: Any, works: Any, tmp_path: Path, index: Any, names: list[str] | None, why: str, drop: str
) -> None:
    path = table_with(tmp_path / "t.csv", index, names)
    result = run("fit", path, "-k", 2, "--json", "--output", tmp_path / "m.npz")
    assert (result.status, json.loads(result.out)["n_features"]) == (0, 5)
    assert re.fullmatch(
        rf"fastgmm: note: .*t\.csv: .*{why}.*if it is an index, leave it out: --drop {drop}\n", result.err
    )
    assert run("select", path, "-k", "1", "--covariances", "EEE").err == result.err
    again = run("score", tmp_path / "m.npz", path).err
    assert again == result.err.replace("--drop", "fit again with --drop")
    assert run("predict", tmp_path / "m.npz", path).err == again
    assert json.loads(works("fit", path, "-k", 2, "--json", "--drop", drop))["n_features"] == 4
    assert json.loads(works("fit", path, "-k", 2, "--json", "--columns", "0-4"))["n_features"] == 5  # asked for


def test_an_index_in_several_files_and_other_formats(run: Any, works: Any, fails: Any, tmp_path: Path) -> None:
    import pandas as pd

    iris = fastgmm.datasets.load_iris().data
    numbered = np.c_[np.arange(150), iris]
    np.save(tmp_path / "t.npy", numbered)
    np.save(tmp_path / "u.npy", np.c_[np.arange(150) * 2, iris])
    pd.DataFrame(iris, columns=NAMES, index=np.arange(150) * 3).to_parquet(tmp_path / "t.parquet")
    (tmp_path / "parts").mkdir()
    for i in range(3):
        pd.DataFrame(iris[50 * i :][:50], columns=NAMES).to_csv(tmp_path / "parts" / f"{i}.csv")
    for path in (tmp_path / "t.npy", tmp_path / "parts", tmp_path / "parts" / "*.csv", tmp_path / "t.parquet"):
        assert re.search("note: .* column [04].*--drop", run("fit", path, "-k", 2).err), path
    works("fit", tmp_path / "u.npy", "-k", 2)
    works("fit", tmp_path / "parts", "-k", 2, "--drop", 0, "--output", tmp_path / "m.npz")
    works("predict", tmp_path / "m.npz", tmp_path / "parts")  # the model's names leave the index out
    GaussianMixture(2, random_state=0).fit(iris).save(tmp_path / "unnamed.npz")
    fails("gives 5 features, .* with 4; column 0 has no name.*: leave it out with --drop 0", "predict",
          tmp_path / "unnamed.npz", tmp_path / "parts")  # fmt: skip


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        ("2019,2020", "1.5,2.5\n3.5,1\n2,7.25\n"),
        ("2019,2020", "120,130\n118,170\n90,60\n"),
        ("2000,2005,2010", "7,9,3\n8,1,4\n2,2,2\n"),
        ("1,2,3,4", "1,0,2,9\n3,1,1,5\n0,7,2,2\n"),
        ("101,7000,345", "1,0,2\n3,1,1\n0,7,4\n"),
    ],
)
def test_a_header_of_numbers(run: Any, works: Any, tmp_path: Path, head: str, rest: str) -> None:
    (tmp_path / "t.csv").write_text(f"{head}\n{rest * 9}", encoding="utf-8")
    fit = ["fit", tmp_path / "t.csv", "-k", 1, "--json"]
    result = run(*fit)
    assert json.loads(result.out)["n_samples"] == 28
    shown = re.escape(head.replace(",", ", "))
    assert re.search(
        rf"^fastgmm: note: .*t\.csv: the first line \({shown}\) is taken for a sample.* --header yes, else", result.err
    )
    named = json.loads(works(*fit, "--header", "yes"))
    assert (named["n_samples"], named["feature_names"]) == (27, head.split(","))
    assert json.loads(works(*fit, "--header", "no"))["n_samples"] == 28


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n3,4\n5,7\n",
        "5.1,3.5\n4.9,3\n4.7,3.2\n",
        "3,4\n1,2\n5,6\n4,4\n",
        "2019,2020\n2017,2021\n2020,2018\n",
        "5\n1\n9\n3\n",
        "x,y\n1,2\n3,4\n5,9\n",
    ],
)
def test_tables_that_give_no_doubt(works: Any, tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    works("fit", tmp_path / "t.csv", "-k", 1)


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch) -> Any:
    def give(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return give


def test_standard_input(works: Any, run: Any, fails: Any, standard_input: Any, saved: Path) -> None:
    content = Path(IRIS).read_bytes()
    standard_input(content)
    told = json.loads(works("fit", "-", "-k", 3, "--drop", "species", "--weights", "petal_width", "--json"))
    expected = json.loads(works("fit", IRIS, "-k", 3, "--drop", "species", "--weights", "petal_width", "--json"))
    assert told["data"] == "-"
    assert (told["means"], told["bic"], told["feature_names"]) == (
        expected["means"],
        expected["bic"],
        expected["feature_names"],
    )
    standard_input(content)
    assert works("predict", saved, "-") == works("predict", saved, IRIS)
    standard_input(content)
    assert "best: " in works("select", "-", "-k", "1:2", "--covariances", "EEE", "--columns", "0-3")
    standard_input(content)
    fails("standard input: column 4 .* is not numeric .*--drop species", "fit", "-", "-k", 3)
    standard_input(b"")
    fails("standard input is empty", "fit", "-", "-k", 3)
    standard_input(b"\x93NUMPY")
    fails("standard input, line 1 is not UTF-8 text", "score", saved, "-")
    sample = works("sample", saved, "-n", 20)
    standard_input(sample.encode())
    assert len(works("predict", saved, "-").splitlines()) == 21


def test_standard_input_of_a_process() -> None:
    argv = [sys.executable, "-m", "fastgmm", "score", "nowhere.npz", "-"]
    result = subprocess.run(argv, input="1,2\n", capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (2, "fastgmm: error: nowhere.npz: No such file or directory\n")


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.txt.bz2", "t.tsv.xz"])
def test_decimal_commas_comments_and_compressed_files(works: Any, tmp_path: Path, name: str) -> None:
    import bz2
    import gzip
    import lzma

    data = fastgmm.datasets.load_iris().data
    sep = "\t" if "tsv" in name else ";"
    lines = ["# measured by hand, 1936", sep.join(NAMES)]
    lines += [sep.join(map(str, row)).replace(".", ",") + ("  # odd" if row[0] > 7 else "") for row in data]
    text = "\n".join(lines).encode()
    compress = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}.get(Path(name).suffix, bytes)
    (tmp_path / name).write_bytes(compress(text))
    found = json.loads(works("fit", tmp_path / name, "-k", 3, "--decimal", ",", "--comment", "#", "--json"))
    assert found["feature_names"] == NAMES
    expected = GaussianMixture(3, random_state=0).fit(data)
    np.testing.assert_array_equal(found["means"], expected.means_)
    in_python = fastgmm.chunks(tmp_path / name, decimal=",", comment="#")
    np.testing.assert_array_equal(GaussianMixture(3, random_state=0).fit(in_python).means_, expected.means_)
    (tmp_path / "parts").mkdir()
    for i in range(2):
        (tmp_path / "parts" / f"{i}-{name}").write_bytes(compress(text))
    told = json.loads(works("fit", tmp_path / "parts", "-k", 3, "--decimal", ",", "--comment", "#", "--json"))
    assert told["n_samples"] == 300


# --- in the words of the command line ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("did not converge within max_iter=3 iterations. Increase max_iter or tol, or try other init_params.",
         "did not converge within --max-iter 3 iterations. Increase --max-iter or --tol, or try other --init."),
        ("raise n_init, or try another init_params, such as 'auto'", "raise --n-init, or try another --init, such as 'auto'"),
        ("(smallest variance 1, reg_covar=1e-06, mean variance 2). Raise reg_covar to about 3",
         "(smallest variance 1, --reg-covar 1e-06, mean variance 2). Raise --reg-covar to about 3"),
        ("start with init_params='kmeans', n_threads=1, or random_state", "start with --init kmeans, --threads 1, or --seed"),
        ("n_init.csv: 'n_init' and n_init/x.csv, and tolerance", "n_init.csv: 'n_init' and n_init/x.csv, and tolerance"),
        ("a.csv: columns holds 'b', which is not a column", "a.csv: --columns holds 'b', which is not a column"),
        ("the columns of the weights", "the columns of the weights"),
        ("use --drop b (in Python: f(path, columns=['a (cm)'])); or", "use --drop b; or"),
        ("scale the data or pass float64", "scale the data or pass --dtype float64"),
        ("another init_params, or means_init", "another --init, or means_init (in Python)"),
    ],
)  # fmt: skip
def test_messages_speak_of_options(text: str, expected: str) -> None:
    assert wording.in_options(text) == expected


def test_options_that_messages_speak_of_are_there() -> None:
    known = {option for command in parser.build()[1].values() for option in command._option_string_actions}
    assert set(wording.OPTIONS.values()) <= known
    assert {f"--{name}" for name in wording._OPTIONS_OF_READING} <= known
    known_in_python = set(GaussianMixture().get_params()) | set(BayesianGaussianMixture().get_params())
    known_in_python |= {"covariance_types", "sample_weight", "checkpoint_every"}
    assert set(wording.OPTIONS) <= known_in_python


def test_n_components_is_known_by_its_name_in_python(works: Any) -> None:
    fit = ["fit", IRIS, "--drop", "species", "--json"]
    for words in (["--n-components", 3], ["--n-components=3"], ["-k3"], ["--components", 3]):
        assert json.loads(works(*fit, *words))["n_components"] == 3
    assert json.loads(works("select", IRIS, "--drop", "species", "--n-components", "1:2", "--json"))[
        "n_components"
    ] == [1, 2]


def test_criteria_have_the_digits_that_tell_models_apart(works: Any, tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(scale=1000.0, size=(90_000, 1))
    np.save(tmp_path / "t.npy", X)
    for command in (["fit", "-k", 1], ["select", "-k", 1, "--covariances", "V"]):
        argv = [command[0], tmp_path / "t.npy", *command[1:]]
        told = json.loads(works(*argv, "--json"))
        best = told.get("best", told)
        text = works(*argv, "--output", tmp_path / f"{command[0]}.npz")
        for name, key in [("log-likelihood", "log_likelihood"), ("BIC", "bic"), ("AIC", "aic")]:
            assert f"{name} {best[key]:.3f}" in text
        assert best["bic"] > 1e6
    assert f"BIC {best['bic']:.3f}" in works("score", tmp_path / "fit.npz", tmp_path / "t.npy")


# --- demo, fit ---


def test_demo(works: Any) -> None:
    text = works("demo")
    assert re.search(r"log-likelihood -180\.\d+ +BIC 580\.\d+", text)
    assert "converged after" in text
    assert re.search(r"fitted in [\d.]+ m?s", text)
    assert "petal_width" in text
    table = text.partition("species and clusters\n")[2].splitlines()
    counts = {line.split()[0]: sorted(map(int, line.split()[1:])) for line in table[1:]}
    assert counts == {"setosa": [0, 0, 50], "versicolor": [0, 5, 45], "virginica": [0, 0, 50]}


def test_demo_json(works: Any, model: GaussianMixture) -> None:
    told = json.loads(works("demo", "--json"))
    crossed = np.array(told["cross_table"])
    assert crossed.sum() == 150
    assert sorted(crossed.max(axis=1)) == [45, 50, 50]
    assert told["species"] == ["setosa", "versicolor", "virginica"]
    np.testing.assert_array_equal(told["means"], model.means_)


def test_fit_text(works: Any) -> None:
    text = works("fit", IRIS, "-k", 3, "--columns", "0-3")
    assert re.match(r".*iris\.csv: 150 samples x 4 features, float64\n3 components, full covariance; converged", text)
    assert "weights and means" in text
    assert "standard deviations" in text
    assert re.search(r"read in [\d.]+ m?s, fitted in [\d.]+ m?s", text)


def test_fit_json_is_the_models_numbers(works: Any, model: GaussianMixture) -> None:
    told = json.loads(works("fit", IRIS, "-k", 3, "--drop", "species", "--json"))
    iris = fastgmm.datasets.load_iris()
    assert told["command"] == "fit"
    assert told["version"] == fastgmm.__version__
    assert (told["n_samples"], told["n_features"], told["n_components"]) == (150, 4, 3)
    assert told["feature_names"] == list(iris.feature_names)
    assert (told["covariance_type"], told["dtype"], told["init"], told["seed"]) == ("full", "float64", "kmeans", 0)
    assert (told["converged"], told["n_iter"]) == (True, model.n_iter_)
    for key, value in {"weights": model.weights_, "means": model.means_, "covariances": model.covariances_}.items():
        np.testing.assert_array_equal(told[key], value)
    variances = np.diagonal(model.covariances_, axis1=1, axis2=2)
    np.testing.assert_array_equal(told["standard_deviations"], np.sqrt(variances))
    assert told["bic"] == model.bic(iris.data)
    assert told["aic"] == model.aic(iris.data)
    assert told["log_likelihood"] == pytest.approx(model.score(iris.data) * 150, rel=1e-14)
    assert told["cluster_sizes"] == np.bincount(model.predict(iris.data)).tolist()
    assert set(told["seconds"]) == {"read", "compile", "fit"}
    assert told["files"] == {"model": None, "labels": None, "proba": None, "plot": None}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_documents_the_keys_of_json(command: str, works: Any, saved: Path, plain: Path, tmp_path: Path) -> None:
    classes = tmp_path / "classes.csv"
    classes.write_text("x,kind\n" + "".join(f"{i % 7 + 9 * (i % 2)},{'ab'[i % 2]}\n" for i in range(40)))
    argv = {
        "demo": [],
        "fit": [plain, "-k", 2],
        "select": [plain, "-k", 2, "--covariances", "EII"],
        "predict": [saved, plain],
        "score": [saved, plain],
        "merge": [saved, plain],
        "bootstrap": [saved, plain, "--resamples", 3],
        "classify": ["kind", classes, "--covariances", "EEE"],
        "sample": [saved, "-n", 2],
        "info": [saved],
        "warmup": ["--covariance", "full"],
    }[command]
    told = json.loads(works(command, *argv, "--json"))
    text = works(command, "--help")
    keys = text.partition("keys of --json")[2] if command != "demo" else text
    for key in told:
        assert re.search(rf"\b{key}\b", keys), key


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_type_and_its_standard_deviations(works: Any, plain: Path, covariance: str, dtype: str) -> None:
    told = json.loads(works("fit", plain, "-k", 2, "--covariance", covariance, "--dtype", dtype, "--json"))
    assert told["dtype"] == dtype
    assert told["feature_names"] is None
    full = {"full": 3, "tied": 2, "diag": 2, "spherical": 1}[covariance]
    assert np.ndim(told["covariances"]) == full
    spreads = np.array(told["standard_deviations"])
    assert spreads.shape == (2, 4)
    last = np.array(told["covariances"])[..., -1, -1] if covariance in ("full", "tied") else None
    if last is not None:
        np.testing.assert_allclose(spreads[:, -1] ** 2, last, rtol=1e-6)


def test_fit_passes_every_option_on(works: Any, run: Any, plain: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.npz"
    argv = ["--tol", 0.5, "--reg-covar", 1e-4, "--max-iter", 7, "--n-init", 2, "--init", "random", "--seed", 5]
    argv += ["--prior", "default", "--noise", "--on-collapse", "reset"]
    result = run("fit", plain, "-k", 2, *argv, "--threads", 1, "--covariance", "diag", "--output", out)
    assert result.status == 0
    expected = {"tol": 0.5, "reg_covar": 1e-4, "max_iter": 7, "n_init": 2, "init_params": "random", "random_state": 5}
    expected |= {"n_threads": 1, "covariance_type": "diag", "n_components": 2}
    expected |= {"prior": "default", "noise": True, "on_collapse": "reset"}
    params = fastgmm.load(out).get_params()
    assert {name: params[name] for name in expected} == expected


def test_noise(works: Any, fails: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(90, 2)), rng.normal(size=(90, 2)) + 8.0, rng.uniform(-10, 20, size=(40, 2))])
    table, out, labels, proba = (tmp_path / name for name in ("x.npy", "m.npz", "l.npy", "p.csv"))
    np.save(table, X)
    text = works("fit", table, "-k", 2, "--noise", "--seed", 0, "-o", out, "--labels", labels, "--proba", proba)
    model = fastgmm.load(out)
    found = np.load(labels)
    np.testing.assert_array_equal(found, model.predict(X))
    size = int((found == -1).sum())
    assert 20 < size < 60
    assert re.search(rf"^ +noise +{model.noise_.weight:.6g} +{size}$", text, re.MULTILINE)
    assert proba.read_text().splitlines()[0] == "p0,p1,noise"
    told = json.loads(works("info", out, "--json"))
    assert told["noise"] == {"weight": model.noise_.weight, "volume": model.noise_.volume}
    told = json.loads(works("predict", out, table, "--json"))
    assert told["cluster_sizes"] == [int((found == c).sum()) for c in (0, 1, -1)]
    assert set(told["labels"]) == {-1, 0, 1}
    assert len(json.loads(works("predict", out, table, "--proba", "--json"))["probabilities"][0]) == 3
    picture = tmp_path / "p.png"
    works("fit", table, "-k", 2, "--noise", "--seed", 0, "--plot", picture)
    assert picture.stat().st_size > 1000


def test_priors_and_resets(works: Any, run: Any, fails: Any, tmp_path: Path) -> None:
    X = np.repeat(np.random.default_rng(0).normal(size=(6, 2)), 5, axis=0)
    table, out = tmp_path / "x.npy", tmp_path / "m.npz"
    np.save(table, X)
    works("fit", table, "-k", 2, "--prior", "default", "--reg-covar", 0, "-o", out)
    assert fastgmm.load(out).prior_ == GaussianMixture(2, prior="default").fit(X).prior_
    told = json.loads(works("select", table, "-k", "1:3", "--prior", "default", "--covariances", "VVV,EEE", "--json"))
    assert told["reasons"] == []
    fails("--prior", "fit", table, "-k", 2, "--prior", "flat")
    rng = np.random.default_rng(0)
    np.save(table, np.vstack([rng.normal(size=(99, 2)), rng.normal(size=(99, 2)) + [6, 0], np.full((10, 2), 3.0)]))
    result = run("fit", table, "-k", 3, "--reg-covar", 0, "--on-collapse", "reset", "--seed", 0)
    assert result.status == 0
    assert "started anew" in result.err
    assert "--prior default" in result.err
    fails("on-collapse", "fit", table, "-k", 3, "--on-collapse", "retry")


def test_fit_writes_what_it_was_asked_for(works: Any, model: GaussianMixture, tmp_path: Path) -> None:
    iris = fastgmm.datasets.load_iris().data
    files = [tmp_path / name for name in ("m.model", "labels.csv", "proba.csv", "labels.npy", "proba.npy")]
    text = works("fit", IRIS, "-k", 3, "--drop", "species", "-o", files[0], "--labels", files[1], "--proba", files[2])
    assert f"model: {files[0]}\nlabels: {files[1]}\nproba: {files[2]}" in text
    works("fit", IRIS, "-k", 3, "--drop", "species", "--labels", files[3], "--proba", files[4])
    assert sorted(os.listdir(tmp_path)) == sorted(path.name for path in files)
    head, *labels = files[1].read_text().splitlines()
    assert head == "label"
    np.testing.assert_array_equal(np.array(labels, int), model.predict(iris))
    np.testing.assert_array_equal(np.load(files[3]), model.predict(iris))
    assert files[2].read_text().startswith("p0,p1,p2\n")
    np.testing.assert_array_equal(np.loadtxt(files[2], delimiter=",", skiprows=1), model.predict_proba(iris))
    np.testing.assert_array_equal(np.load(files[4]), model.predict_proba(iris))
    again = fastgmm.load(files[0])
    np.testing.assert_array_equal(again.means_, model.means_)
    assert again.feature_names_in_.tolist() == ["sepal_length", "sepal_width", "petal_length", "petal_width"]


def test_probabilities_are_written_by_blocks(
    works: Any, model: GaussianMixture, plain: Path, tmp_path: Path, limits: Limit
) -> None:

    limits(numbers_predicted=40, numbers_written=7)
    works("fit", plain, "-k", 3, "--proba", tmp_path / "p.npy", "--labels", tmp_path / "l.csv")
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), model.predict_proba(np.load(plain)), rtol=1e-12)
    assert len((tmp_path / "l.csv").read_text().splitlines()) == 151


def test_float32_numbers_are_short_and_exact(works: Any, plain: Path, tmp_path: Path) -> None:
    works("fit", plain, "-k", 3, "--dtype", "float32", "-o", tmp_path / "m.npz", "--proba", tmp_path / "p.csv")
    works("fit", plain, "-k", 3, "--dtype", "float32", "--proba", tmp_path / "p.npy")
    read = np.loadtxt(tmp_path / "p.csv", delimiter=",", skiprows=1, dtype=np.float32)
    np.testing.assert_array_equal(read, np.load(tmp_path / "p.npy"))
    # the model is asked about float32 data, as it was fitted with
    works("predict", tmp_path / "m.npz", plain, "--proba", "-o", tmp_path / "q.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "q.npy"), np.load(tmp_path / "p.npy"))


def test_existing_files_need_force_and_that_is_known_before_the_fit(
    fails: Any, works: Any, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "l.csv"
    old.write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr(GaussianMixture, "fit", lambda *_: pytest.fail("fitted all the same"))
        fails(r"l\.csv exists; add --force to replace it", "fit", plain, "-k", 2, "--labels", old)
    assert old.read_text() == "old"
    works("fit", plain, "-k", 2, "--labels", old, "--force")
    assert old.read_text().startswith("label\n")


def test_a_failure_while_writing_leaves_the_old_file(
    fails: Any, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "p.csv"
    old.write_text("old")
    before = sorted(os.listdir(tmp_path))

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(GaussianMixture, "predict_proba", broken)
    fails("No space left on device", "fit", plain, "-k", 2, "--proba", old, "--force")
    assert old.read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    ("option", "name", "message"),
    [
        ("--output", "iris.npy", r"iris\.npy cannot be written: it is also '.*iris\.npy' of this command"),
        ("--labels", "l.txt", r"l\.txt cannot be written: its extension must be \.csv or \.npy"),
        ("--output", "none/m.npz", r"m\.npz cannot be written, because .*none is not a directory; make it first"),
        ("--output", "-", "--output is '-'; it must be the name of a file"),
        ("--output", "", "it must be the name of a file"),
        ("--output", ".", "is a directory, not a file to write"),
    ],
)
def test_outputs_that_cannot_be(
    fails: Any, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, name: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    fails(message, "fit", plain, "-k", 2, option, name, "--force")


def test_two_outputs_of_one_name(fails: Any, plain: Path, tmp_path: Path) -> None:
    both = tmp_path / "x.csv"
    fails("x.csv cannot be written: it is also", "fit", plain, "-k", 2, "--labels", both, "--proba", both)


def test_verbose_goes_to_standard_error(run: Any, plain: Path) -> None:
    result = run("fit", plain, "-k", 3, "--verbose", "--json")
    assert result.status == 0
    json.loads(result.out)
    assert "converged" in result.err


def test_not_converging_is_one_line(run: Any, plain: Path) -> None:
    result = run("fit", plain, "-k", 3, "--max-iter", 1)
    assert result.status == 0
    assert "not converged in 1 iteration\n" in result.out
    said = r"fastgmm: warning: .*did not converge within --max-iter 1 iterations; .*Increase --max-iter or --tol"
    assert re.fullmatch(said + r".*\n", result.err)
    assert not re.search(r"max_iter|init_params|n_init", result.err)


def test_large_tables_are_cut(works: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", fastgmm.datasets.make_mixture(400, 10, 14, random_state=0).X)
    text = works("fit", tmp_path / "x.npy", "-k", 14, "--covariance", "spherical")
    assert "... and 2 more components and 2 more features; --json prints them all, --output saves them" in text
    assert "x7" in text
    assert "x8" not in text
    assert max(map(len, text.splitlines())) < 160


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("SVG", b"<?xml")])
def test_plot(works: Any, plain: Path, tmp_path: Path, suffix: str, magic: bytes) -> None:
    out = tmp_path / f"p.{suffix}"
    told = json.loads(works("fit", plain, "-k", 3, "--plot", out, "--plot-features", "2-3", "--json"))
    assert told["files"]["plot"] == str(out)
    assert out.read_bytes().startswith(magic)
    assert f"plot: {out}" in works("fit", plain, "-k", 3, "--plot", out, "--force")
    assert sorted(os.listdir(tmp_path)) == ["iris.npy", out.name]


def test_plot_has_names_and_weights(works: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def spy(model: GaussianMixture, X: Any, **options: Any) -> Any:
        seen.update(options)
        return plot_mixture(model, X, **options)

    monkeypatch.setattr(fitting, "plot_mixture", spy)
    argv = ["--drop", "species", "--weights", "petal_width", "--plot-features", "petal_length,0", "--plot"]
    works("fit", IRIS, "-k", 2, *argv, tmp_path / "p.svg")
    assert seen["feature_names"] == ("sepal_length", "sepal_width", "petal_length")
    assert seen["features"] == [2, 0]
    np.testing.assert_array_equal(seen["sample_weight"], fastgmm.datasets.load_iris().data[:, 3])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--plot", "p.jpg"], r"p\.jpg cannot be written: its extension must be \.png, \.pdf or \.svg"),
        (["--plot", "old.png"], r"old\.png exists; add --force"),
        (["--plot", "none/p.png"], "none is not a directory; make it first"),
        (["--plot-features", "0"], "--plot-features needs --plot"),
        (["--plot", "p.png", "--plot-features", "0,11"], r"--plot-features asks for column 11, but there are 10"),
        (["--plot", "p.png", "--plot-features", ","], "--plot-features is empty"),
        (["--plot", "p.png"], r"--plot draws 8 features at most, and .*wide\.npy gives 10; choose .* --plot-features"),
    ],
)
def test_plots_that_cannot_be(
    fails: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("wide.npy", fastgmm.datasets.make_mixture(100, 10, 2, random_state=0).X)
    Path("old.png").write_text("old")
    monkeypatch.setattr(GaussianMixture, "fit", lambda *_: pytest.fail("fitted all the same"))
    fails(message, "fit", "wide.npy", "-k", 2, *argv)
    assert sorted(os.listdir(tmp_path)) == ["old.png", "wide.npy"]


def test_plot_without_matplotlib(fails: Any, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(GaussianMixture, "fit", lambda *_: pytest.fail("fitted all the same"))
    message = r"--plot needs the package 'matplotlib'.*pip install 'fastgmm\[plot\]'"
    fails(message, "fit", plain, "-k", 2, "--plot", tmp_path / "p.png")


def test_a_failure_while_plotting_leaves_the_old_picture(
    fails: Any, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "p.png"
    old.write_text("old")

    def broken(*_: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fitting, "plot_mixture", broken)
    fails("No space left on device", "fit", plain, "-k", 2, "--plot", old, "--force")
    assert old.read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["iris.npy", "p.png"]


# --- select ---


def test_select(works: Any, tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("m.npz", "l.csv", "t.csv", "p.svg")}
    options = zip(["--output", "--labels", "--table", "--plot"], files.values(), strict=True)
    text = works(
        "select", FAITHFUL, "-k", "1:3,5", "--covariances", "VVV,EEE", *(word for pair in options for word in pair)
    )
    assert re.search(r"^3 +2324\.\d+ +2314\.\d+$", text, re.MULTILINE)
    assert re.search(r"Top 3 models by BIC:\n  EEE, 3 +2314\.\d+\n  VVV, 2", text)
    assert re.search(r"best: 3 components, EEE covariance; converged after \d+ iterations\n.*ICL 235\d", text)
    assert "waiting" in text
    for path in files.values():
        assert f": {path}" in text
    model = fastgmm.load(files["m.npz"])
    assert (model.n_components, model.covariance_type) == (3, "EEE")
    assert list(model.feature_names_in_) == ["eruptions", "waiting"]
    labels = np.loadtxt(files["l.csv"], skiprows=1, dtype=int)
    np.testing.assert_array_equal(np.bincount(labels).sum(), 272)
    table = files["t.csv"].read_text().splitlines()
    assert table[0].startswith("n_components,covariance_type,bic,")
    assert len(table) == 1 + 4 * 2
    assert files["p.svg"].read_text().startswith("<?xml")


def test_select_json(works: Any, tmp_path: Path) -> None:
    X = np.concatenate([np.random.default_rng(0).normal(size=(10, 2)), np.full((10, 2), 9.0)])
    np.save(tmp_path / "x.npy", X)
    told = json.loads(
        works("select", tmp_path / "x.npy", "-k", "1,2", "--covariances", "EEE,VVV", "--reg-covar", 1e-3, "--json")
    )
    assert told["n_components"] == [1, 2]
    assert told["covariance_types"] == ["EEE", "VVV"]
    assert told["bic"][1][1] is None
    (failed,) = [each for each in told["reasons"] if each["covariance_type"] == "VVV" and each["n_components"] == 2]
    assert re.search("component . holds 10 of 20 samples", failed["reason"])
    assert (
        told["ranking"][0]["value"]
        == told["best"]["bic"]
        == min(v for row in told["bic"] for v in row if v is not None)
    )
    assert sum(told["best"]["cluster_sizes"]) == 20
    help_text = works("select", "--help").partition("keys of --json")[2]
    for key in [*told, *told["best"], *told["seconds"], *told["files"]]:
        assert re.search(rf"\b{key}\b", help_text), key


def test_select_table_of_failed_models(run: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(8.0).reshape(4, 2) ** 2)
    status, _out, err = run(
        "select", tmp_path / "x.npy", "-k", "1,5", "--covariances", "EII", "--table", tmp_path / "t.csv"
    )
    assert (status, err.count("\n")) == (0, 1)
    assert "None of the 1 models of two components or more could be fitted" in err
    rows = (tmp_path / "t.csv").read_text().splitlines()
    assert rows[2].startswith(
        "5,EII,,,,,,15,False,\"5 components of type 'EII' with 2 features need 10 distinct samples at least"
    )


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-k", "0"], "got '0'; it must be numbers from 1 to 10000 and ranges of them, such as 3 or 1:9 or 2,4,8:10"),
        (["-k", "3:1"], "got '3:1'; it must be numbers"),
        (["-k", "1,,2"], "got '1,,2'; it must be numbers"),
        (["-k", "1:99999"], "it must be numbers from 1 to 10000"),
        (["-k", "1:3,2"], "--components has 2 more than once"),
        (["--covariances", "EEF"], "unknown covariance type 'EEF'; did you mean"),
        (["--covariances", ","], "--covariances is empty"),
        (["--covariances", "E"], "for data of one feature, but there are 2"),
        (["--criterion", "bci"], "unknown criterion 'bci'; did you mean bic"),
        (["--init", "kmean"], "unknown init 'kmean'; did you mean kmeans"),
        (["--table", "t.npy"], r"t\.npy cannot be written: its extension must be \.csv"),
        (["--plot", "p.jpg"], r"p\.jpg cannot be written: its extension must be \.png, \.pdf or \.svg"),
        (["--labels", "none/l.csv"], "none is not a directory; make it first"),
        (["--covariance", "VVV"], "unknown option '--covariance'; did you mean --covariances"),
    ],
)
def test_select_says_what_is_wrong(
    fails: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    fails(message, "select", FAITHFUL, *argv)
    assert os.listdir(tmp_path) == []


def test_select_without_matplotlib(fails: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = r"--plot needs the package 'matplotlib'.*pip install 'fastgmm\[plot\]'"
    fails(message, "select", FAITHFUL, "--plot", tmp_path / "p.png")


def test_select_interrupted(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting.selection, "select", stop)
    assert run("select", FAITHFUL) == (130, "", "fastgmm: interrupted; nothing was written\n")


# --- predict, score, sample, info, warmup ---


def test_predict_to_standard_output(works: Any, saved: Path, model: GaussianMixture) -> None:
    iris = fastgmm.datasets.load_iris().data
    head, *labels = works("predict", saved, IRIS).splitlines()
    assert head == "label"
    assert list(map(int, labels)) == model.predict(iris).tolist()
    lines = works("predict", saved, IRIS, "--proba").splitlines()
    assert lines[0] == "p0,p1,p2"
    np.testing.assert_array_equal([list(map(float, line.split(","))) for line in lines[1:]], model.predict_proba(iris))


def test_predict_json(works: Any, saved: Path, model: GaussianMixture, tmp_path: Path) -> None:
    told = json.loads(works("predict", saved, IRIS, "--json"))
    assert told["labels"] == model.predict(fastgmm.datasets.load_iris().data).tolist()
    assert sum(told["cluster_sizes"]) == told["n_samples"] == 150
    told = json.loads(works("predict", saved, IRIS, "--json", "--proba", "-o", tmp_path / "p.npy"))
    assert told["output"] == str(tmp_path / "p.npy")
    assert "probabilities" not in told
    assert np.load(tmp_path / "p.npy").shape == (150, 3)
    assert len(json.loads(works("predict", saved, IRIS, "--json", "--proba"))["probabilities"]) == 150


def test_columns_are_found_by_the_models_names(works: Any, fails: Any, saved: Path, tmp_path: Path) -> None:
    iris = fastgmm.datasets.load_iris()
    order = [2, 0, 3, 1]
    shuffled = tmp_path / "shuffled.csv"
    names = ",".join(iris.feature_names[j] for j in order)
    np.savetxt(shuffled, iris.data[:, order], "%s", ",", header=names, comments="")
    assert works("predict", saved, shuffled) == works("predict", saved, IRIS)
    fails(
        r"gives the features petal_length, sepal_length, .*, but .*iris.npz was fitted with sepal_length, .*; choose",
        *("predict", saved, shuffled, "--columns", "0-3"),
    )
    other = tmp_path / "other.csv"
    other.write_text("a,b,c,d\n1,2,3,4\n")
    fails("other.csv has no column 'sepal_length', 'sepal_width'.* fitted with; name the", "predict", saved, other)


def test_tables_without_names_go_by_position(works: Any, fails: Any, saved: Path, plain: Path) -> None:
    assert works("predict", saved, plain) == works("predict", saved, IRIS)
    fails(
        "gives 3 features, but .* was fitted with 4; choose that many with --columns",
        *("score", saved, plain, "--drop", 0),
    )


def test_score(works: Any, saved: Path, model: GaussianMixture, tmp_path: Path) -> None:
    iris = fastgmm.datasets.load_iris().data
    assert re.search(r"log-likelihood -180\.\d+ \(-1\.20\d+ per sample\) +BIC 580\.\d+", works("score", saved, IRIS))
    told = json.loads(works("score", saved, IRIS, "--json", "--per-sample", tmp_path / "s.csv"))
    assert told["mean_log_likelihood"] == model.score(iris)
    assert told["bic"] == model.bic(iris)
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "s.csv", skiprows=1), model.score_samples(iris))
    assert "per sample: " in works("score", saved, IRIS, "--per-sample", tmp_path / "s.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "s.npy"), model.score_samples(iris))


def test_sample(works: Any, fails: Any, saved: Path, tmp_path: Path) -> None:
    lines = works("sample", saved, "-n", 5).splitlines()
    assert lines[0] == "sepal_length,sepal_width,petal_length,petal_width"
    assert len(lines) == 6
    assert works("sample", saved, "-n", 5).splitlines() == lines
    assert works("sample", saved, "-n", 5, "--seed", 1).splitlines() != lines
    assert works("sample", saved, "-n", 5, "--seed", "none") != works("sample", saved, "-n", 5, "--seed", "none")
    labelled = works("sample", saved, "-n", 5, "--with-labels").splitlines()
    assert labelled[0].endswith(",label")
    assert [line.rpartition(",")[0] for line in labelled[1:]] == lines[1:]
    assert {line.rpartition(",")[2] for line in labelled[1:]} <= {"0", "1", "2"}
    told = json.loads(works("sample", saved, "-n", 5, "--json"))
    assert np.shape(told["data"]) == (5, 4)
    assert len(told["labels"]) == 5
    works("sample", saved, "-n", 5, "--output", tmp_path / "s.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "s.npy"), told["data"])
    fails("--with-labels needs a .csv file", "sample", saved, "-o", tmp_path / "t.npy", "--with-labels")


def test_info(works: Any, saved: Path, model: GaussianMixture, tmp_path: Path) -> None:
    text = works("info", saved)
    assert "GaussianMixture, 3 components, 4 features, full covariance, float64" in text
    assert "converged after" in text
    assert "sepal_width" in text
    told = json.loads(works("info", saved, "--json"))
    np.testing.assert_array_equal(told["covariances"], model.covariances_)
    assert told["lower_bound"] == model.lower_bound_
    assert told["params"]["random_state"] == 0
    made = GaussianMixture.from_parameters([1.0], [[0.0]], [[[1.0]]])
    made.save(tmp_path / "made.npz")
    assert "made from given parameters" in works("info", tmp_path / "made.npz")
    assert json.loads(works("info", tmp_path / "made.npz", "--json"))["lower_bound"] is None


def test_warmup(works: Any) -> None:
    told = json.loads(works("warmup", "--json"))
    pairs = [(item["covariance_type"], item["dtype"]) for item in told["compiled"]]
    assert pairs == [(name, dtype) for dtype in ("float64", "float32") for name in (*COVARIANCE_TYPES, *MCLUST_NAMES)]
    assert told["seconds"] >= sum(item["seconds"] for item in told["compiled"])
    text = works("warmup", "--covariance", "diag")
    assert re.search(r"diag +float64 +[\d.]+ m?s\n +diag +float32 +[\d.]+ m?s\n[\d.]+ m?s in all", text)


# --- wrong input ---


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            [],
            "a command is missing: demo, fit, select, predict, score, merge, bootstrap, classify, sample, info, warmup; see "
            "fastgmm --help",
        ),
        (["fti"], r"unknown command 'fti'; did you mean fit\?"),
        (["zzz"], "unknown command 'zzz'; it must be one of demo, fit"),
        (["fit"], "the following arguments are required: DATA, -k/--components; see fastgmm fit --help"),
        (["fit", IRIS], "the following arguments are required: -k/--components"),
        (["fit", IRIS, "-k", "0"], "argument -k/--components: got '0'; it must be an integer of at least 1"),
        (["fit", IRIS, "-k", "x"], "argument -k/--components: got 'x'; it must be an integer"),
        (["fit", IRIS, "-k", "3", "--covariance", "ful"], r"unknown covariance type 'ful'; did you mean full\?"),
        (["fit", IRIS, "-k", "3", "--covariance", "x"], "it must be one of full, tied, diag, spherical"),
        (["fit", IRIS, "-k", "3", "--init", "kmeans+"], r"unknown init 'kmeans\+'; did you mean kmeans\?"),
        (["fit", IRIS, "-k", "3", "--dtype", "float16"], r"unknown dtype 'float16'; did you mean float"),
        (["fit", IRIS, "-k", "3", "--header", "on"], r"unknown header 'on'; did you mean no\?"),
        (["fit", IRIS, "-k", "3", "--tol", "-1"], "argument --tol: got '-1'; it must be a number that is not negative"),
        (["fit", IRIS, "-k", "3", "--tol", "nan"], "argument --tol: got 'nan'"),
        (["fit", IRIS, "-k", "3", "--seed", "-1"], r"argument --seed: got '-1'; .* from 0 to 2\*\*32 - 1, or none"),
        (["fit", IRIS, "-k", "3", "--max-iter", "-1"], "argument --max-iter: got '-1'; .* at least 0"),
        (["fit", IRIS, "-k", "3", "--covarance", "full"], r"unknown option '--covarance'; did you mean --covariance\?"),
        (["fit", IRIS, "-k", "3", "--cov", "full"], "unknown option '--cov'; did you mean --covariance"),
        (["fit", IRIS, "more", "-k", "3"], "too many arguments: more"),
        (["fit", IRIS, "-k", "3"], "column 4 .*'species'.* is not numeric .*--drop species"),
        (["fit", IRIS, "-k", "3", "--drop", "specis"], r"did you mean 'species'\?"),
        (["fit", IRIS, "-k", "151", "--drop", "species"], "--components 151, n_samples = 150"),
        (["fit", IRIS, "-k", "3", "--key", "X"], "key is given, but it is for .npz only"),
        (["fit", "none.csv", "-k", "3"], "none.csv: No such file or directory"),
        (["fit", "none.xls", "-k", "3"], "none.xls: No such file or directory"),
        (["info", "none.npz"], "none.npz: No such file or directory"),
        (["info", IRIS], "iris.csv cannot be loaded as a fastgmm model"),
        (["predict", IRIS], "the following arguments are required: DATA"),
    ],
)
def test_wrong_arguments(fails: Any, argv: list, message: str) -> None:
    fails(message, *argv)


def test_a_bad_value_is_located(fails: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("x,y\n1,2\n3,oops\n")
    fails(
        r"bad\.csv, line 3, column 1 \(counted from 0, 'y'\): 'oops' is not a number",
        *("fit", tmp_path / "bad.csv", "-k", 1),
    )


def test_columns_may_be_quoted(works: Any, tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text('"x, cm",y,z\n1,2,a\n3,1,b\n2,5,c\n')
    told = json.loads(works("fit", tmp_path / "q.csv", "-k", 1, "--columns", '"x, cm",y', "--json"))
    assert told["feature_names"] == ["x, cm", "y"]


def test_headers_delimiters_and_keys(works: Any, tmp_path: Path) -> None:
    X = fastgmm.datasets.load_iris().data
    np.savetxt(tmp_path / "t.txt", X, delimiter="|")
    told = json.loads(works("fit", tmp_path / "t.txt", "-k", 1, "--delimiter", "|", "--header", "yes", "--json"))
    assert told["n_samples"] == 149
    np.savez(tmp_path / "t.npz", A=X, B=X[:, :2])
    assert json.loads(works("fit", tmp_path / "t.npz", "-k", 1, "--key", "B", "--json"))["n_features"] == 2


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ValueError("two\nlines"), 2, "fastgmm: error: two lines\n"),
        (TypeError("what"), 2, "fastgmm: error: what\n"),
        (ImportError("needs pyarrow"), 2, "fastgmm: error: needs pyarrow\n"),
        (MemoryError("8 GiB"), 2, "fastgmm: error: not enough memory; 8 GiB\n"),
        (MemoryError(), 2, "fastgmm: error: not enough memory\n"),
        (PermissionError(13, "Permission denied", "x.csv"), 2, "fastgmm: error: x.csv: Permission denied\n"),
        (OSError("damaged"), 2, "fastgmm: error: damaged\n"),
        (KeyboardInterrupt(), 130, "fastgmm: interrupted\n"),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_exit_status(
    run: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, message: str
) -> None:

    def broken(args: object) -> None:
        raise error

    monkeypatch.setattr(commands, "demo", broken)
    # the real standard output must survive what is done to a broken one
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    assert run("demo") == Result(status, "", message)


def test_internal_failures_keep_their_traceback(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:

    def broken(args: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(commands, "demo", broken)
    result = run("demo")
    assert result.status == 1
    assert "Traceback" in result.err
    assert "ZeroDivisionError: a bug" in result.err
    assert result.err.endswith("internal error, please report it with the lines above\n")


def test_warnings_are_restored(run: Any) -> None:
    before = warnings.showwarning
    run("info", "none.npz")
    assert warnings.showwarning is before


# --- help and completion ---


def test_help_fits_on_a_screen(works: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = works("--help")
    lines = text.splitlines()
    assert 24 <= len(lines) <= 40
    assert max(map(len, lines)) <= 80
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\S.*\n +\$ fastgmm {command}", text, re.MULTILINE), command
    for command in COMMANDS:
        text = works(command, "--help")
        assert max(map(len, text.splitlines())) <= 80, command
        assert re.search(rf"^examples:\n  fastgmm {command}", text, re.MULTILINE)


@pytest.mark.parametrize("example", [line for text in help.COMMANDS.values() for line in text.examples])
def test_examples_of_help_can_be_parsed(example: str) -> None:
    args = parser.parse(shlex.split(example))
    assert args.command == example.split()[0]


def test_the_examples_of_help_run_one_after_the_other(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(60, 2)), rng.normal(size=(60, 2)) + 9.0])
    for name in ("data.csv", "new.csv"):
        np.savetxt(name, X, delimiter=",", header="height,weight", comments="")
    species = np.repeat(["a", "b"], 60)
    rows = [f"{x},{y},{kind}" for (x, y), kind in zip(X.tolist(), species, strict=True)]
    Path("train.csv").write_text("\n".join(["height,weight,species", *rows]))
    for name, text in help.COMMANDS.items():
        if name != "warmup":  # it compiles
            argv = shlex.split(text.examples[0]) + (["--resamples", "5"] if name == "bootstrap" else [])
            result = run(*argv, *(["--force"] if name == "sample" else []))
            assert result.status == 0, (argv, result.err)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("fastgmm pre", {"predict"}),
        ("fastgmm ", {*COMMANDS, "--help", "--version", "-h"}),
        ("fastgmm fit --covar", {"--covariance"}),
        ("fastgmm fit data.csv -k 3 --covariance EE", {"EEE", "EEI", "EEV"}),
        ("fastgmm select data.csv --criterion ", {"bic", "icl", "aic"}),
        ("fastgmm fit dat", {"data.csv"}),
    ],
)
def test_completion(tmp_path: Path, line: str, expected: set[str]) -> None:
    """What a shell is answered by argcomplete, without numba or NumPy."""
    pytest.importorskip("argcomplete")
    (tmp_path / "data.csv").write_text("1\n")
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "out")}
    asked |= {"COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9", "_ARGCOMPLETE_SUPPRESS_SPACE": "1"}
    command = [sys.executable, "-X", "importtime", "-m", "fastgmm"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(fastgmm.__file__).parents[1]), *sys.path]),
        **asked,
    }
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    assert {word.strip() for word in (tmp_path / "out").read_text().split("\n")} == expected
    assert not re.search(r"\| +(numba|numpy)$", done.stderr, re.MULTILINE)


def test_completion_finds_the_marker() -> None:
    """`register-python-argcomplete` and global completion look for it in the first 1024 bytes of the entry point's module."""
    assert b"PYTHON_ARGCOMPLETE_OK" in Path(cli.__file__).read_bytes()[:1024]


def test_without_argcomplete_the_command_runs(works: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    assert works("--version") == f"fastgmm {fastgmm.__version__}\n"


# --- the process ---


def test_help_and_version_load_nothing_heavy() -> None:
    code = (
        "import sys, contextlib, io\n"
        "from fastgmm.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out:\n"
        f"    status = [main([*c, '--help']) for c in {[[]] + [[c] for c in COMMANDS]}] + [main(['--version'])]\n"
        f"assert out.getvalue().count('usage:') == {1 + len(COMMANDS)}\n"
        "print(set(status), [m for m in ('numba', 'numpy', 'scipy') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{0} []"


def test_module_and_version() -> None:
    done = subprocess.run([sys.executable, "-m", "fastgmm", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"fastgmm {fastgmm.__version__}\n"


@pytest.mark.skipif(os.name != "posix", reason="POSIX pipes")
def test_a_reader_that_goes_away_is_no_error(saved: Path) -> None:
    argv = [sys.executable, "-m", "fastgmm", "sample", str(saved), "-n", "100000"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"sepal_length")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_ctrl_c(tmp_path: Path) -> None:
    # a fit that would take hours: it is stopped between two sweeps, and leaves nothing behind
    np.save(tmp_path / "x.npy", fastgmm.datasets.make_mixture(20_000, 8, 4, separation=0.5, random_state=0).X)
    argv = [sys.executable, "-m", "fastgmm", "fit", str(tmp_path / "x.npy"), "-k", "16", "--tol", "0", "-vv"]
    argv += ["--max-iter", "100000000", "--output", str(tmp_path / "m.npz")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() != ""  # the fit has begun
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert out == ""
    told = "fastgmm: interrupted; nothing was written; with --checkpoint FILE the same command could resume"
    assert err.splitlines()[-1] == told
    assert os.listdir(tmp_path) == ["x.npy"]


# --- directories, patterns, large files ---


@pytest.fixture
def small_limit(limits: Limit) -> None:
    """Files of some kilobytes count as large, and what is in them is not loaded."""

    limits(loaded=2048, numbers_predicted=200)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Iris in several forms, each in two parts."""
    iris = fastgmm.datasets.load_iris()
    names = list(iris.feature_names)
    for kind in ("npy", "csv", "parquet", "npz"):
        (tmp_path / kind).mkdir()
    import pyarrow
    import pyarrow.parquet

    for i, part in enumerate((iris.data[:70], iris.data[70:])):
        order = [0, 1, 2, 3] if i == 0 else [3, 1, 0, 2]  # columns of files with names are found by them
        np.save(tmp_path / "npy" / f"{i}.npy", part)
        np.savez(tmp_path / "npz" / f"{i}.npz", A=part, B=part[:, :2])
        head = ";".join(names[j] for j in order)
        np.savetxt(tmp_path / "csv" / f"{i}.csv", part[:, order], delimiter=";", header=head, comments="")
        table = pyarrow.table({names[j]: part[:, j] for j in order})
        pyarrow.parquet.write_table(table, tmp_path / "parquet" / f"{i}.parquet")
    np.save(tmp_path / "whole.npy", iris.data)
    return tmp_path


FORMS = ["npy", "npy/*.npy", "csv", "csv/?.csv", "parquet", "parquet/*", "npz", "whole.npy"]


@pytest.mark.parametrize("form", FORMS)
def test_files_of_all_forms_give_the_fit_of_memory(
    works: Any, fails: Any, folder: Path, small_limit: None, form: str, tmp_path: Path, model: GaussianMixture
) -> None:
    iris = fastgmm.datasets.load_iris().data
    key = ["--key", "A"] if form == "npz" else []
    saved = tmp_path / "m.npz"
    outputs = ["--output", saved, "--labels", tmp_path / "l.npy", "--proba", tmp_path / "p.csv"]
    told = json.loads(
        works("fit", folder / form, "-k", 3, *key, *outputs, "--init", "random_from_data", "--seed", 1, "--json")
    )
    assert told["n_samples"] == told["total_weight"] == 150
    assert told["data"] == str(folder / form)
    fitted = fastgmm.load(saved)
    if form.startswith(("csv", "parquet")):
        assert told["feature_names"] == list(fastgmm.datasets.load_iris().feature_names)
        del fitted.feature_names_in_
    # the start is from a sample, so that it is another fit than from memory; what is said of it must be true
    assert told["log_likelihood"] == pytest.approx(fitted.score(iris) * 150, rel=1e-12)
    assert told["bic"] == pytest.approx(fitted.bic(iris), rel=1e-12)
    np.testing.assert_array_equal(np.load(tmp_path / "l.npy"), fitted.predict(iris))
    assert told["cluster_sizes"] == np.bincount(fitted.predict(iris), minlength=3).tolist()
    proba = np.loadtxt(tmp_path / "p.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(proba, fitted.predict_proba(iris), rtol=1e-12)
    lines = works("predict", saved, folder / form, *key).splitlines()
    assert list(map(int, lines[1:])) == fitted.predict(iris).tolist()
    again = json.loads(works("predict", saved, folder / form, *key, "--json"))
    assert again["labels"] == fitted.predict(iris).tolist()
    assert again["cluster_sizes"] == told["cluster_sizes"]
    scored = json.loads(works("score", saved, folder / form, *key, "--per-sample", tmp_path / "s.npy", "--json"))
    assert scored["bic"] == told["bic"]
    np.testing.assert_allclose(np.load(tmp_path / "s.npy"), fitted.score_samples(iris), rtol=1e-12)


@pytest.mark.parametrize("form", ["npy", "csv", "parquet", "whole.npy"])
def test_columns_of_several_files(works: Any, folder: Path, small_limit: None, form: str) -> None:
    iris = fastgmm.datasets.load_iris().data
    named = form in ("csv", "parquet")
    columns = "petal_width,sepal_width" if named else "3,1"
    dropped = "sepal_length,2" if named else "0,2"
    for options, picked in ((["--columns", columns], [3, 1]), (["--drop", dropped], [1, 3])):
        told = json.loads(works("fit", folder / form, "-k", 1, *options, "--json"))
        np.testing.assert_allclose(told["means"], [iris[:, picked].mean(axis=0)], rtol=1e-12)
    told = json.loads(works("fit", folder / form, "-k", 1, "--dtype", "float32", "--json"))
    assert told["dtype"] == "float32"


def test_options_of_text_with_several_files(works: Any, fails: Any, folder: Path, small_limit: None) -> None:
    for i in range(2):
        (folder / "csv" / f"{i}.csv").write_text("0|1\n2|3\n4|6\n")
    told = json.loads(works("fit", folder / "csv", "-k", 1, "--header", "yes", "--delimiter", "|", "--json"))
    assert (told["n_samples"], told["feature_names"]) == (4, ["0", "1"])
    for option in (["--header", "yes"], ["--delimiter", ","], ["--key", "A"]):
        name = option[0][2:]
        fails(f"0.npy: --{name} is given, but it is for", "fit", folder / "npy", "-k", 1, *option)


def test_several_files_that_are_no_data(fails: Any, folder: Path) -> None:
    fails("no file matches the pattern", "fit", folder / "none-*.npy", "-k", 1)
    (folder / "empty").mkdir()
    fails("empty holds no file that can be read", "fit", folder / "empty", "-k", 1)
    (folder / "npy" / "2.csv").write_text("1\n")
    fails(r"holds files of several kinds \(\.csv, \.npy\): pass a pattern", "fit", folder / "npy", "-k", 1)
    np.save(folder / "npy" / "2.npy", np.zeros((3, 5)))
    fails(r"chunk 2 \(.*2\.npy\) has 5 features", "fit", folder / "npy" / "*.npy", "-k", 1)
    with open(folder / "csv" / "1.csv", "a") as file:
        file.write("oops;1;2;3\n")
    fails(r"1\.csv, line 82, column 0 .*'oops' is not a number", "fit", folder / "csv", "-k", 1)
    fails(
        r"0\.npy cannot be written: it is also '.*0\.npy' of this command",
        *("fit", folder / "npy" / "[01].npy", "-k", 1, "--labels", folder / "npy" / "0.npy", "--force"),
    )


# --- weights ---


@pytest.fixture
def weighted(tmp_path: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """A table with a column w of weights, these weights in files as well, and what the fit must see."""
    X = fastgmm.datasets.load_iris().data
    w = np.random.default_rng(0).integers(0, 4, size=150).astype(float)
    table = np.column_stack([X[:, 0], w, X[:, 1:]])
    np.savetxt(tmp_path / "t.csv", table, delimiter=",", header="a,w,b,c,d", comments="")
    np.save(tmp_path / "t.npy", table)
    np.savetxt(tmp_path / "x.csv", X, delimiter=",", header="a,b,c,d", comments="")
    np.savetxt(tmp_path / "w.csv", w)
    np.save(tmp_path / "w.npy", w)
    np.save(tmp_path / "wide.npy", w[:, None])
    return tmp_path, X, w


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("data", "weights"),
    [("t.csv", "w"), ("t.csv", "1"), ("t.npy", "1"), ("x.csv", "w.csv"), ("x.csv", "w.npy"), ("x.csv", "wide.npy")],
)
def test_weights(
    works: Any, weighted: Any, data: str, weights: str, large: bool, monkeypatch: pytest.MonkeyPatch, request: Any
) -> None:
    if large:
        request.getfixturevalue("small_limit")
    where, X, w = weighted
    monkeypatch.chdir(where)
    start = ["--init", "random_from_data"] if large else []
    told = json.loads(works("fit", data, "-k", 2, "--weights", weights, "-o", "m.npz", "--json", *start))
    fitted = fastgmm.load("m.npz")
    if not large:
        np.testing.assert_array_equal(fitted.means_, GaussianMixture(2, random_state=0).fit(X, sample_weight=w).means_)
    if data.endswith(".csv"):
        assert told["feature_names"] == ["a", "b", "c", "d"]
        del fitted.feature_names_in_
    assert told["sample_weight"] == weights
    assert told["total_weight"] == w.sum()
    assert told["n_samples"] == 150
    assert told["bic"] == pytest.approx(fitted.bic(X, sample_weight=w), rel=1e-12)
    assert told["mean_log_likelihood"] == pytest.approx(fitted.score(X, sample_weight=w), rel=1e-12)
    scored = json.loads(works("score", "m.npz", data, "--weights", weights, "--json"))
    assert {key: scored[key] for key in ("bic", "aic", "total_weight", "sample_weight")} == {
        key: told[key] for key in ("bic", "aic", "total_weight", "sample_weight")
    }
    text = works("fit", data, "-k", 2, "--weights", weights, *start)
    assert f"150 samples x 4 features, float64, weights {weights} (sum {w.sum():.6g})\n" in text


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            "v",
            r"t\.csv: --weights holds 'v', which is not a column; there are .* a file of weights must end in \.npy or \.csv",
        ),
        ("7", r"weights asks for column 7, but there are 5"),
        ("0-1", r"--weights is '0-1', which names 2 columns; it must name one"),
        ("none.csv", r"none\.csv: No such file"),
        ("none.npy", r"none\.npy: No such file"),
        ("x.csv", r"x\.csv has 4 columns; a file of weights must have one"),
        ("t.npy", r"t\.npy is not a \.npy file of weights: it holds float64 of shape \(150, 5\)"),
        ("text.npy", r"text\.npy is not a \.npy file of weights: it holds <U1"),
        ("cut.npy", r"cut\.npy is not a \.npy file of weights"),
        ("pickle.npy", r"pickle\.npy is not a \.npy file of weights: it holds object"),
        ("short.npy", r"--weights must have the shape \(150,\), a weight for each sample of X, got \(3,\)"),
        ("minus.npy", r"--weights must not be negative, got --weights\[149\] = -1"),
        ("zero.npy", r"--weights is zero for all samples"),
    ],
)
def test_bad_weights(fails: Any, weighted: Any, weights: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, _, w = weighted
    monkeypatch.chdir(where)
    np.save("text.npy", np.array(["a"] * 150))
    np.save("pickle.npy", np.array([None] * 150, dtype=object), allow_pickle=True)
    np.save("short.npy", w[:3])
    np.save("minus.npy", np.append(w[1:], -1.0))
    np.save("zero.npy", np.zeros(150))
    Path("cut.npy").write_bytes(Path("w.npy").read_bytes()[:200])
    fails(message, "fit", "t.csv", "-k", 1, "--weights", weights)


def test_a_table_of_weights_alone(fails: Any, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("w\n1\n2\n")
    fails("no column of 1 is left besides that of the weights", "fit", tmp_path / "t.csv", "-k", 1, "--weights", "w")


# --- checkpoints and progress ---


def test_progress_goes_to_standard_error(run: Any, plain: Path) -> None:
    result = run("fit", plain, "-k", 3, "--progress", "--json")
    assert result.status == 0
    json.loads(result.out)
    assert re.search(r"start 1, converged after \d+ iterations, log-likelihood -1\.\d+\n", result.err)


def test_checkpoint_that_is_not_needed_is_gone(works: Any, plain: Path, tmp_path: Path, model: GaussianMixture) -> None:
    told = json.loads(works("fit", plain, "-k", 3, "--checkpoint", tmp_path / "c", "--checkpoint-every", 0, "--json"))
    np.testing.assert_array_equal(told["means"], model.means_)
    assert os.listdir(tmp_path) == [plain.name]


def test_bad_checkpoints(fails: Any, plain: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.npz"
    fails("--checkpoint-every needs --checkpoint", "fit", plain, "-k", 1, "--checkpoint-every", 5)
    fails("argument --checkpoint-every: got '-1'", "fit", plain, "-k", 1, "--checkpoint-every", -1)
    fails("is also '.*iris.npy' of this command", "fit", plain, "-k", 1, "--checkpoint", plain)
    both = ["--checkpoint", checkpoint, "--output", checkpoint]
    fails("is also '.*c.npz' of this command", "fit", plain, "-k", 1, *both)
    fails("none is not a directory; make it first", "fit", plain, "-k", 1, "--checkpoint", tmp_path / "none" / "c")
    checkpoint.write_text("mine")
    fails("cannot be loaded as a checkpoint of a fit", "fit", plain, "-k", 1, "--checkpoint", checkpoint)
    assert checkpoint.read_text() == "mine"


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_ctrl_c_and_going_on(works: Any, fails: Any, tmp_path: Path) -> None:
    mixture = fastgmm.datasets.make_mixture(20_000, 8, 4, separation=0.5, random_state=0)
    np.save(tmp_path / "x.npy", mixture.X)
    checkpoint, saved = tmp_path / "c.npz", tmp_path / "m.npz"
    fit = ["fit", str(tmp_path / "x.npy"), "-k", "4", "--tol", "0", "--max-iter", "200", "--init", "random_from_data"]
    slow = (
        "import sys, time\n"
        "from fastgmm import cli\n"
        "from fastgmm.fitting.run import StateCallback\n"
        "StateCallback.iteration = lambda *_: time.sleep(0.05)\n"  # so that it does not end before it is stopped
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    argv = [sys.executable, "-c", slow, *fit, "-vv", "--checkpoint", str(checkpoint), "--output", str(saved)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "iteration 10" in line:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == f"fastgmm: interrupted; the same command resumes from {checkpoint}"
    assert sorted(os.listdir(tmp_path)) == ["c.npz", "x.npy"]
    fails("--n-init was 1 and is 2 now; delete it or choose another", *fit, "--n-init", 2, "--checkpoint", checkpoint)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = GaussianMixture(4, tol=0, max_iter=200, init_params="random_from_data", random_state=0).fit(
            mixture.X
        )
    again = cli.main([*fit, "--checkpoint", str(checkpoint), "--output", str(saved)])
    assert again == 0
    found = fastgmm.load(saved)
    np.testing.assert_array_equal(found.covariances_, expected.covariances_)
    assert found.lower_bounds_ == expected.lower_bounds_
    assert sorted(os.listdir(tmp_path)) == ["m.npz", "x.npy"]


@compiled
def test_compilation_is_timed_apart_and_announced_once(works: Any, plain: Path, monkeypatch: Any, capsys: Any) -> None:
    fit = GaussianMixture.fit

    def compiling(self: GaussianMixture, *arguments: Any, **options: Any) -> GaussianMixture:
        with on_compilation(lambda: pytest.fail("announced twice")):
            numba.njit(lambda x: x + 1)(1)
        return fit(self, *arguments, **options)

    assert json.loads(works("fit", plain, "-k", 2, "--json"))["seconds"]["compile"] == 0.0
    monkeypatch.setattr(GaussianMixture, "fit", compiling)
    text = works("fit", plain, "-k", 2)
    assert re.search(r"read in [\d.]+ m?s, compiled, once, in [\d.]+ m?s, fitted in [\d.]+ m?s", text)


@compiled
@pytest.mark.parametrize("terminal", [True, False])
def test_who_waits_for_the_compiler_at_a_terminal_is_told_once(monkeypatch, terminal):
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    def info(args):
        for type_ in (1, 1.0):
            numba.njit(lambda x: x + 1)(type_)

    monkeypatch.setattr(commands, "info", info)
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    assert cli.main(["info", "model.npz"]) == 0
    told = "fastgmm: compiling for this processor, once: some ten seconds for each kind of covariance\n"
    assert screen.getvalue() == (told if terminal else "")
    numba.njit(lambda x: x + 2)(1)  # and no one after it
    assert screen.getvalue() == (told if terminal else "")

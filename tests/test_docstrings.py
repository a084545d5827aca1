"""Docstrings of everything public: complete by numpydoc's checks, their examples run, and fitted attributes are all named."""

import dataclasses
import doctest
import importlib
import inspect
import sys
import warnings
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest

import fastgmm
from fastgmm import datasets

#: What numpydoc calls its findings. Left out: GL01 (the summary begins beside the quotes) and ES01 (not all names need more text).
CHECKS = {
    *("GL02", "GL03", "GL05", "GL06", "GL07", "GL08", "GL09", "GL10"),
    *("SS01", "SS02", "SS03", "SS04", "SS05", "SS06"),
    *("PR01", "PR02", "PR03", "PR04", "PR05", "PR06", "PR07", "PR10"),
    *("RT01", "RT03", "YD01", "SA01", "SA04", "EX01"),
}
#: Checks that properties need not meet, since they are documented with their class.
OF_PROPERTIES = {"SA01", "EX01"}
PROPERTIES = (property, cached_property)
MODULES = ("fastgmm", "fastgmm.datasets", "fastgmm.kernels", "fastgmm.plotting")
#: Classes without a public name whose objects are among the fitted attributes.
RETURNED = ("fastgmm.estimators.class_models.Candidate", "fastgmm.model.noise.Noise")


def _members(cls):
    """Return the public methods and properties of a class that the package defines, by name."""
    found = {}
    for name in dir(cls):
        value = inspect.getattr_static(cls, name)
        described = inspect.isfunction(value) or isinstance(value, (classmethod, staticmethod, *PROPERTIES))
        if described and not name.startswith("_"):
            home = next(base for base in cls.__mro__ if name in vars(base))
            if home.__module__.startswith("fastgmm."):
                found[name] = value
    return found


def _public():
    """Return all public objects by dotted name: those of modules, and what their classes have."""
    found = {}
    for path in MODULES:
        module = importlib.import_module(path)
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value):
                found[f"{path}.{name}"] = value
    for path in RETURNED:
        module, _, name = path.rpartition(".")
        found[path] = getattr(importlib.import_module(module), name)
    for path, value in list(found.items()):
        if inspect.isclass(value):
            found |= {f"{path}.{method}": member for method, member in _members(value).items()}
    return found


PUBLIC = _public()


def _fields(value):
    """Return the names of the fields of a record (a dataclass or a named tuple), which are documented as attributes."""
    names = getattr(value, "_fields", ()) if inspect.isclass(value) else ()
    if dataclasses.is_dataclass(value):
        names = [one.name for one in dataclasses.fields(value)]
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("name", PUBLIC)
def test_docstrings_are_complete(name):
    numpydoc = pytest.importorskip("numpydoc.validate")
    ignored = OF_PROPERTIES if isinstance(PUBLIC[name], PROPERTIES) else set()
    if fields := _fields(PUBLIC[name]):
        attributes = pytest.importorskip("numpydoc.docscrape").ClassDoc(PUBLIC[name])["Attributes"]
        assert fields <= {field for one in attributes for field in one.name.split(", ")}
        ignored = ignored | {"PR01"}
    errors = [error for error in numpydoc.validate(name)["errors"] if error[0] in CHECKS - ignored]
    assert not errors, "\n".join(f"{code}: {message}" for code, message in errors)


def _examples():
    """Return all docstrings with examples by dotted name, each once: of public names first, then of the rest of the package."""
    found = {}
    for name, value in PUBLIC.items():
        found[name] = inspect.getdoc(getattr(value, "fget", None) or getattr(value, "__func__", value)) or ""
    root = Path(fastgmm.__file__).parent
    for path in sorted(root.rglob("*.py")):
        if ">>>" in path.read_text(encoding="utf-8"):
            module = importlib.import_module(".".join(["fastgmm", *path.relative_to(root).with_suffix("").parts]))
            found |= {one.name: inspect.cleandoc(one.docstring) for one in doctest.DocTestFinder().find(module)}
    once = {text: name for name, text in reversed(found.items()) if ">>>" in text}
    return {name: text for text, name in reversed(once.items())}


EXAMPLES = _examples()


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run(name, tmp_path, monkeypatch):
    """Run each example in an empty directory, where it may write files; warnings in it are errors."""
    text = EXAMPLES[name]
    for package in ("sklearn", "pandas", "polars", "dask"):
        if f"import {package}" in text or f"to_{package}(" in text:
            pytest.importorskip(package)
    if "plot" in text:
        pytest.importorskip("matplotlib").use("Agg")
        pytest.importorskip("matplotlib.figure")  # old versions warn of what they import
    monkeypatch.chdir(tmp_path)
    example = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, verbose=False)
    failures = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runner.run(example, out=failures.append)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
    assert runner.tries > 0
    assert not runner.failures, "".join(failures)


IRIS = datasets.load_iris()
FITTED = {
    "GaussianMixture": lambda cls: cls(2, on_collapse="reset", prior="default", noise=True, random_state=0).fit(
        IRIS.data
    ),
    "GaussianMixture with labels": lambda cls: cls(3, random_state=0).fit(IRIS.data, labels=IRIS.target),
    "BayesianGaussianMixture": lambda cls: cls(n_components=2, tol=1.0, random_state=0).fit(IRIS.data),
    "GaussianMixtureClassifier": lambda cls: cls().fit(IRIS.data, IRIS.target),
    "GaussianMixtureOutlierDetector": lambda cls: cls().fit(IRIS.data),
    "GaussianMixtureRegressor": lambda cls: cls().fit(IRIS.data[:, :3], IRIS.data[:, 3]),
}


@pytest.mark.parametrize("name", FITTED)
def test_fitted_attributes_are_documented_with_their_shapes(name):
    numpydoc = pytest.importorskip("numpydoc.docscrape")
    cls = getattr(fastgmm, name.split()[0])
    documented = {one.name: one.type for one in numpydoc.ClassDoc(cls)["Attributes"]}
    fitted = vars(FITTED[name](cls)) | {"feature_names_in_": np.array(["a"], object)}
    fitted = {key: value for key, value in fitted.items() if key.endswith("_") and not key.startswith("_")}
    assert fitted.keys() <= documented.keys()
    for attribute, value in fitted.items():
        if isinstance(value, np.ndarray) and value.ndim:
            assert "ndarray" in documented[attribute], attribute
            assert "shape" in documented[attribute] + " ".join(
                line for one in numpydoc.ClassDoc(cls)["Attributes"] if one.name == attribute for line in one.desc
            ), attribute

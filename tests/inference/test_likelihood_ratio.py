"""Sequential tests of the number of components."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from kit import blobs
from numpy.testing import assert_array_equal

import fastgmm
from fastgmm import GaussianMixture
from fastgmm.datasets import load_faithful
from fastgmm.inference import likelihood_ratio

REFERENCE = json.loads((Path(__file__).parents[1] / "mclust_classes.json").read_text(encoding="utf-8"))["tests"]


def test_the_statistics_of_mclust():
    X = load_faithful().data
    found = fastgmm.likelihood_ratio_test(X, 2, "EEE", 39, random_state=0)
    assert found.n_components == [1, 2]
    assert found.statistics == pytest.approx(REFERENCE["statistics"], abs=0.05)
    assert found.p_values == [1 / 40, 1 / 40]
    assert all(p < 0.03 for p in REFERENCE["p"])
    assert found.chosen == 3


def test_the_p_value_counts_replicates():
    X = blobs(120, 2, 1, seed=0)
    found = fastgmm.likelihood_ratio_test(X, [1], "diag", 30, random_state=1)
    replicates = found.replicates[0]
    assert len(replicates) == 30
    assert found.p_values[0] == (1 + (replicates >= found.statistics[0]).sum()) / 31
    assert found.chosen == 1
    fits = [
        GaussianMixture(k, covariance_type="diag", tol=1e-5, max_iter=1000, n_init=3, random_state=0).fit(X)
        for k in (1, 2)
    ]
    assert found.statistics[0] == pytest.approx(240 * (fits[1].score(X) - fits[0].score(X)), abs=0.5)


def test_under_the_null_p_is_uniform():
    """Of samples of one component few are rejected: 24 p-values with 9 replicates each."""
    rng = np.random.default_rng(0)
    values = [
        fastgmm.likelihood_ratio_test(rng.normal(size=(40, 1)), [1], "E", 9, random_state=i, n_init=1).p_values[0]
        for i in range(24)
    ]
    assert 0.35 < np.mean(values) < 0.75
    assert np.mean(np.array(values) <= 0.1) < 0.3


def test_the_sequence_ends_at_the_first_that_is_kept():
    X = np.vstack([blobs(80, 1, 1), blobs(80, 1, 1, seed=1) + 9.0])
    found = fastgmm.likelihood_ratio_test(X, 6, "V", 39, random_state=0)
    assert found.chosen == 2
    assert found.n_components == [1, 2]
    assert "1 against 2" in str(found)
    again = fastgmm.likelihood_ratio_test(X, 6, "V", 39, random_state=0)
    assert_array_equal(again.replicates[1], found.replicates[1])


def test_ctrl_c_keeps_the_tests_that_are_done(monkeypatch):
    X = blobs(60, 1, 1)
    original, calls = likelihood_ratio._ratio, []

    def stopping(*arguments):
        calls.append(1)
        if len(calls) > 8:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(likelihood_ratio, "_ratio", stopping)
    with pytest.warns(UserWarning, match="only the tests of 1 components are done"):
        found = fastgmm.likelihood_ratio_test(X, [1, 2], "E", 4, level=1.0, random_state=0)
    assert found.n_components == [1]
    with pytest.raises(KeyboardInterrupt):
        fastgmm.likelihood_ratio_test(X, [1, 2], "E", 4, random_state=0)

"""Outliers by a low density: the threshold, and scikit-learn's contract of signs."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastgmm
from fastgmm import GaussianMixture, GaussianMixtureOutlierDetector


def contaminated(n=400, m=20, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.array([[-4.0, 0.0], [4.0, 0.0]])[rng.integers(2, size=n)]
    X = np.vstack([centres + rng.normal(size=(n, 2)), rng.uniform(-12, 12, size=(m, 2))])
    return X, np.append(np.ones(n, int), -np.ones(m, int))


@pytest.mark.parametrize("contamination", [0.01, 0.1, 0.5])
def test_the_share_of_outliers(contamination):
    X, _ = contaminated()
    model = GaussianMixtureOutlierDetector(2, contamination=contamination, random_state=0)
    found = model.fit_predict(X)
    assert set(found) == {-1, 1}
    assert (found == -1).sum() == round(contamination * len(X))
    assert_allclose(model.decision_function(X), model.score_samples(X) - model.offset_)
    assert_array_equal(found == -1, model.decision_function(X) < 0)
    assert_array_equal(model.score_samples(X), GaussianMixture(2, random_state=0).fit(X).score_samples(X))


def test_they_are_those_that_were_put_there():
    X, truth = contaminated()
    found = GaussianMixtureOutlierDetector(2, contamination=20 / 420, random_state=0).fit_predict(X)
    assert (found[truth == -1] == -1).mean() > 0.7


def test_a_tail_is_a_probability_under_the_mixture():
    X, _ = contaminated(2000, 0)
    model = GaussianMixtureOutlierDetector(2, tail=0.02, random_state=0).fit(X)
    drawn, _ = model.mixture_.set_params(random_state=5).sample(50_000)
    assert (model.predict(drawn) == -1).mean() == pytest.approx(0.02, abs=0.002)
    again = GaussianMixtureOutlierDetector(2, tail=0.02, random_state=0).fit(X)
    assert again.offset_ == model.offset_


def test_weights_are_repeated_rows():
    X, _ = contaminated(80, 8)
    w = np.random.default_rng(0).integers(0, 4, size=len(X))
    weighted = GaussianMixtureOutlierDetector(contamination=0.1).fit(X, sample_weight=w)
    repeated = GaussianMixtureOutlierDetector(contamination=0.1).fit(np.repeat(X, w, axis=0))
    assert weighted.offset_ == pytest.approx(repeated.offset_, rel=1e-9)


def test_other_kinds_of_data_and_files(tmp_path):
    X, _ = contaminated(2000, 40)
    frame = pd.DataFrame(X, columns=["a", "b"])
    model = GaussianMixtureOutlierDetector(2, contamination=0.02, random_state=0).fit(frame)
    expected = model.predict(frame)
    model.save(tmp_path / "o.npz")
    again = fastgmm.load(tmp_path / "o.npz")
    assert_array_equal(again.predict(frame), expected)
    assert list(again.feature_names_in_) == ["a", "b"]
    plain = GaussianMixtureOutlierDetector(2, contamination=0.02, random_state=0).fit(
        fastgmm.chunks([X[:900], X[900:]])
    )
    lazy = plain.predict(da.from_array(X, chunks=(500, 2)))
    assert_array_equal(lazy.compute(), expected)


def test_a_mixture_with_noise():
    X, _ = contaminated(400, 60)
    model = GaussianMixtureOutlierDetector(2, contamination=0.1, noise=True, random_state=0).fit(X)
    assert hasattr(model.mixture_, "noise_")
    assert (model.predict(X) == -1).sum() == 46

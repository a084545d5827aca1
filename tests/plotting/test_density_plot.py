"""Pictures of densities: their levels have the probability that they say."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.stats import chi2, norm

from fastgmm import GaussianMixture
from fastgmm.datasets import load_faithful
from fastgmm.plotting import plot_density

SHARES = (0.5, 0.8, 0.95)


@pytest.fixture
def faithful():
    table = load_faithful()
    return pd.DataFrame(table.data, columns=table.feature_names)


@pytest.fixture
def model(faithful):
    return GaussianMixture(2, random_state=0).fit(faithful)


def test_levels_of_one_component_are_known():
    square = GaussianMixture.from_parameters([1.0], [[3.0, -2.0]], [[[4.0, 1.0], [1.0, 2.0]]])
    found = plot_density(square, ax=Figure(), probabilities=SHARES).levels
    top = 1.0 / (2 * np.pi * np.sqrt(7.0))
    assert found == pytest.approx(sorted(top * np.exp(-0.5 * chi2.ppf(SHARES, 2))), rel=5e-3)
    line = plot_density(square, ax=Figure(), features=1, probabilities=0.8).levels
    assert line == pytest.approx(norm.pdf(norm.ppf(0.9)) / np.sqrt(2.0), rel=5e-3)


def test_regions_have_their_probability(model, faithful):
    artists = plot_density(model, faithful, ax=Figure(), probabilities=SHARES)
    model.set_params(random_state=0)
    names = model.feature_names_in_
    drawn = pd.DataFrame(model.sample(50_000)[0], columns=names)
    density = np.exp(model.score_samples(drawn))
    for level, share in zip(artists.levels, sorted(SHARES, reverse=True), strict=True):
        assert (density >= level).mean() == pytest.approx(share, abs=0.01)
    assert len(artists.contours) == len(artists.regions) == len(artists.points) == 1
    assert artists.axes.get_xlabel() == "eruptions"
    assert len(artists.points[0].get_offsets()) == len(faithful)


def test_one_feature_has_a_line_and_a_histogram(model, faithful):
    artists = plot_density(model, faithful, ax=Figure(), features="waiting", probabilities=(0.5, 0.9))
    assert len(artists.regions) == 2
    assert len(artists.lines) == len(artists.histograms) == 1
    x, y = artists.lines[0].get_data()
    assert (0.5 * (y[1:] + y[:-1]) * np.diff(x)).sum() == pytest.approx(1.0, abs=2e-3)
    heights, edges, _ = artists.histograms[0].get_data()
    assert (heights * np.diff(edges)).sum() == pytest.approx(1.0)


def test_a_narrow_component_is_seen():
    model = GaussianMixture.from_parameters([0.5, 0.5], [[0.0, 0.0], [50.0, 50.0]], [np.eye(2) * 100, np.eye(2) * 1e-4])
    artists = plot_density(model, ax=Figure(), probabilities=0.4)
    segments = artists.contours[0].allsegs[0]
    assert any(len(piece) > 8 and np.abs(piece - 50.0).max() < 0.2 for piece in segments)


def test_most_points_and_the_current_axes(model, faithful):
    plt.figure()
    artists = plot_density(model, faithful, max_points=30)
    assert artists.axes is plt.gca()
    assert len(artists.points[0].get_offsets()) == 30
    plt.close("all")


def test_several_features_are_refused(model):
    wide = GaussianMixture(1).fit(np.random.default_rng(0).normal(size=(20, 3)))
    with pytest.raises(ValueError, match="one or two features"):
        plot_density(wide, ax=Figure(), features=[0, 1, 2])
    with pytest.raises(ValueError, match="above 0 and below 1"):
        plot_density(model, ax=Figure(), probabilities=1.0)

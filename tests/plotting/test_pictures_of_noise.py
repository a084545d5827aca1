"""Pictures of mixtures with noise: its samples, its density, and its place in the legend."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from fastgmm import GaussianMixture
from fastgmm.plotting import plot_mixture
from fastgmm.plotting.style import NOISE, colour, marker


def mixture(d):
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(150, d)), rng.normal(size=(150, d)) + 8.0, rng.uniform(-8, 16, size=(60, d))])
    return GaussianMixture(2, noise=True, random_state=0).fit(X), X


def test_samples_of_noise_have_a_colour_and_a_marker_of_their_own():
    model, X = mixture(2)
    artists = plot_mixture(model, X, ax=Figure())
    of_noise = [points for points in artists.points if points.get_label() == "noise"]
    assert len(of_noise) == 1
    assert len(of_noise[0].get_offsets()) == (model.predict(X) == -1).sum() > 20
    assert to_hex(of_noise[0].get_facecolor()[0][:3]).upper() == colour(NOISE).upper()
    assert of_noise[0].get_linewidth()[0] > 0  # a cross is all lines
    assert marker(NOISE) not in {marker(i) for i in range(50)}
    assert {points.get_label() for points in artists.points} == {"component 0", "component 1", "noise"}


def test_the_density_of_the_mixture_has_it():
    model, X = mixture(1)
    artists = plot_mixture(model, X, ax=Figure())
    whole, *parts = artists.lines
    assert [line.get_label() for line in parts] == ["component 0", "component 1", "noise"]
    x = np.asarray(whole.get_xdata())
    inside = (x > model.noise_.low[0] + 0.1) & (x < model.noise_.high[0] - 0.1)
    np.testing.assert_allclose(
        np.asarray(whole.get_ydata())[inside], np.exp(model.score_samples(x[:, None]))[inside], rtol=1e-3
    )
    np.testing.assert_allclose(parts[2].get_ydata()[inside], model.noise_.weight / model.noise_.volume, rtol=1e-3)


@pytest.mark.parametrize("with_data", [True, False])
def test_a_grid_names_it(with_data):
    model, X = mixture(3)
    artists = plot_mixture(model, X if with_data else None, ax=Figure(figsize=(6, 6)))
    names = [text.get_text() for text in artists.texts[-1].get_texts()]
    assert names[-1] == f"noise: {model.noise_.weight:.2g}"
    assert len(names) == 3

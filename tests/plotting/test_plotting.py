"""Pictures: geometry against naive computations, what is drawn where, and what wrong input gets."""

from __future__ import annotations

import subprocess
import sys
import warnings
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from conftest import random_mixture
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import trapezoid
from scipy.stats import norm

import fastgmm
from fastgmm import GaussianMixture, plotting
from fastgmm.model.structures import STRUCTURES
from fastgmm.plotting import style
from fastgmm.plotting.mixtures import _ellipse

mpl.use("Agg")
from matplotlib import pyplot as plt

LAYOUTS = ("full", "tied", "diag", "spherical")


@pytest.fixture(autouse=True)
def no_figures_left() -> Any:
    plt.close("all")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def flowers(iris: Any) -> GaussianMixture:
    return GaussianMixture(3, random_state=0).fit(iris)


@pytest.fixture(scope="module")
def geyser(faithful: Any) -> GaussianMixture:
    return GaussianMixture(2, random_state=0).fit(faithful)


def known(layout: str, k: int = 3, d: int = 2) -> GaussianMixture:
    return GaussianMixture.from_parameters(*random_mixture(layout, k, d), covariance_type=layout)


def matrices(model: GaussianMixture) -> np.ndarray:
    """Covariances (k, d, d), written out for each layout."""
    k, d = model.means_.shape
    c = model.covariances_
    of = {
        "full": lambda i: c[i],
        "tied": lambda i: c,
        "diag": lambda i: np.diag(c[i]),
        "spherical": lambda i: c[i] * np.eye(d),
    }[STRUCTURES[model.covariance_type].layout.name]
    return np.array([of(i) for i in range(k)])


def distances(ellipse: Any, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Mahalanobis distances of points on an ellipse."""
    on_circle = np.linspace(0, 2 * np.pi, 40)
    points = ellipse.get_patch_transform().transform(np.column_stack([np.cos(on_circle), np.sin(on_circle)]))
    shift = points - mean
    return np.sqrt(np.einsum("ij,jk,ik->i", shift, np.linalg.inv(covariance), shift))


# --- ellipses ---


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ellipses_are_at_their_mahalanobis_distance(layout: str) -> None:
    model = known(layout)
    drawn = plotting.plot_mixture(model, ax=Figure(), n_std=(0.5, 1, 2.5))
    assert len(drawn.ellipses) == 3 * 3
    for i, ellipse in enumerate(drawn.ellipses):
        k, radius = i // 3, (0.5, 1, 2.5)[i % 3]
        assert_allclose(distances(ellipse, model.means_[k], matrices(model)[k]), radius, rtol=1e-9)
        assert_allclose(ellipse.get_edgecolor(), mpl.colors.to_rgba(style.colour(k)))
    for mean, ring in zip(model.means_, drawn.means, strict=True):
        assert_allclose(ring.get_offsets()[0], mean)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_every_structure_can_be_drawn(structure: str, faithful: Any) -> None:
    X = faithful[:, : 1 if STRUCTURES[structure].one_feature else 2]
    model = GaussianMixture(2, covariance_type=structure, random_state=0).fit(X)
    drawn = plotting.plot_mixture(model, X, ax=Figure(), n_std=2)
    if X.shape[1] == 1:
        spreads = np.sqrt(matrices(model)[:, 0, 0])
        assert_allclose(drawn.lines[1].get_ydata().max(), model.weights_[0] * norm.pdf(0) / spreads[0])
    else:
        for ellipse, mean, covariance in zip(drawn.ellipses, model.means_, matrices(model), strict=True):
            assert_allclose(distances(ellipse, mean, covariance), 2, rtol=1e-9)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_marginal_ellipses_of_a_grid(layout: str) -> None:
    model = known(layout, k=2, d=4)
    drawn = plotting.plot_mixture(model, ax=Figure(), features=[3, 0, 2], n_std=2)
    pairs = [(3, 0), (3, 2), (0, 2)]  # across and up, row by row
    assert len(drawn.ellipses) == len(pairs) * 2
    for i, ellipse in enumerate(drawn.ellipses):
        pair, k = list(pairs[i // 2]), i % 2
        covariance = matrices(model)[k][np.ix_(pair, pair)]
        assert_allclose(distances(ellipse, model.means_[k][pair], covariance), 2, rtol=1e-9)


@pytest.mark.parametrize("rho", [0.0, 0.5, -0.9])
def test_ellipses_of_features_of_very_different_scale(rho: float) -> None:
    a, c = 1e12, 1e-10  # numpy.linalg.eigh makes the smaller eigenvalue 0 or negative
    covariance = np.array([[a, rho * np.sqrt(a * c)], [rho * np.sqrt(a * c), c]])
    width, height, angle = _ellipse(covariance, 1.0)
    assert_allclose(width, 2 * np.sqrt(a), rtol=1e-12)
    assert_allclose(height, 2 * np.sqrt(c * (1 - rho**2)), rtol=1e-12)
    assert_allclose(np.tan(np.radians(angle)), rho * np.sqrt(c / a), rtol=1e-9, atol=0)


# --- points ---


def test_points_are_coloured_by_component_and_larger_where_uncertain(geyser: GaussianMixture, faithful: Any) -> None:
    drawn = plotting.plot_mixture(geyser, faithful, ax=Figure())
    labels, doubt = geyser.predict(faithful), 1 - geyser.predict_proba(faithful).max(axis=1)
    assert [points.get_label() for points in drawn.points] == ["component 0", "component 1"]
    for k, points in enumerate(drawn.points):
        assert_array_equal(points.get_offsets(), faithful[labels == k])
        assert_allclose(points.get_facecolor()[0, :3], mpl.colors.to_rgb(style.colour(k)))
        areas = points.get_sizes()
        assert_allclose(areas / areas.min(), (1 + 12 * doubt[labels == k]) / (1 + 12 * doubt[labels == k].min()))
    alike = plotting.plot_mixture(geyser, faithful, ax=Figure(), uncertainty=False)
    assert {area for points in alike.points for area in points.get_sizes()} == {14.0}


def test_stems_of_one_feature_are_as_long_as_uncertain(faithful: Any) -> None:
    X = faithful[:, 1:]
    model = GaussianMixture(2, random_state=0).fit(X)
    drawn = plotting.plot_mixture(model, X, ax=Figure())
    (scale,) = drawn.axes[0].child_axes
    for k, stems in enumerate(drawn.points):
        own = X[model.predict(X) == k]
        ends = np.array([path.vertices for path in stems.get_paths()])
        assert_array_equal(ends[:, 0, 0], own[:, 0])
        told = scale._functions[0](ends[:, 0, 1])  # what the axis on the right reads
        assert_allclose(told, 1 - model.predict_proba(own).max(axis=1), atol=1e-12)
    assert min(drawn.axes[0].get_yticks()) >= 0
    plain = plotting.plot_mixture(model, X, ax=Figure(), uncertainty=False)
    assert not plain.axes[0].child_axes
    assert len({path.vertices[0, 1] for stems in plain.points for path in stems.get_paths()}) == 1


def test_thinning_is_seeded(tmp_path: Any) -> None:
    X = fastgmm.datasets.make_mixture(3000, 2, 2, random_state=0).X
    model = GaussianMixture(2, random_state=0).fit(X)

    def drawn(data: Any = X, **options: Any) -> np.ndarray:
        artists = plotting.plot_mixture(model, data, ax=Figure(), **options)
        return np.concatenate([points.get_offsets() for points in artists.points])

    assert len(drawn()) == 3000
    first = drawn(max_points=200)
    assert len(np.unique(first, axis=0)) == 200
    assert {*map(tuple, first)} <= {*map(tuple, X)}
    assert_array_equal(first, drawn(max_points=200))
    assert not np.array_equal(first, drawn(max_points=200, random_state=1))
    stream = np.random.mtrand._rand  # NumPy's global one is the user's
    state = stream.get_state()[1].copy()
    drawn(max_points=200)
    assert_array_equal(state, stream.get_state()[1])

    np.save(tmp_path / "x.npy", X)
    for form in (np.load(tmp_path / "x.npy", mmap_mode="r"), tmp_path / "x.npy", fastgmm.chunks([X[:999], X[999:]])):
        assert_array_equal(first, drawn(form, max_points=200))


def test_weights_of_samples() -> None:
    X = np.concatenate([np.zeros((30, 1)), np.ones((10, 1)), np.full((5, 1), 2.0)]) + np.linspace(0, 0.5, 45)[:, None]
    weights = np.repeat([1.0, 3.0, 0.0], [30, 10, 5])
    model = GaussianMixture(2, random_state=0).fit(X, sample_weight=weights)
    drawn = plotting.plot_mixture(model, X, ax=Figure(), sample_weight=weights)
    heights, edges, _ = drawn.histograms[0].get_data()
    assert_allclose(heights, np.histogram(X[:40, 0], edges, weights=weights[:40], density=True)[0])
    assert sum(len(stems.get_paths()) for stems in drawn.points) == 40  # weight zero is absence


def test_data_frames_give_names_and_no_warning(iris: Any) -> None:
    frame = pd.DataFrame(iris, columns=fastgmm.datasets.load_iris().feature_names)
    model = GaussianMixture(2, random_state=0).fit(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = plotting.plot_mixture(model, frame, ax=Figure(), features=["petal_width", 0])
    (axes,) = drawn.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("petal_width", "sepal_length")
    given = plotting.plot_mixture(model, ax=Figure(), feature_names=list("abcd"), features=("d", 1))
    assert (given.axes[0].get_xlabel(), given.axes[0].get_ylabel()) == ("d", "b")


def test_float32_and_a_single_component(faithful: Any) -> None:
    model = GaussianMixture(1).fit(faithful.astype("f"))
    drawn = plotting.plot_mixture(model, faithful.astype("f"), ax=Figure())
    assert (len(drawn.points), len(drawn.ellipses)) == (1, 2)
    one = GaussianMixture(1).fit(faithful[:, :1])
    assert not plotting.plot_mixture(one, faithful[:, :1], ax=Figure()).axes[0].child_axes


def test_more_components_than_colours_differ() -> None:
    rng = np.random.default_rng(0)
    k = 30
    means = 10 * rng.normal(size=(k, 2))
    model = GaussianMixture.from_parameters(np.full(k, 1 / k), means, np.ones(k), covariance_type="spherical")
    assert len({(style.colour(i), style.marker(i)) for i in range(k)}) == k
    drawn = plotting.plot_mixture(model, means, ax=Figure())
    assert [text.get_text() for text in drawn.texts] == [str(i) for i in range(k)]
    assert len(drawn.points) == k


# --- densities ---


@pytest.mark.parametrize("layout", LAYOUTS)
def test_densities_are_those_of_scipy(layout: str) -> None:
    model = known(layout, k=3, d=3)
    drawn = plotting.plot_mixture(model, ax=Figure(), features=1)
    mixture, *parts = drawn.lines
    x = mixture.get_xdata()
    for k, part in enumerate(parts):
        spread = np.sqrt(matrices(model)[k][1, 1])
        expected = model.weights_[k] * norm.pdf(x, model.means_[k, 1], spread)
        assert_allclose(part.get_ydata(), expected, rtol=1e-10, atol=1e-300)
    assert_allclose(mixture.get_ydata(), sum(part.get_ydata() for part in parts), rtol=1e-12)
    assert trapezoid(mixture.get_ydata(), x) == pytest.approx(1, abs=5e-3)  # but for the tails beyond 3 deviations


def test_a_narrow_component_keeps_its_peak() -> None:
    model = GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [1.0]], [[100.0], [1e-8]], covariance_type="diag")
    drawn = plotting.plot_mixture(model, ax=Figure())
    assert drawn.lines[2].get_ydata().max() == pytest.approx(0.5 * norm.pdf(0) / 1e-4, rel=1e-6)


def test_histogram_has_area_one_and_few_bins_with_outliers(faithful: Any) -> None:
    X = np.append(faithful[:, 1], 1e9)[:, None]
    drawn = plotting.plot_mixture(GaussianMixture(2, random_state=0).fit(X), X, ax=Figure())
    heights, edges, _ = drawn.histograms[0].get_data()
    assert 9 <= len(heights) <= 100
    assert np.diff(edges) @ heights == pytest.approx(272 / 273)  # of those that are shown
    assert edges[-1] < 110
    same = np.ones((5, 1))
    model = GaussianMixture.from_parameters([1.0], [[1.0]], [[1.0]], covariance_type="diag")
    assert len(plotting.plot_mixture(model, same, ax=Figure()).histograms) == 1


# --- what part of the plane is shown ---


def groups() -> Any:
    """Two groups of 150 samples within a dozen units, and a sample far away."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(size=(150, 3)), [6, 2, 0] + rng.normal(size=(150, 3)), [[1e4, 1e4, 1e4]]])


@pytest.mark.parametrize("features", [[0], [0, 1], [0, 1, 2]])
@pytest.mark.parametrize("k", [2, 3])
def test_an_outlier_does_not_squash_the_rest(features: list[int], k: int) -> None:
    X = groups()
    model = GaussianMixture(k, random_state=0).fit(X)
    drawn = plotting.plot_mixture(model, X, ax=Figure(), features=features)
    for axes in drawn.axes:
        assert axes.get_xlim()[0] < X[:-1].min() + 3
        assert 2 < axes.get_xlim()[1] < 20
    far = int(model.predict(X[-1:])[0])
    words = [*(text.get_text() for text in drawn.texts if hasattr(text, "get_text"))]
    words += [text.get_title().get_text() for text in drawn.texts if hasattr(text, "get_title")]
    assert any(f"outside: 1 of 301 samples and component {far}" in word for word in words)


def test_ordinary_data_are_shown_to_the_last_sample(iris: Any) -> None:
    rng = np.random.default_rng(0)
    for X in (iris[:, :2], rng.normal(size=(5000, 2)), rng.exponential(size=(1000, 2))):
        drawn = plotting.plot_mixture(GaussianMixture(2, random_state=0).fit(X), X, ax=Figure())
        for (low, high), column in zip((drawn.axes[0].get_xlim(), drawn.axes[0].get_ylim()), X.T, strict=True):
            assert low < column.min() < column.max() < high
        assert len(drawn.texts) == 2  # the numbers, and nothing that is outside


def test_a_small_group_of_its_own_is_shown() -> None:
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(3000, 2)), 200 + rng.normal(size=(30, 2))])
    drawn = plotting.plot_mixture(GaussianMixture(2, random_state=0).fit(X), X, ax=Figure())
    assert drawn.axes[0].get_xlim()[1] > 200


def test_weights_say_where_the_bulk_of_the_data_is() -> None:
    X = groups()
    weights = np.where(np.arange(301) == 300, 1000.0, 1.0)
    drawn = plotting.plot_mixture(GaussianMixture(2, random_state=0).fit(X), X, ax=Figure(), sample_weight=weights)
    assert drawn.axes[0].get_xlim()[1] > 1e4


def test_without_data_a_far_component_of_little_weight_is_outside() -> None:
    model = GaussianMixture.from_parameters(
        [0.6, 0.399, 0.001], [[0, 0], [5, 5], [1e5, 0]], np.ones(3), covariance_type="VII"
    )
    drawn = plotting.plot_mixture(model, ax=Figure())
    assert drawn.axes[0].get_xlim()[1] < 20
    assert drawn.texts[-1].get_text() == "outside: component 2"  # type: ignore[attr-defined]


@pytest.mark.parametrize(("d", "n_crosses"), [(2, 3), (3, 9)])
def test_components_on_equal_samples_are_marked(d: int, n_crosses: int) -> None:
    """Of sizes 1, 3 and 1, with standard deviations of 0.001: the root of reg_covar."""
    X = np.array([[0, 0, 1], [3, 1, 2], [3, 1, 2], [3, 1, 2], [-2, 2, 0.5]])[:, :d]
    model = GaussianMixture(3, random_state=0).fit(X)
    assert np.sqrt(np.diagonal(model.covariances_, axis1=1, axis2=2)) == pytest.approx(1e-3)
    drawn = plotting.plot_mixture(model, X, ax=Figure())
    assert len(drawn.crosses) == n_crosses
    where = {tuple(cross.get_offsets()[0]) for cross in drawn.crosses[:3]}
    assert where == {*map(tuple, model.means_[:, :2])}
    assert plotting.plot_mixture(GaussianMixture(2).fit(groups()[:-1, :d]), ax=Figure()).crosses == []


def test_a_spike_does_not_set_the_height() -> None:
    X = np.concatenate([groups()[:300, 0], np.full(20, 2.0)])[:, None]
    model = GaussianMixture.from_parameters([0.47, 0.47, 0.06], [[0], [6], [2]], [1, 1, 1e-6], covariance_type="V")
    drawn = plotting.plot_mixture(model, X, ax=Figure())
    assert drawn.lines[3].get_ydata().max() > 20
    assert drawn.axes[0].get_ylim()[1] < 0.4


# --- where it is drawn ---


def test_a_grid_is_the_lower_triangle(flowers: GaussianMixture, iris: Any) -> None:
    figure = Figure()
    panels = figure.subplots(4, 4)
    drawn = plotting.plot_mixture(flowers, iris, ax=panels)
    assert drawn.axes == [panels[i, j] for i in range(4) for j in range(i + 1)]
    assert [axes.get_xlabel() for axes in panels[-1]] == ["x0", "x1", "x2", "x3"]
    assert [axes.get_ylabel() for axes in panels[:, 0]] == ["", "x1", "x2", "x3"]
    assert not any(panels[i, j].axison for i in range(4) for j in range(i + 1, 4))
    counts = {
        name: len(getattr(drawn, name)) for name in ("points", "ellipses", "means", "lines", "histograms", "texts")
    }
    assert counts == {"points": 18, "ellipses": 36, "means": 30, "lines": 16, "histograms": 4, "texts": 1}
    for j in range(4):
        assert len({panels[i, j].get_xlim() for i in range(j, 4)}) == 1
        low, high = panels[-1, j].get_xlim()
        assert low < iris[:, j].min() < iris[:, j].max() < high
    first = np.concatenate([points.get_offsets() for points in drawn.points[:3]])
    assert {*map(tuple, first)} == {*map(tuple, iris[:, :2])}


@pytest.mark.parametrize("features", [[0], [0, 1], [0, 1, 2]])
def test_no_figure_of_pyplot_where_ax_is_given(flowers: GaussianMixture, iris: Any, features: list[int]) -> None:
    plotting.plot_mixture(flowers, iris, ax=Figure(), features=features)
    plotting.plot_mixture(flowers, iris, ax=Figure().subfigures(1, 2)[1], features=features)
    assert plt.get_fignums() == []


def test_pyplots_current_axes_are_used_without_ax(flowers: GaussianMixture, geyser: GaussianMixture, iris: Any) -> None:
    _, (left, right) = plt.subplots(1, 2)
    plt.sca(left)
    assert plotting.plot_mixture(geyser).axes == [left]
    assert plotting.plot_mixture(geyser, ax=right).axes == [right]
    assert plt.gca() is left
    assert plotting.plot_convergence(geyser)[0].axes is left
    assert len(plt.get_fignums()) == 1
    drawn = plotting.plot_mixture(flowers, iris)
    assert len(plt.get_fignums()) == 2
    assert drawn.axes[0].figure.number == plt.get_fignums()[1]


def test_without_data_components_alone(geyser: GaussianMixture, flowers: GaussianMixture) -> None:
    drawn = plotting.plot_mixture(geyser, ax=Figure())
    assert (drawn.points, drawn.histograms, len(drawn.ellipses)) == ([], [], 4)
    low, high = drawn.axes[0].get_xlim()
    assert low < geyser.means_[:, 0].min() < geyser.means_[:, 0].max() < high
    assert len(plotting.plot_mixture(flowers, ax=Figure(), n_std=()).ellipses) == 0
    plotting.plot_mixture(flowers, ax=Figure())


def test_import_loads_no_matplotlib_and_a_given_ax_no_pyplot() -> None:
    code = (
        "import sys, fastgmm\n"
        "fastgmm.plotting.plot_mixture\n"
        "assert 'matplotlib' not in sys.modules\n"
        "from matplotlib.figure import Figure\n"
        "model = fastgmm.GaussianMixture.from_parameters([1.0], [[0.0, 1.0]], [[1.0, 1.0]], covariance_type='diag')\n"
        "fastgmm.plotting.plot_mixture(model, ax=Figure())\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_matplotlib_the_extra_is_named(geyser: GaussianMixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name, argument in [("mixture", geyser), ("criterion", selection()), ("convergence", geyser)]:
        with pytest.raises(ImportError, match=rf"plot_{name} needs.*'matplotlib'.*fastgmm\[plot\]"):
            getattr(plotting, f"plot_{name}")(argument)


# --- what wrong input gets ---


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"ax": 3},
            ValueError,
            r"ax must be an array of \(4, 4\) Axes or an empty Figure.* to show 4 features, got int",
        ),
        ({"ax": "axes"}, ValueError, r"array of \(4, 4\) Axes.*got Axes"),
        ({"ax": "axes", "features": [0, 1, 2]}, ValueError, r"array of \(3, 3\) Axes"),
        ({"ax": np.empty((2, 4), object)}, ValueError, r"got an array of shape \(2, 4\)"),
        ({"ax": np.empty((1, 1), object), "features": [0, 1]}, TypeError, r"ax must be an Axes.*got ndarray"),
        ({"ax": "full figure", "features": [0, 1]}, ValueError, "a Figure that has axes already"),
        ({"features": "x5"}, ValueError, r"feature must be one of 'x0', 'x1', 'x2', 'x3', got 'x5'; did you mean"),
        ({"features": [0, 4]}, ValueError, "the model has 4 features, so a feature must be below 4, got 4"),
        ({"features": [-1]}, ValueError, "feature must be an integer of at least 0"),
        ({"features": [0.5]}, TypeError, "feature must be an integer"),
        ({"features": [0, "x0"]}, ValueError, "one or more different features"),
        ({"features": []}, ValueError, "one or more different features"),
        ({"feature_names": ["a", "b"]}, ValueError, "feature_names must be 4 strings"),
        ({"feature_names": "abcd"}, ValueError, "feature_names must be 4 strings"),
        ({"n_std": 0}, ValueError, "n_std must be a number above 0"),
        ({"n_std": (1, np.inf)}, ValueError, "n_std must be"),
        ({"n_std": ["1"]}, TypeError, "n_std must be a number"),
        ({"uncertainty": 1}, TypeError, "uncertainty must be True or False"),
        ({"max_points": 0}, ValueError, "max_points must be an integer of at least 1"),
        ({"random_state": "a"}, ValueError, "random_state must be None"),
        ({"sample_weight": np.ones(150)}, ValueError, "sample_weight weighs samples, but X is None"),
    ],
)
def test_bad_arguments(flowers: GaussianMixture, options: dict, error: type[Exception], message: str) -> None:
    axes = Figure().subplots()
    if isinstance(options.get("ax"), str):
        options = {**options, "ax": axes if options["ax"] == "axes" else axes.figure}
    with pytest.raises(error, match=message):
        plotting.plot_mixture(flowers, **options)
    assert not axes.has_data()
    assert plt.get_fignums() == []


def test_bad_data_get_the_models_errors(flowers: GaussianMixture, iris: Any) -> None:
    figure = Figure()
    wrong = iris.copy()
    wrong[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"X contains NaN: X\[3, 1\]"):
        plotting.plot_mixture(flowers, wrong, ax=figure)
    with pytest.raises(ValueError, match="X has 2 features, but GaussianMixture is expecting 4"):
        plotting.plot_mixture(flowers, iris[:, :2], ax=figure, features=[0, 1])
    with pytest.raises(ValueError, match=r"sample_weight must have the shape \(150,\)"):
        plotting.plot_mixture(flowers, iris, ax=figure, sample_weight=[1.0])
    with pytest.raises(fastgmm.NotFittedError, match="not fitted yet"):
        plotting.plot_mixture(GaussianMixture(2), iris, ax=figure)
    with pytest.raises(TypeError, match="model must be a fitted GaussianMixture, got a ndarray"):
        plotting.plot_mixture(iris, ax=figure)  # type: ignore[arg-type]
    assert figure.axes == []  # nothing was drawn


def test_a_grid_of_very_many_features_is_asked_for() -> None:
    model = known("diag", k=2, d=9)
    with pytest.raises(ValueError, match=r"9 features, too many for one grid: choose some.*features=\[0, 1, 2\]"):
        plotting.plot_mixture(model, ax=Figure())
    assert len(plotting.plot_mixture(model, ax=Figure(), features=[8, 0]).ellipses) == 4


# --- criteria ---


def selection(**changes: Any) -> Any:
    bic = np.array([[50.0, 40.0, 45.0], [30.0, np.nan, 20.0], [35.0, 33.0, np.nan]])
    found = {
        "n_components": (1, 2, 3),
        "covariance_types": ("EEE", "VEV", "VVV"),
        "criterion": "bic",
        "bic": bic,
        "icl": bic + np.array([[0], [20], [1]]),
        "aic": np.full((3, 3), np.nan),
        "best_n_components": 2,
        "best_covariance_type": "VVV",
    }
    return SimpleNamespace(**{**found, **changes})


def test_criterion_has_a_line_for_each_structure_and_gaps() -> None:
    drawn = plotting.plot_criterion(selection(), ax=Figure())
    assert [line.get_label() for line in drawn.lines] == ["EEE", "VEV", "VVV"]
    assert len({line.get_marker() for line in drawn.lines}) == 3
    for j, line in enumerate(drawn.lines):
        assert_array_equal(line.get_xdata(), [1, 2, 3])
        assert_array_equal(line.get_ydata(), selection().bic[:, j])
    assert drawn.best.get_xydata().tolist() == [[2, 20]]
    assert drawn.best.get_label() == "best: VVV, 2"
    assert drawn.axes.yaxis_inverted()  # up is better
    assert "BIC" in drawn.axes.get_ylabel()
    assert [text.get_text() for text in drawn.legend.get_texts()] == ["EEE", "VEV", "VVV", "best: VVV, 2"]
    assert plt.get_fignums() == []


def test_criterion_of_another_kind_and_of_some_structures() -> None:
    axes = Figure().subplots()
    drawn = plotting.plot_criterion(selection(), ax=axes, criterion="icl", covariance_types=["VVV", "VEV"])
    assert [line.get_label() for line in drawn.lines] == ["VVV", "VEV"]
    assert drawn.best.get_xydata().tolist() == [[3, 34]]
    again = plotting.plot_criterion(selection(), ax=axes, covariance_types="VVV")
    assert axes.yaxis_inverted()  # still
    assert again.lines[0].get_marker() == drawn.lines[0].get_marker()
    other = plotting.plot_criterion(selection(), ax=Figure(), covariance_types=["EEE"])
    assert other.best.get_label() == "best: EEE, 2"


def test_criterion_of_unordered_sizes_and_many_structures() -> None:
    names = tuple(f"T{i}" for i in range(14))
    bic = np.arange(28.0).reshape(2, 14)
    changes = {"n_components": (5, 2), "covariance_types": names, "bic": bic, "best_covariance_type": "T0"}
    drawn = plotting.plot_criterion(selection(**changes, best_n_components=5), ax=Figure())
    assert drawn.lines[3].get_xydata().tolist() == [[2, 17], [5, 3]]
    assert drawn.best.get_xydata().tolist() == [[5, 0]]
    assert len({(line.get_color(), str(line.get_linestyle()), line.get_marker()) for line in drawn.lines}) == 14


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"criterion": "bci"},
            ValueError,
            "criterion must be one of 'bic', 'icl', 'aic', 'stability', got 'bci'; did you mean 'bic'",
        ),
        ({"covariance_types": ["VVW"]}, ValueError, "covariance type must be one of .* got 'VVW'; did you mean 'VVV'"),
        ({"covariance_types": []}, ValueError, "covariance_types is empty"),
        ({"criterion": "aic"}, ValueError, "nothing to draw: no model of EEE, VEV, VVV has a finite aic"),
        ({"ax": np.empty((1, 1), object)}, TypeError, "ax must be an Axes"),
    ],
)
def test_criterion_of_bad_arguments(options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        plotting.plot_criterion(selection(), **{"ax": Figure(), **options})


def test_criterion_of_what_is_no_selection(geyser: GaussianMixture) -> None:
    with pytest.raises(
        TypeError, match=r"a result of fastgmm\.select, got a GaussianMixture, which has no 'covariance_types'"
    ):
        plotting.plot_criterion(geyser, ax=Figure())  # type: ignore[arg-type]


# --- convergence ---


def test_convergence_draws_the_bounds(geyser: GaussianMixture, flowers: GaussianMixture) -> None:
    (line,) = plotting.plot_convergence(geyser, ax=Figure())
    assert_array_equal(line.get_ydata(), geyser.lower_bounds_)
    assert_array_equal(line.get_xdata(), np.arange(geyser.n_iter_) + 1)
    assert line.axes.get_legend() is None
    assert [x.get_label() for x in plotting.plot_convergence([geyser, flowers], ax=Figure())] == ["model 0", "model 1"]
    axes = Figure().subplots()
    lines = plotting.plot_convergence({"a": geyser, "b": flowers}, ax=axes)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    assert lines[0].get_color() != lines[1].get_color()
    assert plt.get_fignums() == []


def test_convergence_as_a_gap(faithful: Any) -> None:
    with pytest.warns(fastgmm.ConvergenceWarning):
        model = GaussianMixture(3, random_state=0, max_iter=5, tol=0).fit(faithful)
    (line,) = plotting.plot_convergence(model, ax=Figure(), gap=True)
    bounds = np.array(model.lower_bounds_)
    assert_allclose(line.get_ydata(), (bounds.max() - bounds)[:-1])
    assert line.axes.get_yscale() == "log"
    assert line.get_fillstyle() == "none"  # not converged


def test_convergence_of_a_stream_ends_at_its_last_batch() -> None:
    model = known("full")
    for _ in range(4):
        model.partial_fit(known("full").sample(50)[0])
    model.lower_bounds_ = model.lower_bounds_[-3:]  # as of a stream longer than what is kept
    assert_array_equal(plotting.plot_convergence(model, ax=Figure())[0].get_xdata(), [2, 3, 4])


def test_convergence_of_bad_arguments(geyser: GaussianMixture) -> None:
    with pytest.raises(ValueError, match="new has no iterations to draw: its lower_bounds_ has length 0"):
        plotting.plot_convergence({"old": geyser, "new": known("full")}, ax=Figure())
    one = known("full")
    one.lower_bounds_, one.n_iter_ = [-1.0], 1
    with pytest.raises(ValueError, match="model 0 has no two different values to draw"):
        plotting.plot_convergence(one, ax=Figure(), gap=True)
    with pytest.raises(ValueError, match="models is empty"):
        plotting.plot_convergence([], ax=Figure())
    with pytest.raises(fastgmm.NotFittedError, match="not fitted yet"):
        plotting.plot_convergence(GaussianMixture(), ax=Figure())
    with pytest.raises(TypeError, match="models must be fitted models, got a str"):
        plotting.plot_convergence("model", ax=Figure())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="gap must be True or False"):
        plotting.plot_convergence(geyser, ax=Figure(), gap=1)  # type: ignore[arg-type]

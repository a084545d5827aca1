"""The density of a mixture in one or two features: contours, and regions of the highest density."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from fastgmm import _validation
from fastgmm._compat import optional
from fastgmm.estimators.derived import feature_indices
from fastgmm.estimators.gaussian_mixture import GaussianMixture
from fastgmm.estimators.mixture import FittedMixture
from fastgmm.plotting.style import DARK, GREY, colour, panels_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import Collection, PolyCollection
    from matplotlib.contour import QuadContourSet
    from matplotlib.figure import FigureBase
    from matplotlib.lines import Line2D
    from matplotlib.patches import StepPatch

Float = NDArray[np.float64]

#: Points of the mixture that masses of regions are counted with, in all; and places along an axis.
_POINTS, _PLACES = 40_000, 161
#: Standard deviations to which components are drawn, and the least weight of those that are.
_REACH, _MATTERS = 4.0, 1e-3


@dataclass(frozen=True)
class DensityArtists:  # numpydoc ignore=PR01
    """Hold what `plot_density` drew, and the levels of its regions.

    Attributes
    ----------
    axes : Axes
        The axes drawn into.
    levels : ndarray of float64
        Densities at the borders of the regions, ascending: {x : density(x) >= level} has the probability that was asked for.
    lines : list of Line2D
        The density of one feature.
    regions : list of PolyCollection, or of one QuadContourSet
        Regions of one feature for each probability; the filled contours of two.
    contours : list of QuadContourSet
        The borders of the regions of two features.
    points : list of PathCollection
        Samples of two features.
    histograms : list of StepPatch
        Samples of one feature.

    See Also
    --------
    plot_density : The function that draws.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import fastgmm
    >>> from fastgmm.datasets import load_faithful
    >>> model = fastgmm.GaussianMixture(2, random_state=0).fit(load_faithful().data)
    >>> artists = fastgmm.plotting.plot_density(model, ax=Figure())
    >>> len(artists.levels), len(artists.regions), len(artists.points)
    (3, 1, 0)
    """

    axes: Axes
    levels: Float
    lines: list[Line2D] = field(default_factory=list)
    regions: list[PolyCollection | QuadContourSet] = field(default_factory=list)
    contours: list[QuadContourSet] = field(default_factory=list)
    points: list[Collection] = field(default_factory=list)
    histograms: list[StepPatch] = field(default_factory=list)


def plot_density(
    model: FittedMixture,
    X: Any = None,
    *,
    ax: Axes | FigureBase | None = None,
    features: int | str | Sequence[int | str] | None = None,
    probabilities: float | Sequence[float] = (0.5, 0.8, 0.95),
    sample_weight: ArrayLike | None = None,
    max_points: int = 5000,
    random_state: Any = 0,
) -> DensityArtists:
    """Draw the density of a fitted mixture in one or two features, with its regions of the highest density.

    The region of probability p is the smallest one that has this probability under the mixture: all places whose density is
    above a level [1]_. Of a model of several features it is that of the marginal.

    Parameters
    ----------
    model : GaussianMixture or BayesianGaussianMixture
        A fitted model.
    X : array-like of shape (n, d), path, fastgmm.chunks(...), or Dask collection, optional
        Data as in ``model.predict``: one feature is drawn as a histogram, two as points.
    ax : matplotlib.axes.Axes, or Figure or SubFigure without axes, optional
        Target of the drawing. By default pyplot's current axes.
    features : int or str, or sequence of one or two of these, optional
        Features to show, by index or name. By default the first two, or the only one.
    probabilities : float or sequence of float, default=(0.5, 0.8, 0.95)
        Probabilities of the regions, above 0 and below 1.
    sample_weight : array-like of shape (n,), optional
        Weights of the histogram; samples of weight zero are left out.
    max_points : int, default=5000
        Maximum number of points that are drawn; of more samples, this many chosen at random.
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator, default=0
        Source of that choice.

    Returns
    -------
    DensityArtists
        Everything that was drawn, and the levels of the regions.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    NotFittedError
        If the model is not fitted.
    ValueError, TypeError
        If the model lacks features or refuses the data, or noise lies in a box that is not along the axes.

    See Also
    --------
    plot_mixture : Draw the components, in any number of features.
    GaussianMixture.marginal : The mixture of some of the features.

    Notes
    -----
    Levels come from 40 000 points that are spread evenly over the components, so that probabilities of regions are right to
    about 0.2 %.

    References
    ----------
    .. [1] R. J. Hyndman, "Computing and graphing highest density regions", The American Statistician 50(2), 1996, 120-126.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import fastgmm
    >>> from fastgmm.datasets import load_faithful
    >>> X = load_faithful().data
    >>> model = fastgmm.GaussianMixture(2, random_state=0).fit(X)
    >>> artists = fastgmm.plotting.plot_density(model, X, ax=Figure(), features=1, probabilities=[0.5, 0.9])
    >>> len(artists.lines), len(artists.regions), len(artists.histograms)
    (1, 2, 1)
    """
    optional("matplotlib", "plot_density")
    if not isinstance(model, FittedMixture):
        raise TypeError(f"model must be a fitted GaussianMixture, got a {type(model).__name__}")
    model._check_is_fitted()
    chosen = _chosen(model, features)
    shares = _probabilities(probabilities)
    most = _validation.check_integer("max_points", max_points, 1)
    rng = _validation.check_random_state(random_state)
    if X is None and sample_weight is not None:
        raise ValueError("sample_weight weighs samples, but X is None: pass X as well")
    axes_of = panels_of(ax, 1, "plot_density")
    source = None if X is None else model._source(X, sample_weight).for_start(rng)
    samples = None if source is None else np.asarray(source.X[:, chosen], np.float64)
    weights = None if source is None else source.weights
    mixture = model.marginal(chosen.tolist())
    names = [
        str(name) for name in vars(mixture).pop("feature_names_in_", [f"x{j}" for j in chosen])
    ]  # points have none
    artists = DensityArtists(axes_of(), _levels(mixture, shares))
    if len(chosen) == 1:
        _draw_one(mixture, artists, samples, weights)
    else:
        if samples is not None and len(samples) > most:
            samples = samples[np.sort(rng.choice(len(samples), most, replace=False))]
        _draw_two(mixture, artists, samples)
    artists.axes.set(xlabel=names[0], ylabel="density" if len(chosen) == 1 else names[1])
    return artists


def _chosen(model: FittedMixture, features: Any) -> NDArray[np.intp]:
    if features is None:
        return np.arange(min(2, len(model.means_[0])))
    chosen = feature_indices(model, features)
    if len(chosen) > 2:
        raise ValueError(
            f"plot_density shows one or two features, got {features!r}; plot_mixture shows more, in a grid"
        )
    return chosen


def _probabilities(value: Any) -> Float:
    each = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    shares = [_validation.check_within("probabilities", one, 0.0, 1.0) for one in each]
    if not shares or max(shares) == 1.0:
        raise ValueError(f"probabilities must be above 0 and below 1, one or more of them, got {value!r}")
    return np.unique(shares)


def _levels(mixture: GaussianMixture, shares: Float) -> Float:
    """Return the densities, ascending, above which the mixture has these shares of its probability."""
    points, weights = _spread(mixture)
    density = mixture.score_samples(points)
    order = np.argsort(-density)
    reached = np.cumsum(weights[order])
    rows = np.searchsorted(reached, shares * reached[-1])
    return np.unique(np.exp(density[order][rows]))


def _spread(mixture: GaussianMixture) -> tuple[Float, Float]:
    """Return points (n, m), evenly spread over each component by a lattice, and their weights (n,).

    The lattice is that of the plastic number in two dimensions and of the golden one in one (Roberts 2018), turned into normal
    variables one by one.
    """
    params = mixture._params(drawn=True)
    k, m = params.means.shape
    n = max(500, _POINTS // params.n_densities)
    root = 1.618033988749895 if m == 1 else 1.324717957244746
    even = np.modf(0.5 + np.arange(1, n + 1)[:, None] * root ** -np.arange(1.0, m + 1))[0]
    lower = np.linalg.cholesky(params.layout.matrices(params.covariances, k, m))
    points = (params.means[:, None] + np.einsum("kij,nj->kni", lower, ndtri(even))).reshape(-1, m)
    weights = np.repeat(params.weights / n, n)
    if params.noise is not None:
        low, high = params.noise.low, params.noise.high
        points = np.vstack([points, (low + even * (high - low)) @ params.noise.axes.T])
        weights = np.append(weights, np.full(n, params.noise.weight / n))
    return points, weights


def _places(mixture: GaussianMixture, j: int, samples: Float | None) -> Float:
    """Return places along feature j, closer together about narrow components."""
    params = mixture._params(drawn=True)
    means, spreads = params.means[:, j], np.sqrt(params.variances[:, j])
    shown = params.weights >= min(_MATTERS, float(params.weights.max()))
    low, high = (means - _REACH * spreads)[shown].min(), (means + _REACH * spreads)[shown].max()
    if samples is not None:
        low, high = min(low, samples[:, j].min()), max(high, samples[:, j].max())
    narrow = shown & (spreads < (high - low) / _PLACES * 4.0)
    near = (means[narrow, None] + spreads[narrow, None] * np.linspace(-4.0, 4.0, 17)).ravel()
    return np.unique(np.concatenate([np.linspace(low, high, _PLACES * (1 if mixture.n_features_in_ > 1 else 4)), near]))


def _draw_one(
    mixture: GaussianMixture, artists: DensityArtists, samples: Float | None, weights: NDArray | None
) -> None:
    axes, x = artists.axes, _places(mixture, 0, samples)
    density = _densities(mixture, x[:, None])
    if samples is not None:
        heights, edges = np.histogram(
            samples[:, 0], bins=min(100, max(10, int(np.sqrt(len(samples))))), weights=weights
        )
        heights = heights / (heights.sum() * np.diff(edges))
        artists.histograms.append(axes.stairs(heights, edges, fill=True, color=GREY, zorder=0))
    for level in artists.levels:
        inside = density >= level
        artists.regions.append(axes.fill_between(x, density, where=inside, color=colour(0), alpha=0.22, lw=0, zorder=1))
    artists.lines.extend(axes.plot(x, density, color=DARK, lw=1.2, zorder=2))
    axes.set_ylim(bottom=0.0)


def _draw_two(mixture: GaussianMixture, artists: DensityArtists, samples: Float | None) -> None:
    axes = artists.axes
    x, y = (_places(mixture, j, samples) for j in range(2))
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    density = _densities(mixture, grid).reshape(len(y), len(x))
    levels = artists.levels
    top = max(float(density.max()), float(levels[-1])) * (1 + 1e-9)
    shades = [(*_rgb(), opacity) for opacity in np.linspace(0.15, 0.6, len(levels))]
    style: dict[str, Any] = {"colors": shades, "zorder": 1}
    artists.regions.append(axes.contourf(x, y, density, levels=[*levels, 2.0 * top], **style))
    artists.contours.append(axes.contour(x, y, density, levels=levels, colors=[DARK], linewidths=0.8, zorder=2))
    if samples is not None:
        opacity = float(np.clip(60 / np.sqrt(len(samples)), 0.25, 0.6))
        artists.points.append(
            axes.scatter(samples[:, 0], samples[:, 1], s=6, color=DARK, alpha=opacity, linewidth=0, zorder=3)
        )


def _rgb() -> tuple[float, float, float]:
    red, green, blue = (int(colour(0)[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def _densities(mixture: GaussianMixture, points: Float) -> Float:
    found: Float = np.exp(mixture.score_samples(points).astype(np.float64))
    return found

"""Figures of a fitted mixture and its view of data: in one feature, in two, and as a pair grid."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import _validation
from fastgmm._compat import optional
from fastgmm.data.source import ArraySource
from fastgmm.em import evaluate
from fastgmm.estimators.mixture import FittedMixture
from fastgmm.model.noise import Noise
from fastgmm.model.params import Params
from fastgmm.plotting.style import DARK, GREY, LINES, NOISE, colour, line_style, marker, panels_of

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.collections import Collection
    from matplotlib.figure import FigureBase
    from matplotlib.lines import Line2D
    from matplotlib.patches import Ellipse, StepPatch

Float = NDArray[np.float64]
Limits = tuple[float, float]

#: Features that a pair grid shows by default.
MOST_FEATURES = 8
_BINS = 100
_MOST_RADIUS = 100.0
_TAIL = 3.0  # standard deviations to which densities are drawn
#: At most this many times the range of what matters is shown on either side of it; 8 standard deviations of a normal distribution.
_REACH = 2.0
#: A component of this weight, or of this many samples, is always shown.
_MATTERS, _MANY = 0.02, 10
#: A component gets a cross if its standard deviations are below this share of the figure.
_TINY = 0.01


@dataclass(frozen=True)
class MixtureArtists:  # numpydoc ignore=PR01
    """Hold what `plot_mixture` drew: each list is ordered by panel, and within a panel by component.

    Attributes
    ----------
    axes : list of Axes
        The axes drawn into: one, or for a pair grid the lower triangle with the diagonal, row by row.
    points : list of PathCollection, of LineCollection in one dimension
        Samples of each component that is the most probable one of any.
    ellipses : list of Ellipse
        Ellipses of each component, one for each of `n_std`.
    means : list of PathCollection, of LineCollection in one dimension
        The mean of each component.
    lines : list of Line2D
        Densities of one feature: of the mixture, and of each component times its weight.
    histograms : list of StepPatch
        Histograms of single features.
    texts : list of Artist
        Numbers of the components at their means, the legend of a pair grid, and a note on samples outside the figure, if any.
    crosses : list of PathCollection
        Crosses at the means of components that are too small to be seen, panel by panel.

    See Also
    --------
    plot_mixture : The function that draws.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import fastgmm
    >>> from fastgmm.datasets import load_faithful
    >>> model = fastgmm.GaussianMixture(2, random_state=0).fit(load_faithful().data)
    >>> artists = fastgmm.plotting.plot_mixture(model, ax=Figure(), n_std=[1, 2, 3])
    >>> len(artists.axes), len(artists.ellipses), len(artists.means)
    (1, 6, 2)
    """

    axes: list[Axes] = field(default_factory=list)
    points: list[Collection] = field(default_factory=list)
    ellipses: list[Ellipse] = field(default_factory=list)
    means: list[Collection] = field(default_factory=list)
    lines: list[Line2D] = field(default_factory=list)
    histograms: list[StepPatch] = field(default_factory=list)
    texts: list[Artist] = field(default_factory=list)
    crosses: list[Collection] = field(default_factory=list)


class _Marginal(NamedTuple):
    """The mixture in the m features shown: weights (k,), means (k, m), covariances (k, m, m); names and indices of features."""

    weights: Float
    means: Float
    covariances: Float
    names: tuple[str, ...]
    features: tuple[int, ...]
    noise: Noise | None = None
    needed: NDArray[np.bool_] | bool = True  # (k,), which components hold a sample

    def of(self, *which: int) -> _Marginal:
        index = np.array(which)
        covariances = self.covariances[:, index[:, None], index]
        names, features = tuple(self.names[j] for j in which), tuple(self.features[j] for j in which)
        return _Marginal(self.weights, self.means[:, index], covariances, names, features, self.noise, self.needed)

    @property
    def n_densities(self) -> int:
        """Return the number of components, noise included."""
        return len(self.weights) + (self.noise is not None)


class _Shown(NamedTuple):
    """Samples in the m features shown.

    columns : all samples at hand, for histograms; weights : theirs, or None; points : (p, m), those drawn; labels : (p,)
    their most probable components, -1 for noise; uncertainty : (p,), 1 minus the probability of these
    """

    columns: list[Float]
    weights: NDArray | None
    points: Float
    labels: NDArray[np.int64]
    uncertainty: Float

    def of(self, *which: int) -> _Shown:
        return self._replace(columns=[self.columns[j] for j in which], points=self.points[:, which])


def plot_mixture(
    model: FittedMixture,
    X: Any = None,
    *,
    ax: Axes | FigureBase | ArrayLike | None = None,
    features: int | str | Sequence[int | str] | None = None,
    feature_names: Sequence[str] | None = None,
    sample_weight: ArrayLike | None = None,
    uncertainty: bool = True,
    n_std: float | Sequence[float] = (1.0, 2.0),
    max_points: int = 5000,
    random_state: Any = 0,
) -> MixtureArtists:
    """Draw a fitted mixture, and the samples by component.

    One feature: a histogram, the density of the mixture, that of each component times its weight, and below the axis a stem
    for each sample, whose length is its uncertainty. Two features: samples in the colour of their most probable component,
    larger if more uncertain, and the components as ellipses with their numbers at the means. More: a pair grid, with the
    marginal ellipses in the lower triangle and the marginal densities on the diagonal.

    Parameters
    ----------
    model : GaussianMixture or BayesianGaussianMixture
        A fitted model.
    X : array-like of shape (n, d), path, fastgmm.chunks(...), or Dask collection, optional
        Data as in ``model.predict``, with all d features; samples with missing values are not drawn. Without data only the
        components are drawn.
    ax : matplotlib.axes.Axes, Figure, SubFigure, or array of (m, m) Axes, optional
        Target of the drawing: Axes for one or two features, an array of them for a grid of m; a figure without axes gets
        these. By default pyplot's current axes, or for a grid a new pyplot figure.
    features : int or str, or sequence of these, optional
        Features to show, by index or name, in this order. By default all, if there are at most 8.
    feature_names : sequence of d str, optional
        Names of the features, if the model has none (`feature_names_in_`) or to show others.
    sample_weight : array-like of shape (n,), optional
        Weights as in `fit`; histograms are weighted with them, and samples of weight zero are left out.
    uncertainty : bool, default=True
        Whether the sizes of points and lengths of stems show the uncertainty.
    n_std : float or sequence of float, default=(1.0, 2.0)
        Mahalanobis radii r of the ellipses ``(x - mean)^T covariance^-1 (x - mean) = r^2``. A component of two features has
        the probability 1 - exp(-r^2 / 2) inside: 39 % and 86 % for 1 and 2. Single features have no ellipses.
    max_points : int, default=5000
        Maximum number of samples that are drawn one by one; of more, this many are chosen at random without regard to weights.
        Histograms are of all samples; for data larger than memory they are of the 64 MiB that a start would be found from.
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator, default=0
        Source of that random choice.

    Returns
    -------
    MixtureArtists
        Everything that was drawn.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    NotFittedError
        If the model is not fitted.
    ValueError, TypeError
        If ``model.predict`` refuses the data, the model does not have the features, or the axes do not suit.

    See Also
    --------
    plot_classification : The same without uncertainty.
    plot_density : The density of one or two features.

    Notes
    -----
    Uncertainty is 1 minus the probability of the most probable component: from 0 to 1 - 1/k. It and the component are
    computed from all features, whichever are shown. Samples of noise are grey crosses; in densities of a single feature noise
    is a grey line.

    The axes show the bulk of the data and the components that hold 2 % of it or 10 samples. Samples and components far enough
    away to hide everything else are left out of the figure, which says how many. Components of a `BayesianGaussianMixture`
    that hold less than one sample have no ellipse in two features. A component whose standard deviations are
    below a hundredth of the figure, such as one on equal samples, gets a cross of dashed lines. Densities that narrow do not
    set the height of a figure.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import fastgmm
    >>> from fastgmm.datasets import load_iris
    >>> iris = load_iris()
    >>> model = fastgmm.GaussianMixture(3, random_state=0).fit(iris.data)
    >>> figure = Figure(figsize=(8, 8))
    >>> artists = fastgmm.plotting.plot_mixture(model, iris.data, ax=figure, feature_names=iris.feature_names)
    >>> len(artists.axes)  # the lower triangle of 4 x 4 panels
    10
    """
    optional("matplotlib", "plot_mixture")
    if not isinstance(model, FittedMixture):
        raise TypeError(f"model must be a fitted GaussianMixture, got a {type(model).__name__}")
    model._check_is_fitted()
    params = model._params(drawn=True)
    names = _names(model, params.means.shape[1], feature_names)
    chosen = _features(features, names)
    radii = _radii(n_std)
    sized = _validation.check_bool("uncertainty", uncertainty)
    most = _validation.check_integer("max_points", max_points, 1)
    rng = _validation.check_random_state(random_state)
    if X is None and sample_weight is not None:
        raise ValueError("sample_weight weighs samples, but X is None: pass X as well")
    panels = panels_of(ax, len(chosen), "plot_mixture")
    shown = None if X is None else _look(model, params, X, sample_weight, chosen, most, rng)
    mixture = _marginal(params, chosen, names)._replace(needed=_populated(model))
    artists = MixtureArtists()
    if len(chosen) == 1:
        _draw_one(panels(), mixture, shown, sized, artists)
    elif len(chosen) == 2:
        axes = panels()
        limits = [_limits(mixture, j, shown, max(radii, default=_TAIL)) for j in range(2)]
        _draw_two(axes, mixture, shown, sized, radii, limits, artists, numbered=True)
        axes.set(xlabel=mixture.names[0], ylabel=mixture.names[1])
        _tell_outside(axes, _outside(mixture, shown, limits), artists)
    else:
        _draw_grid(panels(), mixture, shown, sized, radii, artists)
    return artists


def plot_classification(model: FittedMixture, X: Any, **options: Any) -> MixtureArtists:
    """Draw samples in the colour of their most probable component, all of one size, and the components.

    The figure is that of `plot_mixture` without uncertainty.

    Parameters
    ----------
    model : GaussianMixture or BayesianGaussianMixture
        A fitted model.
    X : array-like of shape (n, d), path, fastgmm.chunks(...), or Dask collection
        Samples as in ``model.predict``.
    **options
        Options of `plot_mixture`.

    Returns
    -------
    MixtureArtists
        Everything that was drawn.

    Raises
    ------
    ImportError, ValueError, TypeError
        As `plot_mixture`, and ValueError if X is None.

    See Also
    --------
    plot_uncertainty : Larger points where the component is less certain.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import fastgmm
    >>> from fastgmm.datasets import load_faithful
    >>> X = load_faithful().data
    >>> model = fastgmm.GaussianMixture(2, random_state=0).fit(X)
    >>> len(fastgmm.plotting.plot_classification(model, X, ax=Figure()).points)
    2
    """
    return plot_mixture(model, _needed(X, "plot_classification"), **({"uncertainty": False} | options))


def plot_uncertainty(model: FittedMixture, X: Any, **options: Any) -> MixtureArtists:
    """Draw samples in the colour of their most probable component, the larger the less certain it is, and the components.

    The figure is that of `plot_mixture`; uncertainty is 1 minus the probability of the most probable component.

    Parameters
    ----------
    model : GaussianMixture or BayesianGaussianMixture
        A fitted model.
    X : array-like of shape (n, d), path, fastgmm.chunks(...), or Dask collection
        Samples as in ``model.predict``.
    **options
        Options of `plot_mixture`.

    Returns
    -------
    MixtureArtists
        Everything that was drawn.

    Raises
    ------
    ImportError, ValueError, TypeError
        As `plot_mixture`, and ValueError if X is None.

    See Also
    --------
    plot_classification : Points of one size.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import fastgmm
    >>> from fastgmm.datasets import load_faithful
    >>> X = load_faithful().data
    >>> model = fastgmm.GaussianMixture(2, random_state=0).fit(X)
    >>> artists = fastgmm.plotting.plot_uncertainty(model, X, ax=Figure())
    >>> areas = artists.points[0].get_sizes()
    >>> bool(areas.max() > areas.min())
    True
    """
    return plot_mixture(model, _needed(X, "plot_uncertainty"), **({"uncertainty": True} | options))


def _needed(X: Any, function: str) -> Any:
    if X is None:
        raise ValueError(
            f"{function} draws samples, and X is None: pass samples, or call plot_mixture for the components alone"
        )
    return X


def _names(model: FittedMixture, d: int, given: Sequence[str] | None) -> tuple[str, ...]:
    if given is None:
        return tuple(map(str, getattr(model, "feature_names_in_", [f"x{j}" for j in range(d)])))
    named = isinstance(given, Sequence | np.ndarray) and not isinstance(given, str) and len(given) == d
    if not named or not all(isinstance(name, str) for name in given):
        raise ValueError(f"feature_names must be {d} strings, one for each feature of the model, got {given!r}")
    return tuple(given)


def _features(features: Any, names: tuple[str, ...]) -> list[int]:
    """Return the indices of the features to show."""
    d = len(names)
    if features is None:
        if d > MOST_FEATURES:
            raise ValueError(
                f"the model has {d} features, too many for one grid: choose some of them, such as features=[0, 1, 2]"
            )
        return list(range(d))
    chosen = []
    single = isinstance(features, (str, numbers.Integral))
    if not single and not isinstance(features, Iterable):
        raise TypeError(f"features must be None, an index or a name, or several of them, got {features!r}")
    for feature in [features] if single else list(features):
        if isinstance(feature, str):
            chosen.append(names.index(_validation.check_choice("feature", feature, names)))
        elif _validation.check_integer("feature", feature, 0) < d:
            chosen.append(int(feature))
        else:
            raise ValueError(f"the model has {d} features, so a feature must be below {d}, got {feature}")
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"features must be one or more different features, got {features!r}")
    return chosen


def _radii(n_std: Any) -> list[float]:
    each = [n_std] if isinstance(n_std, (numbers.Real, str)) or not isinstance(n_std, Iterable) else list(n_std)
    return sorted(_validation.check_within("n_std", radius, 0.0, _MOST_RADIUS) for radius in each)


def _marginal(params: Params, features: list[int], names: tuple[str, ...]) -> _Marginal:
    k = len(params.weights)
    index = np.array(features)
    matrices = params.layout.marginal(params.covariances, index, k)
    shown = tuple(names[j] for j in features)
    return _Marginal(params.weights, params.means[:, index], matrices, shown, tuple(features), params.noise)


def _look(
    model: FittedMixture,
    params: Params,
    X: Any,
    sample_weight: Any,
    features: list[int],
    max_points: int,
    rng: np.random.RandomState,
) -> _Shown:
    source = _complete(model._source(X, sample_weight).for_start(rng))
    n = source.n_samples
    rows = np.arange(n) if n <= max_points else np.sort(rng.choice(n, max_points, replace=False))
    points = source.X[rows]
    resp = evaluate.responsibilities(ArraySource(points), params, model.n_threads)
    return _Shown(
        [np.asarray(source.X[:, j], np.float64) for j in features],
        source.weights,
        points[:, features].astype(np.float64),
        np.where(resp.argmax(axis=1) < len(params.weights), resp.argmax(axis=1), -1),
        1.0 - resp.max(axis=1).astype(np.float64),
    )


# --- one feature ---


def _draw_one(axes: Axes, mixture: _Marginal, shown: _Shown | None, sized: bool, artists: MixtureArtists) -> None:
    limits = _limits(mixture, 0, shown, _TAIL)
    top = _draw_density(axes, mixture, shown, limits, artists)
    for k, line in enumerate(artists.lines[1 : 1 + len(mixture.weights)]):
        _number(axes, k, mixture.means[k, 0], 0.5 * min(float(np.max(line.get_ydata())), top), artists)
    axes.set(xlabel=mixture.names[0], ylabel="density", xlim=limits)
    _tell_outside(axes, _outside(mixture, shown, [limits]), artists)
    if shown is None:
        axes.set_ylim(0.0, 1.05 * top)
        return
    _draw_stems(axes, shown, mixture.n_densities, sized, top, artists)


def _draw_density(
    axes: Axes, mixture: _Marginal, shown: _Shown | None, limits: Limits, artists: MixtureArtists
) -> float:
    """Draw densities of a single feature, and a histogram behind them; return the height that shows them.

    That is the highest value. Components so narrow that nothing else would be seen count only with their part of the histogram.
    """
    artists.axes.append(axes)
    means, spreads = mixture.means[:, 0], np.sqrt(mixture.covariances[:, 0, 0])
    low, high = limits
    # also around each component, so that no peak falls between two places, however narrow it is
    near = (means[:, None] + spreads[:, None] * np.linspace(-4, 4, 65)).ravel()
    x = np.unique(np.concatenate([np.linspace(low, high, 201), near[(near > low) & (near < high)]]))
    z = (x - means[:, None]) / spreads[:, None]
    parts = mixture.weights[:, None] * np.exp(-0.5 * z**2) / (math.sqrt(2 * math.pi) * spreads[:, None])
    wide = spreads >= _TINY * (high - low)
    top = float(parts[wide].sum(axis=0).max()) if wide.any() else 0.0
    if shown is not None:
        (column,) = shown.columns
        inside = (column >= low) & (column <= high)
        weights = np.ones(len(column)) if shown.weights is None else shown.weights
        own = mixture.weights[wide]
        n_bins = _n_bins(column[inside], float(own @ spreads[wide] / own.sum()) if wide.any() else math.inf)
        heights, edges = np.histogram(column[inside], n_bins, weights=weights[inside])
        heights = heights / (weights.sum(dtype=np.float64) * np.diff(edges))  # those outside count as well
        artists.histograms.append(axes.stairs(heights, edges, fill=True, color=GREY, zorder=0))
        top = max(top, float(heights.max()))
    if top == 0:
        top = float(parts.sum(axis=0).max()) or 1.0
    whole = parts.sum(axis=0)
    if mixture.noise is not None:
        of_noise = mixture.noise.weight * mixture.noise.marginal_density(mixture.features[0], x)
        whole = whole + of_noise
    artists.lines.extend(axes.plot(x, whole, color=DARK, linewidth=1.6, zorder=3, label="mixture"))
    for k, part in enumerate(parts):
        (line,) = axes.plot(x, part, color=colour(k), linestyle=line_style(k), zorder=4, label=f"component {k}")
        line.set_linewidth(1.4)
        artists.lines.append(line)
        peak = mixture.weights[k] / (math.sqrt(2 * math.pi) * spreads[k])
        artists.means.append(axes.vlines(means[k], 0.0, peak, color=colour(k), linewidth=0.9, linestyle=":", zorder=2))
    if mixture.noise is not None:
        artists.lines.extend(axes.plot(x, of_noise, color=colour(NOISE), linewidth=1.4, zorder=4, label="noise"))
    return top


def _draw_stems(axes: Axes, shown: _Shown, k: int, sized: bool, top: float, artists: MixtureArtists) -> None:
    """Draw a stem below the axis for each sample: short, and longer by its uncertainty."""
    most = 1.0 - 1.0 / k
    stub, depth = 0.03 * top, (0.17 * top / most if sized and k > 1 else 0.0)
    for c in np.unique(shown.labels):
        own = shown.labels == c
        ends = -stub - depth * shown.uncertainty[own]
        stems = axes.vlines(shown.points[own, 0], ends, 0.0, color=colour(c), linewidth=0.6, alpha=0.7, zorder=1)
        artists.points.append(stems)
    axes.axhline(0.0, color=DARK, linewidth=0.6)
    axes.set_ylim(-1.1 * (stub + depth * most), 1.05 * top)
    axes.set_yticks([tick for tick in axes.get_yticks() if 0.0 <= tick <= 1.05 * top])
    if depth:

        def to_uncertainty(y: Any) -> Any:
            return -(y + stub) / depth

        def to_height(u: Any) -> Any:
            return -stub - depth * u

        scale = axes.secondary_yaxis("right", functions=(to_uncertainty, to_height))
        scale.set_yticks([0.0, 0.5])
        scale.set_ylabel("uncertainty", loc="bottom")


def _n_bins(column: Float, spread: float) -> int:
    """Return the number of bins of Scott's width (Biometrika 66, 1979), 3.49 spread n^(-1/3), at least Sturges' number.

    `spread` is the mean spread of the components: that of all samples would hide separate components.
    """
    width = 3.49 * spread / len(column) ** (1 / 3)
    span = float(column.max() - column.min())
    n_bins = math.ceil(min(span / width, _BINS))  # outliers would have very many
    return max(n_bins, math.ceil(math.log2(len(column))) + 1)


# --- the part of the plane that is shown ---


def _limits(mixture: _Marginal, j: int, shown: _Shown | None, radius: float) -> tuple[float, float]:
    """Return the range of feature j for the data and the components out to `radius`, with a margin.

    It leaves out what would squash the rest: anything farther from the middle 90 % of the samples, and from the means of the
    components that matter, than `_REACH` times the range of these.
    """
    means, spreads = mixture.means[:, j], radius * np.sqrt(mixture.covariances[:, j, j])
    n = 0 if shown is None else len(shown.columns[j])
    matter = (mixture.weights >= min(_MATTERS, float(mixture.weights.max()))) | (n * mixture.weights >= _MANY)
    core = [means[matter]]
    if shown is None:
        core += [(means - spreads)[matter], (means + spreads)[matter]]
    else:
        core.append(_quantiles(shown.columns[j], shown.weights))
    first, last = float(np.concatenate(core).min()), float(np.concatenate(core).max())
    reach = _REACH * (last - first) if last > first else math.inf
    near = (means >= first - reach) & (means <= last + reach)
    ends = [np.maximum(means - spreads, first - reach)[near], np.minimum(means + spreads, last + reach)[near]]
    if shown is not None:
        column = shown.columns[j]
        ends.append(column[(column >= first - reach) & (column <= last + reach)])
    low, high = float(np.concatenate(ends).min()), float(np.concatenate(ends).max())
    margin = 0.04 * (high - low)
    return low - margin, high + margin


def _quantiles(column: Float, weights: NDArray | None) -> Float:
    """Return the values that 5 % of the samples, by weight, are below and above, (2,)."""
    order = np.argsort(column)
    reached = np.cumsum(np.ones(len(column)) if weights is None else weights[order], dtype=np.float64)
    places = np.searchsorted(reached, np.array([0.05, 0.95]) * reached[-1])
    return column[order[places.clip(max=len(column) - 1)]]


def _outside(mixture: _Marginal, shown: _Shown | None, limits: list[Limits]) -> str:
    """Say how many samples, and which components, are beyond the limits of some feature; '' if none are."""

    def beyond(columns: Sequence[Float]) -> NDArray[np.bool_]:
        out = np.zeros(len(columns[0]), np.bool_)
        for column, (low, high) in zip(columns, limits, strict=True):
            out |= (column < low) | (column > high)
        return out

    parts = []
    if shown is not None and (count := int(beyond(shown.columns).sum())):
        parts.append(f"{count} of {len(shown.columns[0])} samples")
    components = np.flatnonzero(beyond(list(mixture.means.T)))
    if components.size:
        named = ", ".join(map(str, components[:5])) + (", ..." if components.size > 5 else "")
        parts.append(f"component{'s' * (components.size > 1)} {named}")
    return f"outside: {' and '.join(parts)}" if parts else ""


def _tell_outside(axes: Axes, text: str, artists: MixtureArtists) -> None:
    if text:
        style: dict[str, Any] = {
            "transform": axes.transAxes,
            "ha": "right",
            "va": "bottom",
            "fontsize": "small",
            "color": DARK,
        }
        artists.texts.append(axes.text(1.0, 1.01, text, **style))


# --- two features, and more ---


def _draw_two(
    axes: Axes,
    mixture: _Marginal,
    shown: _Shown | None,
    sized: bool,
    radii: list[float],
    limits: list[Limits],
    artists: MixtureArtists,
    *,
    numbered: bool,
) -> None:
    """Draw samples and components of two features, across and up; a panel that is not `numbered` is smaller."""
    artists.axes.append(axes)
    size = 1.0 if numbered else 0.75
    if shown is not None:
        _draw_points(axes, shown, mixture.n_densities, sized, size, artists)
    patches = optional("matplotlib.patches", "plot_mixture")
    axes.set(xlim=limits[0], ylim=limits[1])
    ranges = np.array([high - low for low, high in limits])
    for k in np.flatnonzero(np.broadcast_to(mixture.needed, len(mixture.means))).tolist():
        mean, covariance = mixture.means[k], mixture.covariances[k]
        for line, radius in enumerate(radii):
            width, height, angle = _ellipse(covariance, radius)
            style: dict[str, Any] = {
                "linestyle": LINES[min(line, len(LINES) - 1)],
                "linewidth": 1.5 * size,
                "edgecolor": colour(k),
            }
            ellipse = patches.Ellipse(mean, width, height, angle=angle, fill=False, zorder=3, **style)
            axes.add_patch(ellipse)
            artists.ellipses.append(ellipse)
        if (np.sqrt(np.diagonal(covariance)) < _TINY * ranges).all():
            artists.crosses.append(_cross(axes, k, mean, size))
        if numbered:
            artists.means.append(_number(axes, k, mean[0], mean[1], artists))
        else:
            dot: dict[str, Any] = {"s": 14, "facecolor": colour(k), "edgecolor": "white", "linewidth": 0.7}
            artists.means.append(axes.scatter(mean[0], mean[1], **dot, zorder=4 + 2 * k))


def _cross(axes: Axes, k: int, mean: Float, size: float) -> Collection:
    """Mark a component that is too small to be seen, by arms that are longer than the ring of its number."""
    style: dict[str, Any] = {
        "marker": "+",
        "s": 900 * size**4,
        "color": colour(k),
        "linewidth": 1.3 * size,
        "linestyle": ":",
    }
    return axes.scatter(mean[0], mean[1], **style, zorder=3 + 2 * k)


def _populated(model: FittedMixture) -> NDArray[np.bool_] | bool:
    """Return which components hold a sample: of a Bayesian mixture, those that the data do not need keep their prior."""
    prior = getattr(model, "mean_precision_prior_", None)
    return True if prior is None else np.asarray(getattr(model, "mean_precision_") - prior >= 1.0)  # noqa: B009


def _complete(source: ArraySource) -> ArraySource:
    """Return the samples that have all values."""
    if not source.incomplete:
        return source
    kept = ~np.isnan(source.X).any(axis=1)
    if not kept.any():
        raise ValueError("no sample has a value of each feature, so there is none to draw: pass model.impute(X)")
    weights = None if source.weights is None else source.weights[kept]
    return ArraySource(source.X[kept], weights, source.weight_unit)


def _number(axes: Axes, k: int, x: float, y: float, artists: MixtureArtists) -> Collection:
    """Write the number of component k into a ring, and return the ring."""
    ring = axes.scatter(x, y, s=95, facecolor="white", edgecolor=colour(k), linewidth=1.1, zorder=4 + 2 * k)
    letters: dict[str, Any] = {"ha": "center", "va": "center_baseline", "fontsize": 7.5, "color": DARK}
    artists.texts.append(axes.text(x, y, str(k), **letters, clip_on=True, zorder=5 + 2 * k))
    return ring


def _draw_points(axes: Axes, shown: _Shown, k: int, sized: bool, size: float, artists: MixtureArtists) -> None:
    most = 1.0 - 1.0 / k if k > 1 else 1.0
    # the more points, the smaller and paler
    opacity = float(np.clip(60 / math.sqrt(len(shown.points)), 0.35, 0.6))
    areas = np.full(len(shown.points), size**2 * float(np.clip(6000 / len(shown.points), 4, 14)))
    if sized:
        areas *= 1.0 + 6.0 * shown.uncertainty / most
    for c in np.unique(shown.labels):
        own = shown.labels == c
        label = "noise" if c == NOISE else f"component {c}"
        style: dict[str, Any] = {"marker": marker(c), "color": colour(c), "label": label}
        x, y = shown.points[own].T
        width = 0.8 * size if c == NOISE else 0.0  # a cross is all lines
        artists.points.append(axes.scatter(x, y, s=areas[own], alpha=opacity, linewidth=width, zorder=2, **style))


def _ellipse(covariance: Float, radius: float) -> tuple[float, float, float]:
    """Return width, height and angle in degrees of the ellipse of a Mahalanobis radius.

    Its axes are the eigenvectors, of length 2 radius sqrt(eigenvalue). They are in closed form, with the smaller eigenvalue
    from the determinant: if features differ by many orders of magnitude, a general solver loses that one in rounding.
    """
    (a, b), (_, c) = covariance
    greater = 0.5 * (a + c + math.hypot(a - c, 2.0 * b))
    smaller = max(a * c - b * b, 0.0) / greater if greater > 0 else 0.0
    angle = 0.5 * math.degrees(math.atan2(2.0 * b, a - c))
    return 2.0 * radius * math.sqrt(greater), 2.0 * radius * math.sqrt(smaller), angle


def _draw_grid(
    panels: NDArray[np.object_],
    mixture: _Marginal,
    shown: _Shown | None,
    sized: bool,
    radii: list[float],
    artists: MixtureArtists,
) -> None:
    m = len(mixture.names)
    limits = [_limits(mixture, j, shown, max(radii, default=_TAIL)) for j in range(m)]
    ticker = optional("matplotlib.ticker", "plot_mixture")
    for i, j in np.ndindex(m, m):
        axes = panels[i, j]
        if j > i:
            axes.set_axis_off()
            continue
        if i == j:
            top = _draw_density(axes, mixture.of(i), None if shown is None else shown.of(i), limits[i], artists)
            axes.set_ylim(0.0, 1.05 * top)
            axes.set_yticks([])
        else:
            pair = mixture.of(j, i), None if shown is None else shown.of(j, i)
            _draw_two(axes, *pair, sized, radii, [limits[j], limits[i]], artists, numbered=False)
            axes.yaxis.set_major_locator(ticker.MaxNLocator(4))
        axes.set_xlim(limits[j])
        axes.xaxis.set_major_locator(ticker.MaxNLocator(4))
        axes.tick_params(labelsize="small", labelbottom=i == m - 1, labelleft=j == 0 and i > 0)
        if i == m - 1:
            axes.set_xlabel(mixture.names[j])
        if j == 0 and i > 0:
            axes.set_ylabel(mixture.names[i])
    artists.texts.append(_legend(panels[0, -1], mixture, _outside(mixture, shown, limits)))


def _legend(axes: Axes, mixture: _Marginal, outside: str) -> Artist:
    """Draw a legend of colours and weights of the components, and the text `outside`, in an empty panel of the grid."""
    lines = optional("matplotlib.lines", "plot_mixture")
    handles = []
    for k, weight in enumerate(mixture.weights):
        mark = {"color": colour(k), "marker": marker(k), "linestyle": "none"}
        handles.append(lines.Line2D([], [], **mark, label=f"{k}: {weight:.2g}"))
    if mixture.noise is not None:
        mark = {"color": colour(NOISE), "marker": marker(NOISE), "linestyle": "none"}
        handles.append(lines.Line2D([], [], **mark, label=f"noise: {mixture.noise.weight:.2g}"))
    columns = -(-len(handles) // 10)
    style: dict[str, Any] = {
        "ncols": columns,
        "fontsize": "small",
        "title_fontsize": "small",
        "frameon": False,
        "borderaxespad": 0.0,
    }
    legend = axes.legend(
        handles=handles, title=f"component: weight{outside and chr(10) + outside}", loc="upper right", **style
    )
    legend.set_in_layout(False)  # it may reach into the next panel, also empty, but not widen its row
    return legend

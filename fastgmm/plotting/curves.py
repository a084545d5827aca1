"""Curves of a criterion over many models, and of the likelihood over iterations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastgmm import _validation
from fastgmm._compat import optional
from fastgmm._names import CRITERIA
from fastgmm.estimators.mixture import FittedMixture
from fastgmm.plotting.style import DARK, MARKERS, colour, line_style, panels_of

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase
    from matplotlib.lines import Line2D

Float = NDArray[np.float64]


class Selection(Protocol):  # numpydoc ignore=PR01
    """Describe the input of `plot_criterion`: criteria of a grid of models, lower is better, NaN for models without a fit.

    `fastgmm.Selection` is one.

    See Also
    --------
    fastgmm.select : Make a selection.

    Examples
    --------
    >>> from fastgmm.plotting import Selection
    >>> sorted(name for name in vars(Selection) if not name.startswith("_"))[:3]
    ['aic', 'best_covariance_type', 'best_n_components']
    """

    @property
    def n_components(self) -> tuple[int, ...]:  # numpydoc ignore=SA01,EX01
        """Return the numbers of components, one for each row of the arrays."""

    @property
    def covariance_types(self) -> tuple[str, ...]:  # numpydoc ignore=SA01,EX01
        """Return the covariance types, one for each column of the arrays."""

    @property
    def criterion(self) -> str:  # numpydoc ignore=SA01,EX01
        """Return the criterion that the best model was chosen by."""

    @property
    def bic(self) -> NDArray:  # numpydoc ignore=SA01,EX01
        """Return the BIC, of shape (len(n_components), len(covariance_types))."""

    @property
    def icl(self) -> NDArray:  # numpydoc ignore=SA01,EX01
        """Return the ICL, of the same shape."""

    @property
    def aic(self) -> NDArray:  # numpydoc ignore=SA01,EX01
        """Return the AIC, of the same shape."""

    @property
    def best_n_components(self) -> int:  # numpydoc ignore=SA01,EX01
        """Return the number of components of the best model."""

    @property
    def best_covariance_type(self) -> str:  # numpydoc ignore=SA01,EX01
        """Return the covariance type of the best model."""


@dataclass(frozen=True)
class CriterionArtists:  # numpydoc ignore=PR01
    """Hold what `plot_criterion` drew.

    Attributes
    ----------
    axes : Axes
        The axes drawn into.
    lines : list of Line2D
        A line for each covariance type shown, in their order.
    best : Line2D
        The ring around the best model shown.
    legend : Legend
        The legend.

    See Also
    --------
    plot_criterion : The function that draws.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import fastgmm
    >>> from fastgmm.datasets import load_faithful
    >>> found = fastgmm.select(load_faithful().data, [1, 2, 3], ["EEE", "VVV"])
    >>> fastgmm.plotting.plot_criterion(found, ax=Figure()).best.get_label()
    'best: EEE, 3'
    """

    axes: Axes
    lines: list[Line2D]
    best: Line2D
    legend: Artist


def plot_criterion(
    selection: Selection,
    *,
    ax: Axes | FigureBase | None = None,
    criterion: str | None = None,
    covariance_types: str | Sequence[str] | None = None,
) -> CriterionArtists:
    """Draw a criterion over the number of components, a line for each covariance type, and mark the best model.

    Up is better, as in mclust's figures. The values are those of `selection`, of which lower ones are better (mclust's have
    the other sign): the axis is inverted, and its label says so. Models that could not be fitted leave a gap. Values that are
    far worse than most are out of view, so that the others can be told apart.

    Parameters
    ----------
    selection : Selection
        The result of ``fastgmm.select``.
    ax : matplotlib.axes.Axes, or Figure or SubFigure without axes, optional
        Target of the drawing. By default pyplot's current axes.
    criterion : {'bic', 'icl', 'aic', 'stability'}, optional
        Criterion to draw. By default the one of the selection.
    covariance_types : str or sequence of str, optional
        Covariance types of the selection to show. By default all.

    Returns
    -------
    CriterionArtists
        Everything that was drawn.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError, TypeError
        If `selection` is not a selection, does not have a criterion or a type, or has no value for any model to be shown.

    See Also
    --------
    fastgmm.select : Fit the models.
    fastgmm.Selection.plot : The same as a method.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import fastgmm
    >>> from fastgmm.datasets import load_faithful
    >>> found = fastgmm.select(load_faithful().data, [1, 2, 3], ["EEE", "VVV"])
    >>> artists = fastgmm.plotting.plot_criterion(found, ax=Figure(), criterion="icl")
    >>> artists.axes.get_ylabel()
    'ICL (axis inverted: up is better)'
    """
    optional("matplotlib", "plot_criterion")
    needed = ("n_components", "covariance_types", "criterion", "best_n_components", "best_covariance_type", *CRITERIA)
    if missing := [name for name in needed if not hasattr(selection, name)]:
        raise TypeError(
            f"selection must be a result of fastgmm.select, got a {type(selection).__name__}, which has no {missing[0]!r}"
        )
    known_criteria = (*CRITERIA, "stability")
    name = _validation.check_choice(
        "criterion", selection.criterion if criterion is None else criterion, known_criteria
    )
    upwards = name == "stability"
    known = selection.covariance_types
    shown = known if covariance_types is None else covariance_types
    if not isinstance(shown, Iterable):
        raise TypeError(f"covariance_types must be None, a name or several names, got {shown!r}")
    wanted = [shown] if isinstance(shown, str) else list(shown)
    if not wanted:
        raise ValueError(f"covariance_types is empty: choose from {', '.join(known)}")
    types = [known.index(_validation.check_choice("covariance type", each, known)) for each in wanted]
    order = np.argsort(selection.n_components, kind="stable")
    sizes = np.asarray(selection.n_components)[order]
    values = np.asarray(getattr(selection, name), np.float64)[order][:, types]
    if not np.isfinite(values).any():
        raise ValueError(f"there is nothing to draw: no model of {', '.join(wanted)} has a finite {name}")
    axes = panels_of(ax, 1, "plot_criterion")()
    lines = []
    for column, which in enumerate(types):
        style: dict[str, Any] = {"color": colour(which), "linestyle": line_style(which)}
        style |= {"marker": MARKERS[which % len(MARKERS)], "markersize": 5, "linewidth": 1.2, "label": known[which]}
        lines += axes.plot(sizes, values[:, column], **style)
    place = _best(selection, name, sizes, wanted, -values if upwards else values)
    ring: dict[str, Any] = {
        "marker": "o",
        "markersize": 13,
        "fillstyle": "none",
        "markeredgewidth": 1.6,
        "linestyle": "none",
    }
    label = f"best: {wanted[place[1]]}, {sizes[place[0]]}"
    (best,) = axes.plot(sizes[place[0]], values[place], color=DARK, zorder=4, label=label, **ring)
    label = "stability: mean adjusted Rand index" if upwards else f"{name.upper()} (axis inverted: up is better)"
    axes.set(xlabel="number of components", ylabel=label, xticks=sizes)
    if not upwards:
        low, high = _in_view(values)
        axes.set_ylim(high, low)
        for line in lines:
            if not (np.asarray(line.get_ydata(), float) <= high).any():
                line.set_label(f"{line.get_label()} (out of view)")
    legend = axes.legend(fontsize="small", ncols=-(-len(lines) // 8), frameon=False)
    return CriterionArtists(axes, lines, best, legend)


def _in_view(values: Float) -> tuple[float, float]:
    """Return the limits of an axis of criteria: of all values, or of those within three times the range of the best 75 %."""
    known = values[np.isfinite(values)]
    low, typical, high = (float(np.quantile(known, q)) for q in (0.0, 0.75, 1.0))
    high = min(high, low + 3.0 * (typical - low)) if typical > low else high
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def _best(selection: Selection, name: str, sizes: NDArray, types: list[str], values: Float) -> tuple[int, int]:
    """Return row and column of the best model shown: the selection's best if it is shown, also if several are equal."""
    if name == selection.criterion and selection.best_covariance_type in types:
        return sizes.tolist().index(selection.best_n_components), types.index(selection.best_covariance_type)
    row, column = np.unravel_index(np.nanargmin(values), values.shape)
    return int(row), int(column)


# --- convergence ---


def plot_convergence(
    models: FittedMixture | Sequence[FittedMixture] | Mapping[str, FittedMixture],
    *,
    ax: Axes | FigureBase | None = None,
    gap: bool = False,
) -> list[Line2D]:
    """Draw the mean log-likelihood of the iterations of one or several fits (`lower_bounds_`).

    The last iteration is a dot, filled if the fit converged.

    Parameters
    ----------
    models : fitted model, sequence of them, or dict of str to fitted model
        The fits to draw. The keys of a dict are their names in the legend.
    ax : matplotlib.axes.Axes, or Figure or SubFigure without axes, optional
        Target of the drawing. By default pyplot's current axes.
    gap : bool, default=False
        Draw the gap to the highest value of each fit instead, on a logarithmic axis: a straight line is linear convergence.
        The iteration that reached that value is not drawn.

    Returns
    -------
    list of Line2D
        A line for each model.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    NotFittedError
        If a model is not fitted.
    ValueError
        If a model has no iterations, or with `gap` too few, to draw.
    TypeError
        If `models` holds something that is not a model.

    See Also
    --------
    plot_criterion : A criterion over many models.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import fastgmm
    >>> from fastgmm.datasets import load_faithful
    >>> model = fastgmm.GaussianMixture(2, random_state=0).fit(load_faithful().data)
    >>> (line,) = fastgmm.plotting.plot_convergence({"EM": model}, ax=Figure())
    >>> line.get_label(), len(line.get_xdata()) == len(model.lower_bounds_)
    ('EM', True)
    """
    optional("matplotlib", "plot_convergence")
    _validation.check_bool("gap", gap)
    if isinstance(models, Mapping):
        named = {str(name): model for name, model in models.items()}
    else:
        listed: list[Any] = list(models) if isinstance(models, (list, tuple)) else [models]
        named = {f"model {i}": model for i, model in enumerate(listed)}
    if not named:
        raise ValueError("models is empty: pass at least one fitted model")
    for model in named.values():
        if not isinstance(model, FittedMixture):
            raise TypeError(f"models must be fitted models, got a {type(model).__name__}")
    curves = {name: _history(name, model, gap) for name, model in named.items()}
    axes = panels_of(ax, 1, "plot_convergence")()
    lines = []
    for i, (name, (iterations, values)) in enumerate(curves.items()):
        style: dict[str, Any] = {"color": colour(i), "linestyle": line_style(i)}
        filled = "full" if named[name].converged_ else "none"
        style |= {"marker": "o", "markersize": 5, "markevery": [len(values) - 1], "fillstyle": filled}
        lines += axes.plot(iterations, values, linewidth=1.4, label=name, **style)
    if gap:
        axes.set_yscale("log")
    axes.set(xlabel="iteration", ylabel="gap to the highest value" if gap else "mean log-likelihood")
    axes.xaxis.set_major_locator(optional("matplotlib.ticker", "plot_convergence").MaxNLocator(integer=True))
    if len(lines) > 1 or isinstance(models, Mapping):
        axes.legend(fontsize="small", frameon=False)
    return lines


def _history(name: str, model: FittedMixture, gap: bool) -> tuple[NDArray[np.int64], Float]:
    """Return the iterations, counted from 1, and the values to draw over them."""
    model._check_is_fitted()
    bounds = getattr(model, "lower_bounds_", [])  # missing if parameters were assigned
    values = np.asarray(bounds, np.float64)
    iterations = getattr(model, "n_iter_", 0) - len(values) + 1 + np.arange(len(values))
    if gap and len(values):
        missing = values.max() - values
        iterations, values = iterations[missing > 0], missing[missing > 0]
    if not len(values):
        raise ValueError(
            f"{name} has no {'two different values' if gap else 'iterations'} to draw: its lower_bounds_ has length "
            f"{len(bounds)}: pass a fitted model, which for gap needs several iterations"
        )
    return iterations, values

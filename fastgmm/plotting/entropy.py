"""The entropy of clusters of components as they are merged, and where it bends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastgmm._compat import optional
from fastgmm.plotting.style import DARK, colour, panels_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase
    from matplotlib.lines import Line2D
    from matplotlib.text import Text

Float = NDArray[np.float64]


@dataclass(frozen=True)
class EntropyArtists:  # numpydoc ignore=PR01
    """Hold what `plot_entropy` drew.

    Attributes
    ----------
    axes : Axes
        The axes drawn into.
    points : list of Line2D
        The points, all in one Line2D.
    lines : list of Line2D
        The two lines that meet at the elbow; none if there is no elbow.
    texts : list of Text
        The numbers of clusters beside the points.

    See Also
    --------
    plot_entropy : The function that draws.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from fastgmm.plotting import plot_entropy
    >>> artists = plot_entropy(np.array([0.0, 1.0, 9.0]), np.array([90.0, 40.0, 0.0]), 2, ax=Figure())
    >>> len(artists.points), len(artists.lines), len(artists.texts)
    (1, 2, 3)
    """

    axes: Axes
    points: list[Line2D] = field(default_factory=list)
    lines: list[Line2D] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)


def plot_entropy(
    entropies: Float, moved: Float, elbow: int | None, *, ax: Axes | FigureBase | None = None
) -> EntropyArtists:
    """Draw the entropies of 1 to k clusters over the samples moved by merging, and two lines that meet at the elbow.

    Parameters
    ----------
    entropies : ndarray of shape (k,), float64
        Entropies, as ``fastgmm.merge(...).entropies``.
    moved : ndarray of shape (k,), float64
        Samples in merged clusters, as ``fastgmm.merge(...).moved``.
    elbow : int or None
        Number of clusters where the lines meet; None for no lines.
    ax : matplotlib.axes.Axes, or Figure or SubFigure without axes, optional
        Target of the drawing. By default pyplot's current axes.

    Returns
    -------
    EntropyArtists
        Everything that was drawn.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError, TypeError
        If `ax` is not one of those, or a figure has axes already.

    See Also
    --------
    fastgmm.merge : Merge components, and find the elbow.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import fastgmm
    >>> from fastgmm.datasets import load_iris
    >>> X = load_iris().data
    >>> found = fastgmm.merge(fastgmm.GaussianMixture(4, random_state=0).fit(X), X)
    >>> artists = fastgmm.plotting.plot_entropy(found.entropies, found.moved, found.elbow, ax=Figure())
    >>> artists.axes.get_ylabel()
    'entropy of the clusters'
    """
    optional("matplotlib", "plot_entropy")
    axes = panels_of(ax, 1, "plot_entropy")()
    artists = EntropyArtists(axes)
    if elbow is not None:
        for part, which in ((slice(None, elbow), 0), (slice(elbow - 1, None), 1)):
            x, y = moved[part], entropies[part]
            slope, height = np.polyfit(x, y, 1)
            artists.lines.extend(axes.plot(x, slope * x + height, color=colour(which), lw=1.2, zorder=1))
        axes.axvline(moved[elbow - 1], color=DARK, lw=0.8, ls=":", zorder=0)
    artists.points.extend(axes.plot(moved, entropies, "o", color=DARK, ms=4, zorder=2))
    for j, (x, y) in enumerate(zip(moved, entropies, strict=True)):
        style = {"textcoords": "offset points", "xytext": (4, 4), "fontsize": "small"}
        artists.texts.append(axes.annotate(str(j + 1), (x, y), **style))
    axes.set(xlabel="samples in merged clusters, accumulated", ylabel="entropy of the clusters")
    return artists

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
class EntropyArtists:
    """Artists of `plot_entropy`: points, the two lines that meet at the elbow, and the numbers of clusters beside the points."""

    axes: Axes
    points: list[Line2D] = field(default_factory=list)
    lines: list[Line2D] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)


def plot_entropy(
    entropies: Float, moved: Float, elbow: int | None, *, ax: Axes | FigureBase | None = None
) -> EntropyArtists:
    """Draw the entropies (k,) of 1 to k clusters over the samples `moved` (k,) by merging, and two lines that meet at `elbow`.

    Parameters
    ----------
    entropies, moved : ndarray of shape (k,)
        As `fastgmm.merge` has them.
    elbow : int or None
        Number of clusters.
    ax : Axes, Figure or SubFigure, optional
        By default pyplot's current axes.

    Returns
    -------
    artists : EntropyArtists
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

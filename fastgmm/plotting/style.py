"""Style of all figures: colours, markers and lines, and the axes to draw into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastgmm._compat import optional

#: Palette of Okabe & Ito (Color Universal Design, 2008), which the colour-blind can distinguish; its yellow is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#505050")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p", "h", "d", "H")
LINES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.5)))
#: The label of samples of noise; its colour and its marker.
NOISE, _NOISE_COLOUR, _NOISE_MARKER = -1, "#8C8C8C", "x"
DARK, GREY = "#222222", "#D5D5D5"


def colour(i: int) -> str:
    """Return the colour of component or curve i; beyond the last they repeat, with the next `marker` and `line_style`."""
    return _NOISE_COLOUR if i == NOISE else COLOURS[i % len(COLOURS)]


def marker(i: int) -> str:
    """Return the marker of the samples of component i."""
    return _NOISE_MARKER if i == NOISE else MARKERS[i // len(COLOURS) % len(MARKERS)]


def line_style(i: int) -> Any:
    """Return the line style of component or curve i."""
    return LINES[i // len(COLOURS) % len(LINES)]


def panels_of(ax: Any, m: int, function: str) -> Callable[[], Any]:
    """Check `ax` for figures of m features, and return a function that gives the axes: one, or an (m, m) array for m > 2."""
    figures = optional("matplotlib.figure", function).FigureBase
    axes = optional("matplotlib.axes", function).Axes
    if ax is None:
        pyplot = optional("matplotlib.pyplot", function)
        size = (2.2 * m, 2.2 * m)
        return pyplot.gca if m <= 2 else lambda: pyplot.subplots(m, m, figsize=size, layout="constrained")[1]
    if isinstance(ax, figures):
        if ax.axes:
            raise ValueError(f"ax is a {type(ax).__name__} that has axes already: pass these, or an empty figure")
        return ax.subplots if m <= 2 else lambda: ax.subplots(m, m)
    if m <= 2:
        if not isinstance(ax, axes):
            raise TypeError(f"ax must be an Axes or an empty Figure or SubFigure, got {type(ax).__name__}")
        return lambda: ax
    array = np.asarray(ax, dtype=object)
    if array.shape != (m, m) or not all(isinstance(one, axes) for one in array.flat):
        got = f"an array of shape {array.shape}" if array.ndim else type(ax).__name__
        raise ValueError(
            f"ax must be an array of ({m}, {m}) Axes or an empty Figure or SubFigure to show {m} features, got {got}"
        )
    return lambda: array

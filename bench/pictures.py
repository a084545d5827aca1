"""The pictures of the README that are no timings: ``python -m bench.pictures``.

Writes each as a PNG beside this file.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from fastgmm import GaussianMixture, plotting, select
from fastgmm._atomic import replacing
from fastgmm.datasets import load_faithful, load_iris

HERE = Path(__file__).parent
_LETTERS = "abc"


def mixtures(figure: Figure) -> None:
    """Old Faithful, both features and one of them, beside the pair grid of iris."""
    figure.set_size_inches(11.0, 6.6)
    left, right = figure.subfigures(1, 2, width_ratios=[4.4, 6.6])
    top, bottom = left.subfigures(2, 1, height_ratios=[3.6, 3.0])
    faithful, iris = load_faithful(), load_iris()
    names = ["eruption (min)", "waiting (min)"]
    both = GaussianMixture(3, covariance_type="EEE", tol=1e-7, max_iter=1000, n_init=10, random_state=0).fit(
        faithful.data
    )
    plotting.plot_mixture(both, faithful.data, ax=top, feature_names=names)
    waiting = GaussianMixture(2, random_state=0).fit(faithful.data[:, 1:])
    plotting.plot_mixture(waiting, faithful.data[:, 1:], ax=bottom, feature_names=names[1:])
    species = GaussianMixture(3, random_state=0).fit(iris.data)
    names = [f"{name.replace('_', ' ')} (cm)" for name in iris.feature_names]
    plotting.plot_mixture(species, iris.data, ax=right, feature_names=names)
    titles = ("Old Faithful, 3 components, EEE", "Old Faithful, 2 components", "Iris, 3 components, VVV")
    for letter, panel, title in zip(_LETTERS, (top, bottom, right), titles, strict=True):
        panel.suptitle(f"{letter}  {title}", x=0.01, ha="left", fontsize=11)


def selection(figure: Figure) -> None:
    """BIC of all structures and up to nine components, Old Faithful and iris."""
    figure.set_size_inches(11.0, 4.6)
    panels = figure.subplots(1, 2)
    for ax, table, name in zip(panels, (load_faithful(), load_iris()), ("Old Faithful", "Iris"), strict=True):
        select(table.data).plot(ax=ax)
        ax.set_title(name, fontsize=11)
    panels[0].get_legend().remove()  # the same as the other's


PICTURES: dict[str, Callable[[Figure], None]] = {"mixtures": mixtures, "selection": selection}


def draw(picture: Callable[[Figure], None], path: Path) -> None:
    """Draw ``picture(figure)`` and write it to a PNG file."""
    figure = Figure(dpi=100, layout="constrained")
    picture(figure)
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    # a palette, half the size: there are few colours
    Image.open(drawn).convert("RGB").quantize(128).save(small, format="png", optimize=True)
    with replacing(path) as file:
        file.write(small.getvalue())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.pictures", description=__doc__)
    parser.add_argument("--directory", type=Path, default=HERE, help=f"where to write (default {HERE})")
    options = parser.parse_args(arguments)
    if not options.directory.is_dir():
        parser.error(f"--directory is {options.directory}, and there is no such directory")
    for name, picture in PICTURES.items():
        path = options.directory / f"{name}.png"
        draw(picture, path)
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

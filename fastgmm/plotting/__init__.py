"""Figures of a mixture, of criteria over many models, and of convergence, drawn with matplotlib (extra ``plot``).

Everything is drawn into `ax`. Pyplot is imported only if it is missing, for the current axes or, for a pair grid, a new
figure. Nothing is ever shown or saved here.
"""

from fastgmm.plotting.curves import CriterionArtists, Selection, plot_convergence, plot_criterion
from fastgmm.plotting.density import DensityArtists, plot_density
from fastgmm.plotting.entropy import EntropyArtists, plot_entropy
from fastgmm.plotting.mixtures import MixtureArtists, plot_classification, plot_mixture, plot_uncertainty

__all__ = [
    "CriterionArtists",
    "DensityArtists",
    "EntropyArtists",
    "MixtureArtists",
    "Selection",
    "plot_classification",
    "plot_convergence",
    "plot_criterion",
    "plot_density",
    "plot_entropy",
    "plot_mixture",
    "plot_uncertainty",
]

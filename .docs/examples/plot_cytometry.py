"""
Gate cells: a rare population, and debris
=========================================

A flow cytometer measures the fluorescence of single cells. Populations are *gated*: an expert draws polygons around
clouds of points, in one pair of markers after the other. A mixture does this in all markers at once, with a
probability for each cell. Two things make it hard. The population of interest may be one cell in two hundred. And
some events are no cells at all.

No package that we depend on ships such data. The table is **simulated**: five populations of lymphocytes and
monocytes with shares and markers as a textbook has them, a rare one that is positive for both CD4 and CD8, and 3 % of
debris and doublets, spread over everything.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastgmm
from fastgmm import GaussianMixture, plotting

markers = ["FSC", "CD3", "CD4", "CD8", "CD19"]
populations = {  # share, then mean and standard deviation of the decadic logarithm of each intensity
    "CD4 T cells": (0.420, [2.00, 3.6, 3.5, 1.2, 0.9], [0.08, 0.18, 0.15, 0.30, 0.30]),
    "CD8 T cells": (0.240, [2.00, 3.6, 1.2, 3.7, 0.9], [0.08, 0.18, 0.30, 0.20, 0.30]),
    "B cells": (0.120, [2.05, 1.1, 1.2, 1.2, 3.4], [0.09, 0.30, 0.30, 0.30, 0.18]),
    "NK cells": (0.100, [2.05, 1.1, 1.1, 2.5, 0.9], [0.09, 0.30, 0.30, 0.35, 0.30]),
    "monocytes": (0.085, [2.45, 1.2, 2.4, 1.2, 1.0], [0.10, 0.30, 0.20, 0.30, 0.30]),
    "double positive": (0.005, [2.15, 3.7, 3.1, 3.1, 0.9], [0.07, 0.12, 0.12, 0.12, 0.25]),
}
rng = np.random.default_rng(7)
truth = rng.choice(7, 40_000, p=[*(share for share, _, _ in populations.values()), 0.03])
logarithms = rng.uniform([1.6, 0.3, 0.3, 0.3, 0.3], [2.9, 4.2, 4.2, 4.2, 4.2], size=(len(truth), 5))
for j, (_, mean, deviation) in enumerate(populations.values()):
    own = np.flatnonzero(truth == j)
    logarithms[own] = rng.normal(mean, deviation, size=(len(own), 5))
intensities = 10.0**logarithms
print(intensities.shape, {name: int((truth == j).sum()) for j, name in enumerate([*populations, "debris"])})

# %%
# Transform first
# ---------------
# Intensities are skewed over four decades. No Gaussian fits that; their logarithms are another matter. (Real data
# have zeros and negative values after compensation: take ``np.arcsinh(intensities / 150)`` there.)

X = np.log10(intensities)

# %%
# How many populations?
# ---------------------
# Markers vary independently within a population, so a diagonal structure is enough; ``select`` tries full ones as
# well. It does not need to be told about the rare population: beyond 5000 samples it looks first at a part of them in
# which improbable ones are enriched.

found = fastgmm.select(X, range(4, 10), ["VVI", "VVV"], random_state=0)
print(found.summary(3))
assert (found.best_n_components, found.best_covariance_type) == (7, "VVI")

labels = found.best_model.predict(X)
print("\n" + " " * 16 + "component")
for j, name in enumerate([*populations, "debris"]):
    print(f"{name:>15} ", *(f"{count:6}" for count in np.bincount(labels[truth == j], minlength=7)))

# %%
# Seven components: the six populations, and a wide one that serves the debris. The rare population has a component of
# its own.

rare = np.bincount(labels[truth == 5]).argmax()
wide = np.linalg.norm(np.sqrt(found.best_model.covariances_), axis=1).argmax()
assert ((labels == rare) & (truth == 5)).sum() > 0.98 * (truth == 5).sum()
assert (truth[labels == wide] == 6).mean() > 0.95

# %%
# Debris as noise
# ---------------
# Debris has no Gaussian shape: it is anywhere. ``noise=True`` adds a component of constant density over the box of
# the data. But what is noise, and what is a rare population? A fit has to begin somewhere, and by default noise
# begins with all samples that are far from their neighbours. The rare cells are among these, and noise keeps them:

careless = GaussianMixture(6, covariance_type="VVI", noise=True, random_state=0).fit(X)
taken = (careless.predict(X)[truth == 5] == -1).mean()
print(f"{100 * taken:.0f} % of the rare cells are called noise")

# %%
# A start that knows better is at hand: the populations that ``select`` found. Its wide component says which samples
# noise begins with, and the others are where the components begin. BIC, which compares all three models, confirms it.

others = np.delete(np.arange(7), wide)
start = found.best_model
gmm = GaussianMixture(
    6,
    covariance_type="VVI",
    noise=labels == wide,
    weights_init=start.weights_[others] / start.weights_[others].sum(),
    means_init=start.means_[others],
    precisions_init=start.precisions_[others],
).fit(X)

bic = {
    "seven components": start.bic(X),
    "six and noise, default start": careless.bic(X),
    "six and noise, from select": gmm.bic(X),
}
for name, value in bic.items():
    print(f"{name:30} BIC {value:9.1f}")
assert min(bic, key=bic.get) == "six and noise, from select"
assert taken > 0.95
print(f"weight of noise: {gmm.noise_.weight:.4f} (3 % of the samples were debris)")
assert abs(gmm.noise_.weight - 0.03) < 0.002

# %%
# Gate by probability
# -------------------
# A cell belongs to a population if that is at least 90 % certain. The numbers of an experiment come with this
# certainty.

probability = gmm.predict_proba(X)  # the last column is noise
component = {name: np.abs(gmm.means_ - mean).sum(axis=1).argmin() for name, (_, mean, _) in populations.items()}
for j, name in enumerate(populations):
    gate = probability[:, component[name]] > 0.9
    purity, yielded = (truth[gate] == j).mean(), gate[truth == j].mean()
    print(f"{name:>15}: {gate.sum():6} cells, purity {100 * purity:6.2f} %, yield {100 * yielded:6.2f} %")
    assert purity > 0.98
    assert yielded > 0.98

figure, panels = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
plotting.plot_classification(gmm, X, ax=panels[0], features=[2, 3], feature_names=markers, max_points=8000)
plotting.plot_classification(gmm, X, ax=panels[1], features=[1, 4], feature_names=markers, max_points=8000)
for name, k in component.items():
    panels[0].annotate(
        name,
        gmm.means_[k, [2, 3]],
        xytext=(0, 16),
        textcoords="offset points",
        ha="center",
        fontsize="small",
        bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": "none", "alpha": 0.7},
    )
for axes in panels:
    axes.set(xlabel=f"log10 {axes.get_xlabel()}", ylabel=f"log10 {axes.get_ylabel()}")

plt.show()

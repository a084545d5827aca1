"""
Choose a model, as in mclust
============================

mclust's users fit all numbers of components with all fourteen covariance structures, look at the BIC, and then at the
classification and its uncertainty. :func:`fastgmm.select` does the first, and its result has the rest. In R this page
would be::

    library(mclust)
    BIC <- mclustBIC(iris[, 1:4]); plot(BIC); summary(BIC)
    model <- Mclust(iris[, 1:4], x = BIC)
    plot(model, what = "classification"); plot(model, what = "uncertainty")
    ICL <- mclustICL(iris[, 1:4])

The data are Fisher's iris: four measurements of 150 flowers. Their three species are known, so that we can see how
far a choice without them comes.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import adjusted_rand_score

import fastgmm
from fastgmm import plotting
from fastgmm.datasets import load_iris

iris = load_iris()
found = fastgmm.select(iris.data, n_components=range(1, 7))
print(found.summary())

# %%
# Lower is better here, as in scikit-learn; mclust prints the negative of this BIC, and its largest is best. The
# figure has its axis inverted, so that it looks the same. A structure without a point would have no valid fit;
# ``found.reasons`` says why.

figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
found.plot(ax=axes)
print(len(found.reasons), "of", found.bic.size, "models have no valid fit")

# %%
# How clear is the choice?
# ------------------------
# BIC prefers two components. The second best model has three, and differs by less than one; differences below two are
# hardly worth a mention (Kass & Raftery 1995). ICL, which also asks that components lie apart, is clearer: versicolor
# and virginica overlap.

(best, _), (second, difference) = found.differences(2)
print(f"{best.covariance_type}, {best.n_components}: BIC {best.bic:.1f}, ICL {best.icl:.1f}")
print(f"{second.covariance_type}, {second.n_components}: BIC {second.bic:.1f}, ICL {second.icl:.1f}")
assert (best.covariance_type, best.n_components, second.n_components) == ("VEV", 2, 3)
assert difference < 2 < second.icl - best.icl

# %%
# So both deserve a look. ``found.model`` has the fit of any cell.

two, three = found.best_model, found.model(3, "VEV")
for model in (two, three):
    agreement = adjusted_rand_score(iris.target, model.predict(iris.data))
    print(f"{model.n_components} components: adjusted Rand index with the species {agreement:.2f}")
assert adjusted_rand_score(iris.target, three.predict(iris.data)) > 0.9

print(np.array([np.bincount(three.predict(iris.data)[iris.target == species], minlength=3) for species in range(3)]))

# %%
# Classification and uncertainty
# ------------------------------
# Points that are larger are less certain. Of the five flowers that the three components put with another species, one
# is the least certain of all, and one is not in doubt: uncertainty is that of the mixture, which knows no species.

figure, panels = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
petals = iris.feature_names[2:]
for axes, draw, title in zip(
    panels, (plotting.plot_classification, plotting.plot_uncertainty), ("classification", "uncertainty"), strict=True
):
    draw(three, iris.data, ax=axes, features=[2, 3], feature_names=iris.feature_names)
    axes.set_title(title)

uncertainty = 1 - three.predict_proba(iris.data).max(axis=1)
labels = three.predict(iris.data)
species_of = np.array([np.bincount(iris.target[labels == k]).argmax() for k in range(3)])
wrong = np.flatnonzero(species_of[labels] != iris.target)
for row in wrong:
    print(f"flower {row}: {iris.target_names[iris.target[row]]}, uncertainty {uncertainty[row]:.2f}")
assert len(wrong) == 5
assert uncertainty.argmax() in wrong

# %%
# All four measurements at once, as mclust's ``plot(model, what = "classification")`` shows them:

figure = plt.figure(figsize=(8, 8), layout="constrained")
artists = found.plot(ax=figure, what="classification", X=iris.data, feature_names=iris.feature_names)

# %%
# The table as a data frame, for a report of one's own (needs pandas):
#
# .. code-block:: python
#
#     frame = found.to_pandas().sort_values("bic")

plt.show()

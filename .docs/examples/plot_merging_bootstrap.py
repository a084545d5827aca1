"""
How many clusters, and how sure are the numbers?
================================================

Three questions remain after a fit. Are components clusters? Is another component real? And how much would the
parameters change with another sample? Old Faithful's eruptions serve for all three.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastgmm
from fastgmm import GaussianMixture, plotting
from fastgmm.datasets import load_faithful

faithful = load_faithful()
X = faithful.data

# %%
# Components are not clusters
# ---------------------------
# BIC chooses three components with a common covariance, although anyone sees two clusters. The third component is for
# the shape of the longer eruptions, which are not quite Gaussian.

found = fastgmm.select(X, range(1, 6))
three = found.best_model
print(f"{found.best_covariance_type} with {found.best_n_components} components, BIC {three.bic(X):.1f}")
assert (found.best_covariance_type, found.best_n_components) == ("EEE", 3)

# %%
# :func:`fastgmm.merge` keeps the density and merges components that overlap, a pair at a time, by what it takes off
# the entropy of the assignment. Where the entropy stops falling, the clusters lie apart.

merging = fastgmm.merge(three, X)
print(merging)
assert merging.elbow == 2
clusters = merging.predict(X)

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
plotting.plot_classification(three, X, ax=left, feature_names=faithful.feature_names)
left.set_title("three components")
merging.plot(ax=middle)
middle.set_title("entropy of 1, 2 and 3 clusters")
for cluster, colour in enumerate(("#0072B2", "#D55E00")):
    right.scatter(*X[clusters == cluster].T, s=10, color=colour)
right.set(
    title="two clusters", xlabel=left.get_xlabel(), ylabel=left.get_ylabel(), xlim=left.get_xlim(), ylim=left.get_ylim()
)
print(np.sort(np.bincount(clusters)), "eruptions")
assert sorted(np.bincount(clusters)) == [97, 175]

# %%
# Is another component real?
# --------------------------
# The likelihood ratio of k against k + 1 components has no chi-squared distribution, so its distribution is found
# from samples of the smaller model. 99 of them allow p-values down to 0.01. Two components are rejected, and three
# are not: the third one is real, as a part of the density. This does not contradict the two clusters above, one of
# which has two components.

test = fastgmm.likelihood_ratio_test(X, 4, "EEE", n_resamples=99, random_state=0)
for k, p in zip(test.n_components, test.p_values, strict=True):
    print(f"{k} against {k + 1} components: p = {p:.2f}")
assert list(test.n_components) == [1, 2, 3]
assert test.p_values[1] < 0.05 < test.p_values[2]

# %%
# How sure are the parameters?
# ----------------------------
# Two components describe the two clusters, if each has a covariance of its own. :func:`fastgmm.bootstrap` fits that
# model again and again, under random weights of the samples.

two = GaussianMixture(2, random_state=0, tol=1e-8, max_iter=2000).fit(X)
replicates = fastgmm.bootstrap(two, X, n_resamples=999, random_state=0)
print(replicates)

# %%
# Standard errors of an ordinary mean agree where the clusters lie apart, which is a check worth making: the deviation
# of the samples of the cluster, over the root of their number.

short = two.means_[:, 0].argmin()
members = X[two.predict(X) == short]
simple = members.std(axis=0, ddof=1) / np.sqrt(len(members))
print("bootstrap:", replicates.standard_error.means[short].round(3), " simple:", simple.round(3))
assert np.allclose(replicates.standard_error.means[short], simple, rtol=0.2)

low, high = replicates.interval(0.95)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
left.scatter(*X.T, s=6, color="0.75")
for k, colour in enumerate(("#0072B2", "#D55E00")):
    left.scatter(*replicates.means[:, k].T, s=3, color=colour, alpha=0.3)
left.set(
    xlabel=faithful.feature_names[0] + " (min)",
    ylabel=faithful.feature_names[1] + " (min)",
    title="999 replicates of the means",
)
right.hist(replicates.weights[:, short], bins=40, color="#56B4E9")
right.axvline(two.weights_[short], color="0.2", label="estimate")
for end in (low, high):
    right.axvline(end.weights[short], color="0.2", linestyle="--")
right.plot([], [], color="0.2", linestyle="--", label="95 % interval")
right.set(
    xlabel="weight of the short eruptions", yticks=[], title=f"{low.weights[short]:.2f} to {high.weights[short]:.2f}"
)
right.set_ylim(0, 1.3 * right.get_ylim()[1])
right.legend(loc="upper right", framealpha=1)
assert low.weights[short] < 97 / 272 < high.weights[short]

plt.show()

"""
Old Faithful: conditional distributions and regression
======================================================

The Old Faithful geyser erupts for two to five minutes, and then it rests for forty to ninety-five. A ranger wants to
tell the visitors when the next eruption will come, and how sure that is. A fitted mixture answers this directly:
marginals and conditionals of a Gaussian mixture are Gaussian mixtures again, so nothing has to be sampled or
integrated.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastgmm
from fastgmm import GaussianMixture, GaussianMixtureRegressor, plotting
from fastgmm.datasets import load_faithful

faithful = load_faithful()
X = faithful.data
print(faithful.feature_names, X.shape)
gmm = GaussianMixture(2, random_state=0, tol=1e-6, max_iter=1000).fit(X)

# %%
# The density
# -----------
# The shaded regions are the smallest ones that hold 50, 80 and 95 % of the mixture.

figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
plotting.plot_density(gmm, X, ax=axes)
axes.set(xlabel="length of the eruption (min)", ylabel="wait for the next one (min)")

# %%
# Without knowing the last eruption
# ---------------------------------
# ``marginal`` keeps one feature. ``quantile`` and ``cdf`` are exact.

waiting = gmm.marginal(1)
low, middle, high = fastgmm.quantile(waiting, [0.05, 0.5, 0.95])
print(f"wait: median {middle:.0f} minutes, nine times in ten between {low:.0f} and {high:.0f}")
assert np.allclose([low, middle, high], np.quantile(X[:, 1], [0.05, 0.5, 0.95]), atol=2.0)  # those of the data

# %%
# Knowing it
# ----------
# ``condition`` is the distribution of the other features once one has been seen. After a short eruption the wait is
# about an hour at most. After one of 2.9 minutes, which neither kind usually takes, the wait may be a short or a long
# one.

figure, axes = plt.subplots(figsize=(7.5, 3), layout="constrained")
grid = np.linspace(35, 105, 400)
axes.fill_between(grid, np.exp(waiting.score_samples(grid[:, None])), color="0.85", label="not known")
for minutes, colour in ((2.0, "#0072B2"), (2.9, "#009E73"), (4.5, "#D55E00")):
    after = gmm.condition(0, minutes)
    low, high = fastgmm.quantile(after, [0.05, 0.95])
    label = f"{minutes} min: {low:.0f} to {high:.0f}"
    axes.plot(grid, np.exp(after.score_samples(grid[:, None])), color=colour, label=label)
axes.set(xlabel="wait for the next eruption (min)", ylabel="density", ylim=(0, None), xlim=(35, 105))
axes.legend(title="the last eruption took ...", frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))

after_short = gmm.condition(0, 2.0)
print(f"P(wait < 60 | eruption of 2 minutes) = {fastgmm.cdf(after_short, 60.0):.2f}")
assert 0.80 < fastgmm.cdf(after_short, 60.0) < 0.85

# %%
# As a regression
# ---------------
# :class:`fastgmm.GaussianMixtureRegressor` has the same in scikit-learn's terms: the expected wait for each eruption,
# with its standard deviation. ``from_mixture`` makes one of a mixture that is fitted already.

model = GaussianMixtureRegressor.from_mixture(gmm, targets=1)
eruptions = np.linspace(1.5, 5.3, 200)
expected, std = model.predict(eruptions[:, None], return_std=True)
print(f"R^2 = {model.score(X[:, :1], X[:, 1]):.3f}")

tails = np.array([fastgmm.quantile(gmm.condition(0, minutes), [0.05, 0.95]) for minutes in eruptions])
inside = np.array([0.05 <= fastgmm.cdf(gmm.condition(0, x), y) <= 0.95 for x, y in X])
print(f"{100 * inside.mean():.0f} % of the waits lie within the interval of 90 %")
assert 0.87 < inside.mean() < 0.94

figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
axes.fill_between(eruptions, *tails.T, color="#56B4E9", alpha=0.35, linewidth=0, label="5 % to 95 %")
axes.plot(eruptions, expected, color="#0072B2", label="expected wait")
axes.plot(eruptions, expected + std, color="#0072B2", linewidth=0.8, linestyle="--", label="± one standard deviation")
axes.plot(eruptions, expected - std, color="#0072B2", linewidth=0.8, linestyle="--")
axes.scatter(*X.T, s=8, color="0.25", zorder=3)
axes.set(xlabel="length of the eruption (min)", ylabel="wait for the next one (min)")
axes.legend(frameon=False, loc="lower right")

# %%
# Is it better than a straight line? A little: the two kinds of eruptions lie nearly on one. The mixture is worth its
# parameters for what the line does not have. Between the two kinds of eruptions it is less certain, and says so.

from sklearn.linear_model import LinearRegression  # noqa: E402
from sklearn.model_selection import cross_val_score  # noqa: E402

scores = {}
for name, regressor in (
    ("line", LinearRegression()),
    ("mixture", GaussianMixtureRegressor(2, random_state=0)),
):
    scores[name] = cross_val_score(regressor, X[:, :1], X[:, 1], cv=10).mean()
    print(f"{name:8} R^2 on samples left out: {scores[name]:.3f}")
assert 0.0 < scores["mixture"] - scores["line"] < 0.04

_, (middle, end) = model.predict([[3.0], [4.4]], return_std=True)
print(f"standard deviation after 3.0 minutes: {middle:.1f}, after 4.4 minutes: {end:.1f}")
assert middle > 1.2 * end

plt.show()

"""
Missing values: keep the rows
=============================

Real tables have holes. Two habits deal with them, and both are harmful: to drop the rows with holes, and to fill in
the means. A mixture does not need either. With ``missing_values="marginalize"`` each row counts by the values that it
has.

We take a table without holes, the diabetes study that comes with scikit-learn (442 patients), and remove values, so
that the truth is known.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes

from fastgmm import GaussianMixture

table = load_diabetes(scaled=False)
names = ["age", "bmi", "blood pressure", "s1", "s2", "s3", "s4", "s5", "s6", "progression"]
complete = np.column_stack([np.delete(table.data, 1, axis=1), table.target])  # all columns but sex, and the response
print(complete.shape)

# %%
# Remove values, and not by mere chance
# -------------------------------------
# A tenth of all values goes at random. And blood serum (``s1`` to ``s6``) is measured in only some of the patients:
# the higher the body mass index, the more often. Whether a value is missing depends on what is observed;
# statisticians call this *missing at random*. Heavy patients are then over-represented among the complete rows.

rng = np.random.default_rng(0)
lost = rng.uniform(size=complete.shape) < 0.10
lost[:, [1, 9]] = False
measured = rng.uniform(size=len(complete)) < 1 / (1 + np.exp(-(complete[:, 1] - 27) / 2))
lost[~measured, 3:9] = True
X = np.where(lost, np.nan, complete)
rows = ~np.isnan(X).any(axis=1)
print(f"{100 * lost.mean():.0f} % of the values are missing, {rows.sum()} of {len(X)} rows are complete")

# %%
# Fit
# ---
# One full Gaussian is enough to show what happens. More components work in the same way.

gmm = GaussianMixture(1, missing_values="marginalize").fit(X)
dropped = GaussianMixture(1).fit(X[rows])
filled_with_means = np.where(np.isnan(X), np.nanmean(X, axis=0), X)
averaged = GaussianMixture(1).fit(filled_with_means)
truth = GaussianMixture(1).fit(complete)

scale = np.sqrt(np.diag(truth.covariances_[0]))
bias = {
    "rows dropped": (dropped.means_[0] - truth.means_[0]) / scale,
    "means filled in": (averaged.means_[0] - truth.means_[0]) / scale,
    "marginalised": (gmm.means_[0] - truth.means_[0]) / scale,
}
for name, values in bias.items():
    print(f"{name:16} largest error of a mean: {abs(values).max():.2f} standard deviations")
assert (
    abs(bias["marginalised"]).max() < 0.5 * abs(bias["means filled in"]).max() < 0.5 * abs(bias["rows dropped"]).max()
)


# %%
# Correlations suffer too: a constant that is filled in has none.


def correlations(covariance):
    """Return the correlations of all pairs of features."""
    deviations = np.sqrt(np.diag(covariance))
    return (covariance / np.outer(deviations, deviations))[np.triu_indices(len(covariance), 1)]


figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
colours = {"rows dropped": "#E69F00", "means filled in": "#CC79A7", "marginalised": "#0072B2"}
for i, (name, values) in enumerate(bias.items()):
    left.barh(np.arange(10) + 0.27 * (1 - i), values, height=0.25, color=colours[name], label=name)
left.axvline(0, color="0.2", linewidth=0.8)
left.set(yticks=np.arange(10), yticklabels=names, xlabel="error of the mean (standard deviations)")
left.invert_yaxis()
of_all = correlations(truth.covariances_[0])
errors = {}
for name, model in (("rows dropped", dropped), ("means filled in", averaged), ("marginalised", gmm)):
    found = correlations(model.covariances_[0])
    errors[name] = np.sqrt(((found - of_all) ** 2).mean())
    right.plot(of_all, found, "o", markersize=4, color=colours[name], label=f"{name}: rms error {errors[name]:.2f}")
right.axline((0, 0), slope=1, color="0.2", linewidth=0.8)
right.set(xlabel="correlation in the complete table", ylabel="correlation found", aspect="equal")
right.legend(frameon=False, fontsize="small")
assert errors["marginalised"] < min(errors["rows dropped"], errors["means filled in"])

# %%
# Fill the holes, if a table without holes is needed
# --------------------------------------------------
# ``impute`` returns what is expected of each missing value, given the values that its row has.

filled = gmm.impute(X)
error = {
    "means": np.sqrt((((filled_with_means - complete) / scale)[lost] ** 2).mean()),
    "impute": np.sqrt((((filled - complete) / scale)[lost] ** 2).mean()),
}
print({name: f"{value:.2f} standard deviations" for name, value in error.items()})
assert error["impute"] < 0.85 * error["means"]

# %%
# Expected values vary less than true ones. For standard errors draw several tables, analyse each, and combine the
# results (multiple imputation, Rubin 1987). As an example, the slope of the progression on ``s5`` in a regression on
# all columns:

draws = gmm.impute(X, n_draws=20, random_state=0)


def slope(data):
    """Return the least-squares coefficient of s5, and its standard error."""
    design = np.column_stack([np.ones(len(data)), data[:, :9]])
    coefficients, residual, *_ = np.linalg.lstsq(design, data[:, 9], rcond=None)
    variance = residual[0] / (len(data) - 10) * np.linalg.inv(design.T @ design)
    return coefficients[8], np.sqrt(variance[8, 8])


each = np.array([slope(one) for one in draws])
combined = each[:, 0].mean(), np.sqrt((each[:, 1] ** 2).mean() + (1 + 1 / 20) * each[:, 0].var(ddof=1))
results = {
    "complete table": slope(complete),
    "rows dropped": slope(X[rows]),
    "means filled in": slope(filled_with_means),
    "20 imputations": combined,
}
figure, axes = plt.subplots(figsize=(6, 2.2), layout="constrained")
for i, (name, (value, standard_error)) in enumerate(results.items()):
    axes.errorbar(value, i, xerr=1.96 * standard_error, fmt="o", color="0.2" if i == 0 else "#0072B2", capsize=3)
    print(f"{name:16} {value:5.1f} +- {standard_error:.1f}")
axes.axvline(results["complete table"][0], color="0.2", linewidth=0.8, linestyle=":")
axes.set(yticks=range(4), yticklabels=list(results), xlabel="slope of the progression on s5, with 95 % intervals")
axes.invert_yaxis()
axes.margins(y=0.15)
assert results["20 imputations"][1] < 0.6 * results["rows dropped"][1]

# %%
# The interval of the imputations holds the value of the complete table, and is half as wide as that of the few
# complete rows. Filling in means gives the narrowest interval of all, because it takes invented values for measured
# ones. It is too narrow, and in the wrong place.

plt.show()

"""
Coming from scikit-learn
========================

Change the import and keep the rest: constructor, attributes, methods and, for equal data and ``random_state``, the
labels and the number of iterations are those of :class:`sklearn.mixture.GaussianMixture`. This page checks that on
handwritten digits, times both, and uses the estimator in a pipeline and a grid search.
"""

import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
import sklearn.mixture
from sklearn.datasets import load_digits, load_sample_image
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastgmm

digits = load_digits()
X = PCA(16, random_state=0).fit_transform(digits.data)

# %%
# The same answers
# ----------------

for covariance_type in ("full", "tied", "diag", "spherical"):
    theirs, ours = (
        module.GaussianMixture(10, covariance_type=covariance_type, random_state=0).fit(X)
        for module in (sklearn.mixture, fastgmm)
    )
    assert np.array_equal(ours.predict(X), theirs.predict(X))
    assert ours.n_iter_ == theirs.n_iter_
    assert np.isclose(ours.lower_bound_, theirs.lower_bound_, rtol=1e-6)
    print(f"{covariance_type:10} {ours.n_iter_} iterations, bound {ours.lower_bound_:.6f}, {theirs.lower_bound_:.6f}")

# %%
# In less time
# ------------
# The pixels of a photograph, with four and with sixteen components, ten iterations each. The kernels are compiled at
# the first fit on a machine and cached; a fit that is not timed makes sure of that.

pixels = load_sample_image("china.jpg").reshape(-1, 3)[::8].astype(float)
print(len(pixels), "pixels")
fastgmm.GaussianMixture(4, init_params="random_from_data", random_state=0).fit(pixels)
warnings.simplefilter("ignore", ConvergenceWarning)  # ten iterations are not meant to converge

seconds = {}
for n_components in (4, 16):
    options = {
        "n_components": n_components,
        "max_iter": 10,
        "tol": 0.0,
        "init_params": "random_from_data",
        "random_state": 0,
    }
    for name, module in (("scikit-learn", sklearn.mixture), ("fastgmm", fastgmm)):
        model = module.GaussianMixture(**options)
        started = time.perf_counter()
        model.fit(pixels)
        seconds[name, n_components] = time.perf_counter() - started

figure, axes = plt.subplots(figsize=(6, 2.4), layout="constrained")
for i, (name, colour) in enumerate((("scikit-learn", "#E69F00"), ("fastgmm", "#0072B2"))):
    times = [seconds[name, n_components] for n_components in (4, 16)]
    bars = axes.barh(np.arange(2) + 0.2 - 0.4 * i, times, height=0.38, color=colour, label=name)
    axes.bar_label(bars, [f"{value:.2g} s" for value in times], padding=3)
axes.set(
    yticks=[0, 1],
    yticklabels=["4 components", "16 components"],
    xlabel="seconds for ten iterations, on the machine that built this page",
)
axes.margins(x=0.12)
axes.legend(frameon=False)

# %%
# In a pipeline, and in a grid search
# -----------------------------------
# The estimator follows scikit-learn's protocol, so that everything that takes estimators takes it: ``clone``,
# ``Pipeline``, ``cross_val_score``, ``GridSearchCV``. The score is the mean log-likelihood of samples that were left
# out.

pipeline = make_pipeline(
    StandardScaler(with_std=False), PCA(16, random_state=0), fastgmm.GaussianMixture(random_state=0, reg_covar=0.1)
)
search = GridSearchCV(
    pipeline,
    {
        "gaussianmixture__n_components": [1, 5, 10, 15],
        "gaussianmixture__covariance_type": ["full", "tied", "diag", "spherical"],
    },
    cv=3,
)
search.fit(digits.data)
print(search.best_params_)

figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
results = search.cv_results_
for covariance_type, colour in zip(
    ("full", "tied", "diag", "spherical"), ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), strict=True
):
    chosen = results["param_gaussianmixture__covariance_type"] == covariance_type
    sizes = results["param_gaussianmixture__n_components"][chosen].astype(int)
    axes.plot(sizes, results["mean_test_score"][chosen], "o-", color=colour, label=covariance_type)
axes.set(xlabel="number of components", ylabel="log-likelihood of a sample left out", xticks=[1, 5, 10, 15])
axes.legend(frameon=False)

# %%
# Models can be exchanged
# -----------------------
# ``to_sklearn`` and ``from_sklearn`` copy fitted models between the classes.

best = search.best_estimator_[-1]
copied = best.to_sklearn()
samples = search.best_estimator_[:-1].transform(digits.data)
assert np.allclose(copied.score_samples(samples), best.score_samples(samples))
again = fastgmm.GaussianMixture.from_sklearn(copied)
assert np.array_equal(again.predict(samples), copied.predict(samples))
print(type(copied).__module__, "and", type(again).__module__)

# %%
# The differences are listed in the user guide: starts may be stopped early, several starts on large data are compared
# on a sample first, and there are more covariance structures and more starts.

plt.show()

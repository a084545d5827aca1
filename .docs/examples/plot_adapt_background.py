"""
Adapt a background model to a new writer
========================================

A speech recogniser is trained on many speakers and then used by one. It has seconds of that voice: far too little to
train on, and enough to move a model that is nearly right. The method is from speaker verification (Reynolds, Quatieri
& Dunn 2000): a *background* mixture is adapted, each component by as much as the new samples say about it.
``GaussianMixture.adapt`` does this in one pass.

No package ships the speech, so here are handwritten digits, 8 x 8 pixels, with the same problem. They are the test
part of the UCI "optical digits", by thirteen writers, one after another. The table does not say where a writer ends;
thirteen blocks of equal length are near enough.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from fastgmm import GaussianMixture

digits = load_digits()
writers = np.array_split(np.arange(len(digits.data)), 13)
print(len(writers), "writers with about", len(writers[0]), "digits each")

# %%
# One mixture for each digit
# --------------------------
# Class models are generative here: for each digit a mixture of eight components with a common covariance, on twenty
# principal components of the pixels. A new image is the digit whose mixture gives it the highest density.


def fit_background(writer):
    """Return the projection and ten mixtures that are fitted to all writers but one."""
    others = np.concatenate([rows for each, rows in enumerate(writers) if each != writer])
    projection = PCA(20, random_state=0).fit(digits.data[others])
    samples, labels = projection.transform(digits.data[others]), digits.target[others]
    mixtures = [
        GaussianMixture(8, covariance_type="tied", reg_covar=0.5, random_state=0).fit(samples[labels == digit])
        for digit in range(10)
    ]
    return projection, mixtures


def error(mixtures, samples, labels):
    """Return the share of the samples that are taken for another digit."""
    densities = np.column_stack([mixture.score_samples(samples) for mixture in mixtures])
    return (densities.argmax(axis=1) != labels).mean()


# %%
# The first sixty digits of the writer that was left out, six or so of each, are for adaptation. The others are for
# the test. ``relevance`` is the number of samples that the background counts for in each component.

counts = [0, 10, 20, 40, 60]
errors = {"adapted background": [], "new writer alone": []}
for writer, rows in enumerate(writers):
    projection, background = fit_background(writer)
    samples, labels = projection.transform(digits.data[rows]), digits.target[rows]
    test = slice(60, None)
    curve = []
    for count in counts:
        known, of = samples[:count], labels[:count]
        adapted = [
            mixture.adapt(known[of == digit], relevance=2.0) if (of == digit).any() else mixture
            for digit, mixture in enumerate(background)
        ]
        curve.append(error(adapted, samples[test], labels[test]))
    errors["adapted background"].append(curve)
    alone = [GaussianMixture(1, covariance_type="diag", reg_covar=0.5).fit(known[of == digit]) for digit in range(10)]
    errors["new writer alone"].append(error(alone, samples[test], labels[test]))

mean = {name: 100 * np.mean(values, axis=0) for name, values in errors.items()}
for count, percent in zip(counts, mean["adapted background"], strict=True):
    print(f"{count:2} digits of the new writer: {percent:.1f} % errors")
print(f"a Gaussian for each digit, of those 60 alone: {mean['new writer alone']:.1f} % errors")
assert mean["adapted background"][-1] < 0.75 * mean["adapted background"][0]
assert mean["new writer alone"] > 15

# %%
# Sixty digits take a third off the errors of the background. Models of these sixty alone are hopeless.

figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
axes.plot(counts, 100 * np.array(errors["adapted background"]).T, color="0.8", linewidth=1)
axes.plot(counts, mean["adapted background"], "o-", color="#0072B2", label="mean of 13 writers")
axes.plot([], [], color="0.7", label="each writer")
axes.set(xlabel="digits that the new writer has supplied", ylabel="errors (%)", ylim=(0, None), xticks=counts)
axes.legend(frameon=False)

# %%
# Effect on the components
# ------------------------
# Component j of the adapted model is still component j of the background, with another mean. Here are the digits
# seven and one of the last writer: the heaviest component before, after, and the difference between the two.

figure, panels = plt.subplots(2, 4, figsize=(6, 3.3), layout="constrained")
for i, digit in enumerate((7, 1)):
    own = samples[:60][labels[:60] == digit]
    moved = background[digit].adapt(own, relevance=2.0)
    heaviest = np.bincount(background[digit].predict(own), minlength=8).argmax()
    before, after = (projection.inverse_transform(m.means_[[heaviest]])[0] for m in (background[digit], moved))
    images = {
        "an example": projection.inverse_transform(own[:1])[0],
        "background": before,
        "adapted": after,
        "difference": after - before,
    }
    for axes, (title, image) in zip(panels[i], images.items(), strict=True):
        style = (
            {"cmap": "RdBu_r", "vmin": -6, "vmax": 6}
            if title == "difference"
            else {"cmap": "gray_r", "vmin": 0, "vmax": 16}
        )
        axes.imshow(image.reshape(8, 8), **style)
        axes.set(xticks=[], yticks=[])
        if i == 0:
            axes.set_title(title)

# %%
# Generative models can be asked for samples
# ------------------------------------------
# Samples that are drawn from a class model show what it has learned:

figure, panels = plt.subplots(3, 10, figsize=(8, 2.6), layout="constrained")
for digit, mixture in enumerate(background):
    drawn, _ = mixture.sample(3)
    for axes, image in zip(panels[:, digit], projection.inverse_transform(drawn), strict=True):
        axes.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
        axes.axis("off")

# %%
# With 39 features of speech, hundreds of components and millions of frames, components with diagonal covariances are
# the usual choice. For the 165 images of a digit they are too many parameters, and ``fit`` warns of that.

plt.show()

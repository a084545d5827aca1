"""
The colours of a photograph
===========================

A photograph is a table: one row for each pixel, with the three columns red, green and blue. A mixture of Gaussians
fitted to it is a palette, and more than a palette. Each component knows how its colour varies with the light, so that
a shaded wall and a sunlit one can be one colour. Here we

* draw a photograph with sixteen colours,
* compare that with k-means,
* cut an object out of another photograph.

The two photographs come with scikit-learn.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_sample_image

from fastgmm import GaussianMixture

china = load_sample_image("china.jpg")
pixels = china.reshape(-1, 3)
print(
    f"{china.shape[0]} x {china.shape[1]} = {len(pixels)} pixels of {pixels.dtype}, "
    f"{len(np.unique(pixels, axis=0))} different colours"
)

# %%
# Sixteen colours
# ---------------
# The pixels can stay integers of eight bits: the fit computes with them in double precision. Many pixels are equal,
# and equal ones are gathered before the first iteration, which changes nothing but the time.

gmm = GaussianMixture(n_components=16, random_state=0).fit(pixels)
gmm.sort_components("weight")
labels = gmm.predict(pixels)
print(gmm.n_iter_, "iterations; weights", gmm.weights_.round(2))

# %%
# Each pixel can now be drawn in the mean colour of its component. k-means does the same for its sixteen centres:

by_kmeans = KMeans(16, n_init=1, random_state=0).fit(pixels.astype(float))
order = np.argsort(-np.bincount(by_kmeans.labels_))
palettes = {
    "16 components": (gmm.means_, gmm.weights_),
    "16 means": (by_kmeans.cluster_centers_[order], np.bincount(by_kmeans.labels_)[order] / len(pixels)),
}
drawn = {
    "photograph": china,
    "16 components": gmm.means_[labels].round().astype(np.uint8).reshape(china.shape),
    "16 means": by_kmeans.cluster_centers_[by_kmeans.labels_].round().astype(np.uint8).reshape(china.shape),
}

figure, panels = plt.subplots(2, 3, figsize=(10, 3.0), height_ratios=[9, 1], layout="constrained")
for (name, image), (above, below) in zip(drawn.items(), panels.T, strict=True):
    above.imshow(image)
    above.set_title(name)
    above.axis("off")
    below.axis("off")
    if name in palettes:
        colours, shares = palettes[name]
        below.barh(0, shares, left=np.cumsum(shares) - shares, color=colours / 255)
        below.set_xlim(0, 1)

error = {name: np.sqrt(((pixels.astype(float) - image.reshape(-1, 3)) ** 2).mean()) for name, image in drawn.items()}
print({name: f"{value:.1f} of 255" for name, value in error.items()})
assert error["16 means"] < error["16 components"]

# %%
# k-means puts its colours where they save most squared error, and is the better choice if that error is all that
# matters, as in the compression of an image. The mixture describes how the colours are distributed. Its sky has
# several narrow components, since the sky is a third of the picture and varies little, and a few wide ones share what
# is left. In exchange it has a density, and with it the spread of each colour:

volumes = np.sqrt(np.linalg.det(gmm.covariances_))
print("volume of the widest component over that of the narrowest:", int(volumes.max() / volumes.min()))

# %%
# Cut out a flower
# ----------------
# The same idea finds an object whose colours are unlike those around it. We fit a few components to each of two
# regions that we mark with rectangles: one inside the flower, one of leaves. The pixels of the whole photograph are
# then compared by the densities of the two mixtures. No pixel needs a label of its own.

flower = load_sample_image("flower.jpg")
petals = flower[150:300, 240:420].reshape(-1, 3)
leaves = flower[:, :90].reshape(-1, 3)

foreground = GaussianMixture(4, random_state=0).fit(petals)
background = GaussianMixture(4, random_state=0).fit(leaves)
everything = flower.reshape(-1, 3)
evidence = (foreground.score_samples(everything) - background.score_samples(everything)).reshape(flower.shape[:2])
mask = evidence > 0

figure, panels = plt.subplots(1, 3, figsize=(9, 2.4), layout="constrained")
panels[0].imshow(flower)
for (x, y, width, height), colour in (((240, 150, 180, 150), "white"), ((0, 0, 90, 426), "cyan")):
    panels[0].add_patch(plt.Rectangle((x, y), width, height, fill=False, edgecolor=colour, linewidth=1.5))
panels[0].set_title("two marked regions")
shown = panels[1].imshow(evidence.clip(-50, 50), cmap="RdBu_r")
panels[1].set_title("log-density ratio")
figure.colorbar(shown, ax=panels[1], shrink=0.8)
panels[2].imshow(np.where(mask[..., None], flower, 255))
panels[2].set_title("cut out")
for axes in panels:
    axes.axis("off")
print(f"{100 * mask.mean():.0f} % of the pixels are flower")

plt.show()

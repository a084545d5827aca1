"""
Files larger than memory, a fit that is interrupted, and a stream
=================================================================

EM reads the data once per iteration and keeps sums only. So the data need not be in memory: a ``.npy`` file, a
directory of them or anything that can be read again and again will do. The results are those of the same data in
memory, to the bit.

The data are small patches of a photograph, 4 x 4 pixels each, of which a photograph has hundreds of thousands.
Mixtures of such patches remove noise from images, and that is how this page ends.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_sample_image

import fastgmm
from fastgmm import GaussianMixture


def patches(image):
    """Return all 4 x 4 patches of a grey image as rows of 16 numbers."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (4, 4))
    return windows.reshape(-1, 16).astype(np.float32)


directory = tempfile.TemporaryDirectory()
folder = Path(directory.name) / "patches"
folder.mkdir()
flower = load_sample_image("flower.jpg")
for channel, name in enumerate(("red", "green", "blue")):
    np.save(folder / f"{name}.npy", patches(flower[::2, ::2, channel]))
print([f"{path.name}: {path.stat().st_size / 2**20:.1f} MB" for path in sorted(folder.iterdir())])

# %%
# Fit a directory
# ---------------
# The path of the directory takes the place of the array. (Three small files stand for three thousand large ones.)

options = {"n_components": 10, "reg_covar": 1.0, "tol": 1e-2, "random_state": 0}
gmm = GaussianMixture(**options).fit(folder)
print(gmm.n_iter_, "iterations, mean log-likelihood", round(gmm.score(folder), 3))

in_memory = np.concatenate([np.load(path) for path in sorted(folder.iterdir())])
assert np.array_equal(GaussianMixture(**options).fit(in_memory).means_, gmm.means_)

# %%
# Predictions are read in the same way: labels need eight bytes a sample, and nothing else is kept.

labels = gmm.predict(folder)
print(len(in_memory), "patches, of which each component has", np.bincount(labels))

# %%
# Anything that can be read again
# -------------------------------
# ``fastgmm.chunks`` takes a function that returns a fresh iterator: rows of a database, pieces of a remote file,
# batches of a loader. This one breaks down in the fifth pass. With ``checkpoint`` the state of the fit is in a file
# by then, and the same call resumes from it. The result is that of a fit that was never interrupted.

readings = []


def unreliable():
    """Yield the files one by one, and fail once."""
    readings.append(None)
    if len(readings) == 5:
        raise ConnectionError("the server is gone")
    for path in sorted(folder.iterdir()):
        yield np.load(path)


state = Path(directory.name) / "state.npz"
source = fastgmm.chunks(unreliable)
try:
    GaussianMixture(**options).fit(source, checkpoint=state, checkpoint_every=0)
except ConnectionError as error:
    print(f"stopped: {error}; the state is in {state.name}, {state.stat().st_size} bytes")

resumed = GaussianMixture(**options).fit(source, checkpoint=state, checkpoint_every=0)
assert np.array_equal(resumed.means_, gmm.means_)
assert resumed.n_iter_ == gmm.n_iter_
assert not state.exists()  # a fit that completes removes it
print("resumed, with the same bits after", resumed.n_iter_, "iterations")

# %%
# A stream
# --------
# If data pass by once, ``partial_fit`` learns from each batch and forgets it. The order matters: batches should be
# random samples, so these are shuffled. One pass comes close to EM, which has read the data many times.

stream = GaussianMixture(**options)
shuffled = np.random.default_rng(0).permutation(len(in_memory))
scores = []
for rows in np.array_split(shuffled, 60):
    stream.partial_fit(in_memory[rows])
    scores.append(stream.score(in_memory[::10]))

figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.plot(np.arange(1, 61) * len(in_memory) // 60, scores, color="#0072B2", label="partial_fit")
axes.axhline(gmm.score(in_memory[::10]), color="0.3", linestyle="--", label=f"EM, {gmm.n_iter_} passes")
axes.set(xlabel="patches seen", ylabel="mean log-likelihood")
axes.legend(frameon=False)
assert scores[-1] > gmm.score(in_memory[::10]) - 1.0

# %%
# An application: remove noise from another photograph
# ----------------------------------------------------
# A mixture of patches has learned how neighbouring pixels go together. Here is another photograph, with noise of a
# standard deviation of 20. If the variance of the noise is known, ``noise_covariance`` says so, and ``predict_proba``
# has the probability of each component for the patch *without* its noise. Within a component the expected patch is
# linear in the noisy one, as in a Wiener filter. Overlapping patches are averaged.

china = load_sample_image("china.jpg").mean(axis=2)[40:240, 150:400]
variance = 20.0**2
noisy = china + np.random.default_rng(3).normal(0, np.sqrt(variance), size=china.shape)

seen = patches(noisy)
probability = gmm.predict_proba(seen, noise_covariance=np.full(16, variance))
expected = np.zeros(seen.shape)
for k in range(gmm.n_components):
    gain = gmm.covariances_[k] @ np.linalg.inv(gmm.covariances_[k] + variance * np.eye(16))
    expected += probability[:, [k]] * (gmm.means_[k] + (seen - gmm.means_[k]) @ gain.T)

stacked = expected.reshape(len(china) - 3, -1, 4, 4)
total, count = np.zeros_like(china), np.zeros_like(china)
for i in range(4):
    for j in range(4):
        place = np.s_[i : i + stacked.shape[0], j : j + stacked.shape[1]]
        total[place] += stacked[:, :, i, j]
        count[place] += 1
denoised = total / count

# %%
# For comparison a Gaussian blur, whose width is chosen with the original at hand, which the mixture has not seen.

blurred = min(
    (gaussian_filter(noisy, width) for width in np.arange(0.3, 1.5, 0.05)),
    key=lambda image: ((image - china) ** 2).mean(),
)
error = {
    name: np.sqrt(((image - china) ** 2).mean())
    for name, image in (("noisy", noisy), ("best blur", blurred), ("mixture", denoised))
}
print({name: f"{value:.1f} of 255" for name, value in error.items()})
assert error["mixture"] < 0.8 * error["best blur"] < 0.8 * error["noisy"]

figure, panels = plt.subplots(2, 2, figsize=(8, 6.8), layout="constrained")
pictures = {
    f"noisy, error {error['noisy']:.1f}": noisy,
    f"best Gaussian blur, error {error['best blur']:.1f}": blurred,
    f"mixture of patches, error {error['mixture']:.1f}": denoised,
    "original": china,
}
for axes, (title, image) in zip(panels.flat, pictures.items(), strict=True):
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    axes.set_title(title)
    axes.axis("off")

directory.cleanup()
plt.show()

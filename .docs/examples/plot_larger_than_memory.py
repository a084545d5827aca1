"""
Files larger than memory, a fit that is interrupted, and a stream
=================================================================

EM reads the data once per iteration and keeps sums only. So the data need not be in memory: a ``.npy`` file, a directory of them or anything that can
be read again and again will do. The results are those of the same data in memory, to the bit.

The data are small patches of a photograph, 4 x 4 pixels each, of which a photograph has hundreds of thousands. Mixtures of such patches are
used to remove noise and to repair images, and that is how this page ends.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
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
# ``fastgmm.chunks`` takes a function that returns a fresh iterator: rows of a database, pieces of a remote file, batches of a loader. This one breaks
# down in the fifth pass. With ``checkpoint`` the state of the fit is in a file by then, and the same call resumes from it. The result is that of a
# fit that was never interrupted.

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
# If data pass by once, ``partial_fit`` learns from each batch and forgets it. The order matters: batches should be random samples, so these are
# shuffled. One pass comes close to EM, which has read the data many times.

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
# What it is good for: repair another photograph
# ----------------------------------------------
# A mixture of patches has learned how neighbouring pixels go together. Here a third of the lines of another photograph is lost. Each patch is
# completed by what its other pixels let us expect (``impute``), and overlapping patches are averaged. For comparison each lost pixel is also
# interpolated between the lines above and below.

china = load_sample_image("china.jpg").mean(axis=2)[40:240, 150:400]
lost = np.random.default_rng(3).uniform(size=len(china)) < 0.33
lost[[0, -1]] = False
damaged = china.copy()
damaged[lost] = np.nan

model = GaussianMixture.from_parameters(gmm.weights_, gmm.means_, gmm.covariances_)
model.set_params(missing_values="marginalize")
filled = model.impute(patches(damaged)).reshape(len(china) - 3, -1, 4, 4)
total, count = np.zeros_like(china), np.zeros_like(china)
for i in range(4):
    for j in range(4):
        place = np.s_[i : i + filled.shape[0], j : j + filled.shape[1]]
        total[place] += np.nan_to_num(filled[:, :, i, j])
        count[place] += 1
repaired = np.where(np.isnan(damaged), total / count, damaged)

lines = np.arange(len(china))
interpolated = np.array([np.interp(lines, lines[~lost], column[~lost]) for column in damaged.T]).T
error = {name: np.sqrt(((image - china)[lost] ** 2).mean()) for name, image in (("interpolation", interpolated), ("mixture", repaired))}
print({name: f"{value:.1f} of 255" for name, value in error.items()})

figure, panels = plt.subplots(2, 2, figsize=(8, 6.6), layout="constrained")
pictures = {
    "damaged": np.nan_to_num(damaged, nan=255),
    f"interpolated, error {error['interpolation']:.1f}": interpolated,
    f"mixture of patches, error {error['mixture']:.1f}": repaired,
    "original": china,
}
for axes, (title, image) in zip(panels.flat, pictures.items(), strict=True):
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    axes.set_title(title)
    axes.axis("off")

directory.cleanup()
plt.show()

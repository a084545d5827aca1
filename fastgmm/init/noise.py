"""Where noise begins: its volume, and the samples that are noise at first."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastgmm.data.source import ArraySource, Source
from fastgmm.em.step import MaximumLikelihood, Step
from fastgmm.em.sweep import ranges, sweep, total
from fastgmm.init.starts import Find, Start
from fastgmm.model.collinear import collinear, described, numbered
from fastgmm.model.noise import Noise
from fastgmm.model.params import Params

Float = NDArray[np.float64]

#: Samples, at most, whose neighbours are looked for: so many, or so many for each component. Neighbours of 20 000 samples of 8
#: features take 0.8 s, as long as a hundred iterations on ten times as many; of 5000 samples 0.1 s.
MOST_SAMPLES, EACH = 5000, 200
#: Which neighbour's distance is taken, as Byers & Raftery (1998) do in their examples.
NEIGHBOUR = 12
#: Samples whose distances to all others are found at once.
_BLOCK = 256
#: Iterations for the two densities of distances, and the change of the share of noise that ends them.
_ITERATIONS, _TOL = 200, 1e-6
#: The least and the greatest share of noise to begin with: EM never leaves a weight of 0, and a start needs samples.
_LEAST, _MOST = 0.01, 0.5


def noise_of(source: Source, n_threads: int | None) -> Noise:
    """Return noise of weight 0 over the samples: in their box, or in that along their principal axes if it is smaller.

    Of samples with missing values it is their box: the density of some features of another one is not constant.

    Two passes, and a third one for more than one feature. Raises ValueError if the samples have no volume.
    """
    d = source.n_features
    low, high = ranges(source, n_threads)
    flat = np.flatnonzero(high <= low).tolist()
    scatter = total(source, n_threads).scatter
    constant: dict[int, list[int]] = {j: [] for j in flat}
    found = constant or collinear(scatter)
    if found:
        raise ValueError(
            f"noise has a density of 1 over the volume of the data, which is 0: {described(found, numbered(d))} (features counted "
            "from 0). Drop what is constant or what others imply, or pass noise=False"
        )
    box = Noise(0.0, np.eye(d), low, high)
    if d == 1 or source.incomplete:
        return box
    axes = np.linalg.eigh(scatter)[1]
    turned = Noise(0.0, axes, *ranges(source, n_threads, axes))
    return min(box, turned, key=lambda noise: noise.log_volume)


@dataclass(frozen=True)
class NoiseStart:
    """Find first parameters from the samples that are not noise; noise has the weight of the others.

    find : how parameters of those samples are found
    points : whether these are points: beside noise they would hold no samples, so that they become components without it
    weight : that of noise if the samples given are already without it
    """

    find: Find
    points: bool = False
    weight: float | None = None

    def __call__(
        self,
        source: ArraySource,
        step: Step,
        k: int,
        random_state: np.random.RandomState,
        n_threads: int | None,
    ) -> Params:
        assert isinstance(step, MaximumLikelihood)
        weight, noise = self.weight, step.noise
        assert noise is not None
        if weight is None:
            source = source.subsample(max(MOST_SAMPLES, EACH * k), random_state, k)
            source, weight = without_noise(source, k)
        plain = replace(step, noise=None)
        params = self.find(source, plain, k, random_state, n_threads)
        if self.points:
            params = plain.maximise(sweep(source, params.normalised(), n_threads), params)
        weights = params.weights * ((1.0 - weight) / params.weights.sum())
        return replace(params, weights=weights, noise=replace(noise, weight=weight))


def noisy(start: Start, clean: Source | None = None, weight: float | None = None) -> Start:
    """Return a start with noise: among the samples, or beside `clean` ones and with a known `weight`."""
    return start._replace(find=NoiseStart(start.find, start.points, weight), without_data=False, clean=clean)


def continued(params: Params, noise: Noise | None) -> Params:
    """Return the parameters of an earlier fit with `noise` or without any; noise that is new begins with the least weight."""
    if noise is None:
        return params if params.noise is None else replace(params, noise=None).normalised()
    if params.noise is None:
        return replace(params, weights=params.weights * (1.0 - _LEAST), noise=replace(noise, weight=_LEAST))
    return replace(params, noise=replace(noise, weight=params.noise.weight))


def without_noise(source: ArraySource, k: int) -> tuple[ArraySource, float]:
    """Return the samples that are not noise by the distance to a neighbour, and the share of the weight of the others."""
    distances = neighbour_distances(np.asarray(source.X, np.float64))
    far = distance_noise(distances, source.n_features)
    # enough for the components, and at least half of all
    least = max(math.ceil((1.0 - _MOST) * source.n_samples), min(source.n_samples, 2 * k))
    if source.n_samples - np.count_nonzero(far) < least:
        far = np.ones(source.n_samples, np.bool_)
        far[np.argsort(distances, kind="stable")[:least]] = False
    weights = np.ones(source.n_samples) if source.weights is None else source.weights.astype(np.float64)
    share = float(weights[far].sum() / weights.sum())
    of_near = weights[~far] * source.weight_unit
    near = ArraySource.weighted(source.X[~far], of_near, incomplete=source.incomplete)
    return near, min(max(share, _LEAST), _MOST)


def neighbour_distances(X: Float) -> Float:
    """Return the distance (n,) of each sample to its neighbour number `NEIGHBOUR`, of features scaled to unit variances."""
    if np.isnan(X).any():
        return _incomplete_distances(X)
    from scipy.spatial import cKDTree  # here, since it takes a while to import and few fits need it

    scale = X.std(axis=0)
    scaled = (X - X.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    which = min(NEIGHBOUR, len(X) - 1)
    distances: Float = cKDTree(scaled).query(scaled, [which + 1])[0][:, 0]
    return distances


def _incomplete_distances(X: Float) -> Float:
    """Do `neighbour_distances` for samples with missing values, with distances by the features that both samples have.

    A squared distance is multiplied by d over their number; there are no neighbours if there are none. Cost: 3 n^2 d operations.
    """
    n, d = X.shape
    scale = np.nanstd(X, axis=0)
    scaled = (X - np.nanmean(X, axis=0)) / np.where(scale > 0, scale, 1.0)
    there = (~np.isnan(X)).astype(np.float64)
    scaled = np.where(there > 0, scaled, 0.0)
    which, distances = min(NEIGHBOUR, n - 1), np.empty(n)
    for start in range(0, n, _BLOCK):
        rows = slice(start, start + _BLOCK)
        shared = there[rows] @ there.T
        squares = scaled[rows] ** 2 @ there.T + there[rows] @ (scaled**2).T - 2.0 * scaled[rows] @ scaled.T
        with np.errstate(divide="ignore", invalid="ignore"):
            squares = np.where(shared > 0, np.maximum(squares, 0.0) * (d / shared), np.inf)
        distances[rows] = np.sqrt(np.partition(squares, which, axis=1)[:, which])
    finite = np.isfinite(distances)
    distances[~finite] = distances[finite].max(initial=1.0)
    return distances


def distance_noise(distances: Float, d: int) -> NDArray[np.bool_]:
    """Return which samples (n,) are noise, given their distances to the K-th neighbour.

    In a Poisson process of intensity lambda, lambda alpha_d D^d has a Gamma density of shape K, where alpha_d is the volume of the
    unit ball. Samples are of two processes, features and the sparser noise, and EM finds the two rates: S. Byers and A. E.
    Raftery, Nearest-neighbor clutter removal for estimating features in spatial point processes, J. Am. Stat. Assoc. 93, 1998.
    """
    far = np.zeros(len(distances), np.bool_)
    if not distances.max() > distances.min():
        return far
    with np.errstate(divide="ignore"):
        volumes = np.exp(d * (np.log(distances) - math.log(distances.max())))  # their common scale does not matter
    resp = (distances > np.quantile(distances, 0.75)).astype(np.float64)
    share = 0.0
    for _ in range(_ITERATIONS):
        before, share = share, float(resp.mean())
        sums = np.array([volumes @ (1.0 - resp), volumes @ resp])
        if not 0.0 < share < 1.0 or not (sums > 0.0).all() or abs(share - before) < _TOL:
            break
        rates = NEIGHBOUR * np.array([1.0 - share, share]) * len(volumes) / sums
        # log-odds of noise: the powers of the distance are the same in both densities
        odds = math.log(share / (1.0 - share)) + NEIGHBOUR * math.log(rates[1] / rates[0])
        odds = odds - (rates[1] - rates[0]) * volumes
        resp = 1.0 / (1.0 + np.exp(np.clip(-odds, -700.0, 700.0)))
    noise: NDArray[np.bool_] = resp > 0.5
    return noise

"""Densities and one EM step of Gaussian mixtures in exact arithmetic, or nearly: what `bench.accuracy` measures against.

Sums, products, Cholesky factors and quotients are integers in units of 2^-400, in object arrays of NumPy; logarithms,
exponentials and eigenvectors are mpmath's, of 50 digits. The float64 input is taken as exact, the formulas as they stand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath
import numpy as np
from numpy.typing import NDArray

DIGITS = 50
#: Binary digits after the point: numbers down to 1e-60 have 60 decimal digits, of magnitudes that the cases have.
BITS = 400

mp = mpmath.MPContext()
mp.dps = DIGITS


class Mixture(NamedTuple):
    """Input: X (n, d), weights (k,), means (k, d), covariances as `layout` has them."""

    layout: str
    X: NDArray
    weights: NDArray
    means: NDArray
    covariances: NDArray


class Densities(NamedTuple):
    """E-step, numbers of mpmath: log_density, resp (n, k); log_prob (n,)."""

    log_density: NDArray
    resp: NDArray
    log_prob: NDArray


class Step(NamedTuple):
    """M-step, numbers of mpmath: weights (k,), means (k, d), covariances as the layout has them."""

    weights: NDArray
    means: NDArray
    covariances: NDArray


def _each(function: Callable[[Any], Any]) -> Callable[[NDArray], NDArray]:
    return np.vectorize(function, otypes=[object])


def _fixed(x: float) -> int:
    mantissa, exponent = math.frexp(x)
    whole, shift = int(mantissa * 2.0**53), exponent - 53 + BITS
    return whole << shift if shift >= 0 else whole >> -shift


fixed = _each(_fixed)
floats = _each(mp.mpf)
roots = _each(mp.sqrt)
numbers = _each(lambda x: mp.ldexp(mp.mpf(int(x)), -BITS))
units = _each(lambda x: int(mp.ldexp(x, BITS)))
log, exp = _each(mp.log), _each(mp.exp)


def product(a: NDArray, b: NDArray) -> NDArray:
    """Matrix product of fixed-point numbers."""
    return (a @ b) >> BITS


def quotient(a: NDArray, b: Any) -> NDArray:
    return (a << BITS) // b


def cholesky(matrix: NDArray) -> NDArray:
    """Lower triangular factor (its upper triangle is of no meaning)."""
    factor = matrix.copy()
    for j in range(len(factor)):
        factor[j, j] = math.isqrt(factor[j, j] << BITS)
        factor[j + 1 :, j] = quotient(factor[j + 1 :, j], factor[j, j])
        column = factor[j + 1 :, j]
        for i in range(j + 1, len(factor)):
            factor[i, j + 1 : i + 1] -= (column[i - j - 1] * column[: i - j]) >> BITS
    return factor


def _solve(factor: NDArray, diff: NDArray) -> NDArray:
    """Squares of L^-1 diff, summed, for the rows of `diff`."""
    rest, squares = diff.copy(), diff[:, 0] * 0
    for j in range(len(factor)):
        z = quotient(rest[:, j], factor[j, j])
        rest[:, j + 1 :] -= (z[:, None] * factor[j + 1 :, j]) >> BITS
        squares += (z * z) >> BITS
    return squares


class Wobble:
    """Moves numbers by one in their last place, up or down at random: by `eps` relatively. With eps = 0 it does nothing."""

    def __init__(self, eps: float = 0.0, seed: int = 0) -> None:
        self._eps, self._rng = eps, np.random.default_rng(seed)

    def signs(self, shape: tuple[int, ...]) -> NDArray:
        return self._rng.choice([-1, 1], size=shape)

    def fixed(self, values: NDArray, *, symmetric: bool = False) -> NDArray:
        whole, signs = fixed(values), self.signs(values.shape)
        if self._eps == 0:
            return whole
        if symmetric:
            signs = np.tril(signs) + np.swapaxes(np.tril(signs, -1), -1, -2)
        return whole + signs.astype(object) * (whole >> -round(math.log2(self._eps)))

    def numbers(self, values: NDArray) -> NDArray:
        return values * (1 + mp.mpf(self._eps) * self.signs(values.shape).astype(object))


class Fixed(NamedTuple):
    """A mixture in fixed-point numbers, its weights mpmath's."""

    layout: str
    X: NDArray
    log_weights: NDArray
    means: NDArray
    covariances: NDArray


def taken(mixture: Mixture, wobble: Wobble) -> Fixed:
    matrices = mixture.layout in ("full", "tied")
    weights = wobble.numbers(floats(mixture.weights.astype(np.float64)))
    return Fixed(
        mixture.layout,
        wobble.fixed(np.asarray(mixture.X, np.float64)),
        _each(lambda w: mp.log(w) if w > 0 else mp.ninf)(weights),
        wobble.fixed(mixture.means),
        wobble.fixed(mixture.covariances, symmetric=matrices),
    )


def _log_density(mixture: Fixed) -> NDArray:
    k, d = mixture.means.shape
    columns, factor = [], None
    for c in range(k):
        diff = mixture.X - mixture.means[c]
        if mixture.layout in ("full", "tied"):
            if mixture.layout == "full" or factor is None:
                factor = cholesky(mixture.covariances[c] if mixture.layout == "full" else mixture.covariances)
            log_det = 2 * log(numbers(np.diagonal(factor))).sum()
            squares = _solve(factor, diff)
        else:
            variances = (
                mixture.covariances[c] if mixture.layout == "diag" else np.full(d, mixture.covariances[c], object)
            )
            log_det = log(numbers(variances)).sum()
            squares = quotient(diff * diff >> BITS, variances).sum(axis=1)
        columns.append(-(d * mp.log(2 * mp.pi) + log_det + numbers(squares)) / 2)
    return np.stack(columns, axis=1)


def densities(mixture: Fixed, wobble: Wobble) -> Densities:
    """Log-densities, responsibilities, log-likelihoods. Weighted log-densities are rounded to the last place, too."""
    log_density = _log_density(mixture)
    weighted = wobble.numbers(log_density + mixture.log_weights)
    top = weighted.max(axis=1)
    shares = exp(weighted - top[:, None])
    total = shares.sum(axis=1)
    return Densities(log_density, shares / total[:, None], top + log(total))


def step(mixture: Fixed, resp: NDArray, structure: str) -> Step:
    """The M-step of a structure (Celeux & Govaert 1995) that has a closed form, without regularisation."""
    counts = resp.sum(axis=0)
    weights = counts / counts.sum()
    means, own = [], []
    for share in units(resp / counts).T:  # of a sample in a component, whose count may be far below 2^-400
        means.append(product(share, mixture.X))
        diff = mixture.X - means[-1]
        if mixture.layout in ("full", "tied"):
            own.append(product((share[:, None] * diff >> BITS).T, diff))
        else:
            own.append(product(share, diff * diff >> BITS))
    return Step(weights, numbers(np.stack(means)), COVARIANCES[structure](np.stack(own), weights))


def _pooled(own: NDArray, weights: NDArray) -> NDArray:
    return (weights.reshape(-1, *[1] * (own.ndim - 1)) * numbers(own)).sum(axis=0)


def _equal_volume(own: NDArray, log_dets: NDArray, weights: NDArray) -> NDArray:
    """S_k / |S_k|^(1/d) times the mean of these roots."""
    roots = exp(log_dets / own.shape[-1])
    return numbers(own) * ((weights * roots).sum() / roots).reshape(-1, *[1] * (own.ndim - 1))


def _evi(own: NDArray, weights: NDArray) -> NDArray:
    return _equal_volume(own, log(numbers(own)).sum(axis=1), weights)


def _evv(own: NDArray, weights: NDArray) -> NDArray:
    log_dets = [2 * log(numbers(np.diagonal(cholesky(matrix)))).sum() for matrix in own]
    return _equal_volume(own, np.array(log_dets), weights)


def _eev(own: NDArray, weights: NDArray) -> NDArray:
    """D_k A D_k^T: D_k the eigenvectors of S_k, A the mean of their eigenvalues in order."""
    pairs = [mp.eigsy(mp.matrix(numbers(matrix).tolist())) for matrix in own]
    shape = [sum(w * pair[0][j] for w, pair in zip(weights, pairs, strict=True)) for j in range(own.shape[-1])]
    return np.array([(axes * mp.diag(shape) * axes.T).tolist() for _, axes in pairs], dtype=object)


#: Covariances from those of each component, S_k: (k, d, d), or their diagonals (k, d), also for spherical ones; and weights.
COVARIANCES: dict[str, Callable[[NDArray, NDArray], NDArray]] = {
    "full": lambda own, weights: numbers(own),
    "tied": _pooled,
    "diag": lambda own, weights: numbers(own),
    "spherical": lambda own, weights: numbers(own).mean(axis=1),
    "EII": lambda own, weights: np.repeat(_pooled(own, weights).mean(), len(weights)),
    "EEI": lambda own, weights: np.tile(_pooled(own, weights), (len(weights), 1)),
    "EVI": _evi,
    "EEV": _eev,
    "EVV": _evv,
}

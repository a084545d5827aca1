"""EM near a fixed point, as a linear map: where it ends if samples get other weights, in one sweep or two.

An iteration takes statistics x to those of the responsibilities of Step(x). Of features T(s) = (1, s, s s^T) a component's
log-density with its log-weight is eta_k T, and

    d(sum_i w_i r_ik T_i) = sum_j H_kj d eta_j,  H_kj = sum_i w_i r_ik (delta_kj - r_ij) T_i T_i^T,

the information that is missing (Louis, J. R. Stat. Soc. B 44, 1982). With D = d eta / dx of the step, J = H D is the derivative of
the iteration. Other weights, which take the fixed point x to x_1, have theirs near x + (I - J)^-1 (x_1 - x): Newton's step. What
the objective still gains is half (x_1 - x)^T D (I - J)^-1 (x_1 - x).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastgmm.data.source import ArraySource
from fastgmm.em import evaluate
from fastgmm.em.step import Step
from fastgmm.em.sweep import sweep
from fastgmm.model.layouts import FULL, Layout
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats

Float = NDArray[np.float64]

#: Numbers of a block of features times responsibilities: 4 MB.
_BLOCK = 1 << 19
#: Relative size of a step of a difference. M-steps that iterate are exact to 1e-8 only.
_DIFFERENCE = 3e-4
#: Newton's steps for one set of weights, at most; a gain of the log-likelihood below this ends them. What is then left is a
#: small part of it.
_MOST, _LEFT = 6, 1e-2
#: The most numbers among the statistics: the map is a matrix of their square.
MOST_STATISTICS = 600


class _Diagonal:
    """Statistics of components along the axes: T = (1, s, s^2), or (1, s, |s|^2) if all features have one variance."""

    def __init__(self, layout: Layout, d: int, origin: Float) -> None:
        self.layout, self.d, self.origin = layout, d, origin
        self._sphere = not layout.shape(1, d)[1:]
        self.size = d + 2 if self._sphere else 2 * d + 1

    def features(self, X: NDArray) -> Float:
        s = X - self.origin
        squares = (s**2).sum(axis=1, keepdims=True) if self._sphere else s**2
        return np.hstack([np.ones((len(s), 1)), s, squares])

    def vector(self, stats: Stats) -> Float:
        about = stats.about(np.tile(self.origin, (len(stats.counts), 1)))
        return np.hstack([about.counts[:, None], about.sums, self._flat(about.scatter)])

    def stats(self, x: Float, n_samples: int) -> Stats:
        scatter = self._scatter(x[:, self.d + 1 :])
        origin = np.tile(self.origin, (len(x), 1))
        return Stats(self.layout, n_samples, float("nan"), x[:, 0], x[:, 1 : self.d + 1], scatter, origin)

    def natural(self, params: Params) -> Float:
        """Return eta (k, q)."""
        m = params.means - self.origin
        k, d = m.shape
        p = params.layout.matrices(params.precisions, k, d)
        linear = np.einsum("kij,kj->ki", p, m)
        constant = params.log_constants().astype(np.float64) - 0.5 * (m * linear).sum(axis=1)
        return np.hstack([constant[:, None], linear, self._quadratic(p)])

    def _flat(self, scatter: Float) -> Float:
        return scatter.reshape(len(scatter), -1)

    def _scatter(self, flat: Float) -> Float:
        return flat[:, 0] if self._sphere else flat

    def _quadratic(self, precisions: Float) -> Float:
        diagonal = -0.5 * np.diagonal(precisions, axis1=1, axis2=2)
        return diagonal[:, :1] if self._sphere else diagonal


class _Whole(_Diagonal):
    """Statistics of matrices: T = (1, s, s_i s_j for i <= j)."""

    def __init__(self, layout: Layout, d: int, origin: Float) -> None:
        self.layout, self.d, self.origin = FULL, d, origin
        self._rows, self._columns = np.triu_indices(d)
        self.size = 1 + d + len(self._rows)

    def features(self, X: NDArray) -> Float:
        s = X - self.origin
        return np.hstack([np.ones((len(s), 1)), s, s[:, self._rows] * s[:, self._columns]])

    def _flat(self, scatter: Float) -> Float:
        return scatter[:, self._rows, self._columns]

    def _scatter(self, flat: Float) -> Float:
        scatter = np.empty((len(flat), self.d, self.d))
        scatter[:, self._rows, self._columns] = flat
        scatter[:, self._columns, self._rows] = flat
        return scatter

    def _quadratic(self, precisions: Float) -> Float:
        upper = -precisions[:, self._rows, self._columns]
        return np.where(self._rows == self._columns, 0.5 * upper, upper)


def _coordinates(layout: Layout, d: int, origin: Float) -> _Diagonal:
    return (_Whole if layout.correlates else _Diagonal)(layout, d, origin)


@dataclass(frozen=True)
class Linearised:
    """The iteration at a fixed point of a step, for samples of weight 1.

    params : the fixed point; x : its statistics (k q,); solve : (I - J)^-1; gain : D (I - J)^-1, both (k q, k q)
    """

    source: ArraySource
    step: Step
    params: Params
    coordinates: _Diagonal
    x: Float
    solve: Float
    gain: Float

    @staticmethod
    def suits(params: Params, d: int) -> bool:
        """Return whether the statistics are few enough, and there is no noise."""
        size = _coordinates(params.layout, d, np.zeros(d)).size
        return params.noise is None and len(params.weights) * size <= MOST_STATISTICS

    @classmethod
    def at(cls, source: ArraySource, step: Step, params: Params) -> Linearised:
        """Return the map at a fixed point; LinAlgError if the observed information is singular there."""
        origin = params.weights @ params.means / params.weights.sum()
        coordinates = _coordinates(params.layout, source.n_features, origin)
        x, missing = _moments(source, params, coordinates)
        slopes = _slopes(x, coordinates, step, params, source.n_samples)
        solve = np.asarray(np.linalg.inv(np.eye(x.size) - missing @ slopes), np.float64)
        return cls(source, step, params, coordinates, x.ravel(), solve, slopes @ solve)

    def first(self, weights: Float) -> tuple[Float, Float]:
        """Return the statistics (b, k q) of the fixed point under weights (b, n), and its log-likelihoods (b,), in one read."""
        k, q = len(self.params.weights), self.coordinates.size
        sums, likelihoods = np.zeros((len(weights), k * q)), np.zeros(len(weights))
        for start, X, resp, log_prob in _evaluated(self.source, self.params, k * q):
            own = weights[:, start : start + len(X)]
            features = self.coordinates.features(X)
            sums += own @ (resp[:, :, None] * features[:, None, :]).reshape(len(X), k * q)
            likelihoods += own @ log_prob
        return sums, likelihoods

    def fit(self, weighted: ArraySource, first: Float, floor: float, n_threads: int | None) -> Params | None:
        """Return the fixed point of samples with other weights, which take the fixed point to the statistics `first`.

        None if Newton's steps do not lead there: parameters that are not possible, or less likely than `floor`, the mean
        objective of those here.
        """
        y = self.x + np.einsum("ij,j->i", self.solve, first - self.x)
        step = self.step.on(weighted)
        unit, total = weighted.weight_unit, weighted.total_weight
        for _ in range(_MOST):
            params = self._params(y, step, unit)
            if params is None:
                return None
            inner = params if params.layout.correlates and not params.layout.pools else self._swept(params)
            stats = sweep(weighted, inner, n_threads)
            layout = step.structure.layout
            bound = step.bound(stats.in_layout(layout) if stats.layout is FULL else stats, params, total)
            if not bound >= floor - 1e-12 * abs(floor):
                return None
            off = self.coordinates.vector(stats.times(unit)).ravel() - y
            y = y + np.einsum("ij,j->i", self.solve, off)
            if 0.5 * abs(float(np.einsum("i,ij,j->", off, self.gain, off))) < _LEFT:
                return self._params(y, step, unit)
        return None

    def _swept(self, params: Params) -> Params:
        """Return parameters whose sweep has the statistics of every component."""
        return params.in_layout(FULL) if params.layout.pools else params

    def _params(self, y: Float, step: Step, unit: float) -> Params | None:
        x = y.reshape(len(self.params.weights), -1)
        if not (x[:, 0] > 0.0).all():
            return None
        try:
            stats = self.coordinates.stats(x, self.source.n_samples).times(1.0 / unit)
            return step.maximise(_in_layout(stats, step.structure.layout), self.params)
        except ValueError:
            return None


def _in_layout(stats: Stats, layout: Layout) -> Stats:
    return stats if stats.layout is layout else stats.in_layout(layout)


def _evaluated(source: ArraySource, params: Params, columns: int) -> Iterator[tuple[int, Float, NDArray, NDArray]]:
    """Yield the first row, samples, responsibilities and log-likelihoods of blocks, in float64."""
    rows = max(64, _BLOCK // columns)
    with closing(source.blocks(rows)) as blocks:
        for block in blocks:
            X = np.ascontiguousarray(block.X, np.float64)
            some = ArraySource(X)
            yield block.start, X, evaluate.responsibilities(some, params), evaluate.log_prob(some, params)


def _moments(source: ArraySource, params: Params, coordinates: _Diagonal) -> tuple[Float, Float]:
    """Return the statistics (k, q) and the missing information H (k q, k q)."""
    k, q = len(params.weights), coordinates.size
    x, missing = np.zeros((k, q)), np.zeros((k * q, k * q))
    for _, X, resp, _ in _evaluated(source, params, k * q):
        features = coordinates.features(X)
        shares = (resp[:, :, None] * features[:, None, :]).reshape(len(X), k * q)
        missing -= shares.T @ shares
        for c in range(k):
            own = slice(c * q, (c + 1) * q)
            missing[own, own] += features.T @ shares[:, own]
        x += shares.sum(axis=0).reshape(k, q)
    return x, missing


def _slopes(x: Float, coordinates: _Diagonal, step: Step, params: Params, n_samples: int) -> Float:
    """Return D = d eta / dx of the step, by central differences, (k q, k q)."""
    k, q = x.shape
    d = coordinates.d
    deviations = np.sqrt(params.weights @ (params.variances + (params.means - coordinates.origin) ** 2))
    unit = coordinates.features(coordinates.origin + deviations[None])[0]
    scales = np.abs(x[:, :1] * unit)
    slopes = np.empty((k * q, k * q))
    layout = step.structure.layout
    assert d == len(deviations)

    def natural(at: Float) -> Float:
        stats = _in_layout(coordinates.stats(at, n_samples), layout)
        return coordinates.natural(step.maximise(stats, params)).ravel()

    for c, e in np.ndindex(k, q):
        h = _DIFFERENCE * scales[c, e]
        more, less = x.copy(), x.copy()
        more[c, e] += h
        less[c, e] -= h
        slopes[:, c * q + e] = (natural(more) - natural(less)) / (2.0 * h)
    return slopes


def weighted_source(X: NDArray, weights: Float) -> ArraySource:
    """Return samples with the weights of a replicate; those of weight 0 are left out."""
    source = ArraySource.weighted(X, weights)
    return replace(source, present=None)

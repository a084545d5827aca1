"""Missing values given the observed ones: their mean, and draws."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from fastgmm._errors import memory_for
from fastgmm.data.patterns import gathered, patterns_of
from fastgmm.data.source import Block, LocalSource
from fastgmm.em.evaluate import responsibilities
from fastgmm.em.sweep import TotalScatter
from fastgmm.model.incomplete import Conditional, Observation, conditional, observed
from fastgmm.model.layouts import FULL
from fastgmm.model.params import Params

Float = NDArray[np.float64]

#: Numbers of a block.
_NUMBERS = 1 << 20


class _Part:
    """Samples of a block that lack the same features, and what the mixture says of these.

    rows : (m,), in the data; missing : (q,), features; resp : (m, k), given what is observed, noise last
    """

    def __init__(
        self, block: Block, rows: NDArray, features: NDArray[np.intp], params: Params, n_threads: int | None
    ) -> None:
        d = block.X.shape[1]
        self.rows, self.params = block.start + rows.astype(np.int64), params
        self.missing = np.setdiff1d(np.arange(d), features)
        self.observed = block.X[rows[:, None], features].astype(np.float64)
        self.features = features
        if len(features):
            part = gathered(block, rows, features)
            resp = responsibilities(part, observed(params, Observation(features)), n_threads).astype(np.float64)
            self.conditional = conditional(params, Observation(features))
        else:
            offsets = np.exp(params.log_offsets().astype(np.float64))
            weights = offsets if params.noise is None else np.append(offsets, params.noise.weight)
            resp = np.tile(weights, (len(rows), 1))
            k = len(params.weights)
            whole = np.array(params.layout.matrices(params.covariances, k, d))
            self.conditional = Conditional(np.zeros((k, d, 0)), whole)
        total = resp.sum(axis=1, keepdims=True)
        # a sample that no component reaches has no probabilities: those of the weights
        fallback = params.weights if params.noise is None else np.append(params.weights, params.noise.weight)
        self.resp: Float = np.where(total > 0.0, resp / np.where(total > 0.0, total, 1.0), fallback / fallback.sum())

    def of_component(self, k: int, which: NDArray) -> Float:
        """Return the means of the missing values of some of the samples in component k, (m, q)."""
        away = self.observed[which] - self.params.means[k, self.features]
        # einsum, not a product of matrices, whose bits depend on the number of rows and threads
        moved = np.einsum("ij,qj->iq", away, self.conditional.gain[k, self.missing])
        return self.params.means[k, self.missing] + moved

    def means(self) -> Float:
        """Return the means of the missing values, (m, q)."""
        everything = np.arange(len(self.rows))
        out = np.zeros((len(self.rows), len(self.missing)))
        for k in range(len(self.params.weights)):
            out += self.resp[:, k, None] * self.of_component(k, everything)
        if (noise := self.params.noise) is not None:
            out += self.resp[:, -1, None] * (0.5 * (noise.low + noise.high))[self.missing]
        return out

    def draws(self, n_draws: int, random_state: np.random.RandomState) -> Float:
        """Return draws of the missing values, (n_draws, m, q): first of the component, then given it."""
        n, q = len(self.rows), len(self.missing)
        reached = np.cumsum(self.resp, axis=1)
        uniform = random_state.random_sample((n_draws, n, 1))
        chosen = np.minimum((uniform * reached[:, -1:] >= reached).sum(axis=2), self.resp.shape[1] - 1).ravel()
        normal, out = random_state.standard_normal((n_draws * n, q)), np.empty((n_draws * n, q))
        for k in np.unique(chosen).tolist():
            which = np.flatnonzero(chosen == k)
            noise = self.params.noise
            if k == len(self.params.weights) and noise is not None:
                low, high = noise.low[self.missing], noise.high[self.missing]
                out[which] = random_state.uniform(low, high, size=(len(which), q))
                continue
            covariance = self.conditional.covariances[k][self.missing[:, None], self.missing]
            values, axes = np.linalg.eigh(covariance)
            root = axes * np.sqrt(values.clip(min=0.0))
            out[which] = self.of_component(k, which % n) + np.einsum("ij,qj->iq", normal[which], root)
        return out.reshape(n_draws, n, q)


def _parts(source: LocalSource, params: Params, out: NDArray, n_threads: int | None) -> Generator[_Part, None, None]:
    """Copy the samples to `out` (n, d), and yield those that lack values by pattern."""
    with closing(source.blocks(max(1, _NUMBERS // source.n_features))) as blocks:
        for block in blocks:
            out[block.start : block.start + len(block.X)] = block.X
            patterns = patterns_of(block.X)
            for i in range(len(patterns.ends)):
                features, rows = patterns.pattern(i)
                if len(features) < source.n_features:
                    yield _Part(block, rows, features, params, n_threads)


def imputed(source: LocalSource, params: Params, n_threads: int | None = None) -> NDArray:
    """Return the samples (n, d), in their dtype, with the mean of what is missing given what is observed.

    With responsibilities r_k given the observed features o, it is sum_k r_k (mu_k + Sigma_k,:o Sigma_k,oo^-1 (x_o - mu_k,o)).
    """
    with memory_for(f"{source.n_samples} samples without missing values", "Pass X in parts, one after the other"):
        out = np.empty((source.n_samples, source.n_features), source.dtype)
    for part in _parts(source, params, out, n_threads):
        out[part.rows[:, None], part.missing] = part.means()
    return out


def drawn(
    source: LocalSource, params: Params, n_draws: int, random_state: np.random.RandomState, n_threads: int | None = None
) -> NDArray:
    """Return draws (n_draws, n, d) of the samples: missing values given the observed ones, of a component that is drawn as well."""
    n, d = source.n_samples, source.n_features
    with memory_for(f"{n_draws} draws of {n} samples", "Ask for fewer draws, or pass X in parts"):
        out = np.empty((n_draws, n, d), source.dtype)
    found: list[tuple[NDArray, NDArray, NDArray]] = []
    for part in _parts(source, params, out[0], n_threads):
        values = part.draws(n_draws, random_state)
        found.append((part.rows[:, None], part.missing, values.astype(source.dtype)))
    out[1:] = out[0]
    for rows, missing, values in found:
        out[:, rows, missing] = values
    return out


def most_likely(total: TotalScatter, total_weight: float) -> Params:
    """Return the normal distribution of a mean and a scatter, as a mixture of one component.

    Features that others imply, or that are constant, are given a little variance.
    """
    covariance = total.scatter / total_weight
    covariance = covariance + np.diag(1e-9 * np.diagonal(covariance) + np.finfo(np.float64).tiny)
    root = FULL.precision_cholesky(covariance[None])
    return Params(FULL, np.ones(1), total.mean[None], covariance[None], root)

"""Sample that a search of large data begins from; it has samples of rare populations that lie apart from the others."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm.data.source import ArraySource, LocalSource, Source
from fastgmm.em import evaluate
from fastgmm.em.step import MaximumLikelihood
from fastgmm.em.sweep import total
from fastgmm.init.groups import members, stats_of
from fastgmm.init.kmeans import kmeans
from fastgmm.init.whitening import Whitening
from fastgmm.model.layouts import FULL
from fastgmm.model.params import Params
from fastgmm.model.structures import STRUCTURES

Float = NDArray[np.float64]

#: Clusters of the coarse mixture, and the share of the samples that one has at least: smaller ones are left out, so that their
#: samples are improbable.
_CLUSTERS, _LARGE = 12, 0.02
#: Samples are improbable whose density is below that of this share of a first sample; as many of them are taken, at most.
_IMPROBABLE, _TAKEN = 0.005, 1000
#: Of so small a sample, these would be a few.
_ENOUGH = 2000


class _Improbable(NamedTuple):
    """Improbable samples: rows (m, d), random keys (m,) of which the largest stay, and the weight of all of them."""

    X: NDArray
    keys: Float
    weight: float

    def merge(self, other: _Improbable) -> _Improbable:
        keys = np.concatenate([self.keys, other.keys])
        kept = np.argsort(-keys, kind="stable")[:_TAKEN]
        return _Improbable(np.concatenate([self.X, other.X])[kept], keys[kept], self.weight + other.weight)


def enriched(source: Source, sample: ArraySource, rng: np.random.RandomState, n_threads: int | None) -> ArraySource:
    """Return a sample of `source` in two strata, the improbable samples and the others, weighted by their shares.

    `sample` is a random sample of it, all of equal weight. A population of a share of 0.1 % has five samples in 5000, too few for
    a covariance; if it is well apart from others, it is among the 0.5 % of least density, of which a thousand are taken. One
    pass over the data. Weights add up to the number of rows.
    """
    params = _coarse(sample, rng) if sample.n_samples >= _ENOUGH else None
    if params is None:
        return sample
    density = evaluate.log_prob(sample, params, n_threads)
    limit = float(np.quantile(density, _IMPROBABLE))
    look = partial(_improbable, params=params, limit=limit, seed=int(rng.randint(2**31)))
    found = source.map_reduce(look, _Improbable.merge, n_threads)
    others = sample.X[density >= limit][: sample.n_samples - len(found.X)]
    if not len(found.X) or not len(others):
        return sample
    share = found.weight / source.total_weight
    shares = np.repeat([(1.0 - share) / len(others), share / len(found.X)], [len(others), len(found.X)])
    strata = np.concatenate([others, found.X.astype(others.dtype)])
    return ArraySource.weighted(strata, shares * len(shares), incomplete=sample.incomplete)


def _coarse(sample: ArraySource, rng: np.random.RandomState) -> Params | None:
    """Return a mixture of the larger clusters of k-means in the whitened space; None if there is none."""
    doubles = sample.in_double()
    n, d = doubles.X.shape
    found = kmeans(
        ArraySource(Whitening.space(doubles, 1), doubles.weights),
        min(_CLUSTERS, n),
        rng,
        n_threads=1,
        with_inertia=False,
    )
    sizes = np.bincount(found.labels, minlength=_CLUSTERS)
    large = np.flatnonzero(sizes >= max(_LARGE * n, 2 * d + 2))
    if not large.size:
        return None
    kept = np.isin(found.labels, large)
    weights = None if doubles.weights is None else doubles.weights[kept]
    inside = ArraySource(doubles.X[kept], weights, incomplete=doubles.incomplete)
    groups = np.searchsorted(large, found.labels[kept])
    variances = np.diagonal(total(doubles, 1).scatter) / doubles.total_weight
    step = MaximumLikelihood(STRUCTURES["VVV"], 1e-6 * float(variances.min()))
    try:
        return step.maximise(stats_of(inside, FULL, len(large), members(groups, len(large)), 1))
    except ValueError:
        return None


def _improbable(source: LocalSource, *, params: Params, limit: float, seed: int) -> _Improbable:
    """Return the improbable samples of a part of the data."""
    found = _Improbable(np.empty((0, source.n_features), source.dtype), np.empty(0), 0.0)
    with closing(source.blocks(1 << 17)) as blocks:
        for block in blocks:
            of_block = ArraySource(block.X, incomplete=source.incomplete)
            low = np.flatnonzero(evaluate.log_prob(of_block, params) < limit)
            weights = np.ones(len(low)) if not block.weights.size else block.weights[low].astype(np.float64)
            low, weights = low[weights > 0.0], weights[weights > 0.0]
            # draws in proportion to the weights (Efraimidis & Spirakis, Inf. Process. Lett. 97(5), 2006)
            keys = np.log(_uniform(block.start + low, seed)) / weights
            found = found.merge(_Improbable(np.array(block.X[low]), keys, float(weights.sum())))
    return found


def _uniform(indices: NDArray[np.int64], seed: int) -> Float:
    """Return a number between 0 and 1 for each index, whatever blocks it comes in.

    By splitmix64 (Steele, Lea & Flood, OOPSLA 2014).
    """
    x = (indices.astype(np.uint64) + np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / 2.0**53 + 2.0**-54

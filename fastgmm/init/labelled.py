"""First parameters from samples of which some have labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.data.labelled import LabelledSource
from fastgmm.data.source import ArraySource
from fastgmm.em.step import Step
from fastgmm.init.groups import members, stats_of
from fastgmm.init.kmeans import kmeans, nearest
from fastgmm.model.params import Params

Float = NDArray[np.float64]


def from_labels(
    source: LabelledSource, step: Step, k: int, random_state: np.random.RandomState, n_threads: int | None
) -> Params:
    """Return the M-step of clusters: those of labelled samples, and of the others by k-means from the centres of these.

    A label with several components has its own samples divided by k-means. Components that no label owns begin with samples of
    unknown label far from the centres, drawn as in k-means++.
    """
    known, labels = source.known()
    groups = _groups(known, labels, source.allowed, random_state, n_threads)
    centres = stats_of(known, step.structure.layout, k, members(groups, k), n_threads)
    has = centres.counts > 0
    means = np.where(has[:, None], centres.origin + centres.sums / np.where(has, centres.counts, 1.0)[:, None], 0.0)
    rest = source.unknown(random_state)
    samples, found = known, groups
    if rest is not None:
        means = _completed(rest, means, has, random_state, n_threads)
        samples, found = _both(known, rest), np.concatenate([groups, _divided(rest, means, random_state, n_threads)])
    stats = stats_of(samples, step.structure.layout, k, members(found, k), n_threads)
    return step.on(samples).maximise(stats)


def _divided(
    rest: ArraySource, centres: Float, random_state: np.random.RandomState, n_threads: int | None
) -> NDArray[np.int32]:
    """Return the cluster of each sample of unknown label, (m,), from centres (k, d)."""
    k, init = len(centres), centres.astype(rest.dtype)
    if rest.n_samples < k:
        return nearest(rest, init, n_threads)
    return kmeans(rest, k, random_state, init=init, n_threads=n_threads, with_inertia=False).labels


def _groups(
    known: ArraySource,
    labels: NDArray[np.int64],
    allowed: NDArray[np.bool_],
    random_state: np.random.RandomState,
    n_threads: int | None,
) -> NDArray[np.int64]:
    """Return the component that each labelled sample begins with, (m,)."""
    groups = np.empty(len(labels), np.int64)
    for label, owned in enumerate(allowed):
        own, rows = np.flatnonzero(owned), labels == label
        groups[rows] = own[0]
        if len(own) > 1:
            part = ArraySource(known.X[rows], None if known.weights is None else known.weights[rows], known.weight_unit)
            n_clusters = min(len(own), part.n_distinct(len(own)))
            groups[rows] = own[kmeans(part, n_clusters, random_state, n_threads=n_threads, with_inertia=False).labels]
    return groups


def _completed(
    rest: ArraySource, means: Float, has: NDArray[np.bool_], random_state: np.random.RandomState, n_threads: int | None
) -> Float:
    """Return centres (k, d) with a sample in place of each that is missing, drawn by its squared distance to the others."""
    means, has = means.copy(), has.copy()
    for i in np.flatnonzero(~has):
        if has.any():
            centres = means[has]
            distances = ((rest.rows(np.arange(rest.n_samples)) - centres[nearest(rest, centres, n_threads)]) ** 2).sum(
                axis=1
            )
        else:
            distances = np.ones(rest.n_samples)
        chances = distances if rest.weights is None else distances * rest.weights
        total = chances.sum()
        chosen = random_state.choice(rest.n_samples, p=chances / total if total > 0.0 else None)
        means[i], has[i] = rest.X[chosen], True
    return means


def _both(one: ArraySource, other: ArraySource) -> ArraySource:
    """Return the samples of both."""
    weights = [np.ones(part.n_samples, part.dtype) if part.weights is None else part.weights for part in (one, other)]
    each = [w * (part.weight_unit / one.weight_unit) for w, part in zip(weights, (one, other), strict=True)]
    return ArraySource(np.concatenate([one.X, other.X]), np.concatenate(each).astype(one.dtype), one.weight_unit)

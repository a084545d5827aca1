"""First parameters of EM: a registry of starts, known groups, and parameters that the user supplies."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm.data.source import ArraySource, LocalSource, Source
from fastgmm.em.step import Collapsed, Step
from fastgmm.em.sweep import accumulate, mean, precise, total
from fastgmm.init.best_of import best_of
from fastgmm.init.em_em import em_em
from fastgmm.init.groups import members, stats_of
from fastgmm.init.hierarchical import hierarchical
from fastgmm.init.kmeans import kmeans, kmeans_plusplus
from fastgmm.init.labelled import from_labels
from fastgmm.init.points import points
from fastgmm.init.whitening import Whitening
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats

Float = NDArray[np.float64]
#: ``find(source, step, k, random_state, n_threads)`` returns the first parameters of k components.
Find = Callable[[Any, Step, int, np.random.RandomState, "int | None"], Params]


# --- by k-means ---


def from_kmeans(
    source: ArraySource, step: Step, k: int, random_state: np.random.RandomState, n_threads: int | None
) -> Params:
    """Return the M-step of the clusters of k-means."""
    found = kmeans(source, k, random_state, n_threads=n_threads, with_inertia=False)
    origin = np.asarray(found.centers, np.float64)
    return step.maximise(accumulate(source, step.structure.layout, origin, members(found.labels, k), n_threads))


def from_whitened(
    source: ArraySource, step: Step, k: int, random_state: np.random.RandomState, n_threads: int | None
) -> Params:
    """Return the M-step of the clusters of k-means on whitened data: clusters may differ along a direction of low variance.

    Whitened are the rows of sqrt(n) U of the SVD U D V^T of the data. U sqrt(D), of data scaled to unit variances
    (Scrucca & Raftery, Adv. Data Anal. Classif. 9, 2015), still weighs directions, and their units matter. With it, two clusters
    along one of ten axes were found for 5 of 12 seeds instead of 6, three clusters for 1 instead of 3.
    """
    space = ArraySource(Whitening.space(source, n_threads), source.weights, source.weight_unit)
    found = kmeans(space, k, random_state, n_threads=n_threads, with_inertia=False)
    return step.maximise(stats_of(source, step.structure.layout, k, members(found.labels, k), n_threads))


# --- by random draws ---


def from_random(
    source: ArraySource, step: Step, k: int, random_state: np.random.RandomState, n_threads: int | None
) -> Params:
    """Return the M-step of random responsibilities."""

    def resp(start: int, stop: int) -> NDArray:
        draws = random_state.uniform(size=(stop - start, k)).astype(source.dtype)
        return draws / draws.sum(axis=1, keepdims=True)

    origin = np.tile(mean(source), (k, 1))
    return step.maximise(accumulate(source, step.structure.layout, origin, resp, n_threads))


def from_samples(
    source: ArraySource, step: Step, k: int, random_state: np.random.RandomState, n_threads: int | None
) -> Params:
    """Return components about k samples that are drawn by weight."""
    indices = random_state.choice(source.n_samples, size=k, replace=False, p=source.chances)
    return _about(source, step, indices, n_threads)


def from_plusplus(
    source: ArraySource, step: Step, k: int, random_state: np.random.RandomState, n_threads: int | None
) -> Params:
    """Return components about k samples that k-means++ picks."""
    return _about(source, step, kmeans_plusplus(source, k, random_state, n_threads=n_threads), n_threads)


def _about(source: ArraySource, step: Step, indices: NDArray[np.intp], n_threads: int | None) -> Params:
    """Return components of one sample each: variances are the regularisation alone, and weights 1 / n, as in scikit-learn.

    The exception is tied: scikit-learn divides the second moment of *all* samples, less that of the points, by the
    number of points. This is kept, since seeds should lead to the same fit.
    """
    k, d = len(indices), source.n_features
    n, layout = source.total_weight * source.weight_unit, step.structure.layout
    means = points(source, indices, n_threads)
    scatter = np.zeros(layout.shape(k, d))
    if layout.pools:
        whole = total(source, n_threads)
        scatter = whole.scatter * source.weight_unit + n * np.outer(whole.mean, whole.mean) - means.T @ means
    stats = Stats(layout, source.n_samples, float("nan"), np.ones(k), np.zeros((k, d)), scatter, means)
    return step.maximise(stats.times(1.0 / source.weight_unit)).with_weights(np.full(k, 1.0 / n))


# --- known groups, and the registry ---


def from_groups(
    source: LocalSource,
    step: Step,
    k: int,
    random_state: np.random.RandomState,
    n_threads: int | None,
    *,
    known: NDArray,
) -> Params:
    """Return the M-step of known labels (n,) or responsibilities (n, k)."""
    stats = stats_of(source, step.structure.layout, k, members(known, k), n_threads)
    if not stats.counts.all():
        raise ValueError(
            f"init_params gives component {int(stats.counts.argmin())} no sample (of positive weight), and there are to be "
            f"n_components={k}: number the groups 0 to {k - 1} without a gap, or decrease n_components"
        )
    return step.maximise(stats)


class Start(NamedTuple):
    """How first parameters are found.

    find : ``find(source, step, k, random_state, n_threads)``
    on_all : whether it needs all samples, instead of those of ``source.for_start``
    fixed : whether every call finds the same
    without_data : whether it looks at no samples
    points : whether it finds points, components of one sample each that EM has yet to widen
    clean : the samples that it may look at, if these are not all
    """

    find: Find
    on_all: bool = False
    fixed: bool = False
    without_data: bool = False
    points: bool = False
    clean: Source | None = None

    def source(self, source: Source, random_state: np.random.RandomState) -> Source:
        """Return the samples that `params` needs."""
        source = source if self.clean is None else self.clean
        return source if self.on_all else source.for_start(random_state)

    def params(
        self,
        source: Source | None,
        step: Step,
        k: int,
        random_state: np.random.RandomState,
        n_threads: int | None,
    ) -> Params:
        """Return first parameters; ValueError if a first covariance is not positive definite."""
        samples = None if source is None else precise(source, step.structure.layout, k)
        step = step if samples is None else step.on(samples)
        try:
            return self.find(samples, step, k, random_state, n_threads)
        except Collapsed as error:
            raise error.at_the_start() from error


#: What "auto" chooses from: k-means, which has seen all samples, first.
CANDIDATES = {"kmeans": from_kmeans, "whitened": from_whitened, "hierarchical": hierarchical, "em-em": em_em}
STARTS: dict[str, Start] = {
    "kmeans": Start(from_kmeans),
    "k-means++": Start(from_plusplus, points=True),
    "random": Start(from_random),
    "random_from_data": Start(from_samples, points=True),
    "whitened": Start(from_whitened),
    "hierarchical": Start(hierarchical),
    "em-em": Start(em_em),
    "auto": Start(partial(best_of, candidates=CANDIDATES)),
}


#: k-means if some samples have labels.
FROM_LABELS = Start(from_labels, on_all=True)


class Supplied(NamedTuple):
    """Checked first parameters from the user; None if none were given."""

    weights: Float | None = None
    means: Float | None = None
    precisions: Float | None = None


def start_of(init_params: str | NDArray, supplied: Supplied, *, with_labels: bool = False) -> Start:
    """Return the start of a name, of groups (n,) or of responsibilities (n, k); supplied parameters replace its own.

    `with_labels` says that some samples have labels, which k-means then starts from.
    """
    if isinstance(init_params, str):
        start = FROM_LABELS if with_labels else STARTS[init_params]
    else:
        start = Start(partial(from_groups, known=init_params), on_all=True, fixed=True)
    # arrays are compared element by element: only `is` shows whether there is one
    given = [part is not None for part in (supplied.weights, supplied.means, supplied.precisions)]
    if not any(given):
        return start
    if all(given):
        return Start(partial(_completed, supplied=supplied, find=None), fixed=True, without_data=True)
    return start._replace(find=partial(_completed, supplied=supplied, find=start.find))


def _completed(
    source: ArraySource,
    step: Step,
    k: int,
    random_state: np.random.RandomState,
    n_threads: int | None,
    *,
    supplied: Supplied,
    find: Find | None,
) -> Params:
    """Return the supplied parameters, and for those that are missing what `find` finds."""
    found = None if find is None else find(source, step, k, random_state, n_threads)
    layout = step.structure.layout
    if supplied.precisions is None:
        assert found is not None
        covariances, prec_chol = found.covariances, found.prec_chol
    else:
        prec_chol = layout.cholesky_of_precisions(supplied.precisions)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            covariances = layout.covariances(prec_chol)
        if not np.isfinite(covariances).all():
            raise ValueError(
                "precisions_init is so small that its inverse, the covariance, overflows (smallest value "
                f"{np.abs(prec_chol[prec_chol != 0]).min() ** 2:.3g}): scale it, or leave it out"
            )
    weights = supplied.weights if supplied.weights is not None else found.weights  # type: ignore[union-attr]
    means = supplied.means if supplied.means is not None else found.means  # type: ignore[union-attr]
    return Params(layout, weights, means, covariances, prec_chol)

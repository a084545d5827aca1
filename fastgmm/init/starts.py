"""First parameters of EM: of one of several kinds, from known groups, or supplied."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastgmm._validation import covariance_shape
from fastgmm.covariance.cholesky import (
    NotPositiveDefinite,
    covariances_from_precision_cholesky,
    precision_cholesky,
    precision_cholesky_from_precisions,
)
from fastgmm.covariance.structures import COUNT_FLOOR, Structure, maximise, regularised
from fastgmm.em.driver import check_likelihood, collapse_message, held, m_step
from fastgmm.em.sweep import Total, accumulate, mean, precise, sweep, total
from fastgmm.init.em_em import em_em, rank
from fastgmm.init.hierarchical import hierarchical
from fastgmm.init.kmeans import kmeans, kmeans_plusplus
from fastgmm.init.partition import members, stats_of
from fastgmm.init.whitening import Whitening
from fastgmm.params import Params
from fastgmm.sources.array import ArraySource, Source
from fastgmm.sources.dask import AnySource, DaskSource
from fastgmm.stats import Stats

Float = NDArray[np.float64]

INIT_PARAMS = ("kmeans", "k-means++", "random", "random_from_data", "whitened", "hierarchical", "em-em", "auto")
#: What "auto" chooses from, and after how many EM steps.
RIVALS = ("kmeans", "whitened", "hierarchical", "em-em")
STEPS = 5


@dataclass(frozen=True)
class Supplied:
    """What the user gave of the first parameters, checked; None where nothing."""

    weights: Float | None = None
    means: Float | None = None
    precisions: Float | None = None

    @property
    def complete(self) -> bool:
        return self.weights is not None and self.means is not None and self.precisions is not None


@dataclass(frozen=True)
class Start:
    """How EM begins: `init_params` for what is not supplied, a name or labels (n,) or responsibilities (n, k)."""

    init_params: str | NDArray
    n_components: int
    reg_covar: float
    supplied: Supplied
    n_threads: int | None

    def source(self, source: AnySource, random_state: np.random.RandomState) -> Source:
        """The samples that `params` needs: all those of known groups, else what `for_start` gives."""
        if isinstance(self.init_params, str):
            return source.for_start(random_state)
        assert not isinstance(source, DaskSource)
        return source

    def params(
        self, source: Source | None, structure: Structure, random_state: np.random.RandomState, whole: Total | None
    ) -> Params:
        """Draw first parameters from a source (None where all are supplied).

        `whole`, the total scatter of that source, is needed for tied structures.

        Raises ValueError where a first covariance is not positive definite.
        """
        weights, means, covariances, stats = self.supplied.weights, self.supplied.means, None, None
        if not self.supplied.complete:
            assert source is not None
            found = self._estimate(source, structure, random_state, whole)
            weights = found[0] if weights is None else weights
            means = found[1] if means is None else means
            covariances, stats = found[2], found[3]
        assert weights is not None
        assert means is not None
        if self.supplied.precisions is not None:
            prec_chol = precision_cholesky_from_precisions(self.supplied.precisions, structure.layout)
            with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
                covariances = covariances_from_precision_cholesky(prec_chol, structure.layout)
            if not np.isfinite(covariances).all():
                raise ValueError(
                    "precisions_init is so small that its inverse, the covariance, overflows (smallest value "
                    f"{np.abs(prec_chol[prec_chol != 0]).min() ** 2:.3g}): scale it, or leave it out"
                )
        else:
            assert covariances is not None
            assert stats is not None
            try:
                prec_chol = precision_cholesky(covariances, structure.layout)
            except NotPositiveDefinite as error:
                raise ValueError(self._collapsed(error, structure, stats)) from error
        return Params(structure.layout, weights, means, covariances, prec_chol)

    def _estimate(
        self, source: Source, structure: Structure, random_state: np.random.RandomState, whole: Total | None
    ) -> tuple[Float, Float, Float, Stats]:
        """Weights, means, covariances, and the statistics that they are from."""
        k, n = self.n_components, source.n_samples
        source = precise(source, structure.layout, k)
        if not isinstance(self.init_params, str):
            stats = self._from_known(source, structure, self.init_params, whole)
        else:
            assert isinstance(source, ArraySource)
            if self.init_params == "random_from_data":
                points = random_state.choice(n, size=k, replace=False, p=source.chances)
                return self._from_points(source, structure, points, whole)
            if self.init_params == "k-means++":
                points = kmeans_plusplus(source, k, random_state, n_threads=self.n_threads)
                return self._from_points(source, structure, points, whole)
            stats = self._stats(self.init_params, source, structure, random_state, whole)
        try:
            _, means, covariances = maximise(structure, stats, self.reg_covar)
        except NotPositiveDefinite as error:
            raise ValueError(self._collapsed(error, structure, stats)) from error
        return (stats.counts + COUNT_FLOOR) / source.total_weight, means, covariances, stats

    def _collapsed(self, error: NotPositiveDefinite, structure: Structure, stats: Stats) -> str:
        return collapse_message(error, structure, stats, self.reg_covar, "already at the start ")

    def _stats(
        self,
        kind: str,
        source: ArraySource,
        structure: Structure,
        random_state: np.random.RandomState,
        whole: Total | None,
    ) -> Stats:
        """Statistics that an M-step makes first parameters of."""
        if kind == "random":
            return self._from_random(source, structure, random_state, whole)
        if kind == "kmeans":
            return self._from_kmeans(source, structure, random_state, whole)
        if kind == "whitened":
            return self._from_whitened(source, structure, random_state, whole)
        if kind == "auto":
            return self._from_rivals(source, structure, random_state, whole)
        by_em = {"hierarchical": hierarchical, "em-em": em_em}[kind]
        return by_em(source, structure, self.n_components, random_state, self.reg_covar, self.n_threads, whole)

    def _from_rivals(
        self, source: ArraySource, structure: Structure, random_state: np.random.RandomState, whole: Total | None
    ) -> Stats:
        """Of several kinds the best after a few steps of EM, none less likely than k-means, which has seen all samples.

        A group of its own that a subsample has hardly met is a handful beside the parameters it needs, and yet no accident,
        unless its covariance is singular. One that fails is out; ValueError of the first if all do.
        """
        found: list[Stats] = []
        floor = -np.inf
        failure: ValueError | None = None
        for kind in RIVALS:
            try:
                stats, params = self._stats(kind, source, structure, random_state, whole), None
                for step in range(1, STEPS + 1):
                    params = m_step(structure, stats, self.reg_covar, params)
                    stats = sweep(source, params, self.n_threads, whole=whole)
                    check_likelihood(stats.log_likelihood, step, params)
            except ValueError as error:
                failure = failure or error
                continue
            found.append(stats)
            if kind == "kmeans" and held(stats).min() >= structure.least_samples(source.n_features):
                floor = stats.log_likelihood
        if not found:
            assert failure is not None
            raise failure
        return max(
            (stats for stats in found if stats.log_likelihood >= floor), key=lambda stats: rank(stats, structure)
        )

    def _from_known(self, source: Source, structure: Structure, known: NDArray, whole: Total | None) -> Stats:
        k = self.n_components
        stats = stats_of(source, structure.layout, k, members(known, k), self.n_threads, whole)
        if not stats.counts.all():
            raise ValueError(
                f"init_params gives component {int(stats.counts.argmin())} no sample (of positive weight), and there are to be "
                f"n_components={k}: number the groups 0 to {k - 1} without a gap, or decrease n_components"
            )
        return stats

    def _from_whitened(
        self, source: ArraySource, structure: Structure, random_state: np.random.RandomState, whole: Total | None
    ) -> Stats:
        """k-means where all directions count alike, so that it sees clusters that differ along one of low variance.

        Whitened are the rows of sqrt(n) U of the SVD U D V^T of the data. U sqrt(D), of data scaled to unit variances
        (Scrucca & Raftery, Adv. Data Anal. Classif. 9, 2015), still weighs directions, and their units matter: two clusters
        along one of ten axes were found for 5 of 12 seeds instead of 6, three clusters for 1 instead of 3.
        """
        of_source = whole or total(source, self.n_threads)
        whitened = Whitening.of(of_source, source.total_weight, source.dtype)(source.X)
        space = ArraySource(whitened, source.weights, source.weight_unit)
        found = kmeans(space, self.n_components, random_state, n_threads=self.n_threads, with_inertia=False)
        resp = members(found.labels, self.n_components)
        return stats_of(source, structure.layout, self.n_components, resp, self.n_threads, whole)

    def _from_kmeans(
        self, source: ArraySource, structure: Structure, random_state: np.random.RandomState, whole: Total | None
    ) -> Stats:
        found = kmeans(source, self.n_components, random_state, n_threads=self.n_threads, with_inertia=False)
        resp = members(found.labels, self.n_components)
        origin = np.asarray(found.centers, np.float64)
        return accumulate(source, structure.layout, origin, resp, self.n_threads, whole=whole)

    def _from_random(
        self, source: ArraySource, structure: Structure, random_state: np.random.RandomState, whole: Total | None
    ) -> Stats:
        def resp(start: int, stop: int) -> NDArray:
            draws = random_state.uniform(size=(stop - start, self.n_components)).astype(source.dtype)
            return draws / draws.sum(axis=1, keepdims=True)

        origin = np.tile(mean(source), (self.n_components, 1))
        return accumulate(source, structure.layout, origin, resp, self.n_threads, whole=whole)

    def _from_points(
        self, source: ArraySource, structure: Structure, indices: NDArray[np.intp], whole: Total | None
    ) -> tuple[Float, Float, Float, Stats]:
        """One sample per component, and no other: variances are the regularisation alone.

        Except for tied, where scikit-learn divides the second moment of *all* samples, less that of the points, by the
        number of points. Kept, since seeds should lead to the same fit.
        """
        k, n, d = self.n_components, source.total_weight * source.weight_unit, source.n_features
        means = source.rows(indices)
        shape = covariance_shape(structure.layout, k, d)
        covariances = np.zeros(shape)
        if structure.layout == "tied":
            assert whole is not None
            second = whole.scatter * source.weight_unit + n * np.outer(whole.mean, whole.mean)
            covariances = (second - means.T @ means) / k
        stats = Stats(
            structure.layout, source.n_samples, float("nan"), np.ones(k), np.zeros((k, d)), np.zeros(shape), means
        )
        return np.full(k, 1.0 / n), means, regularised(covariances, structure.layout, self.reg_covar), stats

"""First parameters of EM: from k-means, from random responsibilities, from points, or supplied."""

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
from fastgmm.em.driver import collapse_message
from fastgmm.em.sweep import Total, accumulate, mean
from fastgmm.init.kmeans import kmeans, kmeans_plusplus
from fastgmm.params import Params
from fastgmm.sources.array import ArraySource
from fastgmm.stats import Stats

Float = NDArray[np.float64]

INIT_PARAMS = ("kmeans", "k-means++", "random", "random_from_data")


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
    """How EM begins: `init_params` for what is not supplied."""

    init_params: str
    n_components: int
    reg_covar: float
    supplied: Supplied
    n_threads: int | None

    def params(
        self, source: ArraySource | None, structure: Structure, random_state: np.random.RandomState, whole: Total | None
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
        self, source: ArraySource, structure: Structure, random_state: np.random.RandomState, whole: Total | None
    ) -> tuple[Float, Float, Float, Stats]:
        """Weights, means, covariances, and the statistics that they are from."""
        k, n = self.n_components, source.n_samples
        if self.init_params == "random_from_data":
            chances = None if source.weights is None else source.weights / source.weights.sum(dtype=np.float64)
            return self._from_points(source, structure, random_state.choice(n, size=k, replace=False, p=chances), whole)
        if self.init_params == "k-means++":
            points = kmeans_plusplus(source, k, random_state, n_threads=self.n_threads)
            return self._from_points(source, structure, points, whole)
        if self.init_params == "random":
            stats = self._from_random(source, structure, random_state, whole)
        else:
            stats = self._from_kmeans(source, structure, random_state, whole)
        try:
            _, means, covariances = maximise(structure, stats, self.reg_covar)
        except NotPositiveDefinite as error:
            raise ValueError(self._collapsed(error, structure, stats)) from error
        return (stats.counts + COUNT_FLOOR) / source.total_weight, means, covariances, stats

    def _collapsed(self, error: NotPositiveDefinite, structure: Structure, stats: Stats) -> str:
        return collapse_message(error, structure, stats, self.reg_covar, "already at the start ")

    def _from_kmeans(
        self, source: ArraySource, structure: Structure, random_state: np.random.RandomState, whole: Total | None
    ) -> Stats:
        found = kmeans(source, self.n_components, random_state, n_threads=self.n_threads, with_inertia=False)

        def resp(start: int, stop: int) -> NDArray:
            return found.labels[start:stop, None] == np.arange(self.n_components)

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

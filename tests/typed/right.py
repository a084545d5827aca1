"""A user's typed program: `mypy --strict` finds nothing to object to, and the types are the ones meant."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

import fastgmm
from fastgmm import (
    GaussianMixture,
    GaussianMixtureClassifier,
    GaussianMixtureOutlierDetector,
    GaussianMixtureRegressor,
    Selection,
)
from fastgmm.datasets import load_iris, make_mixture


def fitted(X: NDArray[np.float64], n_components: int) -> GaussianMixture:
    model = GaussianMixture(n_components, covariance_type="VEV", init_params="auto", random_state=0, n_threads=1)
    return model.fit(X, sample_weight=np.ones(len(X)))


def main() -> None:
    X = load_iris().data
    model = fitted(X, 2)
    labels: NDArray[np.int64] = model.predict(X)
    bic: float = model.bic(X)
    converged: bool = model.converged_
    samples, components = model.sample(10)
    assert_type(components, NDArray[np.int64])
    assert_type(model.score(X), float)
    print(labels[:3], bic, converged, samples.shape, model.weights_.sum(), model.means_.shape)

    known = GaussianMixture.from_parameters([0.5, 0.5], [[0.0], [1.0]], [[1.0], [2.0]], covariance_type="diag")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        known.save(path)
        again: float = fastgmm.load(path).bic(X[:, :1])
        assert again > 0

    found = fastgmm.select(X, n_components=[1, 2], covariance_types=["EII", "VVV"], random_state=0)
    assert_type(found, Selection)
    best: GaussianMixture = found.best_model
    print(best.n_components)

    step = fastgmm.em_step(X, model.weights_, model.means_, model.covariances_, covariance_type="full")
    print(step.log_likelihood, step.means.shape)
    statistics = fastgmm.sufficient_statistics(
        X, fastgmm.responsibilities(X, step.weights, step.means, step.covariances)
    )
    print(statistics.counts, fastgmm.log_prob(X, step.weights, step.means, step.covariances).shape)

    marginal: GaussianMixture = model.marginal([0, 2])
    assert isinstance(model.condition(0, 5.0), GaussianMixture)
    assert marginal.n_components == 2
    regressor = GaussianMixtureRegressor(2, random_state=0).fit(X[:, 1:], X[:, 0])
    assert_type(regressor, GaussianMixtureRegressor)
    assert_type(regressor.score(X[:, 1:], X[:, 0]), float)
    assert fastgmm.quantile(model.marginal(0), [0.1, 0.9]).shape == (2,)
    classifier = GaussianMixtureClassifier(covariance_type=["EEE", "VEV"]).fit(X, np.repeat([0, 1, 2], 50))
    assert_type(classifier.score(X, np.repeat([0, 1, 2], 50)), float)
    assert fastgmm.merge(model, X).predict(X, 1).max() == 0
    assert fastgmm.bootstrap(model, X, 3, random_state=0).standard_error.means.shape == model.means_.shape
    assert_type(fastgmm.likelihood_ratio_test(X, 1, "EII", 1, random_state=0).chosen, int)
    detector = GaussianMixtureOutlierDetector(contamination=0.1).fit(X)
    assert_type(detector.offset_, float)

    parts = fastgmm.chunks(lambda: iter([X[:75], X[75:]]))
    print(GaussianMixture(2, random_state=0).fit(parts).n_iter_, make_mixture(50, 2, 3, random_state=0).labels.shape)


if __name__ == "__main__":
    main()

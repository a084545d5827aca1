"""Gaussian mixture models by EM, with fused and parallel Numba kernels and scikit-learn's interface.

Public names are loaded on first use, so that ``import fastgmm`` costs next to nothing and ``fastgmm --help`` never loads
Numba.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fastgmm._version import __version__ as __version__

if TYPE_CHECKING:
    from fastgmm import datasets as datasets
    from fastgmm import kernels as kernels
    from fastgmm import plotting as plotting
    from fastgmm._errors import ConvergenceWarning, DegenerateWarning, LocalOptimumWarning, NotFittedError
    from fastgmm.data.chunks import chunks
    from fastgmm.estimators.bayesian_gaussian_mixture import BayesianGaussianMixture
    from fastgmm.estimators.classifier import GaussianMixtureClassifier
    from fastgmm.estimators.gaussian_mixture import GaussianMixture
    from fastgmm.estimators.loading import load
    from fastgmm.estimators.outlier_detector import GaussianMixtureOutlierDetector
    from fastgmm.estimators.regressor import GaussianMixtureRegressor
    from fastgmm.functional import (
        em_step,
        kmeans,
        kmeans_plusplus,
        log_density,
        log_prob,
        responsibilities,
        sufficient_statistics,
    )
    from fastgmm.inference import bootstrap, cdf, likelihood_ratio_test, merge, quantile
    from fastgmm.model.priors import NormalInverseWishart
    from fastgmm.selection import Selection, select

_HOME = {
    "BayesianGaussianMixture": "fastgmm.estimators.bayesian_gaussian_mixture",
    "ConvergenceWarning": "fastgmm._errors",
    "DegenerateWarning": "fastgmm._errors",
    "GaussianMixture": "fastgmm.estimators.gaussian_mixture",
    "GaussianMixtureClassifier": "fastgmm.estimators.classifier",
    "GaussianMixtureOutlierDetector": "fastgmm.estimators.outlier_detector",
    "GaussianMixtureRegressor": "fastgmm.estimators.regressor",
    "LocalOptimumWarning": "fastgmm._errors",
    "NormalInverseWishart": "fastgmm.model.priors",
    "NotFittedError": "fastgmm._errors",
    "Selection": "fastgmm.selection",
    "bootstrap": "fastgmm.inference.resampling",
    "cdf": "fastgmm.inference.distribution",
    "chunks": "fastgmm.data.chunks",
    "em_step": "fastgmm.functional",
    "kmeans": "fastgmm.functional",
    "kmeans_plusplus": "fastgmm.functional",
    "likelihood_ratio_test": "fastgmm.inference.likelihood_ratio",
    "load": "fastgmm.estimators.loading",
    "log_density": "fastgmm.functional",
    "log_prob": "fastgmm.functional",
    "merge": "fastgmm.inference.merging",
    "quantile": "fastgmm.inference.distribution",
    "responsibilities": "fastgmm.functional",
    "select": "fastgmm.selection",
    "sufficient_statistics": "fastgmm.functional",
}
_ROOMS = ("datasets", "kernels", "plotting")

__all__ = [
    "BayesianGaussianMixture",
    "ConvergenceWarning",
    "DegenerateWarning",
    "GaussianMixture",
    "GaussianMixtureClassifier",
    "GaussianMixtureOutlierDetector",
    "GaussianMixtureRegressor",
    "LocalOptimumWarning",
    "NormalInverseWishart",
    "NotFittedError",
    "Selection",
    "__version__",
    "bootstrap",
    "cdf",
    "chunks",
    "em_step",
    "kmeans",
    "kmeans_plusplus",
    "likelihood_ratio_test",
    "load",
    "log_density",
    "log_prob",
    "merge",
    "quantile",
    "responsibilities",
    "select",
    "sufficient_statistics",
]


if not TYPE_CHECKING:  # a type checker would conclude that any name exists

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            from fastgmm._collection import paused

            with paused():
                value = getattr(importlib.import_module(_HOME[name]), name)
            globals()[name] = value
            return value
        if name in _ROOMS:
            return importlib.import_module(f"fastgmm.{name}")
        raise AttributeError(f"module 'fastgmm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_ROOMS})

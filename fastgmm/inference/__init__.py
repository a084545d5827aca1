"""Inference from a fitted model: distribution functions, merged components, uncertainty, tests."""

from fastgmm.inference.distribution import cdf, quantile
from fastgmm.inference.likelihood_ratio import LikelihoodRatioTest, likelihood_ratio_test
from fastgmm.inference.merging import Merging, merge
from fastgmm.inference.resampling import Bootstrap, bootstrap

__all__ = [
    "Bootstrap",
    "LikelihoodRatioTest",
    "Merging",
    "bootstrap",
    "cdf",
    "likelihood_ratio_test",
    "merge",
    "quantile",
]

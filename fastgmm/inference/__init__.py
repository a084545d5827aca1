"""What follows from a fitted model: distribution functions, merged components, uncertainty, tests."""

from fastgmm.inference.distribution import cdf, quantile

__all__ = ["cdf", "quantile"]

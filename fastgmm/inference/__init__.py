"""What follows from a fitted model: distribution functions, merged components, uncertainty, tests."""

from fastgmm.inference.distribution import cdf, quantile
from fastgmm.inference.merging import Merging, merge

__all__ = ["Merging", "cdf", "merge", "quantile"]

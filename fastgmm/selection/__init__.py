"""Selection of the number of components and the covariance structure."""

from fastgmm._names import CRITERIA
from fastgmm.selection.result import Row, Selection
from fastgmm.selection.selector import select

__all__ = ["CRITERIA", "Row", "Selection", "select"]

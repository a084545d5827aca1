"""The commands by name; their arguments are in ``arguments``."""

from fastgmm.cli.applying import bootstrap, info, merge, predict, sample, score
from fastgmm.cli.fitting import classify, demo, fit, select, warmup

__all__ = ["bootstrap", "classify", "demo", "fit", "info", "merge", "predict", "sample", "score", "select", "warmup"]

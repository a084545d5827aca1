"""Wrong use, a line each, that `mypy --strict` must flag: the comment names the error's code (before | that of a new mypy)."""

from __future__ import annotations

import fastgmm
from fastgmm import GaussianMixture

X = [[0.0], [1.0], [5.0]]

GaussianMixture("two")  # arg-type
GaussianMixture(2, "full")  # call-arg|misc
GaussianMixture(2, covariance_type=3)  # arg-type
GaussianMixture(2, n_comp=3)  # call-arg
GaussianMixture(2).fit()  # call-arg
GaussianMixture(2).fit(X, batch_size="10")  # arg-type
GaussianMixture(2).predict(X).labels  # attr-defined
GaussianMixture(2).means  # attr-defined
label: str = GaussianMixture(2).score(X)  # assignment
GaussianMixture.from_parameters([1.0], [[0.0]])  # call-arg
fastgmm.load(3)  # arg-type
fastgmm.select(X, n_component=[1, 2])  # call-arg
fastgmm.em_step(X)  # call-arg
fastgmm.chunks()  # call-arg
fastgmm.GaussianMixtures  # attr-defined
fastgmm.datasets.load_irises()  # attr-defined

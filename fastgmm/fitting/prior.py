"""Priors that adapt to the data of a fit."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgmm._names import PRIORS
from fastgmm.data.source import Source
from fastgmm.em.sweep import accumulate, everything, mean, total
from fastgmm.model.layouts import DIAG
from fastgmm.model.priors import NormalInverseWishart
from fastgmm.model.structures import Structure


def check_prior(value: Any) -> NormalInverseWishart | None:
    """Return the prior that the argument `prior` asks for, not yet checked against the data; None if there is none."""
    if value is None or isinstance(value, NormalInverseWishart):
        return value
    if isinstance(value, str) and value in PRIORS:
        return NormalInverseWishart()
    kind = ValueError if isinstance(value, str) else TypeError
    raise kind(
        f"prior must be None, 'default' or a fastgmm.NormalInverseWishart, got {value!r}: pass 'default' for a prior that is "
        "scaled to the data"
    )


def completed(
    prior: NormalInverseWishart, source: Source, structure: Structure, k: int, n_threads: int | None
) -> NormalInverseWishart:
    """Return the prior with the defaults of the data in place of what is not given. Up to two passes, once for a source.

    Raises ValueError if it is not a prior for so many features.
    """
    d = source.n_features
    prior = prior.checked(d)
    if not prior.needs_data:
        return prior.completed(np.zeros(d), np.eye(d), structure, k)
    n = source.total_weight * source.weight_unit
    # as many samples as their weights add up to; fewer than two have no variance
    unit = source.weight_unit / (max(n, 2.0) - 1.0)
    if structure.layout.correlates or source.incomplete:
        whole = total(source, n_threads)
        return prior.completed(whole.mean, whole.scatter * unit, structure, k)
    if "variances" not in source.memory:
        centre = mean(source)
        found = accumulate(source, DIAG, centre[None], everything, n_threads)
        source.memory["variances"] = centre, DIAG.within(found.scatter, found.sums, found.counts)[0]
    centre, scatter = source.memory["variances"]
    return prior.completed(centre, np.diag(scatter * unit), structure, k)

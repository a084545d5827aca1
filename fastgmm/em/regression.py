"""The pass that predicts some features of samples from others."""

from __future__ import annotations

from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from fastgmm import _threads
from fastgmm._errors import memory_for
from fastgmm.data.source import ArraySource, LocalSource
from fastgmm.em import evaluate
from fastgmm.em.lanes import lanes
from fastgmm.kernels.regression import expected_lanes
from fastgmm.model.conditional import Conditional

Float = NDArray[np.float64]

#: Samples that a thread takes at a time.
_WIDTH = 2048


def expected(
    source: LocalSource, rule: Conditional, n_threads: int | None = None, *, with_variance: bool = False
) -> tuple[Float, Float]:
    """Return E[y | x] and Var[y | x] of each sample x, each (n, q); without the variance (0, q). Nothing else of size n is kept.

    All is computed in float64, so that samples far from all components have a probability in some.
    """
    q = rule.means.shape[1]
    with memory_for(f"the predictions for {source.n_samples} samples", "Pass X in parts, one after the other"):
        mean, variance = np.empty((source.n_samples, q)), np.empty((source.n_samples if with_variance else 0, q))
    arrays = _with_noise(rule)
    plan = lanes(source, rule.given.n_densities, 0, row_bytes=8 * rule.given.n_densities)
    with (
        _threads.limited(n_threads),
        _threads.ThreadPool(min(_threads.current_threads(), plan.n_lanes)) as pool,
        closing(source.blocks(plan.rows)) as blocks,
    ):
        for block in blocks:
            X = np.ascontiguousarray(block.X, dtype=np.float64)
            resp = evaluate.responsibilities(ArraySource(X), rule.given)
            rows = slice(block.start, block.start + len(X))
            pool.run(
                expected_lanes, X, resp, *arrays, _WIDTH, mean[rows], variance[rows] if with_variance else variance
            )
    return mean, variance


def _with_noise(rule: Conditional) -> tuple[Float, Float, Float, Float]:
    """Return centres, means, coefficients and variances of components; noise comes last, uniform over its box whatever x is."""
    centres, means, coefficients, variances = rule.given.means, rule.means, rule.coefficients, rule.variances
    if rule.noise is not None:
        low, high = rule.noise.low, rule.noise.high
        centres = np.vstack([centres, np.zeros_like(centres[:1])])
        means, variances = np.vstack([means, 0.5 * (low + high)]), np.vstack([variances, (high - low) ** 2 / 12.0])
        coefficients = np.concatenate([coefficients, np.zeros_like(coefficients[:1])])
    return tuple(np.ascontiguousarray(a) for a in (centres, means, coefficients, variances))  # type: ignore[return-value]

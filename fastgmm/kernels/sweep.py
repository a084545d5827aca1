"""The parallel kernels: one pass over a block of samples. Thin on purpose, the work is in the tile functions.

A block of samples is cut into lanes of `width`; lane l owns slice l of the accumulators, so that bits do not depend on the number
of threads. A kernel calls the function of a lane by address (`_jit.called`): LLVM would optimise and emit its code three times
more. A block of a single lane needs no parallel kernel, but `sweep_lane`, `label_lane` or `evaluate_lane`. Parameters come as one
of the NamedTuples Full, Tied, Diag, Spherical; their type picks the tile functions when the kernel is compiled.
"""

from __future__ import annotations

import numpy as np

from fastgmm._jit import ELEMENTWISE, called, choose, helper, kernel, prange
from fastgmm.kernels.elementary import log
from fastgmm.kernels.full import Full, add_products
from fastgmm.kernels.full import accumulate as full_accumulate
from fastgmm.kernels.full import density as full_density
from fastgmm.kernels.ir_arrays import zeros
from fastgmm.kernels.ir_density import STEP, exponentials, most_probable
from fastgmm.kernels.ir_moments import weighted_differences
from fastgmm.kernels.ir_turns import take
from fastgmm.kernels.simple import (
    Diag,
    Spherical,
    Tied,
    diag_accumulate,
    diag_density,
    spherical_density,
    tied_accumulate,
    tied_density,
)
from fastgmm.kernels.tile import (
    exponentials_tile,
    load_tile,
    log_sum_exp_tile,
    new_scratch,
    padded,
    weighted_exponentials_tile,
)

#: Outputs of `evaluate`.
LOG_PROB, RESPONSIBILITIES, LOG_DENSITY = 0, 1, 2


def _density(parameters, work, m):
    """Compute the weighted log-densities of a tile, and their maximum over components.

    Parameters
    ----------
    parameters : Full, Tied, Diag or Spherical
        Packed parameters; their type determines the layout.
    work : Scratch
        Working memory: `x` is the input; ``resp[k, s] = log(w_k N(x_s | k))`` and ``top[s] = max_k resp[k, s]`` are the output.
    m : int
        Number of samples in the tile.

    See Also
    --------
    load_tile : Fill the tile.
    log_sum_exp_tile : Responsibilities from log-densities.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm import kernels
    >>> from fastgmm.model.checks import check_parameters
    >>> from fastgmm.model.layouts import FULL
    >>> means, covariances = np.array([[0.0, 0.0], [5.0, 5.0]]), np.tile(np.eye(2), (2, 1, 1))
    >>> packed = check_parameters([0.5, 0.5], means, covariances, FULL, "full").packed(np.float64)
    >>> X = np.array([[0.0, 0.0], [5.0, 4.0], [1.0, 0.0]])
    >>> samples = kernels.Samples(X.ravel(), offset=0, row=2, column=1, n_samples=3, n_features=2)
    >>> work = kernels.new_scratch(packed)
    >>> kernels.load_tile(samples, 0, 3, work.x)
    >>> kernels.tile_density(packed, work, 3)
    >>> work.resp[:, :3].round(3).tolist()
    [[-2.531, -23.031, -3.031], [-27.531, -3.031, -23.031]]
    """


def _accumulate(parameters, work, m, lane, out):
    """Add the statistics of a tile, about the means of the parameters.

    Parameters
    ----------
    parameters : Full, Tied, Diag or Spherical
        Packed parameters; their type determines the layout.
    work : Scratch
        Working memory: `x`, and `resp` whose product with `total` is the responsibility. Both are overwritten.
    m : int
        Number of samples in the tile.
    lane : int
        Index of the slice of `out` to add to.
    out : Sums
        Accumulators; `counts`, `sums` and `scatter` are added to, `log_likelihood` is not.

    See Also
    --------
    log_sum_exp_tile : Responsibilities; afterwards set `total` to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm import kernels
    >>> from fastgmm.model.checks import check_parameters
    >>> from fastgmm.model.layouts import FULL
    >>> means, covariances = np.array([[0.0, 0.0], [5.0, 5.0]]), np.tile(np.eye(2), (2, 1, 1))
    >>> packed = check_parameters([0.5, 0.5], means, covariances, FULL, "full").packed(np.float64)
    >>> X = np.array([[0.0, 0.0], [5.0, 4.0], [1.0, 0.0]])
    >>> samples = kernels.Samples(X.ravel(), offset=0, row=2, column=1, n_samples=3, n_features=2)
    >>> work = kernels.new_scratch(packed)
    >>> kernels.load_tile(samples, 0, 3, work.x)
    >>> kernels.tile_density(packed, work, 3)
    >>> likelihood = kernels.log_sum_exp_tile(work.resp, work.top, work.total, 3)
    >>> work.total[:3] = 1.0  # responsibilities are complete
    >>> out = kernels.Sums(np.zeros(1), np.zeros((1, 2)), np.zeros((2, 4)), np.zeros(FULL.accumulator_shape(2, 2)))
    >>> kernels.tile_accumulate(packed, work, 3, 0, out)
    >>> out.counts.round(3).tolist(), (out.sums[:, :2].round(3) + 0.0).tolist()
    ([[2.0, 1.0]], [[1.0, 0.0], [0.0, -1.0]])
    """


tile_density = choose(
    _density, {Full: full_density, Tied: tied_density, Diag: diag_density, Spherical: spherical_density}
)
tile_accumulate = choose(
    _accumulate, {Full: full_accumulate, Tied: tied_accumulate, Diag: diag_accumulate, Spherical: diag_accumulate}
)


@helper(ELEMENTWISE)
def sweep_tiles(samples, low, high, parameters, resp, weights, lane, out, work):
    """Do `sweep` for samples low .. high, added to slice `lane` of the accumulators; work : Scratch for `parameters`."""
    given, weighted = resp.shape[0] > 0, weights.shape[0] > 0
    width = len(work.top)
    for first in range(low, high, width):
        m = min(width, high - first)
        load_tile(samples, first, m, work.x)
        if given:
            _load_resp(resp, first, m, work)
            if weighted:
                for s in range(m):
                    work.total[s] = weights[first + s]
        else:
            tile_density(parameters, work, m)
            if weighted:
                out.log_likelihood[lane] += weighted_exponentials_tile(
                    work.resp, work.top, work.total, m, weights, first
                )
            else:
                out.log_likelihood[lane] += exponentials_tile(work.resp, work.top, work.total, m)
        tile_accumulate(parameters, work, m, lane, out)


call_sweep_tiles = called(sweep_tiles)


@helper(ELEMENTWISE)
def sweep_lane(samples, low, high, parameters, resp, weights, lane, out):
    """Do `sweep_tiles` with working memory of its own."""
    call_sweep_tiles(samples, low, high, parameters, resp, weights, lane, out, new_scratch(parameters))


call_sweep_lane = called(sweep_lane)


@kernel
def sweep(samples, width, n_lanes, parameters, resp, weights, out):
    """Do the E-step and the statistics of a block of samples, or the statistics alone.

    samples : Samples, in; parameters : in; out : Sums, inout
    resp : (n, k) float, in, given responsibilities, in which case the densities are not computed and out.log_likelihood is
    left alone; of shape (0, k) for an E-step. One kernel for both saves compiling the statistics a second time.
    weights : (n,) float, in, of the samples; of shape (0,) if all are 1.
    Cost: the densities' and the statistics' flops; X is read once, nothing of size n is written.
    """
    for lane in prange(n_lanes):
        # prange counts in uint64 if it runs in parallel: `sweep_lane` would be compiled twice
        row = np.int64(lane)
        low = row * width
        call_sweep_lane(samples, low, min(low + width, samples.n_samples), parameters, resp, weights, row, out)


@helper(ELEMENTWISE, inline=True)
def _load_resp(given, row, m, work):
    for k in range(given.shape[1]):
        for s in range(m):
            work.resp[k, s] = given[row + s, k]
    for s in range(padded(m)):
        work.total[s] = 1.0 if s < m else 0.0


@helper(ELEMENTWISE)
def scatter_lanes(turn, samples, weights, origin, tile, width, sums, scatter):
    """Add the first moments and scatter about `origin` of the lanes of a block whose turn it is (`ir_turns.take`).

    weights : (n,) float, in, or (0,) if all are 1; tile : samples in a tile
    origin : (1, d) float, in, in whose dtype all is computed, be that of the samples or a wider one
    width : samples in a lane; sums : (lanes, d) float64, inout
    scatter : (lanes * columns, columns) float64, inout, the upper triangle, as `full.accumulate` has it
    Cost: d (d + 1) flops a sample.
    """
    d, columns = origin.shape[1], scatter.shape[1]
    x, v, root = zeros((d, tile), origin.dtype), zeros((d, tile), origin.dtype), zeros((1, tile), origin.dtype)
    lane = take(turn)
    while lane < len(sums):
        high = min((lane + 1) * width, samples.n_samples)
        for first in range(lane * width, high, tile):
            m = min(tile, high - first)
            load_tile(samples, first, m, x)
            for s in range(tile):
                root[0, s] = 1.0 if s < m else 0.0
            if weights.shape[0] > 0:
                for s in range(m):
                    root[0, s] = np.sqrt(np.float64(weights[first + s]))
            for i in range(0, d, 4):
                weighted_differences(x, v, False, root, origin, 0, i, padded(m), sums, lane)
            add_products(v, scatter, lane * columns, columns, padded(m))
        lane = take(turn)


@helper(ELEMENTWISE)
def label_lane(samples, low, high, parameters, labels):
    """Do `label` for samples low .. high."""
    work = new_scratch(parameters)
    width = len(work.top)
    for first in range(low, high, width):
        m = min(width, high - first)
        load_tile(samples, first, m, work.x)
        tile_density(parameters, work, m)
        for s in range(0, m, STEP):
            most_probable(work.resp, work.chosen, s)
        for s in range(m):
            labels[first + s] = work.chosen[s]


@helper(ELEMENTWISE)
def evaluate_lane(samples, low, high, parameters, what, values):
    """Do `evaluate` for samples low .. high."""
    work = new_scratch(parameters)
    width = len(work.top)
    for first in range(low, high, width):
        m = min(width, high - first)
        load_tile(samples, first, m, work.x)
        tile_density(parameters, work, m)
        if what == LOG_PROB:
            _log_prob(work, m)
            for s in range(m):
                values[first + s, 0] = work.total[s]
        else:
            if what == RESPONSIBILITIES:
                log_sum_exp_tile(work.resp, work.top, work.total, m)
            _write_rows(work.resp, m, first, values)


call_label_lane, call_evaluate_lane = called(label_lane), called(evaluate_lane)


@kernel
def label(samples, width, n_lanes, parameters, labels):
    """Write the most probable component of the samples of a block, the first on ties. labels : (n,) int64, out.

    It is apart from `evaluate` since `predict` alone then compiles half as much.
    """
    for lane in prange(n_lanes):
        low = np.int64(lane) * width
        call_label_lane(samples, low, min(low + width, samples.n_samples), parameters, labels)


@kernel
def evaluate(samples, width, n_lanes, parameters, what, values):
    """Do the E-step only: write what is asked for of the samples of a block.

    what : LOG_PROB, RESPONSIBILITIES or LOG_DENSITY; values : (n, 1) or (n, k) float, out.
    """
    for lane in prange(n_lanes):
        low = np.int64(lane) * width
        call_evaluate_lane(samples, low, min(low + width, samples.n_samples), parameters, what, values)


@helper(ELEMENTWISE, inline=True)
def _write_rows(resp, m, first, values):
    """Set values[first + s, k] = resp[k, s], by eight components: this many make a cache line of values."""
    n_components = resp.shape[0]
    for k0 in range(0, n_components, 8):
        k1 = min(k0 + 8, n_components)
        for s in range(m):
            for k in range(k0, k1):
                values[first + s, k] = resp[k, s]


@helper(ELEMENTWISE, inline=True)
def _log_prob(work, m):
    """Set total[s] = log sum_k exp(resp[k, s])."""
    for s in range(0, m, STEP):
        exponentials(work.resp, work.top, work.total, s)
    for s in range(m):
        work.total[s] = work.top[s] + log(work.total[s])

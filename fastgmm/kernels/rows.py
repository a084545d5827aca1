"""Samples one by one: each with a covariance of its errors, and with features that may be missing (NaN).

With the covariance V of a component, S of the errors of a sample and o its observed features: T = V_oo + S_oo,
x_o ~ N(mean_o, T), and given x the error-free value has mean b = mean + V_:o T^-1 (x_o - mean_o) and covariance
B = V - V_:o T^-1 V_o: (Bovy, Hogg & Roweis, Ann. Appl. Stat. 5(2B), 2011; Ghahramani & Jordan 1994 for missing values).

Every sample has a factorisation of its own for each component. Rows of arrays are along samples, so that vectors hold the same
element of as many matrices. A missing feature has, in T, a row and column of the identity, and no difference: it adds
nothing to any sum, and the code has no branches.

With V = C C^T, C lower triangular, T = L D L^T, P the projection on observed features, z = L^-1 (x - mean),
G = L^-1 P C, which is lower triangular too: w = G^T D^-1 z and M = G^T D^-1 G give b - mean = C w and B = C (I - M) C^T. The
sums are those of w and w w^T - M, and C is applied once, after the pass (`em.rows`): they are of the order of 1 in every
direction, however narrow a component is in some.

Letters: B samples of a tile, d features, t = d (d + 1) / 2 elements of a triangle, row by row, k components.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastgmm._jit import ELEMENTWISE, called, choose, helper, kernel, prange
from fastgmm.kernels.elementary import log
from fastgmm.kernels.ir_arrays import zeros
from fastgmm.kernels.ir_density import STEP, exponentials, most_probable
from fastgmm.kernels.ir_rows import (
    small_density_2,
    small_density_3,
    small_density_4,
    small_density_5,
    small_excess_2,
    small_excess_3,
    small_excess_4,
    small_excess_5,
    subtract_products,
    weighted_excess,
)
from fastgmm.kernels.sweep import LOG_PROB, RESPONSIBILITIES
from fastgmm.kernels.tile import (
    NEGLIGIBLE,
    exponentials_tile,
    log_sum_exp_tile,
    padded,
    weighted_exponentials_tile,
)

#: Matrices of 2 to this many features are decomposed in registers, if no value is missing.
MOST_SMALL = 5
#: Elements up to this one, or down to its inverse, are moderate.
MODERATE = 1e60
_ZERO, _ONE = np.float64(0.0), np.float64(1.0)
_HALF_LOG_2_PI = 0.9189385332046727


class Matrices(NamedTuple):
    """Parameters for samples whose features, or the errors of them, are correlated; float64.

    constant : (k,), log w_k - d/2 log 2 pi, and one more for noise: its log-density
    means : (k, d); covariance, factor : (k, t), lower triangles of V and of C
    box : (d,), logarithms of the lengths of the box of noise, or 0 if there is none
    moderate : whether elements of V, and of D for S = 0, are so that products of MOST_SMALL stay within float64
    tile : samples in a tile
    """

    constant: np.ndarray
    means: np.ndarray
    covariance: np.ndarray
    factor: np.ndarray
    box: np.ndarray
    moderate: bool
    tile: int


class Variances(NamedTuple):
    """Parameters for samples whose features, and the errors of them, are independent; as `Matrices`, but (k, d)."""

    constant: np.ndarray
    means: np.ndarray
    covariance: np.ndarray
    factor: np.ndarray
    box: np.ndarray
    moderate: bool
    tile: int


class Tile(NamedTuple):
    """A lane's working memory; rows of B samples, float64.

    x : (d, B), the samples, 0 for what is missing; seen : (d, B), 1 for what is observed, else 0
    noise : (t or d, B), S, with the identity for what is missing
    solved : (k * (t + d) or k * 2 d, B), for each component L with 1 / D on its diagonal (or 1 / T), then z
    column, image : (t or d, B), G by columns, and D^-1 G; row, w : (d, B); one : (1, B), ones
    resp : (k, B); top, total : (B,); chosen : (B,) int64
    """

    x: np.ndarray
    seen: np.ndarray
    noise: np.ndarray
    solved: np.ndarray
    column: np.ndarray
    image: np.ndarray
    row: np.ndarray
    w: np.ndarray
    one: np.ndarray
    resp: np.ndarray
    top: np.ndarray
    total: np.ndarray
    chosen: np.ndarray


class RowSums(NamedTuple):
    """Accumulators, a slice per lane, float64: sums over samples of r, r w, and r (w w^T - M), lower triangles.

    log_likelihood : (lanes,); counts : (lanes, k); sums : (lanes * k, d); scatter : (lanes * k, t or d).
    """

    log_likelihood: np.ndarray
    counts: np.ndarray
    sums: np.ndarray
    scatter: np.ndarray


@helper(ELEMENTWISE)
def _new_tile(p):
    n_densities, n_components, d, size = len(p.constant), p.means.shape[0], p.means.shape[1], p.covariance.shape[1]
    width, like = p.tile, p.means
    line, one = zeros((2, width), like.dtype), zeros((1, width), like.dtype)
    one[:] = _ONE
    return Tile(
        zeros((d, width), like.dtype),
        zeros((d, width), like.dtype),
        zeros((size, width), like.dtype),
        zeros((n_components * (size + d), width), like.dtype),
        zeros((size, width), like.dtype),
        zeros((size, width), like.dtype),
        zeros((d, width), like.dtype),
        zeros((d, width), like.dtype),
        one,
        zeros((n_densities, width), like.dtype),
        line[0],
        line[1],
        zeros(width, np.int64),
    )


@helper(ELEMENTWISE, inline=True)
def _load(samples, noise, first, m, matrices, work):
    """Load samples first .. first + m, the last one repeated in the padding.

    Returns how many values are missing, and whether no error is beyond MODERATE.

    noise : (n, 0), (n, d) or (n, d * d) float, no errors, variances, or covariances; (1, ...) those of all samples.
    """
    x, seen, target = work.x, work.seen, work.noise
    d, mp, given = samples.n_features, padded(m), noise.shape[1]
    missing, step = 0, (1 if noise.shape[0] > 1 else 0)
    for j in range(d):
        base = samples.offset + j * samples.column + first * samples.row
        for s in range(m):
            value = np.float64(samples.flat[base + s * samples.row])
            observed = value == value
            x[j, s] = value if observed else _ZERO
            seen[j, s] = _ONE if observed else _ZERO
            missing += 0 if observed else 1
        for s in range(m, mp):
            x[j, s] = x[j, m - 1]
            seen[j, s] = seen[j, m - 1]
    at, largest = 0, _ZERO
    for i in range(d):
        for j in range(0 if matrices else i, i + 1):
            from_column = i * d + j if given > d else i
            none = given == 0 or (i != j and given == d)
            for s in range(mp):
                value = _ZERO if none else np.float64(noise[step * (first + min(s, m - 1)), from_column])
                target[at, s] = value
                largest = max(largest, value)
            at += 1
    return missing, largest < MODERATE


@helper(ELEMENTWISE, inline=True)
def _hide(d, mp, matrices, work):
    """Give missing features, in S, rows and columns of the identity."""
    seen, noise = work.seen, work.noise
    at = 0
    for i in range(d):
        for j in range(0 if matrices else i, i + 1):
            for s in range(mp):
                both = seen[i, s] * seen[j, s]
                # an error of what is missing may be anything, NaN as well
                noise[at, s] = noise[at, s] if both > _ZERO else (_ONE if i == j else _ZERO)
            at += 1


@helper(ELEMENTWISE)
def _matrices_density(p, work, missing, small, m):
    """Compute the weighted log-densities of a tile, and keep L, D and z of every component. Cost: k B d^3 / 3 flops."""
    x, seen, noise, solved, row, resp = work.x, work.seen, work.noise, work.solved, work.row, work.resp
    means, covariance = p.means, p.covariance
    n_components, d, size = means.shape[0], means.shape[1], covariance.shape[1]
    mp = padded(m)
    for k in range(n_components):
        base = k * (size + d)
        z = base + size
        if small:
            determinant = work.top
            if d == 2:
                small_density_2(x, noise, covariance, means, k, solved, base, determinant, resp, mp)
            elif d == 3:
                small_density_3(x, noise, covariance, means, k, solved, base, determinant, resp, mp)
            elif d == 4:
                small_density_4(x, noise, covariance, means, k, solved, base, determinant, resp, mp)
            else:
                small_density_5(x, noise, covariance, means, k, solved, base, determinant, resp, mp)
            for s in range(mp):
                resp[k, s] += log(determinant[s])
            continue
        for s in range(mp):
            resp[k, s] = _ZERO
        at = 0
        for i in range(d):
            mean = means[k, i]
            for j in range(i + 1):
                value = covariance[k, at + j]
                if missing > 0:
                    for s in range(mp):
                        row[j, s] = noise[at + j, s] + value * (seen[i, s] * seen[j, s])
                else:
                    for s in range(mp):
                        row[j, s] = noise[at + j, s] + value
            # L_ij D_j, in `row`, from the columns before it; L itself behind them
            for j in range(i):
                start = base + j * (j + 1) // 2
                subtract_products(row, j, row, np.int64(0), solved, start, j, mp)
                for s in range(mp):
                    solved[base + at + j, s] = row[j, s] * solved[start + j, s]
            subtract_products(row, i, row, np.int64(0), solved, base + at, i, mp)
            for s in range(mp):
                solved[z + i, s] = (x[i, s] - mean) * seen[i, s]
            subtract_products(solved, z + i, solved, base + at, solved, z, i, mp)
            for s in range(mp):
                pivot = row[i, s]
                inverse = _ONE / pivot
                solved[base + at + i, s] = inverse
                resp[k, s] += log(pivot) + solved[z + i, s] * solved[z + i, s] * inverse
            at += i + 1
    _finish(p, work, missing, mp)


@helper(ELEMENTWISE)
def _variances_density(p, work, missing, small, m):
    """Compute the weighted log-densities of a tile, and keep 1 / T and x - mean of every component."""
    x, seen, noise, solved, resp = work.x, work.seen, work.noise, work.solved, work.resp
    means, covariance = p.means, p.covariance
    n_components, d = means.shape
    mp = padded(m)
    for k in range(n_components):
        base = k * 2 * d
        for s in range(mp):
            resp[k, s] = _ZERO
        for i in range(d):
            mean, variance = means[k, i], covariance[k, i]
            for s in range(mp):
                pivot = noise[i, s] + variance * seen[i, s]
                inverse = _ONE / pivot
                difference = (x[i, s] - mean) * seen[i, s]
                solved[base + i, s] = inverse
                solved[base + d + i, s] = difference
                resp[k, s] += log(pivot) + difference * difference * inverse
    _finish(p, work, missing, mp)


@helper(ELEMENTWISE)
def _finish(p, work, missing, mp):
    """Turn log-determinants plus squared distances into log-densities, of noise as well, and set their maxima."""
    resp, top, total, seen, constant = work.resp, work.top, work.total, work.seen, p.constant
    n_components, d = p.means.shape
    for s in range(mp):
        top[s] = -np.inf
        total[s] = _ZERO
    for k in range(len(constant)):
        c = constant[k]
        if missing > 0 and (k == 0 or k == n_components):  # what is missing has no factor 1 / sqrt(2 pi), and no length
            for s in range(mp):
                total[s] = _ZERO
            for i in range(d):
                factor = _HALF_LOG_2_PI if k < n_components else p.box[i]
                for s in range(mp):
                    total[s] += (_ONE - seen[i, s]) * factor
        if k < n_components:
            for s in range(mp):
                resp[k, s] = (c + total[s]) - 0.5 * resp[k, s]
        else:
            for s in range(mp):
                resp[k, s] = c + total[s]
        for s in range(mp):
            top[s] = max(top[s], resp[k, s])


@helper(ELEMENTWISE, inline=True)
def _weigh(resp, total, k, mp):
    """Scale resp[k] with total; return its sum, in a fixed order, and whether some of it is not negligible."""
    used = 0
    for s in range(mp):
        r = resp[k, s] * total[s]
        resp[k, s] = r
        used += 1 if r > NEGLIGIBLE else 0
    t0, t1, t2, t3 = _ZERO, _ZERO, _ZERO, _ZERO
    for s in range(0, mp, 4):
        t0 += resp[k, s]
        t1 += resp[k, s + 1]
        t2 += resp[k, s + 2]
        t3 += resp[k, s + 3]
    return (t0 + t1) + (t2 + t3), used > 0


@helper(ELEMENTWISE)
def _matrices_accumulate(p, work, missing, small, m, lane, out):
    """Add the sums of a tile, given responsibilities resp * total. Cost: k B d^3 2 / 3 flops."""
    column, image, w, one, resp = work.column, work.image, work.w, work.one, work.resp
    n_components, d = p.means.shape
    mp, none = padded(m), np.int64(0)
    for k in range(len(p.constant)):
        count, used = _weigh(resp, work.total, k, mp)
        if not used:
            continue
        out.counts[lane, k] += count
        if k == n_components:  # noise
            continue
        target = lane * len(p.constant) + k
        if small:
            base, solved, sums, scatter = k * (p.covariance.shape[1] + d), work.solved, out.sums, out.scatter
            if d == 2:
                small_excess_2(solved, base, p.factor, k, resp, mp, sums, scatter, target)
            elif d == 3:
                small_excess_3(solved, base, p.factor, k, resp, mp, sums, scatter, target)
            elif d == 4:
                small_excess_4(solved, base, p.factor, k, resp, mp, sums, scatter, target)
            else:
                small_excess_5(solved, base, p.factor, k, resp, mp, sums, scatter, target)
            continue
        _columns(p, work, missing, k, mp)
        at, element = none, none
        for c in range(d):
            out.sums[target, c] += weighted_excess(resp, k, w, c, one, none, column, none, image, none, none, mp)
            other = none
            for e in range(c + 1):  # columns c and e of G from row c on
                excess = weighted_excess(resp, k, w, c, w, e, column, at, image, other + c - e, d - c, mp)
                out.scatter[target, element] += excess
                element += 1
                other += d - e
            at += d - c


@helper(ELEMENTWISE)
def _columns(p, work, missing, k, mp):
    """Set `column`, the columns of G from the diagonal on, one after the other, `image`, those of D^-1 G, and w."""
    seen, solved, column, image, row, w = work.seen, work.solved, work.column, work.image, work.row, work.w
    d, size = p.means.shape[1], p.covariance.shape[1]
    base = k * (size + d)
    z = base + size
    for i in range(d):
        inverse = base + i * (i + 1) // 2 + i
        for s in range(mp):
            row[i, s] = -(solved[z + i, s] * solved[inverse, s])
    at = np.int64(0)
    for c in range(d):
        for i in range(c, d):
            value = p.factor[k, i * (i + 1) // 2 + c]
            here, triangle = at + i - c, base + i * (i + 1) // 2
            for s in range(mp):
                column[here, s] = value
            if missing > 0:
                for s in range(mp):
                    column[here, s] *= seen[i, s]
            subtract_products(column, here, solved, triangle + c, column, at, i - c, mp)
            for s in range(mp):
                image[here, s] = column[here, s] * solved[triangle + i, s]
        for s in range(mp):
            w[c, s] = _ZERO
        subtract_products(w, c, column, at, row, c, d - c, mp)
        at += d - c


@helper(ELEMENTWISE)
def _variances_accumulate(p, work, missing, small, m, lane, out):
    """Add the sums of a tile, given responsibilities resp * total."""
    seen, solved, column, image, w, one, resp = (
        work.seen,
        work.solved,
        work.column,
        work.image,
        work.w,
        work.one,
        work.resp,
    )
    n_components, d = p.means.shape
    mp, none = padded(m), np.int64(0)
    for k in range(len(p.constant)):
        count, used = _weigh(resp, work.total, k, mp)
        if not used:
            continue
        out.counts[lane, k] += count
        if k == n_components:  # noise
            continue
        target, base = lane * len(p.constant) + k, k * 2 * d
        for i in range(d):
            root = p.factor[k, i]
            for s in range(mp):
                share = root * solved[base + i, s]
                w[i, s] = share * solved[base + d + i, s]
                column[i, s] = share
                image[i, s] = root * seen[i, s]
            out.sums[target, i] += weighted_excess(resp, k, w, i, one, none, column, none, image, none, none, mp)
            out.scatter[target, i] += weighted_excess(resp, k, w, i, w, i, column, i, image, i, np.int64(1), mp)


def _density(p, work, missing, small, m):
    """Compute the weighted log-densities of a tile."""


def _accumulate(p, work, missing, small, m, lane, out):
    """Add the sums of a tile."""


rows_density = choose(_density, {Matrices: _matrices_density, Variances: _variances_density})
rows_accumulate = choose(_accumulate, {Matrices: _matrices_accumulate, Variances: _variances_accumulate})


@helper(ELEMENTWISE, inline=True)
def _leave_out_empty(work, d, mp):
    """Leave samples without any value out of the sums."""
    seen, total = work.seen, work.total
    for s in range(mp):
        some = _ZERO
        for i in range(d):
            some = max(some, seen[i, s])
        total[s] *= some


@helper(ELEMENTWISE, inline=True)
def _load_and_evaluate(samples, noise, first, m, p, work):
    """Load a tile and compute its log-densities; return the number of missing values, and whether matrices were small."""
    d = p.means.shape[1]
    matrices = p.covariance.shape[1] > d
    missing, moderate = _load(samples, noise, first, m, matrices, work)
    small = matrices and missing == 0 and 2 <= d <= MOST_SMALL and moderate and p.moderate
    if missing > 0:
        _hide(d, padded(m), matrices, work)
    rows_density(p, work, missing, small, m)
    return missing, small


@helper(ELEMENTWISE)
def sweep_rows_lane(samples, noise, low, high, parameters, weights, lane, out):
    """Do `sweep_rows` for samples low .. high, added to slice `lane` of the accumulators."""
    work = _new_tile(parameters)
    for first in range(low, high, parameters.tile):
        m = min(parameters.tile, high - first)
        missing, small = _load_and_evaluate(samples, noise, first, m, parameters, work)
        if weights.shape[0] > 0:
            out.log_likelihood[lane] += weighted_exponentials_tile(work.resp, work.top, work.total, m, weights, first)
        else:
            out.log_likelihood[lane] += exponentials_tile(work.resp, work.top, work.total, m)
        if missing > 0:
            _leave_out_empty(work, parameters.means.shape[1], padded(m))
        rows_accumulate(parameters, work, missing, small, m, lane, out)


@helper(ELEMENTWISE)
def label_rows_lane(samples, noise, low, high, parameters, labels):
    """Do `label_rows` for samples low .. high."""
    work = _new_tile(parameters)
    for first in range(low, high, parameters.tile):
        m = min(parameters.tile, high - first)
        _load_and_evaluate(samples, noise, first, m, parameters, work)
        for s in range(0, m, STEP):
            most_probable(work.resp, work.chosen, s)
        for s in range(m):
            labels[first + s] = work.chosen[s]


@helper(ELEMENTWISE)
def evaluate_rows_lane(samples, noise, low, high, parameters, what, values):
    """Do `evaluate_rows` for samples low .. high."""
    work = _new_tile(parameters)
    for first in range(low, high, parameters.tile):
        m = min(parameters.tile, high - first)
        _load_and_evaluate(samples, noise, first, m, parameters, work)
        if what == LOG_PROB:
            for s in range(0, m, STEP):
                exponentials(work.resp, work.top, work.total, s)
            for s in range(m):
                values[first + s, 0] = work.top[s] + log(work.total[s])
        else:
            if what == RESPONSIBILITIES:
                log_sum_exp_tile(work.resp, work.top, work.total, m)
            for s in range(m):
                for k in range(work.resp.shape[0]):
                    values[first + s, k] = work.resp[k, s]


_sweep_lane, _label_lane, _evaluate_lane = (
    called(sweep_rows_lane),
    called(label_rows_lane),
    called(evaluate_rows_lane),
)


@kernel
def sweep_rows(samples, noise, width, n_lanes, parameters, weights, out):
    """Do the E-step and the statistics of a block of samples, each with errors of its own or with missing features.

    samples : Samples, in, NaN for what is missing
    noise : (n, 0), (n, d) or (n, d * d) float, in, errors of each sample, or (1, ...), those of all; `Variances` take no matrices
    parameters : Matrices or Variances, in; weights : (n,) float, in, or (0,) if all are 1; out : RowSums, inout
    """
    for lane in prange(n_lanes):
        row = np.int64(lane)
        low = row * width
        _sweep_lane(samples, noise, low, min(low + width, samples.n_samples), parameters, weights, row, out)


@kernel
def label_rows(samples, noise, width, n_lanes, parameters, labels):
    """Write the most probable component of the samples of a block, the first on ties. labels : (n,) int64, out."""
    for lane in prange(n_lanes):
        low = np.int64(lane) * width
        _label_lane(samples, noise, low, min(low + width, samples.n_samples), parameters, labels)


@kernel
def evaluate_rows(samples, noise, width, n_lanes, parameters, what, values):
    """Do the E-step only: write what is asked for, as `sweep.evaluate` does. values : (n, 1) or (n, k) float, out."""
    for lane in prange(n_lanes):
        low = np.int64(lane) * width
        _evaluate_lane(samples, noise, low, min(low + width, samples.n_samples), parameters, what, values)

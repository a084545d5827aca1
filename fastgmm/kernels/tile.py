"""The tile: some samples, feature-major, with everything that is computed about them before the next tile is loaded.

Letters: B samples (`tile_width`), m <= B valid ones, d features padded with zeros to a multiple of 4, k components.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastgmm._jit import ELEMENTWISE, SUMS, helper
from fastgmm.kernels.elementary import log
from fastgmm.kernels.micro import STEP, exponentials

#: Most samples in a tile; how many it has depends on the number of features (`tile_width`).
TILE = 256
#: Added to the length of rows. Rows of a power of two bytes would share a few of a cache's sets.
_SKEW = 16

#: Responsibilities up to this add nothing in double precision, whatever the distance that they weight (it is below
#: 1e-16 even times the square of 1e4 standard deviations).
NEGLIGIBLE = 1e-24


class Samples(NamedTuple):
    """X as flat memory, so that C- and Fortran-ordered, sliced and read-only input share one compiled kernel.

    flat : 1-D float, in; element (i, j) of X is ``flat[offset + i * row + j * column]``.
    """

    flat: np.ndarray
    offset: int
    row: int
    column: int
    n_samples: int
    n_features: int


class Scratch(NamedTuple):
    """A lane's working memory, allocated once per lane.

    x : (d, B) float, the tile; diff : (d, B) float, what is made of it for one component
    resp : (k, B) float, weighted log-densities, then exponentials, then responsibilities
    top, total : (B,) float, maximum and sum over components (or its reciprocal)
    share : (B,) float, responsibilities of one component; index : (B,) int64, samples that it is responsible for
    """

    x: np.ndarray
    diff: np.ndarray
    resp: np.ndarray
    top: np.ndarray
    total: np.ndarray
    share: np.ndarray
    index: np.ndarray


class Sums(NamedTuple):
    """Accumulators, a slice per lane, float64.

    log_likelihood : (lanes,); counts : (lanes, k); sums : (lanes * k, d), scatter : 2-D, rows by lane, as the layout
    wants (full keeps its sums in scatter).
    """

    log_likelihood: np.ndarray
    counts: np.ndarray
    sums: np.ndarray
    scatter: np.ndarray


@helper(ELEMENTWISE)
def tile_width(means):
    """Samples in a tile for `means` (k, d): so many that tile and differences, 16 KB each, share a level-1 cache.

    At d = 32 tiles of 128 took 1.15 times as long as tiles of 64 (Zen 5, 48 KB); fewer than 64 do not pay for a call of a
    micro-kernel, more than 256 gain nothing.
    """
    row = means.shape[1] * means.itemsize
    return TILE if TILE * row <= 16384 else 128 if 128 * row <= 16384 else 64


@helper(ELEMENTWISE)
def new_scratch(means):
    """Allocate a Scratch for `means` (k, d), in its dtype. The length of `top` is the width of its tiles."""
    k, d = means.shape
    width = tile_width(means)
    x = _aligned(d, width + _SKEW, means)
    diff = _aligned(d, width + _SKEW, means)
    resp = _aligned(k, width + _SKEW, means)
    line = _aligned(3, width, means)
    return Scratch(x, diff, resp, line[0], line[1], line[2], np.zeros(width, np.int64))


@helper(ELEMENTWISE)
def _aligned(rows, columns, like):
    """Zeros (rows, columns) in the dtype of `like`, from an address that is a multiple of 64 bytes on.

    A vector of 64 bytes that lies across two cache lines takes twice as long to load and to store.
    """
    size = rows * columns
    flat = np.zeros(size + 64 // like.itemsize, like.dtype)
    skip = -(flat.ctypes.data // like.itemsize) % (64 // like.itemsize)
    return flat[skip : skip + size].reshape((rows, columns))


@helper(ELEMENTWISE)
def padded(m):
    """Round m up to a whole number of micro-kernel steps."""
    return (m + STEP - 1) // STEP * STEP


@helper(ELEMENTWISE)
def load_tile(samples, start, m, x):
    """Copy samples start..start+m into `x` (d, B), feature-major; the padding up to a whole step repeats the last."""
    for j in range(samples.n_features):
        base = samples.offset + j * samples.column + start * samples.row
        if samples.row == 1:
            for s in range(m):
                x[j, s] = samples.flat[base + s]
        else:
            for s in range(m):
                x[j, s] = samples.flat[base + s * samples.row]
        for s in range(m, padded(m)):
            x[j, s] = x[j, m - 1]


@helper(ELEMENTWISE)
def log_sum_exp_tile(resp, top, total, m):
    """Turn weighted log-densities into responsibilities, in place, and return the log-likelihood of the tile.

    resp : (k, B) float, inout: in, log(w_k N(x | k)); out, responsibilities, zero in the padding
    top : (B,) float, in, the maximum over k; total : (B,) float, out, 1 / sum_k exp(resp - top), zero in the padding
    Cost: k m exponentials, m logarithms and reciprocals.

    log p(x) = top + log sum_k exp(resp_k - top). A sample that no component reaches (top = -inf) has likelihood 0 and
    responsibilities 0.
    """
    mp = padded(m)
    likelihood = exponentials_tile(resp, top, total, m)
    for k in range(resp.shape[0]):
        for s in range(mp):
            resp[k, s] *= total[s]
    return likelihood


@helper(ELEMENTWISE)
def exponentials_tile(resp, top, total, m):
    """As log_sum_exp_tile, but leave ``exp(resp - top)`` in `resp`: what has to be multiplied with `total` still."""
    mp = padded(m)
    zero = resp.dtype.type(0.0)
    one = resp.dtype.type(1.0)
    for s in range(0, mp, STEP):
        exponentials(resp, top, total, s)
    likelihood = _log_likelihood(top, total, m, resp.shape[0])
    for s in range(mp):
        total[s] = one / total[s] if total[s] > zero else zero
    for s in range(m, mp):
        total[s] = zero
    return likelihood


@helper(SUMS)
def _log_likelihood(top, total, m, n_components):
    """sum_s top[s] + log total[s], by one logarithm of a product of many totals.

    A total is within [1, k], or zero for a sample that no component reaches: groups are so large that k^group < 2^1000.
    """
    group = 16 * max(1, int(62.0 / np.log2(n_components + 1.0)))
    likelihood = 0.0
    for first in range(0, m, group):
        product = 1.0
        for s in range(first, min(first + group, m)):
            likelihood += np.float64(top[s])
            product *= np.float64(total[s])
        likelihood += log(product)
    return likelihood


@helper(SUMS)
def weigh(resp, total, k, m, share):
    """share[s] = resp[k, s] total[s]; return its sum and how many samples it is not negligible for.

    Here and below arrays come one by one: taking them out of a tuple counts references, 20 ns an array (measured).
    """
    count = resp.dtype.type(0.0)
    used = 0
    for s in range(padded(m)):
        r = resp[k, s] * total[s]
        share[s] = r
        count += r
        used += 1 if r > NEGLIGIBLE else 0
    return np.float64(count), used


@helper(ELEMENTWISE)
def worth_gathering(m, n_features, flops):
    """Up to how many samples of m a component may be responsible for to be gathered before `flops` a sample are done.

    In cycles at 32 flops a cycle: finding them takes some 3 a sample of the tile, fetching them one an element.
    """
    dense = flops / 32.0
    return int(m * max(0.0, dense - 3.0) / (dense + n_features))


@helper(ELEMENTWISE)
def gather(share, m, index):
    """Move the shares that are not negligible to the front, zeros behind them up to a whole step; return their number.

    index[t] is the sample of share[t]. Worth it for components that are responsible for few samples of the tile.
    """
    n = 0
    for s in range(m):
        index[n] = s
        n += 1 if share[s] > NEGLIGIBLE else 0
    for t in range(n):
        share[t] = share[index[t]]
    for t in range(n, padded(n)):
        share[t] = share.dtype.type(0.0)
        index[t] = index[0]
    return n


@helper(ELEMENTWISE)
def gather_features(x, share, m, index, part):
    """part[:, t] = x[:, index[t]] for the samples that are gathered; return their padded number."""
    n = padded(gather(share, m, index))
    for i in range(x.shape[0]):
        for t in range(n):
            part[i, t] = x[i, index[t]]
    return n

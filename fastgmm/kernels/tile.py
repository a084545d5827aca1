"""The tile: some samples, feature-major, with everything that is computed about them before the next tile is loaded.

Letters: B samples (`tile_width`), m <= B valid ones, d features padded with zeros to a multiple of 4, k components.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastgmm._jit import ELEMENTWISE, helper
from fastgmm.kernels.elementary import log
from fastgmm.kernels.ir_arrays import zeros
from fastgmm.kernels.ir_density import STEP, exponentials, scale

#: Most samples in a tile; how many it has depends on the number of features (`tile_width`).
TILE = 256
#: Added to the length of rows. Rows of a power of two bytes would share a few of a cache's sets.
_SKEW = 16

#: Responsibilities up to this add nothing in double precision, whatever the distance that they weight (it is below
#: 1e-16 even times the square of 1e4 standard deviations).
NEGLIGIBLE = 1e-24

#: Sums begin with these if samples are float32: a Python float plus one of them is float64 to the compiler, float32 to NumPy.
_ZERO, _ONE = np.float64(0.0), np.float64(1.0)


class Samples(NamedTuple):  # numpydoc ignore=PR01
    """Describe X as flat memory, so that C- and Fortran-ordered, sliced and read-only input share one compiled kernel.

    Attributes
    ----------
    flat : ndarray of shape (size,), float
        Memory: element (i, j) of X is ``flat[offset + i * row + j * column]``.
    offset : int
        Index of the first element.
    row : int
        Distance between samples, in elements.
    column : int
        Distance between features, in elements.
    n_samples : int
        Number of samples.
    n_features : int
        Number of features.

    See Also
    --------
    load_tile : Copy some samples into working memory.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm import kernels
    >>> X = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> samples = kernels.Samples(X.ravel(), offset=0, row=2, column=1, n_samples=2, n_features=2)
    >>> samples.flat[samples.offset + 1 * samples.row + 0 * samples.column].item()
    3.0
    """

    flat: np.ndarray
    offset: int
    row: int
    column: int
    n_samples: int
    n_features: int


class Scratch(NamedTuple):  # numpydoc ignore=PR01
    """Hold the working memory for tiles of B samples, allocated once per lane.

    Attributes
    ----------
    x : ndarray of shape (padded d, B), float
        The tile.
    diff : ndarray of shape (padded d, B), float
        Differences of the tile and the mean of one component, or what is computed from them.
    resp : ndarray of shape (k, B), float
        Weighted log-densities, then exponentials, then responsibilities.
    top : ndarray of shape (B,), float
        Maximum over components.
    total : ndarray of shape (B,), float
        Sum over components, or its reciprocal.
    chosen : ndarray of shape (B,), int64
        Samples that a component is responsible for.
    dense : ndarray of shape (k,), bool
        Components that are responsible for most samples of the tile.

    See Also
    --------
    new_scratch : Allocate it.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm import kernels
    >>> from fastgmm.model.checks import check_parameters
    >>> from fastgmm.model.layouts import FULL
    >>> means, covariances = np.array([[0.0, 0.0], [5.0, 5.0]]), np.tile(np.eye(2), (2, 1, 1))
    >>> packed = check_parameters([0.5, 0.5], means, covariances, FULL, "full").packed(np.float64)
    >>> work = kernels.new_scratch(packed)
    >>> work.x.shape[0], work.resp.shape[0], len(work.top) == packed.tile
    (4, 2, True)
    """

    x: np.ndarray
    diff: np.ndarray
    resp: np.ndarray
    top: np.ndarray
    total: np.ndarray
    chosen: np.ndarray
    dense: np.ndarray


class Sums(NamedTuple):  # numpydoc ignore=PR01
    """Hold the accumulators of a sweep, a slice per lane, float64.

    Attributes
    ----------
    log_likelihood : ndarray of shape (lanes,)
        Log-likelihood of the samples of a lane.
    counts : ndarray of shape (lanes, k)
        Sums of responsibilities.
    sums : ndarray of shape (lanes * k, padded d)
        First moments; d is padded with zeros to a multiple of 4.
    scatter : ndarray of two dimensions
        Second moments, rows by lane, in the shape that the layout's ``accumulator_shape`` gives for one lane.

    See Also
    --------
    tile_accumulate : Add the statistics of a tile.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm import kernels
    >>> from fastgmm.model.layouts import FULL
    >>> k, d = 3, 2
    >>> sums = kernels.Sums(np.zeros(1), np.zeros((1, k)), np.zeros((k, 4)), np.zeros(FULL.accumulator_shape(k, d)))
    >>> sums.scatter.shape
    (6, 2)
    """

    log_likelihood: np.ndarray
    counts: np.ndarray
    sums: np.ndarray
    scatter: np.ndarray


def tile_width(most_bytes: int, n_features: int, itemsize: int) -> int:
    """Return the number of samples in a tile, a divisor of TILE: as many as fit into `most_bytes`.

    Wider tiles mean fewer sums across vectors.
    """
    row = n_features * itemsize
    return TILE if TILE * row <= most_bytes else 128 if 128 * row <= most_bytes else 64


@helper(ELEMENTWISE)
def new_scratch(parameters):
    """Allocate the working memory for packed parameters, in their dtype.

    Parameters
    ----------
    parameters : Full, Tied, Diag or Spherical
        Packed parameters.

    Returns
    -------
    Scratch
        Working memory; the length of its `top` is the width B of a tile.

    See Also
    --------
    load_tile : Copy samples into it.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm import kernels
    >>> from fastgmm.model.checks import check_parameters
    >>> from fastgmm.model.layouts import FULL
    >>> means, covariances = np.array([[0.0, 0.0], [5.0, 5.0]]), np.tile(np.eye(2), (2, 1, 1))
    >>> packed = check_parameters([0.5, 0.5], means, covariances, FULL, "full").packed(np.float64)
    >>> kernels.new_scratch(packed).resp.dtype.name
    'float64'
    """
    means, width = parameters.means, parameters.tile
    k, d = means.shape
    x = zeros((d, width + _SKEW), means.dtype)
    diff = zeros((d, width + _SKEW), means.dtype)
    resp = zeros((k, width + _SKEW), means.dtype)
    line = zeros((2, width), means.dtype)
    return Scratch(x, diff, resp, line[0], line[1], zeros(width, np.int64), zeros(k, np.bool_))


@helper(ELEMENTWISE)
def padded(m):
    """Round m up to a whole number of micro-kernel steps."""
    return (m + STEP - 1) // STEP * STEP


@helper(ELEMENTWISE)
def load_tile(samples, start, m, x):
    """Copy some samples into working memory, feature-major.

    Parameters
    ----------
    samples : Samples
        All samples.
    start : int
        Index of the first sample to copy.
    m : int
        Number of samples to copy, up to the width B of the tile.
    x : ndarray of shape (padded d, B), float
        Output: ``x[j, s]`` is feature j of sample start + s. The padding up to a whole step repeats the last sample.

    See Also
    --------
    new_scratch : Allocate `x`.
    tile_density : Densities of the tile.

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
    >>> work.x[:2, :3].tolist()
    [[0.0, 5.0, 1.0], [0.0, 4.0, 0.0]]
    """
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

    Parameters
    ----------
    resp : ndarray of shape (k, B), float
        Input: ``log(w_k N(x | k))``. Output: responsibilities, zero in the padding.
    top : ndarray of shape (B,), float
        Input: the maximum of `resp` over components.
    total : ndarray of shape (B,), float
        Output: ``1 / sum_k exp(resp - top)``, zero in the padding.
    m : int
        Number of samples in the tile.

    Returns
    -------
    float64
        Sum over samples of ``log p(x) = top + log sum_k exp(resp_k - top)``.

    See Also
    --------
    tile_density : Compute `resp` and `top`.
    tile_accumulate : Statistics from responsibilities.

    Notes
    -----
    Cost: k m exponentials, m logarithms and reciprocals. A sample that no component reaches (top = -inf) has likelihood 0 and
    responsibilities 0.

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
    >>> round(kernels.log_sum_exp_tile(work.resp, work.top, work.total, 3), 3)
    -8.593
    >>> work.resp[:, :3].round(3).tolist()
    [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """
    mp = padded(m)
    likelihood = exponentials_tile(resp, top, total, m)
    for k in range(resp.shape[0]):
        for s in range(mp):
            resp[k, s] *= total[s]
    return likelihood


@helper(ELEMENTWISE, inline=True)
def exponentials_tile(resp, top, total, m):
    """Do as log_sum_exp_tile, but leave ``exp(resp - top)`` in `resp`, which has yet to be multiplied with `total`."""
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


@helper(ELEMENTWISE, inline=True)
def weighted_exponentials_tile(resp, top, total, m, weights, first):
    """Do as exponentials_tile for samples of weights[first + s]: they are in `total` and in the log-likelihood. Spends `top`.

    A sample of weight zero adds nothing, whatever its likelihood.
    """
    mp = padded(m)
    zero = resp.dtype.type(0.0)
    for s in range(0, mp, STEP):
        exponentials(resp, top, total, s)
    for s in range(m):
        top[s] += log(total[s])
    for s in range(m):
        weight = weights[first + s]
        top[s] = top[s] * weight if weight > zero else zero
        total[s] = weight / total[s] if total[s] > zero else zero
    for s in range(m, mp):
        top[s] = zero
        total[s] = zero
    t0, t1, t2, t3 = _ZERO, _ZERO, _ZERO, _ZERO  # in a fixed order: see _log_likelihood
    for s in range(0, mp, 4):
        t0 += top[s]
        t1 += top[s + 1]
        t2 += top[s + 2]
        t3 += top[s + 3]
    return (t0 + t1) + (t2 + t3)


@helper(ELEMENTWISE, inline=True)
def _log_likelihood(top, total, m, n_components):
    """Return sum_s top[s] + log total[s], by one logarithm of a product of many totals.

    A total is within [1, k], or zero for a sample that no component reaches: groups are so large that k^group < 2^1000.
    Four sums and products run beside each other, in an order that no compiler may change. LLVM optimises a function once for
    each library that it is linked into, and if it may choose the order the copies need not agree to the last bit.
    """
    group = 16 * max(1, np.int64(62.0 / np.log2(n_components + 1.0)))
    likelihood = _ZERO
    for first in range(0, m, group):
        last = min(first + group, m)
        fours = first + (last - first) // 4 * 4
        t0, t1, t2, t3 = _ZERO, _ZERO, _ZERO, _ZERO
        p0, p1, p2, p3 = _ONE, _ONE, _ONE, _ONE
        for s in range(first, fours, 4):
            t0 += top[s]
            t1 += top[s + 1]
            t2 += top[s + 2]
            t3 += top[s + 3]
            p0 *= total[s]
            p1 *= total[s + 1]
            p2 *= total[s + 2]
            p3 *= total[s + 3]
        for s in range(fours, last):
            t0 += top[s]
            p0 *= total[s]
        likelihood += ((t0 + t1) + (t2 + t3)) + log((p0 * p1) * (p2 * p3))
    return likelihood


@helper(ELEMENTWISE, inline=True)
def weigh(resp, total, k, m):
    """Scale resp[k, s] *= total[s]; return the sum and the number of samples for which it is not negligible.

    Here and below arrays come one by one: taking them out of a tuple counts references, 20 ns an array (measured).
    """
    n = padded(m)
    count = scale(resp, total, k, n)
    used = 0
    for s in range(n):
        used += 1 if resp[k, s] > NEGLIGIBLE else 0
    return count, used


@helper(ELEMENTWISE, inline=True)
def worth_gathering(m, n_features, flops):
    """Return up to how many of m samples of a component are worth gathering before `flops` a sample are done.

    Counted in cycles at 32 flops a cycle: finding them takes some 3 a sample of the tile, fetching them one an element.
    """
    dense = flops / 32.0
    return np.int64(m * (dense - 3.0 if dense > 3.0 else 0.0) / (dense + n_features))


@helper(ELEMENTWISE, inline=True)
def gather(x, resp, k, m, chosen, part):
    """Bring the samples for which resp[k] is not negligible together: part[:, t] = x[:, chosen[t]], resp[k, t] likewise.

    Behind them come samples of responsibility zero, up to a whole step. Returns the number of all these.
    """
    n = 0
    for s in range(m):
        chosen[n] = s
        n += 1 if resp[k, s] > NEGLIGIBLE else 0
    for t in range(n):
        resp[k, t] = resp[k, chosen[t]]
    for t in range(n, padded(n)):
        resp[k, t] = resp.dtype.type(0.0)
        chosen[t] = chosen[0]
    n = padded(n)
    for i in range(x.shape[0]):
        for t in range(n):
            part[i, t] = x[i, chosen[t]]
    return n

"""Full covariances: log-densities and statistics of a tile. Letters as in tile.py."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastgmm._jit import ELEMENTWISE, helper
from fastgmm.kernels.ir_density import STEP, full_density
from fastgmm.kernels.ir_moments import (
    products_4x2,
    products_4x4,
    small_moments_1,
    small_moments_2,
    small_moments_3,
    triangle_2,
    triangle_4,
    weighted_differences,
)
from fastgmm.kernels.tile import gather, padded, weigh, worth_gathering


class Full(NamedTuple):  # numpydoc ignore=PR01
    """Hold parameters packed for the full layout, as ``Params.packed`` returns them.

    Attributes
    ----------
    constant : ndarray of shape (k,), float
        ``log w_k + log det U_k - d/2 log 2 pi``.
    means : ndarray of shape (k, padded d), float
        Means, padded with zeros to a multiple of 4 features.
    u : ndarray of shape (k, size), float
        The upper triangular U_k as `ir_density.pack_panels` lays them out, where precision_k = U_k U_k^T.
    n_features : int
        Number of features d.
    tile : int
        Samples in a tile.

    See Also
    --------
    tile_density : Densities under packed parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm import kernels
    >>> from fastgmm.model.checks import check_parameters
    >>> from fastgmm.model.layouts import FULL
    >>> means, covariances = np.array([[0.0, 0.0], [5.0, 5.0]]), np.tile(np.eye(2), (2, 1, 1))
    >>> packed = check_parameters([0.5, 0.5], means, covariances, FULL, "full").packed(np.float64)
    >>> type(packed).__name__, packed.constant.round(3).tolist()
    ('Full', [-2.531, -2.531])
    """

    constant: np.ndarray
    means: np.ndarray
    u: np.ndarray
    n_features: int
    tile: int


def scatter_width(n_features: int) -> int:
    """Return the number of rows and columns of a component's scatter: the features, padded to an even number."""
    return (n_features + 1) // 2 * 2


@helper(ELEMENTWISE)
def density(p, work, m):
    """Compute the weighted log-densities of a tile and their maximum over components.

    p : Full, in; work.x : (d, B) in; work.resp : (k, B) out; work.top : (B,) out
    resp[k, s] = constant_k - 1/2 || U_k^T (x_s - mean_k) ||^2, difference first. Cost: k B d (d + 1) flops.
    """
    x, resp, top = work.x, work.resp, work.top
    d, means, u, constant = p.n_features, p.means, p.u, p.constant
    mp = padded(m)
    for s in range(mp):
        top[s] = -np.inf
    for k in range(means.shape[0]):
        for s in range(0, mp, STEP):
            full_density(x, d, means, u, constant, k, resp, top, s)


@helper(ELEMENTWISE)
def accumulate(p, work, m, lane, out):
    """Add the statistics of a tile about p.means, given responsibilities resp * total.

    work.x : (d, B) in; work.resp : (k, B) in; work.total : (B,) in, zero in the padding
    out.scatter : (lanes * k * width, width) inout, the upper triangle of sum_s r (x - mean)(x - mean)^T
    With v = sqrt(r) (x - mean): sums += sqrt(r) v, scatter += v v^T. Cost: k B d (d + 1) flops.
    """
    x, v, resp, total, chosen = work.x, work.diff, work.resp, work.total, work.chosen
    means, d, counts, sums, scatter = p.means, p.n_features, out.counts, out.sums, out.scatter
    n_components, width = means.shape[0], scatter.shape[1]
    few = worth_gathering(m, d, width * width)
    for k in range(n_components):
        count, used = weigh(resp, total, k, m)
        if used == 0:
            continue
        counts[lane, k] += count
        gathered = used <= few
        row = lane * n_components + k
        if d == 1:
            small_moments_1(x, resp, means, k, padded(m), sums, scatter, row)
        elif d == 2:
            small_moments_2(x, resp, means, k, padded(m), sums, scatter, row)
        elif d == 3:
            small_moments_3(x, resp, means, k, padded(m), sums, scatter, row)
        else:
            n = gather(x, resp, k, m, chosen, v) if gathered else padded(m)
            for s in range(n):
                resp[k, s] = np.sqrt(resp[k, s])
            for i in range(0, means.shape[1], 4):
                weighted_differences(x, v, gathered, resp, means, k, i, n, sums, row)
            add_products(v, scatter, row * width, width, n)


@helper(ELEMENTWISE)
def add_products(v, scatter, first, width, n):
    """Add products: scatter[first + i, j] += sum_{s < n} v[i, s] v[j, s] for i <= j < width."""
    fours = width // 4 * 4
    for i in range(0, fours, 4):
        triangle_4(v, scatter, first + i, i, i, n)
        for j in range(i + 4, fours, 4):
            products_4x4(v, scatter, first + i, i, j, n)
        if fours < width:
            products_4x2(v, scatter, first + i, i, fours, n)
    if fours < width:
        triangle_2(v, scatter, first + fours, fours, fours, n)

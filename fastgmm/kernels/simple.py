"""Tied, diagonal and spherical covariances: log-densities and statistics of a tile. Letters as in tile.py."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastgmm._jit import ELEMENTWISE, helper
from fastgmm.kernels.ir_density import STEP, distance_density, transform
from fastgmm.kernels.ir_moments import moments
from fastgmm.kernels.tile import gather, padded, weigh, worth_gathering


class Tied(NamedTuple):  # numpydoc ignore=PR01
    """Hold parameters packed for the tied layout, as ``Params.packed`` returns them.

    Attributes
    ----------
    constant : ndarray of shape (k,), float
        ``log w_k + log det U - d/2 log 2 pi``.
    factor : ndarray of shape (k,), float
        -1/2 for each component.
    means : ndarray of shape (k, padded d), float
        Means, padded with zeros to a multiple of 4 features.
    u : ndarray of shape (size,), float
        The upper triangular U as `ir_density.pack_panels` lays it out, where precision = U U^T.
    centre : ndarray of shape (padded d,), float
        Any point amid the data.
    transformed : ndarray of shape (k, padded d), float
        ``U^T (mean_k - centre)``.
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
    >>> from fastgmm.model.layouts import TIED
    >>> packed = check_parameters([0.5, 0.5], np.array([[0.0, 0.0], [5.0, 5.0]]), np.eye(2), TIED, "tied").packed(np.float64)
    >>> type(packed).__name__, packed.factor.tolist()
    ('Tied', [-0.5, -0.5])
    """

    constant: np.ndarray
    factor: np.ndarray
    means: np.ndarray
    u: np.ndarray
    centre: np.ndarray
    transformed: np.ndarray
    n_features: int
    tile: int


class Diag(NamedTuple):  # numpydoc ignore=PR01
    """Hold parameters packed for the diagonal layout, as ``Params.packed`` returns them.

    Attributes
    ----------
    constant : ndarray of shape (k,), float
        ``log w_k - sum_j log sigma_kj - d/2 log 2 pi``.
    factor : ndarray of shape (k,), float
        -1/2 for each component.
    means : ndarray of shape (k, padded d), float
        Means, padded with zeros to a multiple of 4 features.
    scale : ndarray of shape (k, padded d), float
        1 / standard deviation.
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
    >>> from fastgmm.model.layouts import DIAG
    >>> means, variances = np.array([[0.0, 0.0], [5.0, 5.0]]), np.full((2, 2), 4.0)
    >>> packed = check_parameters([0.5, 0.5], means, variances, DIAG, "diag").packed(np.float64)
    >>> type(packed).__name__, packed.scale[:, :2].tolist()
    ('Diag', [[0.5, 0.5], [0.5, 0.5]])
    """

    constant: np.ndarray
    factor: np.ndarray
    means: np.ndarray
    scale: np.ndarray
    n_features: int
    tile: int


class Spherical(NamedTuple):  # numpydoc ignore=PR01
    """Hold parameters packed for the spherical layout, as ``Params.packed`` returns them.

    Attributes
    ----------
    constant : ndarray of shape (k,), float
        ``log w_k - d log sigma_k - d/2 log 2 pi``.
    factor : ndarray of shape (k,), float
        -1 / (2 variance) for each component.
    means : ndarray of shape (k, padded d), float
        Means, padded with zeros to a multiple of 4 features.
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
    >>> from fastgmm.model.layouts import SPHERICAL
    >>> means, variances = np.array([[0.0, 0.0], [5.0, 5.0]]), np.array([4.0, 1.0])
    >>> packed = check_parameters([0.5, 0.5], means, variances, SPHERICAL, "spherical").packed(np.float64)
    >>> type(packed).__name__, packed.factor.tolist()
    ('Spherical', [-0.125, -0.5])
    """

    constant: np.ndarray
    factor: np.ndarray
    means: np.ndarray
    n_features: int
    tile: int


@helper(ELEMENTWISE)
def tied_density(p, work, m):
    """Compute the weighted log-densities of a tile and their maximum, each sample transformed once.

    z = U^T (x - centre); resp[k, s] = constant_k - 1/2 || z_s - transformed_k ||^2. Cost: B d (d + 1 + 3 k) flops.
    """
    x, z, d, centre, u = work.x, work.diff, p.n_features, p.centre, p.u
    for s in range(0, padded(m), STEP):
        transform(x, d, centre, u, z, s)
    _densities(z, p.transformed, None, p.factor, p.constant, work.resp, work.top, m)


@helper(ELEMENTWISE)
def diag_density(p, work, m):
    """Set resp[k, s] = constant_k - 1/2 sum_i (scale_ki (x_si - mean_ki))^2. Cost: 4 k B d flops."""
    _densities(work.x, p.means, p.scale, p.factor, p.constant, work.resp, work.top, m)


@helper(ELEMENTWISE)
def spherical_density(p, work, m):
    """Set resp[k, s] = constant_k - 1/2 || x_s - mean_k ||^2 / variance_k. Cost: 3 k B d flops."""
    _densities(work.x, p.means, None, p.factor, p.constant, work.resp, work.top, m)


@helper(ELEMENTWISE)
def _densities(x, means, scale, factor, constant, resp, top, m):
    mp = padded(m)
    for s in range(mp):
        top[s] = -np.inf
    k = means.shape[0]
    # two components at a time; if their number is odd, the last pair is the last one twice
    for s in range(0, mp, STEP):
        for c in range(0, k, 2):
            distance_density(x, means, scale, factor, constant, c, min(c + 1, k - 1), resp, top, s)


@helper(ELEMENTWISE)
def tied_accumulate(p, work, m, lane, out):
    """Add counts and first moments about p.means. Cost: 3 k B d flops.

    The pooled scatter needs no sweep: it is the total scatter of the data, which does not change, minus the scatter between
    the components.
    """
    _accumulate(p, work, m, lane, out.counts, out.sums, None)


@helper(ELEMENTWISE)
def diag_accumulate(p, work, m, lane, out):
    """Add statistics about p.means; out.scatter : (lanes * k, d) inout, sum_s r (x - mean)^2. Cost: 5 k B d flops.

    The spherical layout uses it as well: its statistic is the sum of this one over the features.
    """
    _accumulate(p, work, m, lane, out.counts, out.sums, out.scatter)


@helper(ELEMENTWISE)
def _accumulate(p, work, m, lane, counts, sums, scatter):
    x, part, resp, total, chosen, dense = work.x, work.diff, work.resp, work.total, work.chosen, work.dense
    means = p.means
    n_components, d = means.shape
    few = worth_gathering(m, d, 3 * d if scatter is None else 5 * d)
    first = lane * n_components
    for k in range(n_components):
        count, used = weigh(resp, total, k, m)
        counts[lane, k] += count
        dense[k] = used > few
        if 0 < used <= few:
            n = gather(x, resp, k, m, chosen, part)
            for i in range(0, d, 4):
                moments(part, resp, means, k, i, n, sums, scatter, first + k)
    # strips of four features, which stay in the level-1 cache while all components pass
    for i in range(0, d, 4):
        for k in range(n_components):
            if dense[k]:
                moments(x, resp, means, k, i, padded(m), sums, scatter, first + k)

"""The opponent: EM for Gaussian mixtures in vectorised NumPy, as fast as NumPy and BLAS will go.

A straw man proves nothing, so this is not the textbook transcription (that is ``tests/naive.py``) but what remains when
one uses that a Gaussian is an exponential family. With ``c = x - g`` for one fixed origin g, the log-density of every
component is *linear* in a feature vector phi(c) that the components share,

    log w_k + log N(x | m_k, S_k) = eta_k . phi(c),

    full       phi = (1, c, products c_d c_e with d <= e)    1 + d + d (d + 1) / 2 features
    diag       phi = (1, c, c^2)                             1 + 2 d
    spherical  phi = (1, c, |c|^2)                           2 + d
    tied       phi = (1, c)                                  1 + d; -1/2 c^T P c is common to all k and cancels

and the sufficient statistics are linear in the same features: ``sum_i r_ik phi(c_i)``. So an iteration is two GEMMs per
block of samples, ``eta @ phi`` and ``resp @ phi.T``, with a log-sum-exp between them; the features are built once for
all components. No n x k and no n x p array is made. For tied the scatter is that of all samples, computed once in a
whole fit, less what lies between the components.

The price is digits: the squares are taken about the common origin g, so the log-density loses about
``log10(|m_k - g|^2 / smallest variance)`` of them. For data of ordinary spread that leaves 1e-10 and better; for tight
clusters far apart it does not, and there ``method="differences"`` (full only) takes ``U_k^T (x - m_k)`` component by
component and the scatter about m_k, as one must for safety, at about twice the cost. With few components of many
features (4 k < d) it is also the faster of the two, and ``method="auto"``, the default, takes it.

What was tried, on Zen 4 (AVX-512), NumPy 2.4, OpenBLAS 0.3.31: milliseconds of CPU per iteration with one BLAS thread,
full covariances, best block length of each.

============================================================ =========== ============ ============
(n, d, k)                                                    (2e5, 2, 8) (1e5, 10, 16) (4e4, 32, 16)
============================================================ =========== ============ ============
features (kept)                                                      5.4         21.1         66.3
differences, all k in one batched call, (k, d, B) (kept)            13.9         52.8          100
differences, loop over k, (d, B)                                      15           53          114
differences, loop over k, (B, d) in X's own layout                    62           92          115
one GEMM with all U_k stacked, squares of U^T x - U^T m               8           52           94
scikit-learn 1.9.1                                                   121          214          211
============================================================ =========== ============ ============

- The stacked transform is no better than the features and shares their loss of digits in the scatter.
- Blocks feature-major, (p, B) and (k, B): the log-sum-exp then runs along contiguous rows, where the maximum over k is
  one SIMD ``maximum`` per component; NumPy's reductions over a short last axis are several times slower. For diag,
  spherical and tied the *features* may lie either way (within 8 %).
- Block length: such that the widest buffer of a block has about 2^18 numbers (2 MB), between 512 and 8192 samples: at
  or within 5 % of the best of 256 .. 16384 for all types. Shorter blocks pay for Python, longer ones for memory.
- Features of all samples kept from one iteration to the next: 5 to 15 %, for n p numbers of memory. Not kept.
- ``trmm`` against ``gemm`` for ``U^T (x - m)``: slower at d = 10 (6.4 and 4.8 ns a sample), faster at d = 32 (35 and
  47) and d = 128 (380 and 680). Kept from d = 16 on.
- ``einsum("kdb,kdb->kb", z, z)`` against ``square`` and ``sum``: equal within noise, and needs no second pass.
- Threads are BLAS's. They help where d is large; on a machine that is busy with other work they cost many times what
  they bring (GEMMs of a block last microseconds, and OpenBLAS waits for its slowest thread), so compare on a quiet
  machine or with BLAS limited to one thread.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import get_blas_funcs

Array = NDArray[np.floating[Any]]

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")
METHODS = ("auto", "features", "differences")
TRMM_FROM = 16  # features from which half the flops outweigh one more copy


class Result(NamedTuple):
    """What `em` returns.

    Attributes
    ----------
    weights, means, covariances : arrays
        After the last M-step; shapes as in scikit-learn.
    log_likelihood : float
        Mean log-likelihood of a sample under the parameters that *entered* the last iteration.
    history : array (n_iter,)
        The same for each iteration.
    """

    weights: Array
    means: Array
    covariances: Array
    log_likelihood: float
    history: Array


class Statistics(NamedTuple):
    """Sums over samples about an origin: ``counts`` (k,), ``sums`` (k, d), ``scatter`` by type.

    ``scatter``: full (k, d, d); tied (d, d), of all samples together; diag (k, d); spherical (k,), the trace.
    ``origin``: (d,), or (k, d) if each component has its own.
    """

    counts: Array
    sums: Array
    scatter: Array
    origin: Array


# --------------------------------------------------------------------------------------------------------------------
# public functions


def em(
    X: ArrayLike,
    weights: ArrayLike,
    means: ArrayLike,
    covariances: ArrayLike,
    covariance_type: str,
    n_iter: int,
    reg_covar: float = 1e-6,
    *,
    method: str = "auto",
) -> Result:
    """`n_iter` iterations of EM from given parameters.

    Parameters
    ----------
    X : array (n, d)
        float32 is computed in float32, with sums over blocks in float64; everything else in float64.
    weights : array (k,)
    means : array (k, d)
    covariances : array
        (k, d, d), (d, d), (k, d) or (k,) for full, tied, diag, spherical.
    covariance_type : {"full", "tied", "diag", "spherical"}
    n_iter : int
        At least 1.
    reg_covar : float
        Added to the diagonal of the covariances.
    method : {"auto", "features", "differences"}
        See the module's docstring: "auto" takes the faster one, "differences" is for full covariances.

    Returns
    -------
    Result
    """
    X = _as_data(X)
    weights, means, covariances = _as_parameters(weights, means, covariances)
    _check(covariance_type, method, n_iter)
    n, _ = X.shape
    history = np.empty(n_iter)
    origin = X.mean(axis=0, dtype=np.float64)
    total = _total_scatter(X, origin) if covariance_type == "tied" else None
    sweep: _Features | _Differences
    if _by_differences(method, covariance_type, means):
        sweep = _Differences(X, len(weights))
    else:
        sweep = _Features(X, len(weights), covariance_type, origin, total)
    for t in range(n_iter):
        log_likelihood, statistics = sweep(weights, means, covariances)
        history[t] = log_likelihood / n
        weights, means, covariances = maximise(statistics, covariance_type, reg_covar)
    return Result(weights, means, covariances, float(history[-1]), history)


def e_step(
    X: ArrayLike,
    weights: ArrayLike,
    means: ArrayLike,
    covariances: ArrayLike,
    covariance_type: str,
    *,
    method: str = "auto",
) -> Array:
    """Log-density of each sample under the mixture, (n,)."""
    X = _as_data(X)
    weights, means, covariances = _as_parameters(weights, means, covariances)
    _check(covariance_type, method)
    out = np.empty(len(X), dtype=X.dtype)
    if _by_differences(method, covariance_type, means):
        _Differences(X, len(weights)).log_prob(weights, means, covariances, out)
    else:
        origin = weights @ means  # the mean of the mixture: near the data's, and costs no pass over them
        _Features(X, len(weights), covariance_type, origin).log_prob(weights, means, covariances, out)
    return out


def m_step(X: ArrayLike, resp: ArrayLike, covariance_type: str, reg_covar: float = 1e-6) -> tuple[Array, Array, Array]:
    """Weights, means and covariances from responsibilities (n, k) whose rows sum to one."""
    X = _as_data(X)
    resp = np.asarray(resp, dtype=X.dtype)
    _check(covariance_type)
    origin = X.mean(axis=0, dtype=np.float64)
    total = _total_scatter(X, origin) if covariance_type == "tied" else None
    statistics = _Features(X, resp.shape[1], covariance_type, origin, total).statistics(resp)
    return maximise(statistics, covariance_type, reg_covar)


def maximise(statistics: Statistics, covariance_type: str, reg_covar: float) -> tuple[Array, Array, Array]:
    """Weights, means and covariances from sufficient statistics.

    ``m_k = o_k + s_k / n_k`` and ``S_k = (scatter_k - s_k s_k^T / n_k) / n_k``, plus `reg_covar` on the diagonal.
    """
    counts, sums, scatter, origin = statistics
    shift = sums / counts[:, np.newaxis]
    weights = counts / counts.sum()
    means = origin + shift
    d = sums.shape[1]
    if covariance_type == "full":
        covariances = scatter - sums[:, :, np.newaxis] * shift[:, np.newaxis, :]
        covariances /= counts[:, np.newaxis, np.newaxis]
        np.einsum("kdd->kd", covariances)[...] += reg_covar
    elif covariance_type == "tied":
        covariances = (scatter - sums.T @ shift) / counts.sum()
        np.einsum("dd->d", covariances)[...] += reg_covar
    elif covariance_type == "diag":
        covariances = (scatter - sums * shift) / counts[:, np.newaxis] + reg_covar
    else:
        covariances = (scatter - np.einsum("kd,kd->k", sums, shift)) / (d * counts) + reg_covar
    return weights, means, covariances


# --------------------------------------------------------------------------------------------------------------------
# the sweep by features


class _Features:
    """One pass over X for all components at once, through features common to all; buffers live as long as it does."""

    def __init__(self, X: Array, k: int, covariance_type: str, origin: Array, total: Array | None = None) -> None:
        n, d = X.shape
        self.X, self.covariance_type, self.origin, self.total = X, covariance_type, origin, total
        width = {"full": 1 + d + d * (d + 1) // 2, "tied": 1 + d, "diag": 1 + 2 * d, "spherical": 2 + d}[
            covariance_type
        ]
        self.block = _block_length(n, width + k)
        self.shift = origin.astype(X.dtype)  # float32 minus float64 would be float64
        # full builds its features by rows of products, (p, B); the others are written in X's own layout, (B, p)
        shape = (width, self.block) if covariance_type == "full" else (self.block, width)
        self.buffer = np.ones(shape, dtype=X.dtype)
        self.logits = np.empty((k, self.block), dtype=X.dtype)
        self.product = np.empty((k, width), dtype=X.dtype)

    def features(self, rows: slice) -> Array:
        """Features of a block, (p, B): a view of the buffer."""
        block = self.X[rows]
        b, d = block.shape
        if self.covariance_type == "full":
            phi = self.buffer[:, :b]
            c = phi[1 : d + 1]
            np.subtract(block.T, self.shift[:, np.newaxis], out=c)
            at = d + 1
            for i in range(d):
                np.multiply(c[i], c[i:], out=phi[at : at + d - i])
                at += d - i
            return phi
        phi = self.buffer[:b]
        c = phi[:, 1 : d + 1]
        np.subtract(block, self.shift, out=c)
        if self.covariance_type == "diag":
            np.multiply(c, c, out=phi[:, d + 1 :])
        elif self.covariance_type == "spherical":
            np.einsum("bd,bd->b", c, c, out=phi[:, d + 1])
        return phi.T

    def posteriors(self, eta: Array, phi: Array) -> tuple[Array, Array]:
        """Responsibilities (k, B), a view of a buffer, and log-likelihoods (B,) of a block."""
        logits = self.logits[:, : phi.shape[1]]
        np.matmul(eta, phi, out=logits)
        return logits, _normalise(logits)

    def __call__(self, weights: Array, means: Array, covariances: Array) -> tuple[float, Statistics]:
        """E-step and statistics: total log-likelihood, and the sums about the origin."""
        eta, precision = self.natural_parameters(weights, means, covariances)
        sums = np.zeros(self.product.shape)
        log_likelihood = 0.0
        for rows in _blocks(len(self.X), self.block):
            phi = self.features(rows)
            resp, log_prob = self.posteriors(eta, phi)
            log_likelihood += log_prob.sum(dtype=np.float64)
            sums += np.matmul(resp, phi.T, out=self.product)
        if precision is not None and self.total is not None:  # sum_i c_i^T P c_i = tr(P T)
            log_likelihood -= 0.5 * float(np.vdot(precision, self.total))
        return float(log_likelihood), self.unpack(sums)

    def log_prob(self, weights: Array, means: Array, covariances: Array, out: Array) -> None:
        """E-step alone, into `out` (n,)."""
        eta, _ = self.natural_parameters(weights, means, covariances)
        d = self.X.shape[1]
        U = _precision_cholesky(covariances).astype(self.X.dtype) if self.covariance_type == "tied" else None
        for rows in _blocks(len(self.X), self.block):
            phi = self.features(rows)
            _, out[rows] = self.posteriors(eta, phi)
            if U is not None:
                z = phi[1 : d + 1].T @ U
                out[rows] -= 0.5 * np.einsum("bd,bd->b", z, z)

    def statistics(self, resp: Array) -> Statistics:
        """Sums about the origin for given responsibilities (n, k)."""
        sums = np.zeros(self.product.shape)
        for rows in _blocks(len(self.X), self.block):
            sums += np.matmul(resp[rows].T, self.features(rows).T, out=self.product)
        return self.unpack(sums)

    def unpack(self, sums: Array) -> Statistics:
        """Counts, sums and scatter from the sums of features, (k, p)."""
        d = self.X.shape[1]
        k = len(sums)
        scatter = sums[:, d + 1 :]
        if self.covariance_type == "full":
            packed, scatter = scatter, np.empty((k, d, d))
            i, j = np.triu_indices(d)
            scatter[:, i, j] = packed
            scatter[:, j, i] = packed
        elif self.covariance_type == "tied":
            assert self.total is not None
            scatter = self.total
        elif self.covariance_type == "spherical":
            scatter = scatter[:, 0]
        return Statistics(sums[:, 0], sums[:, 1 : d + 1], scatter, self.origin)

    def natural_parameters(self, weights: Array, means: Array, covariances: Array) -> tuple[Array, Array | None]:
        """The coefficients eta (k, p), and for tied the common precision (d, d).

        ``log w + log det U - d/2 log 2 pi - 1/2 |U^T m|^2``, then ``P m``, then ``-1/2 P`` as its features are (an
        off-diagonal product stands for two entries of P); m is relative to the origin.
        """
        k, d = means.shape
        m = means - self.origin
        precision = None
        if self.covariance_type in ("full", "tied"):
            U = _precision_cholesky(covariances)
            P = U @ np.swapaxes(U, -1, -2)
            log_det = np.log(np.einsum("...dd->...d", U)).sum(axis=-1)
            z = np.matmul(m[:, np.newaxis, :], U)[:, 0, :]
            linear = np.matmul(m[:, np.newaxis, :], P)[:, 0, :]
            if self.covariance_type == "full":
                i, j = np.triu_indices(d)
                quadratic = np.where(i == j, -0.5, -1.0) * P[:, i, j]
            else:
                quadratic, precision = np.empty((k, 0)), P
        else:
            U = 1.0 / np.sqrt(covariances.reshape(k, -1))  # (k, d), or (k, 1) for spherical
            z = U * m
            linear = U * z
            log_det = np.log(U).sum(axis=1) * (d // U.shape[1])
            quadratic = -0.5 * U * U
        constant = _log(weights) + log_det - 0.5 * d * math.log(2 * math.pi) - 0.5 * np.einsum("kd,kd->k", z, z)
        eta = np.concatenate([constant[:, np.newaxis], linear, quadratic], axis=1)
        return eta.astype(self.X.dtype), precision


# --------------------------------------------------------------------------------------------------------------------
# the sweep by differences (full covariances)


class _Differences:
    """One pass over X by ``U_k^T (x - m_k)``, all components of a block in one batched call; full covariances."""

    def __init__(self, X: Array, k: int) -> None:
        n, d = X.shape
        self.X = X
        self.block = _block_length(n, k * d)
        self.x = np.empty(d * self.block, dtype=X.dtype)
        self.difference = np.empty(k * d * self.block, dtype=X.dtype)
        self.transformed = np.empty(k * d * self.block, dtype=X.dtype)
        self.logits = np.empty(k * self.block, dtype=X.dtype)
        self.product = np.empty((k, d, d), dtype=X.dtype)
        (self.trmm,) = get_blas_funcs(("trmm",), dtype=X.dtype)

    def posteriors(self, rows: slice, constant: Array, means: Array, transform: Array) -> tuple[Array, Array, Array]:
        """Differences (k, d, B), responsibilities (k, B) and log-likelihoods (B,) of a block."""
        block = self.X[rows]
        (b, d), k = block.shape, len(means)
        # cut from the front of flat buffers, so that the short last block is contiguous too
        x = self.x[: d * b].reshape(d, b)
        difference = self.difference[: k * d * b].reshape(k, d, b)
        z = self.transformed[: k * d * b].reshape(k, d, b)
        logits = self.logits[: k * b].reshape(k, b)
        x[...] = block.T
        np.subtract(x, means[:, :, np.newaxis], out=difference)
        if d < TRMM_FROM:
            np.matmul(transform, difference, out=z)
        else:
            np.copyto(z, difference)
            for j in range(k):  # z_j^T <- z_j^T U_j, in place: z[j].T and transform[j].T are in Fortran's order
                self.trmm(1.0, transform[j].T, z[j].T, side=1, overwrite_b=1)
        np.einsum("kdb,kdb->kb", z, z, out=logits)
        logits *= -0.5
        logits += constant[:, np.newaxis]
        return difference, logits, _normalise(logits)

    def parameters(self, weights: Array, means: Array, covariances: Array) -> tuple[Array, Array, Array]:
        """``log w + log det U - d/2 log 2 pi`` (k,), the means and ``U^T``, in the data's precision."""
        U = _precision_cholesky(covariances)
        constant = _log(weights) + np.log(np.einsum("kdd->kd", U)).sum(axis=1)
        constant -= 0.5 * means.shape[1] * math.log(2 * math.pi)
        transform = np.ascontiguousarray(U.transpose(0, 2, 1), dtype=self.X.dtype)
        return constant.astype(self.X.dtype), means.astype(self.X.dtype), transform

    def __call__(self, weights: Array, means: Array, covariances: Array) -> tuple[float, Statistics]:
        """E-step and statistics: total log-likelihood, and the sums about the means."""
        constant, origin, transform = self.parameters(weights, means, covariances)
        k, d = means.shape
        counts, sums, scatter = np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d))
        log_likelihood = 0.0
        for rows in _blocks(len(self.X), self.block):
            difference, resp, log_prob = self.posteriors(rows, constant, origin, transform)
            log_likelihood += log_prob.sum(dtype=np.float64)
            counts += resp.sum(axis=1)
            sums += np.matmul(difference, resp[:, :, np.newaxis])[:, :, 0]
            # sqrt(r) on one side each, so that the product is A A^T and matmul calls syrk
            np.sqrt(resp, out=resp)
            difference *= resp[:, np.newaxis, :]
            scatter += np.matmul(difference, difference.transpose(0, 2, 1), out=self.product)
        return float(log_likelihood), Statistics(counts, sums, scatter, origin.astype(np.float64))

    def log_prob(self, weights: Array, means: Array, covariances: Array, out: Array) -> None:
        """E-step alone, into `out` (n,)."""
        parameters = self.parameters(weights, means, covariances)
        for rows in _blocks(len(self.X), self.block):
            *_, out[rows] = self.posteriors(rows, *parameters)


# --------------------------------------------------------------------------------------------------------------------
# pieces


def lloyd(X: ArrayLike, centres: ArrayLike, max_iter: int) -> tuple[Array, Array, int]:
    """k-means from given centres, until no label changes or for `max_iter` iterations: labels, centres, iterations.

    Distances by one product of matrices a block, sums by `bincount`, feature after feature.
    """
    X, centres = _as_data(X), np.array(centres, np.float64)
    k, d = centres.shape
    labels = np.full(len(X), -1)
    n_iter = 0
    for n_iter in range(1, max_iter + 1):
        new = _nearest(X, centres)
        if np.array_equal(new, labels):
            return labels, centres, n_iter
        labels = new
        counts = np.bincount(labels, minlength=k)
        sums = np.stack([np.bincount(labels, X[:, j], k) for j in range(d)], axis=1)
        centres = sums / counts[:, None]
    return _nearest(X, centres), centres, n_iter


def _nearest(X: Array, centres: Array) -> Array:
    norms = np.einsum("ij,ij->i", centres, centres)
    blocks = _blocks(len(X), _block_length(len(X), len(centres)))
    return np.concatenate([(norms - 2.0 * (X[rows] @ centres.T)).argmin(axis=1) for rows in blocks])


def _normalise(logits: Array) -> Array:
    """Turn logits (k, B) into responsibilities in place; return their log-sum-exp, (B,)."""
    largest = logits.max(axis=0)
    logits -= largest
    np.exp(logits, out=logits)
    total = logits.sum(axis=0)
    logits *= 1.0 / total
    np.log(total, out=total)
    total += largest
    return total


def _total_scatter(X: Array, origin: Array) -> Array:
    """``sum_i (x_i - origin)(x_i - origin)^T``, (d, d), by blocks."""
    n, d = X.shape
    total = np.zeros((d, d))
    for rows in _blocks(n, _block_length(n, d)):
        c = X[rows] - origin
        total += c.T @ c  # matmul sees A^T A and calls syrk
    return total


def _precision_cholesky(covariances: Array) -> Array:
    """Upper triangular U with ``S^-1 = U U^T``, for one matrix or a stack of them."""
    return np.swapaxes(np.linalg.inv(np.linalg.cholesky(covariances)), -1, -2)


def _log(weights: Array) -> Array:
    """Logarithm; of zero a number so low that its exponential is zero, for BLAS may multiply an infinity by padding."""
    return np.log(weights, out=np.full(weights.shape, -1e30), where=weights > 0)


def _block_length(n: int, numbers_per_sample: int) -> int:
    """Samples per block: about 2 MB of float64 in the widest buffer, 512 to 8192 samples."""
    return max(1, min(n, 8192, max(512, 2**18 // numbers_per_sample)))


def _blocks(n: int, length: int) -> list[slice]:
    return [slice(start, min(start + length, n)) for start in range(0, n, length)]


def _by_differences(method: str, covariance_type: str, means: Array) -> bool:
    if method == "auto":
        k, d = means.shape
        return covariance_type == "full" and 4 * k < d  # features cost d^2 / 2 numbers a sample, even for one component
    return method == "differences"


def _as_data(X: ArrayLike) -> Array:
    X = np.asarray(X)
    return X if X.dtype == np.float32 else np.asarray(X, dtype=np.float64)


def _as_parameters(*arrays: ArrayLike) -> tuple[Array, ...]:
    return tuple(np.asarray(a, dtype=np.float64) for a in arrays)


def _check(covariance_type: str, method: str = "auto", n_iter: int = 1) -> None:
    if covariance_type not in COVARIANCE_TYPES:
        raise ValueError(f"covariance_type must be one of {COVARIANCE_TYPES}, got {covariance_type!r}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}")
    if method == "differences" and covariance_type != "full":
        raise ValueError(f'method="differences" is for covariance_type="full", got {covariance_type!r}')
    if n_iter < 1:
        raise ValueError(f"n_iter must be at least 1, got {n_iter}")

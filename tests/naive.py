"""The oracle: every step of the method as plain NumPy loops, slow and obviously correct.

Nothing here comes from the package under test, and nothing from scikit-learn. Each function states the formula that it
evaluates and evaluates it as it stands: one loop per index of the formula, no rearrangement for speed. Everything is
computed in float64, whatever the input.

Letters: ``n`` samples, ``d`` features, ``k`` components. Shapes of ``covariances`` by ``covariance_type``:
``"full"`` (k, d, d), ``"tied"`` (d, d), ``"diag"`` (k, d), ``"spherical"`` (k,).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg
from scipy.stats import multivariate_normal

Float = NDArray[np.float64]

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")


def _float64(a: ArrayLike) -> Float:
    return np.asarray(a, dtype=np.float64)


# --------------------------------------------------------------------------------------------------------------------
# covariances


def expand(covariances: ArrayLike, covariance_type: str, k: int, d: int) -> Float:
    """Covariance matrices of all components, written out.

    ``full: S_k``, ``tied: S``, ``diag: diag(v_k)``, ``spherical: s_k I``.

    Parameters
    ----------
    covariances : array, shape by `covariance_type`
    covariance_type : {"full", "tied", "diag", "spherical"}
    k, d : int
        Numbers of components and of features.

    Returns
    -------
    array (k, d, d)
    """
    covariances = _float64(covariances)
    shapes = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}
    if covariances.shape != shapes[covariance_type]:
        raise ValueError(f"{covariance_type}: expected shape {shapes[covariance_type]}, got {covariances.shape}")
    out = np.zeros((k, d, d))
    for j in range(k):
        if covariance_type == "full":
            out[j] = covariances[j]
        elif covariance_type == "tied":
            out[j] = covariances
        elif covariance_type == "diag":
            out[j] = np.diag(covariances[j])
        else:
            out[j] = covariances[j] * np.eye(d)
    return out


def precision_cholesky(covariances: ArrayLike, covariance_type: str) -> Float:
    """Upper triangular U with ``precision = U U^T``.

    With the Cholesky factor of the covariance, ``S = L L^T``, it is ``U = L^-T``, for then
    ``U U^T = L^-T L^-1 = (L L^T)^-1``. Diagonal types: ``1 / sqrt(variance)``.

    Returns
    -------
    array of the shape of `covariances`
    """
    covariances = _float64(covariances)
    if covariance_type in ("diag", "spherical"):
        return 1.0 / np.sqrt(covariances)
    if covariance_type == "tied":
        lower = linalg.cholesky(covariances, lower=True)
        return linalg.solve_triangular(lower, np.eye(len(lower)), lower=True).T
    return np.array([precision_cholesky(covariance, "tied") for covariance in covariances])


def n_parameters(covariance_type: str, k: int, d: int) -> int:
    """Free parameters of a mixture: ``(k - 1)`` weights, ``k d`` means, and the covariances' own.

    ``full: k d (d + 1) / 2``, ``tied: d (d + 1) / 2``, ``diag: k d``, ``spherical: k``.
    """
    own = {"full": k * d * (d + 1) // 2, "tied": d * (d + 1) // 2, "diag": k * d, "spherical": k}
    return (k - 1) + k * d + own[covariance_type]


def bic(log_likelihood_total: float, n_parameters: int, n: int) -> float:
    """Bayesian information criterion, ``-2 log L + p log n`` (smaller is better)."""
    return -2.0 * log_likelihood_total + n_parameters * math.log(n)


def aic(log_likelihood_total: float, n_parameters: int, n: int) -> float:
    """Akaike's information criterion, ``-2 log L + 2 p`` (smaller is better; `n` plays no part)."""
    return -2.0 * log_likelihood_total + 2.0 * n_parameters


# --------------------------------------------------------------------------------------------------------------------
# densities


def log_density(X: ArrayLike, means: ArrayLike, covariances: ArrayLike, covariance_type: str) -> Float:
    """Log-density of each sample under each component.

    ``log N(x | m, S) = -1/2 [ d log(2 pi) + log det S + (x - m)^T S^-1 (x - m) ]``

    Parameters
    ----------
    X : array (n, d)
    means : array (k, d)
    covariances : array, shape by `covariance_type`
    covariance_type : {"full", "tied", "diag", "spherical"}

    Returns
    -------
    array (n, k)
    """
    X, means = _float64(X), _float64(means)
    n, d = X.shape
    k = len(means)
    matrices = expand(covariances, covariance_type, k, d)
    out = np.empty((n, k))
    for j in range(k):
        lower = linalg.cholesky(matrices[j], lower=True)
        log_det = 2.0 * np.log(np.diag(lower)).sum()
        z = linalg.solve_triangular(lower, (X - means[j]).T, lower=True)  # S = L L^T: |L^-1 (x - m)|^2
        out[:, j] = -0.5 * (d * math.log(2.0 * math.pi) + log_det + (z * z).sum(axis=0))
    return out


def log_density_scipy(X: ArrayLike, means: ArrayLike, covariances: ArrayLike, covariance_type: str) -> Float:
    """`log_density` by SciPy: the loop over ``multivariate_normal.logpdf`` that people write."""
    X, means = _float64(X), _float64(means)
    matrices = expand(covariances, covariance_type, len(means), X.shape[1])
    columns = [multivariate_normal(mean, matrix).logpdf(X) for mean, matrix in zip(means, matrices, strict=True)]
    return np.stack([np.atleast_1d(column) for column in columns], axis=1)


def log_sum_exp(a: ArrayLike, axis: int) -> Float:
    """``log sum exp(a)`` along `axis`, as ``m + log sum exp(a - m)`` with m the maximum.

    Empty sums are ``-inf``: so is the result where every term is ``-inf``.
    """
    a = _float64(a)
    largest = a.max(axis=axis, keepdims=True)
    finite = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        return np.squeeze(finite, axis=axis) + np.log(np.exp(a - finite).sum(axis=axis))


def _weighted_log_density(
    X: ArrayLike, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike, covariance_type: str
) -> Float:
    """``log w_k + log N(x_i | m_k, S_k)``, (n, k)."""
    with np.errstate(divide="ignore"):  # log 0 = -inf: a component without weight
        log_weights = np.log(_float64(weights))
    return log_density(X, means, covariances, covariance_type) + log_weights


def log_prob(X: ArrayLike, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike, covariance_type: str) -> Float:
    """Log-density of each sample under the mixture, ``log sum_k w_k N(x_i | m_k, S_k)``, (n,)."""
    return log_sum_exp(_weighted_log_density(X, weights, means, covariances, covariance_type), axis=1)


def responsibilities(
    X: ArrayLike, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike, covariance_type: str
) -> Float:
    """Posterior probability of each component for each sample, (n, k).

    ``r_ik = w_k N(x_i | m_k, S_k) / sum_l w_l N(x_i | m_l, S_l)``
    """
    weighted = _weighted_log_density(X, weights, means, covariances, covariance_type)
    return np.exp(weighted - log_sum_exp(weighted, axis=1)[:, np.newaxis])


# --------------------------------------------------------------------------------------------------------------------
# statistics and the M-step


def counts_sums_scatter(
    X: ArrayLike, resp: ArrayLike, origin: ArrayLike, covariance_type: str
) -> tuple[Float, Float, Float]:
    """Sufficient statistics about an origin ``o_k`` for each component.

    ``counts_k = sum_i r_ik`` and ``sums_k = sum_i r_ik (x_i - o_k)``; scatter, with ``e = x_i - o_k``:

    - full ``sum_i r_ik e e^T`` (k, d, d);
    - tied the same summed over k as well (d, d);
    - diag its diagonal, ``sum_i r_ik e_d^2`` (k, d);
    - spherical its trace, ``sum_i r_ik |e|^2`` (k,): *not* divided by d.

    Parameters
    ----------
    X : array (n, d)
    resp : array (n, k)
    origin : array (k, d)
    covariance_type : {"full", "tied", "diag", "spherical"}

    Returns
    -------
    counts : array (k,)
    sums : array (k, d)
    scatter : array (k, d, d), (d, d), (k, d) or (k,)
    """
    X, resp, origin = _float64(X), _float64(resp), _float64(origin)
    n, d = X.shape
    k = resp.shape[1]
    counts = np.zeros(k)
    sums = np.zeros((k, d))
    full = np.zeros((k, d, d))
    for j in range(k):
        for i in range(n):
            e = X[i] - origin[j]
            counts[j] += resp[i, j]
            sums[j] += resp[i, j] * e
            full[j] += resp[i, j] * np.outer(e, e)
    if covariance_type == "full":
        return counts, sums, full
    if covariance_type == "tied":
        return counts, sums, full.sum(axis=0)
    diagonal = np.array([np.diag(matrix) for matrix in full])
    if covariance_type == "diag":
        return counts, sums, diagonal
    return counts, sums, diagonal.sum(axis=1)


def maximise(X: ArrayLike, resp: ArrayLike, reg_covar: float, covariance_type: str) -> tuple[Float, Float, Float]:
    """The M-step in two passes: the means first, then the covariances about those means.

    ``n_k = sum_i r_ik``, ``w_k = n_k / sum_l n_l``, ``m_k = sum_i r_ik x_i / n_k`` and with ``e = x_i - m_k``

    - full ``S_k = sum_i r_ik e e^T / n_k + reg I``;
    - tied ``S = sum_k sum_i r_ik e e^T / sum_k n_k + reg I``;
    - diag ``v_k = sum_i r_ik e^2 / n_k + reg``;
    - spherical ``s_k``, the mean over features of the diagonal variances.

    Returns
    -------
    weights : array (k,)
    means : array (k, d)
    covariances : array, shape by `covariance_type`
    """
    X, resp = _float64(X), _float64(resp)
    d = X.shape[1]
    k = resp.shape[1]
    counts = resp.sum(axis=0)
    weights = counts / counts.sum()
    means = np.empty((k, d))
    scatter = np.empty((k, d, d))
    for j in range(k):
        means[j] = (resp[:, j, np.newaxis] * X).sum(axis=0) / counts[j]
        e = X - means[j]
        scatter[j] = (resp[:, j, np.newaxis] * e).T @ e
    if covariance_type == "tied":
        return weights, means, scatter.sum(axis=0) / counts.sum() + reg_covar * np.eye(d)
    full = np.array([scatter[j] / counts[j] + reg_covar * np.eye(d) for j in range(k)])
    if covariance_type == "full":
        return weights, means, full
    diagonal = np.array([np.diag(matrix) for matrix in full])
    if covariance_type == "diag":
        return weights, means, diagonal
    return weights, means, diagonal.mean(axis=1)


def em(
    X: ArrayLike,
    weights: ArrayLike,
    means: ArrayLike,
    covariances: ArrayLike,
    covariance_type: str,
    n_iter: int,
    reg_covar: float = 1e-6,
) -> tuple[Float, Float, Float, Float]:
    """`n_iter` iterations of EM: responsibilities, then `maximise`.

    Returns
    -------
    weights, means, covariances : arrays
        After the last M-step.
    history : array (n_iter,)
        Mean log-likelihood ``1/n sum_i log p(x_i)`` of the parameters that *entered* each iteration.
    """
    weights, means, covariances = _float64(weights), _float64(means), _float64(covariances)
    history = np.empty(n_iter)
    for t in range(n_iter):
        history[t] = log_prob(X, weights, means, covariances, covariance_type).mean()
        resp = responsibilities(X, weights, means, covariances, covariance_type)
        weights, means, covariances = maximise(X, resp, reg_covar, covariance_type)
    return weights, means, covariances, history


def accelerated(
    X: ArrayLike,
    weights: ArrayLike,
    means: ArrayLike,
    covariances: ArrayLike,
    covariance_type: str,
    n_passes: int,
    acceleration: str,
    reg_covar: float = 1e-6,
) -> Float:
    """Mean log-likelihoods of `n_passes` passes of accelerated EM, rejected ones included.

    Combinations of statistics are made as combinations of responsibilities R (n, k), in which they are linear: a proposal
    is ``(1 - eta) R_before + eta R``, or ``R_0 + 2 a (R_1 - R_0) + a^2 (R_2 - 2 R_1 + R_0)``.
    """
    X, params = _float64(X), (_float64(weights), _float64(means), _float64(covariances))
    history: list[float] = []
    best, plain = -np.inf, params
    eta, most, hit = 1.0, 4.0, False
    kept: list[Float] = []  # responsibilities behind the parameters: one (over-relaxation), up to two (SQUAREM)
    last = None
    while len(history) < n_passes:
        bound = float(log_prob(X, *params, covariance_type).mean())
        history.append(bound)
        if params is not plain and bound < best:
            params, kept, eta = plain, [last], 1.0
            most, hit = max(4.0, most / 4.0), False
            continue
        best, origin = bound, params[1]
        last = responsibilities(X, *params, covariance_type)
        params = plain = maximise(X, last, reg_covar, covariance_type)
        if hit:
            most, hit = 4.0 * most, False
        if len(kept) < (1 if acceleration == "over-relaxation" else 2):
            kept.append(last)
            continue
        if acceleration == "over-relaxation":
            factor, hit = 1.1 * eta, False
        else:
            spread = np.sqrt(
                plain[0] @ np.array([np.diag(c) for c in expand(plain[2], covariance_type, *origin.shape)])
            )
            r = _norm(X, kept[1] - kept[0], origin, covariance_type, spread)
            v = _norm(X, last - 2.0 * kept[1] + kept[0], origin, covariance_type, spread)
            hit, factor = r / v >= most, min(r / v, most)
        while factor > 1.001:
            if acceleration == "over-relaxation":
                proposal = (1.0 - factor) * kept[0] + factor * last
            else:
                proposal = (1.0 - factor) ** 2 * kept[0] + 2.0 * factor * (1.0 - factor) * kept[1] + factor**2 * last
            found = None
            if (proposal.sum(axis=0) >= 0.5 * last.sum(axis=0)).all():
                # without reg_covar, which would hide a scatter that no samples have
                within = expand(maximise(X, proposal, 0.0, covariance_type)[2], covariance_type, *origin.shape)
                if min(np.linalg.eigvalsh(c)[0] for c in within) > 0:
                    found = maximise(X, proposal, reg_covar, covariance_type)
            if found is not None:
                params, kept, eta = found, [proposal], factor
                break
            factor, hit = 1.0 + 0.5 * (factor - 1.0), False
        else:
            kept, eta = [last], 1.0
    return np.array(history)


def _norm(X: Float, resp: Float, origin: Float, covariance_type: str, spread: Float) -> float:
    """Norm of the statistics of signed responsibilities, features in units of `spread` (d,)."""
    counts, sums, scatter = counts_sums_scatter(X, resp, origin, covariance_type)
    units = np.outer(spread, spread)
    if covariance_type == "tied":
        units = len(counts) * units
    elif covariance_type == "diag":
        units = spread**2
    elif covariance_type == "spherical":
        units = (spread**2).sum()
    return float(np.sqrt((counts**2).sum() + ((sums / spread) ** 2).sum() + ((scatter / units) ** 2).sum()))


# --------------------------------------------------------------------------------------------------------------------
# covariance structures


def _unit(matrix: Float) -> Float:
    """`matrix` scaled to determinant 1."""
    return matrix / np.linalg.det(matrix) ** (1 / len(matrix))


def _equal_shape(within: list[Float], counts: Float) -> list[Float]:
    """``lambda_k C`` with ``|C| = 1``, in turn ``lambda_k = tr(W_k C^-1) / (n_k d)`` and ``C ~ sum_k W_k / lambda_k``."""
    d = len(within[0])
    shape = np.eye(d)
    for _ in range(2000):
        volumes = [np.trace(w @ np.linalg.inv(shape)) / (n * d) for w, n in zip(within, counts, strict=True)]
        shape = _unit(sum(w / volume for w, volume in zip(within, volumes, strict=True)))
    return [volume * shape for volume in volumes]


def _equal_volume(within: list[Float], counts: Float) -> list[Float]:
    """``lambda C_k`` with ``C_k = W_k / |W_k|^(1/d)`` and ``lambda = sum_k |W_k|^(1/d) / n``."""
    d = len(within[0])
    volume = sum(np.linalg.det(w) ** (1 / d) for w in within) / counts.sum()
    return [volume * _unit(w) for w in within]


def _common_orientation(within: list[Float], counts: Float, volume: str) -> list[Float]:
    """``D diag(v_k) D^T``: given D the diagonals of ``D^T W_k D``, given v_k a D that majorises and minimises.

    Browne & McNicholas 2014, section 3: ``sum_k tr(W_k D diag(1/v_k) D^T)`` falls with D = P R^T, where P B R^T is the singular
    value decomposition of ``sum_k (w_k I - W_k) D diag(1/v_k)`` and w_k the largest eigenvalue of W_k; or of
    ``sum_k W_k D (a_k I - diag(1/v_k))`` and a_k the largest entry. The best of several first D.
    """
    found = []
    for first in [sum(within), *within]:
        axes = np.linalg.eigh(first)[1]
        for t in range(3000):
            diagonals = [np.diag(np.diag(axes.T @ w @ axes)) for w in within]
            if volume == "E":
                variances = [np.diag(v) for v in _equal_volume(diagonals, counts)]
            else:
                variances = [np.diag(v) / n for v, n in zip(diagonals, counts, strict=True)]
            g = np.zeros_like(axes)
            for w, v in zip(within, variances, strict=True):
                if t % 2:
                    g += w @ axes @ (np.max(1 / v) * np.eye(len(w)) - np.diag(1 / v))
                else:
                    g += (np.linalg.eigvalsh(w)[-1] * np.eye(len(w)) - w) @ axes @ np.diag(1 / v)
            p, _, r = np.linalg.svd(g)
            before, axes = axes, p @ r
            if np.abs(before - axes).max() < 1e-12:
                break
        covariances = [before @ np.diag(v) @ before.T for v in variances]
        found.append((structured_objective(within, counts, covariances), covariances))
    return max(found, key=lambda pair: pair[0])[1]


def structured_objective(within: ArrayLike, counts: ArrayLike, covariances: ArrayLike) -> float:
    """Return the objective of an M-step over covariances: ``-1/2 sum_k [n_k log |S_k| + tr(S_k^-1 W_k)]``."""
    total = 0.0
    for w, n, s in zip(_float64(within), _float64(counts), _float64(covariances), strict=True):
        total -= 0.5 * (n * np.linalg.slogdet(s)[1] + np.trace(np.linalg.solve(s, w)))
    return float(total)


def structured(within: ArrayLike, counts: ArrayLike, name: str) -> Float:
    """Covariances of a structure from the scatter matrices about the new means (Celeux & Govaert 1995, section 4).

    Parameters
    ----------
    within : array (k, d, d)
    counts : array (k,)
    name : one of mclust's fourteen names

    Returns
    -------
    array (k, d, d)
    """
    scatter, counts = list(_float64(within)), _float64(counts)
    d = len(scatter[0])
    if name[1:] == "II":
        scatter = [np.trace(w) / d * np.eye(d) for w in scatter]
    elif name[2] == "I":
        scatter = [np.diag(np.diag(w)) for w in scatter]
    volume, shape, orientation = name
    if shape != "V" and orientation == "V":  # each in its own axes
        axes = [np.linalg.eigh(w)[1] for w in scatter]
        scatter = [np.diag(np.linalg.eigvalsh(w)) for w in scatter]
    if volume == "V" and (shape == "I" or (shape == "V" and orientation != "E")):
        out = [w / n for w, n in zip(scatter, counts, strict=True)]
    elif shape == "V" and orientation == "E":
        out = _common_orientation(scatter, counts, volume)
    elif volume == "V":
        out = _equal_shape(scatter, counts)
    elif shape == "V":
        out = _equal_volume(scatter, counts)
    else:
        out = [sum(scatter) / counts.sum()] * len(scatter)
    if shape != "V" and orientation == "V":
        out = [a @ s @ a.T for a, s in zip(axes, out, strict=True)]
    return np.array(out)


# --------------------------------------------------------------------------------------------------------------------
# priors and noise


def posterior_mode(
    within: ArrayLike,
    counts: ArrayLike,
    centres: ArrayLike,
    name: str,
    mean: ArrayLike,
    shrinkage: float,
    dof: float,
    scale: ArrayLike,
) -> tuple[Float, Float]:
    """Means and covariances at the mode, written out (Fraley & Raftery 2007; EII and EEI derived likewise).

    With D_k = kappa n_k / (kappa + n_k) delta_k delta_k^T and s the mean of Lambda's diagonal:

    ``VVV: (Lambda + D_k + W_k) / (nu + d + n_k + 2)``; ``EEE: (Lambda + sum D + W) / (nu + d + n + k + 1)``;
    ``VII: (s + tr(D_k + W_k)) / (nu + (n_k + 1) d + 2)``; ``EII: (s + tr(sum D + W)) / (nu + 2 + (n + k) d)``;
    ``VVI: (Lambda_jj + (D_k + W_k)_jj) / (nu + n_k + 3)``; ``EEI: (Lambda_jj + (sum D + W)_jj) / (nu + n + k + 2)``.

    Parameters
    ----------
    within : array (k, d, d)
        W_k, scatter about the means of the samples.
    counts : array (k,)
    centres : array (k, d)
        Means of the samples.
    name : str
    mean, shrinkage, dof, scale
        m (d,), kappa, nu, Lambda (d, d).

    Returns
    -------
    means (k, d), covariances (k, d, d)
    """
    within, counts, centres, m, scale = (_float64(a) for a in (within, counts, centres, mean, scale))
    k, d = centres.shape
    n = counts.sum()
    means, added = np.zeros((k, d)), np.zeros((k, d, d))
    for j in range(k):
        means[j] = (counts[j] * centres[j] + shrinkage * m) / (counts[j] + shrinkage)
        delta = centres[j] - m
        added[j] = within[j] + shrinkage * counts[j] / (shrinkage + counts[j]) * np.outer(delta, delta)
    whole, s = added.sum(axis=0), np.trace(scale) / d
    out = np.zeros((k, d, d))
    for j in range(k):
        own = added[j]
        if name == "VVV":
            out[j] = (scale + own) / (dof + d + counts[j] + 2)
        elif name == "EEE":
            out[j] = (scale + whole) / (dof + d + n + k + 1)
        elif name == "VII":
            out[j] = np.eye(d) * (s + np.trace(own)) / (dof + (counts[j] + 1) * d + 2)
        elif name == "EII":
            out[j] = np.eye(d) * (s + np.trace(whole)) / (dof + 2 + (n + k) * d)
        elif name == "VVI":
            out[j] = np.diag((np.diag(scale) + np.diag(own)) / (dof + counts[j] + 3))
        elif name == "EEI":
            out[j] = np.diag((np.diag(scale) + np.diag(whole)) / (dof + n + k + 2))
        else:
            raise ValueError(name)
    return means, out


def log_prior(
    means: ArrayLike,
    covariances: ArrayLike,
    layout: str,
    shared: bool,
    mean: ArrayLike,
    shrinkage: float,
    dof: float,
    scale: ArrayLike,
) -> float:
    """Log-density of the conjugate prior at means (k, d) and covariances (k, d, d), up to a constant.

    The sum over components of log N(mu_k | m, Sigma_k / kappa) and log p(Sigma_k). The latter is that of an inverse-Wishart
    distribution, for 'diag' of an inverse-gamma distribution of each variance, for 'spherical' of the one variance. A
    covariance that is `shared` by all has one prior.
    """
    means, covariances, m, scale = (_float64(a) for a in (means, covariances, mean, scale))
    k, d = means.shape
    total = 0.0
    for j in range(k):
        sign, log_det = np.linalg.slogdet(covariances[j])
        assert sign > 0
        delta = means[j] - m
        if shrinkage > 0:
            total += -0.5 * log_det - 0.5 * shrinkage * delta @ np.linalg.inv(covariances[j]) @ delta
        if shared and j > 0:
            continue
        variances = np.diag(covariances[j])
        if layout in ("full", "tied"):
            total += -0.5 * (dof + d + 1) * log_det - 0.5 * np.trace(np.linalg.inv(covariances[j]) @ scale)
        elif layout == "diag":
            for v, s in zip(variances, np.diag(scale), strict=True):
                total += -0.5 * (dof + 2) * math.log(v) - 0.5 * s / v
        else:
            total += -0.5 * (dof + 2) * math.log(variances[0]) - 0.5 * np.trace(scale) / d / variances[0]
    return total


def with_noise(log_densities: ArrayLike, weights: ArrayLike, noise: float, volume: float) -> tuple[Float, Float]:
    """``p_i = sum_k w_k N_ik + w_0 / V``: log p (n,) and responsibilities (n, k + 1), noise last, of log N (n, k)."""
    log_densities, weights = _float64(log_densities), _float64(weights)
    n, k = log_densities.shape
    log_p, resp = np.zeros(n), np.zeros((n, k + 1))
    for i in range(n):
        parts = [weights[j] * math.exp(log_densities[i, j]) for j in range(k)] + [noise / volume]
        log_p[i] = math.log(sum(parts))
        resp[i] = np.array(parts) / sum(parts)
    return log_p, resp


# --------------------------------------------------------------------------------------------------------------------
# k-means


def squared_distances(X: ArrayLike, centers: ArrayLike) -> Float:
    """``|x_i - c_k|^2``, (n, k)."""
    X, centers = _float64(X), _float64(centers)
    return np.stack([((X - center) ** 2).sum(axis=1) for center in centers], axis=1)


def nearest(X: ArrayLike, centers: ArrayLike) -> tuple[NDArray[np.intp], float]:
    """Nearest centre of each sample, the first of equals, and the inertia.

    ``labels_i = argmin_k |x_i - c_k|^2`` and ``inertia = sum_i min_k |x_i - c_k|^2``

    Returns
    -------
    labels : array (n,)
    inertia : float
    """
    distances = squared_distances(X, centers)
    return distances.argmin(axis=1), float(distances.min(axis=1).sum())


def lloyd(
    X: ArrayLike, centers: ArrayLike, max_iter: int = 300, tol: float = 1e-4
) -> tuple[NDArray[np.intp], float, Float, int]:
    """Plain k-means: assign every sample to its nearest centre, move every centre to the mean of its samples.

    It ends when an assignment repeats, or when ``sum_k |shift of centre k|^2 <= tol * (mean variance of a feature)``;
    in the second case, and after `max_iter` rounds, the samples are assigned once more, so that labels and centres
    belong together.

    A centre that lost all its samples takes one from another cluster: the sample farthest from the centre it is
    assigned to (for several such centres, in order: the farthest, the next, ...). If all samples sit on their centres
    there is nothing to take, and the empty centre moves to that of the largest cluster. (Which of two equally distant
    samples is taken is not defined.)

    Parameters
    ----------
    X : array (n, d)
    centers : array (k, d)
    max_iter : int
    tol : float
        Relative to the variances of the features, averaged.

    Returns
    -------
    labels : array (n,)
    inertia : float
    centers : array (k, d)
    n_iter : int
        Rounds of assigning and moving.
    """
    X, centers = _float64(X), _float64(centers)
    threshold = tol * X.var(axis=0).mean()
    previous: NDArray[np.intp] | None = None
    for n_iter in range(1, max_iter + 1):
        labels, _ = nearest(X, centers)
        moved = _mean_of_members(X, centers, labels)
        shift = float(((moved - centers) ** 2).sum())
        centers = moved
        if previous is not None and np.array_equal(labels, previous):
            break
        if shift <= threshold or n_iter == max_iter:
            labels, _ = nearest(X, centers)
            break
        previous = labels
    inertia = float(((X - centers[labels]) ** 2).sum())
    return labels, inertia, centers, n_iter


def _mean_of_members(X: Float, centers: Float, labels: NDArray[np.intp]) -> Float:
    """``c_k = mean of the x_i with labels_i = k``; an empty cluster as `lloyd` says."""
    k = len(centers)
    members = labels.copy()
    empty = np.flatnonzero(np.bincount(labels, minlength=k) == 0)
    distances = ((X - centers[labels]) ** 2).sum(axis=1)
    if distances.max() > 0:
        farthest = np.argsort(-distances, kind="stable")[: len(empty)]
        members[farthest] = empty
    counts = np.bincount(members, minlength=k)
    out = np.empty_like(centers)
    for j in range(k):
        out[j] = X[members == (j if counts[j] else counts.argmax())].mean(axis=0)
    return out


def kmeans_plusplus(
    X: ArrayLike, n_clusters: int, random_state: np.random.RandomState
) -> tuple[Float, NDArray[np.intp]]:
    """Starting centres spread out by D^2 sampling, greedily (Arthur and Vassilvitskii, 2007).

    The first centre is a sample drawn uniformly. With ``D_i^2`` the squared distance of sample i to its nearest centre
    so far, every further centre is the best of ``2 + int(log k)`` candidates, each sample i being drawn with
    probability ``D_i^2 / sum_j D_j^2`` (by inversion: the first i with ``cumsum(D^2)_i >= u sum_j D_j^2``, u uniform);
    the best is the one that leaves the lowest potential ``sum_i D_i^2``, the first of equals.

    Returns
    -------
    centers : array (n_clusters, d)
    indices : array (n_clusters,)
        ``centers = X[indices]``.
    """
    X = _float64(X)
    n = len(X)
    trials = 2 + int(math.log(n_clusters))
    indices = [int(random_state.choice(n, p=np.full(n, 1.0 / n)))]
    closest = squared_distances(X, X[indices])[:, 0]
    for _ in range(1, n_clusters):
        thresholds = random_state.uniform(size=trials) * closest.sum()
        candidates = np.searchsorted(np.cumsum(closest), thresholds, side="left")
        candidates = np.minimum(candidates, n - 1)  # rounding may place a threshold past the end
        after = [np.minimum(closest, squared_distances(X, X[[c]])[:, 0]) for c in candidates]
        best = int(np.argmin([a.sum() for a in after]))
        closest = after[best]
        indices.append(int(candidates[best]))
    return X[indices].copy(), np.array(indices, dtype=np.intp)


# --------------------------------------------------------------------------------------------------------------------
# variational inference: Bishop, Pattern Recognition and Machine Learning (2006), section 10.2; Blei & Jordan (2006)


def digamma(x: float) -> float:
    """psi(x) by its recurrence psi(x) = psi(x + 1) - 1 / x and the asymptotic series beyond 20."""
    out = 0.0
    while x < 20.0:
        out -= 1.0 / x
        x += 1.0
    series = [-1 / 12, 1 / 120, -1 / 252, 1 / 240, -1 / 132, 691 / 32760, -1 / 12]
    return out + math.log(x) - 0.5 / x + sum(c * x ** -(2 * i + 2) for i, c in enumerate(series))


def posterior(
    X: ArrayLike,
    resp: ArrayLike,
    prior: dict,
    reg_covar: float,
    covariance_type: str,
    sample_weight: ArrayLike | None = None,
) -> dict:
    """The posterior given responsibilities.

    n_k = sum_i w_i r_ik, xbar_k and S_k their weighted means and covariances, with `reg_covar` on the diagonal of S_k;
    beta_k = beta_0 + n_k, m_k = (beta_0 m_0 + n_k xbar_k) / beta_k, nu_k = nu_0 + n_k,
    C_k = C_0 + n_k S_k + beta_0 n_k / beta_k (xbar_k - m_0)(xbar_k - m_0)^T.

    `prior` has process, concentration, mean, mean_precision, dof, covariance (of one component, in the shape of the type). The
    result has concentration, mean_precision, dof, means, and covariances C_k / nu_k in the shape of `covariance_type`.
    """
    X, resp = _float64(X), _float64(resp)
    n, d = X.shape
    k = resp.shape[1]
    weights = np.ones(n) if sample_weight is None else _float64(sample_weight)
    c0 = _float64(prior["covariance"])
    counts, means, own = np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d))
    for j in range(k):
        total = np.zeros(d)
        for i in range(n):
            counts[j] += weights[i] * resp[i, j]
            total += weights[i] * resp[i, j] * X[i]
        xbar = total / counts[j]
        for i in range(n):
            own[j] += weights[i] * resp[i, j] * np.outer(X[i] - xbar, X[i] - xbar)
        own[j] += counts[j] * reg_covar * np.eye(d)
        beta = prior["mean_precision"] + counts[j]
        away = xbar - prior["mean"]
        own[j] += prior["mean_precision"] * counts[j] / beta * np.outer(away, away)
        means[j] = (prior["mean_precision"] * np.asarray(prior["mean"]) + counts[j] * xbar) / beta
    dof = np.array([prior["dof"] + (counts.sum() / k if covariance_type == "tied" else counts[j]) for j in range(k)])
    if covariance_type == "full":
        covariances = np.array([(c0 + own[j]) / dof[j] for j in range(k)])
    elif covariance_type == "tied":
        covariances = (c0 + sum(own) / k) / dof[0]
    elif covariance_type == "diag":
        covariances = np.array([(c0 + np.diag(own[j])) / dof[j] for j in range(k)])
    else:
        covariances = np.array([(c0 + np.diag(own[j]).mean()) / dof[j] for j in range(k)])
    if prior["process"]:
        later = [sum(counts[j + 1 :]) for j in range(k)]
        concentration = np.array([1.0 + counts, prior["concentration"] + np.array(later)])
    else:
        concentration = prior["concentration"] + counts
    mean_precision = prior["mean_precision"] + counts
    return {
        "concentration": concentration,
        "mean_precision": mean_precision,
        "dof": dof,
        "means": means,
        "covariances": covariances,
    }


def expected_log_weights(concentration: ArrayLike) -> Float:
    """E log pi_k: psi(a_k) - psi(sum a); of a process E log v_k + sum_{j < k} E log(1 - v_j), v_k ~ Beta(a_k, b_k)."""
    concentration = _float64(concentration)
    if concentration.ndim == 1:
        return np.array([digamma(a) - digamma(concentration.sum()) for a in concentration])
    out = []
    for j in range(concentration.shape[1]):
        a, b = concentration[:, j]
        value = digamma(a) - digamma(a + b)
        for before in range(j):
            a, b = concentration[:, before]
            value += digamma(b) - digamma(a + b)
        out.append(value)
    return np.array(out)


def expected_log_density(X: ArrayLike, posterior: dict, covariance_type: str) -> Float:
    """E log N(x_i; mu_k, Lambda_k^-1), (n, k).

    -d/2 log 2 pi + 1/2 (sum_{j < d} psi((nu_k - j) / 2) + d log 2 - log |C_k|) - 1/2 (d / beta_k + nu_k q_ik), q_ik the squared
    distance (x_i - m_k)^T C_k^-1 (x_i - m_k).
    """
    X = _float64(X)
    n, d = X.shape
    k = len(posterior["means"])
    covariances = expand(posterior["covariances"], covariance_type, k, d)
    out = np.zeros((n, k))
    for j in range(k):
        nu = posterior["dof"][j]
        scale = nu * covariances[j]
        log_det = sum(digamma((nu - i) / 2) for i in range(d)) + d * math.log(2) - np.linalg.slogdet(scale)[1]
        for i in range(n):
            away = X[i] - posterior["means"][j]
            distance = nu * away @ np.linalg.solve(scale, away)
            out[i, j] = 0.5 * (log_det - d * math.log(2 * math.pi) - d / posterior["mean_precision"][j] - distance)
    return out


def evidence_bound(
    resp: ArrayLike, posterior: dict, covariance_type: str, sample_weight: ArrayLike | None = None
) -> float:
    """The lower bound of the log-evidence of the posterior that responsibilities lead to, up to a constant of the prior.

    -sum_ik w_i r_ik log r_ik, plus the logarithms of the normalisers: of Wishart(C_k^-1, nu_k), nu_k/2 log |C_k^-1| + nu_k d/2
    log 2 + sum_{j < d} log Gamma((nu_k - j) / 2); of Dirichlet(a) or Beta(a_k, b_k); and -d/2 sum_k log beta_k.
    """
    resp = _float64(resp)
    n, k = resp.shape
    d = posterior["means"].shape[1]
    weights = np.ones(n) if sample_weight is None else _float64(sample_weight)
    total = 0.0
    for i in range(n):
        for j in range(k):
            if resp[i, j] > 0:
                total -= weights[i] * resp[i, j] * math.log(resp[i, j])
    covariances = expand(posterior["covariances"], covariance_type, k, d)
    for j in range(k):
        nu = posterior["dof"][j]
        total -= nu / 2 * np.linalg.slogdet(nu * covariances[j])[1]
        total += nu * d / 2 * math.log(2) + sum(math.lgamma((nu - i) / 2) for i in range(d))
        total -= d / 2 * math.log(posterior["mean_precision"][j])
    a = posterior["concentration"]
    if a.ndim == 1:
        return total + sum(math.lgamma(value) for value in a) - math.lgamma(a.sum())
    return total + sum(math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y) for x, y in a.T)


def variational(
    X: ArrayLike,
    resp: ArrayLike,
    prior: dict,
    reg_covar: float,
    covariance_type: str,
    n_iter: int,
    sample_weight: ArrayLike | None = None,
) -> tuple[dict, list[float]]:
    """`n_iter` iterations from responsibilities: the posterior, and the bound after each."""
    found, bounds = posterior(X, resp, prior, reg_covar, covariance_type, sample_weight), []
    for _ in range(n_iter):
        log_prob = expected_log_density(X, found, covariance_type) + expected_log_weights(found["concentration"])
        resp = np.exp(log_prob - log_sum_exp(log_prob, 1)[:, None])
        found = posterior(X, resp, prior, reg_covar, covariance_type, sample_weight)
        bounds.append(evidence_bound(resp, found, covariance_type, sample_weight))
    return found, bounds


# --------------------------------------------------------------------------------------------------------------------
# incomplete and noisy samples


def incomplete_statistics(
    X: ArrayLike,
    weights: ArrayLike,
    means: ArrayLike,
    covariances: ArrayLike,
    covariance_type: str,
    errors: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    box: tuple[float, ArrayLike] | None = None,
) -> tuple[Float, Float, Float, Float, Float]:
    """The E-step of samples with missing values (NaN) and known errors, row by row, component by component.

    Of the observed features o of row i, whose error has the covariance ``S_i``: ``T = S_k,oo + S_i``,
    ``r_ik ~ w_k N(x_i,o | m_k,o, T)``, ``xhat = m_k + S_k,:o T^-1 (x_i,o - m_k,o)`` and ``C = S_k - S_k,:o T^-1 S_k,o:``; then
    ``sum_i r_ik``, ``sum_i r_ik (xhat - m_k)`` and ``sum_i r_ik ((xhat - m_k)(xhat - m_k)^T + C)``. A row without any value has
    likelihood 1, and adds nothing to the sums.

    Parameters
    ----------
    errors : array (n, d, d), optional
    box : weight and lengths (d,) of the box of a further component of constant density, optional

    Returns
    -------
    log_prob (n,), resp (n, k or k + 1), counts (k,), sums (k, d), scatter (k, d, d)
    """
    X, weights, means = _float64(X), _float64(weights), _float64(means)
    (n, d), k = X.shape, len(means)
    matrices = expand(covariances, covariance_type, k, d)
    w = np.ones(n) if sample_weight is None else _float64(sample_weight)
    counts, sums, scatter = np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d))
    n_densities = k if box is None else k + 1
    log_likelihood, resp = np.zeros(n), np.zeros((n, n_densities))
    for i in range(n):
        o = [j for j in range(d) if not math.isnan(X[i, j])]
        each, hats, conditionals = np.zeros(n_densities), [], []
        for c in range(k):
            T = matrices[c][np.ix_(o, o)] + (0.0 if errors is None else _float64(errors)[i][np.ix_(o, o)])
            away = X[i, o] - means[c, o]
            each[c] = math.log(weights[c])
            if o:
                _, log_det = np.linalg.slogdet(T)
                each[c] -= 0.5 * (len(o) * math.log(2 * math.pi) + log_det + away @ np.linalg.solve(T, away))
            gain = np.linalg.solve(T, matrices[c][o]).T if o else np.zeros((d, 0))
            hats.append(gain @ away)
            conditionals.append(matrices[c] - gain @ matrices[c][o])
        if box is not None:
            each[k] = math.log(box[0]) - sum(math.log(_float64(box[1])[j]) for j in o)
        log_likelihood[i] = log_sum_exp(each, 0)
        resp[i] = np.exp(each - log_likelihood[i])
        for c in range(k if o else 0):
            r = w[i] * resp[i, c]
            counts[c] += r
            sums[c] += r * hats[c]
            scatter[c] += r * (np.outer(hats[c], hats[c]) + conditionals[c])
    return log_likelihood, resp, counts, sums, scatter


# --------------------------------------------------------------------------------------------------------------------
# some features given others


def conditional(
    weights: ArrayLike, means: ArrayLike, covariances: ArrayLike, given: list[int], x: ArrayLike
) -> tuple[Float, Float, Float]:
    """Weights, means and covariances of the other features given some, of matrices (k, d, d).

    w_k(x) ~ w_k N(x; mu_x, S_xx); mu_y + S_yx S_xx^-1 (x - mu_x); S_yy - S_yx S_xx^-1 S_xy.
    """
    weights, means, covariances, x = map(_float64, (weights, means, covariances, x))
    others = [j for j in range(means.shape[1]) if j not in given]
    shares, centres, matrices = [], [], []
    for k in range(len(weights)):
        xx, yx = covariances[k][np.ix_(given, given)], covariances[k][np.ix_(others, given)]
        shares.append(weights[k] * multivariate_normal.pdf(x, means[k, given], xx))
        inverse = np.linalg.inv(xx)
        centres.append(means[k, others] + yx @ inverse @ (x - means[k, given]))
        matrices.append(covariances[k][np.ix_(others, others)] - yx @ inverse @ yx.T)
    return np.array(shares) / sum(shares), np.array(centres), np.array(matrices)


def regression(
    weights: ArrayLike, means: ArrayLike, covariances: ArrayLike, given: list[int], X: ArrayLike
) -> tuple[Float, Float]:
    """E[y | x] and Var[y | x] of each sample, by the law of total variance, each (n, q)."""
    expected, variances = [], []
    for x in _float64(X):
        w, m, c = conditional(weights, means, covariances, given, x)
        mean = sum(w[k] * m[k] for k in range(len(w)))
        expected.append(mean)
        variances.append(sum(w[k] * (np.diag(c[k]) + (m[k] - mean) ** 2) for k in range(len(w))))
    return np.array(expected), np.array(variances)


def incomplete_lloyd(X: ArrayLike, centers: ArrayLike, n_iter: int) -> tuple[Float, NDArray[np.intp]]:
    """Lloyd's alternation over observed values: labels of the nearest centre, ``sum_j (x_ij - c_j)^2`` over observed j; then means.

    A coordinate stays where it is if the cluster has no value of that feature.
    """
    X, centers = _float64(X), _float64(centers).copy()
    labels = np.zeros(len(X), np.intp)
    for _ in range(n_iter):
        for i, x in enumerate(X):
            seen = ~np.isnan(x)
            labels[i] = int(np.argmin([((x - c)[seen] ** 2).sum() for c in centers]))
        for c in range(len(centers)):
            for j in range(X.shape[1]):
                values = [x[j] for x, label in zip(X, labels, strict=True) if label == c and not math.isnan(x[j])]
                if values:
                    centers[c, j] = sum(values) / len(values)
    return centers, labels


def entropy_merging(resp: ArrayLike, sample_weight: ArrayLike) -> tuple[list[tuple[int, int]], list[float]]:
    """Pairs of clusters that are merged in turn, by their first components, and the entropies of k, ..., 1 clusters.

    The pair with the least -sum_i w_i sum_a t_ia log t_ia of what results is merged.
    """
    clusters = {c: _float64(resp)[:, c] for c in range(np.shape(resp)[1])}
    weights = _float64(sample_weight)

    def entropy(columns: list[Float]) -> float:
        return sum(-w * t[i] * math.log(t[i]) for t in columns for i, w in enumerate(weights) if t[i] > 0)

    merges, entropies = [], [entropy(list(clusters.values()))]
    while len(clusters) > 1:
        options = []
        for a in clusters:
            for b in clusters:
                if a < b:
                    rest = [t for c, t in clusters.items() if c not in (a, b)]
                    options.append((entropy([*rest, clusters[a] + clusters[b]]), a, b))
        least, a, b = min(options)
        clusters[a] = clusters[a] + clusters.pop(b)
        merges.append((a, b))
        entropies.append(least)
    return merges, entropies

"""Steps of EM and k-means as plain functions, for people who replace a slow loop of their own.

Arrays in, arrays out, with the same checks and kernels as the estimators. `covariance_type`, any of `GaussianMixture`'s,
determines the shape of `covariances`: (k, d, d) for 'full', (d, d) for 'tied', (k, d) for 'diag', (k,) for 'spherical'.
float32 data give float32 results, computed in float32 within tiles and added up in float64. `em_step` computes in float64 if
there are fewer than twice the samples that full covariances need. `n_threads` as in `GaussianMixture`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import _validation
from fastgmm.data.source import ArraySource
from fastgmm.em import evaluate, sweep
from fastgmm.em.step import MaximumLikelihood, check_likelihood
from fastgmm.init import kmeans as k_means
from fastgmm.init.kmeans import KMeansResult
from fastgmm.model.checks import check_parameters
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats
from fastgmm.model.structures import STRUCTURES, Structure

__all__ = [
    "EMStep",
    "KMeansResult",
    "em_step",
    "kmeans",
    "kmeans_plusplus",
    "log_density",
    "log_prob",
    "responsibilities",
    "sufficient_statistics",
]


class EMStep(NamedTuple):  # numpydoc ignore=PR01
    """Hold the result of `em_step`: the parameters after the step, and the log-likelihood before it.

    Attributes
    ----------
    weights : ndarray of shape (k,), float64
        Weights after the step; they add up to 1.
    means : ndarray of shape (k, d), float64
        Means after the step.
    covariances : ndarray, float64
        Covariances after the step, in the shape for the `covariance_type` of the step.
    log_likelihood : float
        Weighted sum over samples of ``log p(x_i)`` under the parameters *before* the step.

    See Also
    --------
    em_step : Make the step.

    Examples
    --------
    >>> from fastgmm import em_step
    >>> X = [[0.0], [1.0], [5.0], [6.0]]
    >>> step = em_step(X, [0.5, 0.5], [[0.0], [6.0]], [[[1.0]], [[1.0]]], reg_covar=0.0)
    >>> step._fields
    ('weights', 'means', 'covariances', 'log_likelihood')
    >>> step.means.round(3).tolist()
    [[0.5], [5.5]]
    """

    weights: NDArray
    means: NDArray
    covariances: NDArray
    log_likelihood: float


def _structure(covariance_type: str) -> Structure:
    return STRUCTURES[_validation.check_choice("covariance_type", covariance_type, STRUCTURES)]


def _weighted(X: Any, sample_weight: ArrayLike | None) -> ArraySource:
    data = _validation.check_data(X)
    return ArraySource.weighted(data, _validation.check_sample_weight(sample_weight, len(data)))


def _model(
    X: Any,
    weights: ArrayLike | None,
    means: ArrayLike,
    covariances: ArrayLike,
    covariance_type: str,
    sample_weight: ArrayLike | None = None,
) -> tuple[ArraySource, Params]:
    structure = _structure(covariance_type)
    source = _weighted(X, sample_weight)
    centres = _validation.check_data(means, name="means", axes="(n_components, n_features)")
    if weights is None:
        weights = np.full(len(centres), 1.0 / len(centres))
    params = check_parameters(weights, centres, covariances, structure.layout, covariance_type)
    structure.check_features(params.means.shape[1])
    if params.means.shape[1] != source.n_features:
        raise ValueError(
            f"X has {source.n_features} features, but means has the shape {params.means.shape}, (n_components, n_features): "
            "both need the same features"
        )
    return source, params


def log_density(
    X: ArrayLike,
    means: ArrayLike,
    covariances: ArrayLike,
    *,
    covariance_type: str = "full",
    n_threads: int | None = None,
) -> NDArray:
    """Return the log-density of every sample under every Gaussian.

    Replaces a loop over ``scipy.stats.multivariate_normal.logpdf``.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Samples, float32 or float64; other numbers are converted to float64.
    means : array-like of shape (k, d)
        Means of the Gaussians.
    covariances : array-like
        Covariances of the Gaussians, positive definite: of shape (k, d, d) for 'full', (d, d) for 'tied', (k, d) for
        'diag' and (k,) for 'spherical'.
    covariance_type : str, default='full'
        Covariance structure, any of those of `GaussianMixture`; it determines the shape of `covariances`.
    n_threads : int, optional
        Number of threads; by default all that numba would use. The result does not depend on it, to the bit.

    Returns
    -------
    ndarray of shape (n, k)
        Log-densities in the dtype of X:
        ``-1/2 (d log 2 pi + log |C_k| + (x_i - m_k)^T C_k^-1 (x_i - m_k))``.

    Raises
    ------
    TypeError
        If X, `means` or `covariances` do not hold real numbers.
    ValueError
        If shapes do not fit, values are not finite, or covariances are not positive definite.

    See Also
    --------
    log_prob : Log-likelihood of every sample under the mixture.
    responsibilities : Posterior probability of every component.
    GaussianMixture.score_samples : Log-likelihood under a fitted model.

    Examples
    --------
    >>> from fastgmm import log_density
    >>> means, variances = [[0.0, 0.0], [5.0, 5.0]], [1.0, 1.0]
    >>> log_density([[0.0, 0.0], [5.0, 4.0]], means, variances, covariance_type="spherical").round(3).tolist()
    [[-1.838, -26.838], [-22.338, -2.338]]
    """
    source, params = _model(X, None, means, covariances, covariance_type)
    return evaluate.log_density(source, params, _validation.check_threads(n_threads))


def log_prob(
    X: ArrayLike,
    weights: ArrayLike,
    means: ArrayLike,
    covariances: ArrayLike,
    *,
    covariance_type: str = "full",
    n_threads: int | None = None,
) -> NDArray:
    """Return the log-likelihood of every sample under the mixture.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Samples, float32 or float64; other numbers are converted to float64.
    weights : array-like of shape (k,)
        Weights of the components; they add up to 1.
    means : array-like of shape (k, d)
        Means of the components.
    covariances : array-like
        Covariances of the components, positive definite: of shape (k, d, d) for 'full', (d, d) for 'tied', (k, d) for
        'diag' and (k,) for 'spherical'.
    covariance_type : str, default='full'
        Covariance structure, any of those of `GaussianMixture`; it determines the shape of `covariances`.
    n_threads : int, optional
        Number of threads; by default all that numba would use. The result does not depend on it, to the bit.

    Returns
    -------
    ndarray of shape (n,)
        ``log sum_k w_k N(x_i | m_k, C_k)`` in the dtype of X.

    Raises
    ------
    TypeError
        If an array does not hold real numbers.
    ValueError
        If shapes do not fit, values are not finite, weights do not add up to 1, or covariances are not positive definite.

    See Also
    --------
    log_density : Log-density under every component, without the weights.
    responsibilities : Posterior probability of every component.
    GaussianMixture.score_samples : Log-likelihood under a fitted model.

    Examples
    --------
    >>> from fastgmm import log_prob
    >>> log_prob([[0.0], [2.0]], [0.5, 0.5], [[0.0], [2.0]], [1.0, 1.0], covariance_type="spherical").round(3).tolist()
    [-1.485, -1.485]
    """
    source, params = _model(X, weights, means, covariances, covariance_type)
    return evaluate.log_prob(source, params, _validation.check_threads(n_threads))


def responsibilities(
    X: ArrayLike,
    weights: ArrayLike,
    means: ArrayLike,
    covariances: ArrayLike,
    *,
    covariance_type: str = "full",
    n_threads: int | None = None,
) -> NDArray:
    """Return the posterior probability of every component for every sample.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Samples, float32 or float64; other numbers are converted to float64.
    weights : array-like of shape (k,)
        Weights of the components; they add up to 1.
    means : array-like of shape (k, d)
        Means of the components.
    covariances : array-like
        Covariances of the components, positive definite: of shape (k, d, d) for 'full', (d, d) for 'tied', (k, d) for
        'diag' and (k,) for 'spherical'.
    covariance_type : str, default='full'
        Covariance structure, any of those of `GaussianMixture`; it determines the shape of `covariances`.
    n_threads : int, optional
        Number of threads; by default all that numba would use. The result does not depend on it, to the bit.

    Returns
    -------
    ndarray of shape (n, k)
        ``w_k N(x_i | m_k, C_k) / p(x_i)`` in the dtype of X; each row adds up to 1.

    Raises
    ------
    TypeError
        If an array does not hold real numbers.
    ValueError
        If shapes do not fit, values are not finite, weights do not add up to 1, or covariances are not positive definite.

    See Also
    --------
    sufficient_statistics : Statistics for an M-step, from responsibilities.
    em_step : E-step and M-step in one pass.
    GaussianMixture.predict_proba : Responsibilities under a fitted model.

    Examples
    --------
    >>> from fastgmm import responsibilities
    >>> means, variances = [[0.0], [2.0]], [1.0, 1.0]
    >>> responsibilities([[0.0], [1.0]], [0.5, 0.5], means, variances, covariance_type="spherical").round(3).tolist()
    [[0.881, 0.119], [0.5, 0.5]]
    """
    source, params = _model(X, weights, means, covariances, covariance_type)
    return evaluate.responsibilities(source, params, _validation.check_threads(n_threads))


def sufficient_statistics(
    X: ArrayLike,
    resp: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    origin: ArrayLike | None = None,
    covariance_type: str = "full",
    n_threads: int | None = None,
) -> Stats:
    """Return the counts, first and second moments that an M-step needs, for given responsibilities.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Samples, float32 or float64; other numbers are converted to float64.
    resp : array-like of shape (n, k)
        Responsibilities, not negative; rows need not add up to 1.
    sample_weight : array-like of shape (n,), optional
        How many times each sample counts, not negative: row i of `resp` counts that many times. By default once.
    origin : array-like of shape (k, d), optional
        Point that moments are taken about; by default the mean of X for every component. An origin close to the
        components' means is best for the precision of the scatter.
    covariance_type : str, default='full'
        Covariance structure, any of those of `GaussianMixture`; it determines the shape of the scatter.
    n_threads : int, optional
        Number of threads; by default all that numba would use. The result does not depend on it, to the bit.

    Returns
    -------
    fastgmm.model.stats.Stats
        ``counts`` (k,), ``sums`` (k, d) and ``scatter`` about ``origin``, float64. Statistics of parts of the data about
        one origin merge: ``a.merge(b)``.

    Raises
    ------
    TypeError
        If an array does not hold real numbers.
    ValueError
        If shapes do not fit, values are not finite, or responsibilities are negative.

    See Also
    --------
    responsibilities : Responsibilities under given parameters.
    em_step : E-step and M-step in one pass.

    Examples
    --------
    >>> from fastgmm import sufficient_statistics
    >>> X = [[0.0], [2.0], [10.0]]
    >>> stats = sufficient_statistics(X, [[1, 0], [1, 0], [0, 1]], origin=[[1.0], [10.0]])
    >>> stats.counts.tolist(), stats.sums.tolist(), stats.scatter.tolist()
    ([2.0, 1.0], [[0.0], [0.0]], [[[2.0]], [[0.0]]])
    """
    structure = _structure(covariance_type)
    data = _validation.check_data(X)
    weights = _validation.check_data(resp, name="resp")
    if weights.shape[0] != len(data):
        raise ValueError(f"resp has {weights.shape[0]} rows, but X has {len(data)} samples: one row per sample")
    if weights.min() < 0:
        row, column = (int(i) for i in np.argwhere(weights < 0)[0])
        raise ValueError(f"resp must not be negative, got resp[{row}, {column}] = {weights[row, column]}")
    of_samples = _validation.check_sample_weight(sample_weight, len(data))
    source = ArraySource.weighted(data, of_samples)
    if of_samples is not None:
        weights = weights[of_samples > 0]  # the samples that the source has
    shape = (weights.shape[1], source.n_features)
    if origin is None:
        centre = np.tile(sweep.mean(source), (shape[0], 1))
    else:
        centre = _validation.check_array("origin", origin, shape, "(n_components, n_features)")
    threads = _validation.check_threads(n_threads)
    stats = sweep.accumulate(source, structure.layout, centre, lambda a, b: weights[a:b], threads, complete=False)
    return stats.times(source.weight_unit)


def em_step(
    X: ArrayLike,
    weights: ArrayLike,
    means: ArrayLike,
    covariances: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    covariance_type: str = "full",
    reg_covar: float = 1e-6,
    n_threads: int | None = None,
) -> EMStep:
    """Run one EM iteration in one pass over the data.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Samples, float32 or float64; other numbers are converted to float64.
    weights : array-like of shape (k,)
        Weights of the components before the step; they add up to 1.
    means : array-like of shape (k, d)
        Means before the step.
    covariances : array-like
        Covariances before the step, positive definite: of shape (k, d, d) for 'full', (d, d) for 'tied', (k, d) for
        'diag' and (k,) for 'spherical'.
    sample_weight : array-like of shape (n,), optional
        How many times each sample counts, not negative. By default once.
    covariance_type : str, default='full'
        Covariance structure, any of those of `GaussianMixture`; it determines the shape of `covariances`.
    reg_covar : float, default=1e-6
        Added to the variances, in squared units of X; not negative.
    n_threads : int, optional
        Number of threads; by default all that numba would use. The result does not depend on it, to the bit.

    Returns
    -------
    EMStep
        ``weights``, ``means``, ``covariances`` after the step, float64, and ``log_likelihood``, the weighted sum over samples
        of ``log p(x_i)`` under the parameters *before* it.

    Raises
    ------
    TypeError
        If an array does not hold real numbers.
    ValueError
        If shapes do not fit, values are not finite, or covariances are not positive definite; if a component with enough
        samples collapses; or if a sample is so far from all components that its likelihood is 0.

    See Also
    --------
    GaussianMixture.fit : Run EM until it converges.
    sufficient_statistics : Statistics for an M-step of one's own.

    Notes
    -----
    A component without samples keeps its mean and its covariance. If a component that holds fewer samples than its covariance
    needs (d + 1, for 'full') would have a singular one, all such components keep their covariances.

    Examples
    --------
    >>> from fastgmm import em_step
    >>> X = [[0.0], [1.0], [5.0], [6.0]]
    >>> step = em_step(X, [0.5, 0.5], [[0.0], [6.0]], [1.0, 1.0], covariance_type="spherical", reg_covar=0.0)
    >>> step.weights.round(3).tolist(), step.means.round(3).tolist(), round(step.log_likelihood, 3)
    ([0.5, 0.5], [[0.5], [5.5]], -7.448)
    """
    found, params = _model(X, weights, means, covariances, covariance_type, sample_weight)
    source = sweep.precise(found, params.layout, len(params.weights))
    _validation.check_magnitude(source.largest, source.n_features, source.dtype)
    threads = _validation.check_threads(n_threads)
    reg_covar = _validation.check_non_negative("reg_covar", reg_covar)
    stats = sweep.sweep(source, params, threads)
    check_likelihood(stats.log_likelihood, 1, params)
    after = MaximumLikelihood(_structure(covariance_type), reg_covar, keep_few=True).maximise(stats, params)
    return EMStep(after.weights, after.means, after.covariances, stats.log_likelihood * source.weight_unit)


def _check_clusters(source: ArraySource, n_clusters: int) -> None:
    _validation.check_magnitude(source.largest, source.n_features, source.dtype)
    if _validation.check_integer("n_clusters", n_clusters, 1) > source.n_samples:
        raise ValueError(f"n_clusters={n_clusters} is more than the {source.n_samples} samples of X: ask for fewer")


def kmeans_plusplus(
    X: ArrayLike,
    n_clusters: int,
    *,
    sample_weight: ArrayLike | None = None,
    random_state: Any = None,
    n_local_trials: int | None = None,
    n_threads: int | None = None,
) -> tuple[NDArray, NDArray[np.intp]]:
    """Pick centres by greedy k-means++.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Samples, float32 or float64; other numbers are converted to float64.
    n_clusters : int
        Number of centres, from 1 to the number of samples.
    sample_weight : array-like of shape (n,), optional
        How many times each sample counts, in the draws as in the sums; not negative. By default once.
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator, default=None
        Source of the draws. A seed picks the samples that scikit-learn picks with it.
    n_local_trials : int, optional
        Candidates per centre, by default ``2 + int(log(n_clusters))``.
    n_threads : int, optional
        Number of threads; by default all that numba would use. The result does not depend on it, to the bit.

    Returns
    -------
    centers : ndarray of shape (n_clusters, d)
        The centres, in the dtype of X.
    indices : ndarray of shape (n_clusters,), intp
        Indices of the centres: ``X[indices]`` are the centres.

    Raises
    ------
    TypeError
        If an array does not hold real numbers, or a count is not an int.
    ValueError
        If X is not a finite matrix, or has fewer samples than clusters.

    See Also
    --------
    kmeans : Run k-means from these centres.
    sklearn.cluster.kmeans_plusplus : The same for scikit-learn.

    Notes
    -----
    The first centre is drawn uniformly. Each further centre is the best of `n_local_trials` candidates, which are drawn with
    probability proportional to the squared distance to the nearest centre so far.

    References
    ----------
    .. [1] D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful seeding", Proc. 18th ACM-SIAM Symposium on
       Discrete Algorithms, 2007, 1027-1035.

    Examples
    --------
    >>> from fastgmm import kmeans_plusplus
    >>> X = [[0.0, 0.0], [0.0, 0.1], [9.0, 9.0], [9.0, 9.1]]
    >>> centers, indices = kmeans_plusplus(X, 2, random_state=0)
    >>> sorted(int(i) // 2 for i in indices)
    [0, 1]
    """
    data = _validation.check_data(X)
    of_samples = _validation.check_sample_weight(sample_weight, len(data))
    source = ArraySource.weighted(data, of_samples)
    _check_clusters(source, n_clusters)
    if n_local_trials is not None:
        _validation.check_integer("n_local_trials", n_local_trials, 1)
    random_state = _validation.check_random_state(random_state)
    threads = _validation.check_threads(n_threads)
    indices = k_means.kmeans_plusplus(source, n_clusters, random_state, n_local_trials, threads)
    if of_samples is not None:
        indices = np.flatnonzero(of_samples)[indices]
    return data[indices], indices


def kmeans(
    X: ArrayLike,
    n_clusters: int,
    *,
    sample_weight: ArrayLike | None = None,
    init: ArrayLike | None = None,
    max_iter: int = 300,
    tol: float = 1e-4,
    random_state: Any = None,
    n_threads: int | None = None,
) -> KMeansResult:
    """Run k-means by Lloyd's algorithm.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Samples, float32 or float64; other numbers are converted to float64.
    n_clusters : int
        Number of clusters, from 1 to the number of samples.
    sample_weight : array-like of shape (n,), optional
        How many times each sample counts, not negative; by default once. A sample of weight zero gets the label of the nearest
        centre.
    init : array-like of shape (n_clusters, d), optional
        Initial centres; by default greedy k-means++.
    max_iter : int, default=300
        Maximum number of iterations.
    tol : float, default=1e-4
        Stop when the squared shift of the centres is at most `tol` times the mean variance of the features.
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator, default=None
        Source of the draws of the initial centres. A seed gives the labels that scikit-learn's ``KMeans(n_init=1)`` gives with
        it. (With weights, `tol` refers to the weighted variance here, and to the plain one there.)
    n_threads : int, optional
        Number of threads; by default all that numba would use. The result does not depend on it, to the bit.

    Returns
    -------
    KMeansResult
        Centres, labels, inertia and number of iterations.

    Raises
    ------
    TypeError
        If an array does not hold real numbers, or a count is not an int.
    ValueError
        If X or `init` is not a finite matrix of the right shape, or there are fewer samples than clusters.

    Warns
    -----
    ConvergenceWarning
        If fewer distinct clusters were found than asked for.

    See Also
    --------
    kmeans_plusplus : Initial centres alone.
    sklearn.cluster.KMeans : The estimator of scikit-learn.

    References
    ----------
    .. [1] S. P. Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory 28(2), 1982, 129-137.

    Examples
    --------
    >>> from fastgmm import kmeans
    >>> X = [[0.0, 0.0], [0.0, 1.0], [9.0, 9.0], [9.0, 8.0]]
    >>> found = kmeans(X, 2, init=[[0.0, 0.0], [9.0, 9.0]])
    >>> found.labels.tolist(), found.centers.tolist(), round(found.inertia, 6)
    ([0, 0, 1, 1], [[0.0, 0.5], [9.0, 8.5]], 1.0)
    """
    data = _validation.check_data(X)
    of_samples = _validation.check_sample_weight(sample_weight, len(data))
    source = ArraySource.weighted(data, of_samples)
    _check_clusters(source, n_clusters)
    centres = None
    if init is not None:
        shape = (n_clusters, source.n_features)
        centres = _validation.check_array("init", init, shape, "(n_clusters, n_features)")
    threads = _validation.check_threads(n_threads)
    found = k_means.kmeans(
        source,
        n_clusters,
        _validation.check_random_state(random_state),
        init=centres,
        max_iter=_validation.check_integer("max_iter", max_iter, 1),
        tol=_validation.check_non_negative("tol", tol),
        n_threads=threads,
    )
    if source.n_samples < len(data):
        found = found._replace(labels=k_means.nearest(ArraySource(data), found.centers, threads))
    return found

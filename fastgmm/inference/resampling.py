"""Uncertainty of the parameters of a mixture: replicates of the fit under random weights, of drawn samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm import _validation
from fastgmm._errors import warn
from fastgmm._names import RESAMPLING
from fastgmm.data.source import ArraySource
from fastgmm.em.lanes import SINGLE_LANE
from fastgmm.em.linearised import Linearised, weighted_source
from fastgmm.em.loop import run
from fastgmm.em.step import Step
from fastgmm.em.stop import Stop
from fastgmm.estimators.gaussian_mixture import GaussianMixture
from fastgmm.fitting.progress import announced, steps
from fastgmm.model.params import Params

Float = NDArray[np.float64]

#: A replicate has converged if an iteration changes the log-likelihood of all samples by less than this, in `max_iter` iterations.
_TOL, _MAX_ITER = 1e-4, 2000
#: Bytes of the weights of replicates that share a read of the samples, and the most of these.
_SHARED, _MOST = 128 * 2**20, 128
#: Number of replicates from which on making the linear map is worth it.
_WORTH = 8


class Estimates(NamedTuple):  # numpydoc ignore=PR01
    """Hold one number for each parameter of a mixture, such as its standard error.

    Attributes
    ----------
    weights : ndarray of shape (k,), float64
        Numbers for the weights.
    means : ndarray of shape (k, d), float64
        Numbers for the means, in units of the features.
    covariances : ndarray, float64
        Numbers for the covariances, in the shape of the model's ``covariances_``.

    See Also
    --------
    Bootstrap : The replicates that they come from.

    Examples
    --------
    >>> from fastgmm.inference.resampling import Estimates
    >>> Estimates._fields
    ('weights', 'means', 'covariances')
    """

    weights: Float
    means: Float
    covariances: Float


class Bootstrap:  # numpydoc ignore=PR01
    """Hold the replicates of a fit that `fastgmm.bootstrap` makes.

    Attributes
    ----------
    weights : ndarray of shape (n_done, k), float64
        Weights of the replicates, with the components in the model's order.
    means : ndarray of shape (n_done, k, d), float64
        Means of the replicates.
    covariances : ndarray of shape (n_done, *covariances_.shape), float64
        Covariances of the replicates.
    n_done : int
        Number of replicates.
    n_failed : int
        Number of replicates that collapsed and were left out.
    method : {'weighted', 'nonparametric', 'parametric'}
        How the replicates were made.
    confidence_level : float
        Default level of `interval`.

    See Also
    --------
    bootstrap : Make it.

    Examples
    --------
    >>> import fastgmm
    >>> from fastgmm.datasets import load_faithful
    >>> X = load_faithful().data
    >>> found = fastgmm.bootstrap(fastgmm.GaussianMixture(2, random_state=0).fit(X), X, 20, random_state=0)
    >>> found.n_done, found.means.shape, found.confidence_level
    (20, (20, 2, 2), 0.95)
    """

    def __init__(
        self, model: GaussianMixture, replicates: list[Params], n_failed: int, method: str, confidence_level: float
    ) -> None:
        self.weights, self.means, self.covariances = (
            np.array([getattr(one, name) for one in replicates]) for name in Estimates._fields
        )
        self.n_done, self.n_failed = len(replicates), n_failed
        self.method, self.confidence_level = method, confidence_level
        self._estimate = Estimates(
            *(np.asarray(a, np.float64) for a in (model.weights_, model.means_, model.covariances_))
        )

    @property
    def standard_error(self) -> Estimates:
        """Return the standard deviation of each parameter over the replicates, as `Estimates`.

        See Also
        --------
        interval : Percentile intervals.

        Examples
        --------
        >>> import fastgmm
        >>> from fastgmm.datasets import load_faithful
        >>> X = load_faithful().data
        >>> found = fastgmm.bootstrap(fastgmm.GaussianMixture(2, random_state=0).fit(X), X, 20, random_state=0)
        >>> error = found.standard_error
        >>> error.weights.round(1).tolist(), error.means.shape
        ([0.0, 0.0], (2, 2))
        """
        return Estimates(*(values.std(axis=0, ddof=1) for values in self._values))

    @property
    def bias(self) -> Estimates:
        """Return the mean of each parameter over the replicates less the model's estimate, as `Estimates`.

        See Also
        --------
        standard_error : Standard deviations over the replicates.

        Examples
        --------
        >>> import fastgmm
        >>> from fastgmm.datasets import load_faithful
        >>> X = load_faithful().data
        >>> found = fastgmm.bootstrap(fastgmm.GaussianMixture(2, random_state=0).fit(X), X, 20, random_state=0)
        >>> bool(abs(found.bias.weights).max() < 0.05)
        True
        """
        return Estimates(*(values.mean(axis=0) - own for values, own in zip(self._values, self._estimate, strict=True)))

    def interval(self, confidence_level: float | None = None) -> tuple[Estimates, Estimates]:
        """Return the lower and the upper ends of percentile intervals of each parameter.

        Parameters
        ----------
        confidence_level : float, optional
            Probability of the intervals, above 0 and below 1; by default the `confidence_level` that `bootstrap` was called with.

        Returns
        -------
        low : Estimates
            Lower ends.
        high : Estimates
            Upper ends.

        Raises
        ------
        ValueError
            If the level is not above 0 and below 1.

        See Also
        --------
        standard_error : Standard deviations over the replicates.

        Examples
        --------
        >>> import fastgmm
        >>> from fastgmm.datasets import load_faithful
        >>> X = load_faithful().data
        >>> model = fastgmm.GaussianMixture(2, random_state=0).fit(X)
        >>> low, high = fastgmm.bootstrap(model, X, 20, random_state=0).interval(0.9)
        >>> bool((low.means < model.means_).all()), bool((model.means_ < high.means).all())
        (True, True)
        """
        level = self.confidence_level if confidence_level is None else confidence_level
        tail = 50.0 * (1.0 - _check_level(level))
        low, high = (
            Estimates(*(np.percentile(values, percent, axis=0) for values in self._values))
            for percent in (tail, 100.0 - tail)
        )
        return low, high

    def __repr__(self) -> str:
        low, high = self.interval()
        error = self.standard_error
        head = f"{self.n_done} replicates ({self.method}); estimate, standard error, {100 * self.confidence_level:g} % interval"
        rows = [head]
        for c in range(self.weights.shape[1]):
            rows.append(f"component {c}")
            parts = [("weight", self._estimate.weights[c], error.weights[c], low.weights[c], high.weights[c])]
            for j in range(self.means.shape[2]):
                own = tuple(values.means[c, j] for values in (self._estimate, error, low, high))
                parts.append((f"mean {j}", *own))
            rows += ["  {:<9}{:>12.5g}{:>12.4g}  [{:.5g}, {:.5g}]".format(*part) for part in parts]
        return "\n".join(rows)

    @property
    def _values(self) -> tuple[Float, Float, Float]:
        return self.weights, self.means, self.covariances


def bootstrap(
    model: GaussianMixture,
    X: Any,
    n_resamples: int = 999,
    *,
    method: str = "weighted",
    confidence_level: float = 0.95,
    random_state: Any = None,
    progress: bool = False,
) -> Bootstrap:
    """Return standard errors and intervals of the parameters of a fitted mixture, from replicates of its fit.

    Each replicate begins with the fitted parameters, which keeps the order of the components, and is run until its
    log-likelihood changes by less than 1e-4: closer than a fit with the default `tol`. Components are then matched to the
    model's by their means. The structure, `reg_covar`, prior and the box of noise are the model's.

    Parameters
    ----------
    model : GaussianMixture
        A model fitted to X; it should have converged to its maximum of the likelihood.
    X : array-like of shape (n, d)
        The data, in memory.
    n_resamples : int, default=999
        Number of replicates, at least 2. The standard error of a standard error is about 1 / sqrt(2 n_resamples) of it.
    method : {'weighted', 'nonparametric', 'parametric'}, default='weighted'
        How replicates are made.

        'weighted'
            Samples get weights from a flat Dirichlet distribution (weighted likelihood bootstrap [1]_, Rubin's Bayesian
            bootstrap [2]_). No sample drops out, so that no component is left with too few.
        'nonparametric'
            n draws from the samples, with replacement [3]_.
        'parametric'
            n draws from the model.
    confidence_level : float, default=0.95
        Probability of the intervals, above 0 and below 1.
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator, default=None
        Source of all draws. Replicate i has the same weights or draws whatever `n_resamples` is.
    progress : bool, default=False
        Show a progress bar, or lines, on standard error.

    Returns
    -------
    Bootstrap
        The replicates, their standard errors and their intervals.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If the model is not a `GaussianMixture`, or X is not in memory.
    ValueError
        If X cannot be used, or fewer than two replicates do not collapse.
    KeyboardInterrupt
        On Ctrl-C before the second replicate is done. Later the replicates so far are returned, with a warning.

    Warns
    -----
    UserWarning
        If replicates collapsed and were left out, or after Ctrl-C.

    See Also
    --------
    likelihood_ratio_test : Test of the number of components.
    BayesianGaussianMixture : A posterior of the parameters.

    Notes
    -----
    Up to 1024 samples replicates are fits by EM. With more, and up to 600 statistics (of full covariances there are
    k (1 + d + d (d + 1) / 2)), a replicate takes two or three passes, however slowly EM converges: Newton's method with the
    derivative of the iteration at the estimate. First steps are taken together, in one read of X for up to 128 replicates. A
    replicate that this does not lead to a maximum is fitted by EM.

    References
    ----------
    .. [1] M. A. Newton and A. E. Raftery, "Approximate Bayesian inference with the weighted likelihood bootstrap", Journal of
       the Royal Statistical Society B 56(1), 1994, 3-48.
    .. [2] D. B. Rubin, "The Bayesian bootstrap", Annals of Statistics 9(1), 1981, 130-134.
    .. [3] B. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7(1), 1979, 1-26.

    Examples
    --------
    >>> import fastgmm
    >>> from fastgmm.datasets import load_faithful
    >>> X = load_faithful().data
    >>> model = fastgmm.GaussianMixture(2, random_state=0).fit(X)
    >>> found = fastgmm.bootstrap(model, X, 50, random_state=0)
    >>> found.standard_error.weights.round(2).tolist()
    [0.03, 0.03]
    """
    source, step, params = _checked(model, X)
    n = _validation.check_integer("n_resamples", n_resamples, 2)
    _validation.check_choice("method", method, RESAMPLING)
    level = _check_level(confidence_level)
    rng = _validation.check_random_state(random_state)
    with_bar = _validation.check_bool("progress", progress)
    tell: Callable[[int, str], None] = steps(n) if with_bar else (lambda done, text: None)
    found: list[Params] = []
    failures: list[str] = []
    interrupted = False
    try:
        with announced(False, with_bar):
            for i, one in enumerate(_replicates(source, step, params, n, method, rng, model.n_threads)):
                if isinstance(one, ValueError):
                    failures.append(str(one))
                else:
                    found.append(_matched(one, params))
                tell(i + 1, f"replicate {i + 2} of {n}")
    except KeyboardInterrupt:
        if len(found) < 2:
            raise
        interrupted = True
    finally:
        tell(0, "")
    if len(found) < 2:
        raise ValueError(
            f"{len(failures)} of {n} replicates collapsed, which leaves fewer than two. The first one: {failures[0]} Pass "
            "method='weighted', or fit with prior='default'"
        )
    if interrupted:
        warn(f"interrupted after {len(found)} of {n} replicates, which are kept", UserWarning)
    if failures:
        warn(
            f"{len(failures)} of {n} replicates collapsed and are left out, so the others may vary too little: pass "
            "method='weighted', or fit with prior='default'",
            UserWarning,
        )
    return Bootstrap(model, found, len(failures), method, level)


def _check_level(value: Any) -> float:
    level = _validation.check_within("confidence_level", value, 0.0, 1.0)
    if level == 1.0:
        raise ValueError("confidence_level must be a number above 0 and below 1, got 1: pass 0.95, for example")
    return level


def _checked(model: Any, X: Any) -> tuple[ArraySource, Step, Params]:
    """Return the samples, the step that the model was fitted with, and its parameters."""
    if not isinstance(model, GaussianMixture):
        raise TypeError(
            f"model must be a fitted GaussianMixture, got a {type(model).__name__}: the posterior of a "
            "BayesianGaussianMixture describes its uncertainty itself"
        )
    model._check_is_fitted()
    source: Any = model._source(X)
    if not isinstance(source, ArraySource):
        raise TypeError(
            "the bootstrap reads samples many times, and needs them in memory: pass an array, such as some 100 000 of the samples, "
            "whose standard errors are sqrt(100 000 / n) times those of n"
        )
    step, _ = model._check_arguments()
    step, _ = model._adapted(step, source, resumes=True)
    return source, step, model._earlier(step)


def _replicates(
    source: ArraySource,
    step: Step,
    params: Params,
    n: int,
    method: str,
    rng: np.random.RandomState,
    n_threads: int | None,
) -> Iterator[Params | ValueError]:
    """Yield the parameters of replicates in turn, or why there are none."""
    if method == "parametric":
        for _ in range(n):
            yield _fitted(
                ArraySource(_drawn(params, source.n_samples, rng).astype(source.dtype)), step, params, n_threads
            )
        return
    # seeded by the RandomState, and four times as fast
    generator = np.random.Generator(np.random.PCG64(rng.randint(0, 2**32, size=4, dtype=np.uint64)))
    linear = _linear(source, step, params, n, n_threads)
    together = 1 if linear is None else max(1, min(_MOST, _SHARED // (8 * source.n_samples)))
    for start in range(0, n, together):
        columns = np.empty((min(together, n - start), source.n_samples))
        for row in columns:
            _draw_weights(row, method, generator)
        if linear is None:
            yield _fitted(weighted_source(source.X, columns[0]), step, params, n_threads)
            continue
        sums, likelihoods = linear.first(columns)
        for own, first, likelihood in zip(columns, sums, likelihoods, strict=True):
            weighted = weighted_source(source.X, own)
            floor = float(likelihood) / float(own.sum())
            yield linear.fit(weighted, first, floor, n_threads) or _fitted(weighted, step, linear.params, n_threads)


def _draw_weights(out: Float, method: str, generator: np.random.Generator) -> None:
    """Write random weights (n,) that add up to n."""
    n = len(out)
    if method == "nonparametric":
        out[:] = np.bincount(generator.integers(0, n, size=n), minlength=n)
    else:
        generator.standard_exponential(out=out)
        out *= n / out.sum()


def _drawn(params: Params, n: int, rng: np.random.RandomState) -> Float:
    """Return n draws from a mixture, (n, d)."""
    weights = params.weights
    if params.noise is not None:
        weights = np.append(weights, params.noise.weight)
    counts = rng.multinomial(n, weights / weights.sum())
    k = len(params.weights)
    parts = [params.layout.draw(rng, params.means[c], params.covariances, c, int(counts[c])) for c in range(k)]
    if params.noise is not None:
        parts.append(params.noise.draw(rng, int(counts[k])))
    return np.vstack(parts)


def _linear(source: ArraySource, step: Step, params: Params, n: int, n_threads: int | None) -> Linearised | None:
    """Return the iteration near the maximum of the likelihood as a linear map, if that is worth it."""
    if n < _WORTH or source.n_samples <= SINGLE_LANE or not Linearised.suits(params, source.n_features):
        return None
    best = run(source, params, step, Stop(1e-3 * _TOL / source.n_samples, _MAX_ITER), n_threads=n_threads).params
    try:
        return Linearised.at(source, step, best)
    except (ValueError, np.linalg.LinAlgError):
        return None


def _fitted(source: ArraySource, step: Step, params: Params, n_threads: int | None) -> Params | ValueError:
    """Return the parameters of a replicate, or why there are none."""
    total = source.total_weight * source.weight_unit
    try:
        return run(source, params, step, Stop(_TOL / total, _MAX_ITER), n_threads=n_threads).params
    except ValueError as error:
        return error


def _matched(found: Params, params: Params) -> Params:
    """Return a replicate with its components in the order of the model's whose means are nearest, in all together."""
    k, layout = len(params.weights), params.layout
    if k == 1:
        return found
    unit = params.weights @ params.variances
    away = ((found.means[None] - params.means[:, None]) ** 2 / unit).sum(axis=2)
    if (away.argmin(axis=1) == np.arange(k)).all():
        return found
    from scipy.optimize import linear_sum_assignment  # half a second, and seldom needed

    order = linear_sum_assignment(away)[1]
    covariances, factors = (
        values if layout.pools else values[order] for values in (found.covariances, found.prec_chol)
    )
    return replace(
        found,
        weights=found.weights[order],
        means=found.means[order],
        covariances=covariances,
        prec_chol=factors,
    )

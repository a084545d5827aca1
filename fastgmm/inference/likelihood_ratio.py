"""Test of k components against k + 1, by the distribution of the likelihood ratio under k of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import _validation
from fastgmm._errors import ConvergenceWarning, DegenerateWarning, LocalOptimumWarning, warn
from fastgmm.em.step import REG_COVAR
from fastgmm.estimators.gaussian_mixture import GaussianMixture
from fastgmm.fitting.progress import announced, steps
from fastgmm.model.structures import STRUCTURES

Float = NDArray[np.float64]


@dataclass
class LikelihoodRatioTest:  # numpydoc ignore=PR01
    """Hold the results of `likelihood_ratio_test`, one for each number of components that was tested against one more.

    Attributes
    ----------
    level : float
        Significance level: a p-value above it ended the sequence.
    covariance_type : str
        Covariance structure of all models.
    n_components : list of int
        The numbers of components k that were tested against k + 1.
    statistics : list of float
        ``2 (log L(k + 1) - log L(k))`` for each of them.
    p_values : list of float
        (1 + number of replicates with as large a statistic) / (replicates + 1), for each of them.
    replicates : list of ndarray
        Statistics of the samples that were drawn from the model of k components, for each of them.

    See Also
    --------
    likelihood_ratio_test : Run the tests.

    Examples
    --------
    >>> import fastgmm
    >>> from fastgmm.datasets import load_faithful
    >>> found = fastgmm.likelihood_ratio_test(load_faithful().data, 1, "EEE", 9, random_state=0)
    >>> found.n_components, [round(p, 3) for p in found.p_values], len(found.replicates[0])
    ([1], [0.1], 9)
    """

    level: float
    covariance_type: str
    n_components: list[int] = field(default_factory=list)
    statistics: list[float] = field(default_factory=list)
    p_values: list[float] = field(default_factory=list)
    replicates: list[Float] = field(default_factory=list)

    @property
    def chosen(self) -> int:
        """Return the first number of components that is not rejected at `level`; one more than the last if all are.

        See Also
        --------
        likelihood_ratio_test : Run the tests.

        Examples
        --------
        >>> from fastgmm.inference import LikelihoodRatioTest
        >>> LikelihoodRatioTest(0.05, "full", [1, 2], [90.0, 5.0], [0.01, 0.4]).chosen
        2
        """
        kept = (k for k, p in zip(self.n_components, self.p_values, strict=True) if p > self.level)
        return next(kept, self.n_components[-1] + 1)

    def __repr__(self) -> str:
        rows = [f"likelihood ratio, {self.covariance_type}", f"{'test':>12}  {'statistic':>10}  {'p':>8}"]
        for k, statistic, p in zip(self.n_components, self.statistics, self.p_values, strict=True):
            rows.append(f"{f'{k} against {k + 1}':>12}  {statistic:>10.5g}  {p:>8.4g}")
        return "\n".join([*rows, f"{self.chosen} components at the level {self.level:g}"])


def likelihood_ratio_test(
    X: ArrayLike,
    n_components: int | Iterable[int] = 9,
    covariance_type: str = "full",
    n_resamples: int = 999,
    *,
    level: float = 0.05,
    reg_covar: float = REG_COVAR,
    init_params: str = "kmeans",
    n_init: int = 3,
    tol: float = 1e-5,
    max_iter: int = 1000,
    random_state: Any = None,
    progress: bool = False,
    n_threads: int | None = None,
) -> LikelihoodRatioTest:
    """Test k components against k + 1, from k = 1 on until one is not rejected, by the parametric bootstrap.

    The likelihood ratio has no known distribution here. So samples of the size of X are drawn from the fitted model of k
    components, and both models are fitted to each, as they are to X [1]_.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Samples, in memory.
    n_components : int or iterable of int, default=9
        The greatest k that is tested against k + 1, from 1 on; or the numbers that are tested, in ascending order.
    covariance_type : str, default='full'
        Covariance structure, as in `GaussianMixture`.
    n_resamples : int, default=999
        Samples that are drawn for each k. The least p-value that there can be is 1 / (n_resamples + 1).
    level : float, default=0.05
        Significance level, from 0 to 1. A p-value above it ends the sequence.
    reg_covar : float, default=1e-6
        Added to the variances in all fits, in squared units of X.
    init_params : str, default='kmeans'
        Initialisation of all fits, as in `GaussianMixture`. Better ones, such as 'auto', find better maxima, in ten times the
        time.
    n_init : int, default=3
        Starts of each fit.
    tol : float, default=1e-5
        Each fit stops when the mean log-likelihood of a sample gains less than this.
    max_iter : int, default=1000
        Maximum number of iterations of each fit.
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator, default=None
        Source of all draws.
    progress : bool, default=False
        Show a progress bar, or lines, on standard error.
    n_threads : int, optional
        Number of threads; by default all that numba would use. The result does not depend on it, to the bit.

    Returns
    -------
    LikelihoodRatioTest
        Statistics and p-values of the tests that were made, and the number of components that they choose.

    Raises
    ------
    ValueError, TypeError
        As `GaussianMixture.fit`.
    KeyboardInterrupt
        On Ctrl-C before the first test is done; later those that are done are returned, with a warning.

    Warns
    -----
    UserWarning
        After Ctrl-C; or if samples could not be fitted and were left out.

    See Also
    --------
    select : Choose the number of components by BIC, ICL, AIC or stability, much faster.
    bootstrap : Standard errors and intervals of the parameters of one model.

    References
    ----------
    .. [1] G. J. McLachlan, "On bootstrapping the likelihood ratio test statistic for the number of components in a normal
       mixture", Applied Statistics 36(3), 1987, 318-324.

    Examples
    --------
    >>> import fastgmm
    >>> from fastgmm.datasets import load_faithful
    >>> found = fastgmm.likelihood_ratio_test(load_faithful().data, 2, "EEE", 19, random_state=0)
    >>> found.p_values[0]
    0.05
    """
    data = _validation.check_data(X, min_samples=2)
    numbers = _numbers(n_components)
    STRUCTURES[_validation.check_choice("covariance_type", covariance_type, STRUCTURES)].check_features(data.shape[1])
    n = _validation.check_integer("n_resamples", n_resamples, 1)
    threshold = _validation.check_within("level", level, 0.0, 1.0)
    rng = _validation.check_random_state(random_state)
    with_bar = _validation.check_bool("progress", progress)
    tell: Callable[[int, str], None] = steps(n * len(numbers)) if with_bar else (lambda done, text: None)
    options = {
        "covariance_type": covariance_type,
        "reg_covar": reg_covar,
        "init_params": init_params,
        "n_init": n_init,
        "tol": tol,
        "max_iter": max_iter,
        "random_state": rng,
        "n_threads": n_threads,
    }
    result = LikelihoodRatioTest(threshold, covariance_type)
    try:
        with announced(False, with_bar), warnings.catch_warnings():
            for told in (ConvergenceWarning, LocalOptimumWarning, DegenerateWarning):
                warnings.simplefilter("ignore", told)
            for i, k in enumerate(numbers):
                _test(data, k, n, options, result, partial(_told, tell, i * n))
                if result.p_values[-1] > threshold:
                    break
    except KeyboardInterrupt:
        if not result.n_components:
            raise
        done = ", ".join(map(str, result.n_components))
        warn(f"interrupted: only the tests of {done} components are done, and are returned", UserWarning)
    finally:
        tell(0, "")
    return result


def _told(tell: Callable[[int, str], None], before: int, done: int, text: str) -> None:
    tell(before + done, text)


def _numbers(n_components: Any) -> list[int]:
    if not isinstance(n_components, Iterable) or isinstance(n_components, str):
        return list(range(1, _validation.check_integer("n_components", n_components, 1) + 1))
    numbers = [_validation.check_integer("n_components", k, 1) for k in n_components]
    if not numbers or sorted(set(numbers)) != numbers:
        raise ValueError(f"n_components must be a number, or several ascending ones, got {n_components!r}")
    return numbers


def _test(
    data: NDArray,
    k: int,
    n_resamples: int,
    options: dict[str, Any],
    result: LikelihoodRatioTest,
    tell: Callable[[int, str], None],
) -> None:
    """Add the test of k components against k + 1 to the results."""
    own, models = _ratio(data, k, options)
    null = models[0]
    found: list[float] = []
    failed = 0
    for i in range(n_resamples):
        tell(i, f"{k} against {k + 1}, sample {i + 1} of {n_resamples}")
        drawn = null.sample(len(data))[0].astype(data.dtype)
        try:
            found.append(_ratio(drawn, k, options)[0])
        except ValueError:
            failed += 1
    if not found:
        raise ValueError(
            f"none of {n_resamples} samples from {k} components could be fitted: raise reg_covar, or choose a covariance_type of "
            "fewer parameters"
        )
    if failed:
        warn(f"{failed} of {n_resamples} samples from {k} components collapsed and are left out", UserWarning)
    replicates = np.array(found)
    result.replicates.append(replicates)
    result.statistics.append(own)
    result.p_values.append(float(1 + (replicates >= own).sum()) / (len(found) + 1))
    result.n_components.append(k)


def _ratio(data: NDArray, k: int, options: dict[str, Any]) -> tuple[float, tuple[GaussianMixture, GaussianMixture]]:
    """Return twice the difference of the log-likelihoods of k + 1 and of k components, and both models."""
    models = tuple(GaussianMixture(size, **options).fit(data) for size in (k, k + 1))
    less, more = (len(data) * model.score(data) for model in models)
    return max(2.0 * (more - less), 0.0), (models[0], models[1])

"""The distribution function of a mixture of one feature, and its inverse."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from fastgmm import _validation
from fastgmm._limits import LIMITS
from fastgmm.estimators.mixture import FittedMixture
from fastgmm.model.params import Params

Float = NDArray[np.float64]

#: Maximum number of steps: brackets halved so often are as narrow as float64 can be.
_MOST = 1100


def cdf(model: FittedMixture, x: ArrayLike) -> Any:
    """Return P(X <= x) of a fitted mixture of one feature.

    Parameters
    ----------
    model : GaussianMixture or BayesianGaussianMixture
        A model fitted to one feature. Of a model of several features pass ``model.marginal(feature)``.
    x : array-like of any shape
        Values of the feature; infinity is allowed.

    Returns
    -------
    float or ndarray of the shape of x, float64
        Probabilities from 0 to 1; a float if x is a number.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    ValueError
        If the model has several features, or x contains NaN.
    TypeError
        If `model` is not a mixture, or x does not hold numbers.

    See Also
    --------
    quantile : The inverse.
    GaussianMixture.marginal : The mixture of some of the features.

    Notes
    -----
    The result is a sum over components of w_k Phi((x - mu_k) / sigma_k). It is exact to rounding also where it is close to 0.
    Noise is uniform in its box.

    Examples
    --------
    >>> import fastgmm
    >>> from fastgmm.datasets import load_faithful
    >>> model = fastgmm.GaussianMixture(2, random_state=0).fit(load_faithful().data)
    >>> waiting = model.marginal(1)
    >>> round(float(fastgmm.cdf(waiting, 70.0)), 2)
    0.39
    """
    params = _of_one_feature(model, "cdf")
    return _by_blocks(partial(_reached, params, 1.0), _numbers("x", x), params)


def quantile(model: FittedMixture, q: ArrayLike) -> Any:
    """Return the x with P(X <= x) = q of a fitted mixture of one feature.

    Parameters
    ----------
    model : GaussianMixture or BayesianGaussianMixture
        A model fitted to one feature. Of a model of several features pass ``model.marginal(feature)``.
    q : array-like of any shape
        Probabilities from 0 to 1, where 0 and 1 give the ends of the real line.

    Returns
    -------
    float or ndarray of the shape of q, float64
        Quantiles in units of the feature; a float if q is a number.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    ValueError
        If the model has several features, or q is not within 0 and 1.
    TypeError
        If `model` is not a mixture, or q does not hold numbers.

    See Also
    --------
    cdf : The inverse.
    GaussianMixture.marginal : The mixture of some of the features.

    Notes
    -----
    All quantiles are found at once, by Newton's method within brackets: between the least and the greatest quantile of a
    component. Above 1/2 the equation is that of 1 - q, so that both tails are as precise.

    Examples
    --------
    >>> import fastgmm
    >>> from fastgmm.datasets import load_faithful
    >>> model = fastgmm.GaussianMixture(2, random_state=0).fit(load_faithful().data)
    >>> fastgmm.quantile(model.marginal(1), [0.25, 0.5]).round().tolist()
    [58.0, 75.0]
    """
    params = _of_one_feature(model, "quantile")
    shares = _numbers("q", q)
    if shares.size and not (shares.min() >= 0.0 and shares.max() <= 1.0):
        odd = shares.ravel()[int(np.argmax((shares < 0) | (shares > 1)))]
        raise ValueError(f"q must be within 0 and 1, got {odd}: it is a probability, not a percentage")
    return _by_blocks(partial(_quantiles, params), shares, params)


def _of_one_feature(model: Any, function: str) -> Params:
    if not isinstance(model, FittedMixture):
        raise TypeError(f"model must be a fitted mixture, got a {type(model).__name__}")
    model._check_is_fitted()
    params = model._params(drawn=True)
    if params.means.shape[1] != 1:
        raise ValueError(
            f"{function} is for one feature, and the model has {params.means.shape[1]}: pass model.marginal(feature)"
        )
    return params.normalised()


def _numbers(name: str, value: Any) -> Float:
    array = np.asarray(_validation.as_numbers(value, name), dtype=np.float64)
    if np.isnan(array).any():
        raise ValueError(
            f"{name} contains NaN at the position {np.argwhere(np.isnan(array))[0].tolist()}: leave it out"
        )
    return array


def _by_blocks(function: Callable[[Float], Float], values: Float, params: Params) -> Any:
    """Return the values of a function of (m,), in blocks of bounded size."""
    flat, found = values.ravel(), np.empty(values.size)
    rows = max(1, LIMITS.numbers_predicted // len(params.weights))
    for start in range(0, len(flat), rows):
        found[start : start + rows] = function(flat[start : start + rows])
    return found.reshape(values.shape)[()]


@np.errstate(over="ignore", under="ignore")
def _sums(params: Params, x: Float, sign: Float) -> tuple[Float, Float]:
    """Return P(s X <= x) and the density at x of s X, each (m,), for signs s (m,)."""
    deviations = np.sqrt(params.variances[:, 0])
    z = (x[:, None] - sign[:, None] * params.means[:, 0]) / deviations
    total = ndtr(z) @ params.weights
    density = np.exp(-0.5 * z**2) @ (params.weights / deviations) / np.sqrt(2.0 * np.pi)
    if params.noise is not None:
        low, high = _box(params, sign)
        total += params.noise.weight * np.clip((x - low) / (high - low), 0.0, 1.0)
        density += params.noise.weight / (high - low) * ((x > low) & (x < high))
    return total, density


def _reached(params: Params, side: float, x: Float) -> Float:
    return _sums(params, x, np.full(len(x), side))[0]


def _box(params: Params, sign: Float) -> tuple[Float, Float]:
    """Return the ends of the box of noise in s X, each (m,)."""
    assert params.noise is not None
    ends = params.noise.axes[0, 0] * np.array([params.noise.low[0], params.noise.high[0]])
    both = sign[:, None] * ends
    return both.min(axis=1), both.max(axis=1)


def _quantiles(params: Params, q: Float) -> Float:
    """Return the quantiles (m,) of q (m,)."""
    sign = np.where(q > 0.5, -1.0, 1.0)
    p = np.where(q > 0.5, 1.0 - q, q)
    low, high = _bracket(params, p, sign)
    x, step = 0.5 * (low + high), high - low
    active = np.flatnonzero((p > 0.0) & (low < high))
    x[p == 0.0] = -np.inf
    for _ in range(_MOST):
        if not len(active):
            break
        at, target = x[active], p[active]
        total, density = _sums(params, at, sign[active])
        below = total < target
        low[active[below]], high[active[~below]] = at[below], at[~below]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            # in logarithms, in which a tail is nearly a parabola
            after = at - (np.log(total) - np.log(target)) * total / density
            known = np.spacing(np.abs(at)) + 2.0 * np.finfo(np.float64).eps * total / density
        inside = (after > low[active]) & (after < high[active])
        done = (total == target) | (np.abs(after - at) <= known)
        # a step that is not half the one before does not converge yet
        halves = ~done & ~(inside & (np.abs(after - at) <= 0.5 * np.abs(step[active])))
        after[halves] = 0.5 * (low[active] + high[active])[halves]
        done |= (after == at) | (high[active] - low[active] <= 2.0 * np.spacing(np.abs(at)))
        step[active] = after - at
        x[active] = np.where(total == target, at, after)
        active = active[~done]
    return sign * x


def _bracket(params: Params, p: Float, sign: Float) -> tuple[Float, Float]:
    """Return where the quantile of the mixture lies, each (m,): between neighbours in a table, and quantiles of components."""
    used = params.weights > 0
    means, deviations = params.means[used, 0], np.sqrt(params.variances[used, 0])
    low, high = np.empty(len(p)), np.empty(len(p))
    for side in (-1.0, 1.0):
        mine = sign == side
        with np.errstate(invalid="ignore"):
            own = side * means + deviations * ndtri(p[mine])[:, None]
        # dense about every component, so that near any component a step of the table is a fraction of its standard deviation
        table = (side * means + deviations * np.linspace(-8.0, 8.0, 65)[:, None]).ravel()
        if params.noise is not None and params.noise.weight > 0:
            (start,), (end,) = _box(params, np.array([side]))
            own = np.column_stack([own, start + p[mine] * (end - start)])
            table = np.append(table, np.linspace(start, end, 65))
        table.sort()
        reached = _by_blocks(partial(_reached, params, side), table, params)
        reached = np.maximum.accumulate(reached)
        ends = np.concatenate([[-np.inf], table, [np.inf]])
        # a little wider, since all that is compared is rounded
        low[mine] = np.maximum(
            ends[np.searchsorted(reached, p[mine] * (1 - 1e-14), "left")], _wider(own.min(axis=1), -1)
        )
        high[mine] = np.minimum(
            ends[np.searchsorted(reached, p[mine] * (1 + 1e-14), "right") + 1], _wider(own.max(axis=1), 1)
        )
    return low, high


def _wider(ends: Float, side: int) -> Float:
    with np.errstate(invalid="ignore"):
        return ends + side * 4.0 * np.spacing(np.abs(ends))

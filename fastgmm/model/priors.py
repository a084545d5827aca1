"""Conjugate priors of means and covariances: the M-step that finds the posterior mode, and the log-density of the prior.

C. Fraley and A. E. Raftery, Bayesian regularization for normal mixture estimation and model-based clustering, J. Classification
24(2), 2007. Given its covariance, the mean of a component is normal about m with covariance Sigma_k / kappa. The covariance is
inverse-Wishart; if it is diagonal or spherical, its variances are inverse-gamma:

    full, tied   |Sigma|^-(nu + d + 1)/2 exp(-tr(Sigma^-1 Lambda) / 2)
    diag         prod_j (sigma_j^2)^-(nu + 2)/2 exp(-Lambda_jj / (2 sigma_j^2))
    spherical    (sigma^2)^-(nu + 2)/2 exp(-(tr Lambda / d) / (2 sigma^2))

With delta = mu_k - m, the logarithm of any of them and of the density of the mean is, up to a constant,

    -a/2 log|Sigma_k| - 1/2 tr(Sigma_k^-1 (B + kappa delta delta^T)),

which is what further samples of count a and scatter B would add to the likelihood. So the mode is the M-step of any structure,
on statistics with those of the prior added. Each component has a prior of its own, restricted to the covariances of the
structure. A covariance that all components share (EII, EEI, EEE) has a single one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import _validation
from fastgmm.model.checks import check_covariances
from fastgmm.model.collinear import collinear
from fastgmm.model.layouts import TIED, Layout
from fastgmm.model.params import Params
from fastgmm.model.stats import Stats
from fastgmm.model.structures import COUNT_FLOOR, Structure, shared_by_all, symmetric

Float = NDArray[np.float64]

#: Defaults of Fraley & Raftery (2007), section 3: kappa, and nu less the number of features.
SHRINKAGE, MORE_THAN_D = 0.01, 2.0
#: A standard deviation below this many roundings of the mean is that of a constant feature.
_ROUNDINGS = 64.0


class NormalInverseWishart:
    """Describe a conjugate prior of the mean and the covariance of each component.

    The mean of a component is normal about `mean`, with the component's covariance divided by `shrinkage`; the covariance is
    inverse-Wishart with `dof` degrees of freedom and the matrix `scale` [1]_. In a diagonal structure each variance is
    inverse-gamma with its diagonal element of `scale`, and in a spherical one with the mean of the diagonal.

    Defaults are adapted to the data: ``NormalInverseWishart()`` is the same as ``prior="default"``.

    Parameters
    ----------
    mean : array-like of shape (d,), optional
        m, in units of the data; by default the mean of the data.
    shrinkage : float, default=0.01
        kappa, not negative: how many samples at `mean` the prior is worth. With 0 means are not drawn to `mean`.
    dof : float, optional
        nu, above d - 1; by default d + 2.
    scale : float or array-like of shape (d,) or (d, d), optional
        Lambda, in squared units of the data: a symmetric, positive definite matrix, its diagonal, or one variance for all
        features. By default the covariance of the data divided by k^(2/d), and in diagonal and spherical structures the mean of
        its diagonal, likewise. If that covariance is singular, its diagonal, in which a constant feature has the smallest of
        the other variances.

    See Also
    --------
    GaussianMixture : Takes it as `prior`.
    select : Takes it as `prior`.

    Notes
    -----
    Each component has a prior of its own, restricted to the covariances of the structure. A covariance that all components
    share (EII, EEI, EEE) has a single one. Up to a constant, the log-density of a covariance Sigma is

    - full, tied: ``-(nu + d + 1)/2 log |Sigma| - 1/2 tr(Sigma^-1 Lambda)``;
    - diag: ``sum_j -(nu + 2)/2 log sigma_j^2 - Lambda_jj / (2 sigma_j^2)``;
    - spherical: ``-(nu + 2)/2 log sigma^2 - (tr Lambda / d) / (2 sigma^2)``.

    References
    ----------
    .. [1] C. Fraley and A. E. Raftery, "Bayesian regularization for normal mixture estimation and model-based clustering",
       Journal of Classification 24(2), 2007, 155-181.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm import GaussianMixture, NormalInverseWishart
    >>> X = [[0.0], [0.0], [0.0], [5.0], [6.0]]  # maximum likelihood would put a component on the three equal samples
    >>> model = GaussianMixture(2, prior=NormalInverseWishart(scale=1.0), random_state=0).fit(X)
    >>> bool((model.covariances_ > 0.1).all())
    True
    """

    def __init__(
        self,
        mean: ArrayLike | None = None,
        shrinkage: float = SHRINKAGE,
        dof: float | None = None,
        scale: ArrayLike | float | None = None,
    ) -> None:
        self.mean, self.shrinkage, self.dof, self.scale = mean, shrinkage, dof, scale

    def __repr__(self) -> str:
        given = (f"{name}={value!r}" for name, value in vars(self).items() if value is not None)
        return f"NormalInverseWishart({', '.join(given)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NormalInverseWishart):
            return NotImplemented
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return all((a is None) == (b is None) and np.array_equal(a, b) for a, b in pairs)

    __hash__ = None  # type: ignore[assignment]

    def checked(self, d: int) -> NormalInverseWishart:
        """Return the prior with its parameters as checked float64 arrays.

        Parameters
        ----------
        d : int
            Number of features.

        Returns
        -------
        NormalInverseWishart
            A prior with `scale` as a matrix; what was left out is still None.

        Raises
        ------
        ValueError
            If shapes do not fit, `dof` or `shrinkage` is too small, or `scale` is not positive definite.

        See Also
        --------
        completed : The prior with defaults in place of what was left out.

        Examples
        --------
        >>> from fastgmm import NormalInverseWishart
        >>> NormalInverseWishart(scale=2.0).checked(2).scale.tolist()
        [[2.0, 0.0], [0.0, 2.0]]
        """
        mean, scale, dof = self.mean, self.scale, self.dof
        shrinkage = _validation.check_non_negative("prior.shrinkage", self.shrinkage)
        if mean is not None:
            mean = _validation.check_array("prior.mean", mean, (d,), "(n_features,)")
        if dof is not None:
            dof = _validation.check_non_negative("prior.dof", dof)
            if dof <= d - 1:
                raise ValueError(
                    f"prior.dof must be above n_features - 1 = {d - 1}, got {dof:g}: with less it has no density. Leave it "
                    f"out for {d + MORE_THAN_D:g}"
                )
        return NormalInverseWishart(mean, shrinkage, dof, None if scale is None else _check_scale(scale, d))

    @classmethod
    def of_arrays(cls, values: Iterable[Any]) -> NormalInverseWishart:
        """Return the prior of arrays, as model files hold them.

        Parameters
        ----------
        values : iterable of array-like
            `mean`, `shrinkage`, `dof` and `scale` in that order; numbers are arrays without dimensions.

        Returns
        -------
        NormalInverseWishart
            The prior.

        See Also
        --------
        checked : The prior with its parameters checked.

        Examples
        --------
        >>> import numpy as np
        >>> from fastgmm import NormalInverseWishart
        >>> NormalInverseWishart.of_arrays([np.zeros(1), np.array(0.5), np.array(3.0), np.eye(1)]).shrinkage
        0.5
        """
        return cls(*(value.item() if np.ndim(value) == 0 else value for value in values))

    def of_features(self, kept: NDArray[np.int64], d: int) -> NormalInverseWishart:
        """Return the marginal prior of some of the features; its `dof` is that of fewer features.

        Parameters
        ----------
        kept : ndarray of int64
            Indices of the features.
        d : int
            Number of all features.

        Returns
        -------
        NormalInverseWishart
            The prior of ``len(kept)`` features.

        Raises
        ------
        ValueError
            As `checked`.

        See Also
        --------
        checked : The prior of all features.

        Examples
        --------
        >>> import numpy as np
        >>> from fastgmm import NormalInverseWishart
        >>> part = NormalInverseWishart(mean=[1.0, 2.0], dof=4.0, scale=1.0).of_features(np.array([1]), 2)
        >>> part.mean.tolist(), part.dof, part.scale.tolist()
        ([2.0], 3.0, [[1.0]])
        """
        whole = self.checked(d)
        return NormalInverseWishart(
            None if whole.mean is None else np.asarray(whole.mean)[kept],
            whole.shrinkage,
            None if whole.dof is None else whole.dof - (d - len(kept)),
            None if whole.scale is None else np.asarray(whole.scale)[np.ix_(kept, kept)],
        )

    @property
    def needs_data(self) -> bool:
        """Return whether data are needed for parameters that were left out.

        See Also
        --------
        completed : The prior with defaults in place of what was left out.

        Examples
        --------
        >>> from fastgmm import NormalInverseWishart
        >>> NormalInverseWishart().needs_data, NormalInverseWishart(mean=[0.0], scale=1.0).needs_data
        (True, False)
        """
        return self.mean is None or self.scale is None

    def completed(self, mean: Float, covariance: Float, structure: Structure, k: int) -> NormalInverseWishart:
        """Return a checked prior with the defaults in place of what was left out.

        Parameters
        ----------
        mean : ndarray of shape (d,), float64
            Mean of the data.
        covariance : ndarray of shape (d, d), float64
            Covariance of the data.
        structure : Structure
            Covariance structure of the model.
        k : int
            Number of components.

        Returns
        -------
        NormalInverseWishart
            A prior without None.

        Raises
        ------
        ValueError
            If the default scale is needed, and all variances of the data are zero.

        See Also
        --------
        checked : The prior with what was left out still None.

        Examples
        --------
        >>> import numpy as np
        >>> from fastgmm import NormalInverseWishart
        >>> from fastgmm.model.structures import STRUCTURES
        >>> prior = NormalInverseWishart().checked(2).completed(np.zeros(2), 4 * np.eye(2), STRUCTURES["full"], k=2)
        >>> prior.dof, prior.scale.tolist()
        (4.0, [[2.0, 0.0], [0.0, 2.0]])
        """
        d = len(mean)
        scale = self.scale
        if scale is None:
            scale = _regular(covariance, mean, structure.layout) / k ** (2.0 / d)
        return NormalInverseWishart(
            mean if self.mean is None else self.mean,
            self.shrinkage,
            d + MORE_THAN_D if self.dof is None else self.dof,
            scale,
        )

    def of(self, structure: Structure, k: int) -> Prior:
        """Return the count and the scatter that a complete prior adds to the components of a structure.

        Parameters
        ----------
        structure : Structure
            Covariance structure of the model.
        k : int
            Number of components.

        Returns
        -------
        Prior
            Statistics of the prior, in the layout of the structure.

        See Also
        --------
        completed : Complete a prior.

        Examples
        --------
        >>> from fastgmm import NormalInverseWishart
        >>> from fastgmm.model.structures import STRUCTURES
        >>> prior = NormalInverseWishart(mean=[0.0, 0.0], dof=4.0, scale=1.0).checked(2).of(STRUCTURES["full"], k=3)
        >>> prior.counts.tolist(), prior.scatter.shape
        ([8.0, 8.0, 8.0], (3, 2, 2))
        """
        scale, layout = np.asarray(self.scale), structure.layout
        assert self.dof is not None
        d = len(scale)
        # so many features have one variance, whose density counts once
        alike = layout.n_alike(d)
        count = self.dof + d + 1 if layout.correlates else (self.dof + 2) / alike
        share = k if shared_by_all(structure, d) else 1
        scatter = layout.of_full_scatter(np.tile(scale / share, (k, 1, 1))) / alike
        # the normal density of a mean has the determinant of its covariance, unless it is flat
        counts = np.full(k, count / share + (self.shrinkage > 0))
        return Prior(layout, np.asarray(self.mean, np.float64), float(self.shrinkage), counts, scatter)


def _check_scale(scale: Any, d: int) -> Float:
    """Return the matrix (d, d) that a number, a diagonal or a matrix stands for."""
    array = _validation.as_numbers(scale, "prior.scale")
    if array.ndim == 2:
        matrix = _validation.check_array("prior.scale", scale, (d, d), "(n_features, n_features)")
        return check_covariances("prior.scale", matrix, TIED, 1, d)
    if array.ndim == 0:
        array = np.full(d, array)
    diagonal = _validation.check_array("prior.scale", array, (d,), "(n_features,), or a number, or a matrix of (d, d)")
    if (diagonal <= 0).any():
        raise ValueError(
            f"prior.scale must be positive, got {float(diagonal.min()):g}: pass variances in squared units of the data"
        )
    return np.diag(diagonal)


def _regular(covariance: Float, mean: Float, layout: Layout) -> Float:
    """Return the covariance of the data, made regular; for layouts of variances, the mean of its diagonal for each feature."""
    variances = np.diagonal(covariance)
    constant = variances <= (_ROUNDINGS * np.finfo(np.float64).eps * mean) ** 2
    if constant.all():
        raise ValueError(
            "the default scale of the prior is made of the variances of the data, which are all zero: pass "
            "NormalInverseWishart(scale=...)"
        )
    if not layout.correlates:
        return np.eye(len(mean)) * variances.mean()
    if not constant.any() and not collinear(covariance):
        return covariance
    return np.diag(np.where(constant, variances[~constant].min(), variances))


@dataclass(frozen=True)
class Prior:
    """What a prior adds to the statistics of components.

    layout : of the statistics; mean : (d,), m; shrinkage : kappa
    counts : (k,), the exponents of 1 / |Sigma_k|^(1/2), that of the density of the mean included
    scatter : B, in the shape of the layout's scatter
    """

    layout: Layout
    mean: Float
    shrinkage: float
    counts: Float
    scatter: Float

    def in_units(self, unit: float) -> Prior:
        """Return the prior for statistics whose weights are in such units."""
        if unit == 1.0:
            return self
        shrinkage, counts, scatter = self.shrinkage / unit, self.counts / unit, self.scatter / unit
        return replace(self, shrinkage=shrinkage, counts=counts, scatter=scatter)

    def log_density(self, params: Params) -> float:
        """Return sum_k -a_k/2 log|Sigma_k| - 1/2 tr(Sigma_k^-1 (B + kappa delta delta^T)), up to a constant."""
        layout, delta = self.layout, params.means - self.mean
        log_det = layout.log_det(params.prec_chol, *params.means.shape).astype(np.float64)
        scatter = self.scatter + layout.cross(0.5 * self.shrinkage * delta, delta)
        return float(self.counts @ log_det) - 0.5 * float((params.precisions * scatter).sum())

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def maximise(
        self, structure: Structure, stats: Stats, reg_covar: float, previous: Float | None = None
    ) -> tuple[Float, Float, Float]:
        """Return weights, means and covariances at the mode of the expected posterior; arguments as of `structures.maximise`.

        The samples at m, of weight kappa, join those of each component. Their scatter about the common mean is then
        W_k + n_k kappa / (n_k + kappa) delta delta^T. A component without samples has the mode of the prior.
        """
        counts, layout = stats.counts + COUNT_FLOOR, stats.layout
        weights = counts / (counts.sum() + stats.noise)
        shift = self.mean - stats.origin
        whole, sums = counts + self.shrinkage, stats.sums + self.shrinkage * shift
        scatter = stats.scatter + layout.cross(0.5 * self.shrinkage * shift, shift)
        moves = sums / whole[:, None]
        moves[whole <= 2 * COUNT_FLOOR] = 0.0  # nothing says where
        within = layout.regularised(layout.within(scatter + self.scatter, sums, whole), reg_covar, counts)
        covariances = structure.maximise(within, counts + self.counts, previous)
        return weights, stats.origin + moves, symmetric(covariances)

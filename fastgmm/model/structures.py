"""Covariance structures: name -> density layout, number of free parameters, M-step. No data here, only statistics.

Statistics about an origin o_k give the scatter about the new mean by W_k = S_k - s_k s_k^T / n_k (Chan, Golub & LeVeque
1983, eq. 2.1): unlike E[x^2] - mean^2 about zero it keeps its digits if the mean is large compared with the spread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fastgmm._compat import cached_property
from fastgmm._names import COVARIANCE_TYPES, MCLUST_NAMES, ONE_FEATURE, TIED_NAMES
from fastgmm.model import m_steps
from fastgmm.model.fixed import Fixed
from fastgmm.model.layouts import DIAG, FULL, SPHERICAL, TIED, Layout
from fastgmm.model.stats import Stats

Float = NDArray[np.float64]

#: Added to every count, so that a component without samples has a weight. One that holds no more than this has lost its samples:
#: nothing but the floor would be left of its sums, and it keeps its mean and its covariance.
COUNT_FLOOR = 10 * np.finfo(np.float64).eps


@dataclass(frozen=True)
class Structure:
    """A covariance structure.

    layout : how its densities and its statistics are laid out
    n_covariance_parameters : of k components and d features
    maximise : the M-step, ``(within, counts, previous) -> covariances``, see `m_steps`
    least_samples : of d features, that a component needs for its covariance to be regular
    least_in_all : distinct samples of d features that k components need together: with fewer the likelihood has no maximum
        however they are divided among the components
    one_feature : whether it is meant for one feature only
    """

    name: str
    layout: Layout
    n_covariance_parameters: Callable[[int, int], int]
    maximise: Callable[[Float, Float, Float | None], Float]
    least_samples: Callable[[int], int]
    least_in_all: Callable[[int, int], int]
    one_feature: bool = False

    def n_parameters(self, k: int, d: int) -> int:
        """Return the number of free parameters of a mixture: covariances, k d means and k - 1 weights."""
        return self.n_covariance_parameters(k, d) + k * d + k - 1

    @cached_property
    def mclust_name(self) -> str:
        """Return mclust's name, of three letters."""
        return _SAME.get(self.name, self.name)

    @property
    def in_one_feature(self) -> Structure:
        """Return the structure in one feature, 'E' or 'V': there is neither shape nor orientation."""
        return STRUCTURES[self.mclust_name[0]]

    @property
    def of_parts(self) -> Structure:
        """Return the structure that marginals and conditionals of fewer features have.

        A common volume of varying shapes is one of all features only, and so are a shape and an orientation of their own beside
        something that components share: only the layout's own structure is left. lambda_k C is (lambda_k C') again.
        """
        name = self.mclust_name
        if self.basic or name not in MCLUST_NAMES or "V" not in name[1:]:
            return self if name in MCLUST_NAMES else STRUCTURES[self.layout.name]
        return STRUCTURES["VVI" if name[2] == "I" else "VVV"]

    def contains(self, other: Structure) -> bool:
        """Return whether every mixture of the other structure is one of this: each letter is the same or later in I, E, V."""
        return _contains(self.mclust_name, other.mclust_name)

    @property
    def basic(self) -> bool:
        """Return whether nothing but the layout restricts the covariances."""
        return self.maximise is STRUCTURES[self.layout.name].maximise

    def check_features(self, d: int) -> None:
        """Raise ValueError if the structure is not for `d` features."""
        if self.one_feature and d > 1:
            alike = "'EII', 'EEI' or 'EEE'" if self.name == "E" else "'VII', 'VVI' or 'VVV'"
            raise ValueError(
                f"covariance_type={self.name!r} is for data of one feature, but there are {d}: choose {alike}, which is as "
                "much for more features"
            )


@cache
def _contains(ours: str, theirs: str) -> bool:
    return all("IEV".index(one) <= "IEV".index(other) for one, other in zip(theirs, ours, strict=True))


def _axes(d: int) -> int:
    """Return the number of parameters of an orientation."""
    return d * (d - 1) // 2


def _pooled(d: int) -> int:
    return 1


def _two(d: int) -> int:
    return 2


def _more_than_d(d: int) -> int:
    # with a common orientation too: D may be turned into the null space of one component's scatter
    return d + 1


# Of m distinct samples in groups of m_k, W_k has the rank m_k - 1 at most, and the sum of all W_k the rank m - k.


def _any_varies(k: int, d: int) -> int:
    return k + 1


def _each_varies(k: int, d: int) -> int:
    return 2 * k


def _sum_regular(k: int, d: int) -> int:
    return k + d


def _one_regular(k: int, d: int) -> int:
    # eigenvalues are added up in their order: the smallest ones are all 0 unless one component has d + 1 samples
    return k - 1 + d + 1


def _each_varies_sum_regular(k: int, d: int) -> int:
    return max(2 * k, k + d)


def _each_varies_one_regular(k: int, d: int) -> int:
    return 2 * (k - 1) + d + 1


def _each_regular(k: int, d: int) -> int:
    return k * (d + 1)


#: Simpler ones first.
_MCLUST = (
    Structure("EII", SPHERICAL, lambda k, d: 1, m_steps.eii, _pooled, _any_varies),
    Structure("VII", SPHERICAL, lambda k, d: k, m_steps.vii, _two, _each_varies),
    Structure("EEI", DIAG, lambda k, d: d, m_steps.eei, _pooled, _any_varies),
    Structure("VEI", DIAG, lambda k, d: k + d - 1, m_steps.vei, _two, _each_varies),
    Structure("EVI", DIAG, lambda k, d: 1 + k * (d - 1), m_steps.evi, _two, _each_varies),
    Structure("VVI", DIAG, lambda k, d: k * d, m_steps.vvi, _two, _each_varies),
    Structure("EEE", TIED, lambda k, d: d + _axes(d), m_steps.eee, _pooled, _sum_regular),
    Structure("VEE", FULL, lambda k, d: k + d - 1 + _axes(d), m_steps.vee, _two, _each_varies_sum_regular),
    Structure("EVE", FULL, lambda k, d: 1 + k * (d - 1) + _axes(d), m_steps.eve, _more_than_d, _each_regular),
    Structure("VVE", FULL, lambda k, d: k * d + _axes(d), m_steps.vve, _more_than_d, _each_regular),
    Structure("EEV", FULL, lambda k, d: d + k * _axes(d), m_steps.eev, _pooled, _one_regular),
    Structure("VEV", FULL, lambda k, d: k + d - 1 + k * _axes(d), m_steps.vev, _two, _each_varies_one_regular),
    Structure("EVV", FULL, lambda k, d: 1 + k * (d - 1) + k * _axes(d), m_steps.evv, _more_than_d, _each_regular),
    Structure("VVV", FULL, lambda k, d: k * (d + _axes(d)), m_steps.vvv, _more_than_d, _each_regular),
)
_BY_NAME = dict(zip(MCLUST_NAMES, _MCLUST, strict=True))
_SAME = {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII", "E": "EII", "V": "VII"}
_SAME |= dict(zip(TIED_NAMES, ("EEI", "EII"), strict=True))
#: scikit-learn's names, which are those of the layouts, mclust's, and mclust's for one feature.
STRUCTURES = {name: replace(_BY_NAME[_SAME[name]], name=name) for name in COVARIANCE_TYPES}
STRUCTURES |= _BY_NAME
STRUCTURES |= {name: replace(_BY_NAME[_SAME[name]], name=name, one_feature=True) for name in ONE_FEATURE}
STRUCTURES |= {name: replace(_BY_NAME[_SAME[name]], name=name) for name in TIED_NAMES}


def possible(count: float, d: int, failed: Structure) -> list[Structure]:
    """Return the structures of d features that a component of `count` samples, 0 taken as 1, can have if `failed` is impossible.

    None of them contains `failed`: that would need as many samples. They have mclust's names, of which there are two for one
    feature.
    """
    known: tuple[Structure, ...] = _MCLUST
    if d == 1:
        known, failed = (STRUCTURES["E"], STRUCTURES["V"]), failed.in_one_feature
    return [other for other in known if other.least_samples(d) <= max(count, 1.0) and not other.contains(failed)]


# covariances that overflow or are NaN have no Cholesky factors, which raises the error
@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def maximise(
    structure: Structure,
    stats: Stats,
    reg_covar: float,
    previous: Float | None = None,
    kept: NDArray[np.bool_] | None = None,
    fixed: Fixed | None = None,
) -> tuple[Float, Float, Float]:
    """Return weights (k,), means (k, d) and covariances that maximise the expected likelihood: the M-step.

    `reg_covar` is added to the variances of the scatter, which keeps the structure: the covariances are those of samples to which
    independent noise of that variance was added. An M-step that iterates continues from `previous`, the covariances of the step
    before. A component without samples keeps its mean and, if there is a step before, its covariance, as do
    those that are `kept` (k,). The parts of it that components share are still those of all samples, if any is left.

    Raises NotPositiveDefinite if a matrix that components share is singular.
    """
    counts = stats.counts + COUNT_FLOOR
    weights = counts / (counts.sum() + stats.noise)
    lost, layout = stats.counts <= COUNT_FLOOR, stats.layout
    moves = stats.sums / counts[:, None]
    moves[lost] = 0.0
    means, kept = stats.origin + moves, lost if kept is None else lost | kept
    if fixed is None:
        within = layout.within(stats.scatter, stats.sums, counts)
    else:
        weights, means, kept = fixed.weights_of(weights), fixed.means_of(means), kept | fixed.covariances
        within = layout.within(stats.about(means).scatter, np.zeros_like(moves), counts)
    within = layout.regularised(within, reg_covar, counts)
    if previous is not None and kept.all():
        return weights, means, previous
    if previous is None or layout.pools or not kept.any():
        return weights, means, symmetric(structure.maximise(within, counts, previous))
    # the scatter that a component's own covariance expects, with a count so small that it adds nothing to shared parts
    few = np.where(kept, COUNT_FLOOR, counts)
    within[kept] = COUNT_FLOOR * previous[kept]
    covariances = symmetric(structure.maximise(within, few, previous))
    if structure.basic:
        covariances[kept] = previous[kept]  # to the bit
    elif structure.mclust_name[0] == "V":
        # a volume of its own is that before, even if the shape, made of the others' samples, has changed
        growth = _log_volumes(previous[kept]) - _log_volumes(covariances[kept])
        covariances[kept] *= np.exp(growth).reshape(-1, *[1] * (covariances.ndim - 1))
    return weights, means, covariances


def _log_volumes(covariances: Float) -> Float:
    """Return the logarithm of the d-th root of determinants, (k,), of covariances (k, d, d), or (k, d) if they are diagonal."""
    if covariances.ndim == 3:
        return np.linalg.slogdet(covariances)[1] / covariances.shape[-1]
    return np.log(covariances).mean(axis=-1)


def symmetric(covariances: Float) -> Float:
    """Return matrices (..., d, d) by their upper triangles, which factors are made of; others as they are.

    If a component sits on few samples, all that there is off the diagonal is what rounding leaves of a difference.
    """
    if covariances.ndim < 3:
        return covariances
    upper = np.tri(covariances.shape[-1], dtype=np.bool_).T
    return np.where(upper, covariances, np.swapaxes(covariances, -1, -2))


def shared_by_all(structure: Structure, d: int) -> bool:
    """Return whether all components have one covariance: no more parameters with more of them."""
    return structure.n_covariance_parameters(2, d) == structure.n_covariance_parameters(1, d)


def has_structure(structure: Structure, covariances: Float, weights: Float, rtol: float = 1e-4) -> bool:
    """Return whether covariances are of the structure: then they are their own M-step."""
    if structure.basic:
        return True
    counts = weights + COUNT_FLOOR
    within = covariances * counts.reshape(-1, *[1] * (covariances.ndim - 1))
    found = structure.maximise(within, counts, covariances)
    return bool(np.abs(found - covariances).max() <= rtol * np.abs(covariances).max())

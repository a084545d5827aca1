"""What is spurious: components that describe a few samples, or none. `fit` warns of them, `select` refuses them, by one rule.

The likelihood has no maximum if a component may sit on samples that are equal in some direction: what EM reaches there is as high
as `reg_covar` lets it be (Kiefer & Wolfowitz 1956; Day, Biometrika 56(3), 1969). Short of that, it has local maxima at a few
samples that happen to lie close to a point, a line or a plane (Seo & Kim, Comput. Stat. Data Anal. 56(8), 2012); criteria that are
made of the likelihood mean nothing there. Bounds on the ratio of eigenvalues (García-Escudero et al., Ann. Stat. 36(3), 2008)
and priors (Fraley & Raftery, J. Classification 24, 2007) exclude them; here a model is spurious if

1. a component holds fewer samples than `least_samples`: d + 1 if it has a shape or an orientation of its own, 2 if it has but a
   volume, 1 if its covariance is that of all components;
2. all components together have fewer distinct samples than `least_in_all`: besides 1, two for each, and for a common
   covariance matrix of two components or more n - k > 2 d. With n - k close to d the pooled scatter is nearly singular, and the
   likelihood of more components rises beyond any penalty;
3. a component is flat: in some direction its variance is `reg_covar`, or rounding, beside the data's own variance there.
   That is looked for in its covariance, and in its own samples' as far as these shape the covariance.

`bench/README.md` has the study that this is drawn from.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm._errors import listed
from fastgmm.data.source import Source
from fastgmm.em.evaluate import distinct as count_distinct
from fastgmm.em.step import ROUNDING, wide
from fastgmm.kernels.race import AXES, FREE, SHARED, VOLUME
from fastgmm.model.params import Params
from fastgmm.model.structures import MCLUST_NAMES, Structure, possible

Float = NDArray[np.float64]

#: A component that holds less than this, in samples, holds none.
_NONE = 0.1
#: In a direction in which the data vary this many times as much as `reg_covar`, a component that does not is flat. If the data
#: themselves vary no more, features are collinear or scaled down, which is not a component's fault.
_VARIES = 100.0
#: Samples whose variance is below this share of `reg_covar` are equal; above it, it is `reg_covar` that hides how they differ.
_EQUAL = 1e-2
#: At most this many components are named in a warning.
_NAMED = 5


class Reason(NamedTuple):
    """Reason why there is no fit.

    what : the problem in words
    held : number of samples that must suffice for the structures advised instead
    otherwise : other advice, which can be followed whatever the structure
    """

    what: str
    held: float = math.inf
    otherwise: str = ""


class Rule(NamedTuple):
    """When a component of a structure is spurious: if it holds fewer than `least` samples, or is as thin as `flat`.

    look : what of its covariance counts (`kernels.race.thinness`); turns : whether directions other than the axes do
    """

    least: int
    flat: float
    look: int
    turns: bool


def rule_of(structure: Structure, d: int, reg_covar: float) -> Rule:
    """Return the rule for a structure; `reg_covar` is a share of the variances."""
    _, shape, orientation = tuple(structure.mclust_name)
    if structure.mclust_name in ("EII", "EEI", "EEE"):
        look = SHARED
    elif shape != "V" and orientation != "V":
        look = VOLUME
    else:
        look = AXES if orientation == "I" else FREE
    return Rule(least_samples(structure, d), max(reg_covar, ROUNDING), look, orientation != "I")


def least_samples(structure: Structure, d: int) -> int:
    """Return how many samples a component must hold at least."""
    if structure.mclust_name not in MCLUST_NAMES:  # one that was added says so itself
        return structure.least_samples(d)
    volume, shape, orientation = tuple(structure.mclust_name)
    if "V" in (shape, orientation):
        return d + 1
    return 2 if volume == "V" else 1


def least_in_all(structure: Structure, k: int, d: int) -> int:
    """Return how many distinct samples k components must have together."""
    if structure.mclust_name not in MCLUST_NAMES:
        return structure.least_in_all(k, d)
    of_each = k * least_samples(structure, d)
    if k == 1:
        return max(structure.least_in_all(1, d), of_each)
    pooled = k + 2 * d + 1 if d > 1 and structure.mclust_name.endswith("EE") else 2 * k
    return max(structure.least_in_all(k, d), of_each, pooled)


def spurious(
    structure: Structure, d: int, held: Float, thin: Float, rule: Rule, n: int, variance: float, reg_covar: float
) -> Reason:
    """Say which component is spurious, and why; `variance` is the smallest one of a feature, `reg_covar` what was added to it."""
    if (held < rule.least).any():
        j = int(np.argmin(held))
        return Reason(holds(j, held[j], n) + needs(structure, d), float(held[j]))
    j = int(np.argmin(thin))
    return Reason(holds(j, held[j], n) + are_flat(float(thin[j]) * variance, reg_covar), 1.0)


# --- words ---


def holds(component: int, held: float, n: int, distinct: str = "") -> str:
    """Say which component it is, how many of the samples it holds, and how many of these are `distinct`."""
    return f"component {component} holds {held:.4g} of {n} samples{distinct and f' ({distinct} distinct)'}"


def needs(structure: Structure, d: int, *, each: bool = False) -> str:
    """Say how many samples a component needs, or each of several."""
    need = "each needs" if each else "needs"
    return f", and {need} {least_samples(structure, d)} for {structure.name!r} with {d} feature{'s' * (d > 1)}"


def are_flat(variance: float, reg_covar: float) -> str:
    """Say that samples are equal in some direction, in which `variance` is their variance without `reg_covar`."""
    return (
        f", which in some direction are equal up to a variance of {max(variance, 0.0):.3g} (reg_covar={reg_covar:.3g})"
    )


def are_equal(variance: float, reg_covar: float, d: int, structure: Structure) -> str:
    """Say that samples are equal in some direction, and what to do."""
    remedy = "decrease n_components, or raise reg_covar"
    if variance > _EQUAL * reg_covar > 0:
        remedy = "scale the data up, or lower reg_covar"
    simpler = listed([repr(other.name) for other in possible(1, d, structure)], "or")
    return f"{are_flat(variance, reg_covar)}: {remedy}{simpler and f'; or choose {simpler}, for which fewer samples suffice'}"


# --- after a fit ---


class Degenerate(NamedTuple):
    """Components that sit on equal samples, those without samples, and those with too few of them: words for each.

    variance : the smallest one of the first, in some direction; held : the fewest samples that one of the last holds
    """

    flat: dict[int, str]
    dead: dict[int, str]
    few: dict[int, str]
    variance: float = math.nan
    held: float = math.inf


def degenerate(
    source: Source,
    params: Params,
    structure: Structure,
    reg_covar: float,
    n_threads: int | None,
    *,
    few_suffice: bool = False,
) -> str:
    """Say which components of a fit sit on equal samples, hold too few or none; '' if there are none.

    With a prior `few_suffice`: it gives a component of any number of samples a covariance.
    """
    found, parts = degenerate_components(source, params, structure, reg_covar, n_threads), []
    if found.flat:
        who = listed(list(found.flat.values()), most=_NAMED)
        parts.append(who + are_equal(found.variance, reg_covar, source.n_features, structure))
    if found.few and not few_suffice:
        d = source.n_features
        enough = [
            other for other in possible(found.held, d, structure) if least_samples(other, d) <= max(found.held, 1.0)
        ]
        simpler = listed([repr(other.name) for other in enough], "or")
        parts.append(
            listed(list(found.few.values()), most=_NAMED)
            + needs(structure, d, each=len(found.few) > 1)
            + ": decrease n_components"
            + (simpler and f", or choose {simpler}")
        )
    if found.dead:
        parts.append(
            f"{listed(list(found.dead.values()), most=_NAMED)}: no sample belongs to it. Decrease n_components, or start "
            "elsewhere, with another random_state, init_params or a larger n_init"
        )
    return "; ".join(parts)


def degenerate_components(
    source: Source, params: Params, structure: Structure, reg_covar: float, n_threads: int | None
) -> Degenerate:
    """Return the components of a fit that sit on equal samples, hold too few or none.

    A few operations on the parameters find suspicious components; only then are the samples read, in one pass.
    """
    n, d = source.n_samples, source.n_features
    least = least_samples(structure, d)
    held = params.weights * (n / params.total_weight)
    if source.noise_columns is not None:  # without errors values may well be equal: the likelihood has a maximum there
        return Degenerate({}, {j: holds(j, held[j], n) for j in np.flatnonzero(held < _NONE).tolist()}, {})
    # what a start or a converged fit rounds off is not a sample
    too_few = (held < least - _NONE) & (held >= _NONE) & (len(held) > 1)
    if wide(params, reg_covar) and held.min() > 2 * _NONE and not too_few.any():
        return Degenerate({}, {}, {})
    floor = 2 * reg_covar or ROUNDING * float(_total_variances(params).mean())
    # the smallest variance in any direction is at least 1 / tr Sigma^-1
    steepest = params.precision_diagonals.sum(axis=1)
    if held.min() >= _NONE and floor * steepest.max() < 1.0 and not too_few.any():
        return Degenerate({}, {}, {})
    dead = held < _NONE
    suspects = ~dead & (floor * steepest >= 1.0)
    smallest = _flat(params, np.flatnonzero(suspects), floor)
    flat = np.flatnonzero(np.isfinite(smallest))
    variances = smallest[flat] - reg_covar
    who, variance = {}, math.nan
    if flat.size:
        most = max(structure.least_samples(d), 2)
        distinct = count_distinct(source, params, flat.tolist(), most, n_threads)
        # many samples that differ may lie in a plane, but not samples that are a little apart in every direction
        few = (distinct < most) | (variances <= _EQUAL * reg_covar)
        who = {
            j: holds(j, held[j], n, str(m) if m < most else f"at least {most}")
            for j, m in zip(flat[few].tolist(), distinct[few].tolist(), strict=True)
        }
        variance = float(variances[few].min()) if who else math.nan
        too_few[flat[few]] = False
    none, fewer = ({j: holds(j, held[j], n) for j in np.flatnonzero(which).tolist()} for which in (dead, too_few))
    return Degenerate(who, none, fewer, variance, float(held[too_few].min(initial=math.inf)))


def _total_variances(params: Params) -> Float:
    """Return the variance of each feature in the mixture, (d,): the mean of variances plus the variance of means."""
    spread = (params.means - params.weights @ params.means) ** 2
    return params.weights @ (params.variances + spread)


def _flat(params: Params, suspects: NDArray[np.intp], floor: float) -> Float:
    """Return the smallest variance of each suspect (k,); infinite if none is up to `floor` in directions the data do vary in."""
    smallest = np.full(len(params.weights), np.inf)
    varies = 0.5 * _VARIES * floor
    matrices = params.layout.unique_matrices(params.covariances)
    if matrices is None:
        total = _total_variances(params)
        for j in suspects:
            variances = params.variances[j]
            if ((variances <= floor) & (total > varies)).any():
                smallest[j] = variances.min()
        return smallest
    centred = params.means - params.weights @ params.means
    within = np.einsum("k,kij->ij", params.weights, params.layout.matrices(params.covariances, *params.means.shape))
    total = within + (params.weights * centred.T) @ centred
    for j in suspects:
        values, axes = np.linalg.eigh(matrices[j if len(matrices) > 1 else 0])
        thin = axes[:, values <= floor]
        if thin.size and np.linalg.eigvalsh(thin.T @ total @ thin)[-1] > varies:
            smallest[j] = values[0]
    return smallest

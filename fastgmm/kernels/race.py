"""A cell of a search on little data, compiled: several first mixtures, of which the better ones are run to the end.

A search of 126 cells makes some 1500 runs of a dozen iterations of some microseconds: calls from Python took 30 times as long
as their arithmetic. All is in the full layout, so that one loop serves all structures.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastgmm._jit import ELEMENTWISE, EXACT, helper
from fastgmm.kernels.eigen import call_eigen
from fastgmm.kernels.ir_arrays import new
from fastgmm.kernels.small import COLLAPSED, NOT_FINITE, UNDECIDED, Mixture, factored, repack, run, scatter_within
from fastgmm.kernels.structures import VARYING, call_log_det_factor, call_maximise_structure, copy_matrix
from fastgmm.kernels.sweep import tile_density
from fastgmm.kernels.tile import load_tile, new_scratch

#: A state beyond those of `small`: run to the end and spurious, or bound to be.
SPURIOUS = 5
#: What a look at a mixture finds: all components are valid, one holds too few samples, one is flat.
VALID, FEW, FLAT = 0, 1, 2
#: What of a component's own samples counts beside its covariance, see `thinness`: nothing if covariances are shared.
SHARED, VOLUME, AXES, FREE = 0, 1, 2, 3
#: Iterations after which a run to the end is looked at: the likelihood of a spurious one may rise for hundreds of iterations.
_LOOKS = 10
#: A run ends early that would have to gain this many times what its last iteration gained, to be as likely as another that ended.
_REACH = 30.0
#: The last of the stages of a race.
ENDED = 3


class Groups(NamedTuple):
    """Known groups, s ways to divide the samples into k: counts (s, k), means (s, k, d), scatter about them (s, k, d, d)."""

    counts: np.ndarray
    means: np.ndarray
    within: np.ndarray


class Plan(NamedTuple):
    """How candidates are compared.

    All `n` candidates run for `first` iterations, the best `kept` up to `second`, and of these the best ones up to `last` until
    `ended` are valid; the first `sure` candidates run to the end as well. Those that will hardly reach the bound `beat`, or that of
    another, end early. Valid is a mixture whose components hold `least` samples or more, and vary by more than `flat`, as
    `thinness` has it in the space of `white` (d, d), whose inverse is `colour`. `unit` is what a sample counts; `shift` is at
    least what reg_covar adds to the eigenvalues in that space.

    What is not valid early will hardly become so. Of 9500 races on 49 real tables, with all candidates run to the end, a flat one
    never did, whether flat after `first` iterations or after `second`; one with too few samples in a component did in 1.7 % and in
    0.6 %. Flat ones end at once. Those with too few after `first` run only if no other candidate is valid.
    """

    n: int
    first: int
    second: int
    last: int
    kept: int
    ended: int
    sure: int
    beat: float
    least: float
    flat: float
    unit: float
    look: int
    white: np.ndarray
    colour: np.ndarray
    shift: float


class Field(NamedTuple):
    """What is known of c candidates, out.

    bounds : (c, most), of each iteration; done : (c,) int64, iterations; states : (c,) int64; rounds : (c,) int64, stages run
    looks : (c,) int64, what the last look found
    held : (c, k), what each component holds; thin : (c, k), `thinness` of the first flat one, otherwise infinite
    own : (c, k, d, d), covariances of their own samples
    """

    bounds: np.ndarray
    done: np.ndarray
    states: np.ndarray
    rounds: np.ndarray
    looks: np.ndarray
    held: np.ndarray
    thin: np.ndarray
    own: np.ndarray


@helper(EXACT)
def _transformed(covariance, matrix, out):
    """Compute the upper triangle of matrix @ covariance @ matrix^T, (d, d)."""
    d = covariance.shape[0]
    row = new(d, np.float64)
    for i in range(d):
        for j in range(d):
            row[j] = 0.0
            for m in range(d):
                row[j] += matrix[i, m] * covariance[m, j]
        for j in range(i, d):
            value = 0.0
            for m in range(d):
                value += row[m] * matrix[j, m]
            out[i, j] = value


@helper(EXACT)
def cut(mixture, own, white, colour, n_axes, halves):
    """Write mixtures of one component more: each component in turn is cut in two across one of its principal axes.

    own : (k, d, d), in, covariances of the components' own samples
    white, colour : (d, d), in, the map to the space in which the covariance of all samples is 1, where the axes are taken so that
    units do not matter, and its inverse
    halves : Mixture, out, of k n_axes mixtures
    A normal distribution cut at its mean has halves with means +- sqrt(2 / pi) and the variance 1 - 2 / pi.
    Returns how many there are: halves without a positive definite covariance are left out.
    """
    k, d = mixture.means.shape
    values, step = new(d, np.float64), new(d, np.float64)
    axes, scaled = new((d, d), np.float64), new((d, d), np.float64)
    found = 0
    for c in range(k):
        _transformed(own[c], white, scaled)
        call_eigen(scaled, values, axes)
        for a in range(n_axes):
            size = np.sqrt(max(values[d - 1 - a], 0.0) * 0.6366197723675814)
            for i in range(d):
                step[i] = 0.0
                for j in range(d):
                    step[i] += size * colour[i, j] * axes[d - 1 - a, j]
            for b in range(k):
                halves.weights[found, b] = mixture.weights[b]
                for i in range(d):
                    halves.means[found, b, i] = mixture.means[b, i]
                copy_matrix(mixture.covariances[b], halves.covariances[found, b])
                copy_matrix(mixture.prec_chol[b], halves.prec_chol[found, b])
            half = 0.5 * mixture.weights[c]
            halves.weights[found, c] = halves.weights[found, k] = half
            for i in range(d):
                halves.means[found, c, i] = mixture.means[c, i] - step[i]
                halves.means[found, k, i] = mixture.means[c, i] + step[i]
                for j in range(d):
                    value = own[c, i, j] - step[i] * step[j]
                    halves.covariances[found, c, i, j] = halves.covariances[found, k, i, j] = value
            one = halves.covariances[found, k:]
            if factored(one, halves.prec_chol[found, k:]):
                copy_matrix(halves.prec_chol[found, k], halves.prec_chol[found, c])
                found += 1
    return found


@helper(ELEMENTWISE)
def race(samples, weights, packed, groups, candidates, constants, out, plan, field):
    """Run the better ones of several candidates to the end; return how many of these are valid.

    samples, weights, packed, constants, out : as in `small.iterate`; packed is a place to work in
    groups : Groups, in, whose M-steps are the first candidates; candidates : Mixture with a first axis more, inout, of which
    the first are made here; plan : Plan, in; field : Field, out
    """
    for a in range(plan.n):
        field.done[a], field.states[a], field.rounds[a], field.looks[a] = 0, UNDECIDED, 0, VALID
        if a < groups.counts.shape[0] and not _begun(groups, candidates, constants, a):
            field.states[a] = COLLAPSED
    stage, taken, valid, chosen, again = 1, 0, 0, -1, False
    beat = plan.beat
    while stage <= ENDED:
        chosen = chosen if again else _next(field, plan, stage, taken, valid)
        if chosen < 0:
            stage, taken = stage + 1, 0
            continue
        taken += 1
        field.rounds[chosen] = stage
        done, before = field.done[chosen], field.states[chosen]
        until = (
            plan.first if stage == 1 else plan.second if stage == 2 else max(min(plan.last, done + _LOOKS), done + 1)
        )
        if before != UNDECIDED:
            if stage == ENDED and field.looks[chosen] == VALID:
                valid += 1
                beat = max(beat, field.bounds[chosen, done - 1])
            elif stage == ENDED:
                field.states[chosen] = SPURIOUS
            continue
        bound = field.bounds[chosen, done - 1] if done > 0 else -np.inf
        if stage == ENDED and done > 2 and bound + _REACH * (bound - field.bounds[chosen, done - 2]) < beat:
            field.rounds[chosen], again = ENDED + 1, False
            continue
        one = Mixture(
            candidates.weights[chosen],
            candidates.means[chosen],
            candidates.covariances[chosen],
            candidates.prec_chol[chosen],
        )
        # a mixture of another structure may be more likely than what its first M-step makes of it
        grace = 2 if done == 0 and chosen >= groups.counts.shape[0] else 0
        # the one place for all runs, since it is compiled where it stands
        more, state = run(samples, weights, packed, one, constants, out, bound, field.bounds[chosen, done:until], grace)
        field.done[chosen] += more
        field.states[chosen], again = state, False
        if state in (COLLAPSED, NOT_FINITE):
            continue
        found = _look(one, constants, out, plan, field, chosen)
        if found == FLAT or (found == FEW and stage > 1):
            field.states[chosen] = SPURIOUS
        elif stage == ENDED:
            again = state == UNDECIDED and field.done[chosen] < plan.last
            valid += not again
            beat = max(beat, field.bounds[chosen, field.done[chosen] - 1])
    return valid


@helper(EXACT, inline=True)
def _next(field, plan, stage, taken, valid):
    """Return the candidate that runs next in a stage, or -1: the best of those that ran in the stage before."""
    if stage == 1:
        return taken if taken < plan.n else -1
    best, enough = -1, taken >= plan.kept if stage == 2 else valid >= plan.ended
    for a in range(plan.n):
        failed = field.states[a] == COLLAPSED or field.states[a] == NOT_FINITE or field.states[a] == SPURIOUS
        last = stage == ENDED and valid == 0
        ready = field.rounds[a] == stage - 1 or (last and field.rounds[a] == 1)
        may = a < plan.sure or not (enough or (field.looks[a] == FEW and not last))
        if failed or not ready or not may:
            continue
        if best < 0 or _is_better(field, a, best):
            best = a
    return best


@helper(EXACT, inline=True)
def _is_better(field, a, b):
    """Return whether candidate a ran in a later stage than b, or has no component of few samples, or has the higher bound."""
    if field.rounds[a] != field.rounds[b]:
        return field.rounds[a] > field.rounds[b]
    if field.looks[a] != field.looks[b]:
        return field.looks[a] < field.looks[b]
    return field.bounds[a, field.done[a] - 1] > field.bounds[b, field.done[b] - 1]


@helper(EXACT)
def _look(mixture, constants, out, plan, field, a):
    """Look at each component of a mixture after its last sweep: VALID, FEW or FLAT, which is more than FEW."""
    k, d = mixture.means.shape
    matrix, factor, found = new((d, d), np.float64), new((d, d), np.float64), VALID
    of_all, letters = AXES if plan.look == AXES else FREE, constants.letters
    for c in range(k):
        count = out.counts[0, c] + constants.count_floor
        scatter_within(out, c, count, field.own[a, c])
        for i in range(d):
            for j in range(d):
                field.own[a, c, i, j] /= count
        field.held[a, c], field.thin[a, c] = out.counts[0, c] * plan.unit, np.inf
        if not field.held[a, c] >= plan.least:
            found = FEW
    for c in range(1 if plan.look == SHARED else k):  # a covariance that all share is looked at once
        thin = np.inf
        # its factor is at hand, with reg_covar
        if of_all == AXES or not _clears(mixture.prec_chol[c], plan, plan.flat + plan.shift):
            for i in range(d):
                for j in range(d):
                    matrix[i, j] = mixture.covariances[c, i, j] - (constants.reg_covar if i == j else 0.0)
            if is_flat(matrix, plan, of_all, factor):
                thin = thinness(matrix, plan.white, of_all)
        # if all vary, a covariance is that of the component's own samples
        free = letters.volume == VARYING and letters.shape == VARYING and letters.orientation == VARYING
        if plan.look != SHARED and not free and is_flat(field.own[a, c], plan, plan.look, factor):
            thin = min(thin, thinness(field.own[a, c], plan.white, plan.look))
        if thin < np.inf:
            field.thin[a, c] = thin
            found = FLAT
            break
    field.looks[a] = found
    return found


@helper(EXACT)
def _clears(factor, plan, limit):
    """Return whether S with S^-1 = U U^T has no eigenvalue up to a limit in the space of `white`, as far as is seen at once.

    The smallest eigenvalue of W S W^T is at least 1 / tr (W S W^T)^-1, and that trace is |W^-T U|^2.
    factor : (d, d) upper triangular, U
    """
    d, trace = factor.shape[0], 0.0
    row = new(d, np.float64)
    for i in range(d):
        for j in range(d):
            row[j] = 0.0
        for m in range(d):
            for j in range(m, d):
                row[j] += plan.colour[m, i] * factor[m, j]
        for j in range(d):
            trace += row[j] * row[j]
    return limit * trace < 1.0


@helper(EXACT)
def is_flat(covariance, plan, look, factor):
    """Return whether the `thinness` of a covariance (d, d) is at most plan.flat, which rarely takes eigenvalues.

    factor : (d, d), a place to work in
    """
    if look == FREE and call_log_det_factor(covariance, factor) < np.inf and _clears(factor, plan, plan.flat):
        return False
    return not thinness(covariance, plan.white, look) > plan.flat


@helper(EXACT)
def thinness(covariance, white, look):
    """Return how small a covariance (d, d) is beside that of all samples, which `white` (d, d) makes the identity.

    look : what of it counts: FREE, its smallest variance in any direction; VOLUME, the mean of its variances; AXES, the smallest
    along an axis, for which `white` is diagonal
    """
    d = covariance.shape[0]
    if look == AXES:
        least = np.inf
        for i in range(d):
            least = min(least, white[i, i] * covariance[i, i] * white[i, i])
        return least
    scaled = new((d, d), np.float64)
    _transformed(covariance, white, scaled)
    if look == VOLUME:
        mean = 0.0
        for i in range(d):
            mean += scaled[i, i] / d
        return mean
    values, axes = new(d, np.float64), new((d, d), np.float64)
    call_eigen(scaled, values, axes)
    return values[0]


@helper(EXACT, inline=True)
def _begun(groups, candidates, constants, a):
    """Write the M-step of groups a; return whether there is one."""
    k, d = groups.means.shape[1], groups.means.shape[2]
    n, within = 0.0, new((k, d, d), np.float64)
    for c in range(k):
        n += groups.counts[a, c]
    for c in range(k):
        candidates.weights[a, c] = groups.counts[a, c] / n
        copy_matrix(groups.within[a, c], within[c])
        for i in range(d):
            candidates.means[a, c, i] = groups.means[a, c, i]
            within[c, i, i] += constants.reg_covar * groups.counts[a, c]
    found = call_maximise_structure(
        constants.letters, within, groups.counts[a], np.bool_(True), candidates.covariances[a]
    )
    return found and factored(candidates.covariances[a], candidates.prec_chol[a])


@helper(ELEMENTWISE)
def classify(samples, weights, packed, mixture, sums):
    """Compute what `em.evaluate.classified` does, of a mixture in the full layout; packed : a place to work in.

    sums : (3,) out, weighted: of log p(x_i), of log max_k z_ik, and the entropy.
    """
    repack(packed, mixture)
    work, n = new_scratch(packed), samples.n_samples
    width = len(work.top)
    sums[:] = 0.0
    for first in range(0, n, width):
        m = min(width, n - first)
        load_tile(samples, first, m, work.x)
        tile_density(packed, work, m)
        for s in range(m):
            w = weights[first + s] if weights.shape[0] > 0 else 1.0
            if not w > 0.0:
                continue  # it counts for nothing even if its likelihood is zero
            top = work.top[s]
            if top == -np.inf:
                sums[0] = -np.inf
                continue
            total, spread = 0.0, 0.0
            for c in range(work.resp.shape[0]):
                apart = work.resp[c, s] - top
                share = np.exp(apart)
                total += share
                spread += max(apart, -800.0) * share
            log_total = np.log(total)
            sums[0] += w * (top + log_total)
            sums[1] -= w * log_total
            sums[2] += w * (log_total - spread / total)

"""Model-based agglomeration: groups of samples that components start from, for every number of them from one tree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.data.source import ArraySource
from fastgmm.em.loop import run
from fastgmm.em.step import Step
from fastgmm.em.stop import Stop
from fastgmm.em.sweep import total
from fastgmm.init.groups import members, stats_of
from fastgmm.init.whitening import Whitening
from fastgmm.model.params import Params

Float = NDArray[np.float64]
Merges = NDArray[np.int64]

#: Samples that are agglomerated, at most: the cost is quadratic in them.
MOST_SAMPLES = 2000
#: Groups that merge by the criterion, at most; Ward's method makes them. With 100, and as well with 500, clusters that
#: differ along one of ten axes were found less often: groups have to be pure, and large enough for a covariance.
MOST_GROUPS = 200
#: m groups cost m^2 determinants, each of d^3 operations: with more features the groups are fewer.
_OPERATIONS = 1e9
#: Share of the total variance in the trace term of the criterion. 0.01 and 1 did worse on such data.
TRACE = 0.2


class Agglomeration:
    """Greedy agglomeration of samples by the classification likelihood of Gaussians with a covariance each (VVV).

    Banfield & Raftery (Biometrics 49, 1993) and Fraley (SIAM J. Sci. Comput. 20, 1998): of all pairs, those two groups are
    merged that raise sum_g n_g log |W_g / n_g| least, W_g the scatter of group g. Here the covariance W_g / n_g gets a trace
    term as in Fraley's section 2.3, for groups too small to have a determinant. It is `TRACE` times the identity. That is the
    covariance of all samples in the whitened space, which X must be of, so that linear maps of the data change nothing.
    If the term outweighs a group's own scatter, the criterion is Ward's.

    The first merges, down to at most 200 groups, are those of Ward's method. Ties go to the first pair: the tree is a
    function of X and weights.

    Parameters
    ----------
    X : (n, r) whitened samples, n >= 1
    weights : (n,) positive, or None for 1 each; their scale has no influence. Ward's merges ignore them.
    """

    def __init__(self, X: NDArray, weights: NDArray | None = None) -> None:
        self.n_samples = len(X)
        Z = np.asarray(X, np.float64)
        share: Float = np.ones(len(Z)) if weights is None else weights.astype(np.float64)
        most = int(np.clip(np.sqrt(_OPERATIONS / Z.shape[1] ** 3), 20, MOST_GROUPS))
        first = _ward(Z, most)
        names, member = np.unique(_replayed(first, len(Z)), return_inverse=True)
        # a weight that vanishes beside the sum of all is still a sample's
        groups = _Groups(Z, np.maximum(share / share.sum(), 1e-200), member)
        self._merges = np.concatenate([first, _merged(groups, names, len(Z) + len(first))])

    def labels(self, k: int) -> NDArray[np.int64]:
        """Return the k groups, 1 <= k <= n: a label 0..k-1 for each sample, (n,), in the order of their first samples."""
        if not 1 <= k <= self.n_samples:
            raise ValueError(f"{self.n_samples} samples make 1 to {self.n_samples} groups, not {k}")
        names = _replayed(self._merges[: self.n_samples - k], self.n_samples)
        _, first, labels = np.unique(names, return_index=True, return_inverse=True)
        return np.argsort(np.argsort(first))[labels]


class _Groups:
    """Shares (m,), means (m, d), scatters (m, d, d) and costs (m,) of groups, of which some have merged into others."""

    def __init__(self, Z: Float, share: Float, member: NDArray[np.intp]) -> None:
        m = int(member.max()) + 1
        self.share: Float = np.bincount(member, share, m).astype(np.float64)
        self.means = np.stack([np.bincount(member, share * z, m) for z in Z.T], axis=1) / self.share[:, None]
        self.scatter = np.empty((m, Z.shape[1], Z.shape[1]))
        for g in range(m):
            inside = member == g
            centred = Z[inside] - self.means[g]
            self.scatter[g] = (centred.T * share[inside]) @ centred
        self.cost = _cost(self.share, self.scatter)

    def rises(self, i: int, others: NDArray[np.intp]) -> Float:
        """Return by how much the criterion rises if group i merges with each of the others."""
        share, scatter = self._together(i, others)
        return _cost(share, scatter) - self.cost[i] - self.cost[others]

    def merge(self, i: int, j: int) -> None:
        """Make i the union of groups i and j; j stays as it was."""
        one = np.array([j])
        share, scatter = self._together(i, one)
        self.means[i] += self.share[j] / share[0] * (self.means[j] - self.means[i])
        self.share[i], self.scatter[i], self.cost[i] = share[0], scatter[0], _cost(share, scatter)[0]

    def _together(self, i: int, others: NDArray[np.intp]) -> tuple[Float, Float]:
        """Return shares and scatters of the unions: W = W_i + W_j + n_i n_j / (n_i + n_j) (m_i - m_j)(m_i - m_j)^T."""
        share = self.share[i] + self.share[others]
        apart = self.means[others] - self.means[i]
        scaled = (self.share[i] * self.share[others] / share)[:, None] * apart
        return share, self.scatter[others] + self.scatter[i] + scaled[:, :, None] * apart[:, None, :]


def _cost(share: Float, scatter: Float) -> Float:
    """Return n_g log |W_g / n_g + TRACE I| for each group, n_g as a share of all."""
    diagonal = np.arange(scatter.shape[-1])
    covariances = scatter / share[:, None, None]
    covariances[:, diagonal, diagonal] += TRACE
    factors = np.linalg.cholesky(covariances)
    return share * 2.0 * np.log(factors[:, diagonal, diagonal]).sum(axis=1)


def _ward(Z: Float, most: int) -> Merges:
    """Return the merges of Ward's method down to `most` groups, as pairs of names: 0..n-1 for samples, n + t for merge t."""
    if len(Z) <= most:
        return np.empty((0, 2), np.int64)
    from scipy.cluster.hierarchy import ward

    return ward(Z)[: len(Z) - most, :2].astype(np.int64)


def _merged(groups: _Groups, names: NDArray[np.int64], name: int) -> Merges:
    """Return the merges of groups with `names` down to one; the first union is called `name`."""
    m = len(names)
    names = names.copy()
    rises = np.full((m, m), np.inf)  # above the diagonal: infinite if one of the two is gone
    for i in range(m - 1):
        rises[i, i + 1 :] = groups.rises(i, np.arange(i + 1, m))
    left = np.ones(m, np.bool_)
    merges = np.empty((m - 1, 2), np.int64)
    for t in range(m - 1):
        i, j = divmod(int(rises.argmin()), m)
        merges[t] = names[i], names[j]
        groups.merge(i, j)
        names[i] = name + t
        left[j] = False
        rises[j], rises[:, j] = np.inf, np.inf
        others = np.flatnonzero(left)
        others = others[others != i]
        if len(others):
            rises[np.minimum(i, others), np.maximum(i, others)] = groups.rises(i, others)
    return merges


def _replayed(merges: Merges, n: int) -> NDArray[np.int64]:
    """Return the name of the group that each of n samples is in after the merges, (n,)."""
    names = np.arange(n + len(merges))
    for t in reversed(range(len(merges))):
        names[merges[t]] = names[n + t]
    return names[:n]


def agglomerate(sample: ArraySource) -> Agglomeration:
    """Return the tree of all samples of a source, of which there should be at most `MOST_SAMPLES`."""
    whitened = Whitening.of(total(sample, 1), sample.total_weight, sample.dtype)
    return Agglomeration(whitened(sample.X), sample.weights)


def hierarchical(
    source: ArraySource, step: Step, k: int, random_state: np.random.RandomState, n_threads: int | None
) -> Params:
    """Return the M-step of the k groups of a subsample, extended to all samples by an iteration of EM.

    Raises ValueError if one of the covariances that this needs is singular.
    """
    sample = source.subsample(max(MOST_SAMPLES, k), random_state, k)
    groups, layout = members(agglomerate(sample).labels(k), k), step.structure.layout
    if sample is source:
        return step.maximise(stats_of(source, layout, k, groups, n_threads))
    params = step.on(sample).maximise(stats_of(sample, layout, k, groups, 1))
    return run(source, params, step, Stop(0.0, 1), n_threads=n_threads).params

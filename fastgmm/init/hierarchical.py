"""Model-based agglomeration: groups of samples that components start from, for every number of them from one tree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastgmm.data.source import ArraySource
from fastgmm.em.loop import run
from fastgmm.em.step import Step
from fastgmm.em.stop import Stop
from fastgmm.init.groups import members, stats_of
from fastgmm.init.whitening import Whitening
from fastgmm.kernels.agglomerate import agglomerate, group
from fastgmm.model.params import Params

Float = NDArray[np.float64]
Merges = NDArray[np.int64]

#: Samples that are agglomerated, at most: the cost is quadratic in them.
MOST_SAMPLES = 2000
#: Groups that merge by the criterion, at most; Ward's method makes them. With 100, and as well with 500, clusters that
#: differ along one of ten axes were found less often: groups have to be pure, and large enough for a covariance.
MOST_GROUPS = 200
MOST_HALFWAY = 1000
#: m groups cost m^2 determinants, each of d^3 operations: with more features the groups are fewer.
_OPERATIONS = 1e9
#: Share of the total variance in the trace term of the criterion. 0.01 and 1 did worse on such data.
TRACE = 0.2


class Agglomeration:
    """Greedy agglomeration of samples by the classification likelihood of Gaussians with a covariance each (VVV).

    Banfield & Raftery (Biometrics 49, 1993) and Fraley (SIAM J. Sci. Comput. 20, 1998): of all pairs, those two groups are
    merged that raise sum_g n_g log |W_g / n_g| least, W_g the scatter of group g. Groups too small to have a determinant get a
    trace term, as in Fraley's section 2.3; there are two forms of it:

    - in the whitened space, `TRACE` times the identity, which is the covariance of all samples there, is added to W_g / n_g.
      If it outweighs a group's own scatter, the criterion is Ward's. Linear maps of the data change nothing.
    - `halfway` there (`Whitening.of`), (tr W_g + tr W / (n d)) / n_g is added to the determinant. These are the groups that
      mclust starts from, and EM from them has been compared with the other tree's: neither is always the better.

    The first merges, down to at most 200 groups, or 1000 halfway, are those of Ward's method. Ties go to the first pair: the
    tree is a function of X and weights.

    Parameters
    ----------
    X : (n, r) samples in that space, n >= 1
    weights : (n,) positive, or None for 1 each; their scale has no influence. Ward's merges ignore them.
    """

    def __init__(self, X: NDArray, weights: NDArray | None = None, *, halfway: bool = False) -> None:
        self.n_samples = len(X)
        Z = np.asarray(X, np.float64)
        n, d = Z.shape
        share: Float = (
            np.ones(n) if weights is None else weights.astype(np.float64) * (n / weights.sum(dtype=np.float64))
        )
        share = np.maximum(share, 1e-200)  # a weight that vanishes beside the sum of all is still a sample's
        most = int(np.clip(np.sqrt(_OPERATIONS / d**3), 20, MOST_GROUPS))
        first = _ward(Z, MOST_HALFWAY if halfway else most)
        names, member = np.unique(_replayed(first, n), return_inverse=True)
        m = len(names)
        counts, means, scatters = np.zeros(m), np.zeros((m, d)), np.zeros((m, d, d))
        group(Z, share, member.astype(np.int64), counts, means, scatters)
        centred = Z - share @ Z / n
        term = float(share @ (centred**2).sum(axis=1)) / (n * d) if halfway else TRACE
        if not term > 0.0:
            term = 1.0  # all samples are equal, and so are all merges
        sizes, merges = np.bincount(member, minlength=m).astype(np.int64), np.empty((m - 1, 2), np.int64)
        agglomerate(sizes, counts, means, scatters, term, not halfway, np.empty((m, m)), merges)
        self._merges = np.concatenate([first, _renamed(merges, names, n + len(first))])

    def labels(self, k: int) -> NDArray[np.int64]:
        """Return the k groups, 1 <= k <= n: a label 0..k-1 for each sample, (n,), in the order of their first samples."""
        if not 1 <= k <= self.n_samples:
            raise ValueError(f"{self.n_samples} samples make 1 to {self.n_samples} groups, not {k}")
        n = self.n_samples
        names = _replayed(self._merges[: n - k], n)
        samples, first = np.arange(n), np.empty(2 * n, np.int64)
        first[names[::-1]] = samples[::-1]  # the first sample of each name is written last
        mine = first[names]
        return (np.cumsum(mine == samples) - 1)[mine]


def _ward(Z: Float, most: int) -> Merges:
    """Return the merges of Ward's method down to `most` groups, as pairs of names: 0..n-1 for samples, n + t for merge t."""
    if len(Z) <= most:
        return np.empty((0, 2), np.int64)
    from scipy.cluster.hierarchy import ward

    return ward(Z)[: len(Z) - most, :2].astype(np.int64)


def _renamed(merges: Merges, names: NDArray[np.int64], name: int) -> Merges:
    """Return merges of places, of which a union keeps the first, as merges of names; the first union is called `name`."""
    names, renamed = names.copy(), np.empty_like(merges)
    for t, (i, j) in enumerate(merges.tolist()):
        renamed[t] = names[i], names[j]
        names[i] = name + t
    return renamed


def _replayed(merges: Merges, n: int) -> NDArray[np.int64]:
    """Return the name of the group that each of n samples is in after the merges, (n,)."""
    names = np.arange(n + len(merges))
    names[merges.ravel()] = np.repeat(names[n:], 2)
    while True:  # from unions to unions of unions, twice as far each time
        further = names[names]
        if np.array_equal(further, names):
            return names[:n]
        names = further


def tree_of(sample: ArraySource, *, halfway: bool = False) -> Agglomeration:
    """Return the tree of all samples of a source, of which there should be at most `MOST_SAMPLES`.

    Samples with missing values are where `Whitening.space` expects them.
    """
    return Agglomeration(Whitening.space(sample, 1, halfway=halfway), sample.weights, halfway=halfway)


def hierarchical(
    source: ArraySource, step: Step, k: int, random_state: np.random.RandomState, n_threads: int | None
) -> Params:
    """Return the M-step of the k groups of a subsample, extended to all samples by an iteration of EM.

    Raises ValueError if one of the covariances that this needs is singular.
    """
    sample = source.subsample(max(MOST_SAMPLES, k), random_state, k)
    groups, layout = members(tree_of(sample).labels(k), k), step.structure.layout
    if sample is source:
        return step.maximise(stats_of(source, layout, k, groups, n_threads))
    params = step.on(sample).maximise(stats_of(sample, layout, k, groups, 1))
    return run(source, params, step, Stop(0.0, 1), n_threads=n_threads).params

"""Statistics that the structures of a size begin from, made once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from fastgmm.data.source import ArraySource
from fastgmm.em import sweep
from fastgmm.init.groups import members, stats_of
from fastgmm.init.hierarchical import MOST_SAMPLES, Agglomeration, tree_of
from fastgmm.init.starts import STARTS
from fastgmm.kernels.agglomerate import group
from fastgmm.kernels.race import Groups
from fastgmm.model.layouts import FULL
from fastgmm.model.stats import Stats
from fastgmm.model.structures import COUNT_FLOOR, STRUCTURES
from fastgmm.selection.cells import Settings


class Starts:
    """Initial statistics for all structures of a size: `n_init` draws of `init_params`, made on demand.

    For 'hierarchical' one tree has the groups of all sizes, and if it has all samples there is one draw. With `even`, the weights
    of the source's rows are those of strata, which the tree leaves out: a rare stratum would be lost in it.
    """

    def __init__(
        self,
        source: ArraySource,
        init_params: str,
        n_init: int,
        random_state: np.random.RandomState,
        settings: Settings,
        *,
        even: bool = False,
    ) -> None:
        self._source, self._init_params, self._random_state = source, init_params, random_state
        self._settings, self._even = settings, even
        self._trees: list[list[tuple[ArraySource, Agglomeration]]] = []
        self._found: dict[tuple[int, int], Stats] = {}
        self._moments: dict[int, Groups] = {}
        certain = init_params == "hierarchical" and source.n_samples <= MOST_SAMPLES
        self.n_init = 1 if certain else n_init

    def __call__(self, k: int, i: int) -> Stats:
        """Return the statistics of draw i for k components in the full layout. Raises ValueError if there are none."""
        if (k, i) not in self._found:
            draw = self._of_tree if self._init_params == "hierarchical" else self._of_start
            self._found[k, i] = draw(k, i)
        return self._found[k, i]

    def groups(self, k: int) -> Groups:
        """Return the moments of all draws for k components, without draws that failed."""
        if k not in self._moments:
            self._moments[k] = self._groups_of(k)
        return self._moments[k]

    def _groups_of(self, k: int) -> Groups:
        if k == 1 or self._init_params == "hierarchical":
            return self._groups_of_trees(k)
        drawn = []
        for i in range(self.n_init):
            with suppress(ValueError):
                drawn.append(self(k, i))
        return _moments(drawn, k, self._source.n_features)

    def _groups_of_trees(self, k: int) -> Groups:
        draws: list[tuple[ArraySource, Agglomeration | None]] = [(self._source, None)]
        if k > 1:
            draws = [pair for i in range(self.n_init) for pair in self._trees_of(i)]
        d = self._source.n_features
        groups = Groups(np.empty((len(draws), k)), np.empty((len(draws), k, d)), np.empty((len(draws), k, d, d)))
        for i, (sample, tree) in enumerate(draws):
            labels = np.zeros(sample.n_samples, np.int64) if tree is None else tree.labels(k)
            doubles = sample.in_double()
            group(doubles.X, doubles.sample_weights, labels, groups.counts[i], groups.means[i], groups.within[i])
        return groups

    def _trees_of(self, i: int) -> list[tuple[ArraySource, Agglomeration]]:
        """Return both trees of draw i, that of mclust first."""
        while len(self._trees) <= i:
            sample, leaves = self._leaves()
            self._trees.append([(sample, tree_of(leaves, halfway=True)), (sample, tree_of(leaves))])
        return self._trees[i]

    def _leaves(self) -> tuple[ArraySource, ArraySource]:
        """Return the samples of a tree, and as they count in it."""
        source, rng = self._source.in_double(), self._random_state
        if not self._even or source.weights is None:
            sample = source.subsample(MOST_SAMPLES, rng)
            return sample, sample
        rows = np.sort(rng.permutation(source.n_samples)[:MOST_SAMPLES])
        X, incomplete = source.X[rows], source.incomplete
        return ArraySource(X, source.weights[rows], incomplete=incomplete), ArraySource(X, incomplete=incomplete)

    def _of_tree(self, k: int, i: int) -> Stats:
        sample, tree = self._trees_of(i)[1]
        return stats_of(sample, FULL, k, members(tree.labels(k), k), self._settings.n_threads)

    def _of_start(self, k: int, i: int) -> Stats:
        step, n_threads = self._settings.step(STRUCTURES["VVV"], k, self._source), self._settings.n_threads
        params = STARTS[self._init_params].params(self._source, step, k, self._random_state, n_threads)
        return sweep.sweep(self._source, params.normalised(), n_threads)


def _moments(stats: Sequence[Stats], k: int, d: int) -> Groups:
    """Return counts, means, and scatter about them."""
    if not stats:
        return Groups(np.empty((0, k)), np.empty((0, k, d)), np.empty((0, k, d, d)))
    counts = [one.counts + COUNT_FLOOR for one in stats]
    return Groups(
        np.stack(counts),
        np.stack([one.origin + one.sums / n[:, None] for one, n in zip(stats, counts, strict=True)]),
        np.stack([FULL.within(one.scatter, one.sums, n) for one, n in zip(stats, counts, strict=True)]),
    )

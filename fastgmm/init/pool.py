"""What k-means has in common for complete and incomplete samples: lanes and threads, and its result."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm import _threads
from fastgmm._errors import memory_for
from fastgmm._limits import LIMITS
from fastgmm.data.source import ArraySource
from fastgmm.em.lanes import lanes
from fastgmm.kernels import kmeans as kernels


class KMeansResult(NamedTuple):  # numpydoc ignore=PR01
    """Hold the result of `kmeans`.

    Attributes
    ----------
    centers : ndarray of shape (n_clusters, d)
        Centres of the clusters, in the dtype of the data.
    labels : ndarray of shape (n,), int32
        The cluster of each sample: the index of the nearest centre.
    inertia : float
        Weighted sum of the squared distances of samples to their centres, in squared units of the data.
    n_iter : int
        Number of iterations.

    See Also
    --------
    kmeans : Run k-means.

    Examples
    --------
    >>> from fastgmm import kmeans
    >>> centers, labels, inertia, n_iter = kmeans([[0.0], [1.0], [9.0]], 2, init=[[0.0], [9.0]])
    >>> labels.tolist(), round(inertia, 6)
    ([0, 0, 1], 0.5)
    """

    centers: NDArray
    labels: NDArray[np.int32]
    inertia: float
    n_iter: int


#: Samples in a lane, at least: the sums of a lane, k x d, are added up once for every assignment.
_MIN_WIDTH = 4096


class Pool(_threads.ThreadPool):
    """Lanes of a source and the threads that run passes over them. Lanes depend on n, k and d only."""

    def __init__(self, source: ArraySource, k: int, n_threads: int | None) -> None:
        n = source.n_samples
        most = min(lanes(source, k, 0).n_lanes, -(-n // _MIN_WIDTH))
        self.width = -(-n // (most * kernels.BLOCK)) * kernels.BLOCK
        self.n_lanes = -(-n // self.width)
        self.source = source
        super().__init__(min(_threads.effective_threads(n_threads), self.n_lanes))

    def sweep(self, compiled: Any, n_points: int, *arguments: Any) -> None:
        """Run a pass that compares samples with `n_points` points, in calls of about half a second of one core at most.

        Ctrl-C is served between two of them.
        """
        nanoseconds = n_points * (self.source.n_features / 4 + 1)  # what a slow core takes for a sample
        rows = int(1e9 * LIMITS.call_seconds / nanoseconds) // (self.n_lanes * kernels.BLOCK) * kernels.BLOCK
        rows = max(rows, kernels.BLOCK)
        for begin in range(0, self.width, rows):
            self.run(compiled, kernels.Span(self.width, begin, begin + rows), self.source.samples, *arguments)


def memory_for_kmeans(source: ArraySource) -> AbstractContextManager[None]:
    remedy = "Pass fewer of them, or for a mixture another init_params, such as 'random_from_data', or means_init"
    return memory_for(f"k-means, which keeps two numbers for each of {source.n_samples} samples", remedy)

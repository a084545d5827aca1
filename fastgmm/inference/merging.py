"""Clusters of components: components that overlap are merged until the entropy shows that the others lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import _validation
from fastgmm.data.source import ArraySource, LocalSource
from fastgmm.em import evaluate, merging, sweep
from fastgmm.em.lanes import lanes
from fastgmm.estimators.mixture import FittedMixture
from fastgmm.model.params import Params
from fastgmm.plotting.entropy import plot_entropy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    from fastgmm.plotting.entropy import EntropyArtists

Float = NDArray[np.float64]


class Merging:  # numpydoc ignore=PR01
    """Hold the hierarchy of clusters of components that `fastgmm.merge` makes.

    Attributes
    ----------
    merges : list of (int, int)
        The clusters merged at each step, from k clusters to 1: each is named by the least of its components. The first of a pair
        stays.
    entropies : ndarray of shape (k,), float64
        ``entropies[j]`` is the entropy of j + 1 clusters, ``-sum_i sum_a t_ia log t_ia`` of the (weighted) samples; 0 for one
        cluster, unless there is noise.
    moved : ndarray of shape (k,), float64
        ``moved[j]`` is how many samples belonged to clusters that were merged on the way to j + 1 clusters. A sample counts once
        for each such merge.
    gains : ndarray of shape (k, k), float64
        ``gains[a, b]`` with a < b is how much merging components a and b reduces the entropy.
    elbow : int or None
        Number of clusters where the entropy, as a function of `moved`, bends: two lines fit best if they meet there. None for
        fewer than three components.

    See Also
    --------
    merge : Make it.
    fastgmm.plotting.plot_entropy : Draw the entropies.

    Examples
    --------
    >>> import fastgmm
    >>> from fastgmm.datasets import load_iris
    >>> X = load_iris().data
    >>> found = fastgmm.merge(fastgmm.GaussianMixture(3, random_state=0).fit(X), X)
    >>> len(found.merges), found.entropies.shape
    (2, (3,))
    """

    def __init__(
        self, model: FittedMixture, merges: list[tuple[int, int]], entropies: Float, moved: Float, gains: Float
    ) -> None:
        self._model = model
        self.merges, self.entropies, self.moved, self.gains = merges, entropies, moved, gains
        self.elbow = _elbow(moved, entropies)

    def __repr__(self) -> str:
        rows = [f"{'clusters':>8}  {'entropy':>10}  merged"]
        for j in range(len(self.entropies) - 1, -1, -1):
            what = "" if j == len(self.merges) else "{} and {}".format(*self.merges[len(self.merges) - 1 - j])
            rows.append(f"{j + 1:>8}  {self.entropies[j]:>10.4g}  {what}".rstrip())
        return "\n".join([*rows, *([f"elbow at {self.elbow} clusters"] if self.elbow else [])])

    def groups(self, n_clusters: int | None = None) -> NDArray[np.int64]:
        """Return the cluster of each component.

        Parameters
        ----------
        n_clusters : int, optional
            Number of clusters, from 1 to k; by default as many as at the `elbow`.

        Returns
        -------
        ndarray of shape (k,), int64
            Clusters from 0 to n_clusters - 1, in the order of their first components.

        Raises
        ------
        ValueError
            If there is no `elbow` and no number is given, or it is above k.

        See Also
        --------
        predict : The cluster of each sample.

        Examples
        --------
        >>> import fastgmm
        >>> from fastgmm.datasets import load_iris
        >>> X = load_iris().data
        >>> found = fastgmm.merge(fastgmm.GaussianMixture(3, random_state=0).fit(X), X)
        >>> sorted(found.groups(3).tolist()), sorted(found.groups(2).tolist())
        ([0, 1, 2], [0, 0, 1])
        """
        return _groups(self.merges, len(self.entropies), self._number(n_clusters))

    def predict(self, X: Any, n_clusters: int | None = None) -> Any:
        """Return the most probable cluster of each sample.

        Parameters
        ----------
        X : array-like of shape (n, d), path, fastgmm.chunks(...), or Dask collection
            Samples, as in ``model.predict``.
        n_clusters : int, optional
            Number of clusters, from 1 to k; by default as many as at the `elbow`.

        Returns
        -------
        ndarray of shape (n,), int64
            Clusters as in `groups`; -1 for noise. For a Dask collection a lazy one.

        Raises
        ------
        ValueError, TypeError
            As `groups` and ``model.predict``.

        See Also
        --------
        predict_proba : The probability of each cluster.

        Examples
        --------
        >>> import fastgmm
        >>> from fastgmm.datasets import load_iris
        >>> iris = load_iris()
        >>> found = fastgmm.merge(fastgmm.GaussianMixture(3, random_state=0).fit(iris.data), iris.data)
        >>> labels = found.predict(iris.data, 2)  # setosa, and the other two
        >>> sorted({(int(species) > 0, int(label)) for species, label in zip(iris.target, labels)})
        [(False, 1), (True, 0)]
        """
        groups = self.groups(n_clusters)
        return self._model._each(X, partial(_labels, groups=groups), "label", dtype=np.int64)

    def predict_proba(self, X: Any, n_clusters: int | None = None) -> Any:
        """Return the probability of each cluster for each sample.

        Parameters
        ----------
        X : array-like of shape (n, d), path, fastgmm.chunks(...), or Dask collection
            Samples, as in `GaussianMixture.predict_proba`.
        n_clusters : int, optional
            Number of clusters, from 1 to k; by default as many as at the `elbow`.

        Returns
        -------
        ndarray of shape (n, n_clusters)
            Probabilities in the dtype of X; each row adds up to 1. With noise there is one more column, the last. For a Dask
            collection a lazy one.

        Raises
        ------
        ValueError, TypeError
            As `groups` and `GaussianMixture.predict_proba`.

        See Also
        --------
        predict : The most probable cluster.

        Examples
        --------
        >>> import fastgmm
        >>> from fastgmm.datasets import load_iris
        >>> X = load_iris().data
        >>> found = fastgmm.merge(fastgmm.GaussianMixture(3, random_state=0).fit(X), X)
        >>> found.predict_proba(X[:2], 2).round(3).tolist()
        [[0.0, 1.0], [0.0, 1.0]]
        """
        groups = self.groups(n_clusters)
        names = [f"p{c}" for c in range(int(groups.max()) + 1)] + ["noise"] * hasattr(self._model, "noise_")
        return self._model._each(X, partial(_shares, groups=groups), names)

    def plot(self, ax: Axes | FigureBase | None = None) -> EntropyArtists:
        """Draw the entropy of 1 to k clusters over the samples `moved`, with the two lines that meet at the `elbow`.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, or Figure or SubFigure without axes, optional
            Target of the drawing, as in `fastgmm.plotting.plot_entropy`.

        Returns
        -------
        EntropyArtists
            Everything that was drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        See Also
        --------
        fastgmm.plotting.plot_entropy : The function that draws.

        Examples
        --------
        >>> import fastgmm
        >>> from fastgmm.datasets import load_iris
        >>> from matplotlib.figure import Figure
        >>> X = load_iris().data
        >>> found = fastgmm.merge(fastgmm.GaussianMixture(3, random_state=0).fit(X), X)
        >>> [text.get_text() for text in found.plot(Figure()).texts]
        ['1', '2', '3']
        """
        return plot_entropy(self.entropies, self.moved, self.elbow, ax=ax)

    def _number(self, n_clusters: Any) -> int:
        k = len(self.entropies)
        if n_clusters is None:
            if self.elbow is None:
                raise ValueError(f"{k} components have no elbow: pass n_clusters, 1 to {k}")
            return self.elbow
        number = _validation.check_integer("n_clusters", n_clusters, 1)
        if number > k:
            raise ValueError(f"n_clusters={number} is more than the {k} components of the model: pass at most {k}")
        return number


def merge(model: FittedMixture, X: Any, *, sample_weight: ArrayLike | None = None) -> Merging:
    """Merge components to clusters, by entropy.

    At each step the pair is merged that reduces the entropy ``-sum_i sum_a t_ia log t_ia`` most, where t_ia is the probability of
    cluster a for sample i [1]_. The density stays as it is: only what counts as a cluster changes. Noise is never merged.

    Parameters
    ----------
    model : GaussianMixture or BayesianGaussianMixture
        A fitted model with k components.
    X : array-like of shape (n, d), path, fastgmm.chunks(...), or Dask collection
        Data as in ``model.predict``. They are read k + 1 times; nothing of size n x k is kept.
    sample_weight : array-like of shape (n,), optional
        How many times each sample counts, not negative. By default once.

    Returns
    -------
    Merging
        The hierarchy of clusters, and methods that assign samples to them.

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    ValueError, TypeError
        If `model` is not a mixture, or ``model.predict`` refuses the data.

    See Also
    --------
    select : Choose the number of components; its criterion 'icl' prefers components that lie apart.

    References
    ----------
    .. [1] J.-P. Baudry, A. E. Raftery, G. Celeux, K. Lo and R. Gottardo, "Combining mixture components for clustering",
       Journal of Computational and Graphical Statistics 19(2), 2010, 332-353.

    Examples
    --------
    >>> import fastgmm
    >>> from fastgmm.datasets import load_iris
    >>> X = load_iris().data
    >>> found = fastgmm.merge(fastgmm.GaussianMixture(3, random_state=0).fit(X), X)
    >>> bool(found.entropies[1] < found.entropies[2])
    True
    >>> sorted(found.groups(2).tolist())
    [0, 0, 1]
    """
    if not isinstance(model, FittedMixture):
        raise TypeError(f"model must be a fitted mixture, got a {type(model).__name__}")
    source = model._source(X, sample_weight)
    params = model._params()
    k = len(params.weights)
    merges: list[tuple[int, int]] = []
    moved, entropies, first = np.zeros(k), np.zeros(k), np.zeros((k, k))
    sizes = sweep.sweep(source, params, model.n_threads).counts * source.weight_unit
    for left in range(k, 0, -1):
        groups = _groups(merges, k, left)
        found = merging.gains(source, params, _with_noise(groups, params), model.n_threads)
        if left > 1 or params.noise is not None:  # a single cluster has none, up to rounding
            entropies[left - 1] = found.entropy * source.weight_unit
        pairs = found.pairs[:left, :left] * source.weight_unit
        if left == k:
            first = pairs.copy()
        if left == 1:
            break
        pairs[np.tril_indices(left)] = -np.inf
        a, b = (int(i) for i in np.unravel_index(int(pairs.argmax()), pairs.shape))
        members = [np.flatnonzero(groups == c) for c in (a, b)]
        merges.append((int(members[0][0]), int(members[1][0])))
        moved[left - 2] = moved[left - 1] + sizes[np.concatenate(members)].sum()
    return Merging(model, merges, np.maximum(entropies, 0.0), moved, first)


def _groups(merges: Sequence[tuple[int, int]], k: int, n_clusters: int) -> NDArray[np.int64]:
    """Return the cluster of each of k components after as many merges as leave `n_clusters`, numbered by first components."""
    first = np.arange(k)
    for a, b in merges[: k - n_clusters]:
        first[first == b] = a
    return np.unique(first, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _with_noise(groups: NDArray[np.int64], params: Params) -> NDArray[np.int64]:
    """Return the groups of all densities: noise, if there is some, is one of its own."""
    return groups if params.noise is None else np.append(groups, groups.max() + 1)


def _shares(source: LocalSource, params: Params, n_threads: int | None = None, *, groups: NDArray[np.int64]) -> NDArray:
    of = _with_noise(groups, params)
    out = np.zeros((source.n_samples, int(of.max()) + 1), source.dtype)
    plan = lanes(source, len(of), 0, row_bytes=8 * len(of))
    with closing(source.blocks(plan.rows)) as blocks:
        for block in blocks:
            resp = evaluate.responsibilities(ArraySource(block.X), params, n_threads)
            rows = out[block.start : block.start + len(resp)]
            for c, group in enumerate(of):
                rows[:, group] += resp[:, c]
    return out


def _labels(
    source: LocalSource, params: Params, n_threads: int | None = None, *, groups: NDArray[np.int64]
) -> NDArray[np.int64]:
    shares = _shares(source, params, n_threads, groups=groups)
    labels = shares.argmax(axis=1)
    return np.where(labels > groups.max(), -1, labels).astype(np.int64)


def _elbow(moved: Float, entropies: Float) -> int | None:
    """Return where two lines through the entropies as a function of `moved` meet, if they fit best."""
    k = len(entropies)
    if k < 3:
        return None
    errors = [_misfit(moved[: j + 1], entropies[: j + 1]) + _misfit(moved[j:], entropies[j:]) for j in range(1, k - 1)]
    return int(np.argmin(errors)) + 2


def _misfit(x: Float, y: Float) -> float:
    """Return the sum of squares about the line of least squares."""
    if len(x) < 3:
        return 0.0
    dx, dy = x - x.mean(), y - y.mean()
    slope = dx @ dy / max(float(dx @ dx), np.finfo(np.float64).tiny)
    return float(((dy - slope * dx) ** 2).sum())

"""Sufficient statistics of a mixture: a value whose merge is addition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fastgmm.model.layouts import FULL, Layout

Float = NDArray[np.float64]
FLOAT64 = np.dtype(np.float64)


@dataclass(frozen=True)
class Stats:  # numpydoc ignore=PR01
    """Hold the sufficient statistics of responsibilities r_ik about an origin o_k, float64.

    Attributes
    ----------
    layout : Layout
        How the scatter is stored; its ``name`` is 'full', 'tied', 'diag' or 'spherical'.
    n_samples : int
        Samples that were swept.
    log_likelihood : float
        Sum over samples of log p(x_i) under the parameters of the sweep; NaN if responsibilities were given.
    counts : ndarray of shape (k,)
        ``sum_i r_ik``.
    sums : ndarray of shape (k, d)
        ``sum_i r_ik (x_i - o_k)``.
    scatter : ndarray
        ``sum_i r_ik (x_i - o_k)(x_i - o_k)^T``: (k, d, d) for full; its sum over k, (d, d), for tied; its diagonal,
        (k, d), for diag; its trace, (k,), for spherical.
    origin : ndarray of shape (k, d)
        ``o_k``; the means that the sweep was made with.
    dtype : dtype
        Dtype of the samples, and so of the sums within tiles.
    noise : float
        ``sum_i r_i`` of noise, of which nothing else is kept.

    See Also
    --------
    fastgmm.sufficient_statistics : Compute them for given responsibilities.

    Notes
    -----
    The scatter about the mean of a component is ``S_k - s_k s_k^T / n_k`` of its count n_k, its sums s_k and its scatter S_k.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgmm import sufficient_statistics
    >>> stats = sufficient_statistics([[0.0], [2.0], [7.0]], np.ones((3, 1)))
    >>> stats.counts.tolist(), stats.origin.tolist(), stats.scatter.tolist()
    ([3.0], [[3.0]], [[[26.0]]])
    """

    layout: Layout
    n_samples: int
    log_likelihood: float
    counts: Float
    sums: Float
    scatter: Float
    origin: Float
    dtype: np.dtype = FLOAT64
    noise: float = 0.0

    @property
    def total(self) -> float:
        """Return the sum of all responsibilities, those of noise included.

        See Also
        --------
        merge : Statistics of two parts together.

        Examples
        --------
        >>> from fastgmm import sufficient_statistics
        >>> sufficient_statistics([[0.0], [2.0]], [[1.0], [0.5]]).total
        1.5
        """
        return float(self.counts.sum()) + self.noise

    def merge(self, other: Stats) -> Stats:
        """Return the statistics of both parts together.

        Parameters
        ----------
        other : Stats
            Statistics of other samples, about the same origin and of the same layout.

        Returns
        -------
        Stats
            The sum of both.

        Raises
        ------
        ValueError
            If origins or layouts differ.

        See Also
        --------
        about : The statistics about another origin.

        Examples
        --------
        >>> from fastgmm import sufficient_statistics
        >>> first = sufficient_statistics([[0.0], [2.0]], [[1.0], [1.0]], origin=[[1.0]])
        >>> second = sufficient_statistics([[4.0]], [[1.0]], origin=[[1.0]])
        >>> both = first.merge(second)
        >>> both.n_samples, both.sums.tolist()
        (3, [[3.0]])
        """
        if self.layout is not other.layout or not np.array_equal(self.origin, other.origin):
            raise ValueError(
                "only statistics of the same layout about the same origin can be merged, got layouts "
                f"{self.layout.name!r} and {other.layout.name!r}: sweep all parts with the same parameters"
            )
        return replace(
            self,
            n_samples=self.n_samples + other.n_samples,
            log_likelihood=self.log_likelihood + other.log_likelihood,
            counts=self.counts + other.counts,
            sums=self.sums + other.sums,
            scatter=self.scatter + other.scatter,
            noise=self.noise + other.noise,
        )

    def times(self, factor: float) -> Stats:
        """Return the statistics of samples that count `factor` times as much.

        Parameters
        ----------
        factor : float
            Factor of counts, sums, scatter and log-likelihood.

        Returns
        -------
        Stats
            The statistics times `factor`.

        See Also
        --------
        merge : Statistics of two parts together.

        Examples
        --------
        >>> from fastgmm import sufficient_statistics
        >>> sufficient_statistics([[0.0], [2.0]], [[1.0], [1.0]]).times(3.0).counts.tolist()
        [6.0]
        """
        if factor == 1.0:
            return self
        return replace(
            self,
            log_likelihood=factor * self.log_likelihood,
            counts=factor * self.counts,
            sums=factor * self.sums,
            scatter=factor * self.scatter,
            noise=factor * self.noise,
        )

    def without_last(self) -> Stats:
        """Return the statistics of all components but the last, which is noise: of it only the count is kept.

        Returns
        -------
        Stats
            Statistics of k - 1 components.

        See Also
        --------
        total : The sum of all responsibilities.

        Examples
        --------
        >>> from fastgmm import sufficient_statistics
        >>> stats = sufficient_statistics([[0.0], [2.0]], [[0.75, 0.25], [0.5, 0.5]]).without_last()
        >>> stats.counts.tolist(), stats.noise
        ([1.25], 0.75)
        """
        return replace(
            self,
            counts=self.counts[:-1],
            sums=self.sums[:-1],
            scatter=self.scatter[:-1],
            origin=self.origin[:-1],
            noise=float(self.counts[-1]),
        )

    def in_layout(self, layout: Layout) -> Stats:
        """Return statistics of the full layout in another one.

        Parameters
        ----------
        layout : Layout
            The layout of the result; any if these are of the full layout, otherwise the same.

        Returns
        -------
        Stats
            Statistics whose scatter has the shape of that layout.

        Raises
        ------
        ValueError
            If these statistics do not hold those of the other layout.

        See Also
        --------
        about : The statistics about another origin.

        Examples
        --------
        >>> from fastgmm import sufficient_statistics
        >>> from fastgmm.model.layouts import DIAG
        >>> stats = sufficient_statistics([[0.0, 1.0], [2.0, 3.0]], [[1.0], [1.0]])
        >>> stats.in_layout(DIAG).scatter.tolist()
        [[2.0, 2.0]]
        """
        if layout is self.layout:
            return self
        if self.layout is not FULL:
            raise ValueError(
                f"statistics of layout {self.layout.name!r} do not hold those of layout {layout.name!r}: sweep with 'full'"
            )
        return replace(self, layout=layout, scatter=layout.of_full_scatter(self.scatter))

    def about(self, origin: Float) -> Stats:
        """Return the statistics about another origin, exact up to rounding.

        Parameters
        ----------
        origin : ndarray of shape (k, d), float64
            The other origin o'.

        Returns
        -------
        Stats
            The same statistics about `origin`.

        Raises
        ------
        ValueError
            If `origin` has another shape.

        See Also
        --------
        merge : Statistics of two parts about one origin.

        Notes
        -----
        With c_k = o_k - o'_k, x - o' = (x - o) + c, hence s' = s + n c and S' = S + s c^T + c s^T + n c c^T, which is
        S + h c^T + c h^T with h = s + n c / 2. Digits are lost if origins are much farther apart than samples are from
        their mean.

        Examples
        --------
        >>> import numpy as np
        >>> from fastgmm import sufficient_statistics
        >>> stats = sufficient_statistics([[0.0], [2.0]], [[1.0], [1.0]], origin=[[1.0]])
        >>> moved = stats.about(np.array([[0.0]]))
        >>> moved.sums.tolist(), moved.scatter.tolist()
        ([[2.0]], [[[4.0]]])
        """
        if origin.shape != self.origin.shape:
            raise ValueError(f"the origin must have the shape {self.origin.shape}, (k, d), got {origin.shape}")
        c = self.origin - origin
        n = self.counts[:, None]
        h = self.sums + 0.5 * n * c
        moved = self.layout.cross(h, c)
        return replace(self, sums=self.sums + n * c, scatter=self.scatter + moved, origin=origin)


def combination(coefficients: Sequence[float], parts: Sequence[Stats]) -> Stats:
    """Return sum_i c_i x_i of statistics of the same samples, about the origin of the last one."""
    last = parts[-1]
    moved = [part if part.origin is last.origin else part.about(last.origin) for part in parts]

    def total(name: str) -> Float:
        terms = [c * getattr(part, name) for c, part in zip(coefficients, moved, strict=True)]
        return np.sum(terms, axis=0)

    return replace(
        last,
        log_likelihood=float("nan"),
        counts=total("counts"),
        sums=total("sums"),
        scatter=total("scatter"),
        noise=float(total("noise")),
    )

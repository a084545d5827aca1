"""Small tables that come with the package, and a generator of random mixtures."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastgmm._validation import check_integer

__all__ = ["Mixture", "Table", "load_faithful", "load_iris", "make_mixture"]

_BLOCK = 65536


@dataclass(frozen=True, eq=False)
class Table:  # numpydoc ignore=PR01
    """Hold a data set and its description.

    Attributes
    ----------
    data : ndarray of shape (n_samples, n_features), float64
        The samples, C-contiguous.
    feature_names : tuple of str
        Names of the features.
    target : ndarray of shape (n_samples,), int64, or None
        The class of each sample as an index into `target_names`; None if the data have no classes.
    target_names : tuple of str
        Names of the classes.
    description : str
        The measurements, their units, and the origin of the table.

    See Also
    --------
    load_iris : Fisher's iris.
    load_faithful : Eruptions of Old Faithful.

    Examples
    --------
    >>> from fastgmm.datasets import load_faithful
    >>> load_faithful().feature_names
    ('eruptions', 'waiting')
    """

    data: NDArray[np.float64]
    feature_names: tuple[str, ...]
    target: NDArray[np.int64] | None
    target_names: tuple[str, ...]
    description: str


class Mixture(NamedTuple):  # numpydoc ignore=PR01
    """Hold samples of a Gaussian mixture, and the mixture that they were drawn from.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_features), float32 or float64
        The samples.
    labels : ndarray of shape (n_samples,), int64
        The component that each sample was drawn from.
    weights : ndarray of shape (n_components,), float64
        Weights of the mixture.
    means : ndarray of shape (n_components, n_features), float64
        Means of the mixture.
    covariances : ndarray of shape (n_components, n_features, n_features), float64
        Covariances of the mixture.

    See Also
    --------
    make_mixture : Draw one.

    Examples
    --------
    >>> from fastgmm.datasets import make_mixture
    >>> X, labels, weights, means, covariances = make_mixture(100, 2, 3, random_state=0)
    >>> X.shape, covariances.shape
    ((100, 2), (3, 2, 2))
    """

    X: NDArray[Any]
    labels: NDArray[np.int64]
    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    covariances: NDArray[np.float64]


def load_iris() -> Table:
    """Return Fisher's iris: 150 flowers of three species, four measurements in cm.

    Returns
    -------
    table : Table
        `data` is (150, 4); `target` holds 50 each of setosa (0), versicolor (1) and virginica (2). The arrays are new
        on each call.

    See Also
    --------
    load_faithful : Another table.
    make_mixture : Samples of a random mixture.

    References
    ----------
    .. [1] R. A. Fisher, "The use of multiple measurements in taxonomic problems", Annals of Eugenics 7(2), 1936, 179-188.

    Examples
    --------
    >>> from fastgmm.datasets import load_iris
    >>> iris = load_iris()
    >>> iris.data.shape, iris.target_names
    ((150, 4), ('setosa', 'versicolor', 'virginica'))
    """
    names, rows = _rows("iris.csv")
    species = tuple(dict.fromkeys(row[-1] for row in rows))
    return Table(
        data=np.array([row[:-1] for row in rows], dtype=np.float64),
        feature_names=names[:-1],
        target=np.array([species.index(row[-1]) for row in rows], dtype=np.int64),
        target_names=species,
        description=(
            "Length and width of sepals and petals (cm) of 50 flowers each of Iris setosa, versicolor and virginica, "
            "measured by E. Anderson. R. A. Fisher, The use of multiple measurements in taxonomic problems, Annals of "
            "Eugenics 7 (1936), 179-188. Samples 35 and 38 as in that paper, which many copies get wrong."
        ),
    )


def load_faithful() -> Table:
    """Return the Old Faithful table: 272 eruptions, their length and the wait until the next, in minutes.

    Returns
    -------
    table : Table
        `data` is (272, 2); `target` is None. The arrays are new on each call.

    See Also
    --------
    load_iris : Another table.
    make_mixture : Samples of a random mixture.

    References
    ----------
    .. [1] A. Azzalini and A. W. Bowman, "A look at some data on the Old Faithful geyser", Applied Statistics 39(3), 1990,
       357-365.

    Examples
    --------
    >>> from fastgmm.datasets import load_faithful
    >>> load_faithful().data[0].tolist()
    [3.6, 79.0]
    """
    names, rows = _rows("faithful.csv")
    return Table(
        data=np.array(rows, dtype=np.float64),
        feature_names=names,
        target=None,
        target_names=(),
        description=(
            "Duration of an eruption and waiting time to the next one (minutes), Old Faithful geyser, Yellowstone. "
            "W. Haerdle, Smoothing Techniques with Implementation in S (1991); A. Azzalini and A. W. Bowman, A look "
            "at some data on the Old Faithful geyser, Applied Statistics 39 (1990), 357-365."
        ),
    )


def _rows(file: str) -> tuple[tuple[str, ...], list[list[str]]]:
    text = resources.files(__name__).joinpath(file).read_text(encoding="utf-8")
    names, *rows = csv.reader(text.splitlines())
    return tuple(names), rows


def make_mixture(
    n_samples: int,
    n_features: int,
    n_components: int,
    *,
    separation: float = 4.0,
    random_state: int | np.random.Generator | None = None,
    dtype: DTypeLike = np.float64,
) -> Mixture:
    """Draw a Gaussian mixture at random, then samples of it.

    Parameters
    ----------
    n_samples : int
        Number of samples, at least 1.
    n_features : int
        Number of features, at least 1.
    n_components : int
        Number of components, at least 1.
    separation : float, default=4.0
        Root mean square of the distance between two component means, in units of a component's typical standard
        deviation. It means the same in any number of features: at 1 two components are one heap, at 4 they
        overlap at the edges, at 10 they are far apart. Single pairs may come closer, especially with many components and
        few features.
    random_state : None, int or numpy.random.Generator, default=None
        Seed of the draw. One seed gives one mixture; its samples are the same in float32 up to rounding.
    dtype : {numpy.float64, numpy.float32}, default=numpy.float64
        Dtype of `X`; the parameters are float64.

    Returns
    -------
    mixture : Mixture
        Named tuple ``(X, labels, weights, means, covariances)``, the samples in random order of components.

    Raises
    ------
    ValueError, TypeError
        If a count is not an int or below 1, `separation` is negative or not finite, or `dtype` is another one.

    See Also
    --------
    load_iris : A real table.
    GaussianMixture.sample : Samples of a fitted model.

    Notes
    -----
    Weights are drawn from Dirichlet(10, ..., 10), hence uneven but none near zero. Means are drawn from N(0, separation^2 /
    (2 n_features) I). The covariances are Q diag(v) Q^T with Q a random rotation and each v_d log-uniform in [1/2, 2], hence
    variances around 1 in every direction and a condition number of at most 4.

    Examples
    --------
    >>> from fastgmm.datasets import make_mixture
    >>> mixture = make_mixture(1000, 2, 3, random_state=0)
    >>> mixture.X.shape, sorted(set(mixture.labels.tolist()))
    ((1000, 2), [0, 1, 2])
    """
    counts = {"n_samples": n_samples, "n_features": n_features, "n_components": n_components}
    for name, value in counts.items():
        check_integer(name, value, 1)
    if not (np.isfinite(separation) and separation >= 0):
        raise ValueError(f"separation is {separation}; it must be finite and not negative")
    dtype = np.dtype(dtype)
    if dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"dtype is {dtype}; it must be float32 or float64")

    rng = np.random.default_rng(random_state)
    weights = rng.dirichlet(np.full(n_components, 10.0))
    means = rng.normal(0.0, separation / np.sqrt(2 * n_features), (n_components, n_features))
    # the orthogonal factor of a Gaussian matrix is a random rotation (up to reflections, which change no covariance)
    rotations = np.linalg.qr(rng.standard_normal((n_components, n_features, n_features)))[0]
    axes = np.exp(rng.uniform(np.log(0.5), np.log(2.0), (n_components, n_features)))
    roots = rotations * np.sqrt(axes)[:, np.newaxis, :]
    covariances = roots @ roots.transpose(0, 2, 1)

    labels = rng.choice(n_components, size=n_samples, p=weights)
    X = np.empty((n_samples, n_features), dtype)
    for start in range(0, n_samples, _BLOCK):  # by blocks: the memory beyond X stays small
        block = labels[start : start + _BLOCK]
        noise = rng.standard_normal((len(block), n_features))
        for k in range(n_components):
            rows = np.flatnonzero(block == k)
            X[start + rows] = noise[rows] @ roots[k].T + means[k]
    return Mixture(X, labels, weights, means, covariances)

"""Mixtures of known classes: fitted to each class or to all, chosen by BIC or cross-validation, and joined into one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm._errors import ConvergenceWarning, DegenerateWarning, LocalOptimumWarning
from fastgmm.data.source import ArraySource
from fastgmm.em import evaluate
from fastgmm.estimators.derived import plain_model
from fastgmm.estimators.gaussian_mixture import GaussianMixture
from fastgmm.model.layouts import FULL
from fastgmm.model.params import Params
from fastgmm.model.structures import STRUCTURES

Float = NDArray[np.float64]


class Candidate(NamedTuple):
    """One candidate in the choice of a classifier.

    Attributes
    ----------
    n_components : int
        Number of components of each class.
    covariance_type : str
        Covariance structure.
    value : float
        Value of the criterion, lower is better; infinite if the candidate could not be fitted.
    label : object
        The class that the candidate was fitted to; None if it is for all classes.

    See Also
    --------
    GaussianMixtureClassifier : Attribute `candidates_` holds these.

    Examples
    --------
    >>> from fastgmm import GaussianMixtureClassifier
    >>> X, y = [[0.0], [0.2], [0.4], [3.0], [3.4], [3.1]], [0, 0, 0, 1, 1, 1]
    >>> model = GaussianMixtureClassifier(covariance_type=["E", "V"]).fit(X, y)
    >>> min(model.candidates_, key=lambda one: one.value).covariance_type
    'E'
    """

    n_components: int
    covariance_type: str
    value: float
    label: Hashable = None


@dataclass(frozen=True)
class Labelled:
    """Samples (n, d) with the numbers of their classes (n,), from 0 to n_classes - 1, and positive weights (n,)."""

    X: NDArray
    y: NDArray[np.int64]
    weights: Float
    n_classes: int

    def rows(self, kept: NDArray) -> Labelled:
        """Return some of the samples."""
        return Labelled(self.X[kept], self.y[kept], self.weights[kept], self.n_classes)

    @property
    def shares(self) -> Float:
        """Return the share of each class in the sum of weights, (n_classes,)."""
        counts = np.bincount(self.y, self.weights, minlength=self.n_classes)
        return counts / counts.sum()

    @property
    def sample_weight(self) -> Float | None:
        """Return the weights, or None if all are 1, so that a prior takes n for the number of samples."""
        return None if (self.weights == 1.0).all() else self.weights


class ClassModels(NamedTuple):
    """The mixtures of all classes, sum_i w_i log sum_c share_c f_c(x_i), and the number of free parameters.

    The shares of the classes are not counted as parameters, as in mclust.
    """

    mixtures: list[GaussianMixture]
    log_likelihood: float
    n_parameters: int

    @classmethod
    def of(cls, data: Labelled, mixtures: list[GaussianMixture], n_parameters: int) -> ClassModels:
        """Return the models of samples and their classes."""
        return cls(mixtures, _log_likelihood(data, mixtures), n_parameters)

    def bic(self, total_weight: float) -> float:
        """Return -2 log L + p log n."""
        return -2.0 * self.log_likelihood + self.n_parameters * float(np.log(total_weight))


def edda(data: Labelled, covariance_type: str, options: dict[str, Any]) -> ClassModels:
    """Return one component for each class, with a structure that all share, by a single M-step (Bensmail & Celeux 1996)."""
    k, d = data.n_classes, data.X.shape[1]
    settings = options | {"init_params": data.y, "n_init": 1, "max_iter": 0, "covariance_type": covariance_type}
    model = GaussianMixture(k, **settings).fit(data.X, sample_weight=data.sample_weight)
    params = model._params(drawn=True)
    each = []
    for c in range(k):
        one = slice(c, c + 1)
        values = params.covariances if params.layout.pools else params.covariances[one]
        factors = params.prec_chol if params.layout.pools else params.prec_chol[one]
        each.append(plain_model(model, Params(params.layout, np.ones(1), params.means[one], values, factors)))
    n_parameters = STRUCTURES[covariance_type].n_parameters(k, d) - (k - 1)
    return ClassModels.of(data, each, n_parameters)


def of_each(data: Labelled, sizes: Sequence[int], types: Sequence[str], options: dict[str, Any]) -> ClassModels:
    """Return a mixture for each class, with the given sizes and structures (MclustDA: Fraley & Raftery 2002)."""
    mixtures = []
    for c in range(data.n_classes):
        own = data.rows(data.y == c)
        if len(own.y) == 1:  # a fit needs two samples: two of half the weight are equivalent
            own = Labelled(np.repeat(own.X, 2, axis=0), np.repeat(own.y, 2), np.repeat(0.5 * own.weights, 2), 1)
        settings = options | {"covariance_type": types[c]}
        mixtures.append(GaussianMixture(sizes[c], **settings).fit(own.X, sample_weight=own.sample_weight))
    n_parameters = sum(mixture._n_parameters() for mixture in mixtures)
    return ClassModels.of(data, mixtures, n_parameters)


def _log_likelihood(data: Labelled, mixtures: Sequence[GaussianMixture]) -> float:
    """Return sum_i w_i log sum_c share_c f_c(x_i), the log-likelihood of the samples without their classes, as in mclust."""
    params, _ = joined(mixtures, data.shares)
    source = ArraySource.weighted(data.X, data.weights)
    return evaluate.log_likelihood(source, params) * source.weight_unit


def joined(mixtures: Sequence[GaussianMixture], priors: Float) -> tuple[Params, NDArray[np.int64]]:
    """Return the mixtures of all classes as one, weighted by the priors of the classes, and the class of each component."""
    parts = [mixture._params(drawn=True) for mixture in mixtures]
    of = np.repeat(np.arange(len(parts)), [len(part.weights) for part in parts])
    layout = parts[0].layout
    if any(part.layout is not layout for part in parts):
        layout = FULL
    if layout.pools and any(not np.array_equal(part.covariances, parts[0].covariances) for part in parts):
        layout = FULL
    parts = [part.in_layout(layout) for part in parts]
    weights = np.concatenate([prior * part.weights for prior, part in zip(priors, parts, strict=True)])
    means = np.vstack([part.means for part in parts])
    if layout.pools:
        return Params(layout, weights, means, parts[0].covariances, parts[0].prec_chol), of
    covariances, factors = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("covariances", "prec_chol")
    )
    return Params(layout, weights, means, covariances, factors), of


class Chosen(NamedTuple):
    """The best models, and all candidates in the order in which they were tried."""

    models: ClassModels
    candidates: list[Candidate]


Fit = Callable[[Labelled, int, str], ClassModels]


def by_bic(data: Labelled, fit: Fit, grid: Sequence[tuple[int, str]], label: Hashable = None) -> Chosen:
    """Return the candidate with the lowest BIC; if none can be fitted, raise the error of the first.

    A candidate that rests on few samples, of which `fit` warns, is chosen only if there is no other.
    """
    best: tuple[bool, float, ClassModels] | None = None
    failure: ValueError | None = None
    candidates = []
    for size, name in grid:
        found, spurious, error = _tried(data, fit, size, name)
        failure = failure or error
        value = np.inf if found is None else found.bic(float(data.weights.sum()))
        candidates.append(Candidate(size, name, value, label))
        if found is not None and (best is None or (spurious, value) < best[:2]):
            best = (spurious, value, found)
    if best is None:
        assert failure is not None
        raise failure
    return Chosen(best[2], candidates)


def _tried(data: Labelled, fit: Fit, size: int, name: str) -> tuple[ClassModels | None, bool, ValueError | None]:
    """Return the models of a candidate, whether they rest on few samples, and the error if there are none."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = fit(data, size, name)
        except ValueError as error:
            return None, False, error
    return found, any(issubclass(one.category, DegenerateWarning) for one in caught), None


def by_cross_validation(
    data: Labelled,
    fit: Fit,
    grid: Sequence[tuple[int, str]],
    n_folds: int,
    random_state: np.random.RandomState,
    priors: Float | None,
) -> Chosen:
    """Return the candidate with the fewest errors on samples that were left out; the Brier score decides ties.

    Folds are the same for all candidates, with equal shares of each class. `value` is the error rate plus a millionth
    of the Brier score (half the mean squared difference of the probabilities from 0 and 1).
    """
    folds = stratified(data.y, n_folds, random_state)
    candidates, failure = [], None
    for size, name in grid:
        errors = scores = 0.0
        value = 0.0
        for fold in range(int(folds.max()) + 1):
            inside = data.rows(folds != fold)
            found, _, error = _tried(inside, fit, size, name)
            if found is None:
                failure, value = failure or error, np.inf
                break
            wrong, brier = _loss(data.rows(folds == fold), found, inside.shares if priors is None else priors)
            errors, scores = errors + wrong, scores + brier
        total = float(data.weights.sum())
        candidates.append(Candidate(size, name, value or (errors + 1e-6 * scores) / total))
    best = min(candidates, key=lambda one: one.value)
    if not np.isfinite(best.value):
        assert failure is not None
        raise failure
    return Chosen(_quietly(fit, data, best), candidates)


def _quietly(fit: Fit, data: Labelled, best: Candidate) -> ClassModels:
    with warnings.catch_warnings():
        for category in (ConvergenceWarning, LocalOptimumWarning):
            warnings.simplefilter("ignore", category)
        return fit(data, best.n_components, best.covariance_type)


def _loss(left_out: Labelled, found: ClassModels, priors: Float) -> tuple[float, float]:
    """Return the weighted number of errors, and the sum of Brier scores."""
    with np.errstate(divide="ignore"):
        log_joint = np.column_stack([mixture.score_samples(left_out.X) for mixture in found.mixtures]) + np.log(priors)
    shares = normalised(log_joint.astype(np.float64))
    truth = np.eye(left_out.n_classes)[left_out.y]
    wrong = shares.argmax(axis=1) != left_out.y
    return float(left_out.weights @ wrong), float(left_out.weights @ (0.5 * (shares - truth) ** 2).sum(axis=1))


def normalised(log_joint: Float) -> Float:
    """Return probabilities (n, c) from joint log-densities; equal ones where all are -inf."""
    top = log_joint.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        shares = np.exp(log_joint - top)
    shares[top[:, 0] == -np.inf] = 1.0
    return shares / shares.sum(axis=1, keepdims=True)


def stratified(y: NDArray[np.int64], n_folds: int, random_state: np.random.RandomState) -> NDArray[np.int64]:
    """Return the fold of each sample, (n,): random within a class, with sizes that differ by at most one."""
    order = np.lexsort([random_state.permutation(len(y)), y])
    folds = np.empty(len(y), np.int64)
    folds[order] = np.arange(len(y)) % n_folds
    return folds

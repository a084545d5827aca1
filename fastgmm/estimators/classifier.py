"""The estimator `GaussianMixtureClassifier`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import _validation
from fastgmm._names import CHOICES, CLASSIFIERS, COVARIANCE_TYPES, MCLUST_NAMES
from fastgmm.data.dask import each_block, is_dask, row_blocks
from fastgmm.data.source import ArraySource, LocalSource
from fastgmm.em import evaluate
from fastgmm.em.lanes import lanes
from fastgmm.em.step import REG_COVAR
from fastgmm.estimators.class_models import (
    Candidate,
    Chosen,
    ClassModels,
    Labelled,
    by_bic,
    by_cross_validation,
    edda,
    joined,
    normalised,
    of_each,
)
from fastgmm.estimators.composite import Composite, named
from fastgmm.estimators.gaussian_mixture import GaussianMixture
from fastgmm.estimators.saving import composite
from fastgmm.estimators.sklearn_callbacks import one_task
from fastgmm.model.params import Params
from fastgmm.model.priors import NormalInverseWishart
from fastgmm.model.structures import STRUCTURES

if TYPE_CHECKING:
    from typing_extensions import Self

Float = NDArray[np.float64]


@composite
class GaussianMixtureClassifier(Composite):
    """Discriminant analysis by Gaussian mixtures: one component for each class, or a mixture for each.

    EDDA has a component for each class, all of one covariance structure (Bensmail & Celeux, J. Am. Stat. Assoc. 91, 1996): 'full'
    is quadratic, 'tied' linear discriminant analysis. MclustDA has a mixture of its own for each class (Fraley & Raftery, J. Am.
    Stat. Assoc. 97, 2002).

    Parameters
    ----------
    n_components : int, sequence of int, or dict, default=1
        Components of each class: a number, several to choose from, or for each class one of these. EDDA has one.
    covariance_type : str, sequence of str, or dict, default='full'
        A structure, as in `GaussianMixture`; several to choose from, 'all' for the fourteen of mclust (two for one feature); or
        for each class one of these (MclustDA).
    method : {'edda', 'mclustda'}, default='edda'
    criterion : {'bic', 'cv'}, default='bic'
        What chooses if there are several candidates: the lowest BIC, of each class by itself in MclustDA; or the fewest errors
        on samples that were left out, for which all classes have the same number and structure. Ties are decided by
        the Brier score.
    n_folds : int, default=10
        For 'cv': the parts of the samples, each of which is left out once, with equal shares of each class.
    priors : array-like of shape (n_classes,), optional
        Probabilities of the classes, in the order of `classes_`; by default their shares of the samples.
    tol, reg_covar, max_iter, n_init, init_params, prior, random_state, n_threads
        As in `GaussianMixture`, but `init_params` is 'auto' by default. EDDA takes one M-step, for which `reg_covar` and `prior`
        alone matter.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, in ascending order: those that have samples of positive weight.
    priors_ : ndarray of shape (n_classes,)
    mixtures_ : list of GaussianMixture
        Of each class; in EDDA of one component, whose structure is that of all together.
    candidates_ : list of Candidate
        What was chosen from: ``n_components``, ``covariance_type``, ``value`` of the criterion (lower is better) and, if chosen
        for one class, its ``label``. Empty if there was nothing to choose, and after `load`.
    log_likelihood_, bic_ : float
        Of the samples, log sum_c share_c f_c(x), and -2 log L + p log n; the shares of the classes are not among the p parameters.
        Both are as mclust has them.
    n_parameters_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Column names, if X was a data frame whose column names are strings.

    Examples
    --------
    >>> from fastgmm import GaussianMixtureClassifier
    >>> from fastgmm.datasets import load_iris
    >>> iris = load_iris()
    >>> model = GaussianMixtureClassifier(covariance_type="all").fit(iris.data, iris.target)
    >>> model.mixtures_[0].covariance_type
    'VEV'
    >>> round(model.score(iris.data, iris.target), 2)
    0.98
    """

    classes_: NDArray
    priors_: NDArray[np.float64]
    mixtures_: list[GaussianMixture]
    candidates_: list[Candidate]
    log_likelihood_: float
    bic_: float
    n_parameters_: int

    _fitted_attribute = "mixtures_"

    def __init__(
        self,
        n_components: int | Sequence[int] | Mapping[Any, Any] = 1,
        *,
        covariance_type: str | Sequence[str] | Mapping[Any, Any] = "full",
        method: str = "edda",
        criterion: str = "bic",
        n_folds: int = 10,
        priors: ArrayLike | None = None,
        tol: float = 1e-3,
        reg_covar: float = REG_COVAR,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "auto",
        prior: str | NormalInverseWishart | None = None,
        random_state: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.method = method
        self.criterion = criterion
        self.n_folds = n_folds
        self.priors = priors
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.prior = prior
        self.random_state = random_state
        self.n_threads = n_threads

    # --- fit ---

    @one_task
    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the mixtures of the classes.

        Parameters
        ----------
        X : array-like of shape (n, d)
            In memory.
        y : array-like of shape (n,)
            The class of each sample: integers, strings, booleans.
        sample_weight : array-like of shape (n,), optional
            How many times each sample counts; a class whose samples all have the weight 0 is left out.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            As `GaussianMixture.fit`, or if y is missing or holds no classes. The estimator is then unchanged.
        """
        _validation.check_choice("method", self.method, CLASSIFIERS)
        _validation.check_choice("criterion", self.criterion, CHOICES)
        _validation.check_integer("n_folds", self.n_folds, 2)
        _validation.check_threads(self.n_threads)
        names = _validation.feature_names(X)
        data = _validation.check_data(X, min_samples=2)
        labels = _validation.check_classes(y, len(data), type(self).__name__)
        weights = _validation.check_sample_weight(sample_weight, len(data))
        weights = np.ones(len(data)) if weights is None else weights
        kept = weights > 0
        classes, numbers = np.unique(labels[kept], return_inverse=True)
        known = Labelled(data[kept], numbers.reshape(-1).astype(np.int64), weights[kept], len(classes))
        priors = None if self.priors is None else _validation.check_weights("priors", self.priors, len(classes))
        chosen = self._chosen(known, classes, priors)
        found = chosen.models
        self._set(
            classes_=classes,
            priors_=known.shares if priors is None else priors,
            mixtures_=found.mixtures,
            candidates_=chosen.candidates,
            log_likelihood_=found.log_likelihood,
            n_parameters_=found.n_parameters,
            bic_=found.bic(float(known.weights.sum())),
            n_features_in_=data.shape[1],
            **named(names),
        )
        return self

    def _chosen(self, data: Labelled, classes: NDArray, priors: Float | None) -> Chosen:
        d, options = data.X.shape[1], self._options()
        for name in ("n_components", "covariance_type", "random_state"):
            options.pop(name)
        rng = _validation.check_random_state(self.random_state)
        options["random_state"] = rng
        grids = self._grids(classes, d)
        fit: Callable[[Labelled, int, str], ClassModels]
        if self.method == "edda":
            if any(size != 1 for grid in grids for size, _ in grid) or any(grid != grids[0] for grid in grids):
                raise ValueError(
                    "EDDA has one component for each class and one structure for all: pass method='mclustda' for others"
                )
            fit = partial(_edda, options=options)
        else:
            fit = partial(_alike, options=options)
        if self.criterion == "cv" and any(len(grid) > 1 for grid in grids):
            if any(grid != grids[0] for grid in grids):
                raise ValueError(
                    "criterion='cv' chooses the same number and structure for all classes: pass lists and no dict, or 'bic'"
                )
            return by_cross_validation(data, fit, grids[0], self.n_folds, rng, priors)
        if self.method == "edda":
            return self._by_bic(data, fit, grids[0])
        if all(len(grid) == 1 for grid in grids):
            sizes, types = zip(*(grid[0] for grid in grids), strict=True)
            return Chosen(of_each(data, sizes, types, options), [])
        return self._each_by_bic(data, classes, grids, options)

    def _by_bic(self, data: Labelled, fit: Callable[..., ClassModels], grid: list[tuple[int, str]]) -> Chosen:
        return by_bic(data, fit, grid) if len(grid) > 1 else Chosen(fit(data, *grid[0]), [])

    def _each_by_bic(
        self, data: Labelled, classes: NDArray, grids: list[list[tuple[int, str]]], options: dict[str, Any]
    ) -> Chosen:
        """Choose a number and a structure for each class by itself."""
        best, candidates = [], []
        for c, grid in enumerate(grids):
            own = data.rows(data.y == c)
            alone = Labelled(own.X, np.zeros(len(own.y), np.int64), own.weights, 1)
            label = classes[c].item() if hasattr(classes[c], "item") else classes[c]
            found = by_bic(alone, partial(_alike, options=options), grid, label)
            best.append(found.models)
            candidates += found.candidates
        models = ClassModels.of(data, [one.mixtures[0] for one in best], sum(one.n_parameters for one in best))
        return Chosen(models, candidates)

    def _grids(self, classes: NDArray, d: int) -> list[list[tuple[int, str]]]:
        """Return the pairs of number and structure that each class chooses from."""
        sizes = self._of_classes("n_components", self.n_components, classes)
        types = self._of_classes("covariance_type", self.covariance_type, classes)
        checked = []
        for of_class, names in zip(sizes, types, strict=True):
            many = list(of_class) if _validation.is_array_like(of_class) or isinstance(of_class, range) else [of_class]
            numbers = [_validation.check_integer("n_components", one, 1) for one in many]
            if not numbers:
                raise ValueError("n_components is empty: pass a number, or several to choose from")
            checked.append(_distinct([(size, name) for size in numbers for name in _structures(names, d)], self.method))
        return checked

    def _of_classes(self, name: str, value: Any, classes: NDArray) -> list[Any]:
        """Return the value of an argument for each class."""
        if not isinstance(value, Mapping):
            return [value] * len(classes)
        missing = [label for label in classes.tolist() if label not in value]
        if missing:
            raise ValueError(
                f"{name} is a dict without the class {missing[0]!r}: it needs an entry for each of {classes.tolist()}"
            )
        return [value[label] for label in classes.tolist()]

    # --- predictions ---

    def predict(self, X: Any) -> Any:
        """Return the most probable class of each sample, (n,). `X` as in `GaussianMixture.predict`; for Dask lazily."""
        self._check_is_fitted()
        params, of = joined(self.mixtures_, self.priors_)
        return self._each(
            X, partial(_labels, params=params, of=of, classes=self.classes_), "label", self.classes_.dtype
        )

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class for each sample, (n, n_classes), float64; for Dask lazily."""
        self._check_is_fitted()
        params, of = joined(self.mixtures_, self.priors_)
        columns = [f"p{c}" for c in range(len(self.classes_))]
        return self._each(X, partial(_probabilities, params=params, of=of), columns, np.dtype(np.float64))

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithm of `predict_proba`, exact also where that is 0."""
        self._check_is_fitted()
        params, of = joined(self.mixtures_, self.priors_)
        columns = [f"p{c}" for c in range(len(self.classes_))]
        return self._each(X, partial(_log_probabilities, params=params, of=of), columns, np.dtype(np.float64))

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the (weighted) share of samples whose class is predicted."""
        found = np.asarray(self.predict(X))
        known = _validation.check_classes(y, len(found), type(self).__name__)
        weights = _validation.check_sample_weight(sample_weight, len(found))
        return float(np.average(found == known, weights=weights))

    def _each(self, X: Any, evaluated: Callable[..., NDArray], columns: Any, dtype: np.dtype) -> Any:
        if not is_dask(X):
            source: Any = self._source(X)
            if source.local is None:
                raise TypeError("predictions are of data that are read here, or a Dask collection: pass X in parts")
            return evaluated(source, n_threads=self.n_threads)
        _validation.check_threads(self.n_threads)
        width, d = row_blocks(X).shape[1], self.n_features_in_
        self._check_features(d if width != width else width, _validation.feature_names(X))
        return each_block(X, evaluated, columns, dtype, d, self.n_threads)

    # --- files and scikit-learn ---

    def _parts(self) -> list[GaussianMixture]:
        return self.mixtures_

    def _own_arrays(self) -> dict[str, NDArray[Any]]:
        classes = np.asarray(self.classes_)
        if classes.dtype.kind == "O":
            if not all(isinstance(label, str) for label in classes):
                raise TypeError("classes_ are objects that are not strings, which a file does not hold: number them")
            classes = classes.astype(np.str_)
        numbers = {name: np.asarray(getattr(self, name)) for name in ("log_likelihood_", "bic_", "n_parameters_")}
        names = (
            {"feature_names_in_": np.asarray(self.feature_names_in_, np.str_)}
            if hasattr(self, "feature_names_in_")
            else {}
        )
        objects = np.asarray(np.asarray(self.classes_).dtype.kind == "O")
        return {"classes_": classes, "objects": objects, "priors_": np.asarray(self.priors_)} | numbers | names

    def _restore(self, parts: Sequence[GaussianMixture], arrays: dict[str, NDArray[Any]]) -> None:
        classes, priors = arrays["classes_"], arrays["priors_"]
        widths = {len(part.means_[0]) for part in parts}
        fits = classes.shape == priors.shape == (len(parts),) and priors.dtype == np.float64 and len(widths) == 1
        if not fits or not (priors >= 0).all() or abs(priors.sum() - 1.0) > 1e-6:
            raise ValueError(f"it has {classes.size} classes, {priors.size} priors and {len(parts)} mixtures")
        names = arrays.get("feature_names_in_")
        self._set(
            classes_=classes.astype(object) if arrays["objects"] else classes,
            priors_=priors,
            mixtures_=list(parts),
            candidates_=[],
            log_likelihood_=float(arrays["log_likelihood_"]),
            bic_=float(arrays["bic_"]),
            n_parameters_=int(arrays["n_parameters_"]),
            n_features_in_=widths.pop(),
            **named(names),
        )

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags

        tags = super().__sklearn_tags__()
        tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags()
        tags.target_tags.required = True
        return tags


def _edda(data: Labelled, size: int, name: str, *, options: dict[str, Any]) -> ClassModels:
    return edda(data, name, options)


def _alike(data: Labelled, size: int, name: str, *, options: dict[str, Any]) -> ClassModels:
    return of_each(data, [size] * data.n_classes, [name] * data.n_classes, options)


def _distinct(grid: list[tuple[int, str]], method: str) -> list[tuple[int, str]]:
    """Return the pairs without those that are another one: of a single component it does not matter what components share."""
    if method == "edda":
        return grid
    found: dict[tuple[int, str], tuple[int, str]] = {}
    for size, name in grid:
        letters = STRUCTURES[name].mclust_name
        found.setdefault((size, letters.replace("V", "E") if size == 1 else name), (size, name))
    return list(found.values())


def _structures(names: Any, d: int) -> list[str]:
    """Return the structures that an argument stands for."""
    if isinstance(names, str) and names == "all":
        return ["E", "V"] if d == 1 else list(MCLUST_NAMES)
    many = [names] if isinstance(names, str) or not _validation.is_array_like(names) else list(names)
    known = list(dict.fromkeys([*COVARIANCE_TYPES, *STRUCTURES]))
    found = [_validation.check_choice("covariance_type", name, [*known, "all"]) for name in many]
    if not found or "all" in found:
        raise ValueError("covariance_type must be the name of a structure, several of them, or 'all'")
    for name in found:
        STRUCTURES[name].check_features(d)
    return found


def _log_joint(X: NDArray, params: Params, of: NDArray[np.int64], n_threads: int | None) -> Float:
    """Return log(prior_c f_c(x)) of each sample and class, (n, c); in float64, however far a sample is."""
    source = ArraySource(np.asarray(X, np.float64))
    with np.errstate(divide="ignore"):
        parts = evaluate.log_density(source, params, n_threads) + np.log(params.weights)
    n_classes = int(of[-1]) + 1
    if len(of) == n_classes:
        return parts
    return np.column_stack([np.logaddexp.reduce(parts[:, of == c], axis=1) for c in range(n_classes)])


def _by_blocks(
    source: LocalSource,
    function: Callable[[Float], NDArray],
    out: NDArray,
    params: Params,
    of: NDArray[np.int64],
    n_threads: int | None,
) -> NDArray:
    plan = lanes(source, len(of), 0, row_bytes=8 * len(of))
    with closing(source.blocks(plan.rows)) as blocks:
        for block in blocks:
            rows = slice(block.start, block.start + len(block.X))
            out[rows] = function(_log_joint(block.X, params, of, n_threads))
    return out


def _labels(
    source: LocalSource,
    *,
    params: Params,
    of: NDArray[np.int64],
    classes: NDArray,
    n_threads: int | None = None,
) -> NDArray:
    out = np.empty(source.n_samples, np.int64)
    return classes[_by_blocks(source, lambda joint: joint.argmax(axis=1), out, params, of, n_threads)]


def _probabilities(
    source: LocalSource, *, params: Params, of: NDArray[np.int64], n_threads: int | None = None
) -> Float:
    out = np.empty((source.n_samples, int(of[-1]) + 1))
    return _by_blocks(source, normalised, out, params, of, n_threads)


def _log_probabilities(
    source: LocalSource, *, params: Params, of: NDArray[np.int64], n_threads: int | None = None
) -> Float:
    def shifted(joint: Float) -> Float:
        return joint - np.logaddexp.reduce(joint, axis=1)[:, None]

    out = np.empty((source.n_samples, int(of[-1]) + 1))
    return _by_blocks(source, shifted, out, params, of, n_threads)

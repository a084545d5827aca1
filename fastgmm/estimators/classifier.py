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
    """Classification (discriminant analysis) by Gaussian mixtures of the classes.

    With ``method='edda'`` each class is one component, and all share a covariance structure [1]_: 'full' is quadratic
    and 'tied' is linear discriminant analysis. With ``method='mclustda'`` each class is a mixture of its own [2]_. The
    number of components and the structure can be chosen from several.

    Parameters
    ----------
    n_components : int, sequence of int, or dict, default=1
        Number of components of each class: a number, several to choose from, or a dict with one of these for each
        class. EDDA has 1.
    covariance_type : str, sequence of str, or dict, default='full'
        Covariance structure, as in `GaussianMixture`; several to choose from; 'all' for the fourteen of mclust (two for
        a single feature); or, for MclustDA, a dict with one of these for each class.
    method : {'edda', 'mclustda'}, default='edda'
        Whether each class is one component (EDDA) or a mixture (MclustDA).
    criterion : {'bic', 'cv'}, default='bic'
        How to choose if there are several candidates. 'bic' takes the lowest BIC, in MclustDA of each class by itself.
        'cv' takes the fewest errors in cross-validation, and then the lowest Brier score [3]_; all classes get the same
        number and structure.
    n_folds : int, default=10
        Number of folds of the cross-validation, stratified by class, at least 2.
    priors : array-like of shape (n_classes,), optional
        Probabilities of the classes, in the order of `classes_`, which add up to 1. By default their shares of the
        samples.
    tol : float, default=1e-3
        EM stops when the mean log-likelihood per sample changes by less than this. Without effect in EDDA, which makes
        a single M-step.
    reg_covar : float, default=1e-6
        Added to the variances, in squared units of the data.
    max_iter : int, default=100
        Maximum number of EM iterations of each start. Without effect in EDDA.
    n_init : int, default=1
        Number of starts of each mixture, of which the best is kept. Without effect in EDDA.
    init_params : str, default='auto'
        How the initial parameters are found, as in `GaussianMixture`. Without effect in EDDA. ``'auto'`` tries several
        starts; with many features or in a cross-validation, ``'whitened'`` or ``'kmeans'`` saves most of the time.
    prior : {None, 'default'} or NormalInverseWishart, default=None
        Prior of means and covariances, as in `GaussianMixture`.
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator, default=None
        Source of all random draws. An int gives the same result on each call.
    n_threads : int, optional
        Number of threads. By default Numba's setting. Results do not depend on it, to the bit.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels of the classes that have samples of positive weight, in ascending order.
    priors_ : ndarray of shape (n_classes,)
        Probabilities of the classes that predictions use.
    mixtures_ : list of GaussianMixture
        Mixture of each class. In EDDA each has one component, and the structure is that of all together.
    candidates_ : list of fastgmm.estimators.class_models.Candidate
        The candidates that were compared, with ``n_components``, ``covariance_type``, ``value`` of the criterion (lower
        is better) and, if chosen for one class, its ``label``. Empty if there was nothing to choose, and after
        `fastgmm.load`.
    log_likelihood_ : float
        Log-likelihood of the samples without their classes, as in mclust; see Notes.
    bic_ : float
        -2 log L + p log n, as in mclust; lower is better.
    n_parameters_ : int
        Number p of free parameters of all mixtures; the shares of the classes are not counted.
    n_iter_ : int
        Number of EM iterations, the largest of all mixtures.
    converged_ : bool
        Whether the fits of all mixtures converged.
    n_features_in_ : int
        Number of features of the fit.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the columns; only if `X` was a data frame whose column names are all strings.

    See Also
    --------
    GaussianMixture.fit : Fit to samples of which only some are labelled, with ``labels``.
    GaussianMixtureRegressor : Predict a number rather than a class.

    Notes
    -----
    With the priors pi_c and the mixture densities f_c, the probability of class c is pi_c f_c(x) / sum_b pi_b f_b(x).
    The log-likelihood is sum_i w_i log sum_c s_c f_c(x_i), where s_c is the share of class c in the weights w_i.

    References
    ----------
    .. [1] H. Bensmail and G. Celeux, "Regularized Gaussian discriminant analysis through eigenvalue decomposition",
       Journal of the American Statistical Association 91(436), pp. 1743-1748, 1996.
    .. [2] C. Fraley and A. E. Raftery, "Model-based clustering, discriminant analysis, and density estimation", Journal
       of the American Statistical Association 97(458), pp. 611-631, 2002.
    .. [3] G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78(1), pp.
       1-3, 1950.

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
        X : array-like of shape (n_samples, n_features)
            Samples, in memory. float32 data are fitted in float32 with sums in float64.
        y : array-like of shape (n_samples,)
            Class of each sample: integers, strings or booleans.
        sample_weight : array-like of shape (n_samples,), optional
            How many times each sample counts. A class whose samples all have weight 0 is left out.

        Returns
        -------
        self
            The fitted classifier.

        Raises
        ------
        ValueError, TypeError
            As `GaussianMixture.fit`, or if `y` is missing or does not hold classes. The classifier is then unchanged.

        See Also
        --------
        predict : Predict the classes of samples.

        Examples
        --------
        >>> from fastgmm import GaussianMixtureClassifier
        >>> from fastgmm.datasets import load_iris
        >>> iris = load_iris()
        >>> model = GaussianMixtureClassifier(covariance_type=["tied", "full"]).fit(iris.data, iris.target)
        >>> [(one.covariance_type, round(one.value)) for one in model.candidates_]
        [('tied', 624), ('full', 576)]
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
                    "EDDA has one component for each class and one structure for all: pass method='mclustda' for anything else"
                )
            fit = partial(_edda, options=options)
        else:
            fit = partial(_alike, options=options)
        if self.criterion == "cv" and any(len(grid) > 1 for grid in grids):
            if any(grid != grids[0] for grid in grids):
                raise ValueError(
                    "criterion='cv' chooses the same number and structure for all classes: pass lists instead of dicts, or "
                    "criterion='bic'"
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
        """Choose a number of components and a structure for each class by itself."""
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
        """Return, for each class, the pairs of number and structure to choose from."""
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
        """Predict the most probable class of each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or Dask collection
            Samples with the features of the fit in the same order.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels, of the dtype of `classes_`; lazy for a Dask collection, a series called ``label`` for a data frame.

        Raises
        ------
        NotFittedError
            If the classifier is not fitted.
        ValueError, TypeError
            If `X` cannot be used.

        See Also
        --------
        predict_proba : Return the probability of each class.

        Examples
        --------
        >>> from fastgmm import GaussianMixtureClassifier
        >>> X, y = [[0.0], [0.2], [0.4], [3.0], [3.4], [3.1]], ["low", "low", "low", "high", "high", "high"]
        >>> GaussianMixtureClassifier().fit(X, y).predict([[0.1], [3.2]]).tolist()
        ['low', 'high']
        """
        self._check_is_fitted()
        params, of = joined(self.mixtures_, self.priors_)
        return self._each(
            X, partial(_labels, params=params, of=of, classes=self.classes_), "label", self.classes_.dtype
        )

    def predict_proba(self, X: Any) -> Any:
        """Compute the probability of each class for each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or Dask collection
            Samples with the features of the fit in the same order.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), dtype float64
            Probabilities in the order of `classes_`; each row adds up to 1. Lazy for a Dask collection, a frame with
            the columns ``p0``, ``p1``, ... for a data frame.

        Raises
        ------
        NotFittedError
            If the classifier is not fitted.
        ValueError, TypeError
            If `X` cannot be used.

        See Also
        --------
        predict_log_proba : Return the logarithms, exact also for probabilities that are 0 in float64.

        Examples
        --------
        >>> from fastgmm import GaussianMixtureClassifier
        >>> X, y = [[0.0], [0.2], [0.4], [3.0], [3.2], [3.4]], [0, 0, 0, 1, 1, 1]
        >>> GaussianMixtureClassifier().fit(X, y).predict_proba([[0.1], [1.7]]).round(3).tolist()
        [[1.0, 0.0], [0.5, 0.5]]
        """
        self._check_is_fitted()
        params, of = joined(self.mixtures_, self.priors_)
        columns = [f"p{c}" for c in range(len(self.classes_))]
        return self._each(X, partial(_probabilities, params=params, of=of), columns, np.dtype(np.float64))

    def predict_log_proba(self, X: Any) -> Any:
        """Compute the logarithm of the probability of each class for each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or Dask collection
            Samples with the features of the fit in the same order.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), dtype float64
            Logarithms of `predict_proba`, exact also where that is 0; lazy for a Dask collection.

        Raises
        ------
        NotFittedError
            If the classifier is not fitted.
        ValueError, TypeError
            If `X` cannot be used.

        See Also
        --------
        predict_proba : Return the probabilities.

        Examples
        --------
        >>> from fastgmm import GaussianMixtureClassifier
        >>> X, y = [[0.0], [0.2], [0.4], [3.0], [3.2], [3.4]], [0, 0, 0, 1, 1, 1]
        >>> GaussianMixtureClassifier().fit(X, y).predict_log_proba([[9.7]]).round().tolist()
        [[-900.0, 0.0]]
        """
        self._check_is_fitted()
        params, of = joined(self.mixtures_, self.priors_)
        columns = [f"p{c}" for c in range(len(self.classes_))]
        return self._each(X, partial(_log_probabilities, params=params, of=of), columns, np.dtype(np.float64))

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Compute the share of samples whose class is predicted (accuracy).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or Dask collection
            Samples with the features of the fit in the same order.
        y : array-like of shape (n_samples,)
            Their true classes.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples in the share. By default all weigh the same.

        Returns
        -------
        float
            Accuracy, from 0 to 1; higher is better.

        Raises
        ------
        NotFittedError
            If the classifier is not fitted.
        ValueError, TypeError
            If `X`, `y` or `sample_weight` cannot be used.

        See Also
        --------
        predict : Return the predicted classes.

        Examples
        --------
        >>> from fastgmm import GaussianMixtureClassifier
        >>> X, y = [[0.0], [0.2], [0.4], [3.0], [3.2], [3.4]], [0, 0, 0, 1, 1, 1]
        >>> GaussianMixtureClassifier().fit(X, y).score([[0.0], [0.3], [2.9], [0.5]], [0, 0, 1, 1])
        0.75
        """
        found = np.asarray(self.predict(X))
        known = _validation.check_classes(y, len(found), type(self).__name__)
        weights = _validation.check_sample_weight(sample_weight, len(found))
        return float(np.average(found == known, weights=weights))

    def _each(self, X: Any, evaluated: Callable[..., NDArray], columns: Any, dtype: np.dtype) -> Any:
        if not is_dask(X):
            source: Any = self._source(X)
            if source.local is None:
                raise TypeError("X is distributed, but it is not a Dask collection: predict parts of it")
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
                raise TypeError(
                    "classes_ are objects other than strings, which cannot be saved: use strings or integers as classes"
                )
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
    """Return the pairs without duplicates: for a single component it does not matter what components share."""
    if method == "edda":
        return grid
    found: dict[tuple[int, str], tuple[int, str]] = {}
    for size, name in grid:
        letters = STRUCTURES[name].mclust_name
        found.setdefault((size, letters.replace("V", "E") if size == 1 else name), (size, name))
    return list(found.values())


def _structures(names: Any, d: int) -> list[str]:
    """Return the names of the structures that an argument stands for."""
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
    """Return log(prior_c f_c(x)) of each sample and class, shape (n, c), in float64, however far away a sample is."""
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

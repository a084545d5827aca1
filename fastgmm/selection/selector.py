"""Selection of the number of components and the covariance structure: a grid of fits that share their work."""

from __future__ import annotations

import itertools
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastgmm import _validation
from fastgmm._errors import ConvergenceWarning, like_sklearn, memory_for, warn
from fastgmm._names import MISSING_VALUES
from fastgmm.data.open import open_source
from fastgmm.data.source import ArraySource, LocalSource, Source
from fastgmm.em.sweep import check_observed, total
from fastgmm.estimators.left_out import LeftOut, constant_features, features
from fastgmm.estimators.mixture import Criteria, warn_of_relative_weights
from fastgmm.fitting.checkpoint import data_of, settings_of
from fastgmm.fitting.degenerate import least_in_all
from fastgmm.fitting.prior import check_prior, completed
from fastgmm.fitting.progress import announced, steps
from fastgmm.model.priors import NormalInverseWishart
from fastgmm.model.structures import STRUCTURES, Structure
from fastgmm.selection.arguments import check_choices, check_sizes, check_types, structures_of
from fastgmm.selection.cells import Cells, Settings
from fastgmm.selection.checkpoint import SearchCheckpoint
from fastgmm.selection.races import Races
from fastgmm.selection.result import STABILITY, Selection
from fastgmm.selection.sampling import enriched
from fastgmm.selection.search import Grid
from fastgmm.selection.stability import stability
from fastgmm.selection.starts import Starts

Float = NDArray[np.float64]

#: With more samples than `_LARGE` all models are fitted to `_SAMPLE` of them first, and EM on all resumes from there. On 30 000
#: samples the mean gap in BIC to the best known, 4e5 and 5e5 in all, was for 7 overlapping clusters 47 from 3000 samples, 21
#: from 5000, 15 from 10 000, and 11 without; for heavy tails 87, 54, 278 and 179.
_LARGE, _SAMPLE = 5_000, 5_000
_SIZES = range(1, 10)


def select(
    X: Any,
    n_components: int | Iterable[int] = _SIZES,
    covariance_types: str | Iterable[str] = "all",
    criterion: str = "bic",
    *,
    sample_weight: ArrayLike | None = None,
    weight_type: str = "frequency",
    init_params: str = "hierarchical",
    n_init: int = 1,
    tol: float = 1e-5,
    reg_covar: float = 1e-9,
    max_iter: int = 1000,
    prior: str | NormalInverseWishart | None = None,
    missing_values: str = "raise",
    random_state: Any = None,
    n_threads: int | None = None,
    progress: bool = False,
    checkpoint: Any = None,
    checkpoint_every: float = 60.0,
) -> Selection:
    """Fit mixtures of several sizes and covariance structures, and compare them.

    The models share the work that `GaussianMixture` would repeat for each. Models that are spurious, with a component on too few
    or equal samples, do not count as fits: they are left out, as NaN with a reason, and never win.

    Parameters
    ----------
    X : array-like of shape (n, d), path, fastgmm.chunks(...), or Dask collection
        Data as in `GaussianMixture.fit`.
    n_components : int or iterable of int, default=range(1, 10)
        Numbers of components to try.
    covariance_types : 'all', str or iterable of str, default='all'
        Covariance structures to try, named as in `GaussianMixture`. 'all' are mclust's 14, for one feature 'E' and 'V'.
    criterion : {'bic', 'icl', 'aic', 'stability'}, default='bic'
        Criterion that ranks the models. 'stability' is the mean adjusted Rand index of the partitions of a dozen subsamples of
        80 %, of up to 5000 samples. It takes as many searches more, and one component, which has a single partition, never wins.
        The others are in the result as well.
    sample_weight : array-like of shape (n,), optional
        How many times each sample counts, as in `GaussianMixture.fit`. By default once.
    weight_type : {'frequency', 'importance'}, default='frequency'
        Meaning of the weights.

        'frequency'
            How often a sample was seen. n in the criteria is the sum of the weights, so their scale matters.
        'importance'
            Only the ratios of the weights matter, as of survey weights and probabilities. n is then the effective size,
            ``w.sum()**2 / (w**2).sum()`` [1]_, and the log-likelihood is that of so many samples.
    init_params : str, default='hierarchical'
        Initialisation, as in `GaussianMixture`. 'hierarchical' needs one tree for all sizes; for up to 2000 samples it depends
        on the data alone.
    n_init : int, default=1
        Starts for each size.
    tol : float, default=1e-5
        Convergence threshold as in `GaussianMixture`, stricter since differences between models are small.
    reg_covar : float, default=1e-9
        Share of the smallest variance of a feature that is added to every variance. The models found have that product as
        their `reg_covar`.
    max_iter : int, default=1000
        Maximum number of EM iterations of each model.
    prior : {None, 'default'} or NormalInverseWishart, default=None
        Prior as in `GaussianMixture`; 'default' is one for each size. No model is then left out for components on few or equal
        samples, and criteria are of the likelihood at the posterior mode. A structure may have a lower one than those it contains.
    missing_values : {'raise', 'marginalize'}, default='raise'
        As in `GaussianMixture`. Criteria are of the likelihood of the observed values, and n counts the samples that have any.
    random_state : None, int, numpy.random.RandomState or numpy.random.Generator, default=None
        Source of all random draws.
    n_threads : int, optional
        Number of threads; by default all that numba would use. The results do not depend on it, to the bit.
    progress : bool, default=False
        Show which model is being fitted, on standard error: as a progress bar or as lines, as `GaussianMixture.fit` does.
    checkpoint : path, optional
        File for the models that are fitted so far, as in `GaussianMixture.fit`: call select again with the same arguments to
        resume. It is removed when the search has ended; after Ctrl-C it stays.
    checkpoint_every : float, default=60.0
        Seconds between two writes.

    Returns
    -------
    Selection
        The criteria of all models, the best model, and methods for the others. It holds nothing that is as large as the data.

    Raises
    ------
    ValueError, TypeError
        If input or arguments cannot be used, all features are constant, or no model at all could be fitted.
        One model that cannot be fitted does not end the search.
    OSError
        If files cannot be read.
    KeyboardInterrupt
        On Ctrl-C before any model is fitted. Later, within about a second, the models that are fitted are returned.

    Warns
    -----
    ConvergenceWarning
        If the best model did not converge.
    UserWarning
        If the sum of the weights cannot be a number of samples, as `GaussianMixture.bic` says; if features are constant; if no
        model of two components or more has a fit, so that only one component can be chosen; if the best of the default sizes
        is the largest one.

    See Also
    --------
    GaussianMixture : One model.
    likelihood_ratio_test : Test of the number of components for one structure.
    merge : Clusters of components, if one cluster needs several of them.
    fastgmm.plotting.plot_criterion : Draw the criteria.

    Notes
    -----
    *Starts.* The data are opened once, and all structures of a size share their starts, among them the hierarchical one that
    mclust has. A structure also begins from the fits of those it contains (EEE contains EEI, VVV all others), so that it is
    never less likely than these. A size also begins from the fit of one component less, with each component in turn cut in two.
    Candidates are compared after a few iterations, and the best ones run to the end.

    *Many samples.* With more than 5000 samples the grid is fitted to 5000 first, in which those that are improbable under a
    coarse mixture are enriched, so that a rare population that lies apart is not lost; EM on all resumes from there.

    *Spurious models.* A model is spurious if a component holds fewer samples than d + 1, or 2 if only its volume is its own; if
    two or more components have a common covariance matrix (EEE, VEE) and n - k is 2 d or less; or if a component is flat: in
    some direction its variance is `reg_covar`, or rounding, beside that of the data. `fit` warns of such components. Models
    are left out before they run if there are too few distinct samples for them, if they need features that are not linear
    combinations of others, or if the two sizes below, tried as well, have no valid fit of the same type.

    *Units.* The units of the data do not matter, nor do those of single features to structures that are the same in all units.
    EII and VII, and those whose orientation is common or whose shape is (EVE, VVE, EEV, VEV), do depend on the units of
    features, as in mclust: scale the features if their units mean nothing.

    *Constant features.* A feature that is constant, up to rounding and among samples of positive weight, is left out with a
    warning. The models and the number of their parameters are those of the other features (`Selection.features`), in ``means_``
    and all else. Methods of the models accept data with the columns passed to `select`, and ignore the constant ones whatever
    their values there; they also accept data without these. Only `fit` starts anew with all columns that it is passed.

    References
    ----------
    .. [1] L. Kish, "Survey Sampling", Wiley, 1965.
    .. [2] L. Scrucca, M. Fop, T. B. Murphy and A. E. Raftery, "mclust 5: clustering, classification and density estimation
       using Gaussian finite mixture models", The R Journal 8(1), 2016, 289-317.

    Examples
    --------
    >>> from fastgmm import select
    >>> from fastgmm.datasets import load_faithful
    >>> found = select(load_faithful().data, n_components=range(1, 5), covariance_types=["EEE", "VVV"])
    >>> found.best_covariance_type, found.best_n_components
    ('EEE', 3)
    """
    sizes = check_sizes(n_components)
    check_choices(sizes, criterion, init_params, weight_type)
    _validation.check_integer("n_init", n_init, 1)
    missing = _validation.check_choice("missing_values", missing_values, MISSING_VALUES) != "raise"
    settings = Settings(
        _validation.check_non_negative("tol", tol),
        _validation.check_non_negative("reg_covar", reg_covar),
        _validation.check_integer("max_iter", max_iter, 1),
        _validation.check_threads(n_threads),
    )
    asked = check_prior(prior)
    _validation.check_bool("progress", progress)
    every = _validation.check_non_negative("checkpoint_every", checkpoint_every)
    file = None if checkpoint is None else SearchCheckpoint(checkpoint, every)
    names = _validation.feature_names(X)
    rng = _validation.check_random_state(random_state)
    wanted = check_types(covariance_types)
    source = open_source(X, sample_weight, min_samples=2, missing=missing, valued=True)
    check_observed(source, names)
    _validation.check_magnitude(source.largest, source.n_features, source.dtype)
    effective = _effective(source, weight_type, settings.n_threads)
    source, left_out = _varying(source, names, settings.n_threads)
    kept = np.arange(source.n_features) if left_out is None else left_out.kept(source.n_features)
    n_given = source.n_features if left_out is None else source.n_features + left_out.indices.size
    settings = _for_data(settings, source, asked, kept, n_given)
    structures = structures_of(wanted, source.n_features)
    arguments = {"tol": tol, "max_iter": max_iter, "init_params": init_params, "n_init": n_init}
    arguments |= {"prior": prior, "random_state": random_state, "missing_values": missing_values}
    if file is not None:
        _read(file, source, structures, sizes, {**arguments, "reg_covar": reg_covar, "weight_type": weight_type})
    what = f"a search of up to {max(sizes)} components in {source.n_features} features, {source.n_samples} samples"
    with (
        announced(False, progress),
        memory_for(what, "Ask for fewer components or types of fewer parameters, such as 'VVI'"),
    ):
        start = (init_params, n_init, rng)
        grid = _search(source, structures, sizes, settings, start, _called(names, kept), progress, file)
    arguments |= {"reg_covar": settings.added, "n_threads": n_threads}
    data = (source.n_features, source.dtype, None if names is None else names[kept], left_out)
    left = grid.completed()
    if file is not None and not grid.interrupted:
        file.remove()
    if left and len(grid.cells) == left:
        raise KeyboardInterrupt
    stable = None
    if criterion == STABILITY:
        stable = _stability(source, structures, sizes, settings, start)
    found = _selection(source, structures, sizes, criterion, grid, settings, arguments, data, effective, stable)
    _check_found(found, left)
    _warn_of_size(found, by_default=n_components is _SIZES)
    return found


def _for_data(
    settings: Settings, source: Source, prior: NormalInverseWishart | None, kept: NDArray[np.int64], n_given: int
) -> Settings:
    """Return the settings for the features `kept` of `n_given`: with the variance to be added, and the marginal prior."""
    variances = np.diagonal(total(source, settings.n_threads).scatter) / source.total_weight
    added = settings.reg_covar * float(variances.min())
    return replace(settings, added=added, prior=None if prior is None else prior.of_features(kept, n_given))


def _read(
    file: SearchCheckpoint,
    source: Source,
    structures: Sequence[Structure],
    sizes: Sequence[int],
    arguments: Mapping[str, Any],
) -> None:
    """Read the checkpoint of a search, if it exists and is that of these data and arguments; raise ValueError if it is not."""
    names = ", ".join(one.name for one in structures)
    asked = {**arguments, "prior": repr(arguments["prior"]), "n_components": list(sizes), "covariance_types": names}
    file.identify(settings_of("select", asked), data_of(source))
    file.load()


def _called(names: NDArray | None, kept: NDArray[np.int64]) -> list[str]:
    """Return the names of the features that are kept, for messages."""
    return [f"feature {j}" if names is None else repr(str(names[j])) for j in kept]


def _effective(source: Source, weight_type: str, n_threads: int | None) -> float | None:
    """Return the effective number of samples if only ratios of weights matter; otherwise warn if weights cannot be counts."""
    if weight_type == "importance":
        return kish(source, n_threads)
    warn_of_relative_weights(source)
    return None


def kish(source: Source, n_threads: int | None) -> float:
    """Return the effective number of samples, (sum w)^2 / sum w^2, whatever the scale of the weights."""
    return source.total_weight**2 / source.map_reduce(_squares, operator.add, n_threads)


def _squares(source: LocalSource) -> float:
    """Return the sum of the squares of the weights, in units of the source."""
    total = 0.0
    with closing(source.blocks(1 << 16)) as blocks:
        for block in blocks:
            weights = block.weights.astype(np.float64)
            total += float(np.einsum("i,i->", weights, weights)) if weights.size else float(len(block.X))
    return total


# --- the search ---


def _search(
    source: Source,
    structures: list[Structure],
    sizes: Sequence[int],
    settings: Settings,
    start: tuple[str, int, np.random.RandomState],
    names: Sequence[str],
    progress: bool,
    file: SearchCheckpoint | None,
) -> Cells:
    init_params, n_init, rng = start
    sample = source.for_start(rng)
    n_distinct = source.n_samples
    if sample.n_samples == n_distinct:  # all are at hand
        most = max(least_in_all(one, max(sizes), source.n_features) for one in structures)
        n_distinct = sample.n_distinct(min(most, n_distinct))
    large = source.n_samples > _LARGE or sample.n_samples < source.n_samples
    if large:
        sample = enriched(source, sample.subsample(_SAMPLE, rng), rng, settings.n_threads)
    n_cells = len(sizes) * len(structures)
    # a cell costs in proportion to its components
    work = sum(sizes) * len(structures) * (1 + large)
    told = _Told(steps(work), n_cells) if progress else None

    def options(which: str) -> dict[str, Any]:
        return {"told": _silent if told is None else told.of(which), "names": names}

    try:
        starts = Starts(sample, init_params, n_init, rng, settings, even=large)
        little = _of_little(
            sample,
            structures,
            sizes,
            settings,
            starts,
            n_distinct=None if large else n_distinct,
            stands_for=source.n_samples,
            checkpoint=file,
            **options(", of a sample" if large else ""),
        )
        if not large or little.interrupted:
            if large:  # a sample's fits are not those of all
                little.cells.clear()
            return little
        grid = Grid(
            source,
            structures,
            sizes,
            settings,
            starts=starts,
            sample=little,
            n_distinct=n_distinct,
            checkpoint=file,
            **options(""),
        )
        grid.run()
        return grid
    finally:
        if told is not None:
            told.close()


def _of_little(
    sample: ArraySource,
    structures: Sequence[Structure],
    sizes: Sequence[int],
    settings: Settings,
    starts: Starts,
    *,
    stands_for: int | None = None,
    checkpoint: SearchCheckpoint | None = None,
    **options: Any,
) -> Cells:
    """Fit the cells of little data: by races, or with a prior or missing values, which their compiled loop lacks, by a grid."""
    if settings.prior is not None or sample.incomplete:
        # the checkpoint is that of all samples, if these are a sample of them
        file = checkpoint if stands_for in (None, sample.n_samples) else None
        grid = Grid(sample, structures, sizes, settings, starts=starts, checkpoint=file, **options)
        grid.run()
        return grid
    races = Races(sample, structures, sizes, settings, stands_for=stands_for, checkpoint=checkpoint, **options)
    races.run(starts)
    return races


def _stability(
    source: Source,
    structures: list[Structure],
    sizes: Sequence[int],
    settings: Settings,
    start: tuple[str, int, np.random.RandomState],
) -> Float:
    init_params, n_init, rng = start
    sample = source.for_start(rng).subsample(_SAMPLE, rng)

    def search(part: ArraySource) -> Cells:
        cells = _of_little(part, structures, sizes, settings, Starts(part, init_params, n_init, rng, settings))
        if cells.interrupted:
            raise KeyboardInterrupt
        return cells

    return stability(sample, sizes, structures, search, rng, settings.n_threads)


def _silent(k: int, structure: Structure) -> None:
    pass


class _Told:
    """Progress over the cells of one grid after the other."""

    def __init__(self, tell: Callable[[int, str], None], n_cells: int) -> None:
        self._tell, self._n_cells = tell, n_cells
        self._done, self._next = 0, 0
        self._lock = Lock()  # sizes run side by side

    def of(self, which: str) -> Callable[[int, Structure], None]:
        counter = itertools.count(1)

        def told(k: int, structure: Structure) -> None:
            with self._lock:
                self._done, self._next = self._done + self._next, k
                components = f"{k} component{'s' * (k != 1)}"
                self._tell(
                    self._done, f"model {next(counter)} of {self._n_cells}{which}: {structure.name}, {components}"
                )

        return told

    def close(self) -> None:
        self._tell(self._done, "")


def _selection(
    source: Source,
    structures: list[Structure],
    sizes: tuple[int, ...],
    criterion: str,
    grid: Cells,
    settings: Settings,
    arguments: Mapping[str, Any],
    data: tuple[int, np.dtype, NDArray | None, LeftOut | None],
    effective: float | None = None,
    stable: Float | None = None,
) -> Selection:
    cells = grid.cells
    shape = (len(sizes), len(structures))
    values = {name: np.full(shape, np.nan) for name in ("bic", "icl", "aic", "log_likelihood", "entropy")}
    n_parameters, converged = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
    n = source.total_weight * source.weight_unit if effective is None else effective
    unit = n / source.total_weight
    for (i, k), (j, structure) in itertools.product(enumerate(sizes), enumerate(structures)):
        cell = cells[k, structure.name]
        n_parameters[i, j] = structure.n_parameters(k, source.n_features)
        if cell.fit is None or cell.sums is None:
            continue
        sums = cell.sums.times(unit)
        of = Criteria.of(sums.log_likelihood, n, int(n_parameters[i, j]))
        found = (of.bic, of.icl(sums.classification), of.aic, sums.log_likelihood, sums.entropy)
        for array, value in zip(values.values(), found, strict=True):
            array[i, j] = value
        converged[i, j] = cell.fit.converged
    for array in (*values.values(), n_parameters, converged):
        array.flags.writeable = False
    return Selection(
        sizes,
        tuple(structure.name for structure in structures),
        criterion,
        **values,
        n_parameters=n_parameters,
        converged=converged,
        reasons=grid.reasons(),
        n_samples=n,
        stability=np.full(shape, np.nan) if stable is None else stable,
        _fits={key: cell.fit for key, cell in cells.items() if cell.fit is not None},
        _arguments=arguments,
        _data=data,
        _priors=_priors(source, grid, settings),
    )


def _priors(source: Source, grid: Cells, settings: Settings) -> dict[tuple[int, str], NormalInverseWishart]:
    """Return the priors that the models were fitted with, if any."""
    if settings.prior is None:
        return {}
    threads = settings.n_threads
    return {(k, name): completed(settings.prior, source, STRUCTURES[name], k, threads) for k, name in grid.cells}


def _varying(source: Source, names: NDArray | None, n_threads: int | None) -> tuple[Source, LeftOut | None]:
    """Return the source without its constant features, and warn of these; raise ValueError if there are no others."""
    constant = constant_features(source, n_threads)
    if not constant.size:
        return source, None
    if constant.size == source.n_features:
        what = "the feature is" if constant.size == 1 else f"all {constant.size} features are"
        raise ValueError(
            f"{what} constant, so that none of the models could be fitted: all samples of positive weight are equal. Pass "
            "data that vary"
        )
    one = constant.size == 1
    is_out, says = ("is constant and is left out", "it says") if one else ("are constant and are left out", "they say")
    warn(
        f"{features(constant, names)} {is_out}: {says} nothing about components, and most covariances would be singular. The "
        "models have the other features, and accept X as it is",
        UserWarning,
    )
    left_out = LeftOut(constant, names)
    return source.of_features(left_out.kept(source.n_features - constant.size)), left_out


def _warn_of_size(found: Selection, *, by_default: bool) -> None:
    """Warn if only one component was left to choose, or if the default sizes ended too early."""
    sizes = {k for k, _ in found._fits}
    rejected = [reason for (k, _), reason in found.reasons.items() if k > 1]
    if sizes == {1} and rejected:
        reason, count = Counter(rejected).most_common(1)[0]
        warn(
            f"None of the {len(rejected)} models of two components or more could be fitted, so that one component is the best only "
            f"because there is no other. This does not mean that there is one cluster. {count} of them: {reason}",
            UserWarning,
        )
    elif by_default and found.best_n_components == max(found.n_components):
        warn(
            f"The best model has {found.best_n_components} components, as many as were tried: a larger number may be better, pass "
            f"n_components=range(1, {2 * found.best_n_components + 1})",
            UserWarning,
        )


def _check_found(found: Selection, left: int) -> None:
    """Raise ValueError if there is no fit, and warn if the best one did not converge, or `left` models were not fitted."""
    if not found._fits:
        counts = Counter(found.reasons.values()).most_common(2)
        told = "; ".join(f"{reason} ({count} of them)" for reason, count in counts)
        raise ValueError(f"none of the {found.bic.size} models could be fitted: {told}")
    best = found._best
    if not best.converged:
        warn(
            f"The best model, {best.covariance_type} with {best.n_components} components, did not converge within max_iter="
            f"{found._arguments['max_iter']} iterations: increase max_iter or tol",
            like_sklearn(ConvergenceWarning),
        )
    if left:
        warn(
            f"The search was interrupted: {left} of {found.bic.size} models were not fitted, and the best is that of the others",
            UserWarning,
        )

"""The result of a search over models: tables, the best one, and how it prints."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgmm import _validation
from fastgmm._compat import cached_property, optional
from fastgmm._names import CRITERIA
from fastgmm.em.result import FitResult
from fastgmm.estimators.gaussian_mixture import GaussianMixture
from fastgmm.estimators.left_out import LeftOut
from fastgmm.estimators.notebook import Table, page
from fastgmm.model.priors import NormalInverseWishart

Float = NDArray[np.float64]
STABILITY = "stability"

#: Columns that fit on a line of 80 characters.
_COLUMNS = 7


class Row(NamedTuple):  # numpydoc ignore=PR01
    """Hold the criteria of one model of a selection, or the reason why it has no fit.

    Attributes
    ----------
    n_components : int
        Number of components.
    covariance_type : str
        Covariance structure.
    bic, icl, aic : float
        Criteria, lower is better; NaN if there is no fit.
    log_likelihood : float
        Log-likelihood of all samples, each as often as its weight says; NaN if there is no fit.
    entropy : float
        ``-sum_ik z_ik log z_ik`` of the responsibilities; NaN if there is no fit.
    n_parameters : int
        Number of free parameters.
    converged : bool
        Whether EM reached `tol` within `max_iter`.
    reason : str
        Why there is no fit; empty if there is one.
    stability : float
        Mean adjusted Rand index of the partitions of subsamples, higher is better; NaN unless that was asked for.

    See Also
    --------
    Selection.table : All rows.
    Selection.ranking : Rows of the models that have a fit, the best first.

    Examples
    --------
    >>> from fastgmm import select
    >>> from fastgmm.datasets import load_faithful
    >>> row = select(load_faithful().data, 2, "EEE").table[0]
    >>> row.n_components, row.covariance_type, round(row.bic, 1), row.n_parameters
    (2, 'EEE', 2325.2, 8)
    """

    n_components: int
    covariance_type: str
    bic: float
    icl: float
    aic: float
    log_likelihood: float
    entropy: float
    n_parameters: int
    converged: bool
    reason: str
    stability: float = math.nan

    def badness(self, criterion: str) -> float:
        """Return a number that is lower for the better model: the criterion, or the negative of the stability.

        Parameters
        ----------
        criterion : {'bic', 'icl', 'aic', 'stability'}
            The criterion.

        Returns
        -------
        float
            Its value, with the sign changed for 'stability'; NaN if the model has no fit.

        See Also
        --------
        Selection.ranking : Models sorted by it.

        Examples
        --------
        >>> from fastgmm.selection import Row
        >>> Row(2, "EEE", 10.0, 11.0, 9.0, -1.0, 0.5, 8, True, "", stability=0.75).badness("stability")
        -0.75
        """
        value = float(getattr(self, criterion))
        return -value if criterion == STABILITY else value


@dataclass(frozen=True, eq=False, repr=False)
class Selection:  # numpydoc ignore=PR01
    """Hold the models of several sizes and structures that `select` fitted to the same data, and their criteria.

    The arrays have a row for each number of components and a column for each covariance type; NaN if there is no fit.

    Attributes
    ----------
    n_components : tuple of int
        The numbers of components, one for each row.
    covariance_types : tuple of str
        The covariance types, one for each column.
    criterion : {'bic', 'icl', 'aic', 'stability'}
        The criterion that `best_model` and `ranking` use.
    bic, icl, aic : ndarray of float64
        Criteria as `GaussianMixture.bic`, `icl` and `aic`: lower is better. mclust prints the negatives of the first two.
    log_likelihood : ndarray of float64
        Log-likelihood of all samples, each as often as its weight says.
    entropy : ndarray of float64
        ``-sum_ik z_ik log z_ik`` of the responsibilities: 0 if every sample belongs to a component for certain.
    n_parameters : ndarray of int64
        Number of free parameters.
    converged : ndarray of bool
        Whether EM reached `tol` within `max_iter`.
    reasons : dict
        Why models have no fit: from (number of components, covariance type) to the reason.
    n_samples : float
        The n of the criteria: the sum of the weights, or their effective size.
    stability : ndarray of float64
        Mean adjusted Rand index of the partitions of subsamples, at most 1, higher is better. It is NaN for a single
        component, and everywhere unless ``criterion='stability'`` was asked for.

    See Also
    --------
    select : Make it.

    Examples
    --------
    >>> from fastgmm import select
    >>> from fastgmm.datasets import load_faithful
    >>> found = select(load_faithful().data, n_components=range(1, 4), covariance_types=["EEE", "VVV"])
    >>> found.bic.round(1).tolist()
    [[2607.6, 2607.6], [2325.2, 2322.2], [2314.3, 2324.2]]
    >>> found.best_model.weights_.round(2).tolist()
    [0.17, 0.36, 0.47]
    """

    n_components: tuple[int, ...]
    covariance_types: tuple[str, ...]
    criterion: str
    bic: Float
    icl: Float
    aic: Float
    log_likelihood: Float
    entropy: Float
    n_parameters: NDArray[np.int64]
    converged: NDArray[np.bool_]
    reasons: Mapping[tuple[int, str], str]
    n_samples: float
    stability: Float
    _fits: Mapping[tuple[int, str], FitResult] = field(repr=False)
    _arguments: Mapping[str, Any] = field(repr=False)
    _data: tuple[int, np.dtype, NDArray | None, LeftOut | None] = field(repr=False)
    _priors: Mapping[tuple[int, str], NormalInverseWishart] = field(repr=False, default_factory=dict)

    @property
    def features(self) -> tuple[int, ...]:
        """Return the indices of the features of X that the models have, as a tuple of int: all but the constant ones.

        See Also
        --------
        select : Leaves out constant features.

        Examples
        --------
        >>> import warnings
        >>> from fastgmm import select
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")  # feature 1 is constant and is left out
        ...     found = select([[0.0, 5.0], [1.0, 5.0], [9.0, 5.0], [8.0, 5.0]], 1)
        >>> found.features
        (0,)
        """
        d, _, _, left_out = self._data
        return tuple(range(d)) if left_out is None else tuple(left_out.kept(d).tolist())

    @property
    def table(self) -> list[Row]:
        """Return all models as a list of `Row`, by number of components, then in the order of the covariance types.

        See Also
        --------
        to_pandas : The same as a data frame.
        ranking : The models that have a fit, the best first.

        Examples
        --------
        >>> from fastgmm import select
        >>> from fastgmm.datasets import load_faithful
        >>> table = select(load_faithful().data, [1, 2], ["EEE", "VVV"]).table
        >>> [(row.covariance_type, row.n_components) for row in table]
        [('EEE', 1), ('VVV', 1), ('EEE', 2), ('VVV', 2)]
        """
        return [self._row(i, j) for i in range(len(self.n_components)) for j in range(len(self.covariance_types))]

    def _row(self, i: int, j: int) -> Row:
        k, name = self.n_components[i], self.covariance_types[j]
        return Row(
            k,
            name,
            float(self.bic[i, j]),
            float(self.icl[i, j]),
            float(self.aic[i, j]),
            float(self.log_likelihood[i, j]),
            float(self.entropy[i, j]),
            int(self.n_parameters[i, j]),
            bool(self.converged[i, j]),
            self.reasons.get((k, name), ""),
            # the one object NaN, with which rows are equal to themselves
            math.nan if math.isnan(self.stability[i, j]) else float(self.stability[i, j]),
        )

    def to_pandas(self) -> Any:
        """Return the table as a data frame.

        Returns
        -------
        pandas.DataFrame
            A row for each model, and a column for each field of `Row`.

        Raises
        ------
        ImportError
            If pandas is not installed.

        See Also
        --------
        table : The same as a list.

        Examples
        --------
        >>> from fastgmm import select
        >>> from fastgmm.datasets import load_faithful
        >>> select(load_faithful().data, [1, 2], ["EEE", "VVV"]).to_pandas().shape
        (4, 11)
        """
        return optional("pandas", "Selection.to_pandas").DataFrame(self.table, columns=Row._fields)

    def ranking(self, n: int | None = None) -> list[Row]:
        """Return the models that have a fit, the best by `criterion` first.

        Parameters
        ----------
        n : int, optional
            How many models to return; by default all.

        Returns
        -------
        list of Row
            The models; of equally good ones those with fewer components first.

        See Also
        --------
        differences : The same with the difference to the best.
        table : All models.

        Examples
        --------
        >>> from fastgmm import select
        >>> from fastgmm.datasets import load_faithful
        >>> best, *others = select(load_faithful().data, [1, 2, 3], ["EEE", "VVV"]).ranking()
        >>> best.covariance_type, best.n_components, round(best.bic, 1)
        ('EEE', 3, 2314.3)
        """
        if n is not None:
            _validation.check_integer("n", n, 1)
        fitted = [row for row in self.table if not math.isnan(getattr(row, self.criterion))]
        return sorted(fitted, key=lambda row: row.badness(self.criterion))[:n]

    def differences(self, n: int | None = None) -> list[tuple[Row, float]]:
        """Return the ranking, each model with the difference of its criterion to that of the best.

        Parameters
        ----------
        n : int, optional
            How many models to return; by default all.

        Returns
        -------
        list of (Row, float)
            The models and their differences, 0 or more.

        See Also
        --------
        ranking : The models alone.
        summary : A text that has them.

        Notes
        -----
        A difference in BIC below 2 is hardly worth a mention; above 10 it is very strong evidence [1]_.

        References
        ----------
        .. [1] R. E. Kass and A. E. Raftery, "Bayes factors", Journal of the American Statistical Association 90(430), 1995,
           773-795.

        Examples
        --------
        >>> from fastgmm import select
        >>> from fastgmm.datasets import load_faithful
        >>> found = select(load_faithful().data, [1, 2, 3], ["EEE", "VVV"])
        >>> [(row.covariance_type, row.n_components, round(difference, 1)) for row, difference in found.differences(2)]
        [('EEE', 3, 0.0), ('VVV', 2, 7.9)]
        """
        rows = self.ranking(n)
        best = rows[0].badness(self.criterion) if rows else 0.0
        return [(row, row.badness(self.criterion) - best) for row in rows]

    def summary(self, n: int = 5) -> str:
        """Return a text about the best model, its components, and the next best models.

        Parameters
        ----------
        n : int, default=5
            How many models to list, with their numbers of free parameters and their differences.

        Returns
        -------
        str
            The text, of several lines.

        See Also
        --------
        differences : The same numbers as objects.

        Examples
        --------
        >>> from fastgmm import select
        >>> from fastgmm.datasets import load_faithful
        >>> print(select(load_faithful().data, [1, 2, 3], ["EEE", "VVV"]).summary().splitlines()[0])
        EEE with 3 components, the best of 6 models by BIC
        """
        best, model, name = self._best, self.best_model, self.criterion.upper()
        d = model.means_.shape[1]
        samples = self.n_samples
        lines = [
            f"{best.covariance_type} with {best.n_components} component{'s' * (best.n_components > 1)}, "
            f"the best of {len(self._fits)} models by {name}",
            "",
            f"{'samples':>16}  {samples:.10g}",
            f"{'features':>16}  {d}",
            f"{'log-likelihood':>16}  {best.log_likelihood:.3f}",
            f"{'free parameters':>16}  {best.n_parameters}",
            f"{'BIC':>16}  {best.bic:.3f}",
            f"{'ICL':>16}  {best.icl:.3f}",
            f"{'AIC':>16}  {best.aic:.3f}",
            f"{'entropy':>16}  {best.entropy:.3f}",
            f"{'converged':>16}  {'yes' if best.converged else 'no'}",
            "",
            "component   weight  expected samples",
            *(f"{j:>9}  {w:>7.4f}  {w * samples:>16.1f}" for j, w in enumerate(model.weights_.tolist())),
            "",
            f"{'model':>9}  {'parameters':>10}  {name:>12}  difference",
            *(
                f"{row.covariance_type + ', ' + str(row.n_components):>9}  {row.n_parameters:>10}  "
                f"{getattr(row, self.criterion):>12.3f}  {difference:>10.3f}"
                for row, difference in self.differences(n)
            ),
        ]
        return "\n".join([*lines, *self._at_the_end()])

    @cached_property
    def _best(self) -> Row:
        return self.ranking(1)[0]

    @property
    def best_n_components(self) -> int:
        """Return the number of components of the best model, an int.

        See Also
        --------
        best_model : The best model.

        Examples
        --------
        >>> from fastgmm import select
        >>> from fastgmm.datasets import load_faithful
        >>> select(load_faithful().data, [1, 2], "EEE").best_n_components
        2
        """
        return self._best.n_components

    @property
    def best_covariance_type(self) -> str:
        """Return the covariance type of the best model, a str.

        See Also
        --------
        best_model : The best model.

        Examples
        --------
        >>> from fastgmm import select
        >>> from fastgmm.datasets import load_faithful
        >>> select(load_faithful().data, 2, ["EEE", "VVV"]).best_covariance_type
        'VVV'
        """
        return self._best.covariance_type

    @cached_property
    def best_model(self) -> GaussianMixture:
        """Return the fitted `GaussianMixture` that is best by `criterion`; of equally good ones the one with fewer components.

        See Also
        --------
        model : Any of the models.

        Examples
        --------
        >>> from fastgmm import select
        >>> from fastgmm.datasets import load_faithful
        >>> X = load_faithful().data
        >>> select(X, [1, 2], "EEE").best_model.predict(X[:3]).tolist()
        [1, 0, 1]
        """
        return self.model(self.best_n_components, self.best_covariance_type)

    def model(self, n_components: int, covariance_type: str) -> GaussianMixture:
        """Return the fitted mixture of any size and structure of the selection.

        Parameters
        ----------
        n_components : int
            Number of components, one of those of the selection.
        covariance_type : str
            Covariance structure, one of those of the selection.

        Returns
        -------
        GaussianMixture
            The fitted model; each call returns a new one.

        Raises
        ------
        ValueError
            If the selection does not have it, or it has no fit; the message says why.

        See Also
        --------
        best_model : The best one.

        Examples
        --------
        >>> from fastgmm import select
        >>> from fastgmm.datasets import load_faithful
        >>> select(load_faithful().data, [1, 2, 3], ["EEE", "VVV"]).model(2, "VVV").weights_.round(2).tolist()
        [0.64, 0.36]
        """
        key = _validation.check_integer("n_components", n_components, 1), covariance_type
        _validation.check_choice("covariance_type", covariance_type, self.covariance_types)
        if key[0] not in self.n_components:
            raise ValueError(
                f"n_components must be one of {', '.join(map(str, self.n_components))}, got {n_components}"
            )
        if key not in self._fits:
            raise ValueError(
                f"there is no fit of {n_components} components with {covariance_type!r}: {self.reasons[key]}"
            )
        model = GaussianMixture(key[0], covariance_type=covariance_type, **self._arguments)
        model.n_features_in_, dtype, names, left_out = self._data
        if names is not None:
            model.feature_names_in_ = names
        if left_out is not None:
            model._left_out = left_out
        if key in self._priors:
            model.prior_ = self._priors[key]
        model._set_fitted(self._fits[key], dtype)
        return model

    def plot(self, ax: Any = None, *, what: str = "criterion", X: Any = None, **options: Any) -> Any:
        """Draw the search or its best model.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, or Figure or SubFigure without axes, optional
            Target of the drawing. By default pyplot's current axes, or a new figure for a grid.
        what : {'criterion', 'bic', 'icl', 'aic', 'classification', 'uncertainty', 'density'}, default='criterion'
            What to draw.

            'criterion', 'bic', 'icl' or 'aic'
                The criterion over the number of components, a line for each covariance type: `fastgmm.plotting.plot_criterion`.
            'classification' or 'uncertainty'
                The best model and the samples `X`, without or with the uncertainty of each sample:
                `fastgmm.plotting.plot_mixture`.
            'density'
                The density of the best model, with its regions of the highest density if the model has one or two features or
                `features` names as many (`fastgmm.plotting.plot_density`), otherwise all marginals.
        X : array-like of shape (n, d), optional
            The samples, which a selection does not keep.
        **options
            Options of the plotting function.

        Returns
        -------
        CriterionArtists, MixtureArtists or DensityArtists
            Everything that was drawn: the result of the plotting function.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `what` is unknown, or needs `X` and it is missing.

        See Also
        --------
        fastgmm.plotting.plot_criterion : Draw criteria.
        fastgmm.plotting.plot_mixture : Draw a mixture and samples.
        fastgmm.plotting.plot_density : Draw a density.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> from fastgmm import select
        >>> from fastgmm.datasets import load_faithful
        >>> found = select(load_faithful().data, [1, 2, 3], ["EEE", "VVV"])
        >>> [line.get_label() for line in found.plot(Figure()).lines]
        ['EEE', 'VVV']
        """
        from fastgmm.plotting import plot_criterion, plot_density, plot_mixture

        _validation.check_choice("what", what, ("criterion", *CRITERIA, "classification", "uncertainty", "density"))
        if what == "criterion" or what in CRITERIA:
            return plot_criterion(self, ax=ax, **({} if what == "criterion" else {"criterion": what}), **options)
        if what == "density":
            model = self.best_model
            draw = plot_density if model.n_features_in_ <= 2 or "features" in options else plot_mixture
            return draw(model, X, ax=ax, **options)
        if X is None:
            raise ValueError(f"what={what!r} draws samples, which a selection does not keep: pass X, as to select")
        return plot_mixture(self.best_model, X, ax=ax, uncertainty=what == "uncertainty", **options)

    def __repr__(self) -> str:
        name = self.criterion.upper()
        direction = "higher is better" if self.criterion == STABILITY else "lower is better; mclust prints the negative"
        parts = [f"{name} ({direction})", *self._blocks()]
        top = [
            f"  {row.covariance_type}, {row.n_components}  {getattr(row, self.criterion):.3f}"
            + (f"  +{more:.3f}" if more else "")
            for row, more in self.differences(3)
        ]
        head = f"Top {len(top)} models by {name}:"
        return "\n\n".join([*parts, "\n".join([head, *top, *self._at_the_end()]), *self._failures()])

    def _repr_html_(self) -> str:
        """Return HTML for a notebook: the criterion of all models, the row of the best size in bold, and the best models."""
        name, values = self.criterion.upper(), getattr(self, self.criterion)
        rows = [
            (str(k), *("-" if math.isnan(value) else f"{value:.3f}" for value in values[i].tolist()))
            for i, k in enumerate(self.n_components)
        ]
        ranking = self.differences(5)
        best = ranking[0][0]
        size = f"{best.n_components} component{'s' * (best.n_components > 1)}"
        columns = ("covariance type", "components", "parameters", name, "difference")
        top = [
            (
                row.covariance_type,
                str(row.n_components),
                str(row.n_parameters),
                f"{getattr(row, self.criterion):.3f}",
                f"{difference:.3f}",
            )
            for row, difference in ranking
        ]
        direction = "higher is better" if self.criterion == STABILITY else "lower is better"
        tables = [
            Table(f"Best {len(top)} models", columns, top, frozenset([0])),
            Table(
                f"{name} by number of components ({direction})",
                ("components", *self.covariance_types),
                rows,
                frozenset([self.n_components.index(best.n_components)]),
            ),
        ]
        return page("Selection", f"{best.covariance_type} with {size} is the best by {name}", tables)

    def _at_the_end(self) -> list[str]:
        """Return a line if the best size is the largest one tried, or the largest that has a fit."""
        k, sizes = self.best_n_components, self.n_components
        if len(sizes) > 1 and k == min(sizes) > 1:
            return [f"The best has {k} components, the fewest that were tried: try fewer."]
        if len(sizes) == 1 or k < max(size for size, _ in self._fits):
            return []
        if k == max(sizes):
            return [f"The best has {k} components, the most that were tried: try more."]
        return [f"The best has {k} component{'s' * (k > 1)}, the most that have a fit."]

    def _blocks(self) -> Iterable[str]:
        """Yield the table, in as many blocks as lines of 80 characters need."""
        values = getattr(self, self.criterion)
        for start in range(0, len(self.covariance_types), _COLUMNS):
            columns = range(start, min(start + _COLUMNS, len(self.covariance_types)))
            head = ["", *(self.covariance_types[j] for j in columns)]
            lines = [head]
            for i, k in enumerate(self.n_components):
                cells = ("-" if math.isnan(values[i, j]) else f"{values[i, j]:.3f}" for j in columns)
                lines.append([str(k), *cells])
            widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
            yield "\n".join(
                "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
            )

    def _failures(self) -> list[str]:
        if not self.reasons:
            return []
        (k, name), reason = next(iter(self.reasons.items()))
        return [f"{len(self.reasons)} without a fit (reasons); the first, {name}, {k}: {reason}"]

"""`BayesianGaussianMixture` against scikit-learn's: iterations of the shapes A, B and C, and whole fits of columns."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.cases import Case, cases

Outcome = tuple[list[float], NDArray]


@pytest.mark.parametrize("case", cases("A B C"), ids=lambda case: case.name)
def test_bayesian_iterations(case: Case, quick: bool, peers: list[str], measure: Callable) -> None:
    """E- and M-steps with their bounds alone, time per iteration, from the same responsibilities."""
    _only_with_scikit_learn(peers)
    X = case.problem(quick).X
    # those of the nearest of some samples: as far from the end as a careless start is
    centres = X[:: len(X) // case.k][: case.k]
    labels = np.argmin((centres**2).sum(axis=1) - 2.0 * X @ centres.T, axis=1)
    sides = {"fastgmm": partial(_own_iterations, case, X, labels), "sklearn": partial(_iterations, case, X, labels)}

    def check(results: dict[str, Outcome]) -> None:
        (bounds, means), (expected, their_means) = results["fastgmm"], results["sklearn"]
        assert bounds == pytest.approx(expected, rel=1e-6)
        np.testing.assert_allclose(means, their_means, rtol=1e-5, atol=1e-7)

    measure(sides, check, per=case.n_iter)


def _own_iterations(case: Case, X: NDArray, labels: NDArray) -> Outcome:
    from fastgmm.data.source import ArraySource
    from fastgmm.em.loop import run
    from fastgmm.em.stop import Stop
    from fastgmm.em.variational import Variational, data_moments
    from fastgmm.init.groups import members, stats_of
    from fastgmm.model.structures import STRUCTURES
    from fastgmm.model.variational import VariationalPrior

    source, structure = ArraySource(X), STRUCTURES[case.covariance_type]
    mean, covariance = data_moments(source, structure.layout)
    step = Variational(structure, 1e-6, VariationalPrior(True, 1.0 / case.k, mean, 1.0, float(case.d), covariance))
    first = step.maximise(stats_of(source, structure.layout, case.k, members(labels, case.k), None))
    found = run(source, first, step, Stop(0.0, case.n_iter))
    return found.lower_bounds, found.params.means


def _iterations(case: Case, X: NDArray, labels: NDArray) -> Outcome:
    """scikit-learn's E- and M-steps and bounds in its own order, without its checks and the E-step after the last M-step."""
    from sklearn.mixture import BayesianGaussianMixture

    model = BayesianGaussianMixture(n_components=case.k, covariance_type=case.covariance_type)
    model._check_parameters(X)
    model._initialize(X, np.eye(case.k)[labels])
    bounds = []
    for _ in range(case.n_iter):
        norm, log_resp = model._e_step(X)
        model._m_step(X, log_resp)
        bounds.append(float(model._compute_lower_bound(log_resp, norm)))
    return bounds, model.means_


class Column(NamedTuple):
    """A numeric column of a table: n samples, of a number of distinct integers, or continuous."""

    n: int
    distinct: int | None

    @property
    def label(self) -> str:
        return f"column {self.n} {'continuous' if self.distinct is None else f'{self.distinct} distinct'}"

    def X(self, quick: bool) -> NDArray:
        """Two normal clusters and a skewed one, in random order."""
        n, rng = (20_000 if quick else self.n), np.random.default_rng(0)
        parts = rng.normal(0, 1, n // 2), rng.normal(5, 0.5, n // 4), rng.gamma(2, 2, n - n // 2 - n // 4) - 3
        x = rng.permutation(np.concatenate(parts))
        if self.distinct is not None:
            low, high = np.quantile(x, [0.0005, 0.9995])
            x = np.clip(np.floor((x - low) / (high - low) * self.distinct), 0, self.distinct - 1)
        return x[:, None]


COLUMNS = [Column(n, distinct) for n in (100_000, 1_000_000) for distinct in (50, 5000, None)]


@pytest.mark.parametrize("case", COLUMNS, ids=lambda case: case.label.replace(" ", "-"))
def test_bayesian_column(case: Column, quick: bool, peers: list[str], measure: Callable) -> None:
    """Whole fits of 10 components, as packages make them for each column: a process prior of 0.001."""
    _fit_column("BayesianGaussianMixture", case, quick, peers, measure, weight_concentration_prior=0.001)


@pytest.mark.parametrize("case", COLUMNS, ids=lambda case: case.label.replace(" ", "-"))
def test_column(case: Column, quick: bool, peers: list[str], measure: Callable) -> None:
    """The same by maximum likelihood, to scikit-learn's `tol`: a few iterations."""
    _fit_column("GaussianMixture", case, quick, peers, measure)


def _fit_column(
    estimator: str, case: Column, quick: bool, peers: list[str], measure: Callable, **arguments: Any
) -> None:
    _only_with_scikit_learn(peers)
    import sklearn.mixture

    import fastgmm

    X = case.X(quick)
    arguments |= {"n_components": 10, "random_state": 0, "max_iter": 5 if quick else 100}

    def fit(module: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(module, estimator)(**arguments).fit(X)

    def check(results: dict[str, Any]) -> None:
        own, other = results["fastgmm"], results["sklearn"]
        assert own.n_iter_ == other.n_iter_
        assert own.lower_bound_ == pytest.approx(other.lower_bound_, rel=1e-6)

    measure({"fastgmm": partial(fit, fastgmm), "sklearn": partial(fit, sklearn.mixture)}, check)


def _only_with_scikit_learn(peers: list[str]) -> None:
    if "sklearn" not in peers:
        pytest.skip("nothing to compare with: needs --peers and scikit-learn")

"""EM iterations and whole fits, against NumPy, scikit-learn and oneDAL."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from bench.cases import CASES, Case, Problem, cases
from bench.sides import FITS, ITERATIONS, Side, able, assert_equal_work, mean_log_likelihood

by_label = partial(pytest.mark.parametrize, "case", ids=lambda case: case.name)


@by_label(CASES)
def test_iterations(case: Case, quick: bool, peers: list[str], measure: Callable, benchmark: Any) -> None:
    """The E- and M-steps alone, time per iteration."""
    problem = case.problem(quick)
    _run(problem, ITERATIONS, peers, measure, benchmark, per=case.n_iter, flops=case.flops, dtype=case.dtype)


@by_label(cases("B E F G H"))
def test_fit(case: Case, quick: bool, peers: list[str], measure: Callable, benchmark: Any) -> None:
    """`GaussianMixture(...).fit(X)` with a given start: checks of the data and all that a call costs included."""
    _run(case.problem(quick), FITS, peers, measure, benchmark)


@by_label(cases("A B E F"))
def test_default_fit(case: Case, quick: bool, peers: list[str], measure: Callable) -> None:
    """`GaussianMixture(k, random_state=0).fit(X)`, from the start by k-means until EM converges (or 100 iterations)."""
    if "sklearn" not in peers:
        pytest.skip("nothing to compare with: needs --peers and scikit-learn")
    from sklearn.mixture import GaussianMixture

    import fastgmm

    problem = case.problem(quick)

    def fit(estimator: Any) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*did not converge")
            return estimator(problem.case.k, covariance_type=case.covariance_type, random_state=0).fit(problem.X)

    def check(results: dict[str, Any]) -> None:
        own, other = results["fastgmm"], results["sklearn"]
        assert own.n_iter_ == other.n_iter_
        assert own.lower_bound_ == pytest.approx(other.lower_bound_, rel=case.rtol)

    measure({"fastgmm": partial(fit, fastgmm.GaussianMixture), "sklearn": partial(fit, GaussianMixture)}, check)


def _run(
    problem: Problem,
    table: dict[str, Side],
    peers: list[str],
    measure: Callable,
    benchmark: Any,
    **options: Any,
) -> None:
    sides = {name: partial(table[name], problem) for name in ["fastgmm", "numpy", *able(peers, problem.case)]}
    measure(sides, partial(assert_equal_work, problem), **options)
    benchmark.extra_info.update(
        iterations=problem.case.n_iter, mean_log_likelihood=mean_log_likelihood(problem, sides["fastgmm"]())
    )

"""When a run of EM stops: tolerance, iterations, and the rules beyond these, each alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastgmm.em.stop import Reason, ShareOfGain, Stop
from fastgmm.fitting.pruning import CannotCatchUp


def falling(n: int, first: float = 1.0, ratio: float = 0.5) -> list[float]:
    """Bounds of `n` iterations with gains that fall by `ratio`."""
    return np.cumsum([-10.0, *first * ratio ** np.arange(n - 1)]).tolist()


class Asked:
    """A rule that keeps its arguments and returns a given answer."""

    def __init__(self, reason: Reason | None) -> None:
        self.reason, self.bounds = reason, []

    def __call__(self, bounds):
        self.bounds.append(list(bounds))
        return self.reason


# --- Stop ---


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_change_of_less_than_tol_is_convergence(sign):
    stop = Stop(1e-3, 100)
    assert stop([-3.0, -2.0], sign * 0.9e-3) == Reason(True, "the bound changed by less than tol=0.001")
    assert stop([-3.0, -2.0], sign * 1e-3) is None
    assert Stop(0.0, 100)([-3.0, -3.0], 0.0) is None  # tol=0: as many iterations as were asked for


def test_iterations_are_counted_from_the_first_one_of_all():
    stop = Stop(1e-3, 3)
    assert stop([-3.0, -2.0]) is None
    assert stop([-3.0, -2.0, -1.0]) == stop([-1.0] * 4) == Reason(False, "max_iter=3 iterations are done")
    assert Stop(1e-3, 0)([]) == Reason(False, "max_iter=0 iterations are done")


def test_the_last_iteration_may_converge():
    assert Stop(1e-3, 2)([-3.0, -3.0], 0.0).converged


def test_before_the_first_iteration_nothing_has_changed():
    assert Stop(math.inf, 5)([]) is None


def test_rules_are_asked_in_their_order_and_last():
    silent, first, second = Asked(None), Asked(Reason(False, "first")), Asked(Reason(True, "second"))
    stop = Stop(1e-3, 3, (silent, first, second))
    assert stop([-3.0, -2.0], 1.0) == stop.by_rules([-3.0, -2.0]) == Reason(False, "first")
    assert silent.bounds == first.bounds == [[-3.0, -2.0]] * 2
    assert second.bounds == []
    assert stop([-3.0, -2.0], 1e-4).text == "the bound changed by less than tol=0.001"
    assert stop([-3.0] * 3, 1.0).text == "max_iter=3 iterations are done"
    assert len(first.bounds) == 2
    assert Stop(1e-3, 3, (silent,)).by_rules([-3.0]) is None
    assert Stop(1e-3, 3).by_rules([-3.0]) is None


# --- the share of the gain ---


def test_a_share_of_the_gain():
    rule = ShareOfGain(0.25)
    assert rule([]) is None
    assert rule([-3.0]) is None
    assert rule([-3.0, -2.0]) is None  # the first gain is all of it
    assert rule([-4.0, -1.0, -0.0]) == Reason(True, "the last iteration brought less than 0.25 of the gain")
    assert rule([-4.0, -1.0, 0.01]) is None
    assert rule([-4.0, -1.0, -1.5]).converged  # it fell
    assert rule([-3.0, -3.0]).converged  # nothing to gain


def test_a_share_of_the_gain_does_not_depend_on_what_is_added_to_bounds_or_on_their_scale():
    rule, bounds = ShareOfGain(2.0**-6), falling(12)
    ends = [next(n for n in range(13) if rule(moved[:n])) for moved in (bounds, [8.0 * b + 16.0 for b in bounds])]
    # gains are halved: that of number n, counted from 0, is 1 / (2^(n + 1) - 1) of all
    assert ends == [8, 8]


# --- a run that cannot catch up ---


def test_a_start_is_stopped_where_twice_its_last_gain_in_all_iterations_left_is_too_little():
    bounds = falling(10)
    reach = bounds[-1] + 2 * (bounds[-1] - bounds[-2]) * 90
    reason = CannotCatchUp(reach + 1e-9, 100)(bounds)
    assert reason == Reason(False, f"cannot reach the bound {reach:.6g}")
    assert CannotCatchUp(reach - 1e-9, 100)(bounds) is None
    assert CannotCatchUp(reach + 1e-9, 101)(bounds) is None


def test_not_before_five_iterations_and_not_while_gains_grow():
    far = CannotCatchUp(1e9, 100)
    for n in range(5):
        assert far(falling(n) if n else []) is None
    assert far(falling(5)) is not None
    for place in range(1, 4):  # one of the last four gains is larger than that before
        gains = [1.0, 0.5, 0.4, 0.3, 0.2, 0.1]
        gains[-place] = gains[-place - 1] * 1.01
        assert far(np.cumsum([-10.0, *gains]).tolist()) is None, place
    assert far(np.cumsum([-10.0, 0.1, 1.0, 0.5, 0.4, 0.3, 0.2]).tolist()) is not None


def test_the_last_iteration_decides_by_its_bound():
    assert CannotCatchUp(-8.0, 5)(falling(5)) is not None  # -8.125, and no iteration left
    assert CannotCatchUp(-8.125, 5)(falling(5)) is None


def test_only_the_last_gains_decide():
    rule = CannotCatchUp(-7.0, 60)
    for n in range(5, 30):
        bounds = falling(n)
        assert rule([-1e6, *bounds]) == CannotCatchUp(-7.0, 59)(bounds)

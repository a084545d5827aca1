"""The only stop-watch that ratios are made with, and what its rounds say about a ratio."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import ceil, comb
from statistics import median
from time import perf_counter, sleep
from typing import NamedTuple

#: seconds per call of each side
Round = dict[str, float]

#: a call shorter than this many seconds is timed several at a time: below, whatever else wakes up decides
SHORTEST = 0.1
#: OpenBLAS's threads wait busily for some 30 ms after their last product, on the cores of the side that comes next
PAUSE = 0.1

CONFIDENCE = 0.95


class Ratio(NamedTuple):
    """Median over rounds of one side's time over another's; the true median is in [low, high] with 95 %."""

    median: float
    low: float
    high: float
    rounds: int

    @property
    def spread(self) -> float:
        """Half the width of the interval, relative to the median."""
        return (self.high - self.low) / (2.0 * self.median)


def alternate(sides: Mapping[str, Callable[[], object]]) -> Iterator[Round]:
    """Time all sides, round after round, for as long as the caller likes. Warm-up is the caller's.

    Every round runs every side, forwards and backwards in turn: a machine that gets slower (heat, neighbours) does so
    for all of them, and none always follows the same one.
    """
    calls = {name: max(1, ceil(SHORTEST / clock(side))) for name, side in sides.items()}
    names = list(sides)
    while True:
        yield {name: clock(sides[name], calls[name]) for name in names}
        names.reverse()


def clock(side: Callable[[], object], calls: int = 1) -> float:
    """Seconds per call, after a pause in which other sides' threads go to sleep."""
    sleep(PAUSE)
    begin = perf_counter()
    for _ in range(calls):
        side()
    return (perf_counter() - begin) / calls


def ratio(rounds: list[Round], other: str, own: str = "fastgmm") -> Ratio:
    """How many times as long the other side takes.

    The ratio is taken within each round, where both sides had the same machine, and only then the median: a machine
    that wanders by a third within minutes moves medians of times, and hardly those of ratios.
    """
    ratios = sorted(times[other] / times[own] for times in rounds)
    n = len(ratios)
    # the median of n draws is outside [x_(j+1), x_(n-j)] with the probability of at most j heads (or tails) in n throws
    outside, j = 2.0 / 2**n, 0
    while outside + 2 * comb(n, j + 1) / 2**n <= 1.0 - CONFIDENCE:
        j += 1
        outside += 2 * comb(n, j) / 2**n
    return Ratio(median(ratios), ratios[j], ratios[n - 1 - j], n)


def collect(
    rounds: Iterator[Round],
    *,
    least: int,
    most: int,
    seconds: float,
    settled: Callable[[list[Round]], bool] = lambda rounds: False,
) -> list[Round]:
    """Rounds, `least` of them, then until `settled`, or `most` of them, or until their times add up to `seconds`."""
    done: list[Round] = []
    spent = 0.0
    for times in rounds:
        done.append(times)
        spent += sum(times.values())
        if len(done) >= most or (len(done) >= least and (spent >= seconds or settled(done))):
            break
    return done

"""Speed-ups over NumPy that are committed, and the judgement whether today's are still theirs.

Speed-ups and not times, for a time says more about the machine's mood than about the code. They still depend on the
machine, so the file holds runs of several, and a row is only ever compared with the same row on an equal machine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench import table
from bench.compare import Ratio
from fastgmm._atomic import replacing

PATH = Path(__file__).with_name("baseline.json")
FORMAT = 2  # 1: without the kernel of the BLAS in the names of machines
#: a speed-up may drop by this share
TOLERANCE = 0.20
#: half the interval of the median of the rounds' ratios, relative, at which a row counts as measured: half of what it may drop by
#: (6 % is more than a virtual machine of two cores gives in 51 rounds: 8 of 25 rows stayed between 6 and 13 % there) ...
SPREAD = TOLERANCE / 2
#: ... which takes `LEAST` rounds to begin with; it is given up after `MOST` rounds, or SECONDS of them
LEAST, MOST, SECONDS = 7, 51, 30.0


class BaselineError(Exception):
    """The baseline cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Run:
    """Rows measured by one command on one machine, whose name tells its BLAS kernel, too (`bench.provenance.machine`)."""

    machine: str
    provenance: Mapping[str, Any]
    speedups: Mapping[str, Ratio]


@dataclass(frozen=True)
class Judgement:
    """What became of one row."""

    row: str
    before: Ratio | None
    now: Ratio

    @property
    def change(self) -> float:
        return math.nan if self.before is None else self.now.median / self.before.median - 1.0

    @property
    def verdict(self) -> str:
        """ "ok", "faster", "SLOWER", "NOISY" or "NO BASELINE".

        The speed-up itself decides where it is settled (`settled`), otherwise its whole interval: a row that is noisy
        but far from the limit on either side needs no quieter machine.
        """
        if self.before is None:
            return "NO BASELINE"
        limit = (1.0 - TOLERANCE) * self.before.median
        certain = settled(self.now)
        if (self.now.median if certain else self.now.high) < limit:
            return "SLOWER"
        if not certain and self.now.low < limit:
            return "NOISY"
        return "faster" if self.now.low > self.before.median / (1.0 - TOLERANCE) else "ok"

    @property
    def passed(self) -> bool:
        return self.verdict in ("ok", "faster")

    @property
    def explanation(self) -> str:
        """What the verdict means and what to do, for a row that did not pass."""
        found = f"{self.row}: {_speedup(self.now)} x NumPy"
        if self.before is None:
            return f"{found}, and the baseline has no such row for this machine; write it with --update-baseline"
        expected = f"{found}, in the baseline {_speedup(self.before)} ({self.change:+.0%})"
        if self.verdict == "NOISY":
            return (
                f"{expected}: after {self.now.rounds} rounds the ratio is only known within {self.now.spread:.0%}, "
                f"which does not tell whether it dropped by more than {TOLERANCE:.0%}; repeat on a quieter machine"
            )
        return (
            f"{expected}: it dropped by more than {TOLERANCE:.0%}, twice in a row. Find what slowed it down; if that is "
            "the price of something better, accept it with --update-baseline"
        )


def settled(ratio: Ratio) -> bool:
    """Whether the ratio is known well enough to be judged or written."""
    return ratio.rounds >= LEAST and ratio.spread <= SPREAD


def judgements(items: Sequence[Judgement]) -> list[str]:
    """Lines of a table of judgements."""
    rows = [
        [
            item.row,
            "-" if item.before is None else _speedup(item.before),
            _speedup(item.now),
            f"{item.now.spread:.1%}",
            str(item.now.rounds),
            "-" if item.before is None else f"{item.change:+.0%}",
            item.verdict,
        ]
        for item in items
    ]
    return table.lines(["case", "baseline", "now", "spread", "rounds", "change", "verdict"], rows)


def of_machine(runs: Sequence[Run], machine: str, path: Path) -> dict[str, Ratio]:
    """All rows measured on this machine; BaselineError where there are none."""
    found = {row: ratio for run in runs if run.machine == machine for row, ratio in run.speedups.items()}
    if not found:
        known = "; ".join(sorted({run.machine for run in runs})) or "none"
        raise BaselineError(
            f"{path} has no speed-ups of this machine ({machine}); it has those of: {known}. Speed-ups of different "
            "machines or BLAS kernels cannot be compared: write this one's with --update-baseline, from a commit known to be good"
        )
    return found


def unknown(rows: Collection[str], known: Collection[str], path: Path) -> None:
    """Raise BaselineError if the baseline has rows that no benchmark measures any more."""
    stale = sorted(set(rows) - set(known))
    if stale:
        raise BaselineError(
            f"{path} has rows that no benchmark measures: {', '.join(stale)}. If their cases were renamed or removed, "
            "run all of `pytest bench --update-baseline`, which drops them"
        )


def updated(runs: Sequence[Run], new: Run, known: Collection[str] | None = None) -> list[Run]:
    """Runs in which the rows of `new` take the place of older ones of the same machine.

    With `known`, the rows of all benchmarks, rows of this machine that are no longer among them are dropped.
    """
    kept = []
    for run in runs:
        if run.machine == new.machine:
            rows = {
                row: ratio
                for row, ratio in run.speedups.items()
                if row not in new.speedups and (known is None or row in known)
            }
            run = Run(run.machine, run.provenance, rows)
        if run.speedups:
            kept.append(run)
    return [*kept, new] if new.speedups else kept


def load(path: Path) -> list[Run]:
    """Read a baseline; BaselineError that says what is wrong with it."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BaselineError(f"there is no baseline at {path}; write one with --update-baseline") from None
    except OSError as error:
        raise BaselineError(f"the baseline {path} cannot be read: {error.strerror}") from None
    except ValueError as error:  # no JSON, no UTF-8
        raise _damaged(path, f"it is not JSON: {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _damaged(path, f'it should be an object with "format": {FORMAT}')
    runs = document.get("runs")
    if not isinstance(runs, list):
        raise _damaged(path, f'"runs" should be a list, got {type(runs).__name__}')
    return [_run(value, f"runs[{i}]", path) for i, value in enumerate(runs)]


def save(path: Path, runs: Sequence[Run]) -> None:
    """Write a baseline, whole or not at all."""
    document = {
        "format": FORMAT,
        "runs": [
            {
                "machine": run.machine,
                "provenance": dict(run.provenance),
                "speedups": {row: ratio._asdict() for row, ratio in run.speedups.items()},
            }
            for run in runs
        ],
    }
    with replacing(path) as file:
        file.write((json.dumps(document, indent=1) + "\n").encode())


def _run(value: Any, where: str, path: Path) -> Run:
    if not isinstance(value, dict):
        raise _damaged(path, f"{where} should be an object, got {type(value).__name__}")
    for key, kind in (("machine", str), ("provenance", dict), ("speedups", dict)):
        if not isinstance(value.get(key), kind):
            raise _damaged(path, f"{where}.{key} should be a {kind.__name__}, got {value.get(key)!r}")
    check = partial(_ratio, path=path)
    rows = {row: check(cell, f"{where}.speedups[{row!r}]") for row, cell in value["speedups"].items()}
    return Run(value["machine"], value["provenance"], rows)


def _ratio(value: Any, where: str, path: Path) -> Ratio:
    fields = Ratio._fields
    if not isinstance(value, dict) or set(value) != set(fields):
        raise _damaged(path, f"{where} should have {', '.join(fields)}, got {value!r}")
    numbers = [value[field] for field in fields]
    if not all(type(x) in (int, float) and math.isfinite(x) and x > 0 for x in numbers):
        raise _damaged(path, f"{where} should be positive numbers, got {value!r}")
    ratio = Ratio(**value)
    if not ratio.low <= ratio.median <= ratio.high:
        raise _damaged(path, f"{where} should have low <= median <= high, got {value!r}")
    return ratio


def _damaged(path: Path, what: str) -> BaselineError:
    return BaselineError(
        f"the baseline {path} is damaged: {what}; restore it, or delete it and write a new one with --update-baseline"
    )


def _speedup(ratio: Ratio) -> str:
    return f"{ratio.median:.2f}"

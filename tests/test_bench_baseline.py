"""Conclusions of the benchmarks from timings: the judgement against the baseline, and its file. Nothing is timed."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from bench import baseline, compare
from bench.baseline import BaselineError, Judgement, Run
from bench.compare import Ratio, collect, ratio

HERE = "Some CPU, 2 cores, 2 threads"


def rounds_of(n, *, slower=1.0, noise=0.01, seed=0):
    """Rounds on a machine that gets slower and faster by a third, in which fastgmm gains 3 x / `slower`."""
    rng = np.random.default_rng(seed)
    for t in range(n):
        mood = 1.0 + 0.3 * np.sin(t)
        own, other = 0.02 * slower, 0.06
        yield {name: x * mood * rng.lognormal(0.0, noise) for name, x in (("fastgmm", own), ("numpy", other))}


def measured(slower=1.0, noise=0.01, seed=0):
    rounds = collect(
        rounds_of(1000, slower=slower, noise=noise, seed=seed),
        least=baseline.LEAST,
        most=baseline.MOST,
        seconds=baseline.SECONDS,
        settled=lambda done: baseline.settled(ratio(done, "numpy")),
    )
    return ratio(rounds, "numpy")


# --- rounds


def test_ratio_is_taken_within_rounds():
    # the machine doubles its pace halfway: medians of times would mix a slow side with a fast one
    rounds = [{"fastgmm": t, "numpy": 3.0 * t} for t in (2.0, 2.0, 2.0, 1.0, 1.0)]
    assert ratio(rounds, "numpy") == Ratio(3.0, 3.0, 3.0, 5)


@pytest.mark.parametrize(
    ("n", "first"),
    [(1, 0), (5, 0), (6, 0), (8, 0), (9, 1), (12, 2), (15, 3), (20, 5), (51, 18)],  # tables of the sign test
)
def test_interval_is_that_of_the_sign_test(n, first):
    rounds = [{"fastgmm": 1.0, "numpy": float(i + 1)} for i in range(n)]
    found = ratio(rounds, "numpy")
    assert (found.low, found.high) == (first + 1, n - first)
    assert found.median == (n + 1) / 2


def test_interval_holds_the_median_as_often_as_it_says():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        found = ratio([{"fastgmm": 1.0, "numpy": x} for x in rng.lognormal(0.0, 0.3, 11)], "numpy")
        held += found.low <= 1.0 <= found.high
    assert held >= 0.93 * 400


def test_rounds_go_on_until_settled():
    assert measured(noise=0.01).rounds == baseline.LEAST
    noisy = measured(noise=0.1)
    assert baseline.LEAST < noisy.rounds <= baseline.MOST
    assert measured(noise=1.0).rounds == baseline.MOST


def test_rounds_end_with_the_time_but_not_before_the_least():
    slow = itertools.repeat({"fastgmm": 50.0, "numpy": 50.0})
    assert len(collect(slow, least=3, most=10, seconds=60.0)) == 3
    assert len(collect(slow, least=1, most=10, seconds=350.0)) == 4
    assert len(collect(slow, least=1, most=10, seconds=1e9)) == 10


def test_every_side_runs_in_every_round_in_turn(monkeypatch):
    monkeypatch.setattr(compare, "PAUSE", 0.0)
    monkeypatch.setattr(compare, "SHORTEST", 0.0)  # one call a round
    calls = []
    sides = {name: lambda name=name: calls.append(name) for name in "abc"}
    rounds = collect(compare.alternate(sides), least=1, most=3, seconds=60.0)
    assert [set(times) for times in rounds] == [set("abc")] * 3
    assert "".join(calls[3:]) == "abccbaabc"  # the first three say how many calls make a round


# --- the verdict


@pytest.mark.parametrize("noise", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("seed", range(5))
def test_unchanged_passes_and_slowed_down_fails(noise, seed):
    before = measured(noise=noise)
    same = Judgement("A", before, measured(noise=noise, seed=seed + 1))
    assert same.verdict == "ok"
    slowed = Judgement("A", before, measured(slower=1.5, noise=noise, seed=seed + 1))
    assert slowed.verdict == "SLOWER"
    assert not slowed.passed
    assert slowed.change == pytest.approx(-1 / 3, abs=0.1)


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        (Ratio(3.0, 2.95, 3.05, 9), "ok"),
        (Ratio(2.41, 2.38, 2.44, 9), "ok"),  # settled: the median decides
        (Ratio(2.39, 2.36, 2.42, 9), "SLOWER"),
        (Ratio(3.0, 2.5, 4.0, 51), "ok"),  # not settled, but the whole interval is above
        (Ratio(2.0, 1.5, 2.3, 51), "SLOWER"),  # ... or below
        (Ratio(2.5, 2.0, 3.0, 51), "NOISY"),
        (Ratio(2.3, 2.0, 3.0, 51), "NOISY"),
        (Ratio(4.0, 3.9, 4.1, 9), "faster"),
        (Ratio(2.9, 2.9, 2.9, 3), "ok"),
        (Ratio(2.5, 2.3, 2.5, 3), "NOISY"),  # three rounds settle nothing
    ],
)
def test_verdict(now, verdict):
    judgement = Judgement("A", Ratio(3.0, 2.95, 3.05, 9), now)
    assert judgement.verdict == verdict
    assert judgement.passed == (verdict in ("ok", "faster"))


def test_a_row_without_baseline_does_not_pass():
    judgement = Judgement("A", None, Ratio(3.0, 2.95, 3.05, 9))
    assert (judgement.verdict, judgement.passed) == ("NO BASELINE", False)
    assert "--update-baseline" in judgement.explanation


def test_explanations_say_what_was_found_and_what_to_do():
    before = Ratio(3.0, 2.95, 3.05, 9)
    slower = Judgement("A", before, Ratio(1.5, 1.45, 1.55, 9)).explanation
    assert slower.startswith("A: 1.50 x NumPy, in the baseline 3.00 (-50%)")
    assert "--update-baseline" in slower
    assert "quieter" in Judgement("A", before, Ratio(2.5, 2.0, 3.0, 51)).explanation


def test_table():
    lines = baseline.judgements(
        [
            Judgement("A full", Ratio(3.0, 2.9, 3.1, 9), Ratio(1.5, 1.44, 1.56, 7)),
            Judgement("B", None, Ratio(2.0, 2.0, 2.0, 7)),
        ]
    )
    assert [line.split() for line in (lines[0], *lines[2:])] == [
        ["case", "baseline", "now", "spread", "rounds", "change", "verdict"],
        ["A", "full", "3.00", "1.50", "4.0%", "7", "-50%", "SLOWER"],
        ["B", "-", "2.00", "0.0%", "7", "-", "NO", "BASELINE"],
    ]
    assert len({len(line) for line in lines}) == 1


# --- the file


def run(machine=HERE, day="2026-01-01", **speedups):
    return Run(machine, {"date": day}, {row: Ratio(x, x, x, 9) for row, x in speedups.items()})


def test_save_and_load(tmp_path):
    path = tmp_path / "baseline.json"
    runs = [run(A=3.0, B=1.5), run("other", A=2.0)]
    baseline.save(path, runs)
    assert baseline.load(path) == runs
    assert [p.name for p in tmp_path.iterdir()] == ["baseline.json"]


def test_update_replaces_rows_of_the_same_machine_only():
    runs = [run(A=3.0, B=1.5), run("other", A=2.0)]
    new = run(day="2026-02-02", A=4.0)
    runs = baseline.updated(runs, new)
    assert runs == [run(B=1.5), run("other", A=2.0), new]  # each row keeps the provenance of its own run
    assert baseline.of_machine(runs, HERE, Path("b")) == {"B": Ratio(1.5, 1.5, 1.5, 9), "A": Ratio(4.0, 4.0, 4.0, 9)}
    last = run(day="2026-03-03", A=4.0, B=1.0)
    assert baseline.updated(runs, last) == [run("other", A=2.0), last]  # no run is left without rows


def test_update_with_all_rows_known_drops_the_others():
    runs = [run(A=3.0, old=1.5), run("other", old=2.0)]
    assert baseline.updated(runs, run(A=4.0), {"A", "B"}) == [run("other", old=2.0), run(A=4.0)]


def test_another_machine_is_told():
    with pytest.raises(BaselineError, match=r"no speed-ups of this machine \(mine\).*of: Some CPU.*--update-baseline"):
        baseline.of_machine([run(A=3.0)], "mine", Path("baseline.json"))
    with pytest.raises(BaselineError, match="of: none"):
        baseline.of_machine([], "mine", Path("baseline.json"))


def test_rows_that_nobody_measures_are_told():
    baseline.unknown({"A"}, {"A", "B"}, Path("baseline.json"))
    with pytest.raises(BaselineError, match="no benchmark measures: old, older"):
        baseline.unknown({"A", "older", "old"}, {"A", "B"}, Path("baseline.json"))


def document(**changes):
    row = {"median": 3.0, "low": 2.9, "high": 3.1, "rounds": 9, **changes}
    return json.dumps({"format": 2, "runs": [{"machine": "m", "provenance": {}, "speedups": {"A": row}}]})


def test_an_undamaged_file_is_accepted(tmp_path):
    path = tmp_path / "baseline.json"
    path.write_text(document())
    assert baseline.load(path) == [Run("m", {}, {"A": Ratio(3.0, 2.9, 3.1, 9)})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (document()[:-5], "not JSON"),
        ("\udcff", "not JSON"),
        ("[]", '"format": 2'),
        ('{"format": 1, "runs": []}', '"format": 2'),
        ('{"format": 2}', '"runs" should be a list, got NoneType'),
        ('{"format": 2, "runs": [3]}', r"runs\[0\] should be an object, got int"),
        (
            '{"format": 2, "runs": [{"machine": "m", "provenance": {}}]}',
            r"runs\[0\].speedups should be a dict, got None",
        ),
        (document(median="3"), r"runs\[0\].speedups\['A'\] should be positive numbers"),
        (document(median=-3.0), "should be positive numbers"),
        (document(high=float("inf")), "should be positive numbers"),
        (document(rounds=True), "should be positive numbers"),
        (document(low=3.05), "low <= median <= high"),
        (document(extra=1), "should have median, low, high, rounds"),
    ],
)
def test_damaged_files_are_told(tmp_path, text, message):
    path = tmp_path / "baseline.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BaselineError, match=message) as caught:
        baseline.load(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(BaselineError, match=r"there is no baseline at .*; write one with --update-baseline"):
        baseline.load(tmp_path / "baseline.json")
    with pytest.raises(BaselineError, match="cannot be read"):
        baseline.load(tmp_path)

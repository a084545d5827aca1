"""The programs that count passes and time the serial part run, on little data."""

from __future__ import annotations

import pytest

from bench import passes, serial


def test_passes_of_one_case():
    case = passes.CASES["faithful, k = 3"]
    plain, *quick = passes.rows(case, case.X(), 1e-5)
    assert [row[0] for row in (plain, *quick)] == ["EM", "over-relaxation", "squarem"]
    assert all(int(row[1]) < int(plain[1]) for row in quick)


def test_serial_parts(capsys: pytest.CaptureFixture[str]):
    serial.main(["--quick", "--rounds", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len("ABCDEFG") + 2
    assert all("%" in line for line in lines[2:])

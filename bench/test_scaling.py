"""The command that draws how times grow does so; on tiny sizes, and in the pass where nothing is timed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench import scaling
from bench.sides import PEERS


def test_quick(quick: bool, peers: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not quick:
        pytest.skip("tiny sizes are not for timing: `python -m bench.scaling`")
    output = tmp_path / "scaling.png"
    assert scaling.main(["--quick", "--peers", "--output", str(output)]) == 0
    figures = json.loads(output.with_suffix(".json").read_text(encoding="utf-8"))
    assert {point["axis"] for point in figures["points"]} == {"n", "d", "k", "threads"}
    for point in figures["points"]:
        assert set(point["seconds"]) == {"fastgmm", "numpy", "limit", *peers}
        assert min(point["seconds"].values()) > 0
    if find_spec("matplotlib") is None:
        assert "no picture" in capsys.readouterr().err
    else:
        assert output.read_bytes().startswith(b"\x89PNG")


def test_side_that_would_take_too_long_is_left_out(quick: bool, tmp_path: Path) -> None:
    if not quick:
        pytest.skip("nothing is timed here")
    output = tmp_path / "scaling.svg"
    assert scaling.main(["--quick", "--axes", "d", "--patience", "1e-9", "--output", str(output)]) == 0
    first, second = json.loads(output.with_suffix(".json").read_text(encoding="utf-8"))["points"]
    assert ("numpy" in first["seconds"], first["left_out"]) == (True, {})  # nothing to forecast from
    assert "numpy" not in second["seconds"]
    assert "would take about" in second["left_out"]["numpy"]
    if find_spec("matplotlib") is not None:
        assert "left out from d = 8" in output.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--quick"], "--quick needs --output"),
        (["--redraw", "--peers"], "--redraw measures nothing, so --peers would do nothing"),
        (["--redraw", "--output", "missing.png"], "has no figures"),
        (["--output", "scaling.txt"], "its name must end with one of .png, .svg, .pdf"),
        (["--output", "nowhere/scaling.png"], "there is no directory nowhere"),
        (["--threads", "0"], "--threads is 0; it must be from 1 to"),
        (["--patience", "0"], "--patience is 0.0; it must be positive"),
    ],
)
def test_bad_arguments(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        scaling.main(arguments)
    assert message in capsys.readouterr().err


def test_every_peer_has_its_style() -> None:
    assert {"fastgmm", "numpy", "limit", *PEERS} == set(scaling.STYLES)

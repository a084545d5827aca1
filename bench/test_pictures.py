"""The command that draws the README's pictures does so; in the pass where nothing is timed."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
from bench import pictures


def test_pictures_are_drawn_and_small(quick: bool, tmp_path: Path) -> None:
    if not quick:
        pytest.skip("nothing is timed here")
    assert pictures.main(["--directory", str(tmp_path)]) == 0
    drawn = sorted(tmp_path.iterdir())
    assert [path.stem for path in drawn] == sorted(pictures.PICTURES)
    for path in drawn:
        data = path.read_bytes()
        assert data.startswith(b"\x89PNG")
        assert len(data) < 150_000
        assert path.name in {committed.name for committed in pictures.HERE.glob("*.png")}


def test_no_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        pictures.main(["--directory", str(tmp_path / "none")])
    assert "there is no such directory" in capsys.readouterr().err

"""``python -m bench.spark`` runs, and its sides do equal work; Spark, which takes long to start, is left to the command."""

from __future__ import annotations

import json

import pytest

from bench import spark

SMALL = ["--samples", "2000", "--features", "3", "--components", "2", "--iterations", "3", "--rounds", "1"]


def test_one_process_and_dask(quick, tmp_path, monkeypatch, capsys):
    if not quick:
        pytest.skip("tiny sizes are not for timing: `python -m bench.spark`")
    pytest.importorskip("distributed")
    missing = spark.missing
    monkeypatch.setattr(spark, "missing", lambda side: "too slow" if side is spark.spark_side else missing(side))
    assert spark.main([*SMALL, "--output", str(tmp_path / "figures.json")]) == 0
    assert "Spark is left out: too slow" in capsys.readouterr().err
    sides = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))["sides"]
    assert list(sides) == ["fastgmm", spark.DASK]
    own, other = (side["mean_log_likelihood"] for side in sides.values())
    assert other == pytest.approx(own, rel=1e-10)


def test_bad_arguments(capsys):
    with pytest.raises(SystemExit):
        spark.main(["--workers", "0"])
    assert "--workers is 0; it must be at least 1" in capsys.readouterr().err

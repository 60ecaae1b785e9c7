"""The design command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from suanli.cli import main


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["design", *arguments])
    return int(stop.value.code or 0)


def test_one_design_is_evaluated(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--spec", "bytedance-5nm", "--no-field", "--json", "-") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["tpp"] < 2400
    assert data["area_m2"]["p10"] < data["area_m2"]["value"] < data["area_m2"]["p90"]
    assert data["rulings"]["export"]["group"] == "free"


def test_a_search_writes_table_json_parquet_and_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import polars as pl

    done = run(
        "--for", "llama-3.1-8b:decode", "--candidates", "4000", "--full", "8", "--no-refine", "--max-area", "800mm2",
        "--max-power", "500W", "--json", str(tmp_path / "d.json"), "--parquet", str(tmp_path / "d.parquet"),
        "--png", str(tmp_path / "pictures"),
    )  # fmt: skip
    assert done == 0
    out = capsys.readouterr().out
    assert "Pareto front" in out
    assert "one chip of each" in out
    data = json.loads((tmp_path / "d.json").read_text(encoding="utf-8"))
    assert data["front"][0]["group"] == "free"
    assert data["front"][0]["cost_usd"]["p10"] < data["front"][0]["cost_usd"]["p90"]
    frame = pl.read_parquet(tmp_path / "d.parquet")
    assert max(frame["die_area_m2"].to_list()) <= 800e-6
    names = {p.name for p in (tmp_path / "pictures").iterdir()}
    assert names == {"floorplan.png", "breakdown.png", "field.png", "front.png", "plane.png"}
    assert all((tmp_path / "pictures" / n).stat().st_size > 5000 for n in names)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--node", "N55", "--candidates", "200"), "did you mean 'N5'"),
        (("--max-area", "800 W"), "wrong kind of unit"),
        (("--max-area", "-5"), "a limit must be above 0"),
        (("--rules", "eu"), "allowed: bis, none"),
        (("--allow", "open"), "allowed: free, conditional"),
        (("--dies", "two"), "no list of whole numbers"),
        (("--date", "yesterday"), "is no day"),
        (("--fact", "packaged=me"), "packaged"),
        (("--for", "lama-3.1-8b"), "did you mean"),
        (("--spec", "bytedance"), "did you mean 'bytedance-5nm'"),
        (("--max-power", "3W", "--candidates", "500"), "no design keeps all limits"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("suanli:")]
    assert len(error) == 1
    assert told in error[0]

"""Scoring rulings: agreement, false clears, rows that can't be scored."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from suanli.errors import InputError
from suanli.scoring import report, score
from suanli.scoring.controls import read_cases

CASES = Path(__file__).parents[2] / "validation" / "data" / "controls" / "cases.csv"


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_every_visible_case_agrees_and_none_is_cleared_falsely() -> None:
    data = report(score("controls", [CASES]))
    assert data["n_scored"] == data["n_rows"] == 88
    assert {name: m["agree_pct"] for name, m in data["metrics"].items()} == {
        "outcome": 100.0,
        "eccn": 100.0,
        "presumption": 100.0,
    }
    assert data["false_clears"] == {"n": 0, "ids": []}
    assert data["by_group"]["ruleset=as_written"]["outcome"]["n"] == 4


def test_a_false_clear_is_counted(tmp_path: Path) -> None:
    rows = read_cases(CASES)
    barred = [dict(r) for r in rows if r["outcome"] == "NOT_LISTED"][:2]
    barred[0].update(case_id="wrong-1", outcome="LICENCE_REQUIRED", eccn="3A090.a", presumption="denial")
    barred[1].update(case_id="wrong-2", outcome="UNDETERMINED", eccn="none", presumption="unknown")
    data = report(score("controls", [write(tmp_path / "c.csv", barred)]))
    assert data["false_clears"] == {"n": 2, "ids": ["wrong-1", "wrong-2"]}
    assert data["metrics"]["outcome"]["agree_pct"] == 0.0


def test_a_row_that_is_none_is_skipped_with_its_reason(tmp_path: Path) -> None:
    rows = [dict(r) for r in read_cases(CASES)[:3]]
    rows[0]["destination"] = "XX"
    rows[1]["facts"] = "nonsense=1"
    scored = score("controls", [write(tmp_path / "c.csv", rows)])
    assert [i for i, _ in scored.skipped] == ["CV001", "CV002"]
    assert "unknown country code" in scored.skipped[0][1]
    assert "unknown fact 'nonsense'" in scored.skipped[1][1]
    assert scored.rows["id"].unique().to_list() == ["CV003"]


def test_figures_are_read_as_written_and_rows_without_id_are_numbered(tmp_path: Path) -> None:
    rows = [{k: v for k, v in r.items() if k != "case_id"} for r in read_cases(CASES) if r["case_id"] == "CV037"]
    path = write(tmp_path / "border.csv", rows)
    scored = score("controls", [path, CASES])
    assert scored.n_rows == 89
    first = scored.rows.filter(scored.rows["id"] == "border.csv:1")
    assert (first["measured"] == first["predicted"]).all()


def test_parquet_is_read_too(tmp_path: Path) -> None:
    import polars as pl

    path = tmp_path / "c.parquet"
    pl.read_csv(CASES).write_parquet(path)
    data = report(score("controls", [path]))
    assert data["metrics"]["outcome"] == {"n": 88, "agree_pct": 100.0}


def test_a_file_that_is_no_case_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(InputError, match="lacks the columns ruleset, date"):
        score("controls", [path])
    with pytest.raises(InputError, match="no such file"):
        score("controls", [tmp_path / "none.csv"])

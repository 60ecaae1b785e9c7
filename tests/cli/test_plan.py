"""``suanli plan`` on the command line: one screen, one clear line, exit code 2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from suanli.cli import main

SMALL = str(Path(__file__).parents[1] / "fleet" / "data" / "small")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["plan", *arguments])
    assert stop.value.code == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert told[0].startswith("suanli: ")
    return told[0]


def test_what_cannot_be_done_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "did you mean 'trendforce-gpt'" in refused(capsys, "trendforce")
    assert "not a date" in refused(capsys, SMALL, "--as-of", "yesterday")
    assert "unknown variant" in refused(capsys, SMALL, "--budget", "none")
    assert "one case, found also" in refused(capsys, SMALL, SMALL)
    assert "two folders" in refused(capsys, "diff", SMALL)
    assert "a new folder" in refused(capsys, "new")
    assert "one folder" in refused(capsys, "report")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert "is a file" in refused(capsys, SMALL, "--out", str(tmp_path / "file"))
    assert "is a file" in refused(capsys, SMALL, "--out", str(tmp_path / "file" / "below"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_a_plan_is_written_whole_and_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["plan", SMALL, "--out", str(tmp_path / "out"), "--fresh", "4", "--json", str(tmp_path / "all.json")])
    assert stop.value.code == 0
    told = capsys.readouterr().out
    for part in ("A small case", "Chips to order", "What binds", "Over ", "fresh futures"):
        assert part in told
    assert len(told.splitlines()) <= 40  # one screen
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all.json", "out"]
    assert (tmp_path / "out" / "report.html").stat().st_size > 1000
    (tmp_path / "out" / "report.html").unlink()
    with pytest.raises(SystemExit):
        main(["plan", "report", str(tmp_path / "out")])
    assert (tmp_path / "out" / "report.html").stat().st_size > 1000
    body = json.loads((tmp_path / "out" / "plan.json").read_text(encoding="utf-8"))
    assert body == json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))


def test_two_plans_are_told_beside_each_other(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name, budget in (("a", "normal"), ("b", "double")):
        with pytest.raises(SystemExit):
            main(["plan", SMALL, "--out", str(tmp_path / name), "--fresh", "0", "--budget", budget])
    capsys.readouterr()
    found = tmp_path / "diff.json"
    with pytest.raises(SystemExit) as stop:
        main(["plan", "diff", str(tmp_path / "a"), str(tmp_path / "b"), "--json", str(found)])
    assert stop.value.code == 0
    told = capsys.readouterr().out
    for part in ("expected cost", "Chips ordered", "Inputs that differ", "budget.main.2024", "--full tells them"):
        assert part in told
    body = json.loads(found.read_text(encoding="utf-8"))
    cost = body["headline"][0]
    assert cost["change"] == pytest.approx(cost["b"] - cost["a"])
    assert cost["change"] < 0  # more money is never worse
    parts = [r["change"] for r in body["headline"] if r["figure"].startswith("  ")]
    assert sum(parts) == pytest.approx(cost["change"], rel=1e-6)


def test_a_case_to_start_from(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["plan", "new", str(tmp_path / "mine")])
    assert stop.value.code == 0
    assert "prices.csv" in capsys.readouterr().out
    assert (tmp_path / "mine" / "case.yaml").is_file()

"""``suanli backtest`` and ``suanli plan --from``: what is told, what goes on, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from suanli.cli import main

SMALL = str(Path(__file__).parents[1] / "fleet" / "data" / "small")


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    assert stop.value.code in {0, None}, capsys.readouterr().err
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    assert stop.value.code == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    return told[0]


def test_a_backtest_tells_regret_and_the_test_on_fresh_futures(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "all.json"
    told = ran(
        capsys, "backtest", SMALL, "--as-of", "2024-01-31,2024-06-15", "--rolling", "--fresh", "16",
        "--work", str(tmp_path / "work"), "--json", str(out),
    )  # fmt: skip
    body: Any = json.loads(out.read_text(encoding="utf-8"))
    assert [t["as_of"] for t in body["tests"]] == ["2024-01-31", "2024-06-15"]
    for test in body["tests"]:
        assert test["ahead"]["low"] <= test["ahead"]["usd"] <= test["ahead"]["high"]
        assert test["ahead"]["futures"] == 16
        assert min(test["regret"], test["regret_deterministic"]) >= -1.0
    rolling = body["rolling"]
    assert min(rolling["regret"], rolling["regret_once"], rolling["regret_deterministic"]) >= -1.0
    assert rolling["regret_once"] == pytest.approx(body["tests"][0]["regret"])
    assert "one path" in told
    assert "fresh futures" in " ".join(told.split())
    assert not (tmp_path / "work").exists()


def test_a_backtest_that_cannot_be_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--as-of with days" in refused(capsys, "backtest", SMALL)
    assert "must rise" in refused(capsys, "backtest", SMALL, "--as-of", "2024-06-15,2024-01-31", "--rolling")


def test_a_plan_goes_on_from_another(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    ran(capsys, "plan", SMALL, "--out", str(first), "--fresh", "0")
    ran(capsys, "plan", SMALL, "--from", str(first), "--as-of", "2024-07-15", "--out", str(second), "--fresh", "0")
    body: Any = json.loads((second / "plan.json").read_text(encoding="utf-8"))
    orders = pl.read_parquet(first / "tables" / "orders.parquet")
    early = orders.filter((pl.col("variant") == "normal") & (pl.col("month") < "2024-08"))
    frozen = {(o["offer"], o["site"], o["month"]): o["chips"] * 1e3 for o in body["frozen"]["orders"]}
    assert frozen == pytest.approx({(r["offer"], r["site"], r["month"]): r["chips"] for r in early.to_dicts()})
    assert min(pl.read_parquet(second / "tables" / "orders.parquet")["month"].to_list()) >= "2024-08"
    money = body["plans"]["as-of-2024-07-15/normal"]["money"][0]
    assert money["committed"] >= float(early["usd"].sum()) * 0.5
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    assert "plan.json" in refused(capsys, "plan", SMALL, "--from", str(tmp_path), "--out", str(tmp_path / "third"))

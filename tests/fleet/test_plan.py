"""A small case from end to end: planned, written, explained, refused."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from suanli import fleet
from suanli.cli.explain import find, load, trace
from suanli.errors import InfeasibleError, InputError
from suanli.fleet._solve import decision
from suanli.fleet._units import unit_costs

SMALL = Path(__file__).parent / "data" / "small"


@pytest.fixture(scope="module")
def plan() -> fleet.Plan:
    return fleet.solve(fleet.load_case(SMALL), options=fleet.Options(fresh=8))


@pytest.fixture(scope="module")
def written(plan: fleet.Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("plan") / "small"
    fleet.write_plan(plan, out, export="csv")
    return out


def body(folder: Path) -> Any:
    return json.loads((folder / "plan.json").read_text(encoding="utf-8"))


def test_planning_on_futures_is_worth_something_and_nobody_beats_hindsight(plan: fleet.Plan) -> None:
    assert plan.worth.vss >= -1e-6
    assert plan.worth.evpi >= -1e-6
    assert (plan.worth.regret >= -1e-6).all()


def test_the_dominated_offer_is_not_ordered(plan: fleet.Plan) -> None:
    orders = decision(plan.main).order
    by_offer = {x.offer.id: orders[j].sum() for j, x in enumerate(plan.main.grid.lines) if x.offer is not None}
    assert by_offer["dear"] == pytest.approx(0.0, abs=1e-9)
    assert by_offer["good"] > 0


def test_twice_the_money_is_not_worse(plan: fleet.Plan) -> None:
    plans = plan.outlooks[0].plans
    assert plans["double"].answer.objective <= plans["normal"].answer.objective + 1e-9


def test_money_adds_up(written: Path) -> None:
    for row in body(written)["plans"]["early/normal"]["money"]:
        assert row["committed"] + row["planned"] + row["left"] == pytest.approx(row["budget"])
        assert row["left"] >= -1.0


def test_cost_is_the_sum_of_its_parts(written: Path) -> None:
    for one in body(written)["plans"].values():
        assert sum(one["cost_parts"].values()) == pytest.approx(one["cost"]["usd"], rel=1e-9)


def test_tokens_are_conserved(plan: fleet.Plan, written: Path) -> None:
    rows = body(written)["plans"]["early/normal"]["training"]
    assert rows
    for row in rows:
        assert 0.0 <= row["done"] <= 1.0
        assert row["tokens"] == pytest.approx(row["done"] * plan.main.grid.run_tokens[0])
        assert (row["finish"] == "") == (row["done"] < 1.0 - 1e-6)


def test_use_never_exceeds_stock(written: Path) -> None:
    use = pl.read_parquet(written / "tables" / "use.parquet")
    stock = pl.read_parquet(written / "tables" / "stock.parquet")
    keys = ["view", "variant", "chip", "month"]
    used = use.group_by(keys).agg(pl.col("chips").sum().alias("used"))
    there = stock.group_by(keys).agg(pl.col("chips").sum().alias("there"))
    both = used.join(there, on=keys, how="left")
    assert both["there"].null_count() == 0
    assert (both["used"] <= both["there"] * (1 + 1e-6) + 1e-6).all()


def test_tables_say_the_same_as_csv(written: Path) -> None:
    names = {p.stem for p in (written / "tables").glob("*.parquet")}
    assert names == set(body(written)["tables"])
    assert {p.stem for p in (written / "tables").glob("*.csv")} > names


def test_every_figure_ends_in_sources(written: Path) -> None:
    packed = load(written)
    assert len(packed["figures"]) > 30
    for key in ("early.normal.cost", "early.normal.served", "worth.vss"):
        assert find(packed, key) == [key]
    tree = trace(packed, "early.normal.cost")
    text = json.dumps(tree)
    assert "made up" in text
    orders = tree["inputs"]["orders"]["inputs"]
    assert orders["budgets"]["inputs"]["budget.main.2024"]["value"] == 60e6
    assert orders["good"]["inputs"]["price from 2024-01"]["value"] == 30e3
    assert orders["good"]["inputs"]["price from 2024-01"]["source"]["ref"] == "made up"


def test_results_repeat(plan: fleet.Plan) -> None:
    again = fleet.solve(fleet.load_case(SMALL), options=fleet.Options(fresh=0, explain=False))
    assert np.array_equal(decision(again.main).order, decision(plan.main).order)
    assert again.trial is None


def test_near_optimal_plans_stay_within_their_slack(plan: fleet.Plan) -> None:
    assert plan.alternatives
    best = plan.main.answer.objective
    for other in plan.alternatives:
        assert other.cost <= best + other.slack * abs(best) * (1 + 1e-6) + 1e-6
        assert other.after <= other.before + 1e-6


def test_a_plan_never_replaces_something_else(plan: fleet.Plan, tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="holds something other than a plan"):
        fleet.write_plan(plan, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["own.txt"]


def test_nothing_is_left_when_the_report_fails(plan: fleet.Plan, tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        assert (folder / "plan.json").is_file()
        raise InputError("no report today")

    with pytest.raises(InputError, match="no report today"):
        fleet.write_plan(plan, tmp_path / "out", finish=fail)
    assert list(tmp_path.iterdir()) == []


def test_a_new_plan_takes_the_old_ones_place(plan: fleet.Plan, tmp_path: Path) -> None:
    for _ in range(2):
        fleet.write_plan(plan, tmp_path / "out", export="xlsx")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    with zipfile.ZipFile(tmp_path / "out" / "tables" / "plan.xlsx") as book:
        assert "xl/worksheets/sheet1.xml" in book.namelist()
        assert b"<v>" in book.read("xl/worksheets/sheet1.xml")


def test_an_export_holds_everything_that_a_reader_asks_for(plan: fleet.Plan, tmp_path: Path) -> None:
    import polars as pl

    told = fleet.write_plan(plan, tmp_path / "out", export="csv")
    tables = tmp_path / "out" / "tables"
    names = {p.stem for p in tables.glob("*.csv")}
    assert {"plans", "orders", "deliveries", "money", "rates", "unit_costs", "sources", "binding"} <= names
    plans = pl.read_csv(tables / "plans.csv")
    assert plans.height == len(told["plans"])
    parts = plans.select(pl.sum_horizontal(c for c in plans.columns if c.startswith("USD of "))).to_series()
    assert parts.to_list() == pytest.approx(plans["cost_usd"].to_list(), rel=1e-6)
    sources = pl.read_csv(tables / "sources.csv")
    assert sources["source_ref"].null_count() == 0
    for path in tables.glob("*.csv"):
        frame, parquet = pl.read_csv(path, infer_schema_length=None), path.with_suffix(".parquet")
        if parquet.exists():
            assert frame.shape == pl.read_parquet(parquet).shape


def test_unknown_export(plan: fleet.Plan, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="allowed: csv, xlsx"):
        fleet.write_plan(plan, tmp_path / "out", export="ods")
    assert list(tmp_path.iterdir()) == []


def test_difference_of_two_plans(written: Path, tmp_path: Path) -> None:
    assert fleet.diff(written, written)["rows"] == []
    shutil.copytree(written, tmp_path / "b")
    told = body(written)
    told["provenance"]["figures"]["worth.vss"]["value"] += 5.0
    (tmp_path / "b" / "plan.json").write_text(json.dumps(told), encoding="utf-8")
    rows = fleet.diff(written, tmp_path / "b")["rows"]
    assert [r["figure"] for r in rows] == ["worth.vss"]
    assert rows[0]["change"] == pytest.approx(5.0)
    (tmp_path / "b" / "plan.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="not valid JSON"):
        fleet.diff(written, tmp_path / "b")
    (tmp_path / "b" / "plan.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="is no plan"):
        fleet.diff(written, tmp_path / "b")


def test_infeasible_limits_are_named_and_no_rule_among_them(tmp_path: Path) -> None:
    shutil.copytree(SMALL, tmp_path / "case")
    path = tmp_path / "case" / "case.yaml"
    text = path.read_text(encoding="utf-8")
    firm = "unserved: {value: USD 0.002/request, source: own}\n    minimum: {value: 0.999, source: own}"
    path.write_text(text.replace("unserved: {value: USD 0.002/request, source: own}", firm), encoding="utf-8")
    with pytest.raises(InfeasibleError) as error:
        fleet.solve(fleet.load_case(tmp_path / "case"), options=fleet.Options(fresh=0))
    told = str(error.value)
    assert "limits that cannot hold together" in told
    assert "a chat" in told
    assert "Cheapest change" in told
    assert "rule" not in told
    assert "licence" not in told


def test_a_date_outside_the_horizon_is_refused() -> None:
    import datetime as dt

    with pytest.raises(InputError, match="outside the horizon"):
        fleet.solve(fleet.load_case(SMALL), options=fleet.Options(as_of=dt.date(2030, 1, 1)))


def test_public_names() -> None:
    public = {name for name in vars(fleet) if not name.startswith("_")}
    assert set(fleet.__all__) == {n for n in public if not hasattr(vars(fleet)[n], "__path__")}


def test_what_is_shut_out_bears_no_price(plan: fleet.Plan) -> None:
    first, variant = plan.outlooks[0], plan.variants[0].id
    assert unit_costs(plan, first, variant)
    solved = first.plans[variant]
    setting = solved.program.setting
    shut = replace(setting, grid=replace(setting.grid, arrive=np.zeros_like(setting.grid.arrive)))
    barred = replace(solved, program=replace(solved.program, setting=shut))
    assert unit_costs(plan, replace(first, plans={variant: barred}), variant) == []

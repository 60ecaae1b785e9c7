"""Which charts a plan has, and the tables that they are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from suanli.reports import _plan_charts as plan_charts
from suanli.reports import _risk_charts as risk_charts
from suanli.reports._theme import themed, unchecked

Document = Mapping[str, Any]
Tables = Mapping[str, pl.DataFrame]


@dataclass(frozen=True, slots=True)
class ChartOf:
    """A picture of a plan: file name, title, the table it needs, and the function that draws it at a width."""

    id: str
    title: str
    table: str
    draw: Callable[[pl.DataFrame, int], Any]


CHARTS: tuple[ChartOf, ...] = (
    ChartOf("orders", "Orders by quarter", "orders", plan_charts.orders),
    ChartOf("deliveries", "Ordered and delivered by supplier; the band holds 80 % of the futures", "deliveries",
            plan_charts.deliveries),
    ChartOf("stock", "Chips there, mean of the futures", "stock", plan_charts.stock),
    ChartOf("capacity", "Demand in the busy hour (line, 80 % band) and what each chip serves of it", "asked_and_served",
            plan_charts.capacity),
    ChartOf("training", "Training: to the middle and the latest finish; the mark is the deadline, with its odds",
            "training", risk_charts.training),
    ChartOf("money", "Money by pot: the mark is the budget", "money", plan_charts.money),
    ChartOf("power", "Power by site: mean, most over the futures, and the line is what is there", "power",
            plan_charts.power),
    ChartOf("legal-life", "Legal life of each chip", "lives", risk_charts.legal_life),
    ChartOf("bindings", "When limits bind, and what one more unit is worth in the dearest month", "binding",
            risk_charts.bindings),
    ChartOf("tornado", "Cost at either end of each input", "tornado", risk_charts.tornado),
    ChartOf("fan", "The plan over its futures: mean, middle half, 80 % band", "fan", risk_charts.fan),
    ChartOf("scenarios", "How the plan fares in each future", "scenarios", risk_charts.scenarios),
    ChartOf("regret", "Regret by future", "scenarios", risk_charts.regret),
    ChartOf("alternatives", "What the plan and others nearly as good order in all", "alternatives",
            risk_charts.alternatives),
)  # fmt: skip


MADE = ("asked_and_served", "lives", "alternatives", "tornado")
"""Tables that ``main_tables`` makes of others and of plan.json."""


def plan_chart(kind: ChartOf, tables: Tables, width: int) -> Any | None:
    """Return the chart ``kind`` of a plan's ``tables`` at ``width`` pixels, or None where its table is empty."""
    frame = tables.get(kind.table)
    if frame is None or not frame.height:
        return None
    with unchecked():
        chart = kind.draw(frame, width)
        drawn = chart if isinstance(chart, Mapping) else {"width": width, **chart.to_dict(validate=False)}
    return themed(drawn)


def main_tables(plan: Document, tables: Tables) -> dict[str, pl.DataFrame]:
    """Return the tables of the main view and variant, and those that its charts add to them."""
    view, variant = plan["main"]["view"], plan["main"]["variant"]
    out = {
        name: frame.filter((pl.col("view") == view) & (pl.col("variant") == variant)) if frame.height else frame
        for name, frame in tables.items()
    }
    if out["training"].height:
        out["training"] = out["training"].with_columns(pl.lit(plan["case"]["last"]).alias("horizon"))
    if out["service"].height:
        out["asked_and_served"] = plan_charts.joined_capacity(out["service"], out["capacity"])
    base = plan["plans"][f"{view}/{variant}"]["cost"]["usd"]
    out["tornado"] = _frame([{**row, "base": base} for row in plan.get("tornado") or []])
    out["lives"] = _frame(_lives(plan))
    out["alternatives"] = _frame(_alternatives(plan))
    return out


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, infer_schema_length=None) if rows else pl.DataFrame()


def _lives(plan: Document) -> list[dict[str, Any]]:
    """Return the stretches in which each chip may be delivered and run in a place, for every view; alike rows once."""
    out: dict[tuple[str, ...], dict[str, Any]] = {}
    for view in plan["views"]:
        found = plan["plans"][f"{view['id']}/{plan['main']['variant']}"]
        for line in found["legal_life"]:
            there = "@" not in line["line"]  # stock is delivered already
            row = f"{line['chip']}, {line['site']}" + (" (stock)" if there else "")
            deliver = [] if there else line["deliver"]
            for may, stretches in zip(risk_charts.LIFE, (deliver, line["run"]), strict=True):
                for since, until in stretches:
                    key = (view["id"], row, may, since, until)
                    out[key] = {"view": view["title"], "row": row, "may": may, "since": since, "until": until}
    order = list(risk_charts.LIFE)
    return sorted(out.values(), key=lambda r: -order.index(r["may"]))


def _alternatives(plan: Document) -> list[dict[str, Any]]:
    """Return (plan, offer, chips) of the plan and of each near-optimal one."""
    if not plan["alternatives"]:
        return []
    main = plan["plans"][f"{plan['main']['view']}/{plan['main']['variant']}"]
    out = [{"plan": "this plan", "offer": o["offer"], "chips": o["chips"]} for o in main["orders"]]
    for one in plan["alternatives"]:
        name = f"{one['sentence']} (+{one['slack']:.0%})"
        out += [{"plan": name, "offer": o["line"].split("@")[0], "chips": o["chips"]} for o in one["orders"]]
    sums: dict[tuple[str, str], float] = {}
    for row in out:
        sums[row["plan"], row["offer"]] = sums.get((row["plan"], row["offer"]), 0.0) + row["chips"]
    return [{"plan": p, "offer": o, "chips": n} for (p, o), n in sums.items()]

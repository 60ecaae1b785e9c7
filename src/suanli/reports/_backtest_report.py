"""The report of a backtest: regret of plans by day, or the compute with and without a rule, by month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl

from suanli.errors import InputError
from suanli.files import write_text
from suanli.quantities import show, show_billions, show_money
from suanli.reports import _html as html
from suanli.reports._plan_charts import DESK, PHONE, dated, time_axis
from suanli.reports._theme import INK, PALETTE, save_chart, themed

Row = Mapping[str, Any]
WITH, WITHOUT = "with every rule", "without this rule"
MINE, OTHER = "plan on futures", "plan on expected values"


def write_backtest(path: Path, title: str, label: str, body: Mapping[str, Any]) -> None:
    """Write what a backtest found: a page for ``.html``, else its chart as ``.svg`` or ``.png``.

    ``body`` holds ``rule`` and ``months``, or ``tests``, ``notes`` and ``rolling``, as the command's JSON does. Raises
    InputError for another suffix or a folder that can't be written.
    """
    if path.suffix.lower() not in {".html", ".svg", ".png"}:
        raise InputError(f"{path}: a backtest's report ends in .html, .svg or .png")
    by_rule = "months" in body
    caption = f"Compute that may run, with and without {body['rule']}" if by_rule else "Regret of plans, by day"

    def draw(width: int) -> Any:
        chart = rule_chart(body["months"], width) if by_rule else regret_chart(body["tests"], width)
        return themed(chart, width=width)

    if path.suffix.lower() != ".html":
        save_chart(draw(DESK).properties(title=caption), path)
        return
    told = _rule_rows(body["months"]) if by_rule else _test_rows(body)
    head = f"<h1>{html.text(title)}</h1>" + (html.paragraph(label, "label") if label else "")
    section = html.figure(caption, draw, desk=DESK, phone=PHONE) + told
    name = "Does the rule work?" if by_rule else "What plans would have cost"
    write_text(path, html.page(title, [(name, section)], head))


def rule_chart(months: Sequence[Row], width: int) -> Any:
    """Draw dense bf16 compute that may run by month, with and without a rule; what lies between is what it takes."""
    data = dated(pl.DataFrame([{k: r[k] for k in ("month", "with", "without")} for r in months]))
    data = data.with_columns(pl.col("with") / 1e18, pl.col("without") / 1e18)
    x = time_axis(width)
    y = alt.Y("rate:Q", title="EFLOP/s, dense bf16")
    lines = data.unpivot(on=["with", "without"], index="month", variable_name="what", value_name="rate")
    lines = lines.with_columns(pl.col("what").replace({"with": WITH, "without": WITHOUT}))
    taken = alt.Chart(data).mark_area(opacity=0.25, color=PALETTE[5]).encode(
        x=x, y=alt.Y("with:Q", title="EFLOP/s, dense bf16"), y2="without:Q"
    )  # fmt: skip
    scale = alt.Scale(domain=[WITH, WITHOUT], range=[PALETTE[0], PALETTE[6]])
    line = (
        alt.Chart(lines).mark_line(strokeWidth=2).encode(x=x, y=y, color=alt.Color("what:N", title=None, scale=scale))
    )
    return alt.layer(taken, line).properties(height=240)


def regret_chart(tests: Sequence[Row], width: int) -> Any:
    """Draw the regret of both plans of each day, in USD bn."""
    names = {"regret": MINE, "regret_deterministic": OTHER}
    rows = [{"day": t["as_of"], "plan": told, "bn": t[key] / 1e9} for t in tests for key, told in names.items()]
    scale = alt.Scale(domain=list(names.values()), range=[PALETTE[0], PALETTE[1]])
    x = alt.X("bn:Q", title="regret, USD bn", axis=alt.Axis(tickCount=max(3, width // 110)))
    y = alt.Y("day:N", title="known to", sort=None)
    offset = alt.YOffset("plan:N", sort=list(names.values()))
    base = alt.Chart(pl.DataFrame(rows)).encode(x=x, y=y, yOffset=offset)
    bars = base.mark_bar().encode(color=alt.Color("plan:N", title=None, scale=scale))
    told = base.mark_text(align="left", dx=4, color=INK, fontSize=11).encode(text=alt.Text("bn:Q", format=".1f"))
    return alt.layer(bars, told).properties(width=width - 80, height=alt.Step(18))


def _rule_rows(months: Sequence[Row]) -> str:
    rows = [
        (r["month"], show(r["with"], "FLOP/s"), show(r["without"], "FLOP/s"), show(r["taken"], "%"))
        for r in months
        if r["month"][5:] in {"03", "06", "09", "12"}
    ]
    most = max(months, key=lambda r: float(r["taken"]), default=None)
    if most is None or float(most["taken"]) < 0.0005:
        told = "The rule takes nothing of the compute that this plan may run."
    else:
        told = f"It takes most in {most['month']}: {show(most['taken'], '%')} of the compute that could run without it."
    columns = ("month", WITH, WITHOUT, "taken")
    return html.paragraph(told) + html.table(columns, rows, numbers=columns[1:])


def _test_rows(body: Mapping[str, Any]) -> str:
    rows = [_test_row(r) for r in body["tests"]]
    columns = ("known to", "regret", "on expected values", "served (other)", "chips refused", "ahead on fresh futures")
    told = html.table(columns, rows, numbers=columns[1:])
    if rolled := body.get("rolling"):
        plans = [
            (name, *(show_money(rolled[f"regret{which}"], "USD") for which in (once, f"{once}_deterministic")))
            for name, once in (("once", "_once"), ("anew on each day", ""))
        ]
        head = (f"planned from {rolled['days'][0]} on", MINE, OTHER)
        told += html.table(head, plans, numbers=head[1:])
    return told + html.paragraph(" ".join(body.get("notes", ())), "muted")


def _test_row(r: Row) -> tuple[str, ...]:
    ahead = r["ahead"]
    return (
        r["as_of"],
        show_money(r["regret"], "USD"),
        show_money(r["regret_deterministic"], "USD"),
        f"{r['served']:.0%} ({r['served_deterministic']:.0%})",
        f"{r['chips_refused'] / 1e3:,.0f} k of {r['chips_ordered'] / 1e3:,.0f} k",
        show_billions(ahead["usd"], ahead["low"], ahead["high"]),
    )

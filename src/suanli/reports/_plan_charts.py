"""Charts of a plan, each made from one of its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

from suanli.reports._theme import MUTED, PALETTE, themed

DESK, PHONE = 720, 300
"""Widths of the plot area in pixels: a desk's column and a phone's."""

Tables = Mapping[str, pl.DataFrame]


@dataclass(frozen=True, slots=True)
class ChartOf:
    """A picture of a plan: file name, the table it needs, and the function that draws it at a width."""

    id: str
    title: str
    table: str
    draw: Callable[[pl.DataFrame, int], Any]


def _months(frame: pl.DataFrame, column: str = "month") -> pl.DataFrame:
    return frame.with_columns(pl.col(column).str.to_date("%Y-%m", strict=False))


def _time(ticks: int = 6) -> alt.X:
    return alt.X("month:T", title=None, axis=alt.Axis(format="%b %Y", tickCount=ticks, labelAngle=0))


def numbered(frame: pl.DataFrame) -> pl.DataFrame:
    """Return ``frame`` with its futures numbered by first appearance, as "F1, 9 %"."""
    names = {name: i for i, name in enumerate(frame["scenario"].unique(maintain_order=True).to_list(), 1)}
    odds = (pl.col("probability") * 100).round(0).cast(pl.Int64).cast(pl.String)
    return frame.with_columns(
        (pl.lit("F") + pl.col("scenario").replace_strict(names).cast(pl.String) + ", " + odds + " %").alias("future")
    )


def spoken(scenario: str) -> str:
    """Return a future's name without the names of its factors: "a: x; b: y" is "x; y"."""
    return "; ".join(part.split(": ", 1)[-1] for part in scenario.split("; "))


def orders(frame: pl.DataFrame, width: int) -> Any:
    """Draw what is ordered by quarter and offer, in chips."""
    data = frame.group_by("quarter", "offer", "way", maintain_order=True).agg(
        pl.col("chips").sum() / 1e3, pl.col("usd").sum() / 1e6
    )
    return (
        alt.Chart(data)
        .mark_bar()
        .encode(
            x=alt.X("quarter:N", title=None, sort="ascending", axis=alt.Axis(labelAngle=-45 if width < 400 else 0)),
            y=alt.Y("chips:Q", title="thousand chips ordered"),
            color=alt.Color("offer:N", title=None),
            tooltip=[
                "quarter",
                "offer",
                "way",
                alt.Tooltip("chips:Q", format=".1f"),
                alt.Tooltip("usd:Q", format=",.0f"),
            ],
        )
    )


def stock(frame: pl.DataFrame, width: int) -> Any:
    """Draw the chips there by chip over time (mean of the scenarios), a panel a region."""
    data = (
        _months(frame)
        .group_by("region", "chip", "month")
        .agg(pl.col("chips").sum() / 1e3, pl.col("p10").sum() / 1e3, pl.col("p90").sum() / 1e3)
    )
    panel = (
        alt.Chart(data)
        .mark_area()
        .encode(x=_time(), y=alt.Y("chips:Q", title="thousand chips"), color=alt.Color("chip:N", title=None))
    )
    return _panels(panel, data, "region", width, 170)


def service(frame: pl.DataFrame, width: int) -> Any:
    """Draw the demand on each service with its band, and what of it is served."""
    data = _months(frame).with_columns(
        (pl.col("demand_per_s") * pl.col("served")).alias("served_per_s"),
        (pl.col("demand_per_s") * pl.col("served_p10")).alias("low"),
        (pl.col("demand_per_s") * pl.col("served_p90")).alias("high"),
        (pl.col("name") + " (" + pl.col("region") + ")").alias("service"),
    )
    lines = data.unpivot(
        on=["demand_per_s", "served_per_s"], index=["service", "month"], variable_name="what", value_name="rate"
    ).with_columns(pl.col("what").replace({"demand_per_s": "asked", "served_per_s": "served"}))
    joined = lines.join(data.select("service", "month", "demand_p10", "demand_p90"), on=["service", "month"])
    band = (
        alt.Chart(joined)
        .mark_area(opacity=0.15, color=PALETTE[0])
        .encode(x=_time(3), y="demand_p10:Q", y2="demand_p90:Q")
    )
    line = (
        alt.Chart(joined)
        .mark_line(strokeWidth=2)
        .encode(
            x=_time(3),
            y=alt.Y("rate:Q", title="requests/s"),
            color=alt.Color(
                "what:N", title=None, scale=alt.Scale(domain=["asked", "served"], range=[PALETTE[0], PALETTE[2]])
            ),
        )
    )
    return _panels(alt.layer(band, line, data=joined), joined, "service", width, 110, columns=2)


def money(frame: pl.DataFrame, width: int) -> Any:
    """Draw budget against what was committed before and what is planned, by pot and year."""
    data = frame.select("pot", "year", "committed", "planned", "budget").with_columns(
        pl.col("year").cast(pl.String), *[pl.col(c) / 1e9 for c in ("committed", "planned", "budget")]
    )
    spent = data.unpivot(
        on=["committed", "planned"], index=["pot", "year", "budget"], variable_name="what", value_name="bn"
    )
    bars = (
        alt.Chart(spent)
        .mark_bar()
        .encode(
            x=alt.X("year:N", title=None, axis=alt.Axis(labelAngle=0)),
            y=alt.Y("bn:Q", title="USD bn"),
            color=alt.Color(
                "what:N", title=None, scale=alt.Scale(domain=["planned", "committed"], range=[PALETTE[0], PALETTE[6]])
            ),
        )
    )
    mark = alt.Chart(spent).mark_tick(thickness=3, color=PALETTE[5]).encode(x="year:N", y="budget:Q")
    return _panels(alt.layer(bars, mark, data=spent), spent, "pot", width, 150, columns=3)


def power(frame: pl.DataFrame, width: int) -> Any:
    """Draw the power drawn at each site against what is there."""
    data = _months(frame).with_columns((pl.col("power") + pl.col("built")).alias("there"))
    area = alt.Chart(data).mark_area(opacity=0.6, color=PALETTE[0]).encode(x=_time(3), y=alt.Y("drawn:Q", title="MW"))
    line = alt.Chart(data).mark_line(color=PALETTE[5], interpolate="step-after").encode(x=_time(3), y="there:Q")
    return _panels(alt.layer(area, line, data=data), data, "site", width, 110, columns=2)


def training(frame: pl.DataFrame, width: int) -> Any:
    """Draw when each run starts and ends in each scenario; what is not done in the horizon is open-ended."""
    data = numbered(frame).filter(pl.col("start") != "").with_columns(
        pl.when(pl.col("finish") == "").then(pl.lit("not finished")).otherwise(pl.lit("finished")).alias("state"),
        pl.col("start").str.to_date("%Y-%m"),
        pl.coalesce(pl.col("finish").replace("", None), "horizon").str.to_date("%Y-%m"),
    ).with_columns(pl.col("finish").dt.offset_by("1mo"))  # fmt: skip
    bars = (
        alt.Chart(data)
        .mark_bar(height=8, cornerRadius=2)
        .encode(
            x=alt.X("start:T", title=None, axis=alt.Axis(format="%b %Y", tickCount=6)),
            x2="finish:T",
            y=alt.Y("future:N", title=None, sort=None),
            color=alt.Color(
                "state:N",
                title=None,
                scale=alt.Scale(domain=["finished", "not finished"], range=[PALETTE[2], PALETTE[5]]),
            ),
            tooltip=[
                "name",
                "scenario",
                alt.Tooltip("probability:Q", format=".0%"),
                alt.Tooltip("done:Q", format=".0%"),
            ],
        )
    )
    return _panels(bars, data, "name", width, None)


def scenarios(frame: pl.DataFrame, width: int) -> Any:
    """Draw how the plan fares in each future: cost against the share of demand served, sized by probability."""
    data = numbered(frame).with_columns(pl.col("cost") / 1e9)
    x = alt.X("cost:Q", title="cost, USD bn", scale=alt.Scale(zero=False))
    y = alt.Y("served:Q", title="demand served, by worth", scale=alt.Scale(zero=False), axis=alt.Axis(format=".0%"))
    dots = (
        alt.Chart(data)
        .mark_circle(opacity=0.85, color=PALETTE[0])
        .encode(x=x, y=y, size=alt.Size("probability:Q", legend=None), tooltip=["scenario", "future"])
    )
    first = alt.Chart(data).mark_text(dx=10, dy=-8, fontSize=11, color=MUTED)
    names = first.transform_calculate(n="split(datum.future, ',')[0]").encode(x=x, y=y, text="n:N")
    return alt.layer(dots, names).properties(width=width, height=260)


def regret(frame: pl.DataFrame, _width: int) -> Any:
    """Draw the regret of the robust plan beside that of the plan made for the mean, by scenario."""
    names = {"regret": "this plan", "regret_deterministic": "plan for the mean"}
    frame = numbered(frame).select("future", "scenario", *names)
    data = frame.unpivot(on=list(names), index=["future", "scenario"], variable_name="plan", value_name="musd")
    data = data.drop_nulls("musd").with_columns(pl.col("plan").replace(names), pl.col("musd") / 1e6)
    return (
        alt.Chart(data)
        .mark_point(filled=True, size=70)
        .encode(
            x=alt.X("musd:Q", title="regret, USD million"),
            y=alt.Y("future:N", title=None, sort=None),
            color=alt.Color("plan:N", title=None),
        )
    )


def bindings(frame: pl.DataFrame, width: int) -> Any:
    """Draw what one more unit of the twelve dearest limits is worth."""
    data = frame.group_by("family", "subject", "per").agg(pl.col("worth").max(), pl.col("sentence").first())
    data = (
        data.sort("worth", descending=True)
        .head(12)
        .with_columns((pl.col("subject") + ", a " + pl.col("per")).alias("limit"), pl.col("worth") / 1e3)
    )
    return (
        alt.Chart(data)
        .mark_bar(color=PALETTE[0])
        .encode(
            x=alt.X("worth:Q", title="USD thousand for one more unit"),
            y=alt.Y("limit:N", title=None, sort="-x", axis=alt.Axis(labelLimit=130 if width < 400 else 320)),
            tooltip=["sentence", alt.Tooltip("worth:Q", format=",.1f")],
        )
    )


def tornado(frame: pl.DataFrame, width: int) -> Any:
    """Draw the cost of the plan at each end of an input, the widest first."""
    data = frame.with_columns(
        pl.min_horizontal("at_low", "at_high").alias("least") / 1e9,
        pl.max_horizontal("at_low", "at_high").alias("most") / 1e9,
    )
    data = data.with_columns((pl.col("most") - pl.col("least")).alias("width")).sort("width", descending=True).head(30)
    return (
        alt.Chart(data)
        .mark_bar(color=PALETTE[0])
        .encode(
            x=alt.X("least:Q", title="expected cost, USD bn", scale=alt.Scale(zero=False)),
            x2="most:Q",
            y=alt.Y("name:N", title=None, sort=None, axis=alt.Axis(labelLimit=130 if width < 400 else 300)),
            tooltip=["name", "low", "high", "source"],
        )
    )


_GROUP_COLOURS = {"restricted": PALETTE[5], "open": PALETTE[1], "conditional": PALETTE[4]}


def legal_life(frame: pl.DataFrame, width: int) -> Any:
    """Draw from when to when each chip is shut out, by what the ruling says; empty is free."""
    data = frame.with_columns(
        (pl.col("chip") + ", " + pl.col("site") + ", " + pl.col("act").str.split(":").list.first()).alias("row"),
        pl.col("since").str.to_date("%Y-%m"),
        pl.coalesce(pl.col("until").replace("", None), "horizon").str.to_date("%Y-%m"),
    ).with_columns(pl.col("until").dt.offset_by("1mo"))
    return (
        alt.Chart(data)
        .mark_bar(height=9)
        .encode(
            x=alt.X("since:T", title=None, axis=alt.Axis(format="%b %Y", tickCount=6)),
            x2="until:T",
            y=alt.Y("row:N", title=None, axis=alt.Axis(labelLimit=140 if width < 400 else 320)),
            color=alt.Color(
                "group:N", title=None, scale=alt.Scale(domain=list(_GROUP_COLOURS), range=list(_GROUP_COLOURS.values()))
            ),
            tooltip=["offer", "chip", "site", "act", "outcome", "rule", "citation"],
        )
    )


def _panels(chart: Any, data: pl.DataFrame, by: str, width: int, height: int | None, *, columns: int = 1) -> Any:
    """Return ``chart`` once for each value of ``by``, side by side where the width allows."""
    values = data[by].unique(maintain_order=True).to_list()
    columns = 1 if width < 400 else min(columns, len(values))
    each = (width - 60 * (columns - 1)) // columns
    size = {"width": each} if height is None else {"width": each, "height": height}
    panels = [
        chart.transform_filter(alt.FieldEqualPredicate(field=by, equal=v)).properties(
            **size, title=alt.Title(str(v), fontSize=13, fontWeight="normal", color=MUTED)
        )
        for v in values
    ]
    return alt.concat(*panels, columns=columns, spacing=18)


CHARTS: tuple[ChartOf, ...] = (
    ChartOf("orders", "Orders by quarter", "orders", orders),
    ChartOf("stock", "Chips there, mean of the futures", "stock", stock),
    ChartOf("service", "Demand and what is served", "service", service),
    ChartOf("training", "Training, by future", "training", training),
    ChartOf("money", "Money by pot: the mark is the budget", "money", money),
    ChartOf("power", "Power by site: the line is what is there", "power", power),
    ChartOf("legal-life", "Screened out: when, and how firmly", "screened", legal_life),
    ChartOf("bindings", "What one more unit is worth", "binding", bindings),
    ChartOf("tornado", "Cost at either end of each input", "tornado", tornado),
    ChartOf("scenarios", "How the plan fares in each future", "scenarios", scenarios),
    ChartOf("regret", "Regret by future", "scenarios", regret),
)


def plan_chart(kind: ChartOf, tables: Tables, width: int) -> Any | None:
    """Return the chart ``kind`` of a plan's ``tables`` at ``width`` pixels, or None where its table is empty."""
    frame = tables.get(kind.table)
    if frame is None or not frame.height:
        return None
    return themed(kind.draw(frame, width), width=width)

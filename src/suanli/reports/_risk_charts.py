"""Charts of what a plan risks: legal lives, training, futures, limits, alternatives, inputs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt
import polars as pl

from suanli.quantities import show_money
from suanli.reports._plan_charts import (
    NARROW,
    beside,
    coloured,
    dated,
    in_chips,
    in_money,
    named,
    panel_width,
    panels,
    percent,
    time_axis,
    wrapped,
)
from suanli.reports._theme import INK, MUTED, PALETTE

SPLIT = "split(datum.label, '|')"
"""Breaks an axis label where ``_lines`` put a bar."""


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


def _letters(width: int) -> int:
    """Return how many letters a line of a label has at most."""
    return 22 if width < NARROW else 40


def _lines(text: str, width: int) -> str:
    return "|".join(wrapped(text, _letters(width)))


def _labels(width: int, rows: Iterable[str], title: Any = None) -> dict[str, Any]:
    """Return the title and axis of ``rows``, cut off where a word is longer than a line: a limit costs time to draw."""
    longest = max((len(line) for row in rows for line in row.split("|")), default=0)
    limit = 170 if width < NARROW else 320
    return {"title": title, "axis": alt.Axis(labelLimit=limit if longest > _letters(width) else 0, labelExpr=SPLIT)}


def training(frame: pl.DataFrame, width: int) -> Any:
    """Draw each run from its start to its middle finish and its latest, with its deadline and the odds to meet it."""
    width = width - (110 if width < NARROW else 220)
    rows = [_run_row(run, width) for _, run in frame.group_by("run", maintain_order=True)]
    data = pl.DataFrame(rows, infer_schema_length=None)
    y = alt.Y("row:N", sort=None, **_labels(width, data["row"]))
    x = time_axis(width, field="start")
    late = alt.Chart(data).mark_bar(height=6, opacity=0.45, color=PALETTE[2]).encode(x=x, x2=alt.X2("latest:T"), y=y)
    bar = alt.Chart(data).mark_bar(height=14, cornerRadius=2, color=PALETTE[2]).encode(
        x=x, x2=alt.X2("middle:T"), y=y, tooltip=named("name", "odds")
    )  # fmt: skip
    due = alt.Chart(data).mark_tick(thickness=3, height=24, color=PALETTE[5]).encode(x=alt.X("deadline:T"), y=y)
    told = (
        alt.Chart(data)
        .mark_text(align="left", dx=6, fontSize=12, color=INK)
        .encode(x=alt.X("end:T"), y=y, text=alt.Text("odds:N"))
    )
    return alt.layer(late, bar, due, told).properties(width=width, height=alt.Step(46))


def _run_row(run: pl.DataFrame, width: int) -> dict[str, Any]:
    """Return a run as one bar: its dates over the futures, unfinished ones counted as the horizon's end."""
    first = run.row(0, named=True)
    odds = float(run.filter(pl.col("finish") != "")["probability"].sum())
    ended = run.with_columns(pl.coalesce(pl.col("finish").replace("", None), "horizon").alias("end")).sort("end")
    reached = ended["probability"].cum_sum()
    middle = ended["end"][min(int((reached < 0.5 - 1e-9).sum()), ended.height - 1)]
    latest = str(ended["end"][-1])
    started = [s for s in run["start"].to_list() if s]
    deadline = first["deadline"]
    return {
        "name": first["name"], "row": _lines(first["name"], width), "odds": f"{odds:.0%}",
        "start": _day(min(started, default=first["earliest"]), 0), "middle": _day(middle, 1) if started else None,
        "latest": _day(latest, 1) if started else None, "deadline": _day(deadline, 1),
        "end": _day(max(latest if started else "", deadline), 1),
    }  # fmt: skip


def _day(month: str, later: int) -> dt.date:
    """Return the first day of the month ``later`` months after ``month``."""
    count = int(month[:4]) * 12 + int(month[5:7]) - 1 + later
    return dt.date(count // 12, count % 12 + 1, 1)


def fan(frame: pl.DataFrame, width: int) -> Any:
    """Draw how demand served and chips spread over the futures: the middle half, the 80 % band, the mean."""
    data = dated(frame)
    x = time_axis(width if width < NARROW else panel_width(width, 2))
    shares = [v for v in data["what"].unique(maintain_order=True).to_list() if "served" in v]

    def one(rows: pl.DataFrame) -> Any:
        share = rows["what"][0] in shares
        axis = alt.Axis(format=percent(pl.concat([rows["p10"], rows["p90"]]))) if share else alt.Axis(format="~s")
        scale = alt.Scale(zero=not share)
        y = alt.Y("p10:Q", title=None, axis=axis, scale=scale)
        wide = alt.Chart(rows).mark_area(opacity=0.2, color=PALETTE[0]).encode(x=x, y=y, y2=alt.Y2("p90:Q"))
        half = (
            alt.Chart(rows).mark_area(opacity=0.3, color=PALETTE[0]).encode(x=x, y=alt.Y("p25:Q"), y2=alt.Y2("p75:Q"))
        )
        mean = alt.Chart(rows).mark_line(color=PALETTE[0], strokeWidth=2).encode(x=x, y=alt.Y("mean:Q"))
        return panels(
            alt.layer(wide, half, mean), rows, "what", width if width < NARROW else panel_width(width, 2), 150
        )

    parts = [one(rows) for _, rows in data.group_by("what", maintain_order=True)]
    return beside(parts, 1 if width < NARROW else 2)


def scenarios(frame: pl.DataFrame, width: int) -> Any:
    """Draw how the plan fares in each future: cost against the share of demand served, sized by probability."""
    unit, told = in_money(float(frame["cost"].max()))  # type: ignore[arg-type]
    data = numbered(frame).with_columns(pl.col("cost") / unit)
    form = percent(data["served"])
    axis = alt.Axis(tickCount=max(3, width // 110), labelOverlap=True)
    x = alt.X("cost:Q", title=f"cost, {told}", scale=alt.Scale(zero=False, nice=True), axis=axis)
    y = alt.Y("served:Q", title="demand served, by worth", scale=alt.Scale(zero=False), axis=alt.Axis(format=form))
    dots = (
        alt.Chart(data)
        .mark_circle(opacity=0.75, color=PALETTE[0])
        .encode(
            x=x,
            y=y,
            size=alt.Size("probability:Q", legend=None),
            tooltip=named("scenario", "future"),
        )
    )
    apart = data.filter(pl.Series(_apart(data, 0.06 if width > NARROW else 0.13)))
    first = alt.Chart(apart).mark_text(dx=12, dy=-9, fontSize=11, color=MUTED)
    names = first.transform_calculate(n="split(datum.future, ',')[0]").encode(x=x, y=y, text=alt.Text("n:N"))
    return alt.layer(dots, names).properties(width=width, height=240)


def _apart(data: pl.DataFrame, least: float) -> list[bool]:
    """Return which points stand far enough from those named before to be named too."""
    columns = [data[c].to_list() for c in ("cost", "served")]
    spans = [max(max(v) - min(v), 1e-12) for v in columns]
    places = [tuple((v[i] - min(v)) / s for v, s in zip(columns, spans, strict=True)) for i in range(data.height)]
    named: list[tuple[float, ...]] = []
    out = []
    for place in places:
        free = all(max(abs(a - b) for a, b in zip(place, other, strict=True)) >= least for other in named)
        out.append(free)
        if free:
            named.append(place)
    return out


def regret(frame: pl.DataFrame, width: int) -> Any:
    """Draw the regret of the robust plan beside that of the plan made for the mean, by scenario."""
    names = {"regret": "this plan", "regret_deterministic": "plan for the mean"}
    frame = numbered(frame).select("future", "scenario", *names)
    data = frame.unpivot(on=list(names), index=["future", "scenario"], variable_name="plan", value_name="bn")
    data = data.drop_nulls("bn")
    unit, told = in_money(float(data["bn"].max() or 0.0))  # type: ignore[arg-type]
    data = data.with_columns(pl.col("plan").replace(names), pl.col("bn") / unit)
    x = alt.X("bn:Q", title=f"regret, {told}", axis=alt.Axis(tickCount=max(3, width // 110), labelOverlap=True))
    y = alt.Y("future:N", title=None, sort=None)
    rule = alt.Chart(data).mark_line(color=MUTED, opacity=0.5).encode(x=x, y=y, detail=alt.Detail("future:N"))
    dots = alt.Chart(data).mark_point(filled=True, size=80, opacity=1).encode(
        x=x, y=y, tooltip=[*named("scenario", "plan"), alt.Tooltip("bn:Q", format=".2f")],
        color=alt.Color("plan:N", title=None,
                        scale=alt.Scale(domain=list(names.values()), range=[PALETTE[0], PALETTE[1]])),
    )  # fmt: skip
    return alt.layer(rule, dots)


def bindings(frame: pl.DataFrame, width: int) -> Any:
    """Draw when each of the dearest limits binds, by the worth of one more unit beside its own dearest month."""
    top = frame.group_by("family", "subject", "per", maintain_order=True).agg(pl.col("worth").max().alias("most"))
    top = top.group_by("family", maintain_order=True).head(4).head(16)
    data = frame.join(top, on=["family", "subject", "per"], maintain_order="left")
    months = sorted(m for m in data["month"].to_list() if len(m) == 7) or [f"{min(data['month'].to_list()) or 2000}-01"]
    rows = [
        {
            "row": _lines(r["subject"], width) + "|" + _lines(f"{show_money(r['most'], 'USD')} / {r['per']}", width),
            **_stretch(r["month"], months), "part": r["worth"] / r["most"], "sentence": r["sentence"],
            "worth": show_money(r["worth"], "USD") + f" / {r['per']}",
        }
        for r in data.iter_rows(named=True)
    ]  # fmt: skip
    width = width - (110 if width < NARROW else 180)
    tall = max(row["row"].count("|") for row in rows) + 1
    scale = alt.Scale(range=[0.15, 1.0], domain=[0, 1])
    legend = alt.Legend(format=".0%", orient="bottom", direction="horizontal", title="of its dearest month")
    return (
        alt.Chart(pl.DataFrame(rows))
        .mark_rect(color=PALETTE[0])
        .encode(
            x=time_axis(width, field="since"),
            x2=alt.X2("until:T"),
            y=alt.Y("row:N", sort=None, scale=alt.Scale(paddingInner=0.25), **_labels(width, (r["row"] for r in rows))),
            opacity=alt.Opacity("part:Q", scale=scale, legend=legend),
            tooltip=named("sentence", "worth"),
        )
        .properties(width=width, height=alt.Step(14 * tall + 8))
    )


def _stretch(month: str, months: Sequence[str]) -> dict[str, Any]:
    """Return the days of a month, of a year, or for what has neither of all ``months``."""
    if len(month) == 7:
        return {"since": _day(month, 0), "until": _day(month, 1)}
    if month:
        return {"since": _day(f"{month}-01", 0), "until": _day(f"{month}-12", 1)}
    return {"since": _day(months[0], 0), "until": _day(months[-1], 1)}


def tornado(frame: pl.DataFrame, width: int) -> Any:
    """Draw the cost of the plan at each end of an input, the widest first."""
    ends = {"at_low": "input at its low end", "at_high": "input at its high end"}
    data = frame.with_columns((pl.col("at_high") - pl.col("at_low")).abs().alias("swing"))
    data = data.sort("swing", descending=True).head(30)
    middle = float(data.select(pl.col("base").first()).item() if "base" in data.columns else 0.0) or None
    rows = data.unpivot(on=list(ends), index=["name", "low", "high", "source"], variable_name="end", value_name="usd")
    named = [_lines(n, width) for n in rows["name"].to_list()]
    unit, told = in_money(float(rows["usd"].max()))  # type: ignore[arg-type]
    rows = rows.with_columns(
        pl.col("end").replace(ends), pl.col("usd") / unit, pl.Series("row", named, dtype=pl.String)
    )
    inner = width - (110 if width < NARROW else 220)
    y = alt.Y("row:N", sort=None, **_labels(width, named))
    axis = alt.Axis(tickCount=max(3, inner // 110), labelOverlap=True)
    x = alt.X("usd:Q", title=f"expected cost, {told}", scale=alt.Scale(zero=False), axis=axis)
    line = (
        alt.Chart(rows).mark_line(color=MUTED, strokeWidth=5, opacity=0.4).encode(x=x, y=y, detail=alt.Detail("row:N"))
    )
    dots = alt.Chart(rows).mark_point(filled=True, size=70, opacity=1).encode(
        x=x, y=y, tooltip=["name", "low", "high", "source", alt.Tooltip("usd:Q", format=".2f")],
        color=alt.Color("end:N", title=None,
                        scale=alt.Scale(domain=list(ends.values()), range=[PALETTE[2], PALETTE[5]])),
    )  # fmt: skip
    layers = [line, dots]
    if middle is not None:
        at = alt.Chart(pl.DataFrame({"usd": [middle / unit]})).mark_rule(color=MUTED, strokeDash=[3, 3])
        layers.insert(0, at.encode(x=x))
    return alt.layer(*layers).properties(width=inner, height=alt.Step(34 if width < NARROW else 22))


LIFE = {"may be delivered and run": PALETTE[2], "may run": PALETTE[4]}


def legal_life(frame: pl.DataFrame, width: int) -> Any:
    """Draw from when to when each chip may be delivered and run in a place, a panel a state of the rules."""
    data = frame.with_columns(
        pl.col("since").str.to_date("%Y-%m"),
        pl.col("until").str.to_date("%Y-%m").dt.offset_by("1mo"),
    )
    width = width - (110 if width < NARROW else 160)
    chart = (
        alt.Chart(data)
        .mark_bar(height=10)
        .encode(
            x=time_axis(width, field="since"),
            x2=alt.X2("until:T"),
            y=alt.Y("row:N", sort=None, **_labels(width, data["row"])),
            color=alt.Color("may:N", title=None, scale=alt.Scale(domain=list(LIFE), range=list(LIFE.values()))),
            tooltip=[*named("row", "may"), alt.Tooltip("since:T"), alt.Tooltip("until:T")],
        )
    )
    return panels(chart, data, "view", width, None)


def alternatives(frame: pl.DataFrame, width: int) -> Any:
    """Draw what the plan and those nearly as good order of each offer, in thousand chips."""
    unit, told = in_chips(float(frame.group_by("plan").agg(pl.col("chips").sum())["chips"].max()))  # type: ignore[arg-type]
    data = frame.with_columns(
        pl.Series("row", [_lines(r, width) for r in frame["plan"].to_list()], dtype=pl.String), pl.col("chips") / unit
    )
    offers = sorted(data["offer"].unique().to_list())
    inner = width - (110 if width < NARROW else 200)
    return (
        alt.Chart(data)
        .mark_bar()
        .encode(
            x=alt.X("chips:Q", title=told, axis=alt.Axis(tickCount=max(3, inner // 110))),
            y=alt.Y("row:N", sort=None, **_labels(width, data["row"])),
            color=coloured("offer", offers, width),
            order=alt.Order("offer:N"),
            tooltip=[*named("plan", "offer"), alt.Tooltip("chips:Q", format=".1f")],
        )
        .properties(width=inner, height=alt.Step(54))
    )

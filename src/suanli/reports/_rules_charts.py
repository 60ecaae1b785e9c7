"""Pictures of rules: the plane of TPP and density by date, the timeline, and the legal life of chips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from suanli import catalog, controls
from suanli.kinds import GROUPS, Chip
from suanli.reports._theme import INK, MUTED, PALETTE, themed

_COLOURS = {
    "free": PALETTE[2],
    "conditional": PALETTE[4],
    "restricted": PALETTE[5],
    "open": PALETTE[1],
}
_YEARS = alt.Axis(format="%b %Y", tickCount=8, labelAngle=0)
_TPP_MAX, _PD_MAX = 40000.0, 30.0
_TPP_MIN, _PD_MIN = 300.0, 0.5


def plane_chart(dates: Sequence[str], *, chips: Sequence[Chip] = (), to: str = "CN", width: int = 640) -> Any:
    """Return the TPP-density plane on ``dates``: regions by ruling for a datacenter chip to China, and the chips on it.

    One date gives a still picture; several a slider over them. Raises InputError for a date before the first rule.
    """
    regions = pl.concat([_regions(date, i) for i, date in enumerate(dates)])
    marks = controls.chips_on_plane(list(chips) or list(catalog.chips()))
    points = pl.DataFrame(marks, schema=["chip", "tpp", "pd"], orient="row").filter(
        pl.col("tpp").is_between(_TPP_MIN, _TPP_MAX), pl.col("pd").is_between(_PD_MIN, _PD_MAX)
    )
    x = alt.X("tpp:Q", title="TPP", scale=alt.Scale(type="log", domain=[_TPP_MIN, _TPP_MAX], nice=False))
    y = alt.Y("pd:Q", title="performance density, TPP/mm²", scale=alt.Scale(type="log", domain=[_PD_MIN, _PD_MAX]))
    area = (
        alt.Chart(regions)
        .mark_rect(opacity=0.22)
        .encode(
            x=x, x2="tpp2:Q", y=y, y2="pd2:Q", color=_group_colour(), tooltip=["date", "outcome", "eccn", "presumption"]
        )
    )
    dots = (
        alt.Chart(points)
        .mark_circle(size=34, color=INK, opacity=0.85)
        .encode(x=x, y=y, tooltip=["chip", alt.Tooltip("tpp:Q", format=",.0f"), alt.Tooltip("pd:Q", format=".2f")])
    )
    names = (
        alt.Chart(_spread(points))
        .mark_text(align="left", dx=5, dy=-4, fontSize=10, color=MUTED)
        .encode(x=x, y=y, text="chip:N")
    )
    title = alt.Title(
        f"What the rules say, {dates[0]}" if len(dates) == 1 else "What the rules say",
        subtitle=f"a datacenter chip exported to {to}, buyer of the same country; not legal advice",
    )
    if len(dates) > 1:
        labels = [f"{i}: {d}" for i, d in enumerate(dates)]
        slider = alt.binding_range(min=0, max=len(dates) - 1, step=1, name="date ")
        at = alt.param(name="at", value=len(dates) - 1, bind=slider)
        shown = alt.Chart(pl.DataFrame({"i": range(len(dates)), "date": [s.split(": ")[1] for s in labels]}))
        stamp = shown.mark_text(fontSize=15, fontWeight="bold", color=INK, align="right").encode(
            x=alt.value(width - 8), y=alt.value(16), text="date:N"
        )
        area = area.transform_filter("datum.i == at").add_params(at)
        return themed(
            alt.layer(area, dots, names, stamp.transform_filter("datum.i == at"), title=title), width=width, height=440
        )
    return themed(alt.layer(area, dots, names, title=title), width=width, height=440)


def _regions(date: str, i: int) -> pl.DataFrame:
    """Return a rectangle for each cell between the published limits of a date, in the plane's window."""
    probe = controls.plane(date, [_TPP_MIN], [_PD_MIN])
    xs = np.unique(np.concatenate([[_TPP_MIN, _TPP_MAX], probe.tpp_limits.clip(_TPP_MIN, _TPP_MAX)]))
    ys = np.unique(np.concatenate([[_PD_MIN, _PD_MAX], probe.pd_limits.clip(_PD_MIN, _PD_MAX)]))
    mid_x, mid_y = np.sqrt(xs[:-1] * xs[1:]), np.sqrt(ys[:-1] * ys[1:])
    found = controls.plane(date, mid_x[:, None], mid_y[None, :])
    rows = [
        {
            "i": i, "date": date, "tpp": xs[a], "tpp2": xs[a + 1], "pd": ys[b], "pd2": ys[b + 1],
            "outcome": found.outcome[found.code[a, b]], "eccn": found.eccn[found.code[a, b]],
            "presumption": found.presumption[found.code[a, b]], "group": GROUPS[found.outcome[found.code[a, b]]],
        }
        for a in range(len(mid_x))
        for b in range(len(mid_y))
    ]  # fmt: skip
    return pl.DataFrame(rows)


def _group_colour() -> alt.Color:
    return alt.Color("group:N", title=None, scale=alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values())))


def _spread(points: pl.DataFrame) -> pl.DataFrame:
    """Return the points whose names have room: the first of any that lie close together."""
    kept: list[tuple[str, float, float]] = []
    for chip, tpp, pd in points.sort("tpp", descending=True).iter_rows():
        x, y = np.log(tpp / _TPP_MIN) / np.log(_TPP_MAX / _TPP_MIN), np.log(pd / _PD_MIN) / np.log(_PD_MAX / _PD_MIN)
        if all(abs(x - a) > 0.13 or abs(y - b) > 0.025 for _, a, b in kept):
            kept.append((chip, float(x), float(y)))
    return points.filter(pl.col("chip").is_in([k[0] for k in kept]))


def life_chart(
    chips: Sequence[Chip], *, to: str = "CN", owner: str = "CN", last: str = "2027-12-31", width: int = 640
) -> Any:
    """Return the legal life of ``chips`` for a place and owner: what the ruling on each was, from day to day."""
    rows = [
        {
            "chip": chip.id,
            "first": s.first,
            "last": s.last,
            "group": s.group,
            "outcome": s.outcome,
            "rules": ", ".join(s.rules),
        }
        for chip in chips
        for s in controls.legal_life(chip, to=to, owner=owner, parent=owner, last=last)
    ]
    data = pl.DataFrame(rows).with_columns(
        pl.col("first").str.to_date(), pl.col("last").str.to_date().dt.offset_by("1d")
    )
    bars = alt.Chart(
        data,
        title=alt.Title(f"Legal life of chips to {to}, owner of {owner}", subtitle="as enforced; not legal advice"),
    ).mark_bar(height=13).encode(
        x=alt.X("first:T", title=None, axis=_YEARS), x2="last:T", y=alt.Y("chip:N", title=None, sort=None),
        color=_group_colour(), tooltip=["chip", "first", "last", "outcome", "rules"],
    )  # fmt: skip
    return themed(bars, width=width, height=20 * len(chips) + 10)


def timeline_chart(*, first: str = "2022-07-01", last: str = "2026-12-31", width: int = 680) -> Any:
    """Return a timeline of rule changes by jurisdiction and of the founding case's dated events."""
    changes = [
        {"day": c.day, "row": {"US": "US rules", "CN": "Chinese rules"}[j], "what": ", ".join(c.rules)}
        for j in ("US", "CN")
        for c in controls.history(j)
    ]
    events = [{"day": _full(e.date), "row": "events", "what": e.statement} for e in catalog.events()]
    data = pl.DataFrame([r for r in changes + events if r["day"] and first <= r["day"] <= last])
    data = data.with_columns(pl.col("day").str.to_date())
    ticks = alt.Chart(data, title="Rules and events").mark_tick(thickness=2, height=26, opacity=0.8).encode(
        x=alt.X("day:T", title=None, axis=_YEARS),
        y=alt.Y("row:N", title=None, sort=["US rules", "Chinese rules", "events"]),
        color=alt.Color("row:N", legend=None), tooltip=["day", "what"],
    )  # fmt: skip
    return themed(ticks, width=width, height=130)


def _full(date: str) -> str:
    """Return a date of month precision as its first day; one of less precision has no place on the line."""
    parts = date.split("-")
    if len(parts) == 3:
        return date
    return f"{date}-01" if len(parts) == 2 and parts[1].isdigit() else ""

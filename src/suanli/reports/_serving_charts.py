"""Pictures of a service: throughput against speed, goodput against rate, latencies, a replica and a day over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from suanli.reports._theme import INK, MUTED, PALETTE, themed

if TYPE_CHECKING:
    from suanli.serving import Replay

Row = Mapping[str, Any]

_QUANTILES = np.concatenate([np.linspace(0.0, 0.98, 99), [0.99, 0.995, 0.999, 1.0]])
_LATENCIES = (("ttft_s", "time to first token"), ("tpot_s", "time per token"), ("latency_s", "whole answer"))
_POOLS = {"all": "one pool", "prefill": "prefill", "decode": "decode"}


def pareto_chart(rows: Sequence[Row], title: str, *, width: int = 640) -> Any:
    """Return output tokens/s a chip against tokens/s a user, each of the best layouts named once."""
    points = [{"user": r["tokens_per_s_user"], "chip": r["tokens_per_s_chip"], "layout": r["layout"]} for r in rows]
    by_layout = {p["layout"]: [q for q in points if q["layout"] == p["layout"]] for p in points}
    named = [of[len(of) // 2] for of in by_layout.values()]
    x = alt.X("user:Q", title="tokens/s a user", scale=alt.Scale(zero=False))
    y = alt.Y("chip:Q", title="output tokens/s a chip")
    line = alt.Chart(alt.Data(values=points)).mark_line(point=alt.OverlayMarkDef(size=22), color=PALETTE[0])
    text = alt.Chart(alt.Data(values=_apart(named))).mark_text(align="left", dx=7, dy=-7, fontSize=11, color=INK)
    chart = alt.layer(
        line.encode(x=x, y=y, order="user:Q", tooltip=["layout:N", "user:Q", "chip:Q"]),
        text.encode(x=x, y=y, text="layout:N"),
    ).properties(title=alt.Title("Throughput against speed", subtitle=title))
    return themed(chart, width=width, height=300)


def _apart(points: Sequence[Row]) -> list[Row]:
    """Return the points whose names would not lie on one another."""
    top = max((p["chip"] for p in points), default=1.0)
    kept: list[Row] = []
    for p in points:
        if all(abs(p["chip"] - q["chip"]) > 0.06 * top for q in kept):
            kept.append(p)
    return kept


def cost_chart(rows: Sequence[Row], rent: float, *, width: int = 640) -> Any:
    """Return USD a million output tokens against tokens/s a user at ``rent`` (USD an hour of a chip)."""
    points = [
        {"user": r["tokens_per_s_user"], "usd": rent / 3600.0 * 1e6 / r["tokens_per_s_chip"], "layout": r["layout"]}
        for r in rows
    ]
    chart = (
        alt.Chart(alt.Data(values=points))
        .mark_line(point=alt.OverlayMarkDef(size=22), color=PALETTE[1])
        .encode(
            x=alt.X("user:Q", title="tokens/s a user", scale=alt.Scale(zero=False)),
            y=alt.Y("usd:Q", title="USD a million output tokens", scale=alt.Scale(type="log")),
            order="user:Q",
            tooltip=["layout:N", "user:Q", "usd:Q"],
        )
        .properties(title=alt.Title("What speed costs", subtitle=f"at a rent of USD {rent:.2f} a chip and hour"))
    )
    return themed(chart, width=width, height=240)


def goodput_chart(rows: Sequence[Row], *, width: int = 640) -> Any:
    """Return requests/s served and served within the limits against requests/s asked."""
    lines = [
        {"asked": r["asked"], "rate": r[key], "what": what}
        for r in rows
        for key, what in (("served", "served"), ("good", "within the limits"))
    ]
    order = ["served", "within the limits"]
    chart = (
        alt.Chart(alt.Data(values=lines))
        .mark_line(point=alt.OverlayMarkDef(size=28))
        .encode(
            x=alt.X("asked:Q", title="requests/s asked"),
            y=alt.Y("rate:Q", title="requests/s"),
            color=alt.Color("what:N", title=None, sort=order, scale=alt.Scale(domain=order, range=[MUTED, PALETTE[2]])),
            order="asked:Q",
        )
        .properties(title=alt.Title("Goodput against rate", subtitle="simulated, the best layout"))
    )
    return themed(chart, width=width, height=260)


def latency_chart(replay: Replay, limits: Mapping[str, float | None], *, width: int = 640) -> Any:
    """Return the share of requests below each latency, a panel each, with the ``limits`` (s) by column as rules."""
    panels: list[Any] = []
    several = [(c, n) for c, n in _LATENCIES if replay.requests[c].drop_nans().len() > 0]
    each = max(120, (width - 60 * (len(several) - 1)) // max(1, len(several)))
    for column, name in several:
        values = np.quantile(replay.requests[column].drop_nans().to_numpy(), _QUANTILES)
        rows = [{"s": float(max(v, 1e-6)), "share": float(q)} for v, q in zip(values, _QUANTILES, strict=True)]
        axis = alt.Axis(format="~s", tickCount=4, labelExpr="datum.label ? datum.label + 's' : ''")
        line = (
            alt.Chart(alt.Data(values=rows))
            .mark_line(color=PALETTE[0])
            .encode(
                x=alt.X("s:Q", title=name, axis=axis, scale=alt.Scale(type="log", nice=False)),
                y=alt.Y("share:Q", title="share of requests" if not panels else None, axis=alt.Axis(format="%")),
            )
        )
        limit = limits.get(column)
        layers = [line]
        if limit is not None and rows[0]["s"] <= limit <= 1.5 * rows[-1]["s"]:
            rule = alt.Chart(alt.Data(values=[{"s": limit}])).mark_rule(color=PALETTE[5], strokeDash=[4, 3])
            layers.append(rule.encode(x="s:Q"))
        panels.append(alt.layer(*layers).properties(width=each, height=220))
    chart = alt.hconcat(*panels, spacing=24).properties(
        title=alt.Title("Latencies", subtitle="share of simulated requests below; dashed: the limit")
    )
    return themed(chart)


def occupancy_chart(replay: Replay, *, width: int = 640) -> Any:
    """Return requests in a step, tokens of cache and requests waiting, of a replica over time, by pool."""
    names = (
        ("batch", "requests in a step", ",.0f"),
        ("kv_tokens", "cached tokens", "~s"),
        ("waiting", "requests waiting", ",.2~f"),
    )
    line = replay.timeline
    pools = [p for p in _POOLS if p in set(line["pool"].to_list())]
    panels = []
    for column, title, form in names:
        rows = [
            {"s": t, "value": v, "pool": _POOLS[p]}
            for t, v, p in zip(line["time_s"].to_list(), line[column].to_list(), line["pool"].to_list(), strict=True)
        ]
        colour = alt.Color(
            "pool:N",
            title=None,
            scale=alt.Scale(domain=[_POOLS[p] for p in pools], range=[PALETTE[0], PALETTE[1]][: len(pools)]),
            legend=None if len(pools) == 1 else alt.Legend(),
        )
        last = column == names[-1][0]
        panels.append(
            alt.Chart(alt.Data(values=rows))
            .mark_line(strokeWidth=1.2)
            .encode(
                x=alt.X("s:Q", title="s since the start" if last else None, axis=alt.Axis(labels=last)),
                y=alt.Y("value:Q", title=title, axis=alt.Axis(format=form, tickCount=4)),
                color=colour,
            )
            .properties(width=width, height=110)
        )
    chart = alt.vconcat(*panels, spacing=8).properties(
        title=alt.Title("A replica over time", subtitle="means while it works")
    )
    return themed(chart)


def mix_chart(rows: Sequence[Row], title: str, *, width: int = 640) -> Any:
    """Return chips by service over the hours of a day, stacked; rows of hour, service and chips."""
    order = list(dict.fromkeys(r["service"] for r in rows))
    chart = (
        alt.Chart(alt.Data(values=list(rows)))
        .mark_area(interpolate="step-after", opacity=0.9)
        .encode(
            x=alt.X(
                "hour:Q",
                title="hour of the day",
                scale=alt.Scale(domain=[0, 24], nice=False),
                axis=alt.Axis(values=list(range(0, 25, 3))),
            ),
            y=alt.Y("chips:Q", title="chips", stack=True),
            color=alt.Color("service:N", title=None, sort=order, scale=alt.Scale(domain=order)),
            order=alt.Order("rank:Q"),
        )
        .transform_calculate(rank=f"-indexof({order!r}, datum.service)")
        .properties(title=alt.Title("One fleet over a day", subtitle=title))
    )
    return themed(chart, width=width, height=280)

"""Charts of what a plan does: orders, deliveries, capacity, money, power."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from suanli.reports._theme import INK, MUTED, PALETTE, Spec

DESK, PHONE = 880, 300
"""Widths of the plot area in pixels: a desk's column and a phone's."""

NARROW = 400
_TOP = ("$schema", "config", "data", "datasets")
"""What a specification says once, for all of its panels."""

Tables = Mapping[str, pl.DataFrame]


def dated(frame: pl.DataFrame, column: str = "month") -> pl.DataFrame:
    """Return ``frame`` with its months as dates."""
    return frame.with_columns(pl.col(column).str.to_date("%Y-%m", strict=False))


def time_axis(width: int, *, field: str = "month") -> alt.X:
    """Return an axis of months with as many labels as ``width`` pixels take."""
    form = "%b %Y" if width > 500 else "%b %y"
    axis = alt.Axis(format=form, tickCount=max(2, width // 65), labelAngle=0, labelOverlap=True, labelFlush=True)
    return alt.X(f"{field}:T", title=None, axis=axis)


def coloured(field: str, values: Sequence[str], width: int) -> alt.Color:
    """Return a colour for each of ``values``, the same wherever they are drawn in this order."""
    legend = alt.Legend(columns=2 if width < NARROW else 6, symbolType="square")
    colours = [PALETTE[i % len(PALETTE)] for i in range(len(values))]
    return alt.Color(f"{field}:N", title=None, legend=legend, scale=alt.Scale(domain=list(values), range=colours))


def named(*fields: str) -> list[alt.Tooltip]:
    """Return tooltips of fields that are words.

    Here as in every chart a channel is an object: Altair looks through its whole schema for one given as text.
    """
    return [alt.Tooltip(f"{field}:N") for field in fields]


def panels(chart: Any, data: pl.DataFrame, by: str, width: int, height: int | None, *, columns: int = 1) -> Spec:
    """Return ``chart`` once for each value of ``by``, side by side where the width allows.

    The chart becomes a specification once and each panel shares it: Altair would copy it whole for every panel.
    """
    values = data[by].unique(maintain_order=True).to_list()
    columns = 1 if width < NARROW else min(columns, len(values))
    each = panel_width(width, columns)
    size = {"width": each} if height is None else {"width": each, "height": height}
    top = chart.to_dict(validate=False)
    body = {k: v for k, v in top.items() if k not in _TOP}
    drawn = [
        {
            **body,
            **size,
            "transform": [*body.get("transform", ()), {"filter": {"field": by, "equal": v}}],
            "title": {"text": wrapped(str(v), each // 7), "fontSize": 13, "fontWeight": "normal", "color": MUTED},
        }
        for v in values
    ]
    return {**{k: top[k] for k in _TOP if k in top}, "concat": drawn, "columns": columns, "spacing": 18}


def beside(parts: Sequence[Spec], columns: int) -> Spec:
    """Return specifications side by side in one, each with a y axis of its own."""
    datasets = {name: rows for part in parts for name, rows in part.get("datasets", {}).items()}
    drawn = [{k: v for k, v in part.items() if k not in {"$schema", "config", "datasets"}} for part in parts]
    return {
        "$schema": parts[0]["$schema"], "datasets": datasets, "concat": drawn, "columns": columns, "spacing": 18,
        "resolve": {"scale": {"y": "independent"}},
    }  # fmt: skip


def panel_width(width: int, columns: int) -> int:
    """Return the pixels of one of ``columns`` panels side by side, their axes between them."""
    return (width - 70 * (columns - 1)) // columns


def wrapped(text: str, most: int) -> list[str]:
    """Return ``text`` in lines of at most ``most`` letters, broken between words."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > most:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def in_money(most: float) -> tuple[float, str]:
    """Return (USD of the unit, its name) in which sums up to ``most`` USD read well."""
    return (1e9, "USD bn") if abs(most) >= 1e9 else (1e6, "USD m") if abs(most) >= 1e6 else (1e3, "USD k")


def in_chips(most: float) -> tuple[float, str]:
    """Return (chips of the unit, its name) in which counts up to ``most`` chips read well."""
    return (1e3, "thousand chips") if abs(most) >= 5e3 else (1.0, "chips")


def percent(values: pl.Series) -> str:
    """Return the format in which an axis of these shares has no two ticks alike."""
    span = float(values.max() or 0.0) - float(values.min() or 0.0)  # type: ignore[arg-type]
    return ".0%" if span > 0.06 else ".1%" if span > 0.006 else ".2%"


def orders(frame: pl.DataFrame, width: int) -> Any:
    """Draw what is ordered by quarter and offer, in chips."""
    unit, told = in_chips(float(frame.group_by("quarter").agg(pl.col("chips").sum())["chips"].max()))  # type: ignore[arg-type]
    data = frame.group_by("quarter", "offer", "way", maintain_order=True).agg(
        pl.col("chips").sum() / unit, pl.col("usd").sum() / 1e6
    )
    first, last = data["quarter"].min(), data["quarter"].max()
    names = sorted(data["offer"].unique().to_list())
    return (
        alt.Chart(data)
        .mark_bar()
        .encode(
            x=alt.X("quarter:O", title=None, scale=alt.Scale(domain=quarters(str(first), str(last))),
                    axis=alt.Axis(labelAngle=-90 if width < NARROW else 0)),
            y=alt.Y("chips:Q", title=f"{told} ordered"),
            color=coloured("offer", names, width),
            order=alt.Order("offer:N"),
            tooltip=[*named("quarter", "offer", "way"), alt.Tooltip("chips:Q", format=".1f"),
                     alt.Tooltip("usd:Q", format=",.0f")],
        )
        .properties(height=230)
    )  # fmt: skip


def quarters(first: str, last: str) -> list[str]:
    """Return the quarters from ``first`` to ``last``, such as "2025Q1"."""
    at, end = int(first[:4]) * 4 + int(first[5]) - 1, int(last[:4]) * 4 + int(last[5]) - 1
    return [f"{n // 4}Q{n % 4 + 1}" for n in range(at, end + 1)]


def deliveries(frame: pl.DataFrame, width: int) -> Any:
    """Draw what each supplier is asked for and what comes, in all: the mean and the 80 % band of the futures."""
    sums = [pl.col(c).sum() for c in ("ordered", "delivered", "p10", "p90")]
    data = dated(frame).group_by("supplier", "month", maintain_order=True).agg(*sums)
    unit, told = in_chips(float(data["ordered"].max()))  # type: ignore[arg-type]
    data = data.with_columns(*[pl.col(c) / unit for c in ("ordered", "delivered", "p10", "p90")])
    columns = 3
    x = time_axis(PHONE if width < NARROW else panel_width(width, columns))
    both = ("ordered", "delivered")
    lines = data.unpivot(on=list(both), index=["supplier", "month", "p10", "p90"], variable_name="what", value_name="n")
    colour = alt.Color("what:N", title=None, scale=alt.Scale(domain=list(both), range=[PALETTE[6], PALETTE[2]]))
    band = alt.Chart(lines).mark_area(opacity=0.2, color=PALETTE[2]).encode(x=x, y=alt.Y("p10:Q"), y2=alt.Y2("p90:Q"))
    line = alt.Chart(lines).mark_line(strokeWidth=2).encode(x=x, y=alt.Y("n:Q", title=told), color=colour)
    return panels(alt.layer(band, line, data=lines), lines, "supplier", width, 110, columns=columns)


def stock(frame: pl.DataFrame, width: int) -> Any:
    """Draw the chips there by chip over time (mean of the scenarios), a panel a region."""
    data = dated(frame).group_by("region", "chip", "month", maintain_order=True).agg(pl.col("chips").sum())
    unit, told = in_chips(float(data.group_by("region", "month").agg(pl.col("chips").sum())["chips"].max()))  # type: ignore[arg-type]
    data = data.with_columns(pl.col("chips") / unit)
    chips = sorted(data["chip"].unique().to_list())
    panel = (
        alt.Chart(data)
        .transform_impute(impute="chips", key="month", value=0, groupby=["chip", "region"])
        .mark_area()
        .encode(x=time_axis(width), y=alt.Y("chips:Q", title=told), color=coloured("chip", chips, width))
    )
    return panels(panel, data, "region", width, 170)


def capacity(frame: pl.DataFrame, width: int) -> Any:
    """Draw each service's busy-hour demand with its 80 % band, over what every chip serves of it (mean)."""
    data = dated(frame).with_columns((pl.col("name") + " (" + pl.col("region") + ")").alias("service"))
    chips = sorted(c for c in data["chip"].unique().to_list() if c)
    x = time_axis(PHONE if width < NARROW else panel_width(width, 2))
    unit = alt.Axis(format="~s")
    asked = alt.Chart(data).transform_filter("isValid(datum.demand_per_s)")
    band = asked.mark_area(opacity=0.18, color=MUTED).encode(x=x, y=alt.Y("demand_p10:Q"), y2=alt.Y2("demand_p90:Q"))
    area = (
        alt.Chart(data)
        .transform_filter("isValid(datum.rate_per_s)")
        .mark_area()
        .encode(x=x, y=alt.Y("rate_per_s:Q", title="requests/s", axis=unit), color=coloured("chip", chips, width))
    )
    line = asked.mark_line(color=INK, strokeWidth=1.6).encode(x=x, y=alt.Y("demand_per_s:Q", axis=unit))
    return panels(alt.layer(area, band, line, data=data), data, "service", width, 130, columns=2)


def joined_capacity(service: pl.DataFrame, served: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of both tables that ``capacity`` draws: demand by month, and what each chip serves of it."""
    columns = ["service", "name", "region", "month", "demand_per_s", "demand_p10", "demand_p90"]
    asked = service.select(columns).with_columns(pl.lit("").alias("chip"), pl.lit(None, pl.Float64).alias("rate_per_s"))
    if not served.height:
        return asked
    empty = [pl.lit(None, pl.Float64).alias(c) for c in columns[4:]]
    return pl.concat([asked, served.with_columns(*empty).select(asked.columns)])


def money(frame: pl.DataFrame, width: int) -> Any:
    """Draw budget against what was committed before and what is planned, by pot and year."""
    columns = ("committed", "planned", "budget")
    most = max((v for c in columns for v in frame[c].drop_nulls().to_list()), default=0.0)
    unit, told = in_money(most)
    data = frame.select("pot", "year", *columns).with_columns(
        pl.col("year").cast(pl.String), *[pl.col(c) / unit for c in columns]
    )
    spent = data.unpivot(
        on=["committed", "planned"], index=["pot", "year", "budget"], variable_name="what", value_name="bn"
    )
    bars = (
        alt.Chart(spent)
        .mark_bar()
        .encode(
            x=alt.X("year:O", title=None, axis=alt.Axis(labelAngle=0)),
            y=alt.Y("bn:Q", title=told, axis=alt.Axis(tickCount=4)),
            color=alt.Color(
                "what:N", title=None, scale=alt.Scale(domain=["planned", "committed"], range=[PALETTE[0], PALETTE[6]])
            ),
        )
    )
    mark = alt.Chart(spent).mark_tick(thickness=3, color=PALETTE[5]).encode(x=alt.X("year:O"), y=alt.Y("budget:Q"))
    return panels(alt.layer(bars, mark, data=spent), spent, "pot", width, 150, columns=3)


def power(frame: pl.DataFrame, width: int) -> Any:
    """Draw the power drawn at each site, its most over the futures, and what is there."""
    data = dated(frame).with_columns((pl.col("power") + pl.col("built")).alias("there"))
    x = time_axis(PHONE if width < NARROW else panel_width(width, 2))
    most = alt.Chart(data).mark_area(opacity=0.25, color=PALETTE[0]).encode(x=x, y=alt.Y("drawn_most:Q"))
    area = alt.Chart(data).mark_area(opacity=0.6, color=PALETTE[0]).encode(x=x, y=alt.Y("drawn:Q", title="MW"))
    line = alt.Chart(data).mark_line(color=PALETTE[5], interpolate="step-after").encode(x=x, y=alt.Y("there:Q"))
    return panels(alt.layer(most, area, line, data=data), data, "site", width, 110, columns=2)

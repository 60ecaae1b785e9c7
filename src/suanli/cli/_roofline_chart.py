"""The picture of a roofline: operators as dots under the lines of memory and peak."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from suanli.kinds import Chip
from suanli.reports import INK, MUTED, PALETTE, themed
from suanli.silicon import rate_of

_COLOURS = {
    "compute": PALETTE[5],
    "memory": PALETTE[0],
    "overhead": PALETTE[6],
    "cache": PALETTE[4],
    "vector": PALETTE[3],
    "power": PALETTE[1],
    "before": PALETTE[2],
    "host": PALETTE[8],
    "exchange": PALETTE[9],
}
_WIDE, _HIGH = 720, 430  # pixels of the plot
_NAMED = 0.02  # share of the time from which an operator gets its name in the picture
_LEAST = 0.002  # share of the time below which an operator is a speck and is left out


def chart(rows: Sequence[dict[str, Any]], chip: Chip, *, title: str, subtitle: str) -> Any:
    """Return the roofline of ``chip`` with a dot an operator, its area the share of the time."""
    shown = [r for r in rows if r["intensity"] and r["share"] >= _LEAST]
    dots = pl.DataFrame(
        {
            "operator": [r["operator"] for r in shown],
            "intensity": [r["intensity"] for r in shown],
            "rate": [r["flop_per_s"] / 1e12 for r in shown],
            "share": [r["share"] for r in shown],
            "bound": [r["bound"] for r in shown],
            "label": [f"{r['operator']}, {100.0 * r['share']:.0f} %" if r["share"] >= 0.01 else "" for r in shown],
        }
    )
    formats = sorted({rate_of(r["dtype"]) for r in shown}, key=lambda f: chip.peak[f])
    ceiling = max(chip.peak[f] for f in formats) / 1e12
    low = _decade(min([5.0, *dots["intensity"]]) / 1.5)
    high = max([4000.0, *(d * 4.0 for d in dots["intensity"])])
    floor = _decade(min([ceiling / 100.0, *dots["rate"]]) / 1.5)
    across, up = (low, high), (floor, ceiling * 2.0)
    x = alt.X(
        "intensity:Q", title="FLOP per byte of weights, inputs and outputs", scale=_log(across), axis=_axis(across)
    )
    y = alt.Y("rate:Q", title="TFLOP/s", scale=_log(up), axis=_axis(up))
    roofs = _roofs(chip, formats, low, high)
    lines = alt.Chart(roofs).mark_line(color=INK, strokeWidth=1.6, clip=True).encode(x=x, y=y, detail="format:N")
    ends = (
        alt.Chart(_peaks(chip, formats, high))
        .mark_text(align="right", dy=-7, color=MUTED, fontSize=12)
        .encode(x=x, y=y, text="name:N")
    )
    named = _apart(dots.filter(pl.col("share") >= _NAMED), across, up)
    at = alt.Y("height:Q", scale=_log(up))
    labels = alt.Chart(named).mark_text(align="left", dx=14, fontSize=11, color=INK).encode(x=x, y=at, text="label:N")
    leaders = alt.Chart(named).mark_rule(color=MUTED, strokeWidth=0.7).encode(x=x, y=y, y2="height:Q")
    note = f"{subtitle}; size of a dot: its share of the time"
    return themed(
        alt.layer(lines, ends, leaders, _points(dots, x, y), labels).properties(title=alt.Title(title, subtitle=note)),
        width=_WIDE,
        height=_HIGH,
    )


def _points(dots: pl.DataFrame, x: alt.X, y: alt.Y) -> Any:
    """Return a dot an operator, its area the share of the time and its colour what binds it."""
    bounds = [b for b in _COLOURS if b in set(dots["bound"])]
    colours = alt.Scale(domain=bounds, range=[_COLOURS[b] for b in bounds])
    size = alt.Scale(range=[25, 1100], domain=[0.0, 0.6], clamp=True)
    return (
        alt.Chart(dots)
        .mark_circle(opacity=0.8, stroke="white", strokeWidth=0.8)
        .encode(
            x=x,
            y=y,
            size=alt.Size("share:Q", scale=size, legend=None),
            color=alt.Color("bound:N", title="bound by", scale=colours),
            tooltip=["operator", "bound", alt.Tooltip("rate:Q", format=".3g"), alt.Tooltip("share:Q", format=".1%")],
        )
    )


def _roofs(chip: Chip, formats: Sequence[str], low: float, high: float) -> pl.DataFrame:
    """Return the line of each format: up with the memory's bandwidth, then flat at its peak."""
    bandwidth = (chip.memory_bandwidth or 0.0) / 1e12
    out = []
    for name in formats:
        peak = chip.peak[name] / 1e12
        if bandwidth:
            out += [(name, low, min(low * bandwidth, peak)), (name, max(peak / bandwidth, low), peak)]
        else:
            out.append((name, low, peak))
        out.append((name, high, peak))
    return pl.DataFrame(out, schema=["format", "intensity", "rate"], orient="row")


def _peaks(chip: Chip, formats: Sequence[str], high: float) -> pl.DataFrame:
    rows = [(high, chip.peak[f] / 1e12, f"{f} {chip.peak[f] / 1e12:,.0f} TFLOP/s") for f in formats]
    return pl.DataFrame(rows, schema=["intensity", "rate", "name"], orient="row")


def _apart(dots: pl.DataFrame, across: tuple[float, float], up: tuple[float, float]) -> pl.DataFrame:
    """Return ``dots`` with a label height each, moved down or up where two labels would lie on each other."""
    placed: list[tuple[float, float, float]] = []
    heights = []
    for x, rate, label in dots.select("intensity", "rate", "label").iter_rows():
        left, middle = _pixel(x, across, _WIDE), _pixel(rate, up, _HIGH)
        right = left + 6.3 * len(label) + 20.0
        for step in (0.0, *(s for i in range(1, 12) for s in (-15.0 * i, 15.0 * i))):
            clear = all(abs(middle + step - h) > 13.0 or right < a or left > b for a, b, h in placed)
            if clear and 8.0 < middle + step < _HIGH - 30.0:
                break
        placed.append((left, right, middle + step))
        heights.append(up[0] * (up[1] / up[0]) ** ((middle + step) / _HIGH))
    return dots.with_columns(pl.Series("height", heights, dtype=pl.Float64))


def _pixel(value: float, ends: tuple[float, float], size: int) -> float:
    return size * math.log(value / ends[0]) / math.log(ends[1] / ends[0])


def _decade(value: float) -> float:
    """Return the power of ten at or below ``value``."""
    return float(10.0 ** math.floor(math.log10(value)))


def _log(ends: tuple[float, float]) -> alt.Scale:
    return alt.Scale(type="log", domain=list(ends), nice=False)


def _axis(ends: tuple[float, float]) -> alt.Axis:
    """Return an axis with a line and label at every power of ten."""
    first, last = math.ceil(math.log10(ends[0])), math.floor(math.log10(ends[1]))
    return alt.Axis(values=[10.0**e for e in range(first, last + 1)], format="~s")

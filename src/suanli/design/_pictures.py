"""Pictures: floorplan, breakdowns, Pareto front, the plane of the rules, and designs beside the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from suanli.design._evaluate import Design
from suanli.design._field import Beside
from suanli.design._find import Found, Search
from suanli.design._floorplan import floorplan
from suanli.design._jobs import SCALES
from suanli.design._rules import ORDER, Place, grid
from suanli.kinds import Chip

SCALE = 11.0  # pixels a mm of a floorplan
BLOCKS = ("core", "MAC array", "spare core", "shared SRAM", "memory PHY", "HBM stack", "links", "die-to-die",
          "host link", "uncore")  # fmt: skip
_SHADES = ("#56B4E9", "#0072B2", "#cfd6dd", "#009E73", "#E69F00", "#f3d9a4", "#D55E00", "#A0522D", "#CC79A7", "#b4bcc4")
_GROUP_COLOUR = {"free": "#009E73", "conditional": "#E69F00", "open": "#8C8C8C", "restricted": "#D55E00"}


def floorplan_chart(design: Design, *, ink: str, muted: str) -> Any:
    """Return an Altair chart of one die to scale, with its HBM stacks and a ruler of 5 mm."""
    import altair as alt

    boxes, width, height = floorplan(design)
    left = min(b["x"] for b in boxes) - 1.0
    right = max(b["x2"] for b in boxes) + 1.0
    low, high = min(b["y"] for b in boxes) - 3.0, max(b["y2"] for b in boxes) + 1.0
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[left, right], nice=False))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[low, high], nice=False))
    used = [b for b in BLOCKS if any(box["block"] == b for box in boxes)]
    colour = alt.Color(
        "block:N", title=None, scale=alt.Scale(domain=used, range=[_SHADES[BLOCKS.index(b)] for b in used]),
        legend=alt.Legend(columns=5),
    )  # fmt: skip
    rects = alt.Chart(alt.Data(values=boxes)).mark_rect(stroke="white", strokeWidth=0.6)
    rects = rects.encode(x=x, x2="x2:Q", y=y, y2="y2:Q", color=colour)
    labels = alt.Chart(alt.Data(values=_labels(boxes))).mark_text(fontSize=11, color=ink, lineBreak="\n", lineHeight=13)
    rule_y = low + 1.4
    ruler = alt.Chart(alt.Data(values=[{"x": 0.0, "x2": 5.0, "y": rule_y}])).mark_rule(color=muted, strokeWidth=2)
    marks = [
        {"x": 2.5, "y": rule_y - 0.8, "text": "5 mm"},
        {"x": width / 2.0, "y": high - 0.4, "text": f"{width:.1f} mm x {height:.1f} mm"},
    ]
    notes = alt.Chart(alt.Data(values=marks)).mark_text(fontSize=11, color=muted)
    layers = [
        rects, labels.encode(x=x, y=y, text="text:N"), ruler.encode(x=x, x2="x2:Q", y=y),
        notes.encode(x=x, y=y, text="text:N"),
    ]  # fmt: skip
    area, dies = design.area, round(float(np.ravel(design.spec.dies)[0]))
    below = (
        f"{area.value[0] * 1e6:.0f} mm² ({area.p10[0] * 1e6:.0f}-{area.p90[0] * 1e6:.0f}), {design.spec.node}, "
        f"dies: {dies}; cores and memories carry their share of network and white space"
    )
    title = alt.TitleParams(f"Floorplan sketch to scale: {design.spec.name}", subtitle=below)
    return alt.layer(*layers).properties(title=title, width=(right - left) * SCALE, height=(high - low) * SCALE)


def _labels(boxes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one label for each block that is large enough to carry it, in the middle of its first box."""
    sums: dict[str, float] = {}
    largest: dict[str, Mapping[str, Any]] = {}
    for box in boxes:
        name = box["block"]
        sums[name] = sums.get(name, 0.0) + box["area"]
        if name not in largest or box["area"] > largest[name]["area"]:
            largest[name] = box
    out = []
    for name, box in largest.items():
        wide, tall = box["x2"] - box["x"], box["y2"] - box["y"]
        if name in {"MAC array", "core", "spare core"} or tall < 1.2 or wide < 3.2:
            continue
        text = (
            "HBM"
            if name == "HBM stack"
            else f"{name}\n{sums[name]:.0f} mm²"
            if tall > 2.6 and wide < 9
            else f"{name} {sums[name]:.0f} mm²"
        )
        out.append({"x": (box["x"] + box["x2"]) / 2.0, "y": (box["y"] + box["y2"]) / 2.0, "text": text})
    return out


def breakdown_chart(design: Design, *, colours: Sequence[str], ink: str) -> Any:
    """Return bars of one design's area (mm², one die), power (W) and cost (USD) by block."""
    import altair as alt

    panels = []
    named = (
        ("area, mm²", design.area, 1e6),
        ("power, W", design.power, 1.0),
        ("cost of a package, USD", design.cost, 1.0),
    )
    for (title, estimate, factor), colour in zip(named, colours, strict=False):
        rows = [{"part": k, "value": float(np.ravel(v)[0]) * factor} for k, v in estimate.breakdown.items()]
        rows = sorted((r for r in rows if r["value"] != 0.0), key=lambda r: -float(str(r["value"])))
        base = alt.Chart(alt.Data(values=rows)).encode(
            y=alt.Y("part:N", sort=None, title=None, axis=alt.Axis(labelLimit=180)),
            x=alt.X("value:Q", title=title, axis=alt.Axis(grid=True, tickCount=4)),
        )
        text = base.mark_text(align="left", dx=3, fontSize=11, color=ink).encode(
            text=alt.Text("value:Q", format=",.0f")
        )
        low, mid, high = (float(v[0]) * factor for v in (estimate.p10, estimate.value, estimate.p90))
        whole = f"{mid:,.0f} ({low:,.0f}-{high:,.0f})"
        panels.append((base.mark_bar(color=colour, height=13) + text).properties(
            width=200, height=20 * len(rows), title=alt.TitleParams(whole, fontSize=13)))  # fmt: skip
    return alt.hconcat(*panels, spacing=30).properties(
        title=alt.TitleParams(
            f"Where area, power and cost of {design.spec.name} go", subtitle="total with the central 80 %"
        )
    )


def front_chart(found: Search, *, muted: str) -> Any:
    """Return the designs judged in full, in work for a USD against work for a watt; the Pareto front is drawn dark."""
    import altair as alt

    front = {id(f) for f in found.front}
    rows = [
        {
            "usd": f.objectives["per_usd"], "kw": f.objectives["per_watt"] * 1e3, "memory": f.spec.memory,
            "front": id(f) in front, "area": float(f.chip.die_area_m2 or 0.0) * 1e6, "tpp": f.tpp,
        }
        for f in found.judged if f.index > 0.0
    ]  # fmt: skip
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("usd:Q", title=f"work for a USD of ownership ({found.base} = 1 an hour)", scale=alt.Scale(zero=False)),
        y=alt.Y("kw:Q", title="work for a kW", scale=alt.Scale(zero=False)),
        color=alt.Color("memory:N", title="memory"),
        size=alt.Size("area:Q", title="die, mm²", scale=alt.Scale(range=[30, 220])),
        tooltip=["tpp:Q", "area:Q"],
    )
    others = base.transform_filter("!datum.front").mark_circle(opacity=0.25)
    best = base.transform_filter("datum.front").mark_circle(opacity=1.0, stroke=muted, strokeWidth=1.2)
    title = alt.TitleParams(
        "Pareto front: work for a USD, a watt and a mm²",
        subtitle=f"{found.kept:,} of {found.tried:,} candidates keep every limit; {len(found.judged)} judged in full, "
        f"{len(found.front)} on the front (outlined)",
    )
    return (others + best).properties(title=title, width=620, height=380)


def plane_chart(
    found: Sequence[Found], chips: Sequence[Chip], *, place: Place, memory: str, node_nm: float, ink: str
) -> Any:
    """Return designs and chips in the plane of TPP and performance density, over what the rules say at ``place``."""
    import altair as alt

    cells, (x_end, y_end) = _cells(place, memory=memory, node_nm=node_nm)
    x_ticks, y_ticks = [300, 1000, 1600, 2400, 4800, 10000, 30000], [0.5, 1, 1.6, 3.2, 5.92, 10, 20, 50]
    across = alt.Scale(type="log", domain=[300, x_end], nice=False)
    up = alt.Scale(type="log", domain=[0.5, y_end], nice=False)
    x = alt.X(
        "tpp:Q", title="total processing performance (TPP)", scale=across, axis=alt.Axis(values=x_ticks, grid=False)
    )
    y = alt.Y("pd:Q", title="TPP a mm²", scale=up, axis=alt.Axis(values=y_ticks, grid=False))
    colour = alt.Color(
        "group:N", title="ruling",
        scale=alt.Scale(domain=list(_GROUP_COLOUR), range=list(_GROUP_COLOUR.values())),
    )  # fmt: skip
    ground = alt.Chart(alt.Data(values=cells)).mark_rect(opacity=0.22, stroke="white", strokeWidth=0.5)
    ground = ground.encode(x=x, x2="tpp2:Q", y=y, y2="pd2:Q", color=colour)
    dots = [{"tpp": f.tpp, "pd": f.density} for f in found if f.tpp > 300]
    designs = alt.Chart(alt.Data(values=dots)).mark_circle(size=46, color="#0072B2", opacity=0.75).encode(x=x, y=y)
    known = [
        {"tpp": c.tpp, "pd": c.tpp / (c.die_area_m2 * 1e6 * (c.n_logic_dies or 1)), "name": c.id}
        for c in chips if c.tpp and c.die_area_m2
    ]  # fmt: skip
    field = alt.Chart(alt.Data(values=known)).encode(x=x, y=y)
    points = field.mark_point(shape="diamond", size=70, color=ink, filled=True)
    names = field.mark_text(align="left", dx=7, fontSize=11, color=ink).encode(text="name:N")
    title = alt.TitleParams(
        f"Designs in the plane of the rules, {place.date}, to {place.to} for an owner from {place.owner}",
        subtitle="blue: designs judged; diamonds: chips that exist; ground: the ruling of a made-to-order chip there",
    )
    return (ground + designs + points + names).properties(title=title, width=640, height=420)


def _cells(place: Place, *, memory: str, node_nm: float) -> tuple[list[dict[str, Any]], tuple[float, float]]:
    """Return the cells of the rules' grid in TPP and density, its other figures at their lowest, and the ends."""
    known = grid(place, memory=memory, node_nm=node_nm, designer="US")
    x_end, y_end = 40_000.0, 60.0
    xs = [300.0, *[v for v in known.cuts["tpp"].tolist() if 300.0 < v < x_end], x_end]
    ys = [0.5, *[v for v in known.cuts["density"].tolist() if 0.5 < v < y_end], y_end]
    out = []
    for x, x2 in pairwise(xs):
        for y, y2 in pairwise(ys):
            i = int(np.searchsorted(known.cuts["tpp"], x, side="right"))
            j = int(np.searchsorted(known.cuts["density"], y, side="right"))
            code = int(known.codes[i, j].reshape(-1)[0])
            out.append({"tpp": x, "tpp2": x2, "pd": y, "pd2": y2, "group": ORDER[code]})
    return out, (x_end, y_end)


def field_chart(rows: Sequence[Beside], *, colours: Sequence[str], ink: str) -> Any:
    """Return each job on designs and chips: units a second with the central 80 %, joules, USD."""
    import altair as alt

    order = list(dict.fromkeys(r.chip for r in rows))
    lines = []
    for job in dict.fromkeys(r.rate.job for r in rows):
        here = [r for r in rows if r.rate.job == job and r.rate.rate > 0.0]
        if not here:
            continue
        plural, money, money_size, energy, energy_size = SCALES[here[0].rate.unit]
        joules = [(r, r.rate.joules * energy_size, None, None) for r in here]
        usd = [(r, None if r.usd_each is None else r.usd_each * money_size, None, None) for r in here]
        panels = [
            _bars([(r, r.rate.rate, r.rate.p10, r.rate.p90) for r in here], f"{plural} a second", order, colours, ink),
            _bars(joules, f"joules a {energy}", order, colours, ink),
            _bars(usd, f"USD a {money}", order, colours, ink),
        ]
        lines.append(alt.hconcat(*panels, spacing=24).properties(title=alt.TitleParams(job, fontSize=13)))
    return alt.vconcat(*lines, spacing=18).properties(title=alt.TitleParams("Designs beside the field, one chip each"))


def _bars(
    values: Sequence[tuple[Beside, float | None, float | None, float | None]], title: str, order: Sequence[str],
    colours: Sequence[str], ink: str,
) -> Any:  # fmt: skip
    import altair as alt

    number = "s" if "second" in title else "r"
    rows = [
        {"chip": r.chip, "value": v, "low": low, "high": high, "kind": "design" if r.designed else "exists"}
        for r, v, low, high in values if v is not None
    ]  # fmt: skip
    ranged = bool(rows) and rows[0]["high"] is not None
    names = alt.Y("chip:N", title=None, scale=alt.Scale(domain=list(order)), axis=alt.Axis(labelLimit=130))
    base = alt.Chart(alt.Data(values=rows)).encode(y=names)
    x = alt.X("value:Q", title=title, axis=alt.Axis(tickCount=4, format=f"~{number}"))
    kinds = alt.Scale(domain=["design", "exists"], range=[colours[0], "#9aa4ae"])
    layers = base.mark_bar(height=12).encode(x=x, color=alt.Color("kind:N", title=None, scale=kinds))
    if ranged:
        layers = layers + base.mark_rule(color=ink).encode(x="low:Q", x2="high:Q")
    text = base.mark_text(align="left", dx=4, fontSize=10, color=ink)
    edge = alt.X("high:Q" if ranged else "value:Q", title=title)
    layers = layers + text.encode(x=edge, text=alt.Text("value:Q", format=f".3~{number}"))
    return layers.properties(width=190, height=19 * len(order))

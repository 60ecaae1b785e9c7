"""A picture of a fabric: tiers of switches and the links between them."""

from __future__ import annotations

from typing import Any

from suanli.kinds import FabricBill
from suanli.quantities import show

_SHOWN = 16  # boxes drawn of a tier; the count stands beside them
_PORTS = 3  # lines drawn from each box to the tier above


def fabric_chart(bill: FabricBill, *, colours: tuple[str, ...], ink: str, muted: str) -> Any:
    """Return an Altair chart of ``bill``: a row of boxes a tier, cables between them, counts beside.

    ``colours`` are those of the tiers from the nodes outwards. Not more than 16 boxes of a tier are drawn.
    """
    import altair as alt

    boxes, lines, labels = _rows(bill)
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-0.36, 1.02]))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[-0.3, len(bill.levels) + 0.22]))
    wires = alt.Chart(alt.Data(values=lines)).mark_rule(color=muted, opacity=0.28, strokeWidth=0.8)
    wires = wires.encode(x=x, y=y, x2="x2:Q", y2="y2:Q")
    order = ["node", *(name for name, _ in bill.levels)]
    marks = alt.Chart(alt.Data(values=boxes)).mark_square(size=330, opacity=1.0, cornerRadius=3)
    marks = marks.encode(
        x=x, y=y, color=alt.Color("tier:N", legend=None, scale=alt.Scale(domain=order, range=list(colours)))
    )
    text = alt.Chart(alt.Data(values=labels)).mark_text(align="left", baseline="middle", lineBreak="\n")
    titles = text.transform_filter("datum.kind == 'tier'").mark_text(
        align="left", baseline="middle", fontSize=13, color=ink, lineBreak="\n", lineHeight=16
    )
    links = text.transform_filter("datum.kind == 'link'").mark_text(
        align="left", baseline="middle", fontSize=11, color=muted, lineBreak="\n", lineHeight=14
    )
    layers = [wires, marks, titles.encode(x=x, y=y, text="text:N"), links.encode(x=x, y=y, text="text:N")]
    title = alt.TitleParams(_title(bill), subtitle=_subtitle(bill))
    return alt.layer(*layers).properties(title=title, width=860, height=130 * (len(bill.levels) + 1))


def _rows(bill: FabricBill) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    tiers = [("node", bill.n_nodes), *bill.levels]
    boxes: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    for level, (name, count) in enumerate(tiers):
        places = _places(count)
        boxes += [{"tier": name, "x": p, "y": level} for p in places]
        some = f"\n(one in {count / len(places):,.0f} drawn)" if count > len(places) else ""
        kind = f"{name} switch{'es' if count > 1 else ''}"
        if level == 0:
            kind = f"node{'s' if count > 1 else ''} of {-(-bill.n_chips // count)} chips"
        labels.append({"kind": "tier", "x": -0.35, "y": level, "text": f"{count:,} {kind}{some}"})
        if level:
            below = _places(tiers[level - 1][1])
            lines += [
                {"x": b, "y": level - 0.94, "x2": p, "y2": level - 0.06}
                for i, b in enumerate(below)
                for p in _partners(places, i, len(below))
            ]
            _, _, cables, optics, rate = bill.links[level - 1]
            note = f"{cables:,} cables of {show(8 * rate, 'b/s')}\n{optics:,} optical modules"
            labels.append({"kind": "link", "x": -0.35, "y": level - 0.5, "text": note})
    return boxes, lines, labels


def _places(count: int) -> list[float]:
    shown = min(count, _SHOWN)
    return [0.5] if shown == 1 else [i / (shown - 1) for i in range(shown)]


def _partners(places: list[float], index: int, below: int) -> list[float]:
    """Return the boxes above that box ``index`` of ``below`` is drawn to: a few, spread evenly."""
    if len(places) <= _PORTS:
        return places
    start = index * len(places) // below
    return sorted({places[(start + k * len(places) // _PORTS) % len(places)] for k in range(_PORTS)})


def _title(bill: FabricBill) -> str:
    return f"{bill.n_chips:,} chips on {bill.n_switches:,} x {bill.switch} with {bill.optics}"


def _subtitle(bill: FabricBill) -> list[str]:
    power = f"power {show(bill.power_w, 'W')}"
    price = f"price {show(bill.price_usd, 'USD')}"
    if bill.price_low_usd is not None and bill.price_high_usd is not None:
        price += f" ({show(bill.price_low_usd, 'USD')} to {show(bill.price_high_usd, 'USD')})"
    return [f"bisection {show(bill.bisection, 'B/s')}, {power}, {price}, cards and fibre not counted"]

"""A picture of a fabric: tiers of switches and the cables between them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from suanli import catalog
from suanli.fabric._wiring import SHOWN, drawn, joined
from suanli.kinds import FabricBill
from suanli.quantities import show

_GAP = 1.6  # between the first group and the last, in distances between boxes


def fabric_chart(bill: FabricBill, *, colours: tuple[str, ...], ink: str, muted: str) -> Any:
    """Return an Altair chart of ``bill``: a row of boxes a tier, the cables between them, counts beside.

    ``colours`` are those of the tiers from the nodes outwards. Of a tier of more than 16 boxes, eight of the first and
    of the last group are drawn, with the cables that really join them.
    """
    import altair as alt

    boxes, lines, labels = _rows(bill)
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-0.4, 1.02]))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[-0.3, len(bill.levels) + 0.22]))
    order = ["node", *(name for name, _ in bill.levels)]
    colour = alt.Color("tier:N", legend=None, scale=alt.Scale(domain=order, range=list(colours)))
    wires = alt.Chart(alt.Data(values=lines)).mark_rule(opacity=0.45, strokeWidth=0.9)
    wires = wires.encode(x=x, y=y, x2="x2:Q", y2="y2:Q", color=colour)
    marks = alt.Chart(alt.Data(values=boxes)).mark_square(size=420, opacity=1.0, cornerRadius=3)
    text = alt.Chart(alt.Data(values=labels))
    layers = [wires, marks.encode(x=x, y=y, color=colour)]
    for kind, size, fill, weight, align in (
        ("tier", 14, ink, "bold", "left"),
        ("link", 12, muted, "normal", "left"),
        ("gap", 20, muted, "bold", "center"),
    ):
        words = text.transform_filter(f"datum.kind == '{kind}'").mark_text(
            align=align, baseline="middle", fontSize=size, fontWeight=weight, color=fill, lineBreak="\n", lineHeight=16
        )
        layers.append(words.encode(x=x, y=y, text="text:N"))
    title = alt.TitleParams(_title(bill), subtitle=_subtitle(bill))
    return alt.layer(*layers).properties(title=title, width=860, height=130 * (len(bill.levels) + 1))


def _rows(bill: FabricBill) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    shown = drawn(bill)
    tiers = [("node", bill.n_nodes), *bill.levels]
    places = [_places(indices, count) for indices, (_, count) in zip(shown, tiers, strict=True)]
    boxes: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    for level, (name, count) in enumerate(tiers):
        boxes += [{"tier": name, "x": place, "y": level} for place in places[level].values()]
        labels.append({"kind": "tier", "x": -0.39, "y": level, "text": _heading(bill, level)})
        if count > len(shown[level]):
            labels.append({"kind": "gap", "x": _gap(shown[level], places[level]), "y": level, "text": "…"})
        if level:
            lines += [
                {
                    "tier": tiers[level - 1][0],
                    "x": start,
                    "y": level - 0.93,
                    "x2": places[level][end],
                    "y2": level - 0.07,
                }
                for index, start in places[level - 1].items()
                for end in joined(bill, level - 1, index)
                if end in places[level]
            ]
            labels.append({"kind": "link", "x": -0.39, "y": level - 0.5, "text": _note(bill, level - 1)})
    return boxes, lines, labels


def _places(indices: list[int], count: int) -> dict[int, float]:
    """Return where each box of ``count`` stands, 0 to 1, with a gap where boxes are left out."""
    if len(indices) == 1:
        return {indices[0]: 0.5}
    slots = [0.0]
    for before, after in pairwise(indices):
        slots.append(slots[-1] + (1.0 if after == before + 1 else 1.0 + _GAP))
    all_in_one = indices[-1] == len(indices) - 1
    end = slots[-1] + (_GAP if all_in_one and count > len(indices) else 0.0)
    return {index: slot / end for index, slot in zip(indices, slots, strict=True)}


def _gap(indices: list[int], places: dict[int, float]) -> float:
    """Return where the boxes that are left out would stand: in the middle, or at the end."""
    for before, after in pairwise(indices):
        if after != before + 1:
            return (places[before] + places[after]) / 2.0
    return 1.0


def _heading(bill: FabricBill, level: int) -> str:
    if level == 0:
        each = -(-bill.n_chips // bill.n_nodes)
        return f"{bill.n_nodes:,} node{'s' if bill.n_nodes > 1 else ''} of {each} chips"
    name, count = bill.levels[level - 1]
    return f"{count:,} {name} switch{'es' if count > 1 else ''}"


def _note(bill: FabricBill, run: int) -> str:
    """Return what is said of the cables of ``run``, the nodes' being run 0."""
    _, _, cables, optics, rate = bill.links[run]
    lines = [f"{cables:,} cables of {show(8 * rate, 'bit/s')}", f"{optics:,} optical modules"]
    down, up = bill.leaf_ports
    if run == 1:
        lines.append(f"a leaf: {down} ports down, {up} up")
    elif run == 0 and bill.cards_per_node > 1 and len(bill.levels) > 1:
        lines.append(
            f"{bill.cards_per_node} cards a node, {'each on its own rail' if bill.rail else 'all on one leaf'}"
        )
    return "\n".join(lines)


def _title(bill: FabricBill) -> str:
    names = (catalog.switch(bill.switch).name, catalog.switch(bill.optics).name)
    return f"{bill.n_chips:,} chips on {bill.n_switches:,} x {names[0]} with {names[1]}"


def _subtitle(bill: FabricBill) -> list[str]:
    power = f"power {show(bill.power_w, 'W')}"
    price = f"price {show(bill.price_usd, 'USD')}"
    if bill.price_low_usd is not None and bill.price_high_usd is not None:
        price += f" ({show(bill.price_low_usd, 'USD')} to {show(bill.price_high_usd, 'USD')})"
    said = [f"bisection {show(bill.bisection, 'B/s')}, {power}, {price}, cards and fibre not counted"]
    if any(count > SHOWN for _, count in (("node", bill.n_nodes), *bill.levels)):
        said.append("drawn: eight of the first and eight of the last group of a tier, and the cables between them")
    return said

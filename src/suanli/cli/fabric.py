"""``suanli fabric``: a fabric from switches and optics."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from suanli.cli.common import JsonPath, console, emit_json, table
from suanli.kinds import FabricBill
from suanli.quantities import parse, show

CountOption = Annotated[int, typer.Option("--chips", help="Chips to join.", min=1)]
SwitchOption = Annotated[str, typer.Option("--switch", help="Switch of the catalogue, as 'tomahawk-5' or 'quantum2'.")]
OpticsOption = Annotated[
    str | None,
    typer.Option("--optics", help="Optics of the switches, as 'bailly', '800g-dr8', 'dac' (default: theirs)."),
]
NodeOption = Annotated[int, typer.Option("--chips-per-node", help="Chips of one node.", min=1)]
CardsOption = Annotated[
    int | None, typer.Option("--cards-per-node", help="Network cards of one node (default: one a chip).", min=1)
]
RateOption = Annotated[
    str | None, typer.Option("--card-rate", help="Bandwidth of one card, one way, as '400 Gbit/s' or '50 GB/s'.")
]
OverOption = Annotated[
    float, typer.Option("--oversubscription", help="Leaves' down over up bandwidth: 1 is full bisection.", min=1.0)
]
RailOption = Annotated[bool, typer.Option("--rail/--no-rail", help="Card i of every node on the leaves of rail i.")]
ChipOption = Annotated[
    str | None, typer.Option("--on", help="Chip whose links and cards the nodes have; adds times of collectives.")
]
SvgOption = Annotated[Path | None, typer.Option("--svg", help="Write a picture of the tiers as SVG.")]
PngOption = Annotated[Path | None, typer.Option("--png", help="Write a picture of the tiers as PNG.")]


def register(app: typer.Typer) -> None:
    """Add ``fabric`` to the application."""
    app.command("fabric")(fabric)


def fabric(
    chips: CountOption,
    switch: SwitchOption = "tomahawk5",
    optics: OpticsOption = None,
    chips_per_node: NodeOption = 8,
    cards_per_node: CardsOption = None,
    card_rate: RateOption = None,
    oversubscription: OverOption = 1.0,
    rail: RailOption = True,
    on: ChipOption = None,
    svg: SvgOption = None,
    png: PngOption = None,
    json_path: JsonPath = None,
) -> None:
    """Build a fabric from switches and optics: tiers, cables, power, price, bisection, and a picture."""
    from suanli import catalog
    from suanli.fabric import build

    chip = catalog.chip(on) if on else None
    bill = build(
        chips,
        switch,
        optics,
        chips_per_node=chips_per_node,
        cards_per_node=cards_per_node,
        card_rate=parse(card_rate, "B/s") if card_rate else None,
        oversubscription=oversubscription,
        rail=rail,
        chip=chip,
    )
    times = _times(bill, chips) if chip else []
    out = console(json_path)
    out.print(_summary(bill, chips))
    out.print(_tiers(bill))
    out.print(_parts(bill))
    if times:
        out.print("Collectives among all chips, by the buffer as NCCL counts it")
        out.print(table(None, ("collective", "buffer", "time"), times, right=("buffer", "time")))
    for remark in bill.unknown:
        out.print(f"not known: {remark}")
    for path in (svg, png):
        if path is not None:
            _draw(bill, path)
            out.print(f"picture: {path}")
    emit_json(json_path, asdict(bill))


def _summary(bill: FabricBill, chips: int) -> str:
    price = show(bill.price_usd, "USD")
    if bill.price_low_usd is not None and bill.price_high_usd is not None:
        price += f" ({show(bill.price_low_usd, 'USD')} to {show(bill.price_high_usd, 'USD')})"
    each = "" if bill.price_usd is None else f", {show(bill.price_usd / chips, 'USD')} a chip"
    watts = "" if bill.power_w is None else f", {show(bill.power_w / chips, 'W')} a chip"
    return "\n".join(
        (
            f"{chips:,} chips on {bill.n_switches:,} x {bill.switch} with {bill.optics}",
            f"  cables    {bill.n_cables:,}",
            f"  optics    {bill.n_optics:,} modules",
            f"  bisection {show(bill.bisection, 'B/s')} one way",
            f"  power     {show(bill.power_w, 'W')}{watts}",
            f"  price     {price}{each}",
        )
    )


def _tiers(bill: FabricBill) -> Any:
    rows = [
        (name, f"{count:,}", f"{below} to {above}", f"{cables:,}", show(8 * rate, "bit/s"), f"{modules:,}")
        for (name, count), (below, above, cables, modules, rate) in zip(bill.levels, bill.links, strict=True)
    ]
    columns = ("tier", "switches", "links", "cables", "a cable", "optical modules")
    return table(None, columns, rows, right=("switches", "cables", "a cable", "optical modules"))


def _parts(bill: FabricBill) -> Any:
    rows = [
        (name, f"{count:,}", show(watts, "W"), show(usd, "USD"), *_whole(count, watts, usd))
        for name, count, watts, usd in bill.parts
    ]
    columns = ("part", "count", "power each", "price each", "power", "price")
    return table(None, columns, rows, right=columns[1:])


def _whole(count: int, watts: float | None, usd: float | None) -> tuple[str, str]:
    return (
        show(None if watts is None else count * watts, "W"),
        show(None if usd is None else count * usd, "USD"),
    )


def _times(bill: FabricBill, chips: int) -> list[tuple[str, str, str]]:
    from suanli.fabric import collective_time

    rows = []
    for kind in ("all_reduce", "all_gather", "all_to_all"):
        for size in (1e6, 1e9):
            seconds = float(collective_time(bill.network, kind, size, chips))
            rows.append((kind.replace("_", "-"), show(size, "B"), show(seconds, "s")))
    return rows


def _draw(bill: FabricBill, path: Path) -> None:
    from suanli.fabric import fabric_chart
    from suanli.reports import INK, MUTED, PALETTE, save_chart, themed

    chart = fabric_chart(bill, colours=PALETTE[: len(bill.levels) + 1], ink=INK, muted=MUTED)
    save_chart(themed(chart, width=860, height=130 * (len(bill.levels) + 1)), path)

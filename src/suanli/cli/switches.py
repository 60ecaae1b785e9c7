"""``suanli switches list|show``: switches and optical modules with their sources."""

from __future__ import annotations

from collections.abc import Callable

import typer

from suanli import catalog
from suanli.cli import _listing
from suanli.cli._catalog_fields import lines_of, stated
from suanli.cli._listing import Line, Listing, contains, same_year
from suanli.kinds import Switch


def _cell(column: str) -> Callable[[Switch], str]:
    return lambda switch: stated(switch, "switches", column)


def _lines(switch: Switch) -> list[Line]:
    return lines_of(switch, "switches")


LISTING: Listing[Switch] = Listing(
    name="switches",
    noun="switch",
    help="List and show switches and optics.",
    entries=catalog.switches,
    find=catalog.switch,
    columns={
        "id": lambda s: s.id,
        "vendor": lambda s: s.vendor,
        "kind": lambda s: s.kind,
        "year": lambda s: str(s.year or ""),
        "Tb/s": _cell("bandwidth_tbps"),
        "800G": _cell("ports_800g"),
        "400G": _cell("ports_400g"),
        "box W": _cell("system_power_w"),
        "opt. W": _cell("optics_w_per_800g"),
        "ns": _cell("latency_ns"),
        "USD": _cell("price_usd"),
    },
    right=("year", "Tb/s", "800G", "400G", "box W", "opt. W", "ns", "USD"),
    units="Tb/s one way; W of the box, and of optics for each 800 Gb/s",
    filters={
        "vendor": contains(lambda s: s.vendor),
        "kind": lambda s, value: s.kind.casefold() == value.casefold(),
        "year": same_year(lambda s: s.year),
        "text": contains(lambda s: s.id, lambda s: s.name, lambda s: s.notes, lambda s: s.optics),
    },
    title=lambda s: f"{s.name} ({s.id}), {s.vendor}",
    lines=_lines,
)


def register(app: typer.Typer) -> None:
    """Add ``switches`` to the application."""
    _listing.register(app, LISTING)

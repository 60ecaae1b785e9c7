"""``suanli chips list|show``: accelerators with their sources."""

from __future__ import annotations

from collections.abc import Callable

import typer

from suanli import catalog
from suanli.cli import _listing
from suanli.cli._catalog_fields import lines_of, stated
from suanli.cli._listing import Line, Listing, contains, plain, same_year
from suanli.kinds import Chip


def _cell(column: str) -> Callable[[Chip], str]:
    return lambda chip: stated(chip, "chips", column)


def _peak(chip: Chip, *formats: str) -> str:
    rate = next((chip.peak[f] / 1e12 for f in formats if f in chip.peak), None)
    return "" if rate is None else f"{rate:,.0f}" if rate >= 1e3 else f"{rate:.4g}"


def _lines(chip: Chip) -> list[Line]:
    return lines_of(chip, "chips")


def find(name: str) -> Chip:
    """Return the chip that ``name`` means; ``show`` takes any spelling, or a chip file."""
    return catalog.chip(name)


LISTING: Listing[Chip] = Listing(
    name="chips",
    noun="chip",
    help="List and show chips with their sources.",
    entries=catalog.chips,
    find=find,
    columns={
        "id": lambda c: c.id,
        "vendor": lambda c: c.vendor,
        "year": lambda c: str(c.year or ""),
        "bf16": lambda c: _peak(c, "bf16", "fp16"),
        "8 bit": lambda c: _peak(c, "fp8", "int8"),
        "GiB": _cell("memory_gib"),
        "GB/s": _cell("memory_gbs"),
        "W": _cell("tdp_w"),
        "link": _cell("scale_up_gbs"),
        "kUSD": lambda c: "" if c.price_usd is None else plain(float(f"{c.price_usd / 1e3:.4g}")),
    },
    right=("year", "bf16", "8 bit", "GiB", "GB/s", "W", "link", "kUSD"),
    units="dense TFLOP/s in bf16 or fp16 and in fp8 or int8; link GB/s both ways",
    filters={
        "vendor": contains(lambda c: c.vendor),
        "family": lambda c, value: c.family.casefold() == value.casefold(),
        "year": same_year(lambda c: c.year),
        "country": lambda c, value: value.upper() in {c.designer_country, c.maker_country},
        "text": contains(lambda c: c.id, lambda c: c.name, lambda c: c.notes, lambda c: c.process),
    },
    title=lambda c: f"{c.name} ({c.id}), {c.vendor}",
    lines=_lines,
)


def register(app: typer.Typer) -> None:
    """Add ``chips`` to the application."""
    _listing.register(app, LISTING)

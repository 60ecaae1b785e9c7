"""``suanli prices list|show``: prices, rents and costs with their sources."""

from __future__ import annotations

import typer

from suanli import catalog
from suanli.catalog import Cost
from suanli.cli import _listing
from suanli.cli._listing import Line, Listing, contains, plain, same_year, unless_empty
from suanli.quantities import YEAR, show


def _of_chip(row: Cost, value: str) -> bool:
    return catalog.resolve_chip(value).base in catalog.chips_of(row)


def _figure(value: float | None, unit: str) -> str:
    """Return a figure as text: money and times with their own unit, the rest as a number."""
    if value is None:
        return ""
    if unit == "s" and value >= 2 * YEAR:
        return f"{value / YEAR:.3g} years"
    return show(value, unit).removeprefix("USD ") if unit in {"s", "USD"} else plain(value)


def _unit(unit: str) -> str:
    return {"s": "", "1": ""}.get(unit, unit)


def _lines(row: Cost) -> list[Line]:
    figures = [
        Line(name, f"{_figure(value, row.unit)} {_unit(row.unit)}".strip(), row.source)
        for name in ("low", "mid", "high")
        if (value := getattr(row, name)) is not None
    ]
    about = [
        Line(name, str(value))
        for name in ("section", "item", "chip", "owner", "region", "country", "scope", "year", "date", "node_nm")
        if (value := getattr(row, name)) is not None
    ]
    told = [Line("as stated", row.stated_unit), *(Line(n, getattr(row, n)) for n in ("basis", "note", "verified"))]
    return unless_empty([*about, *figures, *told])


LISTING: Listing[Cost] = Listing(
    name="prices",
    noun="price",
    help="List and show prices, rents and costs with their sources.",
    entries=catalog.costs,
    find=catalog.cost_row,
    columns={
        "id": lambda c: c.id,
        "low": lambda c: _figure(c.low, c.unit),
        "figure": lambda c: _figure(c.value, c.unit),
        "high": lambda c: _figure(c.high, c.unit),
        "unit": lambda c: _unit(c.unit),
        "of": lambda c: f"{c.section.replace('_', ' ')}: {c.label}",
    },
    right=("low", "figure", "high"),
    filters={
        "section": contains(lambda c: c.section),
        "chip": _of_chip,
        "region": contains(lambda c: c.region, lambda c: c.country),
        "owner": contains(lambda c: c.owner),
        "year": same_year(lambda c: c.year),
        "text": contains(
            lambda c: c.id, lambda c: c.item, lambda c: c.basis, lambda c: c.note, lambda c: c.stated_unit
        ),
    },
    title=lambda c: f"{c.label} ({c.id})",
    lines=_lines,
)


def register(app: typer.Typer) -> None:
    """Add ``prices`` to the application."""
    _listing.register(app, LISTING)

"""Costs: prices, rents, power, build-out, lead times, yields, failures and exchange rates, each with its source."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from suanli.catalog._chips import chip as get_chip
from suanli.catalog._chips import core_names, resolve_chip
from suanli.catalog._folder import DATA, user_file
from suanli.catalog._tables import rows, source_of, unique
from suanli.errors import InputError, UnknownNameError, nearest, unknown_name
from suanli.sources import Source, Sourced

SECTIONS = {"accelerator_price": "price", "rental": "rent"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One row of the cost table; ``low``, ``mid`` and ``high`` are in ``unit``, None where the source gives none.

    ``unit`` is SI, but rents are in USD/h, electricity in USD/kWh and currencies in units a USD, as all who quote them
    do. ``stated_unit`` is the unit in the source, with its remarks.
    """

    id: str
    section: str
    item: str
    chip: str
    owner: str
    region: str
    country: str
    scope: str
    year: int | None
    date: str
    node_nm: float | None
    low: float | None
    mid: float | None
    high: float | None
    unit: str
    stated_unit: str
    basis: str
    note: str
    verified: str
    source: Source

    @property
    def value(self) -> float | None:
        """The central figure: ``mid``, else the middle of the range, else the one bound that is known."""
        if self.mid is not None:
            return self.mid
        known = [bound for bound in (self.low, self.high) if bound is not None]
        return sum(known) / len(known) if known else None

    @property
    def label(self) -> str:
        """What the figure is of, in words."""
        parts = (self.item or self.chip or self.owner, self.region, str(self.year or self.date or ""))
        return ", ".join(filter(None, parts)) or self.id

    def sourced(self) -> Sourced:
        """Return the figure with its range and source. Raises InputError where the row has text only."""
        value = self.value
        if value is None:
            raise InputError(f"cost '{self.id}' states no figure, only '{self.stated_unit}'")
        return Sourced(self.id, value, self.unit, self.source, self.low, self.high)


def cost(name: str) -> Sourced:
    """Return the figure of the cost row ``name`` ("EL-MY-2025"), in its unit, with range and source.

    Raises UnknownNameError, or InputError for a row that has no figure.
    """
    return cost_row(name).sourced()


def cost_row(name: str) -> Cost:
    """Return the cost row ``name`` with all it states. Raises UnknownNameError."""
    known = _by_id(user_file("prices.csv"))
    if name not in known:
        raise unknown_name("price", name, known)
    return known[name]


def costs(
    section: str | None = None,
    *,
    chip: str | None = None,
    region: str | None = None,
    year: int | None = None,
    owner: str | None = None,
) -> tuple[Cost, ...]:
    """Return the cost rows that match what is given: section, chip, words of the region, text in the owner, year.

    ``chip`` is any spelling of one; ``region`` words of the row's region, or a country (name or code) or a place in it.
    Raises UnknownNameError for an unknown section or chip.
    """
    table = _by_id(user_file("prices.csv")).values()
    if section is not None and section not in (sections := dict.fromkeys(c.section for c in table)):
        close = nearest(section, sections)
        hint = f"did you mean '{close}'?" if close else f"allowed: {', '.join(sections)}"
        raise UnknownNameError(f"unknown section '{section}' of prices; {hint}")
    wanted = resolve_chip(chip).base if chip is not None else None
    found = [
        c
        for c in table
        if (section is None or c.section == section)
        and (wanted is None or wanted in chips_of(c))
        and (year is None or c.year == year)
        and (owner is None or owner.casefold() in c.owner.casefold())
    ]
    return tuple(found if region is None else _in_region(found, region))


def price(chip: str, year: int, *, region: str | None = None, scope: str = "chip") -> Sourced | None:
    """Return what one ``chip`` cost in ``year`` (USD), or None where no row says.

    ``scope`` "chip" is the chip or card alone; "server", "module" and "system" are a chip's share of those. The rows of
    the year are taken, else of the nearest year before; of several, the value is the median of their central figures
    and the range runs from the lowest to the highest. With ``region`` only rows of that region count; without it rows
    that name none come first. Where no row is so old, the chip's own list or street price stands.
    Raises UnknownNameError for the chip.
    """
    found = _latest_of(_by_year(chip, section="accelerator_price", scopes=(scope,), region=region), year)
    if found is not None or scope != "chip" or region is not None:
        return found
    row = get_chip(chip)
    if row.price_usd is None:
        return None
    return Sourced(f"price of {chip}, undated", row.price_usd, "USD", row.source_of("price_usd"))


def rent(chip: str, year: int, *, region: str | None = None, term: str | None = None) -> Sourced | None:
    """Return what renting one ``chip`` cost in ``year`` (USD per hour), or None where no row says.

    ``term`` is "on demand", "one year" or "three years"; without one all but three-year contracts count. The choice
    among rows is that of ``price``. Raises UnknownNameError for the chip.
    """
    return _latest_of(rents(chip, region=region, term=term), year)


def rents(chip: str, *, region: str | None = None, term: str | None = None) -> Mapping[int, Sourced]:
    """Return the rents of ``chip`` (USD per hour) by year, as ``rent`` chooses them; empty where none is known."""
    scopes = (term,) if term is not None else ("on demand", "one year", "")
    return _by_year(chip, section="rental", scopes=scopes, region=region)


def figure_at(rows_: Sequence[Cost], year: int, name: str) -> Sourced | None:
    """Return one figure for ``year`` out of rows of one unit: the rows of that year, else of the nearest year before.

    Rows without a year hold for any. Of several rows the median of the central figures is taken, with the range over
    all. None where no row is so old; raises InputError for rows of several units.
    """
    known = [c for c in rows_ if c.value is not None and (c.year is None or c.year <= year)]
    if not known:
        return None
    if len(units := dict.fromkeys(c.unit for c in known)) > 1:
        raise InputError(f"{name}: rows in {' and '.join(units)} cannot be put together")
    return _merged(_latest(known, year), name)


def chips_of(row: Cost) -> tuple[str, ...]:
    """Return the ids of the chips that the row's name covers: all boards of a core name; none for a class of chips."""
    return core_names(row.chip) if row.chip else ()


def _by_year(chip: str, *, section: str, scopes: Sequence[str], region: str | None) -> dict[int, Sourced]:
    """Return one figure for each year that has rows; the user's rows of a year displace the catalogue's."""
    wanted = resolve_chip(chip).base
    user = user_file("prices.csv")
    out: dict[int, Sourced] = {}
    for table in (_by_id(None), _read(user) if user else {}):
        rows_ = [
            c
            for c in table.values()
            if c.section == section and c.scope in scopes and c.value is not None and wanted in chips_of(c)
        ]
        for year in sorted({c.year for c in rows_ if c.year is not None}):
            of_year = [c for c in rows_ if c.year == year]
            found = _in_region(of_year, region) if region else [c for c in of_year if not c.region] or of_year
            if found:
                out[year] = _merged(found, f"{SECTIONS[section]} of {chip}, {year}")
    return out


def _latest_of(figures: Mapping[int, Sourced], year: int) -> Sourced | None:
    return next((figures[y] for y in sorted(figures, reverse=True) if y <= year), None)


def _latest(found: Sequence[Cost], year: int) -> list[Cost]:
    latest = max(c.year if c.year is not None else year for c in found)
    return [c for c in found if c.year is None or c.year == latest]


def _in_region(found: Sequence[Cost], region: str) -> list[Cost]:
    """Return the rows whose region names ``region``, or else those of the country that it is or lies in."""
    word = re.compile(rf"\b{re.escape(region.casefold())}\b")
    named = [c for c in found if word.search(c.region.casefold())]
    country = _places().get(region.casefold(), region.upper())
    return named or [c for c in found if c.country and c.country == country]


@cache
def _places() -> Mapping[str, str]:
    with (DATA / "costs" / "places.csv").open(encoding="utf-8", newline="") as file:
        return {row["place"].casefold(): row["country"] for row in csv.DictReader(file)}


def _merged(found: Sequence[Cost], name: str) -> Sourced:
    if len(found) == 1:
        only = found[0]
        return Sourced(name, only.value or 0.0, only.unit, only.source, only.low, only.high)
    values = [c.value for c in found if c.value is not None]
    ends = [bound for c in found for bound in (c.low, c.mid, c.high) if bound is not None]
    refs = "; ".join(dict.fromkeys(f"{c.id}: {c.source.ref}" for c in found))
    kinds = {c.source.kind for c in found}
    kind = found[0].source.kind if len(kinds) == 1 else "estimated"
    source = Source(refs, max(c.source.date for c in found), kind, "median of the rows named, range over all")
    return Sourced(name, median(values), found[0].unit, source, min(ends), max(ends))


@cache
def _by_id(user: Path | None) -> Mapping[str, Cost]:
    own = _read(user) if user is not None else {}
    return {**own, **{name: c for name, c in _read(DATA / "costs" / "costs.csv").items() if name not in own}}


@cache
def _read(path: Path) -> Mapping[str, Cost]:
    found = [_cost(row, str(path)) for row in rows(path, "costs")]
    unique((c.id for c in found), path)
    return {c.id: c for c in found}


def _cost(row: dict[str, Any], where: str) -> Cost:
    source = source_of(row, where)
    factor = row.pop("si") or 1.0
    for bound in ("low", "mid", "high"):
        if row[bound] is not None:
            row[bound] *= factor
    known = [row[bound] for bound in ("low", "mid", "high") if row[bound] is not None]
    if known != sorted(known):
        raise InputError(f"{where}: {row['id']}: low, mid and high are not in order")
    row["unit"] = row["unit"] or (row["stated_unit"] if known else "")
    return Cost(**row, source=source)

"""``list`` and ``show`` of a catalogue table: what chips, switches, prices and events have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, Generic, TypeVar

import typer
from rich.table import Table

from suanli.cli.common import JsonPath, console, emit_json, table
from suanli.errors import InputError, nearest
from suanli.sources import Source

T = TypeVar("T")

Test = Callable[[T, str], bool]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of ``show``: a field, its value as text, and where it was read."""

    field: str
    value: str
    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[T]):
    """How a table is listed and shown.

    ``columns`` maps a heading to the cell of an entry; headings in ``right`` are numbers. ``filters`` maps a key of
    ``--filter key=value`` to its test. ``lines`` are the fields that ``show`` prints, each with its source;
    ``units`` says what the numbers of the list are in.
    """

    name: str
    noun: str
    help: str
    entries: Callable[[], Sequence[T]]
    find: Callable[[str], T]
    columns: Mapping[str, Callable[[T], str]]
    right: Sequence[str]
    filters: Mapping[str, Test[T]]
    title: Callable[[T], str]
    lines: Callable[[T], Sequence[Line]]
    units: str = ""


def register(app: typer.Typer, listing: Listing[Any]) -> None:
    """Add the command of ``listing`` with its ``list`` and ``show`` to the application."""
    group = typer.Typer(help=listing.help, no_args_is_help=True)
    keys = ", ".join(listing.filters)
    option = typer.Option(None, "--filter", "-f", metavar="KEY=VALUE", help=f"Keep entries that match; keys: {keys}.")
    name_ = typer.Argument(metavar="ID", help=f"Id or name of a {listing.noun}.")

    @group.command("list", help=f"List {listing.name}; --filter narrows the list.")
    def list_(filters: list[str] | None = option, json_path: JsonPath = None) -> None:
        found = select(listing, filters or [])
        emit_json(json_path, [as_json(entry) for entry in found])
        out = console(json_path)
        typer.echo(list_text(listing, found, width=out.width), err=out.stderr)

    @group.command("show", help=f"Show a {listing.noun} with the source, date and kind of every value.")
    def show(name: str = name_, json_path: JsonPath = None) -> None:
        entry = listing.find(name)
        emit_json(json_path, as_json(entry))
        console(json_path).print(show_table(listing, entry))

    app.add_typer(group, name=listing.name)


def select(listing: Listing[T], filters: Sequence[str]) -> list[T]:
    """Return the entries that pass every ``key=value``. Raises InputError for a key or form that is none."""
    tests = []
    for text in filters:
        key, equals, value = text.partition("=")
        if not equals or not value:
            raise InputError(f"--filter '{text}': write KEY=VALUE; keys: {', '.join(listing.filters)}")
        if key not in listing.filters:
            close = nearest(key, listing.filters)
            hint = f"did you mean '{close}'?" if close else f"keys: {', '.join(listing.filters)}"
            raise InputError(f"--filter '{text}': unknown key '{key}'; {hint}")
        tests.append((listing.filters[key], value))
    return [entry for entry in listing.entries() if all(test(entry, value) for test, value in tests)]


def list_text(listing: Listing[T], found: Sequence[T], *, width: int) -> str:
    """Return the entries as aligned text, a line each; the last column is folded to ``width``.

    Plain text, because Rich takes a quarter of a second for a hundred rows.
    """
    heads = list(listing.columns)
    rows = [[cell(entry) for cell in listing.columns.values()] for entry in found]
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    indent = sum(widths[:-1]) + 2 * (len(widths) - 1)

    def line(row: Sequence[str]) -> str:
        cells = [
            text.rjust(w) if head in listing.right else text.ljust(w)
            for text, head, w in zip(row[:-1], heads, widths, strict=False)
        ]
        last = row[-1].rjust(widths[-1]) if heads[-1] in listing.right else row[-1]
        folded = wrap(last, max(width - indent, 20), drop_whitespace=heads[-1] not in listing.right) or [""]
        return ("\n" + " " * indent).join(["  ".join([*cells, folded[0]]).rstrip(), *folded[1:]])

    title = f"{len(found)} {listing.noun if len(found) == 1 else listing.name}"
    if listing.units:
        title += f" ({listing.units})"
    return "\n".join([title, typer.style(line(heads), bold=True), *map(line, rows)])


def show_table(listing: Listing[T], entry: T) -> Table:
    """Return the fields of an entry with their sources; a source that stands above is not repeated."""
    rows = []
    before: Source | None = None
    for line in listing.lines(entry):
        source = line.source
        if source is None:
            rows.append((line.field, line.value, "", "", ""))
        elif source == before:
            rows.append((line.field, line.value, source.kind, source.date, '"'))
        else:
            ref = source.ref + (f" ({source.note})" if source.note else "")
            rows.append((line.field, line.value, source.kind, source.date, ref))
        before = source or before
    return table(listing.title(entry), ("field", "value", "kind", "date", "source"), rows)


def as_json(entry: Any) -> Any:
    """Return an entry as JSON: its fields in SI units, sources in full."""
    return dataclasses.asdict(entry)


def contains(*texts: Callable[[T], str]) -> Test[T]:
    """Return the test that a value occurs in one of the texts of an entry, whatever the case."""
    return lambda entry, value: any(value.casefold() in text(entry).casefold() for text in texts)


def same_year(year: Callable[[T], int | None]) -> Test[T]:
    """Return the test for a year ("2024") or a span of years ("2022-2024")."""

    def test(entry: T, value: str) -> bool:
        first, _, last = value.partition("-")
        try:
            low, high = int(first), int(last or first)
        except ValueError as error:
            raise InputError(f"--filter 'year={value}': write a year or a span such as 2022-2024") from error
        found = year(entry)
        return found is not None and low <= found <= high

    return test


def plain(value: float | int | str | None, unit: str = "") -> str:
    """Return a value as short text in ``unit``; None and empty are "unknown"."""
    if value is None or value == "":
        return "unknown"
    text = value if isinstance(value, str) else f"{value:,.6g}" if isinstance(value, float) else f"{value:,}"
    return f"{text} {unit}".rstrip()


def unless_empty(lines: Sequence[Line]) -> list[Line]:
    """Return the lines that have a value."""
    return [line for line in lines if line.value not in {"", "unknown"}]

"""CSV tables whose columns, units and meanings stand in a schema table; values come out in SI units."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from suanli.catalog._folder import DATA
from suanli.errors import InputError, nearest
from suanli.files import read_text
from suanli.sources import KINDS, Kind, Source


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: ``value in SI = cell * si``, kept in ``field``."""

    column: str
    field: str
    unit: str
    si: float
    type: str
    meaning: str


@cache
def schema(table: str) -> tuple[Column, ...]:
    """Return the columns of ``table`` in the order of its file."""
    with (DATA / "schema.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            Column(row["column"], row["field"], row["unit"], float(row["si"] or 1.0), row["type"], row["meaning"])
            for row in csv.DictReader(file)
            if row["table"] == table
        )


def rows(path: Path, table: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of the CSV file ``path`` by field: SI floats, ints and text; an empty cell is None.

    A column that the file lacks is empty. Raises InputError with file, line and column for an unknown column or a
    cell that is no number.
    """
    columns = {c.column: c for c in schema(table)}
    reader = csv.DictReader(read_text(path).splitlines())
    for name in reader.fieldnames or ():
        if name not in columns:
            close = nearest(name, columns)
            hint = f"did you mean '{close}'?" if close else f"allowed: {', '.join(columns)}"
            raise InputError(f"{path}:1: {name}: unknown column; {hint}")
    for line in reader:
        if None in line:
            raise InputError(f"{path}:{reader.line_num}: more cells than columns")
        yield {c.field: _cell(c, line.get(c.column) or "", path, reader.line_num) for c in columns.values()}


def _cell(column: Column, text: str, path: Path, line: int) -> Any:
    if text == "":
        return "" if column.type == "text" else None
    if column.type == "text":
        return text
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0 or (column.type == "int" and number != int(number)):
        kind = "whole number" if column.type == "int" else "number"
        raise InputError(f"{path}:{line}: {column.column}: '{text}' is not a {kind} of at least 0")
    return int(number) if column.type == "int" else number * column.si


def source_of(row: dict[str, Any], where: str) -> Source:
    """Take the columns of a row's source out of ``row``. Raises InputError for an unknown kind."""
    return Source(ref=row.pop("source.ref"), date=row.pop("source.date"), kind=kind_of(row.pop("source.kind"), where))


def kind_of(text: str, where: str) -> Kind:
    """Return ``text`` as the kind of a source. Raises InputError where it is none."""
    if text not in KINDS:
        raise InputError(f"{where}: kind: '{text}' is none of {', '.join(KINDS)}")
    return text


def field_sources(path: Path, key: str, fields: Mapping[str, str]) -> dict[str, dict[str, Source]]:
    """Return the sources of single fields, by id, from the CSV file ``path`` (columns key, field, source ...).

    ``fields`` maps a column's name to the field's. Raises InputError for a field that is none.
    """
    out: dict[str, dict[str, Source]] = {}
    for number, row in enumerate(csv.DictReader(read_text(path).splitlines()), start=2):
        where = f"{path}:{number}"
        if row["field"] not in fields:
            close = nearest(row["field"], fields)
            raise InputError(f"{where}: field: '{row['field']}' is no column; did you mean '{close}'?")
        source = Source(row["source"], row["date"], kind_of(row["kind"], where), row["note"])
        out.setdefault(row[key], {})[fields[row["field"]]] = source
    return out


def unique(ids: Iterable[str], path: Path) -> None:
    """Raise InputError where an id occurs twice."""
    seen: set[str] = set()
    for name in ids:
        if name in seen:
            raise InputError(f"{path}: id '{name}' occurs twice")
        seen.add(name)

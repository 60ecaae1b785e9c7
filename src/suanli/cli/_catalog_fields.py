"""The fields of a catalogue entry in the units of its table, for ``show``."""

from __future__ import annotations

from typing import Any

from suanli.catalog import Column, schema
from suanli.cli._listing import Line, plain
from suanli.kinds import Chip, Switch

UNSOURCED = {"id", "source.ref", "source.date", "source.kind", "verified", "notes"}


def lines_of(entry: Chip | Switch, table: str) -> list[Line]:
    """Return every field of ``entry`` with its source, unknown ones included, notes last."""
    lines = []
    for column in schema(table):
        if column.field in UNSOURCED:
            continue
        value = _value(entry, column.field)
        number = value / column.si if isinstance(value, float) else str(value) if isinstance(value, int) else value
        text = plain(number, "" if column.unit == "year" else column.unit)
        known = value is not None and value != ""
        lines.append(Line(column.column, text, entry.source_of(column.field) if known else None))
    lines.append(Line("verified", entry.verified))
    if entry.notes:
        lines.append(Line("notes", entry.notes))
    return lines


def stated(entry: Chip | Switch, table: str, column: str) -> str:
    """Return one field in the unit of its table, without the unit; empty where it is unknown."""
    found: Column = next(c for c in schema(table) if c.column == column)
    value = _value(entry, found.field)
    return "" if value is None else plain(value / found.si if isinstance(value, float) else value)


def _value(entry: Any, field: str) -> Any:
    name, _, key = field.partition(".")
    value = getattr(entry, name)
    return value.get(key) if key else value

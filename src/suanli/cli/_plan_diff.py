"""Two plans beside each other on the console: headline, orders, inputs, and on request every figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from suanli.cli.common import table
from suanli.quantities import show, show_money

Body = Mapping[str, Any]


def difference(body: Body, *, full: bool = False) -> Iterator[Any]:
    """Yield what to print of the difference of two plans; ``full`` tells every figure."""
    yield Text(f"{body['b']} (b) beside {body['a']} (a)", style="bold")
    yield _table("The main plans", body["headline"])
    if body["orders"]:
        most = len(body["orders"]) if full else 12
        yield _table(f"Chips ordered{_more(body['orders'], most)}", body["orders"][:most])
    if body["inputs"]:
        most = len(body["inputs"]) if full else 10
        yield _table(f"Inputs that differ{_more(body['inputs'], most)}", body["inputs"][:most])
    if not body["rows"]:
        yield Text("No figure differs.")
    elif full:
        yield _table("Every figure that differs", body["rows"])
    else:
        yield Text(f"{len(body['rows'])} figures differ in all: --full tells them, --json writes them.", style="dim")


def _more(rows: Sequence[Body], most: int) -> str:
    return f", {most} of {len(rows)}" if len(rows) > most else ""


def _table(title: str, rows: Sequence[Body]) -> Table:
    cells = [[r["figure"], *(_told(r[k], r["unit"]) for k in ("a", "b")), _change(r)] for r in rows]
    return table(None, (title, "a", "b", "change"), cells, right=("a", "b", "change"))


def _told(value: float | None, unit: str) -> str:
    """Return a number as a person reads it: chips in full, money with its scale, nothing where there is none."""
    if value is None:
        return "-"
    value = 0.0 if abs(value) < 1e-9 else value
    if unit == "chip":
        return f"{value:,.0f}"
    if unit in {"USD", "CNY", "EUR", "MYR"}:
        return show_money(value, unit)
    return show(value, unit)


def _change(row: Body) -> str:
    if row["a"] is None and row["unit"] != "chip":
        return "new"
    if row["b"] is None and row["unit"] != "chip":
        return "gone"
    change = row["change"]
    if not change:
        return ""
    if row["unit"] == "%":
        return f"{100.0 * change:+.1f} points"
    return ("+" if change > 0 else "-") + _told(abs(change), row["unit"])

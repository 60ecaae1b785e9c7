"""The difference of two plans: what a director asks first, orders, the inputs behind it, then every figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suanli.errors import InputError
from suanli.files import read_json

Row = dict[str, Any]
Document = Mapping[str, Any]


def diff(a: Path, b: Path) -> dict[str, Any]:
    """Return what two plans differ in.

    ``headline`` compares the main plans; ``orders`` their chips by offer and year; ``inputs`` the sourced values that
    differ, or that one of them has not; ``rows`` every figure that differs, the largest relative change first. The
    main plan of each is called "plan", whatever its view and budget are called. Raises InputError for a folder without
    a plan.
    """
    left, right = _read(a), _read(b)
    return {
        "a": str(a), "b": str(b), "headline": _headline(left, right), "orders": _orders(left, right),
        "inputs": _rows(_values(left), _values(right), keep=_is_input), "rows": _rows(_figures(left), _figures(right)),
    }  # fmt: skip


def _read(path: Path) -> Document:
    file = path / "plan.json" if path.is_dir() else path
    body = read_json(file)
    try:
        found: Document = body
        _ = body["provenance"]["figures"], body["provenance"]["values"], _main(body)["cost"]["usd"]
    except (KeyError, TypeError) as error:
        raise InputError(f"{file}: is no plan.json that 'suanli plan' wrote") from error
    return found


def _main(body: Document) -> Document:
    found: Document = body["plans"][f"{body['main']['view']}/{body['main']['variant']}"]
    return found


def _row(name: str, unit: str, before: float | None, after: float | None) -> Row:
    """Return a row; a change below a billionth of the figures is none."""
    x, y = before or 0.0, after or 0.0
    change = y - x if abs(y - x) > 1e-9 * max(1.0, abs(x), abs(y)) else 0.0
    return {"figure": name, "unit": unit, "a": before, "b": after, "change": change}


def _headline(left: Document, right: Document) -> list[Row]:
    """Return cost, demand served, odds of runs and shares of both main plans, whether they differ or not."""
    out = [_row("expected cost", "USD", _main(left)["cost"]["usd"], _main(right)["cost"]["usd"])]
    parts = [dict(_main(x)["cost_parts"]) for x in (left, right)]
    for name in dict.fromkeys((*parts[0], *parts[1])):
        before, after = (p.get(name, 0.0) for p in parts)
        if max(abs(before), abs(after)) >= 0.5:
            out.append(_row(f"  {name}", "USD", before, after))
    served = [{"demand served, by worth": _main(x)["served"]["share"]} for x in (left, right)]
    runs = [{f"odds of '{r['name']}'": r["odds"] for r in _main(x)["runs"]} for x in (left, right)]
    shares = [{f"share '{s['share']}' {s['year']}": s["reached"] for s in _main(x)["shares"]} for x in (left, right)]
    for before_of, after_of in (served, runs, shares):
        names = [
            n for n in dict.fromkeys((*before_of, *after_of)) if (before_of.get(n), after_of.get(n)) != (None, None)
        ]
        out += [_row(name, "%", before_of.get(name), after_of.get(name)) for name in names]
    return out


def _orders(left: Document, right: Document) -> list[Row]:
    """Return chips ordered by offer and year that differ by a chip or more, the largest difference first."""
    sums: list[dict[tuple[str, str], float]] = []
    for body in (left, right):
        found: dict[tuple[str, str], float] = {}
        for order in _main(body)["orders"]:
            key = order["offer"], order["quarter"][:4]
            found[key] = found.get(key, 0.0) + order["chips"]
        sums.append(found)
    rows = [
        _row(f"{offer}, {year}", "chip", sums[0].get((offer, year), 0.0), sums[1].get((offer, year), 0.0))
        for offer, year in dict.fromkeys((*sums[0], *sums[1]))
    ]
    return sorted((r for r in rows if abs(r["change"]) >= 1.0), key=lambda r: -abs(r["change"]))


def _rows(left: Mapping[str, Row], right: Mapping[str, Row], *, keep: Any = lambda _: True) -> list[Row]:
    rows = []
    for key in dict.fromkeys((*left, *right)):
        if key.endswith("'") or not keep(key):
            continue  # the second of two alike
        x, y = left.get(key), right.get(key)
        row = _row(
            key, (x or y or {}).get("unit", ""), float(x["value"]) if x else None, float(y["value"]) if y else None
        )
        if row["change"]:
            rows.append(row)
    rows.sort(key=lambda r: -abs(r["change"]) / max(abs(r["a"] or 0.0), abs(r["b"] or 0.0), 1e-12))
    return rows


def _is_input(name: str) -> bool:
    return not name.endswith(".measured")


def _values(body: Document) -> dict[str, Row]:
    """Return the sourced values by their names."""
    out: dict[str, Row] = {}
    for value in body["provenance"]["values"].values():
        out.setdefault(value["name"], value)
    return out


def _figures(body: Document) -> dict[str, Row]:
    main = f"{body['main']['view']}.{body['main']['variant']}."
    figures = body["provenance"]["figures"]
    return {f"plan.{key.removeprefix(main)}" if key.startswith(main) else key: f for key, f in figures.items()}

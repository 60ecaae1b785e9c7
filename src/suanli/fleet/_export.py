"""A plan's tables as Parquet, and on request as CSV or as one Excel workbook with a first sheet for readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from suanli import files

Row = dict[str, Any]
Tables = Mapping[tuple[str, str], Mapping[str, Sequence[Row]]]
ALSO = ("rates", "unit_costs", "screened", "alternatives", "tornado")
"""Lists of plan.json that an export holds too."""


def write_tables(folder: Path, every: Tables, body: Mapping[str, Any], export: str | None) -> None:
    """Write the tables of every (view, variant) into ``folder``; ``export`` "csv" or "xlsx" writes them so too.

    An export also holds what plan.json says of each plan as a whole ("plans"), of rates, unit costs, rulings and
    near-optimal plans, and the sources.
    """
    import polars as pl

    frames: dict[str, Any] = {}
    for name in next(iter(every.values())):
        rows = [{"view": view, "variant": variant, **row} for (view, variant), t in every.items() for row in t[name]]
        frames[name] = (
            pl.DataFrame(rows, infer_schema_length=None) if rows else pl.DataFrame({"view": [], "variant": []})
        )
        with files.whole(folder / f"{name}.parquet") as path:
            frames[name].write_parquet(path)
    if export is None:
        return
    told = {"plans": _plans(body), **{name: _flat(body.get(name) or []) for name in ALSO}, "sources": _sources(body)}
    more = {k: pl.DataFrame(rows, infer_schema_length=None) for k, rows in told.items() if rows}
    whole = {"plans": more.pop("plans"), **frames, **more}
    if export == "csv":
        for name, frame in whole.items():
            with files.whole(folder / f"{name}.csv") as path:
                frame.write_csv(path)
    else:
        _write_book(folder / "plan.xlsx", whole)


def _write_book(target: Path, frames: Mapping[str, Any]) -> None:
    """Write each frame as a sheet with its head frozen and its columns filterable."""
    import polars as pl
    from xlsxwriter import Workbook

    with files.whole(target) as path, Workbook(path) as book:
        for name, frame in frames.items():
            plain = {pl.Float64: "General"}
            frame.write_excel(
                book, worksheet=name[:31], autofit=True, freeze_panes=(1, 0), autofilter=True, dtype_formats=plain
            )


def _plans(body: Mapping[str, Any]) -> list[Row]:
    """Return a row a view and budget: cost, served, odds of each run, shares reached; costs in USD by part."""
    rows = []
    for key, plan in body["plans"].items():
        view, variant = key.split("/")
        row: Row = {"view": view, "variant": variant}
        row |= {f"cost_{k}": v for k, v in plan["cost"].items()} | {f"served_{k}": v for k, v in plan["served"].items()}
        row |= {f"odds of {r['run']}": r["odds"] for r in plan["runs"]}
        row |= {f"share {s['share']} {s['year']}": s["reached"] for s in plan["shares"]}
        row |= {f"USD of {part}": value for part, value in plan["cost_parts"].items()}
        rows.append(row)
    return rows


def _flat(rows: Sequence[Row]) -> list[Row]:
    """Return rows without the cells that hold lists."""
    return [{k: v for k, v in row.items() if not isinstance(v, (list, dict))} for row in rows]


def _sources(body: Mapping[str, Any]) -> list[Row]:
    """Return every sourced value with its range and where it was read."""
    packed = body["provenance"]
    rows = []
    for value in packed["values"].values():
        source = packed["sources"][value["source"]]
        named = {f"source_{k}": source[k] for k in ("kind", "date", "ref", "note")}
        rows.append({k: value[k] for k in ("name", "value", "unit", "low", "high")} | named)
    return rows

"""``suanli explain RESULT [FIGURE]``: which inputs, formula and sources a figure rests on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.tree import Tree

from suanli.cli._why_not import reasons
from suanli.cli.common import JsonPath, console, emit_json, table
from suanli.errors import InputError, nearest
from suanli.files import read_json
from suanli.quantities import show

Packed = Mapping[str, Mapping[str, Any]]


def register(app: typer.Typer) -> None:
    """Add ``explain`` to the application."""
    app.command("explain", help="Say which inputs, formula and sources a figure of a result rests on.")(explain)


def explain(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="plan.json, its folder, or another result file.")],
    figure: Annotated[
        str | None, typer.Argument(metavar="[FIGURE]", help="A figure's name or the start of it; none lists them all.")
    ] = None,
    depth: Annotated[int, typer.Option("--depth", min=1, help="How many levels of inputs to show.")] = 6,
    why_not: Annotated[
        str | None, typer.Option("--why-not", metavar="NAME", help="Say why an offer or chip is not in the plan.")
    ] = None,
    json_path: JsonPath = None,
) -> None:
    """Print a figure as a tree: its formula, its inputs, and at the leaves where each number was read."""
    out = console(json_path)
    if why_not is not None:
        told = reasons(_read(result), why_not)
        emit_json(json_path, told)
        for line, sentences in told.items():
            node = Tree(f"[bold]{escape(line)}[/bold]")
            for sentence in sentences:
                node.add(escape(sentence))
            out.print(node)
        return
    packed = load(result)
    if figure is None:
        rows = [(key, _number(f), f["formula"]) for key, f in packed["figures"].items()]
        out.print(table(f"{len(rows)} figures in {result}", ("figure", "value", "formula"), rows, right=("value",)))
        emit_json(json_path, {"figures": list(packed["figures"])})
        return
    keys = find(packed, figure)
    for key in keys:
        out.print(_tree(packed, key, depth))
    emit_json(json_path, {key: trace(packed, key) for key in keys})


def _read(path: Path) -> Any:
    return read_json(path / "plan.json" if path.is_dir() else path)


def load(path: Path) -> Packed:
    """Return the figures, values and sources of a result file. Raises InputError where it has none."""
    data = _read(path)
    packed = data.get("provenance", data) if isinstance(data, dict) else {}
    if not all(isinstance(packed.get(part), dict) for part in ("figures", "values", "sources")):
        raise InputError(f"{path}: holds no figures with their provenance; 'suanli plan' writes such a file")
    return packed


def find(packed: Packed, name: str) -> list[str]:
    """Return the keys that are ``name``, else those that start with it, end in it or hold it. Raises InputError."""
    keys = list(packed["figures"])
    if name in packed["figures"] or name in packed["values"]:
        return [name]
    low = name.casefold()
    found = (
        [k for k in keys if k.startswith(name)]
        or [k for k in keys if k.casefold().endswith(f".{low}")]
        or [k for k in keys if low in k.casefold()]
    )
    if not found:
        close = nearest(name, keys)
        raise InputError(f"no figure '{name}' in the result" + (f"; did you mean '{close}'?" if close else ""))
    return found


def trace(packed: Packed, key: str) -> dict[str, Any]:
    """Return everything the figure ``key`` rests on, nested."""
    if key in packed["figures"]:
        figure = packed["figures"][key]
        return {**figure, "inputs": {name: trace(packed, ref) for name, ref in figure["inputs"].items()}}
    value = packed["values"][key]
    return {**value, "source": packed["sources"][value["source"]]}


def _number(row: Mapping[str, Any]) -> str:
    text = show(row["value"], row["unit"])
    low, high = row.get("p10", row.get("low")), row.get("p90", row.get("high"))
    if low is not None and high is not None and (low, high) != (row["value"], row["value"]):
        text += f" ({show(low, row['unit'])} to {show(high, row['unit'])})"
    return text


def _tree(packed: Packed, key: str, depth: int, label: str = "") -> Tree:
    if key in packed["figures"]:
        figure = packed["figures"][key]
        node = Tree(f"[bold]{escape(label or key)}[/bold] = {_number(figure)}\n[dim]{escape(figure['formula'])}[/dim]")
        if depth > 0:
            for name, ref in figure["inputs"].items():
                node.add(_tree(packed, ref, depth - 1, name))
        return node
    value = packed["values"][key]
    source = packed["sources"][value["source"]]
    dated = f", {source['date']}" if source["date"] else ""
    note = f"; {source['note']}" if source["note"] else ""
    return Tree(
        f"[bold]{label or key}[/bold] = {_number(value)}\n[dim]{source['kind']}{dated}: {source['ref']}{note}[/dim]"
    )

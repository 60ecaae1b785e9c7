"""Where a number comes from, and how a result names what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal["measured", "datasheet", "reported", "estimated"]
KINDS: tuple[Kind, ...] = ("measured", "datasheet", "reported", "estimated")


@dataclass(frozen=True, slots=True)
class Source:
    """One place where figures were read: title or address, its date (ISO, '' if undated) and kind."""

    ref: str
    date: str = ""
    kind: Kind = "reported"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Sourced:
    """A value in SI units with its range and source; ``low`` and ``high`` are None where no range is known."""

    name: str
    value: float
    unit: str
    source: Source
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """A computed number that can explain itself.

    ``formula`` is one sentence or equation in the names of ``inputs``; each input is a sourced value
    or another figure, so that a figure is the root of a small graph that ends in sources.
    """

    name: str
    value: float
    unit: str
    formula: str
    inputs: Mapping[str, Figure | Sourced] = field(default_factory=dict)
    p10: float | None = None
    p90: float | None = None


def roots(figure: Figure | Sourced) -> tuple[Sourced, ...]:
    """Return every sourced value that ``figure`` rests on, each once, in order of first use."""
    seen: dict[tuple[str, str], Sourced] = {}

    def walk(node: Figure | Sourced) -> None:
        if isinstance(node, Sourced):
            seen.setdefault((node.name, node.source.ref), node)
            return
        for child in node.inputs.values():
            walk(child)

    walk(figure)
    return tuple(seen.values())


def pack(figures: Mapping[str, Figure]) -> dict[str, dict[str, Any]]:
    """Return ``figures`` as plain tables that refer to each other by key, for a result file.

    ``figures``: key -> value, unit, formula, interval and ``inputs`` (name -> key); ``values``: key -> sourced value
    with the key of its source; ``sources``: key -> reference, date, kind. Shared nodes appear once.
    """
    out: dict[str, dict[str, Any]] = {"figures": {}, "values": {}, "sources": {}}
    keys: dict[int, str] = {id(figure): key for key, figure in figures.items()}
    taken = set(figures)
    source_keys: dict[Source, str] = {}

    def source_key(source: Source) -> str:
        if source not in source_keys:
            source_keys[source] = f"s{len(source_keys) + 1}"
            out["sources"][source_keys[source]] = asdict(source)
        return source_keys[source]

    def value_key(value: Sourced) -> str:
        fields = {"value": value.value, "unit": value.unit, "low": value.low, "high": value.high}
        row = {"name": value.name, **fields, "source": source_key(value.source)}
        key = value.name
        while key in out["values"] and out["values"][key] != row:
            key += "'"
        out["values"][key] = row
        return key

    def figure_key(figure: Figure) -> str:
        key = keys.get(id(figure))
        if key is None:
            key = figure.name
            while key in taken:
                key += "'"
            keys[id(figure)] = key
            taken.add(key)
        if key not in out["figures"]:
            out["figures"][key] = {}
            inputs = {
                name: value_key(node) if isinstance(node, Sourced) else figure_key(node)
                for name, node in figure.inputs.items()
            }
            fields = {"value": figure.value, "unit": figure.unit, "p10": figure.p10, "p90": figure.p90}
            out["figures"][key] = {"name": figure.name, **fields, "formula": figure.formula, "inputs": inputs}
        return key

    for figure in figures.values():
        figure_key(figure)
    return out

"""Where a number comes from, and how a result names what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

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

"""Events: dated facts of the founding case, with certainty, denials and contradictions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from suanli.catalog._folder import DATA
from suanli.errors import unknown_name
from suanli.sources import Source


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Other events (``ids``) or facts that an event disagrees with, and how."""

    ids: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A dated fact as its source states it.

    ``certainty`` is confirmed, reported, planned, denied (the report stands, the party denies it) or speculated.
    ``quantity`` holds value or low/high, unit, bound (exact, approx, min, max) and further figures, as in the source.
    ``date`` is as precise as ``date_precision`` says; ``kind`` tells the five founding articles from further ones.
    """

    id: str
    kind: str
    date: str
    date_precision: str
    actors: tuple[str, ...]
    product: str
    statement: str
    certainty: str
    source: Source
    cites: str = ""
    date_basis: str = "stated"
    quantity: Mapping[str, Any] = field(default_factory=dict)
    contradicts: tuple[Contradiction, ...] = ()
    node_nm: float | None = None
    foundry: str = ""
    planner_use: str = ""
    note: str = ""
    verified: str = ""


def events() -> tuple[Event, ...]:
    """Return all events by date."""
    return tuple(sorted(_by_id().values(), key=lambda e: (e.date, e.id)))


def event(name: str) -> Event:
    """Return the event with the id ``name``. Raises UnknownNameError."""
    known = _by_id()
    if name not in known:
        raise unknown_name("event", name, known)
    return known[name]


@cache
def _by_id() -> Mapping[str, Event]:
    text = (DATA / "events" / "events.json").read_text(encoding="utf-8")
    return {entry["id"]: _event(entry) for entry in json.loads(text)["events"]}


def _event(entry: dict[str, Any]) -> Event:
    told = entry.pop("source")
    ref = told.get("ref") or f"{told['outlet']}: {told['title']}"
    basis = told.get("date_basis", "")
    source = Source(ref, told.get("date", ""), "reported", f"date {basis}" if basis == "inferred" else "")
    entry["actors"] = tuple(entry["actors"])
    entry["contradicts"] = tuple(Contradiction(tuple(c["ids"]), c["note"]) for c in entry.pop("contradicts", ()))
    return Event(**entry, source=source, cites=told.get("cites") or "")

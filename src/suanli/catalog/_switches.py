"""Switches and optical modules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from suanli.catalog._folder import DATA
from suanli.catalog._tables import field_sources, rows, schema, source_of, unique
from suanli.errors import unknown_name
from suanli.kinds import Switch


def switch(name: str) -> Switch:
    """Return the switch or optical module ``name`` (id or name, in any case and punctuation).

    Raises UnknownNameError.
    """
    known = _catalogue()
    if name in known:
        return known[name]
    wanted = _compact(name)
    for item in known.values():
        if wanted in (_compact(item.id), _compact(item.name)):
            return item
    starting = [item for item in known.values() if wanted and _compact(item.id).startswith(wanted)]
    if len(starting) == 1:
        return starting[0]
    raise unknown_name("switch", name, known)


def switches() -> tuple[Switch, ...]:
    """Return all switches and optical modules in the order of their file."""
    return tuple(_catalogue().values())


@cache
def _catalogue() -> Mapping[str, Switch]:
    path = DATA / "switches" / "switches.csv"
    by_column = {c.column: c.field for c in schema("switches")}
    single = field_sources(DATA / "switches" / "switch_sources.csv", "switch", by_column)
    found = []
    for row in rows(path, "switches"):
        source = source_of(row, str(path))
        found.append(Switch(**row, source=source, field_sources=single.get(row["id"], {})))
    unique((s.id for s in found), path)
    return {s.id: s for s in found}


def _compact(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.casefold())

"""Switches and optical modules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from suanli.catalog._folder import DATA
from suanli.catalog._tables import field_sources, rows, schema, source_of, unique
from suanli.errors import unknown_name
from suanli.kinds import Switch

SHORTEST = 4  # letters of a part of a name that may stand for it


def switch(name: str) -> Switch:
    """Return the switch or optical module ``name``: an id, a name, a part number, or text that holds an id.

    Case and punctuation do not matter. Raises UnknownNameError.
    """
    known = _catalogue()
    if name in known:
        return known[name]
    wanted = _compact(name)
    spelled = {item.id: (_compact(item.id), _compact(item.name)) for item in known.values()}
    same = [i for i, texts in spelled.items() if wanted in texts]
    starting = [i for i, texts in spelled.items() if wanted and texts[0].startswith(wanted)]
    inside = [i for i, texts in spelled.items() if len(wanted) >= SHORTEST and wanted in texts[1]]
    # "tomahawk 55" is no Tomahawk 5: an id inside longer text does not end amid a number
    named = (i for i, texts in spelled.items() if re.search(rf"{texts[0]}(?![0-9])", wanted))
    holding = sorted(named, key=lambda i: -len(i))[:1]
    for found in (same, starting, inside, holding):
        if len(found) == 1:
            return known[found[0]]
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

"""Chips: the catalogue's table and the user's files, found by id, name or any usual spelling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from suanli.catalog._folder import DATA, user_folder
from suanli.catalog._names import Name, Resolution, compact, resolve
from suanli.catalog._tables import field_sources, rows, schema, source_of, unique
from suanli.errors import UnknownNameError
from suanli.files import write_text
from suanli.kinds import Chip

SUFFIXES = (".yaml", ".yml")


def chip(name: str) -> Chip:
    """Return the chip that ``name`` means: a path of a chip file (.yaml), an id, a name or another spelling.

    A variant that the catalogue has no row for (another memory size or power limit) is returned as its nearest row
    with those figures replaced. Raises UnknownNameError, or InputError for a bad file.
    """
    if name.endswith(SUFFIXES):
        from suanli.catalog._chip_files import read_chip

        return read_chip(Path(name))
    found = resolve_chip(name)
    base = _by_id(user_folder())[found.base]
    return _variant(base, found) if found.changes else base


def chips() -> tuple[Chip, ...]:
    """Return all chips: the user's first, then the catalogue's in the order of its file."""
    return tuple(_by_id(user_folder()).values())


def resolve_chip(text: str) -> Resolution:
    """Return the id of the chip that ``text`` names, and in words what was taken.

    Raises UnknownNameError with the nearest name where it is none.
    """
    return _resolved(text, user_folder())


def core_names(text: str) -> tuple[str, ...]:
    """Return the ids of all chips that share the core name ``text`` ("A100": every board and memory size), or none."""
    known = _by_id(user_folder())
    wanted = compact(text)
    same = tuple(n.chip for n in rows_of_names() if n.core == wanted and n.chip in known)
    if same:
        return same
    try:
        return (resolve_chip(text).base,)
    except UnknownNameError:
        return ()


def write_chip(path: Path, chip: Chip) -> None:
    """Write ``chip`` to the YAML file ``path``, whole or not at all, so that ``chip(path)`` returns it unchanged."""
    from suanli.catalog._chip_files import to_yaml

    write_text(path, to_yaml(chip))


@cache
def _resolved(text: str, folder: Path | None) -> Resolution:
    return resolve(text, _by_id(folder), rows_of_names())


@cache
def rows_of_names() -> tuple[Name, ...]:
    """Return the table of core names."""
    return tuple(Name(row["core"], row["chip"], row["form"]) for row in rows(DATA / "chips" / "names.csv", "names"))


@cache
def _by_id(folder: Path | None) -> Mapping[str, Chip]:
    """Return every chip by id, the user's before ours."""
    own: dict[str, Chip] = {}
    if folder is not None:
        files = sorted(p for p in (folder / "chips").glob("*") if p.suffix in SUFFIXES)
        if files:
            from suanli.catalog._chip_files import read_chip

            own = {c.id: c for c in map(read_chip, files)}
    return own | {name: c for name, c in _catalogue().items() if name not in own}


@cache
def _catalogue() -> Mapping[str, Chip]:
    path = DATA / "chips" / "chips.csv"
    by_column = {c.column: c.field.partition(".")[0] for c in schema("chips")}
    by_column |= {c.column: c.field for c in schema("chips") if c.field.startswith("peak.")}
    single = field_sources(DATA / "chips" / "chip_sources.csv", "chip", by_column)
    found = [_chip(row, single.get(row["id"], {}), str(path)) for row in rows(path, "chips")]
    unique((c.id for c in found), path)
    return {c.id: c for c in found}


def _chip(row: dict[str, Any], single: Mapping[str, Any], where: str) -> Chip:
    source = source_of(row, where)
    peak = {key[5:]: row.pop(key) for key in [k for k in row if k.startswith("peak.")]}
    stated = {fmt: rate for fmt, rate in peak.items() if rate is not None}
    return Chip(**row, peak=stated, source=source, field_sources=single)


def _variant(base: Chip, found: Resolution) -> Chip:
    changes: dict[str, Any] = dict(found.changes)
    note = "; ".join(filter(None, (base.notes, found.taken)))
    return replace(base, id=found.id, name=f"{base.name} ({found.variant})", notes=note, price_usd=None, **changes)

"""Rows in words: the sentence, the unit and the price of one more unit of every limit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.fleet._program import Program
from suanli.fleet.mathematics import FAMILIES, Family

Array = NDArray[np.float64]
BY_NAME = {f.name: f for f in FAMILIES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A limit that binds: its sentence and what one more unit would save in USD, summed over its scenarios."""

    family: str
    sentence: str
    worth: float
    per: str
    month: str
    subject: str


def place_of(p: Program, row: int) -> tuple[Family, dict[str, str]]:
    """Return the family of a row and the words that fill its sentence."""
    for name, first, block in p.blocks:
        if first <= row < first + len(block.low):
            i = row - first
            return BY_NAME[name], {key: _word(p, key, int(values[i])) for key, values in block.index.items()}
    raise IndexError(row)


def row_sentence(p: Program, row: int) -> str:
    """Return the sentence of a row with its names filled in."""
    family, words = place_of(p, row)
    return family.sentence.format_map({**words, "month": words.get("month", "any month")}).rstrip(".")


def row_unit(p: Program, row: int) -> str:
    """Return the unit of a row."""
    return place_of(p, row)[0].unit


def _word(p: Program, key: str, i: int) -> str:
    g = p.setting.grid
    words = {
        "month": lambda: g.months[i],
        "line": lambda: g.lines[i].id,
        "site": lambda: g.sites[i],
        "pot": lambda: f"pot '{g.pots[i]}'",
        "year": lambda: str(g.years[i]),
        "option": lambda: g.options[i].name,
        "supplier": lambda: list(g.supplier_cap)[i],
        "foundry": lambda: list(g.foundry_cap)[i],
        "allocation": lambda: g.allocations[i],
        "service": lambda: g.services[i].name,
        "run": lambda: g.runs[i].name,
        "share": lambda: p.setting.shares[i].name,
        "project": lambda: g.projects[i].name,
        "pool": lambda: g.pools[i].name,
        "scenario": lambda: p.setting.futures.names[i],
    }
    return words[key]()


def bindings(p: Program, dual: Array, *, least: float = 1e-9) -> tuple[Binding, ...]:
    """Return the limits that bind with the worth of one more unit, the dearest first.

    A row's dual is MUSD per row unit; scenario rows are already weighted by their probability, so those of one month
    add up to the expected worth. Masked variables have no rows and so no price.
    """
    found: dict[tuple[str, tuple[tuple[str, int], ...]], float] = {}
    first_row: dict[tuple[str, tuple[tuple[str, int], ...]], int] = {}
    for name, first, block in p.blocks:
        family = BY_NAME.get(name)
        if family is None or not family.per:
            continue
        keys = [k for k in block.index if k != "scenario"]
        values = np.stack([block.index[k] for k in keys], axis=1) if keys else np.zeros((len(block.low), 0))
        for i in np.flatnonzero(np.abs(dual[first : first + len(block.low)]) > least):
            key = (name, tuple((k, int(v)) for k, v in zip(keys, values[i], strict=True)))
            found[key] = found.get(key, 0.0) + abs(float(dual[first + i]))
            first_row.setdefault(key, first + int(i))
    out = []
    for key, total in sorted(found.items(), key=lambda item: -item[1]):
        family, words = place_of(p, first_row[key])
        out.append(
            Binding(
                family=family.name,
                sentence=row_sentence(p, first_row[key]),
                worth=total * 1e6 / family.scale,
                per=family.per,
                month=words.get("month", words.get("year", "")),
                subject=next((v for k, v in words.items() if k not in {"month", "year", "scenario"}), ""),
            )
        )
    return tuple(out)

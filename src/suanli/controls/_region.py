"""For designers: the published limits as arrays, and what the rules say over the plane of TPP and density.

A ruling can change only at a published limit, so it is asked once for each cell between limits and once on each limit.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from suanli.controls import _domains as dom
from suanli.controls._book import Rulebook, epoch_of, live
from suanli.controls._chips import query_of_chip
from suanli.controls._query import Query, density, ready
from suanli.controls._screen import CLOSE, answer, as_rulebook, check_ruleset, screen
from suanli.controls._vocabulary import packaged_rules
from suanli.kinds import GROUPS, Chip
from suanli.sources import Source

Array = npt.NDArray[np.float64]
DESIGN_FACTS = (
    "tpp",
    "pd",
    "transfer_rate_gbs",
    "mem_bw_gbs",
    "mem_bw_gbs + transfer_rate_gbs",
    "hbm_density_gbs_mm2",
    "transistors_bn",
    "logic_node_nm",
)
"""Figures of a design that published limits speak of."""


@dataclass(frozen=True, slots=True)
class Region:
    """The published limits in force on a date, one an entry: ``fact op limit`` in ``unit``, from ``rule``."""

    date: str
    rule: tuple[str, ...]
    name: tuple[str, ...]
    fact: tuple[str, ...]
    op: tuple[str, ...]
    limit: Array
    unit: tuple[str, ...]
    citation: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plane:
    """Outcomes over TPP and density: ``code[i]`` indexes ``outcome`` and ``eccn`` for the i-th pair asked."""

    code: npt.NDArray[np.int16]
    outcome: tuple[str, ...]
    eccn: tuple[str, ...]
    presumption: tuple[str, ...]
    tpp_limits: Array
    pd_limits: Array


@dataclass(frozen=True, slots=True)
class Span:
    """Days, the last included, over which the ruling on a chip stays the same."""

    first: str
    last: str
    outcome: str
    group: str
    eccn: str
    rules: tuple[str, ...]


def feasible_region(
    date: str, *, ruleset: str = "as_enforced", rulebook: Rulebook | Path | str | None = None
) -> Region:
    """Return every published limit on a design's figures in force on ``date``. Raises InputError for a bad date."""
    book = as_rulebook(rulebook)
    ready(Query(date=date), book.first_day)
    rows = [
        (rule.id, p.name, p.fact, p.op, float(p.value), p.unit, rule.citation)
        for rule in live(book, epoch_of(book, date), check_ruleset(ruleset)).rules
        for p in rule.parameters
        if p.fact in DESIGN_FACTS and not isinstance(p.value, str)
    ]
    ids, names, facts, ops, limits, units, citations = (tuple(c) for c in zip(*rows, strict=True)) if rows else [()] * 7
    return Region(date, ids, names, facts, ops, np.array(limits, dtype=float), units, citations)


def distances(region: Region, figures: Mapping[str, npt.ArrayLike]) -> Array:
    """Return ``figure / limit - 1`` of shape (candidate, limit); NaN where a figure is not given.

    ``figures`` maps names of ``DESIGN_FACTS`` to a value a candidate. ``abs(distance) < CLOSE`` calls for counsel.
    """
    given = {name: np.atleast_1d(np.asarray(value, dtype=float)) for name, value in figures.items()}
    if {"mem_bw_gbs", "transfer_rate_gbs"} <= given.keys():
        given["mem_bw_gbs + transfer_rate_gbs"] = given["mem_bw_gbs"] + given["transfer_rate_gbs"]
    n = max((v.size for v in given.values()), default=0)
    out = np.full((n, len(region.rule)), np.nan)
    for j, fact in enumerate(region.fact):
        if fact in given:
            out[:, j] = given[fact] / region.limit[j] - 1.0
    return out


def near_border(region: Region, figures: Mapping[str, npt.ArrayLike]) -> npt.NDArray[np.bool_]:
    """Return for each candidate whether a figure lies within 5 % of a limit, so that counsel should look at it."""
    return np.asarray((np.abs(distances(region, figures)) < CLOSE).any(axis=1), dtype=bool)


def plane(
    date: str,
    tpp: npt.ArrayLike,
    pd: npt.ArrayLike,
    *,
    query: Query | None = None,
    ruleset: str = "as_enforced",
    rulebook: Rulebook | Path | str | None = None,
) -> Plane:
    """Return the ruling at each pair of ``tpp`` and ``pd`` (broadcast together) on ``date``.

    ``query`` gives all else; by default a datacenter IC on a non-planar node, exported to a buyer of China, whose
    I/O reaches the line of 2022. Raises InputError.
    """
    book = as_rulebook(rulebook)
    base = replace(query or _CHINA, date=date)
    region = feasible_region(date, ruleset=ruleset, rulebook=book)
    x, y = np.broadcast_arrays(np.asarray(tpp, dtype=float), np.asarray(pd, dtype=float))
    limits = [np.unique(region.limit[[f == name for f in region.fact]]) for name in ("tpp", "pd")]
    cells = [_cell(limits[0], x), _cell(limits[1], y)]
    flat = cells[0] * (2 * limits[1].size + 1) + cells[1]
    asked, where = np.unique(flat, return_inverse=True)
    answers: dict[tuple[str, str, str], int] = {}
    codes = np.empty(asked.size, dtype=np.int16)
    for n, cell in enumerate(asked.tolist()):
        i, j = divmod(cell, 2 * limits[1].size + 1)
        at = replace(base, tpp=_inside(limits[0], i), die_area_mm2=None, pd=_inside(limits[1], j))
        codes[n] = answers.setdefault(answer(at, ruleset=ruleset, rulebook=book), len(answers))
    outcome, eccn, presumption = (tuple(c) for c in zip(*answers, strict=True))
    return Plane(codes[where].reshape(x.shape), outcome, eccn, presumption, limits[0], limits[1])


_CHINA = Query(
    date="2025-01-01",
    destination="CN",
    end_user_hq="CN",
    ultimate_parent_hq="CN",
    nonplanar=1,
    designed_for_datacenter=1,
    transfer_rate_gbs=600.0,
    mem_bw_gbs=0.0,
    has_hbm=1,
)


def _cell(limits: Array, values: Array) -> npt.NDArray[np.intp]:
    """Return 2k for a value between limit k - 1 and limit k, 2k + 1 for one on limit k."""
    return np.searchsorted(limits, values, "left") + np.searchsorted(limits, values, "right")


def _inside(limits: Array, cell: int) -> float:
    """Return a value in a cell: the limit itself, or one between two limits."""
    k, on = divmod(cell, 2)
    if on:
        return float(limits[k])
    if not limits.size:
        return 1.0
    if k == 0:
        return float(limits[0]) / 2.0
    return float(limits[-1]) * 2.0 if k == limits.size else float(limits[k - 1] + limits[k]) / 2.0


def chips_on_plane(chips: tuple[Chip, ...] | list[Chip]) -> list[tuple[str, float, float]]:
    """Return (id, TPP, density) of the chips whose figures are known as single values."""
    out = []
    for chip in chips:
        known = ready(query_of_chip(chip, to="CN", date="2025-01-01"), "2022-08-26")
        tpp, pd = known.numbers["tpp"], density(known)
        if not isinstance(tpp, dom.Range) and pd is not None and not isinstance(pd, dom.Range):
            out.append((chip.id, float(tpp), float(pd)))
    return out


def legal_life(
    chip: Chip,
    *,
    to: str = "CN",
    owner: str = "CN",
    parent: str = "CN",
    activity: str = "export",
    first: str | None = None,
    last: str = "2027-12-31",
    ruleset: str = "as_enforced",
    rulebook: Rulebook | Path | str | None = None,
) -> tuple[Span, ...]:
    """Return the spans of days over which the ruling on ``chip`` stays the same, from ``first`` to ``last``.

    ``first`` is the first day of the rule book where it is not given. Raises InputError.
    """
    book = as_rulebook(rulebook)
    start = first or book.first_day
    days = [start, *(d for d in book.changes if start < d <= last)]
    spans: list[Span] = []
    for day, following in zip(days, [*days[1:], ""], strict=True):
        query = query_of_chip(chip, to=to, owner=owner, parent=parent, date=day, activity=activity)
        ruling = screen(query, ruleset=ruleset, rulebook=book)
        until = _day_before(following) if following else last
        spoke = tuple(dict.fromkeys(r.rule for r in ruling.remarks if r.rule != "-"))
        here = Span(day, until, ruling.outcome, ruling.group, ruling.eccn, spoke)
        same = spans and (spans[-1].outcome, spans[-1].eccn) == (here.outcome, here.eccn)
        if same:
            spans[-1] = replace(spans[-1], last=until)
        else:
            spans.append(here)
    return tuple(spans)


def _day_before(day: str) -> str:
    return (dt.date.fromisoformat(day) - dt.timedelta(days=1)).isoformat()


@cache
def first_sales() -> Mapping[str, tuple[str, Source]]:
    """Return the day from which a chip made for China was sold, by chip id, with its source."""
    rows = json.loads((packaged_rules().parent / "sales.json").read_text(encoding="utf-8"))["chips"]
    return {r["chip"]: (r["from"], Source(r["ref"], r["date"], r["kind"], r["note"])) for r in rows}


def months_on_sale(chip: Chip, *, rulebook: Rulebook | Path | str | None = None) -> float:
    """Return for how many months ``chip`` could be sold to China, from its first sale to the first bar.

    A chip that no rule bars counts to the end of 2027. Raises KeyError for a chip without a known first sale.
    """
    start = first_sales()[chip.id][0]
    spans = legal_life(chip, first=start, rulebook=rulebook)
    end = next((s.first for s in spans if GROUPS[s.outcome] in {"restricted", "open"}), spans[-1].last)
    days = (dt.date.fromisoformat(end) - dt.date.fromisoformat(start)).days
    return days / 30.4375

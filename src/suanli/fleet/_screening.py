"""Rulings for every line and month: what may be delivered and run, and what was screened out by which rule."""

from __future__ import annotations

import calendar
import datetime as dt
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from suanli.fleet._lines import Line
from suanli.fleet._schema import CaseSpec, Party, View
from suanli.kinds import Chip, Remark, Ruling

if TYPE_CHECKING:
    from suanli.controls import Query, Rulebook

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """What a line may not do, from when to when ("" is the end of the horizon), by which ruling."""

    line: str
    offer: str
    chip: str
    site: str
    act: str
    since: str
    until: str
    outcome: str
    group: str
    rule: str
    citation: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """Rulings as arrays [J, T]: ``arrive`` orders and deliveries, ``run`` use; ``out`` tells what is shut."""

    arrive: Bools
    run: Bools
    out: tuple[Screened, ...]


FORESEEN = dt.timedelta(days=120)
"""A rule that starts later than this after its first publication was made by a later act: known from its start."""


def is_known(entry: Mapping[str, Any], day: str) -> bool:
    """Return whether a rule, as its entry in the book dates it, was known on ``day``."""
    published, effective = _full(str(entry.get("published") or "")), _full(str(entry.get("effective") or ""))
    if published > day:
        return False
    late = bool(published) and bool(effective) and _gap(published, effective) > FORESEEN
    return not late or effective <= day


def _full(text: str) -> str:
    return text if len(text) != 7 else f"{text}-01"


def _gap(published: str, effective: str) -> dt.timedelta:
    try:
        return dt.date.fromisoformat(effective) - dt.date.fromisoformat(published)
    except ValueError:
        return dt.timedelta(0)


@cache
def known_rules(known_to: str, without: str = "") -> Rulebook:
    """Return the rule book without the rules that were not known on a day; what only they ended goes on.

    ``without`` leaves one more rule out, for the question what that rule does.
    """
    from suanli.controls import load_rulebook

    book = load_rulebook()
    rules = {}
    for name, rule in book.rules.items():
        data = dict(rule.data)
        if not is_known(data, known_to) or name == without:
            continue
        over = data.get("superseded")
        if over and (over["by"] == without or not is_known(book.rules[over["by"]].data, known_to)):
            data["superseded"] = None
        data["stays"] = [s for s in data.get("stays", ()) if s["from"] <= known_to]
        rules[name] = replace(rule, data=data)
    return replace(book, rules=rules)


def acts_of(line: Line, chip: Chip) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (acts screened at delivery, acts screened in every month of use) of a line.

    A purchase abroad is an export; where the chip is already in the country it is used in place. Chips that come to
    China are asked about on the Chinese side too. A lease is asked about as remote access, month by month.
    """
    if line.stock is not None:
        return (), tuple(line.stock.use) or ("use_in_place",)
    offer = line.offer
    assert offer is not None
    if line.leased:
        return tuple(offer.acquire) or ("iaas_lease",), tuple(offer.use) or ("iaas_lease",)
    moved = offer.ship_from != line.country
    foreign = moved and line.country == "CN" and chip.designer_country != "CN"
    usual = ("export", "cn_side_check") if foreign else ("export",) if moved else ("use_in_place",)
    return tuple(offer.acquire) or usual, tuple(offer.use) or ("use_in_place",)


def query(spec: CaseSpec, line: Line, chip: Chip, act: str, date: str) -> Query:
    """Return the question to the rules for one line, act and day."""
    from suanli.controls import query_of_chip

    owner = _user(spec, line)
    item = line.offer if line.offer is not None else line.stock
    assert item is not None
    facts: dict[str, str] = {**owner.facts, **item.facts}
    if line.leased:
        operator = {p.id: p for p in spec.parties}[line.owner]
        from_d5 = {operator.hq, operator.parent_hq} & {"CN", "MO", "HK"}
        facts |= {"hardware_custody": "operator", "operator_in_macau_or_d5": "1" if from_d5 else "0"}
    here = act in {"use_in_place", "iaas_lease"} or line.offer is None
    return query_of_chip(
        chip,
        to=line.country,
        owner=owner.hq,
        parent=owner.parent_hq,
        date=date,
        activity=act,
        ship_from=line.country if here or line.offer is None else line.offer.ship_from,
        facts=facts,
    )


def _user(spec: CaseSpec, line: Line) -> Party:
    """Return the party whose headquarters count: who runs owned machines, who rents leased ones."""
    parties = {p.id: p for p in spec.parties}
    if not line.leased:
        return parties[line.owner]
    if line.offer is not None and line.offer.lease is not None and line.offer.lease.tenant is not None:
        return parties[line.offer.lease.tenant]
    tenants = [p for p in spec.parties if p.hq == line.country and p.id != line.owner]
    return tenants[0] if tenants else spec.parties[0]


def screening(
    spec: CaseSpec,
    view: View,
    lines: Sequence[Line],
    chips: Mapping[str, Chip],
    months: Sequence[str],
    *,
    without: str = "",
) -> Screening:
    """Return the rulings of a view: a month counts where its first and last day do; conditions as the case states.

    ``without`` names a rule to leave out, for the question what that rule does.
    """
    book = known_rules(view.known_to.isoformat(), without)
    shape = (len(lines), len(months))
    arrive, run = np.ones(shape, dtype=bool), np.ones(shape, dtype=bool)
    out: list[Screened] = []
    told: dict[tuple[str, int], Ruling] = {}
    for j, line in enumerate(lines):
        chip = chips[line.chip]
        for kind, acts in zip(("delivery", "use"), acts_of(line, chip), strict=True):
            for act in acts:
                first = query(spec, line, chip, act, f"{months[0]}-01")
                ruled = _by_month(first, view.ruleset, months, book, told)
                may = np.array([all(_enters(spec, line, r, book) for r in pair) for pair in ruled])
                (arrive if kind == "delivery" else run)[j] &= may
                out += _told(spec, line, f"{kind}: {act}", months, ruled, may, book)
    arrive &= run
    return Screening(arrive=arrive, run=run, out=tuple(out))


def _by_month(
    asked: Query, ruleset: str, months: Sequence[str], book: Rulebook, told: dict[tuple[str, int], Ruling]
) -> list[tuple[Ruling, Ruling]]:
    """Return the rulings on the first and the last day of each month; asked once between two changes of the rules.

    ``told`` holds what was ruled before by question and stretch: lines that differ by name alone ask the same.
    """
    changes = sorted(book.changes)
    same = repr(replace(asked, date=""))

    def ruling(day: str) -> Ruling:
        key = (same, bisect_right(changes, day))
        if key not in told:
            told[key] = _ruling(replace(asked, date=day), ruleset, book)
        return told[key]

    return [(ruling(f"{m}-01"), ruling(f"{m}-{_last(m):02d}")) for m in months]


def _ruling(asked: Query, ruleset: str, book: Rulebook) -> Ruling:
    """Return the ruling on a question; one that lets the line in freely is not explained, for nobody reads why."""
    from suanli.controls import answer, screen

    outcome, eccn, presumption = answer(asked, ruleset=ruleset, rulebook=book)
    found = Ruling(outcome=outcome, eccn=eccn, presumption=presumption)
    return found if found.group == "free" else screen(asked, ruleset=ruleset, rulebook=book)


def _last(month: str) -> int:
    return calendar.monthrange(int(month[:4]), int(month[5:7]))[1]


def _enters(spec: CaseSpec, line: Line, ruling: Ruling, book: Rulebook) -> bool:
    """Return whether a ruling lets the line in: free; conditional with its condition stated as met; mere guidance.

    Guidance is a Chinese answer that rests on nothing but advice which the rule book says is no ban, where the case
    states with a source that it is tolerated. No other restricted or open ruling ever enters.
    """
    if ruling.group == "free":
        return True
    if ruling.outcome == "CN_RESTRICTED":
        stated = {g.rule for g in spec.guidance}
        spoke = {r.rule for r in ruling.remarks if is_chinese(book, r.rule)}
        return bool(spoke) and spoke <= stated and all(is_advice(book, rule) for rule in spoke)
    if ruling.group != "conditional" or line.offer is None:
        return False
    return any(c.offer == line.offer.id and c.outcome == ruling.outcome for c in spec.conditions)


def is_chinese(book: Rulebook, rule: str) -> bool:
    """Return whether a rule of the book is of the Chinese side."""
    entry = book.rules.get(rule)
    return entry is not None and entry.data.get("jurisdiction") == "CN"


def is_advice(book: Rulebook, rule: str) -> bool:
    """Return whether a rule of the book only urges and forbids nothing."""
    entry = book.rules.get(rule)
    return entry is not None and bool(entry.clauses) and all(c.phase == "cn_soft" for c in entry.clauses)


def _told(
    spec: CaseSpec,
    line: Line,
    act: str,
    months: Sequence[str],
    ruled: Sequence[tuple[Ruling, Ruling]],
    may: Bools,
    book: Rulebook,
) -> list[Screened]:
    """Return one entry for each stretch of months in which the same rule shuts the line."""
    out: list[Screened] = []
    item = line.offer if line.offer is not None else line.stock
    assert item is not None
    for t, month in enumerate(months):
        if may[t]:
            continue
        ruling = next(r for r in ruled[t] if not _enters(spec, line, r, book))
        decisive = _decisive(spec, ruling, book)
        entry = Screened(
            line=line.id,
            offer=item.id,
            chip=line.chip,
            site=line.site,
            act=act,
            since=month,
            until="",
            outcome=ruling.outcome,
            group=ruling.group,
            rule=decisive.rule if decisive else "",
            citation=decisive.citation if decisive else "",
            text=decisive.text if decisive else "",
        )
        last = out[-1] if out else None
        goes_on = last is not None and t > 0 and not may[t - 1]
        if last is not None and goes_on and (last.outcome, last.rule) == (entry.outcome, entry.rule):
            continue
        if last is not None and goes_on:
            out[-1] = replace(last, until=months[t - 1])
        out.append(entry)
    return [e if e.until else replace(e, until=_end(months, may, e.since)) for e in out]


def _decisive(spec: CaseSpec, ruling: Ruling, book: Rulebook) -> Remark | None:
    """Return the remark that tells best why: the last that speaks, mere guidance set aside where others speak."""
    stated = {g.rule for g in spec.guidance}
    chinese = ruling.outcome == "CN_RESTRICTED"
    side = [r for r in ruling.remarks if is_chinese(book, r.rule) == chinese] or list(ruling.remarks)
    speaking = [r for r in side if r.rule not in stated] or side
    return speaking[-1] if speaking else None


def _end(months: Sequence[str], may: Bools, since: str) -> str:
    for t in range(list(months).index(since), len(months)):
        if may[t]:
            return months[t - 1]
    return ""

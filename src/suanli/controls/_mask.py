"""Rulings for a planner: chip x site x owner x act x month as one array of groups."""

from __future__ import annotations

import calendar
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from suanli.controls import _expr as expr
from suanli.controls._book import Rulebook, epoch_of
from suanli.controls._chips import query_of_chip
from suanli.controls._grid import OUTCOMES, Axes, Bits, outcomes
from suanli.controls._query import Known, ready
from suanli.controls._screen import as_rulebook, check_ruleset
from suanli.controls._vocabulary import activities as known_activities
from suanli.controls._vocabulary import all_places, country
from suanli.errors import InputError, unknown_name
from suanli.kinds import GROUPS, Chip, Group

GROUP_CODES: tuple[Group, ...] = ("free", "conditional", "open", "restricted")
"""Group of each code in a mask, from mild to severe; a plan takes 0, and 1 where its condition is stated as met."""

Owner = str | tuple[str, str]
_NOTHING_MOVES = {
    "use_in_place",
    "continue_use",
    "iaas_lease",
    "exclusive_lease",
    "destructive_test",
    "in_country_transfer",
    "domestic_sale",
    "veu_share_test",
    "cn_side_check",
}


def mask(
    chips: Sequence[Chip],
    sites: Sequence[str],
    owners: Sequence[Owner],
    activities: Sequence[str],
    months: Sequence[str],
    *,
    ship_from: str = "US",
    facts: Mapping[str, Any] | None = None,
    ruleset: str = "as_enforced",
    rulebook: Rulebook | Path | str | None = None,
) -> npt.NDArray[np.int8]:
    """Return codes (see ``GROUP_CODES``) of shape (chip, site, owner, activity, month).

    ``sites`` are country codes; an owner is (headquarters, ultimate parent) or one code for both; a month "2025-04"
    takes the severest ruling of its days, a date that of the day. Each distinct question is asked once for each span
    of days in which nothing changes. Raises InputError for an unknown code, act, fact or month.
    """
    book, rules = as_rulebook(rulebook), check_ruleset(ruleset)
    spans = [_epochs(book, month) for month in months]
    epochs = sorted({e for span in spans for e in span})
    items = [_item(book, chip, epochs[0], facts) for chip in chips]
    out = np.empty((len(chips), len(sites), len(owners), len(activities), len(months)), dtype=np.int8)
    whose = [_parties(book, owner) for owner in owners]
    all_owners = list(dict.fromkeys(pair for pairs in whose for pair in pairs))
    index = {pair: i for i, pair in enumerate(all_owners)}
    for start, acts in _by_start(activities, ship_from):
        kinds, place_of = _distinct(book, sites)
        pairs = [(country(start) if start else code, code) for code in kinds]
        axes = Axes(pairs, all_owners, [activities[a] for a in acts], epochs)
        bits = outcomes(book, items, axes, rules)
        of_owner = np.stack([np.bitwise_or.reduce(bits[:, :, [index[p] for p in ps]], axis=2) for ps in whose], axis=2)
        codes = _severity_of_bits(of_owner)[:, place_of]
        for m, span in enumerate(spans):
            columns = [epochs.index(e) for e in span]
            out[:, :, :, acts, m] = codes[..., columns].max(axis=-1)
    return out


def _item(book: Rulebook, chip: Chip, date: str, facts: Mapping[str, Any] | None) -> Known:
    return ready(query_of_chip(chip, to="US", owner="US", date=date, facts=facts), book.first_day)


def _by_start(activities: Sequence[str], ship_from: str) -> list[tuple[str, list[int]]]:
    """Return the acts by where the item leaves: ``ship_from``, or "" for those in which nothing moves."""
    for activity in activities:
        if activity not in known_activities():
            raise unknown_name("activity", activity, known_activities())
    moving = [i for i, a in enumerate(activities) if a not in _NOTHING_MOVES]
    still = [i for i, a in enumerate(activities) if a in _NOTHING_MOVES]
    return [(start, acts) for start, acts in ((ship_from, moving), ("", still)) if acts]


def _distinct(book: Rulebook, sites: Sequence[str]) -> tuple[list[str], npt.NDArray[np.intp]]:
    """Return one country for each kind of place that the rules can tell apart, and the kind of each site."""
    kinds: dict[Any, int] = {}
    codes: list[str] = []
    place_of = []
    for site in sites:
        kind = _kind_of_place(book, country(site))
        if kind not in kinds:
            kinds[kind] = len(codes)
            codes.append(country(site))
        place_of.append(kinds[kind])
    return codes, np.array(place_of, dtype=np.intp)


def _parties(book: Rulebook, owner: Owner) -> list[tuple[str, str]]:
    """Return (headquarters, parent) of an owner; an unknown one stands for every kind of place."""
    hq, parent = (owner, owner) if isinstance(owner, str) else owner
    every = _distinct(book, sorted(all_places()))[0]
    return [(h, p) for h in ([country(hq)] if hq else every) for p in ([country(parent)] if parent else every)]


def _severity_of_bits(bits: Bits) -> npt.NDArray[np.int8]:
    """Return the code of each set of outcomes: that of its only outcome, open where there are several."""
    found, where = np.unique(bits, return_inverse=True)
    codes = []
    for bit in found.tolist():
        single = [o for i, o in enumerate(OUTCOMES) if bit == 1 << i]
        codes.append(GROUP_CODES.index(GROUPS[single[0]] if single else "open"))
    return np.array(codes, dtype=np.int8)[where].reshape(bits.shape)


def _epochs(book: Rulebook, month: str) -> list[str]:
    """Return the days on which something changes that matter for a month or a day, each as the start of its span."""
    if len(month) == 10:
        first = last = month
    else:
        try:
            year, number = (int(part) for part in month.split("-"))
            last = f"{month}-{calendar.monthrange(year, number)[1]:02d}"
        except (ValueError, calendar.IllegalMonthError):
            raise InputError(f"month: '{month}' is not of the form 2025-04") from None
        first = f"{month}-01"
    if first < book.first_day:
        raise InputError(f"month: {month} begins before {book.first_day}: no rule here is so old")
    return [epoch_of(book, first), *(day for day in book.changes if first < day <= last)]


@lru_cache(maxsize=4096)
def _kind_of_place(book: Rulebook, text: str) -> Any:
    """Return what the rules can tell of a country: its groups over time; the code itself where a rule names it."""
    if not text:
        return ""
    code = country(text)
    if code in _named_places(book):
        return code
    spans = book.groups.items()
    return tuple((name, n) for name, of in spans for n, span in enumerate(of) if code in span.get("members", ()))


@lru_cache(maxsize=8)
def _named_places(book: Rulebook) -> frozenset[str]:
    clauses = [*book.otherwise, *(c for rule in book.rules.values() for c in rule.clauses)]
    return frozenset(code for clause in clauses for code in expr.constants(clause.when))

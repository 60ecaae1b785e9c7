"""What changed between two days: rules that began or ended, and chips and places whose ruling is another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from suanli.controls._book import Rule, Rulebook, epoch_of, live
from suanli.controls._chips import query_of_chip
from suanli.controls._engine import Verdict, decide
from suanli.controls._query import ready
from suanli.controls._screen import as_rulebook, check_ruleset, combine
from suanli.errors import InputError
from suanli.kinds import GROUPS, Chip

PLACES: tuple[tuple[str, str, str], ...] = (
    ("CN", "CN", "CN"),
    ("MO", "MO", "MO"),
    ("MY", "MY", "CN"),
    ("MY", "MY", "MY"),
    ("SG", "SG", "CN"),
    ("SA", "SA", "SA"),
    ("AE", "AE", "AE"),
    ("VN", "VN", "VN"),
    ("KH", "KH", "KH"),
)
"""Destination, headquarters and ultimate parent of the buyers for whom two days are compared."""

_ACTS = {"export": "US", "foundry_export": "TW", "use_in_place": ""}
"""Acts that are compared, each with the country that the item leaves ("": nothing moves)."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A chip whose ruling is another: act, place and buyer, (outcome, paragraph, presumption) before and after, why."""

    chip: str
    activity: str
    destination: str
    owner: str
    parent: str
    before: tuple[str, str, str]
    after: tuple[str, str, str]
    why: tuple[str, ...]

    @property
    def groups(self) -> tuple[str, str]:
        """The groups of the outcomes before and after."""
        return GROUPS[self.before[0]], GROUPS[self.after[0]]


@dataclass(frozen=True, slots=True)
class Difference:
    """Rules that hold on one of two days only, and the rulings that differ."""

    first: str
    second: str
    began: tuple[Rule, ...]
    ended: tuple[Rule, ...]
    changed: tuple[Changed, ...]


def diff(
    first: str,
    second: str,
    chips: Sequence[Chip],
    *,
    places: Sequence[tuple[str, str, str]] = PLACES,
    ruleset: str = "as_enforced",
    rulebook: Rulebook | Path | str | None = None,
) -> Difference:
    """Return what changed from ``first`` to ``second``, over ``chips`` and ``places``. Raises InputError."""
    if first > second:
        raise InputError(f"the days are out of order: {first} is after {second}")
    book, rules = as_rulebook(rulebook), check_ruleset(ruleset)
    changed = []
    for chip in chips:
        for to, owner, parent in places:
            for act, start in _ACTS.items():
                query = query_of_chip(
                    chip, to=to, owner=owner, parent=parent, date=first, activity=act, ship_from=start or to
                )
                known = ready(query, book.first_day)
                ready(replace(query, date=second), book.first_day)
                old, new = (decide(book, replace(known, date=day), rules, quick=True) for day in (first, second))
                before, after = _answer(old), _answer(new)
                if before != after:
                    why = _why(old, new)
                    changed.append(Changed(chip.id, act, to, owner, parent, before, after, why))
    old_rules, new_rules = (live(book, epoch_of(book, day), rules).rules for day in (first, second))
    began = tuple(r for r in new_rules if r not in old_rules)
    ended = tuple(r for r in old_rules if r not in new_rules)
    return Difference(first, second, began, ended, tuple(changed))


def _answer(verdicts: Sequence[Verdict]) -> tuple[str, str, str]:
    return combine([(v.outcome, v.eccn, v.presumption) for v in verdicts])


def _why(old: Sequence[Verdict], new: Sequence[Verdict]) -> tuple[str, ...]:
    """Return the rules behind the new ruling; where none of them is new, those behind the old one that is gone."""
    after, before = _deciders(new), _deciders(old)
    return tuple(r for r in after if r not in before) or tuple(r for r in before if r not in after) or after


def _deciders(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    spoken = [s for v in verdicts for s in v.spoken if s.rule is not None and not s.clause.flag]
    return tuple(dict.fromkeys(s.rule.id for s in spoken if s.rule is not None))

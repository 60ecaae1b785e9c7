"""The one engine: it walks the phases of the rule book through every world that the known facts allow.

A fact that is not known is split only where a condition asks for it, at the limit that the condition names. Each of
the worlds so made is decided by the same rules. Where all agree, that is the ruling; where they differ, it is open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from suanli.controls import _domains as dom
from suanli.controls._book import Clause, Listed, Live, Rule, Rulebook, Ruleset, Steps, epoch_of, live
from suanli.controls._domains import Number, Range
from suanli.controls._expr import Call, Doubt
from suanli.controls._query import Known

MOST_WORLDS = 400
"""Worlds looked at before the answer is left open; 20 unknown facts stay far below."""


class ImpossibleError(Exception):
    """The assumptions of a world contradict one another."""


class UnsureError(Exception):
    """A condition is undecided; carries the doubt."""

    def __init__(self, doubt: Doubt) -> None:
        super().__init__(doubt.key)
        self.doubt = doubt


@dataclass(frozen=True, slots=True)
class Spoken:
    """A clause that spoke."""

    rule: Rule | None
    clause: Clause


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of one world, what spoke in it, and what was assumed to get there."""

    outcome: str
    eccn: str
    presumption: str
    decided_by: Spoken
    spoken: tuple[Spoken, ...]
    terms: Mapping[str, str]
    assumed: Mapping[str, Number | frozenset[str] | bool]


@dataclass(frozen=True, slots=True)
class World:
    """What is known and assumed; the environment that conditions are asked of."""

    known: Known
    live: Live
    book: Rulebook
    terms: dict[str, str] = field(default_factory=dict)
    fixed: set[str] = field(default_factory=set)
    assumed: dict[str, Number | frozenset[str] | bool] = field(default_factory=dict)
    matched: dict[Call, bool | None] = field(default_factory=dict)

    @property
    def date(self) -> str:
        """Return the date of the act."""
        return self.known.date

    def number(self, name: str) -> Number | None:
        """Return a numeric fact as far as it is known or assumed."""
        if name == "pd":
            return self._density()
        return self.narrowed(name, self.known.numbers[name])

    def _density(self) -> Number | None:
        planar = self.values("nonplanar")
        if planar == {"0"}:
            return None
        if len(planar) > 1:
            raise UnsureError(Doubt("nonplanar", "in", frozenset({"1"}), False))
        area = self.known.numbers["die_area_mm2"]
        if area is dom.UNKNOWN_NUMBER and self.known.numbers["pd"] is not dom.UNKNOWN_NUMBER:
            return self.narrowed("pd", self.known.numbers["pd"])
        tpp = self.number("tpp")
        assert tpp is not None
        return self.narrowed("pd", dom.divide(tpp, area))

    def narrowed(self, key: str, value: Number) -> Number:
        """Return ``value``, narrowed by what is assumed of ``key``."""
        assumed = self.assumed.get(key)
        if assumed is None:
            return value
        assert isinstance(assumed, float | int | Range)
        out = dom.both(value, assumed)
        if isinstance(out, Range) and out.empty:
            raise ImpossibleError
        return out

    def values(self, name: str) -> frozenset[str]:
        """Return the values that a fact or term may have."""
        if name in self.terms:
            return frozenset({self.terms[name]})
        found = self.known.values[name]
        assumed = self.assumed.get(name)
        if isinstance(assumed, frozenset):
            found = found & assumed
            if not found:
                raise ImpossibleError
        return found

    def members(self, group: str) -> frozenset[str]:
        """Return the countries of a group on the date."""
        return self.live.groups[group]

    def matches(self, test: Call) -> bool | None:
        """Return whether a name is on a list; a name that only begins with a listed one is in doubt."""
        key = f"{test.function}({', '.join(test.arguments)}) of {test.rule}"
        if key in self.assumed:
            return bool(self.assumed[key])
        if test not in self.matched:
            self.matched[test] = self._match(test)
        return self.matched[test]

    def _match(self, test: Call) -> bool | None:
        name = test.arguments[-1]
        lists = self.book.rules[test.rule].lists if test.rule else {}
        entries = lists.get(name) or self.book.lists.get(name, ())
        if test.function == "item_named":
            return _item_on(entries, self.known.texts["supplier"], self.known.texts["chip"])
        assert not isinstance(entries, Mapping)
        return _name_on(entries, self.known.texts[test.arguments[0]], self.date)

    def split(self, doubt: Doubt) -> list[World]:
        """Return the two worlds in which the doubt is settled one way and the other."""
        parts: tuple[Number | frozenset[str] | bool, ...]
        if doubt.op == "is":
            parts = (True, False)
        elif doubt.numeric:
            was = self.assumed.get(doubt.key, dom.UNKNOWN_NUMBER)
            assert isinstance(was, float | int | Range)
            parts = dom.split(doubt.op, was, doubt.limit)
        else:
            values = self.values(doubt.key)
            parts = (values & doubt.limit, values - doubt.limit)
        return [
            World(
                self.known,
                self.live,
                self.book,
                assumed={**self.assumed, doubt.key: part},
                matched=self.matched,
            )
            for part in parts
            if not (isinstance(part, Range) and part.empty) and part != frozenset()
        ]


def decide(book: Rulebook, known: Known, ruleset: Ruleset, *, quick: bool = False) -> list[Verdict]:
    """Return the verdict of every world that the known facts allow; ``quick`` leaves out what only explains.

    The list is empty where more worlds than MOST_WORLDS would have to be looked at.
    """
    at = live(book, epoch_of(book, known.date), ruleset)
    waiting = [World(known, at, book)]
    verdicts: list[Verdict] = []
    looked = 0
    while waiting:
        world = waiting.pop()
        looked += 1
        if looked > MOST_WORLDS:
            return []
        try:
            verdicts.append(_walk(world, quick))
        except ImpossibleError:
            continue
        except UnsureError as unsure:
            waiting.extend(reversed(world.split(unsure.doubt)))
    return verdicts


@lru_cache(maxsize=8192)
def _steps(at: Live, activity: str, quick: bool) -> Steps:
    """Return the phases that an act goes through, with who speaks; ``quick`` leaves out clauses that only remark."""
    out = []
    for phase, speakers in at.phases:
        if activity in phase.activities:
            heard = tuple((rule, tuple(c for c in clauses if not (quick and c.flag))) for rule, clauses in speakers)
            out.append((phase, tuple((rule, clauses) for rule, clauses in heard if clauses)))
    return tuple((phase, heard) for phase, heard in out if heard)


def _walk(world: World, quick: bool) -> Verdict:
    """Return the verdict of one world: the first answer in the order of the phases."""
    world = replace(world, terms=dict(world.book.terms), fixed=set())
    spoken: list[Spoken] = []
    answer: Spoken | None = None
    activity = world.known.activity
    for phase, speakers in _steps(world.live, activity, quick):
        for rule, clauses in speakers:
            if answer is None:
                answer = _hear(world, rule, clauses, spoken, quick)
            elif phase.second and not quick:
                _second_remark(world, rule, clauses, spoken)
        if answer is not None and quick:
            break
    if answer is None:
        answer = next(Spoken(None, c) for c in world.book.otherwise if _sure(world, c))
        spoken.append(answer)
    outcome, eccn, presumption = answer.clause.answer or ("UNDETERMINED", "none", "unknown")
    if eccn == "class":
        eccn = world.terms["class"]
    eccn = "none" if eccn == "undetermined" else eccn
    return Verdict(outcome, eccn, presumption, answer, tuple(spoken), dict(world.terms), world.assumed)


def _hear(world: World, rule: Rule, clauses: tuple[Clause, ...], spoken: list[Spoken], quick: bool) -> Spoken | None:
    """Let ``rule`` speak in a phase: its first clause that holds sets terms or answers; flags only remark.

    A term keeps the value that it got first, unless a later clause says ``replace``.
    """
    done = False
    answer = None
    for clause in clauses:
        if clause.flag:
            if not quick and _maybe(world, clause) is True:
                spoken.append(Spoken(rule, clause))
            continue
        if done or _settled(world, clause) or not _sure(world, clause):
            continue
        done = True
        if clause.answer is not None:
            answer = Spoken(rule, clause)
            spoken.append(answer)
            continue
        fresh = {t: v for t, v in clause.sets if clause.replace or t not in world.fixed}
        if fresh:
            world.terms.update(fresh)
            world.fixed.update(fresh)
            spoken.append(Spoken(rule, clause))
    return answer


def _settled(world: World, clause: Clause) -> bool:
    """Return whether all that a clause would set is set already, so that its condition need not be asked."""
    return bool(clause.sets) and not clause.replace and all(term in world.fixed for term, _ in clause.sets)


def _sure(world: World, clause: Clause) -> bool:
    found = clause.when.test(world)
    if found is None:
        doubt = clause.when.doubt(world)
        assert doubt is not None
        raise UnsureError(doubt)
    return found


def _maybe(world: World, clause: Clause) -> bool | None:
    """Return whether a clause that only remarks holds; what it does not know it does not ask."""
    try:
        return clause.when.test(world)
    except UnsureError:
        return None


def _second_remark(world: World, rule: Rule, clauses: tuple[Clause, ...], spoken: list[Spoken]) -> None:
    found = next((c for c in clauses if not c.flag and _maybe(world, c) is True), None)
    if found is not None:
        spoken.append(Spoken(rule, found))


_SUFFIXES = {"co", "ltd", "inc", "corp", "corporation", "company", "limited", "llc", "plc", "technologies"}


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[^\W_]+", text.casefold()))


def _contains(words: tuple[str, ...], part: tuple[str, ...]) -> bool:
    return any(words[i : i + len(part)] == part for i in range(len(words) - len(part) + 1))


def _item_on(entries: object, supplier: str, chip: str) -> bool:
    """Return whether ``chip`` has an item of the supplier's list as whole words; an unlisted supplier has them all."""
    assert isinstance(entries, Mapping)
    words, maker = _words(chip), _words(supplier)
    own = [items for name, items in entries.items() if _words(name) == maker[: len(_words(name))]]
    items: list[Listed] = [item for group in (own or entries.values()) for item in group]
    return any(_contains(words, _words(item.name)) for item in items)


def _name_on(entries: tuple[Listed, ...], name: str, date: str) -> bool | None:
    """Return whether ``name`` is on the list on ``date``: exactly or in the family; None for a longer name."""
    words = _words(name)
    if not words:
        return False
    core = words
    while len(core) > 1 and core[-1] in _SUFFIXES:
        core = core[:-1]
    doubt = False
    for entry in entries:
        listed = _words(entry.name)
        if not entry.first <= date <= entry.last:
            continue
        if core == listed or words == listed or (entry.family and _contains(words, listed)):
            return True
        doubt = doubt or words[: len(listed)] == listed
    return None if doubt else False

"""The rule book at run time: rules with compiled conditions, and which of them hold on a date."""

from __future__ import annotations

import datetime as dt
import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

from suanli.controls import _expr as expr
from suanli.controls._parse import Names, parse
from suanli.controls._vocabulary import activities, all_places, packaged_rules, user_rules, vocabulary
from suanli.errors import InputError, nearest

Ruleset = Literal["as_enforced", "as_written"]
RULESETS: tuple[Ruleset, ...] = ("as_enforced", "as_written")


@dataclass(frozen=True, slots=True)
class Listed:
    """A name on a list of a rule, from its first to its last day."""

    name: str
    first: str = ""
    last: str = "9999"
    family: bool = False


@dataclass(frozen=True, slots=True)
class Parameter:
    """A published figure of a rule; ``fact`` names what is held against it."""

    name: str
    op: str
    value: float | str
    unit: str
    fact: str = ""
    definition: str = ""


@dataclass(frozen=True, slots=True)
class Clause:
    """One line of a rule, its condition compiled."""

    phase: str
    when: expr.Condition
    text: str
    say: str
    flag: bool
    replace: bool
    sets: tuple[tuple[str, str], ...]
    answer: tuple[str, str, str] | None
    check: tuple[str, ...]
    contradiction: str
    confidence: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One dated rule; ``data`` is its entry as written."""

    id: str
    start: str
    clauses: tuple[Clause, ...]
    parameters: tuple[Parameter, ...]
    lists: Mapping[str, tuple[Listed, ...] | Mapping[str, tuple[Listed, ...]]]
    data: Mapping[str, Any]

    @property
    def citation(self) -> str:
        """Where the rule is published."""
        return str(self.data["citation"])


@dataclass(frozen=True, slots=True)
class Phase:
    """A step of the decision."""

    name: str
    activities: frozenset[str]
    second: bool


@dataclass(frozen=True, slots=True)
class Rulebook:
    """Rules, phases, groups and named conditions, ready to be asked."""

    rules: Mapping[str, Rule]
    phases: tuple[Phase, ...]
    terms: Mapping[str, str]
    groups: Mapping[str, tuple[Mapping[str, Any], ...]]
    lists: Mapping[str, tuple[Listed, ...]]
    otherwise: tuple[Clause, ...]
    first_day: str
    changes: tuple[str, ...]
    data: Mapping[str, Any] = field(repr=False)

    def __hash__(self) -> int:
        """Hash by identity: a book is never changed."""
        return id(self)

    def __eq__(self, other: object) -> bool:
        """Equal is the same object."""
        return self is other


Steps = tuple[tuple[Phase, tuple[tuple[Rule, tuple[Clause, ...]], ...]], ...]
"""Phases in order, each with the rules that speak in it and their clauses."""


@dataclass(frozen=True, slots=True, eq=False)
class Live:
    """The rules that hold on a date, by phase, newest first, and the groups as they stand."""

    phases: Steps
    groups: Mapping[str, frozenset[str]]
    rules: tuple[Rule, ...]


@cache
def shipped() -> Rulebook:
    """Return the rule book that ships."""
    return compile_book(json.loads(packaged_rules().read_text(encoding="utf-8")))


def load_rulebook(path: Path | None = None) -> Rulebook:
    """Return the shipped rule book; the entries of ``path`` (or of the user's rules.yaml) come first by name.

    Raises InputError with file, line and field where the file breaks the schema or a condition can't be read.
    """
    path = path or user_rules()
    if path is None:
        return shipped()
    return _with_file(path, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=8)
def _with_file(path: Path, _written: int) -> Rulebook:
    """Return the shipped book with the entries of ``path``, read again when the file was written again."""
    return compile_book(merged(shipped().data, read_rules(path)), where=str(path))


def read_rules(path: Path) -> dict[str, Any]:
    """Return the rule file ``path`` as plain data. Raises InputError with file, line and field."""
    from suanli.controls._schema import RuleFile
    from suanli.files import read_model

    return read_model(path, RuleFile).data()


def merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the entries of ``own``: a rule, group, list or condition of the same name is replaced."""
    out = dict(base)
    for key in ("terms", "groups", "lists", "conditions"):
        out[key] = {**base.get(key, {}), **own.get(key, {})}
    for key in ("first_day", "otherwise", "as_of", "phases"):
        if own.get(key):
            out[key] = own[key]
    rules = {r["id"]: r for r in base["rules"]}
    rules.update({r["id"]: r for r in own["rules"]})
    out["rules"] = list(rules.values())
    return out


def compile_book(data: Mapping[str, Any], where: str = "rules") -> Rulebook:
    """Return ``data`` (a rule file as plain data) as a rule book. Raises InputError naming rule and condition."""
    terms = {name: frozenset(t["values"]) for name, t in data.get("terms", {}).items()}
    groups = {k: tuple(v) for k, v in data.get("groups", {}).items() if not isinstance(v, str)}
    book_lists = {k: _listed(v) for k, v in data.get("lists", {}).items()}
    # a named condition may speak of a list that only some rules have, such as the recipients of a letter
    everywhere = frozenset({*book_lists, *(key for r in data["rules"] for key in r.get("lists", {}))})
    names = replace(_names(terms, groups), lists=everywhere)
    names = replace(names, conditions=_conditions(data, names))
    rules = {}
    for entry in data["rules"]:
        try:
            rules[entry["id"]] = _rule(entry, data, names, book_lists)
        except InputError as error:
            raise InputError(f"{where}: rule {entry['id']}: {error}") from None
    phases = tuple(
        Phase(p["name"], frozenset(p.get("activities") or activities()), p.get("second", False))
        for p in data.get("phases", ())
    )
    _check_links(rules, phases, groups, where)
    starts = {name: t["start"] for name, t in data.get("terms", {}).items()}
    otherwise = tuple(_clause(c, names, {}) for c in data.get("otherwise", ()))
    first = data.get("first_day", "2022-08-26")
    return Rulebook(rules, phases, starts, groups, book_lists, otherwise, first, _changes(data, rules, otherwise), data)


def _names(terms: Mapping[str, frozenset[str]], groups: Mapping[str, Any]) -> Names:
    numbers = frozenset(n for n, f in vocabulary().items() if f.kind == "number")
    choices: dict[str, frozenset[str]] = dict(terms)
    for name, fact in vocabulary().items():
        if fact.kind == "country":
            choices[name] = all_places() | {"unsaid"}
        elif fact.kind == "flag":
            choices[name] = frozenset({"0", "1"})
        elif name == "activity":
            choices[name] = frozenset(activities())
        elif fact.kind == "choice":
            choices[name] = frozenset(fact.values)
    return Names(numbers, choices, frozenset(groups), {}, "", {}, frozenset())


def _conditions(data: Mapping[str, Any], names: Names) -> dict[str, expr.Condition]:
    """Return the named conditions; each may use those before it."""
    out: dict[str, expr.Condition] = {}
    for name, text in data.get("conditions", {}).items():
        out[name] = parse(text, replace(names, conditions=dict(out)))
    return out


def _rule(entry: Mapping[str, Any], data: Mapping[str, Any], names: Names, shared: Mapping[str, Any]) -> Rule:
    lists: dict[str, Any] = {}
    for key, value in entry.get("lists", {}).items():
        lists[key] = {k: _listed(v) for k, v in value.items()} if isinstance(value, Mapping) else _listed(value)
    parameters = tuple(Parameter(**p) for p in entry.get("parameters", ()))
    own = replace(
        names,
        rule=entry["id"],
        parameters={p.name: p.value for p in parameters},
        lists=frozenset({*lists, *shared}),
    )
    texts = data.get("conditions", {})
    of_rule = {name: parse(text, own) for name, text in texts.items() if any(f", {key})" in text for key in lists)}
    own = replace(own, conditions={**names.conditions, **of_rule})
    clauses = tuple(_clause(c, own, data.get("terms", {})) for c in entry.get("clauses", ()))
    effective = entry["effective"] or ""
    start = max(effective, entry.get("compliance", "") or "")
    return Rule(entry["id"], start, clauses, parameters, lists, entry)


def _listed(entries: Any) -> tuple[Listed, ...]:
    return tuple(
        Listed(e)
        if isinstance(e, str)
        else Listed(e["name"], e.get("from") or "", e.get("until") or "9999", e.get("family", False))
        for e in entries
    )


def _clause(entry: Mapping[str, Any], names: Names, terms: Mapping[str, Any]) -> Clause:
    for term, value in entry.get("set", {}).items():
        if term not in terms:
            raise InputError(f"sets the unknown term '{term}'; allowed: {', '.join(terms)}")
        if value not in terms[term]["values"]:
            raise InputError(f"sets {term} to '{value}'; allowed: {', '.join(terms[term]['values'])}")
    answer = entry.get("answer")
    return Clause(
        phase=entry.get("phase", ""),
        when=parse(entry.get("when", ""), names),
        text=entry.get("when", ""),
        say=entry.get("say", ""),
        flag=entry.get("flag", False),
        replace=entry.get("replace", False),
        sets=tuple(entry.get("set", {}).items()),
        answer=(answer["outcome"], answer["eccn"], answer["presumption"]) if answer else None,
        check=tuple(entry.get("check", ())),
        contradiction=entry.get("contradiction", ""),
        confidence=entry.get("confidence", ""),
    )


def _check_links(rules: Mapping[str, Rule], phases: tuple[Phase, ...], groups: Mapping[str, Any], where: str) -> None:
    known = {p.name for p in phases}
    for rule in rules.values():
        for clause in rule.clauses:
            if clause.phase not in known:
                close = nearest(clause.phase, known)
                hint = f"; did you mean '{close}'?" if close else f"; allowed: {', '.join(sorted(known))}"
                raise InputError(f"{where}: rule {rule.id}: unknown phase '{clause.phase}'{hint}")
        by = (rule.data.get("superseded") or {}).get("by")
        if by and by not in rules:
            raise InputError(f"{where}: rule {rule.id}: is superseded by '{by}', which is no rule here")
    for name, spans in groups.items():
        for span in spans:
            for code in span.get("members", ()):
                if code not in all_places():
                    raise InputError(f"{where}: group {name}: unknown country '{code}'")


def _day_after(day: str) -> str:
    return (dt.date.fromisoformat(day) + dt.timedelta(days=1)).isoformat()


def holds(book: Rulebook, rule: Rule, date: str, ruleset: Ruleset) -> bool:
    """Return whether ``rule`` has effect on ``date``: staging, compliance, supersession, stays, lapse, enforcement."""
    entry = rule.data
    if not entry.get("in_force", True) or date < rule.start:
        return False
    if entry.get("only_under") not in (None, "", ruleset):
        return False
    if not entry.get("enforced", True) and ruleset != "as_written":
        return False
    if entry.get("ends") and date > entry["ends"]:
        return False
    if any(stay["from"] <= date <= stay["to"] for stay in entry.get("stays", ())):
        return False
    over = entry.get("superseded")
    if not over or over.get("partly"):
        return True
    by = book.rules[over["by"]]
    if by.data.get("only_under") not in (None, "", ruleset):
        return True
    if not by.data.get("enforced", True):
        return ruleset == "as_enforced" or date < max(over["on"], by.start)
    return bool(date < over["on"])


@lru_cache(maxsize=4096)
def live(book: Rulebook, epoch: str, ruleset: Ruleset) -> Live:
    """Return what holds on ``epoch``, a day on which something changes (see ``epoch_of``)."""
    holding = [r for r in book.rules.values() if holds(book, r, epoch, ruleset)]
    newest_first = sorted(holding, key=lambda r: r.start, reverse=True)  # stable: the order of the file decides ties
    phases = []
    for phase in book.phases:
        speakers = [(r, tuple(c for c in r.clauses if c.phase == phase.name)) for r in newest_first]
        phases.append((phase, tuple((r, c) for r, c in speakers if c)))
    groups = {name: _members(book, name, epoch) for name in book.groups}
    return Live(tuple(phases), groups, tuple(holding))


def _members(book: Rulebook, name: str, date: str) -> frozenset[str]:
    out: set[str] = set()
    for span in book.groups[name]:
        if (span.get("from") or "") <= date <= (span.get("until") or "9999"):
            out.update(span.get("members", ()))
            for other in span.get("of", ()):
                out |= _members(book, other, date)
    return frozenset(out)


def epoch_of(book: Rulebook, date: str) -> str:
    """Return the last day up to ``date`` on which anything in the book changes."""
    return book.changes[bisect_right(book.changes, date) - 1]


def _changes(data: Mapping[str, Any], rules: Mapping[str, Rule], otherwise: tuple[Clause, ...]) -> tuple[str, ...]:
    """Return every day on which a ruling may change, in order: the finite list that screening over time needs."""
    days = {data.get("first_day", "2022-08-26")}
    for rule in rules.values():
        entry = rule.data
        days.update(filter(None, (rule.start, (entry.get("superseded") or {}).get("on"))))
        lasts = [entry.get("ends"), *(s["to"] for s in entry.get("stays", ()))]
        lasts += [e.last for e in _entries(rule) if e.last != "9999"]
        days.update(s["from"] for s in entry.get("stays", ()))
        days.update(e.first for e in _entries(rule) if e.first)
        days.update(_day_after(last) for last in lasts if last)
        days.update(d for c in rule.clauses for d in _days_in(c.when))
    for spans in data.get("groups", {}).values():
        for span in spans if not isinstance(spans, str) else ():
            days.update(filter(None, (span.get("from"), _day_after(span["until"]) if span.get("until") else None)))
    days.update(d for c in otherwise for d in _days_in(c.when))
    first = data.get("first_day", "2022-08-26")
    return (first, *sorted(d for d in days if d > first))


def _entries(rule: Rule) -> Iterator[Listed]:
    for value in rule.lists.values():
        if isinstance(value, Mapping):
            for entries in value.values():
                yield from entries
        else:
            yield from value


def _days_in(condition: expr.Condition) -> Iterator[str]:
    if isinstance(condition, expr.DateCompare):
        if condition.op in {"<=", ">", "==", "!="}:
            yield _day_after(condition.day)
        if condition.op in {"<", ">=", "==", "!="}:
            yield condition.day
    elif isinstance(condition, expr.Every | expr.Either):
        for part in condition.parts:
            yield from _days_in(part)
    elif isinstance(condition, expr.Not | expr.Shown):
        yield from _days_in(condition.inner)

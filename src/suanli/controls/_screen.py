"""Screening: from a query to a ruling that explains itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from suanli.controls import _domains as dom
from suanli.controls._book import RULESETS, Clause, Rulebook, Ruleset, epoch_of, live, load_rulebook
from suanli.controls._depends import depends_on
from suanli.controls._domains import Number, Range
from suanli.controls._engine import Spoken, UnsureError, Verdict, World, decide
from suanli.controls._query import Known, Query, density, ready
from suanli.errors import InputError, nearest
from suanli.kinds import Remark, Ruling, Threshold

CLOSE = 0.05
"""A figure nearer than this to a limit, relative to it, is flagged for counsel."""
_SURENESS = ("high", "medium", "low")
_WORDS = {"mixed": "partly reported or estimated", "derived": "derived from others", "memory": "from memory"}
_OF_FIGURES = {"mixed": "medium", "derived": "medium", "memory": "low"}
_OF_VERIFIED = {"source": "high", "mixed": "medium", "memory": "low", "hypothetical": "low"}


def as_rulebook(rulebook: Rulebook | Path | str | None) -> Rulebook:
    """Return a rule book: the shipped one for None, that of a file for a path. Raises InputError for a bad file."""
    return rulebook if isinstance(rulebook, Rulebook) else load_rulebook(Path(rulebook) if rulebook else None)


def check_ruleset(ruleset: str) -> Ruleset:
    """Return ``ruleset`` if it is one. Raises InputError."""
    for known in RULESETS:
        if ruleset == known:
            return known
    close = nearest(ruleset, RULESETS)
    raise InputError(
        f"unknown ruleset '{ruleset}'; {f'did you mean {close!r}?' if close else 'allowed: ' + ', '.join(RULESETS)}"
    )


def screen(query: Query, *, ruleset: str = "as_enforced", rulebook: Rulebook | Path | str | None = None) -> Ruling:
    """Return what the dated rules say of ``query``. Not legal advice.

    Facts that are unknown or ranges are followed through every way in which they could matter: the ruling is the one
    that all ways share, else UNDETERMINED with ``depends_on``. Raises InputError for a date before the first rule, an
    unknown country, activity or fact.
    """
    book, rules = as_rulebook(rulebook), check_ruleset(ruleset)
    known = ready(query, book.first_day)
    verdicts = decide(book, known, rules)
    outcome, eccn, presumption = combine([(v.outcome, v.eccn, v.presumption) for v in verdicts])
    spoken = _unique(s for v in verdicts for s in v.spoken)
    thresholds = _thresholds(known, book, rules, verdicts)
    return Ruling(
        outcome=outcome,
        eccn=eccn,
        presumption=presumption,
        remarks=tuple(_remark(s) for s in spoken if s.clause.say),
        arithmetic=_arithmetic(query, known),
        thresholds=thresholds,
        confidence=_confidence(outcome, verdicts, query.figures_verified),
        contradictions=tuple(dict.fromkeys(s.clause.contradiction for s in spoken if s.clause.contradiction)),
        to_check=_to_check(query, spoken, thresholds),
        decided_by=tuple(dict.fromkeys(v.decided_by.rule.id for v in verdicts if v.decided_by.rule)),
        depends_on=depends_on(known, verdicts, live(book, epoch_of(book, known.date), rules).groups),
    )


def answer(
    query: Query, *, ruleset: str = "as_enforced", rulebook: Rulebook | Path | str | None = None
) -> tuple[str, str, str]:
    """Return outcome, paragraph and presumption of ``query`` as ``screen`` does, without what explains them.

    About four times as quick. Raises InputError as ``screen`` does.
    """
    book, rules = as_rulebook(rulebook), check_ruleset(ruleset)
    verdicts = decide(book, ready(query, book.first_day), rules, quick=True)
    return combine([(v.outcome, v.eccn, v.presumption) for v in verdicts])


def combine(answers: Sequence[tuple[str, str, str]]) -> tuple[str, str, str]:
    """Return the (outcome, paragraph, presumption) that all ``answers`` share; what they do not share is open.

    Different outcomes are UNDETERMINED, a paragraph that differs is "none", a presumption that differs "unknown".
    """
    outcomes, eccns, presumptions = ({a[i] for a in answers} for i in range(3))
    eccn = eccns.pop() if len(eccns) == 1 else "none"
    if len(outcomes) != 1 or outcomes == {"UNDETERMINED"}:
        return "UNDETERMINED", eccn, "unknown"
    return outcomes.pop(), eccn, presumptions.pop() if len(presumptions) == 1 else "unknown"


def _to_check(query: Query, spoken: Sequence[Spoken], thresholds: Sequence[Threshold]) -> tuple[str, ...]:
    """Return what a person must still check: what the rules name, borders that are near, figures not well read."""
    figures: tuple[str, ...] = ()
    if _OF_FIGURES.get(query.figures_verified):
        figures = (f"the item's figures: they are {_WORDS[query.figures_verified]}, not read in its data sheet",)
    named = (check for s in spoken for check in s.clause.check)
    return tuple(dict.fromkeys((*named, *_close_calls(thresholds), *figures)))


def _unique(spoken: Iterable[Spoken]) -> list[Spoken]:
    seen: dict[tuple[str, str], Spoken] = {}
    for s in spoken:
        seen.setdefault((s.rule.id if s.rule else "", s.clause.text + s.clause.say), s)
    return list(seen.values())


def _remark(spoken: Spoken) -> Remark:
    rule = spoken.rule
    return Remark(rule=rule.id if rule else "-", citation=rule.citation if rule else "", text=spoken.clause.say)


def _confidence(outcome: str, verdicts: Sequence[Verdict], figures: str) -> str:
    """Return the lowest confidence of the clauses that decided and of the item's figures; an open answer has low."""
    if outcome == "UNDETERMINED":
        return "low"
    levels = [_OF_FIGURES.get(figures, "high")]
    for verdict in verdicts:
        rule, clause = verdict.decided_by.rule, verdict.decided_by.clause
        levels.append(clause.confidence or (_OF_VERIFIED[rule.data.get("verified", "source")] if rule else "high"))
        levels += [s.clause.confidence for s in verdict.spoken if s.clause.sets and s.clause.confidence]
    return max(levels, key=_SURENESS.index)


def _arithmetic(query: Query, known: Known) -> dict[str, float | None]:
    """Return the figures that count, by name; a range gives its ends, an unknown figure None."""
    out: dict[str, float | None] = {f"tpp of {fmt}": value for fmt, value in query.tpp_by_format.items()}
    figures: dict[str, Number] = {n: known.numbers[n] for n in ("tpp", "die_area_mm2")}
    pd = density(known)
    if pd is not None:
        figures["pd"] = pd
    optional = ("transfer_rate_gbs", "mem_bw_gbs", "hbm_density_gbs_mm2", "transistors_bn", "aggregate_tpp")
    figures.update((n, known.numbers[n]) for n in optional if known.numbers[n] is not dom.UNKNOWN_NUMBER)
    if {"transfer_rate_gbs", "mem_bw_gbs"} <= figures.keys():
        figures["mem_bw_gbs + transfer_rate_gbs"] = dom.add(figures["mem_bw_gbs"], figures["transfer_rate_gbs"])
    if known.numbers["listed_ownership"] != 0:
        figures["listed_ownership"] = known.numbers["listed_ownership"]
    for name, value in figures.items():
        if isinstance(value, Range):
            ends = {f"{name} at least": value.low, f"{name} at most": value.high}
            finite = {k: v for k, v in ends.items() if 0 < v < dom.INF}
            out.update(finite)
            out.setdefault(name, None)
        else:
            out[name] = value
    return out


def _thresholds(known: Known, book: Rulebook, ruleset: Ruleset, verdicts: Sequence[Verdict]) -> tuple[Threshold, ...]:
    """Return the limits that the stated figures can be held against, once each.

    They are those of the rules that spoke and of the rules in force that would, were the figures other than they are.
    """
    stated = set(known.stated)
    if {"tpp", "die_area_mm2"} <= stated or "pd" in stated:
        stated.add("pd")
    if "listed_owner_shares" in stated:
        stated.add("listed_ownership")
    at = live(book, epoch_of(book, known.date), ruleset)
    reached = {p.name for p, _ in at.phases if known.activity in p.activities}
    spoke = {s.rule.id for v in verdicts for s in v.spoken if s.rule}
    blank = replace(known, numbers=dict.fromkeys(known.numbers, dom.UNKNOWN_NUMBER))
    worlds = [World(blank, at, book, dict(v.terms)) for v in verdicts]
    out: dict[tuple[str, str, float], Threshold] = {}
    for rule in at.rules:
        if rule.id not in spoke and not any(
            _may_speak(w, c) for c in rule.clauses if c.phase in reached for w in worlds
        ):
            continue
        for p in rule.parameters:
            names = p.fact.split(" + ")
            if isinstance(p.value, str) or not p.fact or not stated.issuperset(names):
                continue
            value = _value(names, known)
            limit = float(p.value)
            out.setdefault(
                (p.fact, p.op, limit),
                Threshold(rule=rule.id, name=p.name, value=value, op=p.op, limit=limit, unit=p.unit),
            )
    return tuple(out.values())


def _may_speak(world: World, clause: Clause) -> bool:
    try:
        return clause.when.test(world) is not False
    except UnsureError:
        return True


def _value(names: Sequence[str], known: Known) -> float | None:
    total: Number = 0.0
    for name in names:
        part = density(known) if name == "pd" else known.numbers[name]
        if part is None:
            return None
        total = dom.add(total, part)
    return None if isinstance(total, Range) else total


def _close_calls(thresholds: Sequence[Threshold]) -> list[str]:
    out = []
    for t in thresholds:
        if t.value is None or not t.limit or t.op not in {"<", "<=", ">", ">="}:
            continue
        off = t.value / t.limit - 1.0
        if abs(off) < CLOSE:
            side = "exactly at" if off == 0 else f"{abs(off):.1%} {'above' if off > 0 else 'below'}"
            out.append(
                f"close to a border: {dom.figure(t.value)} is {side} {t.op} {dom.figure(t.limit)} {t.unit} "
                f"({t.rule}): have counsel confirm the figure"
            )
    return out

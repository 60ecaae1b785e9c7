"""In words: on which unknown facts an open ruling depends, and where between them it turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from suanli.controls import _domains as dom
from suanli.controls._domains import Number, Range
from suanli.controls._engine import Verdict
from suanli.controls._query import Known
from suanli.controls._vocabulary import all_places, vocabulary

MOST_LINES = 8

Assumed = dict[str, Number | frozenset[str] | bool]


def depends_on(known: Known, verdicts: Sequence[Verdict], groups: Mapping[str, frozenset[str]]) -> str:
    """Return "" where all verdicts agree on the outcome, else each outcome with what would have to be so."""
    if not verdicts:
        return "more unknown facts than can be followed; state the item's figures and the parties' headquarters"
    if len({v.outcome for v in verdicts}) == 1:
        return ""
    worlds: dict[str, list[Assumed]] = {}
    for verdict in verdicts:
        label = f"{verdict.outcome} ({verdict.eccn})" if verdict.eccn != "none" else verdict.outcome
        worlds.setdefault(label, []).append(dict(verdict.assumed))
    out = []
    for label, cases in worlds.items():
        texts = [_case(known, case, groups) for case in merge(known, cases)]
        out.append(f"{label} if {_joined(list(dict.fromkeys(texts)))}")
    return "; ".join(out)


def merge(known: Known, cases: Sequence[Assumed]) -> list[Assumed]:
    """Return ``cases`` with those put together that differ in one fact only and leave no gap between them."""
    left = list(cases)
    for i, a in enumerate(left):
        for j in range(i + 1, len(left)):
            union = _union(known, a, left[j])
            if union is not None:
                return merge(known, [*left[:i], union, *left[i + 1 : j], *left[j + 1 :]])
    return left


def _union(known: Known, a: Assumed, b: Assumed) -> Assumed | None:
    if a.keys() != b.keys():
        small, large = sorted((a, b), key=len)
        return dict(small) if small.items() <= large.items() else None
    names = [n for n in a if a[n] != b[n]]
    if len(names) != 1:
        return None
    name = names[0]
    x, y = a[name], b[name]
    rest: Assumed = {n: v for n, v in a.items() if n != name}
    if isinstance(x, bool):
        return rest
    if isinstance(x, frozenset) and isinstance(y, frozenset):
        both = x | y
        return rest if both >= known.values[name] else {**a, name: both}
    assert not isinstance(x, frozenset)
    assert not isinstance(y, frozenset)
    low, high = sorted((dom.as_range(x), dom.as_range(y)), key=lambda r: (r.low, r.low_open))
    if high.low > low.high or (high.low == low.high and high.low_open and low.high_open):
        return None
    top = max(low, high, key=lambda r: (r.high, not r.high_open))
    joined = Range(low.low, top.high, low.low_open, top.high_open)
    return rest if joined.low <= 0 and joined.high == dom.INF else {**a, name: joined}


def _case(known: Known, case: Assumed, groups: Mapping[str, frozenset[str]]) -> str:
    parts = [_assumption(known, name, value, groups) for name, value in case.items()]
    return " and ".join(dict.fromkeys(p for p in parts if p)) or "otherwise"


def _joined(texts: list[str]) -> str:
    shown = texts[:MOST_LINES]
    more = f", or in {len(texts) - len(shown)} more ways" if len(texts) > len(shown) else ""
    return ", or ".join(shown) + more


def _assumption(
    known: Known, name: str, value: Number | frozenset[str] | bool, groups: Mapping[str, frozenset[str]]
) -> str:
    if isinstance(value, bool):
        return name if value else f"not {name}"
    if isinstance(value, frozenset):
        return _choice(name, value, groups)
    if name == "pd":
        return _density(known, dom.both(dom.UNKNOWN_NUMBER, value))
    whole = known.numbers.get(name, dom.UNKNOWN_NUMBER)
    fact = vocabulary().get(name)
    return f"{name} is {dom.show_range(dom.both(whole, value), fact.unit if fact else '')}"


def _density(known: Known, pd: Number) -> str:
    """Return a bound on the density as a bound on the die area where the TPP is known."""
    tpp, area, r = known.numbers["tpp"], known.numbers["die_area_mm2"], dom.as_range(pd)
    if isinstance(tpp, Range) or tpp == 0:
        return f"performance density is {dom.show_range(pd, 'TPP/mm2')}"
    high = tpp / r.low if r.low > 0 else dom.INF
    low = tpp / r.high if r.high < dom.INF else 0.0
    shown = dom.both(area, Range(low, high, r.high_open and low > 0, r.low_open and high < dom.INF))
    return f"die area is {dom.show_range(shown, 'mm2')}"


def _choice(name: str, values: frozenset[str], groups: Mapping[str, frozenset[str]]) -> str:
    fact = vocabulary()[name]
    if fact.kind == "flag":
        return f"{name} is {next(iter(values))}" if len(values) == 1 else ""
    if fact.kind != "country":
        return f"{name} is {' or '.join(sorted(values))}"
    for group, members in groups.items():
        if values == members:
            return f"{name} is in {group}"
        if values == all_places() - members:
            return f"{name} is outside {group}"
    if len(values) <= 6:
        return f"{name} is {' or '.join(sorted(values))}"
    outside = all_places() - values
    if len(outside) <= 6:
        return f"{name} is not {' nor '.join(sorted(outside))}"
    inside = [g for g, members in groups.items() if values < members]
    return f"{name} is one of {len(values)} countries" + (f" in {inside[0]}" if inside else "")

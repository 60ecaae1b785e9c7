"""Reading the condition language: text to a tree of comparisons, checked against the vocabulary on the way."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from suanli.controls._expr import (
    Always,
    Arithmetic,
    Call,
    Compare,
    Condition,
    DateCompare,
    Either,
    Every,
    Fact,
    Known,
    Member,
    Not,
    Number,
    Numeric,
    Shown,
)
from suanli.errors import InputError, nearest


@dataclass(frozen=True, slots=True)
class Names:
    """What the names in a condition may mean; ``rule`` and ``parameters`` are of the rule that is being read."""

    numbers: frozenset[str]
    choices: Mapping[str, frozenset[str]]
    groups: frozenset[str]
    conditions: Mapping[str, Condition]
    rule: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    lists: frozenset[str] = frozenset()


_TOKEN = re.compile(
    r"\s*(?:(?P<date>\d{4}-\d\d-\d\d)|(?P<num>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<quote>'[^']*')"
    r"|(?P<param>@\w+)|(?P<name>[A-Za-z_]\w*)|(?P<op><=|>=|==|!=|[-+*/<>(),\[\]]))"
)


def parse(text: str, names: Names) -> Condition:
    """Return ``text`` as a condition. Raises InputError naming what is wrong and the nearest known name."""
    source = _Source(text, names, _tokens(text))
    if not source.tokens:
        return Always()
    found, at = _either(source, 0)
    if at < len(source.tokens):
        raise source.wrong(f"did not expect '{source.word(at)}'")
    return found


@dataclass(frozen=True, slots=True)
class _Source:
    """A condition as tokens, and what its names may mean. Readers take a place in it and return the place after."""

    text: str
    names: Names
    tokens: tuple[tuple[str, str], ...]

    def kind(self, at: int) -> str:
        return self.tokens[at][0] if at < len(self.tokens) else "end"

    def word(self, at: int) -> str:
        return self.tokens[at][1] if at < len(self.tokens) else ""

    def wrong(self, message: str) -> InputError:
        return InputError(f"condition '{self.text}': {message}")

    def expect(self, at: int, *wanted: str) -> str:
        if self.word(at) not in wanted:
            raise self.wrong(f"expected {' or '.join(wanted)}, found {self.word(at) or 'the end'}")
        return self.word(at)

    def parameter(self, at: int) -> Any:
        name, known = self.word(at)[1:], self.names.parameters
        if name not in known:
            raise self.wrong(f"the rule has no parameter '{name}'{_hint(name, known)}")
        return known[name]


def _either(source: _Source, at: int) -> tuple[Condition, int]:
    parts, at = _joined(source, at, "or", _every)
    return parts[0] if len(parts) == 1 else Either(parts), at


def _every(source: _Source, at: int) -> tuple[Condition, int]:
    parts, at = _joined(source, at, "and", _negated)
    return parts[0] if len(parts) == 1 else Every(parts), at


def _joined(
    source: _Source, at: int, word: str, read: Callable[[_Source, int], tuple[Condition, int]]
) -> tuple[tuple[Condition, ...], int]:
    found, at = read(source, at)
    parts = [found]
    while source.word(at) == word:
        found, at = read(source, at + 1)
        parts.append(found)
    return tuple(parts), at


def _negated(source: _Source, at: int) -> tuple[Condition, int]:
    if source.word(at) == "not":
        inner, at = _negated(source, at + 1)
        return Not(inner), at
    return _simple(source, at)


def _simple(source: _Source, at: int) -> tuple[Condition, int]:
    word, names = source.word(at), source.names
    if word == "(":
        inner, at = _either(source, at + 1)
        source.expect(at, ")")
        return inner, at + 1
    if source.kind(at) != "name":
        raise source.wrong(f"expected a condition, found {word or 'the end'}")
    if source.word(at + 1) == "(":
        return _call(source, at)
    if word in names.conditions:
        return names.conditions[word], at + 1
    if word == "date":
        op = source.expect(at + 1, "<", "<=", ">", ">=", "==", "!=")
        return DateCompare(op, _day(source, at + 2)), at + 3
    return _member(source, at) if word in names.choices else _comparison(source, at)


def _call(source: _Source, at: int) -> tuple[Condition, int]:
    function = source.word(at)
    if function == "shown":
        inner, at = _either(source, at + 2)
        source.expect(at, ")")
        return Shown(inner), at + 1
    arguments, at = _words(source, at + 2, ")")
    names = source.names
    if function == "known" and len(arguments) == 1 and arguments[0] in names.numbers:
        return Known(arguments[0]), at
    if function not in {"named", "item_named"}:
        raise source.wrong(f"unknown function '{function}'; allowed: shown, known, named, item_named")
    if len(arguments) != 1 + (function == "named") or arguments[-1] not in names.lists:
        raise source.wrong(f"the rule has no list '{arguments[-1]}'")
    return Call(function, arguments, names.rule), at


def _words(source: _Source, at: int, close: str) -> tuple[tuple[str, ...], int]:
    """Return the words up to ``close``, between commas and without quotes."""
    words = [source.word(at).strip("'")]
    at += 1
    while source.word(at) == ",":
        words.append(source.word(at + 1).strip("'"))
        at += 2
    source.expect(at, close)
    return tuple(words), at + 1


def _day(source: _Source, at: int) -> str:
    if source.kind(at) == "date":
        return source.word(at)
    if source.kind(at) == "param":
        return str(source.parameter(at))
    raise source.wrong(f"expected a date, found {source.word(at) or 'the end'}")


def _member(source: _Source, at: int) -> tuple[Condition, int]:
    name, op = source.word(at), source.word(at + 1)
    if op == "not" and source.expect(at + 2, "in"):
        words, at = _listed(source, at + 3)
    elif op == "in":
        words, at = _listed(source, at + 2)
    elif op in {"==", "!="}:
        words, at = (source.word(at + 2).strip("'"),), at + 3
    else:
        return Member(name, frozenset({"1"}), ()), at + 1
    groups = tuple(w for w in words if w in source.names.groups)
    allowed = frozenset(w for w in words if w not in source.names.groups)
    known = source.names.choices[name]
    for word in sorted(allowed - known):
        raise source.wrong(f"'{word}' is no value of {name}{_hint(word, known)}")
    found = Member(name, allowed, groups)
    return Not(found) if op in {"not", "!="} else found, at


def _listed(source: _Source, at: int) -> tuple[tuple[str, ...], int]:
    if source.kind(at) == "param":
        value = source.parameter(at)
        return tuple(str(v) for v in (value if isinstance(value, list | tuple) else [value])), at + 1
    if source.word(at) == "[":
        return _words(source, at + 1, "]")
    return (source.word(at).strip("'"),), at + 1


def _comparison(source: _Source, at: int) -> tuple[Condition, int]:
    left, at = _total(source, at)
    op = source.expect(at, "<", "<=", ">", ">=", "==", "!=")
    word, kind = source.word(at + 1), source.kind(at + 1)
    if kind not in {"num", "param"}:
        raise source.wrong(f"expected a number or a parameter after '{op}', found {word or 'the end'}")
    limit = source.parameter(at + 1) if kind == "param" else word
    try:
        return Compare(op, left, float(limit), _text(left)), at + 2
    except (TypeError, ValueError):
        raise source.wrong(f"'{word}' is not a number") from None


def _total(source: _Source, at: int) -> tuple[Numeric, int]:
    return _folded(source, at, {"+"}, _product)


def _product(source: _Source, at: int) -> tuple[Numeric, int]:
    return _folded(source, at, {"*", "/"}, _quantity)


def _folded(
    source: _Source, at: int, ops: set[str], read: Callable[[_Source, int], tuple[Numeric, int]]
) -> tuple[Numeric, int]:
    left, at = read(source, at)
    while source.word(at) in ops:
        op = source.word(at)
        right, at = read(source, at + 1)
        left = Arithmetic(op, left, right, f"{_text(left)} {op} {_text(right)}")
    return left, at


def _quantity(source: _Source, at: int) -> tuple[Numeric, int]:
    word, names = source.word(at), source.names
    if source.kind(at) == "num":
        return Number(float(word)), at + 1
    if source.kind(at) == "name" and word in names.numbers:
        return Fact(word), at + 1
    known = {*names.numbers, *names.choices, *names.conditions, "date"}
    raise source.wrong(f"unknown name '{word}'{_hint(word, known)}")


def _text(node: Numeric) -> str:
    return node.name if isinstance(node, Fact) else node.text if isinstance(node, Arithmetic) else f"{node.value:g}"


def _hint(word: str, known: Any) -> str:
    close = nearest(word, [str(k) for k in known])
    return f"; did you mean '{close}'?" if close else ""


def _tokens(text: str) -> tuple[tuple[str, str], ...]:
    out: list[tuple[str, str]] = []
    at = 0
    while at < len(text.rstrip()):
        found = _TOKEN.match(text, at)
        if found is None:
            raise InputError(f"condition '{text}': can't read '{text[at:].strip()[:12]}'")
        kind = found.lastgroup or ""
        out.append((kind, found[kind]))
        at = found.end()
    return tuple(out)

"""Reading the condition language: text to a tree of comparisons, checked against the vocabulary on the way."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
    parameters: Mapping[str, Any] = None  # type: ignore[assignment]
    lists: frozenset[str] = frozenset()


_TOKEN = re.compile(
    r"\s*(?:(?P<date>\d{4}-\d\d-\d\d)|(?P<num>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<quote>'[^']*')"
    r"|(?P<param>@\w+)|(?P<name>[A-Za-z_]\w*)|(?P<op><=|>=|==|!=|[-+*/<>(),\[\]]))"
)
_WORDS = {"and", "or", "not", "in"}


def parse(text: str, names: Names) -> Condition:
    """Return ``text`` as a condition. Raises InputError naming what is wrong and the nearest known name."""
    return _Reader(text, names).whole()


class _Reader:
    """One pass over the tokens of a condition."""

    def __init__(self, text: str, names: Names) -> None:
        self.text, self.names, self.tokens, self.at = text, names, _tokens(text), 0

    def fail(self, message: str) -> InputError:
        return InputError(f"condition '{self.text}': {message}")

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def take(self, *wanted: str) -> str:
        kind, word = self.peek()
        if wanted and word not in wanted:
            raise self.fail(f"expected {' or '.join(wanted)}, found {word or 'the end'}")
        self.at += 1
        return word if kind != "end" else ""

    def whole(self) -> Condition:
        if not self.tokens:
            return Always()
        found = self.either()
        if self.peek()[0] != "end":
            raise self.fail(f"did not expect '{self.peek()[1]}'")
        return found

    def either(self) -> Condition:
        parts = [self.every()]
        while self.peek()[1] == "or":
            self.take()
            parts.append(self.every())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def every(self) -> Condition:
        parts = [self.negated()]
        while self.peek()[1] == "and":
            self.take()
            parts.append(self.negated())
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def negated(self) -> Condition:
        if self.peek()[1] == "not":
            self.take()
            return Not(self.negated())
        return self.simple()

    def simple(self) -> Condition:
        kind, word = self.peek()
        if word == "(":
            self.take()
            inner = self.either()
            self.take(")")
            return inner
        if kind != "name":
            raise self.fail(f"expected a condition, found {word or 'the end'}")
        following = self.tokens[self.at + 1][1] if self.at + 1 < len(self.tokens) else ""
        if following == "(":
            return self.call()
        if word in self.names.conditions:
            self.take()
            return self.names.conditions[word]
        if word == "date":
            self.take()
            return DateCompare(self.take("<", "<=", ">", ">=", "==", "!="), self.day())
        if word in self.names.choices:
            return self.member()
        return self.comparison()

    def call(self) -> Condition:
        function = self.take()
        self.take("(")
        if function == "shown":
            inner = self.either()
            self.take(")")
            return Shown(inner)
        arguments = [self.take()]
        while self.peek()[1] == ",":
            self.take()
            arguments.append(self.take())
        self.take(")")
        if function == "known" and len(arguments) == 1 and arguments[0] in self.names.numbers:
            return Known(arguments[0])
        if function not in {"named", "item_named"}:
            raise self.fail(f"unknown function '{function}'; allowed: shown, known, named, item_named")
        wanted = arguments[1] if function == "named" and len(arguments) == 2 else arguments[0]
        if wanted not in self.names.lists:
            raise self.fail(f"the rule has no list '{wanted}'")
        return Call(function, tuple(arguments), self.names.rule)

    def day(self) -> str:
        kind, word = self.peek()
        if kind == "date":
            return self.take()
        if kind == "param":
            return str(self.parameter())
        raise self.fail(f"expected a date, found {word or 'the end'}")

    def parameter(self) -> Any:
        word = self.take()[1:]
        known = self.names.parameters or {}
        if word not in known:
            raise self.fail(f"the rule has no parameter '{word}'{_hint(word, known)}")
        return known[word]

    def member(self) -> Condition:
        name = self.take()
        kind = self.peek()[1]
        if kind not in {"in", "not", "==", "!="}:
            return Member(name, frozenset({"1"}), ())
        op = self.take()
        if op == "not":
            self.take("in")
        words = self.listed() if op in {"in", "not"} else [self.take().strip("'")]
        groups = tuple(w for w in words if w in self.names.groups)
        allowed = frozenset(w for w in words if w not in self.names.groups)
        known = self.names.choices[name]
        for word in sorted(allowed - known) if known else ():
            raise self.fail(f"'{word}' is no value of {name}{_hint(word, known)}")
        found = Member(name, allowed, groups)
        return Not(found) if op in {"not", "!="} else found

    def listed(self) -> list[str]:
        if self.peek()[0] == "param":
            value = self.parameter()
            return [str(v) for v in value] if isinstance(value, (list, tuple)) else [str(value)]
        if self.peek()[1] != "[":
            return [self.take().strip("'")]
        self.take("[")
        words = [self.take().strip("'")]
        while self.peek()[1] == ",":
            self.take()
            words.append(self.take().strip("'"))
        self.take("]")
        return words

    def comparison(self) -> Condition:
        start = self.at
        left = self.total()
        key = " ".join(word for _, word in self.tokens[start : self.at])
        op = self.take("<", "<=", ">", ">=", "==", "!=")
        kind, word = self.peek()
        if kind not in {"num", "param"}:
            raise self.fail(f"expected a number or a parameter after '{op}', found {word or 'the end'}")
        limit = self.parameter() if kind == "param" else self.take()
        try:
            return Compare(op, left, float(limit), key)
        except (TypeError, ValueError):
            raise self.fail(f"'{word}' is not a number") from None

    def total(self) -> Numeric:
        left = self.product()
        while self.peek()[1] == "+":
            left = self.joined(left, self.product)
        return left

    def product(self) -> Numeric:
        left = self.quantity()
        while self.peek()[1] in {"*", "/"}:
            left = self.joined(left, self.quantity)
        return left

    def joined(self, left: Numeric, rest: Callable[[], Numeric]) -> Numeric:
        op = self.take()
        right = rest()
        return Arithmetic(op, left, right, f"{_text(left)} {op} {_text(right)}")

    def quantity(self) -> Numeric:
        kind, word = self.peek()
        if kind == "num":
            return Number(float(self.take()))
        if kind == "name" and word in self.names.numbers:
            return Fact(self.take())
        known = {*self.names.numbers, *self.names.choices, *self.names.conditions, "date"}
        raise self.fail(f"unknown name '{word}'{_hint(word, known)}")


def _text(node: Numeric) -> str:
    return node.name if isinstance(node, Fact) else node.text if isinstance(node, Arithmetic) else f"{node.value:g}"


def _hint(word: str, known: Any) -> str:
    close = nearest(word, [str(k) for k in known])
    return f"; did you mean '{close}'?" if close else ""


def _tokens(text: str) -> list[tuple[str, str]]:
    out, at = [], 0
    while at < len(text.rstrip()):
        found = _TOKEN.match(text, at)
        if found is None:
            raise InputError(f"condition '{text}': can't read '{text[at:].strip()[:12]}'")
        kind = found.lastgroup or ""
        out.append((kind, found[kind]))
        at = found.end()
    return out

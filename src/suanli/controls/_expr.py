"""The condition language of the rule files: read, checked against the vocabulary, answered with yes, no or unsure.

    tpp >= @a1_TPP or (tpp >= @a2_TPP and pd >= @a2_PD)
    destination in D5 and not h200_certifications
    date > 2026-12-31 and named(recipient_name, entities)

Names are facts, terms set by earlier rules, groups of countries and named conditions; ``@name`` is a parameter of the
rule itself. Nothing is executed: a condition is a tree of comparisons over what is known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from suanli.controls import _domains as dom
from suanli.errors import InputError, nearest


class Env(Protocol):
    """What a condition is asked of: one world in which facts are known as far as they are."""

    @property
    def date(self) -> str:
        """Return the date of the act."""

    def number(self, name: str) -> dom.Number | None:
        """Return a numeric fact; None where it is undefined (the density of a planar chip)."""

    def narrowed(self, key: str, value: dom.Number) -> dom.Number:
        """Return ``value`` of a computed quantity, narrowed by what has been assumed of it."""

    def values(self, name: str) -> frozenset[str]:
        """Return the values that a fact may have."""

    def members(self, group: str) -> frozenset[str]:
        """Return the countries of a group on the date."""

    def matches(self, test: Call) -> bool | None:
        """Return whether a name is on a list of the rule."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """The first comparison that could not be decided: on what, and how the world splits."""

    key: str
    op: str
    limit: Any
    numeric: bool


@dataclass(frozen=True, slots=True)
class Number:
    """A constant number."""

    value: float

    def number(self, _env: Env) -> dom.Number | None:
        """Return the constant."""
        return self.value


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact by its name."""

    name: str

    def number(self, env: Env) -> dom.Number | None:
        """Return the fact as a number."""
        return env.number(self.name)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Sum, product or quotient of numbers."""

    op: str
    left: Numeric
    right: Numeric
    text: str

    def number(self, env: Env) -> dom.Number | None:
        """Return the result, narrowed by what is assumed of it; None where a part is undefined."""
        a, b = self.left.number(env), self.right.number(env)
        if a is None or b is None:
            return None
        return env.narrowed(self.text, _ARITHMETIC[self.op](a, b))


Numeric = Number | Fact | Arithmetic
_ARITHMETIC: Mapping[str, Callable[[dom.Number, dom.Number], dom.Number]] = {
    "+": dom.add,
    "*": dom.multiply,
    "/": dom.divide,
}


@dataclass(frozen=True, slots=True)
class Compare:
    """A number against a limit. An undefined number meets no limit."""

    op: str
    left: Numeric
    limit: float
    key: str

    def test(self, env: Env) -> bool | None:
        """Return yes, no or None for unsure."""
        value = self.left.number(env)
        return False if value is None else dom.compare(self.op, value, self.limit)

    def doubt(self, env: Env) -> Doubt | None:
        """Return what is undecided."""
        return Doubt(self.key, self.op, self.limit, True) if self.test(env) is None else None


@dataclass(frozen=True, slots=True)
class DateCompare:
    """The date of the act against a day (ISO text sorts as dates do)."""

    op: str
    day: str

    def test(self, env: Env) -> bool | None:
        """Return yes or no: the date is always known."""
        return self.on(env.date)

    def on(self, day: str) -> bool:
        """Return whether the comparison holds on ``day``."""
        b = self.day
        return {"<": day < b, "<=": day <= b, ">": day > b, ">=": day >= b, "==": day == b, "!=": day != b}[self.op]

    def doubt(self, _env: Env) -> Doubt | None:
        """Return None: a date is never in doubt."""
        return None


@dataclass(frozen=True, slots=True)
class Member:
    """A fact among values: a list, or a group of countries as it stood on the date."""

    name: str
    allowed: frozenset[str]
    groups: tuple[str, ...]

    def among(self, env: Env) -> frozenset[str]:
        """Return the values that count on the date."""
        return self.allowed.union(*(env.members(g) for g in self.groups)) if self.groups else self.allowed

    def test(self, env: Env) -> bool | None:
        """Return yes, no or None for unsure."""
        among, values = self.among(env), env.values(self.name)
        if values <= among:
            return True
        return False if values.isdisjoint(among) else None

    def doubt(self, env: Env) -> Doubt | None:
        """Return what is undecided."""
        return Doubt(self.name, "in", self.among(env), False) if self.test(env) is None else None


@dataclass(frozen=True, slots=True)
class Call:
    """A name against a list of the rule: ``named(recipient_name, entities)``, ``item_named(named_items)``."""

    function: str
    arguments: tuple[str, ...]
    rule: str

    def test(self, env: Env) -> bool | None:
        """Return yes, no or None for unsure."""
        return env.matches(self)

    def doubt(self, env: Env) -> Doubt | None:
        """Return what is undecided."""
        key = f"{self.function}({', '.join(self.arguments)}) of {self.rule}"
        return Doubt(key, "is", True, False) if self.test(env) is None else None


@dataclass(frozen=True, slots=True)
class Shown:
    """A condition that must be shown: unsure counts as no."""

    inner: Condition

    def test(self, env: Env) -> bool | None:
        """Return yes or no."""
        return self.inner.test(env) is True

    def doubt(self, _env: Env) -> Doubt | None:
        """Return None: what is not shown does not hold."""
        return None


@dataclass(frozen=True, slots=True)
class Known:
    """Whether a number is known as a single value (or is undefined)."""

    name: str

    def test(self, env: Env) -> bool | None:
        """Return yes or no."""
        return not isinstance(env.number(self.name), dom.Range)

    def doubt(self, _env: Env) -> Doubt | None:
        """Return None: it is always known what is known."""
        return None


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    inner: Condition

    def test(self, env: Env) -> bool | None:
        """Return yes, no or None for unsure."""
        inner = self.inner.test(env)
        return None if inner is None else not inner

    def doubt(self, env: Env) -> Doubt | None:
        """Return what is undecided."""
        return self.inner.doubt(env)


@dataclass(frozen=True, slots=True)
class Every:
    """All of the parts (``and``)."""

    parts: tuple[Condition, ...]

    def test(self, env: Env) -> bool | None:
        """Return no as soon as one part fails, unsure where one is."""
        sure = True
        for part in self.parts:
            value = part.test(env)
            if value is False:
                return False
            sure = sure and value is True
        return True if sure else None

    def doubt(self, env: Env) -> Doubt | None:
        """Return what is undecided."""
        return _first_doubt(self.parts, env)


@dataclass(frozen=True, slots=True)
class Either:
    """One of the parts (``or``)."""

    parts: tuple[Condition, ...]

    def test(self, env: Env) -> bool | None:
        """Return yes as soon as one part holds, unsure where one is."""
        sure = True
        for part in self.parts:
            value = part.test(env)
            if value is True:
                return True
            sure = sure and value is False
        return False if sure else None

    def doubt(self, env: Env) -> Doubt | None:
        """Return what is undecided."""
        return _first_doubt(self.parts, env)


@dataclass(frozen=True, slots=True)
class Always:
    """Holds."""

    def test(self, _env: Env) -> bool | None:
        """Return yes."""
        return True

    def doubt(self, _env: Env) -> Doubt | None:
        """Return None."""
        return None


Condition = Compare | DateCompare | Member | Call | Shown | Known | Not | Every | Either | Always


def _first_doubt(parts: tuple[Condition, ...], env: Env) -> Doubt | None:
    return next((d for p in parts if p.test(env) is None and (d := p.doubt(env)) is not None), None)


def constants(condition: Condition) -> frozenset[str]:
    """Return every value that a condition names."""
    if isinstance(condition, Member):
        return condition.allowed
    if isinstance(condition, Every | Either):
        return frozenset().union(*(constants(part) for part in condition.parts))
    return constants(condition.inner) if isinstance(condition, Not | Shown) else frozenset()


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

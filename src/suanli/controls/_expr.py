"""The condition language of the rule files: conditions answered with yes, no or unsure. ``_parse`` reads them.

    tpp >= @a1_TPP or (tpp >= @a2_TPP and pd >= @a2_PD)
    destination in D5 and not h200_certifications
    date > 2026-12-31 and named(recipient_name, entities)

Names are facts, terms set by earlier rules, groups of countries and named conditions; ``@name`` is a parameter of the
rule itself. Nothing is executed: a condition is a tree of comparisons over what is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from suanli.controls import _domains as dom


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

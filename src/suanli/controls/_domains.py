"""What is known of a fact: a number, a range, or the set of values it may still have."""

from __future__ import annotations

import math
from dataclasses import dataclass

INF = math.inf
PLACES = 9
"""Decimal places to which computed ratios and sums are rounded, so that a border met exactly counts as met."""


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers from ``low`` to ``high``; an end that is ``open`` does not belong. Not known better than this."""

    low: float = 0.0
    high: float = INF
    low_open: bool = False
    high_open: bool = False

    @property
    def empty(self) -> bool:
        """Whether no number is left."""
        return self.low > self.high or (self.low == self.high and (self.low_open or self.high_open))


Number = float | Range
UNKNOWN_NUMBER = Range()


def as_range(value: Number) -> Range:
    """Return a number as a range of one."""
    return value if isinstance(value, Range) else Range(value, value)


def tidy(value: Range) -> Number:
    """Return a range of one value as that value."""
    return value.low if value.low == value.high and not value.empty else value


def both(a: Number, b: Number) -> Number:
    """Return what lies in ``a`` and in ``b`` (an empty range where nothing does)."""
    x, y = as_range(a), as_range(b)
    low, low_open = max((x.low, x.low_open), (y.low, y.low_open))
    high = min(x.high, y.high)
    high_open = any(r.high_open for r in (x, y) if r.high == high)
    return tidy(Range(low, high, low_open, high_open))


def _finite(value: float) -> float:
    return round(value, PLACES) if math.isfinite(value) else value


def add(a: Number, b: Number) -> Number:
    """Return ``a + b``."""
    x, y = as_range(a), as_range(b)
    return tidy(
        Range(_finite(x.low + y.low), _finite(x.high + y.high), x.low_open or y.low_open, x.high_open or y.high_open)
    )


def multiply(a: Number, b: Number) -> Number:
    """Return ``a * b`` of numbers that are not negative."""
    x, y = as_range(a), as_range(b)
    high = 0.0 if 0.0 in (x.high, y.high) else x.high * y.high
    return tidy(Range(_finite(x.low * y.low), _finite(high), x.low_open or y.low_open, x.high_open or y.high_open))


def divide(a: Number, b: Number) -> Number:
    """Return ``a / b`` of numbers that are not negative; a divisor that may be 0 leaves the quotient unbounded."""
    x, y = as_range(a), as_range(b)
    low = 0.0 if math.isinf(y.high) or x.low == 0 else x.low / y.high if y.high else INF
    high = 0.0 if x.high == 0 else INF if y.low == 0 or math.isinf(x.high) else x.high / y.low
    return tidy(Range(_finite(low), _finite(high), x.low_open or y.high_open, x.high_open or y.low_open))


def compare(op: str, value: Number, limit: float) -> bool | None:
    """Return whether ``value op limit`` holds, None where the range lies on both sides."""
    r = as_range(value)
    if op in {"<", ">="}:
        below = r.high < limit or (r.high == limit and r.high_open)
        above = r.low >= limit
        if below == above:
            return None
        return above if op == ">=" else below
    if op in {"<=", ">"}:
        below = r.high <= limit
        above = r.low > limit or (r.low == limit and r.low_open)
        if below == above:
            return None
        return above if op == ">" else below
    outside = compare(">=", r, limit) is False or compare("<=", r, limit) is False
    same = False if outside else True if r.low == r.high else None
    if op == "==" or same is None:
        return same
    return not same


def split(op: str, value: Number, limit: float) -> tuple[Number, Number]:
    """Return the parts of ``value`` for which ``value op limit`` holds and does not hold."""
    down, up = Range(-INF, limit, False, True), Range(limit, INF)
    if op in {"<=", ">"}:
        down, up = Range(-INF, limit), Range(limit, INF, True, False)
    yes, no = (up, down) if op in {">", ">="} else (down, up)
    return both(value, yes), both(value, no)


def show_range(value: Number, unit: str = "") -> str:
    """Return a number or range as short text: "4,800", "at least 1,600", "500 to below 900"."""
    r = as_range(value)
    tail = f" {unit}" if unit else ""
    if r.low == r.high:
        return f"{figure(r.low)}{tail}"
    if math.isinf(r.high):
        return f"{'above' if r.low_open else 'at least'} {figure(r.low)}{tail}"
    if r.low <= 0:
        return f"{'below' if r.high_open else 'at most'} {figure(r.high)}{tail}"
    start = "above " if r.low_open else ""
    return f"{start}{figure(r.low)} to {'below ' if r.high_open else ''}{figure(r.high)}{tail}"


def figure(value: float) -> str:
    """Return a number as text with at most six figures after the point and separators."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.6g}" if abs(value) < 1000 else f"{value:,.1f}"

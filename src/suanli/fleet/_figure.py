"""Sourced figures as a case writes them: a value with its unit as text, its range and where it was read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import core_schema

from suanli.errors import SuanliError, UnknownNameError, nearest
from suanli.quantities import currency, parse

CURRENCIES = ("USD", "CNY", "EUR", "MYR")


class Strict(BaseModel):
    """A part of a case: unknown fields are refused, values don't change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Dated(Strict):
    """A part that a view may not know yet."""

    known_from: Annotated[dt.date, Field(description="day from which a view may know it; absent: always")] | None = None


class Fig(Strict):
    """One figure: ``value`` (text with its unit, or a plain number), optional range, and the id of its source."""

    value: float | str = Field(description="the figure, with its unit as text")
    source: str = Field(description="id of an event, cost, rule, chip or own source")
    low: float | str | None = Field(default=None, description="low end of the range")
    high: float | str | None = Field(default=None, description="high end of the range")
    note: str = Field(default="", description="what a reader should know of it")

    @property
    def si(self) -> float:
        """The value in the field's unit."""
        return float(self.value)

    def ends(self) -> tuple[float, float]:
        """Return the range, (value, value) where none is stated."""
        low = self.si if self.low is None else float(self.low)
        high = self.si if self.high is None else float(self.high)
        return min(low, high), max(low, high)


class Money(Fig):
    """A sum of money in the currency its text begins with; ``si`` is the amount in that currency."""

    code: str = Field(default="", description="filled from the text")

    def ends(self) -> tuple[float, float]:
        """Return the range in the currency of the value."""
        return Fig.ends(self)


@dataclass(frozen=True, slots=True)
class In:
    """The unit a field is read in, and the range it may have; "money/h" is money in any currency per hour."""

    text: str
    low: float | None = 0.0
    high: float | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Return the schema of the field: its figure, read in the unit."""
        inner = handler(source)
        if not (isinstance(source, type) and issubclass(source, Fig)):
            return inner
        read = self._money if issubclass(source, Money) else self._figure
        return core_schema.no_info_after_validator_function(read, inner)

    def _figure(self, fig: Fig) -> Fig:
        unit = "" if self.text == "1" else self.text
        values = {name: _number(getattr(fig, name), unit) for name in ("value", "low", "high")}
        for name, value in values.items():
            if value is not None and self.low is not None and value < self.low:
                raise ValueError(f"{name} {value:g} is below {self.low:g} {unit}".rstrip())
            if value is not None and self.high is not None and value > self.high:
                raise ValueError(f"{name} {value:g} is above {self.high:g} {unit}".rstrip())
        return fig.model_copy(update=values)

    def _money(self, fig: Money) -> Money:
        per = self.text.removeprefix("money")
        code = currency(str(fig.value))
        if code is None:
            raise ValueError(f"'{fig.value}' names no currency; write 'USD 1.2 m{per}' ({', '.join(CURRENCIES)})")
        values: dict[str, Any] = {"code": code}
        for name in ("value", "low", "high"):
            value = getattr(fig, name)
            other = currency(str(value)) if isinstance(value, str) else code
            if other not in {code, None}:
                raise ValueError(f"{name} is in {other}, the value in {code}")
            values[name] = _number(value, f"{code}{per}")
            if values[name] is not None and values[name] < 0:
                raise ValueError(f"{name} is negative; money is zero or more")
        return fig.model_copy(update=values)


def _number(value: float | str | None, unit: str) -> float | None:
    if value is None or isinstance(value, float):
        return value
    try:
        return parse(str(value), unit)
    except SuanliError as error:
        raise ValueError(str(error)) from error


def _month(value: Any) -> Any:
    if isinstance(value, dt.date):
        return value.strftime("%Y-%m")
    if isinstance(value, str):
        try:
            return dt.date.fromisoformat(f"{value}-01" if len(value) == 7 else value).strftime("%Y-%m")
        except ValueError as error:
            raise ValueError(f"'{value}' is not a month such as 2025-01") from error
    raise ValueError("write a month such as 2025-01")


Month = Annotated[str, In("month"), BeforeValidator(_month)]


def ordinal(month: str) -> int:
    """Return the number of ``month`` ("2025-01") counted from year 0."""
    return int(month[:4]) * 12 + int(month[5:7]) - 1


def month_of(number: int) -> str:
    """Return the month that ``ordinal`` gave ``number``."""
    return f"{number // 12:04d}-{number % 12 + 1:02d}"


def first_day(month: str) -> dt.date:
    """Return the first day of ``month``."""
    return dt.date(int(month[:4]), int(month[5:7]), 1)


def unknown_part(kind: str, name: str, known: Sequence[str]) -> UnknownNameError:
    """Return the error for a ``kind`` that the case does not have."""
    close = nearest(name, known)
    hint = f"did you mean '{close}'?" if close else f"the case has {', '.join(known) or 'none'}"
    return UnknownNameError(f"unknown {kind} '{name}'; {hint}")

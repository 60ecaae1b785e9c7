"""Currencies, rents over time, values of used hardware, and the cost of a token."""

from __future__ import annotations

import datetime as dt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.catalog import Cost, costs, rents
from suanli.economics._defaults import default
from suanli.errors import InputError, unknown_name
from suanli.quantities import HOUR, YEAR
from suanli.sources import Sourced

Array = NDArray[np.float64]

NEAR_DAYS = 45  # a rate of a day stands for the weeks around it


def exchange_rate(day: str | dt.date, code: str = "CNY") -> Sourced:
    """Return how many ``code`` a US dollar bought on ``day`` (ISO): a rate dated within 45 days, else the year's mean.

    Failing both, the latest rate before. Raises UnknownNameError for the currency, InputError for a day that is
    none or lies before all rates.
    """
    when = _day(day)
    quoted = [c for c in costs("currency") if c.unit == f"{code}/USD"]
    if not quoted:
        raise unknown_name("currency", code, sorted({c.unit.partition("/")[0] for c in costs("currency")}))
    dated = [c for c in quoted if c.date]
    nearest = min(dated, key=lambda c: _distance(c, when), default=None)
    if nearest is not None and _distance(nearest, when) <= NEAR_DAYS:
        return nearest.sourced()
    for row in quoted:
        if not row.date and row.year == when.year:
            return row.sourced()
    before = [c for c in quoted if _stands(c) <= when]
    if not before:
        raise InputError(f"no {code} rate up to {when.isoformat()}; the first is of {min(map(_stands, quoted))}")
    return max(before, key=_stands).sourced()


def _day(day: str | dt.date) -> dt.date:
    if isinstance(day, dt.date):
        return day
    try:
        return dt.date.fromisoformat(day)
    except ValueError as error:
        raise InputError(f"'{day}' is no date; write it as 2025-01-22") from error


def _stands(row: Cost) -> dt.date:
    return _day(row.date) if row.date else dt.date(row.year or 9999, 7, 1)  # a year's mean stands in its middle


def _distance(row: Cost, when: dt.date) -> int:
    return abs((_day(row.date) - when).days)


def rent(chip: str, when: ArrayLike, *, region: str | None = None, term: str | None = None) -> Array:
    """Return the rent of ``chip`` (USD per chip-hour) at the times ``when`` (years, 2025.5 is the first of July).

    Yearly figures of the catalogue stand in the middle of their year; between them the rent runs straight, after the
    last it stays. Raises InputError for a chip without rents or a time more than half a year before the first.
    """
    times = np.atleast_1d(np.asarray(when, dtype=np.float64))
    known = rents(chip, region=region, term=term)
    if not known:
        raise InputError(f"no rent of {chip} is known" + (f" in {region}" if region else ""))
    years = sorted(known)
    if np.any(times < years[0]):
        raise InputError(f"no rent of {chip} is known before {years[0]}")
    out: Array = np.interp(times, [y + 0.5 for y in years], [known[y].value for y in years])
    return out


def book_value(price: ArrayLike, age: ArrayLike, life: ArrayLike | None = None) -> Array:
    """Return the straight-line book value (USD) of ``price`` at ``age`` (s) over ``life`` (s, default sourced)."""
    span = np.asarray(default("life").value if life is None else life, dtype=np.float64)
    left = np.clip(1.0 - np.asarray(age, dtype=np.float64) / span, 0.0, 1.0)
    out: Array = np.atleast_1d(np.asarray(price, dtype=np.float64) * left)
    return out


def resale_value(price: ArrayLike, age: ArrayLike, *, decline: ArrayLike | None = None) -> Array:
    """Return the market value (USD) of hardware bought at ``price`` after ``age`` (s): price x 10^(-decline x years).

    ``decline`` is in orders of magnitude a year; its default is Epoch AI's fit of chip prices against performance.
    """
    fall = np.asarray(default("value_decline").value if decline is None else decline, dtype=np.float64)
    years = np.asarray(age, dtype=np.float64) / YEAR
    out: Array = np.atleast_1d(np.asarray(price, dtype=np.float64) * 10.0 ** (-fall * years))
    return out


def cost_per_million_tokens(
    usd_per_chip_hour: ArrayLike, tokens_per_s_per_chip: ArrayLike, *, utilisation: ArrayLike = 1.0
) -> Array:
    """Return USD per million tokens: chip-hours paid over tokens made in the share ``utilisation`` of the time.

    Raises InputError for a rate or utilisation of 0 or below, or a utilisation above 1.
    """
    rate = np.asarray(tokens_per_s_per_chip, dtype=np.float64)
    used = np.asarray(utilisation, dtype=np.float64)
    if np.any(rate <= 0.0):
        raise InputError("tokens per second: must be above 0")
    if np.any(used <= 0.0) or np.any(used > 1.0):
        raise InputError("utilisation: must be above 0 and at most 1")
    out: Array = np.atleast_1d(np.asarray(usd_per_chip_hour, dtype=np.float64) / HOUR / (rate * used) * 1e6)
    return out

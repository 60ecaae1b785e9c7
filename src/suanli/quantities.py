"""Units at the edges: "3.35 TB/s" <-> 3.35e12. Inside, all numbers are plain SI floats."""

from __future__ import annotations

import math
import re
from functools import cache, lru_cache
from typing import Any

from suanli.errors import InputError

HOUR = 3600.0
DAY = 86400.0
YEAR = 365.25 * DAY
MONTH = YEAR / 12.0
MIB, GIB = 1024.0**2, 1024.0**3
KB, MB, GB = 1e3, 1e6, 1e9
MM2 = 1e-6  # m²
KWH = 3.6e6  # J

_DEFINITIONS = (
    "flop = [operation] = FLOP = FLOPS_count = op = OP",
    "token = [token] = tok",
    "request = [request] = req",
    "chip = [chip] = GPU = NPU",
    "user = [user]",
    "wafer = [wafer]",
    "part = [part] = stack = package",
    "USD = [money_usd] = usd",
    "CNY = [money_cny] = cny = RMB",
    "EUR = [money_eur] = eur",
    "MYR = [money_myr] = myr",
)
_SCALES = {
    "k": 1e3,
    "thousand": 1e3,
    "m": 1e6,
    "mn": 1e6,
    "million": 1e6,
    "bn": 1e9,
    "billion": 1e9,
    "tn": 1e12,
}
_MONEY = re.compile(
    r"^\s*(?P<cur>USD|CNY|EUR|MYR)\s*(?P<num>[-+0-9.,eE_]+)\s*(?P<scale>k|thousand|mn|million|m|bn|billion|tn)?"
    r"(?P<per>\s*/.*)?\s*$"
)
_OPS = re.compile(r"\b([kMGTPE]?)(?:FLOPS|FLOP/s|OPS)\b")
_PLAIN = re.compile(r"\s*(?P<num>[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*(?P<first>[A-Za-z]+)(?P<rest>(?:/[A-Za-z]+)*)\s*")
_SCALED = {
    f"{prefix}{unit}": (unit, factor)
    for unit, prefixes in (
        *((unit, {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}) for unit in ("B", "W", "flop", "Hz")),
        ("s", {"m": 1e-3, "u": 1e-6, "n": 1e-9}),
    )
    for prefix, factor in prefixes.items()
} | {"percent": ("", 0.01), "byte": ("B", 1.0), "KiB": ("B", 1024.0), "MiB": ("B", MIB), "GiB": ("B", GIB)}
"""Units that are others with a prefix or by another name: (the other, its factor)."""


@cache
def _registry() -> Any:
    import pint

    registry: Any = pint.UnitRegistry(autoconvert_offset_to_baseunit=False)
    for line in _DEFINITIONS:
        registry.define(line)
    return registry


def _spell(text: str) -> str:
    """Return ``text`` in the spelling that pint reads."""
    money = _MONEY.match(text)
    if money:
        number = float(money["num"].replace(",", "").replace("_", "")) * _SCALES.get(money["scale"] or "", 1.0)
        text = f"{number!r} {money['cur']}{money['per'] or ''}"
    text = _OPS.sub(r"\1flop/s", text)
    text = re.sub(r"\b([kMGTPE]?)FLOP\b", r"\1flop", text)
    text = text.replace("²", "2").replace("µ", "u").replace("·", "*").replace("%", " percent")
    return re.sub(r"(?<![A-Za-z])(mm|cm|um|nm|m)([23])\b", r"\1**\2", text)


def _in_its_unit(text: str, unit: str) -> float | None:
    """Return the number of a spelled ``text`` that names the very ``unit`` asked for, prefixes aside; else None.

    Most figures are written so, and need none of the third of a second in which pint gets ready.
    """
    found, asked = _PLAIN.fullmatch(text), _PLAIN.fullmatch(f"1 {unit}") if unit else None
    if found is None or (unit and asked is None):
        return None
    base, factor = _SCALED.get(found["first"], (found["first"], 1.0))
    wanted, scale = _SCALED.get(asked["first"], (asked["first"], 1.0)) if asked else ("", 1.0)
    if (base, found["rest"]) != (wanted, asked["rest"] if asked else ""):
        return None
    try:
        return float(found["num"]) * (factor / scale)
    except ValueError:  # such as 1.2.3
        return None


@lru_cache(maxsize=4096)
def parse(text: str, unit: str) -> float:
    """Return the quantity written in ``text`` as a float in ``unit`` (SI inside: "B/s", "FLOP/s", "W", "m2").

    A bare number is taken to be in ``unit`` already.
    Raises InputError where ``text`` is no quantity or is of another dimension than ``unit``.
    """
    try:
        value = float(text)
    except ValueError as error:
        if not text.strip():
            raise InputError(f"'{text}' is not a quantity; write a number and a unit such as '1 {unit}'") from error
    else:
        return _finite(value, text)
    spelled = _spell(text)
    plain = _in_its_unit(spelled, _spell(unit))
    if plain is not None:
        return _finite(plain, text)
    ureg = _registry()
    target = ureg.parse_units(_spell(unit)) if unit else ureg.dimensionless
    try:
        quantity = ureg.parse_expression(spelled)
        if not isinstance(quantity, ureg.Quantity):
            quantity = ureg.Quantity(quantity, "")
    except Exception as error:
        raise InputError(f"'{text}' is not a quantity; write a number and a unit such as '1 {unit}'") from error
    if quantity.dimensionality != target.dimensionality:
        raise InputError(f"'{text}' has the wrong kind of unit; expected one like '{unit or 'a plain number'}'")
    return _finite(float(quantity.to(target).magnitude), text)


def _finite(value: float, text: str) -> float:
    if not math.isfinite(value):
        raise InputError(f"'{text}' is not a finite number")
    return value


def currency(text: str) -> str | None:
    """Return the currency code that ``text`` ("CNY 24 bn") begins with, or None."""
    found = _MONEY.match(text)
    return found["cur"] if found else None


_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
_SMALL = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


def show(value: float | None, unit: str, *, digits: int = 3) -> str:
    """Return ``value`` (in ``unit``, an SI unit) as short text with a metric prefix; None is "unknown".

    Money is shown as "USD 1.20 bn", areas as mm², shares ("%") as per cent, seconds below one with a prefix.
    """
    if value is None:
        return "unknown"
    if unit in {"USD", "CNY", "EUR", "MYR"}:
        return show_money(value, unit, digits=digits)
    if unit in {"m2", "m²"}:
        return f"{_digits(value / MM2, digits)} mm²"
    if unit == "%":
        return f"{_digits(100.0 * value, digits)} %"
    if unit == "s":
        return _show_seconds(value, digits)
    size = abs(value)
    for factor, prefix in _PREFIXES:
        if size >= factor or factor == 1.0:
            return f"{_digits(value / factor, digits)} {prefix}{unit}".rstrip()
    raise AssertionError("unreachable")


def show_money(value: float, code: str, *, digits: int = 3) -> str:
    """Return money as "USD 1.20 bn"."""
    size = abs(value)
    for factor, word in ((1e9, " bn"), (1e6, " m"), (1e3, " k"), (1.0, "")):
        if size >= factor:
            return f"{code} {_digits(value / factor, digits)}{word}"
    return f"{code} {_digits(value, digits)}"


def show_billions(usd: float, low: float, high: float) -> str:
    """Return USD and their interval in billions, as "USD 2.0 bn (1.0 to 3.5)"."""
    return f"USD {usd / 1e9:.1f} bn ({low / 1e9:.1f} to {high / 1e9:.1f})"


def _show_seconds(value: float, digits: int) -> str:
    size = abs(value)
    if size >= 2 * DAY:
        return f"{_digits(value / DAY, digits)} d"
    if size >= 2 * HOUR:
        return f"{_digits(value / HOUR, digits)} h"
    for factor, prefix in _SMALL:
        if size >= factor:
            return f"{_digits(value / factor, digits)} {prefix}s"
    return f"{_digits(value, digits)} s" if size == 0 else f"{_digits(value / 1e-9, digits)} ns"


def _digits(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 10**digits:
        return f"{value:,.0f}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(places, 12)}f}"

"""The facts that a screening may state: names, kinds, allowed values, what is assumed where one is absent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from suanli.catalog import rulebook_path
from suanli.controls._domains import Range
from suanli.errors import InputError, UnknownNameError, nearest, unknown_name

_FLAGS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}


@dataclass(frozen=True, slots=True)
class Fact:
    """One entry of the vocabulary. ``default`` None is unknown."""

    name: str
    kind: str
    text: str
    unit: str = ""
    values: tuple[str, ...] = ()
    default: Any = None
    same_as: str = ""


def _packaged(name: str) -> Any:
    import suanli.catalog

    return json.loads((Path(suanli.catalog.__file__).parent / "data" / "rules" / name).read_text(encoding="utf-8"))


def packaged_rules() -> Path:
    """Return the path of the rule book that ships, in the form that is quick to read."""
    import suanli.catalog

    return Path(suanli.catalog.__file__).parent / "data" / "rules" / "rules.json"


def user_rules() -> Path | None:
    """Return the user's own rule file, or None where the catalogue's own is in use."""
    path = rulebook_path()
    return None if path.parent == packaged_rules().parent else path


@cache
def vocabulary() -> Mapping[str, Fact]:
    """Return every column, fact and computed name by its name."""
    data = _packaged("facts.json")
    out = {}
    for entry in (*data["columns"], *data["facts"], *data["computed"]):
        out[entry["name"]] = Fact(**{**entry, "values": tuple(entry.get("values", ()))})
    return out


@cache
def columns() -> tuple[str, ...]:
    """Return the names of the columns of a query, without its facts."""
    return tuple(entry["name"] for entry in _packaged("facts.json")["columns"])


@cache
def activities() -> Mapping[str, str]:
    """Return each act with what it means."""
    found: Mapping[str, str] = _packaged("facts.json")["activities"]
    return found


@cache
def outcome_texts() -> Mapping[str, str]:
    """Return each outcome in plain words."""
    found: Mapping[str, str] = _packaged("facts.json")["outcomes"]
    return found


@cache
def countries() -> Mapping[str, str]:
    """Return ISO 3166-1 alpha-2 code -> name."""
    found: Mapping[str, str] = _packaged("countries.json")["names"]
    return found


@cache
def _counts_as() -> Mapping[str, str]:
    found: Mapping[str, str] = _packaged("countries.json")["counts_as"]
    return found


@cache
def _also_written() -> Mapping[str, str]:
    found: Mapping[str, str] = _packaged("countries.json")["also_written"]
    return found


@cache
def all_places() -> frozenset[str]:
    """Return the codes that a place may take in a condition (Hong Kong counts as China)."""
    return frozenset(_counts_as().get(code, code) for code in countries())


def country(text: str) -> str:
    """Return ``text`` as the code that counts in the rules: HK as CN, territories of the US as US.

    Raises UnknownNameError for a code that is not ISO 3166-1 alpha-2, with the nearest code or name.
    """
    code = text.strip().upper()
    if code in countries():
        return _counts_as().get(code, code)
    by_name = {name.casefold(): code for code, name in countries().items()}
    found = by_name.get(text.strip().casefold())
    if found is not None:
        return _counts_as().get(found, found)
    close = nearest(text, by_name) if len(code) > 2 else None
    meant = by_name[close] if close else _also_written().get(code) or nearest(code, countries())
    hint = f"; did you mean {meant} ({countries()[meant]})?" if meant else ""
    raise UnknownNameError(f"unknown country code '{text}': ISO 3166-1 alpha-2 codes are used{hint}")


def parse_fact(name: str, text: str) -> Any:
    """Return the value of the fact ``name`` written as ``text``: number or ``low..high``, flag, choice, code, list.

    Raises UnknownNameError for a name and InputError for a value outside the vocabulary.
    """
    known = vocabulary()
    if name not in known or (known[name].kind == "choice" and not known[name].values):
        raise unknown_name("fact", name, known)
    fact = known[name]
    if fact.kind == "number":
        return _number(name, text)
    if fact.kind == "numbers":
        return tuple(_number(name, part) for part in text.split("|"))
    if fact.kind == "flag":
        if text not in _FLAGS:
            raise InputError(f"fact {name}: '{text}' is neither 0 nor 1")
        return _FLAGS[text]
    if fact.kind == "country":
        return country(text)
    if fact.kind == "choice" and text not in fact.values:
        close = nearest(text, fact.values)
        hint = f"; did you mean '{close}'?" if close else f"; allowed: {', '.join(fact.values)}"
        raise InputError(f"fact {name}: unknown value '{text}'{hint}")
    return text


def clean_fact(name: str, value: Any) -> Any:
    """Return ``value`` of the fact ``name`` as the rules hold it: text is read, numbers, flags and lists are checked.

    Raises InputError for a value that is none of the fact.
    """
    if isinstance(value, str):
        return parse_fact(name, value)
    fact = vocabulary()[name]
    if fact.kind == "numbers" and isinstance(value, list | tuple):
        return tuple(_checked(name, share) for share in value)
    if fact.kind == "number" and not isinstance(value, bool):
        return _checked(name, value)
    if fact.kind in {"flag", "choice"} and isinstance(value, int):
        return parse_fact(name, str(int(value)))
    raise InputError(f"fact {name}: {value!r} is not a {'number' if fact.kind == 'number' else fact.kind}")


def _checked(name: str, value: Any) -> float | Range:
    if isinstance(value, Range):
        return _ordered(name, value, f"{value.low}..{value.high}", open_end=True)
    if not isinstance(value, int | float):
        raise InputError(f"fact {name}: {value!r} is not a number")
    return _ordered(name, float(value), str(value))


def _number(name: str, text: str) -> float | Range:
    low, dots, high = text.partition("..")
    try:
        found = float(low) if not dots else Range(float(low), float(high))
    except ValueError:
        raise InputError(f"fact {name}: '{text}' is not a number (or a range 'low..high')") from None
    return _ordered(name, found, text)


def _ordered(name: str, found: float | Range, text: str, *, open_end: bool = False) -> float | Range:
    low, high = (found.low, found.high) if isinstance(found, Range) else (found, found)
    if not 0 <= low <= high or (high == float("inf") and not open_end):
        raise InputError(f"fact {name}: '{text}' is negative, not finite or upside down")
    return found


def parse_facts(text: str) -> dict[str, Any]:
    """Return ``key=value;key=value`` as facts. Raises InputError for a pair that is none or comes twice."""
    out: dict[str, Any] = {}
    for pair in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"facts: '{pair}' is no key=value pair")
        if name in out:
            raise InputError(f"facts: '{name}' is stated twice")
        out[name] = parse_fact(name, value)
    return out

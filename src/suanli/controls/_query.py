"""A question to the rules: an item, places, parties, an act, a date, and facts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from suanli.controls import _domains as dom
from suanli.controls._domains import Number, Range
from suanli.controls._vocabulary import activities, all_places, clean_fact, columns, parse_fact, parse_facts, vocabulary
from suanli.errors import InputError, unknown_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is asked. None and "" mean unknown; a number may be a ``Range``. ``facts`` are as the vocabulary lists.

    Units: TPP in tera-operations/s x bit, areas in mm², bandwidths in GB/s, ``transistors_bn`` in 1e9. ``listed_party``
    is ``name|list|footnote`` of a party listed by name on the date; ``tpp_by_format`` only explains ``tpp``,
    ``figures_verified`` (source, mixed, derived, memory) says how the item's figures were had.
    """

    date: str
    activity: str = "export"
    ship_from: str = "US"
    destination: str = ""
    supplier: str = ""
    chip: str = ""
    tpp: Number | None = None
    die_area_mm2: Number | None = None
    pd: Number | None = None
    nonplanar: int | None = None
    transfer_rate_gbs: Number | None = None
    mem_bw_gbs: Number | None = None
    has_hbm: int | None = None
    hbm_density_gbs_mm2: Number | None = None
    transistors_bn: Number | None = None
    designed_for_datacenter: int | None = None
    quantity: Number | None = None
    aggregate_tpp: Number | None = None
    end_user_hq: str = ""
    ultimate_parent_hq: str = ""
    listed_party: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    tpp_by_format: Mapping[str, float] = field(default_factory=dict)
    figures_verified: str = ""


def query_of_row(row: Mapping[str, Any]) -> Query:
    """Return the query that a row of a case table states, from its structured columns and ``facts`` alone.

    Raises InputError for a value outside the vocabulary.
    """
    stated: dict[str, Any] = {"date": str(row["date"]), "activity": str(row["activity"]), "ship_from": ""}
    for name in columns():
        text = row.get(name)
        if text is None or str(text).strip() == "":
            continue
        stated[name] = str(text) if name == "listed_party" else parse_fact(name, str(text).strip())
    return Query(facts=parse_facts(str(row.get("facts") or "")), **stated)


_DERIVED = ("tpp", "die_area_mm2", "pd", "aggregate_tpp")


@dataclass(frozen=True, slots=True)
class Known:
    """A query made ready: numbers, sets of values that choices may take, names; what is more than a default."""

    date: str
    numbers: Mapping[str, Number]
    values: Mapping[str, frozenset[str]]
    texts: Mapping[str, str]
    activity: str
    stated: frozenset[str]


def ready(query: Query, first_day: str) -> Known:
    """Return ``query`` with every default of the vocabulary filled in.

    Raises InputError for a date that is none or before ``first_day``, an unknown activity, fact or country.
    """
    _check_date(query.date, first_day)
    if query.activity not in activities():
        raise unknown_name("activity", query.activity, activities())
    stated = _stated(query)
    numbers: dict[str, Number] = {}
    values: dict[str, frozenset[str]] = {"activity": frozenset({query.activity})}
    texts: dict[str, str] = {}
    for name, fact in vocabulary().items():
        value = stated.get(name, fact.default)
        if value is None and fact.same_as:
            value = stated.get(fact.same_as)
        if fact.kind == "number":
            numbers[name] = dom.UNKNOWN_NUMBER if value is None else value
        elif fact.kind == "flag":
            values[name] = frozenset({"0", "1"}) if value is None else frozenset({str(value)})
        elif fact.kind == "country":
            values[name] = all_places() if value is None else frozenset({value})
        elif fact.kind == "choice" and fact.values:
            values[name] = frozenset(fact.values if value is None else {value})
        elif fact.kind == "text":
            texts[name] = value or ""
    if "designer_hq" in stated and "designer_parent_hq" not in stated:
        values["designer_parent_hq"] = values["designer_hq"]
    _parties(query.listed_party, values, texts)
    _arithmetic(stated, numbers, values)
    stated_names = frozenset(stated) | frozenset(n for n in _DERIVED if numbers[n] is not dom.UNKNOWN_NUMBER)
    return Known(query.date, numbers, values, texts, query.activity, stated_names)


def density(known: Known) -> Number | None:
    """Return the performance density in TPP/mm²: TPP over area, the stated one without an area, None if planar."""
    if known.values["nonplanar"] == {"0"}:
        return None
    if known.numbers["die_area_mm2"] is dom.UNKNOWN_NUMBER and known.numbers["pd"] is not dom.UNKNOWN_NUMBER:
        return known.numbers["pd"]
    return dom.divide(known.numbers["tpp"], known.numbers["die_area_mm2"])


def _check_date(text: str, first_day: str) -> None:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        raise InputError(f"date: '{text}' is no day of the form 2025-04-15") from None
    if len(text) != 10:
        raise InputError(f"date: '{text}' is no day of the form 2025-04-15")
    if text < first_day:
        raise InputError(f"date: {text} is before {first_day}: no rule here is so old")


def _stated(query: Query) -> dict[str, Any]:
    """Return what the query states, by vocabulary name; a fact may also fill or narrow a column."""
    out: dict[str, Any] = {}
    known = vocabulary()
    for name in columns():
        value = getattr(query, name)
        if value is not None and value != "" and name != "listed_party":
            out[name] = value if known[name].kind == "text" else clean_fact(name, value)
    for name, value in query.facts.items():
        if name not in known:
            raise unknown_name("fact", name, known)
        out[name] = clean_fact(name, value)
    return out


def _parties(listed: str, values: dict[str, frozenset[str]], texts: dict[str, str]) -> None:
    parts = listed.split("|")
    if listed and len(parts) != 3:
        raise InputError(f"listed_party: '{listed}' is not name|list|footnote")
    name, on, footnote = parts if listed else ("", "none", "none")
    for key, value in (("party_list", on), ("party_footnote", footnote)):
        allowed = vocabulary()[key].values
        if value not in allowed:
            raise InputError(f"listed_party: '{value}' is none of {', '.join(allowed)}")
        values[key] = frozenset({value})
    texts["listed_name"] = name


def _arithmetic(stated: Mapping[str, Any], numbers: dict[str, Number], values: dict[str, frozenset[str]]) -> None:
    """Fill sums, products and data-sheet figures into ``numbers``; the density is computed where it is asked for."""
    for total, each in (("tpp", "tpp_per_die"), ("die_area_mm2", "area_per_die_mm2")):
        if total not in stated and each in stated and "logic_dies" in stated:
            numbers[total] = dom.multiply(numbers["logic_dies"], numbers[each])
    sheet: Number = dom.UNKNOWN_NUMBER
    if "attested_tpp_below" in stated:
        sheet = Range(0.0, dom.as_range(stated["attested_tpp_below"]).high, False, True)
    sheet = stated.get("attested_tpp", sheet)
    numbers["data_sheet_tpp"] = sheet
    if numbers["tpp"] is dom.UNKNOWN_NUMBER:
        numbers["tpp"] = sheet
    if "die_area_mm2" not in stated and "pd" not in stated and "attested_pd" in stated:
        numbers["pd"] = stated["attested_pd"]
    if "nonplanar" not in stated and dom.as_range(stated.get("die_area_mm2", 0.0)).low > 0:
        values["nonplanar"] = frozenset({"1"})
    if "aggregate_tpp" not in stated and "quantity" in stated:
        numbers["aggregate_tpp"] = dom.multiply(numbers["quantity"], numbers["tpp"])
    shares = stated.get("listed_owner_shares", ())
    owned: Number = 0.0
    for share in shares:
        owned = dom.add(owned, share)
    named = stated.get("listed_owner_names") or stated.get("listed_owner_list", "none") != "none"
    numbers["listed_ownership"] = owned if shares or not named else Range(0.0, 1.0)

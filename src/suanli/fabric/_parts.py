"""Switch boxes and optical modules: what they draw and cost, with what is not known said in words."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from suanli import catalog
from suanli.errors import InputError, UnknownNameError
from suanli.kinds import Switch

_PLUGGABLE = 1e11  # B/s: an 800G module, in which optics' watts are stated


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A price in USD with its range."""

    low: float
    mid: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A switch box or one module: W and USD, None where unknown; ``remarks`` say what was taken for what."""

    item: Switch
    power_w: float | None
    price: Range | None
    remarks: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


def switch_item(name: str) -> Switch:
    """Return the switch ``name``. Raises InputError for an optical module."""
    found = catalog.switch(name)
    if found.kind == "optics":
        raise InputError(f"'{name}' is an optical module, not a switch; 'suanli switches list' names both")
    return found


def optics_item(name: str) -> Switch:
    """Return the optical module ``name``; "bailly" and "800g-dr8" stand for "opt-cpo-bailly" and "opt-800g-dr8".

    Raises UnknownNameError.
    """
    for spelling in (name, f"opt-cpo-{name}", f"opt-{name}"):
        try:
            found = catalog.switch(spelling)
        except UnknownNameError:
            continue
        if found.kind == "optics":
            return found
    modules = ", ".join(s.id for s in catalog.switches() if s.kind == "optics")
    raise UnknownNameError(f"unknown optics '{name}'; known: {modules}")


def default_optics(item: Switch) -> str:
    """Return the optics that fit ``item``: its own engines where they are packaged with it, else 800G DR8 modules."""
    if "cpo" in item.optics.casefold()[:4]:
        for part in catalog.switches():
            name = part.id.removeprefix("opt-cpo-")
            if part.kind == "optics" and part.optics == "CPO" and name in item.id:
                return part.id
        return "opt-cpo-nvidia"
    return "opt-800g-dr8"


def box(item: Switch) -> Part:
    """Return the box around the switch ``item``, without optics."""
    row = _boxes().get(item.id, {})
    priced = _boxes().get(row.get("silicon", ""), {})
    remarks, sources = [], [item.source.ref]
    power: float | None = None
    if row.get("box_power_w"):
        power = float(row["box_power_w"])
        sources.append(row["power_source"])
    elif item.system_power_w is not None:
        power = item.system_power_w
        remarks.append(f"{item.id}: the stated {power:,.0f} W of the box may hold some optics")
    else:
        remarks.append(f"{item.id}: power of the box unknown")
    price: Range | None = None
    if priced.get("price_mid_usd"):
        low, mid, high = (float(priced[f"price_{k}_usd"]) for k in ("low", "mid", "high"))
        price = Range(low=low, mid=mid, high=high)
        sources.append(priced["price_source"])
        if priced["switch"] != item.id:
            remarks.append(f"{item.id}: unpriced, the box of its silicon ({priced['switch']}) taken, optics apart")
    elif item.price_usd is not None and not row:
        price = Range(low=0.7 * item.price_usd, mid=item.price_usd, high=1.5 * item.price_usd)
        remarks.append(f"{item.id}: one price known, -30 % to +50 % taken as its range")
    else:
        remarks.append(f"{item.id}: price of the box unknown")
    return Part(item=item, power_w=power, price=price, remarks=tuple(remarks), sources=tuple(sources))


def module(item: Switch) -> Part:
    """Return one optical module ``item``; unpriced co-packaged engines at the range of pluggables of their rate."""
    rate = item.bandwidth or _PLUGGABLE
    power = None if item.optics_w_per_800g is None else item.optics_w_per_800g * rate / _PLUGGABLE
    remarks = [] if power is not None else [f"{item.id}: power unknown"]
    price: Range | None = None
    sources = [item.source.ref]
    if item.price_usd is not None:
        price = _around(item)
    elif item.optics == "CPO":
        linear, dsp = catalog.cost("CS-800g-lpo"), catalog.cost("CS-800g")
        each = rate / _PLUGGABLE
        low, high = linear.low or linear.value, dsp.high or dsp.value
        price = Range(low=each * low, mid=each * linear.value, high=each * high)
        sources += [linear.source.ref, dsp.source.ref]
        remarks.append(f"{item.id}: no price published; that of pluggable 800G modules of the same capacity taken")
    else:
        remarks.append(f"{item.id}: price unknown")
    return Part(item=item, power_w=power, price=price, remarks=tuple(remarks), sources=tuple(sources))


def _around(item: Switch) -> Range:
    """Return the price of a module with the range of the cost table, or -30 % to +40 % where that has none."""
    assert item.price_usd is not None
    names = {"opt-800g-dr8": "CS-800g", "opt-800g-lpo": "CS-800g-lpo", "opt-400g-dr4": "CS-400g"}
    if item.id in names:
        known = catalog.cost(names[item.id])
        bounds = [item.price_usd, known.value, *(b for b in (known.low, known.high) if b is not None)]
        return Range(low=min(bounds), mid=known.value, high=max(bounds))
    return Range(low=0.7 * item.price_usd, mid=item.price_usd, high=1.4 * item.price_usd)


@cache
def _boxes() -> dict[str, dict[str, str]]:
    path = Path(__file__).parent / "data" / "boxes.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return {row["switch"]: row for row in csv.DictReader(file)}

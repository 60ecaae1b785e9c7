"""What an owned chip costs by the hour: hardware, network, hall, electricity and upkeep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.catalog import price, rent, resolve_chip
from suanli.economics._defaults import default
from suanli.economics._site import building_cost, electricity, pue
from suanli.errors import InputError, UnknownNameError
from suanli.kinds import Chip
from suanli.quantities import HOUR, YEAR
from suanli.sources import Figure, Sourced

Array = NDArray[np.float64]

NO_RATE = 1e-12  # a yearly rate too small to tell from none

PARTS = ("hardware", "network", "hall", "electricity", "hardware upkeep", "site upkeep")


@dataclass(frozen=True, slots=True)
class HourlyCost:
    """Cost in USD per chip-hour: ``total`` and the ``parts`` that add up to it, all of one shape."""

    total: Array
    parts: Mapping[str, Array]


def per_hour(capital: ArrayLike, life: ArrayLike, *, residual: ArrayLike = 0.0, rate: ArrayLike = 0.0) -> Array:
    """Return what ``capital`` (USD) costs an hour over ``life`` (s) down to ``residual`` (a share of it).

    Straight line at ``rate`` 0; at an interest ``rate`` a year the annuity that pays capital less the residual's
    present value back in equal parts: c (1 - R (1+r)^-n) r / (1 - (1+r)^-n).
    """
    c, n = np.asarray(capital, dtype=np.float64), np.asarray(life, dtype=np.float64) / YEAR
    r, rest = np.asarray(rate, dtype=np.float64), np.asarray(residual, dtype=np.float64)
    lent = r > NO_RATE
    growth = n * np.log1p(np.where(lent, r, 0.0))  # log1p and expm1, since a small rate would drown in rounding
    annuity = c * (1.0 - rest * np.exp(-growth)) * r / np.where(lent, -np.expm1(-growth), 1.0)
    yearly = np.where(lent, annuity, c * (1.0 - rest) / n)
    out: Array = np.atleast_1d(yearly * (HOUR / YEAR))
    return out


def energy_per_hour(power_w: ArrayLike, pue: ArrayLike, electricity: ArrayLike) -> Array:
    """Return the cost (USD/h) of ``power_w`` of IT load in a hall of ``pue``, at ``electricity`` in USD/kWh."""
    out: Array = np.atleast_1d(
        np.asarray(power_w, dtype=np.float64) / 1e3 * np.asarray(pue) * np.asarray(electricity, dtype=np.float64)
    )
    return out


def owned_cost_per_hour(
    *,
    server_usd: ArrayLike,
    power_w: ArrayLike,
    electricity: ArrayLike,
    pue: ArrayLike,
    building_usd_per_w: ArrayLike,
    network_share: ArrayLike | None = None,
    load: ArrayLike | None = None,
    upkeep_share: ArrayLike | None = None,
    site_upkeep: ArrayLike | None = None,
    life: ArrayLike | None = None,
    building_life: ArrayLike | None = None,
    residual: ArrayLike = 0.0,
    rate: ArrayLike = 0.0,
) -> HourlyCost:
    """Return what owning one chip costs an hour, arrays over candidates; a None takes the sourced default.

    ``server_usd`` and ``power_w`` are the chip's share of its server (USD; W at design load), ``electricity`` is in
    USD/kWh, ``building_usd_per_w`` in USD a watt of IT load, ``network_share`` is the network's part of servers and
    network together, ``load`` the average over the design power, ``upkeep_share`` a year of the server's price,
    ``site_upkeep`` USD a watt and year, lives in s, ``rate`` of interest a year.
    Raises InputError for a share of the network of 1 or more, or a life of 0.
    """
    chosen = {
        name: np.asarray(default(name).value if value is None else value, dtype=np.float64)
        for name, value in (
            ("network_share", network_share),
            ("load", load),
            ("upkeep_share", upkeep_share),
            ("site_upkeep", site_upkeep),
            ("life", life),
            ("building_life", building_life),
        )
    }
    if np.any(chosen["network_share"] >= 1.0) or np.any(chosen["network_share"] < 0.0):
        raise InputError("network_share: must be at least 0 and below 1")
    if np.any(chosen["life"] <= 0.0) or np.any(chosen["building_life"] <= 0.0):
        raise InputError("life: must be above 0")
    server, power = np.asarray(server_usd, dtype=np.float64), np.asarray(power_w, dtype=np.float64)
    network = server * chosen["network_share"] / (1.0 - chosen["network_share"])
    hall = power * np.asarray(building_usd_per_w, dtype=np.float64)
    parts = (
        per_hour(server, chosen["life"], residual=residual, rate=rate),
        per_hour(network, chosen["life"], residual=residual, rate=rate),
        per_hour(hall, chosen["building_life"], rate=rate),
        energy_per_hour(power * chosen["load"], pue, electricity),
        np.atleast_1d(server * chosen["upkeep_share"] * (HOUR / YEAR)),
        np.atleast_1d(power * chosen["site_upkeep"] * (HOUR / YEAR)),
    )
    shaped = dict(zip(PARTS, np.broadcast_arrays(*parts), strict=True))
    return HourlyCost(total=np.sum(list(shaped.values()), axis=0), parts=shaped)


def owned_cost(chip: Chip, *, year: int, region: str, rate: float = 0.0) -> Figure:
    """Return what owning ``chip`` in ``region`` costs an hour (USD/h) at ``year``'s prices, with its inputs.

    The server is the catalogue's server price, else the chip's price times the usual factor. The interval moves one
    input after the other to the ends of its range (taken as the central 80 %) and adds the moves in quadrature.
    Raises InputError where the chip's price or power, or the region's electricity or building cost, is unknown.
    """
    inputs = _inputs(chip, year, region)

    def total(values: Mapping[str, float]) -> float:
        server = values["server"] if "server" in values else values["price"] * values["server_factor"]
        shared = ("network_share", "load", "upkeep_share", "site_upkeep", "life", "building_life", "pue", "electricity")
        cost = owned_cost_per_hour(
            server_usd=server,
            power_w=values["tdp_w"] * values["power_factor"],
            building_usd_per_w=values["building"],
            rate=rate,
            **{name: values[name] for name in shared},
        )
        return float(cost.total[0])

    middle = {name: given.value for name, given in inputs.items()}
    value = total(middle)
    low = high = 0.0
    for name, given in inputs.items():
        ends = [total({**middle, name: end}) - value for end in (given.low, given.high) if end is not None]
        low += min(0.0, *ends, 0.0) ** 2
        high += max(0.0, *ends, 0.0) ** 2
    return Figure(
        name=f"owned cost of {chip.id} in {region}, {year}",
        value=value,
        unit="USD/h",
        formula="hardware + network + hall over their lives, + electricity x PUE x load, + upkeep of hardware and site",
        inputs=inputs,
        p10=max(0.0, value - low**0.5),
        p90=value + high**0.5,
    )


def _inputs(chip: Chip, year: int, region: str) -> dict[str, Sourced]:
    """Return the sourced inputs of ``owned_cost``; raises InputError for one that is unknown."""
    if chip.tdp_w is None:
        raise InputError(f"{chip.id}: design power is unknown, so its cost of power is")
    power = electricity(region, year)
    building = building_cost(region, year)
    if power is None or building is None:
        lacking = "electricity price" if power is None else "building cost"
        raise InputError(f"{region}: no {lacking} up to {year}; 'suanli prices list' names the regions")
    out = {
        "tdp_w": Sourced(f"{chip.id} design power", chip.tdp_w, "W", chip.source_of("tdp_w")),
        "electricity": power,
        "building": building,
        "pue": pue(region) or default("pue"),
    }
    names = ("power_factor", "network_share", "load", "upkeep_share", "site_upkeep", "life", "building_life")
    out |= {name: default(name) for name in names}
    server = price(chip.id, year, scope="server") if _is_listed(chip) else None
    if server is not None:
        return out | {"server": server}
    alone = price(chip.id, year) if _is_listed(chip) else None
    if alone is None:
        if chip.price_usd is None:
            raise InputError(f"{chip.id}: no price up to {year}")
        alone = Sourced(f"{chip.id} price", chip.price_usd, "USD", chip.source_of("price_usd"))
    return out | {"price": alone, "server_factor": default("server_factor")}


def _is_listed(chip: Chip) -> bool:
    """Say whether ``chip`` is the catalogue's: a designed chip may have a name that reads like another's."""
    try:
        return resolve_chip(chip.id).id == chip.id
    except UnknownNameError:
        return False


def chip_hour(chip: Chip, *, year: int, region: str = "US") -> Figure | None:
    """Return what an hour of ``chip`` costs (USD): its rent of ``year``, else the cost of owning it in ``region``.

    The ends of a rent's range are taken as the central 80 %. None where neither is known.
    """
    listed = rent(chip.id, year) if _is_listed(chip) else None
    if listed is None:
        try:
            return owned_cost(chip, year=year, region=region)
        except InputError:
            return None
    return Figure(
        name=listed.name,
        value=listed.value,
        unit=listed.unit,
        formula="rent as quoted",
        inputs={"rent": listed},
        p10=listed.low,
        p90=listed.high,
    )

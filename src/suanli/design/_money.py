"""What owning a designed chip costs, over arrays of candidates."""

from __future__ import annotations

from functools import cache

import numpy as np

from suanli.economics import building_cost, default, electricity, owned_cost_per_hour, pue
from suanli.errors import InputError
from suanli.estimates import Array

REGION, YEAR = "China", 2025
"""Where and when ownership is priced: chips meant for China, from the catalogue's 2025 figures."""


@cache
def _site(region: str, year: int) -> tuple[float, float, float]:
    power, building, overhead = electricity(region, year), building_cost(region, year), pue(region) or default("pue")
    if power is None or building is None:
        raise InputError(f"{region}: no electricity price or building cost up to {year}")
    return power.value, overhead.value, building.value


def owned(price: Array, power: Array, *, region: str = REGION, year: int = YEAR) -> Array:
    """Return USD an hour of owning a chip of ``price`` (USD) and design ``power`` (W) in its server, hall and network.

    Raises InputError for a region without prices.
    """
    rate, overhead, building = _site(region, year)
    cost = owned_cost_per_hour(
        server_usd=np.asarray(price) * default("server_factor").value,
        power_w=np.asarray(power) * default("power_factor").value,
        electricity=rate,
        pue=overhead,
        building_usd_per_w=building,
    )
    return cost.total

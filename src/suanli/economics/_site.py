"""What a place costs: electricity, power overhead, buildings, and the carbon of its grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.catalog import costs, figure_at
from suanli.quantities import KWH
from suanli.sources import Sourced

Array = NDArray[np.float64]


def electricity(region: str, year: int) -> Sourced | None:
    """Return the price of electricity for large users in ``region`` (USD/kWh), None where no row up to ``year`` says.

    ``region`` is any word of a row's region ("Malaysia", "US"); several rows give their median and their whole range.
    """
    found = [c for c in costs("electricity", region=region) if c.unit == "USD/kWh"]
    return figure_at(found, year, f"electricity in {region}")


def pue(region: str, year: int = 9999) -> Sourced | None:
    """Return the power of a hall over that of its IT load in ``region``, None where no row says."""
    return figure_at(costs("pue", region=region), year, f"PUE in {region}")


def building_cost(region: str, year: int) -> Sourced | None:
    """Return what shell, power and cooling cost in ``region`` (USD a watt of IT load), None where no row says."""
    found = [c for c in costs("datacentre_capex", region=region) if c.unit == "USD/W"]
    return figure_at(found, year, f"building in {region}")


def grid_intensity(region: str, year: int) -> Sourced | None:
    """Return the carbon intensity of ``region``'s grid (kg CO2 a kWh), None where no row up to ``year`` says."""
    return figure_at(costs("grid_intensity", region=region), year, f"grid intensity in {region}")


def energy_per_token(power_w: ArrayLike, tokens_per_s: ArrayLike, *, pue: ArrayLike = 1.0) -> Array:
    """Return the energy a token takes (J): ``power_w`` of a chip's share, through a hall of ``pue``, over its rate."""
    out: Array = np.atleast_1d(
        np.asarray(power_w, dtype=np.float64) * np.asarray(pue) / np.asarray(tokens_per_s, dtype=np.float64)
    )
    return out


def carbon(energy_j: ArrayLike, region: str, year: int) -> Array | None:
    """Return the carbon of ``energy_j`` at the meter (kg CO2), None where the grid's intensity is unknown."""
    intensity = grid_intensity(region, year)
    if intensity is None:
        return None
    out: Array = np.atleast_1d(np.asarray(energy_j, dtype=np.float64) / KWH * intensity.value)
    return out

"""Power by block at an activity, voltage over clock, and the clock that a power cap allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from suanli.design._area import PHY_BLOCKS
from suanli.design._process import Constants
from suanli.design._spec import DesignSpec, active_share, macs, vector_peak
from suanli.errors import InputError
from suanli.estimates import Array
from suanli.kinds import BITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """How busy each part is, as a share of its peak; None takes the share of a design-power load.

    ``format`` is the number format of the matrix units, None for the widest of 16 bits or fewer that they have.
    """

    format: str | None = None
    matrix: Any = None
    vector: Any = None
    memory: Any = None
    links: Any = None


DESIGN_LOAD = Activity()
"""The load for which a thermal design power is stated."""


def voltage(spec: DesignSpec, clock: Array, c: Constants) -> Array:
    """Return the supply voltage over nominal at ``clock``: linear, held between floor and ceiling."""
    nominal = c[f"clock.nominal.{spec.style}"] * c[f"{spec.node}.speed"]
    line = 1.0 - c["voltage.slope"] + c["voltage.slope"] * clock / nominal
    out: Array = np.clip(line, c["voltage.floor"], c["voltage.ceiling"])
    return out


def main_format(spec: DesignSpec) -> str:
    """Return the format that design power is counted in: the widest of at most 16 bits."""
    order = ("fp16", "bf16", "fp8", "int8", "fp4", "int4", "tf32", "fp32", "fp64")
    have = dict(spec.formats)
    return next(name for name in order if name in have)


def mac_energy(spec: DesignSpec, name: str, c: Constants) -> Array:
    """Return the energy (J) of one multiply-accumulate in format ``name`` with its operands, at nominal voltage.

    Raises InputError where the MAC arrays do not have the format.
    """
    rates = dict(spec.formats)
    if name not in rates:
        raise InputError(f"{spec.name}: no MAC for format {name}; the arrays have {', '.join(rates)}")
    deliver = c[f"energy.deliver.{spec.style}"] * BITS[name] / 16.0
    out: Array = (c[f"energy.mac.{name}"] + deliver) * c[f"{spec.node}.energy"]
    return out


def memory_bandwidth(spec: DesignSpec, c: Constants) -> Array:
    """Return the bandwidth (B/s) of the package's memory over its active sites."""
    memory = spec.memory
    if memory == "none":
        return np.zeros(spec.shape)
    site = c[f"{memory}.bandwidth"] if spec.site_bandwidth is None else spec.array("site_bandwidth")
    out: Array = (spec.array("memory_sites") - spec.array("spare_sites")) * site * spec.array("dies")
    return out


def power_blocks(
    spec: DesignSpec, areas: Mapping[str, Array], c: Constants, *, activity: Activity = DESIGN_LOAD
) -> dict[str, Array]:
    """Return the power (W) of the package by block at ``activity``; memory devices are included, board losses are not.

    ``areas`` are the blocks of one die (m²). Dynamic energies go with the square of the voltage.
    """
    name = activity.format or main_format(spec)
    clock, dies = spec.array("clock"), spec.array("dies")
    square = voltage(spec, clock, c) ** 2
    scale = c[f"{spec.node}.energy"]
    rate = macs(spec) * active_share(spec) * dict(spec.formats).get(name, 1.0) * clock * dies
    memory = spec.memory
    bandwidth = memory_bandwidth(spec, c) * _share(activity.memory, c["tdp.memory"])
    lane = c["energy.serdes_short"] if spec.short_reach else c["energy.serdes"]
    links = spec.array("lanes") * dies * spec.array("lane_rate") * _share(activity.links, c["tdp.links"])
    logic = sum(area for block, area in areas.items() if block not in PHY_BLOCKS)
    phys = sum(areas[block] for block in PHY_BLOCKS)
    device = 0.0 if memory == "none" else c[f"energy.{memory}"]
    idle = c["hbm.idle"] * spec.array("memory_sites") * dies if memory.startswith("hbm") else np.zeros(spec.shape)
    host = 0.0 if spec.host == "none" else c["energy.pcie"] * _host_rate(spec) * 0.3 * dies
    # energy.noc is stated per mm of way.
    on_die = c["energy.reuse"] * (c["energy.sram.shared"] + c["energy.noc"] * c["energy.way"] * 1e3)
    return {
        "mac": rate * mac_energy(spec, name, c) * square * _share(activity.matrix, c["tdp.activity"]),
        "vector": 0.5 * vector_peak(spec) * c["energy.vector"] * scale * square
        * _share(activity.vector, c["tdp.vector"]),
        "shared SRAM and network": bandwidth * on_die * scale * square,
        "memory": bandwidth * device + idle,
        "links": 2.0 * links * lane + 2.0 * spec.array("d2d") * dies * c["energy.d2d"] * 0.5,
        "host link": host * np.ones(spec.shape),
        "leakage and clock": (logic * c["static"] * square + phys * c["static.phy"]) * dies,
    }  # fmt: skip


def _share(stated: Any, otherwise: Any) -> Any:
    return otherwise if stated is None else stated


def _host_rate(spec: DesignSpec) -> Array:
    """Return the host link's rate (B/s, both directions) of one die."""
    per_lane = {"none": 0.0, "pcie3": 1e9, "pcie4": 2e9, "pcie5": 4e9, "pcie6": 8e9}[spec.host]
    return 2.0 * per_lane * spec.array("host_lanes")


def capped_clock(
    spec: DesignSpec, areas: Mapping[str, Array], c: Constants, *, cap: Any, activity: Activity = DESIGN_LOAD
) -> Array:
    """Return the highest clock (Hz), at most the spec's, at which the package stays within ``cap`` (W).

    Power rises with the clock, so that a bisection of 30 steps over [1 %, 100 %] of the clock finds it; where even 1 %
    is too much the result is 0: the cap cannot hold.
    """
    from dataclasses import replace

    full = spec.array("clock")
    low, high = np.full(spec.shape, 0.01), np.ones(spec.shape)

    def used(share: Array) -> Array:
        slower = replace(spec, clock=full * share)
        blocks = power_blocks(slower, areas, c, activity=activity)
        return np.asarray(np.sum(np.broadcast_arrays(*blocks.values()), axis=0))

    fits, never = used(high) <= cap, used(low) > cap
    for _ in range(30):
        middle = 0.5 * (low + high)
        over = used(middle) > cap
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return np.where(fits, full, np.where(never, 0.0, full * low))

"""What a chip costs: wafer, package, memory, test, and what it takes to get there."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from suanli.design._area import total
from suanli.design._process import Constants
from suanli.design._spec import DesignSpec
from suanli.design._yield import gross_dies, sellable
from suanli.estimates import Array

PACKAGE_SITE = 1600e-6
"""Interposer or substrate area (m²) for which package.* states a price."""

NRE_AREA = 300e-6
"""Die area (m²) at which the area part of the design cost is what the node's figure says (Chiplet Actuary)."""


def site_capacity(spec: DesignSpec, c: Constants) -> Array:
    """Return the memory (B) of the package over its active sites."""
    memory = spec.memory
    if memory == "none":
        return np.zeros(spec.shape)
    site = c[f"{memory}.capacity"] if spec.site_capacity is None else spec.array("site_capacity")
    out: Array = (spec.array("memory_sites") - spec.array("spare_sites")) * site * spec.array("dies")
    return out


def unit_cost(spec: DesignSpec, areas: Mapping[str, Array], c: Constants) -> dict[str, Array]:
    """Return the cost (USD) of one good package by part, at mature yield.

    dies: wafer / (gross dies x sold share), for all dies; interposer by area; memory by the byte; everything is
    divided by the bond yield of each die and stack (what a failed bond throws away is shown as "bond losses"); test
    is a share.
    """
    node, memory = spec.node, spec.memory
    die, dies = total(areas), spec.array("dies")
    sold = sellable(spec, areas, c)["sold"]
    per_die = c[f"{node}.wafer"] / np.maximum(gross_dies(die, c) * sold, 1e-9)
    stacks = (spec.array("memory_sites") - spec.array("spare_sites")) * dies if memory.startswith("hbm") else 0.0 * die
    site = (die * dies + stacks * c["package.hbm_area"]) * c["package.margin_area"]
    package = c[f"package.{spec.package.replace('-', '_')}"] * site / PACKAGE_SITE
    device = site_capacity(spec, c) * c[f"{memory}.price"] if memory != "none" else 0.0 * die
    bonds = c["package.bond_yield"] ** (dies + stacks)
    good = per_die * dies + package + device
    return {
        "dies": per_die * dies,
        "package": package,
        "memory": device * np.ones_like(die),
        "bond losses": good * (1.0 / bonds - 1.0),
        "test": good / bonds * c["test.share"],
        "board": c["board"] * np.ones_like(die),
    }


def nre(spec: DesignSpec, areas: Mapping[str, Array], c: Constants) -> dict[str, Array]:
    """Return the one-off cost (USD): design, masks with respins, IP licences, software.

    design = the node's figure x nre.factor x (1 - s + s x area / 300 mm²), s = nre.area_share.
    """
    node, memory = spec.node, spec.memory
    die = total(areas)
    share = c["nre.area_share"]
    one = np.ones_like(die)
    ip = c["nre.ip.serdes"] * (spec.array("lanes") > 0) + (c["nre.ip.pcie"] if spec.host != "none" else 0.0) * one
    if memory != "none":
        ip = ip + c["nre.ip.hbm" if memory.startswith("hbm") else "nre.ip.dram"]
    return {
        "design": c[f"{node}.design"] * c["nre.factor"] * (1.0 - share + share * die / NRE_AREA),
        "masks": c[f"{node}.masks"] * (1.0 + c["nre.respins"]) * one,
        "IP": ip,
        "software": c["nre.software"] * one,
    }


def price(cost: Array, one_off: Array, volume: float, c: Constants, *, buyer_pays_nre: bool = True) -> Array:
    """Return the price (USD) of one chip at ``volume``: cost / (1 - margin), with NRE unless bought apart."""
    out: Array = (cost + (0.0 if buyer_pays_nre else one_off / volume)) / (1.0 - c["margin"])
    return out

"""From a chip of the catalogue to a query: performance from its rates, density from its dies, nothing guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from suanli.controls._domains import INF, Number, Range
from suanli.controls._query import Query
from suanli.kinds import BITS, Chip

HOST_LINK_GBS = ((0, 64.0), (2022, 128.0), (2025, 256.0))
"""First year and bidirectional GB/s of the fastest host link of the time: PCIe 4.0, 5.0, 6.0 x16 (PCI-SIG)."""

STATED_SLACK = 0.01
"""A stated TPP this near to the one computed from the rates is the same figure, rounded."""

RECALLED_SLACK = 0.05
"""A die area that nobody read in a source holds within this share; what then depends on it stays undetermined."""

SMIC_NODES = {"N+1": 7.0, "N+2": 7.0}
"""SMIC's names for its first FinFET nodes of the 7 nm class, in nm."""

_NODE = re.compile(
    r"\bN?(?P<n>\d{1,2})(?:FFN?|FFC|NP|P|N|X|LP|LPP|\+)?(?![\d.])\b|\b(?P<nm>\d{1,2})\s*nm", re.IGNORECASE
)
_CONSUMER = re.compile(r"\b(?:GeForce|Radeon RX|Arc [AB]\d)", re.IGNORECASE)
_WORKSTATION = re.compile(r"\b(?:RTX|Quadro|Radeon Pro|Arc Pro|Jetson)\b", re.IGNORECASE)
_SERVED = ("sxm", "oam", "module", "board", "tile", "cs-3", "m.2", "rack", "pcie", "socket")
_SEVERAL_DIES = re.compile(r"\+ (?:TSMC |SMIC |GF )?N?\d|\bIOD\b|\bXCD\b")
_NO_HBM = re.compile(r"DDR|^none$", re.IGNORECASE)


def tpp_by_format(chip: Chip) -> dict[str, float]:
    """Return dense tera-operations a second x bit length for each format that ``chip`` states (88 FR 73458)."""
    return {fmt: rate / 1e12 * BITS[fmt] for fmt, rate in chip.peak.items()}


def tpp_of(chip: Chip) -> Number | None:
    """Return the TPP of ``chip``: the largest over its formats; a range where the stated TPP differs from it."""
    computed = max(tpp_by_format(chip).values(), default=None)
    if computed is None or chip.tpp is None:
        return chip.tpp if computed is None else round(computed, 6)
    if abs(chip.tpp / computed - 1.0) <= STATED_SLACK:
        return round(computed, 6)
    return Range(min(chip.tpp, computed), max(chip.tpp, computed))


def area_of(chip: Chip) -> Number | None:
    """Return the applicable die area in mm²: all logic dies.

    Unstated I/O dies leave it open upwards; an area from memory alone is a range.
    """
    if chip.die_area_m2 is None:
        return None
    area = chip.die_area_m2 * 1e6 * (chip.n_logic_dies or 1)
    other = chip.io_die_area_m2
    if other:
        area += other * 1e6
    elif _SEVERAL_DIES.search(chip.process):
        return Range(area, INF)
    if chip.verified == "memory":
        return Range(area * (1.0 - RECALLED_SLACK), area * (1.0 + RECALLED_SLACK))
    return round(area, 6)


def node_of(chip: Chip) -> float | None:
    """Return the smallest node in nm that the process text of ``chip`` names, or None."""
    named = [nm for name, nm in SMIC_NODES.items() if name in chip.process]
    text = chip.process
    for name in SMIC_NODES:
        text = text.replace(name, "")
    found = [float(m["n"] or m["nm"]) for m in _NODE.finditer(text)]
    return min((*named, *(n for n in found if n >= 1)), default=None)


def nonplanar_of(chip: Chip) -> int | None:
    """Return 1 for a node of 16 nm or below (FinFET or later), 0 for 28 nm and above, None between and unknown."""
    node = node_of(chip)
    return None if node is None or 16 < node < 28 else int(node <= 16)


def transfer_rate_of(chip: Chip) -> Number | None:
    """Return bidirectional I/O in GB/s: both directions of the links, and a host link that is seldom stated."""
    if chip.scale_up_bandwidth is None:
        return None
    links = 2.0 * chip.scale_up_bandwidth / 1e9
    if "PCIe" in chip.scale_up_kind:
        return round(links, 6)
    host = max(rate for year, rate in HOST_LINK_GBS if year <= (chip.year or 9999))
    return Range(links, links + host)


def datacenter_of(chip: Chip) -> int | None:
    """Return 1 for a server module or card, 0 for a consumer card, None where the marketing has to be looked at."""
    if _CONSUMER.search(chip.name):
        return 0
    if _WORKSTATION.search(chip.name) and "server" not in chip.name.lower():
        return None
    return 1 if any(word in chip.form_factor.lower() for word in _SERVED) else None


def hbm_of(chip: Chip) -> int | None:
    """Return whether the package holds HBM, None where the kind of memory is unknown or of no known family."""
    kind = chip.memory_kind
    return 1 if "HBM" in kind.upper() else 0 if _NO_HBM.search(kind) else None


def query_of_chip(
    chip: Chip,
    *,
    to: str,
    owner: str = "",
    parent: str | None = None,
    date: str,
    activity: str = "export",
    ship_from: str = "US",
    facts: Mapping[str, Any] | None = None,
    listed_party: str = "",
) -> Query:
    """Return the query "may ``chip`` go ``to`` a place for ``owner`` on ``date``".

    ``owner`` and ``parent`` are the countries of headquarters of the buyer and of its ultimate parent; left out, they
    are unknown. ``facts`` override what the catalogue says. What neither states stays unknown. Raises InputError.
    """
    stated: dict[str, Any] = dict(facts or {})
    if "designer_hq" not in stated and chip.designer_country:
        stated["designer_hq"] = chip.designer_country
    if "logic_node_nm" not in stated and (node := node_of(chip)) is not None:
        stated["logic_node_nm"] = node
    return Query(
        date=date,
        activity=activity,
        ship_from=ship_from,
        destination=to,
        supplier=chip.vendor,
        chip=chip.name,
        tpp=tpp_of(chip),
        die_area_mm2=area_of(chip),
        nonplanar=nonplanar_of(chip),
        transfer_rate_gbs=transfer_rate_of(chip),
        mem_bw_gbs=None if chip.memory_bandwidth is None else round(chip.memory_bandwidth / 1e9, 6),
        has_hbm=hbm_of(chip),
        transistors_bn=None if chip.transistors is None else round(chip.transistors / 1e9, 6),
        designed_for_datacenter=datacenter_of(chip),
        end_user_hq=owner,
        ultimate_parent_hq=parent or "",
        listed_party=listed_party,
        facts=stated,
        tpp_by_format=tpp_by_format(chip),
        figures_verified=chip.verified,
    )

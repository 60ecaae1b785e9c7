"""The network that a chip's datasheet implies: its scale-up links, and its share of the node's network cards."""

from __future__ import annotations

import math
import re

from suanli.errors import InputError
from suanli.fabric._parameters import links
from suanli.kinds import Chip, Network, Tier

_HOSTED = re.compile(r"pcie\s*(\d)", re.IGNORECASE)


def network_of(
    chip: Chip,
    n_chips: int,
    chips_per_node: int | None = None,
    scale_out: float | None = None,
    *,
    scale_out_kind: str = "ethernet",
    oversubscription: float = 1.0,
) -> Network:
    """Return the network that joins ``n_chips`` of ``chip``: a scale-up tier and, beyond it, a scale-out tier.

    ``chips_per_node`` replaces the datasheet's scale-up domain (8 where unknown and no link is stated), ``scale_out``
    (B/s a chip, one way) its share of network cards; where none is known, 200 Gb/s are taken. ``latency_s`` of a tier
    is 0: the measured step of its family holds. Raises InputError for counts below 1.
    """
    if n_chips < 1:
        raise InputError(f"n_chips is {n_chips}; it must be at least 1")
    if chips_per_node is not None and chips_per_node < 1:
        raise InputError(f"chips_per_node is {chips_per_node}; it must be at least 1")
    node = min(n_chips, chips_per_node or domain_of(chip))
    tiers = []
    if node > 1:
        tiers.append(scale_up_tier(chip, node))
    if n_chips > node:
        outside = scale_out or chip.scale_out_bandwidth or float(links()["default_scale_out"]["bandwidth"])
        tiers.append(
            Tier(
                kind=scale_out_kind,
                size=-(-n_chips // node),
                bandwidth=outside,
                latency_s=0.0,
                oversubscription=oversubscription,
            )
        )
    return Network(tiers=tuple(tiers) or (Tier(kind="self", size=1, bandwidth=math.inf, latency_s=0.0),))


def domain_of(chip: Chip) -> int:
    """Return the chips of one node: the scale-up domain, or 8 where none (or only a host bus) is stated.

    A module with links that reach no other (GH200) stands alone.
    """
    if chip.scale_up_domain is None or link_family(chip)[0] == "pcie":
        return max(8, chip.scale_up_domain or 0)
    return chip.scale_up_domain


def scale_up_tier(chip: Chip, size: int) -> Tier:
    """Return the tier inside a node of ``size`` chips, from the kind and bandwidth of the datasheet's links.

    A bridge between two cards reaches its pair only; chips without links of their own meet over the host's PCIe.
    """
    kind, family = link_family(chip)
    known = links()["kinds"][kind]
    bandwidth = chip.scale_up_bandwidth
    if bandwidth is None or (kind == "pcie" and not _HOSTED.search(chip.scale_up_kind)):
        bandwidth = float(links()["pcie_bandwidth"][family if kind == "pcie" else "pcie4"])
        kind, known = "pcie", links()["kinds"]["pcie"]
        family = family if family.startswith("pcie") else "pcie4"
    mesh = (chip.scale_up_domain or size) - 1 if known["mesh"] else 0
    return Tier(
        kind=kind,
        size=size,
        bandwidth=bandwidth,
        latency_s=0.0,
        in_network_reduction=family in links()["in_network_reduction"]["families"],
        switched=bool(known["switched"]),
        family=family,
        links=mesh,
        dimensions=_dimensions(chip) if kind == "torus" else 0,
        clock_hz=chip.clock_hz or 0.0,
    )


def link_family(chip: Chip) -> tuple[str, str]:
    """Return the kind of a chip's scale-up links and the family whose measured parameters apply."""
    text = chip.scale_up_kind.casefold()
    if "bridge" in text and chip.scale_up_domain == 1:
        return "pcie", "pcie5" if "nvlink4" in text else "pcie4"
    hosted = _HOSTED.search(text)
    if hosted:
        return "pcie", f"pcie{hosted[1]}"
    for pattern, kind, family in links()["spellings"]:
        found = re.search(pattern, text)
        if found:
            return kind, found.expand(family) if "\\" in family else family
    return "pcie", "pcie4"


def _dimensions(chip: Chip) -> int:
    found = re.search(r"(\d)d", chip.scale_up_kind.casefold())
    return int(found[1]) if found else 2


def pcie_bandwidth(family: str) -> float:
    """Return the B/s, one way, of 16 lanes of PCIe of ``family`` ("pcie4"). Raises InputError for an unknown one."""
    known = links()["pcie_bandwidth"]
    if family not in known or family == "source":
        raise InputError(f"unknown PCIe generation '{family}'; known: pcie3, pcie4, pcie5, pcie6")
    return float(known[family])

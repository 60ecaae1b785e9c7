"""Area by block, shoreline and transistors: sums of sourced constants, over arrays of candidates."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import numpy as np

from suanli.design._process import Constants
from suanli.design._spec import DesignSpec, macs
from suanli.estimates import Array

REGISTER_BANK = 256.0 * 1024.0
"""Bytes of register file that one GPU multiprocessor's control serves (control.gpu)."""

PHY_BLOCKS: tuple[str, ...] = ("memory PHY", "links", "host link", "die-to-die")
LOGIC_BLOCKS: tuple[str, ...] = ("mac", "vector", "control", "network", "uncore")


def mac_ratio(spec: DesignSpec, c: Constants) -> Array:
    """Return the area of a MAC unit over that of int8: its largest format at its rate, and a share for each further
    one.

    A narrow format at twice the rate splits the wide multiplier, so that the largest of ratio x rate sets the size.
    """
    widest = reduce(np.maximum, [np.asarray(c[f"mac.ratio.{name}"]) * rate for name, rate in spec.formats])
    out: Array = widest * (1.0 + c["mac.sharing"] * (len(spec.formats) - 1))
    return out


def core_blocks(spec: DesignSpec, c: Constants) -> dict[str, Array]:
    """Return the area (m²) of one die's cores and memories, block by block, before the network and white space."""
    node = spec.node
    logic, sram = c[f"{node}.logic"], c[f"{node}.sram"]
    cores = spec.array("cores")
    per_core = spec.array("arrays") * spec.array("rows") * spec.array("cols")
    registers = cores * spec.array("registers")
    if spec.style == "gpu":
        control = c["control.gpu"] * np.maximum(registers / REGISTER_BANK, 1e-9)
    else:
        control = cores * (c["control.core"] + c["control.edge"] * np.sqrt(per_core))
    return {
        "mac": c["mac.int8"] * mac_ratio(spec, c) * macs(spec) * logic,
        "vector": c["vector.lane"] * cores * spec.array("vector_lanes") * logic,
        "control": control * logic,
        "local SRAM": cores * spec.array("scratchpad") / c["sram.local"] * sram,
        "registers": registers / c["sram.register"] * sram,
        "shared SRAM": _shared(spec, c) * sram,
    }


def _shared(spec: DesignSpec, c: Constants) -> Array:
    """Return the area (m², at N7) of the shared SRAM; a tagged cache is dense only beyond its knee."""
    size = spec.array("shared_sram")
    if not spec.cache:
        return np.asarray(size / c["sram.shared"])
    tagged = np.minimum(size, c["cache.knee"])
    return np.asarray(tagged / c["sram.cache"] + (size - tagged) / c["sram.shared"])


def phy_blocks(spec: DesignSpec, c: Constants) -> dict[str, Array]:
    """Return the area (m²) of one die's interfaces."""
    node, memory = spec.node, spec.memory
    scale = c[f"{node}.phy"]
    zero = np.zeros(spec.shape)
    lane = c["phy.serdes_short"] if spec.short_reach else c["phy.serdes"]
    return {
        "memory PHY": spec.array("memory_sites") * c[f"phy.{memory}"] * scale if memory != "none" else zero,
        "links": spec.array("lanes") * lane * scale,
        "host link": spec.array("host_lanes") * c[f"phy.{spec.host}"] * scale if spec.host != "none" else zero,
        "die-to-die": spec.array("d2d") / 128e9 * c["phy.d2d"] * scale,
    }


def die_blocks(spec: DesignSpec, c: Constants) -> dict[str, Array]:
    """Return the area (m²) of one logic die by block; the sum is the die.

    cores and memories x (1 + network) / (placed share) + PHYs + uncore; a die without a host link has a third of the
    uncore. Constants may carry a leading axis of samples.
    """
    core = core_blocks(spec, c)
    placed = np.sum(np.broadcast_arrays(*core.values()), axis=0)
    network = placed * c["noc"]
    white = (placed + network) * (1.0 / c["whitespace"] - 1.0)
    share = 1.0 / 3.0 if spec.host == "none" else 1.0
    uncore = share * c["uncore"] * np.sqrt(c[f"{spec.node}.logic"]) * np.ones(spec.shape)
    return {**core, "network": network, **phy_blocks(spec, c), "uncore": uncore, "white space": white}


def total(blocks: Mapping[str, Array]) -> Array:
    """Return the sum of ``blocks``."""
    out: Array = np.sum(np.broadcast_arrays(*blocks.values()), axis=0)
    return out


def shoreline(spec: DesignSpec, c: Constants) -> dict[str, Array]:
    """Return the die edge (m) that each interface takes; SerDes and memory PHYs sit on the perimeter."""
    memory = spec.memory
    kind = "hbm" if memory.startswith("hbm") else "gddr" if memory.startswith("gddr") else "lpddr"
    zero = np.zeros(spec.shape)
    lanes = spec.array("lanes") * c["edge.serdes"] * (0.5 if spec.short_reach else 1.0)
    return {
        "memory PHY": spec.array("memory_sites") * c[f"edge.{kind}"] if memory != "none" else zero,
        "links": lanes,
        "host link": spec.array("host_lanes") * c["edge.pcie"] if spec.host != "none" else zero,
        "die-to-die": spec.array("d2d") / 128e9 * c["edge.d2d"],
    }


def perimeter(area: Array, c: Constants) -> Array:
    """Return the usable edge (m) of a die of ``area``: as square as the 26 mm x 33 mm field lets it be."""
    side = np.sqrt(area)
    width = np.minimum(side, c["reticle.width"])
    out: Array = 2.0 * (width + area / width) * c["edge.usable"]
    return out


def hbm_sites_that_fit(area: Array, c: Constants) -> Array:
    """Return how many HBM stacks two opposite edges of a die of ``area`` hold."""
    width = np.minimum(np.sqrt(area), c["reticle.width"])
    out: Array = 2.0 * np.floor(area / width / c["edge.hbm"])
    return out


def transistors(spec: DesignSpec, blocks: Mapping[str, Array], c: Constants) -> Array:
    """Return the transistors of the package's logic dies: SRAM bits, placed logic and PHYs."""
    sram = spec.array("cores") * (spec.array("scratchpad") + spec.array("registers")) + spec.array("shared_sram")
    density = c["transistors.logic"] / c[f"{spec.node}.logic"]
    logic = np.sum(np.broadcast_arrays(*[blocks[b] for b in LOGIC_BLOCKS]), axis=0) * density
    phy = np.sum(np.broadcast_arrays(*[blocks[b] for b in PHY_BLOCKS]), axis=0) * c["transistors.phy"]
    out: Array = (8.0 * sram * c["transistors.sram_bit"] + logic + phy) * spec.array("dies")
    return out

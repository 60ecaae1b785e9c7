"""A published chip as a design: what its row says, and priors by class where it says nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from suanli.design import SERDES, DesignSpec, table
from suanli.errors import InputError

MB, KB = 1e6, 1e3
GPU_MAKERS = (
    "nvidia", "amd", "instinct", "geforce", "radeon", "quadro", "tesla v", "tesla t", "biren", "moore threads", "metax",
    "hygon", "intel arc", "data center gpu",
)  # fmt: skip
INPUTS: tuple[str, ...] = (
    "name", "year", "foundry_node", "n_logic_dies", "clock_mhz", "mac_fp16_bf16_total", "mac_int8_total",
    "peak_fp16_tflops", "peak_int8_fp8_tops", "vector_fp32_tflops", "sram_mb_total", "sram_detail", "n_hbm_stacks",
    "hbm_type", "mem_bw_gbs", "link_gbs_bidir", "host_link",
)  # fmt: skip
"""Columns that a prediction may read: die area, transistors, power and notes are not among them."""

_NODES: tuple[tuple[str, str], ...] = (
    (r"n\+[12]|smic", "SN2"),
    (r"n7\+", "N7P"),
    (r"(?<!\d)16(?:ff| ?nm)|n16|(?<!\d)14 ?nm|14lpp", "N16"),
    (r"(?<!\d)12 ?nm|12ff|12lp|n12", "N12"),
    (r"(?<!\d)(?:10|8) ?nm|8lpp|\b8n\b", "S8"),
    (r"n6|(?<!\d)6 ?nm", "N6"),
    (r"n3|(?<!\d)3 ?nm", "N3"),
    (r"4n|n4|(?<!\d)4 ?nm", "N4"),
    (r"n5|(?<!\d)5 ?nm", "N5"),
    (r"n7|(?<!\d)7 ?nm|7lpp", "N7"),
)


def _prior(name: str) -> float:
    """Return what a chip is taken to have where its row says nothing."""
    return table()[f"prior.{name}"].value


@dataclass(frozen=True, slots=True)
class Memories:
    """On-chip memory (B) by kind as a row's text says it.

    ``cores`` is the largest count of cores named; ``made`` is what lies on the die over what is sold, 1 where not said.
    """

    local: float = 0.0
    shared: float = 0.0
    cache: float = 0.0
    registers: float = 0.0
    unknown: float = 0.0
    cores: int = 0
    made: float = 1.0


def number(row: Mapping[str, Any], name: str) -> float | None:
    """Return the number in column ``name``, None where it is empty or no number."""
    value = row.get(name)
    if value is None:
        return None
    try:
        out = float(value)
    except (TypeError, ValueError):
        found = re.search(r"\d+(?:\.\d+)?", str(value))
        return float(found[0]) if found else None
    return out if math.isfinite(out) else None


def node_of(text: str) -> str:
    """Return the process node of a free text such as "TSMC N5 (XCD) + N6 (IOD)". Raises InputError."""
    plain = text.casefold().split("(xcd)")[0]
    for pattern, node in _NODES:
        if re.search(pattern, plain):
            return node
    raise InputError(f"process node '{text}' is not one that the model knows (16 to 3 nm)")


def style_of(row: Mapping[str, Any]) -> str:
    """Return "gpu" for the makers of GPUs and for chips with a register file in their memory, else "array"."""
    name, detail = str(row.get("name") or "").casefold(), str(row.get("sram_detail") or "")
    makers = any(maker in name for maker in GPU_MAKERS)
    return "gpu" if makers or re.search(r"\bRF\b|register|VGPR", detail) else "array"


_SEGMENT = re.compile(
    r"(?:(?P<n>\d+)\s*(?:cores?|tiles?|PEs?|SMs?|CUs?)?\s*x\s*)?~?\s*(?P<size>\d+(?:\.\d+)?)\s*(?P<unit>[KMG]i?B)?\s*(?P<label>.*)",
    re.I,
)


def memories(detail: str, total: float | None, style: str) -> Memories:
    """Return the on-chip memory that ``detail`` ("40 L2 active (48 on die) + 108x192 KB L1") describes.

    A size without a unit is in MB. "(48 on die)" replaces what it follows. What ``total`` (MB) has beyond the parts
    is of unknown kind. Repeated sizes ("64x128 KB") and VMEM lie in cores; A GPU's L2 is tagged; a last cache behind it
    (L3, Infinity Cache) is as dense as software-managed memory.
    """
    sums = {"local": 0.0, "shared": 0.0, "cache": 0.0, "registers": 0.0}
    cores, scale = 0, 1.0
    for part in re.split(r"\s*(?:\+|;|,)\s*(?=[~\d])", detail):
        found = _SEGMENT.match(part.strip())
        if not found:
            continue
        n, size, label = int(found["n"] or 1), float(found["size"]), (found["label"] or "").casefold()
        unit = {"k": KB, "m": MB, "g": 1e9}[(found["unit"] or "MB")[0].casefold()]
        made = re.search(r"(\d+(?:\.\d+)?)\s*(?:mb)?\s*on (?:the )?die", label)
        stated = n * size * unit
        value = float(made[1]) * MB if made else stated
        if n > 1:
            cores = max(cores, n)
        sums[_kind(label, n, style)] += value
        scale = max(scale, value / stated) if made else scale
    known = sum(sums.values())
    rest = 0.0 if total is None else max(total * MB - known, 0.0)
    if known > 0.0 and rest < 0.15 * known:
        rest = 0.0
    return Memories(**sums, unknown=rest, cores=cores, made=scale)


def _kind(label: str, n: int, style: str) -> str:
    if re.search(r"\brf\b|register|vgpr", label):
        return "registers"
    if re.search(r"l3|infinity|llc", label):
        return "shared"
    if style == "gpu" and re.search(r"l2|cache", label) and "l1" not in label:
        return "cache"
    return "local" if n > 1 or re.search(r"vmem|l1|l0|lds|scratch", label) else "shared"


def host_of(text: str) -> tuple[str, int]:
    """Return (host link, lanes) of "PCIe5 x8"; a die whose edge is all SerDes has none."""
    found = re.search(r"pcie\s*(?:gen\s*)?(\d)(?:/\d)?\s*(?:x\s*(\d+))?", text, re.I)
    if not found:
        return "none", 0
    generation = min(max(int(found[1]), 3), 6)
    return f"pcie{generation}", int(found[2] or 16)


def memory_of(row: Mapping[str, Any]) -> tuple[str, float, float | None]:
    """Return (technology, sites made, bandwidth a sold site in B/s) of a whole package.

    HBM sites lie on two opposite edges: an odd count of three or more has one more made. DRAM channels of 32 bits
    are counted from a stated bus width, else from the bandwidth.
    """
    text = str(row.get("hbm_type") or "").casefold()
    rate = (number(row, "mem_bw_gbs") or 0.0) * 1e9
    stacks = number(row, "n_hbm_stacks") or 0.0
    found = re.search(r"hbm3e|hbm2e|hbm3|hbm2|hbm|gddr7|gddr6x|gddr6|lpddr5x|lpddr5|lpddr4x?|ddr[45]", text)
    if not found or (rate == 0.0 and stacks == 0.0):
        return "none", 0.0, None
    kind = {
        "hbm": "hbm2e",
        "gddr6x": "gddr6",
        "lpddr4": "lpddr5",
        "lpddr4x": "lpddr5",
        "ddr4": "lpddr5",
        "ddr5": "lpddr5",
    }.get(found[0], found[0])
    if kind.startswith("hbm"):
        per_stack = {"hbm2": 256e9, "hbm2e": 409e9, "hbm3": 717e9, "hbm3e": 983e9}[kind]
        sold = stacks or max(1.0, round(rate / per_stack))
        made = sold + 1.0 if sold >= 3 and sold % 2 else sold
        return kind, made, (rate / sold if rate else None)
    bus = re.search(r"(\d+)\s*-?\s*bit", text)
    per_channel = {"gddr6": 64e9, "gddr7": 112e9, "lpddr5": 22e9, "lpddr5x": 32e9}[kind]
    channels = float(bus[1]) / 32.0 if bus else max(1.0, float(round(rate / per_channel)))
    return kind, channels, (rate / channels if rate else None)


def spec_of(row: Mapping[str, Any]) -> DesignSpec:
    """Return the design that ``row`` describes, per die. Raises InputError where too little is stated to size it."""
    style = style_of(row)
    dies = max(1.0, number(row, "n_logic_dies") or 1.0)
    clock = (number(row, "clock_mhz") or 0.0) * 1e6 or _prior(f"clock.{style}")
    wide, narrow = _macs(row, clock)
    flops = 2.0 * (wide or narrow / 2.0) * clock
    stored = memories(str(row.get("sram_detail") or ""), number(row, "sram_mb_total"), style)
    # Where a row says how much memory lies on the die, cores are taken to be spared at half that rate (in the
    # logarithm): memory slices are few and coarse, cores many.
    spare = math.sqrt(stored.made) if stored.made > 1.0 else _prior(f"spare.{style}")
    cores = max(1.0, round(_cores(stored, style, wide or narrow, dies) * spare))
    vector = number(row, "vector_fp32_tflops")
    lanes = (vector * 1e12 if vector is not None else _prior(f"vector.{style}") * flops) / (2.0 * clock)
    local, shared, cache, registers = _stored(stored, number(row, "sram_mb_total"), style, flops)
    if style == "gpu" and not registers:
        registers = _gpu_registers(stored, lanes)
    memory, sites, bandwidth = memory_of(row)
    host, host_lanes = host_of(str(row.get("host_link") or ""))
    links, lane_rate, short = _links(row)
    one = spare / dies
    return DesignSpec(
        name=str(row.get("name") or row.get("id")), style="gpu" if style == "gpu" else "array",
        node=node_of(str(row.get("foundry_node") or "")), dies=dies, cores=cores,
        spare_cores=cores * (1.0 - 1.0 / spare), arrays=1.0, rows=max(wide or narrow, 1.0) * one / cores, cols=1.0,
        formats=_formats(wide, narrow, style), vector_lanes=lanes * one / cores,
        scratchpad=local * one / cores, registers=registers * one / cores, shared_sram=(shared + cache) / dies,
        cache=cache > shared, clock=clock, memory=memory, memory_sites=math.ceil(sites / dies - 1e-9),
        site_bandwidth=bandwidth, lanes=links / dies, lane_rate=lane_rate, short_reach=short, host=host,
        host_lanes=host_lanes / dies,
        package="organic" if memory == "none" or not memory.startswith("hbm") else "cowos-s",
    )  # fmt: skip


def logic_die(spec: DesignSpec, node: str) -> DesignSpec:
    """Return the compute die of ``spec``: where ``node`` names two processes, memory, links and last cache lie apart.

    "TSMC N5 (XCD) + N6 (IOD)": the compute die keeps its cores and joins the other die at a byte a MAC and 64 cycles.
    """
    if "+" not in re.sub(r"n\d?\+\d?", "", node.casefold()):
        return spec
    rate = float(np.ravel(spec.array("cores") * spec.array("rows") * spec.array("clock"))[0]) / 64.0
    return replace(
        spec, memory="none", memory_sites=0, lanes=0, shared_sram=0.0, host="none", host_lanes=0, d2d=max(rate, 128e9)
    )


def _macs(row: Mapping[str, Any], clock: float) -> tuple[float, float]:
    """Return (16-bit MACs, 8-bit MACs) of the package; from the peaks where they are not counted."""
    wide, narrow = number(row, "mac_fp16_bf16_total"), number(row, "mac_int8_total")
    if wide is None:
        wide = (number(row, "peak_fp16_tflops") or 0.0) * 1e12 / (2.0 * clock)
    if narrow is None:
        narrow = (number(row, "peak_int8_fp8_tops") or 0.0) * 1e12 / (2.0 * clock)
    vector = (number(row, "vector_fp32_tflops") or 0.0) * 1e12 / (2.0 * clock)
    if not wide and not narrow and not vector:
        raise InputError("neither MACs nor peak rates are stated: nothing to size")
    return wide, narrow


def _formats(wide: float, narrow: float, style: str) -> tuple[tuple[str, float], ...]:
    main = "fp16" if style == "gpu" else "bf16"
    if not wide:
        return (("int8", 1.0),)
    out = [(main, 1.0)]
    if narrow:
        out.append(("int8", max(narrow / wide, 1.0)))
    if style == "gpu":
        out.append(("tf32", 0.5))
    return tuple(out)


def _cores(stored: Memories, style: str, macs: float, dies: float) -> float:
    """Return the cores of one die: counted in the text, else one in 4,096 MACs (array) or 512 (GPU)."""
    if stored.cores:
        return max(1.0, stored.cores / dies)
    return max(1.0, round(macs / (4096.0 if style == "array" else 512.0) / dies))


def _stored(stored: Memories, total: float | None, style: str, flops: float) -> tuple[float, float, float, float]:
    """Return (local, shared, cache, registers) in B; memory of unknown kind is half local, half shared."""
    local, shared, cache, registers = stored.local, stored.shared, stored.cache, stored.registers
    rest = stored.unknown
    if total is None and not (local or shared or cache or registers):
        rest = _prior(f"sram.{style}") * flops / 1e12
    if style == "gpu":
        return local + 0.5 * rest, shared, cache + 0.5 * rest, registers
    return local + 0.5 * rest, shared + 0.5 * rest, cache, registers


def _gpu_registers(stored: Memories, lanes: float) -> float:
    """Return the register files (B) of a GPU: 256 KiB a multiprocessor, which has 64 to 128 lanes."""
    return (stored.cores or lanes / _prior("lanes")) * _prior("register_file")


def _links(row: Mapping[str, Any]) -> tuple[float, float, bool]:
    """Return (lanes, B/s of a lane, whether they only reach neighbours) of the package's chip-to-chip links.

    The rate of a lane follows the year: 25 Gb/s to 2018, 50 to 2021, 112 to 2024, then 224.
    """
    text = str(row.get("host_link") or "")
    counted = re.search(r"(\d+)\s*x\s*112\s*G", text)
    total = (number(row, "link_gbs_bidir") or 0.0) * 1e9
    if counted:
        lanes = float(counted[1])
        return lanes, total / 2.0 / lanes or SERDES, "edge" in text.casefold()
    year = number(row, "year") or 2021.0
    rate = next(gbit for last, gbit in ((2018, 25e9), (2021, 50e9), (2024, 112e9), (9999, 224e9)) if year <= last) / 8.0
    return total / 2.0 / rate, rate, False

"""A design as a chip: the type that silicon, training, serving, controls and the fleet take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from suanli.design._process import table
from suanli.design._spec import active_share, peak, vector_peak
from suanli.errors import InputError
from suanli.kinds import Chip
from suanli.sources import Source

if TYPE_CHECKING:
    from suanli.design._evaluate import Design

FAMILY = {"array": "design-systolic", "gpu": "design-gpu"}
"""Families of designed chips: silicon applies the efficiencies pooled over its kind."""

PROCESS = {"SN2": "SMIC N+2", "S8": "Samsung 8LPP", "N7P": "TSMC N7+"}


def _measured_cache() -> float:
    """Return the bytes of a shared cache up to which measured reuse is carried over to a design.

    No efficiency is measured on the hundreds of megabytes that a design may hold: what exceeds the knee counts as
    memory that software manages, in ``sram_bytes`` alone.
    """
    return table()["cache.knee"].value


def to_chip(design: Design) -> Chip:
    """Return ``design`` as a chip. Raises InputError where it holds more than one candidate."""
    spec = design.spec
    if int(np.prod(spec.shape)) != 1:
        raise InputError(f"{spec.name}: {int(np.prod(spec.shape))} candidates; take one of them to make a chip")
    return chip_at(design, 0)


def chip_at(design: Design, index: int) -> Chip:
    """Return candidate ``index`` of ``design`` as a chip."""
    spec = design.spec
    several = int(np.prod(spec.shape)) != 1

    def one(values: object) -> float:
        return float(np.broadcast_to(np.asarray(values, dtype=np.float64), spec.shape).reshape(-1)[index])

    peaks = {name: one(peak(spec, name)) for name, _ in spec.formats}
    peaks.setdefault("fp32", one(vector_peak(spec)))
    dies, cores = one(spec.dies), one(spec.cores) * one(active_share(spec))
    sram = one(spec.array("cores") * active_share(spec) * (spec.array("scratchpad") + spec.array("registers")))
    shared = one(spec.shared_sram)
    lanes, out = one(spec.lanes), one(spec.scale_out_lanes)
    node = spec.node
    return Chip(
        id=f"{spec.name}-{index + 1}" if several else spec.name,
        name=f"{spec.name}-{index + 1}" if several else spec.name,
        vendor=spec.vendor or "design",
        family=FAMILY[spec.style],
        peak={k: v for k, v in peaks.items() if v > 0.0},
        memory_bytes=one(design.memory_bytes) or None,
        memory_bandwidth=one(design.memory_bandwidth) or None,
        memory_kind=""
        if spec.memory == "none"
        else spec.memory.upper().replace("HBM2E", "HBM2e").replace("HBM3E", "HBM3e"),
        year=spec.year,
        process=PROCESS.get(node, f"TSMC {node}"),
        die_area_m2=one(design.area.value),
        n_logic_dies=round(dies),
        transistors=one(design.transistors),
        tdp_w=one(design.power.value) if spec.power_cap is None else min(one(design.power.value), spec.power_cap),
        clock_hz=one(design.clock),
        n_cores=round(cores * dies),
        sram_bytes=(sram + shared) * dies,
        l2_bytes=min(shared, _measured_cache()) * dies or None,
        scale_up_kind="serdes" if lanes > out else "",
        scale_up_bandwidth=(lanes - out) * dies * one(spec.lane_rate) or None,
        scale_up_domain=spec.scale_up_domain if lanes > out else None,
        scale_out_bandwidth=out * dies * one(spec.lane_rate) or None,
        form_factor="module",
        price_usd=one(design.price.value),
        tpp=one(design.tpp),
        designer_country=spec.designer_country,
        maker_country=spec.maker_country,
        verified="design",
        notes="designed here: area, power, TPP and price are computed",
        source=Source("Suanli design model", kind="estimated"),
    )

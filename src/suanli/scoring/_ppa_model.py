"""Area and power of a published chip from its row, with given multipliers of the constants."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from suanli.design import Activity, Constants, DesignSpec, calibrated, die_areas, mids, power_parts, table
from suanli.errors import InputError
from suanli.estimates import Array
from suanli.scoring._ppa_rows import logic_die, number, spec_of


def predicted(spec: DesignSpec, multipliers: Mapping[str, Any], *, node: str = "") -> tuple[Array, Array]:
    """Return (area of one logic die in mm², package power in W) of ``spec`` with constants scaled by ``multipliers``.

    Multipliers may be arrays of one length: the results have it too. The power is the geometric mean of what the
    silicon burns at a design load and of what packages of that area are given (tdp.density): a published power is a
    choice between them.
    """
    c: Constants = calibrated(mids(), {k: np.reshape(v, (-1, 1)) for k, v in multipliers.items()})
    areas = die_areas(spec, c)
    area = np.sum(np.broadcast_arrays(*areas.values()), axis=0)
    kind = power_class(spec)
    load = np.sum(np.broadcast_arrays(*power_parts(spec, areas, c, activity=_load_of(spec)).values()), axis=0)
    envelope = area * spec.array("dies") * c["tdp.density.linked" if kind == "linked" else "tdp.density.alone"]
    if kind == "card":
        load, envelope = load * c["tdp.card"], envelope * c["tdp.card"]
    weight = c["envelope.weight"]
    power = load ** (1.0 - weight) * envelope**weight
    die = logic_die(spec, node)
    if die is not spec:
        area = np.sum(np.broadcast_arrays(*die_areas(die, c).values()), axis=0)
    return np.ravel(area) / 1e-6, np.ravel(power)


def _load_of(spec: DesignSpec) -> Activity:
    """Return the load of a design power: matrix units, or the vector units of a chip that has nothing else."""
    lanes = float(np.ravel(spec.array("cores") * spec.array("vector_lanes"))[0])
    units = float(np.ravel(spec.array("cores") * spec.array("rows") * spec.array("cols"))[0])
    return Activity(vector=0.8) if units < lanes else Activity()


def power_class(spec: DesignSpec) -> str:
    """Return how a package's power is set: "linked" (GPUs, chips with links of 100 GB/s one way), "card" or "alone"."""
    links = float(np.ravel(spec.array("lanes") * spec.array("lane_rate") * spec.array("dies"))[0])
    if spec.style == "gpu" or links >= 100e9:
        return "linked"
    return "card" if spec.memory.startswith("lpddr") else "alone"


def naive_area(row: Mapping[str, Any], spec: DesignSpec, share: float) -> float | None:
    """Return the die area (mm²) by transistor count alone: count / (``share`` of the node's density) / dies."""
    count = number(row, "transistors_1e9")
    if count is None:
        return None
    return count * 1e9 / (share * table()[f"{spec.node}.density_top"].value) / float(np.ravel(spec.dies)[0]) / 1e-6


def naive_power(row: Mapping[str, Any], watts_per_tflop: float) -> float | None:
    """Return the power (W) by the 16-bit peak alone, 8-bit peaks counted half."""
    wide, narrow = number(row, "peak_fp16_tflops"), number(row, "peak_int8_fp8_tops")
    peak = wide or (narrow or 0.0) / 2.0
    return peak * watts_per_tflop or None


def openness(row: Mapping[str, Any]) -> float:
    """Return the further standard deviation (of the logarithm) for what a row leaves unsaid."""
    gaps = (
        (("clock_mhz",), 0.05),
        (("sram_mb_total", "sram_detail"), 0.12),
        (("vector_fp32_tflops",), 0.04),
        (("mac_fp16_bf16_total", "peak_fp16_tflops", "peak_int8_fp8_tops"), 0.15),
    )
    missing = [s for names, s in gaps if all(number(row, n) is None and not _text(row, n) for n in names)]
    return math.sqrt(sum(s * s for s in missing))


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return str(value).strip() if isinstance(value, str) else ""


def readable(row: Mapping[str, Any]) -> DesignSpec | str:
    """Return the design of ``row``, or the reason why there is none."""
    try:
        return spec_of(row)
    except InputError as error:
        return str(error)

"""Number formats of a deployment: what a weight and a cached number take, and which operators use which format."""

from __future__ import annotations

from dataclasses import dataclass

from suanli.errors import InputError, nearest
from suanli.kinds import Chip, Model

PRECISIONS: tuple[str, ...] = ("bf16", "fp16", "fp8", "int8", "fp4", "int4", "int4_wo", "int8_wo")
"""Precisions that a deployment may name; ``_wo`` quantises weights only."""

_WEIGHT_BYTES = {
    "bf16": 2.0,
    "fp16": 2.0,
    "fp8": 1.0,
    "int8": 1.0,
    "int8_wo": 1.0,
    "fp4": 0.5625,  # 4 bits and an 8-bit scale for each 16 (NVFP4)
    "int4": 0.515625,  # 4 bits and a 16-bit scale for each 128
    "int4_wo": 0.515625,
}
_TABLE_FORMAT = {"int8_wo": "int8", "int4_wo": "int4"}
_ALIASES = {"nvfp4": "fp4", "mxfp4": "fp4", "awq": "int4_wo", "gptq": "int4_wo", "w4a16": "int4_wo", "w8a8": "int8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Formats:
    """Formats of one deployment on one chip.

    ``table`` is the weight format in the operator table; ``dense``, ``experts`` and ``wide`` the silicon's formats of
    projections, expert FFNs, and of attention and what else stays in 16 bits; ``weight_bytes`` and ``kv`` what memory
    holds.
    """

    precision: str
    table: str
    dense: str
    experts: str
    wide: str
    kv: str
    weight_bytes: float
    expert_bytes: float


def precision_of(text: str) -> str:
    """Return the canonical name of a precision. Raises InputError with the nearest name."""
    low = text.casefold().strip()
    low = _ALIASES.get(low, low)
    low = low.split("+")[0]  # "fp8+bf16": the linear layers' format leads
    if low not in PRECISIONS:
        close = nearest(low, PRECISIONS)
        raise InputError(
            f"unknown precision '{text}'; "
            + (f"did you mean '{close}'?" if close else f"allowed: {', '.join(PRECISIONS)}")
        )
    return low


def formats_of(model: Model, chip: Chip, precision: str, *, kv: str | None = None) -> Formats:
    """Return the formats of ``model`` at ``precision`` on ``chip``.

    Where the chip does not multiply in a format, its weights are still stored in it and widened to 16 bits on the way
    (weight-only kernels). Models published with 4-bit experts keep their other layers in 16 bits (gpt-oss), or in the
    format they name for them (DeepSeek-V4).
    """
    name = precision_of(precision)
    mixed = model.experts is not None and model.experts.weight_format == name == "fp4"
    name = model.weight_format if mixed else name
    native = name in chip.peak or name.endswith("_wo")
    dense = {"fp4": "nvfp4", "int4": "int4_wo"}.get(name, name)
    if name == "fp8" and model.weight_format == "fp8":
        dense = "fp8_block"
    if not native:
        dense = {"fp8": "int8_wo", "int8": "int8_wo", "fp4": "int4_wo", "int4": "int4_wo"}.get(name, "bf16")
    wide = "bf16" if "bf16" in chip.peak or "fp16" not in chip.peak else "fp16"
    if dense in ("bf16", "fp16"):
        dense = dense if dense in chip.peak else wide
    experts = dense
    bytes_dense = bytes_experts = _WEIGHT_BYTES[name]
    only_experts = model.experts is not None and model.weight_format == "fp4"
    if only_experts:
        experts = "w4a8_mxfp4_mxfp8" if "fp4" in chip.peak else "w4a16_mxfp4"
        bytes_experts, dense, bytes_dense = 0.53125, wide, 2.0
    cache = kv or ("fp8" if _WEIGHT_BYTES[name] <= 1.0 and "fp8" in chip.peak and not only_experts else "bf16")
    if model.experts is not None and model.experts.weight_format == "fp4" and name == model.weight_format != "fp4":
        experts = "w4a8_mxfp4_mxfp8" if "fp4" in chip.peak else "w4a16_mxfp4"
        bytes_experts = 0.53125
    return Formats(
        precision=name,
        table=_TABLE_FORMAT.get(name, name),
        dense=dense,
        experts=experts,
        wide=wide,
        kv=cache,
        weight_bytes=bytes_dense,
        expert_bytes=bytes_experts,
    )

"""Measured efficiencies: which law holds for an operator, format and chip."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from suanli.catalog import fitted
from suanli.errors import InputError
from suanli.kinds import Chip
from suanli.silicon._formats import format_of
from suanli.silicon._laws import Law, law_from
from suanli.silicon._unit import unit_of

Parameters = Mapping[str, Any]
"""A parameter set as stored in catalog/data/fitted/ops.json: laws by operator and format, and their shifts."""

_STAND_IN: Mapping[str, tuple[str, ...]] = {
    "fp16": ("bf16",),
    "fp32": ("bf16",),
    "tf32": ("bf16",),
    "fp8": ("int8", "bf16"),
    "fp8_block": ("fp8", "bf16"),
    "int8": ("fp8", "bf16"),
    "fp4": ("nvfp4", "fp8", "bf16"),
    "nvfp4": ("fp4", "fp8", "bf16"),
    "mxfp4": ("nvfp4", "fp8", "bf16"),
    "int4": ("int8", "fp8", "bf16"),
    "int8_wo": ("int4_wo", "bf16"),
    "int4_wo": ("int8_wo", "w4a16_mxfp4", "bf16"),
    "w4a16_mxfp4": ("int4_wo", "bf16"),
    "w4afp8": ("fp8", "bf16"),
    "w4a8_mxfp4_mxfp8": ("fp8", "bf16"),
}
"""Formats whose efficiencies stand in, in order, where none were measured for the format itself."""


@cache
def final() -> Parameters:
    """Return the parameters fitted on all measured tables."""
    found: Parameters = fitted("ops")["final"]
    return found


def law_for(chip: Chip, op: str, dtype: str, *, kernel: str | None = None, parameters: Parameters | None = None) -> Law:
    """Return the law of operator ``op`` in format ``dtype`` on ``chip``.

    Efficiencies of the chip's own family apply where measured, else those of its kind, else the pooled ones; the
    interval widens at each step. Raises InputError for an operator that the parameters do not know.
    """
    known = final() if parameters is None else parameters
    name = format_of(dtype).name
    for candidate in (name, *_STAND_IN.get(name, ())):
        raw = known["laws"].get(f"{op}/{candidate}")
        if raw is not None:
            break
    else:
        raise InputError(f"no measured efficiency of operator '{op}' in any format like {dtype}")
    law = law_from(raw, where=f"fitted ops: {op}/{candidate}")
    unit = unit_of(chip)
    shifts = raw.get("shifts", {})
    for key in (f"kind:{unit.kind}", f"family:{unit.family}", f"chip:{chip.id}", f"kernel:{kernel}"):
        law = law.shifted(shifts.get(key, {}))
    return law

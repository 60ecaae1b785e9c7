"""Measured efficiencies: which law holds for an operator, format and chip."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from suanli.catalog import fitted
from suanli.errors import InputError
from suanli.kinds import Chip
from suanli.silicon._attention_grid import grid_of
from suanli.silicon._formats import format_of
from suanli.silicon._laws import PARTS, Law, Slopes
from suanli.silicon._unit import unit_of


@dataclass(frozen=True, slots=True)
class Stored:
    """A law as it is kept: pooled coefficients, shifts by group, spreads by part, and what was measured.

    ``sigma`` holds on unseen shapes of measured ``chips``, ``sigma_new`` on chips of no measured family.
    """

    pooled: Slopes
    shifts: Mapping[str, Slopes]
    sharpness: float
    sigma: Mapping[str, float]
    sigma_new: Mapping[str, float]
    chips: frozenset[str]
    families: frozenset[str]


Parameters = Mapping[str, Stored]
"""A set of measured efficiencies: laws by "operator/format"."""

_STAND_IN: Mapping[str, tuple[str, ...]] = {
    "fp16": ("bf16",),
    "fp32": ("bf16",),
    "tf32": ("bf16",),
    "fp8": ("int8", "bf16"),
    "fp8_block": ("fp8", "bf16"),
    "mxfp8": ("fp8_block", "fp8", "bf16"),
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
    raw = fitted("ops")
    return parameters_from(raw["final"], raw["laws"])


def parameters_from(values: Mapping[str, Sequence[float]], laws: Mapping[str, Any], *, without: str = "") -> Parameters:
    """Return the set whose coefficients are ``values`` (by law) under the columns and spreads of ``laws``.

    The chip ``without`` counts as not measured. Raises InputError where columns and values differ in number.
    """
    return {name: _stored(name, numbers, laws[name], without) for name, numbers in values.items()}


def _stored(name: str, values: Sequence[float], law: Mapping[str, Any], without: str) -> Stored:
    """Return one law; a column is "part|group|feature", a group "" is pooled over all chips and software."""
    columns = law["columns"]
    if len(columns) != len(values):
        raise InputError(f"fitted ops: {name}: {len(columns)} columns but {len(values)} values")
    groups: dict[str, dict[str, dict[str, float]]] = {}
    for column, value in zip(columns, values, strict=True):
        part, group, feature = column.split("|")
        if value:
            groups.setdefault(group, {}).setdefault(part, {})[feature] = float(value)
    measured = {chip: family for chip, family in law["chips"].items() if chip != without}
    return Stored(
        pooled=groups.pop("", {}),
        shifts=groups,
        sharpness=float(law["sharpness"]),
        sigma=law["sigma"],
        sigma_new=law["sigma_new"],
        chips=frozenset(measured),
        families=frozenset(measured.values()),
    )


def law_for(
    chip: Chip,
    op: str,
    dtype: str,
    *,
    kv_dtype: str | None = None,
    kernel: str | None = None,
    parameters: Parameters | None = None,
) -> Law:
    """Return the law of operator ``op`` in format ``dtype`` on ``chip``.

    Efficiencies of the chip's own family apply where measured, else those of its kind, else the pooled ones; the
    interval widens at each step. Raises InputError for an operator that the parameters do not know.
    """
    stored = stored_law(final() if parameters is None else parameters, op, dtype)
    attention = op.startswith(("attention", "mla")) and op != "mla_bmm"
    return law_of(stored, chip, shift_weights(chip, dtype, kv_dtype=kv_dtype, kernel=kernel, attention=attention))


def law_of(stored: Stored, chip: Chip, weights: Mapping[str, float]) -> Law:
    """Return the ``stored`` law on ``chip`` with the shifts that ``weights`` names."""
    if unit_of(chip).kind == "cpu":  # how shapes bend efficiency was measured on accelerators and tells nothing here
        plain = {part: {"one": slopes["one"]} for part, slopes in stored.pooled.items() if "one" in slopes}
        return Law(plain, stored.sharpness, _sigma(stored, chip))
    found = [(stored.shifts[key], weight) for key, weight in weights.items() if key in stored.shifts]
    return Law(stored.pooled, stored.sharpness, _sigma(stored, chip)).shifted(found)


def stored_law(known: Parameters, op: str, dtype: str) -> Stored:
    """Return the law of ``op`` in ``dtype``, or in the format that stands in. Raises InputError where none does."""
    name = format_of(dtype).name
    for candidate in (name, *_STAND_IN.get(name, ())):
        found = known.get(f"{op}/{candidate}")
        if found is not None:
            return found
    raise InputError(f"no measured efficiency of operator '{op}' in any format like {dtype}")


def _sigma(stored: Stored, chip: Chip) -> Mapping[str, float]:
    """Return the spread by part: as on unseen shapes of a measured chip, wider on its siblings, widest elsewhere."""
    if chip.id in stored.chips:
        return stored.sigma
    if unit_of(chip).family in stored.families:
        return {part: math.sqrt(stored.sigma[part] * stored.sigma_new[part]) for part in PARTS}
    return stored.sigma_new


def shift_weights(
    chip: Chip, dtype: str, *, kv_dtype: str | None = None, kernel: str | None = None, attention: bool = False
) -> dict[str, float]:
    """Return the shifts that apply, with their weights: kind and family of chip, software, cache format.

    A family takes its ``likeness`` of the shifts of the family it resembles, and its own where measured. ``kernel`` is
    "framework/kernel" or a framework alone. Of ``attention`` the algorithm (FlashAttention 2, XQA ...) tells more than
    the framework that calls it, and a kernel may read a quantised cache in code of its own.
    """
    unit = unit_of(chip)
    out = {f"kind:{unit.kind}": 1.0, f"format:{format_of(dtype).name}": 1.0}
    if unit.like:
        out[f"family:{unit.like}"] = unit.likeness
    out[f"family:{unit.family}"] = 1.0
    if kernel:
        framework, _, name = kernel.partition("/")
        algorithm = grid_of(kernel).algorithm if attention else ""
        out[f"kernel:*/{algorithm}" if algorithm else f"framework:{framework}"] = 1.0
        if name:
            out[f"kernel:{kernel}"] = 1.0
            # One name may stand for different code on another architecture.
            out[f"kernel:{kernel}@{unit.family}"] = 1.0
            if unit.like:
                out[f"kernel:{kernel}@{unit.like}"] = unit.likeness
    if kv_dtype and format_of(kv_dtype).activation != format_of(dtype).activation:
        cache_format = format_of(kv_dtype).name
        out[f"kv:{cache_format}"] = 1.0
        if kernel and attention:
            out[f"kv:{kernel}+{cache_format}"] = 1.0
            out[f"kv:{kernel}+{cache_format}@{unit.family}"] = 1.0
    return out

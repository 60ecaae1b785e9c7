"""Measured efficiencies: which law holds for an operator, format and chip."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

from suanli.catalog import fitted
from suanli.errors import InputError
from suanli.kinds import Chip
from suanli.silicon._attention_grid import grid_of
from suanli.silicon._formats import format_of
from suanli.silicon._laws import PARTS, RESOURCES, Law, Slopes
from suanli.silicon._unit import unit_of


@dataclass(frozen=True, slots=True)
class Spread:
    """How far measured times lie from predicted ones, as the standard deviation of the logarithm of their ratio.

    ``seen`` holds, by the part that binds, on unseen shapes of measured chips and ``new`` on chips that were left out;
    each is multiplied by the ratios of format and kernel, and on new chips by the ``standing`` of what runs: a kernel
    "known" from other chips, an "unknown" one, or a chip ("stranger") that resembles no measured family.
    """

    seen: Mapping[str, float]
    new: Mapping[str, float]
    format_seen: Mapping[str, float]
    format_new: Mapping[str, float]
    kernel_seen: Mapping[str, float]
    kernel_new: Mapping[str, float]
    standing: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Stored:
    """A law as it is kept: pooled coefficients, shifts by group, spreads, and what was measured.

    ``kernels`` are those measured, as "framework/kernel:format", with their chips.
    """

    pooled: Slopes
    shifts: Mapping[str, Slopes]
    sharpness: float
    spread: Spread
    chips: Mapping[str, str]
    formats: frozenset[str]
    kernels: Mapping[str, frozenset[str]]


Parameters = Mapping[str, Stored]
"""A set of measured efficiencies: laws by operator."""

METHODS: tuple[str, ...] = ("triton", "marlin", "cutlass", "deepgemm", "flashinfer", "flashmla", "fa2", "fa3", "torch")
"""Libraries that a kernel's name may show it was written with."""

_STAND_IN: Mapping[str, tuple[str, ...]] = {
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


_PLAIN: Slopes = {part: {"one": -12.0} for part in RESOURCES}


@cache
def final() -> Parameters:
    """Return the parameters fitted on all measured tables."""
    raw = fitted("ops")
    return parameters_from(raw["final"], raw["laws"])


def parameters_from(values: Mapping[str, Sequence[float]], laws: Mapping[str, Any], *, without: str = "") -> Parameters:
    """Return the set whose coefficients are ``values`` (by law) under the columns and spreads of ``laws``.

    The chip ``without`` counts as not measured, and what is said of new chips does not rest on it. Raises InputError
    where columns and values differ in number.
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
    spread = {**law["spread"], **law["spread_without"].get(without, {})}
    spread |= {name: dict(zip(law["kernels"], spread[name], strict=True)) for name in ("kernel_seen", "kernel_new")}
    return Stored(
        pooled=groups.pop("", {}),
        shifts=groups,
        sharpness=float(law["sharpness"]),
        spread=Spread(**spread),
        chips={chip: family for chip, family in law["chips"].items() if chip != without},
        formats=frozenset(law["formats"]),
        kernels={kernel: frozenset(chips) - {without} for kernel, chips in law["kernels"].items()},
    )


@dataclass(frozen=True, slots=True)
class Kin:
    """Who a chip is to the measured ones: itself, its family, the family it resembles ('': none) and how far."""

    chip: str
    family: str
    like: str
    likeness: float
    processor: bool


def kin_of(chip: Chip) -> Kin:
    """Return who ``chip`` is to the measured chips. Raises InputError for a chip without any peak rate."""
    unit = unit_of(chip)
    return Kin(chip.id, unit.family, unit.like, unit.likeness, unit.kind == "cpu")


def law_for(
    chip: Chip,
    op: str,
    dtype: str,
    *,
    kv_dtype: str | None = None,
    kernel: str | None = None,
    shifts: Sequence[str] = (),
    parameters: Parameters | None = None,
    stranger: bool = False,
) -> Law:
    """Return the law of operator ``op`` in format ``dtype`` on ``chip``; ``shifts`` names further ones that apply.

    Efficiencies of the chip's own family apply where measured, else a share of those it resembles and for the rest the
    mean of all families; the interval widens at each step. Without a ``kernel`` the mean of the measured ones holds.
    A ``stranger`` resembles none, whatever its family. Raises InputError for an operator that the parameters do not
    know.
    """
    kin = replace(kin_of(chip), like="") if stranger else kin_of(chip)
    if parameters is None:
        return _final_law(kin, op, dtype, kv_dtype, kernel, tuple(shifts))
    return _law(kin, op, dtype, kv_dtype, kernel, shifts, parameters)


@lru_cache(maxsize=4096)
def _final_law(kin: Kin, op: str, dtype: str, kv_dtype: str | None, kernel: str | None, shifts: tuple[str, ...]) -> Law:
    return _law(kin, op, dtype, kv_dtype, kernel, shifts, final())


def _law(
    kin: Kin,
    op: str,
    dtype: str,
    kv_dtype: str | None,
    kernel: str | None,
    shifts: Sequence[str],
    parameters: Parameters,
) -> Law:
    stored = parameters.get(op)
    if stored is None:
        raise InputError(f"no measured efficiency of operator '{op}'")
    form = stand_in(stored.formats, dtype)
    spread = _sigma(stored, kin, form, f"{kernel}:{form}" if kernel else "")
    if kin.processor:
        # Efficiencies were measured on accelerators and tell nothing here: a calibrated processor's figures are
        # effective ones, which nothing slows further, and a core computes and waits for memory by turns.
        return Law(_PLAIN, 1.0, spread)
    weights = _usual(stored, kin, op, form, kv_dtype) if kernel is None else {}
    weights = weights or _weights(stored, kin, op, form, kv_dtype, kernel)
    weights |= dict.fromkeys(shifts, 1.0)
    found = [(stored.shifts[key], weight) for key, weight in weights.items() if key in stored.shifts]
    return Law(stored.pooled, stored.sharpness, spread).shifted(found)


def _usual(stored: Stored, kin: Kin, op: str, form: str, kv_dtype: str | None) -> dict[str, float]:
    """Return the mean shifts of the kernels measured in ``form`` on the chip's family, else of those anywhere.

    What is pooled over software is where the fit starts from, not what software does on the whole.
    """
    kernels = [k.removesuffix(f":{form}") for k in stored.kernels if k.endswith(f":{form}")]
    own = [k for k in kernels if any(stored.chips.get(c) == kin.family for c in stored.kernels[f"{k}:{form}"])]
    chosen = own or kernels
    total: dict[str, float] = {}
    for kernel in chosen:
        for name, weight in _weights(stored, kin, op, form, kv_dtype, kernel).items():
            total[name] = total.get(name, 0.0) + weight / len(chosen)
    return total


def _weights(
    stored: Stored, kin: Kin, op: str, form: str, kv_dtype: str | None, kernel: str | None
) -> dict[str, float]:
    """Return the shifts that apply to ``op``; what an unmeasured family inherits from no other is the families' mean.

    The pooled coefficients are where the fit starts from; the measured families together may lie to one side of them.
    """
    out = shift_weights(kin, op, form, kv_dtype=kv_dtype, kernel=kernel)
    measured = set(stored.chips.values())
    if kin.family in measured:
        return out
    ran = {stored.chips[c] for c in stored.kernels.get(f"{kernel}:{form}", ())}
    for families, shift in ((measured, "family:"), (ran, f"kernel:{kernel}:{form}@")):
        rest = 1.0 - kin.likeness if kin.like in families else 1.0
        for family in sorted(families):
            out[shift + family] = out.get(shift + family, 0.0) + rest / len(families)
    return out


def stand_in(measured: Collection[str], dtype: str) -> str:
    """Return the format among ``measured`` whose efficiencies ``dtype`` takes: its own, or the nearest in kind."""
    name = law_format(dtype)
    return next((f for f in (name, *_STAND_IN.get(name, ())) if f in measured), name)


def law_format(dtype: str) -> str:
    """Return the format under which efficiencies of ``dtype`` are kept: the two 16-bit formats run alike."""
    name = format_of(dtype).name
    return "bf16" if name == "fp16" else name


def _sigma(stored: Stored, kin: Kin, form: str, kernel: str) -> Mapping[str, float]:
    """Return the spread by part: as on unseen shapes where chip, format and kernel were measured together.

    On a sibling of a measured chip it lies between that and a new chip's.
    """
    spread = stored.spread
    on = stored.kernels.get(kernel, frozenset()) if kernel else frozenset(stored.chips)
    seen = spread.format_seen.get(form, 1.0) * spread.kernel_seen.get(kernel, 1.0)
    standing = "stranger" if kin.family not in stored.chips.values() and not kin.like else "known"
    if kernel and standing == "known" and not on:
        standing = "unknown"
    new = spread.format_new.get(form, max(spread.format_new.values())) * spread.kernel_new.get(kernel, 1.0)
    new *= spread.standing[standing]
    if kin.chip in on:
        return {part: value * seen for part, value in spread.seen.items()}
    if kin.family in stored.chips.values():
        return {part: math.sqrt(spread.seen[part] * seen * spread.new[part] * new) for part in PARTS}
    return {part: value * new for part, value in spread.new.items()}


def shift_weights(
    kin: Kin, op: str, form: str, *, kv_dtype: str | None = None, kernel: str | None = None
) -> dict[str, float]:
    """Return the shifts that apply to ``op`` in the measured format ``form``, with their weights.

    They are those of the family, of software, its library and the cache's format. A family takes its
    ``likeness`` of the shifts of the family it resembles, and its own where measured. ``kernel`` is
    "framework/kernel" or a framework alone. Of attention the algorithm (FlashAttention 2, XQA ...) tells more than the
    framework that calls it, and a kernel may read a quantised cache in code of its own.
    """
    out = {f"format:{form}": 1.0}
    if kin.like:
        out[f"family:{kin.like}"] = kin.likeness
    out[f"family:{kin.family}"] = 1.0
    if kernel:
        framework, _, name = kernel.partition("/")
        attention = op.startswith(("attention", "mla"))
        algorithm = grid_of(kernel).algorithm if attention else ""
        if algorithm:
            out[f"kernel:*/{algorithm}"] = 1.0
        elif op != "gemm":  # frameworks call the same few libraries for a product
            out[f"framework:{framework}"] = 1.0
        out.update({f"method:{method}": 1.0 for method in METHODS if method in name.casefold()})
        key = f"kernel:{kernel}:{form}"
        out[key] = 1.0
        # One name may stand for different code on another architecture.
        out[f"{key}@{kin.family}"] = 1.0
        if kin.like:
            out[f"{key}@{kin.like}"] = kin.likeness
    if kv_dtype and format_of(kv_dtype).activation != format_of(form).activation:
        cache_format = format_of(kv_dtype).name
        out[f"kv:{cache_format}"] = 1.0
        if kernel and op.startswith(("attention", "mla")):
            out[f"kv:{kernel}+{cache_format}"] = 1.0
            out[f"kv:{kernel}+{cache_format}@{kin.family}"] = 1.0
    return out

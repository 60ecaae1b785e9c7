"""A chip: one accelerator package as sold or designed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from suanli.sources import Source

FORMATS: tuple[str, ...] = ("fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "int8", "fp4", "int4")
"""Number formats in which a chip may state a dense peak rate."""

BITS: Mapping[str, int] = {
    "fp64": 64,
    "fp32": 32,
    "tf32": 32,
    "fp16": 16,
    "bf16": 16,
    "fp8": 8,
    "int8": 8,
    "fp4": 4,
    "int4": 4,
}
"""Bits of an operand in each format (tf32 is stored in 32)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """One accelerator; None means unknown. Rates are dense, in SI units, per package.

    ``peak`` maps a format to FLOP/s (integer formats: OP/s). ``scale_up_bandwidth`` (B/s) is what the package
    sends in one direction over its links to the chips of its node; ``scale_out_bandwidth`` (B/s, one direction) is
    its share of the node's network cards. ``scale_up_domain`` counts the chips that the former join.
    ``die_area_m2`` is the area of one of ``n_logic_dies``, ``io_die_area_m2`` that of all further dies;
    ``l2_bytes`` is the last cache before memory. ``memory_bytes`` is 0 where all memory is on the die.
    ``family`` names the architecture whose measured efficiencies apply.
    ``field_sources`` names the source of a field where it differs from ``source``.
    """

    id: str
    name: str
    vendor: str
    family: str
    peak: Mapping[str, float]
    memory_bytes: float | None = None
    memory_bandwidth: float | None = None
    memory_kind: str = ""
    year: int | None = None
    process: str = ""
    die_area_m2: float | None = None
    n_logic_dies: int | None = None
    io_die_area_m2: float | None = None
    transistors: float | None = None
    tdp_w: float | None = None
    clock_hz: float | None = None
    n_cores: int | None = None
    sram_bytes: float | None = None
    l2_bytes: float | None = None
    scale_up_kind: str = ""
    scale_up_bandwidth: float | None = None
    scale_up_domain: int | None = None
    scale_out_bandwidth: float | None = None
    form_factor: str = ""
    price_usd: float | None = None
    tpp: float | None = None
    designer_country: str = ""
    maker_country: str = ""
    verified: str = ""
    notes: str = ""
    source: Source = field(default_factory=lambda: Source(""))
    field_sources: Mapping[str, Source] = field(default_factory=dict)

    def source_of(self, name: str) -> Source:
        """Return where the field ``name`` was read."""
        return self.field_sources.get(name, self.source)

    def best_format(self, bits: int) -> str | None:
        """Return the fastest stated format of at most ``bits`` bits an operand, or None."""
        stated = [f for f in self.peak if BITS[f] <= bits]
        return max(stated, key=lambda f: self.peak[f], default=None)

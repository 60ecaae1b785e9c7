"""What the laws of time need to know of a chip: cores, matrix granule, memory, cache."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from suanli.errors import InputError
from suanli.kinds import Chip

_DEFAULT_CLOCK = 1.5e9  # Hz, where a chip states none: only the split between cores and cache width rests on it


@dataclass(frozen=True, slots=True)
class Unit:
    """A chip as its laws see it. ``cores`` run one output tile each; ``granule`` is the matrix unit's m, n, k.

    ``bandwidth`` (B/s) is the memory's, None without one; ``cache`` (B) is the last cache that all cores share;
    ``cache_rate`` (B/s) what the cores can draw from it, 64 B a core and cycle.
    """

    family: str
    kind: str
    cores: float
    clock: float
    granule: tuple[float, float, float]
    tiles: tuple[tuple[float, float], ...]
    bandwidth: float | None
    cache: float
    cache_rate: float


@cache
def _families() -> dict[str, Any]:
    raw: dict[str, Any] = json.loads(
        files("suanli.silicon").joinpath("data/units.json").read_text(encoding="utf-8")
    )
    return raw


def unit_of(chip: Chip) -> Unit:
    """Return ``chip`` as the laws see it; cores and cache are derived where the datasheet leaves them out.

    Raises InputError for a chip without any peak rate.
    """
    table = _families()
    entry = {**table["default"], **table["families"].get(chip.family, {})}
    clock = chip.clock_hz or _DEFAULT_CLOCK
    cores = _cores(chip, entry["core"], clock)
    return Unit(
        family=chip.family,
        kind=entry["kind"],
        cores=cores,
        clock=clock,
        granule=tuple(float(g) for g in entry["granule"]),
        tiles=tuple((float(m), float(n)) for m, n in entry["tiles"]),
        bandwidth=chip.memory_bandwidth or None,
        cache=_cache(chip),
        cache_rate=64.0 * cores * clock,
    )


def _cores(chip: Chip, flop_per_cycle: float, clock: float) -> float:
    """Return the number of tile-sized cores: the datasheet's, else what peak, clock and core rate imply."""
    rate = next((chip.peak[f] for f in ("bf16", "fp16", "int8", "fp8") if chip.peak.get(f)), None)
    if rate is None:
        raise InputError(f"chip '{chip.id}' states no peak rate in any format")
    implied = max(1.0, round(rate / (flop_per_cycle * clock)))
    stated = float(chip.n_cores) if chip.n_cores else implied
    # A datasheet may count much larger or smaller things than the units that take one tile each.
    return stated if 0.25 < stated / implied < 4.0 else implied


def _cache(chip: Chip) -> float:
    """Return the bytes of shared cache: the datasheet's, else half of the on-chip memory, else none."""
    if chip.l2_bytes is not None:
        return chip.l2_bytes
    return 0.5 * (chip.sram_bytes or 0.0)

"""What the laws of time need to know of a chip: cores, matrix granule, memory, cache."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InputError
from suanli.kinds import Chip
from suanli.silicon._tables import table

_DEFAULT_CLOCK = 1.5e9  # Hz, where a chip states none: only the split between cores and cache width rests on it
_PICO = 0.8e-12  # J per 16-bit FLOP of a narrow 5 nm matrix unit with all its data paths, the least ever measured
_NARROW = 1024.0  # FLOP per cycle and core of that unit; operands are fetched once per row and column of a wider one
_CACHE_OVER_MEMORY = 3.0  # a last cache that is no faster than this would not be built


@dataclass(frozen=True, slots=True)
class Unit:
    """A chip as its laws see it.

    ``like`` names the measured family that this one resembles ('': none) and ``likeness`` how far. ``cores`` run one
    output tile each; ``granule`` is the matrix unit's m, n, k. ``bandwidth`` (B/s) is the memory's, less what inline
    ECC takes of it, infinite where on-chip SRAM is all there is; ``cache`` (B) is the last cache that all cores share,
    ``cache_rate`` (B/s) what the cores can draw from it. ``exp_rate`` counts exponentials per second;
    ``joule_per_flop`` is a first estimate for 16-bit operands; ``watts`` what the sustained limit leaves for work,
    infinite where unknown. ``exchange`` (B/s) passes between matrix and vector units that share no buffer, infinite
    where they do.
    """

    family: str
    kind: str
    like: str
    likeness: float
    cores: float
    clock: float
    granule: tuple[float, float, float]
    tiles: tuple[tuple[float, float], ...]
    bandwidth: float
    cache: float
    cache_rate: float
    exp_rate: float
    joule_per_flop: float
    watts: float
    exchange: float

    @property
    def kilocycle(self) -> float:
        """Seconds of a thousand cycles, in which the overhead of a kernel is counted."""
        return 1e3 / self.clock


def unit_of(chip: Chip) -> Unit:
    """Return ``chip`` as the laws see it; cores and cache are derived where the datasheet leaves them out.

    Raises InputError for a chip without any peak rate.
    """
    known = table("units")
    entry = {**known["default"], **known["families"].get(chip.family, {})}
    clock = chip.clock_hz or _DEFAULT_CLOCK
    cores = _cores(chip, entry["core"], clock, counted=entry["counted"])
    bandwidth = _bandwidth(chip, known["inline_ecc"])
    drawn = entry["fill"] * cores * clock
    if math.isfinite(bandwidth):
        drawn = max(drawn, _CACHE_OVER_MEMORY * bandwidth)
    return Unit(
        family=chip.family,
        kind=entry["kind"],
        like=entry["like"],
        likeness=float(entry["likeness"]),
        cores=cores,
        clock=clock,
        granule=(float(entry["granule"][0]), float(entry["granule"][1]), float(entry["granule"][2])),
        tiles=tuple((float(m), float(n)) for m, n in entry["tiles"]),
        bandwidth=bandwidth,
        cache=_cache(chip),
        cache_rate=drawn,
        exp_rate=entry["exp"] * cores * clock,
        joule_per_flop=_PICO * entry["energy"] * math.sqrt(_NARROW / entry["core"]),
        watts=_watts(chip, known["standing"]),
        exchange=entry["exchange"] * cores * clock if entry["exchange"] else math.inf,
    )


def _cores(chip: Chip, flop_per_cycle: float, clock: float, *, counted: bool) -> float:
    """Return the number of tile-sized cores: the datasheet's, else what peak, clock and core rate imply.

    ``counted`` says that the family's datasheets count exactly these cores (SM, CU, AI core); others may count
    much larger or smaller things.
    """
    if counted and chip.n_cores:
        return float(chip.n_cores)
    rate = next((chip.peak[f] for f in ("bf16", "fp16", "int8", "fp8") if chip.peak.get(f)), None)
    if rate is None:
        raise InputError(f"chip '{chip.id}' states no peak rate in any format")
    implied = max(1.0, round(rate / (flop_per_cycle * clock)))
    stated = float(chip.n_cores) if chip.n_cores else implied
    return stated if 0.25 < stated / implied < 4.0 else implied


def energy_time(unit: Unit, flop: NDArray[np.float64], bits: float) -> NDArray[np.float64]:
    """Return seconds that ``flop`` take at the power limit, their energy in proportion to the operands' bits."""
    out: NDArray[np.float64] = flop * (unit.joule_per_flop * bits / 16.0 / unit.watts)
    return out


def roofline(unit: Unit, flop: NDArray[np.float64], peak: float, size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the longer of the seconds of ``flop`` at ``peak`` and of ``size`` bytes at the memory's bandwidth."""
    return np.maximum(flop / peak, size / unit.bandwidth)


def _bandwidth(chip: Chip, ecc: dict[str, Any]) -> float:
    """Return the memory's bandwidth for data. Raises InputError where the chip has memory but states none.

    Where ECC lies in the memory itself, its share passes through the same pins.
    """
    if chip.memory_bandwidth:
        inline = chip.family in ecc["families"] and chip.memory_kind == ecc["memory_kind"]
        return chip.memory_bandwidth / (1.0 + ecc["share"]) if inline else chip.memory_bandwidth
    if chip.memory_kind.casefold() == "none" or chip.memory_bytes == 0.0:
        return math.inf
    raise InputError(f"chip '{chip.id}': memory bandwidth is unknown; state memory_bandwidth in a chip file")


def _watts(chip: Chip, standing: dict[str, float]) -> float:
    """Return the power that is left for work once leakage and clocks of the dies have theirs; infinite if unknown."""
    if not chip.tdp_w:
        return math.inf
    known = chip.die_area_m2 is not None
    area = (chip.die_area_m2 or 0.0) * (chip.n_logic_dies or 1)
    taken: float = standing["w_per_mm2"] * area * 1e6 if known else standing["share"] * chip.tdp_w
    return chip.tdp_w - min(taken, standing["most"] * chip.tdp_w)


def _cache(chip: Chip) -> float:
    """Return the bytes of shared cache: the datasheet's, else half of the on-chip memory, else none."""
    if chip.l2_bytes is not None:
        return chip.l2_bytes
    return 0.5 * (chip.sram_bytes or 0.0)

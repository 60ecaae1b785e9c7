"""The ideal work of a matrix product: tiles in waves over cores, operands through cache and memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.kinds import BITS, Chip
from suanli.silicon._cache import Traffic, missing, over_cache, pass_time
from suanli.silicon._formats import Format, peak_rate
from suanli.silicon._gemm_tiles import Waves, waves_of
from suanli.silicon._laws import Work
from suanli.silicon._timing import USUAL, Timing
from suanli.silicon._unit import Unit, energy_time, roofline, unit_of

Array = NDArray[np.float64]

_WIDE = 2.0  # bytes of an activation before it is quantised
_EXCHANGED = 8.0  # bytes of a 32-bit sum that matrix units write for vector units to scale
_PANELS = 6.0  # times a weight's bytes that making and using a processor's panels moves through its cache
_STEP = 128.0  # bytes of a row that a tile loads at once
_STEP_TIME = 5e-8  # s from one such load to the next: memory's latency over some eight loads in flight
_CHAINED = ("gpu_hbm", "gpu_gddr", "npu")  # kinds whose tiles wait for their loads; elsewhere operands are moved ahead


@dataclass(frozen=True, slots=True)
class Bytes:
    """What products move (arrays of one shape): ``weights``; ``rest``, the activations and outputs.

    ``wide``: what quantising the activations first moves; ``beside``: what else passes through the cache, but never
    to memory.
    """

    weights: Array
    rest: Array
    wide: Array
    beside: Array

    @property
    def size(self) -> Array:
        """Bytes of all operands."""
        out: Array = self.weights + self.rest
        return out


def gemm_work(
    chip: Chip,
    form: Format,
    *,
    m: Array,
    n: Array,
    k: Array,
    batch: Array,
    warm: bool = True,
    kernel: str | None = None,
    timing: Timing = USUAL,
) -> Work:
    """Return the ideal work of ``batch`` products of these sizes, and the features of their efficiency.

    Activations narrower than 16 bits are quantised first; ``timing`` says how often the weights change.
    """
    unit = unit_of(chip)
    quantised = timing.quantises and form.activation < _WIDE and unit.kind != "cpu"
    tiled = waves_of(unit, kernel, form.name, m=m, n=n, k=k, batch=batch)
    moved = _moved(unit, form, m, n, k, batch, quantised=quantised)
    size, cycled = moved.size, timing.cycled(moved.weights, unit.cache) + moved.rest
    lacking = missing(size, cycled, unit.cache)
    traffic = Traffic(lacking if warm else size, lacking)
    wide_missed = missing(moved.wide, cycled + moved.wide, unit.cache) if warm else moved.wide
    flop, rate = 2.0 * batch * m * n * k, peak_rate(chip, form.rate)
    return Work(
        compute=tiled.flop / rate,
        memory=traffic.missed / unit.bandwidth,
        cache=(size + moved.beside) / unit.cache_rate,
        exchange=(_EXCHANGED * batch * m * n if quantised else np.zeros_like(size)) / unit.exchange,
        vector=_chain(unit, form, k, tiled),
        power=energy_time(unit, flop, BITS[form.rate]),
        roofline=roofline(unit, flop, rate, size),
        flop=flop,
        launch=(2.0 if quantised else 1.0) * unit.kilocycle,
        before=pass_time(unit, moved.wide, wide_missed),
        host=np.full_like(size, timing.host),
        held=traffic.held,
        features={
            **_shape_features(m, n, k),
            **_tile_features(tiled),
            "kept": traffic.kept(size),
            **_size_features(size, unit.cache),
        },
    )


def _moved(unit: Unit, form: Format, m: Array, n: Array, k: Array, batch: Array, *, quantised: bool) -> Bytes:
    weights = form.weight * batch * k * n
    none = np.zeros_like(weights)
    beside = none
    if unit.kind == "cpu":
        # A processor first copies the weights into panels (allocates, writes and reads them), but for a single row.
        beside = np.where(m > 1.0, _PANELS * weights, 0.0)
    return Bytes(
        weights=weights,
        rest=batch * (form.activation * m * k + form.output * m * n),
        wide=(_WIDE + form.activation) * batch * m * k if quantised else none,
        beside=beside,
    )


def _chain(unit: Unit, form: Format, k: Array, tiled: Waves) -> Array:
    """Return seconds of the tiles' loads down k, one after another, which no clock shortens."""
    if unit.kind not in _CHAINED:
        return np.zeros_like(tiled.waves)
    steps = np.ceil(k * form.activation / _STEP) / tiled.split
    out: Array = np.ceil(tiled.waves) * steps * _STEP_TIME
    return out


def _shape_features(m: Array, n: Array, k: Array) -> dict[str, Array]:
    return {
        "m": np.log2(np.minimum(m, 65536.0)) / 5.0 - 1.4,
        "n": np.log2(np.clip(n, 16.0, 131072.0)) / 4.0 - 2.8,
        "k": np.log2(np.clip(k, 16.0, 131072.0)) / 4.0 - 2.8,
        "short_m": 16.0 / (m + 16.0),
        "short_n": 64.0 / (n + 64.0),
        "short_k": 128.0 / np.maximum(k, 32.0),
    }


def _tile_features(tiled: Waves) -> dict[str, Array]:
    waves = np.log2(tiled.waves)
    return {
        "waves": np.clip(waves, -6.0, 4.0) / 3.0,
        "many_waves": np.clip(waves, 0.0, 4.0) / 3.0,
        "few_waves": np.clip(waves, -6.0, 0.0) / 3.0,
        "split": np.log2(tiled.split) / 3.0,
        "tile": (tiled.area - 13.0) / 2.0,
    }


def _size_features(size: Array, cache: float) -> dict[str, Array]:
    over = over_cache(size, cache)
    return {"size": np.clip(over, -4.0, 4.0), "over": np.clip(over, 0.0, 4.0)}

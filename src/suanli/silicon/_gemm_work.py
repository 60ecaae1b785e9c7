"""The ideal work of a matrix product: tiles in waves over cores, operands through cache and memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suanli.kinds import BITS, Chip
from suanli.silicon._formats import Format, peak_rate
from suanli.silicon._gemm_tiles import Tiles, stated_tiles
from suanli.silicon._laws import Work
from suanli.silicon._timing import USUAL, Timing
from suanli.silicon._unit import Unit, energy_time, unit_of

Array = NDArray[np.float64]

_K_STEP = 512.0  # a split of k shorter than this is not worth its reduction
_WIDE = 2.0  # bytes of an activation before it is quantised
_EXCHANGED = 8.0  # bytes of a 32-bit sum that matrix units write for vector units to scale
_PANELS = 6.0  # times a weight's bytes that making and using a processor's panels moves through its cache
_STEP = 128.0  # bytes of a row that a tile loads at once
_STEP_TIME = 5e-8  # s from one such load to the next: memory's latency over some eight loads in flight
TILE_LOSS = 16.0  # a tile of h x w costs 1 + loss / h + loss / w of its FLOP: what it reads more than a large one


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
    stated = stated_tiles(kernel, form.name, unit.family, m=m, n=n, batch=batch, cores=unit.cores)
    padded, waves, split, area = in_waves(unit, stated, k) if stated else tiling(unit, m=m, n=n, k=k, batch=batch)
    flop, rate = 2.0 * batch * m * n * k, peak_rate(chip, form.rate)
    weights = form.weight * batch * k * n
    rest = batch * (form.activation * m * k + form.output * m * n)
    size = weights + rest
    cycled = timing.cycled(weights, unit.cache) + rest
    again = missing(size, cycled, unit.cache)
    missed = again if warm else size
    quantised = timing.quantises and form.activation < _WIDE and unit.kind != "cpu"
    wide = (_WIDE + form.activation) * batch * m * k if quantised else np.zeros_like(size)
    wide_missed = missing(wide, cycled + wide, unit.cache) if warm else wide
    exchanged = _EXCHANGED * batch * m * n if quantised and unit.apart else 0.0
    # No clock shortens a tile's chain of loads down k; where software or a sequencer moves operands, they run ahead.
    chained = unit.kind in ("gpu_hbm", "gpu_gddr", "npu")
    steps = np.ceil(k * form.activation / _STEP) / split if chained else np.zeros_like(size)
    # A processor first copies the weights into panels (allocates, writes and reads them), except for a single row.
    panels = np.where(m > 1.0, _PANELS * weights, 0.0) if unit.kind == "cpu" else np.zeros_like(size)
    return Work(
        compute=padded / rate,
        memory=missed / unit.bandwidth,
        cache=(size + panels + exchanged) / unit.cache_rate,
        vector=np.ceil(waves) * steps * _STEP_TIME,
        power=energy_time(unit, flop, BITS[form.rate]),
        roofline=np.maximum(flop / rate, size / unit.bandwidth),
        flop=flop,
        launch=(2.0 if quantised else 1.0) * 1e3 / unit.clock,
        before=np.maximum(wide_missed / unit.bandwidth, wide / unit.cache_rate),
        host=np.full_like(size, timing.host),
        held=(missed - again) / size,
        features={
            "m": np.log2(np.minimum(m, 65536.0)) / 5.0 - 1.4,
            "n": np.log2(np.clip(n, 16.0, 131072.0)) / 4.0 - 2.8,
            "k": np.log2(np.clip(k, 16.0, 131072.0)) / 4.0 - 2.8,
            "waves": np.clip(np.log2(waves), -6.0, 4.0) / 3.0,
            "many_waves": np.clip(np.log2(waves), 0.0, 4.0) / 3.0,
            "few_waves": np.clip(np.log2(waves), -6.0, 0.0) / 3.0,
            "short_m": 16.0 / (m + 16.0),
            "short_n": 64.0 / (n + 64.0),
            "short_k": 128.0 / np.maximum(k, 32.0),
            "split": np.log2(split) / 3.0,
            "tile": (area - 13.0) / 2.0,
            "kept": 1.0 - missed / size,
            "size": np.clip(np.log2(size / max(unit.cache, 1e6)) / 4.0, -4.0, 4.0),
            "over": np.clip(np.log2(size / max(unit.cache, 1e6)) / 4.0, 0.0, 4.0),
        },
    )


def missing(size: Array, cycled: Array, cache: float) -> Array:
    """Return which of ``size`` bytes memory must deliver when ``cycled`` bytes in all pass through a warm cache.

    A cache keeps its share of what passes; ``cycled`` is at least ``size``, so never less than size - cache misses.
    """
    return size * np.maximum(1.0 - cache / np.maximum(cycled, size), 0.0)


def in_waves(unit: Unit, tiles: Tiles, k: Array) -> tuple[Array, Array, Array, Array]:
    """Return the same as ``tiling`` of ``tiles`` that a kernel takes without a split of k."""
    depth = np.ceil(k / unit.granule[2]) * unit.granule[2]
    waves = tiles.count / unit.cores
    area = tiles.high * tiles.wide
    return 2.0 * np.ceil(waves) * unit.cores * area * depth, waves, np.ones(k.shape), np.log2(area)


def tiling(unit: Unit, *, m: Array, n: Array, k: Array, batch: Array) -> tuple[Array, Array, Array, Array]:
    """Return of the family's best tile: FLOP with padding and idle cores, waves, splits of k, log2 of its area.

    All cores run ceil(tiles / cores) waves; k is split where the tiles alone leave cores idle.
    """
    depth = np.ceil(k / unit.granule[2]) * unit.granule[2]
    most = np.maximum(1.0, np.floor(depth / _K_STEP))
    least = np.full(m.shape, np.inf)
    flop, waves, split, area = (np.ones(m.shape) for _ in range(4))
    for high, wide in unit.tiles:
        tiles = np.ceil(m / high) * np.ceil(n / wide) * batch
        cuts = np.clip(np.floor(unit.cores / tiles), 1.0, most)
        turns = np.ceil(tiles * cuts / unit.cores)
        spent = 2.0 * turns * unit.cores * high * wide * depth / cuts
        cost = spent * (1.0 + TILE_LOSS / high + TILE_LOSS / wide)
        better = cost < least
        least = np.where(better, cost, least)
        flop = np.where(better, spent, flop)
        waves = np.where(better, tiles * cuts / unit.cores, waves)
        split = np.where(better, cuts, split)
        area = np.where(better, np.log2(high * wide), area)
    return flop, waves, split, area

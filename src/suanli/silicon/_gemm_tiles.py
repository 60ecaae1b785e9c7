"""How a product lies on a chip's cores: in the output tiles that a kernel's library states, or in the family's best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from suanli.silicon._tables import table
from suanli.silicon._unit import Unit

Array = NDArray[np.float64]

TILE_LOSS = 16.0  # a tile of h x w costs 1 + loss / h + loss / w of its FLOP: what it reads more than a large one
_K_STEP = 512.0  # a split of k shorter than this is not worth its reduction


@dataclass(frozen=True, slots=True)
class Waves:
    """Products on the cores (arrays of one shape): ``flop`` with padding and idle cores, ``waves`` of tiles.

    ``split``: parts of k that cores work on at once; ``area``: log2 of a tile's rows x columns.
    """

    flop: Array
    waves: Array
    split: Array
    area: Array


def waves_of(unit: Unit, kernel: str | None, form: str, *, m: Array, n: Array, k: Array, batch: Array) -> Waves:
    """Return how ``batch`` products in the format ``form`` lie on the cores under ``kernel``, None: the usual one."""
    stated = stated_tiles(kernel, form, unit.family, m=m, n=n, batch=batch, cores=unit.cores)
    return _in_waves(unit, stated, k) if stated else _best(unit, m=m, n=n, k=k, batch=batch)


def _in_waves(unit: Unit, tiles: Tiles, k: Array) -> Waves:
    """Return ``tiles`` on the cores; kernels that state theirs do not split k."""
    waves = tiles.count / unit.cores
    area = tiles.high * tiles.wide
    return Waves(
        flop=2.0 * np.ceil(waves) * unit.cores * area * _padded(unit, k),
        waves=waves,
        split=np.ones(k.shape),
        area=np.log2(area),
    )


def _best(unit: Unit, *, m: Array, n: Array, k: Array, batch: Array) -> Waves:
    """Return products in whichever of the family's tiles costs least.

    All cores run ceil(tiles / cores) waves; k is split where the tiles alone leave cores idle.
    """
    depth = _padded(unit, k)
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
    return Waves(flop, waves, split, area)


def _padded(unit: Unit, k: Array) -> Array:
    """Return ``k`` in whole steps of the matrix unit."""
    out: Array = np.ceil(k / unit.granule[2]) * unit.granule[2]
    return out


@dataclass(frozen=True, slots=True)
class Tiles:
    """Rows and columns of the output tile of each product, and how many tiles run (arrays of one shape)."""

    high: Array
    wide: Array
    count: Array


@cache
def _rules(kernel: str, form: str, family: str) -> NDArray[np.float64] | str | None:
    """Return the rules of ``kernel`` (a row each), the name of its search, or None where neither is known."""
    for entry in table("gemm_tiles")["kernels"]:
        if form in entry["formats"] and kernel.endswith(tuple(entry["match"])):
            rules = entry["families"].get(family)
            if rules is None or isinstance(rules, str):
                return rules
            return np.array([[math.inf if x is None else x for x in rule] for rule in rules])
    return None


def stated_tiles(
    kernel: str | None, form: str, family: str, *, m: Array, n: Array, batch: Array, cores: float
) -> Tiles | None:
    """Return the tiles that ``kernel`` takes for products in ``form`` on ``family``; None where nothing states them."""
    rules = _rules(kernel, form, family) if kernel else None
    if rules is None:
        return None
    return _searched(m, n, batch, cores) if isinstance(rules, str) else _ruled(rules, m, n, batch)


def _ruled(rules: Array, m: Array, n: Array, batch: Array) -> Tiles:
    which = np.full(m.shape, len(rules) - 1)
    for i in range(len(rules) - 2, -1, -1):
        which = np.where((m <= rules[i, 0]) & (n <= rules[i, 1]), i, which)
    high, wide, down, along = rules[:, 2:].T[:, which]
    rows, columns = np.ceil(m / (high * down)) * down, np.ceil(n / (wide * along)) * along
    return Tiles(high, wide, rows * columns * batch)


def _searched(m: Array, n: Array, batch: Array, cores: float) -> Tiles:
    """Return the tiles of the fewest waves, of these the fullest last wave, of these the wider within the product."""
    found = table("gemm_tiles")["searched"]
    least = np.full(m.shape, np.inf)
    high, wide, count = (np.ones(m.shape) for _ in range(3))
    for h in found["rows"]:
        for w in found["columns"]:
            if min(h, w) > found["long_side"]:
                continue
            tiles = np.ceil(m / h) * np.ceil(n / w) * batch
            waves = np.ceil(tiles / cores)
            cost = waves - (tiles - (waves - 1.0) * cores) / (cores + 1.0)
            wider = (h != high) & (w > wide) & (h <= m) & (w <= n)
            better = (cost < least - 1e-9) | ((np.abs(cost - least) < 1e-9) & wider)
            least, high, wide = np.where(better, cost, least), np.where(better, h, high), np.where(better, w, wide)
            count = np.where(better, tiles, count)
    return Tiles(high, wide, count)

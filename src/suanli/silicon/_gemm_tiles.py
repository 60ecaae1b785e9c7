"""Which output tile a kernel takes for a product, where its library's code says so."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from suanli.silicon._tables import table

Array = NDArray[np.float64]


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

"""How routed experts lie on a chip's cores: which rows a kernel computes, in tiles of which size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from suanli.silicon._formats import Format
from suanli.silicon._gemm_tiles import TILE_LOSS
from suanli.silicon._moe_load import Load
from suanli.silicon._tables import entry_of, table
from suanli.silicon._unit import Unit

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Layout:
    """A kernel's rule of tiles, as steps (limit, rows, columns) of what ``by`` counts, and whose rows it buffers."""

    by: str
    steps: tuple[tuple[float, float, float], ...]
    slots: str

    def paired(self, unit: Unit) -> bool:
        """Return whether two neighbouring tiles load an operand once for both."""
        return self.slots == "own" and unit.family in table("experts")["clusters"]


@cache
def layout_of(kernel: str | None, form: str) -> Layout:
    """Return how ``kernel`` ("framework/kernel", None: unknown) lays experts in the format ``form`` over cores."""
    found = table("experts")
    entry = entry_of(found, kernel) if kernel else found["unnamed"]
    rule = found["rules"][entry["formats"].get(form, entry["tiles"])]
    steps = tuple((math.inf if at is None else float(at), float(high), float(wide)) for at, high, wide in rule["steps"])
    return Layout(rule["by"], steps, entry["slots"])


@cache
def ungated_shapes() -> tuple[tuple[float, float, float], ...]:
    """Return hidden width, expert width and number of experts of known layers whose experts have no gate."""
    return tuple((float(h), float(i), float(e)) for h, i, e in table("experts")["ungated"])


@dataclass(frozen=True, slots=True)
class Tiles:
    """Tiles of one product over all experts: blocks of rows, rows and columns of a tile."""

    blocks: Array
    high: Array
    wide: Array

    def waves(self, unit: Unit, width: Array) -> Array:
        """Return how often the tiles of an output ``width`` columns wide fill the cores."""
        out: Array = self.blocks * np.ceil(width / self.wide) / unit.cores
        return out


def tiles_of(layout: Layout, unit: Unit, load: Load, widths: Sequence[Array]) -> list[Tiles]:
    """Return the tiles that ``layout`` chooses for ``load`` in products of ``widths``; without a rule the best ones."""
    if not layout.steps:
        counts = {rows: load.blocks(np.full(load.rows.shape, rows)) for rows in {rows for rows, _ in unit.tiles}}
        return [_best(unit, counts, width) for width in widths]
    counted = {
        "tokens": load.tokens,
        "tokens_over_experts": load.tokens / load.local,
        "rows_over_experts": load.slots / load.local,
    }[layout.by]
    limits, high, wide = (np.array(column) for column in zip(*layout.steps, strict=True))
    step = np.searchsorted(limits, counted)
    return [Tiles(load.blocks(high[step]), high[step], wide[step])] * len(widths)


def _best(unit: Unit, counts: Mapping[float, Array], width: Array) -> Tiles:
    """Return the tiles of the family with the least work in whole waves; ``counts`` are blocks by their rows."""
    across = {columns: np.ceil(width / columns) / unit.cores for columns in {columns for _, columns in unit.tiles}}
    least = np.full(width.shape, np.inf)
    best = np.zeros(width.shape, dtype=np.int8)
    for i, (rows, columns) in enumerate(unit.tiles):
        cost = counts[rows] * across[columns]
        np.ceil(cost, out=cost)
        cost *= rows * columns * (1.0 + TILE_LOSS / rows + TILE_LOSS / columns)
        better = cost < least
        np.copyto(least, cost, where=better)
        np.copyto(best, i, where=better)
    high, wide = (np.array(side)[best] for side in zip(*unit.tiles, strict=True))
    return Tiles(_chosen(counts, high), high, wide)


def _chosen(counts: Mapping[float, Array], high: Array) -> Array:
    """Return of ``counts`` those of the rows ``high``."""
    out = np.empty(high.shape)
    for rows, count in counts.items():
        np.copyto(out, count, where=high == rows)
    return out


def spent(tiles: Tiles, unit: Unit, depth: Array, width: Array) -> Array:
    """Return the FLOP of an output ``width`` columns wide over a ``depth`` of k, in whole waves of the cores."""
    turns = np.ceil(tiles.waves(unit, width))
    out: Array = 2.0 * turns * unit.cores * tiles.high * tiles.wide * depth
    return out


def drawn(tiles: Tiles, form: Format, depth: Array, width: Array, *, paired: bool) -> Array:
    """Return the bytes that tiles of an output ``width`` columns wide draw from the cache over a ``depth`` of k.

    ``paired``: two neighbours load the larger of their operands once for both.
    """
    rows, columns = tiles.high * form.activation, tiles.wide * form.weight
    read = rows + columns - (0.5 * np.maximum(rows, columns) if paired else 0.0)
    out: Array = tiles.blocks * np.ceil(width / tiles.wide) * depth * read
    return out

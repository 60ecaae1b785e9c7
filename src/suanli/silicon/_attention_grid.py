"""How attention lies on a chip's cores: tiles of query rows, splits of the keys, waves, and what each kernel does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.silicon._attention_split import Spread, split_of
from suanli.silicon._attention_xqa import Blocks, xqa_blocks
from suanli.silicon._tables import entry_of, table
from suanli.silicon._unit import Unit

Array = NDArray[np.float64]

# Query rows of a prefill tile that make what it draws from the cache not count; an encoder's tile where none is stated.
_ROWS = 128.0
_STEP = 64.0  # keys to which the longest row of a prefill tile is rounded up


@dataclass(frozen=True, slots=True)
class Grid:
    """How a kernel lays attention over cores; the fields are told in data/kernels.json."""

    algorithm: str
    rows: float
    wide: float
    apart_above: float
    apart_windowed: bool
    packs: bool
    single: bool
    windows: bool
    unsplit: tuple[str, ...]
    narrow: tuple[str, ...]
    multiplies_narrow: tuple[str, ...]
    split: str
    idle_on: tuple[str, ...]
    scalar_below: float
    scalar_narrow: bool
    pads: tuple[float, ...]
    scattered: bool
    tile: float
    tile_on: Mapping[str, float]
    encodes_on: Mapping[str, float]
    writes: tuple[str, ...]
    rotates: bool


@cache
def grid_of(kernel: str | None) -> Grid:
    """Return how ``kernel`` ("framework/kernel", None: unknown) lays attention over cores."""
    entry = entry_of(table("kernels"), kernel or "")
    entry.pop("match", None)
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
    return Grid(**fields)


def encoding(grid: Grid) -> Grid:
    """Return how the kernel lays an encoder's attention, whose tiles are its own."""
    return replace(grid, tile=_ROWS, tile_on=grid.encodes_on)


def _shared(family: str) -> float:
    """Return the bytes of shared memory that a block may take on chips of ``family``."""
    shared = table("kernels")["shared"]
    return 1024.0 * float(shared.get(family, shared["other"]))


def padded(grid: Grid, head_dim: Array) -> Array:
    """Return the width of heads that the kernel multiplies: the least of those it was written for that holds them."""
    if not grid.pads:
        return head_dim
    widths = np.array(grid.pads)
    out: Array = np.maximum(widths[np.minimum(np.searchsorted(widths, head_dim), len(widths) - 1)], head_dim)
    return out


@dataclass(frozen=True, slots=True)
class Heads:
    """Shapes of attention as its kernels see them (arrays of one shape).

    ``reach`` is the keys of the ``history`` that any query of a sequence sees, ``pairs`` the (query, key) pairs of a
    head; ``heads`` share ``groups`` of keys whose bytes in all are ``keys``, of 8 bits a number or less where
    ``narrow``. A pair is multiplied over ``lanes``, the key and value widths together as the kernel pads them. ``cut``
    marks rows whose ``window`` hides keys.
    """

    batch: Array
    q_len: Array
    reach: Array
    pairs: Array
    heads: Array
    groups: Array
    window: Array
    cut: NDArray[np.bool_]
    keys: Array
    lanes: Array
    history: Array
    narrow: bool

    @property
    def packed(self) -> Array:
        """Query rows that share keys: heads of a group times new tokens."""
        out: Array = self.heads / self.groups * self.q_len
        return out


@dataclass(frozen=True, slots=True)
class Layout:
    """Attention on the cores: ``tasks`` x ``split`` pieces, ``scored`` padded (row, key) pairs, ``drawn`` key bytes.

    ``idle`` is how much longer the cores run than if all were busy to the end; ``apart`` marks heads that share no
    reads, ``scalar`` those that vector units multiply; ``filled`` is the share of a prefill tile's rows that hold
    queries. What a prefill draws from the cache binds no accelerator, each of whose tiles multiplies it for 128 rows:
    none is counted. Its keys are read in ``passes``, all sequences in each.
    """

    tasks: Array
    split: Array
    scored: Array
    drawn: Array
    idle: Array
    apart: NDArray[np.bool_]
    scalar: NDArray[np.bool_]
    filled: Array
    waves: Array
    passes: Array


def decode_layout(unit: Unit, grid: Grid, shape: Heads, *, splits: bool = True) -> Layout:
    """Return few queries against many keys: a tile holds a group's heads, keys are split where cores stay idle."""
    rule = "never" if not splits else "idle" if unit.family in grid.idle_on else grid.split
    if rule == "xqa":
        return _xqa_layout(unit, grid, shape)
    packed = shape.packed
    apart = (packed > grid.apart_above) | (shape.window > 0.0) & grid.apart_windowed
    rows = np.where(packed > grid.rows, grid.wide, grid.rows)
    tasks = shape.batch * np.where(
        apart, shape.heads * np.ceil(shape.q_len / grid.rows), shape.groups * np.ceil(packed / rows)
    )
    split = split_of(rule, Spread(tasks, shape.reach, shape.batch, unit.cores))
    return _few(unit, shape, Blocks(tasks, split, rows, np.ones_like(tasks), apart, _scalar(grid, shape)))


def _scalar(grid: Grid, shape: Heads) -> NDArray[np.bool_]:
    """Return where a kernel multiplies on vector units, as for groups too small to fill a matrix unit."""
    out: NDArray[np.bool_] = shape.packed < grid.scalar_below
    return out if grid.scalar_narrow or not shape.narrow else np.zeros_like(out)


def _xqa_layout(unit: Unit, grid: Grid, shape: Heads) -> Layout:
    """Return TensorRT-LLM's decode, whose own rules say which kernel runs."""
    plain = shape.narrow and unit.family not in grid.narrow
    blocks = xqa_blocks(
        unit,
        _shared(unit.family),
        batch=shape.batch,
        heads=shape.heads,
        groups=shape.groups,
        q_len=shape.q_len,
        history=shape.reach if shape.narrow else shape.history,
        reach=shape.reach,
        # Without a kernel of its own, a cache of 8 bits is read by XQA in one block a sequence, and not in a window.
        barred=shape.cut & plain,
        splits=not plain,
        held=2.0 if shape.narrow and not plain else 1.0,
    )
    return _few(unit, shape, blocks)


def _few(unit: Unit, shape: Heads, blocks: Blocks) -> Layout:
    """Return the layout of few queries in ``blocks``."""
    waves = blocks.tasks * blocks.split / (unit.cores * blocks.held)
    return Layout(
        tasks=blocks.tasks,
        split=blocks.split,
        scored=blocks.tasks * blocks.rows * np.ceil(shape.reach / 16.0) * 16.0,
        drawn=shape.keys * blocks.tasks / (shape.batch * shape.groups),
        idle=np.minimum(np.ceil(waves) / waves, unit.cores),
        apart=blocks.apart,
        scalar=blocks.scalar,
        filled=np.minimum(shape.packed / blocks.rows, 1.0),
        waves=waves,
        passes=np.ones_like(waves),
    )


def prefill_layout(unit: Unit, grid: Grid, shape: Heads) -> Layout:
    """Return many queries: tiles of query rows, the longest of which no core finishes before."""
    per = shape.heads / shape.groups if grid.packs else np.ones_like(shape.heads)
    most = float(grid.tile_on.get(unit.family, grid.tile))
    strips = np.ceil(shape.q_len * per / most)
    tasks = shape.batch * shape.heads / per * strips
    rows = np.where(strips > 1.0, most, np.ceil(shape.q_len * per / 16.0) * 16.0)
    edge = np.minimum(shape.q_len, np.maximum(most / per, 1.0))
    longest = np.ceil(np.where(shape.cut, np.minimum(shape.reach, shape.window + edge), shape.reach) / _STEP) * _STEP
    # A tile computes every key that any of its rows sees: half its height more under a causal mask, all in a window.
    masked = shape.pairs < shape.q_len * shape.reach
    extra = np.where(masked, np.where(shape.cut, edge, 0.5 * edge), 0.0)
    mean = np.minimum(shape.pairs / shape.q_len + extra, longest)
    waves = tasks / unit.cores
    drawn = shape.keys * (shape.heads / shape.groups) / per * strips * mean / shape.reach
    return Layout(
        tasks=tasks,
        split=np.ones_like(tasks),
        scored=tasks * rows * mean,
        drawn=float(unit.kind == "cpu" or most < _ROWS) * drawn,
        idle=np.maximum(_greedy(waves), longest / mean) / waves,
        apart=np.zeros(tasks.shape, dtype=bool),
        scalar=np.zeros(tasks.shape, dtype=bool),
        filled=np.minimum(shape.q_len * per, most) / most,
        waves=waves,
        passes=np.maximum(strips * mean / shape.reach, 1.0) if grid.scattered else np.ones_like(waves),
    )


def _greedy(waves: Array) -> Array:
    """Return the rounds that tiles of all lengths take: the next free core takes the next, so half of one is lost."""
    return np.where(waves > 1.0, waves + 0.5, 1.0)


def layout_of(unit: Unit, grid: Grid, shape: Heads, *, decode: bool, splits: bool = True) -> Layout:
    """Return the layout of decode, or of prefill, in which a lone query is laid out as decode by some kernels."""
    if decode:
        return decode_layout(unit, grid, shape, splits=splits)
    many = prefill_layout(unit, grid, shape)
    lone = shape.q_len <= 1.0
    if not grid.single or not lone.any():
        return many
    few = decode_layout(unit, grid, shape)
    return Layout(**{name: np.where(lone, getattr(few, name), getattr(many, name)) for name in Layout.__slots__})

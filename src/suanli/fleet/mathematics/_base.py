"""What every family of constraints is made of: columns, blocks of rows, and the sentence that documents them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.fleet._grid import Grid, Rates
from suanli.fleet._scenarios import Futures

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
ABSENT = -1
INFINITE = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """Delivery classes: scenarios in which a line's orders arrive in the same months share one stock.

    ``of`` [S, J] is the class of a line in a scenario; ``net`` maps (line, class) to [T, T]: the change of stock in
    month t for one chip ordered in month t'; ``arrived`` likewise counts arrivals only; ``given`` [T] is what earlier
    commitments bring, in thousand chips.
    """

    of: Ints
    net: Mapping[tuple[int, int], Array]
    arrived: Mapping[tuple[int, int], Array]
    given: Mapping[tuple[int, int], Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Where each variable stands; ABSENT where there is none (masked, not on sale, no rate).

    ``order`` [J, T] thousand chips; ``stock`` (line, class) -> [T] thousand chips; ``use`` [S, Q, W, T] thousand
    chips; ``train`` (scenario, run, pool) -> [G, T]; ``short`` [S, W, T] share of the largest demand; ``miss`` [S, R]
    share of a run; ``power`` [O, T] MW; ``project`` [P] 0..1; ``gap`` [shares, years] MUSD; ``tail`` [S + 1];
    ``park`` [S, J, T] thousand chips that are there but not switched on; ``there`` [S, J, T] is the stock of a line in
    a scenario, from ``stock`` by the line's class.
    """

    n: int
    order: Ints
    stock: Mapping[tuple[int, int], Ints]
    use: Ints
    train: Mapping[tuple[int, int, int], Ints]
    short: Ints
    miss: Ints
    power: Ints
    project: Ints
    gap: Ints
    tail: Ints
    park: Ints
    there: Ints
    alone: Ints
    """[Q]: the only service of a pool that needs no use variable, or ABSENT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """One least share of spending: pot, years, member lines, minimum, price of a missing MUSD (None: firm)."""

    name: str
    pot: int
    years: tuple[int, ...]
    lines: tuple[int, ...]
    minimum: float
    price: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Everything a family needs to write its rows."""

    grid: Grid
    rates: Rates
    futures: Futures
    classes: Classes
    columns: Columns
    shares: tuple[Shares, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows of one family: lo <= A x <= hi with A in triples; ``index`` names each row (line, month, scenario...)."""

    row: Ints
    col: Ints
    value: Array
    low: Array
    high: Array
    index: Mapping[str, Ints]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family of constraints and its documentation.

    ``sentence`` may name {month}, {line}, {site}, {pot}, {year}, {supplier}, {service}, {run}, {share}, {project};
    ``unit`` is that of a row; ``per`` is the unit in which one more is priced, ``scale`` rows per such unit.
    ``business`` limits may be told as colliding; rules are no rows at all.
    """

    name: str
    title: str
    sentence: str
    unit: str
    equation: str
    where: str
    rows: Callable[[Setting], Block]
    business: bool = False
    per: str = ""
    scale: float = 1.0


class Triples:
    """Collects triples and bounds of rows; used inside one family's function only."""

    def __init__(self) -> None:
        self._row: list[Ints] = []
        self._col: list[Ints] = []
        self._value: list[Array] = []
        self._low: list[Array] = []
        self._high: list[Array] = []
        self._index: dict[str, list[Ints]] = {}
        self.n = 0

    def open(self, count: int, low: object, high: object, **index: object) -> Ints:
        """Add ``count`` rows with bounds; return their numbers."""
        rows = np.arange(self.n, self.n + count)
        self.n += count
        self._low.append(np.broadcast_to(np.asarray(low, dtype=np.float64), (count,)))
        self._high.append(np.broadcast_to(np.asarray(high, dtype=np.float64), (count,)))
        for name, value in index.items():
            self._index.setdefault(name, []).append(np.broadcast_to(np.asarray(value, dtype=np.int64), (count,)))
        return rows

    def put(self, rows: object, cols: object, values: object) -> None:
        """Add coefficients (broadcast together), leaving out absent columns and zeros."""
        r, c, v = np.asarray(rows), np.asarray(cols), np.asarray(values, dtype=np.float64)
        keep = np.asarray((c != ABSENT) & (v != 0.0) & (r >= 0))
        if keep.any():
            for kept, part, kind in ((self._row, r, np.int64), (self._col, c, np.int64), (self._value, v, np.float64)):
                whole = part if part.shape == keep.shape else np.broadcast_to(part, keep.shape)
                kept.append(whole[keep].astype(kind, copy=False))

    def block(self) -> Block:
        """Return what was collected."""

        def ints(parts: list[Ints]) -> Ints:
            return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

        def floats(parts: list[Array]) -> Array:
            return np.concatenate(parts) if parts else np.zeros(0)

        return Block(
            row=ints(self._row),
            col=ints(self._col),
            value=floats(self._value),
            low=floats(self._low),
            high=floats(self._high),
            index={name: ints(parts) for name, parts in self._index.items()},
        )


def working(setting: Setting) -> Array:
    """Return [S, J, T]: the part of a line's chips there that may work: legal to run, and no spares."""
    g, f = setting.grid, setting.futures
    return np.asarray((g.run & f.usable) * (1.0 - g.spares)[:, None])


def pool_of(setting: Setting) -> Ints:
    """Return [J]: the pool that each line belongs to."""
    out = np.zeros(setting.grid.J, dtype=np.int64)
    for q, pool in enumerate(setting.grid.pools):
        out[list(pool.lines)] = q
    return out

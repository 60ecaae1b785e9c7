"""vTrain's single-node table taken apart: the profiles that it replays, beside our kernels of the same layers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from suanli import catalog
from suanli.scoring._training_rows import Row
from suanli.scoring._vtrain_rows import WHOLE_VTRAIN, read_vtrain
from suanli.training import Parameters, Prepared, facts, parameters_of, prepare, site_of, strategies
from suanli.training._parameters import rates
from suanli.training._step import layer_passes

Array = NDArray[np.float64]
Index = NDArray[np.intp]

DATA = Path(__file__).parent / "data" / "vtrain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows with their seconds, the profile that each replays, and sweeps.

    A profile is (hidden size, tensor degree, micro-batch). ``passes`` is how many times a row replays its layer on the
    critical path; ``sweeps`` [sweep, layout] are rows, filled up with a sweep's first one.
    """

    rows: tuple[Row, ...]
    seconds: Array
    cells: tuple[tuple[int, int, int], ...]
    profile: Index
    passes: Array
    sweeps: Index


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiles:
    """Seconds of each profile's layer, forward and backward, without its four all-reduces, beside our model's.

    ``products``, ``attention`` and ``passes`` are our kernels, ``predicted`` our whole layer by parameters fitted
    without vTrain; ``plain`` is 1 where Megatron's fused softmax does not take the heads; ``head`` are the table's
    seconds a micro-batch outside layers.
    """

    hidden: Array
    tp: Array
    micro_batch: Array
    layer: Array
    products: Array
    attention: Array
    passes: Array
    predicted: Array
    plain: Array
    head: Array


def table_of(path: Path) -> Table:
    """Return a single-node table of vTrain's with its profiles and sweeps (three layouts or more)."""
    rows = tuple(read_vtrain(path)[0])
    cells = tuple(sorted({_cell(r) for r in rows}))
    sweeps: dict[tuple[int, int, str], list[int]] = {}
    for i, r in enumerate(rows):
        sweeps.setdefault((r.n_chips, r.batch, r.model.id), []).append(i)
    kept = [s for s in sweeps.values() if len(s) >= 3]
    wide = max(map(len, kept))
    return Table(
        rows=rows,
        seconds=np.array([float(r.measured or np.nan) for r in rows]),
        cells=cells,
        profile=np.array([cells.index(_cell(r)) for r in rows]),
        passes=np.array([(_count(r) + r.pp - 1.0) * r.model.n_layers / r.pp for r in rows]),
        sweeps=np.array([s + [s[0]] * (wide - len(s)) for s in kept]),
    )


def _cell(row: Row) -> tuple[int, int, int]:
    return row.model.hidden, row.tp, row.micro_batch or 1


def _count(row: Row) -> float:
    """Return the micro-batches of a step."""
    return row.batch / (row.dp * (row.micro_batch or 1))


def affine(table: Table, cell: int, *, pp: int, dp: int) -> Array:
    """Return seconds a step, a layer, a micro-batch, and a layer and micro-batch, of rows of one profile and layout.

    NaN where there are none; where all have as many micro-batches, the last two are NaN and within the first two.
    """
    mine = [i for i, r in enumerate(table.rows) if table.profile[i] == cell and (r.pp, r.dp) == (pp, dp)]
    out = np.full(4, np.nan)
    if not mine:
        return out
    layers = np.array([float(table.rows[i].model.n_layers) for i in mine])
    count = np.array([_count(table.rows[i]) for i in mine])
    terms = np.stack([np.ones_like(layers), layers, count, layers * count], axis=1)
    n = 4 if np.ptp(count) > 0 else 2
    out[:n] = np.linalg.lstsq(terms[:, :n], table.seconds[mine], rcond=None)[0]
    return out


def replica(tp: int) -> int:
    """Return the data-parallel degree of the rows that differences are taken on: none where the table has it."""
    return 2 if tp == 1 else 1


def _layer_seconds(table: Table, cell: int) -> float:
    """Return the seconds of one layer and micro-batch, all-reduces included."""
    hidden, tp, micro = table.cells[cell]
    found = affine(table, cell, pp=1, dp=replica(tp))
    if np.isfinite(found[3]):
        return float(found[3])
    # Every row has two micro-batches here; a layer's update costs as much as beside smaller ones.
    smaller = affine(table, table.cells.index((hidden, tp, micro // 2)), pp=1, dp=replica(tp))
    return float(found[1] - smaller[1]) / 2.0


def _head_seconds(table: Table, cell: int) -> float:
    """Return the seconds a micro-batch outside layers, of a last stage where there are two.

    Where every row has as many micro-batches it is twice that of half the micro-batch.
    """
    hidden, tp, micro = table.cells[cell]
    for pp, dp in ((2, 1), (1, replica(tp))):
        found = float(affine(table, cell, pp=pp, dp=dp)[2])
        if np.isfinite(found):
            return found
    return 2.0 * _head_seconds(table, table.cells.index((hidden, tp, micro // 2)))


def profiles_of(table: Table) -> Profiles:
    """Return the profiles of a table, by differences between its rows."""
    reduce = {(n, size): s for n, size, s in pl.read_csv(DATA / "all_reduce.csv").iter_rows()}
    hidden, tp, micro = (np.array(x, dtype=np.float64) for x in zip(*table.cells, strict=True))
    layer = [_layer_seconds(table, i) for i in range(len(table.cells))]
    joined = [4.0 * reduce[n, 1024 * m * h * 2] if n > 1 else 0.0 for h, n, m in table.cells]
    parts = np.concatenate([_kernels(table, int(h), tp[hidden == h], micro[hidden == h]) for h in np.unique(hidden)])
    return Profiles(
        hidden=hidden,
        tp=tp,
        micro_batch=micro,
        layer=np.array(layer) - np.array(joined),
        products=parts[:, 0],
        attention=parts[:, 1],
        passes=parts[:, 2],
        predicted=parts[:, 3],
        plain=parts[:, 4],
        head=np.array([_head_seconds(table, i) for i in range(len(table.cells))]),
    )


def parameters() -> Parameters:
    """Return the parameters that saw no row of vTrain's."""
    return parameters_of(catalog.fitted("training")["left_out"][WHOLE_VTRAIN])


def prepared_rows(rows: list[Row]) -> Prepared:
    """Return rows of one model, prepared."""
    one = rows[0]
    columns = {n: np.array([float(getattr(r, n)) for r in rows]) for n in ("tp", "pp", "dp", "micro_batch")}
    return prepare(
        site_of(one.chip, chips_per_node=one.chips_per_node, scale_out=one.scale_out),
        facts(one.model),
        strategies(**columns, sharding="none", sequence_parallel=0.0, dp_overlap=one.era.dp_overlap),
        seq=np.array([float(one.seq)]),
        batch=np.array([float(r.batch) for r in rows]),
        eras=[one.era],
        precision=one.precision,
    )


def _kernels(table: Table, hidden: int, tp: Array, micro: Array) -> Array:
    """Return [profile, (products, attention, passes, predicted layer, plain)] of one hidden size."""
    first = {table.profile[i]: r for i, r in reversed(list(enumerate(table.rows))) if r.model.hidden == hidden}
    rows = [first[table.cells.index((hidden, int(n), int(m)))] for n, m in zip(tp, micro, strict=True)]
    cells = prepared_rows(rows)
    r = rates(parameters(), eras=cells.eras, chip=cells.site.chip, bits=cells.bits)
    one, two = layer_passes(cells.facts, cells.units, cells.strategies, cells.traffic, cells.habits, r)
    whole = r.overall * (one.total + two.total - one.tp - two.tp)
    columns = (one.products + two.products, one.attention + two.attention, one.passes + two.passes, whole)
    return np.stack([*(np.broadcast_to(c, tp.shape) for c in columns), cells.units.plain], axis=1)

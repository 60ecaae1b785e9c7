"""Rows of training runs gathered into blocks of one site and precision, ready to be predicted under any parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from suanli.kinds import Model
from suanli.scoring._training_rows import Row
from suanli.training import (
    RECOMPUTE,
    SHARDING,
    Facts,
    Parameters,
    Prepared,
    Strategies,
    facts,
    prepare,
    prior_parameters,
    site_of,
    stack,
    step_time,
    strategies,
    total_memory,
)

Array = NDArray[np.float64]

_MICRO_BATCHES = (1, 2, 4, 8)
_PARTIAL = [("full", quarter / 4.0) for quarter in range(1, 5)]  # full recomputation of some layers of a stage


@dataclass(frozen=True, slots=True)
class Block:
    """Rows (by position in the whole list) of one chip, network and precision, prepared together."""

    index: NDArray[np.intp]
    prepared: Prepared


def blocks(rows: Sequence[Row]) -> list[Block]:
    """Return ``rows`` gathered by site and precision; settings they leave open are taken as the fastest that fit."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for i, row in enumerate(rows):
        key = (row.chip.id, row.chips_per_node, row.scale_up, row.scale_out, row.precision)
        groups.setdefault(key, []).append(i)
    made = []
    known: dict[Model, Facts] = {}
    for members in groups.values():
        part = [rows[i] for i in members]
        chosen = _settle(part, known)
        made.append(Block(np.array(members), _prepared(part, chosen, known)))
    return made


def predict(parts: Sequence[Block], parameters: Parameters, n: int) -> Array:
    """Return the predicted step time in s of each of ``n`` rows."""
    out = np.full(n, np.nan)
    for block in parts:
        out[block.index] = step_time(block.prepared, parameters)
    return out


class _Choice(NamedTuple):
    """Settings that a row may leave open."""

    micro_batch: int
    recompute: str
    share: float
    sharding: str
    tp: int
    dp: int


def _variants(row: Row) -> Iterator[_Choice]:
    """Yield the settings that an incomplete row may have had, the era's usual ones first."""
    start = RECOMPUTE.index(row.era.recompute)
    again = [(row.recompute, 1.0)] if row.recompute else [(RECOMPUTE[i], 1.0) for i in range(start, 2)] + _PARTIAL
    shared = [row.sharding] if row.sharding else list(dict.fromkeys((row.era.sharding, "zero3")))
    for tp, dp in _degrees(row):
        for sharding, (recompute, share), micro in product(shared, again, _micro_batches(row, dp)):
            yield _Choice(micro, recompute, share, sharding, tp, dp)


def _degrees(row: Row) -> list[tuple[int, int]]:
    """Return the (tp, dp) that a row may have had: its own, or up to a node of tensor parallelism if none is said."""
    if not row.free:
        return [(row.tp, row.dp)]
    ranks = row.tp * row.dp
    fits = [tp for tp in (1, 2, 4, 8) if ranks % tp == 0 and row.model.n_heads % tp == 0]
    return [(tp, ranks // tp) for tp in fits if row.batch % (ranks // tp) == 0] or [(row.tp, row.dp)]


def _micro_batches(row: Row, dp: int) -> list[int]:
    share = max(1, row.batch // dp)
    if row.micro_batch:
        return [row.micro_batch]
    if row.era.rounds and row.pp > 1:
        return [max(1, share // row.pp)]
    return [m for m in _MICRO_BATCHES if share % m == 0] or [1]


def _settle(rows: Sequence[Row], known: dict[Model, Facts]) -> list[_Choice]:
    """Return the settings of each row: given, else the usual sharding, the least recomputing, the fastest that fit."""
    options = [list(_variants(row)) for row in rows]
    if all(len(o) == 1 for o in options):
        return [o[0] for o in options]
    long = [row for row, o in zip(rows, options, strict=True) for _ in o]
    flat = [v for o in options for v in o]
    prepared = _prepared(long, flat, known)
    seconds = step_time(prepared, prior_parameters())
    held = total_memory(prepared)
    room = prepared.site.chip.memory_bytes or np.inf
    level = np.array(
        [
            RECOMPUTE.index(c.recompute) * c.share + 10.0 * (c.sharding != row.era.sharding)
            for row, c in zip(long, flat, strict=True)
        ]
    )
    cost = np.where(held <= room, 10.0 * level, 1000.0 + held / room) + seconds / (seconds.max() + 1.0)
    chosen, at = [], 0
    for o in options:
        best = int(np.argmin(cost[at : at + len(o)]))
        chosen.append(o[best])
        at += len(o)
    return chosen


def _prepared(rows: Sequence[Row], chosen: Sequence[_Choice], known: dict[Model, Facts]) -> Prepared:
    first = rows[0]
    site = site_of(first.chip, chips_per_node=first.chips_per_node, scale_up=first.scale_up, scale_out=first.scale_out)
    for row in rows:
        if row.model not in known:
            known[row.model] = facts(row.model)
    return prepare(
        site,
        stack([known[row.model] for row in rows]),
        _strategies(rows, chosen),
        seq=np.array([float(row.seq) for row in rows]),
        batch=np.array([float(row.batch) for row in rows]),
        eras=[row.era for row in rows],
        precision=first.precision,
        flash=np.array([float(row.flash) for row in rows]),
        balanced=np.array([float(row.balanced) for row in rows]),
    )


def _strategies(rows: Sequence[Row], chosen: Sequence[_Choice]) -> Strategies:
    def column(name: str) -> Array:
        return np.array([float(getattr(row, name)) for row in rows])

    return strategies(
        **{name: column(name) for name in ("pp", "vpp", "cp", "ep")},
        **{name: np.array([float(getattr(c, name)) for c in chosen]) for name in ("tp", "dp", "micro_batch")},
        recompute=np.array([float(RECOMPUTE.index(c.recompute)) for c in chosen]),
        recompute_share=np.array([c.share for c in chosen]),
        sharding=np.array([float(SHARDING.index(c.sharding)) for c in chosen]),
        sequence_parallel=column("sequence_parallel"),
        tp_overlap=np.array([row.era.tp_overlap if row.overlap is None else float(row.overlap) for row in rows]),
        dp_overlap=np.array([row.era.dp_overlap for row in rows]),
    )

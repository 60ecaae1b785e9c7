"""Rows of training runs gathered into blocks of one site and precision, ready to be predicted under any parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.scoring._training_rows import Row
from suanli.training import (
    RECOMPUTE,
    Facts,
    Parameters,
    Prepared,
    Strategies,
    facts,
    memory_of,
    prepare,
    prior_parameters,
    site_of,
    stack,
    step_time,
    strategies,
)

Array = NDArray[np.float64]

_MICRO_BATCHES = (1, 2, 4, 8)


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
    known: dict[object, Facts] = {}
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


def _variants(row: Row) -> Iterator[tuple[int, str]]:
    """Yield the (micro-batch, recompute) settings that an incomplete row may have had, the usual recompute first."""
    share = max(1, row.batch // row.dp)
    micro = [row.micro_batch] if row.micro_batch else [m for m in _MICRO_BATCHES if share % m == 0] or [1]
    start = RECOMPUTE.index(row.era.recompute)
    again = [row.recompute] if row.recompute else [RECOMPUTE[i] for i in range(start, 3)]
    for r in again:
        for m in micro:
            yield m, r


def _settle(rows: Sequence[Row], known: dict[object, Facts]) -> list[tuple[int, str]]:
    """Return (micro-batch, recompute) of each row: given, else the least recomputing, then fastest one that fits."""
    options = [list(_variants(row)) for row in rows]
    if all(len(o) == 1 for o in options):
        return [o[0] for o in options]
    long = [row for row, o in zip(rows, options, strict=True) for _ in o]
    flat = [v for o in options for v in o]
    prepared = _prepared(long, flat, known)
    seconds = step_time(prepared, prior_parameters())
    held = memory_of(prepared).total
    room = prepared.site.chip.memory_bytes or np.inf
    level = np.array([RECOMPUTE.index(r) for _, r in flat], dtype=np.float64)
    cost = np.where(held <= room, 10.0 * level, 100.0 + held / room) + seconds / (seconds.max() + 1.0)
    chosen, at = [], 0
    for o in options:
        best = int(np.argmin(cost[at : at + len(o)]))
        chosen.append(o[best])
        at += len(o)
    return chosen


def _prepared(rows: Sequence[Row], chosen: Sequence[tuple[int, str]], known: dict[object, Facts]) -> Prepared:
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
    )


def _strategies(rows: Sequence[Row], chosen: Sequence[tuple[int, str]]) -> Strategies:
    def column(name: str) -> Array:
        return np.array([float(getattr(row, name)) for row in rows])

    return strategies(
        **{name: column(name) for name in ("tp", "pp", "vpp", "dp", "cp", "ep")},
        micro_batch=np.array([float(m) for m, _ in chosen]),
        recompute=np.array([float(RECOMPUTE.index(r)) for _, r in chosen]),
        sharding=np.array([float(("none", "zero1", "zero2", "zero3").index(row.sharding)) for row in rows]),
        sequence_parallel=column("sequence_parallel"),
        tp_overlap=np.array([row.era.tp_overlap if row.overlap is None else float(row.overlap) for row in rows]),
        dp_overlap=np.array([row.era.dp_overlap for row in rows]),
    )

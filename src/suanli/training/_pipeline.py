"""Pipelines pass by pass: when each stage works forward, backward and on weights under each schedule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InputError
from suanli.training._strategy import SCHEDULES

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One pass on one stage: ``kind`` F (forward), B (backward; for inputs alone where W stands apart) or W (weights).

    ``lane`` is the chunk of an interleaved stage, or the direction of DualPipe; times in s.
    """

    stage: int
    kind: str
    micro: int
    lane: int
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Seconds of a whole stage's passes: forward, backward for inputs, backward for weights."""

    forward: float
    inputs: float
    weights: float


def timeline(schedule: str, *, pp: int, vpp: int, n_micro: int, lengths: Lengths) -> list[Work]:
    """Return every pass of one step in order of its start.

    ``1f1b`` and ``interleaved`` follow Megatron's order (Narayanan 2021, 2104.04473), ``zero_bubble`` that of ZB-H1
    (Qi 2023, 2401.10241); stages of ``dualpipe`` (DeepSeek-V3, 2412.19437) take the most urgent pass that is ready.
    Raises InputError for unknown schedules and for interleaving without whole rounds of micro-batches.
    """
    if schedule not in SCHEDULES:
        raise InputError(f"schedule '{schedule}' is not one of {', '.join(SCHEDULES)}")
    if schedule == "interleaved" and n_micro % pp:
        raise InputError(f"interleaving wants rounds of {pp} micro-batches, not {n_micro}")
    split = schedule in {"zero_bubble", "dualpipe"}
    if schedule == "dualpipe" and pp > 1:
        found = _greedy(pp, n_micro, lengths)
    elif split:
        found = _in_order([_order_split(pp, n_micro, stage) for stage in range(pp)], pp, 1, lengths, split=True)
    else:
        chunks = vpp if schedule == "interleaved" else 1
        found = _in_order([_order(pp, n_micro, stage, chunks) for stage in range(pp)], pp, chunks, lengths)
    return sorted(found, key=lambda w: (w.start, w.stage))


def _order(pp: int, n_micro: int, stage: int, chunks: int) -> list[tuple[str, int, int]]:
    """Return a stage's (kind, micro-batch, chunk): warm-up, one forward and one backward in turn, the rest."""
    total = n_micro * chunks

    def forward(k: int) -> tuple[str, int, int]:
        return "F", k // (pp * chunks) * pp + k % pp if chunks > 1 else k, k // pp % chunks if chunks > 1 else 0

    def backward(k: int) -> tuple[str, int, int]:
        _, micro, chunk = forward(k)
        return "B", micro, chunks - 1 - chunk

    warm = pp - stage - 1 if chunks == 1 else 2 * (pp - stage - 1) + (chunks - 1) * pp
    warm = min(warm, total)
    out = [forward(k) for k in range(warm)]
    for k in range(total - warm):
        out += [forward(warm + k), backward(k)]
    return out + [backward(k) for k in range(total - warm, total)]


def _order_split(pp: int, n_micro: int, stage: int) -> list[tuple[str, int, int]]:
    """Return the order of a stage under ZB-H1, whose weights lag the inputs by ``stage`` + 1 micro-batches.

    So a stage has weights to work on while it would wait at the end.
    """
    warm = min(pp - stage - 1, n_micro)
    out = [("F", k, 0) for k in range(warm)]
    weights = 0
    for k in range(n_micro):
        steady = k < n_micro - warm
        out += [("F", warm + k, 0), ("B", k, 0)] if steady else [("B", k, 0)]
        if k > stage if steady else weights < k:
            out.append(("W", weights, 0))
            weights += 1
    return out + [("W", k, 0) for k in range(weights, n_micro)]


def _before(kind: str, stage: int, chunk: int, pp: int, chunks: int) -> tuple[str, int, int] | None:
    """Return the (kind, stage, chunk) whose pass over the same micro-batch a pass waits for."""
    if kind == "W":
        return "B", stage, chunk
    if kind == "F":
        if stage > 0:
            return "F", stage - 1, chunk
        return ("F", pp - 1, chunk - 1) if chunk > 0 else None
    if stage < pp - 1:
        return "B", stage + 1, chunk
    return ("B", 0, chunk + 1) if chunk < chunks - 1 else ("F", stage, chunk)


def _in_order(
    orders: list[list[tuple[str, int, int]]], pp: int, chunks: int, lengths: Lengths, *, split: bool = False
) -> list[Work]:
    """Return the passes of stages that each keep to an order, every one as early as what it waits for allows."""
    backward = lengths.inputs if split else lengths.inputs + lengths.weights
    length = {"F": lengths.forward / chunks, "B": backward / chunks, "W": lengths.weights}
    ends: dict[tuple[str, int, int, int], float] = {}
    at, clock = [0] * pp, [0.0] * pp
    out: list[Work] = []
    moved = True
    while moved:
        moved = False
        for stage, order in enumerate(orders):
            while at[stage] < len(order):
                kind, micro, chunk = order[at[stage]]
                need = _before(kind, stage, chunk, pp, chunks)
                ready = 0.0 if need is None else ends.get((*need, micro))
                if ready is None:
                    break
                start = max(clock[stage], ready)
                clock[stage] = ends[kind, stage, chunk, micro] = start + length[kind]
                out.append(Work(stage=stage, kind=kind, micro=micro, lane=chunk, start=start, end=clock[stage]))
                at[stage] += 1
                moved = True
    return out


def _greedy(pp: int, n_micro: int, lengths: Lengths) -> list[Work]:
    """Return the passes of DualPipe, whose second half of the micro-batches enters at the other end.

    A free stage takes a ready backward pass, else a forward one, else weights. It starts no forward pass while it is
    ahead by one micro-batch more than 1F1B would be, or owes the weights of more than there are stages.
    """
    length = {"F": lengths.forward, "B": lengths.inputs, "W": lengths.weights}
    share = (n_micro - n_micro // 2, n_micro // 2)
    ends: dict[tuple[str, int, int, int], float] = {}
    done = {(kind, device, way): 0 for kind in length for device in range(pp) for way in (0, 1)}
    clock = [0.0] * pp
    out: list[Work] = []
    while left := [d for d in range(pp) if done["W", d, 0] < share[0] or done["W", d, 1] < share[1]]:
        start, _, kind, way, device = min((*_next(d, clock[d], pp, ends, done, share), d) for d in left)
        micro = done[kind, device, way]
        clock[device] = ends[kind, device, way, micro] = start + length[kind]
        done[kind, device, way] += 1
        out.append(Work(stage=device, kind=kind, micro=2 * micro + way, lane=way, start=start, end=clock[device]))
    return out


def _next(
    device: int,
    now: float,
    pp: int,
    ends: dict[tuple[str, int, int, int], float],
    done: dict[tuple[str, int, int], int],
    share: tuple[int, int],
) -> tuple[float, int, str, int]:
    """Return (start, rank, kind, way) of what a device would do next: the earliest, by rank where several can start."""
    best = (np.inf, 9, "W", 0)
    for way, (stage, step) in enumerate(((device, 1), (pp - 1 - device, -1))):
        for rank, kind in enumerate(("B", "F", "W")):
            micro = done[kind, device, way]
            if micro >= share[way]:
                continue
            if kind == "W":
                ready = ends.get(("B", device, way, micro))
            elif kind == "B":
                ready = ends.get(("F", device, way, micro) if stage == pp - 1 else ("B", device + step, way, micro))
            elif micro - done["B", device, way] > pp - stage or micro - done["W", device, way] > pp:
                continue
            else:
                ready = 0.0 if stage == 0 else ends.get(("F", device - step, way, micro))
            if ready is not None:
                best = min(best, (max(now, ready), rank, kind, way))
    return best


def span(work: list[Work]) -> float:
    """Return the seconds from the first pass to the end of the last."""
    return max(w.end for w in work)

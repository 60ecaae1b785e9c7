"""Prefill and decode pools in one discrete-event run, in Numba: prompts, transfers of caches, answers, back-pressure.

Replicas 0..P-1 fill caches, the others decode. The replica with the earliest clock acts next, so that what one does is
seen by another only at its time. A filled cache stays where it was computed until it has arrived: a full decode pool
stops the transfers, full prefill memory then stops the prompts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from suanli.serving._engine import (
    BUSY,
    NEXT,
    PREFILL,
    STEPS,
    TURN,
    coast,
    end_answers,
    fill,
    has_room,
    note,
    preempt,
)
from suanli.serving._kernel import (
    CACHE_AWARE,
    NONE,
    ROUND_ROBIN,
    Costs,
    Floats,
    Ints,
    Load,
    Policy,
    State,
    cached_tokens,
    compiled,
    enter_decode,
    lru_touch,
    pop,
    push,
    shrink_cache,
    step_time,
)

MOVES = np.dtype(
    [
        ("filled", "f8"),  # when the prompt was computed
        ("land", "f8"),  # when its cache has arrived
        ("next", "i4"),
        ("home", "i4"),  # the prefill replica
        ("held", "i4"),  # 1: a decode replica keeps room for it; 2: it was held back until one had
    ],
    align=True,
)
PORTS = np.dtype(
    [("free", "f8"), ("asleep", "i8"), *((name, "i8") for name in ("done", "done_last", "out", "out_last"))], align=True
)
"""Records of a request's transfer, and of a replica's link and of the caches that wait in it."""

HEAD, LAST, HELD_BACK, COUNT = range(4)


class Handover(NamedTuple):
    """The transfers: requests ``of``, replicas ``on``; ``ends`` of the queue for decode; ``core`` is free from."""

    of: Any
    on: Any
    ends: Ints  # first, last, caches that a full decode pool held back, transfers begun
    core: Floats  # when the shared part of the fabric is free, bytes are counted in tokens
    bins: Floats  # time line of the decode pool
    n_prefill: int
    token_s: float  # s a token over a copy's link
    fixed_s: float  # s a transfer, whatever its length
    core_token_s: float  # s a token over the part of the fabric that all share


@compiled
def append_done(h: Handover, r: int, i: int) -> None:  # pragma: no cover
    """Put ``i`` at the end of the prompts that the step under way on ``r`` finishes."""
    h.of[i].next = NONE
    if h.on[r].done == NONE:
        h.on[r].done = i
    else:
        h.of[h.on[r].done_last].next = i
    h.on[r].done_last = i


@compiled
def pushed_out(s: State, h: Handover, r: int) -> bool:  # pragma: no cover
    """Say whether a request that ``r`` had to push out waits to come back: it goes before new ones."""
    for p in range(s.queue_head.shape[1]):
        i = s.queue_head[r, p]
        if i != NONE and h.of[i].held == 0:
            return True
    return False


@compiled
def choose(s: State, h: Handover, load: Load, policy: Policy, i: int) -> int:  # pragma: no cover
    """Return the decode replica with the fewest requests that has room for ``i``, or NONE."""
    best, fewest = NONE, 0
    for r in range(h.n_prefill, s.on.size):
        count = s.on[r].running + s.on[r].waiting
        if count >= policy.max_running or not has_room(s, load, policy, r, i) or pushed_out(s, h, r):
            continue
        if best == NONE or count < fewest:
            best, fewest = r, count
    return best


@compiled
def dispatch(s: State, h: Handover, load: Load, policy: Policy, now: float) -> None:  # pragma: no cover
    """Begin the transfers that decode has room for, in the order in which their prompts were computed."""
    while h.ends[HEAD] != NONE:
        i = h.ends[HEAD]
        r = choose(s, h, load, policy, i)
        if r == NONE:
            if h.of[i].held == 0:
                h.of[i].held = 2
                h.ends[HELD_BACK] += 1
            return
        h.ends[HEAD] = h.of[i].next
        p = h.of[i].home
        begin = max(now, h.on[p].free, h.on[r].free)
        land = begin + h.fixed_s + s.of[i].context * h.token_s
        h.core[0] = max(h.core[0], begin) + s.of[i].context * h.core_token_s
        land = max(land, h.core[0])
        h.on[p].free = h.on[r].free = land
        h.of[i].land, h.of[i].held = land, 1
        h.ends[COUNT] += 1
        s.on[r].kv += s.of[i].context
        s.on[r].reserved += load.of[i].prompt + load.of[i].steps * load.of[i].per_step
        if s.on[r].running == 0 and s.on[r].waiting == 0:
            s.on[r].clock = max(s.on[r].clock, land)
        push(s, load, r, i)
        h.of[i].next = NONE
        if h.on[p].out == NONE:
            h.on[p].out = i
        else:
            h.of[h.on[p].out_last].next = i
        h.on[p].out_last = i
        if h.on[p].asleep == 1:
            h.on[p].asleep = 0
            s.on[p].clock = max(s.on[p].clock, land)


@compiled
def leave_prefill(s: State, h: Handover, load: Load, policy: Policy, r: int) -> None:  # pragma: no cover
    """Queue the prompts that ``r`` has just computed for decode, and free the caches that have arrived there."""
    now = s.on[r].clock
    while h.on[r].done != NONE:
        i = h.on[r].done
        h.on[r].done = h.of[i].next
        h.of[i].filled = now
        for b in range(load.of[i].first, load.of[i].last):
            lru_touch(s, r, load.blocks[b])
        s.on[r].reserved -= load.of[i].prompt + load.of[i].steps * load.of[i].per_step
        if s.of[i].left_steps <= 0:
            s.on[r].kv -= s.of[i].context
            s.of[i].first_token = s.of[i].finish = h.of[i].land = now
            continue
        h.of[i].next = NONE
        if h.ends[HEAD] == NONE:
            h.ends[HEAD] = i
        else:
            h.of[h.ends[LAST]].next = i
        h.ends[LAST] = i
    while h.on[r].out != NONE and h.of[h.on[r].out].land <= now:
        s.on[r].kv -= s.of[h.on[r].out].context
        h.on[r].out = h.of[h.on[r].out].next
    if s.on[r].cached > 0:
        shrink_cache(s, policy, r)


@compiled
def prefill_turn(
    s: State, h: Handover, costs: Costs, policy: Policy, decode: Policy, load: Load, r: int
) -> None:  # pragma: no cover
    """End the step of prefill replica ``r`` and begin its next, or sleep until a cache has left."""
    leave_prefill(s, h, load, policy, r)
    dispatch(s, h, load, decode, s.on[r].clock)
    if s.on[r].waiting == 0 and s.on[r].current == NONE:
        return
    tokens, cross, finished = fill(s, costs, load, policy, r)
    if tokens == 0:
        if h.on[r].out != NONE:
            s.on[r].clock = max(s.on[r].clock, h.of[h.on[r].out].land)
        else:
            h.on[r].asleep = 1
        return
    spent = step_time(costs, tokens, 0.0, 0, tokens, cross)
    s.on[r].clock += spent
    s.counters[STEPS] += 1
    s.counters[PREFILL] += tokens
    s.counters[BUSY] += spent
    note(s.bins, s.on[r].clock, spent, finished, s.on[r].kv, s.on[r].waiting, 0.0)
    for k in range(finished):
        append_done(h, r, s.scratch[k])


@compiled
def land(s: State, h: Handover, load: Load, policy: Policy, r: int) -> float:  # pragma: no cover
    """Start decoding what has arrived at ``r``; return when the next cache arrives (inf: none is on its way)."""
    coming = np.inf
    for p in range(s.queue_head.shape[1]):
        while s.queue_head[r, p] != NONE:
            i = int(s.queue_head[r, p])
            if h.of[i].held == 1:
                if h.of[i].land > s.on[r].clock:
                    coming = min(coming, h.of[i].land)
                    break
            elif s.on[r].running > 0 and not has_room(s, load, policy, r, i):
                break
            else:  # it was pushed out before: its cache is read back from the host
                s.on[r].kv += s.of[i].context
                s.on[r].reserved += load.of[i].prompt + load.of[i].steps * load.of[i].per_step
            pop(s, load, r, i)
            h.of[i].held = 0
            if np.isnan(s.of[i].first_token):
                s.of[i].first_token = h.of[i].land
            enter_decode(s, load, r, i)
    return coming


@compiled
def decode_turn(
    s: State, h: Handover, costs: Costs, policy: Policy, load: Load, r: int, until: float
) -> None:  # pragma: no cover
    """End the answers of decode replica ``r``, take in what has arrived and step on to the next event."""
    if s.ring[r, s.on[r].tick & (s.ring.shape[1] - 1)] != NONE:
        end_answers(s, load, policy, r)
    dispatch(s, h, load, policy, s.on[r].clock)
    coming = land(s, h, load, policy, r)
    if s.on[r].running == 0:
        if coming < np.inf:
            s.on[r].clock = coming
        return
    while not policy.reserves and s.on[r].kv + s.on[r].growth > policy.capacity and s.on[r].running > 1:
        preempt(s, load, policy, r)
    horizon = min(until, coming, s.on[r].clock + h.bins[0, 0])
    coast(s, costs, policy, h.bins, r, max(horizon, np.nextafter(s.on[r].clock, np.inf)))


@compiled
def take(s: State, h: Handover, load: Load, policy: Policy, i: int, now: float) -> None:  # pragma: no cover
    """Give an arriving request to the prefill replica that the policy names."""
    best, best_score = NONE, 0.0
    for k in range(h.n_prefill):
        r = (int(s.counters[TURN]) + k) % h.n_prefill
        score = 0.0
        if policy.routing != ROUND_ROBIN:
            score = s.on[r].waiting + (s.on[r].current != NONE) + 1e-3 * s.on[r].kv / policy.capacity
            if policy.routing == CACHE_AWARE:
                score -= cached_tokens(s, load, policy, r, i) / 256.0
        if best == NONE or score < best_score:
            best, best_score = r, score
    s.counters[TURN] = (best + 1) % h.n_prefill
    h.of[i].home = best
    if s.on[best].waiting == 0 and s.on[best].current == NONE and h.on[best].done == NONE and h.on[best].asleep == 0:
        s.on[best].clock = max(s.on[best].clock, now)
    push(s, load, best, i)


@compiled
def run_pools(
    s: State, h: Handover, costs: tuple[Costs, Costs], policies: tuple[Policy, Policy], load: Load, stop: int
) -> None:  # pragma: no cover
    """Run all events until request ``stop`` arrives, or to the end where there is none."""
    n = load.of.size
    while True:
        i = int(s.counters[NEXT])
        arrival = load.of[i].arrival if i < n else np.inf
        best, now, filling = NONE, np.inf, np.inf
        for r in range(s.on.size):
            works = s.on[r].waiting > 0
            if r < h.n_prefill:
                works = (works or s.on[r].current != NONE or h.on[r].done != NONE) and h.on[r].asleep == 0
                if works:
                    filling = min(filling, s.on[r].clock)
            else:
                works = works or s.on[r].running > 0
            if works and s.on[r].clock < now:
                best, now = r, s.on[r].clock
        if arrival <= now:
            if i >= n or i >= stop:
                return
            s.counters[NEXT] += 1
            take(s, h, load, policies[0], i, arrival)
        elif best < h.n_prefill:
            prefill_turn(s, h, costs[0], policies[0], policies[1], load, best)
        else:
            decode_turn(s, h, costs[1], policies[1], load, best, min(arrival, filling))

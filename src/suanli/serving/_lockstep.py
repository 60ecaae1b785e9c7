"""Attention ranks that share experts, in Numba: they step together, each step as long as its busiest rank.

Ranks size * g ... size * (g + 1) - 1 are group g. All ranks meet at every layer with experts: what a rank does alone
(projections, attention) takes as long as on the rank with most of it, the experts do the tokens of all ranks.
"""

from __future__ import annotations

import numpy as np

from suanli.serving._engine import (
    BUSY,
    DECODE,
    PREFILL,
    STEPS,
    end_answers,
    fill,
    finish_prompts,
    note,
    preempt,
    route,
)
from suanli.serving._kernel import (
    NONE,
    Costs,
    Floats,
    Load,
    Policy,
    State,
    adapter_time,
    compiled,
    push,
    step_time,
)


@compiled
def expert_time(costs: Costs, experts: Floats, tokens: float) -> float:  # pragma: no cover
    """Return the time of the experts at a mean of ``tokens`` a rank (s), straight between the points of the grid."""
    at = int(costs.slot[min(int(max(tokens, 1.0)), costs.slot.size - 1)])
    lo, hi = costs.tokens[at], costs.tokens[at + 1]
    out: float = experts[at] + (experts[at + 1] - experts[at]) * (max(tokens, 1.0) - lo) / (hi - lo)
    return out


@compiled
def works(s: State, first: int, size: int) -> bool:  # pragma: no cover
    """Say whether any rank of a group has something to do."""
    for r in range(first, first + size):
        if s.on[r].running > 0 or s.on[r].waiting > 0 or s.on[r].current != NONE:
            return True
    return False


@compiled
def set_clock(s: State, first: int, size: int, now: float) -> None:  # pragma: no cover
    """Set the clocks of all ranks of a group."""
    for r in range(first, first + size):
        s.on[r].clock = now


@compiled
def glide_together(
    s: State, costs: Costs, experts: Floats, policy: Policy, load: Load, first: int, size: int, until: float
) -> None:  # pragma: no cover
    """Run decode steps of unchanging batches until a rank ends an answer, its cache is full or ``until`` is reached."""
    clock, steps, batch, most, adapters = s.on[first].clock, 0, 0, 0, 0
    mask = s.ring.shape[1] - 1
    going = True
    for r in range(first, first + size):
        batch += s.on[r].running
        most = max(most, s.on[r].running)
        adapters = max(adapters, s.on[r].adapters)
        going = going and s.ring[r, s.on[r].tick & mask] == NONE
    fixed = step_time(costs, most * policy.verify, 0.0, 0, 0, 0.0)
    fixed += expert_time(costs, experts, batch * policy.verify / size)
    fixed += adapter_time(costs, most * policy.verify, adapters)
    began = clock
    while clock < until and going:
        reading = 0.0
        for r in range(first, first + size):
            kv = s.on[r].kv + steps * s.on[r].growth
            reading = max(reading, kv * costs.kv_s + s.on[r].running * costs.sequence_s)
        clock += fixed + reading
        steps += 1
        for r in range(first, first + size):
            full = s.on[r].kv + (steps + 1) * s.on[r].growth > policy.capacity and not policy.reserves
            if full or s.ring[r, (s.on[r].tick + steps) & mask] != NONE:
                going = False
    for r in range(first, first + size):
        grown = s.on[r].growth * steps
        note(s.bins, clock, clock - began, s.on[r].running, s.on[r].kv + 0.5 * grown, s.on[r].waiting, grown)
        s.on[r].tick += steps
        s.on[r].kv += grown
        s.counters[DECODE] += grown
    s.counters[STEPS] += steps
    s.counters[BUSY] += (clock - began) * size
    set_clock(s, first, size, clock)
    for r in range(first, first + size):
        if s.ring[r, s.on[r].tick & mask] != NONE:
            end_answers(s, load, policy, r)


@compiled
def step_together(
    s: State,
    costs: Costs,
    experts: Floats,
    policy: Policy,
    load: Load,
    done: Floats,
    first: int,
    size: int,
    until: float,
) -> None:  # pragma: no cover
    """Run one step of a group: each rank fills its own, all end together; ``done`` lists (rank, prompts finished)."""
    prompts = 0
    for k in range(size):
        r = first + k
        tokens, cross, finished = 0, 0.0, 0
        if s.on[r].waiting > 0 or s.on[r].current != NONE:
            tokens, cross, finished = fill(s, costs, load, policy, r)
        done[k, 0], done[k, 1], done[k, 2] = tokens, cross, finished
        for j in range(finished):
            done[k, 3 + j] = s.scratch[j]
        prompts += tokens
    decodes = policy.mixes or prompts == 0
    if prompts == 0:
        for r in range(first, first + size):
            while not policy.reserves and s.on[r].kv + s.on[r].growth > policy.capacity and s.on[r].running > 1:
                preempt(s, load, policy, r)
        glide_together(s, costs, experts, policy, load, first, size, until)
        return
    alone, total, loading = 0.0, 0.0, 0.0
    for k in range(size):
        r = first + k
        while decodes and not policy.reserves and s.on[r].kv + s.on[r].growth > policy.capacity:
            if s.on[r].running <= 1:
                break
            preempt(s, load, policy, r)
        batch = s.on[r].running if decodes else 0
        tokens = int(done[k, 0])
        mine = step_time(
            costs, tokens + batch * policy.verify, s.on[r].kv if batch > 0 else 0.0, batch, tokens, done[k, 1]
        )
        mine += adapter_time(costs, tokens + batch * policy.verify, s.on[r].adapters)
        alone = max(alone, mine)
        total += tokens + batch * policy.verify
        loading = max(loading, s.on[r].loading)
        s.on[r].loading = 0.0
    spent = alone + loading + expert_time(costs, experts, total / size)
    now = s.on[first].clock + spent
    set_clock(s, first, size, now)
    s.counters[STEPS] += 1
    s.counters[PREFILL] += prompts
    s.counters[BUSY] += spent * size
    for k in range(size):
        r = first + k
        batch = s.on[r].running if decodes else 0
        gained = s.on[r].growth if decodes else 0.0
        note(s.bins, now, spent, batch, s.on[r].kv, s.on[r].waiting, gained)
        if batch > 0:
            s.on[r].tick += 1
            s.on[r].kv += s.on[r].growth
            s.counters[DECODE] += s.on[r].growth
            end_answers(s, load, policy, r)
        for j in range(int(done[k, 2])):
            s.scratch[j] = int(done[k, 3 + j])
        finish_prompts(s, load, policy, r, int(done[k, 2]))


@compiled
def run_groups(
    s: State, costs: Costs, experts: Floats, policy: Policy, load: Load, done: Floats, size: int, lo: int, hi: int
) -> None:  # pragma: no cover
    """Let the requests lo..hi-1 arrive, each when all groups have come to its time; hi beyond the last: to the end."""
    for i in range(lo, hi + 1):
        now = load.of[i].arrival if i < hi else np.inf
        if i == hi and hi < load.of.size and policy.closed_clients == 0:
            return
        for first in range(0, s.on.size, size):
            while s.on[first].clock < now and works(s, first, size):
                bound = min(now, s.on[first].clock + s.bins[0, 0])
                step_together(s, costs, experts, policy, load, done, first, size, bound)
        if i == hi:
            return
        r = route(s, load, policy, i, now)
        first = (r // size) * size
        if not works(s, first, size):
            set_clock(s, first, size, max(s.on[first].clock, now))
        push(s, load, r, i)

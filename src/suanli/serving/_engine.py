"""The simulator's scheduler in Numba: admission, steps, routing, failures and scaling over the state of _kernel."""

from __future__ import annotations

import numpy as np

from suanli.serving._adapter_slots import give_adapter_back, next_waiting, take_adapter
from suanli.serving._kernel import (
    CACHE_AWARE,
    NONE,
    ROUND_ROBIN,
    Costs,
    Floats,
    Load,
    Policy,
    State,
    adapter_time,
    cached_tokens,
    compiled,
    enter_decode,
    inlined,
    leave_decode,
    lru_touch,
    peek,
    pop,
    pop_after,
    push,
    push_front,
    shrink_cache,
    step_time,
)

ADAPTER_WORTH = 4.0  # requests more that a replica may have when it holds the adapter
STEPS, PREFILL, DECODE, BUSY, NEXT, WATCH, TURN, LOADS, REPLICA_S = range(9)


@inlined
def has_room(s: State, load: Load, policy: Policy, r: int, i: int) -> bool:  # pragma: no cover
    """Say whether request ``i`` may be admitted to replica ``r`` now."""
    if policy.reserves:
        whole = load.of[i].prompt + load.of[i].steps * load.of[i].per_step
        return bool(s.on[r].reserved + whole <= policy.capacity)
    return bool(s.on[r].kv + s.of[i].context + s.on[r].growth <= policy.capacity)


@inlined
def admit(s: State, costs: Costs, load: Load, policy: Policy, r: int, i: int, before: int) -> None:  # pragma: no cover
    """Take ``i`` from the queue: what the prefix cache holds of it need not be computed."""
    pop_after(s, load, r, i, before)
    if policy.slots > 0:
        take_adapter(s, costs, load, policy, r, i)
    hit = 0
    if load.of[i].last > load.of[i].first and s.of[i].done == 0.0:
        hit = cached_tokens(s, load, policy, r, i)
        s.of[i].hit = hit
    s.on[r].kv += hit
    s.on[r].reserved += load.of[i].prompt + load.of[i].steps * load.of[i].per_step
    s.on[r].current = i
    s.on[r].left = int(s.of[i].context) - hit


@inlined
def fill(s: State, costs: Costs, load: Load, policy: Policy, r: int) -> tuple[int, float, int]:  # pragma: no cover
    """Fill a step with prompt tokens; return (tokens, tokens x context, prompts finished, listed in scratch)."""
    budget = policy.budget - (s.on[r].running * policy.verify if policy.mixes else 0)
    tokens, cross, finished = 0, 0.0, 0
    while tokens < budget:
        if s.on[r].current == NONE:
            i, before = peek(s, r), NONE
            if policy.slots > 0:
                i, before = next_waiting(s, load, policy, r)
            if i == NONE or s.on[r].running + finished >= policy.max_running or not has_room(s, load, policy, r, i):
                break
            if not policy.chunks and tokens > 0 and s.of[i].context > budget - tokens:
                break
            admit(s, costs, load, policy, r, i, before)
        i = s.on[r].current
        take = s.on[r].left
        if policy.chunks:
            take = min(take, budget - tokens)
        filled = s.of[i].context - s.on[r].left
        cross += take * (filled + 0.5 * take)
        tokens += take
        s.on[r].kv += take
        s.on[r].left -= take
        if s.on[r].left == 0:
            s.scratch[finished] = i
            finished += 1
            s.on[r].current = NONE
    return tokens, cross, finished


@compiled
def accept_filled(s: State, load: Load, policy: Policy, r: int) -> None:  # pragma: no cover
    """Start decoding requests whose cache was computed elsewhere."""
    while True:
        i = peek(s, r)
        if i == NONE or s.on[r].running >= policy.max_running or not has_room(s, load, policy, r, i):
            return
        pop(s, load, r, i)
        s.on[r].kv += s.of[i].context
        s.on[r].reserved += load.of[i].prompt + load.of[i].steps * load.of[i].per_step
        enter_decode(s, load, r, i)


@compiled
def preempt(s: State, load: Load, policy: Policy, r: int) -> None:  # pragma: no cover
    """Push the youngest running request back to its queue; its cache is recomputed later."""
    i = s.on[r].tail
    gone = s.on[r].tick - s.of[i].start_tick
    leave_decode(s, load, r, i)
    if policy.slots > 0:
        give_adapter_back(s, load, policy, r, i)
    s.of[i].done += gone * load.of[i].per_step
    s.of[i].left_steps -= gone
    s.of[i].context += gone * load.of[i].per_step
    s.of[i].preempted += 1
    s.on[r].reserved -= load.of[i].prompt + load.of[i].steps * load.of[i].per_step
    push_front(s, load, r, i)


@inlined
def complete(s: State, load: Load, policy: Policy, r: int, i: int) -> None:  # pragma: no cover
    """Record that ``i`` is answered; in a closed loop its client sends the next request."""
    if policy.slots > 0:
        give_adapter_back(s, load, policy, r, i)
    s.of[i].finish = s.on[r].clock
    s.of[i].done = load.of[i].steps * load.of[i].per_step
    s.on[r].reserved -= load.of[i].prompt + load.of[i].steps * load.of[i].per_step
    if policy.closed_clients > 0:
        following = int(s.counters[NEXT])
        if following < load.of.size:
            s.counters[NEXT] += 1
            load.of[following].arrival = s.on[r].clock
            push(s, load, r, following)


@inlined
def finish_prompts(s: State, load: Load, policy: Policy, r: int, finished: int) -> None:  # pragma: no cover
    """Give the first token to the prompts listed in scratch and start decoding them."""
    for k in range(finished):
        i = s.scratch[k]
        if np.isnan(s.of[i].first_token):
            s.of[i].first_token = s.on[r].clock
        for b in range(load.of[i].first, load.of[i].last):
            lru_touch(s, r, load.blocks[b])
        if s.of[i].left_steps <= 0:
            s.on[r].kv -= s.of[i].context
            complete(s, load, policy, r, i)
        else:
            enter_decode(s, load, r, i)
    if s.on[r].cached > 0:
        shrink_cache(s, policy, r)


@inlined
def end_answers(s: State, load: Load, policy: Policy, r: int) -> None:  # pragma: no cover
    """Complete the requests whose last step has just ended."""
    bucket = s.on[r].tick & (s.ring.shape[1] - 1)
    i = s.ring[r, bucket]
    while i != NONE:
        following = s.of[i].bucket_next
        if s.of[i].end_tick == s.on[r].tick:
            leave_decode(s, load, r, i)
            complete(s, load, policy, r, i)
        i = following


@compiled
def note(
    bins: Floats, now: float, spent: float, batch: float, kv: float, waiting: int, gained: float
) -> None:  # pragma: no cover
    """Add time ``spent`` to the time line; when it runs over its end, two bins become one."""
    n = bins.shape[0]
    width = bins[0, 0]
    while now >= width * n:
        for k in range(n // 2):
            for c in range(1, 6):
                bins[k, c] = bins[2 * k, c] + bins[2 * k + 1, c]
        bins[n // 2 :, 1:] = 0.0
        width *= 2.0
        bins[:, 0] = width
    k = int(now / width)
    bins[k, 1] += spent
    bins[k, 2] += spent * batch
    bins[k, 3] += spent * kv
    bins[k, 4] += spent * waiting
    bins[k, 5] += gained


@inlined
def coast(s: State, costs: Costs, policy: Policy, bins: Floats, r: int, until: float) -> None:  # pragma: no cover
    """Run decode steps of an unchanging batch until one ends an answer, the cache is full or ``until`` is reached."""
    clock, tick, kv = s.on[r].clock, s.on[r].tick, s.on[r].kv
    batch, growth = s.on[r].running, s.on[r].growth
    mask = s.ring.shape[1] - 1
    fixed = step_time(costs, batch * policy.verify, 0.0, batch, 0, 0.0)
    fixed += adapter_time(costs, batch * policy.verify, s.on[r].adapters)
    began, first = clock, tick
    limit = np.inf if policy.reserves else float(policy.capacity)
    room = True
    while clock < until and room and s.ring[r, tick & mask] == NONE:
        clock += fixed + kv * costs.kv_s
        tick += 1
        kv += growth
        room = kv + growth <= limit
    steps = tick - first
    s.counters[STEPS] += steps
    s.counters[BUSY] += clock - began
    s.counters[DECODE] += growth * steps
    note(bins, clock, clock - began, batch, 0.5 * (s.on[r].kv + kv), s.on[r].waiting, growth * steps)
    s.on[r].clock, s.on[r].tick, s.on[r].kv = clock, tick, kv


@inlined
def step(s: State, costs: Costs, policy: Policy, load: Load, r: int, until: float) -> None:  # pragma: no cover
    """Run one step of replica ``r`` (prompts, decode, completions), or many where nothing can be admitted."""
    tokens, cross, finished = 0, 0.0, 0
    if not policy.has_prompt:
        accept_filled(s, load, policy, r)
    elif s.on[r].waiting > 0 or s.on[r].current != NONE:
        tokens, cross, finished = fill(s, costs, load, policy, r)
    batch = s.on[r].running if (policy.mixes or tokens == 0) else 0
    if batch > 0 and not policy.reserves:
        while s.on[r].kv + s.on[r].growth > policy.capacity and s.on[r].running > 1:
            preempt(s, load, policy, r)
        batch = s.on[r].running
    if tokens == 0 and batch > 0:
        coast(s, costs, policy, s.bins, r, until)
        if s.ring[r, s.on[r].tick & (s.ring.shape[1] - 1)] != NONE:
            end_answers(s, load, policy, r)
        return
    spent = step_time(costs, tokens + batch * policy.verify, s.on[r].kv if batch > 0 else 0.0, batch, tokens, cross)
    spent += adapter_time(costs, tokens + batch * policy.verify, s.on[r].adapters) + s.on[r].loading
    s.on[r].loading = 0.0
    s.on[r].clock += spent
    s.counters[STEPS] += 1
    s.counters[PREFILL] += tokens
    s.counters[BUSY] += spent
    note(s.bins, s.on[r].clock, spent, batch, s.on[r].kv, s.on[r].waiting, s.on[r].growth if batch > 0 else 0.0)
    if batch > 0:
        s.on[r].tick += 1
        s.on[r].kv += s.on[r].growth
        s.counters[DECODE] += s.on[r].growth
        end_answers(s, load, policy, r)
    finish_prompts(s, load, policy, r, finished)


@compiled
def fail(s: State, load: Load, policy: Policy, r: int, until: float) -> None:  # pragma: no cover
    """Lose a replica until ``until``: its requests start again, on another replica where one is up."""
    s.on[r].ready = until
    while s.on[r].tail != NONE:
        preempt(s, load, policy, r)
    if s.on[r].current != NONE:
        i = s.on[r].current
        s.on[r].kv -= s.of[i].context - s.on[r].left
        s.on[r].reserved -= load.of[i].prompt + load.of[i].steps * load.of[i].per_step
        s.on[r].current = NONE
        if policy.slots > 0:
            give_adapter_back(s, load, policy, r, i)
        push_front(s, load, r, i)
    shrink = s.on[r].cached
    for _ in range(shrink):
        block = s.lru_ends[r, 1]
        previous = s.lru_prev[r, block]
        s.lru_ends[r, 1] = previous
        s.lru_prev[r, block] = -2
    s.lru_ends[r, 0] = NONE
    s.lru_ends[r, 1] = NONE
    s.on[r].cached = 0
    for k in range(s.adapters.shape[1]):
        s.adapters[r, k].slot = s.adapters[r, k].kept = NONE
    now = s.on[r].clock
    s.on[r].clock = max(now, until)
    if policy.closed_clients == 0:
        for _ in range(s.on[r].waiting):
            i = peek(s, r)
            pop(s, load, r, i)
            push(s, load, route(s, load, policy, i, now), i)


@compiled
def advance(s: State, costs: Costs, policy: Policy, load: Load, r: int, until: float) -> None:  # pragma: no cover
    """Step replica ``r`` up to time ``until`` or until it has nothing to do."""
    while s.on[r].clock < until and (s.on[r].running > 0 or s.on[r].waiting > 0 or s.on[r].current != NONE):
        for k in range(s.downs.shape[0]):
            if s.downs[k, 0] == r and s.downs[k, 1] <= s.on[r].clock:
                s.downs[k, 0] = -1.0
                fail(s, load, policy, r, s.downs[k, 2])
        bound = min(until, s.on[r].clock + s.bins[0, 0])
        for k in range(s.downs.shape[0]):
            if s.downs[k, 0] == r:
                bound = min(bound, s.downs[k, 1])
        if s.on[r].running > 0 or s.on[r].waiting > 0 or s.on[r].current != NONE:
            step(s, costs, policy, load, r, bound)


@compiled
def route(s: State, load: Load, policy: Policy, i: int, now: float) -> int:  # pragma: no cover
    """Return the replica that takes request ``i``: among those up, by the policy's rule."""
    n = s.on.size
    best, best_score = NONE, 0.0
    for k in range(n):
        r = (int(s.counters[TURN]) + k) % n
        if s.on[r].active == 0:
            continue
        score = max(0.0, s.on[r].ready - now) * 1e6
        if policy.routing != ROUND_ROBIN:
            score += s.on[r].running + s.on[r].waiting
            if policy.routing == CACHE_AWARE:
                score -= cached_tokens(s, load, policy, r, i) / 256.0
                if policy.slots > 0 and load.of[i].adapter >= 0 and s.adapters[r, load.of[i].adapter].slot >= 0:
                    score -= ADAPTER_WORTH
        if best == NONE or score < best_score:
            best, best_score = r, score
    if policy.routing == ROUND_ROBIN:
        s.counters[TURN] = (best + 1) % n
    return best


@compiled
def watch(s: State, policy: Policy, now: float) -> None:  # pragma: no cover
    """Start or drain a replica where the outstanding requests a replica leave their band."""
    n, up, outstanding = s.on.size, 0, 0
    for r in range(n):
        up += s.on[r].active
        outstanding += s.on[r].running + s.on[r].waiting
    s.counters[REPLICA_S] += up * policy.watch_s
    if outstanding > policy.scale_high * up:
        for r in range(n):
            if s.on[r].active == 0:
                s.on[r].active = 1
                s.on[r].ready = now + policy.start_s
                s.on[r].clock = max(s.on[r].clock, s.on[r].ready)
                return
    elif outstanding < policy.scale_low * up and up > policy.min_replicas:
        for r in range(n - 1, -1, -1):
            if s.on[r].active == 1:
                s.on[r].active = 0
                return


@compiled
def run_slice(s: State, costs: Costs, policy: Policy, load: Load, lo: int, hi: int) -> None:  # pragma: no cover
    """Let the requests lo..hi-1 arrive, each when the replicas have come to its time."""
    for i in range(lo, hi):
        now = load.of[i].arrival
        for r in range(s.on.size):
            advance(s, costs, policy, load, r, now)
        while policy.watch_s > 0.0 and s.counters[WATCH] <= now:
            watch(s, policy, s.counters[WATCH])
            s.counters[WATCH] += policy.watch_s
        r = route(s, load, policy, i, now)
        if s.on[r].running == 0 and s.on[r].waiting == 0 and s.on[r].current == NONE:
            s.on[r].clock = max(s.on[r].clock, now, s.on[r].ready)
        push(s, load, r, i)


@compiled
def drain(s: State, costs: Costs, policy: Policy, load: Load) -> None:  # pragma: no cover
    """Serve what is left; failures hand requests on, so go round until nothing is left."""
    left = True
    while left:
        left = False
        for r in range(s.on.size):
            if s.on[r].running > 0 or s.on[r].waiting > 0 or s.on[r].current != NONE:
                advance(s, costs, policy, load, r, np.inf)
                left = True

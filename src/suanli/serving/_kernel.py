"""The simulator's inner loop in Numba: one call advances replicas step by step over a slice of arrivals.

Sequences in decode all gain the same number of tokens a step, so a sequence's end is known when its decode starts:
it waits in a ring of buckets by the step at which it ends. A step costs a table look-up, not a walk over the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Int32s = NDArray[np.int32]

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Return ``function`` compiled by Numba (kept on disk between runs), with its types as written."""
    found: F = njit(cache=True)(function)
    return found


def inlined(function: F) -> F:
    """Return ``function`` compiled into its callers: it is called once a step, and its state is a wide argument."""
    found: F = njit(cache=True, forceinline=True)(function)
    return found


NONE = -1
ROUND_ROBIN, LEAST_LOADED, CACHE_AWARE = 0, 1, 2


class Costs(NamedTuple):
    """Step time: ``linear[k]`` s at ``tokens[k]`` tokens, plus attention; see StepTable."""

    tokens: Floats
    linear: Floats
    slot: Floats  # index into tokens for each number of tokens, so that a look-up needs no search
    kv_s: float  # s a cached token read in decode
    sequence_s: float  # s a sequence in decode
    prompt_s: float  # s a new token of a prompt
    prefill_s: float  # s a (new token x token of context)
    host_s: float  # s a step, whatever it holds
    adapter_s: float  # s a step that applies any adapter (LoRA)
    adapter_each_s: float  # s a different adapter in a step
    adapter_token_s: float  # s a token of a step with adapters
    adapter_load_s: float  # s that an adapter takes from the host's memory


class Policy(NamedTuple):
    """What the scheduler may do in a step."""

    budget: int  # tokens a step
    max_running: int
    capacity: int  # tokens of KV cache
    mixes: bool  # prefill rides along with decode
    chunks: bool  # a prompt may be split over steps
    reserves: bool  # admission needs room for the whole answer (no preemption)
    verify: int  # tokens a sequence brings to a decode step (drafts of speculative decoding included)
    closed_clients: int  # 0: arrivals are given
    routing: int
    has_prompt: bool  # False in the decode pool of a disaggregated service: the cache arrives filled
    cache_block: int  # tokens a prefix-cache block
    watch_s: float  # period of the autoscaler; 0: none
    scale_high: float  # outstanding requests a replica above which one is started
    scale_low: float
    start_s: float  # from the decision to the first request a new replica takes
    min_replicas: int
    slots: int  # adapters that fit beside the weights; 0: no adapters


REQUEST_LOAD = np.dtype(
    [
        ("arrival", "f8"),
        ("per_step", "f8"),  # tokens a decode step yields
        ("prompt", "i4"),
        ("steps", "i4"),  # decode steps: tokens after the first, divided by tokens a step
        ("priority", "i4"),
        ("adapter", "i4"),  # -1: none
        ("first", "i8"),  # its prompt's blocks are blocks[first:last]
        ("last", "i8"),
    ],
    align=True,
)
REQUEST_STATE = np.dtype(
    [
        ("context", "f8"),  # tokens in the cache when it starts to decode
        ("done", "f8"),  # tokens decoded before a preemption
        ("first_token", "f8"),
        ("finish", "f8"),
        ("end_tick", "i8"),
        ("start_tick", "i8"),
        *((name, "i4") for name in ("queue_next", "bucket_next", "bucket_prev", "run_next", "run_prev")),
        *((name, "i4") for name in ("left_steps", "hit", "preempted", "replica")),
    ],
    align=True,
)
REPLICA_STATE = np.dtype(
    [
        *((name, "f8") for name in ("clock", "kv", "reserved", "growth", "ready", "loading")),
        *((name, "i8") for name in ("tick", "running", "waiting", "current", "left", "tail", "active", "cached")),
        ("adapters", "i8"),  # different adapters of the requests under way
    ],
    align=True,
)
ADAPTER_STATE = np.dtype([("taken", "f8"), ("users", "i4"), ("slot", "i4"), ("kept", "i4")], align=True)
"""Records of a request's load, a request's state, a replica's state and adapters on a replica.

Of an adapter: ``users``, requests under way that use it, and its ``slot`` (-1: not on the chip). Of a slot: the adapter
``kept`` there (-1: none) and when it was last ``taken`` up.
"""


class Load(NamedTuple):
    """The requests (REQUEST_LOAD) and the prefix-cache blocks of their prompts."""

    of: Any
    blocks: Int32s


class State(NamedTuple):
    """All that changes: replicas ``on``, requests ``of``, rings (r, bucket), queues (r, priority), cache lists."""

    on: Any
    of: Any
    ring: Int32s
    queue_head: Int32s
    queue_tail: Int32s
    lru_next: Int32s
    lru_prev: Int32s
    lru_ends: Int32s
    counters: Floats  # steps, prefill tokens, decode tokens, busy s, next client, next watch, turn, loads, replica s
    bins: Floats  # (bin, [width, s, batch·s, kv·s, waiting·s, tokens])
    downs: Floats  # (failure, [replica, from, to])
    scratch: Ints
    adapters: Any  # ADAPTER_STATE (r, adapter or slot)


@inlined
def step_time(
    costs: Costs, tokens: int, kv: float, sequences: int, fresh: int, cross: float
) -> float:  # pragma: no cover
    """Return the time of a step (s): a look-up on its tokens plus attention over cached and over new tokens."""
    last = costs.slot.size - 1
    at = int(costs.slot[min(tokens, last)])
    lo, hi = costs.tokens[at], costs.tokens[at + 1]
    base = costs.linear[at] + (costs.linear[at + 1] - costs.linear[at]) * (tokens - lo) / (hi - lo)
    spent: float = base + costs.host_s + kv * costs.kv_s + sequences * costs.sequence_s
    spent += fresh * costs.prompt_s + cross * costs.prefill_s
    return spent


@inlined
def adapter_time(costs: Costs, tokens: int, adapters: int) -> float:  # pragma: no cover
    """Return what a step of ``tokens`` with so many different adapters takes beyond the base model (s)."""
    if adapters == 0:
        return 0.0
    return costs.adapter_s + adapters * costs.adapter_each_s + tokens * costs.adapter_token_s


@compiled
def push(s: State, load: Load, r: int, i: int) -> None:  # pragma: no cover
    """Append request ``i`` to the queue of replica ``r`` at its priority."""
    p = load.of[i].priority
    s.of[i].queue_next = NONE
    if s.queue_head[r, p] == NONE:
        s.queue_head[r, p] = i
    else:
        s.of[s.queue_tail[r, p]].queue_next = i
    s.queue_tail[r, p] = i
    s.on[r].waiting += 1
    s.of[i].replica = r


@compiled
def push_front(s: State, load: Load, r: int, i: int) -> None:  # pragma: no cover
    """Put a preempted request back at the head of its queue."""
    p = load.of[i].priority
    s.of[i].queue_next = s.queue_head[r, p]
    s.queue_head[r, p] = i
    if s.of[i].queue_next == NONE:
        s.queue_tail[r, p] = i
    s.on[r].waiting += 1


@inlined
def peek(s: State, r: int) -> int:  # pragma: no cover
    """Return the next waiting request of replica ``r`` by priority, or NONE."""
    for p in range(s.queue_head.shape[1]):
        if s.queue_head[r, p] != NONE:
            return int(s.queue_head[r, p])
    return NONE


@inlined
def pop(s: State, load: Load, r: int, i: int) -> None:  # pragma: no cover
    """Take request ``i``, the head of its queue, out of it."""
    p = load.of[i].priority
    s.queue_head[r, p] = s.of[i].queue_next
    if s.queue_head[r, p] == NONE:
        s.queue_tail[r, p] = NONE
    s.on[r].waiting -= 1


@inlined
def pop_after(s: State, load: Load, r: int, i: int, before: int) -> None:  # pragma: no cover
    """Take request ``i`` out of its queue, where it stands behind ``before`` (NONE: at the head)."""
    if before == NONE:
        pop(s, load, r, i)
        return
    s.of[before].queue_next = s.of[i].queue_next
    if s.of[i].queue_next == NONE:
        s.queue_tail[r, load.of[i].priority] = before
    s.on[r].waiting -= 1


@compiled
def lru_unlink(s: State, r: int, b: int) -> None:  # pragma: no cover
    """Take block ``b`` out of the cache list of replica ``r``."""
    n, p = s.lru_next[r, b], s.lru_prev[r, b]
    if p >= 0:
        s.lru_next[r, p] = n
    else:
        s.lru_ends[r, 0] = n
    if n >= 0:
        s.lru_prev[r, n] = p
    else:
        s.lru_ends[r, 1] = p
    s.lru_prev[r, b] = -2
    s.on[r].cached -= 1


@compiled
def lru_touch(s: State, r: int, b: int) -> None:  # pragma: no cover
    """Put block ``b`` at the fresh end of the cache list of replica ``r``."""
    if s.lru_prev[r, b] != -2:
        lru_unlink(s, r, b)
    head = s.lru_ends[r, 0]
    s.lru_next[r, b] = head
    s.lru_prev[r, b] = NONE
    if head >= 0:
        s.lru_prev[r, head] = b
    else:
        s.lru_ends[r, 1] = b
    s.lru_ends[r, 0] = b
    s.on[r].cached += 1


@compiled
def cached_tokens(s: State, load: Load, policy: Policy, r: int, i: int) -> int:  # pragma: no cover
    """Return how many leading tokens of prompt ``i`` are in the cache of ``r`` (never the whole prompt)."""
    n = 0
    for k in range(load.of[i].first, load.of[i].last):
        if s.lru_prev[r, load.blocks[k]] == -2:
            break
        n += policy.cache_block
    return int(min(n, load.of[i].prompt - 1))


@compiled
def shrink_cache(s: State, policy: Policy, r: int) -> None:  # pragma: no cover
    """Evict the stalest cached blocks until live and cached tokens fit together."""
    while s.on[r].cached > 0 and s.on[r].kv + s.on[r].cached * policy.cache_block > policy.capacity:
        lru_unlink(s, r, s.lru_ends[r, 1])


@inlined
def enter_decode(s: State, load: Load, r: int, i: int) -> None:  # pragma: no cover
    """Start decoding ``i``: into the ring bucket of the step at which it ends, and on the running list."""
    mask = s.ring.shape[1] - 1
    s.of[i].start_tick = s.on[r].tick
    s.of[i].end_tick = s.on[r].tick + s.of[i].left_steps
    b = s.of[i].end_tick & mask
    head = s.ring[r, b]
    s.of[i].bucket_next = head
    s.of[i].bucket_prev = NONE
    if head >= 0:
        s.of[head].bucket_prev = i
    s.ring[r, b] = i
    s.of[i].run_prev = s.on[r].tail
    s.of[i].run_next = NONE
    if s.on[r].tail >= 0:
        s.of[s.on[r].tail].run_next = i
    s.on[r].tail = i
    s.on[r].running += 1
    s.on[r].growth += load.of[i].per_step


@inlined
def leave_decode(s: State, load: Load, r: int, i: int) -> None:  # pragma: no cover
    """Take ``i`` out of its ring bucket, the running list and the KV cache."""
    b = s.of[i].end_tick & (s.ring.shape[1] - 1)
    n, p = s.of[i].bucket_next, s.of[i].bucket_prev
    if p >= 0:
        s.of[p].bucket_next = n
    else:
        s.ring[r, b] = n
    if n >= 0:
        s.of[n].bucket_prev = p
    n, p = s.of[i].run_next, s.of[i].run_prev
    if p >= 0:
        s.of[p].run_next = n
    if n >= 0:
        s.of[n].run_prev = p
    else:
        s.on[r].tail = p
    s.on[r].running -= 1
    s.on[r].growth -= load.of[i].per_step
    s.on[r].kv -= s.of[i].context + (s.on[r].tick - s.of[i].start_tick) * load.of[i].per_step

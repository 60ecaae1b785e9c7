"""Slots for adapters (LoRA) in the simulator: who may start, what is loaded, what is put out."""

from __future__ import annotations

from suanli.serving._kernel import NONE, Costs, Load, Policy, State, compiled

LOADS = 7  # counter of adapters loaded
_LOOKED_AT = 128  # waiting requests looked through for one whose adapter can be had


@compiled
def can_have(s: State, load: Load, policy: Policy, r: int, i: int) -> bool:  # pragma: no cover
    """Say whether the adapter of request ``i`` is on replica ``r`` or a slot can be freed for it."""
    if policy.slots == 0 or load.of[i].adapter < 0 or s.adapters[r, load.of[i].adapter].slot >= 0:
        return True
    for k in range(policy.slots):
        a = s.adapters[r, k].kept
        if a < 0 or s.adapters[r, a].users == 0:
            return True
    return False


@compiled
def next_waiting(s: State, load: Load, policy: Policy, r: int) -> tuple[int, int]:  # pragma: no cover
    """Return (request, the one before it in its queue) that may start next by priority, NONE where none may.

    A request whose adapter finds no slot lets later ones pass, as vLLM's scheduler does.
    """
    looked = 0
    for p in range(s.queue_head.shape[1]):
        before, i = NONE, int(s.queue_head[r, p])
        while i != NONE and looked < _LOOKED_AT:
            if can_have(s, load, policy, r, i):
                return i, before
            before, i = i, int(s.of[i].queue_next)
            looked += 1
    return NONE, NONE


@compiled
def take_adapter(s: State, costs: Costs, load: Load, policy: Policy, r: int, i: int) -> None:  # pragma: no cover
    """Mark the adapter of ``i`` as used on ``r``; where it is missing, load it in place of the one idle longest."""
    if policy.slots == 0 or load.of[i].adapter < 0:
        return
    a = load.of[i].adapter
    k = s.adapters[r, a].slot
    if k < 0:
        oldest = 0.0
        for slot in range(policy.slots):
            other = s.adapters[r, slot].kept
            if other < 0:
                k = slot
                break
            if s.adapters[r, other].users == 0 and (k < 0 or s.adapters[r, slot].taken < oldest):
                k, oldest = slot, s.adapters[r, slot].taken
        if s.adapters[r, k].kept >= 0:
            s.adapters[r, s.adapters[r, k].kept].slot = NONE
        s.adapters[r, k].kept = a
        s.adapters[r, a].slot = k
        s.on[r].loading += costs.adapter_load_s
        s.counters[LOADS] += 1
    s.adapters[r, k].taken = s.on[r].clock
    s.adapters[r, a].users += 1
    if s.adapters[r, a].users == 1:
        s.on[r].adapters += 1


@compiled
def give_adapter_back(s: State, load: Load, policy: Policy, r: int, i: int) -> None:  # pragma: no cover
    """Mark that ``i`` no longer uses its adapter on ``r``; it stays until another needs its slot."""
    if policy.slots == 0 or load.of[i].adapter < 0:
        return
    a = load.of[i].adapter
    s.adapters[r, a].users -= 1
    if s.adapters[r, a].users == 0:
        s.on[r].adapters -= 1

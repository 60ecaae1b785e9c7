"""Simulation of a service, request by request: the load's side, the state, the run and what it tells."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InfeasibleError, InputError
from suanli.serving._adapters import Bank
from suanli.serving._arrivals import Requests
from suanli.serving._schedulers import Scheduler
from suanli.serving._steady import GRID, Lanes

if TYPE_CHECKING:
    import polars as pl

    from suanli.serving._kernel import Costs, Load, Policy, State

Array = NDArray[np.float64]

SLICE = 50_000
"""Arrivals between two reports of progress."""

_BINS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Replica ``replica`` is lost from ``start_s`` to ``end_s``."""

    replica: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """Start a replica above ``high`` outstanding requests a replica, drain one below ``low``; looked at every period.

    ``start_s`` passes from the decision to a new replica's first request; ``minimum`` replicas always run.
    """

    high: float
    low: float
    period_s: float = 10.0
    start_s: float = 120.0
    minimum: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a simulation saw. Times in s from a request's arrival; ``timeline`` has a row a time bin.

    ``requests``: arrival_s, ttft_s, tpot_s, latency_s, input_tokens, output_tokens, hit_tokens, preemptions, replica.
    """

    requests: pl.DataFrame
    timeline: pl.DataFrame
    steps: int
    busy_s: float
    span_s: float
    replicas: int
    totals: dict[str, float] = field(default_factory=dict)

    def quantiles(self, column: str, at: Sequence[float] = (0.5, 0.9, 0.99)) -> tuple[float, ...]:
        """Return quantiles of a column of ``requests`` (NaN where it has no value)."""
        values = self.requests[column].to_numpy()
        return tuple(float(v) for v in np.nanquantile(values, list(at))) if values.size else ()

    def goodput(self, *, ttft_s: float | None = None, tpot_s: float | None = None) -> float:
        """Return requests/s that met both limits."""
        met = np.ones(self.requests.height, dtype=bool)
        for column, limit in (("ttft_s", ttft_s), ("tpot_s", tpot_s)):
            if limit is not None:
                met &= np.nan_to_num(self.requests[column].to_numpy(), nan=0.0) <= limit
        return float(met.sum() / self.span_s) if self.span_s > 0 else 0.0


def simulate(
    lanes: Lanes,
    requests: Requests,
    *,
    scheduler: Scheduler,
    replicas: int = 1,
    routing: str = "least_loaded",
    clients: int = 0,
    accepted: float = 1.0,
    failures: Sequence[Failure] = (),
    scaling: Scaling | None = None,
    filled: bool = False,
    bank: Bank | None = None,
    schedule: Sequence[tuple[float, int]] = (),
    group: int = 1,
    experts: Array | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Replay:
    """Return the run of ``requests`` over ``replicas`` of a lane (``lanes`` holds one), deterministic by ``seed``.

    ``routing`` is round_robin, least_loaded or cache_aware; ``clients`` > 0 makes a closed loop of so many a replica
    (arrival times are then ignored); ``accepted`` is the mean number of tokens a decode step yields (speculative
    decoding); ``filled`` marks a decode pool whose caches arrive filled (``simulate_pools`` couples it to the other);
    ``bank`` is what the adapters of ``requests`` cost; ``schedule`` gives the replicas that take requests from a time
    on, in order of time. ``group`` replicas at a time are attention ranks that share experts: a step takes as long as
    the busiest of them needs, and ``experts`` is the part of the lane's ``linear`` that they do together (s).
    ``progress`` is told (done, all).
    Raises InputError for a bad option and InfeasibleError where a request can never fit the cache.
    """
    from suanli.serving import _engine

    _check(lanes, requests, scheduler, replicas, accepted)
    if any(not 1 <= up <= replicas for _, up in schedule):
        raise InputError(f"schedule: between 1 and {replicas} replicas take requests at any time")
    load = load_of(requests, accepted, seed, closed=clients > 0)
    policy = policy_of(lanes, scheduler, requests, replicas, routing=routing, clients=clients, scaling=scaling)
    policy = policy._replace(has_prompt=not filled, slots=_slots(bank, requests, filled))
    costs = costs_of(lanes, bank)
    state = state_of(load, policy, replicas, scaling, failures)
    n = len(requests.arrival_s)
    if group > 1:
        if failures or scaling or schedule:
            raise InputError("ranks that step together are simulated without failures, scaling or a schedule")
        _run_groups(state, costs, policy, load, group, experts, progress)
        return replay_of(state, load, requests, replicas)
    if clients > 0:
        first = min(n, clients * replicas)
        state.counters[_engine.NEXT] = first
        _engine.run_slice(state, costs, policy, load, 0, first)
    else:
        for lo, hi, up in _slices(load.of["arrival"], schedule):
            if up is not None:
                _set_active(state, up, float(load.of["arrival"][lo]) if lo < n else 0.0)
            _engine.run_slice(state, costs, policy, load, lo, hi)
            if progress is not None:
                progress(hi, n)
    _engine.drain(state, costs, policy, load)
    if filled:
        state.of["first_token"] = load.of["arrival"]
    return replay_of(state, load, requests, replicas, period_s=policy.watch_s)


def _run_groups(
    state: State,
    costs: Costs,
    policy: Policy,
    load: Load,
    group: int,
    experts: Array | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Run replicas in groups that step together. Raises InputError where the groups don't come out even."""
    from suanli.serving import _engine, _lockstep

    n = load.of.size
    if state.on.size % group:
        raise InputError(f"{state.on.size} replicas do not divide into groups of {group}")
    shared = np.zeros(GRID.size) if experts is None else np.asarray(experts, dtype=np.float64)
    alone = costs._replace(linear=costs.linear - shared)
    done = np.zeros((group, 3 + state.scratch.size))
    if policy.closed_clients > 0:
        first = min(n, policy.closed_clients)
        state.counters[_engine.NEXT] = first
        _lockstep.run_groups(state, alone, shared, policy, load, done, group, 0, first)
        return
    for lo in range(0, n, SLICE):
        hi = min(n, lo + SLICE)
        _lockstep.run_groups(state, alone, shared, policy, load, done, group, lo, hi)
        if progress is not None:
            progress(hi, n)


def _slices(arrival: Array, schedule: Sequence[tuple[float, int]]) -> list[tuple[int, int, int | None]]:
    """Return (first, last, replicas from then on or None) of the parts of a load between reports and changes."""
    n = len(arrival)
    changes = {int(np.searchsorted(arrival, time)): up for time, up in schedule}
    edges = sorted({*range(0, n, SLICE), *(k for k in changes if k < n), n})
    return [(lo, hi, changes.get(lo)) for lo, hi in itertools.pairwise(edges)]


def _set_active(state: State, up: int, now: float) -> None:
    """Let the first ``up`` replicas take requests from ``now`` on; others finish what they have."""
    number = np.arange(state.on.size)
    fresh = (number < up) & (state.on["active"] == 0)
    state.on["clock"][fresh] = np.maximum(state.on["clock"][fresh], now)
    state.on["active"] = number < up


def _check(lanes: Lanes, requests: Requests, scheduler: Scheduler, replicas: int, accepted: float) -> None:
    if len(lanes.host_s) != 1:
        raise InputError(f"simulate takes one lane, got {len(lanes.host_s)}")
    if replicas < 1:
        raise InputError(f"replicas is {replicas}; at least 1")
    if accepted < 1.0:
        raise InputError(f"accepted is {accepted}; a decode step yields at least one token")
    if len(requests.arrival_s) == 0:
        raise InputError("no requests to simulate")
    longest = int((requests.input_tokens + requests.output_tokens).max())
    capacity = float(lanes.capacity[0])
    if longest > capacity:
        raise InfeasibleError(
            f"a request of {longest:,} tokens never fits the KV cache of {capacity:,.0f} tokens"
            f" ({scheduler.name}); use more chips, fewer layers a chip or a smaller KV format"
        )


def load_of(requests: Requests, accepted: float, seed: int, *, closed: bool) -> Load:
    """Return the kernel's side of a load: decode steps of each request at its own rate of acceptance."""
    from suanli.serving._kernel import REQUEST_LOAD, Load

    n = len(requests.arrival_s)
    after = np.maximum(requests.output_tokens - 1, 0)
    per_step = np.ones(n)
    if accepted > 1.0:  # a request's acceptance varies around the mean: draws of a beta-like spread of 10 %
        draw = np.random.default_rng(seed).normal(accepted, 0.1 * (accepted - 1.0), n)
        per_step = np.maximum(draw, 1.0)
    steps = np.ceil(after / per_step).astype(np.int32)
    per_step = np.where(steps > 0, after / np.maximum(steps, 1), 1.0)
    of = np.zeros(n, dtype=REQUEST_LOAD)
    of["arrival"] = 0.0 if closed else requests.arrival_s
    of["per_step"], of["steps"] = per_step, steps
    of["prompt"], of["priority"] = requests.input_tokens, requests.priority
    of["adapter"] = requests.adapter if requests.adapter is not None else -1
    if requests.first is not None:
        of["first"], of["last"] = requests.first[:-1], requests.first[1:]
    blocks = requests.blocks if requests.blocks is not None else np.zeros(0, dtype=np.int32)
    return Load(of=of, blocks=blocks.astype(np.int32))


_ROUTINGS = {"round_robin": 0, "least_loaded": 1, "cache_aware": 2}


def policy_of(
    lanes: Lanes,
    scheduler: Scheduler,
    requests: Requests,
    replicas: int,
    *,
    routing: str,
    clients: int = 0,
    scaling: Scaling | None = None,
) -> Policy:
    """Return what the scheduler of a lane may do, as the kernel takes it. Raises InputError for an unknown routing."""
    from suanli.serving._kernel import Policy

    if routing not in _ROUTINGS:
        raise InputError(f"routing '{routing}' is unknown; allowed: {', '.join(_ROUTINGS)}")
    return Policy(
        budget=int(lanes.budget[0]),
        max_running=int(lanes.seats[0]),
        capacity=int(lanes.capacity[0]),
        mixes=bool(lanes.mixes[0]),
        chunks=scheduler.chunks,
        reserves=scheduler.reserves,
        verify=int(lanes.verify[0]),
        closed_clients=clients * replicas,
        routing=_ROUTINGS[routing],
        has_prompt=True,
        cache_block=requests.block_tokens,
        watch_s=float(scaling.period_s) if scaling else 0.0,  # whole numbers would be compiled for anew
        scale_high=float(scaling.high) if scaling else 0.0,
        scale_low=float(scaling.low) if scaling else 0.0,
        start_s=float(scaling.start_s) if scaling else 0.0,
        min_replicas=scaling.minimum if scaling else replicas,
        slots=0,
    )


def _slots(bank: Bank | None, requests: Requests, filled: bool) -> int:
    """Return the slots for adapters, 0 without. Raises InputError where adapters and their costs do not go together."""
    if (bank is None) != (requests.adapter is None):
        raise InputError("requests with adapters need a bank, and a bank needs requests with adapters")
    if bank is None:
        return 0
    if filled:
        raise InputError("adapters are simulated where prompts are computed; a filled pool has none")
    return bank.slots


def costs_of(lanes: Lanes, bank: Bank | None = None) -> Costs:
    """Return the step times of the one lane in ``lanes``, and of its adapters, as the kernel takes them."""
    from suanli.serving._kernel import Costs

    slot = np.clip(np.floor(np.log2(np.maximum(np.arange(int(GRID[-1]) + 1), 1))), 0, GRID.size - 2)
    return Costs(
        tokens=GRID.copy(),
        linear=lanes.linear[0].astype(np.float64).copy(),
        slot=slot.astype(np.int64),
        kv_s=float(lanes.kv_s[0]),
        sequence_s=float(lanes.sequence_s[0]),
        prompt_s=float(lanes.prompt_s[0]),
        prefill_s=float(lanes.cross_s[0]),
        host_s=float(lanes.host_s[0]),
        adapter_s=bank.step_s if bank else 0.0,
        adapter_each_s=bank.each_s if bank else 0.0,
        adapter_token_s=bank.token_s if bank else 0.0,
        adapter_load_s=bank.load_s if bank else 0.0,
    )


def state_of(
    load: Load, policy: Policy, replicas: int, scaling: Scaling | None = None, failures: Sequence[Failure] = ()
) -> State:
    """Return the state of a run before its first event."""
    from suanli.serving._kernel import ADAPTER_STATE, NONE, REPLICA_STATE, REQUEST_STATE, State

    n, r = load.of.size, replicas
    ring = 1 << int(np.ceil(np.log2(int(load.of["steps"].max()) + 2)))
    levels = int(load.of["priority"].max()) + 1
    cached = int(load.blocks.max()) + 1 if load.blocks.size else 1
    tenants = max(1, int(load.of["adapter"].max()) + 1)
    adapters = np.zeros((r, max(tenants, policy.slots)), dtype=ADAPTER_STATE)
    adapters["slot"] = adapters["kept"] = NONE

    def links(*shape: int, value: int = NONE) -> Any:
        return np.full(shape, value, dtype=np.int32)

    on = np.zeros(r, dtype=REPLICA_STATE)
    on["current"] = on["tail"] = NONE
    on["active"] = np.arange(r) < (scaling.minimum if scaling else r)
    of = np.zeros(n, dtype=REQUEST_STATE)
    for name in ("queue_next", "bucket_next", "bucket_prev", "run_next", "run_prev"):
        of[name] = NONE
    of["context"], of["left_steps"] = load.of["prompt"], load.of["steps"]
    of["first_token"] = of["finish"] = np.nan
    span = float(load.of["arrival"].max())
    bins = np.zeros((_BINS, 6))
    bins[:, 0] = max(span, 1.0) * 1.05 / _BINS
    counters = np.zeros(9)
    counters[5] = policy.watch_s
    return State(
        on=on,
        of=of,
        ring=links(r, ring),
        queue_head=links(r, levels),
        queue_tail=links(r, levels),
        lru_next=links(r, cached),
        lru_prev=links(r, cached, value=-2),
        lru_ends=links(r, 2),
        counters=counters,
        bins=bins,
        downs=np.array([[f.replica, f.start_s, f.end_s] for f in failures], dtype=np.float64).reshape(-1, 3),
        scratch=np.zeros(min(n, policy.max_running) + 1, dtype=np.int64),
        adapters=adapters,
    )


def _provisioned(state: State, replicas: int, span: float, end: float, period_s: float) -> float:
    """Return the s that replicas were on, starting up included, over all of them."""
    if period_s <= 0.0:
        return replicas * span
    since = max(0.0, end - (float(state.counters[5]) - period_s))
    return float(state.counters[8]) + since * float(state.on["active"].sum())


def time_line(bins: Array, replicas: int, pool: str) -> pl.DataFrame:
    """Return the time line of a pool of replicas: share of time busy, means of batch, cache and queue while busy."""
    import polars as pl

    busy = np.maximum(bins[:, 1], 1e-12)
    return pl.DataFrame(
        {
            "time_s": (np.arange(len(bins)) + 0.5) * bins[:, 0],
            "busy": bins[:, 1] / bins[:, 0] / replicas,
            "batch": bins[:, 2] / busy,
            "kv_tokens": bins[:, 3] / busy,
            "waiting": bins[:, 4] / busy,
            "output_tokens_per_s": bins[:, 5] / bins[:, 0],
            "pool": pool,
        }
    ).filter(pl.Series(bins[:, 1] > 0))


def replay_of(state: State, load: Load, requests: Requests, replicas: int, *, period_s: float = 0.0) -> Replay:
    """Return what a finished run saw; ``period_s`` is the autoscaler's."""
    import polars as pl

    answer = requests.output_tokens
    arrival, first, finish = load.of["arrival"], state.of["first_token"], state.of["finish"]
    with np.errstate(invalid="ignore", divide="ignore"):
        tpot = np.where(answer > 1, (finish - first) / (answer - 1), np.nan)
    frame = pl.DataFrame(
        {
            "arrival_s": arrival,
            "ttft_s": first - arrival,
            "tpot_s": tpot,
            "latency_s": finish - arrival,
            "input_tokens": requests.input_tokens,
            "output_tokens": answer,
            "hit_tokens": state.of["hit"],
            "preemptions": state.of["preempted"],
            "replica": state.of["replica"],
        }
    )
    span = float(np.nanmax(finish) - np.nanmin(arrival))
    return Replay(
        requests=frame,
        timeline=time_line(state.bins, replicas, "all"),
        steps=int(state.counters[0]),
        busy_s=float(state.counters[3]),
        span_s=span,
        replicas=replicas,
        totals={
            "prefill_tokens": float(state.counters[1]),
            "decode_tokens": float(state.counters[2]),
            "output_tokens": float(answer.sum()),
            "output_tokens_per_s": float(answer.sum()) / span if span > 0 else 0.0,
            "requests_per_s": len(answer) / span if span > 0 else 0.0,
            "adapter_loads": float(state.counters[7]),
            "replica_s": _provisioned(state, replicas, span, float(np.nanmax(finish)), period_s),
        },
    )

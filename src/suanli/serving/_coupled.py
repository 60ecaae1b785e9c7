"""Simulation of a disaggregated service: prefill pool, transfer of caches over the fabric, decode pool, in one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from suanli.errors import InfeasibleError, InputError
from suanli.serving._arrivals import Requests
from suanli.serving._schedulers import Scheduler
from suanli.serving._simulate import SLICE, Replay, costs_of, load_of, policy_of, replay_of, state_of, time_line
from suanli.serving._steady import Lanes

if TYPE_CHECKING:
    from suanli.serving._handover import Handover
    from suanli.serving._kernel import Load, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What carries a cache from prefill to decode: ``token_bytes`` over ``bandwidth`` (B/s) of a replica's cards.

    ``sequence_bytes`` go along whatever the length (recurrent state), ``latency_s`` is the set-up of a transfer, and
    ``core`` (B/s) is what all transfers together may use of the fabric.
    """

    token_bytes: float
    bandwidth: float
    sequence_bytes: float = 0.0
    latency_s: float = 0.0
    core: float = float("inf")

    def seconds(self, tokens: float) -> float:
        """Return the s that the cache of ``tokens`` takes on an idle fabric."""
        return self.latency_s + (self.sequence_bytes + tokens * self.token_bytes) / self.bandwidth


def simulate_pools(
    prefill: Lanes,
    decode: Lanes,
    requests: Requests,
    *,
    scheduler: Scheduler,
    replicas: tuple[int, int],
    link: Link,
    routing: str = "least_loaded",
    accepted: float = 1.0,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Replay:
    """Return the run of ``requests`` over (prefill, decode) ``replicas`` of two lanes coupled by ``link``.

    A request's first token reaches it when its cache has arrived at a decode replica. Columns of ``requests`` beside
    those of ``simulate``: prefill_s (arrival to the end of its prompt), handover_s (from there until its cache has
    landed, waiting for room and for the links included) and prefill_replica. ``totals`` has transfers, held_back
    (those that waited for room in the decode pool), moved_bytes and link_share (of time, of the busier pool's links).
    Raises InputError for bad options and InfeasibleError where a request can never fit one of the pools.
    """
    from suanli.serving import _handover

    _check(prefill, decode, requests, replicas, link, accepted)
    load = load_of(requests, accepted, seed, closed=False)
    fill = replace(scheduler, reserves=False)
    policies = (
        policy_of(prefill, fill, requests, replicas[0], routing=routing),
        policy_of(decode, scheduler, requests, replicas[1], routing=routing)._replace(has_prompt=False),
    )
    seats = max(p.max_running for p in policies)
    state = state_of(load, policies[0]._replace(max_running=seats), sum(replicas))
    moves = _moves(state, load, replicas[0], link)
    n = load.of.size
    for stop in (*range(SLICE, n, SLICE), n + 1):
        _handover.run_pools(state, moves, (costs_of(prefill), costs_of(decode)), policies, load, stop)
        if progress is not None:
            progress(min(stop, n), n)
    return _seen(state, moves, load, requests, replicas, link)


def _check(
    prefill: Lanes, decode: Lanes, requests: Requests, replicas: tuple[int, int], link: Link, accepted: float
) -> None:
    if min(replicas) < 1:
        raise InputError(f"replicas is {replicas}; each pool has at least 1")
    if link.bandwidth <= 0 or link.core <= 0 or link.latency_s < 0:
        raise InputError("a link has a bandwidth above 0 and a latency of at least 0")
    if accepted < 1.0:
        raise InputError(f"accepted is {accepted}; a decode step yields at least one token")
    if len(requests.arrival_s) == 0:
        raise InputError("no requests to simulate")
    prompt = int(requests.input_tokens.max())
    whole = int((requests.input_tokens + requests.output_tokens).max())
    for name, lanes, longest in (("prefill", prefill, prompt), ("decode", decode, whole)):
        capacity = float(lanes.capacity[0])
        if longest > capacity:
            raise InfeasibleError(
                f"a request of {longest:,} tokens never fits the KV cache of {capacity:,.0f} tokens of a {name}"
                " replica; use more chips a copy or a smaller KV format"
            )


def _moves(state: State, load: Load, n_prefill: int, link: Link) -> Handover:
    """Return the empty transfers of a run."""
    from suanli.serving._handover import MOVES, PORTS, Handover
    from suanli.serving._kernel import NONE

    of = np.zeros(load.of.size, dtype=MOVES)
    of["next"] = of["home"] = NONE
    of["land"] = of["filled"] = np.nan
    on = np.zeros(state.on.size, dtype=PORTS)
    for name in ("done", "done_last", "out", "out_last"):
        on[name] = NONE
    return Handover(
        of=of,
        on=on,
        ends=np.array([NONE, NONE, 0, 0], dtype=np.int64),
        core=np.zeros(1),
        bins=state.bins.copy(),
        n_prefill=n_prefill,
        token_s=link.token_bytes / link.bandwidth,
        fixed_s=link.latency_s + link.sequence_bytes / link.bandwidth,
        core_token_s=link.token_bytes / link.core,
    )


def _seen(
    state: State, moves: Handover, load: Load, requests: Requests, replicas: tuple[int, int], link: Link
) -> Replay:
    import polars as pl

    seen = replay_of(state, load, requests, sum(replicas))
    filled, landed = moves.of["filled"], moves.of["land"]
    frame = seen.requests.with_columns(
        pl.Series("prefill_s", filled - load.of["arrival"]),
        pl.Series("handover_s", landed - filled),
        pl.Series("prefill_replica", moves.of["home"]),
    )
    line = pl.concat(
        [time_line(state.bins, replicas[0], "prefill"), time_line(moves.bins, replicas[1], "decode")], how="vertical"
    )
    moved = float(requests.input_tokens[requests.output_tokens > 1].sum())
    busy = moved * link.token_bytes / link.bandwidth / min(replicas)
    return replace(
        seen,
        requests=frame,
        timeline=line,
        totals=seen.totals
        | {
            "transfers": float(moves.ends[3]),
            "held_back": float(moves.ends[2]),
            "moved_bytes": moved * link.token_bytes + float(moves.ends[3]) * link.sequence_bytes,
            "link_share": busy / seen.span_s if seen.span_s > 0 else 0.0,
        },
    )

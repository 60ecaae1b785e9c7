"""Every split of chips over a prefill and a decode pool, in closed form, and what carries caches between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.kinds import Chip, Service
from suanli.serving._choice import Choice
from suanli.serving._coupled import Link
from suanli.serving._deploy import Deployment, cache_tokens, tabulate
from suanli.serving._layout import Layout
from suanli.serving._layouts import domain
from suanli.serving._schedulers import scheduler
from suanli.serving._slo import tail
from suanli.serving._steady import Lanes, decode_time, prefill_time, seats_of
from suanli.serving._tuning import factors, habits_of, lanes_of, sigma
from suanli.serving._variants import adapted, deploy, formats_for, varied

Array = NDArray[np.float64]

_BATCHES = np.unique(np.floor(2.0 ** np.arange(0.0, 12.0, 0.125)))
_LARGE = 1e9  # B, a message that only bandwidth decides


def pool_lanes(
    service: Service, chip: Chip, layouts: Sequence[Layout], framework: str, known: Mapping[str, Any]
) -> tuple[Lanes, Any, list[Deployment], Array]:
    """Return (lanes, habits, deployments, capacity) of the layouts that hold one request, prompts not mixed in."""
    formats = formats_for(service, chip)
    plan = replace(scheduler(framework, chip), mixes=False)
    deployments = [deploy(service, chip, one, formats, plan) for one in layouts]
    tables = varied(tabulate(deployments), [service] * len(deployments))
    length = service.input_tokens + service.output_tokens
    capacity = cache_tokens(tables, np.full(len(deployments), length))
    fits = np.flatnonzero(capacity >= length)
    tune = factors(known, [plan.name] * fits.size, [chip.family] * fits.size, [plan.release] * fits.size)
    kept = tables.pick(fits)
    lanes = adapted(lanes_of(kept, tune, capacity[fits]), kept, [service] * fits.size)
    return lanes, habits_of(tune), [deployments[i] for i in fits], capacity[fits]


def pairs(
    service: Service,
    chip: Chip,
    layouts: Sequence[Layout],
    n_chips: int,
    framework: str,
    known: Mapping[str, Any],
) -> list[Choice]:
    """Return the best split of the chips for every pair of prefill and decode layouts."""
    lanes, habits, deployments, _ = pool_lanes(service, chip, layouts, framework, known)
    n = len(deployments)
    if n == 0:
        return []
    whole = float(service.input_tokens)
    cached = whole * min(service.prefix_hit, 0.99)
    limits = [
        1e9 if limit is None else limit / tail(service.percentile, metric=metric)
        for metric, limit in (("ttft", service.ttft_s), ("tpot", service.tpot_s))
    ]
    hand_over = np.array(
        [link_of(service, chip, tp=(d.layout.tp,) * 2, n_chips=n_chips).seconds(whole) for d in deployments]
    )
    fill_rate, first = _prefill_rate(lanes, habits, whole - cached, cached, limits[0], hand_over)
    rate, step, batch = _decode_rate(lanes, service, limits[1])
    chips = np.array([d.layout.chips for d in deployments], dtype=np.float64)
    out = []
    for i in range(n):
        if not np.isfinite(fill_rate[i]):
            continue
        for j in range(n):
            if np.isfinite(rate[j]):
                split = _split(n_chips, chips[i], chips[j], fill_rate[i], rate[j])
                if split is not None:
                    load = min(split[0] * fill_rate[i], split[1] * rate[j])
                    out.append(
                        Choice(
                            layout=deployments[j].layout,
                            copies=split[1],
                            prefill=deployments[i].layout,
                            prefill_copies=split[0],
                            budget=deployments[i].scheduler.budget,
                            requests_per_s=load,
                            output_tokens_per_s=load * service.output_tokens,
                            ttft_s=float(first[i]),
                            tpot_s=float(step[j]),
                            running=float(batch[j]) * split[1],
                            sigma=sigma("output_rate", deployments[j]),
                            reason="",
                        )
                    )
    return out


def link_of(service: Service, chip: Chip, *, tp: tuple[int, int], n_chips: int) -> Link:
    """Return what carries a cache from a prefill rank of ``tp[0]`` chips to a decode rank of ``tp[1]``.

    Point to point as the fabric's law has it, over the scale-up links where they join all ``n_chips``, else over the
    network cards of the rank with fewer chips.
    """
    from suanli.fabric import collective_time, network_of
    from suanli.workloads import kv_bytes_per_sequence, state_bytes_per_sequence

    context = max(float(service.input_tokens), 1.0)
    formats = formats_for(service, chip)
    node = 2 if n_chips <= domain(chip) else 1
    small, large = collective_time(network_of(chip, 2, node), "p2p", np.array([1.0, _LARGE]), 2)
    return Link(
        token_bytes=float(kv_bytes_per_sequence(service.model, formats.kv, context)) / context,
        sequence_bytes=float(state_bytes_per_sequence(service.model)),
        bandwidth=min(tp) * _LARGE / float(large - small),
        latency_s=float(small),
    )


def _prefill_rate(
    lanes: Lanes, habits: Any, prompt: float, cached: float, limit: float, hand_over: Array
) -> tuple[Array, Array]:
    """Return (requests/s of a copy, TTFT): the load at which waiting for prefill (M/D/1) uses up the limit."""
    n = lanes.host_s.size
    work, alone = prefill_time(lanes, np.zeros(n), np.full(n, prompt), np.full(n, cached))
    spare = limit - alone - hand_over - habits.first_s
    busy = np.clip(2.0 * spare / (2.0 * spare + work), 0.0, 0.9)
    rate = np.where(spare > 0, busy * lanes.ranks / work, np.nan)
    wait = busy / (2.0 * (1.0 - busy)) * work
    return rate, alone + hand_over + habits.first_s + wait


def _decode_rate(lanes: Lanes, service: Service, limit: float) -> tuple[Array, Array, Array]:
    """Return (requests/s, step, requests running) of a decode copy at its greatest batch within the TPOT limit."""
    n, m = lanes.host_s.size, _BATCHES.size
    which = np.repeat(np.arange(n), m)
    wide = lanes.pick(which)
    context = service.input_tokens + 0.5 * service.output_tokens
    seats = seats_of(lanes, np.full(n, context))
    batch = np.minimum(np.tile(_BATCHES, n), seats[which])
    step = decode_time(wide, batch, np.full(n * m, context)) / wide.accepted
    good = (step <= limit) & (batch >= 1.0)
    rate = np.where(good, batch * wide.ranks / (step * max(service.output_tokens - 1.0, 1.0)), -np.inf)
    best = rate.reshape(n, m).argmax(axis=1) + np.arange(n) * m
    ok = np.isfinite(rate[best])
    return np.where(ok, rate[best], np.nan), step[best], batch[best] * lanes.ranks


def _split(n_chips: int, chips_a: float, chips_b: float, rate_a: float, rate_b: float) -> tuple[int, int] | None:
    """Return (prefill copies, decode copies) of the greatest rate on ``n_chips``, None where two pools don't fit."""
    most = int((n_chips - chips_b) // chips_a)
    if most < 1:
        return None
    a = np.arange(1, most + 1)
    b = ((n_chips - a * chips_a) // chips_b).astype(int)
    served = np.minimum(a * rate_a, b * rate_b)
    k = int(served.argmax())
    return int(a[k]), int(b[k])

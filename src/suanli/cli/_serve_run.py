"""Simulation for ``suanli serve``: the best layout under the asked load, at its rate and around it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from suanli.cli._serve_options import Asked, failures_of, prefix_of, scaling_of
from suanli.errors import InputError
from suanli.quantities import HOUR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from suanli.kinds import Chip, Service
    from suanli.serving import Choice, Replay, Requests

_SPREAD = 0.6  # log-standard deviation of lengths, between Azure's conversations and code
_RATES = (0.3, 0.5, 0.7, 0.85, 1.0, 1.15, 1.3)
_CURVE = 4_000  # requests at each rate of the goodput curve


def run(asked: Asked, service: Service, chip: Chip, best: Choice, trace: Requests | None, *, groups: int) -> Replay:
    """Return a simulation of the best layout, with progress on standard error.

    A trace is served by all ``groups`` of chips that it needs, anything else by one with its share of the load.
    """
    from rich.console import Console
    from rich.progress import Progress

    load = trace if trace is not None else _load(asked, service, best)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("simulating", total=len(load.arrival_s))
        return _simulated(
            asked,
            service,
            chip,
            best,
            _with_adapters(asked, service, load),
            groups=groups if trace is not None else 1,
            progress=lambda done, _: bar.update(task, completed=done),
        )


def _load(asked: Asked, service: Service, best: Choice) -> Requests:
    """Return the load of one group of chips: its share of the asked rate, or 80 % of what it serves."""
    from suanli.serving import rate_of

    rate = 0.8 * best.requests_per_s
    if service.rate:
        rate = service.rate / np.ceil(service.rate / best.requests_per_s)
    elif asked.rate is not None:
        rate = rate_of(asked.rate)
    n = asked.requests or int(min(100_000, max(2_000, 600 * rate)))
    return _drawn(asked, service, float(rate), n)


def _drawn(asked: Asked, service: Service, rate: float, n: int) -> Requests:
    """Return ``n`` requests at ``rate`` with the asked arrivals, lengths around the means and shared prefixes."""
    from suanli.serving import arrivals, requests

    shared, groups = prefix_of(asked.prefix)
    longest = 2.0 * (service.input_tokens + service.output_tokens)  # what the launch commands allow
    answers = _cut(service.output_tokens, 0.5 * longest, n, asked.seed + 2)
    prompts = _cut(service.input_tokens * (1.0 - service.prefix_hit), 0.5 * longest, n, asked.seed + 1)
    when = arrivals(asked.arrivals, rate=rate, n=n, seed=asked.seed)
    prompts = np.maximum(prompts, shared + 1)
    return requests(when, prompts, answers, shared_prefix=shared, groups=groups, seed=asked.seed)


def _cut(mean: float, most: float, n: int, seed: int) -> Any:
    """Return ``n`` log-normal lengths up to ``most`` whose mean is still ``mean``."""
    from suanli.serving import lengths

    if mean <= 1.0:
        return np.ones(n, dtype=np.int64)
    drawn = lengths(mean, n=n, seed=seed, spread=_SPREAD, law="lognormal").astype(np.float64)
    for _ in range(8):
        drawn = np.clip(drawn * (mean / drawn.mean()), 1.0, max(most, mean))
    return np.rint(drawn).astype(np.int64)


def _with_adapters(asked: Asked, service: Service, load: Requests) -> Requests:
    from suanli.serving import draw_adapters

    if service.adapters is None:
        return load
    return replace(load, adapter=draw_adapters(service.adapters, len(load.arrival_s), seed=asked.seed))


def _simulated(
    asked: Asked,
    service: Service,
    chip: Chip,
    best: Choice,
    load: Requests,
    *,
    groups: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Replay:
    """Return the run of ``load`` over ``groups`` of the best layout: one pool, or two coupled by their links."""
    from suanli.serving import scheduler, tokens_a_step

    how: dict[str, Any] = {
        "scheduler": scheduler(asked.framework, chip),
        "routing": asked.routing,
        "accepted": tokens_a_step(service.drafts, service.acceptance),
        "seed": asked.seed,
        "progress": progress,
    }
    if best.prefill is None:
        return _one_pool(asked, service, chip, best, load, groups=groups, how=how)
    if asked.autoscale or asked.fail or service.adapters is not None:
        raise InputError("--autoscale, --fail and --lora are simulated on one pool; add --pools one")
    return _two_pools(asked, service, chip, best, load, groups=groups, how=how)


def _one_pool(
    asked: Asked,
    service: Service,
    chip: Chip,
    best: Choice,
    load: Requests,
    *,
    groups: int,
    how: Mapping[str, Any],
) -> Replay:
    """Return the run over replicas that each do prefill and decode, with adapters, failures and scaling as asked."""
    from suanli.serving import bank_of, expert_times, simulate, step_lane

    kind = service.adapters
    together = best.layout.dp > 1 and asked.lockstep
    return simulate(
        step_lane(service, chip, best, framework=asked.framework),
        load,
        replicas=_lanes(best, groups),
        failures=failures_of(asked.fail),
        scaling=scaling_of(asked.autoscale),
        bank=bank_of(service.model, chip, best.layout, kind.rank, min(kind.slots, kind.count)) if kind else None,
        group=best.layout.dp if together else 1,
        experts=expert_times(service, chip, best, framework=asked.framework) if together else None,
        **how,
    )


def _two_pools(
    asked: Asked,
    service: Service,
    chip: Chip,
    best: Choice,
    load: Requests,
    *,
    groups: int,
    how: Mapping[str, Any],
) -> Replay:
    """Return the run over a pool for prefill and one for decode, which hand caches over by the link between them."""
    from suanli.serving import link_of, simulate_pools, step_lane

    assert best.prefill is not None
    return simulate_pools(
        step_lane(service, chip, best, framework=asked.framework, pool="prefill"),
        step_lane(service, chip, best, framework=asked.framework),
        load,
        replicas=(_prefill_lanes(best, groups), _lanes(best, groups)),
        link=link_of(service, chip, tp=(best.prefill.tp, best.layout.tp), n_chips=groups * best.n_chips),
        **how,
    )


def _lanes(best: Choice, groups: int) -> int:
    """Return how many batches run side by side over ``groups`` of a layout."""
    return groups * best.copies * best.layout.pp * best.layout.dp


def _prefill_lanes(best: Choice, groups: int) -> int:
    """Return how many of them a pool for prefill adds: none where there is one pool."""
    return groups * best.prefill_copies * best.prefill.pp * best.prefill.dp if best.prefill else 0


def replayed(replay: Replay, service: Service, best: Choice) -> dict[str, Any]:
    """Return what a simulation saw, for JSON."""
    known = ("ttft_s", "prefill_s", "handover_s", "tpot_s", "latency_s")
    seen = [c for c in known if c in replay.requests.columns]
    columns = [c for c in seen if replay.requests[c].drop_nans().len() > 0]
    prompts = float(replay.requests["input_tokens"].sum())
    lanes = _lanes(best, 1) + _prefill_lanes(best, 1)
    out: dict[str, Any] = {
        "requests": replay.requests.height,
        "span_s": replay.span_s,
        "requests_per_s": replay.totals["requests_per_s"],
        "output_tokens_per_s": replay.totals["output_tokens_per_s"],
        "goodput_requests_per_s": replay.goodput(ttft_s=service.ttft_s, tpot_s=service.tpot_s),
        **{c: dict(zip(("p50", "p90", "p99"), replay.quantiles(c), strict=True)) for c in columns},
        "preemptions": int(replay.requests["preemptions"].sum()),
        "hit_share": float(replay.requests["hit_tokens"].sum()) / max(prompts, 1.0),
        "adapter_loads": int(replay.totals["adapter_loads"]),
        "chip_hours": replay.totals["replica_s"] / HOUR * best.n_chips / lanes,
    }
    if "held_back" in replay.totals:
        out["held_back"] = int(replay.totals["held_back"])
        out["link_share"] = replay.totals["link_share"]
    return out


def goodput(asked: Asked, service: Service, chip: Chip, best: Choice) -> list[dict[str, float]]:
    """Return rows of (rate asked, rate served, rate within the limits), requests/s of the best layout, simulated."""
    rows = []
    for share in _RATES:
        rate = share * best.requests_per_s
        n = int(np.clip(12.0 * best.running, _CURVE, 10 * _CURVE))
        load = _with_adapters(asked, service, _drawn(asked, service, rate, n))
        seen = _simulated(replace(asked, autoscale=None, fail=None), service, chip, best, load)
        rows.append(
            {
                "asked": rate,
                "served": seen.totals["requests_per_s"],
                "good": seen.goodput(ttft_s=service.ttft_s, tpot_s=service.tpot_s),
            }
        )
    return rows

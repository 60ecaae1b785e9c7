"""How much of its closed-form rate a service holds within its limits when it is simulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InfeasibleError
from suanli.kinds import Service
from suanli.serving._adapters import draw_adapters
from suanli.serving._arrivals import Requests, arrivals, lengths, requests
from suanli.serving._capacity import Option
from suanli.serving._deploy import Deployment, cache_tokens, tabulate
from suanli.serving._other import other_lane
from suanli.serving._schedulers import Scheduler
from suanli.serving._simulate import Replay, simulate
from suanli.serving._steady import Lanes
from suanli.serving._tuning import factors, fitted_set, lanes_of
from suanli.serving._variants import adapted, bank_for, varied

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

SPREAD = 0.6
"""Log-standard deviation of lengths in simulated loads: between Azure's conversations (0.9) and code (0.4)."""

_ONE_AT_A_TIME = Scheduler(
    name="batch",
    mixes=False,
    chunks=False,
    reserves=False,
    budget=1,
    seats=1,
    memory_share=0.9,
    source="a step takes what waits, up to its batch",
)
_HALVINGS = 7
_POOLS = (1, 2, 4, 8)  # copies simulated together; larger groups hold at least as much each
_SPARE = 0.03  # of a limit and of the rate, so that another and longer draw of the load holds too
_LEAST, _MOST = 12_000, 60_000  # requests of one try: a queue that grows must show


def lane_of_option(option: Option, service: Service) -> tuple[Lanes, int]:
    """Return (lane, lanes a copy) of an option of the capacity table for simulation, one attention rank a lane."""
    if option.deployment is None:
        return other_lane(service, option.chip, option.layout.tp), 1
    one = option.deployment
    tables = varied(tabulate([one]), [service])
    capacity = cache_tokens(tables, np.array([service.input_tokens + 0.5 * service.output_tokens]))
    plan = one.scheduler
    lanes = lanes_of(tables, factors(fitted_set(), [plan.name], [option.chip.family], [plan.release]), capacity)
    lanes = adapted(lanes, tables, [service])
    lane = replace(lanes, seats=np.floor(lanes.seats / lanes.ranks), ranks=np.ones(1))
    return lane, option.layout.pp * option.layout.dp


def experts_of(deployment: Deployment, service: Service) -> Array:
    """Return the time of a deployment's experts on the grid (s), tuned as its lane is."""
    tables = varied(tabulate([deployment]), [service])
    only = tables.parts * np.array([0.0, 1.0, 0.0, 0.0])[None, :, None]
    plan = deployment.scheduler
    tune = factors(fitted_set(), [plan.name], [deployment.chip.family], [plan.release])
    out: Array = lanes_of(replace(tables, parts=only), tune, np.ones(1)).linear[0]
    return out


def sample(service: Service, *, rate: float, n: int, seed: int = 0, kind: str = "poisson") -> Requests:
    """Return a load of ``n`` requests of a service at ``rate``: lengths log-normal around its means, cut at 8 times."""
    when = arrivals(kind, rate=rate, n=n, seed=seed)
    if service.model.architecture != "transformer":
        return requests(when, np.ones(n, dtype=np.int64), np.ones(n, dtype=np.int64))
    prompt = service.input_tokens * (1.0 - service.prefix_hit)
    draw = partial(lengths, n=n, spread=SPREAD, law="lognormal")
    answer = draw(service.output_tokens, seed=seed + 2) if service.output_tokens > 1 else np.ones(n, dtype=np.int64)
    load = requests(
        when,
        np.minimum(draw(prompt, seed=seed + 1), int(8 * prompt) + 1),
        np.minimum(answer, int(8 * service.output_tokens) + 1),
    )
    if service.adapters is None:
        return load
    return replace(load, adapter=draw_adapters(service.adapters, n, seed=seed))


def run_option(option: Option, service: Service, load: Requests, *, copies: int, seed: int = 0) -> Replay:
    """Return the simulation of ``copies`` of an option under ``load``."""
    lane, lanes = lane_of_option(option, service)
    plan = option.deployment.scheduler if option.deployment else _ONE_AT_A_TIME
    accepted = option.deployment.accepted if option.deployment else 1.0
    bank = bank_for(service, option.deployment) if option.deployment else None
    return simulate(
        lane,
        load,
        scheduler=plan,
        replicas=copies * lanes,
        bank=bank,
        accepted=accepted,
        seed=seed,
    )


def holds(service: Service, seen: Replay, *, spare: float = 0.0) -> bool:
    """Say whether a run met a service's limits after its first tenth: the mean for a percentile of 0.5, else that.

    ``spare`` is the share of a limit that must be left.
    """
    kept = seen.requests.slice(seen.requests.height // 10)
    for column, limit in (("ttft_s", service.ttft_s), ("tpot_s", service.tpot_s), ("latency_s", service.latency_s)):
        values = kept[column].drop_nans().to_numpy()
        if limit is None or values.size == 0:
            continue
        level = values.mean() if service.percentile == 0.5 else np.quantile(values, service.percentile)
        if level > limit * (1.0 - spare):
            return False
    return True


def held_share(option: Option, service: Service, *, copies: int, seed: int = 0) -> float:
    """Return the greatest share of the option's closed-form rate that ``copies`` hold in simulation (0: none).

    Looked for between 0 and 1 by halving; each try has 20 times the requests in service, 12,000 to 60,000.
    """
    rate = option.requests_per_s * copies
    n = int(np.clip(20.0 * option.running * copies, _LEAST, _MOST))

    def good(share: float) -> bool:
        load = sample(service, rate=share * rate, n=n, seed=seed)
        return holds(service, run_option(option, service, load, copies=copies, seed=seed), spare=_SPARE)

    if good(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = 0.9 if high == 1.0 and low == 0.0 else 0.5 * (low + high)
        low, high = (middle, high) if good(middle) else (low, middle)
    return (1.0 - _SPARE) * low


def copies_of(rates: Array, option: Option, held: Mapping[int, float]) -> Ints:
    """Return the copies that carry ``rates``; ``held`` gives the share of its rate a copy holds in pools of a size."""
    if not held:
        return np.ceil(rates / option.requests_per_s - 1e-9).astype(np.int64)
    out = np.zeros(rates.size, dtype=np.int64)
    sizes = sorted(held)
    for k, size in enumerate(sizes):
        each = max(held[size], 1e-9) * option.requests_per_s
        most = (sizes[k + 1] - 1) if k + 1 < len(sizes) else np.inf
        need = np.maximum(np.ceil(rates / each - 1e-9), np.where(rates > 0, size, 0))
        out = np.where((out == 0) & (need <= most), need, out).astype(np.int64)
    return out


def held_by_pools(option: Option, service: Service, most: int, *, seed: int = 0) -> dict[int, float]:
    """Return the share of an option's rate that pools of 1, 2, 4 and 8 copies hold, up to ``most`` copies.

    Raises InfeasibleError where they hold no rate."""
    out: dict[int, float] = {}
    best = 0.0
    for size in _POOLS:
        if size > 1 and size > 1.5 * most + 1:
            break
        best = max(best, held_share(option, service, copies=size, seed=seed))
        out[size] = best
    if best <= 0.0:
        raise InfeasibleError(f"{service.model.name} on {option.chip.id} holds its limits at no rate in simulation")
    return {size: value for size, value in out.items() if value > 0.0}

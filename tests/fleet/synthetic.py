"""A made-up plan of any size: months x sites x chips x scenarios, budget-bound on purpose."""

from __future__ import annotations

from typing import Any

import numpy as np

from suanli.fleet._grid import Grid, Rates, pools_of
from suanli.fleet._lines import Line
from suanli.fleet._scenarios import Futures
from suanli.fleet._schema_offers import Offer
from suanli.fleet._schema_work import Service
from suanli.fleet.mathematics import Shares


def _offer(c: int, sites: list[str]) -> Offer:
    source = {"source": "made up"}
    return Offer.model_validate(
        {
            "id": f"chip{c}", "chip": f"chip{c}", "way": "buy", "supplier": f"maker{c % 3}", "sites": sites,
            "pot": "all", "prices": [{"since": "2024-01", "price": {"value": "USD 20 k/chip", **source}}],
            "ship_from": "US",
        }
    )  # fmt: skip


def service(name: str, region: str) -> Service:
    one = {"value": 1.0, "source": "made up"}
    return Service.model_validate(
        {
            "id": name, "name": name, "model": "any", "region": region, "peak": one,
            "demand": [{"month": "2024-01", "rate": {"value": "1 request/s", "source": "made up"}}],
            "unserved": {"value": "USD 1/request", "source": "made up"},
        }
    )  # fmt: skip


def made(t: int, s: int, c: int, w: int, *, seed: int = 1, regions: int = 3, slip: bool = False, **change: Any) -> Any:
    """Return (grid, rates, futures, shares) of ``t`` months, ``s`` sites, ``c`` chips and ``w`` scenarios."""
    rng = np.random.default_rng(seed)
    sites = [f"site{i}" for i in range(s)]
    region = [f"region{i % min(regions, s)}" for i in range(s)]
    offers = [_offer(i, sites) for i in range(c)]
    lines = tuple(
        Line(id=f"{o.id}@{x}", offer=o, stock=None, site=x, region=region[i], country="MY", owner="us", chip=o.chip,
             supplier=o.supplier, pot="all")
        for o in offers
        for i, x in enumerate(sites)
    )  # fmt: skip
    j = len(lines)
    chip = np.array([int(x.chip.removeprefix("chip")) for x in lines])
    months = tuple(f"{2024 + k // 12}-{k % 12 + 1:02d}" for k in range(t))
    year = np.arange(t) // 12
    lead, price = rng.integers(2, 7, c), rng.uniform(8, 40, c)
    speed = price * rng.uniform(0.6, 1.6, c) * 10.0
    power = rng.uniform(0.6, 1.6, c)
    services = tuple(service(f"load{r}", f"region{r}") for r in range(min(regions, s)))
    growth = 40.0 * s * 10.0 * np.exp(np.linspace(0.0, 2.0, t))
    demand = np.stack([growth * rng.uniform(0.7, 1.3) for _ in services])
    allowed = rng.random((c, t)) < 0.9
    curve = tuple(np.eye(int(lead[k]) + 1)[int(lead[k])] for k in chip)
    grid = Grid(
        months=months, start=0, years=tuple(int(y) for y in 2024 + np.unique(year)), year=year, lines=lines,
        pools=pools_of(lines), services=services, runs=(), sites=tuple(sites), pots=("all",),
        covers=(frozenset({"chips", "servers", "fabric", "sites"}),),
        budget=np.full((1, len(np.unique(year))), 60.0 * s), carry=(False,),
        discount=1.08 ** (-np.arange(t) / 12.0),
        price=np.repeat(price[chip][:, None], t, axis=1) * 0.99 ** np.arange(t),
        chip_price=np.repeat(price[chip][:, None], t, axis=1) * 0.99 ** np.arange(t),
        fabric_price=np.zeros((j, t)), rent=np.zeros((j, t)), curve=curve, stay=np.full(j, 60, dtype=np.int64),
        failures=np.full(j, 0.003), spares=np.full(j, 0.05), deposit=np.zeros(j), loss=np.full(j, 0.28),
        take_or_pay=np.ones(j), draw=power[chip], energy=np.full((j, t), 0.05), arrive=np.ones((j, t), dtype=bool),
        run=np.ones((j, t), dtype=bool), order=allowed[chip], given=np.zeros((j, t)), committed=(), demand=demand,
        mean=demand * 1.5, worth=np.full(len(services), 0.02), minimum=np.zeros(len(services)),
        run_tokens=np.zeros(0), run_window=(), run_cost=np.zeros(0), run_delay=np.zeros(0),
        power=np.full((s, t), 60.0) * (1.0 + np.arange(t) / 40.0), options=(), projects=(),
        project_of=np.full(j, -1, dtype=np.int64), wafers=np.zeros((j, t)), end_value=np.zeros(j),
        allocations=(), allotted=np.zeros((0, t)), parts=np.zeros((0, j)), supplier_cap={}, foundry_cap={},
        cvar=(0.0, 0.1),
    )  # fmt: skip
    for name, value in change.items():
        object.__setattr__(grid, name, value)
    serve = np.array([[speed[int(p.chip.removeprefix("chip"))] * (p.region == f"region{r}")
                       for r in range(len(services))] for p in grid.pools])  # fmt: skip
    shares = (Shares(name="third", pot=0, years=grid.years, lines=tuple(k for k in range(j) if chip[k] % 3 == 0),
                     minimum=0.3, price=None),)  # fmt: skip
    return grid, Rates(serve=serve, train={}), futures(grid, w, rng, slip=slip), shares


def futures(grid: Grid, n: int, rng: np.random.Generator, *, slip: bool = False) -> Futures:
    shape = (n, grid.J, grid.T)
    chips = sorted({x.chip for x in grid.lines})
    share = rng.beta(6, 2, (n, len(chips)))
    delivered = np.stack([share[:, chips.index(x.chip)] for x in grid.lines], axis=1)
    late = rng.integers(0, 4, (n, len(chips))) if slip else np.zeros((n, len(chips)), dtype=np.int64)
    return Futures(
        names=tuple(f"future {i}" for i in range(n)), probability=np.full(n, 1.0 / n), delivered=delivered,
        slip=np.stack([late[:, chips.index(x.chip)] for x in grid.lines], axis=1), open=np.ones(shape, dtype=bool),
        usable=np.ones(shape, dtype=bool), price=np.ones(shape),
        demand=np.repeat(rng.uniform(0.8, 1.25, (n, len(grid.services), 1)), grid.T, axis=2),
    )  # fmt: skip

"""The plan as a textbook writes it, in linopy: stock and use of every line in every scenario. The tests' oracle."""

from __future__ import annotations

from typing import Any

import numpy as np

from suanli.fleet._grid import Grid, Rates
from suanli.fleet._scenarios import Futures
from suanli.fleet.mathematics import Shares


def textbook(grid: Grid, rates: Rates, futures: Futures, shares: tuple[Shares, ...]) -> float:
    """Return the least expected cost in MUSD: orders shared by all scenarios, stock and use in each."""
    import linopy
    import xarray as xr

    T, J, S, W = grid.T, grid.J, futures.n, len(grid.services)
    t, j, s, w = (np.arange(n) for n in (T, J, S, W))
    m = linopy.Model()
    allowed = xr.DataArray(grid.order.astype(float), dims=("j", "t"), coords={"j": j, "t": t})
    buy = m.add_variables(0, allowed * 1e6, name="buy")
    cap = m.add_variables(0, coords=[s, j, t], dims=["s", "j", "t"], name="cap")
    use = m.add_variables(0, coords=[s, j, t], dims=["s", "j", "t"], name="use")
    short = m.add_variables(0, coords=[s, w, t], dims=["s", "w", "t"], name="short")

    axes = {"s": s, "j": j, "t": t, "w": w}

    def data(values: Any, *dims: str) -> Any:
        return xr.DataArray(np.asarray(values, dtype=float), dims=dims, coords={d: axes[d] for d in dims})

    arrive = np.zeros((S, J, T, T))
    for a in range(S):
        for b in range(J):
            lag = int(np.flatnonzero(grid.curve[b])[0]) + int(futures.slip[a, b])
            for o in range(T - lag):
                arrive[a, b, o + lag, o] = futures.delivered[a, b]
    for k in range(T):
        came = (data(arrive[:, :, k, :], "s", "j", "t") * buy).sum("t")
        before = cap.sel(t=k - 1) * data(1.0 - grid.failures, "j") if k else 0.0
        m.add_constraints(cap.sel(t=k) - before - came == 0, name=f"balance{k}")
    m.add_constraints(use - cap * data(1.0 - grid.spares, "j") <= 0, name="use")
    pool = {x: q for q, p in enumerate(grid.pools) for x in p.lines}
    speed = np.array([[rates.serve[pool[b], a] for b in range(J)] for a in range(W)])
    need = data(grid.demand[None] * futures.demand, "s", "w", "t")
    m.add_constraints((data(speed, "w", "j") * use).sum("j") + short >= need, name="demand")
    for i, site in enumerate(grid.sites):
        here = data([x.site == site for x in grid.lines], "j") * data(grid.draw, "j")
        m.add_constraints((here * cap).sum("j") <= data(np.tile(grid.power[i], (S, 1)), "s", "t"), name=f"power{i}")
    for y in range(len(grid.years)):
        year = data(grid.year == y, "t") * data(grid.price, "j", "t")
        m.add_constraints((year * buy).sum() <= grid.budget[0, y], name=f"money{y}")
        for share in shares:
            inside = data([b in share.lines for b in range(J)], "j") - share.minimum
            m.add_constraints((year * inside * buy).sum() >= 0, name=f"share{y}")
    cost = 0.0
    size = grid.mean / grid.demand * grid.worth[:, None] * grid.discount
    age = (T - 1 - t)[:, None]
    for a in range(S):
        left = (1 - grid.failures[:, None, None]) ** age[None] * (1 - grid.loss[:, None, None]) ** (age[None] / 12)
        kept = (arrive[a] * left * (age[None] < grid.stay[:, None, None])).sum(axis=1)
        price = grid.price * (grid.discount * arrive[a].sum(axis=1) - kept * grid.discount[-1])
        running = grid.energy * grid.discount
        each = (data(price, "j", "t") * buy).sum() + (data(running, "j", "t") * cap.sel(s=a)).sum()
        cost = cost + float(futures.probability[a]) * (each + (data(size, "w", "t") * short.sel(s=a)).sum())
    m.add_objective(cost)
    m.solve("highs", io_api="direct", output_flag=False)
    return float(m.objective.value)

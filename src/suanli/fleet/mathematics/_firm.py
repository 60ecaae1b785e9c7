"""Firm: services and runs that must not fall short."""

from __future__ import annotations

import numpy as np

from suanli.fleet.mathematics._base import INFINITE, Block, Family, Setting, Triples


def rows(setting: Setting) -> Block:
    """Return one row per scenario, month and service with a least share."""
    g, c, f = setting.grid, setting.columns, setting.futures
    out = Triples()
    for w in range(len(g.services)):
        if g.minimum[w] <= 0:
            continue
        size = max(float(g.demand[w].max()), 1e-30)
        for s in range(f.n):
            most = (1.0 - g.minimum[w]) * g.demand[w] * f.demand[s, w] / size
            now = np.arange(g.start, g.T)
            row = out.open(len(now), -INFINITE, most[now], scenario=s, service=w, month=now)
            out.put(row, c.short[s, w, now], 1.0)
    return out.block()


FAMILY = Family(
    name="floor",
    title="Least service",
    sentence="Of the requests to {service} in {month} at least the stated share is served in every future.",
    unit="share of the service's largest demand",
    equation=r"s_{w,t,\omega} \le (1-\beta_w)\,D_{w,t}\,\delta_{w,t,\omega}",
    where="β the least share served",
    rows=rows,
    business=True,
)


def deadline_rows(setting: Setting) -> Block:
    """Return one row per scenario and firm run."""
    g, c = setting.grid, setting.columns
    out = Triples()
    for r, run in enumerate(g.runs):
        if run.firm:
            for s in range(setting.futures.n):
                row = out.open(1, -INFINITE, 0.0, scenario=s, run=r)
                out.put(row, c.miss[s, r], 1.0)
    return out.block()


DEADLINE = Family(
    name="deadline",
    title="Firm deadline",
    sentence="{run} is complete at its deadline in every future.",
    unit="share of the run's tokens",
    equation=r"m_{r,\omega} \le 0",
    where="m the part missing",
    rows=deadline_rows,
    business=True,
    per="1 % of the run",
    scale=100.0,
)

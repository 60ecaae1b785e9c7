"""Demand: what is asked for is served or counted as unserved."""

from __future__ import annotations

import numpy as np

from suanli.fleet.mathematics._base import INFINITE, Block, Family, Setting, Triples, pool_of, working


def rows(setting: Setting) -> Block:
    """Return one row per service, scenario and month."""
    g, c, f = setting.grid, setting.columns, setting.futures
    out = Triples()
    since, months = g.start, g.T - g.start
    may, pool = working(setting), pool_of(setting)
    of = {"scenario": np.repeat(np.arange(f.n), months), "month": np.tile(np.arange(since, g.T), f.n)}
    for w in range(len(g.services)):
        size = max(float(g.demand[w].max()), 1e-30)
        rate = setting.rates.serve[:, w] / size
        alone = (c.alone == w)[pool]  # lines whose chips count as they are there, without use variables
        serve = may[:, alone] * rate[pool[alone]][:, None]
        left = g.demand[w] * f.demand[:, w] / size - (serve * g.given[alone]).sum(axis=1)
        row = out.open(f.n * months, left[:, since:].ravel(), INFINITE, service=w, **of).reshape(f.n, months)
        out.put(row, c.short[:, w, since:], 1.0)
        out.put(row[:, None], c.use[:, :, w, since:], rate[:, None])
        out.put(row[:, None], c.there[:, alone, since:], (serve * f.delivered[:, alone, None])[:, :, since:])
    return out.block()


FAMILY = Family(
    name="demand",
    title="Demand",
    sentence="Requests to {service} in {month} are served by chips at work or counted as unserved.",
    unit="share of the service's largest demand",
    equation=r"\sum_q \mu_{q,w}\,u_{q,w,t,\omega} + s_{w,t,\omega} \ge D_{w,t}\,\delta_{w,t,\omega}",
    where="μ requests/s of a thousand chips; s unserved; D busy-hour demand; δ the scenario's factor",
    rows=rows,
)

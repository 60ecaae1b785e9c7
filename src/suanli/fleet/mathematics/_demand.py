"""Demand: what is asked for is served or counted as unserved."""

from __future__ import annotations

import numpy as np

from suanli.fleet.mathematics._base import ABSENT, INFINITE, Block, Family, Setting, Triples, available


def rows(setting: Setting) -> Block:
    """Return one row per scenario, service and month."""
    g, c, f = setting.grid, setting.columns, setting.futures
    out = Triples()
    now = np.arange(g.start, g.T)
    for w in range(len(g.services)):
        size = max(float(g.demand[w].max()), 1e-30)
        serving = [q for q in range(len(g.pools)) if setting.rates.serve[q, w] > 0]
        for s in range(f.n):
            need = g.demand[w] * f.demand[s, w] / size
            alone = [q for q in serving if c.alone[q] == w]
            terms = [(setting.rates.serve[q, w] / size, available(setting, q, s)) for q in alone]
            constant = sum(
                (rate * a for rate, there in terms for cols, a in there if cols is None), start=np.zeros(g.T)
            )
            row = out.open(len(now), (need - constant)[now], INFINITE, scenario=s, service=w, month=now)
            out.put(row, c.short[s, w, now], 1.0)
            for q in serving:
                if (c.use[s, q, w] != ABSENT).any():
                    out.put(row, c.use[s, q, w, now], setting.rates.serve[q, w] / size)
            for rate, there in terms:
                for cols, a in there:
                    if cols is not None:
                        out.put(row, cols[now], rate * a[now])
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

"""Use: chips at work are there, legal to run, and not spares."""

from __future__ import annotations

import numpy as np

from suanli.fleet.mathematics._base import ABSENT, INFINITE, Block, Family, Setting, Triples, available


def rows(setting: Setting) -> Block:
    """Return one row per scenario, pool with use variables, and month."""
    g, c = setting.grid, setting.columns
    out = Triples()
    now = np.arange(g.start, g.T)
    for s in range(setting.futures.n):
        for q in range(len(g.pools)):
            trained = [(r, c.train[s, r, q]) for r in range(len(g.runs)) if (s, r, q) in c.train]
            served = [c.use[s, q, w] for w in range(len(g.services)) if (c.use[s, q, w] != ABSENT).any()]
            if not trained and not served:
                continue
            there = available(setting, q, s)
            constant = sum((a for cols, a in there if cols is None), start=np.zeros(g.T))
            row = out.open(len(now), -INFINITE, constant[now], scenario=s, pool=q, month=now)
            for use in served:
                out.put(row, use[now], 1.0)
            for _, segments in trained:
                for segment in segments:
                    out.put(row, segment[now], 1.0)
            for cols, a in there:
                if cols is not None:
                    out.put(row, cols[now], -a[now])
            for j in g.pools[q].lines:
                out.put(row, c.park[s, j, now], 1.0)
    return out.block()


FAMILY = Family(
    name="use",
    title="Use",
    sentence="Chips of {pool} at work in {month} are at most those there, legal to run, no spares and not parked.",
    unit="thousand chips",
    equation=(
        r"\sum_w u_{q,w,t,\omega} + \sum_{r,n} v_{r,q,n,t,\omega} + \sum_{j\in q} p_{j,t,\omega} \le"
        r" \sum_{j\in q} (1-\rho_j)\,\ell_{j,t,\omega}\,y_{j,\omega}\,K_{j,k(j,\omega),t}"
    ),
    where="u chips serving; v chips training; p parked; ρ spares; ℓ legal to run; y delivered share in scenario ω",
    rows=rows,
    per="chip and month",
    scale=1e3,
)

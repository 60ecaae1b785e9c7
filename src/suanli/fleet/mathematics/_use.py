"""Use: chips at work are there, legal to run, and not spares."""

from __future__ import annotations

import numpy as np

from suanli.fleet.mathematics._base import ABSENT, INFINITE, Block, Family, Setting, Triples, pool_of, working


def rows(setting: Setting) -> Block:
    """Return one row per scenario, pool with use variables, and month."""
    g, c = setting.grid, setting.columns
    out = Triples()
    now = np.arange(g.start, g.T)
    may, pool = working(setting), pool_of(setting)
    used = (c.use != ABSENT).any(axis=(2, 3))
    for s, _, q in c.train:
        used[s, q] = True
    stock = np.zeros((setting.futures.n, len(g.pools), g.T))
    for q in range(len(g.pools)):
        stock[:, q] = (may * g.given)[:, pool == q].sum(axis=1)
    scenario, place = (np.repeat(x, len(now)) for x in np.nonzero(used))
    month = np.tile(now, int(used.sum()))
    row = np.full(stock.shape, ABSENT, dtype=np.int64)
    row[scenario, place, month] = out.open(
        len(month), -INFINITE, stock[scenario, place, month], scenario=scenario, pool=place, month=month
    )
    out.put(row[:, :, None], c.use, 1.0)
    for (s, _, q), segments in c.train.items():
        out.put(row[s, q], segments, 1.0)
    out.put(row[:, pool], c.there, -may * setting.futures.delivered[:, :, None])
    out.put(row[:, pool], c.park, 1.0)
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

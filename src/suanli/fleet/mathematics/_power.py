"""Power: machines fit the site."""

from __future__ import annotations

import numpy as np

from suanli.fleet.mathematics._base import ABSENT, INFINITE, Block, Family, Setting, Triples


def rows(setting: Setting) -> Block:
    """Return one row per site, month and distinct way in which scenarios fill the site."""
    g, c, f = setting.grid, setting.columns, setting.futures
    out = Triples()
    for i in range(len(g.sites)):
        here = [j for j in range(g.J) if g.lines[j].site == g.sites[i]]
        fixed = sum((g.draw[j] * g.given[j] for j in here), start=np.zeros(g.T))
        now = np.arange(g.start, g.T)
        movable = [j for j in here if g.lines[j].stock is None]
        seen: set[tuple[tuple[int, float], ...]] = set()
        for s in range(f.n):
            way = tuple((int(setting.classes.of[s, j]), float(f.delivered[s, j])) for j in movable)
            parked = [j for j in movable if (c.park[s, j] != ABSENT).any()]
            if way in seen and not parked:
                continue
            seen.add(way)
            row = out.open(len(now), -INFINITE, (g.power[i] - fixed)[now], site=i, month=now, scenario=s)
            for j, (k, share) in zip(movable, way, strict=True):
                if (j, k) in c.stock:
                    out.put(row, c.stock[j, k][now], g.draw[j] * share)
            for j in parked:
                out.put(row, c.park[s, j, now], -g.draw[j])
            for o, option in enumerate(g.options):
                if option.site == i:
                    for t in range(g.start, g.T - option.lead):
                        out.put(row[t - g.start + option.lead :], c.power[o, t], -1.0)
    return out.block()


FAMILY = Family(
    name="power",
    title="Power",
    sentence="Machines on at {site} in {month} draw at most the power that is there, built in time included.",
    unit="MW",
    equation=(
        r"\sum_{j\in s} e_j\,(y_{j,\omega}\,K_{j,k,t} - p_{j,t,\omega})"
        r" \le P_{s,t} + \sum_{o,\,t'\le t-h_o} a_{o,t'}"
    ),
    where="e MW of a thousand chips (server, fabric, PUE); p parked; P power; a MW added by option o; h its lead time",
    rows=rows,
    business=True,
    per="MW and month",
)

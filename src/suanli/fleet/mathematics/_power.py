"""Power: machines fit the site."""

from __future__ import annotations

import numpy as np

from suanli.fleet.mathematics._base import ABSENT, INFINITE, Block, Family, Ints, Setting, Triples


def rows(setting: Setting) -> Block:
    """Return one row per site, month and distinct way in which scenarios fill the site."""
    g, c, f = setting.grid, setting.columns, setting.futures
    out = Triples()
    since, now = g.start, np.arange(g.start, g.T)
    for i in range(len(g.sites)):
        here = np.array([x.site == g.sites[i] for x in g.lines], dtype=bool)
        fixed = (g.draw[:, None] * g.given)[here].sum(axis=0)
        movable = np.flatnonzero(here & np.array([x.stock is None for x in g.lines], dtype=bool))
        s = _ways(setting, movable)
        of = {"month": np.tile(now, len(s)), "scenario": np.repeat(s, len(now))}
        high = np.tile((g.power[i] - fixed)[since:], len(s))
        row = out.open(len(high), -INFINITE, high, site=i, **of).reshape(len(s), 1, len(now))
        draw = g.draw[movable][:, None]
        out.put(row, c.there[s][:, movable, since:], draw * f.delivered[s][:, movable, None])
        out.put(row, c.park[s][:, movable, since:], -draw)
        for o, option in enumerate(g.options):
            if option.site == i:
                built = now[None, :] >= np.arange(g.T)[:, None] + option.lead
                out.put(row, c.power[o][:, None], -1.0 * built)
    return out.block()


def _ways(setting: Setting, movable: Ints) -> Ints:
    """Return the scenarios that need rows of their own at a site: parked chips may tell alike ones apart."""
    of, share = setting.classes.of, setting.futures.delivered
    parks = (setting.columns.park[:, movable] != ABSENT).any(axis=(1, 2))
    seen: set[tuple[bytes, bytes]] = set()
    out = []
    for s in range(setting.futures.n):
        way = of[s, movable].tobytes(), share[s, movable].tobytes()
        if parks[s] or way not in seen:
            out.append(s)
        seen.add(way)
    return np.array(out, dtype=np.int64)


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

"""Supply: what one buyer can get of a supplier's output in a year, and of a foundry's wafers."""

from __future__ import annotations

import numpy as np

from suanli.fleet.mathematics._base import ABSENT, INFINITE, Block, Family, Setting, Triples


def rows(setting: Setting) -> Block:
    """Return one row per supplier with a stated output, and year."""
    g, c = setting.grid, setting.columns
    out = Triples()
    for i, (supplier, cap) in enumerate(g.supplier_cap.items()):
        mine = [j for j in range(g.J) if g.lines[j].supplier == supplier and g.lines[j].offer is not None]
        for y in range(len(g.years)):
            year = g.year == y
            taken = sum(q for j, m, q in g.committed if j in mine and 0 <= m < g.T and year[m])
            limit = max(0.0, float(cap[year].sum()) - taken)
            row = out.open(1, -INFINITE, limit, supplier=i, year=y)
            for j in mine:
                out.put(row, c.order[j], year.astype(float))
    return out.block()


FAMILY = Family(
    name="supply",
    title="Supply",
    sentence="Orders from {supplier} in {year} stay within what this buyer can get of its output.",
    unit="thousand chips",
    equation=r"\sum_{j\in h,\,t\in y} x_{j,t} \le \phi_h\,O_{h,y} - b_{h,y}",
    where="O output of supplier h; φ the part one buyer can get; b earlier commitments",
    rows=rows,
    business=True,
    per="chip",
    scale=1e3,
)


def wafer_rows(setting: Setting) -> Block:
    """Return one row per foundry and year: wafers behind the orders of all lines that draw on it."""
    g, c = setting.grid, setting.columns
    out = Triples()
    for i, (foundry, monthly) in enumerate(g.foundry_cap.items()):
        for y in range(len(g.years)):
            year = g.year == y
            months = int((year & (np.arange(g.T) >= min(g.since, g.start))).sum())
            if months == 0:
                continue
            taken = sum(
                q * float(g.wafers[j, m])
                for j, m, q in g.committed
                if g.since <= m < g.T and year[m] and _draws(setting, j, foundry)
            )
            row = out.open(1, -INFINITE, max(0.0, monthly * months / 1e3 - taken), foundry=i, year=y)
            for j in range(g.J):
                if _draws(setting, j, foundry):
                    out.put(row, c.order[j], g.wafers[j] * year)
    return out.block()


def part_rows(setting: Setting) -> Block:
    """Return one row per allocation and month in which something is ordered: parts behind all orders until then."""
    g, c = setting.grid, setting.columns
    out = Triples()
    for a in range(len(g.allocations)):
        mine = [j for j in range(g.J) if g.parts[a, j] > 0]
        since = min(g.since, g.start)
        given = np.cumsum(np.where(np.arange(g.T) >= since, g.allotted[a], 0.0))
        given -= sum(q * g.parts[a, j] for j, m, q in g.committed if since <= m < g.T)
        for t in range(g.start, g.T):
            if not any(c.order[j, t] != ABSENT for j in mine):
                continue
            row = out.open(1, -INFINITE, max(0.0, float(given[t])), allocation=a, month=t)
            for j in mine:
                out.put(row, c.order[j, : t + 1], g.parts[a, j])
    return out.block()


PARTS = Family(
    name="parts",
    title="Parts",
    sentence="Chips ordered until {month} need no more of {allocation} than this buyer was given until then.",
    unit="thousand parts",
    equation=r"\sum_{j,\,t'\le t} n_{a,j}\,x_{j,t'} \le \sum_{t'\le t} A_{a,t'}",
    where="n parts of allocation a in a chip; A what this buyer is given a month; what is not used is kept",
    rows=part_rows,
    business=True,
    per="part",
    scale=1e3,
)


def _draws(setting: Setting, j: int, foundry: str) -> bool:
    offer = setting.grid.lines[j].offer
    return offer is not None and offer.wafers is not None and offer.wafers.foundry == foundry


WAFERS = Family(
    name="wafers",
    title="Wafers",
    sentence="Wafers behind the orders of {year} fit what phones leave of {foundry} for this buyer.",
    unit="thousand wafers",
    equation=r"\sum_{j,\,t\in y} w_{j,t}\,x_{j,t} \le \phi_f\,(1-\pi_f)\,W_f\,|y| - b_{f,y}",
    where=(
        "w wafers of a chip as yield is learnt; W wafers a month; π phones'; φ the buyer's share; |y| months; "
        "b taken before"
    ),
    rows=wafer_rows,
    business=True,
    per="wafer",
    scale=1e3,
)

"""Supply: what one buyer can get of a supplier's output in a year, and of a foundry's wafers."""

from __future__ import annotations

import numpy as np

from suanli.fleet.mathematics._base import INFINITE, Block, Family, Setting, Triples


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
            months = int((year & (np.arange(g.T) >= g.start)).sum())
            if months == 0:
                continue
            row = out.open(1, -INFINITE, monthly * months / 1e3, foundry=i, year=y)
            for j in range(g.J):
                offer = g.lines[j].offer
                if offer is not None and offer.wafers is not None and offer.wafers.foundry == foundry:
                    out.put(row, c.order[j], g.wafers[j] * year)
    return out.block()


WAFERS = Family(
    name="wafers",
    title="Wafers",
    sentence="Wafers behind the orders of {year} fit what phones leave of {foundry} for this buyer.",
    unit="thousand wafers",
    equation=r"\sum_{j,\,t\in y} w_j x_{j,t} \le \phi_f\,(1-\pi_f)\,W_f\,|y|",
    where="w wafers of a chip (dies, yield); W wafers a month; π the phones' share; φ the buyer's part; |y| months",
    rows=wafer_rows,
    business=True,
    per="wafer",
    scale=1e3,
)

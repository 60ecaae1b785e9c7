"""Share: a least part of a pot's chip spending goes to a group of suppliers."""

from __future__ import annotations

from suanli.fleet.mathematics._base import ABSENT, INFINITE, Block, Family, Setting, Triples
from suanli.fleet.mathematics._money import price_factor


def rows(setting: Setting) -> Block:
    """Return one row per share and year."""
    g, c = setting.grid, setting.columns
    out = Triples()
    for i, share in enumerate(setting.shares):
        for k, year in enumerate(share.years):
            y = g.years.index(year)
            earlier = sum(
                q * (g.chip_price[j] * price_factor(setting, j))[m] * ((j in share.lines) - share.minimum)
                for j, m, q in g.committed
                if 0 <= m < g.T and g.year[m] == y and _draws(setting, j, share.pot)
            )
            row = out.open(1, -earlier, INFINITE, share=i, year=y)
            for j in range(g.J):
                if not _draws(setting, j, share.pot):
                    continue
                factor = price_factor(setting, j)
                spend = g.chip_price[j] * factor * (g.year == y)
                out.put(row, c.order[j], spend * ((j in share.lines) - share.minimum))
            if share.price is not None and c.gap[i, k] != ABSENT:
                out.put(row, c.gap[i, k], 1.0)
    return out.block()


def _draws(setting: Setting, j: int, pot: int) -> bool:
    line = setting.grid.lines[j]
    return line.pot is not None and not line.leased and setting.grid.pots.index(line.pot) == pot


FAMILY = Family(
    name="share",
    title="Share",
    sentence="In {year} at least the stated part of chip spending ({share}) goes to its suppliers, or the gap is told.",
    unit="MUSD",
    equation=r"\sum_{j\in G} c_j x_{j,t} + q_{G,y} \ge \alpha_G \sum_{j\in p} c_j x_{j,t}",
    where="G the group's lines; α its least share; q the gap (absent where the share is firm)",
    rows=rows,
    business=True,
    per="USD",
    scale=1e6,
)

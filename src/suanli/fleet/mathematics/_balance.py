"""Balance: stock follows from what arrives, fails and leaves."""

from __future__ import annotations

import numpy as np

from suanli.fleet.mathematics._base import ABSENT, Block, Family, Setting, Triples


def rows(setting: Setting) -> Block:
    """Return one row per line, delivery class and month."""
    g, c = setting.grid, setting.columns
    out = Triples()
    for (j, k), stock in c.stock.items():
        given = setting.classes.given[j, k]
        live = np.flatnonzero(stock != ABSENT)
        first = int(live[0])
        r = out.open(len(live), given[live], given[live], line=j, month=live)
        out.put(r, stock[live], 1.0)
        out.put(r[1:], stock[live[:-1]], -(1.0 - g.failures[j]))
        net = setting.classes.net[j, k]
        t, order = np.nonzero(net)
        late = t >= first
        out.put(r[t[late] - first], c.order[j, order[late]], -net[t[late], order[late]])
    return out.block()


FAMILY = Family(
    name="balance",
    title="Balance",
    sentence="The stock of {line} in {month} is last month's less failures, plus what arrives, less what leaves.",
    unit="thousand chips",
    equation=r"K_{j,k,t} = (1-\lambda_j)\,K_{j,k,t-1} + \sum_{t'} N_{j,k}(t,t')\,x_{j,t'} + g_{j,k,t}",
    where="K stock of line j in delivery class k; x orders; g earlier commitments; λ failures a month",
    rows=rows,
)

"""Money: what is ordered, leased, built and begun fits the year's budget."""

from __future__ import annotations

import numpy as np

from suanli.fleet.mathematics._base import INFINITE, Array, Block, Family, Setting, Triples


def rows(setting: Setting) -> Block:
    """Return one row per pot and year with a budget."""
    g = setting.grid
    out = Triples()
    for p in range(len(g.pots)):
        paid = np.stack([order_payment(setting, p, j) for j in range(g.J)])
        held = 0.0
        kept: list[int] = []
        for y in range(len(g.years)):
            limit = g.budget[p, y]
            if not np.isfinite(limit):
                held, kept = 0.0, []
                continue
            years = [*kept, y]
            already = sum(spent_before(setting, p, k) for k in years)
            left = held + limit - already
            if g.since < g.start:  # an earlier plan's orders may have met prices above the mean: that is past
                left = max(left, 0.0)
            row = out.open(1, -INFINITE, left, pot=p, year=y)
            for k in years:
                out.put(row, setting.columns.order, paid[:, :, k])
                _works(setting, out, row, p, k)
            if g.carry[p]:
                held, kept = held + limit, years
    return out.block()


def order_payment(setting: Setting, p: int, j: int) -> Array:
    """Return [T, Y]: MUSD, at mean prices, that a thousand chips of line j ordered in t draw on pot p in year y."""
    g = setting.grid
    out = np.zeros((g.T, len(g.years)))
    line = g.lines[j]
    if line.pot is None or g.pots.index(line.pot) != p:
        return out
    factor = price_factor(setting, j)
    covers = g.covers[p]
    months = np.arange(g.T)
    if line.leased:
        if "leases" in covers:
            lead, term = len(g.curve[j]) - 1, int(g.stay[j])
            for t in range(g.T):
                paid = months[(months >= t + lead) & (months < t + lead + term)]
                np.add.at(out[t], g.year[paid], g.rent[j, t] * factor[t])
        return out
    price = np.zeros(g.T)
    if "chips" in covers:
        price += g.chip_price[j]
    if "servers" in covers:
        price += g.price[j] - g.chip_price[j] - g.fabric_price[j]
    if "fabric" in covers:
        price += g.fabric_price[j]
    out[months, g.year] = price * factor
    return out


def price_factor(setting: Setting, j: int) -> Array:
    """Return [T]: the price of line j over the stated one: its mean over the futures, or what was met before."""
    g, f = setting.grid, setting.futures
    mean = np.tensordot(f.probability, f.price[:, j], axes=1)
    return np.where(np.arange(g.T) < g.start, g.paid[j], mean) if g.paid.size else np.asarray(mean)


def spent_before(setting: Setting, p: int, y: int) -> float:
    """Return MUSD of what was begun earlier that count against pot p in year y: orders, leases, sites, projects."""
    g = setting.grid
    total = float(g.spent[p, y]) if g.spent.size else 0.0
    for j, month, quantity in g.committed:
        if 0 <= month < g.T:
            total += quantity * float(order_payment(setting, p, j)[month, y])
        elif g.lines[j].leased:
            total += quantity * _lease_left(setting, p, j, month, y)
    return total


def _lease_left(setting: Setting, p: int, j: int, month: int, y: int) -> float:
    g = setting.grid
    line = g.lines[j]
    if line.pot is None or g.pots.index(line.pot) != p or "leases" not in g.covers[p]:
        return 0.0
    months = np.arange(g.T)
    last = month + len(g.curve[j]) - 1 + int(g.stay[j])
    return float(((months < last) & (g.year == y)).sum() * g.rent[j, 0])


def _works(setting: Setting, out: Triples, row: object, p: int, y: int) -> None:
    """Add to a pot's year what sites and projects draw on it."""
    g, c = setting.grid, setting.columns
    if "sites" in g.covers[p]:
        for o, option in enumerate(g.options):
            if option.pot == p:
                out.put(row, c.power[o], option.cost * (g.year == y))
    if "builds" in g.covers[p]:
        for i, project in enumerate(g.projects):
            if project.pot == p and g.year[min(project.start, g.T - 1)] == y:
                out.put(row, c.project[i], project.cost)


FAMILY = Family(
    name="money",
    title="Money",
    sentence="Orders, leases, sites and projects paid from {pot} in {year} stay within its budget.",
    unit="MUSD",
    equation=r"\sum_{j,t'} c_{p,j}(t',y)\,x_{j,t'} + \sum_o c_o a_{o,t} + \sum_i c_i z_i \le B_{p,y} - b_{p,y}",
    where="c payments at mean prices in the order's year (rent: month by month); B budget; b earlier commitments "
    "(after an earlier plan at most B)",
    rows=rows,
    business=True,
    per="USD",
    scale=1e6,
)

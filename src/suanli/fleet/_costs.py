"""What every scenario costs: orders, rents, power, sites, projects, unserved requests and unfinished runs."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from suanli.fleet._grid import SECONDS_A_MONTH
from suanli.fleet.mathematics import Setting
from suanli.fleet.mathematics._base import ABSENT, Array, Ints


def scenario_costs(setting: Setting) -> tuple[sparse.csr_matrix, Array]:
    """Return (MUSD of each column in each scenario [S, n], MUSD that no column moves [S])."""
    rows: list[Ints] = []
    cols: list[Ints] = []
    values: list[Array] = []

    def put(s: int, columns: Ints, cost: Array) -> None:
        keep = (columns != ABSENT) & (cost != 0)
        c, v = (a if a.shape == keep.shape else np.broadcast_to(a, keep.shape) for a in (columns, cost))
        cols.append(c[keep].astype(np.int64))
        values.append(v[keep].astype(np.float64))
        rows.append(np.full(len(cols[-1]), s, dtype=np.int64))

    c, g = setting.columns, setting.grid
    for s in range(setting.futures.n):
        for j in range(g.J):
            if g.lines[j].offer is not None:
                put(s, c.order[j], order_cost(setting, s, j))
        for (j, k), stock in c.stock.items():
            if setting.classes.of[s, j] == k:
                put(s, stock, running_cost(setting, s, j) * setting.futures.delivered[s, j])
        _recourse(setting, s, put)
        for o, option in enumerate(g.options):
            put(s, c.power[o], option.cost * g.discount)
        for i, project in enumerate(g.projects):
            put(s, c.project[i : i + 1], np.array([project.cost * g.discount[min(project.start, g.T - 1)]]))
        for i, share in enumerate(setting.shares):
            if share.price is not None:
                put(s, c.gap[i], np.full(c.gap.shape[1], share.price))
    shape = (setting.futures.n, c.n)
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(cols)))
    fixed = np.array([fixed_cost(setting, s) for s in range(setting.futures.n)])
    return sparse.csr_matrix(entries, shape=shape), fixed


def paid_share(setting: Setting, s: int, j: int) -> Array:
    """Return [T]: the part of an order's price that is paid: the deposit, and the rest as far as chips arrive."""
    g, f = setting.grid, setting.futures
    arrived = setting.classes.arrived[j, int(setting.classes.of[s, j])].sum(axis=0)
    placed = f.open[s, j]
    return np.asarray(placed * (g.deposit[j] + (1.0 - g.deposit[j]) * f.delivered[s, j] * arrived))


def order_cost(setting: Setting, s: int, j: int) -> Array:
    """Return [T]: discounted MUSD of a thousand chips ordered in each month, second-hand value at the end taken off."""
    g, f = setting.grid, setting.futures
    if g.lines[j].leased:
        return _lease_cost(setting, s, j)
    price = g.price[j] * f.price[s, j]
    return np.asarray(price * g.discount * paid_share(setting, s, j) - salvage(setting, s, j) - retired(setting, s, j))


def salvage(setting: Setting, s: int, j: int) -> Array:
    """Return [T]: discounted MUSD that a thousand chips ordered in each month are worth at the horizon's end.

    The price falls by the stated loss a year from arrival; chips that failed or left are worth nothing.
    """
    g, f = setting.grid, setting.futures
    arrived = setting.classes.arrived[j, int(setting.classes.of[s, j])]
    age = (g.T - 1 - np.arange(g.T))[:, None]
    left = (1.0 - g.failures[j]) ** age * (1.0 - g.loss[j]) ** (age / 12.0) * (age < g.stay[j])
    return np.asarray((arrived * left).sum(axis=0) * f.delivered[s, j] * g.price[j] * g.discount[-1])


def retired(setting: Setting, s: int, j: int) -> Array:
    """Return [T]: discounted MUSD that a thousand chips ordered in each month bring when they retire in the horizon."""
    g, f = setting.grid, setting.futures
    stay = int(g.stay[j])
    if g.end_value[j] == 0.0 or stay >= g.T:
        return np.zeros(g.T)
    arrived = setting.classes.arrived[j, int(setting.classes.of[s, j])]
    worth = g.end_value[j] * (1.0 - g.failures[j]) ** stay * g.discount[stay:, None]
    return np.asarray((arrived[: g.T - stay] * worth).sum(axis=0) * f.delivered[s, j] * g.price[j])


def _lease_cost(setting: Setting, s: int, j: int) -> Array:
    g, f = setting.grid, setting.futures
    arrived = setting.classes.arrived[j, int(setting.classes.of[s, j])].sum(axis=0)
    out = np.zeros(g.T)
    lead, term = len(g.curve[j]) - 1 + int(f.slip[s, j]), int(g.stay[j])
    for t in range(g.T):
        months = np.arange(t + lead, min(t + lead + term, g.T))
        rent = g.rent[j, t] * f.price[s, j, t] * g.take_or_pay[j]
        out[t] = rent * g.discount[months].sum() * arrived[t] * f.delivered[s, j]
    return out


def running_cost(setting: Setting, s: int, j: int) -> Array:
    """Return [T]: discounted MUSD to power and keep a thousand chips for a month; machines not legal to run are off."""
    g, f = setting.grid, setting.futures
    return np.asarray(g.energy[j] * g.discount * (g.run[j] & f.usable[s, j]))


def fixed_cost(setting: Setting, s: int) -> float:
    """Return discounted MUSD of what is there already: power of stock, and what earlier orders still cost."""
    g, f = setting.grid, setting.futures
    now = np.arange(g.T) >= g.start
    total = 0.0
    for j in range(g.J):
        if g.given[j].any():
            total += float((running_cost(setting, s, j) * g.given[j] * now).sum())
        key = (j, int(setting.classes.of[s, j]))
        if key in setting.classes.given:
            coming = np.maximum(setting.classes.given[key], 0.0)
            total += float((coming * g.price[j] * g.discount).sum() * f.delivered[s, j] * (1.0 - g.deposit[j]))
    return total + sum(_lease_left(setting, j, month, quantity) for j, month, quantity in g.committed)


def _lease_left(setting: Setting, j: int, month: int, quantity: float) -> float:
    """Return discounted MUSD of rent that is due, used or not, for an earlier lease from the view's first month on."""
    g = setting.grid
    if not g.lines[j].leased:
        return 0.0
    first = month + len(g.curve[j]) - 1
    due = g.discount[max(first, g.start, 0) : max(first + int(g.stay[j]), 0)].sum()
    return float(quantity * g.rent[j, max(month, 0)] * g.take_or_pay[j] * due)


def short_cost(setting: Setting, w: int) -> Array:
    """Return [T]: discounted MUSD of leaving the service's largest demand unserved for a month."""
    g = setting.grid
    size = max(float(g.demand[w].max()), 1e-30)
    per_peak = np.divide(g.mean[w], g.demand[w], out=np.zeros(g.T), where=g.demand[w] > 0)
    return np.asarray(size * per_peak * g.worth[w] * g.discount)


def _recourse(setting: Setting, s: int, put: object) -> None:
    assert callable(put)
    c, g = setting.columns, setting.grid
    for w in range(len(g.services)):
        put(s, c.short[s, w], short_cost(setting, w))
    for r in range(len(g.runs)):
        put(s, c.miss[s, r : r + 1], np.array([g.run_cost[r] * g.discount[g.run_window[r][1]]]))
    for (owner, r, q), segments in c.train.items():
        if owner == s and g.run_delay[r] > 0:
            wait = np.maximum(np.arange(g.T) - g.run_window[r][0], 0) * g.run_delay[r] * g.discount
            _, speed = setting.rates.train[r, q]
            for segment, rate in zip(segments, speed, strict=True):
                put(s, segment, wait * rate * SECONDS_A_MONTH / g.run_tokens[r])
    for q, pool in enumerate(g.pools):
        refund = [(1.0 - g.take_or_pay[j]) * g.rent[j] for j in pool.lines if g.take_or_pay[j] < 1.0]
        if refund:
            rent = np.mean(refund, axis=0) * g.discount
            put(s, c.use[s, q], rent)
            for r in range(len(g.runs)):
                if (s, r, q) in c.train:
                    put(s, c.train[s, r, q], rent)

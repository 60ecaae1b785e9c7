"""What every scenario costs: orders, rents, power, sites, projects, unserved requests and unfinished runs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

from suanli.fleet._grid import SECONDS_A_MONTH
from suanli.fleet.mathematics import Setting
from suanli.fleet.mathematics._base import ABSENT, Array, Ints

Put = Callable[..., None]


def scenario_costs(setting: Setting) -> tuple[sparse.csr_matrix, Array]:
    """Return (MUSD of each column in each scenario [S, n], MUSD that no column moves [S])."""
    rows: list[Ints] = []
    cols: list[Ints] = []
    values: list[Array] = []
    c, g, n = setting.columns, setting.grid, setting.futures.n

    def put(columns: Ints, cost: Array, scenario: Ints | None = None) -> None:
        """Add the cost of columns, scenarios first, or of ``scenario``; both are broadcast over each other."""
        s = np.arange(n) if scenario is None else scenario
        s = s.reshape(-1, *[1] * (max(columns.ndim, cost.ndim) - 1))
        keep = (columns != ABSENT) & (cost != 0) & (s >= 0)
        rows.append(np.broadcast_to(s, keep.shape)[keep])
        cols.append(np.broadcast_to(columns, keep.shape)[keep])
        values.append(np.broadcast_to(cost, keep.shape)[keep])

    for j in range(g.J):
        if g.lines[j].offer is not None:
            put(c.order[j][None], order_cost(setting, j))
            put(c.there[:, j], running_cost(setting, j) * setting.futures.delivered[:, j, None])
    for w in range(len(g.services)):
        put(c.short[:, w], short_cost(setting, w)[None])
    late = np.array([g.discount[last] for _, last in g.run_window])
    put(c.miss, (g.run_cost * late)[None])
    _delays_and_refunds(setting, put)
    for o, option in enumerate(g.options):
        put(c.power[o][None], (option.cost * g.discount)[None])
    begun = [p.cost * g.discount[min(p.start, g.T - 1)] for p in g.projects]
    put(c.project[None], np.array(begun)[None])
    for i, share in enumerate(setting.shares):
        if share.price is not None:
            put(c.gap[i][None], np.full((1, c.gap.shape[1]), share.price))
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(cols)))
    return sparse.csr_matrix(entries, shape=(n, c.n)), fixed_costs(setting)


def _arrived(setting: Setting, j: int) -> Array:
    """Return [S, T, T]: the share of a line's orders of month t' (axis 2) that arrives in month t, by scenario."""
    of = setting.classes.of[:, j]
    return np.stack([setting.classes.arrived[j, k] for k in range(int(of.max()) + 1)])[of]


def order_cost(setting: Setting, j: int) -> Array:
    """Return [S, T]: discounted MUSD of a thousand chips ordered in each month, less their second-hand value.

    Paid is the deposit, and the rest as far as chips arrive; leased chips cost their rent.
    """
    g, f = setting.grid, setting.futures
    arrived, share = _arrived(setting, j), f.delivered[:, j, None]
    if g.lines[j].leased:
        return _lease_cost(setting, j, arrived.sum(axis=1)) * share
    paid = f.open[:, j] * (g.deposit[j] + (1.0 - g.deposit[j]) * share * arrived.sum(axis=1))
    sold = _salvage(setting, j, arrived) + _retired(setting, j, arrived)
    return np.asarray(g.price[j] * (f.price[:, j] * g.discount * paid - sold * share))


def _salvage(setting: Setting, j: int, arrived: Array) -> Array:
    """Return [S, T]: part of the price, discounted, that chips ordered in each month are worth at the horizon's end.

    The price falls by the stated loss a year from arrival; chips that failed or left are worth nothing.
    """
    g = setting.grid
    age = g.T - 1 - np.arange(g.T)
    left = (1.0 - g.failures[j]) ** age * (1.0 - g.loss[j]) ** (age / 12.0) * (age < g.stay[j])
    return np.asarray(left @ arrived * g.discount[-1])


def _retired(setting: Setting, j: int, arrived: Array) -> Array:
    """Return [S, T]: part of the price, discounted, that chips ordered in each month bring when they retire."""
    g = setting.grid
    stay = int(g.stay[j])
    if g.end_value[j] == 0.0 or stay >= g.T:
        return np.zeros(arrived.shape[::2])
    worth = g.end_value[j] * (1.0 - g.failures[j]) ** stay * g.discount[stay:]
    return np.asarray(worth @ arrived[:, : g.T - stay])


def _lease_cost(setting: Setting, j: int, arrived: Array) -> Array:
    """Return [S, T]: discounted rent that is due, used or not, from a month's delivery to the end of its term."""
    g, f = setting.grid, setting.futures
    until = np.concatenate([[0.0], np.cumsum(g.discount)])
    first = np.arange(g.T) + len(g.curve[j]) - 1 + f.slip[:, j, None]
    due = until[np.clip(first + int(g.stay[j]), 0, g.T)] - until[np.clip(first, 0, g.T)]
    return np.asarray(g.rent[j] * f.price[:, j] * g.take_or_pay[j] * due * arrived)


def running_cost(setting: Setting, j: int) -> Array:
    """Return [S, T]: discounted MUSD to power and keep a thousand chips for a month; off where not legal to run."""
    g, f = setting.grid, setting.futures
    return np.asarray(g.energy[j] * g.discount * (g.run[j] & f.usable[:, j]))


def fixed_costs(setting: Setting) -> Array:
    """Return [S]: discounted MUSD of what is there already: power of stock, and what earlier orders still cost."""
    g, f = setting.grid, setting.futures
    now = np.arange(g.T) >= g.start
    total = np.zeros(f.n)
    for j in range(g.J):
        if g.given[j].any():
            total += (running_cost(setting, j) * g.given[j] * now).sum(axis=1)
    for (j, k), coming in setting.classes.given.items():
        due = float((np.maximum(coming, 0.0) * g.price[j] * g.discount).sum()) * (1.0 - g.deposit[j])
        total += due * f.delivered[:, j] * (setting.classes.of[:, j] == k)
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


def _delays_and_refunds(setting: Setting, put: Put) -> None:
    """Add what a month of waiting for a run costs, and the rent that is due only for leased chips at work."""
    c, g = setting.columns, setting.grid
    rents: dict[int, Array] = {}
    for q, pool in enumerate(g.pools):
        refund = [(1.0 - g.take_or_pay[j]) * g.rent[j] for j in pool.lines if g.take_or_pay[j] < 1.0]
        if refund:
            rents[q] = np.mean(refund, axis=0) * g.discount
            put(c.use[:, q], rents[q][None, None])
    for (s, r, q), segments in c.train.items():
        cost = np.zeros(segments.shape)
        if g.run_delay[r] > 0:
            wait = np.maximum(np.arange(g.T) - g.run_window[r][0], 0) * g.run_delay[r] * g.discount
            speed = setting.rates.train[r, q][1]
            cost += wait * (speed * SECONDS_A_MONTH / g.run_tokens[r])[:, None]
        if q in rents:
            cost += rents[q]
        if cost.any():
            put(segments[None], cost[None], np.array([s]))

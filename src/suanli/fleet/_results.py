"""Tables of a solved plan: orders, stock, use, service, training, money, power, scenarios."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.fleet._grid import SECONDS_A_MONTH
from suanli.fleet._lines import THOUSAND
from suanli.fleet._program import Program
from suanli.fleet._solve import Decision, Solved, decision, served_share
from suanli.fleet._words import bindings
from suanli.fleet.mathematics import order_payment, spent_before
from suanli.fleet.mathematics._base import ABSENT

Array = NDArray[np.float64]
Row = dict[str, Any]


def quarter(month: str) -> str:
    """Return the quarter of a month: "2025-02" is "2025Q1"."""
    return f"{month[:4]}Q{(int(month[5:7]) + 2) // 3}"


def spread(values: Array, probability: Array) -> tuple[float, float, float]:
    """Return (mean, 10th, 90th percentile) of scenario values [S] by probability."""
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(probability[order])
    low = values[order][np.searchsorted(cumulative, 0.1 - 1e-12)]
    high = values[order][min(int(np.searchsorted(cumulative, 0.9 - 1e-12)), len(values) - 1)]
    return float(probability @ values), float(low), float(high)


def stock_paths(p: Program, x: Array) -> Array:
    """Return thousand chips there by scenario, line and month [S, J, T]."""
    g, f, c = p.setting.grid, p.setting.futures, p.setting.columns
    out = np.broadcast_to(g.given, (f.n, g.J, g.T)).copy()
    for (j, k), columns in c.stock.items():
        live = columns != ABSENT
        path = np.zeros(g.T)
        path[live] = x[columns[live]]
        for s in np.flatnonzero(p.setting.classes.of[:, j] == k):
            out[s, j] += path * f.delivered[s, j]
    return out


def parked(p: Program, x: Array) -> Array:
    """Return thousand chips that wait switched off, by scenario, line and month [S, J, T]."""
    columns = p.setting.columns.park
    return np.where(columns != ABSENT, x[np.maximum(columns, 0)], 0.0)


def used(p: Program, x: Array) -> tuple[Array, Mapping[tuple[int, int], Array]]:
    """Return (thousand chips serving [S, Q, W, T]; (run, pool) -> thousand chips training [S, T]).

    A pool with one service only works for it as far as its chips are there.
    """
    g, f, c = p.setting.grid, p.setting.futures, p.setting.columns
    serving = np.zeros((f.n, len(g.pools), len(g.services), g.T))
    live = c.use != ABSENT
    serving[live] = x[c.use[live]]
    stock = stock_paths(p, x)
    for q, pool in enumerate(g.pools):
        if c.alone[q] != ABSENT:
            for j in pool.lines:
                legal = (g.run[j] & f.usable[:, j]) * (1.0 - g.spares[j])
                serving[:, q, c.alone[q]] += legal * stock[:, j] * (np.arange(g.T) >= g.start)
    training: dict[tuple[int, int], Array] = {}
    for (s, r, q), segments in c.train.items():
        path = training.setdefault((r, q), np.zeros((f.n, g.T)))
        for segment in segments:
            there = segment != ABSENT
            path[s, there] += x[segment[there]]
    return serving, training


def orders(solved: Solved) -> list[Row]:
    """Return a row for each order: line, month, chips, USD at the plan's prices."""
    g, d = solved.grid, decision(solved)
    rows = []
    for j, t in np.argwhere(d.order > 1e-6):
        line = g.lines[j]
        assert line.offer is not None
        usd = d.order[j, t] * (g.rent[j, t] * g.stay[j] if line.leased else g.price[j, t]) * 1e6
        rows.append(
            {
                "offer": line.offer.id,
                "site": line.site,
                "chip": line.chip,
                "supplier": line.supplier,
                "way": line.offer.way,
                "pot": line.pot,
                "month": g.months[t],
                "quarter": quarter(g.months[t]),
                "chips": float(d.order[j, t] * THOUSAND),
                "usd": float(usd),
            }
        )
    return rows


def works(solved: Solved) -> list[Row]:
    """Return a row for each addition of power and each project carried on."""
    g, d = solved.grid, decision(solved)
    rows = []
    for o, t in np.argwhere(d.power > 1e-6):
        option = g.options[o]
        usd = d.power[o, t] * option.cost * 1e6
        rows.append(
            {"what": option.name, "kind": "power", "month": g.months[t], "quarter": quarter(g.months[t]),
             "amount": float(d.power[o, t]), "unit": "MW", "usd": float(usd)}
        )  # fmt: skip
    for i, project in enumerate(g.projects):
        if d.project[i] > 0.5:
            month = g.months[min(project.start, g.T - 1)]
            rows.append(
                {"what": project.name, "kind": "project", "month": month, "quarter": quarter(month),
                 "amount": 1.0, "unit": "project", "usd": project.cost * 1e6}
            )  # fmt: skip
    return rows


def stock_table(solved: Solved) -> list[Row]:
    """Return a row per line and month with the chips there (mean, p10, p90), and whether they may run."""
    g, p = solved.grid, solved.program
    probability = p.setting.futures.probability
    paths = stock_paths(p, solved.answer.x) * THOUSAND
    rows = []
    for j in range(g.J):
        for t in range(g.T):
            if paths[:, j, t].max() < 0.5:
                continue
            mean, low, high = spread(paths[:, j, t], probability)
            line = g.lines[j]
            rows.append(
                {"line": line.id, "site": line.site, "region": line.region, "chip": line.chip,
                 "supplier": line.supplier, "month": g.months[t], "chips": mean, "p10": low, "p90": high,
                 "may_run": bool(g.run[j, t])}
            )  # fmt: skip
    return rows


def service_table(solved: Solved) -> list[Row]:
    """Return a row per service and month: demand (peak requests/s) and the share served, each with p10 and p90."""
    g, p = solved.grid, solved.program
    f, c = p.setting.futures, p.setting.columns
    rows = []
    for w, service in enumerate(g.services):
        size = max(float(g.demand[w].max()), 1e-30)
        for t in range(g.start, g.T):
            asked = g.demand[w, t] * f.demand[:, w, t]
            short = solved.answer.x[c.short[:, w, t]] * size
            share = np.divide(asked - short, asked, out=np.ones(f.n), where=asked > 0)
            demand, served = spread(asked, f.probability), spread(np.clip(share, 0.0, 1.0), f.probability)
            rows.append(
                {"service": service.id, "name": service.name, "region": service.region, "month": g.months[t],
                 "demand_per_s": demand[0], "demand_p10": demand[1], "demand_p90": demand[2],
                 "served": served[0], "served_p10": served[1], "served_p90": served[2]}
            )  # fmt: skip
    return rows


def use_table(solved: Solved) -> list[Row]:
    """Return a row per pool, workload and month: mean thousand chips at work."""
    g, p = solved.grid, solved.program
    f = p.setting.futures
    serving, training = used(p, solved.answer.x)
    rows: list[Row] = []

    def put(q: int, work: str, path: Array) -> None:
        rows.extend(
            {"pool": g.pools[q].name, "chip": g.pools[q].chip, "region": g.pools[q].region, "workload": work,
             "month": g.months[t], "chips": float(path[t] * THOUSAND)}
            for t in np.flatnonzero(path > 1e-6)
        )  # fmt: skip

    for q in range(len(g.pools)):
        for w, service in enumerate(g.services):
            put(q, service.id, np.tensordot(f.probability, serving[:, q, w], axes=1))
    for (r, q), path in training.items():
        put(q, g.runs[r].id, f.probability @ path)
    return rows


def training_table(solved: Solved) -> list[Row]:
    """Return a row per run and scenario: part done, month done (empty where it is not), chip that did most."""
    g, p = solved.grid, solved.program
    f, c = p.setting.futures, p.setting.columns
    rows = []
    for r, run in enumerate(g.runs):
        for s in range(f.n):
            progress = np.zeros(g.T)
            by_chip: dict[str, float] = {}
            for q, pool in enumerate(g.pools):
                if (s, r, q) not in c.train:
                    continue
                _, speed = p.setting.rates.train[r, q]
                for segment, rate in zip(c.train[s, r, q], speed, strict=True):
                    live = segment != ABSENT
                    done = solved.answer.x[segment[live]] * rate * SECONDS_A_MONTH / g.run_tokens[r]
                    progress[live] += done
                    by_chip[pool.chip] = by_chip.get(pool.chip, 0.0) + float(done.sum())
            total = (g.run_done[r] if g.run_done else 0.0) + np.cumsum(progress)
            finished = np.flatnonzero(total >= 1.0 - 1e-6)
            started = np.flatnonzero(progress > 1e-9)
            rows.append(
                {"run": run.id, "name": run.name, "earliest": run.earliest, "deadline": run.deadline,
                 "scenario": f.names[s], "probability": float(f.probability[s]),
                 "done": min(1.0, float(total[-1])),
                 "start": g.months[started[0]] if started.size else "",
                 "finish": g.months[finished[0]] if finished.size else "",
                 "chip": max(by_chip, key=lambda n: by_chip[n]) if by_chip else "",
                 "tokens": float(min(1.0, total[-1]) * g.run_tokens[r])}
            )  # fmt: skip
    return rows


def money_table(solved: Solved) -> list[Row]:
    """Return a row per pot and year in USD: budget, committed before, planned, left (empty budgets are unlimited)."""
    g, setting, d = solved.grid, solved.program.setting, decision(solved)
    rows = []
    for p, pot in enumerate(g.pots):
        for y, year in enumerate(g.years):
            planned = planned_spend(solved, d, p, y)
            before = spent_before(setting, p, y)
            budget = float(g.budget[p, y])
            rows.append(
                {"pot": pot, "year": year, "budget": budget * 1e6 if np.isfinite(budget) else None,
                 "committed": before * 1e6, "planned": planned * 1e6,
                 "left": (budget - before - planned) * 1e6 if np.isfinite(budget) else None}
            )  # fmt: skip
    return rows


def planned_spend(solved: Solved, d: Decision, p: int, y: int) -> float:
    """Return MUSD that a plan draws on pot ``p`` in year ``y``."""
    g, setting = solved.grid, solved.program.setting
    total = 0.0
    for j in range(g.J):
        if g.lines[j].offer is not None and d.order[j].any():
            total += float(order_payment(setting, p, j)[:, y] @ d.order[j])
    if "sites" in g.covers[p]:
        for o, option in enumerate(g.options):
            if option.pot == p:
                total += float(d.power[o][g.year == y].sum()) * option.cost
    if "builds" in g.covers[p]:
        for i, project in enumerate(g.projects):
            if project.pot == p and g.year[min(project.start, g.T - 1)] == y:
                total += d.project[i] * project.cost
    return total


def share_table(solved: Solved) -> list[Row]:
    """Return a row per least share and year: target, share reached, spending and shortfall in USD."""
    g, setting, d = solved.grid, solved.program.setting, decision(solved)
    f = setting.futures
    rows = []
    for share in setting.shares:
        for year in share.years:
            y = g.years.index(year)
            inside = total = 0.0
            for j in range(g.J):
                line = g.lines[j]
                if line.pot is None or line.leased or g.pots.index(line.pot) != share.pot:
                    continue
                factor = np.tensordot(f.probability, f.price[:, j], axes=1)
                spend = float((g.chip_price[j] * factor * d.order[j])[g.year == y].sum())
                spend += sum(
                    q * g.chip_price[j, m] for i, m, q in g.committed if i == j and 0 <= m < g.T and g.year[m] == y
                )
                total += spend
                inside += spend if j in share.lines else 0.0
            reached = inside / total if total > 0 else None
            rows.append(
                {"share": share.name, "year": year, "target": share.minimum, "reached": reached,
                 "spend": total * 1e6, "shortfall": max(0.0, share.minimum * total - inside) * 1e6}
            )  # fmt: skip
    return rows


def power_table(solved: Solved) -> list[Row]:
    """Return a row per site and month in MW: there at first, built since, drawn (mean, most over the futures)."""
    g, p, d = solved.grid, solved.program, decision(solved)
    drawn = np.einsum("j,sjt->sjt", g.draw, stock_paths(p, solved.answer.x) - parked(p, solved.answer.x))
    rows: list[Row] = []
    for i, site in enumerate(g.sites):
        here = [j for j in range(g.J) if g.lines[j].site == site]
        at = drawn[:, here].sum(axis=1)
        built = np.zeros(g.T)
        for o, option in enumerate(g.options):
            if option.site == i:
                built += np.concatenate([np.zeros(option.lead), np.cumsum(d.power[o])[: g.T - option.lead]])[: g.T]
        mean = p.setting.futures.probability @ at
        rows.extend(
            {"site": site, "month": g.months[t], "power": float(g.power[i, t]), "built": float(built[t]),
             "drawn": float(mean[t]), "drawn_most": float(at[:, t].max())}
            for t in range(g.start, g.T)
        )  # fmt: skip
    return rows


def scenario_table(solved: Solved, regret: Array | None, regret_other: Array | None) -> list[Row]:
    """Return a row per future: probability, cost (USD), share of demand served by worth, regret of the plans."""
    f = solved.program.setting.futures
    served = served_share(solved.program, solved.answer.x)
    return [
        {"scenario": f.names[s], "probability": float(f.probability[s]), "cost": float(solved.costs[s] * 1e6),
         "served": float(served[s]), "regret": None if regret is None else float(regret[s] * 1e6),
         "regret_deterministic": None if regret_other is None else float(regret_other[s] * 1e6)}
        for s in range(f.n)
    ]  # fmt: skip


def binding_table(solved: Solved, *, subjects: int = 8) -> list[Row]:
    """Return a row per limit and month (or year) that binds: what one more unit saves in USD, per what; dearest first.

    Of each family the ``subjects`` that are dearest at any time are told.
    """
    taken: dict[str, list[str]] = {}
    rows = []
    for b in bindings(solved.program, solved.answer.dual):
        known = taken.setdefault(b.family, [])
        if b.subject not in known and len(known) < subjects:
            known.append(b.subject)
        if b.subject in known:
            rows.append(
                {"family": b.family, "sentence": b.sentence, "worth": b.worth, "per": b.per, "month": b.month,
                 "subject": b.subject}
            )  # fmt: skip
    return rows


def tables(solved: Solved, regret: Array | None = None, regret_other: Array | None = None) -> dict[str, list[Row]]:
    """Return every table of a plan by name."""
    from suanli.fleet._paths import capacity_table, delivery_table, fan_table

    return {
        "orders": orders(solved),
        "deliveries": delivery_table(solved),
        "works": works(solved),
        "stock": stock_table(solved),
        "service": service_table(solved),
        "capacity": capacity_table(solved),
        "fan": fan_table(solved),
        "use": use_table(solved),
        "training": training_table(solved),
        "money": money_table(solved),
        "share": share_table(solved),
        "power": power_table(solved),
        "scenarios": scenario_table(solved, regret, regret_other),
        "binding": binding_table(solved),
    }


def grouped(rows: Sequence[Row], keys: Sequence[str], value: str) -> Iterator[tuple[tuple[Any, ...], float]]:
    """Yield (key values, sum of ``value``) in order of first appearance."""
    totals: dict[tuple[Any, ...], float] = {}
    for row in rows:
        key = tuple(row[k] for k in keys)
        totals[key] = totals.get(key, 0.0) + row[value]
    yield from totals.items()

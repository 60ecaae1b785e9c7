"""What a plan looks like over time: deliveries by supplier, requests served by chip, the fan over the futures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.fleet._lines import THOUSAND
from suanli.fleet._results import quarter, spread, stock_paths, used
from suanli.fleet._solve import Solved, decision
from suanli.fleet.mathematics._base import ABSENT

Array = NDArray[np.float64]
Row = dict[str, Any]
POINTS = (0.1, 0.25, 0.5, 0.75, 0.9)


def arrivals(solved: Solved) -> Array:
    """Return thousand chips that arrive by scenario, line and month [S, J, T], of these orders and earlier ones."""
    g, p, order = solved.grid, solved.program, decision(solved).order
    f, kinds = p.setting.futures, p.setting.classes
    out = np.zeros((f.n, g.J, g.T))
    for (j, k), matrix in kinds.arrived.items():
        come = matrix @ order[j] + np.maximum(kinds.given[j, k], 0.0)
        for s in np.flatnonzero(kinds.of[:, j] == k):
            out[s, j] = come * f.delivered[s, j]
    return out


def delivery_table(solved: Solved) -> list[Row]:
    """Return a row per supplier, chip and month: chips ordered and delivered until then (mean, p10, p90).

    What was still to come of earlier orders counts as ordered at the start.
    """
    g, probability = solved.grid, solved.program.setting.futures.probability
    ordered, come = decision(solved).order, arrivals(solved)
    groups: dict[tuple[str, str], list[int]] = {}
    for j, line in enumerate(g.lines):
        if line.offer is not None:
            groups.setdefault((line.supplier, line.chip), []).append(j)
    rows = []
    for (supplier, chip), lines in groups.items():
        coming = sum(q for j, _, q in g.due if j in lines)  # of earlier orders
        asked = (np.cumsum(ordered[lines].sum(axis=0)) + coming) * THOUSAND
        there = np.cumsum(come[:, lines].sum(axis=1), axis=1) * THOUSAND
        for t in range(g.start, g.T):
            if max(asked[-1], there.max()) < 0.5:
                break
            mean, low, high = spread(there[:, t], probability)
            rows.append(
                {"supplier": supplier, "chip": chip, "month": g.months[t], "quarter": quarter(g.months[t]),
                 "ordered": float(asked[t]), "delivered": mean, "p10": low, "p90": high}
            )  # fmt: skip
    return rows


def capacity_table(solved: Solved) -> list[Row]:
    """Return a row per service, chip and month: requests/s served by the chip in the busy hour, mean of the futures."""
    g, p = solved.grid, solved.program
    serving, _ = used(p, solved.answer.x)
    mean = np.maximum(np.tensordot(p.setting.futures.probability, serving, axes=1), 0.0)
    found: dict[tuple[int, str], Array] = {}
    for q, pool in enumerate(g.pools):
        for w in range(len(g.services)):
            path = mean[q, w] * p.setting.rates.serve[q, w]
            if path.any():
                key = w, pool.chip + (", leased" if pool.leased else "")
                found[key] = found.get(key, np.zeros(g.T)) + path
    return [
        {"service": g.services[w].id, "name": g.services[w].name, "region": g.services[w].region, "chip": chip,
         "month": g.months[t], "rate_per_s": float(path[t])}
        for (w, chip), path in found.items()
        for t in range(g.start, g.T)
    ]  # fmt: skip


def fan_table(solved: Solved) -> list[Row]:
    """Return a row per month of what spreads over the futures: demand served by worth, and chips that may run."""
    g, p = solved.grid, solved.program
    f = p.setting.futures
    chips = (stock_paths(p, solved.answer.x) * (g.run[None] & f.usable)).sum(axis=1) * THOUSAND
    paths = {"demand served, by worth": _served(solved), "chips that may run": chips}
    rows = []
    for what, path in paths.items():
        for t in range(g.start, g.T):
            order = np.argsort(path[:, t], kind="stable")
            reached = np.cumsum(f.probability[order])
            at = [path[order[min(int(np.searchsorted(reached, x - 1e-12)), f.n - 1)], t] for x in POINTS]
            named = {f"p{round(100 * x)}": float(v) for x, v in zip(POINTS, at, strict=True)}
            rows.append({"what": what, "month": g.months[t], "mean": float(f.probability @ path[:, t]), **named})
    return rows if g.services else [r for r in rows if r["what"] != "demand served, by worth"]


def _served(solved: Solved) -> Array:
    """Return the share of all services' demand that is served, by worth [S, T]."""
    g, p = solved.grid, solved.program
    f, c = p.setting.futures, p.setting.columns
    asked, lost = np.zeros((f.n, g.T)), np.zeros((f.n, g.T))
    for w in range(len(g.services)):
        size = max(float(g.demand[w].max()), 1e-30)
        per_peak = np.divide(g.mean[w], g.demand[w], out=np.zeros(g.T), where=g.demand[w] > 0) * g.worth[w]
        asked += g.demand[w] * f.demand[:, w] * per_peak
        live = c.short[:, w] != ABSENT
        lost += np.where(live, solved.answer.x[np.maximum(c.short[:, w], 0)], 0.0) * size * per_peak
    return np.asarray(1.0 - np.divide(lost, asked, out=np.zeros_like(lost), where=asked > 0))

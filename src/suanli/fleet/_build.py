"""From a case, a view and a reading of the budgets to the numbers of the plan."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from suanli.errors import InputError
from suanli.fleet._figure import Dated, Fig, ordinal
from suanli.fleet._frozen import NOTHING, Frozen, begun_spend, placed_orders, with_orders, with_works
from suanli.fleet._grid import (
    MEGA,
    Bills,
    Grid,
    Option,
    Project,
    curves,
    demand_arrays,
    energy_arrays,
    learning,
    line_arrays,
    months_of,
    order_months,
    pools_of,
    price_arrays,
    project_arrays,
)
from suanli.fleet._lines import THOUSAND, Array, Line, month_list, steps, usd
from suanli.fleet._schema import CaseSpec, Variant, View
from suanli.fleet.mathematics import Shares

Bools = NDArray[np.bool_]


def as_known(spec: CaseSpec, view: View) -> CaseSpec:
    """Return the case without the parts that became known after the view's day.

    Raises InputError where nothing is left of a list that must hold something.
    """
    out = _known(spec, view.facts_to or view.known_to)
    assert isinstance(out, CaseSpec)
    for service in out.services:
        if not service.demand:
            raise InputError(f"services: nothing is known of the demand of '{service.id}' on {view.known_to}")
    return out


def _known(node: Any, day: dt.date) -> Any:
    if isinstance(node, Fig):
        return node
    if isinstance(node, BaseModel):
        parts = {name: getattr(node, name) for name in type(node).model_fields}
        changed = {name: _known(value, day) for name, value in parts.items()}
        return node.model_copy(update={k: v for k, v in changed.items() if v is not parts[k]})
    if isinstance(node, list):
        kept = [x for x in node if not (isinstance(x, Dated) and x.known_from and x.known_from > day)]
        return [_known(x, day) for x in kept]
    if isinstance(node, dict):
        return {key: _known(value, day) for key, value in node.items()}
    return node


def grid_of(
    spec: CaseSpec,
    view: View,
    lines: Sequence[Line],
    *,
    bills: Bills,
    arrive: Bools,
    run: Bools,
    tokens: Array,
    variant: Variant | None = None,
    frozen: Frozen = NOTHING,
) -> Grid:
    """Return the arrays of a case. ``arrive`` and ``run`` [J, T] are rulings, ``tokens`` [R] the runs' tokens.

    ``frozen`` is what an earlier plan began.
    """
    months = month_list(spec)
    axes = _axes(spec, lines, months)
    start = months_of(view, months)
    projects = project_arrays(spec, months, axes["pots"], view, dict(frozen.begun))
    grid = Grid(
        start=start, arrive=arrive, run=run, committed=(), projects=projects, run_tokens=tokens,
        order=order_months(lines, months, start, projects),
        project_of=np.array([_project(x, [p.name for p in projects]) for x in lines], dtype=np.int64),
        discount=(1.0 + spec.risk.discount.si) ** (-np.maximum(np.arange(len(months)) - start, 0) / 12.0),
        cvar=(spec.risk.cvar_weight.si, spec.risk.cvar_tail.si),
        budget=budgets(spec, axes["years"], variant),
        options=options(spec, months, axes["pots"]),
        **axes, **_machines(spec, lines, months, bills, projects), **_asked(spec, months), **_limits(spec, months),
    )  # fmt: skip
    grid = with_orders(grid, placed_orders(spec, view, frozen))
    return with_works(replace(grid, spent=begun_spend(grid, grid.projects)), frozen)


def _axes(spec: CaseSpec, lines: Sequence[Line], months: Sequence[str]) -> dict[str, Any]:
    """Return what the axes of a grid stand for, by its field."""
    years, year = np.unique([int(m[:4]) for m in months], return_inverse=True)
    return {
        "months": tuple(months), "years": tuple(int(y) for y in years), "year": year.astype(np.int64),
        "lines": tuple(lines), "pools": pools_of(lines), "services": tuple(spec.services), "runs": tuple(spec.runs),
        "sites": tuple(s.id for s in spec.sites), "pots": tuple(p.id for p in spec.pots),
        "covers": tuple(frozenset(p.covers) for p in spec.pots), "carry": tuple(p.carry_over for p in spec.pots),
        "allocations": tuple(a.name for a in spec.allocations),
    }  # fmt: skip


def _machines(
    spec: CaseSpec, lines: Sequence[Line], months: Sequence[str], bills: Bills, projects: Sequence[Project]
) -> dict[str, Any]:
    """Return what a thousand chips of each line cost, draw, hold up and are made of, by the grid's field."""
    learnt = learning(lines, months, bills, projects)
    price, chip_price, fabric_price, rent = price_arrays(spec, lines, months, bills, learnt)
    allotted, parts = allocations(spec, lines, months)
    draw, energy = energy_arrays(spec, lines, months, bills)
    curve, stay = curves(lines)
    return {
        "price": price, "chip_price": chip_price, "fabric_price": fabric_price, "rent": rent,
        "curve": curve, "stay": stay, "draw": draw, "energy": energy,
        "wafers": np.stack([wafers_of(x, months) for x in lines]) + bills.wafers[:, None] / learnt,
        "allotted": allotted, "parts": parts, **line_arrays(lines, months),
    }  # fmt: skip


def _asked(spec: CaseSpec, months: Sequence[str]) -> dict[str, Any]:
    """Return what services and runs ask for, and what falling short of it costs, by the grid's field."""
    peak, mean = demand_arrays(spec, months)
    return {
        "demand": peak,
        "mean": mean,
        "worth": np.array([worth(spec, w) for w in range(len(spec.services))]),
        "minimum": np.array([s.minimum.si if s.minimum is not None else 0.0 for s in spec.services]),
        "run_window": tuple(window(months, r.earliest, r.deadline) for r in spec.runs),
        "run_cost": np.array([usd(spec, r.missing, r.deadline) / MEGA if r.missing else 0.0 for r in spec.runs]),
        "run_delay": np.array([usd(spec, r.delay, r.deadline) / MEGA if r.delay else 0.0 for r in spec.runs]),
    }


def _limits(spec: CaseSpec, months: Sequence[str]) -> dict[str, Any]:
    """Return what sites, suppliers and foundries have, by the grid's field."""
    return {
        "power": np.stack([steps([(p.since, p.power.si) for p in s.power], months) for s in spec.sites]),
        "supplier_cap": supplier_caps(spec, months),
        "foundry_cap": {f.id: f.wafers.si * (1.0 - f.phones.si) * f.buyer_share.si for f in spec.foundries},
    }


def budgets(spec: CaseSpec, years: Sequence[int], variant: Variant | None) -> Array:
    """Return the budget of each pot and year in MUSD; infinite where none is stated."""
    out = np.full((len(spec.pots), len(years)), np.inf)
    for p, pot in enumerate(spec.pots):
        stated = {b.year: b.amount for b in pot.budgets}
        if variant is not None and pot.id in variant.budgets:
            stated |= {b.year: b.amount for b in variant.budgets[pot.id]}
        for y, year in enumerate(years):
            if year in stated:
                out[p, y] = usd(spec, stated[year], f"{year}-01") / MEGA
    return out


def options(spec: CaseSpec, months: Sequence[str], pots: Sequence[str]) -> tuple[Option, ...]:
    """Return the ways to add power, in MW and MUSD."""
    return tuple(
        Option(
            site=i,
            name=f"{o.id} at {s.name}",
            cost=usd(spec, o.cost, months[0]) / MEGA,
            lead=o.lead_months,
            limit=o.limit.si,
            pot=pots.index(o.pot) if o.pot is not None else None,
            lot=o.lot.si if o.lot is not None else 0.0,
        )
        for i, s in enumerate(spec.sites)
        for o in s.options
    )


def worth(spec: CaseSpec, w: int) -> float:
    """Return USD lost with one unserved request: its value and its penalty."""
    service = spec.services[w]
    first = spec.horizon.first
    earned = usd(spec, service.value, first) if service.value is not None else 0.0
    return earned + usd(spec, service.unserved, first)


def window(months: Sequence[str], first: str, last: str) -> tuple[int, int]:
    """Return the month indices from ``first`` to ``last`` inside the horizon."""
    origin = ordinal(months[0])
    return max(0, ordinal(first) - origin), min(len(months) - 1, ordinal(last) - origin)


def wafers_of(line: Line, months: Sequence[str]) -> Array:
    """Return [T]: wafers behind one chip ordered in each month, as the yield is learnt; zero where none is stated."""
    wafers = line.offer.wafers if line.offer is not None else None
    if wafers is None:
        return np.zeros(len(months))
    at = np.array([ordinal(m) for m in months], dtype=np.float64)
    points = {ordinal(p.since): p.share.si for p in sorted(wafers.yields, key=lambda p: p.since)}
    good = np.interp(at, list(points), list(points.values())) if points else np.full(len(months), wafers.yield_share.si)
    return np.asarray(wafers.dies_per_chip / (wafers.dies_per_wafer.si * good))


def allocations(spec: CaseSpec, lines: Sequence[Line], months: Sequence[str]) -> tuple[Array, Array]:
    """Return (thousand parts a month [A, T], parts in a chip [A, J]) of what is allotted to this buyer."""
    allotted = np.zeros((len(spec.allocations), len(months)))
    parts = np.zeros((len(spec.allocations), len(lines)))
    for a, allocation in enumerate(spec.allocations):
        per_month = [(p.since, p.amount.si) for p in sorted(allocation.amounts, key=lambda p: p.since)]
        allotted[a] = steps(per_month, months) / THOUSAND
        for j, line in enumerate(lines):
            stated = line.offer.parts if line.offer is not None else []
            parts[a, j] = sum(p.per_chip.si for p in stated if p.allocation == allocation.id)
    return allotted, parts


def supplier_caps(spec: CaseSpec, months: Sequence[str]) -> Mapping[str, Array]:
    """Return thousand chips a month that this buyer can get from each supplier with a stated output."""
    out: dict[str, Array] = {}
    for s in spec.suppliers:
        if s.capacity:
            part = s.buyer_share.si if s.buyer_share is not None else 1.0
            out[s.id] = steps([(p.since, p.output.si) for p in s.capacity], months) * part / 12.0 / THOUSAND
    return out


def _project(line: Line, names: Sequence[str]) -> int:
    return names.index(line.offer.build) if line.offer is not None and line.offer.build is not None else -1


def shares_of(spec: CaseSpec, lines: Sequence[Line], years: Sequence[int]) -> tuple[Shares, ...]:
    """Return the least shares of spending, as the mathematics reads them."""
    pots = [p.id for p in spec.pots]
    return tuple(
        Shares(
            name=s.id,
            pot=pots.index(s.pot),
            years=tuple(y for y in s.years if y in years),
            lines=tuple(j for j, x in enumerate(lines) if x.supplier in s.suppliers),
            minimum=s.minimum.si,
            price=None if s.firm else (s.shortfall_cost.si if s.shortfall_cost is not None else 0.0),
        )
        for s in spec.shares
    )

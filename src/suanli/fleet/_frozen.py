"""What an earlier plan began, and how far it has come: orders, leases, sites, projects, training. None of it is undone.

An order is frozen with what has arrived of it, if that is known; else its offer's curve tells. What has not arrived is
still due. Money and supplier output that it took stay taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InputError
from suanli.fleet._figure import ordinal
from suanli.fleet._grid import Grid, Option, Project
from suanli.fleet._lines import THOUSAND, Array
from suanli.fleet._schema import CaseSpec, View

Arrivals = tuple[tuple[str, float], ...]
"""Months and thousand chips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An order placed: thousand chips, the price met over the stated one, and what arrived and is due, if known.

    ``due`` counts by the month in which the offer's curve would have brought it.
    """

    offer: str
    site: str
    month: str
    chips: float
    price: float = 1.0
    arrived: Arrivals | None = None
    due: Arrivals | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """What was begun before a plan decides.

    ``works`` are (option, month, MW), ``begun`` (project, month), ``done`` the share of a run's tokens trained;
    ``since`` is the first month that the earlier plan decided.
    """

    since: str
    orders: tuple[Placed, ...] = ()
    works: tuple[tuple[str, str, float], ...] = ()
    begun: tuple[tuple[str, str], ...] = ()
    done: Mapping[str, float] = field(default_factory=dict)


NOTHING = Frozen(since="")


def placed_orders(spec: CaseSpec, view: View, frozen: Frozen) -> tuple[Placed, ...]:
    """Return the orders placed before a view decides: the case's commitments, then an earlier plan's.

    An order that the case states itself (offer, site, month) stands as the case states it; what arrived of it may be
    told by the earlier plan.
    """
    out: dict[tuple[str, str, str], Placed] = {}
    known = {(o.offer, o.site, o.month): o for o in frozen.orders}
    for c in spec.commitments:
        one = Placed(offer=c.offer, site=c.site, month=c.month, chips=c.quantity.si / THOUSAND)
        if c.arrived is not None:
            one = replace(one, arrived=((view.orders_from, c.arrived.si / THOUSAND),))
        key = (c.offer, c.site, c.month)
        before = out[key].chips if key in out else 0.0
        told = known.get(key) if one.arrived is None else None
        out[key] = told or replace(one, chips=one.chips + before)
    out |= {key: order for key, order in known.items() if key not in out}
    return tuple(x for x in out.values() if ordinal(x.month) < ordinal(view.orders_from))


def with_orders(grid: Grid, orders: Sequence[Placed]) -> Grid:
    """Return the arrays with orders placed before: what is there of them, what is due, what was paid.

    Raises InputError for an order whose offer is not made at its site.
    """
    index = {(x.offer.id, x.site): j for j, x in enumerate(grid.lines) if x.offer is not None}
    origin = ordinal(grid.months[0])
    committed, due = [], []
    given, paid = grid.given.copy(), np.ones((grid.J, grid.T))
    for order in orders:
        if (order.offer, order.site) not in index:
            raise InputError(f"commitments: offer '{order.offer}' is not made at site '{order.site}'")
        j, month = index[order.offer, order.site], ordinal(order.month) - origin
        committed.append((j, month, order.chips))
        if 0 <= month < grid.T:
            paid[j, month] = order.price
        came, coming = _met(grid, j, month, order, origin)
        due += [(j, t, q) for t, q in coming]
        for t, q in came:
            given[j] += _aged(grid, j, t, q)
    return replace(grid, committed=tuple(committed), due=tuple(due), given=given, paid=paid)


def _met(
    grid: Grid, j: int, month: int, order: Placed, origin: int
) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """Return (what arrived, what is due) of an order as (month index, thousand chips)."""
    nominal = [(month + lag, order.chips * float(share)) for lag, share in enumerate(grid.curve[j]) if share > 0]
    past = [(t, q) for t, q in nominal if t < grid.start]
    coming = [(t, q) for t, q in nominal if t >= grid.start]
    if order.arrived is None:
        return [(t, q) for t, q in past if t < 0 or grid.arrive[j, t]], coming
    if order.due is not None:
        told = [(ordinal(m) - origin, q) for m, q in order.arrived]
        return told, [(ordinal(m) - origin, q) for m, q in order.due]
    total = sum(q for _, q in order.arrived)
    planned = sum(q for _, q in past)
    came = [(t, q * total / planned) for t, q in past] if planned > 0 else [(grid.start, total)] if total > 0 else []
    rest, left = max(order.chips - total, 0.0), sum(q for _, q in coming)
    if rest <= 0:
        return came, []
    return came, [(t, q * rest / left) for t, q in coming] if left > 0 else [(grid.start, rest)]


def _aged(grid: Grid, j: int, t: int, quantity: float) -> Array:
    """Return [T]: thousand chips of those that arrived in month ``t``, as they fail and leave."""
    age = np.arange(grid.T) - t
    there = (age >= 0) & (age < grid.stay[j])
    return np.asarray(np.where(there, quantity * (1.0 - grid.failures[j]) ** np.maximum(age, 0), 0.0))


def with_works(grid: Grid, frozen: Frozen) -> Grid:
    """Return the arrays with sites and training as an earlier plan left them: power, its money, tokens done.

    Raises InputError for a way to add power that the case does not have.
    """
    names = {o.name: i for i, o in enumerate(grid.options)}
    options, power = list(grid.options), grid.power.copy()
    spent = grid.spent.copy() if grid.spent.size else np.zeros((len(grid.pots), len(grid.years)))
    origin = ordinal(grid.months[0])
    for name, month, megawatt in frozen.works:
        if name not in names:
            raise InputError(f"the earlier plan added power by '{name}', which the case does not have")
        o, t = names[name], ordinal(month) - origin
        option: Option = options[o]
        options[o] = replace(option, built=option.built + megawatt)
        power[option.site, max(t + option.lead, 0) :] += megawatt
        if option.pot is not None and 0 <= t < grid.T and "sites" in grid.covers[option.pot]:
            spent[option.pot, grid.year[t]] += megawatt * option.cost
    return replace(
        grid, options=tuple(options), power=power, spent=spent, since=_since(grid, frozen),
        run_done=tuple(min(1.0, max(0.0, frozen.done.get(r.id, 0.0))) for r in grid.runs),
    )  # fmt: skip


def _since(grid: Grid, frozen: Frozen) -> int:
    return max(0, ordinal(frozen.since) - ordinal(grid.months[0])) if frozen.since else grid.start


def begun_spend(grid: Grid, projects: Sequence[Project]) -> NDArray[np.float64]:
    """Return [P, Y]: MUSD that projects begun earlier have taken of each pot and year."""
    out = np.zeros((len(grid.pots), len(grid.years)))
    for project in projects:
        if project.pot is not None and 0 <= project.begun < grid.T and "builds" in grid.covers[project.pot]:
            out[project.pot, grid.year[project.begun]] += project.spent_before
    return out

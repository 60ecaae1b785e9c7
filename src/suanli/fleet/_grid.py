"""The case as numbers: every array that the mathematics reads, in thousand chips, MUSD, MW."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from suanli.fleet._figure import ordinal
from suanli.fleet._lines import (
    HOURS_A_MONTH,
    THOUSAND,
    Array,
    Line,
    increments,
    monthly_failures,
    path,
    prices,
    spare_share,
    stay,
    steps,
    stock_path,
    usd,
)
from suanli.fleet._schema import CaseSpec, View
from suanli.fleet._schema_work import Run, Service, UserPoint
from suanli.quantities import DAY

Bools = NDArray[np.bool_]
MEGA = 1e6
SECONDS_A_MONTH = HOURS_A_MONTH * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One way to add power at a site, in MW and MUSD; ``built`` is what an earlier plan began to add."""

    site: int
    name: str
    cost: float
    lead: int
    limit: float
    pot: int | None
    lot: float = 0.0
    built: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A chip project: MUSD before the first chip, the first month of volume, and wafers a month.

    ``begun`` is the month in which an earlier plan began it and spent ``spent_before``; -1 where none did.
    """

    name: str
    cost: float
    spent_before: float
    pot: int | None
    start: int
    volume: int
    wafers: float
    begun: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Chips that can stand in for each other: one chip in one region, leased or owned."""

    chip: str
    region: str
    leased: bool
    lines: tuple[int, ...]

    @property
    def name(self) -> str:
        """How the pool is told."""
        return f"{self.chip} in {self.region}" + (", leased" if self.leased else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What a thousand chips do: ``serve`` [Q, W] requests/s; ``train`` (run, pool) -> (widths in thousand chips,
    tokens/s per thousand chips in each width), falling."""

    serve: Array
    train: Mapping[tuple[int, int], tuple[Array, Array]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Index sets and arrays of one case seen from one view.

    Axes: T months, J lines, S sites, P pots, Q pools, W services, R runs. ``price`` [J, T] MUSD per thousand chips,
    all in, of which ``chip_price`` is the chip; ``rent`` [J, T] MUSD per thousand chips and month; ``draw`` [J] MW
    per thousand chips at the meter; ``energy`` [J, T] MUSD per thousand chips and month; ``arrive`` and ``run``
    [J, T] rulings; ``order`` [J, T] months in which orders may be placed; ``given`` [J, T] thousand chips of stock
    and of earlier orders that came; ``committed`` earlier orders as (line, month, thousand chips), of which ``due`` as
    (line, month by the curve, thousand chips) is still to come; ``paid`` [J, T] the price met over the stated one;
    ``spent`` [P, Y] MUSD of sites and projects begun before; ``run_done`` the share of a run trained before;
    ``since`` the first month whose wafers count;
    ``demand`` [W, T] peak requests/s and ``mean`` [W, T] mean requests a month, millions; ``wafers`` [J, T] behind a
    chip; ``end_value`` [J] share of the price that a retired chip brings; ``allotted`` [A, T] thousand parts a month
    and ``parts`` [A, J] of them in a chip.
    """

    months: tuple[str, ...]
    start: int
    years: tuple[int, ...]
    year: NDArray[np.int64]
    lines: tuple[Line, ...]
    pools: tuple[Pool, ...]
    services: tuple[Service, ...]
    runs: tuple[Run, ...]
    sites: tuple[str, ...]
    pots: tuple[str, ...]
    covers: tuple[frozenset[str], ...]
    budget: Array
    carry: tuple[bool, ...]
    discount: Array
    price: Array
    chip_price: Array
    fabric_price: Array
    rent: Array
    curve: tuple[Array, ...]
    stay: NDArray[np.int64]
    failures: Array
    spares: Array
    deposit: Array
    loss: Array
    take_or_pay: Array
    draw: Array
    energy: Array
    arrive: Bools
    run: Bools
    order: Bools
    given: Array
    committed: tuple[tuple[int, int, float], ...]
    demand: Array
    mean: Array
    worth: Array
    minimum: Array
    run_tokens: Array
    run_window: tuple[tuple[int, int], ...]
    run_cost: Array
    run_delay: Array
    power: Array
    options: tuple[Option, ...]
    projects: tuple[Project, ...]
    project_of: NDArray[np.int64]
    wafers: Array
    end_value: Array
    allocations: tuple[str, ...]
    allotted: Array
    parts: Array
    supplier_cap: Mapping[str, Array]
    foundry_cap: Mapping[str, float]
    cvar: tuple[float, float]
    due: tuple[tuple[int, int, float], ...] = ()
    paid: Array = field(default_factory=lambda: np.zeros((0, 0)))
    spent: Array = field(default_factory=lambda: np.zeros((0, 0)))
    run_done: tuple[float, ...] = ()
    since: int = 0

    @property
    def T(self) -> int:  # noqa: N802 - the letter of the mathematics
        """Number of months."""
        return len(self.months)

    @property
    def J(self) -> int:  # noqa: N802
        """Number of lines."""
        return len(self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bills:
    """What a line's chips need beside their list price, per chip: fabric in USD and W, server power in W.

    For chips of one's own ``unit_usd`` is what one costs at mature yield, ``die_usd`` the part of it that falls as the
    yield is learnt, ``wafers`` what one takes of the project's starts, ``ramp`` the yield over its mature value in each
    month of volume.
    """

    fabric_usd: Array
    fabric_w: Array
    chip_w: Array
    unit_usd: Array
    die_usd: Array
    wafers: Array
    ramp: Mapping[str, Array]


def months_of(view: View, months: Sequence[str]) -> int:
    """Return the index of the first month in which the view decides."""
    return ordinal(view.orders_from) - ordinal(months[0])


def pools_of(lines: Sequence[Line]) -> tuple[Pool, ...]:
    """Return the pools of interchangeable chips, in order of first line."""
    found: dict[tuple[str, str, bool], list[int]] = {}
    for j, line in enumerate(lines):
        found.setdefault((line.chip, line.region, line.leased), []).append(j)
    return tuple(Pool(chip=c, region=r, leased=x, lines=tuple(js)) for (c, r, x), js in found.items())


def price_arrays(
    spec: CaseSpec, lines: Sequence[Line], months: Sequence[str], bills: Bills, learnt: Array
) -> tuple[Array, Array, Array, Array]:
    """Return (all-in price, chip price, fabric price, rent) in MUSD per thousand chips (and month), [J, T].

    ``learnt`` [J, T] is the yield over its mature value, from ``learning``.
    """
    shape = (len(lines), len(months))
    chip, rent, full, fabric = (np.zeros(shape) for _ in range(4))
    for j, line in enumerate(lines):
        if line.offer is None:
            continue
        buy, hourly = prices(spec, line, months)
        if line.offer.way == "build":
            buy = bills.unit_usd[j] + bills.die_usd[j] * (1.0 / learnt[j] - 1.0)
        server = line.offer.server.si if line.offer.server is not None else 1.0
        chip[j] = buy * THOUSAND / MEGA
        fabric[j] = bills.fabric_usd[j] * THOUSAND / MEGA
        full[j] = chip[j] * server + fabric[j]
        rent[j] = hourly * HOURS_A_MONTH * THOUSAND / MEGA
    return full, chip, fabric, rent


def energy_arrays(spec: CaseSpec, lines: Sequence[Line], months: Sequence[str], bills: Bills) -> tuple[Array, Array]:
    """Return (MW per thousand chips at the meter [J], MUSD per thousand chips and month for power and upkeep [J, T]).

    Leased machines draw the operator's power; their rent pays for it.
    """
    sites = {s.id: s for s in spec.sites}
    draw, cost = np.zeros(len(lines)), np.zeros((len(lines), len(months)))
    for j, line in enumerate(lines):
        site = sites[line.site]
        draw[j] = (bills.chip_w[j] + bills.fabric_w[j]) * site.pue.si * THOUSAND / 1e6
        if line.leased:
            continue
        tariff = steps([(p.since, usd(spec, p.price, p.since)) for p in site.electricity], months)
        tariff[tariff == 0] = usd(spec, site.electricity[0].price, months[0])
        yearly = usd(spec, site.upkeep, months[0]) if site.upkeep is not None else 0.0
        cost[j] = draw[j] * (1e3 * HOURS_A_MONTH * tariff + yearly / 12.0) / MEGA
    return draw, cost


def mean_rate(service: Service, point: UserPoint) -> float:
    """Return the mean requests/s of a point of demand: stated, or users x active share x requests a day."""
    if point.rate is not None:
        return point.rate.si
    assert point.users is not None
    daily = service.requests_per_user.si if service.requests_per_user is not None else 1.0
    active = service.active.si if service.active is not None else 1.0
    return point.users.si * active * daily / DAY


def demand_arrays(spec: CaseSpec, months: Sequence[str]) -> tuple[Array, Array]:
    """Return (peak requests/s [W, T], mean requests in a month in millions [W, T])."""
    w = len(spec.services)
    peak, mean = np.zeros((w, len(months))), np.zeros((w, len(months)))
    for i, service in enumerate(spec.services):
        rate = path([(p.month, mean_rate(service, p)) for p in service.demand if not isinstance(p, str)], months)
        peak[i] = rate * service.peak.si
        mean[i] = rate * SECONDS_A_MONTH / MEGA
    return peak, mean


def project_arrays(
    spec: CaseSpec, months: Sequence[str], pots: Sequence[str], view: View, begun: Mapping[str, str]
) -> tuple[Project, ...]:
    """Return the chip projects with their cost still to spend and their first month of volume.

    ``begun`` are those that an earlier plan began and paid for, by the month of it.
    """
    out = []
    origin = ordinal(months[0])
    for b in spec.builds:
        total = (usd(spec, b.nre, b.start) + usd(spec, b.masks, b.start)) / MEGA
        started = ordinal(b.start) < ordinal(view.orders_from)
        sunk = b.sunk.si if b.sunk is not None and started else 0.0
        length = round(sum(s.months.si for s in b.stages))
        begin = ordinal(b.start) if started else max(ordinal(b.start), ordinal(view.orders_from))
        if b.id in begun:
            begin, sunk = (begin if started else max(ordinal(b.start), ordinal(begun[b.id]))), 1.0
        out.append(
            Project(
                name=b.id,
                cost=total * (1.0 - sunk),
                spent_before=total * sunk,
                pot=pots.index(b.pot) if b.pot is not None else None,
                start=max(0, ordinal(view.orders_from) - origin),
                volume=begin + length - origin,
                wafers=b.wafer_starts.si,
                begun=ordinal(begun[b.id]) - origin if b.id in begun else -1,
            )
        )
    return tuple(out)


def learning(lines: Sequence[Line], months: Sequence[str], bills: Bills, projects: Sequence[Project]) -> Array:
    """Return [J, T]: yield of chips of one's own over its mature value by month of order, one for all others."""
    out = np.ones((len(lines), len(months)))
    volume = {p.name: p.volume for p in projects}
    for j, line in enumerate(lines):
        build = line.offer.build if line.offer is not None else None
        if build is not None and build in bills.ramp:
            ramp = bills.ramp[build]
            age = np.arange(len(months)) - volume[build]
            out[j] = np.interp(age, np.arange(len(ramp)), ramp)
    return out


def line_arrays(lines: Sequence[Line], months: Sequence[str]) -> dict[str, Array]:
    """Return the plain per-line arrays: failures, spares, deposit, loss, end_value, take_or_pay [J], given [J, T]."""

    def share(name: str, absent: float) -> Array:
        values = [getattr(x.offer, name, None) if x.offer is not None else None for x in lines]
        return np.array([absent if v is None else v.si for v in values])

    leases = [x.offer.lease.take_or_pay.si if x.offer and x.offer.lease else 1.0 for x in lines]
    return {
        "failures": np.array([monthly_failures(x) for x in lines]),
        "spares": np.array([spare_share(x) for x in lines]),
        "deposit": share("deposit", 0.0),
        "loss": share("loss_of_value", 1.0),
        "end_value": share("end_value", 0.0),
        "take_or_pay": np.array(leases),
        "given": np.stack([stock_path(x, months) for x in lines]),
    }


def curves(lines: Sequence[Line]) -> tuple[tuple[Array, ...], NDArray[np.int64]]:
    """Return (share delivered by months since order, for each line; months that a chip stays [J])."""
    shares = tuple(increments(x.offer) if x.offer is not None else np.zeros(1) for x in lines)
    return shares, np.array([stay(x) for x in lines], dtype=np.int64)


def order_months(lines: Sequence[Line], months: Sequence[str], start: int, projects: Sequence[Project]) -> Bools:
    """Return where orders may be placed: on sale, from the view's first month, after the project's stages."""
    out = np.zeros((len(lines), len(months)), dtype=bool)
    at = np.array([ordinal(m) for m in months])
    volume = {p.name: p.volume for p in projects}
    for j, line in enumerate(lines):
        if line.offer is None:
            continue
        on_sale = np.arange(len(months)) >= start
        if line.offer.first is not None:
            on_sale &= at >= ordinal(line.offer.first)
        if line.offer.last is not None:
            on_sale &= at <= ordinal(line.offer.last)
        if line.offer.build is not None:
            on_sale &= np.arange(len(months)) >= volume[line.offer.build]
        out[j] = on_sale
    return out

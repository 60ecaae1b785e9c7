"""Lines of supply: an offer, or a stock, at one site, as arrays over months."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InputError
from suanli.fleet._figure import Money, first_day, month_of, ordinal
from suanli.fleet._schema import CaseSpec, Site
from suanli.fleet._schema_offers import Offer, Stock

Array = NDArray[np.float64]
THOUSAND = 1e3
HOURS_A_MONTH = 730.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One offer or stock at one site. ``chip`` is the chip's id; ``offer`` is None for stock."""

    id: str
    offer: Offer | None
    stock: Stock | None
    site: str
    region: str
    country: str
    owner: str
    chip: str
    supplier: str
    pot: str | None

    @property
    def leased(self) -> bool:
        """Whether the machines belong to somebody else."""
        return self.offer is not None and self.offer.way == "lease"

    def answers_to(self, names: Sequence[str]) -> bool:
        """Return whether an effect on ``names`` reaches the line."""
        item = self.offer if self.offer is not None else self.stock
        assert item is not None
        own = {item.id, item.chip, self.chip, self.supplier, self.site, self.region, self.owner, "*"}
        return not own.isdisjoint(names)


def lines_of(spec: CaseSpec, chip_ids: dict[str, str]) -> tuple[Line, ...]:
    """Return the lines of a case: offers in order, each at its sites, then stocks."""
    sites = {s.id: s for s in spec.sites}
    bought = [_line(sites[name], chip_ids[o.chip], offer=o) for o in spec.offers for name in o.sites]
    return (*bought, *(_line(sites[s.site], chip_ids[s.chip], stock=s) for s in spec.stock))


def _line(site: Site, chip: str, *, offer: Offer | None = None, stock: Stock | None = None) -> Line:
    item = offer if offer is not None else stock
    assert item is not None
    return Line(
        id=f"{item.id}@{site.id}" if offer is not None else item.id,
        offer=offer,
        stock=stock,
        site=site.id,
        region=site.region,
        country=site.country,
        owner=site.owner,
        chip=chip,
        supplier=item.supplier,
        pot=offer.pot if offer is not None else None,
    )


def month_list(spec: CaseSpec) -> tuple[str, ...]:
    """Return the months of the horizon."""
    first, last = ordinal(spec.horizon.first), ordinal(spec.horizon.last)
    return tuple(month_of(m) for m in range(first, last + 1))


def usd(spec: CaseSpec, amount: Money, month: str) -> float:
    """Return money in USD at the exchange rate that the case states for ``month``.

    Raises InputError for a currency without a rate.
    """
    if amount.code == "USD":
        return amount.si
    return amount.si / per_usd(spec, amount.code, month)


def per_usd(spec: CaseSpec, code: str, month: str) -> float:
    """Return units of currency ``code`` for one USD in ``month``: the latest stated rate, else the first."""
    rates = [x for x in spec.exchange if x.currency == code]
    if code == "USD":
        return 1.0
    if not rates:
        raise InputError(f"exchange: the case states no rate for {code}")
    day = first_day(month)
    past = [x for x in rates if x.since <= day]
    return (past[-1] if past else rates[0]).per_usd.si


def path(points: Sequence[tuple[str, float]], months: Sequence[str]) -> Array:
    """Return values at ``months`` on straight lines in the logarithm between ``points``, flat outside them.

    Of two points in one month the later stated one counts.
    """
    points = sorted(dict(points).items())
    at = np.array([ordinal(m) for m, _ in points], dtype=np.float64)
    values = np.log(np.maximum(np.array([v for _, v in points], dtype=np.float64), 1e-300))
    out: Array = np.exp(np.interp([ordinal(m) for m in months], at, values))
    return out


def steps(points: Sequence[tuple[str, float]], months: Sequence[str]) -> Array:
    """Return values at ``months`` that hold from each point until the next; zero before the first."""
    out = np.zeros(len(months))
    for since, value in points:
        out[np.array([ordinal(m) >= ordinal(since) for m in months])] = value
    return out


def prices(spec: CaseSpec, line: Line, months: Sequence[str]) -> tuple[Array, Array]:
    """Return (price per chip, rent per chip and hour) in USD by month of order; zero where not stated."""
    empty = np.zeros(len(months))
    if line.offer is None or not line.offer.prices:
        return empty, empty
    buys = [(p.since, usd(spec, p.price, p.since)) for p in line.offer.prices if p.price is not None]
    rents = [(p.since, usd(spec, p.rent, p.since)) for p in line.offer.prices if p.rent is not None]
    return (path(buys, months) if buys else empty), (path(rents, months) if rents else empty)


def increments(offer: Offer) -> Array:
    """Return the share of an order delivered 0, 1, 2 ... months after it (sums to the curve's last share)."""
    if offer.lease is not None:
        lead = offer.lease.notice_months
        return _all_after(lead)
    if not offer.delivery:
        return _all_after(offer.lead_months)
    at = np.array([0, *(p.months for p in offer.delivery)], dtype=np.float64)
    shares = np.array([0.0, *(p.share.si for p in offer.delivery)])
    if offer.delivery[0].months == 0:
        at, shares = at[1:], shares[1:]
    cumulative = np.interp(np.arange(int(at[-1]) + 1), at, shares)
    out: Array = np.diff(cumulative, prepend=0.0)
    return out


def _all_after(months: int) -> Array:
    out = np.zeros(months + 1)
    out[months] = 1.0
    return out


def stay(line: Line) -> int:
    """Return the months from a chip's delivery to its leaving."""
    if line.offer is not None:
        return line.offer.lease.term_months if line.offer.lease is not None else line.offer.life_months
    assert line.stock is not None
    return line.stock.life_months


def monthly_failures(line: Line) -> float:
    """Return the share of chips lost for good in a month; none on leased machines, which the operator replaces."""
    item = line.offer if line.offer is not None else line.stock
    assert item is not None
    if line.leased or item.failures is None:
        return 0.0
    return float(1.0 - (1.0 - item.failures.si) ** (1.0 / 12.0))


def spare_share(line: Line) -> float:
    """Return the share of the chips that is kept as spares."""
    item = line.offer if line.offer is not None else line.stock
    assert item is not None
    return item.spares.si if item.spares is not None else 0.0


def stock_path(line: Line, months: Sequence[str]) -> Array:
    """Return the chips (thousand) of a stock line by month: failing slowly, retired at the end of life."""
    out = np.zeros(len(months))
    if line.stock is None:
        return out
    age = np.array([ordinal(m) - ordinal(line.stock.since) for m in months])
    alive = (age >= 0) & (age < line.stock.life_months)
    left = (1.0 - monthly_failures(line)) ** np.maximum(age, 0)
    out[alive] = (line.stock.quantity.si / THOUSAND * left)[alive]
    return out

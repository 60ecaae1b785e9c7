"""What each part of a plan's cost rests on: the sourced values of the case, part by part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from suanli.fleet._plan import Outlook
from suanli.fleet._provenance import Node, sourced
from suanli.fleet._results import Row
from suanli.fleet._schema import CaseSpec
from suanli.fleet._schema_offers import Offer
from suanli.sources import Figure


def part_inputs(outlook: Outlook, orders: list[Row], prefix: str) -> Mapping[str, dict[str, Node]]:
    """Return the inputs of each part of the cost, by the part's name."""
    spec = outlook.spec
    spent = {o.id: _spend(spec, o, [r for r in orders if r["offer"] == o.id], prefix) for o in spec.offers}
    used = {name: figure for name, figure in spent.items() if figure is not None}
    leases = {o.id for o in spec.offers if o.way == "lease"}
    return {
        "orders": {name: f for name, f in used.items() if name not in leases},
        "leases": {name: f for name, f in used.items() if name in leases},
        "machines there already": {**_stock(spec), **_power(spec)},
        "power of new machines": _power(spec),
        "sites": _options(spec),
        "projects": _projects(spec),
        "unserved requests": _unserved(spec),
        "unfinished runs": _runs(spec),
        "missing shares": _shares(spec),
    }


def _spend(spec: CaseSpec, offer: Offer, rows: list[Row], prefix: str) -> Figure | None:
    if not rows:
        return None
    return Figure(
        name=f"{prefix}.spend.{offer.id}",
        value=sum(r["usd"] for r in rows),
        unit="USD",
        formula="chips ordered x price with server and fabric (a lease: rent over its term), undiscounted",
        inputs=offer_inputs(spec, offer),
    )


def offer_inputs(spec: CaseSpec, offer: Offer) -> dict[str, Node]:
    """Return the sourced values of an offer: prices, delivery, terms."""
    out: dict[str, Node] = {}
    for point in offer.prices:
        figure = point.price if point.price is not None else point.rent
        if figure is not None:
            out[f"price from {point.since}"] = sourced(spec, f"{offer.id}.price.{point.since}", figure, figure.code)
    for step in offer.delivery:
        name = f"delivered by month {step.months}"
        out[name] = sourced(spec, f"{offer.id}.delivery.{step.months}", step.share, "%")
    units = {"server": "", "deposit": "%", "failures": "%", "spares": "%", "loss_of_value": "%", "end_value": "%",
             "power_factor": ""}  # fmt: skip
    for name, unit in units.items():
        value = getattr(offer, name)
        if value is not None:
            out[name] = sourced(spec, f"{offer.id}.{name}", value, unit)
    return out


def _stock(spec: CaseSpec) -> dict[str, Node]:
    out: dict[str, Node] = {f"stock {s.id}": sourced(spec, f"stock.{s.id}", s.quantity, "chip") for s in spec.stock}
    for c in spec.commitments:
        out[f"commitment {c.offer} {c.month}"] = sourced(spec, f"commitment.{c.offer}.{c.month}", c.quantity, "chip")
    return out


def _power(spec: CaseSpec) -> dict[str, Node]:
    out: dict[str, Node] = {}
    for site in spec.sites:
        out[f"pue of {site.id}"] = sourced(spec, f"{site.id}.pue", site.pue, "")
        for point in site.electricity:
            name = f"electricity of {site.id} from {point.since}"
            out[name] = sourced(spec, f"{site.id}.electricity.{point.since}", point.price, "USD/kWh")
        if site.upkeep is not None:
            out[f"upkeep of {site.id}"] = sourced(spec, f"{site.id}.upkeep", site.upkeep, "USD/MW")
    return out


def _options(spec: CaseSpec) -> dict[str, Node]:
    return {
        f"{option.id} at {site.id}": sourced(spec, f"{site.id}.{option.id}.cost", option.cost, "USD/MW")
        for site in spec.sites
        for option in site.options
    }


def _projects(spec: CaseSpec) -> dict[str, Node]:
    out: dict[str, Node] = {}
    for build in spec.builds:
        out[f"NRE of {build.id}"] = sourced(spec, f"{build.id}.nre", build.nre, "money")
        out[f"masks of {build.id}"] = sourced(spec, f"{build.id}.masks", build.masks, "money")
        for stage in build.stages:
            out[f"odds of {stage.name}"] = sourced(spec, f"{build.id}.{stage.name}.odds", stage.odds, "%")
    return out


def _unserved(spec: CaseSpec) -> dict[str, Node]:
    out: dict[str, Node] = {}
    for service in spec.services:
        out[f"cost of an unserved request to {service.id}"] = _per_request(spec, service.id, service.unserved)
        if service.value is not None:
            out[f"value of a request to {service.id}"] = _per_request(spec, f"{service.id}.value", service.value)
        for point in service.demand:
            assert not isinstance(point, str)
            figure = point.users if point.users is not None else point.rate
            if figure is not None:
                unit = "user" if point.users is not None else "request/s"
                out[f"demand for {service.id} in {point.month}"] = sourced(
                    spec, f"demand.{service.id}.{point.month}", figure, unit
                )
    return out


def _per_request(spec: CaseSpec, name: str, amount: Any) -> Node:
    return sourced(spec, f"{name}.per_request", amount, f"{amount.code}/request")


def _runs(spec: CaseSpec) -> dict[str, Node]:
    return {
        f"cost of missing {run.id}": sourced(spec, f"{run.id}.missing", run.missing, "money")
        for run in spec.runs
        if run.missing is not None
    }


def _shares(spec: CaseSpec) -> dict[str, Node]:
    return {
        f"cost of a missing USD of {share.id}": sourced(spec, f"{share.id}.shortfall_cost", share.shortfall_cost, "USD")
        for share in spec.shares
        if share.shortfall_cost is not None
    }

"""What the parts of a case name of each other: every reference with where it stands, and what it may name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from suanli.fleet._schema import CaseSpec

Location = tuple[str | int, ...]
Reference = tuple[str, Location, str]
"""The kind of part that is named, where, and its name."""


def ids(items: Sequence[Any]) -> set[str]:
    """Return the ids of ``items``."""
    return {item.id for item in items}


def known_ids(spec: CaseSpec) -> Mapping[str, set[str]]:
    """Return the names that a reference of each kind may have."""
    return {
        "party": ids(spec.parties),
        "site": ids(spec.sites),
        "pot": ids(spec.pots),
        "supplier": ids(spec.suppliers),
        "offer": ids(spec.offers),
        "build": ids(spec.builds),
        "fabric": ids(spec.fabrics),
        "foundry": ids(spec.foundries),
        "allocation": ids(spec.allocations),
        "workload": ids(spec.services) | ids(spec.runs),
        "region": {x.region for x in spec.sites},
    }


def references(spec: CaseSpec) -> Iterator[Reference]:
    """Yield every reference of a case; what is not stated is none."""
    for kind, location, name in (*_of_supply(spec), *_of_offers(spec), *_of_work(spec), *_of_limits(spec)):
        if name is not None:
            yield kind, location, name


def _of_supply(spec: CaseSpec) -> Iterator[tuple[str, Location, str | None]]:
    for i, site in enumerate(spec.sites):
        yield "party", ("sites", i, "owner"), site.owner
        for j, option in enumerate(site.options):
            yield "pot", ("sites", i, "options", j, "pot"), option.pot
    for i, item in enumerate(spec.stock):
        yield "site", ("stock", i, "site"), item.site
        yield "supplier", ("stock", i, "supplier"), item.supplier
    for i, order in enumerate(spec.commitments):
        yield "offer", ("commitments", i, "offer"), order.offer
        yield "site", ("commitments", i, "site"), order.site


def _of_offers(spec: CaseSpec) -> Iterator[tuple[str, Location, str | None]]:
    for i, offer in enumerate(spec.offers):
        for j, name in enumerate(offer.sites):
            yield "site", ("offers", i, "sites", j), name
        yield "supplier", ("offers", i, "supplier"), offer.supplier
        yield "pot", ("offers", i, "pot"), offer.pot
        yield "fabric", ("offers", i, "fabric"), offer.fabric
        yield "build", ("offers", i, "build"), offer.build
        if offer.wafers:
            yield "foundry", ("offers", i, "wafers", "foundry"), offer.wafers.foundry
        if offer.lease:
            yield "party", ("offers", i, "lease", "tenant"), offer.lease.tenant
        for j, part in enumerate(offer.parts):
            yield "allocation", ("offers", i, "parts", j, "allocation"), part.allocation


def _of_work(spec: CaseSpec) -> Iterator[tuple[str, Location, str | None]]:
    for i, service in enumerate(spec.services):
        yield "region", ("services", i, "region"), service.region
    for i, run in enumerate(spec.runs):
        yield "region", ("runs", i, "region"), run.region
    for i, rate in enumerate(spec.rates):
        yield "workload", ("rates", i, "workload"), rate.workload
    for i, correction in enumerate(spec.corrections):
        for j, name in enumerate(correction.workloads):
            yield "workload", ("corrections", i, "workloads", j), name
    for i, measurement in enumerate(spec.measurements):
        for j, name in enumerate(measurement.workloads):
            yield "workload", ("measurements", i, "workloads", j), name
    for i, estimate in enumerate(spec.estimates):
        yield "workload", ("estimates", i, "of"), estimate.of


def _of_limits(spec: CaseSpec) -> Iterator[tuple[str, Location, str | None]]:
    for i, share in enumerate(spec.shares):
        yield "pot", ("shares", i, "pot"), share.pot
        for j, name in enumerate(share.suppliers):
            yield "supplier", ("shares", i, "suppliers", j), name
    for i, variant in enumerate(spec.variants):
        for name in variant.budgets:
            yield "pot", ("variants", i, "budgets", name), name
    for i, condition in enumerate(spec.conditions):
        yield "offer", ("conditions", i, "offer"), condition.offer

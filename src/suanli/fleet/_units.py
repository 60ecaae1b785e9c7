"""Unit costs: what a million tokens, or a thousand requests, cost on each chip that serves them."""

from __future__ import annotations

from typing import Any

import numpy as np

from suanli.fleet._figure import ordinal
from suanli.fleet._grid import Grid
from suanli.fleet._lines import HOURS_A_MONTH, THOUSAND
from suanli.fleet._plan import Outlook, Plan
from suanli.fleet._provenance import Node, serve_figure, sourced
from suanli.sources import Figure

PER_MILLION = 1e6


def unit_costs(plan: Plan, outlook: Outlook, variant: str) -> list[tuple[dict[str, Any], Figure]]:
    """Return (row, figure) of the cost per million output tokens, or per thousand requests, by service and chip.

    Owned chips: price less the second-hand value after their book life, spread over it, with power and upkeep; leased
    ones: the rent. Both over what a chip serves at the mean load that the busy hour leaves.
    """
    grid = outlook.plans[variant].grid
    out = []
    for service in outlook.spec.services:
        for j, line in enumerate(outlook.lines):
            key = (service.id, line.chip)
            if key not in plan.tables.serve or line.region != service.region or line.offer is None:
                continue
            if not grid.order[j].any() or not (grid.arrive[j] & grid.run[j])[grid.start :].any():
                continue  # what the rules shut out bears no price
            hourly = hour_figure(outlook, grid, j)
            rate = serve_figure(outlook.spec, plan.tables, service.id, line.chip)
            tokens = service.output_tokens.si if service.output_tokens is not None else 0.0
            amount = tokens / PER_MILLION if tokens else 1.0 / THOUSAND
            unit = "USD per million output tokens" if tokens else "USD per thousand requests"
            useful = rate.value * 3600.0 * amount / service.peak.si
            value = hourly.value / useful
            inputs: dict[str, Node] = {
                "cost of a chip-hour": hourly,
                "rate": rate,
                "busy hour over mean": sourced(outlook.spec, f"{service.id}.peak", service.peak, ""),
            }
            if service.output_tokens is not None:
                inputs["output tokens"] = sourced(
                    outlook.spec, f"{service.id}.output_tokens", service.output_tokens, "token"
                )
            figure = Figure(
                name=f"{outlook.view.id}.unit_cost.{service.id}.{line.id}",
                value=value,
                unit="USD",
                formula=f"{unit}: chip-hour / (rate x 3600 s / busy-hour factor)",
                inputs=inputs,
                p10=value * rate.value / rate.p90 if rate.p90 else None,
                p90=value * rate.value / rate.p10 if rate.p10 else None,
            )
            row = {
                "service": service.id, "chip": line.chip, "line": line.id, "way": line.offer.way, "unit": unit,
                "usd": value, "p10": figure.p10, "p90": figure.p90, "chip_hour_usd": hourly.value,
                "requests_per_s": rate.value,
            }  # fmt: skip
            out.append((row, figure))
    return out


def hour_figure(outlook: Outlook, grid: Grid, j: int) -> Figure:
    """Return what an hour of one chip of a line costs in USD, at the first month in which it can be ordered."""
    line = outlook.lines[j]
    assert line.offer is not None
    spec = outlook.spec
    t = int(np.flatnonzero(grid.order[j])[0])
    first = line.offer.prices[0] if line.offer.prices else None
    if line.leased:
        assert first is not None
        assert first.rent is not None
        value = float(grid.rent[j, t] * 1e6 / THOUSAND / HOURS_A_MONTH)
        rent = sourced(spec, f"{line.offer.id}.rent", first.rent, first.rent.code)
        return Figure(f"hour.{line.id}", value, "USD", f"rent of an hour at {grid.months[t]}", {"rent": rent})
    months = int(grid.stay[j])
    price = float(grid.price[j, t] * 1e6 / THOUSAND)
    residual = float((1.0 - grid.loss[j]) ** (months / 12.0) * (1.0 - grid.failures[j]) ** months)
    capital = price * (1.0 - residual) / (months * HOURS_A_MONTH)
    running = float(grid.energy[j, t] * 1e6 / THOUSAND / HOURS_A_MONTH)
    inputs: dict[str, Node] = {}
    if first is not None and first.price is not None:
        inputs["price"] = sourced(spec, f"{line.offer.id}.price", first.price, first.price.code)
    for name in ("server", "failures", "loss_of_value", "power_factor"):
        figure = getattr(line.offer, name)
        if figure is not None:
            inputs[name] = sourced(spec, f"{line.offer.id}.{name}", figure, "")
    site = next(s for s in spec.sites if s.id == line.site)
    known = [p for p in site.electricity if ordinal(p.since) <= ordinal(grid.months[t])] or site.electricity[:1]
    inputs["electricity"] = sourced(spec, f"{site.id}.electricity", known[-1].price, "USD/kWh")
    inputs["pue"] = sourced(spec, f"{site.id}.pue", site.pue, "")
    return Figure(
        name=f"hour.{line.id}",
        value=capital + running,
        unit="USD",
        formula=(
            f"price with server and fabric USD {price:,.0f}, less {residual:.0%} second-hand value after {months} "
            f"months, an hour; plus power and upkeep USD {running:.3f}"
        ),
        inputs=inputs,
    )

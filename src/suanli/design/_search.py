"""Search: millions of chips by area, power, rules and roofline, the best in full, then local refinement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.design._area import die_blocks, total, transistors
from suanli.design._checks import margins
from suanli.design._cost import nre, price, unit_cost
from suanli.design._evaluate import VOLUME
from suanli.design._jobs import Job
from suanli.design._money import owned
from suanli.design._power import memory_bandwidth, power_blocks
from suanli.design._process import Constants, table
from suanli.design._rules import FIGURES, ORDER, Grid, Place, grid, groups_of
from suanli.design._score import index_of, screened_rate
from suanli.design._spec import NUMBERS, DesignSpec, total_processing
from suanli.estimates import Array

OBJECTIVES: tuple[str, ...] = ("per_usd", "per_watt", "per_mm2")
"""What a search makes large: work for a USD of ownership, a watt, a mm² of logic die."""

CHUNK = 32_768


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a design must keep: areas in m² (one die), power in W, price in USD; ``groups`` of rulings that may stay."""

    area: float = 858e-6
    power: float = np.inf
    price: float = np.inf
    budget: float = np.inf
    volume: float = VOLUME
    place: Place | None = None
    groups: tuple[str, ...] = ("free",)


def figures_of(
    spec: DesignSpec, jobs: Sequence[Job], *, base: Mapping[str, float], limits: Limits, c: Constants
) -> dict[str, Array]:
    """Return the figures of every candidate: area, power, money, rule figures, rates, index and objectives."""
    areas = die_blocks(spec, c)
    out = _cheap_figures(spec, areas, c)
    out |= _money_figures(spec, areas, out["power"], limits, c)
    rates = {job.name: screened_rate(spec, job, c) for job in jobs}
    index = index_of(rates, base, jobs)
    out["index"] = index
    out |= {f"rate {name}": rate for name, rate in rates.items()}
    out["per_usd"] = index / out["usd_per_hour"]
    out["per_watt"] = index / out["power"]
    out["per_mm2"] = index / (out["area"] * 1e6 * spec.array("dies"))
    return out


def _cheap_figures(spec: DesignSpec, areas: Mapping[str, Array], c: Constants) -> dict[str, Array]:
    die = total(areas)
    tpp = total_processing(spec)
    bandwidth = memory_bandwidth(spec, c)
    return {
        "area": die,
        "power": total(power_blocks(spec, areas, c)),
        "tpp": tpp,
        "density": tpp / (die * 1e6 * spec.array("dies")),
        "transistors": transistors(spec, areas, c) / 1e9,
        "memory": bandwidth / 1e9,
        "links": 2.0
        * (spec.array("lanes") - spec.array("scale_out_lanes"))
        * spec.array("lane_rate")
        * spec.array("dies")
        / 1e9,
    }


def _money_figures(
    spec: DesignSpec, areas: Mapping[str, Array], power: Array, limits: Limits, c: Constants
) -> dict[str, Array]:
    cost, one_off = total(unit_cost(spec, areas, c)), total(nre(spec, areas, c))
    asked = price(cost, one_off, limits.volume, c)
    whole = asked + one_off / limits.volume
    return {"cost": cost, "nre": one_off, "price": asked, "usd_per_hour": owned(whole, power)}


def screened(
    spec: DesignSpec,
    jobs: Sequence[Job],
    *,
    base: Mapping[str, float],
    limits: Limits,
    c: Constants,
    lost: dict[str, int],
) -> tuple[DesignSpec, dict[str, Array]] | None:
    """Return the candidates of ``spec`` that keep every limit, with their figures; ``lost`` counts the others."""
    areas = die_blocks(spec, c)
    cheap = _cheap_figures(spec, areas, c)
    ok = np.ones(spec.shape, dtype=bool)

    def drop(reason: str, bad: NDArray[np.bool_]) -> None:
        nonlocal ok
        lost[reason] = lost.get(reason, 0) + int(np.sum(ok & bad))
        ok = ok & ~bad

    drop("area", cheap["area"] > limits.area)
    drop("power", cheap["power"] > limits.power)
    for name, (value, limit) in margins(spec, cheap["area"], cheap["power"], c).items():
        drop(name, value > limit)
    if limits.place is not None:
        found = _grid(limits.place, spec)
        codes = groups_of(found, {n: cheap[n] for n in FIGURES})
        allowed = np.isin(codes, [ORDER.index(g) for g in limits.groups])
        drop("rules", ~allowed)
    if not ok.any():
        return None
    kept = select(spec, np.flatnonzero(ok))
    figures = figures_of(kept, jobs, base=base, limits=limits, c=c)
    good = (figures["index"] > 0.0) & (figures["price"] <= limits.price)
    good &= figures["nre"] + limits.volume * figures["price"] <= limits.budget
    lost["no work or too dear"] = lost.get("no work or too dear", 0) + int(np.sum(~good))
    if not good.any():
        return None
    return select(kept, np.flatnonzero(good)), {k: v[good] for k, v in figures.items()}


def penalty(spec: DesignSpec, figures: Mapping[str, Array], limits: Limits, c: Constants) -> Array:
    """Return by how much each candidate breaks the limits (sum of relative excesses), 0 where it keeps them all."""
    bad = np.maximum(figures["area"] / limits.area - 1.0, 0.0) + np.maximum(figures["power"] / limits.power - 1.0, 0.0)
    bad = bad + np.maximum(figures["price"] / limits.price - 1.0, 0.0)
    bad = bad + np.maximum((figures["nre"] + limits.volume * figures["price"]) / limits.budget - 1.0, 0.0)
    for value, limit in margins(spec, figures["area"], figures["power"], c).values():
        bad = bad + np.maximum(value / np.maximum(limit, 1e-12) - 1.0, 0.0)
    if limits.place is not None:
        codes = groups_of(_grid(limits.place, spec), {n: figures[n] for n in FIGURES})
        bad = bad + 1.0 * ~np.isin(codes, [ORDER.index(g) for g in limits.groups])
    out: Array = bad + 1.0 * (figures["index"] <= 0.0)
    return out


def _grid(place: Place, spec: DesignSpec) -> Grid:
    return grid(
        place,
        memory=spec.memory,
        node_nm=table()[f"{spec.node}.nm"].value,
        designer=spec.designer_country,
    )


def select(spec: DesignSpec, index: NDArray[np.intp]) -> DesignSpec:
    """Return the candidates of ``spec`` at ``index``."""
    changed: dict[str, Any] = {}
    for f in fields(spec):
        value = getattr(spec, f.name)
        if f.name in NUMBERS and value is not None and np.ndim(value):
            changed[f.name] = np.asarray(value)[index] if np.size(value) > 1 else value
    return replace(spec, **changed)

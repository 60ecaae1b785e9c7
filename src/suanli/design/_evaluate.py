"""From a spec to a design: area, power, yield, cost and schedule, each with its interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from suanli.design._area import die_blocks, total, transistors
from suanli.design._checks import Flag, check
from suanli.design._chip import chip_at, to_chip
from suanli.design._cost import nre, price, site_capacity, unit_cost
from suanli.design._power import DESIGN_LOAD, Activity, capped_clock, memory_bandwidth, power_blocks
from suanli.design._process import Constants, calibrated, mids, quantiles, sampled
from suanli.design._schedule import Schedule, schedule
from suanli.design._spec import DesignSpec, total_processing
from suanli.design._yield import gross_dies, sellable
from suanli.estimates import Array, Estimate, lognormal
from suanli.kinds import Chip

SAMPLES = 256
"""Joint samples of the constants behind an interval."""

VOLUME = 100_000.0
"""Chips over which a price spreads what it must, unless the caller says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """A spec with what follows from it; areas in m² (one die), W, USD, B, B/s; shapes are the spec's.

    ``clock`` is the clock (Hz) after the power cap. ``yields`` are shares of dies. ``price`` is what a buyer pays a
    vendor for one chip where the buyer pays ``nre`` apart. ``flags`` say what breaks, with the number.
    """

    spec: DesignSpec
    area: Estimate
    power: Estimate
    cost: Estimate
    nre: Estimate
    price: Estimate
    clock: Array
    transistors: Array
    gross_dies: Array
    yields: Mapping[str, Array]
    memory_bytes: Array
    memory_bandwidth: Array
    tpp: Array
    density: Array
    schedule: Schedule
    flags: tuple[Flag, ...]

    @property
    def chip(self) -> Chip:
        """The design as a chip like any other; it must hold one candidate. Raises InputError otherwise."""
        return to_chip(self)

    @property
    def chips(self) -> tuple[Chip, ...]:
        """The design's candidates as chips."""
        return tuple(chip_at(self, i) for i in range(int(np.prod(self.spec.shape))))


@cache
def standard() -> Constants:
    """Return the middle of every constant, with the multipliers that published dies calibrate."""
    return calibrated(mids(), multipliers())


@cache
def multipliers() -> Mapping[str, float]:
    """Return the fitted multipliers of constants by id."""
    from suanli.catalog import fitted

    found: Mapping[str, float] = fitted("ppa")["final"]["multipliers"]
    return found


@cache
def sigmas() -> Mapping[str, float]:
    """Return the standard deviation of the logarithm of a predicted area and power, from chips left out of the fit."""
    from suanli.catalog import fitted

    found: Mapping[str, float] = fitted("ppa")["final"]["sigma"]
    return found


@cache
def _samples() -> Constants:
    return calibrated(sampled(SAMPLES), multipliers())


def _spread(
    at_mid: Array, over: Callable[[Constants], Array], *, breakdown: Mapping[str, Array] | None = None
) -> Estimate:
    """Return an estimate of value ``at_mid`` with the quantiles of ``over`` the sampled constants."""
    p10, p90 = quantiles(np.atleast_2d(over(_samples())))
    value = np.asarray(at_mid)
    return Estimate(
        value=value, p10=np.minimum(p10, value), p90=np.maximum(p90, value), breakdown=dict(breakdown or {})
    )


def _point(
    at_mid: Array, over: Callable[[Constants], Array], *, breakdown: Mapping[str, Array] | None = None
) -> Estimate:
    """Return an estimate without an interval."""
    del over
    value = np.asarray(at_mid)
    return Estimate(value=value, p10=value, p90=value, breakdown=dict(breakdown or {}))


@cache
def _schedule(node: str) -> Schedule:
    return schedule(node)


def evaluate(
    spec: DesignSpec, *, volume: float = VOLUME, activity: Activity = DESIGN_LOAD, intervals: bool = True
) -> Design:
    """Return the design that follows from ``spec``; a power cap lowers the clock first.

    Flags name what breaks (reticle, shoreline, cooling ...); nothing is refused here. The intervals of area and
    power are those that published chips had when left out of the fit; of money, the percentiles over sampled constants
    (left at the value without ``intervals``). Raises InputError for a spec that is no chip.
    """
    c = standard()
    areas = die_blocks(spec, c)
    clock = spec.array("clock")
    if spec.power_cap is not None:
        clock = capped_clock(spec, areas, c, cap=spec.power_cap, activity=activity)
        spec = replace(spec, clock=np.maximum(clock, 1e6))
    die = total(areas)
    watts = power_blocks(spec, areas, c, activity=activity)
    money, one_off = unit_cost(spec, areas, c), nre(spec, areas, c)
    tpp = total_processing(spec)
    spread = _spread if intervals else _point
    return Design(
        spec=spec,
        area=replace(lognormal(die, sigmas()["area"]), breakdown=areas),
        power=replace(lognormal(total(watts), sigmas()["tdp"]), breakdown=watts),
        cost=spread(total(money), lambda k: total(unit_cost(spec, die_blocks(spec, k), k)), breakdown=money),
        nre=spread(total(one_off), lambda k: total(nre(spec, die_blocks(spec, k), k)), breakdown=one_off),
        price=spread(
            price(total(money), total(one_off), volume, c),
            lambda k: price(total(unit_cost(spec, die_blocks(spec, k), k)), total(one_off), volume, k),
        ),
        clock=clock,
        transistors=transistors(spec, areas, c),
        gross_dies=gross_dies(die, c),
        yields=sellable(spec, areas, c),
        memory_bytes=site_capacity(spec, c),
        memory_bandwidth=memory_bandwidth(spec, c),
        tpp=tpp,
        density=tpp / (die * spec.array("dies") / 1e-6),
        schedule=_schedule(spec.node),
        flags=check(spec, die, total(watts), c),
    )  # fmt: skip

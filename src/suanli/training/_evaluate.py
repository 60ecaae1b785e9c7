"""From a strategy to its step: operator times and collectives first, calibration and schedule after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suanli.training._comm import Site, Traffic, traffic
from suanli.training._eras import Era, habits
from suanli.training._facts import Facts
from suanli.training._feed import Feed, load_time, waiting
from suanli.training._memory import RESERVE, Memory, fuller, leads_dense, stage_memory
from suanli.training._parameters import Parameters, rates
from suanli.training._step import Habits, kernels_of, recipe_of, step_parts
from suanli.training._strategy import Strategies
from suanli.training._units import Cut, Units, half_format, operator_format, unit_times

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Candidates on one site whose operator and collective times are known; calibration is still free.

    ``seq`` in tokens, ``batch`` in sequences; ``bits`` are those of the matrix products' operands.
    """

    site: Site
    facts: Facts
    strategies: Strategies
    units: Units
    traffic: Traffic
    habits: Habits
    eras: tuple[str, ...]
    seq: Array
    batch: Array
    bits: int


def bits_of(site: Site, precision: str) -> int:
    """Return the operand bits of matrix products for a precision on the site's chip."""
    name = operator_format(site.chip, precision)
    if name == half_format(site.chip):
        return 16
    return {"fp8": 8, "int8": 8, "nvfp4": 4, "mxfp4": 4, "fp4": 4}.get(name, 16)


def prepare(
    site: Site,
    facts: Facts,
    strategies: Strategies,
    *,
    seq: Array,
    batch: Array,
    eras: Sequence[Era],
    precision: str,
    flash: Array | None = None,
    balanced: Array | None = None,
) -> Prepared:
    """Return candidates along one axis with their operator and collective times.

    ``flash`` and ``balanced`` replace the eras' habits of attention and of routing where given. Raises InputError for a
    chip without a peak rate.
    """
    manners = habits(eras, family=site.chip.family)
    if flash is not None:
        manners = replace(manners, flash=np.asarray(flash, dtype=np.float64))
    if balanced is not None:
        manners = replace(manners, balanced=np.asarray(balanced, dtype=np.float64))
    s = strategies
    bits = bits_of(site, precision)
    cut = Cut(tp=s.tp, cp=s.cp, ep=s.ep, etp=s.etp, micro_batch=s.micro_batch, seq=seq)
    units = unit_times(site.chip, facts, cut, kernels_of(manners), precision=precision)
    moves = traffic_of(site, facts, s, seq=seq, manners=manners, bits=bits)
    return Prepared(
        site=site,
        facts=facts,
        strategies=s,
        units=units,
        traffic=moves,
        habits=manners,
        eras=tuple(one.id for one in eras),
        seq=seq,
        batch=batch,
        bits=bits,
    )


def traffic_of(site: Site, facts: Facts, s: Strategies, *, seq: Array, manners: Habits, bits: int) -> Traffic:
    """Return the collective times of strategies under an era's habits, at ``bits`` a matrix operand."""
    return traffic(
        site,
        facts,
        s,
        seq=seq,
        gradient_bytes=manners.gradient_bytes,
        pieces=manners.pieces,
        once_per_node=manners.once_per_node,
        n_chips=s.chips,
        bits8=1.0 if bits < 16 else 0.0,
    )


def parts_of(prepared: Prepared, parameters: Parameters, *, even: bool = False) -> Mapping[str, Array]:
    """Return the seconds of each part of the step of each candidate under ``parameters``; ``even`` as step_parts'."""
    chip = prepared.site.chip
    parts = step_parts(
        prepared.facts,
        prepared.strategies,
        prepared.units,
        prepared.traffic,
        prepared.habits,
        rates(parameters, eras=prepared.eras, chip=chip, bits=prepared.bits),
        seq=prepared.seq,
        batch=prepared.batch,
        bits8=1.0 if prepared.bits < 16 else 0.0,
        memory_bandwidth=chip.memory_bandwidth or 1e12,
        even=even,
    )
    load = load_time(prepared.site.feed, prepared.facts, prepared.strategies, seq=prepared.seq, batch=prepared.batch)
    return parts | {"data": _waiting(prepared.site.feed, load, parts)}


def _waiting(feed: Feed, load: Array, parts: Mapping[str, Array]) -> Array:
    """Return the seconds that a step waits for data; the step is added up only where its products are shorter."""
    if feed.ahead and float(load.max()) <= float(parts["products"].min()):
        return np.zeros(1)
    return waiting(feed, load, sum(parts.values(), np.zeros(1)))


def step_time(prepared: Prepared, parameters: Parameters, *, even: bool = False) -> Array:
    """Return the step time in s of each candidate under ``parameters``; ``even`` stages make a lower bound."""
    parts = parts_of(prepared, parameters, even=even)
    # Added one by one: in a search most parts depend on few switches and stay small until the last additions.
    out: Array = sum(parts.values(), np.zeros(1))
    return out


def memory_of(prepared: Prepared, *, reserve: float = RESERVE) -> Memory:
    """Return the memory of each candidate's fullest chip; ``reserve`` in bytes."""
    first, last = (memory_of_stage(prepared, stage, reserve) for stage in ("first", "last"))
    return fuller(first, last)


def total_memory(prepared: Prepared, *, reserve: float = RESERVE) -> Array:
    """Return the bytes on each candidate's fullest chip: of the first, the last or, behind dense layers, the second
    stage."""
    first, last = (memory_of_stage(prepared, stage, reserve).total for stage in ("first", "last"))
    larger: Array = np.maximum(first, last)
    if np.any(leads_dense(prepared.facts)):
        second = memory_of_stage(prepared, "middle", reserve, place=1.0).total
        larger = np.where(prepared.strategies.pp > 2, np.maximum(larger, second), larger)
    return larger


def memory_of_stage(
    prepared: Prepared,
    stage: str,
    reserve: float = RESERVE,
    *,
    place: Array | float = 0.0,
    bits8: float | None = None,
) -> Memory:
    """Return the memory of each candidate's chips of the "first", the "last" or a "middle" stage at ``place``.

    ``bits8`` says whether products run in 8 bits or fewer (1) or not (0); None: as the run's own format.
    """
    return memory_under(
        prepared.facts,
        prepared.strategies,
        prepared.habits,
        stage=stage,
        place=place,
        seq=prepared.seq,
        batch=prepared.batch,
        bits8=(1.0 if prepared.bits < 16 else 0.0) if bits8 is None else bits8,
        reserve=reserve,
    )


def memory_under(
    f: Facts,
    s: Strategies,
    h: Habits,
    *,
    stage: str,
    place: Array | float,
    seq: Array,
    batch: Array,
    bits8: float,
    reserve: float = RESERVE,
) -> Memory:
    """Return the memory of each candidate's chips of a stage under an era's habits; arguments as memory_of_stage's."""
    return stage_memory(
        f,
        s,
        recipe_of(h, seq=seq, bits8=bits8),
        stage=stage,
        place=place,
        batch=batch,
        gradient_bytes=h.gradient_bytes,
        reserve=reserve,
    )

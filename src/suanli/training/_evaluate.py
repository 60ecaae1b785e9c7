"""From a strategy to its step: operator times and collectives first, calibration and schedule after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.training._comm import Site, Traffic, traffic
from suanli.training._eras import Era, habits
from suanli.training._facts import Facts
from suanli.training._memory import Memory, memory
from suanli.training._parameters import Parameters, rates
from suanli.training._step import Habits, step_parts
from suanli.training._strategy import Strategies
from suanli.training._units import Units, half_format, operator_format, unit_times

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
) -> Prepared:
    """Return candidates along one axis with their operator and collective times.

    ``flash`` replaces the eras' habit of attention where given. Raises InputError for a chip without a peak rate.
    """
    manners = habits(eras, family=site.chip.family)
    if flash is not None:
        from dataclasses import replace

        manners = replace(manners, flash=np.asarray(flash, dtype=np.float64))
    s = strategies
    bits = bits_of(site, precision)
    units = unit_times(
        site.chip,
        facts,
        tp=s.tp,
        cp=s.cp,
        ep=s.ep,
        etp=s.etp,
        micro_batch=s.micro_batch,
        seq=seq,
        precision=precision,
        flash=manners.flash,
        dropout=manners.dropout,
    )
    moves = traffic(
        site,
        facts,
        s,
        seq=seq,
        gradient_bytes=manners.gradient_bytes,
        pieces=manners.pieces,
        n_chips=s.chips,
        bits8=1.0 if bits < 16 else 0.0,
    )
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


def parts_of(prepared: Prepared, parameters: Parameters) -> Mapping[str, Array]:
    """Return the seconds of each part of the step of each candidate under ``parameters``."""
    chip = prepared.site.chip
    return step_parts(
        prepared.facts,
        prepared.strategies,
        prepared.units,
        prepared.traffic,
        prepared.habits,
        rates(parameters, eras=prepared.eras, chip=chip, bits=prepared.bits),
        batch=prepared.batch,
        memory_bandwidth=chip.memory_bandwidth or 1e12,
    )


def step_time(prepared: Prepared, parameters: Parameters) -> Array:
    """Return the step time in s of each candidate under ``parameters``."""
    parts = parts_of(prepared, parameters)
    out: Array = np.sum(np.broadcast_arrays(*parts.values()), axis=0)
    return out


def memory_of(prepared: Prepared, **options: float) -> Memory:
    """Return the memory of each candidate's fullest chip; ``reserve`` may be given in bytes."""
    h = prepared.habits
    return memory(
        prepared.facts,
        prepared.strategies,
        seq=prepared.seq,
        batch=prepared.batch,
        flash=h.flash,
        dropout=h.dropout,
        gradient_bytes=h.gradient_bytes,
        selective_gemm=h.selective_gemm,
        selective_elementwise=h.selective_elementwise,
        bits8=1.0 if prepared.bits < 16 else 0.0,
        **options,
    )

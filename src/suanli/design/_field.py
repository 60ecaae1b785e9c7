"""Designs beside the field: the same jobs on chips that exist, in work, energy and money."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from suanli.design._evaluate import VOLUME, Design
from suanli.design._jobs import Job
from suanli.design._money import REGION, YEAR, owned
from suanli.design._score import JobRate, job_rate
from suanli.economics import owned_cost
from suanli.errors import InputError
from suanli.kinds import Chip

FIELD: tuple[str, ...] = ("mtia-v2", "maia100", "tpuv5e", "ascend910b1", "h20-96", "a100-80-sxm")
"""Chips that a 5 nm accelerator for ranking and decoding is measured against."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A chip at a job: its rate, and what a unit costs; ``usd_per_hour`` and ``usd_per_million`` are None where no price is known."""

    chip: str
    designed: bool
    rate: JobRate
    tdp_w: float | None
    usd_per_hour: float | None
    usd_per_million: float | None
    note: str


def against_field(
    jobs: Sequence[Job], *, designs: Sequence[Design] = (), chips: Sequence[Chip] | None = None, volume: float = VOLUME
) -> tuple[Beside, ...]:
    """Return each job on each of ``designs`` and ``chips`` (the usual field where None), in the order given.

    A design costs its price with its share of NRE at ``volume``; a chip its catalogue price, unknown where it is not sold. Joules
    are of the chip's design power. A chip that cannot do a job stands with rate 0 and the reason.
    """
    from suanli.catalog import chip as named

    field = [named(name) for name in FIELD] if chips is None else list(chips)
    costs: list[tuple[Chip, bool, float | None, str]] = []
    for design in designs:
        whole = float(design.price.value[0] + design.nre.value[0] / volume)
        hour = float(owned(np.array([whole]), design.power.value)[0])
        costs.append((design.chip, True, hour, f"price with NRE over {volume:,.0f} chips"))
    for one in field:
        costs.append((one, False, *_bought(one)))
    out = []
    for one, designed, per_hour, note in costs:
        for job in jobs:
            rate = _rate(one, job)
            million = None if per_hour is None or rate.rate <= 0.0 else per_hour / 3600.0 / rate.rate * 1e6
            out.append(
                Beside(
                    chip=one.id, designed=designed, rate=rate, tdp_w=one.tdp_w, usd_per_hour=per_hour,
                    usd_per_million=million, note=rate.reason or note,
                )
            )  # fmt: skip
    return tuple(out)


def _bought(chip: Chip) -> tuple[float | None, str]:
    """Return (USD an hour of owning ``chip``, what it rests on), or (None, why not)."""
    try:
        return owned_cost(chip, year=YEAR, region=REGION).value, f"bought at {YEAR}'s price"
    except InputError as error:
        return None, str(error)


def _rate(chip: Chip, job: Job) -> JobRate:
    """Return the rate of ``job`` on ``chip``; what the chip cannot do is a rate of 0 with the reason."""
    try:
        return job_rate(chip, job)
    except InputError as error:
        return JobRate(
            job=job.name, unit="", rate=0.0, p10=0.0, p90=0.0, joules=float("inf"), group=0, batch=0, seconds=float("inf"),
            bound="", reason=str(error),
        )  # fmt: skip

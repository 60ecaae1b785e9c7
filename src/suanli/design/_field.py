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
    """A chip at a job: its rate, what an hour of it and one unit cost (USD), None where no price is known."""

    chip: str
    designed: bool
    rate: JobRate
    tdp_w: float | None
    usd_per_hour: float | None
    usd_each: float | None
    note: str


def against_field(
    jobs: Sequence[Job], *, designs: Sequence[Design] = (), chips: Sequence[Chip] | None = None, volume: float = VOLUME
) -> tuple[Beside, ...]:
    """Return each job on each of ``designs`` and ``chips`` (the usual field where None), in the order given.

    A design costs its price with its share of NRE at ``volume``; a chip its catalogue price, unknown where it is not
    sold. Joules are of the chip's design power. A chip that cannot do a job stands with rate 0 and the reason.
    """
    from suanli.catalog import chip as named

    field = [named(name) for name in FIELD] if chips is None else list(chips)
    costs: list[tuple[Chip, bool, float | None, str]] = []
    for design in designs:
        whole = float(design.price.value[0] + design.nre.value[0] / volume)
        hour = float(owned(np.array([whole]), design.power.value)[0])
        costs.append((design.chip, True, hour, f"price with NRE over {volume:,.0f} chips"))
    costs += [(one, False, *_bought(one)) for one in field]
    return tuple(
        _beside(one, job, designed=designed, per_hour=per_hour, note=note)
        for one, designed, per_hour, note in costs
        for job in jobs
    )


def _beside(chip: Chip, job: Job, *, designed: bool, per_hour: float | None, note: str) -> Beside:
    rate = _rate(chip, job)
    each = None if per_hour is None or rate.rate <= 0.0 else per_hour / 3600.0 / rate.rate
    return Beside(
        chip=chip.id, designed=designed, rate=rate, tdp_w=chip.tdp_w, usd_per_hour=per_hour, usd_each=each,
        note=rate.reason or note,
    )  # fmt: skip


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
            job=job.name, unit="", rate=0.0, p10=0.0, p90=0.0, joules=float("inf"), group=0, batch=0,
            seconds=float("inf"), bound="", reason=str(error),
        )  # fmt: skip

"""When silicon arrives: stages from start to volume as distributions, and the yield's ramp."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from suanli.design._process import Constants, node_named, sampled, table
from suanli.estimates import Array

STAGES: tuple[str, ...] = ("design", "first silicon", "respin", "qualification", "package", "capacity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Months as 10th, 50th and 90th percentile (s), from the start of design.

    ``stages`` names each stage's own length; ``odds_of_respin`` is the chance that volume needs another tape-out.
    """

    tape_out: tuple[float, float, float]
    samples: tuple[float, float, float]
    volume: tuple[float, float, float]
    stages: Mapping[str, tuple[float, float, float]]
    odds_of_respin: float


def draw(node: str, n: int = 4000, *, seed: int = 1) -> dict[str, Array]:
    """Return ``n`` sampled futures (s): ``tape_out``, ``samples``, ``volume`` after the start, and each stage's length.

    tape-out = design; samples = + silicon; volume = max(samples + respin where one is needed + qualification,
    capacity booked at the start) + fab cycle + package.
    """
    c = {name: np.ravel(value) for name, value in sampled(n, seed=seed).items()}
    rng = np.random.default_rng(seed + 1)
    again = rng.random(n) < np.clip(c["schedule.respin_odds"], 0.0, 1.0)
    design, silicon = c["schedule.design"], c["schedule.silicon"]
    respin = np.where(again, c["schedule.respin"], 0.0)
    ready = design + silicon + respin + c["schedule.qualify"]
    fab = c[f"{node_named(node)}.fab"] + c["schedule.package"]
    volume = np.maximum(ready, c["schedule.slots"]) + np.maximum(fab - c["schedule.qualify"], 0.0)
    return {
        "tape_out": design,
        "samples": design + silicon,
        "volume": volume,
        "design": design,
        "first silicon": silicon,
        "respin": respin,
        "qualification": c["schedule.qualify"],
        "package": fab,
        "capacity": c["schedule.slots"],
    }


def schedule(node: str) -> Schedule:
    """Return when a chip on ``node`` tapes out, samples and reaches volume, counted from its start."""
    futures = draw(node)

    def spread(values: Array) -> tuple[float, float, float]:
        low, mid, high = np.quantile(values, [0.1, 0.5, 0.9])
        return float(low), float(mid), float(high)

    return Schedule(
        tape_out=spread(futures["tape_out"]),
        samples=spread(futures["samples"]),
        volume=spread(futures["volume"]),
        stages={stage: spread(futures[stage]) for stage in STAGES},
        odds_of_respin=float(table()["schedule.respin_odds"].value),
    )


def yield_ramp(months: Array, c: Constants) -> Array:
    """Return yield over its mature value ``months`` after volume starts: 1 - (1 - start) exp(-3 t / ramp time)."""
    month = 365.25 * 86400.0 / 12.0
    out: Array = 1.0 - (1.0 - c["ramp.start"]) * np.exp(-3.0 * np.asarray(months) * month / c["ramp.time"])
    return out

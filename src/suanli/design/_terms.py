"""A design as a build offer: what the planner needs to know of a chip that has to be made first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from suanli.design._evaluate import Design, standard
from suanli.design._presets import BuildFacts
from suanli.design._process import table
from suanli.design._schedule import draw, yield_ramp
from suanli.estimates import Estimate
from suanli.sources import Sourced

MONTH = 365.25 * 86400.0 / 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage of a project: its length (months, 10th, 50th and 90th percentile) and the odds that one try does."""

    name: str
    months: tuple[float, float, float]
    odds: float
    retry_months: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildTerms:
    """What building a chip takes: USD, months, shares; estimates hold one candidate.

    ``unit_cost`` is a good package at mature yield, ``price`` what the partner asks with its ``margin`` (the buyer pays
    ``nre`` and ``masks`` apart). ``yield_by_month`` is yield over its mature value in each month of volume.
    ``volume_month`` is counted from the start, as percentiles; ``odds_by_month`` is the chance that volume has begun
    by then.
    """

    nre: Estimate
    masks: float
    unit_cost: Estimate
    price: Estimate
    margin: Sourced
    dies_per_wafer: float
    dies_per_chip: int
    yield_share: float
    stages: tuple[Stage, ...]
    volume_month: tuple[float, float, float]
    odds_by_month: Mapping[int, float]
    yield_by_month: tuple[float, ...]
    sources: tuple[Sourced, ...]


def build_terms(design: Design, *, facts: BuildFacts | None = None, months: int = 24) -> BuildTerms:
    """Return the terms on which ``design`` can be built; it must hold one candidate.

    A tape-out window in ``facts`` replaces the sampled design time (uniform over the window). Raises InputError for an
    array of designs.
    """
    from suanli.design._chip import to_chip

    to_chip(design)  # refuses an array of candidates
    spec, c = design.spec, standard()
    futures = draw(spec.node)
    if facts is not None and facts.tape_out_window is not None:
        low, high = (_months_between(facts.start, m) for m in facts.tape_out_window)
        own = np.random.default_rng(3).uniform(low, high, futures["design"].size) * MONTH
        futures = {
            k: v - futures["design"] + own if k in {"tape_out", "samples", "volume"} else v for k, v in futures.items()
        }
    volume_month = futures["volume"] / MONTH
    ramp = facts.ramp_months * MONTH if facts is not None else c["ramp.time"]
    names = ("wafer", "defects", "design", "masks", "fab")
    used = [f"{spec.node}.{n}" for n in names] + [n for n in table() if n.split(".")[0] in _USED]
    return BuildTerms(
        nre=design.nre,
        masks=float(np.ravel(design.nre.breakdown["masks"])[0]),
        unit_cost=design.cost,
        price=design.price,
        margin=table()["margin"],
        dies_per_wafer=float(design.gross_dies[0]),
        dies_per_chip=round(float(np.ravel(spec.dies)[0])),
        yield_share=float(design.yields["sold"][0]),
        stages=_stages(futures),
        volume_month=tuple(float(v) for v in np.quantile(volume_month, [0.1, 0.5, 0.9])),  # type: ignore[arg-type]
        odds_by_month={m: round(float(np.mean(volume_month <= m)), 4) for m in range(6, 73, 3)},
        yield_by_month=tuple(float(v) for v in yield_ramp(np.arange(float(months)), {**c, "ramp.time": ramp})),
        sources=tuple(table()[n] for n in used),
    )


_USED = {"nre", "margin", "package", "test", "board", "schedule", "ramp", "yield"}


def _stages(futures: Mapping[str, np.ndarray]) -> tuple[Stage, ...]:
    odds = 1.0 - table()["schedule.respin_odds"].value
    retry = table()["schedule.respin"].value / MONTH

    def spread(values: np.ndarray) -> tuple[float, float, float]:
        low, mid, high = np.quantile(values / MONTH, [0.1, 0.5, 0.9])
        return float(low), float(mid), float(high)

    return (
        Stage(name="design to tape-out", months=spread(futures["tape_out"]), odds=1.0, retry_months=0.0),
        Stage(name="first silicon", months=spread(futures["first silicon"]), odds=odds, retry_months=retry),
        Stage(name="qualification", months=spread(futures["qualification"]), odds=1.0, retry_months=0.0),
        Stage(name="first volume lot", months=spread(futures["package"]), odds=1.0, retry_months=0.0),
    )


def _months_between(start: str, end: str) -> int:
    """Return the months from "2024-06" to "2025-06"."""
    (y0, m0), (y1, m1) = ((int(v) for v in text.split("-")[:2]) for text in (start, end))
    return 12 * (y1 - y0) + m1 - m0

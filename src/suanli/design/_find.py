"""The search itself: draw, screen, keep the best, judge them in full, refine, and draw the Pareto front."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suanli.design._evaluate import Design, evaluate, standard
from suanli.design._jobs import Job
from suanli.design._money import owned
from suanli.design._refine import refined
from suanli.design._rules import Place, rulings, worst
from suanli.design._score import JobRate, index_of, job_rate
from suanli.design._search import CHUNK, OBJECTIVES, Limits, screened, select
from suanli.design._space import Space, draws
from suanli.design._spec import DesignSpec, take
from suanli.errors import InfeasibleError, InputError
from suanli.estimates import Array
from suanli.kinds import Chip, Ruling

BASE = "a100-80-sxm"
"""Chip whose rates make an index of 1, unless the caller names another."""

BEST_SHARE = 0.01
"""Share of the candidates that keep every limit which is judged in full."""

MOST = 6000
"""Designs judged in full at most, unless the caller says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A design judged in full: silicon's rates, money, its own rulings by act, and the objectives."""

    spec: DesignSpec
    chip: Chip
    rates: tuple[JobRate, ...]
    rulings: Mapping[str, Ruling]
    index: float
    usd_per_hour: float
    price: float
    nre: float
    tpp: float
    density: float
    objectives: Mapping[str, float]
    refined: bool = False

    @property
    def group(self) -> str:
        """The group of the act that stands most in the way; "unscreened" without a place."""
        return worst(self.rulings)[1].group if self.rulings else "unscreened"

    def group_at(self, area_m2: float, place: Place) -> str:
        """Return the group that the design would have if its die came out at ``area_m2``."""
        return worst(rulings(replace(self.chip, die_area_m2=area_m2), place))[1].group

    @property
    def design(self) -> Design:
        """The design with intervals, breakdowns and flags."""
        return evaluate(self.spec)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The answer of a search: the Pareto front (best by ``objective`` first), every design judged in full, and counts.

    ``lost`` counts candidates by the limit that they broke first; ``kept`` those that kept all; ``seconds`` by step.
    """

    front: tuple[Found, ...]
    judged: tuple[Found, ...]
    objective: str
    tried: int
    kept: int
    lost: Mapping[str, int]
    seconds: Mapping[str, float]
    base: str


def base_rates(jobs: Sequence[Job], base: Chip | None = None) -> dict[str, float]:
    """Return the rate of every job on ``base`` (an A100 where None), against which work is counted."""
    from suanli.catalog import chip

    against = base or chip(BASE)
    return {job.name: job_rate(against, job).rate for job in jobs}


def search(
    jobs: Sequence[Job],
    *,
    space: Space | None = None,
    limits: Limits | None = None,
    candidates: int = 1_000_000,
    objective: str = "per_usd",
    base: Chip | None = None,
    full: int = MOST,
    refine: bool = True,
    seed: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
) -> Search:
    """Return the chips worth building for ``jobs`` within ``limits``.

    ``candidates`` are drawn over ``space`` and screened (area, power, shoreline, cooling, price, rules, roofline);
    the best per cent (at most ``full``) are judged by silicon and fabric and ruled on; differential evolution
    refines the best of each objective. ``base`` is the chip whose rates make index 1. Raises InfeasibleError naming
    what collides where nothing is left.
    """
    from suanli.catalog import chip

    space, limits = space or Space(), limits or Limits()
    if objective not in OBJECTIVES:
        raise InputError(f"objective '{objective}'; allowed: {', '.join(OBJECTIVES)}")
    against = base or chip(BASE)
    rates = base_rates(jobs, against)
    started = time.perf_counter()
    pool, kept, lost = _draw(jobs, space, limits, candidates, rates, seed, progress)
    if not pool:
        raise InfeasibleError(_collision(lost, candidates))
    drawn = time.perf_counter()
    best = _best(pool, max(1, min(full, round(BEST_SHARE * kept) + 1)))
    judged = _judge(best, jobs, rates, limits, progress, refined=False)
    timed = time.perf_counter()
    if refine:
        better = refined([f for f in judged if f.index > 0.0], jobs, space, limits, base=rates, seed=seed)
        judged += _judge(better, jobs, rates, limits, progress, refined=True)
    allowed = [f for f in judged if f.index > 0.0 and (not f.rulings or f.group in limits.groups)]
    if not allowed:
        raise InfeasibleError(f"none of {len(judged)} designs judged in full does every job within its limits")
    front = _front(allowed, objective)
    ended = time.perf_counter()
    return Search(
        front=front, judged=tuple(judged), objective=objective, tried=candidates, kept=kept, lost=lost,
        seconds={"screen": drawn - started, "judge": timed - drawn, "refine": ended - timed}, base=against.id,
    )  # fmt: skip


def _draw(
    jobs: Sequence[Job], space: Space, limits: Limits, candidates: int, base: Mapping[str, float], seed: int,
    progress: Callable[[str, int, int], None] | None,
) -> tuple[list[tuple[DesignSpec, dict[str, Array]]], int, dict[str, int]]:  # fmt: skip
    """Return the best per cent of each chunk of candidates with their figures, how many kept the limits, and losses."""
    c = standard()
    year = int(limits.place.date[:4]) if limits.place is not None else 9999
    lost: dict[str, int] = {}
    pool: list[tuple[DesignSpec, dict[str, Array]]] = []
    done = kept = 0
    for spec in draws(space, space.kinds(year, c), candidates, chunk=CHUNK, seed=seed):
        found = screened(spec, jobs, base=base, limits=limits, c=c, lost=lost)
        done += spec.shape[0]
        if found is not None:
            passed, figures = found
            size = figures["index"].size
            kept += size
            pool.append(_thin(passed, figures, max(4, round(2.0 * BEST_SHARE * size))))
        if progress is not None:
            progress("screen", done, candidates)
    return pool, kept, lost


def _thin(spec: DesignSpec, figures: Mapping[str, Array], n: int) -> tuple[DesignSpec, dict[str, Array]]:
    """Return the ``n`` best candidates by each objective."""
    index = np.unique(np.concatenate([np.argsort(-figures[o])[:n] for o in OBJECTIVES]))
    return select(spec, index), {k: v[index] for k, v in figures.items()}


def _best(pool: Sequence[tuple[DesignSpec, Mapping[str, Array]]], n: int) -> list[DesignSpec]:
    """Return the ``n`` best of the pool, taken in turn by each objective."""
    owner = np.concatenate([np.full(f["index"].size, i) for i, (_, f) in enumerate(pool)])
    place = np.concatenate([np.arange(f["index"].size) for _, f in pool])
    ranks = [np.argsort(-np.concatenate([f[o] for _, f in pool])) for o in OBJECTIVES]
    chosen: dict[int, None] = {}
    for row in np.stack(ranks, axis=1):
        for i in row.tolist():
            if len(chosen) < n:
                chosen.setdefault(i)
        if len(chosen) >= n:
            break
    specs = [take(pool[owner[i]][0], int(place[i])) for i in chosen]
    return [replace(s, name=f"{s.node.lower()}-{s.memory}-{i + 1}") for i, s in enumerate(specs)]


def judge(
    spec: DesignSpec, jobs: Sequence[Job], *, base: Mapping[str, float], limits: Limits, refined: bool = False
) -> Found:
    """Return ``spec`` judged in full: silicon's rates, ownership, rulings."""
    found = evaluate(spec, volume=limits.volume, intervals=False)
    chip = found.chip
    rates = tuple(job_rate(chip, job) for job in jobs)
    index = float(index_of({r.job: np.array([r.rate]) for r in rates}, base, jobs)[0])
    price, one_off = float(found.price.value[0]), float(found.nre.value[0])
    power, area = float(found.power.value[0]), float(found.area.value[0]) * 1e6 * float(np.ravel(spec.dies)[0])
    hour = float(owned(np.array([price + one_off / limits.volume]), np.array([power]))[0])
    return Found(
        spec=spec, chip=chip, rates=rates,
        rulings={} if limits.place is None else rulings(chip, limits.place),
        index=index, usd_per_hour=hour, price=price, nre=one_off, tpp=float(found.tpp[0]),
        density=float(found.density[0]),
        objectives={"per_usd": index / hour, "per_watt": index / power, "per_mm2": index / area}, refined=refined,
    )  # fmt: skip


def _judge(
    specs: Sequence[DesignSpec], jobs: Sequence[Job], base: Mapping[str, float], limits: Limits,
    progress: Callable[[str, int, int], None] | None, *, refined: bool,
) -> list[Found]:  # fmt: skip
    out = []
    for i, spec in enumerate(specs):
        out.append(judge(spec, jobs, base=base, limits=limits, refined=refined))
        if progress is not None:
            progress("refine" if refined else "judge", i + 1, len(specs))
    return out


def pareto(values: Array) -> NDArray[np.bool_]:
    """Return which rows of ``values`` (n, objectives; larger is better) no other row beats in all."""
    keep = np.ones(values.shape[0], dtype=bool)
    for i in range(values.shape[0]):
        if keep[i]:
            beaten = np.all(values <= values[i], axis=1) & np.any(values < values[i], axis=1)
            keep &= ~beaten
    return keep


def _front(judged: Sequence[Found], objective: str) -> tuple[Found, ...]:
    values = np.array([[f.objectives[o] for o in OBJECTIVES] for f in judged])
    on = [f for f, k in zip(judged, pareto(values), strict=True) if k]
    return tuple(sorted(on, key=lambda f: -f.objectives[objective]))


def _collision(lost: Mapping[str, int], tried: int) -> str:
    told = ", ".join(
        f"{name} {count / tried:.1%}" for name, count in sorted(lost.items(), key=lambda p: -p[1]) if count
    )
    return f"no design keeps all limits; of {tried:,} candidates these broke first: {told}"


def cost_of_rules(
    jobs: Sequence[Job], places: Sequence[Place | None], *, limits: Limits | None = None, space: Space | None = None,
    candidates: int = 200_000, objective: str = "per_usd", seed: int = 1, refine: bool = True,
) -> dict[str, tuple[Found | None, str]]:  # fmt: skip
    """Return the best design for each place and date (None: without rules); None with the reason if there is none."""
    out: dict[str, tuple[Found | None, str]] = {}
    for place in places:
        name = "without rules" if place is None else place.date
        try:
            found = search(
                jobs, space=space, limits=replace(limits or Limits(), place=place), candidates=candidates,
                objective=objective, full=40, seed=seed, refine=refine,
            )  # fmt: skip
            out[name] = (found.front[0], "")
        except InfeasibleError as error:
            out[name] = (None, str(error))
    return out

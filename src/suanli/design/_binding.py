"""What holds a design where it is: limits that it reaches, and how its figures move with its numbers and constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from suanli.design._area import die_blocks, total
from suanli.design._checks import margins
from suanli.design._cost import unit_cost
from suanli.design._evaluate import standard
from suanli.design._find import Found
from suanli.design._jobs import Job
from suanli.design._process import Constants, table
from suanli.design._rules import worst
from suanli.design._search import OBJECTIVES, Limits, figures_of, penalty
from suanli.design._space import AXES
from suanli.design._spec import DesignSpec

NEAR = 0.03
"""A figure within this share of a limit is held by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A limit that a design reaches: its figure, the limit and the unit."""

    name: str
    value: float
    limit: float
    unit: str


def binding(found: Found, limits: Limits) -> tuple[Held, ...]:
    """Return the limits within 3 % of which ``found`` stands: the caller's, physics, and the rules' thresholds."""
    c, spec = standard(), found.spec
    area, power = float(found.chip.die_area_m2 or 0.0), float(found.chip.tdp_w or 0.0)
    rows: list[tuple[str, float, float, str]] = [
        ("max area", area * 1e6, limits.area * 1e6, "mm²"),
        ("max power", power, limits.power, "W"),
        ("max price", found.price, limits.price, "USD"),
        ("budget", found.nre + limits.volume * found.price, limits.budget, "USD"),
    ]
    units = {"reticle": (1e6, "mm²"), "shoreline": (1e3, "mm"), "cooling": (1e-6, "W/mm²"), "HBM sites": (1.0, "sites")}
    for name, (value, limit) in margins(spec, np.array([area]), np.array([power]), c).items():
        factor, unit = units.get(name, (1.0, ""))
        rows.append((name, float(np.ravel(value)[0]) * factor, float(np.ravel(limit)[0]) * factor, unit))
    out = [Held(name=n, value=v, limit=m, unit=u) for n, v, m, u in rows if v >= (1.0 - NEAR) * m]
    if found.rulings:
        _, ruling = worst(found.rulings)
        out += [
            Held(name=f"rule {t.rule}: {t.name}", value=t.value, limit=t.limit, unit=t.unit)
            for t in ruling.thresholds
            if t.value is not None and t.op in {">", ">="} and (1.0 - NEAR) * t.limit <= t.value < t.limit
        ]
    return tuple(out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """How the objectives change (shares) when ``name`` is a tenth more; ``breaks`` says that a limit is then broken."""

    name: str
    more: Mapping[str, float]
    less: Mapping[str, float]
    breaks_more: bool
    breaks_less: bool


def sensitivities(found: Found, jobs: Sequence[Job], *, limits: Limits, base: Mapping[str, float]) -> tuple[Moved, ...]:
    """Return how each number of the spec moves the objectives at a tenth more and less, by the screening figures."""
    c = standard()
    names = [n for n in AXES if n != "rows" and float(np.ravel(getattr(found.spec, n))[0]) > 0.0]
    factors = np.ones((len(names), 1 + 2 * len(names)))
    for i in range(len(names)):
        factors[i, 1 + 2 * i], factors[i, 2 + 2 * i] = 1.1, 0.9
    changed = {n: float(np.ravel(getattr(found.spec, n))[0]) * factors[i] for i, n in enumerate(names)}
    spec = replace(found.spec, **changed)
    figures = figures_of(spec, jobs, base=base, limits=limits, c=c)
    bad = penalty(spec, figures, limits, c) > 0.0
    change = {o: figures[o] / figures[o][0] - 1.0 for o in OBJECTIVES}
    return tuple(
        Moved(
            name=n,
            more={o: float(change[o][1 + 2 * i]) for o in OBJECTIVES},
            less={o: float(change[o][2 + 2 * i]) for o in OBJECTIVES},
            breaks_more=bool(bad[1 + 2 * i]),
            breaks_less=bool(bad[2 + 2 * i]),
        )
        for i, n in enumerate(names)
    )


def doubts(spec: DesignSpec, *, most: int = 8) -> tuple[tuple[str, float, float], ...]:
    """Return the constants whose range moves the unit cost most: (id, share at its low, share at its high)."""
    c = standard()

    def cost(constants: Constants) -> float:
        return float(np.ravel(total(unit_cost(spec, die_blocks(spec, constants), constants)))[0])

    middle = cost(c)
    rows = []
    for name, datum in table().items():
        if datum.low is None or datum.high is None or datum.low == datum.high:
            continue
        ends = [cost({**c, name: c[name] * (end / datum.value)}) / middle - 1.0 for end in (datum.low, datum.high)]
        rows.append((name, ends[0], ends[1]))
    rows.sort(key=lambda r: -abs(r[2] - r[1]))
    return tuple(rows[:most])

"""Tornado: the plan's cost with one input at its low and its high end, the rest as stated.

Business figures only: prices, deliveries, demand, power, money, rates. Rules, owners, parties, places and uses are
never touched; neither is anything that the engines would have to be asked about again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import BaseModel

from suanli.fleet._build import shares_of
from suanli.fleet._case import figures
from suanli.fleet._engines import bills_of
from suanli.fleet._figure import Fig
from suanli.fleet._grid import Grid
from suanli.fleet._lines import lines_of, month_list
from suanli.fleet._plan import Outlook, Plan, grid_for
from suanli.fleet._program import hand_over, program, run, scenario_cost
from suanli.fleet._scenarios import again
from suanli.fleet._schema import CaseSpec
from suanli.fleet._work import NO_WORK, Work

TOUCHED = frozenset({"pots", "sites", "suppliers", "foundries", "offers", "stock", "commitments", "factors"})
"""Parts of a case whose figures may be moved."""

SERVICE = frozenset({"demand", "requests_per_user", "active", "peak", "value", "unserved"})
RUN = frozenset({"tokens", "experiments", "missing", "delay"})
"""Fields of services and runs that no engine has to be asked about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swing:
    """One input: where it stands, its ends in its own unit, and the plan's cost (USD) at each end."""

    name: str
    low: float
    high: float
    at_low: float
    at_high: float
    source: str

    @property
    def width(self) -> float:
        """How far the cost moves, in USD."""
        return abs(self.at_high - self.at_low)


def movable(spec: CaseSpec) -> list[tuple[tuple[str | int, ...], Fig]]:
    """Return the figures with a range that a tornado may move, with their places."""
    out = []
    for location, figure in figures(spec):
        low, high = figure.ends()
        part, field = str(location[0]), str(location[2]) if len(location) > 2 else ""
        may = part in TOUCHED or (part == "services" and field in SERVICE) or (part == "runs" and field in RUN)
        if may and high > low:
            out.append((location, figure))
    return out


def tornado(
    plan: Plan, *, most: int = 30, tell: Callable[[str], None] = lambda _: None, work: Work = NO_WORK
) -> tuple[Swing, ...]:
    """Return the ``most`` widest-ranged inputs of the main plan with its cost at both ends, the widest swing first.

    Every end is planned anew; the inputs tried are those with the widest range relative to their value.
    """
    base = plan.outlooks[0]
    ranked = sorted(movable(base.spec), key=lambda item: -_relative(item[1]))[:most]
    out = []
    for i, (location, figure) in enumerate(ranked):
        tell(f"tornado {i + 1} of {len(ranked)}")
        out.append(work.kept(f"swing-{i}", partial(_swing, plan, base, location, figure), Swing))
    return tuple(sorted(out, key=lambda s: -s.width))


def _swing(plan: Plan, base: Outlook, location: Sequence[str | int], figure: Fig) -> Swing:
    low, high = figure.ends()
    ends = [_cost(plan, base, replaced(base.spec, location, end)) * 1e6 for end in (low, high)]
    return Swing(
        name=label(base.spec, location), low=low, high=high, at_low=ends[0], at_high=ends[1], source=figure.source
    )


def _relative(figure: Fig) -> float:
    low, high = figure.ends()
    return (high - low) / max(abs(figure.si), 1e-12)


def _cost(plan: Plan, base: Outlook, spec: CaseSpec) -> float:
    """Return the mean cost in MUSD of the main plan with another case, started from the known basis."""
    lines = [x for x in lines_of(spec, dict(plan.tables.names)) if x.id in {y.id for y in base.lines}]
    bills = bills_of(spec, lines, plan.tables)
    changed = Outlook(
        view=base.view, spec=spec, lines=tuple(lines), left_out=base.left_out, screening=base.screening, bills=bills,
        rates=base.rates, futures=base.futures, shares=base.shares, plans={},
    )  # fmt: skip
    grid: Grid = grid_for(changed, plan.variants[0])
    months = month_list(spec)
    futures = again(spec, base.view, lines, months, base.futures)
    p = program(grid, base.rates, futures, shares_of(spec, lines, grid.years))
    solver = hand_over(p)
    if p.matrix.shape == plan.main.program.matrix.shape:
        solver.setBasis(plan.main.answer.basis)
    return float(futures.probability @ scenario_cost(p, run(solver).x))


def replaced(node: Any, location: Sequence[str | int], value: float) -> Any:
    """Return ``node`` with the figure at ``location`` set to ``value``."""
    if not location:
        assert isinstance(node, Fig)
        return node.model_copy(update={"value": value})
    step, rest = location[0], location[1:]
    if isinstance(node, BaseModel):
        return node.model_copy(update={str(step): replaced(getattr(node, str(step)), rest, value)})
    if isinstance(node, dict):
        return {**node, step: replaced(node[step], rest, value)}
    assert isinstance(step, int)
    return [replaced(x, rest, value) if i == step else x for i, x in enumerate(node)]


def label(spec: CaseSpec, location: Sequence[str | int]) -> str:
    """Return a place in words: parts by their ids, points by their month."""
    words: list[str] = []
    node: Any = spec
    for step in location:
        node = getattr(node, str(step)) if isinstance(node, BaseModel) else node[step]
        named = getattr(node, "id", None) or getattr(node, "since", None) or getattr(node, "month", None)
        if isinstance(step, int):
            words.append(str(named or getattr(node, "year", None) or getattr(node, "what", None) or step + 1))
        elif step not in {"offers", "sites", "services", "runs", "factors", "outcomes", "effects", "value", "pots"}:
            words.append(str(step))
    return " ".join(words)

"""Solving one plan: projects by trying both ways, the value of planning on futures, regret, fresh futures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InputError, SuanliError
from suanli.fleet._grid import Grid, Rates
from suanli.fleet._program import (
    Answer,
    Program,
    fixed_to,
    hand_over,
    program,
    run,
    scenario_cost,
    trouble,
)
from suanli.fleet._scenarios import Futures, mean_future, select
from suanli.fleet.mathematics import Shares
from suanli.fleet.mathematics._base import ABSENT

Array = NDArray[np.float64]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """One plan: the programme it answers, the answer, the cost of each scenario (MUSD), the projects carried on.

    ``tried`` is the objective with each way of deciding the projects.
    """

    program: Program
    answer: Answer
    costs: Array
    projects: tuple[bool, ...]
    tried: Mapping[tuple[bool, ...], float]

    @property
    def grid(self) -> Grid:
        """The arrays the plan was made on."""
        return self.program.setting.grid


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What planning on futures is worth, in MUSD.

    ``plan`` mean cost of the plan; ``deterministic`` mean cost of the plan made on expected values; ``perfect`` mean
    cost with each future known; ``regret`` [S] of the plan and ``regret_deterministic`` [S] of the other.
    """

    plan: float
    deterministic: float
    perfect: float
    regret: Array
    regret_deterministic: Array

    @property
    def vss(self) -> float:
        """Value of the stochastic solution."""
        return self.deterministic - self.plan

    @property
    def evpi(self) -> float:
        """Expected value of perfect information."""
        return self.plan - self.perfect


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The plan on fresh futures: cost of each, in MUSD, beside the deterministic plan's; ``group`` of each draw."""

    costs: Array
    deterministic: Array
    served: Array
    group: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """By how much a plan is cheaper than the deterministic one on futures that neither has seen, in MUSD.

    ``low`` and ``high`` are the 95 % interval of the mean (Student's t on the means of the groups drawn); ``better``
    is the share of the ``n`` futures in which it is cheaper.
    """

    mean: float
    low: float
    high: float
    better: float
    n: int


def margin(t: Trial) -> Margin:
    """Return the margin of a trial of two futures or more."""
    gain = t.deterministic - t.costs
    mean, low, high = interval(gain, t.group)
    return Margin(mean=mean, low=low, high=high, better=float((gain > 0).mean()), n=len(gain))


def interval(values: Array, group: NDArray[np.int64]) -> tuple[float, float, float]:
    """Return (mean, low, high): the 95 % interval of a mean, from the means of ``group``s, or from free draws if one.

    Raises InputError for fewer than two values.
    """
    from scipy.special import stdtrit  # Student's quantile without the whole of scipy.stats

    if len(values) < 2:
        raise InputError("an interval needs two fresh futures or more")
    groups = [values[group == g].mean() for g in np.unique(group)] if len(np.unique(group)) > 1 else values
    few = np.asarray(groups)
    half = float(stdtrit(len(few) - 1, 0.975) * few.std(ddof=1) / np.sqrt(len(few)))
    mean = float(values.mean())
    return mean, mean - half, mean + half


def solve_plan(
    grid: Grid,
    rates: Rates,
    futures: Futures,
    shares: Sequence[Shares],
    *,
    seconds: float = 300.0,
    start: Answer | None = None,
) -> Solved:
    """Return the best plan over ``futures``; each chip project is tried carried on and dropped.

    ``start`` is the answer under other budgets, from which the solver has less far to go.
    Raises InfeasibleError that names colliding limits, SuanliError where the solver stops without an answer.
    """
    p = program(grid, rates, futures, shares)
    best: tuple[Answer, Program, tuple[bool, ...]] | None = None
    tried: dict[tuple[bool, ...], float] = {}
    for way in product((False, True), repeat=len(grid.projects)):
        if any(on and not _has_orders(p, i) for i, on in enumerate(way)):
            continue
        fixed = fixed_to(p, p.setting.columns.project, np.array(way, dtype=float))
        solver = hand_over(fixed, seconds=seconds)
        if start is not None and (len(start.x), len(start.dual)) == fixed.matrix.shape[::-1]:
            solver.setBasis(start.basis)
        answer = run(solver)
        if answer.status == "infeasible":
            continue
        if answer.status != "optimal":
            raise trouble(answer)
        tried[way] = answer.objective
        if best is None or answer.objective < best[0].objective - 1e-9:
            best = (answer, fixed, way)
    if best is None:
        from suanli.fleet._conflicts import CollisionError, collision

        raise CollisionError(collision(p))
    answer, fixed, way = best
    return Solved(program=fixed, answer=answer, costs=scenario_cost(fixed, answer.x), projects=way, tried=tried)


def _has_orders(p: Program, project: int) -> bool:
    c, g = p.setting.columns, p.setting.grid
    return any((c.order[j] != ABSENT).any() for j in range(g.J) if g.project_of[j] == project)


# --------------------------------------------------------------------------------------------- the worth of planning


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A first stage in terms of the case: orders [J, T], power [O, T], projects [P]."""

    order: Array
    power: Array
    project: Array


def decision(solved: Solved) -> Decision:
    """Return what a plan decides before the future shows."""
    c, x = solved.program.setting.columns, solved.answer.x

    def values(columns: NDArray[np.int64]) -> Array:
        return np.where(columns == ABSENT, 0.0, x[np.maximum(columns, 0)]) if columns.size else np.zeros(columns.shape)

    return Decision(order=values(c.order), power=values(c.power), project=values(c.project))


def evaluate(
    p: Program, d: Decision, *, tail: bool = False, seconds: float = 300.0, start: Answer | None = None
) -> tuple[Array, Answer]:
    """Return (cost of each scenario in MUSD, the answer) with the first stage held at ``d``.

    ``start`` is the answer to the same programme with another first stage, from which the solver has less far to go.
    The rest is as ``evaluations`` has it.
    """
    return evaluations(p, (d,), tail=tail, seconds=seconds, start=start)[0]


def evaluations(
    p: Program, held: Sequence[Decision], *, tail: bool = False, seconds: float = 300.0, start: Answer | None = None
) -> list[tuple[Array, Answer]]:
    """Return (cost of each scenario in MUSD, the answer) for each first stage of ``held``.

    The second stage minimises the mean, with ``tail`` the case's blend of mean and tail.

    Orders that cannot be placed in any scenario of ``p`` are left out, as they would be refused. A firm service or
    deadline that the held plan cannot keep is missed at the cost of what is missing.
    """
    if not tail:
        p = replace(p, setting=replace(p.setting, grid=replace(p.setting.grid, cvar=(0.0, 1.0))))
    p = _held_limits_off(p)
    solver, out = hand_over(p, seconds=seconds), []
    if start is not None:
        solver.setBasis(start.basis)
    for d in held:  # one model, only the bounds of the first stage change: the solver goes on from the last answer
        columns, values = _first_stage(p, d)
        solver.changeColsBounds(len(columns), columns.astype(np.int32), values, values)
        answer = run(solver)
        if answer.status == "infeasible":
            answer = run(hand_over(_promises_off(fixed_to(p, columns, values)), seconds=seconds))
        if answer.status != "optimal":
            raise SuanliError(f"a fixed plan could not be evaluated: {answer.status}")
        out.append((scenario_cost(p, answer.x), answer))
    return out


def _first_stage(p: Program, d: Decision) -> tuple[NDArray[np.int64], Array]:
    """Return (columns, values) that hold the first stage of a programme at ``d``."""
    c = p.setting.columns
    columns, values = [], []
    for place, value in ((c.order, d.order), (c.power, d.power), (c.project, d.project)):
        live = place != ABSENT
        columns.append(place[live])
        values.append(np.maximum(value[live], 0.0))
    return np.concatenate(columns), np.concatenate(values)


def _promises_off(p: Program) -> Program:
    """Return the programme in which a firm service or deadline may be missed: what is missing is counted."""
    high = p.high.copy()
    for name, first, block in p.blocks:
        if name in {"floor", "deadline"}:
            high[first : first + len(block.low)] = np.inf
    return replace(p, high=high)


def _held_limits_off(p: Program) -> Program:
    """Return the programme without the limits that only the first stage can meet or miss: it is held anyway."""
    low, high = p.low.copy(), p.high.copy()
    for name, first, block in p.blocks:
        rows = slice(first, first + len(block.low))
        if name in {"money", "supply", "wafers", "parts", "works", "project"}:
            high[rows] = np.inf
        elif name == "share":
            firm = np.array([p.setting.shares[i].price is None for i in block.index.get("share", ())], dtype=bool)
            low[rows] = np.where(firm, -np.inf, low[rows])
    return replace(p, low=low, high=high)


def deterministic(grid: Grid, rates: Rates, futures: Futures, shares: Sequence[Shares]) -> Solved:
    """Return the plan made on expected values: one scenario, means of the figures, the likelier side of each rule."""
    return solve_plan(grid, rates, mean_future(futures), shares)


def worth(
    solved: Solved, rates: Rates, futures: Futures, shares: Sequence[Shares], mean_plan: Solved, tell: Tell
) -> Worth:
    """Return what planning on futures is worth: against expected values, and against knowing each future."""
    g = replace(solved.grid, cvar=(0.0, 1.0))
    probability = futures.probability
    (plan, _), (other, _) = evaluations(solved.program, (decision(solved), decision(mean_plan)))
    known = np.zeros(futures.n)
    for s in range(futures.n):
        tell(f"future {s + 1} of {futures.n} known beforehand")
        alone = solve_plan(g, rates, select(futures, [s]), shares)
        known[s] = alone.costs[0]
    return Worth(
        plan=float(probability @ plan),
        deterministic=float(probability @ other),
        perfect=float(probability @ known),
        regret=plan - known,
        regret_deterministic=other - known,
    )


def trial(
    solved: Solved, rates: Rates, shares: Sequence[Shares], mean_plan: Solved, futures: Futures, *, batch: int = 8
) -> Trial:
    """Return how a plan and the deterministic one fare in futures that neither has seen."""
    both = (decision(solved), decision(mean_plan))
    costs, served = costs_in(solved.grid, rates, shares, both, futures, batch=batch)
    return Trial(costs=costs[0], deterministic=costs[1], served=served[0], group=futures.group)


def costs_in(
    grid: Grid, rates: Rates, shares: Sequence[Shares], held: Sequence[Decision], futures: Futures, *, batch: int = 8
) -> tuple[Array, Array]:
    """Return (cost in MUSD [D, S], share served [D, S]) of held first stages in each future, a few at a time."""
    costs, served = np.zeros((len(held), futures.n)), np.zeros((len(held), futures.n))
    for first in range(0, futures.n, batch):
        some = range(first, min(first + batch, futures.n))
        p = program(replace(grid, cvar=(0.0, 1.0)), rates, select(futures, some), shares)
        for i, (cost, answer) in enumerate(evaluations(p, held)):
            costs[i, some.start : some.stop] = cost
            served[i, some.start : some.stop] = served_share(p, answer.x)
    return costs, served


def served_share(p: Program, x: Array) -> Array:
    """Return [S]: the worth of what is served over that of what is asked for, from the view's first month on."""
    from suanli.fleet._costs import short_cost

    g, f, c = p.setting.grid, p.setting.futures, p.setting.columns
    lost, asked = np.zeros(f.n), np.zeros(f.n)
    for w in range(len(g.services)):
        price = short_cost(p.setting, w)
        size = max(float(g.demand[w].max()), 1e-30)
        for s in range(f.n):
            live = c.short[s, w] != ABSENT
            lost[s] += float((price[live] * x[c.short[s, w][live]]).sum())
            asked[s] += float((price * g.demand[w] * f.demand[s, w] / size)[live].sum())
    return np.divide(asked - lost, asked, out=np.ones(f.n), where=asked > 0)

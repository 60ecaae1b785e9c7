"""Plans nearly as good as the best that differ most from it: less of its main supplier, place and technology."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suanli.fleet._program import Answer, Program, hand_over, run, scenario_cost
from suanli.fleet._solve import Decision, Solved, decision
from suanli.fleet.mathematics._base import ABSENT

Array = NDArray[np.float64]
GUESS = 0.3
"""Part of the main supplier's, place's or chip's orders from which the search for what must stay of them begins."""

STEPS = 60
EXACT = 1e-9
"""How near to the cost allowed, relative to it, the search ends; the solver's own tolerance is wider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """A plan within a slack of the best cost that differs most in one respect."""

    id: str
    sentence: str
    slack: float
    cost: float
    before: float
    after: float
    unit: str
    decision: Decision


def alternatives(solved: Solved, *, slack: float = 0.02, seconds: float = 60.0) -> tuple[Alternative, ...]:
    """Return near-optimal plans within ``slack`` of the cost: less of the main supplier, place and technology."""
    p, best = solved.program, solved.answer.objective
    out = []
    for kind, sentence, top, goal in _goals(solved):
        answer = least_goal(p, solved.answer, goal, best + slack * abs(best), seconds=seconds)
        if answer is None:
            continue
        out.append(
            Alternative(
                id=kind,
                sentence=sentence.format(top, slack),
                slack=slack,
                cost=float(p.setting.futures.probability @ scenario_cost(p, answer.x)),
                before=float(goal @ solved.answer.x),
                after=float(goal @ answer.x),
                unit="MUSD",
                decision=decision(replace(solved, answer=answer)),
            )
        )
    return tuple(out)


def _goals(solved: Solved) -> Iterator[tuple[str, str, str, Array]]:
    """Yield (kind, sentence, name, MUSD of its orders by column) of the main supplier, place and technology."""
    g, columns = solved.grid, solved.program.setting.columns
    spend = np.where(np.array([x.leased for x in g.lines])[:, None], g.rent * np.minimum(g.stay, g.T)[:, None], g.price)
    placed = (decision(solved).order * spend).sum(axis=1)
    ways: tuple[tuple[str, Sequence[str], str], ...] = (
        ("supplier", [x.supplier for x in g.lines], "orders from {0} lowered as far as {1:.0%} of extra cost allows"),
        ("place", [x.site for x in g.lines], "orders for {0} lowered as far as {1:.0%} of extra cost allows"),
        ("technology", [x.chip for x in g.lines], "orders of {0} lowered as far as {1:.0%} of extra cost allows"),
    )
    for kind, names, sentence in ways:
        of = np.array(names)
        totals = {name: float(placed[of == name].sum()) for name in sorted(set(names))}
        top = max(totals, key=lambda n: totals[n])
        if totals[top] > 0:
            goal = np.zeros(columns.n)
            live = (columns.order != ABSENT) & (of == top)[:, None]
            goal[columns.order[live]] = spend[live]
            yield kind, sentence, top, goal


def least_goal(p: Program, start: Answer, goal: Array, most: float, *, seconds: float = 60.0) -> Answer | None:
    """Return the answer with the least ``goal`` (no entry negative) among plans whose objective is at most ``most``.

    The least objective under a cap on the goal falls convexly with the cap, at a slope that is the cap's dual; where
    it meets ``most`` is found by Newton's method from the optimum ``start``. Every step is a dual simplex from the
    last answer with one bound changed: a cap on the objective itself would fill every column of the basis, and takes
    four times as long. None where the solver stops without an answer.
    """
    import highspy

    solver = hand_over(p, seconds=seconds)
    solver.setBasis(start.basis)
    live = np.flatnonzero(goal).astype(np.int32)
    row = len(p.low)
    solver.addRow(-highspy.kHighsInf, highspy.kHighsInf, len(live), live, goal[live])
    low, high = 0.0, float(goal @ start.x)  # a cap of ``high`` can be kept, and none below ``low``
    cap, found = GUESS * high, start
    for _ in range(STEPS):
        solver.changeRowBounds(row, -highspy.kHighsInf, cap)
        answer = run(solver)
        if answer.status not in {"optimal", "infeasible"}:
            return None
        lacking = answer.status == "infeasible"
        dear = np.inf if lacking else answer.objective - most
        if dear > EXACT * abs(most):
            low = cap
        else:
            high, found = cap, answer
        if abs(dear) <= EXACT * abs(most) or high - low <= EXACT * high:
            break
        slope = 0.0 if lacking else -answer.dual[row]
        step = cap + dear / slope if slope > 0.0 else 0.5 * (low + high) if lacking else low
        cap = min(max(step, low), high)
    return found

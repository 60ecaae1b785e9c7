from __future__ import annotations

from dataclasses import replace

import highspy
import numpy as np
import pytest
from numpy.typing import NDArray

from suanli.fleet._alternatives import alternatives, least_goal
from suanli.fleet._program import constant, hand_over, objective, run
from suanli.fleet._solve import Solved, solve_plan
from suanli.fleet.mathematics._base import ABSENT
from tests.fleet.synthetic import made


@pytest.fixture(scope="module", params=[0.0, 0.3])
def solved(request: pytest.FixtureRequest) -> Solved:
    grid, rates, futures, shares = made(18, 3, 4, 4)
    return solve_plan(replace(grid, cvar=(request.param, 0.5)), rates, futures, shares)


def goal_of(solved: Solved, lines: range) -> NDArray[np.float64]:
    columns = solved.program.setting.columns
    out = np.zeros(columns.n)
    for j in lines:
        out[columns.order[j][columns.order[j] != ABSENT]] = 1.0 + j
    return out


def capped(solved: Solved, goal: NDArray[np.float64], most: float) -> float:
    """The least goal under a cap on the objective, as one programme."""
    p = solved.program
    solver, cost, n = hand_over(p), objective(p), p.setting.columns.n
    live = np.flatnonzero(cost).astype(np.int32)
    solver.addRow(-highspy.kHighsInf, most - constant(p), len(live), live, cost[live])
    solver.changeColsCost(n, np.arange(n, dtype=np.int32), goal)
    solver.changeObjectiveOffset(0.0)
    answer = run(solver)
    assert answer.status == "optimal"
    return answer.objective


@pytest.mark.parametrize("slack", [0.001, 0.02, 0.2])
@pytest.mark.parametrize("lines", [range(1), range(4), range(12)])
def test_the_least_goal_is_that_of_the_programme_with_its_cost_capped(
    solved: Solved, lines: range, slack: float
) -> None:
    goal, best = goal_of(solved, lines), solved.answer.objective
    most = best + slack * abs(best)
    found = least_goal(solved.program, solved.answer, goal, most)
    assert found is not None
    cost = objective(solved.program) @ found.x + constant(solved.program)
    assert cost <= most + 1e-7 * abs(most)
    assert goal @ found.x == pytest.approx(capped(solved, goal, most), rel=1e-6, abs=1e-6)


def test_a_goal_goes_to_zero_where_cost_is_no_matter(solved: Solved) -> None:
    goal = goal_of(solved, range(12))
    found = least_goal(solved.program, solved.answer, goal, 1e9)
    assert found is not None
    assert goal @ found.x == pytest.approx(0.0, abs=1e-6)


def test_a_goal_stays_as_high_as_firm_limits_ask(solved: Solved) -> None:
    goal = goal_of(solved, range(12))
    most = solved.answer.objective + 0.2 * abs(solved.answer.objective)
    short = solved.program.setting.columns.short
    upper = solved.program.upper.copy()
    upper[short[short != ABSENT]] = solved.answer.x[short[short != ABSENT]]  # nothing more may be left unserved
    firm = replace(solved, program=replace(solved.program, upper=upper))
    found = least_goal(firm.program, firm.answer, goal, most)
    assert found is not None
    assert goal @ found.x == pytest.approx(capped(firm, goal, most), rel=1e-6, abs=1e-6)
    assert goal @ found.x > 0.0


def test_alternatives_keep_to_the_cost_and_name_what_they_lower(solved: Solved) -> None:
    best = solved.answer.objective
    found = alternatives(solved, slack=0.05)
    assert [a.id for a in found] == ["supplier", "place", "technology"]
    for a in found:
        assert a.after < a.before
        assert "5%" in a.sentence
    if solved.grid.cvar[0] == 0.0:
        assert all(a.cost <= best + 0.05 * abs(best) * (1 + 1e-6) for a in found)

"""What the solver meets is named for what it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from suanli.fleet._program import SolverError, hand_over, program, run, solve_program
from suanli.fleet._solve import decision, evaluate, evaluations, solve_plan
from tests.fleet.synthetic import made


def test_a_time_limit_is_called_one() -> None:
    with pytest.raises(SolverError, match="time limit after 0 s; ask for fewer futures"):
        solve_plan(*made(24, 3, 5, 4), seconds=1e-6)


def test_an_unbounded_plan_is_called_one() -> None:
    grid, rates, futures, _ = made(8, 2, 2, 2)
    gift = replace(grid, price=-grid.price, budget=np.full_like(grid.budget, np.inf), power=grid.power + np.inf)
    with pytest.raises(SolverError, match=r"unbounded .* earns money without limit"):
        solve_plan(gift, rates, futures, ())


def test_figures_that_are_no_numbers_are_refused() -> None:
    grid, rates, futures, shares = made(8, 2, 2, 2)
    broken = grid.price.copy()
    broken[:] = np.nan
    with pytest.raises(SolverError, match="is no number"):
        solve_program(program(replace(grid, price=broken), rates, futures, shares))


def test_lack_of_memory_is_called_so() -> None:
    class Full:
        def __getattr__(self, name: str) -> Any:
            if name == "run":
                raise MemoryError
            return lambda *_: 0.0

    with pytest.raises(SolverError, match="out of memory"):
        run(Full())


def test_numerical_trouble_is_called_so() -> None:
    import highspy

    solver = hand_over(program(*made(8, 2, 2, 2)))

    class Unsure:
        def __getattr__(self, name: str) -> Any:
            return getattr(solver, name)

        def getModelStatus(self) -> Any:  # noqa: N802 - as HiGHS calls it
            return highspy.HighsModelStatus.kSolveError

    assert run(Unsure()).status == "numerical trouble"


def test_a_plan_found_from_that_under_other_budgets_is_as_good() -> None:
    grid, rates, futures, shares = made(24, 3, 4, 4)
    poor = replace(grid, budget=grid.budget * 0.6)
    cold = solve_plan(poor, rates, futures, shares)
    rich = solve_plan(grid, rates, futures, shares)
    warm = solve_plan(poor, rates, futures, shares, start=rich.answer)
    assert warm.answer.objective == pytest.approx(cold.answer.objective, rel=1e-9)
    assert warm.answer.objective > rich.answer.objective
    assert warm.answer.iterations < cold.answer.iterations / 2
    unlimited = replace(grid, budget=np.full_like(grid.budget, np.inf))  # has fewer rows: the start does not fit
    fitting = solve_plan(unlimited, rates, futures, shares, start=rich.answer)
    assert fitting.answer.objective <= rich.answer.objective


def test_held_plans_cost_the_same_one_by_one_and_on_one_model() -> None:
    args = made(24, 3, 4, 4)
    p = program(*args)
    plans = [solve_plan(*args), solve_plan(replace(args[0], budget=args[0].budget * 0.5), *args[1:])]
    held = [decision(x) for x in plans]
    together = [cost for cost, _ in evaluations(p, held)]
    alone = [evaluate(p, d)[0] for d in held]
    weight = p.setting.futures.probability
    assert [weight @ c for c in together] == pytest.approx([weight @ c for c in alone], rel=1e-9)
    assert weight @ together[0] <= weight @ together[1]

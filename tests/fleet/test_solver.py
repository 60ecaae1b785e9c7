"""What the solver meets is named for what it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from suanli.fleet._program import SolverError, hand_over, program, run, solve_program
from suanli.fleet._solve import solve_plan
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

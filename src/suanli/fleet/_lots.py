"""Whole lots: racks, blocks of power. A mixed-integer search in a child process that is stopped at its limit.

HiGHS's own limit is not hard, so the search runs in a process that can be ended; the plan without lots is its bound,
and that plan rounded down to lots is what is left where the search finds nothing.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from suanli.fleet._lines import THOUSAND
from suanli.fleet._program import Program, constant, objective
from suanli.fleet._solve import Decision, Solved, decision, evaluate
from suanli.fleet.mathematics._base import ABSENT

Array = NDArray[np.float64]
GAP = 0.002
GRACE = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lots:
    """A plan in whole lots: its objective in MUSD, a bound below it, that of the rounded plan, and how it ended."""

    status: str
    cost: float
    bound: float
    rounded: float
    seconds: float
    decision: Decision


def lot_sizes(p: Program) -> Array:
    """Return [n] the lot of each column in its own unit; zero where it need not be whole."""
    g, c = p.setting.grid, p.setting.columns
    out = np.zeros(c.n)
    for j, line in enumerate(g.lines):
        if line.offer is not None and line.offer.lot > 0:
            live = c.order[j][c.order[j] != ABSENT]
            out[live] = line.offer.lot / THOUSAND
    for o, option in enumerate(g.options):
        live = c.power[o][c.power[o] != ABSENT]
        out[live] = option.lot
    return out


def whole_lots(solved: Solved, *, seconds: float) -> Lots:
    """Return the best plan in whole lots found in ``seconds``, else the plan rounded down to lots."""
    p = solved.program
    start = time.perf_counter()
    rounded = _rounded(solved)
    rounded_cost = _cost(p, rounded)
    found = _search(p, lot_sizes(p), seconds)
    spent = time.perf_counter() - start
    if found is not None:
        whole = decision(replace(solved, answer=replace(solved.answer, x=found)))
        cost = _cost(p, whole)
        if cost <= rounded_cost:
            return Lots(
                status="searched",
                cost=cost,
                bound=solved.answer.objective,
                rounded=rounded_cost,
                seconds=spent,
                decision=whole,
            )
    return Lots(
        status="rounded",
        cost=rounded_cost,
        bound=solved.answer.objective,
        rounded=rounded_cost,
        seconds=spent,
        decision=rounded,
    )


def _cost(p: Program, d: Decision) -> float:
    """Return the objective in MUSD with the first stage held at ``d``."""
    return evaluate(p, d, tail=True)[1].objective


def _rounded(solved: Solved) -> Decision:
    """Return the plan with every order and addition cut down to whole lots: no limit from above can break."""
    g, made = solved.grid, decision(solved)
    order, power = made.order.copy(), made.power.copy()
    for j, line in enumerate(g.lines):
        if line.offer is not None and line.offer.lot > 0:
            lot = line.offer.lot / THOUSAND
            order[j] = np.floor(order[j] / lot + 1e-6) * lot
    for o, option in enumerate(g.options):
        if option.lot > 0:
            power[o] = np.floor(power[o] / option.lot + 1e-6) * option.lot
    return replace(made, order=order, power=power)


def _search(p: Program, lots: Array, seconds: float) -> Array | None:
    """Return the columns of the best plan that a child process finds in ``seconds``, None where it finds none."""
    scale = np.where(lots > 0, lots, 1.0)
    with tempfile.TemporaryDirectory(prefix="suanli-lots-") as folder:
        task, result = Path(folder) / "task.npz", Path(folder) / "result.npy"
        matrix = sparse.csr_matrix(p.matrix @ sparse.diags(scale))
        np.savez(
            task, data=matrix.data, indices=matrix.indices, indptr=matrix.indptr, cost=objective(p) * scale,
            offset=np.array([constant(p)]), lower=p.lower / scale, upper=p.upper / scale, low=p.low, high=p.high,
            whole=lots > 0, seconds=np.array([seconds]),
        )  # fmt: skip
        child = multiprocessing.get_context("spawn").Process(target=work, args=(str(task), str(result)), daemon=True)
        child.start()
        child.join(seconds + GRACE)
        if child.is_alive():
            child.kill()
            child.join()
        if not result.is_file():
            return None
        return np.asarray(np.load(result)) * scale


def work(task: str, result: str) -> None:
    """Solve a task as written by the parent, and write the columns found (the child process's whole life)."""
    import highspy

    t: Any = np.load(task)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(t["cost"]), len(t["low"])
    lp.col_cost_, lp.offset_ = t["cost"], float(t["offset"][0])
    lp.col_lower_, lp.col_upper_, lp.row_lower_, lp.row_upper_ = t["lower"], t["upper"], t["low"], t["high"]
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = t["indptr"], t["indices"], t["data"]
    kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
    lp.integrality_ = [kinds[int(whole)] for whole in t["whole"]]
    solver = highspy.Highs()
    options = {"output_flag": False, "threads": 1, "time_limit": float(t["seconds"][0]), "mip_rel_gap": GAP}
    for name, value in options.items():
        solver.setOptionValue(name, value)
    solver.passModel(lp)
    solver.run()
    if solver.getInfo().primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible:
        np.save(result, np.array(solver.getSolution().col_value))

"""Whole lots: racks, blocks of power. A mixed-integer search in a child process that is stopped at its limit.

HiGHS's own limit is not hard, so the search runs in a process that can be ended; every better plan is written as it is
found. The plan without lots is the bound. That plan rounded down to lots is where the search starts, and what is left
where it finds nothing. It looks near the plan without lots first, and everywhere in the time that remains.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import suppress
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
CHILD = "import sys; from suanli.fleet._lots import work; work(*sys.argv[1:3])"


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
    held = evaluate(p, rounded, tail=True)[1]
    rounded_cost = held.objective
    found = _search(p, lot_sizes(p), seconds, solved.answer.x, held.x)
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


def _search(p: Program, lots: Array, seconds: float, plain: Array, start: Array) -> Array | None:
    """Return the columns of the best plan that a child process finds in ``seconds``, None where it finds none.

    ``plain`` [n] are the columns of the plan without lots, ``start`` [n] those of a plan in whole lots.
    """
    scale = np.where(lots > 0, lots, 1.0)
    with tempfile.TemporaryDirectory(prefix="suanli-lots-") as folder:
        task, result = Path(folder) / "task.npz", Path(folder) / "result.npy"
        matrix = sparse.csr_matrix(p.matrix @ sparse.diags(scale))
        np.savez(
            task, data=matrix.data, indices=matrix.indices, indptr=matrix.indptr, cost=objective(p) * scale,
            offset=np.array([constant(p)]), lower=p.lower / scale, upper=p.upper / scale, low=p.low, high=p.high,
            whole=lots > 0, seconds=np.array([seconds]), plain=plain / scale, start=start / scale,
        )  # fmt: skip
        command = [sys.executable, "-c", CHILD, str(task), str(result)]
        with suppress(subprocess.TimeoutExpired):  # it is ended then; what it wrote counts
            subprocess.run(command, timeout=seconds + GRACE, check=False, stdin=subprocess.DEVNULL)
        if not result.is_file():
            return None
        return np.asarray(np.load(result)) * scale


def near(t: Any) -> tuple[Array, Array]:
    """Return the bounds of a task's columns near its plan without lots: a lot more or less, none where none is."""
    plain, whole = t["plain"], t["whole"]
    used = whole & (plain > 1e-6)
    low = np.where(used, np.maximum(np.floor(plain) - 1.0, t["lower"]), t["lower"])
    high = np.where(used, np.minimum(np.ceil(plain) + 1.0, t["upper"]), np.where(whole, t["lower"], t["upper"]))
    return low, high


def work(task: str, result: str) -> None:
    """Solve a task as written by the parent, near its plan and then everywhere (the child process's whole life)."""
    t: Any = dict(np.load(task))
    limit = time.perf_counter() + float(t["seconds"][0])
    best = t["start"]
    for part, (low, high) in ((0.6, near(t)), (1.0, (t["lower"], t["upper"]))):
        left = part * (limit - time.perf_counter())
        if left > 0:
            best = _solve(t, low, high, best, left, Path(result))


def _solve(t: Any, low: Array, high: Array, start: Array, seconds: float, result: Path) -> Array:
    """Return the best columns found within bounds from ``start``; better plans are written as found."""
    import highspy

    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(t["cost"]), len(t["low"])
    lp.col_cost_, lp.offset_ = t["cost"], float(t["offset"][0])
    lp.col_lower_, lp.col_upper_, lp.row_lower_, lp.row_upper_ = low, high, t["low"], t["high"]
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = t["indptr"], t["indices"], t["data"]
    kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
    lp.integrality_ = [kinds[int(whole)] for whole in t["whole"]]
    solver = highspy.Highs()
    for name, value in {"output_flag": False, "threads": 1, "time_limit": seconds, "mip_rel_gap": GAP}.items():
        solver.setOptionValue(name, value)
    solver.passModel(lp)
    known = highspy.HighsSolution()
    known.col_value = start
    solver.setSolution(known)
    best = start

    def keep(event: Any) -> None:
        nonlocal best
        best = np.array(event.data_out.mip_solution)
        _write(result, best)

    solver.cbMipImprovingSolution.subscribe(keep)
    solver.run()
    if solver.getInfo().primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible:
        best = np.array(solver.getSolution().col_value)
        _write(result, best)
    return best


def _write(result: Path, columns: Array) -> None:
    """Write columns whole: the parent may end this process at any moment."""
    part = result.with_suffix(".part.npy")
    np.save(part, columns)
    part.replace(result)

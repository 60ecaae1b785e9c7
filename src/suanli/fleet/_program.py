"""From blocks to one linear programme: columns, bounds, costs by scenario, rows; and the hand-over to HiGHS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from suanli.errors import SuanliError
from suanli.fleet._grid import Grid, Rates
from suanli.fleet._scenarios import Futures
from suanli.fleet.mathematics import FAMILIES, Block, Columns, Setting, Shares, classes
from suanli.fleet.mathematics._base import ABSENT, INFINITE, Classes

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A linear programme in MUSD: minimise probability @ (fixed + costs @ x), low <= A x <= high, lower <= x <= upper.

    ``costs`` [S, n] and ``fixed`` [S] are the cost of each scenario; ``blocks`` name (family, first row, block).
    """

    setting: Setting
    costs: sparse.csr_matrix
    fixed: Array
    lower: Array
    upper: Array
    matrix: sparse.csr_matrix
    low: Array
    high: Array
    blocks: tuple[tuple[str, int, Block], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the solver found: values [n], row duals [m], the objective in MUSD, its status, time in s and its basis."""

    x: Array
    dual: Array
    objective: float
    status: str
    seconds: float
    iterations: int
    basis: Any = None


def program(grid: Grid, rates: Rates, futures: Futures, shares: Sequence[Shares], *, parking: bool = True) -> Program:
    """Return the two-stage programme of a grid over its futures.

    With ``parking`` delivered chips for which a site has no power wait switched off; without, what is delivered must
    fit in every future (the smaller form, where nobody asks what happens otherwise).
    """
    kinds = classes(grid, futures)
    columns = _columns(grid, rates, futures, kinds, tuple(shares), parking=parking)
    setting = Setting(grid=grid, rates=rates, futures=futures, classes=kinds, columns=columns, shares=tuple(shares))
    from suanli.fleet._costs import scenario_costs

    costs, fixed = scenario_costs(setting)
    blocks: list[tuple[str, int, Block]] = []
    first = 0
    for family in FAMILIES:
        block = family.rows(setting)
        blocks.append((family.name, first, block))
        first += len(block.low)
    tail = _tail_block(setting, costs, fixed)
    if tail is not None:
        blocks.append(("tail", first, tail))
        first += len(tail.low)
    lower, upper = _bounds(setting)
    return Program(
        setting=setting,
        costs=costs,
        fixed=fixed,
        lower=lower,
        upper=upper,
        matrix=_matrix(blocks, first, columns.n),
        low=np.concatenate([b.low for _, _, b in blocks]),
        high=np.concatenate([b.high for _, _, b in blocks]),
        blocks=tuple(blocks),
    )


def objective(p: Program) -> Array:
    """Return the cost of each column: the mean over scenarios, blended with the tail where the case asks for it."""
    f = p.setting.futures
    weight, tail = p.setting.grid.cvar
    mean = np.asarray(f.probability @ p.costs).ravel()
    if p.setting.columns.tail.size == 0:
        return mean
    out: Array = (1.0 - weight) * mean
    out[p.setting.columns.tail[0]] += weight
    out[p.setting.columns.tail[1:]] += weight * f.probability / tail
    return out


def constant(p: Program) -> float:
    """Return the part of the objective that no column moves."""
    weight = p.setting.grid.cvar[0] if p.setting.columns.tail.size else 0.0
    return float((1.0 - weight) * (p.setting.futures.probability @ p.fixed))


def scenario_cost(p: Program, x: Array) -> Array:
    """Return the cost of every scenario, in MUSD."""
    return np.asarray(p.costs @ x + p.fixed)


def fixed_to(p: Program, columns: Ints, values: Array) -> Program:
    """Return the programme with some columns held at values."""
    lower, upper = p.lower.copy(), p.upper.copy()
    lower[columns] = values
    upper[columns] = values
    return replace(p, lower=lower, upper=upper)


# ------------------------------------------------------------------------------------------------------------ columns


def _columns(
    grid: Grid, rates: Rates, futures: Futures, kinds: Classes, shares: tuple[Shares, ...], *, parking: bool
) -> Columns:
    n = 0

    def take(mask: NDArray[np.bool_]) -> Ints:
        nonlocal n
        out = np.full(mask.shape, ABSENT, dtype=np.int64)
        count = int(mask.sum())
        out[mask] = np.arange(n, n + count)
        n += count
        return out

    useful = np.zeros((grid.J, grid.T), dtype=bool)
    for (j, _), matrix in kinds.arrived.items():
        useful[j] |= matrix.sum(axis=0) > 0
    order = take(useful)
    stock: dict[tuple[int, int], Ints] = {}
    for (j, k), net in kinds.net.items():
        moving = (net != 0).any(axis=1) | (kinds.given[j, k] != 0)
        if moving.any():
            stock[j, k] = take(np.arange(grid.T) >= int(np.flatnonzero(moving)[0]))
    alone = np.full(len(grid.pools), ABSENT, dtype=np.int64) if parking else _alone(grid, rates)
    now = np.arange(grid.T) >= grid.start
    there = _there(grid, kinds, stock)
    coming = (there != ABSENT) & (futures.delivered > 0)[:, :, None]
    can = _possible(grid, futures, coming) & now
    serves = (rates.serve > 0) & (alone[:, None] != np.arange(len(grid.services))[None, :])
    use = take(can[:, :, None, :] & serves[None, :, :, None])
    train = _train_columns(grid, rates, futures, can, take)
    s, w = futures.n, len(grid.services)
    options = np.zeros((len(grid.options), grid.T), dtype=bool)
    for o, option in enumerate(grid.options):
        options[o] = now & (np.arange(grid.T) + option.lead < grid.T)
    short = take(np.broadcast_to(now, (s, w, grid.T)))
    miss = take(np.ones((s, len(grid.runs)), dtype=bool))
    gap = take(_gaps(shares))
    power = take(options)
    project = take(np.ones(len(grid.projects), dtype=bool))
    park = take(coming & now & (grid.draw > 0)[:, None] & parking)  # chips still to come may have to wait for power
    tail = take(np.ones(s + 1 if grid.cvar[0] > 0 and s > 1 else 0, dtype=bool))
    return Columns(
        n=n, order=order, stock=stock, use=use, train=train, short=short, miss=miss, power=power, project=project,
        gap=gap, tail=tail, park=park, there=there, alone=alone,
    )  # fmt: skip


def _gaps(shares: tuple[Shares, ...]) -> NDArray[np.bool_]:
    out = np.zeros((len(shares), max((len(x.years) for x in shares), default=0)), dtype=bool)
    for i, share in enumerate(shares):
        out[i, : len(share.years)] = share.price is not None
    return out


def _alone(grid: Grid, rates: Rates) -> Ints:
    """Return, for each pool, the only service it can do (so that no use variable is needed), or ABSENT."""
    out = np.full(len(grid.pools), ABSENT, dtype=np.int64)
    for q, pool in enumerate(grid.pools):
        serving = np.flatnonzero(rates.serve[q] > 0)
        trains = any((r, q) in rates.train for r in range(len(grid.runs)))
        refunded = any(grid.take_or_pay[j] < 1.0 for j in pool.lines)
        if len(serving) == 1 and not trains and not refunded:
            out[q] = serving[0]
    return out


def _there(grid: Grid, kinds: Classes, stock: Mapping[tuple[int, int], Ints]) -> Ints:
    """Return [S, J, T]: the stock of each line in each scenario, by the class of its deliveries."""
    out = np.full((len(kinds.of), grid.J, grid.T), ABSENT, dtype=np.int64)
    for (j, k), columns in stock.items():
        out[kinds.of[:, j] == k, j] = columns
    return out


def _possible(grid: Grid, futures: Futures, coming: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return [S, Q, T]: whether a pool can hold anything legal to run. ``coming`` [S, J, T] is what may arrive."""
    legal = ((grid.given > 0) | coming) & grid.run & futures.usable
    out = np.zeros((futures.n, len(grid.pools), grid.T), dtype=bool)
    for q, pool in enumerate(grid.pools):
        out[:, q] = legal[:, list(pool.lines)].any(axis=1)
    return out


def _train_columns(
    grid: Grid, rates: Rates, futures: Futures, can: NDArray[np.bool_], take: Any
) -> dict[tuple[int, int, int], Ints]:
    out: dict[tuple[int, int, int], Ints] = {}
    t = np.arange(grid.T)
    for (r, q), (widths, _) in sorted(rates.train.items()):
        first, last = grid.run_window[r]
        window = (t >= first) & (t <= last)
        for s in range(futures.n):
            live = can[s, q] & window
            if live.any():
                out[s, r, q] = take(np.broadcast_to(live, (len(widths), grid.T)))
    return out


def _bounds(setting: Setting) -> tuple[Array, Array]:
    c, g = setting.columns, setting.grid
    lower, upper = np.zeros(c.n), np.full(c.n, INFINITE)
    for (_, r, q), columns in c.train.items():
        for width, segment in zip(setting.rates.train[r, q][0], columns, strict=True):
            upper[segment[segment != ABSENT]] = width
    for o, option in enumerate(g.options):
        live = c.power[o][c.power[o] != ABSENT]
        upper[live] = option.limit
    upper[c.miss.ravel()] = 1.0
    upper[c.project] = 1.0
    if c.tail.size:
        lower[c.tail[0]] = -INFINITE
    return lower, upper


def _tail_block(setting: Setting, costs: sparse.csr_matrix, fixed: Array) -> Block | None:
    """Return the rows of the tail: cost of a scenario less the value at risk is at most its excess."""
    c = setting.columns
    if c.tail.size == 0:
        return None
    coo = costs.tocoo()
    s = setting.futures.n
    rows = np.arange(s)
    return Block(
        row=np.concatenate([coo.row, rows, rows]).astype(np.int64),
        col=np.concatenate([coo.col, np.full(s, c.tail[0]), c.tail[1:]]).astype(np.int64),
        value=np.concatenate([coo.data, np.full(s, -1.0), np.full(s, -1.0)]),
        low=np.full(s, -INFINITE),
        high=-fixed,
        index={"scenario": rows},
    )


def _matrix(blocks: Sequence[tuple[str, int, Block]], rows: int, n: int) -> sparse.csr_matrix:
    r = np.concatenate([first + b.row for _, first, b in blocks])
    c = np.concatenate([b.col for _, _, b in blocks])
    v = np.concatenate([b.value for _, _, b in blocks])
    out = sparse.csr_matrix((v, (r, c)), shape=(rows, n))
    out.sum_duplicates()
    return out


# ------------------------------------------------------------------------------------------------------------- solver

DANTZIG = 0
"""HiGHS's number for picking rows of the dual simplex by infeasibility alone. Rows are in like units, and most of them
chains of months: steepest-edge weights cost more there than the steps they save (1.7 to 2.7 times the whole time)."""


def hand_over(p: Program, *, seconds: float = 600.0, method: str = "choose") -> Any:
    """Return a HiGHS object that holds the programme. Raises SuanliError where HiGHS refuses it."""
    import highspy

    cost = objective(p)
    bounds = (p.lower, p.upper, p.low, p.high)
    if not (np.isfinite(cost).all() and np.isfinite(p.matrix.data).all()) or any(np.isnan(b).any() for b in bounds):
        raise SolverError("a figure of the plan is no number: look for a price, rate or power that is not finite")
    solver = highspy.Highs()
    options = {
        "output_flag": False, "threads": 1, "time_limit": seconds, "solver": method,
        "simplex_dual_edge_weight_strategy": DANTZIG,
    }  # fmt: skip
    for name, value in options.items():
        _checked(solver.setOptionValue(name, value), f"option {name}")
    try:
        told = solver.passModel(
            len(cost), len(p.low), p.matrix.nnz, highspy.MatrixFormat.kRowwise, highspy.ObjSense.kMinimize, constant(p),
            cost, *bounds, p.matrix.indptr, p.matrix.indices, p.matrix.data, np.zeros(len(cost), dtype=np.int32),
        )  # fmt: skip
        _checked(told, "model")
    except MemoryError as error:
        raise SolverError(MEMORY) from error
    return solver


def run(solver: Any) -> Answer:
    """Run a HiGHS object and return its answer; the status says what it is worth."""
    import highspy

    before = solver.getRunTime()
    names = highspy.HighsModelStatus
    try:
        solver.run()
        if solver.getModelStatus() == names.kUnboundedOrInfeasible:  # presolve cannot tell which: ask without it
            solver.setOptionValue("presolve", "off")
            solver.run()
    except MemoryError as error:
        raise SolverError(MEMORY) from error
    status = solver.getModelStatus()
    told = {
        names.kOptimal: "optimal",
        names.kInfeasible: "infeasible",
        names.kUnbounded: "unbounded",
        names.kTimeLimit: "time limit",
        names.kMemoryLimit: "out of memory",
        names.kSolveError: "numerical trouble",
        names.kUnknown: "numerical trouble",
    }.get(status, solver.modelStatusToString(status))
    solution, info = solver.getSolution(), solver.getInfo()
    return Answer(
        x=np.array(solution.col_value),
        dual=np.array(solution.row_dual),
        objective=float(info.objective_function_value),
        status=told,
        seconds=float(solver.getRunTime() - before),
        iterations=int(info.simplex_iteration_count),
        basis=solver.getBasis(),
    )


def solve_program(p: Program, *, seconds: float = 600.0, method: str = "choose") -> Answer:
    """Return the optimal answer. Raises SuanliError that says what the solver met where there is none."""
    answer = run(hand_over(p, seconds=seconds, method=method))
    if answer.status != "optimal":
        raise trouble(answer)
    return answer


MEMORY = "the solver stopped: out of memory; ask for fewer futures (--scenarios) or a shorter horizon"
CURES = {
    "time limit": "ask for fewer futures (--scenarios)",
    "unbounded": "an offer earns money without limit: look for a price of zero or a second-hand value above the price",
    "out of memory": "ask for fewer futures (--scenarios) or a shorter horizon",
    "numerical trouble": "figures of very different size meet: look for a price, power or rate off by orders",
    "infeasible": "the limits cannot hold together",
}


class SolverError(SuanliError):
    """The solver stopped without an answer; the text says why, and what may help."""


def trouble(answer: Answer) -> SolverError:
    """Return the error for an answer that is no optimum."""
    cure = CURES.get(answer.status, "no cure is known")
    return SolverError(f"the solver stopped: {answer.status} after {answer.seconds:.0f} s; {cure}")


def _checked(status: Any, what: str) -> None:
    import highspy

    if status == highspy.HighsStatus.kError:
        raise SolverError(
            f"HiGHS refused the {what}: a figure in it is no number, or a lower bound lies above an upper"
        )

"""Re-planning: what was begun stands, nothing learned changes nothing, and nobody beats hindsight."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from suanli import fleet
from suanli.errors import InputError
from suanli.fleet._engines import Tables, tables_of
from suanli.fleet._frozen import NOTHING, Frozen, Placed
from suanli.fleet._plan import Outlook, grid_for, outlook
from suanli.fleet._program import program
from suanli.fleet._rolling import frozen_by, frozen_of, frozen_rows, met_by, trained_by
from suanli.fleet._scenarios import select
from suanli.fleet._schema import View
from suanli.fleet._solve import Decision, Solved, decision, evaluate, solve_plan
from suanli.fleet.mathematics import spent_before

SMALL = fleet.load_case(Path(__file__).parent / "data" / "small")
FIRST = SMALL.spec.views[0]


@pytest.fixture(scope="module")
def tables() -> Tables:
    return tables_of(SMALL.spec)


def seen(tables: Tables, month: str, frozen: Frozen = NOTHING) -> Outlook:
    view: View = FIRST.model_copy(update={"orders_from": month})
    return outlook(SMALL.spec, view, tables, fleet.Options(scenarios=8, frozen=frozen))


def planned(base: Outlook, scenario: int) -> Solved:
    """Return the plan of an outlook that knows which future comes."""
    return solve_plan(grid_for(base, None), base.rates, select(base.futures, [scenario]), base.shares)


@pytest.fixture(scope="module")
def first(tables: Tables) -> tuple[Outlook, Solved]:
    base = seen(tables, "2024-02")
    worst = int(np.argmin([base.futures.delivered[s].sum() + base.futures.open[s].mean() for s in range(8)]))
    return base, planned(base, worst)


def on_from(solved: Solved, until: int) -> Frozen:
    """Return what a plan had begun and met before a month, had its one future come."""
    done = trained_by(solved.program, solved.answer.x, until)
    begun = replace(frozen_by(solved.grid, decision(solved), until), done=done)
    return met_by(solved.program, begun, until)


@pytest.mark.parametrize("month", ["2024-03", "2024-07", "2025-02"])
def test_with_nothing_learned_the_plan_goes_on_as_it_was(
    tables: Tables, first: tuple[Outlook, Solved], month: str
) -> None:
    base, before = first
    until = before.grid.months.index(month)
    after_base = seen(tables, month, on_from(before, until))
    name = before.program.setting.futures.names[0]
    # the futures are those of the first view: nothing was learned
    futures = select(base.futures, [base.futures.names.index(name)])
    after = solve_plan(grid_for(after_base, None), after_base.rates, futures, after_base.shares)
    earlier, later = decision(before), decision(after)
    months = np.arange(before.grid.T)
    both = Decision(
        order=np.where(months < until, earlier.order, later.order),
        power=np.where(months < until, earlier.power, later.power),
        project=earlier.project,
    )
    cost, _ = evaluate(before.program, both)
    assert cost[0] == pytest.approx(before.answer.objective, rel=1e-6)
    assert later.order[:, :until].sum() == 0.0


def test_a_held_plan_costs_the_same_wherever_the_solver_starts(first: tuple[Outlook, Solved]) -> None:
    _, before = first
    held = decision(before)
    half = Decision(order=held.order * 0.5, power=held.power, project=held.project)
    _, start = evaluate(before.program, held)
    cold, _ = evaluate(before.program, half)
    warm, _ = evaluate(before.program, half, start=start)
    assert cold[0] > before.answer.objective
    assert warm == pytest.approx(cold, rel=1e-9)


def test_the_stock_of_a_re_plan_is_that_of_the_plan(tables: Tables, first: tuple[Outlook, Solved]) -> None:
    from suanli.fleet._results import stock_paths

    _, before = first
    until = before.grid.months.index("2024-09")
    frozen = on_from(before, until)
    grid = grid_for(seen(tables, "2024-09", frozen), None)
    there = stock_paths(before.program, before.answer.x)[0]
    assert grid.given[:, until - 1] == pytest.approx(there[:, until - 1], abs=1e-9)


def test_frozen_orders_reappear_exactly(tables: Tables, first: tuple[Outlook, Solved]) -> None:
    _, before = first
    until = before.grid.months.index("2024-09")
    frozen = frozen_by(before.grid, decision(before), until)
    grid = grid_for(seen(tables, "2024-09", frozen), None)
    made = decision(before).order
    own = {(j, t): made[j, t] for j, t in np.argwhere(made[:, :until] > 1e-9)}
    found = {(j, t): q for j, t, q in grid.committed}
    assert found.pop((0, 0)) == 0.2  # the case's own commitment
    assert found == own
    came = sum(q for _, _, q in grid.due) + grid.given[:, until - 1].sum()
    assert came > 0


def test_money_taken_stays_taken(tables: Tables, first: tuple[Outlook, Solved]) -> None:
    base, before = first
    until = before.grid.months.index("2024-09")
    frozen = on_from(before, until)
    after = grid_for(seen(tables, "2024-09", frozen), None)
    futures = before.program.setting.futures
    setting = program(after, base.rates, futures, ()).setting
    already = spent_before(before.program.setting, 0, 0)
    d = decision(before)
    from suanli.fleet._results import planned_spend

    rest = Decision(order=d.order.copy(), power=d.power.copy(), project=d.project)
    rest.order[:, :until], rest.power[:, :until] = 0.0, 0.0
    early = planned_spend(before, d, 0, 0) - planned_spend(before, rest, 0, 0)
    assert early > 0
    assert spent_before(setting, 0, 0) == pytest.approx(already + early)


def test_an_earlier_plan_that_met_high_prices_leaves_nothing_of_that_year(
    tables: Tables, first: tuple[Outlook, Solved]
) -> None:
    _, before = first
    frozen = on_from(before, before.grid.months.index("2024-09"))
    dear = replace(frozen, orders=tuple(replace(o, price=50.0) for o in frozen.orders))
    base = seen(tables, "2024-09", dear)
    again = planned(base, 0)
    year = again.grid.year == 0
    assert spent_before(again.program.setting, 0, 0) > again.grid.budget[0, 0]
    paying = [j for j, x in enumerate(again.grid.lines) if x.pot == again.grid.pots[0] and not x.leased]
    assert decision(again).order[paying][:, year].sum() == pytest.approx(0.0, abs=1e-9)


def test_what_the_case_says_arrived_counts(tables: Tables) -> None:
    """Of 200 chips ordered in January, the curve has half there in April; the case may know better."""

    def stock(arrived: float | None) -> tuple[float, float]:
        one = SMALL.spec.commitments[0]
        said = None if arrived is None else one.quantity.model_copy(update={"value": arrived})
        spec = SMALL.spec.model_copy(update={"commitments": [one.model_copy(update={"arrived": said})]})
        view = FIRST.model_copy(update={"orders_from": "2024-04"})
        grid = grid_for(outlook(spec, view, tables, fleet.Options()), None)
        good = next(j for j, x in enumerate(grid.lines) if x.offer is not None and x.offer.id == "good")
        return grid.given[good, 3] * 1e3, sum(q for j, _, q in grid.due if j == good) * 1e3

    there, due = stock(None)
    assert there == pytest.approx(100.0, rel=0.02)
    assert due == pytest.approx(100.0)
    there, due = stock(20.0)
    assert there == pytest.approx(20.0, rel=0.02)
    assert due == pytest.approx(180.0)
    assert stock(200.0)[1] == pytest.approx(0.0)


def test_a_lease_under_term_is_paid_whether_it_runs_or_not(tables: Tables) -> None:
    from suanli.fleet._costs import fixed_costs

    placed = Placed(offer="rented", site="hall", month="2024-03", chips=1.0)
    without, having = (seen(tables, "2024-06", Frozen(since="2024-02", orders=x)) for x in ((), (placed,)))
    costs = [
        fixed_costs(program(grid_for(b, None), b.rates, b.futures, b.shares).setting)[0] for b in (without, having)
    ]
    # term of 6 months from April: June to September are still due, 90 % of them used or not
    discount = 1.08 ** (-np.arange(4) / 12)
    rent = 1.5 * 730.5 * 1e3 / 1e6 * 0.9 * discount.sum()
    energy = costs[1] - costs[0] - rent
    assert energy == pytest.approx(0.0, abs=1e-9)  # leased machines' power is the operator's


def test_training_done_is_not_asked_again(tables: Tables) -> None:
    half = seen(tables, "2024-09", Frozen(since="2024-02", done={"training": 0.5}))
    p = program(grid_for(half, None), half.rates, half.futures, half.shares)
    low = next(p.low[first : first + len(b.low)] for name, first, b in p.blocks if name == "tokens")
    assert low == pytest.approx(0.5)


def test_a_rolling_plan_keeps_hindsight_out_of_reach() -> None:
    days = [dt.date(2024, 1, 31), dt.date(2024, 6, 15), dt.date(2024, 11, 15)]
    found = fleet.rolling(SMALL, days)
    for cost in (found.plan, found.deterministic, found.once, found.once_deterministic):
        assert cost >= found.perfect - 1e-6
    assert 0.0 <= found.served <= 1.0
    row = fleet.rolling_row(found)
    assert row["regret"] == pytest.approx((found.plan - found.perfect) * 1e6)
    one = fleet.rolling(SMALL, days[:1])
    assert one.plan == pytest.approx(one.once)
    with pytest.raises(InputError, match="must rise"):
        fleet.rolling(SMALL, days[::-1])


def test_a_written_plan_can_be_gone_on_from(tmp_path: Path) -> None:
    out = tmp_path / "plan"
    plan = fleet.solve(SMALL, options=fleet.Options(fresh=0, explain=False))
    fleet.write_plan(plan, out)
    frozen = frozen_of(out, "2024-08")
    assert frozen.since == "2024-02"
    made = decision(plan.main).order
    until = plan.main.grid.months.index("2024-08")
    assert sum(o.chips for o in frozen.orders) == pytest.approx(made[:, :until].sum(), rel=1e-6)
    day = dt.date(2024, 7, 15)
    again = fleet.solve(SMALL, options=fleet.Options(fresh=0, explain=False, as_of=day, frozen=frozen))
    assert frozen_rows(NOTHING) is None
    fleet.write_plan(again, tmp_path / "next")
    chained = frozen_of(tmp_path / "next", "2024-10")
    assert chained.since == "2024-02"
    assert chained.orders[: len(frozen.orders)] == frozen.orders
    with pytest.raises(InputError, match=r"plan\.json"):
        frozen_of(tmp_path, "2024-08")

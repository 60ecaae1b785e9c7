"""The mathematics: equal to the textbook, conserving, monotone, indifferent to order and repetition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from suanli.fleet._grid import Project
from suanli.fleet._lines import Line
from suanli.fleet._program import program, scenario_cost, solve_program
from suanli.fleet._scenarios import select
from suanli.fleet._solve import decision, solve_plan
from suanli.fleet.mathematics import FAMILIES, NOTES
from tests.fleet.synthetic import made
from tests.fleet.textbook import textbook


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("size", "slip"), [((8, 2, 3, 2), False), ((10, 2, 2, 3), True)])
def test_reduced_form_equals_the_textbook(size: tuple[int, int, int, int], slip: bool) -> None:
    args = made(*size, slip=slip)
    ours = solve_program(program(*args, parking=False)).objective
    assert ours == pytest.approx(textbook(*args), rel=1e-3)


def test_parking_never_costs() -> None:
    args = made(12, 3, 4, 3)
    assert solve_program(program(*args)).objective <= solve_program(program(*args, parking=False)).objective + 1e-6


def test_objective_is_the_mean_of_the_scenarios() -> None:
    p = program(*made(12, 3, 4, 3))
    answer = solve_program(p)
    assert p.setting.futures.probability @ scenario_cost(p, answer.x) == pytest.approx(answer.objective, rel=1e-9)


def test_chips_are_conserved() -> None:
    grid, rates, futures, shares = made(18, 2, 3, 2)
    solved = solve_plan(grid, rates, futures, shares)
    orders = decision(solved).order
    c, x = solved.program.setting.columns, solved.answer.x
    assert orders.sum() > 0
    for (j, k), columns in c.stock.items():
        live = columns >= 0
        stock = np.zeros(grid.T)
        stock[live] = x[columns[live]]
        lead = len(grid.curve[j]) - 1
        expected = [
            sum(orders[j, o] * (1 - grid.failures[j]) ** (t - o - lead) for o in range(max(0, t - lead + 1)))
            for t in range(grid.T)
        ]
        assert k == 0
        assert stock == pytest.approx(np.array(expected), abs=1e-6)


def test_money_is_conserved() -> None:
    grid, rates, futures, shares = made(24, 2, 3, 3)
    solved = solve_plan(grid, rates, futures, shares)
    spent = np.array([(decision(solved).order * grid.price)[:, grid.year == y].sum() for y in range(2)])
    assert (spent <= grid.budget[0] * (1 + 1e-9)).all()
    assert spent[0] == pytest.approx(grid.budget[0, 0])  # the plan is bound by its money on purpose


@pytest.mark.parametrize("factor", [1.05, 1.5, 3.0])
def test_more_budget_is_never_worse(factor: float) -> None:
    grid, rates, futures, shares = made(12, 2, 4, 3)
    less = solve_plan(grid, rates, futures, shares).answer.objective
    more = solve_plan(replace(grid, budget=grid.budget * factor), rates, futures, shares).answer.objective
    assert more <= less + 1e-6


def test_a_dominated_offer_is_never_bought() -> None:
    grid, rates, futures, _ = made(12, 2, 3, 3)
    worst = [j for j, x in enumerate(grid.lines) if x.chip == "chip2"]
    twin = [j for j, x in enumerate(grid.lines) if x.chip == "chip1"]
    price, order = grid.price.copy(), grid.order.copy()
    price[worst], order[worst] = price[twin] * 1.5, order[twin]
    curve = tuple(grid.curve[twin[worst.index(j)]] if j in worst else grid.curve[j] for j in range(grid.J))
    draw, delivered = grid.draw.copy(), futures.delivered.copy()
    draw[worst], delivered[:, worst] = draw[twin], delivered[:, twin]
    serve = rates.serve.copy()
    for q, pool in enumerate(grid.pools):
        if pool.chip == "chip2":
            serve[q] = serve[next(i for i, p in enumerate(grid.pools) if p.chip == "chip1" and p.region == pool.region)]
    changed = replace(grid, price=price, chip_price=price, order=order, curve=curve, draw=draw)
    solved = solve_plan(changed, replace(rates, serve=serve), replace(futures, delivered=delivered), ())
    assert decision(solved).order[worst].sum() == pytest.approx(0.0, abs=1e-6)
    assert decision(solved).order[twin].sum() > 0


def test_permuting_scenarios_changes_nothing() -> None:
    grid, rates, futures, shares = made(12, 2, 4, 5)
    a = solve_plan(grid, rates, futures, shares)
    b = solve_plan(grid, rates, select(futures, [3, 1, 4, 0, 2]), shares)
    assert a.answer.objective == pytest.approx(b.answer.objective, rel=1e-9)
    assert a.costs[[3, 1, 4, 0, 2]].mean() == pytest.approx(b.costs.mean(), rel=1e-6)


def test_results_are_the_same_from_run_to_run() -> None:
    a, b = (solve_program(program(*made(12, 2, 4, 3))) for _ in range(2))
    assert np.array_equal(a.x, b.x)


def test_what_rulings_forbid_is_no_variable() -> None:
    grid, rates, futures, shares = made(12, 2, 3, 2)
    arrive = grid.arrive.copy()
    arrive[0] = False
    p = program(replace(grid, arrive=arrive), rates, futures, shares)
    assert (p.setting.columns.order[0] == -1).all()
    assert not any(j == 0 for j, _ in p.setting.columns.stock)
    run = grid.run.copy()
    run[1, 6:] = False
    q = program(replace(grid, run=run), rates, futures, shares)
    pool = next(i for i, x in enumerate(grid.pools) if 1 in x.lines)
    alone = grid.pools[pool].lines == (1,)
    assert not alone or (q.setting.columns.use[:, pool, :, 6:] == -1).all()


def test_chips_of_ones_own_need_their_project() -> None:
    grid, rates, futures, shares = made(12, 2, 3, 2)
    mine = [j for j, x in enumerate(grid.lines) if x.chip == "chip0"]
    owner, wafers, price = np.full(grid.J, -1), np.zeros((grid.J, grid.T)), grid.price.copy()
    owner[mine], wafers[mine], price[mine] = 0, 0.02, price[mine] / 10.0
    cheap = Project(name="own", cost=1.0, spent_before=0.0, pot=None, start=0, volume=0, wafers=40.0)
    changed = replace(grid, projects=(cheap,), project_of=owner, wafers=wafers, price=price, chip_price=price)
    solved = solve_plan(changed, rates, futures, shares)
    orders = decision(solved).order[mine].sum(axis=0)
    assert solved.projects == (True,)
    assert set(solved.tried) == {(False,), (True,)}
    assert orders.max() == pytest.approx(40.0 * 50 / 1e3)  # 40 wafers of 50 chips a month, in thousands
    dear = replace(changed, projects=(replace(cheap, cost=1e6),))
    dropped = solve_plan(dear, rates, futures, shares)
    assert dropped.projects == (False,)
    assert decision(dropped).order[mine].sum() == pytest.approx(0.0, abs=1e-9)


def test_tail_weight_lowers_the_tail() -> None:
    grid, rates, futures, shares = made(12, 2, 4, 6)
    plain = solve_plan(grid, rates, futures, shares)
    wary = solve_plan(replace(grid, cvar=(0.9, 0.2)), rates, futures, shares)
    assert max(wary.costs) <= max(plain.costs) + 1e-6
    assert wary.costs.mean() >= plain.costs.mean() - 1e-6


def test_every_family_documents_itself() -> None:
    names = [f.name for f in FAMILIES]
    assert len(names) == len(set(names))
    for family in FAMILIES:
        assert family.sentence.endswith(".")
        assert family.unit
        assert "\\" in family.equation
    assert {title for title, _, _ in NOTES} == {"Arrival", "Rules"}
    assert not {"rules", "owner", "party", "place"} & {f.name for f in FAMILIES if f.business}


def test_lines_answer_to_their_names() -> None:
    line: Line = made(3, 1, 2, 1)[0].lines[1]
    assert line.answers_to(["maker1"])
    assert line.answers_to(["*"])
    assert not line.answers_to(["maker0"])

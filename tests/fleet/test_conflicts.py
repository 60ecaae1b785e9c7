"""Colliding limits: the set is irreducible, the change frees the plan, and rules are never among them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from suanli.errors import InfeasibleError
from suanli.fleet._conflicts import BUSINESS, Collision, collision, irreducible, members, prices
from suanli.fleet._grid import Option
from suanli.fleet._program import Program, hand_over, program, run
from suanli.fleet._schema_offers import Wafers
from suanli.fleet._solve import decision, solve_plan
from suanli.fleet.mathematics import FAMILIES
from tests.fleet.synthetic import made


def colliding(*, served: float = 0.95, money: float = 0.5) -> Program:
    """Return a programme that must serve nearly everything on too little money."""
    grid, rates, futures, shares = made(14, 2, 3, 3)
    least = np.full(len(grid.services), served)
    first = replace(grid, minimum=least, budget=grid.budget * money, start=0)
    # nothing is there in the first months: the least share counts from a year on
    demand = first.demand.copy()
    demand[:, :10] = 0.0
    mean = first.mean.copy()
    mean[:, :10] = 0.0
    return program(replace(first, demand=demand, mean=mean), rates, futures, shares)


def can_hold(p: Program, firm: list[int]) -> bool:
    """Return whether the programme can be met with only the business rows in ``firm`` kept."""
    low, high = p.low.copy(), p.high.copy()
    for name, first, block in p.blocks:
        if name in BUSINESS:
            for row in range(first, first + len(block.low)):
                if row not in firm:
                    low[row], high[row] = -float("inf"), float("inf")
    return run(hand_over(replace(p, low=low, high=high))).status == "optimal"


@pytest.fixture(scope="module")
def found() -> tuple[Program, Collision]:
    p = colliding()
    return p, collision(p)


def test_the_set_collides_and_without_any_one_member_it_does_not(found: tuple[Program, Collision]) -> None:
    p, told = found
    assert len(told.members) >= 2
    assert not can_hold(p, [r for m in told.members for r in m.rows])
    for member in told.members:
        assert can_hold(p, [r for m in told.members if m is not member for r in m.rows]), member.sentence


def test_a_wider_question_gives_an_irreducible_set_too(found: tuple[Program, Collision]) -> None:
    p, _ = found
    every = members(p)
    core = irreducible(p, every, every)
    assert not can_hold(p, [r for m in core for r in m.rows])
    assert all(can_hold(p, [r for m in core if m is not member for r in m.rows]) for member in core)


def test_the_cheapest_change_frees_the_plan(found: tuple[Program, Collision]) -> None:
    p, told = found
    assert told.changes
    assert all(c.amount > 0 and c.usd >= 0 for c in told.changes)
    low, high = p.low.copy(), p.high.copy()
    for change in told.changes:
        for row in change.member.rows:
            low[row] -= change.amount * (1 + 1e-6)
            high[row] += change.amount * (1 + 1e-6)
    assert run(hand_over(replace(p, low=low, high=high))).status == "optimal"
    money = sum(c.usd for c in told.changes)
    assert money > 0
    assert f"USD {told.changes[0].usd:,.3g}" in told.text


def test_only_business_limits_are_named(found: tuple[Program, Collision]) -> None:
    _, told = found
    business = {f.name for f in FAMILIES if f.business}
    assert {m.family for m in told.members} | {c.member.family for c in told.changes} <= business
    assert not business & {"rules", "owner", "party", "place", "balance", "use", "demand", "tokens", "project"}


def test_what_can_be_met_has_no_collision() -> None:
    told = collision(program(*made(8, 2, 2, 2)))
    assert told.members == ()
    assert told.changes == ()
    assert "no business limit alone" in told.text


def test_a_shut_offer_is_not_among_the_cures() -> None:
    """Where a rule shuts every offer, the least service collides with itself: no limit but it can give way."""
    grid, rates, futures, _ = made(12, 2, 2, 2)
    shut = replace(grid, arrive=np.zeros_like(grid.arrive), minimum=np.full(len(grid.services), 0.5))
    with pytest.raises(InfeasibleError) as error:
        solve_plan(shut, rates, futures, ())
    told = str(error.value)
    assert "these 1 dropped" in told
    assert "rule" not in told
    changed = error.value.collision.changes  # type: ignore[attr-defined]
    assert {c.member.family for c in changed} == {"floor"}


def test_power_that_an_option_adds_stays_within_its_limit() -> None:
    way = Option(site=0, name="more", cost=0.01, lead=1, limit=2.0, pot=0)
    grid, rates, futures, _ = made(12, 1, 2, 2)
    tight = replace(grid, power=grid.power * 0.01, budget=grid.budget * 10, options=(way,))
    bought = decision(solve_plan(tight, rates, futures, ())).power.sum()
    assert bought == pytest.approx(2.0)
    half = replace(tight, options=(replace(way, built=1.5),))
    assert decision(solve_plan(half, rates, futures, ())).power.sum() == pytest.approx(0.5)


def test_every_business_limit_has_a_price() -> None:
    """Supply, wafers and parts are priced by the cheapest chip behind them, what has no price by the dearest."""
    grid, rates, futures, _ = made(12, 2, 3, 2)
    wafers = Wafers.model_validate(
        {"foundry": "fab", "dies_per_wafer": {"value": 50.0, "source": "made up"},
         "yield_share": {"value": 0.5, "source": "made up"}}
    )  # fmt: skip
    lines = tuple(
        replace(x, offer=x.offer.model_copy(update={"wafers": wafers})) if x.chip == "chip0" and x.offer else x
        for x in grid.lines
    )
    mine = np.array([x.chip == "chip0" for x in lines])
    short = replace(
        grid, lines=lines, wafers=np.where(mine[:, None], 0.04, 0.0) * np.ones((1, grid.T)),
        foundry_cap={"fab": 10.0}, supplier_cap={"maker1": np.full(grid.T, 0.1)}, allocations=("slots",),
        allotted=np.full((1, grid.T), 0.5), parts=np.where(mine, 2.0, 0.0)[None],
    )  # fmt: skip
    p = program(short, rates, futures, ())
    every = members(p)
    assert {m.family for m in every} == {"money", "power", "supply", "wafers", "parts"}
    price = dict(zip((m.family for m in every), prices(p, every), strict=True))
    chip = grid.price[mine].mean(axis=1).min()
    assert price["money"] == 1.0
    assert price["wafers"] == pytest.approx(chip / 0.04)
    assert price["parts"] == pytest.approx(chip / 2.0)
    assert price["power"] > 0  # no option prices power here

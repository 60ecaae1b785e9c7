"""The tornado moves business figures only, and each end is a plan of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from suanli import fleet
from suanli.fleet._tornado import movable, replaced

SMALL = fleet.load_case(Path(__file__).parent / "data" / "small")


def test_only_business_figures_move() -> None:
    for name in ("bytedance-2025", "trendforce-gpt"):
        spec = fleet.load_case(name).spec
        parts = {location[0] for location, _ in movable(spec)}
        assert parts
        assert not parts & {"parties", "views", "conditions", "guidance", "claims", "horizon", "risk"}
        fields = {location[-1] for location, _ in movable(spec)}
        assert not fields & {"owner", "country", "facts", "acquire", "use", "ship_from"}


def test_a_figure_is_replaced_where_it_stands() -> None:
    place = ("offers", 0, "prices", 0, "price")
    changed = replaced(SMALL.spec, place, 1.0)
    assert changed.offers[0].prices[0].price.si == 1.0
    assert SMALL.spec.offers[0].prices[0].price is not None
    assert SMALL.spec.offers[0].prices[0].price.si == 30e3
    assert changed.offers[1] is SMALL.spec.offers[1]


def test_a_dearer_chip_makes_a_dearer_plan() -> None:
    plan = fleet.solve(SMALL, options=fleet.Options(fresh=0, explain=False))
    swings = fleet.tornado(plan, most=5)
    assert [s.width for s in swings] == sorted((s.width for s in swings), reverse=True)
    price = next(s for s in swings if s.name.startswith("good") and "price" in s.name)
    assert (price.low, price.high) == (25e3, 40e3)
    assert price.at_low < plan.main.answer.objective * 1e6 < price.at_high
    less = next(s for s in swings if s.name.startswith("deliveries"))
    assert less.at_high == pytest.approx(min(less.at_low, less.at_high))

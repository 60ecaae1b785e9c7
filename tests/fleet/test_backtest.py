"""Backtest: nobody beats hindsight, and what is refused is counted."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from suanli import fleet
from suanli.errors import InputError, UnknownNameError
from suanli.fleet._backtest import compute_by_month
from suanli.fleet._lines import lines_of, month_list
from suanli.fleet._scenarios import actual
from suanli.fleet._screening import known_rules

SMALL = fleet.load_case(Path(__file__).parent / "data" / "small")
DAYS = [dt.date(2024, 1, 31), dt.date(2024, 6, 15)]


@pytest.fixture(scope="module")
def tests() -> tuple[fleet.Test, ...]:
    return fleet.backtest(SMALL, DAYS)


def test_regret_is_against_the_best_with_everything_known(tests: tuple[fleet.Test, ...]) -> None:
    assert [t.day for t in tests] == DAYS
    for one in tests:
        assert one.plan >= one.perfect - 1e-6
        assert one.deterministic >= one.perfect - 1e-6
        assert 0.0 <= one.served <= 1.0
        assert 0.0 <= one.refused <= one.ordered


def test_rows_are_in_usd_and_chips(tests: tuple[fleet.Test, ...]) -> None:
    row = fleet.backtest_rows(tests)[0]
    assert row["regret"] == pytest.approx((tests[0].plan - tests[0].perfect) * 1e6)
    assert row["chips_ordered"] == pytest.approx(tests[0].ordered * 1e3)


def test_what_happened_has_the_stated_outcomes() -> None:
    lines = lines_of(SMALL.spec, {c: c for c in ("h100-sxm", "h100-pcie", "a100-80-sxm")})
    f = actual(SMALL.spec, lines, month_list(SMALL.spec))
    assert f.n == 1
    assert f.delivered[0, 0] == 0.5
    assert f.demand[0, 0, -1] == 1.5
    assert f.open.all()


def test_days_and_budgets_are_checked() -> None:
    with pytest.raises(InputError, match="outside the horizon"):
        fleet.backtest(SMALL, [dt.date(2031, 1, 1)])
    with pytest.raises(UnknownNameError, match="did you mean 'double'"):
        fleet.backtest(SMALL, DAYS[:1], variant="doble")


def test_compute_follows_the_chips_that_may_run() -> None:
    plan = fleet.solve(SMALL, options=fleet.Options(fresh=0, explain=False))
    compute = compute_by_month(plan.main, plan.tables)
    a100 = plan.tables.chips["a100-80-sxm"].peak["bf16"]
    assert compute[0] == pytest.approx(400 * a100, rel=1e-9)  # the old stock alone
    assert compute[-1] > compute[0]
    assert np.isfinite(compute).all()


def test_a_rule_that_does_not_touch_the_case_takes_nothing() -> None:
    rows = fleet.effect_of_rule(SMALL, "US-2025-GP10-PRC")
    assert len(rows) == 24
    assert all(r["taken"] == pytest.approx(0.0, abs=1e-6) for r in rows)
    with pytest.raises(UnknownNameError, match="did you mean 'US-2025-GP10-PRC'"):
        fleet.effect_of_rule(SMALL, "US-2025-GP10")


def test_leaving_a_rule_out_brings_back_what_it_ended() -> None:
    with_it, without = known_rules("2026-11-21"), known_rules("2026-11-21", "US-2023-3A090A")
    assert "US-2023-3A090A" in with_it.rules
    assert "US-2023-3A090A" not in without.rules
    assert without.rules["US-2022-3A090"].data["superseded"] is None

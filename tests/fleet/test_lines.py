"""Lines of supply over months: curves, prices, stock, figures with units."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from suanli import fleet
from suanli.errors import InputError
from suanli.files import validate
from suanli.fleet._figure import Fig, In, Money, month_of, ordinal
from suanli.fleet._lines import increments, lines_of, month_list, path, per_usd, steps, stock_path, usd
from suanli.fleet.mathematics._arrival import arrivals
from tests.fleet.synthetic import made

SPEC = fleet.load_case(Path(__file__).parent / "data" / "small").spec
CHIPS = {c: c for c in ("h100-sxm", "h100-pcie", "a100-80-sxm")}


class Sample(BaseModel):
    model_config = ConfigDict(extra="forbid")
    power: Annotated[Fig, In("MW")] | None = None
    share: Annotated[Fig, In("1", 0.0, 1.0)] | None = None
    price: Annotated[Money, In("money/chip")] | None = None


@given(st.integers(min_value=2000 * 12, max_value=2100 * 12))
def test_months_count_up_and_back(number: int) -> None:
    assert ordinal(month_of(number)) == number
    assert ordinal(month_of(number + 1)) == number + 1


@given(st.floats(min_value=0.001, max_value=1e6))
def test_power_reads_the_same_in_every_unit(value: float) -> None:
    forms = (f"{value!r} MW", f"{value * 1e3!r} kW", value)
    read = [validate({"power": {"value": v, "source": "x"}}, Sample, where="x").power for v in forms]
    for figure in read:
        assert figure is not None
        assert figure.si == pytest.approx(value, rel=1e-12)


def test_money_keeps_its_currency_and_refuses_a_mix() -> None:
    price = validate(
        {"price": {"value": "CNY 120 k/chip", "low": "CNY 100 k/chip", "source": "x"}}, Sample, where="x"
    ).price
    assert price is not None
    assert (price.si, price.code, price.ends()) == (120e3, "CNY", (100e3, 120e3))
    bad: list[tuple[dict[str, object], str]] = [
        ({"price": {"value": "CNY 1 k/chip", "low": "USD 1 k/chip", "source": "x"}}, "is in USD, the value in CNY"),
        ({"price": {"value": "USD 1 k", "source": "x"}}, "wrong kind of unit"),
        ({"share": {"value": 1.2, "source": "x"}}, "is above 1"),
        ({"power": {"value": "-3 MW", "source": "x"}}, "is below 0"),
        ({"power": {"value": "3 MW"}}, "source: is missing"),
    ]
    for data, told in bad:
        with pytest.raises(InputError, match=told):
            validate(data, Sample, where="x")


def test_exchange_rates_are_the_latest_known_at_the_month() -> None:
    spec = fleet.load_case("bytedance-2025").spec
    assert per_usd(spec, "CNY", "2024-06") == 7.20
    assert per_usd(spec, "CNY", "2025-06") == 7.27  # CNY 40 bn were USD 5.5 bn (S004-02)
    amount = spec.pots[0].budgets[1].amount
    assert usd(spec, amount, "2025-01") == pytest.approx(5.5e9, rel=2e-3)
    with pytest.raises(InputError, match="no rate for EUR"):
        per_usd(spec, "EUR", "2025-01")


def test_an_order_arrives_whole_and_no_more() -> None:
    for offer in (*SPEC.offers, *fleet.load_case("bytedance-2025").spec.offers):
        shares = increments(offer)
        assert (shares >= 0).all()
        assert shares.sum() == pytest.approx(1.0)


def test_910b_follows_the_reported_curve() -> None:
    offer = next(o for o in fleet.load_case("bytedance-2025").spec.offers if o.id == "ascend-910b")
    assert np.cumsum(increments(offer))[6] < 0.30  # S001-04: below 0.30 of the order in July 2024


@given(st.integers(min_value=0, max_value=5))
def test_what_a_closed_supplier_owes_never_comes(slip: int) -> None:
    grid = made(18, 1, 3, 1)[0]
    is_open = np.ones(18, dtype=bool)
    is_open[6:] = False
    matrix = arrivals(grid, 0, slip=slip, is_open=is_open)
    assert matrix[6:].sum() == 0
    assert matrix[:, 6:].sum() == 0
    assert (matrix.sum(axis=0) <= 1 + 1e-12).all()


def test_paths_meet_their_points_and_hold_outside() -> None:
    months = month_list(SPEC)
    values = path([("2024-03", 2.0), ("2024-07", 32.0)], months)
    assert values[0] == pytest.approx(2.0)
    assert values[months.index("2024-05")] == pytest.approx(8.0)  # straight in the logarithm
    assert values[-1] == pytest.approx(32.0)
    assert steps([("2024-03", 2.0), ("2024-07", 32.0)], months)[:8].tolist() == [0, 0, 2, 2, 2, 2, 32, 32]


def test_stock_fails_slowly_and_retires() -> None:
    lines = lines_of(SPEC, CHIPS)
    months = month_list(SPEC)
    old = stock_path(lines[-1], months)
    assert old[0] == pytest.approx(0.4)  # thousand chips, none fails where the case says nothing
    assert (np.diff(old) <= 1e-12).all()
    assert stock_path(lines[0], months).sum() == 0

"""Owning a chip by the hour: published identity, arithmetic, intervals, limits."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanli.catalog import chip, cost, price
from suanli.economics import HourlyCost, chip_hour, default, energy_per_hour, owned_cost, owned_cost_per_hour, per_hour
from suanli.errors import InputError, UnknownNameError
from suanli.quantities import YEAR
from suanli.sources import roots

POWER_W = 10_200 / 8  # one of eight GPUs of a DGX H100 at 10.2 kW


def test_the_published_break_even_of_an_h100_hour() -> None:
    """All-in 50 k USD over 4-5 years, power at PUE 1.25 and 0.083 USD/kWh, 3.1 % upkeep: 1.41-1.70 USD/h.

    The published break-even rent (cost row R-breakeven) is 1.65 USD/h.
    """
    server = price("h100", 2024, scope="server")
    assert server is not None
    all_in = cost("CS-capex-per-h100").value
    power = energy_per_hour(POWER_W, 1.25, cost("EL-US-2025").value)
    upkeep = server.value * default("upkeep_share").value / 8766
    dear, cheap = (per_hour(all_in, years * YEAR) + power + upkeep for years in (4, 5))
    assert power[0] == pytest.approx(0.13, abs=0.005)
    assert upkeep == pytest.approx(0.138, abs=0.005)
    assert cheap[0] == pytest.approx(1.41, abs=0.01)
    assert dear[0] == pytest.approx(1.70, abs=0.01)
    published = cost("R-breakeven").low
    assert published is not None
    assert cheap[0] < published < dear[0]


def test_parts_from_first_principles_meet_the_all_in_figure() -> None:
    """Server and network of an H100 lie below the published 47-52 k USD all in, with a new hall above."""
    server = price("h100", 2024, scope="server")
    assert server is not None
    network = server.value * 0.128 / (1 - 0.128)  # cost row CS-ib-32k
    without_hall = server.value + network
    all_in = cost("CS-capex-per-h100")
    assert all_in.low is not None
    assert all_in.high is not None
    least = cost("DC-US").low
    assert least is not None
    # the published figure counts a leased or older hall: between no hall at all and the cheapest new one
    assert without_hall < all_in.low
    assert without_hall + POWER_W * least > all_in.high


def usual(**changes: object) -> HourlyCost:
    given_: dict[str, object] = {
        "server_usd": 38_750.0,
        "power_w": POWER_W,
        "electricity": 0.083,
        "pue": 1.25,
        "building_usd_per_w": 11.7,
    }
    return owned_cost_per_hour(**{**given_, **changes})  # type: ignore[arg-type]


def test_parts_add_up_over_arrays() -> None:
    many = usual(server_usd=np.array([20_000.0, 40_000.0, 60_000.0]), electricity=[[0.05], [0.10]])
    assert many.total.shape == (2, 3)
    assert np.allclose(many.total, sum(many.parts.values()))
    assert all(part.shape == (2, 3) for part in many.parts.values())
    alone = usual(server_usd=40_000.0, electricity=0.10)
    assert alone.total[0] == pytest.approx(many.total[1, 1])


def test_power_is_second_order_for_owners() -> None:
    """Halving the price of power moves the cost of an H100-hour by 3-6 %."""
    full, half = usual(), usual(electricity=0.083 / 2)
    assert 0.02 < 1.0 - half.total[0] / full.total[0] < 0.06


@given(
    capital=st.floats(100.0, 1e6),
    years=st.floats(1.0, 15.0),
    rate=st.floats(0.0, 0.25),
    residual=st.floats(0.0, 0.9),
)
def test_interest_only_adds_and_residuals_only_save(capital: float, years: float, rate: float, residual: float) -> None:
    straight = per_hour(capital, years * YEAR)
    assert straight[0] * 8766 * years == pytest.approx(capital)
    assert per_hour(capital, years * YEAR, rate=rate)[0] >= straight[0] * (1 - 1e-9)
    assert per_hour(capital, years * YEAR, residual=residual)[0] <= straight[0] * (1 + 1e-9)


def test_an_annuity_pays_the_capital_back() -> None:
    yearly = per_hour(10_000.0, 5 * YEAR, rate=0.08)[0] * 8766
    assert sum(yearly / 1.08**n for n in range(1, 6)) == pytest.approx(10_000.0)


def test_an_owned_hour_explains_itself() -> None:
    figure = owned_cost(chip("h100-sxm"), year=2025, region="US")
    assert figure.p10 is not None
    assert figure.p90 is not None
    assert figure.p10 < figure.value < figure.p90
    assert 1.0 < figure.value < 2.0
    refs = {s.source.ref for s in roots(figure)}
    assert any("epoch-research" in ref for ref in refs)
    assert {"electricity", "building", "pue", "server", "life"} <= figure.inputs.keys()


def test_a_chip_without_a_server_price_takes_the_factor() -> None:
    figure = owned_cost(chip("mi300x"), year=2025, region="US")
    assert {"price", "server_factor"} <= figure.inputs.keys()
    assert "server" not in figure.inputs


def test_regions_move_the_cost() -> None:
    norway, singapore = (owned_cost(chip("h100-sxm"), year=2025, region=r).value for r in ("Norway", "Singapore"))
    assert norway < singapore


def test_what_is_unknown_is_named() -> None:
    with pytest.raises(InputError, match="design power is unknown"):
        owned_cost(chip("bytedance-broadcom-5nm"), year=2025, region="US")
    with pytest.raises(InputError, match="no electricity price"):
        owned_cost(chip("h100-sxm"), year=2025, region="Atlantis")
    with pytest.raises(InputError, match="no price up to 2025"):
        owned_cost(chip("trainium2"), year=2025, region="US")
    priced = replace(chip("trainium2"), price_usd=9_000.0)
    assert owned_cost(priced, year=2025, region="US").value > 0
    with pytest.raises(UnknownNameError, match="did you mean 'server_factor'"):
        default("server_facto")


def test_an_hour_is_rented_where_a_rent_is_known_else_owned() -> None:
    rented = chip_hour(chip("h100-sxm"), year=2025)
    assert rented is not None
    assert rented.formula == "rent as quoted"
    assert rented.value == pytest.approx(2.345)
    owned = chip_hour(chip("mlu590"), year=2025, region="China")
    assert owned is not None
    assert "hardware" in owned.formula
    assert chip_hour(chip("trainium2"), year=2025) is None


def test_a_designed_chip_is_not_taken_for_one_of_its_name() -> None:
    designed = replace(chip("h100-sxm"), id="h100-like", price_usd=5_000.0)
    figure = owned_cost(designed, year=2025, region="US")
    assert figure.inputs["price"].value == 5_000.0
    hour = chip_hour(designed, year=2025)
    assert hour is not None
    assert hour.value == figure.value


@pytest.mark.parametrize("bad", [{"network_share": 1.0}, {"network_share": -0.1}, {"life": 0.0}])
def test_impossible_inputs_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InputError):
        usual(**bad)

"""Currencies, rents over time, used hardware, tokens."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanli.economics import book_value, cost_per_million_tokens, exchange_rate, rent, resale_value
from suanli.errors import InputError, UnknownNameError
from suanli.quantities import YEAR


@pytest.mark.parametrize(
    ("day", "code", "value"),
    [
        ("2025-01-22", "CNY", 7.27),  # a day after the Financial Times' 40 bn = 5.5 bn
        ("2024-02-10", "CNY", 7.18),
        ("2024-09-01", "CNY", 7.1957),  # no dated rate near: the mean of 2024
        ("2025-12-20", "CNY", 7.05),
        ("2026-06-01", "CNY", 7.05),  # after the last: the nearest before
        ("2024-06-30", "MYR", 4.69),
    ],
)
def test_exchange_rates(day: str, code: str, value: float) -> None:
    found = exchange_rate(day, code)
    assert found.value == value
    assert found.unit == f"{code}/USD"
    assert exchange_rate(dt.date.fromisoformat(day), code) == found


def test_exchange_rates_that_are_not_known() -> None:
    with pytest.raises(InputError, match="no CNY rate up to 2019-01-01"):
        exchange_rate("2019-01-01")
    with pytest.raises(UnknownNameError):
        exchange_rate("2025-01-01", "NOK")
    with pytest.raises(InputError, match="is no date"):
        exchange_rate("22.1.2025")


def test_rents_run_between_the_years() -> None:
    path = rent("h100", [2023.5, 2024.0, 2024.5, 2025.5, 2026.5, 2028.0])
    assert path[1] == pytest.approx((path[0] + path[2]) / 2)
    assert path[4] == path[5]
    assert path[3] < path[0]
    with pytest.raises(InputError, match="before 2023"):
        rent("h100", [2022.9])
    with pytest.raises(InputError, match="no rent of mlu590"):
        rent("mlu590", 2025.0)


def test_a_term_of_years_has_its_own_path() -> None:
    assert rent("a100", 2024.5, term="three years")[0] < rent("a100", 2024.5, term="on demand")[0]


def test_book_value_falls_straight_to_nothing() -> None:
    ages = np.array([0.0, 2.75, 5.5, 8.0]) * YEAR
    assert np.allclose(book_value(1_000.0, ages), [1_000.0, 500.0, 0.0, 0.0])
    assert book_value(1_000.0, YEAR, 4 * YEAR)[0] == pytest.approx(750.0)


def test_market_value_falls_by_28_per_cent_a_year() -> None:
    """Epoch AI: 0.14 orders of magnitude a year."""
    assert resale_value(1.0, YEAR)[0] == pytest.approx(0.724, abs=0.001)
    assert resale_value(1.0, 3 * YEAR)[0] == pytest.approx(0.38, abs=0.001)
    assert resale_value(1.0, YEAR, decline=0.0)[0] == 1.0


@given(usd=st.floats(0.01, 100.0), rate=st.floats(1.0, 1e5), used=st.floats(0.05, 1.0))
def test_tokens_cost_what_their_hours_cost(usd: float, rate: float, used: float) -> None:
    cost = cost_per_million_tokens(usd, rate, utilisation=used)[0]
    tokens_an_hour = rate * used * 3600
    assert cost * tokens_an_hour / 1e6 == pytest.approx(usd)


def test_a_known_token_price() -> None:
    """2 USD an hour at 1,000 tokens/s: 3.6 million tokens for 2 USD."""
    assert cost_per_million_tokens(2.0, 1_000.0)[0] == pytest.approx(2.0 / 3.6)


@pytest.mark.parametrize(("rate", "used"), [(0.0, 1.0), (-1.0, 1.0), (1.0, 0.0), (1.0, 1.1)])
def test_impossible_tokens_are_refused(rate: float, used: float) -> None:
    with pytest.raises(InputError):
        cost_per_million_tokens(1.0, rate, utilisation=used)

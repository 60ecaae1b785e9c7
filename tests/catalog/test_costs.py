"""Costs, prices and rents: rules of choice, units and sources."""

import pytest

from suanli.catalog import cost, cost_row, costs, figure_at, price, rent
from suanli.errors import InputError, UnknownNameError
from suanli.quantities import MONTH, YEAR
from suanli.sources import KINDS


def test_every_row_has_a_source_date_and_kind() -> None:
    rows = costs()
    assert len(rows) >= 212
    for row in rows:
        assert row.source.ref, row.id
        assert row.source.date, row.id
        assert row.source.kind in KINDS, row.id


def test_rows_that_were_derived_or_not_looked_up_are_estimates() -> None:
    for row in costs():
        assert (row.source.kind == "estimated") == (row.verified in {"derived", "memory"}), row.id


@pytest.mark.parametrize(
    ("name", "value", "unit"),
    [
        ("L-dc", 24 * MONTH, "s"),
        ("D-META", 5.5 * YEAR, "s"),
        ("F-llama-mtbi", 3.09 * 3600, "s"),  # 54 days over 419 stops
        ("A-nre-5", 449e6, "USD"),
        ("S-hbm-2024", 14e9, "USD"),
        ("DC-SG", 14.5, "USD/W"),  # USD million a MW
        ("EL-MY-2025", 0.105, "USD/kWh"),
        ("R-A100-2024-US", 1.25, "USD/h"),
        ("X-2025-01", 7.27, "CNY/USD"),
        ("G-NO", 0.03008, "kg/kWh"),
        ("F-gpu-afr", 0.04, "1/year"),
    ],
)
def test_units(name: str, value: float, unit: str) -> None:
    figure = cost(name)
    assert figure.value == pytest.approx(value)
    assert figure.unit == unit


def test_without_a_central_figure_the_middle_of_the_range_stands() -> None:
    assert cost("P-A100-2023").value == 12_500.0
    assert cost("F-llama-eff").value == pytest.approx(0.90)  # only a lower bound is known


def test_a_row_of_text_has_no_figure() -> None:
    with pytest.raises(InputError, match="states no figure"):
        cost("S-cowos-split")
    assert cost_row("S-cowos-split").value is None


def test_prices_take_the_year_else_the_one_before() -> None:
    taken = price("h20", 2026)
    assert taken is not None
    assert "2024" in taken.name
    assert (taken.value, taken.low, taken.high) == (12_500.0, 12_000.0, 15_000.0)
    early = price("h100", 2023)
    assert early is not None
    # median of 27.5 k (Raymond James), 32.5 k (street) and 33.75 k (Epoch, n=3); range over all
    assert (early.value, early.low, early.high) == (32_500.0, 25_000.0, 41_197.5)
    assert "P-H100-2023-epoch" in early.source.ref


def test_price_scopes_are_kept_apart() -> None:
    server = price("h100", 2024, scope="server")
    assert server is not None
    assert server.value == 38_750.0
    assert price("h100", 2024, scope="rack") is None
    lawful = price("h100", 2024, region="China")
    assert lawful is None  # only a grey-market quotation exists, and that is no offer


def test_prices_of_a_core_name_hold_for_every_board() -> None:
    assert price("a100-40-sxm", 2024) is not None
    first, second = price("a100-80-pcie", 2024), price("a100-80-sxm", 2024)
    assert first is not None
    assert second is not None
    assert first.value == second.value == 15_000.0


def test_a_region_narrows_the_choice() -> None:
    abroad, china = price("h200", 2025), price("h200", 2025, region="China")
    assert abroad is not None
    assert china is not None
    assert china.value == 24_800.0 < abroad.value


def test_unknown_prices_and_rents_are_none() -> None:
    assert price("trainium2", 2025) is None
    assert rent("mlu590", 2025) is None
    assert rent("h100", 2020) is None


def test_rents_by_term() -> None:
    year, three = rent("h100", 2025), rent("h100", 2025, term="three years")
    assert year is not None
    assert three is not None
    assert year.unit == three.unit == "USD/h"
    assert year.low is not None
    assert year.low <= year.value
    assert three.value == pytest.approx(4.585)  # Epoch, three-year commitment, n=2


def test_rents_are_not_monotone() -> None:
    """H100: 8 in 2023, 1.70 in October 2025, 2.35 in March 2026."""
    path = [r.value for y in (2023, 2024, 2025, 2026) if (r := rent("h100", y))]
    assert path[0] > path[1] > path[2]
    assert path[3] > 1.70


def test_regions_are_found_by_word_country_and_place() -> None:
    assert {r.id for r in costs("pue", region="Johor")} == {"PUE-Johor"}
    assert {r.id for r in costs("pue", region="MY")} == {"PUE-Johor"}
    assert {r.id for r in costs("datacentre_capex", region="Malaysia")} == {"DC-KL", "DC-MY-CW"}
    assert {r.country for r in costs("electricity", region="US")} == {"US"}
    assert costs("pue", region="Atlantis") == ()


def test_figures_of_several_units_are_not_mixed() -> None:
    with pytest.raises(InputError, match="cannot be put together"):
        figure_at(costs("electricity", region="China"), 2025, "electricity in China")


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'EL-MY-2025'"):
        cost("EL-MY-225")
    with pytest.raises(UnknownNameError, match="did you mean 'electricity'"):
        costs("electrcity")

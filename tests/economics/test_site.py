"""Places: electricity, PUE, buildings and carbon."""

import numpy as np
import pytest

from suanli.economics import building_cost, carbon, electricity, energy_per_token, grid_intensity, pue


def test_electricity_by_place_and_year() -> None:
    before, after = electricity("Malaysia", 2024), electricity("Malaysia", 2025)
    assert before is not None
    assert after is not None
    assert (before.value, after.value) == (0.080, 0.105)  # tariff of July 2025
    assert after.unit == "USD/kWh"
    assert electricity("Malaysia", 2019) is None
    assert electricity("Atlantis", 2025) is None


def test_a_subsidy_for_domestic_chips_is_not_everyones_price() -> None:
    china = electricity("China", 2025)
    assert china is not None
    assert china.low is not None
    assert china.low >= 0.055  # the subsidised 0.050-0.060 of Gansu and Guizhou is asked for by place
    west = electricity("Gansu", 2025)
    assert west is not None
    assert west.value < china.value


def test_pue_and_building() -> None:
    johor, shanghai = pue("Johor"), building_cost("China", 2025)
    assert johor is not None
    assert johor.value == 1.35
    assert shanghai is not None
    assert 4.0 < shanghai.value < 8.0  # USD million a MW
    assert shanghai.unit == "USD/W"
    assert pue("Atlantis") is None


def test_carbon_is_unknown_where_the_grid_is() -> None:
    assert carbon(3.6e6, "Atlantis", 2025) is None
    assert carbon(3.6e6, "Norway", 2020) is None  # the figure is of 2023
    norway, malaysia = carbon(3.6e6, "Norway", 2025), carbon([3.6e6, 7.2e6], "Johor", 2025)
    assert norway is not None
    assert malaysia is not None
    assert norway[0] == pytest.approx(0.03008)  # Ember 2023: 30 g CO2e a kWh
    assert np.allclose(malaysia, [0.605831, 1.211662])
    given = grid_intensity("China", 2025)
    assert given is not None
    assert given.value == pytest.approx(0.582, abs=1e-3)  # Ember 2023


def test_energy_of_a_token() -> None:
    assert energy_per_token(1_000.0, [500.0, 1_000.0], pue=1.2) == pytest.approx([2.4, 1.2])

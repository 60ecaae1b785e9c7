"""Chips as the laws see them."""

from __future__ import annotations

import pytest

from suanli.catalog import chip
from suanli.silicon._unit import unit_of


@pytest.mark.parametrize("name", ["l40s", "a40", "a10"])
def test_inline_ecc_takes_its_share_of_a_gddr6_boards_bandwidth(name: str) -> None:
    # 2 bytes of ECC for every 32 of data: NVIDIA IGX Thor user guide, DRAM-ECC.
    assert unit_of(chip(name)).bandwidth * 17.0 / 16.0 == pytest.approx(chip(name).memory_bandwidth)


@pytest.mark.parametrize("name", ["h100", "a100", "rtx-pro-6000-server", "rtx4090", "s4000"])
def test_other_memory_gives_all_its_bandwidth_to_data(name: str) -> None:
    assert unit_of(chip(name)).bandwidth == chip(name).memory_bandwidth


def test_dies_draw_power_before_any_work() -> None:
    # 0.1 W/mm2 of 609 mm2 (L40S), and never more than 30 % of the limit (T4: 545 mm2 at 70 W).
    assert unit_of(chip("l40s")).watts == pytest.approx(350.0 - 60.9)
    assert unit_of(chip("t4")).watts == pytest.approx(0.7 * 70.0)

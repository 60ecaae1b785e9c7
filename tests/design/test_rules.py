"""Rulings of designs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from suanli.catalog import chip
from suanli.design import Place, evaluate, preset, rulings, worst
from suanli.design._rules import FIGURES, ORDER, grid, groups_of
from suanli.errors import InputError

OCTOBER_2023 = Place(date="2024-06-25")
SHOWN = (
    ("packaged_by", "approved_osat"),
    ("packaging_country", "TW"),
    ("transistor_count_attested_by", "osat"),
    ("designer_supp6", "1"),
    ("designer_hq", "US"),
    ("attested_tpp", "1500"),
    ("attested_pd", "2"),
)


def group_at(tpp: float, density: float, place: Place = OCTOBER_2023) -> str:
    found = grid(place, memory="hbm3", node_nm=5, designer="US")
    figures = {n: np.array([v]) for n, v in zip(FIGURES, (tpp, density, 50.0, 4000.0, 900.0), strict=True)}
    return ORDER[int(groups_of(found, figures)[0])]


def test_the_grid_holds_the_published_thresholds() -> None:
    # 88 FR 73458: a.1 TPP 4800; a.2 1600 and 5.92; b.1 2400-4800 at 1.6-5.92; b.2 1600 at 3.2-5.92.
    found = grid(OCTOBER_2023, memory="hbm3", node_nm=5, designer="US")
    assert found.cuts["tpp"].tolist() == [1600.0, 2400.0, 4800.0]
    assert found.cuts["density"].tolist() == [1.6, 3.2, 5.92]


@pytest.mark.parametrize(
    ("tpp", "density", "group"),
    [
        (2368, 2.91, "free"),  # H20
        (2832, 6.73, "restricted"),  # MTIA v2
        (4992, 6.0, "restricted"),  # A100
        (1599, 50.0, "free"),
        (1600, 5.92, "restricted"),
        (1600, 5.91, "conditional"),
        (4799, 1.59, "free"),
        (4800, 0.5, "restricted"),
        (3000, 3.0, "conditional"),
    ],
)
def test_thresholds_fall_where_the_rule_puts_them(tpp: float, density: float, group: str) -> None:
    assert group_at(tpp, density) == group


def test_mtia_v2_would_not_pass_and_h20_did() -> None:
    # TPP 2832 on 421 mm2: density 6.7; H20: 2368 on 814 mm2: 2.9.
    assert rulings(chip("mtia-v2"), OCTOBER_2023)["export"].group == "restricted"
    assert rulings(chip("h20-96"), OCTOBER_2023)["export"].group == "free"


def test_a_foundry_presumes_and_nothing_is_attested_unasked() -> None:
    made = evaluate(preset("bytedance-5nm")).chip
    late = Place(date="2025-06-25")
    act, ruling = worst(rulings(made, late))
    assert act == "foundry_export"
    assert ruling.group == "restricted"
    assert group_at(1000.0, 1.0, late) == "restricted"
    shown = replace(late, facts=SHOWN)
    assert group_at(1000.0, 1.0, shown) == "free"


def test_the_grid_agrees_with_rulings_of_whole_designs() -> None:
    for cores in (4, 12, 20, 60):
        found = evaluate(replace(preset("bytedance-5nm"), cores=cores, spare_cores=0))
        ruled = worst(rulings(found.chip, OCTOBER_2023))[1].group
        assert ruled == group_at(float(found.tpp[0]), float(found.density[0]))


def test_a_date_must_be_one() -> None:
    with pytest.raises(InputError, match="'June' is no day"):
        Place(date="June")


def test_a_fabricator_in_china_needs_stacks_that_may_come_in() -> None:
    # Discrete stacks above 2 GB/s a mm2 are 3A090.c from 2024-12-02 (89 FR 96790); HBM3 has 7.4.
    before, after = (Place(date=d, maker="CN") for d in ("2024-06-25", "2025-01-10"))
    made = replace(evaluate(preset("bytedance-5nm")).chip, process="SMIC N+2")
    assert rulings(made, before)["HBM import"].group == "free"
    assert rulings(made, after)["HBM import"].group == "restricted"
    assert "HBM import" not in rulings(made, Place(date="2025-01-10"))
    blocked = grid(after, memory="hbm3", node_nm=7)
    assert set(np.unique(blocked.codes)) == {ORDER.index("restricted")}
    assert ORDER.index("free") in np.unique(grid(after, memory="gddr6", node_nm=7).codes)

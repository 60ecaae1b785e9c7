"""From catalogue chips to rulings, and the ASIC of the founding case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from suanli import catalog
from suanli.controls import Range, query_of_chip, screen
from suanli.controls._chips import area_of, datacenter_of, node_of, nonplanar_of, tpp_by_format, tpp_of
from suanli.kinds import Chip


def chip(**stated: object) -> Chip:
    return Chip(id="x", name="X", vendor="custom", family="", peak={}, **stated)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "tpp"),
    [("a100-80-sxm", 4992), ("h100-sxm", 15831.2), ("h20-96", 2368), ("v100-sxm2-32", 2000), ("l4", 1940)],
)
def test_tpp_from_the_rates(name: str, tpp: float) -> None:
    """Dense rate x bits, largest over formats (88 FR 73458); vendors' data sheets."""
    found = catalog.chip(name)
    assert tpp_of(found) == pytest.approx(tpp)
    assert max(tpp_by_format(found).values()) == pytest.approx(tpp)


def test_a_stated_tpp_that_differs_is_a_range() -> None:
    assert tpp_of(replace(chip(tpp=4750), peak={"fp4": 838.4e12})) == Range(3353.6, 4750)
    assert tpp_of(chip(tpp=4750)) == 4750
    assert tpp_of(chip()) is None


def test_unstated_io_dies_leave_the_area_open_upwards() -> None:
    several = chip(die_area_m2=115e-6, n_logic_dies=8, process="TSMC N5 (XCD) + N6 (IOD)")
    found = area_of(several)
    assert isinstance(found, Range)
    assert found.low == pytest.approx(920)
    assert area_of(replace(several, io_die_area_m2=1480e-6)) == pytest.approx(2400)
    assert area_of(chip()) is None


@pytest.mark.parametrize(
    ("process", "node", "nonplanar"),
    [
        ("TSMC N7", 7, 1), ("TSMC 4N", 4, 1), ("TSMC 12FFN", 12, 1), ("SMIC N+1/N+2 (7 nm)", 7, 1), ("TSMC 5 nm", 5, 1),
        ("GF 14LPP", 14, 1), ("Samsung 8N", 8, 1), ("TSMC 28 nm", 28, 0), ("Intel 22 nm", 22, None), ("", None, None),
    ],
)  # fmt: skip
def test_node_and_transistors(process: str, node: float | None, nonplanar: int | None) -> None:
    assert node_of(chip(process=process)) == node
    assert nonplanar_of(chip(process=process)) == nonplanar


def test_marketing_is_read_only_where_it_is_plain() -> None:
    assert datacenter_of(catalog.chip("h100-sxm")) == 1
    assert datacenter_of(catalog.chip("rtx4090")) == 0
    assert datacenter_of(catalog.chip("rtx6000ada")) is None
    assert datacenter_of(chip()) is None


def test_what_the_catalogue_does_not_state_stays_unknown() -> None:
    query = query_of_chip(chip(), to="CN", owner="CN", date="2025-01-22")
    assert (query.tpp, query.die_area_mm2, query.nonplanar, query.transfer_rate_gbs) == (None,) * 4
    assert (query.has_hbm, query.designed_for_datacenter, query.ultimate_parent_hq) == (None, None, "")
    assert screen(query).outcome == "UNDETERMINED"


def test_facts_override_the_catalogue() -> None:
    query = query_of_chip(
        catalog.chip("h20-96"), to="CN", owner="CN", parent="CN", date="2024-06-01", facts={"tpp": 5000.0}
    )
    assert screen(query).eccn == "3A090.a"


@pytest.mark.parametrize(
    ("name", "date", "outcome"),
    [
        ("a800-80-sxm", "2023-05-01", "NOT_LISTED"),
        ("h800-sxm", "2023-05-01", "NOT_LISTED"),
        ("h100-sxm", "2023-05-01", "LICENCE_REQUIRED"),
        ("l20", "2025-06-01", "NOT_LISTED"),
        ("l40", "2025-06-01", "NAC_ELIGIBLE"),
        ("rtx5090d", "2025-06-01", "UNDETERMINED"),
        ("mi308x", "2025-06-01", "LICENCE_REQUIRED"),
        ("gaudi3-hl328", "2025-06-01", "UNDETERMINED"),
    ],
)
def test_catalogue_chips_to_china(name: str, date: str, outcome: str) -> None:
    query = query_of_chip(catalog.chip(name), to="CN", owner="CN", parent="CN", date=date)
    assert screen(query).outcome == outcome


@pytest.mark.parametrize(
    "date", ["2023-06-01", "2023-12-01", "2024-06-25", "2025-01-22", "2025-06-10", "2026-01-20", "2026-11-21"]
)
def test_the_asic_of_the_founding_case_is_undetermined_while_its_figures_are_unknown(date: str) -> None:
    asic = catalog.chip("bytedance-broadcom-5nm")
    query = query_of_chip(asic, to="CN", owner="CN", parent="CN", date=date, activity="foundry_export", ship_from="TW")
    ruling = screen(query)
    if date < "2025-01-31":
        assert (ruling.outcome, ruling.group) == ("UNDETERMINED", "open")
        assert "tpp is" in ruling.depends_on
    else:  # the foundry presumption stands until something is attested, and nothing is assumed to be
        assert (ruling.outcome, ruling.eccn, ruling.presumption) == ("LICENCE_REQUIRED", "3A090.a", "denial")
        assert any(r.rule == "US-2025-FDD-PRES" for r in ruling.remarks)


def asic(date: str, **facts: object) -> tuple[str, str]:
    query = query_of_chip(
        catalog.chip("bytedance-broadcom-5nm"), to="CN", owner="CN", parent="CN", date=date,
        activity="foundry_export", ship_from="TW", facts={"designed_for_datacenter": 1, **facts},
    )  # fmt: skip
    ruling = screen(query)
    return ruling.outcome, ruling.eccn


def test_the_asic_under_the_limits_by_date() -> None:
    low = {"tpp": 1500.0, "die_area_mm2": 600.0}
    assert asic("2024-06-25", **low) == ("NOT_LISTED", "none")
    assert asic("2025-06-10", **low) == ("LICENCE_REQUIRED", "3A090.a")  # figures alone lift no presumption
    sheet = {"attested_tpp": 1500.0, "attested_pd": 2.5, "designer_hq": "US"}
    assert asic("2025-06-10", **low, **sheet) == ("NOT_LISTED", "none")
    assert asic("2027-01-05", **low, **sheet) == ("LICENCE_REQUIRED", "3A090.a")  # automatic status has lapsed
    assert asic("2025-06-10", **low, attested_tpp=1500.0, attested_pd=2.5, designer_hq="CN")[0] == "LICENCE_REQUIRED"
    assert asic("2024-06-25", tpp=2832.0, die_area_mm2=421.0) == ("LICENCE_REQUIRED", "3A090.a")  # a density of 6.7


def test_figures_that_were_not_read_lower_the_confidence() -> None:
    h20 = catalog.chip("h20-96")
    sure = query_of_chip(replace(h20, verified="source"), to="CN", owner="CN", parent="CN", date="2024-06-01")
    unsure = replace(sure, figures_verified="memory")
    assert (screen(sure).confidence, screen(unsure).confidence) == ("high", "low")
    assert any("from memory" in text for text in screen(unsure).to_check)
    assert screen(sure).outcome == screen(unsure).outcome

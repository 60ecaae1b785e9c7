"""Rulings: what they carry, and that what is not known never clears."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.controls import Query, Range, country, parse_facts, query_of_row, screen
from suanli.errors import InputError, UnknownNameError
from suanli.kinds import GROUPS
from tests.controls.items import ITEMS, question


def test_a_ruling_carries_arithmetic_thresholds_citations_and_checks() -> None:
    query, _ = question("2024-02-20", "H20", "")
    ruling = screen(query)
    assert ruling.arithmetic["tpp"] == 2368
    assert ruling.arithmetic["pd"] == pytest.approx(2368 / 814)
    near = {(t.rule, t.name): t for t in ruling.thresholds}
    b1 = near["US-2023-3A090B", "b1_TPP"]
    assert (b1.value, b1.op, b1.limit, b1.unit) == (2368, ">=", 2400, "TPP")
    assert near["US-2023-3A090B", "b2_PD"].limit == 3.2
    assert any(r.rule == "US-2023-3A090B" and r.citation == "88 FR 73458" for r in ruling.remarks)
    assert any("close to a border" in line and "2,400" in line for line in ruling.to_check)
    assert ruling.confidence == "high"
    assert ruling.depends_on == ""


def test_sources_that_disagree_are_named() -> None:
    card, _ = question("2025-06-01", "RTX4090", "tpp=4750;mem_bw_gbs=1792;transfer_rate_gbs=128")
    ruling = screen(card)
    assert ruling.outcome == "UNDETERMINED"
    assert ruling.confidence == "low"
    assert any("1,400" in text for text in ruling.contradictions)
    permit, _ = question("2025-09-10", "H100", "activity=reexport;ship_from=MY;item_origin=US")
    second = screen(permit)
    assert second.outcome == "LICENCE_REQUIRED"
    assert second.decided_by == ("US-2023-DEST",)
    assert any(r.rule == "MY-2025-STA" for r in second.remarks)


def test_an_open_ruling_says_between_which_areas_it_turns() -> None:
    query, _ = question("2024-06-01", "IC", "tpp=2500;die_area_mm2=300..2000")
    text = screen(query).depends_on
    assert "LICENCE_REQUIRED (3A090.a) if die area is 300 to 422.297 mm2" in text  # 2500 / 5.92
    assert "NAC_ELIGIBLE (3A090.b) if die area is above 422.297 to 1,562.5 mm2" in text  # 2500 / 1.6
    assert "NOT_LISTED if die area is above 1,562.5 to 2,000 mm2" in text


def test_an_open_ruling_names_the_unknown_parent() -> None:
    query, _ = question("2024-06-01", "H100", "to=MY;hq=MY;parent=")
    ruling = screen(query)
    assert ruling.eccn == "3A090.a"
    assert "LISTED_NO_LICENCE (3A090.a) if ultimate_parent_hq is outside MO_D5" in ruling.depends_on


def test_the_deciding_rule_is_named() -> None:
    for item, more, rule in (
        ("H100", "to=MY;parent=CN", "US-2023-HQ"),
        ("T4", "recipient_name=Biren", "US-EL-2023-10"),
        ("T4", "listed_party=Someone|entity_list|none", "US-PARTY-LISTS"),
        ("H20", "", "US-2025-04-LETTERS"),
        ("L40", "to=VN", "US-2024-NAC-ACA"),
    ):
        query, _ = question("2025-06-01", item, more)
        assert screen(query).decided_by == (rule,)


def test_a_range_that_does_not_matter_is_no_doubt() -> None:
    query, _ = question("2024-06-01", "IC", "tpp=2500;die_area_mm2=500..1500")
    assert (screen(query).outcome, screen(query).depends_on) == ("NAC_ELIGIBLE", "")


def test_nothing_is_known_at_all() -> None:
    ruling = screen(Query(date="2025-06-01"))
    assert ruling.outcome == "UNDETERMINED"
    assert ruling.depends_on


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"date": "2022-08-25"}, "2022-08-25 is before 2022-08-26: no rule here is so old"),
        ({"date": "2022-13-01"}, "is no day of the form"),
        ({"date": "20250101"}, "is no day of the form"),
        ({"activity": "exprot"}, "unknown activity 'exprot'; did you mean 'export'"),
        ({"destination": "XX"}, "unknown country code 'XX'"),
        ({"destination": "UK"}, "did you mean GB (United Kingdom)"),
        ({"destination": "Malasia"}, "did you mean MY (Malaysia)"),
        ({"facts": {"h200_certification": 1}}, "did you mean 'h200_certifications'"),
        ({"listed_party": "Huawei"}, "is not name|list|footnote"),
        ({"listed_party": "Huawei|red_list|1"}, "'red_list' is none of"),
    ],
)
def test_bad_input_is_one_clear_line(stated: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as error:
        screen(Query(**{"date": "2025-01-01", **stated}))  # type: ignore[arg-type]
    assert message in str(error.value)


def test_a_wrong_ruleset_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'as_written'"):
        screen(Query(date="2025-01-01"), ruleset="as_writen")


def test_countries() -> None:
    assert [country(c) for c in ("HK", "mo", "NO", "no", "PR", "Norway", "Macau")] == [
        "CN", "MO", "NO", "NO", "US", "NO", "MO",
    ]  # fmt: skip
    with pytest.raises(UnknownNameError):
        country("ZZ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tpp_share_us", "no key=value pair"),
        ("state_funded=2", "neither 0 nor 1"),
        ("training_ops=many", "is not a number"),
        ("training_ops=-1", "negative"),
        ("training_ops=nan", "negative"),
        ("die_area_mm2=900..500", "upside down"),
        ("item_kind=icc", "did you mean 'ic'"),
        ("state_funded=1;state_funded=0", "stated twice"),
        ("packaging_country=XX", "unknown country code"),
        ("activity=export", "unknown fact 'activity'"),
    ],
)
def test_bad_facts(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse_facts(text)
    assert message in str(error.value)


def test_facts_as_python_values_count_as_their_text() -> None:
    h100, _ = question("2024-06-01", "H100", "to=MY")
    for known in (1, True, "1"):
        assert screen(replace(h100, facts={"diversion_knowledge": known})).outcome == "LICENCE_REQUIRED"
    for unknown in (0, False, "0"):
        assert screen(replace(h100, facts={"diversion_knowledge": unknown})).outcome == "LISTED_NO_LICENCE"
    t4, _ = question("2025-10-01", "T4", "")
    for shares in ((0.3, 0.2), [0.3, 0.2], "0.3|0.2"):
        assert screen(replace(t4, facts={"listed_owner_shares": shares})).eccn == "entity_list"
    assert screen(replace(t4, designed_for_datacenter=True, nonplanar=True)).outcome == "NOT_LISTED"


@pytest.mark.parametrize(
    "facts",
    [
        {"diversion_knowledge": 2},
        {"diversion_knowledge": 0.5},
        {"diversion_knowledge": None},
        {"tpp": True},
        {"tpp": float("nan")},
        {"training_ops": -1},
        {"listed_owner_shares": 0.5},
        {"listed_owner_shares": ["half"]},
        {"hardware_custody": 1},
        {"packaging_country": 3},
    ],
)
def test_a_value_that_is_none_of_the_fact_is_refused(facts: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"fact {next(iter(facts))}"):
        screen(Query(date="2025-01-01", destination="CN", facts=facts))


def test_a_row_with_a_bad_figure_is_refused() -> None:
    row = {"date": "2025-01-01", "activity": "export", "tpp": "lots", "destination": "CN"}
    with pytest.raises(InputError, match="tpp: 'lots' is not a number"):
        query_of_row(row)


FIGURES = {
    "tpp": st.sampled_from([1599.0, 1600.0, 2399.0, 2400.0, 4799.0, 4800.0, 21000.0]),
    "die_area_mm2": st.sampled_from([100.0, 270.0, 500.0, 900.0, 2000.0]),
    "transfer_rate_gbs": st.sampled_from([100.0, 600.0, 1100.0]),
    "mem_bw_gbs": st.sampled_from([800.0, 1400.0, 4000.0, 6500.0]),
    "designed_for_datacenter": st.sampled_from([0, 1]),
    "nonplanar": st.sampled_from([0, 1]),
    "end_user_hq": st.sampled_from(["CN", "MY", "US", "AE", "SA", "KH"]),
    "ultimate_parent_hq": st.sampled_from(["CN", "MY", "US", "RU"]),
}
"""Figures that a query may state or forget, with values on both sides of the borders."""

DATES = st.sampled_from(
    ["2022-09-15", "2023-03-01", "2023-11-01", "2024-02-01", "2025-06-01", "2026-03-01", "2026-09-15"]
)
ACTS = st.sampled_from(["export", "reexport", "foundry_export", "use_in_place", "continue_use", "in_country_transfer"])


@settings(max_examples=60, deadline=None)
@given(
    date=DATES,
    activity=ACTS,
    to=st.sampled_from(["CN", "MY", "SA", "AE", "US", "MO"]),
    figures=st.fixed_dictionaries(FIGURES),
    forgotten=st.sets(st.sampled_from(sorted(FIGURES)), min_size=1, max_size=3),
    supplier=st.sampled_from(["NVIDIA", "AMD", "Intel", "custom", "Huawei"]),
)
def test_an_answer_without_a_figure_is_the_answer_with_any(
    date: str, activity: str, to: str, figures: dict[str, object], forgotten: set[str], supplier: str
) -> None:
    """A ruling that was sure without a figure stays the same whatever the figure turns out to be."""
    whole = Query(date=date, activity=activity, destination=to, supplier=supplier, chip="X", **figures)  # type: ignore[arg-type]
    if figures["nonplanar"] == 0:
        whole = replace(whole, die_area_mm2=None)  # only dies on non-planar nodes have an area that counts
    blank = {name: "" if name.endswith("_hq") else None for name in forgotten}
    less, full = screen(replace(whole, **blank)), screen(whole)  # type: ignore[arg-type]
    if less.outcome != "UNDETERMINED":
        assert less.outcome == full.outcome
    if full.group in {"restricted", "open"}:
        assert less.group in {"restricted", "open"}


@settings(max_examples=40, deadline=None)
@given(tpp=st.floats(100, 10000), area=st.floats(50, 4000), spread=st.floats(0, 0.5))
def test_a_range_that_clears_clears_at_every_point(tpp: float, area: float, spread: float) -> None:
    base = Query(date="2024-06-01", destination="CN", end_user_hq="CN", ultimate_parent_hq="CN", nonplanar=1)
    base = replace(base, designed_for_datacenter=1, tpp=tpp)
    wide = screen(replace(base, die_area_mm2=Range(area, area * (1 + spread))))
    for share in (0.0, 0.3, 1.0):
        point = screen(replace(base, die_area_mm2=area * (1 + spread * share)))
        if wide.outcome != "UNDETERMINED":
            assert wide.outcome == point.outcome
        assert not (wide.group == "free" and GROUPS[point.outcome] != "free")


def test_every_item_of_the_tests_is_screened() -> None:
    for name in ITEMS:
        query, _ = question("2025-06-01", name, "")
        assert screen(query).outcome in GROUPS

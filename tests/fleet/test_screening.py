"""Rulings in the plan: what a view knows, what is shut from when, and what never opens."""

from __future__ import annotations

import numpy as np
import pytest

from suanli import fleet
from suanli.fleet._build import as_known
from suanli.fleet._engines import chips_of
from suanli.fleet._lines import Line, lines_of, month_list
from suanli.fleet._schema import CaseSpec, Condition, Guidance
from suanli.fleet._screening import Screening, acts_of, is_known, known_rules, screening

SPEC = fleet.load_case("bytedance-2025").spec
CHIPS, NAMES, _ = chips_of(SPEC)
MONTHS = month_list(SPEC)


def ruled(spec: CaseSpec, view: int, wanted: set[str]) -> tuple[Screening, dict[str, int], list[Line]]:
    known = as_known(spec, spec.views[view])
    lines = [x for x in lines_of(known, NAMES) if x.id.split("@")[0] in wanted]
    index = {x.id: j for j, x in enumerate(lines)}
    return screening(known, spec.views[view], lines, CHIPS, MONTHS), index, lines


def test_rules_are_known_from_their_publication() -> None:
    before, after = known_rules("2025-01-22"), known_rules("2026-11-21")
    assert "US-2025-GP10-PRC" not in before.rules
    assert "US-2025-GP10-PRC" in after.rules
    assert "US-2025-FDD-PRES" in before.rules  # published on 16 January 2025
    # the antitrust case opened in December 2024, its finding of September 2025 was not known in January
    assert "CN-2024-12-SAMR" not in before.rules
    assert is_known({"published": "2023-10-25", "effective": "2023-11-17"}, "2023-10-30")
    assert not is_known({"published": "2023-10-25", "effective": "2023-11-17"}, "2023-10-20")


def test_ascend_is_open_in_january_and_out_from_may_2025() -> None:
    early, index, _ = ruled(SPEC, 0, {"ascend-910b"})
    late, _, _ = ruled(SPEC, 1, {"ascend-910b"})
    j, may = index["ascend-910b@cn-north"], MONTHS.index("2025-05")
    assert early.run[j].all()
    assert late.run[j, :may].all()
    assert not late.run[j, may:].any()
    entry = next(e for e in late.out if e.offer == "ascend-910b")
    assert (entry.rule, entry.outcome, entry.since) == ("US-2025-GP10-PRC", "GP10_RISK", "2025-05")


def test_h20_may_come_until_the_letter_of_april_2025_and_goes_on_running() -> None:
    late, index, _ = ruled(SPEC, 1, {"h20"})
    j = index["h20@cn-north"]
    april = MONTHS.index("2025-04")
    assert late.arrive[j, :april].all()
    assert not late.arrive[j, april:].any()
    assert late.run[j].all()
    assert any(e.rule == "US-2025-04-LETTERS" for e in late.out)


def test_leases_from_an_independent_operator_are_no_export_and_owned_machines_are() -> None:
    late, index, _ = ruled(SPEC, 1, {"b200-lease", "b200-owned"})
    assert late.run[index["b200-lease@my-operators"]].all()
    assert not late.arrive[index["b200-owned@my-johor"]].any()
    assert {e.rule for e in late.out if e.offer == "b200-owned"} >= {"US-2023-HQ"}


def test_the_asic_is_screened_like_any_chip() -> None:
    early, index, _ = ruled(SPEC, 0, {"asic-5nm"})
    assert not early.arrive[index["asic-5nm@cn-north"]].any() or any(e.offer == "asic-5nm" for e in early.out)


def test_guidance_enters_only_where_it_is_mere_advice_and_stated() -> None:
    silent = SPEC.model_copy(update={"guidance": []})
    early, index, _ = ruled(silent, 0, {"h20"})
    autumn = MONTHS.index("2024-10")
    assert not early.arrive[index["h20@cn-north"], autumn:].any()
    stated = Guidance(rule="US-2025-04-LETTERS", statement="not so", source="S001-10")
    bold = SPEC.model_copy(update={"guidance": [*SPEC.guidance, stated]})
    late, index, _ = ruled(bold, 1, {"h20"})
    assert not late.arrive[index["h20@cn-north"], MONTHS.index("2025-04") :].any()


def test_no_statement_opens_what_is_restricted() -> None:
    wish = Condition(offer="h20", outcome="LICENCE_REQUIRED", statement="we have one", source="S001-10")
    late, index, _ = ruled(SPEC.model_copy(update={"conditions": [wish]}), 1, {"h20"})
    assert not late.arrive[index["h20@cn-north"], MONTHS.index("2025-04") :].any()


def test_unknown_figures_are_open_and_never_enter() -> None:
    view = SPEC.views[1].model_copy(update={"facts_to": None})
    spec = SPEC.model_copy(update={"views": [SPEC.views[0], view]})
    late, index, _ = ruled(spec, 1, {"rtx-pro-6000d"})
    assert not late.arrive[index["rtx-pro-6000d@cn-north"], MONTHS.index("2025-07") :].any()


@pytest.mark.parametrize(("offer", "acts"), [
    ("h20", (("export", "cn_side_check"), ("use_in_place",))),
    ("ascend-910b", (("use_in_place",), ("use_in_place",))),
    ("b200-lease", (("iaas_lease",), ("iaas_lease",))),
    ("asic-5nm", (("foundry_export",), ("use_in_place",))),
])  # fmt: skip
def test_acts_follow_from_way_and_place(offer: str, acts: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    line = next(x for x in lines_of(SPEC, NAMES) if x.offer is not None and x.offer.id == offer)
    assert acts_of(line, CHIPS[line.chip]) == acts


def test_deliveries_need_use() -> None:
    late, _, _ = ruled(SPEC, 1, {"ascend-910b", "h20", "mlu590"})
    assert np.array_equal(late.arrive, late.arrive & late.run)

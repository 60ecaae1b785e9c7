"""The labelled cases that ship: every label, no false clear."""

from __future__ import annotations

from pathlib import Path

import pytest

from suanli.controls import answer, query_of_row, screen
from suanli.kinds import GROUPS
from suanli.scoring.controls import read_cases

CASES = read_cases(Path(__file__).parents[2] / "validation" / "data" / "controls" / "cases.csv")


@pytest.mark.parametrize("row", CASES, ids=[row["case_id"] for row in CASES])
def test_every_label(row: dict[str, str]) -> None:
    ruling = screen(query_of_row(row), ruleset=row["ruleset"])
    assert (ruling.outcome, ruling.eccn, ruling.presumption) == (row["outcome"], row["eccn"], row["presumption"])
    assert ruling.group == GROUPS[row["outcome"]]
    assert answer(query_of_row(row), ruleset=row["ruleset"]) == (ruling.outcome, ruling.eccn, ruling.presumption)


def test_comments_are_never_read() -> None:
    row = next(r for r in CASES if r["case_id"] == "CV063")
    blank = {**row, "special_facts": "", "label_basis": "", "rule_ids": "", "source": "", "verified": ""}
    assert screen(query_of_row(blank), ruleset="as_written") == screen(query_of_row(row), ruleset="as_written")


@pytest.mark.parametrize("row", CASES[::3], ids=[row["case_id"] for row in CASES[::3]])
def test_a_ruling_explains_itself(row: dict[str, str]) -> None:
    ruling = screen(query_of_row(row), ruleset=row["ruleset"])
    assert ruling.remarks
    assert all(remark.citation for remark in ruling.remarks if remark.rule != "-")
    assert bool(ruling.depends_on) <= (ruling.outcome == "UNDETERMINED")


@pytest.mark.parametrize("row", CASES, ids=[row["case_id"] for row in CASES])
@pytest.mark.parametrize("forgotten", ["tpp", "die_area_mm2", "end_user_hq", "ultimate_parent_hq", "mem_bw_gbs"])
def test_forgetting_a_figure_never_clears(row: dict[str, str], forgotten: str) -> None:
    """Where a barred or open case loses a figure, it may stay barred or become open, never free."""
    if GROUPS[row["outcome"]] in {"free", "conditional"}:
        return
    less = {**row, forgotten: "", **({"pd": ""} if forgotten == "die_area_mm2" else {})}
    assert screen(query_of_row(less), ruleset=row["ruleset"]).group in {"restricted", "open"}

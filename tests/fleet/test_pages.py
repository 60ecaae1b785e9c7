"""The pages in docs/ are what the code says."""

from __future__ import annotations

from pathlib import Path

from suanli.fleet._pages import case_page, mathematics_page
from suanli.fleet._schema import CaseSpec
from suanli.fleet.mathematics import FAMILIES

DOCS = Path(__file__).parents[2] / "docs"


def test_case_page_is_made_from_the_schema() -> None:
    assert (DOCS / "case.md").read_text(encoding="utf-8") == case_page()
    for name in CaseSpec.model_fields:
        assert f"| `{name}` |" in case_page()


def test_mathematics_page_is_made_from_the_families() -> None:
    page = mathematics_page()
    assert (DOCS / "mathematics.md").read_text(encoding="utf-8") == page
    for family in FAMILIES:
        assert family.sentence in page
        assert family.equation in page

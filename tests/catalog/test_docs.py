"""The page on the catalogue says what the schema says."""

from pathlib import Path

import pytest

from suanli.catalog import chips, costs, events, schema, switches

PAGE = Path(__file__).parents[2] / "docs" / "catalog.md"


def schema_table(table: str) -> str:
    """Return the schema of ``table`` as the Markdown that the page holds."""
    lines = ["| column | field | unit | meaning |", "| --- | --- | --- | --- |"]
    lines += [f"| `{c.column}` | `{c.field}` | {c.unit} | {c.meaning} |" for c in schema(table)]
    return "\n".join(lines)


@pytest.mark.parametrize("table", ["chips", "switches", "costs"])
def test_the_page_holds_the_schema(table: str) -> None:
    assert schema_table(table) in PAGE.read_text(encoding="utf-8")


def test_the_page_counts_right() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for file, rows in (
        ("chips/chips.csv", chips()),
        ("costs/costs.csv", costs()),
        ("events/events.json", events()),
        ("switch_sources.csv", switches()),
    ):
        assert f"{file}` | {len(rows)} |" in text

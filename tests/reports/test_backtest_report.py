import re
from pathlib import Path

import pytest

from suanli.errors import InputError
from suanli.reports import write_backtest

MONTHS = [
    {"month": f"2025-{m:02d}", "with": 2e18, "without": 2e18 + 1e17 * m, "taken": 1.0 - 2e18 / (2e18 + 1e17 * m)}
    for m in range(1, 13)
]
TEST = {
    "as_of": "2024-06-25", "regret": 3e9, "regret_deterministic": 7e9, "served": 0.9, "served_deterministic": 0.8,
    "chips_refused": 1000.0, "chips_ordered": 50_000.0, "ahead": {"usd": 2e9, "low": 1e9, "high": 3.5e9, "futures": 48},
}  # fmt: skip
ROLLED = {
    "days": ["2024-06-25", "2024-09-30"], "regret": 4e9, "regret_deterministic": 6e9, "regret_once": 3e9,
    "regret_once_deterministic": 7e9,
}  # fmt: skip


def test_the_page_of_a_rule_tells_when_it_takes_most(tmp_path: Path) -> None:
    path = tmp_path / "rule.html"
    write_backtest(path, "A case", "made up <b>", {"rule": "US-2025-X", "months": MONTHS})
    page = path.read_text(encoding="utf-8")
    assert "US-2025-X" in page
    assert "It takes most in 2025-12: 37.5 %" in page
    assert "made up &lt;b&gt;" in page
    assert not re.search(r'(?:src|href)="(?!#)', page)
    flat = [{**m, "without": m["with"], "taken": 0.0} for m in MONTHS]
    write_backtest(path, "A case", "", {"rule": "US-2025-X", "months": flat})
    assert "takes nothing" in path.read_text(encoding="utf-8")


def test_the_page_of_days_shows_both_plans(tmp_path: Path) -> None:
    path = tmp_path / "days.html"
    body = {"tests": [TEST, {**TEST, "as_of": "2024-09-30"}], "rolling": ROLLED, "notes": ["One path."]}
    write_backtest(path, "A case", "", body)
    page = path.read_text(encoding="utf-8")
    for part in (
        "2024-06-25",
        "2024-09-30",
        "USD 3.00 bn",
        "USD 7.00 bn",
        "1 k of 50 k",
        "USD 2.0 bn (1.0 to 3.5)",
        "USD 4.00 bn",
    ):
        assert part in page


def test_the_chart_alone(tmp_path: Path) -> None:
    write_backtest(tmp_path / "rule.svg", "A case", "", {"rule": "R", "months": MONTHS})
    assert (tmp_path / "rule.svg").read_text(encoding="utf-8").startswith("<svg")
    with pytest.raises(InputError, match=r"ends in \.html, \.svg or \.png"):
        write_backtest(tmp_path / "rule.pdf", "A case", "", {"rule": "R", "months": MONTHS})

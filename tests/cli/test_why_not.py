import json
from pathlib import Path
from typing import Any

import pytest

from suanli.cli import main


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["explain", *arguments])
    return int(stop.value.code or 0)


@pytest.fixture
def result(tmp_path: Path) -> Path:
    shut = {
        "view": "v", "line": "h20@north", "offer": "h20", "chip": "h20-96", "site": "north", "act": "delivery: export",
        "since": "2025-04", "until": "", "outcome": "LICENCE_REQUIRED", "rule": "US-2025-04-LETTERS", "citation": "8-K",
    }  # fmt: skip
    cost = {"service": "chat", "unit": "USD per million output tokens"}
    body: dict[str, Any] = {
        "main": {"view": "v", "variant": "b"},
        "views": [{"id": "v", "title": "as known", "orders_from": "2025-02"}],
        "plans": {
            "v/b": {
                "legal_life": [
                    {"line": "h20@north", "chip": "h20-96", "deliver": [["2024-07", "2025-03"]]},
                    {"line": "asic@north", "chip": "asic", "deliver": [["2024-07", "2024-12"]]},
                    {
                        "line": "910c@north",
                        "chip": "ascend910c",
                        "deliver": [["2024-07", "2027-12"]],
                        "supplier": "huawei",
                        "site": "north",
                        "pot": "china",
                    },
                ],
                "binding": [
                    {
                        "family": "supply",
                        "subject": "huawei",
                        "sentence": f"Orders from huawei in {year} stay within",
                        "worth": worth,
                        "per": "chip",
                    }
                    for year, worth in ((2025, 900.0), (2026, 56_000.0))
                ],
                "orders": [{"offer": "910c", "site": "north", "quarter": "2025Q1", "chips": 1000.0}],
            }
        },
        "screened": [shut, shut | {"line": "asic@north", "since": "2025-01", "rule": "US-2025-FDD-PRES"}],
        "left_out": [{"line": "old@north", "reason": "no rate of its chip is known"}],
        "unit_costs": [cost | {"line": "h20@north", "usd": 1.0}, cost | {"line": "910c@north", "usd": 0.6}],
    }
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(body))
    return path


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.replace("│", " ").replace("├──", " ").replace("└──", " ").split())


def test_what_a_rule_shuts_is_told_with_the_rule_and_no_price(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(result), "--why-not", "asic") == 0
    text = told(capsys)
    assert "LICENCE_REQUIRED by US-2025-FDD-PRES" in text
    assert "may not be delivered in any month from 2025-02 on" in text
    assert "USD" not in text


def test_what_may_enter_and_does_not_is_told_with_its_cost(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(result), "--why-not", "H20") == 0
    text = told(capsys)
    assert "from 2025-04 to the end" in text
    assert "may be delivered 2024-07 to 2025-03" in text
    assert "1.00 USD per million output tokens; cheapest 910c@north 0.600" in text


def test_orders_and_lines_left_out_are_told(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(result), "--why-not", "ascend910c") == 0
    assert "ordered: 1,000 in 2025Q1" in told(capsys)
    assert run(str(result), "--why-not", "old") == 0
    assert "no rate of its chip is known" in told(capsys)


def test_an_unknown_offer_or_no_plan_is_one_line(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(str(result), "--why-not", "h2o") == 2
    assert "did you mean 'h20'" in capsys.readouterr().err
    other = tmp_path / "other.json"
    other.write_text("[]")
    assert run(str(other), "--why-not", "h20") == 2
    assert "is no plan" in capsys.readouterr().err


def test_what_binds_on_an_ordered_line_is_told_in_its_dearest_month(
    result: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(str(result), "--why-not", "910c") == 0
    text = told(capsys)
    assert "ordered: 1,000 in 2025Q1" in text
    assert "Orders from huawei in 2026 stay within; one more is worth USD 56.0 k per chip" in text
    assert "in 2025 stay" not in text

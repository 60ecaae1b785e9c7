"""``suanli screen`` and ``suanli rules``: what they print, and what they refuse with one line and exit code 2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from suanli.cli import main
from suanli.cli.screen import as_json
from suanli.controls import Query, Range, screen
from suanli.files import to_json


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    out = capsys.readouterr()
    code = stop.value.code
    assert isinstance(code, int) or code is None
    return code or 0, out.out, out.err


SCREEN = ("screen", "h20", "--to", "CN", "--owner", "CN", "--parent", "CN", "--date", "2025-04-15")


def test_screen_explains(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run(capsys, *SCREEN)
    assert code == 0
    for text in (
        "A licence is required.",
        "is_informed",
        "US-2025-04-LETTERS",
        "NVIDIA 8-K 15 Apr 2025",
        "2,368",
        ">= 2,400",
        "-32 (-1.3%)",
        "To check",
        "not legal advice",
    ):
        assert text in out, text


def test_screen_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, *SCREEN, "--json", "-", "--fact", "seller_received_letter=0")
    data = json.loads(out)
    assert code == 0
    assert (data["outcome"], data["group"]) == ("NOT_LISTED", "free")
    assert data["query"]["facts"]["seller_received_letter"] == "0"
    assert "not legal advice" in data["note"]


def test_screen_by_facts_alone(capsys: pytest.CaptureFixture[str]) -> None:
    stack = ("--fact", "item_kind=hbm_stack", "--fact", "hbm_density_gbs_mm2=2.7")
    _, out, _ = run(
        capsys, "screen", "custom", "--to", "CN", "--owner", "CN", "--parent", "CN", "--date", "2025-02-01", *stack
    )
    assert "HBM_EXCEPTION_POSSIBLE" in out
    wide = ("--fact", "tpp=2500", "--fact", "die_area_mm2=300..2000", "--fact", "nonplanar=1")
    _, out, _ = run(
        capsys, "screen", "custom", "--to", "CN", "--owner", "CN", "--parent", "CN", "--date", "2024-06-01", *wide,
        "--fact", "designed_for_datacenter=1",
    )  # fmt: skip
    assert "Depends on" in out
    assert "die area is" in out


def test_a_range_that_is_open_upwards_is_json_too() -> None:
    query = Query(date="2025-06-01", destination="CN", die_area_mm2=Range(920.0), facts={"training_ops": Range(1, 2)})
    data = json.loads(to_json(as_json(query, screen(query), "as_enforced")))
    assert data["query"]["die_area_mm2"] == {"low": 920, "high": None}
    assert data["query"]["facts"]["training_ops"] == {"low": 1, "high": 2}


def test_screen_an_unknown_parent(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "screen", "h100", "--to", "MY", "--owner", "MY", "--date", "2025-01-22")
    assert "UNDETERMINED" in out
    assert "ultimate_parent_hq is in MO_D5" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--to", "XX", "--date", "2025-01-01"), "unknown country code 'XX'"),
        (("--to", "CN", "--date", "2022-01-01"), "no rule here is so old"),
        (("--to", "CN", "--date", "2025-01-01", "--fact", "state_fundet=1"), "did you mean 'state_funded'"),
        (("--to", "CN", "--date", "2025-01-01", "--ruleset", "written"), "unknown ruleset 'written'"),
        (("--to", "CN", "--date", "2025-01-01", "--activity", "sell"), "unknown activity 'sell'"),
        (("--to", "CN", "--date", "2025-01-01", "--party", "Huawei"), "is not name|list|footnote"),
    ],
)
def test_screen_refuses(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str) -> None:
    code, _, err = run(capsys, "screen", "h20", *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_rules_list_show_diff_check(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "rules", "list", "--date", "2025-11-15", "--jurisdiction", "us", "--json", "-")
    ids = {rule["id"] for rule in json.loads(out)}
    assert code == 0
    assert "US-2025-AFF-STAY" in ids
    assert "US-2025-AFFILIATES" not in ids
    _, out, _ = run(capsys, "rules", "show", "us-2023-3a090a")
    assert "5.92" in out
    assert "88 FR 73458" in out
    _, out, _ = run(capsys, "rules", "diff", "2025-03-30", "2025-06-01", "--chip", "h20", "--chip", "t4", "--json", "-")
    found = json.loads(out)
    assert "US-2025-04-LETTERS" in found["began"]
    assert {c["chip"] for c in found["changed"]} == {"h20-96"}
    _, out, _ = run(capsys, "rules", "facts", "--json", "-")
    assert {f["name"]: f["default"] for f in json.loads(out)}["hardware_custody"] is None
    path = tmp_path / "own.yaml"
    path.write_text(
        "rules:\n- id: US-X\n  jurisdiction: US\n  title: x\n  citation: y\n  effective: 2030-01-01\n  sources: [z]\n"
    )
    _, out, _ = run(capsys, "rules", "check", str(path))
    assert "1 new: US-X; 0 replaced: none" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "US-2023-HG"), "unknown rule 'US-2023-HG'; did you mean 'US-2023-HQ'"),
        (("list", "--date", "soon"), "is no day of the form"),
        (("list", "--jurisdiction", "FR"), "unknown jurisdiction 'FR'; allowed: CN, KR, MY, US"),
        (("diff", "2025-06-01", "2025-01-01", "--chip", "t4"), "out of order"),
        (("check", "nowhere.yaml"), "no such file"),
    ],
)
def test_rules_refuse(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str) -> None:
    code, _, err = run(capsys, "rules", *arguments)
    assert code == 2
    assert message in err

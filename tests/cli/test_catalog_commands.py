"""``suanli chips|switches|prices|events list|show``."""

import json
from pathlib import Path

import pytest

from suanli.cli import main

COMMANDS = {"chips": "h20", "switches": "bailly", "prices": "EL-MY-2025", "events": "S004-01"}


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    captured = capsys.readouterr()
    assert stopped.value.code == 0, captured.err
    return captured.out


def fail(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    captured = capsys.readouterr()
    assert stopped.value.code == 2
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


@pytest.mark.parametrize("command", COMMANDS)
def test_lists_fit_a_hundred_columns(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = run(capsys, command, "list").splitlines()
    assert len(lines) > 25
    assert max(len(line) for line in lines) <= 100


@pytest.mark.parametrize(("command", "name"), COMMANDS.items())
def test_show_names_source_date_and_kind(command: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, command, "show", name)
    assert {"kind", "date", "source"} <= set(text.splitlines()[1].split())
    assert max(len(line) for line in text.splitlines()) <= 100


@pytest.mark.parametrize(("command", "name"), COMMANDS.items())
def test_json_is_whole(command: str, name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    entry = json.loads(run(capsys, command, "show", name, "--json", "-"))
    assert entry["source"]["ref"]
    path = tmp_path / "all.json"
    run(capsys, command, "list", "--json", str(path))
    found = json.loads(path.read_text(encoding="utf-8"))
    assert entry in found


def test_chips_are_shown_in_the_units_of_their_table(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "chips", "show", "NVIDIA H100-SXM-80GB")
    for expected in ("3,350 GB/s", "80 GiB", "989.4 TFLOP/s", "814 mm²", "900 GB/s both ways", "H100 SXM5 80GB"):
        assert expected in text


def test_filters_narrow(capsys: pytest.CaptureFixture[str]) -> None:
    huawei = run(capsys, "chips", "list", "-f", "vendor=huawei", "-f", "year=2022-2024").splitlines()
    assert huawei[0].startswith("7 chips")
    assert all("Huawei" in line for line in huawei[2:])
    denied = run(capsys, "events", "list", "--filter", "certainty=denied")
    assert denied.startswith("9 events")
    assert run(capsys, "prices", "list", "-f", "section=pue").startswith("7 prices")
    assert "R-H100-2024Q4" in run(capsys, "prices", "list", "-f", "chip=NVIDIA H100-SXM-80GB", "-f", "year=2024")
    assert run(capsys, "switches", "list", "-f", "kind=optics").startswith("9 switches")
    assert run(capsys, "chips", "list", "-f", "text=nothing like it").startswith("0 chips")


def test_denials_and_contradictions_stand_beside_the_claim(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "events", "show", "S004-01")
    assert "denied" in text
    assert "against S003-01" in text


def test_a_users_chip_file_is_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("id: mine\nname: Mine\npeak: {bf16: 1 PFLOP/s}\n", encoding="utf-8")
    assert "1,000 TFLOP/s" in run(capsys, "chips", "show", str(path))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("chips", "show", "hh100-sxm"), "unknown chip 'hh100-sxm'; did you mean 'h100-sxm'?"),
        (("switches", "show", "tomahwk5"), "did you mean 'tomahawk5'?"),
        (("prices", "show", "EL-MY-225"), "did you mean 'EL-MY-2025'?"),
        (("events", "show", "S004-99"), "unknown event 'S004-99'"),
        (("chips", "list", "-f", "vendr=amd"), "unknown key 'vendr'; did you mean 'vendor'?"),
        (("chips", "list", "-f", "vendor"), "write KEY=VALUE"),
        (("chips", "list", "-f", "year=soon"), "write a year or a span"),
        (("prices", "list", "-f", "chip=N/A"), "unknown chip 'N/A'"),
        (("chips", "show", "none.yaml"), "none.yaml: no such file"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in fail(capsys, *arguments)

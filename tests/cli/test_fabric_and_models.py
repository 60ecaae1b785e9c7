"""``suanli fabric`` and ``suanli models``: what they print, write and refuse."""

import json
from pathlib import Path

import pytest

from suanli.cli import main


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code in (0, None)
    return capsys.readouterr().out


def test_fabric_prints_its_bill_and_draws_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "fabric.svg"
    answer = tmp_path / "fabric.json"
    arguments = ["--chips", "16384", "--switch", "tomahawk-5", "--optics", "bailly", "--on", "h100-sxm"]
    text = _run(capsys, "fabric", *arguments, "--svg", str(picture), "--json", str(answer))
    assert "16,384 chips on 640 x tomahawk5 with opt-cpo-bailly" in text
    assert "410 TB/s" in text
    assert "all-reduce" in text
    assert picture.read_text(encoding="utf-8").startswith("<svg")
    assert json.loads(answer.read_text(encoding="utf-8"))["n_switches"] == 640


def test_fabric_takes_cards_in_units(capsys: pytest.CaptureFixture[str]) -> None:
    text = _run(capsys, "fabric", "--chips", "64", "--card-rate", "800 Gbit/s")
    assert "800 Gbit/s" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--chips", "64", "--switch", "tomahawk-9"], "unknown switch 'tomahawk-9'"),
        (["--chips", "64", "--optics", "glass"], "unknown optics 'glass'"),
        (["--chips", "64", "--card-rate", "5 W"], "wrong kind of unit"),
        (["--chips", "9000000"], "more than three tiers"),
        (["--chips", "64", "--on", "h1000"], "unknown chip 'h1000'"),
    ],
)
def test_fabric_refuses_in_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as done:
        main(["fabric", *arguments])
    assert done.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_models_are_listed_and_filtered(capsys: pytest.CaptureFixture[str]) -> None:
    assert max(map(len, _run(capsys, "models", "list").splitlines())) <= 100
    text = _run(capsys, "models", "list", "--filter", "kind=MLA", "--filter", "min=500e9")
    assert "deepseek-v3" in text
    assert "671.0" in text
    assert "llama" not in text


def test_a_model_is_shown_with_counts_and_source(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    answer = tmp_path / "model.json"
    text = _run(capsys, "models", "show", "meta-llama/Llama-3.1-405B", "--json", str(answer))
    assert "405.9 G" in text
    assert "504.0 KiB" in text
    assert "Hugging Face" in text
    assert json.loads(answer.read_text(encoding="utf-8"))["n_layers"] == 126
    assert "75,600" in _run(capsys, "models", "show", "wan2.1")
    with pytest.raises(SystemExit) as done:
        main(["models", "show", "llama-9"])
    assert done.value.code == 2

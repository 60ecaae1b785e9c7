"""``suanli roofline`` and ``suanli calibrate``: what they print, write and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from suanli.cli import main
from suanli.cli._roofline_chart import _COLOURS
from suanli.silicon._laws import PARTS


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code in (0, None)
    return capsys.readouterr().out


def test_roofline_prints_what_binds_and_draws_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture, answer = tmp_path / "roof.svg", tmp_path / "roof.json"
    more = ["--on", "h100", "--tp", "8", "--svg", str(picture), "--json", str(answer)]
    text = _run(capsys, "roofline", "llama-3.1-70b", *more)
    assert "mlp up" in text
    assert "memory" in text
    assert picture.read_text(encoding="utf-8").startswith("<svg")
    data = json.loads(answer.read_text(encoding="utf-8"))
    assert data["total_s"] == pytest.approx(sum(row["seconds"] for row in data["operators"]))
    bound = {row["operator"]: row["bound"] for row in data["operators"]}
    assert bound["mlp up"] == "memory"
    # 32 sequences of one token each read every weight: the intensity is near 2 FLOP x 32 / 2 B
    assert next(r for r in data["operators"] if r["operator"] == "mlp up")["intensity"] == pytest.approx(32.0, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--on", "h100", "--phase", "backward"], "must be one of prefill, decode"),
        (["--on", "h100", "--png", "roof.jpg"], "ends in .png"),
        (["--on", "a100", "--dtype", "fp8"], "no rate for fp8; the nearest format it has is"),
        (["--on", "h1000"], "unknown chip 'h1000'"),
    ],
)
def test_roofline_refuses_in_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as done:
        main(["roofline", "llama-3.1-8b", *arguments])
    assert done.value.code == 2
    assert message in capsys.readouterr().err


def test_a_calibrated_machine_is_a_chip_that_commands_take(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from suanli.silicon import _calibrate

    monkeypatch.setattr(_calibrate, "GEMMS", ((1, 256, 256), (128, 256, 256)))
    monkeypatch.setattr(_calibrate, "STREAMS", (65536, 1048576))
    file = tmp_path / "machine.yaml"
    text = _run(capsys, "calibrate", "--out", str(file), "--time-limit", "0.2 s")
    assert "effective figures: fp32" in text
    assert "128 x 256 x 256" in text
    again = _run(
        capsys, "roofline", "llama-3.2-1b", "--on", str(file), "--dtype", "fp32", "--batch", "1", "--seq", "16"
    )
    assert "mlp up" in again


def test_a_time_limit_of_nothing_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as done:
        main(["calibrate", "--out", str(tmp_path / "m.yaml"), "--time-limit", "0 s"])
    assert done.value.code == 2
    assert "must be more than zero" in capsys.readouterr().err


def test_every_part_of_a_time_has_a_colour() -> None:
    assert set(_COLOURS) == set(PARTS)
    assert len(set(_COLOURS.values())) == len(PARTS)

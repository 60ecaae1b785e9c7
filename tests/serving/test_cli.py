import json
from pathlib import Path
from typing import Any

import pytest

from suanli.cli import main

ARGS = ["serve", "llama-3.1-8b", "--on", "h100-sxm", "--chips", "2", "--isl", "1000", "--osl", "200"]


def answer(tmp_path: Path, *more: str) -> dict[str, Any]:
    path = tmp_path / "answer.json"
    with pytest.raises(SystemExit) as stop:
        main([*ARGS, *more, "--json", str(path)])
    assert stop.value.code == 0
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_serve_answers_a_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(tmp_path, "--rate", "200/s")
    best = found["best"]
    assert best["ttft_s"] <= 1.01
    assert best["tpot_s"] <= 0.051
    assert found["chips_needed"] == found["groups_needed"] * best["chips"]
    assert found["groups_needed"] * best["requests_per_s"] >= 200
    assert found["usd_per_million_output_tokens"] > 0
    assert set(found["launch"]) == {"vllm", "sglang", "trtllm"}
    assert "Best:" in capsys.readouterr().out


def test_serve_takes_users_and_a_trace(tmp_path: Path) -> None:
    users = answer(tmp_path, "--users", "10M")
    assert users["asked_requests_per_s"] == pytest.approx(2 * 10e6 * 7.3 / 86_400)
    trace = tmp_path / "trace.csv"
    trace.write_text("arrival_s,input_tokens,output_tokens\n" + "".join(f"{i},100,10\n" for i in range(50)), "utf-8")
    replayed = answer(tmp_path, "--trace", str(trace), "--simulate")
    assert replayed["asked_requests_per_s"] == pytest.approx(1.0)
    assert replayed["simulation"]["requests"] == 50
    assert replayed["simulation"]["ttft_s"]["p50"] <= replayed["simulation"]["ttft_s"]["p99"]


def test_serve_draws(tmp_path: Path) -> None:
    picture = tmp_path / "front.png"
    answer(tmp_path, "--png", str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--slo", "tpt=50ms"], "write ttft=1s,tpot=50ms"),
        (["--slo", "tpot=50 kg"], "wrong kind of unit"),
        (["--rate", "0"], "--rate is 0"),
        (["--rate", "5/s", "--users", "1M"], "give one"),
        (["--framework", "vlm"], "unknown framework 'vlm'"),
        (["--precision", "fp9"], "unknown precision 'fp9'"),
        (["--slo", "ttft=1us"], "no layout on 2 of h100-sxm meets"),
        (["--users", "many"], "is not a quantity"),
    ],
)
def test_serve_says_what_is_wrong_in_one_line(
    more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*ARGS, *more])
    assert stop.value.code == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0
    assert message in error

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
    users = answer(tmp_path, "--users", "10M", "--regions", "CN=0.75,SG=0.25")
    assert users["regions_peak_requests_per_s"]["SG"] == pytest.approx(0.25 * users["asked_requests_per_s"])
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
        (["--rate", "0"], "--rate: a rate of 0 is not above 0"),
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


def run(tmp_path: Path, *args: str) -> dict[str, Any]:
    path = tmp_path / "answer.json"
    with pytest.raises(SystemExit) as stop:
        main(["serve", *args, "--json", str(path)])
    assert stop.value.code == 0
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_serve_says_what_each_wish_costs(tmp_path: Path) -> None:
    plain = answer(tmp_path, "--pools", "one")
    lora = answer(tmp_path, "--pools", "one", "--lora", "count=200,rank=32,slots=16")
    guess = answer(
        tmp_path, "--pools", "one", "--speculate", "drafts=3,accept=0.8", "--kv", "fp8", "--slo", "tpot=20ms"
    )
    assert lora["best"]["requests_per_s"] < plain["best"]["requests_per_s"]
    assert "--enable-lora --max-loras 16 --max-lora-rank 32" in lora["launch"]["vllm"][0]
    assert '"num_speculative_tokens":3' in guess["launch"]["vllm"][0]
    assert "--kv-cache-dtype fp8" in guess["launch"]["vllm"][0]
    assert "--speculative-num-draft-tokens 4" in guess["launch"]["sglang"][0]
    assert plain["launch"]["vllm"][0].startswith("vllm serve meta-llama/")


def test_serve_simulates_what_it_is_told(tmp_path: Path) -> None:
    one = ("--pools", "one", "--requests", "1500", "--rate", "12/s")
    calm = answer(tmp_path, *one, "--simulate")["simulation"]
    assert calm["requests"] == 1500
    bursts = answer(tmp_path, *one, "--simulate", "--arrivals", "mmpp")["simulation"]
    assert bursts["ttft_s"]["p99"] > calm["ttft_s"]["p99"]
    cached = answer(tmp_path, *one, "--simulate", "--prefix", "tokens=512,groups=4", "--routing", "cache_aware")
    assert cached["simulation"]["hit_share"] > 0.3
    lost = answer(tmp_path, *one, "--simulate", "--fail", "replica=0,at=10s,for=60s")["simulation"]
    assert lost["latency_s"]["p99"] > calm["latency_s"]["p99"]
    scaled = answer(tmp_path, *one, "--simulate", "--autoscale", "high=40,low=2,start=20s")["simulation"]
    assert scaled["chip_hours"] < calm["chip_hours"]
    lora = answer(tmp_path, *one, "--simulate", "--lora", "count=100,slots=8")["simulation"]
    assert lora["adapter_loads"] > 100
    assert answer(tmp_path, *one, "--simulate")["simulation"] == calm


def test_serve_couples_two_pools_and_writes_its_page(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    found = answer(
        tmp_path,
        "--pools",
        "two",
        "--simulate",
        "--requests",
        "800",
        "--report",
        str(page),
        "--slo",
        "ttft=1s,tpot=30ms",
    )
    assert "prefill" in found["best"]["layout"]
    seen = found["simulation"]
    assert seen["ttft_s"]["p50"] >= seen["prefill_s"]["p50"] > 0
    assert seen["handover_s"]["p50"] > 0
    assert len(found["launch"]["vllm"]) == 2
    good = [row["good"] for row in found["goodput"]]
    assert good[-1] < max(good)
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") >= 10
    assert "Goodput against rate" in text
    assert "http://" not in text.replace("http://www.w3.org", "")


def test_serve_answers_for_pictures_queries_and_embeddings(tmp_path: Path) -> None:
    picture = run(tmp_path, "flux.1-dev", "--on", "h100-sxm", "--steps", "4", "--size", "512x512", "--rate", "3/s")
    assert picture["chips_needed"] >= 1
    assert picture["usd_per_million_requests"] > 0
    clicks = run(tmp_path, "dlrm-dcnv2", "--on", "h100-sxm", "--slo", "p99=60ms", "--rate", "50000/s", "--simulate")
    assert clicks["best"]["latency_s"] <= 0.06
    assert clicks["limits"]["percentile"] == 0.99
    assert 0 < clicks["best"]["held_in_simulation"]["1"] <= clicks["best"]["requests_per_s"]
    vectors = run(
        tmp_path,
        "bge-m3",
        "--on",
        "l40s",
        "--chips",
        "1",
        "--isl",
        "200",
        "--osl",
        "1",
        "--slo",
        "ttft=200ms",
        "--simulate",
    )
    assert vectors["pareto"] == []
    assert "--runner pooling" in vectors["launch"]["vllm"][0]
    assert "tpot_s" not in vectors["simulation"]


def test_serve_plans_a_mix(tmp_path: Path) -> None:
    mix = tmp_path / "mix.yaml"
    mix.write_text(
        "services:\n"
        '  - {name: a, model: llama-3.1-8b, rate: 60/s, slo: "ttft=1s,tpot=30ms", day: [1, 0.1]}\n'
        '  - {name: b, model: llama-3.1-8b, rate: 60/s, slo: "ttft=1s,tpot=30ms", day: [0.1, 1]}\n',
        encoding="utf-8",
    )
    picture = tmp_path / "day.png"
    found = run(tmp_path, "--mix", str(mix), "--on", "h100-sxm", "--simulate", "--png", str(picture))
    assert found["chips_together"] < found["chips_apart"]
    assert [s["holds"] for s in found["checked_by_simulation"]] == [True, True]
    assert len(found["day"]) == 2 * 96
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([*ARGS[1:], "--lora", "count=0"], "--lora: count is 0"),
        ([*ARGS[1:], "--lora", "rank=8"], "--lora: count is missing"),
        ([*ARGS[1:], "--lora", "counts=8"], "did you mean 'count'"),
        ([*ARGS[1:], "--speculate", "drafts=1.5"], "--speculate: drafts is a whole number"),
        ([*ARGS[1:], "--simulate", "--autoscale", "high=2,low=4"], "--autoscale: low is 4"),
        ([*ARGS[1:], "--simulate", "--fail", "replica=0,at=1 kg,for=2s"], "--fail: at"),
        ([*ARGS[1:], "--pools", "three"], "--pools is 'three'"),
        ([*ARGS[1:], "--users", "1M", "--regions", "CN=0.5"], "shares of the regions add up to 0.5"),
        ([*ARGS[1:], "--simulate", "--arrivals", "never"], "arrivals 'never' are unknown"),
        (["llama-3.1-8b"], "name a MODEL and a chip"),
        (["flux.1-dev", "--on", "h100-sxm", "--users", "1M"], "--users is for models that make tokens"),
        (["flux.1-dev", "--on", "h100-sxm", "--size", "big"], "--size is 'big'"),
        (["flux.1-dev", "--on", "h100-sxm", "--slo", "latency=1ms"], "nothing serves FLUX.1 dev"),
    ],
)
def test_serve_refuses_in_one_line(args: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["serve", *args])
    assert stop.value.code == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0
    assert message in error

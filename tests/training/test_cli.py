from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from suanli.cli import main


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["train", *arguments])
    assert stop.value.code in (0, None)
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["train", *arguments])
    assert stop.value.code == 2
    err = capsys.readouterr().err.strip()
    assert err.count("\n") == 0
    return err


RUN = ("llama-3.1-8b", "--on", "h100", "--chips", "16", "--batch", "64", "--seq", "4096", "--tokens", "1e11")


def test_train_tells_all(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    trace, table = tmp_path / "step.json", tmp_path / "all.parquet"
    out = call(
        capsys,
        *RUN,
        "--start=2025-01-01",
        "--deadline=90 day",
        f"--trace={trace}",
        f"--parquet={table}",
        "--json=-",
    )
    data = json.loads(out)
    assert data["model"] == "llama-3.1-8b"
    assert [c["rank"] for c in data["choices"] if c["fits"]] == [1, 2, 3, 4, 5]
    best = data["choices"][0]
    assert best["p10_s"] < best["step_s"] < best["p90_s"]
    assert sum(best["parts_s"].values()) == pytest.approx(best["step_s"])
    run = data["run"]
    assert run["seconds"] == pytest.approx(1e11 / best["tokens_per_s"] / run["goodput"])
    assert run["start"] == "2025-01-01"
    assert run["deadline"] == "2025-04-01"
    assert 0 <= run["sure_of_deadline"] <= 1
    assert run["energy_j"] > 0
    assert run["cost_low_usd"] <= run["cost_usd"] <= run["cost_high_usd"]
    assert json.loads(trace.read_text())["traceEvents"]
    assert pl.read_parquet(table)["step_s"].min() == pytest.approx(best["step_s"], rel=1e-9)


def test_train_prints_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    out = call(capsys, *RUN, "--top=2", "--pp=2")
    for word in (
        "fastest that fits",
        "% slower",
        "The best step in parts",
        "Memory a chip",
        "80 % sure",
        "Megatron-LM",
    ):
        assert word in out


def test_one_pipeline_over_two_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (*RUN, "--with", "a100-80-sxm=16", "--split", "pipeline", "--era", "megatron-core")
    run = json.loads(call(capsys, *arguments, "--json=-"))["run"]
    assert run["joint_split"] == "pipeline"
    assert sum(stage["layers"] for stage in run["stages"]) == 32
    assert {stage["chip"] for stage in run["stages"]} == {"h100-sxm", "a100-80-sxm"}
    assert sum(run["joint_parts_s"].values()) == pytest.approx(run["joint_step_s"])
    assert run["joint_p10_s"] < run["joint_step_s"] < run["joint_p90_s"]
    best = json.loads(call(capsys, *arguments[:-4], "--json=-"))["run"]
    assert best["joint_tokens_per_s"] >= run["joint_tokens_per_s"] * 0.999
    assert {best["joint_split"], best["other_split"]} == {"data", "pipeline"}
    assert "as one pipeline" in call(capsys, *arguments)


def test_deliveries_and_how_good_it_gets(capsys: pytest.CaptureFixture[str]) -> None:
    dated = (*RUN, "--start=2026-01-01", "--deadline=2026-03-02", "--deliver", "2026-01-31=16")
    data = json.loads(call(capsys, *dated, "--rival", "ascend910b=16", "--before", "llama-3.1-70b=1e12", "--json=-"))
    run, found = data["run"], data["run"]["quality"]
    first, second = run["deliveries"]
    assert second["chips"] == 32
    days = 30 * 86400.0
    assert run["tokens_by_deadline"] == pytest.approx(days * (first["tokens_per_s"] + second["tokens_per_s"]))
    assert found["tokens"] == run["tokens_by_deadline"]
    assert found["loss_p10"] <= found["loss"] <= found["loss_p90"]
    assert found["optimal"]["loss"] <= found["loss"]
    rival = found["rivals"][0]
    assert rival["tokens"] < found["tokens"]
    assert rival["gap"] < 0  # fewer and slower chips leave the rival behind
    assert found["before"]["gap"] > 0
    assert found["before"]["chance_behind"] > 0.9
    out = call(capsys, *dated, "--rival", "ascend910b=16", "--before", "llama-3.1-70b=1e12")
    for word in ("best for that compute", "nats ahead of it", "nats behind llama-3.1-70b", "from 2026-01-31"):
        assert word in " ".join(out.split())


def test_routing_storage_and_checkpoints_are_options(capsys: pytest.CaptureFixture[str]) -> None:
    size = ("--chips=32", "--batch=128", "--seq=4096", "--tp=2", "--pp=2", "--micro-batch=1")
    moe = ("mixtral-8x7b", "--on", "h100", *size, "--tokens", "1e11")
    plain = json.loads(call(capsys, *moe, "--json=-"))
    capped = json.loads(call(capsys, *moe, "--capacity=1.0", "--skew=0.5", "--json=-"))
    assert capped["choices"][0]["dropped_share"] > 0.1
    assert plain["choices"][0]["dropped_share"] == 0
    slow = json.loads(call(capsys, *moe, "--storage", "10 kB/s", "--json=-"))
    assert slow["choices"][0]["parts_s"]["data"] > 0
    halting = json.loads(call(capsys, *moe, "--halt", "--checkpoint-rate", "50 MB/s", "--json=-"))["run"]
    assert halting["checkpoint_stall_s"] == halting["checkpoint_write_s"]
    assert halting["goodput"] < plain["run"]["goodput"]


def test_every_strategy_and_a_picture(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    table, lines, image = tmp_path / "all.parquet", tmp_path / "all.ndjson", tmp_path / "step.svg"
    fixed = ("--tp=2", "--sharding=zero1", "--recompute=full")
    found = json.loads(call(capsys, *RUN, *fixed, "--all", str(table), "--picture", str(image), "--json=-"))
    frame = pl.read_parquet(table)
    assert frame.height == found["strategies"]
    assert int(frame["fits"].sum()) == found["strategies_that_fit"]
    assert set(frame["sharding"]) == {1}
    assert frame.filter("fits")["step_s"].min() == pytest.approx(found["choices"][0]["step_s"])
    assert image.read_text(encoding="utf-8").startswith("<svg")
    call(capsys, *RUN, *fixed, "--pp=2", "--dp=4", "--all", str(lines))
    first = json.loads(lines.read_text(encoding="utf-8").splitlines()[0])
    assert first["pp"] == 2


def test_an_interruption_keeps_what_was_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from suanli.training import _search

    usual, seen = _search._block, []

    def interrupted(*arguments: Any) -> Any:
        seen.append(1)
        if len(seen) > 3:
            raise KeyboardInterrupt
        return usual(*arguments)

    monkeypatch.setattr(_search, "_block", interrupted)
    data = json.loads(call(capsys, *RUN, "--json=-"))
    assert 0 < data["searched_share"] < 1
    assert data["choices"][0]["step_s"] > 0
    seen.clear()
    assert "stopped at" in " ".join(call(capsys, *RUN).split())


def test_pools_add_up_and_power_has_its_carbon(capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(
        call(capsys, *RUN, "--with", "a100-80-sxm=16", "--split=data", "--region", "Malaysia", "--json=-")
    )
    run = data["run"]
    assert set(run["batch_shares"]) == {"h100-sxm", "a100-80-sxm"}
    assert sum(run["batch_shares"].values()) == pytest.approx(1.0)
    assert data["choices"][0]["tokens_per_s"] < run["joint_tokens_per_s"]
    assert run["joint_seconds"] < run["seconds"]
    assert run["metered_j"] > run["energy_j"]
    assert 0.3 < run["co2_kg"] / (run["metered_j"] / 3.6e6) < 1.0  # kg a kWh of a grid on coal and gas


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("llama-3.1-8b", "--on", "h100", "--chips", "37", "--batch", "64"), "no tp x pp x cp x dp makes 37 chips"),
        (("llama-3.1-405b", "--on", "h100", "--chips", "8"), "fits nowhere on 8 x h100-sxm"),
        (("llama-9", "--on", "h100", "--chips", "8"), "unknown model"),
        (("llama-3.1-8b", "--on", "h1000x", "--chips", "8"), "unknown chip"),
        ((*RUN, "--era", "fsdp9"), "unknown era 'fsdp9'"),
        ((*RUN, "--start", "soon"), "start: 'soon' is not a date"),
        ((*RUN, "--deadline", "-3 day"), "is not after the start"),
        ((*RUN, "--scale-out", "9 kg"), "wrong kind of unit"),
        ((*RUN, "--with", "h100"), "write CHIP=N"),
        ((*RUN, "--with", "h20=8", "--split", "half"), "split: 'half' is not one of data, pipeline, best"),
        ((*RUN, "--deliver", "2026-02-30=8"), "deliver: '2026-02-30' is not a date"),
        ((*RUN, "--start=2026-02-01", "--deliver", "2026-01-01=8"), "deliveries must come after the start"),
        ((*RUN, "--before", "llama-9=1e12"), "unknown model"),
        ((*RUN, "--capacity", "1.25"), "has no experts"),
        ((*RUN, "--sharding", "zero9"), "sharding: 'zero9' is not one of none, zero1"),
        ((*RUN, "--storage", "0 GB/s"), "storage: 0 is not above zero"),
        ((*RUN, "--all", "all.csv"), "must end in .parquet"),
        (
            ("llama-3.1-8b", "--on", "h100", "--chips", "16", "--seq", "4104", "--cp", "8"),
            "does not divide by 2 x cp 8",
        ),
    ],
)
def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str) -> None:
    assert message in refused(capsys, *arguments)

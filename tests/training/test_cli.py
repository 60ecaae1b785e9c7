from __future__ import annotations

import json
from pathlib import Path

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


def test_pools_add_up_and_power_has_its_carbon(capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(call(capsys, *RUN, "--with", "a100-80-sxm=16", "--region", "Malaysia", "--json=-"))
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
    ],
)
def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str) -> None:
    assert message in refused(capsys, *arguments)

import json
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from suanli.catalog import fitted
from suanli.errors import InputError
from suanli.scoring import report, score
from suanli.scoring._serving_predict import METRICS
from suanli.scoring._serving_rows import case_of, fitting, read_cases

# Rows in the columns of published runs; figures of the first are TensorRT-LLM's performance overview v0.14.0.
TRTLLM: dict[str, Any] = {
    "id": "TRTLLM014-x",
    "source_title": "TensorRT-LLM perf-overview v0.14.0 (tokens/s, max load)",
    "model": "Llama-3.1-70B",
    "chip": "h100_sxm",
    "n_chips": 4,
    "tp": 4,
    "precision": "fp8",
    "framework": "trtllm",
    "mode": "agg",
    "isl": 2048,
    "osl": 2048,
    "concurrency_or_rate": "inf (offline max load)",
    "output_tok_s": 4838.5,
}
CLOSED: dict[str, Any] = {
    **TRTLLM,
    "id": "IX-1",
    "source_title": "InferenceX/InferenceMAX runs (SemiAnalysis) in aiconfigurator",
    "concurrency_or_rate": "concurrency=32",
    "isl": 1024,
    "osl": 1024,
    "output_tok_s": None,
    "ttft_s": 0.175,
    "tpot_s": 0.0165,
}


BARS = {"tpot": 14.5, "ttft": 28.5, "output_rate": 16.5}
RUNS = Path(__file__).parents[2] / "validation" / "data" / "serving" / "runs.parquet"


@cache
def published() -> dict[str, Any]:
    return dict(report(score("serving", [RUNS])))


def write(tmp_path: Path, *rows: dict[str, Any], name: str = "runs.parquet") -> Path:
    path = tmp_path / name
    columns = sorted({k for r in rows for k in r})
    pl.DataFrame([{k: r.get(k) for k in columns} for r in rows], infer_schema_length=None).write_parquet(path)
    return path


def test_published_rows_are_met_without_their_chip(tmp_path: Path) -> None:
    found = score("serving", [write(tmp_path, TRTLLM, CLOSED)])
    rows = {r["metric"]: r for r in found.rows.iter_rows(named=True)}
    assert set(rows) == set(METRICS)
    for metric, row in rows.items():
        assert 0.6 < row["predicted"] / row["measured"] < 1.6, metric
        assert row["p10"] < row["predicted"] < row["p90"]
        assert row["baseline"] is None or row["baseline"] > 0
    assert found.fitted == {"left_out": 2, "final": 0}
    assert found.rows["parameters"].unique().to_list() == ["chip:h100-sxm"]


def test_report_has_what_the_contract_names(tmp_path: Path) -> None:
    disagg = {
        **CLOSED,
        "id": "IX-2",
        "mode": "disagg",
        "model": "deepseek-ai/DeepSeek-R1",
        "chip": "b200_sxm",
        "prefill_workers": 1,
        "prefill_tp": 8,
        "decode_workers": 2,
        "decode_tp": 8,
    }
    flagged = {**CLOSED, "id": "IX-3", "quality_flag": "run_not_VALID"}
    unknown = {**CLOSED, "id": "IX-4", "chip": "N/A"}
    out = report(score("serving", [write(tmp_path, CLOSED, disagg, flagged, unknown)]))
    json.dumps(out, allow_nan=False)
    assert out["n_rows"] == 4
    assert out["n_scored"] == 1
    assert {s["id"] for s in out["skipped"]} == {"IX-3", "IX-4"}
    assert set(out["metrics"]["tpot"]) >= {"n", "median_abs_pct", "bias_pct", "coverage_80_pct", "width_80_pct"}
    assert out["disaggregated"]["tpot"]["n"] == 1
    assert out["without_model"]["tpot"]["n"] == 1
    assert {"chip=h100-sxm", "framework=trtllm", "model=llama-3.1-70b", "mode=closed"} <= set(out["by_group"])


def test_a_chip_and_model_never_met_take_the_final_set(tmp_path: Path) -> None:
    fresh = {**CLOSED, "chip": "H20", "model": "Qwen/Qwen2.5-72B", "framework": "mindie 2.1"}
    found = score("serving", [write(tmp_path, fresh)])
    assert found.rows["parameters"].unique().to_list() == ["final"]
    known = score("serving", [write(tmp_path, CLOSED)])

    def width(rows: pl.DataFrame) -> float:
        part = rows.filter(pl.col("metric") == "tpot")
        return float((part["p90"] / part["p10"])[0])

    assert width(found.rows) > 0.9 * width(known.rows)


def test_a_million_rows_need_few_tables(tmp_path: Path) -> None:
    rows = [{**CLOSED, "id": f"IX-{i}", "isl": 500 + i} for i in range(3000)]
    found = score("serving", [write(tmp_path, *rows)])
    assert found.rows["id"].n_unique() == 3000
    part = found.rows.filter(pl.col("metric") == "ttft").sort("id")
    assert part["predicted"].is_sorted() or part["predicted"].n_unique() > 2000


def test_rows_without_ids_and_settings(tmp_path: Path) -> None:
    path = write(tmp_path, {k: v for k, v in CLOSED.items() if k not in ("id", "precision", "tp")})
    n, cases, skipped = read_cases([path])
    assert (n, skipped) == (1, [])
    assert cases[0].id == "runs.parquet:1"
    assert cases[0].precision == "bf16"
    assert not cases[0].known
    assert cases[0].layout is None  # to be searched


def test_a_command_tells_what_its_row_does_not() -> None:
    row = {
        **CLOSED,
        "tp": None,
        "precision": None,
        "model": "glm-4.5-air",
        "concurrency_or_rate": "vllm bench serve, all requests at once; peak concurrent 1000.0",
        "source_title": "GPUStack performance lab",
        "notes": "H100; section: 2; cmd: sglang serve zai-org/GLM-4.5-Air-FP8 --tp-size 4 --ep-size 4"
        " --max-running-requests 256 --kv-cache-dtype fp8_e4m3",
    }
    case = case_of("a", row)
    assert case.layout is not None
    assert (case.layout.tp, case.layout.ep, case.precision, case.kv, case.seats) == (4, 4, "fp8", "fp8", 256)
    assert (case.clients, case.rounds, case.cold, case.at_once) == (1000.0, 1.0, True, True)
    assert not case.chat  # 1,024 tokens an answer are set, not drawn from chats


def test_what_a_reasoning_parser_hides_is_not_scored(tmp_path: Path) -> None:
    command = "vllm serve Qwen/Qwen3-8B --reasoning-parser=qwen3 --speculative-config={'num_speculative_tokens':2}"
    row = {**CLOSED, "model": "Qwen/Qwen3-8B", "n_chips": 1, "tp": 1, "notes": f"cmd: {command}", "output_tok_s": 900.0}
    case = case_of("a", row)
    assert (set(case.measured), case.partly, case.drafts) == ({"ttft", "output_rate"}, True, 2)
    found = score("serving", [write(tmp_path, row)])
    assert set(found.rows["metric"]) == {"ttft", "output_rate"}
    assert any("reasoning parser" in note for note in found.notes)


def test_a_low_peak_of_requests_is_a_run_at_a_limited_rate() -> None:
    title = "GPUStack performance lab"
    low = case_of("a", {**CLOSED, "source_title": title, "concurrency_or_rate": "peak concurrent 12.0"})
    assert (low.by_second, low.at_once, low.cold) == (True, False, False)
    assert low.clients + 2.7 * low.clients**0.5 == pytest.approx(12.0)  # the highest of a few hundred Poisson counts


def test_benchmarks_scripts_set_what_rows_do_not() -> None:
    row = {**CLOSED, "chip": "b200_sxm", "model": "deepseek-ai/DeepSeek-R1", "n_chips": 8, "tp": 8, "ep": 1, "dp": 1}
    polled = case_of("a", {**row, "framework": "sglang"})
    assert (polled.launch.every, polled.kv) == (30, "fp8")
    drafted = case_of("b", {**row, "version": "1.2.0rc6.post3"})
    plain = case_of("c", {**row, "version": "1.2.0rc6.post2"})
    assert (drafted.drafts, plain.drafts) == (3, 0)


@pytest.mark.parametrize(("metric", "bar"), BARS.items())
def test_published_runs_are_met_without_their_chip_and_model(metric: str, bar: float) -> None:
    # as measured on the public rows when the parameters were fitted
    found = published()
    for metrics in (found["metrics"], found["without_model"]):
        assert metrics[metric]["median_abs_pct"] < bar
        assert 70.0 < metrics[metric]["coverage_80_pct"] < 90.0


def test_degrees_that_do_not_multiply_are_mended() -> None:
    from suanli import catalog

    routed, dense = catalog.model("gpt-oss-120b"), catalog.model("qwen3-32b")
    assert str(fitting(4, 1, 1, 4, 1, routed)) == "DP4"
    assert str(fitting(8, 4, 1, 1, 1, dense)) == "TP4 x 2"
    assert str(fitting(2, 1, 1, 4, 2, routed)) == "DP2 EP2"


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n", "utf-8")
    with pytest.raises(InputError, match=r"x.csv:1: column 'model' is missing"):
        score("serving", [path])


def test_stored_sets_leave_out_each_chip_and_model() -> None:
    stored = fitted("serving")
    names = set(stored["left_out"])
    assert {"chip:h100-sxm", "chip:b200-sxm", "chip:mi300x"} <= names
    assert sum(n.startswith("model:") for n in names) >= 10
    assert set(stored["final"]["pooled"]) == set(stored["left_out"]["chip:h100-sxm"]["pooled"])
    assert stored["fitted_on"][0]["sha256"]
    for scheme in ("chip", "model"):
        assert all(0 < v < 2 for v in stored["spread"][scheme].values())

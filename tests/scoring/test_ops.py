"""Operator tables scored: what is predicted, what is skipped, and by which parameters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from suanli.errors import InputError
from suanli.scoring import report, score
from suanli.scoring._ops_rows import FOLDS, normal, with_fold

DATA = Path(__file__).parents[2] / "validation" / "data" / "ops"


def write(tmp_path: Path, name: str, rows: list[dict[str, object]]) -> Path:
    path = tmp_path / f"{name}.parquet"
    pl.DataFrame(rows).write_parquet(path)
    return path


def gemm(chip: str, seconds: float = 2e-4, **more: object) -> dict[str, object]:
    return {
        "chip": chip,
        "op": "gemm",
        "dtype": "bf16",
        "m": 4096,
        "n": 4096,
        "k": 4096,
        "measured_latency_s": seconds,
        **more,
    }


@pytest.mark.parametrize(
    ("table", "most"),
    [
        ("h100_sxm_gemm", 6.5),
        ("a100_sxm_gemm", 9.0),
        ("l40s_gemm", 8.0),
        ("h100_sxm_mla", 7.0),
        ("a100_sxm_attention", 6.5),
    ],
)
def test_unseen_shapes_of_measured_chips(table: str, most: float) -> None:
    scored = score("ops", [DATA / f"{table}.parquet"])
    data = report(scored)
    found, naive = data["metrics"]["latency"], data["baseline"]["latency"]
    assert found["median_abs_pct"] < most
    assert found["median_abs_pct"] < 0.5 * naive["median_abs_pct"]
    assert 70.0 <= found["coverage_80_pct"] <= 92.0
    assert scored.fitted == {"left_out": scored.n_rows}
    assert not scored.skipped


def test_a_chip_left_out_altogether_is_reported_beside() -> None:
    scored = score("ops", [DATA / "a100_sxm_gemm.parquet"])
    without = scored.extra["chip_left_out"]["a100-80-sxm"]["latency"]
    seen = report(scored)["metrics"]["latency"]
    assert without["median_abs_pct"] > seen["median_abs_pct"]
    assert without["width_80_pct"] > seen["width_80_pct"]


@pytest.mark.parametrize(("table", "chip"), [("a100_sxm", "a100-80-sxm"), ("l40s", "l40s")])
def test_all_operators_of_a_chip_left_out_are_met(table: str, chip: str) -> None:
    scored = score("ops", [DATA / f"{table}_{sort}.parquet" for sort in ("gemm", "attention", "moe", "mla")])
    without = scored.extra["chip_left_out"][chip]["latency"]
    # Of the full tables 12 and 14 %; thinned, they weigh rare formats more.
    assert without["median_abs_pct"] <= 16.0
    assert 70.0 <= without["coverage_80_pct"] <= 90.0
    assert without["width_80_pct"] <= 67.0


def test_chips_never_met_are_judged_by_the_final_parameters(tmp_path: Path) -> None:
    path = write(tmp_path, "new", [gemm("h200_sxm"), gemm("b200_sxm", 9e-5), gemm("Intel Arc Pro B60", 2e-3)])
    scored = score("ops", [path])
    assert scored.fitted == {"final": 3}
    assert scored.rows["chip"].to_list() == ["h200-sxm", "b200-sxm", "arc-pro-b60"]
    width = np.log(scored.rows["p90"].to_numpy() / scored.rows["p10"].to_numpy())
    assert width[0] < width[1]
    assert (scored.rows["predicted"] > scored.rows["baseline"] * 0.8).all()


def test_rows_that_cannot_be_scored_are_named_with_the_reason(tmp_path: Path) -> None:
    rows = [
        gemm("h100_sxm"),
        gemm("zx9000"),
        gemm("a100_sxm", dtype="nvfp4"),
        gemm("h100_sxm", m=None),
        gemm("h100_sxm", seconds=0.0),
        gemm("h100_sxm", op="sorting"),
        gemm("h100_sxm", dtype="bf17"),
    ]
    scored = score("ops", [write(tmp_path, "odd", rows)])
    reasons = dict(scored.skipped)
    assert scored.rows["id"].to_list() == ["odd.parquet:0"]
    assert set(reasons) == {f"odd.parquet:{i}" for i in range(1, 7)}
    assert "unknown chip 'zx9000'" in reasons["odd.parquet:1"]
    assert "no rate for fp4" in reasons["odd.parquet:2"]
    assert "missing or not above zero" in reasons["odd.parquet:3"]
    assert "missing or not above zero" in reasons["odd.parquet:4"]
    assert "'sorting' is not predicted" in reasons["odd.parquet:5"]
    assert "unknown number format 'bf17'" in reasons["odd.parquet:6"]


def test_tables_of_other_layouts_are_read(tmp_path: Path) -> None:
    layers = {"chip": "a40", "op": "gemm_mlp_up", "dtype": "fp16", "num_tokens": 512, "n": 8192, "k": 4096}
    npu = {"chip": "ascend_910b", "op": "attention_decode", "dtype": "bf16", "batch": 8, "q_len": 1, "kv_len": 4096}
    heads = {"n_heads": 32, "n_kv_heads": 8, "head_dim": 128}
    files = [
        write(tmp_path, "layers", [{**layers, "measured_latency_s": 3e-4}]),
        write(tmp_path, "npu", [{**npu, **heads, "measured_latency_s": 1e-4}]),
    ]
    scored = score("ops", files)
    assert scored.rows["chip"].to_list() == ["a40", "ascend910b"]
    assert not scored.skipped


def test_rope_and_silu_take_their_width_from_the_products_of_their_model(tmp_path: Path) -> None:
    # vidur, a100, Llama-2-70B on one chip: tables give rope and silu_mul the model's width, the products tell theirs
    layer = {
        "chip": "a100_sxm",
        "dtype": "fp16",
        "model": "llama-2-70b",
        "tp": 1,
        "num_tokens": 4096,
        "framework": "vidur",
    }
    rows = [
        {**layer, "op": "gemm_qkv", "n": 10240, "k": 8192, "measured_latency_s": 2.6e-3},
        {**layer, "op": "gemm_mlp_up", "n": 57344, "k": 8192, "measured_latency_s": 1.5e-2},
        {**layer, "op": "rope", "n": 8192, "k": 0, "measured_latency_s": 1.74e-4},
        {**layer, "op": "silu_mul", "n": 8192, "k": 0, "measured_latency_s": 6.76e-4},
        {**layer, "op": "rope", "model": "another", "n": 8192, "k": 0, "measured_latency_s": 1.74e-4},
    ]
    scored = score("ops", [write(tmp_path, "layers", rows)])
    assert [i for i, _ in scored.skipped] == ["layers.parquet:4"]
    streams = scored.rows.filter(pl.col("op").is_in(["rope", "silu_mul"]))
    assert (np.abs(np.log(streams["predicted"].to_numpy() / streams["measured"].to_numpy())) < 0.35).all()


def test_a_file_without_the_columns_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "bad", [{"chip": "h100", "latency": 1.0}])
    with pytest.raises(InputError, match="column 'op' is missing"):
        score("ops", [path])


def test_folds_depend_on_the_shape_alone() -> None:
    rows = pl.DataFrame([gemm("h100_sxm", m=2**i) for i in range(12)] + [gemm("l40s", m=2**i) for i in range(12)])
    folds = with_fold(normal(rows))["fold"].to_list()
    assert folds[:12] == folds[12:]
    assert len(set(folds)) > 1
    assert set(folds) <= set(range(FOLDS))


def test_experts_of_old_sglang_tables_are_piled_and_gated() -> None:
    rows = pl.DataFrame(
        {
            "op": ["moe_ffn"] * 5,
            "framework": ["sglang", "sglang", "sglang", "vllm", "trtllm"],
            "version": ["0.5.10", "0.5.14", "0.5.10", "0.24.0", "1.3.0rc20"],
            "kernel_source": ["a_triton", "a_triton", "a_triton", "b_triton", "moe_torch_flow_nongated"],
            "hidden_size": [2688.0] * 4 + [4096.0],
            "inter_size": [1856.0] * 4 + [1536.0],
            "num_experts": [128.0] * 5,
            "moe_ep_size": [8.0, 8.0, 1.0, 8.0, 8.0],
            "measured_latency_s": [1e-3] * 5,
        }
    )
    found = normal(rows)
    assert found["piled"].to_list() == [True, False, False, False, False]
    assert found["gated"].to_list() == [True, False, True, False, False]
    masked = normal(rows.with_columns(kernel_source=pl.lit("sglang_flashinfer_cutedsl_moe")))
    assert masked["piled"].to_list() == [False] * 5
    unversioned = normal(rows.drop("version"))
    assert unversioned["piled"].to_list() == [False] * 5
    assert unversioned["gated"].to_list() == [False] * 5

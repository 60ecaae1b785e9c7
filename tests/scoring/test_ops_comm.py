"""Measured collectives and exchanges: how rows are read, labelled, predicted and judged."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from suanli.scoring._ops_comm import FOLDS, fold_of, folds, handles, normal, predict_comm

DATA = Path(__file__).parents[2] / "validation" / "data" / "ops"


def _error(frame: pl.DataFrame, leave: str = "shape") -> tuple[float, float]:
    """Return the median absolute error and the share of rows inside the 80 % interval, both in per cent."""
    predicted, low, high, _, _ = predict_comm(frame, leave=leave)
    measured = frame["measured_latency_s"].to_numpy()
    inside = (low <= measured) & (measured <= high)
    return 100 * float(np.median(np.abs(predicted / measured - 1))), 100 * float(inside.mean())


@pytest.mark.parametrize(
    ("file", "chip", "bar"),
    [
        ("comm.parquet", "h100_sxm", 10.0),
        ("comm.parquet", "a100_sxm", 10.0),
        ("comm.parquet", "rtx_pro_6000_server", 12.0),
        ("comm.parquet", "l40s", 15.0),
        ("comm_experts.parquet", "h100_sxm", 12.0),
        ("comm_torch.parquet", "h100_sxm", 15.0),
    ],
)
def test_unseen_shapes_are_within_the_bar_and_intervals_hold(file: str, chip: str, bar: float) -> None:
    median, held = _error(pl.read_parquet(DATA / file).filter(pl.col("chip") == chip))
    assert median < bar
    assert 65.0 < held < 95.0


def test_a_chip_left_out_is_judged_by_the_others_and_less_surely() -> None:
    rows = pl.read_parquet(DATA / "comm.parquet").filter(pl.col("chip") == "a100_sxm")
    near, _ = _error(rows)
    far, held = _error(rows, leave="chip")
    assert near < far < 40.0
    assert 65.0 < held <= 97.0
    widths = [np.median((h - low) / p) for p, low, h, _, _ in (predict_comm(rows), predict_comm(rows, leave="chip"))]
    assert widths[1] > 1.5 * widths[0]


def test_the_prediction_beats_the_datasheet() -> None:
    rows = pl.read_parquet(DATA / "comm.parquet")
    predicted, _, _, baseline, fitted = predict_comm(rows)
    measured = rows["measured_latency_s"].to_numpy()
    assert np.isfinite(predicted).all()
    assert np.median(np.abs(predicted / measured - 1)) < 0.2 * np.median(np.abs(baseline / measured - 1))
    assert (baseline <= predicted * 1.01).mean() > 0.99  # never faster than the links
    assert set(fitted) == {"left_out"}


def test_chips_that_took_no_part_are_judged_by_the_final_parameters() -> None:
    h100 = pl.read_parquet(DATA / "comm.parquet").filter(pl.col("chip") == "h100_sxm").head(50)
    for name in ("h200_sxm", "b200_sxm", "gb200", "b60"):
        predicted, low, high, _, fitted = predict_comm(h100.with_columns(chip=pl.lit(name)))
        assert set(fitted) == {"final"}
        assert (low < predicted).all()
        assert (predicted < high).all()
    sure = predict_comm(h100)
    sibling = predict_comm(h100.with_columns(chip=pl.lit("h200_sxm")))
    stranger = predict_comm(h100.with_columns(chip=pl.lit("b200_sxm")))
    width = [np.median((h - low) / p) for p, low, h, _, _ in (sure, sibling, stranger)]
    assert width[0] < width[1] < width[2]


def test_unknown_chips_and_missing_sizes_are_not_predicted() -> None:
    rows = pl.read_parquet(DATA / "comm.parquet").head(4)
    assert np.isnan(predict_comm(rows.with_columns(chip=pl.lit("abacus")))[0]).all()
    assert np.isnan(predict_comm(rows.with_columns(message_bytes=pl.lit(None, pl.Int64)))[0]).all()
    exchange = pl.read_parquet(DATA / "comm_experts.parquet").head(4)
    assert np.isnan(predict_comm(exchange.drop("topk"))[0]).all()


def test_folds_depend_on_the_shape_alone() -> None:
    frame = normal(pl.read_parquet(DATA / "comm.parquet").head(500))
    found = folds(frame)
    assert set(found) == set(range(FOLDS))
    assert folds(frame.reverse()) == found[::-1]
    assert folds(frame.with_columns(chip=pl.lit("other"))) == found
    assert fold_of("all_reduce", "fp16", "8,1024") == fold_of("all_reduce", "fp16", "8,1024")


def test_software_is_read_from_the_row() -> None:
    rows = pl.DataFrame(
        {
            "chip": ["h100_sxm"] * 4,
            "op": ["all_reduce"] * 4,
            "library": ["nccl", "custom", "custom", None],
            "kernel_source": ["NCCL", "vLLM_custom_graph", "vLLM_custom_eager", None],
            "framework": ["nccl", "vllm", "vllm", "nccl via torch"],
            "num_gpus": [8] * 4,
            "message_bytes": [1024] * 4,
            "measured_latency_s": [1e-5] * 4,
        }
    )
    assert normal(rows)["library"].to_list() == ["library", "kernel", "eager", "torch"]
    assert handles("moe_dispatch")
    assert not handles("gemm")

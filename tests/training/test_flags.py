from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from suanli import catalog
from suanli.errors import InputError
from suanli.training import (
    Step,
    megatron_flags,
    mindspeed_flags,
    picture,
    pipeline_events,
    prior_parameters,
    read_flags,
    setting_of,
    step,
    strategies,
    torchtitan_options,
)

SCRIPT = """#!/bin/bash
# GPT-3 175B on 1,024 chips
GPT_ARGS="
    --num-layers 96 --hidden-size 12288 \\
    --num-attention-heads 96
    --seq-length 2048
    --swiglu
    --global-batch-size=1536
    --tensor-model-parallel-size 8 --pipeline-model-parallel-size 16
    --fp16
"
"""


def one() -> Step:
    where = setting_of(catalog.model("llama-3.1-8b"), catalog.chip("h100-sxm"), 64, seq_len=4096, global_batch=256)
    chosen = strategies(tp=2, pp=4, vpp=2, dp=8, recompute="full", recompute_share=0.5, tp_overlap=1.0)
    return step(where, chosen, parameters=prior_parameters())


def test_flags_say_the_strategy() -> None:
    flags = megatron_flags(one())
    for want in (
        "--tensor-model-parallel-size 2",
        "--pipeline-model-parallel-size 4",
        "--num-layers-per-virtual-pipeline-stage 4",
        "--use-distributed-optimizer",
        "--recompute-granularity full",
        "--recompute-num-layers 4",
        "--sequence-parallel",
        "--tp-comm-overlap",
        "--overlap-grad-reduce --overlap-param-gather",
        "--bf16",
    ):
        assert want in flags
    assert "--use-ascend-coc" in mindspeed_flags(one())
    assert "parallelism.data_parallel_shard_degree=8" in torchtitan_options(one())
    assert "parallelism.pipeline_parallel_schedule=Interleaved1F1B" in torchtitan_options(one())


def test_flags_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "gpt3.sh"
    path.write_text(SCRIPT, encoding="utf-8")
    got = read_flags(path)
    assert (got.model.n_layers, got.model.hidden, got.model.n_heads) == (96, 12288, 96)
    assert got.model.gated_mlp
    assert (got.seq, got.batch, got.precision) == (2048, 1536, "fp16")
    assert got.pins == {"tp": 8, "pp": 16}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--num-layers many --hidden-size 8", r"run.sh:1: --num-layers: 'many' is not a whole number"),
        ("--num-layers 4 --num-attention-heads 4 --hiden-size 8", "--hidden-size is missing; found '--hiden-size'"),
        ("--num-layers 4 --num-attention-heads 3 --hidden-size 8", "8 does not divide by"),
    ],
)
def test_bad_flags_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.sh"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_flags(path)


def test_timeline_has_every_pass_once_and_no_overlap() -> None:
    events = pipeline_events(one())
    work = [e for e in events if e["ph"] == "X" and e["args"]]
    assert len(work) == 4 * 32 * 2
    for stage in range(4):
        mine = sorted((e for e in work if e["pid"] == stage), key=lambda e: e["ts"])
        for a, b in pairwise(mine):
            assert a["ts"] + a["dur"] <= b["ts"] + 0.01
    lines = picture(one())
    assert len(lines) == 4
    assert lines[3].startswith(".")
